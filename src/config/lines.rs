//! Lines of an environment file, written: what the sections of the configuration are described in.

use std::fmt::{Display, Write};

use url::Url;

use super::variables;
use crate::model::TargetId;

/// Lines of an environment file.
#[derive(Default)]
pub(super) struct Lines(String);

impl Lines {
    pub(super) fn set(&mut self, name: &str, value: impl Display) {
        let value = quoted(&value.to_string());
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{name}={value}");
    }

    pub(super) fn set_some(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    pub(super) fn comment(&mut self, text: impl Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# {text}");
    }

    /// The lines of another, each in a comment.
    pub(super) fn comments(&mut self, other: &Self) {
        for line in other.0.lines() {
            self.comment(line);
        }
    }

    /// The lines of another, as they are.
    pub(super) fn append(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    /// All of them, as the file has them.
    pub(super) fn text(self) -> String {
        self.0
    }
}

/// Lines about one target, in which variables are called as the first one of its kind has them.
pub(super) struct TargetLines<'a> {
    lines: &'a mut Lines,
    id: TargetId,
}

impl<'a> TargetLines<'a> {
    pub(super) fn new(lines: &'a mut Lines, id: TargetId) -> Self {
        Self { lines, id }
    }

    pub(super) fn set(&mut self, name: &str, value: impl Display) {
        self.lines.set(&variables::name_of(self.id, name), value);
    }

    pub(super) fn set_some(&mut self, name: &str, value: Option<impl Display>) {
        self.lines.set_some(&variables::name_of(self.id, name), value);
    }

    pub(super) fn comment(&mut self, text: impl Display) {
        self.lines.comment(variables::words_of(self.id, &text.to_string()));
    }
}

/// `value` as an environment file wants it: plain, in single quotes, or in double quotes and escaped if it has a single
/// quote or a backslash (other programs take a backslash before the closing single quote for an escape).
pub(super) fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-.,:/=+[]?&%*".contains(c);
    // An apostrophe inside stands for itself, so a label looks as it was typed.
    if value.chars().all(|c| plain(c) || c == '\'') && !value.starts_with('\'') {
        value.to_owned()
    } else if !value.contains(['\'', '\\']) {
        format!("'{value}'")
    } else {
        let escaped: String =
            value.chars().flat_map(|c| "\"\\$".contains(c).then_some('\\').into_iter().chain([c])).collect();
        format!("\"{escaped}\"")
    }
}

/// Scheme, host and port.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
