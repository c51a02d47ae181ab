//! What cameras bring beside their pictures (clips, XML), kept in a folder where that is wanted. Pictures come first: such
//! files leave a part of the disk free, and one that cannot be kept is taken all the same, because a camera that fails at
//! its clip gives up its picture, too.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;

use super::name;
use crate::model::UnixMs;
use crate::system::tree::Folder;

/// Rights of such a file, as of pictures.
const FILE_MODE: u16 = 0o640;

/// After so many bytes it is looked whether there is room.
const LOOK_EVERY: u64 = 16 << 20;

/// Longest own name that is kept, bytes.
const NAME_MAX: usize = 120;

/// Names that are tried for files of one second.
const OTHER_NAMES: u32 = 1_000;

/// A file on its way into the folder; dropped before its end, it is gone.
pub(super) struct BesideFile {
    folder: Folder,
    temporary: OsString,
    file: File,
    written: u64,
    free_percent: u64,
    is_finished: bool,
}

impl BesideFile {
    /// Begins one in this folder, of whose disk so much is to stay free.
    pub(super) async fn begin(root: &Path, free_percent: u64) -> io::Result<Self> {
        let root = root.to_owned();
        let begun = spawn_blocking(move || {
            let folder = Folder::top(&root)?;
            has_room(&folder, free_percent)?;
            let temporary = OsString::from(format!(".{:016x}.part", fastrand::u64(..)));
            let file = folder.create(&temporary, FILE_MODE)?;
            Ok::<_, io::Error>((folder, temporary, file))
        });
        let (folder, temporary, file) = begun.await.map_err(io::Error::other)??;
        let file = File::from_std(file);
        Ok(Self { folder, temporary, file, written: 0, free_percent, is_finished: false })
    }

    /// Writes what came.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let before = self.written / LOOK_EVERY;
        self.written += bytes.len() as u64;
        if self.written / LOOK_EVERY > before {
            has_room(&self.folder, self.free_percent)?;
        }
        self.file.write_all(bytes).await
    }

    /// The file is here whole: it is durable and has its name when this returns.
    pub(super) async fn finish(mut self, path: &str, at: UnixMs) -> io::Result<String> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        let stem = stem_of(path, at);
        let named = spawn_blocking(move || {
            for number in 1..=OTHER_NAMES {
                let name = numbered(&stem, number);
                match self.folder.rename(&self.temporary, &self.folder, OsStr::new(&name)) {
                    Ok(()) => {
                        self.is_finished = true;
                        return self.folder.sync().map(|()| name);
                    }
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error),
                }
            }
            Err(io::ErrorKind::AlreadyExists.into())
        });
        named.await.map_err(io::Error::other)?
    }
}

impl Drop for BesideFile {
    fn drop(&mut self) {
        if !self.is_finished {
            // It is hidden, and its folder may be gone.
            let _ = self.folder.unlink(&self.temporary);
        }
    }
}

fn has_room(folder: &Folder, free_percent: u64) -> io::Result<()> {
    let (free, all) = folder.room()?;
    if is_enough(free, all, free_percent) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::StorageFull,
        format!("less than {free_percent} % of its disk are free"),
    ))
}

fn is_enough(free: u64, all: u64, free_percent: u64) -> bool {
    free / 100 >= all / 100 * free_percent / 100
}

/// The own name of a file behind the second of its arrival, in characters that every file system has.
fn stem_of(path: &str, at: UnixMs) -> String {
    let known = |c: char| if c.is_alphanumeric() || "-_.@[]()".contains(c) { c } else { '_' };
    let mut own: String = name::own_name(path).chars().map(known).collect();
    while own.len() > NAME_MAX {
        own.remove(0);
    }
    let second: String = at.rfc3339().chars().take(19).map(|c| if c == ':' { '-' } else { c }).collect();
    format!("{second}Z_{own}")
}

/// `a.mp4`, `a_2.mp4`, `a_3.mp4`.
fn numbered(name: &str, number: u32) -> String {
    match (number, name.rsplit_once('.')) {
        (1, _) => name.to_owned(),
        (_, Some((stem, ending))) => format!("{stem}_{number}.{ending}"),
        (_, None) => format!("{name}_{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_leads_nowhere_and_says_when_the_file_came() {
        let at = UnixMs(1_795_176_000_123);
        let second = at.rfc3339()[..19].replace(':', "-");
        for (path, own) in [
            ("a/b/clip.mp4", "clip.mp4"),
            ("/../../etc/passwd", "passwd"),
            ("C:\\x\\ä b\n.mp4.tmp", "ä_b_.mp4"),
            ("..", ".."),
        ] {
            assert_eq!(stem_of(path, at), format!("{second}Z_{own}"), "{path}");
        }
        assert!(stem_of(&"ä".repeat(400), at).len() <= NAME_MAX + 21);
        assert_eq!(numbered("a.b.mp4", 3), "a.b_3.mp4");
    }

    #[test]
    fn a_part_of_the_disk_stays_free() {
        for (free, all, is_room) in [(50, 1000, false), (100, 1000, true), (0, 0, true), (0, 1000, false)] {
            assert_eq!(is_enough(free << 20, all << 20, 10), is_room, "{free} of {all}");
        }
    }

    #[tokio::test]
    async fn what_does_not_come_to_its_end_is_gone_and_two_of_one_name_are_two() {
        let root = tempfile::tempdir().unwrap();
        let mut torn = BesideFile::begin(root.path(), 0).await.unwrap();
        torn.write(b"half").await.unwrap();
        drop(torn);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        let mut names = Vec::new();
        for text in ["one", "two"] {
            let mut file = BesideFile::begin(root.path(), 0).await.unwrap();
            file.write(text.as_bytes()).await.unwrap();
            let name = file.finish("x/event.xml", UnixMs(1_795_176_000_000)).await.unwrap();
            assert_eq!(std::fs::read_to_string(root.path().join(&name)).unwrap(), text);
            names.push(name);
        }
        assert!(names[0].ends_with("Z_event.xml") && names[1].ends_with("Z_event_2.xml"), "{names:?}");
        assert!(BesideFile::begin(root.path(), 101).await.is_err());
    }
}
