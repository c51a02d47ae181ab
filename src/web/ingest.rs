//! `POST /upload`: a device brings a picture.
//!
//! Success is answered after file, row and queue are safe, and is status 200, which small devices compare with. Whatever is
//! refused can be told apart by its status; what ends in the middle is written down as torn, because some devices never
//! send a picture again.

use std::path::{Path, PathBuf};
use std::time::Instant;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::State;
use super::code::ErrorCode;
use super::error::ApiError;
use super::picture_body::{self, PicturePlace};
use super::picture_reader::Unread;
use super::view::receiver::ReceivedPicture;
use super::who;
use crate::capture::{PushRefusal, PushedPicture, RefusedPicture};
use crate::clock;
use crate::config::DeviceConfig;
use crate::model::{Cause, ImageId, NoPicture};

/// Where devices bring their pictures.
pub(super) const UPLOAD: &str = "/upload";

/// What a form may have around the picture, bytes.
const FORM_MAX: u64 = 64 * 1024;

pub(super) async fn upload(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let device = who::device(&request)?;
    let arrived = clock::moment();
    let refused = |reason, came| RefusedPicture {
        cause: Cause::Push,
        device: device.name.clone(),
        camera: device.camera.clone(),
        arrived,
        reason,
        came,
    };
    if let Err(wait) = state.door.take(&device, Instant::now()) {
        let reason = NoPicture::TooOften { per_minute: device.per_minute.into() };
        state.pushes.refuse(refused(reason, Vec::new())).await;
        let words = format!("more than {} pictures a minute; send it again later", device.per_minute);
        return Err(ApiError::too_many(words, wait));
    }
    let read =
        state.reading_room.read(device.number, payload, announced(&request), device.max_bytes + FORM_MAX);
    let (mut bytes, _seat) = match read.await {
        Ok(read) => read,
        Err((unread, came)) => {
            let (reason, error) = not_read(unread, &device);
            state.pushes.refuse(refused(reason, came)).await;
            return Err(error);
        }
    };
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let found = picture_body::find(text(header::CONTENT_TYPE), text(header::CONTENT_DISPOSITION), &bytes);
    let PicturePlace { bytes: place, own_name } = match found {
        Ok(found) => found,
        Err(bad) => {
            let reason = NoPicture::NotJpeg { detail: bad.to_string() };
            state.pushes.refuse(refused(reason, bytes)).await;
            return Err(ApiError::new(ErrorCode::NotJpeg, bad.to_string()));
        }
    };
    bytes.truncate(place.end);
    bytes.drain(..place.start);
    if bytes.len() as u64 > device.max_bytes {
        let (reason, error) = not_read(Unread::TooLong(bytes.len() as u64), &device);
        state.pushes.refuse(refused(reason, Vec::new())).await;
        return Err(error);
    }
    // Another box of ours says which picture it is.
    let first_id = text(header::HeaderName::from_static("idempotency-key")).and_then(ImageId::parse);
    let own_name = own_name.filter(|_| device.keeps_name);
    let (pixels_max, camera) = (device.max_pixels, device.camera.clone());
    let device = device.name.clone();
    let pushed = PushedPicture {
        cause: Cause::Push,
        device,
        camera,
        bytes,
        pixels_max,
        arrived,
        taken_at: None,
        own_name,
        first_id,
    };
    let accepted = state.pushes.keep(pushed).await?;
    let path = state.store.root().join(&accepted.path);
    Ok(HttpResponse::Ok().json(ReceivedPicture {
        success: true,
        filename: accepted.filename.to_string(),
        size: accepted.bytes,
        path: absolute(path).await,
        known: accepted.was_known,
    }))
}

/// The length that the head announces.
fn announced(request: &HttpRequest) -> Option<u64> {
    let length = request.headers().get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.trim().parse().ok()
}

/// Why there is no picture, for the ledger and for the device.
fn not_read(unread: Unread, device: &DeviceConfig) -> (NoPicture, ApiError) {
    match unread {
        Unread::TooLong(bytes) => {
            let limit = device.max_bytes;
            let words = format!(
                "{bytes} bytes are more than the {limit} this device may bring at once (INGEST_{}_MAX_BYTES)",
                device.number
            );
            (NoPicture::TooLarge { bytes, limit }, ApiError::new(ErrorCode::TooLarge, words))
        }
        Unread::Late(bytes) => {
            let words = format!("the picture did not arrive in time; {bytes} bytes of it had come");
            (NoPicture::Torn { bytes }, ApiError::new(ErrorCode::Timeout, words))
        }
        Unread::CutOff(bytes) => {
            let reason = NoPicture::Torn { bytes };
            let words = reason.to_string();
            (reason, ApiError::new(ErrorCode::Torn, words))
        }
    }
}

/// A path as other programs on this computer can use it.
pub(super) async fn absolute(path: PathBuf) -> String {
    let shown = |path: &Path| path.display().to_string();
    let asked = path.clone();
    match web::block(move || std::fs::canonicalize(asked)).await {
        Ok(Ok(real)) => shown(&real),
        // It was moved in this very moment, or the disk is away.
        Ok(Err(_)) | Err(_) => shown(&path),
    }
}

impl From<PushRefusal> for ApiError {
    fn from(refusal: PushRefusal) -> Self {
        let code = match refusal.reason() {
            NoPicture::TooLarge { .. } => ErrorCode::TooLarge,
            NoPicture::Torn { .. } => ErrorCode::Torn,
            NoPicture::NotJpeg { .. } => ErrorCode::NotJpeg,
            NoPicture::TooManyPixels { .. } => ErrorCode::TooManyPixels,
            NoPicture::DiskFull { .. } => ErrorCode::Full,
            NoPicture::NotStored { .. } => ErrorCode::StoreFull,
            NoPicture::KeptAsFile { .. } => ErrorCode::Kept,
            NoPicture::Stopping => ErrorCode::Stopping,
            NoPicture::TooOften { .. } => ErrorCode::TooManyRequests,
            NoPicture::Busy { .. } => ErrorCode::Busy,
            NoPicture::UnknownCamera { .. }
            | NoPicture::CameraDisabled { .. }
            | NoPicture::NoFrame { .. }
            | NoPicture::FrameTooOld { .. }
            | NoPicture::Undecodable { .. }
            | NoPicture::Interrupted
            | NoPicture::FileRemoved
            | NoPicture::Words(_) => ErrorCode::StoreFailed,
        };
        Self::new(code, refusal.to_string())
    }
}
