//! A body as text: unpacked whatever it is called, in the character set that it has. Pure.

use std::io::Read as _;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use flate2::read::{MultiGzDecoder, ZlibDecoder};

/// The text of a body, at most `most` bytes of it unpacked. What was cut off is read as far as it came.
///
/// Servers compress unasked, and some do not say so. A character set is that of the byte order mark, then of the
/// `Content-Type`, then UTF-8, and where it is no UTF-8 that of old Windows machines (WHATWG Encoding).
pub(super) fn of(body: &[u8], content_type: &str, most: usize) -> String {
    let unpacked = unpacked(body, most);
    let bytes = unpacked.as_deref().unwrap_or(body);
    if let Some((encoding, length)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[length..]).0.into_owned();
    }
    let (text, had_errors) = named(content_type).unwrap_or(UTF_8).decode_without_bom_handling(bytes);
    // The end may have been cut in the middle of a character.
    let is_whole = || bytes.len() < 4 || std::str::from_utf8(&bytes[..bytes.len() - 3]).is_ok_and(|_| true);
    if had_errors && named(content_type).is_none_or(|encoding| encoding == UTF_8) && !is_whole() {
        return WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned();
    }
    text.into_owned()
}

/// What a person would read of a page: without tags, styles, scripts and comments. Other text stays as it is.
pub(super) fn without_markup(text: &str) -> String {
    if !text.contains('<') {
        return text.to_owned();
    }
    let lower = text.to_ascii_lowercase();
    let (mut out, mut at) = (String::new(), 0);
    while let Some(begin) = lower[at..].find('<').map(|found| at + found) {
        out.push_str(&text[at..begin]);
        let rest = &lower[begin..];
        let is_tag = rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
        if !is_tag {
            out.push('<');
            at = begin + 1;
            continue;
        }
        let end = [("<!--", "-->"), ("<style", "</style>"), ("<script", "</script>"), ("<", ">")]
            .into_iter()
            .find_map(|(opens, closes)| {
                rest.starts_with(opens).then(|| rest.find(closes).map(|end| end + closes.len()))
            })
            .flatten();
        let end = end.unwrap_or(rest.len());
        let tag = rest[1..end.max(1)].trim_start_matches('/');
        // Words in bold or a link go on; whatever else ends a word.
        if !["b>", "i>", "em>", "strong>", "a>", "a ", "span", "code"]
            .iter()
            .any(|inline| tag.starts_with(inline))
        {
            out.push(' ');
        }
        at = begin + end;
    }
    out.push_str(&text[at..]);
    let named = [
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    named.iter().fold(out, |text, (name, plain)| text.replace(name, plain)).trim().to_owned()
}

fn unpacked(body: &[u8], most: usize) -> Option<Vec<u8>> {
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    let mut out = Vec::new();
    // What had come before an error is kept.
    let _ = match body {
        [0x1f, 0x8b, ..] => MultiGzDecoder::new(body).take(most).read_to_end(&mut out),
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => ZlibDecoder::new(body).take(most).read_to_end(&mut out),
        _ => return None,
    };
    (!out.is_empty()).then_some(out)
}

/// The character set of a `Content-Type`.
fn named(content_type: &str) -> Option<&'static Encoding> {
    let lower = content_type.to_ascii_lowercase();
    let (_, label) = lower.split_once("charset=")?;
    let label = label.split([';', ',', ' ']).next().unwrap_or_default().trim_matches(['"', '\'']);
    Encoding::for_label(label.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use proptest::prelude::*;
    use std::io::Write as _;

    const MOST: usize = 1 << 16;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn a_body_is_read_whatever_it_is_packed_and_written_in() {
        let text = "não há espaço";
        let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
        let wide: Vec<u8> =
            [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(text.as_bytes()).unwrap();
        for (body, kind) in [
            (text.as_bytes().to_vec(), ""),
            ([b"\xef\xbb\xbf", text.as_bytes()].concat(), "application/json"),
            (latin.clone(), "text/html; charset=ISO-8859-1"),
            (latin.clone(), "text/html"),
            (latin.clone(), "text/html; charset=utf-8"),
            (wide, "text/plain"),
            (gzip(text.as_bytes()), "text/html"),
            (gzip(&latin), "text/html; charset=\"windows-1252\""),
            (zlib.finish().unwrap(), "application/json"),
        ] {
            assert_eq!(of(&body, kind, MOST), text, "{kind}");
        }
    }

    #[test]
    fn the_words_of_a_page_are_without_its_markup() {
        let page = "<!DOCTYPE html><!-- 403 --><head><style>p { x: <y> }</style><title>403 Forbidden</title></head>\
            <body><script>if (1 < 2) alert()</script><p>The <b>firewall</b> said&nbsp;no &amp; closed</p></body>";
        let words: Vec<_> = without_markup(page).split_whitespace().map(str::to_owned).collect();
        assert_eq!(words.join(" "), "403 Forbidden The firewall said no & closed");
        assert_eq!(without_markup("1 < 2 and <3"), "1 < 2 and <3");
        assert_eq!(without_markup("<p"), "");
    }

    #[test]
    fn what_was_cut_off_is_read_as_far_as_it_came_and_a_bomb_not_to_its_end() {
        assert_eq!(of(&"não".as_bytes()[..2], "", MOST), "n\u{fffd}");
        let long = "{\"success\":false} ".repeat(3000);
        let packed = gzip(long.as_bytes());
        assert!(of(&packed[..packed.len() / 2], "", MOST).starts_with("{\"success\":false}"));
        assert_eq!(of(&gzip(&vec![b'a'; 50_000_000]), "", MOST).len(), MOST);
    }

    proptest! {
        #[test]
        fn any_body_is_read_without_panic(body in prop::collection::vec(any::<u8>(), 0..300), kind in "\\PC{0,40}") {
            let packed = [&[0x1f, 0x8b, 8, 0][..], &body].concat();
            let _ = (of(&body, &kind, MOST), of(&packed, &kind, MOST), without_markup(&kind));
            let _ = without_markup(&format!("<{kind}<{kind}>"));
        }
    }
}
