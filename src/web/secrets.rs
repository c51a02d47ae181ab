//! Random secrets, as they are made, kept and compared: cookies, tokens, the set-up code.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::code::ErrorCode;
use super::error::ApiError;

/// Characters of a set-up code: none that looks like another one, none that needs a shift key.
const CODE_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Characters of a set-up code without its dash: 50 random bits, guessed at most a few times a minute.
const CODE_LENGTH: usize = 10;

/// Compares in a time that depends on nothing but the lengths.
pub(super) fn same(given: &str, expected: &str) -> bool {
    given.as_bytes().ct_eq(expected.as_bytes()).into()
}

/// What the store keeps of a secret of 256 random bits.
pub(super) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// 256 random bits as text.
pub(super) fn random_secret() -> Result<String, ApiError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|_| ApiError::new(ErrorCode::NoRandom, "the machine has no random numbers yet"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A set-up code, such as `k3x9m-q7w2p`.
pub(super) fn random_code() -> Result<String, String> {
    let mut bytes = [0; CODE_LENGTH];
    getrandom::fill(&mut bytes)
        .map_err(|error| format!("no random numbers for the set-up code of the dashboard: {error}"))?;
    let mut code: String =
        bytes.iter().map(|byte| char::from(CODE_ALPHABET[usize::from(byte % 32)])).collect();
    code.insert(CODE_LENGTH / 2, '-');
    Ok(code)
}

/// A code as it is compared: people add spaces, leave out the dash and use capitals.
pub(super) fn plain_code(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
