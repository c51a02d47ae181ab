//! One client of the RTSP server: reads its requests, answers them, and sends it pictures while it plays.
//!
//! A connection has one session with one stream, over TCP interleaved in the same connection (RFC 2326, 10.12). All
//! that a client can make the server hold is bounded: its unread requests, and the pictures it is behind.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use rtsp_types::headers::{
    ALLOW, AUTHORIZATION, CONTENT_BASE, CONTENT_TYPE, CSEQ, PUBLIC, RANGE, RTP_INFO, SERVER, SESSION,
    TRANSPORT, WWW_AUTHENTICATE,
};
use rtsp_types::{Message, Method, ParseError, Request, Response, ResponseBuilder, StatusCode, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::demo::encoder::{EncodedPicture, Playing, SyntheticCamera};
use crate::demo::rtp::Packetizer;
use crate::demo::rtsp_state::{Condition, RtspFault, ServerShared};
use crate::demo::sdp::{self, TRACK};

/// Most bytes of unfinished requests; a DESCRIBE with every header known is below one kilobyte.
const INBOX_MAX: usize = 16 * 1024;

/// A client that takes nothing for so long is dropped; the pictures it misses would be old by then.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);

/// Told to clients as the session's lifetime without a request (RFC 2326, 12.37).
const SESSION_LIFETIME: Duration = Duration::from_secs(60);

/// A silent client is dropped after this, somewhat later than it was told.
const SILENCE_MAX: Duration = Duration::from_secs(75);

/// Between sender reports; RFC 3550, 6.2 recommends five seconds as the least.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Methods served, for `Public` and `Allow`.
const METHODS: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, SET_PARAMETER, TEARDOWN";

/// Why the server ended a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionEnd {
    /// The client closed it, or the network did.
    #[error("the client went away")]
    Closed(#[from] io::Error),
    /// The bytes are no RTSP, or too many for one request.
    #[error("the client sent what is no RTSP request")]
    Nonsense,
    /// Pictures were lost on the way into its connection.
    #[error("the client is too slow")]
    TooSlow,
    /// Nothing was heard for longer than a session lasts.
    #[error("the client was silent")]
    Silent,
    /// On request of a test, or because the server ends.
    #[error("the server dropped the connection")]
    Dropped,
}

/// State of one client.
pub(super) struct Connection {
    stream: TcpStream,
    shared: Arc<ServerShared>,
    condition: watch::Receiver<Condition>,
    /// [`Condition::generation`] in which it was accepted; another one ends it.
    generation: u64,
    inbox: BytesMut,
    /// Nonce of this connection's digest challenge.
    nonce: String,
    session: Option<Session>,
    heard_at: Instant,
}

/// What SETUP made.
struct Session {
    id: String,
    camera: Arc<SyntheticCamera>,
    packetizer: Packetizer,
    playing: Option<Playing>,
    reported_at: Option<Instant>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, shared: Arc<ServerShared>) -> Self {
        let condition = shared.condition.subscribe();
        let generation = condition.borrow().generation;
        let nonce = format!("{:032x}", fastrand::u128(..));
        let (inbox, heard_at) = (BytesMut::new(), Instant::now());
        Self { stream, shared, condition, generation, inbox, nonce, session: None, heard_at }
    }

    /// Serves the client until one side has had enough; dropping the future closes the connection.
    pub(super) async fn serve(mut self) -> ConnectionEnd {
        loop {
            if let Err(ended) = self.step().await {
                return ended;
            }
        }
    }

    /// Answers what has come in, then waits for whatever happens next.
    async fn step(&mut self) -> Result<(), ConnectionEnd> {
        let condition = *self.condition.borrow_and_update();
        if condition.generation != self.generation {
            return Err(ConnectionEnd::Dropped);
        }
        if condition.fault == Some(RtspFault::Freeze) {
            self.condition.changed().await.map_err(|_| ConnectionEnd::Dropped)?;
            self.heard_at = Instant::now();
            return Ok(());
        }
        while let Some(message) = self.next_message().await? {
            // Interleaved data are the client's receiver reports; responses answer nothing that was asked.
            if let Message::Request(request) = message {
                let response = self.answer(&request, condition.fault);
                self.respond(&request, response).await?;
            }
        }
        tokio::select! {
            changed = self.condition.changed() => changed.map_err(|_| ConnectionEnd::Dropped)?,
            unit = next_unit(self.session.as_mut()) => {
                let unit = unit?;
                self.send(&unit).await?;
            }
            read = self.stream.read_buf(&mut self.inbox) => {
                if read? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                self.heard_at = Instant::now();
            }
            () = sleep_until(self.heard_at + SILENCE_MAX) => return Err(ConnectionEnd::Silent),
        }
        Ok(())
    }

    /// Takes the next whole message out of the inbox.
    async fn next_message(&mut self) -> Result<Option<Message<Vec<u8>>>, ConnectionEnd> {
        let refusal = match Message::parse(&self.inbox) {
            Ok((message, consumed)) => {
                self.inbox.advance(consumed);
                return Ok(Some(message));
            }
            Err(ParseError::Incomplete(_)) if self.inbox.len() <= INBOX_MAX => return Ok(None),
            Err(ParseError::Incomplete(_)) => StatusCode::RequestMessageBodyTooLarge,
            Err(ParseError::Error) => StatusCode::BadRequest,
        };
        let mut out = Vec::new();
        write_message(&status(refusal).into(), &mut out);
        self.write(&out).await?;
        Err(ConnectionEnd::Nonsense)
    }

    async fn respond(
        &mut self,
        request: &Request<Vec<u8>>,
        mut response: Response<Vec<u8>>,
    ) -> Result<(), ConnectionEnd> {
        if let Some(sequence) = request.header(&CSEQ) {
            response.insert_header(CSEQ, sequence.as_str());
        }
        let mut out = Vec::new();
        write_message(&response.into(), &mut out);
        self.write(&out).await
    }

    /// Decides on a request; the only input and output is that of the session.
    fn answer(&mut self, request: &Request<Vec<u8>>, fault: Option<RtspFault>) -> Response<Vec<u8>> {
        let method = request.method();
        if *method != Method::Options
            && let Some(refusal) = self.refusal(request, fault)
        {
            return refusal;
        }
        match method {
            Method::Options => ok().header(PUBLIC, METHODS).build(Vec::new()),
            Method::Describe => self.describe(request),
            Method::Setup => self.setup(request),
            Method::Play => self.play(request),
            Method::GetParameter | Method::SetParameter => {
                match session_problem(self.session.as_ref(), request) {
                    // Without a session header it is a mere sign of life.
                    Some(problem) if request.header(&SESSION).is_some() => status(problem),
                    _ => ok().build(Vec::new()),
                }
            }
            Method::Teardown => match session_problem(self.session.as_ref(), request) {
                Some(problem) => status(problem),
                None => {
                    self.session = None;
                    ok().build(Vec::new())
                }
            },
            _ => builder(StatusCode::MethodNotAllowed).header(ALLOW, METHODS).build(Vec::new()),
        }
    }

    /// The 401, unless the request proves the password.
    fn refusal(&self, request: &Request<Vec<u8>>, fault: Option<RtspFault>) -> Option<Response<Vec<u8>>> {
        let unauthorized = |challenge: String| {
            Some(builder(StatusCode::Unauthorized).header(WWW_AUTHENTICATE, challenge).build(Vec::new()))
        };
        let is_locked = fault == Some(RtspFault::RefuseAuth);
        let Some(auth) = &self.shared.auth else {
            return is_locked.then(|| unauthorized("Basic realm=\"locked\"".to_owned())).flatten();
        };
        let authorization = request.header(&AUTHORIZATION).map_or("", |value| value.as_str());
        if !is_locked && auth.admits(authorization, method_name(request), &self.nonce) {
            return None;
        }
        unauthorized(auth.challenge(&self.nonce))
    }

    fn describe(&self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let Some(camera) = self.camera(request) else { return status(StatusCode::NotFound) };
        let base = base_url(request);
        match sdp::describe(camera) {
            Ok(body) => ok().header(CONTENT_TYPE, "application/sdp").header(CONTENT_BASE, base).build(body),
            Err(_) => status(StatusCode::InternalServerError),
        }
    }

    fn setup(&mut self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let Some(camera) = self.camera(request) else { return status(StatusCode::NotFound) };
        let camera = Arc::clone(camera);
        if self.session.as_ref().is_some_and(|session| session.playing.is_some()) {
            return status(StatusCode::MethodNotValidInThisState);
        }
        let offers = request.header(&TRANSPORT).map_or("", |value| value.as_str());
        let Some(channels) = interleaved(offers) else { return status(StatusCode::UnsupportedTransport) };
        let session = Session {
            id: format!("{:016x}", fastrand::u64(..)),
            camera,
            packetizer: Packetizer::new(channels),
            playing: None,
            reported_at: None,
        };
        let transport = format!(
            "RTP/AVP/TCP;unicast;interleaved={}-{};ssrc={:08X};mode=\"PLAY\"",
            channels.0,
            channels.1,
            session.packetizer.ssrc()
        );
        let response = ok().header(TRANSPORT, transport).header(SESSION, session.header()).build(Vec::new());
        self.session = Some(session);
        response
    }

    fn play(&mut self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        if let Some(problem) = session_problem(self.session.as_ref(), request) {
            return status(problem);
        }
        let Some(session) = &mut self.session else { return status(StatusCode::SessionNotFound) };
        if session.playing.is_none() {
            session.playing = Some(session.camera.play());
        }
        let info = format!("url={}{TRACK};seq={}", base_url(request), session.packetizer.next_sequence());
        ok().header(SESSION, session.header())
            .header(RANGE, "npt=now-")
            .header(RTP_INFO, info)
            .build(Vec::new())
    }

    fn camera(&self, request: &Request<Vec<u8>>) -> Option<&Arc<SyntheticCamera>> {
        self.shared.camera(stream_path(request.request_uri()?.path()))
    }

    async fn send(&mut self, unit: &EncodedPicture) -> Result<(), ConnectionEnd> {
        let Some(session) = &mut self.session else { return Ok(()) };
        let mut out = Vec::with_capacity(unit.annex_b.len() + 512);
        session.packetizer.push(unit, &mut out);
        if session.reported_at.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL) {
            session.packetizer.sender_report(unit, &mut out);
            session.reported_at = Some(Instant::now());
        }
        self.write(&out).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), ConnectionEnd> {
        timeout(WRITE_PATIENCE, self.stream.write_all(bytes)).await.map_err(|_| ConnectionEnd::TooSlow)??;
        Ok(())
    }
}

impl Session {
    fn header(&self) -> String {
        format!("{};timeout={}", self.id, SESSION_LIFETIME.as_secs())
    }
}

/// The next picture for a client that plays; never for one that does not. Dropping it loses nothing.
async fn next_unit(session: Option<&mut Session>) -> Result<Arc<EncodedPicture>, ConnectionEnd> {
    match session.and_then(|session| session.playing.as_mut()) {
        Some(playing) => playing.units.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Lagged(_) => ConnectionEnd::TooSlow,
            broadcast::error::RecvError::Closed => ConnectionEnd::Dropped,
        }),
        None => std::future::pending().await,
    }
}

/// What is wrong with the session of a request that needs one.
fn session_problem(session: Option<&Session>, request: &Request<Vec<u8>>) -> Option<StatusCode> {
    let named = request.header(&SESSION).map(|value| value.as_str().split(';').next().unwrap_or("").trim());
    match (session, named) {
        (None, None) => Some(StatusCode::MethodNotValidInThisState),
        (Some(session), Some(named)) if session.id == named => None,
        _ => Some(StatusCode::SessionNotFound),
    }
}

/// The channels of the first interleaved transport among a client's offers (RFC 2326, 12.39).
fn interleaved(offers: &str) -> Option<(u8, u8)> {
    let offer = offers.split(',').map(str::trim).find(|offer| {
        offer.get(..11).is_some_and(|start| start.eq_ignore_ascii_case("RTP/AVP/TCP"))
            && !offer.contains("multicast")
    })?;
    let Some(wish) = offer.split(';').find_map(|part| part.trim().strip_prefix("interleaved=")) else {
        return Some((0, 1));
    };
    let (rtp, rtcp) = wish.split_once('-')?;
    Some((rtp.parse().ok()?, rtcp.parse().ok()?))
}

/// The stream's path in that of a request for it or for its track.
fn stream_path(path: &str) -> &str {
    path.strip_suffix(TRACK).unwrap_or(path).trim_end_matches('/')
}

/// The URL of the stream, as the client wrote it, with the slash that its track's name is joined to.
fn base_url(request: &Request<Vec<u8>>) -> String {
    let Some(url) = request.request_uri() else { return "/".to_owned() };
    let mut base = url.clone();
    base.set_query(None);
    let path = format!("{}/", stream_path(url.path()));
    base.set_path(&path);
    base.into()
}

fn method_name(request: &Request<Vec<u8>>) -> &str {
    request.method().into()
}

fn builder(status: StatusCode) -> ResponseBuilder {
    Response::builder(Version::V1_0, status).header(SERVER, "camera-capture demonstration")
}

fn ok() -> ResponseBuilder {
    builder(StatusCode::Ok)
}

fn status(status: StatusCode) -> Response<Vec<u8>> {
    builder(status).build(Vec::new())
}

fn write_message(message: &Message<Vec<u8>>, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = message.write(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_transports_in_the_connection_are_accepted() {
        assert_eq!(interleaved("RTP/AVP/TCP;unicast;interleaved=4-5"), Some((4, 5)));
        assert_eq!(interleaved("RTP/AVP;unicast;client_port=5000-5001, RTP/AVP/TCP;unicast"), Some((0, 1)));
        assert_eq!(interleaved("RTP/AVP;unicast;client_port=5000-5001"), None);
        assert_eq!(interleaved("RTP/AVP/TCP;interleaved=4-777"), None);
    }

    #[test]
    fn the_stream_is_found_by_its_own_path_and_that_of_its_track() {
        for path in ["/r1", "/r1/", "/r1/trackID=0"] {
            assert_eq!(stream_path(path), "/r1", "{path}");
        }
    }
}
