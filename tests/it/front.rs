//! The front between a camera and us: what it costs in time, and that nothing of it is left behind.

use std::time::{Duration, Instant};

use camera_capture::config::{RtspConfig, Transport, Trust};
use camera_capture::media::gop::Codec;
use camera_capture::source::front::refusal::RequestRefusal;
use camera_capture::source::front::{Front, FrontFault, Item};
use camera_capture::source::rtp::Described;
use camera_capture::source::rtp::marker::Markers;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::support::{machine_alone, percentile, report, scale};

/// Between two pictures at 25 frames a second.
const INTERVAL: Duration = Duration::from_millis(40);

/// Packets of a picture: 4 Mbit/s.
const PACKETS: u64 = 14;

/// Bytes behind the head of a packet.
const PAYLOAD: usize = 1400;

/// Longest until something that happens at once has happened, on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// The front may add so much, in the middle. What is measured on a quiet machine is a twentieth.
const HOP_US_MAX: u64 = 2000;

/// Answers three requests; returns the connection and all that was asked.
async fn camera(listener: &TcpListener) -> (BufReader<TcpStream>, String) {
    let mut stream = BufReader::new(listener.accept().await.unwrap().0);
    let mut all = String::new();
    for headers in [
        "Content-Type: application/sdp\r\nContent-Length: 46\r\n\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
        "Session: 5\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n",
        "\r\n",
    ] {
        loop {
            let mut line = String::new();
            assert!(stream.read_line(&mut line).await.unwrap() > 0, "{all}");
            all.push_str(&line);
            if line == "\r\n" {
                break;
            }
        }
        stream.write_all(format!("RTSP/1.0 200 OK\r\nCSeq: 1\r\n{headers}").as_bytes()).await.unwrap();
    }
    (stream, all)
}

/// Asks as the library does, at this address; returns the connection once video is promised.
async fn library(url: &Url) -> BufReader<TcpStream> {
    let address = (url.host_str().unwrap(), url.port().unwrap());
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    for method in ["DESCRIBE", "SETUP", "PLAY"] {
        stream.write_all(format!("{method} {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n").as_bytes()).await.unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(stream.read_line(&mut line).await.unwrap() > 0);
            length =
                line.trim().strip_prefix("Content-Length: ").map_or(length, |text| text.parse().unwrap());
            if line == "\r\n" {
                break;
            }
        }
        stream.read_exact(&mut vec![0; length]).await.unwrap();
    }
    stream
}

async fn front(url: &str) -> (Front, Url) {
    let config = RtspConfig {
        url: Url::parse(url).unwrap(),
        credentials: None,
        transport: Transport::Tcp,
        trust: Trust::System,
    };
    let front = Front::open(&config).await.unwrap();
    let own = front.url(&config.url).unwrap();
    (front, own)
}

/// Sends pictures whose packets hold a slice each, and in it the time since `epoch` in microseconds.
async fn send(mut to: BufReader<TcpStream>, pictures: u64, epoch: Instant) {
    to.get_ref().set_nodelay(true).unwrap();
    let mut tick = tokio::time::interval(INTERVAL);
    for picture in 0..pictures {
        tick.tick().await;
        for n in 0..PACKETS {
            let mark = if n + 1 == PACKETS { 0xe0 } else { 0x60 };
            let mut packet = vec![b'$', 0];
            packet.extend(u16::try_from(12 + PAYLOAD).unwrap().to_be_bytes());
            packet.extend([0x80, mark]);
            packet.extend(u16::try_from(picture * PACKETS + n).unwrap().to_be_bytes());
            packet.extend((picture as u32 * 3600).to_be_bytes());
            packet.extend([0, 0, 0, 7]);
            packet.extend([0x41, if n == 0 { 0x9a } else { 0x4a }]);
            packet.extend((epoch.elapsed().as_micros() as u64).to_be_bytes());
            packet.resize(4 + 12 + PAYLOAD, 0x55);
            to.write_all(&packet).await.unwrap();
        }
    }
    // What is on its way arrives.
    tokio::time::sleep(INTERVAL).await;
}

/// How long the last packet of each picture took, microseconds.
async fn receive(mut from: BufReader<TcpStream>, pictures: u64, epoch: Instant) -> Vec<u64> {
    let mut last = Vec::new();
    let mut packet = vec![0; 4 + 12 + PAYLOAD];
    for _ in 0..pictures {
        for n in 0..PACKETS {
            from.read_exact(&mut packet).await.unwrap();
            if n + 1 == PACKETS {
                last.push(epoch.elapsed().as_micros() as u64 - sent_at(&packet[16..]));
            }
        }
    }
    last
}

/// The time in a slice.
fn sent_at(slice: &[u8]) -> u64 {
    u64::from_be_bytes(slice[2..10].try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_front_delays_no_picture() {
    let _machine = machine_alone().await;
    let pictures = scale("PICTURES", 75);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtsp://{}/1", listener.local_addr().unwrap());
    let epoch = Instant::now();

    let plain = Url::parse(&url).unwrap();
    let ((to, _), from) = tokio::join!(camera(&listener), library(&plain));
    let sending = tokio::spawn(send(to, pictures, epoch));
    let direct = receive(from, pictures, epoch).await;
    sending.await.unwrap();

    let (mut front, own) = front(&url).await;
    let (to, from) = tokio::select! {
        ((to, _), from) = async { tokio::join!(camera(&listener), library(&own)) } => (to, from),
        fault = front.run() => panic!("{fault:?}"),
    };
    drop(from);
    let described =
        Described { codec: Codec::H264, payload_type: 96, sets: Vec::new(), has_order: false, size: None };
    front.expect(&described, Markers::Seen(9));
    front.release();
    let sending = tokio::spawn(send(to, pictures, epoch));
    let (mut begun, mut last) = (Vec::new(), Vec::new());
    while let Ok(item) = front.next().await {
        let Item::Unit(unit) = item else { panic!("{item:?}") };
        let (now, data) = (epoch.elapsed().as_micros() as u64, &unit.picture.data);
        last.push(now - sent_at(&data[data.len() - PAYLOAD..]));
        begun.push((unit.picture.began_at - epoch).as_micros() as u64 - sent_at(&data[4..]));
        assert_eq!(data.len() as u64, PACKETS * (4 + PAYLOAD as u64));
    }
    sending.await.unwrap();
    assert_eq!(last.len() as u64, pictures, "all that came before the end was taken");
    let figures = |values: &[u64]| (percentile(values, 50), percentile(values, 99));
    report(&format!(
        "a picture's last packet took {:?} us direct, {:?} us through the front (median, p99); its first was noticed {:?} \
         us after it was sent",
        figures(&direct),
        figures(&last),
        figures(&begun)
    ));
    let added = percentile(&last, 50).saturating_sub(percentile(&direct, 50));
    assert!(added < HOP_US_MAX, "{added} us more");
    assert!(percentile(&begun, 50) < HOP_US_MAX, "{begun:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_front_that_is_dropped_takes_leave_and_closes_both_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtsp://{}/1", listener.local_addr().unwrap());
    let (mut front, own) = front(&url).await;
    let ((mut to, asked), mut from) = tokio::select! {
        both = async { tokio::join!(camera(&listener), library(&own)) } => both,
        fault = front.run() => panic!("{fault:?}"),
    };
    assert!(
        !asked.contains("127.0.0.1:") || asked.contains(&url),
        "the camera hears its own address: {asked}"
    );
    assert!(!asked.contains(own.path()), "{asked}");
    drop(front);
    let (mut said, mut rest) = (String::new(), Vec::new());
    let ends = async { (to.read_to_string(&mut said).await, from.read_to_end(&mut rest).await) };
    let (camera_end, library_end) = tokio::time::timeout(SOON, ends).await.unwrap();
    assert!(camera_end.is_ok() && library_end.is_ok());
    assert!(said.starts_with(&format!("TEARDOWN {url} RTSP/1.0\r\n")), "{said}");
    assert_eq!(rest, b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_camera_said_before_it_hung_up_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtsp://{}/1", listener.local_addr().unwrap());
    let (mut front, own) = front(&url).await;
    let refusal = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        stream.write_all(b"RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n").await.unwrap();
    };
    let library = async {
        let mut stream = TcpStream::connect((own.host_str().unwrap(), own.port().unwrap())).await.unwrap();
        stream.write_all(format!("DESCRIBE {own} RTSP/1.0\r\nCSeq: 9\r\n\r\n").as_bytes()).await.unwrap();
        stream
    };
    let told = async { tokio::join!(refusal, library, front.run()).2 };
    let fault = tokio::time::timeout(SOON, told).await.unwrap();
    assert!(matches!(fault, FrontFault::Refused(RequestRefusal { status: 404, .. })), "{fault:?}");
}
