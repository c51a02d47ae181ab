//! Names, identities and facts that cross more than one part of the program.
//!
//! Everything here is parsed once, where it enters; an invalid key, file name or identity cannot be written down
//! afterwards. Nothing here does input or output.

mod alarm_text;
pub mod backoff;
mod camera_fault;
pub mod chain;
mod coded;
mod disguise;
mod filename;
pub mod foreign;
mod link;
mod moment;
mod picture;
mod plate;
mod reason;
mod room_text;
pub mod secrets;
mod space;
mod stamps;
mod target;
mod upload_fault;
mod words;

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

pub use alarm_text::AlarmText;
pub use camera_fault::CameraFault;
#[cfg(test)]
pub(crate) use coded::Samples;
pub use coded::{Because, Coded};
pub use filename::{FileName, FileStem};
pub use link::LinkToken;
pub use moment::Moment;
pub use picture::{Cause, Dimensions, ImageKind, Medium, PUSH_AGE_MAX_MS, PictureFacts, PushFacts};
pub use plate::{NEAR_CHARS_MIN, PLATE_CHARS_MAX, PlateText, TextBox, TextMatch, TextRead};
pub use reason::NoPicture;
pub use room_text::{HeldBack, HeldPictures, RoomLack, RoomText};
pub use space::{Amount, RoomLevel, Space, StorageState};
pub use stamps::Stamps;
pub use target::{NoTarget, TargetId, TargetKind};
pub use upload_fault::{ObjectOddity, UploadFault};
pub use words::{UNSTORED, size};

/// Most characters in a [`CameraKey`].
const CAMERA_KEY_MAX: usize = 32;

/// The short name of a camera, as in `r1_1698765432.jpg`: 1 to 32 characters of `a-z 0-9 _ -`, the first one a
/// letter or digit.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CameraKey(String);

impl CameraKey {
    /// Parses a key; the error says what is accepted.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let first_is_fine = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let rest_is_fine =
            text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
        if text.len() <= CAMERA_KEY_MAX && first_is_fine && rest_is_fine {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidKey)
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is not a camera key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("1 to 32 characters of a-z, 0-9, _ and -, starting with a letter or digit")]
pub struct InvalidKey;

impl FromStr for CameraKey {
    type Err = InvalidKey;
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        Self::parse(text)
    }
}

impl fmt::Display for CameraKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CameraKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for CameraKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The name of a device that sends its pictures by itself. It has the grammar of a camera's key, because the pictures of
/// a device that stands for no configured camera are listed under it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceName(CameraKey);

impl DeviceName {
    /// Parses a name; the error says what is accepted.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        CameraKey::parse(text).map(Self)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The key under which its pictures are listed where it stands for no camera.
    pub fn key(&self) -> &CameraKey {
        &self.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for DeviceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// The identity of an image: 128 random bits, written as 32 hexadecimal digits.
///
/// It is the idempotency key of every upload and stands in the picture itself (EXIF `ImageUniqueID`), so it survives
/// the loss of the database.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageId([u8; 16]);

impl ImageId {
    /// A fresh identity from the kernel's random numbers.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        // The call fails only on kernels without getrandom(2) and without /dev/urandom; there the program's own
        // generator is good enough for uniqueness, and nothing secret hangs on it.
        if getrandom::fill(&mut bytes).is_err() {
            bytes = fastrand::u128(..).to_le_bytes();
        }
        Self(bytes)
    }

    /// Parses 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|n| Self(n.to_be_bytes()))
    }

    /// The identity as stored in the database.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// An identity read back from the database.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ImageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

/// Wall-clock time: milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// Whole seconds since 1970; an instant before it counts as 1970.
    pub fn epoch_s(self) -> u64 {
        u64::try_from(self.0.div_euclid(1000)).unwrap_or(0)
    }

    /// RFC 3339 in UTC with milliseconds, such as `2026-11-20T12:00:00.250Z`.
    pub fn rfc3339(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(stamp) => format!("{stamp:.3}"),
            Err(_) => "1970-01-01T00:00:00.000Z".to_owned(),
        }
    }

    /// The UTC day, such as `2026-11-20`.
    pub fn day(self) -> String {
        self.rfc3339().chars().take(10).collect()
    }

    /// This instant moved by `ms` milliseconds.
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// A debounced edge or a command: the wish for a picture of one instant. Or a picture that came by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// The camera that shall take it.
    pub camera: CameraKey,
    /// What asked.
    pub cause: Cause,
    /// The instant asked for: the kernel's time stamp of the edge. Of a pushed picture, when it arrived.
    pub edge: Moment,
    /// The device that sent its picture.
    pub device: Option<DeviceName>,
}

/// How a trigger ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It led to at least one stored picture.
    Captured,
    /// Another trigger was already being served and stands for it.
    Coalesced,
    /// No picture; the ledger has the reason.
    Failed,
}

impl Outcome {
    /// As in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::Coalesced => "coalesced",
            Self::Failed => "failed",
        }
    }

    /// Parses what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Captured, Self::Coalesced, Self::Failed].into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// How far a time of the ledger can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockState {
    /// The clock was right.
    Synced,
    /// The clock had not been set; the time may be wrong by any amount.
    Unsynced,
    /// The clock had not been set, and the time was put right afterwards.
    Corrected,
}

impl ClockState {
    /// As in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Unsynced => "unsynced",
            Self::Corrected => "corrected",
        }
    }

    /// Parses what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Synced, Self::Unsynced, Self::Corrected].into_iter().find(|state| state.as_str() == text)
    }
}

/// Where the delivery of one image to one target stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UploadState {
    /// Owed: waiting, being sent or to be tried again.
    Pending,
    /// Confirmed by the target.
    Delivered,
    /// Refused for good and put aside with the reason (dead letter).
    Dead,
    /// The target is switched off.
    Skipped,
    /// The image's file is gone.
    Lost,
}

impl UploadState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Delivered, Self::Dead, Self::Skipped, Self::Lost];

    /// As in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Skipped => "skipped",
            Self::Lost => "lost",
        }
    }

    /// Parses what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        assert_eq!(UnixMs(1_698_765_432_007).rfc3339(), "2023-10-31T15:17:12.007Z");
        assert_eq!(UnixMs(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(UnixMs(1_698_765_432_000).day(), "2023-10-31");
    }

    #[test]
    fn image_ids_are_32_hexadecimal_digits_and_read_back() {
        let id = ImageId::random();
        assert_eq!(id.to_string().len(), 32);
        assert_eq!(ImageId::parse(&id.to_string()), Some(id));
        assert_eq!(ImageId::parse("+0000000000000000000000000000001"), None);
    }
}
