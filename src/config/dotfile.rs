//! The environment file, line by line.
//!
//! Every line stands for itself, so every mistake has its line number, and a forgotten quote spoils its own line instead
//! of swallowing the rest of the file. A value is read as other programs read it, and where they differ, or where a
//! character of a secret could silently be lost, the line is refused or warned of:
//!
//! - Without quotes a value reaches to the comment, which is a `#` behind a space; a `#` directly behind `=` belongs to
//!   the value. Quotes and backslashes inside stand for themselves, but for a backslash before one of `\ " ' $ #` or a
//!   space, which is left out. A `$` is refused, because elsewhere it stands for another variable. A space is part of
//!   what may be shown, and is refused in a secret.
//! - `'single quotes'` keep everything as it stands. In `"double quotes"` a backslash stands before `\ " ' $` and a space.
//!
//! No message repeats a line.

use std::collections::BTreeMap;

use super::dotfile_text::{TextLine, lines};
use super::problem::{Problem, ShownValue, Warning, Wrong};
use super::variables;

/// What a line may look like.
const LINE: &str = "NAME=value, NAME='value with spaces, $ or #', or a comment that starts with #";

/// What to write where single quotes are the way out.
const SINGLE: &str = "the value in single quotes";

/// What to write where they are not, because the value has one.
const DOUBLE: &str = "the value in double quotes, with a \\ before every \" \\ and $ in it";

/// How the names of hashes end: a hash is full of `$`, and none of them stands for another variable.
const HASH: &str = "_HASH";

/// Characters that look like others or like nothing, as word processors, web pages and telephones put them in.
const ODD: &[(char, &str)] = &[
    ('\u{a0}', "a non-breaking space"),
    ('\u{202f}', "a narrow non-breaking space"),
    ('\u{3000}', "a wide space"),
    ('\u{200b}', "an invisible space"),
    ('\u{200e}', "an invisible mark"),
    ('\u{200f}', "an invisible mark"),
    ('\u{2060}', "an invisible mark"),
    ('\u{feff}', "an invisible byte order mark"),
    ('\u{ad}', "an invisible hyphen"),
    ('\u{201c}', "a typographic quotation mark"),
    ('\u{201d}', "a typographic quotation mark"),
    ('\u{201e}', "a typographic quotation mark"),
    ('\u{ab}', "a typographic quotation mark"),
    ('\u{bb}', "a typographic quotation mark"),
    ('\u{2018}', "a typographic apostrophe"),
    ('\u{2019}', "a typographic apostrophe"),
    ('\u{201a}', "a typographic apostrophe"),
    ('\u{b4}', "an accent"),
    ('\u{2013}', "a long dash"),
    ('\u{2014}', "a long dash"),
    ('\u{fffd}', "a character that could not be decoded"),
];

/// Typographic quotes that a value may begin with by mistake.
const ODD_QUOTES: &[char] =
    &['\u{201c}', '\u{201d}', '\u{201e}', '\u{ab}', '\u{bb}', '\u{2018}', '\u{2019}', '\u{201a}'];

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
    for (index, line) in lines(content).iter().enumerate() {
        let number = index + 1;
        let place = format!("{label} line {number}");
        let mut warn = |text: String| parsed.warnings.push(Warning::new(&place, text));
        match parse_line(line) {
            Ok(None) => {}
            Ok(Some(Pair { name, value, remark })) => {
                if let Some(earlier) = first_lines.insert(name.clone(), number) {
                    let known = variables::find(&name).map_or("this name", |_| name.as_str());
                    warn(format!("{known} is set in line {earlier} already; the later line counts"));
                }
                if let Some(remark) = remark {
                    let known = variables::find(&name).map_or("the value", |_| name.as_str());
                    warn(format!("{known} {remark}"));
                }
                parsed.values.insert(name, value);
            }
            Err(wrong) => parsed.problems.push(Problem::new(&place, ShownValue::Hidden, &wrong)),
        }
    }
    parsed
}

/// What a line says.
struct Pair {
    name: String,
    value: String,
    /// What may be a mistake, behind the name.
    remark: Option<String>,
}

/// White space of any kind, and what is as invisible.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// The name of an odd character: `a long dash (U+2013)`.
fn odd(c: char) -> Option<String> {
    let (_, words) = ODD.iter().find(|(odd, _)| *odd == c)?;
    Some(format!("{words} (U+{:04X})", u32::from(c)))
}

/// One line: a pair, nothing, or a mistake.
fn parse_line(line: &TextLine<'_>) -> Result<Option<Pair>, Wrong> {
    let text = line.text.trim_start_matches(is_blank);
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let not_utf8 = || {
        let accepted = "a file saved as UTF-8; letters outside of a to z may stand in any comment";
        Err(Wrong::new("not UTF-8 text", accepted))
    };
    let Some((name, rest)) = text.split_once('=') else {
        return if line.is_sure { Err(Wrong::new("not a setting", LINE)) } else { not_utf8() };
    };
    if !line.is_sure && !name.is_ascii() {
        return not_utf8();
    }
    let name = read_name(name)?;
    let known = variables::find(name);
    let subject = known.map_or("the value", |_| name);
    let is_secret = known.is_some_and(|(variable, _)| variable.secret);
    let (value, mut remark) = read_value(rest, name, is_secret)
        .map_err(|wrong| Wrong { what: format!("{subject} {}", wrong.what), ..wrong })?;
    if !line.is_sure && !value.is_ascii() {
        return not_utf8();
    }
    if is_secret && remark.is_none() {
        // Also what was taken off the ends; a comment may have any.
        let end = rest.find(value.as_str()).map_or(rest.len(), |at| at + value.len());
        let near = rest[end..].chars().take_while(|c| is_blank(*c));
        let found = rest[..end].chars().chain(near).find_map(odd);
        remark = found.map(|odd| format!("has {odd}; type it anew if it is not meant"));
    }
    Ok(Some(Pair { name: name.to_owned(), value, remark }))
}

/// The name in front of `=`.
fn read_name(text: &str) -> Result<&str, Wrong> {
    let text = text.trim_matches(is_blank);
    let name = match text.strip_prefix("export") {
        Some(rest) if rest.starts_with(is_blank) => rest.trim_start_matches(is_blank),
        _ => text,
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    match name.chars().find(|c| !fits(*c)) {
        None if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => Ok(name),
        None => Err(Wrong::new("not a setting", LINE)),
        Some(c) => {
            let named = odd(c).or_else(|| (c == '-').then(|| "a hyphen".to_owned()));
            Err(Wrong::new(
                named.map_or("not a setting".to_owned(), |c| format!("not a setting: the name has {c}")),
                LINE,
            ))
        }
    }
}

/// The value behind `=`, and what may be a mistake. Both it and what is refused go on behind the name.
fn read_value(rest: &str, name: &str, is_secret: bool) -> Result<(String, Option<String>), Wrong> {
    let text = rest.trim_matches(is_blank);
    let is_apart = rest.starts_with(is_blank);
    match text.chars().next() {
        None => Ok((String::new(), None)),
        Some('#') if is_apart => Ok((String::new(), is_secret.then(|| lost(true)))),
        Some('\'') => quoted(text, name, '\'').map(|value| (value, None)),
        Some('"') => quoted(text, name, '"').map(|value| (value, None)),
        Some(c) if ODD_QUOTES.contains(&c) => {
            let what = format!("begins with {}", odd(c).unwrap_or_default());
            Err(Wrong::new(what, "plain quotation marks, ' or \", as the keyboard has them"))
        }
        Some('#') => {
            let is_comment = text[1..].is_empty() || text[1..].starts_with(is_blank);
            if is_comment && !is_secret {
                let remark = "is empty: what stands behind the # is taken for a comment; a value goes into single quotes";
                return Ok((String::new(), Some(remark.to_owned())));
            }
            match plain(text, name, is_secret, true)? {
                (value, None) => {
                    let remark = "begins with #, which is taken for a part of the value; write a space before it for a comment, \
                                  or the value in single quotes";
                    Ok((value, Some(remark.to_owned())))
                }
                found => Ok(found),
            }
        }
        Some(_) => plain(text, name, is_secret, false),
    }
}

/// What is said of a secret with a comment behind it.
fn lost(is_empty: bool) -> String {
    let seen = if is_empty {
        "is empty: it has only a comment, which begins with #"
    } else {
        "ends before a space and #, where a comment begins"
    };
    format!("{seen}; if that belongs to the value, write the value in single quotes")
}

/// A value without quotes.
fn plain(
    text: &str,
    name: &str,
    is_secret: bool,
    begins_with_hash: bool,
) -> Result<(String, Option<String>), Wrong> {
    let mut value = String::new();
    let mut characters = text.chars();
    let mut remark = None;
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.clone().next() {
                None => return Err(Wrong::new("ends in a backslash, which other programs lose", SINGLE)),
                Some(escaped) if "\\\"'$# ".contains(escaped) => {
                    characters.next();
                    value.push(escaped);
                    if is_secret && escaped != '$' {
                        remark = Some(
                            "has a backslash that is left out, because it stands before a \\, quotation mark, # or space; if it belongs to \
                             the value, write the value in single quotes"
                                .to_owned(),
                        );
                    }
                }
                Some(_) => value.push('\\'),
            },
            '$' if !name.ends_with(HASH) => {
                return Err(Wrong::new(
                    "has a $ outside single quotes, where it stands for another variable",
                    SINGLE,
                ));
            }
            blank if is_blank(blank) => {
                let rest = characters.as_str().trim_start_matches(is_blank);
                if rest.starts_with('#') {
                    return Ok((value, if is_secret { Some(lost(false)) } else { remark }));
                }
                if begins_with_hash {
                    let what =
                        "begins with #, which directly behind = is a part of the value, and has a space";
                    return Err(Wrong::new(what, format!("{SINGLE}, or a space before the # of a comment")));
                }
                if is_secret {
                    return Err(Wrong::new("has a space outside quotes", SINGLE));
                }
                value.push(blank);
            }
            _ => value.push(character),
        }
    }
    let value = value.trim_end_matches(is_blank).to_owned();
    Ok((value, remark))
}

/// A value that begins with `quote`. Further parts in quotes may follow at once, as in `'it'\''s'`.
fn quoted(text: &str, name: &str, quote: char) -> Result<String, Wrong> {
    let words = |quote| if quote == '\'' { "an apostrophe (')" } else { "a quotation mark (\")" };
    let mut value = String::new();
    let mut inside = None;
    let mut characters = text.chars().enumerate();
    while let Some((index, character)) = characters.next() {
        let next = characters.clone().next().map(|(_, next)| next);
        match (inside, character) {
            (Some(open), _) if character == open => inside = None,
            (Some('"'), '\\') => match next {
                Some(escaped) if "\\\"'$` ".contains(escaped) => {
                    characters.next();
                    value.push(escaped);
                }
                // Some programs make a line feed or another character of these, some do not.
                Some(escaped) if "abefnrtuvxNU0123456789".contains(escaped) => {
                    let what = format!(
                        "has a backslash in double quotes before a letter or digit (character {}), which programs read differently",
                        index + 1
                    );
                    return Err(Wrong::new(what, "the value in single quotes, or every backslash doubled"));
                }
                _ => value.push('\\'),
            },
            (Some('"'), '$') if !name.ends_with(HASH) => {
                return Err(Wrong::new(
                    "has a $ outside single quotes, where it stands for another variable",
                    SINGLE,
                ));
            }
            (Some(_), _) => value.push(character),
            (None, '\'' | '"') => inside = Some(character),
            (None, '\\') if matches!(next, Some('\'' | '"' | '\\' | '$')) => {
                value.extend(characters.next().map(|(_, c)| c))
            }
            (None, _) => {
                let rest = text.chars().skip(index).collect::<String>();
                if is_blank(character) && rest.trim_start_matches(is_blank).starts_with('#') {
                    return Ok(value);
                }
                let what = format!(
                    "begins with {}, and the next one closes it (character {index}) with text behind it",
                    words(quote)
                );
                return Err(Wrong::new(what, if quote == '\'' { DOUBLE } else { SINGLE }));
            }
        }
    }
    match inside {
        None => Ok(value),
        Some(open) => {
            let what = format!("has {} without a second one that closes it", words(open));
            let accepted = if open == '\'' { DOUBLE } else { SINGLE };
            Err(Wrong::new(what, format!("the closing one, or {accepted}")))
        }
    }
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
        check(
            "A='one\nB=two\nCAMERA_PASSWORD=\"x\n",
            &[("B", "two")],
            &[
                ".env line 1: the value has an apostrophe (') without a second one that closes it (value hidden)",
                ".env line 3: CAMERA_PASSWORD has a quotation mark (\") without",
            ],
        );
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
    fn a_secret_with_spaces_wants_quotes_and_what_may_be_shown_is_read() {
        check(
            "CAMERA_PASSWORD=Main gate\nA='Main gate' # x\nB=1 \t# x\nCAMERA_1_LABEL=Main  gate  # x\n",
            &[("A", "Main gate"), ("B", "1"), ("CAMERA_1_LABEL", "Main  gate")],
            &[".env line 1: CAMERA_PASSWORD has a space outside quotes"],
        );
    }

    /// The value of the camera's password that `line` gives, and what is said of it.
    fn password(line: &str) -> (Option<String>, String) {
        let parsed = parse(format!("CAMERA_PASSWORD={line}\n").as_bytes(), ".env");
        let said = format!("{:?}{:?}", parsed.problems, parsed.warnings);
        (parsed.values.get("CAMERA_PASSWORD").cloned(), if said == "[][]" { String::new() } else { said })
    }

    #[test]
    fn no_part_of_a_secret_is_lost_without_a_word() {
        for (line, value, words) in [
            ("#secret1", Some("#secret1"), "begins with #"),
            ("#", Some("#"), "begins with #"),
            ("#two words", None, "begins with #"),
            ("# two words", None, "begins with #"),
            (" #secret1", Some(""), "is empty: it has only a comment"),
            ("secret #1", Some("secret"), "ends before a space and #"),
            ("se#cret1", Some("se#cret1"), ""),
            ("'#secret1'", Some("#secret1"), ""),
            ("'secret #1' # x", Some("secret #1"), ""),
            ("a'b", Some("a'b"), ""),
            ("a\"b\"", Some("a\"b\""), ""),
            ("ab\\cd", Some("ab\\cd"), ""),
            ("ab\\\\cd", Some("ab\\cd"), "has a backslash that is left out"),
            ("\"ab\\cd\"", Some("ab\\cd"), ""),
            ("\"ab\\ncd\"", None, "backslash in double quotes before a letter or digit (character 4)"),
            ("'it'\\''s'", Some("it's"), ""),
            ("'it's'", None, "the next one closes it (character 4)"),
            ("\"a\"b\"", None, "the next one closes it (character 3)"),
            ("'ab", None, "an apostrophe (') without a second one"),
            ("\u{201c}secret1\u{201d}", None, "begins with a typographic quotation mark (U+201C)"),
            ("it\u{2019}s", Some("it\u{2019}s"), "a typographic apostrophe (U+2019)"),
            ("ab\u{a0}", Some("ab"), "a non-breaking space (U+00A0)"),
            ("'ab\u{200b}'", Some("ab\u{200b}"), "an invisible space (U+200B)"),
        ] {
            let (found, said) = password(line);
            assert_eq!(found.as_deref(), value, "{line}: {said}");
            assert!(said.contains(words) && said.is_empty() == words.is_empty(), "{line}: {said}");
        }
    }

    #[test]
    fn an_empty_value_may_have_a_comment_of_any_words() {
        for line in ["#later", "# not there yet", "  # it's \"none\" $yet \\"] {
            check(&format!("CAMERA_2_IP= {line}"), &[("CAMERA_2_IP", "")], &[]);
        }
        let parsed = parse(b"CAMERA_2_IP=# not there yet", ".env");
        assert_eq!(parsed.values["CAMERA_2_IP"], "");
        assert!(parsed.warnings[0].to_string().contains("is taken for a comment"), "{:?}", parsed.warnings);
    }

    #[test]
    fn a_comment_may_have_any_encoding_and_a_value_may_not() {
        let parsed = parse(b"# T\xfcr\nA=1 # T\xfcr\nCAMERA_1_LABEL=T\xfcr\n", ".env");
        assert_eq!(parsed.values.len(), 1);
        assert_eq!(parsed.problems.len(), 1);
        assert!(parsed.problems[0].to_string().starts_with(".env line 3: not UTF-8 text"));
    }

    #[test]
    fn an_odd_character_in_a_name_is_named() {
        check(
            "CAMERA\u{a0}1_IP=a\nCAMERA-1-IP=a\n\u{feff}A\u{a0}=\u{200b}1\u{a0}\n",
            &[("A", "1")],
            &[
                ".env line 1: not a setting: the name has a non-breaking space (U+00A0)",
                ".env line 2: not a setting: the name has a hyphen",
            ],
        );
    }

    #[test]
    fn a_hash_needs_no_quotes() {
        check("WEB_PASSWORD_HASH=$2b$12$x # x", &[("WEB_PASSWORD_HASH", "$2b$12$x")], &[]);
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
            prop_assert!(parsed.problems.len() <= content.split(['\n', '\r']).count());
        }
    }
}
