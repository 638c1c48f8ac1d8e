//! The one door to the terminal: texts are written whole, in the order in which they were handed in.

use std::io::{self, Write};
use std::thread;

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
    Through(Box<dyn ExternalPrinter + Send>),
}

enum Way {
    Plain(Box<dyn Write + Send>),
    Beside(Box<dyn ExternalPrinter + Send>),
}

impl Screen {
    /// Opens a screen on this output. Its thread ends with the last handle; nobody need join it, because each print
    /// waits until its own text is written.
    pub fn open(out: Box<dyn Write + Send>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(WAITING);
        // A thread of its own: the line editor takes texts only while it waits for keys, and blocks us meanwhile.
        thread::Builder::new()
            .name("screen".to_owned())
            .spawn(move || write_all(queue, Way::Plain(out)))?;
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
        self.ask(Work::Through(printer)).await
    }

    async fn ask(&self, work: Work) -> io::Result<()> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the screen is closed");
        let (done, answer) = oneshot::channel();
        let job = Job { work, done };
        self.jobs.send(job).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn write_all(mut queue: mpsc::Receiver<Job>, mut way: Way) {
    while let Some(Job { work, done }) = queue.blocking_recv() {
        let result = match work {
            Work::Print(text) => way.write(text),
            Work::Through(printer) => {
                way = Way::Beside(printer);
                Ok(())
            }
        };
        let _ = done.send(result); // Whoever asked may be gone; the text is written all the same.
    }
}

impl Way {
    fn write(&mut self, text: String) -> io::Result<()> {
        match self {
            Self::Plain(out) => {
                out.write_all(text.as_bytes())?;
                out.flush()
            }
            Self::Beside(printer) => printer.print(text).map_err(io::Error::other),
        }
    }
}
