//! The text half of RTSP (RFC 2326 sections 4 to 7): start lines and headers, read liberally, written strictly.

use std::fmt::Write;

/// A message without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageHead {
    /// Its first line.
    pub start: Start,
    /// Names as they came, and values without the space around them.
    pub headers: Vec<(String, String)>,
}

/// A first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Somebody asks.
    Request {
        /// Such as `DESCRIBE`.
        method: String,
        /// What for.
        url: String,
    },
    /// Somebody answers.
    Response {
        /// 100 to 999.
        status: u16,
        /// The words after it; some firmware has none.
        reason: String,
    },
}

/// A first line that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoStart {
    /// It is the first line of an answer of HTTP.
    Http,
    /// It is nothing known.
    Unknown,
}

impl Start {
    /// Reads a first line, without its end.
    pub fn parse(line: &str) -> Result<Self, NoStart> {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        if first.starts_with("HTTP/") {
            return Err(NoStart::Http);
        }
        let second = words.next().ok_or(NoStart::Unknown)?;
        if first.starts_with("RTSP/") {
            let is_status = second.len() == 3 && second.bytes().all(|byte| byte.is_ascii_digit());
            let status = second.parse().ok().filter(|status| is_status && *status >= 100);
            let reason = words.collect::<Vec<_>>().join(" ");
            return Ok(Self::Response { status: status.ok_or(NoStart::Unknown)?, reason });
        }
        let is_method = first.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        if !is_method || !words.next().is_some_and(|version| version.starts_with("RTSP/")) {
            return Err(NoStart::Unknown);
        }
        Ok(Self::Request { method: first.to_owned(), url: second.to_owned() })
    }
}

impl MessageHead {
    /// The value of the first header of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The values of all headers of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Takes in a line below the first one, without its end. What is no header is passed over.
    pub fn take_line(&mut self, line: &str) {
        let is_continued = line.starts_with([' ', '\t']);
        if let Some((_, value)) = self.headers.last_mut().filter(|_| is_continued) {
            value.push(' ');
            value.push_str(line.trim());
        } else if let Some((name, value)) = line.split_once(':') {
            self.headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }

    /// Bytes of text in it.
    pub fn size(&self) -> usize {
        let start = match &self.start {
            Start::Request { method, url } => method.len() + url.len(),
            Start::Response { reason, .. } => reason.len(),
        };
        start + self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }
}

/// A message as it goes out: printable ASCII alone, since anything else could be a line of somebody else or, to the
/// library, the end of the world. A header without a value is left out.
pub fn write<'a>(start: &str, headers: impl IntoIterator<Item = (&'a str, &'a str)>, body: &[u8]) -> Vec<u8> {
    let plain = |text: &str| -> String {
        let text: String = text.chars().filter(|c| matches!(c, ' '..='~')).collect();
        text.trim().to_owned()
    };
    let mut text = format!("{}\r\n", plain(start));
    for (name, value) in headers {
        let value = plain(value);
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{}: {value}\r\n", plain(name));
        }
    }
    if !body.is_empty() {
        let _ = write!(text, "Content-Length: {}\r\n", body.len());
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// Identifier and time-out in seconds of a `Session` header (RFC 2326 section 12.37). Other parameters are passed over.
pub fn session(value: &str) -> (String, Option<u32>) {
    let mut parts = value.split(';').map(str::trim);
    let id = parts.next().unwrap_or_default().to_owned();
    let timeout = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let digits = value.trim().trim_matches('"');
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        name.trim().eq_ignore_ascii_case("timeout").then(|| digits[..end].parse().ok()).flatten()
    });
    (id, timeout.filter(|seconds| *seconds > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines() {
        let answer = |status, reason: &str| Ok(Start::Response { status, reason: reason.to_owned() });
        assert_eq!(Start::parse("RTSP/1.0 200 OK"), answer(200, "OK"));
        assert_eq!(Start::parse("RTSP/1.0 401  Un authorized "), answer(401, "Un authorized"));
        // gortsplib 807: cameras that leave the words out.
        assert_eq!(Start::parse("RTSP/1.0 200"), answer(200, ""));
        let request = |method: &str, url: &str| Ok(Start::Request { method: method.into(), url: url.into() });
        assert_eq!(Start::parse("OPTIONS * RTSP/1.0"), request("OPTIONS", "*"));
        assert_eq!(Start::parse("HTTP/1.1 400 Bad Request"), Err(NoStart::Http));
        for line in [
            "",
            "RTSP/1.0",
            "RTSP/1.0 20",
            "RTSP/1.0 2000 OK",
            "RTSP/1.0 099 x",
            "hello there",
            "A b HTTP/1.1",
        ] {
            assert_eq!(Start::parse(line), Err(NoStart::Unknown), "{line:?}");
        }
    }

    #[test]
    fn what_goes_out_has_no_line_of_somebody_else() {
        let written = write(
            "RTSP/1.0 200 OK",
            [("CSeq", "1"), ("Session", "a\r\nX: y\u{1b}\u{202e} "), ("Server", "\t")],
            b"hello",
        );
        assert_eq!(
            written,
            b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nSession: aX: y\r\nContent-Length: 5\r\n\r\nhello"
        );
    }

    #[test]
    fn sessions() {
        assert_eq!(session("12345"), ("12345".to_owned(), None));
        assert_eq!(session("12345 ; timeout=60"), ("12345".to_owned(), Some(60)));
        assert_eq!(session("12345;x=y;timeout=0"), ("12345".to_owned(), None));
        // rtsp-types PR 14: servers send other fields.
        assert_eq!(session("12345;x-stream=7; Timeout = 60s;x"), ("12345".to_owned(), Some(60)));
        assert_eq!(session(" ;timeout=9999999999"), (String::new(), None));
    }
}
