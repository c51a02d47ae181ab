//! A target is tried out at the press of a button, as `--test-upload` does it: one at a time, and not too often.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::{HttpRequest, HttpResponse, web};

use super::State;
use super::error::ApiError;
use super::security_log::Deed;
use super::view::target::TestView;
use crate::config::UploadConfig;
use crate::model::TargetId;
use crate::targets::try_out as try_out_target;

/// All of it ends within so long: proxies before the dashboard end an answer after a minute, and so does the page.
const LIMIT: Duration = Duration::from_secs(45);

/// Between the beginnings of two tests. Each sends a picture to a server of somebody else.
const PAUSE: Duration = Duration::from_secs(5);

/// Who may try out a target, and when.
#[derive(Default)]
pub(super) struct Tryouts(Mutex<Turns>);

#[derive(Clone, Copy, Default)]
struct Turns {
    is_busy: bool,
    began_at: Option<Instant>,
}

/// A test under way; it ends with this value.
struct Turn<'a>(&'a Tryouts);

impl Tryouts {
    /// Begins one, or says how long to wait.
    fn begin(&self, now: Instant) -> Result<Turn<'_>, ApiError> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.is_busy {
            return Err(ApiError::too_many(
                "a target is being tested at this moment; wait for its end",
                PAUSE,
            ));
        }
        let since = turns.began_at.map(|at| now.saturating_duration_since(at));
        if let Some(wait) = since.and_then(|since| PAUSE.checked_sub(since)).filter(|wait| !wait.is_zero()) {
            let seconds = wait.as_secs() + 1;
            let message = format!("the last test has only just begun; the next one may in {seconds} s");
            return Err(ApiError::too_many(message, wait));
        }
        *turns = Turns { is_busy: true, began_at: Some(now) };
        Ok(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).is_busy = false;
    }
}

/// Sends a test picture to a target, and tells what was seen on the way.
pub(super) async fn try_out(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let id = target_of(&request, &state.config.upload)?;
    let _turn = state.tryouts.begin(Instant::now())?;
    state.note(&request, Deed::TargetTested, id);
    let upload = &state.config.upload;
    let report = Box::pin(try_out_target(upload, id, Some(LIMIT), &mut |_| {})).await;
    let report = report.ok_or_else(|| unknown(upload))?;
    Ok(HttpResponse::Ok().json(TestView::from(report)))
}

/// The target in the path, if it is in use.
fn target_of(request: &HttpRequest, upload: &UploadConfig) -> Result<TargetId, ApiError> {
    let named = TargetId::parse(request.match_info().query("target"));
    named.filter(|id| upload.in_use().any(|used| used == *id)).ok_or_else(|| unknown(upload))
}

fn unknown(upload: &UploadConfig) -> ApiError {
    let there: Vec<&str> = upload.in_use().map(TargetId::as_str).collect();
    let list = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    ApiError::not_found(format!("that upload target is not in use; there are: {list}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError as _;

    fn refused(tryouts: &Tryouts, now: Instant) -> (u16, String) {
        let answer = tryouts.begin(now).err().map(|error| error.error_response());
        answer.map_or((200, String::new()), |answer| {
            let wait = answer.headers().get("retry-after").map(|wait| wait.to_str().unwrap().to_owned());
            (answer.status().as_u16(), wait.unwrap_or_default())
        })
    }

    #[test]
    fn one_test_runs_at_a_time_and_the_next_one_waits_a_little() {
        let (tryouts, now) = (Tryouts::default(), Instant::now());
        let turn = tryouts.begin(now).ok().unwrap();
        let later = now + Duration::from_secs(40);
        assert_eq!(refused(&tryouts, later).0, 429, "one is under way");
        drop(turn);
        assert_eq!(refused(&tryouts, now + Duration::from_secs(2)), (429, "3".to_owned()));
        assert_eq!(refused(&tryouts, now + PAUSE).0, 200);
        assert_eq!(refused(&tryouts, now + PAUSE).0, 429, "one that was given up counts, too");
    }
}
