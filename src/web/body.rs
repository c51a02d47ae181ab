//! JSON bodies of requests: small, in time, and labelled as JSON.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::code::ErrorCode;
use super::error::ApiError;

/// No body of this API needs a tenth of it.
const BYTES_MAX: usize = 64 * 1024;

/// A body must have arrived by then; a client that sends a byte a second would hold its connection for ever.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A JSON body. Only `Content-Type: application/json` is taken: a foreign page cannot send that without being asked.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let essence = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        let is_json = essence.eq_ignore_ascii_case("application/json");
        let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|n| n.to_str().ok());
        let is_long = declared.is_some_and(|n| n.parse().is_ok_and(|n: usize| n > BYTES_MAX));
        let payload = payload.take();
        Box::pin(async move {
            if !is_json {
                return Err(ApiError::new(
                    ErrorCode::NotJson,
                    "send the body as Content-Type: application/json",
                ));
            }
            if is_long {
                return Err(too_long());
            }
            let bytes = tokio::time::timeout(TIMEOUT, read(payload)).await.map_err(|_| {
                ApiError::new(
                    ErrorCode::Timeout,
                    format!("the body did not arrive within {} seconds", TIMEOUT.as_secs()),
                )
            })??;
            let value = serde_json::from_slice(&bytes)
                .map_err(|error| ApiError::bad_request(format!("the body is not as expected: {error}")))?;
            Ok(Self(value))
        })
    }
}

/// A JSON body that may be left out; then it is the default. A body that is there must be labelled as JSON.
pub(super) struct OptionalJson<T>(pub(super) T);

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalJson<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let is_chunked = header(header::TRANSFER_ENCODING).is_some();
        let length = header(header::CONTENT_LENGTH).unwrap_or("0").trim();
        if length == "0" && !is_chunked {
            return Box::pin(async { Ok(Self(T::default())) });
        }
        let body = Json::<T>::from_request(request, payload);
        Box::pin(async { body.await.map(|Json(value)| Self(value)) })
    }
}

async fn read(mut payload: Payload) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| ApiError::bad_request("the body was cut off"))?;
        if bytes.len() + chunk.len() > BYTES_MAX {
            return Err(too_long());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_long() -> ApiError {
    ApiError::new(ErrorCode::TooLarge, format!("the body is longer than {} kB", BYTES_MAX / 1024))
}
