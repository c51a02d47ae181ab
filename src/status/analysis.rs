//! How the server that reads number plates does.

use crate::model::{UnixMs, UploadFault};

/// Why no picture is analysed for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AnalysisPause {
    /// The server could not be reached, asked for patience or refused us; see its last error.
    Fault,
    /// It refuses one picture after the other in the same way; see its last error.
    Refusals,
    /// As many questions were asked as `ANALYSE_PER_DAY` and `ANALYSE_PER_MONTH` allow.
    Cost,
}

impl AnalysisPause {
    /// As in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Refusals => "refusals",
            Self::Cost => "cost",
        }
    }
}

/// The server that reads texts in pictures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnalysisStatus {
    /// Until when it is not asked, and why.
    pub pause: Option<(UnixMs, AnalysisPause)>,
    /// What is wrong with it, while it fails.
    pub last_error: Option<UploadFault>,
}
