//! Servers that somebody wrote for themselves, with the real daemon: fields that they want (`UPLOAD_FIELDS`), what is a
//! delivery by `UPLOAD_SUCCESS`, certificates that are pinned, and what the operator reads when something is not right.

use std::time::Duration;

use crate::support::daemon::{Daemon, run};
use crate::support::setup::Setup;
use crate::support::snapshot::{PLAIN, SnapshotPeer};
use crate::support::{machine_shared, wait_until};
use crate::targets::server::{Server, answer};
use crate::targets::tls::Authority;

/// Longest until something has been tried.
const SOON: Duration = Duration::from_secs(30);

/// The upload of the newest picture: state and words.
async fn newest(daemon: &Daemon) -> (String, String) {
    let image = daemon.images().await.remove(0);
    let text = |name: &str| image["uploads"][0][name].as_str().unwrap_or_default().to_owned();
    (text("state"), text("last_error"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_the_operator_calls_a_success_is_shown_as_delivered() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "").await;
    // Says yes whatever happened; the truth stands in a place of its own, and reads like a no.
    let server = Server::start(|index, _| {
        let state = if index == 0 { "queued, not stored" } else { "stored, 0 errors" };
        answer(
            200,
            "",
            &format!("{{\"success\":true,\"error\":\"none at all\",\"picture\":{{\"state\":\"{state}\"}}}}"),
        )
    })
    .await;
    let setup = Setup::new()
        .with_snapshots(1, &camera.url())
        .with("S3_API_URL", &server.url())
        .with("UPLOAD_SUCCESS", "json: picture.state = \"stored, 0 errors\"")
        .with("UPLOAD_FIELDS", "camera_id={camera}; regions=de; note=\"gate; {label}\"")
        .with("OFFLINE_RETRY_INTERVAL", "1");
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    assert_eq!(daemon.capture("r1").await.unwrap().status, 201);
    let mut words = String::new();
    wait_until("the picture is delivered at the second attempt", SOON, async || {
        let (state, said) = newest(&daemon).await;
        if !said.is_empty() {
            words = said;
        }
        if state == "delivered" { Ok(()) } else { Err(format!("{state}: {words}")) }
    })
    .await;
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    for request in seen {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        for (name, value) in [("camera_id", "r1"), ("regions", "de"), ("note", "gate; Entry")] {
            let field = format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--");
            assert!(body.contains(&field), "{name} not in {}", &body[..body.len().min(1000)]);
        }
    }
    let (_, lines) = daemon.terminate().await;
    let log = lines.text();
    for part in ["UPLOAD_SUCCESS=json: picture.state", "picture.state is", "queued, not stored"] {
        assert!(log.contains(part), "{part} not in {log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_or_a_field_that_is_none_is_said_by_check_config() {
    for (name, value, words) in [
        ("UPLOAD_SUCCESS", "json:result.ok", "no = behind the place"),
        ("UPLOAD_SUCCESS", "text:(OK", "cannot be used"),
        ("UPLOAD_SUCCESS", "status:2xx,4xx", "another class than 2xx"),
        ("UPLOAD_SUCCESS", "yes", "begins with none of status, json: and text:"),
        (
            "UPLOAD_FIELDS",
            "camera_id={kamera}",
            "in braces that is not known (value hidden), accepted: name=value",
        ),
        ("UPLOAD_FIELDS", "a=1; file={id}", "entry 2 has the name file"),
    ] {
        let setup = Setup::new().with("S3_API_URL", "http://127.0.0.1:9/up").with(name, value);
        let output = run(&setup, &["--check-config"], "").await;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(&format!("{name}: ")) && said.contains(words), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_certificate_than_the_pinned_one_gets_no_picture_and_is_told_by_its_fingerprint() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "").await;
    let server = Server::start(|_, _| answer(200, "", "ok")).await;
    let (odd, other) = (Authority::odd(), Authority::odd());
    let (addr, guard) = odd.guard(server.addr).await;
    let setup = |pin: &Authority| {
        Setup::new()
            .with_snapshots(1, &camera.url())
            .with("S3_API_URL", &format!("https://{addr}/upload"))
            .with("UPLOAD_TLS_FINGERPRINT", &pin.fingerprint.to_string())
    };
    let wrong = setup(&other);
    let daemon = Daemon::start_connected(&wrong, &["r1"]).await;
    assert_eq!(daemon.capture("r1").await.unwrap().status, 201);
    wait_until("the wrong certificate is named", SOON, async || {
        let (state, said) = newest(&daemon).await;
        let line = format!("set UPLOAD_TLS_FINGERPRINT={}", odd.fingerprint);
        if state == "pending" && said.contains(&line) { Ok(()) } else { Err(format!("{state}: {said}")) }
    })
    .await;
    assert_eq!(server.seen().len(), 0);
    daemon.terminate().await;

    let right = setup(&odd);
    let daemon = Daemon::start_connected(&right, &["r1"]).await;
    assert_eq!(daemon.capture("r1").await.unwrap().status, 201);
    daemon.wait_until_delivered(SOON).await;
    assert_eq!(server.seen().len(), 1);
    daemon.terminate().await;
    guard.abort();
}
