//! What people read, before a platform's own markup: adapters encode it, nobody above them knows how.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CommandName, ParameterName, PersonId, Place, RunId};

/// A message. Non-empty; its first block is a text whose first line says what is true now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Message {
    /// From top to bottom.
    pub blocks: Vec<Block>,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// A paragraph.
    Text(Text),
    /// Label and value, a line each.
    Fields(Vec<Field>),
    /// Output of a step or a file's lines. Hostile: nothing in it may act.
    Output(String),
    /// How many steps are done.
    Progress {
        /// Done so far.
        done: usize,
        /// At least 1.
        total: usize,
    },
    /// Things to press. Non-empty.
    Buttons(Vec<Button>),
}

/// Label and value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// One or two words.
    pub label: String,
    /// The value.
    pub value: Text,
}

/// A paragraph: spans that follow each other. `\n` in a plain span breaks the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Text(pub Vec<Span>);

/// A part of a paragraph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// As it is. May come from people: adapters neutralise it.
    Plain(String),
    /// Emphasised.
    Bold(String),
    /// Something typed or named: a command, a file and line.
    Code(String),
    /// A person, shown by name; never pinged.
    Person(PersonId),
    /// A person, pinged: they are asked to do something.
    Ping(PersonId),
    /// A moment, shown with its zone and how far away it is, where the platform can by the reader's clock.
    Time(Timestamp),
    /// A message on a platform: pressed where the platform can, its address elsewhere.
    Thread(ThreadLink),
}

/// The first message of a run's thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadLink {
    /// Where it is.
    pub place: Place,
    /// As the platform calls it; empty while it is not delivered.
    pub message: String,
}

/// Something to press: says its text as if the presser had typed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    /// One to three words.
    pub label: String,
    /// What it says, in our grammar.
    pub says: String,
    /// How it looks.
    pub style: ButtonStyle,
}

/// How a button looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonStyle {
    /// Like any other.
    Plain,
    /// The expected next thing.
    Primary,
    /// Stops or repeats something.
    Danger,
}

impl Text {
    /// Begins an empty paragraph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds plain words.
    #[must_use]
    pub fn plain(mut self, words: impl Into<String>) -> Self {
        self.0.push(Span::Plain(words.into()));
        self
    }

    /// Adds emphasised words.
    #[must_use]
    pub fn bold(mut self, words: impl Into<String>) -> Self {
        self.0.push(Span::Bold(words.into()));
        self
    }

    /// Adds something typed or named.
    #[must_use]
    pub fn code(mut self, words: impl Into<String>) -> Self {
        self.0.push(Span::Code(words.into()));
        self
    }

    /// Adds a person, not pinged.
    #[must_use]
    pub fn person(mut self, person: &PersonId) -> Self {
        self.0.push(Span::Person(person.clone()));
        self
    }

    /// Adds a person, pinged.
    #[must_use]
    pub fn ping(mut self, person: &PersonId) -> Self {
        self.0.push(Span::Ping(person.clone()));
        self
    }

    /// Adds a thread to go to.
    #[must_use]
    pub fn thread(mut self, thread: &ThreadLink) -> Self {
        self.0.push(Span::Thread(thread.clone()));
        self
    }

    /// Adds a moment.
    #[must_use]
    pub fn time(mut self, at: Timestamp) -> Self {
        self.0.push(Span::Time(at));
        self
    }
}

impl From<&str> for Text {
    fn from(words: &str) -> Self {
        Self::new().plain(words)
    }
}

impl Message {
    /// Begins a message with its first paragraph.
    pub fn new(first: Text) -> Self {
        Self {
            blocks: vec![Block::Text(first)],
        }
    }

    /// The same, said of somebody else than who reads it: their name goes first, and there is nothing to press.
    #[must_use]
    pub fn about(mut self, person: &PersonId) -> Self {
        self.blocks
            .retain(|block| !matches!(block, Block::Buttons(_)));
        if let Some(Block::Text(first)) = self.blocks.first_mut() {
            let named = Text::new().person(person).plain(": ");
            first.0.splice(0..0, named.0);
        }
        self
    }

    /// Adds a block.
    #[must_use]
    pub fn with(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    /// Adds a paragraph.
    #[must_use]
    pub fn text(self, text: Text) -> Self {
        self.with(Block::Text(text))
    }

    /// Adds buttons, when there are any.
    #[must_use]
    pub fn buttons(self, buttons: Vec<Button>) -> Self {
        if buttons.is_empty() {
            self
        } else {
            self.with(Block::Buttons(buttons))
        }
    }
}

impl Button {
    /// A button like any other.
    pub fn plain(label: &str, says: impl Into<String>) -> Self {
        Self {
            label: label.to_owned(),
            says: says.into(),
            style: ButtonStyle::Plain,
        }
    }

    /// The expected next thing.
    pub fn primary(label: &str, says: impl Into<String>) -> Self {
        Self {
            style: ButtonStyle::Primary,
            ..Self::plain(label, says)
        }
    }

    /// Stops or repeats something.
    pub fn danger(label: &str, says: impl Into<String>) -> Self {
        Self {
            style: ButtonStyle::Danger,
            ..Self::plain(label, says)
        }
    }
}

/// A message that we owe to a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Where to.
    pub to: Place,
    /// What kind of message, and so how it is delivered.
    pub kind: PostingKind,
    /// The run it tells of.
    pub run: Option<RunId>,
    /// What it says. Of a root: what it says until it is first delivered; later it is rendered anew from the run.
    pub message: Message,
}

/// What kind of message a posting is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum PostingKind {
    /// The one message of a run that is edited in place. One for each run and place.
    Root,
    /// One line of the run's thread; delivered in order, after the root.
    Line {
        /// The step attempt whose whole output is attached as a file.
        attachment: Option<OutputRef>,
        /// Whether it is the run's last line.
        last: bool,
    },
    /// Live output of a step, only for platforms that show it.
    Output {
        /// Where the output comes from.
        of: OutputRef,
    },
    /// An answer in the channel or thread, of no run.
    Answer,
    /// An answer that only one account sees.
    Whisper {
        /// The account's id.
        speaker: String,
        /// The platform's handle of the very act that is answered; `None` where it gives none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handle: Option<String>,
    },
    /// A form that asks for missing arguments.
    Form {
        /// The account's id, for the fallback.
        speaker: String,
        /// The platform's handle; lives some seconds.
        handle: String,
        /// What it asks for.
        form: Form,
    },
}

/// Output of one attempt of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRef {
    /// Of this run.
    pub run: RunId,
    /// Counted from 0.
    pub position: usize,
    /// Counted from 1.
    pub attempt: u32,
}

/// A form that asks for the arguments of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// The command.
    pub command: CommandName,
    /// What the form begins to say: the command and the arguments that are known, in our grammar. The answers are
    /// appended as ` name=value`.
    pub says: String,
    /// What the command does, in a sentence.
    pub does: String,
    /// Non-empty.
    pub fields: Vec<FormField>,
}

/// One question of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormField {
    /// The parameter; `project` for the project.
    pub name: ParameterName,
    /// One sentence; may be empty.
    pub help: String,
    /// What may be chosen; empty for free text.
    pub choices: Vec<String>,
    /// Shown in an empty free text.
    pub example: String,
    /// Whether it may be left empty.
    pub optional: bool,
}
