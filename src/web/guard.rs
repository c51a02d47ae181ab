//! The gate every request passes: who is asking, may they, and did a foreign page make them ask. It also dresses every
//! answer in the security headers.

use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, ResponseError, web};

use super::code::ErrorCode;
use super::error::ApiError;
use super::forwarded;
use super::route::Access;
use super::secrets::same;
use super::security_log::GateRefusal as Refused;
use super::streaming::{self, StreamPass};
use super::who::{Bringer, Principal, connection, peer};
use super::{State, assets, ingest, tokens};
use crate::config::{Secret, WebAccess};
use crate::ingest::{Introduction, NotAdmitted};
use crate::model::{LinkToken, foreign};

/// Name of the session's cookie.
pub(super) const COOKIE: &str = "session";

/// The header in which a browser's mutations carry the token of their session.
pub(super) const CSRF_HEADER: &str = "x-csrf-token";

/// Characters of a foreign host that are repeated.
const HOST_SHOWN_MAX: usize = 80;

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
    ("x-robots-tag", "noindex, nofollow, noarchive"),
];

/// The middleware around everything: whom does the request speak to, and what every answer carries.
pub(super) async fn gate<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let mut response = match addressed(request.request()) {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(error) => request.into_response(error.error_response()),
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

/// The middleware before each handler of the table: who asks, and may they have what was matched.
pub(super) async fn door<B: MessageBody + 'static>(
    access: Access,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match admit(access, &request).await {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        Err(Refusal::Page) => {
            let page = assets::login_page(request.request(), StatusCode::UNAUTHORIZED).await;
            Ok(request.into_response(page))
        }
        Err(Refusal::Error(error)) => Ok(request.into_response(error.error_response())),
    }
}

/// Refuses what is meant for another site, before anything else. A browser always says whom it speaks to; a program
/// that does not is no page of another site.
fn addressed(request: &HttpRequest) -> Result<(), ApiError> {
    let Some(state) = request.app_data::<web::Data<State>>() else { return Ok(()) };
    state.auth.log().catch_up();
    let mut said = request.headers().get_all(header::HOST).map(|host| host.to_str().unwrap_or(""));
    let (host, second) = (said.next(), said.next());
    let target = request.uri().authority().map(|authority| authority.as_str());
    if second.is_none() && host.into_iter().chain(target).all(|host| state.hosts.is_ours(host)) {
        return Ok(());
    }
    if is_from_device(request) {
        return Ok(());
    }
    let host = host.or(target).unwrap_or_default();
    write_down(request, Refused::ForeignHost, host);
    Err(ApiError::new(
        ErrorCode::ForeignHost,
        format!(
            "this computer does not know itself as '{}'; use its address or its own name, or add the name to WEB_HOSTS",
            foreign::line(host, HOST_SHOWN_MAX)
        ),
    ))
}

/// A device that brings a picture names whatever was set in it, often a name that another router had for this machine. No
/// page is behind that, because browsers say with every POST where it comes from; and what a device gets here is nothing to
/// be read.
fn is_from_device(request: &HttpRequest) -> bool {
    let is_of_browser =
        [header::ORIGIN.as_str(), "sec-fetch-site"].iter().any(|name| request.headers().contains_key(*name));
    request.method() == Method::POST && request.path() == ingest::UPLOAD && !is_of_browser
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

/// Who asks, and how they are known.
struct Admitted {
    who: Principal,
    /// By something that no browser sends along by itself.
    is_shown: bool,
}

/// Decides; whoever is let in as someone is noted in the request.
async fn admit(access: Access, request: &ServiceRequest) -> Result<(), Refusal> {
    let method = request.method();
    let changes_something = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if access == Access::Public {
        // A foreign page may not log anyone in either.
        let is_foreign = changes_something && !is_same_origin(request.headers());
        return if is_foreign { Err(foreign_origin(request.request()).into()) } else { Ok(()) };
    }
    if access == Access::Link {
        // Its handler looks whether it is one.
        return Ok(());
    }
    if access == Access::Device {
        let device = device(request.request())?;
        request.extensions_mut().insert(device);
        return Ok(());
    }
    let known = match access {
        Access::Stream => viewer(request.request()).await?,
        _ => principal(request.request()).await?.map(|who| {
            let is_shown = matches!(who, Principal::Token { .. });
            Admitted { who, is_shown }
        }),
    };
    let Some(Admitted { who: principal, is_shown }) = known else {
        return Err(if access == Access::Page { Refusal::Page } else { ApiError::unauthorized().into() });
    };
    // A WebSocket is no change, but what it shows can be read by the page that opened it, wherever that page is from.
    // Browsers tell in `Origin` (RFC 6455 section 10.2).
    let is_websocket = request.headers().contains_key(header::UPGRADE);
    if is_websocket && !is_shown && !has_own_origin(request.headers()) {
        return Err(foreign_origin(request.request()).into());
    }
    if changes_something {
        match &principal {
            Principal::Token { .. } | Principal::Jwt { .. } => {}
            Principal::Local if is_same_origin(request.headers()) => {}
            Principal::Session { csrf, .. } if is_same_origin(request.headers()) => {
                let given = request.headers().get(CSRF_HEADER).and_then(|value| value.to_str().ok());
                if !given.is_some_and(|given| same(given, csrf)) {
                    write_down(request.request(), Refused::Csrf, request.path());
                    return Err(ApiError::new(
                        ErrorCode::Csrf,
                        "the header X-CSRF-Token is missing or not that of this session; read it from /api/session",
                    )
                    .into());
                }
            }
            Principal::Local | Principal::Session { .. } => {
                return Err(foreign_origin(request.request()).into());
            }
        }
    }
    if access == Access::Person && matches!(principal, Principal::Token { .. }) {
        write_down(request.request(), Refused::PersonOnly, request.path());
        return Err(tokens::person_only().into());
    }
    if access == Access::Person && matches!(principal, Principal::Local) && is_open(request.request()) {
        return Err(ApiError::new(
            ErrorCode::NoPassword,
            "no password is asked for on this computer (WEB_AUTH_ENABLED=false), so there are no log-ins and no tokens",
        )
        .into());
    }
    request.extensions_mut().insert(principal);
    Ok(())
}

/// Which device brings a picture. The session of a browser does not count here: a page of another site could use it.
fn device(request: &HttpRequest) -> Result<Bringer, ApiError> {
    let Some(state) = request.app_data::<web::Data<State>>() else { return Err(ApiError::unauthorized()) };
    if !is_same_origin(request.headers()) {
        return Err(foreign_origin(request));
    }
    // Whoever shows a token is judged by it alone.
    let token = device_token(request);
    let said = token.as_ref().map_or(Introduction::None, Introduction::Token);
    state.door.admit(peer(request), said, Instant::now()).map(Bringer).map_err(|refused| match refused {
        NotAdmitted::TooMany { wait } => {
            write_down(request, Refused::TooMany, request.path());
            ApiError::too_many(refused.to_string(), wait)
        }
        NotAdmitted::Unknown | NotAdmitted::Wrong => {
            write_down(request, Refused::InvalidToken, request.path());
            ApiError::new(
                ErrorCode::Unauthorized,
                "no device is known by this token or address; INGEST_1_TOKEN or INGEST_1_ADDRESS admits one",
            )
        }
    })
}

/// The token that a device shows: as bearer, in `X-Token`, or as `?token=` where nothing but the address can be set. What
/// is no token is a wrong one.
fn device_token(request: &HttpRequest) -> Option<Secret<String>> {
    let text = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let bearer = text(header::AUTHORIZATION.as_str()).map(|text| {
        let (scheme, token) = text.split_once(' ').unwrap_or_default();
        if scheme.eq_ignore_ascii_case("bearer") { token } else { "" }
    });
    let of_query = || {
        let mut pairs = url::form_urlencoded::parse(request.query_string().as_bytes());
        pairs.find(|(name, _)| name == "token").map(|(_, token)| token.into_owned())
    };
    let token = bearer.or_else(|| text("x-token")).map(str::to_owned).or_else(of_query);
    token.map(|token| Secret::new(token.trim().to_owned()))
}

fn foreign_origin(request: &HttpRequest) -> ApiError {
    let origin = request.headers().get(header::ORIGIN).and_then(|value| value.to_str().ok());
    write_down(request, Refused::ForeignOrigin, origin.unwrap_or("no origin"));
    ApiError::new(ErrorCode::ForeignOrigin, "the request comes from a page of another site")
}

/// Notes a refusal in the security log; `what` is in the visitor's words. The address of a public link is a secret.
fn write_down(request: &HttpRequest, refusal: Refused, what: &str) {
    let what = if what.contains(LinkToken::PLACE) { LinkToken::PLACE } else { what };
    if let Some(state) = request.app_data::<web::Data<State>>() {
        state.auth.log().refused(refusal, peer(request), what);
    }
}

/// Who asks for what is streamed. What a browser sends along by itself counts only for our own pages.
async fn viewer(request: &HttpRequest) -> Result<Option<Admitted>, ApiError> {
    let headers = request.headers();
    let is_websocket = headers.contains_key(header::UPGRADE);
    if is_websocket && !has_own_origin(headers) && !streaming::is_listed(request) {
        return Err(foreign_origin(request));
    }
    match streaming::shown(request).await? {
        StreamPass::Owner(Some(who)) => Ok(Some(Admitted { who, is_shown: true })),
        StreamPass::Owner(None) => {
            write_down(request, Refused::InvalidToken, request.path());
            Ok(None)
        }
        StreamPass::Usual => {
            let is_shown = headers.contains_key(header::AUTHORIZATION);
            if !is_shown && !is_same_origin(headers) {
                // A page of another site: its reader's session is not for it.
                return Ok(None);
            }
            Ok(principal(request).await?.map(|who| Admitted { who, is_shown }))
        }
    }
}

/// Who is asking, if it is anyone who may.
pub(super) async fn principal(request: &HttpRequest) -> Result<Option<Principal>, ApiError> {
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
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    connection(request).is_loopback()
        && host.is_some_and(is_loopback_host)
        && !forwarded::shows_a_proxy(headers)
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
    if headers.get_all(header::ORIGIN).nth(1).is_some() {
        return false;
    }
    let Some(origin) = text("origin") else { return true };
    let authority = match origin.split_once("://") {
        Some(("https", rest)) => rest.strip_suffix(":443").unwrap_or(rest),
        Some(("http", rest)) => rest.strip_suffix(":80").unwrap_or(rest),
        Some(_) | None => return false,
    };
    let host =
        text("host").map(|host| host.strip_suffix(":80").or(host.strip_suffix(":443")).unwrap_or(host));
    host.is_some_and(|host| !host.is_empty() && authority.eq_ignore_ascii_case(host))
}

/// Whether no password is asked for because the settings say so.
fn is_open(request: &HttpRequest) -> bool {
    let state = request.app_data::<web::Data<State>>();
    state.is_some_and(|state| state.auth.access() == WebAccess::Loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
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
        assert!(!check(&[("host", "box:9000"), ("origin", "ftp://box:9000")]));
        assert!(!check(&[("host", "box:9000"), ("origin", "box:9000")]));
        let own = ("origin", "http://box:9000");
        assert!(!check(&[("host", "box:9000"), own, ("origin", "http://evil.example")]));
    }
}
