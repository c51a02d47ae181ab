//! A site for one daemon: its directory, its configuration, its secrets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::TempDir;

/// The dashboard's password of every test.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Argon2id of [`PASSWORD`].
pub(crate) const PASSWORD_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$3jeS2ATfKUBrEN5/BZ1btw$ASVgPI7IUaw5zchjilUbztSvcgzt9lWq3jyZl9nF9dw";

/// Variables of the program that a run of the tests may set, to try another decoder or mode on all of them.
const PASSED_ON: [&str; 2] = ["DECODER", "CAMERA_1_MODE"];

/// The configuration and the directory of a daemon; outlives it, so that it can be started again.
pub(crate) struct Setup {
    directory: TempDir,
    variables: BTreeMap<String, String>,
    process: BTreeMap<String, String>,
    prelude: Option<String>,
}

impl Setup {
    /// Simulated contacts, a free port on loopback, log as JSON; no camera and no target.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut setup =
            Self { variables: BTreeMap::new(), process: BTreeMap::new(), prelude: None, directory };
        let images = setup.images().display().to_string();
        for (name, value) in [
            ("IMAGE_STORAGE_PATH", images.as_str()),
            ("GPIO_ENABLED", "true"),
            ("GPIO_BACKEND", "sim"),
            ("BIND_IP", "127.0.0.1"),
            ("BIND_PORT", "0"),
            ("LOG_FORMAT", "json"),
            ("WEB_PASSWORD_HASH", PASSWORD_HASH),
            ("CONNECTIVITY_CHECK_INTERVAL", "1"),
            ("OFFLINE_RETRY_INTERVAL", "2"),
            ("UPLOAD_TIMEOUT", "30"),
        ] {
            setup = setup.with(name, value);
        }
        for name in PASSED_ON {
            if let Ok(value) = std::env::var(name) {
                setup = setup.with(name, &value);
            }
        }
        setup
    }

    /// Sets a variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets a variable of the process that is not one of the program's.
    pub(crate) fn with_process(mut self, name: &str, value: &str) -> Self {
        self.process.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What a shell does before it becomes the program, such as `ulimit -n 1024`.
    pub(crate) fn with_prelude(mut self, commands: &str) -> Self {
        self.prelude = Some(commands.to_owned());
        self
    }

    /// See [`Self::with_prelude`].
    pub(crate) fn prelude(&self) -> Option<&str> {
        self.prelude.as_deref()
    }

    /// What the process finds in its environment beside its file.
    pub(crate) fn process(&self) -> &BTreeMap<String, String> {
        &self.process
    }

    /// Adds camera `n` with its contact on BCM pin 17 + n.
    pub(crate) fn with_camera(self, n: u8, url: &str) -> Self {
        self.with(&format!("CAMERA_{n}_RTSP"), url).with_contact(n)
    }

    /// Adds camera `n` of single pictures with its contact on BCM pin 17 + n, or without one from camera 11 on.
    pub(crate) fn with_snapshots(self, n: u8, url: &str) -> Self {
        self.with(&format!("CAMERA_{n}_SNAPSHOT_URL"), url).with_contact(n)
    }

    fn with_contact(self, n: u8) -> Self {
        let pin = if n <= 10 { (17 + n).to_string() } else { "none".to_owned() };
        self.with(&format!("GPIO_CAMERA_{n}_PIN"), &pin)
    }

    /// Adds camera `n` with a log-in of its own.
    pub(crate) fn with_login(self, n: u8, user: &str, password: &str) -> Self {
        self.with(&format!("CAMERA_{n}_USERNAME"), user).with(&format!("CAMERA_{n}_PASSWORD"), password)
    }

    /// The directory everything lies in.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where pictures are kept.
    pub(crate) fn images(&self) -> PathBuf {
        self.directory.path().join("images")
    }

    /// Writes the configuration and returns its path. Every value is quoted, as `.env` files need it for `$` and `#`.
    pub(crate) fn write(&self) -> PathBuf {
        let path = self.directory.path().join("test.env");
        let lines: String =
            self.variables.iter().map(|(name, value)| format!("{name}='{value}'\n")).collect();
        std::fs::write(&path, lines).unwrap();
        path
    }

    /// Size and change of everything below the directory.
    pub(crate) fn tree(&self) -> BTreeMap<PathBuf, (u64, SystemTime)> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.directory().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                let facts = entry.metadata().unwrap();
                if facts.is_dir() {
                    folders.push(entry.path());
                }
                found.insert(entry.path(), (facts.len(), facts.modified().unwrap()));
            }
        }
        found
    }

    /// Every picture below the images' directory, by name; unfinished files and `--test-capture`'s are left out.
    pub(crate) fn pictures(&self) -> BTreeMap<String, PathBuf> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.images()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
                if name.starts_with('.') || name == "test" {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if name.ends_with(".jpg") {
                    let twin = found.insert(name, path.clone());
                    assert_eq!(twin, None, "two files of one name, one is {}", path.display());
                }
            }
        }
        found
    }
}
