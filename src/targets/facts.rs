//! What is told of a picture beside its bytes.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::UploadConfig;
use crate::model::{CameraKey, hex};
use crate::store::{DueUpload, TextReading};

/// What this box knows beyond the row of an upload.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    site: Option<String>,
    labels: BTreeMap<CameraKey, String>,
}

impl Sender {
    pub(super) fn new(config: &UploadConfig) -> Self {
        Self { site: config.site.clone(), labels: config.labels.clone() }
    }

    /// The camera's name for people, or its key.
    pub(super) fn label<'a>(&'a self, upload: &'a DueUpload) -> &'a str {
        self.labels.get(&upload.facts.camera).map_or(upload.facts.camera.as_str(), String::as_str)
    }

    /// `SITE_NAME`.
    pub(super) fn site(&self) -> Option<&str> {
        self.site.as_deref()
    }

    /// Names, which are those of [`crate::config::FACTS`], and values, one line each; what is not known is left out.
    ///
    /// `taken_at` and `edge_at` are RFC 3339 in UTC; `frame_offset_ms` is the first minus the second. `read_text` is what was read
    /// in it until now, the best first with commas between, as a person corrected it; `read_score` is that of the first.
    pub(super) fn facts(&self, upload: &DueUpload) -> Vec<(&'static str, String)> {
        let told = &upload.facts;
        let mut facts = vec![
            ("id", told.id.to_string()),
            ("camera", told.camera.to_string()),
            ("label", self.label(upload).to_owned()),
            ("taken_at", told.taken_at().rfc3339()),
            ("cause", told.cause.as_str().to_owned()),
            ("kind", told.kind.as_str().to_owned()),
            ("sha256", hex(&upload.sha256)),
        ];
        if let Some(offset) = told.frame_offset_ms {
            facts.push(("edge_at", told.edge_at.rfc3339()));
            facts.push(("frame_offset_ms", offset.to_string()));
        }
        if let Some(site) = &self.site {
            facts.push(("site", site.clone()));
        }
        let texts: Vec<_> = upload.readings.iter().filter(|it| it.known.is_some()).collect();
        if !texts.is_empty() {
            facts.push(("read_text", texts.iter().map(|it| it.text()).collect::<Vec<_>>().join(", ")));
        }
        // A person is sure.
        let score = |it: &&TextReading| if it.corrected.is_some() { Some(1.0) } else { it.read.score };
        if let Some(score) = texts.first().copied().and_then(|it| score(&it)) {
            facts.push(("read_score", score.to_string()));
        }
        facts
    }
}

/// A value as a header takes it: visible ASCII and single spaces as they are, anything else as RFC 2047 writes UTF-8 in
/// Base64 (`=?UTF-8?B?…?=`), which is how S3 stores give such values back.
pub(super) fn header_text(value: &str) -> String {
    let one_line = value.split_whitespace().collect::<Vec<_>>().join(" ");
    if one_line.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        one_line
    } else {
        format!("=?UTF-8?B?{}?=", STANDARD.encode(&one_line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_ascii_whatever_a_site_is_called() {
        for (value, expected) in [
            ("Gate 7 (A&B)", "Gate 7 (A&B)"),
            (" two  spaces ", "two spaces"),
            ("Süd", "=?UTF-8?B?U8O8ZA==?="),
            ("", ""),
        ] {
            assert_eq!(header_text(value), expected);
        }
    }
}
