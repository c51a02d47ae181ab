//! H.264 (ITU-T H.264): OpenH264 for progressive video, a second decoder for interlaced video, which OpenH264 lacks.

use h264_reader::nal::sps::{FrameMbsFlags, SeqParameterSet};
use h264_reader::nal::{Nal, RefNal, UnitType};
use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;
use rust_h264::decoder::OrderedDecoder;
use rust_h264::nal::parse_annex_b;

use super::decode::{DecodeError, Ranked};
use super::frame::Frame;
use super::gop::Excerpt;

/// Decodes the wanted picture of an excerpt. Blocking, tens of milliseconds for each frame since the IDR on a small
/// computer.
pub(super) fn decode(excerpt: &Excerpt) -> Result<Frame, DecodeError> {
    let stream = excerpt.units.first().map(|unit| StreamFacts::of(&unit.data)).unwrap_or_default();
    if stream.is_interlaced { interlaced(excerpt, stream) } else { progressive(excerpt, stream) }
}

fn progressive(excerpt: &Excerpt, stream: StreamFacts) -> Result<Frame, DecodeError> {
    let started = |source: openh264::Error| DecodeError::Start { reason: source.to_string() };
    // The default flushes after every unit, which breaks streams with B-frames (OpenH264 error 16384).
    let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    let mut decoder = Decoder::with_api_config(OpenH264API::from_source(), config).map_err(started)?;
    let mut ranked = Ranked::new(excerpt);
    for (i, unit) in excerpt.units.iter().enumerate() {
        let picture = decoder.decode(&unit.data).map_err(|error| ranked.refused(i + 1, &error))?;
        if let Some(picture) = picture
            && ranked.is_wanted()
        {
            return copy(&picture, stream).ok_or_else(|| ranked.not_shown());
        }
    }
    let rest = decoder.flush_remaining().map_err(|error| ranked.refused(excerpt.units.len(), &error))?;
    for picture in rest {
        if ranked.is_wanted() {
            return copy(&picture, stream).ok_or_else(|| ranked.not_shown());
        }
    }
    Err(ranked.not_shown())
}

fn interlaced(excerpt: &Excerpt, stream: StreamFacts) -> Result<Frame, DecodeError> {
    let mut decoder = OrderedDecoder::new();
    let mut ranked = Ranked::new(excerpt);
    for (i, unit) in excerpt.units.iter().enumerate() {
        for nal in parse_annex_b(&unit.data) {
            let pictures = decoder.decode_nal(&nal).map_err(|error| ranked.refused(i + 1, &error))?;
            for picture in pictures {
                if ranked.is_wanted() {
                    return planes(&picture, stream).ok_or_else(|| ranked.not_shown());
                }
            }
        }
    }
    for picture in decoder.flush() {
        if ranked.is_wanted() {
            return planes(&picture, stream).ok_or_else(|| ranked.not_shown());
        }
    }
    Err(ranked.not_shown())
}

fn planes(picture: &rust_h264::decoder::Frame, stream: StreamFacts) -> Option<Frame> {
    let size = (usize::try_from(picture.width).ok()?, usize::try_from(picture.height).ok()?);
    if picture.bit_depth != 8 {
        return None;
    }
    let chroma = size.0.div_ceil(2);
    let planes = [(&picture.y[..], size.0), (&picture.u[..], chroma), (&picture.v[..], chroma)];
    Frame::from_strided(size, planes, stream.is_full_range)
}

fn copy(picture: &DecodedYUV<'_>, stream: StreamFacts) -> Option<Frame> {
    let (y, u, v) = picture.strides();
    Frame::from_strided(
        picture.dimensions(),
        [(picture.y(), y), (picture.u(), u), (picture.v(), v)],
        stream.is_full_range,
    )
}

/// What the parameter set of an IDR unit says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct StreamFacts {
    /// `video_full_range_flag`; video range when nothing says otherwise (ITU-T H.264 section E.2.1).
    is_full_range: bool,
    /// Fields or macroblock pairs may occur (`frame_mbs_only_flag` is 0).
    is_interlaced: bool,
}

impl StreamFacts {
    fn of(annex_b: &[u8]) -> Self {
        let sps = nal_units(annex_b).find_map(|nal| {
            let nal = RefNal::new(nal, &[], true);
            (nal.header().ok()?.nal_unit_type() == UnitType::SeqParameterSet)
                .then(|| SeqParameterSet::from_bits(nal.rbsp_bits()).ok())?
        });
        let Some(sps) = sps else { return Self::default() };
        let signal = sps.vui_parameters.and_then(|vui| vui.video_signal_type);
        Self {
            is_full_range: signal.is_some_and(|signal| signal.video_full_range_flag),
            is_interlaced: !matches!(sps.frame_mbs_flags, FrameMbsFlags::Frames),
        }
    }
}

/// The NAL units of an Annex B byte stream, without their start codes.
pub fn nal_units(annex_b: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = skip_start_code(annex_b);
    std::iter::from_fn(move || {
        loop {
            let bytes = rest?;
            let end = (0..bytes.len())
                .find(|i| bytes[*i..].starts_with(&[0, 0, 1]) || bytes[*i..].starts_with(&[0, 0, 0]));
            let nal = &bytes[..end.unwrap_or(bytes.len())];
            rest = end.and_then(|end| skip_start_code(&bytes[end..]));
            if !nal.is_empty() {
                return Some(nal);
            }
        }
    })
}

/// What follows the first start code; `None` when there is none.
fn skip_start_code(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes.windows(3).position(|window| window == [0, 0, 1])?;
    Some(&bytes[at + 3..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::gop::{AccessUnit, Codec};
    use openh264::encoder::{Encoder, EncoderConfig, IntraFramePeriod};
    use openh264::formats::YUVBuffer;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    const FRAME_NS: i64 = 40_000_000;

    /// Frames of plain grey, each `8` lighter than the one before, so that a picture tells its number.
    fn encoded(frames: u8) -> Vec<AccessUnit> {
        let config =
            EncoderConfig::new().intra_frame_period(IntraFramePeriod::from_num_frames(u32::from(frames)));
        let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config).unwrap();
        let start = Instant::now();
        (0..frames)
            .map(|i| {
                let mut planes = vec![40 + 8 * i; 64 * 48];
                planes.extend([128; 64 * 48 / 2]);
                let data = encoder.encode(&YUVBuffer::from_vec(planes, 64, 48)).unwrap().to_vec();
                AccessUnit {
                    rtp_ns: i64::from(i) * FRAME_NS,
                    instant: start + Duration::from_millis(40) * u32::from(i),
                    data: data.into(),
                    is_idr: i == 0,
                    is_disposable: false,
                }
            })
            .collect()
    }

    fn excerpt(units: Vec<AccessUnit>, wanted: usize) -> Excerpt {
        Excerpt {
            codec: Codec::H264,
            wanted_rtp_ns: units[wanted].rtp_ns,
            instant: units[wanted].instant,
            units,
        }
    }

    #[test]
    fn the_wanted_picture_is_shown_and_no_other() {
        let units = encoded(20);
        for wanted in [0, 1, 7, 19] {
            let frame = decode(&excerpt(units[..=wanted].to_vec(), wanted)).unwrap();
            let shown = (f64::from(frame.y[1000]) - 40.0) / 8.0;
            assert!((shown - f64::from(u8::try_from(wanted).unwrap())).abs() < 0.5, "{wanted}: {shown}");
            assert_eq!((frame.width, frame.height), (64, 48));
        }
    }

    #[test]
    fn a_missing_reference_is_an_error_and_not_a_grey_picture() {
        let mut units = encoded(10);
        units.remove(0);
        assert!(decode(&excerpt(units, 5)).is_err());
    }

    #[test]
    fn nal_units_are_split_at_both_kinds_of_start_codes() {
        let stream = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65];
        let units: Vec<&[u8]> = nal_units(&stream).collect();
        assert_eq!(units, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65]]);
    }

    proptest! {
        #[test]
        fn splitting_any_bytes_never_panics(bytes in proptest::collection::vec(0_u8..3, 0..100)) {
            prop_assert!(nal_units(&bytes).all(|nal| !nal.is_empty()));
            let _ = StreamFacts::of(&bytes);
        }
    }
}
