//! Cameras: where frames come from, and how they are asked for.

pub mod requests;
pub mod rtsp;

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::config::{CameraConfig, SourceConfig};
use crate::media::gop::Excerpt;
use crate::status::Status;

pub use requests::FrameRequests;

/// The wish for the frame of one instant.
#[derive(Debug)]
pub struct FrameRequest {
    /// The instant.
    pub at: Instant,
    /// When nobody waits any more.
    pub deadline: Instant,
    /// Where the answer goes; dropped unanswered only when the program ends.
    pub reply: oneshot::Sender<Result<Excerpt, NoFrame>>,
}

/// There is no frame of the wanted instant; the text says why, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoFrame(pub String);

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// What was attempted, what was seen and what to do, for people.
    pub message: String,
    /// Whether trying again soon is pointless or harmful: a wrong password locks many cameras.
    pub is_refusal: bool,
}

/// A camera's connection.
pub enum Source {
    /// A stream that is kept open.
    Rtsp(rtsp::Rtsp),
}

impl Source {
    /// A source as configured; nothing is contacted yet. `None` for a camera without an address.
    pub fn new(config: &CameraConfig, status: &Status) -> Option<Self> {
        match config.source.as_ref()? {
            SourceConfig::Rtsp(rtsp) => {
                let earliest = config.offsets_ms.iter().copied().min().unwrap_or(0).min(0);
                let reach = Duration::from_millis(earliest.unsigned_abs());
                Some(Self::Rtsp(rtsp::Rtsp::new(
                    config.number,
                    config.key.clone(),
                    rtsp.clone(),
                    reach,
                    status.clone(),
                )))
            }
        }
    }

    /// Keeps the camera ready and answers requests until the session breaks. Requests outlive it: those that are not
    /// yet answered stay in `requests`. Dropping the future closes the session.
    pub async fn serve(&mut self, requests: &mut FrameRequests) -> SourceError {
        match self {
            Self::Rtsp(rtsp) => rtsp.serve(requests).await,
        }
    }
}
