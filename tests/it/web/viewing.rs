//! Who may look at a camera, and what is told to those who may not. What they see is in `e2e/live.rs`.

use reqwest::Method;

use super::harness::dashboard;

const UPGRADE: [(&str, &str); 4] = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

const BOTH: [fn(&str) -> String; 2] =
    [|camera| format!("/api/live/{camera}.mjpeg"), |camera| format!("/api/live/{camera}/ws")];

#[tokio::test]
async fn nobody_looks_without_a_session() {
    let dashboard = dashboard().await;
    for path in BOTH {
        let answer = dashboard.send(Method::GET, &path("r1"), &UPGRADE, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"), "{}", path("r1"));
    }
}

#[tokio::test]
async fn a_camera_that_is_unknown_or_switched_off_is_told_before_anything_is_opened() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    for path in BOTH {
        assert_eq!(browser.get_with(&path("r9"), &UPGRADE).await.status, 404, "{}", path("r9"));
        assert_eq!(browser.get_with(&path("..%2f"), &UPGRADE).await.status, 404);
        let answer = browser.get_with(&path("r3"), &UPGRADE).await;
        assert_eq!((answer.status, answer.code().as_str()), (409, "disabled"), "{}", path("r3"));
        for query in ["?fps=0", "?fps=26", "?width=319", "?width=1921", "?format=gif", "?size=1"] {
            assert_eq!(browser.get(&format!("{}{query}", path("r1"))).await.status, 400, "{query}");
        }
    }
}

#[tokio::test]
async fn a_page_of_another_site_cannot_open_the_websocket() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let own = format!("http://{}", dashboard.addr);
    let bearer = format!("Bearer {}", browser.token("read").await);
    let open = async |headers: &[(&str, &str)]| {
        let headers: Vec<_> = UPGRADE.iter().chain(headers).copied().collect();
        dashboard.send(Method::GET, "/api/live/r1/ws", &headers, "").await
    };
    for origin in ["http://evil.example", "null", "", &own.replace("127.0.0.1", "127.0.0.2")] {
        let answer = open(&[("cookie", &browser.cookie), ("origin", origin)]).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "foreign_origin"), "{origin}");
    }
    // No camera runs here, so whoever may look is told that the program is ending.
    for headers in [
        [("cookie", browser.cookie.as_str()), ("origin", own.as_str())],
        [("cookie", browser.cookie.as_str()), ("accept", "*/*")],
        [("authorization", bearer.as_str()), ("origin", "http://evil.example")],
    ] {
        let answer = open(&headers).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "stopping"), "{headers:?}");
    }
}
