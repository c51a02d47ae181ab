use super::*;
use proptest::prelude::*;

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, body: body.to_owned(), settings: Settings::DISCORD, ..Answer::default() }
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
        message: "answered 429: You are being rate limited.".to_owned(),
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
    assert_eq!(exact_wait(Some(&json!({"retry_after": 1e9}))), Some(RETRY_AFTER_MAX));
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
