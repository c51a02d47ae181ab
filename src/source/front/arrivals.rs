//! When pictures began to arrive, and when they have. Pure.
//!
//! Packets wait for the end of their picture before they are handed on, so that the library wakes once for a picture and
//! not for every packet. When the first one came is what a picture's instant is reckoned from, so it is kept here.

use std::collections::VecDeque;
use std::time::Instant;

use super::rtp::Packet;

/// Pictures that are remembered. The library hands one out when it has ended, or when the next one begins.
const KEPT: usize = 16;

/// The newest pictures.
#[derive(Debug, Default)]
pub struct Arrivals {
    begun: VecDeque<(u32, Instant)>,
    /// RTP time of the picture that has begun and not ended.
    open: Option<u32>,
}

impl Arrivals {
    /// Takes in a packet that came now; whether a picture ends with it, or has ended before it: not every camera marks
    /// the last packet. What is no RTP waits for nothing.
    pub fn take(&mut self, packet: Option<Packet<'_>>, now: Instant) -> bool {
        let Some(packet) = packet else { return true };
        let was_open = self.open.is_some();
        let begins = self.open != Some(packet.time);
        if begins {
            if self.begun.len() == KEPT {
                self.begun.pop_front();
            }
            self.begun.push_back((packet.time, now));
        }
        self.open = Some(packet.time).filter(|_| !packet.mark);
        packet.mark || (was_open && begins)
    }

    /// When the picture of this RTP time began. Nothing if several have it: cameras without a clock stamp all alike.
    pub fn of(&self, time: u32) -> Option<Instant> {
        let mut found = self.begun.iter().filter(|(begun, _)| *begun == time);
        let (_, at) = found.next()?;
        found.next().is_none().then_some(*at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn packet(time: u32, mark: bool) -> Option<Packet<'static>> {
        Some(Packet { mark, sequence: 0, time, payload: &[] })
    }

    #[test]
    fn a_picture_ends_with_its_mark_or_before_the_next_one() {
        let (mut arrivals, begin) = (Arrivals::default(), Instant::now());
        let at = |ms| begin + Duration::from_millis(ms);
        let mut take = |time, mark, ms| arrivals.take(packet(time, mark), at(ms));
        assert_eq!([take(1, false, 0), take(1, false, 5), take(1, true, 9)], [false, false, true]);
        assert_eq!([take(2, false, 40), take(3, false, 80), take(3, true, 81)], [false, true, true]);
        assert_eq!(
            [1, 2, 3, 4].map(|time| arrivals.of(time)),
            [Some(at(0)), Some(at(40)), Some(at(80)), None]
        );
        assert!(arrivals.take(None, at(99)));
    }

    #[test]
    fn of_pictures_that_are_stamped_alike_nothing_is_known_and_few_are_kept() {
        let (mut arrivals, now) = (Arrivals::default(), Instant::now());
        arrivals.take(packet(0, true), now);
        arrivals.take(packet(0, true), now);
        assert_eq!(arrivals.of(0), None);
        for time in 1..1000 {
            arrivals.take(packet(time, true), now);
        }
        assert!(arrivals.begun.len() <= KEPT);
        assert_eq!((arrivals.of(1), arrivals.of(999)), (None, Some(now)));
    }
}
