//! Machine-readable time code in the picture: which instant a frame shows, readable from the JPEG alone.
//!
//! A frame carries a 64-bit word as two rows of 32 black and white squares, once at the top and once at the bottom:
//! 8 bits loop length in seconds (0: the time is absolute), 40 bits milliseconds of Unix time modulo the loop length
//! (or modulo 2^40), 16 bits CRC-16/CCITT of the 48 bits above. A square is a fortieth of the picture's width, so the
//! word survives H.264 and JPEG at any sensible quality, and scaling down to about 160 pixels. The two copies differ
//! when a picture was stitched from two instants: torn, or decoded without its reference.

/// Squares in a row.
const COLUMNS: usize = 32;

/// The picture is this many squares wide.
const GRID: usize = 40;

/// Squares to the left of the first column.
const LEFT: usize = 4;

/// Luma of a zero, of a one and of the frame around the squares, which keeps bright neighbours from bleeding in.
const BLACK: u8 = 20;
const WHITE: u8 = 230;
const SURROUND: u8 = 60;

/// Mean luma above which a square is a one.
const THRESHOLD: u64 = 125;

/// Length of the time field.
const TIME_MASK: u64 = (1 << 40) - 1;

/// What a picture says about its instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Length of the loop in seconds; 0 when the time is absolute.
    pub loop_s: u8,
    /// Milliseconds of Unix time modulo the loop length, or modulo 2^40 when it is absolute.
    pub ms: u64,
    /// The copies at the top and at the bottom differ: the picture is not of one instant.
    pub torn: bool,
}

impl Reading {
    /// The instant in Unix milliseconds: of all that have this code, the one nearest to `near_ms`.
    pub fn unix_ms(&self, near_ms: i64) -> i64 {
        let modulus = modulus(self.loop_s);
        let ms = i64::try_from(self.ms).unwrap_or(0);
        let turns = near_ms.saturating_sub(ms).saturating_add(modulus / 2).div_euclid(modulus);
        ms.saturating_add(turns.saturating_mul(modulus))
    }
}

/// Draws the word of `instant_ms` (Unix time) into a luma plane; `loop_s` 0 writes absolute time.
///
/// A plane too small for both copies (80 pixels wide, six squares high) is left as it is.
pub fn draw(luma: &mut [u8], width: usize, height: usize, stride: usize, instant_ms: i64, loop_s: u8) {
    if !fits(luma.len(), width, height, stride) {
        return;
    }
    let bits = word(instant_ms, loop_s);
    let side = width / GRID;
    for top in [side / 2, height - side / 2 - 2 * side] {
        for y in top - side / 4..top + 2 * side + side / 4 {
            luma[y * stride..][(LEFT - 1) * side..(LEFT + COLUMNS + 1) * side].fill(SURROUND);
        }
        for y in top..top + 2 * side {
            let row = (y - top) / side;
            for column in 0..COLUMNS {
                let one = bits >> (63 - (row * COLUMNS + column)) & 1 == 1;
                let x = (LEFT + column) * side;
                luma[y * stride..][x..x + side].fill(if one { WHITE } else { BLACK });
            }
        }
    }
}

/// Reads the word of a luma plane of any size; `None` when neither copy is whole.
pub fn read(luma: &[u8], width: usize, height: usize, stride: usize) -> Option<Reading> {
    if !fits(luma.len(), width, height, stride) {
        return None;
    }
    let side = width as f64 / GRID as f64;
    let top = read_at(luma, stride, side / 2.0, side);
    let bottom = read_at(luma, stride, height as f64 - side / 2.0 - 2.0 * side, side);
    let (loop_s, ms) = top.or(bottom)?;
    Some(Reading { loop_s, ms, torn: top != bottom })
}

/// Whether both copies of the word have room in such a plane: at least 80 wide, and 6 squares high.
fn fits(len: usize, width: usize, height: usize, stride: usize) -> bool {
    let Some(area) = stride.checked_mul(height) else { return false };
    width >= 2 * GRID && width <= stride && height >= 6 * width.div_ceil(GRID) && len >= area
}

fn read_at(luma: &[u8], stride: usize, top: f64, side: f64) -> Option<(u8, u64)> {
    let reach = ((side / 4.0) as usize).max(1);
    let mut bits = 0_u64;
    for row in 0..2 {
        for column in 0..COLUMNS {
            let centre_y = (top + (row as f64 + 0.5) * side) as usize;
            let centre_x = ((LEFT + column) as f64 * side + 0.5 * side) as usize;
            let sum: u64 = (centre_y - reach..centre_y + reach)
                .flat_map(|y| &luma[y * stride..][centre_x - reach..centre_x + reach])
                .map(|&pixel| u64::from(pixel))
                .sum();
            let pixels = (4 * reach * reach) as u64;
            bits = bits << 1 | u64::from(sum > THRESHOLD * pixels);
        }
    }
    let value = bits >> 16;
    (u64::from(crc16(value)) == bits & 0xffff).then_some(((value >> 40) as u8, value & TIME_MASK))
}

fn word(instant_ms: i64, loop_s: u8) -> u64 {
    let ms = u64::try_from(instant_ms.rem_euclid(modulus(loop_s))).unwrap_or(0);
    let value = u64::from(loop_s) << 40 | ms;
    value << 16 | u64::from(crc16(value))
}

fn modulus(loop_s: u8) -> i64 {
    if loop_s == 0 { 1 << 40 } else { i64::from(loop_s) * 1000 }
}

/// CRC-16/CCITT (polynomial 0x1021, start 0xffff) of the low 48 bits, most significant byte first.
fn crc16(value: u64) -> u16 {
    value.to_be_bytes()[2..].iter().fold(0xffff, |crc, &byte| {
        (0..8).fold(
            crc ^ u16::from(byte) << 8,
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_those_of_the_reference_implementation() {
        assert_eq!(word(1_698_765_432_123, 0), 0x008b_864f_653b_78e5);
        assert_eq!(word(1_698_765_432_123, 20), 0x1400_0000_2f5b_ef73);
        assert_eq!(word(-1, 0), 0x00ff_ffff_ffff_cd70);
    }

    #[test]
    fn a_picture_of_two_instants_is_torn() {
        let (mut one, mut two) = (vec![90; 640 * 360], vec![90; 640 * 360]);
        draw(&mut one, 640, 360, 640, 1000, 0);
        draw(&mut two, 640, 360, 640, 1040, 0);
        one[640 * 180..].copy_from_slice(&two[640 * 180..]);
        assert_eq!(read(&one, 640, 360, 640), Some(Reading { loop_s: 0, ms: 1000, torn: true }));
    }

    #[test]
    fn a_picture_without_a_code_has_no_reading() {
        assert_eq!(read(&vec![128; 640 * 360], 640, 360, 640), None);
    }

    #[test]
    fn the_instant_is_the_one_nearest_to_the_given_time() {
        let reading = Reading { loop_s: 20, ms: 19_990, torn: false };
        assert_eq!(reading.unix_ms(1_000_000_020_005), 1_000_000_019_990);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_is_drawn_is_read_back(
            ms in 0_i64..4_000_000_000_000, loop_s: u8, columns in 80_usize..800, rows in 0_usize..300, pad in 0_usize..9,
        ) {
            // Cameras' widths divide by eight; a fraction of a square per square would shift the last one away.
            let width = columns / GRID * GRID;
            let (height, stride) = (6 * width.div_ceil(GRID) + rows, width + pad);
            let mut luma = vec![0; stride * height];
            draw(&mut luma, width, height, stride, ms, loop_s);
            let reading = read(&luma, width, height, stride);
            prop_assert_eq!(reading.map(|r| (r.loop_s, r.torn, r.unix_ms(ms))), Some((loop_s, false, ms)));
        }

        #[test]
        fn any_plane_of_any_claimed_size_is_read_without_a_panic(
            luma in proptest::collection::vec(any::<u8>(), 0..40_000),
            width in 0_usize..400, height in 0_usize..400, stride in 0_usize..400, loop_s: u8,
        ) {
            let mut luma = luma;
            let _ = read(&luma, width, height, stride);
            draw(&mut luma, width, height, stride, i64::MIN, loop_s);
        }
    }
}
