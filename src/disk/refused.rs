//! Refused pictures are kept only where there is room for others: as soon as there is less than there should be, they are
//! the first to go.

use std::io;
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::DiskGuard;
use crate::model::{Amount, RoomLevel};
use crate::store::{RefusedCount, RefusedFolder, RefusedPush};

impl DiskGuard {
    /// Whether refused pictures are kept (`STORAGE_QUARANTINE_MAX_BYTES`).
    pub fn keeps_refused(&self) -> bool {
        self.0.refused.is_some()
    }

    /// Keeps a refused picture, if that is wanted and there is room enough. Failing is no harm but to whoever looks for it.
    pub async fn keep_refused(&self, refused: RefusedPush) {
        let Some(folder) = self.0.refused.clone() else { return };
        if self.0.store.away().is_some() {
            return;
        }
        let room = self.look(Amount::file(refused.bytes.len() as u64)).await;
        if !room.is_ok_and(|(_, outlook)| outlook.level == RoomLevel::Good) {
            return self.drop_refused().await;
        }
        match blocking(move || folder.keep(&refused)).await {
            Ok(true) => {}
            Ok(false) => info!("a refused picture is larger than all that may be kept of them"),
            Err(error) => warn!(%error, "a refused picture could not be kept"),
        }
    }

    /// Lets all refused pictures go, to make room.
    pub(super) async fn drop_refused(&self) {
        let Some(folder) = self.0.refused.clone() else { return };
        match blocking(move || folder.clear()).await {
            Ok(RefusedCount { pictures: 0, .. }) => {}
            Ok(RefusedCount { pictures, bytes }) => {
                info!(pictures, bytes, "refused pictures went to make room")
            }
            Err(error) => warn!(%error, "refused pictures could not be removed"),
        }
    }

    /// The refused pictures that are kept, and their folder; `None` where none are.
    pub async fn refused(&self) -> Option<(Arc<RefusedFolder>, RefusedCount)> {
        let folder = self.0.refused.clone()?;
        let asked = Arc::clone(&folder);
        let count = blocking(move || asked.count()).await.unwrap_or_default();
        Some((folder, count))
    }
}

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(act).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
