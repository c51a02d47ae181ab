//! `/streaming/…`: a camera that is set up over the network, and everyone who may and may not look at it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use camera_capture::config::{Config, Env, WebAccess};
use camera_capture::media::jpeg;
use futures_util::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::harness::{Answer, Browser, Dashboard, grey, key, password_hash, start_configured};
use crate::support::stream_camera::{StreamCamera, StreamModel};
use crate::targets::server::{Act, Server, answer};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Longest wait for something that comes.
const LIMIT: Duration = Duration::from_secs(20);

fn settings<'a>(more: &[(&'a str, &'a str)]) -> Config {
    let pairs = [
        ("CAMERA_4_STREAMING", "true"),
        ("CAMERA_4_NAME", "stream"),
        ("STREAM_ALLOW", "127.0.0.0/8, 192.168.0.0/16"),
        ("JWT_SECRET", SECRET),
        ("STREAM_REQUESTS_PER_MINUTE", "6000"),
        ("STREAM_CORS_ORIGINS", "https://app.example, null"),
    ];
    let pairs = pairs.iter().chain(more).map(|(name, value)| (*name, *value));
    let file: String = pairs.map(|(name, value)| format!("{name}={value}\n")).collect();
    Config::parse(&Env::from_file(file.as_bytes(), "box.env")).unwrap().0
}

/// A dashboard with a place for such a camera.
async fn site_with(more: &[(&str, &str)], change: impl FnOnce(&mut Config)) -> Dashboard {
    let parsed = settings(more);
    start_configured(WebAccess::Password, Some(password_hash()), |config| {
        config.cameras.extend(parsed.cameras);
        config.streaming = parsed.streaming;
        config.web.cors_origins = parsed.web.cors_origins;
        change(config);
    })
    .await
}

async fn site() -> Dashboard {
    site_with(&[], |_| {}).await
}

async fn camera(has_stream: bool) -> StreamCamera {
    let model = StreamModel { has_stream, ..StreamModel::default() };
    StreamCamera::start(model, jpeg::encode_plain(&grey(64, 48)).unwrap()).await
}

fn wish(camera: &StreamCamera) -> String {
    json!({"ip_address": camera.address.ip().to_string(), "port": camera.address.port()}).to_string()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

async fn with_token(site: &Dashboard, method: Method, path: &str, token: &str, body: &str) -> Answer {
    let bearer = bearer(token);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    site.send(method, path, &headers, body).await
}

/// Sets a camera up by a token that may, which is given back.
async fn set_up(site: &Dashboard, camera: &StreamCamera) -> String {
    let token = site.browser().await.token("operate").await;
    let answer = with_token(site, Method::POST, "/streaming/setup-camera", &token, &wish(camera)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    token
}

fn said(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

/// S2.1, S2.2, S2.5, S2.6, S2.7, S2.10, S2.11: every answer as the client knows it.
#[tokio::test]
async fn a_camera_is_set_up_looked_at_and_disconnected_in_the_words_of_its_client() {
    let (site, camera) = (site().await, camera(false).await);
    let browser = site.browser().await;
    let token = browser.token("operate").await;
    let none = browser.get("/streaming/camera-status").await;
    assert_eq!(
        said(&none),
        r#"{"success":true,"is_connected":false,"camera_url":null,"stream_url":null,"snapshot_url":null}"#
    );
    assert_eq!(browser.get("/streaming/snapshot").await.code(), "no_camera");
    assert_eq!(browser.get("/streaming/stream").await.code(), "no_camera");

    let url = format!("http://{}", camera.address);
    let answer = with_token(&site, Method::POST, "/streaming/setup-camera", &token, &wish(&camera)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        said(&answer),
        format!(
            r#"{{"success":true,"message":"ESP32 camera connected successfully at {url}","camera_url":"{url}","stream_url":"{url}/stream","snapshot_url":"{url}/capture"}}"#
        )
    );
    let standing = browser.get("/streaming/camera-status").await;
    assert_eq!(
        said(&standing),
        format!(
            r#"{{"success":true,"is_connected":true,"camera_url":"{url}","stream_url":"{url}/stream","snapshot_url":"{url}/capture"}}"#
        )
    );
    let picture = browser.get("/streaming/snapshot").await;
    assert_eq!((picture.status, picture.header("content-type")), (200, "image/jpeg"));
    assert_eq!(jpeg::inspect(&picture.body), Ok((64, 48)));
    let seen = with_token(&site, Method::POST, "/streaming/analyze-stream", &token, "").await;
    let seen_json = seen.json();
    let answer = json!({
        "success": true,
        "message": "Frame captured successfully",
        "frame_size": [48, 64, 3],
        "image_bytes_length": picture.body.len(),
        "camera_url": url,
    });
    assert_eq!(seen_json, answer, "nothing analyses here, and nothing is told of it");

    // A camera like any other: it has a card, and a picture of it is stored.
    let status = browser.get("/api/status").await.json();
    let card =
        status["cameras"].as_array().unwrap().iter().find(|card| card["key"] == "stream").unwrap().clone();
    assert_eq!((&card["state"], &card["enabled"]), (&json!("connected"), &json!(true)));
    let taken = browser.post("/api/capture/stream", "").await;
    assert_eq!(taken.status, 201, "{taken:?}");
    assert_eq!(taken.json()["camera"], "stream");

    for _ in 0..2 {
        let gone = with_token(&site, Method::DELETE, "/streaming/disconnect-camera", &token, "").await;
        assert_eq!(gone.status, 200, "{gone:?}");
        assert_eq!(gone.json()["success"], true);
    }
    assert_eq!(said(&browser.get("/streaming/camera-status").await), said(&none));
    let taken = browser.post("/api/capture/stream", "").await;
    assert_eq!(taken.status, 504, "{taken:?}");
    assert!(said(&taken).contains("setup-camera"), "{taken:?}");
}

/// S2.5: what is answered to an address that is none, must not be asked, or is no camera's.
#[tokio::test]
async fn addresses_that_are_no_cameras_are_refused_with_success_false_and_nothing_is_kept() {
    let site = site().await;
    let token = site.browser().await.token("operate").await;
    let jpeg = jpeg::encode_plain(&grey(64, 48)).unwrap();
    let redirecting = StreamModel {
        root: Some(
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n".to_owned(),
        ),
        ..StreamModel::default()
    };
    let redirecting = StreamCamera::start(redirecting, jpeg.clone()).await;
    let silent = StreamCamera::start(StreamModel { is_silent: true, ..StreamModel::default() }, jpeg).await;
    let own = site.addr.port();
    let at = |ip: &str, port: u16| json!({"ip_address": ip, "port": port}).to_string();
    for (body, status, code) in [
        (String::new(), 422, "bad_camera"),
        ("{}".to_owned(), 422, "bad_camera"),
        (r#"{"ip_address":5}"#.to_owned(), 422, "bad_camera"),
        (r#"{"ip_address":"127.0.0.1","port":70000}"#.to_owned(), 422, "bad_camera"),
        (at("127.0.0.1", 0), 422, "bad_camera"),
        (at("0x7f.1", 80), 422, "bad_camera"),
        (at("user@127.0.0.1", 80), 422, "bad_camera"),
        (at("http://127.0.0.1", 80), 422, "bad_camera"),
        (at("169.254.169.254", 80), 422, "bad_camera"),
        (at("8.8.8.8", 80), 422, "bad_camera"),
        (at("127.0.0.1", own), 422, "bad_camera"),
        (at("::ffff:127.0.0.1", own), 422, "bad_camera"),
        (at("127.0.0.1", redirecting.address.port()), 502, "camera_away"),
        (at("127.0.0.1", 9), 502, "camera_away"),
        (at("no-such-camera.invalid", 80), 502, "camera_away"),
        (at("127.0.0.1", silent.address.port()), 504, "camera_silent"),
    ] {
        let answer = with_token(&site, Method::POST, "/streaming/setup-camera", &token, &body).await;
        let json = answer.json();
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}: {answer:?}");
        assert_eq!((&json["success"], &json["message"]), (&json!(false), &json["error"]["message"]));
    }
    assert_eq!((redirecting.asked("/"), redirecting.asked("/capture")), (1, 0));
    assert_eq!(site.store.stream_address(&key("stream")).await.unwrap(), None);
}

/// S2.5: the address is there again after a restart.
#[tokio::test]
async fn a_camera_that_was_set_up_is_there_after_a_restart() {
    let (dir, camera) = (tempfile::tempdir().unwrap(), camera(false).await);
    let place = |config: &mut Config| {
        config.storage.images = dir.path().join("images");
        config.storage.database = dir.path().join("camera-capture.db");
    };
    let site = site_with(&[], place).await;
    set_up(&site, &camera).await;
    drop(site);
    let site = site_with(&[], place).await;
    let picture = site.browser().await.get("/streaming/snapshot").await;
    assert_eq!(picture.status, 200, "{picture:?}");
}

#[tokio::test]
async fn without_a_place_for_a_camera_none_is_set_up_and_none_is_there() {
    let site = super::harness::dashboard().await;
    let browser = site.browser().await;
    assert_eq!(browser.get("/streaming/camera-status").await.json()["is_connected"], false);
    let answer = browser.post("/streaming/setup-camera", r#"{"ip_address":"192.168.1.100"}"#).await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "no_slot"));
    assert!(said(&answer).contains("CAMERA_n_STREAMING"), "{answer:?}");
}

pub(crate) fn jwt(claims: &Value, secret: &str) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&json!({"alg": "HS256", "typ": "JWT"})), encode(claims));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

pub(crate) fn soon() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + 600
}

/// The worse one first.
const TEXTS: &str = r#"{"texts":[{"text":"x1","score":0.2},
    {"text":"a812cd","score":0.9,"box":{"xmin":1,"ymin":2,"xmax":3,"ymax":4}}]}"#;

/// S2.10: the hook of `analyze-stream`. What was read comes behind what older clients know, and a server that fails takes
/// nothing from it.
#[tokio::test]
async fn the_frame_of_analyze_stream_is_read_where_a_server_reads() {
    let server = Server::start(|turn, request| {
        let is_frame = request.header("content-type") == Some("image/jpeg")
            && request.line.contains("filename=stream_")
            && request.line.contains("camera_id=stream");
        match (turn, is_frame) {
            (0, true) => Act::Then(|request| {
                let is_whole = jpeg::inspect(&request.body) == Ok((64, 48));
                Box::new(if is_whole { answer(200, "", TEXTS) } else { answer(400, "", "no frame") })
            }),
            (_, true) => answer(503, "", "tired"),
            (_, false) => answer(400, "", "no frame"),
        }
    })
    .await;
    let analysis = settings(&[
        ("ANALYSE_URL", &server.url()),
        ("ANALYSE_FORMAT", "json"),
        ("ANALYSE_WATCH", "AB12CD"),
        ("ANALYSE_PER_DAY", "2"),
    ])
    .analysis;
    let site = site_with(&[], |config| config.analysis = analysis).await;
    let camera = camera(false).await;
    let token = set_up(&site, &camera).await;
    let analyze = || with_token(&site, Method::POST, "/streaming/analyze-stream", &token, "");
    let first = analyze().await;
    let exact = format!(
        r#"{{"success":true,"message":"Frame captured successfully","frame_size":[48,64,3],"image_bytes_length":{},"camera_url":"http://{}","analysis":"#,
        first.json()["image_bytes_length"],
        camera.address,
    );
    assert!(said(&first).starts_with(&exact), "{first:?}");
    assert_eq!(
        first.json()["analysis"],
        json!({"readings": [
            {"text": "a812cd", "score": 0.9, "box": {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}, "unsure": false,
             "watched": "AB12CD"},
            {"text": "x1", "score": 0.2, "box": null, "unsure": true, "watched": null},
        ], "error": null})
    );
    for why in ["503", "ANALYSE_PER_DAY"] {
        let failed = analyze().await.json();
        assert_eq!((&failed["success"], &failed["frame_size"]), (&json!(true), &json!([48, 64, 3])));
        assert_eq!(failed["analysis"]["readings"], json!([]));
        let words = failed["analysis"]["error"].as_str().unwrap();
        assert!(words.contains(why), "{why}: {words}");
    }
    assert_eq!(server.seen().len(), 2, "no more than may be asked on a day");
}

/// S2.12: the old client's tokens say nothing of a scope. With one it does all that it did, and nothing outside.
#[tokio::test]
async fn a_token_without_a_scope_uses_every_route_of_streaming_and_nothing_else() {
    let (site, camera) = (site().await, camera(true).await);
    let token = jwt(&json!({"sub": "user@example.org", "exp": soon()}), SECRET);
    let ask = |method, path: &'static str, body: String| {
        let (site, token) = (&site, &token);
        async move { with_token(site, method, path, token, &body).await }
    };
    let bearer = bearer(&token);
    assert_eq!(ask(Method::POST, "/streaming/setup-camera", wish(&camera)).await.status, 200);
    assert_eq!(
        ask(Method::GET, "/streaming/camera-status", String::new()).await.json()["is_connected"],
        true
    );
    assert_eq!(ask(Method::GET, "/streaming/snapshot", String::new()).await.status, 200);
    let stream = format!("http://{}/streaming/stream", site.addr);
    number(&Parts::open(&stream, &[("authorization", &bearer)]).await.next().await);
    let ws = format!("ws://{}/streaming/ws-stream", site.addr);
    assert!(socket(&ws, &[("authorization", &bearer)]).await.is_ok());
    assert_eq!(ask(Method::POST, "/streaming/analyze-stream", String::new()).await.status, 200);
    assert_eq!(ask(Method::DELETE, "/streaming/disconnect-camera", String::new()).await.status, 200);
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/api/status"),
        (Method::GET, "/api/images"),
        (Method::POST, "/api/capture/stream"),
        (Method::GET, "/api/snapshot/stream"),
        (Method::GET, "/api/live/stream.mjpeg"),
        (Method::POST, "/trigger"),
        (Method::POST, "/upload"),
        (Method::GET, "/list"),
        (Method::GET, "/metrics"),
        (Method::GET, "/api/tokens"),
        (Method::GET, "/streaming/%2e%2e/api/status"),
    ] {
        assert_eq!(ask(method.clone(), path, String::new()).await.status, 401, "{method} {path}");
    }
}

/// S2.9: what a page can say where it can send no header. It counts for a WebSocket and nowhere else.
#[tokio::test]
async fn a_websocket_takes_a_token_in_its_address_and_nothing_else_does() {
    let (site, camera) = (site().await, camera(true).await);
    let own = set_up(&site, &camera).await;
    let foreign = jwt(&json!({"sub": "u", "exp": soon()}), SECRET);
    let ws = format!("ws://{}/streaming/ws-stream", site.addr);
    for token in [&own, &foreign] {
        let mut open = socket(&format!("{ws}?token={token}"), &[("origin", "null")]).await.unwrap();
        assert!(matches!(message(&mut open).await, Message::Text(_)));
        let binary = format!("{ws}?format=binary&token={token}");
        assert!(matches!(message(&mut socket(&binary, &[]).await.unwrap()).await, Message::Binary(_)));
        // A page of another site that is not named may not, whatever it knows.
        let elsewhere = socket(&format!("{ws}?token={token}"), &[("origin", "http://evil.example")]).await;
        assert_eq!(elsewhere.err(), Some(403));
        for path in ["snapshot", "stream", "camera-status", "links"] {
            let path = format!("/streaming/{path}?token={token}");
            assert_eq!(site.send(Method::GET, &path, &[], "").await.status, 401, "{path}");
        }
    }
    let late = jwt(&json!({"sub": "u", "exp": soon() - 600 - 120}), SECRET);
    for wrong in ["", "cc_wrong", "a.b.c", &late] {
        assert_eq!(socket(&format!("{ws}?token={wrong}"), &[]).await.err(), Some(401), "{wrong}");
    }
}

/// S2.12: the claim is the scope, and such a token opens nothing but what is streamed.
#[tokio::test]
async fn a_token_of_another_program_opens_what_its_scope_says_and_only_streaming() {
    let (site, camera) = (site_with(&[("STREAM_JWT_SCOPE", "read")], |_| {}).await, camera(false).await);
    let ask = |method, path: &'static str, token: String| {
        let (site, body) = (&site, wish(&camera));
        async move { with_token(site, method, path, &token, &body).await }
    };
    let (reading, operating) = (
        jwt(&json!({"sub": "u", "exp": soon()}), SECRET),
        jwt(&json!({"sub": "u", "exp": soon(), "scope": "read operate"}), SECRET),
    );
    assert_eq!(ask(Method::GET, "/streaming/camera-status", reading.clone()).await.status, 200);
    assert_eq!(ask(Method::POST, "/streaming/setup-camera", reading.clone()).await.code(), "scope");
    assert_eq!(ask(Method::POST, "/streaming/setup-camera", operating.clone()).await.status, 200);
    assert_eq!(ask(Method::GET, "/streaming/snapshot", reading.clone()).await.status, 200);
    assert_eq!(ask(Method::GET, "/api/status", operating.clone()).await.status, 401);
    let now = soon() - 600;
    for refused in [
        jwt(&json!({"sub": "u", "exp": soon()}), "another secret of thirty-two letters"),
        jwt(&json!({"sub": "u"}), SECRET),
        jwt(&json!({"sub": "u", "exp": now - 120}), SECRET),
        jwt(&json!({"sub": "u", "exp": soon(), "scope": "admin"}), SECRET),
        "a.b.c".to_owned(),
    ] {
        let answer = ask(Method::GET, "/streaming/camera-status", refused.clone()).await;
        assert_eq!(answer.status, 401, "{refused}");
    }
    // Without a secret there is no such token.
    let site = start_configured(WebAccess::Password, Some(password_hash()), |_| {}).await;
    assert_eq!(with_token(&site, Method::GET, "/streaming/camera-status", &reading, "").await.status, 401);
}

/// S2.8, S2.9: where no header can be sent.
#[tokio::test]
async fn a_ticket_stands_for_its_owner_looks_only_and_ends_with_them() {
    let (site, camera) = (site().await, camera(false).await);
    set_up(&site, &camera).await;
    let browser = site.browser().await;
    let token = browser.token("operate").await;
    let links = with_token(&site, Method::GET, "/streaming/links", &token, "").await.json();
    let (sig, snapshot) = (links["sig"].as_str().unwrap(), links["snapshot_url"].as_str().unwrap());
    assert!(links["expires_at"].as_str().is_some(), "{links}");
    assert_eq!(site.send(Method::GET, snapshot, &[], "").await.status, 200);
    // With a ticket nothing is changed, and nothing else is opened.
    let delete = format!("/streaming/disconnect-camera?sig={sig}");
    assert_eq!(site.send(Method::DELETE, &delete, &[], "").await.status, 401);
    assert_eq!(site.send(Method::GET, &format!("/api/status?sig={sig}"), &[], "").await.status, 401);
    assert_eq!(site.send(Method::GET, "/streaming/snapshot?sig=AAAA", &[], "").await.status, 401);
    // Nor is another ticket had with it, or five minutes would be for ever.
    for path in ["links", "camera-status"] {
        let path = format!("/streaming/{path}?sig={sig}");
        assert_eq!(site.send(Method::GET, &path, &[], "").await.status, 401, "{path}");
    }
    // A page that adds something so that its browser asks anew is served.
    assert_eq!(site.send(Method::GET, &format!("{snapshot}&t=1"), &[], "").await.status, 200);
    let tokens = browser.get("/api/tokens").await.json();
    for token in tokens["items"].as_array().or(tokens["tokens"].as_array()).unwrap() {
        let gone = browser.change(Method::DELETE, &format!("/api/tokens/{}", token["id"]), "").await;
        assert_eq!(gone.status, 204, "{gone:?}");
    }
    assert_eq!(site.send(Method::GET, snapshot, &[], "").await.status, 401);
}

/// The pictures of an MJPEG answer, with what stands around them.
struct Parts {
    response: reqwest::Response,
    held: Vec<u8>,
}

impl Parts {
    async fn open(url: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = super::harness::client().get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let kind = response.headers()["content-type"].to_str().unwrap();
        assert_eq!(kind, "multipart/x-mixed-replace; boundary=frame");
        Self { response, held: Vec::new() }
    }

    /// The next picture.
    async fn next(&mut self) -> Vec<u8> {
        tokio::time::timeout(LIMIT, async {
            loop {
                if let Some(end) = self.held.windows(4).position(|window| window == b"\r\n\r\n") {
                    let head = String::from_utf8(self.held[..end].to_vec()).unwrap();
                    assert!(
                        head.starts_with("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: "),
                        "{head}"
                    );
                    let length: usize = head.rsplit(' ').next().unwrap().parse().unwrap();
                    if self.held.len() >= end + 4 + length + 2 {
                        let jpeg = self.held[end + 4..end + 4 + length].to_vec();
                        self.held.drain(..end + 4 + length + 2);
                        return jpeg;
                    }
                }
                let chunk = self.response.chunk().await.unwrap().expect("it goes on");
                self.held.extend_from_slice(&chunk);
            }
        })
        .await
        .expect("a picture comes")
    }
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn socket(url: &str, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match tokio_tungstenite::connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{url}: {error}"),
    }
}

/// The next message that is no ping.
async fn message(socket: &mut Socket) -> Message {
    loop {
        match tokio::time::timeout(LIMIT, socket.next()).await.expect("something comes") {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(message)) => return message,
            other => panic!("{other:?}"),
        }
    }
}

fn number(jpeg: &[u8]) -> u64 {
    assert_eq!(jpeg::inspect(jpeg), Ok((64, 48)));
    std::str::from_utf8(&jpeg[6..14]).unwrap().parse().unwrap()
}

/// S2.3, S2.8, S2.9: fifty `<img>` and twenty WebSockets look at one connection, a trigger has its picture meanwhile, and the
/// connection ends with the last of them.
#[tokio::test]
async fn seventy_viewers_share_one_connection_to_the_camera() {
    let (site, camera) = (site().await, camera(true).await);
    let token = set_up(&site, &camera).await;
    let browser = site.browser().await;
    let bearer = bearer(&token);
    let url = format!("http://{}/streaming/stream", site.addr);
    let ws = format!("ws://{}/streaming/ws-stream", site.addr);
    let mut parts = Vec::new();
    for _ in 0..50 {
        parts.push(Parts::open(&url, &[("authorization", &bearer)]).await);
    }
    let mut sockets = Vec::new();
    for n in 0..20 {
        let url = if n % 2 == 0 { ws.clone() } else { format!("{ws}?format=binary") };
        sockets.push(socket(&url, &[("authorization", &bearer)]).await.unwrap());
    }
    for parts in &mut parts {
        let (first, second) = (number(&parts.next().await), number(&parts.next().await));
        assert!(second > first);
    }
    for (n, socket) in sockets.iter_mut().enumerate() {
        match message(socket).await {
            Message::Text(text) if n % 2 == 0 => {
                let base64 = text.strip_prefix("data:image/jpeg;base64,").unwrap();
                number(&STANDARD.decode(base64).unwrap());
            }
            Message::Binary(bytes) if n % 2 == 1 => {
                number(&bytes);
            }
            other => panic!("{other:?}"),
        }
    }
    camera.connected(1).await;
    assert_eq!(camera.asked("/stream"), 1);
    let asked = camera.asked("/capture");
    let taken = browser.post("/api/capture/stream", "").await;
    assert_eq!(taken.status, 201, "{taken:?}");
    // It came from the stream, because such a camera answers one request at a time.
    assert_eq!(camera.asked("/capture"), asked);
    drop(parts);
    let mut last = sockets.pop().unwrap();
    drop(sockets);
    message(&mut last).await;
    camera.connected(1).await;
    drop(last);
    camera.connected(0).await;
    assert_eq!(camera.asked("/stream"), 1);
}

/// S2.3, S2.14: a camera without a stream is asked for pictures while somebody looks, and one who does not read keeps none of
/// the others.
#[tokio::test]
async fn a_camera_without_a_stream_is_polled_for_all_and_who_does_not_read_holds_nobody_up() {
    let site = site_with(&[("STREAM_FPS", "25")], |_| {}).await;
    let model = StreamModel { padding: 60_000, ..StreamModel::default() };
    let camera = StreamCamera::start(model, jpeg::encode_plain(&grey(64, 48)).unwrap()).await;
    let bearer = bearer(&set_up(&site, &camera).await);
    let url = format!("http://{}/streaming/stream", site.addr);
    let headers = [("authorization", bearer.as_str())];
    // This one is never read from.
    let _stuck = Parts::open(&url, &headers).await;
    let mut reading = Parts::open(&url, &headers).await;
    let mut before = 0;
    // More than the buffers of a connection hold.
    for _ in 0..100 {
        let now = number(&reading.next().await);
        assert!(now > before, "{now} after {before}");
        before = now;
    }
    assert_eq!(camera.asked("/stream"), 1);
    assert!(camera.asked("/capture") >= 100);
    camera.connected(1).await;
}

/// S2.9: the ways in of a WebSocket, and pages of other sites.
#[tokio::test]
async fn a_websocket_takes_a_cookie_of_our_pages_a_ticket_or_a_token_as_protocol() {
    let (site, camera) = (site().await, camera(true).await);
    let token = set_up(&site, &camera).await;
    let browser = site.browser().await;
    let ws = format!("ws://{}/streaming/ws-stream", site.addr);
    let own = format!("http://{}", site.addr);
    let cookie = browser.cookie.as_str();
    assert_eq!(socket(&ws, &[]).await.err(), Some(401));
    assert!(socket(&ws, &[("cookie", cookie), ("origin", own.as_str())]).await.is_ok());
    for origin in ["http://evil.example", "null"] {
        let refused = socket(&ws, &[("cookie", cookie), ("origin", origin)]).await.err();
        assert!(matches!(refused, Some(401 | 403)), "{origin}: {refused:?}");
    }
    let links = browser.get("/streaming/links").await.json();
    let ticket = format!("ws://{}{}", site.addr, links["websocket_url"].as_str().unwrap());
    let mut open = socket(&ticket, &[("origin", "null")]).await.unwrap();
    assert!(matches!(message(&mut open).await, Message::Text(_)));
    assert_eq!(socket(&ticket, &[("origin", "http://evil.example")]).await.err(), Some(403));
    let protocol = format!("bearer, {token}");
    let mut open = socket(&ws, &[("sec-websocket-protocol", protocol.as_str())]).await.unwrap();
    assert!(matches!(message(&mut open).await, Message::Text(_)));
    // Whoever looks is told when the camera is disconnected.
    let gone = with_token(&site, Method::DELETE, "/streaming/disconnect-camera", &token, "").await;
    assert_eq!(gone.status, 200);
    loop {
        if let Message::Close(frame) = message(&mut open).await {
            assert_eq!(u16::from(frame.unwrap().code), 1001);
            break;
        }
    }
}

/// S2.13
#[tokio::test]
async fn pages_of_listed_origins_may_ask_with_a_token_and_no_others() {
    let site = site().await;
    let browser = site.browser().await;
    let token = bearer(&browser.token("read").await);
    let preflight = async |origin: &str, path: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        let request =
            super::harness::client().request(Method::OPTIONS, format!("http://{}{path}", site.addr));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.unwrap()
    };
    for origin in ["null", "https://app.example"] {
        let answer = preflight(origin, "/streaming/camera-status").await;
        assert_eq!(answer.status(), 204, "{origin}");
        let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(header("access-control-allow-origin"), origin);
        assert_eq!(header("access-control-allow-methods"), "GET");
        assert_eq!(header("access-control-allow-headers"), "authorization, content-type");
        assert_eq!(header("access-control-allow-credentials"), "");
        let headers =
            [("origin", origin), ("authorization", token.as_str()), ("sec-fetch-site", "cross-site")];
        let answer = site.send(Method::GET, "/streaming/camera-status", &headers, "").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, origin));
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        assert_eq!(answer.header("cross-origin-resource-policy"), "cross-origin");
        assert_eq!(answer.header("vary"), "Origin");
        // What is refused is said to the page, too.
        let headers = [("origin", origin), ("authorization", "Bearer cc_wrong")];
        let answer = site.send(Method::GET, "/streaming/camera-status", &headers, "").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (401, origin));
        // A session is not for pages of other sites, listed or not.
        let headers =
            [("origin", origin), ("sec-fetch-site", "cross-site"), ("cookie", browser.cookie.as_str())];
        assert_eq!(site.send(Method::GET, "/streaming/camera-status", &headers, "").await.status, 401);
        // Nothing else is opened.
        assert_eq!(preflight(origin, "/api/status").await.status(), 401);
    }
    for origin in [
        "https://evil.example",
        "https://app.example.evil.example",
        "http://app.example",
        "https://app.example:444",
    ] {
        let answer = preflight(origin, "/streaming/camera-status").await;
        assert_eq!(answer.status(), 401, "{origin}");
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
        let headers = [("origin", origin), ("authorization", token.as_str())];
        let answer = site.send(Method::GET, "/streaming/camera-status", &headers, "").await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
    }
    // Where no page is listed, everything is as it was.
    let closed = super::harness::dashboard().await;
    let answer = closed.browser().await.get("/streaming/camera-status").await;
    assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
    let headers = [("origin", "null"), ("access-control-request-method", "GET")];
    let answer = closed.send(Method::OPTIONS, "/streaming/camera-status", &headers, "").await;
    assert_eq!(answer.status, 401);
}

/// S2.14
#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_come_again_and_others_are_served() {
    let site = site_with(&[("STREAM_REQUESTS_PER_MINUTE", "30")], |_| {}).await;
    let browser: Browser = site.browser().await;
    let mut statuses = Vec::new();
    for _ in 0..40 {
        let answer = browser.get("/streaming/camera-status").await;
        if answer.status == 429 {
            assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1, "{answer:?}");
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses[..30], [200; 30]);
    assert!(statuses[30..].contains(&429), "{statuses:?}");
    let other = super::harness::client_from([127, 0, 0, 2].into());
    let headers = [("cookie", browser.cookie.as_str())];
    let answer =
        super::harness::send(&other, site.addr, Method::GET, "/streaming/camera-status", &headers, "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(browser.get("/api/status").await.status, 200);
}
