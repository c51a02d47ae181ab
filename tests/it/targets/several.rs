//! Several targets of a kind: each has its own queue, by an id that stays.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use camera_capture::config::{Config, Env};
use camera_capture::daemon::owed_to;
use camera_capture::model::{TargetId, UploadState};
use camera_capture::status::Status;
use camera_capture::store::Store;
use camera_capture::targets::Target;
use camera_capture::upload::Lane;
use tokio_util::sync::CancellationToken;

use super::server::{Server, answer};
use super::{Rig, SECRET, open_owing};

/// Whatever is waited for comes sooner; only a failing test waits so long.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a lane for each target until so many pictures in all are delivered in a row.
async fn deliver(store: &Store, config: &Config, wanted: BTreeMap<TargetId, u64>) {
    let status = Status::new(config);
    let cancel = CancellationToken::new();
    let mut changes = store.changes();
    let lanes: Vec<_> = Target::all(&config.upload)
        .into_iter()
        .map(|target| {
            let queue = store.queue(target.id());
            let mut lane = Lane::new(Arc::new(target), config, queue, &status);
            let stop = cancel.clone();
            tokio::spawn(async move { lane.run(&stop).await.unwrap() })
        })
        .collect();
    let done = async {
        loop {
            let stats = store.stats().await.unwrap();
            if wanted.iter().all(|(id, count)| stats.of_target(*id, UploadState::Delivered) >= *count) {
                return;
            }
            changes.recv().await.unwrap();
        }
    };
    tokio::time::timeout(LIMIT, done).await.unwrap();
    cancel.cancel();
    for lane in lanes {
        lane.await.unwrap();
    }
}

#[tokio::test]
async fn each_of_two_apis_gets_every_picture_though_one_is_down_and_the_settings_are_turned_round() {
    let second = TargetId::parse("api_2").unwrap();
    let is_up = |_: usize, _: &super::server::Request| answer(200, "", "ok");
    let (one, other) = (Server::start(is_up).await, Server::start(is_up).await);
    let (_socket, down) = super::server::silent_port();
    let (one_url, other_url, down_url) = (one.url(), other.url(), format!("http://{down}/upload"));
    let rig = Rig::with(&[
        ("S3_API_URL", &down_url),
        ("UPLOAD_HEADERS", "X-Token: hunter2"),
        ("API_2_URL", &other_url),
        ("API_2_UPLOAD_HEADERS", "X-Site: gate"),
    ]);
    for at in 0..2 {
        rig.take(at, vec![7; 100]).await;
    }
    deliver(&rig.store, &rig.config, [(second, 2)].into()).await;
    let stats = rig.store.stats().await.unwrap();
    assert_eq!(stats.of_target(TargetId::API, UploadState::Pending), 2, "the one that is down is waited for");
    assert_eq!(other.seen().len(), 2);
    for request in other.seen() {
        assert_eq!((request.header("x-token"), request.header("x-site")), (None, Some("gate")));
    }

    let Rig { dir, store, .. } = rig;
    drop(store);
    let pairs = [
        ("API_2_UPLOAD_HEADERS", "X-Site: gate"),
        ("API_2_URL", &other_url),
        ("UPLOAD_TARGETS", "api_2,api"),
        ("UPLOAD_HEADERS", "X-Token: hunter2"),
        ("S3_API_URL", &one_url),
    ];
    let (config, _) = Config::parse(&Env::from_pairs(pairs)).unwrap();
    let store = open_owing(&dir, &owed_to(&config));
    store.reconcile_first().await.unwrap();
    deliver(&store, &config, [(TargetId::API, 2), (second, 2)].into()).await;
    assert_eq!((one.seen().len(), other.seen().len()), (2, 2), "what one has is not sent to it again");
    for request in one.seen() {
        assert_eq!((request.header("x-token"), request.header("x-site")), (Some(SECRET), None));
    }
}

#[tokio::test]
async fn a_target_that_is_gone_keeps_its_queue_for_the_day_it_is_back() {
    let both = [("S3_API_URL", "http://127.0.0.1:9/"), ("API_2_URL", "http://127.0.0.1:9/")];
    let second = TargetId::parse("api_2").unwrap();
    let rig = Rig::with(&both);
    rig.take(0, vec![7; 100]).await;
    let Rig { dir, store, .. } = rig;
    drop(store);
    let states = async |pairs: &[(&'static str, &'static str)]| {
        let (config, _) = Config::parse(&Env::from_pairs(pairs.iter().copied())).unwrap();
        let store = open_owing(&dir, &owed_to(&config));
        store.reconcile_first().await.unwrap();
        let stats = store.stats().await.unwrap();
        [UploadState::Pending, UploadState::Skipped].map(|state| stats.of_target(second, state))
    };
    assert_eq!(states(&both[..1]).await, [0, 1]);
    assert_eq!(states(&both).await, [1, 0]);
}
