//! TLS with a server: whether its certificate is the right one, and in words why there is no connection.
//!
//! A certificate is right if an authority of the system or of `UPLOAD_CA_FILE` vouches for it, or if it stands in that
//! file itself, byte for byte, as `openssl req -x509` makes one. Name and dates are checked in both cases.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, InvalidMessage, RootCertStore,
    SignatureScheme,
};

use super::{TargetError, misconfigured};
use crate::model::foreign;

/// Of what a certificate or a library says so many characters are shown.
const WORDS_MAX: usize = 100;

const DAY_S: u64 = 24 * 60 * 60;

/// The client of a connection that is not secured. It trusts nobody, so it needs no certificates.
pub(super) fn plain() -> Result<ClientConfig, TargetError> {
    let config = builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    Ok(with_http(config))
}

/// The client that trusts the authorities of the system, and `UPLOAD_CA_FILE` if there is one.
pub(super) fn client(file: Option<&Path>) -> Result<ClientConfig, TargetError> {
    let own = file.map_or_else(|| Ok(Vec::new()), certificates)?;
    let mut roots = RootCertStore::empty();
    // What cannot be read of them is missing, and then a certificate is not known.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.add_parsable_certificates(own.iter().cloned());
    if roots.is_empty() {
        return Err(misconfigured(
            "no secure connection can be made on this machine, because it has no certificates of authorities; install the \
             package ca-certificates"
                .to_owned(),
        ));
    }
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().map_err(
        |error| misconfigured(format!("no secure connection can be made on this machine: {error}")),
    )?;
    let verifier = Arc::new(Verifier { chain, own });
    let config = builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    Ok(with_http(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TargetError> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| misconfigured(format!("no secure connection can be made on this machine: {error}")))
}

fn with_http(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// Those of `UPLOAD_CA_FILE`.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TargetError> {
    let failed = |what: String| misconfigured(format!("UPLOAD_CA_FILE, {}: {what}", path.display()));
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| failed(foreign::line(&error.to_string(), WORDS_MAX)))?;
    if found.is_empty() {
        return Err(failed(
            "no certificate in it; it must be PEM, with BEGIN CERTIFICATE (openssl x509 -inform der -in FILE makes it of \
             another form)"
                .to_owned(),
        ));
    }
    Ok(found)
}

/// Looks at the certificate of a server.
#[derive(Debug)]
struct Verifier {
    chain: Arc<WebPkiServerVerifier>,
    /// Those that are trusted themselves.
    own: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Err(why) = self.chain.verify_server_cert(own, others, name, ocsp, now) else {
            return Ok(ServerCertVerified::assertion());
        };
        let is_known = self.own.iter().any(|known| known.as_ref() == own.as_ref());
        if !is_known || !are_dates_right(&why) {
            return Err(why);
        }
        verify_server_name(&ParsedCertificate::try_from(own)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, own, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, own, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
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

/// The error of TLS among an error and its causes.
pub(super) fn among<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        let mut layer = error.downcast_ref::<io::Error>();
        while let Some(inner) = layer.and_then(io::Error::get_ref) {
            if let Some(found) = inner.downcast_ref::<rustls::Error>() {
                return Some(found);
            }
            layer = inner.downcast_ref::<io::Error>();
        }
        next = error.source();
    }
    None
}

/// What the operator reads: no connection to `host`:`port`, whose address stands in `setting`; `file` is `UPLOAD_CA_FILE`.
pub(super) fn words(
    error: &rustls::Error,
    host: &str,
    port: u16,
    setting: &str,
    file: Option<&Path>,
) -> String {
    use AlertDescription as Alert;
    match error {
        rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge,
        ) => format!(
            "{host}:{port} does not speak TLS; is its address http:// instead of https://? set {setting} to http://, or to \
             the port of the secured service"
        ),
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::AlertReceived(
            Alert::ProtocolVersion | Alert::HandshakeFailure | Alert::InsufficientSecurity,
        ) => format!(
            "{host}:{port} refused the secured connection: it offers only versions or ciphers of TLS that are too old; TLS \
             1.2 with ECDHE and AES-GCM or ChaCha20 is the least that is taken; switch that on at the server, or put a \
             proxy with a newer TLS before it"
        ),
        rustls::Error::AlertReceived(Alert::UnrecognisedName) => format!(
            "the server at {host}:{port} does not serve the name {host}; use the name of its certificate in {setting}"
        ),
        rustls::Error::AlertReceived(
            Alert::CertificateRequired | Alert::NoCertificate | Alert::AccessDenied,
        ) => {
            format!(
                "{host}:{port} wants a certificate of its client, which this version does not have; switch that off at the \
                 server"
            )
        }
        rustls::Error::InvalidCertificate(why) => {
            format!("the certificate of {host} is not trusted: {}", certificate(why, host, setting, file))
        }
        _ => format!(
            "no secured connection with {host}:{port}: {}",
            foreign::line(&error.to_string(), WORDS_MAX)
        ),
    }
}

fn certificate(why: &CertificateError, host: &str, setting: &str, file: Option<&Path>) -> String {
    use CertificateError as Wrong;
    let days = |from: UnixTime, to: UnixTime| to.as_secs().saturating_sub(from.as_secs()) / DAY_S;
    let clock = "is the clock of this machine right? if it is, the server needs a new certificate";
    match why {
        Wrong::ExpiredContext { time, not_after } => {
            format!("it expired {} days ago; {clock}", days(*not_after, *time))
        }
        Wrong::Expired => format!("it has expired; {clock}"),
        Wrong::NotValidYetContext { time, not_before } => {
            format!("it is not valid yet, only in {} days; {clock}", days(*time, *not_before))
        }
        Wrong::NotValidYet => format!("it is not valid yet; {clock}"),
        Wrong::NotValidForName => another_name("", host, setting),
        Wrong::NotValidForNameContext { presented, .. } => another_name(&names(presented), host, setting),
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
            foreign::line(&why.to_string(), WORDS_MAX)
        ),
        _ => {
            let said = foreign::line(&format!("{why:?}"), WORDS_MAX);
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

/// Names of a certificate, of which the library says the kind: `DnsName("gate.example")`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| match name.split_once('(') {
        Some((_, name)) => name.trim_end_matches(')').trim_matches('"').to_owned(),
        None => name.clone(),
    };
    foreign::line(&presented.iter().map(bare).collect::<Vec<_>>().join(", "), WORDS_MAX)
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
