//! Cameras that serve single JPEG pictures over HTTP: asked when a picture is wanted, and now and then to know that
//! they are well.
//!
//! There is no past here: a picture is of the instant at which it was asked for, or later. One is asked for at a time;
//! all requests whose instant lies before it share it. A picture that cannot be proven to be taken since
//! (see `freshness.rs`) is thrown away and the next one asked for.

use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::failure::Failure;
pub use super::freshness::Habits;
use super::freshness::{Freshness, Round, Verdict, Why};
use super::picture::{Picture, Pictures};
use super::{Requests, SourceError};
use crate::config::SnapshotConfig;
use crate::media::gop::{AccessUnit, Codec, Excerpt};
use crate::model::{CameraKey, Stamps};
use crate::status::{CameraState, Status, StreamInfo};

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

/// One camera of single pictures.
pub struct Snapshot {
    key: CameraKey,
    pictures: Pictures,
    freshness: Freshness,
    status: Status,
    began: Instant,
    last_asked: Instant,
}

/// What has been seen of a camera, for people.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it wants to know who we are, such as `digest (SHA-256)`; `None` if it does not.
    pub login: Option<String>,
    /// How old its pictures are.
    pub habits: Habits,
}

/// A picture and the instant it shows.
struct Taken {
    picture: Picture,
    instant: Instant,
    /// It serves requests for instants up to here; `None` when nothing is known of its age.
    until: Option<Instant>,
}

impl Snapshot {
    /// Camera `number` with `key`. Nothing is contacted yet.
    pub fn new(number: u8, key: CameraKey, config: SnapshotConfig, status: Status) -> Self {
        let now = Instant::now();
        let freshness = Freshness::new(config.flush);
        let pictures = Pictures::new(number, config);
        Self { key, pictures, freshness, status, began: now, last_asked: now }
    }

    /// What has been seen so far.
    pub fn report(&self) -> Report {
        Report { login: self.pictures.login().map(str::to_owned), habits: self.freshness.habits() }
    }

    /// Asks for a picture at once, then for every request and now and then, until one cannot be had.
    pub async fn serve(&mut self, requests: &mut Requests) -> SourceError {
        let address = self.pictures.address().to_owned();
        let no_stream = format!(
            "the camera at {address} gives single pictures and no stream, so there is none before or after the trigger"
        );
        let mut check_at = Instant::now();
        loop {
            let live_at = requests.is_watched().then(|| self.last_asked + LIVE_PAUSE);
            let wake_at = [requests.earliest(), live_at].into_iter().flatten().fold(check_at, Instant::min);
            tokio::select! {
                _ = requests.next(None) => {
                    requests.refuse_stretches(&no_stream);
                    requests.expire(Instant::now(), "nobody waits for this picture any more");
                    continue;
                }
                () = tokio::time::sleep_until(wake_at.into()) => {}
            }
            let now = Instant::now();
            let wanted = requests.due(now).or((check_at <= now).then_some(now));
            let taken = {
                let taking = self.take(wanted);
                tokio::pin!(taking);
                loop {
                    tokio::select! {
                        taken = &mut taking => break taken,
                        _ = requests.next(None) => {
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
                    if wanted.is_some() {
                        check_at = Instant::now() + CHECK_INTERVAL;
                    }
                    self.show_connected(&taken.picture);
                    self.hand_out(&taken, requests);
                }
                Err(failure) => return failure.into(),
            }
        }
    }

    /// Takes a picture that shows `wanted` or later; any picture if nothing is wanted.
    async fn take(&mut self, wanted: Option<Instant>) -> Result<Taken, Failure> {
        let began = Instant::now();
        let mut round = wanted.map(Round::new);
        let mut is_second_try = false;
        loop {
            let asked = self.pictures.ask().await;
            self.last_asked = Instant::now();
            let picture = match asked {
                Ok(picture) => picture,
                // A camera may close an idle connection at the very moment it is used again, and an ESP32-CAM sends a
                // torn picture now and then.
                Err(failure) if failure.is_passing() && !is_second_try => {
                    debug!(camera = %self.key, reason = %failure.message, "asking again");
                    is_second_try = true;
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            let evidence = picture.evidence;
            let Some(round) = &mut round else {
                self.freshness.note(&evidence);
                return Ok(Taken { picture, instant: evidence.first_byte, until: None });
            };
            match self.freshness.judge(round, &evidence) {
                Verdict::Fresh { instant, until } => {
                    return Ok(Taken { picture, instant, until: Some(until) });
                }
                Verdict::Old(why) => {
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

    fn never_fresh(&self, why: Why, asked: u32) -> Failure {
        let address = self.pictures.address();
        Failure::broken(match why {
            Why::Same => format!(
                "the camera at {address} gave the same picture {asked} times: it is an old one, and was not kept; restart \
                 the camera, or ask its maker for an address that gives a new picture each time"
            ),
            Why::Stamp | Why::Unsettled | Why::Habit => format!(
                "the camera at {address} gave {asked} pictures that were all taken before they were asked for, and none \
                 was kept; set fb_count = 2 and grab_mode = CAMERA_GRAB_LATEST in its firmware"
            ),
        })
    }

    fn hand_out(&self, taken: &Taken, requests: &mut Requests) {
        let since_began = taken.instant.saturating_duration_since(self.began);
        let unit = AccessUnit {
            rtp_ns: i64::try_from(since_began.as_nanos()).unwrap_or(i64::MAX),
            instant: taken.instant,
            data: taken.picture.jpeg.clone(),
            starts: Some(0),
            is_disposable: false,
            missing: 0,
            is_leading: false,
            doubt: None,
        };
        requests.show_alone(Codec::Jpeg, &unit);
        if let Some(until) = taken.until {
            let (instant, wanted_rtp_ns) = (unit.instant, unit.rtp_ns);
            requests.give(until, &Excerpt { codec: Codec::Jpeg, units: vec![unit], wanted_rtp_ns, instant });
        }
    }

    fn show_connected(&self, picture: &Picture) {
        let (width, height) = picture.size;
        let info = StreamInfo {
            codec: "jpeg".to_owned(),
            width,
            height,
            fps: None,
            gop_frames: None,
            jitter_ms: None,
            clock_offset_ms: None,
            stamps: Stamps::Good,
        };
        let Some(was) = self.status.camera(&self.key) else { return };
        let was_away = was.state != CameraState::Connected;
        if !was_away && was.stream.as_ref() == Some(&info) {
            return;
        }
        if was_away {
            info!(codec = info.codec, width, height, "camera connected");
        }
        self.status.update_camera(&self.key, |camera| {
            camera.state = CameraState::Connected;
            camera.last_error = None;
            camera.stream = Some(info);
        });
    }
}
