//! Servers that repeat what they were sent, in whatever it is written: no word of theirs has a secret.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use camera_capture::model::Coded as _;
use serde_json::Value;

use super::*;

/// Stands as user, password, key and token; long enough to be found in pieces.
const CANARY: &str = "CanaryHeader-42/x";

/// How a server may write a text.
const WAYS: [fn(&str) -> String; 12] = [
    |text| text.to_owned(),
    |text| text.to_uppercase(),
    |text| text.to_lowercase(),
    |text| text.bytes().map(|byte| format!("%{byte:02x}")).collect(),
    |text| text.bytes().map(|byte| format!("\\u{byte:04X}")).collect(),
    |text| text.bytes().map(|byte| format!("&#{byte};")).collect(),
    |text| text.bytes().map(|byte| format!("={byte:02X}")).collect(),
    |text| text.bytes().map(|byte| format!("{byte:02x}")).collect(),
    |text| STANDARD.encode(text),
    |text| STANDARD_NO_PAD.encode(format!("x{text}")),
    |text| text.chars().map(|c| format!("{c}\u{1b}\u{200b}")).collect(),
    |text| format!("{}{text}", "x".repeat(184)),
];

/// What nobody may read in an answer of a server that was told `secrets`.
fn assert_silent(shown: &str, secrets: &[String], what: &str) {
    let shown = shown.to_lowercase();
    for secret in secrets {
        for way in WAYS {
            let written: Vec<char> = way(secret).to_lowercase().chars().filter(|c| !c.is_control()).collect();
            for window in written.windows(7).map(|window| window.iter().collect::<String>()) {
                // What a way puts around a secret is none.
                let is_own = window.chars().all(|c| "x%\\u00&#;=\u{200b}".contains(c));
                assert!(is_own || !shown.contains(&window), "{what}: {window:?} in {shown:?}");
            }
        }
    }
}

/// The texts with which a server repeats a request.
fn echoes(request: &server::Request, secrets: &[String]) -> Vec<String> {
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let mut echoes = vec![
        headers.join("\r\n"),
        format!("{}\r\n{}", request.line, headers.join("\r\n")),
        headers.iter().filter(|header| header.starts_with("authorization")).cloned().collect(),
    ];
    for secret in secrets {
        echoes.extend(WAYS.iter().map(|way| way(secret)));
    }
    echoes
}

async fn check(pairs: impl Fn(&str) -> Vec<(&'static str, String)>, secrets: &[&str]) {
    let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    let count = 3 + secrets.len() * WAYS.len();
    for status in [413, 400, 401, 503, 200, 302] {
        let told = secrets.clone();
        let server = Server::start(move |index, request| {
            let text = echoes(request, &told)[index % count].clone();
            let location: String = text.chars().filter(|c| !c.is_control() && c.is_ascii()).collect();
            answer(status, &format!("Location: http://x.example/{location}\r\n"), &text)
        })
        .await;
        let pairs = pairs(&server.addr.to_string());
        let rig = Rig::with(&pairs.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>());
        rig.take(0, vec![7; 100]).await;
        let (target, due) = (rig.target(), rig.claim().await);
        for _ in 0..count {
            if let Err(error) = target.deliver(&due).await {
                assert_silent(&error.to_string(), &secrets, &format!("{status}"));
                let params = Value::Object(error.fault().params()).to_string();
                assert_silent(&params, &secrets, &format!("parameters of {status}"));
            }
        }
    }
}

#[tokio::test]
async fn no_word_of_an_api_repeats_what_it_was_told() {
    let login = format!("keeper:{CANARY}");
    let pairs = |addr: &str| {
        vec![
            ("S3_API_URL", format!("http://keeper:CanaryHeader-42%2Fx@{addr}/upload?key=CanaryQuery-77")),
            ("UPLOAD_HEADERS", "X-Token: Bearer CanaryToken-13".to_owned()),
        ]
    };
    check(pairs, &[CANARY, &login, "CanaryQuery-77", "CanaryToken-13"]).await;
}

#[tokio::test]
async fn no_word_of_a_relay_repeats_what_it_was_told() {
    let pairs = |addr: &str| vec![("RELAY_URL", format!("http://keeper:CanaryHeader-42%2Fx@{addr}/upload"))];
    check(pairs, &[CANARY]).await;
}

#[tokio::test]
async fn no_word_of_a_channel_repeats_its_address() {
    let pairs = |addr: &str| {
        vec![("DISCORD_WEBHOOK_URL", format!("http://{addr}/api/webhooks/123456789012/CanaryHook-99"))]
    };
    check(pairs, &["CanaryHook-99"]).await;
}

#[tokio::test]
async fn no_word_of_a_store_repeats_a_key_or_a_signature() {
    let pairs = |addr: &str| {
        vec![
            ("S3_ENDPOINT", format!("http://{addr}")),
            ("S3_BUCKET", "pictures".to_owned()),
            ("S3_ACCESS_KEY_ID", "CanaryKey-5".to_owned()),
            ("S3_SECRET_ACCESS_KEY", CANARY.to_owned()),
        ]
    };
    check(pairs, &[CANARY, "CanaryKey-5"]).await;
    let server = Server::start(|_, request| answer(403, "", &request.line)).await;
    let pairs = pairs(&server.addr.to_string());
    let rig = Rig::with(&pairs.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>());
    rig.take(0, vec![7; 100]).await;
    let error = rig.target().deliver(&rig.claim().await).await.unwrap_err().to_string();
    let line = &server.seen()[0].line;
    let (_, signature) = line.split_once("X-Amz-Signature=").unwrap();
    assert!(!error.contains(&signature[..16]), "{error}");
}
