//! The camera of the tests: GStreamer's RTSP server in a process of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsAcceptor;

const PYTHON: &str = "/usr/bin/python3";

/// What the server imports and runs.
const CHECK: &str = "import gi, numpy, shutil\n\
    gi.require_version('GstRtspServer', '1.0')\n\
    from gi.repository import Gst, GstRtspServer\n\
    Gst.init(None)\n\
    for name in ('rtph264pay', 'rtph265pay', 'rtpjpegpay', 'h264parse', 'h265parse', 'jpegparse', 'openh264enc', 'jpegenc', 'rawvideoparse', 'matroskamux', 'matroskademux', 'appsrc'):\n\
    \x20   assert Gst.ElementFactory.find(name), 'GStreamer has no ' + name\n\
    assert shutil.which('ffmpeg'), 'there is no ffmpeg'";

/// Longest start: a loop of 1080p is encoded first if there is none, on a slow machine that does other things too.
const START: Duration = Duration::from_secs(300);

/// Encoding the same loop twice at the same time would only take twice as long.
static STARTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Log-in of the camera.
#[derive(Clone, Copy)]
pub(crate) enum Auth<'a> {
    None,
    Basic { password: &'a str },
    Digest { password: &'a str },
}

/// User name of every camera.
pub(crate) const USER: &str = "cam";

/// What a camera sends.
#[derive(Clone, Copy)]
pub(crate) struct Video {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) gop: u32,
    pub(crate) bitrate: &'static str,
    /// More words for `rtsp_server.py`: codec, profile and so on.
    pub(crate) options: &'static [&'static str],
}

/// What parking cameras send: 1080p25, a keyframe every two seconds.
pub(crate) const FULL_HD: Video = Video { width: 1920, height: 1080, gop: 50, bitrate: "4M", options: &[] };

/// Cheap, where the size does not matter.
pub(crate) const SMALL: Video = Video { width: 640, height: 360, gop: 25, bitrate: "1M", options: &[] };

/// A running server; ends with this value.
pub(crate) struct RtspPeer {
    child: Child,
    port: u16,
    control_port: u16,
    loops: Vec<PathBuf>,
    late_ms: i64,
}

/// Whether the packages of the server are there. Without them a test is skipped, loudly; with `REQUIRE_PEERS=1` it fails.
pub(crate) async fn is_available(test: &str) -> bool {
    let outcome = Command::new(PYTHON).args(["-c", CHECK]).output().await;
    let missing = match outcome {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned(),
        Err(error) => format!("{PYTHON}: {error}"),
    };
    let advice = format!("{test}: the RTSP server cannot run ({missing}); scripts/test installs it");
    assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "{advice}");
    super::report(&format!("SKIPPED {advice}"));
    false
}

impl RtspPeer {
    /// Starts a server on a free port that serves `/r1` and so on, as many as `cameras`.
    pub(crate) async fn start(video: Video, auth: Auth<'_>, cameras: u8) -> Self {
        Self::start_on(0, video, auth, cameras).await
    }

    /// Starts a server on this port.
    pub(crate) async fn start_on(port: u16, video: Video, auth: Auth<'_>, cameras: u8) -> Self {
        Self::start_with(port, video, auth, cameras, None).await
    }

    /// Starts a server of `rtsps://` with the certificate and the key of this file.
    pub(crate) async fn start_secured(video: Video, auth: Auth<'_>, cameras: u8, pem: &Path) -> Self {
        Self::start_with(0, video, auth, cameras, Some(pem)).await
    }

    async fn start_with(port: u16, video: Video, auth: Auth<'_>, cameras: u8, pem: Option<&Path>) -> Self {
        let _one_at_a_time = STARTING.lock().await;
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
        let paths: Vec<_> = (1..=cameras).map(|n| format!("r{n}")).collect();
        let mut command = Command::new(PYTHON);
        command
            .arg("-B")
            .arg(peers.join("rtsp_server.py"))
            .arg("--cache")
            .arg(loops())
            .args(["--port", &port.to_string(), "--paths", &paths.join(",")])
            .args(["--width", &video.width.to_string(), "--height", &video.height.to_string()])
            .args(["--gop", &video.gop.to_string(), "--bitrate", video.bitrate, "--user", USER])
            .args(video.options);
        if let Some(pem) = pem {
            command.arg("--tls").arg(pem);
        }
        match auth {
            Auth::None => &mut command,
            Auth::Basic { password } => command.args(["--auth", "basic", "--password", password]),
            Auth::Digest { password } => command.args(["--auth", "digest", "--password", password]),
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        tokio::time::timeout(START, stdout.read_line(&mut line))
            .await
            .expect("the RTSP server starts")
            .unwrap();
        let ready: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("the RTSP server did not start: {line:?}"));
        let port = |name: &str| u16::try_from(ready[name].as_u64().unwrap()).unwrap();
        let loops =
            ready["loops"].as_array().unwrap().iter().map(|file| file.as_str().unwrap().into()).collect();
        let late_ms = ready["late_ms"].as_i64().unwrap();
        Self { port: port("port"), control_port: port("control_port"), loops, late_ms, child }
    }

    /// The port it serves at.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How long it holds every picture back: with B-frames, until those it refers to can be sent. Nothing in the stream
    /// tells it, so what counts as the edge's instant is that much older.
    pub(crate) fn late_ms(&self) -> i64 {
        self.late_ms
    }

    /// What it sends, as a file that anybody can decode; the second one is sent after the control command `second`.
    pub(crate) fn loops(&self) -> &[PathBuf] {
        &self.loops
    }

    /// Address of its `n`th stream.
    pub(crate) fn url(&self, n: u8) -> String {
        format!("rtsp://127.0.0.1:{}/r{n}", self.port)
    }

    /// Asks for a fault (see `rtsp_server.py`) and returns the answer.
    pub(crate) async fn control(&self, line: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.control_port)).await.unwrap();
        stream.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).await.unwrap();
        answer.trim().to_owned()
    }

    /// SIGKILL: the cable is pulled out. Returns the port, for a successor.
    pub(crate) async fn kill(mut self) -> u16 {
        self.child.kill().await.unwrap();
        self.port
    }
}

/// Where encoded loops are kept from run to run.
fn loops() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("rtsp-loops")
}

/// A certificate as cameras make it for themselves, and its key.
pub(crate) struct Secured {
    pub(crate) certificate: rcgen::Certificate,
    pub(crate) key: rcgen::KeyPair,
}

impl Secured {
    /// What shows it to clients and speaks these versions.
    pub(crate) fn acceptor(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> TlsAcceptor {
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// Both as text.
    pub(crate) fn pem(&self) -> String {
        format!("{}{}", self.certificate.pem(), self.key.serialize_pem())
    }
}

/// Of a camera that calls itself so, good until the begin of a year.
pub(crate) fn secured(name: &str, until: i32) -> Secured {
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    Secured { certificate: params.self_signed(&key).unwrap(), key }
}
