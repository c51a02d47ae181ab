//! The queue as a whole: what waits for each target, and what was put aside, as a list, as a table, and sent again.

use std::time::{Duration, Instant};

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;

use super::body::Json;
use super::code::ErrorCode;
use super::error::ApiError;
use super::query::Query;
use super::security_log::Deed;
use super::view::upload::{DeadLetterPage, DeadLetterView, OwedAgain, RetryWish};
use super::{State, parameters};
use crate::clock;
use crate::config::{Config, LaneConfig, words_of};
use crate::model::{TargetId, UnixMs};
use crate::status::TargetStatus;
use crate::status::pace::DeliveryRate;
use crate::store::{DeadCursor, DeadLetter, DeadQuery, Stats, StoreCatalog, StoreError};

/// Rows of a table that are read and sent at once; this bounds the memory of an export, however long it is.
const EXPORT_ROWS: u32 = 500;

/// The first line of the table.
const HEAD: &str = "filename,camera,taken_at,bytes,target,attempts,tried_at,error\r\n";

/// How a target's queue stands. Nothing of it is written down anywhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backlog {
    /// The target.
    pub(super) id: TargetId,
    /// Uploads that wait or are under way.
    pub(super) pending: u64,
    /// The instant of the oldest picture among them.
    pub(super) oldest: Option<UnixMs>,
    /// How long ago that was; nought for a picture of a clock that ran ahead.
    pub(super) oldest_age: Option<Duration>,
    /// Deliveries of the last minutes.
    pub(super) rate: DeliveryRate,
    /// How long what waits takes at this rate; `None` while nothing goes or nothing waits.
    pub(super) drained_in: Option<Duration>,
    /// How it is served.
    pub(super) lane: LaneConfig,
}

impl Backlog {
    /// The backlog of a target as it is now.
    pub(super) fn of(target: &TargetStatus, stats: &Stats, config: &Config) -> Self {
        let now = Instant::now();
        let pending = stats.of_target(target.id, crate::model::UploadState::Pending);
        let oldest = stats.oldest.get(&target.id).copied();
        let age = |at: UnixMs| {
            Duration::from_millis(u64::try_from(clock::now().0.saturating_sub(at.0)).unwrap_or(0))
        };
        let is_moving = pending > 0 && target.paused_by.is_none();
        Self {
            id: target.id,
            pending,
            oldest,
            oldest_age: oldest.map(age),
            rate: target.pace.rate(now),
            drained_in: is_moving.then(|| target.pace.time_for(pending, now)).flatten(),
            lane: config.upload.lane(target.id),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
}

/// What was put aside: a page of it, or all of it as a table.
pub(super) async fn dead(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, parameters::DEAD)?;
    let format = query.parsed("format", "json or csv", |text| match text {
        "json" => Some(Format::Json),
        "csv" => Some(Format::Csv),
        _ => None,
    })?;
    let query = DeadQuery {
        target: query.parsed("target", &TargetId::accepted(), TargetId::parse)?,
        limit: query.limit()?,
        cursor: query.parsed("cursor", "the next_cursor of the page before", DeadCursor::parse)?,
    };
    if format == Some(Format::Csv) {
        return Ok(export(&state.store, query.target));
    }
    let page = state.store.dead(query).await?;
    Ok(HttpResponse::Ok().json(DeadLetterPage {
        uploads: page.items.into_iter().map(DeadLetterView::from).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

fn export(store: &StoreCatalog, target: Option<TargetId>) -> HttpResponse {
    let first = DeadQuery { target, limit: EXPORT_ROWS, cursor: None };
    let store = store.clone();
    let rows = stream::unfold(Some(first), move |query| {
        let store = store.clone();
        async move {
            let query = query?;
            let text = rows(&store, query).await;
            // An error ends the answer in the middle, which a client notices; half a table must not look like a whole.
            let next = text.as_ref().ok().and_then(|(_, cursor)| *cursor);
            let next = next.map(|cursor| DeadQuery { cursor: Some(cursor), ..query });
            Some((text.map(|(text, _)| Bytes::from(text)), next))
        }
    });
    HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"put-aside.csv\""))
        .streaming(rows)
}

/// Some lines of the table, with its head if they are the first, and where the next ones begin.
async fn rows(store: &StoreCatalog, query: DeadQuery) -> Result<(String, Option<DeadCursor>), StoreError> {
    let page = store.dead(query).await?;
    let mut text = if query.cursor.is_none() { HEAD.to_owned() } else { String::new() };
    for letter in &page.items {
        text.push_str(&line(letter));
    }
    Ok((text, page.next))
}

/// One line, as RFC 4180 writes it.
fn line(letter: &DeadLetter) -> String {
    let cells = [
        letter.filename.to_string(),
        letter.camera.to_string(),
        letter.taken_at.rfc3339(),
        letter.bytes.to_string(),
        letter.target.to_string(),
        letter.attempts.to_string(),
        letter.tried_at.map(UnixMs::rfc3339).unwrap_or_default(),
        letter
            .last_error
            .as_ref()
            .map(|fault| words_of(letter.target, &fault.to_string()))
            .unwrap_or_default(),
    ];
    cells.map(|text| cell(&text)).join(",") + "\r\n"
}

/// A cell that stays text. The words of a server may begin like a formula, which a spreadsheet would run; an apostrophe
/// in front keeps it from that.
fn cell(text: &str) -> String {
    let begins = |text: &str, with: &[char]| text.starts_with(with);
    let is_formula = begins(text, &['\t', '\r', '\n'])
        || begins(text.trim_start(), &['=', '+', '-', '@', '|', '%', '＝', '＋', '－', '＠']);
    let safe = if is_formula { format!("'{text}") } else { text.to_owned() };
    format!("\"{}\"", safe.replace('"', "\"\""))
}

/// Makes everything that was put aside due at once.
pub(super) async fn retry(
    request: HttpRequest,
    state: web::Data<State>,
    Json(body): Json<RetryWish>,
) -> Result<HttpResponse, ApiError> {
    if body.state != "dead" {
        return Err(ApiError::bad_request("state: accepted is dead; what waits is sent by itself"));
    }
    let target =
        match body.target.as_deref() {
            None => None,
            Some(text) => Some(TargetId::parse(text).ok_or_else(|| {
                ApiError::bad_request(format!("target: accepted is {}", TargetId::accepted()))
            })?),
        };
    if let Some(target) = target.filter(|target| !state.store.delivers_to(*target)) {
        let message =
            format!("nothing is delivered to {target} at the moment; configure it and UPLOAD_ENABLED first");
        return Err(ApiError::new(ErrorCode::TargetOff, message));
    }
    let count = state.store.retry_dead(target).await?;
    state.note(&request, Deed::SentAgain, format_args!("{count} that were put aside"));
    state.store.wake_lanes();
    Ok(HttpResponse::Ok().json(OwedAgain { owed_again: count }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::foreign;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_cell_is_one_cell_of_text(text in ".{0,60}|[\\s=+@|%\"',;-]{0,12}") {
            let cell = cell(&text);
            let inside = cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).unwrap();
            // RFC 4180: a quotation mark within is written twice.
            prop_assert!(!inside.replace("\"\"", "").contains('"'));
            let read = inside.replace("\"\"", "\"");
            prop_assert!(read == text || read.strip_prefix('\'') == Some(&text));
            prop_assert!(!read.trim_start().starts_with(['=', '+', '-', '@', '|', '%', '＝', '＋', '－', '＠']));
            prop_assert!(!read.starts_with(['\t', '\r', '\n']));
            // What is kept goes through the cleaner first, and nothing that it leaves out hides the beginning.
            let clean = foreign::line(&text, 60);
            prop_assert!(!clean.starts_with(|c: char| c.is_whitespace()));
        }
    }

    #[test]
    fn no_cell_begins_a_formula_or_ends_its_line() {
        for (text, expected) in [
            ("answered 413: too large", "\"answered 413: too large\""),
            ("=cmd|'/c calc'!A0", "\"'=cmd|'/c calc'!A0\""),
            (" +1", "\"' +1\""),
            ("-1", "\"'-1\""),
            ("@sum(A1)", "\"'@sum(A1)\""),
            ("\tx", "\"'\tx\""),
            ("a \"b\", c\r\nd", "\"a \"\"b\"\", c\r\nd\""),
            ("", "\"\""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
