//! Tokens for programs: made with the password, shown once, held to a scope, with an end.

use std::time::Duration;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError, web};

use super::State;
use super::auth::{Auth, PASSWORD_KEY, ms};
use super::body::Json;
use super::code::ErrorCode;
use super::error::ApiError;
use super::secrets::{digest, random_secret};
use super::security_log::{Deed, GateRefusal};
use super::view::account::{MadeToken, TokenList, TokenView, TokenWish};
use super::who::{Principal, admitted, peer, visitor};
use crate::clock;
use crate::model::{UnixMs, foreign};
use crate::store::{NewToken, Scope, StoreError, Token};

/// Every token begins like this, so that one that leaked is recognised for what it is.
const PREFIX: &str = "cc_";

/// Characters of a secret that are kept to recognise it by: 24 of its 256 bits.
const HINT_LENGTH: usize = PREFIX.len() + 4;

/// Characters in the name of a token.
const NAME_MAX: usize = 64;

/// Days until a token ends at most, unless it is asked for as one that never does.
const DAYS_MAX: u32 = 3650;

/// The use of a token is written down at most this often: each note is a write to the card.
const TOUCH: Duration = Duration::from_secs(60 * 60);

pub(super) async fn list(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let tokens = state.auth.door().tokens().await?.into_iter().map(TokenView::from).collect();
    Ok(HttpResponse::Ok().json(TokenList { tokens }))
}

pub(super) async fn make(
    request: HttpRequest,
    state: web::Data<State>,
    Json(wanted): Json<TokenWish>,
) -> Result<HttpResponse, ApiError> {
    let name = wanted.name.trim().to_owned();
    let length = name.chars().count();
    // What the cleaner would change could look like the name of another token.
    if !(1..=NAME_MAX).contains(&length) || foreign::line(&name, NAME_MAX) != name {
        return Err(ApiError::bad_request(format!(
            "name: accepted are 1 to {NAME_MAX} characters that can be seen"
        )));
    }
    let scope = match wanted.scope.as_deref() {
        None => Scope::Read,
        Some(text) => Scope::parse(text)
            .ok_or_else(|| ApiError::bad_request("scope: accepted are read, operate and full"))?,
    };
    if wanted.expires_in_days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
        let message =
            format!("expires_in_days: accepted are 1 to {DAYS_MAX}, and null for a token that never ends");
        return Err(ApiError::bad_request(message));
    }
    let visitor = visitor(&request, &state).await?;
    let verified = state.auth.confirm(&visitor, wanted.password).await?;
    let made = state.auth.new_token(name, scope, wanted.expires_in_days, verified).await?;
    // Another password has been set meanwhile.
    let (token, secret) = made.ok_or_else(ApiError::unauthorized)?;
    let what = format!("{} {:?}, scope {}", token.id, token.name, token.scope.as_str());
    state.note(&request, Deed::TokenMade, what);
    Ok(HttpResponse::Created().json(MadeToken { about: token.into(), token: secret }))
}

pub(super) async fn revoke(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let absent = || ApiError::not_found("there is no token of that number");
    let id = request.match_info().get("id").and_then(|id| id.parse().ok()).ok_or_else(absent)?;
    if !state.auth.delete_token(id).await? {
        return Err(absent());
    }
    state.note(&request, Deed::TokenRevoked, id);
    Ok(HttpResponse::NoContent().finish())
}

/// Around every handler: a program is let in only where the route names a scope that its token has. This is asked of
/// the route that was found, so it does not matter how the path was written.
pub(super) async fn within_scope<B: MessageBody>(
    least: Option<Scope>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let refused = |refusal| {
        if let Some(state) = request.app_data::<web::Data<State>>() {
            state.auth.log().refused(refusal, peer(request.request()), request.path());
        }
    };
    let error = match (admitted(request.request()), least) {
        (Ok(Principal::Token { scope, .. } | Principal::Jwt { scope, .. }), Some(least)) if scope < least => {
            refused(GateRefusal::Scope);
            let (scope, least) = (scope.as_str(), least.as_str());
            ApiError::new(
                ErrorCode::Scope,
                format!("this token's scope is \"{scope}\"; this needs \"{least}\", so make another token"),
            )
        }
        (Ok(Principal::Token { .. } | Principal::Jwt { .. }), None) => {
            refused(GateRefusal::PersonOnly);
            person_only()
        }
        _ => return Ok(next.call(request).await?.map_into_left_body()),
    };
    Ok(request.into_response(error.error_response()).map_into_right_body())
}

/// The answer to a program that asks for what is for persons only.
pub(super) fn person_only() -> ApiError {
    ApiError::new(ErrorCode::PersonOnly, "an API token may not do this; log in instead")
}

/// Whether a token has ended by itself.
fn has_expired(token: &Token, now: UnixMs) -> bool {
    token.expires_at.is_some_and(|at| now >= at)
}

/// Whether its use should be written down again. A clock that was set back must not keep that from happening for ever.
fn wants_touch(last: Option<UnixMs>, now: UnixMs) -> bool {
    last.is_none_or(|last| (now.0 - last.0).abs() >= ms(TOUCH))
}

impl Auth {
    /// Makes a token, while the password is still `verified`. Its secret is shown this once.
    async fn new_token(
        &self,
        name: String,
        scope: Scope,
        days: Option<u32>,
        verified: Option<String>,
    ) -> Result<Option<(Token, String)>, ApiError> {
        let secret = format!("{PREFIX}{}", random_secret()?);
        let now = clock::now();
        let new = NewToken {
            name,
            scope,
            hint: secret.chars().take(HINT_LENGTH).collect(),
            hash: digest(&secret),
            created_at: now,
            expires_at: days.map(|days| now.plus_ms(i64::from(days) * 86_400_000)),
        };
        Ok(self.door().insert_token(PASSWORD_KEY, verified, new).await?.map(|token| (token, secret)))
    }

    /// Revokes a token; `false` when there is none of that number.
    async fn delete_token(&self, id: i64) -> Result<bool, StoreError> {
        let was_there = self.door().delete_token(id).await?;
        self.announce_revocation();
        Ok(was_there)
    }

    /// Who a bearer token belongs to; nobody if it has expired. Its use is noted now and then.
    pub(super) async fn by_token(&self, secret: &str) -> Result<Option<Principal>, StoreError> {
        if !secret.starts_with(PREFIX) {
            return Ok(None);
        }
        let (hash, now) = (digest(secret), clock::now());
        let Some(token) = self.door().token(hash).await?.filter(|token| !has_expired(token, now)) else {
            return Ok(None);
        };
        if wants_touch(token.last_used_at, now)
            && let Err(error) = self.door().touch_token(token.id, now).await
        {
            // A full disk is no reason to keep a program out.
            tracing::debug!(%error, id = token.id, "the use of a token could not be noted");
        }
        Ok(Some(Principal::Token { hash, id: token.id, scope: token.scope }))
    }

    /// Whether there still is such a token, and it has not expired.
    pub(super) async fn is_valid_token(&self, hash: [u8; 32]) -> Result<bool, StoreError> {
        let now = clock::now();
        Ok(self.door().token(hash).await?.is_some_and(|token| !has_expired(&token, now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(expires_at: Option<UnixMs>) -> Token {
        Token {
            id: 1,
            name: "relay".to_owned(),
            scope: Scope::Read,
            hint: None,
            created_at: UnixMs(0),
            expires_at,
            last_used_at: None,
        }
    }

    #[test]
    fn a_token_ends_at_its_time_or_never() {
        assert!(!has_expired(&token(None), UnixMs(i64::MAX)));
        assert!(!has_expired(&token(Some(UnixMs(10))), UnixMs(9)));
        assert!(has_expired(&token(Some(UnixMs(10))), UnixMs(10)));
    }

    #[test]
    fn the_use_of_a_token_is_written_down_once_an_hour() {
        let hour = ms(TOUCH);
        assert!(wants_touch(None, UnixMs(0)));
        assert!(!wants_touch(Some(UnixMs(0)), UnixMs(hour - 1)));
        assert!(wants_touch(Some(UnixMs(0)), UnixMs(hour)));
        assert!(wants_touch(Some(UnixMs(hour)), UnixMs(0)), "the clock was set back");
    }
}
