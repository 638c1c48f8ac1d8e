//! Reads lines, on a thread of its own: from a terminal with an editor, from anything else one after another.

use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor, ExternalPrinter};
use tokio::sync::mpsc;

use super::edit::Edit;

/// The longest line that is taken, in characters.
pub(super) const LONGEST_LINE: usize = 4_000;
/// No line that is taken has more bytes.
const LONGEST_LINE_BYTES: u64 = 4 * LONGEST_LINE as u64 + 2;
const HISTORY_LINES: usize = 1_000;

/// What came of asking for a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A line, without its break.
    Line(String),
    /// A line over the limit; nothing of it is kept.
    TooLong,
    /// Bytes that are no text.
    NotText,
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the end of the file.
    End,
    /// It can't be read any more.
    Broken(String),
}

/// What the reader needs for the next line.
pub(super) struct Ask {
    pub(super) prompt: String,
    pub(super) channel: String,
}

/// Where lines come from.
pub(super) enum Lines {
    Terminal(Box<Terminal>),
    Stream(Box<dyn BufRead + Send>),
}

/// A line editor and its history.
pub(super) struct Terminal {
    editor: Editor<Edit, FileHistory>,
    history: PathBuf,
    /// How the terminal was set before the editor took it.
    before: Option<Termios>,
}

/// Hands out one line for each `Ask`.
pub(super) struct Reader {
    asks: SyncSender<Ask>,
    heard: mpsc::Receiver<Heard>,
    before: Option<Termios>,
}

impl Reader {
    /// Starts the thread. It is not joined: while it waits for a key nothing can wake it, and it owns nothing that
    /// must be finished. It ends with the reader.
    pub(super) fn start(source: Lines) -> io::Result<Self> {
        // One line at a time: the next is read when the one before was handled.
        let (asks, asked) = sync_channel(1);
        let (told, heard) = mpsc::channel(1);
        let before = match &source {
            Lines::Terminal(terminal) => terminal.before.clone(),
            Lines::Stream(_) => None,
        };
        thread::Builder::new()
            .name("console".to_owned())
            .spawn(move || read_lines(source, &asked, &told))?;
        Ok(Self {
            asks,
            heard,
            before,
        })
    }

    /// The next line. Dropping the future leaves the thread waiting for it.
    pub(super) async fn next(&mut self, ask: Ask) -> Heard {
        if self.asks.try_send(ask).is_err() {
            return Heard::Broken("the thread that reads has ended".to_owned());
        }
        self.heard.recv().await.unwrap_or(Heard::End)
    }

    /// Sets the terminal as it was. Needed when a line is still being edited while the process ends: a shell with a
    /// raw terminal shows nothing of what is typed.
    pub(super) fn restore_terminal(&self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before); // There is nobody left to tell.
        }
    }
}

fn read_lines(mut source: Lines, asked: &Receiver<Ask>, told: &mpsc::Sender<Heard>) {
    while let Ok(ask) = asked.recv() {
        let heard = match &mut source {
            Lines::Terminal(terminal) => terminal.read(ask),
            Lines::Stream(stream) => read_line(stream),
        };
        if told.blocking_send(heard).is_err() {
            return;
        }
    }
}

impl Terminal {
    /// Opens the terminal with an empty history where the file can't be read: it is a convenience.
    pub(super) fn open(edit: Edit, history: PathBuf) -> rustyline::Result<Self> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            .max_history_size(HISTORY_LINES)?
            .build();
        let before = tcgetattr(io::stdin()).ok();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(edit));
        let _ = editor.load_history(&history); // Not there yet, at the first start.
        Ok(Self {
            editor,
            history,
            before,
        })
    }

    /// What prints while a line is being edited; `None` where standard output is no terminal.
    pub(super) fn printer(&mut self) -> Option<Box<dyn ExternalPrinter + Send>> {
        let printer = self.editor.create_external_printer().ok()?;
        Some(Box::new(printer))
    }

    fn read(&mut self, ask: Ask) -> Heard {
        if let Some(edit) = self.editor.helper_mut() {
            edit.channel = ask.channel;
        }
        match self.editor.readline(&ask.prompt) {
            Ok(line) if line.chars().count() > LONGEST_LINE => Heard::TooLong,
            Ok(line) => {
                self.remember(&line);
                Heard::Line(line)
            }
            Err(ReadlineError::Interrupted) => Heard::Interrupted,
            Err(ReadlineError::Eof) => Heard::End,
            Err(error) => Heard::Broken(error.to_string()),
        }
    }

    fn remember(&mut self, line: &str) {
        let added = self.editor.add_history_entry(line).unwrap_or(false);
        if added {
            let _ = self.editor.append_history(&self.history); // A lost history stops nobody's work.
        }
    }
}

/// Never holds more than a line of the allowed length in memory, however long the line is.
fn read_line(stream: &mut dyn BufRead) -> Heard {
    let mut bytes = Vec::new();
    let read = stream
        .take(LONGEST_LINE_BYTES)
        .read_until(b'\n', &mut bytes);
    match read {
        Err(error) => return Heard::Broken(error.to_string()),
        Ok(0) => return Heard::End,
        Ok(_) => {}
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    } else if bytes.len() as u64 == LONGEST_LINE_BYTES {
        return stream
            .skip_until(b'\n')
            .map_or_else(|error| Heard::Broken(error.to_string()), |_| Heard::TooLong);
    }
    match String::from_utf8(bytes) {
        Ok(line) if line.chars().count() > LONGEST_LINE => Heard::TooLong,
        Ok(line) => Heard::Line(line),
        Err(_) => Heard::NotText,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_one_by_one_whatever_they_are() {
        let mut bytes = b"one\r\n\n".to_vec();
        bytes.extend("é".repeat(LONGEST_LINE).into_bytes());
        bytes.push(b'\n');
        bytes.extend("é".repeat(LONGEST_LINE + 1).into_bytes());
        bytes.push(b'\n');
        bytes.extend(vec![b'x'; 1_000_000]);
        bytes.extend(b"\n\xff\xfe\nlast");
        let mut stream = io::Cursor::new(bytes);
        for (row, heard) in [
            ("a line", Heard::Line("one\r".to_owned())),
            ("an empty one", Heard::Line(String::new())),
            ("the longest", Heard::Line("é".repeat(LONGEST_LINE))),
            ("one character more", Heard::TooLong),
            ("a megabyte", Heard::TooLong),
            ("no text", Heard::NotText),
            ("one without a break", Heard::Line("last".to_owned())),
            ("the end", Heard::End),
        ] {
            assert_eq!(read_line(&mut stream), heard, "{row}");
        }
    }
}
