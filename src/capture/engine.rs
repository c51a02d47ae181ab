//! A camera's decoding: one lane, worked on by the worker threads, with whichever decoder is best for its stream.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;
use tracing::{debug, error};

use crate::config::DecoderChoice;
use crate::media::decode::DecodeError;
use crate::media::decoder::{DecoderKind, DecoderPolicy};
use crate::media::frame::Frame;
use crate::media::gop::{AccessUnit, Codec, Excerpt, Stretch};
use crate::media::lane::{Decoded, Lane, Stamp};
use crate::media::native::memory;
use crate::workers::Workers;

/// A decoder that has not come back by then is stuck. A group of 250 frames takes 25 s on the smallest Pi.
const DECODE_LIMIT: Duration = Duration::from_secs(60);

/// A handle on the decoding of one camera. Work is done in the order in which it was asked for.
#[derive(Clone)]
pub(super) struct Engine {
    policy: DecoderPolicy,
    workers: Workers,
    lane: Arc<Mutex<Arc<AsyncMutex<Lane>>>>,
    chosen: Arc<Mutex<Option<DecoderKind>>>,
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
    /// The work did not end, or panicked.
    #[error("{0}")]
    Broken(String),
}

impl Engine {
    pub(super) fn new(choice: DecoderChoice, workers: Workers) -> Self {
        Self { policy: policy(choice), workers, lane: Arc::default(), chosen: Arc::default() }
    }

    /// The same decoders on a lane of its own.
    pub(super) fn beside(&self) -> Self {
        Self { lane: Arc::default(), ..self.clone() }
    }

    /// The decoders for a stream, the best one first.
    pub(super) fn kinds(&self, excerpt: &Excerpt) -> Vec<DecoderKind> {
        self.kinds_of(excerpt.codec, &excerpt.units)
    }

    /// The best decoder for a stretch; `None` for JPEG.
    pub(super) fn kind(&self, stretch: &Stretch) -> Option<DecoderKind> {
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
    fn trusted(&self, excerpt: &Excerpt) -> Vec<DecoderKind> {
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

    /// Decodes ahead; see [`Lane::begin`]. Returns the units decoded.
    pub(super) async fn begin(&self, excerpt: Excerpt, stop: Arc<AtomicBool>) -> usize {
        let Some(kind) = self.trusted(&excerpt).first().copied() else { return 0 };
        // What goes wrong will go wrong again, and be told, when the picture is asked for.
        self.run(move |lane| lane.begin(&excerpt, kind, &stop)).await.unwrap_or(0)
    }

    /// Remembers pictures that will be asked for; see [`Lane::wish`].
    pub(super) async fn wish(&self, pictures: impl Iterator<Item = Stamp>) {
        let lane = self.lane();
        let mut lane = lane.lock().await;
        pictures.for_each(|picture| lane.wish(picture));
    }

    /// The wanted picture. A decoder that does not understand the stream is followed by the next one that may.
    pub(super) async fn picture(&self, excerpt: &Arc<Excerpt>) -> Result<Decoded, EngineError> {
        let mut first_error = None;
        for kind in self.trusted(excerpt) {
            let excerpt = Arc::clone(excerpt);
            match self.run(move |lane| lane.picture(&excerpt, kind)).await? {
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
        Err(first_error.unwrap_or(DecodeError::NotShown { shown: 0, total: 0 }).into())
    }

    /// What is new in an excerpt that grows; see [`Lane::follow`].
    pub(super) async fn follow(&self, excerpt: Excerpt) -> Result<Vec<(Stamp, Arc<Frame>)>, EngineError> {
        let Some(kind) = self.trusted(&excerpt).first().copied() else { return Ok(Vec::new()) };
        Ok(self.run(move |lane| lane.follow(&excerpt, kind)).await??)
    }

    /// Gives the decoder's memory back, unless it is at work.
    pub(super) fn rest(&self) {
        if let Ok(mut lane) = self.lane().try_lock() {
            lane.rest();
            memory::give_back();
        }
    }

    /// Does something on the worker threads that needs no lane.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        self.workers.run(work).await.map_err(|failed| EngineError::Broken(failed.to_string()))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Lane) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let mut lane = self.lane().lock_owned().await;
        match timeout(DECODE_LIMIT, self.workers.run(move || work(&mut lane))).await {
            Ok(done) => done.map_err(|failed| EngineError::Broken(failed.to_string())),
            Err(_) => {
                error!("a decoder is stuck; it is left behind with its thread");
                *self.lane.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
                self.workers.replace_one();
                Err(EngineError::Broken(format!(
                    "the decoder did not come back within {} s",
                    DECODE_LIMIT.as_secs()
                )))
            }
        }
    }

    fn lane(&self) -> Arc<AsyncMutex<Lane>> {
        Arc::clone(&self.lane.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
