//! A front and a camera that speaks TLS, or not: who is trusted, what is said of the others, and that leave is taken.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use camera_capture::config::{Authorities, Credentials, Fingerprint, RtspConfig, Secret, Transport, Trust};
use camera_capture::source::front::{Front, Named};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{SupportedProtocolVersion, version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::support::rtsp::{Secured, secured};

/// Longest until something that happens at once has happened, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// How a camera behaves that accepts connections.
#[derive(Clone)]
enum Kind {
    /// TLS, with what is answered to each request.
    Tls(TlsAcceptor),
    /// This to the first bytes, whatever they are; then silence.
    Says(&'static [u8]),
    /// Closes.
    Closes,
}

impl Kind {
    /// Serves a connection; returns what was asked.
    async fn serve(self, mut stream: TcpStream) -> Vec<String> {
        match self {
            Self::Tls(acceptor) => match acceptor.accept(stream).await {
                Ok(stream) => talk(stream).await,
                Err(_) => Vec::new(),
            },
            Self::Says(answer) => {
                let _ = stream.read(&mut [0; 600]).await;
                stream.write_all(answer).await.unwrap();
                let _ = stream.read_to_end(&mut Vec::new()).await;
                Vec::new()
            }
            Self::Closes => {
                let _ = stream.read(&mut [0; 600]).await;
                Vec::new()
            }
        }
    }
}

struct Camera {
    address: String,
    task: JoinHandle<Vec<String>>,
}

impl Camera {
    /// Serves one connection.
    async fn start(kind: Kind) -> Self {
        Self::start_for(1, kind).await
    }

    /// Serves so many connections at the same time.
    async fn start_for(count: usize, kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move {
            let mut connections = Vec::new();
            for _ in 0..count {
                let stream = listener.accept().await.unwrap().0;
                connections.push(tokio::spawn(kind.clone().serve(stream)));
            }
            let mut requests = Vec::new();
            for connection in connections {
                requests.extend(connection.await.unwrap());
            }
            requests
        });
        Self { address, task }
    }

    fn config(&self, scheme: &str, trust: Trust) -> RtspConfig {
        let url = Url::parse(&format!("{scheme}://{}/1", self.address)).unwrap();
        RtspConfig { url, credentials: None, transport: Transport::Tcp, trust }
    }
}

/// Answers requests as a camera; returns all of them once the connection is closed.
async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Vec<String> {
    let (mut requests, mut come) = (Vec::new(), Vec::new());
    loop {
        let mut bytes = [0; 2048];
        // A client that is gone has not always said so.
        let count = stream.read(&mut bytes).await.unwrap_or(0);
        if count == 0 {
            return requests;
        }
        come.extend_from_slice(&bytes[..count]);
        while let Some(end) = come.windows(4).position(|four| four == b"\r\n\r\n") {
            let request = String::from_utf8(come.drain(..end + 4).collect()).unwrap();
            let answer = match request.split(' ').next().unwrap() {
                "DESCRIBE" => {
                    "Content-Type: application/sdp\r\nContent-Length: 51\r\n\r\nv=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
                }
                "SETUP" => "Session: 5\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n",
                _ => "\r\n",
            };
            requests.push(request);
            // The last one may not be waited for.
            let _ = stream.write_all(format!("RTSP/1.0 200 OK\r\nCSeq: 1\r\n{answer}").as_bytes()).await;
            let _ = stream.flush().await;
        }
    }
}

fn file(certificates: &[&[u8]]) -> Trust {
    let certificates = certificates.iter().map(|der| der.to_vec()).collect();
    Trust::File(Authorities { file: "/etc/gate/ca.pem".into(), certificates })
}

/// Opens a front and asks; what is said of the end, or nothing if the camera answered.
async fn words(config: &RtspConfig) -> Option<(String, bool)> {
    let say = |fault: camera_capture::source::front::FrontFault| {
        let named = Named { address: "10.0.0.7:322", host: "10.0.0.7", number: 1 };
        let said = fault.say(&named);
        Some((said.fault.to_string(), said.is_refusal))
    };
    let mut front = match Front::open(config).await {
        Ok(front) => front,
        Err(fault) => return say(fault),
    };
    let own = front.url(&config.url).unwrap();
    let library = async {
        let mut stream = TcpStream::connect((own.host_str().unwrap(), own.port().unwrap())).await.unwrap();
        stream.write_all(format!("DESCRIBE {own} RTSP/1.0\r\nCSeq: 1\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.map(|_| assert_eq!(&answer, b"RTSP/1.0 200 OK"))
    };
    tokio::select! {
        Ok(()) = library => None,
        fault = front.run() => say(fault),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_trusted_is_asked_and_who_is_not_is_named_with_what_to_set() {
    let own = secured("IPCamera", 2020);
    let pin = Fingerprint::of(own.certificate.der());
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let issued = |name: &str, until: i32| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &authority).unwrap();
        (certificate, key)
    };
    let authorities = file(&[authority.der()]);
    let own = || Kind::Tls(own.acceptor(rustls::ALL_VERSIONS));
    let by = |name: &str, until: i32, versions: &[&'static SupportedProtocolVersion]| {
        let (certificate, key) = issued(name, until);
        Kind::Tls(Secured { certificate, key }.acceptor(versions))
    };
    let all = rustls::ALL_VERSIONS;
    let shown = format!("CAMERA_1_TLS_FINGERPRINT={pin}");
    let other = Trust::Pinned(Fingerprint::of(b"another"));
    let changed = ["is not the one in CAMERA_1_TLS_FINGERPRINT", &shown];
    let cases: Vec<(Kind, &str, Trust, &[&str])> = vec![
        (own(), "rtsps", Trust::Pinned(pin), &[]),
        (by("127.0.0.1", 2090, all), "rtsps", authorities.clone(), &[]),
        (by("127.0.0.1", 2090, &[&version::TLS12]), "rtsps", authorities.clone(), &[]),
        (own(), "rtsps", other, &changed),
        (by("127.0.0.1", 2090, all), "rtsps", Trust::System, &["is not known", "this machine's"]),
        (by("127.0.0.1", 2020, all), "rtsps", authorities.clone(), &["has expired"]),
        (by("gate.example", 2090, all), "rtsps", authorities.clone(), &["made out to gate.example"]),
        (
            Kind::Says(b"RTSP/1.0 400 Bad Request\r\n\r\n"),
            "rtsps",
            authorities.clone(),
            &["does not speak TLS"],
        ),
        (Kind::Says(b"\x15\x03\x01\x00\x02\x02\x46"), "rtsps", authorities.clone(), &["only old versions"]),
        (Kind::Says(b""), "rtsps", authorities.clone(), &["did not answer in TLS within 5 s"]),
        (Kind::Closes, "rtsps", authorities.clone(), &["closed the connection before it was secured"]),
        (own(), "rtsp", Trust::System, &["encrypted connection", "rtsps://"]),
    ];
    for (kind, scheme, trust, expected) in cases {
        let camera = Camera::start(kind).await;
        let config = camera.config(scheme, trust);
        let said = tokio::time::timeout(SOON, words(&config)).await.unwrap();
        match said {
            None => assert!(expected.is_empty(), "{expected:?} was not said"),
            Some((said, _)) => {
                assert!(
                    !expected.is_empty() && expected.iter().all(|word| said.contains(word)),
                    "{expected:?}: {said}"
                );
            }
        }
    }
}

/// Asks for video; returns the front and the library's connection.
async fn playing(config: &RtspConfig) -> (Front, TcpStream) {
    let mut front = Front::open(config).await.unwrap();
    let own = front.url(&config.url).unwrap();
    let library = async {
        let mut stream = TcpStream::connect((own.host_str().unwrap(), own.port().unwrap())).await.unwrap();
        for method in ["DESCRIBE", "SETUP", "PLAY"] {
            let request = format!("{method} {own} RTSP/1.0\r\nCSeq: 1\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            assert!(stream.read(&mut [0; 2048]).await.unwrap() > 0);
        }
        stream
    };
    let stream = tokio::select! {
        stream = library => stream,
        fault = front.run() => panic!("{fault:?}"),
    };
    (front, stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leave_is_taken_of_a_secured_camera_when_dropped_and_over_a_new_connection() {
    let own = secured("IPCamera", 2020);
    let trust = Trust::Pinned(Fingerprint::of(own.certificate.der()));
    for connections in [1, 2] {
        let kind = Kind::Tls(own.acceptor(rustls::ALL_VERSIONS));
        let camera = Camera::start_for(connections, kind).await;
        let config = camera.config("rtsps", trust.clone());
        let (front, _library) = playing(&config).await;
        if connections == 1 {
            drop(front);
        } else {
            let mut stale = front.into_stale();
            assert!(tokio::time::timeout(SOON, stale.tear_down_anew()).await.unwrap());
        }
        let requests = tokio::time::timeout(SOON, camera.task).await.unwrap().unwrap();
        let methods: Vec<&str> = requests.iter().map(|text| text.split(' ').next().unwrap()).collect();
        assert_eq!(methods, ["DESCRIBE", "SETUP", "PLAY", "TEARDOWN"], "{connections} connections");
        assert!(requests.iter().all(|text| text.contains(config.url.as_str())), "{requests:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_no_tunnel_is_named_with_what_to_set() {
    for (answer, expected) in [
        (&b"HTTP/1.1 404 Not Found\r\n\r\n"[..], "(status 404); set CAMERA_1_TRANSPORT to tcp"),
        (
            b"HTTP/1.0 401 Unauthorized\nWWW-Authenticate: Basic realm=\"x\"\n\n",
            "refused the user name or password",
        ),
        (b"RTSP/1.0 400 Bad Request\r\n\r\n", "(no answer of HTTP)"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "(no answer of HTTP)"),
    ] {
        let camera = Camera::start(Kind::Says(answer)).await;
        let config = RtspConfig { transport: Transport::Http, ..camera.config("rtsp", Trust::System) };
        let (said, _) = tokio::time::timeout(SOON, words(&config)).await.unwrap().unwrap();
        assert!(said.contains(expected), "{said}");
    }
}

/// Reads to the empty line of a head.
async fn head(stream: &mut TcpStream) -> String {
    let mut come = Vec::new();
    while !come.ends_with(b"\r\n\r\n") {
        come.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(come).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_is_two_connections_with_one_cookie_and_logs_in_at_both_when_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("rtsp://{}/1?a=b", listener.local_addr().unwrap())).unwrap();
    let password = Secret::new("sesame".to_owned());
    let credentials = Some(Credentials { username: "gate".to_owned(), password });
    let config = RtspConfig { url, credentials, transport: Transport::Http, trust: Trust::System };
    let camera = async {
        let (mut first, _) = listener.accept().await.unwrap();
        let asked = head(&mut first).await;
        assert!(asked.starts_with("GET /1?a=b HTTP/1.0\r\n") && !asked.contains("Authorization"), "{asked}");
        let refusal = b"HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\n";
        first.write_all(refusal).await.unwrap();
        let (mut down, _) = listener.accept().await.unwrap();
        let asked = head(&mut down).await;
        let line = |text: &str, name: &str| {
            text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{text}")).to_owned()
        };
        assert_eq!(line(&asked, "Authorization"), "Authorization: Basic Z2F0ZTpzZXNhbWU=");
        down.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n")
            .await
            .unwrap();
        let (mut up, _) = listener.accept().await.unwrap();
        let posted = head(&mut up).await;
        assert!(posted.starts_with("POST /1?a=b HTTP/1.0\r\n"), "{posted}");
        assert_eq!(line(&posted, "x-sessioncookie"), line(&asked, "x-sessioncookie"));
        line(&posted, "Authorization: Basic ");
        let mut encoded = vec![0; 2048];
        let count = up.read(&mut encoded).await.unwrap();
        let request = STANDARD.decode(&encoded[..count]).unwrap();
        assert!(request.starts_with(b"DESCRIBE rtsp://"), "{request:?}");
        down.write_all(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 51\r\n\r\nv=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n").await.unwrap();
        (down, up)
    };
    let both = async { tokio::join!(camera, words(&config)) };
    let (_, said) = tokio::time::timeout(SOON, both).await.unwrap();
    assert_eq!(said, None);
}
