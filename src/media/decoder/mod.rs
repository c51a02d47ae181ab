//! Decoders behind one narrow seam: access units in, pictures out in display order.
//!
//! The built-in ones are always there; libavcodec is used when the system has it. All of them decode conforming streams
//! to the same samples (H.264 and H.265 decoding is exact), which is how one is known to be right.

mod guarded;
mod openh264;
mod rust_h264;
mod rust_h265;
mod seam;

use std::borrow::Cow;

use super::footprint::PIXELS_MAX;
use super::frame::{Colours, Frame};
use super::gop::Codec;
use super::native::libav;
use super::sps::{self, SpsFacts};
use super::unit::{self, UnitKind};

pub use seam::{Chroma, DecodedPicture, Decoder, Plane};

/// How to get the decoder that takes most.
const INSTALL: &str = "install libavcodec on this machine (apt-get install libavcodec59, on Debian 13 libavcodec61) and set DECODER to auto";

/// Threads of one decoder at most. Each holds a picture, and waits for more of the one before the more there are.
const CREW_MAX: usize = 5;

/// A decoder of this program or of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DecoderKind {
    /// Cisco's OpenH264, built in: progressive H.264.
    OpenH264,
    /// The system's libavcodec, when it is installed: H.264 and H.265.
    Libavcodec,
    /// `rust_h264`, built in: H.264, also interlaced.
    RustH264,
    /// `rust_h265`, built in: H.265.
    RustH265,
}

/// Which decoders may be used (`DECODER`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DecoderPolicy {
    /// Whichever is fastest and right.
    #[default]
    Auto,
    /// OpenH264 where it can, else what is built in.
    OpenH264,
    /// libavcodec where it is installed, else what is built in.
    Libavcodec,
    /// `rust_h264` and `rust_h265`.
    Rust,
}

impl DecoderKind {
    /// As in the API and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenH264 => "openh264",
            Self::Libavcodec => "libavcodec",
            Self::RustH264 => "rust_h264",
            Self::RustH265 => "rust_h265",
        }
    }

    /// Whether it paints over what is missing or broken without a word.
    pub fn hides_damage(self) -> bool {
        matches!(self, Self::RustH264 | Self::RustH265)
    }

    /// The decoders for a stream when decoding begins with this unit, the preferred one first; empty for JPEG, and where
    /// [`why_none`] says why.
    pub fn candidates(codec: Codec, first: &[u8], policy: DecoderPolicy) -> Vec<Self> {
        let (facts, kind) = (sps::facts(codec, first), unit::kind(codec, first));
        let is_libav = policy == DecoderPolicy::Libavcodec && libav::is_available();
        let ranked: &[Self] = match (codec, policy) {
            (Codec::Jpeg, _) => &[],
            (_, DecoderPolicy::Libavcodec) if is_libav => &[Self::Libavcodec],
            (Codec::H264, DecoderPolicy::Auto) => &[Self::OpenH264, Self::Libavcodec, Self::RustH264],
            (Codec::H264, DecoderPolicy::Rust) => &[Self::RustH264],
            (Codec::H264, DecoderPolicy::OpenH264 | DecoderPolicy::Libavcodec) => {
                &[Self::OpenH264, Self::RustH264]
            }
            (Codec::H265, DecoderPolicy::Auto) => &[Self::Libavcodec, Self::RustH265],
            (Codec::H265, _) => &[Self::RustH265],
        };
        let takes = |one: &Self| one.takes(facts.as_ref(), kind);
        let able = ranked.iter().copied().filter(takes);
        // Who named one gets that one, and another only where it cannot.
        if policy == DecoderPolicy::Auto { able.collect() } else { able.take(1).collect() }
    }

    /// Whether it decodes streams of this kind when it begins with a unit of that kind.
    fn takes(self, facts: Option<&SpsFacts>, begin: UnitKind) -> bool {
        let (chroma, bits) = facts.map_or((1, 8), |facts| (facts.chroma, facts.bits));
        let is_interlaced = facts.is_some_and(|facts| facts.is_interlaced);
        let is_whole = begin.starts.is_none_or(|pictures| pictures == 0);
        match self {
            // It needs an IDR, and loses the lines that are cropped from monochrome pictures.
            Self::OpenH264 => {
                (chroma, bits) == (1, 8) && !is_interlaced && (begin.starts.is_none() || begin.is_idr)
            }
            Self::RustH264 => chroma < 3 && matches!(bits, 8 | 10) && is_whole,
            Self::RustH265 => matches!(chroma, 1 | 3) && is_whole,
            Self::Libavcodec => libav::is_available(),
        }
    }

    /// Threads with which it decodes many pictures soonest while so many cores are free, each with a picture of its own
    /// under way. One more than cores: some wait for what others have yet to decode.
    pub fn crew(self, cores: usize) -> usize {
        match self {
            Self::Libavcodec if cores > 1 => cores.min(CREW_MAX - 1) + 1,
            // OpenH264 takes one picture after the other; `rust_h264` gains an eighth by a second thread, and
            // `rust_h265` has its two within a picture.
            Self::Libavcodec | Self::OpenH264 | Self::RustH264 | Self::RustH265 => 1,
        }
    }

    /// Starts a decoder for a stream, with so many threads as [`Self::crew`] says or one; the error is the decoder's own
    /// words. Nothing that a stream claims makes it take more memory than [`super::footprint`] allows.
    pub fn start(self, codec: Codec, threads: usize) -> Result<Box<dyn Decoder>, String> {
        let inner: Box<dyn Decoder> = match self {
            Self::OpenH264 => Box::new(openh264::OpenH264::start()?),
            Self::Libavcodec => Box::new(libav::Libav::start(codec, threads)?),
            Self::RustH264 => Box::new(rust_h264::RustH264::start()),
            Self::RustH265 => Box::new(rust_h265::RustH265::start()),
        };
        Ok(Box::new(guarded::Guarded::new(codec, inner, threads)))
    }
}

/// Why no decoder takes a stream that begins with this unit, and what to do, for people.
pub fn why_none(codec: Codec, first: &[u8]) -> String {
    let is_installed = libav::is_available();
    let remedy = if is_installed { "set DECODER to auto" } else { INSTALL };
    let name = if codec == Codec::H265 { "H.265" } else { "H.264" };
    match sps::facts(codec, first).and_then(|facts| facts.unusual()) {
        Some(profile) => format!(
            "the camera sends {name} of the profile for {profile}, which no decoder here takes; set it to Main or High profile \
             (4:2:0, 8 bit), or {remedy}"
        ),
        None if unit::kind(codec, first).starts.is_some_and(|pictures| pictures > 0) => format!(
            "the camera sends no keyframes but refreshes its pictures a part at a time (intra refresh), which only libavcodec \
             takes; set its I-frame interval to its frame rate and switch off intra refresh, or {remedy}"
        ),
        None => format!(
            "no decoder here takes this {name} stream; set the camera to H.264 Main profile, or {remedy}"
        ),
    }
}

impl DecodedPicture<'_> {
    /// A copy in eight bits, 4:2:0; `None` when a plane is shorter than it must be, or the picture larger than it may be.
    pub fn to_frame(&self, colours: Colours) -> Option<Frame> {
        let (width, height) = (u64::try_from(self.size.0).ok()?, u64::try_from(self.size.1).ok()?);
        if width.checked_mul(height).is_none_or(|pixels| pixels > PIXELS_MAX) {
            return None;
        }
        let [y, u, v] = self.planes.map(Plane::shallow);
        let (width, height) = self.size;
        let quarter = (width.div_ceil(2), height.div_ceil(2));
        let (u, v) = match self.chroma {
            Chroma::Quarter => (u, v),
            Chroma::None => {
                let plain = (Cow::from(vec![128; quarter.0 * quarter.1]), quarter.0);
                (plain.clone(), plain)
            }
            Chroma::Half => (halved(&u, (quarter.0, height), 1)?, halved(&v, (quarter.0, height), 1)?),
            Chroma::Full => (halved(&u, self.size, 2)?, halved(&v, self.size, 2)?),
        };
        Frame::from_strided(self.size, [(&y.0, y.1), (&u.0, u.1), (&v.0, v.1)], colours)
    }
}

/// Samples of eight bits, and how many there are from one line to the next.
type Samples<'a> = (Cow<'a, [u8]>, usize);

/// A plane of half as many lines, and of columns divided by `columns`, 1 or 2: each sample the mean of those it stands
/// for, the last ones doubled where they have to be. `None` when the plane is shorter than its size says.
fn halved(
    (plane, stride): &Samples<'_>,
    (width, height): (usize, usize),
    columns: usize,
) -> Option<Samples<'static>> {
    let (out_width, out_height) = (width.div_ceil(columns), height.div_ceil(2));
    let mut out = Vec::with_capacity(out_width * out_height);
    for row in 0..out_height {
        let line = |row: usize| plane.get(row * stride..)?.get(..width);
        let (upper, lower) = (line(row * 2)?, line((row * 2 + 1).min(height - 1))?);
        out.extend((0..out_width).map(|column| {
            let (left, right) = (column * columns, (column * columns + columns - 1).min(width - 1));
            let sum =
                [upper[left], upper[right], lower[left], lower[right]].map(u16::from).iter().sum::<u16>();
            u8::try_from((sum + 2) / 4).unwrap_or(u8::MAX)
        }));
    }
    Some((Cow::from(out), out_width))
}

impl<'a> Plane<'a> {
    /// The highest eight bits of each sample.
    fn shallow(self) -> Samples<'a> {
        match self {
            Self::Eight(samples, stride) => (Cow::from(samples), stride),
            Self::DeepBytes(bytes, stride, bits) => {
                let shift = bits.saturating_sub(8);
                let (samples, _) = bytes.as_chunks::<2>();
                let eight =
                    |two: &[u8; 2]| u8::try_from(u16::from_le_bytes(*two) >> shift).unwrap_or(u8::MAX);
                (samples.iter().map(eight).collect::<Vec<u8>>().into(), stride)
            }
            Self::Deep(samples, stride, bits) => {
                let shift = bits.saturating_sub(8);
                let eight = |sample: &u16| u8::try_from(sample >> shift).unwrap_or(u8::MAX);
                (samples.iter().map(eight).collect::<Vec<u8>>().into(), stride)
            }
        }
    }
}
