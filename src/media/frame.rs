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
    for row in 0..to.1 {
        for column in 0..to.0 {
            let rows = (row * factor).min(from.1 - 1)..((row + 1) * factor).min(from.1);
            let columns = (column * factor).min(from.0 - 1)..((column + 1) * factor).min(from.0);
            let (mut sum, mut count) = (0_u32, 0_u32);
            for y in rows {
                for &sample in &plane[y * from.0..][columns.clone()] {
                    sum += u32::from(sample);
                    count += 1;
                }
            }
            out.push(u8::try_from(sum / count.max(1)).unwrap_or(u8::MAX));
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

    proptest! {
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
