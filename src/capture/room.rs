//! The memory that decoders may take, all cameras' together: a decoder that has no room waits until another has done its
//! work, and one that is only kept for the next trigger goes first. One that has begun a picture is left to finish it for a
//! moment: it would have to begin again, and many contacts at once would each take the other's work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::media::lane::DecodeSession;

/// Bytes of all decoders and the pictures kept beside them: one at its limit, or three of 4K, or seven of 1080p.
const BYTES_MAX: u64 = 192 << 20;

/// A trigger does not wait longer for other cameras' decoding.
const PATIENCE: Duration = Duration::from_secs(20);

/// The picture that was begun is asked for by then: its frame is on its way, and others wait for the decoder's memory.
const BEGUN: Duration = Duration::from_millis(500);

/// A handle on the room.
#[derive(Clone)]
pub(super) struct DecoderRoom(Arc<Shared>);

struct Shared {
    limit: u64,
    patience: Duration,
    places: Mutex<Places>,
    changed: Notify,
    /// Held by the one piece of work that no trigger waits for.
    beside: Arc<Semaphore>,
}

#[derive(Default)]
struct Places {
    next: u64,
    taken: BTreeMap<u64, Taken>,
    turn: u64,
}

struct Taken {
    bytes: u64,
    is_at_work: bool,
    /// Until then the picture that it has begun will be asked for.
    begun_until: Option<Instant>,
    /// When it last worked, counted.
    turn: u64,
    lane: Weak<AsyncMutex<DecodeSession>>,
}

/// One decoder's part of the room; given back when it is dropped.
pub(super) struct DecoderSeat {
    room: DecoderRoom,
    number: u64,
}

/// Decoding under way in a seat.
pub(super) struct AtWork {
    room: DecoderRoom,
    number: u64,
    /// Of work that keeps nothing.
    beside: Option<OwnedSemaphorePermit>,
}

/// There is no room, and it was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "decoding takes {} MiB of the {} there are for it, and other decoding left less (waited {} s); lower the resolution of \
     the cameras, or use their sub-streams", .bytes >> 20, .limit >> 20, .seconds
)]
pub(super) struct NoRoom {
    bytes: u64,
    limit: u64,
    seconds: u64,
}

impl DecoderRoom {
    pub(super) fn new() -> Self {
        Self::of(BYTES_MAX, PATIENCE)
    }

    fn of(limit: u64, patience: Duration) -> Self {
        let (places, changed, beside) = (Mutex::default(), Notify::new(), Arc::new(Semaphore::new(1)));
        Self(Arc::new(Shared { limit, patience, places, changed, beside }))
    }

    /// A seat that has nothing yet.
    pub(super) fn seat(&self) -> DecoderSeat {
        let mut places = self.places();
        places.next += 1;
        DecoderSeat { room: self.clone(), number: places.next }
    }

    /// Room for work that keeps nothing and that no trigger waits for: one at a time, and at most half of the room, so
    /// that triggers find the rest.
    pub(super) async fn beside(&self, bytes: u64) -> Result<AtWork, NoRoom> {
        let limit = self.0.limit / 2;
        let permit = Arc::clone(&self.0.beside).acquire_owned().await.ok().filter(|_| bytes <= limit);
        let permit = permit.ok_or(NoRoom { bytes, limit, seconds: 0 })?;
        let mut work = self.seat().take(bytes, &Weak::new(), || ()).await?;
        work.beside = Some(permit);
        Ok(work)
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the first decoder that is left to finish what it began is idle, unless it is asked before.
    fn begun_until(&self) -> Option<Instant> {
        let now = Instant::now();
        let places = self.places();
        let idle = places.taken.values().filter(|taken| !taken.is_at_work);
        idle.filter_map(|taken| taken.begun_until.filter(|until| *until > now)).min()
    }

    /// Takes so many bytes if they are there, after what idle decoders give up for it.
    fn try_take(&self, number: u64, bytes: u64, lane: &Weak<AsyncMutex<DecodeSession>>) -> bool {
        let mut places = self.places();
        places.turn += 1;
        let (turn, now) = (places.turn, Instant::now());
        loop {
            let others = places.taken.iter().filter(|(other, _)| **other != number);
            let used: u64 = others.clone().map(|(_, taken)| taken.bytes).sum();
            if used + bytes <= self.0.limit {
                let lane = lane.clone();
                let taken = Taken { bytes, is_at_work: true, begun_until: None, turn, lane };
                places.taken.insert(number, taken);
                return true;
            }
            let rested = others
                .filter(|(_, taken)| taken.is_idle(now))
                .filter_map(|(other, taken)| Some((taken.turn, *other, taken.lane.upgrade()?)))
                // Whoever holds its lane is about to work.
                .filter_map(|(turn, other, lane)| lane.try_lock_owned().ok().map(|lane| (turn, other, lane)))
                .min_by_key(|(turn, ..)| *turn);
            let Some((_, other, mut lane)) = rested else { return false };
            lane.rest();
            places.taken.remove(&other);
        }
    }
}

impl Taken {
    /// Whether nobody waits for what it has.
    fn is_idle(&self, now: Instant) -> bool {
        !self.is_at_work && self.begun_until.is_none_or(|until| until <= now)
    }
}

impl AtWork {
    /// Is about a picture that will be asked for in a moment.
    pub(super) fn begins(&self) {
        if let Some(taken) = self.room.places().taken.get_mut(&self.number) {
            taken.begun_until = Some(Instant::now() + BEGUN);
        }
    }

    /// Takes so many bytes more, or gives back what is more, if that needs nothing of others; whether it has them now.
    pub(super) fn resize(&self, bytes: u64) -> bool {
        let mut places = self.room.places();
        let others = places.taken.iter().filter(|(other, _)| **other != self.number);
        let used: u64 = others.map(|(_, taken)| taken.bytes).sum();
        let limit = self.room.0.limit;
        let Some(taken) = places.taken.get_mut(&self.number) else { return false };
        let fits = bytes <= taken.bytes || used.saturating_add(bytes) <= limit;
        if fits {
            taken.bytes = bytes;
        }
        drop(places);
        self.room.0.changed.notify_waiters();
        fits
    }
}

impl DecoderSeat {
    /// Takes room for work on a lane, in place of what it had. `rest` gives up what the lane keeps, which is asked for
    /// before anything is waited for, so that no two wait for each other.
    pub(super) async fn take(
        &self,
        bytes: u64,
        lane: &Weak<AsyncMutex<DecodeSession>>,
        rest: impl FnOnce(),
    ) -> Result<AtWork, NoRoom> {
        let shared = &self.room.0;
        let deadline = Instant::now() + shared.patience;
        let mut rest = Some(rest);
        loop {
            let changed = shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.room.try_take(self.number, bytes, lane) {
                return Ok(AtWork { room: self.room.clone(), number: self.number, beside: None });
            }
            if let Some(rest) = rest.take() {
                rest();
                self.leave();
                continue;
            }
            let begun_until = self.room.begun_until().unwrap_or(deadline);
            let is_over = tokio::time::timeout_at(deadline.min(begun_until), changed).await.is_err();
            if is_over && Instant::now() >= deadline {
                let (limit, seconds) = (shared.limit, shared.patience.as_secs());
                return Err(NoRoom { bytes, limit, seconds });
            }
        }
    }

    /// Gives its room back.
    pub(super) fn leave(&self) {
        self.room.places().taken.remove(&self.number);
        self.room.0.changed.notify_waiters();
    }
}

impl Drop for DecoderSeat {
    fn drop(&mut self) {
        // Work under way, left behind or not, still has its memory.
        let mut places = self.room.places();
        if places.taken.get(&self.number).is_some_and(|taken| !taken.is_at_work) {
            places.taken.remove(&self.number);
            drop(places);
            self.room.0.changed.notify_waiters();
        }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let mut places = self.room.places();
        if self.beside.is_some() {
            places.taken.remove(&self.number);
        } else if let Some(taken) = places.taken.get_mut(&self.number) {
            taken.is_at_work = false;
        }
        drop(places);
        self.room.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    fn lane() -> Arc<AsyncMutex<DecodeSession>> {
        Arc::default()
    }

    fn used(room: &DecoderRoom) -> u64 {
        room.places().taken.values().map(|taken| taken.bytes).sum()
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_decoder_gives_way_and_the_one_that_rested_longest_first() {
        let room = DecoderRoom::of(100, PATIENCE);
        let (a, b, c) = (room.seat(), room.seat(), room.seat());
        let (lane_a, lane_b, lane_c) = (lane(), lane(), lane());
        drop(a.take(40, &Arc::downgrade(&lane_a), || ()).await.unwrap());
        drop(b.take(40, &Arc::downgrade(&lane_b), || ()).await.unwrap());
        assert_eq!(used(&room), 80);
        drop(c.take(50, &Arc::downgrade(&lane_c), || ()).await.unwrap());
        assert_eq!(room.places().taken.keys().copied().collect::<Vec<_>>(), [b.number, c.number]);
        drop((b, c));
        assert_eq!(used(&room), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_begun_is_finished_before_it_gives_way_but_not_for_ever() {
        let room = DecoderRoom::of(100, PATIENCE);
        let (a, b) = (room.seat(), room.seat());
        let (lane_a, lane_b) = (lane(), lane());
        let began = Instant::now();
        let begun = a.take(60, &Arc::downgrade(&lane_a), || ()).await.unwrap();
        begun.begins();
        drop(begun);
        let weak = Arc::downgrade(&lane_b);
        let take = b.take(60, &weak, || ());
        tokio::pin!(take);
        let waits =
            std::future::poll_fn(|context| Poll::Ready(take.as_mut().poll(context).is_pending())).await;
        assert!(waits, "its picture is asked for in a moment");
        drop(a.take(60, &Arc::downgrade(&lane_a), || ()).await.unwrap());
        drop(take.await.unwrap());
        assert_eq!(began.elapsed(), Duration::ZERO, "it has its picture");

        let begun = a.take(60, &Arc::downgrade(&lane_a), || ()).await.unwrap();
        begun.begins();
        drop(begun);
        drop(b.take(60, &Arc::downgrade(&lane_b), || ()).await.unwrap());
        assert_eq!(began.elapsed(), BEGUN, "its picture is not asked for");
    }

    #[tokio::test(start_paused = true)]
    async fn threads_have_what_is_left_and_nobody_gives_way_for_them() {
        let room = DecoderRoom::of(100, PATIENCE);
        let (a, b) = (room.seat(), room.seat());
        let (lane_a, lane_b) = (lane(), lane());
        drop(a.take(40, &Arc::downgrade(&lane_a), || ()).await.unwrap());
        let at_work = b.take(40, &Arc::downgrade(&lane_b), || ()).await.unwrap();
        assert!(at_work.resize(60) && !at_work.resize(61));
        assert_eq!(used(&room), 100, "what it has stays as it is");
        assert!(at_work.resize(40));
        drop(at_work);
        assert_eq!(used(&room), 80);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_no_room_waits_for_work_to_end_and_not_for_ever() {
        let room = DecoderRoom::of(100, PATIENCE);
        let seat = room.seat();
        let first = seat.take(70, &Weak::new(), || ()).await.unwrap();
        let words = room.beside(40).await.err().unwrap().to_string();
        assert!(words.starts_with("decoding takes 0 MiB"), "{words}");
        let second = tokio::spawn({
            let room = room.clone();
            async move { room.beside(40).await.map(|_| ()) }
        });
        tokio::task::yield_now().await;
        drop(first);
        seat.leave();
        assert_eq!(second.await.unwrap(), Ok(()));
        assert!(room.beside(51).await.is_err(), "half is for triggers");
        assert_eq!(used(&room), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn two_that_keep_something_do_not_wait_for_each_other() {
        let room = DecoderRoom::of(100, PATIENCE);
        let (a, b) = (room.seat(), room.seat());
        let (lane_a, lane_b) = (lane(), lane());
        drop(a.take(50, &Arc::downgrade(&lane_a), || ()).await.unwrap());
        drop(b.take(50, &Arc::downgrade(&lane_b), || ()).await.unwrap());
        // Both are about to work.
        let (held_a, held_b) = (lane_a.lock().await, lane_b.lock().await);
        let began = Instant::now();
        let work = async |seat: &DecoderSeat, lane: &Arc<AsyncMutex<DecodeSession>>, held| {
            let at_work = seat.take(60, &Arc::downgrade(lane), || ()).await;
            drop(held);
            at_work.map(drop)
        };
        let (one, other) = (work(&a, &lane_a, held_a), work(&b, &lane_b, held_b));
        let (one, other) = tokio::join!(one, other);
        assert_eq!((one.is_ok(), other.is_ok()), (true, true));
        assert!(began.elapsed() < PATIENCE);
    }
}
