//! What whoever watches a stream is shown: each unit once, in order, out of memory that all share.
//!
//! What everyone has taken goes at once. A watcher who takes nothing misses the oldest once the bounds are reached and is
//! told so; the others see nothing of it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::watch;

use super::{Arrival, WATCHED, WATCHED_BYTES};

/// The end at which units come in.
#[derive(Debug)]
pub(super) struct Feed {
    kept: Arc<Mutex<Kept>>,
    /// Changes whenever one came.
    came: watch::Sender<()>,
}

/// One watcher's end.
#[derive(Debug)]
pub struct UnitWatcher {
    number: u64,
    kept: Arc<Mutex<Kept>>,
    came: watch::Receiver<()>,
}

/// What somebody has not taken yet.
#[derive(Debug, Default)]
struct Kept {
    units: VecDeque<Arrival>,
    /// How many came and are not kept any more; so that is the place of the first of `units`.
    gone: u64,
    bytes: usize,
    /// The place of what each watcher takes next.
    watchers: HashMap<u64, u64>,
    /// Watchers there ever were.
    count: u64,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self { kept: Arc::default(), came: watch::Sender::new(()) }
    }

    /// Whether anyone watches.
    pub(super) fn is_watched(&self) -> bool {
        !lock(&self.kept).watchers.is_empty()
    }

    /// A watcher of what comes from now on.
    pub(super) fn watcher(&self) -> UnitWatcher {
        let mut kept = lock(&self.kept);
        kept.count += 1;
        let (number, next) = (kept.count, kept.end());
        kept.watchers.insert(number, next);
        UnitWatcher { number, kept: Arc::clone(&self.kept), came: self.came.subscribe() }
    }

    /// Shows a unit to whoever watches.
    pub(super) fn show(&self, arrival: Arrival) {
        let mut kept = lock(&self.kept);
        if kept.watchers.is_empty() {
            return;
        }
        kept.bytes += arrival.unit.data.len();
        kept.units.push_back(arrival);
        while kept.units.len() > 1 && (kept.units.len() > WATCHED || kept.bytes > WATCHED_BYTES) {
            kept.drop_first();
        }
        drop(kept);
        self.came.send_replace(());
    }
}

impl UnitWatcher {
    /// The next unit, or how many were missed. Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Result<Arrival, RecvError> {
        loop {
            // Before it is looked, so that nothing that comes meanwhile is slept through.
            let is_over = self.came.has_changed().is_err();
            self.came.mark_unchanged();
            match self.try_recv() {
                Ok(arrival) => return Ok(arrival),
                Err(TryRecvError::Lagged(missed)) => return Err(RecvError::Lagged(missed)),
                Err(TryRecvError::Empty | TryRecvError::Closed) if is_over => return Err(RecvError::Closed),
                Err(TryRecvError::Empty | TryRecvError::Closed) => {}
            }
            // An error is an end, which the next turn sees.
            let _ = self.came.changed().await;
        }
    }

    /// The same without waiting.
    pub fn try_recv(&mut self) -> Result<Arrival, TryRecvError> {
        let mut kept = lock(&self.kept);
        let gone = kept.gone;
        let Some(next) = kept.watchers.get_mut(&self.number) else { return Err(TryRecvError::Closed) };
        let missed = gone.saturating_sub(*next);
        if missed > 0 {
            *next = gone;
            return Err(TryRecvError::Lagged(missed));
        }
        let place = usize::try_from(*next - gone).unwrap_or(usize::MAX);
        let Some(arrival) = kept.units.get(place).cloned() else { return Err(TryRecvError::Empty) };
        if let Some(next) = kept.watchers.get_mut(&self.number) {
            *next += 1;
        }
        kept.forget_taken();
        Ok(arrival)
    }

    /// Whether nothing is there to be taken.
    pub fn is_empty(&self) -> bool {
        let kept = lock(&self.kept);
        kept.watchers.get(&self.number).is_none_or(|next| *next >= kept.end())
    }
}

impl Drop for UnitWatcher {
    fn drop(&mut self) {
        let mut kept = lock(&self.kept);
        kept.watchers.remove(&self.number);
        kept.forget_taken();
    }
}

impl Kept {
    /// The place of what comes next.
    fn end(&self) -> u64 {
        self.gone + self.units.len() as u64
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.units.pop_front() {
            self.gone += 1;
            self.bytes -= first.unit.data.len();
        }
    }

    /// Drops what every watcher has taken.
    fn forget_taken(&mut self) {
        let earliest = self.watchers.values().min().copied().unwrap_or(u64::MAX);
        while self.gone < earliest && !self.units.is_empty() {
            self.drop_first();
        }
    }
}

/// Every change leaves it whole.
fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::media::gop::{AccessUnit, Codec};

    fn arrival(number: u8, bytes: usize) -> Arrival {
        let mut data = vec![0; bytes.max(1)];
        data[0] = number;
        let unit = AccessUnit {
            rtp_ns: 0,
            instant: Instant::now(),
            data: data.into(),
            starts: Some(0),
            is_disposable: false,
            missing: 0,
            is_leading: false,
            doubt: None,
        };
        Arrival { codec: Codec::Jpeg, unit }
    }

    fn taken(watcher: &mut UnitWatcher) -> Result<u8, TryRecvError> {
        watcher.try_recv().map(|arrival| arrival.unit.data[0])
    }

    #[test]
    fn a_watcher_who_takes_nothing_misses_the_oldest_and_the_others_miss_nothing() {
        let feed = Feed::new();
        let (mut slow, mut quick) = (feed.watcher(), feed.watcher());
        // Three times what is kept for the slow one.
        for number in 0..48 {
            feed.show(arrival(number, WATCHED_BYTES / 16));
            assert_eq!(taken(&mut quick), Ok(number));
            assert!(lock(&feed.kept).bytes <= WATCHED_BYTES);
        }
        assert_eq!(taken(&mut slow), Err(TryRecvError::Lagged(32)));
        assert_eq!(taken(&mut slow), Ok(32));
        drop(slow);
        assert_eq!(lock(&feed.kept).bytes, 0);
        assert_eq!(taken(&mut quick), Err(TryRecvError::Empty));
    }

    #[test]
    fn small_units_are_bounded_by_their_number_and_one_huge_one_is_shown() {
        let feed = Feed::new();
        let mut watcher = feed.watcher();
        for number in 0..u8::MAX {
            feed.show(arrival(number, 1));
        }
        assert_eq!(taken(&mut watcher), Err(TryRecvError::Lagged(u64::from(u8::MAX) - WATCHED as u64)));
        feed.show(arrival(7, WATCHED_BYTES + 1));
        assert!(matches!(taken(&mut watcher), Err(TryRecvError::Lagged(_))));
        assert_eq!(taken(&mut watcher), Ok(7));
        assert!(watcher.is_empty());
    }

    #[tokio::test]
    async fn what_was_shown_is_taken_after_the_end_and_nobody_is_shown_what_came_before() {
        let feed = Feed::new();
        feed.show(arrival(1, 1));
        let mut watcher = feed.watcher();
        assert!(feed.is_watched() && watcher.is_empty());
        feed.show(arrival(2, 1));
        drop(feed);
        assert_eq!(watcher.recv().await.unwrap().unit.data[0], 2);
        assert!(matches!(watcher.recv().await, Err(RecvError::Closed)));
    }

    #[tokio::test]
    async fn a_watcher_who_waits_is_woken() {
        let feed = Feed::new();
        let mut watcher = feed.watcher();
        let waiting = tokio::spawn(async move { watcher.recv().await.unwrap().unit.data[0] });
        tokio::task::yield_now().await;
        feed.show(arrival(9, 1));
        assert_eq!(waiting.await.unwrap(), 9);
        assert!(!feed.is_watched());
    }
}
