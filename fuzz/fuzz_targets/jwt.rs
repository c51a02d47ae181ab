//! Tokens of another program: whatever is sent, and whatever one says that is signed as it should be.
//!
//! The first byte says which: an even one is followed by a token, an odd one by its two parts with a line feed between,
//! which are signed here.
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use camera_capture::store::Scope;
use camera_capture::web::streaming::jwt;
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const OTHER: &[u8] = b"0123456789abcdef0123456789abcdeg";
const NOW: i64 = 1_800_000_000;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    if first % 2 == 0 {
        let Ok(token) = std::str::from_utf8(rest) else { return };
        let _ = jwt::is_one(token);
        assert!(jwt::verify(token, SECRET, Scope::Full, NOW).is_err(), "nobody guesses a signature");
        return;
    }
    let mut parts = rest.splitn(2, |byte| *byte == b'\n');
    let mut next = || URL_SAFE_NO_PAD.encode(parts.next().unwrap_or_default());
    let signed = format!("{}.{}", next(), next());
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(SECRET) else { return };
    mac.update(signed.as_bytes());
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    assert!(jwt::verify(&token, OTHER, Scope::Full, NOW).is_err(), "signed with another secret");
    if let Ok(claims) = jwt::verify(&token, SECRET, Scope::Read, NOW) {
        assert!(claims.until_s >= NOW, "its time is over");
        if let Some(later) = claims.until_s.checked_add(1) {
            assert!(jwt::verify(&token, SECRET, Scope::Read, later).is_err(), "it counts longer than it says");
        }
    }
});
