//! The gate every request passes: who is asking, may they, and did a foreign page make them ask. It also dresses every
//! answer in the security headers.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, ResponseError, web};

use super::auth::{Principal, same};
use super::error::ApiError;
use super::routes::{self, Access};
use super::security_log::Refusal as Refused;
use super::{State, assets, tokens};
use crate::config::WebAccess;

/// Name of the session's cookie.
pub(super) const COOKIE: &str = "session";

/// The header in which a browser's mutations carry the token of their session.
pub(super) const CSRF_HEADER: &str = "x-csrf-token";

/// Nothing from elsewhere, nothing inline, no frame around it.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
                   media-src 'self' blob:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                   base-uri 'none'";

/// On every answer; a handler that set one itself keeps it.
const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", CSP),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=(), usb=(), payment=()"),
    ("x-frame-options", "DENY"),
    ("cache-control", "no-store"),
];

/// Signs of a proxy in between: then the neighbour is not the one who asks.
const FORWARDED: &[&str] = &["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/// The middleware around everything.
pub(super) async fn gate<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let mut response = match admit(&request).await {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(Refusal::Page) => {
            let page = assets::login_page(request.request(), StatusCode::UNAUTHORIZED).await;
            request.into_response(page)
        }
        Err(Refusal::Error(error)) => request.into_response(error.error_response()),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    Ok(response)
}

/// What a request is told that may not pass.
enum Refusal {
    Error(ApiError),
    /// The dashboard was asked for: the log-in page stands in its place.
    Page,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

/// Decides; whoever is let in as someone is noted in the request.
async fn admit(request: &ServiceRequest) -> Result<(), Refusal> {
    if let Some(state) = request.app_data::<web::Data<State>>() {
        state.auth.log().catch_up();
    }
    let method = request.method();
    let changes_something = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let access = routes::access(method, request.path());
    if access == Access::Public {
        // A foreign page may not log anyone in either.
        let is_foreign = changes_something && !is_same_origin(request.headers());
        return if is_foreign { Err(foreign(request.request()).into()) } else { Ok(()) };
    }
    let Some(principal) = principal(request.request()).await? else {
        return Err(if access == Access::Page { Refusal::Page } else { ApiError::unauthorized().into() });
    };
    // A WebSocket is no change, but what it shows can be read by the page that opened it, wherever that page is from.
    // Browsers tell in `Origin` (RFC 6455 section 10.2).
    let is_websocket = request.headers().contains_key(header::UPGRADE);
    if is_websocket && !matches!(principal, Principal::Token { .. }) && !has_own_origin(request.headers()) {
        return Err(foreign(request.request()).into());
    }
    if changes_something {
        match &principal {
            Principal::Token { .. } => {}
            Principal::Local if is_same_origin(request.headers()) => {}
            Principal::Session { csrf, .. } if is_same_origin(request.headers()) => {
                let given = request.headers().get(CSRF_HEADER).and_then(|value| value.to_str().ok());
                if !given.is_some_and(|given| same(given, csrf)) {
                    write_down(request.request(), Refused::Csrf, request.path());
                    return Err(ApiError::forbidden(
                        "csrf",
                        "the header X-CSRF-Token is missing or not that of this session; read it from /api/session",
                    )
                    .into());
                }
            }
            Principal::Local | Principal::Session { .. } => return Err(foreign(request.request()).into()),
        }
    }
    if access == Access::Person && matches!(principal, Principal::Token { .. }) {
        write_down(request.request(), Refused::PersonOnly, request.path());
        return Err(tokens::person_only().into());
    }
    request.extensions_mut().insert(principal);
    Ok(())
}

fn foreign(request: &HttpRequest) -> ApiError {
    let origin = request.headers().get(header::ORIGIN).and_then(|value| value.to_str().ok());
    write_down(request, Refused::ForeignOrigin, origin.unwrap_or("no origin"));
    ApiError::forbidden("foreign_origin", "the request comes from a page of another site")
}

/// Notes a refusal in the security log; `what` is in the visitor's words.
fn write_down(request: &HttpRequest, refusal: Refused, what: &str) {
    if let Some(state) = request.app_data::<web::Data<State>>() {
        state.auth.log().refused(refusal, peer(request), what);
    }
}

/// Who is asking, if it is anyone who may.
async fn principal(request: &HttpRequest) -> Result<Option<Principal>, ApiError> {
    let Some(state) = request.app_data::<web::Data<State>>() else { return Ok(None) };
    let hide = |error| ApiError::of_store_for_strangers(&error);
    if let Some(value) = request.headers().get(header::AUTHORIZATION) {
        // Whoever shows a token is judged by it alone.
        let token = value.to_str().ok().and_then(|text| text.split_once(' '));
        let principal = match token {
            Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => {
                state.auth.by_token(secret.trim()).await.map_err(hide)?
            }
            _ => None,
        };
        if principal.is_none() {
            write_down(request, Refused::InvalidToken, request.path());
        }
        return Ok(principal);
    }
    if let Some(cookie) = request.cookie(COOKIE)
        && let Some(principal) = state.auth.by_cookie(cookie.value()).await.map_err(hide)?
    {
        return Ok(Some(principal));
    }
    let is_open_here = match state.auth.access() {
        WebAccess::Password => false,
        WebAccess::Loopback | WebAccess::Demo => true,
    };
    Ok((is_open_here && is_local(request)).then_some(Principal::Local))
}

/// Whether someone on this machine asks, and not a page of another site that had its name point here.
fn is_local(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let is_neighbour = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    is_neighbour
        && host.is_some_and(is_loopback_host)
        && !FORWARDED.iter().any(|name| headers.contains_key(*name))
}

/// `localhost`, `127.0.0.1` or `[::1]`, with or without a port.
fn is_loopback_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}

/// Whether a request was made by our own page or by a program, and not by a page of another site. Browsers send
/// `Sec-Fetch-Site` (Fetch Metadata) or at least `Origin` (RFC 6454) with everything that changes something.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    if let Some(site) = text("sec-fetch-site")
        && site != "same-origin"
        && site != "none"
    {
        return false;
    }
    has_own_origin(headers)
}

/// Whether `Origin` names this server, or is not there: then no browser asks.
fn has_own_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let Some(origin) = text("origin") else { return true };
    let authority = origin.split_once("://").map(|(scheme, rest)| {
        let default = if scheme == "https" { ":443" } else { ":80" };
        rest.strip_suffix(default).unwrap_or(rest)
    });
    let host =
        text("host").map(|host| host.strip_suffix(":80").or(host.strip_suffix(":443")).unwrap_or(host));
    match (authority, host) {
        (Some(origin), Some(host)) => !host.is_empty() && origin.eq_ignore_ascii_case(host),
        _ => false,
    }
}

/// The address a request came from, for the throttle and the log.
pub(super) fn peer(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical())
}

/// Who was let in; every handler behind the gate has one.
pub(super) fn admitted(request: &HttpRequest) -> Result<Principal, ApiError> {
    request.extensions().get::<Principal>().cloned().ok_or_else(ApiError::unauthorized)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn only_names_of_this_machine_are_loopback_hosts() {
        for host in ["localhost", "LOCALHOST:9000", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:9000"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "192.0.2.1", "::1"]
        {
            assert!(!is_loopback_host(host), "{host}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_recognised() {
        let check = |pairs| is_same_origin(&headers(pairs));
        assert!(check(&[("host", "box:9000")]));
        assert!(check(&[("host", "box:9000"), ("origin", "http://box:9000")]));
        assert!(check(&[("host", "box"), ("origin", "https://box"), ("sec-fetch-site", "same-origin")]));
        assert!(!check(&[("host", "box:9000"), ("origin", "http://evil.example")]));
        assert!(!check(&[("host", "box:9000"), ("origin", "http://box:9001")]));
        assert!(!check(&[("host", "box:9000"), ("origin", "null")]));
        assert!(!check(&[("host", "box:9000"), ("sec-fetch-site", "same-site")]));
        assert!(!check(&[("host", "box:9000"), ("sec-fetch-site", "cross-site")]));
        assert!(!check(&[("origin", "http://")]));
    }
}
