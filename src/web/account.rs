//! Logging in and out, the first password, changing it, and tokens for programs.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::State;
use super::auth::{NewSession, Principal};
use super::body::Json;
use super::error::ApiError;
use super::guard::{COOKIE, CSRF_HEADER, admitted, peer};
use crate::config::WebAccess;

/// Characters in the name of a token.
const TOKEN_NAME_MAX: usize = 64;

/// What a browser is told to forget at log-out: its copies of pictures and pages. Browsers do so over https and on this
/// machine only; over plain http no picture is shown from a copy without asking us (`files.rs`), and we refuse.
const FORGET: (&str, &str) = ("clear-site-data", "\"cache\"");

#[derive(Deserialize)]
pub(super) struct LogIn {
    password: String,
}

#[derive(Deserialize)]
pub(super) struct SetUp {
    code: String,
    password: String,
}

#[derive(Deserialize)]
pub(super) struct ChangePassword {
    current: String,
    new: String,
}

#[derive(Deserialize)]
pub(super) struct NewToken {
    name: String,
}

pub(super) async fn log_in(
    request: HttpRequest,
    state: web::Data<State>,
    Json(body): Json<LogIn>,
) -> Result<HttpResponse, ApiError> {
    let session = state.auth.log_in(peer(&request), body.password).await?;
    Ok(welcome(&request, session))
}

pub(super) async fn set_up(
    request: HttpRequest,
    state: web::Data<State>,
    Json(body): Json<SetUp>,
) -> Result<HttpResponse, ApiError> {
    let session = state.auth.set_up(peer(&request), &body.code, body.password).await?;
    Ok(welcome(&request, session))
}

pub(super) async fn change_password(
    request: HttpRequest,
    state: web::Data<State>,
    Json(body): Json<ChangePassword>,
) -> Result<HttpResponse, ApiError> {
    let session = state.auth.change_password(peer(&request), body.current, body.new).await?;
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
        Principal::Session { csrf, .. } => ("session", Some(csrf)),
        Principal::Token { .. } => ("token", None),
        Principal::Local => ("local", None),
    };
    let access = match state.auth.access() {
        WebAccess::Password => "password",
        WebAccess::Loopback => "loopback",
        WebAccess::Demo => "demo",
    };
    let mut answer = HttpResponse::Ok();
    if let Some(csrf) = &csrf {
        answer.insert_header((CSRF_HEADER, csrf.as_str()));
    }
    Ok(answer.json(json!({"kind": kind, "access": access, "csrf_token": csrf})))
}

pub(super) async fn tokens(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let tokens: Vec<_> = state
        .store
        .tokens()
        .await?
        .into_iter()
        .map(|token| json!({"id": token.id, "name": token.name, "created_at": token.created_at.rfc3339()}))
        .collect();
    Ok(HttpResponse::Ok().json(json!({"tokens": tokens})))
}

pub(super) async fn new_token(
    request: HttpRequest,
    state: web::Data<State>,
    Json(body): Json<NewToken>,
) -> Result<HttpResponse, ApiError> {
    let name = body.name.trim().to_owned();
    let length = name.chars().count();
    if !(1..=TOKEN_NAME_MAX).contains(&length) || name.chars().any(char::is_control) {
        return Err(ApiError::bad_request(format!("name: accepted are 1 to {TOKEN_NAME_MAX} characters")));
    }
    let (token, secret) = state.auth.new_token(name).await?;
    state.auth.log().token_made(peer(&request), token.id, &token.name);
    Ok(HttpResponse::Created().json(json!({
        "id": token.id,
        "name": token.name,
        "created_at": token.created_at.rfc3339(),
        "token": secret,
    })))
}

pub(super) async fn delete_token(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let id = request.match_info().get("id").and_then(|id| id.parse().ok());
    let was_there = match id {
        Some(id) => state.auth.delete_token(id).await?,
        None => false,
    };
    if !was_there {
        return Err(ApiError::not_found("there is no token of that number"));
    }
    if let Some(id) = id {
        state.auth.log().token_revoked(peer(&request), id);
    }
    Ok(HttpResponse::NoContent().finish())
}

/// The answer to whoever has just come in: the cookie for the browser, the CSRF token for its script.
fn welcome(request: &HttpRequest, session: NewSession) -> HttpResponse {
    // A proxy that speaks TLS says so; the attribute can only narrow where the cookie goes.
    let is_https = request.headers().get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let cookie = Cookie::build(COOKIE, session.secret)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(is_https)
        .finish();
    HttpResponse::build(StatusCode::OK)
        .cookie(cookie)
        .insert_header((CSRF_HEADER, session.csrf.as_str()))
        .json(json!({"csrf_token": session.csrf}))
}
