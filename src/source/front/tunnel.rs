//! RTSP inside HTTP, for cameras behind what lets nothing else pass (Apple, "Tunneling RTSP and RTP over HTTP", 2001):
//! answers and packets come as the endless answer to a GET, requests go as the endless body of a POST, in Base64. A
//! cookie tells the camera that both belong together.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use url::{Position, Url};

use super::login::Login;
use super::message::{MessageHead, Start};
use super::stream::CameraStream;
use super::words::FrontFault;

/// Longest head of the answer to the GET.
const HEAD_MAX: usize = 8 << 10;

/// The media type of both.
const KIND: &str = "application/x-rtsp-tunnelled";

/// Two connections that are one.
pub(super) struct Tunnel {
    down: CameraStream,
    up: CameraStream,
    /// Encoded, and not yet gone from `gone` on.
    out: Vec<u8>,
    gone: usize,
}

/// What came of the first half.
pub(super) enum Half {
    /// It is open.
    Open(CameraStream),
    /// The camera wants to know who we are; the login knows what to answer over a new connection.
    Asked,
}

/// A cookie that no other tunnel of this camera has.
pub(super) fn cookie() -> io::Result<String> {
    let mut bytes = [0; 11];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Opens the half that answers come by.
pub(super) async fn open_down(
    mut stream: CameraStream,
    url: &Url,
    cookie: &str,
    login: &mut Login,
) -> Result<Half, FrontFault> {
    let request = request("GET", url, cookie, login, &format!("Accept: {KIND}\r\n"));
    stream.write_all(request.as_bytes()).await.map_err(FrontFault::Broken)?;
    stream.flush().await.map_err(FrontFault::Broken)?;
    let head = head(&mut stream).await?;
    match &head.start {
        Start::Response { status: 200, .. } => Ok(Half::Open(stream)),
        Start::Response { status: 401, .. } if login.challenged(&head) => Ok(Half::Asked),
        Start::Response { status, .. } => Err(FrontFault::Tunnel(Some(*status))),
        Start::Request { .. } => Err(FrontFault::Tunnel(None)),
    }
}

/// Opens the half that requests go by. Nothing is answered there.
pub(super) async fn open_up(
    down: CameraStream,
    mut up: CameraStream,
    url: &Url,
    cookie: &str,
    login: &mut Login,
) -> Result<CameraStream, FrontFault> {
    // The length is a fiction that Apple's client began with and that servers expect.
    let more =
        format!("Content-Type: {KIND}\r\nContent-Length: 32767\r\nExpires: Sun, 9 Jan 1972 00:00:00 GMT\r\n");
    let request = request("POST", url, cookie, login, &more);
    up.write_all(request.as_bytes()).await.map_err(FrontFault::Broken)?;
    up.flush().await.map_err(FrontFault::Broken)?;
    Ok(CameraStream::Tunnel(Box::new(Tunnel { down, up, out: Vec::new(), gone: 0 })))
}

fn request(method: &str, url: &Url, cookie: &str, login: &mut Login, more: &str) -> String {
    let path = &url[Position::BeforePath..Position::AfterQuery];
    let host = &url[Position::BeforeHost..Position::AfterPort];
    login.begin();
    let authorization = login.authorization(method, path);
    let authorization = authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
    format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: camera-capture/{}\r\nx-sessioncookie: {cookie}\r\n{more}\
         Pragma: no-cache\r\nCache-Control: no-cache\r\n{authorization}\r\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// Reads the head of an answer of HTTP to its last byte and no farther.
async fn head(stream: &mut CameraStream) -> Result<MessageHead, FrontFault> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") && !bytes.ends_with(b"\n\n") {
        let byte = stream.read_u8().await.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => FrontFault::Tunnel(None),
            _ => FrontFault::Broken(error),
        })?;
        bytes.push(byte);
        // What cannot become HTTP is not waited for.
        if bytes.len() > HEAD_MAX || !bytes.iter().zip(b"HTTP/1.").all(|(come, wanted)| come == wanted) {
            return Err(FrontFault::Tunnel(None));
        }
    }
    parse(&String::from_utf8_lossy(&bytes)).ok_or(FrontFault::Tunnel(None))
}

fn parse(text: &str) -> Option<MessageHead> {
    let mut lines = text.lines();
    let status = lines.next()?.split_whitespace().nth(1)?.parse().ok()?;
    let mut head =
        MessageHead { start: Start::Response { status, reason: String::new() }, headers: Vec::new() };
    lines.take_while(|line| !line.is_empty()).for_each(|line| head.take_line(line));
    Some(head)
}

impl Tunnel {
    /// The half that answers come by.
    pub(super) fn down(&self) -> &CameraStream {
        &self.down
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.down).poll_read(cx, room)
    }

    /// Takes all of it once what came before has gone; each portion is padded, which cameras take as the end of a
    /// request.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_out(cx))?;
        self.out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
        // An error is met again by the flush that follows.
        let _ = self.poll_out(cx);
        Poll::Ready(Ok(bytes.len()))
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.up).poll_flush(cx)
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.up).poll_shutdown(cx))?;
        Pin::new(&mut self.down).poll_shutdown(cx)
    }

    pub(super) fn write_last(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.up.write_last(STANDARD.encode(bytes).as_bytes())
    }

    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.gone < self.out.len() {
            match ready!(Pin::new(&mut self.up).poll_write(cx, &self.out[self.gone..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.gone += written,
            }
        }
        (self.gone, _) = (0, self.out.clear());
        Poll::Ready(Ok(()))
    }
}
