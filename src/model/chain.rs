//! An error and its causes in one line.

use std::error::Error;

/// The text of `error` followed by those of its causes, unless a text already ends with its cause.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the door")]
    struct Door(#[source] std::io::Error);

    #[test]
    fn causes_follow_their_effect() {
        assert_eq!(chain(&Door(std::io::Error::other("no key"))), "cannot open the door: no key");
    }
}
