//! The synthetic cameras of the demonstration, seen by the RTSP client that the daemon uses.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use camera_capture::clock;
use camera_capture::config::Secret;
use camera_capture::demo::framecode::{self, Reading};
use camera_capture::demo::rtsp_server::RtspHandle;
use camera_capture::demo::{Algorithm, AuthScheme, Join, RtspAccount, RtspFault, RtspServer, StreamConfig};
use futures_util::StreamExt as _;
use openh264::decoder::Decoder;
use openh264::formats::YUVSource as _;
use retina::client::{Credentials, Demuxed, PlayOptions, Session, SessionOptions, SetupOptions};
use retina::codec::{CodecItem, FrameFormat, VideoFrame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Long enough for any of these stories on a busy board; nothing waits for it to pass.
const DEADLINE: Duration = Duration::from_secs(30);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("within the deadline")
}

struct Rig {
    handle: RtspHandle,
    addr: SocketAddr,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Rig {
    /// Two small cameras, `/r1` and `/r2`, with an IDR every ten frames.
    async fn start(auth: Option<AuthScheme>) -> Self {
        let stream = |path, hue| StreamConfig {
            width: 320,
            height: 180,
            gop: 10,
            join: Join::MidGop,
            ..StreamConfig::new(path, "Entry", hue)
        };
        let auth = auth.map(|scheme| RtspAccount {
            scheme,
            user: "cam".to_owned(),
            password: Secret::new("secret".to_owned()),
        });
        let streams = vec![stream("/r1", 200), stream("/r2", 30)];
        let server = RtspServer::bind("127.0.0.1:0".parse().unwrap(), streams, auth).await.unwrap();
        let (handle, addr, cancel) = (server.handle(), server.local_addr(), CancellationToken::new());
        let task = tokio::spawn(server.run(cancel.clone()));
        Self { handle, addr, cancel, task }
    }

    async fn play(&self, path: &str, password: Option<&str>) -> Result<Client, retina::Error> {
        let url = format!("rtsp://{}{path}", self.addr).parse().unwrap();
        let creds = password
            .map(|password| Credentials { username: "cam".to_owned(), password: password.to_owned() });
        let session = async {
            let mut session = Session::describe(url, SessionOptions::default().creds(creds)).await?;
            session.setup(0, SetupOptions::default().frame_format(FrameFormat::SIMPLE)).await?;
            session.play(PlayOptions::default()).await?.demuxed()
        };
        let session = within(session).await?;
        Ok(Client { session: Box::new(session), decoder: Decoder::new().unwrap(), is_synchronised: false })
    }

    /// The status of a failed attempt to play.
    async fn refusal(&self, path: &str, password: Option<&str>) -> Option<u16> {
        self.play(path, password).await.err().unwrap().status_code()
    }

    async fn stop(self) {
        self.cancel.cancel();
        within(self.task).await.unwrap();
        assert_eq!(self.handle.playing(), 0);
    }
}

struct Client {
    session: Box<Demuxed>,
    decoder: Decoder,
    is_synchronised: bool,
}

impl Client {
    /// The next frame from the first IDR on; `None` when the session has ended.
    async fn frame(&mut self) -> Option<VideoFrame> {
        loop {
            match within(self.session.next()).await?.ok()? {
                CodecItem::VideoFrame(frame) => {
                    assert_eq!(frame.loss(), 0);
                    self.is_synchronised |= frame.is_random_access_point();
                    if self.is_synchronised {
                        return Some(frame);
                    }
                }
                CodecItem::Rtcp(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn until_closed(&mut self) {
        while self.frame().await.is_some() {}
    }

    /// RTP timestamp and time code of the next frame.
    async fn reading(&mut self) -> (i64, Reading) {
        let frame = self.frame().await.unwrap();
        let picture = self.decoder.decode(frame.data()).unwrap().unwrap();
        let ((width, height), (stride, _, _)) = (picture.dimensions(), picture.strides());
        assert_eq!((width, height), (320, 180));
        (frame.timestamp().timestamp(), framecode::read(picture.y(), width, height, stride).unwrap())
    }
}

#[tokio::test]
async fn every_frame_shows_the_instant_of_its_timestamp_and_that_is_about_now() {
    let rig = Rig::start(None).await;
    let mut client = rig.play("/r1", None).await.unwrap();
    let (first_ticks, first) = client.reading().await;
    for _ in 0..25 {
        let (ticks, reading) = client.reading().await;
        let now = clock::now().0;
        assert!(!reading.torn);
        assert_eq!((ticks - first_ticks) / 90, reading.unix_ms(now) - first.unix_ms(now));
        let age = now - reading.unix_ms(now);
        assert!((0..5000).contains(&age), "{age} ms");
    }
    rig.stop().await;
}

#[tokio::test]
async fn clients_of_one_camera_and_of_another_do_not_disturb_each_other() {
    let rig = Rig::start(None).await;
    let mut one = rig.play("/r1", None).await.unwrap();
    let mut two = rig.play("/r1", None).await.unwrap();
    let mut other = rig.play("/r2", None).await.unwrap();
    for _ in 0..12 {
        let readings = tokio::join!(one.reading(), two.reading(), other.reading());
        assert!(!readings.0.1.torn && !readings.1.1.torn && !readings.2.1.torn);
    }
    drop(one);
    two.reading().await;
    rig.stop().await;
}

#[tokio::test]
async fn only_the_right_password_opens_a_camera_and_only_if_there_is_one() {
    for scheme in [
        AuthScheme::Basic,
        AuthScheme::Digest,
        AuthScheme::DigestQop(Algorithm::Md5),
        AuthScheme::DigestQop(Algorithm::Md5Sess),
        AuthScheme::DigestQop(Algorithm::Sha256),
        AuthScheme::DigestQop(Algorithm::Sha256Sess),
        AuthScheme::DigestChoice,
    ] {
        let rig = Rig::start(Some(scheme)).await;
        assert_eq!(rig.refusal("/r1", Some("wrong")).await, Some(401), "{scheme:?}");
        assert_eq!(rig.refusal("/r1", None).await, Some(401), "{scheme:?}");
        assert_eq!(rig.refusal("/r9", Some("secret")).await, Some(404), "{scheme:?}");
        rig.play("/r1", Some("secret")).await.unwrap().reading().await;
        rig.handle.inject(RtspFault::RefuseAuth);
        assert_eq!(rig.refusal("/r1", Some("secret")).await, Some(401), "{scheme:?}");
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_stalled_camera_draws_nothing_until_it_is_healed_and_then_goes_on_undamaged() {
    let rig = Rig::start(None).await;
    let mut client = rig.play("/r1", None).await.unwrap();
    client.reading().await;
    rig.handle.inject(RtspFault::Stall);
    let stalled_at = clock::now().0;
    // The frames of a camera of another server tell that time has passed.
    let other_rig = Rig::start(None).await;
    let mut other = other_rig.play("/r1", None).await.unwrap();
    for _ in 0..12 {
        other.reading().await;
    }
    other_rig.stop().await;
    let healed_at = clock::now().0;
    rig.handle.heal();
    loop {
        let shown = client.reading().await.1.unix_ms(healed_at);
        assert!(shown < stalled_at + 60 || shown > healed_at - 60, "{stalled_at} {shown} {healed_at}");
        if shown > healed_at {
            break;
        }
    }
    for _ in 0..12 {
        assert!(!client.reading().await.1.torn);
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_frozen_server_answers_when_it_is_healed() {
    let rig = Rig::start(None).await;
    let mut before = rig.play("/r1", None).await.unwrap();
    before.reading().await;
    rig.handle.inject(RtspFault::Freeze);
    let (during, ()) = tokio::join!(rig.play("/r2", None), async {
        tokio::task::yield_now().await;
        rig.handle.heal();
    });
    during.unwrap().reading().await;
    before.reading().await;
    rig.stop().await;
}

#[tokio::test]
async fn dropped_clients_see_the_end_and_may_come_back() {
    let rig = Rig::start(None).await;
    let mut client = rig.play("/r1", None).await.unwrap();
    client.reading().await;
    rig.handle.drop_connections();
    within(client.until_closed()).await;
    rig.play("/r1", None).await.unwrap().reading().await;
    rig.stop().await;
}

#[tokio::test]
async fn cancelling_ends_the_server_under_its_clients() {
    let rig = Rig::start(None).await;
    let mut client = rig.play("/r1", None).await.unwrap();
    client.reading().await;
    rig.stop().await;
    within(client.until_closed()).await;
}

#[tokio::test]
async fn garbage_does_not_end_the_server() {
    let rig = Rig::start(None).await;
    let mut seeded = fastrand::Rng::with_seed(7);
    let random: Vec<u8> = std::iter::repeat_with(|| seeded.u8(..)).take(100_000).collect();
    let endless_header = [b"DESCRIBE rtsp://h/r1 RTSP/1.0\r\nX: ".to_vec(), vec![b'a'; 100_000]].concat();
    let huge_body = b"SET_PARAMETER rtsp://h/r1 RTSP/1.0\r\nContent-Length: 99999999999\r\n\r\n".repeat(400);
    for garbage in [random, endless_header, huge_body, b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![b'$'; 70_000]]
    {
        let mut stream = TcpStream::connect(rig.addr).await.unwrap();
        // The server may close the connection before it has read everything.
        let _ = stream.write_all(&garbage).await;
        let _ = stream.shutdown().await;
        let _ = within(stream.read_to_end(&mut Vec::new())).await;
    }
    rig.play("/r1", None).await.unwrap().reading().await;
    rig.stop().await;
}

#[tokio::test]
async fn requests_out_of_order_are_refused_with_the_status_that_says_why() {
    let rig = Rig::start(None).await;
    let mut stream = TcpStream::connect(rig.addr).await.unwrap();
    let mut ask = async |request: &str, headers: &str| {
        let url = format!("rtsp://{}/r1", rig.addr);
        let text = format!("{request} {url} RTSP/1.0\r\nCSeq: 5\r\n{headers}\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with("\r\n\r\n") {
            answer.push(char::from(within(stream.read_u8()).await.unwrap()));
        }
        assert!(answer.contains("\r\nCSeq: 5\r\n"), "{answer}");
        answer.get(9..12).unwrap().to_owned()
    };
    assert_eq!(ask("OPTIONS", "").await, "200");
    assert_eq!(ask("PLAY", "").await, "455");
    assert_eq!(ask("PLAY", "Session: 1234\r\n").await, "454");
    assert_eq!(ask("SETUP", "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n").await, "461");
    assert_eq!(ask("SETUP", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n").await, "200");
    assert_eq!(ask("PLAY", "Session: 1234\r\n").await, "454");
    assert_eq!(ask("GET_PARAMETER", "").await, "200");
    assert_eq!(ask("RECORD", "").await, "405");
    rig.stop().await;
}
