//! A list of pictures that an older program kept: whatever it names is known or told, and it takes no more room than it has.
//!
//! The first byte says which list, by its lowest bit.
#![no_main]

use camera_capture::store::{ListKind, PictureList, read_list};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Rows that are told at most, and their length in bytes: 200 characters each.
const ROWS_MAX: usize = 200;
const ROW_MAX: usize = 200;

/// Words and values by which a row says that it is of the other list; what they stand beside may be left out.
const WORDS: [&str; 16] = [
    "uploaded",
    "sent",
    "done",
    "delivered",
    "success",
    "ok",
    "pending",
    "failed",
    "error",
    "queued",
    "waiting",
    "retry",
    "true",
    "false",
    "status",
    "state",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let kind = ListKind::ALL[usize::from(first & 1)];
    let text = String::from_utf8_lossy(rest);
    let list = read_list(kind, &text);
    let mut names = list.names.clone();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), list.names.len(), "each once");
    assert!(list.names.iter().all(|name| is_picture(name) && !name.contains(['/', '\\'])));
    assert!(list.names.iter().map(String::len).sum::<usize>() <= text.len());
    assert!(list.not_understood.len() <= ROWS_MAX.min(list.rows_not_understood));
    assert!(list.not_understood.iter().all(|row| row.chars().count() <= ROW_MAX + 1));
    let has_word = WORDS.iter().any(|word| text.to_ascii_lowercase().contains(word));
    if !has_word
        && !list.is_damaged
        && let Ok(value) = serde_json::from_str(&text)
    {
        assert!(is_accounted(&value, false, &list), "{value} {list:?}");
    }
});

/// Whether every picture in it is known, or a row tells it. Of the texts of a row one is the picture, unless it stands under
/// its picture's name.
fn is_accounted(value: &Value, is_named: bool, list: &PictureList) -> bool {
    match value {
        Value::String(text) => is_known(text, list),
        Value::Array(parts) => parts.iter().all(|part| is_accounted(part, false, list)),
        Value::Object(row) => {
            let texts = row.values().filter_map(Value::as_str);
            let pictures: Vec<_> = texts.filter(|text| is_picture(text)).collect();
            (is_named || pictures.is_empty() || pictures.iter().any(|text| is_known(text, list)))
                && row.keys().all(|key| is_known(key, list))
                && row
                    .iter()
                    .filter(|(_, value)| !value.is_string())
                    .all(|(key, value)| is_accounted(value, is_picture(key), list))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

fn is_known(text: &str, list: &PictureList) -> bool {
    let name = text.rsplit(['/', '\\']).next().unwrap_or(text);
    // What is told is cut, and what a terminal obeys is not told as it is.
    let is_cut = list.rows_not_understood > list.not_understood.len()
        || list.not_understood.iter().any(|row| row.chars().count() >= ROW_MAX)
        || !text.chars().all(|c| c.is_ascii_graphic() && !"\"\\".contains(c));
    let is_told =
        is_cut && list.rows_not_understood > 0 || list.not_understood.iter().any(|row| row.contains(name));
    !is_picture(text) || list.names.iter().any(|known| known == name) || is_told
}

fn is_picture(text: &str) -> bool {
    let Some((stem, end)) = text.rsplit_once('.') else { return false };
    !stem.is_empty()
        && !stem.ends_with(['/', '\\'])
        && ["jpg", "jpeg", "mp4"].iter().any(|known| end.eq_ignore_ascii_case(known))
}
