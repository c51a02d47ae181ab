//! What a person looks for after a break-in or an attempt: who came in, what changed at the door, who was refused.
//!
//! One function for each event, all with the target `camera_capture::security`, so that they can be found and filtered.
//! Refusals that a stranger can bring about by the thousand are said once and then counted. Words of visitors are
//! cleaned here; secrets never come here, sessions and tokens are named by the beginning of their hash.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::{HttpRequest, web};
use tracing::{info, warn};

use super::State;
use super::who::{Principal, admitted, peer};
use crate::model::{CameraKey, foreign, hex};

/// What every line of this log carries.
const TARGET: &str = "camera_capture::security";

/// Between two lines of the same kind of refusal at least.
const QUIET: Duration = Duration::from_secs(30);

/// Characters of a visitor's words that are shown.
const WORDS_MAX: usize = 80;

/// Why a request was refused that never reached a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GateRefusal {
    /// Too many wrong guesses, or too many log-ins at once (429).
    TooMany,
    /// A change without the CSRF token of its session (403).
    Csrf,
    /// A change or WebSocket of another site's page (403).
    ForeignOrigin,
    /// A request for another site, whose name was made to point here (421).
    ForeignHost,
    /// A program asked for what is for persons only (403).
    PersonOnly,
    /// An `Authorization` header that shows no token of ours, or one that has expired (401).
    InvalidToken,
    /// A program asked for more than the scope of its token (403).
    Scope,
}

/// Kinds of [`GateRefusal`].
const REFUSALS: usize = 7;

impl GateRefusal {
    const ALL: [Self; REFUSALS] = [
        Self::TooMany,
        Self::Csrf,
        Self::ForeignOrigin,
        Self::ForeignHost,
        Self::PersonOnly,
        Self::InvalidToken,
        Self::Scope,
    ];

    fn words(self) -> &'static str {
        match self {
            Self::TooMany => "too many attempts",
            Self::Csrf => "CSRF token missing or wrong",
            Self::ForeignOrigin => "a page of another site",
            Self::ForeignHost => "a name that is not this computer's",
            Self::PersonOnly => "a program asked for what is for persons",
            Self::InvalidToken => "token not valid or expired",
            Self::Scope => "more than the token's scope",
        }
    }
}

/// What someone who was let in has done, beyond reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    TokenMade,
    TokenRevoked,
    SessionEnded,
    OtherSessionsEnded,
    Captured,
    Deleted,
    Protected,
    Unprotected,
    SentAgain,
    TargetTested,
    CleanedUp,
    Simulated,
    LatencyTaken,
    LinkMade,
    LinkRevoked,
    RefusedDeleted,
    CameraSetUp,
    CameraDisconnected,
    Analysed,
    AnalysesRetried,
    ReadingChecked,
    WatchedSeen,
    BeganLooking,
    EndedLooking,
}

impl Deed {
    fn words(self) -> &'static str {
        match self {
            Self::TokenMade => "API token made",
            Self::TokenRevoked => "API token revoked",
            Self::SessionEnded => "session ended by hand",
            Self::OtherSessionsEnded => "every other session ended by hand",
            Self::Captured => "picture asked for",
            Self::Deleted => "picture deleted",
            Self::Protected => "picture protected",
            Self::Unprotected => "protection of a picture ended",
            Self::SentAgain => "sent again by hand",
            Self::TargetTested => "upload target tested",
            Self::CleanedUp => "retention run asked for",
            Self::Simulated => "contact simulated",
            Self::LatencyTaken => "latency of a camera taken over",
            Self::LinkMade => "public link made",
            Self::LinkRevoked => "public link revoked",
            Self::RefusedDeleted => "refused picture deleted",
            Self::CameraSetUp => "camera set up",
            Self::CameraDisconnected => "camera disconnected",
            Self::Analysed => "analysis of a picture asked for",
            Self::AnalysesRetried => "analyses that were put aside asked for again",
            Self::ReadingChecked => "text read in a picture confirmed or corrected",
            Self::WatchedSeen => "watched texts marked as seen",
            Self::BeganLooking => "live view begun",
            Self::EndedLooking => "live view ended",
        }
    }
}

impl State {
    /// Writes down what whoever asks has done, and to what.
    pub(super) fn note(&self, request: &HttpRequest, deed: Deed, what: impl Display) {
        if let Ok(who) = admitted(request) {
            self.auth.log().did(peer(request), &who, deed, &what.to_string());
        }
    }
}

/// Someone looks through a camera; dropped, they have looked.
pub(super) struct Looking {
    state: web::Data<State>,
    from: IpAddr,
    who: Principal,
    camera: CameraKey,
}

impl Looking {
    pub(super) fn begin(request: &HttpRequest, camera: &CameraKey) -> Option<Self> {
        let state = request.app_data::<web::Data<State>>()?.clone();
        let looking =
            Self { state, from: peer(request), who: admitted(request).ok()?, camera: camera.clone() };
        looking.say(Deed::BeganLooking);
        Some(looking)
    }

    fn say(&self, deed: Deed) {
        self.state.auth.log().did(self.from, &self.who, deed, self.camera.as_str());
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.say(Deed::EndedLooking);
    }
}

/// The log, with what it has not said yet.
pub(super) struct SecurityLog {
    refusals: Mutex<[Repeated; REFUSALS]>,
}

impl SecurityLog {
    pub(super) fn new() -> Self {
        Self { refusals: Mutex::new([Repeated::default(); REFUSALS]) }
    }

    /// A password was right. `session` is the hash of its cookie.
    pub(super) fn logged_in(&self, from: IpAddr, session: &[u8; 32]) {
        info!(target: TARGET, %from, session = short(session), "logged in");
    }

    /// A session was ended by whoever had it.
    pub(super) fn logged_out(&self, from: IpAddr, session: &[u8; 32]) {
        info!(target: TARGET, %from, session = short(session), "logged out");
    }

    /// A password was wrong. Guesses are few: the throttle sees to that.
    pub(super) fn wrong_password(&self, from: IpAddr) {
        warn!(target: TARGET, %from, "log-in refused: wrong password");
    }

    /// A set-up code was wrong.
    pub(super) fn wrong_code(&self, from: IpAddr) {
        warn!(target: TARGET, %from, "set-up refused: wrong code");
    }

    /// Someone who is logged in gave a wrong current password.
    pub(super) fn wrong_current_password(&self, from: IpAddr) {
        warn!(target: TARGET, %from, "change of password refused: wrong current password");
    }

    /// The set-up code was right.
    pub(super) fn first_password_set(&self, from: IpAddr) {
        info!(target: TARGET, %from, "first password set");
    }

    /// The password is another one now.
    pub(super) fn password_changed(&self, from: IpAddr) {
        info!(target: TARGET, %from, "password changed, every session ended");
    }

    /// Someone who is logged in gave a wrong password where it was asked for again.
    pub(super) fn wrong_confirmation(&self, from: IpAddr) {
        warn!(target: TARGET, %from, "confirmation refused: wrong password");
    }

    /// Someone who was let in has done something.
    fn did(&self, from: IpAddr, who: &Principal, deed: Deed, what: &str) {
        info!(target: TARGET, %from, who = named(who), what = cleaned(what), "{}", deed.words());
    }

    /// A request was refused; `what` is its path or what was wrong with it, in the visitor's words.
    pub(super) fn refused(&self, refusal: GateRefusal, from: IpAddr, what: &str) {
        let said = self.with(|refusals, now| refusals[refusal as usize].happened(now));
        if let Some(left_out) = said {
            let what = cleaned(what);
            warn!(target: TARGET, %from, reason = refusal.words(), what, left_out, "request refused");
        }
    }

    /// Says how many refusals were left out, where that is due. Called with every request, so that the end of a flood
    /// is written down, too.
    pub(super) fn catch_up(&self) {
        for refusal in GateRefusal::ALL {
            if let Some(left_out) = self.with(|refusals, now| refusals[refusal as usize].overdue(now)) {
                warn!(target: TARGET, reason = refusal.words(), left_out, "more requests refused");
            }
        }
    }

    fn with<T>(&self, read: impl FnOnce(&mut [Repeated; REFUSALS], Instant) -> T) -> T {
        // Every change leaves the counts whole.
        read(&mut self.refusals.lock().unwrap_or_else(PoisonError::into_inner), Instant::now())
    }
}

/// Who did something: a session by the beginning of its hash, a token by its number.
fn named(who: &Principal) -> String {
    match who {
        Principal::Session { id_hash, .. } => format!("session {}", short(id_hash)),
        Principal::Token { id, .. } => format!("token {id}"),
        Principal::Jwt { .. } => "a token of another program".to_owned(),
        Principal::Local => "this machine".to_owned(),
    }
}

/// Enough of a hash to tell sessions apart, in the log and in the list of sessions; it opens nothing.
pub(super) fn short(hash: &[u8; 32]) -> String {
    hex(&hash[..4])
}

fn cleaned(words: &str) -> String {
    foreign::line(words, WORDS_MAX)
}

/// One kind of refusal, as it comes again and again.
#[derive(Clone, Copy, Default)]
struct Repeated {
    said_at: Option<Instant>,
    left_out: u64,
}

impl Repeated {
    fn is_due(&self, now: Instant) -> bool {
        self.said_at.is_none_or(|said_at| now.saturating_duration_since(said_at) >= QUIET)
    }

    /// One more. If it is to be said: with how many that were not.
    fn happened(&mut self, now: Instant) -> Option<u64> {
        if self.is_due(now) {
            self.said_at = Some(now);
            return Some(std::mem::take(&mut self.left_out));
        }
        self.left_out += 1;
        None
    }

    /// How many have not been said, if there are any and it is time.
    fn overdue(&mut self, now: Instant) -> Option<u64> {
        if self.left_out == 0 || !self.is_due(now) {
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_one_line_every_thirty_seconds_and_none_is_left_uncounted() {
        let start = Instant::now();
        let mut repeated = Repeated::default();
        let mut lines = Vec::new();
        // Ten a second for a minute and a half.
        for tenth in 0..900 {
            let now = start + Duration::from_millis(100 * tenth);
            lines.extend(repeated.happened(now).map(|left_out| (tenth, left_out)));
        }
        assert_eq!(lines, [(0, 0), (300, 299), (600, 299)]);
        let later = start + Duration::from_secs(90);
        assert_eq!(repeated.overdue(later), Some(299));
        assert_eq!(repeated.overdue(later + QUIET), None);
    }

    #[test]
    fn every_kind_of_refusal_has_a_count_of_its_own() {
        for (place, refusal) in GateRefusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, place);
        }
    }
}
