//! What an answer means where `UPLOAD_SUCCESS` says which one is a delivery. Pure.

use serde_json::Value;

use super::response::TargetAnswer;
use super::{TargetError, text};
use crate::config::{JsonStep, Success, WantedAnswer, Word};
use crate::model::{UnixMs, foreign};

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
        return Err(
            portal.map_message(|words| format!("{words}; nor is it what UPLOAD_SUCCESS={rule} wants"))
        );
    }
    let words = answer.words(&text::without_markup(&answer.body));
    let said = if words.is_empty() { "it said nothing".to_owned() } else { format!("it said {words}") };
    let seen = seen.map(|seen| format!(" ({})", answer.words(&seen))).unwrap_or_default();
    Err(TargetError::Doubtful {
        message: format!(
            "answered {}, but by UPLOAD_SUCCESS={rule} that is no delivery{seen}: {said}; if it was one, change \
             UPLOAD_SUCCESS",
            answer.status
        ),
    })
}

/// `None` if a body has what is wanted; else what it has in that place, if that can be said.
fn missed(wanted: &WantedAnswer, body: &str) -> Option<Option<String>> {
    let body = body.trim_start_matches('\u{feff}').trim();
    match wanted {
        // Its status is none of them.
        WantedAnswer::Status(_) => Some(None),
        WantedAnswer::Text(regex) => (!regex.is_match(body)).then_some(None),
        WantedAnswer::Json { place, path, value } => {
            let Some(document) = json(body) else { return Some(Some("it is no JSON".to_owned())) };
            match path.iter().try_fold(&document, step) {
                Some(found) if is(found, value) => None,
                Some(found) => {
                    Some(Some(format!("{place} is {}", foreign::line(&found.to_string(), VALUE_MAX))))
                }
                None => Some(Some(format!("there is no {place}"))),
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
