//! Pictures and clips in pages: which runs of the index a query wants, and the newest rows of these.

use std::cmp::Reverse;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::image_row::{COLUMNS, image};
use super::images::with_uploads;
use super::page::{Bounds, Cursor, Page, list_of, newest};
use super::rows::{Image, ImageQuery};
use super::{Store, StoreError, parsed};
use crate::model::{CameraKey, ImageKind, UploadState};

/// The newest of all.
pub(super) const ALL_SQL: &str = "
    select taken_at, id from images
    where state = 'present' and (taken_at, id) < (:before_ms, :before_id) and taken_at >= :from
    order by taken_at desc, id desc
    limit :limit";

/// The newest of a run.
pub(super) const RUN_SQL: &str = "
    select taken_at, id from images indexed by images_by_run
    where state = 'present' and camera = :camera and kind = :kind and deliveries = :deliveries
      and (taken_at, id) < (:before_ms, :before_id) and taken_at >= :from
    order by taken_at desc, id desc
    limit :limit";

/// The first run that is not before this one. Asked for those after one, SQLite would step over each of its rows.
pub(super) const NEXT_RUN_SQL: &str = "
    select camera, kind, deliveries from images indexed by images_by_run
    where state = 'present' and (camera, kind, deliveries) >= (:camera, :kind, :deliveries)
    order by camera, kind, deliveries
    limit 1";

/// Pictures of one camera and kind whose uploads are in the same states.
struct Run {
    camera: String,
    kind: ImageKind,
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
    let mut first = (query.camera.as_ref().map_or("", CameraKey::as_str).to_owned(), String::new(), 0);
    let mut runs = Vec::new();
    loop {
        let params = named_params! {":camera": first.0, ":kind": first.1, ":deliveries": first.2};
        let found: Option<(String, String, i64)> =
            statement.query_row(params, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
        let is_wanted = |(camera, ..): &(String, _, _)| {
            query.camera.as_ref().is_none_or(|wanted| wanted.as_str() == camera)
        };
        let Some(found) = found.filter(is_wanted) else { return Ok(runs) };
        let (camera, kind, deliveries) = found;
        first = (camera.clone(), kind.clone(), deliveries + 1);
        let kind = parsed("kind", ImageKind::parse(&kind))?;
        let is_of_medium = query.medium.is_none_or(|medium| medium == kind.medium());
        if is_of_medium && query.state.is_none_or(|state| deliveries & bit(state) != 0) {
            runs.push(Run { camera, kind, deliveries });
        }
    }
}

/// Where the rows are that a query finds within some bounds, newest first.
fn places(c: &Connection, query: &ImageQuery, bounds: Bounds, most: u32) -> Result<Vec<Cursor>, StoreError> {
    let place = |row: &Row<'_>| Ok(Cursor { ms: row.get(0)?, id: row.get(1)? });
    if let ImageQuery { camera: None, state: None, medium: None, .. } = query {
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
            named_params! {":camera": run.camera, ":kind": run.kind.as_str(), ":deliveries": run.deliveries,
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
