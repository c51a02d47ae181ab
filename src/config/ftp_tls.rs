//! `FTP_TLS_CERT`, `FTP_TLS_KEY`, `FTP_TLS_REQUIRED`: the certificate that the FTP server shows.
//!
//! Both files are read at the start, so that what is wrong with them is said with everything else, and again when they have
//! changed: a certificate is renewed while the program runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::problem::Wrong;
use super::reader::{ReadResult, VariableReader};
use super::values::boolean;

const CERTIFICATE: &str = "FTP_TLS_CERT";
const KEY: &str = "FTP_TLS_KEY";
const REQUIRED: &str = "FTP_TLS_REQUIRED";

/// What stands in the file of the certificate.
const CERTIFICATE_ACCEPTED: &str = "a readable file with the server's certificate as text (PEM, -----BEGIN CERTIFICATE-----), and behind it those that vouch for it";

/// What stands in the file of the key.
const KEY_ACCEPTED: &str = "a readable file with the key of that certificate as text (PEM, -----BEGIN PRIVATE KEY-----), without a password";

/// FTP over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FtpTlsConfig {
    /// `FTP_TLS_CERT`.
    pub certificate: PathBuf,
    /// `FTP_TLS_KEY`.
    pub key: PathBuf,
    /// `FTP_TLS_REQUIRED`: nobody logs in without it.
    pub is_required: bool,
}

/// A file that is not as it has to be.
struct BadFile {
    variable: &'static str,
    wrong: Wrong,
}

impl FtpTlsConfig {
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Option<Self>> {
        let path = |text: &str| Ok(PathBuf::from(text));
        let (certificate, key) = (reader.optional(CERTIFICATE, path), reader.optional(KEY, path));
        let is_required = reader.required(REQUIRED, boolean);
        let (certificate, key, is_required) = (certificate?, key?, is_required?);
        let half = |reader: &mut VariableReader<'_>, missing: &str, set: &str| {
            let wrong = Wrong::new(format!("{set} is set, and this is not"), "both, or none of them");
            reader.refuse(missing, &wrong)
        };
        let tls = match (certificate, key) {
            (Some(certificate), Some(key)) => Self { certificate, key, is_required },
            (Some(_), None) => return Err(half(reader, KEY, CERTIFICATE)),
            (None, Some(_)) => return Err(half(reader, CERTIFICATE, KEY)),
            (None, None) if is_required => return Err(half(reader, CERTIFICATE, REQUIRED)),
            (None, None) => return Ok(None),
        };
        match tls.open() {
            Ok(_) => Ok(Some(tls)),
            Err(bad) => Err(reader.refuse(bad.variable, &bad.wrong)),
        }
    }

    /// Reads both files; the error says which is wrong, and how. Blocking.
    pub fn load(&self) -> Result<Arc<ServerConfig>, String> {
        let wrong = |BadFile { variable, wrong }| format!("{variable}: {}", wrong.what);
        self.open().map(Arc::new).map_err(wrong)
    }

    fn open(&self) -> Result<ServerConfig, BadFile> {
        let of_certificate =
            |what: String| BadFile { variable: CERTIFICATE, wrong: Wrong::new(what, CERTIFICATE_ACCEPTED) };
        let of_key = |what: String| BadFile { variable: KEY, wrong: Wrong::new(what, KEY_ACCEPTED) };
        let certificates = certificates(&self.certificate).map_err(of_certificate)?;
        let key = key(&self.key).map_err(of_key)?;
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_no_client_auth())
            .and_then(|builder| builder.with_single_cert(certificates, key))
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => of_key("is not the key of that certificate".to_owned()),
                rustls::Error::InvalidCertificate(_) => {
                    of_certificate("holds a certificate that cannot be read".to_owned())
                }
                other => of_key(format!("holds a key that cannot be used: {other}")),
            })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|_| "holds a certificate that is cut off or damaged".to_owned())?;
    if found.is_empty() { Err("holds no certificate as text".to_owned()) } else { Ok(found) }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = read(path)?;
    let is_locked = text.windows(9).any(|nine| nine == b"ENCRYPTED");
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        let what = if is_locked { "holds a key with a password" } else { "holds no key as text" };
        what.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem};
    use super::*;

    const DEVICE: [(&str, &str); 3] =
        [("INGEST_1_USER", "cam"), ("INGEST_1_PASSWORD", "camera"), ("FTP_PORT", "2121")];

    fn made(folder: &Path, name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["box".to_owned()]).unwrap();
        let write = |end: &str, text: String| {
            let path = folder.join(format!("{name}.{end}"));
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        (write("crt", made.cert.pem()), write("key", made.signing_key.serialize_pem()))
    }

    #[test]
    fn a_certificate_and_its_key_are_taken_and_there_is_no_tls_without_them() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = made(folder.path(), "box");
        let tls = |more: &[(&'static str, &str)]| {
            let pairs: Vec<_> = DEVICE.into_iter().chain(more.iter().copied()).collect();
            config(&pairs).ingest.ftp.unwrap().tls
        };
        assert_eq!(tls(&[]), None);
        let both = [(CERTIFICATE, certificate.as_str()), (KEY, key.as_str())];
        let found = tls(&both).unwrap();
        assert!(!found.is_required && found.load().is_ok());
        assert!(tls(&[both[0], both[1], (REQUIRED, "true")]).unwrap().is_required);
    }

    #[test]
    fn what_is_wrong_with_certificate_and_key_is_a_problem_of_its_variable() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = made(folder.path(), "box");
        let (other, _) = made(folder.path(), "other");
        let locked = folder.path().join("locked.key").display().to_string();
        std::fs::write(&locked, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n").unwrap();
        let odd = folder.path().join("odd.crt").display().to_string();
        std::fs::write(&odd, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        let gone = folder.path().join("gone").display().to_string();
        for (certificate, key, variable, what) in [
            (certificate.as_str(), "", KEY, "FTP_TLS_CERT is set"),
            ("", key.as_str(), CERTIFICATE, "FTP_TLS_KEY is set"),
            (&gone, &key, CERTIFICATE, "cannot be read"),
            (&certificate, &gone, KEY, "cannot be read"),
            (&key, &key, CERTIFICATE, "holds no certificate"),
            (&odd, &key, CERTIFICATE, "cannot be read"),
            (&certificate, &certificate, KEY, "holds no key"),
            (&certificate, &locked, KEY, "with a password"),
            (&other, &key, KEY, "not the key of that certificate"),
        ] {
            let pairs = [DEVICE[0], DEVICE[1], DEVICE[2], (CERTIFICATE, certificate), (KEY, key)];
            let said = problem(&pairs);
            assert!(said.starts_with(&format!("{variable}: ")) && said.contains(what), "{what}: {said}");
        }
        let said = problem(&[DEVICE[0], DEVICE[1], DEVICE[2], (REQUIRED, "true")]);
        assert!(said.starts_with("FTP_TLS_CERT: FTP_TLS_REQUIRED is set"), "{said}");
    }
}
