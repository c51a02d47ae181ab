//! Passwords: how they are hashed (Argon2id); `hasher.rs` keeps that from eating the machine.

use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;

use super::password_strength::{self, LENGTH_MAX};

pub use super::password_strength::PasswordError;

/// The setting under which the password's hash is stored.
pub const PASSWORD_KEY: &str = "web.password_hash";

/// Memory of one hash in KiB; with [`PASSES`] and one lane the second choice of the OWASP password storage cheat sheet.
pub(super) const MEMORY_KIB: u32 = 19_456;

/// Passes over the memory.
const PASSES: u32 = 2;

/// A hash from the configuration brings its own parameters; beyond these it would be a memory bomb.
const MEMORY_KIB_MAX: u32 = 128 * 1024;

/// As [`MEMORY_KIB_MAX`], for the passes.
const PASSES_MAX: u32 = 10;

/// As [`MEMORY_KIB_MAX`], for the lanes.
const LANES_MAX: u32 = 8;

/// What to tell those who come while as many hashes as may wait are waiting.
pub(super) const BUSY_RETRY: Duration = Duration::from_secs(2);

/// Checks a new password, apart from names it may be made of, and hashes it with Argon2id (m=19456, t=2, p=1) into a PHC string.
///
/// Blocking for 20 to 500 ms and 19 MiB; inside the server use the hasher's thread.
pub fn hash_password(password: &str) -> Result<String, PasswordError> {
    hash(password, &mut Blocks::default())
}

/// The same in memory that is there. Blocking.
pub(super) fn hash(password: &str, blocks: &mut Blocks) -> Result<String, PasswordError> {
    password_strength::check(password, &[])?;
    let salt = Salt::generate();
    let computed = compute(password, &ours()?, &salt, blocks)?;
    let phc = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(ours()?.params()).map_err(|_| PasswordError::Hashing)?,
        salt: Some(salt),
        hash: Some(computed),
    };
    Ok(phc.to_string())
}

/// Argon2id with our own parameters.
fn ours() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|_| PasswordError::Hashing)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The hash itself.
fn compute(
    password: &str,
    argon2: &Argon2<'_>,
    salt: &[u8],
    blocks: &mut Blocks,
) -> Result<Output, PasswordError> {
    let mut out = [0; Output::MAX_LENGTH];
    let length = argon2.params().output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let out = out.get_mut(..length).ok_or(PasswordError::Hashing)?;
    blocks
        .with(argon2.params().block_count(), |blocks| {
            argon2.hash_password_into_with_memory(password.as_bytes(), salt, out, blocks)
        })
        .and_then(Result::ok)
        .and_then(|()| Output::new(out).ok())
        .ok_or(PasswordError::Hashing)
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
pub(super) fn verify(password: &str, phc: Option<&str>, blocks: &mut Blocks) -> bool {
    // A password longer than any accepted one is not worth hashing: its length is known to whoever sent it.
    if password.chars().count() > LENGTH_MAX {
        return false;
    }
    let Some(expected) = phc.and_then(parse) else {
        // Only the time it takes matters.
        let _ = ours().and_then(|argon2| compute(password, &argon2, &[0; 16], blocks));
        return false;
    };
    is_hash_of(password, &expected, blocks).unwrap_or(false)
}

/// `None` when the hash cannot be computed: parameters that contradict one another, or no memory.
fn is_hash_of(password: &str, expected: &PasswordHash, blocks: &mut Blocks) -> Option<bool> {
    let algorithm = Algorithm::new(expected.algorithm.as_str()).ok()?;
    let version = expected.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    let argon2 = Argon2::new(algorithm, version, Params::try_from(expected).ok()?);
    let (salt, hash) = (expected.salt.as_ref()?, expected.hash.as_ref()?);
    let computed = compute(password, &argon2, salt, blocks).ok()?;
    Some(computed.as_bytes().ct_eq(hash.as_bytes()).into())
}

/// The memory of one hash after the other.
#[derive(Default)]
pub(super) struct Blocks(Vec<Block>);

impl Blocks {
    /// Does `work` with so many KiB; `None` when the machine has not so much. What is more than a hash of ours takes is
    /// given back at once.
    pub(super) fn with<T>(&mut self, kib: usize, work: impl FnOnce(&mut [Block]) -> T) -> Option<T> {
        let usual = usize::try_from(MEMORY_KIB).unwrap_or(usize::MAX);
        if kib > usual {
            let mut once = Vec::new();
            self.0 = Vec::new();
            return grown(&mut once, kib).map(work);
        }
        grown(&mut self.0, kib).map(work)
    }

    /// Whether it takes no memory now.
    pub(super) fn is_empty(&self) -> bool {
        self.0.capacity() == 0
    }
}

fn grown(blocks: &mut Vec<Block>, count: usize) -> Option<&mut [Block]> {
    if blocks.len() < count {
        blocks.try_reserve_exact(count - blocks.len()).ok()?;
        blocks.resize(count, Block::new());
    }
    Some(&mut blocks[..count])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verify(password: &str, phc: Option<&str>) -> bool {
        super::verify(password, phc, &mut Blocks::default())
    }

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

    #[test]
    fn hashes_of_other_programs_verify_with_their_own_parameters() {
        // argon2 of the reference implementation: `echo -n password | argon2 somesalt -t 2 -m 16 -p 4 -l 24`.
        let phc = "$argon2i$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG";
        let mut blocks = Blocks::default();
        assert!(super::verify("password", Some(phc), &mut blocks));
        assert!(!super::verify("passwords", Some(phc), &mut blocks));
        for (memory, passes, lanes, length) in [(64, 1, 1, 16), (256, 3, 4, 32), (65_536, 1, 2, 64)] {
            let params = Params::new(memory, passes, lanes, Some(length)).unwrap();
            let argon2 = Argon2::new(Algorithm::Argon2i, Version::V0x10, params.clone());
            let salt = Salt::generate();
            let phc = PasswordHash {
                algorithm: Algorithm::Argon2i.ident(),
                version: Some(Version::V0x10.into()),
                params: ParamsString::try_from(&params).unwrap(),
                salt: Some(salt),
                hash: Some(compute("a phrase of theirs", &argon2, &salt, &mut blocks).unwrap()),
            };
            let phc = phc.to_string();
            assert!(super::verify("a phrase of theirs", Some(&phc), &mut blocks), "{phc}");
            assert!(!super::verify("a phrase of thems", Some(&phc), &mut blocks), "{phc}");
        }
    }
}
