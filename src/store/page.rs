//! Lists are read page by page. A page begins where the one before it ended, so what is added meanwhile shifts nothing.
//!
//! A filter may match a row in a million, so no list is read past rows that are not wanted: each combination of what a
//! filter may fix is a *run* of an index, in the order of the list, and a page is the newest rows of a few runs.

use std::fmt::Write as _;

use crate::model::UnixMs;

/// The end of a page: the last row's time and identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Milliseconds since 1970.
    pub ms: i64,
    /// Row identity.
    pub id: i64,
}

impl Cursor {
    /// After everything: the start of a list that runs from the newest.
    pub const END: Self = Self { ms: i64::MAX, id: i64::MAX };

    /// What [`Cursor::parse`] takes, as a regular expression of JSON Schema.
    pub const PATTERN: &str = r"^-?[0-9]{1,18}\.-?[0-9]{1,18}$";

    /// Parses what [`std::fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let is_number = (1..=18).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
            if is_number { text.parse().ok() } else { None }
        };
        let (ms, id) = text.split_once('.')?;
        Some(Self { ms: number(ms)?, id: number(id)? })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.ms, self.id)
    }
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T, C = Cursor> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// Cuts a list that was read one row too long.
    pub(super) fn cut(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> C) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

/// Where the rows of a page may lie. Of two bounds on one side SQLite enters the index at one, which may be the newest
/// row of all, and steps from there to the other; so there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Every row comes before this, by time and identity.
    pub(super) before: Cursor,
    /// Not before this instant, in milliseconds since 1970.
    pub(super) from_ms: i64,
}

impl Bounds {
    /// From an instant, before another one, after the page that ended at `cursor`.
    pub(super) fn new(from: Option<UnixMs>, to: Option<UnixMs>, cursor: Option<Cursor>) -> Self {
        // No row has this identity, so everything at that instant is out.
        let to = to.map_or(Cursor::END, |to| Cursor { ms: to.0, id: i64::MIN });
        Self { before: cursor.unwrap_or(Cursor::END).min(to), from_ms: from.map_or(i64::MIN, |from| from.0) }
    }
}

/// The newest `most` rows of several runs, newest first; `read` gives the newest of one run within bounds, in order.
pub(super) fn newest<R, E>(
    runs: &[R],
    bounds: Bounds,
    most: usize,
    mut read: impl FnMut(&R, Bounds) -> Result<Vec<Cursor>, E>,
) -> Result<Vec<Cursor>, E> {
    let (mut found, mut left): (Vec<Cursor>, Bounds) = (Vec::new(), bounds);
    for run in runs {
        found.extend(read(run, left)?);
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate(most);
        if let Some(last) = found.get(most.wrapping_sub(1)) {
            // What is older than all of these need not be read.
            left.from_ms = left.from_ms.max(last.ms);
        }
    }
    Ok(found)
}

/// Identities as a parameter for `json_each`.
pub(super) fn list_of(ids: impl IntoIterator<Item = i64>) -> String {
    let mut text = String::from("[");
    for id in ids {
        let comma = if text.len() > 1 { "," } else { "" };
        // Writing into a string does not fail.
        let _ = write!(text, "{comma}{id}");
    }
    text.push(']');
    text
}
