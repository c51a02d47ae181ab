//! Pictures and clips in pages: which runs of the index a query wants, and the newest rows of these.

use std::cmp::Reverse;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::image_row::{COLUMNS, image};
use super::images::with_uploads;
use super::page::{Bounds, Cursor, Page, list_of, newest};
use super::rows::{Image, ImageQuery};
use super::{Store, StoreError, parsed, text_search};
use crate::model::{CameraKey, Cause, ImageKind, Medium, UploadState};

/// Pictures of a text are counted up to this; nobody turns so many pages.
const TEXT_COUNT_MAX: u32 = 40_000;

/// The newest of all.
pub(super) const ALL_SQL: &str = "
    select taken_at, id from images
    where state = 'present' and (taken_at, id) < (:before_ms, :before_id) and taken_at >= :from
    order by taken_at desc, id desc
    limit :limit";

/// The newest of a run.
pub(super) const RUN_SQL: &str = "
    select taken_at, id from images indexed by images_by_run
    where state = 'present' and camera = :camera and kind = :kind and cause = :cause and deliveries = :deliveries
      and (taken_at, id) < (:before_ms, :before_id) and taken_at >= :from
    order by taken_at desc, id desc
    limit :limit";

/// The first run that is not before this one. Asked for those after one, SQLite would step over each of its rows.
pub(super) const NEXT_RUN_SQL: &str = "
    select camera, kind, cause, deliveries from images indexed by images_by_run
    where state = 'present' and (camera, kind, cause, deliveries) >= (:camera, :kind, :cause, :deliveries)
    order by camera, kind, cause, deliveries
    limit 1";

/// The newest of a device. What else is asked for of them is read in the index itself; nearly all of them are alike.
pub(super) const DEVICE_SQL: &str = "
    select taken_at, id from images indexed by images_by_device
    where state = 'present' and device = :device and (taken_at, id) < (:before_ms, :before_id) and taken_at >= :from
      and (:camera is null or camera = :camera) and (:cause is null or cause = :cause)
      and (:deliveries is null or deliveries & :deliveries <> 0) and (:is_clip is null or (kind = 'clip') = :is_clip)
    order by taken_at desc, id desc
    limit :limit";

/// How many there are in a run.
pub(super) const RUN_COUNT_SQL: &str = "
    select count(*) from images indexed by images_by_run
    where state = 'present' and camera = :camera and kind = :kind and cause = :cause and deliveries = :deliveries
      and taken_at < :to and taken_at >= :from";

/// How many a device brought.
pub(super) const DEVICE_COUNT_SQL: &str = "
    select count(*) from images indexed by images_by_device
    where state = 'present' and device = :device and taken_at < :to and taken_at >= :from
      and (:camera is null or camera = :camera) and (:cause is null or cause = :cause)
      and (:deliveries is null or deliveries & :deliveries <> 0) and (:is_clip is null or (kind = 'clip') = :is_clip)";

/// Pictures of one camera, kind and cause whose uploads are in the same states.
struct Run {
    camera: String,
    kind: ImageKind,
    cause: String,
    /// The sum of the states' [`bit`]s.
    deliveries: i64,
}

/// How `images.deliveries` says that an upload is in this state.
pub(super) fn bit(state: UploadState) -> i64 {
    match state {
        UploadState::Pending => 1,
        UploadState::Delivered => 2,
        UploadState::Dead => 4,
        UploadState::Skipped => 8,
        UploadState::Lost => 16,
    }
}

/// The runs in which there is something for a query. Those of other cameras are not looked at; each of the others takes
/// one step into the index.
fn runs(c: &Connection, query: &ImageQuery) -> Result<Vec<Run>, StoreError> {
    let mut statement = c.prepare_cached(NEXT_RUN_SQL)?;
    let camera = query.camera.as_ref().map_or("", CameraKey::as_str).to_owned();
    let mut first = (camera, String::new(), String::new(), 0);
    let mut runs = Vec::new();
    loop {
        let params =
            named_params! {":camera": first.0, ":kind": first.1, ":cause": first.2, ":deliveries": first.3};
        let found: Option<(String, String, String, i64)> = statement
            .query_row(params, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        let is_wanted = |(camera, ..): &(String, _, _, _)| {
            query.camera.as_ref().is_none_or(|wanted| wanted.as_str() == camera)
        };
        let Some(found) = found.filter(is_wanted) else { return Ok(runs) };
        let (camera, kind, cause, deliveries) = found;
        first = (camera.clone(), kind.clone(), cause.clone(), deliveries + 1);
        let kind = parsed("kind", ImageKind::parse(&kind))?;
        let is_of_medium = query.medium.is_none_or(|medium| medium == kind.medium());
        let is_of_cause = query.cause.is_none_or(|wanted| wanted.as_str() == cause);
        if is_of_medium && is_of_cause && query.state.is_none_or(|state| deliveries & bit(state) != 0) {
            runs.push(Run { camera, kind, cause, deliveries });
        }
    }
}

/// Where the rows are that a query finds within some bounds, newest first.
fn places(c: &Connection, query: &ImageQuery, bounds: Bounds, most: u32) -> Result<Vec<Cursor>, StoreError> {
    let place = |row: &Row<'_>| Ok(Cursor { ms: row.get(0)?, id: row.get(1)? });
    if let Some(text) = &query.text {
        return text_search::places(c, query, text, bounds, query.state.map_or(0, bit), most);
    }
    if let Some(device) = &query.device {
        let mut statement = c.prepare_cached(DEVICE_SQL)?;
        let found = statement.query_map(
            named_params! {":device": device.as_str(), ":camera": query.camera.as_ref().map(CameraKey::as_str),
            ":cause": query.cause.map(Cause::as_str), ":deliveries": query.state.map(bit),
            ":is_clip": query.medium.map(|medium| medium == Medium::Mp4),
            ":before_ms": bounds.before.ms, ":before_id": bounds.before.id, ":from": bounds.from_ms, ":limit": most},
            place,
        )?;
        return Ok(found.collect::<Result<_, _>>()?);
    }
    if let ImageQuery { camera: None, state: None, medium: None, cause: None, .. } = query {
        let mut statement = c.prepare_cached(ALL_SQL)?;
        let found = statement.query_map(
            named_params! {":before_ms": bounds.before.ms, ":before_id": bounds.before.id, ":from": bounds.from_ms,
            ":limit": most},
            place,
        )?;
        return Ok(found.collect::<Result<_, _>>()?);
    }
    let mut statement = c.prepare_cached(RUN_SQL)?;
    newest(&runs(c, query)?, bounds, usize::try_from(most).unwrap_or(usize::MAX), |run, bounds| {
        let found = statement.query_map(
            named_params! {":camera": run.camera, ":kind": run.kind.as_str(), ":cause": run.cause,
            ":deliveries": run.deliveries,
            ":before_ms": bounds.before.ms, ":before_id": bounds.before.id, ":from": bounds.from_ms, ":limit": most},
            place,
        )?;
        Ok(found.collect::<Result<_, _>>()?)
    })
}

impl Store {
    /// Pictures, newest first.
    pub async fn images(&self, query: ImageQuery) -> Result<Page<Image>, StoreError> {
        self.db.read(move |c| list(c, &query)).await
    }

    /// How many pictures a query finds on all of its pages.
    pub async fn image_count(&self, query: ImageQuery) -> Result<u64, StoreError> {
        self.db.read(move |c| count(c, &query)).await
    }
}

fn count(c: &Connection, query: &ImageQuery) -> Result<u64, StoreError> {
    let tx = c.unchecked_transaction()?;
    let to = query.to.map_or(i64::MAX, |to| to.0);
    let from = query.from.map_or(i64::MIN, |from| from.0);
    if let Some(text) = &query.text {
        // What can be had by the number of a page is no more.
        let (bounds, states) = (Bounds::new(query.from, query.to, None), query.state.map_or(0, bit));
        return Ok(text_search::places(&tx, query, text, bounds, states, TEXT_COUNT_MAX)?.len() as u64);
    }
    if let Some(device) = &query.device {
        let params = named_params! {":device": device.as_str(), ":camera": query.camera.as_ref().map(CameraKey::as_str),
        ":cause": query.cause.map(Cause::as_str), ":deliveries": query.state.map(bit),
        ":is_clip": query.medium.map(|medium| medium == Medium::Mp4), ":to": to, ":from": from};
        let total: i64 = tx.prepare_cached(DEVICE_COUNT_SQL)?.query_row(params, |row| row.get(0))?;
        return Ok(total.unsigned_abs());
    }
    let mut statement = tx.prepare_cached(RUN_COUNT_SQL)?;
    let mut total: i64 = 0;
    for run in runs(&tx, query)? {
        let params = named_params! {":camera": run.camera, ":kind": run.kind.as_str(), ":cause": run.cause,
        ":deliveries": run.deliveries, ":to": to, ":from": from};
        total += statement.query_row(params, |row| row.get::<_, i64>(0))?;
    }
    Ok(total.unsigned_abs())
}

pub(super) fn list(c: &Connection, query: &ImageQuery) -> Result<Page<Image>, StoreError> {
    // All that is read of a page is of one moment.
    let tx = c.unchecked_transaction()?;
    // One more than asked tells whether there is a next page.
    let most = query.limit.saturating_add(1);
    let found = places(&tx, query, Bounds::new(query.from, query.to, query.cursor), most)?;
    let page = Page::cut(found, query.limit, |place| *place);
    let sql =
        format!("select {COLUMNS} from images where images.id in (select value from json_each(:images))");
    let mut rows: Vec<(i64, Image)> = tx
        .prepare_cached(&sql)?
        .query_map(named_params! {":images": list_of(page.items.iter().map(|place| place.id))}, image)?
        .collect::<Result<_, _>>()?;
    rows.sort_by_key(|(id, image)| Reverse((image.facts.taken_at(), *id)));
    Ok(Page { items: with_uploads(&tx, rows)?, next: page.next })
}
