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
use crate::support::disk::SmallDisk;
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

/// S1.4: curl, ftplib, lftp and the ftpput of busybox (yi-hack) bring pictures; each is stored, listed and delivered once.
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
    let by_busybox = file("y.jpg", 4);
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
    let ftpput = [
        "ftpput",
        "-u",
        "cam_client",
        "-p",
        "camera",
        "-P",
        &port,
        &host,
        "2026/by-busybox.jpg",
        &by_busybox,
    ];
    succeeds("busybox", &ftpput, "").await;

    daemon.wait_until_delivered(PATIENCE).await;
    let mut names: Vec<String> = daemon
        .images()
        .await
        .iter()
        .map(|image| image["own_name"].as_str().unwrap_or_default().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["by-busybox.jpg", "by-curl.jpg", "by-ftplib.jpg", "by-lftp.jpg"]);
    assert_eq!((setup.pictures().len(), receiver.receptions().len()), (4, 4));
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
    let messages = || {
        let seen = server.seen().into_iter().map(|request| (request.line, request.body));
        // The head of a request is seen before its body.
        seen.filter(|(_, body)| !body.is_empty()).collect::<Vec<_>>()
    };
    let mut took = Vec::new();
    for seed in 1..=40_u32 {
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
            if messages().len() >= wanted { Ok(()) } else { Err(messages().len().to_string()) }
        })
        .await;
        took.push(began.elapsed());
        let (line, body) = messages().swap_remove(wanted - 1);
        let is_whole = body.len() > bytes.len() && body.windows(3).any(|window| window == b"\xff\xd8\xff");
        assert!(is_whole, "{seed}: {line} with {} bytes", body.len());
    }
    took.sort();
    println!("from STOR to the channel: median {:?}, 95 % within {:?}", took[20], took[37]);
    assert!(took[37] <= Duration::from_secs(3), "{took:?}");
}

/// The answer to a picture that is brought in a session of its own.
async fn brought(at: SocketAddr, name: &str, bytes: &[u8]) -> String {
    let mut control = TcpStream::connect(at).await.unwrap();
    for (line, beginning) in [("", "220 "), ("USER cam_client", "331 "), ("PASS camera", "230 ")] {
        ask(&mut control, line, beginning).await;
    }
    let reply = ask(&mut control, "EPSV", "229 ").await;
    let port: u16 = reply.split('|').nth(3).unwrap().parse().unwrap();
    let mut data = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    ask(&mut control, &format!("STOR {name}"), "150 ").await;
    data.write_all(bytes).await.unwrap();
    drop(data);
    ask(&mut control, "", "").await
}

/// A really full disk: both ways ask for the picture again, and when it is sent again after there is room, it is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_a_picture_is_asked_for_again_and_is_one_when_there_is_room() {
    let _machine = machine_shared().await;
    let receiver = Receiver::start().await;
    let setup = site().with("INGEST_1_ADDRESS", "127.0.0.1").with("S3_API_URL", &receiver.url());
    let test = "on_a_full_disk_a_picture_is_asked_for_again";
    let Some(disk) = SmallDisk::mount(setup.directory(), "size=32m", test) else { return };
    let daemon = Daemon::start(&setup).await;
    let at = address(&daemon).await;
    let (by_ftp, by_http) = (picture(1), picture(2));
    let url = format!("{}/upload", daemon.address());
    let post = async || {
        let answer = reqwest::Client::new().post(&url).body(by_http.clone()).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice::<Value>(&answer.bytes().await.unwrap()).unwrap())
    };
    disk.fill();
    let said = brought(at, "gate.jpg", &by_ftp).await;
    assert!(said.starts_with("452 "), "{said}");
    let (status, said) = post().await;
    assert_eq!(
        (status, &said["error"]["code"], &said["success"]),
        (507, &json!("full"), &json!(false)),
        "{said}"
    );
    assert_eq!((daemon.images().await.len(), setup.pictures().len()), (0, 0), "nothing of it is left");
    disk.relieve();
    wait_until("FTP takes it again", PATIENCE, async || match brought(at, "gate.jpg", &by_ftp).await {
        said if said.starts_with("226 ") => Ok(()),
        said if said.starts_with("452 ") => Err(said),
        said => panic!("{said}"),
    })
    .await;
    assert_eq!(post().await.0, 200);
    // Its answer was lost, and it is sent once more.
    assert!(brought(at, "gate.jpg", &by_ftp).await.starts_with("226 "));
    assert_eq!(post().await.1["known"], true);
    daemon.wait_until_delivered(PATIENCE).await;
    assert_eq!((daemon.images().await.len(), receiver.receptions().len()), (2, 2));
}

/// Another program puts pictures into a folder, in each of the ways that programs have, and what is safe is gone from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_that_are_put_into_a_folder_are_stored_delivered_and_removed() {
    let _machine = machine_shared().await;
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let place = folder.path().join("gate");
    let setup = Setup::new()
        .with("INGEST_1_NAME", "gate")
        .with("INGEST_1_FOLDER", &place.display().to_string())
        .with("S3_API_URL", &receiver.url());
    let daemon = Daemon::start(&setup).await;
    wait_until("the missing folder is an alarm", PATIENCE, async || {
        let alarms = daemon.status().await["alarms"].to_string();
        if alarms.contains("INGEST_1_FOLDER") { Ok(()) } else { Err(alarms) }
    })
    .await;
    std::fs::create_dir_all(place.join("2026-11-29")).unwrap();
    let source = folder.path().join("source.jpg");
    std::fs::write(&source, picture(1)).unwrap();
    let copied = place.join("2026-11-29/copied.jpg").display().to_string();
    succeeds("cp", &[&source.display().to_string(), &copied], "").await;
    std::fs::write(place.join("moved.jpg.tmp"), picture(2)).unwrap();
    std::fs::rename(place.join("moved.jpg.tmp"), place.join("moved.jpg")).unwrap();
    wait_until("both are taken", PATIENCE, async || {
        let count = daemon.images().await.len();
        if count == 2 && !place.join("moved.jpg").exists() { Ok(()) } else { Err(count.to_string()) }
    })
    .await;
    daemon.wait_until_delivered(PATIENCE).await;
    let mut names: Vec<String> = daemon
        .images()
        .await
        .iter()
        .map(|image| {
            assert_eq!((image["device"].as_str(), image["cause"].as_str()), (Some("gate"), Some("push")));
            image["own_name"].as_str().unwrap_or_default().to_owned()
        })
        .collect();
    names.sort();
    assert_eq!(names, ["copied.jpg", "moved.jpg"]);
    assert_eq!(daemon.status().await["devices"][0]["ways"], json!(["folder"]));
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
