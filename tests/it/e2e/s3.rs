//! Pictures into a bucket and to all targets at once, by the program itself, read back by somebody else.

use std::time::Duration;

use crate::support::daemon::Daemon;
use crate::support::picture::sha256;
use crate::support::receiver::Receiver;
use crate::support::rtsp::{self, Auth, RtspPeer, SMALL};
use crate::support::s3::{self, ACCESS_KEY_ID, BUCKET, DOMAIN, S3Peer, SECRET_ACCESS_KEY};
use crate::support::setup::Setup;
use crate::support::{machine_shared, wait_until};
use crate::targets::server::{Server, answer};

/// Longest wait for a picture, and for what becomes of it.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_blames_no_picture_and_the_right_one_delivers_all_of_them() {
    let _machine = machine_shared().await;
    let name = "a_wrong_secret_blames_no_picture";
    if !rtsp::is_available(name).await || !s3::is_available(name).await {
        return;
    }
    let camera = RtspPeer::start(SMALL, Auth::None, 1).await;
    let store = S3Peer::start().await;
    let mut setup = Setup::new()
        .with_camera(1, &camera.url(1))
        .with("S3_ENDPOINT", &store.endpoint())
        .with("S3_BUCKET", BUCKET)
        .with("S3_PREFIX", "gate1")
        .with("S3_KEY", "{prefix}{camera}/{year}/{month}/{day}/{filename}")
        .with("S3_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .with("S3_SECRET_ACCESS_KEY", "canary-wrong")
        .with("SITE_NAME", "Gate 7");

    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    take(&daemon, 3).await;
    wait_until("the store's words are shown", LIMIT, async || {
        let status = daemon.status().await;
        let target = status["targets"][0].clone();
        let said = target["last_error"].as_str().unwrap_or_default();
        let is_paused = !target["paused_until"].is_null();
        if is_paused && said.contains("SignatureDoesNotMatch") { Ok(()) } else { Err(target.to_string()) }
    })
    .await;
    let uploads = daemon.get("/api/stats").await.json()["uploads"]["targets"]["s3"].clone();
    assert_eq!((&uploads["pending"], &uploads["dead"]), (&3.into(), &0.into()), "{uploads}");
    let (status, lines) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(!lines.text().contains("canary"), "{}", lines.text());
    assert!(store.read().await.is_empty());

    setup = setup.with("S3_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    take(&daemon, 1).await;
    daemon.wait_until_delivered(LIMIT).await;
    let images = daemon.images().await;
    let (_, lines) = daemon.terminate().await;
    assert!(!lines.text().contains(SECRET_ACCESS_KEY), "{}", lines.text());

    let (stored, found) = (setup.pictures(), store.read().await);
    assert_eq!((stored.len(), images.len(), found.len()), (4, 4, 4), "{found:#?}");
    for image in images {
        let name = image["filename"].as_str().unwrap();
        let day = image["taken_at"].as_str().unwrap()[..10].replace('-', "/");
        let object = &found[&format!("gate1/r1/{day}/{name}")];
        assert_eq!(object["sha256"], sha256(&std::fs::read(&stored[name]).unwrap()), "{name}");
        assert_eq!(object["type"], "image/jpeg");
        let metadata = &object["metadata"];
        for (key, value) in [
            ("id", image["id"].clone()),
            ("sha256", image["sha256"].clone()),
            ("taken-at", image["taken_at"].clone()),
            ("frame-offset-ms", image["frame_offset_ms"].to_string().into()),
            ("camera", "r1".into()),
            ("label", "Entry".into()),
            ("cause", "manual".into()),
            ("site", "Gate 7".into()),
        ] {
            assert_eq!(metadata[key], value, "{key} of {name}: {metadata}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_refuses_everything_keeps_no_picture_from_the_others() {
    let _machine = machine_shared().await;
    let name = "a_target_that_refuses_everything";
    if !rtsp::is_available(name).await || !s3::is_available(name).await {
        return;
    }
    let camera = RtspPeer::start(SMALL, Auth::None, 1).await;
    let (store, receiver) = (S3Peer::start().await, Receiver::start().await);
    let relay = Server::start(|_, _| answer(200, "", r#"{"success": true}"#)).await;
    let discord =
        Server::start(|_, _| answer(404, "", r#"{"message": "Unknown Webhook", "code": 10015}"#)).await;
    let setup = Setup::new()
        .with_camera(1, &camera.url(1))
        .with("S3_API_URL", &receiver.url())
        .with("S3_ENDPOINT", &store.endpoint())
        .with("S3_BUCKET", BUCKET)
        .with("S3_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .with("S3_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        .with("RELAY_URL", &format!("{}/upload", relay.origin()))
        .with("DISCORD_WEBHOOK_URL", &format!("{}/api/webhooks/17/canary-token", discord.origin()));
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    take(&daemon, 3).await;
    let stats = wait_until("three targets have every picture", LIMIT, async || {
        let targets = daemon.get("/api/stats").await.json()["uploads"]["targets"].clone();
        let has_all = |target: &str| targets[target]["delivered"] == 3;
        if ["api", "s3", "relay"].into_iter().all(has_all) { Ok(targets) } else { Err(targets.to_string()) }
    })
    .await;
    assert_eq!((&stats["discord"]["pending"], &stats["discord"]["dead"]), (&3.into(), &0.into()), "{stats}");
    let status = daemon.status().await;
    let said = status["targets"].as_array().unwrap().iter().find(|target| target["target"] == "discord");
    let said = said.unwrap()["last_error"].as_str().unwrap().to_owned();
    assert!(said.contains("Unknown Webhook") && said.contains("DISCORD_WEBHOOK_URL"), "{said}");
    receiver.check();
    assert_eq!((receiver.by_name().len(), store.read().await.len(), relay.seen().len()), (3, 3, 3));
    let (_, lines) = daemon.terminate().await;
    assert!(!lines.text().contains("canary"), "{}", lines.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_before_the_host_name_is_found_by_the_store() {
    let _machine = machine_shared().await;
    let name = "a_bucket_before_the_host_name";
    if !rtsp::is_available(name).await || !s3::is_available(name).await {
        return;
    }
    let camera = RtspPeer::start(SMALL, Auth::None, 1).await;
    let store = S3Peer::start().await;
    let setup = Setup::new()
        .with_camera(1, &camera.url(1))
        .with("S3_ENDPOINT", &format!("http://{DOMAIN}"))
        .with("S3_STYLE", "virtual")
        .with("S3_BUCKET", BUCKET)
        .with("S3_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .with("S3_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        // In place of a name server: whatever is asked of the name goes to the store, under that name.
        .with_process("http_proxy", &store.endpoint());
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    take(&daemon, 1).await;
    daemon.wait_until_delivered(LIMIT).await;
    let (_, _) = daemon.terminate().await;
    let (stored, found) = (setup.pictures(), store.read().await);
    assert_eq!(found.keys().collect::<Vec<_>>(), stored.keys().collect::<Vec<_>>());
    for (name, path) in stored {
        assert_eq!(found[&name]["sha256"], sha256(&std::fs::read(path).unwrap()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_was_copied_with_the_bucket_in_it_puts_objects_where_they_belong_and_is_said() {
    let _machine = machine_shared().await;
    let name = "an_address_that_was_copied_with_the_bucket";
    if !rtsp::is_available(name).await || !s3::is_available(name).await {
        return;
    }
    let camera = RtspPeer::start(SMALL, Auth::None, 1).await;
    let store = S3Peer::start().await;
    for (endpoint, process) in [
        (format!("{}/{BUCKET}/", store.endpoint()), None),
        // In place of a name server, as above.
        (format!("http://{BUCKET}.{DOMAIN}"), Some(store.endpoint())),
    ] {
        let mut setup = Setup::new()
            .with_camera(1, &camera.url(1))
            .with("S3_ENDPOINT", &endpoint)
            .with("S3_BUCKET", BUCKET)
            .with("S3_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .with("S3_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
        if let Some(proxy) = &process {
            setup = setup.with_process("http_proxy", proxy);
        }
        let daemon = Daemon::start_connected(&setup, &["r1"]).await;
        take(&daemon, 1).await;
        daemon.wait_until_delivered(LIMIT).await;
        let (_, lines) = daemon.terminate().await;
        assert!(lines.text().contains("read as S3_ENDPOINT=http://"), "{endpoint}: {}", lines.text());
        let found = store.read().await;
        for name in setup.pictures().keys() {
            assert!(found.contains_key(name), "{endpoint}: {name} is not in {:?}", found.keys());
        }
    }
}

/// Takes pictures, one after the other.
async fn take(daemon: &Daemon, pictures: usize) {
    for _ in 0..pictures {
        wait_until("a picture is taken", LIMIT, async || {
            let reply = daemon.capture("r1").await?;
            if reply.status == 201 { Ok(()) } else { Err(reply.text()) }
        })
        .await;
    }
}
