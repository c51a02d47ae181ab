//! What a lane has on its way: attempts side by side, each with an end of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;

use crate::model::UploadFault;
use crate::store::DueUpload;
use crate::targets::{Target, TargetError};

/// How an attempt ended, and what the target said last.
type Heard = (Result<(), TargetError>, Option<String>);

/// Attempts under way. Dropping it ends them; their rows were never written, so they stay owed.
#[derive(Default)]
pub(super) struct Flight {
    attempts: JoinSet<Heard>,
    under_way: HashMap<Id, Attempt>,
}

struct Attempt {
    upload: DueUpload,
    limit: Duration,
    ends_by: Instant,
    handle: AbortHandle,
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Landing {
    /// By itself; with what the target said last.
    Ended(DueUpload, Result<(), TargetError>, Option<String>),
    /// It outlived its limit, which nothing that works does, and was dropped.
    Stuck(DueUpload, Duration),
}

impl Flight {
    /// Attempts under way.
    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Rows of the pictures that are being sent.
    pub(super) fn rows(&self) -> impl Iterator<Item = i64> {
        self.under_way.values().map(|attempt| attempt.upload.row())
    }

    /// Begins an attempt that may take until `limit`.
    pub(super) fn start(&mut self, target: &Arc<Target>, upload: DueUpload, limit: Duration) {
        let (target, sent) = (Arc::clone(target), upload.clone());
        let handle = self.attempts.spawn(async move { target.deliver_heard(&sent).await });
        let ends_by = Instant::now() + limit;
        self.under_way.insert(handle.id(), Attempt { upload, limit, ends_by, handle });
    }

    /// The next attempt that ends, or that has not ended by its limit; waits for ever while none is under way. Dropping
    /// the future loses nothing.
    pub(super) async fn landing(&mut self) -> Landing {
        loop {
            let Some((id, ends_by)) =
                self.under_way.iter().map(|(id, attempt)| (*id, attempt.ends_by)).min_by_key(|(_, at)| *at)
            else {
                return std::future::pending().await;
            };
            tokio::select! {
                ended = self.attempts.join_next_with_id() => {
                    if let Some((id, (result, answer))) = ended.map(flat)
                        && let Some(attempt) = self.under_way.remove(&id)
                    {
                        return Landing::Ended(attempt.upload, result, answer);
                    }
                }
                () = tokio::time::sleep_until(ends_by) => {
                    // What it may still say is not listened to.
                    if let Some(attempt) = self.under_way.remove(&id) {
                        attempt.handle.abort();
                        return Landing::Stuck(attempt.upload, attempt.limit);
                    }
                }
            }
        }
    }
}

/// A panic inside an attempt must not stop the lane, nor come back with the same picture at once.
fn flat(ended: Result<(Id, Heard), JoinError>) -> (Id, Heard) {
    match ended {
        Ok(ended) => ended,
        Err(error) => (error.id(), (Err(TargetError::Broken { fault: UploadFault::ProgramFault }), None)),
    }
}
