//! What is peculiar to S3: signatures, clocks, proof of arrival, and a real store.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use camera_capture::target::TargetError;
use sha2::{Digest as _, Sha256};

use super::kind;
use super::server::{Act, Request, Server, answer};
use super::{Rig, TargetKind};
use crate::support::s3::{ACCESS_KEY_ID, BUCKET, S3Peer, SECRET_ACCESS_KEY, is_available};

fn rig(endpoint: &str, further: &[(&str, &str)]) -> Rig {
    let pairs = [
        ("S3_ENDPOINT", endpoint),
        ("S3_BUCKET", BUCKET),
        ("S3_ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("S3_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
    ];
    let replaced = |name: &str| further.iter().any(|(other, _)| *other == name);
    let pairs: Vec<_> =
        pairs.into_iter().filter(|(name, _)| !replaced(name)).chain(further.iter().copied()).collect();
    Rig::with(&pairs)
}

/// What one delivery of a picture leads to.
async fn deliver(rig: &Rig, picture: &[u8]) -> Result<(), TargetError> {
    rig.take(0, picture.to_vec()).await;
    rig.target().deliver(&rig.claim().await).await
}

/// A value of the signed query.
fn query(request: &Request, name: &str) -> String {
    let (_, query) = request.line.split(' ').nth(1).unwrap().split_once('?').unwrap();
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name} in {query}")).to_owned()
}

fn rfc3339(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    camera_capture::model::UnixMs(i64::try_from(seconds).unwrap() * 1000).rfc3339()
}

/// An instant as a signature writes it.
fn signed(at: SystemTime) -> String {
    rfc3339(at)[..19].replace(['-', ':'], "") + "Z"
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_corrected_by_the_stores_and_the_picture_sent_again_at_once() {
    let ahead = Duration::from_secs(86_400 * 400);
    for (code, tells_date) in
        [("RequestTimeTooSkewed", true), ("RequestTimeTooSkewed", false), ("AccessDenied", true)]
    {
        let there = SystemTime::now() + ahead;
        let date =
            if tells_date { format!("Date: {}\r\n", httpdate::fmt_http_date(there)) } else { String::new() };
        let body = format!(
            "<Error><Code>{code}</Code><Message>Request has expired</Message><ServerTime>{}</ServerTime></Error>",
            rfc3339(there)
        );
        let tag = "ETag: \"9dd4e461268c8034f5c8564e155c67a6\"\r\n";
        let server = Server::start(move |n, _| match n {
            0 => answer(403, &date, &body),
            _ => answer(200, &format!("{date}{tag}"), ""),
        })
        .await;
        let rig = rig(&server.origin(), &[]);
        rig.take(0, b"x".to_vec()).await;
        let (target, upload) = (rig.target(), rig.claim().await);
        // The second one is signed with what the first one taught.
        for _ in 0..2 {
            assert_eq!(target.deliver(&upload).await, Ok(()), "{code}");
        }
        let seen = server.seen();
        assert_eq!(seen.len(), 3, "{code}: one refusal, two deliveries");
        let ours = signed(SystemTime::now());
        assert_eq!(query(&seen[0], "X-Amz-Date")[..6], ours[..6], "{code}");
        for request in &seen[1..] {
            assert_eq!(query(request, "X-Amz-Date")[..6], signed(there)[..6], "{code}");
        }
    }
}

#[tokio::test]
async fn a_store_that_goes_on_refusing_the_time_is_asked_only_once_more() {
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&asked);
    let server = Server::start(move |_, _| {
        // A clock that runs away.
        let n = count.fetch_add(1, Ordering::Relaxed) as u64 + 1;
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(86_400 * n));
        answer(403, &format!("Date: {date}\r\n"), "<Error><Code>RequestTimeTooSkewed</Code></Error>")
    })
    .await;
    let result = deliver(&rig(&server.origin(), &[]), b"x").await;
    assert_eq!(kind(&result), "misconfigured", "{result:?}");
    assert!(result.unwrap_err().to_string().contains("the clock of this machine"));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_answer_that_proves_nothing_is_followed_by_a_look_at_the_object() {
    let length = |bytes: usize| {
        Act::Say(format!("HTTP/1.1 200 X\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n"))
    };
    for (put, head, expected) in [
        ("ETag: \"other\"\r\n", length(1000), "delivered"),
        ("", length(1000), "delivered"),
        ("ETag: \"other\"\r\n", length(999), "misconfigured"),
        ("", answer(403, "", ""), "misconfigured"),
        ("", answer(404, "", ""), "misconfigured"),
        ("", Act::Close, "broken"),
    ] {
        let text = format!("{put:?} {head:?}");
        let server = Server::start(move |_, request| {
            if request.line.starts_with("HEAD ") { head.clone() } else { answer(200, put, "") }
        })
        .await;
        let result = deliver(&rig(&server.origin(), &[]), &[7; 1000]).await;
        assert_eq!(kind(&result), expected, "{text}: {result:?}");
        let seen = server.seen();
        assert_eq!(seen.len(), 2, "{text}");
        let path = |request: &Request| request.line.split(['?', ' ']).nth(1).unwrap().to_owned();
        assert_eq!(path(&seen[0]), path(&seen[1]));
    }
    // A store that encrypts repeats the checksum.
    let sum = base64_sha256(&[7; 1000]);
    let server = Server::start(move |_, _| {
        answer(200, &format!("ETag: \"kms\"\r\nx-amz-checksum-sha256: {sum}\r\n"), "")
    })
    .await;
    assert_eq!(deliver(&rig(&server.origin(), &[]), &[7; 1000]).await, Ok(()));
    assert_eq!(server.seen().len(), 1);
}

fn base64_sha256(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(Sha256::digest(bytes))
}

#[tokio::test]
async fn the_request_says_where_when_and_what_and_has_no_secret_in_it() {
    let server =
        Server::start(|_, _| answer(200, "ETag: \"9dd4e461268c8034f5c8564e155c67a6\"\r\n", "")).await;
    let further = [("S3_PREFIX", "in/gate 1"), ("S3_KEY", "{prefix}{camera}/{year}/{month}/{day}/{id}.jpg")];
    let rig = rig(&format!("{}/store", server.origin()), &further);
    let image = rig.take(0, b"x".to_vec()).await;
    rig.target().deliver(&rig.claim().await).await.unwrap();
    let request = &server.seen()[0];
    let path = format!("PUT /store/{BUCKET}/in/gate%201/r1/2027/01/15/{}.jpg?", image.id);
    assert!(request.line.starts_with(&path), "{}", request.line);
    assert_eq!(request.header("host"), Some(server.addr.to_string().as_str()));
    assert!(query(request, "X-Amz-Credential").starts_with(&format!("{ACCESS_KEY_ID}%2F")));
    assert!(query(request, "X-Amz-SignedHeaders").contains("x-amz-checksum-sha256"));
    assert_eq!(request.header("x-amz-checksum-sha256"), Some(base64_sha256(b"x").as_str()));
    assert!(!format!("{request:?}").contains(SECRET_ACCESS_KEY));
}

#[test]
fn a_bucket_before_the_host_is_part_of_the_address_that_is_watched() {
    let rig = rig("https://s3.gate.example:9000", &[("S3_STYLE", "virtual")]);
    let hop = rig.target().first_hop();
    assert_eq!((hop.host, hop.port), (format!("{BUCKET}.s3.gate.example"), 9000));
    assert_eq!(rig.target().kind(), TargetKind::S3);
}

#[tokio::test]
async fn a_real_store_takes_the_picture_under_its_key_and_again_under_the_same() {
    if !is_available("a_real_store_takes_the_picture").await {
        return;
    }
    let store = S3Peer::start().await;
    let further = [
        ("S3_PREFIX", "gate 1/ä-ö"),
        ("S3_KEY", "{prefix}{site}/{camera}/{year}/{filename}"),
        ("SITE_NAME", "Süd & Co"),
        ("S3_UPLOAD_RATE", "4MiB"),
    ];
    let rig = rig(&store.endpoint(), &further);
    let picture: Vec<u8> = (0..300_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let image = rig.take(0, picture.clone()).await;
    let (target, upload) = (rig.target(), rig.claim().await);
    for _ in 0..2 {
        assert_eq!(target.deliver(&upload).await, Ok(()));
    }
    let key = "gate 1/ä-ö/Süd & Co/r1/2027/r1_1800000000.jpg";
    assert_eq!(std::fs::read(store.file(key)).unwrap(), picture);
    let found = store.read().await;
    assert_eq!(found.keys().collect::<Vec<_>>(), [key]);
    let sum: String = image.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let object = &found[key];
    assert_eq!(
        (object["sha256"].as_str(), object["type"].as_str()),
        (Some(sum.as_str()), Some("image/jpeg"))
    );
    assert_eq!(object["metadata"]["id"], image.id.to_string());
    assert_eq!(object["metadata"]["camera"], "r1");
    assert_eq!(object["metadata"]["site"], "=?UTF-8?B?U8O8ZCAmIENv?=");
}

#[tokio::test]
async fn a_real_store_refuses_a_wrong_key_in_its_own_words() {
    if !is_available("a_real_store_refuses_a_wrong_key").await {
        return;
    }
    let store = S3Peer::start().await;
    for (name, value, words) in [
        ("S3_SECRET_ACCESS_KEY", "canary-wrong", "SignatureDoesNotMatch"),
        ("S3_ACCESS_KEY_ID", "canary-other", "S3_ACCESS_KEY_ID"),
    ] {
        let result = deliver(&rig(&store.endpoint(), &[(name, value)]), &[7; 100]).await;
        assert_eq!(kind(&result), "misconfigured", "{name}: {result:?}");
        let text = result.unwrap_err().to_string();
        assert!(text.contains(words) && !text.contains("canary"), "{name}: {text}");
    }
    assert!(store.read().await.is_empty());
}
