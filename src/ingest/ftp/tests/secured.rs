//! FTP over TLS (RFC 4217), with a client that reads one reply at a time.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::FtpLimits;
use super::rig::{Client, PATIENT, Rig, address_of, jpeg_of, large_jpeg};

/// Writes a new certificate and its key; the certificate.
fn renew(folder: &Path, age_s: u64) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["box".to_owned()]).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        // However coarse the clock of the file system is.
        let at = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000 - age_s);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    };
    write("ftp.crt", made.cert.pem());
    write("ftp.key", made.signing_key.serialize_pem());
    made.cert.der().clone()
}

struct SecuredRig {
    rig: Rig,
    folder: tempfile::TempDir,
    certificate: CertificateDer<'static>,
}

async fn rig(is_required: &'static str, limits: FtpLimits) -> SecuredRig {
    let folder = tempfile::tempdir().unwrap();
    let certificate = renew(folder.path(), 100);
    let path = |name: &str| -> &'static str { folder.path().join(name).display().to_string().leak() };
    let more = [
        ("FTP_TLS_CERT", path("ftp.crt")),
        ("FTP_TLS_KEY", path("ftp.key")),
        ("FTP_TLS_REQUIRED", is_required),
    ];
    SecuredRig { rig: Rig::with(&more, limits).await, folder, certificate }
}

async fn handshake(stream: TcpStream, trusted: &CertificateDer<'static>) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config)).connect("box".try_into().unwrap(), stream).await
}

/// A client whose control connection is secured.
struct Secured {
    control: TlsStream<TcpStream>,
    certificate: CertificateDer<'static>,
}

impl Secured {
    /// Says AUTH TLS, with more behind it in the same write, and secures the connection.
    async fn begin(
        mut client: Client,
        certificate: &CertificateDer<'static>,
        more: &str,
    ) -> io::Result<Self> {
        client.ask(format!("AUTH TLS\r\n{more}").trim_end(), "234 ").await;
        let certificate = certificate.clone();
        let control = handshake(client.control, &certificate).await?;
        Ok(Self { control, certificate })
    }

    async fn answer(&mut self) -> String {
        let mut buffer = [0; 127];
        let read = self.control.read(&mut buffer).await.unwrap_or(0);
        String::from_utf8(buffer[..read].to_vec()).unwrap()
    }

    async fn ask(&mut self, line: &str, beginning: &str) -> String {
        self.control.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        let answer = self.answer().await;
        assert!(answer.starts_with(beginning), "{line}: {beginning} was expected, not {answer}");
        answer
    }

    async fn log_in(&mut self) {
        for (line, beginning) in
            [("PBSZ 0", "200 "), ("PROT P", "200 "), ("USER cam_client", "331 "), ("PASS camera", "230 ")]
        {
            self.ask(line, beginning).await;
        }
    }

    /// A data connection that is not secured yet.
    async fn plain_data(&mut self) -> TcpStream {
        let at = address_of(&self.ask("PASV", "227 ").await);
        TcpStream::connect(at).await.unwrap()
    }

    async fn data(&mut self, name: &str) -> TlsStream<TcpStream> {
        let data = self.plain_data().await;
        self.ask(&format!("STOR {name}"), "150 ").await;
        handshake(data, &self.certificate).await.unwrap()
    }
}

#[tokio::test]
async fn a_picture_comes_over_secured_connections_and_its_client_is_told_good_bye() {
    let SecuredRig { rig, certificate, folder: _folder } = rig("false", PATIENT).await;
    let mut camera = Secured::begin(rig.stranger().await, &certificate, "").await.unwrap();
    camera.log_in().await;
    let mut data = camera.data("a.jpg").await;
    data.write_all(&large_jpeg()).await.unwrap();
    data.shutdown().await.unwrap();
    // Python's ftplib waits for it, and takes an end without it for an attack.
    assert_eq!(data.read(&mut [0; 9]).await.unwrap(), 0);
    assert!(camera.answer().await.starts_with("226 "));
    // In the clear again, because the client says so.
    camera.ask("PROT C", "200 ").await;
    let mut data = camera.plain_data().await;
    camera.ask("STOR b.jpg", "150 ").await;
    data.write_all(&jpeg_of(1)).await.unwrap();
    drop(data);
    assert!(camera.answer().await.starts_with("226 "));
    assert_eq!(rig.own_names().await, ["b.jpg", "a.jpg"]);
    camera.ask("AUTH TLS", "503 ").await;
    camera.ask("CCC", "533 ").await;
}

#[tokio::test]
async fn what_was_said_before_tls_counts_no_more() {
    let SecuredRig { rig, certificate, folder: _folder } = rig("false", PATIENT).await;
    let before = "USER cam_client\r\nPASS camera\r\n";
    let mut camera = Secured::begin(rig.stranger().await, &certificate, before).await.unwrap();
    camera.ask("PWD", "530 ").await;
    camera.ask("PASS camera", "503 ").await;
    let mut known = Secured::begin(rig.device().await, &certificate, "").await.unwrap();
    known.ask("PWD", "530 ").await;
}

#[tokio::test]
async fn where_tls_is_required_no_password_is_asked_for_without_it() {
    let SecuredRig { rig, certificate, folder: _folder } = rig("true", PATIENT).await;
    let mut stranger = rig.stranger().await;
    stranger.ask("USER cam_client", "530 ").await;
    stranger.ask("PASS camera", "503 ").await;
    stranger.ask("STOR a.jpg", "530 ").await;
    stranger.ask("PROT P", "503 ").await;
    stranger.ask("AUTH KERBEROS_V4", "504 ").await;
    let mut camera = Secured::begin(stranger, &certificate, "").await.unwrap();
    camera.log_in().await;
    camera.ask("REIN", "220 ").await;
    camera.ask("USER cam_client", "331 ").await;
}

#[tokio::test]
async fn data_that_is_not_secured_as_was_agreed_is_not_taken() {
    let limits = FtpLimits { data_wait: Duration::from_millis(300), ..PATIENT };
    let SecuredRig { rig, certificate, folder: _folder } = rig("false", limits).await;
    let mut camera = Secured::begin(rig.stranger().await, &certificate, "").await.unwrap();
    camera.log_in().await;
    for bytes in [&jpeg_of(1)[..], b""] {
        let mut data = camera.plain_data().await;
        camera.ask("STOR a.jpg", "150 ").await;
        data.write_all(bytes).await.unwrap();
        assert!(camera.answer().await.starts_with("425 "));
        drop(data);
    }
    assert!(rig.images().await.is_empty());
}

#[tokio::test]
async fn a_secured_picture_counts_however_its_connection_ends_and_half_of_one_does_not() {
    let SecuredRig { rig, certificate, folder: _folder } = rig("false", PATIENT).await;
    let mut camera = Secured::begin(rig.stranger().await, &certificate, "").await.unwrap();
    camera.log_in().await;
    let picture = large_jpeg();
    for (bytes, expected) in [(&picture[..5000], "426 "), (&picture[..], "226 ")] {
        let mut data = camera.data("a.jpg").await;
        data.write_all(bytes).await.unwrap();
        data.flush().await.unwrap();
        // Without a good-bye, as many cameras do it.
        drop(data);
        let said = camera.answer().await;
        assert!(said.starts_with(expected), "{said}");
    }
    assert_eq!(rig.images().await.len(), 1);
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_never() {
    let SecuredRig { rig, certificate: first, folder } = rig("false", PATIENT).await;
    Secured::begin(rig.stranger().await, &first, "").await.unwrap();
    let second = renew(folder.path(), 50);
    assert!(Secured::begin(rig.stranger().await, &first, "").await.is_err());
    Secured::begin(rig.stranger().await, &second, "").await.unwrap();
    std::fs::write(folder.path().join("ftp.key"), "half").unwrap();
    Secured::begin(rig.stranger().await, &second, "").await.unwrap();
    std::fs::remove_file(folder.path().join("ftp.crt")).unwrap();
    Secured::begin(rig.stranger().await, &second, "").await.unwrap();
}

#[tokio::test]
async fn who_says_auth_and_nothing_more_is_sent_away() {
    let limits = FtpLimits { log_in: Duration::from_millis(200), ..PATIENT };
    let SecuredRig { rig, folder: _folder, .. } = rig("false", limits).await;
    let mut stranger = rig.stranger().await;
    stranger.ask("AUTH TLS", "234 ").await;
    assert!(stranger.is_hung_up().await);
}
