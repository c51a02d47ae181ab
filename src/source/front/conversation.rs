//! What is said between the RTSP library and a camera: whose request an answer belongs to, the log-in, and how each side
//! hears what it expects. Pure: messages in, messages out.
//!
//! This is where the dialects of cameras are understood. The library hears strict answers with the headers it reads and
//! nothing else, the camera hears its own addresses and numbers.

use core::net::IpAddr;

use super::description;
use super::login::Login;
use super::message::{Head, Start, TransportAnswer, session, write};
use super::words::Fault;

/// What the library reads of an answer. Everything else stays here.
const PASSED_ON: [&str; 5] = ["Content-Type", "Content-Base", "Content-Location", "Public", "RTP-Info"];

/// Between which addresses a conversation goes on.
pub struct Addresses {
    /// What the library's addresses begin with: ours.
    pub own: String,
    /// What the camera's begin with.
    pub camera: String,
}

/// A request that is under way. There is one at a time.
struct Pending {
    method: String,
    /// As the camera knows it.
    url: String,
    headers: Vec<(String, String)>,
    /// The number that the library gave it.
    number: String,
}

/// What follows from an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Answered {
    /// The request is sent again, as this.
    Again(Vec<u8>),
    /// The library hears this.
    Passed(Vec<u8>),
    /// Nothing was asked, or the answer proper is still to come.
    Idle,
}

/// Where datagrams come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagrams {
    /// If it is not the camera's own address.
    pub source: Option<IpAddr>,
    /// If the camera said so.
    pub port: Option<u16>,
}

/// The conversation of one connection.
pub struct Conversation {
    addresses: Addresses,
    login: Login,
    /// The port that datagrams are to come to, if that is wanted.
    udp_port: Option<u16>,
    number: u32,
    pending: Option<Pending>,
    /// The first of the two channels that were set up; the second is for reports.
    channel: Option<u8>,
    datagrams: Option<Datagrams>,
    /// Identifier of the session, and what was played.
    session: Option<(String, String)>,
    is_playing: bool,
}

impl Conversation {
    /// Nothing has been said.
    pub fn new(addresses: Addresses, login: Login, udp_port: Option<u16>) -> Self {
        Self {
            addresses,
            login,
            udp_port,
            number: 0,
            pending: None,
            channel: None,
            datagrams: None,
            session: None,
            is_playing: false,
        }
    }

    /// What the library's addresses begin with.
    pub fn own(&self) -> &str {
        &self.addresses.own
    }

    /// The channel of packets, once video has been promised.
    pub fn channel(&self) -> Option<u8> {
        self.channel.filter(|_| self.is_playing)
    }

    /// Whether video has been promised.
    pub fn is_playing(&self) -> bool {
        self.is_playing
    }

    /// Where datagrams come from, once that is agreed.
    pub fn datagrams(&self) -> Option<Datagrams> {
        self.datagrams
    }

    /// A request of the library, as the camera hears it.
    pub fn ask(&mut self, head: Head) -> Vec<u8> {
        let number = head.get("CSeq").unwrap_or_default().to_owned();
        let Start::Request { method, url } = head.start else { return Vec::new() };
        let url = match url.strip_prefix(&self.addresses.own) {
            Some(rest) => format!("{}{rest}", self.addresses.camera),
            None => url,
        };
        let is_ours = |name: &str| ["cseq", "authorization"].iter().any(|own| name.eq_ignore_ascii_case(own));
        let mut headers: Vec<_> = head.headers.into_iter().filter(|(name, _)| !is_ours(name)).collect();
        if let Some(port) = self.udp_port {
            for (_, value) in headers.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("Transport")) {
                *value = format!("RTP/AVP/UDP;unicast;client_port={port}-{}", u32::from(port) + 1);
            }
        }
        self.login.begin();
        self.pending = Some(Pending { method, url, headers, number });
        self.send()
    }

    /// The request under way, with a number of its own and what the camera wants to know of us.
    fn send(&mut self) -> Vec<u8> {
        let Some(pending) = &self.pending else { return Vec::new() };
        self.number = self.number.wrapping_add(1);
        let number = self.number.to_string();
        let authorization = self.login.authorization(&pending.method, &pending.url);
        let headers = [("CSeq", number.as_str())]
            .into_iter()
            .chain(authorization.as_deref().map(|value| ("Authorization", value)))
            .chain(pending.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        write(&format!("{} {} RTSP/1.0", pending.method, pending.url), headers, b"")
    }

    /// An answer of the camera. Its number does not matter: one request is under way at a time, and firmware counts as
    /// it likes (homebridge-foscamcamera 6; Tapo in retina 133).
    pub fn answered(&mut self, head: &Head, body: &[u8]) -> Result<Answered, Fault> {
        let Start::Response { status, reason } = &head.start else { return Ok(Answered::Idle) };
        if *status < 200 {
            return Ok(Answered::Idle);
        }
        if *status == 401 && self.pending.is_some() && self.login.challenged(head) {
            return Ok(Answered::Again(self.send()));
        }
        let Some(pending) = self.pending.take() else { return Ok(Answered::Idle) };
        let is_good = (200..300).contains(status);
        match status {
            300..400 => return Err(Fault::Elsewhere(head.get("Location").unwrap_or_default().to_owned())),
            // The library takes these for a fault of the connection.
            600.. => return Err(Fault::Status(*status)),
            _ => {}
        }
        let mut headers: Vec<(&str, String)> = vec![("CSeq", pending.number.clone())];
        for name in PASSED_ON.iter().filter(|name| **name != "RTP-Info" || self.udp_port.is_none()) {
            headers.extend(
                head.get(name).filter(|value| !value.is_empty()).map(|value| (*name, value.to_owned())),
            );
        }
        let id = head.get("Session").map(session).filter(|(id, _)| !id.is_empty());
        if let Some((id, timeout)) = &id {
            let timeout = timeout.map(|seconds| format!(";timeout={seconds}")).unwrap_or_default();
            headers.push(("Session", format!("{id}{timeout}")));
        }
        match pending.method.as_str() {
            "DESCRIBE" if is_good => {
                description::check(body).map_err(Fault::Description)?;
                if !headers.iter().any(|(name, _)| name.starts_with("Content-") && *name != "Content-Type") {
                    headers.push(("Content-Base", pending.url));
                }
            }
            "SETUP" if is_good => {
                headers.push(("Transport", self.set_up(&pending.headers, head.get("Transport"))));
                self.session = id.map(|(id, _)| (id, pending.url));
            }
            "PLAY" if is_good => {
                self.is_playing = true;
                if let Some((_, url)) = &mut self.session {
                    *url = pending.url;
                }
            }
            _ => {}
        }
        let body = if pending.method == "DESCRIBE" { body } else { b"" };
        // The library wants some words behind the number.
        let reason = if reason.contains(|c: char| c.is_ascii_graphic()) { reason } else { "-" };
        let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
        Ok(Answered::Passed(write(&format!("RTSP/1.0 {status} {reason}"), headers, body)))
    }

    /// Takes in where packets will come; returns it in the library's words.
    fn set_up(&mut self, asked: &[(String, String)], answer: Option<&str>) -> String {
        let asked = asked.iter().find(|(name, _)| name.eq_ignore_ascii_case("Transport"));
        let asked = TransportAnswer::parse(asked.map_or("", |(_, value)| value));
        // Cameras that answer without channels (gortsplib 142), or without the header, mean those asked for.
        let answer = TransportAnswer::parse(answer.unwrap_or_default());
        let channel = answer.channel.filter(|_| self.udp_port.is_none()).or(asked.channel).unwrap_or(0);
        self.channel = Some(channel);
        self.datagrams = self.udp_port.map(|_| Datagrams { source: answer.source, port: answer.server_port });
        let ssrc = answer.ssrc.map(|ssrc| format!(";ssrc={ssrc}")).unwrap_or_default();
        format!("RTP/AVP/TCP;unicast;interleaved={channel}-{}{ssrc}", channel + 1)
    }

    /// What a camera hears that asks us something.
    pub fn asked(head: &Head) -> Vec<u8> {
        let Start::Request { method, .. } = &head.start else { return Vec::new() };
        let start = match method.as_str() {
            "OPTIONS" | "GET_PARAMETER" | "SET_PARAMETER" => "RTSP/1.0 200 OK",
            _ => "RTSP/1.0 501 Not Implemented",
        };
        let named = ["CSeq", "Session"].into_iter().filter_map(|name| Some((name, head.get(name)?)));
        write(start, named, b"")
    }

    /// A request that keeps the session alive; nothing while another one is under way.
    pub fn keepalive(&mut self) -> Option<Vec<u8>> {
        let (id, url) = self.session.clone()?;
        self.login.begin();
        let headers = vec![("Session".to_owned(), id)];
        self.pending =
            Some(Pending { method: "GET_PARAMETER".to_owned(), url, headers, number: String::new() });
        Some(self.send())
    }

    /// How often to send one.
    pub fn keepalive_interval(&self) -> core::time::Duration {
        core::time::Duration::from_secs(25)
    }

    /// The request that ends the session, while there is one.
    pub fn farewell(&mut self) -> Option<Vec<u8>> {
        let (id, url) = self.session.clone()?;
        self.login.begin();
        let headers = vec![("Session".to_owned(), id)];
        self.pending = Some(Pending { method: "TEARDOWN".to_owned(), url, headers, number: String::new() });
        Some(self.send())
    }

    /// The session has ended.
    pub fn forget(&mut self) {
        self.session = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::front::wire::{Event, Reader};
    use crate::source::front::words::Named;
    use proptest::prelude::*;

    const OWN: &str = "rtsp://127.0.0.1:4000/secret";

    fn conversation(udp_port: Option<u16>) -> Conversation {
        let addresses = Addresses { own: OWN.to_owned(), camera: "rtsp://10.0.0.7".to_owned() };
        Conversation::new(addresses, Login::default(), udp_port)
    }

    fn head(text: &str) -> (Head, Vec<u8>) {
        let mut reader = Reader::default();
        reader.room()[..text.len()].copy_from_slice(text.as_bytes());
        reader.add(text.len());
        match reader.event() {
            Ok(Some(Event::Message(head, body))) => (head, body),
            seen => panic!("{text:?}: {seen:?}"),
        }
    }

    fn ask(conversation: &mut Conversation, text: &str) -> String {
        String::from_utf8(conversation.ask(head(text).0)).unwrap()
    }

    fn answer(conversation: &mut Conversation, text: &str) -> String {
        let (head, body) = head(text);
        match conversation.answered(&head, &body).unwrap() {
            Answered::Passed(bytes) => String::from_utf8(bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_camera_hears_its_own_address_and_the_library_where_relative_ones_begin() {
        let mut conversation = conversation(None);
        let asked = ask(
            &mut conversation,
            &format!("DESCRIBE {OWN}/1?a=b RTSP/1.0\r\nCSeq: 7\r\nUser-Agent: x\r\n\r\n"),
        );
        assert_eq!(asked, "DESCRIBE rtsp://10.0.0.7/1?a=b RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: x\r\n\r\n");
        let heard = answer(&mut conversation, "RTSP/1.0 200\nCSeq: 6\nServer:\nContent-Length: 3\n\nv=0");
        assert_eq!(
            heard,
            "RTSP/1.0 200 -\r\nCSeq: 7\r\nContent-Base: rtsp://10.0.0.7/1?a=b\r\nContent-Length: 3\r\n\r\nv=0"
        );
        let asked = ask(&mut conversation, "SETUP rtsp://10.0.0.7/1/track1 RTSP/1.0\r\nCSeq: 8\r\n\r\n");
        assert!(asked.starts_with("SETUP rtsp://10.0.0.7/1/track1 RTSP/1.0\r\nCSeq: 2\r\n"), "{asked}");
    }

    #[test]
    fn channels_are_those_asked_for_unless_the_camera_says_others() {
        for (said, expected) in [
            ("Transport: RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=0x6f7c\r\n", 2),
            ("Transport: RTP/AVP/TCP;unicast\r\n", 0),
            ("", 0),
        ] {
            let mut conversation = conversation(None);
            let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1";
            ask(&mut conversation, &format!("SETUP {OWN} RTSP/1.0\r\nCSeq: 1\r\n{transport}\r\n\r\n"));
            let heard =
                answer(&mut conversation, &format!("RTSP/1.0 200 OK\r\nSession: 5; x=y\r\n{said}\r\n"));
            assert!(heard.contains("\r\nSession: 5\r\n"), "{heard}");
            let transport =
                format!("Transport: RTP/AVP/TCP;unicast;interleaved={expected}-{}\r\n", expected + 1);
            assert!(heard.contains(&transport), "{heard}");
            assert_eq!(conversation.channel(), None, "nothing is promised yet");
            ask(&mut conversation, &format!("PLAY {OWN} RTSP/1.0\r\nCSeq: 2\r\n\r\n"));
            answer(&mut conversation, "RTSP/1.0 200 OK\r\n\r\n");
            assert_eq!(conversation.channel(), Some(expected));
        }
    }

    #[test]
    fn datagrams_are_the_fronts_own_affair() {
        let mut conversation = conversation(Some(6970));
        let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1";
        let asked =
            ask(&mut conversation, &format!("SETUP {OWN} RTSP/1.0\r\nCSeq: 1\r\n{transport}\r\n\r\n"));
        assert!(asked.contains("Transport: RTP/AVP/UDP;unicast;client_port=6970-6971\r\n"), "{asked}");
        let said = "RTSP/1.0 200 OK\r\nSession: 5\r\nTransport: RTP/AVP;client_port=6970-6971;server_port=7000-7001\r\n\r\n";
        let heard = answer(&mut conversation, said);
        assert!(heard.contains("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"), "{heard}");
        assert_eq!(conversation.datagrams(), Some(Datagrams { source: None, port: Some(7000) }));
    }

    #[test]
    fn what_nobody_asked_for_is_heard_by_nobody() {
        let mut conversation = conversation(None);
        let idle = |conversation: &mut Conversation, text| {
            let (head, body) = head(text);
            assert_eq!(conversation.answered(&head, &body).unwrap(), Answered::Idle, "{text}");
        };
        idle(&mut conversation, "RTSP/1.0 200 OK\r\n\r\n");
        ask(&mut conversation, &format!("DESCRIBE {OWN} RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
        idle(&mut conversation, "RTSP/1.0 100 Continue\r\n\r\n");
        assert!(answer(&mut conversation, "RTSP/1.0 404 Not Found\r\n\r\n").starts_with("RTSP/1.0 404 "));
        idle(&mut conversation, "RTSP/1.0 200 OK\r\n\r\n");
        let (question, _) = head("OPTIONS * RTSP/1.0\r\nCSeq: 3\r\n\r\n");
        assert_eq!(Conversation::asked(&question), b"RTSP/1.0 200 OK\r\nCSeq: 3\r\n\r\n");
    }

    #[test]
    fn where_a_camera_sends_us_and_what_nobody_knows_are_told_at_once() {
        let fault = |text| {
            let mut conversation = conversation(None);
            ask(&mut conversation, &format!("DESCRIBE {OWN} RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
            let (head, body) = head(text);
            conversation.answered(&head, &body).unwrap_err()
        };
        let named = Named { address: "10.0.0.7:554", host: "10.0.0.7", number: 3 };
        let said = fault("RTSP/1.0 302 Moved\r\nLocation: rtsp://u:secret@10.0.0.8/x\x1b[31m\r\n\r\n")
            .say(&named)
            .message;
        assert!(said.contains("rtsp://10.0.0.8/x") && said.contains("CAMERA_3_RTSP"), "{said}");
        assert!(!said.contains("secret") && !said.contains('\x1b'), "{said}");
        assert!(fault("RTSP/1.0 301\r\n\r\n").say(&named).message.contains("does not say where"));
        assert!(fault("RTSP/1.0 999 x\r\n\r\n").say(&named).message.contains("status 999"));
    }

    #[test]
    fn a_session_is_ended_once_it_was_made() {
        let mut conversation = conversation(None);
        assert_eq!(conversation.farewell(), None);
        ask(&mut conversation, &format!("SETUP {OWN}/1/t RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
        answer(&mut conversation, "RTSP/1.0 200 OK\r\nSession: 5;timeout=60\r\n\r\n");
        ask(&mut conversation, &format!("PLAY {OWN}/1 RTSP/1.0\r\nCSeq: 2\r\n\r\n"));
        answer(&mut conversation, "RTSP/1.0 200 OK\r\n\r\n");
        let farewell = String::from_utf8(conversation.farewell().unwrap()).unwrap();
        assert_eq!(farewell, "TEARDOWN rtsp://10.0.0.7/1 RTSP/1.0\r\nCSeq: 3\r\nSession: 5\r\n\r\n");
        conversation.forget();
        assert_eq!(conversation.farewell(), None);
    }

    proptest! {
        /// Whatever a camera answers, the library reads one message and nothing after it.
        #[test]
        fn every_answer_is_one_message(
            status in 100_u16..600, reason in "\\PC{0,20}",
            headers in prop::collection::vec(("(Session|Transport|Content-Base|RTP-Info|X)", "\\PC{0,40}"), 0..6),
            body in prop::collection::vec(any::<u8>(), 0..60), method in "(DESCRIBE|SETUP|PLAY|OPTIONS)",
            udp_port in prop::option::of(1000_u16..60_000),
        ) {
            let mut conversation = conversation(udp_port);
            ask(&mut conversation, &format!("{method} {OWN} RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
            let answer = Head { start: Start::Response { status, reason }, headers };
            if let Ok(Answered::Passed(bytes)) = conversation.answered(&answer, &body) {
                let mut reader = Reader::default();
                reader.room()[..bytes.len()].copy_from_slice(&bytes);
                reader.add(bytes.len());
                prop_assert!(matches!(reader.event(), Ok(Some(Event::Message(..)))));
                prop_assert_eq!(reader.event(), Ok(None));
                prop_assert!(!reader.is_inside_message());
            }
        }
    }
}
