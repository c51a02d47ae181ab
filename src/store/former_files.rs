//! The files of such lists: found, read within bounds, and renamed when all that they name has been dealt with.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::StoreError;
use super::former_list::ListKind;

/// What the name of a list ends with once it was read.
pub(super) const DONE: &str = ".imported";

/// So many lists that were read are kept; a further one takes the place of the last.
const DONE_MAX: u32 = 50;

/// Longest list that is read: a hundred thousand pictures with all that was known of each.
const LIST_MAX: u64 = 32 << 20;

/// What stands in a list, and whether it was read by an earlier takeover.
pub(super) struct List {
    pub(super) kind: ListKind,
    pub(super) path: PathBuf,
    pub(super) read: io::Result<Vec<u8>>,
    pub(super) is_done: bool,
}

/// The lists in these folders and what stands in them, with those that were read before; each file once. Blocking.
pub(super) fn read_lists(folders: &[PathBuf]) -> Vec<List> {
    let mut lists: Vec<List> = Vec::new();
    let places = folders.iter().flat_map(|folder| ListKind::ALL.map(|kind| (folder, kind)));
    for (folder, kind, n) in places.flat_map(|(folder, kind)| (0..=DONE_MAX).map(move |n| (folder, kind, n)))
    {
        let list = folder.join(kind.file_name());
        let path = if n == 0 { list } else { done_name(&list, n) };
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        let is_done = n > 0;
        if !meta.is_file() {
            // A link leads to what may not be renamed, and is perhaps the list all the same.
            if !is_done {
                let read = Err(io::Error::other("it is a link or folder, not a file"));
                lists.push(List { kind, path, read, is_done });
            }
            continue;
        }
        let Ok(path) = path.canonicalize() else { continue };
        if lists.iter().all(|known| known.path != path) {
            let read = read_list(&path);
            lists.push(List { kind, path, read, is_done });
        }
    }
    lists
}

/// The name of a list that was read, as the `n`-th one of that name, from 1.
fn done_name(list: &Path, n: u32) -> PathBuf {
    super::beside::beside(list, &if n == 1 { DONE.to_owned() } else { format!("{DONE}-{n}") })
}

fn read_list(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // It may grow while it is read.
    File::open(path)?.take(LIST_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIST_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {LIST_MAX} bytes"),
        ));
    }
    Ok(bytes)
}

/// Renames a list that was read; earlier ones stay. Blocking.
pub(super) fn set_done(list: &Path) -> Result<(), StoreError> {
    let to = (1..=DONE_MAX).map(|n| done_name(list, n)).find(|path| std::fs::symlink_metadata(path).is_err());
    let to = to.unwrap_or_else(|| done_name(list, DONE_MAX));
    std::fs::rename(list, &to)
        .and_then(|()| super::beside::sync_folder(list))
        .map_err(|source| StoreError::File { action: "rename", path: list.to_owned(), source })
}
