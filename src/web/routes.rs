//! The table of routes: everything that is served, and who may have it. What is not in the table is refused.
//!
//! Who may have a route is decided where it was matched, so no spelling of a path leads around it.

use actix_web::http::{Method, StatusCode};
use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, Route as Handler, web};

use super::error::ApiError;
use super::guard;
use super::{account, actions, assets, gpio, images, live, metrics, mjpeg, overview, socket, uploads};

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
    handler: fn() -> Handler,
}

macro_rules! route {
    ($method:ident $path:literal $access:ident $handler:path) => {
        Route {
            method: Method::$method,
            path: $path,
            access: Access::$access,
            handler: || web::method(Method::$method).to($handler),
        }
    };
}

/// Everything that is served.
pub const ROUTES: &[Route] = &[
    route!(GET "/" Page assets::dashboard),
    route!(GET "/login" Public assets::login),
    route!(GET "/login.js" Public assets::login_script),
    route!(GET "/app.css" Public assets::style),
    route!(GET "/icon.svg" Public assets::icon),
    route!(GET "/app.js" Session assets::script),
    route!(GET "/live.js" Session assets::live_script),
    route!(GET "/stream.js" Session assets::stream_script),
    route!(GET "/health" Public overview::health),
    route!(GET "/metrics" Session metrics::metrics),
    route!(GET "/api/openapi.json" Session assets::openapi),
    route!(POST "/api/login" Public account::log_in),
    route!(POST "/api/setup" Public account::set_up),
    route!(POST "/api/logout" Person account::log_out),
    route!(POST "/api/password" Person account::change_password),
    route!(GET "/api/session" Session account::session),
    route!(GET "/api/tokens" Person account::tokens),
    route!(POST "/api/tokens" Person account::new_token),
    route!(DELETE "/api/tokens/{id}" Person account::delete_token),
    route!(GET "/api/status" Session overview::status),
    route!(GET "/api/stats" Session overview::stats),
    route!(GET "/api/images" Session images::list),
    route!(GET "/api/images/{filename}" Session images::file),
    route!(DELETE "/api/images/{filename}" Session images::delete),
    route!(POST "/api/images/{filename}/protect" Session images::protect),
    route!(POST "/api/images/{filename}/retry" Session images::retry),
    route!(GET "/api/uploads/dead" Session uploads::dead),
    route!(POST "/api/uploads/retry" Session uploads::retry),
    route!(GET "/api/events" Session images::events),
    route!(POST "/api/events/seen" Session images::see),
    route!(GET "/api/stream" Session live::stream),
    route!(GET "/api/live/{camera}.mjpeg" Session mjpeg::stream),
    route!(GET "/api/live/{camera}/ws" Session socket::open),
    route!(POST "/api/capture/{camera}" Session actions::capture),
    route!(GET "/api/snapshot/{camera}" Session actions::snapshot),
    route!(POST "/api/cleanup/run" Session actions::clean_up),
    route!(GET "/api/gpio/status" Session gpio::status),
    route!(POST "/api/gpio/sim/{camera}" Session gpio::simulate),
];

/// Puts the table into the server.
pub(super) fn register(config: &mut web::ServiceConfig) {
    let mut paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    paths.dedup();
    for path in paths {
        let mut resource = web::resource(path);
        for route in ROUTES.iter().filter(|route| route.path == path) {
            resource = resource.route(behind(route.access, (route.handler)()));
        }
        config.service(resource.default_service(behind(Access::Nobody, web::to(wrong_method))));
    }
    config.default_service(behind(Access::Nobody, web::to(nothing)));
}

/// Puts the door before a handler.
fn behind(access: Access, handler: Handler) -> Handler {
    handler.wrap(from_fn(move |request, next| guard::door(access, request, next)))
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
}
