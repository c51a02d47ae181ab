//! Many connections: nobody is kept out by those who are there already, and nobody who looks is closed for them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::harness::{Dashboard, dashboard};
use camera_capture::status::AlarmKind;

/// More than the dashboard ever has, and more than it once stopped accepting at.
const CROWD: usize = 1200;

/// Longest until a connection that has to go is gone; those that are late are late because of other tests.
const SOON: Duration = Duration::from_secs(20);

async fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// So many connections of one address that ask nothing.
async fn crowd(from: Ipv4Addr, to: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..count {
        crowd.push(connect(from, to).await);
    }
    crowd
}

async fn status_of(dashboard: &Dashboard, from: Ipv4Addr, path: &str) -> String {
    let mut stream = connect(from, dashboard.addr).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_one_address_keeps_nobody_out() {
    let dashboard = dashboard().await;
    let _crowd = crowd(Ipv4Addr::new(127, 9, 0, 1), dashboard.addr, CROWD).await;
    let began = Instant::now();
    for (from, path) in [([127, 9, 0, 2], "/health"), ([127, 9, 0, 1], "/health"), ([127, 9, 0, 3], "/login")]
    {
        let answer = timeout(Duration::from_secs(3), status_of(&dashboard, from.into(), path)).await;
        assert_eq!(answer.expect("an answer"), "HTTP/1.1 200 OK", "{path} from {from:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(3));
    let metrics = dashboard.browser().await.get("/metrics").await;
    let text = String::from_utf8(metrics.body).unwrap();
    let ended = text.lines().find_map(|line| {
        line.strip_prefix("camera_capture_connections_ended_total{how=\"closed\"} ")?.parse::<usize>().ok()
    });
    assert!(ended.unwrap() >= CROWD - 300, "{text}");
    assert!(text.contains("\ncamera_capture_connections_max "), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_looks_is_not_closed_for_a_crowd_of_strangers_behind_the_same_proxy() {
    let dashboard = dashboard().await;
    let mut stream = dashboard.browser().await.stream().await;
    let _same = crowd(Ipv4Addr::LOCALHOST, dashboard.addr, 400).await;
    let _others = crowd(Ipv4Addr::new(127, 9, 0, 4), dashboard.addr, 400).await;
    let mut text = String::new();
    let alarm = dashboard.status.alarm(AlarmKind::PicturesUnstored);
    alarm.raise("after-the-crowd".to_owned());
    while !text.contains("after-the-crowd") {
        let chunk = timeout(SOON, stream.chunk()).await.expect("the stream goes on").unwrap();
        text.push_str(std::str::from_utf8(&chunk.expect("it was not closed")).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_headers_of_a_second_request_have_to_come_in_time_as_well() {
    let dashboard = dashboard().await;
    let mut stream = connect(Ipv4Addr::new(127, 9, 0, 5), dashboard.addr).await;
    stream.write_all(b"GET /icon.svg HTTP/1.1\r\nhost: x\r\n\r\nGET /health HTTP/1.1\r\nx: ").await.unwrap();
    let mut bytes = vec![0; 65536];
    let ended = async {
        loop {
            tokio::select! {
                read = stream.read(&mut bytes) => if matches!(read, Ok(0) | Err(_)) { return },
                () = tokio::time::sleep(Duration::from_millis(100)) => if stream.write_all(b"x").await.is_err() { return },
            }
        }
    };
    timeout(SOON, ended).await.expect("a connection on which headers drip is ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_one_of_many_requests_at_once_is_answered_in_its_order() {
    let dashboard = dashboard().await;
    let mut stream = connect(Ipv4Addr::new(127, 9, 0, 6), dashboard.addr).await;
    let mut requests = String::new();
    for n in 0..100 {
        let path = if n % 3 == 0 { "/health" } else { "/api/status" };
        requests.push_str(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"));
    }
    requests.push_str("GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut answers = String::new();
    timeout(SOON, stream.read_to_string(&mut answers)).await.expect("all are answered").unwrap();
    let statuses: Vec<&str> =
        answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect();
    let expected: Vec<&str> =
        (0..100).map(|n| if n % 3 == 0 { "200" } else { "401" }).chain(["200"]).collect();
    assert_eq!(statuses, expected);
}
