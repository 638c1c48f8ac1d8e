//! The hidden subcommands that midwatch starts itself with: a step's supervisor, and what becomes the step's program.
//!
//! Neither has settings, writes a log or speaks TLS, and one thread is enough.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::say_error;
use crate::engine::actions;

#[derive(Subcommand)]
pub(super) enum Internal {
    /// Supervise one attempt of a `run` step
    #[command(name = actions::SUPERVISE, hide = true)]
    Supervise {
        /// The attempt's folder; standard output is its lock, standard input says what to do
        folder: PathBuf,
    },
    /// Become the program of a `run` step
    #[command(name = actions::LEASH, hide = true)]
    Leash {
        /// The program and its arguments
        #[arg(required = true, last = true)]
        argv: Vec<OsString>,
    },
}

/// Does it.
pub(super) fn run(internal: Internal) -> ExitCode {
    let done = match internal {
        Internal::Supervise { folder } => supervise(folder),
        Internal::Leash { argv } => actions::become_program(&argv),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn supervise(folder: PathBuf) -> io::Result<()> {
    // A session of its own: what ends a terminal or its programs doesn't reach it.
    rustix::process::setsid()?;
    let mut specification = Vec::new();
    io::stdin().read_to_end(&mut specification)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(actions::supervise(folder, &specification))
}
