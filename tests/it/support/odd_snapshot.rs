//! A camera of single pictures whose every byte can be chosen, for answers that no HTTP server would write.
//!
//! Its scene changes with the time, and each picture says in a comment segment when it was exposed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What happens behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The connection is closed.
    Close,
    /// It waits for the next request.
    Keep,
    /// The same again, without end.
    Repeat,
}

/// Writes the answer with this number, from 1, of a picture.
pub(crate) type Answer = fn(u32, &[u8]) -> (Vec<u8>, Then);

/// The camera; ends with this value.
pub(crate) struct OddSnapshot {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

struct Shared {
    answer: Answer,
    held: Mutex<VecDeque<Vec<u8>>>,
    asked: Mutex<u32>,
}

impl OddSnapshot {
    /// A camera that takes so many pictures in advance, right after one was fetched.
    pub(crate) async fn start(buffers: usize, answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let held = Mutex::new((0..buffers).map(|_| scene()).collect());
        let shared = Arc::new(Shared { answer, held, asked: Mutex::new(0) });
        let serving = Arc::clone(&shared);
        let listening = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self { address, shared, listening }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/snap.jpg", self.address)
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> u32 {
        *self.shared.asked.lock().unwrap()
    }
}

impl Drop for OddSnapshot {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert!(head.len() < 16 << 10, "an endless head");
            head.push(stream.read_u8().await.ok()?);
        }
        let number = {
            let mut asked = shared.asked.lock().unwrap();
            *asked += 1;
            *asked
        };
        let held = shared.held.lock().unwrap().pop_front();
        let is_buffered = held.is_some();
        let (answer, then) = (shared.answer)(number, &held.unwrap_or_else(scene));
        stream.write_all(&answer).await.ok()?;
        if is_buffered {
            shared.held.lock().unwrap().push_back(scene());
        }
        match then {
            Then::Close => return Some(()),
            Then::Keep => {}
            Then::Repeat => loop {
                stream.write_all(&(shared.answer)(number, &scene()).0).await.ok()?;
                tokio::task::yield_now().await;
            },
        }
    }
}

/// The picture of now: stripes whose brightness is different every other second, and the instant in a comment.
fn scene() -> Vec<u8> {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let second = u32::try_from(unix.as_secs() / 2 % 1000).unwrap();
    let image = image::RgbImage::from_fn(96, 64, |x, y| {
        let bright = (x / 8 * 37 + y / 8 * 61 + second * 83) % 256;
        image::Rgb([bright as u8; 3])
    });
    let mut out = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut out, 80).encode_image(&image).unwrap();
    let comment = format!("exposed={}", unix.as_millis());
    let length = u16::try_from(comment.len() + 2).unwrap().to_be_bytes();
    [&out[..2], &[0xff, 0xfe, length[0], length[1]], comment.as_bytes(), &out[2..]].concat()
}
