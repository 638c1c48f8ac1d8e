//! Subcommands, wiring, startup, shutdown, exit codes. The only module that knows all the others.

mod app;
mod check;
mod commits;
mod doctor;
mod factor;
mod ledger;
mod may;
mod past;
mod preview;
mod remote;
mod rules_told;
mod run;
mod serve;
mod stages;
mod store;
mod supervise;
mod token;
mod tryout;
mod why;

pub mod sample_shop;

use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Settings};

/// How a subcommand ended; the numbers are fixed, scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// The command failed or was refused.
    Failed = 1,
    /// Wrong usage, or invalid files or settings.
    Invalid = 2,
    /// The server can't be reached.
    Unreachable = 3,
}

#[derive(Parser)]
#[command(
    name = "midwatch",
    version,
    about = "A chat-ops bot: typed commands, a runbook per project that decides, a thread that is the audit trail.",
    after_help = "Begin with `midwatch try`: the whole product with sample projects, no account anywhere.\n\
                  Settings come from the environment, or from midwatch.env; `midwatch doctor` shows them.\n\
                  Exit codes: 0 done, 1 failed or refused, 2 wrong usage or invalid files, 3 server can't be reached."
)]
struct Arguments {
    #[command(subcommand)]
    command: Given,
}

#[derive(Subcommand)]
enum Given {
    #[command(flatten)]
    Typed(Command),
    #[command(flatten)]
    Internal(supervise::Internal),
}

#[derive(Subcommand)]
enum Command {
    /// Try the whole product in this terminal: sample projects, embedded database, no account
    Try,
    /// Serve chat platforms and HTTP until told to stop
    Serve,
    /// Check commands and runbooks: every mistake, what hurts at night, and the runbooks' examples
    Check {
        /// Folder that holds `commands/` and `runbooks/` [default: the settings' folders]
        dir: Option<PathBuf>,
        /// Warnings fail the check too
        #[arg(long)]
        strict: bool,
        /// Print the JSON Schema of a kind of file instead: command, runbook or people
        #[arg(long, value_name = "KIND")]
        schema: Option<String>,
    },
    /// Say what the runbook would decide, without running anything
    May {
        /// Who would type it: a person of people.yaml
        #[arg(long = "as", value_name = "PERSON")]
        person: String,
        /// What they would type, quoted: 'flush-cache prod'
        says: String,
        /// When: 03:00, 2026-11-20T03:00Z or 2026-11-20T03:00+01:00[Europe/Berlin] [default: now]
        #[arg(long)]
        at: Option<String>,
        /// The channel they would type it in; it may imply the project [default: that of the project with the most rules]
        #[arg(long = "in", value_name = "CHANNEL")]
        channel: Option<String>,
    },
    /// Say which rule decided on a run, and who consented
    Why {
        /// The run's reference: 7f3k
        run: String,
    },
    /// Tell a run in plain words: who, what, when, why, how it ended, who waited for what
    Summary {
        /// The run's reference: 7f3k
        run: String,
        /// How to write it
        #[arg(long, value_enum, default_value = "text")]
        format: past::Format,
    },
    /// Tell what happened to a project: runs, refusals, changed rules, who changed its files
    Timeline {
        /// The project's name: shop
        project: String,
        /// From when on: 3d, 2026-11-20 or 2026-11-20T03:00Z [default: from its beginning]
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// Only lines with these words
        #[arg(long, value_name = "WORDS")]
        about: Option<String>,
        /// Only what stands before: 2026-11-20, or what an export says at its end
        #[arg(long, value_name = "WHEN")]
        before: Option<String>,
        /// How to write it
        #[arg(long, value_enum, default_value = "text")]
        format: past::Format,
    },
    /// Show how messages look on each platform: every kind of them, or those of one run
    Preview {
        /// The run's reference: 7f3k [default: every kind, made from the runbooks' examples]
        run: Option<String>,
        /// On this platform alone: console, slack or discord
        #[arg(long, value_name = "PLATFORM")]
        on: Option<String>,
        /// Write a page that looks like the platforms, instead of printing
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Run a command at the server that you are logged in at, or here, and wait for its end
    Run {
        /// Here, as the person whose `login` is yours, whatever server there is
        #[arg(long)]
        local: bool,
        /// In this project; may be left out where the words or the token name one
        #[arg(long, value_name = "PROJECT", conflicts_with = "local")]
        project: Option<String>,
        /// Print one JSON line for each event, and for the run at its end
        #[arg(long, conflicts_with = "local")]
        json: bool,
        /// What you would type in chat: flush-cache prod
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Keep a token for a server, so that `midwatch run` asks it
    Login {
        /// Its address: https://midwatch.example
        server: String,
    },
    /// Export or verify the ledger
    Ledger {
        #[command(subcommand)]
        command: ledger::LedgerCommand,
    },
    /// Enrol authenticator apps, whose codes runbooks may want for what is of high risk
    Factor {
        #[command(subcommand)]
        command: factor::FactorCommand,
    },
    /// Move the facts to another database
    Store {
        #[command(subcommand)]
        command: store::StoreCommand,
    },
    /// Make, list and revoke tokens for the API
    Token {
        #[command(subcommand)]
        command: token::TokenCommand,
    },
    /// Show what is configured, what is reachable, what is missing and how to get it
    Doctor {
        /// Only ask the running server whether it is ready
        #[arg(long)]
        ready: bool,
    },
}

/// Runs the program.
pub fn main() -> ExitCode {
    let command = match Arguments::parse().command {
        Given::Typed(command) => command,
        Given::Internal(internal) => return supervise::run(internal),
    };
    // Two TLS providers in one process make libraries panic at their first connection: the first line chooses.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        say_error("the TLS provider was chosen before the program began");
        return ExitCode::from(Exit::Invalid as u8);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            say_error(&format!("no threads can be started: {error}"));
            return ExitCode::from(Exit::Failed as u8);
        }
    };
    let exit = runtime.block_on(run_command(command));
    // Blocking reads of a terminal can't be ended; they must not hold up the exit.
    runtime.shutdown_background();
    match exit {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => {
            say_error(&format!("{error:#}"));
            ExitCode::from(Exit::Failed as u8)
        }
    }
}

async fn run_command(command: Command) -> anyhow::Result<Exit> {
    let environment = config::environment();
    let environment = if matches!(command, Command::Try) {
        config::try_environment(environment)
    } else {
        environment
    };
    let file = config::settings_file(&environment, &std::env::current_dir()?);
    let settings = match Settings::read(&environment, file.as_deref()) {
        Ok(settings) => settings,
        Err(problems) => {
            for problem in problems {
                say_error(&problem);
            }
            return Ok(Exit::Invalid);
        }
    };
    match command {
        Command::Try => tryout::run(settings, environment).await,
        Command::Serve => serve::run(settings, environment).await,
        Command::Check {
            schema: Some(kind), ..
        } => Ok(check::print_schema(&kind)),
        Command::Check {
            dir,
            strict,
            schema: None,
        } => Ok(check::run(&settings, dir, strict)),
        Command::May {
            person,
            says,
            at,
            channel,
        } => Ok(may::run(
            &settings,
            &may::Question {
                person,
                says,
                at,
                channel,
            },
        )),
        Command::Why { run } => why::run(&settings, &run).await,
        Command::Summary { run, format } => past::summary(&settings, &run, format).await,
        Command::Timeline {
            project,
            since,
            about,
            before,
            format,
        } => {
            let question = past::Question {
                project,
                since,
                about,
                before,
                format,
            };
            past::timeline(&settings, &question).await
        }
        Command::Preview { run, on, html } => {
            preview::run(&settings, &preview::Question { run, on, html }).await
        }
        Command::Run {
            local,
            project,
            json,
            command,
        } => {
            let server = if local {
                None
            } else {
                remote::server(&settings, &environment)?
            };
            let Some(server) = server else {
                return run::run(settings, environment, &command).await;
            };
            let wanted = remote::Wanted {
                says: run::line(&command),
                project: project.as_deref(),
                json,
            };
            remote::run(&server, &wanted).await
        }
        Command::Login { server } => remote::login(&server, &environment).await,
        Command::Ledger { command } => ledger::run(&settings, command).await,
        Command::Factor { command } => factor::run(&settings, command).await,
        Command::Store { command } => store::run(&settings, command).await,
        Command::Token { command } => token::run(&settings, command).await,
        Command::Doctor { ready } => doctor::run(&settings, &environment, ready).await,
    }
}

/// Prints a line for the person at the terminal.
///
/// A reader that went away has read enough: `midwatch check | head` ends as `midwatch check` does. What can't be
/// written for another reason was not said, and no script may believe that it was.
pub(crate) fn say(line: &str) {
    match writeln!(std::io::stdout(), "{line}") {
        Err(why) if why.kind() != ErrorKind::BrokenPipe => {
            say_error(&format!("standard output: {why}"));
            std::process::exit(Exit::Failed as i32);
        }
        Ok(()) | Err(_) => {}
    }
}

/// Prints a line about what is wrong. What can't be written is lost: there is no other place to complain.
pub(crate) fn say_error(line: &str) {
    writeln!(std::io::stderr(), "midwatch: {line}").ok();
}
