//! The server's side of HTTP authentication as cameras do it: Basic, and Digest with MD5 (RFC 2617).
//!
//! The Digest challenge has no `qop`, as on most cameras; an answer that uses `qop=auth` all the same is checked too.
//! It guards synthetic pictures on loopback: the URI of the answer is not compared with that of the request.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use crate::config::Secret;
use crate::model::hex;

/// Protection space shown to clients.
const REALM: &str = "synthetic camera";

/// How a client has to prove that it knows the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    /// User name and password in Base64.
    Basic,
    /// A hash of them, of the server's nonce and of the request.
    Digest,
}

/// The one account of a server.
#[derive(Clone, Debug)]
pub struct Auth {
    /// Demanded proof.
    pub scheme: AuthScheme,
    /// User name, without a colon.
    pub user: String,
    /// Never printed.
    pub password: Secret<String>,
}

impl Auth {
    /// The value of `WWW-Authenticate`.
    pub(super) fn challenge(&self, nonce: &str) -> String {
        match self.scheme {
            AuthScheme::Basic => format!("Basic realm=\"{REALM}\""),
            AuthScheme::Digest => format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm=MD5"),
        }
    }

    /// Whether the value of `Authorization` proves the password for a request of this method.
    pub(super) fn admits(&self, authorization: &str, method: &str, nonce: &str) -> bool {
        let Some((scheme, rest)) = authorization.trim().split_once(' ') else { return false };
        match self.scheme {
            AuthScheme::Basic => {
                let account = format!("{}:{}", self.user, self.password.reveal());
                scheme.eq_ignore_ascii_case("basic") && rest.trim() == STANDARD.encode(account)
            }
            AuthScheme::Digest => {
                let answer = Parameters::parse(rest);
                scheme.eq_ignore_ascii_case("digest")
                    && answer.get("username") == Some(self.user.as_str())
                    && self
                        .response(&answer, method, nonce)
                        .is_some_and(|is| answer.get("response") == Some(is.as_str()))
            }
        }
    }

    /// The right `response` for the other parameters of an answer (RFC 2617, 3.2.2.1). It is taken of our own nonce,
    /// so an answer to any other challenge is wrong by itself.
    fn response(&self, answer: &Parameters<'_>, method: &str, nonce: &str) -> Option<String> {
        let account = md5_hex(&format!("{}:{REALM}:{}", self.user, self.password.reveal()));
        let request = md5_hex(&format!("{method}:{}", answer.get("uri")?));
        let mut text = format!("{account}:{nonce}:");
        if let Some(qop) = answer.get("qop") {
            // Writing to a string cannot fail.
            let _ = write!(text, "{}:{}:{qop}:", answer.get("nc")?, answer.get("cnonce")?);
        }
        Some(md5_hex(&(text + &request)))
    }
}

/// `name=value` and `name="value"`, parted by commas; what does not look so is left out.
struct Parameters<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Parameters<'a> {
    fn parse(text: &'a str) -> Self {
        let mut found = Vec::new();
        let mut rest = text;
        while let Some((name, value)) = rest.split_once('=') {
            let (value, after) = match value.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                None => value.split_once(',').unwrap_or((value, "")),
            };
            found.push((name.trim_matches([' ', ',', '\t']), value.trim()));
            rest = after;
        }
        Self(found)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

fn md5_hex(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn auth(scheme: AuthScheme) -> Auth {
        Auth { scheme, user: "cam".to_owned(), password: Secret::new("secret".to_owned()) }
    }

    #[test]
    fn basic_admits_the_password_and_nothing_else() {
        let auth = auth(AuthScheme::Basic);
        assert!(auth.admits("Basic Y2FtOnNlY3JldA==", "DESCRIBE", ""));
        assert!(!auth.admits("Basic Y2FtOndyb25n", "DESCRIBE", ""));
        assert!(!auth.admits("Digest Y2FtOnNlY3JldA==", "DESCRIBE", ""));
    }

    #[test]
    fn a_digest_is_good_for_its_method_and_nonce_only() {
        let auth = auth(AuthScheme::Digest);
        // printf 'cam:synthetic camera:secret' | md5sum, and so on, joined with the nonce.
        let account = md5_hex("cam:synthetic camera:secret");
        let request = md5_hex("PLAY:rtsp://127.0.0.1/r1");
        let response = md5_hex(&format!("{account}:abc:{request}"));
        let answer = format!(
            "Digest username=\"cam\", realm=\"synthetic camera\", nonce=\"abc\", uri=\"rtsp://127.0.0.1/r1\", response=\"{response}\""
        );
        assert!(auth.admits(&answer, "PLAY", "abc"));
        assert!(!auth.admits(&answer, "SETUP", "abc"));
        assert!(!auth.admits(&answer, "PLAY", "other"));
    }

    #[test]
    fn md5_is_that_of_rfc_1321() {
        assert_eq!(md5_hex("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
    }

    proptest! {
        #[test]
        fn any_authorization_is_judged_without_a_panic(text: String, pairs in "(Digest )?([a-z]{1,8}=\"?[^\"]{0,5}\"?,? ?){0,8}") {
            for scheme in [AuthScheme::Basic, AuthScheme::Digest] {
                prop_assert!(!auth(scheme).admits(&text, "PLAY", "n"));
                prop_assert!(!auth(scheme).admits(&pairs, "PLAY", "n"));
            }
        }
    }
}
