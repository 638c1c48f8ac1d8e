//! What a project's timeline is made of: ledger entries through an index of their own, commits, and how runs stand.
//!
//! A page reads as many rows as it shows, however long the ledger is. The index is written with each entry; what a version
//! wrote that knew no index is placed afterwards, in order and in small pieces, beside everything else.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;
use sqlx::FromRow;

use super::db::{Db, sql};
use super::fault::{read_json, read_time, write_json};
use super::ledger::{HappeningRow, rows_from};
use super::writer::Group;
use super::{Store, StoreError};
use crate::domain::{
    Commit, Concerns, Entry, Fact, Outcome, PastRun, Position, ProjectName, Reference, RunId,
    leaf_hash,
};

/// What `happenings` calls every project.
const EVERY_PROJECT: &str = "*";
/// Entries that are placed under one lock: some ten milliseconds, for which no command notices the wait.
const PLACED_AT_ONCE: i64 = 1_000;

/// A page of a project's entries, newest first.
pub(super) const ENTRIES: &str =
    "select h.at, h.sequence, l.line from happenings h join ledger l on l.sequence = h.sequence
     where h.project = $1 and (h.at, h.sequence) < ($2, $3) and h.at >= $4
     order by h.at desc, h.sequence desc limit $5";
/// A page of a project's commits, newest first.
pub(super) const COMMITS: &str = "select at, hash, author, summary, files from commits
     where project = $1 and at <= $2 and (at < $2 or hash > $3) and at >= $4
     order by at desc, hash limit $5";
/// The latest runs of one command in one environment, newest first. As the index says it.
pub(super) const OF_TARGET: &str = "select reference, outcome, created_at, finished_at from runs
     where substr(same_target, 1, length(same_target) - 17) = $1 order by created_at desc, id limit $2";

/// Which part of a timeline is read; newest first.
#[derive(Debug, Clone)]
pub struct TimelineFilter {
    /// Whose.
    pub project: ProjectName,
    /// Only what stands before this.
    pub before: Position,
    /// Only what happened from then on.
    pub since: Option<Timestamp>,
    /// How many of each kind at the most.
    pub limit: u32,
}

/// What was read of a timeline.
#[derive(Debug, Clone, Default)]
pub struct TimelineRead {
    /// Entries of the project and of every project, newest first.
    pub entries: Vec<Entry>,
    /// Newest first.
    pub commits: Vec<Commit>,
    /// How the runs stand that the entries decided on.
    pub runs: BTreeMap<RunId, RunStanding>,
    /// How many entries there were besides, of kinds that this version does not know.
    pub unread: usize,
    /// Down to here everything was read, and before it there may be more; `None`: there is no more.
    pub down_to: Option<Position>,
    /// How many ledger entries are not placed yet: of them nothing is here.
    pub behind: u64,
    /// When git was last asked; `None`: not yet.
    pub git: Option<GitRead>,
}

/// What became of asking git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRead {
    /// When it was asked.
    pub at: Timestamp,
    /// Why it could not answer; `None`: it did.
    pub problem: Option<String>,
}

/// How a run stands, as far as a line says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunStanding {
    /// `None` while it is open, or where a newer version has a word of its own for it.
    pub outcome: Option<Outcome>,
    /// When its outcome was known.
    pub finished_at: Option<Timestamp>,
}

/// Whose timeline tells of a fact, as `happenings` has it.
pub(super) fn timeline_of(fact: &Fact) -> Option<&str> {
    match fact.concerns() {
        Concerns::Nothing => None,
        Concerns::Project(project) => Some(project.as_str()),
        Concerns::Everything => Some(EVERY_PROJECT),
    }
}

impl Store {
    /// Reads a part of a timeline, newest first.
    pub async fn timeline(&self, filter: &TimelineFilter) -> Result<TimelineRead, StoreError> {
        let mut db = self.reader().await?;
        let mut read = TimelineRead::default();
        let (behind,): (i64,) = sql("select size - placed from tree where id = 1")
            .one(&mut db)
            .await?;
        read.behind = behind.max(0).unsigned_abs();
        for whose in [filter.project.as_str(), EVERY_PROJECT] {
            read_entries(&mut db, whose, filter, &mut read).await?;
        }
        read.entries
            .sort_by_key(|entry| std::cmp::Reverse(Position::of_entry(entry)));
        read_commits(&mut db, filter, &mut read).await?;
        read.leave_out_what_has_gaps();
        read.runs = standings(&mut db, &read.entries).await?;
        read.git = git_read(&mut db).await?;
        Ok(read)
    }

    /// The latest runs of a command in one environment (`target_of`), newest first, whatever their other arguments.
    pub async fn runs_of_target(
        &self,
        target: &str,
        limit: u32,
    ) -> Result<Vec<PastRun>, StoreError> {
        let rows: Vec<TargetRow> = sql(OF_TARGET)
            .bind(target)
            .bind(i64::from(limit))
            .all(&mut self.reader().await?)
            .await?;
        rows.into_iter().map(TargetRow::run).collect()
    }

    /// Places some entries that were written by a version without the index. Answers how many are left; a look that finds
    /// none costs one row.
    pub async fn place_earlier(&self) -> Result<u64, StoreError> {
        let (behind,): (i64,) = sql("select size - placed from tree where id = 1")
            .one(&mut self.reader().await?)
            .await?;
        if behind <= 0 {
            return Ok(0);
        }
        self.writer()?
            .write(|group| Box::pin(place_some(group)))
            .await
    }

    /// Takes what git says of the projects' files in place of what it said before; or why it says nothing, and then what
    /// it said before stays.
    pub async fn record_commits(
        &self,
        read: Result<Vec<(ProjectName, Commit)>, String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.writer()?
            .write(move |group| Box::pin(async move { take_commits(group, &read, now).await }))
            .await
    }
}

impl TimelineRead {
    /// One of its sources may have more behind this.
    fn ends_at(&mut self, position: Position) {
        self.down_to = self.down_to.max(Some(position));
    }

    /// What stands before the end of one source would be told before what that source has there.
    fn leave_out_what_has_gaps(&mut self) {
        let Some(down_to) = self.down_to else { return };
        self.entries
            .retain(|entry| Position::of_entry(entry) >= down_to);
        self.commits
            .retain(|commit| Position::of_commit(commit) >= down_to);
    }
}

async fn read_entries(
    db: &mut Db,
    whose: &str,
    filter: &TimelineFilter,
    read: &mut TimelineRead,
) -> Result<(), StoreError> {
    let lines: Vec<(i64, i64, String)> = sql(ENTRIES)
        .bind(whose)
        .bind(filter.before.at_ms)
        .bind(filter.before.rank)
        .bind(since_ms(filter))
        .bind(i64::from(filter.limit))
        .all(db)
        .await?;
    if let Some((at_ms, rank, _)) = lines.last().filter(|_| is_full(lines.len(), filter)) {
        read.ends_at(Position {
            at_ms: *at_ms,
            rank: *rank,
        });
    }
    for (_, _, line) in &lines {
        match read_json("a ledger entry", line) {
            Ok(entry) => read.entries.push(entry),
            Err(StoreError::Newer(_)) => read.unread += 1,
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}

async fn read_commits(
    db: &mut Db,
    filter: &TimelineFilter,
    read: &mut TimelineRead,
) -> Result<(), StoreError> {
    let rows: Vec<(i64, String, String, String, String)> = sql(COMMITS)
        .bind(filter.project.as_str())
        .bind(filter.before.at_ms)
        .bind(filter.before.hashes_behind())
        .bind(since_ms(filter))
        .bind(i64::from(filter.limit))
        .all(db)
        .await?;
    let full = is_full(rows.len(), filter);
    for (at, hash, author, summary, files) in rows {
        read.commits.push(Commit {
            hash,
            at: read_time(at)?,
            author,
            summary,
            files: read_json("the files of a commit", &files)?,
        });
    }
    if let Some(last) = read.commits.last().filter(|_| full) {
        read.ends_at(Position::of_commit(last));
    }
    Ok(())
}

fn since_ms(filter: &TimelineFilter) -> i64 {
    filter.since.map_or(i64::MIN, Timestamp::as_millisecond)
}

fn is_full(rows: usize, filter: &TimelineFilter) -> bool {
    u32::try_from(rows).is_ok_and(|rows| rows >= filter.limit)
}

/// How the runs stand that these entries decided on.
async fn standings(
    db: &mut Db,
    entries: &[Entry],
) -> Result<BTreeMap<RunId, RunStanding>, StoreError> {
    let decided = entries.iter().filter_map(|entry| match &entry.fact {
        Fact::Decided { run: Some(run), .. } => Some(json!({ "id": run.to_string() })),
        _ => None,
    });
    let decided: Vec<_> = decided.collect();
    if decided.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<StandingRow> = sql("select id, outcome, finished_at from runs
         where id in (select value ->> 'id' from json_each($1))")
    .bind(write_json(&decided))
    .all(db)
    .await?;
    let mut standings = BTreeMap::new();
    for row in rows {
        let id = &row.id;
        let run = RunId::parse(id).ok_or_else(|| StoreError::Corrupt(format!("run id `{id}`")))?;
        let standing = RunStanding {
            outcome: row.outcome.as_deref().and_then(Outcome::parse),
            finished_at: row.finished_at.map(read_time).transpose()?,
        };
        standings.insert(run, standing);
    }
    Ok(standings)
}

#[derive(FromRow)]
struct StandingRow {
    id: String,
    outcome: Option<String>,
    finished_at: Option<i64>,
}

async fn git_read(db: &mut Db) -> Result<Option<GitRead>, StoreError> {
    let row: Option<(i64, Option<String>)> =
        sql("select at, problem from commits_read where id = 1")
            .optional(db)
            .await?;
    row.map(|(at, problem)| {
        let at = read_time(at)?;
        Ok(GitRead { at, problem })
    })
    .transpose()
}

#[derive(FromRow)]
struct TargetRow {
    reference: String,
    outcome: Option<String>,
    created_at: i64,
    finished_at: Option<i64>,
}

impl TargetRow {
    fn run(self) -> Result<PastRun, StoreError> {
        let reference = Reference::parse(&self.reference);
        let ended = match (self.outcome, self.finished_at) {
            (Some(word), Some(at)) => Outcome::parse(&word).map(|it| (it, at)),
            _ => None,
        };
        Ok(PastRun {
            reference: reference.ok_or_else(|| {
                StoreError::Corrupt(format!("the reference `{}`", self.reference))
            })?,
            asked_at: read_time(self.created_at)?,
            ended: ended
                .map(|(outcome, at)| Ok::<_, StoreError>((outcome, read_time(at)?)))
                .transpose()?,
        })
    }
}

/// The next entries that nobody placed. Those of a newer version's kinds are placed by that one.
async fn place_some(group: &mut Group) -> Result<u64, StoreError> {
    let (size, placed): (i64, i64) = sql("select size, placed from tree where id = 1")
        .one(&mut group.db)
        .await?;
    let rows = rows_from(&mut group.db, placed, PLACED_AT_ONCE).await?;
    let Some((last, ..)) = rows.last() else {
        return Ok(0);
    };
    let next = last + 1;
    let happenings: Vec<HappeningRow> = rows
        .iter()
        .filter_map(|(sequence, _, line)| happening(*sequence, line))
        .collect();
    sql("insert into happenings (project, at, sequence)
         select value ->> 'project', cast(value ->> 'at' as bigint), cast(value ->> 'sequence' as bigint)
         from json_each($1) where true
         on conflict (project, at, sequence) do nothing")
    .bind(write_json(&happenings))
    .execute(&mut group.db)
    .await?;
    sql("update tree set placed = $1 where id = 1 and placed = $2")
        .bind(next)
        .bind(placed)
        .execute(&mut group.db)
        .await?;
    Ok(size.saturating_sub(next).max(0).unsigned_abs())
}

/// Most entries are of these kinds, and no timeline tells of them: they need not be read whole.
const NEVER_TOLD: [&str; 2] = [
    r#""kind":"received","platform":"#,
    r#""kind":"run","reference":"#,
];

/// Where an entry stands in `happenings`, if a timeline tells of it.
fn happening(sequence: i64, line: &str) -> Option<HappeningRow> {
    if NEVER_TOLD.iter().any(|kind| line.contains(kind)) {
        return None;
    }
    let entry: Entry = serde_json::from_str(line).ok()?;
    Some(HappeningRow {
        project: timeline_of(&entry.fact)?.to_owned(),
        at: entry.at.as_millisecond(),
        sequence: sequence.unsigned_abs(),
    })
}

/// Compares `happenings` with the entries. Nothing signs it, and an entry could be hidden from its timeline.
pub(super) struct PlacedCheck {
    placed: i64,
    expected: Placed,
}

/// Rows of `happenings` in any order: how many, and the sum of their hashes.
#[derive(Default, PartialEq, Eq)]
struct Placed {
    rows: u64,
    sum: u128,
}

impl Placed {
    fn add(&mut self, project: &str, at: i64, sequence: i64) {
        let hash = leaf_hash(format!("{project}\n{at}\n{sequence}").as_bytes());
        let half: [u8; 16] = std::array::from_fn(|n| hash[n]);
        self.rows += 1;
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(half));
    }
}

impl PlacedCheck {
    pub(super) async fn begin(db: &mut Db) -> Result<Self, StoreError> {
        let (placed,): (i64,) = sql("select placed from tree where id = 1").one(db).await?;
        let expected = Placed::default();
        Ok(Self { placed, expected })
    }

    /// Takes an entry.
    pub(super) fn entry(&mut self, sequence: i64, line: &str) {
        if sequence < self.placed
            && let Some(row) = happening(sequence, line)
        {
            self.expected.add(&row.project, row.at, sequence);
        }
    }

    /// What is wrong, if anything is.
    pub(super) async fn finish(self, db: &mut Db) -> Result<Option<String>, StoreError> {
        let (mut found, mut after) = (Placed::default(), (String::new(), i64::MIN, i64::MIN));
        loop {
            let rows: Vec<(String, i64, i64)> = sql("select project, at, sequence from happenings
                 where (project, at, sequence) > ($1, $2, $3) order by project, at, sequence limit 2000")
            .bind(&after.0)
            .bind(after.1)
            .bind(after.2)
            .all(db)
            .await?;
            let Some(last) = rows.last().cloned() else {
                break;
            };
            after = last;
            for (project, at, sequence) in rows {
                if sequence < self.placed {
                    found.add(&project, at, sequence);
                }
            }
        }
        Ok((found != self.expected).then(|| {
            format!(
                "the index of the timelines does not agree with the entries ({} stand in it, {} should): an entry is \
                 hidden from its project's timeline, or stands in another's; the ledger itself tells it",
                found.rows, self.expected.rows
            )
        }))
    }
}

async fn take_commits(
    group: &mut Group,
    read: &Result<Vec<(ProjectName, Commit)>, String>,
    now: Timestamp,
) -> Result<(), StoreError> {
    if let Ok(commits) = read {
        let rows: Vec<_> = commits.iter().map(commit_row).collect();
        sql("delete from commits").execute(&mut group.db).await?;
        sql("insert into commits (project, at, hash, author, summary, files)
             select value ->> 'project', cast(value ->> 'at' as bigint), value ->> 'hash', value ->> 'author',
                    value ->> 'summary', value ->> 'files'
             from json_each($1) where true
             on conflict (project, at, hash) do nothing")
        .bind(write_json(&rows))
        .execute(&mut group.db)
        .await?;
    }
    sql(
        "insert into commits_read (id, at, problem) values (1, $1, $2)
         on conflict (id) do update set at = excluded.at, problem = excluded.problem",
    )
    .bind(now.as_millisecond())
    .bind(read.as_ref().err().map(String::as_str))
    .execute(&mut group.db)
    .await?;
    Ok(())
}

fn commit_row((project, commit): &(ProjectName, Commit)) -> serde_json::Value {
    json!({
        "project": project.as_str(),
        "at": commit.at.as_millisecond(),
        "hash": commit.hash,
        "author": commit.author,
        "summary": commit.summary,
        "files": write_json(&commit.files),
    })
}
