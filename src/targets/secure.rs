//! TLS with a server: whether its certificate is the right one, and in words why there is no connection.
//!
//! A certificate is right if an authority of the system or of `UPLOAD_CA_FILE` vouches for it, or if it stands in that
//! file itself, byte for byte, as `openssl req -x509` makes one. Name and dates are checked in both cases. Of a server
//! whose certificate is pinned by its fingerprint (`UPLOAD_TLS_FINGERPRINT`) that one is right and no other, whatever is
//! written in it.

use std::path::Path;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, OtherError};

use super::{TargetError, misconfigured};
use crate::config::Fingerprint;
use crate::model::UploadFault;
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
        Err(_) => Err(misconfigured(UploadFault::NoTlsName { host: host.to_owned() })),
    });
    let pin = pin.transpose()?;
    let mut roots = tls::system_authorities();
    roots.add_parsable_certificates(own.iter().cloned());
    if roots.is_empty() && pin.is_none() {
        return Err(misconfigured(UploadFault::NoAuthorities));
    }
    made(tls::client(Known { pin, chain: Chain::new(roots), own }))
}

fn made(client: Result<ClientConfig, rustls::Error>) -> Result<ClientConfig, TargetError> {
    let mut client =
        client.map_err(|error| misconfigured(UploadFault::NoTlsClient { error: error.to_string() }))?;
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(client)
}

/// Those of `UPLOAD_CA_FILE`.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TargetError> {
    let file = || path.display().to_string();
    let failed = |error: String| misconfigured(UploadFault::CaFileUnreadable { file: file(), error });
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| failed(tls::said(&error.to_string())))?;
    if found.is_empty() {
        return Err(misconfigured(UploadFault::CaFileEmpty { file: file() }));
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

/// Why there is no secured connection.
pub(super) fn fault(error: &rustls::Error, server: Server<'_>) -> UploadFault {
    let target = format!("{}:{}", server.host, server.port);
    let setting = server.address.to_owned();
    match TlsFault::of(error) {
        TlsFault::NoTls => UploadFault::TlsMissing { target, setting },
        TlsFault::TooOld => UploadFault::TlsTooOld { target },
        TlsFault::OtherName => UploadFault::TlsNameUnknown { target, host: server.host.to_owned(), setting },
        TlsFault::Asks => UploadFault::TlsClientCertificate { target },
        TlsFault::Certificate(why) => {
            let own = match why {
                CertificateError::Other(OtherError(own)) => own.downcast_ref::<Refused>(),
                _ => None,
            };
            own.map_or_else(|| untrusted(why, server, None), |refused| refused.fault(server))
        }
        TlsFault::Other => UploadFault::TlsFailed { target, error: tls::said(&error.to_string()) },
    }
}

impl Refused {
    fn of(seen: Fingerprint, error: rustls::Error) -> rustls::Error {
        match error {
            rustls::Error::InvalidCertificate(why) => Self::Untrusted { seen, why }.into(),
            error => error,
        }
    }

    fn fault(&self, server: Server<'_>) -> UploadFault {
        match self {
            Self::Changed { seen } => UploadFault::CertificateChanged {
                target: format!("{}:{}", server.host, server.port),
                pin: server.pin.unwrap_or("UPLOAD_TLS_FINGERPRINT").to_owned(),
                seen: seen.to_string(),
            },
            // A proxy has no pin.
            Self::Untrusted { seen, why } => untrusted(why, server, server.pin.map(|pin| (pin, seen))),
        }
    }
}

/// Why a certificate is not taken, and by which setting this very one would be.
fn untrusted(why: &CertificateError, server: Server<'_>, pin: Option<(&str, &Fingerprint)>) -> UploadFault {
    use CertificateError as Wrong;
    let host = server.host.to_owned();
    let (pin, seen) = pin.map(|(pin, seen)| (pin.to_owned(), seen.to_string())).unzip();
    let alternative = alternative(server.host);
    match why {
        Wrong::ExpiredContext { time, not_after } => {
            let days = Some(tls::days(*not_after, *time));
            UploadFault::CertificateExpired { host, days, pin, seen }
        }
        Wrong::Expired => UploadFault::CertificateExpired { host, days: None, pin, seen },
        Wrong::NotValidYetContext { time, not_before } => {
            let days = Some(tls::days(*time, *not_before));
            UploadFault::CertificateTooNew { host, days, pin, seen }
        }
        Wrong::NotValidYet => UploadFault::CertificateTooNew { host, days: None, pin, seen },
        Wrong::NotValidForName => UploadFault::CertificateNameless { host, alternative, pin, seen },
        Wrong::NotValidForNameContext { presented, .. } => match tls::names(presented) {
            names if names.is_empty() => UploadFault::CertificateNameless { host, alternative, pin, seen },
            names => {
                let setting = server.address.to_owned();
                UploadFault::CertificateOfOthers { host, names, setting, alternative, pin, seen }
            }
        },
        Wrong::UnknownIssuer => {
            let file = server.file.map(|file| file.display().to_string());
            UploadFault::CertificateUnknownIssuer { host, file, pin, seen }
        }
        Wrong::BadSignature | Wrong::UnsupportedSignatureAlgorithmContext { .. } => {
            let error = tls::said(&why.to_string());
            UploadFault::CertificateBadSignature { host, error, pin, seen }
        }
        // The library's errors have no words of their own.
        _ => match tls::said(&format!("{why:?}")) {
            said if said.contains("CaUsedAsEndEntity") => {
                UploadFault::CertificateOfAuthority { host, alternative, pin, seen }
            }
            error => UploadFault::CertificateUntrusted { host, error, alternative, pin, seen },
        },
    }
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
