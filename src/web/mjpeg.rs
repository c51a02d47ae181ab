//! The live picture for whatever shows an `<img>`: JPEG after JPEG in one answer (`multipart/x-mixed-replace`).
//!
//! A viewer who is slow gets fewer pictures, and the newest one each time. While the camera is away the last picture
//! stands; the stream goes on by itself.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::State;
use super::code::ErrorCode;
use super::error::ApiError;
use super::parameters;
use super::query::{Query, camera_of};
use super::visit::{STALLED, StreamPermit, Visit, why_away, wish};
use crate::capture::live::{LivePictures, Wish};

/// Longest until the first picture: a session that is being opened, and a keyframe interval.
const FIRST: Duration = Duration::from_secs(8);

/// Without a new picture the last one is sent again after this, so that a viewer who has gone is noticed.
const REPEAT: Duration = Duration::from_secs(10);

const BOUNDARY: &[u8] = b"--picture\r\n";

/// One viewer's stream.
struct Stream {
    visit: Visit,
    pictures: LivePictures,
    wish: Wish,
    _place: StreamPermit,
}

pub(super) async fn stream(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let camera = camera_of(&request)?;
    let wish = wish(&Query::of(&request, parameters::LIVE)?)?;
    let mut pictures = state.captures.pictures(&camera).await?;
    let visit = Visit::of(&request, &state)?;
    let place = state.viewers.place(&request, &camera)?;
    let Ok(Some(first)) = timeout(FIRST, pictures.next(wish)).await else {
        let reason = why_away(&state, &camera);
        return Err(ApiError::new(ErrorCode::NoFrame, reason));
    };
    let (pieces, receiver) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    tasks.spawn(Stream { visit, pictures, wish, _place: place }.run(first, pieces));
    // The task ends with the answer, or before it when nobody takes anything any more.
    let body = futures_util::stream::unfold((receiver, tasks), |(mut receiver, tasks)| async move {
        let piece: Bytes = receiver.recv().await?;
        Some((Ok::<_, actix_web::Error>(piece), (receiver, tasks)))
    });
    Ok(HttpResponse::Ok()
        .content_type("multipart/x-mixed-replace; boundary=picture")
        // nginx would otherwise hold pictures back.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(body))
}

impl Stream {
    async fn run(mut self, first: Bytes, pieces: mpsc::Sender<Bytes>) {
        tokio::select! {
            () = self.visit.over() => {}
            () = show(self.pictures, self.wish, first, &pieces) => {}
        }
    }
}

/// One picture of a stream, and the boundary right after it, because a browser shows it only then; `false` when nobody
/// takes it any more.
pub(super) async fn send_picture(jpeg: &Bytes, boundary: &[u8], pieces: &mpsc::Sender<Bytes>) -> bool {
    let head = format!("Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
    let end = Bytes::from([b"\r\n", boundary].concat());
    for piece in [Bytes::from(head), jpeg.clone(), end] {
        if pieces.send_timeout(piece, STALLED).await.is_err() {
            return false;
        }
    }
    true
}

/// Sends pictures until nobody takes them.
async fn show(mut pictures: LivePictures, wish: Wish, first: Bytes, pieces: &mpsc::Sender<Bytes>) {
    if pieces.send(Bytes::from_static(BOUNDARY)).await.is_err() {
        return;
    }
    let mut jpeg = first;
    loop {
        if !send_picture(&jpeg, BOUNDARY, pieces).await {
            return;
        }
        jpeg = match timeout(REPEAT, pictures.next(wish)).await {
            Ok(Some(next)) => next,
            Ok(None) => return,
            Err(_) => jpeg,
        };
    }
}
