//! Checkpoints: the key that signs them, the notes that are kept, and the sealed head outside the database.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::fault::file_fault;
use super::ledger::read_tree;
use super::writer::Group;
use super::{Store, StoreError};
use crate::domain::NoteSigner;

/// The private key of the ledger, readable by its owner only.
pub(super) const KEY_FILE: &str = "ledger.key";
/// The public key, for those who verify.
pub(super) const PUBLIC_FILE: &str = "ledger.pub";
/// The newest checkpoint, outside the database.
pub(super) const SEAL_FILE: &str = "checkpoint";

/// Reads the ledger's key.
pub(super) fn read_key(data: &Path) -> Result<Option<NoteSigner>, StoreError> {
    let path = data.join(KEY_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => NoteSigner::parse(&text).map(Some).map_err(|error| {
            StoreError::Corrupt(format!(
                "{}: {error}; restore it from a backup",
                path.display()
            ))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::Unavailable(format!(
            "{}: {error}",
            path.display()
        ))),
    }
}

/// Makes the ledger's key, durably, before anything is signed with it.
pub(super) fn make_key(data: &Path) -> Result<NoteSigner, StoreError> {
    let id = HEXLOWER.encode(&rand::random::<[u8; 8]>());
    let signer = NoteSigner::new(&format!("midwatch/{id}"), &rand::random());
    let path = data.join(KEY_FILE);
    replace(&path, &signer.file_text(), 0o600).map_err(|error| file_fault(&path, &error))?;
    Ok(signer)
}

/// Puts the public key beside the private one, where it is missing or another.
pub(super) fn publish_key(data: &Path, signer: &NoteSigner) -> Result<(), StoreError> {
    let path = data.join(PUBLIC_FILE);
    let text = format!("{}\n", signer.public());
    if fs::read_to_string(&path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    replace(&path, &text, 0o644).map_err(|error| file_fault(&path, &error))
}

/// Writes a file whole or not at all: write, fsync, rename, fsync of the folder.
fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let draft = path.with_extension("new");
    fs::remove_file(&draft).ok(); // A draft of a process that died; usually there is none.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Seals the newest checkpoint outside the database.
pub(super) async fn seal(path: PathBuf, note: String) -> Result<(), StoreError> {
    let sealing = move || replace(&path, &note, 0o644).map_err(|error| file_fault(&path, &error));
    tokio::task::spawn_blocking(sealing)
        .await
        .unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
}

/// Signs the ledger as it is in this transaction, and keeps the note.
pub(super) async fn keep_checkpoint(
    group: &mut Group,
    now: Timestamp,
) -> Result<String, StoreError> {
    let (size, root) = group.ledger.head();
    let note = group.signer.sign(size, root);
    sqlx::query(
        "insert into checkpoints (size, note, at) values ($1, $2, $3) on conflict (size) do nothing",
    )
    .bind(size.cast_signed())
    .bind(&note)
    .bind(now.as_millisecond())
    .execute(&mut group.db)
    .await?;
    Ok(note)
}

/// The newest kept note.
pub(super) async fn newest_note(db: &mut SqliteConnection) -> Result<Option<String>, StoreError> {
    let note = sqlx::query_scalar("select note from checkpoints order by size desc limit 1");
    Ok(note.fetch_optional(db).await?)
}

impl Store {
    /// Signs the ledger as it is now: a C2SP signed note. A store that was opened for reading keeps no copy of it.
    pub async fn checkpoint(&self, now: Timestamp) -> Result<String, StoreError> {
        if let Ok(writer) = self.writer() {
            return writer
                .write(move |group| Box::pin(keep_checkpoint(group, now)))
                .await;
        }
        let mut db = self.readers().acquire().await?;
        let tree = read_tree(&mut db).await?;
        Ok(self.signer()?.sign(tree.size(), tree.root()))
    }

    /// The public key that checkpoints are verified with: `name+id+base64`.
    pub fn public_key(&self) -> Result<String, StoreError> {
        Ok(self.signer()?.public().to_string())
    }
}
