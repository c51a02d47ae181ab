//! A wall clock that a test sets while the daemon runs (libfaketime). Monotonic clocks are left alone.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where Debian's package `faketime` puts it, below the directory of the machine's libraries.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The clock of one daemon.
pub(crate) struct FakeClock {
    library: PathBuf,
    file: PathBuf,
}

/// Milliseconds since 1970 by the real clock.
pub(crate) fn real_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

impl FakeClock {
    /// A clock that shows `unix_ms` and goes on from there; `None`, after saying so, where libfaketime is missing and
    /// nobody insists on it.
    pub(crate) fn new(directory: &Path, unix_ms: i64, test: &str) -> Option<Self> {
        let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let library = folders.map(|folder| folder.path().join(LIBRARY)).find(|path| path.is_file());
        let Some(library) = library else {
            assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "{test}: install the package faketime");
            super::report(&format!("SKIPPED {test}: the package faketime is not installed"));
            return None;
        };
        let clock = Self { library, file: directory.join("faketime") };
        clock.set(unix_ms);
        Some(clock)
    }

    /// Sets the clock.
    pub(crate) fn set(&self, unix_ms: i64) {
        let offset = unix_ms - real_ms();
        let text = format!(
            "{}{}.{:03}\n",
            if offset < 0 { '-' } else { '+' },
            offset.abs() / 1000,
            offset.abs() % 1000
        );
        // Renamed into place: it is read at any moment.
        let new = self.file.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }

    /// What the daemon needs in its environment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
    }
}
