//! How much memory a stream's pictures take, known from what its parameter sets announce before anything is decoded.
//!
//! A kilobyte of a camera's can claim a picture of gigabytes. What is refused here meets no decoder and takes no memory.
//! The limits are those of the smallest machine: the unit allows 384 MiB, of which a decoder at its limit takes 160, the
//! frames kept of it 32, encoding one 45, the streams of all cameras 96 and the program 20.

use super::gop::Codec;
use super::h264::nal_units;
use super::jpeg;
use super::limits::within;
use super::sps::Sps;

pub use super::limits::{DECODER_BYTES_MAX, JPEG_PIXELS_MAX, PIXELS_MAX, SIDE_MAX, TooLarge, check_jpeg};

/// Most bytes of decoded pictures kept of one stream; ten of 1080p.
pub const KEPT_BYTES_MAX: usize = 32 << 20;

/// Pictures a decoder has beyond those its stream refers to: the one it works on, and the one it shows.
const BESIDE: u64 = 2;

/// Bytes a decoder keeps for each pixel beside the pictures: motion vectors, modes, coefficients.
const TABLES: u64 = 2;

/// What a sequence parameter set claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeClaim {
    /// Pixels that are coded, before cropping.
    pub size: (u32, u32),
    /// Half samples for each pixel, the chroma planes included: 3 for 4:2:0.
    pub halves: u8,
    /// Bits a sample.
    pub bits: u8,
    /// Pictures the decoder has to keep.
    pub kept: u32,
}

/// What a stream takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of a decoded picture of eight bits, 4:2:0.
    pub frame: u64,
    /// Bytes of its decoder.
    pub decoder: u64,
    /// Bytes of one more picture in it, with its tables.
    pub picture: u64,
}

impl SizeClaim {
    /// What it takes, if that is within the limits.
    pub fn footprint(&self) -> Result<Footprint, TooLarge> {
        let (width, height) = self.size;
        let pixels = u64::from(width) * u64::from(height);
        within((width, height), PIXELS_MAX)?;
        let bytes = pixels * u64::from(self.halves) / 2 * u64::from(self.bits.div_ceil(8).max(1));
        let decoder = bytes * (u64::from(self.kept) + BESIDE) + pixels * TABLES;
        if decoder > DECODER_BYTES_MAX {
            let (bits, kept) = (self.bits, self.kept);
            return Err(TooLarge::Decoder { width, height, bits, kept, bytes: decoder });
        }
        Ok(Footprint { frame: pixels * 3 / 2, decoder, picture: bytes + pixels * TABLES })
    }

    /// Of a NAL unit; `None` when it is no sequence parameter set.
    fn of(codec: Codec, nal: &[u8]) -> Option<Result<Self, TooLarge>> {
        let first = *nal.first()?;
        let sps = match codec {
            // Also of a subset, which begins alike (ITU-T H.264 section 7.3.2.1.3).
            Codec::H264 if matches!(first & 31, 7 | 15) => Sps::h264(nal),
            Codec::H265 if first >> 1 & 63 == 33 => Sps::of(codec, nal),
            Codec::H264 | Codec::H265 | Codec::Jpeg => return None,
        };
        Some(sps.map(|sps| Self::from(&sps)).ok_or(TooLarge::Unreadable))
    }
}

impl From<&Sps> for SizeClaim {
    fn from(sps: &Sps) -> Self {
        let bits = sps.depth.0.max(sps.depth.1);
        Self { size: sps.coded, halves: halves(sps.chroma), bits, kept: sps.kept }
    }
}

impl Footprint {
    /// Bytes of the decoder and the frames kept beside it.
    pub fn total(&self) -> u64 {
        let kept = u64::try_from(KEPT_BYTES_MAX).unwrap_or(u64::MAX);
        self.decoder + (self.frame * 2).min(kept.max(self.frame))
    }

    /// The same of a decoder with so many threads, each with a picture under way.
    pub fn with_threads(&self, threads: usize) -> u64 {
        let beside = u64::try_from(threads.saturating_sub(1)).unwrap_or(u64::MAX);
        self.total().saturating_add(self.picture.saturating_mul(beside))
    }
}

/// What the pictures of an access unit, and those after it, take; `None` when it announces nothing. The largest of
/// several parameter sets counts.
pub fn of(codec: Codec, unit: &[u8]) -> Result<Option<Footprint>, TooLarge> {
    if codec == Codec::Jpeg {
        // What is no JPEG is told by whoever looks at it.
        return jpeg::inspect(unit).map_or(Ok(None), |size| check_jpeg(size).map(|()| None));
    }
    let mut largest: Option<Footprint> = None;
    for claim in nal_units(unit).filter_map(|nal| SizeClaim::of(codec, nal)) {
        let one = claim?.footprint()?;
        if largest.is_none_or(|known| known.decoder < one.decoder) {
            largest = Some(one);
        }
    }
    Ok(largest)
}

/// Half samples a pixel, by `chroma_format_idc`.
fn halves(chroma_format: u8) -> u8 {
    match chroma_format {
        // Grey: decoders make room for chroma all the same.
        0 | 1 => 3,
        2 => 4,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(width: u32, height: u32, bits: u8, kept: u32) -> SizeClaim {
        SizeClaim { size: (width, height), halves: 3, bits, kept }
    }

    #[test]
    fn cameras_of_today_pass_and_bombs_do_not() {
        for (width, height, bits, kept) in [
            (1920, 1088, 8, 16),
            (3840, 2160, 8, 10),
            (3840, 2160, 10, 4),
            (5120, 2880, 8, 4),
            (4000, 3008, 8, 5),
            (4608, 3456, 8, 3),
            (4096, 4096, 8, 3),
        ] {
            let footprint = claim(width, height, bits, kept).footprint();
            assert!(footprint.is_ok(), "{width}×{height}: {footprint:?}");
        }
        for size in [(8192, 8192), (16_384, 16_384), (16_400, 16), (16, 65_536), (u32::MAX, u32::MAX)] {
            let error = claim(size.0, size.1, 8, 1).footprint().unwrap_err();
            assert!(matches!(error, TooLarge::Pixels { .. }), "{size:?}: {error}");
        }
        let error = claim(4096, 4096, 8, 16).footprint().unwrap_err();
        assert_eq!(
            error.to_string(),
            "pictures of 4096×4096 pixels at 8 bits of which 16 must be kept to decode the next one; that takes 464 MiB, \
             and there are 160"
        );
    }

    /// 1366×768, High, level 3.2, as x264 writes it; 640×360 and 1920×1080 as x265 does.
    #[test]
    fn what_encoders_write_is_read() {
        let of = |codec, hex: &str| {
            let nal: Vec<u8> =
                (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
            SizeClaim::of(codec, &nal).unwrap().unwrap()
        };
        let h264 = of(Codec::H264, "67640020acd94056061e6f011000000300100000030320f1831960");
        assert_eq!(h264, claim(1376, 768, 8, 4));
        let h265 = of(
            Codec::H265,
            "420101016000000300900000030000030078a003c08010e596566924caf0168080000003008000000c84",
        );
        assert_eq!(h265, claim(1920, 1080, 8, 5));
    }

    #[test]
    fn a_set_that_cannot_be_read_is_refused_and_a_unit_without_one_says_nothing() {
        assert_eq!(of(Codec::H264, &[0, 0, 1, 0x67, 100]), Err(TooLarge::Unreadable));
        assert_eq!(of(Codec::H265, &[0, 0, 1, 0x42, 1, 1]), Err(TooLarge::Unreadable));
        assert_eq!(of(Codec::H264, &[0, 0, 1, 0x65, 1, 2, 3]), Ok(None));
    }

    #[test]
    fn the_header_of_a_jpeg_is_enough() {
        let jpeg = |height: [u8; 2], width: [u8; 2]| {
            [&[0xff, 0xd8, 0xff, 0xc0, 0, 11, 8][..], &height, &width, &[1, 1, 0x11, 0, 0xff, 0xd9]].concat()
        };
        assert_eq!(of(Codec::Jpeg, &jpeg([8, 112], [15, 0])), Ok(None));
        assert_eq!(
            of(Codec::Jpeg, &jpeg([255, 255], [255, 255])),
            Err(TooLarge::Pixels { width: 65_535, height: 65_535, limit: JPEG_PIXELS_MAX })
        );
    }

    proptest! {
        #[test]
        fn nothing_that_passes_takes_more_than_the_limits(
            width: u32, height: u32, small in 1_u32..20_000, halves in 3_u8..=6, bits in 8_u8..=16, kept in 0_u32..=16,
        ) {
            for size in [(width, height), (small, height % 20_000), (small, small)] {
                if let Ok(taken) = (SizeClaim { size, halves, bits, kept }).footprint() {
                    prop_assert!(taken.decoder <= DECODER_BYTES_MAX && taken.frame <= PIXELS_MAX * 3 / 2);
                    prop_assert!(size.0 <= SIDE_MAX && size.1 <= SIDE_MAX);
                }
            }
        }

        #[test]
        fn reading_any_bytes_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..90)) {
            for (codec, head) in [(Codec::H264, &[0, 0, 1, 0x67][..]), (Codec::H265, &[0, 0, 1, 0x42, 1])] {
                let _ = of(codec, &[head, &bytes].concat());
            }
            bytes.splice(0..0, [0xff, 0xd8, 0xff, 0xc0]);
            let _ = of(Codec::Jpeg, &bytes);
        }
    }
}
