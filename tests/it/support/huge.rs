//! A camera of one stream that ffmpeg makes at the start of a test: of any size, and of another one later.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Duration, interval};

/// Bytes of a NAL unit in one packet.
const FRAGMENT: usize = 1200;

/// Time from picture to picture, and its ticks.
const FRAME: Duration = Duration::from_millis(200);
const TICKS: u32 = 18_000;

/// How pictures are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    H264,
    H265,
}

/// A piece of a stream: size in pixels, and how many pictures refer back to how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) size: (u32, u32),
    pub(crate) references: u32,
}

/// The camera; ends with this value.
pub(crate) struct HugePeer {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl HugePeer {
    /// Shows the first piece ten times and the others for ever.
    pub(crate) async fn start(coding: Coding, pieces: &[Piece], folder: &Path) -> Self {
        let mut loops = Vec::new();
        for (i, piece) in pieces.iter().enumerate() {
            loops.push(made(coding, *piece, &folder.join(format!("{i}.bin"))).await);
        }
        let loops = Arc::new(loops);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let loops = Arc::clone(&loops);
                clients.spawn(async move { serve(stream, coding, &loops).await });
            }
        });
        Self { address, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("rtsp://{}/huge", self.address)
    }
}

impl Drop for HugePeer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The access units of a piece, each a list of NAL units.
async fn made(coding: Coding, piece: Piece, path: &Path) -> Vec<Vec<Vec<u8>>> {
    let Piece { size: (width, height), references } = piece;
    let source = format!("testsrc2=s={width}x{height}:r=5");
    let (encoder, parameters, options, format) = match coding {
        Coding::H264 => (
            "libx264",
            "-x264-params",
            format!("ref={references}:bframes=0:keyint=5:scenecut=0:aud=1"),
            "h264",
        ),
        Coding::H265 => (
            "libx265",
            "-x265-params",
            format!("ref={references}:bframes=0:keyint=5:scenecut=0:aud=1:repeat-headers=1:log-level=none"),
            "hevc",
        ),
    };
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", &source, "-frames:v", "3", "-pix_fmt", "yuv420p"])
        .args(["-c:v", encoder, "-preset", "ultrafast", "-b:v", "800k", parameters, &options, "-f", format])
        .arg(path)
        .status()
        .await
        .unwrap();
    assert!(status.success(), "ffmpeg makes {width}×{height}");
    let bytes = std::fs::read(path).unwrap();
    let mut units: Vec<Vec<Vec<u8>>> = Vec::new();
    for nal in camera_capture::media::h264::nal_units(&bytes) {
        let is_delimiter = match coding {
            Coding::H264 => nal[0] & 31 == 9,
            Coding::H265 => nal[0] >> 1 & 63 == 35,
        };
        if is_delimiter {
            units.push(Vec::new());
        } else if let Some(unit) = units.last_mut() {
            unit.push(nal.to_vec());
        }
    }
    assert_eq!(units.len(), 3);
    units
}

/// One client, until it goes.
async fn serve(mut stream: TcpStream, coding: Coding, loops: &[Vec<Vec<Vec<u8>>>]) -> Option<()> {
    loop {
        let request = request(&mut stream).await?;
        let sequence = request.lines().find_map(|line| line.strip_prefix("CSeq:"))?.trim().to_owned();
        let method = request.split(' ').next()?.to_owned();
        let (headers, body) = match method.as_str() {
            "DESCRIBE" => {
                let name = if coding == Coding::H264 { "H264" } else { "H265" };
                let body = format!(
                    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=huge\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n\
                     a=rtpmap:96 {name}/90000\r\na=control:video\r\n"
                );
                (format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n", body.len()), body)
            }
            "SETUP" => {
                ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 7\r\n".to_owned(), String::new())
            }
            _ => ("Session: 7\r\nRTP-Info: url=video;seq=0;rtptime=0\r\n".to_owned(), String::new()),
        };
        let answer = format!("RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n{headers}\r\n{body}");
        stream.write_all(answer.as_bytes()).await.ok()?;
        if method == "PLAY" {
            return play(stream, coding, loops).await;
        }
    }
}

async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

async fn play(mut stream: TcpStream, coding: Coding, loops: &[Vec<Vec<Vec<u8>>>]) -> Option<()> {
    let mut sequence = 0_u16;
    let mut clock = interval(FRAME);
    let first = (0..10).flat_map(|_| &loops[0]);
    let rest = loops.iter().skip(1).flatten().chain(&loops[loops.len() - 1]);
    let rest: Vec<_> = rest.collect();
    for (number, unit) in first.chain(rest.into_iter().cycle()).enumerate() {
        clock.tick().await;
        let time = u32::try_from(number).ok()?.wrapping_mul(TICKS);
        for (i, nal) in unit.iter().enumerate() {
            let is_last_nal = i + 1 == unit.len();
            for (payload, is_end) in packets(coding, nal) {
                let marker = if is_last_nal && is_end { 0x80 } else { 0 };
                let mut packet = vec![0x80, 96 | marker];
                packet.extend(sequence.to_be_bytes());
                packet.extend(time.to_be_bytes());
                packet.extend(7_u32.to_be_bytes());
                packet.extend(payload);
                sequence = sequence.wrapping_add(1);
                let mut framed = vec![b'$', 0];
                framed.extend(u16::try_from(packet.len()).ok()?.to_be_bytes());
                framed.extend(packet);
                stream.write_all(&framed).await.ok()?;
            }
        }
    }
    Some(())
}

/// A NAL unit as payloads (RFC 6184 section 5.8, RFC 7798 section 4.4.3), and whether each is its last.
fn packets(coding: Coding, nal: &[u8]) -> Vec<(Vec<u8>, bool)> {
    if nal.len() <= FRAGMENT {
        return vec![(nal.to_vec(), true)];
    }
    let (head, kind) = match coding {
        Coding::H264 => (vec![nal[0] & 0xe0 | 28], nal[0] & 31),
        Coding::H265 => (vec![nal[0] & 0x81 | 49 << 1, nal[1]], nal[0] >> 1 & 63),
    };
    let pieces: Vec<&[u8]> = nal[head.len()..].chunks(FRAGMENT).collect();
    let last = pieces.len() - 1;
    let pieces = pieces.into_iter().enumerate();
    pieces
        .map(|(i, piece)| {
            let ends = u8::from(i == 0) << 7 | u8::from(i == last) << 6;
            ([&head[..], &[ends | kind], piece].concat(), i == last)
        })
        .collect()
}
