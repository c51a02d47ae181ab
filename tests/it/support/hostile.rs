//! RTSP cameras that mean harm, or are broken beyond what an honest one is: raw sockets, one misdeed each, for as long
//! as anybody listens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::hostile_stream::{self, Stream};

/// What a camera does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misdeed {
    /// Announces a description of eight gigabytes and begins to send it.
    Length,
    /// Headers without end.
    Headers,
    /// One header without end.
    Line,
    /// A first line without end.
    Start,
    /// A `Session` of a megabyte.
    Session,
    /// A hundred thousand challenges.
    Challenges,
    /// A new nonce at every attempt, and every one is too old.
    Nonces,
    /// A description of 300 000 media.
    Media,
    /// A description of as many attributes as fit.
    Attributes,
    /// A description of 100 MB, honestly announced.
    Description,
    /// An answer byte by byte.
    Drip,
    /// Random bytes instead of an answer.
    Garbage,
    /// A page of HTTP.
    Http,
    /// `100 Continue` without end.
    Interim,
    /// Answers to nothing, without end.
    Answers,
    /// Video before anything was agreed, without end.
    Early,
    /// Says that the stream is elsewhere.
    Redirect,
    /// A status that nobody knows.
    Status,
    /// Takes the connection and closes it.
    Close,
    /// A codec, and a reason, with escapes for a terminal in them.
    Escapes,
    /// The same in the words of a refusal.
    Reason,
    /// Every line ends with LF alone, and there is no video.
    LineFeeds,
    /// A picture without end, in fragments.
    Picture,
    /// Parameter sets without end, each marked as a picture of its own.
    Sets,
    /// A picture of units of one byte.
    Crumbs,
    /// Reports without end.
    Reports,
    /// Asks without end while video is expected.
    Requests,
    /// Packets on channels that nobody set up.
    Channels,
    /// Slices of one picture without end, each whole.
    Slices,
    /// Parameter sets of every number, 60 kB each, without end.
    Numbers,
    /// Says that its pictures are of 16384 x 16384, and sends one.
    Vast,
    /// Says that its JPEGs are of 65535 x 65535, and sends some.
    Jpeg,
    /// JPEGs without end, in fragments that are gigabytes apart.
    Offsets,
    /// A fragment that begins, again and again.
    Beginnings,
    /// Datagrams, each thirty numbers ahead of the last one.
    Ahead,
    /// Another source in each packet.
    Sources,
    /// Random bytes between packets, without end, once it plays.
    Slips,
    /// Answers to keepalives that nobody sent, without end.
    Replies,
    /// Pictures whose stamps mean nothing.
    Stamps,
    /// H.265 units whose decoding order means nothing.
    Orders,
    /// Units gathered in packets, each said to be longer than the packet.
    Beyond,
    /// Twenty thousand units of nothing in each packet.
    Nothings,
    /// Each packet a picture to begin with, and to go back to.
    Points,
    /// A packet of 64 kB, byte by byte.
    Trickle,
}

/// What is sent in a millisecond, at most: more bytes and more packets than a camera's link carries in earnest.
const BURST: (usize, u32) = (5000, 4);

/// Where the video is said to be that is not here.
const ELSEWHERE: &str = "rtsp://169.254.169.254/latest";

/// A running camera; ends with this value, and its connections with it.
pub(crate) struct Hostile {
    port: u16,
    connections: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Hostile {
    /// Starts a camera on a free port.
    pub(crate) async fn start(misdeed: Misdeed) -> Self {
        let begin = CancellationToken::new();
        begin.cancel();
        Self::start_at(misdeed, begin).await
    }

    /// Starts a camera on a free port that takes no connection until `begin`: those that come earlier wait.
    pub(crate) async fn start_at(misdeed: Misdeed, begin: CancellationToken) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, sent) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let accepting = tokio::spawn({
            let (connections, sent) = (Arc::clone(&connections), Arc::clone(&sent));
            async move {
                let mut open = JoinSet::new();
                begin.cancelled().await;
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, Ordering::Relaxed);
                    let mut victim = Victim {
                        stream,
                        sent: Arc::clone(&sent),
                        number: String::new(),
                        transport: String::new(),
                        datagrams: None,
                    };
                    // Whatever ends a connection is the other side's right.
                    open.spawn(async move { victim.harm(misdeed).await });
                }
            }
        });
        Self { port, connections, sent, accepting }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/stream", self.port)
    }

    /// How often somebody connected.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// How many bytes went out so far, to all.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Somebody who connected.
struct Victim {
    stream: TcpStream,
    sent: Arc<AtomicU64>,
    /// Of the request that came last.
    number: String,
    /// What it says of the transport.
    transport: String,
    /// Where datagrams go.
    datagrams: Option<UdpSocket>,
}

/// A description as cameras send it.
pub(super) fn description(encoding: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n\
         a=rtpmap:96 {encoding}/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
    )
}

/// A packet on a channel.
pub(super) fn packet(channel: u8, sequence: u16, time: u32, mark: bool, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(12 + payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![b'$', channel, length[0], length[1], 0x80, if mark { 0xe0 } else { 0x60 }];
    packet.extend(sequence.to_be_bytes());
    packet.extend(time.to_be_bytes());
    packet.extend([0, 0, 0, 7]);
    packet.extend(payload);
    packet
}

impl Victim {
    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Says the same again and again.
    async fn repeat(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let many = bytes.repeat((64_usize << 10).div_ceil(bytes.len()));
        loop {
            self.write(&many).await?;
        }
    }

    /// Waits for the next request; returns its method.
    async fn asked(&mut self) -> std::io::Result<String> {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            text.push(self.stream.read_u8().await?);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let number = text.lines().find_map(|line| line.strip_prefix("CSeq: "));
        self.number = number.unwrap_or_default().to_owned();
        let transport = text.lines().find_map(|line| line.strip_prefix("Transport: "));
        self.transport = transport.unwrap_or_default().to_owned();
        Ok(text.split(' ').next().unwrap_or_default().to_owned())
    }

    async fn answer(&mut self, status: &str, headers: &str, body: &str) -> std::io::Result<()> {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let number = &self.number;
        self.write(format!("RTSP/1.0 {status}\r\nCSeq: {number}\r\n{headers}{length}\r\n{body}").as_bytes())
            .await
    }

    /// Behaves until video is expected.
    async fn play(&mut self, description: &str) -> std::io::Result<()> {
        loop {
            let method = self.asked().await?;
            match method.as_str() {
                "DESCRIBE" => {
                    self.answer("200 OK", "Content-Type: application/sdp\r\n", description).await?;
                }
                "SETUP" => {
                    let transport = self.agree().await?;
                    let agreed = format!("Session: 1;timeout=60\r\nTransport: {transport}\r\n");
                    self.answer("200 OK", &agreed, "").await?;
                }
                "PLAY" => return self.answer("200 OK", "Session: 1\r\n", "").await,
                _ => self.answer("200 OK", "", "").await?,
            }
        }
    }

    /// Takes the transport that was asked for.
    async fn agree(&mut self) -> std::io::Result<String> {
        let Some((_, ports)) = self.transport.split_once("client_port=") else {
            return Ok("RTP/AVP/TCP;unicast;interleaved=0-1".to_owned());
        };
        let port = ports.split('-').next().and_then(|port| port.parse::<u16>().ok()).unwrap_or(9);
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(("127.0.0.1", port)).await?;
        let own = socket.local_addr()?.port();
        self.datagrams = Some(socket);
        Ok(format!("RTP/AVP;unicast;client_port={ports};server_port={own}-{}", own.wrapping_add(1)))
    }

    async fn harm(&mut self, misdeed: Misdeed) -> std::io::Result<()> {
        use Misdeed::*;
        match misdeed {
            Close => return Ok(()),
            Garbage => {
                let mut bytes = vec![0; 64 << 10];
                loop {
                    fastrand::fill(&mut bytes);
                    // Now and then a packet would begin.
                    bytes[0] = 0;
                    self.write(&bytes).await?;
                }
            }
            Picture | Sets | Crumbs | Reports | Requests | Channels => {
                self.play(&description("H264")).await?;
                return self.stream_harm(misdeed).await;
            }
            Slices | Numbers | Vast | Jpeg | Offsets | Beginnings | Ahead | Sources | Slips | Replies
            | Stamps | Orders | Beyond | Nothings | Points | Trickle => {
                self.play(&hostile_stream::description(misdeed)).await?;
                return self.flood(misdeed).await;
            }
            _ => {}
        }
        self.asked().await?;
        let ok = format!("RTSP/1.0 200 OK\r\nCSeq: {}\r\n", self.number);
        match misdeed {
            Length => {
                self.write(format!("{ok}Content-Length: 8000000000\r\n\r\n").as_bytes()).await?;
                self.repeat(b"v=0\r\n").await
            }
            Headers => {
                self.write(ok.as_bytes()).await?;
                self.repeat(b"X-Header: and one more\r\n").await
            }
            Line => {
                self.write(format!("{ok}X-Header: ").as_bytes()).await?;
                self.repeat(b"long").await
            }
            Start => self.repeat(b"RTSP").await,
            Session => {
                let session = "5".repeat(1 << 20);
                self.write(format!("{ok}Session: {session}\r\n\r\n").as_bytes()).await?;
                self.rest().await
            }
            Challenges => {
                let challenges = "Digest realm=\"x\", nonce=\"y\", ".repeat(100_000);
                self.answer("401 Unauthorized", &format!("WWW-Authenticate: {challenges}\r\n"), "").await?;
                self.rest().await
            }
            Nonces => loop {
                let nonce = fastrand::u64(..);
                let challenge =
                    format!("WWW-Authenticate: Digest realm=\"x\", nonce=\"{nonce}\", stale=true\r\n");
                self.answer("401 Unauthorized", &challenge, "").await?;
                self.asked().await?;
            },
            Media => {
                let body = description("H264") + &"m=video 0 RTP/AVP 96\r\n".repeat(300_000);
                self.answer("200 OK", "Content-Type: application/sdp\r\n", &body).await?;
                self.rest().await
            }
            Attributes => {
                let media = "m=audio 0 RTP/AVP 0\r\n".repeat(31);
                let body = description("H264") + &media + &"a=\r\n".repeat(60_000);
                self.answer("200 OK", "Content-Type: application/sdp\r\n", &body).await?;
                self.rest().await
            }
            Description => {
                let type_and_length = "Content-Type: application/sdp\r\nContent-Length: 100000000\r\n";
                self.write(format!("{ok}{type_and_length}\r\n{}", description("H264")).as_bytes()).await?;
                self.repeat(b"a=more:and more\r\n").await
            }
            Drip => {
                for byte in format!("{ok}X-Header: {}", "slow ".repeat(10_000)).bytes() {
                    self.write(&[byte]).await?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                self.rest().await
            }
            Http => {
                self.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await?;
                self.rest().await
            }
            Interim => self.repeat(b"RTSP/1.0 100 Continue\r\n\r\n").await,
            Answers => {
                self.answer("404 Not Found", "", "").await?;
                self.repeat(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n").await
            }
            Early => self.repeat(&packet(0, 1, 1, false, &[0x65; 1400])).await,
            Redirect => {
                self.answer("302 Moved Temporarily", &format!("Location: {ELSEWHERE}\r\n"), "").await?;
                self.rest().await
            }
            Status => {
                self.answer("999 Beyond", "", "").await?;
                self.rest().await
            }
            Escapes => {
                let body = description("\x1b]0;owned\x07\x1b[31mred\u{202e}");
                self.answer("200 \x1b[31mOK", "Content-Type: application/sdp\r\n", &body).await?;
                self.rest().await
            }
            Reason => {
                let kind = "Content-Type: text/\x1b]0;owned\x07\x1b[31mhtml\u{202e}\r\n";
                self.answer("200 \x1b[31mOK", kind, "<html>").await?;
                self.rest().await
            }
            LineFeeds => {
                let body = description("MP4V-ES").replace('\r', "");
                let length = body.len();
                let head = format!("{ok}Content-Type: application/sdp\nContent-Length: {length}\n\n");
                self.write(format!("{}{body}", head.replace('\r', "")).as_bytes()).await?;
                self.rest().await
            }
            _ => Ok(()),
        }
    }

    async fn stream_harm(&mut self, misdeed: Misdeed) -> std::io::Result<()> {
        let (mut sequence, mut time) = (0_u16, 0_u32);
        let report =
            [b'$', 1, 0, 28, 0x80, 200, 0, 6, 0, 0, 0, 7].iter().copied().chain([0; 20]).collect::<Vec<u8>>();
        let crumbs: Vec<u8> = std::iter::once(24).chain([0, 1, 0x61].repeat(20_000)).collect();
        loop {
            let bytes = match misdeed {
                Misdeed::Picture => {
                    let begins = if sequence == 0 && time == 0 { 0x80 } else { 0 };
                    time = 1;
                    let payload = [&[0x7c, begins | 5][..], &[0xab; 1398]].concat();
                    packet(0, sequence, time, false, &payload)
                }
                Misdeed::Sets => {
                    time = time.wrapping_add(3600);
                    packet(0, sequence, time, true, &[&[0x67][..], &[0xab; 1398]].concat())
                }
                Misdeed::Crumbs => packet(0, sequence, 1, false, &crumbs),
                Misdeed::Reports => report.clone(),
                Misdeed::Requests => b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_vec(),
                _ => packet(77, sequence, 1, false, &[0x65; 100]),
            };
            sequence = sequence.wrapping_add(1);
            self.write(&bytes).await?;
        }
    }

    /// Sends what a stream of this kind holds, as fast as it is taken and a camera's link can carry it.
    async fn flood(&mut self, misdeed: Misdeed) -> std::io::Result<()> {
        let (mut stream, mut bytes, mut packets) = (Stream::new(misdeed), 0, 0);
        loop {
            let packet = stream.next();
            match &self.datagrams {
                // Whatever does not fit is lost.
                Some(socket) => {
                    socket.send(&packet[4..]).await?;
                    self.sent.fetch_add(packet.len() as u64, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
                None if misdeed == Misdeed::Trickle => {
                    for byte in &packet {
                        self.write(&[*byte]).await?;
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
                None => self.write(&packet).await?,
            }
            (bytes, packets) = (bytes + packet.len(), packets + 1);
            if bytes > BURST.0 || packets > BURST.1 {
                (bytes, packets) = (0, 0);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// Says nothing more.
    async fn rest(&mut self) -> std::io::Result<()> {
        let mut bytes = [0; 1024];
        while self.stream.read(&mut bytes).await? > 0 {}
        Ok(())
    }
}
