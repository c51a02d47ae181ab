//! Who may use the dashboard: the password, the set-up code before there is one, sessions, known devices, tokens.
//!
//! The store keeps only hashes: Argon2id of the password, SHA-256 of cookies and tokens, which are 256 random bits and
//! need no slow hash. Everything is asked of the store anew each time, so that a password set on the command line
//! counts at once.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::code::ErrorCode;
use super::error::ApiError;
use super::guess::{Guess, Guesses};
use super::hasher::{Busy, Hasher};
use super::password::BUSY_RETRY;
use super::password_strength;
use super::secrets::{digest, plain_code, random_code, random_secret, same};
use super::security_log::{GateRefusal, SecurityLog};
use super::throttle::{GuessOutcome, Guesser};
use super::who::Principal;
use crate::clock;
use crate::config::{Secret, WebAccess, WebConfig};
use crate::model::UnixMs;
use crate::store::{LoginEntry, Session, StoreAccess, StoreError};

pub use super::password::{PASSWORD_KEY, PasswordError, hash_password, is_usable_hash};
pub use super::password_strength::check_new_password;

/// A session that nobody uses ends after this.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// A session ends after this, used or not.
const ABSOLUTE: Duration = Duration::from_secs(12 * 60 * 60);

/// The use of a session is written down at most this often: each note is a write to the card.
const TOUCH: Duration = Duration::from_secs(5 * 60);

/// How long a guess that has its turn waits for the hashing that others have begun and left.
const HASHER_WAIT: Duration = Duration::from_secs(10);

/// Between two looks whether the hashing is free again.
const HASHER_LOOK: Duration = Duration::from_millis(100);

/// A session that has just begun.
pub(super) struct NewSession {
    /// For the cookie.
    pub(super) secret: String,
    /// For the CSRF header.
    pub(super) csrf: String,
    /// For the cookie by which the device is known.
    pub(super) device: String,
}

/// What counts as the password at one moment.
#[derive(Clone)]
struct Current {
    /// What the store has; `None` while that of the configuration counts, or there is none.
    stored: Option<String>,
    /// The hash.
    hash: Option<String>,
}

impl Current {
    /// Under this, sessions and devices remember which password they come from.
    fn mark(&self) -> [u8; 32] {
        digest(self.hash.as_deref().unwrap_or_default())
    }
}

/// A password that was right, and which one that was.
struct Proof(Current);

/// The door: knows who may come in.
pub struct Auth {
    door: StoreAccess,
    access: WebAccess,
    configured: Option<Secret<String>>,
    hasher: Hasher,
    guesses: Guesses,
    code: Option<Secret<String>>,
    /// Counts revocations; streams look whether they were meant.
    revoked: watch::Sender<u64>,
    /// What is added to the time since boot for the time of sessions.
    session_offset_ms: tokio::sync::OnceCell<i64>,
    /// What the machine and its site are called: no password is to be made of that.
    names: Vec<String>,
    log: SecurityLog,
}

impl Auth {
    pub(super) fn new(door: StoreAccess, config: &WebConfig) -> Result<Self, String> {
        if let Some(hash) = &config.password_hash
            && !is_usable_hash(hash.reveal())
        {
            return Err("WEB_PASSWORD_HASH: not an Argon2 hash this program accepts (the value is hidden); accepted is \
                        a PHC string beginning with $argon2id$, with at most m=131072, t=10, p=8"
                .to_owned());
        }
        let code = match config.access {
            WebAccess::Password => Some(Secret::new(random_code()?)),
            WebAccess::Loopback | WebAccess::Demo => None,
        };
        Ok(Self {
            door,
            access: config.access,
            configured: config.password_hash.clone(),
            hasher: Hasher::new(),
            guesses: Guesses::new(),
            code,
            revoked: watch::Sender::new(0),
            session_offset_ms: tokio::sync::OnceCell::new(),
            names: Vec::new(),
            log: SecurityLog::new(),
        })
    }

    /// Whoever chooses a password is kept from these names.
    pub(super) fn knowing(mut self, names: Vec<String>) -> Self {
        self.names = names;
        self
    }

    /// The code that allows to set the first password, such as `k3x9m-q7w2p`; `None` once there is a password, or
    /// where none is asked for. The daemon prints it once, at start.
    pub async fn setup_code(&self) -> Result<Option<String>, StoreError> {
        let Some(code) = &self.code else { return Ok(None) };
        Ok(if self.has_password().await? { None } else { Some(code.reveal().clone()) })
    }

    /// Whether a password has been set, here, on the command line or in the configuration.
    pub(super) async fn has_password(&self) -> Result<bool, StoreError> {
        Ok(self.current().await?.hash.is_some())
    }

    /// Whether someone must set the first password before anything is served.
    pub(super) async fn needs_setup(&self) -> Result<bool, StoreError> {
        Ok(self.code.is_some() && !self.has_password().await?)
    }

    pub(super) fn access(&self) -> WebAccess {
        self.access
    }

    async fn current(&self) -> Result<Current, StoreError> {
        let stored = self.door.setting(PASSWORD_KEY).await?;
        let configured = || self.configured.as_ref().map(|hash| hash.reveal().clone());
        Ok(Current { hash: stored.clone().or_else(configured), stored })
    }

    /// Who is about to guess; `device` is the cookie by which a known device shows itself.
    pub(super) async fn visitor(
        &self,
        address: IpAddr,
        is_shared: bool,
        device: Option<&str>,
    ) -> Result<Guesser, ApiError> {
        let known = match device.map(digest) {
            Some(device) => {
                let mark = self.current().await.map_err(hidden)?.mark();
                self.door.has_device(device, mark).await.map_err(hidden)?.then_some(device)
            }
            None => None,
        };
        Ok(Guesser { address, is_shared, device: known })
    }

    /// A new session for whoever knows the password. `device` is the cookie the browser has, if it has one.
    pub(super) async fn log_in(
        &self,
        visitor: &Guesser,
        device: Option<String>,
        password: String,
    ) -> Result<NewSession, ApiError> {
        let from = visitor.address;
        let guess = self.begin_guess(visitor).await?;
        let Some(Proof(current)) = self.verify(guess, password).await? else {
            self.log.wrong_password(from);
            return Err(wrong_password());
        };
        let kept = device.filter(|_| visitor.device.is_some());
        let (new, entry) = self.entry(current.mark(), kept).await?;
        // Another password may have been set while this one was being looked at.
        if !self.door.insert_session(PASSWORD_KEY, current.stored, entry).await.map_err(hidden)? {
            self.log.wrong_password(from);
            return Err(wrong_password());
        }
        self.log.logged_in(from, &digest(&new.secret));
        Ok(new)
    }

    /// Sets the first password and logs in whoever has the set-up code.
    pub(super) async fn set_up(
        &self,
        visitor: &Guesser,
        code: &str,
        password: String,
    ) -> Result<NewSession, ApiError> {
        let Some(expected) = &self.code else {
            return Err(already_set_up());
        };
        if self.has_password().await.map_err(hidden)? {
            return Err(already_set_up());
        }
        let guess = self.begin_guess(visitor).await?;
        if !same(&plain_code(code), &plain_code(expected.reveal())) {
            guess.end(GuessOutcome::Wrong);
            self.log.wrong_code(visitor.address);
            return Err(ApiError::new(
                ErrorCode::WrongCode,
                "the set-up code is wrong; it stands in the program's log of its last start",
            ));
        }
        // Whoever has the right code as well comes after this one, and too late.
        let result = self.set_first_password(visitor, password).await;
        guess.end(GuessOutcome::Right);
        result
    }

    async fn set_first_password(&self, visitor: &Guesser, password: String) -> Result<NewSession, ApiError> {
        if self.has_password().await.map_err(hidden)? {
            return Err(already_set_up());
        }
        let hash = self.hash_new(password).await?;
        let (new, entry) = self.entry(digest(&hash), None).await?;
        if !self.door.replace_password(PASSWORD_KEY, None, hash, entry).await.map_err(hidden)? {
            return Err(already_set_up());
        }
        self.log.first_password_set(visitor.address);
        Ok(new)
    }

    /// Changes the password, ends every session, forgets every device and lets in whoever changed it.
    pub(super) async fn change_password(
        &self,
        visitor: &Guesser,
        current: String,
        new: String,
    ) -> Result<NewSession, ApiError> {
        if !self.has_password().await? {
            return Err(ApiError::new(
                ErrorCode::NoPassword,
                "no password is set and none is asked for on this computer; --set-password sets one",
            ));
        }
        let refused = || {
            self.log.wrong_current_password(visitor.address);
            Err(ApiError::new(ErrorCode::WrongConfirmation, "the current password is wrong"))
        };
        let Some(Proof(verified)) = self.prove(visitor, current).await? else { return refused() };
        let hash = self.hash_new(new).await?;
        let (session, entry) = self.entry(digest(&hash), None).await?;
        if !self.door.replace_password(PASSWORD_KEY, verified.stored, hash, entry).await? {
            return refused();
        }
        self.log.password_changed(visitor.address);
        self.revoked.send_modify(|count| *count += 1);
        Ok(session)
    }

    /// Asks for the password once more, of someone who is logged in; `None` when it is wrong. It is throttled like any
    /// other guess.
    async fn prove(&self, visitor: &Guesser, password: String) -> Result<Option<Proof>, ApiError> {
        let guess = self.begin_guess(visitor).await?;
        self.verify(guess, password).await
    }

    /// Whether whoever is logged in knows the password, too: asked before something that outlives the session. The error
    /// is 403 with `password_required` or `wrong_password`. Where no password is set, none is asked for. The answer is what
    /// the store has as the password's hash, for what follows to be done only while that is so.
    pub(super) async fn confirm(
        &self,
        visitor: &Guesser,
        password: Option<String>,
    ) -> Result<Option<String>, ApiError> {
        let current = self.current().await?;
        if current.hash.is_none() {
            return Ok(current.stored);
        }
        let Some(password) = password else {
            return Err(ApiError::new(
                ErrorCode::PasswordRequired,
                "this wants the password again, as \"password\"",
            ));
        };
        match self.prove(visitor, password).await? {
            Some(Proof(verified)) => Ok(verified.stored),
            None => {
                self.log.wrong_confirmation(visitor.address);
                Err(ApiError::new(ErrorCode::WrongConfirmation, "the password is wrong"))
            }
        }
    }

    pub(super) fn door(&self) -> &StoreAccess {
        &self.door
    }

    /// Tells streams to look whether they were meant.
    pub(super) fn announce_revocation(&self) {
        self.revoked.send_modify(|count| *count += 1);
    }

    /// Where to write down what happens at the door and behind it.
    pub(super) fn log(&self) -> &SecurityLog {
        &self.log
    }

    /// Ends a session.
    pub(super) async fn log_out(&self, id_hash: [u8; 32]) -> Result<(), StoreError> {
        self.door.delete_session(id_hash).await?;
        self.revoked.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Who a session cookie belongs to. Its use is noted now and then.
    pub(super) async fn by_cookie(&self, secret: &str) -> Result<Option<Principal>, StoreError> {
        let id_hash = digest(secret);
        let Some(session) = self.door.session(id_hash).await? else { return Ok(None) };
        let now = self.session_now().await?;
        if has_ended(&session, now) || session.password != self.current().await?.mark() {
            self.door.delete_session(id_hash).await?;
            return Ok(None);
        }
        if (now.0 - session.last_seen_at.0).abs() >= ms(TOUCH) {
            self.door.touch_session(id_hash, now).await?;
        }
        Ok(Some(Principal::Session { id_hash, csrf: session.csrf }))
    }

    /// Whether someone who was let in still may stay. Asking does not count as use.
    pub(super) async fn is_still_welcome(&self, principal: &Principal) -> Result<bool, StoreError> {
        match principal {
            Principal::Session { id_hash, .. } => {
                let (session, now) = (self.door.session(*id_hash).await?, self.session_now().await?);
                let mark = self.current().await?.mark();
                Ok(session.is_some_and(|session| !has_ended(&session, now) && session.password == mark))
            }
            Principal::Token { hash, .. } => self.is_valid_token(*hash).await,
            Principal::Jwt { until_s, .. } => Ok(clock::now().0.div_euclid(1000) < *until_s),
            Principal::Local => Ok(true),
        }
    }

    /// Changes whenever a session or token was revoked.
    pub(super) fn revocations(&self) -> watch::Receiver<u64> {
        self.revoked.subscribe()
    }

    async fn hash_new(&self, password: String) -> Result<String, ApiError> {
        let refused = |error: PasswordError| ApiError::new(ErrorCode::PasswordRefused, error.to_string());
        password_strength::check(&password, &self.names).map_err(refused)?;
        self.hasher.hash(password).await.map_err(|Busy| busy())?.map_err(refused)
    }

    /// The time by which sessions are measured: what the wall clock showed when this boot first needed it, and since then
    /// the time since boot. Setting the clock neither ends a session nor lengthens it.
    pub(super) async fn session_now(&self) -> Result<UnixMs, StoreError> {
        let offset =
            self.session_offset_ms.get_or_try_init(|| self.door.session_offset_ms(clock::offset_ms()));
        Ok(UnixMs(clock::boot_ms()).plus_ms(*offset.await?))
    }

    /// A session and a device that may begin, with what the browser is told of them.
    async fn entry(
        &self,
        password: [u8; 32],
        device: Option<String>,
    ) -> Result<(NewSession, LoginEntry), ApiError> {
        let (secret, csrf) = (random_secret()?, random_secret()?);
        let device = device.map_or_else(random_secret, Ok)?;
        let now = self.session_now().await.map_err(hidden)?;
        let session = Session {
            csrf: csrf.clone(),
            created_at: now,
            last_seen_at: now,
            expires_at: now.plus_ms(ms(ABSOLUTE)),
            password,
        };
        let entry = LoginEntry { id_hash: digest(&secret), session, device: digest(&device) };
        Ok((NewSession { secret, csrf, device }, entry))
    }

    /// Waits for the turn of a guess, for twenty seconds at most. Dropping the future gives the place back.
    async fn begin_guess(&self, visitor: &Guesser) -> Result<Guess<'_>, ApiError> {
        self.guesses
            .begin(visitor)
            .await
            .inspect_err(|_| self.log.refused(GateRefusal::TooMany, visitor.address, "guess"))
            .map_err(|wait| ApiError::too_many("too many wrong attempts; wait a moment and try again", wait))
    }

    /// Compares a password with the one that counts now. A guess that found no turn does not count as wrong.
    async fn verify(&self, guess: Guess<'_>, password: String) -> Result<Option<Proof>, ApiError> {
        let current = match self.current().await {
            Ok(current) => current,
            Err(error) => {
                guess.end(GuessOutcome::NotJudged);
                return Err(hidden(error));
            }
        };
        let since = Instant::now();
        let verdict = loop {
            match self.hasher.verify(password.clone(), current.hash.clone()).await {
                Err(Busy) if since.elapsed() < HASHER_WAIT => tokio::time::sleep(HASHER_LOOK).await,
                verdict => break verdict,
            }
        };
        match verdict {
            Ok(true) => {
                guess.end(GuessOutcome::Right);
                Ok(Some(Proof(current)))
            }
            Ok(false) => {
                guess.end(GuessOutcome::Wrong);
                Ok(None)
            }
            Err(Busy) => {
                guess.end(GuessOutcome::NotJudged);
                Err(busy())
            }
        }
    }
}

/// A failure of the store on the way in: strangers learn nothing of it.
fn hidden(error: StoreError) -> ApiError {
    ApiError::of_store_for_strangers(&error)
}

fn wrong_password() -> ApiError {
    ApiError::new(ErrorCode::WrongPassword, "the password is wrong")
}

fn already_set_up() -> ApiError {
    ApiError::new(
        ErrorCode::AlreadySetUp,
        "the first password has been set, or none is needed; log in instead",
    )
}

fn busy() -> ApiError {
    ApiError::too_many("too many log-ins at the same time; try again in a moment", BUSY_RETRY)
}

/// Whether a session is over: too old, unused for too long, or made by a clock that has since been set back.
pub(super) fn has_ended(session: &Session, now: UnixMs) -> bool {
    now >= session.expires_at
        || now.0 - session.last_seen_at.0 > ms(IDLE)
        || session.created_at.0 - now.0 > ms(TOUCH)
}

pub(super) fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
