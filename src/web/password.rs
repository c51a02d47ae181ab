//! Passwords: how they are hashed (Argon2id), and how hashing is kept from eating the machine.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::password_strength::{self, LENGTH_MAX, LENGTH_MIN};

/// The setting under which the password's hash is stored.
pub const PASSWORD_KEY: &str = "web.password_hash";

/// Memory of one hash in KiB; with [`PASSES`] and one lane the second choice of the OWASP password storage cheat sheet.
const MEMORY_KIB: u32 = 19_456;

/// Passes over the memory.
const PASSES: u32 = 2;

/// A hash from the configuration brings its own parameters; beyond these it would be a memory bomb.
const MEMORY_KIB_MAX: u32 = 128 * 1024;

/// As [`MEMORY_KIB_MAX`], for the passes.
const PASSES_MAX: u32 = 10;

/// As [`MEMORY_KIB_MAX`], for the lanes.
const LANES_MAX: u32 = 8;

/// Hashes that may wait for the one that is being computed; each costs a third of a second on a small Pi.
const WAITING_MAX: usize = 4;

/// What to tell those who come while [`WAITING_MAX`] are waiting.
pub(super) const BUSY_RETRY: Duration = Duration::from_secs(2);

/// What to do about a password that is guessed soon.
const ADVICE: &str = "choose three or four words that have nothing to do with one another, or let a password manager \
                      make one";

/// Why a password is refused; the text is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer characters than that.
    #[error("the password has fewer than {LENGTH_MIN} characters; choose a longer one")]
    TooShort,
    /// More characters than that.
    #[error("the password has more than {LENGTH_MAX} characters; choose a shorter one")]
    TooLong,
    /// On every list of guesses.
    #[error("this password is among the first that anyone would guess; {ADVICE}")]
    Common,
    /// One of those with digits and signs added or put for letters.
    #[error(
        "this is a common password with a few characters changed or added, and guessed soon, too; {ADVICE}"
    )]
    Variation,
    /// A row of the alphabet or of digits, or the same piece again and again.
    #[error("this password is a row or a repetition, and guessed soon; {ADVICE}")]
    Pattern,
    /// Little more than what the product, the machine or the site is called.
    #[error("this password is little more than the name of this program, machine or site; {ADVICE}")]
    Name,
    /// Argon2 itself failed: no memory or no random numbers.
    #[error("the password could not be hashed; the machine is out of memory or has no random numbers")]
    Hashing,
}

/// Checks a new password, apart from names it may be made of, and hashes it with Argon2id (m=19456, t=2, p=1) into a PHC string.
///
/// Blocking for 20 to 500 ms and 19 MiB; inside the server use the pool, which allows one at a time.
pub fn hash_password(password: &str) -> Result<String, PasswordError> {
    password_strength::check(password, &[])?;
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|_| PasswordError::Hashing)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|_| PasswordError::Hashing)
}

/// Whether a PHC string is an Argon2 hash within the limits this machine is willing to spend.
pub fn is_usable_hash(phc: &str) -> bool {
    parse(phc).is_some()
}

fn parse(phc: &str) -> Option<PasswordHash> {
    let hash = PasswordHash::new(phc).ok()?;
    let within = |name: &str, max: u32| hash.params.get_decimal(name).is_some_and(|value| value <= max);
    let is_argon2 = Algorithm::new(hash.algorithm.as_str()).is_ok();
    (is_argon2
        && hash.hash.is_some()
        && hash.salt.is_some()
        && within("m", MEMORY_KIB_MAX)
        && within("t", PASSES_MAX)
        && within("p", LANES_MAX))
    .then_some(hash)
}

/// Blocking. With no usable hash the same work is done in vain, so that the time taken tells nothing.
fn verify(password: &str, phc: Option<&str>) -> bool {
    // A password longer than any accepted one is not worth hashing: its length is known to whoever sent it.
    if password.chars().count() > LENGTH_MAX {
        return false;
    }
    match phc.and_then(parse) {
        Some(hash) => Argon2::default().verify_password(password.as_bytes(), &hash).is_ok(),
        None => {
            if let Ok(params) = Params::new(MEMORY_KIB, PASSES, 1, None) {
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                // Only the time it takes matters.
                let _ = argon2.hash_password_into(password.as_bytes(), &[0; 16], &mut [0; 32]);
            }
            false
        }
    }
}

/// As many hashes as may be computed are computed, and as many as may wait are waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy;

/// One hash at a time on the blocking pool, a few waiting, no more.
#[derive(Clone)]
pub(super) struct Hasher {
    turn: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Hasher {
    pub(super) fn new() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), places: Arc::new(Semaphore::new(1 + WAITING_MAX)) }
    }

    /// Compares a password with a hash. A caller that is dropped leaves the computation to end by itself.
    pub(super) async fn verify(&self, password: String, phc: Option<String>) -> Result<bool, Busy> {
        self.run(move || verify(&password, phc.as_deref())).await
    }

    /// Hashes a new password that has passed [`password_strength::check`].
    pub(super) async fn hash(&self, password: String) -> Result<Result<String, PasswordError>, Busy> {
        self.run(move || hash_password(&password)).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Busy)?;
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|_| Busy)?;
        tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            work()
        })
        .await
        .map_err(|_| Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_carry_the_owasp_parameters_and_verify() {
        let phc = hash_password("a long enough 🦉 phrase").unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(verify("a long enough 🦉 phrase", Some(&phc)));
        assert!(!verify("a long enough 🦉 phras", Some(&phc)));
        assert!(!verify("a long enough 🦉 phrase", None));
    }

    #[test]
    fn nothing_of_a_long_password_is_cut_off() {
        let long = format!("{}a", "x🦉".repeat(60));
        let phc = hash_password(&long).unwrap();
        assert!(!verify(&format!("{}b", "x🦉".repeat(60)), Some(&phc)));
    }

    #[test]
    fn a_hash_that_would_eat_the_memory_is_not_usable() {
        let phc = hash_password("a long enough phrase").unwrap();
        assert!(is_usable_hash(&phc));
        for (from, to) in [("m=19456", "m=4194304"), ("t=2", "t=1000"), ("argon2id", "scrypt")] {
            assert!(!is_usable_hash(&phc.replace(from, to)), "{to}");
        }
        assert!(!is_usable_hash("admin123"));
        assert!(!is_usable_hash(""));
    }

    #[tokio::test]
    async fn more_hashes_than_may_wait_are_refused_at_once() {
        let hasher = Hasher::new();
        let _turn = Arc::clone(&hasher.turn).acquire_owned().await.unwrap();
        let mut waiting: Vec<_> =
            (0..=WAITING_MAX).map(|_| Box::pin(hasher.verify("x".to_owned(), None))).collect();
        for future in &mut waiting {
            assert!(futures_util::poll!(future).is_pending());
        }
        assert_eq!(hasher.verify("x".to_owned(), None).await, Err(Busy));
    }
}
