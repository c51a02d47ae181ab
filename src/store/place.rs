//! What this process knows of the picture directory: its identity, its lock, and why its disk is away. Only kept here; who
//! looks is `disk`.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tracing::error;

/// What is known of the picture directory by this process, shared by all handles.
#[derive(Clone, Debug, Default)]
pub(super) struct PictureFolder(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// None is known where none could be written.
    identity: Mutex<Option<String>>,
    /// Why it is away; `None` while it is here.
    away: watch::Sender<Option<String>>,
    /// Held by the owner.
    lock: Mutex<Option<File>>,
}

impl PictureFolder {
    /// The identity of the folder; none is known where none could be written.
    pub(super) fn identity(&self) -> Option<String> {
        self.0.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_identity(&self, identity: String) {
        *self.0.identity.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity);
    }

    /// Keeps the folder for this process; an earlier lock goes first, because the same disk may have come back.
    pub(super) fn hold(&self, lock: Option<File>) {
        *self.0.lock.lock().unwrap_or_else(PoisonError::into_inner) = lock;
    }

    /// Whether this process has its lock.
    pub(super) fn is_held(&self) -> bool {
        self.0.lock.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Why it is away, as last seen.
    pub(super) fn away(&self) -> Option<String> {
        self.0.away.borrow().clone()
    }

    pub(super) fn set_away(&self, why: Option<String>) {
        self.0.away.send_if_modified(|known| {
            let is_changed = known.is_some() != why.is_some();
            if is_changed {
                if let Some(why) = &why {
                    error!(
                        why,
                        "the disk with the pictures is away; nothing is written there, and what is owed waits"
                    );
                }
                *known = why;
            }
            is_changed
        });
    }

    /// Waits until it is here.
    pub(super) async fn here(&self) {
        let mut away = self.0.away.subscribe();
        // The sender lives as long as the store.
        if away.wait_for(Option::is_none).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
