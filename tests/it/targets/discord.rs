//! What is peculiar to a Discord channel: its allowance, its limit, its messages.

use std::time::{Duration, Instant};

use camera_capture::clock;
use camera_capture::media::frame::{Colours, Frame};
use camera_capture::media::jpeg;
use camera_capture::model::{ImageKind, LinkToken, UploadState};
use camera_capture::store::Wake;
use camera_capture::targets::TargetError;
use serde_json::{Value, json};

use super::lane::Running;
use super::server::{Act, Request, Server, answer};
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

/// The settings with which messages have a link.
fn linking(server: &Server) -> Rig {
    let url = format!("{}/api/webhooks/17/token-token", server.origin());
    let public = ("PUBLIC_URL", "https://gate.example.org");
    Rig::with(&[("DISCORD_WEBHOOK_URL", &url), ("DISCORD_MESSAGE", "link"), public])
}

/// The address in a message.
fn posted(body: &[u8]) -> String {
    let message: Value = serde_json::from_slice(body).unwrap();
    message["content"].as_str().unwrap().lines().last().unwrap().to_owned()
}

/// A channel that takes every message as it is.
fn echo() -> Act {
    Act::Then(|request| {
        let message: Value = serde_json::from_slice(&request.body).unwrap();
        let said = json!({"id": "1", "content": message["content"], "embeds": []});
        Box::new(answer(200, "", &said.to_string()))
    })
}

/// What a link opens.
async fn opens(rig: &Rig, link: &str) -> Option<String> {
    let path = link.strip_prefix("https://gate.example.org/s/").unwrap();
    let token = LinkToken::parse(path.split('.').next().unwrap()).unwrap();
    let opened = rig.store.catalog().opened_link(token.hash(), clock::now()).await.unwrap();
    opened.map(|(_, image)| image.filename.to_string())
}

/// S1.5
#[tokio::test]
async fn a_link_is_posted_in_place_of_the_file_and_opens_the_picture() {
    let server = Server::start(|_, _| echo()).await;
    let rig = linking(&server);
    let image = rig.take(0, vec![7; 9]).await;
    let clip = rig.take_kind(1, vec![0; 20_000_000], ImageKind::Clip).await;
    let mut lane = Running::start(&rig);
    lane.delivered(2).await;
    let seen = server.seen();
    assert!(seen.iter().all(|request| request.header("content-type") == Some("application/json")));
    let message: Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(message["allowed_mentions"], json!({"parse": []}));
    assert!(message.get("embeds").is_none(), "Discord makes one of the link itself");
    let links: Vec<_> = seen.iter().map(|request| posted(&request.body)).collect();
    assert_eq!(opens(&rig, &links[0]).await, Some(image.filename.to_string()));
    assert_eq!(
        opens(&rig, &links[1]).await,
        Some(clip.filename.to_string()),
        "whatever DISCORD_MAX_BYTES says"
    );
    assert!(links[1].ends_with(".mp4"));
    let kept = rig.store.catalog().links(None, clock::now(), 9).await.unwrap();
    assert!(kept.iter().all(|link| link.target.as_deref() == Some("discord") && link.expires_at.is_some()));
    lane.stop().await;
}

#[tokio::test]
async fn every_attempt_posts_the_same_link() {
    let server = Server::start(|n, _| match n {
        0 => answer(500, "", "no"),
        1 => answer(200, "", "{}"),
        _ => echo(),
    })
    .await;
    let rig = linking(&server);
    rig.take(0, vec![7; 9]).await;
    let mut lane = Running::start(&rig);
    while lane.next().await.1 != UploadState::Delivered {
        lane.wakes.raise(Wake::Person);
    }
    let links: Vec<_> = server.seen().iter().map(|request| posted(&request.body)).collect();
    assert!(links.len() == 3 && links.iter().all(|link| *link == links[0]), "{links:?}");
    assert_eq!(rig.store.catalog().links(None, clock::now(), 9).await.unwrap().len(), 1);
    lane.stop().await;
}

#[tokio::test]
async fn a_message_without_the_link_is_no_delivery_and_its_words_do_not_repeat_it() {
    let repeat = |request: &Request| {
        let said = json!({"message": format!("bad {}", posted(&request.body)), "code": 50035});
        Box::new(answer(400, "", &said.to_string()))
    };
    let show = |request: &Request| {
        let said = json!({"id": "1", "content": format!("•\n{}", posted(&request.body))});
        Box::new(answer(200, "", &said.to_string()))
    };
    let server = Server::start(move |n, _| match n {
        0 => answer(200, "", r#"{"id": "1", "content": "something else"}"#),
        1 => Act::Then(repeat),
        _ => Act::Then(show),
    })
    .await;
    let rig = linking(&server);
    rig.take(0, vec![7; 9]).await;
    let mut upload = rig.claim().await;
    let queue = rig.store.queue(upload.target);
    upload.link = queue.share(&upload, clock::now(), None).await.unwrap();
    let token = upload.link.as_ref().unwrap().reveal();
    assert_eq!(kind(&rig.target().deliver(&upload).await), "doubtful");
    let error = rig.target().deliver(&upload).await.unwrap_err();
    let words = format!("{error} {error:?}");
    assert!(words.contains("bad https://gate.example.org/s/") && !words.contains(&token), "{words}");
    let (_, said) = rig.target().deliver_heard(&upload).await;
    let said = said.unwrap();
    assert!(said.contains("https://gate.example.org/s/") && !said.contains(&token), "{said}");
}

#[tokio::test]
async fn a_picture_that_has_no_link_is_sent_as_a_file() {
    let taken = json!({"attachments": [{"filename": "r1_1800000000.jpg", "size": 9}]}).to_string();
    let server = Server::start(move |_, _| answer(200, "", &taken)).await;
    let rig = linking(&server);
    rig.take(0, vec![7; 9]).await;
    rig.target().deliver(&rig.claim().await).await.unwrap();
    assert!(server.seen()[0].header("content-type").unwrap().starts_with("multipart/form-data"));
}
