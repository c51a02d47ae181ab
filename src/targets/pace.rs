//! How fast a body goes out: a token bucket between the picture and the connection.
//!
//! The length of the body stays announced; only its pieces come later. Without a limit the pieces come as they are asked
//! for, and nothing is reckoned.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Pieces of a body without a limit: few enough to cost nothing, small enough to see that something moves.
const PIECE_MAX: usize = 64 * 1024;

/// Smallest piece of a slow body.
const PIECE_MIN: usize = 1024;

/// What may go at once after a rest, as time at the full rate.
const BURST: Duration = Duration::from_millis(250);

/// The reckoning, on any clock. What was taken is paid for by waiting.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Bytes per second, at least 1.
    rate: u64,
    /// When everything that was taken is paid for.
    paid_at: Duration,
}

impl Bucket {
    fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), paid_at: Duration::ZERO }
    }

    /// Takes `bytes` and says how long to wait before they may go.
    fn take(&mut self, bytes: usize, now: Duration) -> Duration {
        let nanos =
            u128::try_from(bytes).unwrap_or(u128::MAX).saturating_mul(1_000_000_000) / u128::from(self.rate);
        let price = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let rested = self.paid_at.max(now.saturating_sub(BURST));
        self.paid_at = rested.saturating_add(price);
        self.paid_at.saturating_sub(now)
    }
}

/// The limit of one target, shared by everything that goes to it at the same time.
#[derive(Clone, Debug)]
pub(super) struct RateLimit {
    bucket: Arc<Mutex<Bucket>>,
    began: Instant,
    piece: usize,
}

impl RateLimit {
    /// At most `rate` bytes per second, measured over any stretch longer than a quarter of a second.
    pub(super) fn new(rate: u64) -> Self {
        let tenth = usize::try_from(rate / 10).unwrap_or(usize::MAX);
        Self {
            bucket: Arc::new(Mutex::new(Bucket::new(rate))),
            began: Instant::now(),
            piece: tenth.clamp(PIECE_MIN, PIECE_MAX),
        }
    }

    /// Waits until `bytes` may go.
    pub(super) async fn wait_for(&self, bytes: usize) {
        let wait = {
            let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(bytes, self.began.elapsed())
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Longest piece that goes at once under this limit, or without one.
    pub(super) fn piece(pace: Option<&Self>) -> usize {
        pace.map_or(PIECE_MAX, |pace| pace.piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn in_no_stretch_of_time_more_goes_than_the_rate_and_one_burst(
            rate in 1_u64..10_000_000,
            steps in prop::collection::vec((1_usize..70_000, 0_u64..400), 1..60),
        ) {
            let (mut bucket, mut now) = (Bucket::new(rate), Duration::from_secs(100));
            let mut gone: Vec<(Duration, u64)> = Vec::new();
            for (bytes, pause_ms) in steps {
                now += Duration::from_millis(pause_ms);
                now += bucket.take(bytes, now);
                gone.push((now, bytes as u64));
            }
            for first in 0..gone.len() {
                let mut sum = 0;
                for (at, bytes) in &gone[first..] {
                    sum += bytes;
                    let most = (*at - gone[first].0 + BURST).as_secs_f64() * rate as f64;
                    // The first one of the stretch was waited for before it began.
                    prop_assert!(sum as f64 - gone[first].1 as f64 <= most + 1.0 + gone.len() as f64, "{sum} > {most}");
                }
            }
        }

        #[test]
        fn a_steady_stream_goes_as_fast_as_it_may(rate in 1000_u64..10_000_000, pieces in 10_usize..100) {
            let (mut bucket, mut now) = (Bucket::new(rate), Duration::from_secs(100));
            let piece = usize::try_from(rate / 10).unwrap();
            for _ in 0..pieces {
                now += bucket.take(piece, now);
            }
            let ideal = (pieces * piece) as f64 / rate as f64;
            let took = (now - Duration::from_secs(100)).as_secs_f64();
            prop_assert!(took <= ideal && took >= ideal - 0.26, "{took} s instead of {ideal}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_bodies_at_the_same_time_share_one_limit() {
        let pace = RateLimit::new(100_000);
        let began = Instant::now();
        let body = async {
            for _ in 0..20 {
                pace.wait_for(10_000).await;
            }
        };
        tokio::join!(body, async {
            for _ in 0..20 {
                pace.wait_for(10_000).await;
            }
        });
        let took = began.elapsed().as_secs_f64();
        assert!((3.7..=4.01).contains(&took), "{took} s for 400 kB at 100 kB/s");
    }
}
