//! `IMAGE_…`, `STORAGE_…`, `DATABASE_PATH`, `CLEANUP_…`: disk and database.

use std::path::PathBuf;
use std::time::Duration;

use super::problem::Wrong;
use super::reader::{ReadResult, VariableReader};
use super::values::{bytes, path, whole};

/// Longest `IMAGE_RETENTION_DAYS`, about a hundred years: "for ever" without an overflow anywhere.
const RETENTION_DAYS_MAX: u64 = 36_500;

/// Longest `CLEANUP_INTERVAL_HOURS`, a year.
const CLEANUP_HOURS_MAX: u64 = 8_760;

/// Longest `DATABASE_BACKUP_HOURS`, a year.
const BACKUP_HOURS_MAX: u64 = 8_760;

/// File name of the database when `DATABASE_PATH` does not say otherwise.
const DATABASE_NAME: &str = "camera-capture.db";

/// Disk and database.
#[derive(Clone, Debug)]
pub struct StorageConfig {
    /// `IMAGE_STORAGE_PATH`; relative ones count from the working directory.
    pub images: PathBuf,
    /// `DATABASE_PATH`, default `camera-capture.db` beside the images' directory.
    pub database: PathBuf,
    /// `IMAGE_RETENTION_DAYS`, 1 to 36500.
    pub retention_days: u32,
    /// `CLEANUP_INTERVAL_HOURS`, an hour to a year.
    pub cleanup_interval: Duration,
    /// `DATABASE_BACKUP_HOURS`, an hour to a year; `None` for no copies.
    pub backup_every: Option<Duration>,
    /// `STORAGE_MAX_BYTES`, if there is a limit; at least 1 MiB.
    pub max_bytes: Option<u64>,
    /// `STORAGE_MIN_FREE_BYTES`, at least 1 MiB; `None`: the floor follows from the size of the disk.
    pub min_free_bytes: Option<u64>,
    /// `STORAGE_QUARANTINE_MAX_BYTES`: room for pictures of devices that are refused, at least 1 MiB; `None`: none is kept.
    pub quarantine_max_bytes: Option<u64>,
}

impl StorageConfig {
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Self> {
        let images = reader.required("IMAGE_STORAGE_PATH", path);
        let database = reader.optional("DATABASE_PATH", path);
        let layout = reader.required("IMAGE_LAYOUT", layout);
        let days = reader.required("IMAGE_RETENTION_DAYS", whole(1..=RETENTION_DAYS_MAX, "days"));
        let hours = reader.required("CLEANUP_INTERVAL_HOURS", whole(1..=CLEANUP_HOURS_MAX, "hours"));
        let backup_hours = reader.required("DATABASE_BACKUP_HOURS", whole(0..=BACKUP_HOURS_MAX, "hours"));
        let max_bytes = reader.optional("STORAGE_MAX_BYTES", bytes);
        let min_free_bytes = reader.optional("STORAGE_MIN_FREE_BYTES", bytes);
        let quarantine_max_bytes = reader.optional("STORAGE_QUARANTINE_MAX_BYTES", bytes);

        let (images, database) = (images?, database?);
        layout?;
        if database.as_ref().is_some_and(|database| database.starts_with(&images)) {
            let wrong = Wrong::new("lies in the images' directory", "a path outside IMAGE_STORAGE_PATH");
            return Err(reader.refuse("DATABASE_PATH", &wrong));
        }
        Ok(Self {
            database: database.unwrap_or_else(|| images.with_file_name(DATABASE_NAME)),
            images,
            // The range above fits.
            retention_days: u32::try_from(days?).unwrap_or(u32::MAX),
            cleanup_interval: Duration::from_secs(hours? * 3600),
            backup_every: Some(Duration::from_secs(backup_hours? * 3600)).filter(|every| !every.is_zero()),
            max_bytes: max_bytes?,
            min_free_bytes: min_free_bytes?,
            quarantine_max_bytes: quarantine_max_bytes?,
        })
    }
}

/// The only layout there is. Flat is refused: a crash leaves pictures without rows, and every start would have to read a
/// folder of all pictures there are to find them, where nothing tells them from somebody's own.
fn layout(text: &str) -> Result<(), Wrong> {
    match text.to_ascii_lowercase().as_str() {
        "daily" => Ok(()),
        "flat" => Err(Wrong::new(
            "a flat folder of all pictures would have to be read whole at each start",
            "daily; programs find the pictures with images/*/r1_*.jpg, and docs/moving.md has a line that keeps a flat \
             folder of links",
        )),
        _ => Err(Wrong::new("not one of the known words", "daily")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem};
    use super::*;

    #[test]
    fn the_database_lies_beside_the_images_unless_told_otherwise() {
        let database = |pairs: &[(&str, &str)]| config(pairs).storage.database;
        assert_eq!(database(&[]), PathBuf::from("camera-capture.db"));
        assert_eq!(
            database(&[("IMAGE_STORAGE_PATH", "/srv/gate/images")]),
            PathBuf::from("/srv/gate/camera-capture.db")
        );
        assert_eq!(database(&[("DATABASE_PATH", "/srv/x.db")]), PathBuf::from("/srv/x.db"));
    }

    #[test]
    fn limits_are_read() {
        let storage = config(&[
            ("IMAGE_RETENTION_DAYS", "7"),
            ("CLEANUP_INTERVAL_HOURS", "1"),
            ("STORAGE_MAX_BYTES", "20G"),
            ("STORAGE_MIN_FREE_BYTES", "512MiB"),
        ])
        .storage;
        assert_eq!((storage.retention_days, storage.cleanup_interval), (7, Duration::from_secs(3600)));
        assert_eq!((storage.max_bytes, storage.min_free_bytes), (Some(20_000_000_000), Some(512 << 20)));
        let storage = config(&[]).storage;
        assert_eq!((storage.retention_days, storage.cleanup_interval), (120, Duration::from_secs(86_400)));
        assert_eq!((storage.max_bytes, storage.min_free_bytes), (None, None));
    }

    #[test]
    fn the_database_is_copied_once_a_day_or_as_often_as_told_or_never() {
        let every = |pairs: &[(&str, &str)]| config(pairs).storage.backup_every;
        assert_eq!(every(&[]), Some(Duration::from_secs(86_400)));
        assert_eq!(every(&[("DATABASE_BACKUP_HOURS", "1")]), Some(Duration::from_secs(3600)));
        assert_eq!(every(&[("DATABASE_BACKUP_HOURS", "0")]), None);
        assert!(problem(&[("DATABASE_BACKUP_HOURS", "8761")]).starts_with("DATABASE_BACKUP_HOURS: "));
    }

    /// S4.5
    #[test]
    fn a_flat_layout_is_refused_with_what_works_instead() {
        config(&[("IMAGE_LAYOUT", "Daily")]);
        let text = problem(&[("IMAGE_LAYOUT", "flat")]);
        assert!(text.starts_with("IMAGE_LAYOUT: ") && text.contains("images/*/r1_*.jpg"), "{text}");
        assert!(problem(&[("IMAGE_LAYOUT", "hourly")]).contains("accepted: daily"));
    }

    #[test]
    fn what_would_lose_pictures_is_a_problem() {
        for (name, value) in [
            ("IMAGE_RETENTION_DAYS", "0"),
            ("IMAGE_RETENTION_DAYS", "36501"),
            ("CLEANUP_INTERVAL_HOURS", "0"),
            ("CLEANUP_INTERVAL_HOURS", "8761"),
            ("IMAGE_STORAGE_PATH", "/"),
            ("IMAGE_STORAGE_PATH", "~/images"),
            ("DATABASE_PATH", "images"),
            ("DATABASE_PATH", "images/x.db"),
            ("STORAGE_MAX_BYTES", "10"),
            ("STORAGE_MIN_FREE_BYTES", "lots"),
        ] {
            assert!(problem(&[(name, value)]).starts_with(&format!("{name}: ")), "{name}={value}");
        }
    }
}
