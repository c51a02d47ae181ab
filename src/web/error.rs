//! The one shape of an error: `{"error":{"code":"…","message":"…"}}` with a fitting status.

use std::fmt;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;
use tracing::error;

use crate::capture::CaptureError;
use crate::store::StoreError;

/// What a handler answers when it cannot do what was asked.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<Duration>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// The same words whatever was missing or wrong, so that a stranger learns nothing.
    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "log in first, or send a valid API token")
    }

    pub(super) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 429 with `Retry-After`, rounded up to whole seconds.
    pub(super) fn too_many(message: impl Into<String>, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message)
        }
    }

    pub(super) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
        }
    }

    /// A failure of the store as a stranger may see it: no path, no detail.
    pub(super) fn of_store_for_strangers(error: &StoreError) -> Self {
        error!(%error, "the store failed a log-in");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "store",
            "the store cannot answer; the log has the reason",
        )
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status);
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            answer.insert_header((header::RETRY_AFTER, seconds.max(1)));
        }
        answer.json(json!({"error": {"code": self.code, "message": self.message}}))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        error!(%error, "the store failed a request");
        let status = if error.is_full() {
            StatusCode::INSUFFICIENT_STORAGE
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        Self::new(status, "store", error.to_string())
    }
}

impl From<CaptureError> for ApiError {
    fn from(error: CaptureError) -> Self {
        let message = error.to_string();
        match error {
            CaptureError::Unknown(_) => Self::not_found(message),
            CaptureError::Disabled(_) => Self::conflict("disabled", message),
            CaptureError::Busy => Self::unavailable("busy", message),
            CaptureError::NoFrame(_) => Self::new(StatusCode::GATEWAY_TIMEOUT, "no_frame", message),
            CaptureError::Store(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, "store", message),
            CaptureError::Kept(_) => Self::unavailable("kept", message),
            CaptureError::Full(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, "full", message),
            CaptureError::Stopping => Self::unavailable("stopping", message),
        }
    }
}
