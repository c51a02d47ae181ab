//! Lists that the programs before this one kept of their pictures: what was still to be sent, and what was sent. Pure;
//! whatever such a file holds is read as far as it can be, and it cannot take more memory than a few times its length.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::former::{base, is_picture};
use crate::model::foreign;

/// Longest row of a list that is shown, characters.
const ROW_MAX: usize = 200;

/// Rows that are not understood and are kept to be shown; of any more only the number.
const ROWS_MAX: usize = 200;

/// Values that a list may hold. More is no list of pictures (a hundred thousand of them, with four things known of each,
/// fit), and a value takes many times the room of the two bytes it is written in.
const PARTS_MAX: usize = 1_000_000;

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

/// Names under which such a list lies in a larger one, whichever it is.
const LISTS: [&str; 6] = ["queue", "uploads", "items", "images", "files", "entries"];

/// Words for what has been sent: marks of a row, its status, and names of lists.
const DONE: [&str; 6] = ["uploaded", "sent", "done", "delivered", "success", "ok"];

/// Words for what has not.
const UNDONE: [&str; 6] = ["pending", "failed", "error", "queued", "waiting", "retry"];

/// Names under which a row tells its status.
const STATUS: [&str; 2] = ["status", "state"];

/// Which of the two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// What was still to be sent to the HTTP API.
    Pending,
    /// What was sent to another box.
    Sent,
}

impl ListKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Pending, Self::Sent];

    /// What such programs called it.
    pub(super) fn file_name(self) -> &'static str {
        match self {
            Self::Pending => "pending_uploads.json",
            Self::Sent => "sent_files.json",
        }
    }

    /// Names under which it lies in a larger one, the surest one first.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Pending => &["pending", "pending_uploads"],
            Self::Sent => &["sent", "sent_files", "uploaded", "delivered"],
        }
    }

    /// Whether a list of this name, beside one whose name is known, is of this kind; `None` when that cannot be told.
    fn is_of(self, key: &str) -> Option<bool> {
        let is = |kind: Self, words: &[&str]| kind.keys().contains(&key) || words.contains(&key);
        let is_sent = match (is(Self::Pending, &UNDONE), is(Self::Sent, &DONE)) {
            (false, false) => return None,
            (_, is_sent) => is_sent,
        };
        Some(is_sent == (self == Self::Sent))
    }

    /// Whether a row is none of this list, by what it says itself.
    fn is_other(self, row: &Value) -> bool {
        match self {
            Self::Pending => says(row, true, &DONE),
            Self::Sent => says(row, false, &UNDONE),
        }
    }
}

/// What a list says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PictureList {
    /// Names of files without their folders, each once, in their order.
    pub names: Vec<String>,
    /// Rows that are not understood, as they stand; the first ones.
    pub not_understood: Vec<String>,
    /// How many there are of them.
    pub rows_not_understood: usize,
    /// Whether it is no JSON, perhaps cut off by a power cut, and only searched for names.
    pub is_damaged: bool,
}

/// What a list says, in whichever of the known shapes: names, rows that hold one, both below a key, by name, or line by
/// line.
pub fn read(kind: ListKind, text: &str) -> PictureList {
    let mut reading = Reading { kind, list: PictureList::default(), seen: HashSet::new() };
    reading.read(text);
    reading.list
}

/// A list that is being read.
struct Reading {
    kind: ListKind,
    list: PictureList,
    seen: HashSet<String>,
}

impl Reading {
    fn read(&mut self, text: &str) {
        let text = text.trim_start_matches('\u{feff}').trim_matches(|c: char| c.is_whitespace() || c == '\0');
        if text.is_empty() {
            return;
        }
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
        let is_of_names = || lines().all(is_picture) && !text.contains('"');
        let parts = text.bytes().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{' | b'\n')).count();
        if parts > PARTS_MAX {
            self.search(text);
        } else if let Ok(value) = serde_json::from_str::<Value>(text) {
            self.take(&value);
        } else if let Ok(rows) = lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>() {
            rows.iter().for_each(|row| self.take_row(row));
        } else if is_of_names() {
            lines().for_each(|line| self.add(line));
        } else {
            self.search(text);
        }
    }

    /// Takes the whole texts in something that is no JSON as a whole, or more than a list of pictures.
    fn search(&mut self, text: &str) {
        self.list.is_damaged = true;
        texts(text).filter(|text| is_picture(text)).take(PARTS_MAX).for_each(|text| self.add(&text));
    }

    fn add(&mut self, path: &str) {
        let name = base(path);
        if !self.seen.contains(name) {
            self.seen.insert(name.to_owned());
            self.list.names.push(name.to_owned());
        }
    }

    /// Takes a list or a larger value around one. It is called for what lies in it, no deeper than the parser goes (128).
    fn take(&mut self, value: &Value) {
        match value {
            Value::Array(rows) => rows.iter().for_each(|row| self.take_row(row)),
            Value::Object(map) => {
                let is_list =
                    |key: &&str| map.get(*key).is_some_and(|value| value.is_array() || value.is_object());
                let named = self.kind.keys().iter().chain(&LISTS).copied().find(is_list);
                if let Some(named) = named {
                    map.get(named).into_iter().for_each(|rows| self.take(rows));
                    map.iter()
                        .filter(|(key, _)| *key != named)
                        .for_each(|(key, value)| self.take_beside(key, value));
                } else if of_row(map).is_some_and(|name| !names_more(value, &[name])) {
                    self.take_row(value);
                } else {
                    map.iter().for_each(|(key, value)| self.take_entry(key, value));
                }
            }
            other => self.take_row(other),
        }
    }

    /// Takes what stands beside the list under its own name: more of it, the other list, or what is no list at all.
    fn take_beside(&mut self, key: &str, value: &Value) {
        match self.kind.is_of(key) {
            Some(true) if value.is_array() || value.is_object() => self.take(value),
            Some(false) => {}
            _ if is_picture(key) || names_another(value, &[]) => self.refuse(&format!("{key}: {value}")),
            _ => {}
        }
    }

    /// Takes what stands under a name: of a picture, or of more of them.
    fn take_entry(&mut self, key: &str, value: &Value) {
        match value {
            _ if is_picture(key) => {
                if !self.kind.is_other(value) {
                    self.add(key);
                }
                if names_more(value, &[key]) {
                    self.refuse(&format!("{key}: {value}"));
                }
            }
            Value::Array(_) if self.kind.is_of(key) == Some(false) => {}
            Value::Array(_) => self.take(value),
            Value::Object(row) if of_row(row).is_some() => self.take_row(value),
            _ => self.refuse(&format!("{key}: {value}")),
        }
    }

    /// Takes what a row names. Whoever wrote more than one picture into a row of another kind is told of it.
    fn take_row(&mut self, row: &Value) {
        let mut names: Vec<&str> = match row {
            Value::String(text) => vec![text],
            Value::Object(map) => of_row(map).into_iter().collect(),
            Value::Array(parts) => parts.iter().filter_map(Value::as_str).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
        };
        names.retain(|text| is_picture(text));
        if names.is_empty() || names_more(row, &names) {
            self.refuse(&row.to_string());
        }
        if !self.kind.is_other(row) {
            names.into_iter().for_each(|name| self.add(name));
        }
    }

    fn refuse(&mut self, row: &str) {
        self.list.rows_not_understood += 1;
        if self.list.not_understood.len() < ROWS_MAX {
            self.list.not_understood.push(foreign::line(row, ROW_MAX));
        }
    }
}

/// The picture that a row names.
fn of_row(map: &Map<String, Value>) -> Option<&str> {
    let known = KEYS.iter().filter_map(|key| map.get(*key)?.as_str());
    let others = map.values().filter_map(Value::as_str);
    known.chain(others).find(|text| is_picture(text))
}

/// Whether a row names pictures beside these. Of the texts in it one is its picture, and others may be copies of that in
/// another size.
fn names_more(row: &Value, known: &[&str]) -> bool {
    match row {
        Value::Object(map) => map.iter().any(|(key, value)| {
            is_another(key, known) || (!value.is_string() && names_another(value, known))
        }),
        other => names_another(other, known),
    }
}

/// Whether any picture but these stands anywhere in it.
fn names_another(value: &Value, known: &[&str]) -> bool {
    match value {
        Value::String(text) => is_another(text, known),
        Value::Array(parts) => parts.iter().any(|part| names_another(part, known)),
        Value::Object(map) => {
            map.iter().any(|(key, value)| is_another(key, known) || names_another(value, known))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn is_another(text: &str, known: &[&str]) -> bool {
    is_picture(text) && known.iter().all(|known| base(known) != base(text))
}

/// Whether a row, or what stands under the name of a picture, says that it `is` sent: by one of the marks of that name, by
/// a status in these words, or where it tells that alone, by a word or by no.
fn says(row: &Value, is: bool, words: &[&str]) -> bool {
    let is_word = |value: &Value| {
        value.as_str().is_some_and(|text| words.iter().any(|word| text.eq_ignore_ascii_case(word)))
    };
    let is_alone = |value: &Value| is_word(value) || (!is && *value == Value::Bool(false));
    match row {
        Value::Object(map) => {
            DONE.iter().any(|key| map.get(*key) == Some(&Value::Bool(is)))
                || STATUS.iter().any(|key| map.get(*key).is_some_and(is_word))
        }
        Value::Array(parts) => parts.iter().any(is_alone),
        other => is_alone(other),
    }
}

/// The whole texts in something that is no JSON as a whole.
fn texts(text: &str) -> impl Iterator<Item = String> + '_ {
    let (bytes, mut at) = (text.as_bytes(), 0);
    std::iter::from_fn(move || {
        while let Some(from) = bytes[at..].iter().position(|byte| *byte == b'"').map(|offset| at + offset) {
            let mut end = from + 1;
            while end < bytes.len() && bytes[end] != b'"' && bytes[end] != b'\n' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            if bytes.get(end) != Some(&b'"') {
                at = (from + 1).min(bytes.len());
                continue;
            }
            at = end + 1;
            if let Some(found) = text.get(from..=end).and_then(|quoted| serde_json::from_str(quoted).ok()) {
                return Some(found);
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// S4.6
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
            r#"[{"filename": "r1_1.jpg", "success": false}, ["r2_2.jpg", "retry"], ["r3_3.jpg", "sent"]]"#,
            r#"{"r1_1.jpg": "pending", "r2_2.jpg": {"state": "Failed"}, "r3_3.jpg": "uploaded"}"#,
            // What failed was not delivered, what stands beside it was.
            r#"{"queue": ["r1_1.jpg"], "failed": [{"file": "r2_2.jpg"}], "sent": ["r3_3.jpg"], "version": 1}"#,
            r#"[["r1_1.jpg", "/home/pi/images/r1_1.jpg", "r2_2.jpg"]]"#,
            r#"{"r1": ["r1_1.jpg"], "r2": ["r2_2.jpg"]}"#,
        ] {
            let mut pending = read(ListKind::Pending, text);
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
            // What is not sure to be of this list is told.
            (r#"{"pending": ["r1_1.jpg"], "archive": ["r2_2.jpg"], "n": [1]}"#, 1, 1, false),
            (r#"{"last": "r1_1.jpg", "r2": ["r2_2.jpg"]}"#, 1, 1, false),
            (r#"[{"thumb": "r1_1.jpg", "images": ["r2_2.jpg", "r3_3.jpg"]}]"#, 1, 1, false),
            (r#"[{"file": "r1_1.jpg", "thumb": "t.jpg", "meta": {"path": "/x/r1_1.jpg"}}]"#, 1, 0, false),
            (r#"[["r1_1.jpg", ["r2_2.jpg"]], {"r3_3.jpg": 1}]"#, 1, 2, false),
            (r#"{"pending": ["r1_1.jpg"], "r2_2.jpg": 1}"#, 1, 1, false),
            (r#"{"r1_1.jpg": ["r2_2.jpg"]}"#, 1, 1, false),
            (r#"{"uploaded": ["r1_1.jpg"], "r2": ["r2_2.jpg"]}"#, 1, 0, false),
            ("<html>", 0, 0, true),
        ] {
            let pending = read(ListKind::Pending, text);
            let seen = (pending.names.len(), pending.rows_not_understood, pending.is_damaged);
            assert_eq!(seen, (names, rows, is_damaged), "{text}");
        }
    }

    /// S3.7
    #[test]
    fn every_shape_of_a_list_of_sent_pictures_names_them() {
        let both = ["a.jpg", "b.jpg"];
        for text in [
            r#"["a.jpg", "esp32_photos/b.jpg"]"#,
            r#"{"a.jpg": "2024-01-01T12:00:00", "b.jpg": 1704110400.5}"#,
            r#"{"a.jpg": true, "b.jpg": {"sent": true, "size": 3}, "c.jpg": false}"#,
            r#"{"a.jpg": null, "b.jpg": ["http://10.0.0.9:6000/upload", 200]}"#,
            r#"{"sent": ["a.jpg", "b.jpg"], "pending": ["c.jpg"]}"#,
            r#"{"sent_files": {"a.jpg": 1, "b.jpg": 2}}"#,
            r#"{"updated": "2024-01-01", "files": [{"name": "a.jpg"}, {"filename": "b.jpg", "status": "ok"}]}"#,
            r#"[{"file": "a.jpg", "uploaded": true}, {"file": "b.jpg"}, {"file": "c.jpg", "status": "failed"}]"#,
            r#"{"a.jpg": "sent", "b.jpg": "done", "c.jpg": "failed", "d.jpg": ["pending", 3]}"#,
            r#"[["a.jpg", true], ["b.jpg", "ok"], ["c.jpg", false], {"file": "d.jpg", "success": false}]"#,
            r#"{"sent": ["a.jpg"], "delivered": ["b.jpg"], "retry": ["c.jpg"]}"#,
            "a.jpg\nb.jpg\n",
            "/home/user/esp32_photos/a.jpg\r\n\r\n../../etc/b.jpg\r\n",
            "\"a.jpg\"\n\"b.jpg\"\n",
        ] {
            let list = read(ListKind::Sent, text);
            assert_eq!((&list.names[..], list.is_damaged), (&both.map(str::to_owned)[..], false), "{text}");
            assert_eq!(list.not_understood, Vec::<String>::new(), "{text}");
        }
        for (text, names, rows) in [
            ("{}", 0, 0),
            (r#"{"sent": []}"#, 0, 0),
            (r#"{"sent": 7}"#, 0, 1),
            // Found by fuzzing: a folder with the end of a picture for its only name.
            (r#"["x/.jpg"]"#, 0, 1),
            (r#"{"a": {"b": {"c": "a.jpg"}}}"#, 0, 1),
            (r#"[["a.jpg", 1], [], 1.5, null, "x.txt"]"#, 1, 4),
        ] {
            let list = read(ListKind::Sent, text);
            assert_eq!((list.names.len(), list.rows_not_understood), (names, rows), "{text}");
        }
    }

    /// S3.7, S4.6
    #[test]
    fn a_list_without_an_end_takes_a_bounded_part_of_the_memory() {
        for kind in ListKind::ALL {
            // What nests deeper than the parser goes, and what holds more than any list of pictures.
            let deep = format!("{}\"a.jpg\"{}", "[".repeat(100_000), "]".repeat(100_000));
            let many = format!("[{}\"a.jpg\"]", "0,".repeat(PARTS_MAX));
            for text in [deep, many] {
                let list = read(kind, &text);
                assert_eq!((&list.names[..], list.is_damaged), (&["a.jpg".to_owned()][..], true));
            }
            let rows = format!("[{}\"a.jpg\"]", "0,".repeat(10_000));
            let list = read(kind, &rows);
            assert_eq!((list.rows_not_understood, list.not_understood.len()), (10_000, ROWS_MAX));
            // Each once, and not by looking at every other.
            let again: Vec<String> = (0..200_000).map(|n| format!("r1_{}.jpg", n % 100_000)).collect();
            assert_eq!(read(kind, &serde_json::to_string(&again).unwrap()).names.len(), 100_000);
        }
    }

    proptest! {
        #[test]
        fn nothing_in_a_list_is_an_error(text in "[\\[\\]{}\":,a-z0-9_.\\\\\n é-]{0,80}", is_sent: bool) {
            let list = read(if is_sent { ListKind::Sent } else { ListKind::Pending }, &text);
            prop_assert!(list.names.iter().all(|name| !name.contains(['/', '\\'])));
        }

        #[test]
        fn a_list_that_was_cut_off_still_names_what_it_names_whole(count in 1_usize..20, cut in 0_usize..2000) {
            let names: Vec<String> = (0..count).map(|n| format!("images/r1_{}.jpg", 1_698_765_432 + n)).collect();
            let whole = serde_json::to_string_pretty(&names).unwrap();
            let cut = cut.min(whole.len());
            let found = read(ListKind::Pending, &whole[..cut]).names.len();
            prop_assert_eq!(found, whole[..cut].matches(".jpg\"").count());
        }
    }
}
