//! TLS of connections that are made from here, to cameras and to servers: what both have in common.
//!
//! Whose certificate is right is judged by whoever makes the connection ([`Judge`]); that the other end holds the key of
//! that certificate is proved here in every case.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, InvalidMessage,
    RootCertStore, SignatureScheme, WantsVerifier,
};

use crate::model::foreign;

/// Of what a certificate or a library says so many characters are shown.
const WORDS_MAX: usize = 100;

const DAY_S: u64 = 24 * 60 * 60;

/// What the other end shows.
#[derive(Clone, Copy, Debug)]
pub struct ShownCertificate<'a> {
    /// Its certificate.
    pub own: &'a CertificateDer<'a>,
    /// Those between it and an authority.
    pub others: &'a [CertificateDer<'a>],
    /// Whom we mean to speak to.
    pub name: &'a ServerName<'a>,
    /// What an authority says of it now.
    pub ocsp: &'a [u8],
    /// Now.
    pub now: UnixTime,
}

/// Whoever says whether a certificate is the right one.
pub trait Judge: fmt::Debug + Send + Sync + 'static {
    /// Whether it is.
    fn judge(&self, shown: &ShownCertificate<'_>) -> Result<(), rustls::Error>;

    /// What is said of an other end that could not prove to hold its certificate's key.
    fn unproven(&self, error: rustls::Error) -> rustls::Error {
        error
    }
}

/// How connections are made for which `judge` decides.
pub fn client(judge: impl Judge) -> Result<ClientConfig, rustls::Error> {
    let verifier = Arc::new(Verifier { provider: provider(), judge });
    Ok(builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// How connections are made that are not secured: it trusts nobody, so it needs no certificates.
pub fn plain() -> Result<ClientConfig, rustls::Error> {
    Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()
}

/// The authorities of this machine; may be empty. What cannot be read of them is missing, and then a certificate is not
/// known.
pub fn system_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// Authorities that are trusted; perhaps none.
#[derive(Debug)]
pub struct Chain(Option<Arc<WebPkiServerVerifier>>);

impl Chain {
    /// These.
    pub fn new(roots: RootCertStore) -> Self {
        // It fails where there are none.
        Self(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().ok())
    }

    /// Whether one of them vouches for a certificate at an instant, for its name, too.
    pub fn verify(&self, shown: &ShownCertificate<'_>, at: UnixTime) -> Result<(), rustls::Error> {
        let chain = self.0.as_ref().ok_or(CertificateError::UnknownIssuer)?;
        chain.verify_server_cert(shown.own, shown.others, shown.name, shown.ocsp, at).map(|_| ())
    }
}

/// The frame around a [`Judge`].
#[derive(Debug)]
struct Verifier<J> {
    provider: Arc<CryptoProvider>,
    judge: J,
}

impl<J: Judge> ServerCertVerifier for Verifier<J> {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.judge.judge(&ShownCertificate { own, others, name, ocsp, now })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, own, signature, algorithms)
            .map_err(|error| self.judge.unproven(error))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, own, signature, algorithms)
            .map_err(|error| self.judge.unproven(error))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Why there is no secured connection, as far as that is the same for cameras and servers.
#[derive(Clone, Debug, PartialEq)]
pub enum TlsFault<'a> {
    /// What answers does not speak TLS.
    NoTls,
    /// It speaks only versions or ciphers that are not safe any more.
    TooOld,
    /// It wants a certificate of ours.
    Asks,
    /// It does not serve the name that it was asked for.
    OtherName,
    /// Its certificate was refused here.
    Certificate(&'a CertificateError),
    /// Something else.
    Other,
}

impl<'a> TlsFault<'a> {
    /// What an error of the library means.
    pub fn of(error: &'a rustls::Error) -> Self {
        use AlertDescription as Alert;
        match error {
            rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge,
            ) => Self::NoTls,
            rustls::Error::PeerIncompatible(_)
            | rustls::Error::AlertReceived(
                Alert::ProtocolVersion | Alert::HandshakeFailure | Alert::InsufficientSecurity,
            ) => Self::TooOld,
            rustls::Error::AlertReceived(
                Alert::CertificateRequired | Alert::NoCertificate | Alert::AccessDenied,
            ) => Self::Asks,
            rustls::Error::AlertReceived(Alert::UnrecognisedName) => Self::OtherName,
            rustls::Error::InvalidCertificate(why) => Self::Certificate(why),
            _ => Self::Other,
        }
    }
}

/// The error of TLS in one of input and output, which an HTTP client may have wrapped several times.
pub fn within(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    match inner.downcast_ref::<rustls::Error>() {
        Some(error) => Some(error),
        None => inner.downcast_ref::<io::Error>().and_then(within),
    }
}

/// The first error of TLS among an error and its causes.
pub fn among<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        let found = error.downcast_ref::<rustls::Error>();
        if let Some(found) = found.or_else(|| error.downcast_ref::<io::Error>().and_then(within)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// What the library says, fit to be shown.
pub fn said(text: &str) -> String {
    foreign::line(text, WORDS_MAX)
}

/// Whole days from one instant to another; none where it is the earlier one.
pub fn days(from: UnixTime, to: UnixTime) -> u64 {
    to.as_secs().saturating_sub(from.as_secs()) / DAY_S
}

/// Names of a certificate, fit to be shown. The library says the kind of each: `DnsName("gate.example")`.
pub fn names(presented: &[String]) -> String {
    let bare = |name: &String| match name.split_once('(') {
        Some((_, name)) => name.trim_end_matches(')').trim_matches('"').to_owned(),
        None => name.clone(),
    };
    said(&presented.iter().map(bare).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_error_of_tls_is_found_however_often_it_was_wrapped() {
        let error = || rustls::Error::from(CertificateError::UnknownIssuer);
        let inner = || io::Error::new(io::ErrorKind::InvalidData, error());
        assert_eq!(within(&inner()), Some(&error()));
        assert_eq!(among(&io::Error::other(io::Error::other(inner()))), Some(&error()));
        assert_eq!(among(&error()), Some(&error()));
        assert_eq!(among(&io::Error::other("no")), None);
    }

    #[test]
    fn who_trusts_nobody_knows_no_certificate() {
        let name = ServerName::try_from("gate.example").unwrap();
        let own = CertificateDer::from(&b"\x30\x82"[..]);
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000));
        let shown = ShownCertificate { own: &own, others: &[], name: &name, ocsp: &[], now };
        let unknown = rustls::Error::from(CertificateError::UnknownIssuer);
        assert_eq!(Chain::new(RootCertStore::empty()).verify(&shown, now), Err(unknown));
    }

    proptest! {
        #[test]
        fn any_name_is_shown_in_one_clean_line(name in ".{0,40}") {
            let shown = names(&[name.clone(), format!("DnsName({name:?})")]);
            prop_assert!(shown.chars().all(|c| !c.is_control()));
        }
    }
}
