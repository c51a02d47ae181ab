//! Pictures that come by FTP: real clients, the whole program, and what it does with them.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use camera_capture::media::frame::{Colours, Frame};
use camera_capture::media::jpeg;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::daemon::{Daemon, run};
use crate::support::receiver::Receiver;
use crate::support::setup::Setup;
use crate::support::{machine_shared, wait_until};
use crate::targets::server::{Act, Request, Server, answer};

/// Longest run of a client, delivery and the like on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// S1.1: the log-in of the old text, once it is configured.
fn site() -> Setup {
    Setup::new()
        .with("INGEST_1_NAME", "esp")
        .with("INGEST_1_USER", "cam_client")
        .with("INGEST_1_PASSWORD", "camera")
        .with("FTP_PORT", "0")
}

/// A picture of about 100 kB that no other one is like.
fn picture(seed: u32) -> Vec<u8> {
    let mut state = seed;
    let y = (0..640 * 240)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let chroma = vec![128; 320 * 120];
    jpeg::encode_plain(&Frame {
        width: 640,
        height: 240,
        y,
        u: chroma.clone(),
        v: chroma,
        colours: Colours::JPEG,
    })
    .unwrap()
}

/// Where the daemon says that its FTP server listens.
async fn address(daemon: &Daemon) -> SocketAddr {
    wait_until("the FTP server listens", PATIENCE, async || {
        let text = daemon.lines().text();
        let line =
            text.lines().find(|line| line.contains("FTP server listens")).ok_or("no line".to_owned())?;
        let event: Value = serde_json::from_str(line).map_err(|_| line.to_owned())?;
        let fields = event.get("fields").unwrap_or(&event);
        fields["address"].as_str().and_then(|address| address.parse().ok()).ok_or(line.to_owned())
    })
    .await
}

/// Runs a client to its end, which is a success.
async fn succeeds(program: &str, arguments: &[&str], input: &str) {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{program}: {error} (scripts/test installs it)"));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.unwrap_or_else(|_| panic!("{program} does not end")).unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
}

const FTPLIB: &str = "
import ftplib, sys
host, port, file = sys.argv[1:]
ftp = ftplib.FTP()
ftp.connect(host, int(port), timeout=30)
print(ftp.getwelcome())
ftp.login('cam_client', 'camera')
ftp.mkd('2026-11-29')
ftp.cwd('2026-11-29')
assert ftp.pwd() == '/2026-11-29', ftp.pwd()
with open(file, 'rb') as f:
    assert ftp.storbinary('STOR by-ftplib.jpg.tmp', f, blocksize=1500).startswith('226')
ftp.rename('by-ftplib.jpg.tmp', 'by-ftplib.jpg')
assert ftp.nlst() == []
assert ftp.size('by-ftplib.jpg') > 1000
with open(file, 'rb') as f:
    assert ftp.storbinary('STOR again.jpg', f).startswith('226')
try:
    ftp.storbinary('STOR torn.jpg', __import__('io').BytesIO(open(file, 'rb').read()[:5000]))
    sys.exit('a torn picture was taken')
except ftplib.error_temp as error:
    assert str(error).startswith('451'), error
ftp.quit()
";

/// S1.4: curl, ftplib and lftp bring pictures; each is stored, listed and delivered once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_clients_bring_pictures_that_are_stored_listed_and_delivered() {
    let _machine = machine_shared().await;
    let receiver = Receiver::start().await;
    let setup = site().with("S3_API_URL", &receiver.url());
    let daemon = Daemon::start(&setup).await;
    let at = address(&daemon).await;
    let file = |name: &str, seed: u32| {
        let path = setup.directory().join(name);
        std::fs::write(&path, picture(seed)).unwrap();
        path.display().to_string()
    };
    let (by_curl, by_lftp, by_ftplib) = (file("by-curl.jpg", 1), file("by-lftp.jpg", 2), file("x.jpg", 3));
    let login = "cam_client:camera";
    let url = format!("ftp://{at}/a/b/");
    for more in ["--ftp-pasv", "--disable-epsv"] {
        let arguments =
            ["-q", "-sS", "--ftp-create-dirs", more, "-u", login, "-T", by_curl.as_str(), url.as_str()];
        succeeds("curl", &arguments, "").await;
    }
    let script = format!(
        "set net:max-retries 1; set net:timeout 20; set ftp:ssl-allow no\nopen -u cam_client,camera ftp://{at}\n\
         mkdir -p 2026/11/29\ncd 2026/11/29\nput {by_lftp}\nbye\n"
    );
    succeeds("lftp", &["--norc", "-c", &script], "").await;
    let (host, port) = (at.ip().to_string(), at.port().to_string());
    succeeds("python3", &["-", &host, &port, &by_ftplib], FTPLIB).await;

    daemon.wait_until_delivered(PATIENCE).await;
    let mut names: Vec<String> = daemon
        .images()
        .await
        .iter()
        .map(|image| image["own_name"].as_str().unwrap_or_default().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["by-curl.jpg", "by-ftplib.jpg", "by-lftp.jpg"]);
    assert_eq!((setup.pictures().len(), receiver.receptions().len()), (3, 3));
    receiver.check();
    let failed: Vec<Value> =
        daemon.events().await.into_iter().filter(|event| event["outcome"] == "failed").collect();
    assert_eq!(failed.len(), 1, "the torn one is told: {failed:?}");
    assert!(!daemon.lines().text().contains(r#""camera""#), "no password in the log");
}

const FTPLIB_TLS: &str = "
import ftplib, ssl, sys
host, port, file, authority = sys.argv[1:]
ftp = ftplib.FTP_TLS(context=ssl.create_default_context(cafile=authority))
ftp.connect(host, int(port), timeout=30)
try:
    ftplib.FTP.login(ftp, 'cam_client', 'camera')
    sys.exit('a log-in without TLS')
except ftplib.error_perm as error:
    assert str(error).startswith('530'), error
ftp.login('cam_client', 'camera')
ftp.prot_p()
for name in ('by-ftplib.jpg', 'again.jpg'):
    with open(file, 'rb') as f:
        assert ftp.storbinary('STOR ' + name, f).startswith('226')
assert ftp.nlst() == []
ftp.quit()
";

/// curl, ftplib and lftp secure their connections, each in its own way (curl resumes the session for data, lftp and ftplib
/// do not), and nobody logs in otherwise where that is demanded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_clients_bring_pictures_over_tls() {
    let _machine = machine_shared().await;
    let setup = site();
    let made =
        rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = setup.directory().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let certificate = file("ftp.crt", made.cert.pem().as_bytes());
    let key = file("ftp.key", made.signing_key.serialize_pem().as_bytes());
    let setup =
        setup.with("FTP_TLS_CERT", &certificate).with("FTP_TLS_KEY", &key).with("FTP_TLS_REQUIRED", "true");
    let file = |name: &str, seed: u32| {
        let path = setup.directory().join(name);
        std::fs::write(&path, picture(seed)).unwrap();
        path.display().to_string()
    };
    let daemon = Daemon::start(&setup).await;
    let at = address(&daemon).await;
    let url = format!("ftp://{at}/a/");
    for (n, more) in
        [&["--tlsv1.3"][..], &["--tls-max", "1.2"], &["--ftp-ssl-control"]].into_iter().enumerate()
    {
        let path = file(&format!("by-curl-{n}.jpg"), 10 + u32::try_from(n).unwrap());
        let mut arguments =
            vec!["-q", "-sS", "--ssl-reqd", "--cacert", &certificate, "-u", "cam_client:camera", "-T", &path];
        arguments.extend(more);
        arguments.push(&url);
        succeeds("curl", &arguments, "").await;
    }
    let by_lftp = file("by-lftp.jpg", 20);
    let script = format!(
        "set net:max-retries 1; set net:timeout 20; set ftp:ssl-force yes; set ftp:ssl-protect-data yes\n\
         set ssl:ca-file {certificate}\nopen -u cam_client,camera ftp://{at}\nput {by_lftp}\nbye\n"
    );
    succeeds("lftp", &["--norc", "-c", &script], "").await;
    let by_ftplib = file("x.jpg", 21);
    let (host, port) = (at.ip().to_string(), at.port().to_string());
    succeeds("python3", &["-", &host, &port, &by_ftplib, &certificate], FTPLIB_TLS).await;
    let mut names: Vec<String> = daemon
        .images()
        .await
        .iter()
        .map(|image| image["own_name"].as_str().unwrap_or_default().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["by-curl-0.jpg", "by-curl-1.jpg", "by-curl-2.jpg", "by-ftplib.jpg", "by-lftp.jpg"]);
}

/// Says a line and waits for the reply.
async fn ask(control: &mut TcpStream, line: &str, beginning: &str) -> String {
    if !line.is_empty() {
        control.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
    }
    let mut buffer = [0; 127];
    let read = tokio::time::timeout(PATIENCE, control.read(&mut buffer)).await.unwrap().unwrap();
    let reply = String::from_utf8_lossy(&buffer[..read]).into_owned();
    assert!(reply.starts_with(beginning), "{line}: {reply}");
    reply
}

/// What Discord says of a message: the file in it, by its name and length.
fn attached(request: &Request) -> Act {
    let body = &request.body;
    let found = |what: &[u8]| body.windows(what.len()).position(|window| window == what);
    let name = found(b"filename=\"").map(|at| String::from_utf8_lossy(&body[at + 10..]).into_owned());
    let name = name.as_deref().and_then(|rest| rest.split('"').next()).unwrap_or("none");
    let start = found(b"\xff\xd8\xff").unwrap_or_default();
    let end = body.windows(4).rposition(|window| window == b"\xff\xd9\r\n").map_or(start, |at| at + 2);
    let taken = json!({"attachments": [{"filename": name, "size": end - start}]});
    answer(200, "", &taken.to_string())
}

/// S1.5, S1.6: from the first byte of STOR to Discord's 200 with the file attached, 95 of 100 within three seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_in_the_channel_three_seconds_after_it_came() {
    let _machine = machine_shared().await;
    let server = Server::start(|_, _| Act::Then(|request| Box::new(attached(request)))).await;
    let webhook = format!("{}/api/webhooks/17/token-token", server.origin());
    let setup = site().with("DISCORD_WEBHOOK_URL", &webhook);
    let daemon = Daemon::start(&setup).await;
    let mut control = TcpStream::connect(address(&daemon).await).await.unwrap();
    ask(&mut control, "", "220 ").await;
    ask(&mut control, "USER cam_client", "331 ").await;
    ask(&mut control, "PASS camera", "230 ").await;
    let mut took = Vec::new();
    for seed in 1..=20_u32 {
        let bytes = picture(seed);
        let reply = ask(&mut control, "EPSV", "229 ").await;
        let port: u16 = reply.split('|').nth(3).unwrap().parse().unwrap();
        let mut data = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let began = Instant::now();
        ask(&mut control, &format!("STOR {seed}.jpg"), "150 ").await;
        data.write_all(&bytes).await.unwrap();
        drop(data);
        ask(&mut control, "", "226 ").await;
        let wanted = usize::try_from(seed).unwrap();
        wait_until("the message is there", PATIENCE, async || {
            if server.seen().len() >= wanted { Ok(()) } else { Err(server.seen().len().to_string()) }
        })
        .await;
        took.push(began.elapsed());
        let body = server.seen()[wanted - 1].body.clone();
        assert!(body.len() > bytes.len() && body.windows(3).any(|window| window == b"\xff\xd8\xff"));
    }
    took.sort();
    println!("from STOR to the channel: median {:?}, 95 % within {:?}", took[10], took[18]);
    assert!(took[18] <= Duration::from_secs(3), "{took:?}");
}

/// What cannot listen says so in an alarm, and everything else goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_an_alarm_and_not_the_end() {
    let _machine = machine_shared().await;
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let setup = site().with("FTP_PORT", &port);
    let daemon = Daemon::start(&setup).await;
    wait_until("an alarm tells it", PATIENCE, async || {
        let status = daemon.status().await;
        let alarms = status["alarms"].to_string();
        if alarms.contains("set FTP_PORT to a port that is free") { Ok(()) } else { Err(alarms) }
    })
    .await;
    drop(other);
    address(&daemon).await;
}

/// S1.1: neither half of what the server needs is taken for the whole, and the other half is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_a_port_and_a_port_without_a_user_are_said_and_nothing_listens() {
    let _machine = machine_shared().await;
    let port = crate::support::program::free_port().await;
    let user = Setup::new().with("INGEST_1_USER", "cam_client").with("INGEST_1_PASSWORD", "camera");
    let ftp = Setup::new().with("FTP_PORT", &port.to_string());
    for (setup, missing) in [(user, "FTP_PORT=2121"), (ftp, "INGEST_1_USER")] {
        let checked = run(&setup, &["--check-config"], "").await;
        let said = String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap();
        assert_eq!(checked.status.code(), Some(0), "a notice is no mistake: {said}");
        assert!(said.contains(missing), "{said}");
        let daemon = Daemon::start(&setup).await;
        assert!(daemon.lines().text().contains(missing), "{}", daemon.lines().text());
        assert_eq!(daemon.status().await["receiver"]["ftp_port"], Value::Null);
        assert!(!daemon.lines().text().contains("FTP server listens"));
    }
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}
