//! The way to a target, looked at step by step: its name, a connection, the proxy, TLS. Nothing of a picture goes out on
//! it, and whether pictures arrive is not told by it; it tells where they get stuck.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::certificate::CertificateFacts;
use super::http::Http;
use super::tryout_report::{
    Certificate, ConnectionOutcome, ConnectionReport, StepKind, TryoutSeen, TryoutStep,
};
use crate::clock;
use crate::config::ProxyConfig;
use crate::model::{UnixMs, foreign, secrets};
use crate::system::tls::{self, Judge, ShownCertificate};

/// Longest step; a delivery has as long for all of them together.
const STEP_LIMIT: Duration = Duration::from_secs(10);

/// Once one address has answered, the others may take so much longer.
const OTHERS_LIMIT: Duration = Duration::from_secs(2);

/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Longest head of a proxy's answer, bytes.
const HEAD_MAX: usize = 8 << 10;

/// Of foreign words so many characters are shown.
const WORDS_MAX: usize = 200;

/// A certificate that ends sooner is said.
const DAYS_SOON: i64 = 14;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A connection of any kind.
trait Line: AsyncRead + AsyncWrite + Unpin + Send {}

impl<L: AsyncRead + AsyncWrite + Unpin + Send> Line for L {}

type Stream = Box<dyn Line>;

/// The way to one target.
pub(super) struct Way<'a> {
    http: &'a Http,
    /// No step goes on after.
    ends_by: Instant,
}

impl<'a> Way<'a> {
    pub(super) fn new(http: &'a Http, ends_by: Instant) -> Self {
        Self { http, ends_by }
    }

    /// Looks at each step and tells it, until one fails. Returns whether the way is open.
    pub(super) async fn look(&self, tell: &mut (dyn FnMut(TryoutStep) + Send)) -> bool {
        let (step, addresses) = self.name().await;
        tell(step);
        let Some(addresses) = addresses else { return false };
        let (step, connected) = self.tcp(addresses).await;
        tell(step);
        let Some((address, stream)) = connected else { return false };
        if !self.http.is_secured {
            return true;
        }
        let mut stream: Stream = Box::new(stream);
        if let Some(proxy) = &self.http.proxy {
            let began = Instant::now();
            let opened = self.tunnel(proxy, stream).await;
            let text = match &opened {
                Ok(_) => format!("opened the way to {}:{}", self.http.host, self.http.port),
                Err(why) => why.clone(),
            };
            tell(step_of(StepKind::Proxy, opened.is_ok(), text, began, None));
            match opened {
                Ok(opened) => stream = opened,
                Err(_) => return false,
            }
        }
        let step = self.tls(stream, address).await;
        let is_open = step.ok == Some(true);
        tell(step);
        is_open
    }

    fn limit(&self) -> Duration {
        STEP_LIMIT.min(self.ends_by.saturating_duration_since(Instant::now()))
    }

    /// The addresses of the first machine on the way.
    async fn name(&self) -> (TryoutStep, Option<Vec<SocketAddr>>) {
        let began = Instant::now();
        let hop = self.http.first_hop();
        let (host, proxy) = (hop.host.clone(), self.http.proxy.as_ref());
        let found = timeout(self.limit(), lookup_host((hop.host.as_str(), hop.port))).await;
        let (addresses, mut text) = match found {
            Ok(Ok(found)) => {
                let addresses: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
                (addresses, String::new())
            }
            Ok(Err(error)) => (Vec::new(), no_name(&host, &error)),
            Err(_) => (Vec::new(), format!("nobody told the address of {host}; is this machine on line?")),
        };
        let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
        if text.is_empty() {
            text = match (host.parse::<IpAddr>().is_ok(), shown.len()) {
                (_, 0) => format!("the name {host} has no address; is it right?"),
                (true, _) => format!("{host} is an address, no name has to be looked up"),
                (false, _) => format!("{host} has {}", shown.join(", ")),
            };
        }
        if proxy.is_some() {
            let name = &hop.name();
            let rest = if self.http.is_secured { "" } else { "; it is asked for the target by its address" };
            text = format!("{name} is on the way: {text}{rest}");
        }
        let seen = TryoutSeen::Name { host, proxy: proxy.map(|proxy| proxy.setting), addresses: shown };
        let is_found = !addresses.is_empty();
        (step_of(StepKind::Name, is_found, text, began, Some(seen)), is_found.then_some(addresses))
    }

    /// A connection to each of the addresses; the first that is there goes on.
    async fn tcp(&self, addresses: Vec<SocketAddr>) -> (TryoutStep, Option<(SocketAddr, TcpStream)>) {
        let began = Instant::now();
        let (connections, connected) = connect(addresses, self.limit()).await;
        let mut text: Vec<String> = connections
            .iter()
            .map(|connection| format!("{} {}", connection.address, connection.outcome.words()))
            .collect();
        if connected.is_none() {
            text.push(advice(&connections).to_owned());
            text.extend(
                self.http.proxy.as_ref().map(|proxy| format!("this is the proxy in {}", proxy.setting)),
            );
        } else if connections.iter().any(|connection| connection.outcome != ConnectionOutcome::Connected) {
            text.push("deliveries take the address that works".to_owned());
        }
        let mut step = step_of(StepKind::Tcp, connected.is_some(), text.join("; "), began, None);
        let first =
            connections.iter().filter(|connection| connection.outcome == ConnectionOutcome::Connected);
        step.ms = first.map(|connection| connection.ms).min().unwrap_or(step.ms);
        step.seen = Some(TryoutSeen::Connections { connections });
        (step, connected)
    }

    /// Has a proxy open the way (RFC 9110 section 9.3.6).
    async fn tunnel(&self, proxy: &ProxyConfig, stream: Stream) -> Result<Stream, String> {
        let name = self.http.first_hop().name();
        let limit = self.limit();
        timeout(limit, self.tunnelled(proxy, stream)).await.unwrap_or_else(|_| {
            Err(format!("{name} accepted the connection but did not answer within {} s", limit.as_secs()))
        })
    }

    async fn tunnelled(&self, proxy: &ProxyConfig, mut stream: Stream) -> Result<Stream, String> {
        let Http { host, port, secrets: hidden, .. } = self.http;
        let name = self.http.first_hop().name();
        let broke = |error: io::Error| {
            format!(
                "the connection to {name} broke: {}; is it a proxy?",
                hidden.words(&error.to_string(), WORDS_MAX)
            )
        };
        let url = proxy.address.reveal();
        if url.scheme() == "https" {
            let (host, port) = proxy.place();
            let config = self.http.secured().map_err(|error| error.to_string())?;
            let secured = handshake(config, &host, stream).await;
            let secured = secured.map_err(|error| self.untrusted(&error, &host, port, proxy.setting))?;
            stream = Box::new(secured);
        }
        let place = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n");
        if !url.username().is_empty() || url.password().is_some() {
            let decoded = secrets::percent_decoded;
            let login =
                format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()));
            request.push_str(&format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(login)));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.map_err(broke)?;
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_MAX {
            // A server behind it says nothing before it is asked.
            if stream.read_buf(&mut head).await.map_err(broke)? == 0 {
                break;
            }
        }
        let head = String::from_utf8_lossy(&head);
        let mut words = head.lines().next().unwrap_or_default().split_whitespace();
        let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/"));
        match words.next().and_then(|status| status.parse::<u16>().ok()).filter(|_| is_http) {
            Some(200..=299) => Ok(stream),
            Some(407) => Err(self.http.wants_login(proxy).to_string()),
            Some(status) => Err(format!(
                "{name} did not let a connection to {place} through: it answered {status}; allow it there, or set {} to \
                 another proxy",
                proxy.setting
            )),
            None => Err(format!(
                "{name} did not answer as a proxy does; is the address in {} right?",
                proxy.setting
            )),
        }
    }

    /// TLS with the target, and its certificate.
    async fn tls(&self, stream: Stream, address: SocketAddr) -> TryoutStep {
        let began = Instant::now();
        let Http { host, port, settings, .. } = self.http;
        let failed = |text: String, seen| step_of(StepKind::Tls, false, text, began, seen);
        let config = match self.http.secured() {
            Ok(config) => config,
            Err(error) => return failed(error.to_string(), None),
        };
        let limit = self.limit();
        let secured = match timeout(limit, handshake(config, host, stream)).await {
            Ok(Ok(secured)) => secured,
            Ok(Err(error)) => {
                let text = self.untrusted(&error, host, *port, &settings.address);
                let is_about_certificate = matches!(
                    tls::among(&error),
                    Some(rustls::Error::InvalidCertificate(_) | rustls::Error::General(_))
                );
                let shown = if is_about_certificate { self.shown(address).await } else { None };
                let seen =
                    TryoutSeen::Secured { version: None, certificate: shown.as_ref().map(certificate) };
                let text = match &shown {
                    Some(facts) => format!("{text}; the certificate is {}", described(facts, clock::now())),
                    None => text,
                };
                return failed(text, Some(seen));
            }
            Err(_) => {
                let text = format!(
                    "{host}:{port} accepted the connection but did not answer in TLS within {} s; does that port speak TLS? \
                     if not, set {} to http://",
                    limit.as_secs(),
                    settings.address
                );
                return failed(text, None);
            }
        };
        let (_, session) = secured.get_ref();
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => Some("TLS 1.3"),
            Some(ProtocolVersion::TLSv1_2) => Some("TLS 1.2"),
            _ => None,
        };
        let facts = session.peer_certificates().and_then(|chain| self.facts(chain.first()?));
        let mut text = version.unwrap_or("secured").to_owned();
        if let Some(facts) = &facts {
            text.push_str(&format!("; the certificate is {}", described(facts, clock::now())));
        }
        let seen = TryoutSeen::Secured { version, certificate: facts.as_ref().map(certificate) };
        step_of(StepKind::Tls, true, text, began, Some(seen))
    }

    /// Why a connection was not secured, in words.
    fn untrusted(&self, error: &io::Error, host: &str, port: u16, setting: &str) -> String {
        let text = match tls::among(error) {
            Some(error) => self.http.untrusted(error, host, port, setting).to_string(),
            None if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                format!(
                    "{host}:{port} closed the connection before it was secured; does that port speak TLS? if not, set {setting} \
                 to http://"
                )
            }
            None => format!(
                "no secured connection with {host}:{port}: {}",
                foreign::line(&error.to_string(), WORDS_MAX)
            ),
        };
        self.http.secrets.strike(text)
    }

    /// The certificate of a server that is not trusted, on a connection that ends with it.
    async fn shown(&self, address: SocketAddr) -> Option<CertificateFacts> {
        let look = Look::default();
        let config = tls::client(look.clone()).ok()?;
        let connection = async {
            let mut stream: Stream = Box::new(TcpStream::connect(address).await.ok()?);
            if let Some(proxy) = &self.http.proxy {
                stream = self.tunnelled(proxy, stream).await.ok()?;
            }
            handshake(config, &self.http.host, stream).await.ok()
        };
        // It ends with an error, for nothing is trusted by it.
        let _ = timeout(self.limit(), connection).await;
        let seen = look.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.facts(&seen?)
    }

    fn facts(&self, der: &CertificateDer<'_>) -> Option<CertificateFacts> {
        let mut facts = CertificateFacts::read(der)?;
        let clean = |text: &String| self.http.secrets.words(text, WORDS_MAX);
        facts.names = facts.names.iter().map(clean).collect();
        facts.issuer = clean(&facts.issuer);
        Some(facts)
    }
}

fn step_of(kind: StepKind, ok: bool, text: String, began: Instant, seen: Option<TryoutSeen>) -> TryoutStep {
    TryoutStep { kind, ok: Some(ok), text, ms: ms(began.elapsed()), seen }
}

pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Why a name has no address (gai_strerror(3)): nobody could be asked, or nobody knows it.
fn no_name(host: &str, error: &io::Error) -> String {
    let said = foreign::line(&error.to_string(), WORDS_MAX);
    if said.contains("Temporary failure") {
        format!("no name server told the address of {host} ({said}); is this machine on line?")
    } else {
        format!("the name {host} was not found ({said}); is it spelt right, and is this machine on line?")
    }
}

/// What to look at when there is no connection.
fn advice(connections: &[ConnectionReport]) -> &'static str {
    let is_any = |outcome| connections.iter().any(|connection| connection.outcome == outcome);
    if is_any(ConnectionOutcome::Refused) {
        "nothing listens there: does the server run, and is the port right?"
    } else if is_any(ConnectionOutcome::TimedOut) {
        "nothing came back: is that machine on, and does no firewall drop it?"
    } else {
        "is the network of this machine up?"
    }
}

/// Connects to all addresses at once.
async fn connect(
    addresses: Vec<SocketAddr>,
    limit: Duration,
) -> (Vec<ConnectionReport>, Option<(SocketAddr, TcpStream)>) {
    let began = Instant::now();
    let mut found: Vec<ConnectionReport> = addresses
        .iter()
        .map(|address| ConnectionReport {
            address: address.to_string(),
            outcome: ConnectionOutcome::TimedOut,
            ms: 0,
        })
        .collect();
    let mut tries = JoinSet::new();
    for (place, address) in addresses.iter().copied().enumerate() {
        tries.spawn(async move { (place, TcpStream::connect(address).await) });
    }
    let mut ends_by = began + limit;
    let mut connected: Option<(usize, TcpStream)> = None;
    while let Ok(Some(tried)) = tokio::time::timeout_at(ends_by, tries.join_next()).await {
        let Ok((place, tried)) = tried else { continue };
        let (outcome, stream) = match tried {
            Ok(stream) => (ConnectionOutcome::Connected, Some(stream)),
            Err(error) => (outcome(&error), None),
        };
        found[place].outcome = outcome;
        found[place].ms = ms(began.elapsed());
        if let (Some(stream), None) = (stream, &connected) {
            connected = Some((place, stream));
            ends_by = ends_by.min(Instant::now() + OTHERS_LIMIT);
        }
    }
    for connection in found.iter_mut().filter(|one| one.outcome == ConnectionOutcome::TimedOut && one.ms == 0)
    {
        connection.ms = ms(began.elapsed());
    }
    (found, connected.map(|(place, stream)| (addresses[place], stream)))
}

fn outcome(error: &io::Error) -> ConnectionOutcome {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => ConnectionOutcome::Refused,
        Kind::TimedOut => ConnectionOutcome::TimedOut,
        Kind::NetworkUnreachable | Kind::HostUnreachable | Kind::NetworkDown | Kind::AddrNotAvailable => {
            ConnectionOutcome::Unreachable
        }
        _ => ConnectionOutcome::Failed,
    }
}

async fn handshake(
    config: ClientConfig,
    host: &str,
    stream: Stream,
) -> io::Result<tokio_rustls::client::TlsStream<Stream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// A certificate for people.
fn described(facts: &CertificateFacts, now: UnixMs) -> String {
    let names = if facts.names.is_empty() { "nobody".to_owned() } else { facts.names.join(", ") };
    let issuer = match facts.issuer.as_str() {
        _ if facts.is_own => "itself",
        "" => "somebody without a name",
        issuer => issuer,
    };
    let end = facts.not_after.map_or_else(String::new, |end| {
        let left_ms = end.0.saturating_sub(now.0);
        let days = left_ms / DAY_MS;
        let left = match days {
            _ if left_ms < 0 => format!("over for {} days", -days),
            ..DAYS_SOON => format!("{days} days left, renew it soon"),
            _ => format!("{days} days left"),
        };
        format!(", valid until {} ({left})", end.day())
    });
    format!("made out to {names}, by {issuer}{end}")
}

fn certificate(facts: &CertificateFacts) -> Certificate {
    Certificate {
        names: facts.names.clone(),
        issuer: facts.issuer.clone(),
        not_before: facts.not_before,
        not_after: facts.not_after,
    }
}

/// Looks at a certificate and trusts nobody.
#[derive(Clone, Debug, Default)]
struct Look(Arc<Mutex<Option<CertificateDer<'static>>>>);

impl Judge for Look {
    fn judge(&self, shown: &ShownCertificate<'_>) -> Result<(), rustls::Error> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown.own.clone().into_owned());
        Err(rustls::Error::General("looked at".to_owned()))
    }
}

#[cfg(test)]
#[path = "way_tests.rs"]
mod tests;
