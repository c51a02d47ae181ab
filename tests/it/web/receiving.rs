//! Devices bring pictures by HTTP, and pages of older receivers ask for them. The ids are those of the rows of what these
//! receivers did.

use std::net::SocketAddr;
use std::time::Duration;

use camera_capture::config::{Config, Env, WebAccess};
use camera_capture::media::jpeg;
use camera_capture::model::{Cause, Outcome};
use camera_capture::store::{Image, ImageQuery, LedgerEntry, LedgerQuery};
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::{Answer, Dashboard, grey, password_hash, raw, send, send_bytes, start_configured};

const TOKEN: &str = "0123456789abcdef-door";
const BEARER: (&str, &str) = ("authorization", "Bearer 0123456789abcdef-door");

/// A picture that no other call with another width makes.
fn picture(width: usize) -> Vec<u8> {
    jpeg::encode_plain(&grey(width, 16)).unwrap()
}

async fn receiver(pairs: &[(&str, &str)]) -> Dashboard {
    let (parsed, _) = Config::parse(&Env::from_pairs(pairs.iter().copied())).unwrap();
    start_configured(WebAccess::Password, Some(password_hash()), |config| config.ingest = parsed.ingest).await
}

/// One that knows a device by its token, and one by the address of the tests.
async fn with_token() -> Dashboard {
    receiver(&[("INGEST_1_TOKEN", TOKEN), ("INGEST_1_NAME", "door")]).await
}

async fn with_address() -> Dashboard {
    receiver(&[("INGEST_1_ADDRESS", "127.0.0.1"), ("INGEST_1_NAME", "door"), ("INGEST_1_PER_MINUTE", "6000")])
        .await
}

async fn push(site: &Dashboard, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    send_bytes(site.addr, "/upload", headers, body).await
}

async fn images(site: &Dashboard) -> Vec<Image> {
    site.store.images(ImageQuery { limit: 100, ..ImageQuery::default() }).await.unwrap().items
}

async fn ledger(site: &Dashboard) -> Vec<LedgerEntry> {
    site.store.ledger(LedgerQuery { limit: 100, ..LedgerQuery::default() }).await.unwrap().items
}

/// What is sent byte by byte, and the whole answer; the sender closes its half when it has sent everything.
async fn raw_bytes(addr: SocketAddr, pieces: &[&[u8]]) -> String {
    let mut connection = TcpStream::connect(addr).await.unwrap();
    for piece in pieces {
        connection.write_all(piece).await.unwrap();
        connection.flush().await.unwrap();
    }
    connection.shutdown().await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

fn refused(answer: &Answer) -> (u16, String) {
    let said = answer.json();
    assert_eq!(said["success"], false, "{answer:?}");
    assert_eq!(said["message"], said["error"]["message"], "{answer:?}");
    (answer.status, answer.code())
}

/// S0.7, S3.3, S3.4: any label or none.
#[tokio::test]
async fn a_raw_jpeg_is_taken_under_any_content_type_and_answered_as_the_receiver_before_did() {
    let site = with_token().await;
    let labels = [
        Some("image/jpeg"),
        Some("application/octet-stream"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data"),
        Some("text/plain; charset=utf-8"),
        None,
    ];
    for (n, label) in labels.into_iter().enumerate() {
        let label = label.map(|label| ("content-type", label));
        let headers: Vec<_> = [BEARER].into_iter().chain(label).collect();
        let answer = push(&site, &headers, picture(16 + n)).await;
        assert_eq!(answer.status, 200, "{label:?}: {answer:?}");
        let text = String::from_utf8(answer.body.clone()).unwrap();
        assert!(text.starts_with("{\"success\":true,\"filename\":\"photo_"), "{text}");
        let said = answer.json();
        let fields: Vec<_> = said.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields.len(), 5, "{fields:?}");
        assert!(text.contains("\"size\":") && text.find("\"size\"") < text.find("\"path\""), "{text}");
        let path = said["path"].as_str().unwrap();
        assert!(path.starts_with('/') && path.ends_with(said["filename"].as_str().unwrap()), "{path}");
        let file = std::fs::read(path).unwrap();
        assert_eq!(
            (file.len() as u64, said["known"].as_bool()),
            (said["size"].as_u64().unwrap(), Some(false))
        );
    }
    let images = images(&site).await;
    assert_eq!(images.len(), labels.len());
    assert!(images.iter().all(|image| image.facts.cause == Cause::Push && image.uploads.len() == 1));
}

/// S3.2, S3.4
#[tokio::test]
async fn the_picture_of_a_form_is_its_part_file_or_the_first_jpeg_and_names_are_cleaned() {
    let site = with_token().await;
    let names = ["photo.jpeg", "../x", "한글.jpg", &"y".repeat(300)];
    for (n, name) in names.iter().enumerate() {
        for (field, width) in [("file", 16), ("picture", 40)] {
            let part = reqwest::multipart::Part::bytes(picture(width + n)).file_name((*name).to_owned());
            let form = reqwest::multipart::Form::new().text("camera", "x").part(field, part);
            let request = reqwest::Client::new().post(format!("http://{}/upload", site.addr)).multipart(form);
            let answer = request.header(BEARER.0, BEARER.1).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 200);
            let said: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
            let stem = ["photo_", "x_", "photo_", "yyyy"][n];
            let filename = said["filename"].as_str().unwrap();
            assert!(filename.starts_with(stem) && filename.ends_with(".jpg"), "{name}: {filename}");
            assert!(filename.len() < 100, "{filename}");
        }
    }
    let images = images(&site).await;
    let own: Vec<_> = images.iter().filter_map(|image| image.facts.push.clone()?.own_name).collect();
    assert_eq!((own.len(), own.contains(&"../x".to_owned())), (8, true), "{own:?}");
}

/// S3.5: what the device of the older receiver really sends, piece by piece.
#[tokio::test]
async fn the_sketch_that_labels_a_raw_body_as_a_form_without_a_boundary_is_understood() {
    let site = with_address().await;
    let jpeg = picture(64);
    let head = |length: usize, more: &str| {
        format!(
            "POST /upload HTTP/1.1\r\nHost: 192.168.0.10:5000\r\nUser-Agent: ESP32HTTPClient\r\nConnection: keep-alive\r\n\
             Accept-Encoding: identity;q=1,chunked;q=0.1,*;q=0\r\nContent-Type: multipart/form-data\r\n{more}\
             Content-Length: {length}\r\n\r\n"
        )
    };
    let plain = head(jpeg.len(), "");
    let pieces: Vec<&[u8]> = [plain.as_bytes()].into_iter().chain(jpeg.chunks(7)).collect();
    let answer = raw_bytes(site.addr, &pieces).await;
    assert_eq!(status_of(&answer), 200, "{answer}");
    let closing = head(jpeg.len(), "Connection: close\r\n").replacen("Connection: keep-alive\r\n", "", 1);
    let answer = raw_bytes(site.addr, &[closing.as_bytes(), &jpeg]).await;
    assert_eq!(status_of(&answer), 200, "{answer}");
    assert!(answer.contains("\"known\":true"), "sent once more: {answer}");
    let old = closing.replace("HTTP/1.1", "HTTP/1.0");
    let answer = raw_bytes(site.addr, &[old.as_bytes(), &jpeg]).await;
    assert_eq!(status_of(&answer), 200, "HTTP/1.0: {answer}");
    assert_eq!(images(&site).await.len(), 1);
}

/// S3.5: torn on the way, and by its sender.
#[tokio::test]
async fn a_torn_picture_is_422_and_nothing_of_it_is_stored_but_that_it_came() {
    let site = with_address().await;
    let jpeg = picture(64);
    let half = &jpeg[..jpeg.len() / 2];
    let head =
        |length: usize| format!("POST /upload HTTP/1.1\r\nHost: box\r\nContent-Length: {length}\r\n\r\n");
    let answer = raw_bytes(site.addr, &[head(jpeg.len()).as_bytes(), half]).await;
    assert_eq!(status_of(&answer), 422, "cut off on the way: {answer}");
    assert!(answer.contains("\"torn\"") && answer.contains("\"success\":false"), "{answer}");
    let answer = raw_bytes(site.addr, &[head(half.len()).as_bytes(), half]).await;
    assert_eq!(status_of(&answer), 422, "sent as if it were all: {answer}");
    let chunked =
        "POST /upload HTTP/1.1\r\nHost: box\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\u{7f}123\r\n";
    let answer = raw_bytes(site.addr, &[chunked.as_bytes()]).await;
    assert_eq!(status_of(&answer), 422, "a chunk without an end: {answer}");
    assert_eq!(refused(&push(&site, &[], b"hello".to_vec()).await), (422, "not_jpeg".to_owned()));
    assert_eq!(refused(&push(&site, &[], Vec::new()).await), (422, "not_jpeg".to_owned()));
    let empty_form = [("content-type", "multipart/form-data; boundary=b")];
    assert_eq!(refused(&push(&site, &empty_form, b"--b--".to_vec()).await), (422, "not_jpeg".to_owned()));
    assert!(images(&site).await.is_empty());
    // What is written down of it comes behind the answer.
    let mut entries = ledger(&site).await;
    while entries.len() < 5 {
        tokio::task::yield_now().await;
        entries = ledger(&site).await;
    }
    assert!(entries.iter().all(|entry| entry.outcome == Some(Outcome::Failed) && entry.reason.is_some()));
}

/// S0.12
#[tokio::test]
async fn nobody_but_a_device_brings_pictures() {
    let site = with_token().await;
    let browser = site.browser().await;
    let program = format!("Bearer {}", browser.token("full").await);
    for headers in [
        vec![],
        vec![("authorization", "Bearer 0123456789abcdef-dooR")],
        vec![("authorization", "Bearer")],
        vec![("authorization", "Basic ZG9vcjpkb29y")],
        vec![("authorization", program.as_str())],
        vec![("cookie", browser.cookie.as_str()), ("x-csrf-token", browser.csrf.as_str())],
    ] {
        let answer = push(&site, &headers, picture(16)).await;
        assert_eq!(refused(&answer), (401, "unauthorized".to_owned()), "{headers:?}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(TOKEN));
    }
    let elsewhere = with_address().await;
    let answer = push(&elsewhere, &[BEARER], picture(16)).await;
    assert_eq!(answer.status, 401, "a wrong token from a right address");
    // And a device sees nothing of what others have brought.
    for path in ["/list", "/last_image", "/api/images", "/uploads/photo_20240101_120000.jpg"] {
        assert_eq!(site.send(Method::GET, path, &[BEARER], "").await.status, 401, "{path}");
        assert_eq!(elsewhere.send(Method::GET, path, &[], "").await.status, 401, "{path}");
    }
    assert!(images(&site).await.is_empty() && images(&elsewhere).await.is_empty());
}

/// S0.12
#[tokio::test]
async fn a_device_shows_its_token_in_any_of_three_ways_and_a_wrong_one_in_none() {
    let site = with_token().await;
    let query = format!("/upload?token={TOKEN}");
    let ways: [(&str, &[(&str, &str)]); 3] =
        [("/upload", &[BEARER]), ("/upload", &[("x-token", TOKEN)]), (&query, &[])];
    for (width, (path, headers)) in (16..).zip(ways) {
        let answer = send_bytes(site.addr, path, headers, picture(width)).await;
        assert_eq!(answer.status, 200, "{path} {headers:?}");
    }
    let wrong: [(&str, &[(&str, &str)]); 4] = [
        ("/upload", &[("x-token", "0123456789abcdef-dooR")]),
        ("/upload?token=0123456789abcdef-dooR", &[]),
        ("/upload?token=", &[]),
        // The first one counts.
        (&query, &[("authorization", "Bearer 0123456789abcdef-dooR")]),
    ];
    for (path, headers) in wrong {
        let answer = send_bytes(site.addr, path, headers, picture(20)).await;
        assert_eq!(answer.status, 401, "{path} {headers:?}");
    }
    assert_eq!(images(&site).await.len(), 3);
}

#[tokio::test]
async fn a_device_may_call_this_machine_as_it_likes_and_a_page_may_not_push_for_it() {
    let site = with_address().await;
    for host in ["192.168.0.10:5000", "cam.example.com", "old-server:80:80", ""] {
        let answer = push(&site, &[("host", host)], picture(16)).await;
        assert_eq!(answer.status, 200, "{host}");
    }
    let own = format!("http://{}", site.addr);
    let page = [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")];
    assert_eq!(refused(&push(&site, &page, picture(17)).await), (403, "foreign_origin".to_owned()));
    assert_eq!(
        refused(&push(&site, &[("origin", "null")], picture(17)).await),
        (403, "foreign_origin".to_owned())
    );
    // The name of another site was made to point here; its pages say so themselves.
    let rebound = [("host", "evil.example"), ("origin", "http://evil.example")];
    assert_eq!(refused(&push(&site, &rebound, picture(17)).await), (421, "foreign_host".to_owned()));
    assert_eq!(push(&site, &[("origin", own.as_str())], picture(17)).await.status, 200);
    let listed = site.send(Method::GET, "/list", &[("host", "cam.example.com")], "").await;
    assert_eq!(listed.status, 421, "only for bringing pictures");
}

#[tokio::test]
async fn what_is_too_large_or_too_often_is_refused_with_what_the_device_can_do() {
    let site = receiver(&[
        ("INGEST_1_ADDRESS", "127.0.0.1"),
        ("INGEST_1_MAX_BYTES", "1024"),
        ("INGEST_1_PER_MINUTE", "6"),
    ])
    .await;
    let noise: Vec<u8> = [&[0xff, 0xd8][..], &[7; 2000], &[0xff, 0xd9]].concat();
    assert_eq!(refused(&push(&site, &[], noise.clone()).await), (413, "too_large".to_owned()));
    let endless = futures_util::stream::iter((0..200).map(|_| Ok::<_, std::io::Error>(vec![7_u8; 1024])));
    let answer = send_bytes(site.addr, "/upload", &[], reqwest::Body::wrap_stream(endless)).await;
    assert_eq!(refused(&answer), (413, "too_large".to_owned()));
    let head =
        "POST /upload HTTP/1.1\r\nHost: box\r\nContent-Length: 4294967296\r\nExpect: 100-continue\r\n\r\n";
    let answer = raw_bytes(site.addr, &[head.as_bytes()]).await;
    assert!(answer.contains("413 Payload Too Large"), "{answer}");
    let parts = b"--b\r\n\r\n\r\n".repeat(6000);
    let form = [("content-type", "multipart/form-data; boundary=b")];
    assert_eq!(refused(&push(&site, &form, parts).await), (422, "not_jpeg".to_owned()));
    for _ in 0..2 {
        push(&site, &[], picture(16)).await;
    }
    let answer = push(&site, &[], picture(17)).await;
    assert_eq!(refused(&answer), (429, "too_many_requests".to_owned()));
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    assert_eq!(images(&site).await.len(), 1);
}

#[tokio::test]
async fn a_device_behind_a_trusted_proxy_is_known_by_its_own_address() {
    let pairs = [("INGEST_1_ADDRESS", "192.0.2.7"), ("TRUSTED_PROXIES", "127.0.0.1")];
    let (parsed, _) = Config::parse(&Env::from_pairs(pairs)).unwrap();
    let site = start_configured(WebAccess::Password, Some(password_hash()), |config| {
        config.ingest = parsed.ingest;
        config.web.trusted_proxies = parsed.web.trusted_proxies;
    })
    .await;
    assert_eq!(push(&site, &[("x-forwarded-for", "192.0.2.7")], picture(16)).await.status, 200);
    assert_eq!(push(&site, &[("x-forwarded-for", "192.0.2.8")], picture(16)).await.status, 401);
    assert_eq!(push(&site, &[], picture(16)).await.status, 401);
}

/// S0.8, S0.10
#[tokio::test]
async fn the_last_image_is_the_one_that_came_last_as_json_or_as_text() {
    let site = with_token().await;
    let browser = site.browser().await;
    let none = browser.get("/last_image").await;
    assert_eq!(refused(&none), (404, "not_found".to_owned()));
    for width in [16, 17] {
        let brought = push(&site, &[BEARER], picture(width)).await.json();
        let name = brought["filename"].as_str().unwrap();
        let said = browser.get("/last_image").await.json();
        let url = format!("/uploads/{name}");
        assert_eq!((said["success"].as_bool(), said["filename"].as_str()), (Some(true), Some(name)));
        assert_eq!(
            (said["url"].as_str(), said["image_url"].as_str()),
            (Some(url.as_str()), Some(url.as_str()))
        );
        let text = browser.get_with("/last_image", &[("accept", "text/plain")]).await;
        assert_eq!(String::from_utf8(text.body).unwrap(), url);
        let both = browser.get_with("/last_image", &[("accept", "application/json, text/plain, */*")]).await;
        assert_eq!(both.json()["url"], url.as_str());
    }
    let of_a_contact = site.record("r1", camera_capture::model::UnixMs(1_698_765_432_250)).await;
    let said = browser.get("/last_image").await.json();
    assert_eq!(said["filename"], of_a_contact.filename.to_string(), "by arrival, not by the time it shows");
}

/// S0.9
#[tokio::test]
async fn a_picture_is_fetched_by_its_name_and_by_no_path() {
    let site = with_token().await;
    let browser = site.browser().await;
    let brought = push(&site, &[BEARER], picture(16)).await.json();
    let answer = browser.get(&format!("/uploads/{}", brought["filename"].as_str().unwrap())).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "image/jpeg"));
    assert_eq!(answer.body, std::fs::read(brought["path"].as_str().unwrap()).unwrap());
    for name in ["..%2fimages.db", "..%2f..%2fetc%2fpasswd", "photo.jpg", "r1_1698765432.jpg"] {
        assert_eq!(browser.get(&format!("/uploads/{name}")).await.status, 404, "{name}");
    }
    let headers = format!("Host: localhost\r\nCookie: {}\r\n", browser.cookie);
    for target in
        ["/uploads/../images.db", "/uploads/%2e%2e/images.db", "/uploads/..", "/uploads//etc/passwd"]
    {
        let answer = raw(site.addr, target.as_bytes(), &headers).await;
        assert_eq!(status_of(&answer), 404, "{target}: {answer}");
    }
}

/// S3.9
#[tokio::test]
async fn the_list_has_the_newest_first_and_is_bounded() {
    let site = with_token().await;
    let browser = site.browser().await;
    assert_eq!(
        browser.get("/list").await.json(),
        serde_json::json!({"success": true, "count": 0, "files": []})
    );
    let mut names = Vec::new();
    for width in 16..19 {
        let said = push(&site, &[BEARER], picture(width)).await.json();
        names.insert(0, (said["filename"].clone(), said["size"].clone(), said["path"].clone()));
    }
    let said = browser.get("/list").await.json();
    let files = said["files"].as_array().unwrap();
    let listed: Vec<_> = files
        .iter()
        .map(|file| (file["filename"].clone(), file["size"].clone(), file["path"].clone()))
        .collect();
    assert_eq!((said["count"].as_u64(), listed), (Some(3), names));
    assert!(files[0]["received_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(browser.get("/list?limit=2").await.json()["count"], 2);
    for limit in ["0", "1001", "x"] {
        assert_eq!(browser.get(&format!("/list?limit={limit}")).await.status, 400);
    }
}

/// S0.5: of a camera that cannot be asked it is said what is wrong.
#[tokio::test]
async fn a_trigger_says_why_there_is_no_picture() {
    let site = with_token().await;
    let browser = site.browser().await;
    // No camera runs behind these pages.
    let answer = browser.post("/trigger", "").await;
    assert_eq!(refused(&answer), (503, "stopping".to_owned()));
    assert_eq!(refused(&browser.post("/trigger?camera=r9", "").await), (404, "not_found".to_owned()));
    let without = site.send(Method::POST, "/trigger", &[("cookie", browser.cookie.as_str())], "").await;
    assert_eq!(without.status, 403, "a change by a browser needs its CSRF token");
}

/// S0.6: a device that pushes its picture is the answer, whatever becomes of the question.
#[tokio::test]
async fn a_picture_that_is_pushed_while_it_is_asked_for_is_the_answer() {
    let site = receiver(&[
        ("CAMERA_1_IP", "127.0.0.1"),
        ("INGEST_1_TOKEN", TOKEN),
        ("INGEST_1_NAME", "door"),
        ("INGEST_1_CAMERA", "r1"),
    ])
    .await;
    let browser = site.browser().await;
    let asked = browser.post("/trigger?camera=camera_1", "");
    let pushed = async {
        // The question may not be there yet; each of these is another picture.
        for width in 16.. {
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(push(&site, &[BEARER], picture(width)).await.status, 200);
        }
    };
    let answer = tokio::select! {
        answer = asked => answer,
        () = pushed => panic!("no end"),
    };
    assert_eq!(answer.status, 200, "{answer:?}");
    let said = answer.json();
    assert!(said["filename"].as_str().unwrap().starts_with("photo_"), "{said}");
    assert!(said["success"] == true && said["message"].is_string() && said["url"] == said["image_url"]);
}

/// S0.1, S3.1: a port that serves the routes of older receivers and nothing else.
#[tokio::test]
async fn on_a_port_of_their_own_are_the_routes_of_older_receivers_and_no_others() {
    let site = with_token().await;
    let browser = site.browser().await;
    let bound = site.older.bind(0).unwrap();
    let (addr, cancel) = (bound.addr(), site.cancel.clone());
    let taken = site.older.bind(addr.port()).err().unwrap().to_string();
    assert!(taken.contains(&addr.to_string()) && taken.contains("stop that"), "{taken}");
    let served = tokio::spawn(async move { bound.run(&cancel).await });
    let get = async |path: &str, headers: &[(&str, &str)]| {
        send(&reqwest::Client::new(), addr, Method::GET, path, headers, "").await
    };
    assert_eq!(get("/health", &[]).await.status, 200);
    let brought = send_bytes(addr, "/upload", &[BEARER], picture(16)).await;
    assert_eq!(brought.status, 200, "{brought:?}");
    let cookie = [("cookie", browser.cookie.as_str())];
    let url = get("/last_image", &cookie).await.json()["url"].as_str().unwrap().to_owned();
    assert_eq!(get(&url, &cookie).await.status, 200);
    assert_eq!(get("/list", &cookie).await.json()["count"], 1);
    assert_eq!(send_bytes(addr, "/upload", &[], picture(16)).await.status, 401);
    for path in ["/", "/login", "/api/status", "/api/login", "/app.js", "/metrics", "/page/words.js"] {
        let ask = async |more: &str| {
            status_of(&raw(addr, path.as_bytes(), &format!("Host: localhost\r\n{more}")).await)
        };
        assert_eq!(ask("").await, 401, "{path}");
        assert_eq!(ask(&format!("Cookie: {}\r\n", browser.cookie)).await, 404, "{path}");
    }
    let listed = site.send(Method::GET, "/list", &cookie, "").await;
    assert_eq!(listed.json()["count"], 1, "they are on the dashboard's port, too");
    site.cancel.cancel();
    served.await.unwrap().unwrap();
}

/// What `/health` says when all is well. On a machine with much else to do, the database may answer too late for it.
async fn healthy(ask: impl AsyncFn() -> Answer) -> Value {
    let well = async {
        loop {
            let answer = ask().await;
            if answer.status == 200 {
                break answer.json();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), well).await.unwrap()
}

/// S3.8, S3.10
#[tokio::test]
async fn what_devices_have_brought_is_counted_for_those_who_may_look() {
    let site = with_token().await;
    let browser = site.browser().await;
    for width in [16, 17, 17] {
        assert_eq!(push(&site, &[BEARER], picture(width)).await.status, 200);
    }
    assert_eq!(push(&site, &[BEARER], b"garbage".to_vec()).await.status, 422);
    let stranger = healthy(async || site.send(Method::GET, "/health", &[], "").await).await;
    assert_eq!(stranger, serde_json::json!({"status": "ok", "received": null}));
    let said = healthy(async || browser.get("/health").await).await;
    let counts = |said: &Value| ["stored", "known", "refused"].map(|name| said[name].as_u64());
    assert_eq!(counts(&said["received"]), [Some(2), Some(1), Some(1)]);
    let status = browser.get("/api/status").await.json();
    let device = &status["devices"][0];
    assert_eq!((device["name"].as_str(), device["camera"].as_str()), (Some("door"), Some("door")));
    assert_eq!(counts(device), [Some(2), Some(1), Some(1)]);
    assert!(device["last_at"].is_string(), "{device}");
    assert_eq!((&device["ways"], &device["stored_in_all"]), (&serde_json::json!(["http_token"]), &2.into()));
    let last = device["last_image"]["url"].as_str().unwrap();
    assert_eq!(browser.get(last).await.status, 200);
    assert_eq!(device["last_refusal"]["reason_code"], "not_jpeg", "{device}");
    let receiver = &status["receiver"];
    let place = site.store.root().canonicalize().unwrap();
    assert_eq!(
        (receiver["received"].as_u64(), receiver["stored"].as_u64()),
        (Some(3), Some(2)),
        "{receiver}"
    );
    assert_eq!((receiver["sent_on"].as_u64(), receiver["place"].as_str()), (Some(0), place.to_str()));
}

#[tokio::test]
async fn a_picture_too_many_is_seen_at_its_device_and_in_the_ledger() {
    let site =
        receiver(&[("INGEST_1_TOKEN", TOKEN), ("INGEST_1_NAME", "door"), ("INGEST_1_PER_MINUTE", "2")]).await;
    for width in [16, 17] {
        assert_eq!(push(&site, &[BEARER], picture(width)).await.status, 200);
    }
    let answer = push(&site, &[BEARER], picture(18)).await;
    assert_eq!(refused(&answer), (429, "too_many_requests".to_owned()));
    let failed =
        async || ledger(&site).await.into_iter().find(|entry| entry.outcome == Some(Outcome::Failed));
    let entry = loop {
        match failed().await {
            Some(entry) => break entry,
            None => tokio::task::yield_now().await,
        }
    };
    assert!(entry.reason.unwrap().to_string().contains("more than the 2 pictures a minute"));
    let status = site.browser().await.get("/api/status").await.json();
    let device = &status["devices"][0];
    assert_eq!(
        (&device["refused"], &device["last_refusal"]["reason_code"]),
        (&1.into(), &"too_often".into())
    );
}

#[tokio::test]
async fn what_a_device_calls_its_picture_is_kept_only_where_that_is_wanted() {
    for (keeps, stem, own) in [("true", "gate_", Some("gate.jpg")), ("false", "photo_", None)] {
        let site = receiver(&[("INGEST_1_ADDRESS", "127.0.0.1"), ("INGEST_1_KEEP_NAME", keeps)]).await;
        let named = [("content-disposition", "attachment; filename=\"gate.jpg\"")];
        let said = push(&site, &named, picture(16)).await.json();
        assert!(said["filename"].as_str().unwrap().starts_with(stem), "{said}");
        let [image] = &images(&site).await[..] else { panic!("one picture") };
        assert_eq!(image.facts.push.clone().unwrap().own_name.as_deref(), own);
    }
}

#[tokio::test]
async fn what_was_refused_is_listed_saved_as_bytes_and_deleted_by_people_and_programs_with_the_right_to() {
    let pairs = [("INGEST_1_ADDRESS", "127.0.0.1"), ("INGEST_1_NAME", "door")];
    let (parsed, _) = Config::parse(&Env::from_pairs(pairs)).unwrap();
    let site = start_configured(WebAccess::Password, Some(password_hash()), |config| {
        config.ingest = parsed.ingest;
        config.storage.quarantine_max_bytes = Some(1 << 20);
    })
    .await;
    let browser = site.browser().await;
    assert_eq!(
        browser.get("/api/quarantine").await.json(),
        serde_json::json!({"pictures": [], "bytes_max": 1 << 20})
    );
    let jpeg = picture(64);
    let half = jpeg[..jpeg.len() / 2].to_vec();
    // Cut off on its way, and a page instead of a picture.
    let head = format!("POST /upload HTTP/1.1\r\nHost: box\r\nContent-Length: {}\r\n\r\n", jpeg.len());
    assert_eq!(status_of(&raw_bytes(site.addr, &[head.as_bytes(), &half]).await), 422);
    let page = b"<script>alert(1)</script>".to_vec();
    assert_eq!(push(&site, &[("content-type", "text/html")], page.clone()).await.status, 422);
    let listed = loop {
        let listed = browser.get("/api/quarantine").await.json()["pictures"].as_array().unwrap().clone();
        if listed.len() == 2 {
            break listed;
        }
        tokio::task::yield_now().await;
    };
    let of = |bytes: usize| {
        listed.iter().find(|one| one["bytes"] == bytes).unwrap_or_else(|| panic!("{listed:?}"))
    };
    assert!(of(half.len())["reason"].as_str().unwrap().contains("cut off"), "{listed:?}");
    for (one, sent) in [(of(half.len()), &half), (of(page.len()), &page)] {
        assert_eq!(one["device"], "door");
        let path = format!("/api/quarantine/{}", one["name"].as_str().unwrap());
        assert_eq!(site.send(Method::GET, &path, &[], "").await.status, 401);
        let answer = browser.get(&path).await;
        assert_eq!((answer.status, &answer.body), (200, sent));
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert!(answer.header("content-disposition").starts_with("attachment; filename=\"refused_"));
        assert!(answer.header("content-security-policy").contains("sandbox"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let reader = format!("Bearer {}", browser.token("operate").await);
        let denied = site.send(Method::DELETE, &path, &[("authorization", reader.as_str())], "").await;
        assert_eq!(denied.status, 403);
        assert_eq!(browser.change(Method::DELETE, &path, "").await.status, 204);
        assert_eq!(browser.change(Method::DELETE, &path, "").await.status, 404);
        assert_eq!(browser.get(&path).await.status, 404);
    }
    for name in ["..%2f..%2fcamera-capture.db", "x", "refused_1_x_y.bin"] {
        assert_eq!(browser.get(&format!("/api/quarantine/{name}")).await.status, 404, "{name}");
    }
    let bare = with_address().await;
    let nothing = bare.browser().await.get("/api/quarantine").await.json();
    assert_eq!(nothing, serde_json::json!({"pictures": [], "bytes_max": null}));
}

/// S0.12
#[tokio::test]
async fn who_guesses_tokens_is_told_to_wait_and_the_device_beside_them_is_served() {
    let site = with_token().await;
    assert_eq!(push(&site, &[BEARER], picture(16)).await.status, 200);
    let wrong = [("authorization", "Bearer 0123456789abcdef-gate")];
    for _ in 0..10 {
        assert_eq!(push(&site, &wrong, picture(17)).await.status, 401);
    }
    let answer = push(&site, &wrong, picture(17)).await;
    assert_eq!(refused(&answer), (429, "too_many_requests".to_owned()));
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    assert_eq!(push(&site, &[BEARER], picture(18)).await.status, 200);
    assert_eq!(images(&site).await.len(), 2);
}
