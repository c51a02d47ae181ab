//! `UPLOAD_…`, `S3_…` and the rest of delivery.

use std::time::Duration;

use url::Url;

use super::Secret;
use super::problem::Wrong;
use super::reader::{Read, Reader, Reported};
use super::values::{boolean, whole};

/// Most uploads held in memory.
const PREFETCH_MAX: u64 = 10_000;

/// Longest `OFFLINE_RETRY_INTERVAL` and `CONNECTIVITY_CHECK_INTERVAL`, seconds: a day.
const INTERVAL_S_MAX: u64 = 86_400;

/// Longest `S3_API_URL`, bytes; servers refuse longer ones.
const URL_BYTES_MAX: usize = 4096;

/// Longest `UPLOAD_FIELD_NAME`, characters.
const FIELD_NAME_CHARS_MAX: usize = 64;

/// Most headers of `UPLOAD_HEADERS`.
const HEADERS_MAX: usize = 32;

/// Headers that belong to the upload itself; another value would break it or its idempotency.
const RESERVED_HEADERS: &[&str] = &[
    "connection",
    "content-digest",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Variables of targets that this version does not have.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("S3_ENDPOINT", "S3 store"),
    ("S3_REGION", "S3 store"),
    ("S3_BUCKET", "S3 store"),
    ("S3_PREFIX", "S3 store"),
    ("S3_ACCESS_KEY_ID", "S3 store"),
    ("S3_SECRET_ACCESS_KEY", "S3 store"),
    ("DISCORD_WEBHOOK_URL", "Discord channel"),
    ("RELAY_URL", "relay"),
];

/// Delivery.
#[derive(Clone, Debug)]
pub struct UploadConfig {
    /// `UPLOAD_ENABLED`: whether anything is sent.
    pub enabled: bool,
    /// `BACKGROUND_UPLOAD`: if false, a manual capture answers after its first delivery attempt.
    pub background: bool,
    /// `UPLOAD_QUEUE_SIZE`, 1 to 10000: rows held in memory at once; the durable queue has no limit but the disk.
    pub prefetch: usize,
    /// `OFFLINE_RETRY_INTERVAL`, a second to a day: longest pause between attempts on a target that is away.
    pub retry_interval: Duration,
    /// `CONNECTIVITY_CHECK_INTERVAL`, a second to a day: how often an idle target is asked for a connection.
    pub check_interval: Duration,
    /// The HTTP API, if it is configured.
    pub api: Option<ApiTargetConfig>,
}

/// The `api` target.
#[derive(Clone, Debug)]
pub struct ApiTargetConfig {
    /// `S3_API_URL`, http or https; may carry credentials, so it is never printed whole.
    pub url: Secret<Url>,
    /// `UPLOAD_FIELD_NAME`: letters, digits and `_ - . [ ]`.
    pub field_name: String,
    /// `UPLOAD_HEADERS`: names are tokens and values visible ASCII (RFC 9110 section 5), no name stands twice, and none
    /// belongs to the upload itself.
    pub headers: Vec<(String, Secret<String>)>,
}

impl UploadConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Read<Self> {
        let enabled = reader.required("UPLOAD_ENABLED", boolean);
        let background = reader.required("BACKGROUND_UPLOAD", boolean);
        let prefetch = reader.required("UPLOAD_QUEUE_SIZE", whole(1..=PREFETCH_MAX, "uploads"));
        let retry = reader.required("OFFLINE_RETRY_INTERVAL", whole(1..=INTERVAL_S_MAX, "s"));
        let check = reader.required("CONNECTIVITY_CHECK_INTERVAL", whole(1..=INTERVAL_S_MAX, "s"));
        let named = reader.optional("UPLOAD_TARGETS", targets);
        let url = reader.optional("S3_API_URL", api_url);
        let field_name = reader.required("UPLOAD_FIELD_NAME", field_name);
        let headers = headers(reader);
        for (name, target) in UNSUPPORTED {
            let reason = format!("delivery to a {target} is not part of this version");
            reader.refuse_unsupported(name, &reason, "nothing here; S3_API_URL delivers to an HTTP API");
        }

        let (url, named) = (url?, named?);
        if named.is_some() && url.is_none() {
            let wrong = Wrong::new("api has no address", "an address in S3_API_URL beside it");
            return Err(reader.refuse("UPLOAD_TARGETS", &wrong));
        }
        let (field_name, headers) = (field_name?, headers?);
        let api = url.map(|url| ApiTargetConfig { url, field_name, headers });
        Ok(Self {
            enabled: enabled?,
            background: background?,
            // The range above fits.
            prefetch: usize::try_from(prefetch?).unwrap_or(usize::MAX),
            retry_interval: Duration::from_secs(retry?),
            check_interval: Duration::from_secs(check?),
            api,
        })
    }
}

/// Reads `UPLOAD_TARGETS`, in which only `api` can be named for the time being.
fn targets(text: &str) -> Result<(), Wrong> {
    for target in text.split(',').map(|target| target.trim().to_ascii_lowercase()) {
        match target.as_str() {
            "api" => {}
            "s3" | "discord" | "relay" => {
                return Err(Wrong::new(format!("the target {target} is not part of this version"), "api"));
            }
            _ => return Err(Wrong::new("names an unknown target", "api")),
        }
    }
    Ok(())
}

fn api_url(text: &str) -> Result<Secret<Url>, Wrong> {
    let wrong = |what: &str| Wrong::new(what, "http://host/path or https://host/path");
    let text = text.trim();
    if text.len() > URL_BYTES_MAX {
        return Err(wrong("too long"));
    }
    let url = Url::parse(text).map_err(|_| wrong("not an address"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("neither http nor https"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("has no host"));
    }
    if url.port() == Some(0) {
        return Err(wrong("has port 0"));
    }
    if url.fragment().is_some() {
        return Err(wrong("has a #, which is never sent"));
    }
    Ok(Secret::new(url))
}

fn field_name(text: &str) -> Result<String, Wrong> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.[]".contains(&b);
    if text.len() <= FIELD_NAME_CHARS_MAX && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new("not a field name", "up to 64 letters, digits and _ - . [ ]"))
    }
}

/// Reads `UPLOAD_HEADERS`; each bad entry is a problem of its own, named by its position because its text may be a
/// secret.
fn headers(reader: &mut Reader<'_>) -> Read<Vec<(String, Secret<String>)>> {
    const NAME: &str = "UPLOAD_HEADERS";
    let Some(text) = reader.optional(NAME, |text| Ok(text.to_owned()))? else { return Ok(Vec::new()) };
    let mut headers: Vec<(String, Secret<String>)> = Vec::new();
    let mut outcome = Ok(());
    let mut refuse = |what: String| {
        outcome = Err(Reported);
        reader.refuse(NAME, &Wrong::new(what, "Name: value; Name: value (no ; inside a value)"));
    };
    let entries = text.split(';').map(str::trim).filter(|entry| !entry.is_empty());
    for (index, entry) in entries.enumerate() {
        let position = index + 1;
        if position > HEADERS_MAX {
            refuse(format!("has more than {HEADERS_MAX} headers"));
            break;
        }
        let Some((name, value)) = entry.split_once(':').map(|(name, value)| (name, value.trim())) else {
            refuse(format!("entry {position} has no colon"));
            continue;
        };
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            refuse(format!("the name of entry {position} is no header name"));
        } else if RESERVED_HEADERS.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
            refuse(format!("{name} belongs to the upload itself"));
        } else if headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            refuse(format!("the name of entry {position} stands twice"));
        } else if value.is_empty() || !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            refuse(format!("the value of entry {position} is empty or not plain ASCII"));
        } else {
            headers.push((name.to_owned(), Secret::new(value.to_owned())));
        }
    }
    outcome.map(|()| headers)
}

/// A byte of a token (RFC 9110 section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem, problems};
    use super::*;

    const URL: (&str, &str) = ("S3_API_URL", "https://u:p@api.example/Upload?modulename=anpr");

    #[test]
    fn nothing_is_sent_until_a_target_is_configured() {
        let upload = config(&[]).upload;
        assert!(upload.enabled && upload.background && upload.api.is_none());
        assert_eq!(upload.prefetch, 100);
        let minute = Duration::from_secs(60);
        assert_eq!((upload.retry_interval, upload.check_interval), (minute, minute));
    }

    #[test]
    fn the_api_target_is_read_whole() {
        let api = config(&[
            URL,
            ("UPLOAD_TARGETS", " API,api"),
            ("UPLOAD_FIELD_NAME", "singleFile"),
            ("UPLOAD_HEADERS", "Authorization: Bearer a:b; X-Site: gate 1;"),
        ])
        .upload
        .api
        .unwrap();
        assert_eq!(api.url.reveal().as_str(), URL.1);
        assert_eq!(api.field_name, "singleFile");
        let headers: Vec<_> =
            api.headers.iter().map(|(name, value)| (name.as_str(), value.reveal().as_str())).collect();
        assert_eq!(headers, [("Authorization", "Bearer a:b"), ("X-Site", "gate 1")]);
    }

    #[test]
    fn a_target_of_later_versions_is_refused_with_the_reason() {
        for target in ["s3", "discord", "api,relay"] {
            let text = problem(&[URL, ("UPLOAD_TARGETS", target)]);
            assert!(text.contains("is not part of this version"), "{text}");
        }
        for (name, _) in UNSUPPORTED {
            let text = problem(&[(name, "hunter2")]);
            assert!(text.starts_with(&format!("{name}: delivery to a ")), "{text}");
        }
        assert!(!problem(&[("S3_SECRET_ACCESS_KEY", "hunter2")]).contains("hunter2"));
        assert!(!problem(&[("DISCORD_WEBHOOK_URL", "https://x/hunter2")]).contains("hunter2"));
        assert!(problem(&[URL, ("UPLOAD_TARGETS", "ftp")]).contains("unknown target"));
        assert!(problem(&[("UPLOAD_TARGETS", "api")]).contains("api has no address"));
    }

    #[test]
    fn an_address_that_cannot_be_posted_to_is_a_problem_and_is_not_shown() {
        for url in [
            "ftp://u:hunter2@x/",
            "hunter2",
            "https://",
            "http://x:0/hunter2",
            "https://x/#hunter2",
            "https://x:hunter2/",
        ] {
            let text = problem(&[("S3_API_URL", url)]);
            assert!(text.starts_with("S3_API_URL: ") && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn every_bad_header_is_a_problem_and_none_is_shown() {
        let list = problems(&[(
            "UPLOAD_HEADERS",
            "hunter2; Ho st: hunter2; Content-Length: 5; idempotency-key: x; A: 1; a: 2; B:; C: hüter2; : hunter2",
        )]);
        assert_eq!(list.len(), 8, "{list:#?}");
        assert!(
            list.iter().all(|text| !text.contains("hunter2") && text.contains("(value hidden)")),
            "{list:#?}"
        );
        assert!(problem(&[("UPLOAD_HEADERS", "A: b\r\nX: y")]).contains("control character"));
    }

    #[test]
    fn intervals_and_sizes_stay_within_their_ranges() {
        for (name, value) in [
            ("UPLOAD_QUEUE_SIZE", "0"),
            ("UPLOAD_QUEUE_SIZE", "10001"),
            ("OFFLINE_RETRY_INTERVAL", "0"),
            ("OFFLINE_RETRY_INTERVAL", "86401"),
            ("CONNECTIVITY_CHECK_INTERVAL", "0"),
            ("UPLOAD_FIELD_NAME", "a\"b"),
        ] {
            assert!(problem(&[(name, value)]).starts_with(&format!("{name}: ")), "{name}={value}");
        }
    }
}
