//! What stands between a camera and the RTSP library: the dialects of cameras, and bounds on everything they send.
//!
//! The library takes each deviation for the end of the world and bounds nothing, so it never meets a camera. It is given
//! an address on loopback, and behind it stands a front, one per session: it holds the connection to the camera, cuts
//! what comes into messages and packets ([`wire`]), logs in ([`login`]), tells each side what it expects
//! ([`conversation`]), and ends the session in words ([`words`]) when something exceeds its bound.
//!
//! The library opens the session (DESCRIBE, SETUP, PLAY), reading flawless answers. From then on the front has the
//! camera alone: it keeps the session alive, and what comes is made into pictures by [`super::rtp`], so that no packet
//! takes the way over loopback and nothing a packet says can end the session.
//!
//! A front is a future beside the session, not a task: whoever drops it has closed everything.

pub mod challenge;
pub mod control;
pub mod conversation;
mod datagrams;
pub mod description;
mod entrance;
mod incoming;
mod item;
pub mod keepalive;
pub mod login;
pub mod message;
pub mod named;
mod peer;
pub mod rate;
pub mod refusal;
mod side;
pub mod slip;
mod stream;
pub mod transport;
mod tunnel;
pub mod wire;
pub mod words;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use url::{Position, Url};

use super::rtp::marker::Markers;
use super::rtp::{Described, RtpReceiver};
use crate::config::{RtspConfig, Transport};
use conversation::{Addresses, Conversation};
use datagrams::UdpPair;
use description::Media;
use entrance::Entrance;
use keepalive::SessionHabits;
use login::Login;
use message::{MessageHead, Start};
use peer::Peer;
use rate::{Bucket, RateBound};
use side::Side;
use wire::WireEvent;

pub use item::Item;
pub use named::Named;
pub use peer::{Stale, dial};
pub use words::FrontFault;

/// How long a message may take from its first byte to its last. Slow cameras think before they answer, not within.
const MESSAGE_LIMIT: Duration = Duration::from_secs(10);

/// What has come before the connection broke is read by the library within this time.
const LINGER: Duration = Duration::from_millis(300);

/// Requests of the camera, and answers to nothing. A camera that pings does so every few seconds.
const TALK: RateBound = RateBound { per_second: 2, burst: 40 };

/// Reports that are read. One in five seconds is usual, two a second is the most that was seen; more are dropped.
const REPORTS: RateBound = RateBound { per_second: 20, burst: 40 };

/// Packets that are nothing to us: reports beyond that, sound and other media that some cameras send unasked.
const USELESS: RateBound = RateBound { per_second: 5000, burst: 10_000 };

/// Pictures. The fastest cameras send 120 a second; a restreamer sends some seconds of them at once.
const PICTURES: RateBound = RateBound { per_second: 500, burst: 3000 };

/// A front. See the module.
pub struct Front {
    peer: Peer,
    /// The library's connection.
    library: Library,
    udp: Option<UdpPair>,
    /// What makes pictures of packets, once it is known what they hold.
    receiver: Option<RtpReceiver>,
    reported: Option<Item>,
    /// The channel that packets come on, if it is not the one agreed on, and how many came before that was clear.
    other_channel: (Option<u8>, u32),
    /// Bytes from the camera before video was promised.
    opening: usize,
    talk: Bucket,
    reports: Bucket,
    useless: Bucket,
    pictures: Bucket,
    /// So many pictures were taken from it.
    counted: u64,
    /// When the message that has begun must have ended.
    limit: Option<Pin<Box<Sleep>>>,
    /// When something that waits must go on, or the session be kept alive.
    wake: Pin<Box<Sleep>>,
    keepalive_at: Option<Instant>,
    /// The camera's end, which is told once all that came before it has been taken.
    end: Option<(FrontFault, Pin<Box<Sleep>>)>,
}

enum Library {
    Awaited(Entrance),
    Here(Side),
    /// It has done its part.
    Gone,
}

impl Front {
    /// Connects to a camera and opens the place where the library comes in. Has no limit of its own. Dropping it closes
    /// everything.
    pub async fn open(config: &RtspConfig) -> Result<Self, FrontFault> {
        let stream = peer::connect(config).await?;
        let entrance = Entrance::open().await.map_err(FrontFault::Own)?;
        let udp = match config.transport {
            Transport::Tcp | Transport::Http => None,
            Transport::Udp => {
                let ends = stream.local_addr().and_then(|local| Ok((local.ip(), stream.peer_addr()?.ip())));
                let (local, camera) = ends.map_err(FrontFault::Broken)?;
                Some(UdpPair::bind(local, camera).await.map_err(FrontFault::Own)?)
            }
        };
        let camera = config.url[..Position::BeforePath].to_owned();
        let addresses = Addresses { own: entrance.own().to_owned(), camera };
        let login = Login::new(config.credentials.clone());
        let conversation = Conversation::new(addresses, login, udp.as_ref().map(UdpPair::port));
        let now = Instant::now();
        Ok(Self {
            peer: Peer::new(stream, config.clone(), conversation),
            library: Library::Awaited(entrance),
            udp,
            receiver: None,
            reported: None,
            other_channel: (None, 0),
            opening: 0,
            talk: Bucket::new(TALK, now),
            reports: Bucket::new(REPORTS, now),
            useless: Bucket::new(USELESS, now),
            pictures: Bucket::new(PICTURES, now),
            counted: 0,
            limit: None,
            wake: Box::pin(tokio::time::sleep_until(now.into())),
            keepalive_at: None,
            end: None,
        })
    }

    /// Where the library finds the camera's stream: the camera's own path and query behind our address.
    pub fn url(&self, camera: &Url) -> Result<Url, url::ParseError> {
        Url::parse(&format!("{}{}", self.peer.conversation.own(), &camera[Position::BeforePath..]))
    }

    /// The camera has these habits.
    pub fn know(&mut self, habits: SessionHabits) {
        self.peer.conversation.know(habits);
    }

    /// The camera's habits, now that video has come for so long, if it was promised.
    pub fn habits(&self, lasted: Option<Duration>) -> SessionHabits {
        self.peer.conversation.habits(lasted)
    }

    /// Where the camera sends us on to from this address, if that is the same camera.
    pub fn moved(&self, from: &Url) -> Option<Url> {
        control::moved(from, self.peer.conversation.moved()?)
    }

    /// The video that is asked for, once the camera has described what it has.
    pub fn media(&self) -> Option<&Media> {
        self.peer.conversation.media()
    }

    /// What the packets will hold, and what the camera's markers were worth in the session before.
    pub fn expect(&mut self, described: &Described, markers: Markers) {
        self.receiver = Some(RtpReceiver::new(described, self.udp.is_none(), markers));
    }

    /// The library has opened the session and is done.
    pub fn release(&mut self) {
        self.library = Library::Gone;
        if let Some(channel) = self.peer.conversation.channel() {
            self.peer.side.reader.expect(channel);
        }
        self.keepalive_at = Some(Instant::now() + self.peer.conversation.keepalive_interval());
    }

    /// What the camera's markers are worth.
    pub fn markers(&self) -> Markers {
        self.receiver.as_ref().map_or_else(Markers::default, RtpReceiver::markers)
    }

    /// Whether pictures come whose size is said nowhere.
    pub fn has_no_size(&self) -> bool {
        self.receiver.as_ref().is_some_and(RtpReceiver::has_no_size)
    }

    /// Whether nothing has come where datagrams are awaited.
    pub fn is_without_datagrams(&self) -> bool {
        self.udp.as_ref().is_some_and(|udp| !udp.has_come())
    }

    /// Hands on what is said while the session is being opened, until that must end; then the fault. May be dropped and
    /// called again at any time.
    pub async fn run(&mut self) -> FrontFault {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The next thing that comes of an open session, or why nothing comes any more. May be dropped and called again at
    /// any time.
    pub async fn next(&mut self) -> Result<Item, FrontFault> {
        poll_fn(|cx| {
            if let Some(item) = self.item() {
                return Poll::Ready(Ok(item));
            }
            let ended = self.poll(cx);
            // What came before the end is taken first.
            match (self.item(), ended) {
                (Some(item), Poll::Ready(fault)) => {
                    self.end = Some((fault, Box::pin(tokio::time::sleep(Duration::ZERO))));
                    Poll::Ready(Ok(item))
                }
                (Some(item), Poll::Pending) => Poll::Ready(Ok(item)),
                (None, ended) => ended.map(Err),
            }
        })
        .await
    }

    /// Why the camera's end of the connection is gone, if it is.
    pub fn end(&self) -> Option<&FrontFault> {
        self.end.as_ref().map(|(fault, _)| fault)
    }

    /// Whether anything has come from the camera.
    pub fn has_heard(&self) -> bool {
        self.peer.side.has_heard
    }

    /// Whether the camera speaks TLS at its port. Asks it over another connection; has no limit of its own.
    pub async fn is_behind_tls(&self) -> bool {
        self.peer.is_behind_tls().await
    }

    /// What is left when the session is over.
    pub fn into_stale(self) -> Stale {
        Stale::new(self.peer)
    }

    fn item(&mut self) -> Option<Item> {
        let unit = self.receiver.as_mut().and_then(RtpReceiver::ready).map(Item::Unit);
        unit.or_else(|| self.reported.take())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<FrontFault> {
        match self.poll_parts(cx) {
            Err(fault) if fault.is_end() && self.end.is_none() => {
                let linger = if matches!(self.library, Library::Gone) { Duration::ZERO } else { LINGER };
                self.end = Some((fault, Box::pin(tokio::time::sleep(linger))));
            }
            Err(fault) => return Poll::Ready(fault),
            Ok(()) => {}
        }
        self.poll_end(cx)
    }

    /// After the camera's end: the library gets the rest and then the end as well.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<FrontFault> {
        let Some((_, linger)) = &mut self.end else { return Poll::Pending };
        if let Library::Here(library) = &mut self.library
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
    fn poll_parts(&mut self, cx: &mut Context<'_>) -> Result<(), FrontFault> {
        if self.end.is_some() {
            return Ok(());
        }
        if let Library::Awaited(entrance) = &mut self.library
            && let Poll::Ready(entered) = entrance.poll_enter(cx)
        {
            let (stream, reader, head) = entered.map_err(FrontFault::Own)?;
            self.library = Library::Here(Side::new(stream, reader));
            self.ask(head);
        }
        self.poll_library(cx)?;
        if let Poll::Ready(Err(error)) = self.peer.side.poll_flush(cx) {
            return Err(FrontFault::Broken(error));
        }
        self.poll_camera(cx)?;
        self.poll_datagrams(cx)?;
        self.poll_limit(cx)?;
        self.poll_wake(cx);
        if let Poll::Ready(Err(error)) = self.peer.side.poll_flush(cx) {
            return Err(FrontFault::Broken(error));
        }
        if let Library::Here(library) = &mut self.library {
            // An error is the library's own end, and whoever asked it knows.
            let _ = library.poll_flush(cx);
        }
        Ok(())
    }

    /// What the library asks.
    fn poll_library(&mut self, cx: &mut Context<'_>) -> Result<(), FrontFault> {
        loop {
            let Library::Here(library) = &mut self.library else { return Ok(()) };
            match library.reader.event() {
                Ok(Some(WireEvent::Message(head, _))) => self.ask(head),
                // Reports of the library, which today's sends none of.
                Ok(Some(WireEvent::Packet { .. } | WireEvent::Slipped(_))) => {}
                Ok(None) if self.peer.side.has_room() => match library.poll_fill(cx) {
                    Poll::Ready(Ok(true)) => {}
                    Poll::Ready(Ok(false) | Err(_)) | Poll::Pending => return Ok(()),
                },
                Ok(None) => return Ok(()),
                Err(excess) => return Err(FrontFault::Own(std::io::Error::other(format!("{excess:?}")))),
            }
        }
    }

    fn ask(&mut self, head: MessageHead) {
        if matches!(head.start, Start::Request { .. }) {
            let bytes = self.peer.conversation.ask(head);
            self.peer.side.send(&bytes);
        }
    }

    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Result<(), FrontFault> {
        if !self.peer.side.reader.is_inside_message() {
            self.limit = None;
        }
        let is_over = self.limit.as_mut().is_some_and(|limit| limit.as_mut().poll(cx).is_ready());
        match is_over {
            true if self.peer.side.reader.cut_short() => self.take(),
            true => Err(FrontFault::Slow(MESSAGE_LIMIT.as_secs())),
            false => Ok(()),
        }
    }

    /// What is due without anything coming.
    fn poll_wake(&mut self, cx: &mut Context<'_>) {
        loop {
            let waiting = self.receiver.as_ref().and_then(RtpReceiver::due_at);
            let Some(due) = [waiting, self.keepalive_at].into_iter().flatten().min() else { return };
            let due = tokio::time::Instant::from_std(due);
            if self.wake.deadline() != due {
                self.wake.as_mut().reset(due);
            }
            if self.wake.as_mut().poll(cx).is_pending() {
                return;
            }
            let now = Instant::now().max(due.into_std());
            if let Some(receiver) = &mut self.receiver {
                receiver.expire(now);
            }
            if self.keepalive_at.is_some_and(|at| at <= now) {
                if let Some(request) = self.peer.conversation.keepalive() {
                    self.peer.side.send(&request);
                }
                self.keepalive_at = Some(now + self.peer.conversation.keepalive_interval());
            }
        }
    }
}
