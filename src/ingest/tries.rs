//! Guessing made slow: how many wrong tokens and log-ins an address has. Pure, but for the time it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Wrong tokens or log-ins of an address at once.
const TRIES: u32 = 10;

/// Until one of them is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// Addresses that are remembered; beyond them the one whose tries are back first is forgotten.
const ADDRESSES_MAX: usize = 1024;

/// Devices that are remembered with the address from which they were right: sixteen, each at a few addresses.
const RIGHT_MAX: usize = 1024;

/// The addresses from which somebody was wrong, and the devices that were right there.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// When all tries of each are back.
    back_at: BTreeMap<IpAddr, Instant>,
    /// By address and number of the device.
    right: BTreeSet<(IpAddr, u8)>,
}

impl Tries {
    /// Whether somebody from here may try; the error says when.
    pub(super) fn may(&self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        let back_at = self.back_at.get(&from).copied().unwrap_or(now);
        let wait = back_at.saturating_duration_since(now).saturating_sub(FORGOTTEN_AFTER * (TRIES - 1));
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// A device was right from here. Whoever is wrong beside it, behind the same router, does not keep it out.
    pub(super) fn right(&mut self, from: IpAddr, device: u8) {
        if self.right.len() < RIGHT_MAX {
            self.right.insert((from, device));
        }
    }

    /// Whether a device was right from here before.
    pub(super) fn was_right(&self, from: IpAddr, device: u8) -> bool {
        self.right.contains(&(from, device))
    }

    /// Somebody from here was wrong.
    pub(super) fn wrong(&mut self, from: IpAddr, now: Instant) {
        self.back_at.retain(|_, back_at| *back_at > now);
        if self.back_at.len() >= ADDRESSES_MAX && !self.back_at.contains_key(&from) {
            let soonest = self.back_at.iter().min_by_key(|(_, back_at)| **back_at).map(|(from, _)| *from);
            if let Some(soonest) = soonest {
                self.back_at.remove(&soonest);
            }
        }
        let back_at = self.back_at.entry(from).or_insert(now);
        *back_at = (*back_at).max(now) + FORGOTTEN_AFTER;
    }
}

/// Who counts as one client: an address, or a network of IPv6, in which a machine has as many as it wants.
pub(super) fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ten_wrong_log_ins_and_then_one_in_half_a_minute() {
        let (mut tries, from, start) = (Tries::default(), address("192.0.2.1"), Instant::now());
        for _ in 0..TRIES {
            assert_eq!(tries.may(from, start), Ok(()));
            tries.wrong(from, start);
        }
        assert_eq!(tries.may(from, start), Err(FORGOTTEN_AFTER));
        assert_eq!(tries.may(address("192.0.2.2"), start), Ok(()));
        let later = start + FORGOTTEN_AFTER;
        assert!(tries.may(from, later - Duration::from_millis(1)).is_err());
        assert_eq!(tries.may(from, later), Ok(()));
        tries.wrong(from, later);
        assert!(tries.may(from, later).is_err());
    }

    #[test]
    fn a_thousand_addresses_are_remembered_and_no_more() {
        let (mut tries, start) = (Tries::default(), Instant::now());
        for n in 0..3000_u32 {
            tries.wrong(IpAddr::from(n.to_be_bytes()), start);
        }
        assert_eq!(tries.back_at.len(), ADDRESSES_MAX);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        assert_eq!(client_of(address("2001:db8::1:2:3:4")), client_of(address("2001:db8::5")));
        assert_ne!(client_of(address("2001:db8:0:1::1")), client_of(address("2001:db8::1")));
        assert_eq!(client_of(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }
}
