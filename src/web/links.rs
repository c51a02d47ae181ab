//! Public links: made and revoked by those who may look, opened by whoever has the address.
//!
//! Whoever opens one learns nothing else: an address that is wrong, has ended, was revoked, or whose picture is gone is
//! answered in the same words, and who tries many has to pause.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use url::Url;

use super::body::OptionalJson;
use super::code::ErrorCode;
use super::error::ApiError;
use super::query::{Query, filename_of, no_image};
use super::security_log::{Deed, GateRefusal};
use super::throttle::{Records, exact};
use super::view::link::{LinkList, LinkView, LinkWish, MadeLink};
use super::who::{is_https, peer};
use super::{State, files, images, parameters};
use crate::clock;
use crate::config::LINK_HOURS_MAX;
use crate::model::{LinkToken, Medium, UnixMs, hex};
use crate::store::{LINKS_MAX, LinkMade, Linked, NewLink, TriggerId};

/// Addresses that lead nowhere until their visitor has to pause: a chat full of links that have ended is opened at once.
const MISSES_FREE: u32 = 30;

/// Longest pause. Short, because many may come from one address, such as that of a proxy.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A visitor who kept quiet for so long begins anew.
const FORGET: Duration = Duration::from_secs(15 * 60);

/// How often one link was opened is written down at most this often: each note is a write to the card, and anyone may
/// open.
const NOTE: Duration = Duration::from_secs(60);

/// Links whose opens are remembered; with more, all are written down.
const REMEMBERED_MAX: usize = 1024;

/// The picture may be shown by pages of other sites: that is what its link is for.
const EMBEDDABLE: (HeaderName, HeaderValue) =
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));

/// What the server remembers of links.
pub(super) struct PublicLinks {
    misses: Mutex<Records<IpAddr>>,
    opens: Mutex<HashMap<i64, Opens>>,
}

/// How often a link was opened.
struct Opens {
    unwritten: u64,
    written_at: Instant,
}

impl PublicLinks {
    pub(super) fn new() -> Self {
        Self { misses: Mutex::new(Records::new(FORGET)), opens: Mutex::default() }
    }

    fn misses(&self) -> MutexGuard<'_, Records<IpAddr>> {
        self.misses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a visitor may try an address; the error is how long to wait.
    fn may(&self, visitor: IpAddr, now: Instant) -> Result<(), Duration> {
        self.misses().may(exact(visitor), MISSES_FREE, PAUSE_MAX, now)
    }

    /// Counts one open; returns what should be written down.
    fn opened(&self, link: i64, now: Instant) -> Vec<(i64, u64)> {
        let mut opens = self.opens.lock().unwrap_or_else(PoisonError::into_inner);
        if opens.len() >= REMEMBERED_MAX && !opens.contains_key(&link) {
            let all = opens.drain().filter(|(_, opens)| opens.unwritten > 0);
            return all.map(|(id, opens)| (id, opens.unwritten)).chain([(link, 1)]).collect();
        }
        let Some(opens) = opens.get_mut(&link) else {
            opens.insert(link, Opens { unwritten: 0, written_at: now });
            return vec![(link, 1)];
        };
        opens.unwritten += 1;
        if now.saturating_duration_since(opens.written_at) < NOTE {
            return Vec::new();
        }
        opens.written_at = now;
        vec![(link, std::mem::take(&mut opens.unwritten))]
    }

    /// What is not written down yet.
    fn unwritten(&self) -> Vec<(i64, u64)> {
        let mut opens = self.opens.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = opens.iter_mut().filter(|(_, opens)| opens.unwritten > 0);
        waiting.map(|(id, opens)| (*id, std::mem::take(&mut opens.unwritten))).collect()
    }
}

/// The same words whatever the reason: a stranger learns nothing.
fn no_link() -> ApiError {
    ApiError::not_found("this link leads to no picture; it may have ended")
}

pub(super) async fn open_picture(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    open(&request, &state, Medium::Jpeg).await
}

pub(super) async fn open_clip(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    open(&request, &state, Medium::Mp4).await
}

/// What chats ask before they show a link. What is answered to a `HEAD` has no body (RFC 9110 section 9.3.2).
pub(super) async fn head_of_picture(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    open(&request, &state, Medium::Jpeg).await
}

pub(super) async fn head_of_clip(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    open(&request, &state, Medium::Mp4).await
}

async fn open(request: &HttpRequest, state: &State, medium: Medium) -> Result<HttpResponse, ApiError> {
    let (visitor, now) = (peer(request), Instant::now());
    state.links.may(visitor, now).map_err(|wait| {
        state.auth.log().refused(GateRefusal::TooMany, visitor, "public links");
        ApiError::too_many("too many links that lead to no picture; come again later", wait)
    })?;
    let token = request.match_info().get("token").and_then(LinkToken::parse);
    let found = match token {
        Some(token) => {
            let opened = state.store.opened_link(token.hash(), clock::now()).await;
            opened.map_err(|error| ApiError::of_store_for_strangers(&error))?
        }
        None => None,
    };
    let Some((link, image)) = found.filter(|(_, image)| image.filename.medium() == medium) else {
        state.links.misses().failed(exact(visitor), now);
        return Err(no_link());
    };
    state.links.misses().forget(&exact(visitor));
    let etag = format!("\"{}\"", hex(&image.sha256));
    let mut answer = if files::is_known(request, &etag) {
        files::headed(StatusCode::NOT_MODIFIED, &etag).finish()
    } else {
        // The log says what is wrong with it, and where it lies.
        images::sent(request, state, image, &etag).await.map_err(|_| no_link())?
    };
    if is_open(request, &answer) {
        write_down(state, state.links.opened(link, now)).await;
    }
    let (name, value) = EMBEDDABLE;
    answer.headers_mut().insert(name, value);
    Ok(answer)
}

/// Whether an answer gives the picture out. A player fetches a clip in many parts: the one with its begin counts.
fn is_open(request: &HttpRequest, answer: &HttpResponse) -> bool {
    let range = answer.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let is_begin = range.is_none_or(|range| range.starts_with("bytes 0-"));
    request.method() != Method::HEAD && is_begin && !answer.status().is_client_error()
}

/// A count that cannot be written is no reason to show nothing.
async fn write_down(state: &State, opens: Vec<(i64, u64)>) {
    if !opens.is_empty()
        && let Err(error) = state.store.count_opens(opens, clock::now()).await
    {
        tracing::debug!(%error, "opens of public links could not be counted");
    }
}

pub(super) async fn make(
    request: HttpRequest,
    state: web::Data<State>,
    OptionalJson(wish): OptionalJson<LinkWish>,
) -> Result<HttpResponse, ApiError> {
    let name = filename_of(&request)?;
    let (what, medium) = (name.to_string(), name.medium());
    made(&request, &state, Linked::Image(name), &wish, medium, &what).await
}

pub(super) async fn make_of_trigger(
    request: HttpRequest,
    state: web::Data<State>,
    OptionalJson(wish): OptionalJson<LinkWish>,
) -> Result<HttpResponse, ApiError> {
    let id = request.match_info().get("id").and_then(|id| id.parse().ok()).ok_or_else(no_image)?;
    let what = format!("trigger {id}");
    made(&request, &state, Linked::Trigger(TriggerId::of(id)), &wish, Medium::Jpeg, &what).await
}

async fn made(
    request: &HttpRequest,
    state: &State,
    linked: Linked,
    wish: &LinkWish,
    medium: Medium,
    what: &str,
) -> Result<HttpResponse, ApiError> {
    let created_at = clock::now();
    let life = life(wish.hours, state.config.web.links.life)?;
    let expires_at = end(created_at, life);
    let token = LinkToken::random()
        .ok_or_else(|| ApiError::new(ErrorCode::NoRandom, "the machine has no random numbers yet"))?;
    let link =
        match state.store.make_link(NewLink { linked, hash: token.hash(), created_at, expires_at }).await? {
            LinkMade::Made(link) => link,
            LinkMade::NotFound => return Err(no_image()),
            LinkMade::TooMany => {
                let message = format!("it has {LINKS_MAX} links already; revoke some of them");
                return Err(ApiError::new(ErrorCode::TooManyLinks, message));
            }
        };
    state.note(request, Deed::LinkMade, format_args!("{} to {what}", link.id));
    let path = token.path(medium);
    let url = state.config.web.links.address(&path).or_else(|| own_address(request, &path));
    Ok(HttpResponse::Created().json(MadeLink { about: LinkView::from(link), path, url }))
}

/// The address by which this machine was asked, which the gate has found to be one of its own. A browser says by itself
/// whether it speaks TLS, which a proxy may forget.
fn own_address(request: &HttpRequest, path: &str) -> Option<String> {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST)?;
    let is_of_browser = text(header::ORIGIN).is_some_and(|origin| origin == format!("https://{host}"));
    let scheme = if is_of_browser || is_https(request) { "https" } else { "http" };
    Some(Url::parse(&format!("{scheme}://{host}/")).ok()?.join(path).ok()?.into())
}

/// How long a link shall hold; `None` is for ever.
fn life(hours: Option<u32>, usual: Option<Duration>) -> Result<Option<Duration>, ApiError> {
    match hours {
        None => Ok(usual),
        Some(0) => Ok(None),
        Some(hours) if hours <= LINK_HOURS_MAX => Ok(Some(Duration::from_secs(u64::from(hours) * 3600))),
        Some(_) => {
            let message =
                format!("hours: accepted are 1 to {LINK_HOURS_MAX}, and 0 for a link that does not end");
            Err(ApiError::bad_request(message))
        }
    }
}

fn end(now: UnixMs, life: Option<Duration>) -> Option<UnixMs> {
    life.map(|life| now.plus_ms(i64::try_from(life.as_millis()).unwrap_or(i64::MAX)))
}

/// The links of a picture that hold.
pub(super) async fn of_image(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let linked = Linked::Image(filename_of(&request)?);
    if !state.store.is_linkable(linked.clone()).await? {
        return Err(no_image());
    }
    listed(&state, Some(linked), parameters::LIMIT_MAX).await
}

/// All links that hold.
pub(super) async fn list(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let most = Query::of(&request, parameters::LINKS)?.limit()?;
    listed(&state, None, most).await
}

async fn listed(state: &State, linked: Option<Linked>, most: u32) -> Result<HttpResponse, ApiError> {
    write_down(state, state.links.unwritten()).await;
    let links = state.store.links(linked, clock::now(), most).await?;
    Ok(HttpResponse::Ok().json(LinkList { links: links.into_iter().map(LinkView::from).collect() }))
}

pub(super) async fn revoke(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let absent = || ApiError::not_found("there is no link of that number; it may have ended");
    let id = request.match_info().get("id").and_then(|id| id.parse().ok()).ok_or_else(absent)?;
    if !state.store.revoke_link(id).await? {
        return Err(absent());
    }
    state.note(&request, Deed::LinkRevoked, id);
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// S1.8
    #[test]
    fn a_link_holds_as_long_as_is_set_unless_asked_otherwise() {
        let held = |hours| life(hours, Some(72 * HOUR)).ok();
        assert_eq!(held(None), Some(Some(72 * HOUR)));
        assert_eq!(held(Some(1)), Some(Some(HOUR)));
        assert_eq!(held(Some(0)), Some(None));
        assert_eq!(held(Some(LINK_HOURS_MAX)), Some(Some(LINK_HOURS_MAX * HOUR)));
        assert_eq!(held(Some(LINK_HOURS_MAX + 1)), None);
        assert_eq!(life(None, None).ok(), Some(None));
        assert_eq!(end(UnixMs(5), Some(HOUR)), Some(UnixMs(3_600_005)));
    }

    #[test]
    fn opens_are_written_once_a_minute_and_none_is_left_out() {
        let links = PublicLinks::new();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(links.opened(7, at(0)), [(7, 1)], "the first at once");
        assert_eq!(links.opened(7, at(1)), []);
        assert_eq!(links.opened(7, at(59)), []);
        assert_eq!(links.opened(7, at(60)), [(7, 3)]);
        assert_eq!(links.opened(7, at(61)), []);
        assert_eq!(links.unwritten(), [(7, 1)], "for whoever looks");
        assert_eq!(links.unwritten(), []);
    }

    #[test]
    fn any_number_of_links_is_counted_in_bounded_memory() {
        let links = PublicLinks::new();
        let now = Instant::now();
        let mut written = 0;
        for id in 0..5000 {
            for _ in 0..2 {
                written += links.opened(id, now).iter().map(|(_, opens)| opens).sum::<u64>();
            }
            assert!(links.opens.lock().unwrap().len() <= REMEMBERED_MAX);
        }
        written += links.unwritten().iter().map(|(_, opens)| opens).sum::<u64>();
        assert_eq!(written, 10_000);
    }

    #[test]
    fn who_tries_many_addresses_pauses_and_others_do_not() {
        let links = PublicLinks::new();
        let start = Instant::now();
        let (guesser, other): (IpAddr, IpAddr) =
            ("198.51.100.7".parse().unwrap(), "198.51.100.8".parse().unwrap());
        for _ in 0..MISSES_FREE {
            assert_eq!(links.may(guesser, start), Ok(()));
            links.misses().failed(guesser, start);
        }
        assert!(links.may(guesser, start).is_err());
        assert_eq!(links.may(other, start), Ok(()));
        for _ in 0..50 {
            links.misses().failed(guesser, start);
        }
        assert_eq!(links.may(guesser, start), Err(PAUSE_MAX));
        assert_eq!(links.may(guesser, start + PAUSE_MAX), Ok(()));
    }
}
