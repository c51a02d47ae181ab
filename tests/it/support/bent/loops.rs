//! What bent cameras send: pictures that show their instant, encoded by ffmpeg, once.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use camera_capture::demo::framecode;

/// Length of a loop in seconds; picture `i` stands for the instant `i / fps`.
pub(crate) const LOOP_S: u8 = 10;

/// Part of the files' names; another one when the pictures change.
const VERSION: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    H264,
    H265,
    Jpeg,
}

/// How a loop is encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    /// Of its file.
    pub(crate) name: &'static str,
    pub(crate) codec: Codec,
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) fps: u64,
    /// More words for the encoder.
    pub(crate) options: &'static [&'static str],
    /// More parameters of x264 or x265.
    pub(crate) parameters: &'static str,
}

/// What nearly all of them send.
pub(crate) const PLAIN_LOOP: Stream = Stream {
    name: "plain",
    codec: Codec::H264,
    width: 640,
    height: 360,
    fps: 20,
    options: &["-profile:v", "main", "-pix_fmt", "yuv420p"],
    parameters: "keyint=20:min-keyint=20:bframes=0",
};

/// A quantisation table: all alike.
const TABLE: &str = "8,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16";

/// Four slices a picture.
pub(crate) const SLICES_LOOP: Stream =
    Stream { name: "slices", parameters: "keyint=20:min-keyint=20:bframes=0:slices=4", ..PLAIN_LOOP };

/// CAVLC.
pub(crate) const BASELINE_LOOP: Stream =
    Stream { name: "baseline", options: &["-profile:v", "baseline", "-pix_fmt", "yuv420p"], ..PLAIN_LOOP };

/// Ten pictures a second.
pub(crate) const SLOW_LOOP: Stream =
    Stream { name: "slow", fps: 10, parameters: "keyint=10:min-keyint=10:bframes=0", ..PLAIN_LOOP };

/// One IDR in the loop, else recovery points every two seconds.
pub(crate) const RECOVERY_LOOP: Stream = Stream {
    name: "recovery",
    fps: 10,
    parameters: "keyint=20:open-gop=1:bframes=1:b-adapt=1:b-bias=-100",
    ..PLAIN_LOOP
};

/// One IDR in the loop, else a stripe of each picture is refreshed.
pub(crate) const REFRESH_LOOP: Stream =
    Stream { name: "refresh", fps: 10, parameters: "keyint=20:intra-refresh=1:bframes=0", ..PLAIN_LOOP };

/// 4:2:2.
pub(crate) const HIGH422_LOOP: Stream =
    Stream { name: "high422", options: &["-profile:v", "high422", "-pix_fmt", "yuv422p"], ..PLAIN_LOOP };

/// 10 bit.
pub(crate) const HIGH10_LOOP: Stream =
    Stream { name: "high10", options: &["-profile:v", "high10", "-pix_fmt", "yuv420p10le"], ..PLAIN_LOOP };

/// No colours.
pub(crate) const GREY_LOOP: Stream =
    Stream { name: "grey", options: &["-profile:v", "high", "-pix_fmt", "gray"], ..PLAIN_LOOP };

/// Cropped on both sides.
pub(crate) const ODD_LOOP: Stream = Stream { name: "odd", width: 600, height: 346, ..PLAIN_LOOP };

/// Full range, and said.
pub(crate) const FULL_LOOP: Stream = Stream {
    name: "full",
    options: &[
        "-profile:v",
        "main",
        "-vf",
        "scale=out_range=pc",
        "-pix_fmt",
        "yuv420p",
        "-color_range",
        "pc",
    ],
    ..PLAIN_LOOP
};

/// H.265.
pub(crate) const H265_LOOP: Stream = Stream {
    name: "h265",
    codec: Codec::H265,
    options: &["-pix_fmt", "yuv420p"],
    parameters: "keyint=20:min-keyint=20:bframes=0:open-gop=0",
    ..PLAIN_LOOP
};

/// H.265, 10 bit.
pub(crate) const MAIN10_LOOP: Stream = Stream {
    name: "main10",
    codec: Codec::H265,
    options: &["-pix_fmt", "yuv420p10le"],
    parameters: "keyint=20:min-keyint=20:bframes=0:open-gop=0",
    ..PLAIN_LOOP
};

/// JPEG.
pub(crate) const JPEG_LOOP: Stream =
    Stream { name: "jpeg", codec: Codec::Jpeg, fps: 10, options: &[], parameters: "", ..PLAIN_LOOP };

/// JPEG whose tables are the same.
pub(crate) const TABLE_LOOP: Stream = Stream {
    name: "table",
    codec: Codec::Jpeg,
    fps: 10,
    options: &["-qmin", "6", "-qmax", "6", "-intra_matrix", TABLE, "-chroma_intra_matrix", TABLE],
    parameters: "",
    ..PLAIN_LOOP
};

/// JPEG too large for the head of its packets.
pub(crate) const HUGE_JPEG_LOOP: Stream = Stream {
    name: "huge-jpeg",
    codec: Codec::Jpeg,
    width: 2560,
    height: 1440,
    fps: 2,
    options: &["-q:v", "16"],
    parameters: "",
};

/// The pictures of a loop, each its units.
pub(crate) type Pictures = Arc<Vec<Vec<Vec<u8>>>>;

/// The loops of this process.
static KNOWN: Mutex<Option<HashMap<&'static str, Pictures>>> = Mutex::new(None);

/// The pictures of a loop. Encodes it if there is no file of it; nobody else encodes meanwhile.
pub(crate) fn pictures(stream: &Stream) -> Pictures {
    let mut known = KNOWN.lock().unwrap();
    let known = known.get_or_insert_default();
    Arc::clone(known.entry(stream.name).or_insert_with(|| Arc::new(split(stream, &read(stream)))))
}

fn read(stream: &Stream) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("rtsp-loops");
    let path = folder.join(format!("bent-{}-{VERSION}.bin", stream.name));
    if let Ok(bytes) = std::fs::read(&path) {
        return bytes;
    }
    std::fs::create_dir_all(&folder).unwrap();
    let unfinished: PathBuf = path.with_extension(std::process::id().to_string());
    encode(stream, &unfinished);
    std::fs::rename(&unfinished, &path).unwrap();
    std::fs::read(&path).unwrap()
}

fn encode(stream: &Stream, path: &Path) {
    let size = format!("{}x{}", stream.width, stream.height);
    let rate = stream.fps.to_string();
    let more = if stream.parameters.is_empty() { String::new() } else { format!(":{}", stream.parameters) };
    let x26x = format!("scenecut=0:aud=1:repeat-headers=1:log-level=error{more}");
    let (format, words) = match stream.codec {
        Codec::H264 => {
            ("h264", vec!["-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-x264-params", &x26x])
        }
        Codec::H265 => {
            ("hevc", vec!["-c:v", "libx265", "-preset", "ultrafast", "-crf", "28", "-x265-params", &x26x])
        }
        Codec::Jpeg => {
            ("mjpeg", vec!["-c:v", "mjpeg", "-q:v", "8", "-pix_fmt", "yuvj420p", "-huffman", "default"])
        }
    };
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", &size, "-r", &rate])
        .args(["-i", "-"])
        .args(words)
        .args(stream.options)
        .args(["-f", format])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("ffmpeg, which scripts/test installs");
    let mut stdin = ffmpeg.stdin.take().unwrap();
    for frame in frames(stream) {
        stdin.write_all(&frame).unwrap();
    }
    drop(stdin);
    assert!(ffmpeg.wait().unwrap().success(), "{} cannot be encoded", stream.name);
}

/// A mosaic, a bar of noise that moves over it, and the instant.
fn frames(stream: &Stream) -> impl Iterator<Item = Vec<u8>> {
    let (width, height, fps) = (usize::from(stream.width), usize::from(stream.height), stream.fps);
    let mut random = fastrand::Rng::with_seed(7);
    let tiles: Vec<u8> = std::iter::repeat_with(|| random.u8(50..190)).take(64 * 64).collect();
    let mut scene = Vec::with_capacity(width * height);
    for y in 0..height {
        scene.extend((0..width).map(|x| tiles[y / 24 % 64 * 64 + x / 24 % 64] + random.u8(0..6)));
    }
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    let chroma: Vec<u8> = (0..2 * half_width * half_height)
        .map(|n| u8::try_from(118 + n % half_width * 20 / half_width).unwrap())
        .collect();
    (0..fps * u64::from(LOOP_S)).map(move |i| {
        let mut frame = scene.clone();
        let left = usize::try_from(i).unwrap() * 7 % (width - width / 5);
        for row in frame.chunks_mut(width).take(2 * height / 3).skip(height / 3) {
            row[left..left + width / 5].fill_with(|| random.u8(150..200));
        }
        let instant = i64::try_from(i * 1000 / fps).unwrap();
        framecode::draw(&mut frame, width, height, width, instant, LOOP_S);
        frame.extend(&chroma);
        frame
    })
}

/// Cuts a file into pictures: delimiters and the encoder's own message are left out.
fn split(stream: &Stream, bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut pictures: Vec<Vec<Vec<u8>>> = Vec::new();
    if stream.codec == Codec::Jpeg {
        let mut rest = bytes;
        while let Some(end) = memchr::memmem::find(rest, b"\xff\xd9") {
            pictures.push(vec![rest[..end + 2].to_vec()]);
            rest = &rest[end + 2..];
        }
        return pictures;
    }
    let starts: Vec<_> = memchr::memmem::find_iter(bytes, &[0, 0, 1]).map(|at| at + 3).collect();
    for (n, &start) in starts.iter().enumerate() {
        let end = starts.get(n + 1).map_or(bytes.len(), |next| next - 3);
        // A zero byte before a start code is of the start code.
        let mut unit = &bytes[start..end];
        while let [rest @ .., 0] = unit {
            unit = rest;
        }
        match (kind(unit, stream.codec), stream.codec) {
            (9, Codec::H264) | (35, Codec::H265) => pictures.push(Vec::new()),
            (6, Codec::H264) if unit[1] == 5 => {}
            (39, Codec::H265) if unit[2] == 5 => {}
            _ => pictures.last_mut().unwrap().push(unit.to_vec()),
        }
    }
    pictures
}

/// The kind of a unit: ITU-T H.264 table 7-1, H.265 table 7-1.
pub(crate) fn kind(unit: &[u8], codec: Codec) -> u8 {
    match codec {
        Codec::H264 => unit[0] & 31,
        Codec::H265 => unit[0] >> 1 & 63,
        Codec::Jpeg => 0,
    }
}

/// Whether a unit is a parameter set.
pub(crate) fn is_set(unit: &[u8], codec: Codec) -> bool {
    match codec {
        Codec::H264 => matches!(unit[0] & 31, 7 | 8),
        Codec::H265 => matches!(unit[0] >> 1 & 63, 32..=34),
        Codec::Jpeg => false,
    }
}
