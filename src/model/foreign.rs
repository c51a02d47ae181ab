//! Words of others, made fit to be shown: what a camera, a server, a browser or a name in a folder says reaches logs,
//! terminals, the dashboard and the database only through here.

/// What stands where words were cut.
const CUT: char = '…';

/// Marks that may be put on one letter; natural languages need no more, and stacks of them paint over other lines.
const MARKS_MAX: usize = 2;

/// A foreign text as one line of at most `max` characters, the last one `…` if something was cut off.
///
/// White space of any kind and length becomes one space. Left out are control characters (C0, C1, and with them
/// terminal escapes), marks that turn the direction of writing or show nothing (Unicode UAX #9 and the general category
/// Cf), private characters, and combining marks beyond two on a letter. Secrets must be hidden before: what is cut can no
/// longer be found.
pub fn line(text: &str, max: usize) -> String {
    let mut clean = String::new();
    let (mut length, mut marks, mut wants_space) = (0, 0, false);
    for c in text.chars() {
        if c.is_whitespace() {
            wants_space = length > 0;
            continue;
        }
        if is_left_out(c) {
            continue;
        }
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if marks > MARKS_MAX {
            continue;
        }
        for c in std::mem::take(&mut wants_space).then_some(' ').into_iter().chain([c]) {
            if length == max {
                clean.pop();
                clean.push(CUT);
                return clean;
            }
            clean.push(c);
            length += 1;
        }
    }
    clean
}

/// A text of ours with foreign words in it, as it may be printed: its lines and spaces stay, and nothing of it moves the
/// cursor, turns the direction of writing or hides. The last look; the words themselves go through [`line()`].
pub fn lines(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\n' | ' ') || !is_left_out(*c)).collect()
}

/// Whether a text has a control character, for those who refuse such a text instead of cleaning it.
#[expect(clippy::disallowed_methods, reason = "this file knows them")]
pub fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// Whether nothing is seen of a character: white space, control characters, and those that show nothing.
#[expect(clippy::disallowed_methods, reason = "this file knows them")]
pub(super) fn is_left_out(c: char) -> bool {
    c.is_whitespace() || c.is_control() || is_invisible(c)
}

/// Format characters, private ones and those that are none.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{fffe}' | '\u{ffff}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}'
    )
}

/// Combining marks that are put above or below any letter.
fn is_mark(c: char) -> bool {
    matches!(
        c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn natural_languages_come_through_unchanged() {
        for text in [
            "too dark",
            "Zufahrt gesperrt: 413 – zu groß",
            "사진이 너무 큽니다",
            "गेट बंद है",
            "e\u{301}té",
            "🦉",
        ] {
            assert_eq!(line(text, 100), text);
        }
    }

    #[test]
    fn escapes_line_breaks_and_turned_text_do_not() {
        let check = |text, expected: &str| assert_eq!(line(text, 100), expected, "{text:?}");
        check("\x1b]0;owned\x07\x1b[31mred\u{9b}0m", "]0;owned[31mred0m");
        check("  a\r\n\tb\u{2028}c\u{85}d  ", "a b c d");
        check("gpj.\u{202e}exe\u{2066}x\u{200f}\u{feff}", "gpj.exex");
        check("a\u{300}\u{301}\u{302}\u{303}b", "a\u{300}\u{301}b");
        check("\u{e0041}\u{e000}\u{0}", "");
    }

    #[test]
    fn what_is_printed_keeps_its_lines_and_nothing_that_a_terminal_obeys() {
        assert_eq!(lines("a  b\n  c"), "a  b\n  c");
        assert_eq!(lines("\x1b]0;owned\x07\r\x1b[2Ka\u{9b}31m\u{202e}\u{2066}b\0"), "]0;owned[2Ka31mb");
    }

    #[test]
    fn what_is_cut_says_so_within_the_length() {
        assert_eq!(line("four", 4), "four");
        assert_eq!(line("four five", 5), "four…");
        assert_eq!(line("four five", 4), "fou…");
        assert_eq!(line("ab", 0), "…");
    }

    proptest! {
        #[test]
        fn whatever_is_said_becomes_one_visible_line_and_stays_as_it_is(text in ".*", max in 1_usize..40) {
            let clean = line(&text, max);
            prop_assert!(clean.chars().count() <= max);
            let is_fit = |c: char| !c.is_control() && !is_invisible(c) && c != '\u{2028}';
            prop_assert!(clean.chars().all(is_fit), "{clean:?}");
            prop_assert_eq!(line(&clean, max), clean);
        }
    }
}
