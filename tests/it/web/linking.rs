//! Public links: who has the address sees one picture, nobody sees more, and nobody learns why there is none.

use camera_capture::clock;
use camera_capture::config::WebAccess;
use camera_capture::model::{LinkToken, Medium, UnixMs};
use camera_capture::store::{LinkMade, Linked, NewLink};
use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Answer, Browser, Dashboard, dashboard, password_hash, start_with};

const EDGE: UnixMs = UnixMs(1_800_000_000_000);

async fn link(browser: &Browser, filename: &str, wish: &str) -> Value {
    let answer = browser.post(&format!("/api/images/{filename}/link"), wish).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

/// As a stranger.
async fn open(site: &Dashboard, path: &str) -> Answer {
    site.send(Method::GET, path, &[], "").await
}

/// What a stranger is told, headers and all, but for the time.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let headers = answer.headers.iter().filter(|(name, _)| *name != "date");
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    (answer.status, headers, answer.body.clone())
}

/// S1.8
#[tokio::test]
async fn a_link_shows_a_stranger_its_picture_and_nothing_else() {
    let site = dashboard().await;
    let browser = site.browser().await;
    let (image, other) = (site.record("r1", EDGE).await, site.record("r1", EDGE.plus_ms(1000)).await);
    let made = link(&browser, &image.filename.to_string(), r#"{"hours":24}"#).await;
    let path = made["path"].as_str().unwrap();
    assert_eq!(made["url"], format!("http://{}{path}", site.addr), "without PUBLIC_URL as it was asked");
    let bearer = format!("Bearer {}", browser.token("operate").await);
    let own = format!("https://{}", site.addr);
    for (origin, begin) in [(own.as_str(), "https://127."), ("https://evil.example", "http://127.")] {
        let headers = [("authorization", bearer.as_str()), ("origin", origin)];
        let answer =
            site.send(Method::POST, &format!("/api/images/{}/link", other.filename), &headers, "").await;
        assert!(answer.json()["url"].as_str().unwrap().starts_with(begin), "{answer:?}");
    }
    assert!(path.starts_with("/s/") && path.len() == "/s/".len() + 22 + ".jpg".len(), "{path}");
    let whole = open(&site, path).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, "image/jpeg"));
    let own = browser.get(&format!("/api/images/{}", image.filename)).await;
    assert!(whole.body == own.body);
    for other in [
        "/api/images".to_owned(),
        format!("/api/images/{}", image.filename),
        format!("/api/images/{}", other.filename),
        format!("/uploads/{}", image.filename),
        "/s/".to_owned(),
        path.trim_end_matches(".jpg").to_owned(),
        format!("{path}/{}", other.filename),
        format!("{path}/../../api/images/{}", other.filename),
        "/s/../api/status".to_owned(),
    ] {
        assert_eq!(open(&site, &other).await.status, 401, "{other}");
    }
    for method in [Method::POST, Method::DELETE, Method::PUT] {
        assert_eq!(site.send(method, path, &[], "").await.status, 401);
    }
    assert_eq!(open(&site, &path.replace(".jpg", ".mp4")).await.status, 404, "it is no clip");
}

/// S1.7
#[tokio::test]
async fn no_neighbour_of_an_address_shows_anything() {
    let site = dashboard().await;
    let browser = site.browser().await;
    let image = site.record("r1", EDGE).await;
    let made = link(&browser, &image.filename.to_string(), "{}").await;
    let path = made["path"].as_str().unwrap();
    let token = LinkToken::parse(path.trim_start_matches("/s/").trim_end_matches(".jpg")).unwrap();
    for at in 0..22 {
        let mut neighbour = token.reveal().into_bytes();
        neighbour[at] = if neighbour[at] == b'A' { b'Q' } else { b'A' };
        let path = format!("/s/{}.jpg", String::from_utf8(neighbour).unwrap());
        assert_eq!(open(&site, &path).await.status, 404, "{path}");
    }
    assert_eq!(open(&site, path).await.status, 200);
}

/// S1.8
#[tokio::test]
async fn an_ended_a_revoked_a_wrong_and_a_pictureless_link_are_told_apart_by_nobody() {
    let site = dashboard().await;
    let browser = site.browser().await;
    let (image, deleted) = (site.record("r1", EDGE).await, site.record("r1", EDGE.plus_ms(1000)).await);
    let name = image.filename.to_string();
    let revoked = link(&browser, &name, "{}").await;
    let gone = link(&browser, &deleted.filename.to_string(), "{}").await;
    for made in [&revoked, &gone] {
        assert_eq!(open(&site, made["path"].as_str().unwrap()).await.status, 200);
    }
    let end = browser.change(Method::DELETE, &format!("/api/links/{}", revoked["id"]), "").await;
    assert_eq!(end.status, 204);
    let again = browser.change(Method::DELETE, &format!("/api/links/{}", revoked["id"]), "").await;
    assert_eq!((again.status, again.code().as_str()), (404, "not_found"));
    let path = format!("/api/images/{}?force=true", deleted.filename);
    assert_eq!(browser.change(Method::DELETE, &path, "").await.status, 204);
    let ended = LinkToken::random().unwrap();
    let now = clock::now();
    let linked = Linked::Image(image.filename.clone());
    let new = NewLink { linked, hash: ended.hash(), created_at: now, expires_at: Some(now.plus_ms(-1)) };
    assert!(matches!(site.store.catalog().make_link(new).await.unwrap(), LinkMade::Made(_)));
    let unreadable = site.record("r1", EDGE.plus_ms(2000)).await;
    let lost = link(&browser, &unreadable.filename.to_string(), "{}").await;
    std::fs::remove_file(site.store.path_of(&unreadable)).unwrap();
    let never = LinkToken::random().unwrap();
    let wrong = told(&open(&site, &never.path(Medium::Jpeg)).await);
    assert_eq!(wrong.0, 404);
    let ended = ended.path(Medium::Jpeg);
    for path in [
        &revoked["path"],
        &gone["path"],
        &json!(ended),
        &lost["path"],
        &json!("/s/%2e%2e.jpg"),
        &json!("/s/x.jpg"),
    ] {
        let path = path.as_str().unwrap();
        assert_eq!(told(&open(&site, path).await), wrong, "{path}");
    }
}

#[tokio::test]
async fn no_search_engine_lists_it_no_shared_cache_keeps_it_and_no_referrer_tells_it() {
    let site = dashboard().await;
    let browser = site.browser().await;
    let image = site.record("r1", EDGE).await;
    let made = link(&browser, &image.filename.to_string(), "").await;
    let path = made["path"].as_str().unwrap();
    let never = LinkToken::random().unwrap().path(Medium::Jpeg);
    for path in [path, &never] {
        let answer = open(&site, path).await;
        assert_eq!(answer.header("x-robots-tag"), "noindex, nofollow, noarchive");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        let cache = answer.header("cache-control");
        assert!(cache == "private, no-cache" || cache == "no-store", "{cache}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
        assert_eq!(answer.header("set-cookie"), "");
    }
    let shown = open(&site, path).await;
    assert_eq!(shown.header("cross-origin-resource-policy"), "cross-origin", "a chat may show it");
}

#[tokio::test]
async fn parts_and_known_versions_are_given_as_of_any_picture_and_a_link_that_ended_gives_none() {
    let site = dashboard().await;
    let browser = site.browser().await;
    let image = site.record("r1", EDGE).await;
    let clip = site.record_clip("r1", EDGE, b"").await;
    for filename in [image.filename.to_string(), clip.filename.to_string()] {
        let made = link(&browser, &filename, "{}").await;
        let path = made["path"].as_str().unwrap();
        assert_eq!(path.rsplit('.').next(), filename.rsplit('.').next());
        let whole = open(&site, path).await;
        let part = site.send(Method::GET, path, &[("range", "bytes=2-5")], "").await;
        assert_eq!((part.status, &part.body[..]), (206, &whole.body[2..6]));
        let beyond = site.send(Method::GET, path, &[("range", "bytes=99999999-")], "").await;
        assert_eq!(beyond.status, 416);
        let etag = [("if-none-match", whole.header("etag"))];
        assert_eq!(site.send(Method::GET, path, &etag, "").await.status, 304);
        browser.change(Method::DELETE, &format!("/api/links/{}", made["id"]), "").await;
        assert_eq!(site.send(Method::GET, path, &etag, "").await.status, 404, "at once, known or not");
    }
}

#[tokio::test]
async fn opens_are_counted_and_links_listed_without_their_addresses() {
    let site = dashboard().await;
    let browser = site.browser().await;
    let image = site.record("r1", EDGE).await;
    let before = clock::now();
    let made = link(&browser, &image.filename.to_string(), "").await;
    let for_ever = link(&browser, &image.filename.to_string(), r#"{"hours":0}"#).await;
    assert_eq!(for_ever["expires_at"], Value::Null);
    let three_days = |from: UnixMs| from.plus_ms(72 * 3_600_000).rfc3339();
    let ends = made["expires_at"].as_str().unwrap().to_owned();
    assert!(three_days(before) <= ends && ends <= three_days(clock::now()), "{ends}");
    for _ in 0..3 {
        open(&site, made["path"].as_str().unwrap()).await;
    }
    let listed = browser.get(&format!("/api/images/{}/links", image.filename)).await;
    let links = listed.json()["links"].as_array().unwrap().clone();
    assert_eq!((links[0]["id"].clone(), links[0]["opens"].clone()), (for_ever["id"].clone(), json!(0)));
    assert_eq!((links[1]["id"].clone(), links[1]["opens"].clone()), (made["id"].clone(), json!(3)));
    assert_eq!(links[1]["filename"], image.filename.to_string());
    assert!(links[1]["last_opened_at"].is_string());
    let all = browser.get("/api/links").await;
    assert_eq!(all.json()["links"].as_array().unwrap(), &links);
    for made in [&made, &for_ever] {
        let path = made["path"].as_str().unwrap();
        let token = path.trim_start_matches("/s/").trim_end_matches(".jpg");
        assert!(!String::from_utf8(all.body.clone()).unwrap().contains(token));
    }
    assert_eq!(browser.get("/api/images/r1_1.jpg/links").await.status, 404);
    for wrong in [r#"{"hours":8761}"#, r#"{"hours":-1}"#, r#"{"hours":"x"}"#] {
        let answer = browser.post(&format!("/api/images/{}/link", image.filename), wrong).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "{wrong}");
    }
    assert_eq!(browser.post("/api/images/r1_1.jpg/link", "{}").await.status, 404);
}

/// S1.8: a chat asks for the head first, a player fetches parts, and each person is counted once.
#[tokio::test]
async fn a_head_has_no_body_and_neither_it_nor_the_rest_of_a_clip_counts_as_another_open() {
    let site = dashboard().await;
    let browser = site.browser().await;
    let image = site.record("r1", EDGE).await;
    let clip = site.record_clip("r1", EDGE, b"").await;
    for filename in [image.filename.to_string(), clip.filename.to_string()] {
        let made = link(&browser, &filename, "{}").await;
        let path = made["path"].as_str().unwrap();
        let whole = open(&site, path).await;
        let head = site.send(Method::HEAD, path, &[], "").await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{head:?}");
        for name in ["content-type", "content-length", "etag", "x-robots-tag"] {
            assert_eq!(head.header(name), whole.header(name), "{name}");
        }
        for range in ["bytes=2-5", "bytes=6-", "bytes=-3"] {
            assert_eq!(site.send(Method::GET, path, &[("range", range)], "").await.status, 206);
        }
        let opens = async || {
            let listed = browser.get(&format!("/api/images/{filename}/links")).await.json();
            listed["links"][0]["opens"].as_u64().unwrap()
        };
        assert_eq!(opens().await, 1);
        site.send(Method::GET, path, &[("range", "bytes=0-1")], "").await;
        assert_eq!(opens().await, 2);
        browser.change(Method::DELETE, &format!("/api/links/{}", made["id"]), "").await;
        let ended =
            super::harness::client().head(format!("http://{}{path}", site.addr)).send().await.unwrap();
        assert_eq!(ended.status(), 404);
    }
}

#[tokio::test]
async fn a_link_of_a_trigger_shows_its_picture() {
    let site = dashboard().await;
    let browser = site.browser().await;
    let image = site.record("r1", EDGE).await;
    let events = browser.get("/api/events").await.json();
    let id = events["events"][0]["id"].clone();
    let answer = browser.post(&format!("/api/events/{id}/link"), "").await;
    let made = answer.json();
    assert_eq!((answer.status, &made["filename"], &made["trigger"]), (201, &Value::Null, &id));
    let shown = open(&site, made["path"].as_str().unwrap()).await;
    assert!(shown.body == browser.get(&format!("/api/images/{}", image.filename)).await.body);
    for wrong in ["/api/events/9999/link", "/api/events/x/link"] {
        assert_eq!(browser.post(wrong, "").await.status, 404, "{wrong}");
    }
}

#[tokio::test]
async fn a_program_needs_the_scope_to_operate_and_a_page_of_another_site_makes_no_link() {
    let site = dashboard().await;
    let browser = site.browser().await;
    let image = site.record("r1", EDGE).await;
    let path = format!("/api/images/{}/link", image.filename);
    for (scope, status) in [("read", 403), ("operate", 201)] {
        let bearer = format!("Bearer {}", browser.token(scope).await);
        let answer = site.send(Method::POST, &path, &[("authorization", &bearer)], "").await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let foreign = [("cookie", browser.cookie.as_str()), ("origin", "http://evil.example")];
    assert_eq!(site.send(Method::POST, &path, &foreign, "").await.status, 403);
    assert_eq!(site.send(Method::POST, &path, &[], "").await.status, 401);
}

#[tokio::test]
async fn who_tries_many_addresses_has_to_pause() {
    let site = dashboard().await;
    let browser = site.browser().await;
    let image = site.record("r1", EDGE).await;
    let made = link(&browser, &image.filename.to_string(), "{}").await;
    let mut refused = None;
    for n in 0..200 {
        let path = LinkToken::random().unwrap().path(Medium::Jpeg);
        let answer = open(&site, &path).await;
        if answer.status == 429 {
            refused = Some((n, answer));
            break;
        }
        assert_eq!(answer.status, 404);
    }
    let (tries, answer) = refused.unwrap();
    assert!((20..60).contains(&tries), "after {tries}");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(open(&site, made["path"].as_str().unwrap()).await.status, 429, "whatever it is");
    assert_eq!(browser.get("/api/status").await.status, 200, "nothing else has to wait");
}

#[tokio::test]
async fn the_public_address_stands_in_the_link_and_is_answered_under_its_name() {
    let site = start_with(WebAccess::Password, Some(password_hash()), |web| {
        web.links.public_url = Some("https://gate.example.org".parse().unwrap());
        web.links.life = None;
    })
    .await;
    let browser = site.browser().await;
    let image = site.record("r1", EDGE).await;
    let made = link(&browser, &image.filename.to_string(), "").await;
    assert_eq!(made["expires_at"], Value::Null, "LINK_HOURS=never");
    let path = made["path"].as_str().unwrap();
    assert_eq!(made["url"], format!("https://gate.example.org{path}"));
    assert_eq!(site.send(Method::GET, path, &[("host", "gate.example.org")], "").await.status, 200);
    assert_eq!(site.send(Method::GET, path, &[("host", "other.example.org")], "").await.status, 421);
}
