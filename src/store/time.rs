//! Times of a clock that had not been set: corrected from the time since boot once it is.
//!
//! Every trigger carries its boot and the milliseconds since then, which no setting of the clock changes. File names
//! keep to the time the clock showed; rows and lists are put right. A row whose boot is over cannot be corrected and
//! stays as it is.

use rusqlite::named_params;

use super::{Store, StoreError};
use crate::model::{ClockState, UnixMs};

/// A change of the wall clock by more milliseconds than this is a step: it was set, not adjusted.
pub const STEP_MS: u64 = 2_000;

/// Below this many milliseconds a time is right: two pictures of a camera are not closer.
const EXACT_MS: u64 = 100;

/// Rows corrected in one transaction, so that a capture never waits long.
const BATCH: i64 = 200;

/// Which rows of this boot may be corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubtful {
    /// Those that have never been right. The clock was set, but nobody vouches for it: `date -s`, or a time service that
    /// has only begun.
    Unsynced,
    /// Also those corrected before: the clock is right now.
    All,
}

/// What is to become of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Correction {
    pub(super) edge_at: UnixMs,
    pub(super) clock: ClockState,
}

/// The row of an edge `boot_ms` after a boot that was `offset_ms` after 1970, or `None` when it stays as it is.
/// `is_synced` says whether a time service vouches for that offset.
pub(super) fn correction(
    (edge_at, clock): (UnixMs, ClockState),
    boot_ms: i64,
    offset_ms: i64,
    is_synced: bool,
) -> Option<Correction> {
    let right = UnixMs(boot_ms.saturating_add(offset_ms));
    let is_right = right.0.abs_diff(edge_at.0) < EXACT_MS;
    match clock {
        ClockState::Synced => None,
        ClockState::Unsynced if is_right => {
            is_synced.then_some(Correction { edge_at, clock: ClockState::Synced })
        }
        ClockState::Corrected if is_right || !is_synced => None,
        ClockState::Unsynced | ClockState::Corrected => {
            Some(Correction { edge_at: right, clock: ClockState::Corrected })
        }
    }
}

impl Store {
    /// Corrects the times of this boot's doubtful triggers and their pictures, now that wall time is `offset_ms` after
    /// time since boot. Short transactions; what a crash leaves is corrected the next time. Returns how many triggers
    /// changed their time.
    pub(super) async fn correct_times(&self, offset_ms: i64, which: Doubtful) -> Result<u64, StoreError> {
        // Without an identity of the boot, rows of other boots cannot be told apart.
        if self.boot_id.is_empty() {
            return Ok(0);
        }
        let (mut after, mut moved) = (0, 0);
        while let Some(page) = self.doubtful_after(after, which).await? {
            after = page.last;
            let is_synced = which == Doubtful::All;
            let changes: Vec<(i64, UnixMs, Correction)> = page
                .rows
                .into_iter()
                .filter_map(|(id, edge_at, clock, boot_ms)| {
                    Some((id, edge_at, correction((edge_at, clock), boot_ms, offset_ms, is_synced)?))
                })
                .collect();
            moved += changes.iter().filter(|(_, was, is)| is.edge_at != *was).count() as u64;
            self.write_corrections(changes).await?;
        }
        Ok(moved)
    }

    async fn doubtful_after(&self, after: i64, which: Doubtful) -> Result<Option<Page>, StoreError> {
        let boot_id = self.boot_id.clone();
        self.db
            .read(move |c| {
                let mut statement = c.prepare_cached(DOUBTFUL_SQL)?;
                let params = named_params! {
                    ":boot_id": &*boot_id, ":after": after, ":limit": BATCH, ":all": which == Doubtful::All,
                };
                let rows: Vec<Row> = statement
                    .query_map(params, |row| {
                        let clock = super::parsed("clock", ClockState::parse(&row.get::<_, String>(2)?))?;
                        Ok((row.get(0)?, UnixMs(row.get(1)?), clock, row.get(3)?))
                    })?
                    .collect::<Result<_, _>>()?;
                Ok(rows.last().map(|row| row.0).map(|last| Page { last, rows }))
            })
            .await
    }

    async fn write_corrections(&self, changes: Vec<(i64, UnixMs, Correction)>) -> Result<(), StoreError> {
        // A row that was changed meanwhile is looked at again the next time.
        const TRIGGER_SQL: &str = "
            update triggers
            set stamped_at = case when :edge_at <> edge_at then coalesce(stamped_at, edge_at) else stamped_at end,
                edge_at = :edge_at, clock = :clock
            where id = :id and edge_at = :was";
        const IMAGES_SQL: &str = "
            update images set taken_at = taken_at + :by where trigger_id = :id and :by <> 0";
        if changes.is_empty() {
            return Ok(());
        }
        self.db
            .write(move |tx| {
                for (id, was, correction) in &changes {
                    let changed = tx.prepare_cached(TRIGGER_SQL)?.execute(named_params! {
                        ":id": id, ":was": was.0, ":edge_at": correction.edge_at.0,
                        ":clock": correction.clock.as_str(),
                    })?;
                    if changed > 0 {
                        let by = correction.edge_at.0.saturating_sub(was.0);
                        tx.prepare_cached(IMAGES_SQL)?.execute(named_params! {":id": id, ":by": by})?;
                    }
                    super::crash::point("corrected one");
                }
                Ok(())
            })
            .await
    }
}

/// A trigger: identity, instant, how far that is trusted, milliseconds since boot.
type Row = (i64, UnixMs, ClockState, i64);

struct Page {
    last: i64,
    rows: Vec<Row>,
}

/// The condition on the clock is that of an index of few rows.
pub(super) const DOUBTFUL_SQL: &str = "
    select id, edge_at, clock, boot_ms from triggers
    where boot_id = :boot_id and clock <> 'synced' and (:all or clock = 'unsynced') and id > :after
    order by id limit :limit";
