//! What is said about room: how much is left, what may not go and why.

use super::level::{Marks, Short};
use crate::model::{HeldBack, HeldPictures, RoomLack, RoomLevel, RoomText};
use crate::store::{DiskRoom, Held, PictureUsage};

/// What is the matter; `None` while nothing is.
pub(super) fn state(
    level: RoomLevel,
    short: Short,
    room: &DiskRoom,
    min_free: Option<u64>,
    held: Option<&Held>,
) -> Option<RoomText> {
    let lack = lack(short, room);
    let held = held.map(held_back);
    match level {
        RoomLevel::Good => None,
        RoomLevel::Low => {
            let floor = match short {
                Short::Bytes => Some(Marks::of_bytes(room.pictures.total_bytes, min_free).floor),
                Short::Inodes => Some(Marks::of_inodes(room.pictures.total_inodes).floor),
                Short::Database => None,
            };
            Some(RoomText::RoomLow { lack, floor })
        }
        RoomLevel::Critical => Some(RoomText::RoomCritical { lack, held }),
        RoomLevel::Full => Some(RoomText::RoomFull { lack, held }),
    }
}

fn lack(short: Short, room: &DiskRoom) -> RoomLack {
    let space = room.pictures;
    match short {
        Short::Bytes => RoomLack::Bytes { free: space.free_bytes, total: space.total_bytes },
        Short::Inodes => RoomLack::Files { free: space.free_inodes, total: space.total_inodes },
        Short::Database => {
            let space = room.database.unwrap_or(space);
            RoomLack::Database { free: space.free_bytes, total: space.total_bytes }
        }
    }
}

fn held_back(held: &Held) -> HeldBack {
    let pictures = |target: String, usage: &PictureUsage| HeldPictures {
        target,
        pictures: usage.pictures,
        bytes: usage.bytes,
    };
    HeldBack {
        owed: held.owed.iter().map(|(target, usage)| pictures(target.to_string(), usage)).collect(),
        dead: held.dead.iter().map(|(target, usage)| pictures(target.to_string(), usage)).collect(),
        protected: pictures(String::new(), &held.protected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Space, TargetId};

    fn room() -> DiskRoom {
        let pictures =
            Space { free_bytes: 312_000, total_bytes: 33_554_432, free_inodes: 3, total_inodes: 200 };
        DiskRoom { pictures, ..DiskRoom::default() }
    }

    fn full(short: Short, held: &Held) -> String {
        state(RoomLevel::Full, short, &room(), None, Some(held)).unwrap().to_string()
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
        let low = state(RoomLevel::Low, Short::Bytes, &room(), Some(2_000_000), None).unwrap().to_string();
        assert!(low.contains("and 2.0 MB shall stay free"), "{low}");
    }
}
