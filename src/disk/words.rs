//! What is said about room, for people: how much is left, what may not go and why, what to do.

use super::level::{Marks, Short};
use crate::model::{RoomLevel, TargetId};
use crate::store::{DiskRoom, Held, PictureUsage};

/// A size as people say it, in powers of 1000.
pub fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        None => format!("{bytes} B"),
        Some((unit, name)) => {
            let tenths = bytes / (unit / 10);
            if tenths >= 1000 {
                format!("{} {name}", tenths / 10)
            } else {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            }
        }
    }
}

/// What is the matter, and what to do; `None` while nothing is.
pub(super) fn state(
    level: RoomLevel,
    short: Short,
    room: &DiskRoom,
    min_free: Option<u64>,
    held: Option<&Held>,
) -> Option<String> {
    let left = left(short, room);
    let why = || held.map_or_else(String::new, |held| format!("; {}", held_back(short, held)));
    match level {
        RoomLevel::Good => None,
        RoomLevel::Low => {
            let early = |floor: String| {
                format!(
                    "{left}, and {floor} shall stay free: the oldest delivered pictures go before their time"
                )
            };
            Some(match short {
                Short::Bytes => early(size(Marks::of_bytes(room.pictures.total_bytes, min_free).floor)),
                Short::Inodes => {
                    early(format!("{} files", Marks::of_inodes(room.pictures.total_inodes).floor))
                }
                Short::Database => format!("the disk of the database runs low: {left}; make room on it"),
            })
        }
        RoomLevel::Critical => Some(format!(
            "the disk is nearly full: {left}; pictures are still stored, clips are not{}",
            why()
        )),
        RoomLevel::Full => {
            Some(format!("the disk is full: {left}, and the last of it is for the ledger{}", why()))
        }
    }
}

fn left(short: Short, room: &DiskRoom) -> String {
    let bytes = |free, total| format!("{} of {} are free", size(free), size(total));
    match short {
        Short::Bytes => bytes(room.pictures.free_bytes, room.pictures.total_bytes),
        Short::Inodes => format!(
            "{} of {} files can still be created",
            room.pictures.free_inodes, room.pictures.total_inodes
        ),
        Short::Database => {
            let space = room.database.unwrap_or(room.pictures);
            format!("{} on the disk of the database", bytes(space.free_bytes, space.total_bytes))
        }
    }
}

/// What may not go, and what to do about it.
fn held_back(short: Short, held: &Held) -> String {
    if short == Short::Database {
        return "no picture lies there that could go; make room on that disk".to_owned();
    }
    let (mut facts, mut deeds) = (Vec::new(), Vec::new());
    let names = |list: &[(TargetId, PictureUsage)]| {
        list.iter().map(|(target, _)| target.to_string()).collect::<Vec<_>>().join(" and ")
    };
    for (target, heap) in &held.owed {
        facts.push(format!("{} for delivery to {target}", heaped(*heap, "waits", "wait")));
    }
    if !held.owed.is_empty() {
        deeds.push(format!("bring {} back", names(&held.owed)));
    }
    for (target, heap) in &held.dead {
        facts.push(format!("{} put aside by {target}", heaped(*heap, "was", "were")));
    }
    if !held.dead.is_empty() {
        deeds.push("send again or delete what was put aside".to_owned());
    }
    if held.protected.pictures > 0 {
        facts.push(format!("{} protected", heaped(held.protected, "is", "are")));
        deeds.push("end protections".to_owned());
    }
    deeds.push("make room on the disk".to_owned());
    if facts.is_empty() {
        return "no picture is left that could go, other files take the room: make room on the disk"
            .to_owned();
    }
    let last = deeds.pop().unwrap_or_default();
    let deeds = if deeds.is_empty() { last } else { format!("{}, or {last}", deeds.join(", ")) };
    format!("nothing may be deleted: {}; {deeds}", facts.join(", "))
}

fn heaped(heap: PictureUsage, is: &str, are: &str) -> String {
    match heap.pictures {
        1 => format!("1 picture ({}) {is}", size(heap.bytes)),
        many => format!("{many} pictures ({}) {are}", size(heap.bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Space;

    fn room() -> DiskRoom {
        let pictures =
            Space { free_bytes: 312_000, total_bytes: 33_554_432, free_inodes: 3, total_inodes: 200 };
        DiskRoom { pictures, ..DiskRoom::default() }
    }

    fn full(short: Short, held: &Held) -> String {
        state(RoomLevel::Full, short, &room(), None, Some(held)).unwrap()
    }

    #[test]
    fn sizes_are_rounded_down_to_what_people_read() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (312_000, "312 kB"),
            (26_190_000, "26.1 MB"),
            (536_870_912, "536 MB"),
            (1_000_000_000_000, "1.0 TB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_full_disk_says_what_is_owed_to_whom_and_what_to_do() {
        let held = Held {
            owed: vec![(TargetId::API, PictureUsage { pictures: 87, bytes: 26_100_000 })],
            dead: vec![(TargetId::API, PictureUsage { pictures: 1, bytes: 300_000 })],
            protected: PictureUsage { pictures: 2, bytes: 600_000 },
        };
        assert_eq!(
            full(Short::Bytes, &held),
            "the disk is full: 312 kB of 33.5 MB are free, and the last of it is for the ledger; nothing may be \
             deleted: 87 pictures (26.1 MB) wait for delivery to api, 1 picture (300 kB) was put aside by api, 2 pictures (600 kB) are \
             protected; bring api back, send again or delete what was put aside, end protections, or make room on the \
             disk"
        );
    }

    #[test]
    fn where_pictures_are_not_to_blame_nobody_is_sent_to_the_target() {
        let words = full(Short::Bytes, &Held::default());
        assert!(words.contains("other files take the room"), "{words}");
        let words = full(Short::Inodes, &Held::default());
        assert!(words.contains("3 of 200 files can still be created"), "{words}");
        let words = full(Short::Database, &Held::default());
        assert!(words.contains("on the disk of the database") && !words.contains("deliver"), "{words}");
    }

    #[test]
    fn a_good_disk_says_nothing() {
        assert_eq!(state(RoomLevel::Good, Short::Bytes, &room(), None, None), None);
        let low = state(RoomLevel::Low, Short::Bytes, &room(), Some(2_000_000), None).unwrap();
        assert!(low.contains("and 2.0 MB shall stay free"), "{low}");
    }
}
