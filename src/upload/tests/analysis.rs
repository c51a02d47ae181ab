//! The rules of the lane of analyses; the lane itself meets a strict server in `tests/it/targets/analysis.rs`.

use proptest::prelude::*;

use super::*;
use crate::config::{Config, Env};

/// 2027-01-15T08:00:00Z.
const NOW: UnixMs = UnixMs(1_800_000_000_000);

fn config(pairs: &[(&str, &str)]) -> AnalysisConfig {
    let pairs = pairs.iter().copied().chain([("ANALYSE_URL", "http://localhost:9/")]);
    Config::parse(&Env::from_pairs(pairs)).unwrap().0.analysis.unwrap()
}

#[test]
fn no_question_is_asked_beyond_a_limit_until_the_next_day_or_month() {
    let until = |limits: &[(&str, &str)], day, month| {
        spent_until(&config(limits), Spending { day, month }, NOW).map(UnixMs::rfc3339)
    };
    assert_eq!(until(&[], 9_999_999, 9_999_999), None);
    let (daily, monthly) = (("ANALYSE_PER_DAY", "5"), ("ANALYSE_PER_MONTH", "20"));
    assert_eq!(until(&[daily], 4, 4), None);
    assert!(until(&[daily], 5, 5).unwrap().starts_with("2027-01-16T00:00:00"));
    assert!(until(&[monthly], 0, 20).unwrap().starts_with("2027-02-01T00:00:00"));
    assert!(until(&[daily, monthly], 5, 20).unwrap().starts_with("2027-02-01"), "the longer one counts");
}

proptest! {
    #[test]
    fn the_next_month_begins_on_a_first_within_31_days(ms in 0..4_000_000_000_000_i64) {
        let next = next_month(UnixMs(ms));
        prop_assert!(next.0 > ms && next.0 - ms <= 31 * DAY_MS, "{}", next.rfc3339());
        prop_assert!(next.rfc3339().contains("-01T00:00:00"), "{}", next.rfc3339());
    }
}

#[test]
fn of_what_the_network_or_a_token_did_no_picture_is_put_aside() {
    let fault = UploadFault::AnswerCut;
    let retry = Settlement::Retry { not_before: NOW, error: fault.clone() };
    let dead = Settlement::Dead { error: fault.clone() };
    assert_eq!(limited(retry.clone(), 9, Some(10)), dead, "the tenth try");
    assert_eq!(limited(retry.clone(), 8, Some(10)), retry);
    assert_eq!(limited(retry.clone(), 99, None), retry);
    for (error, counts) in [
        (TargetError::Unreachable { fault: fault.clone() }, false),
        (TargetError::Misconfigured { fault: fault.clone() }, false),
        (TargetError::Busy { fault: fault.clone(), retry_after: Some(Duration::ZERO) }, false),
        (TargetError::Busy { fault: fault.clone(), retry_after: None }, true),
        (TargetError::Broken { fault: fault.clone() }, true),
        (TargetError::Rejected { fault: fault.clone(), is_final: false }, true),
    ] {
        assert_eq!(is_about_the_picture(&error), counts, "{error:?}");
    }
}

#[test]
fn a_question_that_never_reached_the_server_costs_nothing() {
    let fault = UploadFault::AnswerCut;
    assert!(!is_spent(&Err(TargetError::Unreachable { fault: fault.clone() })));
    assert!(is_spent(&Err(TargetError::Broken { fault })), "it may have been counted there");
    assert!(is_spent(&Ok(AnalysisAnswer { texts: Vec::new(), raw: String::new() })));
}

#[test]
fn a_low_score_or_none_wants_a_person_and_the_watch_list_is_looked_through() {
    let config = config(&[("ANALYSE_MIN_SCORE", "0.7"), ("ANALYSE_WATCH", "AB12CD, A812CD")]);
    let read = |text: &str, score| TextRead { text: text.to_owned(), score, place: None };
    let texts = vec![read("ab12cd", Some(0.7)), read("4B12CD", Some(0.69)), read("XY1", None)];
    let judged: Vec<_> =
        judged(&config, texts).into_iter().map(|it| (it.is_unsure, it.watched.unwrap_or_default())).collect();
    let expected =
        [(false, "AB12CD"), (true, "AB12CD"), (true, "")].map(|(unsure, text)| (unsure, text.to_owned()));
    assert_eq!(judged, expected);
    assert_eq!(watched(&config.watch, "A812CD").as_deref(), Some("A812CD"), "itself before a misread");
}
