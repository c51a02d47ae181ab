//! What the programs before this one left: pictures whose names tell camera and time in one of several ways, and a list
//! of those that were still to be sent. Pure; whatever such a file holds is read as far as it can be.

use serde_json::{Map, Value};

use crate::model::{CameraKey, FileName, Medium, UnixMs, foreign};

/// Longest row of a list that is shown, characters.
const ROW_MAX: usize = 200;

/// First and last year of a date in a name: cameras of that kind are not older, and later ones are no date.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2099;

/// First second of a name that counts them: a longer number that began with a zero would be another thing.
const EPOCH_MIN: i64 = 946_684_800;

/// Names under which a row of a list tells its picture, the surest one first.
const KEYS: [&str; 10] = [
    "filename",
    "file_name",
    "image_path",
    "filepath",
    "file_path",
    "path",
    "image",
    "file",
    "local_path",
    "name",
];

/// Names under which such a list lies in a larger one.
const LISTS: [&str; 8] =
    ["pending", "pending_uploads", "queue", "uploads", "items", "images", "files", "entries"];

/// A list of what was still to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pending {
    /// Names of files without their folders, each once.
    pub(super) names: Vec<String>,
    /// Rows that name no picture, as they stand.
    pub(super) not_understood: Vec<String>,
    /// Whether it is no JSON, perhaps cut off by a power cut, and only searched for names.
    pub(super) is_damaged: bool,
}

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
        ("", behind) if behind.chars().all(|c| c.is_ascii_digit()) => "camera",
        ("", behind) => behind,
        (before, _) => before,
    };
    Some(FileName::new(key(camera)?, at.epoch_s(), 1).of(medium_of(file)))
}

fn medium_of(file: &str) -> Medium {
    if file.to_ascii_lowercase().ends_with(Medium::Mp4.extension()) { Medium::Mp4 } else { Medium::Jpeg }
}

/// Whether a text is a path or name of a picture.
pub(super) fn is_picture(text: &str) -> bool {
    stem(text).is_some()
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

/// What a list says, in whichever of the known shapes: names, rows that hold one, both below a key, by name, or line by
/// line.
pub(super) fn pending(text: &str) -> Pending {
    let text = text.trim_start_matches('\u{feff}').trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let mut pending = Pending::default();
    if text.is_empty() {
        return pending;
    }
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        pending.take(&value);
    } else if let Ok(rows) = lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>() {
        rows.iter().for_each(|row| pending.take_row(row));
    } else if lines().all(is_picture) && !text.contains('"') {
        lines().for_each(|line| pending.add(line));
    } else {
        pending.is_damaged = true;
        texts(text).iter().filter(|text| is_picture(text)).for_each(|text| pending.add(text));
    }
    pending
}

impl Pending {
    fn add(&mut self, path: &str) {
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
        if !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    fn take(&mut self, value: &Value) {
        match value {
            Value::Array(rows) => rows.iter().for_each(|row| self.take_row(row)),
            Value::Object(map) => {
                let named = LISTS.iter().find_map(|key| map.get(*key).filter(|value| value.is_array()));
                if let Some(rows) = named {
                    self.take(rows);
                } else if of_row(map).is_some() {
                    self.take_row(value);
                } else {
                    for (key, value) in map {
                        match value {
                            Value::Array(_) => self.take(value),
                            _ if is_picture(key) && !is_done(value) => self.add(key),
                            _ if is_picture(key) => {}
                            Value::Object(row) if of_row(row).is_some() => self.take_row(value),
                            _ => self.refuse(&format!("{key}: {value}")),
                        }
                    }
                }
            }
            other => self.take_row(other),
        }
    }

    fn take_row(&mut self, row: &Value) {
        let name = match row {
            Value::String(text) => Some(text.as_str()).filter(|text| is_picture(text)),
            Value::Object(map) => of_row(map),
            Value::Array(parts) => parts.iter().filter_map(Value::as_str).find(|text| is_picture(text)),
            _ => None,
        };
        match name {
            Some(_) if is_done(row) => {}
            Some(name) => self.add(name),
            None => self.refuse(&row.to_string()),
        }
    }

    fn refuse(&mut self, row: &str) {
        self.not_understood.push(foreign::line(row, ROW_MAX));
    }
}

/// The picture that a row names.
fn of_row(map: &Map<String, Value>) -> Option<&str> {
    let known = KEYS.iter().filter_map(|key| map.get(*key)?.as_str());
    let others = map.values().filter_map(Value::as_str);
    known.chain(others).find(|text| is_picture(text))
}

/// Whether a row says that its picture was sent after all.
fn is_done(row: &Value) -> bool {
    let Value::Object(map) = row else { return false };
    let is_true =
        ["uploaded", "sent", "done", "delivered"].iter().any(|key| map.get(*key) == Some(&Value::Bool(true)));
    let status = map.get("status").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    is_true || ["uploaded", "sent", "done", "delivered", "success"].contains(&status.as_str())
}

/// The whole texts in something that is no JSON as a whole.
fn texts(text: &str) -> Vec<String> {
    let (bytes, mut found, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(from) = bytes[at..].iter().position(|byte| *byte == b'"').map(|offset| at + offset) {
        let mut end = from + 1;
        while end < bytes.len() && bytes[end] != b'"' && bytes[end] != b'\n' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        if bytes.get(end) != Some(&b'"') {
            at = (from + 1).min(bytes.len());
            continue;
        }
        found.extend(text.get(from..=end).and_then(|quoted| serde_json::from_str(quoted).ok()));
        at = end + 1;
    }
    found
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

    #[test]
    fn every_shape_of_a_list_names_its_pictures() {
        let both = ["r1_1.jpg", "r2_2.jpg"];
        for text in [
            r#"["images/r1_1.jpg", "r2_2.jpg"]"#,
            "\u{feff}[\"images/r1_1.jpg\", \"r2_2.jpg\", \"r1_1.jpg\"]",
            r#"[{"filename": "r1_1.jpg"}, {"path": "/home/pi/images/r2_2.jpg", "retry_count": 3}]"#,
            r#"[{"filepath": "images/r1_1.jpg", "camera": "r1"}, {"image_path": "C:\\cams\\r2_2.jpg"}]"#,
            r#"{"pending": ["r1_1.jpg", {"file": "r2_2.jpg"}]}"#,
            r#"{"version": 2, "queue": [{"image": "r1_1.jpg"}, {"local": "x/r2_2.jpg", "n": 1}]}"#,
            r#"{"r1_1.jpg": {"attempts": 1}, "images/r2_2.jpg": 0}"#,
            r#"{"cameras": [["r1_1.jpg", 1], ["r2", "r2_2.jpg"]]}"#,
            "{\"file\": \"r1_1.jpg\"}\n{\"file\": \"r2_2.jpg\"}\n",
            "images/r1_1.jpg\r\nr2_2.jpg\r\n",
            r#"[{"filename": "r1_1.jpg"}, {"filename": "r3_3.jpg", "uploaded": true}, {"filename": "r2_2.jpg"}]"#,
        ] {
            let mut pending = pending(text);
            pending.names.sort();
            assert_eq!(
                (&pending.names[..], pending.is_damaged),
                (&both.map(str::to_owned)[..], false),
                "{text}"
            );
            assert_eq!(pending.not_understood, Vec::<String>::new(), "{text}");
        }
        for (text, names, rows, is_damaged) in [
            ("", 0, 0, false),
            ("[]", 0, 0, false),
            ("{}", 0, 0, false),
            ("null", 0, 1, false),
            (r#"[1, "r1_1.jpg", {"camera": "r1"}, "notes.txt"]"#, 1, 3, false),
            (r#"[{"filename": "r1_1.jpg"}, {"filename": "r2_2.j"#, 1, 0, true),
            ("<html>", 0, 0, true),
        ] {
            let pending = pending(text);
            let seen = (pending.names.len(), pending.not_understood.len(), pending.is_damaged);
            assert_eq!(seen, (names, rows, is_damaged), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_in_a_list_or_name_is_an_error(text in "[\\[\\]{}\":,a-z0-9_.\\\\\n é-]{0,80}") {
            let pending = pending(&text);
            prop_assert!(pending.names.iter().all(|name| !name.contains(['/', '\\'])));
            if let Some(name) = name_of(&text, utc) {
                prop_assert_eq!(FileName::parse(&name.to_string()), Some(name));
            }
        }

        #[test]
        fn a_list_that_was_cut_off_still_names_what_it_names_whole(count in 1_usize..20, cut in 0_usize..2000) {
            let names: Vec<String> = (0..count).map(|n| format!("images/r1_{}.jpg", 1_698_765_432 + n)).collect();
            let whole = serde_json::to_string_pretty(&names).unwrap();
            let cut = cut.min(whole.len());
            let found = pending(&whole[..cut]).names.len();
            prop_assert_eq!(found, whole[..cut].matches(".jpg\"").count());
        }
    }
}
