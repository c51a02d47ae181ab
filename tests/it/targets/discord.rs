//! What is peculiar to a Discord channel: its allowance, its limit, its messages.

use std::time::{Duration, Instant};

use camera_capture::media::frame::{Colours, Frame};
use camera_capture::media::jpeg;
use camera_capture::model::ImageKind;
use camera_capture::targets::TargetError;
use serde_json::json;

use super::server::{Server, answer};
use super::{Rig, kind};

/// A picture that does not compress.
fn noise() -> Vec<u8> {
    let (width, height) = (1280, 720);
    let mut state = 1_u32;
    let y = (0..width * height)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let chroma = vec![128; width * height / 4];
    jpeg::encode_plain(&Frame { width, height, y, u: chroma.clone(), v: chroma, colours: Colours::JPEG })
        .unwrap()
}

fn rig(server: &Server, max_bytes: &str) -> Rig {
    let url = format!("{}/api/webhooks/17/token-token", server.origin());
    Rig::with(&[("DISCORD_WEBHOOK_URL", &url), ("DISCORD_MAX_BYTES", max_bytes)])
}

/// The picture in a request.
fn file(body: &[u8]) -> Vec<u8> {
    let start = body.windows(3).position(|window| window == b"\xff\xd8\xff").unwrap();
    let end = body.windows(4).rposition(|window| window == b"\xff\xd9\r\n").unwrap();
    body[start..end + 2].to_vec()
}

#[tokio::test]
async fn a_picture_above_the_limit_is_sent_smaller_and_a_clip_is_put_aside() {
    let shown =
        json!({"attachments": [], "embeds": [{"image": {"url": "https://cdn.example/1/r1_1800000000.jpg"}}]});
    let server = Server::start(move |_, _| answer(200, "", &shown.to_string())).await;
    let rig = rig(&server, "100k");
    let picture = noise();
    assert!(picture.len() > 300_000);
    rig.take(0, picture).await;
    let target = rig.target();
    target.deliver(&rig.claim().await).await.unwrap();
    let sent = file(&server.seen()[0].body);
    assert!((20_000..=100_000).contains(&sent.len()), "{}", sent.len());
    let (width, height) = jpeg::inspect(&sent).unwrap();
    assert!(width.abs_diff(height * 16 / 9) <= 8, "{width}×{height}");

    rig.take_kind(1, vec![0; 100_001], ImageKind::Clip).await;
    let result = target.deliver(&rig.claim().await).await;
    assert_eq!(kind(&result), "rejected");
    assert!(result.unwrap_err().to_string().contains("DISCORD_MAX_BYTES"));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_channel_that_takes_less_than_it_should_teaches_its_limit() {
    let shown =
        json!({"attachments": [], "embeds": [{"image": {"url": "https://cdn.example/1/r1_1800000000.jpg"}}]});
    let server = Server::start(move |_, request| {
        let length: usize = request.header("content-length").unwrap().parse().unwrap();
        if length > 150_000 {
            answer(413, "", r#"{"message": "Request entity too large", "code": 40005}"#)
        } else {
            answer(200, "", &shown.to_string())
        }
    })
    .await;
    let rig = rig(&server, "10MiB");
    rig.take(0, noise()).await;
    let (target, upload) = (rig.target(), rig.claim().await);
    let mut tries = 0;
    while let Err(error) = target.deliver(&upload).await {
        assert!(matches!(error, TargetError::Busy { .. }), "{error:?}");
        tries += 1;
        assert!(tries < 8, "it never fits");
    }
    let first = tries;
    target.deliver(&upload).await.unwrap();
    assert!(first > 0 && server.seen().len() == first + 2, "what was learned is remembered");
}

#[tokio::test]
async fn a_spent_allowance_is_waited_for_before_the_next_message() {
    let taken = json!({"attachments": [{"filename": "r1_1800000000.jpg", "size": 9}]}).to_string();
    let server = Server::start(move |n, _| {
        let spent = "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset-After: 0.4\r\n";
        match n {
            0 => answer(200, spent, &taken),
            1 => answer(
                429,
                "Retry-After: 1\r\n",
                r#"{"message": "slow", "retry_after": 0.3, "global": false}"#,
            ),
            2 => answer(200, "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset-After: 60\r\n", &taken),
            _ => answer(200, "", &taken),
        }
    })
    .await;
    let rig = rig(&server, "10MiB");
    rig.take(0, vec![7; 9]).await;
    let (target, upload) = (rig.target(), rig.claim().await);
    target.deliver(&upload).await.unwrap();
    let began = Instant::now();
    let limited = target.deliver(&upload).await;
    assert!(began.elapsed() >= Duration::from_millis(350), "{:?}", began.elapsed());
    let expected = Some(Duration::from_millis(300));
    assert!(
        matches!(&limited, Err(TargetError::Busy { retry_after, .. }) if *retry_after == expected),
        "{limited:?}"
    );
    target.deliver(&upload).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(650), "{:?}", began.elapsed());
    // A long wait is the lane's business.
    let result = target.deliver(&upload).await;
    assert!(
        matches!(&result, Err(TargetError::Busy { retry_after: Some(wait), .. }) if wait.as_secs() >= 55),
        "{result:?}"
    );
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn the_message_is_waited_for_whatever_the_address_says_and_a_thread_is_kept() {
    for (query, expected) in [
        ("", "?wait=true"),
        ("?wait=false", "?wait=true"),
        ("?wait=true&wait=0&thread_id=9", "?thread_id=9&wait=true"),
    ] {
        let server = Server::start(|_, _| answer(400, "", "{}")).await;
        let url = format!("{}/api/webhooks/17/token-token{query}", server.origin());
        let rig = Rig::with(&[("DISCORD_WEBHOOK_URL", &url)]);
        rig.take(0, b"x".to_vec()).await;
        let _ = rig.target().deliver(&rig.claim().await).await;
        let line = server.seen()[0].line.clone();
        assert_eq!(line, format!("POST /api/webhooks/17/token-token{expected} HTTP/1.1"));
    }
}
