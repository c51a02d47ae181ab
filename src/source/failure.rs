//! Why a camera gave no picture, in words for people: what was seen, and what to do.

use std::time::Duration;

use reqwest::StatusCode;
use url::Url;

use super::certificate::Trouble;
use super::{SourceError, body};
use crate::config::{Credentials, shown_url};
use crate::media::footprint::TooLarge;
use crate::media::jpeg::NotJpeg;
use crate::model::chain::chain;
use crate::model::secrets::Secrets;

/// Longest words of a camera, characters.
const WORDS_MAX: usize = 60;

/// Longest address or error that is shown, characters.
const ADDRESS_MAX: usize = 300;

/// Of a web page this much is looked at for its title.
const PAGE_MAX: usize = 4096;

/// Why there is no picture.
#[derive(Debug)]
pub(super) struct Failure {
    /// What was seen and what to do, for people.
    pub(super) message: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Wrong password and the like: asking again does harm.
    Refused,
    /// May be gone at the next attempt.
    Broken,
    /// Took all the time there was.
    Silent,
}

impl Failure {
    /// A fault that may pass.
    pub(super) fn broken(message: String) -> Self {
        Self { message, kind: Kind::Broken }
    }

    fn silent(message: String) -> Self {
        Self { message, kind: Kind::Silent }
    }

    fn refused(message: String) -> Self {
        Self { message, kind: Kind::Refused }
    }

    /// Whether asking again at once may help.
    pub(super) fn is_passing(&self) -> bool {
        self.kind == Kind::Broken
    }
}

impl From<Failure> for SourceError {
    fn from(failure: Failure) -> Self {
        Self { message: failure.message, is_refusal: failure.kind == Kind::Refused }
    }
}

/// What can be said of one camera.
pub(super) struct Sentences {
    number: u8,
    url: Url,
    /// Host and port.
    pub(super) address: String,
    /// What stands in none of its words.
    secrets: Secrets,
}

impl Sentences {
    /// Of camera `number` at `url`, which is told `credentials`.
    pub(super) fn new(number: u8, url: &Url, credentials: Option<&Credentials>) -> Self {
        let port = url.port_or_known_default().unwrap_or(80);
        let address = format!("{}:{port}", url.host_str().unwrap_or("?"));
        // The answer to a challenge can be tried against a list of passwords.
        let secrets = Secrets::of_url(url).with_hashes();
        let secrets = match credentials {
            Some(login) => secrets.with_login(&login.username, login.password.reveal()),
            None => secrets,
        };
        Self { number, url: url.clone(), address, secrets }
    }

    /// What a camera says, fit to be shown.
    fn said(&self, text: &str) -> String {
        self.secrets.words(text, WORDS_MAX)
    }

    /// The kinds of log-in of `WWW-Authenticate` headers, such as `digest (SHA-256), basic`.
    pub(super) fn kinds(&self, challenges: &[String]) -> String {
        kinds(challenges, |text| self.said(text))
    }

    /// It asked for these kinds of log-in and liked no answer.
    pub(super) fn wrong_password(&self, kinds: &str) -> Failure {
        Failure::refused(format!(
            "the camera at {} refused the user name or password ({kinds}, status 401); check CAMERA_{n}_USERNAME and \
             CAMERA_{n}_PASSWORD, or CAMERA_USERNAME and CAMERA_PASSWORD",
            self.address,
            n = self.number
        ))
    }

    /// It asked for one of these kinds of log-in, and there is none to give.
    pub(super) fn no_password(&self, kinds: &str) -> Failure {
        Failure::refused(format!(
            "the camera at {} wants a user name and password ({kinds}); set CAMERA_{n}_USERNAME and CAMERA_{n}_PASSWORD",
            self.address,
            n = self.number
        ))
    }

    /// It asked for kinds of log-in nobody here knows.
    pub(super) fn strange_login(&self, kinds: &str) -> Failure {
        Failure::refused(format!(
            "the camera at {} wants a log-in of a kind that is not known here ({kinds}); set it to digest or basic",
            self.address
        ))
    }

    /// It redirected to `to`, or to something that is no address.
    pub(super) fn redirect(&self, to: Option<&Url>) -> Failure {
        let to =
            to.map_or_else(|| "nowhere".to_owned(), |to| self.secrets.words(&shown_url(to), ADDRESS_MAX));
        Failure::broken(format!(
            "the camera at {} redirects to {to}, which is not followed; if that is the camera, set \
             CAMERA_{}_SNAPSHOT_URL to it",
            self.address, self.number
        ))
    }

    /// So many requests led to no picture.
    pub(super) fn circles(&self, requests: usize) -> Failure {
        Failure::broken(format!(
            "the camera at {} sent us round in circles ({requests} requests without a picture); check \
             CAMERA_{}_SNAPSHOT_URL",
            self.address, self.number
        ))
    }

    /// It answered with a stream of this media type, and no picture of it came.
    pub(super) fn stream(&self, kind: &str) -> Failure {
        Failure::broken(format!(
            "the camera at {} sends a stream of pictures ({}), and none of them was whole; set CAMERA_{}_SNAPSHOT_URL to its address of a single one \
             (on an ESP32-CAM http://…/capture)",
            self.address,
            self.said(kind),
            self.number
        ))
    }

    /// Its answer was a stream, of which the first picture was taken.
    pub(super) fn first_of_stream(&self) -> String {
        format!(
            "the camera sends a stream of pictures, of which the first was taken; it may be a little older than the trigger: \
             set CAMERA_{}_SNAPSHOT_URL to its address of a single one",
            self.number
        )
    }

    /// Its picture is longer than the `length` of its answer.
    pub(super) fn cut(&self, length: usize) -> String {
        format!(
            "the camera says that its picture has {length} bytes (Content-Length), and it has more; look for new \
             firmware"
        )
    }

    /// Its answer has more bytes than `limit`.
    pub(super) fn too_large(&self, limit: usize) -> Failure {
        Failure::broken(format!(
            "the answer of the camera at {} is larger than {} MiB; is CAMERA_{}_SNAPSHOT_URL the address of a single \
             picture?",
            self.address,
            limit >> 20,
            self.number
        ))
    }

    /// Its picture claims more pixels than can be taken.
    pub(super) fn too_many_pixels(&self, error: TooLarge) -> Failure {
        Failure::broken(format!(
            "the camera at {} sends {error}; ask it for a smaller picture in CAMERA_{}_SNAPSHOT_URL",
            self.address, self.number
        ))
    }

    /// The machine itself cannot make a connection.
    pub(super) fn no_client(&self, error: &str) -> Failure {
        Failure::broken(format!("no secure connection can be made on this machine: {error}"))
    }

    /// It answered with this status.
    pub(super) fn status(&self, status: StatusCode) -> Failure {
        let (address, n) = (&self.address, self.number);
        match status.as_u16() {
            403 => Failure::refused(format!(
                "the camera at {address} forbids this picture (status 403); check the rights of its user, and \
                 CAMERA_{n}_SNAPSHOT_URL"
            )),
            404 => Failure::broken(format!(
                "the camera at {address} has no picture at {} (status 404); check CAMERA_{n}_SNAPSHOT_URL",
                shown_url(&self.url)
            )),
            code @ 500..=599 => Failure::broken(format!(
                "the camera at {address} answered with status {code}: it is busy or its sensor failed; if this goes on, \
                 restart it"
            )),
            code => Failure::broken(format!(
                "the camera at {address} answered with status {code} instead of a picture; check CAMERA_{n}_SNAPSHOT_URL"
            )),
        }
    }

    /// The connection ended in the middle of the picture.
    pub(super) fn broken_off(&self, received: usize, length: Option<u64>) -> Failure {
        let of = length.map(|length| format!(" of {length}")).unwrap_or_default();
        Failure::broken(format!(
            "the picture of the camera at {} broke off after {received}{of} bytes; check its network and power supply",
            self.address
        ))
    }

    /// What it sent is no picture.
    pub(super) fn no_picture(&self, error: NotJpeg, bytes: &[u8], kind: &str) -> Failure {
        let (address, n) = (&self.address, self.number);
        let check = format!("is CAMERA_{n}_SNAPSHOT_URL the address of a single JPEG picture?");
        Failure::broken(match error {
            NotJpeg::NoStart if bytes.is_empty() => {
                format!("the camera at {address} sent an empty picture; if this goes on, restart it")
            }
            NotJpeg::NoStart
                if kind.to_ascii_lowercase().starts_with("text/html")
                    || bytes.trim_ascii_start().starts_with(b"<") =>
            {
                format!(
                    "the camera at {address} sent a web page{} instead of a picture; {check}",
                    title(bytes, |text| self.said(text))
                )
            }
            NotJpeg::NoStart if body::format(bytes) == Some("gzip") => format!(
                "the camera at {address} sends its picture packed (gzip), which was not asked for; switch off compression in \
                 its web server"
            ),
            NotJpeg::NoStart => match body::format(bytes) {
                Some(format) => format!(
                    "the camera at {address} sends {format} instead of JPEG; set its snapshots to JPEG, or \
                     CAMERA_{n}_SNAPSHOT_URL to the address of a JPEG picture"
                ),
                None => {
                    let kind = if kind.is_empty() { "something of no kind" } else { kind };
                    format!("the camera at {address} sent no JPEG but {}; {check}", self.said(kind))
                }
            },
            NotJpeg::NoEnd => format!(
                "the picture of the camera at {address} is cut off, or its Content-Length is wrong ({} bytes without the end \
                 marker FF D9); check its network and power supply, or set a smaller picture",
                bytes.len()
            ),
            NotJpeg::NoFrame => format!(
                "the picture of the camera at {address} is damaged ({} bytes without a frame header); if this goes on, \
                 restart it",
                bytes.len()
            ),
        })
    }

    /// Within `limit` nothing came, or no more than `received` bytes of the picture.
    pub(super) fn too_slow(&self, limit: Duration, received: Option<usize>) -> Failure {
        let (address, seconds) = (&self.address, limit.as_secs());
        Failure::silent(match received {
            None => format!(
                "the camera at {address} accepts connections but has sent nothing for {seconds} s; if this goes on, \
                 restart it"
            ),
            Some(bytes) => format!(
                "the camera at {address} sends its picture too slowly: {bytes} bytes, and not the rest within {seconds} s; \
                 check its network, or set a smaller picture"
            ),
        })
    }

    /// The connection ended before an answer, as it was read as it comes.
    pub(super) fn broke(&self, error: &std::io::Error) -> Failure {
        let said = self.secrets.words(&error.to_string(), ADDRESS_MAX);
        Failure::broken(format!(
            "the connection with the camera at {} broke before an answer came: {said}; if this goes on, restart it",
            self.address
        ))
    }

    /// No answer came; a connection was tried for `limit`.
    pub(super) fn unreachable(&self, error: reqwest::Error, limit: Duration) -> Failure {
        let (address, n) = (&self.address, &self.number);
        // The address may hold a password.
        let error = error.without_url();
        let text = chain(&error);
        // A certificate says what its maker likes.
        let said = self.secrets.words(&text, ADDRESS_MAX);
        let host = self.url.host_str().unwrap_or("?");
        if error.is_timeout() {
            let or_tls = if self.url.scheme() == "https" { ", and whether it speaks TLS" } else { "" };
            return Failure::silent(format!(
                "the camera at {address} does not answer (tried for {} s); check its power, cable or Wi-Fi, and \
                 address{or_tls}",
                limit.as_secs()
            ));
        }
        if let Some(trouble) = Trouble::among(&error) {
            let said = trouble.say(address, *n, &format!("CAMERA_{n}_SNAPSHOT_URL"), "http");
            return if said.is_refusal {
                Failure::refused(said.message)
            } else {
                Failure::broken(said.message)
            };
        }
        Failure::broken(if !error.is_connect() {
            format!(
                "the connection with the camera at {address} broke before an answer came: {said}; if this goes on, restart it"
            )
        } else if text.contains("failed to lookup") || text.contains("dns error") {
            format!("the name {host} was not found; check CAMERA_{n}_SNAPSHOT_URL")
        } else if text.contains("Connection refused") {
            format!(
                "nothing listens at {address} (connection refused); is the camera's web server switched on, and is the \
                 port right?"
            )
        } else if text.contains("No route to host") || text.contains("Network is unreachable") {
            format!("the camera at {address} cannot be reached: no route; check cable, power and address")
        } else {
            format!("no connection with the camera at {address}: {said}")
        })
    }
}

/// The title of a web page in quotation marks, behind a space.
fn title(page: &[u8], said: impl Fn(&str) -> String) -> String {
    let page = String::from_utf8_lossy(&page[..page.len().min(PAGE_MAX)]).into_owned();
    let lower = page.to_ascii_lowercase();
    let title = lower.find("<title>").map(|at| at + "<title>".len()).and_then(|begin| {
        let end = begin + lower[begin..].find("</title>")?;
        Some(said(&page[begin..end]))
    });
    title.filter(|title| !title.is_empty()).map(|title| format!(" (\"{title}\")")).unwrap_or_default()
}

/// The kinds of log-in, of which what the camera says is made fit by `said`.
fn kinds(challenges: &[String], said: impl Fn(&str) -> String) -> String {
    let parsed = challenges.iter().flat_map(|text| http_auth::parse_challenges(text).unwrap_or_default());
    let kinds: Vec<String> = parsed
        .map(|challenge| {
            let scheme = said(challenge.scheme).to_lowercase();
            let algorithm = challenge.params.iter().find(|(name, _)| name.eq_ignore_ascii_case("algorithm"));
            match (scheme.as_str(), algorithm) {
                ("digest", None) => "digest (MD5)".to_owned(),
                ("digest", Some((_, algorithm))) => {
                    format!("digest ({})", said(&algorithm.to_unescaped()).to_uppercase())
                }
                _ => scheme,
            }
        })
        .collect();
    if kinds.is_empty() { "of an unnamed kind".to_owned() } else { said(&kinds.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use proptest::prelude::*;

    #[test]
    fn the_kinds_of_log_in_are_named_with_their_algorithm() {
        let named =
            |texts: &[&str]| camera().kinds(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            named(&["Digest realm=\"x\", nonce=\"y\", algorithm=SHA-256", "Basic realm=\"x\""]),
            "digest (SHA-256), basic"
        );
        assert_eq!(named(&["Digest realm=\"x\", nonce=\"y\", qop=\"auth\""]), "digest (MD5)");
        assert_eq!(named(&[]), "of an unnamed kind");
    }

    fn camera() -> Sentences {
        let url = Url::parse("http://cam.example/snap?token=s3cr3t-t0ken").unwrap();
        let password = Secret::new("open-sesame".to_owned());
        Sentences::new(1, &url, Some(&Credentials { username: "gatekeeper".to_owned(), password }))
    }

    #[test]
    fn a_web_page_is_told_by_its_title() {
        let title = |page: &[u8]| title(page, |text| camera().said(text));
        assert_eq!(title(b"<html><TITLE> Log\x07 in </TITLE>"), " (\"Log in\")");
        assert_eq!(title(b"<html><title>"), "");
    }

    #[test]
    fn no_word_of_a_camera_repeats_what_it_was_told() {
        // Z2F0ZWtlZXBlcjpvcGVuLXNlc2FtZQ== is gatekeeper:open-sesame.
        let said = "Basic Z2F0ZWtlZXBlcjpvcGVuLXNlc2FtZQ== OPEN-SESAME s3cr3t-t0ken";
        let hash = "response=0123456789abcdef0123456789abcdef";
        let page = |text: &str| format!("<html><title>{text}</title>");
        let redirect = Url::parse(&format!("http://evil.example/{}", said.replace(' ', "/"))).unwrap();
        for message in [
            camera().stream(said).message,
            camera().no_picture(NotJpeg::NoStart, page(said).as_bytes(), "text/html").message,
            camera().no_picture(NotJpeg::NoStart, page(hash).as_bytes(), "text/html").message,
            camera().no_picture(NotJpeg::NoStart, b"x", said).message,
            camera().redirect(Some(&redirect)).message,
            camera()
                .strange_login(&camera().kinds(&[said.to_owned(), "open-sesame realm=\"x\"".to_owned()]))
                .message,
        ] {
            let lower = message.to_lowercase();
            for secret in ["z2f0zwtl", "zw4tc2vz", "sesame", "t0ken", "gatekeeper", "0123456789abcdef"] {
                assert!(!lower.contains(secret), "{secret}: {message}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_a_camera_says_is_read_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200), words in "\\PC{0,80}",
        ) {
            let camera = camera();
            let _ = (title(&bytes, |text| camera.said(text)), camera.kinds(&[words]));
        }
    }
}
