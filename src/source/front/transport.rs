//! `Transport` headers (RFC 2326 section 12.39), read for what they mean. Pure.

use core::net::IpAddr;

/// What a camera answers to the wish for a transport.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportAnswer {
    /// It names the connection, or channels of it.
    pub is_connection: bool,
    /// It names datagrams, or ports for them.
    pub is_datagrams: bool,
    /// It sends to everybody.
    pub is_multicast: bool,
    /// The first of two channels; the second is for reports.
    pub channel: Option<u8>,
    /// Where packets come from, if not from the camera's own address.
    pub source: Option<IpAddr>,
    /// The port that packets come from.
    pub server_port: Option<u16>,
}

impl TransportAnswer {
    /// Reads what is understood of it; of several offers the first that is about the connection if that is wanted, else
    /// the first that is not.
    pub fn parse(value: &str, wants_connection: bool) -> Self {
        let offers: Vec<_> = value.split(',').map(Self::offer).collect();
        let fitting = offers.iter().find(|offer| offer.is_connection == wants_connection);
        fitting.or(offers.first()).cloned().unwrap_or_default()
    }

    fn offer(text: &str) -> Self {
        let mut answer = Self::default();
        for part in text.split(';') {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
            let first = value.split(['-', ' ']).next().unwrap_or_default().trim();
            match key.as_str() {
                "interleaved" => {
                    answer.is_connection = true;
                    answer.channel = first.parse().ok().filter(|channel| *channel < u8::MAX);
                }
                // Names of hosts are not looked up: packets come from the camera itself, or not at all.
                "source" => answer.source = value.trim_matches(['[', ']']).parse().ok(),
                "server_port" => {
                    answer.is_datagrams = true;
                    answer.server_port = first.parse().ok().filter(|port| *port > 0);
                }
                "client_port" => answer.is_datagrams = true,
                "multicast" => answer.is_multicast = true,
                profile if profile.starts_with("rtp/") && profile.ends_with("/tcp") => {
                    answer.is_connection = true
                }
                profile if profile.starts_with("rtp/") && profile.ends_with("/udp") => {
                    answer.is_datagrams = true
                }
                _ => {}
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports() {
        let parse = |text| TransportAnswer::parse(text, true);
        for (text, channel) in [
            ("RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=00ab12CD", Some(2)),
            ("RTP/AVP/TCP;unicast;interleaved=0", Some(0)),
            ("rtp/avp/tcp; unicast; Interleaved = 4-4 ;ssrc=0x6f7c", Some(4)),
            ("RTP/AVP/TCP;interleaved=\"0-1\"", Some(0)),
            ("RTP/AVP/TCP;unicast", None),
            ("RTP/AVP;unicast;client_port=1-2,RTP/AVP/TCP;interleaved=6-7", Some(6)),
            ("RTP/AVP/TCP;interleaved=255-256", None),
            ("RTP/AVP/TCP;interleaved=a-b", None),
        ] {
            let answer = parse(text);
            assert_eq!((answer.is_connection, answer.channel), (true, channel), "{text}");
        }
        for (text, source, port) in [
            (
                "RTP/AVP;unicast;source=10.0.0.7;client_port=1-2;server_port=6970-6971",
                "10.0.0.7".parse().ok(),
                Some(6970),
            ),
            // Old cameras (mediamtx 407, 691).
            ("RTP/AVP;source=camera.local;server_port=0-1", None, None),
            // RootEncoder 48.
            ("RTP/AVP/UDP;unicast;server_port=47487-52573", None, Some(47_487)),
            ("RTP/AVP;unicast;source=[fe80::1];server_port=6970", "fe80::1".parse().ok(), Some(6970)),
            // OpenIPC smolrtsp 31.
            ("RTP/AVP;unicast;client_port=1-2", None, None),
        ] {
            let answer = parse(text);
            assert!(answer.is_datagrams && !answer.is_connection, "{text}");
            assert_eq!((answer.source, answer.server_port), (source, port), "{text}");
        }
        assert!(parse("RTP/AVP;multicast;destination=239.0.0.1;port=1-2").is_multicast);
        assert_eq!(parse(""), TransportAnswer::default());
    }
}
