//! The daemon's HTTP API, as a browser would use it: a session cookie and the CSRF header.

use std::time::Duration;

use reqwest::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::viewer::Viewer;

/// Longest wait for an answer; a capture may wait five seconds for its frame and then decode two seconds of video.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The server closes a connection that is idle for longer; a test that was held up must not ask over one that is closing.
const IDLE_LIMIT: Duration = Duration::from_secs(1);

/// Longest that a test reads from a stream.
const STREAM_LIMIT: Duration = Duration::from_secs(300);

/// A logged-in user of one daemon.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    address: String,
    cookie: String,
}

/// Status and body of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The body as JSON; `null` when it is not.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Api {
    /// Logs in at `address`, such as `http://127.0.0.1:9000`; the error is the answer.
    pub(crate) async fn log_in(address: &str, password: &str) -> Result<Self, Reply> {
        // Plain HTTP needs no TLS, but the client is not built without a provider of it. A second one is refused.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let stranger = Self {
            client: client(HeaderMap::new()),
            address: address.trim_end_matches('/').to_owned(),
            cookie: String::new(),
        };
        let request = stranger.client.post(format!("{}/api/login", stranger.address));
        let body = json!({ "password": password }).to_string();
        let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        let cookie = answer.headers().get(SET_COOKIE).map(|value| value.to_str().unwrap().to_owned());
        let reply = Reply { status, body: answer.bytes().await.unwrap().to_vec() };
        let (200..=299, Some(cookie)) = (reply.status, cookie) else { return Err(reply) };
        let cookie = cookie.split(';').next().unwrap_or_default();
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(cookie).unwrap());
        let answer = reply.json();
        let csrf = answer["csrf_token"].as_str().unwrap_or_else(|| panic!("no CSRF token in {answer}"));
        headers.insert("x-csrf-token", HeaderValue::from_str(csrf).unwrap());
        Ok(Self { client: client(headers), cookie: cookie.to_owned(), ..stranger })
    }

    /// Where it is, such as `http://127.0.0.1:9000`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Any request. The error is what the connection met.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Reply, String> {
        let mut request = self.client.request(method, format!("{}{path}", self.address));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.map_err(|error| format!("{path}: {error}"))?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(|error| format!("{path}: {error}"))?.to_vec();
        Ok(Reply { status, body })
    }

    /// An answer that goes on for as long as it is read.
    pub(crate) async fn open(&self, path: &str) -> reqwest::Response {
        let request = self.client.get(format!("{}{path}", self.address));
        request.timeout(STREAM_LIMIT).send().await.unwrap()
    }

    /// A WebSocket, as a page of this server opens it; the error is the status.
    pub(crate) async fn view(&self, path: &str) -> Result<Viewer, u16> {
        let url = format!("{}{path}", self.address.replace("http://", "ws://"));
        Viewer::open(&url, &[("cookie", &self.cookie), ("origin", &self.address)]).await
    }

    /// What `GET` answers; must be a success.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        let reply = self.send(Method::GET, path, None).await.unwrap();
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply
    }

    /// `/api/status`.
    pub(crate) async fn status(&self) -> Value {
        self.get("/api/status").await.json()
    }

    /// State and error of a camera in `/api/status`.
    pub(crate) async fn camera(&self, key: &str) -> (String, String) {
        let status = self.status().await;
        let camera = status["cameras"].as_array().into_iter().flatten().find(|camera| camera["key"] == key);
        let camera = camera.unwrap_or_else(|| panic!("there is no camera {key} in {status}"));
        let text = |name: &str| camera[name].as_str().unwrap_or_default().to_owned();
        (text("state"), text("last_error"))
    }

    /// Every image, newest first, through all pages.
    pub(crate) async fn images(&self) -> Vec<Value> {
        self.pages("/api/images", "images").await
    }

    /// The whole ledger, newest first, through all pages.
    pub(crate) async fn events(&self) -> Vec<Value> {
        self.pages("/api/events", "events").await
    }

    async fn pages(&self, path: &str, list: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("{path}?limit=100{cursor}")).await.json();
            all.extend(
                page[list].as_array().unwrap_or_else(|| panic!("{path}: no {list} in {page}")).clone(),
            );
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }

    /// Closes a simulated contact for 100 ms.
    pub(crate) async fn pulse(&self, camera: &str) -> Result<Reply, String> {
        self.send(Method::POST, &format!("/api/gpio/sim/{camera}"), Some(json!({ "pulse_ms": 100 }))).await
    }

    /// Takes a picture now.
    pub(crate) async fn capture(&self, camera: &str) -> Result<Reply, String> {
        self.send(Method::POST, &format!("/api/capture/{camera}"), None).await
    }
}

fn client(headers: HeaderMap) -> Client {
    let client = Client::builder().default_headers(headers).timeout(ANSWER_LIMIT);
    client.pool_idle_timeout(IDLE_LIMIT).build().unwrap()
}
