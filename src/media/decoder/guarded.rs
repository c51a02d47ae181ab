//! A decoder that meets no parameter set it has not the memory for, wherever in a stream that stands, and that is not
//! made to hold back more pictures than the stream announced.

use super::{DecodedPicture, Decoder};
use crate::media::footprint::{self, DECODER_BYTES_MAX, Footprint};
use crate::media::gop::{AccessUnit, Codec};

/// Pictures that a decoder of a conforming stream holds back beyond those that its footprint has room for: it may wait
/// for the next unit to know that one has ended.
const LATE: u64 = 2;

pub(super) struct Guarded {
    codec: Codec,
    inner: Box<dyn Decoder>,
    /// Pictures that it decodes at once beside the first.
    beside: u64,
    footprint: Footprint,
    /// Units that went in and whose pictures have not come out.
    held_back: u64,
}

impl Guarded {
    /// Around a decoder that has so many pictures under way at once.
    pub(super) fn new(codec: Codec, inner: Box<dyn Decoder>, threads: usize) -> Self {
        let beside = u64::try_from(threads.saturating_sub(1)).unwrap_or(0);
        Self { codec, inner, beside, footprint: Footprint::default(), held_back: 0 }
    }

    /// Whether the pictures that are held back fit beside what the decoder was known to take.
    fn fits(&self) -> bool {
        let announced = self.footprint.decoder / self.footprint.frame.max(1) + LATE + self.beside;
        self.held_back <= announced || self.held_back * self.footprint.frame <= DECODER_BYTES_MAX / 2
    }
}

impl Decoder for Guarded {
    fn feed(&mut self, unit: &AccessUnit, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
        let announced = footprint::of(self.codec, &unit.data);
        if let Some(footprint) = announced.map_err(|error| format!("it has {error}"))? {
            self.footprint = footprint;
        }
        if unit.is_start() {
            // What was damaged before never comes out, and is not held back either.
            self.held_back = self.held_back.min(LATE + self.beside);
        }
        self.held_back += 1;
        if !self.fits() {
            return Err(format!("it holds back {} pictures, more than it announced", self.held_back));
        }
        let held_back = &mut self.held_back;
        self.inner.feed(unit, &mut |shown| {
            *held_back = held_back.saturating_sub(1);
            show(shown);
        })
    }

    fn catch_up(&mut self, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
        let held_back = &mut self.held_back;
        self.inner.catch_up(&mut |shown| {
            *held_back = held_back.saturating_sub(1);
            show(shown);
        })
    }

    fn drain(&mut self, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
        self.held_back = 0;
        self.inner.drain(show)
    }

    fn goes_on_after_drain(&self) -> bool {
        self.inner.goes_on_after_drain()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::testing::grey_steps;

    /// Takes everything and shows nothing.
    struct Mute;

    impl Decoder for Mute {
        fn feed(&mut self, _: &AccessUnit, _: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
            Ok(())
        }

        fn drain(&mut self, _: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
            Ok(())
        }

        fn goes_on_after_drain(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_larger_parameter_set_in_mid_stream_reaches_no_decoder() {
        let mut units = grey_steps(3);
        let mut decoder = Guarded::new(Codec::H264, Box::new(Mute), 1);
        assert_eq!(decoder.feed(&units[0], &mut |_| {}), Ok(()));
        // 16384×16384, Baseline, before an ordinary picture.
        let huge = [0, 0, 1, 0x67, 66, 0, 51, 0b1111_0100, 0, 0b0010_0000, 0, 0b0000_0001, 0, 0b0011_0010];
        units[1].data = [&huge[..], &units[1].data].concat().into();
        let error = decoder.feed(&units[1], &mut |_| {}).unwrap_err();
        assert!(error.contains("16384×16384 pixels"), "{error}");
    }

    #[test]
    fn pictures_that_never_come_out_have_an_end() {
        let units = grey_steps(2);
        let mut decoder = Guarded::new(Codec::H264, Box::new(Mute), 1);
        decoder.footprint = Footprint { frame: 24 << 20, decoder: 120 << 20, picture: 24 << 20 };
        let fed = (0..20).take_while(|_| decoder.feed(&units[1], &mut |_| {}).is_ok()).count();
        assert!((4..=7).contains(&fed), "{fed} pictures of 24 MiB were held back");
        decoder.drain(&mut |_| {}).unwrap();
        assert_eq!(decoder.feed(&units[1], &mut |_| {}), Ok(()));
    }
}
