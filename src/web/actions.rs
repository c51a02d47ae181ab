//! What can be asked for: a picture now, a look through a camera, a retention run.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use tokio::sync::watch;

use super::State;
use super::body::OptionalJson;
use super::code::ErrorCode;
use super::error::ApiError;
use super::query::camera_of;
use super::security_log::Deed;
use super::view::image::ImageView;
use super::view::retention::{CleanUp, ReportView};
use crate::store::Image;

/// With `BACKGROUND_UPLOAD=false` an answer waits this long for the first attempt at delivery.
const FIRST_ATTEMPT: Duration = Duration::from_secs(30);

/// How often the queue is asked, whatever is committed meanwhile.
const ASK_AGAIN: Duration = Duration::from_millis(500);

pub(super) async fn capture(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let camera = camera_of(&request)?;
    state.note(&request, Deed::Captured, &camera);
    let mut commits = state.store.commits();
    let image = state.captures.take(&camera).await?;
    let mut answer = image.clone();
    if !state.config.upload.background {
        // Whether it was delivered is in the answer; that it was not in time is no failure of the capture.
        let _ = tokio::time::timeout(FIRST_ATTEMPT, first_attempt(&state, &image, &mut commits)).await;
        if let Some(image) = state.store.image(&image.filename).await? {
            answer = image;
        }
    }
    Ok(HttpResponse::Created()
        .insert_header(("Location", format!("/api/images/{}", answer.filename)))
        .json(ImageView::from(answer)))
}

async fn first_attempt(
    state: &State,
    image: &Image,
    commits: &mut watch::Receiver<u64>,
) -> Result<(), ApiError> {
    while state.store.is_untried(image.facts.id).await? {
        tokio::select! {
            () = state.cancel.cancelled() => return Ok(()),
            () = tokio::time::sleep(ASK_AGAIN) => {}
            _ = commits.changed() => {}
        }
    }
    Ok(())
}

pub(super) async fn snapshot(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let jpeg = state.captures.snapshot(&camera_of(&request)?).await?;
    Ok(HttpResponse::Ok().content_type("image/jpeg").body(jpeg))
}

/// One retention run, or with `{"dry_run": true}` what it would do.
pub(super) async fn clean_up(
    request: HttpRequest,
    state: web::Data<State>,
    OptionalJson(body): OptionalJson<CleanUp>,
) -> Result<HttpResponse, ApiError> {
    let report = if body.dry_run {
        state.retention.preview().await
    } else {
        state.note(&request, Deed::CleanedUp, "");
        state.retention.run_now().await
    };
    let report = report.map_err(|message| ApiError::new(ErrorCode::RetentionFailed, message))?;
    Ok(HttpResponse::Ok().json(ReportView::from(report)))
}
