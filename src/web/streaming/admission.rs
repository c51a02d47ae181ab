//! Who asks for what is streamed: a token of ours or of another program, a ticket, or the session of a browser. What stands
//! in an address is written down nowhere.

use std::borrow::Cow;

use actix_web::http::Method;
use actix_web::http::header;
use actix_web::{HttpRequest, web};

use super::{cors, jwt};
use crate::clock;
use crate::store::Scope;
use crate::web::State;
use crate::web::error::ApiError;
use crate::web::who::Principal;

/// Where pictures are, as browsers ask for them without a header.
const SHOWN: &[&str] = &["/streaming/snapshot", "/streaming/stream", "/streaming/ws-stream"];

/// What a request shows of who asks.
pub(in crate::web) enum StreamPass {
    /// Something that no browser sends along by itself, and whose it is, if it counts.
    Owner(Option<Principal>),
    /// A token of ours, or nothing but what a browser sends along.
    Usual,
}

/// Looks at what is shown beside what is shown everywhere: a token of another program, a ticket, a token as a protocol.
pub(in crate::web) async fn shown(request: &HttpRequest) -> Result<StreamPass, ApiError> {
    let Some(state) = request.app_data::<web::Data<State>>() else { return Ok(StreamPass::Usual) };
    state.streaming.take(request, 1)?;
    let headers = request.headers();
    if headers.contains_key(header::AUTHORIZATION) {
        let token = bearer(request).filter(|token| jwt::is_one(token));
        return Ok(token.map_or(StreamPass::Usual, |token| StreamPass::Owner(by_jwt(state, token))));
    }
    if let Some(ticket) = of_query(request, "sig") {
        return Ok(StreamPass::Owner(by_ticket(state, &ticket).await?));
    }
    // Elsewhere an address with a token would stay behind: in the history of a browser, and as what was followed.
    if !headers.contains_key(header::UPGRADE) {
        return Ok(StreamPass::Usual);
    }
    let Some(token) = protocol(request).or_else(|| of_query(request, "token")) else {
        return Ok(StreamPass::Usual);
    };
    Ok(StreamPass::Owner(if jwt::is_one(&token) {
        by_jwt(state, &token)
    } else {
        state.auth.by_token(&token).await.map_err(|error| ApiError::of_store_for_strangers(&error))?
    }))
}

/// Whether a request comes from a page of a listed origin.
pub(in crate::web) fn is_listed(request: &HttpRequest) -> bool {
    request
        .app_data::<web::Data<State>>()
        .is_some_and(|state| cors::listed(request.headers(), &state.config.web.cors_origins).is_some())
}

/// What an `Authorization` header says after `Bearer`.
fn bearer(request: &HttpRequest) -> Option<&str> {
    let said = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = said.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The token of `new WebSocket(url, ["bearer", token])`.
fn protocol(request: &HttpRequest) -> Option<Cow<'_, str>> {
    let said = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let (kind, token) = said.split_once(',')?;
    (kind.trim() == super::socket::PROTOCOL).then(|| token.trim().into())
}

/// What stands in the address, where something is shown and nothing else happens: with a ticket nothing is changed, and no
/// other ticket is had, or one would last for ever.
fn of_query<'a>(request: &'a HttpRequest, wanted: &str) -> Option<Cow<'a, str>> {
    if request.method() != Method::GET || !SHOWN.contains(&request.path()) {
        return None;
    }
    let mut pairs = url::form_urlencoded::parse(request.query_string().as_bytes());
    pairs.find(|(name, _)| name == wanted).map(|(_, said)| said)
}

fn now_s() -> i64 {
    clock::now().0.div_euclid(1000)
}

fn by_jwt(state: &State, token: &str) -> Option<Principal> {
    let config = state.config.streaming.jwt.as_ref()?;
    let otherwise = Scope::parse(config.scope)?;
    let claims = jwt::verify(token, config.secret.reveal().as_bytes(), otherwise, now_s()).ok()?;
    Some(Principal::Jwt { scope: claims.scope, until_s: claims.until_s })
}

/// A ticket is worth what its owner is worth now.
async fn by_ticket(state: &State, ticket: &str) -> Result<Option<Principal>, ApiError> {
    let Some(owner) = state.streaming.printer.read(ticket, now_s()) else { return Ok(None) };
    let is_welcome = state.auth.is_still_welcome(&owner).await;
    let is_welcome = is_welcome.map_err(|error| ApiError::of_store_for_strangers(&error))?;
    Ok(is_welcome.then_some(owner))
}
