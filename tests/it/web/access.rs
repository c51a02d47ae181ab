//! Who may come in, how, and for how long.

use std::net::IpAddr;

use camera_capture::config::WebAccess;
use camera_capture::web::routes::{Access, ROUTES};
use reqwest::Method;

use super::harness::{Browser, PASSWORD, client_from, dashboard, password_hash, raw, send, start};

const JSON: (&str, &str) = ("content-type", "application/json");

/// A path of the route, with something in place of what varies.
fn example(path: &str) -> String {
    let path = path.replace("{filename}", "r1_1698765432.jpg").replace("{camera}", "r1");
    path.replace("{token}", "AAAAAAAAAAAAAAAAAAAAAA")
        .replace("{id}", "1")
        .replace("{target}", "api")
        .replace("{script}", "words.js")
}

#[tokio::test]
async fn every_route_without_a_session_answers_401_apart_from_the_listed() {
    let with_password = dashboard().await;
    let without_password = start(WebAccess::Password, None).await;
    for dashboard in [&with_password, &without_password] {
        for route in ROUTES {
            let method = Method::from_bytes(route.method.as_str().as_bytes()).unwrap();
            let path = example(route.path);
            for headers in [
                vec![],
                vec![("cookie", "session=AAAA")],
                vec![("authorization", "Bearer cc_AAAA")],
                vec![("authorization", "Basic YWRtaW46YWRtaW4xMjM=")],
                vec![("x-forwarded-for", "127.0.0.1"), ("x-csrf-token", "")],
            ] {
                let headers: Vec<_> = headers.into_iter().chain([JSON]).collect();
                let answer = dashboard.send(method.clone(), &path, &headers, "").await;
                if matches!(route.access, Access::Public | Access::Link) {
                    assert_ne!(answer.status, 401, "{method} {path}");
                } else {
                    assert_eq!(answer.status, 401, "{method} {path}");
                }
            }
        }
        for path in
            ["/nothing", "/api", "/api/", "/api/nothing", "/api/live/r1.mjpeg", "/index.html", "/.env"]
        {
            for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
                let answer = dashboard.send(method.clone(), path, &[], "").await;
                assert_eq!(answer.status, 401, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_told_in_the_one_shape_of_errors() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let answer = browser.get("/api/nothing").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    let answer = browser.post("/api/status", "{}").await;
    assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"));
    let answer = browser.get("/api/images?limit=1000").await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"));
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let answers = [
        dashboard.send(Method::GET, "/health", &[], "").await,
        dashboard.send(Method::GET, "/", &[], "").await,
        dashboard.send(Method::GET, "/api/status", &[], "").await,
        dashboard.send(Method::POST, "/api/login", &[JSON], "{").await,
        browser.get("/").await,
        browser.get("/api/status").await,
        browser.get("/api/nothing").await,
        browser.post("/health", "").await,
    ];
    for answer in answers {
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("x-robots-tag"), "noindex, nofollow, noarchive");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        assert!(!answer.header("cache-control").is_empty());
        assert_eq!(answer.header("server"), "");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}

#[tokio::test]
async fn the_set_up_code_sets_the_first_password_once() {
    let dashboard = start(WebAccess::Password, None).await;
    let code = dashboard.setup_code.clone().unwrap();
    let set_up = async |code: &str, password: &str| {
        let body = serde_json::json!({"code": code, "password": password}).to_string();
        dashboard.send(Method::POST, "/api/setup", &[JSON], &body).await
    };
    let page = dashboard.send(Method::GET, "/", &[], "").await;
    assert!(String::from_utf8_lossy(&page.body).contains("data-mode=\"setup\""));
    assert_eq!(set_up("aaaaa-aaaaa", PASSWORD).await.code(), "wrong_code");
    assert_eq!(set_up(&code, "admin123").await.code(), "password_refused");
    assert_eq!(set_up(&code, "short").await.code(), "password_refused");
    assert_eq!(dashboard.log_in("admin123").await.status, 401);
    let answer = set_up(&code.to_uppercase(), PASSWORD).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(Browser::of(dashboard.addr, &answer).get("/api/status").await.status, 200);
    assert_eq!(set_up(&code, "another long phrase").await.code(), "already_set_up");
    assert_eq!(dashboard.log_in("another long phrase").await.status, 401);
    let page = dashboard.send(Method::GET, "/", &[], "").await;
    assert!(String::from_utf8_lossy(&page.body).contains("data-mode=\"login\""));
}

#[tokio::test]
async fn set_up_codes_cannot_be_guessed_fast() {
    let dashboard = start(WebAccess::Password, None).await;
    let mut refused = 0;
    for _ in 0..20 {
        let body = serde_json::json!({"code": "aaaaa-aaaaa", "password": PASSWORD}).to_string();
        let answer = dashboard.send(Method::POST, "/api/setup", &[JSON], &body).await;
        refused += usize::from(answer.status == 429);
    }
    assert!(refused >= 10, "{refused}");
}

#[tokio::test]
async fn guessing_is_slowed_for_its_address_and_for_nobody_else() {
    let dashboard = dashboard().await;
    let (mut wrong, mut slowed) = (0, 0);
    for _ in 0..50 {
        let answer = dashboard.log_in("wrong password").await;
        match answer.status {
            401 => wrong += 1,
            429 => {
                slowed += 1;
                assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
            }
            other => panic!("{other}"),
        }
    }
    assert!(wrong < 15 && slowed > 35, "{wrong} {slowed}");
    let elsewhere = client_from(IpAddr::from([127, 0, 0, 2]));
    assert_eq!(dashboard.log_in_from(&elsewhere, PASSWORD).await.status, 200);
}

#[tokio::test]
async fn many_log_ins_at_once_are_no_way_around_the_throttle() {
    let dashboard = dashboard().await;
    let answers = futures_util::future::join_all((0..40).map(|_| dashboard.log_in("wrong password"))).await;
    let judged = answers.iter().filter(|answer| answer.status == 401).count();
    assert!(judged <= 6, "{judged}");
    assert!(answers.iter().all(|answer| matches!(answer.status, 401 | 429)));
}

#[tokio::test]
async fn cookies_are_fresh_strict_and_out_of_reach_of_scripts() {
    let dashboard = dashboard().await;
    let preset = ("cookie", "session=chosen-by-someone-else");
    let body = serde_json::json!({ "password": PASSWORD }).to_string();
    let answer = dashboard.send(Method::POST, "/api/login", &[JSON, preset], &body).await;
    let cookie = answer.header("set-cookie").to_owned();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains("chosen"), "{cookie}");
    assert!(cookie.split(['=', ';']).nth(1).unwrap().len() >= 43, "{cookie}");
    let behind_tls = [JSON, ("x-forwarded-proto", "https")];
    let answer = dashboard.send(Method::POST, "/api/login", &behind_tls, &body).await;
    assert!(answer.header("set-cookie").contains("Secure"));
}

#[tokio::test]
async fn a_change_needs_the_token_of_its_session_and_our_own_page() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let other = dashboard.browser().await;
    let own = format!("http://{}", dashboard.addr);
    let attempt = async |headers: &[(&str, &str)]| {
        let headers: Vec<_> = headers.iter().copied().chain([("cookie", browser.cookie.as_str())]).collect();
        let answer = dashboard.send(Method::POST, "/api/cleanup/run", &headers, "").await;
        if answer.status == 200 { "fine".to_owned() } else { answer.code() }
    };
    let token = ("x-csrf-token", browser.csrf.as_str());
    assert_eq!(attempt(&[]).await, "csrf");
    assert_eq!(attempt(&[("x-csrf-token", "")]).await, "csrf");
    assert_eq!(attempt(&[("x-csrf-token", &other.csrf)]).await, "csrf");
    assert_eq!(attempt(&[token, ("origin", "http://evil.example")]).await, "foreign_origin");
    assert_eq!(attempt(&[token, ("origin", "null")]).await, "foreign_origin");
    assert_eq!(attempt(&[token, ("sec-fetch-site", "cross-site")]).await, "foreign_origin");
    assert_eq!(attempt(&[token]).await, "fine");
    assert_eq!(attempt(&[token, ("origin", &own), ("sec-fetch-site", "same-origin")]).await, "fine");
    let told = browser.get("/api/session").await;
    assert_eq!(told.header("x-csrf-token"), browser.csrf);
    assert_eq!(told.json()["csrf_token"], browser.csrf.as_str());
}

#[tokio::test]
async fn a_foreign_page_cannot_log_anyone_in_and_forms_cannot_post_json() {
    let dashboard = dashboard().await;
    let body = serde_json::json!({ "password": PASSWORD }).to_string();
    let foreign = [JSON, ("origin", "http://evil.example")];
    assert_eq!(dashboard.send(Method::POST, "/api/login", &foreign, &body).await.code(), "foreign_origin");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let answer = dashboard.send(Method::POST, "/api/login", &[("content-type", kind)], &body).await;
        assert_eq!(answer.status, 415, "{kind}");
    }
}

#[tokio::test]
async fn bodies_that_are_too_long_are_refused() {
    let dashboard = dashboard().await;
    let long = serde_json::json!({ "password": "x".repeat(70_000) }).to_string();
    assert_eq!(dashboard.send(Method::POST, "/api/login", &[JSON], &long).await.status, 413);
    let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 8_192]));
    let endless = super::harness::client()
        .post(format!("http://{}/api/login", dashboard.addr))
        .header("content-type", "application/json")
        .body(reqwest::Body::wrap_stream(futures_util::StreamExt::take(chunks, 1_000)));
    // The server may cut the connection before everything is sent.
    if let Ok(answer) = endless.send().await {
        assert_eq!(answer.status().as_u16(), 413);
    }
}

#[tokio::test]
async fn a_change_of_password_ends_every_other_session() {
    let dashboard = dashboard().await;
    let (mine, other) = (dashboard.browser().await, dashboard.browser().await);
    let new = "another long phrase";
    let change = async |browser: &Browser, current: &str, new: &str| {
        let body = serde_json::json!({"current": current, "new": new}).to_string();
        browser.post("/api/password", &body).await
    };
    assert_eq!(change(&mine, "wrong password", new).await.code(), "wrong_password");
    assert_eq!(change(&mine, PASSWORD, "admin123").await.code(), "password_refused");
    assert_eq!(other.get("/api/status").await.status, 200);
    let answer = change(&mine, PASSWORD, new).await;
    assert_eq!(answer.status, 200);
    let mine_anew = Browser::of(dashboard.addr, &answer);
    assert_eq!(mine_anew.get("/api/status").await.status, 200);
    assert_eq!(mine.get("/api/status").await.status, 401);
    assert_eq!(other.get("/api/status").await.status, 401);
    assert_eq!(dashboard.log_in(PASSWORD).await.status, 401);
    assert_eq!(dashboard.log_in(new).await.status, 200);
}

#[tokio::test]
async fn a_password_set_on_the_command_line_ends_sessions_at_once() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let key = camera_capture::web::auth::PASSWORD_KEY;
    dashboard.store.access().set_password_hash(key, password_hash()).await.unwrap();
    assert_eq!(browser.get("/api/status").await.status, 401);
}

#[tokio::test]
async fn logging_out_ends_the_session_and_its_stream() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let stream = browser.stream().await;
    assert_eq!(browser.post("/api/logout", "").await.status, 204);
    assert_eq!(browser.get("/api/status").await.status, 401);
    // The stream ends by itself; otherwise this would wait for ever.
    let rest = stream.text().await.unwrap();
    assert!(rest.starts_with("retry: "), "{rest}");
}

#[tokio::test]
async fn tokens_let_programs_in_until_they_are_revoked_but_not_near_passwords() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let wanted = serde_json::json!({"name": "relay", "scope": "full", "password": PASSWORD}).to_string();
    let made = browser.post("/api/tokens", &wanted).await;
    assert_eq!(made.status, 201);
    let secret = made.json()["token"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("cc_"));
    let listed = browser.get("/api/tokens").await;
    assert!(!String::from_utf8_lossy(&listed.body).contains(&secret));
    let bearer = format!("Bearer {secret}");
    let with_token = async |method: Method, path: &str| {
        dashboard.send(method, path, &[("authorization", &bearer), JSON], "").await
    };
    assert_eq!(with_token(Method::GET, "/api/status").await.status, 200);
    assert_eq!(with_token(Method::POST, "/api/cleanup/run").await.status, 200);
    for (method, path) in
        [(Method::GET, "/api/tokens"), (Method::DELETE, "/api/tokens/1"), (Method::POST, "/api/password")]
    {
        assert_eq!(with_token(method, path).await.code(), "person_only", "{path}");
    }
    let path = format!("/api/tokens/{}", made.json()["id"]);
    assert_eq!(browser.change(Method::DELETE, &path, "").await.status, 204);
    assert_eq!(browser.change(Method::DELETE, &path, "").await.status, 404);
    assert_eq!(with_token(Method::GET, "/api/status").await.status, 401);
}

#[tokio::test]
async fn without_a_password_only_this_machine_itself_is_let_in() {
    for access in [WebAccess::Demo, WebAccess::Loopback] {
        let dashboard = start(access, None).await;
        assert_eq!(dashboard.setup_code, None);
        let status = async |headers: &str| {
            let answer = raw(dashboard.addr, b"/api/status", headers).await;
            answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
        };
        assert_eq!(status("Host: localhost\r\n").await, 200);
        assert_eq!(status("Host: 127.0.0.1:9000\r\n").await, 200);
        assert_eq!(status("Host: [::1]:9000\r\n").await, 200);
        assert_eq!(status("Host: evil.example\r\n").await, 421);
        assert_eq!(status("Host: localhost.evil.example\r\n").await, 421);
        assert_eq!(status("Host: gate.local\r\n").await, 401);
        assert_eq!(status("Host: 192.0.2.1\r\n").await, 401);
        assert_eq!(status("Host: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n").await, 401);
        assert_eq!(status("Host: localhost\r\nForwarded: for=192.0.2.1\r\n").await, 401);
        assert_eq!(status("Host: localhost\r\nX-Real-IP: 192.0.2.1\r\n").await, 401);
        for name in ["CF-Connecting-IP", "True-Client-IP", "X-Client-IP", "X-Forwarded", "X-Forwarded-Server"]
        {
            assert_eq!(status(&format!("Host: localhost\r\n{name}: x\r\n")).await, 401, "{name}");
        }
        assert_eq!(status("Host: localhost\r\nX-Forwarded-Proto: http\r\n").await, 401);
        let own = format!("http://{}", dashboard.addr);
        let change = async |headers: &[(&str, &str)]| {
            dashboard.send(Method::POST, "/api/cleanup/run", headers, "").await.status
        };
        assert_eq!(change(&[("origin", "http://evil.example")]).await, 403);
        assert_eq!(change(&[("sec-fetch-site", "cross-site")]).await, 403);
        assert_eq!(change(&[("origin", &own)]).await, 200);
    }
}

#[tokio::test]
async fn a_slow_password_hash_does_not_hold_up_other_requests() {
    // Six times the memory and five times the passes of an ordinary hash.
    let slow = "$argon2id$v=19$m=131072,t=10,p=1$c29tZXNhbHRzb21lc2FsdA\
                $Ej+dLLfYU9qsAJVMlU2bfrbYJPfvLtGmzCTHGLnpoEw";
    let dashboard = start(WebAccess::Password, Some(slow.to_owned())).await;
    let client = super::harness::client();
    let log_in = dashboard.log_in_from(&client, "some long password");
    let health = async {
        let mut answered = 0;
        loop {
            let answer = send(&client, dashboard.addr, Method::GET, "/health", &[], "").await;
            assert_eq!(answer.status, 200);
            answered += 1;
            if answered == 20 {
                return answered;
            }
        }
    };
    tokio::select! {
        biased;
        answered = health => assert_eq!(answered, 20),
        answer = log_in => panic!("the hash was ready before twenty other answers: {}", answer.status),
    }
}
