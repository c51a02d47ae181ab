//! What is said between the RTSP library and a camera: whose request an answer belongs to, the log-in, and how each side
//! hears what it expects. Pure: messages in, messages out.
//!
//! This is where the dialects of cameras are understood. The library hears flawless answers that we make up, the camera
//! hears its own addresses and numbers, and what it refuses is a [`FrontFault`] and not the library's affair.

use core::net::IpAddr;
use core::time::Duration;

use super::control::Controls;
use super::description::{CameraDescription, Media};
use super::keepalive::{Keepalive, KeepaliveMethod, SessionHabits};
use super::login::Login;
use super::message::{MessageHead, Start, session, write};
use super::refusal::{LoginKnowledge, RequestRefusal, RequestStep};
use super::transport::TransportAnswer;
use super::words::FrontFault;

/// What the library calls every session.
const SESSION: &str = "Session: 1";

/// Between which addresses a conversation goes on.
pub struct Addresses {
    /// What the library's addresses begin with: ours.
    pub own: String,
    /// What the camera's begin with.
    pub camera: String,
}

/// A request that is under way. There is one at a time.
struct Pending {
    /// What for.
    step: RequestStep,
    method: String,
    /// As the camera knows it.
    url: String,
    headers: Vec<(String, String)>,
    /// The number that the library gave it.
    number: String,
    /// In how many other words it was asked before.
    tries: usize,
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

/// A session that was set up.
#[derive(Clone, Debug)]
struct Session {
    /// Some servers name it when it plays, or not at all.
    id: Option<String>,
    /// Of what is played.
    url: String,
}

/// The conversation of one connection.
pub struct Conversation {
    addresses: Addresses,
    login: Login,
    /// The port that datagrams are to come to, if that is wanted.
    udp_port: Option<u16>,
    number: u32,
    pending: Option<Pending>,
    media: Option<Media>,
    controls: Option<Controls>,
    /// The first of the two channels that were set up; the second is for reports.
    channel: Option<u8>,
    datagrams: Option<Datagrams>,
    session: Option<Session>,
    keepalive: Keepalive,
    moved: Option<String>,
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
            media: None,
            controls: None,
            channel: None,
            datagrams: None,
            session: None,
            keepalive: Keepalive::default(),
            moved: None,
            is_playing: false,
        }
    }

    /// The camera has these habits.
    pub fn know(&mut self, habits: SessionHabits) {
        self.keepalive = Keepalive::new(habits);
    }

    /// The camera's habits, now that video has come for so long, if it was promised.
    pub fn habits(&self, lasted: Option<Duration>) -> SessionHabits {
        self.keepalive.habits(lasted)
    }

    /// The address that the camera sends us on to, as it says it.
    pub fn moved(&self) -> Option<&str> {
        self.moved.as_deref()
    }

    /// What the library's addresses begin with.
    pub fn own(&self) -> &str {
        &self.addresses.own
    }

    /// The video that was chosen, once the camera has described what it has.
    pub fn media(&self) -> Option<&Media> {
        self.media.as_ref()
    }

    /// The channel of packets, once video has been asked for: many a camera sends before it answers, and a keyframe that
    /// was missed then is missed for seconds.
    pub fn channel(&self) -> Option<u8> {
        let is_asked = self.pending.as_ref().is_some_and(|pending| pending.step == RequestStep::Play);
        self.channel.filter(|_| self.is_playing || is_asked)
    }

    /// Whether video has been promised.
    pub fn is_playing(&self) -> bool {
        self.is_playing
    }

    /// Where datagrams come from, once that is agreed.
    pub fn datagrams(&self) -> Option<Datagrams> {
        self.datagrams
    }

    /// What it means that the camera closed the connection now.
    pub fn closed(&self) -> FrontFault {
        if self.pending.is_some() && self.login.is_told() && !self.keepalive.has_let_in() {
            return FrontFault::ClosedAfterLogin;
        }
        FrontFault::Closed { is_playing: self.is_playing }
    }

    /// What it means that the connection broke now: some cameras close it so.
    pub fn broke(&self, error: std::io::Error) -> FrontFault {
        match self.closed() {
            FrontFault::ClosedAfterLogin => FrontFault::ClosedAfterLogin,
            _ => FrontFault::Broken(error),
        }
    }

    /// A request of the library, as the camera hears it.
    pub fn ask(&mut self, head: MessageHead) -> Vec<u8> {
        let number = head.get("CSeq").unwrap_or_default().to_owned();
        let Start::Request { method, url } = head.start else { return Vec::new() };
        // The library's own keepalives are nothing that a session depends on.
        let step = Some(RequestStep::of(&method))
            .filter(|step| *step != RequestStep::Keepalive)
            .unwrap_or(RequestStep::Other);
        let url = match (step, &self.controls) {
            (RequestStep::SetUp, Some(controls)) => controls.setup.first().cloned().unwrap_or(url),
            (RequestStep::Play, Some(controls)) => controls.play.clone(),
            _ => match url.strip_prefix(&self.addresses.own) {
                Some(rest) => format!("{}{rest}", self.addresses.camera),
                None => url,
            },
        };
        let own = ["cseq", "authorization", "session"];
        let is_ours = |name: &str| own.iter().any(|own| name.eq_ignore_ascii_case(own));
        let mut headers: Vec<_> = head.headers.into_iter().filter(|(name, _)| !is_ours(name)).collect();
        if let Some(port) = self.udp_port {
            for (_, value) in headers.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("Transport")) {
                *value = format!("RTP/AVP/UDP;unicast;client_port={port}-{}", u32::from(port) + 1);
            }
        }
        self.login.begin();
        self.pending = Some(Pending { step, method, url, headers, number, tries: 0 });
        self.send()
    }

    /// A request of our own, of the session that is open.
    fn ask_own(&mut self, method: &str) -> Option<Vec<u8>> {
        let Session { url, .. } = self.session.clone()?;
        self.login.begin();
        let (step, method) = (RequestStep::of(method), method.to_owned());
        self.pending =
            Some(Pending { step, method, url, headers: Vec::new(), number: String::new(), tries: 0 });
        Some(self.send())
    }

    /// The request under way, with a number of its own and what the camera wants to know of us.
    fn send(&mut self) -> Vec<u8> {
        let Some(pending) = &self.pending else { return Vec::new() };
        self.number = self.number.wrapping_add(1);
        let number = self.number.to_string();
        let authorization = self.login.authorization(&pending.method, &pending.url);
        let id = self.session.as_ref().and_then(|session| session.id.as_deref());
        let headers = [("CSeq", number.as_str())]
            .into_iter()
            .chain(authorization.as_deref().map(|value| ("Authorization", value)))
            .chain(id.map(|id| ("Session", id)))
            .chain(pending.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        write(&format!("{} {} RTSP/1.0", pending.method, pending.url), headers, b"")
    }

    /// An answer of the camera. Its number does not matter: one request is under way at a time, and firmware counts as
    /// it likes (homebridge-foscamcamera 6; Tapo in retina 133).
    pub fn answered(&mut self, head: &MessageHead, body: &[u8]) -> Result<Answered, FrontFault> {
        let Start::Response { status, .. } = &head.start else { return Ok(Answered::Idle) };
        if *status < 200 {
            return Ok(Answered::Idle);
        }
        if *status == 401 && self.pending.is_some() && self.login.challenged(head) {
            return Ok(Answered::Again(self.send()));
        }
        let Some(mut pending) = self.pending.take() else { return Ok(Answered::Idle) };
        if let Some(public) = head.get("Public") {
            self.keepalive.offer(public);
        }
        let is_good = (200..300).contains(status);
        if is_good && self.login.is_told() {
            self.login.granted();
            self.keepalive.let_in();
        }
        if pending.step == RequestStep::Keepalive {
            // A session that gives pictures ends for no word (Tapo in retina 133, thingino 490).
            if !is_good {
                self.keepalive.refuse();
            }
            return Ok(Answered::Idle);
        }
        if pending.step == RequestStep::Other {
            return Ok(Answered::Passed(passed(&pending.number, 200, &[], "")));
        }
        if !is_good {
            if self.reword(&mut pending, *status) {
                self.login.begin();
                self.pending = Some(pending);
                return Ok(Answered::Again(self.send()));
            }
            return Err(self.refused(&pending, *status, head));
        }
        let (id, timeout) = head.get("Session").map(session).unwrap_or_default();
        if let Some(seconds) = timeout {
            self.keepalive.wait(seconds);
        }
        let id = Some(id).filter(|id| !id.is_empty());
        let (headers, body) = match pending.step {
            RequestStep::Describe => {
                let description = self.described(&pending.url, head, body)?;
                (vec!["Content-Type: application/sdp".to_owned()], description)
            }
            RequestStep::SetUp => {
                let transport = self.set_up(&pending.headers, head.get("Transport"))?;
                self.session = Some(Session { id, url: pending.url });
                (vec![SESSION.to_owned(), format!("Transport: {transport}")], String::new())
            }
            RequestStep::Play => {
                self.is_playing = true;
                if let Some(session) = &mut self.session {
                    session.url = pending.url;
                    session.id = id.or(session.id.take());
                }
                (vec![SESSION.to_owned()], String::new())
            }
            RequestStep::Keepalive | RequestStep::Other => (Vec::new(), String::new()),
        };
        Ok(Answered::Passed(passed(&pending.number, *status, &headers, &body)))
    }

    /// Asks for the same in other words after a refusal, if there are any.
    fn reword(&self, pending: &mut Pending, status: u16) -> bool {
        // Of a password, of a camera that is full or starting, of a transport: other words do not help.
        if !(400..600).contains(&status) || matches!(status, 401 | 403 | 453 | 461 | 503) {
            return false;
        }
        let Some(controls) = &self.controls else { return false };
        pending.tries += 1;
        match (pending.step, pending.tries) {
            (RequestStep::SetUp, tries) => {
                controls.setup.get(tries).map(|url| pending.url.clone_from(url)).is_some()
            }
            (RequestStep::Play, _) => {
                let count = pending.headers.len();
                // Live video has no range; and where the whole is not played, what was set up is.
                pending.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("Range"));
                let url = self.session.as_ref().map(|session| session.url.clone());
                let url = url.filter(|url| pending.headers.len() == count && *url != pending.url);
                let is_other = url.is_some() || pending.headers.len() < count;
                pending.url = url.unwrap_or_else(|| pending.url.clone());
                is_other
            }
            _ => false,
        }
    }

    /// What a refusal means.
    fn refused(&mut self, pending: &Pending, status: u16, head: &MessageHead) -> FrontFault {
        if (300..400).contains(&status) {
            let place = head.get("Location").unwrap_or_default().to_owned();
            self.moved = Some(place.clone());
            return FrontFault::Elsewhere(place);
        }
        if status >= 600 {
            return FrontFault::Status(status);
        }
        let access = match () {
            () if !self.login.is_known() => LoginKnowledge::Unknown,
            () if self.login.is_told() => LoginKnowledge::Told,
            () => LoginKnowledge::Untold,
        };
        let wants_datagrams = self.udp_port.is_some();
        FrontFault::Refused(RequestRefusal {
            step: pending.step,
            status,
            url: pending.url.clone(),
            access,
            wants_datagrams,
        })
    }

    /// Takes in what the camera has; returns what the library hears of it.
    fn described(&mut self, asked: &str, head: &MessageHead, body: &[u8]) -> Result<String, FrontFault> {
        let kind = head.get("Content-Type").unwrap_or_default().to_ascii_lowercase();
        if kind.contains("html") || body.trim_ascii_start().starts_with(b"<") {
            return Err(FrontFault::Page);
        }
        let description = CameraDescription::read(body).map_err(FrontFault::Description)?;
        let best = description.best_video();
        let Some(media) = best.and_then(|at| description.media.get(at)) else {
            return Err(FrontFault::NoVideo(description.no_video()));
        };
        let base = ["Content-Base", "Content-Location"];
        let base = base.into_iter().find_map(|name| head.get(name).filter(|base| !base.is_empty()));
        let session = description.control.as_deref();
        self.controls = Some(Controls::new(asked, base, session, media.control.as_deref()));
        let strict = media.strict();
        self.media = Some(media.clone());
        Ok(strict)
    }

    /// Takes in where packets will come; returns it in the library's words.
    fn set_up(&mut self, asked: &[(String, String)], answer: Option<&str>) -> Result<String, FrontFault> {
        let asked = asked.iter().find(|(name, _)| name.eq_ignore_ascii_case("Transport"));
        let asked = TransportAnswer::parse(asked.map_or("", |(_, value)| value), true);
        let wants_connection = self.udp_port.is_none();
        // Cameras that answer without channels (gortsplib 142), or without the header (gortsplib 456), mean those asked
        // for.
        let answer = TransportAnswer::parse(answer.unwrap_or_default(), wants_connection);
        if answer.is_multicast {
            return Err(FrontFault::Multicast);
        }
        if wants_connection && answer.is_datagrams && !answer.is_connection {
            return Err(FrontFault::DatagramsOnly);
        }
        let channel = answer.channel.or(asked.channel).unwrap_or(0);
        self.channel = Some(channel);
        // Who was asked for datagrams and sends packets over the connection all the same is listened to there.
        let datagrams = Datagrams { source: answer.source, port: answer.server_port };
        self.datagrams = self.udp_port.filter(|_| !answer.is_connection).map(|_| datagrams);
        let channel = if wants_connection || answer.is_connection { channel } else { 0 };
        Ok(format!("RTP/AVP/TCP;unicast;interleaved={channel}-{}", channel + 1))
    }

    /// What a camera hears that asks us something.
    pub fn asked(head: &MessageHead) -> Vec<u8> {
        let Start::Request { method, .. } = &head.start else { return Vec::new() };
        let start = match method.as_str() {
            "OPTIONS" | "GET_PARAMETER" | "SET_PARAMETER" => "RTSP/1.0 200 OK",
            _ => "RTSP/1.0 501 Not Implemented",
        };
        let named = ["CSeq", "Session"].into_iter().filter_map(|name| Some((name, head.get(name)?)));
        write(start, named, b"")
    }

    /// A request that keeps the session alive, while there is one; nothing while another request is under way. One that
    /// was not answered until now counts as refused.
    pub fn keepalive(&mut self) -> Option<Vec<u8>> {
        match &self.pending {
            Some(pending) if pending.step != RequestStep::Keepalive => return None,
            Some(_) => self.keepalive.refuse(),
            None => {}
        }
        self.session.as_ref()?;
        let method = self.keepalive.method();
        self.ask_own(method.name())
    }

    /// How often [`Conversation::keepalive`] is to be sent.
    pub fn keepalive_interval(&self) -> Duration {
        self.keepalive.interval()
    }

    /// The request that ends the session, while there is one.
    pub fn farewell(&mut self) -> Option<Vec<u8>> {
        self.ask_own("TEARDOWN")
    }

    /// The session has ended.
    pub fn forget(&mut self) {
        self.session = None;
    }
}

impl RequestStep {
    /// What a request is for.
    fn of(method: &str) -> Self {
        let keepalives =
            [KeepaliveMethod::Options, KeepaliveMethod::GetParameter, KeepaliveMethod::SetParameter];
        match method {
            "DESCRIBE" => Self::Describe,
            "SETUP" => Self::SetUp,
            "PLAY" => Self::Play,
            method if keepalives.iter().any(|keepalive| keepalive.name() == method) => Self::Keepalive,
            _ => Self::Other,
        }
    }
}

/// An answer as the library hears it.
fn passed(number: &str, status: u16, headers: &[String], body: &str) -> Vec<u8> {
    let headers = headers.iter().filter_map(|header| header.split_once(": "));
    let reason = if (200..300).contains(&status) { "OK" } else { "-" };
    write(
        &format!("RTSP/1.0 {status} {reason}"),
        [("CSeq", number)].into_iter().chain(headers),
        body.as_bytes(),
    )
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
