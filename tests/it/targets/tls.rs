//! TLS: a private authority is trusted by its file and by nothing else, and of a pinned server one certificate alone.

use std::net::SocketAddr;
use std::sync::Arc;

use camera_capture::config::Fingerprint;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::conformance::CASES;
use super::server::{Server, answer};
use super::{Rig, kind};

/// A private authority, and a server of 127.0.0.1 that it vouches for.
pub(crate) struct Authority {
    pub(crate) pem: String,
    /// SHA-256 of the server's certificate.
    pub(crate) fingerprint: Fingerprint,
    acceptor: TlsAcceptor,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::made_out_to("127.0.0.1")
    }

    /// A server of another name.
    pub(crate) fn made_out_to(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        Self::of(issuer.pem(), &leaf, &key)
    }

    /// A server that signed its own certificate, as `openssl req -x509` does: it may vouch for others.
    fn alone() -> Self {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        Self::of(own.pem(), &own, &key)
    }

    /// A server that signed its own certificate, for another name and for years that are over.
    pub(crate) fn odd() -> Self {
        let mut params = CertificateParams::new(vec!["elsewhere.example".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (date_time_ymd(2010, 1, 1), date_time_ymd(2020, 1, 1));
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        Self::of(own.pem(), &own, &key)
    }

    fn of(pem: String, leaf: &Certificate, key: &KeyPair) -> Self {
        let fingerprint = Fingerprint::of(leaf.der());
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        Self { pem, fingerprint, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    /// Speaks TLS before `server`.
    pub(crate) async fn guard(&self, server: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let acceptor = self.acceptor.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    // A client that trusts nobody hangs up.
                    let Ok(mut outside) = acceptor.accept(stream).await else { return };
                    let mut inside = TcpStream::connect(server).await.unwrap();
                    let _ = copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        (addr, task)
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_by_its_file_alone_by_every_target() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    };
    let (right, wrong) = (file("right.pem", &authority.pem), file("wrong.pem", &stranger.pem));
    let empty = file("empty.pem", "no certificate here\n");
    let gone = dir.path().join("gone.pem").to_string_lossy().into_owned();
    for case in CASES {
        let takes = case.success(b"x");
        let server = Server::start(move |_, _| takes.clone()).await;
        let (addr, guard) = authority.guard(server.addr).await;
        for (ca, expected, words) in [
            (None, "unreachable", "UPLOAD_CA_FILE"),
            (Some(&wrong), "unreachable", "is not trusted"),
            (Some(&empty), "misconfigured", "no certificate in it"),
            (Some(&gone), "misconfigured", "gone.pem"),
            (Some(&right), "delivered", ""),
        ] {
            let further: Vec<_> = ca.map(|path| ("UPLOAD_CA_FILE", path.as_str())).into_iter().collect();
            let rig = case.rig(&format!("https://{addr}"), &further);
            rig.take(0, b"x".to_vec()).await;
            let result = rig.target().deliver(&rig.claim().await).await;
            assert_eq!(kind(&result), expected, "{} {ca:?}: {result:?}", case.kind);
            let text = result.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(text.contains(words), "{text}");
        }
        assert_eq!(server.seen().len(), 1, "{}: only who was trusted got a picture", case.kind);
        guard.abort();
    }
}

#[tokio::test]
async fn a_certificate_that_a_server_signed_itself_is_trusted_by_itself() {
    let (own, other) = (Authority::alone(), Authority::alone());
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| answer(200, "", "ok")).await;
    let (addr, guard) = own.guard(server.addr).await;
    for (pem, expected) in [(&own.pem, "delivered"), (&other.pem, "unreachable")] {
        let path = dir.path().join(expected);
        std::fs::write(&path, pem).unwrap();
        let path = path.to_string_lossy().into_owned();
        let url = format!("https://{addr}/up");
        let rig = Rig::with(&[("S3_API_URL", &url), ("UPLOAD_CA_FILE", &path)]);
        rig.take(0, b"x".to_vec()).await;
        let result = rig.target().deliver(&rig.claim().await).await;
        assert_eq!(kind(&result), expected, "{result:?}");
    }
    guard.abort();
}

#[tokio::test]
async fn of_a_pinned_server_one_certificate_alone_is_right_for_every_target() {
    let (odd, right) = (Authority::odd(), Authority::new());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("right.pem");
    std::fs::write(&path, &right.pem).unwrap();
    let file = ("UPLOAD_CA_FILE", path.to_string_lossy().into_owned());
    let (pin, other) = (format!("sha256:{}", odd.fingerprint), "ab".repeat(32));
    for case in CASES {
        let takes = case.success(b"x");
        let server = Server::start(move |_, _| takes.clone()).await;
        let (odd_at, odd_guard) = odd.guard(server.addr).await;
        let (right_at, right_guard) = right.guard(server.addr).await;
        let own = format!("{}_UPLOAD_TLS_FINGERPRINT", case.kind.as_str().to_ascii_uppercase());
        let common = "UPLOAD_TLS_FINGERPRINT".to_owned();
        let seen = |authority: &Authority, setting: &str| format!("{setting}={}", authority.fingerprint);
        for (addr, name, value, expected, words) in [
            (odd_at, &common, &pin, "delivered", String::new()),
            (odd_at, &own, &pin, "delivered", String::new()),
            (odd_at, &own, &other, "unreachable", seen(&odd, &own)),
            // No file and no authority helps another one.
            (right_at, &common, &pin, "unreachable", seen(&right, &common)),
        ] {
            let rig = case.rig(&format!("https://{addr}"), &[(file.0, &file.1), (name, value)]);
            rig.take(0, b"x".to_vec()).await;
            let result = rig.target().deliver(&rig.claim().await).await;
            assert_eq!(kind(&result), expected, "{} {name}: {result:?}", case.kind);
            let said = result.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains(&words), "{words} not in {said}");
        }
        // Without a pin the words tell which one would be right.
        let rig = case.rig(&format!("https://{right_at}"), &[]);
        rig.take(0, b"x".to_vec()).await;
        let said = rig.target().deliver(&rig.claim().await).await.unwrap_err().to_string();
        assert!(said.contains("UPLOAD_CA_FILE") && said.contains(&seen(&right, &own)), "{said}");
        assert_eq!(server.seen().len(), 2, "{}: only who was pinned got a picture", case.kind);
        odd_guard.abort();
        right_guard.abort();
    }
}
