//! Bent cameras before the real daemon, as many as it has contacts for at once, and what is judged of them.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use camera_capture::demo::framecode;
use futures_util::future::join_all;
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::super::daemon::Daemon;
use super::super::rtsp::is_available;
use super::super::setup::Setup;
use super::super::{machine_shared, report, wait_until};
use super::{Bend, Bent, Expect};

/// Cameras that one daemon has contacts for.
const CONTACTS: usize = 10;

/// Longest until a camera that can be read is connected.
const CONNECTED: Duration = Duration::from_secs(20);

/// Longest until it is said what is the matter with one that cannot.
const SAID: Duration = Duration::from_secs(30);

/// Longest until a trigger has its outcome.
const ENDED: Duration = Duration::from_secs(25);

/// A recorded distance may be so far from the shown one, milliseconds.
const RECORDED_MS: i64 = 75;

/// Between two looks at the states.
const LOOK: Duration = Duration::from_millis(200);

/// Longest that ffmpeg tries.
const FFMPEG: Duration = Duration::from_secs(20);

/// So many ffmpeg at once.
const FFMPEGS: usize = 3;

/// Triggers of a camera: captures, and a contact last.
const CAPTURES: u32 = 3;

/// Text of libraries that says nothing to an operator.
const RAW: [&str; 9] = [
    "status 200",
    "Unexpected RTSP",
    "os error",
    "CSeq",
    "buffered:",
    "Response {",
    "Backtraces",
    "todo",
    "panicked",
];

/// What was seen of a camera.
pub(crate) struct Seen {
    pub(crate) bend: &'static Bend,
    /// Triggers that had a picture.
    pub(crate) pictures: usize,
    /// Shown minus wanted, milliseconds.
    offsets: Vec<i64>,
    /// The last trouble that its state told.
    said: String,
    /// Sessions that it was asked for.
    played: u64,
    /// Whether ffmpeg had a picture, if it was asked.
    pub(crate) ffmpeg: Option<bool>,
    pub(crate) faults: Vec<String>,
}

impl Seen {
    /// In a line.
    pub(crate) fn line(&self) -> String {
        let span = match (self.offsets.iter().min(), self.offsets.iter().max()) {
            (Some(least), Some(most)) => format!(", {least:+}..{most:+} ms"),
            _ => String::new(),
        };
        let said = if self.said.is_empty() { String::new() } else { format!("; said: {}", self.said) };
        let faults = if self.faults.is_empty() { "ok".into() } else { self.faults.join("; ") };
        let ffmpeg = match self.ffmpeg {
            None => "",
            Some(true) => "; ffmpeg: a picture",
            Some(false) => "; ffmpeg: none",
        };
        format!(
            "{:<58} {} pictures{span}, {} sessions{ffmpeg}: {faults}{said} ({})",
            self.bend.name, self.pictures, self.played, self.bend.report
        )
    }
}

/// Runs these cameras, and fails with what is wrong with each. Those that are wrong are run once more by themselves, since
/// a machine that stands still for half a second makes any camera late.
pub(crate) async fn all_are_right(claim: &str, bends: &'static [Bend]) {
    let _machine = machine_shared().await;
    if !is_available(claim).await {
        return;
    }
    let wrong = |seen: Vec<Seen>| seen.into_iter().filter(|seen| !seen.faults.is_empty()).collect::<Vec<_>>();
    let mut all = wrong(run(bends, false).await);
    if !all.is_empty() {
        report(&format!("{claim}: {} once more", all.len()));
        all = wrong(batches(&all.iter().map(|seen| seen.bend).collect::<Vec<_>>(), false).await);
    }
    let lines: Vec<_> = all.iter().map(Seen::line).collect();
    assert!(lines.is_empty(), "{} are wrong:\n{}", lines.len(), lines.join("\n"));
}

/// Runs these cameras, ten at a time; `BENT` chooses those whose names have it. With `is_compared`, ffmpeg reads each of
/// them at the same time.
pub(crate) async fn run(bends: &'static [Bend], is_compared: bool) -> Vec<Seen> {
    let chosen = std::env::var("BENT").unwrap_or_default();
    let bends: Vec<_> = bends.iter().filter(|bend| bend.name.contains(&chosen)).collect();
    batches(&bends, is_compared).await
}

async fn batches(bends: &[&'static Bend], is_compared: bool) -> Vec<Seen> {
    let mut seen = Vec::new();
    for some in bends.chunks(CONTACTS) {
        let batch = batch(some, is_compared).await;
        batch.iter().for_each(|seen| report(&seen.line()));
        seen.extend(batch);
    }
    seen
}

fn key(n: usize) -> String {
    format!("r{}", n + 1)
}

fn site(cameras: &[Bent]) -> Setup {
    (1..).zip(cameras).fold(Setup::new(), |setup, (n, camera)| {
        let mut setup = setup.with_camera(n, &camera.url());
        if let Some(login) = &camera.bend.login {
            setup = setup.with_login(n, login.user, login.password);
        }
        camera
            .bend
            .settings
            .iter()
            .fold(setup, |setup, (name, value)| setup.with(&format!("CAMERA_{n}_{name}"), value))
    })
}

async fn batch(bends: &[&'static Bend], is_compared: bool) -> Vec<Seen> {
    let cameras = join_all(bends.iter().map(|&bend| Bent::start(bend))).await;
    let setup = site(&cameras);
    let daemon = Daemon::start(&setup).await;
    let places = Semaphore::new(FFMPEGS);
    let each = (0..).zip(&cameras).map(async |(n, camera)| {
        let key = key(n);
        // What ffmpeg is compared with is whether there is a picture at all.
        let span = if is_compared { (1, Duration::ZERO) } else { (CAPTURES, camera.bend.lasts) };
        let ours = observe(&daemon, &key, camera, span);
        let theirs = async {
            if !is_compared {
                return None;
            }
            let _place = places.acquire().await.unwrap();
            Some(ffmpeg(camera, &setup.directory().join(format!("{key}.jpg"))).await)
        };
        tokio::join!(ours, theirs)
    });
    let observed = join_all(each).await;
    let events = ended(&daemon).await;
    let images: BTreeMap<String, Value> = daemon
        .images()
        .await
        .into_iter()
        .map(|image| (image["filename"].as_str().unwrap_or_default().to_owned(), image))
        .collect();
    let files = setup.pictures();
    let mut all = Vec::new();
    for (n, (camera, ((mut faults, said), theirs))) in cameras.iter().zip(observed).enumerate() {
        let (mut offsets, mut pictures, mut triggers) = (Vec::new(), 0, 0);
        for event in events.iter().filter(|event| event["camera"] == key(n)) {
            triggers += 1;
            let name = event["images"][0]["filename"].as_str().unwrap_or_default();
            let jpeg = files.get(name).map(|path| std::fs::read(path).unwrap());
            pictures += usize::from(jpeg.is_some());
            let image = images.get(name).unwrap_or(&Value::Null);
            match judge(camera.bend, event, image, jpeg.as_deref()) {
                Ok(offset) => offsets.extend(offset),
                Err(fault) => faults.push(fault),
            }
        }
        if !matches!(camera.bend.expect, Expect::Words(_)) && triggers == 0 {
            faults.push("nothing was tried".to_owned());
        }
        let (played, bend) = (camera.played(), camera.bend);
        // The bent cameras of this table count ffmpeg's session, too.
        let most = u64::from(theirs.is_some()) + if matches!(bend.expect, Expect::Exact(_)) { 1 } else { 2 };
        if !matches!(bend.expect, Expect::Words(_)) && played > most {
            faults.push(format!("{played} sessions were opened, over {} connections", camera.connections()));
        }
        all.push(Seen { bend, pictures, offsets, said, played, ffmpeg: theirs, faults });
    }
    all
}

/// Waits until every trigger has its outcome; the ledger.
async fn ended(daemon: &Daemon) -> Vec<Value> {
    wait_until("every trigger has an outcome", ENDED, async || {
        let events = daemon.events().await;
        let open = events.iter().filter(|event| event["outcome"].is_null()).count();
        if open == 0 { Ok(events) } else { Err(format!("{open} are open")) }
    })
    .await
}

/// Triggers a camera, so often within such a time, and watches its state; what is wrong with the state, and what it said.
async fn observe(
    daemon: &Daemon,
    key: &str,
    camera: &Bent,
    (captures, lasts): (u32, Duration),
) -> (Vec<String>, String) {
    let bend = camera.bend;
    let (mut faults, mut said) = (Vec::new(), String::new());
    let began = Instant::now();
    let patterns = match bend.expect {
        Expect::Words(patterns) => patterns,
        Expect::Exact(_) | Expect::Noted => &[],
    };
    let limit = if patterns.is_empty() { CONNECTED } else { SAID };
    loop {
        let (state, error) = daemon.camera(key).await;
        if !error.is_empty() {
            said.clone_from(&error);
        }
        if state == "connected" {
            break;
        }
        if !patterns.is_empty() && is_said(&error, patterns) {
            return (faults, said);
        }
        if began.elapsed() > limit {
            faults.push(if patterns.is_empty() {
                "never connected".to_owned()
            } else {
                format!("the words lack one of {patterns:?}")
            });
            return (faults, said);
        }
        sleep(LOOK).await;
    }
    let watching = async {
        sleep(bend.settles).await;
        loop {
            sleep(LOOK).await;
            let (state, error) = daemon.camera(key).await;
            if state != "connected" {
                return format!("{state} after {:.0} s: {error}", began.elapsed().as_secs_f32());
            }
        }
    };
    let triggers = async {
        sleep(bend.settles).await;
        for n in 0..=captures {
            let reply = if n < captures { daemon.capture(key).await } else { daemon.pulse(key).await };
            if let Err(error) = reply {
                return vec![error];
            }
            if n < captures {
                sleep(lasts / captures).await;
            }
        }
        Vec::new()
    };
    tokio::pin!(triggers);
    let lost = tokio::select! {
        lost = watching => Some(lost),
        failed = &mut triggers => {
            faults.extend(failed);
            None
        }
    };
    if let Some(lost) = lost {
        // Words may follow the first pictures; else the connection has to stay.
        if patterns.is_empty() {
            faults.push(lost);
        }
        faults.extend(triggers.await);
    }
    (faults, said)
}

/// Whether a text has all of these, and nothing raw.
fn is_said(text: &str, patterns: &[&str]) -> bool {
    let lower = text.to_lowercase();
    let has = |pattern: &&str| pattern.split('|').any(|word| lower.contains(&word.to_lowercase()));
    !text.is_empty() && patterns.iter().all(has) && !RAW.iter().any(|raw| text.contains(raw))
}

/// How far a trigger's picture is from its instant, where it tells one; the error is what is wrong.
fn judge(bend: &Bend, event: &Value, image: &Value, jpeg: Option<&[u8]>) -> Result<Option<i64>, String> {
    let edge_ms = event["edge_at_ms"].as_i64().unwrap_or_default();
    let note = image["note"].as_str().unwrap_or_default();
    let is_noted = !note.is_empty() && !matches!(bend.expect, Expect::Exact(_));
    let Some(jpeg) = jpeg else {
        let reason = event["reason"].as_str().unwrap_or_default();
        return match bend.expect {
            Expect::Words(patterns) if is_said(reason, patterns) => Ok(None),
            _ => Err(format!("no picture: {reason}")),
        };
    };
    let decoded = image::load_from_memory_with_format(jpeg, image::ImageFormat::Jpeg)
        .map_err(|error| format!("not decodable: {error}"))?;
    let size = (decoded.width(), decoded.height());
    if size != (bend.stream.width.into(), bend.stream.height.into()) {
        return Err(format!("{} x {} pixels", size.0, size.1));
    }
    let (width, height) = (size.0 as usize, size.1 as usize);
    let Some(shown) = framecode::read(decoded.into_luma8().as_raw(), width, height, width) else {
        return if is_noted { Ok(None) } else { Err(format!("grey or damaged, note {note:?}")) };
    };
    let offset = shown.unix_ms(edge_ms) - edge_ms;
    let recorded = image["frame_offset_ms"].as_i64().unwrap_or_default();
    match bend.expect {
        _ if is_noted => Ok(Some(offset)),
        _ if shown.torn => Err(format!("torn, {offset:+} ms, note {note:?}")),
        Expect::Exact(most) if offset.abs() > most => {
            Err(format!("{offset:+} ms, recorded {recorded:+}, note {note:?}"))
        }
        Expect::Exact(_) if note.contains("damage") => Err(format!("called damaged: {note}")),
        Expect::Noted | Expect::Words(_) if (offset - recorded).abs() > RECORDED_MS => {
            Err(format!("{offset:+} ms, recorded {recorded:+}, and no note"))
        }
        _ => Ok(Some(offset)),
    }
}

/// Whether ffmpeg gets a picture out of a camera.
async fn ffmpeg(camera: &Bent, path: &std::path::Path) -> bool {
    let is_udp = camera.bend.settings.contains(&("TRANSPORT", "udp"));
    let mut url = url::Url::parse(&camera.url()).unwrap();
    if let Some(login) = &camera.bend.login {
        url.set_username(login.user).unwrap();
        let other = camera.bend.settings.iter().find(|(name, _)| *name == "PASSWORD");
        url.set_password(Some(other.map_or(login.password, |(_, value)| value))).unwrap();
    }
    let mut command = Command::new("ffmpeg");
    command
        .args(["-v", "error", "-y", "-rtsp_transport", if is_udp { "udp" } else { "tcp" }])
        .args(["-i", url.as_str(), "-an", "-frames:v", "1", "-update", "1"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let status = timeout(FFMPEG, command.status()).await;
    matches!(status, Ok(Ok(status)) if status.success()) && path.exists()
}
