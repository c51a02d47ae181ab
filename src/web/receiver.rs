//! The routes of the receivers before this program: the picture that came last, all of them, one of them, and another one
//! now. For people who are logged in and for programs with a token; a device that brings pictures does not see those of
//! others.

use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout_at};

use super::error::ApiError;
use super::query::Query;
use super::security_log::Deed;
use super::view::receiver::{FileList, LastReceived, ListedFile, Triggered};
use super::view::time::Time;
use super::{State, ingest, parameters};
use crate::model::{CameraKey, Cause, FileName};
use crate::store::{Change, Image};

/// A camera that pushes its picture instead of answering with it has this long, from the question on.
const PUSH_WAIT: Duration = Duration::from_secs(10);

pub(super) async fn last_image(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let newest = state.store.arrivals(1).await?.into_iter().next();
    let image = newest.ok_or_else(|| ApiError::not_found("there is no picture yet"))?;
    let url = url_of(&image.filename);
    if wants_text(&request) {
        return Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(url));
    }
    let (image_url, filename) = (url.clone(), image.filename.to_string());
    Ok(HttpResponse::Ok().json(LastReceived { success: true, url, image_url, filename }))
}

/// Whether text is asked for and no JSON; who takes anything gets JSON.
fn wants_text(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/plain") && !accept.contains("application/json"))
}

fn url_of(name: &FileName) -> String {
    format!("/uploads/{name}")
}

pub(super) async fn list(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let limit = Query::of(&request, parameters::FILES)?.up_to("limit", parameters::FILES_MAX)?;
    let root = ingest::absolute(state.store.root().to_owned()).await;
    let images = state.store.arrivals(limit).await?;
    let files: Vec<_> = images.into_iter().map(|image| listed(&root, &image)).collect();
    Ok(HttpResponse::Ok().json(FileList { success: true, count: files.len(), files }))
}

fn listed(root: &str, image: &Image) -> ListedFile {
    ListedFile {
        filename: image.filename.to_string(),
        size: image.bytes,
        path: format!("{root}/{}", image.path.display()),
        received_at: Time(image.facts.edge_at),
    }
}

/// Takes a picture and waits until it is stored: the camera's answer, or what its device brings meanwhile, whichever comes
/// first. Nothing is held while it waits, so a device may push before it answers.
pub(super) async fn trigger(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, parameters::TRIGGER)?;
    let cameras = &state.config.cameras;
    let first = || cameras.iter().find(|camera| camera.enabled).map(|camera| camera.key.clone());
    let camera = query.camera(cameras)?.or_else(first);
    let camera = camera.ok_or_else(|| ApiError::not_found("there is no camera to be asked"))?;
    state.note(&request, Deed::Captured, &camera);
    let asked = cameras.iter().find(|other| other.key == camera);
    let own = asked.map(|camera| state.config.ingest.keys_of(camera)).unwrap_or_default();
    let (limit, mut changes) = (Instant::now() + PUSH_WAIT, state.store.changes());
    let image = tokio::select! {
        taken = state.captures.take(&camera) => match taken {
            Ok(image) => image,
            Err(error) if !own.is_empty() => {
                let pushed = timeout_at(limit, pushed_of(&own, &mut changes)).await;
                pushed.ok().flatten().ok_or(error)?
            }
            Err(error) => return Err(error.into()),
        },
        Some(image) = pushed_of(&own, &mut changes), if !own.is_empty() => image,
    };
    let (url, filename) = (url_of(&image.filename), image.filename.to_string());
    let message = "the picture is stored".to_owned();
    Ok(HttpResponse::Ok().json(Triggered { success: true, message, image_url: url.clone(), url, filename }))
}

/// The next picture that a device brings under one of these keys; `None` at the end of the program.
async fn pushed_of(keys: &[&CameraKey], changes: &mut broadcast::Receiver<Change>) -> Option<Image> {
    loop {
        match changes.recv().await {
            Ok(Change::Image(image))
                if matches!(image.facts.cause, Cause::Push | Cause::Ftp)
                    && keys.contains(&&image.facts.camera) =>
            {
                return Some(*image);
            }
            // What was missed is missed; the next one is as good.
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}
