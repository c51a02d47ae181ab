//! H.265 (ITU-T H.265), Main and Main 10.

use rust_h265::{Decoder, Frame as Decoded, PixelData, parse_annex_b};

use super::decode::{DecodeError, Ranked};
use super::frame::Frame;
use super::gop::Excerpt;

/// Threads of one decoding. More make a picture earlier only while nobody else decodes.
const THREADS: usize = 2;

/// Decodes the wanted picture of an excerpt. Blocking, tens of milliseconds for each frame since the IDR on a small
/// computer.
pub(super) fn decode(excerpt: &Excerpt) -> Result<Frame, DecodeError> {
    let mut decoder = Decoder::new().with_display_order().with_threads(THREADS);
    let mut ranked = Ranked::new(excerpt);
    for (i, unit) in excerpt.units.iter().enumerate() {
        for nal in parse_annex_b(&unit.data) {
            decoder.decode_nal(&nal).map_err(|error| ranked.refused(i + 1, &error))?;
            while let Some(picture) = decoder.next_output() {
                if ranked.is_wanted() {
                    return planes(&picture).ok_or_else(|| ranked.not_shown());
                }
            }
        }
    }
    while let Some(picture) = decoder.flush() {
        if ranked.is_wanted() {
            return planes(&picture).ok_or_else(|| ranked.not_shown());
        }
    }
    Err(decoder
        .next_error()
        .map_or_else(|| ranked.not_shown(), |error| ranked.refused(excerpt.units.len(), &error)))
}

/// The planes of a 4:2:0 picture with eight bits a sample; deeper ones lose their lowest bits.
fn planes(picture: &Decoded) -> Option<Frame> {
    const CHROMA_420: u32 = 1;
    if picture.chroma_format_idc != CHROMA_420 {
        return None;
    }
    let size = (usize::try_from(picture.width).ok()?, usize::try_from(picture.height).ok()?);
    let (y, u, v) = (
        samples(&picture.y, picture.bit_depth),
        samples(&picture.u, picture.bit_depth),
        samples(&picture.v, picture.bit_depth),
    );
    let chroma = size.0.div_ceil(2);
    Frame::from_strided(size, [(&y, size.0), (&u, chroma), (&v, chroma)], false)
}

fn samples(plane: &PixelData, bit_depth: u8) -> Vec<u8> {
    match plane {
        PixelData::U8(samples) => samples.clone(),
        PixelData::U16(samples) => {
            let shift = bit_depth.saturating_sub(8);
            samples.iter().map(|sample| u8::try_from(sample >> shift).unwrap_or(u8::MAX)).collect()
        }
    }
}
