//! A server with a store behind it, and the other end of its connections.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use super::super::*;
use crate::config::{Config, Env};
use crate::disk::DiskGuard;
use crate::media::frame::{Colours, Frame};
use crate::media::jpeg;
use crate::status::Status;
use crate::store::testing::Place;
use crate::store::{Image, ImageQuery, LedgerEntry, LedgerQuery, Store};

/// Longer than anything takes, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nothing of it ends by itself while a test runs.
pub(super) const PATIENT: FtpLimits = FtpLimits {
    log_in: PATIENCE,
    control_idle: PATIENCE,
    reply: PATIENCE,
    data_wait: PATIENCE,
    data_idle: PATIENCE,
    transfer: PATIENCE,
    keep: PATIENCE,
    wrong_pause: Duration::ZERO,
    free_percent: 0,
};

/// The server and what it stores into.
pub(super) struct Rig {
    pub(super) place: Place,
    pub(super) store: Store,
    pub(super) server: Arc<FtpServer>,
    address: SocketAddr,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
}

impl Rig {
    pub(super) async fn new() -> Self {
        Self::with(&[], PATIENT).await
    }

    /// The device `esp` with the log-in of the old text (S1.1), and more variables.
    pub(super) async fn with(more: &[(&'static str, &'static str)], limits: FtpLimits) -> Self {
        let mut pairs = vec![
            ("INGEST_1_NAME", "esp"),
            ("INGEST_1_USER", "cam_client"),
            ("INGEST_1_PASSWORD", "camera"),
            ("FTP_PORT", "2121"),
            ("INGEST_1_PER_MINUTE", "6000"),
        ];
        pairs.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        pairs.extend(more);
        let (config, _) = Config::parse(&Env::from_pairs(pairs)).unwrap();
        let place = Place::new();
        let store = place.open();
        let guard = DiskGuard::new(store.intake(), &config.storage, &Status::new(&config));
        let (pushes, mut keeper) = Pushes::new(&config, &store, &guard);
        let (cancel, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let until = cancel.clone();
        tasks.spawn(async move { keeper.run(&until).await });
        let door = Arc::new(Door::new(&config.ingest));
        let ftp = config.ingest.ftp.clone().unwrap();
        let local = Ipv4Addr::LOCALHOST.into();
        let server = Arc::new(FtpServer::with_limits(local, &ftp, door, pushes, limits));
        let listener = TcpListener::bind((local, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (serving, until) = (Arc::clone(&server), cancel.clone());
        tasks.spawn(async move { serving.serve(listener, &until).await });
        Self { place, store, server, address, cancel, tasks }
    }

    /// Somebody who was greeted.
    pub(super) async fn stranger(&self) -> Client {
        let mut client = self.connect(1).await;
        client.expect("220 ").await;
        client
    }

    /// A connection from 127.0.0.`n`.
    pub(super) async fn connect(&self, n: u8) -> Client {
        Client { control: connect(n, self.address).await, n }
    }

    /// The device, logged in.
    pub(super) async fn device(&self) -> Client {
        let mut client = self.stranger().await;
        client.ask("USER cam_client", "331 ").await;
        client.ask("PASS camera", "230 ").await;
        client
    }

    pub(super) async fn images(&self) -> Vec<Image> {
        self.store.images(ImageQuery { limit: 100, ..ImageQuery::default() }).await.unwrap().items
    }

    /// The names by which pictures are known where they come from, the newest first.
    pub(super) async fn own_names(&self) -> Vec<String> {
        let name = |image: Image| image.facts.push.and_then(|push| push.own_name).unwrap_or_default();
        self.images().await.into_iter().map(name).collect()
    }

    pub(super) async fn ledger(&self) -> Vec<LedgerEntry> {
        self.store.ledger(LedgerQuery { limit: 100, ..LedgerQuery::default() }).await.unwrap().items
    }

    /// Why pictures were refused, the newest first.
    pub(super) async fn refusals(&self) -> Vec<String> {
        self.ledger()
            .await
            .into_iter()
            .filter_map(|entry| entry.reason)
            .map(|reason| format!("{reason:?}"))
            .collect()
    }

    /// The end of the program.
    pub(super) async fn end(mut self) -> Place {
        self.cancel.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        timeout(PATIENCE, all).await.unwrap();
        self.store.close().await.unwrap();
        self.place
    }
}

async fn connect(n: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, n), 0).into()).unwrap();
    let stream = timeout(PATIENCE, socket.connect(to)).await.unwrap().unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A client that takes for an answer whatever one read gives, and knows no answer that is longer than the ESP32's buffer
/// (S1.3).
pub(super) struct Client {
    pub(super) control: TcpStream,
    n: u8,
}

impl Client {
    /// What one read gives.
    pub(super) async fn answer(&mut self) -> String {
        let mut buffer = [0; 1000];
        let read = timeout(PATIENCE, self.control.read(&mut buffer)).await.expect("an answer");
        let text = String::from_utf8(buffer[..read.unwrap_or(0)].to_vec()).unwrap();
        assert!(text.len() <= 127, "{text}");
        let lines = if text.starts_with("211-") { text.lines().count() } else { text.len().min(1) };
        assert_eq!(text.lines().count(), lines, "{text:?}");
        assert!(text.is_empty() || text.ends_with("\r\n"), "{text:?}");
        text
    }

    /// Two replies, whether they come in one read or in two.
    pub(super) async fn answer_of_two(&mut self) -> Vec<String> {
        let mut text = String::new();
        while text.lines().count() < 2 || !text.ends_with("\r\n") {
            let mut buffer = [0; 1000];
            let read = timeout(PATIENCE, self.control.read(&mut buffer)).await.expect("answers").unwrap();
            assert!(read > 0, "hung up after {text:?}");
            text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
        text.lines().map(str::to_owned).collect()
    }

    pub(super) async fn expect(&mut self, beginning: &str) -> String {
        let answer = self.answer().await;
        assert!(answer.starts_with(beginning), "{beginning} was expected, not {answer}");
        answer
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.control.write_all(bytes).await.unwrap();
    }

    pub(super) async fn ask(&mut self, line: &str, beginning: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        let answer = self.answer().await;
        assert!(answer.starts_with(beginning), "{line}: {beginning} was expected, not {answer}");
        answer
    }

    /// Where data is awaited.
    pub(super) async fn passive(&mut self) -> SocketAddr {
        let answer = self.ask("PASV", "227 ").await;
        address_of(&answer)
    }

    /// A data connection from 127.0.0.`n`.
    pub(super) async fn data_from(&self, n: u8, to: SocketAddr) -> TcpStream {
        connect(n, to).await
    }

    pub(super) async fn data(&self, to: SocketAddr) -> TcpStream {
        connect(self.n, to).await
    }

    /// Brings a file; what was said of it.
    pub(super) async fn store(&mut self, command: &str, bytes: &[u8]) -> String {
        let at = self.passive().await;
        let mut data = self.data(at).await;
        self.ask(command, "150 ").await;
        for piece in bytes.chunks(1500) {
            // The server may have had enough.
            if data.write_all(piece).await.is_err() {
                break;
            }
        }
        drop(data);
        self.answer().await
    }

    /// Whether the server has hung up.
    pub(super) async fn is_hung_up(&mut self) -> bool {
        self.answer().await.is_empty()
    }
}

/// As ESP32_FTPClient does it (S1.3): split at `(` and `,`, and nothing else.
pub(super) fn address_of(answer: &str) -> SocketAddr {
    let parts: Vec<&str> = answer.split(['(', ',']).filter(|part| !part.is_empty()).collect();
    let number = |part: &str| {
        let digits: String = part.trim_start().chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u16>().unwrap_or(0)
    };
    let [_, a, b, c, d, high, low] = parts[..] else { panic!("{answer}") };
    let host = [a, b, c, d].map(|part| u8::try_from(number(part)).unwrap());
    SocketAddr::new(host.into(), number(high) << 8 | number(low) & 255)
}

/// A picture of a shade.
pub(super) fn jpeg_of(shade: u8) -> Vec<u8> {
    let (y, u, v) = (vec![shade; 256], vec![128; 64], vec![128; 64]);
    jpeg::encode_plain(&Frame { width: 16, height: 16, y, u, v, colours: Colours::JPEG }).unwrap()
}

/// A picture of about 100 kB.
pub(super) fn large_jpeg() -> Vec<u8> {
    let mut state = 1_u32;
    let y = (0..640 * 240)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u8::try_from(state >> 24).unwrap()
        })
        .collect();
    let chroma = vec![128; 320 * 120];
    jpeg::encode_plain(&Frame {
        width: 640,
        height: 240,
        y,
        u: chroma.clone(),
        v: chroma,
        colours: Colours::JPEG,
    })
    .unwrap()
}
