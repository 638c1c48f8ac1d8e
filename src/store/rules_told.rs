//! The rules that people know of: what differs from them is told, once, however many replicas see the files change, and
//! also when they changed while nobody looked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::db::sql;
use super::fault::{read_json, write_json};
use super::outbox::owe;
use super::writer::Group;
use super::{Store, StoreError};
use crate::domain::{Fact, Posting, ProjectName, Revision, RuleSaid};

/// The row that has the revision.
const ALL: &str = "*";

/// The rules that people know of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulesTold {
    /// Of the files that they were read from; `None`: nothing was ever told.
    pub revision: Option<Revision>,
    /// By project, in the order in which they count.
    pub rules: BTreeMap<ProjectName, Vec<RuleSaid>>,
}

impl Store {
    /// The rules that people know of.
    pub async fn rules_told(&self) -> Result<RulesTold, StoreError> {
        let rows: Vec<(String, String, String)> =
            sql("select project, revision, rules from rules_told order by project")
                .all(&mut self.reader().await?)
                .await?;
        let mut told = RulesTold::default();
        for (project, revision, rules) in rows {
            if project == ALL {
                told.revision = Some(Revision(revision));
            } else if let Ok(project) = ProjectName::parse(&project) {
                told.rules
                    .insert(project, read_json("rules that were told", &rules)?);
            }
        }
        Ok(told)
    }

    /// Takes these rules for known, and records what is different in them with what we owe to people for it.
    ///
    /// # Errors
    /// `Conflict` when others are known by now than those of `before`: another replica was first, and has told it.
    pub async fn record_rules_told(
        &self,
        before: Option<Revision>,
        known: RulesTold,
        changed: Vec<(Fact, Vec<Posting>)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    take(group, before, known).await?;
                    for (fact, postings) in changed {
                        group.append(&fact, now);
                        owe(group, postings, now).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

async fn take(
    group: &mut Group,
    before: Option<Revision>,
    known: RulesTold,
) -> Result<(), StoreError> {
    let revision = known.revision.unwrap_or_default().0;
    let taken = match before {
        None => sql(
            "insert into rules_told (project, revision, rules) values ($1, $2, '[]')
                     on conflict (project) do nothing",
        )
        .bind(ALL)
        .bind(&revision),
        Some(before) => {
            sql("update rules_told set revision = $2 where project = $1 and revision = $3")
                .bind(ALL)
                .bind(&revision)
                .bind(before.0)
        }
    };
    if taken.execute(&mut group.db).await? != 1 {
        return Err(StoreError::Conflict(
            "other rules are known by now".to_owned(),
        ));
    }
    let rows: Vec<_> = known
        .rules
        .iter()
        .map(|(project, rules)| json!({ "project": project.as_str(), "rules": write_json(rules) }))
        .collect();
    sql("delete from rules_told where project <> $1")
        .bind(ALL)
        .execute(&mut group.db)
        .await?;
    sql("insert into rules_told (project, revision, rules)
         select value ->> 'project', $2, value ->> 'rules' from json_each($1) where true")
    .bind(write_json(&rows))
    .bind(&revision)
    .execute(&mut group.db)
    .await?;
    Ok(())
}
