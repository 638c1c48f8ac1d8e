//! Checkpoints: the key that signs them, the notes that are kept, and the sealed head outside the database.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::db::{Db, sql};
use super::fault::file_fault;
use super::ledger::read_tree;
use super::writer::{Group, begin};
use super::{Store, StoreError};
use crate::domain::NoteSigner;
use crate::planted::crash;
use data_encoding::HEXLOWER;
use jiff::Timestamp;

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

/// Reads the ledger's key, or makes it. It is made for an empty ledger only: a second key would leave old checkpoints
/// unproven. All replicas sign with the same one; the database knows which.
pub(super) async fn open_key(data: &Path, db: &mut Db) -> Result<NoteSigner, StoreError> {
    begin(db).await?;
    let known: Option<(String,)> = sql("select public from ledger_key where id = 1")
        .optional(db)
        .await?;
    let path = data.join(KEY_FILE);
    let signer = match (read_key(data)?, &known) {
        (Some(found), Some((known,))) if found.public().to_string() != *known => {
            return Err(StoreError::Corrupt(format!(
                "{} is not the key of this database's ledger ({known}); replicas share one: copy ledger.key from the \
                 folder of the first, or restore key and database from one backup",
                path.display()
            )));
        }
        (Some(found), _) => found,
        (None, None) => make_key(&path)?,
        (None, Some((known,))) => {
            return Err(StoreError::Corrupt(format!(
                "{} is missing, and the database's ledger is signed with it ({known}); copy ledger.key from the folder \
                 of the first replica, or restore it from a backup",
                path.display()
            )));
        }
    };
    sql("insert into ledger_key (id, public) values (1, $1) on conflict (id) do nothing")
        .bind(signer.public().to_string())
        .execute(db)
        .await?;
    db.run("commit").await?;
    publish_key(data, &signer)?;
    Ok(signer)
}

/// Makes the ledger's key, durably, before anything is signed with it.
fn make_key(path: &Path) -> Result<NoteSigner, StoreError> {
    let id = HEXLOWER.encode(&rand::random::<[u8; 8]>());
    let signer = NoteSigner::new(&format!("midwatch/{id}"), &rand::random());
    replace(path, &signer.file_text(), 0o600).map_err(|error| file_fault(path, &error))?;
    Ok(signer)
}

/// Puts the public key beside the private one, where it is missing or another.
fn publish_key(data: &Path, signer: &NoteSigner) -> Result<(), StoreError> {
    let path = data.join(PUBLIC_FILE);
    let text = format!("{}\n", signer.public());
    if fs::read_to_string(&path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    replace(&path, &text, 0o644).map_err(|error| file_fault(&path, &error))
}

/// Writes a file whole or not at all: write, fsync, rename, fsync of the folder. What could not be finished is not left.
pub(super) fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let draft = path.with_extension("new");
    fs::remove_file(&draft).ok(); // A draft of a process that died; usually there is none.
    let written = write_new(&draft, text, mode).and_then(|()| {
        crash("file.drafted");
        fs::rename(&draft, path)
    });
    if written.is_err() {
        fs::remove_file(&draft).ok();
    }
    written?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
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
    sql("insert into checkpoints (size, note, at) values ($1, $2, $3) on conflict (size) do nothing")
    .bind(size.cast_signed())
    .bind(&note)
    .bind(now.as_millisecond())
    .execute(&mut group.db)
    .await?;
    Ok(note)
}

/// The newest kept note.
pub(super) async fn newest_note(db: &mut Db) -> Result<Option<String>, StoreError> {
    let note: Option<(String,)> = sql("select note from checkpoints order by size desc limit 1")
        .optional(db)
        .await?;
    Ok(note.map(|(note,)| note))
}

impl Store {
    /// Signs the ledger as it is now: a C2SP signed note. A store that was opened for reading keeps no copy of it.
    pub async fn checkpoint(&self, now: Timestamp) -> Result<String, StoreError> {
        if let Ok(writer) = self.writer() {
            return writer
                .write(move |group| Box::pin(keep_checkpoint(group, now)))
                .await;
        }
        let tree = read_tree(&mut self.reader().await?).await?;
        Ok(self.signer()?.sign(tree.size(), tree.root()))
    }

    /// The public key that checkpoints are verified with: `name+id+base64`.
    pub fn public_key(&self) -> Result<String, StoreError> {
        Ok(self.signer()?.public().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_can_not_be_put_in_place_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        fs::create_dir_all(path.join("in the way")).unwrap();
        assert!(replace(&path, "text", 0o644).is_err());
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
