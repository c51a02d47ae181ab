//! One table for all targets: the same faults, and what each target makes of them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camera_capture::targets::TargetError;
use serde_json::json;

use super::server::{Act, Request, Server, answer, answer_text, silent_port};
use super::{Rig, TargetId, TargetKind, kind};

/// Stands in every credential; must stand in nothing that people see.
pub(super) const CANARY: &str = "canary-hunter2";

/// A target as the table sees it.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) kind: TargetKind,
    /// How a server at this address (`http://127.0.0.1:9`) is configured.
    pub(super) settings: fn(&str) -> Vec<(&'static str, String)>,
    /// How such a server takes this picture: headers and body of its answer.
    success: fn(&[u8]) -> (String, String),
    /// The file of a request.
    file: fn(&Request) -> Vec<u8>,
    /// What must be the same at every attempt.
    identity: fn(&Request) -> String,
    /// What becomes of a success whose body breaks off.
    cut: &'static str,
}

pub(super) const CASES: [Case; 4] = [
    Case {
        kind: TargetKind::Api,
        settings: |origin| {
            let url = format!("{origin}/upload?key={CANARY}").replace("://", &format!("://gate:{CANARY}@"));
            vec![("S3_API_URL", url), ("UPLOAD_HEADERS", format!("Authorization: Bearer {CANARY}"))]
        },
        success: |_| (String::new(), "ok".to_owned()),
        file: file_of_form,
        identity: Request::key,
        // The status has been said; the rest is words.
        cut: "delivered",
    },
    Case {
        kind: TargetKind::S3,
        settings: |origin| {
            vec![
                ("S3_ENDPOINT", origin.to_owned()),
                ("S3_BUCKET", "gate".to_owned()),
                ("S3_PREFIX", "in".to_owned()),
                ("S3_ACCESS_KEY_ID", format!("AKIA{CANARY}")),
                ("S3_SECRET_ACCESS_KEY", CANARY.to_owned()),
                ("S3_SESSION_TOKEN", format!("{CANARY}-token")),
            ]
        },
        success: |picture| (format!("ETag: \"{}\"\r\n", md5(picture)), String::new()),
        file: |request| request.body.clone(),
        identity: |request| request.line.split('?').next().unwrap().to_owned(),
        // Its headers have said what arrived.
        cut: "delivered",
    },
    Case {
        kind: TargetKind::Discord,
        settings: |origin| vec![("DISCORD_WEBHOOK_URL", format!("{origin}/api/webhooks/17/{CANARY}"))],
        success: |picture| {
            let file = json!({ "filename": "r1_1800000000.jpg", "size": picture.len() });
            (String::new(), json!({ "id": "1", "attachments": [file] }).to_string())
        },
        file: file_of_form,
        identity: |request| String::from_utf8_lossy(&request.body).into_owned(),
        cut: "broken",
    },
    Case {
        kind: TargetKind::Relay,
        settings: |origin| {
            let url = format!("{origin}/upload").replace("://", &format!("://gate:{CANARY}@"));
            vec![("RELAY_URL", url)]
        },
        success: |_| (String::new(), json!({ "success": true }).to_string()),
        file: file_of_form,
        identity: Request::key,
        cut: "broken",
    },
];

fn md5(bytes: &[u8]) -> String {
    use md5::Digest as _;
    md5::Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file of the last part.
fn file_of_form(request: &Request) -> Vec<u8> {
    let boundary =
        request.header("content-type").unwrap().strip_prefix("multipart/form-data; boundary=").unwrap();
    let tail = format!("\r\n--{boundary}--\r\n");
    let body = request.body.strip_suffix(tail.as_bytes()).expect("the body ends with its boundary");
    let mark = b"; filename=\"r1_";
    let last = body.windows(mark.len()).position(|window| window == mark).expect("there is a file");
    let start = body[last..].windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    body[last + start + 4..].to_vec()
}

impl Case {
    pub(super) fn rig(&self, origin: &str, further: &[(&str, &str)]) -> Rig {
        let settings = (self.settings)(origin);
        let mut pairs: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        pairs.extend_from_slice(further);
        Rig::with(&pairs)
    }

    /// The answer that takes this picture.
    pub(super) fn success(&self, picture: &[u8]) -> Act {
        let (headers, body) = (self.success)(picture);
        answer(200, &headers, &body)
    }

    /// What one attempt on a picture of `bytes` leads to when the server does this at every request.
    async fn outcome(&self, act: Act, bytes: usize) -> Result<(), TargetError> {
        let server = Server::start(move |_, _| act.clone()).await;
        let rig = self.rig(&server.origin(), &[]);
        rig.take(0, vec![7; bytes]).await;
        let result = rig.target().deliver(&rig.claim().await).await;
        if let Err(error) = &result {
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunter2"), "{}: {text}", self.kind);
        }
        result
    }
}

#[tokio::test]
async fn every_target_gets_the_bytes_of_the_picture_with_their_length_and_one_identity() {
    for case in CASES {
        let picture: Vec<u8> =
            [b"\xff\xd8any\r\n--bytes; filename=\"x\"\xff".to_vec(), vec![9; 300_000]].concat();
        let (fails, takes) = (answer(503, "", "later"), case.success(&picture));
        let server = Server::start(move |n, _| if n < 2 { fails.clone() } else { takes.clone() }).await;
        let rig = case.rig(&server.origin(), &[]);
        rig.take(0, picture.clone()).await;
        let (target, upload) = (rig.target(), rig.claim().await);
        assert_eq!(target.id(), TargetId::first(case.kind));
        for _ in 0..2 {
            assert_eq!(kind(&target.deliver(&upload).await), "busy", "{}", case.kind);
        }
        assert_eq!(target.deliver(&upload).await, Ok(()), "{}", case.kind);
        let seen = server.seen();
        assert_eq!(seen.len(), 3, "{}", case.kind);
        for request in &seen {
            assert!((case.file)(request) == picture, "{}: other bytes", case.kind);
            assert_eq!((case.identity)(request), (case.identity)(&seen[0]), "{}", case.kind);
            let length = request.body.len().to_string();
            assert_eq!(request.header("content-length"), Some(length.as_str()), "{}", case.kind);
            assert_eq!(request.header("transfer-encoding"), None, "{}", case.kind);
        }
    }
}

#[tokio::test]
async fn an_answer_that_does_not_say_that_the_picture_is_there_is_no_delivery() {
    let html = "content-type: text/html\r\n";
    for case in CASES {
        for page in [answer(200, html, "<!DOCTYPE html><p>Log in"), answer(200, "", " <html>Welcome")] {
            assert_eq!(kind(&case.outcome(page, 100).await), "misconfigured", "{}", case.kind);
        }
        let expected = if case.kind == TargetKind::Api { "delivered" } else { "misconfigured" };
        for act in [answer(200, "", "ok"), answer(204, "", ""), answer(200, "", "{}")] {
            let text = format!("{}: {act:?}", case.kind);
            assert_eq!(kind(&case.outcome(act, 100).await), expected, "{text}");
        }
        // The right words for another picture.
        let other = case.success(&[1; 99]);
        let expected = match case.kind {
            TargetKind::Api | TargetKind::Relay => "delivered",
            TargetKind::S3 => "misconfigured",
            TargetKind::Discord => "doubtful",
        };
        assert_eq!(kind(&case.outcome(other, 100).await), expected, "{}", case.kind);
    }
}

#[tokio::test]
async fn every_status_is_blamed_on_the_same_side_by_all_in_the_words_of_the_server() {
    for case in CASES {
        for (expected, statuses) in [
            ("rejected", &[400, 413, 415, 422][..]),
            ("misconfigured", &[301, 302, 307, 308, 401, 407][..]),
            // Perhaps this picture alone.
            ("doubtful", &[403, 404, 405, 406, 410, 451][..]),
            ("busy", &[408, 425, 429, 500, 502, 503, 504][..]),
        ] {
            for status in statuses {
                let said = format!("the disk is purple, {CANARY}");
                let act = answer(*status, "location: http://elsewhere.example/x\r\n", &said);
                let result = case.outcome(act, 100).await;
                assert_eq!(kind(&result), expected, "{} {status}: {result:?}", case.kind);
                let text = result.unwrap_err().to_string();
                let words = if *status < 400 { "elsewhere.example" } else { "the disk is purple" };
                assert!(text.contains(&status.to_string()) && text.contains(words), "{text}");
            }
        }
        for status in [429, 503] {
            match case.outcome(answer(status, "Retry-After: 77\r\n", ""), 100).await {
                Err(TargetError::Busy { retry_after, .. }) => {
                    assert_eq!(retry_after, Some(Duration::from_secs(77)), "{}", case.kind);
                }
                other => panic!("{}: {other:?}", case.kind),
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_nobodys_fault_but_its_own() {
    for case in CASES {
        for act in [Act::Reset, Act::Close, Act::Say("HTTP/1.1 2".to_owned())] {
            let result = case.outcome(act.clone(), 3_000_000).await;
            assert_eq!(kind(&result), "broken", "{} {act:?}: {result:?}", case.kind);
        }
        let (headers, body) = (case.success)(&[7; 100]);
        let whole = answer_text(200, &headers, &format!("{body}{}", " ".repeat(50)));
        let cut = Act::Say(whole[..whole.len() - 60.min(body.len() + 50)].to_owned());
        assert_eq!(kind(&case.outcome(cut, 100).await), case.cut, "{}", case.kind);

        let (_held, free) = silent_port();
        let rig = case.rig(&format!("http://{free}"), &[]);
        rig.take(0, b"x".to_vec()).await;
        let error = rig.target().deliver(&rig.claim().await).await.unwrap_err();
        assert!(matches!(error, TargetError::Unreachable { .. }), "{}: {error:?}", case.kind);
        assert!(error.to_string().contains("connection refused"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_by_all() {
    for case in CASES {
        let mut server = Server::start(|_, _| Act::Hold).await;
        let rig = case.rig(&server.origin(), &[]);
        rig.take(0, b"x".to_vec()).await;
        let (target, upload) = (rig.target(), rig.claim().await);
        let attempt = tokio::spawn(async move { target.deliver(&upload).await });
        server.arrival().await;
        // Nothing moves any more but the clock.
        tokio::time::pause();
        let result = attempt.await.unwrap();
        tokio::time::resume();
        assert_eq!(kind(&result), "broken", "{}", case.kind);
        assert!(result.unwrap_err().to_string().contains("did not answer in time"));
    }
}

#[tokio::test]
async fn a_limit_on_the_rate_keeps_bytes_and_length_and_takes_its_time() {
    // The first quarter of a second is free.
    const RATE: usize = 256 * 1024;
    for case in CASES {
        let picture = vec![7; RATE / 2];
        let takes = case.success(&picture);
        let server = Server::start(move |_, _| takes.clone()).await;
        let name = format!("{}_UPLOAD_RATE", case.kind.as_str().to_ascii_uppercase());
        let rig = case.rig(&server.origin(), &[(&name, &RATE.to_string())]);
        rig.take(0, picture.clone()).await;
        let (target, upload) = (rig.target(), rig.claim().await);
        let began = std::time::Instant::now();
        assert_eq!(target.deliver(&upload).await, Ok(()), "{}", case.kind);
        assert!(began.elapsed() >= Duration::from_millis(240), "{}: {:?}", case.kind, began.elapsed());
        let request = &server.seen()[0];
        assert!(
            (case.file)(request) == picture && request.header("transfer-encoding").is_none(),
            "{}",
            case.kind
        );
    }
}

#[tokio::test]
async fn a_body_that_takes_minutes_is_not_given_up_while_it_moves() {
    for case in CASES {
        let picture = vec![7; 4_000_000];
        let takes = case.success(&picture);
        let server = Server::start(move |_, _| takes.clone()).await;
        let name = format!("{}_UPLOAD_RATE", case.kind.as_str().to_ascii_uppercase());
        let rig = case.rig(&server.origin(), &[(&name, "32KiB")]);
        rig.take(0, picture).await;
        let (target, upload) = (rig.target(), rig.claim().await);
        // The two minutes pass whenever both sides wait for them.
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        let result = target.deliver(&upload).await;
        let took = began.elapsed().as_secs();
        tokio::time::resume();
        assert_eq!(result, Ok(()), "{} after {took} s", case.kind);
        assert!((110..=130).contains(&took), "{}: {took} s", case.kind);
    }
}

#[tokio::test]
async fn the_facts_travel_as_form_fields_where_that_is_wished_and_with_objects_always() {
    for case in CASES {
        for is_wished in [false, true] {
            let takes = case.success(&[7; 100]);
            let server = Server::start(move |_, _| takes.clone()).await;
            let wished = is_wished.to_string();
            let further =
                [("UPLOAD_METADATA", wished.as_str()), ("SITE_NAME", "Süd 7"), ("CAMERA_1_IP", "10.0.0.1")];
            let rig = case.rig(&server.origin(), &further);
            let image = rig.take(0, vec![7; 100]).await;
            rig.target().deliver(&rig.claim().await).await.unwrap();
            let request = server.seen().remove(0);
            let sum: String = image.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
            let (id, body) =
                (image.facts.id.to_string(), String::from_utf8_lossy(&request.body).into_owned());
            match case.kind {
                TargetKind::S3 => {
                    let site = format!("=?UTF-8?B?{}?=", STANDARD.encode("Süd 7"));
                    for (name, value) in [
                        ("camera", "r1"),
                        ("label", "Entry"),
                        ("taken-at", "2027-01-15T08:00:00.000Z"),
                        ("edge-at", "2027-01-15T08:00:00.000Z"),
                        ("frame-offset-ms", "0"),
                        ("cause", "gpio"),
                        ("kind", "instant"),
                        ("sha256", &sum),
                        ("id", &id),
                        ("site", &site),
                    ] {
                        let name = format!("x-amz-meta-{name}");
                        assert_eq!(request.header(&name), Some(value), "{name}");
                        assert!(request.line.contains(&name), "{name} is not signed: {}", request.line);
                    }
                    assert_eq!(request.header("content-type"), Some("image/jpeg"));
                }
                TargetKind::Discord => {
                    for word in
                        ["\"title\":\"Entry\"", "2027-01-15T08:00:00.000Z", &id, "Süd 7", "\"parse\":[]"]
                    {
                        assert!(body.contains(word), "{word} not in {body}");
                    }
                    assert!(request.line.contains("?wait=true "), "{}", request.line);
                }
                TargetKind::Api | TargetKind::Relay => {
                    for (name, value) in [
                        ("camera", "r1"),
                        ("taken_at", "2027-01-15T08:00:00.000Z"),
                        ("sha256", &sum),
                        ("site", "Süd 7"),
                    ] {
                        let field =
                            format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--");
                        assert_eq!(body.contains(&field), is_wished, "{name}: {body}");
                    }
                }
            }
        }
    }
}
