//! What is told of changes, beside what has a shape of its own.

use serde::Serialize;
use utoipa::ToSchema;

use super::status::AlarmView;
use super::time::Time;
use crate::model::FileName;

/// The server is there: at once, and every ten seconds.
#[derive(Serialize, ToSchema)]
#[schema(as = BeatEvent)]
pub(in crate::web) struct Beat {
    pub(in crate::web) now: Time,
    /// The same in milliseconds since 1970.
    #[schema(example = 1_795_176_000_250_i64)]
    pub(in crate::web) now_ms: i64,
}

/// Failures were seen by a person.
#[derive(Serialize, ToSchema)]
#[schema(as = SeenEvent)]
pub(in crate::web) struct SeenChange {
    /// How many are still unseen.
    pub(in crate::web) unseen: u64,
    /// Those up to this trigger were.
    #[schema(example = 1204)]
    pub(in crate::web) up_to: i64,
}

/// Pictures or clips: those that were deleted, or whose files are gone.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct FileNames {
    pub(in crate::web) filenames: Vec<FileName>,
}

/// All alarms there are now, the worst first.
#[derive(Serialize, ToSchema)]
#[schema(as = AlarmsEvent)]
pub(in crate::web) struct AlarmList {
    pub(in crate::web) alarms: Vec<AlarmView>,
}

/// Read everything anew: more changed at once than is told one by one, or the reader was too slow.
#[derive(Serialize, ToSchema)]
#[schema(as = ResyncEvent)]
pub(in crate::web) struct Resync {
    /// How many changes the reader missed.
    #[schema(example = 12)]
    pub(in crate::web) missed: u64,
}
