//! Tests of [`super`].

use proptest::prelude::*;

use super::*;
use crate::config::{Config, Env, TargetSettings};

fn rule(text: &str) -> Success {
    let pairs = [("S3_API_URL", "https://api.example/up"), ("UPLOAD_SUCCESS", text)];
    let (config, _) = Config::parse(&Env::from_pairs(pairs)).unwrap();
    match &config.upload.targets[0].settings {
        TargetSettings::Api(api) => api.success.clone().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn judged(text: &str, status: u16, body: &str) -> Result<(), TargetError> {
    judge(&rule(text), &TargetAnswer { status, body: body.to_owned(), ..TargetAnswer::default() }, UnixMs(0))
}

fn doubt(text: &str, status: u16, body: &str) -> String {
    match judged(text, status, body) {
        Err(TargetError::Doubtful { fault }) => fault.to_string(),
        other => panic!("{text} {status} {body}: {other:?}"),
    }
}

#[test]
fn an_honest_success_that_reads_like_a_no_is_a_delivery() {
    for (text, status, body) in [
        ("status", 200, "ERROR: none of your business"),
        ("status", 204, ""),
        ("status", 200, "<html>Thank you</html>"),
        ("2xx", 202, "{\"success\":false}"),
        ("status:200,302", 302, ""),
        ("status:500", 500, "saved"),
        ("json:error=0", 200, "{\"error\":0,\"status\":\"failed over\"}"),
        ("json:Error=\"none\"", 200, "{\"error\":\"none\",\"success\":false}"),
        ("json:result.ok=true", 200, "{\"result\":{\"ok\":true},\"errors\":[\"slow\"]}"),
        ("json:result.ok=true", 200, "\u{feff} {\"Result\":{\"OK\":\"True\"}}"),
        ("json:files[0].state=stored", 201, "{\"files\":[{\"state\":\"stored\"}]}"),
        ("json:files.0.state=stored", 201, "{\"files\":[{\"state\":\"stored\"}]}"),
        ("json:[1]=1", 200, "[0,1.0]"),
        ("json:code=0", 200, "<b>Warning</b>: slow disk in x.php {\"code\":\"0\"}"),
        ("json:data=null", 200, "{\"data\":null}"),
        ("text:^OK", 200, "  OK 17\r\n"),
        ("text:^0$", 200, "0\n"),
        ("text:^$", 200, ""),
        ("text:(?i)upload complete", 200, "<html><p>Upload complete</html>"),
        ("text:^0 errors$", 200, "\u{feff}0 errors"),
    ] {
        assert_eq!(judged(text, status, body), Ok(()), "{text} {status} {body}");
    }
}

#[test]
fn a_no_that_reads_like_a_yes_is_none_and_the_rule_stands_with_the_servers_words() {
    let said = doubt(
        "json: result.ok = true",
        200,
        "{\"success\":true,\"result\":{\"ok\":false,\"why\":\"no plate\"}}",
    );
    for words in ["answered 200", "UPLOAD_SUCCESS=json: result.ok = true", "result.ok is false", "no plate"] {
        assert!(said.contains(words), "{words} not in {said}");
    }
    for (text, status, body, words) in [
        ("json:ok=true", 200, "{\"okay\":true}", "there is no ok"),
        ("json:ok=true", 200, "{\"ok\":\"yes\"}", "ok is \"yes\""),
        ("json:ok=true", 200, "{\"ok\":{\"ok\":true}}", "ok is {"),
        ("json:ok=\"true\"", 200, "{\"ok\":true}", "ok is true"),
        ("json:ok=1", 200, "{\"ok\":true}", "ok is true"),
        ("json:ok=true", 200, "ok", "it is no JSON"),
        ("json:ok=true", 204, "", "it said nothing"),
        ("json:[0]=1", 200, "{\"0\":1}", "there is no [0]"),
        ("text:^OK", 200, "queued, not stored", "it said queued, not stored"),
        ("text:^OK$", 200, "OK but not yours", "UPLOAD_SUCCESS=text:^OK$"),
        ("status:201", 200, "already on its way", "already on its way"),
        ("200,202", 204, "", "UPLOAD_SUCCESS=200,202"),
    ] {
        let said = doubt(text, status, body);
        assert!(said.contains(words), "{words} not in {said}");
    }
}

#[test]
fn all_refusals_by_one_rule_read_as_one_kind_whatever_the_server_says() {
    let begin = |body: &str| doubt("text:^OK", 200, body).split(':').next().unwrap().to_owned();
    assert_eq!(begin("no: 1"), begin("another: 2"));
}

#[test]
fn a_status_that_no_rule_names_means_what_it_always_means() {
    for text in ["status", "status:200,302", "json:ok=true", "text:^OK"] {
        let kind = |status: u16, body: &str| format!("{:?}", judged(text, status, body).unwrap_err());
        for (status, expected) in [
            (400, "Rejected"),
            (401, "Misconfigured"),
            (301, "Misconfigured"),
            (403, "Doubtful"),
            (503, "Busy"),
        ] {
            assert!(kind(status, "OK {\"ok\":true}").starts_with(expected), "{text} {status}");
        }
        assert_eq!(judged(text, 409, "file already exists"), Ok(()));
    }
    assert!(matches!(judged("status:201", 302, ""), Err(TargetError::Misconfigured { .. })));
}

#[test]
fn a_web_page_that_is_not_what_is_wanted_is_the_fault_of_no_picture() {
    for text in ["json:ok=true", "text:^OK", "status:201"] {
        let page = "<!DOCTYPE html><script>x = {\"n\":1}</script>Sign in to Wi-Fi";
        match judged(text, 200, page) {
            Err(TargetError::Misconfigured { fault }) => {
                let message = fault.to_string();
                assert!(message.contains("captive portal") && message.contains(text), "{message}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn any_answer_is_judged_by_any_rule_without_panic_and_in_clean_words(
        status: u16, body in ".{0,300}", wanted in "[a-z0-9]{1,5}", path in "[a-z]{1,3}(\\.[a-z]{1,3}|\\[[0-9]\\]){0,3}",
    ) {
        let answer = TargetAnswer { status, body, ..TargetAnswer::default() };
        for text in [format!("json:{path}={wanted}"), format!("text:{wanted}"), "status:200-202".to_owned()] {
            if let Err(error) = judge(&rule(&text), &answer, UnixMs(1)) {
                prop_assert!(error.to_string().chars().all(|c| !c.is_control()));
            }
        }
    }

    #[test]
    fn a_value_is_found_where_its_path_leads_and_another_is_none(
        names in prop::collection::vec("[a-z]{1,4}", 1..5), value in "[a-z0-9]{1,6}", other in "[a-z0-9]{1,6}",
    ) {
        let text = format!("json:{}={value}", names.join("."));
        let body = |leaf: &str| names.iter().rev().fold(serde_json::json!(leaf), |inner, name| {
            serde_json::json!({ name.as_str(): inner })
        });
        prop_assert_eq!(judged(&text, 200, &body(&value).to_string()), Ok(()));
        // "1" and "01" are the same only as numbers, and these are texts.
        let is_same = other == value;
        prop_assert_eq!(judged(&text, 200, &body(&other).to_string()).is_ok(), is_same);
    }
}
