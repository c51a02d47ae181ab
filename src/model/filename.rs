//! Names of stored files: one grammar, without separators, that nothing from outside gets past.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{CameraKey, Medium, UnixMs};

/// Fewest digits of the epoch seconds in a [`FileName`]; earlier instants are padded, so that `_2` at the end of a
/// name is never mistaken for a time.
const EPOCH_DIGITS_MIN: usize = 9;

/// Most digits of the epoch seconds in a [`FileName`] (the year 5138).
const EPOCH_DIGITS_MAX: usize = 11;

/// The name of a stored file: `{camera}_{epoch seconds}.jpg`, or `.mp4` for a clip; the second one of a second with
/// `_2` at the end. Pictures and clips are counted apart, so a clip mostly has its picture's name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName {
    camera: CameraKey,
    epoch_s: u64,
    /// 1 for the first one of a second, which carries no suffix.
    ordinal: u32,
    medium: Medium,
}

impl FileName {
    /// Highest ordinal of one camera within one second.
    pub const ORDINAL_MAX: u32 = 9_999;

    /// The name of the `ordinal`-th picture (from 1) that `camera` has of the second `epoch_s`.
    pub fn new(camera: CameraKey, epoch_s: u64, ordinal: u32) -> Self {
        Self {
            camera,
            epoch_s: epoch_s.min(10_u64.pow(EPOCH_DIGITS_MAX as u32) - 1),
            ordinal: ordinal.clamp(1, Self::ORDINAL_MAX),
            medium: Medium::Jpeg,
        }
    }

    /// The same name for a file of this medium.
    pub fn of(self, medium: Medium) -> Self {
        Self { medium, ..self }
    }

    /// Parses a name exactly as this program writes it; anything else, paths above all, is refused.
    pub fn parse(text: &str) -> Option<Self> {
        let mut media = [Medium::Jpeg, Medium::Mp4].into_iter();
        let (medium, stem) =
            media.find_map(|medium| Some((medium, text.strip_suffix(medium.extension())?)))?;
        let (rest, last) = stem.rsplit_once('_')?;
        let parsed = if is_epoch(last) {
            Self::new(CameraKey::parse(rest).ok()?, last.parse().ok()?, 1)
        } else {
            let (camera, epoch) = rest.rsplit_once('_')?;
            if !is_epoch(epoch) || !last.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            Self::new(CameraKey::parse(camera).ok()?, epoch.parse().ok()?, last.parse().ok()?)
        };
        let parsed = parsed.of(medium);
        (parsed.to_string() == text).then_some(parsed)
    }

    /// The camera that took it.
    pub fn camera(&self) -> &CameraKey {
        &self.camera
    }

    /// The second of the edge, since 1970.
    pub fn epoch_s(&self) -> u64 {
        self.epoch_s
    }

    /// The UTC day of that second, such as `2026-11-20`. It is the one that the clock showed, whatever is known later.
    pub fn day(&self) -> String {
        UnixMs(i64::try_from(self.epoch_s).unwrap_or(0).saturating_mul(1000)).day()
    }

    /// Which one of its second it is, from 1.
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// What the file is.
    pub fn medium(&self) -> Medium {
        self.medium
    }

    /// The same second, next ordinal; `None` past [`Self::ORDINAL_MAX`].
    pub fn next(&self) -> Option<Self> {
        (self.ordinal < Self::ORDINAL_MAX).then(|| Self { ordinal: self.ordinal + 1, ..self.clone() })
    }
}

fn is_epoch(text: &str) -> bool {
    (EPOCH_DIGITS_MIN..=EPOCH_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{:0width$}", self.camera, self.epoch_s, width = EPOCH_DIGITS_MIN)?;
        if self.ordinal > 1 {
            write!(f, "_{}", self.ordinal)?;
        }
        f.write_str(self.medium.extension())
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for FileName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str) -> CameraKey {
        CameraKey::parse(text).unwrap()
    }

    #[test]
    fn file_names_follow_the_contract() {
        let first = FileName::new(key("r1"), 1_698_765_432, 1);
        assert_eq!(first.to_string(), "r1_1698765432.jpg");
        assert_eq!(first.clone().of(Medium::Mp4).to_string(), "r1_1698765432.mp4");
        assert_eq!(first.next().unwrap().to_string(), "r1_1698765432_2.jpg");
        assert_eq!(first.of(Medium::Mp4).next().unwrap().to_string(), "r1_1698765432_2.mp4");
    }

    #[test]
    fn a_key_that_ends_in_a_number_is_not_mistaken_for_a_suffix() {
        let name = FileName::parse("gate_1_1698765432.jpg").unwrap();
        assert_eq!((name.camera().as_str(), name.ordinal()), ("gate_1", 1));
        let second = FileName::parse("gate_1_1698765432_3.mp4").unwrap();
        assert_eq!((second.camera().as_str(), second.ordinal()), ("gate_1", 3));
    }

    #[test]
    fn names_that_are_not_ours_are_refused() {
        for text in [
            "",
            ".jpg",
            ".mp4",
            "r1_.jpg",
            "r1_1698765432",
            "r1_1698765432.jpeg",
            "r1_1698765432.m4v",
            "r1_1698765432.MP4",
            "r1_1698765432.mp4.jpg",
            "r1_1698765432.jpg.mp4",
            "../r1_1698765432.jpg",
            "../r1_1698765432.mp4",
            "r1_1698765432_1.jpg",
            "r1_1698765432_1.mp4",
            "r1_1698765432_02.jpg",
            "r1_1698765432_99999.jpg",
            "/r1_1698765432.jpg",
            "r1_1698765432.jpg\0",
            "r1_1698765432.mp4\0",
            "R1_1698765432.jpg",
            "_1698765432.jpg",
            "r1_16987.jpg",
            "r1_+698765432.jpg",
        ] {
            assert_eq!(FileName::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_written_is_read_back(
            camera in "[a-z0-9][a-z0-9_-]{0,31}", epoch in 0_u64..99_999_999_999, ordinal in 1_u32..=9_999,
            is_clip: bool,
        ) {
            let name = FileName::new(key(&camera), epoch, ordinal);
            let name = if is_clip { name.of(Medium::Mp4) } else { name };
            prop_assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }

        #[test]
        fn parsing_any_text_never_panics(text in ".{0,80}") {
            if let Some(name) = FileName::parse(&text) {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
