//! What a bent camera is asked and answers, and whom it lets in.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::super::picture::sha256;

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    /// Video was promised before.
    pub(crate) is_playing: bool,
}

impl Request {
    /// Cuts the first request off what has come; packets of the client are passed over.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        loop {
            match bytes.first()? {
                b'\r' | b'\n' => drop(bytes.remove(0)),
                b'$' => {
                    let length = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
                    if bytes.len() < 4 + length {
                        return None;
                    }
                    bytes.drain(..4 + length);
                }
                _ => break,
            }
        }
        let end = memchr::memmem::find(bytes, b"\r\n\r\n")?;
        if bytes.starts_with(b"RTSP/") {
            // An answer to what this camera asked.
            bytes.drain(..end + 4);
            return Self::take(bytes);
        }
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.lines();
        let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let (method, url) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
        let request = Self { method, url, headers, is_playing: false };
        let body = request.header("content-length").parse().unwrap_or(0);
        if bytes.len() < end + 4 + body {
            return None;
        }
        bytes.drain(..end + 4 + body);
        Some(request)
    }

    /// A header's value; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(seen, _)| seen == name).map_or("", |(_, value)| value)
    }

    /// Whether this keeps a session alive that is playing.
    pub(crate) fn is_keepalive(&self) -> bool {
        matches!(self.method.as_str(), "OPTIONS" | "GET_PARAMETER" | "SET_PARAMETER") && self.is_playing
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// `200 OK`
    pub(crate) status: String,
    /// The CSeq header; without one there is none.
    pub(crate) number: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// Sent in this many bytes at a time.
    pub(crate) portion: usize,
    /// How long it takes.
    pub(crate) delay: Duration,
    /// There is none.
    pub(crate) is_withheld: bool,
    /// The connection ends after it.
    pub(crate) is_last: bool,
    /// What stands before it on the connection.
    pub(crate) before: Vec<u8>,
}

impl Answer {
    /// A good one.
    pub(crate) fn new(request: &Request) -> Self {
        Self {
            status: "200 OK".to_owned(),
            number: Some(request.header("cseq").to_owned()),
            headers: Vec::new(),
            body: String::new(),
            portion: usize::MAX,
            delay: Duration::ZERO,
            is_withheld: false,
            is_last: false,
            before: Vec::new(),
        }
    }

    /// A refusal, and nothing with it.
    pub(crate) fn refuse(&mut self, status: &str) {
        self.status = status.to_owned();
        self.headers.clear();
        self.body.clear();
    }

    /// Puts a header in the place of that name, or of none.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        match self.headers.iter_mut().find(|(seen, _)| seen.eq_ignore_ascii_case(name)) {
            Some((_, old)) => value.clone_into(old),
            None => self.headers.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Leaves a header out.
    pub(crate) fn without(&mut self, name: &str) {
        self.headers.retain(|(seen, _)| !seen.eq_ignore_ascii_case(name));
    }

    /// Changes a header's value.
    pub(crate) fn change(&mut self, name: &str, change: impl Fn(&str) -> String) {
        for (seen, value) in &mut self.headers {
            if seen.eq_ignore_ascii_case(name) {
                *value = change(value);
            }
        }
    }

    /// As it goes over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("RTSP/1.0 {}\r\n", self.status);
        if let Some(number) = &self.number {
            text += &format!("CSeq: {number}\r\n");
        }
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() && !self.headers.iter().any(|(name, _)| name == "Content-Length") {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        format!("{text}\r\n{}", self.body).into_bytes()
    }
}

/// Who is let in, and how that is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Login {
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
    /// Headers of a refusal; `NONCE` stands for the nonce.
    pub(crate) challenges: &'static [(&'static str, &'static str)],
    /// A nonce is good for so long.
    pub(crate) lives: Duration,
    /// A nonce is good for so many requests.
    pub(crate) uses: u64,
    /// Says nothing at a wrong log-in but closes the connection.
    pub(crate) hangs_up: bool,
}

/// Digest by MD5, without more.
pub(crate) const DIGEST: Login = Login {
    user: "admin",
    password: "abc123",
    challenges: &[("WWW-Authenticate", "Digest realm=\"IP Camera(A1)\", nonce=\"NONCE\"")],
    lives: Duration::from_secs(3600),
    uses: u64::MAX,
    hangs_up: false,
};

/// The door of a connection.
pub(crate) struct Door {
    login: Option<Login>,
    nonce: String,
    born: Instant,
    used: u64,
}

impl Door {
    pub(crate) fn new(login: Option<Login>) -> Self {
        Self { login, nonce: nonce(), born: Instant::now(), used: 0 }
    }

    /// Whether the request is let in; else what it is answered.
    pub(crate) fn admit(&mut self, request: &Request, answer: &mut Answer) -> bool {
        let Some(login) = self.login else { return true };
        let said = request.header("authorization");
        if (self.born.elapsed() > login.lives || self.used >= login.uses) && !said.is_empty() {
            *self = Self::new(self.login);
        }
        if is_right(&login, &self.nonce, request) {
            self.used += 1;
            return true;
        }
        answer.is_withheld = login.hangs_up && !said.is_empty();
        answer.is_last = answer.is_withheld;
        answer.refuse("401 Unauthorized");
        for (name, value) in login.challenges {
            answer.headers.push(((*name).to_owned(), value.replace("NONCE", &self.nonce)));
        }
        false
    }
}

fn nonce() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// The value of a parameter of an `Authorization` header.
fn parameter(said: &str, name: &str) -> Option<String> {
    let at = said.match_indices(name).map(|(at, _)| at).find(|&at| {
        said[..at].ends_with([' ', ',']) && said[at + name.len()..].trim_start().starts_with('=')
    })?;
    let value = said[at + name.len()..].trim_start()[1..].trim_start();
    let Some(quoted) = value.strip_prefix('"') else {
        return Some(value.split([',', ' ']).next().unwrap_or_default().to_owned());
    };
    let mut out = String::new();
    let mut characters = quoted.chars();
    while let Some(next) = characters.next() {
        match next {
            '\\' => out.extend(characters.next()),
            '"' => break,
            _ => out.push(next),
        }
    }
    Some(out)
}

/// RFC 7616, RFC 2617, RFC 2069; and RFC 7617.
fn is_right(login: &Login, nonce: &str, request: &Request) -> bool {
    let said = request.header("authorization");
    let (scheme, _) = said.split_once(' ').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("basic") {
        let is_offered = login.challenges.iter().any(|(_, value)| value.contains("Basic"));
        let wanted = STANDARD.encode(format!("{}:{}", login.user, login.password));
        return is_offered && said.ends_with(&wanted);
    }
    let value = |name: &str| parameter(said, name).unwrap_or_default();
    let hash = |text: String| match parameter(said, "algorithm") {
        Some(name) if name.eq_ignore_ascii_case("SHA-256") => sha256(text.as_bytes()),
        _ => Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let wanted_opaque = login.challenges.iter().any(|(_, value)| value.contains("opaque=\"5ccc\""));
    if value("nonce") != nonce
        || value("username") != login.user
        || value("uri") != request.url
        || (wanted_opaque && value("opaque") != "5ccc")
    {
        return false;
    }
    let whom = hash(format!("{}:{}:{}", login.user, value("realm"), login.password));
    let (method, uri, quality) = (&request.method, value("uri"), value("qop"));
    let what = match quality.as_str() {
        "auth-int" => hash(format!("{method}:{uri}:{}", hash(String::new()))),
        _ => hash(format!("{method}:{uri}")),
    };
    let between = match quality.as_str() {
        "" => nonce.to_owned(),
        _ => format!("{nonce}:{}:{}:{quality}", value("nc"), value("cnonce")),
    };
    value("response") == hash(format!("{whom}:{between}:{what}"))
}
