//! Whoever looks at the live picture: over a WebSocket, or as an `<img>` does.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longest wait for the next piece: longer than a camera may be away before its viewers are told.
const PIECE_LIMIT: Duration = Duration::from_secs(30);

/// An open WebSocket. One that is not read from answers no ping.
pub(crate) struct Viewer(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What came over it.
#[derive(Debug)]
pub(crate) enum Piece {
    About(Value),
    Bytes(Vec<u8>),
    /// It was closed, with this code and reason.
    Closed(u16, String),
}

impl Viewer {
    /// Opens `ws://…`; the error is the status it was refused with.
    pub(crate) async fn open(url: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{url}: {error}"),
        }
    }

    /// What comes next.
    pub(crate) async fn next(&mut self) -> Piece {
        loop {
            let message = tokio::time::timeout(PIECE_LIMIT, self.0.next()).await.expect("something comes");
            match message {
                Some(Ok(Message::Text(text))) => return Piece::About(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Binary(bytes))) => return Piece::Bytes(bytes.to_vec()),
                Some(Ok(Message::Close(frame))) => {
                    let frame = frame.expect("a reason");
                    return Piece::Closed(frame.code.into(), frame.reason.to_string());
                }
                Some(Ok(_)) => {}
                other => panic!("the connection ends without a word: {other:?}"),
            }
        }
    }

    /// What follows.
    pub(crate) async fn about(&mut self) -> Value {
        match self.next().await {
            Piece::About(about) => about,
            other => panic!("a word on what follows comes first, not {other:?}"),
        }
    }

    /// The next binary message.
    pub(crate) async fn bytes(&mut self) -> Vec<u8> {
        match self.next().await {
            Piece::Bytes(bytes) => bytes,
            other => panic!("a piece comes next, not {other:?}"),
        }
    }

    /// Reads on until it is closed.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Piece::Closed(code, reason) = self.next().await {
                return (code, reason);
            }
        }
    }
}

/// A `multipart/x-mixed-replace` answer.
pub(crate) struct Pictures {
    response: reqwest::Response,
    buffer: Vec<u8>,
}

impl Pictures {
    pub(crate) fn of(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "multipart/x-mixed-replace; boundary=picture");
        Self { response, buffer: Vec::new() }
    }

    /// The next picture; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(jpeg) = self.take() {
                return Some(jpeg);
            }
            let chunk =
                tokio::time::timeout(PIECE_LIMIT, self.response.chunk()).await.expect("something comes");
            self.buffer.extend(chunk.unwrap()?);
        }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let head = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        let text = std::str::from_utf8(&self.buffer[..head]).unwrap();
        let length: usize = text.rsplit("Content-Length: ").next().unwrap().parse().unwrap();
        assert!(text.contains("--picture\r\nContent-Type: image/jpeg\r\n"), "{text:?}");
        let end = head + 4 + length;
        if self.buffer.len() < end {
            return None;
        }
        let jpeg = self.buffer[head + 4..end].to_vec();
        self.buffer.drain(..end);
        Some(jpeg)
    }
}
