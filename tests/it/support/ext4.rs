//! A small disk of its own for a daemon, and what happens to disks: the power goes, they fill up, they fail.
//!
//! The disk is an ext4 file system in a file. A power cut is ext4's own shutdown without its journal being written
//! (`EXT4_IOC_SHUTDOWN`): whatever was not made durable before is gone at the next mount.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Cuts the power of the file system named by its argument (ioctl 0x8004587d, flag 2: without flushing the journal).
const POWER_CUT: &str = "
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(fd, 0x8004587d, struct.pack('I', 2))
";

/// Makes or answers why not.
fn sh(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

/// A mounted disk; unmounted with this value.
pub(crate) struct Ext4 {
    at: PathBuf,
    image: PathBuf,
    /// Holds the image and the fault library.
    outside: TempDir,
}

impl Ext4 {
    /// A new disk of so many MiB and inodes, mounted over a directory; the error says why there can be none, such as
    /// for want of root's rights.
    pub(crate) fn mount_over(at: &Path, mib: u64, inodes: u64) -> Result<Self, String> {
        let outside = tempfile::tempdir().unwrap();
        let image = outside.path().join("disk.img");
        File::create(&image).unwrap().set_len(mib << 20).unwrap();
        let path = image.to_str().unwrap();
        sh("mkfs.ext4", &["-q", "-F", "-m", "0", "-N", &inodes.to_string(), path])?;
        let disk = Self { at: at.to_owned(), image, outside };
        disk.try_mount()?;
        Ok(disk)
    }

    fn try_mount(&self) -> Result<(), String> {
        sh("mount", &["-o", "loop", self.image.to_str().unwrap(), self.at.to_str().unwrap()])
    }

    /// The power goes. Everything that was not durable is gone, and every access fails, until [`Self::remount`].
    pub(crate) fn cut_power(&self) {
        sh("python3", &["-c", POWER_CUT, self.at.to_str().unwrap()]).unwrap();
    }

    /// The power is back; nobody may have a file open.
    pub(crate) fn remount(&self) {
        sh("umount", &[self.at.to_str().unwrap()]).unwrap();
        self.try_mount().unwrap();
    }

    /// Somebody else's file takes every byte there is.
    pub(crate) fn fill_bytes(&self) {
        let filler = self.filler();
        std::fs::create_dir_all(&filler).unwrap();
        let mut file = File::create(filler.join("bytes")).unwrap();
        for size in [1 << 20, 4096] {
            while std::io::Write::write_all(&mut file, &vec![0x5a; size]).is_ok() {}
        }
    }

    /// Somebody else's files take every inode there is.
    pub(crate) fn fill_inodes(&self) {
        let filler = self.filler();
        std::fs::create_dir_all(&filler).unwrap();
        (0..).find(|i| File::create(filler.join(i.to_string())).is_err());
    }

    /// Somebody else's files go.
    pub(crate) fn free(&self) {
        std::fs::remove_dir_all(self.filler()).unwrap();
    }

    /// From now on nothing can be made safe on it, until [`Self::recover`]. For a daemon that was started with
    /// [`Self::fault_environment`].
    pub(crate) fn fail(&self) {
        File::create(self.fault_switch()).unwrap();
    }

    /// It works again.
    pub(crate) fn recover(&self) {
        std::fs::remove_file(self.fault_switch()).unwrap();
    }

    /// What a daemon needs in its environment so that the disk can fail; the error says why it cannot, such as for want
    /// of a C compiler.
    pub(crate) fn fault_environment(&self) -> Result<Vec<(&'static str, String)>, String> {
        let library = self.outside.path().join("libdiskfault.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/diskfault.c");
        let (library, source) = (library.to_str().unwrap(), source.to_str().unwrap());
        if !Path::new(library).exists() {
            let flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"];
            sh("cc", &[&flags[..], &["-o", library, source, "-ldl"]].concat())?;
        }
        let switch = self.fault_switch().display().to_string();
        Ok(vec![("LD_PRELOAD", library.to_owned()), ("DISKFAULT", switch)])
    }

    fn filler(&self) -> PathBuf {
        self.at.join("of-somebody-else")
    }

    fn fault_switch(&self) -> PathBuf {
        self.outside.path().join("fails")
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        // A daemon of a failed test may still hold it; then it goes with that.
        let _ = sh("umount", &["--lazy", self.at.to_str().unwrap_or_default()]);
    }
}
