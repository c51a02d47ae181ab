//! How far a camera is behind: what holds, what the latency page measures, and taking that over.
//!
//! The page shows the time by the clock of [`clock_ms`], which it learns by round trips. A measurement lives as long as
//! its stream: it looks at the frames for a time code and says what it has found.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use tracing::info;

use super::State;
use super::body::Json;
use super::code::ErrorCode;
use super::error::ApiError;
use super::query::{Query, camera_of};
use super::route::Shape;
use super::security_log::Deed;
use super::view::closed::ClosedWord;
use super::view::latency::{
    DelayView, LATENCY_MS_MAX, LatencyKnown, LatencyTaken, LatencyView, MeasureState, MeasurementView, Taken,
};
use super::view::text;
use super::visit::{StreamPermit, Visit, why_away};
use crate::capture::latency::{FrameLook, LatencyOrigin, Looks};
use crate::config::{ClockSource, SourceConfig};
use crate::media::blockcode::BlockcodeSeen;
use crate::media::delay::{Delay, ENOUGH, Readings};
use crate::model::CameraKey;

/// The code is looked for so long: a ladder has to be climbed.
const LOOK: Duration = Duration::from_secs(180);

/// Once it was read, readings are taken for so long at most.
const READ: Duration = Duration::from_secs(20);

/// So often the page hears how it goes.
const SAY: Duration = Duration::from_millis(250);

/// Without a frame for so long the camera is away.
const NO_FRAME: Duration = Duration::from_secs(8);

/// What a measurement says, in events that have no name of their own.
pub(super) const EVENTS: &[(&str, Shape)] = &[("message", Shape::of::<MeasurementView>())];

/// What is known of a camera's latency.
pub(super) async fn known(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let camera = camera_of(&request)?;
    let config = state.config.cameras.iter().find(|config| config.key == camera);
    let config = config.ok_or_else(|| ApiError::not_found("there is no camera of that name"))?;
    Ok(HttpResponse::Ok().json(LatencyKnown {
        label: config.label.clone(),
        clock_ms: clock_ms(&state, Instant::now()),
        latency: shown(&state, &camera),
        variable: format!("CAMERA_{}_LATENCY_MS", config.number),
        camera,
    }))
}

/// The latency that holds, and where it is known from; `None` where there is none to know.
pub(super) fn shown(state: &State, camera: &CameraKey) -> Option<LatencyView> {
    let latency = state.captures.latency(camera)?;
    let ms = u64::try_from(latency.get().as_millis()).unwrap_or(u64::MAX);
    Some(LatencyView { ms, from: latency.origin().word() })
}

/// Milliseconds from the program's start to an instant.
fn clock_ms(state: &State, at: Instant) -> f64 {
    let now = Instant::now();
    let uptime = state.status.uptime().as_secs_f64();
    let ms = (uptime - now.saturating_duration_since(at).as_secs_f64()
        + at.saturating_duration_since(now).as_secs_f64())
        * 1000.0;
    (ms * 1000.0).round() / 1000.0
}

/// Takes a measured latency over, or with null forgets it.
pub(super) async fn take(
    request: HttpRequest,
    state: web::Data<State>,
    Json(body): Json<Taken>,
) -> Result<HttpResponse, ApiError> {
    let camera = camera_of(&request)?;
    let number = measurable(&state, &camera)?;
    let latency = state.captures.latency(&camera).ok_or_else(nothing_to_measure)?;
    if body.latency_ms.is_some_and(|ms| ms > LATENCY_MS_MAX) {
        return Err(ApiError::bad_request(format!("latency_ms: accepted is 0 to {LATENCY_MS_MAX}, or null")));
    }
    if latency.origin() == LatencyOrigin::Setting {
        return Err(ApiError::new(
            ErrorCode::Set,
            format!(
                "CAMERA_{number}_LATENCY_MS is set to {}, and what is set is used; change or delete that line and restart",
                latency.get().as_millis()
            ),
        ));
    }
    // On the disk first, so that what holds now holds after a restart.
    state.store.set_measured_latency(&camera, body.latency_ms).await?;
    latency.measured(body.latency_ms.map(Duration::from_millis));
    state.note(&request, Deed::LatencyTaken, &camera);
    info!(camera = %camera, latency_ms = body.latency_ms, "latency taken over as measured");
    Ok(HttpResponse::Ok().json(LatencyTaken { latency: shown(&state, &camera), camera }))
}

/// The number of a camera whose latency can be measured.
fn measurable(state: &State, camera: &CameraKey) -> Result<u8, ApiError> {
    let config = state.config.cameras.iter().find(|config| config.key == *camera);
    let config = config.ok_or_else(|| ApiError::not_found("there is no camera of that name"))?;
    match config.source {
        Some(SourceConfig::Rtsp(_)) if config.engine.clock == ClockSource::Camera => Err(ApiError::new(
            ErrorCode::CameraClock,
            format!(
                "CAMERA_{0}_CLOCK=camera takes the time from the camera's own clock, which knows its latency; to \
                 measure, delete that line and restart",
                config.number
            ),
        )),
        Some(SourceConfig::Rtsp(_)) => Ok(config.number),
        Some(SourceConfig::Snapshot(_) | SourceConfig::Slot(_)) | None => Err(nothing_to_measure()),
    }
}

fn nothing_to_measure() -> ApiError {
    ApiError::new(
        ErrorCode::NoStream,
        "this camera is asked for single pictures, or is switched off; only the latency of a stream is measured",
    )
}

/// One measurement under way.
struct Measurement {
    state: web::Data<State>,
    camera: CameraKey,
    looks: Looks,
    visit: Visit,
    readings: Readings,
    /// Frames looked at.
    frames: u64,
    /// What was seen since the page was told last: the best of it.
    seen: BlockcodeSeen,
    /// When it ends, read or not.
    until: Instant,
    is_over: bool,
    _place: StreamPermit,
}

/// Reads the time code from the camera's frames and says how it goes, as server-sent events.
pub(super) async fn read(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let camera = camera_of(&request)?;
    measurable(&state, &camera)?;
    let measurement = Measurement {
        looks: state.captures.looks(&camera).await?,
        visit: Visit::of(&request, &state)?,
        _place: state.viewers.place(&request, &camera)?,
        readings: Readings::default(),
        frames: 0,
        seen: BlockcodeSeen::Nothing,
        until: Instant::now() + LOOK,
        is_over: false,
        state,
        camera,
    };
    let body = futures_util::stream::unfold(measurement, |mut measurement| async move {
        let bytes = measurement.next().await?;
        Some((Ok::<_, actix_web::Error>(bytes), measurement))
    });
    Ok(HttpResponse::build(StatusCode::OK)
        .content_type("text/event-stream")
        // nginx would otherwise hold events back.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(body))
}

impl Measurement {
    /// The next event; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let (say_at, mut last) = (Instant::now() + SAY, Instant::now());
        loop {
            tokio::select! {
                biased;
                () = self.visit.over() => return None,
                look = self.looks.next() => {
                    self.take(look?);
                    last = Instant::now();
                }
                () = tokio::time::sleep_until((last + NO_FRAME).into()) => {
                    return Some(self.event(MeasureState::Away, Some(why_away(&self.state, &self.camera))));
                }
            }
            self.is_over = self.readings.len() >= ENOUGH || Instant::now() >= self.until;
            if self.is_over || Instant::now() >= say_at {
                break;
            }
        }
        let state = match (self.is_over, self.readings.delay(), self.seen) {
            (true, Some(_), _) => MeasureState::Done,
            (true, None, _) => MeasureState::Failed,
            (false, _, BlockcodeSeen::Code(_)) => MeasureState::Reading,
            (false, _, BlockcodeSeen::Unclear) => MeasureState::Unclear,
            (false, _, BlockcodeSeen::Nothing) => MeasureState::Looking,
        };
        let event = self.event(state, None);
        self.seen = BlockcodeSeen::Nothing;
        Some(event)
    }

    fn take(&mut self, FrameLook { sent, seen }: FrameLook) {
        self.frames += 1;
        match seen {
            BlockcodeSeen::Code(code) => {
                if self.readings.is_empty() {
                    self.until = self.until.min(Instant::now() + READ);
                }
                self.readings.push(clock_ms(&self.state, sent), code);
                self.seen = seen;
            }
            BlockcodeSeen::Unclear if self.seen == BlockcodeSeen::Nothing => self.seen = seen,
            BlockcodeSeen::Unclear | BlockcodeSeen::Nothing => {}
        }
    }

    fn event(&self, state: MeasureState, reason: Option<String>) -> Bytes {
        let tenth = |ms: f64| (ms * 10.0).round() / 10.0;
        let delay = self.readings.delay().map(|Delay { median, low, high, readings }| DelayView {
            median_ms: tenth(median),
            low_ms: tenth(low),
            high_ms: tenth(high),
            readings,
        });
        let said = MeasurementView {
            state,
            reason,
            frames: self.frames,
            readings: self.readings.len(),
            enough: ENOUGH,
            delay,
        };
        Bytes::from(format!("data: {}\n\n", text(&said)))
    }
}
