//! What the programs before this one called their pictures: names that tell camera and time in one of several ways. Pure.

use crate::model::{CameraKey, FileName, Medium, UnixMs};

/// First and last year of a date in a name: cameras of that kind are not older, and later ones are no date.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2099;

/// First second of a name that counts them: a longer number that began with a zero would be another thing.
const EPOCH_MIN: i64 = 946_684_800;

/// The camera of a name that tells a time alone.
const NO_CAMERA: &str = "camera";

/// Camera and time in the name of a picture, as this program would name it; `local` tells the instant of a date and time
/// of the site's clock.
///
/// Understood are `r1_1698765432.jpg`, `r1_20231031_143712.jpg` (also in one number, with other separators, or with the
/// camera behind it), milliseconds, and a number at the end that tells pictures of one second apart.
pub(super) fn name_of(file: &str, local: impl Fn([i16; 6]) -> Option<UnixMs>) -> Option<FileName> {
    // What those programs named by a date was taken by a camera, and is named so.
    let as_it_is = FileName::parse(file).filter(|name| name.camera().is_some());
    // A time of nine digits, as behind a date, is an instant before 2000 by our grammar.
    if as_it_is.as_ref().and_then(FileName::epoch_s).is_some_and(|at| at >= EPOCH_MIN.unsigned_abs()) {
        return as_it_is;
    }
    dated(file, local).or(as_it_is)
}

fn dated(file: &str, local: impl Fn([i16; 6]) -> Option<UnixMs>) -> Option<FileName> {
    let stem = stem(file)?;
    let numbers = numbers(stem);
    let (at, from, to) = (0..numbers.len()).find_map(|first| stamp(stem, &numbers[first..], &local))?;
    let separators = |c: char| !c.is_alphanumeric();
    let before = stem[..from].trim_matches(separators);
    // Behind the time stands the camera, or a number that tells pictures of one second apart.
    let behind = stem[to..].trim_matches(separators);
    let camera = match (before, behind) {
        ("", behind) if behind.chars().all(|c| c.is_ascii_digit()) => NO_CAMERA,
        ("", behind) => behind,
        (before, _) => before,
    };
    // One that is called in letters that a key has not keeps its time.
    let camera = key(camera).or_else(|| key(NO_CAMERA))?;
    Some(FileName::new(camera, at.epoch_s(), 1).of(medium_of(file)))
}

fn medium_of(file: &str) -> Medium {
    if file.to_ascii_lowercase().ends_with(Medium::Mp4.extension()) { Medium::Mp4 } else { Medium::Jpeg }
}

/// Whether a text is a path or name of a picture.
pub(super) fn is_picture(text: &str) -> bool {
    stem(base(text)).is_some()
}

/// A path without its folders, of whichever system.
pub(super) fn base(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// The name without its end, if that is one of a picture or clip.
fn stem(file: &str) -> Option<&str> {
    let (stem, end) = file.rsplit_once('.')?;
    let is_picture = ["jpg", "jpeg", "mp4"].iter().any(|known| end.eq_ignore_ascii_case(known));
    (is_picture && !stem.is_empty()).then_some(stem)
}

/// A name as a camera's key.
fn key(text: &str) -> Option<CameraKey> {
    let fit = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' => c,
        _ => '-',
    };
    let key: String = text.chars().map(fit).take(32).collect();
    CameraKey::parse(key.trim_matches(['-', '_'])).ok()
}

/// Where the numbers of a text stand: from and to.
fn numbers(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length > 0 {
            found.push((at, at + length));
        }
        at += length.max(1);
    }
    found
}

/// The instant that the first of these numbers tells, perhaps together with those behind it, and where it stands.
fn stamp(
    text: &str,
    numbers: &[(usize, usize)],
    local: &impl Fn([i16; 6]) -> Option<UnixMs>,
) -> Option<(UnixMs, usize, usize)> {
    let (from, to) = *numbers.first()?;
    let digits = &text[from..to];
    let date = |digits: &str| {
        let number = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i16>().ok();
        let parts =
            [number(0..4)?, number(4..6)?, number(6..8)?, number(8..10)?, number(10..12)?, number(12..14)?];
        YEARS.contains(&parts[0]).then(|| local(parts))?
    };
    let joined = |count: usize| {
        let parts = numbers.get(..count)?;
        let has_one_between = parts.windows(2).all(|pair| pair[1].0 - pair[0].1 == 1);
        let lengths: Vec<usize> = parts.iter().map(|(from, to)| to - from).collect();
        let digits: String = parts.iter().map(|(from, to)| &text[*from..*to]).collect();
        has_one_between.then_some((lengths, digits, parts.last()?.1))
    };
    for count in [6, 2] {
        let Some((lengths, digits, end)) = joined(count) else { continue };
        let is_date = lengths == [4, 2, 2, 2, 2, 2] || lengths == [8, 6] || lengths == [8, 9];
        if let Some(at) = is_date.then(|| date(&digits)).flatten() {
            return Some((at, from, end));
        }
    }
    match digits.len() {
        14 | 17 => date(digits).map(|at| (at, from, to)),
        9..=11 => {
            let seconds = digits.parse::<i64>().ok().filter(|seconds| *seconds >= EPOCH_MIN)?;
            Some((UnixMs(seconds * 1000), from, to))
        }
        13 => Some((UnixMs(digits.parse().ok().filter(|ms| *ms >= EPOCH_MIN * 1000)?), from, to)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Date and time as UTC, as far as these tests need it.
    fn utc(parts: [i16; 6]) -> Option<UnixMs> {
        let [year, month, day, hour, minute, second] = parts.map(i64::from);
        let is_one =
            (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
        let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
        is_one.then(|| UnixMs((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000))
    }

    #[test]
    fn names_of_earlier_programs_tell_camera_and_time() {
        for (file, ours) in [
            ("r1_1698765432.jpg", "r1_1698765432.jpg"),
            ("r1_1698765432_2.jpg", "r1_1698765432_2.jpg"),
            ("r1_1698765432.mp4", "r1_1698765432.mp4"),
            ("r1_1698765432.JPG", "r1_1698765432.jpg"),
            ("r1_1698765432.jpeg", "r1_1698765432.jpg"),
            ("r1_1698765432123.jpg", "r1_1698765432.jpg"),
            ("r1_1698765432.123.jpg", "r1_1698765432.jpg"),
            ("r1_20231031_151712.jpg", "r1_1698765432.jpg"),
            ("r1_20231031-151712_1.jpg", "r1_1698765432.jpg"),
            ("r1_20231031151712.jpg", "r1_1698765432.jpg"),
            ("r1_2023-10-31_15-17-12.jpg", "r1_1698765432.jpg"),
            ("r1_2023-10-31T15:17:12.jpg", "r1_1698765432.jpg"),
            ("r1_20231031_151712123.jpg", "r1_1698765432.jpg"),
            ("photo_20231031_151712.jpg", "photo_1698765432.jpg"),
            ("Entry Gate_20231031_151712.jpg", "entry-gate_1698765432.jpg"),
            ("gate_1_20231031_151712.jpg", "gate_1_1698765432.jpg"),
            ("20231031_151712_r1.jpg", "r1_1698765432.jpg"),
            ("20231031_151712.jpg", "camera_1698765432.jpg"),
            ("입구 카메라_20231031_151712.jpg", "camera_1698765432.jpg"),
            ("입구_1698765432 (2).jpg", "camera_1698765432.jpg"),
        ] {
            let name = name_of(file, utc).map(|name| name.to_string());
            assert_eq!(name.as_deref(), Some(ours), "{file}");
        }
        for file in [
            "",
            ".jpg",
            "r1.jpg",
            "r1_12345.jpg",
            "notes.txt",
            "r1_20231331_151712.jpg",
            "r1_00231031_151712.jpg",
            "r1_123456789012.jpg",
            "r1_1698765432.jpg.tmp",
            "r1_1698765432",
            "_______1698765432_.png",
        ] {
            assert_eq!(name_of(file, utc), None, "{file}");
        }
    }

    proptest! {
        #[test]
        fn nothing_in_a_name_is_an_error(text in "[\\[\\]{}\":,a-z0-9_.\\\\\n é-]{0,80}") {
            if let Some(name) = name_of(&text, utc) {
                prop_assert_eq!(FileName::parse(&name.to_string()), Some(name));
            }
        }
    }
}
