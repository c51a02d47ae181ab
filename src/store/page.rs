//! Lists are read page by page. A page begins where the one before it ended, so what is added meanwhile shifts nothing.

/// The end of a page: the last row's time and identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Milliseconds since 1970.
    pub ms: i64,
    /// Row identity.
    pub id: i64,
}

impl Cursor {
    /// After everything: the start of a list that runs from the newest.
    pub const END: Self = Self { ms: i64::MAX, id: i64::MAX };

    /// Parses what [`std::fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (ms, id) = text.split_once('.')?;
        Some(Self { ms: ms.parse().ok()?, id: id.parse().ok()? })
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
