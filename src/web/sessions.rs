//! Who is logged in, as a list; ending one session, or all but one's own.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::State;
use super::auth::{Auth, NewSession, has_ended};
use super::code::ErrorCode;
use super::error::ApiError;
use super::secrets::digest;
use super::security_log::{Deed, short};
use super::view::account::{SessionList, SessionView, SessionsEnded};
use super::view::time::Time;
use super::who::{Principal, admitted, peer};
use crate::clock;
use crate::model::{UnixMs, foreign};
use crate::store::{StoreError, Visitor};

/// Characters of a browser's description of itself that are kept.
const BROWSER_MAX: usize = 200;

/// Characters of it that are shown where it is no usual browser.
const SHOWN_MAX: usize = 60;

/// What a browser is called by people, if it is one of the usual; else what it calls itself.
fn in_words(agent: &str) -> String {
    // Each also says that it is one of those below it.
    const BROWSERS: &[(&str, &str)] = &[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: &[(&str, &str)] = &[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("CrOS", "ChromeOS"),
        ("Windows", "Windows"),
        ("Mac OS X", "Mac"),
        ("Linux", "Linux"),
    ];
    let find = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    match (find(BROWSERS), find(SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        _ => foreign::line(agent, SHOWN_MAX),
    }
}

/// The session of whoever asks; nobody has one where no password is asked for.
fn own(request: &HttpRequest) -> Result<Option<[u8; 32]>, ApiError> {
    Ok(match admitted(request)? {
        Principal::Session { id_hash, .. } => Some(id_hash),
        Principal::Token { .. } | Principal::Jwt { .. } | Principal::Local => None,
    })
}

pub(super) async fn list(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let own = own(&request)?;
    let (session_now, now) = (state.auth.session_now().await?, clock::now());
    // Sessions keep a time of their own, which nobody can set; people are shown that of the clock.
    let shown = |at: UnixMs| Time(now.plus_ms(at.0 - session_now.0));
    let sessions: Vec<_> = state
        .auth
        .visitors()
        .await?
        .into_iter()
        .map(|visitor| SessionView {
            id: short(&visitor.id_hash),
            current: own == Some(visitor.id_hash),
            created_at: shown(visitor.session.created_at),
            last_seen_at: shown(visitor.session.last_seen_at),
            expires_at: shown(visitor.session.expires_at),
            from: visitor.from,
            browser: visitor.browser.as_deref().map(in_words),
        })
        .collect();
    Ok(HttpResponse::Ok().json(SessionList { sessions }))
}

/// Ends one session, also one's own.
pub(super) async fn end(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let id = request.match_info().get("id").unwrap_or_default();
    let visitors = state.auth.visitors().await?;
    let Some(visitor) = visitors.iter().find(|visitor| short(&visitor.id_hash) == id) else {
        return Err(ApiError::not_found("there is no session of that name"));
    };
    state.auth.log_out(visitor.id_hash).await?;
    state.note(&request, Deed::SessionEnded, id);
    Ok(HttpResponse::NoContent().finish())
}

/// Ends every session but that of whoever asks.
pub(super) async fn end_others(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let Some(own) = own(&request)? else {
        return Err(ApiError::new(
            ErrorCode::NoSession,
            "you have no session of your own, so there are no others",
        ));
    };
    let ended = state.auth.door().delete_other_sessions(own).await?;
    state.auth.announce_revocation();
    state.note(&request, Deed::OtherSessionsEnded, ended);
    Ok(HttpResponse::Ok().json(SessionsEnded { ended }))
}

impl Auth {
    /// Sessions that have not ended, the newest first.
    async fn visitors(&self) -> Result<Vec<Visitor>, StoreError> {
        let now = self.session_now().await?;
        let mut visitors = self.door().sessions().await?;
        visitors.retain(|visitor| !has_ended(&visitor.session, now));
        Ok(visitors)
    }

    /// Writes down where a session was begun and by which browser. That it cannot be is no reason to keep anyone out.
    pub(super) async fn describe(&self, request: &HttpRequest, session: &NewSession) {
        let browser = request.headers().get(header::USER_AGENT).map(|words| {
            let words = String::from_utf8_lossy(words.as_bytes());
            foreign::line(&words, BROWSER_MAX)
        });
        let described =
            self.door().describe_session(digest(&session.secret), peer(request).to_string(), browser).await;
        if let Err(error) = described {
            tracing::debug!(%error, "a session could not be described");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_called_what_people_call_them_and_programs_what_they_call_themselves() {
        for (agent, expected) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 \
                 Safari/537.36 Edg/142.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.6 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            ("curl/8.5.0", "curl/8.5.0"),
            ("\u{1b}[31mred\u{202e}", "[31mred"),
            ("", ""),
        ] {
            assert_eq!(in_words(agent), expected);
        }
        assert_eq!(in_words(&"x".repeat(200)).chars().count(), SHOWN_MAX);
    }
}
