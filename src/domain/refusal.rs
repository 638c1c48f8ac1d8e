//! An expected "no", told to the person: what is wrong, what was probably meant, an example that works.

use super::{CommandName, ParameterName, ProjectName, Reference};

/// What was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant {
    /// The word in place of the one that was typed.
    pub word: String,
    /// The whole line with that word, in our grammar; `None` where it could repeat a secret.
    pub line: Option<String>,
}

/// Why something that was said is not taken. Nothing was done, and no run exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Longer than we read.
    TooLong {
        /// What we read at most, in characters.
        limit: usize,
    },
    /// A quote was opened and not closed.
    OpenQuote,
    /// No command of this name.
    UnknownCommand {
        /// As typed, shortened.
        typed: String,
        /// Probably meant.
        nearest: Option<Box<Meant>>,
    },
    /// No project of this name.
    UnknownProject {
        /// As typed, shortened.
        typed: String,
        /// Probably meant.
        nearest: Option<Box<Meant>>,
        /// All of them.
        known: Vec<ProjectName>,
    },
    /// The channel has no project and none was named.
    WhichProject {
        /// What was typed, so that a button can complete it.
        typed: String,
        /// All of them.
        known: Vec<ProjectName>,
    },
    /// The command has no parameter of this name.
    UnknownParameter {
        /// The command.
        command: CommandName,
        /// As typed, shortened.
        typed: String,
        /// Probably meant.
        nearest: Option<Box<Meant>>,
        /// An example that works.
        example: String,
    },
    /// The same parameter was given twice.
    GivenTwice {
        /// Which.
        parameter: ParameterName,
        /// An example that works.
        example: String,
    },
    /// More words than parameters.
    TooManyWords {
        /// The first that is too much, shortened.
        word: String,
        /// How the command is used.
        usage: String,
        /// An example that works.
        example: String,
    },
    /// A value that the parameter doesn't accept.
    BadValue {
        /// Which.
        parameter: ParameterName,
        /// As typed, shortened; `None` for secrets, which are never repeated.
        typed: Option<String>,
        /// What it accepts, in words.
        expected: String,
        /// Probably meant.
        nearest: Option<Box<Meant>>,
        /// An example that works.
        example: String,
    },
    /// Required and not given. Where the platform can, a form asks for them.
    Missing {
        /// The command.
        command: CommandName,
        /// Non-empty.
        parameters: Vec<ParameterName>,
        /// What is already known, in our grammar, so that a form or button can complete it.
        says: String,
        /// An example that works.
        example: String,
    },
    /// A word that belongs to one of our own commands and doesn't fit there.
    BadBuiltin {
        /// What is wrong, a sentence.
        what: String,
        /// An example that works.
        example: String,
    },
    /// No run has this reference.
    UnknownReference {
        /// As typed.
        reference: Reference,
    },
    /// The asked-for thing does not fit the run as it is now: it has ended, was approved already, isn't yours.
    NotNow {
        /// What is true now, a sentence.
        what: String,
        /// The next thing to type or do, a sentence.
        next: String,
        /// The stable word for ledger and logs.
        word: &'static str,
    },
    /// Another app's message. Recorded, and not answered, so that two bots can't talk for ever.
    Bot,
    /// A message that was changed after it was sent.
    Edited,
    /// An account that `people.yaml` does not name.
    Stranger,
    /// A fault of ours. Details are in the log under this code.
    Fault {
        /// Ties the answer and the log together.
        code: String,
    },
}

impl Refusal {
    /// The stable word for ledger, logs and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::OpenQuote => "open_quote",
            Self::UnknownCommand { .. } => "unknown_command",
            Self::UnknownProject { .. } => "unknown_project",
            Self::WhichProject { .. } => "which_project",
            Self::UnknownParameter { .. } => "unknown_parameter",
            Self::GivenTwice { .. } => "given_twice",
            Self::TooManyWords { .. } => "too_many_words",
            Self::BadValue { .. } => "bad_value",
            Self::Missing { .. } => "missing",
            Self::BadBuiltin { .. } => "bad_builtin",
            Self::UnknownReference { .. } => "unknown_reference",
            Self::NotNow { word, .. } => word,
            Self::Bot => "bot",
            Self::Edited => "edited",
            Self::Stranger => "stranger",
            Self::Fault { .. } => "fault",
        }
    }
}
