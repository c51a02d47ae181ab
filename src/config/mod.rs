//! The configuration: final types, parsed once at start.

mod secret;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::model::CameraKey;
pub use secret::Secret;

/// Everything the program was told, valid as a whole.
#[derive(Clone, Debug)]
pub struct Config {
    /// Every configured camera, enabled or not, in the order of its number.
    pub cameras: Vec<CameraConfig>,
    /// Contacts.
    pub gpio: GpioConfig,
    /// Delivery.
    pub upload: UploadConfig,
    /// Disk and database.
    pub storage: StorageConfig,
    /// Dashboard.
    pub web: WebConfig,
    /// Log.
    pub log: LogConfig,
}

/// One camera (`CAMERA_n_…`).
#[derive(Clone, Debug)]
pub struct CameraConfig {
    /// The `n` of its variables, from 1 to 16.
    pub number: u8,
    /// Its short name, `r<n>` unless `CAMERA_n_NAME` says otherwise.
    pub key: CameraKey,
    /// Its name for people: Entry, Exit, Auxiliary, `Camera <n>`, or `CAMERA_n_LABEL`.
    pub label: String,
    /// Whether it is used.
    pub enabled: bool,
    /// Where its pictures come from; `None` only when it is disabled and has no address.
    pub source: Option<SourceConfig>,
    /// Which instants are kept of each trigger, in milliseconds from the edge.
    pub offsets_ms: Vec<i64>,
    /// BCM number of its contact, if it has one.
    pub pin: Option<u8>,
}

/// Where a camera's pictures come from.
#[derive(Clone, Debug)]
pub enum SourceConfig {
    /// A stream that is kept open.
    Rtsp(RtspConfig),
}

/// An RTSP stream.
#[derive(Clone, Debug)]
pub struct RtspConfig {
    /// Without user name and password.
    pub url: Url,
    /// What to answer when the camera asks who we are.
    pub credentials: Option<Credentials>,
    /// How RTP travels.
    pub transport: Transport,
}

/// A user name and its password.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret<String>,
}

/// How RTP travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Interleaved in the RTSP connection (RFC 2326 section 10.12).
    Tcp,
    /// In datagrams of its own.
    Udp,
}

/// Contacts (`GPIO_…`).
#[derive(Clone, Debug)]
pub struct GpioConfig {
    /// Whether hardware (or its simulation) is touched at all.
    pub enabled: bool,
    /// Whether an edge takes a picture; if not, contacts are only shown.
    pub trigger_enabled: bool,
    /// Which back end serves the lines.
    pub backend: GpioBackend,
    /// Which level means that the contact is closed.
    pub active: ActiveLevel,
    /// How long a line is deaf after a trigger.
    pub bounce: Duration,
    /// The chip, by number, path, name or label; `None` looks for the Pi's header.
    pub chip: Option<String>,
}

/// `GPIO_BACKEND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpioBackend {
    /// rppal on a Raspberry Pi, else the character device.
    Auto,
    /// rppal.
    Rppal,
    /// The kernel's GPIO character device.
    Cdev,
    /// Simulated pins.
    Sim,
}

/// `GPIO_ACTIVE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActiveLevel {
    /// The contact pulls the line to ground; the internal pull-up is switched on.
    Low,
    /// The contact pulls the line up; the internal pull-down is switched on.
    High,
}

/// Delivery.
#[derive(Clone, Debug)]
pub struct UploadConfig {
    /// `UPLOAD_ENABLED`: whether anything is sent.
    pub enabled: bool,
    /// `BACKGROUND_UPLOAD`: if false, a manual capture answers after its first delivery attempt.
    pub background: bool,
    /// `UPLOAD_QUEUE_SIZE`: rows held in memory at once; the durable queue has no limit but the disk.
    pub prefetch: usize,
    /// `OFFLINE_RETRY_INTERVAL`: longest pause between attempts on a target that is away.
    pub retry_interval: Duration,
    /// `CONNECTIVITY_CHECK_INTERVAL`: how often an idle target is asked for a connection.
    pub check_interval: Duration,
    /// The HTTP API, if it is configured and not left out by `UPLOAD_TARGETS`.
    pub api: Option<ApiTargetConfig>,
}

/// The `api` target.
#[derive(Clone, Debug)]
pub struct ApiTargetConfig {
    /// `S3_API_URL`; may carry credentials, so it is never printed whole.
    pub url: Secret<Url>,
    /// `UPLOAD_FIELD_NAME`.
    pub field_name: String,
    /// `UPLOAD_HEADERS`, names valid as HTTP header names.
    pub headers: Vec<(String, Secret<String>)>,
}

/// Disk and database.
#[derive(Clone, Debug)]
pub struct StorageConfig {
    /// `IMAGE_STORAGE_PATH`.
    pub images: PathBuf,
    /// `DATABASE_PATH`, default `camera-capture.db` beside the images' directory.
    pub database: PathBuf,
    /// `IMAGE_RETENTION_DAYS`.
    pub retention_days: u32,
    /// `CLEANUP_INTERVAL_HOURS`.
    pub cleanup_interval: Duration,
    /// `STORAGE_MAX_BYTES`, if there is a limit.
    pub max_bytes: Option<u64>,
    /// `STORAGE_MIN_FREE_BYTES`, if there is a floor.
    pub min_free_bytes: Option<u64>,
}

/// Dashboard.
#[derive(Clone, Debug)]
pub struct WebConfig {
    /// `BIND_IP` and `BIND_PORT`.
    pub bind: SocketAddr,
    /// Who may look.
    pub access: WebAccess,
    /// `WEB_PASSWORD_HASH`, a PHC string; counts until a password is set.
    pub password_hash: Option<Secret<String>>,
}

/// Who may use the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebAccess {
    /// Whoever has the password.
    Password,
    /// Whoever is on this machine (`WEB_AUTH_ENABLED=false` on a loopback address).
    Loopback,
    /// The demonstration: like [`WebAccess::Loopback`], and the page says so.
    Demo,
}

/// Log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `LOG_LEVEL`: a level or a `tracing` filter.
    pub filter: String,
    /// `LOG_FORMAT`.
    pub format: LogFormat,
}

/// `LOG_FORMAT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}
