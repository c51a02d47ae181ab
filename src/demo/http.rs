//! As much of HTTP/1.1 (RFC 9112) as the upload receiver needs to read a request and to answer it.
//!
//! Written by hand, because the receiver has to misbehave in ways that a proper server library prevents.

use std::fmt::Write as _;

/// Most bytes of a request line and its headers.
pub(super) const HEAD_MAX: usize = 16 * 1024;

/// Request line and headers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestHead {
    pub(super) method: String,
    /// Path and query, as sent.
    pub(super) target: String,
    /// In the order sent, names in small letters.
    headers: Vec<(String, String)>,
}

/// The bytes are no request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotHttp;

/// The length of a request's body, as its headers tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    Known(usize),
    /// No `Content-Length`, though there may be a body (chunked).
    Missing,
    Malformed,
}

impl RequestHead {
    /// Parses the head at the start of `bytes`; also says how long it is. `None` when its end has not come yet.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, NotHttp> {
        let searched = &bytes[..bytes.len().min(HEAD_MAX)];
        let Some(end) = searched.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if bytes.len() < HEAD_MAX { Ok(None) } else { Err(NotHttp) };
        };
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| NotHttp)?;
        let mut lines = text.split("\r\n");
        let mut words = lines.next().ok_or(NotHttp)?.split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1"), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(NotHttp);
        };
        let headers = lines
            .map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
                is_token.then(|| (name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or(NotHttp)?;
        Ok(Some((Self { method: method.to_owned(), target: target.to_owned(), headers }, end + 4)))
    }

    /// The first value of a header, named in small letters.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// How long the body is. Two lengths, or a length beside chunks, are how requests are smuggled: malformed.
    pub(super) fn body_length(&self) -> BodyLength {
        let mut lengths = self.headers.iter().filter(|(name, _)| name == "content-length");
        let is_chunked = self.header("transfer-encoding").is_some();
        match (lengths.next(), lengths.next(), is_chunked) {
            (Some((_, text)), None, false) if text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().map_or(BodyLength::Malformed, BodyLength::Known)
            }
            (None, _, true) => BodyLength::Missing,
            (None, _, false) if self.method == "POST" => BodyLength::Missing,
            (None, _, false) => BodyLength::Known(0),
            _ => BodyLength::Malformed,
        }
    }
}

/// An answer, with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DemoAnswer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl DemoAnswer {
    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: body.to_string() }
    }

    /// The project's one shape of an error.
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &serde_json::json!({ "error": { "code": code, "message": message } }))
    }

    /// As sent; `is_last` announces that the connection closes, `HEAD` gets no body.
    pub(super) fn to_bytes(&self, method: &str, is_last: bool) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        // Writing to a string cannot fail.
        let _ = write!(text, "Content-Length: {}\r\n", self.body.len());
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        text.push_str(if is_last { "Connection: close\r\n\r\n" } else { "\r\n" });
        if method != "HEAD" {
            text.push_str(&self.body);
        }
        text.into_bytes()
    }
}

/// A parameter of a structured header such as `form-data; name="file"`; values with escapes count as absent.
pub(super) fn parameter<'a>(value: &'a str, wanted: &str) -> Option<&'a str> {
    let mut rest = value.split_once(';')?.1;
    while let Some((name, after)) = rest.split_once('=') {
        let (found, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(';').map_or((after.trim(), ""), |(found, next)| (found.trim(), next)),
        };
        if name.trim_start_matches([' ', ';']).eq_ignore_ascii_case(wanted) {
            return (!found.contains('\\')).then_some(found);
        }
        rest = next;
    }
    None
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Scripted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn length(method: &str, headers: &str) -> BodyLength {
        let bytes = format!("{method} /upload HTTP/1.1\r\n{headers}\r\n");
        RequestHead::parse(bytes.as_bytes()).unwrap().unwrap().0.body_length()
    }

    #[test]
    fn a_head_is_whole_when_its_empty_line_has_come() {
        let bytes = b"POST /upload HTTP/1.1\r\nIdempotency-Key: 7\r\n\r\nbody";
        for end in 0..bytes.len() - 4 {
            assert_eq!(RequestHead::parse(&bytes[..end]), Ok(None), "{end}");
        }
        let (head, length) = RequestHead::parse(bytes).unwrap().unwrap();
        assert_eq!((head.header("idempotency-key"), &bytes[length..]), (Some("7"), &b"body"[..]));
    }

    #[test]
    fn the_length_of_a_body_is_never_guessed() {
        assert_eq!(length("POST", "Content-Length: 12\r\n"), BodyLength::Known(12));
        assert_eq!(length("POST", ""), BodyLength::Missing);
        assert_eq!(length("POST", "Transfer-Encoding: chunked\r\n"), BodyLength::Missing);
        assert_eq!(length("GET", ""), BodyLength::Known(0));
        for odd in [
            "Content-Length: +1\r\n",
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 99999999999999999999999\r\n",
        ] {
            assert_eq!(length("POST", odd), BodyLength::Malformed, "{odd}");
        }
    }

    #[test]
    fn parameters_are_found_quoted_or_not_and_behind_others() {
        let value = "form-data; name=\"a; b=c\"; filename=x.jpg";
        assert_eq!(parameter(value, "name"), Some("a; b=c"));
        assert_eq!(parameter(value, "filename"), Some("x.jpg"));
        assert_eq!(parameter(value, "b"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_a_panic(
            bytes: Vec<u8>, words in "[A-Z]{0,4} ?/?[a-z]{0,3} ?(HTTP/1.1)?\r?\n?[a-z:= \";]{0,40}(\r\n){0,3}\\PC{0,9}",
        ) {
            let _ = RequestHead::parse(&bytes);
            if let Ok(Some((head, length))) = RequestHead::parse(words.as_bytes()) {
                let _ = head.body_length();
                prop_assert!(length <= words.len());
            }
            let _ = parameter(&words, "name");
        }
    }
}
