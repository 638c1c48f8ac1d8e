//! `midwatch ledger export|verify|checkpoint`: the record, and the proof that nobody edited it.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;

use super::{Exit, say, say_error};
use crate::clock::Clock;
use crate::config::Settings;
use crate::store::verify::{Report, unread_in_words, verify_export};
use crate::store::{Store, StoreSettings};

#[derive(Subcommand)]
pub(super) enum LedgerCommand {
    /// Write every entry, a JSON line each, and the signed checkpoint as the last line
    Export {
        /// Where to [default: standard output]
        file: Option<PathBuf>,
    },
    /// Find changed, removed, reordered, inserted and cut entries
    Verify {
        /// An export; `-` reads standard input [default: the database in place]
        export: Option<PathBuf>,
        /// A file with a checkpoint copied from a thread; may be given several times
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
        /// A file with the public key [default: ledger.pub in the data folder]
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Print the signed checkpoint of the ledger as it is now
    Checkpoint,
}

pub(super) async fn run(settings: &Settings, command: LedgerCommand) -> anyhow::Result<Exit> {
    let store_settings = StoreSettings {
        url: settings.database_url.clone(),
        data: settings.data.clone(),
    };
    match command {
        LedgerCommand::Export { file } => export(&store_settings, file).await,
        LedgerCommand::Checkpoint => {
            let store = Store::open_read_only(&store_settings).await?;
            say(store.checkpoint(Clock::system().now()).await?.trim_end());
            Ok(Exit::Done)
        }
        LedgerCommand::Verify {
            export,
            checkpoint,
            key,
        } => {
            let witnesses = checkpoint
                .iter()
                .map(|path| read(path))
                .collect::<anyhow::Result<Vec<String>>>()?;
            let report = match export {
                None => {
                    let store = Store::open_read_only(&store_settings).await?;
                    store.verify(&witnesses).await?
                }
                Some(path) => {
                    let key = read(&key.unwrap_or_else(|| settings.data.join("ledger.pub")))?;
                    verify_file(&path, key.trim(), &witnesses)?
                }
            };
            Ok(tell(&report))
        }
    }
}

async fn export(settings: &StoreSettings, file: Option<PathBuf>) -> anyhow::Result<Exit> {
    let store = Store::open_read_only(settings).await?;
    let unread = match &file {
        Some(path) => {
            let mut out = BufWriter::new(
                File::create(path)
                    .with_context(|| format!("{} can't be written", path.display()))?,
            );
            let unread = store.export(&mut out).await?;
            out.flush()?;
            say_error(&format!(
                "exported; verify it with `midwatch ledger verify {}`",
                path.display()
            ));
            unread
        }
        None => store.export(&mut std::io::stdout()).await?,
    };
    if unread > 0 {
        say_error(&unread_in_words(unread));
    }
    Ok(Exit::Done)
}

fn verify_file(path: &Path, key: &str, witnesses: &[String]) -> anyhow::Result<Report> {
    let reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).with_context(|| format!("{} can't be read", path.display()))?)
    };
    Ok(verify_export(BufReader::new(reader), Some(key), witnesses)?)
}

fn tell(report: &Report) -> Exit {
    say(report.to_string().trim_end());
    if report.is_sound() {
        Exit::Done
    } else {
        Exit::Failed
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))
}
