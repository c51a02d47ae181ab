//! Where log-ins are hashed: one thread of its own, with one memory that every hash uses.
//!
//! A hash takes 19 MiB for a third of a second. On whichever thread of a pool, each thread's heap keeps such a block, and
//! thirty wrong passwords are enough for the kernel to end the program. Here there is one block, given back when nobody
//! has logged in for a while; one core at most is busy with passwords, and it yields to captures.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::error;

use super::password::{self, Blocks};
use super::password_strength::PasswordError;

/// Hashes that may wait for the one that is being computed; each costs a third of a second on a small Pi.
const WAITING_MAX: usize = 4;

/// The memory is kept for so long after a hash: a person who mistyped tries again within it.
const IDLE: Duration = Duration::from_secs(10);

/// How much the thread yields to the others (nice(2)), 19 at most. Where that is forbidden it shares like any other.
const NICENESS: i32 = 10;

/// As many hashes as may be computed are computed, and as many as may wait are waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy;

type Job = Box<dyn FnOnce(&mut Blocks) + Send>;

/// A handle on the thread. It ends when the last handle is dropped and what was begun is done.
#[derive(Clone)]
pub(super) struct Hasher {
    /// `None` where no thread could be started.
    jobs: Option<Sender<Job>>,
    places: Arc<Semaphore>,
}

impl Hasher {
    /// Starts the thread.
    pub(super) fn new() -> Self {
        let (jobs, queue) = channel::<Job>();
        let thread = std::thread::Builder::new().name("hasher".to_owned()).spawn(move || work(&queue));
        if let Err(error) = &thread {
            error!(%error, "the thread that checks passwords could not be started; nobody can log in");
        }
        let places = Arc::new(Semaphore::new(1 + WAITING_MAX));
        Self { jobs: thread.is_ok().then_some(jobs), places }
    }

    /// Compares a password with a hash. A caller that is dropped leaves the computation to end by itself.
    pub(super) async fn verify(&self, password: String, phc: Option<String>) -> Result<bool, Busy> {
        self.run(move |blocks| password::verify(&password, phc.as_deref(), blocks)).await
    }

    /// Hashes a new password that has passed `password_strength::check`.
    pub(super) async fn hash(&self, password: String) -> Result<Result<String, PasswordError>, Busy> {
        self.run(move |blocks| password::hash(&password, blocks)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Blocks) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let place: OwnedSemaphorePermit = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Busy)?;
        let (reply, answer) = oneshot::channel();
        let job = move |blocks: &mut Blocks| {
            let done = work(blocks);
            drop(place);
            // Whoever asked may have gone.
            let _ = reply.send(done);
        };
        self.jobs.as_ref().ok_or(Busy)?.send(Box::new(job)).map_err(|_| Busy)?;
        // Only a panic leaves no answer.
        answer.await.map_err(|_| Busy)
    }
}

/// The thread.
fn work(queue: &Receiver<Job>) {
    // Forbidden under the unit's filter of system calls: then it shares fairly, and is one thread all the same.
    let _ = rustix::process::nice(NICENESS);
    let mut blocks = Blocks::default();
    loop {
        let job = if blocks.is_empty() {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            queue.recv_timeout(IDLE)
        };
        match job {
            Ok(job) => {
                if std::panic::catch_unwind(AssertUnwindSafe(|| job(&mut blocks))).is_err() {
                    error!("a password could not be checked, by a defect of this program");
                }
            }
            Err(RecvTimeoutError::Timeout) => blocks = Blocks::default(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::password::MEMORY_KIB;
    use super::*;
    use std::cell::Cell;

    thread_local! {
        /// Dropped when the thread ends.
        static OF_THREAD: Cell<Option<oneshot::Sender<()>>> = const { Cell::new(None) };
    }

    /// A hasher whose thread is held until the sender is dropped or sends.
    async fn held(hasher: &Hasher) -> (Sender<()>, tokio::task::JoinHandle<Result<(), Busy>>) {
        let (go, wait) = channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let this = hasher.clone();
        let job = tokio::spawn(async move {
            this.run(move |_| {
                let _ = begun.send(());
                let _ = wait.recv();
            })
            .await
        });
        has_begun.await.unwrap();
        (go, job)
    }

    #[tokio::test]
    async fn more_hashes_than_may_wait_are_refused_at_once() {
        let hasher = Hasher::new();
        let (go, job) = held(&hasher).await;
        let mut waiting: Vec<_> =
            (0..WAITING_MAX).map(|_| Box::pin(hasher.verify("x".to_owned(), None))).collect();
        for future in &mut waiting {
            assert!(futures_util::poll!(future).is_pending());
        }
        assert_eq!(hasher.verify("x".to_owned(), None).await, Err(Busy));
        drop(go);
        assert_eq!(job.await.unwrap(), Ok(()));
        for future in waiting {
            assert_eq!(future.await, Ok(false));
        }
    }

    #[tokio::test]
    async fn the_thread_has_a_name_survives_a_panic_and_ends_with_its_last_handle() {
        let hasher = Hasher::new();
        assert_eq!(hasher.run(|_| panic!("broken")).await, Err::<(), _>(Busy));
        let name = hasher.run(|_| std::thread::current().name().map(str::to_owned)).await;
        assert_eq!(name, Ok(Some("hasher".to_owned())));
        for _ in 0..=WAITING_MAX {
            assert_eq!(hasher.run(|_| panic!("broken")).await, Err::<(), _>(Busy));
        }
        assert_eq!(hasher.verify("x".to_owned(), None).await, Ok(false), "no place is lost");
        let (alive, over) = oneshot::channel();
        hasher.run(move |_| OF_THREAD.set(Some(alive))).await.unwrap();
        drop(hasher);
        assert!(over.await.is_err());
    }

    #[test]
    fn the_memory_is_used_again_and_a_larger_one_is_not_kept() {
        let usual = usize::try_from(MEMORY_KIB).unwrap();
        let mut blocks = Blocks::default();
        let first = blocks.with(usual, |blocks| blocks.as_ptr() as usize).unwrap();
        let again = blocks.with(64, |blocks| (blocks.as_ptr() as usize, blocks.len())).unwrap();
        assert_eq!(again, (first, 64));
        assert_eq!(blocks.with(2 * usual, |blocks| blocks.len()), Some(2 * usual));
        assert!(blocks.is_empty(), "and not both at once");
        assert_eq!(blocks.with(usize::MAX / 2048, |_| ()), None, "more than there is");
    }
}
