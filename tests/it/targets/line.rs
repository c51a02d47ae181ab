//! The line to a server: proxies, odd answers, patience, connections that lie idle.

use std::sync::Arc;
use std::time::Duration;

use camera_capture::targets::TargetError;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::server::{Act, Server, answer, answer_text, silent_port};
use super::tls::Authority;
use super::{Rig, SECRET, kind, outcome};

/// Only a failing test waits so long.
const LIMIT: Duration = Duration::from_secs(60);

async fn tried(pairs: &[(&str, &str)]) -> Result<(), TargetError> {
    let rig = Rig::with(pairs);
    rig.take(0, b"x".to_vec()).await;
    rig.target().deliver(&rig.claim().await).await
}

/// The words of a failure.
fn words(result: Result<(), TargetError>) -> String {
    let text = result.unwrap_err().to_string();
    assert!(!text.contains(SECRET), "{text}");
    text
}

#[tokio::test]
async fn odd_headers_do_not_spoil_an_answer() {
    for odd in ["X-Powered-By : PHP", "X-Folded: a\r\n b", "no header at all", "X\u{e9}: 1"] {
        let text = format!("HTTP/1.1 200 OK\r\n{odd}\r\nContent-Length : 2\r\nConnection: close\r\n\r\nok");
        assert_eq!(outcome(Act::Say(text), 100).await, Ok(()), "{odd}");
    }
}

#[tokio::test]
async fn a_proxy_of_the_settings_is_the_way_and_no_proxy_leads_past_it() {
    let proxy = Server::start(|_, _| answer(200, "", "ok")).await;
    let address = format!("http://gate:{SECRET}@{}", proxy.addr);
    let nowhere = ("S3_API_URL", "http://upload.invalid/up");
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        assert_eq!(tried(&[nowhere, (name, &address)]).await, Ok(()), "{name}");
    }
    let seen = proxy.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].line, "POST http://upload.invalid/up HTTP/1.1");
    assert!(seen[0].header("proxy-authorization").is_some());
    let past = tried(&[nowhere, ("HTTP_PROXY", &address), ("NO_PROXY", ".invalid")]).await;
    assert!(words(past).contains("upload.invalid was not found"));
    assert_eq!(proxy.seen().len(), 3);
}

#[tokio::test]
async fn a_proxy_that_is_dead_or_does_not_let_us_through_is_named_with_its_setting() {
    let (_held, free) = silent_port();
    let wants = Server::start(|_, _| answer(407, "", "who?")).await;
    let forbids = Server::start(|_, _| answer(403, "", "no")).await;
    for (target, setting, proxy, parts) in [
        ("http://upload.invalid/", "HTTP_PROXY", free, ["the proxy", "connection refused"]),
        ("https://upload.invalid/", "HTTPS_PROXY", free, ["the proxy", "connection refused"]),
        ("http://upload.invalid/", "HTTP_PROXY", wants.addr, ["log-in", "http://user:password@"]),
        ("https://upload.invalid/", "HTTPS_PROXY", wants.addr, ["log-in", "http://user:password@"]),
        ("https://upload.invalid/", "HTTPS_PROXY", forbids.addr, ["did not let", "upload.invalid:443"]),
    ] {
        let address = format!("http://gate:{SECRET}@{proxy}");
        let said = words(tried(&[("S3_API_URL", target), (setting, &address)]).await);
        for part in parts.into_iter().chain([setting, &proxy.to_string()]) {
            assert!(said.contains(part), "{target} {part}: {said}");
        }
    }
}

#[tokio::test]
async fn http_on_a_port_of_tls_is_told_to_be_https_and_puts_no_picture_aside() {
    let page = "<html><title>400 The plain HTTP request was sent to HTTPS port</title>";
    let result = outcome(answer(400, "content-type: text/html\r\n", page), 100).await;
    assert_eq!(kind(&result), "misconfigured", "{result:?}");
    assert!(words(result).contains("set S3_API_URL to https://"));
    let server = Server::start(|_, _| answer(200, "", "ok")).await;
    let (addr, guard) = Authority::new().guard(server.addr).await;
    let result = tried(&[("S3_API_URL", &format!("http://{addr}/up"))]).await;
    assert_eq!(kind(&result), "broken", "{result:?}");
    assert!(words(result).contains("must begin with https://"));
    guard.abort();
}

#[tokio::test]
async fn an_answer_may_take_more_than_a_minute_and_the_picture_is_sent_once() {
    let ready = Arc::new(Notify::new());
    let act = Act::SayWhen(Arc::clone(&ready), answer_text(200, "", "ok"));
    let mut server = Server::start(move |_, _| act.clone()).await;
    let rig = Rig::new(&server.url());
    rig.take(0, b"x".to_vec()).await;
    let (target, upload) = (rig.target(), rig.claim().await);
    let attempt = tokio::spawn(async move { target.deliver(&upload).await });
    server.arrival().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(240)).await;
    tokio::time::resume();
    ready.notify_one();
    assert_eq!(attempt.await.unwrap(), Ok(()));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_server_that_needs_longer_is_told_with_the_limit_and_the_setting() {
    let mut server = Server::start(|_, _| Act::Hold).await;
    let rig = Rig::with(&[("S3_API_URL", &server.url()), ("UPLOAD_TIMEOUT", "40")]);
    rig.take(0, b"x".to_vec()).await;
    let (target, upload) = (rig.target(), rig.claim().await);
    let attempt = tokio::spawn(async move { target.deliver(&upload).await });
    server.arrival().await;
    tokio::time::pause();
    let arrived = tokio::time::Instant::now();
    let result = attempt.await.unwrap();
    let waited = arrived.elapsed();
    tokio::time::resume();
    let said = words(result);
    assert!(said.contains("for 40 s") && said.contains("UPLOAD_TIMEOUT=80"), "{said}");
    assert!(waited < Duration::from_secs(42), "{waited:?}: from when everything was sent");
}

#[tokio::test]
async fn a_body_that_nobody_takes_is_told_with_the_least_rate() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::new(&format!("http://{}/up", listener.local_addr().unwrap()));
    // More than the buffers of both ends hold.
    rig.take(0, vec![7; 24 << 20]).await;
    let (target, upload) = (rig.target(), rig.claim().await);
    let attempt = tokio::spawn(async move { target.deliver(&upload).await });
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.read_u8().await.unwrap();
    tokio::time::pause();
    let result = attempt.await.unwrap();
    tokio::time::resume();
    assert_eq!(kind(&result), "broken");
    let said = words(result);
    assert!(said.contains("2000 bytes per second") && said.contains("bytes went out"), "{said}");
}

#[tokio::test]
async fn a_connection_without_work_is_closed_before_a_router_forgets_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::new(&format!("http://{}/up", listener.local_addr().unwrap()));
    rig.take(0, b"x".to_vec()).await;
    let (target, upload) = (rig.target(), rig.claim().await);
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"--\r\n") {
            stream.read_buf(&mut request).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        stream.read(&mut [0; 9]).await.unwrap()
    });
    assert_eq!(target.deliver(&upload).await, Ok(()));
    assert_eq!(tokio::time::timeout(LIMIT, server).await.unwrap().unwrap(), 0, "closed by us");
}
