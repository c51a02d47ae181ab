//! Bits of NAL units, read and written anew.

/// A unit without its emulation prevention, and where one reads.
pub(crate) struct Bits {
    bits: Vec<bool>,
    at: usize,
}

impl Bits {
    /// Stands behind the unit's first byte.
    pub(crate) fn of(unit: &[u8]) -> Self {
        let (mut bits, mut zeros) = (Vec::with_capacity(unit.len() * 8), 0);
        for &byte in unit {
            if zeros >= 2 && byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            bits.extend((0..8).rev().map(|n| byte >> n & 1 == 1));
        }
        Self { bits, at: 8 }
    }

    /// `u(n)` of ITU-T H.264 7.2.
    pub(crate) fn u(&mut self, count: usize) -> u32 {
        let value = self.bits[self.at..self.at + count].iter().fold(0, |sum, bit| sum << 1 | u32::from(*bit));
        self.at += count;
        value
    }

    /// `ue(v)` of ITU-T H.264 9.1.
    pub(crate) fn ue(&mut self) -> u32 {
        let mut zeros = 0;
        while self.u(1) == 0 {
            zeros += 1;
        }
        (1 << zeros) - 1 + self.u(zeros)
    }

    /// Puts these bits in the place of the next `count` ones.
    pub(crate) fn replace(&mut self, count: usize, with: &str) {
        self.bits.splice(self.at..self.at + count, with.chars().map(|bit| bit == '1'));
    }

    /// Leaves out everything from here on.
    pub(crate) fn cut(&mut self) {
        self.bits.truncate(self.at);
        // rbsp_trailing_bits
        self.bits.push(true);
    }

    /// The unit, its trailing bits put right.
    pub(crate) fn unit(mut self) -> Vec<u8> {
        while self.bits.last() == Some(&false) {
            self.bits.pop();
        }
        while !self.bits.len().is_multiple_of(8) {
            self.bits.push(false);
        }
        let (mut out, mut zeros) = (Vec::new(), 0);
        for byte in self.bits.chunks(8) {
            let byte = byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit));
            if zeros >= 2 && byte <= 3 {
                out.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            out.push(byte);
        }
        out
    }
}

/// The same PPS, with number 1.
pub(crate) fn second_pps(pps: &[u8]) -> Vec<u8> {
    let mut bits = Bits::of(pps);
    bits.replace(1, "010");
    bits.unit()
}

/// The same slice with PPS number 1; CAVLC only, for what CABAC writes is aligned.
pub(crate) fn with_second_pps(slice: &[u8]) -> Vec<u8> {
    let mut bits = Bits::of(slice);
    bits.ue();
    bits.ue();
    bits.replace(1, "010");
    bits.unit()
}

/// Reads an SPS of x264 up to the flag that says whether there is a VUI.
fn before_vui(sps: &[u8]) -> Bits {
    let mut bits = Bits::of(sps);
    let profile = bits.u(8);
    bits.u(16);
    bits.ue();
    if [100, 110, 122, 244].contains(&profile) {
        bits.ue();
        bits.ue();
        bits.ue();
        bits.u(2);
    }
    bits.ue();
    if bits.ue() == 0 {
        bits.ue();
    }
    bits.ue();
    bits.u(1);
    bits.ue();
    bits.ue();
    if bits.u(1) == 0 {
        bits.u(1);
    }
    bits.u(1);
    if bits.u(1) == 1 {
        bits.ue();
        bits.ue();
        bits.ue();
        bits.ue();
    }
    bits
}

/// The same SPS, its VUI ending after four flags.
pub(crate) fn cut_vui(sps: &[u8]) -> Vec<u8> {
    let mut bits = before_vui(sps);
    bits.u(1);
    bits.cut();
    bits.replace(0, "0000");
    bits.unit()
}

/// The same SPS without a VUI.
pub(crate) fn without_vui(sps: &[u8]) -> Vec<u8> {
    let mut bits = before_vui(sps);
    bits.cut();
    bits.replace(0, "0");
    bits.unit()
}
