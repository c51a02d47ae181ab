//! Logging in and out, the first password, changing it, and tokens for programs.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::State;
use super::auth::NewSession;
use super::body::Json;
use super::error::ApiError;
use super::guard::{COOKIE, CSRF_HEADER};
use super::view::account::{AccessKind, AskerKind, AskerView, ChangePassword, LogIn, SetUp, WelcomeView};
use super::who::{DEVICE_COOKIE, Principal, admitted, is_https, peer, visitor};
use crate::config::WebAccess;

/// A browser is known for so long after its last log-in; longer is cut off by browsers.
const DEVICE_LIFE: actix_web::cookie::time::Duration = actix_web::cookie::time::Duration::days(400);

/// What a browser is told to forget at log-out: its copies of pictures and pages. Browsers do so over https and on this
/// machine only; over plain http no picture is shown from a copy without asking us (`files.rs`), and we refuse.
const FORGET: (&str, &str) = ("clear-site-data", "\"cache\"");

pub(super) async fn log_in(
    request: HttpRequest,
    state: web::Data<State>,
    Json(body): Json<LogIn>,
) -> Result<HttpResponse, ApiError> {
    let device = request.cookie(DEVICE_COOKIE).map(|cookie| cookie.value().to_owned());
    let visitor = visitor(&request, &state).await?;
    let session = state.auth.log_in(&visitor, device, body.password).await?;
    state.auth.describe(&request, &session).await;
    Ok(welcome(&request, session))
}

pub(super) async fn set_up(
    request: HttpRequest,
    state: web::Data<State>,
    Json(body): Json<SetUp>,
) -> Result<HttpResponse, ApiError> {
    let visitor = visitor(&request, &state).await?;
    let session = state.auth.set_up(&visitor, &body.code, body.password).await?;
    state.auth.describe(&request, &session).await;
    Ok(welcome(&request, session))
}

pub(super) async fn change_password(
    request: HttpRequest,
    state: web::Data<State>,
    Json(body): Json<ChangePassword>,
) -> Result<HttpResponse, ApiError> {
    let visitor = visitor(&request, &state).await?;
    let session = state.auth.change_password(&visitor, body.current, body.new).await?;
    state.auth.describe(&request, &session).await;
    Ok(welcome(&request, session))
}

pub(super) async fn log_out(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    if let Principal::Session { id_hash, .. } = admitted(&request)? {
        state.auth.log_out(id_hash).await?;
        state.auth.log().logged_out(peer(&request), &id_hash);
    }
    let mut gone = Cookie::build(COOKIE, "").path("/").http_only(true).same_site(SameSite::Strict).finish();
    gone.make_removal();
    Ok(HttpResponse::NoContent().cookie(gone).insert_header(FORGET).finish())
}

/// Who is asking, and the token their mutations must carry.
pub(super) async fn session(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let (kind, csrf) = match admitted(&request)? {
        Principal::Session { csrf, .. } => (AskerKind::Session, Some(csrf)),
        Principal::Token { .. } | Principal::Jwt { .. } => (AskerKind::Token, None),
        Principal::Local => (AskerKind::Local, None),
    };
    let access = match state.auth.access() {
        WebAccess::Password => AccessKind::Password,
        WebAccess::Loopback => AccessKind::Loopback,
        WebAccess::Demo => AccessKind::Demo,
    };
    let mut answer = HttpResponse::Ok();
    if let Some(csrf) = &csrf {
        answer.insert_header((CSRF_HEADER, csrf.as_str()));
    }
    Ok(answer.json(AskerView { kind, access, csrf_token: csrf }))
}

/// The answer to whoever has just come in: the cookie for the browser, the CSRF token for its script.
fn welcome(request: &HttpRequest, session: NewSession) -> HttpResponse {
    let is_https = is_https(request);
    let cookie = Cookie::build(COOKIE, session.secret)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(is_https)
        .finish();
    // Sent with guesses alone. It opens nothing: it only keeps the guesses of strangers from slowing this browser.
    let device = Cookie::build(DEVICE_COOKIE, session.device)
        .path("/api")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(is_https)
        .max_age(DEVICE_LIFE)
        .finish();
    HttpResponse::build(StatusCode::OK)
        .cookie(cookie)
        .cookie(device)
        .insert_header((CSRF_HEADER, session.csrf.as_str()))
        .json(WelcomeView { csrf_token: session.csrf })
}
