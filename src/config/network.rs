//! Networks of addresses, `10.0.0.0/8` or `2001:db8::/32`; a bare address is a network of one.

use std::fmt;
use std::net::IpAddr;

use super::problem::Wrong;

/// A network. An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// Leading bits that must agree.
    prefix: u8,
}

impl Network {
    /// Whether an address belongs to it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => agree(own.to_bits(), other.to_bits(), self.prefix),
            (IpAddr::V6(own), IpAddr::V6(other)) => agree(own.to_bits(), other.to_bits(), self.prefix),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// Whether it is this address and no other.
    pub fn is_only(&self, address: IpAddr) -> bool {
        let bits = if self.address.is_ipv4() { 32 } else { 128 };
        self.prefix == bits && self.contains(address)
    }

    /// Whether all of it belongs to another.
    pub fn is_within(&self, other: &Self) -> bool {
        self.prefix >= other.prefix && other.contains(self.address)
    }

    /// `10.0.0.0/8`, `2001:db8::/32` or an address; `None` when it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.trim().parse().ok()?;
        let address = written.to_canonical();
        let (bits, mapped) = match (written, address) {
            (IpAddr::V6(_), IpAddr::V4(_)) => (32, 96),
            (_, IpAddr::V4(_)) => (32, 0),
            (_, IpAddr::V6(_)) => (128, 0),
        };
        let prefix = match prefix {
            None => bits,
            Some(prefix) => prefix.trim().parse::<u8>().ok()?.checked_sub(mapped)?,
        };
        (prefix <= bits).then_some(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Whether two addresses have their first `prefix` bits in common.
fn agree<T: Copy + std::ops::BitXor<Output = T> + Into<u128>>(one: T, other: T, prefix: u8) -> bool {
    let bits = u32::try_from(size_of::<T>() * 8).unwrap_or(0);
    let differing: u128 = (one ^ other).into();
    differing.checked_shr(bits.saturating_sub(prefix.into())).unwrap_or(0) == 0
}

/// Addresses and networks, comma separated.
pub(super) fn networks(text: &str) -> Result<Vec<Network>, Wrong> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            Network::parse(part).ok_or_else(|| {
                Wrong::new(
                    "not an address or network",
                    "addresses and networks, comma separated: 127.0.0.1, 10.0.0.0/8, fd00::/8",
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_begins_like_them() {
        let check = |network: &str, address: &str, expected: bool| {
            let found = Network::parse(network).unwrap().contains(address.parse().unwrap());
            assert_eq!(found, expected, "{address} in {network}");
        };
        check("127.0.0.1", "127.0.0.1", true);
        check("127.0.0.1", "127.0.0.2", false);
        check("127.0.0.1", "::ffff:127.0.0.1", true);
        check("::ffff:10.0.0.0/104", "10.9.9.9", true);
        check("::ffff:10.0.0.0/104", "11.9.9.9", false);
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.1/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("192.168.178.0/25", "192.168.178.127", true);
        check("192.168.178.0/25", "192.168.178.128", false);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("::/0", "2001:db8::1", true);
        check("::/0", "203.0.113.9", false);
        check("fd00::/8", "fdab::1", true);
        check("fd00::/8", "fe80::1", false);
        check("2001:db8::1/128", "2001:db8::1", true);
        check("2001:db8::1/128", "2001:db8::2", false);
    }

    #[test]
    fn what_is_no_network_is_none() {
        for text in
            ["x", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8/8", "::1/129", "10.0.0", "/8"]
        {
            assert_eq!(Network::parse(text), None, "{text}");
        }
        assert_eq!(Network::parse("::ffff:10.0.0.0/95"), None);
    }
}
