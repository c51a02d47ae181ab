//! Words of a conversation, and refusals.

use std::time::Duration;

use super::super::{Answer, Bend, Expect, Memory, Out, PLAIN, Request, all};

/// Only the answers; a body stays as it is.
fn only_heads(bytes: Vec<u8>, change: impl Fn(&str) -> String) -> Vec<u8> {
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    format!("{}{body}", change(&format!("{head}\r\n\r\n"))).into_bytes()
}

fn at(method: &str, request: &Request, answer: &mut Answer, status: &str) {
    if request.method == method {
        answer.refuse(status);
    }
}

fn is_asking(i: u64) -> Vec<Out> {
    let text = format!("OPTIONS rtsp://127.0.0.1/live RTSP/1.0\r\nCSeq: {i}\r\nSession: 12345678\r\n\r\n");
    vec![Out::Raw(text.into_bytes())]
}

pub(crate) static WORDS: &[Bend] = &[
    Bend {
        name: "an empty header, a line without a colon, a folded one",
        report: "mediamtx 34, 368 (Amcrest, Dahua)",
        message: |bytes| {
            only_heads(bytes, |head| {
                head.replacen("\r\n", "\r\nServer:\r\nDate \r\nX-Long: one,\r\n two\r\n", 1)
            })
        },
        ..PLAIN
    },
    Bend {
        name: "blanks before the colons",
        report: "hand-written firmware; RFC 2326 takes its headers from HTTP, where old servers did so",
        message: |bytes| only_heads(bytes, |head| head.replace("CSeq:", "CSeq :").replace("ion: ", "ion :")),
        ..PLAIN
    },
    Bend {
        name: "no reason",
        report: "gortsplib 807",
        message: |bytes| only_heads(bytes, |head| head.replacen("200 OK", "200", 1)),
        ..PLAIN
    },
    Bend {
        name: "lines end with LF",
        report: "OvenMediaEngine PR 1936 (YUAN)",
        message: |bytes| only_heads(bytes, |head| head.replace('\r', "")),
        ..PLAIN
    },
    Bend {
        name: "names of headers in small letters",
        report: "RFC 2326 4.2: names are written in any case",
        message: |bytes| {
            only_heads(bytes, |head| {
                let small = |line: &str| match line.split_once(": ") {
                    Some((name, value)) => format!("{}: {value}", name.to_lowercase()),
                    None => line.to_owned(),
                };
                head.split("\r\n").map(small).collect::<Vec<_>>().join("\r\n")
            })
        },
        ..PLAIN
    },
    Bend {
        name: "two empty lines before the description",
        report: "minisatip 1164 (Fritz!Box)",
        message: |bytes| {
            let text = String::from_utf8(bytes).unwrap();
            let is_description = text.contains("\r\n\r\nv=0");
            (if is_description { text.replacen("\r\n\r\n", "\r\n\r\n\r\n", 1) } else { text }).into_bytes()
        },
        ..PLAIN
    },
    Bend {
        name: "no Transport in the answer",
        report: "gortsplib 456",
        answer: |_, answer, _| answer.without("Transport"),
        ..PLAIN
    },
    Bend {
        name: "Transport without channels, in capitals",
        report: "gortsplib 142",
        answer: |_, answer, _| answer.change("Transport", |_| "rtp/avp/tcp;UNICAST".to_owned()),
        ..PLAIN
    },
    Bend {
        name: "other channels than those asked for, an odd source",
        report: "retina PR 138",
        answer: |_, answer, _| {
            answer.change("Transport", |_| {
                "RTP/AVP/TCP;unicast;interleaved=4-5;ssrc=0x6f7c ;mode=\"PLAY\"".to_owned()
            });
        },
        ..PLAIN
    },
    Bend {
        name: "one channel, source by name, a blank after each sign",
        report: "firmware that names itself in source=",
        answer: |_, answer, _| {
            answer.change("Transport", |_| {
                "RTP/AVP/TCP; unicast; source=ipcamera; interleaved=0; ssrc=-1".to_owned()
            });
        },
        ..PLAIN
    },
    Bend {
        name: "an unknown parameter before the time-out",
        report: "rtsp-types PR 14",
        answer: |_, answer, _| answer.change("Session", |value| value.replace(";", " ; x-stream=7 ; ")),
        ..PLAIN
    },
    Bend {
        name: "signs of every kind in the session",
        report: "RFC 2326 3.4: $-_.+ are safe, others are sent",
        answer: |_, answer, _| answer.change("Session", |value| value.replace("123", "{1$-_.+/=} ")),
        ..PLAIN
    },
    Bend {
        name: "each number is one too low",
        report: "homebridge-foscamcamera 6 (Foscam C1)",
        answer: |_, answer, _| {
            answer.number = answer.number.take().map(|n| (n.parse::<u64>().unwrap_or(1) - 1).to_string());
        },
        ..PLAIN
    },
    Bend {
        name: "no numbers",
        report: "hand-written firmware; one request is under way at a time",
        answer: |_, answer, _| answer.number = None,
        ..PLAIN
    },
    Bend {
        name: "OPTIONS is not known",
        report: "hand-written firmware",
        answer: |request, answer, _| at("OPTIONS", request, answer, "501 Not Implemented"),
        ..PLAIN
    },
    Bend {
        name: "asks in its turn, while it plays",
        report: "servers that ping their clients",
        packets: |packets, memory| {
            let asked = if memory.pictures % 30 == 7 { is_asking(memory.pictures) } else { Vec::new() };
            asked.into_iter().chain(all(packets)).collect()
        },
        ..PLAIN
    },
    Bend {
        name: "asks in its turn, before the description",
        report: "servers that ping their clients",
        answer: |request, answer, _| {
            if request.method == "DESCRIBE" {
                answer.before = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_vec();
            }
        },
        ..PLAIN
    },
    Bend {
        name: "leads to another path of itself",
        report: "RFC 2326 11.3; recorders that move a channel",
        answer: |request, answer, _| {
            if request.method == "DESCRIBE" && !request.url.contains("moved") {
                let url = request.url.replace("live", "moved");
                answer.refuse("302 Moved Temporarily");
                answer.set("Location", &url);
            }
        },
        ..PLAIN
    },
    Bend {
        name: "packets before PLAY is answered",
        report: "retina's early packets; servers that begin at once",
        answer: |request, answer, _| {
            if request.method == "PLAY" {
                answer.before =
                    [&[b'$', 0, 0, 16, 0x80, 0x60, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9][..], &[0x41; 4]].concat();
            }
        },
        ..PLAIN
    },
    Bend {
        name: "an answer to go on before each one",
        report: "RFC 2326 11.1",
        answer: |_, answer, _| answer.before = b"RTSP/1.0 100 Continue\r\n\r\n".to_vec(),
        ..PLAIN
    },
    Bend {
        name: "answers arrive byte by byte",
        report: "small TCP stacks",
        answer: |_, answer, _| answer.portion = 1,
        ..PLAIN
    },
    Bend {
        name: "each answer takes a second",
        report: "cameras while they start",
        answer: |_, answer, _| answer.delay = Duration::from_secs(1),
        ..PLAIN
    },
    Bend {
        name: "numbers of packets that are not so",
        report: "RTP-Info of a stream that began long ago",
        answer: |request, answer, _| {
            if request.method == "PLAY" {
                answer.set("RTP-Info", "url=trackID=0;seq=0;rtptime=4294967295,url=;seq=;rtptime=");
            }
        },
        ..PLAIN
    },
    Bend {
        name: "no session in the answer to PLAY, a range of nothing",
        report: "hand-written firmware",
        answer: |request, answer, _| {
            if request.method == "PLAY" {
                answer.without("Session");
                answer.set("Range", "npt=now");
                answer.set("Scale", "");
            }
        },
        ..PLAIN
    },
];

/// Cameras that cannot be read as they are: the operator reads why, and what to do.
const REFUSED: Bend = PLAIN;

const CHANNEL: &str = "path|channel|address|CAMERA_";

pub(crate) static REFUSALS: &[Bend] = &[
    Bend {
        name: "no such stream",
        report: "the second commonest mistake",
        answer: |request, answer, _| at("DESCRIBE", request, answer, "404 Stream Not Found"),
        expect: Expect::Words(&["no stream|not found|no such", CHANNEL]),
        ..REFUSED
    },
    Bend {
        name: "a bad request",
        report: "recorders, for a channel that does not exist",
        answer: |request, answer, _| at("DESCRIBE", request, answer, "400 Bad Request"),
        expect: Expect::Words(&[CHANNEL]),
        ..REFUSED
    },
    Bend {
        name: "an error within",
        report: "recorders, for a channel without a camera",
        answer: |request, answer, _| at("DESCRIBE", request, answer, "500 Internal Server Error"),
        expect: Expect::Words(&["restart|path|channel|later|again"]),
        ..REFUSED
    },
    Bend {
        name: "not now",
        report: "cameras while they start",
        answer: |request, answer, _| at("DESCRIBE", request, answer, "503 Service Unavailable"),
        expect: Expect::Words(&["start|busy|later|again|moment"]),
        ..REFUSED
    },
    Bend {
        name: "forbidden",
        report: "users without the right to look",
        answer: |request, answer, _| at("DESCRIBE", request, answer, "403 Forbidden"),
        expect: Expect::Words(&["right|user|allow|forbid|refuse|permi"]),
        ..REFUSED
    },
    Bend {
        name: "too many sessions",
        report: "webrtc-streamer 174; unifi-cam-proxy 340",
        answer: |request, answer, _| at("SETUP", request, answer, "453 Not Enough Bandwidth"),
        expect: Expect::Words(&["session|stream|viewer|connection|bandwidth"]),
        ..REFUSED
    },
    Bend {
        name: "no TCP",
        report: "VLC as a server; old cameras",
        answer: |request, answer, _| {
            if request.header("transport").contains("interleaved") {
                at("SETUP", request, answer, "461 Unsupported Transport");
            }
        },
        expect: Expect::Words(&["TRANSPORT", "udp"]),
        ..REFUSED
    },
    Bend {
        name: "a description of nothing",
        report: "recorders, for a channel without a camera",
        answer: |_, answer, _| answer.body.clear(),
        expect: Expect::Words(&["nothing|no video|no stream|no media|empty", CHANNEL]),
        ..REFUSED
    },
    Bend {
        name: "sound alone",
        report: "door stations with a stream for sound",
        description: |text, _| {
            let at = text.find("m=").unwrap();
            format!("{}m=audio 0 RTP/AVP 8\r\na=control:trackID=0\r\n", &text[..at])
        },
        expect: Expect::Words(&["no video|sound|audio"]),
        ..REFUSED
    },
    Bend {
        name: "MPEG-4 Visual",
        report: "mediamtx 1085; old cameras",
        description: |text, _| text.replace("H264/90000", "MP4V-ES/90000"),
        expect: Expect::Words(&["MP4V|MPEG-4|MPEG4", "H.264|H264"]),
        ..REFUSED
    },
    Bend {
        name: "a transport stream",
        report: "RFC 2250; encoders that send MPEG-TS over RTP",
        description: |text, _| {
            let at = text.find("m=").unwrap();
            format!("{}m=video 0 RTP/AVP 33\r\na=control:trackID=0\r\n", &text[..at])
        },
        expect: Expect::Words(&["MP2T|MPEG-TS|transport stream|MPEG-2", "H.264|H264"]),
        ..REFUSED
    },
    Bend {
        name: "a page of HTTP",
        report: "the port of the camera's web page",
        message: |_| {
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                .to_vec()
        },
        expect: Expect::Words(&["HTTP|web", "port"]),
        ..REFUSED
    },
    Bend {
        name: "hangs up at the first word",
        report: "cameras that are full, or have locked us out",
        answer: |_, answer, _| {
            answer.is_withheld = true;
            answer.is_last = true;
        },
        expect: Expect::Words(&["full|lock|busy|start|another|too many|session"]),
        ..REFUSED
    },
    Bend {
        name: "leads elsewhere",
        report: "RFC 2326 11.3; cameras behind a service of their maker",
        answer: |request, answer, _| {
            if request.method == "DESCRIBE" {
                answer.refuse("301 Moved Permanently");
                answer.set("Location", "rtsp://192.0.2.7:554/live");
            }
        },
        expect: Expect::Words(&["192.0.2.7"]),
        ..REFUSED
    },
    Bend {
        name: "one sender to many only",
        report: "RFC 2326 C.1.5; encoders for television",
        answer: |request, answer: &mut Answer, _: &mut Memory| {
            if request.method == "SETUP" {
                answer.set("Transport", "RTP/AVP;multicast;destination=239.1.2.3;port=5000-5001;ttl=16");
            }
        },
        expect: Expect::Words(&["multicast"]),
        ..REFUSED
    },
];
