//! H.264 decoding: from the IDR to the one wanted picture.

use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::nal::{Nal, RefNal, UnitType};
use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;

use super::frame::Frame;
use super::gop::Excerpt;

/// The wanted picture cannot be had from these access units.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The decoder could not be set up.
    #[error("cannot start the H.264 decoder: {0}")]
    Start(openh264::Error),
    /// The stream is damaged or uses what the decoder lacks.
    #[error("the H.264 decoder refused frame {number} of {total}: {source}")]
    Refused {
        /// Which unit since the IDR, from 1.
        number: usize,
        /// How many there are.
        total: usize,
        /// What the decoder said.
        source: openh264::Error,
    },
    /// The units were taken, but the wanted picture did not come out.
    #[error("the H.264 decoder took {total} frames and gave {shown}, without the wanted one")]
    NotShown {
        /// Pictures that came out.
        shown: usize,
        /// Units that went in.
        total: usize,
    },
}

/// Decodes the wanted picture of an excerpt. Blocking, tens of milliseconds for each frame since the IDR on a small
/// computer.
pub fn decode(excerpt: &Excerpt) -> Result<Frame, DecodeError> {
    // The default flushes after every unit, which breaks streams with B-frames (OpenH264 error 16384).
    let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    let mut decoder =
        Decoder::with_api_config(OpenH264API::from_source(), config).map_err(DecodeError::Start)?;
    let is_full_range = excerpt.units.first().is_some_and(|unit| is_full_range(&unit.data));
    // Pictures come out in display order and carry no time, so the wanted one is known by its rank.
    let rank = excerpt.units.iter().filter(|unit| unit.rtp_ns < excerpt.wanted_rtp_ns).count();
    let total = excerpt.units.len();
    let mut shown = 0;
    for (i, unit) in excerpt.units.iter().enumerate() {
        let refused = |source| DecodeError::Refused { number: i + 1, total, source };
        if let Some(picture) = decoder.decode(&unit.data).map_err(refused)? {
            if shown == rank {
                return copy(&picture, is_full_range).ok_or(DecodeError::NotShown { shown, total });
            }
            shown += 1;
        }
    }
    let refused = |source| DecodeError::Refused { number: total, total, source };
    for picture in decoder.flush_remaining().map_err(refused)? {
        if shown == rank {
            return copy(&picture, is_full_range).ok_or(DecodeError::NotShown { shown, total });
        }
        shown += 1;
    }
    Err(DecodeError::NotShown { shown, total })
}

fn copy(picture: &DecodedYUV<'_>, is_full_range: bool) -> Option<Frame> {
    let (y, u, v) = picture.strides();
    Frame::from_strided(
        picture.dimensions(),
        [(picture.y(), y), (picture.u(), u), (picture.v(), v)],
        is_full_range,
    )
}

/// `video_full_range_flag` of the parameter set in an IDR unit; video range when nothing says otherwise (ITU-T H.264
/// section E.2.1).
fn is_full_range(annex_b: &[u8]) -> bool {
    let sps = nal_units(annex_b).find_map(|nal| {
        let nal = RefNal::new(nal, &[], true);
        (nal.header().ok()?.nal_unit_type() == UnitType::SeqParameterSet)
            .then(|| SeqParameterSet::from_bits(nal.rbsp_bits()).ok())?
    });
    sps.and_then(|sps| sps.vui_parameters)
        .and_then(|vui| vui.video_signal_type)
        .is_some_and(|signal| signal.video_full_range_flag)
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
    use crate::media::gop::AccessUnit;
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
                }
            })
            .collect()
    }

    fn excerpt(units: Vec<AccessUnit>, wanted: usize) -> Excerpt {
        Excerpt { wanted_rtp_ns: units[wanted].rtp_ns, instant: units[wanted].instant, units }
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
            let _ = is_full_range(&bytes);
        }
    }
}
