//! `S3_…`: a bucket of an S3 store.

use url::{Host, Url};

use super::kind::KindVariables;
use super::site::SiteFacts;
use crate::config::Secret;
use crate::config::endpoint::{Holds, holds_bucket, store_address};
use crate::config::lines::{TargetLines, quoted};
use crate::config::object_key::KeyTemplate;
use crate::config::problem::Wrong;
use crate::config::reader::{ReadResult, Reported, TargetReader};
use crate::config::values::{choice, word};

/// Longest `S3_REGION`, characters.
const REGION_CHARS_MAX: usize = 64;

/// Longest `S3_BUCKET`, characters; newer buckets of Amazon have at most 63, older ones and other stores more.
const BUCKET_CHARS_MAX: usize = 255;

/// Longest access key, secret or token, bytes.
const CREDENTIAL_BYTES_MAX: usize = 4096;

/// What a bucket needs; there is none without any of them.
const NEEDED: [&str; 4] = ["S3_ENDPOINT", "S3_BUCKET", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"];

/// What means nothing without a bucket, and has no default that someone may have written down.
const FURTHER: [&str; 2] = ["S3_PREFIX", "S3_SESSION_TOKEN"];

const STYLES: &[(&str, S3Style)] = &[("path", S3Style::Path), ("virtual", S3Style::Virtual)];

/// Where the bucket stands in an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S3Style {
    /// `host/bucket/key`, which every store understands.
    Path,
    /// `bucket.host/key`.
    Virtual,
}

/// What is said of this kind.
pub(super) const VARIABLES: KindVariables = KindVariables {
    needed: &NEEDED,
    address: "S3_ENDPOINT, S3_BUCKET and S3_STYLE",
    login: "S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY",
};

/// The `s3` target.
#[derive(Clone, Debug)]
pub struct S3TargetConfig {
    /// `S3_ENDPOINT`, http or https, without user, password and query.
    pub endpoint: Url,
    /// `S3_REGION`: 1 to 64 letters, digits, `-` and `_`.
    pub region: String,
    /// `S3_BUCKET`: letters, digits, `.`, `-` and `_`; with [`S3Style::Virtual`] a part of a host name.
    pub bucket: String,
    /// `S3_STYLE`.
    pub style: S3Style,
    /// `S3_PREFIX` and `S3_KEY`.
    pub key: KeyTemplate,
    /// `S3_ACCESS_KEY_ID`, visible ASCII.
    pub access_key_id: Secret<String>,
    /// `S3_SECRET_ACCESS_KEY`, visible ASCII.
    pub secret_access_key: Secret<String>,
    /// `S3_SESSION_TOKEN`, visible ASCII.
    pub session_token: Option<Secret<String>>,
}

impl S3TargetConfig {
    /// `None` when nothing of it is set; half of it is one problem that names what is missing.
    pub(super) fn read(reader: &mut TargetReader<'_, '_>, site: &SiteFacts<'_>) -> ReadResult<Option<Self>> {
        let endpoint = reader.optional("S3_ENDPOINT", store_address);
        let bucket = reader.optional("S3_BUCKET", bucket);
        let access_key_id = reader.optional("S3_ACCESS_KEY_ID", credential);
        let secret_access_key = reader.optional("S3_SECRET_ACCESS_KEY", credential);
        let session_token = reader.optional("S3_SESSION_TOKEN", credential);
        let region = reader.required("S3_REGION", region);
        let style = reader.required("S3_STYLE", choice(STYLES));
        let prefix = reader.optional("S3_PREFIX", |text| Ok(text.to_owned()));
        let prefix = prefix?.unwrap_or_default();
        let key = reader.required("S3_KEY", |text| KeyTemplate::parse(text, &prefix, site.name));

        let (set, missing): (Vec<_>, Vec<_>) = NEEDED.into_iter().partition(|name| reader.is_set(name));
        let further = FURTHER.into_iter().find(|name| reader.is_set(name));
        let Some(first) = set.first().copied().or(further) else { return Ok(None) };
        if let Some(name) = missing.first() {
            let what = format!("{first} is set, but not {}", missing.join(", "));
            let accepted = format!("all of {}, or nothing of this target", NEEDED.join(", "));
            return Err(reader.refuse(name, &Wrong::new(what, accepted)));
        }
        let (Some(endpoint), Some(bucket)) = (endpoint?, bucket?) else { return Err(Reported) };
        let (Some(access_key_id), Some(secret_access_key)) = (access_key_id?, secret_access_key?) else {
            return Err(Reported);
        };
        let (endpoint, style) = understand(reader, endpoint, &bucket, style?);
        if style == S3Style::Virtual && !fits_host_name(&endpoint, &bucket) {
            let wrong = Wrong::new(
                "S3_BUCKET cannot stand before the host of S3_ENDPOINT",
                "path; or virtual with a host name, and a bucket of a-z, 0-9, - and .",
            );
            return Err(reader.refuse("S3_STYLE", &wrong));
        }
        Ok(Some(Self {
            endpoint,
            region: region?,
            bucket,
            style,
            key: key?,
            access_key_id,
            secret_access_key,
            session_token: session_token?,
        }))
    }

    /// Comments only: without the keys they are no settings.
    pub(super) fn describe(&self, lines: &mut TargetLines<'_>) {
        let token = if self.session_token.is_some() { ", S3_SESSION_TOKEN" } else { "" };
        lines.comment(format_args!(
            "S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY{token} are set (values hidden), with"
        ));
        for (name, value) in [
            ("S3_ENDPOINT", self.endpoint.as_str()),
            ("S3_REGION", &self.region),
            ("S3_BUCKET", &self.bucket),
            ("S3_PREFIX", self.key.prefix()),
            ("S3_KEY", self.key.text()),
            ("S3_STYLE", word(STYLES, &self.style)),
        ] {
            if !value.is_empty() {
                lines.comment(format_args!("{name}={}", quoted(value)));
            }
        }
    }
}

/// Where the bucket is looked for. An address that was copied with the bucket in it is read as it was meant, and said.
fn understand(
    reader: &mut TargetReader<'_, '_>,
    endpoint: Url,
    bucket: &str,
    style: S3Style,
) -> (Url, S3Style) {
    const NAME: &str = "S3_ENDPOINT";
    let line = |url: &Url| format!("{NAME}={}", url.as_str().trim_end_matches('/'));
    match holds_bucket(&endpoint, bucket) {
        Holds::No => (endpoint, style),
        Holds::InPath(shorter) => {
            reader.warn(
                NAME,
                format_args!(
                    "has the bucket at its end, which S3_BUCKET adds anyway; read as {}",
                    line(&shorter)
                ),
            );
            // It may stand before the host as well.
            match holds_bucket(&shorter, bucket) {
                Holds::InHost(shorter) => (shorter, S3Style::Virtual),
                _ => (shorter, style),
            }
        }
        Holds::InHost(shorter) => {
            reader.warn(
                NAME,
                format_args!(
                    "has the bucket before the host, which S3_BUCKET adds anyway; read as {} with S3_STYLE=virtual",
                    line(&shorter)
                ),
            );
            (shorter, S3Style::Virtual)
        }
        Holds::PerhapsInHost(shorter) => {
            reader.warn(
                NAME,
                format_args!(
                    "begins with the name of the bucket; if that is the bucket, write {} and S3_STYLE=virtual, else objects go \
                     to {bucket}/{bucket}/",
                    line(&shorter)
                ),
            );
            (endpoint, style)
        }
        Holds::WithFolder(shorter, folder) => {
            reader.warn(
                NAME,
                format_args!(
                    "has the bucket and a folder in it, and the bucket is added again; write {} and S3_PREFIX={folder}",
                    line(&shorter)
                ),
            );
            (endpoint, style)
        }
    }
}

fn bucket(text: &str) -> Result<String, Wrong> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if text.len() <= BUCKET_CHARS_MAX && text.bytes().all(plain) && !matches!(text, "." | "..") {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(
            "not the name of a bucket",
            "up to 255 letters, digits and . - _; a folder goes into S3_PREFIX",
        ))
    }
}

fn region(text: &str) -> Result<String, Wrong> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    if text.len() <= REGION_CHARS_MAX && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new("not the name of a region", "such as us-east-1, eu-central-1 or auto"))
    }
}

fn credential(text: &str) -> Result<Secret<String>, Wrong> {
    let text = text.trim();
    if !text.is_empty() && text.len() <= CREDENTIAL_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(Secret::new(text.to_owned()))
    } else {
        Err(Wrong::new("not a key of an S3 store", "visible ASCII characters"))
    }
}

/// Whether `bucket.host` is a host name.
fn fits_host_name(endpoint: &Url, bucket: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    matches!(endpoint.host(), Some(Host::Domain(_))) && bucket.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TargetSettings;
    use crate::config::testing::{config, problem, problems, warnings};
    use crate::model::TargetId;

    const FULL: [(&str, &str); 4] = [
        ("S3_ENDPOINT", "https://s3.example:9000"),
        ("S3_BUCKET", "gate-pictures"),
        ("S3_ACCESS_KEY_ID", "AKIA"),
        ("S3_SECRET_ACCESS_KEY", "hunter2/+="),
    ];

    fn with(further: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
        [&FULL[..], further].concat()
    }

    fn s3_of(pairs: &[(&str, &str)]) -> S3TargetConfig {
        match &config(pairs).upload.target(TargetId::S3).unwrap().settings {
            TargetSettings::S3(s3) => s3.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bucket_is_read_whole_with_its_defaults() {
        let s3 = s3_of(&FULL);
        assert_eq!((s3.region.as_str(), s3.style), ("us-east-1", S3Style::Path));
        assert_eq!(s3.endpoint.as_str(), "https://s3.example:9000/");
        assert_eq!(s3.secret_access_key.reveal(), "hunter2/+=");
        let s3 = s3_of(&with(&[("S3_STYLE", "virtual"), ("S3_SESSION_TOKEN", "t"), ("S3_REGION", "auto")]));
        assert_eq!(
            (s3.region.as_str(), s3.style, s3.session_token.is_some()),
            ("auto", S3Style::Virtual, true)
        );
    }

    #[test]
    fn an_address_with_the_bucket_in_it_is_read_without_it_and_said() {
        for (endpoint, read, style, words) in [
            (
                "https://acc.r2.cloudflarestorage.com/gate-pictures",
                "https://acc.r2.cloudflarestorage.com/",
                S3Style::Path,
                "read as S3_ENDPOINT=https://acc.r2.cloudflarestorage.com",
            ),
            (
                "https://gate-pictures.s3.eu-central-1.amazonaws.com",
                "https://s3.eu-central-1.amazonaws.com/",
                S3Style::Virtual,
                "read as S3_ENDPOINT=https://s3.eu-central-1.amazonaws.com with S3_STYLE=virtual",
            ),
            (
                "https://gate-pictures.s3.example/gate-pictures/",
                "https://s3.example/",
                S3Style::Virtual,
                "has the bucket at its end",
            ),
            (
                "https://gate-pictures.own.example:9000",
                "https://gate-pictures.own.example:9000/",
                S3Style::Path,
                "write S3_ENDPOINT=https://own.example:9000 and S3_STYLE=virtual",
            ),
            (
                "http://10.0.0.9:9000/gate-pictures/in",
                "http://10.0.0.9:9000/gate-pictures/in",
                S3Style::Path,
                "write S3_ENDPOINT=http://10.0.0.9:9000 and S3_PREFIX=in",
            ),
        ] {
            let mut pairs = with(&[]);
            pairs[0] = ("S3_ENDPOINT", endpoint);
            let s3 = s3_of(&pairs);
            assert_eq!((s3.endpoint.as_str(), s3.style), (read, style), "{endpoint}");
            let said = warnings(&pairs);
            let of_it: Vec<_> = said.iter().filter(|text| text.starts_with("S3_ENDPOINT: ")).collect();
            assert!(of_it.len() == 1 && of_it[0].contains(words), "{endpoint}: {said:#?}");
        }
        assert!(warnings(&with(&[])).iter().all(|text| !text.contains("S3_")));
    }

    #[test]
    fn half_a_bucket_is_one_problem_that_names_the_other_half() {
        for missing in 0..4 {
            let mut pairs = FULL.to_vec();
            let (name, _) = pairs.remove(missing);
            let text = problem(&pairs);
            assert!(
                text.starts_with(&format!("{name}: ")) && text.contains(&format!("but not {name}")),
                "{text}"
            );
            assert!(!text.contains("hunter2"), "{text}");
        }
        let text = problem(&[("S3_PREFIX", "gate")]);
        assert!(
            text.contains("but not S3_ENDPOINT, S3_BUCKET, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY"),
            "{text}"
        );
    }

    #[test]
    fn every_bad_value_is_a_problem_of_its_own_variable() {
        for (name, value) in [
            ("S3_ENDPOINT", "s3.example"),
            ("S3_ENDPOINT", "https://hunter2:x@s3.example"),
            ("S3_ENDPOINT", "https://s3.example/?hunter2"),
            ("S3_BUCKET", "gate/pictures"),
            ("S3_BUCKET", ".."),
            ("S3_REGION", "eu west"),
            ("S3_STYLE", "dns"),
            ("S3_KEY", "{camera}.jpg"),
            ("S3_ACCESS_KEY_ID", "a b"),
            ("S3_SECRET_ACCESS_KEY", "hünter2"),
        ] {
            let mut pairs = with(&[]);
            pairs.retain(|(known, _)| *known != name);
            pairs.push((name, value));
            let list = problems(&pairs);
            assert!(
                list.len() == 1 && list[0].starts_with(&format!("{name}: ")),
                "{name}={value}: {list:#?}"
            );
        }
    }

    #[test]
    fn a_bucket_stands_before_a_host_only_where_that_is_a_host_name() {
        for (endpoint, bucket) in
            [("http://127.0.0.1:9000", "gate"), ("http://[::1]/", "gate"), ("https://s3.example", "Gate_1")]
        {
            let pairs = [
                ("S3_ENDPOINT", endpoint),
                ("S3_BUCKET", bucket),
                ("S3_ACCESS_KEY_ID", "a"),
                ("S3_SECRET_ACCESS_KEY", "b"),
                ("S3_STYLE", "virtual"),
            ];
            assert!(problem(&pairs).starts_with("S3_STYLE: "), "{endpoint} {bucket}");
        }
    }
}
