//! Texts that were read in pictures, such as number plates: their normal form, which of them are nearly the same, and
//! which misreads of a wanted one are taken for it. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

/// Longest text that is compared, characters. Plates have up to ten; numbers of containers and trailers a few more.
pub const PLATE_CHARS_MAX: usize = 24;

/// A shorter text is near too many others to say anything.
pub const NEAR_CHARS_MIN: usize = 4;

/// Characters that readers take for one another.
const LOOK_ALIKES: [&str; 9] = ["0ODQ", "1IL", "2Z", "4A", "5S", "6G", "7T", "8B", "UV"];

/// A text in its normal form: letters and digits alone, letters large, wide ones narrow. Blanks, dashes and dots depend on
/// the reader and on who writes it down. Never empty, at most [`PLATE_CHARS_MAX`] characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlateText(String);

/// How a text that was read agrees with one that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TextMatch {
    /// It is the same.
    Exact,
    /// It begins so.
    Prefix,
    /// One character is missing, too many or another, or all that differs are look-alikes.
    Near,
}

impl TextMatch {
    /// Every one, the best first.
    pub const ALL: [Self; 3] = [Self::Exact, Self::Prefix, Self::Near];

    /// As in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Prefix => "prefix",
            Self::Near => "near",
        }
    }
}

impl PlateText {
    /// The normal form; `None` if nothing is left of it, or too much.
    pub fn parse(text: &str) -> Option<Self> {
        let text = normal(text);
        (1..=PLATE_CHARS_MAX).contains(&text.chars().count()).then_some(Self(text))
    }

    /// The normal form of what was read: too much is cut.
    pub fn of_reading(text: &str) -> Option<Self> {
        Self::parse(&normal(text).chars().take(PLATE_CHARS_MAX).collect::<String>())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How `read` agrees with this text that is looked for.
    pub fn matches(&self, read: &Self) -> Option<TextMatch> {
        if self == read {
            Some(TextMatch::Exact)
        } else if read.0.starts_with(&self.0) {
            Some(TextMatch::Prefix)
        } else if self.is_near(read) {
            Some(TextMatch::Near)
        } else {
            None
        }
    }

    fn is_near(&self, other: &Self) -> bool {
        let chars = |text: &Self| text.0.chars().count();
        if chars(self).min(chars(other)) < NEAR_CHARS_MIN {
            return false;
        }
        self.look() == other.look() || is_one_edit(&self.0, &other.0)
    }

    /// What two texts that are near have at least one of in common, each once: the text, the text without each of its
    /// characters, and the text with one character in the place of all that look like it.
    pub fn near_keys(&self) -> BTreeSet<String> {
        let chars: Vec<char> = self.0.chars().collect();
        if chars.len() < NEAR_CHARS_MIN {
            return BTreeSet::new();
        }
        let without = |skipped: usize| {
            chars.iter().enumerate().filter(|(at, _)| *at != skipped).map(|(_, c)| *c).collect::<String>()
        };
        let shorter = (0..chars.len()).map(without);
        // The sign keeps it apart from a text that looks so.
        shorter.chain([self.0.clone(), format!("~{}", self.look())]).collect()
    }

    /// The text with one character in the place of all that look like it.
    fn look(&self) -> String {
        let first = |c: char| LOOK_ALIKES.iter().find(|group| group.contains(c));
        self.0.chars().map(|c| first(c).and_then(|group| group.chars().next()).unwrap_or(c)).collect()
    }

    /// Every text but this one that is taken for this one of a watch list: one character is read as one that looks like
    /// it. More would take other cars for this one.
    pub fn misreads(&self) -> BTreeSet<Self> {
        let chars: Vec<char> = self.0.chars().collect();
        let mut found = BTreeSet::new();
        for (at, c) in chars.iter().enumerate() {
            let group = LOOK_ALIKES.iter().find(|group| group.contains(*c)).copied().unwrap_or_default();
            for other in group.chars().filter(|other| other != c) {
                let mut text = chars.clone();
                if let Some(place) = text.get_mut(at) {
                    *place = other;
                }
                found.insert(Self(text.into_iter().collect()));
            }
        }
        found
    }

    /// Whether `read` is this text of a watch list, or one of its misreads.
    pub fn accepts(&self, read: &Self) -> bool {
        let is_alike =
            |a: char, b: char| LOOK_ALIKES.iter().any(|group| group.contains(a) && group.contains(b));
        let (own, other): (Vec<char>, Vec<char>) = (self.0.chars().collect(), read.0.chars().collect());
        let mut differing = own.iter().zip(&other).filter(|(a, b)| a != b);
        let one = differing.next();
        own.len() == other.len() && differing.next().is_none() && one.is_none_or(|(a, b)| is_alike(*a, *b))
    }
}

impl std::fmt::Display for PlateText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn normal(text: &str) -> String {
    text.chars().map(narrow).flat_map(char::to_uppercase).filter(|c| c.is_alphanumeric()).collect()
}

/// A wide letter, as East Asian input methods write it, as its narrow one.
fn narrow(c: char) -> char {
    const WIDE: std::ops::RangeInclusive<u32> = 0xff01..=0xff5e;
    let code = u32::from(c);
    if WIDE.contains(&code) { char::from_u32(code - 0xfee0).unwrap_or(c) } else { c }
}

/// Whether exactly one character is another, missing or too many.
fn is_one_edit(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let same = |x: &mut dyn Iterator<Item = (&char, &char)>| x.take_while(|(a, b)| a == b).count();
    let start = same(&mut a.iter().zip(&b));
    let end = same(&mut a.iter().rev().zip(b.iter().rev()));
    let (shorter, longer) = (a.len().min(b.len()), a.len().max(b.len()));
    match longer - shorter {
        0 => start < shorter && start + end + 1 >= shorter,
        1 => start + end >= shorter,
        _ => false,
    }
}

/// Where a text stands in a picture, in pixels from its upper left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextBox {
    /// Left edge.
    pub xmin: u32,
    /// Upper edge.
    pub ymin: u32,
    /// Right edge, beyond the left one.
    pub xmax: u32,
    /// Lower edge, below the upper one.
    pub ymax: u32,
}

/// A text as a server read it in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct TextRead {
    /// As it was said, fit to be shown.
    pub text: String,
    /// How sure the server is, from 0 to 1; `None` if it did not say.
    pub score: Option<f64>,
    /// Where it stands; `None` if it did not say.
    pub place: Option<TextBox>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plate(text: &str) -> PlateText {
        PlateText::parse(text).unwrap()
    }

    #[test]
    fn a_plate_is_its_letters_and_digits_however_it_is_written() {
        for (text, expected) in [
            ("ab-12 cd", "AB12CD"),
            (" W·12345X ", "W12345X"),
            ("12가 3456", "12가3456"),
            ("ＡＢ１２", "AB12"),
            ("süd 1", "SÜD1"),
            ("AB\u{202e}12", "AB12"),
        ] {
            assert_eq!(plate(text).as_str(), expected);
        }
        for text in ["", " - ", &"A".repeat(PLATE_CHARS_MAX + 1)] {
            assert_eq!(PlateText::parse(text), None, "{text}");
        }
        assert_eq!(PlateText::of_reading(&"a".repeat(1000)).unwrap().as_str().len(), PLATE_CHARS_MAX);
        assert_eq!(PlateText::of_reading("--"), None);
    }

    #[test]
    fn one_confusion_or_one_edit_is_near_and_two_edits_are_not() {
        let wanted = plate("AB12CD");
        for (read, expected) in [
            ("AB12CD", Some(TextMatch::Exact)),
            ("AB12CD9", Some(TextMatch::Prefix)),
            ("A812CD", Some(TextMatch::Near)),
            ("ABI2CD", Some(TextMatch::Near)),
            ("AB1ZCO", Some(TextMatch::Near)),
            ("AB12C", Some(TextMatch::Near)),
            ("XAB12CD", Some(TextMatch::Near)),
            ("AB12XD", Some(TextMatch::Near)),
            ("AB12XX", None),
            ("AB1CDE2", None),
            ("CD12AB", None),
        ] {
            assert_eq!(wanted.matches(&plate(read)), expected, "{read}");
        }
        assert_eq!(plate("AB1").matches(&plate("AB2")), None, "too short to say anything");
        assert_eq!(plate("12가3456").matches(&plate("12거3456")), Some(TextMatch::Near));
    }

    #[test]
    fn a_watch_list_says_which_misreads_it_takes_and_takes_no_others() {
        let said: Vec<_> = plate("AB0").misreads().into_iter().map(|text| text.to_string()).collect();
        assert_eq!(said, ["4B0", "A80", "ABD", "ABO", "ABQ"]);
        assert!(!plate("AB0").accepts(&plate("48O")), "two misreads are another car");
        assert!(!plate("AB0").accepts(&plate("AB0O")));
        assert!(plate("W-123").accepts(&plate("w123")));
    }

    fn any_plate() -> impl Strategy<Value = PlateText> {
        "[A-Z0-9가-다]{1,10}".prop_map(|text| plate(&text))
    }

    fn edited(text: &str, at: usize, kind: u8, c: char) -> String {
        let mut chars: Vec<char> = text.chars().collect();
        match kind {
            0 => chars.insert(at % (chars.len() + 1), c),
            1 => drop(chars.remove(at % chars.len())),
            _ => {
                let place = at % chars.len();
                chars[place] = c;
            }
        }
        chars.into_iter().collect()
    }

    /// The plain definition, by dynamic programming.
    fn distance(a: &str, b: &str) -> usize {
        let b: Vec<char> = b.chars().collect();
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, x) in a.chars().enumerate() {
            let mut before = std::mem::replace(&mut row[0], i + 1);
            for (j, y) in b.iter().enumerate() {
                let kept = before + usize::from(x != *y);
                before = row[j + 1];
                row[j + 1] = kept.min(row[j] + 1).min(before + 1);
            }
        }
        row[b.len()]
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own_and_no_text_panics(text in "\\PC{0,40}") {
            if let Some(plate) = PlateText::of_reading(&text) {
                prop_assert_eq!(PlateText::parse(plate.as_str()), Some(plate.clone()));
                prop_assert_eq!(plate.matches(&plate), Some(TextMatch::Exact));
            }
        }

        #[test]
        fn one_edit_is_what_the_plain_definition_says(
            a in "[AB1]{0,5}", at: usize, kind in 0..3_u8, b in "[AB1]{0,5}", c in "[AB1]",
        ) {
            prop_assert_eq!(is_one_edit(&a, &b), distance(&a, &b) == 1, "{} {}", a, b);
            if !a.is_empty() {
                let other = edited(&a, at, kind, c.chars().next().unwrap());
                prop_assert_eq!(is_one_edit(&a, &other), a != other);
            }
        }

        #[test]
        fn whatever_is_near_has_a_key_in_common(
            a in any_plate(), at: usize, kind in 0..3_u8, c in "[A-Z0-9]", b in any_plate(),
        ) {
            let other = PlateText::parse(&edited(a.as_str(), at, kind, c.chars().next().unwrap()));
            for other in other.into_iter().chain([b]).chain(a.misreads()) {
                if a.matches(&other) == Some(TextMatch::Near) {
                    prop_assert!(!a.near_keys().is_disjoint(&other.near_keys()), "{} {}", a, other);
                }
            }
        }

        #[test]
        fn near_is_mutual_but_for_beginnings(a in "[A0O1]{4,6}", b in "[A0O1]{4,6}") {
            let (a, b) = (plate(&a), plate(&b));
            prop_assert_eq!(a.is_near(&b), b.is_near(&a));
        }

        #[test]
        fn a_watch_list_takes_exactly_what_it_says(a in any_plate(), b in any_plate(), at: usize) {
            let misreads = a.misreads();
            for misread in &misreads {
                prop_assert!(a.accepts(misread) && misread.accepts(&a) && *misread != a);
            }
            prop_assert!(a.accepts(&a));
            let changed = plate(&edited(a.as_str(), at, 2, b.as_str().chars().next().unwrap()));
            for other in [b, changed] {
                prop_assert_eq!(a.accepts(&other), other == a || misreads.contains(&other), "{} {}", a, other);
            }
        }
    }
}
