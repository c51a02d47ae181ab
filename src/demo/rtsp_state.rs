//! What all connections of a synthetic camera look at: its streams, its account, its faults.

use std::sync::Arc;

use tokio::sync::watch;

use crate::demo::encoder::SyntheticCamera;
use crate::demo::rtsp_auth::RtspAccount;

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
pub(super) struct ServerShared {
    pub(super) cameras: Vec<Arc<SyntheticCamera>>,
    pub(super) auth: Option<RtspAccount>,
    pub(super) condition: watch::Sender<Condition>,
}

impl ServerShared {
    /// The camera of a path without trailing slash.
    pub(super) fn camera(&self, path: &str) -> Option<&Arc<SyntheticCamera>> {
        self.cameras.iter().find(|camera| camera.config.path == path)
    }
}
