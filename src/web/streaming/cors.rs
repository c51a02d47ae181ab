//! Pages of other sites: which may use what is streamed, and what their browsers are told (Fetch, section "CORS protocol").
//!
//! Only pages that are listed, each by its exact origin, and never with the cookie of a session: such a page shows a token or
//! a ticket.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::guard::GuardContext;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, web};

use crate::web::State;

/// Browsers may keep what they were told so long, seconds.
const KEPT_S: &str = "600";

/// What a listed page may send along.
const HEADERS: &str = "authorization, content-type";

/// The origin of a request, if it is one of the listed.
pub(in crate::web) fn listed<'a>(headers: &HeaderMap, origins: &'a [String]) -> Option<&'a str> {
    let mut said = headers.get_all(header::ORIGIN);
    let (origin, second) = (said.next()?, said.next());
    let origin = origin.to_str().ok().filter(|_| second.is_none())?;
    origins.iter().map(String::as_str).find(|listed| *listed == origin)
}

/// Whether a request asks what a listed page may do.
pub(in crate::web) fn is_preflight(context: &GuardContext<'_>) -> bool {
    let headers = context.head().headers();
    headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        && context
            .app_data::<web::Data<State>>()
            .is_some_and(|state| listed(headers, &state.config.web.cors_origins).is_some())
}

/// What a listed page may do here.
pub(in crate::web) fn preflight(methods: &str) -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, methods))
        .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, KEPT_S))
        .finish()
}

/// Around everything that is streamed: tells browsers which page may read it. Where pages of other sites are listed, any
/// may show it as a picture, because a browser does not say whose page shows one; it still needs a ticket.
pub(in crate::web) async fn dress<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let mut response = next.call(request).await?.map_into_boxed_body();
    let allowed = allowed(response.request());
    let headers = response.headers_mut();
    if let Some(allowed) = allowed {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert(
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("cross-origin"),
        );
        if let Some(origin) = allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
        }
    }
    Ok(response)
}

/// The listed origin of a request; `None` where no page is listed at all.
fn allowed(request: &HttpRequest) -> Option<Option<HeaderValue>> {
    let state = request.app_data::<web::Data<State>>()?;
    let origins = &state.config.web.cors_origins;
    let origin = listed(request.headers(), origins).and_then(|origin| HeaderValue::from_str(origin).ok());
    (!origins.is_empty()).then_some(origin)
}
