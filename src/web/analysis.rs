//! What was read in pictures: shown, asked for, confirmed and corrected by people.

use actix_web::{HttpRequest, HttpResponse, web};

use super::State;
use super::body::Json;
use super::code::ErrorCode;
use super::error::ApiError;
use super::query::{filename_of, no_image};
use super::security_log::Deed;
use super::view::analyses::{
    AnalysesOwed, AnalysesView, AnalysisAnswerView, CorrectionWish, WatchedSeen, WatchedSeenCount,
    WatchedView,
};
use super::view::analysis::words_of_server;
use super::view::image::ImageView;
use super::view::time::Time;
use super::who::{Principal, admitted, peer};
use crate::clock;
use crate::model::{Medium, PlateText};
use crate::store::{Spending, TextCorrection};
use crate::upload::watched;

/// Pictures in a list of what is to be done.
const LISTED_MAX: u32 = 20;

/// Longest text of a person, characters.
const TEXT_CHARS_MAX: usize = 64;

/// How everything stands.
pub(super) async fn overview(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let counts = state.store.analysis_counts().await?;
    let news = state.store.watched_news().await?;
    let status = state.status.analysis();
    let (config, spent) = match &state.analysis {
        Some(handle) => (Some(handle.config()), handle.spent().await?),
        None => (None, Spending::default()),
    };
    let views = |images: Vec<_>| images.into_iter().map(ImageView::from).collect();
    Ok(HttpResponse::Ok().json(AnalysesView {
        enabled: config.is_some(),
        min_score: config.map(|config| config.min_score),
        waiting: counts.waiting,
        dead: counts.dead,
        unsure: counts.unsure,
        paused_until: status.pause.map(|(until, _)| Time(until)),
        paused_by: status.pause.map(|(_, cause)| cause),
        last_error: status.last_error.map(|fault| words_of_server(&fault.to_string())),
        asked_today: spent.day,
        asked_this_month: spent.month,
        per_day: config.and_then(|config| config.per_day),
        per_month: config.and_then(|config| config.per_month),
        to_check: views(state.store.unsure_readings(LISTED_MAX).await?),
        put_aside: views(state.store.dead_analyses(LISTED_MAX).await?),
        watch: config.map(|config| config.watch.iter().map(WatchedView::from).collect()).unwrap_or_default(),
        watched_unseen: news.count,
        watched_up_to: news.newest.map(|newest| newest.reading),
        watched: views(state.store.watched_images(LISTED_MAX).await?),
    }))
}

/// A person has seen which texts of the watch list were read, up to one that was shown.
pub(super) async fn see(
    request: HttpRequest,
    state: web::Data<State>,
    Json(body): Json<WatchedSeen>,
) -> Result<HttpResponse, ApiError> {
    let seen = state.store.see_watched(body.up_to, clock::now()).await?;
    let unseen = state.store.watched_news().await?.count;
    state.note(&request, Deed::WatchedSeen, seen);
    Ok(HttpResponse::Ok().json(WatchedSeenCount { seen, unseen }))
}

/// Everything that was put aside is asked about again.
pub(super) async fn retry(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    is_there_a_server(&state)?;
    let owed = state.store.retry_analyses().await?;
    state.note(&request, Deed::AnalysesRetried, owed);
    state.store.wake_lanes();
    Ok(HttpResponse::Ok().json(AnalysesOwed { owed }))
}

/// What the server said of a picture.
pub(super) async fn answer(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let name = filename_of(&request)?;
    state.store.image(&name).await?.ok_or_else(no_image)?;
    let answer = state.store.analysis_answer(&name).await?;
    Ok(HttpResponse::Ok().json(AnalysisAnswerView { answer }))
}

/// A picture is asked about at once; the answer comes with the live changes.
pub(super) async fn analyse(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    is_there_a_server(&state)?;
    let name = filename_of(&request)?;
    if name.medium() != Medium::Jpeg {
        return Err(ApiError::bad_request("a clip cannot be analysed; its picture can"));
    }
    let image = state.store.analyse(&name).await?.ok_or_else(no_image)?;
    state.note(&request, Deed::Analysed, &name);
    state.store.wake_lanes();
    Ok(HttpResponse::Ok().json(ImageView::from(image)))
}

/// A person confirms or corrects what was read.
pub(super) async fn correct(
    request: HttpRequest,
    state: web::Data<State>,
    Json(body): Json<CorrectionWish>,
) -> Result<HttpResponse, ApiError> {
    let name = filename_of(&request)?;
    let no_reading =
        || ApiError::not_found("nothing of that number was read in this picture; it may have been read anew");
    let reading =
        request.match_info().get("reading").and_then(|text| text.parse().ok()).ok_or_else(no_reading)?;
    let text = body.text.trim().to_owned();
    let is_short = text.chars().count() <= TEXT_CHARS_MAX;
    if !is_short || !(text.is_empty() || PlateText::parse(&text).is_some()) {
        return Err(ApiError::bad_request(
            "text: accepted are 1 to 24 letters and digits, blanks and dashes beside them, or nothing if it is no text",
        ));
    }
    let watch = state.analysis.as_ref().map(|handle| &handle.config().watch);
    let watched = watch.and_then(|watch| watched(watch, &text));
    let correction = TextCorrection { text, by: named(&request)?, at: clock::now(), watched };
    let image = state.store.correct_reading(&name, reading, correction).await?.ok_or_else(no_reading)?;
    state.note(&request, Deed::ReadingChecked, &name);
    Ok(HttpResponse::Ok().json(ImageView::from(image)))
}

/// Who asks, for people.
fn named(request: &HttpRequest) -> Result<String, ApiError> {
    let peer = peer(request);
    Ok(match admitted(request)? {
        Principal::Session { .. } => format!("a person at {peer}"),
        Principal::Token { id, .. } => format!("a program with token {id} at {peer}"),
        Principal::Jwt { .. } => format!("a program with a signed token at {peer}"),
        Principal::Local => "somebody at this machine".to_owned(),
    })
}

fn is_there_a_server(state: &State) -> Result<(), ApiError> {
    match &state.analysis {
        Some(_) => Ok(()),
        None => Err(ApiError::new(ErrorCode::AnalysisOff, "no server reads pictures here; set ANALYSE_URL")),
    }
}
