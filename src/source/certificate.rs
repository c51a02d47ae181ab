//! TLS with a camera: whether its certificate is the right one, and in words why there is no connection.
//!
//! A certificate of a camera is mostly made by itself, for another name, and for years that are over. One that is pinned
//! by its fingerprint, or stands itself in the file of the operator, is right whatever is written in it; of every other
//! chain, dates and name are checked. In all cases the camera has to prove that it holds the key.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, InvalidMessage, OtherError,
    RootCertStore, SignatureScheme,
};

use super::SourceError;
use crate::config::{Authorities, Fingerprint, Trust};
use crate::model::foreign;

/// Of what a certificate or a library says so many characters are shown.
const WORDS_MAX: usize = 100;

const DAY_S: u64 = 24 * 60 * 60;

/// Why there is no secured connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{self:?}")]
pub enum Trouble {
    /// Nobody who is trusted vouches for the certificate.
    Unknown {
        /// The certificate.
        seen: Fingerprint,
        /// Where an authority was looked for, if not in the list of this machine.
        file: Option<String>,
    },
    /// It is not the one that is pinned.
    Changed {
        /// The certificate.
        seen: Fingerprint,
    },
    /// Its time is over.
    Expired {
        /// The certificate.
        seen: Fingerprint,
        /// For so long.
        days: u64,
    },
    /// Its time has not begun.
    NotYet {
        /// The certificate.
        seen: Fingerprint,
        /// It begins then.
        days: u64,
    },
    /// It is made out to others.
    Name {
        /// The certificate.
        seen: Fingerprint,
        /// Those, as the certificate has them; may be empty.
        names: String,
    },
    /// The camera's proof that it holds the certificate's key cannot be checked.
    Unproven(String),
    /// What answers does not speak TLS.
    NoTls,
    /// It speaks only versions or ciphers that are not safe any more.
    TooOld,
    /// It wants a certificate of ours.
    Asks,
    /// It closed the connection.
    Closed,
    /// It said nothing for so many seconds.
    Silent(u64),
    /// Something else, in the words of the library.
    Other(String),
}

impl Trouble {
    /// What a library reported, if it is of TLS.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?;
        match inner.downcast_ref::<rustls::Error>() {
            Some(error) => Some(Self::of_tls(error)),
            // Layers of an HTTP client.
            None => inner.downcast_ref::<io::Error>().and_then(Self::of),
        }
    }

    /// The first among an error and its causes.
    pub(super) fn among(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(trouble) = error.downcast_ref::<io::Error>().and_then(Self::of) {
                return Some(trouble);
            }
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return Some(Self::of_tls(error));
            }
            next = error.source();
        }
        None
    }

    fn of_tls(error: &rustls::Error) -> Self {
        use AlertDescription as Alert;
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(own))) => {
                own.downcast_ref::<Self>().cloned().unwrap_or_else(|| Self::other(error))
            }
            rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge,
            ) => Self::NoTls,
            rustls::Error::PeerIncompatible(_)
            | rustls::Error::AlertReceived(
                Alert::ProtocolVersion | Alert::HandshakeFailure | Alert::InsufficientSecurity,
            ) => Self::TooOld,
            rustls::Error::AlertReceived(Alert::CertificateRequired | Alert::NoCertificate) => Self::Asks,
            _ => Self::other(error),
        }
    }

    fn other(error: &rustls::Error) -> Self {
        Self::Other(foreign::line(&error.to_string(), WORDS_MAX))
    }

    /// What the operator reads of the camera `number` at `address`, whose address stands in the variable `setting`;
    /// without TLS it begins with `plain`.
    pub(super) fn say(&self, address: &str, number: u8, setting: &str, plain: &str) -> SourceError {
        let pin = |seen: &Fingerprint| format!("CAMERA_{number}_TLS_FINGERPRINT={seen}");
        let message = match self {
            Self::Unknown { seen, file } => {
                let place = file
                    .as_ref()
                    .map_or("among this machine's authorities".to_owned(), |file| format!("in {file}"));
                format!(
                    "the certificate of the camera at {address} is not known: who made it is not {place}; compare its \
                     SHA-256 fingerprint with the one on the camera's own page, and if it is the same, set {}",
                    pin(seen)
                )
            }
            Self::Changed { seen } => format!(
                "the certificate of the camera at {address} is not the one in CAMERA_{number}_TLS_FINGERPRINT: either the \
                 camera has a new one, or another device answers in its place; nothing was sent to it; compare the \
                 fingerprint with the one on the camera's own page, and only if it is the same, set {}",
                pin(seen)
            ),
            Self::Expired { seen, days } => format!(
                "the certificate of the camera at {address} has expired {days} days ago; make a new one on the camera's own \
                 page (and check that this machine's date is right), or trust this very one, whatever its date, with {}",
                pin(seen)
            ),
            Self::NotYet { seen, days } => format!(
                "the certificate of the camera at {address} is valid only in {days} days; check this machine's date and, \
                 when the certificate was made, the camera's; or trust this very one, whatever its date, with {}",
                pin(seen)
            ),
            Self::Name { seen, names } => {
                let names = if names.is_empty() { "another name".to_owned() } else { names.clone() };
                format!(
                    "the certificate of the camera at {address} is made out to {names}; use that name in {setting}, make a \
                     certificate for the camera's address, or trust this very one, whatever its name, with {}",
                    pin(seen)
                )
            }
            Self::Unproven(why) => format!(
                "the camera at {address} could not prove that its certificate is its own ({why}); make a new certificate on \
                 the camera's own page, with a key of at least 2048 bits (RSA) or 256 bits (ECDSA) and SHA-256"
            ),
            Self::NoTls => format!(
                "what answers at {address} does not speak TLS; set {setting} to {plain}:// and the port of that service, or \
                 to the port of the secured one"
            ),
            Self::TooOld => format!(
                "the camera at {address} refused the secured connection: it offers only old versions or ciphers of TLS, and \
                 TLS 1.2 with ECDHE is the least that is taken; update its firmware, or set {setting} to {plain}:// on a \
                 network of your own"
            ),
            Self::Asks => format!(
                "the camera at {address} wants a certificate of its client, which this version does not have; switch that \
                 off on the camera's own page"
            ),
            Self::Closed => format!(
                "the camera at {address} closed the connection before it was secured; does that port speak TLS? if not, set \
                 {setting} to {plain}:// and the port of that service"
            ),
            Self::Silent(seconds) => format!(
                "the camera at {address} accepts connections but did not answer in TLS within {seconds} s; does that port \
                 speak TLS? if not, set {setting} to {plain}:// and the port of that service"
            ),
            Self::Other(said) => format!("no secured connection with the camera at {address}: {said}"),
        };
        SourceError { message, is_refusal: self.is_refusal() }
    }

    /// Whether only a person can mend it. A date may be wrong because this machine's clock is not set yet.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Unknown { .. }
            | Self::Changed { .. }
            | Self::Name { .. }
            | Self::Unproven(_)
            | Self::Asks => true,
            Self::Expired { .. }
            | Self::NotYet { .. }
            | Self::NoTls
            | Self::TooOld
            | Self::Closed
            | Self::Silent(_)
            | Self::Other(_) => false,
        }
    }
}

impl From<Trouble> for rustls::Error {
    fn from(trouble: Trouble) -> Self {
        CertificateError::Other(OtherError(Arc::new(trouble))).into()
    }
}

/// How a connection is secured with a camera whose certificate is known in this way.
pub(super) fn client(trust: &Trust) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Verifier::new(trust, &provider));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(config)
}

/// Looks at the certificate of one camera.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    rule: Rule,
}

#[derive(Debug)]
enum Rule {
    Pinned(Fingerprint),
    Chain {
        /// None where nobody is trusted.
        chain: Option<Arc<WebPkiServerVerifier>>,
        file: Option<Authorities>,
    },
}

impl Verifier {
    fn new(trust: &Trust, provider: &Arc<CryptoProvider>) -> Self {
        let mut roots = RootCertStore::empty();
        let rule = match trust {
            Trust::Pinned(pin) => Rule::Pinned(*pin),
            Trust::System | Trust::File(_) => {
                let file = match trust {
                    Trust::File(authorities) => {
                        let found = authorities.certificates.iter();
                        roots
                            .add_parsable_certificates(found.map(|der| CertificateDer::from(der.as_slice())));
                        Some(authorities.clone())
                    }
                    Trust::System | Trust::Pinned(_) => {
                        // What cannot be read of them is missing, and then the camera's certificate is not known.
                        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                        None
                    }
                };
                let built =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
                Rule::Chain { chain: built.ok(), file }
            }
        };
        Self { provider: provider.clone(), rule }
    }

    fn judge(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), Trouble> {
        let seen = Fingerprint::of(own);
        let (chain, file) = match &self.rule {
            Rule::Pinned(pin) if *pin == seen => return Ok(()),
            Rule::Pinned(_) => return Err(Trouble::Changed { seen }),
            Rule::Chain { chain, file } => (chain, file),
        };
        if file.iter().flat_map(|file| file.certificates.iter()).any(|known| known.as_slice() == &**own) {
            return Ok(());
        }
        let unknown =
            Trouble::Unknown { seen, file: file.as_ref().map(|file| file.file.display().to_string()) };
        let Some(chain) = chain else { return Err(unknown) };
        let verify = |at| match chain.verify_server_cert(own, others, name, ocsp, at) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(why)) => Err(why),
            Err(_) => Err(CertificateError::UnknownIssuer),
        };
        let Err(why) = verify(now) else { return Ok(()) };
        // Dates are looked at first; but who is not known would not be known with other dates either.
        let is_known_at = |at| {
            use CertificateError::{NotValidForName, NotValidForNameContext};
            matches!(verify(at), Ok(()) | Err(NotValidForName | NotValidForNameContext { .. }))
        };
        let days = |from: UnixTime, to: UnixTime| to.as_secs().saturating_sub(from.as_secs()) / DAY_S;
        Err(match why {
            CertificateError::ExpiredContext { time, not_after } if is_known_at(not_after) => {
                Trouble::Expired { seen, days: days(not_after, time) }
            }
            CertificateError::NotValidYetContext { time, not_before } if is_known_at(not_before) => {
                Trouble::NotYet { seen, days: days(time, not_before) }
            }
            CertificateError::NotValidForName => Trouble::Name { seen, names: String::new() },
            CertificateError::NotValidForNameContext { presented, .. } => {
                Trouble::Name { seen, names: names(&presented) }
            }
            _ => unknown,
        })
    }
}

/// Names of a certificate, of which the library says the kind: `DnsName("camera.local")`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| match name.split_once('(') {
        Some((_, name)) => name.trim_end_matches(')').trim_matches('"').to_owned(),
        None => name.clone(),
    };
    foreign::line(&presented.iter().map(bare).collect::<Vec<_>>().join(", "), WORDS_MAX)
}

fn unproven(error: &rustls::Error) -> rustls::Error {
    Trouble::Unproven(foreign::line(&error.to_string(), WORDS_MAX)).into()
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
        self.judge(own, others, name, ocsp, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, own, signature, algorithms).map_err(|error| unproven(&error))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, own, signature, algorithms).map_err(|error| unproven(&error))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
