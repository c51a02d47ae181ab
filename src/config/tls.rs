//! `CAMERA_…CA_FILE`, `CAMERA_n_TLS_FINGERPRINT` and `UPLOAD_TLS_FINGERPRINT`: how the certificate of a camera is known,
//! and which one a server must have.
//!
//! Most cameras make their certificate themselves, for another name and for years that are over. So there are two ways
//! beside this machine's own list: authorities in a file, and the fingerprint of the one certificate that is right.
//! None of them accepts any certificate.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use super::problem::Wrong;
use super::reader::{ReadResult, TargetReader, VariableReader};
use super::variables::{name_of, own_name};
use crate::model::TargetId;

/// What a fingerprint looks like.
const FINGERPRINT_ACCEPTED: &str = "the SHA-256 fingerprint of its certificate: 64 hexadecimal digits, with colons or without, as a camera's own page or \
     `openssl x509 -noout -fingerprint -sha256` shows it";

/// What stands in a file of certificates.
const FILE_ACCEPTED: &str = "a readable file with certificates as text (PEM, -----BEGIN CERTIFICATE-----): authorities, or the camera's own";

/// How the certificate of a camera is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// An authority of this machine's list vouches for it.
    System,
    /// One of these vouches for it, or it is one of them.
    File(Authorities),
    /// It is this one; neither its name nor its dates matter.
    Pinned(Fingerprint),
}

/// Certificates of a file, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities {
    /// Where they were read.
    pub file: PathBuf,
    /// Each in DER.
    pub certificates: Arc<[Vec<u8>]>,
}

/// SHA-256 of a certificate in DER. Not a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of this certificate, in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// Reads hexadecimal digits in any case. Colons, hyphens and spaces may stand between bytes, and `sha256:` or OpenSSL's
    /// `sha256 Fingerprint=` in front of them.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let digits = text.rsplit('=').next().unwrap_or_default().trim();
        let is_named = |name: &&str| digits.get(..name.len()).is_some_and(|it| it.eq_ignore_ascii_case(name));
        let name = ["sha256:", "sha-256:"].into_iter().find(is_named).unwrap_or_default();
        let digits = &digits[name.len()..];
        let digits: Vec<char> = digits.chars().filter(|c| !matches!(c, ':' | '-' | ' ')).collect();
        let nibbles: Option<Vec<u8>> = digits.iter().map(|c| Some(c.to_digit(16)? as u8)).collect();
        let Some(nibbles) = nibbles else {
            return Err(Wrong::new("has something other than hexadecimal digits", FINGERPRINT_ACCEPTED));
        };
        let bytes: Vec<u8> =
            nibbles.chunks(2).map(|pair| pair.iter().fold(0, |byte, n| byte << 4 | n)).collect();
        match <[u8; 32]>::try_from(bytes) {
            Ok(bytes) if nibbles.len() == 64 => Ok(Self(bytes)),
            _ if nibbles.len() == 40 => Err(Wrong::new(
                "has 40 digits: that is a SHA-1 fingerprint, which can be forged",
                FINGERPRINT_ACCEPTED,
            )),
            _ => Err(Wrong::new(format!("has {} digits, not 64", nibbles.len()), FINGERPRINT_ACCEPTED)),
        }
    }
}

impl fmt::Display for Fingerprint {
    /// Upper case with colons, as cameras and OpenSSL show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at > 0 { ":" } else { "" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

/// The certificate that a server must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatePin {
    /// Its fingerprint; neither its name nor its dates matter.
    pub fingerprint: Fingerprint,
    /// The variable that stands in.
    pub setting: String,
}

impl CertificatePin {
    /// The variable of one target.
    pub fn setting_of(id: TargetId) -> String {
        name_of(id, &own_name(id.kind(), PIN))
    }

    /// Reads `UPLOAD_TLS_FINGERPRINT`.
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Option<Self>> {
        let fingerprint = reader.optional(PIN, Fingerprint::parse)?;
        Ok(fingerprint.map(|fingerprint| Self { fingerprint, setting: PIN.to_owned() }))
    }

    /// Reads that of a single target.
    pub(super) fn read_own(reader: &mut TargetReader<'_, '_>) -> ReadResult<Option<Self>> {
        let id = reader.id();
        let fingerprint = reader.optional(&own_name(id.kind(), PIN), Fingerprint::parse)?;
        Ok(fingerprint.map(|fingerprint| Self { fingerprint, setting: Self::setting_of(id) }))
    }
}

/// The pin of all targets.
const PIN: &str = "UPLOAD_TLS_FINGERPRINT";

/// What the variables of one camera, or of all, say.
pub(super) struct Known {
    file: ReadResult<Option<Authorities>>,
    pin: ReadResult<Option<Fingerprint>>,
}

impl Known {
    /// Reads `CAMERA_CA_FILE`.
    pub(super) fn read_common(reader: &mut VariableReader<'_>) -> Self {
        Self { file: reader.optional("CAMERA_CA_FILE", authorities), pin: Ok(None) }
    }

    /// Reads `CAMERA_n_CA_FILE` and `CAMERA_n_TLS_FINGERPRINT`.
    pub(super) fn read(reader: &mut VariableReader<'_>, number: u8) -> Self {
        Self {
            file: reader.optional(&format!("CAMERA_{number}_CA_FILE"), authorities),
            pin: reader.optional(&format!("CAMERA_{number}_TLS_FINGERPRINT"), Fingerprint::parse),
        }
    }

    /// What holds for camera `number`, whose connection is secured or not.
    pub(super) fn trust(
        self,
        reader: &mut VariableReader<'_>,
        number: u8,
        is_tls: bool,
        common: &Self,
    ) -> ReadResult<Trust> {
        let (file, pin) = (self.file?, self.pin?);
        let names = ["CA_FILE", "TLS_FINGERPRINT"].map(|suffix| format!("CAMERA_{number}_{suffix}"));
        let set = [file.is_some(), pin.is_some()];
        if !is_tls {
            for name in names.iter().zip(set).filter_map(|(name, is_set)| is_set.then_some(name)) {
                let text = "not used, because the address begins neither with rtsps:// nor with https://";
                reader.warn(name, text);
            }
        } else if set == [true, true] {
            reader.warn(&names[0], format_args!("not used, because {} is set, too", names[1]));
        }
        Ok(match (pin, file.or(common.file.clone()?)) {
            (Some(pin), _) => Trust::Pinned(pin),
            (None, Some(file)) => Trust::File(file),
            (None, None) => Trust::System,
        })
    }
}

/// Reads a file of certificates.
fn authorities(path: &str) -> Result<Authorities, Wrong> {
    let file = Path::new(path);
    let text =
        std::fs::read(file).map_err(|error| Wrong::new(format!("cannot be read: {error}"), FILE_ACCEPTED))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found =
        found.map_err(|_| Wrong::new("holds a certificate that is cut off or damaged", FILE_ACCEPTED))?;
    if found.is_empty() {
        let what = if text.starts_with(&[0x30, 0x82]) {
            "holds a certificate in binary form (DER), not as text; `openssl x509 -inform der` changes it"
        } else {
            "holds no certificate"
        };
        return Err(Wrong::new(what, FILE_ACCEPTED));
    }
    let mut roots = RootCertStore::empty();
    if found.iter().any(|certificate| roots.add(certificate.clone()).is_err()) {
        return Err(Wrong::new("holds a certificate that cannot be read", FILE_ACCEPTED));
    }
    let certificates = found.iter().map(|certificate| certificate.to_vec()).collect();
    Ok(Authorities { file: file.to_owned(), certificates })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::testing::{config, problem, warnings};
    use crate::config::{RtspConfig, SourceConfig};

    const CAMERA: (&str, &str) = ("CAMERA_1_RTSP", "rtsps://cam/live");

    fn trust(pairs: &[(&str, &str)]) -> Trust {
        match config(pairs).cameras.remove(0).source {
            Some(SourceConfig::Rtsp(RtspConfig { trust, .. })) => trust,
            Some(SourceConfig::Snapshot(snapshot)) => snapshot.trust,
            Some(SourceConfig::Slot(_)) | None => panic!("no source"),
        }
    }

    fn file(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    #[test]
    fn a_fingerprint_is_read_as_pages_and_tools_show_it() {
        let pin = Fingerprint::of(b"certificate");
        let shown = pin.to_string();
        assert_eq!(shown.len(), 95);
        let bare = shown.replace(':', "").to_lowercase();
        let named =
            [format!("sha256:{bare}"), format!("SHA-256: {shown}"), format!("sha256 Fingerprint={shown}")];
        for text in [&shown, &bare, &shown.replace(':', " ")].into_iter().chain(&named) {
            assert_eq!(Fingerprint::parse(text), Ok(pin), "{text}");
        }
        for (text, what) in [
            (&shown[..59], "40 digits: that is a SHA-1"),
            (&bare[1..], "has 63 digits"),
            (&bare[2..], "has 62 digits"),
            ("", "has 0 digits"),
            (&bare.replacen(&bare[..1], "g", 1), "other than hexadecimal"),
        ] {
            assert!(Fingerprint::parse(text).unwrap_err().what.contains(what), "{text}");
        }
    }

    #[test]
    fn a_pin_wins_over_a_file_and_its_own_file_over_that_of_all() {
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap().cert;
        let (own, all) = (made("own"), made("all"));
        let own_file = file(&folder, "own.pem", own.pem().as_bytes());
        let all_file = file(&folder, "all.pem", format!("{}{}", all.pem(), own.pem()).as_bytes());
        let pin = Fingerprint::of(own.der());
        assert_eq!(trust(&[CAMERA]), Trust::System);
        let Trust::File(found) = trust(&[CAMERA, ("CAMERA_CA_FILE", &all_file)]) else { panic!("no file") };
        assert_eq!(*found.certificates, [all.der().to_vec(), own.der().to_vec()]);
        let both = [CAMERA, ("CAMERA_CA_FILE", &all_file), ("CAMERA_1_CA_FILE", &own_file)];
        let Trust::File(found) = trust(&both) else { panic!("no file") };
        assert_eq!(found.file, Path::new(&own_file));
        let pinned = [CAMERA, both[2], ("CAMERA_1_TLS_FINGERPRINT", &pin.to_string())];
        assert_eq!(trust(&pinned), Trust::Pinned(pin));
        assert_eq!(
            warnings(&pinned),
            ["CAMERA_1_CA_FILE: not used, because CAMERA_1_TLS_FINGERPRINT is set, too"]
        );
        let https = ("CAMERA_1_SNAPSHOT_URL", "https://cam/snap.jpg");
        assert_eq!(trust(&[https, pinned[2]]), Trust::Pinned(pin));
        let plain = [("CAMERA_1_RTSP", "rtsp://cam/live"), pinned[2]];
        assert!(warnings(&plain)[0].starts_with("CAMERA_1_TLS_FINGERPRINT: not used, because the address"));
    }

    #[test]
    fn what_is_no_file_of_certificates_is_a_problem_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = rcgen::generate_simple_self_signed(Vec::new()).unwrap().cert;
        let pem = certificate.pem();
        for (path, what) in [
            (file(&folder, "empty.pem", b"no certificate here\n"), "holds no certificate"),
            (file(&folder, "own.der", certificate.der()), "in binary form"),
            (file(&folder, "cut.pem", &pem.as_bytes()[..pem.len() / 2]), "certificate"),
            (
                file(&folder, "odd.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                "cannot be read",
            ),
            ("/nonexistent/ca.pem".to_owned(), "cannot be read"),
        ] {
            for name in ["CAMERA_CA_FILE", "CAMERA_1_CA_FILE"] {
                let said = problem(&[CAMERA, (name, &path)]);
                assert!(said.starts_with(&format!("{name}: ")) && said.contains(what), "{said}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_fingerprint_is_read_back_and_no_text_panics(bytes: [u8; 32], text in ".{0,100}") {
            let pin = Fingerprint(bytes);
            prop_assert_eq!(Fingerprint::parse(&pin.to_string()), Ok(pin));
            if let Ok(other) = Fingerprint::parse(&text) {
                prop_assert_eq!(Fingerprint::parse(&other.to_string()), Ok(other));
            }
        }
    }
}
