//! What was refused and kept, for whoever mends the device: a list, each as bytes and never as a page, and gone by hand.

use std::io;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::State;
use super::code::ErrorCode;
use super::error::ApiError;
use super::security_log::Deed;
use super::view::quarantine::{QuarantineList, QuarantinedView};
use crate::store::RefusedFolder;

/// Whatever it is, it is saved and not shown: nobody knows what a stranger has put into it.
const CSP: &str = "default-src 'none'; sandbox";

/// What was refused, the newest first.
pub(super) async fn list(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let Some((folder, _)) = state.guard.refused().await else {
        return Ok(HttpResponse::Ok().json(QuarantineList { pictures: Vec::new(), bytes_max: None }));
    };
    let bytes_max = Some(folder.bytes_max());
    let mut pictures = blocking(&folder, RefusedFolder::list).await?;
    pictures.reverse();
    let pictures = pictures.into_iter().map(QuarantinedView::from).collect();
    Ok(HttpResponse::Ok().json(QuarantineList { pictures, bytes_max }))
}

/// One of them, as it came.
pub(super) async fn file(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let (folder, name) = asked(&request, &state).await?;
    let wanted = name.clone();
    let bytes = blocking(&folder, move |folder| folder.read(&wanted)).await?.ok_or_else(absent)?;
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header((header::CONTENT_SECURITY_POLICY, CSP))
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .body(bytes))
}

/// Deletes one of them.
pub(super) async fn delete(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let (folder, name) = asked(&request, &state).await?;
    let gone = name.clone();
    if !blocking(&folder, move |folder| folder.remove(&gone)).await? {
        return Err(absent());
    }
    state.note(&request, Deed::RefusedDeleted, name);
    Ok(HttpResponse::NoContent().finish())
}

async fn asked(request: &HttpRequest, state: &State) -> Result<(Arc<RefusedFolder>, String), ApiError> {
    let name = request.match_info().get("name").ok_or_else(absent)?;
    let (folder, _) = state.guard.refused().await.ok_or_else(absent)?;
    Ok((folder, name.to_owned()))
}

fn absent() -> ApiError {
    ApiError::not_found("no refused picture of that name is kept; it may have gone for newer ones")
}

async fn blocking<T: Send + 'static>(
    folder: &Arc<RefusedFolder>,
    act: impl FnOnce(&RefusedFolder) -> io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let asked = Arc::clone(folder);
    let done = web::block(move || act(&asked)).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|error| {
        let words = format!(
            "cannot read the refused pictures in {}: {error}; is its disk there?",
            folder.place().display()
        );
        ApiError::new(ErrorCode::StoreFailed, words)
    })
}
