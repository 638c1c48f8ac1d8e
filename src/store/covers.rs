//! Covers: shifts that somebody takes by arrangement, whatever the files say.
//!
//! Numbered in the order in which they were arranged. Whoever arranges says which number they saw last: two who arrange
//! at the same time meet a conflict, and the second sees what the first did.

use jiff::Timestamp;

use super::db::sql;
use super::fault::read_time;
use super::writer::Group;
use super::{Store, StoreError};
use crate::domain::{Cover, LevelName, PersonId, RotationName, Shift};

/// So many covers are read.
pub const MOST_COVERS: usize = 500;

/// Covers that were arranged, and the last number that was given.
#[derive(Debug, Clone, Default)]
pub struct Covers {
    /// In the order in which they were arranged.
    pub known: Vec<(RotationName, Cover)>,
    /// Of all that ever were.
    pub last: i64,
}

/// What somebody arranged.
#[derive(Debug, Clone)]
pub struct NewCovers {
    /// In which rotation.
    pub rotation: RotationName,
    /// In order; a later one counts.
    pub covers: Vec<Cover>,
    /// The last number that was given when it was looked at.
    pub last: i64,
}

pub(super) async fn arrange(
    group: &mut Group,
    new: NewCovers,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (last,): (i64,) = sql("select coalesce(max(number), 0) from covers")
        .one(&mut group.db)
        .await?;
    if last != new.last {
        return Err(StoreError::Conflict(
            "shifts were arranged by somebody else meanwhile".to_owned(),
        ));
    }
    for (number, cover) in (last + 1..).zip(new.covers) {
        sql(
            "insert into covers (number, rotation, level, person, begins, ends, at)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(number)
        .bind(new.rotation.as_str())
        .bind(cover.level.as_str())
        .bind(cover.shift.person.as_str())
        .bind(cover.shift.from.as_millisecond())
        .bind(cover.shift.until.as_millisecond())
        .bind(now.as_millisecond())
        .execute(&mut group.db)
        .await?;
    }
    Ok(())
}

impl Store {
    /// The [`MOST_COVERS`] covers that end last.
    pub async fn covers(&self) -> Result<Covers, StoreError> {
        type Row = (i64, String, String, String, i64, i64);
        let mut db = self.reader().await?;
        let (last,): (i64,) = sql("select coalesce(max(number), 0) from covers")
            .one(&mut db)
            .await?;
        let mut rows: Vec<Row> = sql(
            "select number, rotation, level, person, begins, ends from covers
             where number <= $1 order by ends desc limit $2",
        )
        .bind(last)
        .bind(i64::try_from(MOST_COVERS).unwrap_or(i64::MAX))
        .all(&mut db)
        .await?;
        rows.sort_by_key(|row| row.0);
        let mut known = Vec::with_capacity(rows.len());
        for (_, rotation, level, person, begins, ends) in rows {
            // What a newer version calls otherwise names nobody here.
            let names = RotationName::parse(&rotation)
                .ok()
                .zip(LevelName::parse(&level).ok())
                .zip(PersonId::parse(&person).ok());
            let Some(((rotation, level), person)) = names else {
                continue;
            };
            let shift = Shift {
                person,
                from: read_time(begins)?,
                until: read_time(ends)?,
            };
            known.push((rotation, Cover { level, shift }));
        }
        Ok(Covers { known, last })
    }
}
