//! The command line against a running daemon, wrong configurations, and secrets.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;

use crate::support::api::Api;
use crate::support::daemon::{Daemon, run};
use crate::support::picture::instant_shown;
use crate::support::receiver::{Answer, Receiver};
use crate::support::rtsp::{Auth, RtspPeer, SMALL, USER, is_available};
use crate::support::setup::{PASSWORD, PASSWORD_HASH, Setup};
use crate::support::{machine_shared, wait_until};

/// S4.1, and the new ones beside them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_shot_commands_work_while_the_daemon_runs() {
    let _machine = machine_shared().await;
    if !is_available("one_shot_commands").await {
        return;
    }
    let camera = RtspPeer::start(SMALL, Auth::None, 1).await;
    let setup = Setup::new().with_camera(1, &camera.url(1));
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    assert_eq!(daemon.capture("r1").await.unwrap().status, 201);

    let cleanup = run(&setup, &["--cleanup-now", "--dry-run"], "").await;
    assert_eq!(cleanup.status.code(), Some(0), "{cleanup:?}");
    assert_eq!(setup.pictures().len(), 1, "nothing is that old");

    let test = run(&setup, &["--test-capture"], "").await;
    assert_eq!(test.status.code(), Some(0), "{test:?}");
    let file =
        std::fs::read_dir(setup.images().join("test")).unwrap().next().expect("a test picture").unwrap();
    let near = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    instant_shown(&std::fs::read(file.path()).unwrap(), near, "the test picture");
    assert_eq!(daemon.images().await.len(), 1, "a test picture is not in the gallery");

    // The daemon has the lines; those that are only pretended can be watched beside it.
    let watched = run(&setup, &["--test-gpio", "--seconds", "1"], "").await;
    assert_eq!(watched.status.code(), Some(0), "{watched:?}");
    assert!(String::from_utf8_lossy(&watched.stdout).contains("18"), "{watched:?}");

    let new = "a fresh pair of gates";
    let set = run(&setup, &["--set-password", "-"], &format!("{new}\n")).await;
    assert_eq!(set.status.code(), Some(0), "{set:?}");
    let address = daemon.lines().after("dashboard: ").unwrap();
    assert!(Api::log_in(&address, new).await.is_ok(), "the new password opens the running dashboard");
    assert_eq!(Api::log_in(&address, PASSWORD).await.err().map(|reply| reply.status), Some(401));
    let (status, lines) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", lines.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_mistakes_are_ten_problems_and_exit_78_without_a_secret() {
    let mistakes = [
        ("CAMERA_1_RTSP", "http://cam:canary-one@10.0.0.9/stream"),
        ("CAMERA_2_TRANSPORT", "carrier-pigeon"),
        ("CAMERA_2_OFFSETS_MS", "soon"),
        ("GPIO_CAMERA_2_PIN", "77"),
        ("GPIO_BOUNCE_TIME", "-3"),
        ("S3_API_URL", "ftp://canary-two@upload.example/"),
        ("UPLOAD_HEADERS", "canary-three"),
        ("IMAGE_RETENTION_DAYS", "forever"),
        ("BIND_PORT", "70000"),
        ("WEB_PASSWORD_HASH", "canary-four"),
    ];
    let right = [
        ("CAMERA_2_RTSP", "rtsp://10.0.0.10/stream"),
        ("CAMERA_USERNAME", USER),
        ("CAMERA_PASSWORD", "canary-five"),
        ("GPIO_CAMERA_2_PINS", "canary-six"),
    ];
    let setup =
        mistakes.iter().chain(&right).fold(Setup::new(), |setup, (name, value)| setup.with(name, value));
    for arguments in [&[][..], &["--check-config"]] {
        let output = run(&setup, arguments, "").await;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(output.status.code(), Some(78), "{arguments:?}: {text}");
        let named = |name: &str| text.lines().filter(|line| line.trim_start().starts_with(name)).count();
        for (name, _) in mistakes {
            assert_eq!(named(&format!("{name}: ")), 1, "one line says what is wrong with {name}: {text}");
        }
        assert_eq!(named("warning: GPIO_CAMERA_2_PINS"), 1, "a mistyped name may be why: {text}");
        assert!(!text.contains("canary"), "a secret is shown: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_usual_signal_kills_it_without_an_orderly_stop() {
    use rustix::process::Signal;
    let _machine = machine_shared().await;
    // Under nohup it stays ignored, which the daemon inherits from these tests.
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = own.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let is_nohup = u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 == 1;
    let all = [Signal::HUP, Signal::QUIT, Signal::INT];
    for last in all.into_iter().filter(|signal| !is_nohup || *signal != Signal::HUP) {
        let setup = Setup::new();
        let daemon = Daemon::start(&setup).await;
        for ignored in [Signal::USR1, Signal::USR2, Signal::ALARM, Signal::PIPE] {
            daemon.signal(ignored);
        }
        let (status, lines) = daemon.stop_with(last).await;
        let text = lines.text();
        assert_eq!(status.code(), Some(0), "{last:?}: {text}");
        assert!(text.contains("asked to stop"), "{text}");
        let files = std::fs::read_dir(setup.directory()).unwrap().map(|entry| entry.unwrap());
        let is_left = |file: &std::fs::DirEntry| {
            file.file_name().to_string_lossy().ends_with("-wal") && file.metadata().unwrap().len() > 0
        };
        let left: Vec<_> = files.filter(is_left).map(|file| file.file_name()).collect();
        assert!(left.is_empty(), "{last:?} leaves {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_camera_or_a_settings_file_the_start_says_so() {
    let setup = Setup::new();
    let output = run(&setup, &["--check-config"], "").await;
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("warning: no camera is configured"), "{text}");
    let off = Setup::new().with("CAMERA_1_IP", "10.0.0.1").with("CAMERA_1_ENABLED", "false");
    let text = String::from_utf8(run(&off, &["--check-config"], "").await.stderr).unwrap();
    assert!(text.contains("warning: no camera is enabled"), "{text}");

    let empty = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_camera-capture"))
        .env_clear()
        .current_dir(empty.path())
        .arg("--check-config")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("warning: .env: there is no such file in"), "{text}");
    assert!(text.contains("--env-file"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_during_captures_exits_0_and_every_edge_has_an_outcome() {
    let _machine = machine_shared().await;
    if !is_available("sigterm_during_captures").await {
        return;
    }
    let camera = RtspPeer::start(SMALL, Auth::None, 1).await;
    let setup = Setup::new().with_camera(1, &camera.url(1));
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    let api = daemon.api();
    let capture = tokio::spawn(async move { api.capture("r1").await });
    wait_until("a capture is under way or done", Duration::from_secs(10), async || {
        let events = daemon.events().await;
        if events.is_empty() { Err("no events".to_owned()) } else { Ok(()) }
    })
    .await;
    let (status, lines) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", lines.text());
    let reply = capture.await.unwrap();
    let daemon = Daemon::start(&setup).await;
    let events = daemon.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        events[0]["outcome"],
        "captured",
        "a capture under way is finished: {reply:?} {}",
        lines.text()
    );
    assert_eq!(daemon.images().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_the_log_at_its_most_talkative_or_in_the_api() {
    let _machine = machine_shared().await;
    if !is_available("no_secret_is_in_the_log").await {
        return;
    }
    let camera = RtspPeer::start(SMALL, Auth::Digest { password: "canary-zero" }, 2).await;
    let receiver = Receiver::start().await;
    receiver.script(std::iter::repeat_n(Answer::Refuse("401 Unauthorized\r\n"), 100));
    let with_user = camera.url(2).replace("rtsp://", "rtsp://cam:canary-two@");
    let target = receiver.url().replace("http://", "http://box:canary-three@") + "?key=canary-four";
    let open = RtspPeer::start(SMALL, Auth::Basic { password: "canary-six" }, 1).await;
    let setup = Setup::new()
        .with_camera(1, &camera.url(1))
        .with_login(1, USER, "canary-one")
        .with_camera(2, &with_user)
        .with_camera(3, &open.url(1))
        .with_login(3, USER, "canary-six")
        .with("S3_API_URL", &target)
        .with("UPLOAD_HEADERS", "X-Api-Key: canary-five; X-Site: gate")
        .with("LOG_LEVEL", "trace");
    let daemon = Daemon::start_connected(&setup, &["r3"]).await;
    daemon.wait_for_camera("r1", "degraded", Duration::from_secs(15)).await;
    daemon.wait_for_camera("r2", "degraded", Duration::from_secs(15)).await;
    assert_eq!(daemon.capture("r3").await.unwrap().status, 201);
    wait_until("the target's refusal is shown", Duration::from_secs(15), async || {
        let images = daemon.get("/api/images").await.text();
        if images.contains("401") { Ok(()) } else { Err(images) }
    })
    .await;

    let mut seen = String::new();
    for path in [
        "/",
        "/api/status",
        "/api/stats",
        "/api/images",
        "/api/events",
        "/api/gpio/status",
        "/metrics",
        "/health",
    ] {
        let reply = daemon.send(Method::GET, path, None).await.unwrap();
        seen += &format!("{path}: {} {}\n", reply.status, reply.text());
    }
    let (_, lines) = daemon.terminate().await;
    seen += &lines.text();
    let encoded = ["cam:canary-one", "cam:canary-two", "box:canary-three", "cam:canary-six"]
        .map(|pair| STANDARD.encode(pair));
    let plain = ["canary", PASSWORD, PASSWORD_HASH];
    for secret in plain.into_iter().chain(encoded.iter().map(String::as_str)) {
        let shown: Vec<_> = seen.lines().filter(|line| line.contains(secret)).collect();
        assert!(shown.is_empty(), "{secret} is shown in {shown:#?}");
    }
}
