//! Names of stored files: one grammar, without separators, that nothing from outside gets past.

use std::fmt;

use jiff::civil::DateTime;
use serde::{Serialize, Serializer};

use super::{CameraKey, Medium, PictureFacts, UnixMs};

/// Fewest digits of the epoch seconds in a [`FileName`]; earlier instants are padded, so that `_2` at the end of a
/// name is never mistaken for a time.
const EPOCH_DIGITS_MIN: usize = 9;

/// Most digits of the epoch seconds in a [`FileName`] (the year 5138).
const EPOCH_DIGITS_MAX: usize = 11;

/// Most characters in a [`FileStem`]: what a person still reads in a list.
const STEM_MAX: usize = 64;

/// The stem of a pushed picture whose sender gave it no name, or none that can be written.
const NO_STEM: &str = "photo";

/// The name of a stored file: `{camera}_{epoch seconds}.jpg`, or `.mp4` for a clip; the second one of a second with
/// `_2` at the end. Pictures and clips are counted apart, so a clip mostly has its picture's name.
///
/// A pushed picture is `{stem}_{YYYYMMDD_HHMMSS}.jpg`, in the site's local time, as receivers before this program named it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName {
    base: NameBase,
    /// 1 for the first one of a second, which carries no suffix.
    ordinal: u32,
    medium: Medium,
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum NameBase {
    Taken { camera: CameraKey, epoch_s: u64 },
    Pushed { stem: FileStem, local: DateTime },
}

/// What the sender of a pushed picture called it, as far as a name of ours may hold it: 1 to 64 characters of
/// `A-Z a-z 0-9 _ -`, the first one a letter or digit.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileStem(String);

impl FileStem {
    /// What is left of a sender's own name: no folders, no end such as `.jpg`, a `-` for whatever else is not in the
    /// grammar; `photo` where nothing is left.
    pub fn of(own_name: Option<&str>) -> Self {
        let name = own_name.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let mut clean = String::new();
        for c in stem.chars() {
            let is_fine = c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if is_fine || !clean.ends_with('-') {
                clean.push(if is_fine { c } else { '-' });
            }
        }
        let clean: String = clean.trim_start_matches(['_', '-']).chars().take(STEM_MAX).collect();
        Self::parse(clean.trim_end_matches(['_', '-'])).unwrap_or_else(|| Self(NO_STEM.to_owned()))
    }

    fn parse(text: &str) -> Option<Self> {
        let is_fine = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
            && text.len() <= STEM_MAX;
        is_fine.then(|| Self(text.to_owned()))
    }
}

impl FileName {
    /// Highest ordinal of one camera within one second.
    pub const ORDINAL_MAX: u32 = 9_999;

    /// The name of the `ordinal`-th picture (from 1) that `camera` has of the second `epoch_s`.
    pub fn new(camera: CameraKey, epoch_s: u64, ordinal: u32) -> Self {
        let epoch_s = epoch_s.min(10_u64.pow(EPOCH_DIGITS_MAX as u32) - 1);
        let ordinal = ordinal.clamp(1, Self::ORDINAL_MAX);
        Self { base: NameBase::Taken { camera, epoch_s }, ordinal, medium: Medium::Jpeg }
    }

    /// The first name of the second of a picture or clip; where that is taken, it gets a later one. `utc_offset_s` is that
    /// of the site then.
    pub fn first_of(facts: &PictureFacts, utc_offset_s: i32) -> Self {
        let name = match &facts.push {
            None => Self::new(facts.camera.clone(), facts.edge_at.epoch_s(), 1),
            Some(push) => Self::pushed(FileStem::of(push.own_name.as_deref()), facts.edge_at, utc_offset_s),
        };
        name.of(facts.kind.medium())
    }

    /// The name of the first picture that was pushed under `stem` in the second of `at`, which the site's clocks show
    /// `utc_offset_s` later than UTC.
    pub fn pushed(stem: FileStem, at: UnixMs, utc_offset_s: i32) -> Self {
        let local = at.plus_ms(i64::from(utc_offset_s).saturating_mul(1000)).epoch_s();
        let local = i64::try_from(local).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
        let local = local.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_zoned(jiff::tz::TimeZone::UTC).datetime();
        Self { base: NameBase::Pushed { stem, local }, ordinal: 1, medium: Medium::Jpeg }
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
        let (base, ordinal) = match NameBase::parse(stem) {
            Some(base) => (base, 1),
            None => {
                let (base, ordinal) = stem.rsplit_once('_')?;
                let ordinal = Some(ordinal).filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
                (NameBase::parse(base)?, ordinal.parse().ok()?)
            }
        };
        let ordinal = (1..=Self::ORDINAL_MAX).contains(&ordinal).then_some(ordinal)?;
        let parsed = Self { base, ordinal, medium };
        (parsed.to_string() == text).then_some(parsed)
    }

    /// The camera that took it; that of a pushed picture does not stand in its name.
    pub fn camera(&self) -> Option<&CameraKey> {
        match &self.base {
            NameBase::Taken { camera, .. } => Some(camera),
            NameBase::Pushed { .. } => None,
        }
    }

    /// The second of the edge, since 1970. What stands in the name of a pushed picture is told by the site's clock, and
    /// which instant that was the name does not say.
    pub fn epoch_s(&self) -> Option<u64> {
        match &self.base {
            NameBase::Taken { epoch_s, .. } => Some(*epoch_s),
            NameBase::Pushed { .. } => None,
        }
    }

    /// The day of that second, such as `2026-11-20`: in UTC, of a pushed picture as its name has it. It is the one that the
    /// clock showed, whatever is known later.
    pub fn day(&self) -> String {
        match &self.base {
            NameBase::Taken { epoch_s, .. } => {
                UnixMs(i64::try_from(*epoch_s).unwrap_or(0).saturating_mul(1000)).day()
            }
            NameBase::Pushed { local, .. } => local.date().to_string(),
        }
    }

    /// Which one of its second it is, from 1.
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// What the file is.
    pub fn medium(&self) -> Medium {
        self.medium
    }

    /// Whether it is the other name but for its place among those of its second.
    pub fn is_of_second_of(&self, other: &Self) -> bool {
        self.base == other.base
    }

    /// The same second, next ordinal; `None` past [`Self::ORDINAL_MAX`].
    pub fn next(&self) -> Option<Self> {
        (self.ordinal < Self::ORDINAL_MAX).then(|| Self { ordinal: self.ordinal + 1, ..self.clone() })
    }
}

impl NameBase {
    /// What stands before the ordinal. No text is both: a date has eight digits and a time six, an epoch nine and more.
    fn parse(text: &str) -> Option<Self> {
        let (rest, last) = text.rsplit_once('_')?;
        if is_epoch(last) {
            return Some(Self::Taken { camera: CameraKey::parse(rest).ok()?, epoch_s: last.parse().ok()? });
        }
        let (stem, date) = rest.rsplit_once('_')?;
        Some(Self::Pushed { stem: FileStem::parse(stem)?, local: civil(date, last)? })
    }
}

fn civil(date: &str, time: &str) -> Option<DateTime> {
    let is_number = |text: &str, digits| text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(date, 8) || !is_number(time, 6) {
        return None;
    }
    let part = |text: &str, from: usize| text.get(from..from + 2)?.parse::<i8>().ok();
    DateTime::new(
        date[..4].parse().ok()?,
        part(date, 4)?,
        part(date, 6)?,
        part(time, 0)?,
        part(time, 2)?,
        part(time, 4)?,
        0,
    )
    .ok()
}

fn is_epoch(text: &str) -> bool {
    (EPOCH_DIGITS_MIN..=EPOCH_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.base {
            NameBase::Taken { camera, epoch_s } => {
                write!(f, "{camera}_{epoch_s:0width$}", width = EPOCH_DIGITS_MIN)?;
            }
            NameBase::Pushed { stem: FileStem(stem), local } => {
                let (date, time) = (local.date(), local.time());
                write!(f, "{stem}_{:04}{:02}{:02}", date.year(), date.month(), date.day())?;
                write!(f, "_{:02}{:02}{:02}", time.hour(), time.minute(), time.second())?;
            }
        }
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
        assert_eq!((name.camera().unwrap().as_str(), name.ordinal()), ("gate_1", 1));
        let second = FileName::parse("gate_1_1698765432_3.mp4").unwrap();
        assert_eq!((second.camera().unwrap().as_str(), second.ordinal()), ("gate_1", 3));
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
            "photo_20240101.jpg",
            "photo_20240101_1200.jpg",
            "photo_20241301_120000.jpg",
            "photo_20240230_120000.jpg",
            "photo_20240101_240000.jpg",
            "photo_20240101_120000_1.jpg",
            "photo_20240101_120000_02.jpg",
            "_20240101_120000.jpg",
            "../photo_20240101_120000.jpg",
            "ph.oto_20240101_120000.jpg",
            "photo_20240101_120000.jpeg",
            "photo_00240101_12000.jpg",
        ] {
            assert_eq!(FileName::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_pushed_picture_is_named_by_its_sender_and_the_clock_of_the_site() {
        let at = UnixMs(1_704_106_800_999);
        for (own_name, expected) in [
            (Some("photo.jpg"), "photo_20240101_120000.jpg"),
            (Some("photo.jpeg"), "photo_20240101_120000.jpg"),
            (Some("Snap 7.JPG"), "Snap-7_20240101_120000.jpg"),
            (Some("../../etc/x"), "x_20240101_120000.jpg"),
            (Some("C:\\cam\\x.jpg"), "x_20240101_120000.jpg"),
            (Some("사진.jpg"), "photo_20240101_120000.jpg"),
            (Some("사진7.jpg"), "7_20240101_120000.jpg"),
            (Some(".jpg"), "photo_20240101_120000.jpg"),
            (Some(".."), "photo_20240101_120000.jpg"),
            (Some("r1_1698765432.jpg"), "r1_1698765432_20240101_120000.jpg"),
            (Some("photo_20231231_235959.jpg"), "photo_20231231_235959_20240101_120000.jpg"),
            (None, "photo_20240101_120000.jpg"),
        ] {
            let name = FileName::pushed(FileStem::of(own_name), at, 3600);
            assert_eq!(name.to_string(), expected, "{own_name:?}");
            assert_eq!(FileName::parse(expected), Some(name.clone()));
            assert_eq!((name.day().as_str(), name.camera(), name.epoch_s()), ("2024-01-01", None, None));
        }
        let long = FileStem::of(Some(&"x".repeat(300)));
        let name = FileName::pushed(long, at, 3600);
        assert_eq!(name.to_string().len(), STEM_MAX + "_20240101_120000.jpg".len());
        assert_eq!(name.next().unwrap().to_string(), format!("{}_20240101_120000_2.jpg", "x".repeat(64)));
        assert_eq!(FileName::pushed(FileStem::of(None), UnixMs(-1), -3600).day(), "1970-01-01");
    }

    proptest! {
        #[test]
        fn whatever_a_sender_calls_its_picture_its_name_is_read_back(
            own_name in ".{0,80}", ms in -1_000_i64..253_402_300_000_000, offset in -64_800_i32..64_800,
        ) {
            let name = FileName::pushed(FileStem::of(Some(&own_name)), UnixMs(ms), offset);
            prop_assert_eq!(FileName::parse(&name.to_string()), Some(name.clone()));
            let second = name.next().unwrap();
            prop_assert_eq!(FileName::parse(&second.to_string()), Some(second));
        }

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
