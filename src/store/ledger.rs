//! The ledger: lines that wait for the group's commit, the Merkle tree over all lines, and what is read back.

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::Serialize;
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::fault::{read_json, write_json};
use super::{Store, StoreError};
use crate::domain::{Entry, Fact, Frontier, Hash, RunId, canonical_json, leaf_hash};

/// Entries that opening hashes again to compare them with the tree.
const CHECKED_ON_OPENING: u64 = 1_024;

/// The end of the ledger, in memory: what is committed, and the rows of the group that is not.
pub(super) struct LedgerEnd {
    tree: Frontier,
    rows: Vec<LedgerRow>,
}

/// A fact in its canonical form, before it has a place in the ledger.
pub(super) struct FactLine {
    run: Option<RunId>,
    json: String,
}

impl FactLine {
    pub(super) fn new(fact: &Fact) -> Self {
        let run = match fact {
            Fact::Run { run, .. } => Some(*run),
            Fact::Decided { run, .. } => *run,
            Fact::Received { .. }
            | Fact::Refused { .. }
            | Fact::Answered { .. }
            | Fact::CatalogLoaded { .. }
            | Fact::CatalogKept { .. }
            | Fact::Service { .. } => None,
        };
        let value = serde_json::to_value(fact).expect("a fact has only string keys");
        let json = canonical_json(&value);
        Self { run, json }
    }

    /// The canonical JSON of the whole [`Entry`]: its keys are in order.
    fn line(&self, sequence: u64, now: Timestamp) -> String {
        let at = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        format!(
            r#"{{"at":"{at}","fact":{},"sequence":{sequence}}}"#,
            self.json
        )
    }
}

/// Where a savepoint began.
pub(super) struct Mark {
    tree: Frontier,
    rows: usize,
}

#[derive(Serialize)]
struct LedgerRow {
    sequence: u64,
    run: Option<RunId>,
    line: String,
}

impl LedgerEnd {
    /// Reads the tree, and refuses one that does not agree with the last entries.
    pub(super) async fn load(db: &mut SqliteConnection) -> Result<Self, StoreError> {
        let tree = read_tree(&mut *db).await?;
        let last: Option<i64> = sqlx::query_scalar("select max(sequence) from ledger")
            .fetch_one(&mut *db)
            .await?;
        let size = last.map_or(0, |last| last.unsigned_abs() + 1);
        if size != tree.size() {
            return Err(StoreError::Corrupt(format!(
                "the ledger ends after {size} entries, its tree after {}; run `midwatch ledger verify`",
                tree.size()
            )));
        }
        check_last_entries(db, &tree).await?;
        let rows = Vec::new();
        Ok(Self { tree, rows })
    }

    /// Adds an entry to the group.
    pub(super) fn append(&mut self, fact: &FactLine, now: Timestamp) {
        let sequence = self.tree.size();
        let line = fact.line(sequence, now);
        self.tree.push(leaf_hash(line.as_bytes()));
        self.rows.push(LedgerRow {
            sequence,
            run: fact.run,
            line,
        });
    }

    /// How many entries there are, and their root: those of the group included.
    pub(super) fn head(&self) -> (u64, Hash) {
        (self.tree.size(), self.tree.root())
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            tree: self.tree.clone(),
            rows: self.rows.len(),
        }
    }

    /// Forgets what came after the mark.
    pub(super) fn roll_back(&mut self, mark: Mark) {
        self.tree = mark.tree;
        self.rows.truncate(mark.rows);
    }

    /// Writes the group's lines and the tree, and commits: one call, because each costs two switches of threads.
    pub(super) async fn commit(&mut self, db: &mut SqliteConnection) -> Result<(), StoreError> {
        if self.rows.is_empty() {
            sqlx::query("commit").execute(db).await?;
            return Ok(());
        }
        let nodes: Vec<String> = self
            .tree
            .nodes()
            .iter()
            .map(|n| HEXLOWER.encode(n))
            .collect();
        sqlx::query(
            "insert into ledger (sequence, run, line)
             select value ->> 'sequence', value ->> 'run', value ->> 'line' from json_each($1);
             update tree set size = $2, nodes = $3 where id = 1;
             commit",
        )
        .bind(write_json(&self.rows))
        .bind(self.tree.size().cast_signed())
        .bind(write_json(&nodes))
        .execute(db)
        .await?;
        self.rows.clear();
        Ok(())
    }
}

/// Reads the tree as it is committed.
pub(super) async fn read_tree(db: &mut SqliteConnection) -> Result<Frontier, StoreError> {
    let row = sqlx::query("select size, nodes from tree where id = 1")
        .fetch_one(db)
        .await?;
    let nodes: Vec<String> = read_json("the ledger's tree", row.try_get("nodes")?)?;
    let nodes: Option<Vec<Hash>> = nodes
        .iter()
        .map(|node| HEXLOWER.decode(node.as_bytes()).ok()?.try_into().ok())
        .collect();
    let size = row.try_get::<i64, _>("size")?.cast_unsigned();
    nodes
        .and_then(|nodes| Frontier::from_parts(size, nodes))
        .ok_or_else(|| StoreError::Corrupt("the ledger's tree has the wrong shape".to_owned()))
}

/// Hashes the last entries again: they are the leaves of the tree's smallest subtrees.
async fn check_last_entries(db: &mut SqliteConnection, tree: &Frontier) -> Result<(), StoreError> {
    let tail = tree.size() % CHECKED_ON_OPENING;
    let first = tree.size() - tail;
    let rows = rows_from(db, first.cast_signed(), CHECKED_ON_OPENING.cast_signed()).await?;
    let mut again = Frontier::new();
    for (_, line) in &rows {
        again.push(leaf_hash(line.as_bytes()));
    }
    let smallest = tree.nodes().len() - tail.count_ones() as usize;
    if rows.len() as u64 == tail && again.nodes() == &tree.nodes()[smallest..] {
        return Ok(());
    }
    Err(StoreError::Corrupt(format!(
        "the ledger's entries from {first} on do not agree with its tree; run `midwatch ledger verify`"
    )))
}

/// Rows from a sequence on, in order: sequence and line.
pub(super) async fn rows_from(
    db: &mut SqliteConnection,
    first: i64,
    limit: i64,
) -> Result<Vec<(i64, String)>, StoreError> {
    let rows = sqlx::query_as(
        "select sequence, line from ledger where sequence >= $1 order by sequence limit $2",
    )
    .bind(first)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows)
}

pub(super) async fn history(readers: &SqlitePool, run: RunId) -> Result<Vec<Entry>, StoreError> {
    let lines: Vec<String> =
        sqlx::query_scalar("select line from ledger where run = $1 order by sequence")
            .bind(run.to_string())
            .fetch_all(readers)
            .await?;
    lines
        .iter()
        .map(|line| read_json("a ledger entry", line))
        .collect()
}

impl Store {
    /// Ledger entries of a run, oldest first: what was decided and what happened.
    pub async fn history(&self, run: RunId) -> Result<Vec<Entry>, StoreError> {
        history(self.readers(), run).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_canonical_json_of_its_entry() {
        let fact = Fact::Service {
            now: "started \"now\"\n".to_owned(),
            version: "1".to_owned(),
        };
        let entry = Entry {
            sequence: 7,
            at: Timestamp::from_millisecond(1_790_000_000_120).unwrap(),
            fact: fact.clone(),
        };
        assert_eq!(
            FactLine::new(&fact).line(entry.sequence, entry.at),
            canonical_json(&serde_json::to_value(&entry).unwrap())
        );
    }
}
