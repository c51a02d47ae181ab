//! The `api` target: `POST` of `multipart/form-data` (RFC 7578) with one part, an idempotency key and a digest.
//!
//! `Content-Digest` covers the content of the message (RFC 9530 section 2), which is the whole multipart body.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Response, redirect};

use super::{Answer, TargetError};
use sha2::{Digest, Sha256};

use crate::clock;
use crate::config::ApiTargetConfig;
use crate::store::DueUpload;

/// Name look-up, connection and TLS.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Longest silence of a server that has the whole picture.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// A whole attempt may take this long, or longer for a picture that the slowest link needs longer for.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(60);

/// Bytes per second of the slowest link that still counts as one.
const SLOWEST: u64 = 4_000;

/// Of an answer's body this much is read.
const BODY_MAX: usize = 4096;

/// An HTTP endpoint.
pub struct Api {
    config: ApiTargetConfig,
    /// Made at the first delivery, because a machine without certificates can still take pictures.
    client: Mutex<Option<Client>>,
}

impl Api {
    /// A target as configured; nothing is contacted.
    pub fn new(config: ApiTargetConfig) -> Self {
        Self { config, client: Mutex::new(None) }
    }

    pub(super) fn address(&self) -> (String, u16) {
        let url = self.config.url.reveal();
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        (host, url.port_or_known_default().unwrap_or(443))
    }

    fn client(&self) -> Result<Client, TargetError> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let built = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(READ_LIMIT)
            .pool_max_idle_per_host(1)
            .user_agent(concat!("camera-capture/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| TargetError::Misconfigured {
                message: format!(
                    "no secure connection can be made on this machine: {}; install the package ca-certificates",
                    chain(&error)
                ),
            })?;
        Ok(client.insert(built).clone())
    }

    pub(super) async fn deliver(&self, upload: &DueUpload, bytes: Vec<u8>) -> Result<(), TargetError> {
        let limit = ATTEMPT_LIMIT.max(Duration::from_secs(bytes.len() as u64 / SLOWEST));
        let boundary = boundary(upload, &bytes);
        let body = self.body(upload, &boundary, &bytes);
        let sent = self
            .client()?
            .post(self.config.url.reveal().clone())
            .headers(self.headers(upload, &boundary, &body)?)
            .body(body)
            .timeout(limit)
            .send()
            .await;
        match sent {
            Ok(response) => self.read_answer(response).await?.judge(clock::now()),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// The multipart body: one part.
    fn body(&self, upload: &DueUpload, boundary: &str, picture: &[u8]) -> Vec<u8> {
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\nContent-Type: \
             {}\r\n\r\n",
            escaped(&self.config.field_name),
            upload.filename,
            upload.filename.medium().media_type(),
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        [head.as_bytes(), picture, tail.as_bytes()].concat()
    }

    fn headers(&self, upload: &DueUpload, boundary: &str, body: &[u8]) -> Result<HeaderMap, TargetError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.config.headers {
            let name = HeaderName::try_from(name.as_str())
                .map_err(|_| misconfigured("UPLOAD_HEADERS has a bad name"))?;
            let mut value = HeaderValue::try_from(value.reveal().as_str())
                .map_err(|_| misconfigured("UPLOAD_HEADERS has a bad value"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        for (name, value) in [
            ("content-type", format!("multipart/form-data; boundary={boundary}")),
            ("idempotency-key", upload.id.to_string()),
            ("content-digest", digest(Sha256::digest(body).into())),
        ] {
            let value = HeaderValue::try_from(value).map_err(|error| misconfigured(&error.to_string()))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        Ok(headers)
    }

    fn unreachable(&self, error: &reqwest::Error) -> TargetError {
        let (host, port) = self.address();
        let text = chain(error);
        if !error.is_connect() {
            let message = if error.is_timeout() {
                format!("{host}:{port} did not answer in time")
            } else {
                format!("the connection to {host}:{port} broke: {text}")
            };
            return TargetError::Broken { message };
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
            format!("the certificate of {host} is not trusted: {text}")
        } else {
            format!("no answer from {host}:{port}: {text}")
        };
        TargetError::Unreachable { message }
    }

    async fn read_answer(&self, mut response: Response) -> Result<Answer, TargetError> {
        let header = |name| {
            response
                .headers()
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
                .map(str::to_owned)
        };
        let mut answer = Answer {
            status: response.status().as_u16(),
            content_type: header(CONTENT_TYPE).unwrap_or_default(),
            retry_after: header(RETRY_AFTER),
            location: header(LOCATION),
            body: String::new(),
        };
        let mut body = Vec::new();
        while body.len() < BODY_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                // Perhaps a captive portal's page, of which nothing has come yet.
                Err(error) if answer.is_success_in_html() => return Err(self.unreachable(&error)),
                // The status has been said; the rest is words.
                Err(_) => break,
            }
        }
        body.truncate(BODY_MAX);
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }
}

/// A digest as RFC 9530 writes it.
fn digest(sha256: [u8; 32]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(sha256))
}

/// A boundary that does not occur in the picture: the image's identity, lengthened until that is so.
fn boundary(upload: &DueUpload, picture: &[u8]) -> String {
    let mut boundary = format!("camera-capture-{}", upload.id);
    while picture.windows(boundary.len()).any(|window| window == boundary.as_bytes()) {
        boundary.push('x');
    }
    boundary
}

/// A field name as browsers escape it in `Content-Disposition` (RFC 7578 section 2 and its practice).
fn escaped(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

fn misconfigured(message: &str) -> TargetError {
    TargetError::Misconfigured { message: message.to_owned() }
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
