//! Decoders behind one narrow seam: access units in, pictures out in display order.
//!
//! The built-in ones are always there; libavcodec is used when the system has it. All of them decode conforming streams
//! to the same samples (H.264 and H.265 decoding is exact), which is how one is known to be right.

mod guarded;
mod openh264;
mod rust_h264;
mod rust_h265;

use std::borrow::Cow;

use super::footprint::PIXELS_MAX;
use super::frame::{Colours, Frame};
use super::gop::{AccessUnit, Codec};
use super::native::libav;
use super::sps;

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

/// One decoder at work on one stream.
pub trait Decoder: Send {
    /// Takes one access unit and shows what comes out, in display order. The error is the decoder's own words; after
    /// one it must not be used again.
    fn feed(&mut self, unit: &AccessUnit, show: &mut dyn FnMut(Shown<'_>)) -> Result<(), String>;

    /// Shows everything that is held back.
    fn drain(&mut self, show: &mut dyn FnMut(Shown<'_>)) -> Result<(), String>;

    /// Whether the same group can be continued after [`Self::drain`], where pictures come in decoding order.
    fn goes_on_after_drain(&self) -> bool;
}

/// One line of samples of a plane after another.
#[derive(Clone, Copy, Debug)]
pub enum Plane<'a> {
    /// Eight bits a sample; samples from one line to the next.
    Eight(&'a [u8], usize),
    /// More bits a sample; samples from one line to the next; bits.
    Deep(&'a [u16], usize, u8),
}

/// How many samples of chroma there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chroma {
    /// None (4:0:0); the planes of chroma are empty.
    None,
    /// Half as many columns and lines as of luma, rounded up (4:2:0).
    Quarter,
    /// Half as many columns, rounded up, and as many lines (4:2:2).
    Half,
    /// As many as of luma (4:4:4).
    Full,
}

/// A picture that came out, in the decoder's memory.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Width and height in pixels.
    pub size: (usize, usize),
    /// Luma and the two chroma planes.
    pub planes: [Plane<'a>; 3],
    /// What its planes of chroma hold.
    pub chroma: Chroma,
    /// [`AccessUnit::rtp_ns`] of the unit, if the decoder carries it along.
    pub rtp_ns: Option<i64>,
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

    /// The decoders for a stream that begins with this unit, the preferred one first; empty for JPEG.
    pub fn candidates(codec: Codec, idr: &[u8], policy: DecoderPolicy) -> Vec<Self> {
        let libav = libav::is_available().then_some(Self::Libavcodec);
        let is_interlaced = sps::facts(codec, idr).is_some_and(|facts| facts.is_interlaced);
        let built_in: &[Self] = match codec {
            Codec::H264 if is_interlaced || policy == DecoderPolicy::Rust => &[Self::RustH264],
            Codec::H264 if policy == DecoderPolicy::Auto => &[Self::OpenH264],
            Codec::H264 => &[Self::OpenH264],
            Codec::H265 => &[Self::RustH265],
            Codec::Jpeg => return Vec::new(),
        };
        match (policy, libav) {
            (DecoderPolicy::Auto, libav) => {
                let last = (codec == Codec::H264 && !is_interlaced).then_some(Self::RustH264);
                let mut kinds: Vec<Self> = built_in.iter().copied().chain(libav).chain(last).collect();
                // False stands before true, and equals stay in their order.
                kinds.sort_by_key(|kind| kind.hides_damage());
                kinds
            }
            (DecoderPolicy::Libavcodec, Some(libav)) => vec![libav],
            _ => built_in.to_vec(),
        }
    }

    /// Starts a decoder for a stream; the error is the decoder's own words. Nothing that a stream claims makes it take
    /// more memory than [`super::footprint`] allows.
    pub fn start(self, codec: Codec) -> Result<Box<dyn Decoder>, String> {
        let inner: Box<dyn Decoder> = match self {
            Self::OpenH264 => Box::new(openh264::OpenH264::start()?),
            Self::Libavcodec => Box::new(libav::Libav::start(codec)?),
            Self::RustH264 => Box::new(rust_h264::RustH264::start()),
            Self::RustH265 => Box::new(rust_h265::RustH265::start()),
        };
        Ok(Box::new(guarded::Guarded::new(codec, inner)))
    }
}

impl Shown<'_> {
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
            Self::Deep(samples, stride, bits) => {
                let shift = bits.saturating_sub(8);
                let eight = |sample: &u16| u8::try_from(sample >> shift).unwrap_or(u8::MAX);
                (samples.iter().map(eight).collect::<Vec<u8>>().into(), stride)
            }
        }
    }
}
