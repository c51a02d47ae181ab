//! Session descriptions (RFC 8866), read as cameras write them: whatever line can be understood is used, and no line
//! that cannot is a fault. Of what was understood the library gets a flawless description of one video. Pure.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::media::footprint;
use crate::media::gop::Codec;
use crate::media::h264::nal_units;

/// Most media. A camera has video in two sizes, sound both ways and metadata; a recorder's channel has no more.
pub const MEDIA_MAX: usize = 32;

/// Most lines. Honest ones have fewer than a hundred.
pub const LINES_MAX: usize = 2000;

/// Most parameter sets of a medium. H.265 with three layers has nine.
pub const SETS_MAX: usize = 64;

/// Ticks of RTP time in a second, of all video (RFC 3551 section 5).
const CLOCK_RATE: u32 = 90_000;

/// No clock of a camera is faster.
const CLOCK_RATE_MAX: u32 = 10_000_000;

/// Pixels of a video whose size is not said: more than a thumbnail's, fewer than a main stream's.
const UNSAID: u64 = 640 * 480;

/// Base64 with or without padding, and with bits left over: firmware ends it as it likes.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a description is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptionExcess {
    /// More than [`MEDIA_MAX`].
    Media(usize),
    /// More than [`LINES_MAX`].
    Lines,
}

/// Why a description is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoVideo {
    /// It describes nothing.
    Nothing,
    /// It describes something, but no video.
    Other,
    /// It describes video of this name, which is foreign, and none that can be decoded.
    Codec(String),
}

/// What a camera offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CameraDescription {
    /// In its order.
    pub media: Vec<Media>,
    /// Where all of them are controlled together, as said.
    pub control: Option<String>,
}

/// One stream of what a camera offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Such as `video`, in lower case.
    pub kind: String,
    /// What its packets call themselves.
    pub payload_type: u8,
    /// Such as `h264`, in lower case; empty if it is said nowhere.
    pub encoding: String,
    /// Ticks of RTP time in a second: as said, if a clock can have as many.
    pub clock_rate: u32,
    /// Where it is controlled, as said.
    pub control: Option<String>,
    /// Parameter sets: NAL units without start codes.
    pub sets: Vec<Vec<u8>>,
    /// Units carry numbers of their decoding order (RFC 7798 section 4.4, RFC 6184 section 6.4).
    pub max_don_diff: bool,
    /// Pixels, if an attribute says so.
    pub size: Option<(u32, u32)>,
}

/// A medium that is being read.
#[derive(Default)]
struct Lines {
    kind: String,
    formats: Vec<u8>,
    /// Payload type, name, clock rate.
    maps: Vec<(u8, String, Option<u32>)>,
    /// Payload type, and the text of parameters.
    parameters: Vec<(Option<u8>, String)>,
    control: Option<String>,
    size: Option<(u32, u32)>,
}

impl CameraDescription {
    /// Reads what can be read.
    pub fn read(text: &[u8]) -> Result<Self, DescriptionExcess> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let lines = || {
            text.split(|byte| matches!(byte, b'\r' | b'\n' | 0))
                .map(<[u8]>::trim_ascii)
                .filter(|line| !line.is_empty())
        };
        let count = lines().filter(|line| line.starts_with(b"m=")).count();
        if count > MEDIA_MAX {
            return Err(DescriptionExcess::Media(count));
        }
        if lines().count() > LINES_MAX {
            return Err(DescriptionExcess::Lines);
        }
        let (mut control, mut media): (_, Vec<Lines>) = (None, Vec::new());
        for line in lines() {
            // Names of sessions come in any encoding.
            let line = String::from_utf8_lossy(line);
            match (line.split_once('='), media.last_mut()) {
                (Some(("m", value)), _) => media.push(Lines::begin(value)),
                (Some(("a", value)), Some(medium)) => medium.take(value),
                (Some(("a", value)), None) => {
                    let (name, value) = value.split_once(':').unwrap_or((value, ""));
                    if name.trim().eq_ignore_ascii_case("control") && !value.trim().is_empty() {
                        control = Some(value.trim().to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(Self { media: media.into_iter().map(Lines::end).collect(), control })
    }

    /// The video to ask for: H.264 or H.265 before JPEG, then the larger one, never the thumbnail beside it.
    pub fn best_video(&self) -> Option<usize> {
        let rank = |media: &Media| Some((media.codec()? != Codec::Jpeg, media.pixels()));
        let ranks = self.media.iter().enumerate().filter(|(_, media)| media.is_picture());
        // Of equal ones the first.
        let best =
            ranks.filter_map(|(at, media)| Some((rank(media)?, at))).rev().max_by_key(|(rank, _)| *rank);
        best.map(|(_, at)| at)
    }

    /// Why there is no [best video](Self::best_video).
    pub fn no_video(&self) -> NoVideo {
        match self.media.iter().find(|media| media.is_picture()) {
            Some(media) => NoVideo::Codec(media.encoding.clone()),
            None if self.media.is_empty() => NoVideo::Nothing,
            None => NoVideo::Other,
        }
    }
}

impl Lines {
    /// Reads `video 0 RTP/AVP 96 97`.
    fn begin(value: &str) -> Self {
        let mut words = value.split_ascii_whitespace();
        let kind = words.next().unwrap_or_default().to_ascii_lowercase();
        let formats = words.skip(1).filter_map(|word| word.parse().ok()).filter(|number| *number < 128);
        Self { kind, formats: formats.collect(), ..Self::default() }
    }

    /// Takes in an attribute.
    fn take(&mut self, attribute: &str) {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "rtpmap" => {
                let (Some(number), map) = numbered(value) else { return };
                let mut parts = map.split('/').map(str::trim);
                let name = parts.next().unwrap_or_default().to_ascii_lowercase();
                self.maps.push((number, name, parts.next().and_then(|rate| rate.parse().ok())));
            }
            "fmtp" => {
                let (number, text) = numbered(value);
                self.parameters.push((number, text.to_owned()));
            }
            "control" if !value.is_empty() => self.control = Some(value.to_owned()),
            // 3GPP TS 26.234, and what Axis and Real say.
            "framesize" => self.size = size(numbered(value).1).or(self.size),
            "x-dimensions" => self.size = size(value).or(self.size),
            "cliprect" => {
                // Top and left, then bottom and right.
                let rest = value.splitn(3, ',').nth(2).and_then(size);
                self.size = rest.map(|(height, width)| (width, height)).or(self.size);
            }
            _ => {}
        }
    }

    /// What the attributes come to.
    fn end(self) -> Media {
        let named = |number: u8| {
            let map = self.maps.iter().find(|(of, name, _)| *of == number && !name.is_empty());
            map.map(|(_, name, rate)| (number, codec_name(name), *rate))
                .or_else(|| fixed(number).map(|name| (number, name.to_owned(), None)))
        };
        let declared: Vec<_> = self.formats.iter().filter_map(|number| named(*number)).collect();
        let is_known = |(_, name, _): &&(u8, String, _)| codec(name).is_some();
        let chosen = declared.iter().find(is_known).or(declared.first()).cloned();
        // What nothing names may be named under another number, or by its parameters.
        let chosen = chosen.or_else(|| {
            let other = self.maps.iter().map(|(of, name, rate)| (*of, codec_name(name), *rate));
            let others: Vec<_> = other.collect();
            let (number, name, rate) = others.iter().find(is_known).or(others.first()).cloned()?;
            Some((self.formats.first().copied().unwrap_or(number), name, rate))
        });
        let (payload_type, encoding, rate) = chosen.unwrap_or_else(|| {
            let is_said = |name| self.parameters.iter().any(|(_, text)| parameter(text, name).is_some());
            let name = match () {
                () if is_said("sprop-sps") || is_said("sprop-vps") => "h265",
                () if is_said("sprop-parameter-sets") || is_said("packetization-mode") => "h264",
                () => "",
            };
            (self.formats.first().copied().unwrap_or_default(), name.to_owned(), None)
        });
        let parameters: Vec<&str> = self
            .parameters
            .iter()
            .filter(|(number, _)| number.is_none_or(|number| number == payload_type))
            .map(|(_, text)| text.as_str())
            .collect();
        let find = |name: &str| parameters.iter().find_map(|text| parameter(text, name));
        let sets = ["sprop-vps", "sprop-sps", "sprop-pps", "sprop-parameter-sets"];
        let sets = sets.into_iter().filter_map(find).flat_map(|text| text.split(',').flat_map(units));
        let number = |name| find(name).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
        Media {
            max_don_diff: match encoding.as_str() {
                "h265" => number("sprop-max-don-diff") > 0,
                "h264" => number("packetization-mode") == 2,
                _ => false,
            },
            kind: self.kind,
            payload_type,
            clock_rate: rate.filter(|rate| (1..=CLOCK_RATE_MAX).contains(rate)).unwrap_or(CLOCK_RATE),
            control: self.control,
            sets: sets.take(SETS_MAX).collect(),
            size: self.size,
            encoding,
        }
    }
}

impl Media {
    /// How its pictures are coded, if that can be decoded.
    pub fn codec(&self) -> Option<Codec> {
        codec(&self.encoding)
    }

    /// Metadata and sound are none, whatever they are called.
    fn is_picture(&self) -> bool {
        matches!(self.kind.as_str(), "video" | "image")
    }

    /// Pixels of a picture, as far as can be known.
    fn pixels(&self) -> u64 {
        let said = self.size.map(|(width, height)| u64::from(width) * u64::from(height));
        let annex_b = || {
            let sets = self.sets.iter().flat_map(|set| [&[0, 0, 0, 1], set.as_slice()].concat());
            sets.collect::<Vec<u8>>()
        };
        match self.codec().map(|codec| footprint::of(codec, &annex_b())) {
            Some(Ok(Some(footprint))) => footprint.frame * 2 / 3,
            // Too large to be taken.
            Some(Err(footprint::TooLarge::Pixels { .. } | footprint::TooLarge::Decoder { .. })) => 0,
            _ => said.unwrap_or(UNSAID),
        }
    }

    /// A flawless description of this video alone. Where it is controlled the library need not know; nor what its sets
    /// are, since it reads no packets.
    pub fn strict(&self) -> String {
        let (number, name) = (self.payload_type, self.encoding.to_ascii_uppercase());
        format!(
            "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
             m=video 0 RTP/AVP {number}\r\na=rtpmap:{number} {name}/{CLOCK_RATE}\r\na=control:*\r\n"
        )
    }
}

/// The codec of an encoding, if it can be decoded.
fn codec(name: &str) -> Option<Codec> {
    match name {
        "h264" => Some(Codec::H264),
        "h265" => Some(Codec::H265),
        "jpeg" => Some(Codec::Jpeg),
        _ => None,
    }
}

/// The registered name of an encoding.
fn codec_name(name: &str) -> String {
    let known = match name {
        "hevc" | "h.265" => "h265",
        "avc" | "avc1" | "h.264" => "h264",
        "mjpeg" | "mjpg" | "jpg" => "jpeg",
        other => other,
    };
    known.to_owned()
}

/// The encoding of a payload type that needs no attribute (RFC 3551 section 6).
fn fixed(number: u8) -> Option<&'static str> {
    match number {
        26 => Some("jpeg"),
        31 => Some("h261"),
        32 => Some("mpv"),
        33 => Some("mp2t"),
        34 => Some("h263"),
        _ => None,
    }
}

/// The payload type that a text begins with, and the rest.
fn numbered(text: &str) -> (Option<u8>, &str) {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    (number.parse().ok().filter(|number| *number < 128), rest.trim_start())
}

/// The value of a parameter of `a=fmtp`, whatever stands between them: semicolons as should be, or spaces; in any case,
/// and in quotation marks.
fn parameter<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    // Of ASCII alone, so that places are the same in both.
    let lower = text.to_ascii_lowercase();
    let is_apart = |at: usize| lower[..at].ends_with([';', ' ', '\t', ',', '"']) || at == 0;
    let (at, _) = lower
        .match_indices(name)
        .find(|(at, _)| is_apart(*at) && lower[at + name.len()..].trim_start().starts_with('='))?;
    let value = text[at + name.len()..].trim_start().strip_prefix('=')?.trim_start();
    if let Some(quoted) = value.strip_prefix('"') {
        return Some(quoted.split('"').next().unwrap_or_default().trim());
    }
    // A list may have spaces behind its commas.
    let mut before = ' ';
    let end = value.find(|c: char| {
        let is_end = c == ';' || (c.is_whitespace() && before != ',');
        before = if c.is_whitespace() { before } else { c };
        is_end
    });
    Some(value[..end.unwrap_or(value.len())].trim())
}

/// The NAL units of one piece of Base64; some firmware leaves start codes in it (moonfire-nvr 213).
fn units(base64: &str) -> Vec<Vec<u8>> {
    let text: String = base64.chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
    let Ok(bytes) = BASE64.decode(text) else { return Vec::new() };
    if bytes.starts_with(&[0, 0, 1]) || bytes.starts_with(&[0, 0, 0, 1]) {
        return nal_units(&bytes).map(<[u8]>::to_vec).collect();
    }
    if bytes.is_empty() { Vec::new() } else { vec![bytes] }
}

/// The first two numbers of a text, as pixels.
fn size(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    let mut side = || numbers.next()?.parse().ok().filter(|side| (1..=footprint::SIDE_MAX).contains(side));
    Some((side()?, side()?))
}

#[cfg(test)]
#[path = "description_tests.rs"]
mod tests;
