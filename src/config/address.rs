//! Addresses of cameras: user and password are taken out, the rest becomes a URL.
//!
//! People paste addresses with passwords that are not percent-encoded. What is meant is nearly always clear, so `@`,
//! `#`, `:` and mostly also `/` in a password are understood (see [`split_user_info`]).

use std::net::{Ipv4Addr, Ipv6Addr};

use url::Url;

use super::Secret;
use super::problem::Wrong;
use crate::model::foreign;

/// Port of RTSP when none is given (RFC 2326 section 3.2).
const RTSP_PORT: u16 = 554;

/// Stream that is asked for when only `CAMERA_n_IP` is known: main stream of the first channel, as the cameras of the
/// established installations name it. Other makes need `CAMERA_n_RTSP`.
const STREAM_PATH: &str = "/avstream/channel=1/stream=0.sdp";

/// What an address of a stream looks like.
const RTSP_ACCEPTED: &str = "rtsp://[user:password@]host[:port]/path, or the same with rtsps://";

/// What an address of a single picture looks like.
const SNAPSHOT_ACCEPTED: &str = "http://[user:password@]host[:port]/path, or the same with https://";

/// What is wrong with a user name or password of other bytes.
const NOT_PRINTABLE: &str = "user name or password is not printable UTF-8 after decoding";

/// What the address of a camera looks like.
const HOST_ACCEPTED: &str = "an IPv4 address, an IPv6 address or a host name, with :port if it is not 554";

/// Names of parameters whose value is a secret, as some cameras want it in the path or query.
const SECRET_PARAMETERS: &[&str] =
    &["password", "passwd", "pass", "pwd", "psw", "token", "auth", "key", "secret"];

/// The address of a stream, taken apart.
#[derive(Debug)]
pub(super) struct Address {
    /// Without user and password.
    pub(super) url: Url,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret<String>>,
}

/// Reads `CAMERA_n_RTSP`.
pub(super) fn rtsp(text: &str) -> Result<Address, Wrong> {
    let text = text.trim();
    match scheme(text).as_deref() {
        Some("rtsp") => parse("rtsp", &text["rtsp://".len()..], RTSP_ACCEPTED),
        Some("rtsps") => parse("rtsps", &text["rtsps://".len()..], RTSP_ACCEPTED),
        Some("http" | "https") => {
            let accepted =
                format!("{RTSP_ACCEPTED}; the address of a single picture goes into CAMERA_n_SNAPSHOT_URL");
            Err(Wrong::new("an HTTP address is not a stream this version can read", accepted))
        }
        _ => Err(Wrong::new("does not begin with rtsp:// or rtsps://", RTSP_ACCEPTED)),
    }
}

/// Reads `CAMERA_n_SNAPSHOT_URL`.
pub(super) fn snapshot(text: &str) -> Result<Address, Wrong> {
    let text = text.trim();
    match scheme(text).as_deref() {
        Some("http") => parse("http", &text["http://".len()..], SNAPSHOT_ACCEPTED),
        Some("https") => parse("https", &text["https://".len()..], SNAPSHOT_ACCEPTED),
        Some("rtsp" | "rtsps") => {
            Err(Wrong::new("a stream is not a single picture; it goes into CAMERA_n_RTSP", SNAPSHOT_ACCEPTED))
        }
        _ => Err(Wrong::new("does not begin with http:// or https://", SNAPSHOT_ACCEPTED)),
    }
}

fn scheme(text: &str) -> Option<String> {
    text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase())
}

/// Takes apart what stands behind `scheme://`.
fn parse(scheme: &str, rest: &str, accepted: &'static str) -> Result<Address, Wrong> {
    if rest.contains(char::is_whitespace) {
        return Err(Wrong::new("contains white space", accepted));
    }
    let (user_info, place) = split_user_info(rest);
    let (authority, path) = split_before(place, &['/', '?']);
    let (host, port) = host_and_port(authority).map_err(|what| Wrong::new(what, accepted))?;
    if path.contains('#') {
        return Err(Wrong::new("has a # behind the host", "%23 in its place"));
    }
    let url = build(scheme, &host, port, path).ok_or_else(|| Wrong::new("is not an address", accepted))?;
    let (username, password) = match user_info.map(|info| info.split_once(':').unwrap_or((info, ""))) {
        None => (None, None),
        Some((user, password)) => {
            let decoded = |text| decode(text).ok_or_else(|| Wrong::new(NOT_PRINTABLE, accepted));
            (Some(decoded(user)?), Some(decoded(password)?))
        }
    };
    let filled = |text: &String| !text.is_empty();
    Ok(Address { url, username: username.filter(filled), password: password.filter(filled).map(Secret::new) })
}

/// Reads `CAMERA_n_IP`. A scheme in front and a slash behind are left out, as nothing else can be meant.
pub(super) fn from_host(text: &str) -> Result<Address, Wrong> {
    let scheme = scheme(text);
    let place = text.split_once("://").map_or(text, |(_, place)| place);
    let place = place.strip_suffix('/').unwrap_or(place);
    if place.contains(['/', '?', '@']) {
        let accepted = format!(
            "{HOST_ACCEPTED}; a whole address goes into CAMERA_n_RTSP, that of a single picture into CAMERA_n_SNAPSHOT_URL"
        );
        return Err(Wrong::new("is more than a host", accepted));
    }
    let (host, port) = host_and_port(place).map_err(|what| Wrong::new(what, HOST_ACCEPTED))?;
    match scheme.as_deref() {
        None | Some("rtsp") => {}
        // The port of its pages is not that of its stream.
        Some("http" | "https") if port.is_none() => {}
        Some("http" | "https") => {
            return Err(Wrong::new(
                "has http in front of a port, and is the address of a stream",
                HOST_ACCEPTED,
            ));
        }
        Some(_) => return Err(Wrong::new("has something other than a host in front of ://", HOST_ACCEPTED)),
    }
    let url = build("rtsp", &host, Some(port.unwrap_or(RTSP_PORT)), STREAM_PATH)
        .ok_or_else(|| Wrong::new("is not an address", HOST_ACCEPTED))?;
    Ok(Address { url, username: None, password: None })
}

/// `url` for people: without user, password, and without the value of any parameter that looks like a password.
pub fn shown_url(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only on addresses that cannot have a user at all.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let mut shown = String::new();
    let mut hiding = false;
    for piece in url.as_str().split_inclusive(['/', '?', '&', ';', '_']) {
        let name = piece.split('=').next().unwrap_or_default().to_ascii_lowercase();
        match piece.split_once('=') {
            Some((_, value)) if SECRET_PARAMETERS.iter().any(|secret| name == *secret) => {
                hiding = value.ends_with('_');
                shown.push_str(&piece[..=name.len()]);
                shown.push('…');
                let end = value.chars().last().filter(|c| ['/', '?', '&', ';'].contains(c));
                shown.extend(end);
            }
            // An underscore may be part of a password as well as the mark behind it.
            None if hiding => hiding = piece.ends_with('_'),
            _ => {
                hiding = false;
                shown.push_str(piece);
            }
        }
    }
    shown
}

/// Takes `user:password@` off the front, if it is there.
///
/// The authority ends at the first `/`, and the last `@` in it ends the user info, so `@`, `#`, `?` and `:` in a
/// password need no encoding. A password with a `/` leaves an authority that is no host and port; then the last `@`
/// of the whole address counts. An `@` in the path behind a good host is left alone.
fn split_user_info(rest: &str) -> (Option<&str>, &str) {
    let authority = rest.split('/').next().unwrap_or_default();
    if let Some(at) = authority.rfind('@') {
        return (Some(&rest[..at]), &rest[at + 1..]);
    }
    let host = split_before(authority, &['?']).0;
    match rest.rfind('@') {
        Some(at) if host_and_port(host).is_err() => (Some(&rest[..at]), &rest[at + 1..]),
        _ => (None, rest),
    }
}

/// What stands before the first of `marks`, and the mark with everything behind it.
fn split_before<'a>(text: &'a str, marks: &[char]) -> (&'a str, &'a str) {
    text.split_at(text.find(marks).unwrap_or(text.len()))
}

/// A host as it stands in a URL (IPv6 in brackets), and its port. The error says what is wrong and repeats nothing.
fn host_and_port(text: &str) -> Result<(String, Option<u16>), &'static str> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok((format!("[{address}]"), None));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, tail) = rest.split_once(']').ok_or("has a [ without ]")?;
            let address: Ipv6Addr =
                address.parse().map_err(|_| "what stands in brackets is not an IPv6 address")?;
            let port = match tail {
                "" => None,
                _ => {
                    Some(tail.strip_prefix(':').ok_or("has something other than a port behind the address")?)
                }
            };
            (format!("[{address}]"), port)
        }
        None => {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            (name_or_ipv4(host)?, port)
        }
    };
    let port = match port {
        None => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0).ok_or("the port is not between 1 and 65535")?)
        }
        Some(_) => return Err("the port is not a number"),
    };
    Ok((host, port))
}

/// A host name of letters, digits, `-`, `_` and dots (RFC 1123, with the underscore home routers hand out), or an IPv4
/// address; all digits and dots are an address, so that `192.168.1.300` is a mistake and not a name.
fn name_or_ipv4(host: &str) -> Result<String, &'static str> {
    if host.is_empty() {
        return Err("has no host");
    }
    let letters = |label: &str| label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let labels_are_fine =
        host.trim_end_matches('.').split('.').all(|label| (1..=63).contains(&label.len()) && letters(label));
    if host.len() > 253 || !labels_are_fine {
        return Err("the host is neither an address nor a host name");
    }
    if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') && host.parse::<Ipv4Addr>().is_err() {
        return Err("the host is not an IPv4 address");
    }
    Ok(host.to_ascii_lowercase())
}

fn build(scheme: &str, host: &str, port: Option<u16>, path: &str) -> Option<Url> {
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    Url::parse(&format!("{scheme}://{host}{port}{slash}{path}")).ok()
}

/// Undoes percent-encoding; a `%` without two hexadecimal digits behind it stands for itself. `None` when the result is
/// not printable UTF-8.
fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        let byte = digits
            .filter(|_| bytes[at] == b'%')
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        decoded.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8(decoded).ok().filter(|text| !foreign::has_control(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    fn parts(text: &str) -> (String, Option<String>, Option<String>) {
        let address = rtsp(text).unwrap();
        (address.url.into(), address.username, address.password.map(|secret| secret.reveal().clone()))
    }

    fn check(text: &str, url: &str, user: &str, password: &str) {
        let expected = (url.to_owned(), Some(user.to_owned()), Some(password.to_owned()));
        assert_eq!(parts(text), expected, "{text}");
    }

    #[test]
    fn user_and_password_leave_the_url_and_are_decoded() {
        check("rtsp://admin:pw@10.0.0.5:8554/live", "rtsp://10.0.0.5:8554/live", "admin", "pw");
        check("RTSP://a%40b:p%3Aw%20%C3%A4@cam/x?y=1", "rtsp://cam/x?y=1", "a@b", "p:w ä");
        check("rtsp://u:p@[fe80::1]:554/x", "rtsp://[fe80::1]:554/x", "u", "p");
        check("RTSPS://u:p@cam/x", "rtsps://cam/x", "u", "p");
    }

    #[test]
    fn odd_characters_in_a_password_need_no_encoding() {
        check("rtsp://u:p@ss@cam/x", "rtsp://cam/x", "u", "p@ss");
        check("rtsp://u:p#a:b?c@cam/x", "rtsp://cam/x", "u", "p#a:b?c");
        check("rtsp://u:p/ss@cam/x", "rtsp://cam/x", "u", "p/ss");
        check("rtsp://u:100%@cam/x", "rtsp://cam/x", "u", "100%");
    }

    #[test]
    fn an_at_sign_in_the_path_is_no_password() {
        assert_eq!(parts("rtsp://cam:554/live@main"), ("rtsp://cam:554/live@main".into(), None, None));
        check("rtsp://u:p@cam/live@main", "rtsp://cam/live@main", "u", "p");
    }

    #[test]
    fn an_empty_password_is_none() {
        assert_eq!(parts("rtsp://admin:@cam/"), ("rtsp://cam/".into(), Some("admin".into()), None));
        assert_eq!(parts("rtsp://admin@cam"), ("rtsp://cam/".into(), Some("admin".into()), None));
    }

    #[test]
    fn what_is_no_stream_is_refused_with_the_reason() {
        for (text, reason) in [
            ("cam/live", "does not begin with rtsp://"),
            ("http://cam/live", "an HTTP address"),
            ("rtsp://", "has no host"),
            ("rtsp:///live", "has no host"),
            ("rtsp://u:p@/live", "has no host"),
            ("rtsp://cam:0/", "the port is not between"),
            ("rtsp://cam:99999/", "the port is not between"),
            ("rtsp://cam:x/", "the port is not a number"),
            ("rtsp://192.168.1.300/", "not an IPv4 address"),
            ("rtsp://ca m/", "white space"),
            ("rtsp://[::1/", "has a [ without ]"),
            ("rtsp://cam/a#b", "has a # behind the host"),
            ("rtsp://u:%00@cam/", "user name or password is not printable"),
        ] {
            let wrong = rtsp(text).unwrap_err();
            assert!(wrong.what.contains(reason), "{text}: {}", wrong.what);
        }
    }

    #[test]
    fn the_address_of_a_picture_is_taken_apart_like_that_of_a_stream() {
        let url = |text: &str| snapshot(text).unwrap().url.to_string();
        assert_eq!(url("HTTP://cam/capture?x=1"), "http://cam/capture?x=1");
        assert_eq!(url("https://[fe80::1]:8443/a.jpg"), "https://[fe80::1]:8443/a.jpg");
        let address = snapshot("http://u:p@ss@10.0.0.5/capture").unwrap();
        assert_eq!(
            (address.url.as_str(), address.username.as_deref()),
            ("http://10.0.0.5/capture", Some("u"))
        );
        assert_eq!(address.password.unwrap().reveal(), "p@ss");
        for (text, reason) in [
            ("rtsp://cam/live", "CAMERA_n_RTSP"),
            ("cam/capture", "does not begin with http://"),
            ("http:///capture", "has no host"),
            ("http://192.168.1.300/", "not an IPv4 address"),
        ] {
            let wrong = snapshot(text).unwrap_err();
            assert!(wrong.what.contains(reason), "{text}: {}", wrong.what);
        }
    }

    #[test]
    fn an_ip_becomes_an_address_with_the_documented_path() {
        for (text, start) in [
            ("192.168.1.64", "rtsp://192.168.1.64:554/"),
            ("192.168.1.64:8554", "rtsp://192.168.1.64:8554/"),
            ("fe80::1", "rtsp://[fe80::1]:554/"),
            ("[fe80::1]:8554", "rtsp://[fe80::1]:8554/"),
            ("Gate-Cam.local", "rtsp://gate-cam.local:554/"),
            ("http://192.168.1.64/", "rtsp://192.168.1.64:554/"),
            ("HTTPS://cam", "rtsp://cam:554/"),
            ("rtsp://cam:8554", "rtsp://cam:8554/"),
            ("192.168.1.64/", "rtsp://192.168.1.64:554/"),
        ] {
            let expected = format!("{}{}", start.trim_end_matches('/'), STREAM_PATH);
            assert_eq!(from_host(text).unwrap().url.as_str(), expected);
        }
        for text in
            ["", "1.2.3", "192.168.1.300", "cam:x", "a..b", "[::1]x", "http://", "http://cam:80", "ftp://cam"]
        {
            assert!(from_host(text).is_err(), "{text}");
        }
        for text in ["cam/x", "u:p@cam", "http://cam/capture", "rtsp://u:p@cam", "cam?x=1"] {
            let wrong = from_host(text).unwrap_err();
            assert!(wrong.accepted.contains("CAMERA_n_RTSP"), "{text}: {}", wrong.what);
        }
    }

    #[test]
    fn a_shown_url_has_no_secret() {
        for (url, shown) in [
            ("rtsp://u:hunter2@cam/live", "rtsp://cam/live"),
            ("rtsps://u:hunter2@cam:322/live", "rtsps://cam:322/live"),
            (
                "rtsp://cam/user=admin&password=hunter2&channel=1",
                "rtsp://cam/user=admin&password=…&channel=1",
            ),
            (
                "rtsp://cam/user=admin_password=hunt_er2_channel=1",
                "rtsp://cam/user=admin_password=…channel=1",
            ),
            ("http://cam/x?token=hunter2", "http://cam/x?token=…"),
            ("rtsp://cam/h264Preview_01_main", "rtsp://cam/h264Preview_01_main"),
        ] {
            assert_eq!(shown_url(&Url::parse(url).unwrap()), shown);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_url_keeps_a_user(text in "(rtsp://)?[a-z0-9:@/?#%\\[\\].Ä ]{0,40}") {
            if let Ok(address) = rtsp(&text) {
                prop_assert!(address.url.username().is_empty() && address.url.password().is_none());
                prop_assert!(address.url.host_str().is_some_and(|host| !host.is_empty()));
            }
            // Only that it returns matters.
            let _ = from_host(&text);
        }
    }
}
