//! Failed triggers that nobody has seen yet. What is seen is said of single triggers, not up to a number: one that is
//! still under way when a person looks may fail afterwards.

use rusqlite::named_params;

use super::ledger::{self, LedgerEntry, TriggerId};
use super::{Store, StoreError};
use crate::model::UnixMs;

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
    select id, camera, cause, edge_at, clock, stamped_at, outcome, reason, remark, latency_ms, seen_at
    from triggers indexed by triggers_unseen
    where outcome = 'failed' and seen_at is null
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
                let most = i64::try_from(UNSEEN_MAX).unwrap_or(i64::MAX);
                let mut statement = c.prepare_cached(COUNT_SQL)?;
                let mut rows = statement.query(named_params! {":limit": most})?;
                let mut count = 0;
                while rows.next()?.is_some() {
                    count += 1;
                }
                let newest = c
                    .prepare_cached(NEWEST_SQL)?
                    .query_map(named_params! {":limit": limit}, ledger::entry)?
                    .collect::<Result<_, _>>()?;
                Ok(Unseen { count, newest })
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

#[cfg(test)]
#[path = "seen_tests.rs"]
mod tests;
