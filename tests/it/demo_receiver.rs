//! The upload receiver of the demonstration, with the HTTP client that the daemon uses.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camera_capture::demo::receiver::{Receiver, ReceiverFault, ReceiverHandle};
use reqwest::multipart::{Form, Part};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LOOPBACK: &str = "127.0.0.1:0";

struct Rig {
    handle: ReceiverHandle,
    addr: SocketAddr,
    url: String,
    client: reqwest::Client,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Rig {
    async fn start(folder: Option<std::path::PathBuf>) -> Self {
        // A second installation in the same process is refused and does no harm.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let receiver = Receiver::bind(LOOPBACK.parse().unwrap(), folder).await.unwrap();
        let (handle, addr, url) = (receiver.handle(), receiver.local_addr(), receiver.url());
        let cancel = CancellationToken::new();
        let task = tokio::spawn(receiver.run(cancel.clone()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { handle, addr, url, client, cancel, task }
    }

    fn request(&self, key: &str, name: &str, bytes: &[u8], digested: &[u8]) -> reqwest::RequestBuilder {
        let part = Part::bytes(bytes.to_vec()).file_name(name.to_owned()).mime_str("image/jpeg").unwrap();
        let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(digested)));
        self.client
            .post(&self.url)
            .header("Idempotency-Key", key)
            .header("Content-Digest", digest)
            .multipart(Form::new().part("file", part))
    }

    async fn send(&self, key: &str, name: &str, bytes: &[u8]) -> Result<u16, reqwest::Error> {
        self.request(key, name, bytes, bytes).send().await.map(|response| response.status().as_u16())
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn an_upload_is_accepted_once_however_often_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(Some(folder.path().to_owned())).await;
    assert_eq!(rig.send("k1", "r1_1698765432.jpg", b"picture").await.unwrap(), 201);
    assert_eq!(rig.send("k1", "r1_1698765432.jpg", b"picture").await.unwrap(), 200);
    assert_eq!(rig.send("k1", "r1_1698765432.jpg", b"another").await.unwrap(), 422);
    assert_eq!(rig.send("k2", "r1_1698765432.jpg", b"another").await.unwrap(), 422);
    let received = rig.handle.wait_for(1).await;
    let seen: Vec<_> =
        received.iter().map(|one| (one.filename.to_string(), one.bytes, one.arrivals)).collect();
    assert_eq!(seen, [("r1_1698765432.jpg".to_owned(), 7, 2)]);
    assert_eq!(received[0].sha256, "2cea274d0bedc39ec4ab6ba9e59ec889e3ed6fb56a1cf088a64d9b383378dc97");
    assert_eq!(std::fs::read(folder.path().join("r1_1698765432.jpg")).unwrap(), b"picture");
    rig.stop().await;
}

#[tokio::test]
async fn what_breaks_the_contract_is_refused() {
    let rig = Rig::start(None).await;
    let status =
        |request: reqwest::RequestBuilder| async move { request.send().await.unwrap().status().as_u16() };
    assert_eq!(status(rig.request("k", "../../etc/passwd", b"x", b"x")).await, 422);
    assert_eq!(status(rig.request("k", "r1_1698765432.jpg", b"x", b"y")).await, 400);
    assert_eq!(status(rig.request("", "r1_1698765432.jpg", b"x", b"x")).await, 400);
    assert_eq!(status(rig.client.post(&rig.url).body("x").header("Idempotency-Key", "k")).await, 415);
    assert_eq!(status(rig.client.get(&rig.url)).await, 405);
    assert_eq!(status(rig.client.head(format!("http://{}/", rig.addr))).await, 200);
    let large = 32 * 1024 * 1024;
    assert_eq!(
        raw(rig.addr, format!("POST /upload HTTP/1.1\r\nContent-Length: {}\r\n\r\n", large + 1)).await,
        "413"
    );
    assert_eq!(raw(rig.addr, "POST /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").await, "411");
    assert_eq!(raw(rig.addr, "\x16\x03\x01 garbage\r\n\r\n").await, "400");
    assert_eq!(rig.handle.received(), []);
    assert_eq!(rig.send("k", "r1_1698765432.jpg", b"x").await.unwrap(), 201);
    rig.stop().await;
}

/// Sends bytes and returns the status of the answer.
async fn raw(addr: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_ref()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn scripted_faults_come_in_order_and_then_it_works_again() {
    let rig = Rig::start(None).await;
    let headers = vec![("Retry-After".to_owned(), "7".to_owned())];
    rig.handle.fail_next(2, ReceiverFault::Answer { status: 429, headers, body: "slow down".to_owned() });
    rig.handle.fail_next(1, ReceiverFault::CaptivePortal);
    rig.handle.fail_next(1, ReceiverFault::CloseInBody);
    rig.handle.fail_next(1, ReceiverFault::Delay(Duration::from_millis(1)));

    let picture = vec![7; 3_000_000];
    let upload = || rig.request("k", "r1_1698765432.jpg", &picture, &picture).send();
    let refused = upload().await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    assert_eq!(upload().await.unwrap().text().await.unwrap(), "slow down");
    let portal = upload().await.unwrap();
    assert_eq!(portal.status(), 200);
    assert!(portal.text().await.unwrap().starts_with("<!doctype html>"));
    assert!(upload().await.is_err());
    assert_eq!(rig.handle.received(), []);
    assert_eq!(upload().await.unwrap().status(), 201);
    assert_eq!(rig.handle.requests(), 5);
    rig.stop().await;
}

#[tokio::test]
async fn an_upload_whose_answer_was_lost_is_stored_all_the_same() {
    let rig = Rig::start(None).await;
    rig.handle.fail_next(usize::MAX, ReceiverFault::CloseUnanswered);
    assert!(rig.send("k", "r1_1698765432.jpg", b"picture").await.is_err());
    rig.handle.heal();
    assert_eq!(rig.send("k", "r1_1698765432.jpg", b"picture").await.unwrap(), 200);
    assert_eq!(rig.handle.wait_for(1).await[0].arrivals, 2);
    rig.stop().await;
}
