//! Where a secret stands in a text, whatever it is written in: as it is, in other letters, split by white space, escaped
//! for an address, JSON, HTML or a mail, as base64 or hexadecimal digits, and cut off at the end of the text.
//!
//! A text is looked at in several views. Each is a sequence of bytes with the place in the text that each byte came from,
//! so what is found in a view is marked in the text.

use super::foreign;

/// Of a secret that is cut off at the end of a text so much must be there to be one, bytes.
const PREFIX_MIN: usize = 6;

/// Escapes within escapes are undone so often.
const DEPTH: usize = 3;

/// So many hexadecimal digits in a row are a hash or a signature.
const HASH_MIN: usize = 32;

/// Bytes, and for each the range of the text it came from.
#[derive(Clone, Default)]
struct View {
    bytes: Vec<u8>,
    from: Vec<(usize, usize)>,
}

/// A way in which bytes are written as others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// `%2F`, also `%u002F`.
    Percent,
    /// The same, and a plus sign for a space.
    Form,
    /// `\/`, `\u002f`, `\x2f`, `\057`.
    Backslash,
    /// `&#47;`, `&#x2f;`, `&sol;`.
    Html,
    /// `=2F`, and a line that goes on.
    QuotedPrintable,
    /// Any of them but the plus sign.
    Any,
}

/// A secret, as it is looked for.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Needle(Vec<u8>);

impl Needle {
    /// `None` for a secret of nothing that is seen.
    pub(super) fn new(secret: &str) -> Option<Self> {
        let folded = View::of(secret).seen(true).bytes;
        (!folded.is_empty()).then_some(Self(folded))
    }
}

/// The ranges of `text` in which one of the secrets stands, in order and apart, on boundaries of characters.
pub(super) fn find(text: &str, needles: &[Needle], with_hashes: bool) -> Vec<(usize, usize)> {
    let mut marks = Marks { needles, found: Vec::new() };
    let raw = View::of(text);
    let mut innermost = raw.clone();
    marks.look(&raw.seen(true));
    for escape in [Escape::Percent, Escape::Form, Escape::Backslash, Escape::Html, Escape::QuotedPrintable] {
        if let Some(plain) = raw.undone(escape) {
            marks.look(&plain.seen(true));
        }
    }
    for _ in 0..DEPTH {
        let Some(plain) = innermost.undone(Escape::Any) else { break };
        marks.look(&plain.seen(true));
        marks.look_coded(&plain.seen(false));
        innermost = plain;
    }
    let seen = raw.seen(false);
    marks.look_coded(&seen);
    if with_hashes {
        marks.hashes(&seen);
    }
    marks.ranges(text)
}

struct Marks<'a> {
    needles: &'a [Needle],
    found: Vec<(usize, usize)>,
}

impl Marks<'_> {
    /// Marks every secret in a view, and the beginning of one at its end.
    fn look(&mut self, view: &View) {
        for Needle(needle) in self.needles {
            let mut at = 0;
            while let Some(next) = position(&view.bytes[at..], needle) {
                self.mark(view, at + next, at + next + needle.len());
                at += next + 1;
            }
            let longest = needle.len().saturating_sub(1).min(view.bytes.len());
            let cut = (PREFIX_MIN..=longest).rev().find(|length| view.bytes.ends_with(&needle[..*length]));
            if let Some(length) = cut {
                self.mark(view, view.bytes.len() - length, view.bytes.len());
            }
        }
    }

    /// The same in whatever may be base64 or hexadecimal digits.
    fn look_coded(&mut self, view: &View) {
        for run in view.runs(|byte| base64_value(byte).is_some()) {
            for offset in 0..4 {
                self.look(&run.bits(offset, 6, base64_value).seen(true));
            }
        }
        // `63:61`, `63 61`, `0x63, 0x61`.
        let digits = view.without_separators();
        for run in digits.runs(|byte| byte.is_ascii_hexdigit()) {
            for offset in 0..2 {
                self.look(&run.bits(offset, 4, hex_value).seen(true));
            }
        }
    }

    fn hashes(&mut self, view: &View) {
        for run in view.runs(|byte| byte.is_ascii_hexdigit()) {
            if run.bytes.len() >= HASH_MIN {
                self.mark(&run, 0, run.bytes.len());
            }
        }
    }

    fn mark(&mut self, view: &View, from: usize, to: usize) {
        if let (Some(first), Some(last)) = (view.from.get(from), view.from.get(to - 1)) {
            self.found.push((first.0, last.1));
        }
    }

    fn ranges(mut self, text: &str) -> Vec<(usize, usize)> {
        self.found.sort_unstable();
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for (mut from, mut to) in self.found {
            while !text.is_char_boundary(from) {
                from -= 1;
            }
            while !text.is_char_boundary(to) {
                to += 1;
            }
            match ranges.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => ranges.push((from, to)),
            }
        }
        ranges
    }
}

/// Where `needle` begins.
fn position(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, rest) = needle.split_first()?;
    let last = bytes.len().checked_sub(needle.len())?;
    (0..=last).find(|at| bytes[*at] == *first && bytes[at + 1..].starts_with(rest))
}

fn base64_value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

fn hex_value(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

impl View {
    fn of(text: &str) -> Self {
        Self { bytes: text.as_bytes().to_vec(), from: (0..text.len()).map(|at| (at, at + 1)).collect() }
    }

    fn push(&mut self, bytes: &[u8], from: (usize, usize)) {
        self.bytes.extend(bytes);
        self.from.resize(self.bytes.len(), from);
    }

    /// Without what the cleaner of foreign words leaves out, and, if wanted, in letters of one case.
    fn seen(&self, is_folded: bool) -> Self {
        let mut seen = Self::default();
        let mut at = 0;
        let mut buffer = [0; 4];
        for chunk in self.bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                let from = (self.from[at].0, self.from[at + c.len_utf8() - 1].1);
                at += c.len_utf8();
                if foreign::is_left_out(c) {
                    continue;
                }
                if !is_folded {
                    seen.push(c.encode_utf8(&mut buffer).as_bytes(), from);
                    continue;
                }
                // By way of capitals, so that `ß` and `ſ` are what they become there.
                for c in c.to_uppercase().flat_map(char::to_lowercase) {
                    seen.push(c.encode_utf8(&mut buffer).as_bytes(), from);
                }
            }
            for byte in chunk.invalid() {
                seen.push(&[*byte], self.from[at]);
                at += 1;
            }
        }
        seen
    }

    /// With escapes undone; `None` when there are none.
    fn undone(&self, escape: Escape) -> Option<Self> {
        let mut plain = Self::default();
        let (mut at, mut is_changed) = (0, false);
        while at < self.bytes.len() {
            match escape.read(&self.bytes[at..]) {
                Some((bytes, length)) => {
                    is_changed = true;
                    plain.push(&bytes, (self.from[at].0, self.from[at + length - 1].1));
                    at += length;
                }
                None => {
                    plain.push(&[self.bytes[at]], self.from[at]);
                    at += 1;
                }
            }
        }
        is_changed.then_some(plain)
    }

    /// The parts that consist of such bytes.
    fn runs(&self, is_part: impl Fn(u8) -> bool) -> Vec<Self> {
        let mut runs = Vec::new();
        let mut at = 0;
        for run in self.bytes.split(|byte| !is_part(*byte)) {
            if !run.is_empty() {
                runs.push(Self { bytes: run.to_vec(), from: self.from[at..at + run.len()].to_vec() });
            }
            at += run.len() + 1;
        }
        runs
    }

    /// Without what stands between bytes that are written one by one.
    fn without_separators(&self) -> Self {
        let mut plain = Self::default();
        for (at, byte) in self.bytes.iter().enumerate() {
            let is_prefix = *byte == b'0' && matches!(self.bytes.get(at + 1), Some(b'x' | b'X'));
            if !is_prefix && !matches!(byte, b':' | b'-' | b',' | b';' | b'.' | b'x' | b'X' | b'\\') {
                plain.push(&[*byte], self.from[at]);
            }
        }
        plain
    }

    /// What digits of so many bits each say, from the `offset`th on.
    fn bits(&self, offset: usize, bits: u32, value: fn(u8) -> Option<u8>) -> Self {
        let mut plain = Self::default();
        let (mut held, mut count, mut first) = (0_u32, 0, 0);
        for (byte, from) in self.bytes.iter().zip(&self.from).skip(offset) {
            if count == 0 {
                first = from.0;
            }
            held = (held << bits | u32::from(value(*byte).unwrap_or(0))) & 0xffff;
            count += bits;
            if count >= 8 {
                count -= 8;
                plain.push(&[u8::try_from(held >> count & 0xff).unwrap_or(0)], (first, from.1));
                // The rest of this digit belongs to the next byte.
                first = from.0;
            }
        }
        plain
    }
}

/// Bytes that an escape means, and how many it takes.
type Meaning = (Vec<u8>, usize);

impl Escape {
    /// The escape at the beginning of these bytes.
    fn read(self, bytes: &[u8]) -> Option<Meaning> {
        match (self, bytes.first()?) {
            (Self::Percent | Self::Form | Self::Any, b'%') => percent(bytes),
            (Self::Form, b'+') => Some((b" ".to_vec(), 1)),
            (Self::Backslash | Self::Any, b'\\') => backslash(bytes),
            (Self::Html | Self::Any, b'&') => entity(bytes),
            (Self::QuotedPrintable | Self::Any, b'=') => match bytes {
                [_, b'\r', b'\n', ..] => Some((Vec::new(), 3)),
                [_, b'\n', ..] => Some((Vec::new(), 2)),
                _ => byte_of(&bytes[1..]).map(|byte| (vec![byte], 3)),
            },
            _ => None,
        }
    }
}

fn percent(bytes: &[u8]) -> Option<Meaning> {
    match bytes.get(1)? {
        b'u' | b'U' => character(bytes.get(2..6)?).map(|bytes| (bytes, 6)),
        _ => byte_of(&bytes[1..]).map(|byte| (vec![byte], 3)),
    }
}

fn backslash(bytes: &[u8]) -> Option<Meaning> {
    match bytes.get(1)? {
        b'u' | b'U' if bytes.get(2) == Some(&b'{') => {
            let length = bytes.iter().take(10).position(|byte| *byte == b'}')?;
            character(&bytes[3..length]).map(|character| (character, length + 1))
        }
        b'u' | b'U' => {
            let first = number(bytes.get(2..6)?, 16)?;
            if !(0xd800..0xdc00).contains(&first) {
                return utf8(first).map(|bytes| (bytes, 6));
            }
            let second = number(bytes.get(8..12)?, 16).filter(|n| (0xdc00..0xe000).contains(n))?;
            utf8(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).map(|bytes| (bytes, 12))
        }
        b'x' | b'X' => byte_of(&bytes[2..]).map(|byte| (vec![byte], 4)),
        b'0'..=b'3' => {
            let byte = number(bytes.get(1..4)?, 8)?;
            Some((vec![u8::try_from(byte).ok()?], 4))
        }
        b'n' | b'r' | b't' | b'b' | b'f' => Some((b" ".to_vec(), 2)),
        byte if byte.is_ascii_punctuation() => Some((vec![*byte], 2)),
        _ => None,
    }
}

fn entity(bytes: &[u8]) -> Option<Meaning> {
    // The longest name of these is as long as that of the largest number.
    let digits = |from: usize, radix: u32| {
        let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
        let count = bytes[from..].iter().take(8).take_while(is_digit).count();
        let end = from + count;
        let with_mark = end + usize::from(bytes.get(end) == Some(&b';'));
        utf8(number(&bytes[from..end], radix)?).map(|bytes| (bytes, with_mark))
    };
    match bytes.get(1..3)? {
        [b'#', b'x' | b'X'] => digits(3, 16),
        [b'#', _] => digits(2, 10),
        _ => {
            let end = bytes.iter().take(10).position(|byte| *byte == b';')?;
            let name = std::str::from_utf8(&bytes[1..end]).ok()?;
            let (_, meaning) = ENTITIES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
            Some((meaning.as_bytes().to_vec(), end + 1))
        }
    }
}

/// Characters that stand in passwords and have a name in HTML.
const ENTITIES: [(&str, &str); 37] = [
    ("amp", "&"),
    ("lt", "<"),
    ("gt", ">"),
    ("quot", "\""),
    ("apos", "'"),
    ("nbsp", " "),
    ("excl", "!"),
    ("num", "#"),
    ("dollar", "$"),
    ("percnt", "%"),
    ("lpar", "("),
    ("rpar", ")"),
    ("ast", "*"),
    ("plus", "+"),
    ("comma", ","),
    ("hyphen", "-"),
    ("period", "."),
    ("sol", "/"),
    ("colon", ":"),
    ("semi", ";"),
    ("equals", "="),
    ("quest", "?"),
    ("commat", "@"),
    ("lsqb", "["),
    ("lbrack", "["),
    ("bsol", "\\"),
    ("rsqb", "]"),
    ("rbrack", "]"),
    ("hat", "^"),
    ("lowbar", "_"),
    ("grave", "`"),
    ("lcub", "{"),
    ("lbrace", "{"),
    ("verbar", "|"),
    ("vert", "|"),
    ("rcub", "}"),
    ("rbrace", "}"),
];

/// The byte of two hexadecimal digits at the beginning.
fn byte_of(digits: &[u8]) -> Option<u8> {
    u8::try_from(number(digits.get(..2)?, 16)?).ok()
}

fn character(digits: &[u8]) -> Option<Vec<u8>> {
    utf8(number(digits, 16)?)
}

fn utf8(number: u32) -> Option<Vec<u8>> {
    char::from_u32(number).map(|c| c.to_string().into_bytes())
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(|byte| char::from(*byte).is_digit(radix)) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}
