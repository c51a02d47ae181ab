//! Texts of the watch list that were read and that nobody has seen yet.

use rusqlite::{Connection, named_params};

use super::image_row::COLUMNS;
use super::rows::Image;
use super::{Store, StoreError, analyses, parsed};
use crate::model::{CameraKey, FileName, UnixMs};

/// So many are counted; of more nobody needs to know how many.
pub const WATCHED_NEWS_MAX: u32 = 1000;

/// What was read and is news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedText {
    /// Number of the reading.
    pub reading: i64,
    /// The text of the watch list.
    pub watched: String,
    /// As it was read.
    pub read: String,
    /// Whose picture it stands in.
    pub camera: CameraKey,
    /// The picture.
    pub filename: FileName,
    /// The instant it shows.
    pub taken_at: UnixMs,
}

/// How much of it there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchedNews {
    /// How many, at most [`WATCHED_NEWS_MAX`].
    pub count: u64,
    /// The newest of them.
    pub newest: Option<WatchedText>,
}

pub(super) const COUNT_SQL: &str = "
    select 1 from readings indexed by readings_watched
    where watched is not null and seen_at is null and checked_at is null
    limit :limit";

pub(super) const NEWEST_SQL: &str = "
    select readings.id, watched, text, camera, file_name, images.taken_at
    from readings indexed by readings_watched cross join images on images.id = image_id
    where watched is not null and seen_at is null and checked_at is null and images.state = 'present'
    order by readings.id desc
    limit 1";

pub(super) const SEE_SQL: &str = "
    update readings indexed by readings_watched set seen_at = :now
    where watched is not null and seen_at is null and checked_at is null and id <= :up_to";

/// The newest pictures with such a text.
pub(super) fn images_sql() -> String {
    format!(
        "select {COLUMNS} from images
         where images.id in (select image_id from readings indexed by readings_watched
                             where watched is not null and seen_at is null and checked_at is null
                             order by id desc limit :limit)
           and images.state = 'present'"
    )
}

impl Store {
    /// What was read of the watch list and nobody has seen.
    pub async fn watched_news(&self) -> Result<WatchedNews, StoreError> {
        self.db
            .read(move |c| {
                let count = count(c)?;
                let newest = if count > 0 { newest(c)? } else { None };
                Ok(WatchedNews { count, newest })
            })
            .await
    }

    /// The newest pictures in which such a text stands.
    pub async fn watched_images(&self, limit: u32) -> Result<Vec<Image>, StoreError> {
        self.db.read(move |c| analyses::newest(c, &images_sql(), limit)).await
    }

    /// Somebody has seen them, up to a reading that was shown. Returns how many were news.
    pub async fn see_watched(&self, up_to: i64, now: UnixMs) -> Result<usize, StoreError> {
        self.db
            .write(move |tx| {
                Ok(tx.prepare_cached(SEE_SQL)?.execute(named_params! {":now": now.0, ":up_to": up_to})?)
            })
            .await
    }
}

fn count(c: &Connection) -> Result<u64, StoreError> {
    let mut statement = c.prepare_cached(COUNT_SQL)?;
    let mut rows = statement.query(named_params! {":limit": WATCHED_NEWS_MAX})?;
    let mut count = 0;
    while rows.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn newest(c: &Connection) -> Result<Option<WatchedText>, StoreError> {
    let mut statement = c.prepare_cached(NEWEST_SQL)?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(WatchedText {
        reading: row.get("id")?,
        watched: row.get("watched")?,
        read: row.get("text")?,
        camera: parsed("camera", CameraKey::parse(&row.get::<_, String>("camera")?).ok())?,
        filename: parsed("file_name", FileName::parse(&row.get::<_, String>("file_name")?))?,
        taken_at: UnixMs(row.get("taken_at")?),
    }))
}
