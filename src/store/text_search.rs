//! Pictures found by a text that was read in them, also by one that is nearly the same.
//!
//! A list by text is made of runs of one index, as every list: one for each different text that agrees.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, named_params};

use super::StoreError;
use super::page::{Bounds, Cursor};
use super::rows::ImageQuery;
use crate::model::{CameraKey, Cause, DeviceName, Medium, PlateText, TextMatch};

/// Different texts that one look-up finds, beyond which it finds no more: those that agree exactly are always among them.
pub const TEXTS_FOUND_MAX: usize = 200;

/// The first text after this one, within a bound.
pub(super) const NEXT_TEXT_SQL: &str = "
    select known from readings indexed by readings_by_text
    where known > :after and known < :end
    order by known
    limit 1";

/// Texts that have one of these keys.
pub(super) const NEAR_SQL: &str = "
    select distinct reading_keys.text from json_each(:keys) as wanted cross join reading_keys
    on reading_keys.key = wanted.value
    limit :limit";

/// The newest pictures of a text.
pub(super) const RUN_SQL: &str = "
    select readings.taken_at, readings.image_id
    from readings indexed by readings_by_text cross join images on images.id = readings.image_id
    where readings.known = :text and (readings.taken_at, readings.image_id) < (:before_ms, :before_id)
      and readings.taken_at >= :from and images.state = 'present'
      and (:camera is null or images.camera = :camera) and (:cause is null or images.cause = :cause)
      and (:device is null or images.device = :device) and (:states = 0 or images.deliveries & :states <> 0)
    order by readings.taken_at desc, readings.image_id desc
    limit :limit";

/// So often the same text may stand in one picture.
const DOUBLES_MAX: u32 = 4;

/// The texts in the database that agree with one, the exact one first, then those that begin so, then those that are near.
fn texts(c: &Connection, wanted: &PlateText) -> Result<Vec<String>, StoreError> {
    let mut found = vec![wanted.as_str().to_owned()];
    // Texts hold letters and digits alone, and this is none.
    let end = format!("{wanted}\u{10ffff}");
    let mut statement = c.prepare_cached(NEXT_TEXT_SQL)?;
    let mut after = wanted.as_str().to_owned();
    while found.len() < TEXTS_FOUND_MAX / 2 {
        let next: Option<String> =
            statement.query_row(named_params! {":after": after, ":end": end}, |row| row.get(0)).optional()?;
        let Some(next) = next else { break };
        after.clone_from(&next);
        found.push(next);
    }
    let keys = serde_json::Value::from(wanted.near_keys().into_iter().collect::<Vec<_>>()).to_string();
    // Some that share a key are two edits away, and some begin so.
    let most = i64::try_from(TEXTS_FOUND_MAX * 4).unwrap_or(i64::MAX);
    let mut statement = c.prepare_cached(NEAR_SQL)?;
    let near = statement
        .query_map(named_params! {":keys": keys, ":limit": most}, |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    let is_near = |text: &String| {
        PlateText::parse(text).is_some_and(|text| wanted.matches(&text) == Some(TextMatch::Near))
    };
    found.extend(near.into_iter().filter(is_near));
    found.truncate(TEXTS_FOUND_MAX);
    Ok(found)
}

/// Where the rows are that a query by text finds within some bounds, newest first; `states` are the bits of the wanted states
/// of uploads, 0 for any.
pub(super) fn places(
    c: &Connection,
    query: &ImageQuery,
    wanted: &PlateText,
    bounds: Bounds,
    states: i64,
    most: u32,
) -> Result<Vec<Cursor>, StoreError> {
    if query.medium == Some(Medium::Mp4) {
        return Ok(Vec::new());
    }
    let limit = most.saturating_mul(DOUBLES_MAX);
    let camera = query.camera.as_ref().map(CameraKey::as_str);
    let (cause, device) = (query.cause.map(Cause::as_str), query.device.as_ref().map(DeviceName::as_str));
    let mut statement = c.prepare_cached(RUN_SQL)?;
    let mut found: BTreeSet<Cursor> = BTreeSet::new();
    for text in texts(c, wanted)? {
        let rows = statement.query_map(
            named_params! {":text": text, ":before_ms": bounds.before.ms, ":before_id": bounds.before.id,
            ":from": bounds.from_ms, ":camera": camera, ":cause": cause, ":device": device, ":states": states, ":limit": limit},
            |row| Ok(Cursor { ms: row.get(0)?, id: row.get(1)? }),
        )?;
        for row in rows {
            found.insert(row?);
        }
        while found.len() > usize::try_from(most).unwrap_or(usize::MAX) {
            found.pop_first();
        }
    }
    Ok(found.into_iter().rev().collect())
}
