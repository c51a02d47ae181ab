//! One client of the upload receiver: requests one after the other, and the faults that need the bare connection.

use std::io;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::demo::http::{BodyLength, DemoAnswer, RequestHead};
use crate::demo::received::{ReceiverFault, ReceiverShared, UPLOAD_PATH};

/// Most bytes of a body; the largest picture of a camera is a quarter of it.
const BODY_MAX: usize = 32 * 1024 * 1024;

/// Memory set aside for a body before it has come, whatever length was announced.
const BODY_AHEAD: usize = 1024 * 1024;

/// A client may be silent for this long, between requests or within one.
const PATIENCE: Duration = Duration::from_secs(60);

/// The log-in page of somebody's network.
const PORTAL: &str = "<!doctype html><html><head><title>Welcome</title></head><body><h1>Guest network</h1>\
    <form method=\"post\" action=\"/login\"><button>Accept the terms and connect</button></form></body></html>";

/// Serves requests until the client leaves or one cannot be answered; dropping it closes the connection.
pub(super) async fn serve(mut stream: TcpStream, shared: &ReceiverShared) -> io::Result<()> {
    let mut inbox = BytesMut::new();
    loop {
        let head = loop {
            match RequestHead::parse(&inbox) {
                Ok(Some((head, length))) => {
                    inbox.advance(length);
                    break head;
                }
                Ok(None) => {}
                Err(_) => {
                    return last_words(&mut stream, 400, "not_http", "this is no HTTP/1.1 request").await;
                }
            }
            if read(&mut stream, &mut inbox).await? == 0 {
                return Ok(());
            }
        };
        let length = match head.body_length() {
            BodyLength::Known(length) if length <= BODY_MAX => length,
            BodyLength::Known(_) => {
                return last_words(&mut stream, 413, "too_large", "the body is larger than 32 MB").await;
            }
            BodyLength::Missing => {
                return last_words(&mut stream, 411, "no_length", "Content-Length is missing").await;
            }
            BodyLength::Malformed => {
                return last_words(&mut stream, 400, "bad_length", "the length of the body is contradictory")
                    .await;
            }
        };
        let is_upload = head.method == "POST" && head.target.split('?').next() == Some(UPLOAD_PATH);
        let (under_way, fault) = if is_upload { shared.begin_upload() } else { (None, None) };
        if head.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let wanted = if fault == Some(ReceiverFault::CloseInBody) { length / 2 } else { length };
        inbox.reserve(wanted.saturating_sub(inbox.len()).min(BODY_AHEAD));
        while inbox.len() < wanted {
            if read(&mut stream, &mut inbox).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if fault == Some(ReceiverFault::CloseInBody) {
            return Ok(());
        }
        let body = inbox.split_to(length);
        let answer = match fault {
            Some(ReceiverFault::Answer { status, headers, body }) => DemoAnswer { status, headers, body },
            Some(ReceiverFault::CaptivePortal) => DemoAnswer {
                status: 200,
                headers: vec![("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned())],
                body: PORTAL.to_owned(),
            },
            Some(ReceiverFault::CloseUnanswered) => {
                shared.accept(&head, &body).await;
                return Ok(());
            }
            Some(ReceiverFault::HoldUnanswered) => {
                shared.accept(&head, &body).await;
                while read(&mut stream, &mut inbox).await? > 0 {
                    inbox.clear();
                }
                return Ok(());
            }
            Some(ReceiverFault::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                shared.accept(&head, &body).await
            }
            Some(ReceiverFault::CloseInBody) | None if is_upload => shared.accept(&head, &body).await,
            Some(ReceiverFault::CloseInBody) | None => elsewhere(&head),
        };
        let is_last = head.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        drop(under_way);
        write(&mut stream, &answer.to_bytes(&head.method, is_last)).await?;
        if is_last {
            return Ok(());
        }
    }
}

/// The answer to a request that is no upload: connectivity probes find a live server.
fn elsewhere(head: &RequestHead) -> DemoAnswer {
    match (head.method.as_str(), head.target.as_str()) {
        ("GET" | "HEAD", "/") => DemoAnswer::json(200, &serde_json::json!({ "status": "ok" })),
        (_, UPLOAD_PATH) => DemoAnswer::error(405, "not_allowed", "pictures are sent with POST"),
        _ => DemoAnswer::error(404, "not_found", "pictures are sent to /upload"),
    }
}

/// A refusal after which the connection cannot go on, because the rest of the request stays unread.
async fn last_words(stream: &mut TcpStream, status: u16, code: &str, message: &str) -> io::Result<()> {
    write(stream, &DemoAnswer::error(status, code, message).to_bytes("", true)).await?;
    stream.shutdown().await
}

async fn read(stream: &mut TcpStream, inbox: &mut BytesMut) -> io::Result<usize> {
    timeout(PATIENCE, stream.read_buf(inbox)).await?
}

async fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    timeout(PATIENCE, stream.write_all(bytes)).await?
}
