//! `ANALYSE_…`: a server that reads texts, such as number plates, in the pictures.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::Secret;
use super::endpoint::http_address;
use super::lines::{Lines, origin};
use super::problem::Wrong;
use super::reader::{ReadResult, VariableReader};
use super::values::{choice, path, short, whole, word};
use crate::model::{Cause, PlateText};

/// The names of the shapes.
const FORMATS: &[(&str, AnalysisFormat)] =
    &[("platerecognizer", AnalysisFormat::PlateRecognizer), ("json", AnalysisFormat::Json)];

/// Whose pictures are analysed by themselves.
const OCCASIONS: &[(&str, &[Cause])] = &[
    ("contact", &[Cause::Gpio]),
    ("push", &[Cause::Push, Cause::Ftp]),
    ("manual", &[Cause::Manual]),
    ("demand", &[]),
];

/// Longest token, characters.
const TOKEN_CHARS_MAX: usize = 1000;

/// Texts on a watch list; each picture is compared with all of them.
const WATCHED_MAX: usize = 1000;

/// Of the file of a watch list this much is read, bytes.
const WATCH_BYTES_MAX: u64 = 64 << 10;

/// A server that reads texts in pictures.
#[derive(Clone, Debug)]
pub struct AnalysisConfig {
    /// `ANALYSE_URL`, http or https; may carry credentials.
    pub url: Secret<Url>,
    /// `ANALYSE_FORMAT`.
    pub format: AnalysisFormat,
    /// `ANALYSE_TOKEN`.
    pub token: Option<Secret<String>>,
    /// `ANALYSE_WHEN`: pictures of these causes are analysed by themselves.
    pub causes: Vec<Cause>,
    /// `ANALYSE_TIMEOUT`, a second to ten minutes: how long a question may take, from sending the picture to the answer.
    pub timeout: Duration,
    /// `ANALYSE_TRIES`, 1 to 100: so many answers that say nothing of a picture put it aside.
    pub tries: u32,
    /// `ANALYSE_PER_DAY`: most questions of a day in UTC; `None`, written 0, is no limit.
    pub per_day: Option<u64>,
    /// `ANALYSE_PER_MONTH`: the same of a month.
    pub per_month: Option<u64>,
    /// `ANALYSE_MIN_SCORE`, 0 to 1: below it a person confirms.
    pub min_score: f64,
    /// `ANALYSE_WATCH` and the lines of `ANALYSE_WATCH_FILE`.
    pub watch: BTreeSet<PlateText>,
    watch_file: Option<PathBuf>,
}

/// How a server is asked, and how it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnalysisFormat {
    /// As Plate Recognizer's Snapshot API.
    PlateRecognizer,
    /// The picture as the body, and a list of texts in JSON.
    Json,
}

impl AnalysisConfig {
    /// `None` when there is no address.
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Option<Self>> {
        let url = reader.optional("ANALYSE_URL", http_address);
        let format = reader.required("ANALYSE_FORMAT", choice(FORMATS));
        let token = reader.optional("ANALYSE_TOKEN", token);
        let causes = reader.required("ANALYSE_WHEN", causes);
        let timeout = reader.required("ANALYSE_TIMEOUT", whole(1..=600, "seconds"));
        let tries = reader.required("ANALYSE_TRIES", whole(1..=100, "tries"));
        let per_day = reader.required("ANALYSE_PER_DAY", whole(0..=1_000_000, "questions"));
        let per_month = reader.required("ANALYSE_PER_MONTH", whole(0..=10_000_000, "questions"));
        let min_score = reader.required("ANALYSE_MIN_SCORE", score);
        let listed = reader.optional("ANALYSE_WATCH", |text| watched(text.split(',')));
        let file = reader.optional("ANALYSE_WATCH_FILE", path);
        let (listed, watch_file) = (listed?, file?);
        let mut watch = listed.unwrap_or_default();
        if let Some(file) = &watch_file {
            match read_list(file) {
                Ok(texts) => watch.extend(texts),
                Err(wrong) => return Err(reader.refuse("ANALYSE_WATCH_FILE", &wrong)),
            }
        }
        let (url, token, per_day, per_month) = (url?, token?, per_day?, per_month?);
        if url.is_none() && (token.is_some() || !watch.is_empty()) {
            let name = if token.is_some() { "ANALYSE_TOKEN" } else { "ANALYSE_WATCH" };
            reader.warn(name, "not used, because ANALYSE_URL is not set");
        }
        let config = |url| {
            Ok(Self {
                url: Secret::new(url),
                format: format?,
                token,
                causes: causes?,
                timeout: Duration::from_secs(timeout?),
                // The range above fits.
                tries: u32::try_from(tries?).unwrap_or(1),
                per_day: (per_day > 0).then_some(per_day),
                per_month: (per_month > 0).then_some(per_month),
                min_score: min_score?,
                watch,
                watch_file,
            })
        };
        url.map(config).transpose()
    }

    pub(super) fn describe(&self, lines: &mut Lines) {
        let origin = origin(self.url.reveal());
        let mut own = Lines::default();
        own.comment(format_args!("ANALYSE_URL is set: {origin} (path hidden)"));
        if self.token.is_some() {
            own.comment("ANALYSE_TOKEN is set (value hidden)");
        }
        lines.append(&own);
        // Without the address these lines would stand for nothing.
        let mut rest = Lines::default();
        rest.set("ANALYSE_FORMAT", word(FORMATS, &self.format));
        let is_wanted =
            |(_, causes): &&(&str, &[Cause])| causes.iter().any(|cause| self.causes.contains(cause));
        let occasions: Vec<_> = OCCASIONS.iter().filter(is_wanted).map(|(word, _)| *word).collect();
        rest.set(
            "ANALYSE_WHEN",
            if occasions.is_empty() { "demand".to_owned() } else { occasions.join(",") },
        );
        rest.set("ANALYSE_TIMEOUT", self.timeout.as_secs());
        rest.set("ANALYSE_TRIES", self.tries);
        rest.set("ANALYSE_PER_DAY", self.per_day.unwrap_or(0));
        rest.set("ANALYSE_PER_MONTH", self.per_month.unwrap_or(0));
        rest.set("ANALYSE_MIN_SCORE", self.min_score);
        rest.set_some("ANALYSE_WATCH_FILE", self.watch_file.as_ref().map(|path| path.display()));
        lines.comments(&rest);
        lines.comment(format_args!("{} texts are watched for", self.watch.len()));
    }
}

fn causes(text: &str) -> Result<Vec<Cause>, Wrong> {
    let accepted = "demand, or one or more of contact, push, manual with commas between them";
    let mut causes = Vec::new();
    for name in text.split(',') {
        let occasion = OCCASIONS.iter().find(|(word, _)| word.eq_ignore_ascii_case(name.trim()));
        let (_, of_it) = occasion.ok_or_else(|| Wrong::new("names an unknown occasion", accepted))?;
        causes.extend_from_slice(of_it);
    }
    Ok(causes)
}

fn token(text: &str) -> Result<Secret<String>, Wrong> {
    let is_sendable = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_sendable {
        short(TOKEN_CHARS_MAX)(text).map(Secret::new)
    } else {
        Err(Wrong::new(
            "contains a blank or a character beyond ASCII",
            "the token alone, without a word in front",
        ))
    }
}

fn score(text: &str) -> Result<f64, Wrong> {
    let accepted = "0 to 1, such as 0.8";
    let score: f64 = text.parse().map_err(|_| Wrong::new("not a number", accepted))?;
    if (0.0..=1.0).contains(&score) { Ok(score) } else { Err(Wrong::new("out of range", accepted)) }
}

fn watched<'a>(texts: impl Iterator<Item = &'a str>) -> Result<BTreeSet<PlateText>, Wrong> {
    let accepted = "texts of 1 to 24 letters and digits, at most 1000";
    let mut watched = BTreeSet::new();
    for text in texts.map(str::trim).filter(|text| !text.is_empty()) {
        let text = PlateText::parse(text).ok_or_else(|| {
            Wrong::new("holds a text without letters and digits, or with too many", accepted)
        })?;
        watched.insert(text);
        if watched.len() > WATCHED_MAX {
            return Err(Wrong::new("too many texts", accepted));
        }
    }
    Ok(watched)
}

/// One text a line; what stands behind `#` says something to people.
fn read_list(file: &Path) -> Result<BTreeSet<PlateText>, Wrong> {
    let accepted = "a file of at most 64 KiB in UTF-8 with one text on each line";
    let failed = |error: std::io::Error| Wrong::new(format!("cannot be read: {error}"), accepted);
    let length = std::fs::metadata(file).map_err(failed)?.len();
    if length > WATCH_BYTES_MAX {
        return Err(Wrong::new("the file is too large", accepted));
    }
    let text = std::fs::read_to_string(file).map_err(failed)?;
    watched(text.lines().map(|line| line.split('#').next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem, warnings};
    use super::*;

    const URL: (&str, &str) = ("ANALYSE_URL", "http://10.0.0.9:8080/v1/plate-reader/");

    #[test]
    fn nothing_is_analysed_until_an_address_is_given() {
        assert!(config(&[("ANALYSE_MIN_SCORE", "0.5")]).analysis.is_none());
        let list = warnings(&[("ANALYSE_TOKEN", "hunter2")]);
        assert!(
            list.len() == 1 && list[0].contains("ANALYSE_URL") && !list[0].contains("hunter2"),
            "{list:?}"
        );
    }

    #[test]
    fn an_address_alone_analyses_pictures_of_contacts_and_devices() {
        let analysis = config(&[URL]).analysis.unwrap();
        assert_eq!(analysis.format, AnalysisFormat::PlateRecognizer);
        assert_eq!(analysis.causes, [Cause::Gpio, Cause::Push, Cause::Ftp]);
        assert_eq!((analysis.tries, analysis.timeout.as_secs()), (10, 30));
        assert_eq!((analysis.per_day, analysis.per_month), (None, None));
        assert!(analysis.watch.is_empty() && (analysis.min_score - 0.8).abs() < f64::EPSILON);
        let when = |text| config(&[URL, ("ANALYSE_WHEN", text)]).analysis.unwrap().causes;
        assert_eq!(when("demand"), []);
        assert_eq!(when("manual, contact"), [Cause::Manual, Cause::Gpio]);
    }

    #[test]
    fn a_watch_list_comes_from_the_variable_and_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("watch.txt");
        std::fs::write(&file, "ab-12 cd # the neighbour\n\n# nobody\nW 1\n").unwrap();
        let file = file.to_str().unwrap();
        let listed = config(&[URL, ("ANALYSE_WATCH", "xy 1, AB12CD,"), ("ANALYSE_WATCH_FILE", file)]);
        let watch: Vec<_> = listed.analysis.unwrap().watch.into_iter().map(|text| text.to_string()).collect();
        assert_eq!(watch, ["AB12CD", "W1", "XY1"]);
        assert!(
            problem(&[URL, ("ANALYSE_WATCH_FILE", "/nonexistent/x")]).starts_with("ANALYSE_WATCH_FILE: ")
        );
    }

    #[test]
    fn what_is_not_accepted_is_a_problem_each_and_no_secret_is_shown() {
        for (name, value) in [
            ("ANALYSE_URL", "ftp://x/hunter2"),
            ("ANALYSE_FORMAT", "xml"),
            ("ANALYSE_TOKEN", "Token hunter2"),
            ("ANALYSE_WHEN", "always"),
            ("ANALYSE_TIMEOUT", "0"),
            ("ANALYSE_TRIES", "0"),
            ("ANALYSE_PER_DAY", "-1"),
            ("ANALYSE_PER_MONTH", "many"),
            ("ANALYSE_MIN_SCORE", "80"),
            ("ANALYSE_MIN_SCORE", "nan"),
            ("ANALYSE_WATCH", "AB12, --"),
        ] {
            let text = problem(&[URL, (name, value)][usize::from(name == URL.0)..]);
            assert!(text.starts_with(&format!("{name}: ")) && !text.contains("hunter2"), "{text}");
        }
    }
}
