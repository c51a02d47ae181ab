//! Session descriptions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::loops::{H265_LOOP, JPEG_LOOP, is_set};
use super::super::{Bend, Facts, Memory, PLAIN};

/// The lines without those that begin so.
fn without(text: &str, begin: &str) -> String {
    text.split_inclusive("\r\n").filter(|line| !line.starts_with(begin)).collect()
}

/// The media lines alone.
fn media(text: &str) -> String {
    text[text.find("m=").unwrap()..].to_owned()
}

fn without_h264_sets(units: Vec<Vec<u8>>, _: &mut Memory) -> Vec<Vec<u8>> {
    units.into_iter().filter(|unit| !is_set(unit, PLAIN.stream.codec)).collect()
}

fn without_h265_sets(units: Vec<Vec<u8>>, _: &mut Memory) -> Vec<Vec<u8>> {
    units.into_iter().filter(|unit| !is_set(unit, H265_LOOP.codec)).collect()
}

/// The parameter sets, each with a start code before it.
fn annexed(facts: &Facts) -> String {
    let sets: Vec<_> =
        facts.sets.iter().map(|set| STANDARD.encode([&[0, 0, 0, 1], &set[..]].concat())).collect();
    sets.join(",")
}

pub(crate) static DESCRIPTIONS: &[Bend] = &[
    Bend {
        name: "no format line, sets only in the stream",
        report: "gortsplib 88; Axis media-stream-library-js 417 (Hikvision)",
        description: |text, _| without(&text, "a=fmtp"),
        ..PLAIN
    },
    Bend {
        name: "sets only in the description",
        report: "janus-gateway 849 (Axis)",
        units: without_h264_sets,
        ..PLAIN
    },
    Bend {
        name: "H.265, sets only in the description",
        report: "Apra-Labs ODM 20",
        stream: &H265_LOOP,
        units: without_h265_sets,
        ..PLAIN
    },
    Bend {
        name: "H.265 without a format line",
        report: "RFC 7798 7.1: every parameter is optional",
        stream: &H265_LOOP,
        description: |text, _| without(&text, "a=fmtp"),
        ..PLAIN
    },
    Bend {
        name: "start codes within the sets, blanks at the ends of lines",
        report: "moonfire-nvr 213",
        description: |text, facts| {
            let text = without(&text, "a=fmtp").replace("H264/90000", "H264/90000 ");
            text + &format!("a=fmtp:96 packetization-mode=1; sprop-parameter-sets={} \r\n", annexed(facts))
        },
        ..PLAIN
    },
    Bend {
        name: "sets that are no base64",
        report: "hand-written firmware; ffmpeg passes them over",
        description: |text, _| {
            without(&text, "a=fmtp") + "a=fmtp:96 packetization-mode=1;sprop-parameter-sets=%%%,???;\r\n"
        },
        ..PLAIN
    },
    Bend {
        name: "JPEG without a map, a control or a name",
        report: "Micro-RTSP (ESP32) and what descends from it",
        stream: &JPEG_LOOP,
        description: |_, _| {
            "v=0\r\no=- 4711 1 IN IP4 127.0.0.1\r\ns=\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\nc=IN IP4 0.0.0.0\r\n".into()
        },
        ..PLAIN
    },
    Bend {
        name: "no clock rate",
        report: "moonfire-nvr 213, its family of bad clock rates",
        description: |text, _| text.replace("H264/90000", "H264"),
        ..PLAIN
    },
    Bend {
        name: "a clock rate of 0, small letters, a channel",
        report: "moonfire-nvr 213, its family of bad clock rates",
        description: |text, _| text.replace("H264/90000", "h264/0/1"),
        ..PLAIN
    },
    Bend {
        name: "a thumbnail first, then the video",
        report: "ONVIF Streaming: one track a codec; recorders offer a JPEG beside H.264",
        description: |text, _| {
            let thumbnail = "m=video 0 RTP/AVP 26\r\na=control:trackID=7\r\na=x-dimensions:160,90\r\n";
            let at = text.find("m=").unwrap();
            format!("{}{thumbnail}{}", &text[..at], &text[at..])
        },
        ..PLAIN
    },
    Bend {
        name: "sound first, and metadata last",
        report: "ONVIF Streaming 5.2.1",
        description: |text, _| {
            let at = text.find("m=").unwrap();
            let sound = "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:trackID=5\r\n";
            let metadata = "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:trackID=6\r\n";
            format!("{}{sound}{}{metadata}", &text[..at], &text[at..])
        },
        ..PLAIN
    },
    Bend { name: "media lines alone", report: "go2rtc 679", description: |text, _| media(&text), ..PLAIN },
    Bend {
        name: "no version, no time, a line without sense",
        report: "go2rtc 679, its kind",
        description: |text, _| {
            let text = without(&without(&text, "v="), "t=");
            text.replace("m=video", "i\r\na=\r\nx-camera\r\nm=video")
        },
        ..PLAIN
    },
    Bend {
        name: "ends of lines are LF, a zero byte at the end",
        report: "C strings sent with their end",
        description: |text, _| text.replace('\r', "") + "\0",
        ..PLAIN
    },
    Bend {
        name: "controls name the camera's address behind a router",
        report: "webrtc-streamer 138, its kind; cameras behind a port forward",
        description: |text, facts| {
            let port = facts.port;
            text.replace("control:*", &format!("control:rtsp://127.0.0.1:{port}/live"))
                .replace("control:trackID", "control:rtsp://192.168.1.64:554/live/trackID")
        },
        ..PLAIN
    },
    Bend {
        name: "a character set, and no base",
        report: "RFC 2326 12.16: parameters of Content-Type",
        answer: |request, answer, _| {
            if request.method == "DESCRIBE" {
                answer.set("Content-Type", "application/sdp;charset=utf-8");
                answer.without("Content-Base");
            }
        },
        ..PLAIN
    },
    Bend {
        name: "no type of content",
        report: "RFC 2326 recommends it only",
        answer: |_, answer, _| answer.without("Content-Type"),
        ..PLAIN
    },
    Bend {
        name: "a map of a payload type that nobody sends",
        report: "mistserver 295 (Bosch)",
        description: |text, _| text.replace("a=fmtp", "a=rtpmap:102 H265/90000\r\na=fmtp"),
        ..PLAIN
    },
    Bend {
        name: "a port and a count of ports, another profile",
        report: "RFC 4566 5.14: <port>/<number of ports>",
        description: |text, _| text.replace("m=video 0 RTP/AVP", "m=video 5000/2 RTP/AVPF"),
        ..PLAIN
    },
];
