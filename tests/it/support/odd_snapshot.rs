//! A camera of single pictures whose every byte can be chosen, for answers that no HTTP server would write.
//!
//! Its scene changes whenever nobody has asked for a while, so never between pictures that are asked for one after the
//! other; and each picture says in a comment segment when it was exposed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// After so long without a question the scene is another one. Shorter than any pause between the daemon's rounds, and long
/// beside those within one, on a busy machine too.
const CHANGES: Duration = Duration::from_millis(1800);

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
    /// The number of the scene, and when somebody asked last.
    scene: Mutex<(u32, Instant)>,
}

impl Shared {
    /// A picture of now.
    fn picture(&self) -> Vec<u8> {
        picture(self.scene.lock().unwrap().0)
    }

    /// Somebody asks.
    fn ask(&self) -> u32 {
        let mut scene = self.scene.lock().unwrap();
        scene.0 += u32::from(scene.1.elapsed() > CHANGES);
        scene.1 = Instant::now();
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        *asked
    }
}

impl OddSnapshot {
    /// A camera that takes so many pictures in advance, right after one was fetched.
    pub(crate) async fn start(buffers: usize, answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let held = Mutex::new((0..buffers).map(|_| picture(0)).collect());
        let shared =
            Arc::new(Shared { answer, held, asked: Mutex::new(0), scene: Mutex::new((0, Instant::now())) });
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
        let number = shared.ask();
        let held = shared.held.lock().unwrap().pop_front();
        let is_buffered = held.is_some();
        let (answer, then) = (shared.answer)(number, &held.unwrap_or_else(|| shared.picture()));
        stream.write_all(&answer).await.ok()?;
        if is_buffered {
            shared.held.lock().unwrap().push_back(shared.picture());
        }
        match then {
            Then::Close => return Some(()),
            Then::Keep => {}
            Then::Repeat => loop {
                stream.write_all(&(shared.answer)(number, &shared.picture()).0).await.ok()?;
                tokio::task::yield_now().await;
            },
        }
    }
}

/// A picture: stripes whose brightness is another in each scene, and the instant in a comment.
fn picture(scene: u32) -> Vec<u8> {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let image = image::RgbImage::from_fn(96, 64, |x, y| {
        let bright = (x / 8 * 37 + y / 8 * 61 + scene * 83) % 256;
        image::Rgb([bright as u8; 3])
    });
    let mut out = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut out, 80).encode_image(&image).unwrap();
    let comment = format!("exposed={}", unix.as_millis());
    let length = u16::try_from(comment.len() + 2).unwrap().to_be_bytes();
    [&out[..2], &[0xff, 0xfe, length[0], length[1]], comment.as_bytes(), &out[2..]].concat()
}
