//! Which disk is full when, and that what has to go is exactly what is missing.

use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

fn disk(free_bytes: u64, total_bytes: u64) -> DiskRoom {
    let pictures = Space { free_bytes, total_bytes, free_inodes: 1 << 20, total_inodes: 1 << 20 };
    DiskRoom { pictures, ..DiskRoom::default() }
}

#[test]
fn the_defaults_fit_a_test_disk_a_card_and_a_large_disk() {
    let of = |total| {
        let Marks { floor, critical, reserve } = Marks::of_bytes(total, None);
        (floor, critical, reserve)
    };
    assert_eq!(of(32 * MIB), (1_677_721, 838_860, 335_544));
    assert_eq!(of(16_000_000_000), (512 * MIB, 256 * MIB, 32 * MIB));
    assert_eq!(of(1_000_000_000_000), (512 * MIB, 256 * MIB, 32 * MIB));
    assert_eq!(Marks::of_inodes(200), Marks { floor: 10, critical: 5, reserve: 2 });
    assert_eq!(Marks::of_inodes(1_000_000), Marks { floor: 1_000, critical: 500, reserve: 64 });
}

#[test]
fn an_operators_floor_moves_every_mark() {
    assert_eq!(
        Marks::of_bytes(16_000_000_000, Some(2_000_000_000)),
        Marks { floor: 2_000_000_000, critical: 1_000_000_000, reserve: 32 * MIB }
    );
    let small = Marks { floor: MIB, critical: MIB / 2, reserve: MIB / 2 };
    assert_eq!(Marks::of_bytes(16_000_000_000, Some(MIB)), small);
}

#[test]
fn levels_follow_what_would_be_left() {
    let level = |free| outlook(&disk(free, 32 * MIB), None, Amount::file(300_000)).level;
    let picture = Amount::file(300_000).bytes;
    assert_eq!(level(1_677_721 + picture), RoomLevel::Good);
    assert_eq!(level(1_677_720 + picture), RoomLevel::Low);
    assert_eq!(level(838_859 + picture), RoomLevel::Critical);
    assert_eq!(level(335_544 + picture), RoomLevel::Critical);
    assert_eq!(level(335_543 + picture), RoomLevel::Full);
    assert_eq!(level(0), RoomLevel::Full);
}

#[test]
fn a_disk_without_a_limit_of_files_is_never_short_of_them() {
    let mut room = disk(20 * MIB, 32 * MIB);
    (room.pictures.free_inodes, room.pictures.total_inodes) = (0, 0);
    let seen = outlook(&room, None, Amount::file(1));
    assert_eq!((seen.level, seen.below_floor), (RoomLevel::Good, Amount::NONE));
}

#[test]
fn files_run_out_as_bytes_do() {
    let mut room = disk(20 * MIB, 32 * MIB);
    (room.pictures.free_inodes, room.pictures.total_inodes) = (7, 200);
    let seen = outlook(&room, None, Amount { bytes: 1, inodes: 2 });
    assert_eq!((seen.level, seen.short), (RoomLevel::Low, Short::Inodes));
    assert_eq!(seen.below_floor, Amount { bytes: 0, inodes: 5 });
    room.pictures.free_inodes = 3;
    let seen = outlook(&room, None, Amount { bytes: 1, inodes: 2 });
    assert_eq!((seen.level, seen.short), (RoomLevel::Full, Short::Inodes));
    assert_eq!(seen.below_reserve, Amount { bytes: 0, inodes: 1 });
}

#[test]
fn the_room_of_a_released_ballast_is_not_for_pictures() {
    let held = DiskRoom { ballast_wanted: MIB, ballast_bytes: MIB, ..disk(MIB, 32 * MIB) };
    let released = DiskRoom { ballast_bytes: 0, pictures: disk(2 * MIB, 32 * MIB).pictures, ..held };
    assert_eq!(outlook(&released, None, Amount::NONE), outlook(&held, None, Amount::NONE));
    assert_eq!(outlook(&held, None, Amount::NONE).level, RoomLevel::Low);
}

#[test]
fn no_picture_can_make_room_on_the_disk_of_the_database() {
    let database = Space { free_bytes: 1000, total_bytes: 32 * MIB, ..disk(0, 0).pictures };
    let room = DiskRoom { database: Some(database), ballast_wanted: MIB, ..disk(20 * MIB, 32 * MIB) };
    let seen = outlook(&room, None, Amount::file(300_000));
    assert_eq!((seen.level, seen.short, seen.below_floor), (RoomLevel::Full, Short::Database, Amount::NONE));
}

/// Disks from nothing to a terabyte, as full as you like.
fn any_room() -> impl Strategy<Value = DiskRoom> {
    let quantity = || (0_u64..1 << 40).prop_flat_map(|total| (0..=total, Just(total)));
    (quantity(), quantity(), 0_u64..32 * MIB, 0_u64..32 * MIB).prop_map(|(bytes, inodes, wanted, held)| {
        DiskRoom {
            pictures: Space {
                free_bytes: bytes.0,
                total_bytes: bytes.1,
                free_inodes: inodes.0,
                total_inodes: inodes.1,
            },
            database: None,
            ballast_bytes: held,
            ballast_wanted: wanted,
        }
    })
}

proptest! {
    #[test]
    fn what_is_missing_is_enough_and_not_a_byte_more(
        room in any_room(), min_free in proptest::option::of(0_u64..1 << 41), bytes in 0_u64..1 << 30,
    ) {
        let incoming = Amount { bytes, inodes: 2 };
        let seen = outlook(&room, min_free, incoming);
        let after = |gone: Amount| {
            let mut room = room;
            room.pictures.free_bytes += gone.bytes;
            room.pictures.free_inodes += gone.inodes;
            outlook(&room, min_free, incoming)
        };
        prop_assert_eq!(after(seen.below_floor).level, RoomLevel::Good);
        prop_assert!(after(seen.below_reserve).has_room());
        prop_assert_eq!(seen.below_floor.is_none(), seen.level == RoomLevel::Good);
        prop_assert_eq!(seen.below_reserve.is_none(), seen.has_room());
        prop_assert!(seen.below_reserve.less(seen.below_floor).is_none());
        for part in [
            Amount { bytes: seen.below_floor.bytes.saturating_sub(1), ..seen.below_floor },
            Amount { inodes: seen.below_floor.inodes.saturating_sub(1), ..seen.below_floor },
        ] {
            prop_assert!(part == seen.below_floor || after(part).level > RoomLevel::Good);
        }
    }

    #[test]
    fn more_room_is_never_worse_and_a_larger_picture_never_better(
        room in any_room(), more in 0_u64..1 << 40, bytes in 0_u64..1 << 30, larger in 0_u64..1 << 30,
    ) {
        let level = |room: &DiskRoom, bytes| outlook(room, None, Amount { bytes, inodes: 1 }).level;
        let mut roomier = room;
        roomier.pictures.free_bytes += more;
        roomier.pictures.free_inodes += more;
        prop_assert!(level(&roomier, bytes) <= level(&room, bytes));
        prop_assert!(level(&room, bytes + larger) >= level(&room, bytes));
    }
}
