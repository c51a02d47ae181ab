//! Work that blocks, away from what must not wait, and how long it may wait itself.

use std::time::Duration;

use super::StoreError;

/// How long a statement waits for another process (`--cleanup-now` beside the daemon) before it fails.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an edge waits for its row, and a picture for its: their turn and the other process together. After that the
/// file is kept and its row comes later (`late`), so that no contact that closes meanwhile finds its camera busy.
pub(super) const EDGE_PATIENCE: Duration = Duration::from_secs(3);

/// Runs `work` on the blocking pool.
pub(super) async fn blocking<T, F>(work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Interrupted)?
}
