//! The bytes of an environment file as lines of text, whichever editor wrote them.
//!
//! UTF-8 with or without a byte order mark, and UTF-16 in either byte order with or without one, as editors of Windows
//! write them; lines end in LF, CR LF, or CR alone. A line in another encoding is read byte for byte as Latin-1: that is
//! right for where a comment begins, and whoever finds such a character in a value refuses it.

use std::borrow::Cow;

/// A file without a byte order mark is UTF-16 if at least one in so many of its units has a zero in one byte, and
/// hardly any in the other: names of settings are ASCII, which has it everywhere.
const ZEROS_ONE_IN: usize = 4;

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TextLine<'a> {
    pub(super) text: Cow<'a, str>,
    /// Whether the bytes were UTF-8 or UTF-16; what is not ASCII is a guess otherwise.
    pub(super) is_sure: bool,
}

/// All lines of a file.
pub(super) fn lines(content: &[u8]) -> Vec<TextLine<'_>> {
    if let Some(text) = utf16(content) {
        let line = |line: &str| TextLine { text: line.to_owned().into(), is_sure: true };
        let end = if text.contains('\n') { '\n' } else { '\r' };
        return text.split(end).map(line).collect();
    }
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let end = if content.contains(&b'\n') { b'\n' } else { b'\r' };
    content
        .split(|byte| *byte == end)
        .map(|line| match std::str::from_utf8(line) {
            Ok(text) => TextLine { text: text.into(), is_sure: true },
            Err(_) => TextLine { text: line.iter().copied().map(char::from).collect(), is_sure: false },
        })
        .collect()
}

/// The text of a file in UTF-16; `None` if it is none.
fn utf16(content: &[u8]) -> Option<String> {
    let (content, unit): (_, fn([u8; 2]) -> u16) = match content {
        [0xff, 0xfe, rest @ ..] => (rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => (rest, u16::from_be_bytes),
        _ => {
            let zeros =
                |first: usize| content.iter().skip(first).step_by(2).filter(|byte| **byte == 0).count();
            let (even, odd) = (zeros(0), zeros(1));
            let is_many = |zeros: usize| zeros > 0 && zeros * ZEROS_ONE_IN * 2 >= content.len();
            if is_many(odd) && even * ZEROS_ONE_IN <= odd {
                (content, u16::from_le_bytes)
            } else if is_many(even) && odd * ZEROS_ONE_IN <= even {
                (content, u16::from_be_bytes)
            } else {
                return None;
            }
        }
    };
    let units = content.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    Some(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;

    fn texts(content: &[u8]) -> Vec<String> {
        lines(content).into_iter().map(|line| line.text.into_owned()).collect()
    }

    fn encode(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn every_encoding_of_windows_editors_gives_the_same_lines() {
        let text = "A=ü\r\nB=2";
        let expected = ["A=ü\r", "B=2"];
        let marked = format!("\u{feff}{text}");
        for content in [
            text.as_bytes().to_vec(),
            marked.as_bytes().to_vec(),
            encode(text, u16::to_le_bytes),
            encode(text, u16::to_be_bytes),
            encode(&marked, u16::to_le_bytes),
            encode(&marked, u16::to_be_bytes),
        ] {
            assert_eq!(texts(&content), expected, "{content:?}");
        }
        assert_eq!(texts(b"A=1\rB=2"), ["A=1", "B=2"]);
    }

    #[test]
    fn a_line_of_another_encoding_is_read_and_marked() {
        let lines = lines(b"A=1 # T\xfcr\nB=2");
        assert_eq!((lines[0].text.as_ref(), lines[0].is_sure), ("A=1 # Tür", false));
        assert_eq!((lines[1].text.as_ref(), lines[1].is_sure), ("B=2", true));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(content in prop::collection::vec(any::<u8>(), 0..200)) {
            lines(&content);
        }

        #[test]
        fn ascii_is_never_taken_for_utf_16(text in "[ -~\n]{0,100}") {
            prop_assert_eq!(texts(text.as_bytes()).join("\n"), text);
        }
    }
}
