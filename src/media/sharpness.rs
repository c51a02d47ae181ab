//! How good is a picture? Sharpness and exposure as numbers, to compare pictures of the same scene a moment apart.
//!
//! Sharpness is the variance of the Laplacian (Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR
//! 2000; among the best of those compared by Pertuz et al., Pattern Recognition 46, 2013): blur by movement or focus
//! takes away the fine detail that it measures. It is taken from a smaller copy, in which noise is averaged away.

use super::frame::Frame;

/// Width of the copy. A plate's letters are still some pixels high in it, and a score takes a few milliseconds.
const WIDTH: usize = 960;

/// Samples this near to black or white, on a scale of 255, carry no detail.
const CLIPPED: u8 = 4;

/// A night's sky and a headlamp may be clipped; beyond this share the exposure is wrong.
const CLIPPED_FINE: f64 = 0.25;

/// Between these means, on a scale of 255, the exposure is right; towards black and white it is less and less.
const MEAN_FINE: (f64, f64) = (40.0, 215.0);

/// What a picture is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Variance of the Laplacian of the luma, 0 for a plain picture.
    pub sharpness: f64,
    /// From 0, black or white, to 1.
    pub exposure: f64,
}

impl Score {
    /// Looks at a frame.
    pub fn of(frame: &Frame) -> Self {
        let small = frame.shrunk(WIDTH);
        let (black, white) = if frame.colours.is_full_range { (0, u8::MAX) } else { (16, 235) };
        Self { sharpness: laplacian_variance(&small), exposure: exposure(&small.y, black, white) }
    }

    /// One number to compare by.
    pub fn total(self) -> f64 {
        self.sharpness * self.exposure
    }
}

/// The variance of the four-neighbour Laplacian over the inside of the picture.
fn laplacian_variance(frame: &Frame) -> f64 {
    let (width, height) = (frame.width, frame.height);
    if width < 3 || height < 3 {
        return 0.0;
    }
    let (mut sum, mut squares) = (0_i64, 0_i64);
    for row in 1..height - 1 {
        let above = &frame.y[(row - 1) * width..][..width];
        let here = &frame.y[row * width..][..width];
        let below = &frame.y[(row + 1) * width..][..width];
        for column in 1..width - 1 {
            let sample = |line: &[u8], column: usize| i64::from(line[column]);
            let laplacian = sample(above, column)
                + sample(below, column)
                + sample(here, column - 1)
                + sample(here, column + 1)
                - 4 * sample(here, column);
            sum += laplacian;
            squares += laplacian * laplacian;
        }
    }
    let count = ((width - 2) * (height - 2)) as f64;
    let mean = sum as f64 / count;
    (squares as f64 / count - mean * mean).max(0.0)
}

/// How well luma between `black` and `white` is used.
fn exposure(luma: &[u8], black: u8, white: u8) -> f64 {
    let (dark, bright) = (black + CLIPPED, white - CLIPPED);
    let clipped = luma.iter().filter(|sample| **sample <= dark || **sample >= bright).count();
    let sum: u64 = luma.iter().map(|sample| u64::from(sample.saturating_sub(black))).sum();
    let count = luma.len().max(1) as f64;
    let mean = sum as f64 / count * 255.0 / f64::from(white - black);
    let clipped = clipped as f64 / count;
    let of_clipped = ((1.0 - clipped) / (1.0 - CLIPPED_FINE)).clamp(0.0, 1.0);
    let of_mean = (mean / MEAN_FINE.0).min((255.0 - mean) / (255.0 - MEAN_FINE.1)).clamp(0.0, 1.0);
    of_clipped * of_mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::Colours;
    use proptest::prelude::*;

    fn frame(width: usize, height: usize, y: Vec<u8>) -> Frame {
        let chroma = vec![128; width.div_ceil(2) * height.div_ceil(2)];
        Frame { width, height, y, u: chroma.clone(), v: chroma, colours: Colours::JPEG }
    }

    /// Each sample the mean of itself and its right neighbour: a picture of something that moved.
    fn blurred(of: &Frame) -> Frame {
        let lines = of.y.chunks(of.width).flat_map(|line| {
            (0..line.len()).map(|i| ((u16::from(line[i]) + u16::from(line[(i + 1) % line.len()])) / 2) as u8)
        });
        frame(of.width, of.height, lines.collect())
    }

    fn texture(seed: u64, low: u8, high: u8) -> Frame {
        let mut random = fastrand::Rng::with_seed(seed);
        frame(80, 60, (0..80 * 60).map(|_| random.u8(low..=high)).collect())
    }

    #[test]
    fn a_plain_picture_is_not_sharp_and_a_black_or_white_one_is_worth_nothing() {
        assert_eq!(Score::of(&frame(64, 48, vec![90; 64 * 48])), Score { sharpness: 0.0, exposure: 1.0 });
        for grey in [0, 255] {
            assert_eq!(Score::of(&frame(64, 48, vec![grey; 64 * 48])).exposure, 0.0, "{grey}");
        }
    }

    #[test]
    fn black_of_video_range_is_black() {
        let video = Frame { colours: Colours::VIDEO, ..frame(64, 48, vec![16; 64 * 48]) };
        assert_eq!(Score::of(&video).exposure, 0.0);
    }

    proptest! {
        #[test]
        fn movement_makes_a_picture_worth_less(seed: u64, low in 30_u8..90, span in 20_u8..120) {
            let sharp = texture(seed, low, low + span);
            let (sharp, moved) = (Score::of(&sharp), Score::of(&blurred(&sharp)));
            prop_assert!(moved.sharpness < sharp.sharpness);
            prop_assert!(moved.total() < sharp.total());
        }

        #[test]
        fn brightness_alone_does_not_change_the_sharpness(seed: u64, more in 0_u8..60) {
            let (dark, bright) = (texture(seed, 50, 120), texture(seed, 50 + more, 120 + more));
            prop_assert_eq!(Score::of(&dark).sharpness, Score::of(&bright).sharpness);
        }

        #[test]
        fn an_overexposed_picture_is_worth_less_than_the_same_well_exposed(seed: u64, burnt in 40_usize..100) {
            let good = texture(seed, 60, 180);
            let mut burnt_out = good.clone();
            let many = burnt_out.y.len() * burnt / 100;
            burnt_out.y[..many].fill(255);
            prop_assert!(Score::of(&burnt_out).exposure < Score::of(&good).exposure);
            prop_assert!(Score::of(&burnt_out).total() < Score::of(&good).total());
        }

        #[test]
        fn any_frame_has_a_finite_score(width in 1_usize..70, height in 1_usize..70, seed: u64) {
            let mut random = fastrand::Rng::with_seed(seed);
            let score = Score::of(&frame(width, height, (0..width * height).map(|_| random.u8(..)).collect()));
            prop_assert!(score.total().is_finite() && score.total() >= 0.0 && score.exposure <= 1.0);
        }
    }
}
