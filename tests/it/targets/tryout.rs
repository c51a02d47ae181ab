//! Targets that are tried out: the test picture goes the way of every picture, and each step is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use camera_capture::config::{Config, Env, UploadConfig};
use camera_capture::targets::{StepKind, TryoutReport, try_out};
use serde_json::json;

use super::conformance::{CANARY, CASES, Case};
use super::server::{Act, Request, Server, answer};
use crate::support::multipart::find;
use crate::targets::{TargetId, TargetKind};

fn upload_config(case: &Case, origin: &str) -> UploadConfig {
    // A second installation in the same process is refused and does no harm.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = (case.settings)(origin);
    let pairs: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Config::parse(&Env::from_pairs(pairs)).unwrap().0.upload
}

async fn tried(case: &Case, origin: &str) -> TryoutReport {
    let mut told = Vec::new();
    let config = upload_config(case, origin);
    let report =
        Box::pin(try_out(&config, TargetId::first(case.kind), None, &mut |step| told.push(step.clone())))
            .await
            .unwrap();
    assert_eq!(told, report.steps, "each step is told");
    let document = report.json().to_string();
    let lines: Vec<_> = report.steps.iter().map(|step| step.line()).collect();
    assert!(!document.contains(CANARY) && !lines.concat().contains(CANARY), "{document}");
    report
}

fn states(report: &TryoutReport) -> Vec<(StepKind, Option<bool>)> {
    report.steps.iter().map(|step| (step.kind, step.ok)).collect()
}

/// Takes what it is sent, as a server of this kind does.
fn takes(kind: TargetKind, length: &AtomicU64, request: &Request) -> Act {
    match kind {
        TargetKind::Api => answer(200, "content-type: text/plain\r\n", "ok"),
        TargetKind::Relay => answer(201, "", r#"{"success": true}"#),
        TargetKind::S3 => {
            let known = length.load(Ordering::Relaxed);
            if request.line.starts_with("PUT ") {
                length.store(request.header("content-length").unwrap().parse().unwrap(), Ordering::Relaxed);
                answer(200, "", "")
            } else if known == 0 {
                answer(404, "", "")
            } else {
                Act::Say(format!("HTTP/1.1 200 X\r\nconnection: close\r\ncontent-length: {known}\r\n\r\n"))
            }
        }
        // The message names its picture.
        TargetKind::Discord => Act::Then(|request| {
            let begin = b"attachment://";
            let at = find(&request.body, begin).unwrap() + begin.len();
            let name: Vec<u8> = request.body[at..].iter().copied().take_while(|byte| *byte != b'"').collect();
            let url = format!("http://x.example/{}", String::from_utf8(name).unwrap());
            let shown = json!({ "image": { "url": url, "width": 640 } });
            Box::new(answer(200, "", &json!({ "id": "1", "embeds": [shown] }).to_string()))
        }),
    }
}

#[tokio::test]
async fn every_target_takes_the_test_picture_as_any_other() {
    for case in CASES {
        let length = Arc::new(AtomicU64::new(0));
        let server = Server::start(move |_, request| takes(case.kind, &length, request)).await;
        let report = tried(&case, &server.origin()).await;
        let done = Some(true);
        let expected =
            [StepKind::Name, StepKind::Tcp, StepKind::Http, StepKind::Verdict].map(|kind| (kind, done));
        assert_eq!(states(&report), expected, "{}: {report:#?}", case.kind);
        assert!(report.is_ok() && report.error().is_none());
        assert_eq!(report.address, server.origin());
        let picture = report.picture.unwrap();
        let sent = server.seen().into_iter().find(|request| !request.body.is_empty()).unwrap();
        let name = picture.filename.to_string();
        assert!(name.starts_with("test_"), "{name}");
        let is_named = find(&sent.body, name.as_bytes()).is_some() || sent.line.contains(&name);
        assert!(
            is_named && find(&sent.body, b"a test picture, taken by no camera").is_some(),
            "{}",
            sent.line
        );
        let sent = server.seen().len();
        assert!(sent <= 3, "{}: {sent} requests; nothing is tried again", case.kind);
    }
}

#[tokio::test]
async fn a_target_that_says_no_is_told_with_its_words_and_not_asked_again() {
    for case in CASES {
        for (status, body) in [(401, "who are you"), (413, "too large"), (503, "not now")] {
            let server = Server::start(move |_, _| answer(status, "", body)).await;
            let report = tried(&case, &server.origin()).await;
            let last = &states(&report)[2..];
            assert_eq!(
                last,
                [(StepKind::Http, Some(true)), (StepKind::Verdict, Some(false))],
                "{}",
                case.kind
            );
            let error = report.error().unwrap();
            assert!(error.starts_with("not taken: ") && error.contains(&status.to_string()), "{error}");
            assert!(server.seen().len() <= 2, "{}: nothing is tried again", case.kind);
        }
    }
}

#[tokio::test]
async fn a_test_that_may_not_wait_as_long_as_a_delivery_says_so() {
    let mut server = Server::start(|_, _| Act::Hold).await;
    let config = upload_config(&CASES[0], &server.origin());
    let limit = Some(Duration::from_secs(45));
    let test =
        tokio::spawn(
            async move { Box::pin(try_out(&config, TargetId::API, limit, &mut |_| {})).await.unwrap() },
        );
    server.arrival().await;
    tokio::time::pause();
    let report = test.await.unwrap();
    tokio::time::resume();
    let error = report.error().unwrap();
    assert!(error.contains("this test waits no longer") && error.contains("UPLOAD_TIMEOUT"), "{error}");
    assert_eq!(states(&report)[2], (StepKind::Http, Some(false)), "{report:#?}");
}
