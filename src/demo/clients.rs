//! Connections that are served side by side, a bounded number of them.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// After a failed accept, most likely for want of file descriptors, some of them come free in this time.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves up to `most` connections at a time until `cancel` fires; then every one is closed. More wait in the kernel.
/// Dropping the future does the same.
pub(super) async fn serve_clients<Served: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    most: usize,
    cancel: CancellationToken,
    serve: impl Fn(TcpStream, SocketAddr) -> Served,
) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(_) = clients.join_next() => {}
            accepted = listener.accept(), if clients.len() < most => match accepted {
                Ok((stream, peer)) => {
                    clients.spawn(serve(stream, peer));
                }
                Err(error) => {
                    warn!(%error, "demonstration: a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    clients.shutdown().await;
}
