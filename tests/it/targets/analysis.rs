//! The lane of analyses against a strict server: what it is asked, what each answer means, and that nothing waits for it.

use std::sync::Arc;
use std::time::Duration;

use camera_capture::model::{Cause, ImageKind, UploadState};
use camera_capture::status::{AnalysisPause, Status};
use camera_capture::store::{Analysis, AnalysisState, Image, Wake};
use camera_capture::targets::{Analyser, AnalysisFacts};
use camera_capture::upload::{AnalysisHandle, AnalysisLane, NotAnalysed};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::server::{Act, Request, Server, answer, answer_text};
use super::{Rig, SECRET, silent_port};

/// Whatever is waited for comes sooner; only a failing test waits so long.
const LIMIT: Duration = Duration::from_secs(60);

const READ: &str =
    r#"{"results":[{"plate":"ab12cd","score":0.91,"box":{"xmin":4,"ymin":5,"xmax":60,"ymax":20}}]}"#;

/// A lane that runs until it is told to stop, or dropped.
struct AnalysisRun {
    rig: Rig,
    status: Status,
    handle: AnalysisHandle,
    cancel: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl AnalysisRun {
    fn new(url: &str, more: &[(&str, &str)]) -> Self {
        let mut pairs =
            vec![("ANALYSE_URL", url), ("ANALYSE_TOKEN", "hunter2hunter2"), ("OFFLINE_RETRY_INTERVAL", "1")];
        pairs.extend(more);
        let mut rig = Rig::with(&pairs);
        let analysis = rig.config.analysis.clone().unwrap();
        rig.store = rig.store.clone().analysing(&analysis.causes);
        let handle = AnalysisHandle::new(
            Analyser::new(&analysis, &rig.config.upload),
            &analysis,
            rig.store.analyses(),
        );
        let status = Status::new(&rig.config);
        Self { rig, status, handle, cancel: CancellationToken::new(), task: None }
    }

    fn begin(&mut self) {
        let retry = self.rig.config.upload.retry_interval;
        let mut lane = AnalysisLane::new(self.handle.clone(), retry, &self.status);
        let stop = self.cancel.clone();
        self.task = Some(tokio::spawn(async move { lane.run(&stop).await.unwrap() }));
    }

    fn started(url: &str, more: &[(&str, &str)]) -> Self {
        let mut reading = Self::new(url, more);
        reading.begin();
        reading
    }

    async fn take(&self, second: i64) -> Image {
        self.rig.take(second, b"a picture".to_vec()).await
    }

    /// The analysis of a picture once it is as wanted.
    async fn until(&self, image: &Image, is_wanted: impl Fn(&Analysis) -> bool) -> Analysis {
        let mut commits = self.rig.store.commits();
        let wanted = async {
            loop {
                commits.borrow_and_update();
                let now = self.rig.store.image(&image.filename).await.unwrap().unwrap().analysis.unwrap();
                if is_wanted(&now) {
                    return now;
                }
                commits.changed().await.unwrap();
            }
        };
        tokio::time::timeout(LIMIT, wanted).await.unwrap()
    }

    async fn done(&self, image: &Image) -> Analysis {
        self.until(image, |analysis| analysis.state == AnalysisState::Done).await
    }

    async fn paused(&self, cause: AnalysisPause) {
        let paused = async {
            while self.status.analysis().pause.is_none_or(|(_, why)| why != cause) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, paused).await.unwrap();
    }
}

impl Drop for AnalysisRun {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// What a strict Plate Recognizer says.
fn strict(request: &Request) -> Act {
    if request.header("authorization") != Some("Token hunter2hunter2") {
        return answer(403, "Content-Type: application/json\r\n", r#"{"detail":"Invalid token."}"#);
    }
    let kind = request.header("content-type").unwrap_or_default();
    if !kind.starts_with("multipart/form-data; boundary=")
        || !request.line.starts_with("POST /v1/plate-reader/ ")
    {
        return answer(400, "", r#"{"upload":["No file was submitted."]}"#);
    }
    Act::Then(|request| {
        let body = String::from_utf8_lossy(&request.body);
        let has = |part: &str| body.contains(part);
        let is_whole = has("Content-Disposition: form-data; name=\"upload\"; filename=\"r1_")
            && has("Content-Type: image/jpeg\r\n\r\na picture\r\n--")
            && has("name=\"camera_id\"\r\n\r\nr1\r\n")
            && has("name=\"timestamp\"\r\n\r\n2027-01-15T08:00:");
        let (status, words) = if is_whole { (201, READ) } else { (400, r#"{"upload":["Bad file."]}"#) };
        Box::new(answer(status, "Content-Type: application/json\r\n", words))
    })
}

fn plate_reader(server: &Server) -> String {
    format!("{}/v1/plate-reader/", server.origin())
}

#[tokio::test]
async fn a_strict_server_of_plate_recognizers_shape_reads_the_picture_of_a_contact() {
    let server = Server::start(|_, request| strict(request)).await;
    let reading = AnalysisRun::started(&plate_reader(&server), &[("ANALYSE_WATCH", "A812CD")]);
    let image = reading.take(0).await;
    let analysis = reading.done(&image).await;
    assert_eq!((analysis.attempts, analysis.readings.len()), (1, 1));
    let read = &analysis.readings[0];
    assert_eq!((read.text(), read.read.score, read.is_unsure), ("ab12cd", Some(0.91), false));
    assert_eq!(read.read.place.map(|place| (place.xmin, place.ymax)), Some((4, 20)));
    assert_eq!(read.watched.as_deref(), Some("A812CD"), "a misread of what is watched for");
    assert_eq!(reading.handle.spent().await.unwrap().month, 1);
}

#[tokio::test]
async fn the_plain_shape_has_the_picture_as_its_body_and_its_facts_in_the_query() {
    let server = Server::start(|_, _| {
        Act::Then(|request| {
            let is_right = request.body == b"a picture"
                && request.header("content-type") == Some("image/jpeg")
                && request.header("authorization") == Some("Bearer hunter2hunter2")
                && request
                    .line
                    .starts_with("POST /read?site=1&filename=r1_1800000000.jpg&camera_id=r1&timestamp=2027-");
            let body = r#"{"texts":[{"text":"W 1","score":0.2}]}"#;
            Box::new(answer(if is_right { 200 } else { 400 }, "", body))
        })
    })
    .await;
    let url = format!("{}/read?site=1", server.origin());
    let reading = AnalysisRun::started(&url, &[("ANALYSE_FORMAT", "json")]);
    let analysis = reading.done(&reading.take(0).await).await;
    assert_eq!(analysis.readings[0].text(), "W 1");
    assert!(analysis.readings[0].is_unsure, "a person confirms so low a score");
}

#[tokio::test]
async fn a_wrong_token_pauses_the_lane_blames_no_picture_and_is_said_without_the_token() {
    let server = Server::start(|_, _| answer(403, "", r#"{"detail":"Invalid token hunter2hunter2."}"#)).await;
    let reading = AnalysisRun::started(&plate_reader(&server), &[("ANALYSE_TRIES", "1")]);
    let image = reading.take(0).await;
    reading.paused(AnalysisPause::Fault).await;
    let analysis = reading.until(&image, |analysis| analysis.attempts > 0).await;
    assert_eq!(analysis.state, AnalysisState::Pending);
    let words = analysis.last_error.unwrap().to_string();
    assert!(words.contains("403") && words.contains("ANALYSE_TOKEN") && !words.contains(SECRET), "{words}");
}

#[tokio::test]
async fn every_odd_answer_is_tried_again_and_a_whole_one_ends_it() {
    let huge = format!("{{\"results\":[\"{}\"]}}", "x".repeat(3 << 20));
    let odd: Vec<Act> = vec![
        answer(429, "Retry-After: 0\r\n", "{}"),
        answer(500, "", "oops"),
        answer(200, "", "garbage"),
        answer(200, "", &huge),
        Act::Close,
        Act::Reset,
        answer(302, "Location: http://localhost:9/\r\n", ""),
    ];
    for act in odd {
        let server =
            Server::start(move |n, request| if n == 0 { act.clone() } else { strict(request) }).await;
        let reading = AnalysisRun::started(&plate_reader(&server), &[]);
        let image = reading.take(0).await;
        reading.until(&image, |analysis| analysis.attempts == 1).await;
        // A person ends the pause, and the picture's own.
        reading.rig.store.analyse(&image.filename).await.unwrap();
        reading.rig.store.wakes().raise(Wake::Person);
        let analysis = reading.done(&image).await;
        assert_eq!(analysis.readings.len(), 1);
        assert_eq!(server.seen().len(), 2);
    }
}

#[tokio::test]
async fn a_picture_that_is_refused_is_put_aside_and_asked_about_again_by_hand() {
    let server =
        Server::start(|n, request| if n == 0 { answer(413, "", "too large") } else { strict(request) }).await;
    let reading = AnalysisRun::started(&plate_reader(&server), &[]);
    let image = reading.take(0).await;
    let dead = reading.until(&image, |analysis| analysis.state == AnalysisState::Dead).await;
    assert!(dead.last_error.unwrap().to_string().contains("413"));
    assert_eq!(reading.rig.store.retry_analyses().await.unwrap(), 1);
    assert_eq!(reading.done(&image).await.readings.len(), 1);
}

#[tokio::test]
async fn as_many_failed_answers_as_are_allowed_put_a_picture_aside_and_others_go_on() {
    let server =
        Server::start(|n, request| if n < 2 { answer(200, "", "garbage") } else { strict(request) }).await;
    let reading = AnalysisRun::started(&plate_reader(&server), &[("ANALYSE_TRIES", "2")]);
    let image = reading.take(0).await;
    let dead = reading.until(&image, |analysis| analysis.state == AnalysisState::Dead).await;
    assert_eq!(dead.attempts, 2);
    assert!(dead.last_error.unwrap().to_string().contains("ANALYSE_FORMAT"));
    reading.done(&reading.take(1).await).await;
}

#[tokio::test]
async fn a_slow_server_delays_no_picture_and_no_delivery_and_is_given_up_in_time() {
    let server = Server::start(|_, _| Act::Hold).await;
    let far = Server::start(|_, _| answer(200, "", "{}")).await;
    let pairs = [("S3_API_URL", far.url()), ("ANALYSE_TIMEOUT", "1".to_owned())];
    let pairs = pairs.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut reading = AnalysisRun::new(&plate_reader(&server), &pairs);
    reading.begin();
    let image = reading.take(0).await;
    let target = Arc::new(reading.rig.target());
    target.deliver(&reading.rig.claim().await).await.unwrap();
    let next = reading.take(1).await;
    assert_eq!(next.uploads[0].state, UploadState::Pending, "stored while the server says nothing");
    let failed = reading.until(&next, |analysis| analysis.attempts > 0).await;
    assert!(failed.last_error.unwrap().to_string().contains("1 s"), "the limit is that of ANALYSE_TIMEOUT");
    drop(image);
}

#[tokio::test]
async fn a_question_that_a_stop_cut_off_is_asked_again_by_the_next_run() {
    let asked = Arc::new(Notify::new());
    let told = Arc::clone(&asked);
    let server = Server::start(move |n, request| {
        if n == 0 {
            told.notify_one();
            return Act::Hold;
        }
        strict(request)
    })
    .await;
    let mut reading = AnalysisRun::started(&plate_reader(&server), &[]);
    let image = reading.take(0).await;
    asked.notified().await;
    reading.cancel.cancel();
    reading.task.take().unwrap().await.unwrap();
    reading.cancel = CancellationToken::new();
    reading.begin();
    assert_eq!(reading.done(&image).await.attempts, 1);
}

#[tokio::test]
async fn beyond_the_limit_of_cost_nothing_is_asked_and_that_is_shown() {
    let server = Server::start(|_, request| strict(request)).await;
    let mut reading = AnalysisRun::started(&plate_reader(&server), &[("ANALYSE_PER_DAY", "1")]);
    reading.done(&reading.take(0).await).await;
    let waiting = reading.take(1).await;
    reading.paused(AnalysisPause::Cost).await;
    let facts = AnalysisFacts::default();
    let refused = reading.handle.analyse_now(&facts, b"a picture".as_slice().into()).await.unwrap_err();
    assert!(matches!(refused, NotAnalysed::Spent { .. }) && refused.to_string().contains("ANALYSE_PER_DAY"));
    // A new run knows it, too.
    reading.cancel.cancel();
    reading.task.take().unwrap().await.unwrap();
    reading.cancel = CancellationToken::new();
    reading.status = Status::new(&reading.rig.config);
    reading.begin();
    reading.paused(AnalysisPause::Cost).await;
    let analysis = reading.until(&waiting, |_| true).await;
    assert_eq!((analysis.state, analysis.attempts, server.seen().len()), (AnalysisState::Pending, 0, 1));
}

#[tokio::test]
async fn a_server_that_is_not_there_costs_nothing_and_blames_no_picture() {
    let (_held, addr) = silent_port();
    let reading = AnalysisRun::started(&format!("http://{addr}/"), &[("ANALYSE_TRIES", "1")]);
    let image = reading.take(0).await;
    let analysis = reading.until(&image, |analysis| analysis.attempts > 0).await;
    assert_eq!(analysis.state, AnalysisState::Pending);
    assert_eq!(reading.handle.spent().await.unwrap().month, 0);
}

#[tokio::test]
async fn any_picture_can_be_analysed_at_once_and_is_not_stored() {
    let server = Server::start(|_, request| strict(request)).await;
    let reading = AnalysisRun::new(&plate_reader(&server), &[]);
    let facts = AnalysisFacts {
        filename: "r1_now.jpg".to_owned(),
        camera: Some("r1".to_owned()),
        taken_at: Some(camera_capture::model::UnixMs(super::T0)),
    };
    let now = reading.handle.analyse_now(&facts, b"a picture".as_slice().into()).await.unwrap();
    assert_eq!((now.readings[0].read.text.as_str(), now.raw.as_str()), ("ab12cd", READ));
    assert_eq!(reading.handle.spent().await.unwrap().day, 1);
}

#[tokio::test]
async fn questions_at_once_keep_to_the_limit_and_one_that_nobody_waits_for_counts() {
    let go = Arc::new(Notify::new());
    let say = Arc::clone(&go);
    let text = answer_text(201, "Content-Type: application/json\r\n", READ);
    let mut server = Server::start(move |_, _| Act::SayWhen(Arc::clone(&say), text.clone())).await;
    let reading = AnalysisRun::new(&plate_reader(&server), &[("ANALYSE_PER_DAY", "2")]);
    let ask = || {
        let handle = reading.handle.clone();
        let facts = AnalysisFacts::default();
        tokio::spawn(async move { handle.analyse_now(&facts, b"a picture".as_slice().into()).await })
    };
    let first = ask();
    server.arrival().await;
    let left = ask();
    server.arrival().await;
    assert!(matches!(ask().await.unwrap(), Err(NotAnalysed::Spent { .. })), "two are under way");
    left.abort();
    for n in 1..=2 {
        go.notify_one();
        let counted = async {
            while reading.handle.spent().await.unwrap().day < n {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, counted).await.unwrap();
    }
    assert_eq!(first.await.unwrap().unwrap().readings.len(), 1);
    assert!(matches!(ask().await.unwrap(), Err(NotAnalysed::Spent { .. })), "both counted");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn what_was_read_is_carried_by_the_deliveries_after_it() {
    let server = Server::start(|_, request| strict(request)).await;
    let far = Server::start(|_, _| answer(200, "", "{}")).await;
    let url = far.url();
    let pairs = [
        ("S3_API_URL", url.as_str()),
        ("UPLOAD_METADATA", "true"),
        ("UPLOAD_FIELDS", "plate={read_text}; sure={read_score}"),
    ];
    let reading = AnalysisRun::started(&plate_reader(&server), &pairs);
    reading.done(&reading.take(0).await).await;
    reading.rig.target().deliver(&reading.rig.claim().await).await.unwrap();
    let body = String::from_utf8_lossy(&far.seen()[0].body).into_owned();
    for (name, value) in
        [("read_text", "ab12cd"), ("read_score", "0.91"), ("plate", "ab12cd"), ("sure", "0.91")]
    {
        assert!(body.contains(&format!("name=\"{name}\"\r\n\r\n{value}\r\n")), "{name}: {body}");
    }
}

#[tokio::test]
async fn pictures_of_other_causes_are_asked_about_only_on_demand() {
    let server = Server::start(|_, request| strict(request)).await;
    let reading = AnalysisRun::started(&plate_reader(&server), &[("ANALYSE_WHEN", "demand")]);
    assert_eq!(reading.handle.config().causes, [] as [Cause; 0]);
    let image = reading.rig.take_kind(0, b"a picture".to_vec(), ImageKind::Instant).await;
    assert_eq!(image.analysis, None);
    reading.rig.store.analyse(&image.filename).await.unwrap().unwrap();
    assert_eq!(reading.done(&image).await.readings.len(), 1);
}
