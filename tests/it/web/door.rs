//! What is decided before any handler: for whom a path is, however it is written; whom a request speaks to; and whether a
//! session comes from the password that counts.

use std::net::SocketAddr;

use camera_capture::config::WebAccess;
use camera_capture::web::auth::{PASSWORD_KEY, hash_password};
use camera_capture::web::routes::{Access, ROUTES};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::{Browser, PASSWORD, client_from, dashboard, password_hash, send, start, start_with};

/// A request as it is written, which no decent client would send. Returns status and body.
async fn raw(addr: SocketAddr, method: &Method, target: &str, headers: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(addr).await.unwrap();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n{headers}\
         Connection: close\r\n\r\n{{}}"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer)
}

/// The path in other words: letters encoded, slashes doubled, segments that lead nowhere.
fn spellings(path: &str) -> Vec<String> {
    let mut found = vec![format!("{path}/"), format!("{path}//"), format!("/{path}"), format!("/.{path}")];
    found.extend([
        format!("/x/..{path}"),
        format!("/%2e{path}"),
        format!("/x/%2e%2e{path}"),
        format!("{path}/."),
    ]);
    found.extend([
        format!("{path}%00"),
        format!("{path};x"),
        format!("{path}?x"),
        format!("{path}%3f"),
        path.to_uppercase(),
    ]);
    for (at, c) in path.char_indices() {
        let (before, after) = (&path[..at], &path[at + 1..]);
        found.push(format!("{before}%{:02x}{after}", c as u8));
        found.push(format!("{before}%{:02X}{after}", c as u8));
        found.push(format!("{before}%25{:02x}{after}", c as u8));
        if c == '/' {
            found.extend([
                format!("{before}//{after}"),
                format!("{before}/./{after}"),
                format!("{before}\\{after}"),
            ]);
        }
    }
    found
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_a_program_to_what_is_for_persons() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let bearer = format!("Host: localhost\r\nAuthorization: Bearer {}\r\n", browser.token("full").await);
    let persons: Vec<_> = ROUTES.iter().filter(|route| route.access == Access::Person).collect();
    assert!(persons.len() >= 5);
    let mut tried = 0;
    for route in persons {
        let method = Method::from_bytes(route.method.as_str().as_bytes()).unwrap();
        let path = route.path.replace("{id}", "1");
        for target in spellings(&path).into_iter().chain([path]) {
            let (status, answer) = raw(dashboard.addr, &method, &target, &bearer).await;
            let is_refused = match status {
                403 => answer.contains("person_only"),
                400 | 404 | 405 => true,
                _ => false,
            };
            assert!(is_refused, "{method} {target}: {answer}");
            let (status, answer) = raw(dashboard.addr, &method, &target, "Host: localhost\r\n").await;
            assert!(matches!(status, 400 | 401), "{method} {target}: {answer}");
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
    assert_eq!(browser.get("/api/tokens").await.json()["tokens"].as_array().unwrap().len(), 1);
    // The same for whoever may: it is the same route.
    assert_eq!(browser.get("/api/%74okens").await.status, 200);
}

#[tokio::test]
async fn what_is_there_looks_to_a_stranger_like_what_is_not() {
    let dashboard = dashboard().await;
    let mut answers = Vec::new();
    for path in ["/api/status", "/api/nothing", "/api/tokens/1", "/api/tokens/1/2", "/health/x", "/%00"] {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS] {
            let answer = dashboard.send(method, path, &[], "").await;
            answers.push((answer.status, String::from_utf8(answer.body).unwrap()));
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].0, 401);
}

#[tokio::test]
async fn a_request_for_another_name_is_refused_before_anything_else() {
    let dashboard = start_with(WebAccess::Password, Some(password_hash()), |web| {
        web.hosts = vec!["cameras.example.org".to_owned()];
    })
    .await;
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/health"),
        (Method::GET, "/api/status"),
        (Method::POST, "/api/login"),
        (Method::GET, "/nothing"),
    ] {
        for host in ["evil.example", "localhost.evil.example:9000", "127.0.0.1.evil.example", "a@localhost"] {
            let (status, answer) = raw(dashboard.addr, &method, path, &format!("Host: {host}\r\n")).await;
            // What is no host at all is no request.
            assert!(
                status == 421 || (status == 400 && host.contains('@')),
                "{method} {path} {host}: {answer}"
            );
            assert!(status == 400 || answer.contains("WEB_HOSTS") && answer.contains("foreign_host"));
        }
        let (status, _) =
            raw(dashboard.addr, &method, path, "Host: localhost\r\nHost: evil.example\r\n").await;
        assert!(matches!(status, 400 | 421), "{status}");
        let target = format!("http://evil.example{path}");
        assert_eq!(raw(dashboard.addr, &method, &target, "Host: localhost\r\n").await.0, 421);
    }
    for host in [
        "localhost",
        "127.0.0.1:9000",
        "[::1]",
        "raspberrypi",
        "gate.local",
        "gate.lan",
        "cameras.example.org",
    ] {
        let (status, answer) =
            raw(dashboard.addr, &Method::GET, "/health", &format!("Host: {host}\r\n")).await;
        assert_eq!(status, 200, "{host}: {answer}");
    }
}

/// Whether the sessions of these log-ins are worth something.
async fn still_in(addr: SocketAddr, answers: &[super::harness::Answer]) -> Vec<u16> {
    let mut found = Vec::new();
    for answer in answers.iter().filter(|answer| answer.status == 200) {
        found.push(Browser::of(addr, answer).get("/api/status").await.status);
    }
    found
}

#[tokio::test]
async fn no_session_of_the_old_password_survives_its_change() {
    let dashboard = dashboard().await;
    let new = "another long phrase";
    let clients: Vec<_> = (1..=16).map(|n| client_from([127, 0, 2, n].into())).collect();
    let log_in = async |client: &reqwest::Client, password: &str| {
        // Each on a connection of its own: one that was kept may be closed by now.
        let headers = [("content-type", "application/json"), ("connection", "close")];
        let body = serde_json::json!({ "password": password }).to_string();
        send(client, dashboard.addr, Method::POST, "/api/login", &headers, &body).await
    };
    let log_in = &log_in;
    let log_ins = |password: &'static str| clients.iter().map(move |client| log_in(client, password));
    // Once the first of sixteen is in and the next is being looked at, the password is changed.
    let changes = [(PASSWORD, new), (new, PASSWORD), (PASSWORD, new), (new, PASSWORD)];
    for (round, (before, after)) in changes.into_iter().enumerate() {
        let owner = log_in(&clients[0], before).await;
        let (session, device) = (owner.cookie("session").unwrap(), owner.cookie("device").unwrap());
        let mut browser = Browser::of(dashboard.addr, &owner);
        // Judged beside the strangers, not behind them.
        browser.cookie = format!("{session}; {device}");
        let hash = hash_password(after).unwrap();
        let mut under_way: FuturesUnordered<_> = log_ins(before).collect();
        let mut answers: Vec<_> = under_way.next().await.into_iter().collect();
        let body = serde_json::json!({"current": before, "new": after}).to_string();
        let change = async {
            if round % 2 == 0 {
                // On the command line.
                dashboard.store.access().set_password_hash(PASSWORD_KEY, hash).await.unwrap();
            } else {
                let changed = browser.post("/api/password", &body).await;
                assert_eq!(changed.status, 200, "{changed:?}");
                let mine = Browser::of(dashboard.addr, &changed);
                assert_eq!(mine.get("/api/status").await.status, 200);
            }
        };
        let ((), rest) = futures_util::future::join(change, under_way.collect::<Vec<_>>()).await;
        answers.extend(rest);
        let left = still_in(dashboard.addr, &answers).await;
        assert!(!left.is_empty() && left.iter().all(|status| *status == 401), "{left:?} in round {round}");
    }
}

#[tokio::test]
async fn where_no_password_is_asked_for_there_are_no_tokens_and_no_password() {
    let dashboard = start(WebAccess::Loopback, None).await;
    for (method, path) in [
        (Method::GET, "/api/tokens"),
        (Method::POST, "/api/tokens"),
        (Method::DELETE, "/api/tokens/1"),
        (Method::POST, "/api/password"),
    ] {
        let answer = dashboard.send(method, path, &[("content-type", "application/json")], "{}").await;
        assert_eq!((answer.status, answer.code().as_str()), (409, "no_password"), "{path}");
    }
    assert_eq!(dashboard.send(Method::GET, "/api/session", &[], "").await.json()["access"], "loopback");
}
