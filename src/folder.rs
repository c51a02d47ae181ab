//! Folders that this program makes: closed to others, whatever the umask.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// The owner writes, its group reads, as with the pictures inside. A stricter umask takes more away.
pub const MODE: u32 = 0o750;

/// Makes a folder and those it lies in, where they are missing. One that is there keeps its mode: it may be shared on
/// purpose.
pub fn create(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(MODE).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, create_dir, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn new_folders_are_closed_to_others_and_old_ones_stay_as_they_are() {
        let root = tempfile::tempdir().unwrap();
        let shared = root.path().join("shared");
        create_dir(&shared).unwrap();
        set_permissions(&shared, Permissions::from_mode(0o775)).unwrap();
        let day = shared.join("images/day");
        create(&day).unwrap();
        create(&day).unwrap();
        let mode = |path: &Path| metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&shared), 0o775);
        for folder in [shared.join("images"), day] {
            assert_eq!(mode(&folder) & !MODE, 0, "{}", folder.display());
        }
    }
}
