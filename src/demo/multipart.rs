//! The one shape of `multipart/form-data` (RFC 7578) that the receiver accepts: a single part, a file.
//!
//! Strict on purpose: a sender that deviates is to be noticed here and not at somebody's server.

use crate::demo::http::parameter;

/// Longest boundary (RFC 2046, 5.1.1).
const BOUNDARY_MAX: usize = 70;

/// Most bytes of a part's headers.
const PART_HEAD_MAX: usize = 4096;

/// The part, still in its body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FilePart<'a> {
    pub(super) filename: &'a str,
    pub(super) content_type: &'a str,
    pub(super) data: &'a [u8],
}

/// The only part of a body, which must be named `file`; the error is a sentence for the sender.
pub(super) fn file_part<'a>(content_type: &str, body: &'a [u8]) -> Result<FilePart<'a>, &'static str> {
    let boundary =
        boundary(content_type).ok_or("the boundary of the multipart body is missing or malformed")?;
    let delimiter = format!("--{boundary}");
    let after_first = body
        .strip_prefix(delimiter.as_bytes())
        .and_then(|rest| rest.strip_prefix(b"\r\n"))
        .ok_or("the multipart body does not begin with its boundary")?;
    let end = format!("\r\n{delimiter}--");
    let part = after_first.strip_suffix(b"\r\n").unwrap_or(after_first);
    let part =
        part.strip_suffix(end.as_bytes()).ok_or("the multipart body does not end with its boundary")?;
    let inner = format!("\r\n{delimiter}");
    if find(part, inner.as_bytes()).is_some() {
        return Err("the multipart body has more than one part");
    }
    let head_end =
        find(&part[..part.len().min(PART_HEAD_MAX)], b"\r\n\r\n").ok_or("the part has no headers")?;
    let (head, data) = (&part[..head_end], &part[head_end + 4..]);
    let head = std::str::from_utf8(head).map_err(|_| "the headers of the part are not UTF-8")?;
    let header = |wanted: &str| {
        head.split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then_some(value.trim()))
    };
    let disposition = header("content-disposition").ok_or("the part has no Content-Disposition")?;
    if parameter(disposition, "name") != Some("file") {
        return Err("the part is not named file");
    }
    Ok(FilePart {
        filename: parameter(disposition, "filename").ok_or("the part has no file name")?,
        content_type: header("content-type").unwrap_or(""),
        data,
    })
}

fn boundary(content_type: &str) -> Option<&str> {
    let (media_type, _) = content_type.split_once(';')?;
    let boundary = parameter(content_type, "boundary")?;
    let is_sound =
        (1..=BOUNDARY_MAX).contains(&boundary.len()) && boundary.bytes().all(|b| b.is_ascii_graphic());
    (media_type.trim().eq_ignore_ascii_case("multipart/form-data") && is_sound).then_some(boundary)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TYPE: &str = "multipart/form-data; boundary=xyz";
    const HEAD: &str = "Content-Disposition: form-data; name=\"file\"; filename=\"r1_1698765432.jpg\"\r\nContent-Type: image/jpeg";

    fn body(head: &str, data: &[u8]) -> Vec<u8> {
        [b"--xyz\r\n", head.as_bytes(), b"\r\n\r\n", data, b"\r\n--xyz--\r\n"].concat()
    }

    #[test]
    fn a_second_part_a_missing_end_and_another_name_are_refused() {
        let two = body(HEAD, b"one\r\n--xyz\r\n\r\ntwo");
        assert_eq!(file_part(TYPE, &two), Err("the multipart body has more than one part"));
        let cut = &body(HEAD, b"one")[..90];
        assert_eq!(file_part(TYPE, cut), Err("the multipart body does not end with its boundary"));
        let other = body(&HEAD.replace("\"file\"", "\"image\""), b"one");
        assert_eq!(file_part(TYPE, &other), Err("the part is not named file"));
    }

    proptest! {
        #[test]
        fn the_data_come_out_as_they_went_in(data: Vec<u8>) {
            let body = body(HEAD, &data);
            let part = FilePart { filename: "r1_1698765432.jpg", content_type: "image/jpeg", data: &data };
            prop_assert_eq!(file_part(TYPE, &body), Ok(part));
        }

        #[test]
        fn any_bytes_are_parsed_without_a_panic(
            content_type in "(multipart/form-data)?;? ?(boundary=)?\"?\\PC{0,5}\"?", body: Vec<u8>,
            pieces in proptest::collection::vec(prop_oneof![
                Just("--xyz"), Just("\r\n"), Just("--"), Just("name=\"file"), Just("Content-Disposition:"), Just("é")
            ], 0..12),
        ) {
            let _ = file_part(&content_type, &body);
            let _ = file_part(TYPE, pieces.concat().as_bytes());
        }
    }
}
