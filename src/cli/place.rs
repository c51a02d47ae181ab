//! Whether pictures and database lie where the service may write: their disks are mounted, and its unit, which closes
//! everything but its own folder, lets it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::store;

/// Where units lie, the one that counts first; systemd.unit(5).
const FOLDERS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

const UNIT: &str = "camera-capture.service";

/// Homes, which `ProtectHome=` closes; systemd.exec(5).
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// Which disks are away, and what the installed unit forbids of the configuration, in words. Blocking.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let storage = &config.storage;
    let away = store::database_away(&storage.database, Path::new("."))
        .or_else(|| store::pictures_away(&storage.images, &storage.database));
    away.into_iter().chain(forbidden(config)).collect()
}

/// What the installed unit forbids; nothing where none is installed.
fn forbidden(config: &Config) -> Vec<String> {
    let Some(unit) = installed() else { return Vec::new() };
    let storage = &config.storage;
    let database = storage.database.parent().unwrap_or(Path::new("/"));
    let places = [("IMAGE_STORAGE_PATH", storage.images.as_path()), ("DATABASE_PATH", database)];
    let forbidden = places.iter().filter(|(_, place)| !may_write(&unit, place));
    forbidden
        .map(|(name, place)| {
            let home = if is_home(place) { "ProtectHome=tmpfs and BindPaths=" } else { "ReadWritePaths=" };
            let place = place.display();
            format!(
                "{name}: the unit {UNIT} forbids the service to write to {place}. Allow it in a drop-in: sudo systemctl \
                 edit camera-capture, and there [Service] with {home}{place}; or run deploy/install.sh again, which \
                 writes it from the settings"
            )
        })
        .collect()
}

/// The unit and its drop-ins, one after the other; `None` when there is none.
fn installed() -> Option<String> {
    let mut text = FOLDERS.iter().find_map(|folder| fs::read_to_string(Path::new(folder).join(UNIT)).ok())?;
    let mut parts: Vec<PathBuf> = Vec::new();
    for folder in FOLDERS {
        let found = fs::read_dir(Path::new(folder).join(format!("{UNIT}.d"))).into_iter().flatten().flatten();
        parts.extend(
            found.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "conf")),
        );
    }
    parts.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    for part in parts {
        text.push('\n');
        text.push_str(&fs::read_to_string(part).unwrap_or_default());
    }
    Some(text)
}

fn is_home(place: &Path) -> bool {
    HOMES.iter().any(|home| place.starts_with(home))
}

/// Whether a service with this unit may write there. Relative places lie in its own folder.
fn may_write(unit: &str, place: &Path) -> bool {
    let (mut is_strict, mut is_home_closed) = (false, false);
    let mut open: Vec<PathBuf> = Vec::new();
    for line in unit.lines().map(str::trim) {
        let Some((name, value)) = line.split_once('=') else { continue };
        let value = value.trim();
        match name.trim() {
            "ProtectSystem" => is_strict = value == "strict",
            "ProtectHome" => is_home_closed = !matches!(value, "no" | "false" | "off" | "0" | ""),
            "StateDirectory" => open.extend(words(value).map(|name| Path::new("/var/lib").join(name))),
            "ReadWritePaths" | "BindPaths" if value.is_empty() => open.clear(),
            "ReadWritePaths" | "BindPaths" => open.extend(words(value).map(PathBuf::from)),
            _ => {}
        }
    }
    let is_open = place.is_relative() || open.iter().any(|open| place.starts_with(open));
    is_open || !(is_strict || (is_home_closed && is_home(place)))
}

/// Paths of a line, with or without quotes and the marks before them.
fn words(value: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in value.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(end)) if c == end => quote = None,
            (' ' | '\t', None) => words.push(String::new()),
            (c, _) => {
                if let Some(last) = words.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    words
        .into_iter()
        .filter(|word| !word.is_empty())
        .map(|word| word.trim_start_matches(['-', '+']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../camera-capture.service");

    #[test]
    fn the_unit_allows_its_own_folder_and_what_a_drop_in_opens() {
        for (drop_in, place, may) in [
            ("", "/var/lib/camera-capture/images", true),
            ("", "images", true),
            ("", "/var/lib/camera-captured", false),
            ("", "/mnt/usb/images", false),
            ("", "/home/pi/images", false),
            ("[Service]\nReadWritePaths=-/mnt/usb", "/mnt/usb/images", true),
            ("[Service]\nReadWritePaths=\"-/mnt/my disk\" /srv", "/mnt/my disk/images", true),
            ("[Service]\nReadWritePaths=/mnt/usb\nReadWritePaths=", "/mnt/usb/images", false),
            ("[Service]\nProtectHome=tmpfs\nBindPaths=-/home/pi/images", "/home/pi/images", true),
            ("[Service]\nProtectSystem=no", "/mnt/usb/images", true),
            ("[Service]\nProtectSystem=no", "/home/pi/images", false),
        ] {
            assert_eq!(
                may_write(&format!("{SHIPPED}\n{drop_in}"), Path::new(place)),
                may,
                "{drop_in} {place}"
            );
        }
    }
}
