//! The dashboard behind a real nginx with the file that is shipped.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use camera_capture::config::{Network, WebAccess};
use reqwest::{Client, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use super::harness::{Answer, Dashboard, PASSWORD, password_hash, start_with};
use crate::support::program::{free_port, serve};

/// The name in the file.
const NAME: &str = "gate.example.org";

/// nginx before a dashboard, on ports of its own.
struct Proxy {
    tls: u16,
    plain: u16,
    _dir: tempfile::TempDir,
    _nginx: Child,
}

/// Whether nginx is there. Without it a test is skipped, loudly; with `REQUIRE_PEERS=1` it fails.
fn is_there() -> bool {
    let found = std::process::Command::new("nginx").arg("-v").output().is_ok();
    if !found {
        assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "install the package nginx-light");
        println!("SKIPPED: install the package nginx-light");
    }
    found
}

impl Proxy {
    async fn before(server: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (tls, plain) = (free_port().await, free_port().await);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (pem, key) = (file("gate.pem", &certificate.pem()), file("gate.key", &key.serialize_pem()));
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/reverse-proxy.nginx.conf");
        let mut site = std::fs::read_to_string(shipped).unwrap();
        for (from, to) in [
            ("listen 443 ssl;", format!("listen 127.0.0.1:{tls} ssl;")),
            ("listen 80;", format!("listen 127.0.0.1:{plain};")),
            ("    listen [::]:443 ssl;\n", String::new()),
            ("    listen [::]:80;\n", String::new()),
            ("/etc/ssl/certs/gate.example.org.pem", pem),
            ("/etc/ssl/private/gate.example.org.key", key),
            ("http://127.0.0.1:9000", format!("http://{server}")),
            // As the file says: with another port than 443 behind the name.
            ("https://gate.example.org$request_uri", format!("https://gate.example.org:{tls}$request_uri")),
        ] {
            assert!(site.contains(from), "{from}");
            site = site.replace(from, &to);
        }
        let site = file("site.conf", &site);
        let here = dir.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("    {kind}_temp_path {here}/{kind};\n"))
            .concat();
        let main = format!(
            "daemon off;\nmaster_process off;\npid {here}/pid;\nerror_log {here}/error.log;\n\
             events {{}}\nhttp {{\n    access_log off;\n{temporary}    include {site};\n}}\n"
        );
        let main = file("nginx.conf", &main);
        let mut command = Command::new("nginx");
        command.args(["-p", dir.path().to_str().unwrap(), "-c", &main]);
        let nginx = serve("nginx", command, tls).await;
        Self { tls, plain, _dir: dir, _nginx: nginx }
    }

    /// A browser at an address of its own that finds the proxy under its name.
    fn browser(&self, last: u8) -> Client {
        // Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::builder()
            .local_address(std::net::IpAddr::from([127, 0, 3, last]))
            .resolve(NAME, ([127, 0, 0, 1], self.tls).into())
            .tls_danger_accept_invalid_certs(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap()
    }

    async fn send(
        &self,
        client: &Client,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = client.request(method, format!("https://{NAME}:{}{path}", self.tls));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body.to_owned()).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    async fn log_in(&self, client: &Client, password: &str) -> Answer {
        let origin = format!("https://{NAME}:{}", self.tls);
        let headers = [("content-type", "application/json"), ("origin", origin.as_str())];
        let body = serde_json::json!({ "password": password }).to_string();
        self.send(client, Method::POST, "/api/login", &headers, &body).await
    }
}

async fn dashboard() -> Dashboard {
    start_with(WebAccess::Password, Some(password_hash()), |web| {
        web.trusted_proxies = vec![Network::parse("127.0.0.1").unwrap()];
        web.hosts = vec![NAME.to_owned()];
    })
    .await
}

#[tokio::test]
async fn behind_the_shipped_proxy_people_log_in_and_see_what_happens() {
    if !is_there() {
        return;
    }
    let dashboard = dashboard().await;
    let proxy = Proxy::before(dashboard.addr).await;
    let browser = proxy.browser(1);
    let page = proxy.send(&browser, Method::GET, "/", &[], "").await;
    assert_eq!(page.status, 401);
    assert!(page.header("strict-transport-security").starts_with("max-age="), "{page:?}");
    let answer = proxy.log_in(&browser, PASSWORD).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let all = answer.headers.get_all("set-cookie").iter();
    assert!(all.map(|line| line.to_str().unwrap()).all(|line| line.contains("Secure")), "{answer:?}");
    let cookie = answer.cookie("session").unwrap();
    let csrf = answer.json()["csrf_token"].as_str().unwrap().to_owned();
    // A change, as the page makes it.
    let origin = format!("https://{NAME}:{}", proxy.tls);
    let headers = [("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str()), ("origin", origin.as_str())];
    let change = proxy.send(&browser, Method::POST, "/api/cleanup/run", &headers, "").await;
    assert_eq!(change.status, 200, "{change:?}");
    // Events come at once.
    let mut events =
        browser.get(format!("{origin}/api/stream")).header("cookie", &cookie).send().await.unwrap();
    let first = events.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"retry: "));
    // A page of another site may not, through the proxy either.
    let foreign = [headers[0], headers[1], ("origin", "https://evil.example")];
    assert_eq!(
        proxy.send(&browser, Method::POST, "/api/cleanup/run", &foreign, "").await.code(),
        "foreign_origin"
    );
    let large = "x".repeat(100_000);
    assert_eq!(proxy.send(&browser, Method::POST, "/api/login", &headers, &large).await.status, 413);
}

#[tokio::test]
async fn the_shipped_proxy_sends_nobody_to_another_site() {
    if !is_there() {
        return;
    }
    let dashboard = dashboard().await;
    let proxy = Proxy::before(dashboard.addr).await;
    let client = super::harness::client();
    let url = format!("http://127.0.0.1:{}/a?b", proxy.plain);
    for host in [NAME, "evil.example"] {
        let answer = client.get(&url).header("host", host).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 301);
        let location = answer.headers()["location"].to_str().unwrap();
        assert_eq!(location, format!("https://{NAME}:{}/a?b", proxy.tls));
    }
    let browser = proxy.browser(1);
    let answer = proxy.send(&browser, Method::GET, "/", &[("host", "evil.example")], "").await;
    assert_eq!(answer.status, 421, "{answer:?}");
}

#[tokio::test]
async fn behind_the_shipped_proxy_the_owner_gets_in_while_another_guesses() {
    if !is_there() {
        return;
    }
    let dashboard = dashboard().await;
    let proxy = Proxy::before(dashboard.addr).await;
    let (attacker, owner) = (proxy.browser(1), proxy.browser(2));
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(proxy.log_in(&attacker, "a wrong guess").await.status);
    }
    assert!(statuses.contains(&401) && statuses.ends_with(&[429, 429, 429]), "{statuses:?}");
    let since = Instant::now();
    let answer = proxy.log_in(&owner, PASSWORD).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(since.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn the_shipped_proxy_passes_on_websockets_and_nothing_a_visitor_claims_about_addresses() {
    if !is_there() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::before(listener.local_addr().unwrap()).await;
    // What a dashboard sees, and a WebSocket that says everything twice.
    let server = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            seen.push(connection.read_u8().await.unwrap());
        }
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        connection.write_all(answer).await.unwrap();
        let byte = connection.read_u8().await.unwrap();
        connection.write_all(&[byte, byte]).await.unwrap();
        String::from_utf8(seen).unwrap().to_lowercase()
    };
    let request = proxy
        .browser(7)
        .get(format!("https://{NAME}:{}/api/live/r1/ws", proxy.tls))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("x-forwarded-for", "203.0.113.66")
        .header("x-forwarded-proto", "http")
        .header("forwarded", "for=203.0.113.66");
    let client = async {
        let mut upgraded = request.send().await.unwrap().upgrade().await.unwrap();
        upgraded.write_all(b"x").await.unwrap();
        let mut both = [0; 2];
        upgraded.read_exact(&mut both).await.unwrap();
        both
    };
    let (seen, both) = tokio::join!(server, client);
    assert_eq!(&both, b"xx");
    for line in [
        "upgrade: websocket",
        "connection: upgrade",
        "x-forwarded-for: 127.0.3.7",
        "x-forwarded-proto: https",
    ] {
        assert!(seen.contains(&format!("{line}\r\n")), "{line} in {seen}");
    }
    assert!(seen.contains(&format!("host: {NAME}:{}\r\n", proxy.tls)), "{seen}");
    assert!(!seen.contains("203.0.113.66"), "{seen}");
}
