//! The laws of blame: an outage or a misconfiguration puts nothing aside, and a bad picture holds nothing up.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::policy::{Decision, Health, Situation, Tried};
use crate::model::{UnixMs, UploadFault};
use crate::store::Settlement;
use crate::targets::TargetError;
use std::time::Duration;

const CAP: Duration = Duration::from_secs(60);

/// The first pause.
const PAUSE: Duration = Duration::from_secs(1);

fn at(now: i64) -> Situation {
    Situation { now: UnixMs(now), retry_interval: CAP, random: 1.0, is_paused: false }
}

fn tried(row: i64) -> Tried {
    Tried { row, attempts: 0, refusals: 0 }
}

fn text() -> UploadFault {
    "why".into()
}

fn refused(status: u16) -> Result<(), TargetError> {
    let fault = format!("answered {status}: words").into();
    match status {
        403 => Err(TargetError::Doubtful { fault }),
        _ => Err(TargetError::Rejected { fault, is_final: status != 400 }),
    }
}

#[test]
fn refusals_of_one_code_and_status_are_one_way_whatever_the_server_says() {
    let said = |row: i64, status: u16| {
        let words =
            ["no plate in r1.jpg", "", "kein Kennzeichen", "no: plate", "why"][row as usize % 5].to_owned();
        Err(TargetError::Rejected { fault: UploadFault::Answered { status, words }, is_final: true })
    };
    let (health, _) = row_of(5, |row| said(row, 422));
    assert!(health.is_refusing(), "one way");
    let (health, _) = row_of(5, |row| said(row, if row == 3 { 413 } else { 422 }));
    assert!(!health.is_refusing(), "another status is another way");
}

#[test]
fn an_outage_of_any_length_never_puts_an_image_aside() {
    let mut health = Health::default();
    for attempts in [0, 1, 10, 1_000, u32::MAX] {
        for error in [
            TargetError::Unreachable { fault: text() },
            TargetError::Broken { fault: text() },
            TargetError::Busy { fault: text(), retry_after: None },
            TargetError::Misconfigured { fault: text() },
        ] {
            let decision = health.judge(Tried { attempts, ..tried(1) }, Err(error), at(0));
            assert!(matches!(decision.settlement, Settlement::Retry { .. }));
            assert!(decision.pause.is_some_and(|pause| pause <= CAP));
        }
    }
    assert!(health.is_failing());
}

#[test]
fn an_image_that_is_too_large_or_wrong_is_put_aside_at_once_and_the_next_one_follows() {
    for status in [413, 415, 422] {
        let mut health = Health::default();
        let decision = health.judge(tried(1), refused(status), at(0));
        assert_eq!(
            decision.settlement,
            Settlement::Dead { error: format!("answered {status}: words").into() }
        );
        assert_eq!((decision.pause, health.is_failing()), (None, false));
    }
}

#[test]
fn an_image_that_is_not_understood_has_three_tries_with_growing_waits() {
    let mut health = Health::default();
    let mut waits = Vec::new();
    for refusals in 0..2 {
        let decision = health.judge(Tried { refusals, ..tried(1) }, refused(400), at(0));
        assert_eq!(decision.pause, None);
        let Settlement::Refused { not_before, .. } = decision.settlement else { panic!("{decision:?}") };
        waits.push(not_before.0);
    }
    assert_eq!(waits, [5_000, 10_000]);
    let decision = health.judge(Tried { refusals: 2, ..tried(1) }, refused(400), at(0));
    assert!(matches!(decision.settlement, Settlement::Dead { .. }), "{decision:?}");
}

#[test]
fn an_image_refused_in_doubt_holds_others_up_for_moments_and_is_put_aside_only_when_they_were_taken() {
    let mut health = Health::default();
    for refusals in 0..10 {
        let decision = health.judge(Tried { refusals, ..tried(1) }, refused(403), at(0));
        assert!(matches!(decision.settlement, Settlement::Refused { .. }), "{decision:?}");
        assert!(health.is_failing(), "it may be the target");
        assert_eq!(decision.pause, (refusals == 0).then_some(PAUSE), "the second time tells nothing new");
    }
    health.judge(tried(2), Ok(()), at(0));
    assert!(!health.is_failing());
    let decision = health.judge(Tried { refusals: 1, ..tried(1) }, refused(403), at(0));
    assert!(matches!(decision.settlement, Settlement::Refused { .. }), "it has three tries");
    assert_eq!((decision.pause, health.is_failing()), (None, false), "it is known whose fault it is");
    let decision = health.judge(Tried { refusals: 2, ..tried(1) }, refused(403), at(0));
    assert!(matches!(decision.settlement, Settlement::Dead { .. }), "{decision:?}");
    // While another one is refused as well, none is put aside.
    let mut health = Health::default();
    health.judge(tried(1), refused(403), at(0));
    health.judge(tried(2), Ok(()), at(0));
    health.judge(tried(3), refused(403), at(0));
    for refusals in 1..9 {
        let decision = health.judge(Tried { refusals, ..tried(1) }, refused(403), at(0));
        assert!(matches!(decision.settlement, Settlement::Refused { .. }), "{decision:?}");
    }
    let mut health = Health::default();
    health.judge(tried(2), Ok(()), at(0));
    // Others of which nothing is known yet: one is an accident, two are none.
    for (row, is_paused) in [(3, false), (4, true)] {
        let decision = health.judge(Tried { refusals: 9, ..tried(row) }, refused(403), at(0));
        assert!(matches!(decision.settlement, Settlement::Refused { .. }), "{decision:?}");
        assert_eq!((decision.pause.is_some(), health.is_failing()), (is_paused, true));
    }
}

/// What the n-th picture of a row leads to.
fn row_of(count: i64, answer: impl Fn(i64) -> Result<(), TargetError>) -> (Health, Vec<Decision>) {
    let mut health = Health::default();
    let decisions = (1..=count).map(|row| health.judge(tried(row), answer(row), at(0))).collect();
    (health, decisions)
}

#[test]
fn five_different_images_refused_alike_excuse_each_other_and_pause_the_target() {
    let (health, decisions) = row_of(5, |_| refused(413));
    for decision in &decisions[..4] {
        assert!(matches!(decision.settlement, Settlement::Dead { .. }), "{decision:?}");
    }
    let last = &decisions[4];
    assert!(matches!(last.settlement, Settlement::Retry { .. }), "{last:?}");
    assert_eq!(last.excused.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(last.pause, Some(Duration::from_secs(15)));
    let words = last.words.as_ref().unwrap().to_string();
    assert!(words.contains("different pictures") && words.ends_with("answered 413: words"), "{words}");
    // Not all at once: between them others get a turn.
    let due: BTreeSet<i64> = last.excused.iter().map(|(_, at)| at.0).collect();
    assert!(due.len() == 4 && due.iter().all(|at| *at > 15_000), "{due:?}");
    assert!(health.is_failing() && health.is_refusing());
}

#[test]
fn a_row_is_broken_by_a_delivery_and_by_another_way_but_not_by_an_outage_or_a_lost_file() {
    let ends = |interlude: Result<(), TargetError>| {
        let (mut health, _) = row_of(4, |_| refused(413));
        health.judge(tried(8), interlude, at(0));
        health.judge(tried(9), refused(413), at(0)).excused.len()
    };
    assert_eq!(ends(Ok(())), 0);
    assert_eq!(ends(refused(422)), 0);
    assert_eq!(ends(Err(TargetError::Unreachable { fault: text() })), 4);
    assert_eq!(ends(Err(TargetError::Busy { fault: text(), retry_after: None })), 4);
    assert_eq!(ends(Err(TargetError::Unreadable { fault: text() })), 4);
    let (mut health, _) = row_of(4, |_| refused(400));
    let again = health.judge(Tried { refusals: 1, attempts: 1, ..tried(4) }, refused(400), at(0));
    assert_eq!(again.excused, [], "the same image does not count twice");
}

#[test]
fn while_the_target_refuses_everything_each_probe_is_another_image_and_a_delivery_ends_it() {
    let (mut health, _) = row_of(5, |_| refused(413));
    let mut pauses = Vec::new();
    for row in 6..9 {
        let decision = health.judge(tried(row), refused(415), at(0));
        let pause = i64::try_from(decision.pause.unwrap().as_millis()).unwrap();
        let Settlement::Retry { not_before, .. } = decision.settlement else { panic!() };
        assert!(not_before.0 > pause, "another one is the next probe");
        pauses.push(pause);
    }
    assert_eq!(pauses, [30_000, 60_000, 60_000]);
    let decision = health.judge(tried(9), Ok(()), at(7));
    assert_eq!(decision.settlement, Settlement::Delivered { at: UnixMs(7) });
    assert!(!health.is_failing() && !health.is_refusing());
}

#[test]
fn attempts_that_ran_side_by_side_count_as_one_fault() {
    let busy = || Err(TargetError::Busy { fault: text(), retry_after: None });
    let mut health = Health::default();
    let first = health.judge(tried(1), busy(), at(0)).pause;
    for row in 2..9 {
        let later = Situation { is_paused: true, ..at(0) };
        assert_eq!(health.judge(tried(row), busy(), later).pause, first);
    }
    assert!(health.judge(tried(1), busy(), at(0)).pause > first);
}

#[test]
fn the_wait_a_server_asks_for_is_kept() {
    let retry_after = Some(Duration::from_secs(600));
    let error = TargetError::Busy { fault: text(), retry_after };
    let decision = Health::default().judge(Tried { attempts: 3, ..tried(1) }, Err(error), at(1_000_000));
    assert_eq!(decision.pause, retry_after);
    assert!(matches!(decision.settlement,
        Settlement::Retry { not_before, .. } if not_before >= UnixMs(1_000_000 + 600_000)));
}

#[test]
fn a_lost_file_says_nothing_about_the_target() {
    let mut health = Health::default();
    health.judge(tried(1), Err(TargetError::Unreachable { fault: text() }), at(0));
    let decision = health.judge(tried(2), Err(TargetError::Unreadable { fault: text() }), at(0));
    assert_eq!((decision.settlement, decision.is_online), (Settlement::Lost { error: text() }, None));
    assert!(health.is_failing());
}

/// One picture as the queue knows it.
#[derive(Clone, Copy, Default)]
struct Picture {
    attempts: u32,
    refusals: u32,
    not_before: i64,
    is_dead: bool,
    is_delivered: bool,
}

/// A lane that sends what is due, oldest first (fresh ones first while the target refuses), to a target that answers by `answer(attempt, row)`; for so many attempts.
fn drain(
    count: i64,
    attempts: usize,
    answer: impl Fn(usize, i64) -> Result<(), TargetError>,
) -> BTreeMap<i64, Picture> {
    let mut pictures: BTreeMap<i64, Picture> = (0..count).map(|row| (row, Picture::default())).collect();
    let (mut health, mut now) = (Health::default(), 0_i64);
    for attempt in 0..attempts {
        let open = |picture: &Picture| !picture.is_dead && !picture.is_delivered;
        let Some(soonest) = pictures.values().filter(|p| open(p)).map(|p| p.not_before).min() else { break };
        now = now.max(soonest);
        let fresh = pictures.iter().find(|(_, p)| health.is_refusing() && open(p) && p.not_before == 0);
        let due = || pictures.iter().find(|(_, p)| open(p) && p.not_before <= now);
        let row = *fresh.or_else(due).unwrap().0;
        let picture = pictures[&row];
        let before = Tried { row, attempts: picture.attempts, refusals: picture.refusals };
        let decision = health.judge(before, answer(attempt, row), at(now));
        let picture = pictures.get_mut(&row).unwrap();
        picture.attempts += 1;
        match decision.settlement {
            Settlement::Delivered { .. } => picture.is_delivered = true,
            Settlement::Retry { not_before, .. } => picture.not_before = not_before.0,
            Settlement::Refused { not_before, .. } => {
                picture.not_before = not_before.0;
                picture.refusals += 1;
            }
            Settlement::Dead { .. } => picture.is_dead = true,
            Settlement::Lost { .. } | Settlement::Excused { .. } => unreachable!("no file is lost here"),
        }
        for (row, not_before) in decision.excused {
            let picture = pictures.get_mut(&row).unwrap();
            (picture.is_dead, picture.refusals, picture.not_before) = (false, 0, not_before.0);
        }
        now += decision.pause.map_or(1, |pause| i64::try_from(pause.as_millis()).unwrap());
    }
    pictures
}

fn fault() -> impl Strategy<Value = TargetError> {
    prop_oneof![
        Just(TargetError::Unreachable { fault: text() }),
        Just(TargetError::Broken { fault: text() }),
        Just(TargetError::Busy { fault: text(), retry_after: Some(Duration::from_secs(1)) }),
        Just(TargetError::Misconfigured { fault: text() }),
    ]
}

proptest! {
    #[test]
    fn an_outage_or_misconfiguration_of_any_length_leaves_no_picture_dead(
        count in 5..40_i64, status in prop::sample::select(vec![400_u16, 403, 413, 415, 422]),
        faults in prop::collection::vec(prop::option::weighted(0.3, fault()), 15..120),
    ) {
        // Refusals and other faults in any mixture, long enough that five different pictures were refused; then it heals.
        let refusals = faults.iter().filter(|fault| fault.is_none()).count();
        prop_assume!(refusals >= 15);
        let pictures = drain(count, 2_000, |attempt, _| match faults.get(attempt) {
            Some(Some(fault)) => Err(fault.clone()),
            Some(None) => refused(status),
            None => Ok(()),
        });
        prop_assert!(pictures.values().all(|p| p.is_delivered), "{:?}", pictures.values().filter(|p| p.is_dead).count());
    }

    #[test]
    fn bad_pictures_among_good_ones_hold_up_none_of_the_good(
        bad in prop::collection::vec(any::<bool>(), 1..40), status in prop::sample::select(vec![400_u16, 403, 413]),
    ) {
        let is_bad = |row: i64| bad[usize::try_from(row).unwrap()];
        let pictures = drain(i64::try_from(bad.len()).unwrap(), 2_000, |_, row| {
            if is_bad(row) { refused(status) } else { Ok(()) }
        });
        for (row, picture) in &pictures {
            prop_assert_eq!(picture.is_delivered, !is_bad(*row), "{}", row);
        }
    }

    #[test]
    fn an_image_that_meets_a_fault_again_lets_another_one_go_first(
        failures in 0..20, attempts in 1_u32.., random in 0.0_f64..=1.0, cap in 1_u64..600, asked in prop::option::of(1_u64..3600),
    ) {
        let mut health = Health::default();
        for _ in 0..failures {
            health.judge(tried(7), Err(TargetError::Broken { fault: text() }), at(0));
        }
        let situation = Situation { now: UnixMs(0), retry_interval: Duration::from_secs(cap), random, is_paused: false };
        for error in [
            TargetError::Broken { fault: text() },
            TargetError::Busy { fault: text(), retry_after: asked.map(Duration::from_secs) },
            TargetError::Misconfigured { fault: text() },
        ] {
            let decision = health.judge(Tried { attempts, ..tried(1) }, Err(error), situation);
            let pause = i64::try_from(decision.pause.unwrap().as_millis()).unwrap();
            let Settlement::Retry { not_before, .. } = decision.settlement else { panic!() };
            prop_assert!(not_before >= UnixMs(pause + 500), "{:?} after {}", not_before, pause);
        }
    }

    #[test]
    fn a_failing_target_is_never_tried_at_once(attempts: u32, random in 0.0_f64..=1.0, cap in 1_u64..600) {
        let situation = Situation { now: UnixMs(0), retry_interval: Duration::from_secs(cap), random, is_paused: false };
        let error = TargetError::Unreachable { fault: text() };
        let decision = Health::default().judge(Tried { attempts, ..tried(1) }, Err(error), situation);
        prop_assert!(decision.pause.unwrap() >= Duration::from_millis(500));
    }
}

#[test]
fn a_picture_that_cannot_be_read_waits_for_itself_alone_and_is_never_given_up() {
    let mut health = Health::default();
    health.judge(tried(2), Ok(()), at(0));
    for attempts in [0, 1, 5, 1_000, u32::MAX] {
        let denied = Err(TargetError::Denied { fault: text() });
        let decision = health.judge(Tried { attempts, refusals: 0, ..tried(1) }, denied, at(0));
        let Settlement::Retry { not_before, .. } = decision.settlement else { panic!("{decision:?}") };
        assert!(
            not_before > UnixMs(0) && not_before.0 <= i64::try_from(CAP.as_millis()).unwrap(),
            "{not_before:?}"
        );
        assert_eq!((decision.pause, decision.is_online, health.is_failing()), (None, None, false));
    }
}
