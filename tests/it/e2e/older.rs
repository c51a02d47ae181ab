//! What the systems before this one did for those around them, against the whole program. The ids are rows of the contract
//! of these systems; a row that is proved beside its own subject has its id there. S0.4 and S3.12 ask for nothing.

use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use tokio::net::UnixDatagram;
use tokio::process::Command;

use super::devices;
use crate::gpio_pishim::pishim::{self, Board};
use crate::support::daemon::{Daemon, program, run};
use crate::support::log::Lines;
use crate::support::program::{PYTHON, has_module};
use crate::support::setup::Setup;
use crate::support::snapshot::{PLAIN, SnapshotPeer};
use crate::support::stream_camera::{StreamCamera, StreamModel};
use crate::support::{machine_shared, wait_until};
use crate::targets::server::{Server, answer};

/// Longest until something is stored, said or delivered.
const SOON: Duration = Duration::from_secs(30);

/// An address of documentation (RFC 5737), which no machine has.
const NOT_OURS: &str = "192.0.2.33";

/// S0.2, S4.10, S4.12, S4.13, S4.14: a camera by its key, by `camera_n` and by its number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_and_the_routes_of_the_main_system_answer_those_who_know_them() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "").await;
    let daemon = Daemon::start_connected(&Setup::new().with_snapshots(1, &camera.url()), &["r1"]).await;
    let page = daemon.open("/").await;
    assert_eq!(page.status(), 200);
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let stranger = reqwest::get(format!("{}/", daemon.address())).await.unwrap();
    assert_eq!(stranger.status(), 401, "a stranger gets the page to log in on");
    assert!(stranger.text().await.unwrap().contains("type=\"password\""));

    for name in ["r1", "camera_1", "1"] {
        let taken = daemon.capture(name).await.unwrap();
        assert_eq!((taken.status, &taken.json()["camera"]), (201, &"r1".into()), "{name}: {}", taken.text());
    }
    for name in ["r9", "camera_9", "9", "camera_", "0"] {
        assert_eq!(daemon.capture(name).await.unwrap().status, 404, "{name}");
    }
    let images = daemon.images().await;
    assert_eq!(images.len(), 3);
    let file = daemon.open(&format!("/api/images/{}", images[0]["filename"].as_str().unwrap())).await;
    assert_eq!(
        (file.status().as_u16(), &file.headers()["content-type"]),
        (200, &"image/jpeg".parse().unwrap())
    );
    let file = file.bytes().await.unwrap();
    assert_eq!(images[0]["bytes"], file.len());
    assert_eq!(images[0]["width"], image::load_from_memory(&file).unwrap().width());

    let status = daemon.status().await;
    assert!(status["online"].is_boolean() || status["online"].is_null(), "{status}");
    assert_eq!(daemon.get("/api/stats").await.json()["total"]["captured"], 3);
    let lines = daemon.get("/api/gpio/status").await.json();
    assert_eq!(
        (&lines["lines"][0]["pin"], &lines["lines"][0]["camera"]),
        (&18.into(), &"r1".into()),
        "{lines}"
    );
    let cleaned = daemon.send(Method::POST, "/api/cleanup/run", None).await.unwrap();
    assert_eq!((cleaned.status, &cleaned.json()["deleted"]), (200, &0.into()), "{}", cleaned.text());
}

/// S4.7: whatever the address asks for is asked for, and what the server said is in the API.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_query_of_the_old_address_reaches_the_server_and_its_words_come_back() {
    let _machine = machine_shared().await;
    let said = r#"{"success":true,"id":7,"for":"modulename=anpr-canary"}"#;
    let server = Server::start(move |_, _| answer(200, "", said)).await;
    let camera = SnapshotPeer::start(PLAIN, "").await;
    let address = format!("{}/api/Common/Upload?modulename=anpr-canary", server.origin());
    let setup = Setup::new().with_snapshots(1, &camera.url()).with("S3_API_URL", &address);
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    assert_eq!(daemon.capture("r1").await.unwrap().status, 201);
    daemon.wait_until_delivered(SOON).await;
    let lines: Vec<String> = server.seen().into_iter().map(|request| request.line).collect();
    assert_eq!(lines, ["POST /api/Common/Upload?modulename=anpr-canary HTTP/1.1"]);
    // It may be a key, so it is shown nowhere.
    let image = daemon.images().await.remove(0);
    assert_eq!(
        image["uploads"][0]["answer"], r#"200: {"success":true,"id":7,"for":"modulename=•••"}"#,
        "{image}"
    );
    let shown = run(&setup, &["--check-config"], "").await;
    assert!(!String::from_utf8_lossy(&shown.stdout).contains("anpr-canary"), "{shown:?}");
    assert!(!daemon.lines().text().contains("anpr-canary"));
}

/// S4.15
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dashboard_without_a_password_is_refused_wherever_others_could_reach_it() {
    let open = |address: &str| Setup::new().with("WEB_AUTH_ENABLED", "false").with("BIND_IP", address);
    for address in ["0.0.0.0", NOT_OURS, "::"] {
        for arguments in [&["--check-config"][..], &[]] {
            let refused = run(&open(address), arguments, "").await;
            let said = String::from_utf8_lossy(&[refused.stdout, refused.stderr].concat()).into_owned();
            assert_eq!(refused.status.code(), Some(78), "{address} {arguments:?}: {said}");
            assert!(said.contains("WEB_AUTH_ENABLED") && said.contains("127.0.0.1"), "{said}");
        }
    }
    for address in ["127.0.0.1", "::1"] {
        assert_eq!(run(&open(address), &["--check-config"], "").await.status.code(), Some(0), "{address}");
    }
}

/// S4.4, S4.18: BCM 18, 19 and 20 by themselves, to ground, with pull-ups and 300 ms; and a dashboard that has no address
/// to be at keeps no contact from being a picture.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_are_pictures_while_the_address_of_the_dashboard_is_not_one_of_this_machine() {
    let _machine = machine_shared().await;
    let Some(library) = pishim::library() else { return };
    let (board, camera) = (Board::new(), SnapshotPeer::start(PLAIN, "").await);
    let mut setup = Setup::new()
        .with("BIND_IP", NOT_OURS)
        .with("GPIO_BACKEND", "rppal")
        .with_process("PISHIM_DIR", &board.dir.path().display().to_string())
        .with_process("LD_PRELOAD", &library.display().to_string());
    for n in 1..=3 {
        setup = setup.with(&format!("CAMERA_{n}_SNAPSHOT_URL"), &camera.url());
    }
    let mut child =
        program(&setup).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = Lines::default();
    lines.read(child.stdout.take().unwrap());
    lines.read(child.stderr.take().unwrap());
    wait_until("it says that it is nowhere, and watches its contacts", SOON, async || {
        let said = lines.text().contains(&format!("cannot listen on {NOT_OURS}"));
        let pulled_up = board.resistors() == 0b01_01_01 << 4;
        if said && pulled_up { Ok(()) } else { Err(format!("{pulled_up}, {}", lines.text())) }
    })
    .await;
    // Each contact bounces for 290 ms; that is one edge.
    let bounces =
        |line| format!("{line} 0 900000;{line} 1 890000;{line} 0 880000;{line} 1 620000;{line} 0 610000");
    let edges = [18, 19, 20].map(bounces).join(";");
    let hand = UnixDatagram::unbound().unwrap();
    hand.send_to(edges.as_bytes(), board.dir.path().join("ctl")).await.unwrap();
    let cameras = wait_until("each contact is a picture", SOON, async || {
        let names: Vec<String> = setup.pictures().into_keys().collect();
        if names.len() >= 3 { Ok(names) } else { Err(format!("{names:?} {}", lines.text())) }
    })
    .await;
    let cameras: Vec<&str> = cameras.iter().map(|name| name.split('_').next().unwrap()).collect();
    assert_eq!(cameras, ["r1", "r2", "r3"]);
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended = tokio::time::timeout(SOON, child.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0), "{}", lines.text());
    assert_eq!(setup.pictures().len(), 3, "bounces are no edges");
}

/// S2.12, S2.14: tokens as PyJWT makes them, and as somebody makes them who wants to come in without a right one; and a
/// picture is no text to be packed, nor one to be kept by a proxy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_pyjwt_open_streaming_and_forged_ones_do_not() {
    const SCRIPT: &str = r#"
import base64, hashlib, hmac, json, sys, time
import jwt, requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

url, secret, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
now = int(time.time())
claims = {"sub": "page", "exp": now + 600, "scope": "read operate"}
session = requests.Session()

def ask(token, method="GET", path="/streaming/camera-status", **more):
    return session.request(method, url + path, headers={"Authorization": "Bearer " + token}, timeout=20, **more)

def encoded(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=")

def by_hand(header, key):
    signed = encoded(json.dumps(header).encode()) + b"." + encoded(json.dumps(claims).encode())
    return (signed + b"." + encoded(hmac.new(key, signed, hashlib.sha256).digest())).decode()

good = jwt.encode(claims, secret, algorithm="HS256")
said = ask(good, "POST", "/streaming/setup-camera", json={"ip_address": "127.0.0.1", "port": port})
assert said.status_code == 200 and said.json()["success"] is True, said.text
status = ask(good)
assert status.status_code == 200 and status.json()["is_connected"] is True, status.text
late = dict(claims, exp=now - 20)
assert ask(jwt.encode(late, secret, algorithm="HS256")).status_code == 200, "clocks differ by a minute"

picture = ask(good, path="/streaming/snapshot")
assert "gzip" in picture.request.headers["Accept-Encoding"]
assert picture.status_code == 200 and picture.content[:2] == b"\xff\xd8", picture
assert picture.headers["Content-Type"] == "image/jpeg" and "Content-Encoding" not in picture.headers, picture.headers
assert "no-store" in picture.headers["Cache-Control"], picture.headers
assert int(picture.headers["Content-Length"]) == len(picture.content)

private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
public = private.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
without_end = {name: claims[name] for name in claims if name != "exp"}
forged = {
    "alg none": jwt.encode(claims, None, algorithm="none"),
    "alg none, with the good signature": encoded(b'{"alg":"none"}').decode() + "." + good.split(".", 1)[1],
    "RS256": jwt.encode(claims, private, algorithm="RS256"),
    "RS256 in name, with our secret": by_hand({"alg": "RS256", "typ": "JWT"}, secret.encode()),
    "HS256 with a public key": by_hand({"alg": "HS256", "typ": "JWT"}, public),
    "HS512": jwt.encode(claims, secret, algorithm="HS512"),
    "expired": jwt.encode(dict(claims, exp=now - 3600), secret, algorithm="HS256"),
    "no exp": jwt.encode(without_end, secret, algorithm="HS256"),
    "exp as text": jwt.encode(dict(without_end, exp="tomorrow"), secret, algorithm="HS256"),
    "not before": jwt.encode(dict(claims, nbf=now + 3600), secret, algorithm="HS256"),
    "wrong secret": jwt.encode(claims, secret[::-1], algorithm="HS256"),
    "a part changed": good[:-2] + ("AA" if good[-2:] != "AA" else "BB"),
}
for name, token in forged.items():
    refused = ask(token)
    assert refused.status_code == 401, (name, refused.status_code, refused.text)
    assert refused.json()["success"] is False and token not in refused.text, (name, refused.text)
print("fine")
"#;
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let _machine = machine_shared().await;
    for (module, package) in
        [("jwt", "python3-jwt"), ("requests", "python3-requests"), ("cryptography", "python3-cryptography")]
    {
        if !has_module("tokens_of_pyjwt", module, package).await {
            return;
        }
    }
    let camera = StreamCamera::start(StreamModel::default(), devices::picture(1)).await;
    let setup = Setup::new()
        .with("CAMERA_4_STREAMING", "true")
        .with("CAMERA_4_NAME", "stream")
        .with("STREAM_ALLOW", "127.0.0.0/8")
        .with("JWT_SECRET", SECRET);
    let daemon = Daemon::start(&setup).await;
    let port = camera.address.port().to_string();
    let output =
        Command::new(PYTHON).args(["-c", SCRIPT, daemon.address(), SECRET, &port]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!daemon.lines().text().contains(SECRET));
}
