//! `S3_API_URL`, `UPLOAD_FIELD_NAME`, `UPLOAD_HEADERS`, `UPLOAD_FIELDS`, `UPLOAD_SUCCESS`: the `api` target.

use url::Url;

use super::kind::KindVariables;
use super::site::SiteFacts;
use crate::config::address::shown_url;
use crate::config::endpoint::http_address;
use crate::config::fields::{self, Beside, FieldTemplate, field_name};
use crate::config::lines::TargetLines;
use crate::config::problem::Wrong;
use crate::config::reader::{ReadResult, Reported, TargetReader};
use crate::config::{Secret, Success};

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

/// What is said of this kind.
pub(super) const VARIABLES: KindVariables = KindVariables {
    needed: &["S3_API_URL"],
    address: "S3_API_URL",
    login: "UPLOAD_HEADERS and the credentials in S3_API_URL",
};

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
    /// `UPLOAD_FIELDS`, at most 32; none has the name of a field that is sent anyway.
    pub fields: Vec<FieldTemplate>,
    /// `UPLOAD_SUCCESS`: which answer counts as a delivery, instead of what its body reads like.
    pub success: Option<Success>,
}

impl ApiTargetConfig {
    /// `None` when there is no address.
    pub(super) fn read(reader: &mut TargetReader<'_, '_>, site: &SiteFacts<'_>) -> ReadResult<Option<Self>> {
        let url = reader.optional("S3_API_URL", http_address);
        let field_name = reader.required("UPLOAD_FIELD_NAME", field_name);
        let headers = headers(reader);
        let file = field_name.as_ref().ok().map(String::as_str);
        let fields =
            fields::read(reader, &Beside { file, has_facts: site.are_sent, has_site: site.has_name });
        let success = reader.optional("UPLOAD_SUCCESS", Success::parse);
        let (url, field_name, headers, fields, success) = (url?, field_name?, headers?, fields?, success?);
        Ok(url.map(|url| Self { url: Secret::new(url), field_name, headers, fields, success }))
    }

    pub(super) fn describe(&self, lines: &mut TargetLines<'_>) {
        let whole = self.url.reveal();
        let mut shown = whole.clone();
        shown.set_query(None);
        hide_tokens(&mut shown);
        let shown = shown_url(&shown);
        if shown != whole.as_str() {
            lines.comment(
                "S3_API_URL has more than is shown: user, password, query or what looks like a token is hidden",
            );
        }
        lines.set("S3_API_URL", shown);
        lines.set("UPLOAD_FIELD_NAME", &self.field_name);
        if !self.headers.is_empty() {
            let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
            lines.comment(format_args!("UPLOAD_HEADERS is set: {} (values hidden)", names.join(", ")));
        }
        if !self.fields.is_empty() {
            let names: Vec<_> = self.fields.iter().map(FieldTemplate::name).collect();
            lines.comment(format_args!("UPLOAD_FIELDS is set: {} (values hidden)", names.join(", ")));
        }
        lines.set_some("UPLOAD_SUCCESS", self.success.as_ref());
    }
}

/// Reads `UPLOAD_HEADERS`; each bad entry is a problem of its own, named by its position because its text may be a
/// secret.
fn headers(reader: &mut TargetReader<'_, '_>) -> ReadResult<Vec<(String, Secret<String>)>> {
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

/// Puts `hidden` in the place of every part of the path that does not read like words: it may be a token.
fn hide_tokens(url: &mut Url) {
    let Some(path) = url.path_segments() else { return };
    let path: Vec<_> = path.map(|part| if reads_like_words(part) { part } else { "hidden" }).collect();
    let path = path.join("/");
    url.set_path(&path);
}

/// Words, versions and years with the usual signs between them: `upload.php`, `api-v2`, `site_7`, `uploadImage`. Secrets
/// are longer, or mix letters and digits, or capitals and small letters, as no word does.
fn reads_like_words(part: &str) -> bool {
    const WORD_MAX: usize = 16;
    const NUMBER_MAX: usize = 4;
    let is_word = |word: &str| {
        let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let numbers = word.len() - letters.len();
        let humps = letters.bytes().skip(1).filter(u8::is_ascii_uppercase).count();
        word.len() <= WORD_MAX
            && letters.bytes().all(|c| c.is_ascii_alphabetic())
            && (letters.bytes().all(|c| c.is_ascii_uppercase()) || 4 * humps <= letters.len())
            && if letters.is_empty() { numbers <= NUMBER_MAX } else { numbers <= 2 }
    };
    let words: Vec<_> = part.split(['-', '_', '.', '~']).collect();
    words.len() <= 4 && words.iter().all(|word| is_word(word))
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{api, problem, problems};

    const URL: (&str, &str) = ("S3_API_URL", "https://u:p@api.example/Upload?modulename=anpr");

    #[test]
    fn the_api_target_is_read_whole() {
        let api = api(&[
            URL,
            ("UPLOAD_TARGETS", " API,api"),
            ("UPLOAD_FIELD_NAME", "singleFile"),
            ("UPLOAD_HEADERS", "Authorization: Bearer a:b; X-Site: gate 1;"),
        ]);
        assert_eq!(api.url.reveal().as_str(), URL.1);
        assert_eq!(api.field_name, "singleFile");
        let headers: Vec<_> =
            api.headers.iter().map(|(name, value)| (name.as_str(), value.reveal().as_str())).collect();
        assert_eq!(headers, [("Authorization", "Bearer a:b"), ("X-Site", "gate 1")]);
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
}
