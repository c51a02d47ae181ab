//! `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`: the proxy on the way to a server.
//!
//! These are everybody's variables: on many machines they stand in the environment of all programs, in capitals or not,
//! so one that is wrong is a warning and keeps no picture from being taken.

use std::net::IpAddr;

use url::{Host, Url};

use super::Secret;
use super::network::Network;
use super::reader::{ReadResult, VariableReader};

/// A proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    /// Its address, http or https; may carry user and password.
    pub address: Secret<Url>,
    /// The variable it stands in.
    pub setting: &'static str,
}

impl ProxyConfig {
    /// Host and port, as they may be shown.
    pub fn place(&self) -> (String, u16) {
        let url = self.address.reveal();
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        (host, url.port_or_known_default().unwrap_or(80))
    }
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxiesConfig {
    http: Option<ProxyConfig>,
    https: Option<ProxyConfig>,
    all: Option<ProxyConfig>,
    exempt: Vec<Exempt>,
}

/// An entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exempt {
    Everything,
    Network(Network),
    /// The name, and all below it.
    Name(String, Option<u16>),
}

impl ProxiesConfig {
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Self> {
        let http = read(reader, "HTTP_PROXY");
        let https = read(reader, "HTTPS_PROXY");
        let all = read(reader, "ALL_PROXY");
        let exempt = text(reader, "NO_PROXY");
        let exempt = exempt?.unwrap_or_default();
        let entries = exempt.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
        Ok(Self { http: http?, https: https?, all: all?, exempt: entries.map(Exempt::parse).collect() })
    }

    /// The proxy on the way to a server; `None` if there is none.
    pub fn way(&self, to: &Url) -> Option<&ProxyConfig> {
        let own = if to.scheme() == "https" { &self.https } else { &self.http };
        let proxy = own.as_ref().or(self.all.as_ref())?;
        let is_exempt = self.exempt.iter().any(|exempt| exempt.holds(to));
        (!is_exempt).then_some(proxy)
    }

    /// Those that are set.
    pub(super) fn all(&self) -> impl Iterator<Item = &ProxyConfig> {
        [&self.http, &self.https, &self.all].into_iter().flatten()
    }
}

impl Exempt {
    fn parse(text: &str) -> Self {
        if text == "*" {
            return Self::Everything;
        }
        if let Some(network) = Network::parse(text.trim_matches(['[', ']'])) {
            return Self::Network(network);
        }
        let (name, port) = match text.rsplit_once(':').map(|(name, port)| (name, port.parse())) {
            Some((name, Ok(port))) => (name, Some(port)),
            _ => (text, None),
        };
        Self::Name(name.trim_start_matches("*.").trim_matches(['.', '[', ']']).to_ascii_lowercase(), port)
    }

    fn holds(&self, to: &Url) -> bool {
        let address = match to.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        match self {
            Self::Everything => true,
            Self::Network(network) => address.is_some_and(|address| network.contains(address)),
            Self::Name(name, port) => {
                let host =
                    to.host_str().unwrap_or_default().trim_matches(['[', ']', '.']).to_ascii_lowercase();
                let is_name = host
                    .strip_suffix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || (address.is_none() && rest.ends_with('.')));
                !name.is_empty()
                    && is_name
                    && port.is_none_or(|port| to.port_or_known_default() == Some(port))
            }
        }
    }
}

/// Whether a name in small letters is read beside the one in capitals.
pub(super) fn is_read(name: &str) -> bool {
    matches!(name, "http_proxy" | "https_proxy" | "all_proxy" | "no_proxy")
}

/// The value of a variable, in capitals or not.
fn text(reader: &mut VariableReader<'_>, name: &'static str) -> ReadResult<Option<String>> {
    let text = reader.optional(name, |text| Ok(text.trim().to_owned()))?;
    let small = || reader.env().get(&name.to_ascii_lowercase()).map(|text| text.trim().to_owned());
    Ok(text.or_else(small).filter(|text| !text.is_empty()))
}

fn read(reader: &mut VariableReader<'_>, setting: &'static str) -> ReadResult<Option<ProxyConfig>> {
    let Some(text) = text(reader, setting)? else { return Ok(None) };
    match address(&text) {
        Ok(url) => Ok(Some(ProxyConfig { address: Secret::new(url), setting })),
        Err(what) => {
            reader.warn(
                setting,
                format_args!(
                    "not used, because it {what} (value hidden); accepted: http://[user:password@]host:port, with # / ? @ \
                     in a password written as %23 %2F %3F %40"
                ),
            );
            Ok(None)
        }
    }
}

/// The address of a proxy; one without a scheme is http.
fn address(text: &str) -> Result<Url, &'static str> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&whole).map_err(|_| "is not an address")?;
    if url.scheme().starts_with("socks") {
        return Err("is a SOCKS proxy, and only HTTP proxies are spoken to");
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err("begins neither with http:// nor with https://");
    }
    if url.host_str().is_none_or(str::is_empty) || url.port() == Some(0) || url.fragment().is_some() {
        return Err("is not an address");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::super::testing::{config, warnings};
    use super::*;

    fn way(pairs: &[(&str, &str)], to: &str) -> Option<(String, u16)> {
        config(pairs).upload.proxies.way(&to.parse().unwrap()).map(ProxyConfig::place)
    }

    fn at(host: &str, port: u16) -> Option<(String, u16)> {
        Some((host.to_owned(), port))
    }

    #[test]
    fn the_proxy_of_the_settings_is_the_one_of_the_scheme_else_the_one_for_all() {
        let pairs = [("HTTP_PROXY", "http://u:hunter2@plain:3128"), ("https_proxy", "secure:8080")];
        assert_eq!(way(&pairs, "http://a.example/"), at("plain", 3128));
        assert_eq!(way(&pairs, "https://a.example/"), at("secure", 8080));
        assert_eq!(way(&[("ALL_PROXY", "10.0.0.1")], "https://a.example/"), at("10.0.0.1", 80));
        assert_eq!(way(&pairs[..1], "https://a.example/"), None);
    }

    #[test]
    fn what_no_proxy_names_is_reached_without() {
        for (exempt, to, is_exempt) in [
            ("*", "http://a.example/", true),
            ("a.example", "http://a.example/", true),
            (".example", "http://a.example/", true),
            ("*.example", "http://A.Example/", true),
            ("example", "http://anexample/", false),
            ("b.example, 10.0.0.0/8", "http://10.1.2.3/", true),
            ("127.0.0.1", "http://127.0.0.1:9/", true),
            ("0.0.1", "http://10.0.0.1/", false),
            ("::1", "http://[::1]:9/", true),
            ("a.example:8080", "http://a.example/", false),
            ("a.example:80", "http://a.example/", true),
        ] {
            let found = way(&[("HTTP_PROXY", "http://p:1"), ("NO_PROXY", exempt)], to);
            assert_eq!(found.is_none(), is_exempt, "{exempt} {to}");
        }
    }

    #[test]
    fn an_address_that_is_no_proxy_is_a_warning_without_its_value_and_is_not_used() {
        for text in ["socks5://u:hunter2@p:1", "ftp://hunter2", "http://u:hunter2#x@p:1"] {
            let list = warnings(&[("ALL_PROXY", text)]);
            assert!(list.len() == 1 && list[0].starts_with("ALL_PROXY: not used"), "{list:?}");
            assert!(!list[0].contains("hunter2"), "{list:?}");
            assert_eq!(way(&[("ALL_PROXY", text)], "http://a/"), None);
        }
    }

    proptest! {
        #[test]
        fn any_name_below_an_exempt_one_is_exempt(above in "[a-z]{1,8}(\\.[a-z]{1,8}){0,2}", label in "[a-z]{1,8}") {
            let pairs = [("HTTP_PROXY", "http://p:1"), ("NO_PROXY", above.as_str())];
            prop_assert_eq!(way(&pairs, &format!("http://{label}.{above}/")), None);
            prop_assert_eq!(way(&pairs, &format!("http://{label}{above}x/")), at("p", 1));
        }
    }
}
