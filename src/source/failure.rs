//! Why a camera gave no picture, in words for people: what was seen, and what to do.

use std::time::Duration;

use reqwest::StatusCode;
use url::Url;

use super::certificate::Trouble;
use super::{SourceError, body};
use crate::config::{Credentials, shown_url};
use crate::media::footprint::TooLarge;
use crate::media::jpeg::NotJpeg;
use crate::model::CameraFault;
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
    /// What was seen, for programs and people.
    pub(super) fault: CameraFault,
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
    pub(super) fn broken(fault: CameraFault) -> Self {
        Self { fault, kind: Kind::Broken }
    }

    fn silent(fault: CameraFault) -> Self {
        Self { fault, kind: Kind::Silent }
    }

    fn refused(fault: CameraFault) -> Self {
        Self { fault, kind: Kind::Refused }
    }

    /// Whether asking again at once may help.
    pub(super) fn is_passing(&self) -> bool {
        self.kind == Kind::Broken
    }
}

impl From<Failure> for SourceError {
    fn from(failure: Failure) -> Self {
        Self { fault: failure.fault, is_refusal: failure.kind == Kind::Refused }
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

    /// Its address and the number of its variables.
    fn named(&self) -> (String, u64) {
        (self.address.clone(), u64::from(self.number))
    }

    /// It asked for these kinds of log-in and liked no answer.
    pub(super) fn wrong_password(&self, kinds: &str) -> Failure {
        let ((address, number), kinds) = (self.named(), Some(kinds.to_owned()));
        Failure::refused(CameraFault::LoginRefused { address, number, kinds })
    }

    /// It asked for one of these kinds of log-in, and there is none to give.
    pub(super) fn no_password(&self, kinds: &str) -> Failure {
        let ((address, number), kinds) = (self.named(), Some(kinds.to_owned()));
        Failure::refused(CameraFault::LoginMissing { address, number, kinds })
    }

    /// It asked for kinds of log-in nobody here knows.
    pub(super) fn strange_login(&self, kinds: &str) -> Failure {
        let (address, kinds) = (self.address.clone(), kinds.to_owned());
        Failure::refused(CameraFault::LoginStrange { address, kinds })
    }

    /// It redirected to `to`, or to something that is no address.
    pub(super) fn redirect(&self, to: Option<&Url>) -> Failure {
        let (address, number) = self.named();
        let to = to.map(|to| self.secrets.words(&shown_url(to), ADDRESS_MAX));
        Failure::broken(CameraFault::Redirected { address, number, to })
    }

    /// So many requests led to no picture.
    pub(super) fn circles(&self, requests: usize) -> Failure {
        let ((address, number), count) = (self.named(), requests as u64);
        Failure::broken(CameraFault::RedirectedInCircles { address, number, count })
    }

    /// It answered with a stream of this media type, and no picture of it came.
    pub(super) fn stream(&self, kind: &str) -> Failure {
        let ((address, number), kind) = (self.named(), self.said(kind));
        Failure::broken(CameraFault::StreamOfPictures { address, number, kind })
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
        let ((address, number), most_mib) = (self.named(), limit as u64 >> 20);
        Failure::broken(CameraFault::AnswerTooLarge { address, number, most_mib })
    }

    /// Its picture claims more pixels than can be taken.
    pub(super) fn too_many_pixels(&self, error: TooLarge) -> Failure {
        let ((address, number), error) = (self.named(), error.to_string());
        Failure::broken(CameraFault::PictureTooLarge { address, number, error, snapshot: true })
    }

    /// The machine itself cannot make a connection.
    pub(super) fn no_client(&self, error: &str) -> Failure {
        Failure::broken(CameraFault::NoTlsClient { error: error.to_owned() })
    }

    /// It answered with this status.
    pub(super) fn status(&self, status: StatusCode) -> Failure {
        let (address, number) = self.named();
        match status.as_u16() {
            403 => Failure::refused(CameraFault::PictureForbidden { address, number }),
            404 => {
                let url = shown_url(&self.url);
                Failure::broken(CameraFault::NoSuchPicture { address, number, url })
            }
            status @ 500..=599 => Failure::broken(CameraFault::CameraFailed { address, status }),
            status => Failure::broken(CameraFault::Status { address, number, status }),
        }
    }

    /// The connection ended in the middle of the picture.
    pub(super) fn broken_off(&self, received: usize, length: Option<u64>) -> Failure {
        let (address, received) = (self.address.clone(), received as u64);
        Failure::broken(CameraFault::PictureBrokeOff { address, received, bytes: length })
    }

    /// What it sent is no picture.
    pub(super) fn no_picture(&self, error: NotJpeg, bytes: &[u8], kind: &str) -> Failure {
        let (address, number) = self.named();
        let length = bytes.len() as u64;
        Failure::broken(match error {
            NotJpeg::NoStart if bytes.is_empty() => CameraFault::PictureEmpty { address },
            NotJpeg::NoStart
                if kind.to_ascii_lowercase().starts_with("text/html")
                    || bytes.trim_ascii_start().starts_with(b"<") =>
            {
                let title = title(bytes, |text| self.said(text));
                CameraFault::PageNotPicture { address, number, title }
            }
            NotJpeg::NoStart if body::format(bytes) == Some("gzip") => CameraFault::PicturePacked { address },
            NotJpeg::NoStart => match body::format(bytes) {
                Some(format) => CameraFault::NotJpeg { address, number, format: format.to_owned() },
                None => CameraFault::NotPicture { address, number, kind: self.said(kind) },
            },
            NotJpeg::NoEnd => CameraFault::PictureCutOff { address, bytes: length },
            NotJpeg::NoFrame => CameraFault::PictureDamaged { address, bytes: length },
        })
    }

    /// Within `limit` nothing came, or no more than `received` bytes of the picture.
    pub(super) fn too_slow(&self, limit: Duration, received: Option<usize>) -> Failure {
        let (address, seconds) = (self.address.clone(), limit.as_secs());
        Failure::silent(match received {
            None => CameraFault::NothingSent { address, seconds },
            Some(bytes) => CameraFault::PictureTooSlow { address, bytes: bytes as u64, seconds },
        })
    }

    /// The connection ended before an answer, as it was read as it comes.
    pub(super) fn broke(&self, error: &std::io::Error) -> Failure {
        let error = self.secrets.words(&error.to_string(), ADDRESS_MAX);
        Failure::broken(CameraFault::BrokeBeforeAnswer { address: self.address.clone(), error })
    }

    /// No answer came; a connection was tried for `limit`.
    pub(super) fn unreachable(&self, error: reqwest::Error, limit: Duration) -> Failure {
        let (address, number) = self.named();
        // The address may hold a password.
        let error = error.without_url();
        let text = chain(&error);
        // A certificate says what its maker likes.
        let said = self.secrets.words(&text, ADDRESS_MAX);
        if error.is_timeout() {
            let (seconds, is_tls) = (limit.as_secs(), self.url.scheme() == "https");
            return Failure::silent(CameraFault::NoWebAnswer { address, seconds, is_tls });
        }
        if let Some(trouble) = Trouble::among(&error) {
            let setting = format!("CAMERA_{number}_SNAPSHOT_URL");
            let said = trouble.say(&address, self.number, &setting, "http");
            return if said.is_refusal { Failure::refused(said.fault) } else { Failure::broken(said.fault) };
        }
        Failure::broken(if !error.is_connect() {
            CameraFault::BrokeBeforeAnswer { address, error: said }
        } else if text.contains("failed to lookup") || text.contains("dns error") {
            let host = self.url.host_str().unwrap_or("?").to_owned();
            CameraFault::NameUnknown { host, number, snapshot: true }
        } else if text.contains("Connection refused") {
            CameraFault::NothingListens { address, snapshot: true }
        } else if text.contains("No route to host") || text.contains("Network is unreachable") {
            CameraFault::NoRoute { address }
        } else {
            CameraFault::NoConnection { address, error: said, snapshot: true }
        })
    }
}

/// The title of a web page.
fn title(page: &[u8], said: impl Fn(&str) -> String) -> Option<String> {
    let page = String::from_utf8_lossy(&page[..page.len().min(PAGE_MAX)]).into_owned();
    let lower = page.to_ascii_lowercase();
    let title = lower.find("<title>").map(|at| at + "<title>".len()).and_then(|begin| {
        let end = begin + lower[begin..].find("</title>")?;
        Some(said(&page[begin..end]))
    });
    title.filter(|title| !title.is_empty())
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
    use crate::model::Coded as _;
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
        assert_eq!(title(b"<html><TITLE> Log\x07 in </TITLE>").as_deref(), Some("Log in"));
        assert_eq!(title(b"<html><title>"), None);
    }

    #[test]
    fn no_word_of_a_camera_repeats_what_it_was_told() {
        // Z2F0ZWtlZXBlcjpvcGVuLXNlc2FtZQ== is gatekeeper:open-sesame.
        let said = "Basic Z2F0ZWtlZXBlcjpvcGVuLXNlc2FtZQ== OPEN-SESAME s3cr3t-t0ken";
        let hash = "response=0123456789abcdef0123456789abcdef";
        let page = |text: &str| format!("<html><title>{text}</title>");
        let redirect = Url::parse(&format!("http://evil.example/{}", said.replace(' ', "/"))).unwrap();
        for fault in [
            camera().stream(said).fault,
            camera().no_picture(NotJpeg::NoStart, page(said).as_bytes(), "text/html").fault,
            camera().no_picture(NotJpeg::NoStart, page(hash).as_bytes(), "text/html").fault,
            camera().no_picture(NotJpeg::NoStart, b"x", said).fault,
            camera().redirect(Some(&redirect)).fault,
            camera()
                .strange_login(&camera().kinds(&[said.to_owned(), "open-sesame realm=\"x\"".to_owned()]))
                .fault,
        ] {
            let params = serde_json::Value::Object(fault.params()).to_string();
            let message = fault.to_string();
            let lower = format!("{message} {params}").to_lowercase();
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
