//! The targets against strict servers: what is sent, and what each answer means.

mod analysis;
mod conformance;
mod discord;
mod echo;
mod fields;
mod lane;
mod line;
mod s3;
pub(crate) mod server;
mod several;
mod success;
pub(crate) mod tls;
mod tryout;

use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camera_capture::config::{Config, Env};
use camera_capture::model::{ImageId, ImageKind, TargetId, TargetKind, UnixMs, UploadState};
use camera_capture::store::{DueUpload, Image, LaneTurn, Store};
use camera_capture::targets::{Target, TargetError};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::support::small;
use server::{Act, Server, answer, answer_text, silent_port};

/// 2027-01-15T08:00:00Z.
const T0: i64 = 1_800_000_000_000;

/// Stands in everything secret; must stand in nothing that people see.
const SECRET: &str = "hunter2";

/// A store that owes its pictures to the target at an address.
struct Rig {
    dir: TempDir,
    store: Store,
    config: Config,
    /// Rows that were claimed.
    held: Mutex<Vec<i64>>,
}

impl Rig {
    fn new(url: &str) -> Self {
        Self::with(&[("S3_API_URL", url)])
    }

    fn with(pairs: &[(&str, &str)]) -> Self {
        // A second installation in the same process is refused and does no harm.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (config, _) = Config::parse(&Env::from_pairs(pairs.iter().copied())).unwrap();
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let store = open_owing(&dir, &camera_capture::daemon::owed_to(&config));
        Self { dir, store, config, held: Mutex::default() }
    }

    fn target(&self) -> Target {
        let mut targets = Target::all(&self.config.upload);
        assert_eq!(targets.len(), 1);
        targets.remove(0)
    }

    /// Records a picture of some bytes.
    async fn take(&self, second: i64, jpeg: Vec<u8>) -> Image {
        self.take_kind(second, jpeg, ImageKind::Instant).await
    }

    async fn take_kind(&self, second: i64, file: Vec<u8>, kind: ImageKind) -> Image {
        self.take_at("r1", UnixMs(T0 + second * 1000), file, kind).await
    }

    async fn take_at(&self, camera: &str, edge_at: UnixMs, file: Vec<u8>, kind: ImageKind) -> Image {
        let trigger = small::trigger(camera, edge_at);
        let row = self.store.triggers().begin(&trigger).await.unwrap();
        let mut new = small::new_image(&trigger, row, ImageId::random(), file);
        new.facts.kind = kind;
        self.store.record(new).await.unwrap()
    }

    /// The oldest picture that is due, and was not claimed before.
    async fn claim(&self) -> DueUpload {
        let (id, held) = (self.target().id(), self.held.lock().unwrap().clone());
        let turn = LaneTurn { held, ..LaneTurn::default() };
        let upload = self.store.queue(id).claim(UnixMs(T0), 1, turn).await.unwrap().uploads.remove(0);
        self.held.lock().unwrap().push(upload.row());
        upload
    }
}

fn open(dir: &TempDir) -> Store {
    open_owing(dir, &[(TargetId::API, UploadState::Pending)])
}

fn open_owing(dir: &TempDir, owed: &[(TargetId, UploadState)]) -> Store {
    Store::open(&dir.path().join("images"), &dir.path().join("x.db"), owed).unwrap()
}

/// What one attempt on a picture of `bytes` leads to when the server does this.
async fn outcome(act: Act, bytes: usize) -> Result<(), TargetError> {
    let server = Server::start(move |_, _| act.clone()).await;
    let rig = Rig::new(&server.url());
    rig.take(0, vec![7; bytes]).await;
    rig.target().deliver(&rig.claim().await).await
}

#[tokio::test]
async fn the_request_is_the_one_of_the_contract_to_the_byte() {
    let server = Server::start(|_, _| answer(200, "", "ok")).await;
    let url = server.url().replace("http://", &format!("http://gate:{SECRET}@"));
    let rig = Rig::with(&[("S3_API_URL", &url), ("UPLOAD_HEADERS", "X-Site: gate 1; X-Token: hunter2")]);
    let jpeg = b"\xff\xd8any\r\n--bytes\xff\xd9".to_vec();
    let image = rig.take(0, jpeg.clone()).await;
    rig.target().deliver(&rig.claim().await).await.unwrap();

    let request = &server.seen()[0];
    assert_eq!(request.line, "POST /upload?site=7 HTTP/1.1");
    let boundary =
        request.header("content-type").unwrap().strip_prefix("multipart/form-data; boundary=").unwrap();
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"r1_1800000000.jpg\"\r\n\
         Content-Type: image/jpeg\r\n\r\n"
    )
    .into_bytes();
    body.extend(&jpeg);
    body.extend(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert_eq!(request.body, body, "{}", String::from_utf8_lossy(&request.body));
    assert_eq!(request.header("content-length"), Some(body.len().to_string().as_str()));
    assert_eq!(request.header("transfer-encoding"), None);
    assert_eq!(request.key(), image.facts.id.to_string());
    let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(&body)));
    assert_eq!(request.header("content-digest"), Some(digest.as_str()));
    assert_eq!((request.header("x-site"), request.header("x-token")), (Some("gate 1"), Some(SECRET)));
    let basic = format!("Basic {}", STANDARD.encode(format!("gate:{SECRET}")));
    assert_eq!(request.header("authorization"), Some(basic.as_str()));
    assert_eq!(request.header("host"), Some(server.addr.to_string().as_str()));
    assert!(request.header("user-agent").unwrap().starts_with("camera-capture/"));
}

#[tokio::test]
async fn a_clip_is_sent_as_what_it_is() {
    let server = Server::start(|_, _| answer(200, "", "ok")).await;
    let rig = Rig::new(&server.url());
    rig.take_kind(0, b"\0\0\0\x08ftyp".to_vec(), ImageKind::Clip).await;
    rig.target().deliver(&rig.claim().await).await.unwrap();
    let body = String::from_utf8_lossy(&server.seen()[0].body).into_owned();
    assert!(body.contains("filename=\"r1_1800000000.mp4\"\r\nContent-Type: video/mp4\r\n\r\n"), "{body}");
}

#[tokio::test]
async fn the_field_name_is_the_configured_one_and_every_attempt_has_the_same_key() {
    let server = Server::start(|n, _| answer(if n == 0 { 500 } else { 200 }, "", "")).await;
    let rig = Rig::with(&[("S3_API_URL", &server.url()), ("UPLOAD_FIELD_NAME", "singleFile")]);
    rig.take(0, b"x".to_vec()).await;
    let (target, upload) = (rig.target(), rig.claim().await);
    assert!(target.deliver(&upload).await.is_err());
    target.deliver(&upload).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].key(), seen[1].key());
    assert!(String::from_utf8_lossy(&seen[1].body).contains("name=\"singleFile\"; filename="));
}

/// The kind of an outcome, for tables.
fn kind(result: &Result<(), TargetError>) -> &'static str {
    match result {
        Ok(()) => "delivered",
        Err(TargetError::Unreachable { .. }) => "unreachable",
        Err(TargetError::Broken { .. }) => "broken",
        Err(TargetError::Busy { .. }) => "busy",
        Err(TargetError::Misconfigured { .. }) => "misconfigured",
        Err(TargetError::Doubtful { .. }) => "doubtful",
        Err(TargetError::Rejected { .. }) => "rejected",
        Err(TargetError::Denied { .. }) => "denied",
        Err(TargetError::Unreadable { .. }) => "unreadable",
    }
}

#[tokio::test]
async fn every_answer_means_what_the_contract_says_in_the_words_of_the_server() {
    for status in [200, 201, 202, 204] {
        assert_eq!(outcome(answer(status, "", ""), 100).await, Ok(()), "{status}");
    }
    for (expected, statuses) in [
        ("rejected", &[400, 413, 415, 422][..]),
        ("misconfigured", &[301, 302, 303, 307, 308, 401, 407][..]),
        ("doubtful", &[403, 404, 405, 406, 409, 410, 412, 451][..]),
        ("busy", &[408, 425, 429, 500, 502, 503, 504, 511][..]),
    ] {
        for status in statuses {
            let result =
                outcome(answer(*status, "location: /elsewhere\r\n", "the disk is purple"), 100).await;
            assert_eq!(kind(&result), expected, "{status}");
            let text = result.unwrap_err().to_string();
            let words = if (300..400).contains(status) { "/elsewhere" } else { "the disk is purple" };
            assert!(text.contains(&status.to_string()) && text.contains(words), "{text}");
        }
    }
}

#[tokio::test]
async fn the_wait_that_is_asked_for_is_read_as_seconds_and_as_a_date() {
    let asked = |header: String| async move {
        match outcome(answer(429, &header, ""), 100).await {
            Err(TargetError::Busy { retry_after, .. }) => retry_after,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(asked("Retry-After: 120\r\n".to_owned()).await, Some(Duration::from_secs(120)));
    assert_eq!(asked(String::new()).await, None);
    let at = std::time::SystemTime::now() + Duration::from_secs(600);
    let wait = asked(format!("Retry-After: {}\r\n", httpdate::fmt_http_date(at))).await.unwrap();
    assert!((570..=600).contains(&wait.as_secs()), "{wait:?}");
}

#[tokio::test]
async fn a_success_that_came_before_the_picture_was_sent_is_none() {
    let result = outcome(Act::SayEarly(answer_text(200, "", "ok")), 8_000_000).await;
    assert!(matches!(kind(&result), "rejected" | "broken"), "{result:?}");
}

#[tokio::test]
async fn a_success_that_says_no_is_none_however_it_is_packed() {
    let gzip = |text: &str| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
        packed.finish().unwrap()
    };
    for (body, expected) in [
        (gzip("{\"success\":false}"), "rejected"),
        (gzip("{\"success\":true}"), "delivered"),
        (gzip("<html>log in"), "misconfigured"),
        (b"\xef\xbb\xbf{\"ok\":false}".to_vec(), "rejected"),
        (b"ERROR: no space".to_vec(), "rejected"),
    ] {
        let result = outcome(Act::SayBytes(body), 100).await;
        assert_eq!(kind(&result), expected, "{result:?}");
    }
}

#[tokio::test]
async fn a_web_page_is_no_delivery_whole_or_cut_short_and_a_mislabelled_ok_is_one() {
    let html = "content-type: text/html\r\n";
    for page in ["<!DOCTYPE html><p>Log in", "\u{feff} <html>", "<script>location='/login'</script>"] {
        assert_eq!(kind(&outcome(answer(200, html, page), 100).await), "misconfigured", "{page}");
    }
    assert_eq!(kind(&outcome(answer(200, "", "<!doctype html><p>"), 100).await), "misconfigured");
    assert_eq!(outcome(answer(200, html, "ok"), 100).await, Ok(()));
    let cut = |kind: &str| {
        Act::Say(format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: 500\r\n\r\n"))
    };
    assert_eq!(kind(&outcome(cut("text/html"), 100).await), "broken");
    assert_eq!(outcome(cut("application/json"), 100).await, Ok(()), "the status has been said");
}

#[tokio::test]
async fn a_connection_that_breaks_is_not_the_fault_of_the_picture() {
    for act in [Act::Reset, Act::Close, Act::Say(String::new()), Act::Say("HTTP/1.1 2".to_owned())] {
        let result = outcome(act.clone(), 3_000_000).await;
        assert_eq!(kind(&result), "broken", "{act:?}: {result:?}");
    }
    let nonsense = outcome(Act::Say("SSH-2.0-OpenSSH_9.2\r\n".to_owned()), 100).await;
    assert_eq!(kind(&nonsense), "broken", "{nonsense:?}");
}

#[tokio::test]
async fn a_refusal_that_comes_before_the_body_was_read_is_heard_or_counts_as_broken() {
    // A proxy with a limit answers and closes; the reset may overtake its answer. Either way the picture does not block
    // the others, see the lane.
    let early = Act::SayEarly(answer_text(413, "", "too large"));
    let result = outcome(early, 8_000_000).await;
    assert!(matches!(kind(&result), "rejected" | "broken"), "{result:?}");
}

#[tokio::test]
async fn a_target_that_is_not_there_is_named_with_what_to_do_and_without_secrets() {
    let (_held, free) = silent_port();
    let plain = Server::start(|_, _| answer(200, "", "")).await;
    for (address, words) in [
        (format!("http://u:{SECRET}@{free}/{SECRET}"), "connection refused"),
        (format!("http://u:{SECRET}@no-such-host.invalid/{SECRET}"), "was not found"),
        (format!("https://u:{SECRET}@{}/{SECRET}", plain.addr), "does not speak TLS"),
    ] {
        let rig = Rig::new(&address);
        rig.take(0, b"x".to_vec()).await;
        let result = rig.target().deliver(&rig.claim().await).await;
        assert_eq!(kind(&result), "unreachable", "{address}: {result:?}");
        let text = result.unwrap_err().to_string();
        assert!(text.contains(words) && !text.contains(SECRET), "{text}");
    }
    assert_eq!(plain.seen().len(), 0);
}

#[tokio::test]
async fn a_file_that_is_gone_or_changed_is_found_out_and_nothing_is_sent() {
    let server = Server::start(|_, _| answer(200, "", "")).await;
    let rig = Rig::new(&server.url());
    let image = rig.take(0, b"stored".to_vec()).await;
    let (target, upload) = (rig.target(), rig.claim().await);
    for spoil in [&b"sTored"[..], b"stored and more", b""] {
        std::fs::write(rig.store.path_of(&image), spoil).unwrap();
        assert_eq!(kind(&target.deliver(&upload).await), "unreadable");
    }
    std::fs::remove_file(rig.store.path_of(&image)).unwrap();
    assert_eq!(kind(&target.deliver(&upload).await), "unreadable");
    // Nor is anything else sent that lies in its place.
    std::fs::create_dir(rig.store.path_of(&image)).unwrap();
    assert_eq!(kind(&target.deliver(&upload).await), "unreadable");
    std::fs::remove_dir(rig.store.path_of(&image)).unwrap();
    let same = rig.store.root().join("elsewhere");
    std::fs::write(&same, b"stored").unwrap();
    std::os::unix::fs::symlink(&same, rig.store.path_of(&image)).unwrap();
    assert_eq!(kind(&target.deliver(&upload).await), "unreadable");
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn nothing_is_sent_while_uploads_are_switched_off() {
    let rig = Rig::with(&[("S3_API_URL", "http://127.0.0.1:9/"), ("UPLOAD_ENABLED", "false")]);
    assert_eq!(Target::all(&rig.config.upload).len(), 0);
    let owed = camera_capture::daemon::owed_to(&rig.config);
    assert_eq!(owed, [(TargetId::API, UploadState::Skipped)]);
}

#[tokio::test]
async fn what_the_server_said_last_is_told_of_success_and_failure_in_one_short_line_without_secrets() {
    let long = "x".repeat(1000);
    let cases = [
        (
            answer(
                200,
                "",
                r#"{"success": true,
 "id": 7}"#,
            ),
            Some(r#"200: {"success": true, "id": 7}"#.to_owned()),
        ),
        (answer(204, "", ""), Some("204".to_owned())),
        (
            answer(413, "content-type: text/html\r\n", "<h1>too \u{1b}[31mlarge</h1>"),
            Some("413: too [31mlarge".to_owned()),
        ),
        (answer(200, "", "taken, token hunter2hunter2"), Some("200: taken, token •••".to_owned())),
        (answer(200, "", &long), Some(format!("200: {}…", "x".repeat(199)))),
        (Act::Close, None),
    ];
    for (act, wanted) in cases {
        let text = format!("{act:?}");
        let server = Server::start(move |_, _| act.clone()).await;
        let rig = Rig::with(&[("S3_API_URL", &server.url()), ("UPLOAD_HEADERS", "X-Token: hunter2hunter2")]);
        rig.take(0, vec![7; 10]).await;
        assert_eq!(rig.target().deliver_heard(&rig.claim().await).await.1, wanted, "{text}");
    }
}
