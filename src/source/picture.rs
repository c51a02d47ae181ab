//! One picture over HTTP: log-in, limits, and what an answer says of its picture.
//!
//! Nothing is said to anyone but the configured host and port: redirects elsewhere are refused, and a password is sent
//! (Basic) or proven (Digest, RFC 7616) only after this host has asked for it. The connection is kept for the next
//! request where the camera allows it. A whole JPEG is a picture, whatever the answer says of its length.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_auth::{PasswordClient, PasswordParams};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap,
    HeaderName, HeaderValue, LOCATION, SERVER, WWW_AUTHENTICATE,
};
use reqwest::{Client, StatusCode, redirect};
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use url::{Position, Url};

use super::answer::{BrokenAnswer, CameraAnswer};
use super::body::Body;
use super::certificate;
use super::failure::{Failure, Sentences};
use super::freshness::Evidence;
use crate::config::SnapshotConfig;
use crate::media::{footprint, jpeg};
use crate::model::chain::chain;

/// Name look-up and TCP handshake. A camera on a local network needs milliseconds, one that wakes up a second or two.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// Longest silence of a camera. A trigger waits five seconds for its picture.
const SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// From the request to the last byte: a picture of 2 MB over the worst Wi-Fi that is still worth a camera.
const PICTURE_LIMIT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept: longer than the pause between two checks.
const IDLE_LIMIT: Duration = Duration::from_secs(90);

/// When a whole JPEG has come and no more for so long, it is the picture: the answer promised more than there is, or has no
/// end.
const QUIET: Duration = Duration::from_millis(150);

/// The same in all where the answer does not say how long it is: it may be a stream.
const WHOLE_LIMIT: Duration = Duration::from_millis(150);

/// Largest picture; one of 20 megapixels takes less.
const BYTES_MAX: usize = 16 << 20;

/// Requests for one picture: two redirects, a challenge, a stale nonce.
const REQUESTS_MAX: usize = 5;

/// Of an answer that is no picture this much is read, to know its title and to keep the connection.
const WORDS_MAX: usize = 4096;

/// A whole JPEG of a camera.
#[derive(Clone, Debug)]
pub(super) struct JpegPicture {
    /// The file as the camera made it.
    pub(super) jpeg: Arc<[u8]>,
    /// Pixels.
    pub(super) size: (u32, u32),
    /// What its answer tells of its age.
    pub(super) evidence: Evidence,
    /// What is odd about its answer and may make it older than it seems, for people.
    pub(super) remark: Option<String>,
}

/// The pictures of one camera.
pub(super) struct SnapshotClient {
    config: SnapshotConfig,
    says: Sentences,
    /// Made for the first picture, because a machine without certificates has other cameras, too.
    client: Option<Client>,
    /// How to answer the camera, once it has asked who we are.
    login: Option<PasswordClient>,
    /// The kinds of log-in it asked for, in words.
    asked_for: Option<String>,
    /// Bytes of the picture under way, once its answer has begun.
    received: Option<usize>,
    way: Way,
    /// The library could not read the head of an answer.
    is_unreadable: bool,
}

/// How answers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By the HTTP library, over one connection.
    Library,
    /// The next one as it comes, because the library could not read the last one.
    OnceAsItComes,
    /// As they come: that has been of use.
    AsItComes,
}

impl SnapshotClient {
    /// Of camera `number`. Nothing is contacted yet.
    pub(super) fn new(number: u8, config: SnapshotConfig) -> Self {
        let says = Sentences::new(number, &config.url, config.credentials.as_ref());
        Self {
            config,
            says,
            client: None,
            login: None,
            asked_for: None,
            received: None,
            way: Way::Library,
            is_unreadable: false,
        }
    }

    /// Host and port, for people.
    pub(super) fn address(&self) -> &str {
        &self.says.address
    }

    /// The kinds of log-in the camera asked for.
    pub(super) fn login(&self) -> Option<&str> {
        self.asked_for.as_deref()
    }

    /// Closes the connection that is kept for the next picture.
    pub(super) fn hang_up(&mut self) {
        self.client = None;
    }

    /// Asks for one picture. Dropping this closes the connection.
    pub(super) async fn ask(&mut self) -> Result<JpegPicture, Failure> {
        self.received = None;
        let way = self.way;
        if way == Way::OnceAsItComes {
            self.way = Way::Library;
        }
        match timeout(PICTURE_LIMIT, self.exchange(way)).await {
            Ok(picture) => picture,
            Err(_) => Err(self.says.too_slow(PICTURE_LIMIT, self.received)),
        }
    }

    /// Requests and answers, until one is the picture.
    async fn exchange(&mut self, way: Way) -> Result<JpegPicture, Failure> {
        let mut url = self.config.url.clone();
        let mut has_answered = false;
        for _ in 0..REQUESTS_MAX {
            let authorization = self.authorization(&url)?;
            let sent = Instant::now();
            let answer = match timeout(SILENCE_LIMIT, self.send(way, &url, authorization)).await {
                Ok(answer) => answer?,
                Err(_) => return Err(self.says.too_slow(SILENCE_LIMIT, self.received)),
            };
            match answer.status {
                StatusCode::OK => return self.read(answer, sent).await,
                StatusCode::UNAUTHORIZED => {
                    let is_stale = self.challenged(&answer.headers)?;
                    if has_answered && !is_stale {
                        self.login = None;
                        return Err(self.says.wrong_password(self.login().unwrap_or_default()));
                    }
                    has_answered = true;
                    drain(answer).await;
                }
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => url = self.redirected(&url, &answer.headers)?,
                status => return Err(self.says.status(status)),
            }
        }
        Err(self.says.circles(REQUESTS_MAX))
    }

    /// Sends one request and reads its answer up to the body.
    async fn send(
        &mut self,
        way: Way,
        url: &Url,
        authorization: Option<HeaderValue>,
    ) -> Result<CameraAnswer, Failure> {
        if way != Way::Library && url.scheme() == "http" {
            let answer = CameraAnswer::as_it_comes(url, authorization.as_ref()).await;
            return answer.map_err(|error| self.says.broke(&error));
        }
        let mut request = self
            .client()?
            .get(url.clone())
            .header(ACCEPT, "image/jpeg, image/*;q=0.9, */*;q=0.1")
            .header(ACCEPT_ENCODING, "identity")
            .header(CACHE_CONTROL, "no-cache");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.send().await.map(CameraAnswer::from).map_err(|error| {
            if is_unreadable(&error) {
                (self.way, self.is_unreadable) = (Way::OnceAsItComes, true);
            }
            self.says.unreachable(error, CONNECT_LIMIT)
        })
    }

    fn client(&mut self) -> Result<Client, Failure> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        // Without TLS no certificate is looked at, and none needs to be on this machine.
        let is_checked = self.config.verify && self.config.url.scheme() == "https";
        let builder = if is_checked {
            let tls = certificate::client(&self.config.trust)
                .map_err(|error| self.says.no_client(&error.to_string()))?;
            Client::builder().tls_backend_preconfigured(tls)
        } else {
            Client::builder().danger_accept_invalid_certs(true)
        };
        let built = builder
            .redirect(redirect::Policy::none())
            // A camera stands on the local network; a proxy does not know it.
            .no_proxy()
            .http1_only()
            // Firmware writes headers by hand.
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .connect_timeout(CONNECT_LIMIT)
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(1)
            .user_agent(concat!("camera-capture/", env!("CARGO_PKG_VERSION")))
            .build();
        match built {
            Ok(client) => Ok(self.client.insert(client).clone()),
            Err(error) => Err(self.says.no_client(&chain(&error))),
        }
    }

    /// The answer to the camera's last challenge, if there was one.
    fn authorization(&mut self, url: &Url) -> Result<Option<HeaderValue>, Failure> {
        let (Some(login), Some(credentials)) = (&mut self.login, &self.config.credentials) else {
            return Ok(None);
        };
        let mut parameters = PasswordParams {
            username: &credentials.username,
            password: credentials.password.reveal(),
            uri: &url[Position::BeforePath..Position::AfterQuery],
            method: "GET",
            body: None,
        };
        let answer = login.respond(&parameters).or_else(|_| {
            // A camera that insists on qop=auth-int wants the empty body in the digest, too.
            parameters.body = Some(&[]);
            login.respond(&parameters)
        });
        match answer.map(HeaderValue::try_from) {
            Ok(Ok(mut value)) => {
                value.set_sensitive(true);
                Ok(Some(value))
            }
            Ok(Err(_)) | Err(_) => Err(self.says.strange_login(self.login().unwrap_or_default())),
        }
    }

    /// Takes in what the camera asks for; whether it only wants the same proof with a newer nonce.
    fn challenged(&mut self, headers: &HeaderMap) -> Result<bool, Failure> {
        let challenges: Vec<String> = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        let kinds = self.says.kinds(&challenges);
        self.asked_for = Some(kinds.clone());
        if self.config.credentials.is_none() {
            return Err(self.says.no_password(&kinds));
        }
        let builder = challenges.iter().fold(PasswordClient::builder(), |builder, text| {
            // Some firmware ends its list with a comma.
            builder.challenges(text.trim_end_matches([',', ' ']))
        });
        match builder.build() {
            Ok(login) => {
                let is_stale = matches!(&login, PasswordClient::Digest(digest) if digest.stale());
                self.login = Some(login);
                Ok(is_stale)
            }
            Err(_) => {
                self.login = None;
                Err(self.says.strange_login(&kinds))
            }
        }
    }

    /// Where a redirect leads, if that is the same host and port, or the same host over TLS.
    fn redirected(&self, from: &Url, headers: &HeaderMap) -> Result<Url, Failure> {
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        match location.and_then(|location| from.join(location).ok()) {
            to if !self.config.follows => Err(self.says.redirect(to.as_ref())),
            Some(to) if to.origin() == self.config.url.origin() => Ok(to),
            Some(to) if to.host() == self.config.url.host() && to.scheme() == "https" => Ok(to),
            to => Err(self.says.redirect(to.as_ref())),
        }
    }

    /// Reads the picture of an answer.
    async fn read(&mut self, mut answer: CameraAnswer, sent: Instant) -> Result<JpegPicture, Failure> {
        let headers = answer.headers.clone();
        let kind = text(&headers, CONTENT_TYPE);
        let is_stream = kind.to_ascii_lowercase().starts_with("multipart/");
        let (length, is_plain) = (answer.length(), answer.is_plain());
        if length.is_some_and(|length| length > BYTES_MAX as u64) && !is_stream {
            return Err(self.says.too_large(BYTES_MAX));
        }
        let known = length.and_then(|length| usize::try_from(length).ok());
        let mut body = Body::new(known.unwrap_or(0).min(BYTES_MAX), Instant::now());
        self.received = Some(0);
        let mut whole_at = None;
        let is_complete = loop {
            let is_counted = is_plain && known.is_some_and(|known| body.bytes().len() >= known);
            let limit = match whole_at {
                // More than it says may follow, at once.
                None if is_counted => QUIET,
                None => SILENCE_LIMIT,
                // The next picture of a stream is another one, and may never come.
                Some(_) if is_stream => break false,
                Some(_) if is_counted => break true,
                Some(_) if known.is_some() => QUIET,
                Some(at) => match WHOLE_LIMIT.checked_sub(Instant::elapsed(&at)) {
                    Some(left) => left,
                    None => break false,
                },
            };
            match timeout(limit, answer.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    let now = Instant::now();
                    body.push(&chunk, now);
                    let received = body.bytes().len();
                    self.received = Some(received);
                    if received > BYTES_MAX {
                        if body.has_whole() {
                            break false;
                        }
                        return Err(self.says.too_large(BYTES_MAX));
                    }
                    if body.has_whole() {
                        whole_at.get_or_insert(now);
                    }
                }
                // What is read as it comes knows no end but that of the connection.
                Ok(Ok(None)) => break !is_plain || known.is_none_or(|known| body.bytes().len() >= known),
                Ok(Err(BrokenAnswer)) => break false,
                Err(_) if body.has_whole() => break false,
                Err(_) if is_counted => break true,
                Err(_) if is_stream => return Err(self.says.stream(kind)),
                Err(_) => return Err(self.says.too_slow(SILENCE_LIMIT, self.received)),
            }
        };
        let done = Instant::now();
        let received = body.bytes().len();
        let whole = body.end(is_complete).map_err(|(error, bytes)| {
            if !is_plain && received > 0 {
                self.way = Way::OnceAsItComes;
            }
            match () {
                () if is_stream => self.says.stream(kind),
                () if !is_complete => self.says.broken_off(received, length),
                () => self.says.no_picture(error, &bytes, kind),
            }
        })?;
        if is_plain && (self.is_unreadable || known.is_none_or(|known| whole.end > known)) {
            // The library would have cut it off, or not have read it at all.
            self.way = Way::AsItComes;
        }
        let size =
            jpeg::inspect(&whole.jpeg).map_err(|error| self.says.no_picture(error, &whole.jpeg, kind))?;
        footprint::check_jpeg(size).map_err(|error| self.says.too_many_pixels(error))?;
        let evidence = Evidence {
            sent,
            first_byte: whole.began,
            done,
            stamp: stamp(text(&headers, HeaderName::from_static("x-timestamp"))),
            is_esp32: is_esp32(&headers),
            hash: Sha256::digest(&whole.jpeg).into(),
        };
        let cut = known.filter(|known| is_plain && whole.end > *known);
        let remark =
            is_stream.then(|| self.says.first_of_stream()).or_else(|| cut.map(|cut| self.says.cut(cut)));
        Ok(JpegPicture { jpeg: whole.jpeg.into(), size, evidence, remark })
    }
}

/// Whether an answer came, and the library cannot read its head.
fn is_unreadable(error: &reqwest::Error) -> bool {
    let text = chain(error);
    !error.is_connect() && (text.contains(" parsed") || text.contains("head is too large"))
}

/// Reads the words of an answer, so that its connection can be used again.
async fn drain(mut answer: CameraAnswer) {
    if answer.is_plain() || answer.length().is_some_and(|length| length > WORDS_MAX as u64) {
        return;
    }
    let mut read = 0;
    // Whatever goes wrong costs the connection and nothing else.
    while let Ok(Ok(Some(chunk))) = timeout(Duration::from_secs(1), answer.chunk()).await {
        read += chunk.len();
        if read > WORDS_MAX {
            return;
        }
    }
}

/// The value of a header, or nothing.
fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Whether an answer looks like that of an ESP32-CAM: espressif's CameraWebServer and what was made of it name the
/// picture `capture.jpg`; ESPHome and others name themselves.
fn is_esp32(headers: &HeaderMap) -> bool {
    let says = |name, word| text(headers, name).to_ascii_lowercase().contains(word);
    says(CONTENT_DISPOSITION, "filename=capture.jpg") || says(SERVER, "esp32")
}

/// `X-Timestamp` of an ESP32-CAM: seconds and microseconds since its start.
fn stamp(text: &str) -> Option<Duration> {
    let (seconds, fraction) = text.trim().split_once('.')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(seconds) || !is_number(fraction) || fraction.len() > 6 {
        return None;
    }
    // Above a thousand years it is no clock, and sums with it would not fit.
    let seconds: u64 = seconds.parse().ok().filter(|seconds| *seconds < 1 << 35)?;
    let micros: u64 = format!("{fraction:0<6}").parse().ok()?;
    Some(Duration::from_secs(seconds) + Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn an_esp32_is_known_by_its_answer() {
        assert!(is_esp32(&headers(&[("content-disposition", "inline; filename=capture.jpg")])));
        assert!(is_esp32(&headers(&[("server", "ESP32-WebCam")])));
        assert!(!is_esp32(&headers(&[
            ("server", "nginx"),
            ("content-disposition", "inline; filename=snap.jpg")
        ])));
    }

    #[test]
    fn a_stamp_is_seconds_and_microseconds() {
        assert_eq!(stamp(" 12.034567 "), Some(Duration::from_micros(12_034_567)));
        assert_eq!(stamp("1700000000.5"), Some(Duration::from_millis(1_700_000_000_500)));
        for text in
            ["", "12", "12.", ".5", "-1.000000", "1.0000001", "99999999999999999999.0", "99999999999.0"]
        {
            assert_eq!(stamp(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_camera_sends_is_read_without_a_panic(
            words in "\\PC{0,80}",
        ) {
            let _ = stamp(&words);
        }
    }
}
