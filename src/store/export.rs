//! The ledger to take away, and the ledger in place: both are read in one snapshot.

use std::io::Write;

use super::checkpoint::SEAL_FILE;
use super::db::{Db, sql};
use super::ledger::{Row, read_tree, rows_from};
use super::newer::Kinds;
use super::timeline::PlacedCheck;
use super::verify::{Checker, Report};
use super::{Store, StoreError};
use crate::domain::Checkpoint;

/// Lines read at once.
const PAGE: i64 = 2_000;

impl Store {
    /// Writes the ledger: an entry a line, and a last line `{"checkpoint": NOTE}` over exactly these.
    /// Answers how many are of kinds that this version does not know.
    pub async fn export(&self, mut out: impl Write) -> Result<u64, StoreError> {
        let gone = |error: std::io::Error| StoreError::Unavailable(format!("the export: {error}"));
        let signer = self.signer()?;
        let mut snapshot = self.reader().await?.snapshot().await?;
        let tree = read_tree(&mut snapshot).await?;
        let (mut kinds, mut unread) = (Kinds::default(), 0);
        each_row(&mut snapshot, |(_, _, line)| {
            unread += u64::from(!kinds.knows(line.as_bytes()));
            writeln!(out, "{line}").map_err(gone)
        })
        .await?;
        let note = signer.sign(tree.size(), tree.root());
        writeln!(out, "{}", serde_json::json!({ "checkpoint": note })).map_err(gone)?;
        out.flush().map_err(gone)?;
        Ok(unread)
    }

    /// Verifies the ledger in place: against the columns that repeat what its entries say, its tree, every kept
    /// checkpoint, the sealed head, and notes as they were posted in threads.
    pub async fn verify(&self, witnesses: &[String]) -> Result<Report, StoreError> {
        let key = self.signer()?.public().clone();
        // Read before the snapshot begins: a head that is sealed meanwhile would be ahead of it.
        let seal = std::fs::read_to_string(self.data().join(SEAL_FILE));
        let mut snapshot = self.reader().await?.snapshot().await?;
        let tree = read_tree(&mut snapshot).await;
        let mut checker = Checker::new(Some(key), witnesses);
        for (size, note) in kept_notes(&mut snapshot).await? {
            let name = format!("the checkpoint kept for size {size}");
            match Checkpoint::parse(&note) {
                Ok(found) if found.size.cast_signed() != size => {
                    checker.find(format!("{name} is of size {}", found.size));
                }
                _ => checker.witness(name, &note),
            }
        }
        match seal {
            Ok(note) => checker.witness("the sealed head".to_owned(), &note),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => checker.find(format!("the sealed head can't be read: {error}")),
        }
        let mut placed = PlacedCheck::begin(&mut snapshot).await?;
        each_row(&mut snapshot, |(sequence, run, line)| {
            checker.entry(line.as_bytes());
            checker.columns(*sequence, run.as_deref(), line);
            placed.entry(*sequence, line);
            Ok(())
        })
        .await?;
        let misplaced = placed.finish(&mut snapshot).await?;
        // Of kinds that it does not know this version can't say where they belong.
        if let Some(finding) = misplaced.filter(|_| checker.knows_all()) {
            checker.find(finding);
        }
        match tree {
            Ok(tree) if tree == *checker.tree() => {}
            Ok(tree) => checker.find(format!(
                "the tree kept beside the ledger is of {} entries, or of others; {} are there",
                tree.size(),
                checker.tree().size()
            )),
            Err(error) => checker.find(error.to_string()),
        }
        Ok(checker.finish())
    }
}

async fn kept_notes(db: &mut Db) -> Result<Vec<(i64, String)>, StoreError> {
    sql("select size, note from checkpoints order by size desc")
        .all(db)
        .await
}

/// Every row in order. Gaps in the rows are not filled: the lines' own numbers give them away.
async fn each_row(
    db: &mut Db,
    mut take: impl FnMut(&Row) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut next = 0;
    loop {
        let rows = rows_from(db, next, PAGE).await?;
        let Some((last, ..)) = rows.last() else {
            return Ok(());
        };
        next = last + 1;
        for row in &rows {
            take(row)?;
        }
    }
}
