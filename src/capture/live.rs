//! Pictures for whoever looks, while they come: the live decoder decodes them once for all, here each is encoded once.
//!
//! Each viewer takes the newest picture when it is ready for one, so a slow one misses some and holds nobody up. Viewers
//! who want the same rate and size are shown the same pictures, and whoever comes first has one encoded. While no
//! [`LivePictures`] exists, none is decoded on its account.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OnceCell, watch};

use super::{CaptureError, Captures, LiveFrame};
use crate::capture::workers::Workers;
use crate::media::gop::Codec;
use crate::media::jpeg;
use crate::model::CameraKey;

pub use crate::source::{Arrival, UnitWatcher, Watch};

/// Encoded pictures kept for other viewers: the two newest ones in two sizes each.
const ENCODED_MAX: usize = 4;

/// How pictures are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// At most so many a second, at least 1.
    pub fps: u8,
    /// At most so many pixels wide. Pictures that a camera sends as JPEG stay as they are.
    pub width: u16,
}

/// One camera's encoded pictures.
#[derive(Debug)]
pub(super) struct JpegCache {
    /// Viewers count shares of a second from here, so that they want the same pictures.
    epoch: Instant,
    encoded: Mutex<VecDeque<Encoded>>,
}

/// A picture in one size, encoded or being so.
#[derive(Debug)]
struct Encoded {
    /// It is known again by this, and not kept for it.
    frame: Weak<LiveFrame>,
    factor: usize,
    jpeg: Arc<OnceCell<Option<Bytes>>>,
}

/// One viewer's pictures. While one exists, the camera's stream is decoded, unless it is JPEG.
pub struct LivePictures {
    studio: Arc<JpegCache>,
    workers: Workers,
    frames: watch::Receiver<Option<Arc<LiveFrame>>>,
    units: UnitWatcher,
    /// The newest picture of a camera that sends JPEG, before any arrives.
    first: Option<Bytes>,
    /// The share of a second of the last picture.
    last: Option<u128>,
}

impl Captures {
    /// The camera's stream as pictures, decoded while the value lives.
    pub async fn pictures(&self, camera: &CameraKey) -> Result<LivePictures, CaptureError> {
        let Watch { begin, units } = self.watch(camera).await?;
        let newest = begin.filter(|group| group.codec == Codec::Jpeg).and_then(|mut group| group.units.pop());
        let mut frames = self.frames(camera)?;
        frames.mark_changed();
        Ok(LivePictures {
            studio: Arc::clone(&self.mailbox(camera)?.studio),
            workers: self.workers.clone(),
            frames,
            units,
            first: newest.map(|unit| Bytes::from_owner(unit.data)),
            last: None,
        })
    }
}

impl LivePictures {
    /// The next picture as JPEG, the newest at the time; `None` when the program ends. Dropping the future loses at most
    /// that picture.
    pub async fn next(&mut self, wish: Wish) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            let frame = tokio::select! {
                changed = self.frames.changed() => {
                    changed.ok()?;
                    self.frames.borrow_and_update().clone()
                }
                arrived = self.units.recv() => match arrived {
                    Ok(Arrival { codec: Codec::Jpeg, unit }) => {
                        // Of pictures that stand alone the newest is enough.
                        if self.units.is_empty() && self.is_due(unit.instant, wish.fps) {
                            return Some(Bytes::from_owner(unit.data));
                        }
                        continue;
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return None,
                }
            };
            let Some(frame) = frame.filter(|frame| self.is_due(frame.instant, wish.fps)) else { continue };
            let factor = frame.frame.width.div_ceil(usize::from(wish.width.max(1)));
            let place = self.studio.place(&frame, factor);
            let jpeg = place.get_or_init(|| encode(&self.workers, frame, factor)).await.clone();
            if jpeg.is_some() {
                return jpeg;
            }
        }
    }

    /// Whether a picture is the first one of its share of a second.
    fn is_due(&mut self, taken: Instant, fps: u8) -> bool {
        let since = taken.saturating_duration_since(self.studio.epoch);
        let share = since.as_nanos() * u128::from(fps.max(1)) / 1_000_000_000;
        let is_new = self.last != Some(share);
        self.last = Some(share);
        is_new
    }
}

impl Drop for LivePictures {
    fn drop(&mut self) {
        // Each of them holds megabytes; other viewers have another encoded.
        self.studio.encoded.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl JpegCache {
    /// Nothing encoded yet.
    pub(super) fn new() -> Self {
        Self { epoch: Instant::now(), encoded: Mutex::default() }
    }

    /// The place of a picture's JPEG, filled by the first viewer who wants it.
    fn place(&self, frame: &Arc<LiveFrame>, factor: usize) -> Arc<OnceCell<Option<Bytes>>> {
        // Every change leaves the list whole.
        let mut encoded = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        let known = encoded
            .iter()
            .find(|one| one.factor == factor && std::ptr::eq(one.frame.as_ptr(), Arc::as_ptr(frame)));
        if let Some(known) = known {
            return Arc::clone(&known.jpeg);
        }
        let jpeg = Arc::<OnceCell<_>>::default();
        encoded.push_back(Encoded { frame: Arc::downgrade(frame), factor, jpeg: Arc::clone(&jpeg) });
        if encoded.len() > ENCODED_MAX {
            encoded.pop_front();
        }
        jpeg
    }
}

async fn encode(workers: &Workers, shown: Arc<LiveFrame>, factor: usize) -> Option<Bytes> {
    let work = move || {
        let frame = &shown.frame;
        let jpeg = if factor <= 1 {
            jpeg::encode_live(frame)
        } else {
            jpeg::encode_live(&frame.shrunk(frame.width.div_ceil(factor)))
        };
        jpeg.ok().map(Bytes::from)
    };
    workers.run(work).await.ok().flatten()
}
