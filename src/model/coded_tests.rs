use std::collections::BTreeSet;
use std::fmt::Debug;

use proptest::prelude::*;

use super::*;
use crate::model::{AlarmText, CameraFault, NoPicture, RoomText, UploadFault};

/// Every reason of a kind keeps what it is over the columns of a database.
fn is_kept<T: Coded + Samples + PartialEq + Debug>(text: &str, number: u64) {
    for reason in T::samples(text, number) {
        let params = Value::Object(reason.params()).to_string();
        let back = T::of(reason.code(), Some(&params), "other words");
        assert_eq!(back, reason);
        assert_eq!(back.to_string(), reason.to_string());
        let (code, names) = T::CODES.iter().find(|(code, _)| Some(*code) == reason.code()).unwrap();
        let known: BTreeSet<&str> = names.iter().copied().collect();
        let written = reason.params();
        assert_eq!(written.keys().map(String::as_str).collect::<BTreeSet<_>>(), known, "{code}");
    }
}

/// Every code has a sentence, and is in snake_case and there once.
fn is_said<T: Coded + Samples>() {
    let samples = T::samples("words of others", 7);
    assert_eq!(samples.len(), T::CODES.len());
    for (reason, (code, _)) in samples.iter().zip(T::CODES) {
        assert_eq!(reason.code(), Some(*code));
        assert!(reason.to_string().len() > 10, "{code}: {reason}");
        assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{code}");
    }
    let codes: BTreeSet<_> = T::CODES.iter().map(|(code, _)| code).collect();
    assert_eq!(codes.len(), T::CODES.len(), "a code means one thing");
}

#[test]
fn every_code_has_a_sentence() {
    is_said::<NoPicture>();
    is_said::<UploadFault>();
    is_said::<CameraFault>();
    is_said::<AlarmText>();
    is_said::<RoomText>();
}

#[test]
fn what_has_no_code_or_one_of_a_later_version_keeps_its_words() {
    let words = NoPicture::Words("the camera was away".to_owned());
    for (code, params) in [
        (None, None),
        (Some("of_later"), Some("{}")),
        (Some("busy"), Some("{}")),
        (Some("busy"), Some("[")),
        (Some("busy"), None),
    ] {
        assert_eq!(NoPicture::of(code, params, "the camera was away"), words, "{code:?}");
        let fault = UploadFault::of(code, params, "the server was away");
        assert_eq!((fault.code(), fault.to_string()), (None, "the server was away".to_owned()));
    }
    assert_eq!((words.code(), words.params()), (None, Map::new()));
}

#[test]
fn a_reason_among_the_parameters_of_another_says_what_it_is() {
    let cause = UploadFault::Answered { status: 400, words: "no plate".to_owned() };
    let fault = UploadFault::AllRefused { cause: Because::new(cause) };
    let params = Value::Object(fault.params());
    assert_eq!(
        params,
        serde_json::json!({"cause": {
            "code": "answered", "params": {"status": 400, "words": "no plate"}, "text": "answered 400: no plate",
        }})
    );
    let later = params.to_string().replace("\"answered\"", "\"of_later\"");
    assert_eq!(
        UploadFault::of(fault.code(), Some(&later), "").to_string(),
        fault.to_string(),
        "one of a later version keeps its words there, too"
    );
}

#[test]
fn a_fault_that_another_transport_may_mend_names_it() {
    for fault in CameraFault::samples("x", 7) {
        assert_eq!(fault.is_about_transport(), fault.to_string().contains("CAMERA_7_TRANSPORT"), "{fault}");
    }
}

#[test]
fn a_picture_that_was_too_old_says_by_how_much() {
    assert_eq!(
        NoPicture::FrameTooOld { age_ms: 2_340 }.to_string(),
        "the newest picture of the camera was 2.3 s older than the instant asked for"
    );
}

proptest! {
    #[test]
    fn whatever_stands_in_the_parameters_a_reason_is_the_same_after_it_was_kept(text in "\\PC{0,60}", number in 0..1_u64 << 62) {
        is_kept::<NoPicture>(&text, number);
        is_kept::<UploadFault>(&text, number);
        is_kept::<CameraFault>(&text, number);
        is_kept::<AlarmText>(&text, number);
        is_kept::<RoomText>(&text, number);
    }

    #[test]
    fn a_word_that_is_changed_is_changed_in_every_parameter(number in 0..1_u64 << 62) {
        for fault in UploadFault::samples("a hunter2 b", number) {
            let clean = fault.clone().with_words(|text| text.replace("hunter2", "•••"));
            prop_assert!(!Value::Object(clean.params()).to_string().contains("hunter2"), "{:?}", clean);
            prop_assert!(!clean.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn nothing_that_was_kept_panics(code in "[a-z_]{0,20}", params in "\\PC{0,80}", words in "\\PC{0,40}") {
        let known = UploadFault::CODES.iter().map(|(code, _)| *code).chain([code.as_str()]);
        for code in known {
            let _ = UploadFault::of(Some(code), Some(&params), &words).to_string();
        }
    }
}

/// Codes with their parameters, as a part of the page has them.
fn listed(heading: &str) -> Vec<(String, Vec<String>)> {
    let page = include_str!("../../docs/codes.md");
    let part = page.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no {heading}"));
    let part = part.split("\n## ").next().unwrap();
    let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = part.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        (words(cells[0]).remove(0), words(cells[1]))
    })
    .collect()
}

fn is_listed<T: Coded>(heading: &str) {
    let known: Vec<(String, Vec<String>)> = T::CODES
        .iter()
        .map(|(code, params)| ((*code).to_owned(), params.iter().map(|param| (*param).to_owned()).collect()))
        .collect();
    assert_eq!(listed(heading), known);
    let parameters: BTreeSet<String> = include_str!("../../docs/codes.md")
        .lines()
        .skip_while(|line| *line != "## Parameters")
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|row| {
            let cell = format!("`{}", row.split(" | ").next().unwrap_or_default());
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    for (code, params) in T::CODES {
        for param in *params {
            assert!(parameters.contains(*param), "docs/codes.md does not say what {param} of {code} is");
        }
    }
}

#[test]
fn the_manual_lists_every_code_with_its_parameters() {
    is_listed::<NoPicture>("Why a trigger has no picture");
    is_listed::<UploadFault>("Why a picture was not delivered");
    is_listed::<CameraFault>("Why a camera gives no pictures");
    is_listed::<AlarmText>("What an alarm says");
    is_listed::<RoomText>("How the disk stands");
}
