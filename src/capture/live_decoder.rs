//! Decoding while frames arrive: for cameras that are hot, and for whoever watches live. One decode serves all.
//!
//! It also measures, once per stream, which decoder is best, and says what that means for a trigger.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::budget::Budget;
use super::engine::Engine;
use super::measure;
use crate::config::{CameraConfig, DecodeMode, SourceConfig};
use crate::media::footprint::{self, Footprint, KEPT_BYTES_MAX};
use crate::media::frame::Frame;
use crate::media::gop::{self, Codec, DecodeRun, UnitRange};
use crate::media::lane::Stamp;
use crate::model::CameraKey;
use crate::source::{Arrival, Request, Watch};
use crate::status::{Status, StreamInfo};
use crate::system::memory;

/// Decoded pictures kept while it runs, as far as [`KEPT_BYTES_MAX`] allows: a trigger comes a debounce time after its
/// instant.
const KEPT: usize = 10;

/// As many are kept however large they are: the newest one, and that before it for an instant between them.
const KEPT_MIN: usize = 2;

/// How long a trigger waits for the live decoder to have decoded its frame before it decodes by itself.
const FIND_LIMIT: Duration = Duration::from_millis(250);

/// So many seconds behind, it goes on with the next keyframe.
const BEHIND_LIMIT: f64 = 2.0;

/// Mode auto keeps a camera hot only if a cold picture would take longer than this on average.
const SLOW: Duration = Duration::from_millis(500);

/// A stream is decoded on one core; above this share of it there is no room for anything else.
const ONE_CORE: f64 = 0.9;

/// Pieces of a stream that are tried before a decoder that hides damage is believed.
const TRIES: u32 = 8;

/// Units of a group that never begins anew (periodic intra refresh), until its oldest are forgotten.
const LONGEST: usize = 800;

/// How long the length of a group is waited for.
const GROUP_LIMIT: Duration = Duration::from_secs(12);

/// A decoded picture of the stream.
#[derive(Clone, Debug)]
pub struct LiveFrame {
    /// RTP time in nanoseconds since the session began.
    pub rtp_ns: i64,
    /// When it was taken.
    pub instant: Instant,
    /// The picture.
    pub frame: Arc<Frame>,
}

/// A handle on the pictures of a live decoder.
#[derive(Clone)]
pub(super) struct DecodedPictures(Arc<Shared>);

struct Shared {
    newest: watch::Sender<Option<Arc<LiveFrame>>>,
    recent: Mutex<VecDeque<Arc<LiveFrame>>>,
    armed_until: Mutex<Option<Instant>>,
    wake: Notify,
}

/// The decoding task of one camera.
pub struct LiveDecoder {
    key: CameraKey,
    mode: DecodeMode,
    engine: Engine,
    requests: mpsc::Sender<Request>,
    pictures: DecodedPictures,
    budget: Budget,
    status: Status,
    is_hot: bool,
    is_measured: bool,
    tries: u32,
    /// What decoding its stream takes.
    footprint: Footprint,
}

impl DecodedPictures {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            newest: watch::Sender::new(None),
            recent: Mutex::default(),
            armed_until: Mutex::default(),
            wake: Notify::new(),
        }))
    }

    /// Keeps the camera hot until then.
    pub(super) fn arm(&self, until: Instant) {
        *self.0.armed_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        self.0.wake.notify_one();
    }

    /// The newest picture, for as long as the receiver lives.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Arc<LiveFrame>>> {
        let receiver = self.0.newest.subscribe();
        self.0.wake.notify_one();
        receiver
    }

    /// Whether pictures are decoded as they arrive.
    pub(super) fn is_running(&self) -> bool {
        self.0.newest.borrow().is_some()
    }

    /// The wanted picture of an excerpt if it is decoded, or will be in a moment.
    pub(super) async fn find(&self, excerpt: &DecodeRun) -> Option<Arc<Frame>> {
        let mut newest = self.0.newest.subscribe();
        let found = tokio::time::timeout(FIND_LIMIT, async {
            loop {
                {
                    let recent = self.0.recent.lock().unwrap_or_else(PoisonError::into_inner);
                    let is_wanted = |picture: &&Arc<LiveFrame>| {
                        (picture.rtp_ns, picture.instant) == (excerpt.wanted_rtp_ns, excerpt.instant)
                    };
                    if let Some(picture) = recent.iter().find(is_wanted) {
                        return Some(Arc::clone(&picture.frame));
                    }
                    // It has passed, or there is none at all.
                    if recent.back().is_none_or(|last| last.instant > excerpt.instant) {
                        return None;
                    }
                }
                newest.changed().await.ok()?;
            }
        });
        found.await.ok().flatten()
    }

    fn is_wanted(&self) -> bool {
        let armed = *self.0.armed_until.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.newest.receiver_count() > 0 || armed.is_some_and(|until| until > Instant::now())
    }

    fn show(&self, pictures: impl Iterator<Item = LiveFrame>) {
        let mut newest = None;
        {
            let mut recent = self.0.recent.lock().unwrap_or_else(PoisonError::into_inner);
            for picture in pictures {
                let picture = Arc::new(picture);
                recent.push_back(Arc::clone(&picture));
                while recent.len() > KEPT_MIN && is_too_much(&recent) {
                    recent.pop_front();
                }
                newest = Some(picture);
            }
        }
        if newest.is_some() {
            self.0.newest.send_replace(newest);
        }
    }

    fn clear(&self) {
        self.0.recent.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.0.newest.send_replace(None);
    }
}

/// Whether more pictures are kept than may be.
fn is_too_much(recent: &VecDeque<Arc<LiveFrame>>) -> bool {
    recent.len() > KEPT || recent.iter().map(|picture| picture.frame.bytes()).sum::<usize>() > KEPT_BYTES_MAX
}

impl LiveDecoder {
    pub(super) fn new(
        camera: &CameraConfig,
        engine: Engine,
        requests: mpsc::Sender<Request>,
        pictures: DecodedPictures,
        budget: Budget,
        status: Status,
    ) -> Self {
        let (key, mode) = (camera.key.clone(), camera.engine.mode);
        let is_hot = mode == DecodeMode::Hot;
        // Single pictures need no decoder, and a camera that is asked for them is left alone otherwise.
        let is_measured = matches!(camera.source, Some(SourceConfig::Snapshot(_) | SourceConfig::Slot(_)));
        Self {
            key,
            mode,
            engine,
            requests,
            pictures,
            budget,
            status,
            is_hot,
            is_measured,
            tries: 0,
            footprint: Footprint::default(),
        }
    }

    /// The camera's key.
    pub fn key(&self) -> &CameraKey {
        &self.key
    }

    /// Decodes while someone wants it, until cancelled.
    pub async fn run(&mut self, cancel: &CancellationToken) {
        let pictures = self.pictures.clone();
        loop {
            if !self.is_measured {
                tokio::select! {
                    () = cancel.cancelled() => return,
                    () = self.measure() => {}
                    // Whoever wants pictures now does not wait for the best decoder.
                    () = pictures.0.wake.notified() => {}
                }
            }
            if self.is_hot || pictures.is_wanted() {
                self.say(true, false);
                tokio::select! {
                    () = cancel.cancelled() => return,
                    () = self.decode() => {}
                }
                pictures.clear();
                self.engine.rest();
                self.say(false, false);
            } else if self.is_measured {
                tokio::select! {
                    () = cancel.cancelled() => return,
                    () = pictures.0.wake.notified() => {}
                }
            }
        }
    }

    /// Decodes what arrives until nobody wants it.
    async fn decode(&mut self) {
        let Some(Watch { begin, mut units }) = self.watch().await else { return };
        let mut group = begin.map(|stretch| Group { codec: stretch.codec, units: stretch.units, shown: 0 });
        let mut is_behind = false;
        loop {
            let arrived = tokio::select! {
                arrived = units.recv(), if group.as_ref().is_none_or(Group::is_shown) => Some(arrived),
                () = std::future::ready(()), if group.as_ref().is_some_and(|group| !group.is_shown()) => None,
            };
            match arrived {
                Some(Ok(arrival)) => Group::take(&mut group, arrival),
                Some(Err(RecvError::Lagged(_))) => group = None,
                Some(Err(RecvError::Closed)) => return,
                None => {}
            }
            loop {
                match units.try_recv() {
                    Ok(arrival) => Group::take(&mut group, arrival),
                    Err(TryRecvError::Lagged(_)) => group = None,
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            if !(self.is_hot || self.pictures.is_wanted()) {
                return;
            }
            let Some(current) = &mut group else { continue };
            if current.behind().as_secs_f64() > BEHIND_LIMIT && current.shown > 0 {
                if !is_behind {
                    warn!(camera = %self.key, "decoding cannot keep up with the stream");
                    self.say(true, true);
                }
                (is_behind, group) = (true, None);
                continue;
            }
            if current.codec == Codec::Jpeg || current.is_shown() {
                current.shown = current.units.len();
                continue;
            }
            let Some(excerpt) = current.excerpt() else { continue };
            match self.engine.follow(excerpt).await {
                Ok(shown) => {
                    let clean_from = current.clean_from();
                    let is_clean =
                        |((rtp_ns, _), _): &(Stamp, _)| clean_from.is_some_and(|from| *rtp_ns >= from);
                    let shown: Vec<_> = shown.into_iter().filter(is_clean).collect();
                    let live = |((rtp_ns, instant), frame)| LiveFrame { rtp_ns, instant, frame };
                    self.pictures.show(shown.into_iter().map(live));
                    current.shown = current.units.len();
                }
                Err(error) => {
                    debug!(camera = %self.key, %error, "damaged; going on with the next keyframe");
                    group = None;
                }
            }
        }
    }

    /// Lets every decoder show what it can on the camera's own stream.
    async fn measure(&mut self) {
        let Some(stretch) = self.stretch().await else { return std::future::pending().await };
        let Some(sample) = measure::sample(stretch) else { return };
        let (codec, kinds) = (sample.codec, self.engine.kinds(&sample));
        let others = kinds.iter().any(|kind| !kind.hides_damage());
        self.footprint = sample
            .units
            .first()
            .and_then(|first| footprint::of(codec, &first.data).ok().flatten())
            .unwrap_or_default();
        let Ok(room) = self.engine.room_for(codec, &sample.units).await else {
            // Measuring would take what triggers need: such a stream is decoded by the decoder named first.
            self.is_measured = true;
            return;
        };
        let best = self.engine.aside(move || {
            let _room = room;
            let best = measure::best(&sample, &kinds);
            memory::give_back();
            best
        });
        let best = best.await.ok().flatten();
        self.tries += 1;
        // Where only one that hides damage understood the piece, the piece was damaged, or the stream is one of that
        // kind throughout.
        if others && self.tries < TRIES && best.is_none_or(|best| best.kind.hides_damage()) {
            return;
        }
        if let Some(best) = &best {
            self.engine.choose(best.kind);
        }
        // A trigger does not wait for the advice, and neither does what is to be decoded as it arrives.
        let stream = if self.is_hot { self.stream_info() } else { self.group_length().await };
        self.is_measured = true;
        match best {
            Some(best) => self.decide(&best, stream.as_ref()),
            None if codec == Codec::Jpeg => {}
            None => warn!(camera = %self.key, "no decoder understands this stream"),
        }
    }

    /// Twelve units from a keyframe on.
    async fn stretch(&self) -> Option<UnitRange> {
        let Watch { begin, mut units } = self.watch().await?;
        // The group before was of no use.
        let mut stretch = begin.filter(|_| self.tries == 0);
        loop {
            if let Some(stretch) = &mut stretch
                && (stretch.units.len() >= measure::MEASURED || stretch.codec == Codec::Jpeg)
            {
                return Some(stretch.clone());
            }
            match units.recv().await {
                Ok(Arrival { codec, unit }) if unit.is_start() => {
                    // Groups shorter than the sample are measured whole.
                    if let Some(short) = stretch.take() {
                        return Some(short);
                    }
                    stretch = Some(UnitRange { codec, units: vec![unit] });
                }
                Ok(Arrival { unit, .. }) => {
                    if let Some(stretch) = &mut stretch {
                        stretch.units.push(unit);
                    }
                }
                Err(RecvError::Lagged(_)) => stretch = None,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn stream_info(&self) -> Option<StreamInfo> {
        self.status.camera(&self.key).and_then(|camera| camera.stream)
    }

    async fn group_length(&self) -> Option<StreamInfo> {
        let stream = || self.stream_info();
        let mut changes = self.status.subscribe();
        let known = tokio::time::timeout(GROUP_LIMIT, async {
            while stream().is_none_or(|stream| stream.gop_frames.is_none()) {
                if matches!(changes.recv().await, Err(RecvError::Closed)) {
                    return;
                }
            }
        });
        // Without it the advice says less.
        let _ = known.await;
        stream()
    }

    /// What the measured decoder means for this camera.
    fn decide(&mut self, best: &measure::Best, stream: Option<&StreamInfo>) {
        if self.mode == DecodeMode::Auto {
            let share = best.share(stream);
            let is_slow = best.times(stream).is_none_or(|(mean, _)| mean > SLOW);
            self.is_hot =
                is_slow && share < ONE_CORE && self.budget.reserve(&self.key, share, self.footprint.total());
        }
        let decoding = best.decoding(stream, self.is_hot);
        info!(
            camera = %self.key,
            decoder = decoding.decoder,
            ms_per_frame = decoding.ms_per_frame,
            encode_ms = decoding.encode_ms,
            hot = decoding.is_hot,
            "decoder chosen"
        );
        self.status.update_camera(&self.key, |camera| camera.decoding = Some(decoding));
    }

    /// Says whether the camera is hot, and whether that is too much.
    fn say(&self, is_hot: bool, is_behind: bool) {
        self.status.update_camera(&self.key, |camera| {
            if let Some(decoding) = &mut camera.decoding {
                (decoding.is_hot, decoding.is_behind) = (is_hot, is_behind);
            }
        });
    }

    async fn watch(&self) -> Option<Watch> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Watch { reply }).await.ok()?;
        answer.await.ok()
    }
}

/// The current group while it grows.
struct Group {
    codec: Codec,
    units: Vec<gop::AccessUnit>,
    /// Units already decoded.
    shown: usize,
}

impl Group {
    fn take(group: &mut Option<Self>, Arrival { codec, unit }: Arrival) {
        match group {
            // Where pictures are refreshed a part at a time, a group goes on, or it would begin with one that is not whole.
            Some(group) if unit.starts != Some(0) => {
                group.units.push(unit);
                group.shorten();
            }
            _ if unit.is_start() => *group = Some(Self { codec, units: vec![unit], shown: 0 }),
            _ => {}
        }
    }

    /// Begins later, where what is newest is whole as well, when there have come too many units.
    fn shorten(&mut self) {
        if self.units.len() < LONGEST || !self.units.len().is_multiple_of(LONGEST / 8) {
            return;
        }
        let bases = gop::bases(self.units.iter().map(|unit| (unit, true)));
        if let Some(base) = bases.last().copied().flatten().filter(|base| *base > 0) {
            self.units.drain(..base);
            // All from there on is decoded anew.
            self.shown = 0;
        }
    }

    /// RTP time from which pictures are whole.
    fn clean_from(&self) -> Option<i64> {
        let bases = gop::bases(self.units.iter().map(|unit| (unit, true)));
        self.units.iter().zip(bases).find(|(_, base)| base.is_some()).map(|(unit, _)| unit.rtp_ns)
    }

    fn is_shown(&self) -> bool {
        self.shown == self.units.len()
    }

    /// From the last unit decoded to the newest.
    fn behind(&self) -> Duration {
        let shown = self.units.get(self.shown.saturating_sub(1));
        let (Some(shown), Some(newest)) = (shown, self.units.last()) else { return Duration::ZERO };
        newest.instant.saturating_duration_since(shown.instant)
    }

    fn excerpt(&self) -> Option<DecodeRun> {
        let newest = self.units.last()?;
        Some(DecodeRun {
            codec: self.codec,
            units: self.units.clone(),
            wanted_rtp_ns: newest.rtp_ns,
            instant: newest.instant,
            remark: None,
            spacing: Duration::ZERO,
        })
    }
}
