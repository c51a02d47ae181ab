//! Pictures, clips and the ledger: lists, files, and what can be done with them.

use std::io::Read;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::body::Json;
use super::code::ErrorCode;
use super::error::ApiError;
use super::files;
use super::query::{NumberedPage, Query, filename_of, no_image};
use super::security_log::Deed;
use super::view::event::{EventPage, EventView, SeenCount, SeenWish};
use super::view::image::{ImagePage, ImageView, Protect};
use super::{State, parameters};
use crate::clock;
use crate::media::{exif, jpeg, mp4};
use crate::model::{Cause, DeviceName, Medium, Outcome, PlateText, UploadState, hex};
use crate::store::{Cursor, Deletion, Image, ImageQuery, LedgerQuery, Page, TriggerId};

/// The thumbnail lies in the first segment of a picture, or the second box of a clip, which is at most 64 KiB long.
const HEAD: u64 = 68 * 1024;

pub(super) async fn list(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let parameters = Query::of(&request, parameters::IMAGES)?;
    let query = ImageQuery {
        camera: parameters.camera(&state.config.cameras)?,
        from: parameters.instant("from")?,
        to: parameters.instant("to")?,
        state: parameters.parsed("state", "pending, delivered, dead, skipped or lost", UploadState::parse)?,
        text: parameters.parsed("text", "1 to 24 letters and digits", PlateText::parse)?,
        medium: parameters.parsed("media_type", "image/jpeg or video/mp4", Medium::parse)?,
        cause: parameters.parsed("cause", "gpio, manual, recovered, push, ftp or import", Cause::parse)?,
        device: parameters
            .parsed("device", "a device's name, such as door", |text| DeviceName::parse(text).ok())?,
        limit: parameters.limit()?,
        cursor: parameters.cursor()?,
    };
    let text = query.text.clone();
    let numbered = parameters.numbered_page()?;
    let total = match numbered {
        Some(_) => Some(state.store.image_count(query.clone()).await?),
        None => None,
    };
    let page = match numbered {
        Some(numbered) => page_of_number(&state, query, numbered).await?,
        None => state.store.images(query).await?,
    };
    Ok(HttpResponse::Ok().json(ImagePage {
        images: page.items.into_iter().map(|image| marked(image, text.as_ref())).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
        page: numbered.map(|numbered| numbered.page),
        per_page: numbered.map(|numbered| numbered.per_page),
        total,
    }))
}

/// A picture, and how what was read in it agrees with a text that is looked for.
fn marked(image: Image, text: Option<&PlateText>) -> ImageView {
    let mut view = ImageView::from(image);
    if let (Some(text), Some(analysis)) = (text, &mut view.analysis) {
        analysis.readings.iter_mut().for_each(|reading| reading.mark(text));
    }
    view
}

/// Reads page after page up to the one that is meant; what lies behind the last picture is empty.
async fn page_of_number(
    state: &State,
    mut query: ImageQuery,
    numbered: NumberedPage,
) -> Result<Page<Image, Cursor>, ApiError> {
    let mut before = numbered.before();
    while before > 0 {
        query.limit = before.min(parameters::STRIDE);
        before -= query.limit;
        query.cursor = match state.store.images(query.clone()).await?.next {
            Some(cursor) => Some(cursor),
            None => return Ok(Page { items: Vec::new(), next: None }),
        };
    }
    query.limit = numbered.per_page;
    Ok(state.store.images(query).await?)
}

/// The ledger.
pub(super) async fn events(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, parameters::EVENTS)?;
    let query = LedgerQuery {
        camera: query.camera(&state.config.cameras)?,
        from: query.instant("from")?,
        to: query.instant("to")?,
        outcome: query.parsed("outcome", "captured, coalesced or failed", Outcome::parse)?,
        limit: query.limit()?,
        cursor: query.cursor()?,
    };
    let page = state.store.ledger(query).await?;
    Ok(HttpResponse::Ok().json(EventPage {
        events: page.items.into_iter().map(EventView::from).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// A person has seen what failed, up to a trigger that was shown.
pub(super) async fn see(
    state: web::Data<State>,
    Json(body): Json<SeenWish>,
) -> Result<HttpResponse, ApiError> {
    let seen = state.store.see_failures(TriggerId::of(body.up_to), clock::now()).await?;
    let unseen = state.store.unseen(0).await?.count;
    Ok(HttpResponse::Ok().json(SeenCount { seen, unseen }))
}

/// The picture or clip, whole or in part; with `?thumb=1` a small picture.
pub(super) async fn file(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let name = filename_of(&request)?;
    let wants_thumbnail = Query::of(&request, parameters::THUMB)?.flag("thumb")?;
    let image = state.store.image(&name).await?.ok_or_else(no_image)?;
    let etag = format!("\"{}{}\"", hex(&image.sha256), if wants_thumbnail { "-thumb" } else { "" });
    if files::is_known(&request, &etag) {
        return Ok(files::headed(StatusCode::NOT_MODIFIED, &etag).finish());
    }
    if wants_thumbnail {
        let thumbnail = thumbnail(&state, &image).await?;
        return Ok(files::headed(StatusCode::OK, &etag).content_type("image/jpeg").body(thumbnail));
    }
    sent(&request, &state, image, &etag).await
}

/// The file of a picture or clip, whole or in part.
pub(super) async fn sent(
    request: &HttpRequest,
    state: &State,
    image: Image,
    etag: &str,
) -> Result<HttpResponse, ApiError> {
    let (store, path) = (state.store.clone(), state.store.path_of(&image));
    let medium = image.filename.medium();
    let opened = web::block(move || {
        let file = store.open_image(&image)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    });
    let (file, length) = flat(opened.await).map_err(|error| files::gone(&error, &path))?;
    Ok(files::send(request, file, length, etag, medium))
}

/// The thumbnail inside the file, or one made of the picture.
async fn thumbnail(state: &State, image: &Image) -> Result<Vec<u8>, ApiError> {
    let (store, stored, medium) = (state.store.clone(), image.clone(), image.filename.medium());
    let read = web::block(move || {
        let mut file = store.open_image(&stored)?;
        let mut bytes = Vec::new();
        (&mut file).take(HEAD).read_to_end(&mut bytes)?;
        let inside = match medium {
            Medium::Jpeg => exif::thumbnail(&bytes),
            Medium::Mp4 => mp4::thumbnail(&bytes),
        };
        Ok((inside.map(<[u8]>::to_vec), file, bytes))
    });
    let path = state.store.path_of(image);
    let (inside, file, mut bytes) = flat(read.await).map_err(|error| files::gone(&error, &path))?;
    if let Some(thumbnail) = inside {
        return Ok(thumbnail);
    }
    if medium == Medium::Mp4 {
        return Err(no_thumbnail());
    }
    let stopping = || ApiError::new(ErrorCode::Stopping, "the program is shutting down");
    let _turn = state.thumbnails.acquire().await.map_err(|_| stopping())?;
    let left = image.bytes.saturating_sub(bytes.len() as u64);
    let made = web::block(move || {
        file.take(left).read_to_end(&mut bytes)?;
        jpeg::thumbnail(&bytes).ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidData))
    });
    flat(made.await).map_err(|error| {
        tracing::warn!(%error, file = %image.filename, "no thumbnail could be made");
        no_thumbnail()
    })
}

fn no_thumbnail() -> ApiError {
    ApiError::new(ErrorCode::NoThumbnail, "no small version of it can be made")
}

fn flat<T>(result: Result<std::io::Result<T>, actix_web::error::BlockingError>) -> std::io::Result<T> {
    result.unwrap_or_else(|error| Err(std::io::Error::other(error.to_string())))
}

pub(super) async fn delete(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let name = filename_of(&request)?;
    let even_if_owed = Query::of(&request, parameters::FORCE)?.flag("force")?;
    match state.store.delete_image(&name, even_if_owed).await? {
        Deletion::Deleted => {
            state.note(&request, Deed::Deleted, &name);
            Ok(HttpResponse::NoContent().finish())
        }
        Deletion::NotFound => Err(no_image()),
        Deletion::Protected => Err(ApiError::new(
            ErrorCode::Protected,
            "the picture is protected; end its protection before deleting it",
        )),
        Deletion::Owed => Err(ApiError::new(
            ErrorCode::UploadOwed,
            "the picture has not been delivered yet; ?force=true deletes it all the same",
        )),
    }
}

pub(super) async fn protect(
    request: HttpRequest,
    state: web::Data<State>,
    Json(body): Json<Protect>,
) -> Result<HttpResponse, ApiError> {
    let name = filename_of(&request)?;
    let image = state.store.protect(&name, body.protected).await?.ok_or_else(no_image)?;
    state.note(&request, if body.protected { Deed::Protected } else { Deed::Unprotected }, &name);
    Ok(HttpResponse::Ok().json(ImageView::from(image)))
}

/// Makes what was put aside or waits for its next attempt due at once.
pub(super) async fn retry(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let name = filename_of(&request)?;
    let image = state.store.retry(&name).await?.ok_or_else(no_image)?;
    state.note(&request, Deed::SentAgain, &name);
    state.store.wake_lanes();
    Ok(HttpResponse::Ok().json(ImageView::from(image)))
}
