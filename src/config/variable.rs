//! What a variable is, and how names with a number in them are read.

use crate::model::TargetKind;

/// A variable of the environment.
#[derive(Debug)]
pub struct Variable {
    /// Its name; `_n_` stands for the number of a camera or device.
    pub name: &'static str,
    /// The kind of target that it is of, so that there is one for each target of that kind.
    pub kind: Option<TargetKind>,
    /// What holds when it is unset or empty.
    pub default: Fallback,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Whether its value is, or may contain, something that must not be printed.
    pub secret: bool,
}

/// What holds when a variable is unset.
#[derive(Debug)]
pub enum Fallback {
    /// Nothing, or something that follows from other variables, as the summary says.
    None,
    /// This text.
    Text(&'static str),
    /// This text for camera 1, 2, 3; nothing for the others.
    FirstThree([&'static str; 3]),
    /// This text for camera 1, 2, 3; for the others this one with the number behind it.
    Numbered([&'static str; 3], &'static str),
}

impl Variable {
    /// The default text, for camera `n` if the name has an `n`.
    pub fn default_for(&self, n: u8) -> Option<String> {
        let first_three = |texts: &[&'static str; 3]| {
            let index = usize::from(n).checked_sub(1)?;
            texts.get(index).map(|text| (*text).to_owned())
        };
        match &self.default {
            Fallback::None => None,
            Fallback::Text(text) => Some((*text).to_owned()),
            Fallback::FirstThree(texts) => first_three(texts),
            Fallback::Numbered(texts, stem) => first_three(texts).or_else(|| Some(format!("{stem}{n}"))),
        }
    }

    /// The name for camera `n`; the name itself if it has no `n`.
    pub fn name_for(&self, n: u8) -> String {
        match self.halves() {
            Some((head, tail)) => format!("{head}{n}{tail}"),
            None => self.name.to_owned(),
        }
    }

    /// Whether there is one for each camera.
    pub fn is_per_camera(&self) -> bool {
        self.halves().is_some()
    }

    /// What stands before and after the `n`.
    fn halves(&self) -> Option<(&'static str, &'static str)> {
        let at = self.name.find("_n_")?;
        Some((&self.name[..=at], &self.name[at + 2..]))
    }

    /// The number in `name`, if `name` is this variable's for some camera, existing or not.
    pub(super) fn number_in(&self, name: &str) -> Option<u32> {
        let (head, tail) = self.halves()?;
        number(name.strip_prefix(head)?.strip_suffix(tail)?)
    }

    /// The number in `name`, if `name` is this variable's for some target but the first one as it is called, existing or
    /// not.
    pub(super) fn target_number_in(&self, name: &str) -> Option<u32> {
        let kind = self.kind?;
        let (digits, rest) = name.strip_prefix(&word(kind))?.strip_prefix('_')?.split_once('_')?;
        number(digits).filter(|_| rest == behind_number(kind, self.name))
    }

    /// The same as a variable of a kind of target.
    pub(super) const fn of(self, kind: TargetKind) -> Self {
        Self { kind: Some(kind), ..self }
    }
}

/// How variables of a kind of target begin.
pub(super) fn word(kind: TargetKind) -> String {
    kind.as_str().to_ascii_uppercase()
}

/// What stands behind the number. The first HTTP API has names from a time when there was no other.
pub(super) fn behind_number(kind: TargetKind, name: &str) -> &str {
    let own = name.strip_prefix("S3_API_").filter(|_| kind == TargetKind::Api);
    let usual = || name.strip_prefix(&word(kind)).and_then(|rest| rest.strip_prefix('_'));
    own.or_else(usual).unwrap_or(name)
}

/// Digits as a number is written. More digits than fit are a number that does not exist, too.
fn number(digits: &str) -> Option<u32> {
    let is_canonical = digits == "0" || !digits.starts_with('0');
    let is_number = is_canonical && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u32::MAX))
}

/// One that may be shown.
pub(super) const fn open(name: &'static str, default: Fallback, summary: &'static str) -> Variable {
    Variable { name, kind: None, default, summary, secret: false }
}

/// One that may not.
pub(super) const fn secret(name: &'static str, summary: &'static str) -> Variable {
    Variable { name, kind: None, default: Fallback::None, summary, secret: true }
}
