//! Who asks for what is streamed: a token of ours or of another program, a ticket, or the session of a browser.

use actix_web::http::Method;
use actix_web::http::header;
use actix_web::{HttpRequest, web};

use super::{cors, jwt};
use crate::clock;
use crate::store::Scope;
use crate::web::State;
use crate::web::error::ApiError;
use crate::web::guard::{self, has_own_origin, is_same_origin};
use crate::web::who::Principal;

/// Who asks, and how they are known.
pub(in crate::web) struct Admitted {
    pub(in crate::web) who: Principal,
    /// By something that no browser sends along by itself.
    pub(in crate::web) is_shown: bool,
}

/// Who asks, if it is anyone who may look. What a browser sends along by itself counts only for our own pages.
pub(in crate::web) async fn admit(request: &HttpRequest) -> Result<Option<Admitted>, ApiError> {
    let Some(state) = request.app_data::<web::Data<State>>() else { return Ok(None) };
    state.streaming.take(request, 1)?;
    let headers = request.headers();
    let is_websocket = headers.contains_key(header::UPGRADE);
    let origins = &state.config.web.cors_origins;
    if is_websocket && !has_own_origin(headers) && cors::listed(headers, origins).is_none() {
        return Err(guard::foreign_origin(request));
    }
    let is_bearer = headers.contains_key(header::AUTHORIZATION);
    let shown = if is_bearer {
        match bearer(request).filter(|token| jwt::is_one(token)) {
            Some(token) => by_jwt(state, token),
            // A token of ours, or none.
            None => guard::principal(request).await?,
        }
    } else if let Some(ticket) = ticket(request) {
        by_ticket(state, &ticket).await?
    } else if let Some(token) = protocol(request).filter(|_| is_websocket) {
        match jwt::is_one(token) {
            true => by_jwt(state, token),
            false => {
                state.auth.by_token(token).await.map_err(|error| ApiError::of_store_for_strangers(&error))?
            }
        }
    } else {
        if !is_same_origin(headers) {
            // A page of another site: its reader's session is not for it.
            return Ok(None);
        }
        return Ok(guard::principal(request).await?.map(|who| Admitted { who, is_shown: false }));
    };
    if shown.is_none() {
        guard::token_refused(request);
    }
    Ok(shown.map(|who| Admitted { who, is_shown: true }))
}

/// What an `Authorization` header says after `Bearer`.
fn bearer(request: &HttpRequest) -> Option<&str> {
    let said = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = said.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The token of `new WebSocket(url, ["bearer", token])`.
fn protocol(request: &HttpRequest) -> Option<&str> {
    let said = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let (kind, token) = said.split_once(',')?;
    (kind.trim() == super::socket::PROTOCOL).then(|| token.trim())
}

/// `?sig=`, with which nothing can be changed.
fn ticket(request: &HttpRequest) -> Option<String> {
    if request.method() != Method::GET {
        return None;
    }
    let mut pairs = url::form_urlencoded::parse(request.query_string().as_bytes());
    pairs.find(|(name, _)| name == "sig").map(|(_, ticket)| ticket.into_owned())
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
