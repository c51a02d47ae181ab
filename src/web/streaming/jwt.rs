//! JSON Web Tokens of another program (RFC 7519), signed with HS256 and nothing else. Pure.
//!
//! What signs is fixed here: the header's `alg` chooses nothing, and nothing of a token is read before its signature was
//! found right, in a time that does not depend on the token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::store::Scope;

/// Longest token, bytes; a header of a request has little more.
const TOKEN_MAX: usize = 8192;

/// Clocks of two machines may differ by this, seconds.
const LEEWAY_S: f64 = 60.0;

/// What SHA-256 works on at a time, bytes.
const BLOCK: usize = 64;

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JwtClaims {
    /// What its owner may do.
    pub scope: Scope,
    /// Until when it counts, leeway included, seconds since 1970.
    pub until_s: i64,
}

/// Why a token does not count. Whoever sent it is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtRefusal {
    /// Not three parts of base64url.
    Malformed,
    /// Signed with another secret, in another way, or not at all.
    Signature,
    /// The header names another algorithm, or an extension that has to be understood.
    Header,
    /// It has no `exp`, so it would count for ever.
    Endless,
    /// Its time is over, or has not come.
    Untimely,
    /// It has a scope, and no word of it is known.
    Scope,
}

/// Whether a text looks like a token of this kind and not like one of ours.
pub fn is_one(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// What a token says, if it is signed with `secret` and counts at `now_s`. One without a claim `scope` has the scope
/// `otherwise`.
pub fn verify(token: &str, secret: &[u8], otherwise: Scope, now_s: i64) -> Result<JwtClaims, JwtRefusal> {
    if token.len() > TOKEN_MAX {
        return Err(JwtRefusal::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(JwtRefusal::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(JwtRefusal::Malformed)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| JwtRefusal::Malformed)?;
    let mut mac = mac(secret);
    mac.update(signed.as_bytes());
    mac.verify_slice(&signature).map_err(|_| JwtRefusal::Signature)?;
    let (header, claims) = (object(header)?, object(claims)?);
    if header.get("alg").and_then(Value::as_str) != Some("HS256") || header.contains_key("crit") {
        return Err(JwtRefusal::Header);
    }
    let until = date(&claims, "exp")?.ok_or(JwtRefusal::Endless)? + LEEWAY_S;
    let not_before = date(&claims, "nbf")?;
    // Seconds since 1970 are far below what a float holds exactly.
    let now = now_s as f64;
    if now >= until || not_before.is_some_and(|from| now < from - LEEWAY_S) {
        return Err(JwtRefusal::Untimely);
    }
    Ok(JwtClaims { scope: scope(&claims, otherwise)?, until_s: until.min(i64::MAX as f64) as i64 })
}

/// HMAC-SHA-256 with a secret of any length: one that is longer than a block is hashed, a shorter one filled with zeros
/// (RFC 2104 section 2).
pub(super) fn mac(secret: &[u8]) -> Hmac<Sha256> {
    let hashed: [u8; 32];
    let secret = if secret.len() > BLOCK {
        hashed = Sha256::digest(secret).into();
        &hashed
    } else {
        secret
    };
    let mut key = [0; BLOCK];
    for (place, byte) in key.iter_mut().zip(secret) {
        *place = *byte;
    }
    Hmac::new(&key.into())
}

fn object(part: &str) -> Result<Map<String, Value>, JwtRefusal> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtRefusal::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| JwtRefusal::Malformed)
}

/// Seconds since 1970, perhaps with a fraction (RFC 7519 section 2); what is there must be one.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, JwtRefusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().filter(|at| at.is_finite()).map(Some).ok_or(JwtRefusal::Untimely),
    }
}

/// The widest scope of the claim `scope` (RFC 8693 section 4.2: words with spaces between them; others write a list).
fn scope(claims: &Map<String, Value>, otherwise: Scope) -> Result<Scope, JwtRefusal> {
    let words: Vec<&str> = match claims.get("scope") {
        None => return Ok(otherwise),
        Some(Value::String(words)) => words.split_ascii_whitespace().collect(),
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
        Some(_) => Vec::new(),
    };
    words.into_iter().filter_map(Scope::parse).max().ok_or(JwtRefusal::Scope)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const NOW: i64 = 1_800_000_000;

    fn encode(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn signed(header: &Value, claims: &Value, secret: &[u8]) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let mut mac = mac(secret);
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    fn token(claims: &Value) -> String {
        signed(&json!({"alg": "HS256", "typ": "JWT"}), claims, SECRET)
    }

    fn said(token: &str) -> Result<Scope, JwtRefusal> {
        verify(token, SECRET, Scope::Read, NOW).map(|claims| claims.scope)
    }

    /// S2.12, and RFC 7515 appendix A.1, whose key and token are given there.
    #[test]
    fn the_token_of_the_standard_is_verified_with_the_key_of_the_standard() {
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let at = |now| verify(token, &key, Scope::Read, now);
        assert_eq!(at(1_300_819_379), Ok(JwtClaims { scope: Scope::Read, until_s: 1_300_819_440 }));
        assert_eq!(at(1_300_819_439).map(|claims| claims.scope), Ok(Scope::Read));
        assert_eq!(at(1_300_819_440), Err(JwtRefusal::Untimely));
    }

    /// RFC 4231, test cases 1, 2 and 6: a key shorter and one longer than a block.
    #[test]
    fn keys_of_any_length_sign_as_the_standard_says() {
        for (key, text, starts) in [
            (vec![0x0b; 20], "Hi There", [0xb0, 0x34, 0x4c, 0x61]),
            (b"Jefe".to_vec(), "what do ya want for nothing?", [0x5b, 0xdc, 0xc1, 0x46]),
            (
                vec![0xaa; 131],
                "Test Using Larger Than Block-Size Key - Hash Key First",
                [0x60, 0xe4, 0x31, 0x59],
            ),
        ] {
            let mut mac = mac(&key);
            mac.update(text.as_bytes());
            let signature: [u8; 32] = mac.finalize().into_bytes().into();
            assert_eq!(signature[..4], starts, "{text}");
        }
        for length in [0, 1, 63, 64, 65, 1024] {
            let key = vec![7; length];
            let (mut own, mut other) = (mac(&key), Hmac::<Sha256>::new_from_slice(&key).unwrap());
            own.update(b"text");
            other.update(b"text");
            assert_eq!(own.finalize().into_bytes(), other.finalize().into_bytes(), "{length}");
        }
    }

    /// S2.12
    #[test]
    fn no_word_of_the_header_changes_how_a_token_is_verified() {
        let claims = json!({"sub": "u", "exp": NOW + 60});
        for alg in ["none", "None", "RS256", "HS384", "HS512", "ES256", "", "hs256"] {
            // Signed as we do it, and still another algorithm is named.
            let header = json!({"alg": alg, "typ": "JWT"});
            assert_eq!(said(&signed(&header, &claims, SECRET)), Err(JwtRefusal::Header), "{alg}");
            let unsigned = format!("{}.{}.", encode(&header), encode(&claims));
            assert_eq!(said(&unsigned), Err(JwtRefusal::Signature), "{alg}");
        }
        // RS256 whose verifier would take our secret for its public key: an RSA signature is no MAC.
        let rs256 = format!("{}.{}.{}", encode(&json!({"alg": "RS256"})), encode(&claims), "A".repeat(342));
        assert_eq!(said(&rs256), Err(JwtRefusal::Signature));
        assert_eq!(said(&signed(&json!({"typ": "JWT"}), &claims, SECRET)), Err(JwtRefusal::Header));
        let critical = json!({"alg": "HS256", "crit": ["b64"], "b64": false});
        assert_eq!(said(&signed(&critical, &claims, SECRET)), Err(JwtRefusal::Header));
    }

    /// S2.12
    #[test]
    fn wrong_secrets_times_and_shapes_are_refused() {
        let header = json!({"alg": "HS256"});
        let good = json!({"exp": NOW + 60});
        assert_eq!(said(&token(&good)), Ok(Scope::Read));
        assert_eq!(said(&signed(&header, &good, b"another")), Err(JwtRefusal::Signature));
        for (claims, expected) in [
            (json!({"sub": "u"}), Err(JwtRefusal::Endless)),
            (json!({"exp": NOW - 59}), Ok(Scope::Read)),
            (json!({"exp": NOW - 60}), Err(JwtRefusal::Untimely)),
            (json!({"exp": (NOW + 9) as f64 + 0.5}), Ok(Scope::Read)),
            (json!({"exp": "soon"}), Err(JwtRefusal::Untimely)),
            (json!({"exp": null}), Err(JwtRefusal::Untimely)),
            (json!({"exp": NOW + 60, "nbf": NOW + 60}), Ok(Scope::Read)),
            (json!({"exp": NOW + 600, "nbf": NOW + 61}), Err(JwtRefusal::Untimely)),
            (json!({"exp": NOW + 60, "scope": "operate"}), Ok(Scope::Operate)),
            (json!({"exp": NOW + 60, "scope": "openid read full"}), Ok(Scope::Full)),
            (json!({"exp": NOW + 60, "scope": ["read", "operate"]}), Ok(Scope::Operate)),
            (json!({"exp": NOW + 60, "scope": "admin"}), Err(JwtRefusal::Scope)),
            (json!({"exp": NOW + 60, "scope": 7}), Err(JwtRefusal::Scope)),
            (json!({"exp": NOW + 60, "scope": ""}), Err(JwtRefusal::Scope)),
        ] {
            assert_eq!(said(&token(&claims)), expected, "{claims}");
        }
        let whole = token(&good);
        for text in ["", ".", "..", "a.b.c", &whole[1..], &format!("{whole}="), &format!("x.{whole}")] {
            assert!(said(text).is_err(), "{text}");
        }
        assert_eq!(said(&"a".repeat(TOKEN_MAX + 1)), Err(JwtRefusal::Malformed));
        let list = signed(&header, &json!([1]), SECRET);
        assert_eq!(said(&list), Err(JwtRefusal::Malformed));
    }

    proptest! {
        #[test]
        fn no_token_that_was_changed_anywhere_counts(at in 0_usize..100, bit in 0_u8..7) {
            let mut bytes = token(&json!({"exp": NOW + 60, "scope": "read"})).into_bytes();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(bytes) {
                prop_assert!(said(&text).is_err(), "{text}");
            }
        }
    }
}
