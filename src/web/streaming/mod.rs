//! `/streaming/…`: a camera that is set up over the network, its picture for many viewers, in the words of clients that were
//! written for the server before this one.
//!
//! Whoever looks shares one connection to the camera (`source/slot_camera.rs`). Who may: our own tokens, tokens of another
//! program ([`jwt`]), the session of a browser, and whoever has a ticket.

mod admission;
pub(super) mod cors;
pub mod jwt;
mod mjpeg;
mod rate;
mod socket;
mod ticket;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};
use tracing::{info, warn};

use super::body::Json;
use super::code::ErrorCode;
use super::error::ApiError;
use super::security_log::Deed;
use super::view::streaming::{
    CameraSetUp, CameraStanding, Disconnected, FrameAnalysis, FrameSeen, Links, SetUpCamera,
};
use super::view::time::Time;
use super::visit::Places;
use super::who::{admitted, peer};
use super::{State, parameters};
use crate::capture::{SetupError, StreamAddress, StreamSlot};
use crate::clock;
use crate::config::StreamingConfig;
use crate::media::jpeg as pictures;
use crate::model::{CameraKey, UnixMs};
use crate::status::CameraState;
use crate::targets::AnalysisFacts;
use crate::upload::AnalysisHandle;
use rate::ClientRates;
use ticket::TicketPrinter;

pub(super) use admission::{StreamPass, is_listed, shown};
pub(super) use mjpeg::stream;
pub(super) use socket::{ABOUT, open};

/// Viewers at once, half of them programs. All share the pictures, so each costs a connection and its bit rate.
const VIEWERS_MAX: usize = 160;

/// What setting a camera up counts for among the requests of a client: it makes this program contact others.
const SETUP_COUNT: u32 = 20;

/// How long a ticket opens a stream, seconds. A stream that is open goes on.
const TICKET_S: i64 = 300;

/// What the server keeps for streaming.
pub(super) struct Streaming {
    printer: TicketPrinter,
    rates: Mutex<ClientRates>,
    places: Places,
    /// Held while the address changes, so that two clients leave the same one on the disk and in use.
    changing: tokio::sync::Mutex<()>,
}

impl Streaming {
    /// The error says that there are no random numbers.
    pub(super) fn new(config: &StreamingConfig) -> Result<Self, String> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .map_err(|error| format!("no random numbers for the tickets of streams: {error}"))?;
        Ok(Self {
            printer: TicketPrinter::new(secret),
            rates: Mutex::new(ClientRates::new(config.per_minute)),
            places: Places::new(VIEWERS_MAX),
            changing: tokio::sync::Mutex::new(()),
        })
    }

    /// Takes `count` of what a client may ask for now.
    fn take(&self, request: &HttpRequest, count: u32) -> Result<(), ApiError> {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.take(peer(request), count, Instant::now()).map_err(|wait| {
            ApiError::too_many("more requests than STREAM_REQUESTS_PER_MINUTE allows; come again later", wait)
        })
    }
}

/// The camera that can be set up.
fn slot(state: &State) -> Result<&StreamSlot, ApiError> {
    state.captures.slot().ok_or_else(|| {
        ApiError::new(
            ErrorCode::NoSlot,
            "no camera is to be set up over the network; set CAMERA_n_STREAMING=true for one and restart",
        )
    })
}

/// The slot and where its camera is.
fn camera(state: &State) -> Result<(&StreamSlot, StreamAddress), ApiError> {
    let slot = slot(state)?;
    let address = slot.address().ok_or_else(|| {
        ApiError::new(
            ErrorCode::NoCamera,
            "no camera is set up; send its address to POST /streaming/setup-camera",
        )
    })?;
    Ok((slot, address))
}

impl From<SetupError> for ApiError {
    fn from(error: SetupError) -> Self {
        let code = match &error {
            SetupError::OffLimits(_) => ErrorCode::BadCamera,
            SetupError::Unreachable { .. } => ErrorCode::CameraAway,
            SetupError::Silent { .. } => ErrorCode::CameraSilent,
        };
        Self::new(code, error.to_string())
    }
}

/// Takes a camera's address over once the camera answers there.
pub(super) async fn set_up(
    request: HttpRequest,
    state: web::Data<State>,
    body: Result<Json<SetUpCamera>, ApiError>,
) -> Result<HttpResponse, ApiError> {
    // Other clients of that server know 422 for this, too.
    let Json(body) = body.map_err(|error| error.instead_of(ErrorCode::BadRequest, ErrorCode::BadCamera))?;
    let slot = slot(&state)?;
    state.streaming.take(&request, SETUP_COUNT)?;
    let address = StreamAddress::new(&body.ip_address, body.port.unwrap_or(80)).map_err(SetupError::from)?;
    slot.try_out(&address).await?;
    let _turn = state.streaming.changing.lock().await;
    // On the disk first, so that what holds now holds after a restart.
    state.store.set_stream_address(slot.camera(), Some(address.to_string())).await?;
    slot.put(Some(address.clone()));
    state.note(&request, Deed::CameraSetUp, &address);
    info!(camera = %slot.camera(), %address, "camera set up over the network");
    let camera_url = address.url();
    Ok(HttpResponse::Ok().json(CameraSetUp {
        success: true,
        message: format!("ESP32 camera connected successfully at {camera_url}"),
        stream_url: format!("{camera_url}/stream"),
        snapshot_url: format!("{camera_url}/capture"),
        camera_url,
    }))
}

/// Whether a camera is set up, and where.
pub(super) async fn standing(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let slot = state.captures.slot();
    let camera_url = slot.and_then(StreamSlot::address).map(|address| address.url());
    let known = slot.and_then(|slot| state.status.camera(slot.camera()));
    let is_well = known.is_some_and(|camera| camera.state != CameraState::Degraded);
    let below = |path: &str| camera_url.as_ref().map(|url| format!("{url}{path}"));
    Ok(HttpResponse::Ok().json(CameraStanding {
        success: true,
        is_connected: camera_url.is_some() && is_well,
        stream_url: below("/stream"),
        snapshot_url: below("/capture"),
        camera_url,
    }))
}

/// Forgets the camera; nothing is wrong with none being there.
pub(super) async fn disconnect(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let slot = slot(&state)?;
    let _turn = state.streaming.changing.lock().await;
    state.store.set_stream_address(slot.camera(), None).await?;
    let had_one = slot.address().is_some();
    slot.put(None);
    if had_one {
        state.note(&request, Deed::CameraDisconnected, slot.camera());
        info!(camera = %slot.camera(), "camera disconnected over the network");
    }
    let message = "ESP32 camera disconnected".to_owned();
    Ok(HttpResponse::Ok().json(Disconnected { success: true, message }))
}

/// A picture of now, not stored.
pub(super) async fn snapshot(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    super::query::Query::of(&request, parameters::TICKET)?;
    let (slot, _) = camera(&state)?;
    let jpeg = state.captures.snapshot(slot.camera()).await?;
    Ok(HttpResponse::Ok().content_type("image/jpeg").body(jpeg))
}

/// A picture of now, its size, and what is read in it where a server does that.
pub(super) async fn analyze(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let (slot, address) = camera(&state)?;
    let jpeg = state.captures.snapshot(slot.camera()).await?;
    let (width, height) = pictures::inspect(&jpeg).map_err(|error| {
        ApiError::new(ErrorCode::NoFrame, format!("the camera's picture is none: {error}"))
    })?;
    Ok(HttpResponse::Ok().json(FrameSeen {
        success: true,
        message: "Frame captured successfully".to_owned(),
        // As numpy has the shape of a picture.
        frame_size: [height, width, 3],
        image_bytes_length: jpeg.len(),
        camera_url: address.url(),
        analysis: match &state.analysis {
            Some(handle) => Some(read_now(handle, slot.camera(), jpeg).await),
            None => None,
        },
    }))
}

/// What is read in a picture of now. A server that fails takes nothing from the rest of the answer.
async fn read_now(handle: &AnalysisHandle, camera: &CameraKey, jpeg: Vec<u8>) -> FrameAnalysis {
    let taken_at = clock::now();
    let facts = AnalysisFacts {
        filename: format!("{camera}_{}.jpg", taken_at.0.div_euclid(1000)),
        camera: Some(camera.to_string()),
        taken_at: Some(taken_at),
    };
    let asked = handle.analyse_now(&facts, jpeg.into()).await;
    if let Ok(read) = &asked {
        for text in read.readings.iter().filter_map(|reading| reading.watched.as_ref()) {
            warn!(%camera, %text, "a text of the watch list was read");
        }
    }
    asked.into()
}

/// Addresses with a ticket for where no header can be sent.
pub(super) async fn links(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let until_s = clock::now().0.div_euclid(1000) + TICKET_S;
    let sig = state.streaming.printer.print(&admitted(&request)?, until_s);
    Ok(HttpResponse::Ok().json(Links {
        success: true,
        stream_url: format!("/streaming/stream?sig={sig}"),
        snapshot_url: format!("/streaming/snapshot?sig={sig}"),
        websocket_url: format!("/streaming/ws-stream?sig={sig}"),
        sig,
        expires_at: Time(UnixMs(until_s * 1000)),
    }))
}
