//! Streams of real encoders through the buffer and every decoder: wherever decoding can begin, the picture is the one that
//! ffmpeg shows, and what a decoder cannot show it does not show.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use camera_capture::media::decoder::{DecoderKind, DecoderPolicy, why_none};
use camera_capture::media::gop::{AccessUnit, Codec, GopLimits, Gops};
use camera_capture::media::lane::DecodeSession;
use camera_capture::media::unit::{self, Starts};

const FRAME: Duration = Duration::from_millis(100);

/// A stream and what ffmpeg makes of it.
struct Stream {
    codec: Codec,
    units: Vec<AccessUnit>,
    /// In the order of display, luma alone.
    pictures: Vec<Vec<u8>>,
    start: Instant,
}

fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(["-v", "error"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

impl Stream {
    /// Encodes a moving test picture of this size.
    fn encode(codec: Codec, size: (u32, u32), frames: u32, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let source = format!("testsrc2=s={}x{}:r=10", size.0, size.1);
        let (file, raw) = (path("a.mkv"), path("a.es"));
        let mut all = vec!["-f", "lavfi", "-i", &source];
        let frames = frames.to_string();
        all.extend(["-frames:v", &frames]);
        all.extend(arguments);
        all.push(&file);
        run("ffmpeg", &all);
        let (filter, format, parameters) = match codec {
            Codec::H264 => ("h264_mp4toannexb,h264_metadata=aud=insert", "h264", [7, 8].as_slice()),
            _ => ("hevc_mp4toannexb,hevc_metadata=aud=insert", "hevc", [32, 33, 34].as_slice()),
        };
        run("ffmpeg", &["-i", &file, "-c", "copy", "-bsf:v", filter, "-f", format, &raw]);
        let probed = run("ffprobe", &["-show_entries", "packet=pts", "-of", "csv=p=0", &file]);
        let times = String::from_utf8(probed).unwrap();
        let times = times.lines().map(|line| line.trim_end_matches(',').parse::<i64>().unwrap());
        let planes = run(
            "ffmpeg",
            &[
                "-flags",
                "+output_corrupt",
                "-i",
                &file,
                "-vsync",
                "0",
                "-f",
                "rawvideo",
                "-pix_fmt",
                "gray",
                "-vf",
                "extractplanes=y,format=gray",
                "-",
            ],
        );
        let pictures = planes.chunks(size.0 as usize * size.1 as usize).map(<[u8]>::to_vec).collect();
        let (start, mut starts) = (Instant::now(), Starts::default());
        let data = std::fs::read(Path::new(&raw)).unwrap();
        let units = cut(codec, &data);
        let sets: Vec<u8> = nals(&units[0])
            .into_iter()
            .filter(|nal| parameters.contains(&kind(codec, nal)))
            .flat_map(|nal| [&[0, 0, 0, 1][..], nal].concat())
            .collect();
        let units = units.into_iter().zip(times).map(|(data, ms)| {
            let role = starts.role(codec, unit::kind(codec, &data), ms * 1_000_000);
            let data = if role.starts.is_some() { [&sets[..], &data].concat() } else { data };
            AccessUnit {
                rtp_ns: ms * 1_000_000,
                instant: start + Duration::from_millis(u64::try_from(ms).unwrap()),
                data: data.into(),
                starts: role.starts,
                is_disposable: role.is_disposable,
                missing: 0,
                is_leading: role.is_leading,
                doubt: None,
            }
        });
        Self { codec, units: units.collect(), pictures, start }
    }

    /// The buffer of a session that begins with this unit and has come to an end with that.
    fn seen(&self, from: usize, to: usize) -> Gops {
        let limits = GopLimits { bytes: 48 << 20, span: Duration::from_secs(60) };
        let mut gops = Gops::new(self.codec, limits, Duration::from_secs(2));
        for unit in &self.units[from..to] {
            gops.push(unit.clone());
        }
        gops
    }
}

fn kind(codec: Codec, nal: &[u8]) -> u8 {
    if codec == Codec::H264 { nal[0] & 31 } else { nal[0] >> 1 & 63 }
}

fn nals(data: &[u8]) -> Vec<&[u8]> {
    camera_capture::media::h264::nal_units(data).collect()
}

/// Access units, each of which begins with a delimiter.
fn cut(codec: Codec, data: &[u8]) -> Vec<Vec<u8>> {
    let delimiter = if codec == Codec::H264 { 9 } else { 35 };
    let mut units: Vec<Vec<u8>> = Vec::new();
    for nal in nals(data) {
        if kind(codec, nal) == delimiter {
            units.push(Vec::new());
        }
        let unit = units.last_mut().unwrap();
        unit.extend([0, 0, 0, 1]);
        unit.extend(nal);
    }
    units
}

/// What an excerpt is of, and what every decoder that may be chosen makes of it.
struct Outcome {
    number: usize,
    is_clean: bool,
    /// Mean difference of luma to what ffmpeg shows, or why there is no picture.
    shown: Vec<(DecoderKind, Result<f64, String>)>,
}

impl Stream {
    fn at(&self, gops: &Gops, number: u32) -> Outcome {
        let excerpt = gops.nearest(self.start + FRAME * number).unwrap();
        let number = usize::try_from(excerpt.wanted_rtp_ns / 100_000_000).unwrap();
        let shown = |kind: DecoderKind| match DecodeSession::default().picture(&excerpt, kind, 1) {
            Ok(decoded) => {
                let (ours, theirs) = (&decoded.frame.y, &self.pictures[number]);
                assert_eq!(ours.len(), theirs.len(), "{kind:?}: {:?}", decoded.frame);
                let sum: u64 = ours.iter().zip(theirs).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
                Ok(sum as f64 / ours.len() as f64)
            }
            Err(error) => Err(error.to_string()),
        };
        let kinds = DecoderKind::candidates(self.codec, &excerpt.units[0].data, DecoderPolicy::Auto);
        let shown = kinds.into_iter().map(|kind| (kind, shown(kind))).collect();
        Outcome { number, is_clean: excerpt.is_clean(), shown }
    }
}

/// Every tenth picture is given again where a session saw these units, exactly and by every decoder that may be chosen.
fn check_exact(claim: &str, stream: &Stream, (from, to): (usize, usize), pictures: &[u32]) {
    let gops = stream.seen(from, to);
    for wanted in pictures {
        let outcome = stream.at(&gops, *wanted);
        assert_eq!((outcome.number, outcome.is_clean), (*wanted as usize, true), "{claim}");
        assert!(!outcome.shown.is_empty(), "{claim}: no decoder");
        for (kind, shown) in outcome.shown {
            let difference =
                shown.unwrap_or_else(|error| panic!("{claim}, {kind:?}, picture {wanted}: {error}"));
            assert!(difference < 0.01, "{claim}, {kind:?}, picture {wanted}: {difference}");
        }
    }
}

const OPEN: [&str; 4] = [
    "-c:v",
    "libx264",
    "-x264-params",
    "keyint=20:min-keyint=20:scenecut=0:open-gop=1:bframes=2:b-adapt=0:repeat-headers=1",
];

/// As x264 does by default in many encoders: an IDR every 256 pictures (voxel51/fiftyone 8490), or once.
#[test]
fn groups_that_begin_with_a_recovery_point_are_decoded_from_there() {
    let stream = Stream::encode(Codec::H264, (320, 192), 100, &OPEN);
    let starts: Vec<_> = stream.units.iter().filter_map(|unit| unit.starts).collect();
    assert_eq!(starts, [0; 5]);
    assert!(stream.units.iter().any(|unit| unit.is_leading));
    // Leading pictures of the newest group come with the group before.
    check_exact("open groups", &stream, (5, 75), &[40, 41, 43, 52, 58, 59, 60, 61, 71]);
    check_exact("open groups from the begin", &stream, (0, 18), &[0, 1, 5, 16]);
    let h265 = [
        "-c:v",
        "libx265",
        "-x265-params",
        "log-level=0:keyint=20:min-keyint=20:scenecut=0:open-gop=1:bframes=2",
    ];
    let stream = Stream::encode(Codec::H265, (320, 192), 100, &h265);
    check_exact("open groups of H.265", &stream, (5, 75), &[40, 41, 43, 52, 58, 59, 60, 61, 71]);
}

/// Without a keyframe but the first (rockchip-linux/mpp 523).
#[test]
fn with_intra_refresh_a_picture_is_whole_or_known_not_to_be() {
    if !camera_capture::media::native::libav::is_available() {
        return;
    }
    let refresh = ["-c:v", "libx264", "-x264-params", "keyint=20:intra-refresh=1:bframes=0:repeat-headers=1"];
    let stream = Stream::encode(Codec::H264, (320, 192), 100, &refresh);
    let starts: Vec<_> =
        stream.units.iter().enumerate().filter_map(|(i, unit)| Some((i, unit.starts?))).collect();
    assert_eq!(starts, [(0, 0), (20, 18), (40, 18), (60, 18), (80, 18)]);
    check_exact("refresh", &stream, (5, 75), &[57, 58, 60, 65, 74]);
    // Of a new connection, nothing is whole yet; it is shown all the same, and called what it is.
    let outcome = stream.at(&stream.seen(5, 30), 28);
    assert_eq!((outcome.number, outcome.is_clean), (28, false));
    let [(DecoderKind::Libavcodec, Ok(difference))] = outcome.shown[..] else {
        panic!("{:?}", outcome.shown)
    };
    assert!(difference > 1.0, "half of it is from before: {difference}");
}

/// Thermal cameras, broadcast encoders, and sizes that are no whole macroblocks: not a line lost with any decoder.
#[test]
fn every_layout_of_samples_is_shown_by_each_decoder_that_takes_it() {
    let h264 = |pixels| vec!["-c:v", "libx264", "-pix_fmt", pixels, "-preset", "veryfast"];
    let h265 = |pixels| {
        vec!["-c:v", "libx265", "-pix_fmt", pixels, "-preset", "ultrafast", "-x265-params", "log-level=0"]
    };
    for (pixels, built_in) in [("gray", true), ("yuv422p", true), ("yuvj422p", true), ("yuv444p", false)] {
        let stream = Stream::encode(Codec::H264, (600, 346), 12, &h264(pixels));
        check_exact(pixels, &stream, (0, 12), &[0, 9]);
        let kinds = stream.at(&stream.seen(0, 12), 5).shown;
        assert_eq!(kinds.iter().any(|(kind, _)| *kind == DecoderKind::RustH264), built_in, "{pixels}");
    }
    for pixels in ["gray", "yuv422p", "yuv444p"] {
        let stream = Stream::encode(Codec::H265, (600, 346), 12, &h265(pixels));
        if camera_capture::media::native::libav::is_available() {
            check_exact(pixels, &stream, (0, 12), &[0, 9]);
        }
    }
    for (codec, arguments) in [
        (Codec::H264, h264("yuv420p10le")),
        (Codec::H264, h264("yuv422p10le")),
        (Codec::H265, h265("yuv420p10le")),
        (Codec::H265, h265("gray12le")),
    ] {
        // ffmpeg rounds where we cut.
        let stream = Stream::encode(codec, (600, 346), 12, &arguments);
        let outcome = stream.at(&stream.seen(0, 12), 9);
        for (kind, shown) in outcome.shown {
            assert!(
                shown.as_ref().is_ok_and(|difference| *difference < 1.0),
                "{arguments:?} {kind:?}: {shown:?}"
            );
        }
    }
}

#[test]
fn what_no_decoder_takes_is_named_with_what_to_do() {
    let deep = Stream::encode(Codec::H264, (320, 192), 2, &["-c:v", "libx264", "-pix_fmt", "yuv444p10le"]);
    let first = &deep.units[0].data;
    assert_eq!(DecoderKind::candidates(Codec::H264, first, DecoderPolicy::OpenH264), []);
    let words = why_none(Codec::H264, first);
    assert!(
        words.contains("4:4:4, 10 bit") && words.contains("libavcodec") | words.contains("DECODER"),
        "{words}"
    );
}
