//! Under which names this machine is spoken to. A page of another site whose name was made to point here (DNS rebinding)
//! still has its own name in `Host`; such a request is refused before anything else.
//!
//! Ours are names that no stranger can own: addresses, `localhost`, names of one label, names below the domains that exist
//! in local networks only, the name of this machine alone and in the network's own domain, and those of `WEB_HOSTS`.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Domains that are not delegated in the public DNS, so that only the local network can answer for names below them:
/// RFC 6761, 6762 and 8375, the one that ICANN reserved for private use (`internal`), and what routers use.
const LOCAL: &[&str] = &[
    "local",
    "localhost",
    "localdomain",
    "lan",
    "home",
    "home.arpa",
    "internal",
    "intranet",
    "private",
    "corp",
    "test",
];

/// Domains that are public, but whose owner makes routers which answer for this machine's own name below them.
const ROUTERS: &[&str] = &["fritz.box"];

/// Longest name in the DNS.
const NAME_MAX: usize = 253;

/// What this machine is called.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    /// The kernel's host name, in lower case.
    machine: String,
    /// `WEB_HOSTS` and the host of `PUBLIC_URL`, in lower case.
    configured: Vec<String>,
}

impl Hosts {
    pub(super) fn new<'a>(configured: impl Iterator<Item = &'a str>) -> Self {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self { machine: name.trim().to_lowercase(), configured: configured.map(str::to_owned).collect() }
    }

    /// Whether a `Host` header, with or without a port, speaks of this machine.
    pub(super) fn is_ours(&self, host: &str) -> bool {
        // The network's domain may come after the start, with the network; it is asked for when it matters.
        is_ours(host, self, network_domains)
    }
}

/// The rule; `domains` is asked only for this machine's own name below a domain that is not known otherwise.
fn is_ours(host: &str, hosts: &Hosts, domains: impl FnOnce() -> Vec<String>) -> bool {
    let Some(name) = name_of(host) else { return false };
    if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    if name.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    let name = name.strip_suffix('.').unwrap_or(&name);
    let is_name = !name.is_empty()
        && name.len() <= NAME_MAX
        && name.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
    if !is_name {
        return false;
    }
    let Some((label, domain)) = name.split_once('.') else { return true };
    if name == hosts.machine || hosts.configured.iter().any(|configured| configured == name) {
        return true;
    }
    if LOCAL.iter().any(|local| domain == *local || domain.ends_with(&format!(".{local}"))) {
        return true;
    }
    let own = hosts.machine.split('.').next().unwrap_or_default();
    label == own && (ROUTERS.contains(&domain) || domains().iter().any(|known| known == domain))
}

/// The host without its port, in lower case. `None` when what follows the colon is no port.
fn name_of(host: &str) -> Option<String> {
    let (name, port) = match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => (&host[..colon], &host[colon + 1..]),
        _ => (host, ""),
    };
    (port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit())).then(|| name.to_ascii_lowercase())
}

/// The domains this machine's network gave it, from the resolver's settings (resolv.conf(5)).
fn network_domains() -> Vec<String> {
    domains_in(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
}

fn domains_in(resolver: &str) -> Vec<String> {
    let lines = resolver.lines().filter_map(|line| {
        line.trim_start().strip_prefix("search").or_else(|| line.trim_start().strip_prefix("domain"))
    });
    // A search for "." means the root: no domain.
    lines
        .flat_map(str::split_whitespace)
        .map(|domain| domain.trim_matches('.').to_lowercase())
        .filter(|domain| domain.contains('.'))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ours(host: &str) -> bool {
        let hosts = Hosts { machine: "gate".to_owned(), configured: vec!["cameras.example.org".to_owned()] };
        is_ours(host, &hosts, || domains_in("nameserver 192.0.2.1\nsearch office.example.com .\n"))
    }

    #[test]
    fn addresses_and_names_that_no_stranger_can_own_are_ours() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9000",
            "192.0.2.1:80",
            "[::1]",
            "[2001:db8::1]:9000",
            "localhost",
            "LOCALHOST:9000",
            "raspberrypi",
            "gate.",
            "gate.local:9000",
            "Kamera.local",
            "gate.lan",
            "nas.home.arpa",
            "gate.fritz.box",
            "gate.office.example.com",
            "cameras.example.org:8443",
            "CAMERAS.example.org.",
        ] {
            assert!(ours(host), "{host}");
        }
    }

    #[test]
    fn names_that_a_stranger_may_own_are_not() {
        for host in [
            "",
            ":9000",
            "evil.example",
            "gate.evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "127.0.0.1:x",
            "cameras.example.org.evil.example",
            "x.cameras.example.org",
            "other.office.example.com",
            "evil.fritz.box",
            "gate.local.evil.example",
            "local.evil.example",
            "evillan.example",
            "evil@localhost",
            "localhost/evil",
            "evil.example,localhost",
            "[::1",
            "::1",
            "[evil.example]",
            "gate..local",
            "gäte",
            "localhost:9000:9000",
        ] {
            assert!(!ours(host), "{host}");
        }
    }

    proptest! {
        #[test]
        fn below_a_public_domain_only_the_listed_names_are_ours(
            labels in prop::collection::vec("[a-z0-9-]{1,12}|gate|localhost|local|lan|fritz|cameras", 1..4),
            top in "example|com|org|net|io|box|de",
            port in prop::option::of(any::<u16>()),
        ) {
            let name = format!("{}.{top}", labels.join("."));
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let listed = ["cameras.example.org", "gate.office.example.com", "gate.fritz.box"];
            prop_assert_eq!(ours(&format!("{name}{port}")), listed.contains(&name.as_str()));
        }

        #[test]
        fn whatever_is_sent_as_a_host_is_judged(host in ".{0,300}") {
            ours(&host);
        }
    }
}
