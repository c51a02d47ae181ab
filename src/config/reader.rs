//! Typed look-up that collects every problem instead of stopping at the first.
//!
//! A section reads all its variables into `Result`s first and uses `?` only afterwards, so one mistake never hides
//! another.

use std::collections::BTreeSet;

use super::env::Env;
use super::problem::{Problem, ShownValue, Warning, Wrong};
use super::variables::{self, Variable, Whose};
use crate::model::{TargetId, foreign};

/// The problem is in the list already; there is nothing left to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported;

/// What a section gets.
pub(super) type ReadResult<T> = Result<T, Reported>;

/// Reads variables and remembers what was wrong.
pub(super) struct VariableReader<'a> {
    env: &'a Env,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
    /// Everything that was asked for, for the test that the table and the code agree.
    pub(super) asked: BTreeSet<String>,
}

impl<'a> VariableReader<'a> {
    pub(super) fn new(env: &'a Env) -> Self {
        Self { env, problems: env.problems.clone(), warnings: env.warnings.clone(), asked: BTreeSet::new() }
    }

    /// The environment itself.
    pub(super) fn env(&self) -> &'a Env {
        self.env
    }

    /// The value of a variable that may be unset and has no default. White space around it is dropped, except around
    /// a secret, which may be meant.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> ReadResult<Option<T>> {
        self.asked.insert(name.to_owned());
        let Some(text) = self.env.get(name) else { return Ok(None) };
        let text = if is_secret(name) { text } else { text.trim() };
        if text.is_empty() {
            return Ok(None);
        }
        if foreign::has_control(text) {
            let wrong = Wrong::new("contains a control character", "printable characters on one line");
            return Err(self.refuse(name, &wrong));
        }
        match parse(text) {
            Ok(value) => Ok(Some(value)),
            Err(wrong) => Err(self.refuse(name, &wrong)),
        }
    }

    /// The value of a variable, or its default from the table, if it has one.
    pub(super) fn with_default<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> ReadResult<Option<T>> {
        if let Some(value) = self.optional(name, &parse)? {
            return Ok(Some(value));
        }
        match variables::find(name).and_then(|(variable, whose)| default(variable, whose)) {
            Some(text) => parse(&text).map(Some).map_err(|wrong| self.refuse(name, &wrong)),
            None => Ok(None),
        }
    }

    /// The value of a variable that has a default in the table.
    pub(super) fn required<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> ReadResult<T> {
        self.with_default(name, parse)?
            .ok_or_else(|| self.refuse(name, &Wrong::new("is not set", "any value")))
    }

    /// Records a problem.
    pub(super) fn refuse(&mut self, name: &str, wrong: &Wrong) -> Reported {
        let seen = match self.env.get(name) {
            Some(text) if !is_secret(name) => ShownValue::Open(text),
            Some(_) => ShownValue::Hidden,
            None => ShownValue::Absent,
        };
        self.problems.push(Problem::new(name, seen, wrong));
        Reported
    }

    /// Records a warning.
    pub(super) fn warn(&mut self, name: &str, text: impl std::fmt::Display) {
        self.warnings.push(Warning::new(name, text));
    }
}

/// Reads the variables of one target. They are called as the first one of its kind has them, here and in what is said
/// of them; the target's own names are put in their place.
pub(super) struct TargetReader<'r, 'e> {
    reader: &'r mut VariableReader<'e>,
    id: TargetId,
}

impl<'r, 'e> TargetReader<'r, 'e> {
    pub(super) fn new(reader: &'r mut VariableReader<'e>, id: TargetId) -> Self {
        Self { reader, id }
    }

    /// Which target.
    pub(super) fn id(&self) -> TargetId {
        self.id
    }

    /// As [`VariableReader::optional`].
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> ReadResult<Option<T>> {
        let id = self.id;
        self.reader
            .optional(&variables::name_of(id, name), |text| parse(text).map_err(|wrong| own(id, &wrong)))
    }

    /// As [`VariableReader::required`].
    pub(super) fn required<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> ReadResult<T> {
        let id = self.id;
        self.reader
            .required(&variables::name_of(id, name), |text| parse(text).map_err(|wrong| own(id, &wrong)))
    }

    /// Whether a variable has a value.
    pub(super) fn is_set(&self, name: &str) -> bool {
        let value = self.reader.env.get(&variables::name_of(self.id, name));
        value.is_some_and(|value| !value.trim().is_empty())
    }

    /// Records a problem.
    pub(super) fn refuse(&mut self, name: &str, wrong: &Wrong) -> Reported {
        self.reader.refuse(&variables::name_of(self.id, name), &own(self.id, wrong))
    }

    /// Records a warning.
    pub(super) fn warn(&mut self, name: &str, text: impl std::fmt::Display) {
        let text = variables::words_of(self.id, &text.to_string());
        self.reader.warn(&variables::name_of(self.id, name), text);
    }
}

/// The same of a target that has its own names for what is meant.
fn own(id: TargetId, wrong: &Wrong) -> Wrong {
    Wrong::new(variables::words_of(id, &wrong.what), variables::words_of(id, &wrong.accepted))
}

fn is_secret(name: &str) -> bool {
    variables::find(name).is_none_or(|(variable, _)| variable.secret)
}

fn default(variable: &Variable, whose: Whose) -> Option<String> {
    match whose {
        Whose::Camera(number) => variable.default_for(u8::try_from(number).unwrap_or(0)),
        Whose::All | Whose::Target(_) => variable.default_for(0),
    }
}
