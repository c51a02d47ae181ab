//! The one shape of an error.

use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was refused.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(in crate::web) struct FailureView {
    pub(in crate::web) error: FailureDetail,
    /// Always false: clients of older receivers look at it.
    #[schema(example = false)]
    pub(in crate::web) success: bool,
    /// That of the error, where clients of older receivers look for it.
    #[schema(example = "there is no camera of that name")]
    pub(in crate::web) message: String,
}

/// Why a request was refused, for programs and for people.
#[derive(Serialize, ToSchema)]
#[schema(as = ErrorDetail)]
pub(in crate::web) struct FailureDetail {
    /// What it is, for programs; there may be more of them.
    #[schema(example = "not_found")]
    pub(in crate::web) code: &'static str,
    /// What is wrong and what to do, for people.
    #[schema(example = "there is no camera of that name")]
    pub(in crate::web) message: String,
}
