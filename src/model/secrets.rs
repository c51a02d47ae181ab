//! What must not stand in the words of others, even if they say it: whatever is sent to a camera or server, it may repeat.

use std::fmt;
use std::sync::Arc;

use url::Url;

use super::disguise::{self, Needle};
use super::foreign;

/// A shorter password would take innocent words with it.
const PASSWORD_MIN: usize = 4;

/// The same for what stands in an address, where most words are no secrets.
const WORD_MIN: usize = 6;

/// The same for a part of a path; `webhooks` is none.
const PART_MIN: usize = 10;

/// What stands where a secret stood.
const HIDDEN: &str = "•••";

/// Of foreign words so much is looked at, bytes; far less is ever shown.
const LOOKED_AT: usize = 16 * 1024;

/// The secrets of one camera or server.
#[derive(Clone, Default)]
pub struct Secrets(Arc<Known>);

#[derive(Clone, Default)]
struct Known {
    /// As they are, the longest first, so that no part of one stays when it holds another.
    plain: Vec<String>,
    needles: Vec<Needle>,
    /// Whether hashes and signatures are secrets, too.
    with_hashes: bool,
}

impl Secrets {
    /// Those of an address: user, password, and the values of its query.
    pub fn of_url(url: &Url) -> Self {
        let mut secrets = Self::default();
        let (user, password) = (url.username(), url.password().unwrap_or_default());
        secrets.add_login(user, password);
        secrets.add_login(&percent_decoded(user), &percent_decoded(password));
        for (_, value) in url.query_pairs() {
            secrets.add(&value, WORD_MIN);
        }
        for pair in url.query().unwrap_or_default().split('&') {
            secrets.add(pair.split_once('=').map_or(pair, |(_, value)| value), WORD_MIN);
        }
        secrets
    }

    /// And the parts of its path, for an address that is a permission by itself.
    #[must_use]
    pub fn with_path(mut self, url: &Url) -> Self {
        for part in url.path().split('/') {
            self.add(part, PART_MIN);
        }
        self
    }

    /// And this one.
    #[must_use]
    pub fn with(mut self, secret: &str) -> Self {
        self.add(secret, PASSWORD_MIN);
        self
    }

    /// And a user name with its password.
    #[must_use]
    pub fn with_login(mut self, user: &str, password: &str) -> Self {
        self.add_login(user, password);
        self
    }

    /// And whatever looks like a hash or a signature: that of a request is a permission for some minutes, and that of a
    /// log-in can be tried against a list of passwords.
    #[must_use]
    pub fn with_hashes(mut self) -> Self {
        Arc::make_mut(&mut self.0).with_hashes = true;
        self
    }

    fn add_login(&mut self, user: &str, password: &str) {
        self.add(user, WORD_MIN);
        self.add(password, PASSWORD_MIN);
        if password.len() >= PASSWORD_MIN {
            self.add(&format!("{user}:{password}"), PASSWORD_MIN);
        }
    }

    fn add(&mut self, secret: &str, least: usize) {
        for form in [secret.to_owned(), percent_decoded(secret)] {
            if form.len() < least || self.0.plain.contains(&form) {
                continue;
            }
            let known = Arc::make_mut(&mut self.0);
            known.needles.extend(Needle::new(&form));
            known.plain.push(form);
            known.plain.sort_by_key(|known| std::cmp::Reverse(known.len()));
        }
    }

    /// Foreign words as one clean line of at most `max` characters, without any of the secrets, however they are
    /// written. Hidden first, because what is cut off is no longer found; and again, because the cleaner joins what it
    /// cleans.
    pub fn words(&self, text: &str, max: usize) -> String {
        let end = (0..=LOOKED_AT.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let clean = foreign::line(&self.hidden(&text[..end]), usize::MAX);
        foreign::line(&self.hidden(&clean), max)
    }

    fn hidden(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut at = 0;
        for (from, to) in disguise::find(text, &self.0.needles, self.0.with_hashes) {
            shown.push_str(&text[at..from]);
            shown.push_str(HIDDEN);
            at = to;
        }
        shown.push_str(&text[at..]);
        shown
    }

    /// A sentence of ours without any of them as they are; the last look, after [`Secrets::words`] at every foreign part
    /// of it. Looking for them in disguise would take innocent words of ours.
    pub fn strike(&self, sentence: String) -> String {
        self.0.plain.iter().fold(sentence, |text, secret| text.replace(secret, HIDDEN))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.plain.len())
    }
}

/// Undoes percent-encoding as far as it is one.
pub fn percent_decoded(text: &str) -> String {
    let encoded = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(encoded.as_bytes())
        .map(|(_, value)| value.into_owned())
        .next()
        .unwrap_or_default()
}

#[cfg(test)]
#[path = "secrets_tests.rs"]
mod tests;
