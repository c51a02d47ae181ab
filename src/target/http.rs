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
use reqwest::{Body, Certificate, Client, RequestBuilder, Response, redirect};
use tokio::time::Instant;
use url::Url;

use super::pace::Pace;
use super::response::{Answer, Settings};
use super::{TargetError, misconfigured};
use crate::config::UploadConfig;
use crate::crash;
use crate::model::{TargetKind, secrets::Secrets};

/// Name look-up, connection and TLS.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Longest time in which nothing moves, neither of the body nor of the answer.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// A whole attempt may take this long, or longer for a picture that the slowest link needs longer for.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(60);

/// Bytes per second of the slowest link that still counts as one.
const SLOWEST: u64 = 4_000;

/// So much of a body may still lie in the system's buffers when all of it has been handed over.
const BUFFERED_MAX: u64 = 256 * 1024;

/// Longest error of the connection that is shown, characters.
const ERROR_MAX: usize = 300;

/// Of an answer's body this much is read, unless a target needs more.
pub(super) const WORDS_BYTES_MAX: usize = 4096;

/// An answer, and what only some targets look at.
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) headers: HeaderMap,
    /// Whether the connection broke before the body of the answer was whole.
    pub(super) is_cut: bool,
}

impl Reply {
    /// A header as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The way to one server.
pub(super) struct Http {
    host: String,
    port: u16,
    ca_file: Option<PathBuf>,
    pace: Option<Pace>,
    settings: Settings,
    secrets: Secrets,
    /// Made at the first delivery, because a machine without certificates can still take pictures.
    client: Mutex<Option<Client>>,
}

/// What is known of a body that is under way.
struct Progress {
    left: u64,
    moved_at: Instant,
}

impl Http {
    /// Nothing is contacted. `settings` are the variables that words about this target name, `secrets` what stands in none
    /// of its words.
    pub(super) fn new(
        config: &UploadConfig,
        kind: TargetKind,
        url: &Url,
        settings: Settings,
        secrets: &Secrets,
    ) -> Self {
        Self {
            host: url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
            port: url.port_or_known_default().unwrap_or(443),
            ca_file: config.ca_file.clone(),
            pace: config.rates.get(&kind).copied().map(Pace::new),
            settings,
            secrets: secrets.clone(),
            client: Mutex::new(None),
        }
    }

    /// Host and port that a connection needs.
    pub(super) fn address(&self) -> (String, u16) {
        (self.host.clone(), self.port)
    }

    /// The client, made when it is first wanted.
    pub(super) fn client(&self) -> Result<Client, TargetError> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let built = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .pool_max_idle_per_host(8)
            .user_agent(concat!("camera-capture/", env!("CARGO_PKG_VERSION")))
            .tls_certs_merge(self.certificates()?)
            .build()
            .map_err(|error| {
                misconfigured(format!(
                    "no secure connection can be made on this machine: {}; install the package ca-certificates",
                    chain(&error)
                ))
            })?;
        Ok(client.insert(built).clone())
    }

    /// Those of `UPLOAD_CA_FILE`.
    fn certificates(&self) -> Result<Vec<Certificate>, TargetError> {
        let Some(path) = &self.ca_file else { return Ok(Vec::new()) };
        let failed = |what: String| misconfigured(format!("UPLOAD_CA_FILE, {}: {what}", path.display()));
        let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| failed(chain(&error)))?;
        if certificates.is_empty() {
            return Err(failed("no certificate in it; it must be PEM, with BEGIN CERTIFICATE".to_owned()));
        }
        Ok(certificates)
    }

    /// Sends a request with this body, its length announced, and reads up to `most` bytes of the answer's body.
    ///
    /// Dropping the future ends the attempt; the target may have taken the picture all the same.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        body: Vec<Bytes>,
        most: usize,
    ) -> Result<Reply, TargetError> {
        let length = body.iter().map(|piece| piece.len() as u64).sum();
        let limit = ATTEMPT_LIMIT.max(Duration::from_secs(length / SLOWEST));
        let progress = Arc::new(Mutex::new(Progress { left: length, moved_at: Instant::now() }));
        let request = request.header(CONTENT_LENGTH, length).body(Body::wrap_stream(pieces(
            body,
            self.pace.clone(),
            Arc::clone(&progress),
        )));
        self.receive(request.timeout(limit), &progress, most).await
    }

    /// Sends a request without a body.
    pub(super) async fn ask(&self, request: RequestBuilder, most: usize) -> Result<Reply, TargetError> {
        let progress = Mutex::new(Progress { left: 0, moved_at: Instant::now() });
        self.receive(request.timeout(ATTEMPT_LIMIT), &progress, most).await
    }

    async fn receive(
        &self,
        request: RequestBuilder,
        progress: &Mutex<Progress>,
        most: usize,
    ) -> Result<Reply, TargetError> {
        let mut answered = Box::pin(request.send());
        let response = loop {
            let deadline = progress.lock().unwrap_or_else(PoisonError::into_inner).deadline();
            tokio::select! {
                answered = &mut answered => break answered.map_err(|error| self.unreachable(&error))?,
                () = tokio::time::sleep_until(deadline) => {
                    let deadline = progress.lock().unwrap_or_else(PoisonError::into_inner).deadline();
                    if deadline <= Instant::now() {
                        return Err(self.silent());
                    }
                }
            }
        };
        crash::point("answer begun");
        self.read(response, most).await
    }

    async fn read(&self, mut response: Response, most: usize) -> Result<Reply, TargetError> {
        let headers = response.headers().clone();
        let text = |name: HeaderName| {
            headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned)
        };
        let mut answer = Answer {
            status: response.status().as_u16(),
            content_type: text(CONTENT_TYPE).unwrap_or_default(),
            retry_after: text(RETRY_AFTER),
            location: text(LOCATION),
            body: String::new(),
            settings: self.settings,
            secrets: self.secrets.clone(),
        };
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
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(Reply { answer, headers, is_cut })
    }

    fn silent(&self) -> TargetError {
        TargetError::Broken { message: format!("{}:{} did not answer in time", self.host, self.port) }
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
            return TargetError::Broken { message: format!("the connection to {host}:{port} broke: {said}") };
        }
        let message = if error.is_timeout() {
            format!("{host}:{port} did not answer in time")
        } else if text.contains("failed to lookup") || text.contains("dns error") {
            format!("the name {host} was not found; is this machine on line, and is the name right?")
        } else if text.contains("Connection refused") {
            format!("nothing listens at {host}:{port} (connection refused)")
        } else if text.contains("InvalidContentType") {
            format!("{host}:{port} does not speak TLS; is its address http:// instead of https://?")
        } else if text.contains("certificate") {
            let hint = if text.to_ascii_lowercase().contains("valid yet") || text.contains("xpired") {
                "is the clock of this machine right?"
            } else {
                "the certificate of a private authority goes into UPLOAD_CA_FILE"
            };
            format!("the certificate of {host} is not trusted: {said}; {hint}")
        } else {
            format!("no answer from {host}:{port}: {said}")
        };
        TargetError::Unreachable { message }
    }
}

impl Progress {
    /// When too long nothing will have moved.
    fn deadline(&self) -> Instant {
        let drain = if self.left == 0 { Duration::from_secs(BUFFERED_MAX / SLOWEST) } else { Duration::ZERO };
        self.moved_at + SILENCE_LIMIT + drain
    }
}

/// The body piece by piece, no faster than `pace` allows.
fn pieces(
    body: Vec<Bytes>,
    pace: Option<Pace>,
    progress: Arc<Mutex<Progress>>,
) -> impl stream::Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + 'static {
    let most = Pace::piece(pace.as_ref());
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
            }
            Some((Ok(piece), (rest, body, pace, progress)))
        },
    )
}

/// A header whose value may not be one.
pub(super) fn put(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), TargetError> {
    let name =
        HeaderName::try_from(name).map_err(|_| misconfigured(format!("{name:?} is no header name")))?;
    let value = HeaderValue::try_from(value)
        .map_err(|_| misconfigured(format!("the value of {name} is no header")))?;
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
