//! The JPEG in what a camera sent, found by its own markers and not by what the answer says of its length. Pure.
//!
//! Firmware writes lengths that do not fit, leaves out the last chunk, puts a picture into a stream of one part, between
//! line ends or behind a comment. A whole JPEG is a picture, whatever stands around it. The end marker of the small picture
//! that cameras put into its head (EXIF) is not its end, and that small picture is never taken for the picture.

use std::ops::Range;
use std::time::Instant;

use crate::media::jpeg::{self, NotJpeg};

/// Start of a JPEG: its marker, and the first byte of the next one.
const START: [u8; 3] = [0xff, 0xd8, 0xff];

/// Collects what comes and looks for a JPEG in it, each byte once.
pub struct Body {
    bytes: Vec<u8>,
    /// What comes before has been looked at.
    at: usize,
    place: Place,
    /// Where the JPEG under way begins, and when that came.
    begun: (usize, Instant),
    /// Its last segment: where it begins, and its marker.
    segment: (usize, u8),
    /// Its width times its height, once its frame header has been read.
    pixels: u64,
    found: Option<Found>,
    /// How many were found.
    count: usize,
}

/// What stands at the place that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing of a JPEG.
    Outside,
    /// A marker.
    Marker,
    /// Coded data (ITU-T T.81 section B.1.1.5).
    Data,
}

#[derive(Clone, Debug)]
struct Found {
    range: Range<usize>,
    pixels: u64,
    began: Instant,
}

/// A JPEG out of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The file.
    pub jpeg: Vec<u8>,
    /// When its first byte came.
    pub began: Instant,
    /// How many bytes of the answer it and what stood before it took.
    pub end: usize,
}

impl Body {
    /// Nothing has come; `bytes` are expected, so that they are not copied while they grow.
    pub fn new(bytes: usize, now: Instant) -> Self {
        let (place, begun) = (Place::Outside, (0, now));
        Self {
            bytes: Vec::with_capacity(bytes),
            at: 0,
            place,
            begun,
            segment: (0, 0),
            pixels: 0,
            found: None,
            count: 0,
        }
    }

    /// What has come so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes in what came at `now`.
    pub fn push(&mut self, chunk: &[u8], now: Instant) {
        if self.bytes.is_empty() {
            self.begun.1 = now;
        }
        self.bytes.extend_from_slice(chunk);
        while self.step(now) {}
    }

    /// Whether a whole JPEG has come.
    pub fn has_whole(&self) -> bool {
        self.found.is_some()
    }

    /// The picture: of several the largest, of those the last. `is_complete` says that the answer ended as it should; then a
    /// picture that is damaged between its markers is one, too.
    pub fn end(mut self, is_complete: bool) -> Result<Whole, (NotJpeg, Vec<u8>)> {
        // A segment that is longer than all that came: the JPEG was cut off in it, and another may begin in there.
        while self.found.is_none()
            && self.place == Place::Marker
            && let Some([0xff, marker]) = self.bytes.get(self.at..self.at + 2)
            && !matches!(marker, 0xe0..=0xef)
        {
            (self.at, self.place) = (self.at + 2, Place::Outside);
            while self.step(self.begun.1) {}
        }
        let Self { mut bytes, place, found, count, .. } = self;
        let filled = bytes.iter().rposition(|byte| !matches!(byte, 0 | b'\r' | b'\n')).map_or(0, |i| i + 1);
        let is_ended = bytes[..filled].ends_with(&[0xff, 0xd9]);
        let (range, began) = match found {
            // A wrong bit can look like the end marker. Where nothing begins behind it and the answer ends like a JPEG, all of
            // it is the picture, and whoever looks at its data will say what is wrong with it.
            Some(found) if is_complete && count == 1 && place == Place::Outside && is_ended => {
                (found.range.start..filled, found.began)
            }
            Some(found) => (found.range, found.began),
            None if is_complete => {
                let start = find(&bytes, &START).unwrap_or(0);
                // What some firmware sends behind the end marker: zeros that fill its last block, a line end.
                (start..if is_ended { filled.max(start) } else { bytes.len() }, self.begun.1)
            }
            None => return Err((NotJpeg::NoEnd, bytes)),
        };
        if let Err(error) = jpeg::inspect(&bytes[range.clone()]) {
            return Err((error, bytes));
        }
        bytes.truncate(range.end);
        bytes.drain(..range.start);
        Ok(Whole { jpeg: bytes, began, end: range.end })
    }

    /// Looks at what comes next; `false` when more has to come first.
    fn step(&mut self, now: Instant) -> bool {
        match self.place {
            Place::Outside => self.seek(now),
            Place::Marker => self.marker(),
            Place::Data => self.data(now),
        }
    }

    fn seek(&mut self, now: Instant) -> bool {
        match find(&self.bytes[self.at..], &START) {
            Some(offset) => {
                self.begin(self.at + offset, now);
                true
            }
            None => {
                self.at = self.at.max(self.bytes.len().saturating_sub(START.len() - 1));
                false
            }
        }
    }

    fn begin(&mut self, start: usize, now: Instant) {
        (self.begun, self.at, self.place, self.pixels) = ((start, now), start + 2, Place::Marker, 0);
        self.segment = (start, 0);
    }

    /// A marker before the data, with what belongs to it (ITU-T T.81 section B.1.1.4).
    fn marker(&mut self) -> bool {
        let rest = &self.bytes[self.at..];
        let (marker, length) = match rest {
            // It was cut off between two segments, and the next one begins.
            [0xff, 0xd8, 0xff, ..] => {
                self.begin(self.at, self.begun.1);
                return true;
            }
            [0xff, 0xff, ..] => {
                self.at += 1;
                return true;
            }
            [0xff, marker, high, low, ..] => (*marker, usize::from(u16::from_be_bytes([*high, *low]))),
            [] | [0xff] | [0xff, _] | [0xff, _, _] => return false,
            _ => {
                // It is no JPEG after all, or was cut off in its last segment, and the next one begins in there. But in a
                // segment of the camera's own (APPn) a small picture may lie, which is not looked for.
                let (start, marker) = self.segment;
                if !matches!(marker, 0xe0..=0xef) {
                    self.at = self.at.min(start + 2);
                }
                self.place = Place::Outside;
                return true;
            }
        };
        let Some(segment) = rest.get(2..2 + length.max(2)) else { return false };
        // SOF0 to SOF15, without DHT, JPG and DAC that lie among them (ITU-T T.81 table B.1).
        if let (0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf, [_, _, _, h1, h0, w1, w0, ..]) =
            (marker, segment)
        {
            let side = |bytes| u64::from(u16::from_be_bytes(bytes));
            self.pixels = side([*h1, *h0]) * side([*w1, *w0]);
        }
        self.segment = (self.at, marker);
        self.at += 2 + length.max(2);
        if marker == 0xda {
            self.place = Place::Data;
        }
        true
    }

    fn data(&mut self, now: Instant) -> bool {
        let Some(offset) = self.bytes[self.at..].iter().position(|byte| *byte == 0xff) else {
            self.at = self.bytes.len();
            return false;
        };
        self.at += offset;
        let rest = &self.bytes[self.at..];
        let Some(marker) = rest.get(1).copied() else { return false };
        match marker {
            0xd9 => {
                self.at += 2;
                self.place = Place::Outside;
                if self.pixels > 0 {
                    self.count += 1;
                    let (start, began) = self.begun;
                    let (range, pixels) = (start..self.at, self.pixels);
                    if self.found.as_ref().is_none_or(|known| known.pixels <= pixels) {
                        self.found = Some(Found { range, pixels, began });
                    }
                }
            }
            // The one before was cut off, and the next one begins.
            0xd8 => match rest.get(2) {
                None => return false,
                Some(0xff) => self.begin(self.at, now),
                Some(_) => self.at += 2,
            },
            // Fill bytes may stand before a marker.
            0xff => self.at += 1,
            // Tables and the heads of further scans (progressive).
            0xc4 | 0xda | 0xdb | 0xdc | 0xdd | 0xe0..=0xef | 0xfe => {
                let Some(length) = rest.get(2..4) else { return false };
                let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                let is_head = marker == 0xda;
                let Some(after) = rest.get(2 + length) else { return false };
                // A wrong bit can look like a marker, too; what follows tells.
                let is_segment = length >= 2
                    && if is_head {
                        rest.get(4).is_some_and(|n| length == 6 + 2 * usize::from(*n))
                    } else {
                        *after == 0xff
                    };
                self.at += if is_segment { 2 + length } else { 2 };
            }
            _ => self.at += 2,
        }
        true
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// What bytes are that are no JPEG, by their first ones: the name of the format, for people.
pub fn format(bytes: &[u8]) -> Option<&'static str> {
    let rest = bytes.trim_ascii_start();
    let is_riff = rest.starts_with(b"RIFF");
    Some(match rest {
        [0x89, b'P', b'N', b'G', ..] => "PNG",
        [b'G', b'I', b'F', b'8', ..] => "GIF",
        [b'B', b'M', ..] if rest.len() >= 26 => "BMP",
        _ if is_riff && rest.get(8..12) == Some(b"WEBP") => "WebP",
        _ if is_riff => "AVI",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "TIFF",
        _ if rest.get(4..8) == Some(b"ftyp") => match rest.get(8..12) {
            Some(b"avif" | b"avis") => "AVIF",
            Some(b"heic" | b"heix" | b"mif1" | b"msf1") => "HEIC",
            _ => "MP4",
        },
        [0, 0, 0, 12, b'j', b'P', ..] => "JPEG 2000",
        [0x1f, 0x8b, ..] => "gzip",
        _ => return None,
    })
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
