//! Retention runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time::Time;
use crate::disk::retention::RetentionReport;
use crate::model::TargetId;
use crate::store::PictureUsage;

/// A retention run.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = Cleanup)]
pub(in crate::web) struct CleanUp {
    /// Nothing is deleted; the report tells what would go.
    #[schema(example = true)]
    pub(in crate::web) dry_run: bool,
}

/// So many pictures of so many bytes.
#[derive(Serialize, ToSchema)]
#[schema(as = PictureUsage)]
pub(in crate::web) struct HeapView {
    #[schema(example = 12)]
    pub(in crate::web) images: u64,
    #[schema(example = 4_947_672)]
    pub(in crate::web) bytes: u64,
}

impl From<&PictureUsage> for HeapView {
    fn from(heap: &PictureUsage) -> Self {
        Self { images: heap.pictures, bytes: heap.bytes }
    }
}

/// Why pictures went.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct RetentionReasons {
    /// Past their time.
    pub(in crate::web) age: HeapView,
    /// Above `STORAGE_MAX_BYTES`.
    pub(in crate::web) limit: HeapView,
    /// To make room on the disk.
    pub(in crate::web) space: HeapView,
}

/// Pictures past their time that stay.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct KeptCounts {
    /// Still owed to a target.
    pub(in crate::web) owed: u64,
    /// Put aside by a target.
    pub(in crate::web) dead: u64,
    /// Protected by a person.
    pub(in crate::web) protected: u64,
}

/// All pictures that stay whatever happens, and why.
#[derive(Serialize, ToSchema)]
#[schema(as = Held)]
pub(in crate::web) struct HeldView {
    /// Still owed, by target.
    pub(in crate::web) owed: BTreeMap<&'static str, HeapView>,
    /// Put aside, by target.
    pub(in crate::web) dead: BTreeMap<&'static str, HeapView>,
    pub(in crate::web) protected: HeapView,
}

/// What a retention run did, or would do.
#[derive(Serialize, ToSchema)]
#[schema(as = RetentionReport)]
pub(in crate::web) struct ReportView {
    /// Nothing was deleted; the numbers are what would be.
    #[schema(example = true)]
    pub(in crate::web) dry_run: bool,
    /// Pictures.
    #[schema(example = 12)]
    pub(in crate::web) deleted: u64,
    #[schema(example = 4_947_672)]
    pub(in crate::web) freed_bytes: u64,
    pub(in crate::web) reasons: RetentionReasons,
    /// By camera.
    pub(in crate::web) cameras: BTreeMap<String, HeapView>,
    /// When the first of them was taken.
    pub(in crate::web) from: Option<Time>,
    /// When the last of them was taken.
    pub(in crate::web) to: Option<Time>,
    /// Up to a thousand.
    #[schema(example = json!(["r1_1795176000.jpg"]))]
    pub(in crate::web) names: Vec<String>,
    pub(in crate::web) kept: KeptCounts,
    pub(in crate::web) held: HeldView,
    /// Everything taken before this was past its time.
    pub(in crate::web) before: Time,
    /// The same in milliseconds since 1970.
    #[schema(example = 1_784_808_000_250_i64)]
    pub(in crate::web) before_ms: i64,
    /// Why nothing was deleted by age and by limit: the clock cannot be trusted, or too much would go at once.
    pub(in crate::web) refused: Option<String>,
}

impl From<RetentionReport> for ReportView {
    fn from(report: RetentionReport) -> Self {
        let by_target = |list: &[(TargetId, PictureUsage)]| -> BTreeMap<&'static str, HeapView> {
            list.iter().map(|(target, heap)| (target.as_str(), heap.into())).collect()
        };
        Self {
            dry_run: report.is_dry_run,
            deleted: report.deleted,
            freed_bytes: report.freed_bytes,
            reasons: RetentionReasons {
                age: (&report.by_age).into(),
                limit: (&report.by_limit).into(),
                space: (&report.by_space).into(),
            },
            cameras: report.by_camera.into_iter().map(|(key, heap)| (key, (&heap).into())).collect(),
            from: report.span.map(|(from, _)| Time(from)),
            to: report.span.map(|(_, to)| Time(to)),
            names: report.names,
            kept: KeptCounts {
                owed: report.kept.owed,
                dead: report.kept.dead,
                protected: report.kept.protected,
            },
            held: HeldView {
                owed: by_target(&report.held.owed),
                dead: by_target(&report.held.dead),
                protected: (&report.held.protected).into(),
            },
            before: Time(report.before),
            before_ms: report.before.0,
            refused: report.refused,
        }
    }
}
