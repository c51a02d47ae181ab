//! What all targets have in common: one connection over HTTP, its limits, and its errors in words.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::{Body, Client, Proxy, RequestBuilder, Response, redirect};
use rustls::ClientConfig;
use tokio::sync::Notify;
use tokio::time::Instant;
use url::Url;

use super::ear::AnswerEar;
use super::hop::Hop;
use super::pace::RateLimit;
use super::response::{Settings, TargetAnswer};
use super::{TargetError, misconfigured, secure, text};
use crate::config::{CertificatePin, Fingerprint, ProxyConfig, TargetConfig, UploadConfig};
use crate::model::{Coded as _, UploadFault, secrets::Secrets};
use crate::system::crash;
use crate::system::tls;

/// Name look-up, connection and TLS.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Longest time in which nothing moves, neither of the body nor of the answer that has begun.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// The system drops a connection whose other end has taken nothing for so long. A thin line behind large buffers takes
/// some at a time, so this is more than the half minute that is usual.
const UNTAKEN_LIMIT: Duration = Duration::from_secs(90);

/// A connection without work is closed after so long. A router on the way may forget one without a word to either side,
/// and the next picture would be sent into nothing until `UPLOAD_TIMEOUT`; a backlog still goes over one connection.
const IDLE_LIMIT: Duration = Duration::from_secs(3);

/// Bytes per second of the slowest link that still counts as one.
pub const SLOWEST: u64 = 2_000;

/// So much of a body may still lie in the system's buffers when all of it has been handed over.
const BUFFERED_MAX: u64 = 256 * 1024;

/// Longest error of the connection that is shown, characters.
const ERROR_MAX: usize = 300;

/// The same of an answer that tells whether the picture was taken, and of what was packed; a server may say a lot about a
/// picture.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Of an answer's body this much is read, unless a target needs more.
pub(super) const WORDS_BYTES_MAX: usize = 4096;

/// How long an attempt may take at most when a server may take `timeout` for its answer.
pub fn longest(bytes: u64, timeout: Duration) -> Duration {
    CONNECT_LIMIT + SILENCE_LIMIT + Duration::from_secs(bytes / SLOWEST) + buffered(bytes) + timeout
}

/// How long the slowest link takes for what lies in the system's buffers of a body that was handed over.
fn buffered(bytes: u64) -> Duration {
    Duration::from_secs(bytes.min(BUFFERED_MAX) / SLOWEST)
}

/// An answer, and what only some targets look at.
pub(super) struct Reply {
    pub(super) answer: TargetAnswer,
    pub(super) headers: HeaderMap,
    /// Whether the connection broke before the body of the answer was whole.
    pub(super) is_cut: bool,
    /// Why it can be no success whatever it says: it came before the picture was sent.
    pub(super) early: Option<TargetError>,
}

impl Reply {
    /// A header as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The way to one server.
pub(crate) struct Http {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) is_secured: bool,
    pub(super) proxy: Option<ProxyConfig>,
    ca_file: Option<PathBuf>,
    pin: Option<Fingerprint>,
    /// The variable that stands in, or would; `None` where there is none for it.
    pin_setting: Option<String>,
    /// `UPLOAD_TIMEOUT`.
    pub(super) timeout: Duration,
    pace: Option<RateLimit>,
    pub(super) settings: Settings,
    pub(super) secrets: Secrets,
    /// Made at the first delivery, because a machine without certificates can still take pictures.
    client: Mutex<Option<Client>>,
}

/// What is known of a body that is under way.
struct Progress {
    /// Of the whole body.
    length: u64,
    /// For the answer.
    timeout: Duration,
    left: u64,
    moved_at: Instant,
    /// Told when nothing is left: from then on it is the answer that is waited for, and not so long.
    handed_over: Arc<Notify>,
}

impl Http {
    /// Nothing is contacted. `secrets` stand in none of the words about this target.
    pub(super) fn new(config: &UploadConfig, target: &TargetConfig, url: &Url, secrets: &Secrets) -> Self {
        let pin = target.pin.as_ref();
        Self {
            pin: pin.map(|pin| pin.fingerprint),
            pin_setting: Some(
                pin.map_or_else(|| CertificatePin::setting_of(target.id), |pin| pin.setting.clone()),
            ),
            pace: target.rate.map(RateLimit::new),
            ..Self::apart(config, url, secrets, Settings::of(target.id), config.timeout)
        }
    }

    /// The way to a server that is no target: the proxies and authorities are those of all, the rest is its own.
    pub(super) fn apart(
        config: &UploadConfig,
        url: &Url,
        secrets: &Secrets,
        settings: Settings,
        timeout: Duration,
    ) -> Self {
        let proxy = config.proxies.way(url).cloned();
        let secrets = match proxy.as_ref().and_then(|proxy| proxy.address.reveal().password()) {
            Some(password) => secrets.clone().with(password),
            None => secrets.clone(),
        };
        Self {
            is_secured: url.scheme() == "https",
            proxy,
            timeout,
            host: url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
            port: url.port_or_known_default().unwrap_or(443),
            ca_file: config.ca_file.clone(),
            pin: None,
            pin_setting: None,
            pace: None,
            settings,
            secrets,
            client: Mutex::new(None),
        }
    }

    /// Where a connection begins.
    pub(super) fn first_hop(&self) -> Hop {
        match &self.proxy {
            Some(proxy) => {
                let (host, port) = proxy.place();
                let address = format!("{host}:{port}");
                Hop { host, port, address, proxy: Some(proxy.setting.to_owned()) }
            }
            None => Hop { host: self.host.clone(), port: self.port, address: self.target(), proxy: None },
        }
    }

    /// The client, made when it is first wanted.
    pub(super) fn client(&self) -> Result<Client, TargetError> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let failed = |error: &reqwest::Error| misconfigured(UploadFault::NoClient { error: chain(error) });
        let is_proxy_secured =
            self.proxy.as_ref().is_some_and(|proxy| proxy.address.reveal().scheme() == "https");
        let tls = if self.is_secured || is_proxy_secured { self.secured()? } else { secure::plain()? };
        let builder = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .pool_max_idle_per_host(8)
            .pool_idle_timeout(IDLE_LIMIT)
            .tcp_user_timeout(UNTAKEN_LIMIT)
            // Old PHP and small devices: "X-Powered-By : PHP", folded lines, lines that are no headers at all.
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .user_agent(concat!("camera-capture/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls)
            // The environment has been read with the settings.
            .no_proxy();
        let builder = match &self.proxy {
            Some(proxy) => {
                builder.proxy(Proxy::all(proxy.address.reveal().clone()).map_err(|error| failed(&error))?)
            }
            None => builder,
        };
        let built = builder.build().map_err(|error| failed(&error))?;
        Ok(client.insert(built).clone())
    }

    /// How the target's connection is secured, and that of a proxy on the way.
    pub(super) fn secured(&self) -> Result<ClientConfig, TargetError> {
        secure::client(self.ca_file.as_deref(), self.pin.map(|pin| (self.host.as_str(), pin)))
    }

    /// Why a connection with the target, or with a proxy, was not secured; its address stands in `address`.
    pub(super) fn untrusted(
        &self,
        error: &rustls::Error,
        host: &str,
        port: u16,
        address: &str,
    ) -> UploadFault {
        let pin = self.pin_setting.as_deref().filter(|_| host == self.host);
        let server = secure::Server { host, port, address, file: self.ca_file.as_deref(), pin };
        secure::fault(error, server).with_words(|words| self.secrets.strike(words.to_owned()))
    }

    /// Sends a request with this body, its length announced, and reads up to `most` bytes of the answer's body. Whatever is
    /// answered, `ear` hears.
    ///
    /// Dropping the future ends the attempt; the target may have taken the picture all the same.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        body: Vec<Bytes>,
        most: usize,
        ear: &AnswerEar,
    ) -> Result<Reply, TargetError> {
        let length = body.iter().map(|piece| piece.len() as u64).sum();
        let limit = longest(length, self.timeout);
        let progress = Arc::new(Mutex::new(Progress::of(length, self.timeout)));
        let request = request.header(CONTENT_LENGTH, length).body(Body::wrap_stream(pieces(
            body,
            self.pace.clone(),
            Arc::clone(&progress),
        )));
        self.receive(request.timeout(limit), &progress, most, ear).await
    }

    /// Sends a request without a body.
    pub(super) async fn ask(
        &self,
        request: RequestBuilder,
        most: usize,
        ear: &AnswerEar,
    ) -> Result<Reply, TargetError> {
        let progress = Mutex::new(Progress::of(0, self.timeout));
        self.receive(request.timeout(longest(0, self.timeout)), &progress, most, ear).await
    }

    async fn receive(
        &self,
        request: RequestBuilder,
        progress: &Mutex<Progress>,
        most: usize,
        ear: &AnswerEar,
    ) -> Result<Reply, TargetError> {
        let handed_over = Arc::clone(&progress.lock().unwrap_or_else(PoisonError::into_inner).handed_over);
        let mut answered = Box::pin(request.send());
        let response = loop {
            let deadline = progress.lock().unwrap_or_else(PoisonError::into_inner).deadline();
            tokio::select! {
                answered = &mut answered => break answered.map_err(|error| self.failed(&error, progress))?,
                () = handed_over.notified() => {}
                () = tokio::time::sleep_until(deadline) => {
                    let deadline = progress.lock().unwrap_or_else(PoisonError::into_inner).deadline();
                    if deadline <= Instant::now() {
                        return Err(self.late(progress));
                    }
                }
            }
        };
        crash::point("answer begun");
        let (left, length) = {
            let progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            (progress.left, progress.length)
        };
        let mut reply = self.read(response, most, ear).await?;
        let status = reply.answer.status;
        let early = (left > 0).then_some(TargetError::Rejected {
            fault: UploadFault::AnswerEarly { status, left, bytes: length },
            is_final: false,
        });
        match early {
            Some(early) if (200..300).contains(&status) && !reply.answer.is_web_page() => Err(early),
            early => {
                reply.early = early;
                Ok(reply)
            }
        }
    }

    async fn read(&self, mut response: Response, most: usize, ear: &AnswerEar) -> Result<Reply, TargetError> {
        let headers = response.headers().clone();
        let text = |name: HeaderName| {
            headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned)
        };
        let mut answer = TargetAnswer {
            status: response.status().as_u16(),
            content_type: text(CONTENT_TYPE).unwrap_or_default(),
            retry_after: text(RETRY_AFTER),
            location: text(LOCATION),
            body: String::new(),
            settings: self.settings.clone(),
            secrets: self.secrets.clone(),
        };
        ear.hear(&answer);
        let (mut body, mut is_cut) = (Vec::new(), false);
        while body.len() < most {
            let error = match tokio::time::timeout(SILENCE_LIMIT, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    body.extend_from_slice(&chunk);
                    continue;
                }
                Ok(Ok(None)) => break,
                Ok(Err(error)) => self.unreachable(&error),
                Err(_) => self.silent(),
            };
            // Perhaps a captive portal's page, of which nothing has come yet.
            if answer.is_success_in_html() {
                return Err(error);
            }
            // The status has been said; the rest is mostly words.
            is_cut = true;
            break;
        }
        crash::point("answered");
        body.truncate(most);
        answer.body = text::of(&body, &answer.content_type, most.max(ANSWER_BYTES_MAX));
        ear.hear_out(&answer);
        if !self.is_secured && secure::is_wanted_by(answer.status, &answer.body) {
            return Err(misconfigured(UploadFault::TlsWanted {
                target: self.target(),
                status: answer.status,
                setting: self.settings.address.clone(),
            }));
        }
        if let Some(proxy) = self.proxy.as_ref().filter(|_| answer.status == 407) {
            return Err(misconfigured(self.wants_login(proxy)));
        }
        Ok(Reply { answer, headers, is_cut, early: None })
    }

    fn silent(&self) -> TargetError {
        TargetError::Broken { fault: UploadFault::AnswerStalled { target: self.target() } }
    }

    /// Nothing moved for too long before an answer began.
    fn late(&self, progress: &Mutex<Progress>) -> TargetError {
        let progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        let (target, sent, bytes) = (self.target(), progress.length - progress.left, progress.length);
        let fault = if progress.left == 0 {
            let seconds = self.timeout.as_secs();
            UploadFault::NoAnswer { target, seconds, longer: seconds.saturating_mul(2).min(3600) }
        } else {
            UploadFault::LineTooSlow { target, sent, bytes, least: SLOWEST }
        };
        TargetError::Broken { fault }
    }

    /// There is no answer.
    fn failed(&self, error: &reqwest::Error, progress: &Mutex<Progress>) -> TargetError {
        if error.is_timeout() && !error.is_connect() {
            return self.late(progress);
        }
        let failed = self.unreachable(error);
        if self.is_secured || error.is_connect() {
            return failed;
        }
        match failed {
            TargetError::Broken { fault: UploadFault::ConnectionBroke { target, error, .. } } => {
                let setting = Some(self.settings.address.clone());
                TargetError::Broken { fault: UploadFault::ConnectionBroke { target, error, setting } }
            }
            other => other,
        }
    }

    pub(super) fn wants_login(&self, proxy: &ProxyConfig) -> UploadFault {
        UploadFault::ProxyLogin { hop: self.first_hop().address, proxy: proxy.setting.to_owned() }
    }

    /// Host and port of the server.
    pub(super) fn target(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn unreachable(&self, error: &reqwest::Error) -> TargetError {
        let (host, port) = (&self.host, self.port);
        let text = chain(error);
        // A certificate says what its maker likes.
        let said = self.secrets.words(&text, ERROR_MAX);
        if !error.is_connect() {
            if error.is_timeout() {
                return self.silent();
            }
            let (target, setting) = (self.target(), None);
            return TargetError::Broken {
                fault: UploadFault::ConnectionBroke { target, error: said, setting },
            };
        }
        if let Some(error) = tls::among(error) {
            let fault = self.untrusted(error, host, port, &self.settings.address);
            return TargetError::Unreachable { fault };
        }
        let setting = || self.settings.address.clone();
        let target = self.proxy.is_some().then(|| self.target());
        let Hop { host: hop_host, address: hop, proxy, .. } = self.first_hop();
        let fault = match &self.proxy {
            Some(proxy) if text.contains("proxy auth") => self.wants_login(proxy),
            Some(proxy) if text.contains("tunnel error") && !text.contains("underlying connection") => {
                let proxy = proxy.setting.to_owned();
                UploadFault::ProxyRefused { hop, proxy, target: self.target(), error: said }
            }
            _ if error.is_timeout() => UploadFault::ConnectTimeout { hop, proxy, target },
            _ if text.contains("failed to lookup") || text.contains("dns error") => {
                UploadFault::NameUnknown { host: hop_host, proxy }
            }
            _ if text.contains("Connection refused") => UploadFault::NothingListens { hop, proxy, target },
            _ if text.contains("tls handshake eof") || (self.is_secured && text.contains("reset")) => {
                UploadFault::TlsClosed { target: self.target(), setting: setting() }
            }
            _ => UploadFault::NoConnection { hop, proxy, target, error: said },
        };
        TargetError::Unreachable { fault }
    }
}

impl Progress {
    fn of(length: u64, timeout: Duration) -> Self {
        Self { length, timeout, left: length, moved_at: Instant::now(), handed_over: Arc::default() }
    }

    /// When too long nothing will have moved. What was handed over may still lie in the system's buffers.
    fn deadline(&self) -> Instant {
        let limit = if self.left == 0 { self.timeout } else { UNTAKEN_LIMIT };
        self.moved_at + limit + buffered(self.length)
    }
}

/// The body piece by piece, no faster than `pace` allows.
fn pieces(
    body: Vec<Bytes>,
    pace: Option<RateLimit>,
    progress: Arc<Mutex<Progress>>,
) -> impl stream::Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + 'static {
    let most = RateLimit::piece(pace.as_ref());
    let body = body.into_iter();
    stream::unfold(
        (Bytes::new(), body, pace, progress),
        move |(mut rest, mut body, pace, progress)| async move {
            while rest.is_empty() {
                rest = body.next()?;
            }
            let piece = rest.split_to(rest.len().min(most));
            if let Some(pace) = &pace {
                pace.wait_for(piece.len()).await;
            }
            crash::point("sending");
            {
                let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
                progress.left = progress.left.saturating_sub(piece.len() as u64);
                progress.moved_at = Instant::now();
                if progress.left == 0 {
                    progress.handed_over.notify_one();
                }
            }
            Some((Ok(piece), (rest, body, pace, progress)))
        },
    )
}

/// A header whose value may not be one.
pub(super) fn put(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), TargetError> {
    let name = HeaderName::try_from(name)
        .map_err(|_| misconfigured(UploadFault::HeaderBadName { name: name.to_owned() }))?;
    let value = HeaderValue::try_from(value)
        .map_err(|_| misconfigured(UploadFault::HeaderBadValue { name: name.to_string() }))?;
    headers.insert(name, value);
    Ok(())
}

/// An error with its causes in one line. The library puts the address into its texts, and that may hold a password.
fn chain(error: &reqwest::Error) -> String {
    let mut parts = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        parts.push(error.to_string());
        cause = error.source();
    }
    parts.dedup();
    if parts.is_empty() { "the request could not be sent".to_owned() } else { parts.join(": ") }
}
