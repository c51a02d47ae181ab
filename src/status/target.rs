//! How a target does, as it was last seen.

use std::time::Instant;

use super::pace::DeliveryPace;
use crate::model::{TargetId, UnixMs, UploadFault};

/// Why nothing is sent to a target for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// It could not be reached, asked for patience or refused us; see its last error.
    Fault,
    /// It refuses one picture after the other in the same way; see its last error.
    Refusals,
    /// It is outside of its `UPLOAD_WINDOW`.
    Window,
    /// It is between two rounds of sending (`RELAY_INTERVAL`).
    Round,
}

impl Pause {
    /// As in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Refusals => "refusals",
            Self::Window => "window",
            Self::Round => "round",
        }
    }
}

/// One upload target.
#[derive(Clone, Debug)]
pub struct TargetStatus {
    /// Which.
    pub id: TargetId,
    /// How deliveries go: whether it can be reached and took the last one; `None` before the first contact.
    pub online: Option<bool>,
    /// Whether it can be reached; `None` before the first contact.
    pub is_reachable: Option<bool>,
    /// When a delivery last told how it stands; `None` while only a look at the way did.
    pub tried_at: Option<Instant>,
    /// Whether its last answer to a delivery was a fault of its own, whatever its port says.
    pub is_failing: bool,
    /// Since when it is as it is.
    pub since: UnixMs,
    /// What it last said when it refused or could not be reached.
    pub last_error: Option<UploadFault>,
    /// When it last took a picture.
    pub last_delivered: Option<UnixMs>,
    /// When it is tried again, while it is paused.
    pub paused_until: Option<UnixMs>,
    /// Why it is paused.
    pub paused_by: Option<Pause>,
    /// How fast it takes pictures.
    pub pace: DeliveryPace,
    /// Pictures owed to it whose files cannot be read, and why the one that was tried last cannot.
    pub denied: Option<(u64, UploadFault)>,
}

impl TargetStatus {
    /// Whether both are shown in the same way.
    pub(super) fn looks_like(&self, other: &Self) -> bool {
        let reach = |of: &Self| (of.online, of.is_reachable, of.is_failing, of.since);
        let rest = |of: &Self| (of.last_error.clone(), of.last_delivered, of.paused_until, of.paused_by);
        reach(self) == reach(other) && rest(self) == rest(other)
    }
}
