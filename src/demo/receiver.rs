//! A local stand-in for the HTTP API that pictures are uploaded to.
//!
//! It checks what a careful server would: one part under a proper name and of its type, a length, an idempotency key and
//! a digest that agrees with the bytes. It remembers what it accepted and can be scripted to fail in the ways that
//! servers and networks do.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::demo::clients::serve_clients;
use crate::demo::received::{ReceiverShared, UPLOAD_PATH};
use crate::demo::receiver_connection;

pub use crate::demo::received::{DigestOf, Received, ReceiverFault};

/// Connections at a time; more wait in the kernel. Each may hold one body.
const CLIENTS_MAX: usize = 8;

/// A bound receiver; connections wait in the kernel until [`Self::run`].
pub struct Receiver {
    listener: TcpListener,
    local_addr: SocketAddr,
    shared: Arc<ReceiverShared>,
}

impl Receiver {
    /// Listens on `addr` (port 0 takes a free one). The files are kept in `folder`, which must exist, or nowhere.
    pub async fn bind(addr: SocketAddr, folder: Option<PathBuf>) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let local_addr = listener.local_addr()?;
        Ok(Self { listener, local_addr, shared: Arc::new(ReceiverShared::new(folder)) })
    }

    /// The address it listens on, with the port it was given.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where to send pictures.
    pub fn url(&self) -> String {
        format!("http://{}{UPLOAD_PATH}", self.local_addr)
    }

    /// A handle that stays valid while the receiver runs and sees the past afterwards.
    pub fn handle(&self) -> ReceiverHandle {
        ReceiverHandle { shared: Arc::clone(&self.shared) }
    }

    /// Serves until `cancel` fires; then every connection is closed. Dropping the future does the same.
    pub async fn run(self, cancel: CancellationToken) {
        let Self { listener, shared, .. } = self;
        serve_clients(listener, CLIENTS_MAX, cancel, |stream, peer| {
            let shared = Arc::clone(&shared);
            async move {
                if let Err(error) = receiver_connection::serve(stream, &shared).await {
                    debug!(%peer, %error, "upload receiver: connection ended");
                }
            }
        })
        .await;
    }
}

/// Looks into a receiver and scripts its faults.
#[derive(Clone, Debug)]
pub struct ReceiverHandle {
    shared: Arc<ReceiverShared>,
}

impl ReceiverHandle {
    /// The newest accepted uploads (at most a thousand), oldest first; a repeated one counts once.
    pub fn received(&self) -> Vec<Received> {
        self.shared.state().received.iter().cloned().collect()
    }

    /// Uploads attempted so far: requests to the upload path, whatever became of them.
    pub fn requests(&self) -> u64 {
        self.shared.state().requests
    }

    /// The most uploads that were under way at the same time so far.
    pub fn most_at_once(&self) -> usize {
        self.shared.state().most_at_once
    }

    /// Waits until `count` distinct uploads have been accepted; dropping it has no effect.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        // The sender lives in `shared`, so waiting cannot fail.
        let _ = self.shared.accepted.subscribe().wait_for(|accepted| *accepted >= count).await;
        self.received()
    }

    /// Puts `fault` on the next `count` uploads, after the faults scripted before.
    pub fn fail_next(&self, count: usize, fault: ReceiverFault) {
        self.shared.state().script.push_back((count, fault));
    }

    /// Forgets all scripted faults.
    pub fn heal(&self) {
        self.shared.state().script.clear();
    }
}
