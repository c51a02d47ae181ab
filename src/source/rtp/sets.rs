//! Parameter sets by their numbers: what a decoder has to know before a picture. Pure.
//!
//! Cameras send them in the session description alone (Axis), in the stream alone (Hikvision), with several numbers of
//! which each picture names one (encoders with one picture parameter set for keyframes and one for the others), and
//! change them while they run. So all are kept, and all are put in front of each unit where decoding can begin.

use super::nal::Format;
use crate::media::gop::Codec;

/// Most bytes of all together; honest ones have some hundred. What comes beyond is not kept.
const BYTES_MAX: usize = 64 << 10;

/// The numbers stand within so many bytes.
const HEAD_MAX: usize = 400;

/// A set's kind and number; sets that refer to others come after them.
type Name = (u8, u32);

/// The parameter sets of a stream.
#[derive(Clone, Debug)]
pub struct Sets {
    format: Format,
    /// In the order of their names.
    known: Vec<(Name, Vec<u8>)>,
}

impl Sets {
    /// None are known.
    pub fn new(format: Format) -> Self {
        Self { format, known: Vec::new() }
    }

    /// Whether a NAL unit is a parameter set.
    pub fn is_one(&self, nal: &[u8]) -> bool {
        let Some(kind) = nal.first().map(|first| self.format.kind(*first)) else { return false };
        match self.format.codec {
            Codec::H265 => matches!(kind, 32..=34),
            _ => matches!(kind, 7 | 8 | 13 | 15),
        }
    }

    /// Takes a set in the place of the one with its number; whether something has changed.
    pub fn put(&mut self, nal: &[u8]) -> bool {
        let Some(name) = self.name(nal) else { return false };
        let place = self.known.partition_point(|(known, _)| *known < name);
        let has_room = self.bytes() + nal.len() <= BYTES_MAX;
        match self.known.get_mut(place) {
            Some((known, bytes)) if *known == name => {
                let is_new = bytes != nal;
                if is_new {
                    nal.clone_into(bytes);
                }
                is_new
            }
            _ if has_room => {
                self.known.insert(place, (name, nal.to_vec()));
                true
            }
            _ => false,
        }
    }

    /// Writes all sets as an Annex B stream.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (_, nal) in &self.known {
            out.extend_from_slice(&[0, 0, 0, 1]);
            out.extend_from_slice(nal);
        }
    }

    /// Bytes of all sets in an Annex B stream.
    pub fn bytes(&self) -> usize {
        self.known.iter().map(|(_, nal)| nal.len() + 4).sum()
    }

    /// What a set is called; `None` if it is none, or cannot be read.
    fn name(&self, nal: &[u8]) -> Option<Name> {
        let kind = self.format.kind(*nal.first()?);
        let plain = unescaped(nal.get(self.format.head()..)?);
        let mut bits = Bits { bytes: &plain, at: 0 };
        let number = match (self.format.codec, kind) {
            // Behind profile, constraints and level.
            (Codec::H264, 7 | 15) => {
                bits.skip(24);
                bits.exponential()?
            }
            (Codec::H264, 8 | 13) => bits.exponential()?,
            (Codec::H265, 32) => bits.read(4)?,
            (Codec::H265, 33) => {
                bits.skip(4);
                let layers = bits.read(3)?;
                bits.skip(1);
                bits.skip_profiles(layers)?;
                bits.exponential()?
            }
            (Codec::H265, 34) => bits.exponential()?,
            _ => return None,
        };
        (number < 256).then_some((kind, number))
    }
}

/// The first bytes of a unit without emulation prevention (ITU-T H.264 section 7.3.1).
fn unescaped(nal: &[u8]) -> Vec<u8> {
    let (mut plain, mut zeros) = (Vec::with_capacity(nal.len().min(HEAD_MAX)), 0);
    for byte in nal.iter().take(HEAD_MAX) {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        plain.push(*byte);
    }
    plain
}

/// Bit after bit.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn skip(&mut self, count: usize) {
        self.at += count;
    }

    fn bit(&mut self) -> Option<u32> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }

    fn read(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | self.bit()?))
    }

    /// `ue(v)` (ITU-T H.264 section 9.1).
    fn exponential(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 16 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.read(zeros)?)
    }

    /// `profile_tier_level` (ITU-T H.265 section 7.3.3) of so many layers beside the first.
    fn skip_profiles(&mut self, layers: u32) -> Option<()> {
        self.skip(96);
        if layers == 0 {
            return Some(());
        }
        let present: Vec<(u32, u32)> =
            (0..8).map(|_| Some((self.bit()?, self.bit()?))).collect::<Option<_>>()?;
        for (profile, level) in present.iter().take(usize::try_from(layers).ok()?) {
            self.skip(if *profile == 1 { 88 } else { 0 } + if *level == 1 { 8 } else { 0 });
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sets(codec: Codec) -> Sets {
        Sets::new(Format { codec, has_order: false })
    }

    fn written(sets: &Sets) -> Vec<u8> {
        let mut out = Vec::new();
        sets.write(&mut out);
        assert_eq!(out.len(), sets.bytes());
        out
    }

    #[test]
    fn sets_are_kept_by_their_numbers_and_replaced_when_they_change() {
        let mut sets = sets(Codec::H264);
        // Numbers 0 and 1: the first bits are 1 and 010.
        let (pps, other, sps) = ([0x68, 0x80 | 5], [0x68, 0x40 | 7], [0x67, 66, 0, 30, 0x80 | 1]);
        assert!(sets.put(&other) && sets.put(&pps) && sets.put(&sps));
        assert!(!sets.put(&sps), "nothing new");
        let start = [0, 0, 0, 1];
        assert_eq!(written(&sets), [&start[..], &sps, &start, &pps, &start, &other].concat());
        let changed = [0x68, 0x80 | 6];
        assert!(sets.put(&changed));
        assert_eq!(written(&sets), [&start[..], &sps, &start, &changed, &start, &other].concat());
        assert!(!sets.put(&[0x65, 0x80]) && !sets.put(&[0x68]) && !sets.put(&[]));
    }

    #[test]
    fn the_number_of_an_h265_set_stands_behind_its_profiles() {
        let sets = sets(Codec::H265);
        let plain = [&[0x42, 1, 0x01][..], &[0x11; 12], &[0b0101_0000]].concat();
        assert_eq!(sets.name(&plain), Some((33, 1)));
        // Two more layers, of which the first tells its profile and the second its level.
        let layers =
            [&[0x42, 1, 0x05][..], &[0x11; 12], &[0b1001_0000, 0], &[0x11; 12], &[0b0111_0000]].concat();
        assert_eq!(sets.name(&layers), Some((33, 2)));
        assert_eq!(sets.name(&[0x40, 1, 0x2c]), Some((32, 2)));
        assert_eq!(sets.name(&[0x44, 1, 0xc0]), Some((34, 0)));
    }

    #[test]
    fn more_than_anybody_needs_is_not_kept() {
        let mut sets = sets(Codec::H264);
        for id in 0..200_u32 {
            // ue(v) in a fixed form: 7 zeros, then 8 bits of id + 128, for ids from 127 on.
            let code = (id % 128 + 128) << 9;
            let nal = [&[0x68][..], &code.to_be_bytes()[2..], &vec![7; 2000]].concat();
            sets.put(&nal);
        }
        assert!(sets.bytes() <= BYTES_MAX && sets.bytes() > BYTES_MAX / 2);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(nals in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..20), h265 in any::<bool>()) {
            let mut sets = sets(if h265 { Codec::H265 } else { Codec::H264 });
            for nal in &nals {
                let _ = sets.put(nal);
                let _ = sets.is_one(nal);
            }
            prop_assert!(written(&sets).len() <= BYTES_MAX);
        }
    }
}
