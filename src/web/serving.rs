//! The table of routes put into a server.
//!
//! Who may have a route is decided where it was matched, so no spelling of a path leads around it.

use actix_web::guard::fn_guard;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, ResponseError, Route as Handler, web};

use super::code::ErrorCode::MethodNotAllowed;
use super::error::ApiError;
use super::route::Access;
use super::routes::{OLDER, ROUTES};
use super::streaming::cors;
use super::{guard, seat, tokens};

/// Puts the table into the server.
pub(super) fn register(config: &mut web::ServiceConfig) {
    register_if(config, |_| true);
}

/// Puts the routes of older receivers into a server, and no others.
pub(super) fn register_older(config: &mut web::ServiceConfig) {
    register_if(config, |path| OLDER.contains(&path));
}

fn register_if(config: &mut web::ServiceConfig, is_wanted: impl Fn(&str) -> bool) {
    let mut paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    paths.dedup();
    for path in paths.into_iter().filter(|path| is_wanted(path)) {
        let mut resource = web::resource(path);
        for route in ROUTES.iter().filter(|route| route.path == path) {
            let least = route.scope;
            let within = from_fn(move |request, next| tokens::within_scope(least, request, next));
            resource = resource.route(behind(route.access, (route.handler)().wrap(within)));
        }
        let allowed: Vec<_> =
            ROUTES.iter().filter(|route| route.path == path).map(|route| route.method.as_str()).collect();
        let allowed = allowed.join(", ");
        let is_streamed = ROUTES.iter().any(|route| route.path == path && route.access == Access::Stream);
        if is_streamed {
            let methods = allowed.clone();
            let answer = web::method(Method::OPTIONS)
                .guard(fn_guard(cors::is_preflight))
                .to(move || std::future::ready(cors::preflight(&methods)));
            resource = resource.route(answer.wrap(from_fn(cors::dress)));
        }
        let refuse = web::to(move || std::future::ready(wrong_method(&allowed)));
        config.service(resource.default_service(behind(Access::Nobody, refuse)));
    }
    config.default_service(behind(Access::Nobody, web::to(no_route)));
}

/// Puts the door before a handler; whoever has passed it keeps the connection.
fn behind(access: Access, handler: Handler) -> Handler {
    let handler = handler
        .wrap(from_fn(seat::recognise))
        .wrap(from_fn(move |request, next| guard::door(access, request, next)));
    if access == Access::Stream { handler.wrap(from_fn(cors::dress)) } else { handler }
}

async fn no_route() -> Result<HttpResponse, ApiError> {
    Err(ApiError::not_found("there is nothing here; /api/openapi.json describes what there is"))
}

fn wrong_method(allowed: &str) -> HttpResponse {
    let error = ApiError::new(
        MethodNotAllowed,
        "this path does not take that method; /api/openapi.json describes what it takes",
    );
    let mut answer = error.error_response();
    // A list of methods has no character that a header could not have.
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        answer.headers_mut().insert(header::ALLOW, allowed);
    }
    answer
}
