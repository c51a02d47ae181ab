//! Sending a picture or clip: opened below the picture directory and nowhere else, whole or in part.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use actix_web::body::SizedStream;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;

use super::code::ErrorCode;
use super::error::ApiError;
use super::query::no_image;
use crate::model::Medium;
use crate::store;

/// Bytes read at a time; a picture is one to four of them, a clip some dozens.
const CHUNK: u64 = 256 * 1024;

/// A browser may keep them, for itself alone, and asks each time whether it may show them: after a log-out it is
/// refused, whoever sits before it. The answer is 304 without a body, since files never change.
const CACHE: &str = "private, no-cache";

/// A picture must not become a page, whatever bytes are in it.
const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// Nor must a clip. One that is opened by itself is played by a page that the browser makes around it, which has no right
/// to load it from within a sandbox.
const CSP_OF_CLIP: &str = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'";

/// What part of a file is wanted.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// First byte and number of bytes, within the file.
    Range(u64, u64),
    Unsatisfiable,
}

/// One byte range (RFC 9110 section 14.1.2). Several ranges, other units and nonsense mean the whole, as the RFC allows.
fn part(range: Option<&str>, length: u64) -> Part {
    let Some(spec) = range.and_then(|range| range.strip_prefix("bytes=")) else { return Part::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Part::Whole };
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (Some(first), _) if first >= length && (last.is_empty() || number(last).is_some()) => {
            Part::Unsatisfiable
        }
        (Some(first), None) if last.is_empty() => Part::Range(first, length - first),
        (Some(first), Some(last)) if first <= last => Part::Range(first, last.min(length - 1) - first + 1),
        (None, Some(0)) if first.is_empty() => Part::Unsatisfiable,
        (None, Some(suffix)) if first.is_empty() && length > 0 => {
            let count = suffix.min(length);
            Part::Range(length - count, count)
        }
        _ => Part::Whole,
    }
}

/// Whether the asker has this version already (RFC 9110 section 13.1.2).
pub(super) fn is_known(request: &HttpRequest, etag: &str) -> bool {
    let Some(known) = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    known.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The headers of every answer with a file.
pub(super) fn headed(status: StatusCode, etag: &str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, CACHE))
        .insert_header((header::CONTENT_SECURITY_POLICY, CSP));
    answer
}

/// Answers with a file of `length` bytes, or the part that was asked for.
pub(super) fn send(
    request: &HttpRequest,
    file: File,
    length: u64,
    etag: &str,
    medium: Medium,
) -> HttpResponse {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    // A range of another version is of no use (RFC 9110 section 13.1.5).
    let is_same_version = text(header::IF_RANGE).is_none_or(|tag| tag == etag);
    let part = part(text(header::RANGE).filter(|_| is_same_version), length);
    let (status, start, count) = match part {
        Part::Whole => (StatusCode::OK, 0, length),
        Part::Range(start, count) => (StatusCode::PARTIAL_CONTENT, start, count),
        Part::Unsatisfiable => {
            return headed(StatusCode::RANGE_NOT_SATISFIABLE, etag)
                .insert_header((header::CONTENT_RANGE, format!("bytes */{length}")))
                .finish();
        }
    };
    let mut answer = headed(status, etag);
    answer.insert_header((header::ACCEPT_RANGES, "bytes")).content_type(medium.media_type());
    if medium == Medium::Mp4 {
        answer.insert_header((header::CONTENT_SECURITY_POLICY, CSP_OF_CLIP));
    }
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {start}-{}/{length}", start + count - 1);
        answer.insert_header((header::CONTENT_RANGE, range));
    }
    answer.body(SizedStream::new(count, chunks(file, start, count)))
}

/// The bytes of a file from `start`, read on the blocking pool.
fn chunks(file: File, start: u64, count: u64) -> impl futures_util::Stream<Item = Result<Bytes, io::Error>> {
    let file = Arc::new(file);
    futures_util::stream::unfold((start, count), move |(at, left)| {
        let file = Arc::clone(&file);
        async move {
            let wanted = usize::try_from(left.min(CHUNK)).ok().filter(|wanted| *wanted > 0)?;
            let read = tokio::task::spawn_blocking(move || {
                let mut chunk = vec![0; wanted];
                file.read_exact_at(&mut chunk, at)?;
                Ok(Bytes::from(chunk))
            });
            let chunk = read.await.unwrap_or_else(|error| Err(io::Error::other(error)));
            let done = wanted as u64;
            // After a failure nothing follows; the connection is cut, so the asker sees that bytes are missing.
            let next = if chunk.is_ok() { (at + done, left - done) } else { (at, 0) };
            Some((chunk, next))
        }
    })
}

/// A picture that has a row but cannot be opened: gone behind our back, or there and not to be read.
pub(super) fn gone(error: &io::Error, path: &Path) -> ApiError {
    tracing::error!(%error, file = %path.display(), "a picture cannot be opened");
    if error.kind() == io::ErrorKind::NotFound {
        return no_image();
    }
    let why = if error.kind() == io::ErrorKind::PermissionDenied { store::denial(path) } else { None };
    let why = why.map_or_else(String::new, |why| format!("; {why}"));
    let message = format!("the picture cannot be read from the disk: {error}{why}");
    ApiError::new(ErrorCode::Unreadable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_rfc_9110() {
        for (range, expected) in [
            ("bytes=0-0", Part::Range(0, 1)),
            ("bytes=2-5", Part::Range(2, 4)),
            ("bytes=5-99", Part::Range(5, 5)),
            ("bytes=4-", Part::Range(4, 6)),
            ("bytes=-3", Part::Range(7, 3)),
            ("bytes=-99", Part::Range(0, 10)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=10-20", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=99999999999999999999-", Part::Unsatisfiable),
            ("bytes=5-2", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("bytes=x-", Part::Whole),
            ("bytes=-", Part::Whole),
            ("lines=1-2", Part::Whole),
        ] {
            assert_eq!(part(Some(range), 10), expected, "{range}");
        }
        assert_eq!(part(None, 10), Part::Whole);
        assert_eq!(part(Some("bytes=0-0"), 0), Part::Unsatisfiable);
        assert_eq!(part(Some("bytes=-1"), 0), Part::Whole);
    }
}
