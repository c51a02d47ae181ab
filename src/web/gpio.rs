//! The contacts: how they stand, and closing simulated ones.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};

use super::State;
use super::body::Json;
use super::code::ErrorCode;
use super::error::ApiError;
use super::query::camera_of;
use super::security_log::Deed;
use super::view::closed::ClosedWord;
use super::view::contact::{GpioView, SimulatedView};
use super::view::simulation::{PULSE_MS_MAX, Simulation};
use crate::config::ActiveLevel;
use crate::gpio::Level;
use crate::model::CameraKey;

pub(super) async fn status(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(GpioView::from(state.status.gpio()))
}

/// `level` is the electrical one and stays; `pulse_ms` closes the contact for that long and opens it again.
pub(super) async fn simulate(
    request: HttpRequest,
    state: web::Data<State>,
    Json(body): Json<Simulation>,
) -> Result<HttpResponse, ApiError> {
    let Some(sim) = state.sim.clone() else {
        return Err(ApiError::not_found("contacts are simulated only with GPIO_BACKEND=sim"));
    };
    let key = camera_of(&request)?;
    let Some(camera) = state.config.cameras.iter().find(|camera| camera.key == key) else {
        return Err(ApiError::not_found(format!("there is no camera {key}")));
    };
    let Some(pin) = camera.pin else {
        return Err(ApiError::new(ErrorCode::NoContact, format!("camera {key} has no contact")));
    };
    state.note(&request, Deed::Simulated, &key);
    let (closed, open) = match state.config.gpio.active {
        ActiveLevel::Low => (Level::Low, Level::High),
        ActiveLevel::High => (Level::High, Level::Low),
    };
    let level = match (body.level.as_deref(), body.pulse_ms) {
        (Some("low"), None) => Level::Low,
        (Some("high"), None) => Level::High,
        (None, Some(ms @ 1..=PULSE_MS_MAX)) => {
            let pulse = async move {
                sim(pin, closed);
                tokio::time::sleep(Duration::from_millis(ms)).await;
                sim(pin, open);
            };
            // A task of its own: a browser that goes away must not leave the contact closed.
            if actix_web::rt::spawn(pulse).await.is_err() {
                return Err(ApiError::new(ErrorCode::Stopping, "the program is shutting down"));
            }
            return Ok(answer(key, pin, open));
        }
        _ => {
            return Err(ApiError::bad_request(format!(
                "accepted is {{\"level\": \"low\" or \"high\"}} or {{\"pulse_ms\": 1 to {PULSE_MS_MAX}}}"
            )));
        }
    };
    sim(pin, level);
    Ok(answer(key, pin, level))
}

fn answer(camera: CameraKey, pin: u8, level: Level) -> HttpResponse {
    HttpResponse::Ok().json(SimulatedView { camera, pin, level: level.word() })
}
