//! What must not stand in the words of a target, even if the target says it: whatever we send, a server may repeat.

use url::Url;

use super::TargetError;

/// A shorter password would take innocent words with it.
const PASSWORD_MIN: usize = 4;

/// The same for what stands in an address, where most words are no secrets.
const WORD_MIN: usize = 6;

/// The same for a part of a path; `webhooks` is none.
const PART_MIN: usize = 10;

/// What stands where a secret stood.
const HIDDEN: &str = "•••";

/// The secrets of one target.
#[derive(Clone, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Those of an address: user, password, and the values of its query.
    pub(super) fn of_url(url: &Url) -> Self {
        let mut secrets = Self::default();
        secrets.add(url.username(), WORD_MIN);
        secrets.add(url.password().unwrap_or_default(), PASSWORD_MIN);
        for (_, value) in url.query_pairs() {
            secrets.add(&value, WORD_MIN);
        }
        for pair in url.query().unwrap_or_default().split('&') {
            secrets.add(pair.split_once('=').map_or(pair, |(_, value)| value), WORD_MIN);
        }
        secrets
    }

    /// And the parts of its path, for an address that is a permission by itself.
    pub(super) fn with_path(mut self, url: &Url) -> Self {
        for part in url.path().split('/') {
            self.add(part, PART_MIN);
        }
        self
    }

    /// And this one.
    pub(super) fn with(mut self, secret: &str) -> Self {
        self.add(secret, PASSWORD_MIN);
        self
    }

    fn add(&mut self, secret: &str, least: usize) {
        for form in [secret.to_owned(), percent_decoded(secret)] {
            if form.len() >= least && !self.0.contains(&form) {
                self.0.push(form);
                // The longest first, so that no part of one stays when it holds another.
                self.0.sort_by_key(|known| std::cmp::Reverse(known.len()));
            }
        }
    }

    /// The error without any of them.
    pub(super) fn hide(&self, error: TargetError) -> TargetError {
        error.map_message(|message| self.0.iter().fold(message, |text, secret| text.replace(secret, HIDDEN)))
    }
}

/// Undoes percent-encoding as far as it is one.
fn percent_decoded(text: &str) -> String {
    let encoded = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(encoded.as_bytes())
        .map(|(_, value)| value.into_owned())
        .next()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_as_written_and_as_meant() {
        let url = Url::parse(
            "https://gatekeeper:hun%2Fter2@x.example/api/webhooks/1/s3cr3t-t0ken?wait=true&key=abc%20def",
        )
        .unwrap();
        let secrets = Secrets::of_url(&url).with_path(&url).with("plain-token");
        let said = "no gatekeeper, hun%2Fter2 is hun/ter2 of s3cr3t-t0ken; abc%20def, abc def, plain-token, webhooks?wait=true";
        let error = secrets.hide(TargetError::Rejected { message: said.to_owned(), is_final: true });
        assert_eq!(error.to_string(), "no •••, ••• is ••• of •••; •••, •••, •••, webhooks?wait=true");
    }
}
