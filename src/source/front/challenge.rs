//! Challenges of a log-in (RFC 7616 section 3.3), read as firmware writes them and handed on as they should be. Pure.

use http_auth::{ChallengeRef, ParamValue, PasswordClient};

/// Most bytes of all challenges that are read. Honest ones have some hundred.
const READ_MAX: usize = 8 << 10;

/// One challenge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Such as `Digest`.
    pub scheme: String,
    /// Names in lower case, and values without quotation marks.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Reads the challenges of one header.
    pub fn read(text: &str) -> Vec<Self> {
        let end = (0..=text.len().min(READ_MAX)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let mut challenges: Vec<Self> = Vec::new();
        for piece in pieces(&text[..end]) {
            let (first, rest) = piece.split_once(char::is_whitespace).unwrap_or((&piece, ""));
            let begins = !first.contains('=') && !rest.trim_start().starts_with('=');
            let parameter = if begins {
                challenges.push(Self { scheme: first.to_owned(), parameters: Vec::new() });
                rest
            } else {
                &piece
            };
            if let (Some((name, value)), Some(challenge)) = (parameter.split_once('='), challenges.last_mut())
            {
                challenge.parameters.push((name.trim().to_ascii_lowercase(), unquoted(value.trim())));
            }
        }
        challenges
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the camera says that the answer before was too old.
    pub fn is_stale(&self) -> bool {
        self.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true"))
    }

    /// Who can answer it, if anybody here can.
    pub fn client(&self) -> Option<PasswordClient> {
        // Without a realm, that of nothing.
        let mut parameters = vec![("realm", escaped(self.get("realm").unwrap_or_default()))];
        if self.scheme.eq_ignore_ascii_case("digest") {
            let said = |name| self.get(name).filter(|value| !value.is_empty());
            parameters.push(("nonce", escaped(said("nonce")?)));
            parameters.extend(said("opaque").map(|opaque| ("opaque", escaped(opaque))));
            let is_usual = |algorithm: &&str| !algorithm.eq_ignore_ascii_case("md5");
            parameters.extend(said("algorithm").filter(is_usual).map(|name| ("algorithm", escaped(name))));
            // Of several the plain one is chosen; alone auth-int is answered as by clients that know none.
            let knows = |qop: &str| qop.split([',', ' ']).any(|one| one.trim().eq_ignore_ascii_case("auth"));
            parameters.extend(said("qop").filter(|qop| knows(qop)).map(|_| ("qop", "auth".to_owned())));
        }
        let mut challenge = ChallengeRef::new(&self.scheme);
        for (name, value) in &parameters {
            challenge.params.push((name, ParamValue::try_from_escaped(value).ok()?));
        }
        PasswordClient::try_from(&challenge).ok()
    }
}

/// What stands between commas, or without one behind a quotation mark that closes.
fn pieces(text: &str) -> Vec<String> {
    let (mut pieces, mut piece) = (Vec::new(), String::new());
    let (mut is_quoted, mut is_closed, mut is_escaped) = (false, false, false);
    for c in text.chars() {
        let is_end = !is_quoted && (matches!(c, ',' | ';') || (is_closed && c.is_whitespace()));
        if is_end {
            pieces.push(std::mem::take(&mut piece));
            is_closed = false;
            continue;
        }
        piece.push(c);
        if c == '"' && !is_escaped {
            is_closed = is_quoted;
            is_quoted = !is_quoted;
        }
        is_escaped = c == '\\' && is_quoted && !is_escaped;
    }
    pieces.push(piece);
    pieces.into_iter().map(|piece| piece.trim().to_owned()).filter(|piece| !piece.is_empty()).collect()
}

/// A value without its quotation marks, if it has any.
fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else { return value.to_owned() };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let (mut plain, mut is_escaped) = (String::new(), false);
    for c in inner.chars() {
        is_escaped = c == '\\' && !is_escaped;
        if !is_escaped {
            plain.push(c);
        }
    }
    plain
}

fn escaped(value: &str) -> String {
    value.chars().fold(String::new(), |mut escaped, c| {
        if matches!(c, '"' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn challenges_are_read_as_firmware_writes_them() {
        for (text, expected) in [
            ("Digest realm=\"x\", nonce=\"one\", stale=\"FALSE\"", vec![("Digest", "x", "one")]),
            ("Digest realm=\"x\",nonce=one,stale=FALSE,", vec![("Digest", "x", "one")]),
            ("digest  Realm = \"a, b\" , Nonce = one", vec![("digest", "a, b", "one")]),
            ("Digest realm=\"x\" nonce=\"one\"", vec![("Digest", "x", "one")]),
            ("Digest realm=\"x\"; nonce=\"one\"", vec![("Digest", "x", "one")]),
            ("Digest realm=\"a \\\"b\\\"\", nonce=\"one\"", vec![("Digest", "a \"b\"", "one")]),
            (
                "Basic realm=\"x\", Digest realm=\"y\", nonce=\"one\"",
                vec![("Basic", "x", ""), ("Digest", "y", "one")],
            ),
            ("Negotiate, Basic realm=x", vec![("Negotiate", "", ""), ("Basic", "x", "")]),
            ("Digest nonce=\"a=b==\"", vec![("Digest", "", "a=b==")]),
            ("Digest realm=\"open, nonce=one", vec![("Digest", "open, nonce=one", "")]),
            ("", vec![]),
        ] {
            let read = Challenge::read(text);
            let seen: Vec<_> = read
                .iter()
                .map(|one| {
                    (one.scheme.as_str(), one.get("realm").unwrap_or(""), one.get("nonce").unwrap_or(""))
                })
                .collect();
            assert_eq!(seen, expected, "{text}");
        }
    }

    #[test]
    fn what_nobody_here_can_answer_is_not_answered() {
        let can = |text: &str| Challenge::read(text)[0].client().is_some();
        assert!(can("Digest realm=\"x\", nonce=\"n\", algorithm=\"md5\", qop=\"auth\", opaque=\"\""));
        assert!(can("Digest realm=\"x\", nonce=\"n\", algorithm=SHA-256"));
        assert!(can("Digest nonce=\"n\", qop=\"auth-int\""));
        assert!(!can("Digest realm=\"x\", nonce=\"n\", algorithm=SHA3-512"));
        assert!(!can("Digest realm=\"x\""));
        assert!(!can("Bearer realm=\"x\""));
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_read(text in "\\PC{0,80}|(Digest|Basic) [a-z]{1,6}=\"\\PC{0,20}\",[ -~]{0,40}") {
            for challenge in Challenge::read(&text) {
                let _ = challenge.client();
            }
        }
    }
}
