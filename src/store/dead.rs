//! Dead letters: uploads that were put aside, listed and owed again. Nothing here deletes any.

use rusqlite::{Connection, Row, named_params};

use super::page::Page;
use super::queue::known_targets;
use super::{Store, StoreError, crash, parsed, written};
use crate::model::{CameraKey, FileName, TargetId, UnixMs, UploadFault, UploadState};

/// Rows that one transaction makes due again; the writer is free for a capture after each.
const ROWS_AT_A_TIME: i64 = 500;

/// An upload that was put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    row: i64,
    /// Name of the picture.
    pub filename: FileName,
    /// Its camera.
    pub camera: CameraKey,
    /// The instant it shows.
    pub taken_at: UnixMs,
    /// Length of its file.
    pub bytes: u64,
    /// Who refused it.
    pub target: TargetId,
    /// Attempts so far.
    pub attempts: u32,
    /// What the target said.
    pub last_error: Option<UploadFault>,
    /// When it was last tried; unknown of those put aside by older versions.
    pub tried_at: Option<UnixMs>,
}

/// The end of a page of dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadCursor {
    row: i64,
    target: TargetId,
}

impl DeadCursor {
    /// Parses what [`std::fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (row, target) = text.split_once('.')?;
        Some(Self { row: row.parse().ok()?, target: TargetId::parse(target)? })
    }
}

impl std::fmt::Display for DeadCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.row, self.target)
    }
}

/// Which dead letters to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeadQuery {
    /// Only those of this target.
    pub target: Option<TargetId>,
    /// At most this many, from 1.
    pub limit: u32,
    /// Where the previous page ended.
    pub cursor: Option<DeadCursor>,
}

/// Those of one target. The list of all of them is the newest of every target's, because few were put aside by one of
/// them while the other has a million.
pub(super) const DEAD_SQL: &str = "
    select image_id, u.target, u.attempts, u.last_error, u.last_error_code, u.last_error_params, u.tried_at, i.taken_at,
           i.file_name, i.camera, i.bytes
    from uploads u indexed by uploads_dead cross join images i on i.id = u.image_id
    where u.state = 'dead' and u.target = :target and u.image_id < :before
    order by u.image_id desc
    limit :limit";

pub(super) const NEXT_DEAD_SQL: &str = "
    select image_id from uploads indexed by uploads_dead
    where state = 'dead' and target = :target and image_id > :after
      and exists (select 1 from images where images.id = image_id and images.state = 'present')
    order by image_id
    limit :limit";

const OWED_AGAIN_SQL: &str = "
    update uploads set state = 'pending', not_before = 0, refusals = 0
    where image_id = :row and target = :target and state = 'dead'";

impl Store {
    /// Uploads that were put aside, newest picture first.
    pub async fn dead(&self, query: DeadQuery) -> Result<Page<DeadLetter, DeadCursor>, StoreError> {
        self.db.read(move |c| list(c, query)).await
    }

    /// Whether pictures are delivered to a target in this run.
    pub fn delivers_to(&self, target: TargetId) -> bool {
        self.targets.contains(&(target, UploadState::Pending))
    }

    /// Makes everything that was put aside due at once, for one target or for all that are in use. Returns how many.
    ///
    /// In bounded transactions, so that captures pass in between; dropping the future stops between two of them. What
    /// is refused again meanwhile is not looked at twice.
    pub async fn retry_dead(&self, target: Option<TargetId>) -> Result<u64, StoreError> {
        let mut count = 0;
        let wanted = self.targets.iter().map(|(id, _)| *id).filter(|id| target.is_none_or(|one| one == *id));
        for target in wanted.filter(|id| self.delivers_to(*id)) {
            let mut after = i64::MIN;
            while let Some((rows, last)) = self.retry_some(target, after).await? {
                crash::point("revived");
                count += rows;
                after = last;
            }
        }
        Ok(count)
    }

    /// How many rows after `after`, and the last of them; `None` at the end.
    async fn retry_some(&self, target: TargetId, after: i64) -> Result<Option<(u64, i64)>, StoreError> {
        self.db
            .write(move |tx| {
                let rows: Vec<i64> = tx
                    .prepare_cached(NEXT_DEAD_SQL)?
                    .query_map(
                        named_params! {":after": after, ":target": target.as_str(), ":limit": ROWS_AT_A_TIME},
                        |row| row.get(0),
                    )?
                    .collect::<Result<_, _>>()?;
                for row in &rows {
                    tx.prepare_cached(OWED_AGAIN_SQL)?
                        .execute(named_params! {":row": row, ":target": target.as_str()})?;
                    crash::point("reviving");
                }
                Ok(rows.last().map(|last| (rows.len() as u64, *last)))
            })
            .await
    }
}

fn list(c: &Connection, query: DeadQuery) -> Result<Page<DeadLetter, DeadCursor>, StoreError> {
    let (row, before) = query.cursor.map_or((i64::MAX, ""), |cursor| (cursor.row, cursor.target.as_str()));
    let mut letters: Vec<DeadLetter> = Vec::new();
    let mut statement = c.prepare_cached(DEAD_SQL)?;
    for target in
        known_targets(c)?.into_iter().filter(|target| query.target.is_none_or(|wanted| wanted == *target))
    {
        // Of the picture at which the page before ended, the targets that come after are still to be shown.
        let before = if target.as_str() < before { row.saturating_add(1) } else { row };
        let found = statement.query_map(
            // One more than asked tells whether there is a next page.
            named_params! {":target": target.as_str(), ":before": before, ":limit": i64::from(query.limit) + 1},
            letter,
        )?;
        for letter in found {
            letters.push(letter?);
        }
    }
    letters.sort_by(|a, b| (b.row, b.target.as_str()).cmp(&(a.row, a.target.as_str())));
    Ok(Page::cut(letters, query.limit, |letter: &DeadLetter| DeadCursor {
        row: letter.row,
        target: letter.target,
    }))
}

fn letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        row: row.get("image_id")?,
        filename: parsed("file_name", FileName::parse(&row.get::<_, String>("file_name")?))?,
        camera: parsed("camera", CameraKey::parse(&row.get::<_, String>("camera")?).ok())?,
        taken_at: UnixMs(row.get("taken_at")?),
        bytes: u64::try_from(row.get::<_, i64>("bytes")?).unwrap_or(0),
        target: parsed("target", TargetId::parse(&row.get::<_, String>("target")?))?,
        attempts: row.get("attempts")?,
        last_error: written::read(row, "last_error")?,
        tried_at: row.get::<_, Option<i64>>("tried_at")?.map(UnixMs),
    })
}
