//! Measuring a camera's latency: the time code of the latency page, read from the camera's frames as they come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::{CaptureError, Captures, LiveFrame};
use crate::capture::workers::Workers;
use crate::media::blockcode::{self, BlockcodeSeen};
use crate::media::gop::Codec;
use crate::media::jpeg;
use crate::model::CameraKey;
pub use crate::source::LatencyOrigin;
use crate::source::{Arrival, Latency, UnitWatcher, Watch};
use crate::store::{Store, StoreError};

/// A look at one frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameLook {
    /// When the frame was sent, as far as that is known from its arrival: nothing is taken off for the camera.
    pub sent: Instant,
    /// What was seen.
    pub seen: BlockcodeSeen,
}

/// Looks for the time code in a camera's frames. While one exists, the camera's stream is decoded.
pub struct Looks {
    workers: Workers,
    latency: Latency,
    frames: watch::Receiver<Option<Arc<LiveFrame>>>,
    units: UnitWatcher,
}

impl Captures {
    /// Looks at the frames of a camera as they come.
    pub async fn looks(&self, camera: &CameraKey) -> Result<Looks, CaptureError> {
        let Watch { units, .. } = self.watch(camera).await?;
        let latency = self.latency(camera).ok_or_else(|| CaptureError::Unknown(camera.clone()))?;
        Ok(Looks { workers: self.workers.clone(), latency, frames: self.frames(camera)?, units })
    }

    /// The latency of a camera; `None` if it has none to know: a camera of single pictures, or one that is not used.
    pub fn latency(&self, camera: &CameraKey) -> Option<Latency> {
        self.cameras.get(camera)?.as_ref()?.latency.clone()
    }

    /// Takes latencies as they were measured in earlier runs, where none is set.
    pub async fn recall_latencies(&self, store: &Store) -> Result<(), StoreError> {
        for (key, mailbox) in self.cameras.iter() {
            let Some(latency) = mailbox.as_ref().and_then(|mailbox| mailbox.latency.as_ref()) else {
                continue;
            };
            if let Some(ms) = store.measured_latency(key).await? {
                latency.measured(Some(Duration::from_millis(ms)));
            }
        }
        Ok(())
    }
}

impl Looks {
    /// A look at the newest frame, once there is one that has not been looked at; `None` when the program ends. Dropping
    /// the future loses at most that frame.
    pub async fn next(&mut self) -> Option<FrameLook> {
        loop {
            tokio::select! {
                changed = self.frames.changed() => {
                    changed.ok()?;
                    let Some(shown) = self.frames.borrow_and_update().clone() else { continue };
                    let sent = shown.instant + self.latency.get();
                    let seen = self.workers.run(move || blockcode::read(&shown.frame)).await.ok()?;
                    return Some(FrameLook { sent, seen });
                }
                arrived = self.units.recv() => match arrived {
                    Ok(Arrival { codec: Codec::Jpeg, unit }) if self.units.is_empty() => {
                        let sent = unit.instant + self.latency.get();
                        let look = move || jpeg::luma(&unit.data).map_or(BlockcodeSeen::Nothing, |frame| blockcode::read(&frame));
                        let seen = self.workers.run(look).await.ok()?;
                        return Some(FrameLook { sent, seen });
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }
}
