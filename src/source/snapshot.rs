//! Cameras that serve single JPEG pictures over HTTP: asked when a picture is wanted, and now and then to know that
//! they are well.
//!
//! There is no past here: a picture is of the instant at which it was asked for, or later. One is asked for at a time;
//! all requests whose instant lies before it share it. A picture that cannot be proven to be taken since
//! (see `freshness.rs`) is thrown away and the next one asked for. Where nothing but the pictures can tell, some are
//! compared (see `lag.rs`) until it is known how many the camera is behind; until then the note of each says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{debug, info};

use super::failure::Failure;
pub use super::freshness::PictureHabits;
use super::freshness::{Evidence, Freshness, FreshnessVerdict, Round, Why};
use super::lag::{COMPARED, Lag, Small};
use super::picture::{JpegPicture, SnapshotClient};
use super::slot::StreamSlot;
use super::snapshot_shown::{SURE, Showcase, Shown, unsure};
use super::{Requests, SourceError};
use crate::config::SnapshotConfig;
use crate::media::jpeg;
use crate::model::{CameraFault, CameraKey};
use crate::status::Status;

/// How often an idle camera is asked for a picture. An ESP32-CAM on a battery notices every one; an operator wants to
/// hear of a broken camera before the next car does.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Pause between pictures while somebody watches: at most two and a half a second, so that a trigger finds the camera
/// free and its Wi-Fi not full.
const LIVE_PAUSE: Duration = Duration::from_millis(400);

/// Pictures asked for until one is fresh. Of an ESP32-CAM with three buffers the fourth is; a camera that renews its
/// picture only every second or two gives a new one within this many pauses.
const ASKED_MAX: u32 = 10;

/// Pause before a camera that gave the same picture again is asked once more.
const SAME_PAUSE: Duration = Duration::from_millis(250);

/// When a round that has taken so long has no fresh picture, nobody waits for one any more.
const ROUND_LIMIT: Duration = Duration::from_secs(8);

/// After such pauses, in seconds, an idle camera is asked for pictures that are compared, until it is known how many it is behind. After
/// the last one only triggers teach: at an idle gate nothing moves.
const LEARN_PAUSES_S: [u64; 8] = [2, 3, 5, 10, 20, 60, 60, 60];

/// When a trigger waits, no more pictures are compared than come within this; it waits five seconds.
const COMPARE_LIMIT: Duration = Duration::from_millis(2500);

/// The same when nobody waits.
const LEARN_LIMIT: Duration = Duration::from_secs(20);

/// A trigger waits so long for the comparison of pictures that have come.
const LOOK_LIMIT: Duration = Duration::from_millis(500);

/// Pause between pictures that are compared, until the connection is free for the next request; else another is opened.
const BREATH: Duration = Duration::from_millis(10);

/// Pictures of more pixels are not compared: each would take 24 MB for a moment.
const COMPARED_PIXELS: u64 = 6_000_000;

/// One camera of single pictures.
pub struct Snapshot {
    key: CameraKey,
    showcase: Showcase,
    pictures: SnapshotClient,
    freshness: Freshness,
    lag: Lag,
    /// How often pictures of an idle camera were compared.
    lessons: usize,
    /// The last picture that came, while pictures are compared.
    before: Option<Arc<[u8]>>,
    /// What compared pictures show, while nobody waits for it.
    lesson: Option<JoinHandle<Looked>>,
    number: u8,
    /// When the last picture was asked for, and when it had come.
    asking_since: Instant,
    last_asked: Instant,
    /// Pause between pictures while somebody looks, and from where it counts.
    live_pause: LivePause,
}

/// How often a camera is asked while somebody looks.
#[derive(Clone, Copy)]
enum LivePause {
    /// So long after a picture has come.
    After(Duration),
    /// So long after it was asked for.
    Between(Duration),
}

/// What has been seen of a camera, for people.
#[derive(Clone, Debug)]
pub struct SnapshotReport {
    /// How it wants to know who we are, such as `digest (SHA-256)`; `None` if it does not.
    pub login: Option<String>,
    /// How old its pictures are.
    pub habits: PictureHabits,
}

/// A picture and the instant it shows.
struct Taken {
    picture: JpegPicture,
    instant: Instant,
    /// It serves requests for instants up to here; `None` when nothing is known of its age.
    until: Option<Instant>,
    /// Why the instant is not sure, for people.
    doubt: Option<Arc<str>>,
}

/// Small pictures: the one before some, and these.
type Looked = (Option<Small>, Vec<Option<Small>>);

/// What a picture is asked for.
struct Wish {
    /// It is to be of this instant or later.
    at: Instant,
    /// Somebody waits for it.
    is_awaited: bool,
}

impl Snapshot {
    /// Camera `number` with `key`. Nothing is contacted yet.
    pub fn new(number: u8, key: CameraKey, config: SnapshotConfig, status: Status) -> Self {
        let now = Instant::now();
        let freshness = Freshness::new(config.flush);
        let pictures = SnapshotClient::new(number, config);
        Self {
            showcase: Showcase::new(key.clone(), status),
            key,
            pictures,
            freshness,
            lag: Lag::default(),
            lessons: 0,
            before: None,
            lesson: None,
            number,
            asking_since: now,
            last_asked: now,
            live_pause: LivePause::After(LIVE_PAUSE),
        }
    }

    /// The same, shown also to the viewers of a slot, who are given `fps` pictures a second.
    pub(super) fn shown_to(mut self, slot: StreamSlot, fps: u8) -> Self {
        self.showcase.slot = Some(slot);
        self.live_pause = LivePause::Between(Duration::from_secs(1) / u32::from(fps.max(1)));
        self
    }

    /// Closes the connection, if one is kept open.
    pub(super) fn hang_up(&mut self) {
        self.pictures.hang_up();
    }

    /// Takes in a picture that came by itself.
    pub(super) fn show(&self, shown: Shown, requests: &mut Requests) {
        self.showcase.show(shown, requests);
    }

    /// What has been seen so far.
    pub fn report(&self) -> SnapshotReport {
        SnapshotReport { login: self.pictures.login().map(str::to_owned), habits: self.freshness.habits() }
    }

    /// Asks for a picture at once, then for every request and now and then, until one cannot be had.
    pub async fn serve(&mut self, requests: &mut Requests) -> SourceError {
        loop {
            if let Some(error) = self.turn(requests, None).await {
                return error;
            }
        }
    }

    /// As [`Self::serve`]; but from `yield_from` on it ends with `None` as soon as somebody looks.
    pub(super) async fn turn(
        &mut self,
        requests: &mut Requests,
        yield_from: Option<Instant>,
    ) -> Option<SourceError> {
        let address = self.pictures.address().to_owned();
        let no_stream = format!(
            "the camera at {address} gives single pictures and no stream, so there is none before or after the trigger"
        );
        let mut check_at = Instant::now();
        loop {
            let is_watched =
                requests.is_watched() || self.showcase.slot.as_ref().is_some_and(StreamSlot::has_viewers);
            if is_watched && yield_from.is_some_and(|from| from <= Instant::now()) {
                return None;
            }
            let live_at = is_watched.then(|| match self.live_pause {
                LivePause::After(pause) => self.last_asked + pause,
                LivePause::Between(pause) => (self.asking_since + pause).max(self.last_asked + BREATH),
            });
            let viewer = async {
                match &self.showcase.slot {
                    Some(slot) => slot.viewer().await,
                    None => std::future::pending().await,
                }
            };
            let wake_at = [requests.earliest(), live_at].into_iter().flatten().fold(check_at, Instant::min);
            tokio::select! {
                _ = requests.next(None) => {
                    requests.refuse_stretches(&no_stream);
                    requests.expire(Instant::now(), "nobody waits for this picture any more");
                    continue;
                }
                () = viewer => continue,
                () = tokio::time::sleep_until(wake_at.into()) => {}
            }
            let now = Instant::now();
            let awaited = requests.due(now).map(|at| Wish { at, is_awaited: true });
            let wanted = awaited.or((check_at <= now).then_some(Wish { at: now, is_awaited: false }));
            let is_wanted = wanted.is_some();
            let hurry = AtomicBool::new(false);
            let taken = {
                let taking = self.take(wanted, &hurry);
                tokio::pin!(taking);
                loop {
                    tokio::select! {
                        taken = &mut taking => break taken,
                        is_awaited = requests.next(None) => {
                            hurry.fetch_or(is_awaited, Ordering::Relaxed);
                            requests.refuse_stretches(&no_stream);
                            let reason = format!(
                                "the camera at {address} has given no new picture for {:.1} s; if this goes on, check \
                                 its network and restart it",
                                now.elapsed().as_secs_f64(),
                            );
                            requests.expire(Instant::now(), &reason);
                        }
                    }
                }
            };
            match taken {
                Ok(taken) => {
                    if is_wanted {
                        check_at = Instant::now() + self.pause();
                    }
                    self.showcase.show_connected(taken.picture.size);
                    let Taken { picture, instant, until, doubt } = taken;
                    self.showcase.give(&picture.jpeg, instant, until, doubt, requests);
                }
                Err(failure) => return Some(failure.into()),
            }
        }
    }

    /// Until the next look at an idle camera.
    fn pause(&self) -> Duration {
        let lesson = self.is_learning().then(|| LEARN_PAUSES_S.get(self.lessons)).flatten();
        lesson.map_or(CHECK_INTERVAL, |seconds| Duration::from_secs(*seconds))
    }

    /// Whether pictures have to tell how old they are, and have not yet.
    fn is_learning(&self) -> bool {
        self.freshness.is_silent() && self.lag.proven().is_none()
    }

    /// Asks for a picture; twice, because a camera may close an idle connection at the very moment it is used again, and an
    /// ESP32-CAM sends a torn picture now and then.
    async fn ask(&mut self) -> Result<JpegPicture, Failure> {
        self.asking_since = Instant::now();
        let mut asked = self.pictures.ask().await;
        if let Err(failure) = &asked
            && failure.is_passing()
        {
            debug!(camera = %self.key, reason = %failure.fault, "asking again");
            asked = self.pictures.ask().await;
        }
        self.last_asked = Instant::now();
        asked
    }

    /// Takes a picture that shows what is wanted; any picture if nothing is. Sooner once there is `hurry`.
    async fn take(&mut self, wanted: Option<Wish>, hurry: &AtomicBool) -> Result<Taken, Failure> {
        let began = Instant::now();
        self.catch_up();
        let mut round = wanted.as_ref().map(|wish| Round::new(wish.at));
        loop {
            let picture = self.ask().await?;
            let evidence = picture.evidence;
            let (Some(round), Some(wish)) = (&mut round, &wanted) else {
                self.freshness.note(&evidence);
                self.remember(&picture);
                let instant = evidence.first_byte;
                return Ok(Taken { picture, instant, until: None, doubt: None });
            };
            if round.asked() == 0 && self.compares(&evidence, wish) {
                return self.compare(picture, wish, hurry).await;
            }
            match self.freshness.judge(round, &evidence) {
                FreshnessVerdict::Fresh { instant, until, within } => {
                    let doubt = self.doubt(&picture, within);
                    self.remember(&picture);
                    return Ok(Taken { picture, instant, until: Some(until), doubt });
                }
                FreshnessVerdict::Old(why) => {
                    debug!(camera = %self.key, ?why, asked = round.asked(), "the picture is not a new one");
                    if round.asked() >= ASKED_MAX || began.elapsed() > ROUND_LIMIT {
                        return Err(self.never_fresh(why, round.asked()));
                    }
                    if why == Why::Same {
                        tokio::time::sleep(SAME_PAUSE).await;
                    }
                }
            }
        }
    }

    /// Keeps a picture to compare the next one with, as long as that is of use.
    fn remember(&mut self, picture: &JpegPicture) {
        self.before = self.is_learning().then(|| Arc::clone(&picture.jpeg));
    }

    /// Whether this first picture of a round is to be compared with others.
    fn compares(&self, evidence: &Evidence, wish: &Wish) -> bool {
        let is_silent = self.is_learning() && evidence.stamp.is_none() && !evidence.is_esp32;
        is_silent && (wish.is_awaited || self.lessons <= LEARN_PAUSES_S.len())
    }

    /// Asks for more pictures after the first, one right after the other, and chooses the one that shows what is wanted.
    async fn compare(
        &mut self,
        first: JpegPicture,
        wish: &Wish,
        hurry: &AtomicBool,
    ) -> Result<Taken, Failure> {
        self.lessons += usize::from(!wish.is_awaited);
        let began = first.evidence.sent;
        let (mut pictures, mut old) = (vec![first], 0);
        while let Some(last) = pictures.last()
            && self.freshness.is_same(&last.evidence)
        {
            old += 1;
            if old >= ASKED_MAX || began.elapsed() > ROUND_LIMIT {
                return Err(self.never_fresh(Why::Same, old));
            }
            // A buffered picture gives way at once, a cached one only after a while.
            tokio::time::sleep(if old > 1 { SAME_PAUSE } else { BREATH }).await;
            let next = self.ask().await?;
            pictures = pictures.into_iter().next_back().into_iter().chain([next]).collect();
        }
        let limit = if wish.is_awaited { COMPARE_LIMIT } else { LEARN_LIMIT };
        while pictures.len() < COMPARED {
            let took = began.elapsed() / u32::try_from(pictures.len()).unwrap_or(1);
            let is_hurried = !wish.is_awaited && hurry.load(Ordering::Relaxed);
            if is_hurried || began.elapsed() + took > limit {
                break;
            }
            tokio::time::sleep(BREATH).await;
            match self.ask().await {
                Ok(picture) => pictures.push(picture),
                Err(failure) => {
                    debug!(camera = %self.key, reason = %failure.fault, "fewer pictures are compared");
                    break;
                }
            }
        }
        Ok(self.choose(pictures, usize::from(old > 0), wish.is_awaited).await)
    }

    /// Chooses among `pictures`, of which so many at their begin are old.
    async fn choose(&mut self, mut pictures: Vec<JpegPicture>, old: usize, is_awaited: bool) -> Taken {
        let mut looking = self.look(&pictures);
        let looked = if is_awaited { timeout(LOOK_LIMIT, &mut looking).await.ok() } else { None };
        let index = match looked {
            Some(looked) => self.learn(looked.ok()),
            // What it shows is of use the next time.
            None => {
                self.lesson = Some(looking);
                self.lag.guess(pictures.len())
            }
        };
        let index = index.max(old).min(pictures.len() - 1);
        for picture in &pictures {
            self.freshness.note(&picture.evidence);
        }
        let first = pictures[0].evidence;
        let picture = pictures.swap_remove(index);
        // As in `freshness.rs`: a buffer is filled when its picture has been fetched.
        let from = if index == 0 { first.sent } else { first.done };
        let within = picture.evidence.first_byte.saturating_duration_since(from) / 2;
        let doubt = self.doubt(&picture, within);
        Taken { picture, instant: from + within, until: Some(first.sent), doubt }
    }

    /// Makes small ones of pictures and of the one before them, aside.
    fn look(&mut self, pictures: &[JpegPicture]) -> JoinHandle<Looked> {
        let before = self.before.take();
        let jpegs: Vec<_> = pictures.iter().map(|picture| Arc::clone(&picture.jpeg)).collect();
        self.before = jpegs.last().cloned();
        tokio::task::spawn_blocking(move || {
            // A camera that renews its picture now and then gives the same one several times.
            let mut known: Vec<(Arc<[u8]>, Option<Small>)> = Vec::new();
            let mut small = |jpeg: Arc<[u8]>| {
                if let Some((_, small)) = known.iter().find(|(other, _)| *other == jpeg) {
                    return small.clone();
                }
                let size = jpeg::inspect(&jpeg).ok();
                let is_fit = size.is_some_and(|(w, h)| u64::from(w) * u64::from(h) <= COMPARED_PIXELS);
                let small = if is_fit { Small::of(&jpeg) } else { None };
                known.push((jpeg, small.clone()));
                small
            };
            (before.and_then(&mut small), jpegs.into_iter().map(small).collect())
        })
    }

    /// Learns from what a look has shown; which of its pictures is of now.
    fn learn(&mut self, looked: Option<Looked>) -> usize {
        let (before, smalls) = looked.unwrap_or_default();
        let index = self.lag.choose(before.as_ref(), &smalls);
        if let Some(lag) = self.lag.proven() {
            info!(camera = %self.key, lag, "the pictures show how many the camera is behind");
            self.freshness.learn(lag);
            self.before = None;
        }
        index
    }

    /// Learns from a look that nobody waited for, if it is done.
    fn catch_up(&mut self) {
        if let Some(lesson) = self.lesson.take_if(|lesson| lesson.is_finished()) {
            self.learn(lesson.now_or_never().and_then(Result::ok));
        }
    }

    /// Why the instant of a picture is not sure, if it may be off by `within` to either side otherwise.
    fn doubt(&self, picture: &JpegPicture, within: Duration) -> Option<Arc<str>> {
        let n = self.number;
        let age = if self.is_learning() {
            Some(format!(
                "the camera does not tell when it took this picture, and its pictures have not shown it yet: it may be one \
                 of before the trigger; if you know that they are new, set CAMERA_{n}_SNAPSHOT_FLUSH=0, if they are one \
                 behind, =1"
            ))
        } else if within > SURE {
            Some(unsure(within))
        } else {
            None
        };
        let all: Vec<String> = picture.remark.clone().into_iter().chain(age).collect();
        (!all.is_empty()).then(|| all.join("; ").into())
    }

    fn never_fresh(&self, why: Why, asked: u32) -> Failure {
        let (address, count) = (self.pictures.address().to_owned(), u64::from(asked));
        Failure::broken(match why {
            Why::Same => CameraFault::PictureRepeated { address, count },
            Why::Stamp | Why::Unsettled | Why::Habit => CameraFault::PicturesStale { address, count },
        })
    }
}
