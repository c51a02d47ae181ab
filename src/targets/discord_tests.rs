use super::super::response::Settings;
use super::*;
use crate::model::TargetId;
use proptest::prelude::*;

fn answer(status: u16, body: &str) -> TargetAnswer {
    TargetAnswer {
        status,
        body: body.to_owned(),
        settings: Settings::of(TargetId::DISCORD),
        ..TargetAnswer::default()
    }
}

fn confirmed(body: &str) -> bool {
    confirm(&answer(200, body), "r1_1.jpg", 5000, Some((640, 360))).is_ok()
}

#[test]
fn a_message_counts_only_with_the_picture_in_its_size() {
    assert!(confirmed(r#"{"attachments":[{"filename":"r1_1.jpg","size":5000}],"embeds":[]}"#));
    // What Discord says of a picture that stands in an embed.
    let url = "https://cdn.discordapp.com/attachments/1/2/r1_1.jpg?ex=1";
    assert!(confirmed(&format!(
        r#"{{"attachments":[],"embeds":[{{"image":{{"url":"{url}","width":640,"height":360}}}}]}}"#
    )));
    assert!(confirmed(&format!(r#"{{"attachments":[],"embeds":[{{"image":{{"url":"{url}"}}}}]}}"#)));
    for body in [
        "{}".to_owned(),
        String::new(),
        "<html>".to_owned(),
        r#"{"attachments":[{"filename":"r1_1.jpg","size":4999}]}"#.to_owned(),
        r#"{"attachments":[{"filename":"other.jpg","size":5000}]}"#.to_owned(),
        r#"{"embeds":[{"image":{"url":"attachment://r1_1.jpg"}}]}"#.to_owned(),
        format!(r#"{{"embeds":[{{"image":{{"url":"{url}","width":1,"height":1}}}}]}}"#),
    ] {
        assert!(!confirmed(&body), "{body}");
    }
}

#[test]
fn the_wait_of_a_full_channel_is_read_to_the_millisecond() {
    let said = answer(429, r#"{"message":"You are being rate limited.","retry_after":1.337,"global":false}"#);
    let expected = TargetError::Busy {
        fault: UploadFault::Answered { status: 429, words: "You are being rate limited.".to_owned() },
        retry_after: Some(Duration::from_millis(1337)),
    };
    assert_eq!(judge(&said, UnixMs(0)), Err(expected));
    for nonsense in ["-1", "1e400", "null", "\"x\""] {
        let said = answer(429, &format!("{{\"retry_after\":{nonsense}}}"));
        assert!(
            matches!(judge(&said, UnixMs(0)), Err(TargetError::Busy { retry_after: None, .. })),
            "{nonsense}"
        );
    }
    assert_eq!(exact_wait(r#"{"retry_after": 1e9}"#), Some(RETRY_AFTER_MAX));
}

#[test]
fn a_fault_of_webhook_or_channel_blames_no_picture_and_names_the_setting() {
    let said = |code: u64, more: &str| format!("{{\"message\":\"its words\",\"code\":{code}{more}}}");
    for (status, body, word) in [
        (404, said(10015, ""), "a new webhook"),
        (401, said(50027, ""), "a new webhook"),
        (404, said(10003, ""), "thread_id"),
        (400, said(220_001, ""), "?thread_id=number"),
        (400, said(220_003, ""), "thread_id"),
        (400, said(50083, ""), "thread_id"),
        (403, said(50013, ""), "permissions"),
        (
            400,
            said(50035, r#","errors":{"thread_id":{"_errors":[{"message":"is not snowflake"}]}}"#),
            "thread_id: is not",
        ),
        (400, r#"{"thread_id": ["its words"]}"#.to_owned(), "check thread_id"),
        (400, r#"{"webhook_id": ["its words"]}"#.to_owned(), "a new webhook"),
        (401, said(0, ""), "DISCORD_WEBHOOK_URL"),
        (407, String::new(), "DISCORD_WEBHOOK_URL"),
    ] {
        let Err(TargetError::Misconfigured { fault }) = judge(&answer(status, &body), UnixMs(0)) else {
            panic!("{status} {body}");
        };
        let message = fault.to_string();
        assert!(message.contains(word) && message.contains("DISCORD_WEBHOOK_URL"), "{message}");
        assert!(body.is_empty() || message.contains("its words"), "{message}");
    }
}

#[test]
fn what_may_be_of_one_picture_alone_does_not_speak_for_the_channel() {
    for (status, body) in
        [(403, "error code: 1010"), (404, ""), (405, ""), (409, "{}"), (403, r#"{"code":240000}"#)]
    {
        let judged = judge(&answer(status, body), UnixMs(0));
        assert!(matches!(judged, Err(TargetError::Doubtful { .. })), "{status} {body}: {judged:?}");
    }
    let field = r#"{"message":"Invalid Form Body","code":50035,
        "errors":{"embeds":{"0":{"title":{"_errors":[{"message":"Must be 256 or fewer in length."}]}}}}}"#;
    let Err(TargetError::Rejected { fault, is_final: false }) = judge(&answer(400, field), UnixMs(0)) else {
        panic!("not of this picture");
    };
    let message = fault.to_string();
    assert!(message.contains("Invalid Form Body (embeds: 0: title: Must be 256"), "{message}");
    let without = confirm(&answer(200, r#"{"id":"1","attachments":[]}"#), "r1_1.jpg", 9, None);
    assert!(matches!(without, Err(TargetError::Doubtful { .. })), "{without:?}");
}

#[test]
fn a_file_is_too_large_by_its_status_or_by_discords_codes() {
    for (status, body, expected) in [
        (413, "", true),
        (413, r#"{"code":40005}"#, true),
        (400, r#"{"code":40005}"#, true),
        (400, r#"{"code":50045}"#, true),
        (400, r#"{"code":50035}"#, false),
        (200, r#"{"code":50045}"#, false),
        (400, "50045", false),
    ] {
        assert_eq!(is_too_large(&answer(status, body)), expected, "{status} {body}");
    }
}

#[test]
fn a_spent_allowance_is_waited_for_and_a_remaining_one_is_not() {
    let reply = |remaining: &str, after: &str| {
        let mut headers = HeaderMap::new();
        put(&mut headers, "x-ratelimit-remaining", remaining).unwrap();
        put(&mut headers, "x-ratelimit-reset-after", after).unwrap();
        Reply { answer: answer(200, "{}"), headers, is_cut: false, early: None }
    };
    let wait = |remaining, after| announced_wait(&reply(remaining, after), UnixMs(0));
    assert_eq!(wait("0", "1.5"), Some(Duration::from_millis(1500)));
    assert_eq!(wait("1", "1.5"), None);
    assert_eq!(wait("0", "NaN"), None);
    assert_eq!(wait("0", "-3"), None);
}

proptest! {
    #[test]
    fn no_answer_panics(status: u16, body in ".{0,200}") {
        let _ = judge(&answer(status, &body), UnixMs(0));
        prop_assert!(!confirmed(&body));
    }
}
