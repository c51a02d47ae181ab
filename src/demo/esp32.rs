//! Stand-ins for two small cameras: one that answers `GET /capture` with a picture, as an ESP32-CAM does, and one that
//! pushes its picture to the daemon each minute. What they show is the scene of the other cameras, at that instant.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::clock;
use crate::config::Secret;
use crate::demo::clients::serve_clients;
use crate::demo::http::{DemoAnswer, HEAD_MAX, RequestHead};
use crate::demo::picture::Scene;
use crate::media::frame::{Colours, Frame};
use crate::media::jpeg;

/// Pixels of a picture, those of an ESP32-CAM in its usual setting.
const SIZE: (usize, usize) = (640, 480);

/// Where the picture is.
const CAPTURE_PATH: &str = "/capture";

/// Clients at a time; more wait in the kernel.
const CLIENTS_MAX: usize = 4;

/// A client, or the daemon, may be silent for this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two pictures that are pushed.
const PERIOD: Duration = Duration::from_secs(60);

/// Longest answer of the daemon that is read, bytes.
const ANSWER_MAX: u64 = 16 * 1024;

/// Takes pictures one after the other.
struct Lens {
    scene: Scene,
    taken: AtomicU64,
}

impl Lens {
    fn new(label: &str, hue: u16) -> Self {
        Self { scene: Scene::new(SIZE.0, SIZE.1, hue, label), taken: AtomicU64::new(0) }
    }

    /// The scene of now, as a JPEG.
    fn take(&self) -> io::Result<Vec<u8>> {
        let mut picture = self.scene.blank();
        self.scene.draw(&mut picture, clock::now(), self.taken.fetch_add(1, Ordering::Relaxed));
        let ((width, height), (y, u, v)) = (picture.size(), picture.planes());
        let planes = [(y, width), (u, width / 2), (v, width / 2)];
        let frame = Frame::from_strided((width, height), planes, Colours::VIDEO);
        let frame = frame.ok_or_else(|| io::Error::other("a plane of the scene is too short"))?;
        jpeg::encode_plain(&frame).map_err(io::Error::other)
    }
}

/// A camera that gives a picture when it is asked for one.
pub struct Esp32Camera {
    listener: TcpListener,
    local_addr: SocketAddr,
    lens: Lens,
}

impl Esp32Camera {
    /// Listens on `addr` (port 0 takes a free one).
    pub async fn bind(addr: SocketAddr, label: &str, hue: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let local_addr = listener.local_addr()?;
        Ok(Self { listener, local_addr, lens: Lens::new(label, hue) })
    }

    /// Where its picture is.
    pub fn url(&self) -> String {
        format!("http://{}{CAPTURE_PATH}", self.local_addr)
    }

    /// Serves until `cancel` fires; dropping the future does the same.
    pub async fn run(self, cancel: CancellationToken) {
        let lens = Arc::new(self.lens);
        serve_clients(self.listener, CLIENTS_MAX, cancel, |stream, _| {
            let lens = Arc::clone(&lens);
            async move {
                // Whoever asked may have gone.
                let _ = timeout(PATIENCE, answer(stream, &lens)).await;
            }
        })
        .await;
    }
}

/// One request and its answer; then the connection is closed, as such cameras do.
async fn answer(mut stream: TcpStream, lens: &Lens) -> io::Result<()> {
    let mut inbox = Vec::new();
    let head = loop {
        match RequestHead::parse(&inbox) {
            Ok(Some((head, _))) => break head,
            Ok(None) if inbox.len() < HEAD_MAX => {}
            Ok(None) | Err(_) => return Ok(()),
        }
        if stream.read_buf(&mut inbox).await? == 0 {
            return Ok(());
        }
    };
    if head.method != "GET" || head.target.split('?').next() != Some(CAPTURE_PATH) {
        let error = DemoAnswer::error(404, "not_found", "the picture is at /capture");
        return stream.write_all(&error.to_bytes(&head.method, true)).await;
    }
    let picture = lens.take()?;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        picture.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&picture).await?;
    stream.shutdown().await
}

/// A camera that brings its picture each minute.
pub struct PushingDevice {
    lens: Lens,
    token: Secret<String>,
}

impl PushingDevice {
    /// One that is known by `token`.
    pub fn new(label: &str, hue: u16, token: Secret<String>) -> Self {
        Self { lens: Lens::new(label, hue), token }
    }

    /// Pushes to where `to` says that the daemon listens, until `cancel` fires.
    pub async fn run(self, mut to: watch::Receiver<Option<SocketAddr>>, cancel: CancellationToken) {
        let push = async {
            let Ok(daemon) = to.wait_for(Option::is_some).await.map(|address| *address) else { return };
            let Some(daemon) = daemon else { return };
            loop {
                match timeout(PATIENCE, self.push(daemon)).await {
                    Ok(Ok(200)) => {}
                    Ok(Ok(status)) => debug!(status, "demonstration device: the picture was not taken"),
                    Ok(Err(error)) => debug!(%error, "demonstration device: the picture was not brought"),
                    Err(_) => debug!("demonstration device: no answer came in time"),
                }
                sleep(PERIOD).await;
            }
        };
        tokio::select! {
            () = cancel.cancelled() => {}
            () = push => {}
        }
    }

    /// Brings one picture; the status of the answer.
    async fn push(&self, daemon: SocketAddr) -> io::Result<u16> {
        let picture = self.lens.take()?;
        let head = format!(
            "POST /upload HTTP/1.1\r\nHost: {daemon}\r\nAuthorization: Bearer {}\r\nContent-Type: image/jpeg\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.token.reveal(),
            picture.len()
        );
        let mut stream = TcpStream::connect(daemon).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&picture).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
        let line = String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or_default());
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.ok_or_else(|| io::Error::other("the answer is not HTTP"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:0";

    async fn said(address: SocketAddr, request: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_camera_answers_with_a_picture_of_now_and_has_nothing_else() {
        let camera = Esp32Camera::bind(LOOPBACK.parse().unwrap(), "Yard", 60).await.unwrap();
        let (address, cancel) = (camera.local_addr, CancellationToken::new());
        let task = tokio::spawn(camera.run(cancel.clone()));
        let answer = said(address, "GET /capture HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let body = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(jpeg::inspect(&answer[body..]).unwrap(), (640, 480));
        assert_ne!(
            said(address, "GET /capture HTTP/1.1\r\nHost: x\r\n\r\n").await,
            answer,
            "the frame number"
        );
        assert!(said(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with(b"HTTP/1.1 404 "));
        assert!(said(address, "nonsense\r\n\r\n").await.is_empty());
        cancel.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn the_device_pushes_as_soon_as_the_daemon_listens_and_shows_its_token() {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let device = PushingDevice::new("Porch", 280, Secret::new("0123456789abcdef".to_owned()));
        let (told, to) = watch::channel(None);
        let cancel = CancellationToken::new();
        let task = tokio::spawn(device.run(to, cancel.clone()));
        told.send_replace(Some(listener.local_addr().unwrap()));
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut inbox = Vec::new();
        let (head, length) = loop {
            stream.read_buf(&mut inbox).await.unwrap();
            if let Ok(Some(parsed)) = RequestHead::parse(&inbox) {
                break parsed;
            }
        };
        assert_eq!((head.method.as_str(), head.target.as_str()), ("POST", "/upload"));
        assert_eq!(head.header("authorization"), Some("Bearer 0123456789abcdef"));
        let announced: usize = head.header("content-length").unwrap().parse().unwrap();
        while inbox.len() < length + announced {
            stream.read_buf(&mut inbox).await.unwrap();
        }
        assert_eq!(jpeg::inspect(&inbox[length..]).unwrap(), (640, 480));
        cancel.cancel();
        task.await.unwrap();
    }
}
