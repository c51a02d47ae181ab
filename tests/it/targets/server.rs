//! A strict HTTP/1.1 server over plain TCP that keeps what it was sent, to the byte, and answers by script.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Reads all of it, answers with these bytes and closes.
    Say(String),
    /// The same with a body that is no text.
    SayBytes(Vec<u8>),
    /// Reads all of it, and does then what follows from it.
    Then(fn(&Request) -> Box<Act>),
    /// Reads all of it, and answers with these bytes once it is told to.
    SayWhen(Arc<Notify>, String),
    /// Answers as soon as the head is there, and closes without reading the body.
    SayEarly(String),
    /// Reads all of it and closes.
    Close,
    /// Closes after a part of the body; what is unread makes it a reset.
    Reset,
    /// Reads all of it and says nothing.
    Hold,
}

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The one header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values =
            self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert!(values.next().is_none(), "{name} stands twice");
        value
    }

    pub(crate) fn key(&self) -> String {
        self.header("idempotency-key").unwrap().to_owned()
    }
}

type Script = Arc<dyn Fn(usize, &Request) -> Act + Send + Sync>;

/// A running server; it stops when it is dropped.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    arrivals: mpsc::UnboundedReceiver<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers the n-th request (from 0), of which the head is known, by `script`.
    pub(crate) async fn start(script: impl Fn(usize, &Request) -> Act + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), script).await
    }

    pub(crate) async fn start_at(
        addr: SocketAddr,
        script: impl Fn(usize, &Request) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let (script, kept): (Script, _) = (Arc::new(script), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&script), Arc::clone(&kept), arrived.clone()));
            }
        });
        Self { addr, seen, arrivals, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/upload?site=7", self.origin())
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until one more request has come as far as the server wanted to read it.
    pub(crate) async fn arrival(&mut self) {
        self.arrivals.recv().await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Script,
    seen: Arc<Mutex<Vec<Request>>>,
    arrived: mpsc::UnboundedSender<()>,
) {
    let Some(mut request) = read_head(&mut stream).await else { return };
    let length: usize = request.header("content-length").map_or(0, |text| text.parse().unwrap());
    let index = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let mut act = script(index, &request);
    let wanted = match act {
        Act::SayEarly(_) => 0,
        Act::Reset => length.min(1000),
        Act::Say(_) | Act::SayBytes(_) | Act::SayWhen(..) | Act::Then(_) | Act::Close | Act::Hold => length,
    };
    request.body = vec![0; wanted];
    if stream.read_exact(&mut request.body).await.is_err() {
        return;
    }
    if let Act::Then(next) = act {
        act = *next(&request);
    }
    seen.lock().unwrap()[index] = request;
    // The test may have gone.
    let _ = arrived.send(());
    if let Act::SayWhen(when, _) = &act {
        when.notified().await;
    }
    match act {
        Act::Say(answer) | Act::SayWhen(_, answer) | Act::SayEarly(answer) => {
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Act::SayBytes(body) => {
            let head =
                format!("HTTP/1.1 200 X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
            let _ = stream.shutdown().await;
        }
        Act::Close | Act::Reset | Act::Then(_) => {}
        Act::Hold => std::future::pending().await,
    }
}

/// Reads the head byte by byte, so that nothing of the body is taken.
async fn read_head(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert!(head.len() < 16_384, "the head does not end");
        head.push(stream.read_u8().await.ok()?);
        // The first byte of TLS (RFC 8446 section 5.1); this server says, as others do, what it thinks of it.
        if head == [0x16] {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            return None;
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    };
    Some(Request { line, headers: lines.map(header).collect(), body: Vec::new() })
}

/// A port at which nobody listens, and nobody else can while the socket is held.
pub(crate) fn silent_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// An answer with a plain body.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Act {
    Act::Say(answer_text(status, headers, body))
}

/// The bytes of an answer; `headers` are whole lines with their ends.
pub(crate) fn answer_text(status: u16, headers: &str, body: &str) -> String {
    let length = if status == 204 { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{length}{headers}\r\n{body}")
}
