//! A dashboard on a free port of loopback, with a store of its own, and a client that is no browser.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use camera_capture::capture::{CameraTasks, Captures, Pushes};
use camera_capture::config::{
    ActiveLevel, CameraConfig, CameraEngine, ClockSource, Config, DecodeMode, DecoderChoice, EngineConfig,
    Env, GpioBackend, GpioConfig, LinkConfig, LogConfig, LogFormat, RtspConfig, SourceConfig, StorageConfig,
    Transport, Trust, UploadConfig, WebAccess, WebConfig,
};
use camera_capture::disk::DiskGuard;
use camera_capture::disk::retention::RetentionTask;
use camera_capture::gpio::{Level, Pin};
use camera_capture::ingest::Door;
use camera_capture::media::frame::{Colours, Frame};
use camera_capture::media::gop::{AccessUnit, Codec, UnitRange};
use camera_capture::media::{exif, jpeg, mp4};
use camera_capture::model::{
    CameraKey, Cause, Dimensions, ImageKind, Moment, PictureFacts, TargetId, Trigger, UnixMs, UploadState,
};
use camera_capture::status::Status;
use camera_capture::store::{Image, LedgerQuery, NewImage, Store};
use camera_capture::targets::Analyser;
use camera_capture::upload::AnalysisHandle;
use camera_capture::web::{self, Parts, auth};
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::shapes;

/// The password of every dashboard that has one.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A dashboard, and what stands behind it.
pub(crate) struct Dashboard {
    pub(crate) addr: SocketAddr,
    pub(crate) store: Store,
    pub(crate) status: Status,
    pub(crate) cancel: CancellationToken,
    pub(crate) older: web::OlderRoutes,
    pub(crate) setup_code: Option<String>,
    pub(crate) server: tokio::task::JoinHandle<std::io::Result<()>>,
    /// What was done to simulated lines.
    pub(crate) simulated: Arc<Mutex<Vec<(Pin, Level)>>>,
    pub(crate) dir: tempfile::TempDir,
    client: reqwest::Client,
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// A browser that is logged in.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) addr: SocketAddr,
    pub(crate) cookie: String,
    pub(crate) csrf: String,
    client: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// `name=value` of a cookie that is being set.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let lines = self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
        let found = lines
            .filter_map(|line| line.split(';').next())
            .find(|pair| pair.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')));
        found.map(str::to_owned)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

pub(crate) fn key(text: &str) -> CameraKey {
    CameraKey::parse(text).unwrap()
}

/// The hash of [`PASSWORD`], made once for all tests.
pub(crate) fn password_hash() -> String {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| auth::hash_password(PASSWORD).unwrap()).clone()
}

pub(crate) fn client_from(address: IpAddr) -> reqwest::Client {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .local_address(address)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(60))
        .build()
        .unwrap()
}

pub(crate) fn client() -> reqwest::Client {
    client_from([127, 0, 0, 1].into())
}

/// Deliveries to an HTTP API that nobody asks.
fn upload() -> UploadConfig {
    let env = Env::from_pairs([("S3_API_URL", "http://127.0.0.1:9/")]);
    Config::parse(&env).unwrap().0.upload
}

pub(crate) fn config(dir: &Path, access: WebAccess) -> Config {
    let camera = |number: u8, label: &str, enabled: bool| CameraConfig {
        number,
        key: key(&format!("r{number}")),
        label: label.to_owned(),
        enabled,
        source: enabled.then(|| {
            SourceConfig::Rtsp(RtspConfig {
                url: "rtsp://127.0.0.1:9/".parse().unwrap(),
                credentials: None,
                transport: Transport::Tcp,
                trust: Trust::System,
            })
        }),
        offsets_ms: vec![0],
        clip: None,
        best: None,
        pin: Some(17 + number),
        engine: CameraEngine {
            mode: DecodeMode::Cold,
            armed_by: Vec::new(),
            tolerance: Duration::ZERO,
            latency: None,
            clock: ClockSource::Arrival,
        },
    };
    Config {
        cameras: vec![camera(1, "Entry", true), camera(2, "Exit", true), camera(3, "Auxiliary", false)],
        engine: EngineConfig {
            decoder: DecoderChoice::Auto,
            budget_percent: 25,
            arm: Duration::from_secs(30),
        },
        gpio: GpioConfig {
            enabled: true,
            trigger_enabled: true,
            backend: GpioBackend::Sim,
            active: ActiveLevel::Low,
            bounce: Duration::from_millis(300),
            chip: None,
        },
        ingest: camera_capture::config::IngestConfig::default(),
        analysis: None,
        upload: upload(),
        storage: StorageConfig {
            images: dir.join("images"),
            database: dir.join("camera-capture.db"),
            retention_days: 120,
            cleanup_interval: Duration::from_secs(86_400),
            backup_every: None,
            max_bytes: None,
            min_free_bytes: None,
            quarantine_max_bytes: None,
        },
        web: WebConfig {
            bind: "127.0.0.1:0".parse().unwrap(),
            access,
            password_hash: None,
            hosts: Vec::new(),
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            links: LinkConfig { public_url: None, life: Some(Duration::from_secs(72 * 3600)) },
        },
        streaming: camera_capture::config::StreamingConfig::default(),
        display: None,
        log: LogConfig { filter: "info".to_owned(), format: LogFormat::Text, file: None },
    }
}

/// A dashboard with [`PASSWORD`] set.
pub(crate) async fn dashboard() -> Dashboard {
    start(WebAccess::Password, Some(password_hash())).await
}

/// A dashboard whose password is `hash`, if there is one.
pub(crate) async fn start(access: WebAccess, hash: Option<String>) -> Dashboard {
    start_with(access, hash, |_| {}).await
}

/// As [`start`], with other settings.
pub(crate) async fn start_with(
    access: WebAccess,
    hash: Option<String>,
    change: impl FnOnce(&mut WebConfig),
) -> Dashboard {
    start_configured(access, hash, |config| change(&mut config.web)).await
}

/// As [`start`], with any other settings.
pub(crate) async fn start_configured(
    access: WebAccess,
    hash: Option<String>,
    change: impl FnOnce(&mut Config),
) -> Dashboard {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), access);
    change(&mut config);
    let config = Arc::new(config);
    let targets = [(TargetId::API, UploadState::Pending)];
    let store = Store::open(&config.storage.images, &config.storage.database, &targets).unwrap();
    let store = store.analysing(config.analysis.as_ref().map_or(&[], |analysis| &analysis.causes));
    let desk = config.analysis.as_ref().map(|analysis| {
        AnalysisHandle::new(Analyser::new(analysis, &config.upload), analysis, store.analyses())
    });
    if let Some(hash) = hash {
        store.access().set_password_hash(auth::PASSWORD_KEY, hash).await.unwrap();
    }
    let status = Status::new(&config);
    // No camera runs but one that is set up: whoever asks another for a picture is told that the program is shutting down.
    let guard = DiskGuard::new(store.intake(), &config.storage, &status);
    let (captures, tasks) = Captures::new(&config, &store, &guard, &status);
    let cancel = CancellationToken::new();
    captures.recall_stream(&store).await.unwrap();
    for CameraTasks { mut camera, mut capture, .. } in tasks {
        if captures.slot().is_some_and(|slot| slot.camera() == camera.key()) {
            let stop = cancel.clone();
            tokio::spawn(async move {
                tokio::join!(camera.run(&stop), capture.run(&stop));
            });
        }
    }
    let (pushes, mut push_task) = Pushes::new(&config, &store, &guard);
    let stop = cancel.clone();
    tokio::spawn(async move { push_task.run(&stop).await });
    let door = Arc::new(Door::new(&config.ingest));
    let (mut retention_task, retention) =
        RetentionTask::new(store.retention(), &config.storage, &guard, &status);
    let stop = cancel.clone();
    tokio::spawn(async move { retention_task.run(&stop).await });
    let simulated = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&simulated);
    let bound = web::bind(Parts {
        config,
        store: store.catalog(),
        access: store.access(),
        status: status.clone(),
        captures,
        pushes,
        door,
        analysis: desk,
        retention,
        guard,
        sim: Some(Arc::new(move |pin, level| lines.lock().unwrap().push((pin, level)))),
        cancel: cancel.clone(),
    })
    .unwrap();
    let addr = bound.addr();
    let setup_code = bound.setup_code().await.unwrap();
    let older = bound.older();
    let server = tokio::spawn(bound.run());
    Dashboard { addr, store, status, cancel, setup_code, server, simulated, dir, client: client(), older }
}

impl Dashboard {
    /// One request without a session.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        send(&self.client, self.addr, method, path, headers, body).await
    }

    pub(crate) async fn log_in(&self, password: &str) -> Answer {
        self.log_in_from(&self.client, password).await
    }

    pub(crate) async fn log_in_from(&self, client: &reqwest::Client, password: &str) -> Answer {
        let body = serde_json::json!({ "password": password }).to_string();
        send(client, self.addr, Method::POST, "/api/login", &[("content-type", "application/json")], &body)
            .await
    }

    /// A browser that is logged in.
    pub(crate) async fn browser(&self) -> Browser {
        let answer = self.log_in(PASSWORD).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Browser::of(self.addr, &answer)
    }

    /// Stores a picture as a capture does: ledger, file, row, upload.
    pub(crate) async fn record(&self, camera: &str, edge_at: UnixMs) -> Image {
        self.record_frame(camera, edge_at, grey(64, 48)).await
    }

    pub(crate) async fn record_frame(&self, camera: &str, edge_at: UnixMs, frame: Frame) -> Image {
        let trigger = contact(camera, edge_at);
        let row = self.store.triggers().begin(&trigger).await.unwrap();
        let caption = caption(PictureFacts::of(&trigger, ImageKind::Instant, -12, None));
        let file = jpeg::encode(&frame, &caption).unwrap();
        let dimensions = Dimensions::of_picture((frame.width as u32, frame.height as u32));
        let (facts, at) = (caption.facts, trigger.edge.at);
        self.store.record(NewImage { facts, dimensions, trigger: Some(row), at, file }).await.unwrap()
    }

    /// Stores a clip beside the newest trigger's picture.
    pub(crate) async fn record_clip(&self, camera: &str, edge_at: UnixMs, poster: &[u8]) -> Image {
        let (trigger, note) = (contact(camera, edge_at), Some("shortened".to_owned()));
        let caption = caption(PictureFacts::of(&trigger, ImageKind::Clip, -3000, note));
        let query = LedgerQuery { limit: 1, ..LedgerQuery::default() };
        let row = self.store.ledger(query).await.unwrap().items[0].id;
        let file = mp4::mux(&stretch(), &exif::block(&caption, poster), edge_at.epoch_s()).unwrap().bytes;
        let dimensions = Dimensions { width: 16, height: 16, duration_ms: Some(80) };
        let (facts, at) = (caption.facts, trigger.edge.at);
        self.store.record(NewImage { facts, dimensions, trigger: Some(row), at, file }).await.unwrap()
    }
}

fn contact(camera: &str, edge_at: UnixMs) -> Trigger {
    let edge = Moment { at: Instant::now(), wall: edge_at };
    Trigger { camera: key(camera), cause: Cause::Gpio, edge, device: None }
}

fn caption(facts: PictureFacts) -> exif::Caption {
    exif::Caption { facts, label: "Entry".to_owned(), utc_offset_s: 0 }
}

/// Two frames: what x264 writes for 16×16 pixels, and a follower that no decoder would like.
fn stretch() -> UnitRange {
    let sps = [
        0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x1e, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00,
        0xc8, 0x3c, 0x48, 0x99, 0x20,
    ];
    let (pps, picture) =
        ([0x68, 0xcb, 0x83, 0xcb, 0x20], [0x65, 0x88, 0x84, 0x0a, 0xf2, 0x62, 0x80, 0x01, 0x7c]);
    let start = [0, 0, 0, 1];
    let idr = [&start[..], &sps, &start, &pps, &start, &picture].concat();
    let follower = [&start[..], &[0x41, 0x9a, 0x02]].concat();
    let units = [(0, idr), (40_000_000, follower)].map(|(rtp_ns, data)| AccessUnit {
        rtp_ns,
        instant: Instant::now(),
        data: data.into(),
        starts: (rtp_ns == 0).then_some(0),
        is_disposable: false,
        missing: 0,
        is_leading: false,
        doubt: None,
    });
    UnitRange { codec: Codec::H264, units: units.to_vec() }
}

impl Browser {
    /// What a browser keeps of the answer to a log-in.
    pub(crate) fn of(addr: SocketAddr, answer: &Answer) -> Self {
        let cookie = answer.cookie("session").unwrap();
        let csrf = answer.json()["csrf_token"].as_str().unwrap().to_owned();
        Self { addr, cookie, csrf, client: client() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let headers: Vec<_> = headers.iter().copied().chain([("cookie", self.cookie.as_str())]).collect();
        send(&self.client, self.addr, Method::GET, path, &headers, "").await
    }

    /// A change, as the page's script sends it.
    pub(crate) async fn change(&self, method: Method, path: &str, body: &str) -> Answer {
        let origin = format!("http://{}", self.addr);
        let headers = [
            ("cookie", self.cookie.as_str()),
            ("x-csrf-token", self.csrf.as_str()),
            ("origin", origin.as_str()),
            ("sec-fetch-site", "same-origin"),
            ("content-type", "application/json"),
        ];
        send(&self.client, self.addr, method, path, &headers, body).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.change(Method::POST, path, body).await
    }

    /// A new token of that scope; its secret.
    pub(crate) async fn token(&self, scope: &str) -> String {
        let wanted = serde_json::json!({"name": "program", "scope": scope, "password": PASSWORD}).to_string();
        let made = self.post("/api/tokens", &wanted).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["token"].as_str().unwrap().to_owned()
    }

    /// The live events, from now on.
    pub(crate) async fn stream(&self) -> reqwest::Response {
        let url = format!("http://{}/api/stream", self.addr);
        self.client.get(url).header("cookie", &self.cookie).send().await.unwrap()
    }
}

/// One request; the answer is as the API's description says.
pub(crate) async fn send(
    client: &reqwest::Client,
    addr: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = client.request(method.clone(), format!("http://{addr}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !body.is_empty() {
        request = request.body(body.to_owned());
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let answer = Answer { status, headers, body: response.bytes().await.unwrap().to_vec() };
    let faults = shapes::faults(method.as_str(), path, &answer);
    assert!(faults.is_empty(), "{method} {path}: {faults:?}: {answer:?}");
    answer
}

/// The same with a body of bytes.
pub(crate) async fn send_bytes(
    addr: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> Answer {
    let mut request = client().post(format!("http://{addr}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.body(body).send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let answer = Answer { status, headers, body: response.bytes().await.unwrap().to_vec() };
    let faults = shapes::faults("POST", path, &answer);
    assert!(faults.is_empty(), "POST {path}: {faults:?}: {answer:?}");
    answer
}

/// A request whose first line no decent client would send. Returns the whole answer as text.
pub(crate) async fn raw(addr: SocketAddr, target: &[u8], headers: &str) -> String {
    let mut connection = tokio::net::TcpStream::connect(addr).await.unwrap();
    let mut request = b"GET ".to_vec();
    request.extend_from_slice(target);
    request.extend_from_slice(format!(" HTTP/1.1\r\n{headers}Connection: close\r\n\r\n").as_bytes());
    connection.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn grey(width: usize, height: usize) -> Frame {
    let chroma = vec![128; width.div_ceil(2) * height.div_ceil(2)];
    let y = (0..width * height).map(|n| (n % 251) as u8).collect();
    Frame { width, height, y, u: chroma.clone(), v: chroma, colours: Colours::JPEG }
}
