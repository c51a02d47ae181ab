//! TLS with a server: whether its certificate is the right one, and in words why there is no connection.
//!
//! A certificate is right if an authority of the system or of `UPLOAD_CA_FILE` vouches for it, or if it stands in that
//! file itself, byte for byte, as `openssl req -x509` makes one. Name and dates are checked in both cases. Of a server
//! whose certificate is pinned by its fingerprint (`UPLOAD_TLS_FINGERPRINT`) that one is right and no other, whatever is
//! written in it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, OtherError};

use super::{TargetError, misconfigured};
use crate::config::Fingerprint;
use crate::system::tls::{self, Chain, Judge, ShownCertificate, TlsFault};

/// The client of a connection that is not secured. It trusts nobody, so it needs no certificates.
pub(super) fn plain() -> Result<ClientConfig, TargetError> {
    made(tls::plain())
}

/// The client that trusts the authorities of the system, and `UPLOAD_CA_FILE` if there is one; from the host of `pin` it
/// takes only the certificate of that fingerprint.
pub(super) fn client(
    file: Option<&Path>,
    pin: Option<(&str, Fingerprint)>,
) -> Result<ClientConfig, TargetError> {
    let own = file.map_or_else(|| Ok(Vec::new()), certificates)?;
    let pin = pin.map(|(host, pin)| match ServerName::try_from(host.to_owned()) {
        Ok(host) => Ok((host, pin)),
        Err(_) => {
            Err(misconfigured(format!("{host} is no name that a secured connection could be made with")))
        }
    });
    let pin = pin.transpose()?;
    let mut roots = tls::system_authorities();
    roots.add_parsable_certificates(own.iter().cloned());
    if roots.is_empty() && pin.is_none() {
        return Err(misconfigured(
            "no secure connection can be made on this machine, because it has no certificates of authorities; install the \
             package ca-certificates"
                .to_owned(),
        ));
    }
    made(tls::client(Known { pin, chain: Chain::new(roots), own }))
}

fn made(client: Result<ClientConfig, rustls::Error>) -> Result<ClientConfig, TargetError> {
    let mut client = client.map_err(|error| {
        misconfigured(format!("no secure connection can be made on this machine: {error}"))
    })?;
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(client)
}

/// Those of `UPLOAD_CA_FILE`.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TargetError> {
    let failed = |what: String| misconfigured(format!("UPLOAD_CA_FILE, {}: {what}", path.display()));
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| failed(tls::said(&error.to_string())))?;
    if found.is_empty() {
        return Err(failed(
            "no certificate in it; it must be PEM, with BEGIN CERTIFICATE (openssl x509 -inform der -in FILE makes it of \
             another form)"
                .to_owned(),
        ));
    }
    Ok(found)
}

/// Which certificates of servers are right.
#[derive(Debug)]
struct Known {
    /// The host of which one certificate alone is right.
    pin: Option<(ServerName<'static>, Fingerprint)>,
    chain: Chain,
    /// Those that are trusted themselves.
    own: Vec<CertificateDer<'static>>,
}

/// A certificate that was refused; the library does not say which one it was.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{self:?}")]
enum Refused {
    /// It is not the one that is pinned.
    Changed { seen: Fingerprint },
    /// Nobody who is trusted vouches for it, or not for that name or now.
    Untrusted { seen: Fingerprint, why: CertificateError },
}

impl From<Refused> for rustls::Error {
    fn from(refused: Refused) -> Self {
        CertificateError::Other(OtherError(Arc::new(refused))).into()
    }
}

impl Judge for Known {
    fn judge(&self, shown: &ShownCertificate<'_>) -> Result<(), rustls::Error> {
        let seen = Fingerprint::of(shown.own);
        // A proxy on the way may be secured, too.
        if let Some((_, pin)) = self.pin.as_ref().filter(|(host, _)| host == shown.name) {
            return if *pin == seen { Ok(()) } else { Err(Refused::Changed { seen }.into()) };
        }
        let Err(why) = self.chain.verify(shown, shown.now) else { return Ok(()) };
        let is_known = self.own.iter().any(|known| known.as_ref() == shown.own.as_ref());
        if is_known && are_dates_right(&why) {
            let named =
                ParsedCertificate::try_from(shown.own).and_then(|own| verify_server_name(&own, shown.name));
            return named.map_err(|why| Refused::of(seen, why));
        }
        Err(Refused::of(seen, why))
    }
}

/// Whether a chain failed over something that the library looks at only after the dates of the server's certificate: its
/// issuer, its purpose, or that it may vouch for others, which one that was signed by itself mostly may.
fn are_dates_right(why: &rustls::Error) -> bool {
    use CertificateError as Wrong;
    match why {
        rustls::Error::InvalidCertificate(
            Wrong::UnknownIssuer | Wrong::InvalidPurpose | Wrong::InvalidPurposeContext { .. },
        ) => true,
        // The library's own error, which has no name here.
        rustls::Error::InvalidCertificate(Wrong::Other(other)) => {
            other.to_string().contains("CaUsedAsEndEntity")
        }
        _ => false,
    }
}

/// A server to which there is no secured connection, and what to set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// The variable its address stands in.
    pub(super) address: &'a str,
    /// `UPLOAD_CA_FILE`.
    pub(super) file: Option<&'a Path>,
    /// The variable its certificate is, or may be, pinned by.
    pub(super) pin: Option<&'a str>,
}

/// What the operator reads.
pub(super) fn words(error: &rustls::Error, server: Server<'_>) -> String {
    let Server { host, port, address: setting, .. } = server;
    match TlsFault::of(error) {
        TlsFault::NoTls => format!(
            "{host}:{port} does not speak TLS; is its address http:// instead of https://? set {setting} to http://, or to \
             the port of the secured service"
        ),
        TlsFault::TooOld => format!(
            "{host}:{port} refused the secured connection: it offers only versions or ciphers of TLS that are too old; TLS \
             1.2 with ECDHE and AES-GCM or ChaCha20 is the least that is taken; switch that on at the server, or put a \
             proxy with a newer TLS before it"
        ),
        TlsFault::OtherName => format!(
            "the server at {host}:{port} does not serve the name {host}; use the name of its certificate in {setting}"
        ),
        TlsFault::Asks => format!(
            "{host}:{port} wants a certificate of its client, which this version does not have; switch that off at the \
             server"
        ),
        TlsFault::Certificate(why) => {
            let own = match why {
                CertificateError::Other(OtherError(own)) => own.downcast_ref::<Refused>(),
                _ => None,
            };
            own.map_or_else(|| untrusted(why, server), |refused| refused.say(server))
        }
        TlsFault::Other => {
            format!("no secured connection with {host}:{port}: {}", tls::said(&error.to_string()))
        }
    }
}

impl Refused {
    fn of(seen: Fingerprint, error: rustls::Error) -> rustls::Error {
        match error {
            rustls::Error::InvalidCertificate(why) => Self::Untrusted { seen, why }.into(),
            error => error,
        }
    }

    fn say(&self, server: Server<'_>) -> String {
        let Server { host, port, pin, .. } = server;
        match (self, pin) {
            (Self::Changed { seen }, pin) => {
                let pin = pin.unwrap_or("UPLOAD_TLS_FINGERPRINT");
                format!(
                    "the certificate of {host}:{port} is not the one in {pin}: either the server has a new one, or another \
                     machine answers in its place; no picture was sent to it; ask at the server for the SHA-256 \
                     fingerprint of its certificate, and only if it is the one seen, set {pin}={seen}"
                )
            }
            (Self::Untrusted { seen, why }, Some(pin)) => format!(
                "{}; or take this very one whatever is written in it, if its SHA-256 fingerprint is the same at the server, \
                 with {pin}={seen}",
                untrusted(why, server)
            ),
            // A proxy.
            (Self::Untrusted { why, .. }, None) => untrusted(why, server),
        }
    }
}

fn untrusted(why: &CertificateError, server: Server<'_>) -> String {
    let Server { host, address, file, .. } = server;
    format!("the certificate of {host} is not trusted: {}", certificate(why, host, address, file))
}

fn certificate(why: &CertificateError, host: &str, setting: &str, file: Option<&Path>) -> String {
    use CertificateError as Wrong;
    let clock = "is the clock of this machine right? if it is, the server needs a new certificate";
    match why {
        Wrong::ExpiredContext { time, not_after } => {
            format!("it expired {} days ago; {clock}", tls::days(*not_after, *time))
        }
        Wrong::Expired => format!("it has expired; {clock}"),
        Wrong::NotValidYetContext { time, not_before } => {
            format!("it is not valid yet, only in {} days; {clock}", tls::days(*time, *not_before))
        }
        Wrong::NotValidYet => format!("it is not valid yet; {clock}"),
        Wrong::NotValidForName => another_name("", host, setting),
        Wrong::NotValidForNameContext { presented, .. } => {
            another_name(&tls::names(presented), host, setting)
        }
        Wrong::UnknownIssuer => {
            let place = match file {
                Some(file) => format!(
                    "neither among this machine's authorities nor in {}; that file needs the certificate of the authority \
                     that made it (with all between), or the server's own as it is now",
                    file.display()
                ),
                None => "not among this machine's authorities; the certificate of a private authority, or the server's own \
                         if it signed it itself, goes into UPLOAD_CA_FILE"
                    .to_owned(),
            };
            format!("who made it is {place}")
        }
        Wrong::BadSignature | Wrong::UnsupportedSignatureAlgorithmContext { .. } => format!(
            "its signature cannot be checked ({}); make a new one with SHA-256 and a key of at least 2048 bits (RSA) or 256 \
             bits (ECDSA)",
            tls::said(&why.to_string())
        ),
        _ => {
            let said = tls::said(&format!("{why:?}"));
            let mut words = said.clone();
            if said.contains("CaUsedAsEndEntity") {
                words = "it may vouch for others (CA:TRUE), which no server's may".to_owned();
            }
            // The library's errors have no words of their own.
            let _ = write!(
                words,
                "; put this very certificate into UPLOAD_CA_FILE, or make one with basicConstraints=critical,CA:FALSE and \
                 subjectAltName={}",
                alternative(host)
            );
            words
        }
    }
}

fn another_name(names: &str, host: &str, setting: &str) -> String {
    if names.is_empty() {
        return format!(
            "no name stands in it where one is looked for (subjectAltName; the one in CN does not count any more); make a \
             new one with -addext subjectAltName={}",
            alternative(host)
        );
    }
    format!(
        "it is made out to {names}, not to {host}; use that name in {setting}, or make one with \
         subjectAltName={}",
        alternative(host)
    )
}

/// How OpenSSL calls a host.
fn alternative(host: &str) -> String {
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => format!("IP:{address}"),
        Err(_) => format!("DNS:{host}"),
    }
}

/// Whether a server says, to a request without TLS, that its port wants TLS: nginx, Apache, Go and Caddy, Tomcat, IIS.
pub(super) fn is_wanted_by(status: u16, body: &str) -> bool {
    let body = body.to_ascii_lowercase();
    matches!(status, 400 | 403 | 426 | 497)
        && [
            "plain http request was sent to https port",
            "plain http to an ssl-enabled",
            "http request to an https server",
            "requires tls",
            "requires secure channel",
            "must be viewed over a secure channel",
            "ssl required",
            "ssl (403.4)",
        ]
        .iter()
        .any(|words| body.contains(words))
}

#[cfg(test)]
#[path = "secure_tests.rs"]
mod tests;
