//! How many requests a client may send: a minute's worth at once at most, and they come back evenly. Pure but for the time
//! it is told.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Clients that are remembered. When there are more, the one is forgotten whose minute is nearest to whole.
const CLIENTS_MAX: usize = 1024;

const MINUTE: Duration = Duration::from_secs(60);

/// The requests of all clients.
#[derive(Debug)]
pub(super) struct ClientRates {
    /// Time that gives one request back.
    each: Duration,
    /// When all requests of a client are back, if no more come.
    whole_at: HashMap<IpAddr, Instant>,
}

impl ClientRates {
    /// So many a minute for each client.
    pub(super) fn new(per_minute: u32) -> Self {
        Self { each: MINUTE / per_minute.max(1), whole_at: HashMap::new() }
    }

    /// Takes what a request counts for, or says when it may come.
    pub(super) fn take(&mut self, client: IpAddr, count: u32, now: Instant) -> Result<(), Duration> {
        let client = network(client);
        let before = self.whole_at.get(&client).copied().map_or(now, |at| at.max(now));
        // What counts for more than there ever is may come when everything is there.
        let whole_at = before + (self.each * count).min(MINUTE);
        match whole_at.saturating_duration_since(now).checked_sub(MINUTE) {
            Some(wait) if !wait.is_zero() => return Err(wait),
            Some(_) | None => {}
        }
        if self.whole_at.len() >= CLIENTS_MAX && !self.whole_at.contains_key(&client) {
            let earliest = self.whole_at.iter().min_by_key(|(_, at)| **at).map(|(client, _)| *client);
            if let Some(earliest) = earliest {
                self.whole_at.remove(&earliest);
            }
        }
        self.whole_at.insert(client, whole_at);
        Ok(())
    }
}

/// What one customer has: an IPv4 address, or a /64 of IPv6.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(client) => client.into(),
        IpAddr::V6(client) => Ipv6Addr::from_bits(client.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// S2.14
    #[test]
    fn a_client_has_a_minutes_worth_at_once_and_then_as_many_as_come_back() {
        let (mut rates, start) = (ClientRates::new(60), Instant::now());
        let taken = (0..100).filter(|_| rates.take(ip("10.0.0.1"), 1, start).is_ok()).count();
        assert_eq!(taken, 60);
        assert_eq!(rates.take(ip("10.0.0.1"), 1, start), Err(Duration::from_secs(1)));
        assert_eq!(rates.take(ip("10.0.0.2"), 1, start), Ok(()));
        let later = start + Duration::from_secs(10);
        let taken = (0..100).filter(|_| rates.take(ip("10.0.0.1"), 1, later).is_ok()).count();
        assert_eq!(taken, 10);
        assert!(rates.take(ip("10.0.0.1"), 1000, later).is_err());
        assert_eq!(rates.take(ip("10.0.0.1"), 1000, later + MINUTE), Ok(()));
    }

    #[test]
    fn addresses_of_one_customer_count_together_and_memory_has_an_end() {
        let (mut rates, now) = (ClientRates::new(1), Instant::now());
        assert_eq!(rates.take(ip("2001:db8::1"), 1, now), Ok(()));
        assert!(rates.take(ip("2001:db8::2"), 1, now).is_err());
        assert_eq!(rates.take(ip("2001:db8:0:1::1"), 1, now), Ok(()));
        for n in 0..5000_u32 {
            assert_eq!(rates.take(std::net::Ipv4Addr::from_bits(n).into(), 1, now), Ok(()));
        }
        assert_eq!(rates.whole_at.len(), CLIENTS_MAX);
    }
}
