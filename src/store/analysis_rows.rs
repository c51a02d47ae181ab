//! What is known of the texts in pictures: plain values, and how rows have them.

use std::collections::HashMap;

use rusqlite::{Connection, Row, named_params};
use serde::Serialize;

use super::page::list_of;
use super::{StoreError, parsed, said, written};
use crate::model::{PlateText, TextBox, TextRead, UnixMs, UploadFault};

/// How the analysis of a picture stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AnalysisState {
    /// The server is still to be asked, or asked again.
    Pending,
    /// It answered.
    Done,
    /// It was asked in vain; put aside until somebody asks for it.
    Dead,
}

impl AnalysisState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Done, Self::Dead];

    /// As in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }

    /// Parses what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What is known of the texts in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Analysis {
    /// How it stands.
    pub state: AnalysisState,
    /// Attempts so far.
    pub attempts: u32,
    /// What the last failed attempt met.
    pub last_error: Option<UploadFault>,
    /// When the server answered last.
    pub done_at: Option<UnixMs>,
    /// Before when it is not asked again; `None` while it is due, or not to be asked at all.
    pub next_attempt: Option<UnixMs>,
    /// What was read, the best first.
    pub readings: Vec<TextReading>,
}

/// A text in a picture, as it was read and as a person says it is.
#[derive(Clone, Debug, PartialEq)]
pub struct TextReading {
    /// Its number.
    pub id: i64,
    /// As it was read.
    pub read: TextRead,
    /// What a person said it is, `""` if it is no text; `None` until somebody did.
    pub corrected: Option<String>,
    /// When that was.
    pub checked_at: Option<UnixMs>,
    /// Who it was.
    pub checked_by: Option<String>,
    /// Whether a person has still to look at it.
    pub is_unsure: bool,
    /// The text of the watch list that it is taken for.
    pub watched: Option<String>,
    /// The normal form by which it is found; `None` if it is no text.
    pub known: Option<PlateText>,
}

impl TextReading {
    /// What it says, as far as is known.
    pub fn text(&self) -> &str {
        self.corrected.as_deref().unwrap_or(&self.read.text)
    }
}

/// A text that was read and is to be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct NewReading {
    /// As it was read.
    pub read: TextRead,
    /// Whether a person should look at it.
    pub is_unsure: bool,
    /// The text of the watch list that it is taken for.
    pub watched: Option<String>,
}

/// What a person says of a reading.
#[derive(Clone, Debug, PartialEq)]
pub struct TextCorrection {
    /// What it is; `""` if it is no text.
    pub text: String,
    /// Who says so.
    pub by: String,
    /// When.
    pub at: UnixMs,
    /// The text of the watch list that it is taken for.
    pub watched: Option<String>,
}

const COLUMNS: &str = "id, image_id, text, score, xmin, ymin, xmax, ymax, known, corrected, checked_at, checked_by, unsure, watched";

/// The analyses of some pictures, by their rows.
pub(super) fn of_images(c: &Connection, images: &[i64]) -> Result<HashMap<i64, Analysis>, StoreError> {
    const ANALYSES_SQL: &str = "
        select image_id, state, attempts, done_at, not_before, last_error, last_error_code, last_error_params
        from analyses where image_id in (select value from json_each(:images))";
    let mut found = HashMap::new();
    let mut statement = c.prepare_cached(ANALYSES_SQL)?;
    let list = list_of(images.iter().copied());
    let mut rows = statement.query(named_params! {":images": list})?;
    while let Some(row) = rows.next()? {
        let state = parsed("state", AnalysisState::parse(&row.get::<_, String>("state")?))?;
        let not_before: i64 = row.get("not_before")?;
        let analysis = Analysis {
            state,
            attempts: row.get("attempts")?,
            last_error: written::read(row, "last_error")?,
            done_at: row.get::<_, Option<i64>>("done_at")?.map(UnixMs),
            next_attempt: (state == AnalysisState::Pending && not_before > 0).then_some(UnixMs(not_before)),
            readings: Vec::new(),
        };
        found.insert(row.get("image_id")?, analysis);
    }
    // Most pictures have none.
    if !found.is_empty() {
        for (image, readings) in readings_of(c, images)? {
            if let Some(analysis) = found.get_mut(&image) {
                analysis.readings = readings;
            }
        }
    }
    Ok(found)
}

/// What was read in one picture, the best first.
pub(super) fn readings_of_one(c: &Connection, image: i64) -> Result<Vec<TextReading>, StoreError> {
    Ok(readings_of(c, &[image])?.remove(&image).unwrap_or_default())
}

/// What was read in some pictures, in each the best first.
pub(super) fn readings_of(
    c: &Connection,
    images: &[i64],
) -> Result<HashMap<i64, Vec<TextReading>>, StoreError> {
    let sql = format!(
        "select {COLUMNS} from readings where image_id in (select value from json_each(:images)) order by id"
    );
    let mut found: HashMap<i64, Vec<TextReading>> = HashMap::new();
    let mut statement = c.prepare_cached(&sql)?;
    let mut rows = statement.query(named_params! {":images": list_of(images.iter().copied())})?;
    while let Some(row) = rows.next()? {
        found.entry(row.get("image_id")?).or_default().push(reading(row)?);
    }
    for readings in found.values_mut() {
        let score = |reading: &TextReading| match reading.checked_at {
            Some(_) => 2.0,
            None => reading.read.score.unwrap_or(0.0),
        };
        readings.sort_by(|a, b| score(b).total_cmp(&score(a)));
    }
    Ok(found)
}

fn reading(row: &Row<'_>) -> rusqlite::Result<TextReading> {
    let (xmin, ymin, xmax, ymax): (Option<u32>, Option<u32>, Option<u32>, Option<u32>) =
        (row.get("xmin")?, row.get("ymin")?, row.get("xmax")?, row.get("ymax")?);
    let place = xmin.zip(ymin).zip(xmax.zip(ymax));
    let checked_at: Option<i64> = row.get("checked_at")?;
    Ok(TextReading {
        id: row.get("id")?,
        read: TextRead {
            text: said(row, "text")?.unwrap_or_default(),
            score: row.get("score")?,
            place: place.map(|((xmin, ymin), (xmax, ymax))| TextBox { xmin, ymin, xmax, ymax }),
        },
        corrected: said(row, "corrected")?,
        checked_at: checked_at.map(UnixMs),
        checked_by: said(row, "checked_by")?,
        is_unsure: checked_at.is_none() && row.get("unsure")?,
        watched: said(row, "watched")?,
        known: PlateText::parse(&row.get::<_, String>("known")?),
    })
}
