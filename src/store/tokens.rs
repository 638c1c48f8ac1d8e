//! Tokens for the API, kept as hashes. Each comes and goes together with its ledger entry.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sqlx::FromRow;
use subtle::ConstantTimeEq as _;

use super::db::sql;
use super::fault::{read_json, read_time, write_json};
use super::writer::Group;
use super::{Store, StoreError};
use crate::domain::{ApiToken, Fact, Identity, PersonId, TokenEvent, TokenId, TokenTerms};

/// Digits of a hash that a token is looked up by; the rest is compared in the same time whatever it is.
const LOOKUP_DIGITS: usize = 16;

#[derive(FromRow)]
struct TokenRow {
    id: String,
    person: String,
    scopes: String,
    projects: String,
    hash: String,
    made_at: i64,
    until: i64,
    revoked_at: Option<i64>,
}

impl TokenRow {
    fn terms(&self) -> Result<TokenTerms, StoreError> {
        let unreadable = |what: &str| StoreError::Corrupt(format!("{what} of a token"));
        let scopes: BTreeSet<_> = read_json("a token's scopes", &self.scopes)?;
        Ok(TokenTerms {
            id: TokenId::parse(&self.id).map_err(|_| unreadable("id"))?,
            person: PersonId::parse(&self.person).map_err(|_| unreadable("person"))?,
            scopes,
            projects: read_json("a token's projects", &self.projects)?,
            made_at: read_time(self.made_at)?,
            until: read_time(self.until)?,
            revoked_at: self.revoked_at.map(read_time).transpose()?,
        })
    }
}

fn lookup(hash: &str) -> &str {
    hash.get(..LOOKUP_DIGITS).unwrap_or(hash)
}

fn fact(terms: &TokenTerms, became: TokenEvent) -> Fact {
    Fact::Token {
        token: terms.id.clone(),
        actor: Identity::Person(terms.person.clone()),
        became,
    }
}

async fn add(group: &mut Group, terms: &TokenTerms, hash: &str) -> Result<(), StoreError> {
    let added = sql(
        "insert into tokens (id, person, scopes, projects, lookup, hash, made_at, until)
         values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing",
    )
    .bind(terms.id.as_str())
    .bind(terms.person.as_str())
    .bind(write_json(&terms.scopes))
    .bind(write_json(&terms.projects))
    .bind(lookup(hash))
    .bind(hash)
    .bind(terms.made_at.as_millisecond())
    .bind(terms.until.as_millisecond())
    .execute(&mut group.db)
    .await?;
    if added != 1 {
        return Err(StoreError::Conflict(format!(
            "a token is called {} already",
            terms.id
        )));
    }
    let made = TokenEvent::Made {
        scopes: terms.scopes.clone(),
        projects: terms.projects.clone(),
        until: terms.until,
    };
    group.append(&fact(terms, made), terms.made_at);
    Ok(())
}

async fn revoke(group: &mut Group, terms: &TokenTerms, now: Timestamp) -> Result<(), StoreError> {
    let revoked = sql("update tokens set revoked_at = $2 where id = $1 and revoked_at is null")
        .bind(terms.id.as_str())
        .bind(now.as_millisecond())
        .execute(&mut group.db)
        .await?;
    if revoked != 1 {
        return Err(StoreError::Conflict(format!(
            "token {} was revoked before",
            terms.id
        )));
    }
    group.append(&fact(terms, TokenEvent::Revoked), now);
    Ok(())
}

impl Store {
    /// Keeps a new token's hash, on these terms. `Conflict` when its id is taken.
    pub async fn add_token(&self, token: &ApiToken, terms: TokenTerms) -> Result<(), StoreError> {
        let hash = token.hash();
        self.writer()?
            .write(move |group| Box::pin(async move { add(group, &terms, &hash).await }))
            .await
    }

    /// Ends a token from now on. `Conflict` when that was done before.
    pub async fn revoke_token(&self, terms: TokenTerms, now: Timestamp) -> Result<(), StoreError> {
        self.writer()?
            .write(move |group| Box::pin(async move { revoke(group, &terms, now).await }))
            .await
    }

    /// All tokens that were ever made, the newest first.
    pub async fn tokens(&self) -> Result<Vec<TokenTerms>, StoreError> {
        let rows: Vec<TokenRow> = sql(
            "select id, person, scopes, projects, hash, made_at, until, revoked_at from tokens
             order by made_at desc, id",
        )
        .all(&mut self.reader().await?)
        .await?;
        rows.iter().map(TokenRow::terms).collect()
    }

    /// On which terms this token was made, whether it counts or not; `None`: it never was.
    pub async fn terms_of_token(&self, token: &ApiToken) -> Result<Option<TokenTerms>, StoreError> {
        let hash = token.hash();
        let row: Option<TokenRow> = sql(
            "select id, person, scopes, projects, hash, made_at, until, revoked_at from tokens where lookup = $1",
        )
        .bind(lookup(&hash))
        .optional(&mut self.reader().await?)
        .await?;
        let same = |row: &TokenRow| bool::from(row.hash.as_bytes().ct_eq(hash.as_bytes()));
        row.filter(same).map(|row| row.terms()).transpose()
    }
}
