//! The answer of a camera over HTTP: by the HTTP library where that understands it, else as it comes.
//!
//! Some firmware writes what no HTTP library takes: a status line without a version (`ICY 200 OK`), two lengths, a length
//! that is too short for the picture behind it, sizes of chunks that do not fit. Then the connection is read to its end,
//! and the picture found by its own markers (`body.rs`). Not over TLS.

use std::io;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::{Position, Url};

/// Longest head of an answer.
const HEAD_MAX: usize = 64 << 10;

/// Read at once.
const PIECE: usize = 64 << 10;

/// What a camera answered, as far as it has come.
pub(super) struct CameraAnswer {
    /// 200 where it says nothing of the kind.
    pub(super) status: StatusCode,
    /// Those that could be read.
    pub(super) headers: HeaderMap,
    rest: Rest,
}

enum Rest {
    Library(Box<Response>),
    Plain(Plain),
}

/// An answer that is read as it comes.
struct Plain {
    stream: TcpStream,
    /// What came with the head.
    first: Vec<u8>,
    chunks: Option<Chunks>,
}

/// The connection ended, or what came could not be understood.
pub(super) struct BrokenAnswer;

impl From<Response> for CameraAnswer {
    fn from(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, rest: Rest::Library(Box::new(response)) }
    }
}

impl CameraAnswer {
    /// Asks for `url` and reads the answer up to its body, as it comes.
    pub(super) async fn as_it_comes(url: &Url, authorization: Option<&HeaderValue>) -> io::Result<Self> {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let mut stream = TcpStream::connect((host, url.port_or_known_default().unwrap_or(80))).await?;
        stream.write_all(&request(url, authorization)).await?;
        let mut head = Vec::new();
        let (status, headers, first) = loop {
            if stream.read_buf(&mut head).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the camera"));
            }
            if let Some(split) = split(&head) {
                break split;
            }
            if head.len() > HEAD_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the head of the answer has no end"));
            }
        };
        let is_chunked = headers
            .get("transfer-encoding")
            .is_some_and(|value| value.as_bytes().to_ascii_lowercase().ends_with(b"chunked"));
        let chunks = is_chunked.then(Chunks::default);
        Ok(Self { status, headers, rest: Rest::Plain(Plain { stream, first, chunks }) })
    }

    /// Whether it is read as it comes.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.rest, Rest::Plain(_))
    }

    /// How many bytes it says it has.
    pub(super) fn length(&self) -> Option<u64> {
        match &self.rest {
            Rest::Library(response) => response.content_length(),
            Rest::Plain(_) => self.headers.get("content-length")?.to_str().ok()?.trim().parse().ok(),
        }
    }

    /// The next bytes of its body, `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Vec<u8>>, BrokenAnswer> {
        match &mut self.rest {
            Rest::Library(response) => {
                response.chunk().await.map(|chunk| chunk.map(Vec::from)).map_err(|_| BrokenAnswer)
            }
            Rest::Plain(plain) => {
                if plain.chunks.as_ref().is_some_and(|chunks| chunks.is_done) {
                    return Ok(None);
                }
                let mut bytes = std::mem::take(&mut plain.first);
                if bytes.is_empty() {
                    bytes.reserve(PIECE);
                    // A camera that is done may close the connection as it likes.
                    if plain.stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                        return Ok(None);
                    }
                }
                Ok(Some(match &mut plain.chunks {
                    Some(chunks) => chunks.data(&bytes),
                    None => bytes,
                }))
            }
        }
    }
}

/// Asks in the words of HTTP/1.0, which knows no chunks and no connection that is kept.
fn request(url: &Url, authorization: Option<&HeaderValue>) -> Vec<u8> {
    let target = &url[Position::BeforePath..Position::AfterQuery];
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let agent = concat!("camera-capture/", env!("CARGO_PKG_VERSION"));
    let mut text = format!(
        "GET {target} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\nConnection: close\r\n"
    )
    .into_bytes();
    if let Some(value) = authorization {
        text.extend_from_slice(&[b"Authorization: ", value.as_bytes(), b"\r\n"].concat());
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// Status, headers, and what stands behind them; `None` while the head has no end. A JPEG without a head is a body.
fn split(bytes: &[u8]) -> Option<(StatusCode, HeaderMap, Vec<u8>)> {
    let is_word = bytes.iter().take(4).all(|byte| matches!(byte, b' '..=b'~'));
    if !is_word {
        return Some((StatusCode::OK, HeaderMap::new(), bytes.to_vec()));
    }
    let (mut at, mut lines) = (0, Vec::new());
    loop {
        let length = bytes[at..].iter().position(|byte| *byte == b'\n')?;
        let line = bytes[at..at + length].trim_ascii_end();
        at += length + 1;
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut lines = lines.into_iter();
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let number = first.split_ascii_whitespace().nth(1).and_then(|word| word.parse().ok());
    let status = number.and_then(|number| StatusCode::from_u16(number).ok()).unwrap_or(StatusCode::OK);
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    Some((status, headers, bytes[at..].to_vec()))
}

/// Takes the sizes out of a chunked body (RFC 9112 section 7.1). A size that does not fit is taken for what it is: the data
/// goes on.
#[derive(Default)]
struct Chunks {
    /// What has come and is not understood yet.
    raw: Vec<u8>,
    /// Bytes of the chunk that are still to come; `None` before its size.
    left: Option<usize>,
    has_begun: bool,
    /// The sizes are wrong.
    is_lost: bool,
    /// The last chunk has come.
    is_done: bool,
}

impl Chunks {
    /// The data in what has come.
    fn data(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut data = Vec::new();
        if self.is_done {
            return data;
        }
        self.raw.extend_from_slice(bytes);
        loop {
            if self.is_lost {
                data.append(&mut self.raw);
                return data;
            }
            if let Some(left) = self.left {
                let taken = left.min(self.raw.len());
                data.extend(self.raw.drain(..taken));
                if taken < left {
                    self.left = Some(left - taken);
                    return data;
                }
                self.left = None;
            }
            match size(&self.raw, self.has_begun) {
                Size::Unknown => return data,
                Size::Is { bytes, behind } => {
                    self.raw.drain(..behind);
                    (self.left, self.has_begun) = (Some(bytes), true);
                    if bytes == 0 {
                        self.is_done = true;
                        return data;
                    }
                }
                Size::None => self.is_lost = true,
            }
        }
    }
}

enum Size {
    /// Not all of it has come.
    Unknown,
    /// No size stands here.
    None,
    Is {
        bytes: usize,
        behind: usize,
    },
}

/// The size at the begin of `raw`, behind the line end of the chunk before.
fn size(raw: &[u8], has_begun: bool) -> Size {
    let rest = match (has_begun, raw) {
        (false, _) => raw,
        (true, [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..]) => rest,
        (true, [] | [b'\r']) => return Size::Unknown,
        (true, _) => return Size::None,
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    match rest.get(digits) {
        Some(b'\r' | b'\n' | b';' | b' ' | b'\t') if (1..=8).contains(&digits) => {}
        None if digits <= 8 => return Size::Unknown,
        Some(_) | None => return Size::None,
    }
    let Some(line) = rest.iter().position(|byte| *byte == b'\n') else {
        return if rest.len() > 64 { Size::None } else { Size::Unknown };
    };
    let text = std::str::from_utf8(&rest[..digits]).unwrap_or_default();
    match usize::from_str_radix(text, 16) {
        Ok(bytes) if line <= 64 => Size::Is { bytes, behind: raw.len() - rest.len() + line + 1 },
        _ => Size::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_head_is_read_in_whatever_words_it_is_written() {
        for (bytes, status, kind, rest) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\nxy"[..], 200, "image/jpeg", &b"xy"[..]),
            (b"ICY 200 OK\nContent-type:image/jpeg\n\nxy", 200, "image/jpeg", b"xy"),
            (b"HTTP/1.0 401\r\nbad header\r\n\r\n", 401, "", b""),
            (b"HTTP/1.1 \r\n\r\n", 200, "", b""),
            (b"\xff\xd8\xff\xe0", 200, "", b"\xff\xd8\xff\xe0"),
        ] {
            let (found, headers, behind) = split(bytes).unwrap();
            let named = headers.get("content-type").map_or("", |value| value.to_str().unwrap());
            assert_eq!((found.as_u16(), named, &behind[..]), (status, kind, rest));
        }
        assert!(split(b"HTTP/1.1 200 OK\r\nContent-Type: image").is_none());
    }

    #[test]
    fn what_is_asked_names_path_host_and_log_in() {
        let url = Url::parse("http://[::1]:81/snap?ch=1#x").unwrap();
        let text = String::from_utf8(request(&url, Some(&HeaderValue::from_static("Basic eDp5")))).unwrap();
        assert!(text.starts_with("GET /snap?ch=1 HTTP/1.0\r\nHost: [::1]:81\r\n"), "{text}");
        assert!(text.ends_with("Authorization: Basic eDp5\r\n\r\n"), "{text}");
    }

    #[test]
    fn sizes_of_chunks_are_taken_out_and_wrong_ones_passed_over() {
        for (raw, data) in [
            (&b"3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n"[..], &b"abcde"[..]),
            (b"3\nabc\n2\nde\n0\n\n", b"abcde"),
            (b"3\r\nabcde\r\n0\r\n\r\n", b"abcde\r\n0\r\n\r\n"),
            (b"9\r\nabcde\r\n0", b"abcde\r\n0"),
            (b"abcdefghijkl", b"abcdefghijkl"),
            (b"zz\r\nab", b"zz\r\nab"),
        ] {
            assert_eq!(Chunks::default().data(raw), data, "{}", String::from_utf8_lossy(raw));
        }
    }

    proptest! {
        #[test]
        fn pieces_of_chunks_make_no_difference(raw in prop::collection::vec(
            prop_oneof![Just(b'2'), Just(b'\r'), Just(b'\n'), Just(b'0'), any::<u8>()], 0..60), cut in 0_usize..60) {
            let (one, other) = raw.split_at(cut.min(raw.len()));
            let mut chunks = Chunks::default();
            let pieces = [chunks.data(one), chunks.data(other)].concat();
            prop_assert_eq!(pieces, Chunks::default().data(&raw));
            let _ = split(&raw);
        }
    }
}
