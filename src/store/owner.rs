//! Why the user of this program may not use a place: whose it is, who this program is, and what to type. Mostly it was
//! started once with `sudo`, and what it made then is root's.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::beside::beside;
use crate::model::foreign;

/// Longest path in a message, characters.
const PATH_MAX: usize = 300;

/// What this program makes in the picture directory beside the days.
const INSIDE: [&str; 4] = [".incoming", ".quarantine", ".lock", ".identity"];

/// What it makes beside the database.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// A place that may not be used, and what was wanted of it.
struct Culprit {
    place: PathBuf,
    meta: Metadata,
    wanted: Wanted,
}

/// What was wanted of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// The file or folder itself.
    Use,
    /// To go through a folder.
    Pass,
    /// To make something in a folder.
    Make,
}

/// A user with the name that people type.
struct User {
    id: u32,
    name: String,
}

/// Why this program may not use `path`, as far as owners and modes tell, and what to type. Blocking.
pub fn denial(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let culprit = culprit(&path)?;
    let (us, group) = (User::of(rustix::process::geteuid().as_raw()), rustix::process::getegid().as_raw());
    let group = name_of(GROUPS, group);
    let owner = User::of(culprit.meta.uid());
    let mode = culprit.meta.permissions().mode() & 0o7777;
    let whose = format!("{} belongs to {owner} with mode {mode:04o}", shown(&culprit.place));
    if owner.id == us.id {
        return Some(format!(
            "{whose}, and this program runs as that user; give it its rights back: sudo chmod -R u+rwX {}",
            typed(&culprit.place)
        ));
    }
    let give = format!("sudo chown -R {}:{group}", us.name);
    let next = match culprit.wanted {
        Wanted::Use => format!("give it back: {give} {}", everything(&culprit.place)),
        Wanted::Make if !is_common(&culprit.place) => {
            format!("give it the folder: {} {}", give.replace(" -R", ""), typed(&culprit.place))
        }
        // A whole disk is not for one program, and neither is a folder of the system.
        Wanted::Make if is_disk(&culprit.place) => format!(
            "make a folder for it: sudo install -d -o {} -g {group} {}, and choose it with IMAGE_STORAGE_PATH and DATABASE_PATH",
            us.name,
            typed(&culprit.place.join("camera-capture"))
        ),
        Wanted::Make => "choose another place with IMAGE_STORAGE_PATH and DATABASE_PATH".to_owned(),
        Wanted::Pass => {
            format!("let it pass: sudo chmod o+x {}, or choose another place", typed(&culprit.place))
        }
    };
    let sudo =
        if owner.id == 0 && culprit.wanted == Wanted::Use { " (was it once started with sudo?)" } else { "" };
    Some(format!("{whose}, and this program runs as {us}{sudo}; {next}"))
}

/// The first place on the way to `path`, or of what belongs to it, that may not be used.
fn culprit(path: &Path) -> Option<Culprit> {
    let found = |place: &Path, wanted| {
        Some(Culprit { place: place.to_owned(), meta: fs::metadata(place).ok()?, wanted })
    };
    let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
    above.reverse();
    for folder in above {
        if is_denied(folder, Access::EXEC_OK) {
            // The picture directory itself, or a folder in it, is given back as a whole.
            let is_inside = is_pictures(folder) || folder.parent().is_some_and(is_pictures);
            return found(folder, if is_inside { Wanted::Use } else { Wanted::Pass });
        }
    }
    let all = Access::READ_OK | Access::WRITE_OK;
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.ancestors().skip(1).find(|parent| parent.exists())?;
            return is_denied(parent, Access::WRITE_OK).then(|| found(parent, Wanted::Make))?;
        }
        Err(_) => return None,
        Ok(meta) if meta.is_dir() => {
            if is_denied(path, all | Access::EXEC_OK) {
                return found(path, Wanted::Use);
            }
            let inside = INSIDE.iter().map(|name| path.join(name)).find(|place| match fs::metadata(place) {
                Ok(meta) if meta.is_dir() => is_denied(place, all | Access::EXEC_OK),
                Ok(_) => is_denied(place, all),
                Err(_) => false,
            });
            return found(&inside?, Wanted::Use);
        }
        Ok(_) => {}
    }
    let others = BESIDE.iter().map(|end| beside(path, end));
    if let Some(file) = std::iter::once(path.to_owned()).chain(others).find(|file| is_denied(file, all)) {
        return found(&file, Wanted::Use);
    }
    let parent = path.parent().filter(|parent| is_denied(parent, Access::WRITE_OK))?;
    found(parent, Wanted::Make)
}

fn is_denied(place: &Path, access: Access) -> bool {
    let denied = [rustix::io::Errno::ACCESS, rustix::io::Errno::PERM];
    rustix::fs::access(place, access).is_err_and(|error| denied.contains(&error))
}

/// Whether it is a picture directory, as far as it can be looked into.
fn is_pictures(folder: &Path) -> bool {
    fs::symlink_metadata(folder.join(INSIDE[0])).is_ok()
}

/// Whether a folder is shared by the whole system, such as `/mnt` or `/var/lib`.
fn is_common(folder: &Path) -> bool {
    let system = ["bin", "boot", "dev", "etc", "lib", "proc", "run", "sbin", "sys", "usr"];
    let names: Vec<_> = folder.components().skip(1).filter_map(|part| part.as_os_str().to_str()).collect();
    names.len() < 2 || names == ["var", "lib"] || names.first().is_some_and(|first| system.contains(first))
}

/// Whether disks are mounted there, or in it.
fn is_disk(folder: &Path) -> bool {
    ["/mnt", "/media", "/srv", "/opt", "/var/lib"].iter().any(|disks| folder == Path::new(disks))
}

/// What to give back where one place is somebody else's: the picture directory, or the database with what lies beside it,
/// because root made more than the one that was met first. As it is typed.
fn everything(place: &Path) -> String {
    if let Some(pictures) = place.ancestors().find(|folder| is_pictures(folder)) {
        return typed(pictures);
    }
    let name = place.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let database = name.split_once(".db").map(|(stem, _)| place.with_file_name(format!("{stem}.db")));
    match database {
        Some(database) if place.is_file() => format!("{}*", typed(&database)),
        _ => typed(place),
    }
}

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// The name of a user or group, or its number where the machine's own list does not have it.
fn name_of(list: &str, id: u32) -> String {
    let text = fs::read_to_string(list).unwrap_or_default();
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| foreign::line(name, 32))
    });
    found.unwrap_or_else(|| id.to_string())
}

impl User {
    fn of(id: u32) -> Self {
        Self { id, name: name_of(USERS, id) }
    }
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.name == self.id.to_string() {
            write!(f, "user {}", self.id)
        } else {
            write!(f, "{} (user {})", self.name, self.id)
        }
    }
}

fn shown(path: &Path) -> String {
    foreign::line(&path.to_string_lossy(), PATH_MAX)
}

/// A path as it is typed into a shell.
fn typed(path: &Path) -> String {
    let text = shown(path);
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,@%".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_folder_of_the_system_is_never_given_away() {
        for (folder, is) in [
            ("/", true),
            ("/mnt", true),
            ("/home", true),
            ("/etc/camera", true),
            ("/usr/local/lib", true),
            ("/var/lib", true),
            ("/var/lib/camera-capture", false),
            ("/home/pi", false),
            ("/mnt/usb/gate", false),
        ] {
            assert_eq!(is_common(Path::new(folder)), is, "{folder}");
        }
    }

    #[test]
    fn the_whole_of_what_root_made_is_given_back() {
        let place = tempfile::tempdir().unwrap();
        let images = place.path().join("my images");
        fs::create_dir_all(images.join(".incoming")).unwrap();
        for name in ["gate.db", "gate.db-wal", "other"] {
            fs::write(place.path().join(name), "").unwrap();
        }
        let root = place.path().display();
        for (met, given) in [
            (images.join("2026-11-20/r1_1.jpg"), format!("'{root}/my images'")),
            (place.path().join("gate.db-wal"), format!("{root}/gate.db*")),
            (place.path().join("gate.db"), format!("{root}/gate.db*")),
            (place.path().join("other"), format!("{root}/other")),
        ] {
            assert_eq!(everything(&met), given);
        }
    }

    #[test]
    fn users_have_names_where_the_machine_knows_them() {
        assert_eq!(User::of(0).to_string(), "root (user 0)");
        assert_eq!(User::of(4_000_000_000).to_string(), "user 4000000000");
    }

    #[test]
    fn a_place_that_may_be_used_has_no_culprit() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("a.jpg"), "").unwrap();
        for path in ["a.jpg", "missing.jpg", "missing/a.jpg", ""] {
            assert_eq!(denial(&place.path().join(path)), None, "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_typed_is_one_word(name in "[a-z '\"$`;|&*()\\\\]{1,20}") {
            let typed = typed(Path::new(&name));
            let said = std::process::Command::new("sh").arg("-c").arg(format!("printf %s {typed}")).output();
            prop_assert_eq!(String::from_utf8(said.unwrap().stdout).unwrap(), shown(Path::new(&name)));
        }
    }
}
