//! The server that reads number plates, what waits for it, and what people say of what it read.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::image::ImageView;
use super::number::whole;
use super::time::Time;
use crate::model::PlateText;
use crate::status::AnalysisPause;

/// What a person says of a reading.
#[derive(Deserialize, ToSchema)]
#[schema(as = Correction)]
pub(in crate::web) struct CorrectionWish {
    /// What it is, as it was read to confirm it; "" if it is no text.
    #[schema(example = "AB 12 CD", max_length = 64)]
    pub(in crate::web) text: String,
}

/// What the server said of a picture, as it was kept.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct AnalysisAnswerView {
    /// The start of its answer; null while there is none.
    #[schema(example = "{\"results\":[]}")]
    pub(in crate::web) answer: Option<String>,
}

/// The server that reads texts in pictures, and what waits for it.
#[derive(Serialize, ToSchema)]
#[schema(as = Analyses)]
pub(in crate::web) struct AnalysesView {
    /// Whether there is one (ANALYSE_URL); without it nothing is asked, and what was read stays.
    pub(in crate::web) enabled: bool,
    /// Below this score a person confirms.
    #[schema(example = 0.8)]
    pub(in crate::web) min_score: Option<f64>,
    /// Pictures it is still to be asked about.
    #[schema(example = 0)]
    pub(in crate::web) waiting: u64,
    /// Pictures that were put aside.
    #[schema(example = 0)]
    pub(in crate::web) dead: u64,
    /// Readings a person has still to look at.
    #[schema(example = 1)]
    pub(in crate::web) unsure: u64,
    /// Until when it is not asked; null while it is.
    #[schema(example = json!(null))]
    pub(in crate::web) paused_until: Option<Time>,
    /// Why it is not asked.
    #[schema(example = json!(null))]
    pub(in crate::web) paused_by: Option<AnalysisPause>,
    /// What is wrong with it, while it fails.
    #[schema(example = json!(null))]
    pub(in crate::web) last_error: Option<String>,
    /// Questions on this day in UTC.
    #[schema(example = 12)]
    pub(in crate::web) asked_today: u64,
    /// Questions in this month in UTC.
    #[schema(example = 240)]
    pub(in crate::web) asked_this_month: u64,
    /// Most questions on a day; null is no limit.
    #[schema(example = json!(null))]
    pub(in crate::web) per_day: Option<u64>,
    /// Most questions in a month; null is no limit.
    #[schema(example = 2500)]
    pub(in crate::web) per_month: Option<u64>,
    /// The newest pictures with a reading a person has still to look at, at most 20.
    pub(in crate::web) to_check: Vec<ImageView>,
    /// The newest pictures that were put aside, at most 20.
    pub(in crate::web) put_aside: Vec<ImageView>,
    /// What is watched for.
    pub(in crate::web) watch: Vec<WatchedView>,
    /// Texts of it that were read and nobody has seen, at most 1000.
    #[schema(example = 1)]
    pub(in crate::web) watched_unseen: u64,
    /// The number of the newest of them, for `/api/analysis/seen`.
    #[schema(example = 17)]
    pub(in crate::web) watched_up_to: Option<i64>,
    /// The newest pictures with such a text, at most 20.
    pub(in crate::web) watched: Vec<ImageView>,
}

/// Up to which reading watched texts were seen.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct WatchedSeen {
    /// Number of the newest reading that was shown: `watched_up_to`.
    #[serde(deserialize_with = "whole")]
    #[schema(example = 17)]
    pub(in crate::web) up_to: i64,
}

/// What came of that.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct WatchedSeenCount {
    /// How many of them were news.
    #[schema(example = 1)]
    pub(in crate::web) seen: usize,
    /// How many there still are.
    #[schema(example = 0)]
    pub(in crate::web) unseen: u64,
}

/// A text that is watched for.
#[derive(Serialize, ToSchema)]
#[schema(as = Watched)]
pub(in crate::web) struct WatchedView {
    #[schema(example = "AB12")]
    pub(in crate::web) text: String,
    /// Every other text that is taken for it.
    #[schema(example = json!(["4B12", "A812", "ABI2", "ABL2", "AB1Z"]))]
    pub(in crate::web) misreads: Vec<String>,
}

impl From<&PlateText> for WatchedView {
    fn from(text: &PlateText) -> Self {
        Self { text: text.to_string(), misreads: text.misreads().iter().map(ToString::to_string).collect() }
    }
}

/// How many pictures are asked about again.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct AnalysesOwed {
    #[schema(example = 3)]
    pub(in crate::web) owed: u64,
}
