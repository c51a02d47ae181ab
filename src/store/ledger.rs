//! The ledger: every trigger has a row, and every row ends with an outcome.

use std::cmp::Reverse;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params};

use super::blocking::EDGE_PATIENCE;
use super::images::images_of_triggers;
use super::page::{Bounds, Cursor, Page, list_of, newest};
use super::rows::TriggerId;
use super::written::{self, KeptReason};
use super::{Image, Store, StoreError, kept, late, parsed, said, time};
use crate::clock;
use crate::model::{CameraKey, Cause, ClockState, DeviceName, NoPicture, Outcome, Trigger, UnixMs};

/// A trigger and how it ended.
#[derive(Clone, Debug)]
pub struct LedgerEntry {
    /// Identity, rising in order of arrival.
    pub id: TriggerId,
    /// The camera asked.
    pub camera: CameraKey,
    /// What asked.
    pub cause: Cause,
    /// The device that sent its picture by itself.
    pub device: Option<DeviceName>,
    /// The instant asked for.
    pub edge_at: UnixMs,
    /// How far that can be trusted.
    pub clock: ClockState,
    /// What the clock showed then, if `edge_at` has been corrected; file names keep to it.
    pub stamped_at: Option<UnixMs>,
    /// `None` while the capture is under way.
    pub outcome: Option<Outcome>,
    /// Why there is no picture.
    pub reason: Option<NoPicture>,
    /// What was wished beside the picture and could not be had, and why, for people.
    pub remark: Option<String>,
    /// From the edge to the first durable picture, in milliseconds.
    pub latency_ms: Option<i64>,
    /// When a person said that its failure was seen.
    pub seen_at: Option<UnixMs>,
    /// Its pictures and clips, in the order in which they were stored.
    pub images: Vec<Image>,
}

/// Which entries to list.
#[derive(Clone, Debug, Default)]
pub struct LedgerQuery {
    /// Only this camera.
    pub camera: Option<CameraKey>,
    /// Not before this instant.
    pub from: Option<UnixMs>,
    /// Before this instant.
    pub to: Option<UnixMs>,
    /// Only with this outcome.
    pub outcome: Option<Outcome>,
    /// At most this many, from 1.
    pub limit: u32,
    /// Where the previous page ended.
    pub cursor: Option<Cursor>,
}

const BEGIN_SQL: &str = "
    insert into triggers (camera, cause, edge_at, boot_id, boot_ms, clock, outcome, reason, reason_code, reason_params,
                          device)
    values (:camera, :cause, :edge_at, :boot_id, :boot_ms, :clock, :outcome, :reason, :reason_code, :reason_params,
            :device)";

const FINISH_SQL: &str = "
    update triggers
    set outcome = :outcome, reason = :reason, reason_code = :reason_code, reason_params = :reason_params
    where id = :id and outcome is null";

/// The newest of a run: of one camera, with one outcome, which may be none yet.
pub(super) const RUN_SQL: &str = "
    select edge_at, id from triggers indexed by triggers_by_run
    where outcome is :outcome and camera = :camera
      and (edge_at, id) < (:before_ms, :before_id) and edge_at >= :from
    order by edge_at desc, id desc
    limit :limit";

/// The next camera of which there are triggers with an outcome.
pub(super) const NEXT_CAMERA_SQL: &str = "
    select camera from triggers indexed by triggers_by_run
    where outcome is :outcome and camera > :after
    order by camera
    limit 1";

impl Store {
    /// Writes a trigger down before its picture is stored. Durable when it returns. What the database does not take is an
    /// error within seconds; it is noted beside the pictures then, and written together with its picture
    /// ([`Self::enter`]) or its failure ([`Self::end_trigger`]).
    pub(super) async fn begin_trigger(&self, trigger: &Trigger) -> Result<TriggerId, StoreError> {
        let begun = self.insert_trigger(trigger, None).await;
        if begun.is_err() {
            self.note_edge(trigger, None).await;
        }
        begun
    }

    /// Writes down a trigger that has no picture of its own, together with its end. What could not be
    /// written is an error; it is kept then and written by [`Self::catch_up`].
    pub(super) async fn end_trigger(
        &self,
        trigger: &Trigger,
        outcome: Outcome,
        reason: impl Into<NoPicture>,
    ) -> Result<TriggerId, StoreError> {
        let reason = reason.into();
        let end = Some((outcome, reason.clone()));
        match self.insert_trigger(trigger, end.clone()).await {
            Ok(id) => {
                self.forget_edge(trigger).await;
                Ok(id)
            }
            Err(error) => {
                let is_noted = self.note_edge(trigger, end).await;
                let trigger = trigger.clone();
                Err(self.late.keep(late::LateEntry::Whole { trigger, outcome, reason, is_noted }, error))
            }
        }
    }

    /// Ends an open trigger without a picture. A trigger that has ended already keeps its outcome. What could
    /// not be written is an error; it is kept then and written by [`Self::catch_up`].
    pub(super) async fn fail_trigger(
        &self,
        id: TriggerId,
        reason: impl Into<NoPicture>,
    ) -> Result<(), StoreError> {
        let reason = reason.into();
        let end = reason.clone();
        let written = match self.late.stuck() {
            Some(error) => Err(error),
            None => self.db.insist_within(EDGE_PATIENCE, move |tx| fail(tx, id, &end)).await,
        };
        written.map_err(|error| self.late.keep(late::LateEntry::End { id, reason }, error))
    }

    /// Writes down what was wished beside the picture and could not be had; the outcome stays as it is.
    pub(super) async fn remark_trigger(&self, id: TriggerId, remark: &str) -> Result<(), StoreError> {
        const REMARK_SQL: &str = "
            update triggers set remark = coalesce(remark || '; ', '') || :remark where id = :id";
        let remark = kept(remark);
        self.db
            .insist(move |tx| {
                tx.prepare_cached(REMARK_SQL)?.execute(named_params! {":id": id.0, ":remark": remark})?;
                Ok(())
            })
            .await
    }

    async fn insert_trigger(
        &self,
        trigger: &Trigger,
        end: Option<(Outcome, NoPicture)>,
    ) -> Result<TriggerId, StoreError> {
        if let Some(error) = self.late.stuck() {
            return Err(error);
        }
        let values = Values::of(self, trigger, end);
        self.db.insist_within(EDGE_PATIENCE, move |tx| values.insert(tx)).await
    }

    /// The ledger, newest first.
    pub async fn ledger(&self, query: LedgerQuery) -> Result<Page<LedgerEntry>, StoreError> {
        self.db.read(move |c| list(c, &query)).await
    }

    /// One entry.
    pub async fn ledger_entry(&self, id: TriggerId) -> Result<Option<LedgerEntry>, StoreError> {
        self.db.read(move |c| by_id(c, id)).await
    }

    /// Ends every trigger that a crash left open. Returns how many there were.
    pub(super) async fn close_open_triggers(&self) -> Result<usize, StoreError> {
        const CLOSE_SQL: &str = "
            update triggers
            set outcome = 'failed', reason = :reason, reason_code = :reason_code, reason_params = :reason_params
            where outcome is null";
        let reason = KeptReason::of(&NoPicture::Interrupted);
        let close = move |tx: &Transaction<'_>| {
            Ok(tx.execute(
                CLOSE_SQL,
                named_params! {
                    ":reason": reason.words, ":reason_code": reason.code, ":reason_params": reason.params,
                },
            )?)
        };
        self.db.write(close).await
    }
}

/// The entry of this number, if there is one.
pub(super) fn by_id(c: &Connection, id: TriggerId) -> Result<Option<LedgerEntry>, StoreError> {
    const ENTRY_SQL: &str = "
        select id, camera, cause, device, edge_at, clock, stamped_at, outcome, reason, reason_code, reason_params,
               remark, latency_ms, seen_at
        from triggers where id = :id";
    let entry = c.prepare_cached(ENTRY_SQL)?.query_row(named_params! {":id": id.0}, entry).optional()?;
    Ok(with_images(c, entry.into_iter().collect())?.pop())
}

/// The row of a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Values {
    pub(super) camera: CameraKey,
    pub(super) cause: Cause,
    pub(super) device: Option<DeviceName>,
    pub(super) edge_at: UnixMs,
    pub(super) boot_id: Arc<str>,
    pub(super) boot_ms: i64,
    pub(super) clock: ClockState,
    pub(super) end: Option<(Outcome, NoPicture)>,
}

impl Values {
    /// As it is to be written now.
    pub(super) fn of(store: &Store, trigger: &Trigger, end: Option<(Outcome, NoPicture)>) -> Self {
        let boot_ms = clock::boot_ms() - clock::signed_ms(std::time::Instant::now(), trigger.edge.at);
        // A stamp from before the clock was set does not become right by being written after it.
        let is_stale = trigger.edge.wall.plus_ms(-clock::offset_ms()).0.abs_diff(boot_ms) > time::STEP_MS;
        let is_right = clock::is_synchronised() && !is_stale;
        let clock = if is_right { ClockState::Synced } else { ClockState::Unsynced };
        let (camera, boot_id) = (trigger.camera.clone(), Arc::clone(&store.boot_id));
        let (cause, device) = (trigger.cause, trigger.device.clone());
        Self { camera, cause, device, edge_at: trigger.edge.wall, boot_id, boot_ms, clock, end }
    }

    pub(super) fn insert(&self, tx: &Transaction<'_>) -> Result<TriggerId, StoreError> {
        let (outcome, reason) =
            self.end.as_ref().map(|(outcome, reason)| (outcome.as_str(), KeptReason::of(reason))).unzip();
        let reason = reason.unwrap_or_default();
        tx.prepare_cached(BEGIN_SQL)?.execute(named_params! {
            ":camera": self.camera.as_str(),
            ":cause": self.cause.as_str(),
            ":edge_at": self.edge_at.0,
            ":boot_id": &*self.boot_id,
            ":boot_ms": self.boot_ms,
            ":clock": self.clock.as_str(),
            ":outcome": outcome,
            ":reason": reason.words,
            ":reason_code": reason.code,
            ":reason_params": reason.params,
            ":device": self.device.as_ref().map(DeviceName::as_str),
        })?;
        Ok(TriggerId(tx.last_insert_rowid()))
    }
}

impl Values {
    /// As [`Self::insert`], unless there is a row of this camera and instant: an open one gets the end.
    pub(super) fn insert_once(&self, tx: &Transaction<'_>) -> Result<TriggerId, StoreError> {
        const COALESCED_SQL: &str = "
            select id from triggers where camera = :camera and edge_at = :edge_at and outcome = 'coalesced' limit 1";
        let known = match trigger_of_orphan(tx, &self.camera, self.edge_at)? {
            Some((id, _)) => Some(id),
            None => tx
                .prepare_cached(COALESCED_SQL)?
                .query_row(
                    named_params! {":camera": self.camera.as_str(), ":edge_at": self.edge_at.0},
                    |row| Ok(TriggerId(row.get(0)?)),
                )
                .optional()?,
        };
        let Some(id) = known else { return self.insert(tx) };
        if let Some((_, reason)) = &self.end {
            fail(tx, id, reason)?;
        }
        Ok(id)
    }
}

/// Ends an open trigger without a picture.
pub(super) fn fail(tx: &Transaction<'_>, id: TriggerId, reason: &NoPicture) -> Result<(), StoreError> {
    let reason = KeptReason::of(reason);
    tx.prepare_cached(FINISH_SQL)?.execute(named_params! {
        ":id": id.0, ":outcome": Outcome::Failed.as_str(), ":reason": reason.words, ":reason_code": reason.code,
        ":reason_params": reason.params,
    })?;
    Ok(())
}

/// Ends a trigger with a picture, within the transaction that inserts the picture's row.
pub(super) fn mark_captured(
    tx: &Transaction<'_>,
    id: TriggerId,
    latency_ms: Option<i64>,
) -> Result<(), StoreError> {
    const CAPTURED_SQL: &str = "
        update triggers
        set outcome = 'captured', reason = null, reason_code = null, reason_params = null,
            latency_ms = coalesce(latency_ms, :latency_ms)
        where id = :id";
    tx.prepare_cached(CAPTURED_SQL)?.execute(named_params! {":id": id.0, ":latency_ms": latency_ms})?;
    Ok(())
}

/// The instant of a trigger as it stands now; it may have been corrected since the picture was asked for. `None` where
/// there is no such row: the database is another one by now.
pub(super) fn edge_of(tx: &Transaction<'_>, id: TriggerId) -> Result<Option<UnixMs>, StoreError> {
    let sql = "select edge_at from triggers where id = :id";
    let edge_at = tx.prepare_cached(sql)?.query_row(named_params! {":id": id.0}, |row| row.get(0));
    Ok(edge_at.optional()?.map(UnixMs))
}

/// Every outcome but 'coalesced', each of which is a run.
pub(super) const AT_SQL: &str = "
    select id, edge_at from triggers
    where camera = :camera and edge_at = :edge_at
      and (outcome is null or outcome = 'captured' or outcome = 'failed')
    order by outcome is not null, id limit 1";

/// The trigger of `camera` at exactly `edge_at`, to which a recovered picture belongs, and its instant, which may have
/// been corrected: an open one before one that has a picture already (several are taken around an edge) or that failed
/// (the picture was written, its row was not).
pub(super) fn trigger_of_orphan(
    tx: &Transaction<'_>,
    camera: &CameraKey,
    edge_at: UnixMs,
) -> Result<Option<(TriggerId, UnixMs)>, StoreError> {
    // The first condition is that of an index of few rows.
    const CORRECTED_SQL: &str = "
        select id, edge_at from triggers
        where clock <> 'synced' and clock = 'corrected' and stamped_at = :edge_at and camera = :camera
          and outcome is not 'coalesced'
        order by outcome is not null, id limit 1";
    for sql in [AT_SQL, CORRECTED_SQL] {
        let found = tx
            .prepare_cached(sql)?
            .query_row(named_params! {":camera": camera.as_str(), ":edge_at": edge_at.0}, |row| {
                Ok((TriggerId(row.get(0)?), UnixMs(row.get(1)?)))
            })
            .optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The runs in which there may be something for a query: outcome and camera.
fn runs(c: &Connection, query: &LedgerQuery) -> Result<Vec<(Option<Outcome>, String)>, StoreError> {
    const EVERY: [Option<Outcome>; 4] =
        [None, Some(Outcome::Captured), Some(Outcome::Coalesced), Some(Outcome::Failed)];
    let mut statement = c.prepare_cached(NEXT_CAMERA_SQL)?;
    let mut runs = Vec::new();
    for outcome in EVERY.into_iter().filter(|outcome| query.outcome.is_none() || *outcome == query.outcome) {
        if let Some(camera) = &query.camera {
            runs.push((outcome, camera.as_str().to_owned()));
            continue;
        }
        let mut after = String::new();
        while let Some(camera) = statement
            .query_row(named_params! {":outcome": outcome.map(Outcome::as_str), ":after": after}, |row| {
                row.get::<_, String>(0)
            })
            .optional()?
        {
            after.clone_from(&camera);
            runs.push((outcome, camera));
        }
    }
    Ok(runs)
}

/// Where the rows are that a query finds within some bounds, newest first.
fn places(c: &Connection, query: &LedgerQuery, bounds: Bounds, most: u32) -> Result<Vec<Cursor>, StoreError> {
    let place = |row: &Row<'_>| Ok(Cursor { ms: row.get(0)?, id: row.get(1)? });
    let mut statement = c.prepare_cached(RUN_SQL)?;
    newest(
        &runs(c, query)?,
        bounds,
        usize::try_from(most).unwrap_or(usize::MAX),
        |(outcome, camera), bounds| {
            let found = statement.query_map(
            named_params! {":outcome": outcome.map(Outcome::as_str), ":camera": camera,
            ":before_ms": bounds.before.ms, ":before_id": bounds.before.id, ":from": bounds.from_ms, ":limit": most},
            place,
        )?;
            Ok(found.collect::<Result<_, _>>()?)
        },
    )
}

fn list(c: &Connection, query: &LedgerQuery) -> Result<Page<LedgerEntry>, StoreError> {
    const ROWS_SQL: &str = "
        select id, camera, cause, device, edge_at, clock, stamped_at, outcome, reason, reason_code, reason_params,
               remark, latency_ms, seen_at
        from triggers where id in (select value from json_each(:triggers))";
    // All that is read of a page is of one moment.
    let tx = c.unchecked_transaction()?;
    // One more than asked tells whether there is a next page.
    let most = query.limit.saturating_add(1);
    let found = places(&tx, query, Bounds::new(query.from, query.to, query.cursor), most)?;
    let page = Page::cut(found, query.limit, |place| *place);
    let mut entries: Vec<LedgerEntry> = tx
        .prepare_cached(ROWS_SQL)?
        .query_map(named_params! {":triggers": list_of(page.items.iter().map(|place| place.id))}, entry)?
        .collect::<Result<_, _>>()?;
    entries.sort_by_key(|entry| Reverse((entry.edge_at, entry.id)));
    Ok(Page { items: with_images(&tx, entries)?, next: page.next })
}

fn with_images(c: &Connection, entries: Vec<LedgerEntry>) -> Result<Vec<LedgerEntry>, StoreError> {
    let mut images = images_of_triggers(c, entries.iter().map(|entry| entry.id))?;
    let owned =
        |entry: LedgerEntry| LedgerEntry { images: images.remove(&entry.id).unwrap_or_default(), ..entry };
    Ok(entries.into_iter().map(owned).collect())
}

pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<LedgerEntry> {
    let outcome: Option<String> = row.get("outcome")?;
    Ok(LedgerEntry {
        id: TriggerId(row.get("id")?),
        camera: parsed("camera", CameraKey::parse(&row.get::<_, String>("camera")?).ok())?,
        cause: parsed("cause", Cause::parse(&row.get::<_, String>("cause")?))?,
        device: row
            .get::<_, Option<String>>("device")?
            .map(|text| parsed("device", DeviceName::parse(&text).ok()))
            .transpose()?,
        edge_at: UnixMs(row.get("edge_at")?),
        clock: parsed("clock", ClockState::parse(&row.get::<_, String>("clock")?))?,
        stamped_at: row.get::<_, Option<i64>>("stamped_at")?.map(UnixMs),
        outcome: outcome.map(|text| parsed("outcome", Outcome::parse(&text))).transpose()?,
        reason: written::read(row, "reason")?,
        remark: said(row, "remark")?,
        latency_ms: row.get("latency_ms")?,
        seen_at: row.get::<_, Option<i64>>("seen_at")?.map(UnixMs),
        images: Vec::new(),
    })
}
