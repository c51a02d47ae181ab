//! Logging in at a camera: Basic and Digest (RFC 7616), several challenges, challenges that grow old.

use http_auth::{PasswordClient, PasswordParams};

use super::message::Head;
use crate::config::Credentials;

/// How often one request is sent again with a new challenge. More would lock the account of many cameras.
const ANSWERS_MAX: u32 = 2;

/// The log-in at one camera.
#[derive(Default)]
pub struct Login {
    credentials: Option<Credentials>,
    client: Option<PasswordClient>,
    /// The request under way has been sent with so many answers to challenges.
    answers: u32,
    /// The challenge was made for the request under way, so its nonce cannot be too old.
    is_fresh: bool,
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

    /// The `Authorization` of a request, if the camera has asked for one; `url` is that of its first line.
    pub fn authorization(&mut self, method: &str, url: &str) -> Option<String> {
        let (credentials, client) = (self.credentials.as_ref()?, self.client.as_mut()?);
        self.answers += 1;
        // Without a body the crate chooses qop=auth; of an empty one it would reckon auth-int, and leave the body out.
        let params = PasswordParams {
            username: &credentials.username,
            password: credentials.password.reveal(),
            uri: url,
            method,
            body: None,
        };
        client.respond(&params).ok()
    }

    /// Takes in a refusal with status 401; whether it is worth asking again: when nothing was answered yet, when the
    /// nonce that was answered is one of an earlier request and there is a new one now, or when the camera says that it
    /// was too old. Everything else is a wrong password.
    pub fn challenged(&mut self, head: &Head) -> bool {
        if self.credentials.is_none() || self.answers >= ANSWERS_MAX {
            return false;
        }
        let challenges = head.all("WWW-Authenticate").fold(PasswordClient::builder(), |builder, text| {
            // Some firmware ends its list with a comma.
            builder.challenges(text.trim_end_matches([',', ' ']))
        });
        let Ok(client) = challenges.build() else { return false };
        let is_new = match (&client, &self.client) {
            (_, None) | (PasswordClient::Digest(_), Some(PasswordClient::Basic(_))) => true,
            (PasswordClient::Digest(new), Some(PasswordClient::Digest(old))) => {
                new.stale() || (!self.is_fresh && new.nonce() != old.nonce())
            }
            _ => false,
        };
        if is_new {
            (self.client, self.is_fresh) = (Some(client), true);
        }
        is_new
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

    fn refusal(challenges: &[&str]) -> Head {
        let headers =
            challenges.iter().map(|text| ("WWW-Authenticate".to_owned(), (*text).to_owned())).collect();
        Head { start: Start::Response { status: 401, reason: String::new() }, headers }
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
    fn nothing_is_answered_to_what_is_not_understood() {
        assert_eq!(answer(&mut Login::default(), &[&[MD5]]), None, "without a password");
        assert_eq!(answer(&mut login(), &[&[]]), None);
        assert_eq!(answer(&mut login(), &[&["Bearer x", "Digest realm=\"x\""]]), None);
    }
}
