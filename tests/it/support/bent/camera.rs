//! A bent camera at work: one task a connection.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{JoinHandle, JoinSet};

use super::conversation::{Answer, Door, Request};
use super::loops::{Codec, Pictures, is_set, kind, pictures};
use super::{Bend, Facts, Memory, Out, Packet};

/// Identifies the stream in its packets.
const SSRC: u32 = 0x0a0b_0c0d;

/// The only session's name.
const SESSION: &str = "12345678";

/// A running camera; ends with this value, and its connections with it.
pub(crate) struct Bent {
    pub(crate) bend: &'static Bend,
    port: u16,
    played: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Bent {
    /// Starts a camera on a free port; its loop is encoded if nobody did that before.
    pub(crate) async fn start(bend: &'static Bend) -> Self {
        let pictures = tokio::task::spawn_blocking(|| pictures(bend.stream)).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (played, connections) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let accepting = tokio::spawn({
            let (played, connections) = (Arc::clone(&played), Arc::clone(&connections));
            async move {
                let mut open = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, Ordering::Relaxed);
                    let memory = Memory {
                        pictures: 0,
                        packets: 0,
                        requests: 0,
                        held: VecDeque::new(),
                        count: 0,
                        played: Arc::clone(&played),
                    };
                    let facts = Facts { stream: bend.stream, sets: sets(bend, &pictures), port };
                    let mut client = Client {
                        bend,
                        facts,
                        memory,
                        stream,
                        pictures: Arc::clone(&pictures),
                        door: Door::new(bend.login),
                        channel: 0,
                        datagrams: None,
                        kept: Instant::now(),
                        sequence: fastrand::u16(..20_000),
                    };
                    // Whatever ends a connection is the other side's right.
                    open.spawn(async move { client.serve().await });
                }
            }
        });
        Self { bend, port, played, connections, accepting }
    }

    /// Its address, without a log-in.
    pub(crate) fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/live", self.port)
    }

    /// How often video was asked for and promised.
    pub(crate) fn played(&self) -> u64 {
        self.played.load(Ordering::Relaxed)
    }

    /// How often somebody connected.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Bent {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The first parameter set of each kind, as the stream has it once it is bent.
fn sets(bend: &Bend, pictures: &Pictures) -> Vec<Vec<u8>> {
    let codec = bend.stream.codec;
    let mut sets: Vec<_> =
        pictures.iter().take(1).flatten().filter(|unit| is_set(unit, codec)).cloned().collect();
    sets.sort_by_key(|unit| kind(unit, codec));
    sets.dedup_by_key(|unit| kind(unit, codec));
    sets
}

/// What an answer says of the transport.
fn transport_of(answer: &Answer) -> Option<&str> {
    let (_, value) = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("transport"))?;
    Some(value)
}

/// The plain description of a stream.
fn description(facts: &Facts) -> String {
    let sets = &facts.sets;
    let format = match facts.stream.codec {
        Codec::H264 => {
            let profile: String = sets[0][1..4].iter().map(|byte| format!("{byte:02x}")).collect();
            let sprop: Vec<_> = sets.iter().map(|set| STANDARD.encode(set)).collect();
            format!(
                "a=rtpmap:96 H264/90000\r\n\
                 a=fmtp:96 packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={}\r\n",
                sprop.join(",")
            )
        }
        Codec::H265 => format!(
            "a=rtpmap:96 H265/90000\r\na=fmtp:96 sprop-vps={};sprop-sps={};sprop-pps={}\r\n",
            STANDARD.encode(&sets[0]),
            STANDARD.encode(&sets[1]),
            STANDARD.encode(&sets[2])
        ),
        Codec::Jpeg => "a=rtpmap:26 JPEG/90000\r\n".to_owned(),
    };
    let kind = if facts.stream.codec == Codec::Jpeg { 26 } else { 96 };
    format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=Media\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n\
         m=video 0 RTP/AVP {kind}\r\n{format}a=control:trackID=0\r\n"
    )
}

/// Two neighbouring ports, and where the client's are.
struct Datagrams {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    client: u16,
}

impl Datagrams {
    async fn open(client: u16) -> io::Result<Self> {
        loop {
            let rtp = UdpSocket::bind("127.0.0.1:0").await?;
            let port = rtp.local_addr()?.port();
            if port % 2 == 0
                && let Ok(rtcp) = UdpSocket::bind(("127.0.0.1", port + 1)).await
            {
                return Ok(Self { rtp, rtcp, client });
            }
        }
    }
}

/// Somebody who connected.
struct Client {
    bend: &'static Bend,
    facts: Facts,
    memory: Memory,
    stream: TcpStream,
    pictures: Pictures,
    door: Door,
    channel: u8,
    datagrams: Option<Datagrams>,
    /// When the session was last kept alive.
    kept: Instant,
    sequence: u16,
}

fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

impl Client {
    async fn serve(&mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let mut bytes = Vec::new();
        let fps = self.bend.stream.fps;
        let mut next: Option<u64> = None;
        loop {
            let due = next.map(|i| Duration::from_micros(i * 1_000_000 / fps).saturating_sub(unix()));
            tokio::select! {
                biased;
                read = self.stream.read_buf(&mut bytes) => {
                    if read? == 0 {
                        return Ok(());
                    }
                }
                () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() => {
                    let i = next.unwrap_or_default();
                    self.picture(i).await?;
                    next = Some(i + 1);
                    if self.bend.dies.is_some_and(|limit| self.kept.elapsed() > limit) {
                        return Ok(());
                    }
                }
            }
            while let Some(mut request) = Request::take(&mut bytes) {
                request.is_playing = next.is_some();
                if self.answer(&request).await? {
                    let now = u64::try_from(unix().as_millis()).unwrap() * fps / 1000 + 1;
                    next = next.or(Some(now.saturating_add_signed(self.bend.begins)));
                }
            }
        }
    }

    /// Answers; true if video is promised.
    async fn answer(&mut self, request: &Request) -> io::Result<bool> {
        self.memory.requests += 1;
        let mut answer = Answer::new(request);
        let is_admitted = self.door.admit(request, &mut answer);
        if is_admitted {
            self.fill(request, &mut answer).await?;
        }
        (self.bend.answer)(request, &mut answer, &mut self.memory);
        if let Some((_, channel)) = transport_of(&answer).and_then(|text| text.split_once("interleaved=")) {
            self.channel = channel.split(['-', ';']).next().and_then(|text| text.parse().ok()).unwrap_or(0);
        }
        let is_good = answer.status.starts_with("200") && !answer.is_withheld;
        if is_good && is_admitted {
            self.kept = Instant::now();
        }
        tokio::time::sleep(answer.delay).await;
        if !answer.is_withheld {
            self.stream.write_all(&answer.before).await?;
            let bytes = (self.bend.message)(answer.bytes());
            for portion in bytes.chunks(answer.portion) {
                self.stream.write_all(portion).await?;
                tokio::task::yield_now().await;
            }
        }
        if answer.is_last {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let is_playing = request.method == "PLAY" && is_good;
        if is_playing {
            self.memory.played.fetch_add(1, Ordering::Relaxed);
        }
        Ok(is_playing)
    }

    /// The plain answer.
    async fn fill(&mut self, request: &Request, answer: &mut Answer) -> io::Result<()> {
        match request.method.as_str() {
            "OPTIONS" => {
                answer.set("Public", "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER");
            }
            "DESCRIBE" => {
                answer.set("Content-Type", "application/sdp");
                answer.set("Content-Base", &format!("rtsp://127.0.0.1:{}/live/", self.facts.port));
                answer.body = (self.bend.description)(description(&self.facts), &self.facts);
            }
            "SETUP" => {
                let transport = self.transport(request.header("transport")).await?;
                answer.set("Transport", &transport);
                answer.set("Session", &format!("{SESSION};timeout=60"));
            }
            "PLAY" => {
                answer.set("Session", SESSION);
                answer.set("Range", "npt=0.000-");
            }
            "GET_PARAMETER" | "SET_PARAMETER" | "TEARDOWN" => {}
            _ => answer.refuse("501 Not Implemented"),
        }
        Ok(())
    }

    async fn transport(&mut self, asked: &str) -> io::Result<String> {
        let pair = |name: &str| {
            let (_, value) = asked.split_once(name)?;
            let value = value.split(';').next()?;
            let (first, _) = value.split_once('-').unwrap_or((value, ""));
            Some((value.to_owned(), first.to_owned()))
        };
        if let Some((both, first)) = pair("interleaved=") {
            self.channel = first.parse().unwrap_or(0);
            return Ok(format!("RTP/AVP/TCP;unicast;interleaved={both};ssrc=0A0B0C0D"));
        }
        let (both, first) = pair("client_port=").unwrap_or_default();
        let datagrams = Datagrams::open(first.parse().unwrap_or(9)).await?;
        let port = datagrams.rtp.local_addr()?.port();
        self.datagrams = Some(datagrams);
        Ok(format!("RTP/AVP;unicast;client_port={both};server_port={port}-{};ssrc=0A0B0C0D", port + 1))
    }

    async fn picture(&mut self, i: u64) -> io::Result<()> {
        let count = self.pictures.len() as u64;
        let units = self.pictures[usize::try_from(i % count).unwrap()].clone();
        let units = (self.bend.units)(units, &mut self.memory);
        let time = (self.bend.stamp)(i, self.bend.stream.fps);
        let time = u32::try_from(time & u64::from(u32::MAX)).unwrap();
        let payloads = (self.bend.payloads)(&units, &self.facts, &mut self.memory);
        let kind = if self.bend.stream.codec == Codec::Jpeg { 26 } else { 96 };
        let mut packets = Vec::new();
        for payload in payloads {
            self.sequence = self.sequence.wrapping_add(1);
            self.memory.packets += 1;
            packets.push(Packet {
                first: 0x80,
                mark: payload.mark,
                kind,
                sequence: self.sequence,
                time,
                ssrc: SSRC,
                extension: Vec::new(),
                payload: payload.bytes,
            });
        }
        let all = (self.bend.packets)(packets, &mut self.memory);
        self.memory.pictures += 1;
        for out in all {
            self.send(&out).await?;
        }
        Ok(())
    }

    async fn send(&mut self, out: &Out) -> io::Result<()> {
        let (bytes, is_report) = match out {
            Out::Packet(packet) => (packet.bytes(), false),
            Out::Report(bytes) => (bytes.clone(), true),
            Out::Raw(bytes) => return self.stream.write_all(bytes).await,
        };
        if let Some(datagrams) = &self.datagrams {
            let (socket, port) = match is_report {
                true => (&datagrams.rtcp, datagrams.client + 1),
                false => (&datagrams.rtp, datagrams.client),
            };
            socket.send_to(&bytes, ("127.0.0.1", port)).await?;
            return Ok(());
        }
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        let framed = [&[b'$', self.channel + u8::from(is_report)], &length[..], &bytes].concat();
        let framed = (self.bend.framed)(framed, &mut self.memory);
        self.stream.write_all(&framed).await
    }
}
