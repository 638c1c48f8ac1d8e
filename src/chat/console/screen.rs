//! The one door to the terminal: texts are written whole, in the order in which they were handed in.

use std::io::{self, Write};
use std::thread;

use rustix::termios::tcgetwinsize;
use rustyline::ExternalPrinter;
use tokio::sync::{mpsc, oneshot};

/// How many texts may wait. When it is full, whoever prints waits: a terminal that stands still holds delivery back.
const WAITING: usize = 64;

/// The terminal's output, shared by the loop and the transport. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Screen {
    jobs: mpsc::Sender<Job>,
}

struct Job {
    work: Work,
    done: oneshot::Sender<io::Result<()>>,
}

enum Work {
    /// Write this.
    Print(String),
    /// From here on write through this: it keeps the line that is being edited below the text.
    Beside(Box<dyn ExternalPrinter + Send>),
    /// The line that was being edited is given up.
    Alone,
}

struct Ways {
    plain: Box<dyn Write + Send>,
    beside: Option<Box<dyn ExternalPrinter + Send>>,
}

impl Screen {
    /// Opens a screen on this output. Its thread ends with the last handle; nobody need join it, because each print
    /// waits until its own text is written.
    pub fn open(out: Box<dyn Write + Send>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(WAITING);
        // A thread of its own: the line editor takes texts only while it waits for keys, and blocks us meanwhile.
        thread::Builder::new()
            .name("screen".to_owned())
            .spawn(move || write_in_order(queue, out))?;
        Ok(Self { jobs })
    }

    /// Writes the text and a line break; answers when it is written.
    pub async fn print(&self, text: &str) -> io::Result<()> {
        self.ask(Work::Print(format!("{text}\n"))).await
    }

    /// Writes through a line editor's printer from here on.
    pub(super) async fn print_beside(
        &self,
        printer: Box<dyn ExternalPrinter + Send>,
    ) -> io::Result<()> {
        self.ask(Work::Beside(printer)).await
    }

    /// Ends the line that is being edited, and writes without the line editor from here on.
    pub(super) async fn give_line_up(&self) -> io::Result<()> {
        self.ask(Work::Alone).await
    }

    async fn ask(&self, work: Work) -> io::Result<()> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the screen is closed");
        let (done, answer) = oneshot::channel();
        let job = Job { work, done };
        self.jobs.send(job).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// How many cells a line of standard output has; `None` when that is no terminal.
pub fn terminal_columns() -> Option<usize> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

fn write_in_order(mut queue: mpsc::Receiver<Job>, out: Box<dyn Write + Send>) {
    let mut ways = Ways {
        plain: out,
        beside: None,
    };
    while let Some(Job { work, done }) = queue.blocking_recv() {
        let _ = done.send(ways.work(work)); // Whoever asked may be gone; the text is written all the same.
    }
}

impl Ways {
    fn work(&mut self, work: Work) -> io::Result<()> {
        match (work, &mut self.beside) {
            (Work::Print(text), Some(printer)) => printer.print(text).map_err(io::Error::other),
            (Work::Print(text), None) => self.write(&text),
            (Work::Beside(printer), _) => {
                self.beside = Some(printer);
                Ok(())
            }
            (Work::Alone, None) => Ok(()),
            (Work::Alone, Some(_)) => {
                self.beside = None;
                // The editor had switched bracketed paste on.
                self.write("\x1b[?2004l\n")
            }
        }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.plain.write_all(text.as_bytes())?;
        self.plain.flush()
    }
}
