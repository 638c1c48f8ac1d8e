//! Ties a program to the process that started it: when that is killed, the system kills the program.
//!
//! The wish has to be made in the program's own process, before it begins. So midwatch is started there, makes it, and
//! becomes the program. The program alone is tied: what it starts in turn is not, and one that changes its user
//! (`sudo`) unties itself. Linux only.

use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop, ProcessGroup};
use tokio::process::Command;

use super::own_program;

/// The hidden subcommand of midwatch that makes the wish and becomes the program.
pub const LEASH: &str = "leash";

/// Whether a program outlives who started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leash {
    /// It may.
    None,
    /// It is killed with it.
    Tied,
}

impl Leash {
    /// Starts a program as the leader of its own process group, with empty input. Nothing runs when this errs.
    pub(super) fn spawn(
        self,
        argv: &[String],
        surround: impl FnOnce(&mut Command),
    ) -> io::Result<Box<dyn ChildWrapper>> {
        let (mut command, news) = match self {
            Self::None => (untied(argv)?, None),
            Self::Tied => {
                let (reader, writer) = io::pipe()?;
                let command = CommandWrap::with_new(own_program()?, |command| {
                    command.arg(LEASH).arg("--").args(argv).stdin(writer);
                });
                (command, Some(reader))
            }
        };
        surround(command.command_mut());
        command.wrap(ProcessGroup::leader()).wrap(KillOnDrop);
        let child = command.spawn()?;
        // The command holds the pipes' other ends; nobody would ever see the end of them.
        drop(command);
        match news.map(refused).transpose()?.flatten() {
            None => Ok(child),
            Some(error) => Err(error),
        }
    }
}

fn untied(argv: &[String]) -> io::Result<CommandWrap> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(CommandWrap::with_new(program, |command| {
        command.args(arguments).stdin(Stdio::null());
    }))
}

/// Waits until the program has begun, or could not.
fn refused(mut news: PipeReader) -> io::Result<Option<io::Error>> {
    let mut text = String::new();
    news.read_to_string(&mut text)?;
    let number = text.strip_prefix('.').and_then(|text| text.parse().ok());
    Ok(number.map(io::Error::from_raw_os_error))
}

/// Becomes this program: midwatch's own part between the two. Comes back only when it can't.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that becomes a program"
)]
pub fn become_program(argv: &[std::ffi::OsString]) -> io::Result<()> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    // The copy is closed when the program begins: that is how who started it sees that it does.
    let mut news = io::PipeWriter::from(io::stdin().as_fd().try_clone_to_owned()?);
    ask_for_the_end()?;
    // When who started us is gone already, nobody will hear of the wish: there is nobody to read this either.
    news.write_all(b".")?;
    let error = std::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .exec();
    write!(news, "{}", error.raw_os_error().unwrap_or_default())
}

#[cfg(target_os = "linux")]
fn ask_for_the_end() -> io::Result<()> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

#[cfg(not(target_os = "linux"))]
fn ask_for_the_end() -> io::Result<()> {
    Ok(())
}
