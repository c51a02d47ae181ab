//! Whether the program can do its work.

use serde::Serialize;
use utoipa::ToSchema;

/// It can.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Healthy {
    /// Always `ok`.
    #[schema(example = "ok")]
    pub(in crate::web) status: &'static str,
}

/// It cannot.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Unhealthy {
    /// Always `failing`.
    #[schema(example = "failing")]
    pub(in crate::web) status: &'static str,
    /// The names of the parts that fail.
    #[schema(example = json!(["database"]))]
    pub(in crate::web) failing: Vec<&'static str>,
    /// The codes of the alarms that say so.
    #[schema(example = json!(["ledger_late"]))]
    pub(in crate::web) alarms: Vec<&'static str>,
}
