//! Whether the program can do its work.

use serde::Serialize;
use utoipa::ToSchema;

use super::receiver::Brought;

/// It can.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Healthy {
    /// Always `ok`.
    #[schema(example = "ok")]
    pub(in crate::web) status: &'static str,
    /// What all devices have brought since the start; null for whoever is not logged in and has no token.
    pub(in crate::web) received: Option<Brought>,
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
