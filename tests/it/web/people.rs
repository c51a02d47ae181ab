//! What persons look after: tokens and what they may do, sessions, cached pictures, and the log of all that.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock};

use camera_capture::model::UnixMs;
use camera_capture::store::{NewToken, Scope};
use camera_capture::web::auth::PASSWORD_KEY;
use camera_capture::web::routes::{Access, ROUTES};
use reqwest::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::harness::{Answer, Browser, PASSWORD, client_from, dashboard, send};

const AT: UnixMs = UnixMs(1_698_765_432_250);

const JSON: (&str, &str) = ("content-type", "application/json");

/// A path of the route, with something in place of what varies that is not there.
fn example(path: &str) -> String {
    let path = path.replace("{filename}", "r1_1698765432.jpg").replace("{camera}", "r9");
    path.replace("{id}", "4711").replace("{target}", "s3").replace("{script}", "nothing.js")
}

/// A time of the API, since the epoch.
fn ms(time: &serde_json::Value) -> i64 {
    time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// Every letter of the last part of a path as `%74`, one at a time, and the path itself.
fn spellings(path: &str) -> Vec<String> {
    let start = path.rfind('/').unwrap() + 1;
    let encoded = (start..path.len())
        .filter(|at| path.as_bytes()[*at].is_ascii_alphabetic())
        .map(|at| format!("{}%{:02x}{}", &path[..at], path.as_bytes()[at], &path[at + 1..]));
    encoded.chain([path.to_owned()]).collect()
}

#[tokio::test]
async fn a_token_may_do_what_its_scope_says_and_nothing_that_is_for_persons() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    for scope in Scope::ALL {
        let bearer = format!("Bearer {}", browser.token(scope.as_str()).await);
        for route in ROUTES
            .iter()
            .filter(|route| !matches!(route.access, Access::Public | Access::Link | Access::Device))
        {
            // They do not end by themselves.
            if route.path == "/api/stream" {
                continue;
            }
            let method = Method::from_bytes(route.method.as_str().as_bytes()).unwrap();
            let headers = [("authorization", bearer.as_str()), JSON];
            for path in spellings(&example(route.path)) {
                let answer = dashboard.send(method.clone(), &path, &headers, "").await;
                let code = if answer.status == 403 { answer.code() } else { String::new() };
                match route.scope {
                    None => assert_eq!(code, "person_only", "{scope:?} {method} {path}: {answer:?}"),
                    Some(least) if scope < least => assert_eq!(code, "scope", "{scope:?} {method} {path}"),
                    Some(_) => assert_eq!(code, "", "{scope:?} {method} {path}: {answer:?}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn a_token_is_made_only_by_who_knows_the_password_and_guesses_there_are_slowed() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let make = async |wanted: serde_json::Value| browser.post("/api/tokens", &wanted.to_string()).await;
    let missing = make(json!({"name": "relay"})).await;
    assert_eq!((missing.status, missing.code().as_str()), (403, "password_required"));
    for (wanted, code) in [
        (json!({"name": "", "password": PASSWORD}), "bad_request"),
        (json!({"name": "yaler\u{202e}", "password": PASSWORD}), "bad_request"),
        (json!({"name": "x", "scope": "admin", "password": PASSWORD}), "bad_request"),
        (json!({"name": "x", "expires_in_days": 0, "password": PASSWORD}), "bad_request"),
        (json!({"name": "x", "expires_in_days": 4000, "password": PASSWORD}), "bad_request"),
        (json!({"name": "x", "password": "wrong password"}), "wrong_password"),
    ] {
        assert_eq!(make(wanted.clone()).await.code(), code, "{wanted}");
    }
    let year = make(json!({"name": "relay", "password": PASSWORD})).await;
    assert_eq!((year.status, year.json()["scope"].as_str()), (201, Some("read")));
    let endless =
        make(json!({"name": "gate", "scope": "operate", "expires_in_days": null, "password": PASSWORD}))
            .await;
    assert_eq!((endless.status, endless.json()["expires_at"].is_null()), (201, true));
    let listed = browser.get("/api/tokens").await.json();
    let days = |token: &serde_json::Value| {
        let at = |name: &str| ms(&token[name]);
        (at("expires_at") - at("created_at")) / 86_400_000
    };
    assert_eq!(days(&listed["tokens"][0]), 365);
    let prefix = listed["tokens"][0]["prefix"].as_str().unwrap();
    assert!(year.json()["token"].as_str().unwrap().starts_with(prefix) && prefix.len() == 7, "{prefix}");
    let mut refused = 0;
    for _ in 0..20 {
        let answer = make(json!({"name": "x", "password": "wrong password"})).await;
        refused += usize::from(answer.status == 429);
    }
    assert!(refused >= 10, "{refused}");
}

#[tokio::test]
async fn a_token_ends_at_its_time_and_its_use_is_noted() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let now = UnixMs(ms(&browser.get("/api/status").await.json()["clock"]["now"]));
    let status = async |secret: &str| {
        let bearer = format!("Bearer {secret}");
        dashboard.send(Method::GET, "/api/status", &[("authorization", &bearer)], "").await.status
    };
    for (secret, expires_at, expected) in [
        ("cc_past", Some(now.plus_ms(-1)), 401),
        ("cc_future", Some(now.plus_ms(3_600_000)), 200),
        ("cc_endless", None, 200),
    ] {
        let new = NewToken {
            name: secret.to_owned(),
            scope: Scope::Read,
            hint: secret.to_owned(),
            hash: Sha256::digest(secret.as_bytes()).into(),
            created_at: now,
            expires_at,
        };
        let hash = dashboard.store.access().setting(PASSWORD_KEY).await.unwrap();
        dashboard.store.access().insert_token(PASSWORD_KEY, hash, new).await.unwrap().unwrap();
        assert_eq!(status(secret).await, expected, "{secret}");
    }
    let listed = browser.get("/api/tokens").await.json();
    let used = |n: usize| listed["tokens"][n]["last_used_at"].is_string();
    assert_eq!([used(0), used(1), used(2)], [false, true, true]);
}

#[tokio::test]
async fn programs_cannot_take_every_stream_and_persons_find_one() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let bearer = format!("Bearer {}", browser.token("full").await);
    let client = super::harness::client();
    let url = format!("http://{}/api/stream", dashboard.addr);
    let mut streams = Vec::new();
    for n in 0..16 {
        let stream = client.get(&url).header("authorization", &bearer).send().await.unwrap();
        assert_eq!(stream.status(), if n < 8 { 200 } else { 503 }, "{n}");
        streams.push(stream);
    }
    for n in 0..8 {
        let stream = browser.stream().await;
        assert_eq!(stream.status(), 200, "{n}");
        streams.push(stream);
    }
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one() {
    let dashboard = dashboard().await;
    let body = json!({ "password": PASSWORD }).to_string();
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0";
    let headers = [JSON, ("user-agent", firefox)];
    let elsewhere = client_from(IpAddr::from([127, 0, 0, 7]));
    let answer = send(&elsewhere, dashboard.addr, Method::POST, "/api/login", &headers, &body).await;
    let (other, mine, third) =
        (Browser::of(dashboard.addr, &answer), dashboard.browser().await, dashboard.browser().await);
    let listed = mine.get("/api/sessions").await;
    let text = String::from_utf8_lossy(&listed.body).into_owned();
    for secret in [&other.cookie["session=".len()..], &other.csrf, &mine.csrf] {
        assert!(!text.contains(secret), "{text}");
    }
    let listed = listed.json();
    let sessions = listed["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 3);
    assert_eq!(sessions.iter().filter(|session| session["current"] == true).count(), 1);
    let theirs = sessions.iter().find(|session| session["from"] == "127.0.0.7").unwrap();
    assert_eq!((&theirs["browser"], &theirs["current"]), (&json!("Firefox on Linux"), &json!(false)));
    let path = format!("/api/sessions/{}", theirs["id"].as_str().unwrap());
    let stream = other.stream().await;
    assert_eq!(mine.change(Method::DELETE, &path, "").await.status, 204);
    assert_eq!(mine.change(Method::DELETE, &path, "").await.status, 404);
    assert_eq!(other.get("/api/status").await.status, 401);
    // It ends by itself; otherwise this would wait for ever.
    stream.text().await.unwrap();
    assert_eq!(mine.post("/api/sessions/end-others", "").await.json(), json!({"ended": 1}));
    assert_eq!(third.get("/api/status").await.status, 401);
    assert_eq!(mine.get("/api/status").await.status, 200);
}

#[tokio::test]
async fn no_picture_is_shown_from_a_copy_after_a_log_out() {
    let dashboard = dashboard().await;
    dashboard.record("r1", AT).await;
    let browser = dashboard.browser().await;
    for path in ["/api/images/r1_1698765432.jpg", "/api/images/r1_1698765432.jpg?thumb=1"] {
        let first = browser.get(path).await;
        assert_eq!((first.status, first.header("cache-control")), (200, "private, no-cache"), "{path}");
        let etag = first.header("etag").to_owned();
        let again = browser.get_with(path, &[("if-none-match", &etag)]).await;
        assert_eq!((again.status, again.header("cache-control")), (304, "private, no-cache"), "{path}");
        let outside = dashboard.send(Method::GET, path, &[("if-none-match", &etag)], "").await;
        assert_eq!((outside.status, outside.header("cache-control")), (401, "no-store"), "{path}");
    }
    let bye = browser.post("/api/logout", "").await;
    assert_eq!(bye.header("clear-site-data"), "\"cache\"");
}

/// Lines of the security log of this test program, of all its tests.
fn security_log() -> Arc<Mutex<Vec<u8>>> {
    #[derive(Clone)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    let begin = || {
        let lines = Shared(Arc::default());
        let writer = lines.clone();
        tracing_subscriber::fmt()
            .with_env_filter("camera_capture::security=info")
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        lines.0
    };
    Arc::clone(LOG.get_or_init(begin))
}

#[tokio::test]
async fn what_happens_at_the_door_and_behind_it_is_in_the_security_log_without_a_secret() {
    let log = security_log();
    let dashboard = dashboard().await;
    dashboard.record("r1", AT).await;
    // Nobody else in this program comes from there.
    let client = client_from(IpAddr::from([127, 9, 9, 9]));
    let go = async |method: Method, path: &str, headers: &[(&str, &str)], body: &str| {
        let headers: Vec<_> = headers.iter().copied().chain([JSON]).collect();
        send(&client, dashboard.addr, method, path, &headers, body).await
    };
    let log_in = async |password: &str| {
        go(Method::POST, "/api/login", &[], &json!({ "password": password }).to_string()).await
    };
    let come_in = async || {
        let answer: Answer = log_in(PASSWORD).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Browser::of(dashboard.addr, &answer)
    };
    log_in("a wrong guess").await;
    let (mine, other, third) = (come_in().await, come_in().await, come_in().await);
    let person = [("cookie", mine.cookie.as_str()), ("x-csrf-token", mine.csrf.as_str())];
    let act = async |method: Method, path: &str, body: &str| go(method, path, &person, body).await;

    go(Method::POST, "/api/cleanup/run", &person[..1], "").await;
    go(Method::POST, "/api/cleanup/run", &[person[0], person[1], ("origin", "http://evil.example")], "")
        .await;
    act(Method::POST, "/api/tokens", r#"{"name": "relay", "password": "another wrong guess"}"#).await;
    let wanted = json!({"name": "relay", "scope": "read", "password": PASSWORD}).to_string();
    let made = act(Method::POST, "/api/tokens", &wanted).await.json();
    let (secret, token_id) = (made["token"].as_str().unwrap().to_owned(), made["id"].to_string());
    let bearer = format!("Bearer {secret}");
    let program = [("authorization", bearer.as_str())];
    go(Method::GET, "/api/tokens", &program, "").await;
    go(Method::POST, "/api/cleanup/run", &program, "").await;
    go(Method::GET, "/api/status", &[("authorization", "Bearer cc_never-made")], "").await;
    for protected in [true, false] {
        let body = json!({ "protected": protected }).to_string();
        act(Method::POST, "/api/images/r1_1698765432.jpg/protect", &body).await;
    }
    act(Method::POST, "/api/images/r1_1698765432.jpg/retry", "").await;
    act(Method::DELETE, "/api/images/r1_1698765432.jpg?force=true", "").await;
    act(Method::POST, "/api/uploads/retry", r#"{"state": "dead"}"#).await;
    act(Method::POST, "/api/uploads/test/api", "").await;
    act(Method::POST, "/api/capture/r1", "").await;
    act(Method::POST, "/api/cleanup/run", "").await;
    act(Method::POST, "/api/gpio/sim/r1", r#"{"pulse_ms": 1}"#).await;
    act(Method::DELETE, &format!("/api/tokens/{token_id}"), "").await;
    let sessions = act(Method::GET, "/api/sessions", "").await.json();
    let names: Vec<_> = sessions["sessions"].as_array().unwrap().iter().collect();
    let own = names.iter().find(|one| one["current"] == true).unwrap()["id"].as_str().unwrap().to_owned();
    let ended = names.iter().find(|one| one["current"] == false).unwrap()["id"].as_str().unwrap().to_owned();
    act(Method::DELETE, &format!("/api/sessions/{ended}"), "").await;
    act(Method::POST, "/api/sessions/end-others", "").await;
    let change = json!({"current": PASSWORD, "new": "seven otters sing"}).to_string();
    let anew = Browser::of(dashboard.addr, &act(Method::POST, "/api/password", &change).await);
    let again = [("cookie", anew.cookie.as_str()), ("x-csrf-token", anew.csrf.as_str())];
    go(Method::POST, "/api/logout", &again, "").await;
    while log_in("a wrong guess").await.status != 429 {}

    let text = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("from=127.9.9.9")).collect();
    let expected: BTreeSet<_> = [
        "log-in refused: wrong password",
        "logged in",
        "CSRF token missing or wrong",
        "a page of another site",
        "confirmation refused: wrong password",
        "API token made",
        "a program asked for what is for persons",
        "more than the token's scope",
        "token not valid or expired",
        "picture protected",
        "protection of a picture ended",
        "sent again by hand",
        "upload target tested",
        "picture deleted",
        "picture asked for",
        "retention run asked for",
        "contact simulated",
        "API token revoked",
        "session ended by hand",
        "every other session ended by hand",
        "password changed",
        "logged out",
        "too many attempts",
    ]
    .into();
    for words in expected {
        assert!(lines.iter().any(|line| line.contains(words)), "no {words:?} in\n{}", lines.join("\n"));
    }
    // Lines can be joined: whoever deleted the picture is in the list of sessions by that name, and logged in.
    assert!(lines.iter().any(|line| line.contains("picture deleted") && line.contains(&own)), "{text}");
    assert!(lines.iter().any(|line| line.contains("logged in") && line.contains(&own)), "{text}");
    let secrets =
        [&mine, &other, &third, &anew].into_iter().flat_map(|browser| [&browser.csrf, &browser.cookie]);
    for secret in secrets.map(|secret| secret.trim_start_matches("session=")).chain([
        PASSWORD,
        "a wrong guess",
        "another wrong guess",
        "seven otters sing",
        &secret,
        "cc_never-made",
        "\u{202e}",
    ]) {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
}
