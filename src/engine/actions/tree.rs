//! A running program and all that it started: passes its output on, and ends it as a whole.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use process_wrap::tokio::ChildWrapper;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::time::{sleep, timeout};

use super::output::Output;
use super::strays::Strays;

/// Between the request to end and the end.
const GRACE: Duration = Duration::from_secs(2);
/// How long processes that outlive the program may go on writing.
const AFTERMATH: Duration = Duration::from_secs(1);
/// How often we look whether a group is gone.
const LOOK: Duration = Duration::from_millis(20);

/// A program and all that it started in its process group. Dropped while it runs, it is killed as a whole.
pub(super) struct Tree {
    child: Box<dyn ChildWrapper>,
    /// `None` once nothing of it may be signalled any more.
    group: Option<Pid>,
    /// `None` after the end of the output.
    reader: Option<pipe::Receiver>,
    buffer: Vec<u8>,
}

impl Tree {
    /// Takes over a child that leads its own process group.
    pub(super) fn new(child: Box<dyn ChildWrapper>, reader: pipe::Receiver) -> Self {
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Self {
            child,
            group,
            reader: Some(reader),
            buffer: vec![0; 16 * 1024],
        }
    }

    /// Passes output on until the program itself has exited. Cancel safe.
    pub(super) async fn leader_exit(&mut self, output: &mut Output) -> io::Result<ExitStatus> {
        loop {
            // The inner child: the group's own `wait` waits for orphans too, and without end where we are process 1.
            tokio::select! {
                status = self.child.inner_mut().wait() => return status,
                length = read(&mut self.reader, &mut self.buffer), if self.reader.is_some() => {
                    output.push(&self.buffer[..length]);
                }
                () = output.flush(), if output.waits() => {}
            }
        }
    }

    /// Passes output on until its end. Cancel safe.
    async fn rest(&mut self, output: &mut Output) {
        while self.reader.is_some() {
            tokio::select! {
                length = read(&mut self.reader, &mut self.buffer) => output.push(&self.buffer[..length]),
                () = output.flush(), if output.waits() => {}
            }
        }
    }

    /// After the program's own end: waits for the rest of the output, and ends who holds on to it.
    pub(super) async fn settle(&mut self, output: &mut Output) {
        if timeout(AFTERMATH, self.rest(output)).await.is_err() {
            self.signal(Signal::KILL);
            // What is in the pipe is there at once; who left the group may hold it open for ever.
            let _ = timeout(LOOK, self.rest(output)).await; // the time-out is the expected end then
            output.say("processes that the program left behind were ended");
        }
        self.group = None;
    }

    /// Asks everything to end, waits a little, ends it.
    pub(super) async fn end(&mut self, output: &mut Output) {
        let strays = self.group.map(Strays::of).unwrap_or_default();
        self.signal(Signal::TERM);
        strays.signal(Signal::TERM);
        let _ = timeout(GRACE, self.gone(output)).await; // whoever needs longer is killed
        self.signal(Signal::KILL);
        strays.signal(Signal::KILL);
        let _ = timeout(GRACE, self.leader_exit(output)).await; // nothing outlives KILL but in the kernel
        let _ = timeout(LOOK, self.rest(output)).await; // as in `settle`
        self.group = None;
    }

    /// Passes output on until no process of the group is left.
    async fn gone(&mut self, output: &mut Output) {
        let _ = self.leader_exit(output).await; // only that it is over matters
        while let Some(group) = self.group
            && test_kill_process_group(group).is_ok()
        {
            let _ = timeout(LOOK, self.rest(output)).await; // a pause, in which output is passed on
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, signal); // it may be gone already: that is the aim
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let strays = self.group.map(Strays::of).unwrap_or_default();
        self.signal(Signal::KILL);
        strays.signal(Signal::KILL);
    }
}

/// Reads the next bytes; forgets the reader at the end of the output. Cancel safe.
async fn read(reader: &mut Option<pipe::Receiver>, buffer: &mut [u8]) -> usize {
    let Some(open) = reader else {
        return 0;
    };
    match open.read(buffer).await {
        Ok(length) if length > 0 => length,
        Ok(_) | Err(_) => {
            *reader = None;
            0
        }
    }
}
