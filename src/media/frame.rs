//! A decoded picture: three planes of eight-bit samples, 4:2:0.

/// Luma and two chroma planes without padding, chroma at half the size (rounded up).
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// Pixels, at least 1.
    pub width: usize,
    /// Pixels, at least 1.
    pub height: usize,
    /// `width × height` samples.
    pub y: Vec<u8>,
    /// `chroma_width × chroma_height` samples.
    pub u: Vec<u8>,
    /// `chroma_width × chroma_height` samples.
    pub v: Vec<u8>,
    /// How they become colours.
    pub colours: Colours,
}

/// How samples become colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colours {
    /// Which mixture of red, green and blue luma and chroma are.
    pub matrix: Matrix,
    /// Whether samples use 0–255; else luma uses 16–235 and chroma 16–240 (ITU-T H.264 table E-3, video range).
    pub is_full_range: bool,
}

/// `matrix_coefficients` (ITU-T H.264 table E-5, H.265 table E.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// ITU-R BT.601: standard definition, and every JPEG (JFIF 1.02).
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
    /// ITU-R BT.2020, non-constant luminance: ultra high definition.
    Bt2020,
}

impl Colours {
    /// Those of a JPEG.
    pub const JPEG: Self = Self { matrix: Matrix::Bt601, is_full_range: true };
    /// Those of a stream of standard definition that says nothing.
    pub const VIDEO: Self = Self { matrix: Matrix::Bt601, is_full_range: false };
}

impl Frame {
    /// Bytes of its samples.
    pub fn bytes(&self) -> usize {
        self.y.len() + self.u.len() + self.v.len()
    }

    /// Width of the chroma planes.
    pub fn chroma_width(&self) -> usize {
        self.width.div_ceil(2)
    }

    /// Height of the chroma planes.
    pub fn chroma_height(&self) -> usize {
        self.height.div_ceil(2)
    }

    /// Copies planes that have padding at the end of each line; `None` when a plane is shorter than it must be.
    pub fn from_strided(
        (width, height): (usize, usize),
        planes: [(&[u8], usize); 3],
        colours: Colours,
    ) -> Option<Self> {
        let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
        let [y, u, v] = planes;
        Some(Self {
            width,
            height,
            y: pack(y, width, height)?,
            u: pack(u, chroma_width, chroma_height)?,
            v: pack(v, chroma_width, chroma_height)?,
            colours,
        })
    }

    /// A smaller copy, at most `max_width` wide, each sample the mean of the block it stands for.
    pub fn shrunk(&self, max_width: usize) -> Self {
        let factor = self.width.div_ceil(max_width.max(1)).max(1);
        let (width, height) = ((self.width / factor).max(1), (self.height / factor).max(1));
        let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
        let chroma = |plane: &[u8]| {
            shrink(plane, (self.chroma_width(), self.chroma_height()), (chroma_width, chroma_height), factor)
        };
        Self {
            width,
            height,
            y: shrink(&self.y, (self.width, self.height), (width, height), factor),
            u: chroma(&self.u),
            v: chroma(&self.v),
            colours: self.colours,
        }
    }
}

/// The same samples in the colours of a JPEG, which knows one matrix and one range (JFIF 1.02), of planes with lines of so
/// many pixels.
///
/// White is white in every matrix, so luma keeps its share and moves with the chroma of its block.
pub(super) fn in_colours_of_jpeg(width: usize, [luma, blue, red]: [&[u8]; 3], from: Colours) -> [Vec<u8>; 3] {
    let steps = Steps::of(from);
    let columns = width.div_ceil(2);
    let mut y = vec![0; luma.len()];
    let (mut u, mut v) = (vec![0; blue.len()], vec![0; red.len()]);
    // Of one line of chroma, for each column of luma.
    let mut moves = vec![[0; 2]; columns];
    let chroma = blue.chunks_exact(columns).zip(red.chunks_exact(columns));
    let new_chroma = u.chunks_exact_mut(columns).zip(v.chunks_exact_mut(columns));
    let pairs = luma.chunks(width * 2).zip(y.chunks_mut(width * 2));
    for (((blue, red), (new_blue, new_red)), (luma, new_luma)) in chroma.zip(new_chroma).zip(pairs) {
        for ((blue, red), both) in blue.iter().zip(red).zip(&mut moves) {
            let moved = steps.luma.of(*blue, *red) >> (MOVE_BITS - BITS);
            *both = [moved.wrapping_add(steps.black); 2];
        }
        for ((blue, red), new) in blue.iter().zip(red).zip(new_blue) {
            *new = sample(steps.blue.of(*blue, *red));
        }
        for ((blue, red), new) in blue.iter().zip(red).zip(new_red) {
            *new = sample(steps.red.of(*blue, *red));
        }
        for (luma, new_luma) in luma.chunks_exact(width).zip(new_luma.chunks_exact_mut(width)) {
            for ((luma, new), moved) in luma.iter().zip(new_luma).zip(moves.as_flattened()) {
                *new = sample(centred(*luma).wrapping_mul(steps.scale).wrapping_add(*moved));
            }
        }
    }
    [y, u, v]
}

/// Bits behind the point of a sample, counted from the middle of its range: sixteen bits are enough for what is added up, so
/// nothing wraps. Said to the compiler by the wrapping operations, it takes eight samples at a time.
const BITS: u32 = 7;

/// The same of what luma moves by, which is less than a quarter of chroma.
const MOVE_BITS: u32 = 9;

/// What becomes of samples, as fixed-point numbers.
struct Steps {
    /// By which luma is multiplied.
    scale: i16,
    /// What is added to all of it.
    black: i16,
    luma: OfChroma,
    blue: OfChroma,
    red: OfChroma,
}

/// What is added for each step of blue and of red difference.
struct OfChroma(i16, i16);

impl OfChroma {
    fn of(&self, blue: u8, red: u8) -> i16 {
        self.0.wrapping_mul(centred(blue)).wrapping_add(self.1.wrapping_mul(centred(red)))
    }
}

impl Steps {
    /// From these colours to those of a JPEG (ITU-T H.264 equations E-20 to E-31, both ways in one).
    fn of(from: Colours) -> Self {
        let (kr, kb) = from.matrix.shares();
        let (to_kr, to_kb) = Matrix::Bt601.shares();
        let (kg, to_kg) = (1.0 - kr - kb, 1.0 - to_kr - to_kb);
        let (luma_scale, chroma_scale, black) =
            if from.is_full_range { (1.0, 1.0, 0.0) } else { (255.0 / 219.0, 255.0 / 224.0, 16.0) };
        // Red and blue above luma, for one step of their difference.
        let (red, blue) = (2.0 * (1.0 - kr), 2.0 * (1.0 - kb));
        let luma = (blue * (to_kb - to_kg * kb / kg), red * (to_kr - to_kg * kr / kg));
        let blue_share = 2.0 * (1.0 - to_kb);
        let red_share = 2.0 * (1.0 - to_kr);
        #[allow(clippy::cast_possible_truncation, reason = "none is above 200")]
        let fixed = |value: f64, bits: u32| (value * f64::from(1 << bits)).round() as i16;
        let of_chroma = |(blue, red): (f64, f64), bits| {
            OfChroma(fixed(blue * chroma_scale, bits), fixed(red * chroma_scale, bits))
        };
        Self {
            scale: fixed(luma_scale, BITS),
            black: fixed((128.0 - black) * luma_scale - 128.0, BITS),
            luma: of_chroma(luma, MOVE_BITS),
            blue: of_chroma(((blue - luma.0) / blue_share, -luma.1 / blue_share), BITS),
            red: of_chroma((-luma.0 / red_share, (red - luma.1) / red_share), BITS),
        }
    }
}

/// A sample, counted from the middle of its range.
fn centred(sample: u8) -> i16 {
    i16::from(sample) - 128
}

/// The nearest sample to a fixed-point number.
fn sample(fixed: i16) -> u8 {
    ((fixed.saturating_add(1 << (BITS - 1)) >> BITS).clamp(-128, 127) + 128) as u8
}

impl Matrix {
    /// The shares of red and blue in luma.
    fn shares(self) -> (f64, f64) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
        }
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({}×{})", self.width, self.height)
    }
}

fn pack((plane, stride): (&[u8], usize), width: usize, height: usize) -> Option<Vec<u8>> {
    if width == 0 || height == 0 || stride < width || plane.len() < stride * (height - 1) + width {
        return None;
    }
    let mut packed = Vec::with_capacity(width * height);
    for line in plane.chunks(stride).take(height) {
        packed.extend_from_slice(&line[..width]);
    }
    Some(packed)
}

fn shrink(plane: &[u8], from: (usize, usize), to: (usize, usize), factor: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(to.0 * to.1);
    // Of each column of a line of blocks: at most 65535 lines of 255, so nothing wraps.
    let mut sums = vec![0_u32; from.0];
    for row in 0..to.1 {
        let rows = (row * factor).min(from.1 - 1)..((row + 1) * factor).min(from.1);
        sums.fill(0);
        for line in plane[rows.start * from.0..rows.end * from.0].chunks_exact(from.0) {
            for (sum, sample) in sums.iter_mut().zip(line) {
                *sum = sum.wrapping_add(u32::from(*sample));
            }
        }
        for column in 0..to.0 {
            let columns = (column * factor).min(from.0 - 1)..((column + 1) * factor).min(from.0);
            let samples = (columns.len() * rows.len()).max(1) as u64;
            let sum: u64 = sums[columns].iter().copied().map(u64::from).sum();
            out.push(u8::try_from(sum / samples).unwrap_or(u8::MAX));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn padding_at_the_end_of_lines_is_left_out() {
        let y = [1, 2, 9, 3, 4];
        let frame = Frame::from_strided((2, 2), [(&y, 3), (&[5], 1), (&[6], 1)], Colours::JPEG).unwrap();
        assert_eq!((frame.y, frame.u, frame.v), (vec![1, 2, 3, 4], vec![5], vec![6]));
    }

    #[test]
    fn a_plane_that_is_too_short_is_refused() {
        assert_eq!(Frame::from_strided((2, 2), [(&[1, 2, 3], 2), (&[5], 1), (&[6], 1)], Colours::JPEG), None);
    }

    /// The frame in the colours of a JPEG.
    fn converted(frame: &Frame) -> Frame {
        let [y, u, v] = in_colours_of_jpeg(frame.width, [&frame.y, &frame.u, &frame.v], frame.colours);
        Frame { y, u, v, colours: Colours::JPEG, ..frame.clone() }
    }

    /// A picture of one colour, given as red, green and blue, coded like that.
    fn plain([r, g, b]: [u8; 3], colours: Colours) -> Frame {
        let (kr, kb) = colours.matrix.shares();
        let [r, g, b] = [r, g, b].map(|part| f64::from(part) / 255.0);
        let luma = kr * r + (1.0 - kr - kb) * g + kb * b;
        let difference = |part: f64, share: f64| (part - luma) / (2.0 * (1.0 - share));
        let (black, luma_span, chroma_span) =
            if colours.is_full_range { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
        let chroma = |value: f64| vec![(128.0 + value * chroma_span).round().clamp(0.0, 255.0) as u8; 2 * 2];
        let y = vec![(black + luma * luma_span).round() as u8; 3 * 3];
        let (u, v) = (chroma(difference(b, kb)), chroma(difference(r, kr)));
        Frame { width: 3, height: 3, y, u, v, colours }
    }

    #[test]
    fn a_colour_is_the_same_in_every_matrix_and_range() {
        for rgb in
            [[200, 30, 30], [30, 160, 40], [30, 50, 200], [230, 230, 230], [20, 20, 20], [210, 190, 30]]
        {
            let wanted = plain(rgb, Colours::JPEG);
            for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
                for is_full_range in [true, false] {
                    let colours = Colours { matrix, is_full_range };
                    let converted = converted(&plain(rgb, colours));
                    let samples = |frame: &Frame| [&frame.y[..], &frame.u, &frame.v].concat();
                    let most =
                        samples(&converted).iter().zip(samples(&wanted)).map(|(a, b)| a.abs_diff(b)).max();
                    assert!(most <= Some(2), "{rgb:?} {colours:?}: {most:?}");
                    assert_eq!(samples(&converted).len(), 9 + 4 + 4);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_samples_overflow(y: u8, u: u8, v: u8, is_full_range: bool) {
            for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
                for (y, u, v) in [(y, u, v), (255, 255, v), (0, 0, v), (255, u, 255), (0, u, 0), (255, 255, 255), (0, 0, 0)] {
                    let colours = Colours { matrix, is_full_range };
                    let [luma, blue, red] = in_colours_of_jpeg(1, [&[y], &[u], &[v]], colours);
                    let steps = Steps::of(colours);
                    let wide = |sample: u8| i32::from(sample) - 128;
                    let of = |by: &OfChroma| i32::from(by.0) * wide(u) + i32::from(by.1) * wide(v);
                    let sample = |fixed: i32| (((fixed + (1 << (BITS - 1))) >> BITS).clamp(-128, 127) + 128) as u8;
                    let moved = (of(&steps.luma) >> (MOVE_BITS - BITS)) + i32::from(steps.black);
                    prop_assert_eq!(luma, vec![sample(wide(y) * i32::from(steps.scale) + moved)]);
                    prop_assert_eq!(blue, vec![sample(of(&steps.blue))]);
                    prop_assert_eq!(red, vec![sample(of(&steps.red))]);
                }
            }
        }

        #[test]
        fn grey_stays_grey_in_every_matrix(width in 1_usize..40, height in 1_usize..30, grey: u8, is_full_range: bool) {
            let chroma = width.div_ceil(2) * height.div_ceil(2);
            let colours = Colours { matrix: Matrix::Bt709, is_full_range };
            let frame = Frame {
                width, height, y: vec![grey; width * height], u: vec![128; chroma], v: vec![128; chroma], colours,
            };
            let converted = converted(&frame);
            let wanted = if is_full_range { f64::from(grey) } else { (f64::from(grey) - 16.0) * 255.0 / 219.0 };
            prop_assert!(converted.y.iter().all(|luma| (f64::from(*luma) - wanted.clamp(0.0, 255.0)).abs() <= 0.6));
            prop_assert!(converted.u.iter().chain(&converted.v).all(|chroma| *chroma == 128));
            prop_assert_eq!(converted.y.len(), width * height);
        }

        #[test]
        fn a_sample_of_a_shrunk_frame_is_the_mean_of_its_block(
            width in 1_usize..70, height in 1_usize..50, max in 1_usize..70, seed: u64,
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let y: Vec<u8> = (0..width * height).map(|_| random.u8(..)).collect();
            let chroma = vec![128; width.div_ceil(2) * height.div_ceil(2)];
            let frame = Frame { width, height, y, u: chroma.clone(), v: chroma, colours: Colours::JPEG };
            let (small, factor) = (frame.shrunk(max), width.div_ceil(max));
            for (at, sample) in small.y.iter().enumerate() {
                let (left, top) = (at % small.width * factor, at / small.width * factor);
                let block: Vec<usize> = (top..(top + factor).min(height))
                    .flat_map(|line| (left..(left + factor).min(width)).map(move |column| line * width + column))
                    .map(|at| usize::from(frame.y[at]))
                    .collect();
                prop_assert_eq!(usize::from(*sample), block.iter().sum::<usize>() / block.len());
            }
        }

        #[test]
        fn a_shrunk_frame_keeps_its_grey(width in 1_usize..200, height in 1_usize..120, max in 1_usize..100, grey: u8) {
            let chroma = width.div_ceil(2) * height.div_ceil(2);
            let frame = Frame {
                width, height, y: vec![grey; width * height], u: vec![grey; chroma], v: vec![grey; chroma],
                colours: Colours::JPEG,
            };
            let small = frame.shrunk(max);
            prop_assert!(small.width <= max.max(1) && small.height >= 1);
            prop_assert_eq!(small.y.len(), small.width * small.height);
            prop_assert_eq!(small.u.len(), small.chroma_width() * small.chroma_height());
            prop_assert!(small.y.iter().chain(&small.u).chain(&small.v).all(|sample| *sample == grey));
        }
    }
}
