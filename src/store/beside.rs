//! What lies beside the database, and names that are to be durable.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The path with something behind its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes a name durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    super::tree::synced(File::open(folder.unwrap_or(Path::new(".")))?.sync_all()).map(drop)
}
