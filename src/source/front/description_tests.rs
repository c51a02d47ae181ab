//! Descriptions as cameras write them.

use super::*;
use proptest::prelude::*;

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=Media\r\nt=0 0\r\n";

/// Sequence parameter sets of 1280×720 and 352×288, baseline, without anything beside the size.
fn sps(columns: u32, rows: u32) -> Vec<u8> {
    let ue = |value: u32| {
        let code = format!("{:b}", value + 1);
        format!("{}{code}", "0".repeat(code.len() - 1))
    };
    // Number, frame_num, order type 2, references; no gaps; size; frames only, direct inference, no cropping, no VUI.
    let mut bits = [0, 0, 2, 1].map(ue).concat();
    bits.push_str(&format!("0{}{}11001", ue(columns - 1), ue(rows - 1)));
    while !bits.len().is_multiple_of(8) {
        bits.push('0');
    }
    let bytes = bits
        .as_bytes()
        .chunks(8)
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap());
    [0x67, 66, 0, 30].into_iter().chain(bytes).collect()
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn read(text: &str) -> CameraDescription {
    CameraDescription::read(text.as_bytes()).unwrap()
}

/// The one medium of a description.
fn one(text: &str) -> Media {
    let mut media = read(text).media;
    assert_eq!(media.len(), 1, "{text}");
    media.remove(0)
}

/// Payload type, encoding and clock rate of what is chosen.
fn chosen(text: &str) -> Option<(u8, String, u32)> {
    let description = read(text);
    let media = &description.media[description.best_video()?];
    Some((media.payload_type, media.encoding.clone(), media.clock_rate))
}

#[test]
fn many_media_and_many_lines_are_too_many() {
    let media = |count| {
        CameraDescription::read("m=video 0 RTP/AVP 96\r\n".repeat(count).as_bytes())
            .map(|read| read.media.len())
    };
    assert_eq!(media(MEDIA_MAX), Ok(MEDIA_MAX));
    assert_eq!(media(MEDIA_MAX + 1), Err(DescriptionExcess::Media(MEDIA_MAX + 1)));
    assert!(CameraDescription::read("a\n".repeat(LINES_MAX).as_bytes()).is_ok());
    assert_eq!(
        CameraDescription::read("a\r\n".repeat(LINES_MAX + 1).as_bytes()),
        Err(DescriptionExcess::Lines)
    );
    assert_eq!(CameraDescription::read("m=\r".repeat(40).as_bytes()), Err(DescriptionExcess::Media(40)));
}

#[test]
fn what_packets_hold_is_read_from_what_cameras_write() {
    let video = "m=video 0 RTP/AVP 96\r\n";
    for (name, text, expected) in [
        ("as should be", format!("{HEAD}{video}a=rtpmap:96 H264/90000\r\n"), Some((96, "h264", 90_000))),
        (
            "go2rtc 679: the media lines alone",
            format!("{video}a=rtpmap:96 H265/90000\r\n"),
            Some((96, "h265", 90_000)),
        ),
        (
            "mistserver 295 (Bosch): a map of an undeclared payload type",
            "m=video 0 RTP/AVP 35\r\na=rtpmap:35 H264/90000\r\na=rtpmap:102 H265/90000\r\n".to_owned(),
            Some((35, "h264", 90_000)),
        ),
        (
            "Micro-RTSP: no map",
            "v=0\r\ns=\r\nm=video 0 RTP/AVP 26\r\n".to_owned(),
            Some((26, "jpeg", 90_000)),
        ),
        (
            "moonfire-nvr 213: a space behind it",
            format!("{video}a=rtpmap:96 H264/90000 \r\n"),
            Some((96, "h264", 90_000)),
        ),
        ("a clock that cannot be", format!("{video}a=rtpmap:96 H264/0\r\n"), Some((96, "h264", 90_000))),
        ("no clock", format!("{video}a=rtpmap:96 H264\r\n"), Some((96, "h264", 90_000))),
        (
            "moonfire-nvr 213: another clock",
            format!("{video}a=rtpmap:96 H264/25\r\n"),
            Some((96, "h264", 25)),
        ),
        (
            "LF alone",
            "v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 hevc/90000\n".to_owned(),
            Some((96, "h265", 90_000)),
        ),
        (
            "minisatip 1164: empty lines first",
            format!("\r\n\r\n{HEAD}{video}a=rtpmap:96 H264/90000"),
            Some((96, "h264", 90_000)),
        ),
        (
            "a byte order mark, and NUL at its end",
            format!("\u{feff}{video}a=rtpmap:96 H264/90000\r\n\0"),
            Some((96, "h264", 90_000)),
        ),
        (
            "named under another number",
            format!("{video}a=rtpmap:97 H264/90000\r\n"),
            Some((96, "h264", 90_000)),
        ),
        (
            "named by its parameters",
            format!("{video}a=fmtp:96 packetization-mode=1\r\n"),
            Some((96, "h264", 90_000)),
        ),
        (
            "several formats",
            "m=video 0 RTP/AVP 97 96\r\na=rtpmap:97 VP8/90000\r\na=rtpmap:96 H264/90000\r\n".to_owned(),
            Some((96, "h264", 90_000)),
        ),
        ("no spaces", format!("{video}a=rtpmap:96H264/90000\r\n"), Some((96, "h264", 90_000))),
        ("sound alone", "m=audio 0 RTP/AVP 0\r\n".to_owned(), None),
        (
            "metadata first",
            format!(
                "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n{video}a=rtpmap:96 H264/90000\r\n"
            ),
            Some((96, "h264", 90_000)),
        ),
    ] {
        assert_eq!(
            chosen(&text),
            expected.map(|(number, codec, rate)| (number, codec.to_owned(), rate)),
            "{name}"
        );
    }
    let latin =
        [b"s=Eingang Stra\xdfe\r\n".as_slice(), video.as_bytes(), b"a=rtpmap:96 H264/90000\r\n"].concat();
    assert_eq!(CameraDescription::read(&latin).unwrap().best_video(), Some(0));
}

#[test]
fn parameter_sets_are_found_however_they_are_written() {
    let (first, second) = (sps(80, 45), vec![0x68, 0xce, 0x3c, 0x80]);
    let expected = vec![first.clone(), second.clone()];
    let (a, b) = (base64(&first), base64(&second));
    let with_codes = |bytes: &[u8]| base64(&[&[0, 0, 0, 1], bytes].concat());
    for fmtp in [
        format!("96 packetization-mode=1;profile-level-id=42001e;sprop-parameter-sets={a},{b}"),
        format!("96 profile-level-id=42001e; sprop-parameter-sets={a},{b}; packetization-mode=1"),
        format!("96 packetization-mode=1 sprop-parameter-sets={a},{b}"),
        format!("96 Sprop-Parameter-Sets = \"{a},{b}\""),
        format!("96 sprop-parameter-sets={a}, {b};x=y"),
        format!("96sprop-parameter-sets={},{}", a.trim_end_matches('='), b.trim_end_matches('=')),
        format!("sprop-parameter-sets={a},{b}"),
        // moonfire-nvr 213.
        format!(
            "96 profile-level-id=000001;sprop-parameter-sets={},{}",
            with_codes(&first),
            with_codes(&second)
        ),
    ] {
        let text =
            format!("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:97 x=y\r\na=fmtp:{fmtp}\r\n");
        assert_eq!(one(&text).sets, expected, "{fmtp}");
    }
    let text = format!(
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=fmtp:96 sprop-vps={a};sprop-max-don-diff=2\r\na=fmtp:96 sprop-sps={b}\r\n"
    );
    let media = one(&text);
    assert_eq!((media.sets, media.max_don_diff), (expected, true));
    let broken = "m=video 0 RTP/AVP 96\r\na=fmtp:96 sprop-parameter-sets=%%%,,Z;packetization-mode=2\r\n";
    let media = one(broken);
    assert_eq!((media.sets, media.max_don_diff), (Vec::new(), true));
}

#[test]
fn the_larger_video_is_chosen_and_never_the_thumbnail() {
    let video = |number: u8, name: &str, rest: &str| {
        format!("m=video 0 RTP/AVP {number}\r\na=rtpmap:{number} {name}/90000\r\n{rest}")
    };
    let of = |columns, rows| format!("a=fmtp:96 sprop-parameter-sets={}\r\n", base64(&sps(columns, rows)));
    for (first, second, expected) in [
        (video(96, "H264", &of(22, 18)), video(96, "H264", &of(80, 45)), 1),
        (video(96, "H264", &of(80, 45)), video(96, "H264", &of(22, 18)), 0),
        (video(96, "JPEG", "a=framesize:96 3840-2160\r\n"), video(97, "H264", ""), 1),
        (
            video(96, "JPEG", "a=x-dimensions: 160, 120\r\n"),
            video(97, "JPEG", "a=cliprect:0,0,1080,1920\r\n"),
            1,
        ),
        (video(96, "H264", &of(20, 15)), video(97, "H264", ""), 1),
        (video(96, "H264", ""), video(97, "H265", ""), 0),
        (video(96, "MP4V-ES", ""), video(97, "H264", ""), 1),
        // Larger than anything that can be decoded.
        (video(96, "H264", &of(2000, 2000)), video(96, "H264", &of(80, 45)), 1),
    ] {
        assert_eq!(read(&format!("{HEAD}{first}{second}")).best_video(), Some(expected), "{first}{second}");
    }
    let sizes = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=cliprect:0,0,1080,1920\r\n";
    assert_eq!(one(sizes).size, Some((1920, 1080)));
}

#[test]
fn what_is_no_video_is_named() {
    for (text, expected) in [
        ("", NoVideo::Nothing),
        ("v=0\r\ns=x\r\n", NoVideo::Nothing),
        ("m=audio 0 RTP/AVP 0\r\n", NoVideo::Other),
        ("m=application 0 RTP/AVP 107\r\na=rtpmap:107 H264/90000\r\n", NoVideo::Other),
        (
            "m=audio 0 RTP/AVP 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 MP4V-ES/90000\r\n",
            NoVideo::Codec("mp4v-es".to_owned()),
        ),
        ("m=video 0 RTP/AVP 33\r\n", NoVideo::Codec("mp2t".to_owned())),
        ("m=video 0 RTP/AVP 96\r\n", NoVideo::Codec(String::new())),
    ] {
        let description = read(text);
        assert_eq!((description.best_video(), description.no_video()), (None, expected), "{text:?}");
    }
}

#[test]
fn where_things_are_controlled_is_taken_as_it_is_said() {
    let text = "a=control:rtsp://u:p@10.0.0.7/live/\r\nm=video 0 RTP/AVP 96\r\na=control: trackID=0 \r\nm=audio 0 RTP/AVP 0\r\na=control\r\n";
    let description = read(text);
    assert_eq!(description.control.as_deref(), Some("rtsp://u:p@10.0.0.7/live/"));
    assert_eq!(description.media[0].control.as_deref(), Some("trackID=0"));
    assert_eq!(description.media[1].control, None);
}

proptest! {
    /// Whatever a camera writes, it is read, and what the library gets of it describes one video.
    #[test]
    fn whatever_is_written_is_read(
        lines in prop::collection::vec(prop_oneof![
            "m=(video|audio|image) [0-9]{1,3} RTP/AVP( [0-9]{1,3}){0,3}",
            "a=(rtpmap|fmtp|control|framesize|cliprect|x-dimensions):[ -~]{0,40}",
            "a=rtpmap:[0-9]{1,3} (H264|h265|JPEG)/[0-9]{0,12}",
            "a=fmtp:[0-9]{0,3} ?(sprop-sps|sprop-parameter-sets) ?=[A-Za-z0-9=, ]{0,30}",
            "\\PC{0,30}",
        ], 0..20),
        junk in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let text = [lines.join("\r\n").as_bytes(), b"\r\n", &junk].concat();
        if let Ok(description) = CameraDescription::read(&text) && let Some(best) = description.best_video() {
            let media = &description.media[best];
            prop_assert!((1..=CLOCK_RATE_MAX).contains(&media.clock_rate) && media.payload_type < 128);
            let again = CameraDescription::read(media.strict().as_bytes()).unwrap();
            prop_assert_eq!(again.media.len(), 1);
            prop_assert_eq!(&again.media[0].encoding, &media.encoding);
            prop_assert_eq!(again.media[0].payload_type, media.payload_type);
        }
    }
}
