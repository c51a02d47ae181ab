//! What was read in pictures.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::time::Time;
use crate::model::{Coded, PlateText, TextBox, TextMatch};
use crate::store::{Analysis, AnalysisState, TextReading};

/// What is known of the texts in a picture, such as number plates.
#[derive(Serialize, ToSchema)]
#[schema(as = Analysis)]
pub(in crate::web) struct AnalysisView {
    pub(in crate::web) state: AnalysisState,
    /// Questions so far.
    #[schema(example = 1)]
    pub(in crate::web) attempts: u32,
    /// What the last failed one met.
    #[schema(example = json!(null))]
    pub(in crate::web) last_error: Option<String>,
    /// The same for programs: one of the codes in docs/codes.md.
    #[schema(example = json!(null))]
    pub(in crate::web) last_error_code: Option<&'static str>,
    /// What the code is about.
    #[schema(value_type = Option<Object>, example = json!(null))]
    pub(in crate::web) last_error_params: Option<Map<String, Value>>,
    /// When the server answered last.
    pub(in crate::web) done_at: Option<Time>,
    /// Not before this it is asked again, while it is pending.
    #[schema(example = json!(null))]
    pub(in crate::web) next_attempt_at: Option<Time>,
    /// What was read, the best first.
    pub(in crate::web) readings: Vec<ReadingView>,
}

impl From<Analysis> for AnalysisView {
    fn from(analysis: Analysis) -> Self {
        Self {
            state: analysis.state,
            attempts: analysis.attempts,
            last_error_code: analysis.last_error.as_ref().and_then(Coded::code),
            last_error_params: analysis.last_error.as_ref().map(Coded::params),
            last_error: analysis.last_error.map(|fault| words_of_server(&fault.to_string())),
            done_at: analysis.done_at.map(Time),
            next_attempt_at: analysis.next_attempt.map(Time),
            readings: analysis.readings.into_iter().map(ReadingView::from).collect(),
        }
    }
}

/// Words about a delivery as they are about a question.
pub(in crate::web) fn words_of_server(words: &str) -> String {
    words.replace("UPLOAD_TIMEOUT", "ANALYSE_TIMEOUT")
}

/// One text in a picture.
#[derive(Serialize, ToSchema)]
#[schema(as = Reading)]
pub(in crate::web) struct ReadingView {
    #[schema(example = 17)]
    pub(in crate::web) id: i64,
    /// What it says as far as is known: as a person corrected it, else as it was read.
    #[schema(example = "AB 12 CD")]
    pub(in crate::web) text: String,
    /// As it was read.
    #[schema(example = "a812cd")]
    pub(in crate::web) read: String,
    /// What a person said it is, "" if it is no text; null until somebody did.
    #[schema(example = "AB 12 CD")]
    pub(in crate::web) corrected: Option<String>,
    /// When somebody did.
    pub(in crate::web) checked_at: Option<Time>,
    /// Who it was.
    #[schema(example = "a person at 192.168.1.20")]
    pub(in crate::web) checked_by: Option<String>,
    /// How sure the server was, from 0 to 1; null if it did not say.
    #[schema(example = 0.74)]
    pub(in crate::web) score: Option<f64>,
    /// Where it stands; null if the server did not say.
    #[serde(rename = "box")]
    pub(in crate::web) place: Option<BoxView>,
    /// Whether a person has still to look at it, because of its score.
    pub(in crate::web) unsure: bool,
    /// The text of the watch list that it is taken for.
    #[schema(example = json!(null))]
    pub(in crate::web) watched: Option<String>,
    /// In a list by text: how it agrees with that; else null.
    #[serde(rename = "match")]
    pub(in crate::web) agrees: Option<TextMatch>,
    #[serde(skip)]
    #[schema(ignore)]
    known: Option<PlateText>,
}

impl From<TextReading> for ReadingView {
    fn from(reading: TextReading) -> Self {
        Self {
            id: reading.id,
            text: reading.text().to_owned(),
            read: reading.read.text,
            corrected: reading.corrected,
            checked_at: reading.checked_at.map(Time),
            checked_by: reading.checked_by,
            score: reading.read.score,
            place: reading.read.place.map(BoxView::from),
            unsure: reading.is_unsure,
            watched: reading.watched,
            agrees: None,
            known: reading.known,
        }
    }
}

impl ReadingView {
    /// Says how it agrees with a text that is looked for.
    pub(in crate::web) fn mark(&mut self, wanted: &PlateText) {
        self.agrees = self.known.as_ref().and_then(|known| wanted.matches(known));
    }
}

/// A part of a picture, in pixels from its upper left corner.
#[derive(Serialize, ToSchema)]
#[schema(as = Box)]
pub(in crate::web) struct BoxView {
    #[schema(example = 143)]
    xmin: u32,
    #[schema(example = 181)]
    ymin: u32,
    #[schema(example = 282)]
    xmax: u32,
    #[schema(example = 215)]
    ymax: u32,
}

impl From<TextBox> for BoxView {
    fn from(place: TextBox) -> Self {
        Self { xmin: place.xmin, ymin: place.ymin, xmax: place.xmax, ymax: place.ymax }
    }
}
