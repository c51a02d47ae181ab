//! Does a picture show anything, and all of it? Cameras that lost their sensor, or started over, send grey; those with
//! little memory now and then send a JPEG with a hole in it.

use super::frame::Frame;
use super::scan::{self, BrokenScan};

/// Side of the blocks that are looked at, pixels.
const BLOCK: usize = 16;

/// Luma of the grey that decoders and cameras paint where they have nothing (the middle of the range, give or take).
const GREY: std::ops::RangeInclusive<u8> = 126..=130;

/// Chroma without colour.
const NO_COLOUR: std::ops::RangeInclusive<u8> = 127..=129;

/// Share of grey blocks that no real picture has: sensors are noisy, and walls are not exactly this grey.
const GREY_SHARE: f64 = 0.25;

/// A picture whose luma differs by no more than this shows nothing.
const FLAT_SPAN: u8 = 3;

/// What is wrong with a picture; the text is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A large part is the plain grey that stands for missing data.
    #[error("a large part of the picture is plain grey")]
    Grey,
    /// All of it has one brightness.
    #[error("the picture is of one brightness throughout")]
    Flat,
    /// A JPEG of the camera whose data breaks off or makes no sense.
    #[error("the camera's JPEG is damaged inside")]
    Torn,
}

impl Flaw {
    /// What to look after when it does not go away.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Grey | Self::Flat => "is the lens covered, or the camera broken?",
            Self::Torn => "check the camera's power supply and network, or lower its picture size",
        }
    }
}

/// Looks at a JPEG that is to be kept as the camera made it; one of a kind that is not known has no flaw. Blocking, some
/// milliseconds for a megapixel.
pub fn flaw_of_jpeg(jpeg: &[u8]) -> Option<Flaw> {
    match scan::walk(jpeg)? {
        Err(BrokenScan) => Some(Flaw::Torn),
        Ok(content) if content.span.is_some_and(|span| span <= FLAT_SPAN) => Some(Flaw::Flat),
        Ok(content) if f64::from(content.grey) >= f64::from(content.units) * GREY_SHARE => Some(Flaw::Grey),
        Ok(_) => None,
    }
}

/// Looks at a picture; costs a few thousand samples, whatever its size.
pub fn flaw(frame: &Frame) -> Option<Flaw> {
    let (columns, lines) = (frame.width / BLOCK, frame.height / BLOCK);
    let (mut grey, mut blocks) = (0_u32, 0_u32);
    let (mut darkest, mut brightest) = (u8::MAX, u8::MIN);
    for line in 0..lines {
        for column in 0..columns {
            let corner = (line * BLOCK, column * BLOCK);
            // The diagonals: an edge or some noise shows in one of them.
            let samples = (0..BLOCK).step_by(3).flat_map(|i| {
                let row = (corner.0 + i) * frame.width + corner.1;
                [frame.y[row + i], frame.y[row + BLOCK - 1 - i]]
            });
            let (low, high) = samples.fold((u8::MAX, u8::MIN), |(low, high), s| (low.min(s), high.max(s)));
            (darkest, brightest) = (darkest.min(low), brightest.max(high));
            let chroma = (corner.0 + BLOCK / 2) / 2 * frame.chroma_width() + (corner.1 + BLOCK / 2) / 2;
            let is_grey = low == high
                && GREY.contains(&low)
                && NO_COLOUR.contains(&frame.u[chroma])
                && NO_COLOUR.contains(&frame.v[chroma]);
            grey += u32::from(is_grey);
            blocks += 1;
        }
    }
    if blocks == 0 {
        return None;
    }
    if brightest.saturating_sub(darkest) <= FLAT_SPAN {
        return Some(Flaw::Flat);
    }
    (f64::from(grey) / f64::from(blocks) >= GREY_SHARE).then_some(Flaw::Grey)
}

#[cfg(test)]
mod tests {
    use super::super::frame::Colours;
    use super::super::jpeg;
    use super::*;
    use proptest::prelude::*;

    /// A picture of noise.
    fn noise(width: usize, height: usize) -> Frame {
        let chroma = vec![128; width.div_ceil(2) * height.div_ceil(2)];
        let y = (0..width * height).map(|i| u8::try_from(i * 7919 % 251).unwrap()).collect();
        Frame { width, height, y, u: chroma.clone(), v: chroma, colours: Colours::JPEG }
    }

    #[test]
    fn a_picture_that_ends_in_grey_is_told_from_a_whole_one() {
        let whole = noise(640, 360);
        assert_eq!(flaw(&whole), None);
        let mut half = whole.clone();
        half.y[640 * 200..].fill(128);
        assert_eq!(flaw(&half), Some(Flaw::Grey));
        let mut wall = whole;
        wall.y[640 * 200..].fill(119);
        assert_eq!(flaw(&wall), None, "a plain wall of another grey is no flaw");
    }

    #[test]
    fn a_dark_lens_is_flat_and_a_dark_night_is_not() {
        let mut frame = noise(640, 360);
        frame.y.fill(16);
        assert_eq!(flaw(&frame), Some(Flaw::Flat));
        for row in 180..192 {
            frame.y[640 * row + 320..][..12].fill(90);
        }
        assert_eq!(flaw(&frame), None, "there is a lamp");
    }

    #[test]
    fn a_jpeg_that_is_flat_grey_or_cut_off_is_told_from_a_good_one() {
        let of = |frame: &Frame| flaw_of_jpeg(&jpeg::encode_plain(frame).unwrap());
        let mut frame = noise(640, 360);
        assert_eq!(of(&frame), None);
        let whole = jpeg::encode_plain(&frame).unwrap();
        assert_eq!(flaw_of_jpeg(&whole[..whole.len() / 2]), Some(Flaw::Torn));
        frame.y[640 * 200..].fill(128);
        assert_eq!(of(&frame), Some(Flaw::Grey));
        frame.y.fill(60);
        assert_eq!(of(&frame), Some(Flaw::Flat));
    }

    proptest! {
        #[test]
        fn pictures_of_any_size_are_looked_at_without_a_panic(width in 1_usize..200, height in 1_usize..120) {
            let _ = flaw(&noise(width, height));
        }
    }
}
