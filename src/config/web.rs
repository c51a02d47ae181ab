//! `BIND_…`, `WEB_…`, `TRUSTED_PROXIES`: the dashboard.

use std::net::{IpAddr, SocketAddr};

use url::Url;

use super::network::{Network, networks};
use super::problem::Wrong;
use super::reader::{ReadResult, VariableReader};
use super::values::{boolean, whole};
use super::{LinkConfig, Secret};

/// Most memory a hash may ask for, KiB: 128 MiB. Checking a password costs what its hash says, and a Pi has little.
const HASH_MEMORY_KIB_MAX: u32 = 131_072;

/// Most passes a hash may ask for.
const HASH_PASSES_MAX: u32 = 10;

/// Most lanes a hash may ask for.
const HASH_LANES_MAX: u32 = 8;

/// Longest host name, characters (RFC 1035).
const HOST_MAX: usize = 253;

/// Dashboard.
#[derive(Clone, Debug)]
pub struct WebConfig {
    /// `BIND_IP` and `BIND_PORT`; port 0 lets the kernel choose.
    pub bind: SocketAddr,
    /// Who may look.
    pub access: WebAccess,
    /// `WEB_PASSWORD_HASH`, a PHC string; counts until a password is set.
    pub password_hash: Option<Secret<String>>,
    /// `WEB_HOSTS`, in lower case: names in `Host` that are this machine's beside those it knows itself.
    pub hosts: Vec<String>,
    /// `STREAM_CORS_ORIGINS`, as browsers write them: pages of other sites that may use what is streamed.
    pub cors_origins: Vec<String>,
    /// `TRUSTED_PROXIES`: who is believed about the address of a visitor.
    pub trusted_proxies: Vec<Network>,
    /// Public links.
    pub links: LinkConfig,
}

/// What is said at the start where no password is asked for.
const OPEN: &str = "no password is asked for: every program and every user of this computer may see and delete the \
                    pictures, and so may whoever comes through a proxy, container or port forwarding on it that does \
                    not say so in a header; set it to true where any of these is there";

/// Who may use the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebAccess {
    /// Whoever has the password.
    Password,
    /// Whoever is on this machine (`WEB_AUTH_ENABLED=false` on a loopback address).
    Loopback,
    /// The demonstration: like [`WebAccess::Loopback`], and the page says so.
    Demo,
}

impl WebConfig {
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Self> {
        let ip = reader.required("BIND_IP", ip);
        let port = reader.required("BIND_PORT", whole(0..=u64::from(u16::MAX), ""));
        let auth_enabled = reader.required("WEB_AUTH_ENABLED", boolean);
        let hash = reader.optional("WEB_PASSWORD_HASH", |text| {
            check_hash(text.trim()).map(|()| Secret::new(text.trim().to_owned()))
        });

        let hosts = reader.optional("WEB_HOSTS", hosts);
        let cors_origins = reader.optional("STREAM_CORS_ORIGINS", origins);
        let trusted_proxies = reader.optional("TRUSTED_PROXIES", networks);

        let links = LinkConfig::read(reader);
        let ip = ip?;
        let access = match auth_enabled? {
            true => WebAccess::Password,
            false if ip.to_canonical().is_loopback() => WebAccess::Loopback,
            false => {
                let what = format!("without a password the dashboard would be open to all who reach {ip}");
                let wrong = Wrong::new(what, "true, or false together with BIND_IP=127.0.0.1 or BIND_IP=::1");
                return Err(reader.refuse("WEB_AUTH_ENABLED", &wrong));
            }
        };
        if access == WebAccess::Loopback {
            reader.warn("WEB_AUTH_ENABLED", OPEN);
        }
        // The range above fits.
        let port = u16::try_from(port?).unwrap_or(0);
        Ok(Self {
            bind: SocketAddr::new(ip, port),
            access,
            password_hash: hash?,
            hosts: hosts?.unwrap_or_default(),
            cors_origins: cors_origins?.unwrap_or_default(),
            trusted_proxies: trusted_proxies?.unwrap_or_default(),
            links: links?,
        })
    }
}

/// What stands between `http://` or `https://` and a slash at the end, which people copy from the browser.
fn without_scheme(text: &str) -> &str {
    let cut = |scheme: &str| {
        let start = text.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
    };
    let place = cut("http://").or_else(|| cut("https://")).unwrap_or(text);
    place.strip_suffix('/').unwrap_or(place)
}

/// An IPv4 or IPv6 address, the latter with or without brackets.
pub(super) fn ip(text: &str) -> Result<IpAddr, Wrong> {
    let text = without_scheme(text);
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| {
        let has_port = text.parse::<SocketAddr>().is_ok();
        Wrong::new(
            if has_port { "an address with a port, which goes into BIND_PORT" } else { "not an IP address" },
            "an address of this machine, 0.0.0.0 or :: for all of them, 127.0.0.1 for this machine alone",
        )
    })
}

/// Host names without ports, comma separated.
fn hosts(text: &str) -> Result<Vec<String>, Wrong> {
    let name = |part: &str| {
        let part = without_scheme(part);
        let name = part.strip_suffix('.').unwrap_or(part).to_ascii_lowercase();
        let is_name = (1..=HOST_MAX).contains(&name.len())
            && name.split('.').all(|label| {
                !label.is_empty()
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            });
        is_name.then_some(name).ok_or_else(|| {
            Wrong::new(
                "not a host name",
                "names without scheme and port, comma separated: gate.example.org, cameras.example.org",
            )
        })
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(name).collect()
}

/// Origins of pages (RFC 6454 section 6.1), comma separated: scheme, host, and a port that is not the scheme's own; or
/// `null`, which is what browsers call a page that is opened from a file.
fn origins(text: &str) -> Result<Vec<String>, Wrong> {
    let wrong = |what: &str| {
        Wrong::new(
            what,
            "pages' origins, comma separated: https://app.example, http://192.168.1.20:8080; null for a page from a file",
        )
    };
    let origin = |part: &str| {
        if part == "*" {
            return Err(wrong("every page there is"));
        }
        if part == "null" {
            return Ok(part.to_owned());
        }
        let url = Url::parse(part).map_err(|_| wrong("not an origin"))?;
        let is_bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || !is_bare {
            return Err(wrong("not an origin: it has more than scheme, host and port"));
        }
        Ok(url.origin().ascii_serialization())
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(origin).collect()
}

/// Whether `text` looks like a hash that the program before this one, or another, keeps passwords in: `method:…$…` of
/// Python's web frameworks, `$2b$…` and others of crypt(5), `{SSHA}…` of LDAP, or plain hexadecimal digits of MD5 (32) to
/// SHA-512 (128), perhaps with a salt.
fn is_hash_of_others(text: &str) -> bool {
    const METHODS: &[&str] = &["pbkdf2", "scrypt", "bcrypt", "argon2", "sha", "md5", "plain"];
    let lower = text.to_ascii_lowercase();
    let is_method = METHODS.iter().any(|method| lower.starts_with(method)) && lower.contains(['$', ':']);
    let is_crypt = lower.starts_with('$') && !lower.starts_with("$argon2id$");
    let is_hex = |part: &str| part.len() >= 32 && part.bytes().all(|b| b.is_ascii_hexdigit());
    is_method || is_crypt || lower.starts_with('{') || lower.split([':', '$', '.']).any(is_hex)
}

/// Checks that `text` is an argon2id hash in PHC form
/// (`$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`, RFC 9106 and the PHC string format) of bearable cost.
fn check_hash(text: &str) -> Result<(), Wrong> {
    let accepted = "the argon2id hash of a password, $argon2id$v=19$m=…,t=…,p=…$salt$hash with m up to 131072, \
                    t up to 10, p up to 8; or delete the line and set the password with camera-capture \
                    --set-password";
    let wrong = |what: &str| Wrong::new(what, accepted);
    let fields: Vec<&str> = text.split('$').collect();
    if is_hash_of_others(text) {
        return Err(Wrong::new(
            "the password hash of another program, which cannot be used here",
            "none: delete this line and set the password with camera-capture --set-password",
        ));
    }
    let ["", "argon2id", "v=19", parameters, salt, hash] = fields[..] else {
        return Err(wrong("not an argon2id hash"));
    };
    let mut numbers = [0_u32; 3];
    let mut given = parameters.split(',');
    for (number, name) in numbers.iter_mut().zip(["m=", "t=", "p="]) {
        let digits = given.next().and_then(|parameter| parameter.strip_prefix(name)).unwrap_or_default();
        // A leading zero is not canonical, and verifiers differ over it.
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        *number = digits
            .parse()
            .ok()
            .filter(|_| plain)
            .ok_or_else(|| wrong("the parameters are not m, t and p"))?;
    }
    if given.next().is_some() {
        return Err(wrong("the parameters are not m, t and p"));
    }
    let [memory, passes, lanes] = numbers;
    if memory > HASH_MEMORY_KIB_MAX || passes > HASH_PASSES_MAX || lanes > HASH_LANES_MAX {
        return Err(wrong("costs too much to check"));
    }
    if memory < 8 * lanes {
        return Err(wrong("m is below 8 times p"));
    }
    // 8 to 48 bytes of salt, 16 to 64 bytes of hash, in base64 without padding.
    let base64 = |text: &str, length: std::ops::RangeInclusive<usize>| {
        length.contains(&text.len())
            && text.len() % 4 != 1
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
    };
    if base64(salt, 11..=64) && base64(hash, 22..=86) {
        Ok(())
    } else {
        Err(wrong("salt or hash is cut off"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem, warnings};
    use super::*;

    const HASH: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b0dWRWJTmaaJObGl2ZgZAa1bGI";

    #[test]
    fn the_dashboard_listens_everywhere_and_wants_a_password() {
        let web = config(&[]).web;
        assert_eq!((web.bind, web.access), ("0.0.0.0:9000".parse().unwrap(), WebAccess::Password));
        assert!(web.password_hash.is_none());
    }

    /// S2.13
    #[test]
    fn origins_are_listed_one_by_one_and_null_only_by_its_name() {
        let listed = |text| config(&[("STREAM_CORS_ORIGINS", text)]).web.cors_origins;
        assert!(config(&[]).web.cors_origins.is_empty());
        assert_eq!(
            listed("HTTPS://App.example:443/, http://10.0.0.2:8080"),
            ["https://app.example", "http://10.0.0.2:8080"]
        );
        assert_eq!(listed("null"), ["null"]);
        for text in [
            "*",
            "app.example",
            "https://app.example/page",
            "https://a@app.example",
            "file:///x",
            "https://*.example/x",
        ] {
            let text = problem(&[("STREAM_CORS_ORIGINS", text)]);
            assert!(text.starts_with("STREAM_CORS_ORIGINS: "), "{text}");
        }
    }

    #[test]
    fn an_address_of_either_family_and_port_0_are_read() {
        let bind = |ip, port| config(&[("BIND_IP", ip), ("BIND_PORT", port)]).web.bind.to_string();
        assert_eq!(bind("127.0.0.1", "0"), "127.0.0.1:0");
        assert_eq!(bind("[::]", "80"), "[::]:80");
        assert_eq!(bind("http://192.168.1.33/", "80"), "192.168.1.33:80");
        let text = problem(&[("BIND_IP", "http://192.168.1.33:9000/")]);
        assert!(text.contains("which goes into BIND_PORT"), "{text}");
    }

    #[test]
    fn the_password_can_be_left_out_on_a_loopback_address_only() {
        for ip in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            let web = config(&[("BIND_IP", ip), ("WEB_AUTH_ENABLED", "false")]).web;
            assert_eq!(web.access, WebAccess::Loopback, "{ip}");
        }
        for ip in ["", "0.0.0.0", "::", "192.168.1.33", "::ffff:10.0.0.1"] {
            let text = problem(&[("BIND_IP", ip), ("WEB_AUTH_ENABLED", "false")]);
            assert!(text.starts_with("WEB_AUTH_ENABLED: without a password"), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_or_port_is_a_problem() {
        for (name, value) in [
            ("BIND_IP", "localhost"),
            ("BIND_IP", "192.168.1.300"),
            ("BIND_IP", "127.0.0.1:9000"),
            ("BIND_IP", "http://127.0.0.1:9000/"),
            ("BIND_PORT", "65536"),
            ("BIND_PORT", "-1"),
            ("BIND_PORT", "http"),
        ] {
            assert!(problem(&[(name, value)]).starts_with(&format!("{name}: ")), "{name}={value}");
        }
    }

    #[test]
    fn names_and_proxies_are_lists() {
        let web = config(&[
            ("WEB_HOSTS", "Gate.example.org., https://cameras.example.org/,"),
            ("TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8"),
        ])
        .web;
        assert_eq!(web.hosts, ["gate.example.org", "cameras.example.org"]);
        assert_eq!(web.trusted_proxies.len(), 2);
        assert!(config(&[]).web.trusted_proxies.is_empty());
        for (name, value) in [
            ("WEB_HOSTS", "https://gate.example.org/x"),
            ("WEB_HOSTS", "gate.example.org:8443"),
            ("WEB_HOSTS", "*.example.org"),
            ("TRUSTED_PROXIES", "proxy.example.org"),
            ("TRUSTED_PROXIES", "10.0.0.0/40"),
        ] {
            assert!(problem(&[(name, value)]).starts_with(&format!("{name}: ")), "{name}={value}");
        }
    }

    #[test]
    fn without_a_password_the_start_says_who_may_come_in() {
        let said = warnings(&[("BIND_IP", "127.0.0.1"), ("WEB_AUTH_ENABLED", "false")]);
        assert!(said.iter().any(|text| text.starts_with("WEB_AUTH_ENABLED: no password")), "{said:?}");
        assert!(warnings(&[]).is_empty());
    }

    #[test]
    fn a_hash_is_taken_as_it_is() {
        let hash = config(&[("WEB_PASSWORD_HASH", HASH)]).web.password_hash.unwrap();
        assert_eq!(hash.reveal(), HASH);
    }

    #[test]
    fn the_hash_of_another_program_is_to_be_deleted_and_a_password_set() {
        for hash in [
            "pbkdf2:sha256:600000$abcdefgh$0123456789abcdef",
            "pbkdf2_sha256$260000$salt$aGFzaA==",
            "scrypt:32768:8:1$salt$0123456789abcdef",
            "sha256$salt$0123456789abcdef",
            "$2b$12$abcdefghijklmnopqrstuuSomethingSomethingSomethingSomet",
            "$2y$10$abcdefghijklmnopqrstuu",
            "$6$salt$hash",
            "$pbkdf2-sha256$29000$salt$hash",
            "$argon2i$v=19$m=4096,t=3,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "{SSHA}aGFzaA==",
            "21232f297a57a5a743894a0e4a801fc3",
            "240be518fabd2724ddb6f04eeb1da5967448d7e831c08c8fa822809f74c720a9",
            "5f4dcc3b5aa765d61d8327deb882cf99:salt",
        ] {
            let text = problem(&[("WEB_PASSWORD_HASH", hash)]);
            assert!(text.contains("another program") && text.contains("delete this line"), "{hash}: {text}");
            assert!(text.contains("--set-password") && !text.contains(hash), "{hash}: {text}");
        }
    }

    #[test]
    fn a_hash_that_is_none_or_costs_too_much_is_a_problem_and_is_not_shown() {
        for (from, to) in [
            ("argon2id", "argon2i"),
            ("v=19", "v=16"),
            ("m=19456", "m=131073"),
            ("m=19456", "m=7"),
            ("m=19456", "m=019456"),
            ("m=19456", "m=99999999999"),
            ("t=2", "t=11"),
            ("t=2", "t=0"),
            ("p=1", "p=9"),
            ("p=1", "p=1,keyid=AA"),
            ("c29tZXNhbHRzb21lc2FsdA", "c29t"),
            ("ZAa1bGI", "!"),
            ("$argon2id", "hunter2"),
        ] {
            let text = problem(&[("WEB_PASSWORD_HASH", &HASH.replace(from, to))]);
            assert!(
                text.starts_with("WEB_PASSWORD_HASH: ") && text.contains("(value hidden)"),
                "{to}: {text}"
            );
            assert!(!text.contains("hunter2") && !text.contains("RdescudvJCs"), "{text}");
        }
    }
}
