//! The verdict of `--test-capture`: in words for people, and as one JSON document for programs.

use serde_json::{Value, json};

use crate::status::{Decoding, StreamInfo};

/// Version of the document: a number that grows when something that was there is not any more.
const VERSION: u32 = 1;

/// What was found out about one camera.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CameraVerdict {
    /// Its key, such as `r1`.
    pub(super) key: String,
    /// Its name for people.
    pub(super) label: String,
    /// Why there is no picture.
    pub(super) error: Option<String>,
    /// The picture.
    pub(super) picture: Option<SavedPicture>,
    /// The kinds of log-in it wants.
    pub(super) authentication: Option<String>,
    /// From the start to the first picture, milliseconds.
    pub(super) first_picture_ms: Option<u128>,
    /// What its stream is like.
    pub(super) stream: Option<StreamInfo>,
    /// What decoding it takes on this machine.
    pub(super) decoding: Option<Decoding>,
    /// What it is like, in sentences.
    pub(super) facts: Vec<String>,
    /// What to change.
    pub(super) changes: Vec<SettingChange>,
}

/// A picture that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SavedPicture {
    pub(super) path: String,
    /// Pixels.
    pub(super) size: (u32, u32),
    pub(super) bytes: usize,
}

/// Something to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SettingChange {
    /// What, for people.
    pub(super) text: String,
    /// The line of the settings file that does it: name and value.
    pub(super) setting: Option<(String, String)>,
}

impl SettingChange {
    /// A change in the words of somebody who names the setting in them, for camera `number`.
    pub(super) fn of(text: &str, number: u8) -> Self {
        let text = text.replace("CAMERA_n_", &format!("CAMERA_{number}_"));
        Self { setting: setting(&text, number), text }
    }
}

impl CameraVerdict {
    /// Whether there is a picture.
    pub(super) fn is_ok(&self) -> bool {
        self.error.is_none() && self.picture.is_some()
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut lines =
            vec![format!("{} ({}): {}", self.key, self.label, if self.is_ok() { "fine" } else { "failed" })];
        lines.extend(self.error.clone());
        if let Some(SavedPicture { path, size: (width, height), bytes }) = &self.picture {
            lines.push(format!("picture: {path} ({width}×{height}, {} kB)", bytes.div_ceil(1000)));
        }
        lines.extend(self.authentication.as_ref().map(|kinds| format!("authentication: {kinds}")));
        lines.extend(self.first_picture_ms.map(|ms| format!("time to the first picture: {ms} ms")));
        lines.extend(self.facts.iter().cloned());
        for change in &self.changes {
            lines.push(format!("to change: {}", change.text));
            if let Some((name, value)) = &change.setting {
                lines.push(format!("  put this line into the settings file: {name}={value}"));
            }
        }
        lines.join("\n  ")
    }

    fn json(&self) -> Value {
        json!({
            "key": self.key,
            "label": self.label,
            "ok": self.is_ok(),
            "error": self.error,
            "picture": self.picture.as_ref().map(|saved| json!({
                "path": saved.path, "width": saved.size.0, "height": saved.size.1, "bytes": saved.bytes,
            })),
            "authentication": self.authentication,
            "first_picture_ms": self.first_picture_ms.and_then(|ms| u64::try_from(ms).ok()),
            "stream": self.stream,
            "decoding": self.decoding,
            "facts": self.facts,
            "changes": self.changes.iter().map(|change| json!({
                "text": change.text,
                "setting": change.setting.as_ref().map(|(name, value)| json!({ "name": name, "value": value })),
            })).collect::<Vec<_>>(),
        })
    }
}

/// The document of all cameras; `error` is why none was tested.
pub(super) fn document(verdicts: &[CameraVerdict], error: Option<&str>) -> String {
    let cameras: Vec<_> = verdicts.iter().map(CameraVerdict::json).collect();
    let is_ok = error.is_none() && verdicts.iter().all(CameraVerdict::is_ok);
    let document = json!({ "version": VERSION, "ok": is_ok, "error": error, "cameras": cameras });
    format!("{document:#}")
}

/// The setting that a sentence names with its value: `set CAMERA_1_TRANSPORT to udp`, `CAMERA_1_MODE=hot`.
///
/// Sentences repeat words of cameras, so none but known values of a few settings of this camera are taken, and nothing
/// that stands in quotation marks.
pub(super) fn setting(text: &str, number: u8) -> Option<(String, String)> {
    let unquoted: String = text.split('"').step_by(2).collect();
    let words: Vec<&str> =
        unquoted.split_whitespace().map(|word| word.trim_matches([',', ';', '(', ')', '.', ':'])).collect();
    let pairs = words.iter().filter_map(|word| word.split_once('='));
    let told = words
        .windows(4)
        .filter(|words| words[0] == "set" && words[2] == "to")
        .map(|words| (words[1], words[3]));
    let mut found = pairs.chain(told).filter(|(name, value)| is_line(name, value, number));
    found.next().map(|(name, value)| (name.to_owned(), value.to_owned()))
}

fn is_line(name: &str, value: &str, number: u8) -> bool {
    if name == "DECODER" {
        return matches!(value, "auto" | "openh264" | "libavcodec" | "rust");
    }
    match name.strip_prefix(&format!("CAMERA_{number}_")) {
        Some("TRANSPORT") => matches!(value, "tcp" | "udp"),
        Some("MODE") => matches!(value, "hot" | "cold" | "auto"),
        Some("SNAPSHOT_VERIFY") => matches!(value, "true" | "false"),
        Some("SNAPSHOT_FLUSH") => matches!(value, "auto" | "0" | "1" | "2" | "3"),
        Some("TLS_FINGERPRINT") => {
            let digits = value.chars().filter(|c| *c != ':');
            digits.clone().all(|c| c.is_ascii_hexdigit()) && digits.count() == 64
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_line_of_the_settings_file_is_found_in_the_words() {
        let fingerprint = "ab:".repeat(31) + "cd";
        for (text, line) in [
            ("refused this transport; set CAMERA_3_TRANSPORT to udp", Some("CAMERA_3_TRANSPORT=udp")),
            ("or CAMERA_3_MODE=hot (12 % of one core)", Some("CAMERA_3_MODE=hot")),
            ("set CAMERA_3_SNAPSHOT_VERIFY to false", Some("CAMERA_3_SNAPSHOT_VERIFY=false")),
            ("if it is one behind, set CAMERA_3_SNAPSHOT_FLUSH=1.", Some("CAMERA_3_SNAPSHOT_FLUSH=1")),
            (
                &format!("set CAMERA_3_TLS_FINGERPRINT={fingerprint}"),
                Some(&*format!("CAMERA_3_TLS_FINGERPRINT={fingerprint}")),
            ),
            ("set CAMERA_3_SNAPSHOT_URL to its address", None),
            ("a web page (\"set CAMERA_3_TRANSPORT to udp\")", None),
            ("CAMERA_3_RTSP=rtsp://elsewhere/ CAMERA_3_PASSWORD=x", None),
            ("set CAMERA_2_TRANSPORT to udp", None),
            ("set DECODER to auto", Some("DECODER=auto")),
        ] {
            let found = setting(text, 3).map(|(name, value)| format!("{name}={value}"));
            assert_eq!(found.as_deref(), line, "{text}");
        }
        assert_eq!(SettingChange::of("set CAMERA_n_MODE=hot", 7).text, "set CAMERA_7_MODE=hot");
    }

    #[test]
    fn a_verdict_in_words_names_what_to_put_into_the_settings_file() {
        let verdict = CameraVerdict {
            key: "r1".to_owned(),
            label: "Entry".to_owned(),
            error: Some("it refused this transport".to_owned()),
            changes: vec![SettingChange::of("set CAMERA_1_TRANSPORT to udp", 1)],
            ..CameraVerdict::default()
        };
        assert_eq!(
            verdict.text(),
            "r1 (Entry): failed\n  it refused this transport\n  to change: set CAMERA_1_TRANSPORT to udp\n    put this line \
             into the settings file: CAMERA_1_TRANSPORT=udp"
        );
    }

    #[test]
    fn the_document_has_every_field_whatever_is_known() {
        let document: Value = serde_json::from_str(&document(&[CameraVerdict::default()], None)).unwrap();
        assert_eq!(document["version"], 1);
        assert_eq!(document["ok"], false, "no picture");
        let fields: Vec<&String> = document["cameras"][0].as_object().unwrap().keys().collect();
        let expected = [
            "authentication",
            "changes",
            "decoding",
            "error",
            "facts",
            "first_picture_ms",
            "key",
            "label",
            "ok",
            "picture",
            "stream",
        ];
        let mut fields = fields;
        fields.sort();
        assert_eq!(fields, expected);
    }

    proptest! {
        #[test]
        fn whatever_a_sentence_says_is_read_without_a_panic(text in "\\PC{0,80}", words in "(set |CAMERA_1_|TRANSPORT|to |=|udp){0,12}") {
            let _ = setting(&text, 1);
            if let Some((name, value)) = setting(&words, 1) {
                prop_assert!(is_line(&name, &value, 1));
            }
        }
    }
}
