//! TLS with a camera: whether its certificate is the right one, and in words why there is no connection.
//!
//! A certificate of a camera is mostly made by itself, for another name, and for years that are over. One that is pinned
//! by its fingerprint, or stands itself in the file of the operator, is right whatever is written in it; of every other
//! chain, dates and name are checked. In all cases the camera has to prove that it holds the key.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, ClientConfig, OtherError, RootCertStore};

use super::SourceError;
use crate::config::{Authorities, Fingerprint, Trust};
use crate::system::tls::{self, Chain, Judge, ShownCertificate};

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
        tls::within(error).map(Self::of_tls)
    }

    /// The first among an error and its causes.
    pub(super) fn among(error: &(dyn Error + 'static)) -> Option<Self> {
        tls::among(error).map(Self::of_tls)
    }

    fn of_tls(error: &rustls::Error) -> Self {
        let other = || Self::Other(tls::said(&error.to_string()));
        match tls::TlsFault::of(error) {
            tls::TlsFault::Certificate(CertificateError::Other(OtherError(own))) => {
                own.downcast_ref::<Self>().cloned().unwrap_or_else(other)
            }
            tls::TlsFault::NoTls => Self::NoTls,
            tls::TlsFault::TooOld => Self::TooOld,
            tls::TlsFault::Asks => Self::Asks,
            tls::TlsFault::OtherName | tls::TlsFault::Certificate(_) | tls::TlsFault::Other => other(),
        }
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
    tls::client(Rule::new(trust))
}

/// Which certificate is that of one camera.
#[derive(Debug)]
enum Rule {
    Pinned(Fingerprint),
    Chain { chain: Chain, file: Option<Authorities> },
}

impl Rule {
    fn new(trust: &Trust) -> Self {
        match trust {
            Trust::Pinned(pin) => Self::Pinned(*pin),
            Trust::System => Self::Chain { chain: Chain::new(tls::system_authorities()), file: None },
            Trust::File(authorities) => {
                let mut roots = RootCertStore::empty();
                let found = authorities.certificates.iter();
                roots.add_parsable_certificates(found.map(|der| CertificateDer::from(der.as_slice())));
                Self::Chain { chain: Chain::new(roots), file: Some(authorities.clone()) }
            }
        }
    }

    fn trouble(&self, shown: &ShownCertificate<'_>) -> Result<(), Trouble> {
        let seen = Fingerprint::of(shown.own);
        let (chain, file) = match self {
            Self::Pinned(pin) if *pin == seen => return Ok(()),
            Self::Pinned(_) => return Err(Trouble::Changed { seen }),
            Self::Chain { chain, file } => (chain, file),
        };
        if file.iter().flat_map(|file| file.certificates.iter()).any(|known| known.as_slice() == &**shown.own)
        {
            return Ok(());
        }
        let unknown =
            Trouble::Unknown { seen, file: file.as_ref().map(|file| file.file.display().to_string()) };
        let verify = |at| match chain.verify(shown, at) {
            Ok(()) => Ok(()),
            Err(rustls::Error::InvalidCertificate(why)) => Err(why),
            Err(_) => Err(CertificateError::UnknownIssuer),
        };
        let Err(why) = verify(shown.now) else { return Ok(()) };
        // Dates are looked at first; but who is not known would not be known with other dates either.
        let is_known_at = |at: UnixTime| {
            use CertificateError::{NotValidForName, NotValidForNameContext};
            matches!(verify(at), Ok(()) | Err(NotValidForName | NotValidForNameContext { .. }))
        };
        Err(match why {
            CertificateError::ExpiredContext { time, not_after } if is_known_at(not_after) => {
                Trouble::Expired { seen, days: tls::days(not_after, time) }
            }
            CertificateError::NotValidYetContext { time, not_before } if is_known_at(not_before) => {
                Trouble::NotYet { seen, days: tls::days(time, not_before) }
            }
            CertificateError::NotValidForName => Trouble::Name { seen, names: String::new() },
            CertificateError::NotValidForNameContext { presented, .. } => {
                Trouble::Name { seen, names: tls::names(&presented) }
            }
            _ => unknown,
        })
    }
}

impl Judge for Rule {
    fn judge(&self, shown: &ShownCertificate<'_>) -> Result<(), rustls::Error> {
        Ok(self.trouble(shown)?)
    }

    fn unproven(&self, error: rustls::Error) -> rustls::Error {
        Trouble::Unproven(tls::said(&error.to_string())).into()
    }
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
