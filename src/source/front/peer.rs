//! The camera's end of a front, which outlives it: a session that broke is torn down before the next one is opened,
//! since many a camera has one session only.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tracing::debug;

use super::conversation::{Answered, Conversation};
use super::login::Login;
use super::side::Side;
use super::stream::CameraStream;
use super::tunnel::{self, Half};
use super::wire::{WireEvent, WireReader};
use super::words::FrontFault;
use crate::config::{Fingerprint, RtspConfig, Transport, Trust};
use crate::source::certificate::Trouble;

/// A session that nobody uses is forgotten by its camera after a minute (RFC 2326 section 12.37).
const FORGOTTEN: Duration = Duration::from_secs(60);

/// A connection to a camera, and what has been said over it.
pub(super) struct Peer {
    pub(super) side: Side,
    pub(super) conversation: Conversation,
    config: RtspConfig,
}

/// A session that broke and that the camera may still count.
pub struct Stale {
    peer: Peer,
    broke_at: Instant,
    /// Nothing came over its own connection any more.
    is_dead: bool,
}

impl Stale {
    /// What became of a connection.
    pub(super) fn new(peer: Peer) -> Self {
        Self { peer, broke_at: Instant::now(), is_dead: false }
    }

    /// Tears it down over its own connection, as long as that works; whether nothing is left to do. Dropping it halfway
    /// means that the connection does not work.
    pub async fn tear_down(&mut self) -> bool {
        if self.is_dead {
            return false;
        }
        self.is_dead = true;
        self.peer.tear_down().await
    }

    /// Tears it down over a new connection; whether nothing is left to do.
    pub async fn tear_down_anew(&mut self) -> bool {
        if self.broke_at.elapsed() > FORGOTTEN {
            self.peer.conversation.forget();
            return true;
        }
        let Ok(stream) = connect(&self.peer.config).await else { return false };
        self.peer.side = Side::new(stream, WireReader::default());
        self.peer.tear_down().await
    }
}

impl Peer {
    pub(super) fn new(stream: CameraStream, config: RtspConfig, conversation: Conversation) -> Self {
        Self { side: Side::new(stream, WireReader::default()), conversation, config }
    }

    /// Whether TLS is spoken at the camera's port: a server on GnuTLS, such as GStreamer's, hangs up without a word when
    /// it hears something else. Found out by a handshake over another connection.
    pub(super) async fn is_behind_tls(&self) -> bool {
        // No certificate has it, so nothing comes of the connection.
        let nobody = Trust::Pinned(Fingerprint::of(b""));
        let asked = RtspConfig { trust: nobody, ..self.config.clone() };
        matches!(secured(&asked).await, Err(FrontFault::Tls(Trouble::Changed { .. })))
    }

    async fn tear_down(&mut self) -> bool {
        let Some(request) = self.conversation.farewell() else { return true };
        match self.ask(&request).await {
            Ok(()) => {
                self.conversation.forget();
                true
            }
            Err(fault) => {
                debug!(?fault, "a session was not torn down");
                false
            }
        }
    }

    /// Sends the request under way and reads until it is answered.
    async fn ask(&mut self, request: &[u8]) -> Result<(), FrontFault> {
        self.side.send(request);
        loop {
            poll_fn(|cx| self.side.poll_flush(cx)).await.map_err(FrontFault::Broken)?;
            match self.side.reader.event().map_err(FrontFault::Wire)? {
                Some(WireEvent::Message(head, body)) => match self.conversation.answered(&head, &body)? {
                    Answered::Again(bytes) => self.side.send(&bytes),
                    Answered::Passed(_) => return Ok(()),
                    Answered::Idle => {}
                },
                Some(WireEvent::Packet { .. } | WireEvent::Slipped(_)) => {}
                None => {
                    if !poll_fn(|cx| self.side.poll_fill(cx)).await.map_err(FrontFault::Broken)? {
                        return Err(FrontFault::Closed { is_playing: true });
                    }
                }
            }
        }
    }
}

impl Drop for Peer {
    /// A session that is dropped, because the program ends, is torn down as far as that goes without waiting.
    fn drop(&mut self) {
        if let Some(request) = self.conversation.farewell() {
            let _ = self.side.stream.write_last(&request);
        }
    }
}

/// A connection to this camera, as far as RTSP can be spoken over it.
pub(super) async fn connect(config: &RtspConfig) -> Result<CameraStream, FrontFault> {
    match config.transport {
        Transport::Tcp | Transport::Udp => connect_once(config).await,
        Transport::Http => connect_inside(config).await,
    }
}

/// A connection to this camera for whoever asks beside a session; nothing if there is none. Has no limit of its own.
pub async fn dial(config: &RtspConfig) -> Option<impl AsyncRead + AsyncWrite + Unpin> {
    connect(config).await.ok()
}

/// One connection, secured if it is to be.
async fn connect_once(config: &RtspConfig) -> Result<CameraStream, FrontFault> {
    if config.is_tls() { secured(config).await } else { Ok(plain(config).await?.into()) }
}

async fn secured(config: &RtspConfig) -> Result<CameraStream, FrontFault> {
    let stream = plain(config).await?;
    // Requests are small, and each is waited for.
    stream.set_nodelay(true).map_err(FrontFault::Own)?;
    CameraStream::secure(stream, host(config), &config.trust).await
}

fn host(config: &RtspConfig) -> &str {
    config.url.host_str().unwrap_or_default().trim_matches(['[', ']'])
}

async fn plain(config: &RtspConfig) -> Result<TcpStream, FrontFault> {
    let found = lookup_host((host(config), config.port())).await;
    let addresses: Vec<_> = found.map_err(|_| FrontFault::Name)?.collect();
    if addresses.is_empty() {
        return Err(FrontFault::Name);
    }
    TcpStream::connect(addresses.as_slice()).await.map_err(FrontFault::Connect)
}

/// Two connections of HTTP that are one.
async fn connect_inside(config: &RtspConfig) -> Result<CameraStream, FrontFault> {
    let mut login = Login::new(config.credentials.clone());
    let cookie = tunnel::cookie().map_err(FrontFault::Own)?;
    let mut half = Half::Asked;
    while matches!(half, Half::Asked) {
        half = tunnel::open_down(connect_once(config).await?, &config.url, &cookie, &mut login).await?;
    }
    let Half::Open(down) = half else { return Err(FrontFault::Tunnel(None)) };
    tunnel::open_up(down, connect_once(config).await?, &config.url, &cookie, &mut login).await
}
