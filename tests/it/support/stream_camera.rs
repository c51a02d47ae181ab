//! A camera as the streaming API expects it: `/`, `/capture`, and `/stream` where it has one. It counts who is connected.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Between two pictures of the stream.
const PACE: Duration = Duration::from_millis(40);

/// What the camera is like.
#[derive(Clone, Default)]
pub(crate) struct StreamModel {
    pub(crate) has_stream: bool,
    /// What `GET /` is answered instead of success.
    pub(crate) root: Option<String>,
    /// It takes requests and answers none.
    pub(crate) is_silent: bool,
    /// Bytes of each picture beside its content.
    pub(crate) padding: usize,
}

/// The camera; ends with this value.
pub(crate) struct StreamCamera {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
    listening: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    connections: watch::Sender<usize>,
    requests: Mutex<Vec<String>>,
    model: StreamModel,
    jpeg: Vec<u8>,
}

impl StreamCamera {
    /// A camera that shows this picture.
    pub(crate) async fn start(model: StreamModel, jpeg: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen { model, jpeg, ..Seen::default() });
        let serving = Arc::clone(&seen);
        let listening = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let seen = Arc::clone(&serving);
                connections.spawn(async move {
                    seen.connections.send_modify(|count| *count += 1);
                    serve(stream, &seen).await;
                    seen.connections.send_modify(|count| *count -= 1);
                });
            }
        });
        Self { address, seen, listening }
    }

    /// How often a path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.seen.requests.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }

    /// Waits until so many are connected.
    pub(crate) async fn connected(&self, count: usize) {
        let mut connections = self.seen.connections.subscribe();
        let waited =
            tokio::time::timeout(Duration::from_secs(20), connections.wait_for(|now| *now == count)).await;
        waited.unwrap_or_else(|_| panic!("{} are connected", *self.seen.connections.borrow())).unwrap();
    }
}

impl Drop for StreamCamera {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(mut stream: TcpStream, seen: &Seen) {
    let mut head = Vec::new();
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
        head.clear();
        seen.requests.lock().unwrap().push(path.clone());
        if seen.model.is_silent {
            return std::future::pending().await;
        }
        let written = match path.as_str() {
            "/" => match &seen.model.root {
                Some(root) => stream.write_all(root.as_bytes()).await,
                None => stream.write_all(&answer("text/html", b"ESP32 Camera Ready")).await,
            },
            "/capture" => stream.write_all(&answer("image/jpeg", &picture(seen))).await,
            "/stream" if seen.model.has_stream => return show(stream, seen).await,
            _ => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await,
        };
        if written.is_err() {
            return;
        }
    }
}

/// Pictures until nobody takes them. Who is gone is noticed at once, as by TCP.
async fn show(stream: TcpStream, seen: &Seen) {
    let (mut reading, mut writing) = stream.into_split();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=part\r\n\r\n";
    if writing.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    let send = async {
        loop {
            let jpeg = picture(seen);
            let head =
                format!("\r\n--part\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
            if writing.write_all(&[head.as_bytes(), &jpeg].concat()).await.is_err() {
                return;
            }
            tokio::time::sleep(PACE).await;
        }
    };
    let mut nothing = [0];
    tokio::select! {
        () = send => {}
        _ = reading.read(&mut nothing) => {}
    }
}

/// The camera's picture, each time another one by its comment.
fn picture(seen: &Seen) -> Vec<u8> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut comment = format!("{number:08}").into_bytes();
    comment.resize(8 + seen.model.padding.min(60_000), b'.');
    let length = u16::try_from(comment.len() + 2).unwrap().to_be_bytes();
    [&seen.jpeg[..2], &[0xff, 0xfe], &length, &comment, &seen.jpeg[2..]].concat()
}

/// As the firmware of the streaming API answers.
fn answer(kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Disposition: inline; filename=capture.jpg\r\n\
         Access-Control-Allow-Origin: *\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
