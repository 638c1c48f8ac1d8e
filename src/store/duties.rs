//! Duties: what one worker does for all replicas, such as the delivery to a platform. Held for a while, with a fence.

use std::time::Duration;

use jiff::Timestamp;

use super::db::{Engine, sql};
use super::leases::end_of;
use super::writer::Group;
use super::{Store, StoreError, WorkerId};
use crate::domain::Platform;
use crate::planted;

/// The time-limited right to deliver to a platform. Every change made with it checks that it is still the latest.
#[derive(Debug, Clone)]
pub struct Duty {
    platform: Platform,
    holder: WorkerId,
    fence: i64,
    lasts: bool,
}

impl Duty {
    /// Whether it needs no renewal: there is no other replica.
    pub fn lasts(&self) -> bool {
        self.lasts
    }
}

fn name(platform: Platform) -> String {
    format!("deliver/{}", platform.as_str())
}

async fn take(
    group: &mut Group,
    platform: Platform,
    holder: WorkerId,
    now: Timestamp,
    by: Duration,
) -> Result<Option<Duty>, StoreError> {
    let lasts = matches!(group.db.engine(), Engine::Sqlite(_));
    let until = if lasts { i64::MAX } else { end_of(now, by) };
    let before: Option<(String, i64, i64)> =
        sql("select holder, until, fence from duties where name = $1")
            .bind(name(platform))
            .optional(&mut group.db)
            .await?;
    let fence = match &before {
        Some((other, until, fence)) if *until > now.as_millisecond() => {
            if *other != holder.0 {
                return Ok(None);
            }
            *fence
        }
        Some((.., fence)) => fence + 1,
        None => 1,
    };
    sql(
        "insert into duties (name, holder, until, fence) values ($1, $2, $3, $4)
         on conflict (name) do update set holder = $2, until = $3, fence = $4",
    )
    .bind(name(platform))
    .bind(&holder.0)
    .bind(until)
    .bind(fence)
    .execute(&mut group.db)
    .await?;
    if before.is_none_or(|(.., before)| before != fence) && !planted::is("delivery-stuck") {
        // What the holder before was delivering may have arrived.
        sql("update outbox set state = 'waiting', in_doubt = 1 where state = 'sending' and platform = $1")
            .bind(platform.as_str())
            .execute(&mut group.db)
            .await?;
    }
    Ok(Some(Duty {
        platform,
        holder,
        fence,
        lasts,
    }))
}

/// Fails when another took the duty.
pub(super) async fn check_duty(group: &mut Group, duty: &Duty) -> Result<(), StoreError> {
    let (held,): (i64,) =
        sql("select count(*) from duties where name = $1 and fence = $2 and holder = $3")
            .bind(name(duty.platform))
            .bind(duty.fence)
            .bind(&duty.holder.0)
            .one(&mut group.db)
            .await?;
    if held == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!(
        "another replica delivers to {} now",
        duty.platform.as_str()
    )))
}

impl Store {
    /// Takes or renews the duty to deliver to a platform. `None` while another has it.
    pub async fn take_duty(
        &self,
        platform: Platform,
        holder: &WorkerId,
        now: Timestamp,
        by: Duration,
    ) -> Result<Option<Duty>, StoreError> {
        self.trust_clock(now)?;
        let (holder, now) = (holder.clone(), self.lease_now(now));
        self.writer()?
            .write(move |group| Box::pin(take(group, platform, holder, now, by)))
            .await
    }

    /// Hands a duty back, so that another replica need not wait for its end.
    pub async fn release_duty(&self, duty: Duty) -> Result<(), StoreError> {
        self.writer()?
            .write(move |group| {
                Box::pin(async move {
                    check_duty(group, &duty).await?;
                    sql("update duties set until = 0 where name = $1")
                        .bind(name(duty.platform))
                        .execute(&mut group.db)
                        .await?;
                    Ok(())
                })
            })
            .await
    }
}
