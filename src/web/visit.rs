//! Whoever keeps a stream open: whether they still may, and how many look at a camera.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, web};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Interval, MissedTickBehavior};

use super::State;
use super::code::ErrorCode;
use super::error::ApiError;
use super::parameters::{FPS, FPS_MAX, WIDTH, WIDTHS};
use super::query::Query;
use super::security_log::Looking;
use super::who::{Principal, admitted};
use crate::capture::live::Wish;
use crate::model::CameraKey;

/// Viewers of one camera at once. Each takes its bit rate from the network; the eighth fills that of a small computer.
const VIEWERS_MAX: usize = 8;

/// The session is looked at this often, beside when one was revoked: it may have run out.
const RECHECK: Duration = Duration::from_secs(30);

/// A viewer who takes nothing for so long has gone without a word.
pub(super) const STALLED: Duration = Duration::from_secs(15);

/// Someone who was let in and stays.
pub(super) struct Visit {
    state: web::Data<State>,
    principal: Principal,
    revocations: watch::Receiver<u64>,
    recheck: Interval,
    /// Something was revoked, or it is time; kept while the store is asked, which may be interrupted.
    is_doubtful: bool,
}

impl Visit {
    pub(super) fn of(request: &HttpRequest, state: &web::Data<State>) -> Result<Self, ApiError> {
        Ok(Self {
            principal: admitted(request)?,
            revocations: state.auth.revocations(),
            recheck: interval(RECHECK),
            state: state.clone(),
            is_doubtful: false,
        })
    }

    /// Waits until the program ends or the visitor may not stay: logged out, expired, revoked. Safe to drop.
    pub(super) async fn over(&mut self) {
        let cancel = self.state.cancel.clone();
        loop {
            if !self.is_doubtful {
                tokio::select! {
                    () = cancel.cancelled() => return,
                    _ = self.revocations.changed() => {}
                    _ = self.recheck.tick() => {}
                }
                self.is_doubtful = true;
            }
            // When the store cannot say, the stream ends: the browser comes back and is asked again.
            if !self.state.auth.is_still_welcome(&self.principal).await.unwrap_or(false) {
                return;
            }
            self.is_doubtful = false;
        }
    }
}

/// A timer whose first tick comes after one period.
pub(super) fn interval(period: Duration) -> Interval {
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Places of which programs together may take only half, so that a person always finds one.
pub(super) struct Places {
    all: Arc<Semaphore>,
    of_programs: Arc<Semaphore>,
}

/// A place that is taken until it is dropped.
pub(super) struct StreamPermit {
    _one: OwnedSemaphorePermit,
    _of_programs: Option<OwnedSemaphorePermit>,
    _looking: Option<Looking>,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(count)), of_programs: Arc::new(Semaphore::new(count / 2)) }
    }

    /// A place for whoever asks; `None` if there is none for such as them.
    pub(super) fn take(&self, principal: &Principal) -> Option<StreamPermit> {
        let of_programs = match principal {
            Principal::Token { .. } | Principal::Jwt { .. } => {
                Some(Arc::clone(&self.of_programs).try_acquire_owned().ok()?)
            }
            Principal::Session { .. } | Principal::Local => None,
        };
        let one = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(StreamPermit { _one: one, _of_programs: of_programs, _looking: None })
    }

    /// A place for whoever asks before a camera, kept until dropped and written down.
    pub(super) fn look(
        &self,
        request: &HttpRequest,
        camera: &CameraKey,
    ) -> Result<Option<StreamPermit>, ApiError> {
        let place = self.take(&admitted(request)?);
        Ok(place.map(|place| StreamPermit { _looking: Looking::begin(request, camera), ..place }))
    }
}

/// The places before each camera.
pub(super) struct Viewers(HashMap<CameraKey, Places>);

impl Viewers {
    pub(super) fn new(cameras: impl Iterator<Item = CameraKey>) -> Self {
        Self(cameras.map(|key| (key, Places::new(VIEWERS_MAX))).collect())
    }

    /// A place before a camera, kept until dropped.
    pub(super) fn place(&self, request: &HttpRequest, camera: &CameraKey) -> Result<StreamPermit, ApiError> {
        let places =
            self.0.get(camera).ok_or_else(|| ApiError::not_found("there is no camera of that name"))?;
        places.look(request, camera)?.ok_or_else(|| {
            ApiError::new(
                ErrorCode::TooManyViewers,
                format!(
                    "at most {VIEWERS_MAX} viewers look at a camera at once, half of them programs; close one"
                ),
            )
        })
    }
}

/// `fps` and `width` of a query string.
pub(super) fn wish(query: &Query) -> Result<Wish, ApiError> {
    let fps = query.parsed("fps", &format!("1 to {FPS_MAX}"), |text| {
        text.parse().ok().filter(|fps| (1..=FPS_MAX).contains(fps))
    })?;
    let width = query.parsed("width", &format!("{} to {}", WIDTHS.start(), WIDTHS.end()), |text| {
        text.parse().ok().filter(|width| WIDTHS.contains(width))
    })?;
    Ok(Wish { fps: fps.unwrap_or(FPS), width: width.unwrap_or(WIDTH) })
}

/// Why a camera shows nothing, for people.
pub(super) fn why_away(state: &State, camera: &CameraKey) -> String {
    let reason = state.status.camera(camera).and_then(|camera| camera.last_error);
    reason.map_or_else(|| format!("camera {camera} sends no picture at present"), |reason| reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Scope;

    #[test]
    fn programs_take_half_of_the_places_and_persons_all_that_are_left() {
        let program = Principal::Token { hash: [0; 32], id: 1, scope: Scope::Full };
        let person = Principal::Session { id_hash: [0; 32], csrf: String::new() };
        let places = Places::new(4);
        let taken: Vec<_> = (0..4).filter_map(|_| places.take(&program)).collect();
        assert_eq!(taken.len(), 2);
        let persons: Vec<_> = (0..4).filter_map(|_| places.take(&person)).collect();
        assert_eq!(persons.len(), 2);
        drop(taken);
        assert!(places.take(&program).is_some());
    }
}
