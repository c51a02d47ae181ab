//! Room on a file system, in bytes and in files, and how much of it is left.

use super::UnixMs;

/// Room on one file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes an ordinary user may still write.
    pub free_bytes: u64,
    /// Its size in bytes.
    pub total_bytes: u64,
    /// Files that may still be created.
    pub free_inodes: u64,
    /// Files it can hold at most; 0 where it has no such limit (btrfs, FAT).
    pub total_inodes: u64,
}

/// Bytes and files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Bytes.
    pub bytes: u64,
    /// Files.
    pub inodes: u64,
}

impl Amount {
    /// Nothing.
    pub const NONE: Self = Self { bytes: 0, inodes: 0 };

    /// Whether there is nothing of it.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Of each the larger one.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { bytes: self.bytes.max(other.bytes), inodes: self.inodes.max(other.inodes) }
    }

    /// What is left of it after `other`; nothing where that is more.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            inodes: self.inodes.saturating_sub(other.inodes),
        }
    }

    /// One file of so many bytes, as file systems count it: in blocks of 4 KiB.
    pub fn file(bytes: u64) -> Self {
        Self { bytes: bytes.div_ceil(BLOCK).saturating_mul(BLOCK), inodes: 1 }
    }
}

/// What most file systems give out at a time.
const BLOCK: u64 = 4096;

/// How much room is left; from the best to the worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoomLevel {
    /// Above the floor.
    #[default]
    Good,
    /// Below the floor: the oldest delivered pictures go before their time.
    Low,
    /// Below half of the floor: nothing is left that may go. Pictures are still stored, clips are not.
    Critical,
    /// What is left is needed for the ledger: no picture is stored.
    Full,
}

impl RoomLevel {
    /// As in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Low => "low",
            Self::Critical => "critical",
            Self::Full => "full",
        }
    }
}

/// How the disk stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageState {
    /// How much room is left.
    pub level: RoomLevel,
    /// Since when.
    pub since: UnixMs,
    /// What is the matter and what to do; `None` while nothing is.
    pub message: Option<String>,
    /// Below so many free bytes delivered pictures go before their time.
    pub floor_bytes: u64,
    /// Room on the pictures' disk, when it was last looked at.
    pub pictures: Space,
    /// Room on the database's, if that is another one.
    pub database: Option<Space>,
    /// Bytes that are held back for the ledger.
    pub ballast_bytes: u64,
    /// Pictures that went before their time to make room, since the start.
    pub evicted: u64,
    /// Their size.
    pub evicted_bytes: u64,
    /// When the last of them went.
    pub evicted_at: Option<UnixMs>,
}
