//! A file system that is really small.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tmpfs over a directory; unmounted with this value, so it must not outlive the directory.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// With options such as `size=32m,nr_inodes=200`. `None`, and a loud word, where mounting is not allowed, as in most
    /// containers; that is no package to install.
    pub(crate) fn mount(over: &Path, options: &str, test: &str) -> Option<Self> {
        let options = format!("{options},mode=0700,uid={}", rustix::process::getuid().as_raw());
        if as_root(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs"], over) {
            return Some(Self(over.to_owned()));
        }
        let advice = format!(
            "{test}: a full disk can only be tried where tmpfs can be mounted; run it as root, or with sudo that does \
             not ask"
        );
        super::report(&format!("SKIPPED {advice}"));
        None
    }

    /// Takes every byte that is left, as another program would.
    pub(crate) fn fill(&self) {
        let mut filler =
            std::fs::OpenOptions::new().create(true).append(true).open(self.0.join("filler")).unwrap();
        for size in [65_536, 4_096, 1] {
            while filler.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Gives them back.
    pub(crate) fn relieve(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        as_root(&["umount", "-l"], &self.0);
    }
}

/// Runs a command on a directory, by sudo if it is not allowed otherwise.
fn as_root(command: &[&str], directory: &Path) -> bool {
    [&command[..0], &["sudo", "-n"]].iter().any(|prefix| {
        let words: Vec<_> = prefix.iter().chain(command).collect();
        let output = Command::new(words[0]).args(&words[1..]).arg(directory).output();
        output.is_ok_and(|output| output.status.success())
    })
}
