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
use crate::model::CameraFault;
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
        let (address, number) = (address.to_owned(), u64::from(number));
        let (setting, plain) = (setting.to_owned(), plain.to_owned());
        let fault = match self {
            Self::Unknown { seen, file } => CameraFault::CertificateUnknown {
                address,
                number,
                file: file.clone(),
                seen: seen.to_string(),
            },
            Self::Changed { seen } => {
                CameraFault::CertificateChanged { address, number, seen: seen.to_string() }
            }
            Self::Expired { seen, days } => {
                CameraFault::CertificateExpired { address, number, days: *days, seen: seen.to_string() }
            }
            Self::NotYet { seen, days } => {
                CameraFault::CertificateTooNew { address, number, days: *days, seen: seen.to_string() }
            }
            Self::Name { seen, names } => CameraFault::CertificateOfOthers {
                address,
                number,
                names: names.clone(),
                setting,
                seen: seen.to_string(),
            },
            Self::Unproven(why) => CameraFault::CertificateUnproven { address, error: why.clone() },
            Self::NoTls => CameraFault::TlsMissing { address, setting, plain },
            Self::TooOld => CameraFault::TlsTooOld { address, setting, plain },
            Self::Asks => CameraFault::TlsClientCertificate { address },
            Self::Closed => CameraFault::TlsClosed { address, setting, plain },
            Self::Silent(seconds) => CameraFault::TlsSilent { address, setting, plain, seconds: *seconds },
            Self::Other(said) => CameraFault::TlsFailed { address, error: said.clone() },
        };
        SourceError { fault, is_refusal: self.is_refusal() }
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
