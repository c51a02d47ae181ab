//! What the body of a success says. Many servers answer 200 whatever happened, and the truth stands in the words: JSON, XML,
//! a PHP warning, plain text. Only what clearly says no is a no; whatever else stands there is taken as a yes, as before. Pure.

use serde_json::{Map, Value};

/// How deep a no may lie inside JSON: `{"data":{"result":{"success":false}}}`.
const DEPTH: usize = 3;

/// Lines of a text that are looked at.
const LINES: usize = 40;

/// Names whose value says yes or no.
const YES_OR_NO: [&str; 9] =
    ["success", "successful", "succeeded", "ok", "uploaded", "accepted", "saved", "stored", "is_success"];

/// Names whose value is a trouble, unless it is empty.
const TROUBLES: [&str; 8] =
    ["error", "errors", "exception", "fault", "failure", "err", "error_message", "error_description"];

/// Names whose value says yes or no in a word or number.
const STATES: [&str; 5] = ["status", "result", "state", "outcome", "stat"];

/// Names whose value is a status of HTTP, or a number of a trouble.
const CODES: [&str; 8] =
    ["code", "status", "status_code", "http_code", "error_code", "errno", "err_code", "response_code"];

/// Names of what holds the answer proper; elsewhere are facts of the picture, whose state or code is none of a delivery's.
const HOLDERS: [&str; 8] = ["data", "result", "response", "body", "meta", "status", "payload", "upload"];

/// Words that say no where a yes or no stands.
const NO: [&str; 16] = [
    "false",
    "no",
    "0",
    "nok",
    "ko",
    "not ok",
    "fail",
    "failed",
    "failure",
    "error",
    "denied",
    "rejected",
    "refused",
    "invalid",
    "unauthorized",
    "forbidden",
];

/// Words that say that there is no trouble.
const NONE: [&str; 9] = ["", "0", "no", "none", "null", "nil", "false", "ok", "success"];

/// Begins of a line that say no in plain text.
const BEGINS: [&str; 14] = [
    "error",
    "err",
    "fail",
    "failed",
    "failure",
    "fatal",
    "exception",
    "uncaught exception",
    "denied",
    "access denied",
    "rejected",
    "unauthorized",
    "forbidden",
    "not ok",
];

/// The server's no in the body of a success, in its own words; `None` when it says nothing against the picture.
pub(super) fn refusal(body: &str) -> Option<String> {
    let text = body.trim_start_matches('\u{feff}').trim();
    let (php, rest) = past_php(text);
    if let Some(value) = json(rest) {
        // What is said there counts more than a warning in front of it.
        return match said(&value, DEPTH) {
            Some(true) => None,
            Some(false) => Some(words(&value, 0).unwrap_or_else(|| rest.to_owned())),
            None => php.map(str::to_owned),
        };
    }
    if let Some(php) = php.or_else(|| php_behind(text)) {
        return Some(php.to_owned());
    }
    if text.starts_with('<') {
        return xml(text).then(|| text.to_owned());
    }
    plain(text).then(|| text.to_owned())
}

/// Whether a text begins with a message of PHP's, which stands in tags where a server shows them.
pub(super) fn is_of_php(text: &str) -> bool {
    let (php, rest) = past_php(text);
    php.is_some() || rest.len() < text.len()
}

/// The JSON that a text is, also one that was cut off behind its first value.
fn json(text: &str) -> Option<Value> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    serde_json::Deserializer::from_str(text).into_iter().next()?.ok()
}

/// A PHP trouble at the begin that may have cost the picture, and what stands behind it and others.
fn past_php(text: &str) -> (Option<&str>, &str) {
    let plain = without_tags(&text.chars().take(200).collect::<String>()).to_ascii_lowercase();
    let plain = plain.trim_start();
    let plain = plain.strip_prefix("php ").unwrap_or(plain);
    let is = |kinds: &[&str]| kinds.iter().any(|kind| plain.starts_with(&format!("{kind}:")));
    let is_grave =
        is(&["warning", "fatal error", "parse error", "recoverable fatal error", "catchable fatal error"]);
    if !is_grave && !is(&["notice", "deprecated", "strict standards"]) {
        return (None, text);
    }
    let rest = text.find(['{', '[']).map_or("", |at| &text[at..]);
    (is_grave.then_some(text), rest)
}

/// A grave message of PHP's behind other words: it says in which file.
fn php_behind(text: &str) -> Option<&str> {
    text.split_inclusive(['\n']).take(LINES).find(|line| {
        let plain = without_tags(line).to_ascii_lowercase();
        let kinds = ["warning: ", "fatal error: ", "parse error: "];
        let has_place = plain.contains(" on line ") || (plain.contains(" in ") && plain.contains(".php"));
        has_place && kinds.iter().any(|kind| plain.contains(kind))
    })
}

fn without_tags(text: &str) -> String {
    let (mut out, mut is_inside) = (String::new(), false);
    for c in text.chars() {
        match c {
            '<' => is_inside = true,
            '>' => is_inside = false,
            c if !is_inside => out.push(c),
            _ => {}
        }
    }
    out
}

/// Whether a value says yes or no; `None` when it says neither.
fn said(value: &Value, depth: usize) -> Option<bool> {
    match value {
        Value::Object(object) => said_by(object, depth),
        Value::Array(values) if depth > 0 => {
            let all: Vec<_> = values.iter().filter_map(|value| said(value, depth - 1)).collect();
            (!all.is_empty()).then(|| all.into_iter().all(|yes| yes))
        }
        _ => None,
    }
}

fn said_by(object: &Map<String, Value>, depth: usize) -> Option<bool> {
    let named = |names: &'static [&'static str]| {
        object.iter().filter(move |(name, _)| names.contains(&snake(name).as_str())).map(|(_, value)| value)
    };
    // An explicit word is worth more than anything beside it.
    let explicit: Vec<_> = named(&YES_OR_NO).filter_map(yes_or_no).collect();
    if !explicit.is_empty() {
        return Some(explicit.into_iter().all(|yes| yes));
    }
    let is_refused = named(&TROUBLES).any(is_trouble)
        || named(&STATES).any(|value| yes_or_no(value) == Some(false) && !is_zero(value))
        || named(&CODES).any(is_bad_code)
        || object.iter().any(|(name, value)| snake(name) == "failed" && (is_true(value) || is_count(value)))
        || object
            .iter()
            .any(|(name, value)| snake(name) == "type" && value.as_str().is_some_and(|it| it == "error"));
    if is_refused {
        return Some(false);
    }
    let inside: Vec<_> = match depth {
        0 => Vec::new(),
        _ => named(&HOLDERS).filter_map(|value| said(value, depth - 1)).collect(),
    };
    if inside.contains(&false) {
        return Some(false);
    }
    let is_taken = !inside.is_empty() || named(&STATES).any(|value| yes_or_no(value) == Some(true));
    is_taken.then_some(true)
}

/// `errorMessage`, `Error-Message` and `error_message` are one name.
fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut was_small = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && was_small {
            out.push('_');
        }
        was_small = c.is_ascii_lowercase();
        out.push(if c == '-' { '_' } else { c.to_ascii_lowercase() });
    }
    out
}

fn yes_or_no(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(yes) => Some(*yes),
        Value::Number(number) => match number.as_f64() {
            Some(0.0) => Some(false),
            Some(1.0) => Some(true),
            Some(code) if !(0.0..400.0).contains(&code) => Some(false),
            Some(code) if (200.0..300.0).contains(&code) => Some(true),
            _ => None,
        },
        Value::String(text) => {
            let text = text.trim().to_ascii_lowercase();
            if NO.contains(&text.as_str()) {
                Some(false)
            } else {
                ["true", "yes", "1", "ok", "success", "done", "accepted", "created"]
                    .contains(&text.as_str())
                    .then_some(true)
            }
        }
        _ => None,
    }
}

/// `"status": 0` is a yes to some and a no to others.
fn is_zero(value: &Value) -> bool {
    value.as_f64() == Some(0.0) || value.as_str().is_some_and(|text| text.trim() == "0")
}

fn is_true(value: &Value) -> bool {
    value.as_bool() == Some(true)
}

fn is_count(value: &Value) -> bool {
    value.as_f64().is_some_and(|count| count > 0.0)
}

fn is_trouble(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_one) => *is_one,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !NONE.contains(&text.trim().to_ascii_lowercase().as_str()),
        Value::Array(values) => values.iter().any(is_trouble),
        Value::Object(object) => object.values().any(is_trouble),
    }
}

/// A status of HTTP that is none of success, or a number below zero.
fn is_bad_code(value: &Value) -> bool {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.is_some_and(|code| (400.0..600.0).contains(&code) || code < 0.0)
}

/// The words of a no, wherever they stand.
fn words(value: &Value, depth: usize) -> Option<String> {
    const NAMES: [&str; 10] = [
        "message",
        "msg",
        "error_message",
        "error_description",
        "error",
        "errors",
        "detail",
        "details",
        "reason",
        "description",
    ];
    let object = match value {
        Value::String(text) => return (!text.trim().is_empty()).then(|| text.clone()),
        Value::Array(values) if depth < DEPTH => {
            return values.iter().find_map(|value| words(value, depth + 1));
        }
        Value::Object(object) => object,
        _ => return None,
    };
    let named = NAMES.iter().find_map(|wanted| {
        let (_, value) = object.iter().find(|(name, _)| snake(name) == *wanted)?;
        (depth < DEPTH).then(|| words(value, depth + 1)).flatten()
    });
    let below =
        || object.values().filter(|value| value.is_object()).find_map(|value| words(value, depth + 1));
    named.or_else(|| (depth < DEPTH).then(below).flatten())
}

/// Whether XML says no: by its root, by an element that is a trouble, by a state.
fn xml(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let mut rest = lower.as_str();
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, behind) = after.split_once('>').unwrap_or((after, ""));
        let content = behind.split('<').next().unwrap_or_default().trim();
        rest = behind;
        let name = tag.split([' ', '/', '\t', '\r', '\n']).next().unwrap_or_default();
        let name = name.rsplit(':').next().unwrap_or_default();
        let is_closing = tag.starts_with('/') || name.is_empty() || tag.starts_with(['?', '!']);
        if is_closing {
            continue;
        }
        // <rsp stat="fail">
        let attribute = |name: &str| {
            let (_, value) = tag.split_once(&format!("{name}="))?;
            let mark = value.chars().next().filter(|mark| matches!(mark, '"' | '\''))?;
            value[1..].split(mark).next()
        };
        if ["status", "stat", "result", "success"]
            .iter()
            .filter_map(|name| attribute(name))
            .any(|it| NO.contains(&it))
        {
            return true;
        }
        let has_elements =
            !tag.ends_with('/') && content.is_empty() && !behind.trim_start().starts_with("</");
        let is_no = match name {
            "error" | "fault" | "exception" => has_elements || !NONE.contains(&content),
            "errors" => !NONE.contains(&content),
            "success" | "ok" | "status" | "stat" | "result" | "state" => {
                NO.contains(&content) && (content != "0" || matches!(name, "success" | "ok"))
            }
            "code" | "statuscode" => content.parse().is_ok_and(|code: f64| (400.0..600.0).contains(&code)),
            _ => false,
        };
        if is_no {
            return true;
        }
    }
    false
}

/// Whether plain text says no.
fn plain(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    if ["0", "-1", "false", "no", "nok", "ko", "nack", "fail", "failed", "error", "failure"]
        .contains(&lower.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '.' || c == '!'))
    {
        return true;
    }
    if lower.contains("traceback (most recent call last)") || lower.contains("sqlstate[") {
        return true;
    }
    lower.lines().take(LINES).any(|line| {
        let line = line.trim_start_matches(|c: char| {
            c.is_whitespace() || matches!(c, '"' | '[' | '*' | '!' | '-' | '#')
        });
        BEGINS.iter().any(|begin| {
            let Some(behind) = line.strip_prefix(begin) else { return false };
            // "Failover", "errors: 0", "error=0", "Error: none" are none.
            let value = behind.strip_prefix('s').unwrap_or(behind);
            let is_word = !behind.starts_with(|c: char| c.is_alphanumeric() && c != 's');
            let value = value.trim_start_matches([' ', ':', '=', ']', '\t', '-']).trim();
            let is_plural_word =
                behind.starts_with('s') && behind[1..].starts_with(|c: char| c.is_alphanumeric());
            is_word && !is_plural_word && (behind.is_empty() || !NONE.contains(&value.trim_end_matches('.')))
        })
    })
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
