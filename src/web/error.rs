//! The one shape of an error: `{"error":{"code":"…","message":"…"},"success":false,"message":"…"}` with a fitting status.

use std::fmt;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use tracing::error;

use super::code::ErrorCode;
use super::view::failure::{FailureDetail, FailureView};
use crate::capture::CaptureError;
use crate::store::StoreError;

/// What a handler answers when it cannot do what was asked.
#[derive(Debug)]
pub(super) struct ApiError {
    code: ErrorCode,
    message: String,
    retry_after: Option<Duration>,
}

impl ApiError {
    /// What can be asked again in a moment (503) says so.
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let is_passing = code.status_code() == StatusCode::SERVICE_UNAVAILABLE;
        Self { code, message: message.into(), retry_after: is_passing.then_some(Duration::from_secs(1)) }
    }

    /// The same for another reason, if it is for this one.
    pub(super) fn instead_of(self, code: ErrorCode, other: ErrorCode) -> Self {
        if self.code == code { Self { code: other, ..self } } else { self }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    /// The same words whatever was missing or wrong, so that a stranger learns nothing.
    pub(super) fn unauthorized() -> Self {
        Self::new(ErrorCode::Unauthorized, "log in first, or send a valid API token")
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    /// 429 with `Retry-After`, rounded up to whole seconds.
    pub(super) fn too_many(message: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(ErrorCode::TooManyRequests, message) }
    }

    /// A failure of the store as a stranger may see it: no path, no detail.
    pub(super) fn of_store_for_strangers(error: &StoreError) -> Self {
        error!(%error, "the store failed a log-in");
        Self::new(ErrorCode::StoreFailed, "the store cannot answer; the log has the reason")
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.code.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            answer.insert_header((header::RETRY_AFTER, seconds.max(1)));
        }
        let detail = FailureDetail { code: self.code.word(), message: self.message.clone() };
        answer.json(FailureView { error: detail, success: false, message: self.message.clone() })
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        error!(%error, "the store failed a request");
        let code = if error.is_full() { ErrorCode::StoreFull } else { ErrorCode::StoreFailed };
        Self::new(code, error.to_string())
    }
}

impl From<CaptureError> for ApiError {
    fn from(error: CaptureError) -> Self {
        let message = error.to_string();
        let code = match error {
            CaptureError::Unknown(_) => ErrorCode::NotFound,
            CaptureError::Disabled(_) => ErrorCode::Disabled,
            CaptureError::Busy => ErrorCode::Busy,
            CaptureError::NoFrame(_) => ErrorCode::NoFrame,
            CaptureError::Store(_) => ErrorCode::StoreFull,
            CaptureError::Kept(_) => ErrorCode::Kept,
            CaptureError::Full(_) => ErrorCode::Full,
            CaptureError::Stopping => ErrorCode::Stopping,
        };
        Self::new(code, message)
    }
}
