//! What stands between a camera and the RTSP library, and lets pass what is within bounds.
//!
//! The library makes its own connection and bounds nothing: a length that a camera announces, headers or a picture
//! without end would be kept in memory as far as they come. So it is given an address on loopback. Behind it stands a
//! front, one per session: it holds the connection to the camera, cuts what comes into messages and packets
//! ([`wire`]), logs in ([`login`]), tells each side what it expects ([`conversation`]), and ends the session in words
//! ([`words`]) when something exceeds its bound. Datagrams become packets of the connection here, too.
//!
//! A front is a future beside the session, not a task: whoever drops it has closed everything.

pub mod arrivals;
pub mod conversation;
mod datagrams;
pub mod description;
mod entrance;
pub mod login;
pub mod message;
mod peer;
pub mod rate;
pub mod rtp;
mod side;
pub mod wire;
pub mod words;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use url::{Position, Url};

use crate::config::{RtspConfig, Transport};
use crate::media::gop::Codec;
use arrivals::Arrivals;
use conversation::{Addresses, Answered, Conversation};
use datagrams::UdpPair;
use entrance::Entrance;
use login::Login;
use message::{Head, Start};
use peer::Peer;
use rate::{Bucket, Rate};
use rtp::Packet;
use side::Side;
use wire::Event;

pub use peer::Stale;
pub use words::{Fault, Named};

/// Most bytes before video is promised. Four answers are some kilobytes; but some cameras send what they have from the
/// first moment on (which is not kept), and think for seconds meanwhile.
const OPENING_MAX: usize = 8 << 20;

/// Most that may come without a whole picture, units of it counted as `rtp` does. The largest keyframes of 4K have
/// 2 MB.
const PICTURE_MAX: usize = 8 << 20;

/// How long a message may take from its first byte to its last. Slow cameras think before they answer, not within.
const MESSAGE_LIMIT: Duration = Duration::from_secs(10);

/// What has come before the connection broke is read by the library within this time.
const LINGER: Duration = Duration::from_millis(300);

/// Requests of the camera, and answers to nothing. A camera that pings does so every few seconds.
const TALK: Rate = Rate { per_second: 2, burst: 40 };

/// Reports that are handed on. One in five seconds is usual, two a second is the most that was seen; more are dropped.
const REPORTS: Rate = Rate { per_second: 20, burst: 40 };

/// Packets that are handed on to nobody: reports beyond that, sound and other media that some cameras send unasked.
const USELESS: Rate = Rate { per_second: 5000, burst: 10_000 };

/// A front. See the module.
pub struct Front {
    peer: Peer,
    /// The library's connection.
    inner: Inner,
    udp: Option<UdpPair>,
    codec: Codec,
    /// Bytes from the camera before video was promised.
    opening: usize,
    /// Cost of what was handed on since the last whole picture.
    unfinished: usize,
    arrivals: Arrivals,
    /// What waits for the library may go.
    is_urgent: bool,
    talk: Bucket,
    reports: Bucket,
    useless: Bucket,
    /// When the message that has begun must have ended.
    limit: Option<Pin<Box<Sleep>>>,
    /// The camera's end, which is told once the library has had time to read what came before it.
    end: Option<(Fault, Pin<Box<Sleep>>)>,
}

enum Inner {
    Awaited(Entrance),
    Here(Side),
}

impl Front {
    /// Connects to a camera and opens the place where the library comes in. Has no limit of its own. Dropping it closes
    /// everything.
    pub async fn open(config: &RtspConfig) -> Result<Self, Fault> {
        let stream = peer::connect(&config.url).await?;
        let entrance = Entrance::open().await.map_err(Fault::Own)?;
        let udp = match config.transport {
            Transport::Tcp => None,
            Transport::Udp => {
                let ends = stream.local_addr().and_then(|local| Ok((local.ip(), stream.peer_addr()?.ip())));
                let (local, camera) = ends.map_err(Fault::Broken)?;
                Some(UdpPair::bind(local, camera).await.map_err(Fault::Own)?)
            }
        };
        let camera = config.url[..Position::BeforePath].to_owned();
        let addresses = Addresses { own: entrance.own().to_owned(), camera };
        let login = Login::new(config.credentials.clone());
        let conversation = Conversation::new(addresses, login, udp.as_ref().map(UdpPair::port));
        let now = Instant::now();
        Ok(Self {
            peer: Peer::new(stream, config.url.clone(), conversation),
            inner: Inner::Awaited(entrance),
            udp,
            codec: Codec::H264,
            opening: 0,
            unfinished: 0,
            arrivals: Arrivals::default(),
            is_urgent: false,
            talk: Bucket::new(TALK, now),
            reports: Bucket::new(REPORTS, now),
            useless: Bucket::new(USELESS, now),
            limit: None,
            end: None,
        })
    }

    /// Where the library finds the camera's stream: the camera's own path and query behind our address.
    pub fn url(&self, camera: &Url) -> Result<Url, url::ParseError> {
        Url::parse(&format!("{}{}", self.peer.conversation.own(), &camera[Position::BeforePath..]))
    }

    /// What the packets will hold.
    pub fn expect(&mut self, codec: Codec) {
        self.codec = codec;
    }

    /// The library has handed out the picture of this RTP time, so it keeps nothing of it any more. Returns when its first
    /// packet came, which the library learns too late: packets are handed on when their picture has ended.
    pub fn delivered(&mut self, time: u32) -> Option<Instant> {
        self.unfinished = 0;
        self.arrivals.of(time)
    }

    /// Hands on what comes, until it must not; then the fault. May be dropped and called again at any time.
    pub async fn run(&mut self) -> Fault {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Why the camera's end of the connection is gone, if it is.
    pub fn end(&self) -> Option<&Fault> {
        self.end.as_ref().map(|(fault, _)| fault)
    }

    /// What is left when the session is over.
    pub fn into_stale(self) -> Stale {
        Stale::new(self.peer)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        match self.poll_parts(cx) {
            Err(fault) if fault.is_end() && self.end.is_none() => {
                self.end = Some((fault, Box::pin(tokio::time::sleep(LINGER))));
            }
            Err(fault) => return Poll::Ready(fault),
            Ok(()) => {}
        }
        self.poll_end(cx)
    }

    /// After the camera's end: the library gets the rest and then the end as well.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        let Some((_, linger)) = &mut self.end else { return Poll::Pending };
        if let Inner::Here(library) = &mut self.inner
            && library.poll_flush(cx).is_ready()
        {
            // If that fails the library has closed it already.
            let _ = tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut library.stream), cx);
        }
        if linger.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.end.take().map_or(Poll::Pending, |(fault, _)| Poll::Ready(fault))
    }

    /// Does everything that can be done now.
    fn poll_parts(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        if self.end.is_some() {
            return Ok(());
        }
        if let Inner::Awaited(entrance) = &mut self.inner
            && let Poll::Ready(entered) = entrance.poll_enter(cx)
        {
            let (stream, reader, head) = entered.map_err(Fault::Own)?;
            self.inner = Inner::Here(Side::new(stream, reader));
            self.ask(head);
        }
        self.poll_library(cx)?;
        if let Poll::Ready(Err(error)) = self.peer.side.poll_flush(cx) {
            return Err(Fault::Broken(error));
        }
        self.poll_camera(cx)?;
        self.poll_datagrams(cx)?;
        self.poll_limit(cx)?;
        if let Poll::Ready(Err(error)) = self.peer.side.poll_flush(cx) {
            return Err(Fault::Broken(error));
        }
        if self.is_urgent
            && let Inner::Here(library) = &mut self.inner
            && library.poll_flush(cx).is_ready()
        {
            // An error is the library's own end, and whoever asked it knows.
            self.is_urgent = false;
        }
        Ok(())
    }

    /// What the library asks.
    fn poll_library(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        loop {
            let Inner::Here(library) = &mut self.inner else { return Ok(()) };
            match library.reader.event() {
                Ok(Some(Event::Message(head, _))) => self.ask(head),
                // Reports of the library, which today's sends none of.
                Ok(Some(Event::Packet { whole, .. })) => self.peer.side.send(whole),
                Ok(None) if self.peer.side.has_room() => match library.poll_fill(cx) {
                    Poll::Ready(Ok(true)) => {}
                    Poll::Ready(Ok(false) | Err(_)) | Poll::Pending => return Ok(()),
                },
                Ok(None) => return Ok(()),
                Err(excess) => return Err(Fault::Own(std::io::Error::other(format!("{excess:?}")))),
            }
        }
    }

    fn ask(&mut self, head: Head) {
        if matches!(head.start, Start::Request { .. }) {
            let bytes = self.peer.conversation.ask(head);
            self.peer.side.send(&bytes);
        }
    }

    /// What the camera sends.
    fn poll_camera(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        while let Inner::Here(library) = &mut self.inner {
            if !library.has_room() {
                self.is_urgent = true;
                if library.poll_flush(cx).is_pending() {
                    return Ok(());
                }
            }
            match self.peer.side.poll_fill(cx) {
                Poll::Ready(Ok(true)) => self.take()?,
                Poll::Ready(Ok(false)) => {
                    return Err(Fault::Closed { is_playing: self.peer.conversation.is_playing() });
                }
                Poll::Ready(Err(error)) => return Err(Fault::Broken(error)),
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }

    /// Everything that is whole of what has come.
    fn take(&mut self) -> Result<(), Fault> {
        // Once for all that has come together.
        let now = Instant::now();
        loop {
            let Inner::Here(library) = &mut self.inner else { return Ok(()) };
            let peer = &mut self.peer;
            match peer.side.reader.event().map_err(Fault::Wire)? {
                Some(Event::Packet { channel, whole }) => {
                    let of = peer.conversation.channel();
                    let useful = match of {
                        Some(packets) if channel == packets => {
                            let packet = Packet::parse(&whole[wire::PACKET_HEAD..]);
                            self.unfinished += packet.map_or(whole.len(), |packet| packet.cost(self.codec));
                            self.is_urgent |= self.arrivals.take(packet, now);
                            true
                        }
                        Some(packets) if channel == packets.saturating_add(1) => {
                            let is_wanted = self.reports.take(now);
                            self.is_urgent |= is_wanted;
                            self.unfinished += whole.len();
                            is_wanted
                        }
                        _ => false,
                    };
                    if useful {
                        library.send(whole);
                    } else if !self.useless.take(now) {
                        return Err(Fault::Flood);
                    }
                    if of.is_none() {
                        self.opening += whole.len();
                    }
                    if self.unfinished > PICTURE_MAX {
                        return Err(Fault::Picture(PICTURE_MAX));
                    }
                }
                Some(Event::Message(head, body)) => {
                    self.limit = None;
                    if !peer.conversation.is_playing() {
                        self.opening += head.size() + body.len();
                    }
                    let answered = match head.start {
                        Start::Request { .. } => {
                            let answer = Conversation::asked(&head);
                            peer.side.send(&answer);
                            Answered::Idle
                        }
                        Start::Response { .. } => peer.conversation.answered(&head, &body)?,
                    };
                    match answered {
                        Answered::Again(bytes) => peer.side.send(&bytes),
                        Answered::Passed(bytes) => {
                            library.send(&bytes);
                            self.is_urgent = true;
                        }
                        Answered::Idle if self.talk.take(now) && peer.side.has_room() => {}
                        Answered::Idle => return Err(Fault::Talk),
                    }
                }
                None => break,
            }
            if self.opening > OPENING_MAX {
                return Err(Fault::Opening(OPENING_MAX));
            }
        }
        if self.peer.side.reader.is_inside_message() && self.limit.is_none() {
            self.limit = Some(Box::pin(tokio::time::sleep(MESSAGE_LIMIT)));
        }
        Ok(())
    }

    /// Packets that come as datagrams.
    fn poll_datagrams(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        let (Some(udp), Some(agreed)) = (&mut self.udp, self.peer.conversation.datagrams()) else {
            return Ok(());
        };
        udp.open(agreed);
        let Some(channel) = self.peer.conversation.channel() else { return Ok(()) };
        let now = Instant::now();
        while let Inner::Here(library) = &mut self.inner {
            if !library.has_room() {
                self.is_urgent = true;
                if library.poll_flush(cx).is_pending() {
                    return Ok(());
                }
            }
            let Poll::Ready(whole) = udp.poll_next(cx, channel, agreed) else { return Ok(()) };
            let whole = whole.map_err(Fault::Own)?;
            if whole[1] != channel {
                if self.reports.take(now) {
                    library.send(whole);
                    self.is_urgent = true;
                }
                continue;
            }
            let packet = Packet::parse(&whole[wire::PACKET_HEAD..]);
            self.unfinished += packet.map_or(whole.len(), |packet| packet.cost(self.codec));
            self.is_urgent |= self.arrivals.take(packet, now);
            library.send(whole);
            if self.unfinished > PICTURE_MAX {
                return Err(Fault::Picture(PICTURE_MAX));
            }
        }
        Ok(())
    }

    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        if !self.peer.side.reader.is_inside_message() {
            self.limit = None;
        }
        let is_over = self.limit.as_mut().is_some_and(|limit| limit.as_mut().poll(cx).is_ready());
        if is_over { Err(Fault::Slow(MESSAGE_LIMIT.as_secs())) } else { Ok(()) }
    }
}
