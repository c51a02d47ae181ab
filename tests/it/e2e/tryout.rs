//! `--test-upload` and its button: where a delivery gets stuck, said step by step, beside the daemon and without a secret.

use std::process::Output;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::support::daemon::{Daemon, run};
use crate::support::receiver::Receiver;
use crate::support::setup::Setup;
use crate::support::{machine_shared, wait_until};
use crate::targets::server::{Server, answer, silent_port};
use crate::targets::tls::Authority;

/// Longest until everything has been said.
const SOON: Duration = Duration::from_secs(30);

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

/// What the test says of one target for programs, and its exit status.
async fn document(setup: &Setup) -> (Option<i32>, Value) {
    let output = run(setup, &["--test-upload", "--json"], "").await;
    let document = serde_json::from_slice(&output.stdout);
    let document: Value = document.unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    (output.status.code(), document)
}

fn step<'a>(document: &'a Value, name: &str) -> &'a Value {
    let steps = document["targets"][0]["steps"].as_array().unwrap();
    steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("no {name} in {document:#}"))
}

/// The first step that failed, with its words.
async fn stuck(setup: &Setup, name: &str, words: &[&str]) -> Value {
    let (status, document) = document(setup).await;
    assert_eq!((status, &document["ok"]), (Some(1), &Value::Bool(false)), "{document:#}");
    let steps = document["targets"][0]["steps"].as_array().unwrap();
    let failed = steps.iter().find(|step| step["ok"] == false).unwrap();
    assert_eq!(failed["step"], name, "{document:#}");
    for word in words {
        assert!(failed["text"].as_str().unwrap().contains(word), "{word} in {failed:#}");
    }
    assert_eq!(step(&document, "verdict")["ok"], false, "{document:#}");
    document
}

fn to(url: &str) -> Setup {
    Setup::new().with("S3_API_URL", url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_picture_beside_the_daemon_arrives_as_any_other_and_leaves_no_trace_in_it() {
    let _machine = machine_shared().await;
    let receiver = Receiver::start().await;
    let url = receiver.url().replace("http://", "http://gate:canary-one@");
    let setup =
        to(&url).with("UPLOAD_HEADERS", "Authorization: Bearer canary-three").with("SITE_NAME", "Gate 7");
    let daemon = Daemon::start(&setup).await;
    let output = run(&setup, &["--test-upload", "api"], "").await;
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for line in [
        "ok      name: ",
        "ok      TCP: ",
        "ok      HTTP: answered 201",
        "ok      verdict: taken",
        "api: fine",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert!(!said.contains("canary"), "{said}");

    let (status, document) = document(&setup).await;
    assert_eq!((status, &document["ok"], &document["version"]), (Some(0), &true.into(), &1.into()));
    let target = &document["targets"][0];
    assert_eq!((&target["target"], &target["error"]), (&"api".into(), &Value::Null), "{target:#}");
    let took = receiver.receptions();
    assert_eq!(took.len(), 2, "{took:?}");
    let name = target["picture"]["filename"].as_str().unwrap();
    assert!(name.starts_with("test_") && took.iter().any(|one| one.filename == name), "{took:?}");
    assert_ne!(took[0].id, took[1].id, "each is another picture");
    receiver.check();

    assert!(daemon.images().await.is_empty() && daemon.events().await.is_empty());
    let stats = daemon.get("/api/stats").await.json();
    let counts = &stats["uploads"]["targets"]["api"];
    for state in ["pending", "delivered", "dead", "lost"] {
        assert_eq!(counts[state].as_u64().unwrap_or(0), 0, "{state}: {stats}");
    }
    assert!(setup.pictures().is_empty());
    let (status, lines) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", lines.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_gets_stuck_is_told_at_its_step() {
    let _machine = machine_shared().await;
    stuck(&to("http://gate.invalid/up"), "name", &["gate.invalid", "this machine on line"]).await;

    let (_held, closed) = silent_port();
    let said = stuck(&to(&format!("http://{closed}/up")), "tcp", &["refused", "nothing listens there"]).await;
    assert_eq!(step(&said, "tcp")["seen"]["connections"][0]["outcome"], "refused");
    assert_eq!(step(&said, "http")["ok"], Value::Null, "not reached");

    let plain = Server::start(|_, _| answer(200, "", "ok")).await;
    let said =
        stuck(&to(&format!("https://{}/up", plain.addr)), "tls", &["does not speak TLS", "S3_API_URL"]).await;
    assert_eq!(step(&said, "tcp")["ok"], true);
    assert!(plain.seen().is_empty());

    let no = Server::start(|_, _| {
        answer(200, "content-type: application/json\r\n", r#"{"success":false,"message":"disk full"}"#)
    });
    let said = stuck(&to(&no.await.url()), "verdict", &["not taken", "disk full"]).await;
    assert_eq!(step(&said, "http")["ok"], true);
    assert_eq!(step(&said, "http")["seen"]["statuses"], Value::from(vec![200]));

    let proxied =
        to("https://gate.invalid/up").with("HTTPS_PROXY", &format!("http://box:canary-one@{closed}"));
    let name = format!("the proxy {closed} (HTTPS_PROXY)");
    let said = stuck(&proxied, "tcp", &["refused", "the proxy in HTTPS_PROXY"]).await;
    assert!(step(&said, "name")["text"].as_str().unwrap().contains(&name), "{said:#}");
    assert!(step(&said, "verdict")["text"].as_str().unwrap().contains(&name), "{said:#}");
    assert!(!said.to_string().contains("canary"), "{said:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_is_shown_whether_or_not_it_is_trusted() {
    let _machine = machine_shared().await;
    let server = Server::start(|_, _| answer(200, "", "ok")).await;
    let (right, other) = (Authority::new(), Authority::made_out_to("other.example"));
    let (right_at, _one) = right.guard(server.addr).await;
    let (other_at, _two) = other.guard(server.addr).await;
    let trusting = |address: &str, authority: &Authority| {
        let setup = to(address);
        let file = setup.directory().join("ca.pem");
        std::fs::write(&file, &authority.pem).unwrap();
        setup.with("UPLOAD_CA_FILE", &file.display().to_string())
    };
    let url = format!("https://{right_at}/up");
    let (status, document) = document(&trusting(&url, &right)).await;
    let tls = step(&document, "tls");
    assert_eq!(
        (status, &tls["ok"], &tls["seen"]["version"]),
        (Some(0), &true.into(), &"TLS 1.3".into()),
        "{document:#}"
    );
    let certificate = &tls["seen"]["certificate"];
    assert_eq!(certificate["names"], Value::from(vec!["127.0.0.1"]));
    assert!(certificate["not_after"].is_string() && certificate["issuer"].is_string(), "{certificate}");
    assert!(tls["text"].as_str().unwrap().contains("days left"), "{tls}");

    let said =
        stuck(&to(&url), "tls", &["is not trusted", "UPLOAD_CA_FILE", "made out to 127.0.0.1, by"]).await;
    assert_eq!(step(&said, "tls")["seen"]["certificate"]["names"][0], "127.0.0.1");
    let url = format!("https://{other_at}/up");
    stuck(&trusting(&url, &other), "tls", &["made out to other.example, not to 127.0.0.1", "S3_API_URL"])
        .await;
    assert_eq!(server.seen().len(), 1, "only who was trusted got a picture");
}

/// A proxy that opens the way to `server` for who logs in as `gate:canary-one`, and answers `403` to others.
async fn proxy(server: std::net::SocketAddr) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                let head = String::from_utf8(head).unwrap();
                let login = STANDARD.encode("gate:canary-one");
                let is_known =
                    head.to_ascii_lowercase().contains("proxy-authorization: ") && head.contains(&login);
                let answer = if is_known { "200 Open" } else { "403 No" };
                stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await.unwrap();
                if is_known {
                    let mut inside = TcpStream::connect(server).await.unwrap();
                    // Either end may hang up.
                    let _ = copy_bidirectional(&mut stream, &mut inside).await;
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_a_proxy_the_way_is_looked_at_behind_it() {
    let _machine = machine_shared().await;
    let server = Server::start(|_, _| answer(200, "", "ok")).await;
    let authority = Authority::made_out_to("gate.invalid");
    let (secured, _guard) = authority.guard(server.addr).await;
    let proxy = proxy(secured).await;
    let setup = to("https://gate.invalid/up");
    let file = setup.directory().join("ca.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    let setup = setup.with("UPLOAD_CA_FILE", &file.display().to_string());
    let setup = setup.with("HTTPS_PROXY", &format!("http://gate:canary%2Done@{proxy}"));
    let (status, document) = document(&setup).await;
    assert_eq!(status, Some(0), "{document:#}");
    assert!(
        step(&document, "proxy")["text"].as_str().unwrap().contains("opened the way to gate.invalid:443")
    );
    assert_eq!(step(&document, "tls")["seen"]["certificate"]["names"][0], "gate.invalid");
    assert!(!document.to_string().contains("canary"), "{document:#}");
    let setup = setup.with("HTTPS_PROXY", &format!("http://gate:canary-two@{proxy}"));
    stuck(&setup, "proxy", &["answered 403", "HTTPS_PROXY"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_not_there_is_wrong_usage_and_those_that_are_there_are_named() {
    let setup = to("http://127.0.0.1:9/up")
        .with("DISCORD_WEBHOOK_URL", "https://discord.invalid/api/webhooks/1/canary-hook");
    for (arguments, words) in [
        (&["--test-upload", "ftp"][..], "ftp is no upload target; there are: api, discord"),
        (&["--test-upload", "api", "s3"], "s3 is not in use here; there are: api, discord"),
    ] {
        let output = run(&setup, arguments, "").await;
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(words), "{}", text(&output));
    }
    let output = run(&setup, &["--test-upload", "ftp", "--json"], "").await;
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &document["ok"]), (Some(2), &false.into()));
    assert!(document["error"].as_str().unwrap().contains("there are: api, discord"), "{document}");
    let output = run(&Setup::new(), &["--test-upload"], "").await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("no upload target is configured"), "{}", text(&output));
    let output = run(&setup, &["--test-upload", "discord"], "").await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    assert!(
        said.contains("discord.invalid") && !said.contains("canary") && !said.contains("webhooks"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_button_tells_the_same_steps_and_may_not_be_pressed_without_end() {
    let _machine = machine_shared().await;
    let mut receiver = Receiver::start().await;
    let daemon = Daemon::start(&to(&receiver.url())).await;
    let press = async |target: &str| {
        daemon.send(Method::POST, &format!("/api/uploads/test/{target}"), None).await.unwrap()
    };
    let reply = press("api").await;
    let report = reply.json();
    assert_eq!((reply.status, &report["ok"]), (200, &true.into()), "{report:#}");
    let names: Vec<_> =
        report["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(names, ["name", "tcp", "http", "verdict"]);
    assert_eq!(press("api").await.status, 429, "one after the other at once");
    assert_eq!(receiver.receptions().len(), 1);
    let reply = press("s3").await;
    assert_eq!(reply.status, 404);
    assert!(reply.text().contains("there are: api"), "{}", reply.text());
    assert!(daemon.images().await.is_empty());
    receiver.down().await;
    let report = wait_until("it may be pressed again", SOON, async || {
        let reply = press("api").await;
        if reply.status == 200 { Ok(reply.json()) } else { Err(reply.text()) }
    })
    .await;
    assert_eq!((&report["ok"], &report["steps"][1]["ok"]), (&false.into(), &false.into()), "{report:#}");
    assert!(report["steps"][1]["text"].as_str().unwrap().contains("refused"), "{report:#}");
    daemon.terminate().await;
}
