//! A strict reader of the one request the receiver takes: `POST` of `multipart/form-data` with one part, a JPEG.
//!
//! Written for the tests from RFC 7578, RFC 2046 and RFC 9530, so that a deviation of the sender is seen here and not
//! at somebody's server. Shares no code with the program.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The head of a request: the words of its first line, and its headers by lower-case name.
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: BTreeMap<String, String>,
}

/// A picture that came in a well-formed request.
pub(crate) struct Upload<'a> {
    pub(crate) filename: String,
    pub(crate) idempotency_key: String,
    pub(crate) data: &'a [u8],
}

impl Head {
    /// Parses the bytes up to the empty line, without it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "the head is not UTF-8".to_owned())?;
        let mut lines = text.split("\r\n");
        let first: Vec<_> = lines.next().unwrap_or_default().split(' ').collect();
        let [method, path, "HTTP/1.1"] = first[..] else { return Err(format!("request line {first:?}")) };
        let mut headers = BTreeMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').ok_or_else(|| format!("header line {line:?}"))?;
            let twin = headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            if twin.is_some() {
                return Err(format!("{name} is there twice"));
            }
        }
        Ok(Self { method: method.to_owned(), path: path.to_owned(), headers })
    }

    /// A header that must be there.
    pub(crate) fn header(&self, name: &str) -> Result<&str, String> {
        self.headers.get(name).map(String::as_str).ok_or_else(|| format!("there is no {name}"))
    }

    /// The length the sender must announce.
    pub(crate) fn content_length(&self) -> Result<usize, String> {
        if self.headers.contains_key("transfer-encoding") {
            return Err("the body is chunked, not announced by its length".to_owned());
        }
        let text = self.header("content-length")?;
        text.parse().map_err(|_| format!("Content-Length {text:?}"))
    }

    /// The picture of a whole request.
    pub(crate) fn upload<'a>(&self, body: &'a [u8]) -> Result<Upload<'a>, String> {
        let content_type = self.header("content-type")?;
        let boundary = content_type
            .strip_prefix("multipart/form-data; boundary=")
            .filter(|boundary| !boundary.is_empty() && boundary.len() <= 70)
            .ok_or_else(|| format!("Content-Type {content_type:?}"))?;
        let (headers, data) = only_part(body, boundary)?;
        let (name, filename) = disposition(&headers)?;
        if name != "file" {
            return Err(format!("the part is named {name:?}"));
        }
        if headers.get("content-type").map(String::as_str) != Some("image/jpeg") {
            return Err(format!("the part is of type {:?}", headers.get("content-type")));
        }
        if !(data.starts_with(b"\xff\xd8") && data.ends_with(b"\xff\xd9")) {
            return Err("the part is not a complete JPEG".to_owned());
        }
        self.check_digest(body)?;
        let idempotency_key = self.header("idempotency-key")?.to_owned();
        Ok(Upload { filename, idempotency_key, data })
    }

    /// RFC 9530 section 2: the digest is of the content, which is the whole multipart body.
    fn check_digest(&self, body: &[u8]) -> Result<(), String> {
        let sent = self.header("content-digest")?;
        let expected = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)));
        if sent == expected { Ok(()) } else { Err(format!("Content-Digest {sent:?}, not {expected:?}")) }
    }
}

/// Headers and content of the only part.
fn only_part<'a>(body: &'a [u8], boundary: &str) -> Result<(BTreeMap<String, String>, &'a [u8]), String> {
    let opening = format!("--{boundary}\r\n");
    let closing = format!("\r\n--{boundary}--\r\n");
    let inside = body
        .strip_prefix(opening.as_bytes())
        .and_then(|rest| rest.strip_suffix(closing.as_bytes()))
        .ok_or("the body does not begin and end with its boundary")?;
    if find(inside, format!("\r\n--{boundary}").as_bytes()).is_some() {
        return Err("there is more than one part".to_owned());
    }
    let end = find(inside, b"\r\n\r\n").ok_or("the part has no headers")?;
    let head =
        std::str::from_utf8(&inside[..end]).map_err(|_| "the part's headers are not UTF-8".to_owned())?;
    let headers = head
        .split("\r\n")
        .map(|line| {
            let (name, value) = line.split_once(':').ok_or_else(|| format!("header line {line:?}"))?;
            Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect::<Result<_, String>>()?;
    Ok((headers, &inside[end + 4..]))
}

/// Name and file name of a part.
fn disposition(headers: &BTreeMap<String, String>) -> Result<(String, String), String> {
    let value = headers.get("content-disposition").ok_or("the part has no Content-Disposition")?;
    let malformed = || format!("Content-Disposition {value:?}");
    let parameters = value.strip_prefix("form-data; name=\"").ok_or_else(malformed)?;
    let (name, rest) = parameters.split_once("\"; filename=\"").ok_or_else(malformed)?;
    let filename = rest.strip_suffix('"').ok_or_else(malformed)?;
    Ok((name.to_owned(), filename.to_owned()))
}

/// Where `wanted` begins.
pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JPEG: &str = "\u{7f}picture";

    /// What the head says of a body, with every `from` in the head replaced.
    fn judged(body: &[u8], from: &str, to: &str) -> Result<String, String> {
        let digest = STANDARD.encode(Sha256::digest(body));
        let head = format!(
            "POST /upload HTTP/1.1\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n\
             idempotency-key: 7\r\ncontent-digest: sha-256=:{digest}:",
            body.len()
        );
        let head = Head::parse(head.replace(from, to).as_bytes())?;
        head.content_length()?;
        head.upload(body).map(|upload| upload.filename)
    }

    fn body(text: &str) -> Vec<u8> {
        let jpeg = [b"\xff\xd8", JPEG.as_bytes(), b"\xff\xd9"].concat();
        let (before, after) = text.split_once("JPEG").expect("there is a picture");
        [before.as_bytes(), &jpeg, after.as_bytes()].concat()
    }

    const PART: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"r1_1698765432.jpg\"\r\n\
                        Content-Type: image/jpeg\r\n\r\nJPEG\r\n--b--\r\n";

    #[test]
    fn a_request_as_the_contract_wants_it_is_taken() {
        assert_eq!(judged(&body(PART), "", "").as_deref(), Ok("r1_1698765432.jpg"));
    }

    #[test]
    fn every_deviation_of_a_body_is_a_violation() {
        for (from, to) in [
            ("--b--", "--b"),
            ("name=\"file\"", "name=\"picture\""),
            ("image/jpeg", "application/octet-stream"),
            ("JPEG", "JPEG?"),
            ("\r\n--b--", "\r\n--b\r\n\r\n--b--"),
            ("; filename=\"r1_1698765432.jpg\"", ""),
        ] {
            let changed = body(&PART.replacen(from, to, 1));
            assert!(judged(&changed, "", "").is_err(), "{from:?} instead of {to:?} was taken");
        }
    }

    #[test]
    fn every_missing_or_wrong_header_is_a_violation() {
        for (from, to) in [
            ("idempotency-key", "x-key"),
            ("content-digest", "x-digest"),
            ("sha-256=:", "sha-256=:A"),
            ("content-length", "x-length"),
            ("content-length", "transfer-encoding: chunked\r\ncontent-length"),
            ("content-length", "idempotency-key: 8\r\ncontent-length"),
            ("boundary=b", "boundary=c"),
            ("HTTP/1.1", "HTTP/1.0"),
        ] {
            assert!(judged(&body(PART), from, to).is_err(), "{to:?} instead of {from:?} was taken");
        }
    }
}
