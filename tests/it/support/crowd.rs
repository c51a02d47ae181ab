//! Strangers who want the dashboard down, each from an address of 127.0.0.0/8 of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// What was done to the daemon, and what it answered.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) connections: AtomicU64,
    pub(crate) judged: AtomicU64,
    pub(crate) throttled: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// Answers that a stranger may not have.
    pub(crate) let_in: AtomicU64,
}

fn one_more(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// The `n`th stranger of a street: an address that no other one has. The operator's 127.0.0.1 is none of them.
pub(crate) fn address(street: u8, n: usize) -> Ipv4Addr {
    let [.., high, low] = (n as u32 + 1).to_be_bytes();
    Ipv4Addr::new(127, street, high, low)
}

/// A connection from there; `None` when it is refused or does not come about.
pub(crate) async fn connect(from: Ipv4Addr, to: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind(SocketAddr::from((from, 0))).ok()?;
    timeout(Duration::from_secs(10), socket.connect(to)).await.ok()?.ok()
}

/// Sends a request that asks for the connection's end, and reads the status.
pub(crate) async fn ask(from: Ipv4Addr, to: SocketAddr, request: &str) -> Option<u16> {
    let mut stream = connect(from, to).await?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&answer);
    text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// How long `/health` takes from an address that was never there before; the error is what came instead.
pub(crate) async fn health(from: Ipv4Addr, to: SocketAddr) -> Result<Duration, String> {
    let began = Instant::now();
    let request = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    match ask(from, to, request).await {
        Some(200) => Ok(began.elapsed()),
        other => Err(format!("{other:?} after {:?}", began.elapsed())),
    }
}

/// Everybody who attacks; all of it ends with this value.
pub(crate) struct Attack {
    to: SocketAddr,
    pub(crate) tally: Arc<Tally>,
    tasks: JoinSet<()>,
}

impl Attack {
    pub(crate) fn on(to: SocketAddr) -> Self {
        Self { to, tally: Arc::default(), tasks: JoinSet::new() }
    }

    fn add<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        count: usize,
        one: impl Fn(usize, SocketAddr, Arc<Tally>) -> F,
    ) {
        for n in 0..count {
            self.tasks.spawn(one(n, self.to, Arc::clone(&self.tally)));
        }
    }

    /// Wrong passwords from sixty addresses, thirty at a time.
    pub(crate) fn guess_passwords(&mut self) {
        self.add(30, async |n, to, tally| {
            for turn in 0.. {
                let body = format!("{{\"password\":\"wrong password {n} {turn}\"}}");
                let request = format!(
                    "POST /api/login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                     content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                match ask(address(1, (2 * n + turn) % 60), to, &request).await {
                    Some(401) => one_more(&tally.judged),
                    Some(429) => one_more(&tally.throttled),
                    Some(200..=299) => one_more(&tally.let_in),
                    _ => one_more(&tally.refused),
                }
                sleep(Duration::from_millis(100)).await;
            }
        });
    }

    /// Connections that ask nothing, half of them from one address, the others from hundreds; opened again when closed.
    pub(crate) fn sit(&mut self, connections: usize) {
        self.add(connections, async |n, to, tally| {
            loop {
                let from = if n % 2 == 0 { address(2, 0) } else { address(3, n / 7) };
                if let Some(mut stream) = connect(from, to).await {
                    one_more(&tally.connections);
                    // Until it is closed.
                    let _ = stream.read(&mut [0; 16]).await;
                }
                sleep(Duration::from_millis(fastrand::u64(2000..8000))).await;
            }
        });
    }

    /// Headers a byte at a time, of the first request and of the second.
    pub(crate) fn send_slow_headers(&mut self) {
        self.add(60, async |n, to, tally| {
            loop {
                if let Some(mut stream) = connect(address(4, n), to).await {
                    one_more(&tally.connections);
                    if n % 2 == 0 {
                        let first = b"GET /icon.svg HTTP/1.1\r\nhost: localhost\r\n\r\n";
                        let _ = stream.write_all(first).await;
                    }
                    let _ = stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n").await;
                    while stream.write_all(b"x").await.is_ok() {
                        sleep(Duration::from_millis(100)).await;
                    }
                }
                sleep(Duration::from_millis(200)).await;
            }
        });
    }

    /// Many requests at once whose answers nobody reads.
    pub(crate) fn leave_answers_unread(&mut self) {
        self.add(60, async |n, to, tally| {
            loop {
                if let Some(mut stream) = connect(address(5, n), to).await {
                    one_more(&tally.connections);
                    let request = "GET /app.css HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(40);
                    // Until nothing more is taken, or it is closed.
                    while let Ok(Ok(())) =
                        timeout(Duration::from_secs(20), stream.write_all(request.as_bytes())).await
                    {
                    }
                }
                sleep(Duration::from_millis(200)).await;
            }
        });
    }

    /// Event streams, live pictures and pages of people who have not logged in, with made-up cookies and tokens.
    pub(crate) fn open_streams(&mut self) {
        self.add(20, async |n, to, tally| {
            let paths = ["/api/stream", "/api/live/r1.mjpeg", "/api/live/r1/ws", "/api/status", "/metrics"];
            for turn in 0.. {
                let (path, random) = (paths[turn % paths.len()], fastrand::u128(..));
                let proof = if turn % 2 == 0 {
                    format!("cookie: session={random:032x}")
                } else {
                    format!("authorization: Bearer cc_{random:032x}")
                };
                let request =
                    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{proof}\r\n\r\n");
                match ask(address(6, n), to, &request).await {
                    Some(200..=299) | Some(101) => one_more(&tally.let_in),
                    _ => one_more(&tally.refused),
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
    }

    /// Bodies that are far too big, announced or in pieces without end, and bodies a byte at a time.
    pub(crate) fn send_big_bodies(&mut self) {
        self.add(40, async |n, to, tally| {
            let head = "POST /api/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
            let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            loop {
                if let Some(mut stream) = connect(address(7, n), to).await {
                    one_more(&tally.connections);
                    let (length, body, pause) = match n % 3 {
                        0 => ("content-length: 8000000000\r\n\r\n", piece.as_str(), 100),
                        1 => ("transfer-encoding: chunked\r\n\r\n", piece.as_str(), 100),
                        _ => ("content-length: 60000\r\n\r\n", " ", 100),
                    };
                    let _ = stream.write_all(format!("{head}{length}").as_bytes()).await;
                    while let Ok(Ok(())) =
                        timeout(Duration::from_secs(20), stream.write_all(body.as_bytes())).await
                    {
                        sleep(Duration::from_millis(pause)).await;
                    }
                }
                sleep(Duration::from_millis(200)).await;
            }
        });
    }

    /// What is for people who have logged in, by paths that are written in other ways.
    pub(crate) fn encode_paths(&mut self) {
        self.add(10, async |n, to, tally| {
            let paths = [
                "/api/%73tatus",
                "/api/%74okens",
                "/%61pi/images",
                "//api/status",
                "/login/../api/status",
                "/login/%2e%2e/api/status",
                "/api/images/..%2f..%2fcamera-capture.db",
                "/api/status%00",
                "/health/%2e%2e/metrics",
            ];
            for turn in 0.. {
                let path = paths[turn % paths.len()];
                let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
                match ask(address(8, n), to, &request).await {
                    Some(200..=299) => one_more(&tally.let_in),
                    _ => one_more(&tally.refused),
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
    }
}
