//! Slows down guessing: each wrong answer doubles the pause of its address, many wrong answers slow everyone, and
//! nobody is ever locked out for good.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Wrong answers of one address before it has to pause; people mistype.
const FREE: u32 = 4;

/// Longest pause of one address.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Wrong answers of all addresses together before everyone has to pause.
const FREE_GLOBALLY: u32 = 30;

/// Longest pause of everyone: short, because it also meets the owner.
const PAUSE_GLOBAL_MAX: Duration = Duration::from_secs(4);

/// An address that kept quiet for so long begins anew.
const FORGET: Duration = Duration::from_secs(15 * 60);

/// Addresses remembered; the one that has been quiet longest goes first.
const ADDRESSES_MAX: usize = 1024;

#[derive(Clone, Copy)]
struct Record {
    failures: u32,
    last: Instant,
}

impl Record {
    fn new(now: Instant) -> Self {
        Self { failures: 0, last: now }
    }

    fn wait(&self, now: Instant, free: u32, max: Duration) -> Duration {
        let Some(over) = self.failures.checked_sub(free) else { return Duration::ZERO };
        let pause = Duration::from_secs(1 << over.min(16)).min(max);
        (self.last + pause).saturating_duration_since(now)
    }

    fn failed(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last) > FORGET {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.last = now;
    }
}

/// Who has guessed wrong how often.
pub(super) struct Throttle {
    addresses: HashMap<IpAddr, Record>,
    everyone: Record,
    /// Addresses from which someone got it right: a flood from elsewhere does not slow them.
    known: Vec<IpAddr>,
}

/// Addresses remembered as known to be good.
const KNOWN_MAX: usize = 32;

impl Throttle {
    pub(super) fn new(now: Instant) -> Self {
        Self { addresses: HashMap::new(), everyone: Record::new(now), known: Vec::new() }
    }

    /// Asks for one guess. It counts as wrong until [`Throttle::succeeded`], so that many at once gain nothing.
    /// The error is how long to wait.
    pub(super) fn begin(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let address = network(address);
        let own = self.addresses.get(&address).map_or(Duration::ZERO, |r| r.wait(now, FREE, PAUSE_MAX));
        let common = if self.known.contains(&address) {
            Duration::ZERO
        } else {
            self.everyone.wait(now, FREE_GLOBALLY, PAUSE_GLOBAL_MAX)
        };
        let wait = own.max(common);
        if !wait.is_zero() {
            return Err(wait);
        }
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&address) {
            self.addresses.retain(|_, record| now.saturating_duration_since(record.last) <= FORGET);
            let quietest = self.addresses.iter().min_by_key(|(_, record)| record.last).map(|(ip, _)| *ip);
            if let Some(quietest) = quietest.filter(|_| self.addresses.len() >= ADDRESSES_MAX) {
                self.addresses.remove(&quietest);
            }
        }
        self.addresses.entry(address).or_insert_with(|| Record::new(now)).failed(now);
        self.everyone.failed(now);
        Ok(())
    }

    /// The guess was right.
    pub(super) fn succeeded(&mut self, address: IpAddr) {
        let address = network(address);
        self.addresses.remove(&address);
        self.everyone.failures = self.everyone.failures.saturating_sub(1);
        if !self.known.contains(&address) {
            if self.known.len() >= KNOWN_MAX {
                self.known.remove(0);
            }
            self.known.push(address);
        }
    }

    /// The guess was never judged, for want of a turn.
    pub(super) fn withdrawn(&mut self, address: IpAddr) {
        if let Some(record) = self.addresses.get_mut(&network(address)) {
            record.failures = record.failures.saturating_sub(1);
        }
        self.everyone.failures = self.everyone.failures.saturating_sub(1);
    }
}

/// One household has one IPv4 address, but 2^64 of IPv6: those count as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn each_wrong_guess_doubles_the_pause_up_to_a_minute() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(now);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            while let Err(wait) = throttle.begin(ip(1), now) {
                pauses.push(wait.as_secs());
                now += wait;
            }
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_right_guess_ends_the_pauses_of_its_address() {
        let now = Instant::now();
        let mut throttle = Throttle::new(now);
        for _ in 0..4 {
            throttle.begin(ip(1), now).unwrap();
        }
        throttle.succeeded(ip(1));
        assert_eq!(throttle.begin(ip(1), now), Ok(()));
    }

    #[test]
    fn a_flood_from_many_addresses_slows_strangers_but_not_those_who_were_right_before() {
        let now = Instant::now();
        let mut throttle = Throttle::new(now);
        throttle.begin(ip(200), now).unwrap();
        throttle.succeeded(ip(200));
        let allowed = (0..100).filter(|n| throttle.begin(ip(*n), now).is_ok()).count();
        assert_eq!(allowed, FREE_GLOBALLY as usize);
        assert!(throttle.begin(ip(150), now).is_err_and(|wait| wait <= PAUSE_GLOBAL_MAX));
        assert_eq!(throttle.begin(ip(200), now), Ok(()));
        assert_eq!(throttle.begin(ip(150), now + PAUSE_GLOBAL_MAX), Ok(()));
    }

    #[test]
    fn the_memory_of_addresses_is_bounded() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(now);
        for n in 0..5_000_u32 {
            now += PAUSE_GLOBAL_MAX;
            throttle.begin(IpAddr::from(n.to_be_bytes()), now).unwrap();
        }
        assert!(throttle.addresses.len() <= ADDRESSES_MAX);
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let now = Instant::now();
        let mut throttle = Throttle::new(now);
        for n in 0..4_u16 {
            throttle.begin(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n]), now).unwrap();
        }
        assert!(throttle.begin(IpAddr::from([0x2001, 0xdb8, 0, 0, 9, 9, 9, 9]), now).is_err());
    }
}
