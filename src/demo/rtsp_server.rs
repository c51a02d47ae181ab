//! A small RTSP 1.0 server (RFC 2326) of synthetic cameras: H.264 over TCP, any number of streams and clients, Basic
//! or Digest authentication, and faults on demand.
//!
//! [`RtspServer::bind`] opens everything that can fail, [`RtspServer::run`] serves until its token fires, and an
//! [`RtspHandle`] watches and disturbs it from outside.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::demo::clients::ACCEPT_PAUSE;
use crate::demo::encoder::{EncoderError, EncoderLoop, SyntheticCamera};
use crate::demo::rtsp_auth::RtspAccount;
use crate::demo::rtsp_connection::Connection;
use crate::demo::rtsp_state::ServerShared;
use crate::demo::stream::StreamConfig;

pub use crate::demo::rtsp_state::RtspFault;

/// Connections at a time; one more is closed as soon as it is accepted.
const CLIENTS_MAX: usize = 64;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("listening on {addr} for RTSP")]
    Listen {
        /// As asked for.
        addr: SocketAddr,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A stream cannot be made.
    #[error("opening a synthetic camera")]
    Camera(#[from] EncoderError),
    /// The runtime is going down.
    #[error("opening the synthetic cameras: the runtime ended")]
    Runtime(#[from] tokio::task::JoinError),
}

/// A bound server; connections wait in the kernel until [`Self::run`].
pub struct RtspServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    shared: Arc<ServerShared>,
    loops: Vec<EncoderLoop>,
}

impl RtspServer {
    /// Listens on `addr` (port 0 takes a free one) and opens an encoder for each stream.
    pub async fn bind(
        addr: SocketAddr,
        streams: Vec<StreamConfig>,
        auth: Option<RtspAccount>,
    ) -> Result<Self, StartError> {
        let listen = |source| StartError::Listen { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(listen)?;
        let local_addr = listener.local_addr().map_err(listen)?;
        let opened =
            spawn_blocking(|| streams.into_iter().map(SyntheticCamera::open).collect::<Result<Vec<_>, _>>());
        let (cameras, loops) = opened.await??.into_iter().unzip();
        let shared = Arc::new(ServerShared { cameras, auth, condition: watch::Sender::default() });
        Ok(Self { listener, local_addr, shared, loops })
    }

    /// The address it listens on, with the port it was given.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// A handle that stays valid while the server runs and does nothing afterwards.
    pub fn handle(&self) -> RtspHandle {
        RtspHandle { shared: Arc::clone(&self.shared) }
    }

    /// Serves until `cancel` fires; then every connection is closed and every encoder has ended.
    ///
    /// Dropping the future instead closes the connections too and lets the encoders end within a frame.
    pub async fn run(self, cancel: CancellationToken) {
        let Self { listener, shared, loops, .. } = self;
        let stop = StopOnDrop(&shared);
        let mut encoders = JoinSet::new();
        for frames in loops {
            encoders.spawn_blocking(move || frames.run());
        }
        let mut clients = JoinSet::new();
        let mut condition = shared.condition.subscribe();
        loop {
            let is_frozen = condition.borrow_and_update().fault == Some(RtspFault::Freeze);
            tokio::select! {
                () = cancel.cancelled() => break,
                // The sender lives in `shared`, so this cannot fail while we are here.
                _ = condition.changed() => {}
                Some(_) = clients.join_next() => {}
                accepted = listener.accept(), if !is_frozen => match accepted {
                    Ok((stream, peer)) if clients.len() < CLIENTS_MAX => {
                        // Only latency suffers where the option is refused.
                        let _ = stream.set_nodelay(true);
                        let connection = Connection::new(stream, Arc::clone(&shared));
                        clients.spawn(async move {
                            let ended = connection.serve().await;
                            debug!(%peer, reason = %ended, "synthetic camera: connection ended");
                        });
                    }
                    Ok((_, peer)) => warn!(%peer, "synthetic camera: too many connections"),
                    Err(error) => {
                        warn!(%error, "synthetic camera: a connection was not accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        clients.shutdown().await;
        drop(stop);
        while encoders.join_next().await.is_some() {}
    }
}

/// Ends the encoder threads even when the future that waits for them is dropped.
struct StopOnDrop<'a>(&'a ServerShared);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.cameras.iter().for_each(|camera| camera.stop());
    }
}

/// Watches and disturbs a running server.
#[derive(Clone, Debug)]
pub struct RtspHandle {
    shared: Arc<ServerShared>,
}

impl RtspHandle {
    /// Clients that play at present, over all streams.
    pub fn playing(&self) -> usize {
        self.shared.cameras.iter().map(|camera| camera.players()).sum()
    }

    /// Puts the server into a fault, in place of the one before.
    pub fn inject(&self, fault: RtspFault) {
        self.set(Some(fault));
    }

    /// Ends the fault. Streams go on without damage; a frozen server answers what was asked meanwhile.
    pub fn heal(&self) {
        self.set(None);
    }

    /// Closes every connection that is open.
    pub fn drop_connections(&self) {
        self.shared.condition.send_modify(|condition| condition.generation += 1);
    }

    fn set(&self, fault: Option<RtspFault>) {
        for camera in &self.shared.cameras {
            match fault {
                Some(RtspFault::Stall | RtspFault::Freeze) => camera.stall(),
                Some(RtspFault::RefuseAuth) | None => camera.resume(),
            }
        }
        self.shared.condition.send_modify(|condition| condition.fault = fault);
    }
}
