//! What several threads decode at once is what one decodes: every picture to the bit, every error, and what is asked for
//! afterwards.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use camera_capture::media::decode_error::DecodeError;
use camera_capture::media::decoder::DecoderKind;
use camera_capture::media::frame::Frame;
use camera_capture::media::gop::{AccessUnit, Codec, DecodeRun};
use camera_capture::media::lane::DecodeSession;
use camera_capture::media::native::libav;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use super::support::{machine_alone, report, scale};

/// One group each, as encoders of cameras make them, and as they do not.
const STREAMS: &[(&str, Codec, &str)] = &[
    ("one slice, no B-frames", Codec::H264, "-c:v libx264 -x264-params bframes=0"),
    ("B-frames that others refer to", Codec::H264, "-c:v libx264 -x264-params bframes=3:b-pyramid=normal"),
    ("four slices", Codec::H264, "-c:v libx264 -x264-params bframes=0:slices=4"),
    ("Baseline", Codec::H264, "-c:v libx264 -profile:v baseline -x264-params ref=3"),
    ("interlaced", Codec::H264, "-c:v libx264 -x264-params bframes=0:tff=1"),
    ("open group", Codec::H264, "-c:v libx264 -x264-params bframes=2:keyint=10:open-gop=1"),
    (
        "refreshed a part at a time",
        Codec::H264,
        "-c:v libx264 -x264-params bframes=0:keyint=12:intra-refresh=1",
    ),
    ("H.265", Codec::H265, "-c:v libx265 -x265-params log-level=error:bframes=0"),
    ("H.265, B-frames", Codec::H265, "-c:v libx265 -x265-params log-level=error:bframes=3"),
    (
        "H.265, open group",
        Codec::H265,
        "-c:v libx265 -x265-params log-level=error:bframes=2:keyint=10:open-gop=1",
    ),
    ("H.265, four slices", Codec::H265, "-c:v libx265 -x265-params log-level=error:bframes=0:slices=4"),
    (
        "H.265, ten bits",
        Codec::H265,
        "-pix_fmt yuv420p10le -c:v libx265 -x265-params log-level=error:bframes=0",
    ),
];

/// Units of each stream.
const UNITS: usize = 32;

static ENCODED: LazyLock<Vec<(Codec, Vec<AccessUnit>)>> =
    LazyLock::new(|| STREAMS.iter().map(|(_, codec, encoder)| (*codec, encode(*codec, encoder))).collect());

fn encode(codec: Codec, encoder: &str) -> Vec<AccessUnit> {
    encode_as(codec, encoder, "320x192", UNITS)
}

fn encode_as(codec: Codec, encoder: &str, size: &str, frames: usize) -> Vec<AccessUnit> {
    let (source, form) = (
        format!("testsrc2=s={size}:r=25,noise=alls=6:allf=t,trim=end_frame={frames}"),
        if codec == Codec::H264 { "h264" } else { "hevc" },
    );
    let output = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-f", "lavfi", "-i", &source, "-pix_fmt", "yuv420p"])
        .args(encoder.split(' '))
        .args(["-preset", "veryfast", "-f", form, "-"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let units = units(codec, &output.stdout);
    assert_eq!(units.len(), frames, "{encoder}");
    units
}

/// Cuts an Annex B stream into access units. Their times only name them: they are in the order of decoding.
fn units(codec: Codec, stream: &[u8]) -> Vec<AccessUnit> {
    let starts: Vec<usize> = memchr::memmem::find_iter(stream, &[0, 0, 1]).collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    let (mut units, mut has_picture): (Vec<Vec<u8>>, bool) = (vec![Vec::new()], false);
    for (start, end) in starts.iter().copied().zip(ends) {
        let nal = &stream[start..end];
        let (is_slice, is_first) = match codec {
            Codec::H264 => (matches!(nal[3] & 31, 1 | 5), nal[4] & 0x80 != 0),
            _ => (nal[3] >> 1 & 63 < 32, nal[5] & 0x80 != 0),
        };
        if has_picture && (is_first || !is_slice) {
            units.push(Vec::new());
            has_picture = false;
        }
        has_picture |= is_slice;
        units.last_mut().unwrap().extend(nal);
    }
    let begin = Instant::now();
    let unit = |(i, data): (u32, Vec<u8>)| AccessUnit {
        rtp_ns: i64::from(i) * 40_000_000,
        instant: begin + Duration::from_millis(40) * i,
        data: data.into(),
        starts: (i == 0).then_some(0),
        is_disposable: false,
        missing: 0,
        is_leading: false,
        doubt: None,
    };
    (0..).zip(units).map(unit).collect()
}

fn excerpt(codec: Codec, units: &[AccessUnit], wanted: usize) -> DecodeRun {
    let AccessUnit { rtp_ns, instant, .. } = units[wanted];
    DecodeRun {
        codec,
        units: units[..=wanted].to_vec(),
        wanted_rtp_ns: rtp_ns,
        instant,
        remark: None,
        spacing: Duration::ZERO,
    }
}

fn picture(lane: &mut DecodeSession, excerpt: &DecodeRun, threads: usize) -> Result<Arc<Frame>, DecodeError> {
    lane.picture(excerpt, DecoderKind::Libavcodec, threads).map(|decoded| decoded.frame)
}

/// Asks for pictures one after the other, some of them begun before, and compares each with that of a decoder of its own
/// and without threads. Returns how many failed with both.
///
/// Some damage of H.265 no decoder can notice, and what it points to may not be decoded yet: then threads may show another
/// picture than one, if neither shows that of the `whole` stream.
fn compare(
    codec: Codec,
    whole: &[AccessUnit],
    units: &[AccessUnit],
    threads: usize,
    wishes: &[(Index, Index)],
) -> usize {
    let (mut lane, go_on) = (DecodeSession::default(), AtomicBool::new(false));
    let mut known: BTreeMap<usize, Result<Arc<Frame>, DecodeError>> = BTreeMap::new();
    let mut failed = 0;
    for (wanted, begun) in wishes {
        let wanted = wanted.index(units.len());
        let early = excerpt(codec, units, begun.index(wanted + 1));
        if !early.units.len().is_multiple_of(3) {
            lane.begin(&early, DecoderKind::Libavcodec, threads, &go_on);
        }
        let excerpt = excerpt(codec, units, wanted);
        let alone =
            known.entry(wanted).or_insert_with(|| picture(&mut DecodeSession::default(), &excerpt, 1));
        let shown = picture(&mut lane, &excerpt, threads);
        if shown.is_ok() && alone.is_ok() && shown != *alone {
            let place = whole.iter().position(|unit| unit.rtp_ns == excerpt.wanted_rtp_ns).unwrap();
            let right = picture(&mut DecodeSession::default(), &self::excerpt(codec, whole, place), 1);
            assert!(shown != right && *alone != right, "unit {wanted} with {threads} threads");
        } else {
            assert_eq!(shown, *alone, "unit {wanted} with {threads} threads");
        }
        failed += usize::from(alone.is_err());
    }
    failed
}

#[test]
fn threads_show_what_one_shows() {
    if !libav::is_available() {
        eprintln!("SKIPPED: libavcodec is not installed");
        return;
    }
    for (i, (name, ..)) in STREAMS.iter().enumerate() {
        let (codec, units) = &ENCODED[i];
        for threads in 2..=5 {
            let mut lane = DecodeSession::default();
            for wanted in [0, 5, 6, 20, 21, UNITS - 1, 3] {
                let excerpt = excerpt(*codec, units, wanted);
                let alone = picture(&mut DecodeSession::default(), &excerpt, 1);
                assert!(alone.is_ok(), "{name}, unit {wanted}: {alone:?}");
                assert_eq!(picture(&mut lane, &excerpt, threads), alone, "{name}, unit {wanted}");
            }
            assert_eq!(lane.threads(), threads, "{name}: threads met trouble in an undamaged stream");
        }
    }
}

#[test]
fn whatever_is_damaged_and_asked_for_threads_say_what_one_says() {
    if !libav::is_available() {
        eprintln!("SKIPPED: libavcodec is not installed");
        return;
    }
    let damage = prop_oneof![
        1 => Just(None),
        4 => (any::<Index>(), any::<Index>(), 0_u8..4, any::<[u8; 16]>()).prop_map(Some),
    ];
    let wishes = proptest::collection::vec((any::<Index>(), any::<Index>()), 1..5);
    let story = (0..STREAMS.len(), 2_usize..=5, damage, wishes);
    let (cases, failed) = (256, AtomicBool::new(false));
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let result = runner.run(&story, |(stream, threads, damage, wishes)| {
        let (codec, whole) = &ENCODED[stream];
        let mut units = whole.clone();
        if let Some((unit, place, kind, noise)) = damage {
            let i = unit.index(units.len());
            let mut data = units[i].data.to_vec();
            let at = place.index(data.len() - 6) + 6;
            match kind {
                0 => data[at] ^= 1 << (noise[0] & 7),
                1 => data.truncate(at),
                2 => data.iter_mut().skip(at).zip(noise).for_each(|(byte, noise)| *byte = noise),
                _ => data.clear(),
            }
            if data.is_empty() && i > 0 {
                units.remove(i);
            } else if !data.is_empty() {
                units[i].data = data.into();
            }
        }
        let some = compare(*codec, whole, &units, threads, &wishes) > 0;
        failed.fetch_or(some, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    });
    result.unwrap();
    assert!(failed.into_inner(), "no damage was ever met");
}

/// Only figures: how long a burst takes with each number of threads, in turns. `BURSTS` of each.
#[tokio::test]
async fn threads_make_a_burst_sooner() {
    let _machine = machine_alone().await;
    if !libav::is_available() {
        eprintln!("SKIPPED: libavcodec is not installed");
        return;
    }
    let encoder = "-c:v libx264 -profile:v high -b:v 4M -maxrate 4M -bufsize 4M -x264-params \
                   bframes=0:keyint=250:scenecut=0:threads=2";
    let units = encode_as(Codec::H264, encoder, "1920x1080", 125);
    for group in [50, 250] {
        let excerpt = excerpt(Codec::H264, &units, group / 2 - 1);
        let mut took: BTreeMap<usize, Vec<Duration>> = BTreeMap::new();
        for _ in 0..scale("BURSTS", 3) {
            for threads in 1..=4 {
                let (mut lane, began) = (DecodeSession::default(), Instant::now());
                picture(&mut lane, &excerpt, threads).unwrap();
                took.entry(threads).or_default().push(began.elapsed());
            }
        }
        let medians = took.values_mut().map(|took| {
            took.sort_unstable();
            took[took.len() / 2].as_secs_f64() * 1000.0
        });
        let medians: Vec<f64> = medians.collect();
        let shares: Vec<String> =
            medians.iter().map(|ms| format!("{ms:.0} ms ({:.2})", ms / medians[0])).collect();
        report(&format!(
            "{} frames of 1080p at once, half a group of {group}, by 1 to 4 threads: {}",
            group / 2,
            shares.join(", ")
        ));
    }
}
