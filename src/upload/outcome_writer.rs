//! Outcomes on their way to the disk. What comes while one write is under way goes together into the next, so that a
//! slow card takes many outcomes with one sync, and while a backlog drains they even wait for one another; nothing counts
//! as done before it is written. What could not be written, because
//! the disk is full, stays here and is written when it can be.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{FileName, UnixMs};
use crate::store::{AttemptEnd, DueUpload, Settlement, StoreError, TargetQueue};

/// What became of an upload.
#[derive(Clone, Debug)]
pub(super) struct UploadOutcome {
    /// What is written down.
    pub(super) end: AttemptEnd,
    /// Name of the picture.
    pub(super) filename: FileName,
    /// Length of its file.
    pub(super) bytes: u64,
    /// Attempts, the last one among them.
    pub(super) attempts: u32,
}

impl UploadOutcome {
    /// That of an attempt which has just ended.
    pub(super) fn of(upload: DueUpload, settlement: Settlement, answer: Option<String>) -> Self {
        Self {
            end: AttemptEnd { row: upload.row(), settlement, answer },
            filename: upload.filename.clone(),
            bytes: upload.bytes,
            attempts: upload.attempts + 1,
        }
    }

    /// That of a picture which was blamed and is not to blame.
    pub(super) fn excused(row: i64, filename: FileName, not_before: UnixMs) -> Self {
        let settlement = Settlement::Excused { not_before };
        Self { end: AttemptEnd { row, settlement, answer: None }, filename, bytes: 0, attempts: 0 }
    }
}

/// Outcomes with the word whether they changed anything; `false`: the picture was deleted or settled meanwhile.
pub(super) type WrittenOutcome = Vec<(UploadOutcome, bool)>;

/// Longest wait for further outcomes. A power cut within it has those pictures sent again, under the same key.
const LINGER: Duration = Duration::from_millis(100);

type Write = Pin<Box<dyn Future<Output = Result<Vec<bool>, StoreError>> + Send>>;

/// The outcomes of one lane that are not durable yet.
pub(super) struct OutcomeWriter {
    queue: TargetQueue,
    waiting: Vec<UploadOutcome>,
    /// By when what waits is written.
    write_by: Instant,
    writing: Vec<UploadOutcome>,
    write: Option<Write>,
}

impl OutcomeWriter {
    /// An empty one.
    pub(super) fn new(queue: &TargetQueue) -> Self {
        Self {
            queue: queue.clone(),
            waiting: Vec::new(),
            write_by: Instant::now(),
            writing: Vec::new(),
            write: None,
        }
    }

    /// Outcomes that are not durable yet.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.writing.len()
    }

    /// Their rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = i64> {
        self.writing.iter().chain(&self.waiting).map(|outcome| outcome.end.row)
    }

    /// Takes outcomes in; they are written in this order.
    pub(super) fn put(&mut self, outcomes: impl IntoIterator<Item = UploadOutcome>) {
        if self.waiting.is_empty() {
            self.write_by = Instant::now() + LINGER;
        }
        self.waiting.extend(outcomes);
    }

    /// The next outcomes that have become durable, all of one write; waits for ever while there are none. Dropping the
    /// future loses nothing, the next call goes on. After an error the next call tries the same outcomes again.
    ///
    /// With `more_to_come`, what waits is written a tenth of a second after the first of it came, together with what has
    /// come by then.
    pub(super) async fn written(&mut self, more_to_come: bool) -> Result<WrittenOutcome, StoreError> {
        if self.write.is_none() {
            if self.waiting.is_empty() {
                return std::future::pending().await;
            }
            if more_to_come {
                tokio::time::sleep_until(self.write_by).await;
            }
            self.writing = std::mem::take(&mut self.waiting);
            let outcomes = self.writing.iter().map(|one| one.end.clone()).collect();
            let queue = self.queue.clone();
            self.write = Some(Box::pin(async move { queue.settle_all(outcomes).await }));
        }
        let changed = match &mut self.write {
            Some(write) => write.await,
            None => Ok(Vec::new()),
        };
        self.write = None;
        let outcomes = std::mem::take(&mut self.writing);
        match changed {
            Ok(changed) => Ok(outcomes.into_iter().zip(changed).collect()),
            Err(error) => {
                self.waiting.splice(..0, outcomes);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{TargetId, UploadState};
    use crate::store::DueUpload;
    use crate::store::testing::{Place, T0, claim, take};

    fn delivered(upload: DueUpload) -> UploadOutcome {
        UploadOutcome::of(upload, Settlement::Delivered { at: UnixMs(T0) }, None)
    }

    #[tokio::test(start_paused = true)]
    async fn while_more_is_to_come_outcomes_wait_for_one_another_a_tenth_of_a_second_and_no_longer() {
        let place = Place::new();
        let store = place.open();
        for second in 0..3 {
            take(&store, "r1", T0 + second * 1000).await;
        }
        let mut writer = OutcomeWriter::new(&store.queue(TargetId::API));
        let mut outcomes = claim(&store, 3).await.into_iter().map(delivered);
        let began = Instant::now();
        writer.put(outcomes.next());
        let early = tokio::time::timeout(Duration::from_millis(60), writer.written(true)).await;
        assert!(early.is_err(), "it waits for the next one");
        writer.put(outcomes.next());
        assert_eq!(writer.written(true).await.unwrap().len(), 2, "one write");
        assert_eq!(began.elapsed(), LINGER, "from when the first one came");
        writer.put(outcomes.next());
        assert_eq!(writer.written(false).await.unwrap().len(), 1);
        assert_eq!(began.elapsed(), LINGER, "at once when nothing is to come");
    }

    #[tokio::test]
    async fn what_the_disk_does_not_take_is_kept_and_written_when_it_does() {
        let place = Place::new();
        let store = place.open();
        for second in 0..2 {
            take(&store, "r1", T0 + second * 1000).await;
        }
        let mut writer = OutcomeWriter::new(&store.queue(TargetId::API));
        let mut outcomes = claim(&store, 2).await.into_iter().map(delivered);
        let states = || place.deliveries().iter().map(|one| one.state).collect::<Vec<_>>();
        let refuse =
            "create trigger refuse before update on uploads begin select raise(abort, 'no room'); end";
        place.sql().execute_batch(refuse).unwrap();
        writer.put(outcomes.next());
        assert!(writer.written(false).await.is_err());
        assert_eq!((writer.len(), writer.rows().count()), (1, 1));
        assert!(writer.written(false).await.is_err(), "and once more");
        assert_eq!(states(), [UploadState::Pending; 2]);

        place.sql().execute_batch("drop trigger refuse").unwrap();
        writer.put(outcomes.next());
        let written: Vec<_> =
            writer.written(false).await.unwrap().into_iter().map(|(one, done)| (one.end.row, done)).collect();
        assert_eq!(written, [(1, true), (2, true)], "in the order in which they came");
        assert_eq!((writer.len(), states()), (0, vec![UploadState::Delivered; 2]));
    }
}
