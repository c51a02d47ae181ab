//! The table of routes: everything that is served, and who may have it. What is not in the table is refused.
//!
//! Who may have a route is decided where it was matched, so no spelling of a path leads around it.

use actix_web::http::{Method, StatusCode};
use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, Route as Handler, web};

use super::error::ApiError;
use super::guard;
use super::seat;
use super::{
    account, actions, assets, gpio, images, latency, live, metrics, mjpeg, overview, sessions, socket,
    tokens, tryout, uploads,
};
use crate::store::Scope;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone: health, log-in, set-up and their assets.
    Public,
    /// Whoever is logged in; others see the log-in page in its place, with status 401.
    Page,
    /// Whoever is logged in, and programs with a token.
    Session,
    /// Whoever is logged in, but no program: passwords and tokens.
    Person,
    /// Nobody, for nothing is there: those who are logged in are told so, others learn nothing.
    Nobody,
}

/// One route.
pub struct Route {
    /// HTTP method.
    pub method: Method,
    /// Path, with `{name}` for a segment that varies; never so in a public route.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// What a token must allow at least; `None`: no token is enough.
    pub scope: Option<Scope>,
    handler: fn() -> Handler,
}

/// The least scope of a token: a word of [`Scope`], or `-` for none.
macro_rules! scope {
    (-) => {
        None
    };
    ($scope:ident) => {
        Some(Scope::$scope)
    };
}

macro_rules! route {
    ($method:ident $path:literal $access:ident $scope:tt $handler:path) => {
        Route {
            method: Method::$method,
            path: $path,
            access: Access::$access,
            scope: scope!($scope),
            handler: || web::method(Method::$method).to($handler),
        }
    };
}

/// Everything that is served.
pub const ROUTES: &[Route] = &[
    route!(GET "/" Page Read assets::dashboard),
    route!(GET "/login" Public - assets::login),
    route!(GET "/login.js" Public - assets::login_script),
    route!(GET "/app.css" Public - assets::style),
    route!(GET "/icon.svg" Public - assets::icon),
    route!(GET "/app.js" Session Read assets::script),
    route!(GET "/page/{script}" Session Read assets::part),
    route!(GET "/live.js" Session Read assets::live_script),
    route!(GET "/stream.js" Session Read assets::stream_script),
    route!(GET "/latency" Page Read assets::latency),
    route!(GET "/latency.js" Session Read assets::latency_script),
    route!(GET "/health" Public - overview::health),
    route!(GET "/metrics" Session Read metrics::metrics),
    route!(GET "/api/openapi.json" Session Read assets::openapi),
    route!(POST "/api/login" Public - account::log_in),
    route!(POST "/api/setup" Public - account::set_up),
    route!(POST "/api/logout" Person - account::log_out),
    route!(POST "/api/password" Person - account::change_password),
    route!(GET "/api/session" Session Read account::session),
    route!(GET "/api/sessions" Person - sessions::list),
    route!(POST "/api/sessions/end-others" Person - sessions::end_others),
    route!(DELETE "/api/sessions/{id}" Person - sessions::end),
    route!(GET "/api/tokens" Person - tokens::list),
    route!(POST "/api/tokens" Person - tokens::make),
    route!(DELETE "/api/tokens/{id}" Person - tokens::revoke),
    route!(GET "/api/status" Session Read overview::status),
    route!(GET "/api/stats" Session Read overview::stats),
    route!(GET "/api/images" Session Read images::list),
    route!(GET "/api/images/{filename}" Session Read images::file),
    route!(DELETE "/api/images/{filename}" Session Full images::delete),
    route!(POST "/api/images/{filename}/protect" Session Operate images::protect),
    route!(POST "/api/images/{filename}/retry" Session Operate images::retry),
    route!(GET "/api/uploads/dead" Session Read uploads::dead),
    route!(POST "/api/uploads/retry" Session Operate uploads::retry),
    route!(POST "/api/uploads/test/{target}" Session Operate tryout::try_out),
    route!(GET "/api/events" Session Read images::events),
    route!(POST "/api/events/seen" Session Operate images::see),
    route!(GET "/api/stream" Session Read live::stream),
    route!(GET "/api/live/{camera}.mjpeg" Session Read mjpeg::stream),
    route!(GET "/api/live/{camera}/ws" Session Read socket::open),
    route!(POST "/api/capture/{camera}" Session Operate actions::capture),
    route!(GET "/api/snapshot/{camera}" Session Read actions::snapshot),
    route!(GET "/api/latency/{camera}" Session Read latency::known),
    route!(POST "/api/latency/{camera}" Session Full latency::take),
    route!(GET "/api/latency/{camera}/read" Session Read latency::read),
    route!(POST "/api/cleanup/run" Session Full actions::clean_up),
    route!(GET "/api/gpio/status" Session Read gpio::status),
    route!(POST "/api/gpio/sim/{camera}" Session Operate gpio::simulate),
];

/// Puts the table into the server.
pub(super) fn register(config: &mut web::ServiceConfig) {
    let mut paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    paths.dedup();
    for path in paths {
        let mut resource = web::resource(path);
        for route in ROUTES.iter().filter(|route| route.path == path) {
            let least = route.scope;
            let within = from_fn(move |request, next| tokens::within_scope(least, request, next));
            resource = resource.route(behind(route.access, (route.handler)().wrap(within)));
        }
        config.service(resource.default_service(behind(Access::Nobody, web::to(wrong_method))));
    }
    config.default_service(behind(Access::Nobody, web::to(nothing)));
}

/// Puts the door before a handler; whoever has passed it keeps the connection.
fn behind(access: Access, handler: Handler) -> Handler {
    handler
        .wrap(from_fn(seat::recognise))
        .wrap(from_fn(move |request, next| guard::door(access, request, next)))
}

async fn nothing() -> Result<HttpResponse, ApiError> {
    Err(ApiError::not_found("there is nothing here; /api/openapi.json describes what there is"))
}

async fn wrong_method() -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path does not take that method; /api/openapi.json describes what it takes",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_routes_are_public() {
        let public: Vec<_> =
            ROUTES.iter().filter(|route| route.access == Access::Public).map(|route| route.path).collect();
        assert_eq!(
            public,
            ["/login", "/login.js", "/app.css", "/icon.svg", "/health", "/api/login", "/api/setup"]
        );
    }

    #[test]
    fn nothing_of_the_table_is_for_nobody() {
        assert!(ROUTES.iter().all(|route| route.access != Access::Nobody));
    }

    #[test]
    fn every_route_behind_the_gate_says_what_a_token_needs_and_those_for_persons_take_none() {
        for route in ROUTES {
            let takes_tokens = matches!(route.access, Access::Page | Access::Session);
            assert_eq!(route.scope.is_some(), takes_tokens, "{} {}", route.method, route.path);
            let changes_something = route.method != Method::GET;
            assert!(!changes_something || route.scope != Some(Scope::Read), "{}", route.path);
        }
    }
}
