//! Clips read back: their structure, their times, and what becomes of nonsense.

use std::time::{Duration, Instant};

use openh264::OpenH264API;
use openh264::encoder::{Encoder, EncoderConfig, IntraFramePeriod};
use openh264::formats::YUVBuffer;
use proptest::prelude::*;

use super::*;
use crate::media::gop::AccessUnit;
use crate::model::{CameraKey, Cause, ImageId, ImageKind, PictureFacts, UnixMs};

const FRAME_NS: i64 = 40_000_000;

fn unit(start: Instant, i: usize, rtp_ns: i64, data: Vec<u8>, is_idr: bool) -> AccessUnit {
    let instant = start + Duration::from_millis(40) * u32::try_from(i).unwrap();
    AccessUnit {
        rtp_ns,
        instant,
        data: data.into(),
        starts: is_idr.then_some(0),
        is_disposable: false,
        missing: 0,
        is_leading: false,
        doubt: None,
    }
}

/// Real video of 64×48, an IDR every ten frames.
fn video(frames: usize) -> UnitRange {
    let config = EncoderConfig::new().intra_frame_period(IntraFramePeriod::from_num_frames(10));
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config).unwrap();
    let start = Instant::now();
    let units = (0..frames).map(|i| {
        let mut planes = vec![40 + u8::try_from(i).unwrap(); 64 * 48];
        planes.extend([128; 64 * 48 / 2]);
        let data = encoder.encode(&YUVBuffer::from_vec(planes, 64, 48)).unwrap().to_vec();
        unit(start, i, i64::try_from(i).unwrap() * FRAME_NS, data, i % 10 == 0)
    });
    UnitRange { codec: Codec::H264, units: units.collect() }
}

fn caption_of(note: Option<&str>) -> exif::Caption {
    exif::Caption {
        facts: PictureFacts {
            id: ImageId::parse("000102030405060708090a0b0c0d0e0f").unwrap(),
            camera: CameraKey::parse("r1").unwrap(),
            cause: Cause::Gpio,
            kind: ImageKind::Clip,
            edge_at: UnixMs(1_698_765_432_250),
            frame_offset_ms: Some(-3_012),
            note: note.map(str::to_owned),
            push: None,
        },
        label: "Entry".to_owned(),
        utc_offset_s: 0,
    }
}

/// The content of a box, by the types of those around it.
fn within<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, kind| find(&boxes(bytes)?, kind))
}

const TABLE: [&[u8; 4]; 5] = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];

fn table<'a>(bytes: &'a [u8], kind: &'a [u8; 4]) -> Option<&'a [u8]> {
    find(&boxes(within(bytes, &TABLE)?)?, kind)
}

#[test]
fn a_clip_is_a_whole_file_with_its_facts_its_poster_and_every_frame() {
    let poster = [0xff, 0xd8, 1, 2, 3, 0xff, 0xd9];
    let caption_inside = caption_of(Some("shortened"));
    let clip = mux(&video(25), &exif::block(&caption_inside, &poster), 1_698_765_429).unwrap();
    assert_eq!((clip.width, clip.height, clip.duration_ms, clip.frames), (64, 48, 1000, 25));
    assert_eq!(inspect(&clip.bytes), Ok(Inside { width: 64, height: 48, duration_ms: 1000 }));
    assert_eq!(caption(&clip.bytes), Some(caption_inside));
    assert_eq!(thumbnail(&clip.bytes), Some(&poster[..]));
    let kinds: Vec<_> = boxes(&clip.bytes).unwrap().iter().map(|(kind, _)| kind.to_vec()).collect();
    assert_eq!(kinds, [b"ftyp", b"uuid", b"moov", b"mdat"], "what a player needs comes first");
    let idrs = table(&clip.bytes, b"stss").unwrap();
    assert_eq!(idrs[8..], [be(1), be(11), be(21)].concat());
}

#[test]
fn every_frame_lies_where_the_index_says_and_carries_no_parameter_sets() {
    let clip = mux(&video(12), b"", 0).unwrap();
    let mut at = usize::try_from(u32_at(table(&clip.bytes, b"stco").unwrap(), 8).unwrap()).unwrap();
    let sizes = table(&clip.bytes, b"stsz").unwrap();
    assert_eq!(u32_at(sizes, 8), Some(12));
    for frame in 0..12 {
        let size = usize::try_from(u32_at(sizes, 12 + 4 * frame).unwrap()).unwrap();
        let mut rest = &clip.bytes[at..at + size];
        while !rest.is_empty() {
            let length = usize::try_from(u32_at(rest, 0).unwrap()).unwrap();
            assert!(
                !matches!(rest[4] & 31, 7 | 8),
                "frame {frame}: parameter sets stand in the sample entry"
            );
            rest = &rest[4 + length..];
        }
        at += size;
    }
    assert_eq!(at, clip.bytes.len());
}

#[test]
fn frames_out_of_order_are_decoded_before_they_are_shown_and_the_wait_is_cut_off() {
    // I P B B P B B in decoding order.
    let shown = [0, 3, 1, 2, 6, 4, 5].map(|i| i * FRAME_NS);
    let schedule = Schedule::of(&shown).unwrap();
    assert_eq!(schedule.decode_deltas, [3600; 7]);
    assert_eq!(schedule.shift, 3600, "the first B-frame is decoded third and shown second");
    let frames: Vec<_> = schedule.composition.iter().map(|offset| offset / 3600).collect();
    assert_eq!(frames, [1, 3, 0, 0, 3, 0, 0]);
    assert_eq!(schedule.shown_ticks, 7 * 3600);
}

#[test]
fn a_stream_in_order_needs_no_edit() {
    let clip = mux(&video(3), b"", 0).unwrap();
    assert_eq!(table(&clip.bytes, b"ctts"), None);
    let edit = within(&clip.bytes, &[b"moov", b"trak", b"edts", b"elst"]).unwrap();
    assert_eq!((u32_at(edit, 8), u32_at(edit, 12)), (Some(3 * 3600), Some(0)));
}

#[test]
fn streams_that_no_clip_can_be_made_of_say_why() {
    let jpeg = UnitRange { codec: Codec::Jpeg, ..video(1) };
    assert!(mux(&jpeg, b"", 0).unwrap_err().to_string().contains("clips need H.264 or H.265"));
    let start = Instant::now();
    let bare = UnitRange { codec: Codec::H264, units: vec![unit(start, 0, 0, vec![0, 0, 1, 0x65, 9], true)] };
    assert_eq!(mux(&bare, b"", 0).unwrap_err(), NotMuxable::NoParameters);
    let mut hollow = video(1);
    let idr = hollow.units[0].data.to_vec();
    let slice = idr.windows(4).rposition(|w| w[..3] == [0, 0, 1] && w[3] & 31 == 5).unwrap();
    hollow.units[0].data = idr[..slice].into();
    assert_eq!(mux(&hollow, b"", 0).unwrap_err(), NotMuxable::NoPictures);
    let mut changed = video(20);
    let other: Vec<u8> = changed.units[10].data.iter().copied().collect();
    // Another level in the second group's sequence parameter set.
    let sps = other.windows(4).position(|w| w[..3] == [0, 0, 1] && w[3] & 31 == 7).unwrap();
    let mut data = other;
    data[sps + 6] ^= 1;
    changed.units[10].data = data.into();
    assert_eq!(mux(&changed, b"", 0).unwrap_err(), NotMuxable::Changed);
}

#[test]
fn torn_and_foreign_bytes_are_told_apart() {
    let clip = mux(&video(3), b"", 0).unwrap().bytes;
    assert_eq!(inspect(&clip[..clip.len() - 1]), Err(NotMp4::NoEnd));
    assert_eq!(inspect(&[&clip[..], b"\0"].concat()), Err(NotMp4::NoEnd));
    assert_eq!(inspect(b"\xff\xd8\xff\xd9"), Err(NotMp4::NoStart));
    assert_eq!(inspect(&boxed(b"ftyp", &[])), Err(NotMp4::NoVideo));
    let without_video = [boxed(b"ftyp", &[]), boxed(b"moov", &[]), boxed(b"mdat", &[b"x"])].concat();
    assert_eq!(inspect(&without_video), Err(NotMp4::NoVideo));
}

proptest! {
    #[test]
    fn every_frame_is_decoded_before_it_is_shown_and_shown_at_its_time(
        times in prop::collection::vec(0_i64..20_000, 1..60),
    ) {
        let times: Vec<i64> = times.iter().map(|ms| ms * 1_000_000 + 7_000_000_000).collect();
        let schedule = Schedule::of(&times).unwrap();
        let first = times.iter().min().unwrap();
        let mut decoded = 0_u32;
        for (i, time) in times.iter().enumerate() {
            let shown = i64::from(decoded + schedule.composition[i]) - i64::from(schedule.shift);
            prop_assert_eq!(shown, ticks(time - first));
            prop_assert!(schedule.decode_deltas[i] > 0);
            decoded += schedule.decode_deltas[i];
        }
        prop_assert_eq!(schedule.decoded_ticks(), u64::from(decoded));
        prop_assert!(schedule.shown_ticks > u64::try_from(ticks(times.iter().max().unwrap() - first)).unwrap());
    }

    #[test]
    fn any_time_stamps_are_taken_or_refused(times in prop::collection::vec(any::<i64>(), 0..10)) {
        let _ = Schedule::of(&times);
    }

    #[test]
    fn damaged_clips_never_panic(at: prop::sample::Index, value: u8, cut: prop::sample::Index) {
        let mut bytes = mux(&video(2), &exif::block(&caption_of(None), b""), 0).unwrap().bytes;
        let at = at.index(bytes.len());
        bytes[at] = value;
        bytes.truncate(cut.index(bytes.len() + 1));
        let _ = (inspect(&bytes), caption(&bytes), thumbnail(&bytes));
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (inspect(&bytes), caption(&bytes));
        let named = [boxed(b"ftyp", &[]), boxed(b"moov", &[&bytes]), boxed(b"mdat", &[&bytes])].concat();
        let _ = inspect(&named);
    }

    #[test]
    fn any_nal_units_lead_to_a_clip_or_a_reason(
        units in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..5), is_h265: bool,
    ) {
        let start = Instant::now();
        let units = units.into_iter().enumerate().map(|(i, nal)| {
            unit(start, i, i64::try_from(i).unwrap() * FRAME_NS, [&[0, 0, 1][..], &nal].concat(), i == 0)
        });
        let codec = if is_h265 { Codec::H265 } else { Codec::H264 };
        let _ = mux(&UnitRange { codec, units: units.collect() }, b"", 0);
    }
}
