//! The environment as a value: the process's variables over those of an environment file.
//!
//! Nothing here changes the environment of the process (`set_var` is unsound beside other threads), and nothing else
//! in the program reads it, so tests and the demonstration pass pairs.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::dotfile;
use super::problem::{Problem, Problems, ShownValue, Warning, Wrong};
use super::variables;
use crate::model::foreign;

/// The file that is read if it exists and no other is named.
const DEFAULT_FILE: &str = ".env";

/// Most bytes of an environment file; a larger one is something else by mistake, and must not fill the memory.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Longest path in a message, in characters.
const PLACE_MAX: usize = 200;

/// Names and values, and what was found wrong while reading them. `Debug` shows the names only.
#[derive(Clone, Default)]
pub struct Env {
    values: BTreeMap<String, String>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
}

impl Env {
    /// The process's variables over those of `env_file`, or of `.env` in the working directory if there is one.
    ///
    /// A variable of the process wins, also an empty one, which then counts as unset. Malformed lines do not fail
    /// here; [`Config::parse`](super::Config::parse) reports them with everything else. The error is one problem: a
    /// file that was named does not exist, or a file cannot be read.
    pub fn load(env_file: Option<&Path>) -> Result<Self, Problems> {
        let path = env_file.unwrap_or(Path::new(DEFAULT_FILE));
        let label = path.display().to_string();
        let mut is_missing = false;
        let mut env = match read(path) {
            Ok((content, mode)) => {
                let mut env = Self::from_file(&content, &label);
                env.warn_if_exposed(&label, mode);
                env
            }
            Err(error) if env_file.is_none() && error.kind() == io::ErrorKind::NotFound => {
                is_missing = true;
                Self::default()
            }
            Err(error) => {
                let wrong = Wrong::new(
                    format!("the environment file cannot be read: {error}"),
                    "a file this user can read; --env-file names another one",
                );
                let problems = vec![Problem::new(&label, ShownValue::Absent, &wrong)];
                return Err(Problems { problems, warnings: Vec::new() });
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the one place that reads all of it")]
        let variables = std::env::vars_os();
        for (name, value) in variables {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => {
                    env.values.insert(name, value);
                }
                Err(_) if variables::find(&name).is_some() => {
                    env.values.remove(&name);
                    let wrong = Wrong::new("not UTF-8 text", "UTF-8 text");
                    env.problems.push(Problem::new(&name, ShownValue::Hidden, &wrong));
                }
                Err(_) => {}
            }
        }
        // Who sets everything in the environment of the process needs no file.
        if is_missing && !env.names().any(|name| variables::find(name).is_some()) {
            env.warn_of_missing(&label);
        }
        Ok(env)
    }

    /// Exactly the variables of a file, which must be there.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let (content, _) = read(path)?;
        Ok(Self::from_file(&content, &path.display().to_string()))
    }

    /// Exactly these variables; of two with one name the later counts.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let values = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { values, ..Self::default() }
    }

    /// Exactly the variables of an environment file with this content; `label` is what messages call it.
    pub fn from_file(content: &[u8], label: &str) -> Self {
        let dotfile::Parsed { values, problems, warnings } = dotfile::parse(content, label);
        Self { values, problems, warnings }
    }

    /// The value of `name`; `None` if it is unset or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All names with a value.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.as_str())
    }

    /// Says where the file was looked for.
    fn warn_of_missing(&mut self, label: &str) {
        let place = std::env::current_dir().map_or_else(
            |_| "the working directory".to_owned(),
            |place| foreign::line(&place.display().to_string(), PLACE_MAX),
        );
        let text = format!(
            "there is no such file in {place}, so every setting has its default; copy env.example to .env there, or name \
             the file with --env-file"
        );
        self.warnings.push(Warning::new(label, text));
    }

    /// Warns if everybody on this machine may read a file that holds a secret.
    fn warn_if_exposed(&mut self, label: &str, mode: Option<u32>) {
        let Some(mode) = mode.filter(|mode| mode & 0o007 != 0) else { return };
        let secret = self.names().find(|name| {
            // An address is a secret only if it carries user and password.
            variables::find(name).is_some_and(|(variable, _)| {
                let value = self.get(name).unwrap_or_default();
                variable.secret && (!variable.name.ends_with("_RTSP") || value.contains('@'))
            })
        });
        if let Some(name) = secret {
            let text = format!(
                "every user of this machine may open it (mode {:04o}) and it holds {name}; chmod 600 or 640",
                mode & 0o7777
            );
            let warning = Warning::new(label, text);
            self.warnings.push(warning);
        }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// The content of a file, and its permissions if it is a regular one.
fn read(path: &Path) -> io::Result<(Vec<u8>, Option<u32>)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mode = metadata.is_file().then(|| metadata.mode());
    let mut content = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok((content, mode))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Loads a file with this content and these permissions.
    fn load(content: &str, mode: u32) -> Env {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("box.env");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Env::load(Some(&path)).unwrap()
    }

    #[test]
    fn the_process_wins_over_the_file() {
        let name = "CARGO_MANIFEST_DIR";
        let env = load(&format!("{name}=file\nBIND_PORT=9001\n"), 0o600);
        assert_eq!(env.get(name), Some(env!("CARGO_MANIFEST_DIR")));
        assert_eq!(env.get("BIND_PORT"), Some("9001"));
    }

    #[test]
    fn a_file_that_was_named_must_exist() {
        let problems = Env::load(Some(Path::new("/nonexistent/box.env"))).unwrap_err();
        let text = problems.to_string();
        assert!(text.starts_with("/nonexistent/box.env: the environment file cannot be read: "), "{text}");
    }

    #[test]
    fn a_directory_and_an_endless_file_are_problems() {
        assert!(Env::load(Some(Path::new("/"))).is_err());
        assert!(Env::load(Some(Path::new("/dev/zero"))).unwrap_err().to_string().contains("1 MiB"));
    }

    #[test]
    fn an_empty_value_counts_as_unset() {
        let env = Env::from_pairs([("BIND_PORT", "")]);
        assert_eq!(env.get("BIND_PORT"), None);
        assert_eq!(env.names().count(), 0);
    }

    #[test]
    fn a_file_open_to_all_is_warned_about_only_if_it_holds_a_secret() {
        let warned = |content: &str, mode| !load(content, mode).warnings.is_empty();
        assert!(warned("CAMERA_PASSWORD=hunter2", 0o644));
        assert!(warned("CAMERA_1_RTSP=rtsp://u:p@cam/", 0o604));
        assert!(!warned("CAMERA_PASSWORD=hunter2", 0o640));
        assert!(!warned("CAMERA_1_RTSP=rtsp://cam/\nBIND_PORT=1", 0o644));
    }

    #[test]
    fn debug_output_has_names_and_no_values() {
        let env = Env::from_pairs([("CAMERA_PASSWORD", "hunter2")]);
        assert_eq!(format!("{env:?}"), "{\"CAMERA_PASSWORD\"}");
    }
}
