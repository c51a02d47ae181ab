//! A camera of single JPEG pictures over HTTP, written for the tests: log-in, buffers as in an ESP32-CAM, and faults.
//!
//! Each picture says in a comment segment when it was exposed, so a stored one can be held against its edge.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// User name of every camera.
pub(crate) const USER: &str = "gate";

const REALM: &str = "IP Camera (71263)";

/// Longest head of a request.
const HEAD_MAX: usize = 16 * 1024;

/// How the camera wants to know who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    None,
    Basic,
    /// RFC 2069: MD5, no qop.
    DigestOld,
    /// RFC 7616 with qop=auth; a nonce is good for one picture.
    DigestMd5,
    DigestSha256,
}

/// What the answers look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Plain,
    /// `filename=capture.jpg`.
    Esp32,
    /// The same with `X-Timestamp`.
    Stamped,
}

/// What is wrong with the camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Stall,
    StallInPicture,
    Drip,
    /// Fewer bytes than announced.
    Truncated,
    /// As many as announced, without the end of the picture.
    Half,
    /// So many pictures without a piece of their data, between whole markers.
    Holed(u32),
    Html,
    Stream,
    NotFound,
    Busy,
    Close,
    /// The same picture again and again.
    Frozen,
    /// More bytes than a picture has.
    Endless,
    Redirect(String),
    OtherPassword,
}

/// What a camera is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model {
    pub(crate) login: Login,
    pub(crate) look: Look,
    /// Pictures taken in advance, right after the last one was fetched.
    pub(crate) buffers: usize,
    /// Whether it closes the connection after each answer.
    pub(crate) closes: bool,
}

/// A camera that takes its picture when it is asked, for everyone.
pub(crate) const PLAIN: Model = Model { login: Login::None, look: Look::Plain, buffers: 0, closes: false };

#[derive(Default)]
struct Record {
    fault: Option<Fault>,
    /// Exposures, in Unix milliseconds and since the start.
    buffered: VecDeque<(i64, Duration)>,
    last: Option<(u32, (i64, Duration))>,
    pictures: u32,
    nonces: HashSet<String>,
    requests: u32,
    connections: u32,
    under_way: u32,
    at_once: u32,
    has_asked: bool,
    unasked: u32,
    wrong: u32,
}

/// The camera; ends with this value.
pub(crate) struct SnapshotPeer {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

struct Shared {
    model: Model,
    password: String,
    jpeg: Vec<u8>,
    booted: Instant,
    record: Mutex<Record>,
}

impl SnapshotPeer {
    pub(crate) async fn start(model: Model, password: &str) -> Self {
        Self::start_showing(model, password, scene()).await
    }

    /// A camera whose pictures are these bytes, but for a comment.
    pub(crate) async fn start_showing(model: Model, password: &str, jpeg: Vec<u8>) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(8).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            model,
            password: password.to_owned(),
            jpeg,
            booted: Instant::now(),
            record: Mutex::default(),
        });
        for _ in 0..model.buffers {
            shared.expose_ahead();
        }
        let serving = Arc::clone(&shared);
        let listening = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serving.record.lock().unwrap().connections += 1;
                connections.spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self { address, shared, listening }
    }

    /// Address of its picture.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/capture?ch=1", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on this is wrong with it.
    pub(crate) fn inject(&self, fault: Fault) {
        self.shared.record.lock().unwrap().fault = Some(fault);
    }

    /// From now on nothing is.
    pub(crate) fn heal(&self) {
        self.shared.record.lock().unwrap().fault = None;
    }

    /// Pictures it has taken and sent.
    pub(crate) fn pictures(&self) -> u32 {
        self.shared.record.lock().unwrap().pictures
    }

    pub(crate) fn requests(&self) -> u32 {
        self.shared.record.lock().unwrap().requests
    }

    pub(crate) fn connections(&self) -> u32 {
        self.shared.record.lock().unwrap().connections
    }

    /// Most requests that were under way at the same time.
    pub(crate) fn at_once(&self) -> u32 {
        self.shared.record.lock().unwrap().at_once
    }

    /// Passwords that came before this camera had asked for one.
    pub(crate) fn unasked(&self) -> u32 {
        self.shared.record.lock().unwrap().unasked
    }

    /// Wrong passwords.
    pub(crate) fn wrong(&self) -> u32 {
        self.shared.record.lock().unwrap().wrong
    }
}

impl Drop for SnapshotPeer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// When a picture was exposed, Unix milliseconds.
pub(crate) fn exposed_ms(jpeg: &[u8]) -> i64 {
    let mark = b"exposed=";
    let at = jpeg.windows(mark.len()).position(|window| window == mark).expect("a picture of the peer");
    let digits: String =
        jpeg[at + mark.len()..].iter().map(|b| char::from(*b)).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// A picture as the camera sent it: without the first segment, which the daemon has put in.
pub(crate) fn without_facts(jpeg: &[u8]) -> Vec<u8> {
    assert_eq!(jpeg[..4], [0xff, 0xd8, 0xff, 0xe1], "facts come first");
    let length = usize::from(u16::from_be_bytes([jpeg[4], jpeg[5]]));
    [&jpeg[..2], &jpeg[4 + length..]].concat()
}

/// Whether a picture is the scene and a comment, byte for byte.
pub(crate) fn is_untouched(jpeg: &[u8]) -> bool {
    let scene = scene();
    jpeg.starts_with(&[0xff, 0xd8, 0xff, 0xfe])
        && jpeg.ends_with(&scene[2..])
        && jpeg.len() == scene.len() + 4 + usize::from(u16::from_be_bytes([jpeg[4], jpeg[5]])) - 2
}

/// A JPEG of about 300 kB, as a camera of 1080p sends it: noise, which does not get small.
pub(crate) fn large_scene() -> Vec<u8> {
    let mut noise = fastrand::Rng::with_seed(7);
    let image =
        image::RgbImage::from_fn(640, 336, |_, _| image::Rgb([noise.u8(..), noise.u8(..), noise.u8(..)]));
    let mut out = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut out, 80).encode_image(&image).unwrap();
    out
}

/// A small JPEG.
fn scene() -> Vec<u8> {
    let image = image::RgbImage::from_fn(96, 64, |x, y| image::Rgb([(x * 2) as u8, (y * 3) as u8, 90]));
    let mut out = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut out, 80).encode_image(&image).unwrap();
    out
}

impl Shared {
    fn expose(&self) -> (i64, Duration) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        (i64::try_from(unix.as_millis()).unwrap(), self.booted.elapsed())
    }

    fn expose_ahead(&self) {
        let exposure = self.expose();
        self.record.lock().unwrap().buffered.push_back(exposure);
    }

    /// The picture of the next answer, and its stamp.
    fn picture(&self) -> (Vec<u8>, String) {
        let mut record = self.record.lock().unwrap();
        record.pictures += 1;
        let frozen = record.last.filter(|_| record.fault == Some(Fault::Frozen));
        let fresh = |record: &mut Record| record.buffered.pop_front().unwrap_or_else(|| self.expose());
        let (number, (ms, since_boot)) = frozen.unwrap_or_else(|| (record.pictures, fresh(&mut record)));
        record.last = Some((number, (ms, since_boot)));
        let comment = format!("exposed={ms} number={number}");
        let length = u16::try_from(comment.len() + 2).unwrap().to_be_bytes();
        let parts: [&[u8]; 4] =
            [&self.jpeg[..2], &[0xff, 0xfe, length[0], length[1]], comment.as_bytes(), &self.jpeg[2..]];
        (parts.concat(), format!("{}.{:06}", since_boot.as_secs(), since_boot.subsec_micros()))
    }

    /// The challenge to answer this request with, unless it proves the password.
    fn challenge(&self, head: &str) -> Option<String> {
        let login = self.model.login;
        if login == Login::None {
            return None;
        }
        let mut record = self.record.lock().unwrap();
        let password =
            if record.fault == Some(Fault::OtherPassword) { "changed by someone" } else { &self.password };
        let given = header(head, "authorization");
        if given.is_some() && !record.has_asked {
            record.unasked += 1;
        }
        let is_right = given.is_some_and(|given| match login {
            Login::Basic => given == format!("Basic {}", STANDARD.encode(format!("{USER}:{password}"))),
            _ => is_right_digest(given, head, login, password, &mut record.nonces),
        });
        if is_right {
            return None;
        }
        let is_wrong = given.is_some_and(|given| login == Login::Basic || !is_spent(given, &record.nonces));
        record.wrong += u32::from(is_wrong);
        record.has_asked = true;
        let nonce = format!("{:016x}", fastrand::u64(..));
        record.nonces.insert(nonce.clone());
        Some(match login {
            Login::Basic => format!("Basic realm=\"{REALM}\""),
            Login::DigestOld => format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\""),
            Login::DigestMd5 => {
                format!(
                    "Digest realm=\"{REALM}\", nonce=\"{nonce}\", qop=\"auth\", algorithm=MD5, opaque=\"7f\""
                )
            }
            _ => format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", qop=\"auth\", algorithm=SHA-256"),
        })
    }
}

/// Whether an answer to a challenge names a nonce that is not good any more.
fn is_spent(given: &str, nonces: &HashSet<String>) -> bool {
    parameter(given, "nonce").is_some_and(|nonce| !nonces.contains(&nonce))
}

fn is_right_digest(
    given: &str,
    head: &str,
    login: Login,
    password: &str,
    nonces: &mut HashSet<String>,
) -> bool {
    let hash = |text: String| {
        let bytes = if login == Login::DigestSha256 {
            Sha256::digest(text.as_bytes()).to_vec()
        } else {
            Md5::digest(text.as_bytes()).to_vec()
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let of = |name: &str| parameter(given, name).unwrap_or_default();
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (nonce, uri) = (of("nonce"), of("uri"));
    let mut proof = format!("{}:{nonce}", hash(format!("{USER}:{REALM}:{password}")));
    if login != Login::DigestOld {
        proof = format!("{proof}:{}:{}:{}", of("nc"), of("cnonce"), of("qop"));
    }
    let proof = hash(format!("{proof}:{}", hash(format!("GET:{uri}"))));
    let is_right =
        of("username") == USER && uri == target && nonces.contains(&nonce) && of("response") == proof;
    if is_right && login == Login::DigestMd5 {
        nonces.remove(&nonce);
    }
    is_right
}

fn parameter(given: &str, name: &str) -> Option<String> {
    let rest = given.split_once(&format!(" {name}="))?.1;
    Some(match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?.to_owned(),
        None => rest.split(',').next()?.trim().to_owned(),
    })
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    while let Some(head) = read_head(&mut stream).await {
        {
            let mut record = shared.record.lock().unwrap();
            record.requests += 1;
            record.under_way += 1;
            record.at_once = record.at_once.max(record.under_way);
        }
        let is_open = answer(&mut stream, &shared, &head).await;
        shared.record.lock().unwrap().under_way -= 1;
        if is_open.is_none() || shared.model.closes {
            return;
        }
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert!(head.len() < HEAD_MAX, "an endless head");
        head.push(stream.read_u8().await.ok()?);
        if head == [0x16] {
            // The begin of TLS; servers answer what they do not understand so.
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok()?;
            return None;
        }
    }
    Some(String::from_utf8(head).unwrap())
}

/// Answers one request; `None` when the connection is to be closed.
async fn answer(stream: &mut TcpStream, shared: &Shared, head: &str) -> Option<()> {
    let fault = shared.record.lock().unwrap().fault.clone();
    let mut send = async |bytes: &[u8]| stream.write_all(bytes).await.ok();
    let words = |status: &str, kind: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    match &fault {
        Some(Fault::Close) => return None,
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::NotFound) => {
            return send(words("404 Not Found", "text/html", "<h1>404</h1>").as_bytes()).await;
        }
        Some(Fault::Busy) => return send(words("503 Busy", "text/plain", "busy").as_bytes()).await,
        Some(Fault::Html) => {
            let page = "<!doctype html><html><title>Camera log-in</title></html>";
            return send(words("200 OK", "text/html", page).as_bytes()).await;
        }
        Some(Fault::Stream) => {
            send(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=x\r\n\r\n--x\r\n")
                .await?;
            std::future::pending().await
        }
        Some(Fault::Redirect(to)) => {
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            return send(answer.as_bytes()).await;
        }
        _ => {}
    }
    if let Some(challenge) = shared.challenge(head) {
        let body = "<h1>401</h1>";
        let answer = format!(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        return send(answer.as_bytes()).await;
    }
    let (mut jpeg, stamp) = shared.picture();
    if let Some(Fault::Holed(left @ 1..)) = &mut shared.record.lock().unwrap().fault {
        *left -= 1;
        let end = jpeg.len() - 2;
        jpeg.drain(end - 80..end - 20);
    }
    let announced = if fault == Some(Fault::Endless) { 1 << 30 } else { jpeg.len() };
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {announced}\r\n");
    if shared.model.look != Look::Plain {
        answer.push_str("Content-Disposition: inline; filename=capture.jpg\r\n");
    }
    if shared.model.look == Look::Stamped {
        answer.push_str(&format!("X-Timestamp: {stamp}\r\n"));
    }
    if shared.model.closes {
        answer.push_str("Connection: close\r\n");
    }
    send(format!("{answer}\r\n").as_bytes()).await?;
    let half = jpeg.len() / 2;
    match fault {
        Some(Fault::Truncated) => {
            send(&jpeg[..half]).await?;
            return None;
        }
        Some(Fault::StallInPicture) => {
            send(&jpeg[..half]).await?;
            std::future::pending().await
        }
        Some(Fault::Drip) => {
            let mut pace = tokio::time::interval(Duration::from_millis(500));
            for byte in &jpeg {
                pace.tick().await;
                send(&[*byte]).await?;
            }
        }
        Some(Fault::Half) => jpeg[half..].fill(0x55),
        _ => {}
    }
    send(&jpeg).await?;
    if shared.model.buffers > 0 {
        shared.expose_ahead();
    }
    Some(())
}
