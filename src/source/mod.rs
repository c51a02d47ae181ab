//! Cameras: where frames come from, and how they are asked for.

mod answer;
pub mod body;
mod camera_clock;
mod certificate;
mod failure;
mod feed;
mod freshness;
pub mod front;
mod lag;
mod latency;
mod picture;
pub mod requests;
pub mod rtp;
pub mod rtsp;
mod rtsp_stream;
mod slot;
pub mod slot_camera;
pub mod snapshot;
mod snapshot_shown;

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::config::{CameraConfig, SourceConfig};
use crate::media::gop::{AccessUnit, Codec, DecodeRun, UnitRange};
use crate::media::shelf::Shelf;
use crate::model::CameraFault;
use crate::status::Status;

pub use feed::UnitWatcher;
pub use latency::{Latency, LatencyOrigin};
pub use requests::Requests;
pub use slot::{SetupError, SlotPictures, StreamAddress, StreamSlot};

/// What can be asked of a camera.
#[derive(Debug)]
pub enum Request {
    /// The frame nearest to an instant, once no nearer one can come.
    Frame(FrameRequest),
    /// What would be needed for an instant as far as it has come, at once, so that decoding can begin while the frame
    /// is on its way. `None` while nothing is buffered.
    Begin {
        /// The instant.
        at: Instant,
        /// Where the answer goes.
        reply: oneshot::Sender<Option<DecodeRun>>,
    },
    /// Word from a decoder that this unit, and so the rest of its group, is damaged and must not be given any more.
    Damaged(AccessUnit),
    /// A stretch of the stream, once all of it has come.
    Stretch(StretchRequest),
    /// The stream from now on.
    Watch {
        /// Where the answer goes.
        reply: oneshot::Sender<Watch>,
    },
}

/// The wish for the frame of one instant.
#[derive(Debug)]
pub struct FrameRequest {
    /// The instant.
    pub at: Instant,
    /// When nobody waits any more.
    pub deadline: Instant,
    /// Where the answer goes; dropped unanswered only when the program ends.
    pub reply: oneshot::Sender<Result<DecodeRun, NoFrame>>,
}

/// The wish for the undecoded stream between two instants.
#[derive(Debug)]
pub struct StretchRequest {
    /// Its begin; the answer starts with the IDR at or before it.
    pub from: Instant,
    /// Its end.
    pub to: Instant,
    /// When nobody waits any more.
    pub deadline: Instant,
    /// Where the answer goes; dropped unanswered only when the program ends.
    pub reply: oneshot::Sender<Result<UnitRange, NoFrame>>,
}

/// A camera's stream while it arrives. It outlives sessions: after a broken one the next unit is an IDR.
#[derive(Debug)]
pub struct Watch {
    /// The current group so far.
    pub begin: Option<UnitRange>,
    /// Every unit after that. A reader that lags behind by more than [`WATCHED`] or [`WATCHED_BYTES`] misses some, is told
    /// so, and goes on with the next IDR.
    pub units: UnitWatcher,
}

/// A unit that has just come.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// How it is coded.
    pub codec: Codec,
    /// The unit.
    pub unit: AccessUnit,
}

/// Units a watcher may lag behind: five seconds at 25 frames a second.
pub const WATCHED: usize = 128;

/// Bytes a watcher may lag behind, five seconds at 25 Mbit/s.
pub const WATCHED_BYTES: usize = 16 << 20;

/// There is no frame of the wanted instant; the text says why, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoFrame(pub String);

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct SourceError {
    /// What was seen, for programs and people.
    pub fault: CameraFault,
    /// Whether trying again soon is pointless or harmful: a wrong password locks many cameras.
    pub is_refusal: bool,
}

/// A camera's connection.
pub enum Source {
    /// A stream that is kept open.
    Rtsp(Box<rtsp::Rtsp>),
    /// Single pictures, asked for one by one.
    Snapshot(Box<snapshot::Snapshot>),
    /// The same of a camera whose address comes while the program runs.
    Slot(Box<slot_camera::SlotCamera>),
}

/// The one camera whose address comes while the program runs, and how often it is asked while somebody looks.
#[derive(Clone)]
pub struct SlotShare {
    /// What it shares with those who set it up and look.
    pub slot: StreamSlot,
    /// Pictures a second.
    pub fps: u8,
}

impl Source {
    /// A source as configured, whose newest pictures lie on the shelf of all cameras; nothing is contacted yet. `None` for a camera without an address.
    /// Nor is there one for a slot without its share.
    pub fn new(
        config: &CameraConfig,
        status: &Status,
        streams: &Shelf,
        share: Option<&SlotShare>,
    ) -> Option<Self> {
        match config.source.as_ref()? {
            SourceConfig::Rtsp(rtsp) => {
                let earliest = config.offsets_ms.iter().copied().min().unwrap_or(0).min(0);
                // What comes after an edge is collected as it comes.
                let around = [config.clip, config.best].into_iter().flatten().map(|around| around.before);
                let reach = around
                    .fold(Duration::from_millis(earliest.unsigned_abs()), |reach, before| reach.max(before));
                let rtsp = rtsp::Rtsp::new(config, rtsp.clone(), reach, status.clone(), streams.clone());
                Some(Self::Rtsp(Box::new(rtsp)))
            }
            SourceConfig::Snapshot(snapshot) => Some(Self::Snapshot(Box::new(snapshot::Snapshot::new(
                config.number,
                config.key.clone(),
                snapshot.clone(),
                status.clone(),
            )))),
            SourceConfig::Slot(slot) => {
                let SlotShare { slot: shared, fps } = share?.clone();
                let (number, key) = (config.number, config.key.clone());
                let camera =
                    slot_camera::SlotCamera::new(number, key, slot.flush, fps, shared, status.clone());
                Some(Self::Slot(Box::new(camera)))
            }
        }
    }

    /// How long the camera takes to send what it sees; `None` for one that is asked for single pictures.
    pub fn latency(&self) -> Option<Latency> {
        match self {
            Self::Rtsp(rtsp) => Some(rtsp.latency()),
            Self::Snapshot(_) | Self::Slot(_) => None,
        }
    }

    /// Keeps the camera ready and answers requests until the session breaks. Requests outlive it: those that are not
    /// yet answered stay in `requests`. Dropping the future closes the session.
    pub async fn serve(&mut self, requests: &mut Requests) -> SourceError {
        match self {
            Self::Rtsp(rtsp) => rtsp.serve(requests).await,
            Self::Snapshot(snapshot) => snapshot.serve(requests).await,
            Self::Slot(slot) => slot.serve(requests).await,
        }
    }

    /// Waits until there is a reason to try again at once after a session broke. Safe to drop.
    pub async fn renewed(&mut self) {
        match self {
            Self::Rtsp(_) | Self::Snapshot(_) => std::future::pending().await,
            Self::Slot(slot) => slot.renewed().await,
        }
    }
}
