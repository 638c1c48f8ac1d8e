//! `midwatch store copy FROM TO`: moves an installation to PostgreSQL.

use clap::Subcommand;

use super::{Exit, say, say_error};
use crate::config::Settings;
use crate::store::{StoreError, StoreSettings, copy};

#[derive(Subcommand)]
pub(super) enum StoreCommand {
    /// Copy everything to an empty PostgreSQL, and verify the ledger on both sides
    Copy {
        /// Where the facts are: sqlite:midwatch-data/midwatch.db
        from: String,
        /// Where they go: postgres://USER:PASSWORD@HOST:PORT/DATABASE
        to: String,
    },
}

pub(super) async fn run(settings: &Settings, command: StoreCommand) -> anyhow::Result<Exit> {
    let StoreCommand::Copy { from, to } = command;
    let side = |url: String| StoreSettings {
        url,
        data: settings.data.clone(),
    };
    let (from, to) = (side(from), side(to));
    let copied = copy(&from, &to, |table, rows| {
        say(&format!("{table:<12} {rows:>8} rows"));
    });
    match copied.await {
        Ok(report) => {
            say(&format!(
                "both ledgers are {report}next: set DATABASE_URL to the new database and start midwatch with the same \
                 MIDWATCH_DATA ({}): its key and its sealed checkpoint belong to this ledger; keep the old database until \
                 you have seen the new one work",
                settings.data.display()
            ));
            Ok(Exit::Done)
        }
        Err(why) => {
            say_error(&format!("nothing was copied: {why}"));
            Ok(match why {
                StoreError::InUse(_) | StoreError::Unavailable(_) => Exit::Unreachable,
                _ => Exit::Failed,
            })
        }
    }
}
