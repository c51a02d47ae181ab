//! What all connections of a synthetic camera look at: its streams, its account, its faults.

use std::sync::Arc;

use tokio::sync::watch;

use crate::demo::encoder::Camera;
use crate::demo::rtsp_auth::Auth;

/// What can be wrong with a camera that is on the network all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtspFault {
    /// Requests are answered, no frames come: a hung encoder.
    Stall,
    /// Nothing is accepted, answered or sent, and no connection closed: a hung firmware.
    Freeze,
    /// Every password is wrong: somebody changed it.
    RefuseAuth,
}

/// What all connections look at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Condition {
    pub(super) fault: Option<RtspFault>,
    /// Connections of an earlier generation are dropped.
    pub(super) generation: u64,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cameras: Vec<Arc<Camera>>,
    pub(super) auth: Option<Auth>,
    pub(super) condition: watch::Sender<Condition>,
}

impl Shared {
    /// The camera of a path without trailing slash.
    pub(super) fn camera(&self, path: &str) -> Option<&Arc<Camera>> {
        self.cameras.iter().find(|camera| camera.config.path == path)
    }
}
