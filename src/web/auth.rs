//! Who may use the dashboard: the password, the set-up code before there is one, sessions, tokens.
//!
//! The store keeps only hashes: Argon2id of the password, SHA-256 of cookies and tokens, which are 256 random bits and
//! need no slow hash. Everything is asked of the store anew each time, so that a password set on the command line
//! counts at once.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use super::error::ApiError;
use super::password::{BUSY_RETRY, Busy, Hasher};
use super::password_strength;
use super::security_log::{Refusal, SecurityLog};
use super::throttle::Throttle;
use crate::clock;
use crate::config::{Secret, WebAccess, WebConfig};
use crate::model::UnixMs;
use crate::store::{Scope, Session, Store, StoreError};

pub use super::password::{PASSWORD_KEY, PasswordError, hash_password, is_usable_hash};
pub use super::password_strength::check_new_password;

/// A session that nobody uses ends after this.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// A session ends after this, used or not.
const ABSOLUTE: Duration = Duration::from_secs(12 * 60 * 60);

/// The use of a session is written down at most this often: each note is a write to the card.
const TOUCH: Duration = Duration::from_secs(5 * 60);

/// Characters of a set-up code: none that looks like another one, none that needs a shift key.
const CODE_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Characters of a set-up code without its dash: 50 random bits, guessed at most a few times a minute.
const CODE_LENGTH: usize = 10;

/// Who is asking.
#[derive(Clone, Debug)]
pub(super) enum Principal {
    /// A browser with a session.
    Session { id_hash: [u8; 32], csrf: String },
    /// A program with a token.
    Token { hash: [u8; 32], id: i64, scope: Scope },
    /// A browser or program on this machine, where no password is asked for.
    Local,
}

/// A session that has just begun.
pub(super) struct NewSession {
    /// For the cookie.
    pub(super) secret: String,
    /// For the CSRF header.
    pub(super) csrf: String,
}

/// The door: knows who may come in.
pub struct Auth {
    store: Store,
    access: WebAccess,
    configured: Option<Secret<String>>,
    hasher: Hasher,
    throttle: Mutex<Throttle>,
    code: Option<Secret<String>>,
    /// Held while the first password is being set: the second of two with the right code comes too late.
    setting_up: tokio::sync::Mutex<()>,
    /// Counts revocations; streams look whether they were meant.
    revoked: watch::Sender<u64>,
    /// What is added to the time since boot for the time of sessions.
    session_offset_ms: tokio::sync::OnceCell<i64>,
    /// What the machine and its site are called: no password is to be made of that.
    names: Vec<String>,
    log: SecurityLog,
}

impl Auth {
    pub(super) fn new(store: Store, config: &WebConfig) -> Result<Self, String> {
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
            store,
            access: config.access,
            configured: config.password_hash.clone(),
            hasher: Hasher::new(),
            throttle: Mutex::new(Throttle::new(Instant::now())),
            code,
            setting_up: tokio::sync::Mutex::new(()),
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
        Ok(self.current_hash().await?.is_some())
    }

    /// Whether someone must set the first password before anything is served.
    pub(super) async fn needs_setup(&self) -> Result<bool, StoreError> {
        Ok(self.code.is_some() && !self.has_password().await?)
    }

    pub(super) fn access(&self) -> WebAccess {
        self.access
    }

    async fn current_hash(&self) -> Result<Option<String>, StoreError> {
        let stored = self.store.setting(PASSWORD_KEY).await?;
        Ok(stored.or_else(|| self.configured.as_ref().map(|hash| hash.reveal().clone())))
    }

    /// A new session for whoever knows the password.
    pub(super) async fn log_in(&self, from: IpAddr, password: String) -> Result<NewSession, ApiError> {
        self.begin_guess(from)?;
        let stored = self.current_hash().await.map_err(|error| ApiError::of_store_for_strangers(&error))?;
        if !self.judge(from, self.hasher.verify(password, stored).await)? {
            self.log.wrong_password(from);
            return Err(ApiError::new(
                actix_web::http::StatusCode::UNAUTHORIZED,
                "wrong_password",
                "the password is wrong",
            ));
        }
        self.throttle().succeeded(from);
        let session = self.begin_session().await;
        let session = session.map_err(|error| ApiError::of_store_for_strangers(&error))?;
        self.log.logged_in(from, &digest(&session.secret));
        Ok(session)
    }

    /// Sets the first password and logs in whoever has the set-up code.
    pub(super) async fn set_up(
        &self,
        from: IpAddr,
        code: &str,
        password: String,
    ) -> Result<NewSession, ApiError> {
        let _alone = self.setting_up.lock().await;
        let hide = |error: StoreError| ApiError::of_store_for_strangers(&error);
        let Some(expected) = &self.code else {
            return Err(already_set_up());
        };
        if self.has_password().await.map_err(hide)? {
            return Err(already_set_up());
        }
        self.begin_guess(from)?;
        if !same(&plain_code(code), &plain_code(expected.reveal())) {
            self.log.wrong_code(from);
            return Err(ApiError::forbidden(
                "wrong_code",
                "the set-up code is wrong; it stands in the program's log of its last start",
            ));
        }
        self.throttle().succeeded(from);
        let hash = self.hash_new(password).await?;
        self.store.set_password_hash(PASSWORD_KEY, hash).await.map_err(hide)?;
        self.log.first_password_set(from);
        self.begin_session().await.map_err(hide)
    }

    /// Changes the password, ends every session and begins a new one for whoever changed it.
    pub(super) async fn change_password(
        &self,
        from: IpAddr,
        current: String,
        new: String,
    ) -> Result<NewSession, ApiError> {
        let Some(stored) = self.current_hash().await? else {
            return Err(ApiError::conflict(
                "no_password",
                "no password is set and none is asked for on this computer; --set-password sets one",
            ));
        };
        self.begin_guess(from)?;
        if !self.judge(from, self.hasher.verify(current, Some(stored)).await)? {
            self.log.wrong_current_password(from);
            return Err(ApiError::forbidden("wrong_password", "the current password is wrong"));
        }
        self.throttle().succeeded(from);
        let hash = self.hash_new(new).await?;
        self.store.set_password_hash(PASSWORD_KEY, hash).await?;
        self.log.password_changed(from);
        let session = self.begin_session().await?;
        self.revoked.send_modify(|count| *count += 1);
        Ok(session)
    }

    /// Where to write down what happens at the door and behind it.
    pub(super) fn log(&self) -> &SecurityLog {
        &self.log
    }

    /// Ends a session.
    pub(super) async fn log_out(&self, id_hash: [u8; 32]) -> Result<(), StoreError> {
        self.store.delete_session(id_hash).await?;
        self.revoked.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Who a session cookie belongs to. Its use is noted now and then.
    pub(super) async fn by_cookie(&self, secret: &str) -> Result<Option<Principal>, StoreError> {
        let id_hash = digest(secret);
        let Some(session) = self.store.session(id_hash).await? else { return Ok(None) };
        let now = self.session_now().await?;
        if has_ended(&session, now) {
            self.store.delete_session(id_hash).await?;
            return Ok(None);
        }
        if (now.0 - session.last_seen_at.0).abs() >= ms(TOUCH) {
            self.store.touch_session(id_hash, now).await?;
        }
        Ok(Some(Principal::Session { id_hash, csrf: session.csrf }))
    }

    /// Whether someone who was let in still may stay. Asking does not count as use.
    pub(super) async fn is_still_welcome(&self, principal: &Principal) -> Result<bool, StoreError> {
        match principal {
            Principal::Session { id_hash, .. } => {
                let (session, now) = (self.store.session(*id_hash).await?, self.session_now().await?);
                Ok(session.is_some_and(|session| !has_ended(&session, now)))
            }
            Principal::Token { hash, .. } => self.is_valid_token(*hash).await,
            Principal::Local => Ok(true),
        }
    }

    /// Changes whenever a session or token was revoked.
    pub(super) fn revocations(&self) -> watch::Receiver<u64> {
        self.revoked.subscribe()
    }

    /// Whether whoever is logged in knows the password, too: asked before something that outlives the session. The
    /// error is 403 with `password_required` or `wrong_password`; guesses count as those at the log-in do. Where no
    /// password is set, none is asked for.
    pub(super) async fn confirm(&self, from: IpAddr, password: Option<String>) -> Result<(), ApiError> {
        let Some(stored) = self.current_hash().await? else { return Ok(()) };
        let Some(password) = password else {
            return Err(ApiError::forbidden(
                "password_required",
                "this wants the password again, as \"password\"",
            ));
        };
        self.begin_guess(from)?;
        if !self.judge(from, self.hasher.verify(password, Some(stored)).await)? {
            self.log.wrong_confirmation(from);
            return Err(ApiError::forbidden("wrong_password", "the password is wrong"));
        }
        self.throttle().succeeded(from);
        Ok(())
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Tells streams to look whether they were meant.
    pub(super) fn announce_revocation(&self) {
        self.revoked.send_modify(|count| *count += 1);
    }

    async fn hash_new(&self, password: String) -> Result<String, ApiError> {
        let refused = |error: PasswordError| {
            ApiError::new(
                actix_web::http::StatusCode::UNPROCESSABLE_ENTITY,
                "password_refused",
                error.to_string(),
            )
        };
        password_strength::check(&password, &self.names).map_err(refused)?;
        self.hasher.hash(password).await.map_err(|Busy| busy())?.map_err(refused)
    }

    /// The time by which sessions are measured: what the wall clock showed when this boot first needed it, and since then
    /// the time since boot. Setting the clock neither ends a session nor lengthens it.
    pub(super) async fn session_now(&self) -> Result<UnixMs, StoreError> {
        let offset =
            self.session_offset_ms.get_or_try_init(|| self.store.session_offset_ms(clock::offset_ms()));
        Ok(UnixMs(clock::boot_ms()).plus_ms(*offset.await?))
    }

    async fn begin_session(&self) -> Result<NewSession, StoreError> {
        let random = || random_secret().map_err(|_| StoreError::Interrupted);
        let (secret, csrf) = (random()?, random()?);
        let now = self.session_now().await?;
        let session = Session {
            csrf: csrf.clone(),
            created_at: now,
            last_seen_at: now,
            expires_at: now.plus_ms(ms(ABSOLUTE)),
        };
        self.store.insert_session(digest(&secret), session).await?;
        Ok(NewSession { secret, csrf })
    }

    fn begin_guess(&self, from: IpAddr) -> Result<(), ApiError> {
        self.throttle()
            .begin(from, Instant::now())
            .inspect_err(|_| self.log.refused(Refusal::TooMany, from, "guess"))
            .map_err(|wait| ApiError::too_many("too many wrong attempts; wait a moment and try again", wait))
    }

    /// A guess that found no turn does not count as wrong.
    fn judge(&self, from: IpAddr, verdict: Result<bool, Busy>) -> Result<bool, ApiError> {
        verdict.map_err(|Busy| {
            self.throttle().withdrawn(from);
            busy()
        })
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        // Every change leaves the counts whole.
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn already_set_up() -> ApiError {
    ApiError::conflict("already_set_up", "the first password has been set, or none is needed; log in instead")
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

/// Compares in a time that depends on nothing but the lengths.
pub(super) fn same(given: &str, expected: &str) -> bool {
    given.as_bytes().ct_eq(expected.as_bytes()).into()
}

pub(super) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// 256 random bits as text.
pub(super) fn random_secret() -> Result<String, ApiError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|_| ApiError::unavailable("no_random", "the machine has no random numbers yet"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn random_code() -> Result<String, String> {
    let mut bytes = [0; CODE_LENGTH];
    getrandom::fill(&mut bytes)
        .map_err(|error| format!("no random numbers for the set-up code of the dashboard: {error}"))?;
    let mut code: String =
        bytes.iter().map(|byte| char::from(CODE_ALPHABET[usize::from(byte % 32)])).collect();
    code.insert(CODE_LENGTH / 2, '-');
    Ok(code)
}

/// A code as it is compared: people add spaces, leave out the dash and use capitals.
fn plain_code(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(created: i64, seen: i64) -> Session {
        Session {
            csrf: String::new(),
            created_at: UnixMs(created),
            last_seen_at: UnixMs(seen),
            expires_at: UnixMs(created + ms(ABSOLUTE)),
        }
    }

    #[test]
    fn a_session_ends_after_half_an_hour_unused_or_twelve_hours_in_all() {
        let minute = 60_000;
        assert!(!has_ended(&session(0, 0), UnixMs(30 * minute)));
        assert!(has_ended(&session(0, 0), UnixMs(31 * minute)));
        let last_hour = 12 * 60 * minute;
        assert!(!has_ended(&session(0, last_hour - minute), UnixMs(last_hour - 1)));
        assert!(has_ended(&session(0, last_hour - minute), UnixMs(last_hour)));
    }

    #[test]
    fn a_session_from_the_future_has_ended() {
        assert!(has_ended(&session(3_600_000, 3_600_000), UnixMs(0)));
    }

    #[test]
    fn set_up_codes_are_easy_to_type_and_forgive_how_they_are_typed() {
        let code = random_code().unwrap();
        assert_eq!(code.len(), CODE_LENGTH + 1);
        assert!(!code.contains(['0', 'o', '1', 'l']), "{code}");
        let typed = format!(" {} ", code.replace('-', " ").to_uppercase());
        assert!(same(&plain_code(&typed), &plain_code(&code)));
        assert!(!same(&plain_code(""), &plain_code(&code)));
    }
}
