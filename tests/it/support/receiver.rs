//! The server that pictures are delivered to: strict, scripted, and gone at will.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use camera_capture::clock;
use camera_capture::model::UnixMs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::multipart::{Head, find};
use super::picture::sha256;

/// Longest head and body of a request.
const HEAD_MAX: usize = 16 * 1024;
const BODY_MAX: usize = 32 * 1024 * 1024;

/// A picture as it was received; one that came twice is there twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reception {
    pub(crate) filename: String,
    pub(crate) id: String,
    pub(crate) sha256: String,
}

/// What to do with the next requests, instead of taking them.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// This status line and these headers, each ended by CRLF.
    Refuse(&'static str),
    /// Closes the connection before the body has come.
    Hang,
    /// Takes the picture and closes the connection without a word.
    TakeSilently,
}

#[derive(Default)]
struct Record {
    receptions: Vec<Reception>,
    /// When each name came first.
    arrivals: BTreeMap<String, UnixMs>,
    violations: Vec<String>,
    script: VecDeque<Answer>,
}

/// The receiver; ends with this value.
pub(crate) struct Receiver {
    address: SocketAddr,
    record: Arc<Mutex<Record>>,
    listening: Option<JoinHandle<()>>,
}

impl Receiver {
    /// A receiver on a free port.
    pub(crate) async fn start() -> Self {
        let mut receiver =
            Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), record: Arc::default(), listening: None };
        receiver.up();
        receiver
    }

    /// Where it takes pictures.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/upload", self.address)
    }

    /// Listens, on the port it had.
    pub(crate) fn up(&mut self) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        let listener = socket.listen(64).unwrap();
        self.address = listener.local_addr().unwrap();
        let record = Arc::clone(&self.record);
        self.listening = Some(tokio::spawn(async move {
            // Dropped with the task, and every connection with it.
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, Arc::clone(&record)));
            }
        }));
    }

    /// Closes every connection and listens no more.
    pub(crate) async fn down(&mut self) {
        if let Some(task) = self.listening.take() {
            task.abort();
            assert!(task.await.is_err_and(|error| error.is_cancelled()), "the receiver failed");
        }
    }

    /// Answers the next requests so.
    pub(crate) fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.record.lock().unwrap().script.extend(answers);
    }

    /// Everything that was received, in its order.
    pub(crate) fn receptions(&self) -> Vec<Reception> {
        self.record.lock().unwrap().receptions.clone()
    }

    /// When a picture came first.
    pub(crate) fn arrival_of(&self, filename: &str) -> Option<UnixMs> {
        self.record.lock().unwrap().arrivals.get(filename).copied()
    }

    /// What was received at least once, by file name.
    pub(crate) fn by_name(&self) -> BTreeMap<String, Reception> {
        self.receptions().into_iter().map(|reception| (reception.filename.clone(), reception)).collect()
    }

    /// Fails when a request was malformed, or a picture came under two names, two identities or with two contents.
    pub(crate) fn check(&self) {
        let record = self.record.lock().unwrap();
        assert_eq!(record.violations, Vec::<String>::new(), "malformed requests");
        let distinct: BTreeSet<_> = record.receptions.iter().collect();
        let parts: [fn(&Reception) -> &str; 3] = [|r| &r.filename, |r| &r.id, |r| &r.sha256];
        for part in parts {
            let values: BTreeSet<_> = distinct.iter().map(|reception| part(reception)).collect();
            assert_eq!(values.len(), distinct.len(), "one picture came in two shapes: {distinct:#?}");
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(task) = self.listening.take() {
            task.abort();
        }
    }
}

/// Serves one connection until it is closed; a broken one is the sender's right.
async fn serve(mut stream: TcpStream, record: Arc<Mutex<Record>>) {
    let mut buffer = Vec::new();
    while let Some(end) = read_until(&mut stream, &mut buffer, |b| find(b, b"\r\n\r\n"), HEAD_MAX).await {
        let head = match Head::parse(&buffer[..end]) {
            Ok(head) => head,
            Err(violation) => return refuse(&mut stream, &record, violation).await,
        };
        buffer.drain(..end + 4);
        let length = match head.content_length() {
            Ok(length) if length <= BODY_MAX => length,
            Ok(length) => return refuse(&mut stream, &record, format!("{length} bytes")).await,
            Err(violation) => return refuse(&mut stream, &record, violation).await,
        };
        let answer = record.lock().unwrap().script.pop_front();
        if matches!(answer, Some(Answer::Hang)) {
            return;
        }
        let whole = |b: &[u8]| (b.len() >= length).then_some(length);
        if read_until(&mut stream, &mut buffer, whole, BODY_MAX + HEAD_MAX).await.is_none() {
            return;
        }
        let body: Vec<u8> = buffer.drain(..length).collect();
        if let Some(Answer::Refuse(words)) = answer {
            let text = format!("HTTP/1.1 {words}Content-Length: 0\r\n\r\n");
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
            continue;
        }
        if let Err(violation) = take(&head, &body, &record) {
            return refuse(&mut stream, &record, violation).await;
        }
        let taken = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        if answer.is_some() || stream.write_all(taken.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn take(head: &Head, body: &[u8], record: &Mutex<Record>) -> Result<(), String> {
    if (head.method.as_str(), head.path.as_str()) != ("POST", "/upload") {
        return Err(format!("{} {}", head.method, head.path));
    }
    let upload = head.upload(body)?;
    let (filename, id, sha256) = (upload.filename, upload.idempotency_key, sha256(upload.data));
    let mut record = record.lock().unwrap();
    record.arrivals.entry(filename.clone()).or_insert_with(clock::now);
    record.receptions.push(Reception { filename, id, sha256 });
    Ok(())
}

async fn refuse(stream: &mut TcpStream, record: &Mutex<Record>, violation: String) {
    let body = format!("{violation}\n");
    record.lock().unwrap().violations.push(violation);
    let text = format!(
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // The test fails by the violation; whether the sender hears of it does not matter.
    let _ = stream.write_all(text.as_bytes()).await;
}

/// Reads until `found` in the buffer; `None` when the connection ends or `limit` is passed before.
async fn read_until(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    found: impl Fn(&[u8]) -> Option<usize>,
    limit: usize,
) -> Option<usize> {
    loop {
        if let Some(position) = found(buffer) {
            return Some(position);
        }
        if buffer.len() > limit || stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
