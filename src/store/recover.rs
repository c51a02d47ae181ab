//! A database that is damaged, gone or to be built anew: set aside, never deleted, and replaced by one that holds what
//! can still be read of it, of its copy, and of the folder.
//!
//! The new database is complete and synced before the old one is touched, and the old one is renamed with its log. A
//! crash at any point leaves the old one, or a finished new one that the next start puts into its place.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use sha2::{Digest, Sha256};
use tracing::{debug, error, info, warn};

use super::backup;
use super::beside::{beside, sync_folder};
use super::blocking;
use super::disk;
use super::files::{Files, is_day};
use super::replace::{file, finish_replacement, is_file, put_in_place};
use super::{Ownership, Reconciled, Store, StoreError, migrate, readings, takeover};
use crate::model::{FileName, TargetId, UploadState};

/// Rows read at a time. Where a page cannot be read, the rows around it are tried one by one.
const ROWS: i64 = 256;

/// What the owner of the directory gets.
pub struct OpenedStore {
    /// Everything that is kept.
    pub store: Store,
    /// Held as long as the program runs.
    pub ownership: Ownership,
    /// What an operator must know: the database was replaced.
    pub alarm: Option<String>,
}

/// What was carried over into a new database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Rows of pictures, deleted ones among them.
    pub images: u64,
    /// Rows of the ledger.
    pub triggers: u64,
    /// Deliveries that need not be made again.
    pub delivered: u64,
    /// Rows that could not be read.
    pub unreadable: u64,
    /// Rows whose file is another one, or gone; the folder counts.
    pub refused: u64,
    /// Whether the password and other settings were carried over.
    pub has_settings: bool,
    /// Whether the API tokens were carried over.
    pub has_tokens: bool,
}

/// What a rebuild did.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// Where the old database is now; `None` when there was none.
    pub set_aside: Option<PathBuf>,
    /// What was carried over from it.
    pub carried: Carried,
    /// What came from the folder.
    pub reconciled: Reconciled,
    /// Pictures that are there now.
    pub images: u64,
    /// Uploads that are owed now.
    pub owed: u64,
}

impl Store {
    /// Takes the picture directory for this process, then opens the database. One that is damaged (`damage` says what was
    /// found in it before) or gone is replaced, and the alarm says by what. Blocking.
    pub fn open_owned(
        images: &Path,
        database: &Path,
        targets: &[(TargetId, UploadState)],
        damage: Option<String>,
    ) -> Result<OpenedStore, StoreError> {
        // While its disk is away, the folder is taken later.
        let (folder, lock) = disk::own(images, database)?;
        let folder = folder.ok();
        finish_replacement(database)?;
        let is_gone = fs::metadata(database).map_or(true, |meta| meta.len() == 0);
        let found = match damage {
            Some(found) => Some(found),
            None if is_gone && is_file(&backup::path_of(database)) => {
                Some("the file is gone or empty".to_owned())
            }
            None => match Self::open(images, database, targets) {
                Ok(store) => {
                    let ownership = store.ownership(folder, lock);
                    return Ok(OpenedStore { store, ownership, alarm: None });
                }
                Err(error) if error.is_damage() => Some(error.to_string()),
                Err(error) => return Err(error),
            },
        };
        let alarm = replace_damaged(database, &found.unwrap_or_default())?;
        let store = Self::open(images, database, targets)?;
        Ok(OpenedStore { ownership: store.ownership(folder, lock), store, alarm: Some(alarm) })
    }

    /// Builds the database anew from the picture folder. Settings, password, tokens, the ledger, protection and what was
    /// delivered come from the old database as far as it can be read; every other picture is owed again. The old one is
    /// renamed, never deleted. Fails when a daemon owns the directory.
    pub async fn rebuild(
        images: PathBuf,
        database: PathBuf,
        targets: Vec<(TargetId, UploadState)>,
    ) -> Result<Rebuilt, StoreError> {
        let (set_aside, carried, store, _ownership) = blocking::blocking(move || {
            let (folder, lock) = disk::own(&images, &database)?;
            let folder = folder?;
            finish_replacement(&database)?;
            refuse_foreign(&database)?;
            let files = Files::open(&images).map_err(|source| file("create", &images, source))?;
            let sources = [database.clone(), backup::path_of(&database)];
            let carried = build(&database, &sources, &|row| is_the_file(&files, row))?;
            let set_aside = put_in_place(&database, "old")?;
            let store = Self::open(&images, &database, &targets)?;
            let ownership = store.ownership(Some(folder), lock);
            Ok((set_aside, carried, store, ownership))
        })
        .await?;
        let reconciled = store.reconcile().await?;
        let stats = store.stats().await?;
        store.close().await?;
        Ok(Rebuilt {
            set_aside,
            carried,
            reconciled,
            images: stats.cameras.values().map(|tally| tally.images).sum(),
            owed: stats.pending(),
        })
    }
}

/// A database of a newer version or another program is not rebuilt; one that cannot be read is.
fn refuse_foreign(database: &Path) -> Result<(), StoreError> {
    if !database.exists() {
        return Ok(());
    }
    match Connection::open(database)
        .map_err(StoreError::from)
        .and_then(|c| migrate::check_identity(&c, database))
    {
        Err(error @ (StoreError::Foreign { .. } | StoreError::Newer { .. })) => Err(error),
        _ => Ok(()),
    }
}

/// Replaces a damaged database by what can be read of it and of its copy. Returns the alarm.
fn replace_damaged(database: &Path, found: &str) -> Result<String, StoreError> {
    error!(database = %database.display(), found, "the database is damaged and is replaced");
    let has_backup = is_file(&backup::path_of(database));
    let sources = [database.to_owned(), backup::path_of(database)];
    let carried = build(database, &sources, &is_ours)?;
    let set_aside = put_in_place(database, "damaged")?;
    warn!(?carried, "the database was replaced; the folder is compared with it");
    let kept = set_aside.map_or_else(String::new, |path| format!(" It was kept as {}.", path.display()));
    let from = if has_backup { "it, its copy" } else { "it" };
    let mut lost = Vec::new();
    if !carried.has_settings {
        lost.push("a new password must be set, with the code in the log");
    }
    if !carried.has_tokens {
        lost.push("tokens of the API must be made anew");
    }
    let lost = if lost.is_empty() { String::new() } else { format!(" {}.", lost.join("; ")) };
    Ok(format!(
        "the database was damaged ({found}) and was built anew from what could be read of {from} and the picture folder: \
         {} pictures known, {} deliveries known, {} rows unreadable; what is not known to be delivered is sent again.\
         {kept}{lost} Check the disk or card",
        carried.images, carried.delivered, carried.unreadable
    ))
}

/// Builds a complete database beside `database` from what can be read of `sources`, the first one first. Pictures whose
/// row `is_right` refuses are left to the folder.
fn build(
    database: &Path,
    sources: &[PathBuf],
    is_right: &dyn Fn(&ImageRow) -> bool,
) -> Result<Carried, StoreError> {
    let new = beside(database, ".new");
    if let Some(parent) = database.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        crate::system::folder::create(parent)
            .map_err(|source| file("create the directory", parent, source))?;
    }
    backup::create(&new).map_err(|source| file("create", &new, source))?;
    let mut target = Connection::open(&new)?;
    target
        .execute_batch("pragma journal_mode = off; pragma synchronous = off; pragma foreign_keys = off;")?;
    migrate::migrate(&mut target, &new)?;
    let mut carried = Carried::default();
    target.execute_batch("begin")?;
    // Where the database is an operator says, perhaps with a link; its copy is this program's own.
    let has_bytes = |source: &&PathBuf| {
        (*source == database || is_file(source)) && fs::metadata(source).is_ok_and(|meta| meta.len() > 0)
    };
    for source in sources.iter().filter(has_bytes) {
        match open_old(source) {
            Ok(old) => carry(&old, &target, source == database, is_right, &mut carried)?,
            Err(error) => {
                warn!(database = %source.display(), %error, "nothing can be read of it");
                carried.unreadable += 1;
            }
        }
    }
    target.execute_batch(TIDY_SQL)?;
    target.execute_batch("commit")?;
    let count = |sql: &str| -> Result<u64, StoreError> {
        Ok(u64::try_from(target.query_row(sql, [], |row| row.get::<_, i64>(0))?).unwrap_or(0))
    };
    carried.images = count("select count(*) from images")?;
    carried.triggers = count("select count(*) from triggers")?;
    carried.delivered = count("select count(*) from uploads where state = 'delivered'")?;
    target.close().map_err(|(_, error)| error)?;
    fs::File::open(&new)
        .and_then(|opened| opened.sync_all())
        .and_then(|()| fs::rename(&new, beside(database, ".rebuilt")))
        .and_then(|()| sync_folder(database))
        .map_err(|source| file("finish", &new, source))?;
    Ok(carried)
}

/// What is owed begins anew, and nothing refers to what could not be read.
const TIDY_SQL: &str = "
    update images set trigger_id = null where trigger_id not in (select id from triggers);
    update uploads
    set (camera, taken_at) = (select images.camera, images.taken_at from images where images.id = uploads.image_id)
    where image_id in (select id from images);
    update uploads set state = 'pending', attempts = 0, not_before = 0, refusals = 0
    where state in ('pending', 'dead', 'lost')
      and image_id in (select id from images where state = 'present');
    update images set deliveries = 0 where id not in (select image_id from uploads);";

/// Opens an old database to read it. One of an older version is brought up to date first, if that works.
fn open_old(path: &Path) -> Result<Connection, StoreError> {
    let mut old = Connection::open(path)?;
    old.busy_timeout(blocking::BUSY_TIMEOUT)?;
    migrate::check_identity(&old, path)?;
    if migrate::is_empty(&old)? {
        return Err(StoreError::Damaged { path: path.to_owned(), found: "it is empty".to_owned() });
    }
    if let Err(error) = migrate::migrate(&mut old, path) {
        info!(%error, "the old database stays at its version");
    }
    Ok(old)
}

/// A row of a picture, as far as it can be held against its file.
struct ImageRow {
    file_name: String,
    path: String,
    bytes: i64,
    sha256: Vec<u8>,
    is_present: bool,
}

fn carry(
    old: &Connection,
    new: &Connection,
    is_newest: bool,
    is_right: &dyn Fn(&ImageRow) -> bool,
    carried: &mut Carried,
) -> Result<(), StoreError> {
    if !carried.has_settings {
        carried.has_settings = copy_small(old, new, "settings");
    }
    // A token that was revoked since the copy was made must not come back.
    if is_newest {
        carried.has_tokens = copy_small(old, new, "tokens");
    }
    copy_rows(old, new, "triggers", "id", &mut |_, _| true, carried)?;
    let mut refused = 0;
    let mut judge = |columns: &[String], values: &[Value]| {
        let is_right = ImageRow::of(columns, values).is_some_and(|row| is_right(&row));
        refused += u64::from(!is_right);
        is_right
    };
    copy_rows(old, new, "images", "id", &mut judge, carried)?;
    carried.refused += refused;
    let mut is_there = new.prepare("select 1 from images where id = ?1")?;
    let mut has_image = |columns: &[String], values: &[Value]| {
        let image = columns.iter().position(|column| column == "image_id").and_then(|at| values.get(at));
        image.is_some_and(|image| is_there.exists([image]).unwrap_or(false))
    };
    copy_rows(old, new, "uploads", "image_id", &mut has_image, carried)?;
    // A database of an older version has none.
    if !columns(old, new, "analyses")?.is_empty() {
        copy_rows(old, new, "analyses", "image_id", &mut has_image, carried)?;
        copy_rows(old, new, "readings", "id", &mut has_image, carried)?;
        copy_small(old, new, "analysis_spending");
        readings::write_all_keys(new)?;
    }
    // Older ones have no such table.
    if !is_newest || columns(old, new, "links").is_ok_and(|columns| columns.is_empty()) {
        return Ok(());
    }
    // As with tokens; and one to a picture that is not carried over would lead nowhere.
    let mut is_trigger = new.prepare("select 1 from triggers where id = ?1")?;
    let mut leads_somewhere = |columns: &[String], values: &[Value]| {
        let id = |name: &str| {
            let at = columns.iter().position(|column| column == name);
            at.and_then(|at| values.get(at)).filter(|id| **id != Value::Null)
        };
        id("image_id").is_none_or(|id| is_there.exists([id]).unwrap_or(false))
            && id("trigger_id").is_none_or(|id| is_trigger.exists([id]).unwrap_or(false))
    };
    copy_rows(old, new, "links", "id", &mut leads_somewhere, carried)
}

/// The columns that both databases have.
fn columns(old: &Connection, new: &Connection, table: &str) -> Result<Vec<String>, StoreError> {
    let names = |c: &Connection| -> Result<BTreeSet<String>, StoreError> {
        let mut statement = c.prepare(&format!("select name from pragma_table_info('{table}')"))?;
        Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    };
    let there = names(old)?;
    Ok(names(new)?.into_iter().filter(|name| there.contains(name)).collect())
}

/// Copies a small table, all of it or nothing. Returns whether it could be read.
fn copy_small(old: &Connection, new: &Connection, table: &str) -> bool {
    let copy = || -> Result<(), StoreError> {
        let columns = columns(old, new, table)?;
        let mut insert = new.prepare(&insert_sql(table, &columns))?;
        let mut select = old.prepare(&format!("select {} from {table}", columns.join(", ")))?;
        let rows = select
            .query_map([], |row| (0..columns.len()).map(|at| row.get(at)).collect())?
            .collect::<Result<Vec<Vec<Value>>, _>>()?;
        for row in rows {
            insert.execute(params_from_iter(row))?;
        }
        Ok(())
    };
    copy().inspect_err(|error| warn!(table, %error, "cannot be read of the old database")).is_ok()
}

fn insert_sql(table: &str, columns: &[String]) -> String {
    let marks = vec!["?"; columns.len()].join(", ");
    format!("insert or ignore into {table} ({}) values ({marks})", columns.join(", "))
}

/// Copies the rows that can be read and that `wanted` takes; what is there already stays.
fn copy_rows(
    old: &Connection,
    new: &Connection,
    table: &str,
    key: &str,
    wanted: &mut dyn FnMut(&[String], &[Value]) -> bool,
    carried: &mut Carried,
) -> Result<(), StoreError> {
    let Ok(columns) = columns(old, new, table) else {
        carried.unreadable += 1;
        return Ok(());
    };
    let list = columns.join(", ");
    // An upper bound would not end the search for sure (SQLite may filter by it), so the reader ends it.
    let some = format!("select {list} from {table} where {key} > ?1 order by {key}");
    let one = format!("select {list} from {table} where {key} = ?1");
    let mut insert = new.prepare(&insert_sql(table, &columns))?;
    let at_key = columns.iter().position(|column| column == key).unwrap_or(0);
    let read = |sql: &str, from: i64, until: i64| -> rusqlite::Result<Vec<Vec<Value>>> {
        let mut statement = old.prepare_cached(sql)?;
        let mut rows = statement.query([from])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            if row.get::<_, i64>(at_key)? > until {
                break;
            }
            found.push((0..columns.len()).map(|at| row.get(at)).collect::<Result<_, _>>()?);
        }
        Ok(found)
    };
    let last = last_key(old, table, key);
    let mut after = first_key(old, table, key);
    while after < last {
        let until = after.saturating_add(ROWS).min(last);
        let rows = match read(&some, after, until) {
            Ok(rows) => rows,
            Err(_) => (after + 1..=until)
                .filter_map(|id| read(&one, id, id).inspect_err(|_| carried.unreadable += 1).ok())
                .flatten()
                .collect(),
        };
        for row in rows.iter().filter(|row| wanted(&columns, row)) {
            // A row that breaks a rule of its table was not written by this program.
            if let Err(error) = insert.execute(params_from_iter(row)) {
                debug!(table, %error, "a row of the old database is refused");
                carried.unreadable += 1;
            }
        }
        after = until;
    }
    Ok(())
}

/// The highest key, from the table, or from SQLite's own count where the end of the table cannot be read.
fn last_key(old: &Connection, table: &str, key: &str) -> i64 {
    let named = if table == "uploads" { "images" } else { table };
    let ask = |sql: String| old.query_row(&sql, [], |row| row.get::<_, Option<i64>>(0)).optional();
    let direct = ask(format!("select max({key}) from {table}")).ok().flatten().flatten();
    let counted =
        ask(format!("select seq from sqlite_sequence where name = '{named}'")).ok().flatten().flatten();
    direct.max(counted).unwrap_or(0)
}

/// The key before the lowest one.
fn first_key(old: &Connection, table: &str, key: &str) -> i64 {
    old.query_row(&format!("select min({key}) from {table}"), [], |row| row.get::<_, Option<i64>>(0))
        .ok()
        .flatten()
        .map_or(0, |first| first.saturating_sub(1).max(0))
}

impl ImageRow {
    fn of(columns: &[String], values: &[Value]) -> Option<Self> {
        let value = |name: &str| values.get(columns.iter().position(|column| column == name)?);
        let text = |name: &str| match value(name) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let (Value::Integer(bytes), Value::Blob(sha256)) = (value("bytes")?, value("sha256")?) else {
            return None;
        };
        Some(Self {
            file_name: text("file_name")?,
            path: text("path")?,
            bytes: *bytes,
            sha256: sha256.clone(),
            is_present: text("state")? == "present",
        })
    }
}

/// Whether a row names a place where this program, or one before it, puts pictures.
fn is_ours(row: &ImageRow) -> bool {
    let is_of_a_day = |(day, name): (&str, &str)| is_day(day) && name == row.file_name;
    FileName::parse(&row.file_name).is_some() && row.path.split_once('/').is_some_and(is_of_a_day)
        || takeover::is_place(&row.path, &row.file_name)
}

/// Whether the file is there and is the one the row describes, byte by byte. A row of a deleted or missing picture is
/// taken for its name's sake.
fn is_the_file(files: &Files, row: &ImageRow) -> bool {
    if !is_ours(row) {
        return false;
    }
    if !row.is_present {
        return true;
    }
    let path = Path::new(&row.path);
    let length = files.look().and_then(|mut look| look.length(path));
    match length {
        // A file that is not there is told as missing afterwards.
        Ok(None) => true,
        Ok(Some(length)) if i64::try_from(length) == Ok(row.bytes) => {
            let bytes = files.read(path).ok().flatten();
            bytes.is_some_and(|bytes| Sha256::digest(&bytes)[..] == row.sha256[..])
        }
        Ok(Some(_)) | Err(_) => false,
    }
}
