//! Words of others in every place: nothing that a terminal obeys and no secret reaches the log, the API, a table, the
//! database or a terminal.

use std::os::unix::fs::symlink;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::daemon::{Daemon, run};
use crate::support::setup::Setup;
use crate::support::snapshot::{PLAIN, SnapshotPeer};
use crate::support::{machine_shared, wait_until};
use crate::targets::server::{Server, answer};

/// Escapes, a bell, a line of its own, turned and hidden text.
const HOSTILE: &str =
    "\u{1b}]0;owned\u{7}\u{1b}[31mred\u{9b}2J\r\nERROR forged\u{202e}gpj\u{2066}x\u{200b}\u{feff}\u{0}y";

/// The password of the hostile camera, and what is told the servers.
const CANARY: &str = "CanaryHeader-42/x";

const USER: &str = "CanaryUser";

/// Longest until everything has been said.
const SOON: Duration = Duration::from_secs(30);

/// A camera that wants a log-in, and then repeats it in a page of hostile words.
async fn camera() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut count = 0_usize;
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut head, mut piece) = (Vec::new(), [0; 2048]);
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut piece).await {
                    Ok(read) if read > 0 => head.extend_from_slice(&piece[..read]),
                    _ => break,
                }
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("authorization"));
            let reply = match line {
                None => "HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: \
                     close\r\n\r\n".to_owned(),
                Some(line) => {
                    count += 1;
                    let said =
                        [line.to_owned(), format!("{}{CANARY}", "x".repeat(50)), CANARY.to_uppercase()];
                    let page = format!("<html><title>{} {HOSTILE}</title>", said[count % said.len()]);
                    format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                        page.len()
                    )
                }
            };
            // A client that has gone is no concern of a hostile camera.
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    });
    format!("http://{address}/capture")
}

/// Every string in a value.
fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            found.push(name.clone());
            strings(value, found);
        }),
        _ => {}
    }
}

fn assert_clean(text: &str, place: &str) {
    let obeyed = |c: char| {
        (c.is_control() && c != '\n' && c != '\r')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if let Some(at) = text.find(obeyed) {
        panic!("{place}: {:?}", text[at.saturating_sub(60)..].chars().take(120).collect::<String>());
    }
    assert!(!text.contains("\nERROR forged") && !text.contains("\rERROR"), "{place}: a forged line");
    assert_no_secret(text, place);
}

fn assert_no_secret(text: &str, place: &str) {
    let lower = text.to_lowercase();
    let base64 = STANDARD.encode(format!("{USER}:{CANARY}"));
    for secret in [
        "canaryhe",
        "header-42",
        "canaryuser",
        "canarytoken",
        &base64[..12].to_lowercase(),
        &base64[12..24].to_lowercase(),
    ] {
        if let Some(at) = lower.find(secret) {
            let begin =
                (0..=at.saturating_sub(100)).rev().find(|begin| lower.is_char_boundary(*begin)).unwrap_or(0);
            panic!("{place}: {secret} in {:?}", lower[begin..].chars().take(200).collect::<String>());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_words_reach_nothing_but_clean_and_without_secrets() {
    let _machine = machine_shared().await;
    let hostile = camera().await;
    let good = SnapshotPeer::start(PLAIN, "x").await;
    // Repeats the request, and says what no terminal should hear.
    let api = Server::start(|index, request| {
        let headers: Vec<String> =
            request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let secret =
            headers.iter().find(|header| header.starts_with("authorization")).cloned().unwrap_or_default();
        let said = [secret, format!("{}{CANARY}", "x".repeat(180)), headers.join("; ")];
        answer(413, "", &format!("={HOSTILE} {} {HOSTILE}", said[index % said.len()]))
    })
    .await;
    let relay = Server::start(|_, request| {
        let secret = request.header("authorization").unwrap_or_default().to_owned();
        answer(401, "", &serde_json::json!({ "error": format!("{HOSTILE}{secret}") }).to_string())
    })
    .await;
    let login = format!("{USER}:CanaryHeader-42%2Fx");
    let setup = Setup::new()
        .with("LOG_FORMAT", "text")
        .with("LOG_LEVEL", "debug")
        .with_snapshots(1, &hostile)
        .with_login(1, USER, CANARY)
        .with_snapshots(2, &good.url())
        .with("S3_API_URL", &format!("http://{login}@{}/upload", api.addr))
        .with("UPLOAD_HEADERS", "X-Token: Bearer CanaryToken-13")
        .with("RELAY_URL", &format!("http://{login}@{}/upload", relay.addr))
        .with_process(&format!("CAMERA_1_{}", HOSTILE.replace(['\u{0}', '='], "")), "1");
    let day = setup.images().join("2026-11-20");
    std::fs::create_dir_all(&day).unwrap();
    let name = HOSTILE.replace(['\u{0}', '/'], "");
    std::fs::write(day.join(&name), b"precious").unwrap();
    std::fs::write(day.join("r1_1795132800.jpg"), b"torn").unwrap();
    symlink(setup.directory(), setup.images().join("2022-01-01")).unwrap();
    symlink(setup.directory(), setup.images().join(format!("2022-01-02.set-aside{name}"))).unwrap();

    let daemon = Daemon::start(&setup).await;
    daemon.wait_for_camera("r2", "connected", SOON).await;
    for _ in 0..3 {
        assert_eq!(daemon.capture("r2").await.unwrap().status, 201);
    }
    daemon.capture("r1").await.unwrap();
    wait_until("the pictures are put aside and the other target refuses", SOON, async || {
        let status = daemon.status().await;
        let dead = daemon.get("/api/uploads/dead?format=csv").await.text();
        let camera = daemon.camera("r1").await;
        let is_all =
            dead.contains("413") && status.to_string().contains("401") && camera.1.contains("web page");
        if is_all { Ok(()) } else { Err(format!("{camera:?} {dead} {}", status["uploads"])) }
    })
    .await;
    let mut said = Vec::new();
    for path in ["/api/status", "/api/events", "/api/images", "/api/uploads/dead"] {
        strings(&daemon.get(path).await.json(), &mut said);
    }
    assert!(said.iter().any(|text| text.contains("red2J") && text.contains("413")), "{said:?}");
    assert!(said.iter().any(|text| text.contains("2022-01-01 (a symbolic link)")), "{said:?}");
    for text in &said {
        assert_clean(text, "API");
        assert!(!text.contains(['\n', '\r']), "{text:?}");
    }
    assert_clean(&daemon.get("/api/uploads/dead?format=csv").await.text(), "CSV");

    let (status, lines) = daemon.terminate().await;
    assert!(status.success());
    let log = lines.text();
    assert!(log.contains("not of this program; left where it is"), "{log}");
    assert_clean(&log, "log");
    let commands = [
        &["--test-capture"][..],
        &["--test-upload"],
        &["--cleanup-now"],
        &["--check-config"],
        &["--rebuild"],
    ];
    for arguments in commands {
        let output = run(&setup, arguments, "").await;
        for text in [output.stdout, output.stderr] {
            assert_clean(&String::from_utf8_lossy(&text), &format!("{arguments:?}"));
        }
    }
    for entry in std::fs::read_dir(setup.directory()).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_file() && path.extension().is_none_or(|extension| extension != "env") {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            assert_no_secret(&text, &path.display().to_string());
            for part in ["\u{1b}[31m", "\u{1b}]0;", "\u{202e}", "\u{2066}"] {
                assert!(!text.contains(part), "{part:?} in {}", path.display());
            }
        }
    }
    assert_eq!(std::fs::read(day.join(&name)).unwrap(), b"precious");
}
