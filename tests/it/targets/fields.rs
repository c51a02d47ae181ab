//! `UPLOAD_FIELDS`: form fields of the operator, beside the picture and its facts.

use std::collections::BTreeSet;

use camera_capture::config::FACTS;

use super::server::{Request, Server, answer};
use super::{Rig, kind};

/// Names and values of the fields before the picture, in their order.
fn fields(request: &Request) -> Vec<(String, String)> {
    let boundary =
        request.header("content-type").unwrap().strip_prefix("multipart/form-data; boundary=").unwrap();
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let begin = format!("--{boundary}\r\n");
    let parts = body.split(&begin).skip(1);
    let field = |part: &str| {
        let (head, value) = part.split_once("\r\n\r\n").unwrap();
        let name =
            head.strip_prefix("Content-Disposition: form-data; name=\"").unwrap().split('"').next().unwrap();
        (!head.contains("filename="))
            .then(|| (name.to_owned(), value.strip_suffix("\r\n").unwrap().to_owned()))
    };
    parts.filter_map(field).collect()
}

/// The fields of one picture of camera r1, sent with these settings.
async fn sent(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let server = Server::start(|_, _| answer(200, "", "ok")).await;
    let url = server.url();
    let pairs: Vec<_> = [("S3_API_URL", url.as_str()), ("CAMERA_1_IP", "10.0.0.1"), ("SITE_NAME", "Süd 7")]
        .into_iter()
        .chain(settings.iter().copied())
        .collect();
    let rig = Rig::with(&pairs);
    rig.take(0, b"x".to_vec()).await;
    rig.target().deliver(&rig.claim().await).await.unwrap();
    let request = server.seen().remove(0);
    fields(&request)
}

#[tokio::test]
async fn the_operators_fields_go_before_the_picture_with_what_is_known_of_it() {
    let text = "camera_id={camera}; regions=de; regions=at; note=\"{label}; {site}\"; at={taken_at}; name={filename}; \
                json={{\"from\":\"{edge_at}\"}}";
    let expected = [
        ("camera_id", "r1"),
        ("regions", "de"),
        ("regions", "at"),
        ("note", "Entry; Süd 7"),
        ("at", "2027-01-15T08:00:00.000Z"),
        ("name", "r1_1800000000.jpg"),
        ("json", "{\"from\":\"2027-01-15T08:00:00.000Z\"}"),
    ];
    let expected: Vec<_> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    assert_eq!(sent(&[("UPLOAD_FIELDS", text)]).await, expected);
}

#[tokio::test]
async fn the_facts_are_those_that_no_field_may_be_called_and_go_first() {
    let both = sent(&[("UPLOAD_FIELDS", "gate=7"), ("UPLOAD_METADATA", "true")]).await;
    let names: Vec<_> = both.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.last(), Some(&"gate"));
    let facts: BTreeSet<_> = names[..names.len() - 1].iter().copied().collect();
    // Nothing was read in it.
    let known = FACTS.into_iter().filter(|name| !name.starts_with("read_"));
    assert_eq!(facts, known.collect());
    assert_eq!(sent(&[]).await, []);
}

#[tokio::test]
async fn a_key_in_a_field_stands_in_none_of_the_servers_words() {
    let server =
        Server::start(|_, _| answer(200, "", "{\"success\":false,\"message\":\"bad key Canary-4242\"}"))
            .await;
    let rig = Rig::with(&[("S3_API_URL", &server.url()), ("UPLOAD_FIELDS", "key=Canary-4242; gate=7")]);
    rig.take(0, b"x".to_vec()).await;
    let result = rig.target().deliver(&rig.claim().await).await;
    assert_eq!(kind(&result), "rejected");
    let said = result.unwrap_err().to_string();
    assert!(said.contains("bad key") && !said.contains("Canary"), "{said}");
    assert_eq!(fields(&server.seen()[0])[0], ("key".to_owned(), "Canary-4242".to_owned()));
}
