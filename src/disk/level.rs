//! How much room is enough, and how much has to go: plain reckoning with what was measured.
//!
//! Three marks, of bytes and of files each: below the *floor* the oldest delivered pictures go before their time, below
//! half of it an operator is called, and the *reserve* is for the ledger alone.

use crate::model::{Amount, RoomLevel, Space};
use crate::store::{Deletable, DiskRoom};

/// The floor is this part of the disk, 5 %, ...
const FLOOR_PART: u64 = 20;

/// ... but not more than this: 1700 pictures of 300 kB are time enough for a person to come.
const FLOOR_BYTES_MAX: u64 = 512 << 20;

/// The same of files: a directory entry for each of a busy day.
const FLOOR_INODES_MAX: u64 = 1_000;

/// The reserve is this part of the disk, 1 %, ...
const RESERVE_PART: u64 = 100;

/// ... but not more than this: it is written in rows of a few hundred bytes.
const RESERVE_BYTES_MAX: u64 = 32 << 20;

/// The same of files: SQLite needs its three, the next day its folder.
const RESERVE_INODES_MAX: u64 = 64;

/// What a commit may add to the disk of the database, if that is another one.
const COMMIT_BYTES: u64 = 64 * 1024;

/// Where the levels of one quantity begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Below it, it is low.
    pub floor: u64,
    /// Below it, it is critical; half of the floor.
    pub critical: u64,
    /// Below it, it is full; never above `critical`.
    pub reserve: u64,
}

impl Marks {
    /// Of bytes, on a disk of this size; `STORAGE_MIN_FREE_BYTES` overrides the floor.
    pub fn of_bytes(total: u64, min_free: Option<u64>) -> Self {
        let floor = min_free.unwrap_or((total / FLOOR_PART).min(FLOOR_BYTES_MAX));
        Self::new(floor, (total / RESERVE_PART).min(RESERVE_BYTES_MAX))
    }

    /// Of files, on a disk that can hold so many. One without such a limit is never low.
    pub fn of_inodes(total: u64) -> Self {
        let floor = (total / FLOOR_PART).min(FLOOR_INODES_MAX);
        Self::new(floor, (total / RESERVE_PART).min(RESERVE_INODES_MAX))
    }

    fn new(floor: u64, reserve: u64) -> Self {
        Self { floor, critical: floor / 2, reserve: reserve.min(floor / 2) }
    }

    /// The level at which so much is free.
    pub fn level(self, free: u64) -> RoomLevel {
        match free {
            _ if free < self.reserve => RoomLevel::Full,
            _ if free < self.critical => RoomLevel::Critical,
            _ if free < self.floor => RoomLevel::Low,
            _ => RoomLevel::Good,
        }
    }
}

/// What there is least of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// Bytes, on the pictures' disk.
    Bytes,
    /// Files, on the pictures' disk.
    Inodes,
    /// Either of them, on the disk of the database, where no picture lies that could go.
    Database,
}

/// How the disk will stand once something is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// How much room will be left; the worst of all quantities.
    pub level: RoomLevel,
    /// What will be shortest.
    pub short: Short,
    /// What has to go so that nothing is below its floor.
    pub below_floor: Amount,
    /// What has to go so that nothing is below its reserve; never more than `below_floor`.
    pub below_reserve: Amount,
}

impl Outlook {
    /// Whether its file can be stored without touching the reserve of the pictures' disk. A row that the disk of the
    /// database does not take is made up for later.
    pub fn has_room(&self) -> bool {
        self.below_reserve.is_none()
    }
}

/// How the disk stands once `incoming` is stored. What the ballast still wants does not count as free: it was released
/// for the ledger, and pictures must not take its room.
pub fn outlook(room: &DiskRoom, min_free: Option<u64>, incoming: Amount) -> Outlook {
    let withheld = room.ballast_wanted.saturating_sub(room.ballast_bytes);
    let on_pictures = if room.database.is_none() { withheld } else { 0 };
    let pictures = Quantities::of(&room.pictures, min_free, on_pictures, incoming);
    let mut worst = (pictures.bytes.level(), Short::Bytes);
    if pictures.inodes.level() > worst.0 {
        worst = (pictures.inodes.level(), Short::Inodes);
    }
    if let Some(space) = &room.database {
        let commit = Amount { bytes: COMMIT_BYTES, inodes: 0 };
        let database = Quantities::of(space, None, withheld, commit);
        let level = database.bytes.level().max(database.inodes.level());
        if level > worst.0 {
            worst = (level, Short::Database);
        }
    }
    let missing = |mark: fn(&Marks) -> u64| Amount {
        bytes: pictures.bytes.missing(mark),
        inodes: pictures.inodes.missing(mark),
    };
    Outlook {
        level: worst.0,
        short: worst.1,
        below_floor: missing(|marks| marks.floor),
        below_reserve: missing(|marks| marks.reserve),
    }
}

/// One quantity and its marks.
struct Quantity {
    marks: Marks,
    free: u64,
    taken: u64,
}

struct Quantities {
    bytes: Quantity,
    inodes: Quantity,
}

impl Quantities {
    fn of(space: &Space, min_free: Option<u64>, withheld: u64, incoming: Amount) -> Self {
        let marks = Marks::of_inodes(space.total_inodes);
        // A disk without such a limit says that it has room for none.
        let free = if space.total_inodes == 0 { u64::MAX } else { space.free_inodes };
        Self {
            bytes: Quantity {
                marks: Marks::of_bytes(space.total_bytes, min_free),
                free: space.free_bytes,
                taken: withheld.saturating_add(incoming.bytes),
            },
            inodes: Quantity { marks, free, taken: incoming.inodes },
        }
    }
}

impl Quantity {
    fn level(&self) -> RoomLevel {
        // What does not fit at all does not fit above a reserve of nothing either.
        match self.free.checked_sub(self.taken) {
            Some(left) => self.marks.level(left),
            None => RoomLevel::Full,
        }
    }

    fn missing(&self, mark: fn(&Marks) -> u64) -> u64 {
        mark(&self.marks).saturating_add(self.taken).saturating_sub(self.free)
    }
}

/// The first of the candidates that together are at least `need`, or all of them; `cost` is what a file of so many bytes
/// counts.
pub fn enough(
    candidates: impl IntoIterator<Item = Deletable>,
    need: Amount,
    cost: impl Fn(u64) -> Amount,
) -> Vec<Deletable> {
    let mut left = need;
    let mut chosen = Vec::new();
    for candidate in candidates {
        if left.is_none() {
            break;
        }
        left = left.less(cost(candidate.bytes));
        chosen.push(candidate);
    }
    chosen
}

#[cfg(test)]
#[path = "level_tests.rs"]
mod tests;
