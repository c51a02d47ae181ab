//! What an attempt to deliver leads to, and how its end is written down: plain values.

use crate::model::{UnixMs, UploadFault, UploadState};

/// What an attempt leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The target confirmed it.
    Delivered {
        /// When.
        at: UnixMs,
    },
    /// Tried again, not before an instant. Nothing is held against the picture.
    Retry {
        /// Earliest next attempt.
        not_before: UnixMs,
        /// What was met.
        error: UploadFault,
    },
    /// The target refused this picture, and perhaps means it; tried again, and it counts.
    Refused {
        /// Earliest next attempt.
        not_before: UnixMs,
        /// What the target said.
        error: UploadFault,
    },
    /// Put aside until someone asks for it.
    Dead {
        /// What the target said.
        error: UploadFault,
    },
    /// The file is gone or damaged.
    Lost {
        /// What was found.
        error: UploadFault,
    },
    /// Not the picture's fault after all: owed again, as if it had never been refused. Says nothing of an attempt.
    Excused {
        /// Earliest next attempt.
        not_before: UnixMs,
    },
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptEnd {
    /// Row of the picture.
    pub row: i64,
    /// What it leads to.
    pub settlement: Settlement,
    /// What the target said, as one clean line without secrets; `None` where it said nothing.
    pub answer: Option<String>,
}

impl Settlement {
    /// The state it leads to.
    pub fn state(&self) -> UploadState {
        match self {
            Self::Delivered { .. } => UploadState::Delivered,
            Self::Retry { .. } | Self::Refused { .. } | Self::Excused { .. } => UploadState::Pending,
            Self::Dead { .. } => UploadState::Dead,
            Self::Lost { .. } => UploadState::Lost,
        }
    }
}
