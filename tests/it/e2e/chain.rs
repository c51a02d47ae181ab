//! Two boxes in a chain: what one hands on, the other has once, whatever is lost between them.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::support::daemon::Daemon;
use crate::support::machine_shared;
use crate::support::program::free_port;
use crate::support::setup::Setup;

const LONG: Duration = Duration::from_secs(30);

/// Stands between the boxes. The first answer that says 200 is not passed on: it is told here, and the connection ends.
async fn losing_the_first_answer(to: u16) -> (u16, mpsc::Receiver<String>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (lost, told) = mpsc::channel(1);
    let task = tokio::spawn(async move {
        let mut has_lost = false;
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
            let (mut near_read, mut near_write) = near.into_split();
            let (mut far_read, mut far_write) = far.into_split();
            let sending = tokio::spawn(async move { tokio::io::copy(&mut near_read, &mut far_write).await });
            let mut answer = vec![0; 4096];
            while let Ok(read @ 1..) = far_read.read(&mut answer).await {
                let text = String::from_utf8_lossy(&answer[..read]).into_owned();
                if !has_lost && text.starts_with("HTTP/1.1 200") {
                    has_lost = true;
                    lost.send(text).await.unwrap();
                    break;
                }
                if near_write.write_all(&answer[..read]).await.is_err() {
                    break;
                }
            }
            sending.abort();
        }
    });
    (port, told, task)
}

/// S3.6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_whose_answer_was_lost_with_the_second_box_is_there_once_and_known_by_its_first_identity() {
    let _machine = machine_shared().await;
    let second_port = free_port().await;
    let (between, mut lost, _task) = losing_the_first_answer(second_port).await;
    let first_setup = Setup::new()
        .with("INGEST_1_NAME", "door")
        .with("INGEST_1_ADDRESS", "127.0.0.1")
        .with("RELAY_URL", &format!("http://127.0.0.1:{between}/upload"))
        .with("RELAY_INTERVAL", "1");
    let second_setup = Setup::new()
        .with("BIND_PORT", &second_port.to_string())
        .with("INGEST_1_NAME", "first-box")
        .with("INGEST_1_ADDRESS", "127.0.0.1");
    let second = Daemon::start(&second_setup).await;
    let first = Daemon::start(&first_setup).await;
    push(&first, 77).await;

    let answer = tokio::time::timeout(LONG, lost.recv()).await.unwrap().unwrap();
    assert!(answer.contains("\"success\":true") && answer.contains("\"known\":false"), "{answer}");
    second.kill9().await;
    let of_first = first.images().await.remove(0);
    assert_eq!(of_first["uploads"][0]["state"], "pending", "nobody told the first box: {of_first}");
    // It may die, too.
    first.kill9().await;
    let second = Daemon::start(&second_setup).await;
    let first = Daemon::start(&first_setup).await;
    first.wait_until_delivered(LONG).await;
    let there = second.images().await;
    let [image] = &there[..] else { panic!("{there:?}") };
    assert_eq!((&image["first_id"], &image["device"]), (&of_first["id"], &"first-box".into()));
    assert_eq!(second_setup.pictures().len(), 1);

    // In rounds as at once, a start sends nothing that was delivered: not before a picture that comes later.
    first.terminate().await;
    let first = Daemon::start(&first_setup).await;
    push(&first, 78).await;
    first.wait_until_delivered(LONG).await;
    let status = second.status().await;
    assert_eq!(second.images().await.len(), 2);
    let device = &status["devices"][0];
    assert_eq!(
        (&device["known"], &device["stored"]),
        (&1.into(), &1.into()),
        "one came again, and one is new"
    );
    first.terminate().await;
    second.terminate().await;
}

/// Brings the first box a picture that no other shade makes.
async fn push(first: &Daemon, shade: u8) {
    let mut picture = Vec::new();
    let drawn = image::GrayImage::from_pixel(16, 16, image::Luma([shade]));
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut picture, 80).encode_image(&drawn).unwrap();
    let pushed = reqwest::Client::new()
        .post(format!("{}/upload", first.address()))
        .body(picture)
        .send()
        .await
        .unwrap();
    assert_eq!(pushed.status().as_u16(), 200);
}
