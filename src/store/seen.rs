//! Failed triggers that nobody has seen yet. What is seen is said of single triggers, not up to a number: one that is
//! still under way when a person looks may fail afterwards.

use rusqlite::{Connection, OptionalExtension, named_params};

use super::ledger::{self, LedgerEntry};
use super::rows::TriggerId;
use super::{Store, StoreError};
use crate::model::{UNSTORED, UnixMs};

/// So many are counted; of a camera that was away for a year nobody needs to know more.
pub const UNSEEN_MAX: u64 = 1000;

/// Failed triggers that nobody has seen.
#[derive(Clone, Debug, Default)]
pub struct Unseen {
    /// How many, at most [`UNSEEN_MAX`].
    pub count: u64,
    /// The newest of them.
    pub newest: Vec<LedgerEntry>,
}

pub(super) const COUNT_SQL: &str = "
    select 1 from triggers indexed by triggers_unseen
    where outcome = 'failed' and seen_at is null
    limit :limit";

pub(super) const NEWEST_SQL: &str = "
    select id, camera, cause, device, edge_at, clock, stamped_at, outcome, reason, reason_code, reason_params,
           remark, latency_ms, seen_at
    from triggers indexed by triggers_unseen
    where outcome = 'failed' and seen_at is null
    order by id desc
    limit :limit";

/// The last trigger whose picture was stored, among the newest, because more than these are no news.
pub(super) const STORED_SQL: &str = "
    select id, edge_at from (select id, edge_at, outcome from triggers order by id desc limit 1000)
    where outcome = 'captured'
    order by id desc limit 1";

/// What was written late has a number that says nothing of when it was. Rows of before codes are known by their words.
pub(super) const STANDING_SQL: &str = "
    select id, camera, cause, device, edge_at, clock, stamped_at, outcome, reason, reason_code, reason_params,
           remark, latency_ms, seen_at
    from triggers indexed by triggers_unseen
    where outcome = 'failed' and seen_at is null
      and not ((id < :stored or edge_at < :stored_at)
               and (ifnull(reason_code, '') in ('not_stored', 'disk_full')
                    or (reason is not null and substr(reason, 1, length(:unstored)) = :unstored)))
    order by id desc
    limit :limit";

pub(super) const SEE_SQL: &str = "
    update triggers indexed by triggers_unseen set seen_at = :now
    where outcome = 'failed' and seen_at is null and id <= :up_to";

impl Store {
    /// How many failed triggers nobody has seen, and the newest `limit` of them.
    pub async fn unseen(&self, limit: u32) -> Result<Unseen, StoreError> {
        self.db
            .read(move |c| {
                let count = count(c)?;
                let newest = c
                    .prepare_cached(NEWEST_SQL)?
                    .query_map(named_params! {":limit": limit}, ledger::entry)?
                    .collect::<Result<_, _>>()?;
                Ok(Unseen { count, newest })
            })
            .await
    }

    /// The same without those that are over: a picture could not be stored, and one that came later could. They are shown
    /// until somebody has seen them, but nothing is wrong any more.
    pub async fn standing(&self) -> Result<Unseen, StoreError> {
        self.db
            .read(move |c| {
                let stored = c
                    .prepare_cached(STORED_SQL)?
                    .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()?;
                let (stored, stored_at): (i64, i64) = stored.unwrap_or((0, 0));
                let limit = i64::try_from(UNSEEN_MAX).unwrap_or(i64::MAX);
                let mut statement = c.prepare_cached(STANDING_SQL)?;
                let params = named_params! {
                    ":stored": stored, ":stored_at": stored_at, ":unstored": UNSTORED, ":limit": limit,
                };
                let mut rows = statement.query(params)?;
                let mut unseen = Unseen::default();
                while let Some(row) = rows.next()? {
                    unseen.count += 1;
                    if unseen.newest.is_empty() {
                        unseen.newest.push(ledger::entry(row)?);
                    }
                }
                Ok(unseen)
            })
            .await
    }

    /// A person has seen every failure up to this one. Returns how many of them were news.
    pub async fn see_failures(&self, up_to: TriggerId, now: UnixMs) -> Result<usize, StoreError> {
        self.db
            .insist(move |tx| {
                let params = named_params! {":now": now.0, ":up_to": up_to.0};
                Ok(tx.prepare_cached(SEE_SQL)?.execute(params)?)
            })
            .await
    }
}

/// How many failed triggers nobody has seen, at most [`UNSEEN_MAX`].
pub(super) fn count(c: &Connection) -> Result<u64, StoreError> {
    let most = i64::try_from(UNSEEN_MAX).unwrap_or(i64::MAX);
    let mut statement = c.prepare_cached(COUNT_SQL)?;
    let mut rows = statement.query(named_params! {":limit": most})?;
    let mut count = 0;
    while rows.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
#[path = "tests/seen.rs"]
mod tests;
