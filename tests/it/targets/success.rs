//! `UPLOAD_SUCCESS`: what counts as a delivery where a server says it in a way of its own.

use super::server::{Act, Server, answer, answer_text};
use super::{Rig, SECRET, TargetError, kind};

/// What one attempt on a picture of `bytes` leads to when the server does this and `rule` says what counts.
async fn outcome(rule: &str, act: Act, bytes: usize) -> Result<(), TargetError> {
    let server = Server::start(move |_, _| act.clone()).await;
    let url = server.url().replace("site=7", SECRET);
    let rig = Rig::with(&[("S3_API_URL", &url), ("UPLOAD_SUCCESS", rule)]);
    rig.take(0, vec![7; bytes]).await;
    rig.target().deliver(&rig.claim().await).await
}

#[tokio::test]
async fn the_rule_of_the_operator_decides_in_place_of_the_body() {
    let gzip = |text: &str| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
        Act::SayBytes(packed.finish().unwrap())
    };
    for (rule, act, expected) in [
        ("status", answer(200, "", "ERROR: never mind"), "delivered"),
        ("status:200,302", answer(302, "location: /thanks\r\n", ""), "delivered"),
        ("status:200,202", answer(204, "", ""), "doubtful"),
        ("json: result.ok = true", gzip("{\"success\":false,\"result\":{\"ok\":true}}"), "delivered"),
        ("json:result.ok=true", answer(200, "", "{\"success\":true,\"result\":{\"ok\":false}}"), "doubtful"),
        ("json:result.ok=true", answer(503, "", "{\"result\":{\"ok\":true}}"), "busy"),
        ("text:^OK", answer(200, "content-type: text/html\r\n", " OK\r\n"), "delivered"),
        ("text:^OK", answer(200, "", "queued"), "doubtful"),
        ("text:^OK", answer(200, "", "<html>OK? log in"), "misconfigured"),
        ("text:^OK", answer(413, "", "OK"), "rejected"),
    ] {
        let result = outcome(rule, act, 100).await;
        assert_eq!(kind(&result), expected, "{rule}: {result:?}");
    }
}

#[tokio::test]
async fn the_words_of_a_no_by_the_rule_have_no_secret() {
    let body = format!("{{\"ok\":\"{SECRET}\",\"seen\":\"{SECRET}\",\"why\":\"no plate\"}}");
    let said = outcome("json:ok=true", answer(200, "", &body), 100).await.unwrap_err().to_string();
    for words in ["answered 200", "UPLOAD_SUCCESS=json:ok=true", "no plate"] {
        assert!(said.contains(words), "{said}");
    }
    assert!(!said.contains(SECRET), "{said}");
}

#[tokio::test]
async fn an_answer_before_the_picture_is_no_success_by_any_rule() {
    for (rule, status, body) in [
        ("status", 200, "<html>thanks"),
        ("status", 200, ""),
        ("status:302", 302, ""),
        ("status:403", 403, ""),
        ("text:^OK", 200, "OK"),
    ] {
        let result = outcome(rule, Act::SayEarly(answer_text(status, "", body)), 8_000_000).await;
        assert!(matches!(kind(&result), "rejected" | "broken"), "{rule} {status}: {result:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer_unless_it_said_yes() {
    let cut = |begin: &str| Act::Say(format!("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{begin}"));
    for (rule, begin, expected) in [
        ("json:ok=true", "{\"ok\":tr", "broken"),
        ("json:ok=true", "{\"ok\":true}\n", "delivered"),
        ("text:stored", "the picture was st", "broken"),
        ("text:^OK", "OK, the", "delivered"),
        ("status", "", "delivered"),
        ("status:201", "", "broken"),
    ] {
        let result = outcome(rule, cut(begin), 100).await;
        assert_eq!(kind(&result), expected, "{rule} {begin}: {result:?}");
    }
}
