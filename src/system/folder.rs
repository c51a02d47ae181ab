//! Folders that this program makes: closed to others, whatever the umask. And whose it is what it makes: a run as root
//! (`sudo`) leaves nothing behind that the service's own user could not use afterwards.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, lchown};
use std::path::Path;

/// The owner writes, its group reads, as with the pictures inside. A stricter umask takes more away.
pub const MODE: u32 = 0o750;

/// Makes a folder and those it lies in, where they are missing. One that is there keeps its mode: it may be shared on
/// purpose. Those that are made get the owner of the folder they lie in, see [`give`].
pub fn create(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    DirBuilder::new().recursive(true).mode(MODE).create(path)?;
    missing.into_iter().rev().for_each(give_to_parents);
    Ok(())
}

/// Gives a file or folder that root has just made to the owner of the folder it lies in, see [`give`].
pub fn give_to_parents(made: &Path) {
    let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
    give(made, parent.unwrap_or(Path::new(".")));
}

/// Gives a file or folder that root has just made to owner and group of `like`, where those are others. What another user
/// made stays as it is, and so does whatever has a second name, which may be somebody else's file.
///
/// Without root's rights nothing happens, and where a file system has no owners nothing can.
pub fn give(made: &Path, like: &Path) {
    let (Ok(found), Ok(wanted)) = (fs::symlink_metadata(made), fs::metadata(like)) else { return };
    let is_ours = found.is_dir() || (found.is_file() && found.nlink() == 1);
    if found.uid() == 0 && wanted.uid() != 0 && is_ours {
        // An owner is no reason to lose a picture.
        let _ = lchown(made, Some(wanted.uid()), Some(wanted.gid()));
    }
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

    #[test]
    fn what_root_makes_belongs_to_the_owner_of_the_folder_it_lies_in() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let owner = |path: &Path| metadata(path).map(|meta| (meta.uid(), meta.gid())).unwrap();
        lchown(root.path(), Some(65432), Some(65433)).unwrap();
        let day = root.path().join("images/day");
        create(&day).unwrap();
        assert_eq!([owner(&root.path().join("images")), owner(&day)], [(65432, 65433); 2]);
        // Another user's, and a file that has another name elsewhere, stay whose they are.
        let (others, linked) = (root.path().join("others"), root.path().join("linked"));
        fs::write(&others, "").unwrap();
        lchown(&others, Some(65431), None).unwrap();
        fs::write(&linked, "").unwrap();
        fs::hard_link(&linked, root.path().join("second")).unwrap();
        give_to_parents(&others);
        give_to_parents(&linked);
        assert_eq!((owner(&others).0, owner(&linked).0), (65431, 0));
        // Nor does anything of root's own folder become another's.
        let own = tempfile::tempdir().unwrap();
        let file = own.path().join("file");
        fs::write(&file, "").unwrap();
        give_to_parents(&file);
        assert_eq!(owner(&file).0, 0);
    }
}
