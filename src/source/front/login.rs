//! Logging in at a camera: Basic and Digest (RFC 7616), several challenges, challenges that grow old.

use http_auth::{PasswordClient, PasswordParams};

use super::challenge::Challenge;
use super::message::MessageHead;
use crate::config::Credentials;

/// How often one request is sent again with a new challenge. More would lock the account of many cameras.
const ANSWERS_MAX: u32 = 2;

/// The log-in at one camera.
#[derive(Default)]
pub struct Login {
    credentials: Option<Credentials>,
    /// What is answered, and by whom.
    client: Option<(Challenge, PasswordClient)>,
    /// The request under way has been sent with so many answers to challenges.
    answers: u32,
    /// The challenge was made for the request under way, so its nonce cannot be too old.
    is_fresh: bool,
    /// The camera took an answer, so the password is right.
    is_right: bool,
}

impl Login {
    /// Nothing has been asked yet.
    pub fn new(credentials: Option<Credentials>) -> Self {
        Self { credentials, ..Self::default() }
    }

    /// A new request begins.
    pub fn begin(&mut self) {
        (self.answers, self.is_fresh) = (0, false);
    }

    /// Whether there is a user to be.
    pub fn is_known(&self) -> bool {
        self.credentials.is_some()
    }

    /// Whether the camera was told so with the request under way.
    pub fn is_told(&self) -> bool {
        self.answers > 0
    }

    /// The request under way was granted.
    pub fn granted(&mut self) {
        self.is_right |= self.is_told();
    }

    /// The `Authorization` of a request, if the camera has asked for one; `url` is that of its first line.
    pub fn authorization(&mut self, method: &str, url: &str) -> Option<String> {
        let (credentials, (_, client)) = (self.credentials.as_ref()?, self.client.as_mut()?);
        // Without a body the crate chooses qop=auth; of an empty one it would reckon auth-int, and leave the body out.
        let params = PasswordParams {
            username: &credentials.username,
            password: credentials.password.reveal(),
            uri: url,
            method,
            body: None,
        };
        let answer = client.respond(&params).ok()?;
        self.answers += 1;
        Some(answer)
    }

    /// Takes in a refusal with status 401; whether it is worth asking again: when nothing was answered yet; when the
    /// answer was to a challenge of an earlier request and there is a new one now, or the password was right then; when
    /// the camera says that it was too old; when it now asks for something else. Everything else is a wrong password.
    pub fn challenged(&mut self, head: &MessageHead) -> bool {
        if self.credentials.is_none() || self.answers >= ANSWERS_MAX {
            return false;
        }
        let challenges = head.all("WWW-Authenticate").flat_map(Challenge::read);
        let mut known: Vec<_> =
            challenges.filter_map(|one| one.client().map(|client| (one, client))).collect();
        let digest = known.iter().position(|(_, client)| matches!(client, PasswordClient::Digest(_)));
        let Some(at) = digest.or((!known.is_empty()).then_some(0)) else { return false };
        let (new, client) = known.swap_remove(at);
        let is_worth = match &self.client {
            None => true,
            Some(_) if !self.is_told() => true,
            Some(_) if new.is_stale() => true,
            Some((old, _)) => {
                let asks = |one: &Challenge| {
                    let part = |name| one.get(name).unwrap_or_default().to_ascii_lowercase();
                    [one.scheme.to_ascii_lowercase(), part("algorithm"), part("qop"), part("realm")]
                };
                let is_other = asks(old) != asks(&new);
                is_other || (!self.is_fresh && (self.is_right || old.get("nonce") != new.get("nonce")))
            }
        };
        if is_worth {
            (self.client, self.is_fresh) = (Some((new, client)), true);
        }
        is_worth
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::source::front::message::Start;

    fn login() -> Login {
        let credentials =
            Credentials { username: "cam".to_owned(), password: Secret::new("opens-the-gate".to_owned()) };
        Login::new(Some(credentials))
    }

    fn refusal(challenges: &[&str]) -> MessageHead {
        let headers =
            challenges.iter().map(|text| ("WWW-Authenticate".to_owned(), (*text).to_owned())).collect();
        MessageHead { start: Start::Response { status: 401, reason: String::new() }, headers }
    }

    /// Asks once with each of these refusals in turn; the last `Authorization`, if it was worth it.
    fn answer(login: &mut Login, refusals: &[&[&str]]) -> Option<String> {
        login.begin();
        let mut last = login.authorization("DESCRIBE", "rtsp://camera/1");
        for challenges in refusals {
            last = if login.challenged(&refusal(challenges)) {
                login.authorization("DESCRIBE", "rtsp://camera/1")
            } else {
                return None;
            };
        }
        last
    }

    const MD5: &str = "Digest realm=\"x\", nonce=\"one\", qop=\"auth,auth-int\", opaque=\"o\"";

    #[test]
    fn qop_auth_is_chosen_of_several_and_digest_before_basic() {
        let said = answer(&mut login(), &[&["Basic realm=\"x\"", MD5]]).unwrap();
        assert!(
            said.starts_with("Digest") && said.contains("qop=auth") && !said.contains("auth-int"),
            "{said}"
        );
        assert!(said.contains("uri=\"rtsp://camera/1\""), "{said}");
        let sha = "Digest realm=\"x\", nonce=\"one\", qop=\"auth\", algorithm=SHA-256";
        assert!(answer(&mut login(), &[&[sha]]).unwrap().contains("SHA-256"));
        assert!(answer(&mut login(), &[&["Basic realm=\"x\","]]).unwrap().starts_with("Basic "));
    }

    #[test]
    fn a_nonce_that_is_too_old_is_exchanged_and_a_wrong_password_is_not_tried_again() {
        let mut login = login();
        answer(&mut login, &[&[MD5]]).unwrap();
        // Of a later request, with the answer to the same challenge.
        let new = MD5.replace("one", "two");
        assert!(answer(&mut login, &[&[&new]]).unwrap().contains("two"));
        assert_eq!(answer(&mut login, &[&[&new]]), None, "the same nonce again: the password is wrong");
        assert!(answer(&mut login, &[&[&format!("{new}, stale=true")]]).is_some());
        let three = MD5.replace("one", "three");
        assert_eq!(answer(&mut login, &[&[&three], &[MD5]]), None, "a new nonce with every refusal");
        let stale = format!("{three}, stale=TRUE");
        assert_eq!(answer(&mut login, &[&[&stale], &[&stale], &[&stale]]), None, "not for ever");
    }

    #[test]
    fn a_right_password_is_never_called_wrong() {
        let ask = |login: &mut Login| {
            login.begin();
            login.authorization("OPTIONS", "rtsp://camera/1")
        };
        let (mut login, new) = (login(), MD5.replace("one", "two"));
        assert!(answer(&mut login, &[&[MD5]]).is_some());
        login.granted();
        // Counts of a nonce that are not taken, and a nonce of its own for each request.
        assert!(ask(&mut login).unwrap().contains("nc=00000002"));
        assert!(login.challenged(&refusal(&[MD5])));
        assert!(login.authorization("OPTIONS", "rtsp://camera/1").unwrap().contains("nc=00000001"));
        login.granted();
        assert!(ask(&mut login).is_some() && login.challenged(&refusal(&[&new])));
        // Another qop, another algorithm.
        for other in
            ["Digest realm=\"x\", nonce=\"two\"", "Digest realm=\"x\", nonce=\"two\", algorithm=SHA-256"]
        {
            assert!(ask(&mut login).is_some() && login.challenged(&refusal(&[other])), "{other}");
        }
        // Not for ever, all the same.
        ask(&mut login);
        assert!(login.challenged(&refusal(&[MD5])));
        login.authorization("OPTIONS", "rtsp://camera/1");
        assert!(!login.challenged(&refusal(&[&new])));
    }

    #[test]
    fn of_what_is_unknown_and_known_the_known_is_chosen() {
        let strange = "Digest realm=\"x\", nonce=\"one\", algorithm=SHA3-512";
        assert!(answer(&mut login(), &[&[strange, "Basic realm=\"x\""]]).unwrap().starts_with("Basic "));
        let both = format!("{strange}, Digest realm=\"x\", nonce=\"two\"");
        assert!(answer(&mut login(), &[&["Negotiate", &both]]).unwrap().contains("two"));
        let unquoted = "Digest realm=\"Login to 3J0\",nonce=0123456789abcdef,stale=FALSE,";
        assert!(answer(&mut login(), &[&[unquoted]]).unwrap().contains("nonce=\"0123456789abcdef\""));
    }

    #[test]
    fn nothing_is_answered_to_what_is_not_understood() {
        assert_eq!(answer(&mut Login::default(), &[&[MD5]]), None, "without a password");
        assert_eq!(answer(&mut login(), &[&[]]), None);
        assert_eq!(answer(&mut login(), &[&["Bearer x", "Digest realm=\"x\""]]), None);
    }
}
