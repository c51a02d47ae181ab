//! `GET /streaming/stream`: JPEG after JPEG in one answer, as the camera brings them.
//!
//! A viewer who takes slowly gets the newest picture each time and misses those between; at most one waits for them.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::capture::SlotPictures;
use crate::web::State;
use crate::web::code::ErrorCode;
use crate::web::error::ApiError;
use crate::web::mjpeg::send_picture;
use crate::web::parameters;
use crate::web::query::Query;
use crate::web::visit::{StreamPermit, Visit, why_away};

/// Longest until the first picture: a camera that is connected anew, and the slowest picture.
const FIRST: Duration = Duration::from_secs(10);

/// Without a new picture the last one is sent again after this, so that a viewer who has gone is noticed.
const REPEAT: Duration = Duration::from_secs(10);

const BOUNDARY: &[u8] = b"--frame\r\n";

pub(in crate::web) async fn stream(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    Query::of(&request, parameters::TICKET)?;
    let (slot, _) = super::camera(&state)?;
    let camera = slot.camera();
    let visit = Visit::of(&request, &state)?;
    let place = place(&request, &state)?;
    let mut pictures = slot.pictures();
    let first = match timeout(FIRST, pictures.next()).await {
        Ok(Some(first)) => first,
        Ok(None) => return Err(ApiError::new(ErrorCode::NoCamera, "the camera was disconnected")),
        Err(_) => return Err(ApiError::new(ErrorCode::NoFrame, why_away(&state, camera))),
    };
    let (pieces, receiver) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    tasks.spawn(run(visit, place, pictures, first, pieces));
    // The task ends with the answer, or before it when nobody takes anything any more.
    let body = futures_util::stream::unfold((receiver, tasks), |(mut receiver, tasks)| async move {
        let piece: Bytes = receiver.recv().await?;
        Some((Ok::<_, actix_web::Error>(piece), (receiver, tasks)))
    });
    Ok(HttpResponse::Ok()
        .content_type("multipart/x-mixed-replace; boundary=frame")
        // nginx would otherwise hold pictures back.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(body))
}

/// A place for a viewer.
pub(super) fn place(request: &HttpRequest, state: &State) -> Result<StreamPermit, ApiError> {
    let slot = super::slot(state)?;
    state.streaming.places.look(request, slot.camera())?.ok_or_else(|| {
        let most = super::VIEWERS_MAX;
        let words =
            format!("at most {most} viewers look at this camera at once, half of them programs; close one");
        ApiError::new(ErrorCode::TooManyViewers, words)
    })
}

async fn run(
    mut visit: Visit,
    _place: StreamPermit,
    pictures: SlotPictures,
    first: Bytes,
    pieces: mpsc::Sender<Bytes>,
) {
    tokio::select! {
        () = visit.over() => {}
        () = show(pictures, first, &pieces) => {}
    }
}

/// Sends pictures until nobody takes them, or there is no camera any more.
async fn show(mut pictures: SlotPictures, first: Bytes, pieces: &mpsc::Sender<Bytes>) {
    if pieces.send(Bytes::from_static(BOUNDARY)).await.is_err() {
        return;
    }
    let mut jpeg = first;
    loop {
        if !send_picture(&jpeg, BOUNDARY, pieces).await {
            return;
        }
        jpeg = match timeout(REPEAT, pictures.next()).await {
            Ok(Some(next)) => next,
            Ok(None) => return,
            Err(_) => jpeg,
        };
    }
}
