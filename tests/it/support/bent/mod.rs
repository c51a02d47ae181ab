//! Cameras that are bent: each is a plain one in which one word, packet or stamp is another, as with a device that
//! people report. Raw sockets on loopback; what they show is their instant.

pub(crate) mod bits;
mod camera;
mod chunk;
mod conversation;
pub(crate) mod kinds;
pub(crate) mod loops;
pub(crate) mod trial;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

pub(crate) use camera::Bent;
pub(crate) use chunk::{chunks, fragments};
pub(crate) use conversation::{Answer, Login, Request};
use loops::{PLAIN_LOOP, Stream};

/// What is right for a camera.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    /// Every trigger has a whole picture of its instant, at most so many milliseconds from it, over one session.
    Exact(i64),
    /// Every trigger has a picture; one that is far from its instant, torn or grey says so.
    Noted,
    /// The camera's state says all of these (`a|b`: one of them), and nothing of a library. With a picture nothing need
    /// be said.
    Words(&'static [&'static str]),
}

/// Makes other units of those of a picture.
type Rewrite = fn(Vec<Vec<u8>>, &mut Memory) -> Vec<Vec<u8>>;

/// A camera: the plain one, and what is bent of it.
#[derive(Clone, Copy)]
pub(crate) struct Bend {
    /// What is bent.
    pub(crate) name: &'static str,
    /// The device, the public report or the standard that knows of it.
    pub(crate) report: &'static str,
    pub(crate) expect: Expect,
    /// `CAMERA_n_…` of the daemon.
    pub(crate) settings: &'static [(&'static str, &'static str)],
    pub(crate) stream: &'static Stream,
    pub(crate) login: Option<Login>,
    /// The session description.
    pub(crate) description: fn(String, &Facts) -> String,
    /// An answer, before it becomes bytes.
    pub(crate) answer: fn(&Request, &mut Answer, &mut Memory),
    /// A message as bytes.
    pub(crate) message: fn(Vec<u8>) -> Vec<u8>,
    /// RTP time of picture `i`, counted since 1970, at so many pictures a second.
    pub(crate) stamp: fn(u64, u64) -> u64,
    /// How many pictures later, or earlier, than its time the first one is sent; negative: from the past.
    pub(crate) begins: i64,
    /// The units of a picture.
    pub(crate) units: Rewrite,
    /// The payloads of a picture's units.
    pub(crate) payloads: fn(&[Vec<u8>], &Facts, &mut Memory) -> Vec<Payload>,
    /// The packets of a picture.
    pub(crate) packets: fn(Vec<Packet>, &mut Memory) -> Vec<Out>,
    /// A packet between `$` and the next one.
    pub(crate) framed: fn(Vec<u8>, &mut Memory) -> Vec<u8>,
    /// A session without a good keepalive ends after so long.
    pub(crate) dies: Option<Duration>,
    /// From being connected to the first picture that is judged; from there on the connection has to stay.
    pub(crate) settles: Duration,
    /// From there to the last one.
    pub(crate) lasts: Duration,
}

/// The plain camera.
pub(crate) const PLAIN: Bend = Bend {
    name: "plain",
    report: "a camera as the standards want it",
    expect: Expect::Exact(EXACT_MS),
    settings: &[],
    stream: &PLAIN_LOOP,
    login: None,
    description: |text, _| text,
    answer: |_, _, _| (),
    message: |bytes| bytes,
    stamp: |i, fps| i * 90_000 / fps,
    begins: 0,
    units: |units, _| units,
    payloads: |units, facts, _| chunks(units, facts),
    packets: |packets, _| packets.into_iter().map(Out::Packet).collect(),
    framed: |bytes, _| bytes,
    dies: None,
    settles: Duration::from_millis(1000),
    lasts: Duration::from_millis(3500),
};

/// One frame interval of 50 ms, and some for a busy machine.
pub(crate) const EXACT_MS: i64 = 75;

/// Where stamps are no clock, arrivals are the truth, with their jitter.
pub(crate) const ARRIVAL_MS: i64 = 160;

/// What a description and packets are made of.
pub(crate) struct Facts {
    pub(crate) stream: &'static Stream,
    /// The first parameter set of each kind, in order.
    pub(crate) sets: Vec<Vec<u8>>,
    pub(crate) port: u16,
}

/// What a camera remembers: of a connection, and of all of them.
pub(crate) struct Memory {
    /// Pictures sent on this connection.
    pub(crate) pictures: u64,
    /// Packets sent on it.
    pub(crate) packets: u64,
    /// Requests answered on it, this one included.
    pub(crate) requests: u64,
    /// Packets that come later.
    pub(crate) held: VecDeque<Packet>,
    /// Whatever a bend counts on this connection.
    pub(crate) count: u64,
    /// Times that PLAY was answered, on all connections.
    pub(crate) played: Arc<AtomicU64>,
}

/// A payload, and whether the marker bit stands there.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub(crate) bytes: Vec<u8>,
    pub(crate) mark: bool,
}

/// An RTP packet before it becomes bytes.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Version, padding, extension, sources: the first byte.
    pub(crate) first: u8,
    pub(crate) mark: bool,
    pub(crate) kind: u8,
    pub(crate) sequence: u16,
    pub(crate) time: u32,
    pub(crate) ssrc: u32,
    /// What stands between the head and the payload: an extension.
    pub(crate) extension: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Packet {
    /// As RFC 3550 has it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = vec![self.first, self.kind | if self.mark { 0x80 } else { 0 }];
        out.extend(self.sequence.to_be_bytes());
        out.extend(self.time.to_be_bytes());
        out.extend(self.ssrc.to_be_bytes());
        out.extend(&self.extension);
        out.extend(&self.payload);
        out
    }
}

/// What leaves the camera.
#[derive(Clone, Debug)]
pub(crate) enum Out {
    Packet(Packet),
    /// RTCP.
    Report(Vec<u8>),
    /// Text, or whatever, between packets.
    Raw(Vec<u8>),
}

/// All packets as they are.
pub(crate) fn all(packets: Vec<Packet>) -> Vec<Out> {
    packets.into_iter().map(Out::Packet).collect()
}
