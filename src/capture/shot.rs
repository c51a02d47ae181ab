//! The picture of one instant: from what is decoded already, or by decoding, begun while the frame is on its way.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use super::CaptureError;
use super::engine::{Engine, EngineError};
use super::live_decoder::DecodedPictures;
use crate::media::decode::{self, WantedPicture};
use crate::media::doubt::Doubt;
use crate::media::gop::{AccessUnit, DecodeRun};
use crate::media::lane::Decoded;
use crate::media::verdict::{self, Flaw};
use crate::model::NoPicture;
use crate::source::{FrameRequest, NoFrame, Request};

/// A frame waits this long for a session that is reconnecting. A barrier stays open about eight seconds; a picture
/// taken after five shows the next car.
pub(super) const FRAME_DEADLINE: Duration = Duration::from_secs(5);

/// A picture that is older than the wanted instant by more than this is never passed off as one of it, unless the camera
/// sends its pictures farther apart; a note says how old it is.
const OLDEST: Duration = Duration::from_secs(2);

/// A picture farther from the wanted instant than this comes with a note.
const FAR: Duration = Duration::from_millis(100);

/// How much later a picture is taken in place of one that shows nothing.
const LATER: Duration = Duration::from_millis(300);

/// Times a picture is tried for: the wanted one, the nearest clean one, and once more.
const ATTEMPTS: usize = 3;

/// The same where each picture stands alone, so that the next one may well be whole; a second of 25 frames, and more.
const JPEG_ATTEMPTS: usize = 30;

/// And for so long, because a camera of single pictures takes its time for each.
const JPEG_LIMIT: Duration = Duration::from_secs(2);

/// What is said of a picture that is not whole yet.
const UNCLEAN: &str = "the camera refreshes its pictures a part at a time (intra refresh) and parts of this one are older, \
                       because the connection is new or data was lost; set its I-frame interval to its frame rate and switch \
                       off intra refresh";

/// Who takes the pictures of one camera.
#[derive(Clone)]
pub(super) struct FrameTaker {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) engine: Engine,
    pub(super) pictures: DecodedPictures,
    /// A keyframe so near is near enough.
    pub(super) tolerance: Duration,
}

/// A picture, not yet encoded.
#[derive(Debug)]
pub(super) struct Shot {
    pub(super) picture: WantedPicture,
    /// When it was taken.
    pub(super) instant: Instant,
    /// Until its frame had come.
    pub(super) wait: Duration,
    /// From then until it was decoded.
    pub(super) decode: Duration,
    /// Units decoded, also before.
    pub(super) units: usize,
    /// Why it is not the plain picture of the instant, for people.
    pub(super) note: Option<String>,
}

impl FrameTaker {
    /// The picture taken nearest to `at`.
    pub(super) async fn shot(&self, at: Instant) -> Result<Shot, CaptureError> {
        let early = self.early(&[at]).await?.pop().flatten();
        self.shot_from(at, early).await
    }

    /// What is needed for the pictures of these instants as far as it has come, so that one decoding serves all.
    pub(super) async fn early(&self, instants: &[Instant]) -> Result<Vec<Option<DecodeRun>>, CaptureError> {
        if self.pictures.is_running() {
            return Ok(instants.iter().map(|_| None).collect());
        }
        let mut early = Vec::new();
        for at in instants.iter().copied() {
            let (reply, answer) = oneshot::channel();
            self.requests.send(Request::Begin { at, reply }).await.map_err(|_| CaptureError::Stopping)?;
            early.push(answer.await.map_err(|_| CaptureError::Stopping)?);
        }
        if instants.len() > 1 {
            let wanted = early.iter().flatten().map(|excerpt| (excerpt.wanted_rtp_ns, excerpt.instant));
            self.engine.wish(wanted).await;
        }
        Ok(early)
    }

    /// The picture taken nearest to `at`, with what [`Self::early`] gave for it.
    pub(super) async fn shot_from(
        &self,
        at: Instant,
        early: Option<DecodeRun>,
    ) -> Result<Shot, CaptureError> {
        let began = Instant::now();
        let (excerpt, begun) = self.begin(at, early).await?;
        let mut excerpt = Arc::new(excerpt);
        let wait = began.elapsed();
        let decoding = Instant::now();
        let (mut units, mut trouble, mut flawed) = (begun, None, None);
        for attempt in 1..=JPEG_ATTEMPTS {
            if at.saturating_duration_since(excerpt.instant) > OLDEST.max(excerpt.spacing) {
                let age = at.saturating_duration_since(excerpt.instant);
                let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
                return Err(CaptureError::NoFrame(NoPicture::FrameTooOld { age_ms }));
            }
            let shot = |picture, units, note| Shot {
                picture,
                instant: excerpt.instant,
                wait,
                decode: decoding.elapsed(),
                units,
                note,
            };
            match self.look(&excerpt).await {
                Ok(Seen { picture, units: decoded, flaw }) => {
                    units += decoded;
                    if !excerpt.is_clean() {
                        return Ok(shot(picture, units, Some(UNCLEAN.to_owned())));
                    }
                    let Some(flaw) = flaw else {
                        let note = note(at, excerpt.instant, trouble.as_deref(), excerpt.doubt());
                        let note = with_more(note, excerpt.remark.as_deref());
                        return Ok(shot(picture, units, note));
                    };
                    let is_last = match flaw {
                        Flaw::Grey | Flaw::Flat => flawed.is_some() || attempt >= ATTEMPTS,
                        Flaw::Torn => decoding.elapsed() > JPEG_LIMIT,
                    };
                    let as_it_is = format!("{flaw}, also a moment later; {}", flaw.advice());
                    let as_it_is = with_more(Some(as_it_is), excerpt.doubt());
                    flawed.get_or_insert_with(|| shot(picture, units, as_it_is));
                    trouble = Some(flaw.to_string());
                    if is_last {
                        break;
                    }
                    debug!(%flaw, "another picture is tried");
                    // Grey stands for what is missing, so what follows is spoilt, too; a flat picture may be just that.
                    let next = match flaw {
                        Flaw::Grey | Flaw::Torn => self.without(excerpt.units.last().cloned(), at).await,
                        Flaw::Flat => self.settled(excerpt.instant.max(at) + LATER).await,
                    };
                    match next {
                        Ok(next) => excerpt = Arc::new(next),
                        Err(_) => break,
                    }
                }
                Err(EngineError::Decode(error)) if error.damaged_from().is_some() => {
                    debug!(%error, "the nearest clean picture is tried");
                    let damaged = error.damaged_from().and_then(|i| excerpt.units.get(i)).cloned();
                    trouble = Some(format!("the stream was damaged: {error}"));
                    if attempt >= ATTEMPTS {
                        break;
                    }
                    excerpt = Arc::new(self.without(damaged, at).await?);
                }
                Err(error) => return Err(CaptureError::undecodable(error)),
            }
        }
        flawed.ok_or_else(|| {
            CaptureError::undecodable(trouble.unwrap_or_else(|| "no picture could be decoded".to_owned()))
        })
    }

    /// What is needed for the wanted picture, and how many units were decoded meanwhile: decoding begins with what has
    /// come, while the rest is on its way.
    async fn begin(&self, at: Instant, early: Option<DecodeRun>) -> Result<(DecodeRun, usize), CaptureError> {
        let (begun, stop) = (OnceLock::new(), Arc::new(AtomicBool::new(false)));
        let decode = async {
            let Some(early) = early else { return 0 };
            let Some(first) = early.units.first().filter(|first| !self.is_near_enough(first.instant, at))
            else {
                return 0;
            };
            // Set once, here.
            let _ = begun.set(Arc::clone(&first.data));
            self.engine.begin(early, Arc::clone(&stop)).await
        };
        let wait = async {
            let excerpt = self.settled(at).await;
            let idr = excerpt.as_ref().ok().and_then(|excerpt| excerpt.units.first()).map(|unit| &unit.data);
            // The wanted frame lies in the next group after all.
            if begun.get().zip(idr).is_some_and(|(begun, idr)| !Arc::ptr_eq(begun, idr)) {
                stop.store(true, Ordering::Relaxed);
            }
            excerpt
        };
        let (units, excerpt) = tokio::join!(decode, wait);
        Ok((excerpt?, units))
    }

    /// The same as [`Self::settled`] without a damaged unit and what follows it in its group.
    async fn without(&self, damaged: Option<AccessUnit>, at: Instant) -> Result<DecodeRun, CaptureError> {
        if let Some(unit) = damaged {
            self.requests.send(Request::Damaged(unit)).await.map_err(|_| CaptureError::Stopping)?;
        }
        self.settled(at).await
    }

    /// What is needed for the picture nearest to `at`, once no nearer one can come.
    async fn settled(&self, at: Instant) -> Result<DecodeRun, CaptureError> {
        let (reply, answer) = oneshot::channel();
        let deadline = at.max(Instant::now()) + FRAME_DEADLINE;
        let request = Request::Frame(FrameRequest { at, deadline, reply });
        self.requests.send(request).await.map_err(|_| CaptureError::Stopping)?;
        let mut excerpt = match answer.await {
            Ok(Ok(excerpt)) => excerpt,
            Ok(Err(NoFrame(reason))) => {
                return Err(CaptureError::NoFrame(NoPicture::NoFrame { detail: reason }));
            }
            Err(_) => return Err(CaptureError::Stopping),
        };
        if let Some(first) = excerpt.units.first().filter(|first| self.is_near_enough(first.instant, at)) {
            (excerpt.wanted_rtp_ns, excerpt.instant) = (first.rtp_ns, first.instant);
            excerpt.units.truncate(1);
        }
        Ok(excerpt)
    }

    fn is_near_enough(&self, instant: Instant, at: Instant) -> bool {
        instant.max(at) - instant.min(at) <= self.tolerance && !self.tolerance.is_zero()
    }

    /// The wanted picture of an excerpt, and what is wrong with what it shows.
    async fn look(&self, excerpt: &Arc<DecodeRun>) -> Result<Seen, EngineError> {
        if let Some(jpeg) = decode::ready_made(excerpt) {
            let jpeg = Arc::new(jpeg);
            let looked_at = Arc::clone(&jpeg);
            // Whatever became of the look, the picture is one.
            let flaw = self.engine.aside(move || verdict::flaw_of_jpeg(&looked_at)).await.ok().flatten();
            return Ok(Seen { picture: WantedPicture::Jpeg(Arc::unwrap_or_clone(jpeg)), units: 0, flaw });
        }
        let decoded = self.decode(excerpt).await?;
        let flaw = verdict::flaw(&decoded.frame);
        Ok(Seen { picture: WantedPicture::Frame(decoded.frame), units: decoded.units, flaw })
    }

    async fn decode(&self, excerpt: &Arc<DecodeRun>) -> Result<Decoded, EngineError> {
        if self.pictures.is_running()
            && let Some(frame) = self.pictures.find(excerpt).await
        {
            return Ok(Decoded { frame, units: 0 });
        }
        self.engine.picture(excerpt).await
    }
}

/// A picture that was had, good or not.
struct Seen {
    picture: WantedPicture,
    /// Units decoded for it.
    units: usize,
    flaw: Option<Flaw>,
}

/// Why a picture is not the plain one of the wanted instant, if it is not.
fn note(at: Instant, instant: Instant, trouble: Option<&str>, doubt: Option<Doubt>) -> Option<String> {
    let distance = instant.max(at) - instant.min(at);
    let side = if instant < at { "before" } else { "after" };
    let ms = distance.as_millis();
    let note = match trouble {
        Some(trouble) => {
            Some(format!("{trouble}; this is the nearest good picture, {ms} ms {side} the wanted instant"))
        }
        None if distance > FAR => {
            Some(format!("no frame came nearer to the wanted instant; this one was taken {ms} ms {side} it"))
        }
        None => None,
    };
    with_more(note, doubt)
}

/// A note with what else is to be said.
pub(super) fn with_more(note: Option<String>, more: Option<impl Display>) -> Option<String> {
    match (note, more) {
        (Some(note), Some(more)) => Some(format!("{note}; {more}")),
        (note, more) => note.or_else(|| more.map(|more| more.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::doubt::DoubtCause;

    #[test]
    fn a_time_that_is_not_sure_is_noted_beside_what_else_there_is() {
        let at = Instant::now();
        let doubt = |cause| Some(Doubt { cause, within: Duration::from_millis(43) });
        assert_eq!(note(at, at, None, None), None);
        assert_eq!(
            note(at, at, None, doubt(DoubtCause::Arrival)).unwrap(),
            "the camera's time stamps are no clock, so the time is that of arrival, right to about 50 ms"
        );
        let both = note(at, at + Duration::from_millis(150), None, doubt(DoubtCause::Scaled)).unwrap();
        assert!(both.contains("150 ms after it; the camera's time stamps run at another pace"), "{both}");
    }
}
