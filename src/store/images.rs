//! Pictures and clips: recording, listing and protecting them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params};

use super::image_row::{COLUMNS, image};
use super::page::list_of;
use super::rows::{Image, TriggerId, UploadInfo};
use super::{Store, StoreError, analysis_rows, parsed, said, tree, written};
use crate::model::{FileName, ImageId, TargetId, UnixMs, UploadState};

impl Store {
    /// The picture with this name, if it is there.
    pub async fn image(&self, name: &FileName) -> Result<Option<Image>, StoreError> {
        let name = name.clone();
        self.db.read(move |c| by_name(c, &name)).await
    }

    /// Pictures, but no clips, the one that was stored last first, at most `most`.
    pub async fn arrivals(&self, most: u32) -> Result<Vec<Image>, StoreError> {
        self.db.read(move |c| arrivals(c, most)).await
    }

    /// Opens the file of a picture; whatever else may lie in its place is `NotFound`. Blocking.
    pub fn open_image(&self, image: &Image) -> io::Result<File> {
        tree::open_beneath(self.files.root(), &image.path).map_err(tree::or_absent)
    }

    /// The whole path of a picture; to be shown. It is opened by [`Store::open_image`].
    pub fn path_of(&self, image: &Image) -> PathBuf {
        self.files.root().join(&image.path)
    }

    /// Switches the protection of a picture; `None` when there is no such picture.
    pub async fn protect(&self, name: &FileName, protected: bool) -> Result<Option<Image>, StoreError> {
        const PROTECT_SQL: &str = "
            update images set protected = :protected where file_name = :name and state = 'present'";
        let name = name.clone();
        self.db
            .write(move |tx| {
                tx.execute(PROTECT_SQL, named_params! {":protected": protected, ":name": name.to_string()})?;
                by_name(tx, &name)
            })
            .await
    }
}

pub(super) fn name_is_known(tx: &Transaction<'_>, name: &FileName) -> Result<bool, StoreError> {
    Ok(tx
        .prepare_cached("select 1 from images where file_name = :name")?
        .exists(named_params! {":name": name.to_string()})?)
}

pub(super) fn arrivals_sql() -> String {
    format!(
        "select {COLUMNS} from images where state = 'present' and kind <> 'clip' order by images.id desc limit :most"
    )
}

fn arrivals(c: &Connection, most: u32) -> Result<Vec<Image>, StoreError> {
    // All that is read is of one moment.
    let tx = c.unchecked_transaction()?;
    let rows = tx
        .prepare_cached(&arrivals_sql())?
        .query_map(named_params! {":most": most}, image)?
        .collect::<Result<_, _>>()?;
    with_uploads(&tx, rows)
}

pub(super) fn by_name(c: &Connection, name: &FileName) -> Result<Option<Image>, StoreError> {
    let sql = format!("select {COLUMNS} from images where file_name = :name and state = 'present'");
    one(c, &sql, named_params! {":name": name.to_string()})
}

pub(super) fn by_id(c: &Connection, id: ImageId) -> Result<Option<Image>, StoreError> {
    let sql = format!("select {COLUMNS} from images where uid = :uid and state = 'present'");
    one(c, &sql, named_params! {":uid": id.as_bytes()})
}

/// The picture of a row, if it is there.
pub(super) fn by_row(c: &Connection, row: i64) -> Result<Option<Image>, StoreError> {
    let sql = format!("select {COLUMNS} from images where id = :row and state = 'present'");
    one(c, &sql, named_params! {":row": row})
}

/// How the delivery of the picture of a row stands, and its name, if it is there.
pub(super) fn upload_of(
    c: &Connection,
    row: i64,
    target: TargetId,
) -> Result<Option<(FileName, UploadInfo)>, StoreError> {
    const UPLOAD_SQL: &str = "
        select target, uploads.state, attempts, last_error, last_error_code, last_error_params, answer, delivered_at,
               not_before, file_name
        from uploads join images on images.id = image_id
        where image_id = :row and target = :target and images.state = 'present'";
    let found = c
        .prepare_cached(UPLOAD_SQL)?
        .query_row(named_params! {":row": row, ":target": target.as_str()}, |row| {
            Ok((parsed("file_name", FileName::parse(&row.get::<_, String>("file_name")?))?, upload(row)?))
        });
    Ok(found.optional()?)
}

fn one(c: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Option<Image>, StoreError> {
    let found = c.prepare_cached(sql)?.query_row(params, image).optional()?;
    Ok(with_uploads(c, found.into_iter().collect())?.pop())
}

/// The pictures and clips of some triggers, each trigger's in the order in which they were stored.
pub(super) fn images_of_triggers(
    c: &Connection,
    triggers: impl IntoIterator<Item = TriggerId>,
) -> Result<HashMap<TriggerId, Vec<Image>>, StoreError> {
    let sql = format!(
        "select trigger_id, {COLUMNS} from images
         where trigger_id in (select value from json_each(:triggers)) and state = 'present' order by images.id"
    );
    let (owners, rows): (Vec<TriggerId>, Vec<(i64, Image)>) = c
        .prepare_cached(&sql)?
        .query_map(named_params! {":triggers": list_of(triggers.into_iter().map(|id| id.0))}, |row| {
            Ok((TriggerId(row.get("trigger_id")?), image(row)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut found: HashMap<TriggerId, Vec<Image>> = HashMap::new();
    for (trigger, image) in owners.into_iter().zip(with_uploads(c, rows)?) {
        found.entry(trigger).or_default().push(image);
    }
    Ok(found)
}

/// Some rows with their uploads and analyses, in the same order.
pub(super) fn with_uploads(c: &Connection, rows: Vec<(i64, Image)>) -> Result<Vec<Image>, StoreError> {
    const UPLOADS_SQL: &str = "
        select image_id, target, state, attempts, last_error, last_error_code, last_error_params, answer, delivered_at,
               not_before
        from uploads
        where image_id in (select value from json_each(:images))
        order by image_id, target";
    let mut uploads: HashMap<i64, Vec<UploadInfo>> = HashMap::new();
    let mut statement = c.prepare_cached(UPLOADS_SQL)?;
    let mut found = statement.query(named_params! {":images": list_of(rows.iter().map(|(id, _)| *id))})?;
    while let Some(row) = found.next()? {
        uploads.entry(row.get("image_id")?).or_default().push(upload(row)?);
    }
    let ids: Vec<i64> = rows.iter().map(|(id, _)| *id).collect();
    let mut analyses = analysis_rows::of_images(c, &ids)?;
    let owned = |(id, image)| Image {
        uploads: uploads.remove(&id).unwrap_or_default(),
        analysis: analyses.remove(&id),
        ..image
    };
    Ok(rows.into_iter().map(owned).collect())
}

fn upload(row: &Row<'_>) -> rusqlite::Result<UploadInfo> {
    let state = parsed("state", UploadState::parse(&row.get::<_, String>("state")?))?;
    let not_before: i64 = row.get("not_before")?;
    Ok(UploadInfo {
        target: parsed("target", TargetId::parse(&row.get::<_, String>("target")?))?,
        state,
        attempts: row.get("attempts")?,
        last_error: written::read(row, "last_error")?,
        answer: said(row, "answer")?,
        delivered_at: row.get::<_, Option<i64>>("delivered_at")?.map(UnixMs),
        next_attempt: (state == UploadState::Pending && not_before > 0).then_some(UnixMs(not_before)),
    })
}
