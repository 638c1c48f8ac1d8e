//! Speaks with one person at a terminal, or does a file of commands line by line.

mod edit;
mod lines;
mod paint;
mod said;
mod screen;
mod talk;
mod transport;

use std::io::{self, BufRead};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use self::paint::{Paint, distance};
pub use self::screen::{Screen, terminal_columns};
pub use self::transport::ConsoleTransport;

use self::edit::Edit;
use self::lines::{Lines, Reader, Terminal};
use self::talk::Talk;
use super::{CurrentCatalog, Intake};
use crate::clock::Clock;
use crate::domain::InboundKey;
use crate::store::StoreError;

/// How long leaving may wait for the screen.
const GIVE_UP_AFTER: Duration = Duration::from_secs(1);

/// The console: reads what is typed and hands it in. Answers come through [`ConsoleTransport`].
pub struct Console {
    /// Where the transport prints, too.
    pub screen: Screen,
    /// Who speaks at first: a person's id.
    pub speaker: String,
    /// Where, at first: a channel's id.
    pub channel: String,
    /// Whether `/as` may change the speaker.
    pub may_play: bool,
    /// Whether the prompt is coloured.
    pub colour: bool,
    /// Different at each start of the process, so that no two of its lines are ever taken for the same.
    pub session: String,
    /// Takes what was said.
    pub intake: Intake,
    /// Tells how it ended.
    pub ended: WaitForEnd,
    /// Completes our grammar.
    pub complete: Complete,
    /// For names of persons and channels.
    pub catalog: CurrentCatalog,
    /// Tells the time.
    pub clock: Clock,
}

/// Where lines come from.
pub enum Input {
    /// A terminal on standard input, with history in this file. Nothing waits for a command's end.
    Terminal {
        /// Need not exist.
        history: PathBuf,
    },
    /// One command a line. Each has ended before the next is read.
    Lines(Box<dyn BufRead + Send>),
}

/// How a command, or a whole session of them, ended. The worse is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// Answered, or its run succeeded.
    Done,
    /// Its run waits for a person.
    Waiting,
    /// Refused, or its run did not succeed.
    Failed,
}

/// Waits until what was said under this key has been answered, and its run has finished or waits for a person, and
/// everything that this prints is printed.
pub type WaitForEnd = Arc<
    dyn Fn(&InboundKey) -> Pin<Box<dyn Future<Output = Result<Ended, StoreError>> + Send>>
        + Send
        + Sync,
>;

/// Completes a line of our grammar: `(line without /ops, cursor, channel)`, the cursor in bytes, gives where the word
/// at the cursor starts, in bytes, and what may stand there.
pub type Complete = Arc<dyn Fn(&str, usize, &str) -> (usize, Vec<String>) + Send + Sync>;

/// Why the console ended early.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// Nothing more can be read.
    #[error("standard input can't be read: {0}")]
    Input(String),
    /// Nothing more can be printed.
    #[error("standard output can't be written: {0}")]
    Output(#[from] io::Error),
}

impl Console {
    /// Reads and hands in until the end of the input, `/quit`, or cancellation. Answers the worst end of all commands;
    /// at a terminal always `Done`.
    pub async fn run(self, input: Input, cancel: CancellationToken) -> Result<Ended, ConsoleError> {
        let in_order = matches!(input, Input::Lines(_));
        let mut reader = Reader::start(self.open(input).await?)?;
        let mut talk = Talk::new(self, in_order);
        let conversation = async {
            while talk.take(reader.next(talk.ask()).await).await? {}
            talk.settle_waiting().await
        };
        let stopped = tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            result = conversation => Some(result),
        };
        let Some(result) = stopped else {
            reader.restore_terminal();
            // The screen may be waiting for the line editor, which waits for a key that nobody presses.
            let _ = timeout(GIVE_UP_AFTER, talk.give_line_up()).await;
            return Ok(talk.cut_off());
        };
        result
    }

    async fn open(&self, input: Input) -> Result<Lines, ConsoleError> {
        let history = match input {
            Input::Lines(stream) => return Ok(Lines::Stream(stream)),
            Input::Terminal { history } => history,
        };
        let edit = Edit {
            channel: self.channel.clone(),
            complete: self.complete.clone(),
            catalog: self.catalog.clone(),
            colour: self.colour,
        };
        let mut terminal = Terminal::open(edit, history)
            .map_err(|error| ConsoleError::Input(error.to_string()))?;
        if let Some(printer) = terminal.printer() {
            self.screen.print_beside(printer).await?;
        }
        Ok(Lines::Terminal(Box::new(terminal)))
    }
}
