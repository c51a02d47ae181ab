//! A few threads for heavy work: decoding and encoding.
//!
//! They are threads of their own, not those of the blocking pool, for the sake of memory: a decoder takes 30 MB for a
//! 1080p stream, and the C library's allocator keeps that for each thread that ever decoded.

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tracing::error;

/// Pictures decoded at the same time; more would only make each of them later.
const THREADS_MAX: usize = 2;

type Job = Box<dyn FnOnce() + Send>;

/// A handle on the threads. They end when the last handle is dropped; work that has begun is finished.
///
/// The queue has no bound of its own: whoever hands in work waits for it, and bounds how much it does at once.
#[derive(Clone)]
pub struct Workers {
    jobs: Sender<Job>,
    queue: Arc<Mutex<Receiver<Job>>>,
    /// Work that was handed in and has not ended.
    load: Arc<AtomicUsize>,
    /// Cores of this machine.
    cores: usize,
}

/// The work failed by a panic, or there is no thread to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work failed by a defect of this program")]
pub struct Failed;

impl Workers {
    /// Starts a thread for each core, up to two.
    pub fn start() -> Self {
        let workers = Self::without_threads();
        (0..workers.cores.min(THREADS_MAX)).for_each(|number| workers.add(&format!("worker-{number}")));
        workers
    }

    /// Starts a single thread, for work that must never keep other work waiting.
    pub fn start_one() -> Self {
        let workers = Self::without_threads();
        workers.add("follower");
        workers
    }

    fn without_threads() -> Self {
        let (jobs, receiver) = channel::<Job>();
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { jobs, queue: Arc::new(Mutex::new(receiver)), load: Arc::default(), cores }
    }

    /// Cores for the piece of work that asks: its own, and those that no other work under way or waiting will take.
    pub fn cores(&self) -> usize {
        own_cores(self.cores, self.load.load(Ordering::Relaxed))
    }

    /// Starts one more thread, in place of one whose work does not end: nothing can stop that.
    pub fn replace_one(&self) {
        self.add("worker-new");
    }

    fn add(&self, name: &str) {
        let queue = Arc::clone(&self.queue);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&queue));
        if let Err(error) = thread {
            error!(%error, "a worker thread could not be started");
        }
    }

    /// Does `work` on one of the threads. Dropping the future does not stop work that has begun.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failed> {
        let (reply, answer) = oneshot::channel();
        let load = Load::on(&self.load);
        let job = move || {
            let done = std::panic::catch_unwind(AssertUnwindSafe(work));
            drop(load);
            // Whoever asked may have gone.
            let _ = reply.send(done.map_err(|_| Failed));
        };
        self.jobs.send(Box::new(job)).map_err(|_| Failed)?;
        answer.await.unwrap_or(Err(Failed))
    }
}

/// Cores for one of `load` pieces of work.
fn own_cores(cores: usize, load: usize) -> usize {
    cores.saturating_sub(load.saturating_sub(1)).max(1)
}

/// One piece of work, as long as it is not dropped.
struct Load(Arc<AtomicUsize>);

impl Load {
    fn on(load: &Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(load))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        // The lock is held while waiting, so one thread at a time waits for the next job; the others wait for the lock.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_panics_fails_and_the_threads_go_on() {
        let workers = Workers::start();
        for _ in 0..8 {
            assert_eq!(workers.run(|| panic!("broken")).await, Err::<(), _>(Failed));
        }
        assert_eq!(workers.run(|| 6 * 7).await, Ok(42));
    }

    #[test]
    fn cores_are_those_that_no_other_work_takes() {
        for (cores, load, own) in
            [(2, 1, 2), (2, 2, 1), (2, 16, 1), (4, 1, 4), (4, 2, 3), (1, 1, 1), (4, 0, 4)]
        {
            assert_eq!(own_cores(cores, load), own, "{load} of {cores}");
        }
    }

    #[tokio::test]
    async fn work_that_ended_or_panicked_takes_no_core() {
        let workers = Workers::start();
        let asked = workers.clone();
        assert_eq!(workers.run(|| panic!("broken")).await, Err::<(), _>(Failed));
        assert_eq!(workers.run(move || asked.cores()).await, Ok(workers.cores));
        assert_eq!(workers.load.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn all_work_is_done_on_few_threads() {
        let workers = Workers::start();
        let name = || std::thread::current().name().unwrap_or_default().to_owned();
        let names: Vec<_> = (0..40).map(|_| workers.run(name)).collect();
        for name in futures_util::future::join_all(names).await {
            assert!(["worker-0", "worker-1"].contains(&name.unwrap().as_str()));
        }
    }
}
