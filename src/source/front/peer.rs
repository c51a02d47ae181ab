//! The camera's end of a front, which outlives it: a session that broke is torn down before the next one is opened,
//! since many a camera has one session only.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, lookup_host};
use tracing::debug;
use url::Url;

use super::conversation::{Answered, Conversation};
use super::side::Side;
use super::wire::{Event, Reader};
use super::words::Fault;

/// Port of RTSP (RFC 2326 section 3.2).
const PORT: u16 = 554;

/// A session that nobody uses is forgotten by its camera after a minute (RFC 2326 section 12.37).
const FORGOTTEN: Duration = Duration::from_secs(60);

/// A connection to a camera, and what has been said over it.
pub(super) struct Peer {
    pub(super) side: Side,
    pub(super) conversation: Conversation,
    url: Url,
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
        let Ok(stream) = connect(&self.peer.url).await else { return false };
        self.peer.side = Side::new(stream, Reader::default());
        self.peer.tear_down().await
    }
}

impl Peer {
    pub(super) fn new(stream: TcpStream, url: Url, conversation: Conversation) -> Self {
        Self { side: Side::new(stream, Reader::default()), conversation, url }
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
    async fn ask(&mut self, request: &[u8]) -> Result<(), Fault> {
        self.side.send(request);
        loop {
            poll_fn(|cx| self.side.poll_flush(cx)).await.map_err(Fault::Broken)?;
            match self.side.reader.event().map_err(Fault::Wire)? {
                Some(Event::Message(head, body)) => match self.conversation.answered(&head, &body)? {
                    Answered::Again(bytes) => self.side.send(&bytes),
                    Answered::Passed(_) => return Ok(()),
                    Answered::Idle => {}
                },
                Some(Event::Packet { .. } | Event::Slipped(_)) => {}
                None => {
                    if !poll_fn(|cx| self.side.poll_fill(cx)).await.map_err(Fault::Broken)? {
                        return Err(Fault::Closed { is_playing: true });
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
            let _ = self.side.stream.try_write(&request);
        }
    }
}

/// A connection to the server of this address.
pub(super) async fn connect(url: &Url) -> Result<TcpStream, Fault> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let found = lookup_host((host, url.port().unwrap_or(PORT))).await;
    let addresses: Vec<_> = found.map_err(|_| Fault::Name)?.collect();
    if addresses.is_empty() {
        return Err(Fault::Name);
    }
    TcpStream::connect(addresses.as_slice()).await.map_err(Fault::Connect)
}
