//! Which addresses may be contacted because somebody who came over the network names them: the table, pure.
//!
//! A name is looked up by the caller, and what was found is judged here and then connected to, with no second look-up in
//! between. Nothing is read liberally: what one library takes for a name another takes for `127.0.0.1`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::network::Network;

/// A host as somebody named it: an address, or a name that no library can take for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GivenHost {
    /// An address in its usual spelling.
    Address(IpAddr),
    /// A name in lower case.
    Name(String),
}

/// Why a host is not contacted, for whoever named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OffLimits {
    /// It is neither an address nor a name, as they are usually written.
    #[error(
        "ip_address is neither an IP address nor a host name; write it as 192.168.1.100 or camera.local, without scheme, user, port or path"
    )]
    Spelling,
    /// It stands for no single machine, or for a service that must not be asked.
    #[error("{0} is no address of a camera")]
    Never(IpAddr),
    /// It is this machine, or only means something on one link.
    #[error(
        "{0} is an address of this computer or of one link; STREAM_ALLOW allows it only by naming a network inside that range"
    )]
    Special(IpAddr),
    /// No configured network has it.
    #[error("{0} is in none of the networks of STREAM_ALLOW")]
    Outside(IpAddr),
    /// This program listens there.
    #[error("{0} is a port of this program")]
    Own(SocketAddr),
}

/// What may be contacted.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Networks that cameras are in.
    pub networks: Vec<Network>,
}

/// What a range of addresses is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No camera is there, whatever the settings say.
    Never,
    /// Only where a configured network lies inside the range.
    Special,
}

/// Ranges that are no usual addresses of hosts (IANA special-purpose registries, RFC 6890), and services of clouds that
/// give out secrets. The first that fits counts.
const RANGES: &[(&str, Kind)] = &[
    // Metadata: AWS, Azure, Google and others; ECS; Alibaba; Oracle; Azure's own; AWS and Google over IPv6.
    ("169.254.169.254", Kind::Never),
    ("169.254.170.2", Kind::Never),
    ("100.100.100.200", Kind::Never),
    ("192.0.0.192", Kind::Never),
    ("168.63.129.16", Kind::Never),
    ("fd00:ec2::/32", Kind::Never),
    ("fd20:ce::254", Kind::Never),
    // Unspecified, "this network": Linux takes 0.0.0.0 for itself.
    ("0.0.0.0/8", Kind::Never),
    ("::", Kind::Never),
    // Multicast, reserved, broadcast.
    ("224.0.0.0/4", Kind::Never),
    ("240.0.0.0/4", Kind::Never),
    ("ff00::/8", Kind::Never),
    // Loopback and link-local.
    ("127.0.0.0/8", Kind::Special),
    ("::1", Kind::Special),
    ("169.254.0.0/16", Kind::Special),
    ("fe80::/10", Kind::Special),
    // IPv4 in another dress: compatible, translated, NAT64, 6to4, Teredo. (`::ffff:` is undressed before.)
    ("::/96", Kind::Never),
    ("::ffff:0:0:0/96", Kind::Never),
    ("64:ff9b::/96", Kind::Never),
    ("64:ff9b:1::/48", Kind::Never),
    ("2002::/16", Kind::Never),
    ("2001::/32", Kind::Never),
    // Protocol assignments, site-local (deprecated), discard.
    ("192.0.0.0/24", Kind::Never),
    ("fec0::/10", Kind::Never),
    ("100::/64", Kind::Never),
];

impl GivenHost {
    /// Reads a host without scheme, user, port and path.
    pub fn parse(text: &str) -> Result<Self, OffLimits> {
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(address.into()));
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(text).parse::<Ipv6Addr>() {
            return Ok(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // A host whose last label is a number is an IPv4 address to browsers and to the C library (127.1, 0x7f.1,
        // 2130706433, 017700000001); written as it should be, it was taken above.
        let is_number = |label: &str| {
            let hexadecimal =
                label.strip_prefix("0x").map(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
            label.bytes().all(|b| b.is_ascii_digit()) || hexadecimal == Some(true)
        };
        let last = name.rsplit('.').next().unwrap_or_default();
        if name.len() > 253 || !name.split('.').all(is_label) || is_number(last) {
            return Err(OffLimits::Spelling);
        }
        Ok(Self::Name(name))
    }
}

impl fmt::Display for GivenHost {
    /// As it stands in an address: IPv6 in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Reach {
    /// Whether an address may be contacted. `is_ours`: this machine has it; `own_ports`: those this program listens on.
    pub fn judge(&self, at: SocketAddr, is_ours: bool, own_ports: &[u16]) -> Result<(), OffLimits> {
        let address = at.ip().to_canonical();
        let found = RANGES.iter().find_map(|(range, kind)| {
            let range = Network::parse(range)?;
            range.contains(address).then_some((range, *kind))
        });
        let is_loopback = address.is_loopback();
        if (is_loopback || is_ours) && own_ports.contains(&at.port()) {
            return Err(OffLimits::Own(SocketAddr::new(address, at.port())));
        }
        let named = || self.networks.iter().filter(|network| network.contains(address));
        match found {
            Some((_, Kind::Never)) => Err(OffLimits::Never(address)),
            Some((range, Kind::Special)) if named().any(|network| network.is_within(&range)) => Ok(()),
            Some((_, Kind::Special)) => Err(OffLimits::Special(address)),
            // What listens on this machine for others may trust its own addresses as it trusts loopback.
            None if is_ours && !self.names_loopback() => Err(OffLimits::Special(address)),
            None if named().next().is_some() => Ok(()),
            None => Err(OffLimits::Outside(address)),
        }
    }

    fn names_loopback(&self) -> bool {
        let loopbacks = ["127.0.0.0/8", "::1"].into_iter().filter_map(Network::parse);
        loopbacks.into_iter().any(|range| self.networks.iter().any(|network| network.is_within(&range)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRIVATE: &str = "10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7";

    fn reach(networks: &str) -> Reach {
        Reach { networks: super::super::network::networks(networks).unwrap() }
    }

    #[derive(Debug, PartialEq)]
    enum Said {
        Yes,
        Spelling,
        Never,
        Special,
        Outside,
        Own,
    }
    use Said::{Never, Outside, Own, Special, Spelling, Yes};

    fn said(networks: &str, host: &str, port: u16, is_ours: bool) -> Said {
        let judged = GivenHost::parse(host).and_then(|host| match host {
            GivenHost::Address(address) => {
                reach(networks).judge(SocketAddr::new(address, port), is_ours, &[9000, 5000])
            }
            GivenHost::Name(_) => Ok(()),
        });
        match judged {
            Ok(()) => Yes,
            Err(OffLimits::Spelling) => Spelling,
            Err(OffLimits::Never(_)) => Never,
            Err(OffLimits::Special(_)) => Special,
            Err(OffLimits::Outside(_)) => Outside,
            Err(OffLimits::Own(_)) => Own,
        }
    }

    /// S2.5: the table of ranges and spellings.
    #[test]
    fn only_cameras_on_private_networks_are_contacted_whatever_the_spelling() {
        for (host, expected) in [
            ("192.168.1.100", Yes),
            ("10.0.0.5", Yes),
            ("172.31.255.1", Yes),
            ("172.32.0.1", Outside),
            ("fd12:3456::7", Yes),
            ("[fd12:3456::7]", Yes),
            ("::ffff:192.168.1.100", Yes),
            ("camera.local", Yes),
            ("esp32_cam", Yes),
            ("8.8.8.8", Outside),
            ("2606:4700::1111", Outside),
            ("100.64.0.1", Outside),
            ("127.0.0.1", Special),
            ("127.255.255.254", Special),
            ("::1", Special),
            ("[::1]", Special),
            ("::ffff:127.0.0.1", Special),
            ("::ffff:7f00:1", Special),
            ("169.254.1.1", Special),
            ("fe80::1", Special),
            ("169.254.169.254", Never),
            ("::ffff:169.254.169.254", Never),
            ("::ffff:a9fe:a9fe", Never),
            ("fd00:ec2::254", Never),
            ("100.100.100.200", Never),
            ("0.0.0.0", Never),
            ("0.1.2.3", Never),
            ("::", Never),
            ("::7f00:1", Never),
            ("::ffff:0:127.0.0.1", Never),
            ("::ffff:0:a9fe:a9fe", Never),
            ("64:ff9b::7f00:1", Never),
            ("64:ff9b:1::7f00:1", Never),
            ("2001:0:7f00:1::", Never),
            ("fd20:ce::254", Never),
            ("2002:7f00:1::", Never),
            ("224.0.0.1", Never),
            ("239.255.255.250", Never),
            ("ff02::1", Never),
            ("255.255.255.255", Never),
            ("240.0.0.1", Never),
            ("127.1", Spelling),
            ("0x7f.1", Spelling),
            ("0x7f000001", Spelling),
            ("2130706433", Spelling),
            ("017700000001", Spelling),
            ("0177.0.0.1", Spelling),
            ("127.0.0.1.", Spelling),
            ("192.168.1.300", Spelling),
            ("192.168.1.100:80", Spelling),
            ("user@192.168.1.100", Spelling),
            ("http://192.168.1.100", Spelling),
            ("192.168.1.100/x", Spelling),
            ("192.168.1.100#", Spelling),
            ("192.168.1.100?", Spelling),
            ("192.168.1.100\\@evil", Spelling),
            ("192.168.1.100 ", Spelling),
            ("%31%32%37.0.0.1", Spelling),
            ("１２７.0.0.1", Spelling),
            ("127。0。0。1", Spelling),
            ("fe80::1%eth0", Spelling),
            ("[::1", Spelling),
            ("a..b", Spelling),
            ("-a", Spelling),
            ("", Spelling),
        ] {
            assert_eq!(said(PRIVATE, host, 80, false), expected, "{host}");
        }
    }

    #[test]
    fn no_wide_network_opens_what_is_special_and_only_its_own_name_does() {
        let all = "0.0.0.0/0, ::/0";
        assert_eq!(said(all, "8.8.8.8", 80, false), Yes);
        assert_eq!(said(all, "127.0.0.1", 80, false), Special);
        assert_eq!(said(all, "fe80::1", 80, false), Special);
        assert_eq!(said(all, "169.254.169.254", 80, false), Never);
        assert_eq!(said(all, "168.63.129.16", 80, false), Never);
        assert_eq!(said("127.0.0.0/8", "127.0.0.1", 80, false), Yes);
        assert_eq!(said("127.0.0.1", "127.0.0.1", 80, false), Yes);
        assert_eq!(said("127.0.0.1", "127.0.0.2", 80, false), Special);
        assert_eq!(said("169.254.0.0/16", "169.254.169.254", 80, false), Never);
    }

    #[test]
    fn addresses_and_ports_of_our_own_are_not_contacted() {
        assert_eq!(said(PRIVATE, "192.168.1.33", 80, true), Special);
        assert_eq!(said("192.168.0.0/16, 127.0.0.0/8", "192.168.1.33", 80, true), Yes);
        assert_eq!(said("192.168.0.0/16, 127.0.0.0/8", "192.168.1.33", 9000, true), Own);
        assert_eq!(said("127.0.0.0/8", "127.0.0.1", 5000, false), Own);
        assert_eq!(said("127.0.0.0/8", "::ffff:127.0.0.1", 9000, false), Own);
        // A camera may well listen on the port that we have here.
        assert_eq!(said(PRIVATE, "192.168.1.100", 9000, false), Yes);
    }

    #[test]
    fn every_range_of_the_table_is_one() {
        assert!(RANGES.iter().all(|(range, _)| Network::parse(range).is_some()));
    }

    proptest! {
        #[test]
        fn what_is_taken_for_a_name_is_no_address_to_the_url_library(text in "[0-9a-fx.%@:/\\[\\]-]{0,20}") {
            if let Ok(GivenHost::Name(name)) = GivenHost::parse(&text)
                && let Ok(url) = url::Url::parse(&format!("http://{name}/"))
            {
                prop_assert!(matches!(url.host(), Some(url::Host::Domain(_))), "{text}: {url}");
            }
        }
    }
}
