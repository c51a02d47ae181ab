//! A lane between the durable queue and the target: order, blame, pauses, restarts.

use std::sync::Arc;
use std::time::Duration;

use camera_capture::clock;
use camera_capture::model::{FileName, UploadState};
use camera_capture::status::{Event, Status};
use camera_capture::store::{Deletion, UploadInfo};
use camera_capture::upload::{Lane, Poke};
use rusqlite::Connection;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::server::{Act, Request, Server, answer, answer_text};
use super::{Rig, T0, TargetKind, open};

/// Whatever is waited for comes sooner; only a failing test waits so long.
const LIMIT: Duration = Duration::from_secs(60);

/// A lane that runs until it is told to stop.
struct Running {
    status: Status,
    events: broadcast::Receiver<Event>,
    poke: Poke,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(rig: &Rig) -> Self {
        let status = Status::new(&rig.config);
        let (events, poke, cancel) = (status.subscribe(), Poke::default(), CancellationToken::new());
        let target = Arc::new(rig.target());
        let mut lane = Lane::new(target, &rig.config.upload, &rig.store, &status, poke.clone());
        let stop = cancel.clone();
        let task = tokio::spawn(async move { lane.run(&stop).await.unwrap() });
        Self { status, events, poke, cancel, task }
    }

    /// The next upload that changes: name and state.
    async fn next(&mut self) -> (String, UploadState) {
        let next = async {
            loop {
                if let Event::Upload { filename, state, .. } = self.events.recv().await.unwrap() {
                    return (filename, state);
                }
            }
        };
        tokio::time::timeout(LIMIT, next).await.unwrap()
    }

    /// Waits until this many have been delivered; returns their names in order.
    async fn delivered(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        while names.len() < count {
            let (name, state) = self.next().await;
            if state == UploadState::Delivered {
                names.push(name);
            }
        }
        names
    }

    async fn stop(self) {
        self.cancel.cancel();
        tokio::time::timeout(LIMIT, self.task).await.unwrap().unwrap();
    }
}

fn name(second: i64) -> String {
    format!("r1_{}.jpg", T0 / 1000 + second)
}

async fn upload(rig: &Rig, second: i64) -> UploadInfo {
    let name = FileName::parse(&name(second)).unwrap();
    rig.store.image(&name).await.unwrap().unwrap().uploads.remove(0)
}

fn ok(_: usize, _: &Request) -> Act {
    answer(200, "", "ok")
}

#[tokio::test]
async fn pictures_go_in_the_order_they_were_taken_those_that_come_later_behind() {
    let server = Server::start(ok).await;
    let rig = Rig::new(&server.url());
    for second in 0..5 {
        rig.take(second, vec![1; 10]).await;
    }
    let mut lane = Running::start(&rig);
    assert_eq!(lane.delivered(5).await, [name(0), name(1), name(2), name(3), name(4)]);
    rig.take(5, vec![1; 10]).await;
    assert_eq!(lane.delivered(1).await, [name(5)], "a new picture wakes the lane");
    let done = upload(&rig, 3).await;
    assert_eq!((done.state, done.attempts, done.last_error), (UploadState::Delivered, 1, None));
    assert!(done.delivered_at.is_some());
    let target = lane.status.targets().remove(0);
    assert_eq!((target.online, target.last_error, target.paused_until), (Some(true), None, None));
    lane.stop().await;
}

#[tokio::test]
async fn each_answer_leads_to_its_state_and_pause_and_blames_no_other_picture() {
    let html = "content-type: text/html\r\n";
    for (act, state, is_paused) in [
        (answer(204, "", ""), UploadState::Delivered, false),
        (answer(200, html, "<html>"), UploadState::Pending, true),
        (answer(302, "location: /x\r\n", ""), UploadState::Pending, true),
        (answer(400, "", "bad"), UploadState::Dead, false),
        (answer(413, "", "large"), UploadState::Dead, false),
        (answer(415, "", "type"), UploadState::Dead, false),
        (answer(422, "", "plate"), UploadState::Dead, false),
        (answer(401, "", ""), UploadState::Pending, true),
        (answer(403, "", ""), UploadState::Pending, true),
        (answer(404, "", ""), UploadState::Pending, true),
        (answer(405, "", ""), UploadState::Pending, true),
        (answer(407, "", ""), UploadState::Pending, true),
        (answer(408, "", ""), UploadState::Pending, true),
        (answer(425, "", ""), UploadState::Pending, true),
        (answer(429, "retry-after: 77\r\n", ""), UploadState::Pending, true),
        (answer(500, "", ""), UploadState::Pending, true),
        (answer(502, "", ""), UploadState::Pending, true),
        (answer(503, "", ""), UploadState::Pending, true),
        (Act::Reset, UploadState::Pending, true),
        (Act::Close, UploadState::Pending, true),
    ] {
        let text = format!("{act:?}");
        // The second picture is held, so that the lane stands still if it goes on.
        let server = Server::start(move |n, _| if n == 0 { act.clone() } else { Act::Hold }).await;
        let rig = Rig::new(&server.url());
        for second in 0..2 {
            rig.take(second, vec![1; 500_000]).await;
        }
        let mut lane = Running::start(&rig);
        assert_eq!(lane.next().await, (name(0), state), "{text}");
        let (first, second) = (upload(&rig, 0).await, upload(&rig, 1).await);
        assert_eq!((first.state, first.attempts), (state, 1), "{text}");
        assert_eq!(first.last_error.is_some(), state != UploadState::Delivered, "{text}");
        assert_eq!(
            (second.state, second.attempts, second.last_error),
            (UploadState::Pending, 0, None),
            "{text}"
        );
        let target = lane.status.targets().remove(0);
        assert_eq!(target.paused_until.is_some(), is_paused, "{text}: {target:?}");
        if text.contains("retry-after") {
            let wait = target.paused_until.unwrap().0 - clock::now().0;
            assert!((70_000..=77_000).contains(&wait), "{wait}");
        }
        lane.stop().await;
    }
}

#[tokio::test]
async fn a_refused_picture_is_put_aside_with_the_words_of_the_server_and_sent_again_by_hand() {
    let server = Server::start(|n, _| answer(if n == 0 { 422 } else { 200 }, "", "no plate")).await;
    let rig = Rig::new(&server.url());
    let image = rig.take(0, vec![1; 10]).await;
    rig.take(1, vec![1; 10]).await;
    let mut lane = Running::start(&rig);
    assert_eq!(lane.next().await, (name(0), UploadState::Dead));
    assert_eq!(lane.next().await, (name(1), UploadState::Delivered));
    assert!(upload(&rig, 0).await.last_error.unwrap().contains("no plate"));
    rig.store.retry(&image.filename).await.unwrap().unwrap();
    assert_eq!(lane.next().await, (name(0), UploadState::Delivered));
    let seen = server.seen();
    assert_eq!(seen[0].key(), seen[2].key());
    lane.stop().await;
}

#[tokio::test]
async fn a_picture_over_which_the_server_always_stumbles_does_not_hold_up_the_others() {
    for stumble in
        [answer(500, "", ""), answer(403, "", ""), Act::Reset, Act::SayEarly(answer_text(503, "", ""))]
    {
        let text = format!("{stumble:?}");
        let server = Server::start(move |_, request| {
            let length: usize = request.header("content-length").unwrap().parse().unwrap();
            if length > 100_000 { stumble.clone() } else { answer(200, "", "ok") }
        })
        .await;
        // The shortest pauses there are.
        let rig = Rig::with(&[("S3_API_URL", &server.url()), ("OFFLINE_RETRY_INTERVAL", "1")]);
        rig.take(0, vec![1; 400_000]).await;
        for second in 1..4 {
            rig.take(second, vec![1; 10]).await;
        }
        let mut lane = Running::start(&rig);
        assert_eq!(lane.delivered(3).await, [name(1), name(2), name(3)], "{text}");
        let stuck = upload(&rig, 0).await;
        assert_eq!(stuck.state, UploadState::Pending, "{text}");
        lane.stop().await;
    }
}

#[tokio::test]
async fn after_an_outage_everything_goes_in_order_as_soon_as_the_lane_is_poked() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let rig = Rig::new(&format!("http://{addr}/"));
    for second in 0..3 {
        rig.take(second, vec![1; 10]).await;
    }
    let mut lane = Running::start(&rig);
    for _ in 0..5 {
        assert_eq!(lane.next().await, (name(0), UploadState::Pending), "the oldest is the probe");
        lane.poke.poke();
    }
    let target = lane.status.targets().remove(0);
    assert_eq!(target.online, Some(false));
    let server = Server::start_at(addr, ok).await;
    lane.poke.poke();
    assert_eq!(lane.delivered(3).await, [name(0), name(1), name(2)]);
    assert_eq!(server.seen().len(), 3);
    assert_eq!((upload(&rig, 1).await.attempts, upload(&rig, 2).await.attempts), (1, 1));
    lane.stop().await;
}

#[tokio::test]
async fn a_poke_ends_a_pause_of_an_hour() {
    let server = Server::start(|n, _| match n {
        0 => answer(503, "retry-after: 3600\r\n", "later"),
        _ => answer(200, "", ""),
    })
    .await;
    let rig = Rig::new(&server.url());
    rig.take(0, vec![1; 10]).await;
    let mut lane = Running::start(&rig);
    assert_eq!(lane.next().await, (name(0), UploadState::Pending));
    let began = std::time::Instant::now();
    lane.poke.poke();
    assert_eq!(lane.next().await, (name(0), UploadState::Delivered));
    assert!(began.elapsed() < LIMIT);
    lane.stop().await;
}

#[tokio::test]
async fn a_delivery_that_a_shutdown_or_a_crash_interrupts_is_sent_again_with_the_same_key() {
    for is_crash in [false, true] {
        let mut server = Server::start(|n, _| if n == 0 { Act::Hold } else { answer(200, "", "") }).await;
        let mut rig = Rig::new(&server.url());
        for second in 0..3 {
            rig.take(second, vec![1; 10]).await;
        }
        let lane = Running::start(&rig);
        server.arrival().await;
        if is_crash {
            lane.task.abort();
            assert!(lane.task.await.unwrap_err().is_cancelled());
        } else {
            lane.stop().await;
            let due = rig.store.next_due(TargetKind::Api).await.unwrap().unwrap();
            assert!(due <= clock::now(), "the leases were given back");
        }
        let interrupted = upload(&rig, 0).await;
        assert_eq!((interrupted.state, interrupted.attempts), (UploadState::Pending, 0));
        rig.store = open(&rig.dir);
        let mut lane = Running::start(&rig);
        assert_eq!(lane.delivered(3).await, [name(0), name(1), name(2)]);
        let seen = server.seen();
        assert_eq!((seen.len(), seen[0].key()), (4, seen[1].key()));
        lane.stop().await;
    }
}

#[tokio::test]
async fn a_picture_that_is_gone_is_lost_with_an_alarm_and_the_others_go_on() {
    let server = Server::start(ok).await;
    let rig = Rig::new(&server.url());
    let gone = rig.take(0, vec![1; 10]).await;
    rig.take(1, vec![1; 10]).await;
    std::fs::remove_file(rig.store.path_of(&gone)).unwrap();
    let mut lane = Running::start(&rig);
    assert_eq!(lane.next().await, (name(0), UploadState::Lost));
    assert_eq!(lane.next().await, (name(1), UploadState::Delivered));
    assert!(lane.status.alarms()[0].message.contains(&name(0)));
    lane.stop().await;
}

#[tokio::test]
async fn while_the_disk_is_away_no_picture_is_given_up() {
    let server = Server::start(ok).await;
    let rig = Rig::new(&server.url());
    for second in 0..3 {
        rig.take(second, vec![1; 10]).await;
    }
    let (images, away) = (rig.dir.path().join("images"), rig.dir.path().join("away"));
    std::fs::rename(&images, &away).unwrap();
    std::fs::create_dir(&images).unwrap();
    let mut lane = Running::start(&rig);
    assert_eq!(lane.next().await, (name(0), UploadState::Pending));
    assert!(upload(&rig, 0).await.last_error.unwrap().contains("is the disk mounted?"));
    assert_eq!(lane.status.alarms(), []);
    std::fs::remove_dir(&images).unwrap();
    std::fs::rename(&away, &images).unwrap();
    lane.poke.poke();
    assert_eq!(lane.delivered(3).await, [name(0), name(1), name(2)]);
    lane.stop().await;
}

#[tokio::test]
async fn a_picture_that_is_deleted_while_it_is_being_sent_stays_deleted_without_an_alarm() {
    let when = Arc::new(Notify::new());
    let held = Act::SayWhen(Arc::clone(&when), answer_text(200, "", ""));
    let mut server = Server::start(move |n, _| if n == 0 { held.clone() } else { answer(200, "", "") }).await;
    let rig = Rig::new(&server.url());
    for second in 0..3 {
        rig.take(second, vec![1; 10]).await;
    }
    let mut lane = Running::start(&rig);
    server.arrival().await;
    // The second one is leased as well; its file is gone when its turn comes.
    let deleted = FileName::parse(&name(1)).unwrap();
    assert_eq!(rig.store.delete_image(&deleted, true).await.unwrap(), Deletion::Deleted);
    when.notify_one();
    assert_eq!(lane.next().await, (name(0), UploadState::Delivered));
    assert_eq!(lane.next().await, (name(2), UploadState::Delivered));
    assert_eq!(lane.status.alarms(), []);
    lane.stop().await;
}

#[tokio::test]
async fn a_wait_or_a_lease_from_a_clock_that_ran_ahead_parks_nothing() {
    let server = Server::start(ok).await;
    let rig = Rig::new(&server.url());
    let far = clock::now().0 + 365 * 24 * 3600 * 1000;
    let sql = Connection::open(rig.dir.path().join("x.db")).unwrap();
    rig.take(0, vec![1; 10]).await;
    rig.take(1, vec![1; 10]).await;
    sql.execute("update uploads set not_before = ?1 where image_id = 1", [far]).unwrap();
    sql.execute("update uploads set leased_until = ?1 where image_id = 2", [far]).unwrap();
    let mut lane = Running::start(&rig);
    assert_eq!(lane.delivered(2).await, [name(0), name(1)], "at the start");
    // The clock is set back while the program runs; the next time the lane looks at the queue, it sees.
    rig.take(2, vec![1; 10]).await;
    assert_eq!(lane.delivered(1).await, [name(2)]);
    let park = "update uploads set state = 'pending', not_before = ?1, leased_until = ?1 where image_id = 1";
    sql.execute(park, [far]).unwrap();
    rig.take(3, vec![1; 10]).await;
    let mut both = lane.delivered(2).await;
    both.sort();
    assert_eq!(both, [name(0), name(3)]);
    lane.stop().await;
}
