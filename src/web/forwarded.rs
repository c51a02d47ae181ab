//! Who is behind a proxy. Only a proxy named in `TRUSTED_PROXIES` is believed, and only about what it saw itself: the
//! last address in the chain that is not one of those proxies. Everything before it was written by the visitor.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::HeaderMap;

use crate::config::Network;

/// The address of the visitor, for the throttle and the log; `connection` itself unless a trusted proxy says better.
///
/// Both `X-Forwarded-For` and `Forwarded` (RFC 7239) are read. A proxy writes one and passes on the other as it came, so
/// where they differ neither is believed.
pub(super) fn client(connection: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let connection = connection.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(*address));
    if !is_trusted(&connection) {
        return connection;
    }
    let named = |name: &str, hops: fn(&str) -> Vec<Option<IpAddr>>| {
        if !headers.contains_key(name) {
            return None;
        }
        let hops: Vec<_> = headers
            .get_all(name)
            .flat_map(|value| value.to_str().map_or_else(|_| vec![None], hops))
            .collect();
        Some(last_untrusted(connection, &hops, is_trusted))
    };
    match (named("x-forwarded-for", listed), named("forwarded", elements)) {
        (Some(one), Some(other)) if one != other => connection,
        (Some(client), _) | (None, Some(client)) => client,
        (None, None) => connection,
    }
}

/// Walks the chain from the proxy next to us. At a hop that is no address the walk ends: what stands before it cannot
/// be vouched for.
fn last_untrusted(
    connection: IpAddr,
    hops: &[Option<IpAddr>],
    is_trusted: impl Fn(&IpAddr) -> bool,
) -> IpAddr {
    let mut last = connection;
    for hop in hops.iter().rev() {
        let Some(address) = hop else { return last };
        last = *address;
        if !is_trusted(address) {
            return last;
        }
    }
    last
}

/// The hops of one line of `X-Forwarded-For`.
fn listed(value: &str) -> Vec<Option<IpAddr>> {
    value.split(',').map(address).collect()
}

/// The hops of one line of `Forwarded`: `for=192.0.2.60;proto=http, for="[2001:db8::1]:4711"`.
fn elements(value: &str) -> Vec<Option<IpAddr>> {
    let hop = |element: &str| {
        let mut found = None;
        for pair in split(element, ';') {
            let (name, value) = pair.split_once('=')?;
            if name.trim().eq_ignore_ascii_case("for") && found.replace(value.trim()).is_some() {
                return None;
            }
        }
        let value = found?;
        address(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
    };
    split(value, ',').into_iter().map(hop).collect()
}

/// Splits where `separator` stands outside quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c| {
        let escaped = std::mem::take(&mut is_escaped);
        match c {
            '\\' if is_quoted && !escaped => is_escaped = true,
            '"' if !escaped => is_quoted = !is_quoted,
            _ => {}
        }
        c == separator && !is_quoted
    })
    .collect()
}

/// An address with or without a port, IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let parsed = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    parsed.map(|address| address.to_canonical())
}

/// Whether the visitor speaks TLS, as a trusted proxy or one on this machine says. It only narrows where cookies go.
pub(super) fn is_https(connection: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> bool {
    let connection = connection.to_canonical();
    let is_believed = connection.is_loopback() || trusted.iter().any(|network| network.contains(connection));
    let last = headers.get_all("x-forwarded-proto").last().and_then(|value| value.to_str().ok());
    is_believed
        && last
            .and_then(|value| value.rsplit(',').next())
            .is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
}

/// Names under which proxies pass on who asked; any other that begins with `x-forwarded` counts, too.
const SIGNS: &[&str] = &[
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-url",
    "x-host",
    "x-proxyuser-ip",
    "x-envoy-external-address",
    "x-azure-clientip",
    "x-appengine-user-ip",
    "x-arr-clientip",
    "true-client-ip",
    "client-ip",
    "wl-proxy-client-ip",
    "proxy-client-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-ray",
    "cdn-loop",
];

/// Whether a request shows that it came through a proxy: then the neighbour is not the one who asks. A proxy that adds
/// nothing cannot be told from a visitor on this machine.
pub(super) fn shows_a_proxy(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        name.starts_with("x-forwarded") || SIGNS.contains(&name)
    })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        headers
    }

    fn networks(text: &str) -> Vec<Network> {
        text.split(", ").map(|text| Network::parse(text).unwrap()).collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_hop_that_is_no_trusted_proxy_is_the_visitor() {
        let trusted = networks("127.0.0.1, 10.0.0.0/8, fd00::/8");
        let check = |connection: &str, lines: &[(&'static str, &str)], expected: &str| {
            let found = client(ip(connection), &headers(lines), &trusted);
            assert_eq!(found, ip(expected), "{connection} {lines:?}");
        };
        const XFF: &str = "x-forwarded-for";
        const FWD: &str = "forwarded";
        check("127.0.0.1", &[], "127.0.0.1");
        check("192.0.2.1", &[(XFF, "203.0.113.7")], "192.0.2.1");
        check("127.0.0.1", &[(XFF, "203.0.113.7")], "203.0.113.7");
        check("::ffff:127.0.0.1", &[(XFF, "203.0.113.7")], "203.0.113.7");
        check("127.0.0.1", &[(XFF, "203.0.113.7:4711")], "203.0.113.7");
        check("127.0.0.1", &[(XFF, "[2001:db8::7]:4711")], "2001:db8::7");
        check("127.0.0.1", &[(XFF, "2001:db8::7")], "2001:db8::7");
        check("127.0.0.1", &[(XFF, "198.51.100.1, 203.0.113.7")], "203.0.113.7");
        check("127.0.0.1", &[(XFF, "198.51.100.1"), (XFF, "203.0.113.7")], "203.0.113.7");
        check("127.0.0.1", &[(XFF, "203.0.113.7, 10.1.1.1, 10.2.2.2")], "203.0.113.7");
        check("127.0.0.1", &[(XFF, "10.1.1.1, 10.2.2.2")], "10.1.1.1");
        check("127.0.0.1", &[(XFF, "203.0.113.7, unknown, 10.2.2.2")], "10.2.2.2");
        check("127.0.0.1", &[(XFF, "203.0.113.7,")], "127.0.0.1");
        check("127.0.0.1", &[(XFF, "")], "127.0.0.1");
        check("127.0.0.1", &[(FWD, "for=203.0.113.7;proto=https;by=10.0.0.1")], "203.0.113.7");
        check("127.0.0.1", &[(FWD, "for=198.51.100.1, For=\"[2001:db8::7]:4711\"")], "2001:db8::7");
        check("127.0.0.1", &[(FWD, "for=_hidden")], "127.0.0.1");
        check("127.0.0.1", &[(FWD, "for=203.0.113.7;for=198.51.100.1")], "127.0.0.1");
        check("127.0.0.1", &[(FWD, "for=\"x, for=198.51.100.1")], "127.0.0.1");
        // The proxy wrote one of them and passed on the other.
        check("127.0.0.1", &[(FWD, "for=198.51.100.1"), (XFF, "203.0.113.7")], "127.0.0.1");
        check("127.0.0.1", &[(FWD, "for=203.0.113.7"), (XFF, "203.0.113.7")], "203.0.113.7");
    }

    #[test]
    fn only_a_trusted_proxy_or_this_machine_says_that_there_is_tls() {
        let trusted = networks("10.0.0.1");
        let https = |connection: &str, value: &str| {
            is_https(ip(connection), &headers(&[("x-forwarded-proto", value)]), &trusted)
        };
        assert!(https("10.0.0.1", "https") && https("127.0.0.1", "HTTPS") && https("::1", "http, https"));
        assert!(
            !https("10.0.0.2", "https") && !https("10.0.0.1", "http") && !https("10.0.0.1", "https, http")
        );
    }

    #[test]
    fn any_name_that_proxies_use_is_a_sign_of_one() {
        for name in [
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded",
            "x-forwarded-server",
            "x-forwarded-whatever",
            "cf-connecting-ip",
            "true-client-ip",
            "x-client-ip",
            "x-cluster-client-ip",
            "via",
        ] {
            assert!(shows_a_proxy(&headers(&[(name, "x")])), "{name}");
        }
        assert!(!shows_a_proxy(&headers(&[("accept", "x"), ("x-csrf-token", "x")])));
    }

    proptest! {
        #[test]
        fn a_stranger_cannot_choose_an_address(own in any::<[u8; 4]>(), lines in lines(), proxied in any::<bool>()) {
            let own = IpAddr::from(own);
            let trusted = networks("127.0.0.1, 10.0.0.0/8");
            prop_assume!(!trusted.iter().any(|network| network.contains(own)));
            let mut lines = lines;
            if proxied {
                // What a proxy does: it appends what it saw, in the same line or in one more.
                lines.push(("x-forwarded-for", own.to_string()));
                let borrowed: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let found = client(ip("127.0.0.1"), &headers(&borrowed), &trusted);
                // Or it is as if the proxy had said nothing, where the visitor sent the other header as well.
                let has_both = headers(&borrowed).contains_key("forwarded");
                prop_assert!(found == own || (has_both && found == ip("127.0.0.1")), "{found}");
            } else {
                let borrowed: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
                prop_assert_eq!(client(own, &headers(&borrowed), &trusted), own);
            }
        }
    }

    /// Whatever a stranger may send, much of it nearly right.
    fn lines() -> impl Strategy<Value = Vec<(&'static str, String)>> {
        let value = prop_oneof![
            ".{0,40}",
            "[0-9a-f.:, \"=;\\[\\]for]{0,60}",
            "(for=)?\"?[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(:[0-9]{1,5})?\"?(, ?10\\.0\\.0\\.1)?",
        ];
        prop::collection::vec((prop_oneof![Just("x-forwarded-for"), Just("forwarded")], value), 0..4)
    }
}
