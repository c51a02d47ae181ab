//! Cameras that mean harm, beside one that does not: its pictures are taken as ever, memory is bounded, and what is the
//! matter with the others stands on the dashboard.

use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, run};
use crate::support::hostile::{Hostile, Misdeed};
use crate::support::rtsp::{Auth, RtspPeer, SMALL, is_available};
use crate::support::setup::Setup;
use crate::support::{machine_shared, report, wait_until};

/// Longest until the dashboard says what is wrong: ten seconds of patience with a message, and the attempt before it.
const SAID: Duration = Duration::from_secs(30);

/// How long contacts go on closing meanwhile.
const SPAN: Duration = Duration::from_secs(15);

/// Between two edges; longer than a contact is deaf.
const PAUSE: Duration = Duration::from_millis(450);

/// Resident memory may grow by so much over a daemon whose only camera is well, KiB.
const GROWTH_KIB: u64 = 40 * 1024;

/// What the streams of all cameras together may take, KiB: what looks like pictures is kept as such.
const STREAMS_KIB: u64 = 96 * 1024;

/// A frame this far from its edge is the wrong one.
const DISTANCE_MS: i64 = 200;

/// What a camera does, and what has to be said of it.
type Case = (Misdeed, &'static [&'static str]);

/// Those that harm before there is video.
const OPENING: &[Case] = &[
    (Misdeed::Length, &["announced an answer of 8000000000 bytes"]),
    (Misdeed::Headers, &["headers without end"]),
    (Misdeed::Line, &["a line of more than 8 kB"]),
    (Misdeed::Start, &["a line of more than 8 kB"]),
    (Misdeed::Session, &["a line of more than 8 kB"]),
    (Misdeed::Challenges, &["a line of more than 8 kB"]),
    (Misdeed::Nonces, &["refused the user name or password"]),
    (Misdeed::Media, &["announced an answer of"]),
    (Misdeed::Attributes, &["describes its stream in more than"]),
    (Misdeed::Description, &["announced an answer of 100000000 bytes"]),
    (Misdeed::Drip, &["did not end it within 10 s", "accepts connections but gave no video"]),
];

/// More of them.
const OPENING_TOO: &[Case] = &[
    (Misdeed::Garbage, &["cannot be read as RTSP"]),
    (Misdeed::Http, &["answers with HTTP", "CAMERA_3_RTSP"]),
    (Misdeed::Interim, &["messages that nobody asked for"]),
    (Misdeed::Answers, &["no stream at", "messages that nobody asked for"]),
    (Misdeed::Early, &["before it was asked for video", "floods"]),
    (Misdeed::Redirect, &["sends us to rtsp://169.254.169.254/latest, which is not followed"]),
    (Misdeed::Status, &["status 999"]),
    (Misdeed::Close, &["closed the connection before it gave video"]),
    (Misdeed::Escapes, &["sends ]0;OWNED[31MRED"]),
    (Misdeed::Reason, &["answers with a web page"]),
    (Misdeed::LineFeeds, &["sends MP4V-ES"]),
];

/// Those that harm while video is expected.
const STREAMING: &[Case] = &[
    (Misdeed::Picture, &["without completing one picture"]),
    (Misdeed::Sets, &["has sent no picture"]),
    (Misdeed::Crumbs, &["without completing one picture"]),
    (Misdeed::Reports, &["floods", "no picture"]),
    (Misdeed::Requests, &["messages that nobody asked for"]),
    (Misdeed::Channels, &["floods", "without completing one picture"]),
];

/// Words of any kind, or a stream that is well but for its pictures: then a trigger is answered with the reason.
const ANY: &[&str] = &[];

/// Streams that cost the most when they are believed.
const FLOODS: &[Case] = &[
    (Misdeed::Slices, ANY),
    (Misdeed::Numbers, ANY),
    (Misdeed::Vast, ANY),
    (Misdeed::Jpeg, ANY),
    (Misdeed::Offsets, ANY),
    (Misdeed::Beginnings, ANY),
    (Misdeed::Ahead, ANY),
    (Misdeed::Sources, ANY),
];

/// More of them.
const FLOODS_TOO: &[Case] = &[
    (Misdeed::Slips, ANY),
    (Misdeed::Replies, ANY),
    (Misdeed::Stamps, ANY),
    (Misdeed::Orders, ANY),
    (Misdeed::Beyond, ANY),
    (Misdeed::Nothings, ANY),
    (Misdeed::Points, ANY),
    (Misdeed::Trickle, ANY),
];

/// Runs these cameras beside a good one.
async fn beside_a_good_camera(claim: &str, cases: &[Case], growth_kib: u64) {
    let _machine = machine_shared().await;
    if !is_available(claim).await {
        return;
    }
    let camera = RtspPeer::start(SMALL, Auth::None, 1).await;
    let good = || Setup::new().with_camera(1, &camera.url(1)).with("GPIO_CAMERA_1_PIN", "2");
    let usual = {
        let setup = good();
        let daemon = Daemon::start_connected(&setup, &["r1"]).await;
        close_contacts(&daemon, Duration::from_secs(4)).await;
        daemon.rss_kib().1
    };

    let mut setup = good().with("CAMERA_USERNAME", "cam").with("CAMERA_PASSWORD", "opens-the-gate");
    let mut hostile = Vec::new();
    for (n, (misdeed, _)) in (2..).zip(cases) {
        let camera = Hostile::start(*misdeed).await;
        setup =
            setup.with_camera(n, &camera.url()).with(&format!("GPIO_CAMERA_{n}_PIN"), &(n + 1).to_string());
        if *misdeed == Misdeed::Ahead {
            setup = setup.with(&format!("CAMERA_{n}_TRANSPORT"), "udp");
        }
        hostile.push(camera);
    }
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    let began = Instant::now();
    let (edges, ()) = tokio::join!(close_contacts(&daemon, SPAN), said(&daemon, cases, began));
    let most = daemon.rss_kib().1;
    for (camera, (misdeed, _)) in hostile.iter().zip(cases) {
        report(&format!(
            "{claim}: {misdeed:?}: {} connections, {} MB sent",
            camera.connections(),
            camera.sent() / 1_000_000
        ));
    }
    report(&format!(
        "{claim}: {edges} edges captured; at most {usual} KiB without them, {most} KiB with them"
    ));
    assert!(most <= usual + growth_kib, "{most} KiB, {usual} KiB without hostile cameras");

    let everything = format!("{}{}{}", daemon.lines().text(), daemon.status().await, events(&daemon).await);
    assert!(!everything.contains("panicked"), "{everything}");
    let is_raw = |c: char| c == '\u{202e}' || (c.is_control() && c != '\n');
    assert!(
        !everything.contains(is_raw) && !everything.contains("\\u001b") && !everything.contains("\\u{1b}")
    );
}

/// Closes the good camera's contact for so long; each edge has its picture.
async fn close_contacts(daemon: &Daemon, span: Duration) -> usize {
    let began = Instant::now();
    let mut edges = 0;
    while began.elapsed() < span {
        tokio::time::sleep(PAUSE).await;
        assert_eq!(daemon.pulse("r1").await.unwrap().status, 200);
        edges += 1;
    }
    wait_until("every edge has its outcome", Duration::from_secs(20), async || {
        let events = daemon.events().await;
        let of_ours: Vec<_> = events.iter().filter(|event| event["camera"] == "r1").collect();
        if of_ours.iter().any(|event| event["outcome"].is_null()) || of_ours.len() < edges {
            return Err(format!("{} of {edges}", of_ours.len()));
        }
        for event in of_ours {
            assert_eq!(event["outcome"], "captured", "{event}");
            let distance = event["images"][0]["frame_offset_ms"].as_i64().unwrap();
            assert!(distance.abs() <= DISTANCE_MS, "{event}");
        }
        Ok(())
    })
    .await;
    edges
}

/// Waits until the dashboard says of each camera what it does.
async fn said(daemon: &Daemon, cases: &[Case], began: Instant) {
    for (n, (misdeed, words)) in (2..).zip(cases) {
        let least = if words.is_empty() { SAID } else { Duration::from_secs(2) };
        let limit = SAID.saturating_sub(began.elapsed()).max(least);
        let seen = wait_until(&format!("{misdeed:?} is said: {words:?}"), limit, async || {
            let (state, error) = daemon.camera(&format!("r{n}")).await;
            let is_said = state == "degraded" && words.iter().any(|word| error.contains(word));
            let is_any = words.is_empty() && (state == "connected" || error.len() > 40);
            if is_said || is_any { Ok(error) } else { Err(format!("{state}: {error}")) }
        })
        .await;
        report(&format!("{misdeed:?}: {seen}"));
        if words.is_empty() {
            let reply = daemon.capture(&format!("r{n}")).await.unwrap();
            let message = reply.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
            report(&format!("{misdeed:?}: a picture? {} {message}", reply.status));
            assert!(reply.status == 201 || message.len() > 40, "{misdeed:?}: {}", reply.text());
        }
    }
}

async fn events(daemon: &Daemon) -> String {
    daemon.events().await.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_whose_answers_have_no_end_harms_nobody_and_is_named() {
    beside_a_good_camera("endless answers", OPENING, GROWTH_KIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_that_says_what_makes_no_sense_harms_nobody_and_is_named() {
    beside_a_good_camera("senseless answers", OPENING_TOO, GROWTH_KIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_whose_pictures_have_no_end_harms_nobody_and_is_named() {
    beside_a_good_camera("endless pictures", STREAMING, GROWTH_KIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_dear_to_believe_harms_nobody_and_is_named() {
    beside_a_good_camera("dear streams", FLOODS, GROWTH_KIB + STREAMS_KIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_makes_no_sense_harms_nobody_and_is_named() {
    beside_a_good_camera("senseless streams", FLOODS_TOO, GROWTH_KIB + STREAMS_KIB).await;
}

/// What the operator's terminal shows of a camera is text, whatever the camera sends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn escapes_of_a_camera_reach_neither_ledger_nor_terminal() {
    let _machine = machine_shared().await;
    let (codec, kind) = (Hostile::start(Misdeed::Escapes).await, Hostile::start(Misdeed::Reason).await);
    let setup = Setup::new().with_camera(1, &codec.url()).with_camera(2, &kind.url());
    let output = run(&setup, &["--test-capture"], "").await;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("OWNED") && said.contains("web page"), "{said}");
    assert!(!said.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{said:?}");

    let daemon = Daemon::start(&setup).await;
    for key in ["r1", "r2"] {
        daemon.wait_for_camera(key, "degraded", SAID).await;
        assert_eq!(daemon.capture(key).await.unwrap().status, 504);
    }
    let ledger = events(&daemon).await;
    assert!(
        ledger.contains("OWNED") && !ledger.contains("\\u001b") && !ledger.contains("\\u0007"),
        "{ledger}"
    );
}
