//! What is peculiar to S3: signatures, clocks, proof of arrival, and a real store.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use camera_capture::targets::TargetError;
use sha2::{Digest as _, Sha256};

use super::kind;
use super::server::{Act, Request, Server, answer};
use super::{Rig, TargetId};
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
    let path = format!("PUT /store/{BUCKET}/in/gate%201/r1/2027/01/15/{}.jpg?", image.facts.id);
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
    assert_eq!(rig.target().id(), TargetId::S3);
}

/// The ETag of one byte `x`.
const TAG_OF_X: &str = "ETag: \"9dd4e461268c8034f5c8564e155c67a6\"\r\n";

#[tokio::test]
async fn a_checksum_header_that_a_store_does_not_know_is_left_out_at_once_and_from_then_on() {
    let named = "<Error><Code>InvalidArgument</Code><Message>Unsupported header 'x-amz-checksum-sha256' received for \
                 this API call.</Message></Error>";
    let unnamed = "<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not \
                   implemented</Message></Error>";
    for (status, body) in [(400, named), (501, named), (501, unnamed), (501, "")] {
        let server = Server::start(move |_, request| match request.header("x-amz-checksum-sha256") {
            Some(_) => answer(status, "", body),
            None => answer(200, TAG_OF_X, ""),
        })
        .await;
        let rig = rig(&server.origin(), &[]);
        rig.take(0, b"x".to_vec()).await;
        let (target, upload) = (rig.target(), rig.claim().await);
        for _ in 0..2 {
            assert_eq!(target.deliver(&upload).await, Ok(()), "{status} {body}");
        }
        let seen = server.seen();
        assert_eq!(seen.len(), 3, "{status} {body}: one refusal, two deliveries");
        for request in &seen[1..] {
            let signed = query(request, "X-Amz-SignedHeaders");
            assert!(!signed.contains("checksum") && signed.contains("content-md5"), "{signed}");
            assert_eq!(request.header("content-md5"), Some("ndTkYSaMgDT1yFZOFVxnpg=="));
        }
    }
}

#[tokio::test]
async fn a_store_that_refuses_for_another_reason_gets_the_checksum_at_every_attempt() {
    for (status, body, expected, requests) in [
        (400, "<Error><Code>BadDigest</Code><Message>x-amz-checksum-sha256</Message></Error>", "broken", 1),
        (400, "<Error><Code>InvalidArgument</Code></Error>", "rejected", 1),
        (503, "", "busy", 1),
        // Perhaps; nothing is remembered of it.
        (501, "", "busy", 2),
    ] {
        let server = Server::start(move |_, _| answer(status, "", body)).await;
        let rig = rig(&server.origin(), &[]);
        rig.take(0, b"x".to_vec()).await;
        let (target, upload) = (rig.target(), rig.claim().await);
        for _ in 0..2 {
            assert_eq!(kind(&target.deliver(&upload).await), expected, "{status} {body}");
        }
        let seen = server.seen();
        assert_eq!(seen.len(), 2 * requests, "{status} {body}");
        assert!(seen[requests].header("x-amz-checksum-sha256").is_some(), "{status} {body}");
    }
}

#[tokio::test]
async fn an_object_that_may_not_be_written_again_is_looked_at_before_anybody_is_blamed() {
    let head = |headers: &str| {
        Act::Say(format!("HTTP/1.1 200 X\r\nconnection: close\r\ncontent-length: 1000\r\n{headers}\r\n"))
    };
    let sum: String = Sha256::digest([7; 1000]).iter().map(|byte| format!("{byte:02x}")).collect();
    let document =
        |code: &str, words: &str| format!("<Error><Code>{code}</Code><Message>{words}</Message></Error>");
    let same = head(&format!("x-amz-meta-sha256: {sum}\r\n"));
    let other = head(&format!("x-amz-meta-sha256: {}\r\n", "0".repeat(64)));
    let none = answer(404, "", "");
    for (status, body, look, expected) in [
        (409, String::new(), same.clone(), "delivered"),
        (412, document("PreconditionFailed", "no"), same.clone(), "delivered"),
        (
            400,
            document("InvalidRequest", "Object is WORM protected and cannot be overwritten"),
            same.clone(),
            "delivered",
        ),
        (403, document("AccessDenied", "object protected by object lock"), same.clone(), "delivered"),
        (403, document("AccessDenied", "Access Denied."), same.clone(), "delivered"),
        (405, document("MethodNotAllowed", "it is locked"), same.clone(), "delivered"),
        (409, document("FileImmutable", "no"), head(""), "delivered"),
        (409, String::new(), other.clone(), "rejected"),
        (412, String::new(), head("ETag: \"d41d8cd98f00b204e9800998ecf8427e\"\r\n"), "rejected"),
        (412, document("PreconditionFailed", "no"), none.clone(), "doubtful"),
        (409, document("ObjectAlreadyExists", "no"), answer(403, "", ""), "doubtful"),
        (409, document("ObjectAlreadyExists", "no"), answer(503, "", ""), "busy"),
        (403, document("AccessDenied", "Access Denied."), other, "doubtful"),
        (403, document("AccessDenied", "Access Denied."), none, "doubtful"),
        (403, document("AccessDenied", "Access Denied."), Act::Close, "doubtful"),
    ] {
        let text = format!("{status} {body} {look:?}");
        let said = body.clone();
        let server = Server::start(move |_, request| {
            if request.line.starts_with("HEAD ") { look.clone() } else { answer(status, "", &said) }
        })
        .await;
        let result = deliver(&rig(&server.origin(), &[]), &[7; 1000]).await;
        assert_eq!(kind(&result), expected, "{text}: {result:?}");
        if let Err(error) = result {
            assert!(error.to_string().contains(&status.to_string()), "{error}");
        }
        assert_eq!(server.seen().len(), 2, "{text}");
    }
}

/// Stands before a store and knows no checksum header.
async fn front_of(store: &S3Peer) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let behind = store.endpoint().trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let behind = behind.clone();
            tokio::spawn(async move {
                // The test ends in the midst of it.
                let _ = pass_or_refuse(stream, &behind).await;
            });
        }
    });
    format!("http://{address}")
}

async fn pass_or_refuse(mut stream: tokio::net::TcpStream, behind: &str) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head).to_lowercase();
    if text.contains("\r\nx-amz-checksum") {
        let length = text.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()).unwrap();
        stream.read_exact(&mut vec![0; length.parse().unwrap()]).await?;
        return stream.write_all(b"HTTP/1.1 501 X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    }
    let mut store = tokio::net::TcpStream::connect(behind).await?;
    store.write_all(&head).await?;
    tokio::io::copy_bidirectional(&mut stream, &mut store).await.map(|_| ())
}

#[tokio::test]
async fn a_real_store_takes_a_picture_that_was_signed_again_without_its_checksum() {
    if !is_available("a_real_store_takes_a_picture_that_was_signed_again").await {
        return;
    }
    let store = S3Peer::start().await;
    let rig = rig(&front_of(&store).await, &[]);
    let picture: Vec<u8> = (0..300_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    assert_eq!(deliver(&rig, &picture).await, Ok(()));
    assert_eq!(std::fs::read(store.file("r1_1800000000.jpg")).unwrap(), picture);
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
    assert_eq!(object["metadata"]["id"], image.facts.id.to_string());
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
