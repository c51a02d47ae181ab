//! The environment file, line by line.
//!
//! dotenvy reads each line, one at a time: that gives every mistake its line number, and a forgotten quote spoils its
//! own line instead of swallowing the rest of the file. Two traps of the format are refused instead of being followed:
//! a `$` outside single quotes, which would stand for another variable and silently change a password or a hash, and
//! a backslash at the end of a line, which would silently vanish. No message repeats a line.

use std::collections::BTreeMap;

use super::problem::{Problem, Seen, Warning, Wrong};
use super::variables;

/// What a line may look like.
const LINE: &str = "NAME=value, NAME='value with spaces, $ or #', or a comment that starts with #";

/// Everything that could be learned from a file.
#[derive(Default)]
pub(super) struct Parsed {
    /// The last value of each name.
    pub(super) values: BTreeMap<String, String>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
}

/// Reads the content of an environment file; `label` is what messages call it.
pub(super) fn parse(content: &[u8], label: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut first_lines: BTreeMap<String, usize> = BTreeMap::new();
    // Editors of Windows put a byte order mark in front.
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let place = format!("{label} line {number}");
        match parse_line(line) {
            Ok(None) => {}
            Ok(Some((name, value))) => {
                if let Some(earlier) = first_lines.insert(name.clone(), number) {
                    let known = variables::find(&name).map_or("this name", |_| name.as_str());
                    let text = format!("{known} is set in line {earlier} already; the later line counts");
                    parsed.warnings.push(Warning::new(&place, text));
                }
                parsed.values.insert(name, value);
            }
            Err(wrong) => parsed.problems.push(Problem::new(&place, Seen::Hidden, &wrong)),
        }
    }
    parsed
}

/// One line: a pair, nothing, or a mistake.
fn parse_line(line: &[u8]) -> Result<Option<(String, String)>, Wrong> {
    let line = std::str::from_utf8(line).map_err(|_| Wrong::new("not UTF-8 text", LINE))?.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    if let Some((name, value)) = line.split_once('=') {
        check_traps(name.trim_end(), value.trim_start())?;
    }
    // The line feed matters: without it dotenvy refuses a line that ends in a space.
    match dotenvy::from_read_iter(format!("{line}\n").as_bytes()).next() {
        None => Ok(None),
        Some(Ok(pair)) => Ok(Some(pair)),
        Some(Err(_)) => Err(Wrong::new("not a setting", LINE)),
    }
}

/// Refuses what dotenvy would follow to an unpleasant surprise.
fn check_traps(name: &str, value: &str) -> Result<(), Wrong> {
    let subject = variables::find(name).map_or("the value", |_| name);
    let mut quote = None;
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => {
                let escaped = characters.next();
                if escaped.is_none() {
                    let what = format!("{subject} ends in a backslash, which would be lost");
                    return Err(Wrong::new(what, "the value in double quotes with every backslash doubled"));
                }
            }
            (_, '$') => {
                let what =
                    format!("{subject} has a $ outside single quotes, where it stands for another variable");
                return Err(Wrong::new(what, "the value in single quotes"));
            }
            (None, '\'' | '"') => quote = Some(character),
            // Behind a space only a comment may follow, and a comment may say anything.
            (None, ' ' | '\t') => {
                let rest = characters.as_str().trim_start();
                if rest.is_empty() || rest.starts_with('#') {
                    break;
                }
                let what = format!("{subject} has a space outside quotes");
                return Err(Wrong::new(what, "the value in single quotes"));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, proptest};

    use super::*;

    fn check(content: &str, values: &[(&str, &str)], problems: &[&str]) {
        let parsed = parse(content.as_bytes(), ".env");
        let seen: Vec<_> =
            parsed.values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(seen, values);
        let seen: Vec<_> = parsed.problems.iter().map(ToString::to_string).collect();
        assert_eq!(seen.len(), problems.len(), "{seen:?}");
        for (seen, start) in seen.iter().zip(problems) {
            assert!(seen.starts_with(start), "{seen} does not start with {start}");
        }
    }

    #[test]
    fn lines_of_every_usual_shape_are_read() {
        check(
            "\u{feff}# comment\r\n\r\nA=1\r\n  B = two \nexport C='th #ree'\nD=\"fo ur\" # why\nE=\nF=a#b\nG=x ",
            &[
                ("A", "1"),
                ("B", "two"),
                ("C", "th #ree"),
                ("D", "fo ur"),
                ("E", ""),
                ("F", "a#b"),
                ("G", "x"),
            ],
            &[],
        );
    }

    #[test]
    fn a_forgotten_quote_spoils_its_own_line_only() {
        check("A='one\nB=two\n", &[("B", "two")], &[".env line 1: not a setting (value hidden)"]);
    }

    #[test]
    fn a_malformed_line_is_reported_by_number_and_never_repeated() {
        let parsed = parse(b"CAMERA_PASSWORD=ok\n\nhunter2\nCAMERA_PASSWORD=hun ter2\nx\xff=1", "file");
        let text = format!("{:?}", parsed.problems);
        assert!(text.contains("file line 3: ") && text.contains("file line 4: "), "{text}");
        assert!(text.contains("file line 5: not UTF-8"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("ter2"), "{text}");
    }

    #[test]
    fn a_dollar_that_would_change_a_password_is_refused_unless_in_single_quotes() {
        check(
            "CAMERA_PASSWORD=pa$word\nA=\"x$HOME\"\nB='$argon2id$v=19'\nC=1 # costs $5\nD=a\\$b",
            &[("B", "$argon2id$v=19"), ("C", "1"), ("D", "a$b")],
            &[".env line 1: CAMERA_PASSWORD has a $ outside", ".env line 2: the value has a $ outside"],
        );
    }

    #[test]
    fn a_value_with_spaces_wants_quotes() {
        check(
            "CAMERA_1_LABEL=Main gate\nA='Main gate' # x\nB=1 \t# x\n",
            &[("A", "Main gate"), ("B", "1")],
            &[".env line 1: CAMERA_1_LABEL has a space outside quotes"],
        );
    }

    #[test]
    fn a_backslash_at_the_end_is_refused_because_it_would_vanish() {
        check("A=abc\\\nB=1\n", &[("B", "1")], &[".env line 1: the value ends in a backslash"]);
    }

    #[test]
    fn the_later_of_two_lines_counts_and_is_warned_about() {
        let parsed = parse(b"BIND_PORT=1\nBIND_PORT=2\n", ".env");
        assert_eq!(parsed.values["BIND_PORT"], "2");
        let warnings: Vec<_> = parsed.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, [".env line 2: BIND_PORT is set in line 1 already; the later line counts"]);
    }

    proptest! {
        #[test]
        fn no_content_panics(content in prop::collection::vec(any::<u8>(), 0..300)) {
            parse(&content, ".env");
        }

        #[test]
        fn no_line_of_awkward_characters_panics(content in "[A=$'\"\\\\#{} \t\r\nÄ]{0,60}") {
            let parsed = parse(content.as_bytes(), ".env");
            prop_assert!(parsed.problems.len() <= content.lines().count());
        }
    }
}
