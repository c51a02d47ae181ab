//! Where the picture is in what a device sent: the body itself, or a part of a form. Pure.
//!
//! Labels are not believed. An ESP32 calls its raw JPEG `multipart/form-data` and names no boundary, curl calls one
//! `application/x-www-form-urlencoded`: what begins as a JPEG is one. A form is known by its boundary, which is read from its
//! first line when the label has none, and need not be closed, because small devices forget that.

use std::ops::Range;

/// The part of a form in which the receivers before this program took the picture.
const FIELD: &str = "file";

/// What every JPEG begins with.
const JPEG_START: [u8; 2] = [0xff, 0xd8];

/// Parts that are looked at. Devices send the picture and a few words beside it.
const PARTS_MAX: usize = 64;

/// Longest head of a part, bytes.
const HEAD_MAX: usize = 8 * 1024;

/// Longest boundary, bytes; RFC 2046 allows 70.
const BOUNDARY_MAX: usize = 200;

/// A picture in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PicturePlace {
    /// Where it lies.
    pub bytes: Range<usize>,
    /// What its sender calls it.
    pub own_name: Option<String>,
}

/// Why a body has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadForm {
    /// More than 64.
    #[error("the form has more than {PARTS_MAX} parts")]
    TooManyParts,
    /// Longer than 8 kB.
    #[error("the head of a part of the form is longer than {} kB or has no end", HEAD_MAX / 1024)]
    LongHead,
    /// None is named `file`, and none begins as a JPEG.
    #[error("the form has no part 'file' and no part that is a JPEG")]
    NoPart,
}

/// Looks for the picture; what is no form is taken as a picture, whatever it is. `disposition` is the header
/// Content-Disposition, which names a body that is no form.
pub fn find(
    content_type: Option<&str>,
    disposition: Option<&str>,
    body: &[u8],
) -> Result<PicturePlace, BadForm> {
    let own_name = || disposition.and_then(|text| parameter(text, "filename"));
    let whole = || PicturePlace { bytes: 0..body.len(), own_name: own_name() };
    if body.starts_with(&JPEG_START) {
        return Ok(whole());
    }
    let named = named_boundary(content_type);
    let read = named.as_deref().map_or(Ok(Vec::new()), |boundary| parts(boundary, body))?;
    let parts = match (first_line(body), &named) {
        // A sketch that writes its boundary by hand forgets the two dashes in one of both places.
        (Some(line), _) if read.is_empty() => parts(line, body)?,
        (None, None) => return Ok(whole()),
        _ => read,
    };
    let is_jpeg = |part: &&Part| body[part.bytes.clone()].starts_with(&JPEG_START);
    let is_field = |part: &&Part| part.name.as_deref() == Some(FIELD);
    let chosen = parts
        .iter()
        .find(|part| is_field(part) && is_jpeg(part))
        .or_else(|| parts.iter().find(is_jpeg))
        .or_else(|| parts.iter().find(is_field));
    chosen
        .map(|part| PicturePlace { bytes: part.bytes.clone(), own_name: part.own_name.clone() })
        .ok_or(BadForm::NoPart)
}

/// A part of a form.
struct Part {
    name: Option<String>,
    own_name: Option<String>,
    bytes: Range<usize>,
}

/// What separates the parts by the label, with its two dashes; `None`: it names nothing.
fn named_boundary(content_type: Option<&str>) -> Option<Vec<u8>> {
    let is_form = |text: &&str| {
        text.trim_start().get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"))
    };
    let named = content_type.filter(is_form).and_then(|text| parameter(text, "boundary"))?;
    (!named.is_empty() && named.len() <= BOUNDARY_MAX).then(|| [b"--", named.as_bytes()].concat())
}

/// What separates them by the first line that is not empty; `None`: it is no boundary.
fn first_line(body: &[u8]) -> Option<&[u8]> {
    let line =
        body.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    (line.starts_with(b"--") && (3..=BOUNDARY_MAX).contains(&line.len())).then_some(line)
}

fn parts(boundary: &[u8], body: &[u8]) -> Result<Vec<Part>, BadForm> {
    let mut parts = Vec::new();
    let mut line = delimiter(boundary, body, 0).map(|found| found.end);
    while let Some(after) = line {
        let rest = &body[after..];
        let Some(head) = rest.iter().position(|byte| *byte == b'\n').map(|end| after + end + 1) else {
            break;
        };
        if rest.starts_with(b"--") {
            break;
        }
        if parts.len() == PARTS_MAX {
            return Err(BadForm::TooManyParts);
        }
        let start = end_of_head(body, head)?;
        let next = delimiter(boundary, body, start);
        let end = next.as_ref().map_or(body.len(), |next| next.start).max(start);
        let disposition = disposition(&body[head..start]);
        let named = |name| disposition.as_deref().and_then(|text| parameter(text, name));
        parts.push(Part { name: named("name"), own_name: named("filename"), bytes: start..end });
        line = next.map(|next| next.end);
    }
    Ok(parts)
}

/// The next line that begins with the boundary, from `from` on, which begins a line: the break before it belongs to it.
fn delimiter(boundary: &[u8], body: &[u8], from: usize) -> Option<Range<usize>> {
    let mut at = from;
    loop {
        let line = &body[at..];
        if let Some(after) = line.strip_prefix(boundary)
            && (after.is_empty()
                || after.starts_with(b"--")
                || matches!(after[0], b'\r' | b'\n' | b' ' | b'\t'))
        {
            let end = at + boundary.len();
            let before = &body[from..at];
            let without = before.strip_suffix(b"\n").unwrap_or(before);
            let without = without.strip_suffix(b"\r").unwrap_or(without);
            return Some(from + without.len()..end);
        }
        at += line.iter().position(|byte| *byte == b'\n')? + 1;
    }
}

/// Where the content of a part begins whose head begins at `head`.
fn end_of_head(body: &[u8], head: usize) -> Result<usize, BadForm> {
    let mut at = head;
    loop {
        let line = &body[at..];
        let length = line.iter().position(|byte| *byte == b'\n').ok_or(BadForm::LongHead)? + 1;
        at += length;
        if at - head > HEAD_MAX {
            return Err(BadForm::LongHead);
        }
        if line[..length].trim_ascii().is_empty() {
            return Ok(at);
        }
    }
}

/// The value of Content-Disposition in the head of a part.
fn disposition(head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))
        .map(|(_, value)| value.to_owned())
}

/// A parameter of a header's value, such as `boundary=x` or `filename="a \"b\".jpg"`.
fn parameter(text: &str, wanted: &str) -> Option<String> {
    let mut rest = text.split_once(';')?.1;
    loop {
        let (name, value) = rest.split_once('=')?;
        let (value, after) = match value.trim_start().strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                let (value, after) = value.split_once(';').unwrap_or((value, ""));
                (value.trim().to_owned(), after)
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after.trim_start().trim_start_matches(';');
    }
}

/// What stands before the closing quote, and what follows it. A backslash is one unless it stands before a quote: browsers
/// send the paths of Windows so.
fn unquoted(quoted: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' if chars.next_if(|(_, next)| *next == '"').is_some() => value.push('"'),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JPEG: &[u8] = b"\xff\xd8\r\n--not it\r\n\xff\xd9";

    fn check(content_type: Option<&str>, body: &[u8], expected: Result<(&[u8], Option<&str>), BadForm>) {
        let found = find(content_type, None, body);
        let found = found.as_ref().map(|found| (&body[found.bytes.clone()], found.own_name.as_deref()));
        assert_eq!(found, expected.as_ref().map(|found| *found), "{content_type:?}");
    }

    /// S0.7, S3.5: raw bytes under any label.
    #[test]
    fn what_begins_as_a_jpeg_is_one_whatever_it_is_called() {
        for label in [
            None,
            Some("image/jpeg"),
            Some("application/octet-stream"),
            Some("application/x-www-form-urlencoded"),
            Some("multipart/form-data"),
            Some("multipart/form-data; boundary=x"),
            Some(""),
        ] {
            check(label, JPEG, Ok((JPEG, None)));
        }
        let named = find(Some("image/jpeg"), Some("attachment; filename=\"gate.jpg\""), JPEG).unwrap();
        assert_eq!(named.own_name.as_deref(), Some("gate.jpg"));
    }

    fn form(parts: &[(&str, &[u8])], end: &str) -> Vec<u8> {
        let mut body = Vec::new();
        for (disposition, content) in parts {
            body.extend_from_slice(format!("--b\r\nContent-Disposition: {disposition}\r\n\r\n").as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        [&body, end.as_bytes()].concat()
    }

    /// S3.2
    #[test]
    fn of_a_form_the_part_file_is_taken_else_the_first_jpeg() {
        let label = Some("multipart/form-data; charset=x; boundary=\"b\"");
        let file = ("form-data; name=\"file\"; filename=\"a \\\"b\\\".jpg\"", JPEG);
        let other = ("form-data; name=image; filename=c.jpg", JPEG);
        let words = ("form-data; name=\"camera\"", &b"door"[..]);
        let bad = ("form-data; name=\"file\"; filename=\"\"", &b""[..]);
        let short = [0xff, 0xd8, 0xff];
        let other_jpeg = ("form-data; name=\"image\"", &short[..]);
        check(label, &form(&[words, other_jpeg, file], "--b--\r\n"), Ok((JPEG, Some("a \"b\".jpg"))));
        check(label, &form(&[words, other, bad], "--b--\r\n"), Ok((JPEG, Some("c.jpg"))));
        check(label, &form(&[words, bad], "--b--"), Ok((b"", Some(""))));
        check(label, &form(&[words], "--b--\r\n"), Err(BadForm::NoPart));
        check(label, b"hello", Err(BadForm::NoPart));
        check(None, b"hello", Ok((b"hello", None)));
    }

    #[test]
    fn a_form_without_a_boundary_in_its_label_or_without_an_end_is_understood() {
        let file = ("form-data; name=\"file\"", JPEG);
        check(Some("multipart/form-data"), &form(&[file], "--b--"), Ok((JPEG, None)));
        check(None, &form(&[file], "--b--"), Ok((JPEG, None)));
        let unclosed = form(&[file], "");
        check(Some("multipart/form-data; boundary=b"), &unclosed, Ok((&[JPEG, b"\r\n"].concat(), None)));
    }

    #[test]
    fn a_boundary_that_is_another_one_in_the_label_is_read_from_the_form() {
        let file = ("form-data; name=\"file\"", JPEG);
        for label in ["multipart/form-data; boundary=--b", "multipart/form-data; boundary=other"] {
            check(Some(label), &form(&[file], "--b--"), Ok((JPEG, None)));
        }
        let begun = [&b"\r\n"[..], &form(&[file], "--b--")].concat();
        for label in [None, Some("multipart/form-data; boundary=\"b\""), Some("multipart/form-data")] {
            check(label, &begun, Ok((JPEG, None)));
        }
    }

    #[test]
    fn a_part_without_a_name_or_without_a_head_is_a_picture_if_it_begins_as_one() {
        let label = Some("multipart/form-data; boundary=b");
        check(label, &form(&[("form-data", JPEG)], "--b--"), Ok((JPEG, None)));
        let bare = [&b"--b\r\n\r\n"[..], JPEG, b"\r\n--b--"].concat();
        check(label, &bare, Ok((JPEG, None)));
    }

    #[test]
    fn forms_without_bounds_are_refused() {
        let one = ("form-data; name=x", &b""[..]);
        check(None, &form(&vec![one; PARTS_MAX + 1], "--b--"), Err(BadForm::TooManyParts));
        check(None, &form(&vec![one; 1_000_000], "--b--"), Err(BadForm::TooManyParts));
        let endless = [b"--b\r\n".to_vec(), b"X-A: b\r\n".repeat(2000)].concat();
        check(None, &endless, Err(BadForm::LongHead));
        check(None, b"--b\r\nno end", Err(BadForm::LongHead));
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_judged(
            label in prop::option::of(".{0,60}|multipart/form-data; boundary=[ab]{0,3}"),
            body in "(--b|--|\r\n|\n|: |name=file|\"|\\\\|content-disposition|.){0,60}",
        ) {
            if let Ok(found) = find(label.as_deref(), label.as_deref(), body.as_bytes()) {
                prop_assert!(found.bytes.end <= body.len() && found.bytes.start <= found.bytes.end);
            }
        }

        #[test]
        fn what_is_put_into_a_form_comes_out_of_it(content in prop::collection::vec(any::<u8>(), 0..300)) {
            let content = [&JPEG_START[..], &content, &[0xff, 0xd9]].concat();
            let body = form(&[("form-data; name=\"file\"", &content)], "--b--");
            let found = find(Some("multipart/form-data; boundary=b"), None, &body).unwrap();
            // Bytes that are the boundary itself end the part, as in every form.
            prop_assume!(!content.windows(4).any(|four| four == b"\n--b"));
            prop_assert_eq!(&body[found.bytes], &content);
        }
    }
}
