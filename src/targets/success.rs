//! What an answer means where `UPLOAD_SUCCESS` says which one is a delivery. Pure.

use serde_json::Value;

use super::response::TargetAnswer;
use super::{TargetError, misconfigured, text};
use crate::config::{JsonStep, Success, WantedAnswer, Word};
use crate::model::{UnixMs, UploadFault, foreign};

/// Of the rule so much is repeated, characters.
const RULE_MAX: usize = 80;

/// Of a value that is another so much is repeated, characters.
const VALUE_MAX: usize = 60;

/// Judges an answer by a rule, which takes the place of reading a no in the body.
///
/// Only a rule of statuses makes a delivery of what is no success; every other status means what it always means.
pub(super) fn judge(rule: &Success, answer: &TargetAnswer, now: UnixMs) -> Result<(), TargetError> {
    let is_named = matches!(rule.wanted(), WantedAnswer::Status(list) if list.iter().any(|range| range.contains(&answer.status)));
    if is_named {
        return Ok(());
    }
    if !(200..300).contains(&answer.status) {
        return answer.judge_with_body(now);
    }
    let Some(seen) = missed(rule.wanted(), &answer.body) else { return Ok(()) };
    let rule = foreign::line(&rule.to_string(), RULE_MAX);
    if let Err(portal) = answer.judge(now) {
        return Err(match portal {
            TargetError::Misconfigured { fault: UploadFault::WebPage { status, words, .. } } => {
                misconfigured(UploadFault::WebPage { status, words, rule: Some(rule) })
            }
            other => other,
        });
    }
    let words = answer.words(&text::without_markup(&answer.body));
    let clean = |text: Option<String>| text.map(|text| answer.words(&text));
    let (is_json, place, value) = match seen {
        SeenBody::NoJson => (false, None, None),
        SeenBody::Unlike => (true, None, None),
        SeenBody::At(place, value) => (true, clean(Some(place)), clean(value)),
    };
    let status = answer.status;
    Err(TargetError::Doubtful {
        fault: UploadFault::RuleUnmet { status, rule, is_json, place, value, words },
    })
}

/// What a body has that is not wanted.
enum SeenBody {
    /// It has not what is wanted, and no more can be said.
    Unlike,
    /// JSON is wanted.
    NoJson,
    /// In this place there is this value, or nothing.
    At(String, Option<String>),
}

/// `None` if a body has what is wanted; else what it has.
fn missed(wanted: &WantedAnswer, body: &str) -> Option<SeenBody> {
    let body = body.trim_start_matches('\u{feff}').trim();
    match wanted {
        // Its status is none of them.
        WantedAnswer::Status(_) => Some(SeenBody::Unlike),
        WantedAnswer::Text(regex) => (!regex.is_match(body)).then_some(SeenBody::Unlike),
        WantedAnswer::Json { place, path, value } => {
            let Some(document) = json(body) else { return Some(SeenBody::NoJson) };
            match path.iter().try_fold(&document, step) {
                Some(found) if is(found, value) => None,
                Some(found) => {
                    let value = foreign::line(&found.to_string(), VALUE_MAX);
                    Some(SeenBody::At(place.to_string(), Some(value)))
                }
                None => Some(SeenBody::At(place.to_string(), None)),
            }
        }
    }
}

/// The JSON in a text, also behind a warning that a server put before it.
fn json(text: &str) -> Option<Value> {
    let first = |text: &str| serde_json::Deserializer::from_str(text).into_iter().next()?.ok();
    let begins = ['{', '['].map(|begin| text.find(begin));
    [Some(0), begins[0], begins[1]].into_iter().flatten().find_map(|at| {
        let value: Value = first(&text[at..])?;
        (value.is_object() || value.is_array()).then_some(value)
    })
}

/// A name as it stands, else in other letters.
fn step<'a>(value: &'a Value, step: &JsonStep) -> Option<&'a Value> {
    match (value, step) {
        (Value::Array(values), JsonStep::Index(index)) => values.get(*index),
        (Value::Array(values), JsonStep::Name(name)) => values.get(name.parse::<usize>().ok()?),
        (Value::Object(object), JsonStep::Name(name)) => {
            let other =
                || object.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
            object.get(name).or_else(other)
        }
        _ => None,
    }
}

fn is(value: &Value, wanted: &Word) -> bool {
    let word = match wanted {
        Word::Quoted(text) => return value.as_str() == Some(text),
        Word::Bare(word) => word,
    };
    let is_claim = |text: &str| matches!(text, "true" | "false" | "null");
    match value {
        Value::Null => word.eq_ignore_ascii_case("null"),
        Value::Bool(yes) => word.eq_ignore_ascii_case(if *yes { "true" } else { "false" }),
        Value::Number(number) => {
            number.to_string() == *word
                || word.parse::<f64>().is_ok_and(|wanted| number.as_f64() == Some(wanted))
        }
        Value::String(text) => {
            let text = text.trim();
            text == word || (is_claim(&word.to_ascii_lowercase()) && text.eq_ignore_ascii_case(word))
        }
        Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
#[path = "success_tests.rs"]
mod tests;
