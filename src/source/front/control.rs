//! Where a camera wants to be asked: the addresses of SETUP and PLAY (RFC 2326 section C.1.1), from what its description
//! and headers say. Pure.
//!
//! Whatever host a camera names, it is asked at the one where it was found: behind a router it knows another name of
//! itself, and some name 0.0.0.0. User and password in an address are left out. Nothing is normalised: a camera compares
//! letters.

use core::net::IpAddr;

use url::Url;

/// Longest part of an address that a camera may name, bytes.
const PART_MAX: usize = 2000;

/// The addresses of one video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controls {
    /// Of PLAY and TEARDOWN.
    pub play: String,
    /// Of SETUP, the likeliest first; never empty.
    pub setup: Vec<String>,
}

impl Controls {
    /// Reckons them. `asked` is what was asked for the description, `base` the camera's `Content-Base` or
    /// `Content-Location`, the others are its `a=control` lines.
    pub fn new(asked: &str, base: Option<&str>, session: Option<&str>, media: Option<&str>) -> Self {
        let base = base.map(clean).and_then(|base| based(asked, &base)).unwrap_or_else(|| asked.to_owned());
        let session = session.map(clean).filter(|control| is_meant(control));
        let play = match &session {
            None => base.clone(),
            Some(control) => match path_of(control) {
                Some(path) => format!("{}{path}", root(asked)),
                None => join(&base, control),
            },
        };
        // As live555 and ffmpeg do: an address of the whole is where its parts begin.
        let is_absolute = session.is_some_and(|control| path_of(&control).is_some());
        let begin = if is_absolute { &play } else { &base };
        let mut setup = match media.map(clean).filter(|control| is_meant(control)) {
            None => vec![play.clone(), asked.to_owned()],
            Some(control) => match path_of(&control) {
                Some(path) => vec![format!("{}{path}", root(asked)), without_login(&control)],
                None => vec![join(begin, &control), join(asked, &control), resolve(begin, &control)],
            },
        };
        let all = setup.clone();
        let mut at = 0;
        setup.retain(|url| {
            at += 1;
            !all[..at - 1].contains(url)
        });
        Self { play, setup }
    }
}

/// Where `place` is, said at `from`: another path or port of the same host, spoken to in the same way. User and password
/// of such an address are not used.
pub fn moved(from: &Url, place: &str) -> Option<Url> {
    let mut to = from.join(place).ok().filter(|to| !place.is_empty() && to != from)?;
    let is_same = to.scheme() == from.scheme() && to.host_str() == from.host_str();
    let is_anonymous = to.set_username("").is_ok() && to.set_password(None).is_ok();
    (is_same && is_anonymous).then_some(to)
}

/// What can stand in the first line of a request: everything but printable ASCII is written as octets.
fn clean(text: &str) -> String {
    let bytes = text.trim().trim_matches('"').bytes().take(PART_MAX);
    bytes.fold(String::new(), |mut clean, byte| {
        match byte {
            b'!'..=b'~' => clean.push(char::from(byte)),
            _ => clean.push_str(&format!("%{byte:02X}")),
        }
        clean
    })
}

/// Whether a control says more than nothing.
fn is_meant(control: &str) -> bool {
    !matches!(control, "" | "*")
}

/// Scheme, host and port of an address.
fn root(url: &str) -> &str {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let end = url[begin..].find(['/', '?']).map_or(url.len(), |at| begin + at);
    &url[..end]
}

/// Path and query of an address that has a scheme; none of one that has not.
fn path_of(url: &str) -> Option<&str> {
    let scheme = &url[..url.find("://")?];
    let is_scheme = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !scheme.is_empty();
    is_scheme.then(|| &url[root(url).len()..])
}

/// The base that a camera names. Without a scheme it begins with the host (Anjvision in moonfire-nvr 356) or with the
/// path; what is neither is not used.
fn based(asked: &str, base: &str) -> Option<String> {
    let root = root(asked);
    if let Some(path) = path_of(base) {
        return Some(format!("{root}{path}"));
    }
    let (host, path) = base.split_at(base.find('/')?);
    let name = host.split(':').next().unwrap_or_default();
    let is_host = name.parse::<IpAddr>().is_ok() || root.split([':', '/', '@']).any(|part| part == name);
    (is_host || host.is_empty()).then(|| format!("{root}{path}"))
}

/// A control behind a base, as live555, ffmpeg and gortsplib do it: behind the query as well, since that is what Dahua
/// and many others expect.
fn join(base: &str, control: &str) -> String {
    let path = &base[root(base).len()..];
    let is_whole =
        control.starts_with('/') && path.len() > 1 && control.starts_with(path.trim_end_matches('/'));
    match control.as_bytes().first() {
        Some(b'?') => format!("{base}{control}"),
        Some(b'/') if is_whole => format!("{}{control}", root(base)),
        _ => format!("{}/{}", base.trim_end_matches('/'), control.trim_start_matches('/')),
    }
}

/// The same by RFC 3986: in place of the last part of the path.
fn resolve(base: &str, control: &str) -> String {
    let root = root(base);
    let path = base[root.len()..].split('?').next().unwrap_or_default();
    let folder = &path[..path.rfind('/').map_or(0, |at| at + 1)];
    match control.strip_prefix('/') {
        Some(rest) => format!("{root}/{rest}"),
        None => format!("{root}/{}{control}", folder.trim_start_matches('/')),
    }
}

fn without_login(url: &str) -> String {
    let (root, rest) = url.split_at(root(url).len());
    let begin = root.find("://").map_or(0, |at| at + 3);
    let host = root.rfind('@').map_or(begin, |at| at + 1);
    format!("{}{}{rest}", &root[..begin], &root[host..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// First address of SETUP, and that of PLAY.
    fn check(
        asked: &str,
        base: Option<&str>,
        session: Option<&str>,
        media: Option<&str>,
        expected: (&str, &str),
    ) {
        let controls = Controls::new(asked, base, session, media);
        assert_eq!(
            (controls.setup[0].as_str(), controls.play.as_str()),
            expected,
            "{asked} {base:?} {session:?} {media:?}"
        );
    }

    #[test]
    fn cameras_are_asked_where_they_expect_it() {
        let live = "rtsp://10.0.0.7/live";
        let dahua = "rtsp://10.0.0.7:554/cam/realmonitor?channel=1&subtype=0";
        for (asked, base, session, media, expected) in [
            (
                live,
                Some("rtsp://10.0.0.7/live/"),
                Some("*"),
                Some("trackID=0"),
                ("rtsp://10.0.0.7/live/trackID=0", "rtsp://10.0.0.7/live/"),
            ),
            (live, None, Some("*"), Some("trackID=0"), ("rtsp://10.0.0.7/live/trackID=0", live)),
            (live, None, None, Some("trackID=0"), ("rtsp://10.0.0.7/live/trackID=0", live)),
            // Micro-RTSP: no control at all.
            (live, None, None, None, (live, live)),
            (live, None, None, Some("*"), (live, live)),
            // Hikvision (webrtc-streamer 138).
            (
                live,
                Some("rtsp://u:p@10.0.0.7/live/"),
                Some("rtsp://u:p@10.0.0.7/live/"),
                Some("rtsp://u:p@10.0.0.7/live/trackID=1"),
                ("rtsp://10.0.0.7/live/trackID=1", "rtsp://10.0.0.7/live/"),
            ),
            (
                dahua,
                Some("rtsp://10.0.0.7:554/cam/realmonitor?channel=1&subtype=0/"),
                Some("*"),
                Some("trackID=0"),
                (
                    "rtsp://10.0.0.7:554/cam/realmonitor?channel=1&subtype=0/trackID=0",
                    "rtsp://10.0.0.7:554/cam/realmonitor?channel=1&subtype=0/",
                ),
            ),
            (
                dahua,
                None,
                None,
                Some("trackID=0"),
                ("rtsp://10.0.0.7:554/cam/realmonitor?channel=1&subtype=0/trackID=0", dahua),
            ),
            // Behind a router, and those that do not know themselves.
            (
                "rtsp://gate.example:8554/live",
                Some("rtsp://192.168.1.9/live/"),
                Some("rtsp://192.168.1.9/live"),
                Some("rtsp://0.0.0.0:554/live/track1"),
                ("rtsp://gate.example:8554/live/track1", "rtsp://gate.example:8554/live"),
            ),
            // Anjvision (moonfire-nvr 356).
            (
                live,
                Some("10.0.0.7:554/live/"),
                None,
                Some("track1"),
                ("rtsp://10.0.0.7/live/track1", "rtsp://10.0.0.7/live/"),
            ),
            (
                live,
                Some("/live2/"),
                None,
                Some("track1"),
                ("rtsp://10.0.0.7/live2/track1", "rtsp://10.0.0.7/live2/"),
            ),
            (live, Some("nonsense"), None, Some("track1"), ("rtsp://10.0.0.7/live/track1", live)),
            (live, None, Some("*"), Some("/live/track1"), ("rtsp://10.0.0.7/live/track1", live)),
            (live, None, Some("*"), Some("/track1"), ("rtsp://10.0.0.7/live/track1", live)),
            (live, None, Some("*"), Some("?ctype=video"), ("rtsp://10.0.0.7/live?ctype=video", live)),
            (
                live,
                None,
                Some("session"),
                Some("a b"),
                ("rtsp://10.0.0.7/live/a%20b", "rtsp://10.0.0.7/live/session"),
            ),
            (
                "rtsp://[fe80::1]:554/a",
                None,
                None,
                Some("t"),
                ("rtsp://[fe80::1]:554/a/t", "rtsp://[fe80::1]:554/a"),
            ),
        ] {
            check(asked, base, session, media, expected);
        }
        let others = Controls::new("rtsp://h/live/ch0", Some("rtsp://h/x/"), None, Some("track1")).setup;
        assert_eq!(others, ["rtsp://h/x/track1", "rtsp://h/live/ch0/track1"]);
        let others = Controls::new("rtsp://h/live/ch0", None, None, Some("track1")).setup;
        assert_eq!(others, ["rtsp://h/live/ch0/track1", "rtsp://h/live/track1"]);
    }

    #[test]
    fn a_camera_may_send_us_on_within_itself() {
        let from = Url::parse("rtsp://10.0.0.7:554/1").unwrap();
        let to = |place| moved(&from, place).map(|url| url.to_string());
        assert_eq!(to("rtsp://10.0.0.7:8554/live?x=1").as_deref(), Some("rtsp://10.0.0.7:8554/live?x=1"));
        assert_eq!(to("/live").as_deref(), Some("rtsp://10.0.0.7:554/live"));
        assert_eq!(to("rtsp://u:p@10.0.0.7/2").as_deref(), Some("rtsp://10.0.0.7/2"));
        for place in ["", "rtsp://10.0.0.8/1", "http://10.0.0.7/1", "rtsp://10.0.0.7:554/1"] {
            assert_eq!(to(place), None, "{place}");
        }
    }

    proptest! {
        /// Whatever a camera names, it is asked at its own host or at one that it named for the video itself, and what
        /// is asked is one word.
        #[test]
        fn whatever_is_named_the_camera_is_asked(
            base in prop::option::of("\\PC{0,30}|rtsp://[a-z@:/.?]{0,20}"),
            session in prop::option::of("\\PC{0,30}|rtsp://[a-z@:/.?]{0,20}"),
            media in prop::option::of("\\PC{0,30}|rtsp://[a-z@:/.?]{0,20}"),
        ) {
            let asked = "rtsp://10.0.0.7/live";
            let controls = Controls::new(asked, base.as_deref(), session.as_deref(), media.as_deref());
            prop_assert!(controls.setup[0].starts_with("rtsp://10.0.0.7"));
            prop_assert!(controls.play.starts_with("rtsp://10.0.0.7"));
            for url in controls.setup.iter().chain([&controls.play]) {
                prop_assert!(url.bytes().all(|byte| matches!(byte, b'!'..=b'~')), "{}", url);
            }
        }
    }
}
