//! The session task of a camera: keeps it open, and opens it again whenever it breaks.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::model::CameraKey;
use crate::model::backoff::Backoff;
use crate::source::{Requests, Source};
use crate::status::{CameraState, Status};

/// Pause before a camera that broke is contacted again.
const RECONNECT: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(15) };

/// Pause after a refusal. Many cameras lock the account after a few wrong passwords within a minute.
const RECONNECT_AFTER_REFUSAL: Backoff =
    Backoff { base: Duration::from_secs(10), cap: Duration::from_secs(60) };

/// The session task of one camera.
pub struct CameraSession {
    pub(super) key: CameraKey,
    pub(super) source: Source,
    pub(super) requests: Requests,
    pub(super) status: Status,
}

impl CameraSession {
    /// The camera's key.
    pub fn key(&self) -> &CameraKey {
        &self.key
    }

    /// Keeps a session, opening it again whenever it breaks, until cancelled.
    pub async fn run(&mut self, cancel: &CancellationToken) {
        let mut failures = 0;
        loop {
            let error = tokio::select! {
                () = cancel.cancelled() => return,
                error = self.source.serve(&mut self.requests) => error,
            };
            let was_connected =
                self.status.camera(&self.key).is_some_and(|c| c.state == CameraState::Connected);
            failures = if was_connected { 1 } else { failures + 1 };
            if was_connected {
                warn!(%error, "camera lost");
            } else if failures == 1 {
                warn!(%error, "camera not connected");
            }
            self.status.update_camera(&self.key, |camera| {
                camera.state = CameraState::Degraded;
                camera.last_error = Some(error.fault.clone());
            });
            let words = error.to_string();
            let backoff = if error.is_refusal { RECONNECT_AFTER_REFUSAL } else { RECONNECT };
            let pause = tokio::time::sleep(backoff.jittered(failures));
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = cancel.cancelled() => return,
                    () = &mut pause => break,
                    () = self.source.renewed() => {
                        failures = 0;
                        break;
                    }
                    has_come = self.requests.next(None) => {
                        self.requests.expire(Instant::now(), &words);
                        // A car is at the barrier: try at once, unless the camera said no.
                        if has_come && !error.is_refusal && failures <= 3 {
                            break;
                        }
                    }
                }
            }
        }
    }
}
