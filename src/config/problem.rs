//! What is wrong with a configuration, in words an operator can act on.
//!
//! A [`Problem`] keeps the program from starting, a [`Warning`] does not. Neither ever contains a secret: whoever
//! builds one says whether the value may be shown, and a value with an `@` in it is hidden in any case, because it
//! may be an address with a password.

use std::fmt;

use crate::model::foreign;

/// Longest name of a variable in a message, in characters.
const NAME_MAX: usize = 120;

/// Longest value that is repeated in a message, in characters.
const SEEN_CHARS_MAX: usize = 60;

/// Why a text was refused, and what would have been taken; the name and the value are added by the reader.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// What is wrong, lower case, without the value.
    pub(super) what: String,
    /// What is accepted.
    pub(super) accepted: String,
}

impl Wrong {
    /// Both halves of the sentence.
    pub(super) fn new(what: impl Into<String>, accepted: impl Into<String>) -> Self {
        Self { what: what.into(), accepted: accepted.into() }
    }
}

/// A value as it may stand in a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum ShownValue<'a> {
    /// May be shown, shortened and with control characters escaped.
    Open(&'a str),
    /// May not.
    Hidden,
    /// There is none.
    Absent,
}

impl fmt::Display for ShownValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(text) if !text.contains('@') => {
                let shown: String = text.chars().take(SEEN_CHARS_MAX).collect();
                let cut = if shown.len() < text.len() { "…" } else { "" };
                write!(f, " (seen {shown:?}{cut})")
            }
            Self::Open(_) | Self::Hidden => f.write_str(" (value hidden)"),
            Self::Absent => Ok(()),
        }
    }
}

/// One mistake: `NAME: what is wrong (value seen), accepted: what is`.
#[derive(Clone, PartialEq, Eq)]
pub struct Problem(String);

impl Problem {
    pub(super) fn new(name: &str, seen: ShownValue<'_>, wrong: &Wrong) -> Self {
        Self(format!("{name}: {}{seen}, accepted: {}", wrong.what, wrong.accepted))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All mistakes of a configuration, at least one; `Display` writes one a line, without the warnings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
}

impl Problems {
    /// How many there are.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.problems.len()
    }

    /// One after the other, in the order of the sections.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter()
    }

    /// What looked suspicious besides; a mistyped name is often the cause of a problem.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Something that looks like a mistake but does not keep the program from starting: `NAME: what`.
#[derive(Clone, PartialEq, Eq)]
pub struct Warning(String);

impl Warning {
    pub(super) fn new(name: &str, text: impl fmt::Display) -> Self {
        Self(format!("{}: {text}", foreign::line(name, NAME_MAX)))
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(seen: ShownValue<'_>) -> String {
        Problem::new("BIND_PORT", seen, &Wrong::new("not a number", "0 to 65535")).to_string()
    }

    #[test]
    fn a_problem_names_the_variable_the_value_and_what_is_accepted() {
        assert_eq!(
            shown(ShownValue::Open("90OO")),
            "BIND_PORT: not a number (seen \"90OO\"), accepted: 0 to 65535"
        );
    }

    #[test]
    fn a_hidden_value_and_one_with_an_at_sign_do_not_show() {
        let hidden = "BIND_PORT: not a number (value hidden), accepted: 0 to 65535";
        assert_eq!(shown(ShownValue::Hidden), hidden);
        assert_eq!(shown(ShownValue::Open("admin:hunter2@cam")), hidden);
    }

    #[test]
    fn a_long_value_is_cut_and_control_characters_are_escaped() {
        let text = format!("\u{1b}[2J{}", "x".repeat(100));
        let message = shown(ShownValue::Open(&text));
        assert!(message.contains("\\u{1b}[2J"), "{message}");
        assert!(message.len() < 140, "{message}");
    }
}
