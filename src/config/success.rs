//! `UPLOAD_SUCCESS`: which answer of the `api` server counts as a delivery, where its words do not say it plainly. Pure.
//!
//! `status` is any 2xx whatever its body says, `status:200,202` those alone; `json:result.ok=true` a place in JSON and
//! what must stand there; `text:^OK` a regular expression that must be found in the text.

use std::fmt;
use std::ops::RangeInclusive;

use regex_lite::{Regex, RegexBuilder};

use super::problem::Wrong;

/// Longest rule, characters.
const CHARS_MAX: usize = 500;

/// Most memory of a regular expression, bytes. The time that it takes for an answer grows with it.
const REGEX_BYTES_MAX: usize = 32 << 10;

/// Deepest nesting of a regular expression.
const REGEX_DEPTH_MAX: u32 = 20;

/// Most steps of a path, and most entries of a list.
const PARTS_MAX: usize = 32;

/// Statuses that never say that a picture is there: a missing log-in, an overload, a proxy without its server.
const NEVER: [u16; 8] = [401, 407, 408, 425, 429, 502, 503, 504];

/// What may be written.
const ACCEPTED: &str = "status (any 2xx), statuses such as status:200,202 or status:200-204, a place in JSON with its \
                        value such as json:result.ok=true, or a regular expression such as text:^OK";

/// Which answer counts as a delivery.
#[derive(Clone, Debug)]
pub struct Success {
    /// As written.
    text: String,
    wanted: WantedAnswer,
}

/// What an answer must have.
#[derive(Clone, Debug)]
pub enum WantedAnswer {
    /// One of these statuses, whatever the body says: 200 to 299, and any other one only where it was named by itself.
    Status(Vec<RangeInclusive<u16>>),
    /// A 2xx with this value in its JSON.
    Json {
        /// Where it stands, as written.
        place: String,
        /// The same in steps, at least one.
        path: Vec<JsonStep>,
        /// What must stand there.
        value: Word,
    },
    /// A 2xx in whose text, without the white space around it, this is found.
    Text(Regex),
}

/// A step into JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonStep {
    /// Into an object: `ok` or `"any.name"`. A number without brackets may mean a list, too.
    Name(String),
    /// Into a list, from 0: `[0]`.
    Index(usize),
}

/// What a value is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Without quotes: true, false, null, a number, or a text that reads so.
    Bare(String),
    /// In quotes: this text and nothing else.
    Quoted(String),
}

impl Success {
    /// Reads a rule.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let text = text.trim();
        let wanted = wanted(text).map_err(|what| Wrong::new(what, ACCEPTED))?;
        Ok(Self { text: text.to_owned(), wanted })
    }

    /// What an answer must have.
    pub fn wanted(&self) -> &WantedAnswer {
        &self.wanted
    }
}

impl fmt::Display for Success {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn wanted(text: &str) -> Result<WantedAnswer, String> {
    if text.chars().count() > CHARS_MAX {
        return Err(format!("is longer than {CHARS_MAX} characters"));
    }
    let (kind, rest) = match text.split_once(':') {
        Some((kind, rest)) => (kind.trim().to_ascii_lowercase(), rest.trim()),
        None if text.eq_ignore_ascii_case("status") => return Ok(WantedAnswer::Status(vec![200..=299])),
        None if text.starts_with(|c: char| c.is_ascii_digit()) => ("status".to_owned(), text),
        None => (String::new(), ""),
    };
    match kind.as_str() {
        "status" => statuses(rest),
        "json" => json(rest),
        "text" | "regex" => regex(rest),
        _ => Err("begins with none of status, json: and text:".to_owned()),
    }
}

fn statuses(text: &str) -> Result<WantedAnswer, String> {
    let entries: Vec<_> = text.split([',', ' ']).filter(|entry| !entry.is_empty()).collect();
    if entries.is_empty() {
        return Err("names no status behind status:".to_owned());
    }
    if entries.len() > PARTS_MAX {
        return Err(format!("names more than {PARTS_MAX} statuses"));
    }
    entries.into_iter().map(status).collect::<Result<_, _>>().map(WantedAnswer::Status)
}

/// `200`, `200-204` or `2xx`. Ranges lie among the successes: nobody names all failures by mistake.
fn status(text: &str) -> Result<RangeInclusive<u16>, String> {
    let number = |text: &str| {
        let is_status = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        is_status.then(|| text.parse::<u16>().ok()).flatten()
    };
    if text.eq_ignore_ascii_case("2xx") {
        return Ok(200..=299);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let both = number(first).zip(number(last));
    match both {
        Some((one, same)) if one == same && NEVER.contains(&one) => {
            Err(format!("names {one}, which never says that a picture is there"))
        }
        Some((one, same)) if one == same && (200..600).contains(&one) => Ok(one..=same),
        Some((first, last)) if first < last && 200 <= first && last < 300 => Ok(first..=last),
        Some((first, last)) if first < last => {
            Err("has a range beyond 200-299; name other statuses one by one".to_owned())
        }
        _ if text.to_ascii_lowercase().ends_with("xx") => {
            Err("has another class than 2xx; name other statuses one by one".to_owned())
        }
        _ => Err("has something other than a status of three digits, 200 to 599".to_owned()),
    }
}

fn json(text: &str) -> Result<WantedAnswer, String> {
    let mut path = Vec::new();
    let mut rest = text.strip_prefix('$').unwrap_or(text);
    loop {
        rest = rest.trim_start();
        let step = match rest.chars().next() {
            None => return Err("has no = behind the place in JSON".to_owned()),
            Some('=') => break,
            Some('[') => {
                let inside = rest[1..].trim_start();
                let (step, behind) = if inside.starts_with('"') {
                    let (name, behind) = quoted(inside)?;
                    (JsonStep::Name(name), behind)
                } else {
                    let end = inside.find(|c: char| !c.is_ascii_digit()).unwrap_or(inside.len());
                    let (digits, behind) = inside.split_at(end);
                    let index = digits.parse().map_err(|_| "has [ without a number behind it".to_owned())?;
                    (JsonStep::Index(index), behind)
                };
                rest = behind.trim_start().strip_prefix(']').ok_or("has [ without ]")?;
                step
            }
            Some(c) => {
                if c == '.' {
                    rest = rest[1..].trim_start();
                } else if !path.is_empty() {
                    return Err("has a name behind another without a dot between them".to_owned());
                }
                let (name, behind) = name(rest)?;
                rest = behind;
                JsonStep::Name(name)
            }
        };
        path.push(step);
        if path.len() > PARTS_MAX {
            return Err(format!("has a place in JSON of more than {PARTS_MAX} steps"));
        }
    }
    if path.is_empty() {
        return Err("has no place in JSON before the =".to_owned());
    }
    let place = text[..text.len() - rest.len()].trim().to_owned();
    let value = rest.trim_start_matches('=').trim();
    let value = if value.starts_with('"') {
        let (value, behind) = quoted(value)?;
        if !behind.trim().is_empty() {
            return Err("has something behind the value in quotes".to_owned());
        }
        Word::Quoted(value)
    } else if value.is_empty() {
        return Err("has no value behind the =; an empty text is \"\"".to_owned());
    } else {
        Word::Bare(value.to_owned())
    };
    Ok(WantedAnswer::Json { place, path, value })
}

/// A name at the begin of a text, and what stands behind it.
fn name(text: &str) -> Result<(String, &str), String> {
    if text.starts_with('"') {
        return quoted(text);
    }
    let end = text.find(['.', '[', '=', '"']).unwrap_or(text.len());
    let (name, behind) = text.split_at(end);
    let name = name.trim_end();
    if name.is_empty() {
        return Err("has an empty name in the place in JSON".to_owned());
    }
    if name.contains(['!', '<', '>', '~', '*', ']']) {
        return Err(
            "has a sign other than . [ ] = in the place in JSON; such a name stands in double quotes"
                .to_owned(),
        );
    }
    Ok((name.to_owned(), behind))
}

/// A text in double quotes as JSON has it, and what stands behind it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
    match values.next() {
        Some(Ok(value)) => Ok((value, &text[values.byte_offset()..])),
        _ => Err("has a double quote without its end".to_owned()),
    }
}

fn regex(text: &str) -> Result<WantedAnswer, String> {
    if text.is_empty() {
        return Err("has no regular expression behind text:".to_owned());
    }
    let built = RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).nest_limit(REGEX_DEPTH_MAX).build();
    let regex = built.map_err(|error| format!("has a regular expression that cannot be used ({error})"))?;
    // One that is found everywhere would take every no for a yes.
    if ["", "\u{2022}", "Access denied!\n"].into_iter().all(|any| regex.is_match(any)) {
        return Err("has a regular expression that every answer matches".to_owned());
    }
    Ok(WantedAnswer::Text(regex))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{api_of, config, problem};
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> WantedAnswer {
        Success::parse(text).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}")).wanted
    }

    #[test]
    fn statuses_are_named_one_by_one_as_a_range_or_as_the_class_of_success() {
        for (text, expected) in [
            ("status", vec![200..=299]),
            ("Status: 2xx", vec![200..=299]),
            ("2XX", vec![200..=299]),
            ("200", vec![200..=200]),
            ("200,202", vec![200..=200, 202..=202]),
            ("status:200-204, 302 409", vec![200..=204, 302..=302, 409..=409]),
            ("status: 500", vec![500..=500]),
        ] {
            assert!(matches!(parsed(text), WantedAnswer::Status(list) if list == expected), "{text}");
        }
    }

    #[test]
    fn a_place_in_json_is_written_with_dots_brackets_and_quotes() {
        let names =
            |names: &[&str]| names.iter().map(|name| JsonStep::Name((*name).to_owned())).collect::<Vec<_>>();
        let bare = |text: &str| Word::Bare(text.to_owned());
        for (text, expected, value) in [
            ("json:ok=true", names(&["ok"]), bare("true")),
            ("json: result.ok = true", names(&["result", "ok"]), bare("true")),
            ("JSON:$.a.b==0", names(&["a", "b"]), bare("0")),
            ("json:.a=x = y", names(&["a"]), bare("x = y")),
            ("json:a b.c=done", names(&["a b", "c"]), bare("done")),
            ("json:\"a.b\".\"c=\" = \"\"", names(&["a.b", "c="]), Word::Quoted(String::new())),
            ("json:a=\"say \\\"yes\\\"\"", names(&["a"]), Word::Quoted("say \"yes\"".to_owned())),
            (
                "json:files[0][\"n.m\"].0=1",
                vec![
                    JsonStep::Name("files".to_owned()),
                    JsonStep::Index(0),
                    JsonStep::Name("n.m".to_owned()),
                    JsonStep::Name("0".to_owned()),
                ],
                bare("1"),
            ),
            ("json:[2].ok=true", vec![JsonStep::Index(2), JsonStep::Name("ok".to_owned())], bare("true")),
        ] {
            let WantedAnswer::Json { path, value: found, .. } = parsed(text) else { panic!("{text}") };
            assert_eq!((path, found), (expected, value), "{text}");
        }
        let WantedAnswer::Json { place, .. } = parsed("json: result.ok = true") else { panic!() };
        assert_eq!(place, "result.ok");
    }

    #[test]
    fn a_regular_expression_is_all_behind_the_first_colon() {
        for text in ["text:^OK", "text: (?i)^ok: \\d+$", "regex:^OK", "text:^$"] {
            assert!(matches!(parsed(text), WantedAnswer::Text(_)), "{text}");
        }
    }

    #[test]
    fn what_is_no_rule_is_a_problem_that_says_what_is_wrong() {
        for (rule, words) in [
            ("OK", "begins with none"),
            ("true", "begins with none"),
            ("body:OK", "begins with none"),
            ("status:", "names no status"),
            ("status:20", "three digits"),
            ("status:200;202", "three digits"),
            ("status:199", "three digits"),
            ("status:4xx", "another class"),
            ("status:200-599", "beyond 200-299"),
            ("status:204-200", "three digits"),
            ("status:401", "401, which never"),
            ("status:200,503", "503, which never"),
            ("json:result.ok", "no = behind"),
            ("json:=true", "no place in JSON"),
            ("json:a=", "no value"),
            ("json:a..b=1", "empty name"),
            ("json:a[x]=1", "without a number"),
            ("json:a[0=1", "[ without ]"),
            ("json:a[0]b=1", "without a dot"),
            ("json:a!=1", "other than . [ ] ="),
            ("json:\"a=1", "double quote"),
            ("json:a=\"1\" 2", "behind the value"),
            ("text:", "no regular expression"),
            ("text:(", "cannot be used"),
            ("text:.*", "every answer"),
            ("text:|OK", "every answer"),
            ("text:(?i)(ok)?", "every answer"),
            ("text:(\\w{100}){100}", "cannot be used"),
        ] {
            let said = problem(&[("UPLOAD_SUCCESS", rule)]);
            assert!(
                said.starts_with("UPLOAD_SUCCESS: ")
                    && said.contains(words)
                    && said.contains("json:result.ok=true"),
                "{rule}: {said}"
            );
        }
        let deep = format!("text:{}x{}", "(".repeat(200), ")".repeat(200));
        assert!(problem(&[("UPLOAD_SUCCESS", &deep)]).contains("cannot be used"));
        let long = format!("text:{}", "x".repeat(CHARS_MAX));
        assert!(problem(&[("UPLOAD_SUCCESS", &long)]).contains("longer than"));
    }

    #[test]
    fn a_rule_is_shown_as_it_was_written_and_reads_back() {
        for rule in ["json: a.\"b c\" = \"it's \\\"x\\\" \\\\ $\"", "text:^\\s*OK\\b # 1$", "status:200, 204"]
        {
            let url = ("S3_API_URL", "https://api.example/up");
            let first = config(&[url, ("UPLOAD_SUCCESS", rule)]);
            assert_eq!(api_of(&first).success.unwrap().to_string(), rule);
            let env = crate::config::Env::from_file(first.describe().as_bytes(), "described");
            let (again, _) = crate::config::Config::parse(&env).unwrap();
            assert_eq!(api_of(&again).success.unwrap().to_string(), rule);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_every_rule_is_bounded(
            kind in "(status|json|text|regex)?:?", text in "[\\PC]{0,60}", path in "[a-c.\\[\\]\"0-9= $]{0,30}",
        ) {
            for rest in [&text, &path] {
                if let Ok(rule) = Success::parse(&format!("{kind}{rest}")) {
                    match rule.wanted() {
                        WantedAnswer::Status(list) => {
                            prop_assert!((1..=PARTS_MAX).contains(&list.len()));
                            prop_assert!(list.iter().all(|range| 200 <= *range.start() && *range.end() < 600));
                            prop_assert!(NEVER.iter().all(|no| !list.iter().any(|range| range.contains(no))));
                        }
                        WantedAnswer::Json { path, .. } => prop_assert!((1..=PARTS_MAX).contains(&path.len())),
                        WantedAnswer::Text(regex) => prop_assert!(!regex.as_str().is_empty()),
                    }
                }
            }
        }
    }
}
