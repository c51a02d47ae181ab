//! A camera's decoding: one lane, worked on by the worker threads, with whichever decoder is best for its stream.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;
use tracing::{debug, error};

use super::room::{AtWork, DecoderRoom, DecoderSeat, NoRoom};
use crate::capture::workers::Workers;
use crate::config::DecoderChoice;
use crate::media::decode_error::DecodeError;
use crate::media::decoder::{DecoderKind, DecoderPolicy};
use crate::media::footprint::{self, Footprint};
use crate::media::frame::Frame;
use crate::media::gop::{AccessUnit, Codec, DecodeRun, UnitRange};
use crate::media::lane::{DecodeSession, Decoded, Stamp};
use crate::system::memory;

/// A decoder that has not come back by then is stuck. A group of 250 frames takes 25 s on the smallest Pi.
const DECODE_LIMIT: Duration = Duration::from_secs(60);

/// A handle on the decoding of one camera. Work is done in the order in which it was asked for.
#[derive(Clone)]
pub(super) struct Engine {
    policy: DecoderPolicy,
    workers: Workers,
    lane: Arc<Mutex<Place>>,
    chosen: Arc<Mutex<Option<DecoderKind>>>,
    room: DecoderRoom,
}

/// A lane and its part of the memory; work that is stuck is left behind with both.
#[derive(Clone)]
struct Place {
    lane: Arc<AsyncMutex<DecodeSession>>,
    seat: Arc<DecoderSeat>,
}

/// What a lane is worked on for.
#[derive(Clone, Copy)]
enum Purpose {
    /// A picture that is asked for in a moment, by this decoder.
    Begin(DecoderKind),
    /// A picture, by this decoder.
    Picture(DecoderKind),
    /// Every picture as it comes: threads would hold some back.
    Follow,
}

/// The configured choice, for the decoders.
pub(super) fn policy(choice: DecoderChoice) -> DecoderPolicy {
    match choice {
        DecoderChoice::Auto => DecoderPolicy::Auto,
        DecoderChoice::OpenH264 => DecoderPolicy::OpenH264,
        DecoderChoice::Libavcodec => DecoderPolicy::Libavcodec,
        DecoderChoice::Rust => DecoderPolicy::Rust,
    }
}

/// There is no picture.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum EngineError {
    /// What the decoder said.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// Other cameras' decoding has the memory.
    #[error("{0}")]
    NoRoom(#[from] NoRoom),
    /// The work did not end, or panicked.
    #[error("{0}")]
    Broken(String),
}

impl Engine {
    pub(super) fn new(choice: DecoderChoice, workers: Workers, room: DecoderRoom) -> Self {
        let lane = Arc::new(Mutex::new(Place::new(&room)));
        Self { policy: policy(choice), workers, lane, chosen: Arc::default(), room }
    }

    /// The same decoders on a lane of its own.
    pub(super) fn beside(&self) -> Self {
        Self { lane: Arc::new(Mutex::new(Place::new(&self.room))), ..self.clone() }
    }

    /// The decoders for a stream, the best one first.
    pub(super) fn kinds(&self, excerpt: &DecodeRun) -> Vec<DecoderKind> {
        self.kinds_of(excerpt.codec, &excerpt.units)
    }

    /// The best decoder for a stretch; `None` for JPEG.
    pub(super) fn kind(&self, stretch: &UnitRange) -> Option<DecoderKind> {
        self.kinds_of(stretch.codec, &stretch.units).first().copied()
    }

    fn kinds_of(&self, codec: Codec, units: &[AccessUnit]) -> Vec<DecoderKind> {
        let Some(first) = units.first() else { return Vec::new() };
        let mut kinds = DecoderKind::candidates(codec, &first.data, self.policy);
        let chosen = self.chosen();
        // False stands before true, and equals stay in their order.
        kinds.sort_by_key(|kind| Some(*kind) != chosen);
        kinds
    }

    /// The decoders that a picture may come from: one that hides damage only if no other understands the stream.
    fn trusted(&self, excerpt: &DecodeRun) -> Vec<DecoderKind> {
        let mut kinds = self.kinds(excerpt);
        let is_proven = kinds.first().is_some_and(|kind| kind.hides_damage() && Some(*kind) == self.chosen());
        if !is_proven && kinds.iter().any(|kind| !kind.hides_damage()) {
            kinds.retain(|kind| !kind.hides_damage());
        }
        kinds
    }

    fn chosen(&self) -> Option<DecoderKind> {
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prefers a decoder from now on.
    pub(super) fn choose(&self, kind: DecoderKind) {
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = Some(kind);
    }

    /// Decodes ahead; see [`DecodeSession::begin`]. Returns the units decoded.
    pub(super) async fn begin(&self, excerpt: DecodeRun, stop: Arc<AtomicBool>) -> usize {
        let Some(kind) = self.trusted(&excerpt).first().copied() else { return 0 };
        // What goes wrong will go wrong again, and be told, when the picture is asked for.
        let Ok(footprint) = weight(excerpt.codec, &excerpt.units) else { return 0 };
        let begin = move |lane: &mut DecodeSession, threads| lane.begin(&excerpt, kind, threads, &stop);
        self.run(footprint, Purpose::Begin(kind), begin).await.unwrap_or(0)
    }

    /// Remembers pictures that will be asked for; see [`DecodeSession::wish`].
    pub(super) async fn wish(&self, pictures: impl Iterator<Item = Stamp>) {
        let lane = self.place().lane;
        let mut lane = lane.lock().await;
        pictures.for_each(|picture| lane.wish(picture));
    }

    /// The wanted picture. A decoder that does not understand the stream is followed by the next one that may.
    pub(super) async fn picture(&self, excerpt: &Arc<DecodeRun>) -> Result<Decoded, EngineError> {
        let mut first_error = None;
        let footprint = weight(excerpt.codec, &excerpt.units)?;
        for kind in self.trusted(excerpt) {
            let excerpt = Arc::clone(excerpt);
            let picture = move |lane: &mut DecodeSession, threads| lane.picture(&excerpt, kind, threads);
            match self.run(footprint, Purpose::Picture(kind), picture).await? {
                Ok(decoded) => return Ok(decoded),
                // It understands the stream, so this is damage, whatever another one would make of it.
                Err(error)
                    if error.damaged_from().is_some_and(|unit| unit > 0 || self.chosen() == Some(kind)) =>
                {
                    return Err(error.into());
                }
                Err(error) => {
                    debug!(decoder = kind.as_str(), %error, "refused");
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or_else(|| DecodeError::no_decoder(excerpt)).into())
    }

    /// What is new in an excerpt that grows; see [`DecodeSession::follow`].
    pub(super) async fn follow(&self, excerpt: DecodeRun) -> Result<Vec<(Stamp, Arc<Frame>)>, EngineError> {
        let Some(kind) = self.trusted(&excerpt).first().copied() else { return Ok(Vec::new()) };
        let footprint = weight(excerpt.codec, &excerpt.units)?;
        Ok(self.run(footprint, Purpose::Follow, move |lane, _| lane.follow(&excerpt, kind)).await??)
    }

    /// Gives the decoder's memory back, unless it is at work.
    pub(super) fn rest(&self) {
        let Place { lane, seat } = self.place();
        if let Ok(mut lane) = lane.try_lock() {
            lane.rest();
            seat.leave();
            memory::give_back();
        }
    }

    /// Room for decoding a piece of a stream that no trigger waits for, until the value is dropped.
    pub(super) async fn room_for(&self, codec: Codec, units: &[AccessUnit]) -> Result<AtWork, EngineError> {
        Ok(self.room.beside(weight(codec, units)?.total()).await?)
    }

    /// Does something on the worker threads that needs no lane.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        self.workers.run(work).await.map_err(|failed| EngineError::Broken(failed.to_string()))
    }

    /// Does something with the lane, and with as many threads as there are cores and memory for.
    async fn run<T: Send + 'static>(
        &self,
        footprint: Footprint,
        purpose: Purpose,
        work: impl FnOnce(&mut DecodeSession, usize) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let Place { lane, seat } = self.place();
        let mut held = Arc::clone(&lane).lock_owned().await;
        let bytes = footprint.with_threads(held.threads());
        let at_work = seat.take(bytes, &Arc::downgrade(&lane), || held.rest()).await?;
        let workers = self.workers.clone();
        let work = move || {
            // Only now is it known who else is at work.
            let crew = match purpose {
                Purpose::Begin(kind) | Purpose::Picture(kind) => kind.crew(workers.cores()),
                Purpose::Follow => 1,
            };
            let most = crew.max(held.threads());
            let threads = if at_work.resize(footprint.with_threads(most)) { crew } else { 1 };
            let done = work(&mut held, threads);
            at_work.resize(footprint.with_threads(held.threads()));
            if matches!(purpose, Purpose::Begin(_)) {
                at_work.begins();
            }
            drop(held);
            drop(at_work);
            done
        };
        match timeout(DECODE_LIMIT, self.workers.run(work)).await {
            Ok(done) => done.map_err(|failed| EngineError::Broken(failed.to_string())),
            Err(_) => {
                error!("a decoder is stuck; it is left behind with its thread");
                *self.lane.lock().unwrap_or_else(PoisonError::into_inner) = Place::new(&self.room);
                self.workers.replace_one();
                Err(EngineError::Broken(format!(
                    "the decoder did not come back within {} s",
                    DECODE_LIMIT.as_secs()
                )))
            }
        }
    }

    fn place(&self) -> Place {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Place {
    fn new(room: &DecoderRoom) -> Self {
        Self { lane: Arc::default(), seat: Arc::new(room.seat()) }
    }
}

/// What decoding these units takes, of which the first one announces it; an error when it is more than there is.
fn weight(codec: Codec, units: &[AccessUnit]) -> Result<Footprint, DecodeError> {
    let announced = units.first().map_or(Ok(None), |first| footprint::of(codec, &first.data))?;
    Ok(announced.unwrap_or_default())
}
