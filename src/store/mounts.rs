//! Which disk a path lies on, by the kernel's list of mounts, and which disks this machine is told to have; pure but for
//! reading the two lists.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The kernel's list of this process's mounts, proc_pid_mountinfo(5).
const MOUNTINFO: &str = "/proc/self/mountinfo";

/// The administrator's list of what belongs where, fstab(5).
const FSTAB: &str = "/etc/fstab";

/// Links that are followed to where a path leads while its end is not there.
const LINKS_MAX: u32 = 8;

/// A mount, as far as it says on which disk a path lies.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    /// What of the disk is mounted there; not `/` for a folder that is bound to another place.
    root: PathBuf,
    device: String,
    /// The type of its file system.
    kind: String,
}

/// What is mounted, and what should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mounts {
    mounted: Vec<Mount>,
    listed: Vec<PathBuf>,
}

impl Mounts {
    /// As they are now. Lists that cannot be read are empty. Blocking.
    pub(super) fn now() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self { mounted: mounted(&read(MOUNTINFO)), listed: listed(&read(FSTAB)) }
    }

    /// Where the disk is mounted that holds `path`. A folder that is bound to its own place, as the sandbox of a service
    /// does, is on the disk it was on before.
    pub(super) fn point_of(&self, path: &Path) -> PathBuf {
        let mut point = Path::new("/");
        let mut depth = 0;
        for (at, mount) in self.mounted.iter().enumerate() {
            let length = mount.point.components().count();
            // Of two mounts on one point the later one is on top.
            if length >= depth && path.starts_with(&mount.point) && !self.is_bound_to_itself(at) {
                (point, depth) = (&mount.point, length);
            }
        }
        point.to_owned()
    }

    /// The type of the file system that holds `path`, such as `nfs4`, `cifs`, `exfat` or `fuse.sshfs`.
    pub(super) fn kind_of(&self, path: &Path) -> Option<&str> {
        let above = self.mounted.iter().filter(|mount| path.starts_with(&mount.point));
        // Of two mounts on one point the later one is on top.
        above.max_by_key(|mount| mount.point.components().count()).map(|mount| mount.kind.as_str())
    }

    fn is_bound_to_itself(&self, at: usize) -> bool {
        let Some((before, mount)) = self.mounted.get(..at).zip(self.mounted.get(at)) else { return false };
        let below = before
            .iter()
            .filter(|other| mount.point.starts_with(&other.point))
            .max_by_key(|other| other.point.components().count());
        below.is_some_and(|other| {
            let relative = mount.point.strip_prefix(&other.point).unwrap_or(Path::new(""));
            other.device == mount.device && other.root.join(relative) == mount.root
        })
    }

    /// The mount point at or above `path` that should hold a disk and holds none: the one that is `remembered`, or one
    /// of the administrator's list.
    pub(super) fn unmounted(&self, path: &Path, remembered: Option<&Path>) -> Option<PathBuf> {
        let point = self.point_of(path);
        let wanted = self.listed.iter().map(PathBuf::as_path).chain(remembered);
        wanted
            .filter(|wanted| path.starts_with(wanted) && wanted.starts_with(&point) && **wanted != point)
            .max_by_key(|wanted| wanted.components().count())
            .map(Path::to_owned)
    }
}

fn mounted(text: &str) -> Vec<Mount> {
    let one = |line: &str| {
        let (head, tail) = line.split_once(" - ")?;
        // A disk that is mounted when somebody looks is not there before.
        let kind = tail.split(' ').next()?;
        if kind == "autofs" {
            return None;
        }
        let mut fields = head.split(' ').skip(2);
        let (device, root, point) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Mount {
            point: unescaped(point),
            root: unescaped(root),
            device: device.to_owned(),
            kind: kind.to_owned(),
        })
    };
    text.lines().filter_map(one).collect()
}

fn listed(text: &str) -> Vec<PathBuf> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let points = lines.filter_map(|line| line.split_ascii_whitespace().nth(1));
    points.filter(|point| point.starts_with('/')).map(unescaped).collect()
}

/// Both lists write a space as `\040`, and a tab, a line feed and a backslash likewise.
fn unescaped(field: &str) -> PathBuf {
    let mut text = field.to_owned();
    for (code, character) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        text = text.replace(code, character);
    }
    text.into()
}

/// Where a path leads, also when its end is not there: links are followed as far as they go. Blocking.
pub(super) fn resolved(path: &Path) -> PathBuf {
    let mut path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for _ in 0..LINKS_MAX {
        let Some((found, rest)) = deepest(&path) else { return path };
        let Some(Component::Normal(next)) = rest.components().next() else { return found };
        let Ok(target) = fs::read_link(found.join(next)) else { return found.join(rest) };
        path = found.join(target).join(rest.components().skip(1).collect::<PathBuf>());
    }
    path
}

/// The deepest folder on the way that is there, without links, and what is left of the way.
fn deepest(path: &Path) -> Option<(PathBuf, PathBuf)> {
    path.ancestors().find_map(|above| {
        let found = fs::canonicalize(above).ok()?;
        Some((found, path.strip_prefix(above).ok()?.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "\
        27 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw\n\
        22 27 0:21 / /proc rw - proc proc rw\n\
        60 27 8:1 / /mnt/my\\040disk rw - ext4 /dev/sda1 rw\n\
        61 27 0:55 / /mnt/auto rw - autofs systemd-1 rw\n\
        70 27 179:2 /var/lib/camera-capture /var/lib/camera-capture rw - ext4 /dev/mmcblk0p2 rw\n\
        71 27 179:2 /srv/real /srv/bound rw - ext4 /dev/mmcblk0p2 rw\n\
        72 60 8:1 / /mnt/my\\040disk rw - ext4 /dev/sda1 rw\n";

    fn mounts(fstab: &str) -> Mounts {
        Mounts { mounted: mounted(LINES), listed: listed(fstab) }
    }

    #[test]
    fn a_path_lies_on_the_disk_that_is_mounted_nearest_above_it() {
        for (path, point) in [
            ("/mnt/my disk/images", "/mnt/my disk"),
            ("/mnt/my disks/images", "/"),
            ("/mnt/auto/images", "/"),
            ("/var/lib/camera-capture/images", "/"),
            ("/srv/bound/images", "/srv/bound"),
            ("/srv/real", "/"),
        ] {
            assert_eq!(mounts("").point_of(Path::new(path)), Path::new(point), "{path}");
        }
    }

    #[test]
    fn a_disk_that_is_remembered_or_listed_and_not_mounted_is_missed_by_what_lies_on_it() {
        let fstab = "# a disk\nUUID=1 /mnt/usb ext4 nofail 0 2\n/dev/sda1\t/mnt/my\\040disk ext4 defaults 0 2\n\
            /swapfile none swap sw 0 0\nUUID=2 / ext4 defaults 0 1\n";
        for (path, remembered, missed) in [
            ("/mnt/usb/images", None, Some("/mnt/usb")),
            ("/mnt/my disk/images", None, None),
            ("/mnt/my disk/images", Some("/mnt/my disk"), None),
            ("/mnt/auto/images", Some("/mnt/auto"), Some("/mnt/auto")),
            // The operator chose another place.
            ("/var/lib/camera-capture/images", Some("/mnt/auto"), None),
            ("/var/lib/camera-capture/images", Some("/"), None),
        ] {
            let found = mounts(fstab).unmounted(Path::new(path), remembered.map(Path::new));
            assert_eq!(found.as_deref(), missed.map(Path::new), "{path} {remembered:?}");
        }
    }

    #[test]
    fn the_type_of_a_file_system_is_that_of_the_mount_nearest_above() {
        let lines = "\
            27 1 179:2 / / rw - ext4 /dev/mmcblk0p2 rw\n\
            28 27 0:50 / /mnt rw - nfs4 nas:/share rw\n\
            29 28 0:51 / /mnt/deep rw - fuse.sshfs pi@nas: rw\n\
            30 28 8:1 / /mnt rw - exfat /dev/sda1 rw\n";
        let mounts = Mounts { mounted: mounted(lines), listed: Vec::new() };
        for (path, kind) in [("/var/x.db", "ext4"), ("/mnt/x.db", "exfat"), ("/mnt/deep/x.db", "fuse.sshfs")]
        {
            assert_eq!(mounts.kind_of(Path::new(path)), Some(kind), "{path}");
        }
        assert_eq!(Mounts::default().kind_of(Path::new("/x")), None);
    }

    #[test]
    fn broken_lists_say_nothing() {
        let found = Mounts { mounted: mounted("x\n - \n1 2 3 - ext4\n"), listed: listed("a\n\n/x\n") };
        assert_eq!(found, Mounts::default());
        assert_eq!(found.unmounted(Path::new("/a/b"), None), None);
    }

    #[test]
    fn a_link_to_what_is_not_there_leads_to_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(dir.path()).unwrap();
        std::os::unix::fs::symlink("gone/deep", dir.join("link")).unwrap();
        assert_eq!(resolved(&dir.join("link/images")), dir.join("gone/deep/images"));
        assert_eq!(resolved(&dir.join("a/b")), dir.join("a/b"));
        assert_eq!(resolved(&dir), dir);
    }
}
