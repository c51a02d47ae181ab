//! How large a picture may be, whatever a camera announces.

/// Most pixels of a picture that is decoded: 4096 × 4096. Cameras of 4K, 5K, 12 and 16 megapixels have fewer.
pub const PIXELS_MAX: u64 = 1 << 24;

/// Most pixels of a JPEG, which is kept as it comes: those of a camera of 20 megapixels.
pub const JPEG_PIXELS_MAX: u64 = 20_000_000;

/// Longest side, in pixels.
pub const SIDE_MAX: u32 = 16_384;

/// Most bytes a decoder may need: 4096 × 4096 with three references, 4K with ten, at eight bits a sample.
pub const DECODER_BYTES_MAX: u64 = 160 << 20;

/// More than this machine can take; the text is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// The picture itself.
    #[error(
        "pictures of {width}×{height} pixels, and more than {} megapixels or {SIDE_MAX} on a side cannot be taken",
        .limit / 1_000_000
    )]
    Pixels {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Pixels at most.
        limit: u64,
    },
    /// The pictures its decoder must keep.
    #[error(
        "pictures of {width}×{height} pixels at {bits} bits of which {kept} must be kept to decode the next one; that \
         takes {} MiB, and there are {}", .bytes >> 20, DECODER_BYTES_MAX >> 20
    )]
    Decoder {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Bits a sample.
        bits: u8,
        /// Pictures.
        kept: u32,
        /// What they take.
        bytes: u64,
    },
    /// Parameter sets that say nothing.
    #[error("parameter sets that cannot be read, so that the size of its pictures is unknown")]
    Unreadable,
}

/// Whether a picture of this size may be taken.
pub(super) fn within((width, height): (u32, u32), limit: u64) -> Result<(), TooLarge> {
    if width > SIDE_MAX || height > SIDE_MAX || u64::from(width) * u64::from(height) > limit {
        return Err(TooLarge::Pixels { width, height, limit });
    }
    Ok(())
}

/// Whether a JPEG of this size may be kept.
pub fn check_jpeg(size: (u32, u32)) -> Result<(), TooLarge> {
    within(size, JPEG_PIXELS_MAX)
}
