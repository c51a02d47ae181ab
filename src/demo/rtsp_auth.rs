//! The server's side of HTTP authentication as cameras do it: Basic, and Digest with MD5 (RFC 2617) or SHA-256
//! (RFC 7616), with or without `qop=auth` and `-sess`.
//!
//! Most cameras challenge with MD5 and no `qop`; an answer that uses `qop=auth` all the same is checked too. It guards synthetic pictures on loopback: the URI of the answer is not compared with that of the request.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use sha2::{Digest as _, Sha256};

use crate::config::Secret;
use crate::model::hex;

/// Protection space shown to clients.
const REALM: &str = "synthetic camera";

/// How a client has to prove that it knows the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    /// User name and password in Base64.
    Basic,
    /// A hash of them, of the server's nonce and of the request: MD5 without `qop`, as on most cameras.
    Digest,
    /// The same with this algorithm and `qop=auth`.
    DigestQop(Algorithm),
    /// Both of the modern server: SHA-256 is offered first, then MD5, in one header (RFC 7616 section 3.7).
    DigestChoice,
}

/// How a digest is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 1321.
    Md5,
    /// The same, with the client's nonce in the first half.
    Md5Sess,
    /// FIPS 180-4.
    Sha256,
    /// The same, with the client's nonce in the first half.
    Sha256Sess,
}

impl Algorithm {
    const ALL: [Self; 4] = [Self::Md5, Self::Md5Sess, Self::Sha256, Self::Sha256Sess];

    /// As in a challenge.
    fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(text))
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 | Self::Md5Sess => hex(&Md5::digest(text.as_bytes())),
            Self::Sha256 | Self::Sha256Sess => hex(&Sha256::digest(text.as_bytes())),
        }
    }

    fn is_session(self) -> bool {
        matches!(self, Self::Md5Sess | Self::Sha256Sess)
    }
}

/// The one account of a server.
#[derive(Clone, Debug)]
pub struct RtspAccount {
    /// Demanded proof.
    pub scheme: AuthScheme,
    /// User name, without a colon.
    pub user: String,
    /// Never printed.
    pub password: Secret<String>,
}

impl RtspAccount {
    /// The value of `WWW-Authenticate`.
    pub(super) fn challenge(&self, nonce: &str) -> String {
        match self.scheme {
            AuthScheme::Basic => format!("Basic realm=\"{REALM}\""),
            AuthScheme::Digest => format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm=MD5"),
            AuthScheme::DigestQop(algorithm) => digest_qop(algorithm, nonce),
            AuthScheme::DigestChoice => {
                [Algorithm::Sha256, Algorithm::Md5].map(|algorithm| digest_qop(algorithm, nonce)).join(", ")
            }
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
                scheme.eq_ignore_ascii_case("digest") && self.proves(rest, method, nonce, &[Algorithm::Md5])
            }
            AuthScheme::DigestQop(algorithm) => {
                scheme.eq_ignore_ascii_case("digest")
                    && rest.contains("qop")
                    && self.proves(rest, method, nonce, &[algorithm])
            }
            AuthScheme::DigestChoice => {
                scheme.eq_ignore_ascii_case("digest")
                    && rest.contains("qop")
                    && self.proves(rest, method, nonce, &[Algorithm::Sha256, Algorithm::Md5])
            }
        }
    }

    /// Whether the parameters of a digest prove the password by one of these algorithms; the first one is meant when
    /// they name none.
    fn proves(&self, parameters: &str, method: &str, nonce: &str, algorithms: &[Algorithm]) -> bool {
        let answer = Parameters::parse(parameters);
        let algorithm = match answer.get("algorithm") {
            Some(name) => Algorithm::parse(name).filter(|algorithm| algorithms.contains(algorithm)),
            None => algorithms.first().copied(),
        };
        let response = algorithm.and_then(|algorithm| self.response(&answer, method, nonce, algorithm));
        answer.get("username") == Some(self.user.as_str())
            && response.is_some_and(|is| answer.get("response") == Some(is.as_str()))
    }

    /// The right `response` for the other parameters of an answer (RFC 7616, 3.4.1). It is taken of our own nonce, so an
    /// answer to any other challenge is wrong by itself.
    fn response(
        &self,
        answer: &Parameters<'_>,
        method: &str,
        nonce: &str,
        algorithm: Algorithm,
    ) -> Option<String> {
        let mut account = algorithm.hash(&format!("{}:{REALM}:{}", self.user, self.password.reveal()));
        if algorithm.is_session() {
            account = algorithm.hash(&format!("{account}:{nonce}:{}", answer.get("cnonce")?));
        }
        let request = algorithm.hash(&format!("{method}:{}", answer.get("uri")?));
        let mut text = format!("{account}:{nonce}:");
        if let Some(qop) = answer.get("qop") {
            // Writing to a string cannot fail.
            let _ = write!(text, "{}:{}:{qop}:", answer.get("nc")?, answer.get("cnonce")?);
        }
        Some(algorithm.hash(&(text + &request)))
    }
}

fn digest_qop(algorithm: Algorithm, nonce: &str) -> String {
    let algorithm = algorithm.as_str();
    format!("Digest realm=\"{REALM}\", qop=\"auth\", algorithm={algorithm}, nonce=\"{nonce}\"")
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn auth(scheme: AuthScheme) -> RtspAccount {
        RtspAccount { scheme, user: "cam".to_owned(), password: Secret::new("secret".to_owned()) }
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
        let md5 = |text: &str| Algorithm::Md5.hash(text);
        let account = md5("cam:synthetic camera:secret");
        let request = md5("PLAY:rtsp://127.0.0.1/r1");
        let response = md5(&format!("{account}:abc:{request}"));
        let answer = format!(
            "Digest username=\"cam\", realm=\"synthetic camera\", nonce=\"abc\", uri=\"rtsp://127.0.0.1/r1\", response=\"{response}\""
        );
        assert!(auth.admits(&answer, "PLAY", "abc"));
        assert!(!auth.admits(&answer, "SETUP", "abc"));
        assert!(!auth.admits(&answer, "PLAY", "other"));
    }

    #[test]
    fn the_hashes_are_those_of_rfc_1321_and_fips_180() {
        assert_eq!(Algorithm::Md5.hash("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Algorithm::Sha256.hash("abc"), abc);
    }

    #[test]
    fn a_digest_of_another_algorithm_or_without_qop_is_refused() {
        // RFC 7616 section 3.9.1 with this realm: the response is taken by hand, step by step.
        let auth = auth(AuthScheme::DigestQop(Algorithm::Sha256));
        let answer = |algorithm: Algorithm, qop: &str| {
            let account = algorithm.hash("cam:synthetic camera:secret");
            let request = algorithm.hash("PLAY:*");
            let response = algorithm.hash(&match qop {
                "" => format!("{account}:n:{request}"),
                _ => format!("{account}:n:00000001:c:auth:{request}"),
            });
            let name = algorithm.as_str();
            format!("Digest username=\"cam\", uri=\"*\", algorithm={name}{qop}, response=\"{response}\"")
        };
        let qop = ", nc=00000001, cnonce=\"c\", qop=auth";
        assert!(auth.admits(&answer(Algorithm::Sha256, qop), "PLAY", "n"));
        assert!(!auth.admits(&answer(Algorithm::Sha256, ""), "PLAY", "n"));
        assert!(!auth.admits(&answer(Algorithm::Md5, qop), "PLAY", "n"));
        assert!(!auth.admits(&answer(Algorithm::Sha256Sess, qop), "PLAY", "n"), "not of the client's nonce");
    }

    proptest! {
        #[test]
        fn any_authorization_is_judged_without_a_panic(text: String, pairs in "(Digest )?([a-z]{1,8}=\"?[^\"]{0,5}\"?,? ?){0,8}") {
            let schemes = [AuthScheme::Basic, AuthScheme::Digest, AuthScheme::DigestChoice];
            for scheme in schemes.into_iter().chain(Algorithm::ALL.map(AuthScheme::DigestQop)) {
                prop_assert!(!auth(scheme).admits(&text, "PLAY", "n"));
                prop_assert!(!auth(scheme).admits(&pairs, "PLAY", "n"));
            }
        }
    }
}
