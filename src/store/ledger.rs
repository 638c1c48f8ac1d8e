//! The ledger: lines that wait for the group's commit, the Merkle tree over all lines, and what is read back.

use super::db::{Db, Engine, sql};
use super::fault::{read_json, write_json};
use super::timeline::timeline_of;
use super::{History, Store, StoreError};
use crate::domain::{Fact, Frontier, Hash, RunId, canonical_json, leaf_hash};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::Serialize;

/// Entries that opening hashes again to compare them with the tree.
const CHECKED_ON_OPENING: u64 = 1_024;

/// The end of the ledger, in memory: what is committed, and the rows of the group that is not.
pub(super) struct LedgerEnd {
    tree: Frontier,
    rows: Vec<LedgerRow>,
    happenings: Vec<HappeningRow>,
    last: Option<Seen>,
}

/// An entry that was there: while it is, nothing before it is missing.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) sequence: u64,
    pub(super) leaf: Hash,
}

/// A fact in its canonical form, before it has a place in the ledger.
pub(super) struct FactLine {
    /// What the fact itself says; `verify` holds the column to it.
    run: Option<String>,
    /// Whose timeline tells of it: what `Concerns` says, as `happenings` has it.
    project: Option<String>,
    json: String,
}

impl FactLine {
    pub(super) fn new(fact: &Fact) -> Self {
        let value = serde_json::to_value(fact).expect("a fact has only string keys");
        Self {
            run: value["run"].as_str().map(str::to_owned),
            project: timeline_of(fact).map(str::to_owned),
            json: canonical_json(&value),
        }
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
    happenings: usize,
    last: Option<Seen>,
}

#[derive(Serialize)]
struct LedgerRow {
    sequence: u64,
    run: Option<String>,
    line: String,
}

/// A row of `happenings`.
#[derive(Serialize)]
pub(super) struct HappeningRow {
    pub(super) project: String,
    pub(super) at: i64,
    pub(super) sequence: u64,
}

impl LedgerEnd {
    /// Reads the tree, and refuses one that does not agree with the last entries.
    pub(super) async fn load(db: &mut Db) -> Result<Self, StoreError> {
        let tree = read_tree(db).await?;
        let (last,): (Option<i64>,) = sql("select max(sequence) from ledger").one(db).await?;
        let size = last.map_or(0, |last| last.unsigned_abs() + 1);
        if size != tree.size() {
            return Err(StoreError::Corrupt(format!(
                "the ledger ends after {size} entries, its tree after {}; run `midwatch ledger verify`",
                tree.size()
            )));
        }
        let last = check_last_entries(db, &tree).await?;
        Ok(Self {
            tree,
            rows: Vec::new(),
            happenings: Vec::new(),
            last,
        })
    }

    /// Adds an entry to the group.
    pub(super) fn append(&mut self, fact: &FactLine, now: Timestamp) {
        let sequence = self.tree.size();
        let line = fact.line(sequence, now);
        let leaf = leaf_hash(line.as_bytes());
        self.tree.push(leaf);
        self.last = Some(Seen { sequence, leaf });
        self.happenings
            .extend(fact.project.clone().map(|project| HappeningRow {
                project,
                at: now.as_millisecond(),
                sequence,
            }));
        self.rows.push(LedgerRow {
            sequence,
            run: fact.run.clone(),
            line,
        });
    }

    /// How many entries there are, and their root: those of the group included.
    pub(super) fn head(&self) -> (u64, Hash) {
        (self.tree.size(), self.tree.root())
    }

    /// The last entry that we know of.
    pub(super) fn seen(&self) -> Option<&Seen> {
        self.last.as_ref()
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            tree: self.tree.clone(),
            rows: self.rows.len(),
            happenings: self.happenings.len(),
            last: self.last.clone(),
        }
    }

    /// Forgets what came after the mark.
    pub(super) fn roll_back(&mut self, mark: Mark) {
        self.tree = mark.tree;
        self.rows.truncate(mark.rows);
        self.happenings.truncate(mark.happenings);
        self.last = mark.last;
    }

    /// Writes the group's lines and the tree, and commits: one call, because each costs two switches of threads.
    pub(super) async fn commit(&mut self, db: &mut Db) -> Result<(), StoreError> {
        let Some(first) = self.rows.first() else {
            return match db.engine() {
                Engine::Sqlite(_) => db.run("commit").await,
                // Its commit of a broken transaction is a rollback that looks well.
                Engine::Postgres(_) => db.run("select 1; commit").await,
            };
        };
        let first = first.sequence.cast_signed();
        let (rows, nodes) = (write_json(&self.rows), write_nodes(&self.tree));
        let size = self.tree.size().cast_signed();
        let statement = match db.engine() {
            Engine::Sqlite(_) => sql(
                "insert into ledger (sequence, run, line)
                 select value ->> 'sequence', value ->> 'run', value ->> 'line' from json_each($1);
                 insert into happenings (project, at, sequence)
                 select value ->> 'project', value ->> 'at', value ->> 'sequence' from json_each($5);
                 update tree set size = $2, nodes = $3, placed = case when placed = $4 then $2 else placed end
                 where id = 1;
                 commit",
            ),
            Engine::Postgres(_) => sql(
                "with added as (
                     insert into ledger (sequence, run, line)
                     select (value ->> 'sequence')::bigint, value ->> 'run', value ->> 'line' from json_each($1)),
                 happened as (
                     insert into happenings (project, at, sequence)
                     select value ->> 'project', (value ->> 'at')::bigint, (value ->> 'sequence')::bigint
                     from json_each($5))
                 update tree set size = $2, nodes = $3, placed = case when placed = $4 then $2 else placed end
                 where id = 1",
            ),
        };
        // A version that places nothing may have written before us: then what it wrote is placed first, and ours again.
        statement
            .bind(rows)
            .bind(size)
            .bind(nodes)
            .bind(first)
            .bind(write_json(&self.happenings))
            .execute(db)
            .await?;
        if let Engine::Postgres(_) = db.engine() {
            // Other replicas hear it when it is committed.
            db.run("select pg_notify('midwatch', ''); commit").await?;
        }
        self.rows.clear();
        self.happenings.clear();
        Ok(())
    }

    /// On an engine where others append too: goes on from the tree as it is under this transaction's lock.
    pub(super) fn follow(&mut self, size: i64, nodes: &str) -> Result<(), StoreError> {
        if let Some(last) = &self.last
            && size.cast_unsigned() <= last.sequence
        {
            return Err(StoreError::Unavailable(format!(
                "ledger entry {} is not there any more; the next try looks into it",
                last.sequence
            )));
        }
        self.tree = parse_tree(size, nodes)?;
        self.rows.clear();
        self.happenings.clear();
        Ok(())
    }
}

fn write_nodes(tree: &Frontier) -> String {
    let nodes: Vec<String> = tree.nodes().iter().map(|n| HEXLOWER.encode(n)).collect();
    write_json(&nodes)
}

/// Reads the tree as it is committed.
pub(super) async fn read_tree(db: &mut Db) -> Result<Frontier, StoreError> {
    let (size, nodes): (i64, String) = sql("select size, nodes from tree where id = 1")
        .one(db)
        .await?;
    parse_tree(size, &nodes)
}

fn parse_tree(size: i64, nodes: &str) -> Result<Frontier, StoreError> {
    let nodes: Vec<String> = read_json("the ledger's tree", nodes)?;
    let nodes: Option<Vec<Hash>> = nodes
        .iter()
        .map(|node| HEXLOWER.decode(node.as_bytes()).ok()?.try_into().ok())
        .collect();
    nodes
        .and_then(|nodes| Frontier::from_parts(size.cast_unsigned(), nodes))
        .ok_or_else(|| StoreError::Corrupt("the ledger's tree has the wrong shape".to_owned()))
}

/// Hashes the last entries again: they are the leaves of the tree's smallest subtrees. Where the smallest is of more
/// than [`CHECKED_ON_OPENING`], nothing is compared: a start must not take longer the more there is.
async fn check_last_entries(db: &mut Db, tree: &Frontier) -> Result<Option<Seen>, StoreError> {
    let Some(last) = tree.size().checked_sub(1) else {
        return Ok(None);
    };
    let tail = match tree.size() % CHECKED_ON_OPENING {
        0 => 1 << tree.size().trailing_zeros(),
        tail => tail,
    };
    let compared = tail <= CHECKED_ON_OPENING;
    let first = if compared { tree.size() - tail } else { last };
    let rows = rows_from(db, first.cast_signed(), CHECKED_ON_OPENING.cast_signed()).await?;
    let mut again = Frontier::new();
    for (_, _, line) in &rows {
        again.push(leaf_hash(line.as_bytes()));
    }
    let smallest = tree.nodes().len() - tail.count_ones() as usize;
    if !compared || (rows.len() as u64 == tail && again.nodes() == &tree.nodes()[smallest..]) {
        return Ok(rows.last().map(|(_, _, line)| Seen {
            sequence: last,
            leaf: leaf_hash(line.as_bytes()),
        }));
    }
    Err(StoreError::Corrupt(format!(
        "the ledger's entries from {first} on do not agree with its tree; run `midwatch ledger verify`"
    )))
}

/// A row as it stands in the table: its sequence, its run, its line.
pub(super) type Row = (i64, Option<String>, String);

/// Rows from a sequence on, in order.
pub(super) async fn rows_from(db: &mut Db, first: i64, limit: i64) -> Result<Vec<Row>, StoreError> {
    sql("select sequence, run, line from ledger where sequence >= $1 order by sequence limit $2")
        .bind(first)
        .bind(limit)
        .all(db)
        .await
}

impl Store {
    /// Lines of the ledger from a sequence on, in order, each the canonical JSON of its entry.
    pub async fn ledger_lines(&self, from: u64, limit: u32) -> Result<Vec<String>, StoreError> {
        let mut db = self.reader().await?;
        let rows = rows_from(&mut db, from.cast_signed(), i64::from(limit)).await?;
        Ok(rows.into_iter().map(|(_, _, line)| line).collect())
    }

    /// Ledger entries of a run, oldest first: what was decided and what happened.
    pub async fn history(&self, run: RunId) -> Result<History, StoreError> {
        let lines: Vec<(String,)> = sql("select line from ledger where run = $1 order by sequence")
            .bind(run.to_string())
            .all(&mut self.reader().await?)
            .await?;
        let mut history = History::default();
        for (line,) in &lines {
            match read_json("a ledger entry", line) {
                Ok(entry) => history.entries.push(entry),
                Err(StoreError::Newer(_)) => history.unread += 1,
                Err(fault) => return Err(fault),
            }
        }
        Ok(history)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Entry;

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
