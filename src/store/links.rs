//! Links: accounts that persons linked to themselves, and codes that are out for it.
//!
//! A code is kept as a salted hash, counts for the person and the account that asked for it, and every wrong one is
//! counted in the transaction that records it: whoever guesses at the same time meets a conflict.

use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::db::sql;
use super::writer::Group;
use super::{Store, StoreError};
use crate::domain::{Account, Commitment, Link, LinkCode, PersonId, Platform};

/// How long a code lives.
pub const CODE_LIVES: Duration = Duration::from_millis(CODE_LIVES_MS.unsigned_abs());
const CODE_LIVES_MS: i64 = 10 * 60 * 1_000;
/// Wrong codes after which the right one doesn't count any more.
pub const MOST_TRIES: u32 = 5;
/// Codes of one person that are out at the same time.
pub const MOST_CODES: usize = 3;
/// Accounts that one person may link.
pub const MOST_LINKS: usize = 8;

/// A link in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// Which account speaks for whom.
    pub link: Link,
    /// What the ledger calls the account.
    pub commitment: Commitment,
}

/// A code that is out: what is needed to compare one with it, and to use it once.
#[derive(Debug, Clone)]
pub struct OpenLink {
    id: String,
    tries: i64,
    code: String,
    /// The account that it was sent to.
    pub account: Account,
    /// What the ledger calls the account.
    pub commitment: Commitment,
}

/// A code that is to be sent, as it is kept.
#[derive(Debug, Clone)]
pub struct NewLink {
    link: Link,
    asked_from: Account,
    account_salt: String,
    code: String,
}

/// What becomes of a link. Guarded by what was read before.
#[derive(Debug, Clone)]
pub enum LinkChange {
    /// A code is out.
    Asked(Box<NewLink>),
    /// A code was typed that is none of these.
    Missed(Vec<OpenLink>),
    /// The right one was: the account speaks for who asked.
    Linked(Box<OpenLink>),
    /// It doesn't any more.
    Unlinked(Link),
}

impl NewLink {
    /// Keeps the code's hash alone.
    pub fn new(link: Link, asked_from: Account, code: &LinkCode) -> Self {
        Self {
            link,
            asked_from,
            account_salt: salt(),
            code: hashed(&salt(), code),
        }
    }

    /// What the ledger calls the account.
    pub fn commitment(&self) -> Commitment {
        commitment(&self.account_salt, &self.link.account)
    }
}

impl OpenLink {
    /// Whether this is the code, found out in the same time whatever it is.
    pub fn is(&self, code: &LinkCode) -> bool {
        let salt = self.code.split(':').next().unwrap_or_default();
        let typed = hashed(salt, code);
        typed.as_bytes().ct_eq(self.code.as_bytes()).into()
    }

    /// How many wrong codes may still be typed.
    pub fn tries_left(&self) -> u32 {
        let used = u32::try_from(self.tries).unwrap_or(MOST_TRIES);
        MOST_TRIES.saturating_sub(used)
    }
}

fn salt() -> String {
    HEXLOWER.encode(&rand::random::<[u8; 16]>())
}

fn hashed(salt: &str, code: &LinkCode) -> String {
    let text = format!("midwatch link code\n{salt}\n{}", code.expose());
    format!("{salt}:{}", HEXLOWER.encode(&Sha256::digest(text)))
}

/// As the commitments of the inbox: SHA-256 over the salt's bytes and the value.
fn commitment(salt: &str, account: &Account) -> Commitment {
    let bytes = HEXLOWER.decode(salt.as_bytes()).unwrap_or_default();
    let digest = Sha256::new()
        .chain_update(bytes)
        .chain_update(account.key())
        .finalize();
    Commitment(HEXLOWER.encode(&digest))
}

pub(super) async fn change(
    group: &mut Group,
    change: LinkChange,
    now: Timestamp,
) -> Result<(), StoreError> {
    match change {
        LinkChange::Asked(new) => ask(group, &new, now).await,
        LinkChange::Missed(open) => miss(group, &open).await,
        LinkChange::Linked(open) => link(group, &open, now).await,
        LinkChange::Unlinked(link) => unlink(group, &link, now).await,
    }
}

async fn ask(group: &mut Group, new: &NewLink, now: Timestamp) -> Result<(), StoreError> {
    // What came to nothing is forgotten.
    sql("delete from links where state = 'asked' and expires_at <= $1")
        .bind(now.as_millisecond())
        .execute(&mut group.db)
        .await?;
    let Link { account, person } = &new.link;
    let (out,): (i64,) = sql("select count(*) from links where state = 'asked' and person = $1")
        .bind(person.as_str())
        .one(&mut group.db)
        .await?;
    if usize::try_from(out).is_ok_and(|out| out >= MOST_CODES) {
        return Err(StoreError::Conflict(format!("{out} codes are out")));
    }
    sql(
        "insert into links (id, state, person, platform, space, account, account_salt, asked_from, code, expires_at, at)
         values ($1, 'asked', $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(uuid::Uuid::new_v4().to_string())
    .bind(person.as_str())
    .bind(account.platform.as_str())
    .bind(&account.space)
    .bind(&account.id)
    .bind(&new.account_salt)
    .bind(new.asked_from.key())
    .bind(&new.code)
    .bind(now.as_millisecond().saturating_add(CODE_LIVES_MS))
    .bind(now.as_millisecond())
    .execute(&mut group.db)
    .await?;
    Ok(())
}

async fn miss(group: &mut Group, open: &[OpenLink]) -> Result<(), StoreError> {
    for one in open {
        let counted = sql(
            "update links set tries = tries + 1 where id = $1 and state = 'asked' and tries = $2",
        )
        .bind(&one.id)
        .bind(one.tries)
        .execute(&mut group.db)
        .await?;
        found(counted, "a code was tried by somebody else meanwhile")?;
    }
    Ok(())
}

async fn link(group: &mut Group, open: &OpenLink, now: Timestamp) -> Result<(), StoreError> {
    let linked = sql("update links set state = 'linked', code = null, at = $3
         where id = $1 and state = 'asked' and tries = $2 and expires_at > $3")
    .bind(&open.id)
    .bind(open.tries)
    .bind(now.as_millisecond())
    .execute(&mut group.db)
    .await?;
    found(linked, "the code is not out any more")
}

async fn unlink(group: &mut Group, link: &Link, now: Timestamp) -> Result<(), StoreError> {
    let unlinked = sql("update links set state = 'unlinked', at = $5
         where state = 'linked' and platform = $1 and space = $2 and account = $3 and person = $4")
    .bind(link.account.platform.as_str())
    .bind(&link.account.space)
    .bind(&link.account.id)
    .bind(link.person.as_str())
    .bind(now.as_millisecond())
    .execute(&mut group.db)
    .await?;
    found(unlinked, "the account is not linked any more")
}

fn found(rows: u64, otherwise: &str) -> Result<(), StoreError> {
    if rows == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(otherwise.to_owned()))
}

impl Store {
    /// All links in force, in the order of their accounts. What only a newer version can read speaks for nobody here.
    pub async fn links(&self) -> Result<Vec<Linked>, StoreError> {
        let rows: Vec<(String, String, String, String, String)> = sql(
            "select person, platform, space, account, account_salt from links where state = 'linked'
             order by platform, account",
        )
        .all(&mut self.reader().await?)
        .await?;
        let linked = rows
            .into_iter()
            .filter_map(|(person, platform, space, id, salt)| {
                let platform = Platform::parse(&platform)?;
                let account = Account {
                    platform,
                    space,
                    id,
                };
                Some(Linked {
                    commitment: commitment(&salt, &account),
                    link: Link {
                        account,
                        person: PersonId::parse(&person).ok()?,
                    },
                })
            });
        Ok(linked.collect())
    }

    /// Codes that are out for this person and count when they are typed from this account, and how many there are of the
    /// person altogether.
    pub async fn open_links(
        &self,
        person: &PersonId,
        asked_from: &Account,
        now: Timestamp,
    ) -> Result<(Vec<OpenLink>, usize), StoreError> {
        type Row = (String, i64, String, String, String, String, String, String);
        let rows: Vec<Row> = sql(
            "select id, tries, code, asked_from, platform, space, account, account_salt from links
             where person = $1 and state = 'asked' and expires_at > $2 order by id",
        )
        .bind(person.as_str())
        .bind(now.as_millisecond())
        .all(&mut self.reader().await?)
        .await?;
        let (all, from) = (rows.len(), asked_from.key());
        let open = rows.into_iter().filter(|row| row.3 == from);
        let open = open.filter_map(|(id, tries, code, _, platform, space, account, salt)| {
            let account = Account {
                platform: Platform::parse(&platform)?,
                space,
                id: account,
            };
            Some(OpenLink {
                id,
                tries,
                code,
                commitment: commitment(&salt, &account),
                account,
            })
        });
        let usable = open.filter(|open| open.tries_left() > 0);
        Ok((usable.collect(), all))
    }
}
