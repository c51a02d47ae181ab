//! A lane between the durable queue and the target: order, blame, pauses, restarts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use camera_capture::clock;
use camera_capture::model::{FileName, ImageKind, UploadState};
use camera_capture::status::{AlarmKind, Pause, Status};
use camera_capture::store::{Change, Deletion, UploadInfo, Wake, Wakes};
use camera_capture::upload::Lane;
use rusqlite::Connection;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::conformance::CASES;
use super::server::{Act, Request, Server, answer, answer_text};
use super::{Rig, T0, TargetId, TargetKind, open};

/// Whatever is waited for comes sooner; only a failing test waits so long.
const LIMIT: Duration = Duration::from_secs(60);

/// A lane that runs until it is told to stop.
pub(super) struct Running {
    status: Status,
    changes: broadcast::Receiver<Change>,
    /// Attempts, as last told.
    tried: HashMap<FileName, u32>,
    pub(super) wakes: Wakes,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(super) fn start(rig: &Rig) -> Self {
        Self::start_with(rig, None)
    }

    fn start_with(rig: &Rig, limit: Option<Duration>) -> Self {
        let status = Status::new(&rig.config);
        let (changes, wakes) = (rig.store.changes(), rig.store.wakes().clone());
        let cancel = CancellationToken::new();
        let target = Arc::new(rig.target());
        let queue = rig.store.queue(target.id());
        let mut lane = Lane::new(target, &rig.config, queue, &status);
        if let Some(limit) = limit {
            lane = lane.with_limit(limit);
        }
        let stop = cancel.clone();
        let task = tokio::spawn(async move { lane.run(&stop).await.unwrap() });
        Self { status, changes, tried: HashMap::new(), wakes, cancel, task }
    }

    /// The next upload of which an attempt tells something: name and state. The end of a wait is none.
    pub(super) async fn next(&mut self) -> (String, UploadState) {
        let next = async {
            loop {
                let Change::Upload { filename, upload } = self.changes.recv().await.unwrap() else {
                    continue;
                };
                let before = self.tried.insert(filename.clone(), upload.attempts);
                let is_tried = before.unwrap_or(0) < upload.attempts;
                if is_tried || upload.state != UploadState::Pending || upload.next_attempt.is_some() {
                    return (filename.to_string(), upload.state);
                }
            }
        };
        tokio::time::timeout(LIMIT, next).await.unwrap()
    }

    /// Waits until the lane has shown what follows from an outcome, which is told as soon as it is committed.
    async fn shown(&self, is_shown: impl Fn(&Status) -> bool) {
        let shown = async {
            while !is_shown(&self.status) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, shown).await.unwrap();
    }

    /// Waits until this many have been delivered; returns their names in order.
    pub(super) async fn delivered(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        while names.len() < count {
            let (name, state) = self.next().await;
            if state == UploadState::Delivered {
                names.push(name);
            }
        }
        names
    }

    pub(super) async fn stop(self) {
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
    assert_eq!((done.answer.as_deref(), done.delivered_at.is_some()), (Some("200: ok"), true));
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
        (answer(400, "", "bad"), UploadState::Pending, false),
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
        assert_eq!(first.answer.is_some(), !matches!(text.as_str(), "Reset" | "Close"), "{text}");
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
    assert!(upload(&rig, 0).await.last_error.unwrap().to_string().contains("no plate"));
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
async fn after_an_outage_everything_goes_in_order_as_soon_as_the_lane_is_woken() {
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
        lane.wakes.raise(Wake::Person);
    }
    let target = lane.status.targets().remove(0);
    assert_eq!(target.online, Some(false));
    let server = Server::start_at(addr, ok).await;
    lane.wakes.raise(Wake::Person);
    assert_eq!(lane.delivered(3).await, [name(0), name(1), name(2)]);
    assert_eq!(server.seen().len(), 3);
    assert_eq!((upload(&rig, 1).await.attempts, upload(&rig, 2).await.attempts), (1, 1));
    lane.stop().await;
}

#[tokio::test]
async fn a_wish_ends_a_pause_of_an_hour() {
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
    lane.wakes.raise(Wake::Person);
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
    lane.shown(|status| status.alarms().iter().any(|alarm| alarm.message.contains(&name(0)))).await;
    lane.stop().await;
}

#[tokio::test]
async fn a_lost_picture_is_an_alarm_until_it_is_sent_after_all() {
    let server = Server::start(ok).await;
    let rig = Rig::new(&server.url());
    let gone = rig.take(0, vec![1; 10]).await;
    let (path, aside) = (rig.store.path_of(&gone), rig.dir.path().join("aside.jpg"));
    std::fs::rename(&path, &aside).unwrap();
    let mut lane = Running::start(&rig);
    assert_eq!(lane.next().await, (name(0), UploadState::Lost));
    lane.shown(|status| status.alarms().len() == 1).await;
    std::fs::rename(&aside, &path).unwrap();
    rig.store.retry(&gone.filename).await.unwrap();
    assert_eq!(lane.next().await, (name(0), UploadState::Delivered));
    lane.shown(|status| status.alarms().is_empty()).await;
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
    assert!(upload(&rig, 0).await.last_error.unwrap().to_string().contains("is the disk mounted?"));
    assert_eq!(lane.status.alarms(), []);
    std::fs::remove_dir(&images).unwrap();
    std::fs::rename(&away, &images).unwrap();
    lane.wakes.raise(Wake::Person);
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
    // The second one is not even asked for when its turn comes.
    let deleted = FileName::parse(&name(1)).unwrap();
    assert_eq!(rig.store.delete_image(&deleted, true).await.unwrap(), Deletion::Deleted);
    when.notify_one();
    assert_eq!(lane.next().await, (name(0), UploadState::Delivered));
    assert_eq!(lane.next().await, (name(2), UploadState::Delivered));
    assert_eq!(lane.status.alarms(), []);
    lane.stop().await;
}

#[tokio::test]
async fn a_wait_from_a_clock_that_ran_ahead_parks_nothing() {
    let server = Server::start(ok).await;
    let rig = Rig::new(&server.url());
    let far = clock::now().0 + 365 * 24 * 3600 * 1000;
    let sql = Connection::open(rig.dir.path().join("x.db")).unwrap();
    rig.take(0, vec![1; 10]).await;
    rig.take(1, vec![1; 10]).await;
    sql.execute("update uploads set not_before = ?1 where image_id = 1", [far]).unwrap();
    sql.execute("update uploads set not_before = ?1 where image_id = 2", [far]).unwrap();
    let mut lane = Running::start(&rig);
    assert_eq!(lane.delivered(2).await, [name(0), name(1)], "at the start");
    // The clock is set back while the program runs; the next time the lane looks at the queue, it sees.
    rig.take(2, vec![1; 10]).await;
    assert_eq!(lane.delivered(1).await, [name(2)]);
    let park = "update uploads set state = 'pending', not_before = ?1 where image_id = 1";
    sql.execute(park, [far]).unwrap();
    rig.take(3, vec![1; 10]).await;
    let mut both = lane.delivered(2).await;
    both.sort();
    assert_eq!(both, [name(0), name(3)]);
    lane.stop().await;
}

/// What is answered to a picture that is refused, by its body.
const TOO_LARGE: &str = "client intended to send too large body";

#[tokio::test]
async fn five_refused_in_a_row_pause_the_target_and_none_is_dead_after_it_heals() {
    let is_well = Arc::new(AtomicBool::new(false));
    let well = Arc::clone(&is_well);
    let server = Server::start(move |_, _| {
        if well.load(Ordering::SeqCst) { answer(200, "", "") } else { answer(413, "", TOO_LARGE) }
    })
    .await;
    let rig = Rig::new(&server.url());
    for second in 0..8 {
        rig.take(second, vec![1; 10]).await;
    }
    let mut lane = Running::start(&rig);
    // One alone cannot tell, so the first are put aside until the fifth excuses them, perhaps in the same write.
    let mut states = BTreeMap::new();
    while states.len() < 5 || states.values().any(|state| *state != UploadState::Pending) {
        let (name, state) = lane.next().await;
        states.insert(name, state);
    }
    assert_eq!(states.into_keys().collect::<Vec<_>>(), (0..5).map(name).collect::<Vec<_>>());
    let target = lane.status.targets().remove(0);
    assert_eq!(target.paused_by, Some(Pause::Refusals));
    let words = target.last_error.unwrap().to_string();
    assert!(words.contains("not the pictures") && words.contains(TOO_LARGE), "{words}");
    // While it goes on, one picture at a time, each time another, and none is put aside.
    for second in 5..7 {
        lane.wakes.raise(Wake::Person);
        let (_, state) = lane.next().await;
        assert_eq!(state, UploadState::Pending, "probe {second}");
    }
    assert_eq!(server.seen().len(), 7);
    is_well.store(true, Ordering::SeqCst);
    lane.wakes.raise(Wake::Person);
    let mut delivered = lane.delivered(8).await;
    delivered.sort();
    assert_eq!(delivered, (0..8).map(name).collect::<Vec<_>>());
    let stats = rig.store.stats().await.unwrap();
    assert_eq!(stats.of_target(TargetId::API, UploadState::Dead), 0);
    lane.shown(|status| status.targets()[0].paused_by.is_none()).await;
    lane.stop().await;
}

#[tokio::test]
async fn a_new_picture_does_not_wait_while_the_target_refuses_old_ones() {
    let server = Server::start(|_, request| {
        let length: usize = request.header("content-length").unwrap().parse().unwrap();
        answer(if length > 10_000 { 413 } else { 200 }, "", TOO_LARGE)
    })
    .await;
    let rig = Rig::new(&server.url());
    for second in 0..7 {
        rig.take(second, vec![1; 20_000]).await;
    }
    let mut lane = Running::start(&rig);
    while lane.status.targets()[0].paused_by != Some(Pause::Refusals) {
        lane.next().await;
    }
    let new = rig.take_at("r1", minutes_ago(0), vec![1; 10], ImageKind::Instant).await.filename.to_string();
    // The target's own pause lasts seven seconds at least; nothing here waits for it.
    let began = std::time::Instant::now();
    while lane.next().await != (new.clone(), UploadState::Delivered) {}
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    lane.stop().await;
}

#[tokio::test]
async fn a_picture_the_server_does_not_understand_is_tried_three_times_before_it_is_put_aside() {
    let server = Server::start(|_, _| answer(400, "", "what?")).await;
    let rig = Rig::new(&server.url());
    rig.take(0, vec![1; 10]).await;
    let mut lane = Running::start(&rig);
    for expected in [UploadState::Pending, UploadState::Pending, UploadState::Dead] {
        assert_eq!(lane.next().await, (name(0), expected));
        assert_eq!(lane.status.targets()[0].paused_by, None, "the target is not to blame");
        lane.wakes.raise(Wake::Person);
    }
    assert_eq!(upload(&rig, 0).await.attempts, 3);
    lane.stop().await;
}

#[tokio::test]
async fn one_picture_that_a_target_refuses_holds_up_no_other_and_is_put_aside_by_all() {
    const BAD: usize = 777;
    let document = "<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>";
    for case in CASES {
        for (status, body) in
            [(403, document), (403, "blocked by the firewall"), (409, "conflict"), (406, "")]
        {
            let files = (0..4).map(|second| serde_json::json!({ "filename": name(second), "size": 20_000 }));
            let takes = match case.kind {
                TargetKind::Discord => {
                    let message = serde_json::json!({ "id": "1", "attachments": files.collect::<Vec<_>>() });
                    answer(200, "", &message.to_string())
                }
                _ => case.success(&vec![1; 20_000]),
            };
            let server = Server::start(move |_, request| {
                let length = request.header("content-length").and_then(|text| text.parse::<usize>().ok());
                match length {
                    // The look at an object that is not there.
                    None => answer(404, "", ""),
                    Some(length) if (BAD..9_000).contains(&length) => answer(status, "", body),
                    Some(_) => takes.clone(),
                }
            })
            .await;
            let rig = case.rig(&server.origin(), &[]);
            // One was taken before, so that it is known that the target takes pictures.
            for (second, bytes) in [(0, 20_000), (1, BAD), (2, 20_000), (3, 20_000)] {
                rig.take(second, vec![1; bytes]).await;
            }
            let mut lane = Running::start(&rig);
            let text = format!("{} {status} {body}", case.kind);
            let began = std::time::Instant::now();
            let mut dead = false;
            let mut delivered = 0;
            while delivered < 3 {
                let (of, state) = lane.next().await;
                assert_eq!(of == name(1), state != UploadState::Delivered, "{text}: {of} {state:?}");
                delivered += usize::from(state == UploadState::Delivered);
            }
            assert!(began.elapsed() < Duration::from_secs(5), "{text}: {:?}", began.elapsed());
            for _ in 0..5 {
                lane.wakes.raise(Wake::Person);
                let (of, state) = lane.next().await;
                assert_eq!(of, name(1), "{text}");
                if state == UploadState::Dead {
                    dead = true;
                    break;
                }
                assert_eq!(lane.status.targets()[0].paused_by, None, "{text}");
            }
            assert!(dead, "{text}");
            let done = upload(&rig, 1).await;
            assert!(done.last_error.unwrap().to_string().contains(&status.to_string()), "{text}");
            lane.stop().await;
        }
    }
}

/// Minutes before now, so that pictures are live or backlog.
fn minutes_ago(minutes: i64) -> camera_capture::model::UnixMs {
    clock::now().plus_ms(-minutes * 60_000)
}

#[tokio::test]
async fn a_live_picture_goes_before_the_backlog_and_the_backlog_is_fair_over_cameras() {
    let gate = Arc::new(Notify::new());
    let held = Act::SayWhen(Arc::clone(&gate), answer_text(200, "", ""));
    let mut server = Server::start(move |n, _| if n == 0 { held.clone() } else { answer(200, "", "") }).await;
    let rig = Rig::new(&server.url());
    let mut old = Vec::new();
    for n in 0..6 {
        // Five of a busy camera, then one of a quiet one: the quiet one does not wait for all of them.
        let camera = if n < 5 { "r1" } else { "r2" };
        let image = rig.take_at(camera, minutes_ago(300 - n), vec![1; 10], ImageKind::Instant).await;
        old.push(image.filename.to_string());
    }
    let mut lane = Running::start(&rig);
    server.arrival().await;
    let live = rig.take_at("r1", minutes_ago(9), vec![1; 10], ImageKind::Instant).await.filename.to_string();
    let newer = rig.take_at("r2", minutes_ago(1), vec![1; 10], ImageKind::Instant).await.filename.to_string();
    gate.notify_one();
    let expected = [&old[0], &live, &newer, &old[5], &old[1], &old[2], &old[3], &old[4]];
    assert_eq!(lane.delivered(8).await.iter().collect::<Vec<_>>(), expected);
    lane.stop().await;
}

#[tokio::test]
async fn several_go_side_by_side_each_once_and_a_failing_target_is_probed_with_one() {
    let gate = Arc::new(Notify::new());
    let waiting = Arc::clone(&gate);
    let mut server =
        Server::start(move |_, _| Act::SayWhen(Arc::clone(&waiting), answer_text(200, "", ""))).await;
    let rig = Rig::with(&[("S3_API_URL", &server.url()), ("UPLOAD_PARALLEL", "3")]);
    for second in 0..7 {
        rig.take(second, vec![1; 10]).await;
    }
    let mut lane = Running::start(&rig);
    for _ in 0..3 {
        // None has been answered, so they are all under way.
        server.arrival().await;
    }
    assert_eq!(server.seen().len(), 3);
    gate.notify_waiters();
    for _ in 0..3 {
        server.arrival().await;
    }
    assert_eq!(lane.delivered(3).await.len(), 3);
    let keys: std::collections::BTreeSet<_> = server.seen().iter().map(Request::key).collect();
    assert_eq!((keys.len(), server.seen().len()), (6, 6), "each once");
    lane.stop().await;

    let failing = Server::start(|_, _| answer(503, "", "")).await;
    let rig = Rig::with(&[("S3_API_URL", &failing.url()), ("UPLOAD_PARALLEL", "3")]);
    for second in 0..7 {
        rig.take(second, vec![1; 10]).await;
    }
    let mut lane = Running::start(&rig);
    for _ in 0..3 {
        assert_eq!(lane.next().await.1, UploadState::Pending);
    }
    for probe in 1..4 {
        lane.wakes.raise(Wake::Person);
        assert_eq!(lane.next().await.1, UploadState::Pending);
        assert_eq!(failing.seen().len(), 3 + probe, "one at a time");
    }
    lane.stop().await;
}

#[tokio::test]
async fn an_attempt_that_never_ends_is_dropped_with_an_alarm_and_the_lane_goes_on() {
    let server = Server::start(|n, _| if n == 0 { Act::Hold } else { answer(200, "", "") }).await;
    let rig = Rig::new(&server.url());
    for second in 0..2 {
        rig.take(second, vec![1; 10]).await;
    }
    let mut lane = Running::start_with(&rig, Some(Duration::from_millis(200)));
    assert_eq!(lane.next().await, (name(0), UploadState::Pending));
    let alarm = lane.status.alarms().remove(0);
    assert!(
        alarm.kind == AlarmKind::UploadStuck(TargetId::API) && alarm.message.contains("was dropped"),
        "{alarm:?}"
    );
    assert!(upload(&rig, 0).await.last_error.unwrap().to_string().contains(&name(0)));
    lane.wakes.raise(Wake::Person);
    assert_eq!(lane.delivered(2).await, [name(0), name(1)]);
    lane.shown(|status| status.alarms().is_empty()).await;
    lane.stop().await;
}

#[tokio::test]
async fn outside_of_its_time_of_day_a_target_gets_nothing_and_says_until_when() {
    let server = Server::start(ok).await;
    // A quarter of an hour that is at least an hour away, whatever time it is.
    let shift = i64::from(clock::utc_offset_s(clock::now())) * 1000;
    let minute = ((clock::now().0 + shift) / 60_000 + 12 * 60) % 1440;
    let text = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
    let window = format!("{}-{}", text(minute), text((minute + 15) % 1440));
    let rig = Rig::with(&[("S3_API_URL", &server.url()), ("API_UPLOAD_WINDOW", &window)]);
    rig.take(0, vec![1; 10]).await;
    let lane = Running::start(&rig);
    let target = loop {
        tokio::task::yield_now().await;
        let target = lane.status.targets().remove(0);
        if target.paused_by.is_some() {
            break target;
        }
    };
    assert_eq!(target.paused_by, Some(Pause::Window));
    let wait = target.paused_until.unwrap().0 - clock::now().0;
    assert!((10 * 3_600_000..14 * 3_600_000).contains(&wait), "{wait}");
    lane.wakes.raise(Wake::Person);
    rig.take(1, vec![1; 10]).await;
    lane.stop().await;
    assert_eq!(server.seen().len(), 0);
    assert_eq!(upload(&rig, 0).await.attempts, 0);
}

/// S3.6
#[tokio::test]
async fn a_target_of_rounds_gets_all_that_is_owed_then_rests_and_a_wish_begins_a_round() {
    let server = Server::start(|_, _| answer(200, "", "{\"success\":true}")).await;
    let rig = Rig::with(&[("RELAY_URL", &server.url()), ("RELAY_INTERVAL", "3600")]);
    for second in 0..3 {
        rig.take(second, vec![1; 10]).await;
    }
    let mut lane = Running::start(&rig);
    assert_eq!(lane.delivered(3).await, [name(0), name(1), name(2)]);
    lane.shown(|status| status.targets()[0].paused_by == Some(Pause::Round)).await;
    let wait = lane.status.targets()[0].paused_until.unwrap().0 - clock::now().0;
    assert!((3_500_000..=3_600_000).contains(&wait), "{wait}");
    rig.take(3, vec![1; 10]).await;
    lane.shown(|status| status.targets()[0].paused_by == Some(Pause::Round)).await;
    assert_eq!(server.seen().len(), 3, "it waits for the next round");
    lane.wakes.raise(Wake::Person);
    assert_eq!(lane.delivered(1).await, [name(3)]);
    lane.stop().await;
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn outcomes_are_durable_before_they_count_and_many_share_a_write() {
    let server = Server::start(ok).await;
    let rig = Rig::with(&[("S3_API_URL", &server.url()), ("UPLOAD_PARALLEL", "8")]);
    for second in 0..40 {
        rig.take(second, vec![1; 10]).await;
    }
    let other = Connection::open(rig.dir.path().join("x.db")).unwrap();
    let mut lane = Running::start(&rig);
    for _ in 0..40 {
        let (name, state) = lane.next().await;
        assert_eq!(state, UploadState::Delivered);
        let sql = "select state from uploads where image_id = (select id from images where file_name = ?1)";
        let written: String = other.query_row(sql, [&name], |row| row.get(0)).unwrap();
        assert_eq!(written, "delivered", "{name}");
    }
    let keys: std::collections::BTreeSet<_> = server.seen().iter().map(Request::key).collect();
    assert_eq!((keys.len(), server.seen().len()), (40, 40));
    let rate = |status: &Status| status.targets()[0].pace.rate(std::time::Instant::now()).pictures;
    lane.shown(|status| rate(status) > 200.0).await;
    lane.stop().await;
}
