//! Named scenes of contacts, and the law: the state machine agrees with a naive one that looks at every millisecond.

use proptest::prelude::*;

use super::*;

const BOUNCE_MS: u64 = 300;
const CLOSED: Level = Level::Low;
const OPEN: Level = Level::High;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Plays edges (millisecond, level) onto a line that starts at `initial`, lets it settle, and returns in milliseconds
/// what settled and when.
fn play(initial: Level, edges: &[(u64, Level)]) -> Vec<(&'static str, u64)> {
    let origin = Instant::now();
    let mut line = Debounce::new(ActiveLevel::Low, ms(BOUNCE_MS), initial);
    let mut seen = Vec::new();
    for (at, level) in edges {
        seen.extend(line.edge(*level, origin + ms(*at)).0);
    }
    seen.extend(line.settle(origin + ms(1_000_000)));
    assert_eq!(line.deadline(), None);
    let since = |at: Instant| u64::try_from(at.duration_since(origin).as_millis()).unwrap();
    seen.into_iter()
        .map(|settled| match settled {
            Settled::Fired { at } => ("fired", since(at)),
            Settled::Deaf { at } => ("deaf", since(at)),
            Settled::TooShort { at } => ("too short", since(at)),
            Settled::Opened => ("opened", 0),
            Settled::Dropout => ("dropout", 0),
        })
        .collect()
}

#[test]
fn a_bouncing_contact_fires_once_dated_to_its_first_edge() {
    let edges =
        [(100, CLOSED), (101, OPEN), (102, CLOSED), (104, OPEN), (106, CLOSED), (1_000, OPEN), (1_100, OPEN)];
    assert_eq!(play(OPEN, &edges), [("fired", 100), ("opened", 0)]);
}

#[test]
fn a_press_of_20_ms_fires() {
    assert_eq!(play(OPEN, &[(100, CLOSED), (120, OPEN)]), [("fired", 100), ("opened", 0)]);
}

#[test]
fn a_spike_shorter_than_the_stable_time_never_fires() {
    assert_eq!(play(OPEN, &[(100, CLOSED), (104, OPEN)]), [("too short", 100)]);
    assert_eq!(play(OPEN, &[(100, CLOSED), (105, OPEN)]), [("fired", 100), ("opened", 0)]);
}

#[test]
fn a_contact_held_for_5_s_that_bounces_open_does_not_fire_again() {
    let edges = [
        (100, CLOSED),
        (5_100, OPEN),
        (5_110, CLOSED),
        (5_120, OPEN),
        (5_128, CLOSED),
        (5_140, OPEN),
        (9_000, CLOSED),
    ];
    assert_eq!(
        play(OPEN, &edges),
        [("fired", 100), ("dropout", 0), ("dropout", 0), ("opened", 0), ("fired", 9_000)]
    );
}

#[test]
fn a_press_within_the_deaf_time_does_not_fire_and_the_next_one_does() {
    let edges = [(100, CLOSED), (150, OPEN), (250, CLOSED), (300, OPEN), (400, CLOSED), (450, OPEN)];
    let expected =
        [("fired", 100), ("opened", 0), ("deaf", 250), ("opened", 0), ("fired", 400), ("opened", 0)];
    assert_eq!(play(OPEN, &edges), expected);
}

#[test]
fn a_closing_begun_in_the_deaf_time_and_held_beyond_it_must_open_first() {
    let edges = [(100, CLOSED), (150, OPEN), (399, CLOSED), (2_000, OPEN), (2_100, CLOSED)];
    let expected = [("fired", 100), ("opened", 0), ("deaf", 399), ("opened", 0), ("fired", 2_100)];
    assert_eq!(play(OPEN, &edges), expected);
}

#[test]
fn a_contact_closed_at_the_start_must_open_before_it_fires() {
    assert_eq!(play(CLOSED, &[]), []);
    assert_eq!(play(CLOSED, &[(10, OPEN), (20, CLOSED)]), [("dropout", 0)]);
    assert_eq!(play(CLOSED, &[(10, OPEN), (100, CLOSED)]), [("opened", 0), ("fired", 100)]);
}

#[test]
fn chatter_that_never_settles_never_fires() {
    let edges: Vec<(u64, Level)> =
        (0..500).map(|n| (100 + 4 * n, if n % 2 == 0 { CLOSED } else { OPEN })).collect();
    assert_eq!(play(OPEN, &edges).iter().filter(|settled| settled.0 == "fired").count(), 0);
}

#[test]
fn a_closing_after_seconds_of_chatter_is_not_dated_to_its_begin() {
    let mut edges: Vec<(u64, Level)> =
        (0..500).map(|n| (4 * n, if n % 2 == 0 { CLOSED } else { OPEN })).collect();
    edges.push((2_000, CLOSED));
    let fired = play(OPEN, &edges);
    assert_eq!(fired.len(), 1);
    assert!((1_950..=2_000).contains(&fired[0].1), "{fired:?}");
}

#[test]
fn two_closing_edges_without_an_opening_between_count_as_bounce() {
    assert_eq!(play(OPEN, &[(100, CLOSED), (103, CLOSED), (106, CLOSED)]), [("fired", 100)]);
    let mut line = Debounce::new(ActiveLevel::Low, ms(BOUNCE_MS), OPEN);
    assert_eq!(line.edge(OPEN, Instant::now()), (None, EdgeVerdict::Bounce));
    assert_eq!(line.deadline(), None);
}

#[test]
fn every_edge_has_its_verdict() {
    let origin = Instant::now();
    let mut line = Debounce::new(ActiveLevel::High, ms(BOUNCE_MS), Level::Low);
    let mut verdict = |at, level| line.edge(level, origin + ms(at)).1;
    assert_eq!(verdict(100, Level::High), EdgeVerdict::Closing);
    assert_eq!(verdict(101, Level::Low), EdgeVerdict::Bounce);
    assert_eq!(verdict(102, Level::High), EdgeVerdict::Bounce);
    assert_eq!(verdict(200, Level::Low), EdgeVerdict::Opening);
    assert_eq!(verdict(250, Level::High), EdgeVerdict::Deaf);
    assert_eq!(verdict(290, Level::Low), EdgeVerdict::Opening);
    assert_eq!(verdict(900, Level::High), EdgeVerdict::Closing);
}

#[test]
fn a_stamp_that_goes_back_counts_as_simultaneous() {
    let origin = Instant::now() + ms(1_000);
    let mut line = Debounce::new(ActiveLevel::Low, ms(BOUNCE_MS), OPEN);
    line.edge(CLOSED, origin);
    line.edge(CLOSED, origin - ms(500));
    assert_eq!(line.deadline(), Some(origin + CLOSED_STABLE));
}

#[test]
fn without_a_bounce_time_the_stable_times_still_hold() {
    let origin = Instant::now();
    let mut line = Debounce::new(ActiveLevel::Low, Duration::ZERO, OPEN);
    line.edge(CLOSED, origin);
    assert_eq!(line.settle(origin + ms(4)), None);
    assert_eq!(line.settle(origin + ms(5)), Some(Settled::Fired { at: origin }));
    assert_eq!(line.edge(OPEN, origin + ms(10)), (None, EdgeVerdict::Opening));
    assert_eq!(line.edge(CLOSED, origin + ms(14)), (None, EdgeVerdict::Bounce));
}

/// What fires on a line that shows `trace[n]` (closed?) throughout millisecond `n`: looks back over the whole trace
/// at every millisecond and keeps nothing but the settled level and the deaf time.
fn naive(trace: &[bool], bounce: usize) -> Vec<usize> {
    let open_stable = (bounce / 10).max(5);
    let all = |range: &[bool], closed: bool| range.iter().all(|sample| *sample == closed);
    let (mut settled_closed, mut deaf_until, mut fired) = (false, 0, Vec::new());
    for end in 1..=trace.len() {
        if end >= open_stable && all(&trace[end - open_stable..end], false) {
            settled_closed = false;
        }
        if settled_closed || end < 5 || !all(&trace[end - 5..end], true) {
            continue;
        }
        settled_closed = true;
        // The closing begins after the last moment at which the line was settled open.
        let settled_open_until = (0..end)
            .rev()
            .find(|n| *n == 0 || (*n >= open_stable && all(&trace[*n - open_stable..*n], false)))
            .unwrap();
        let closings: Vec<usize> =
            (settled_open_until..end).filter(|n| trace[*n] && (*n == 0 || !trace[*n - 1])).collect();
        let mut at = closings[0];
        for closing in &closings {
            if closing - at > 50 {
                at = *closing;
            }
        }
        if closings[0] >= deaf_until {
            fired.push(at);
            deaf_until = at + bounce;
        }
    }
    fired
}

/// Lengths in milliseconds of open and closed in turn: bounce, presses and pauses.
fn runs() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![5 => 1_usize..8, 2 => 8_usize..60, 2 => 60_usize..400], 1..40)
}

/// The line in every millisecond (closed?), with an end long enough to settle.
fn trace_of(runs: &[usize]) -> Vec<bool> {
    let samples = runs.iter().enumerate().flat_map(|(n, length)| std::iter::repeat_n(n % 2 == 1, *length));
    samples.chain(std::iter::repeat_n(runs.len().is_multiple_of(2), 200)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// With whatever bounce time, and whether time is let pass in between or only seen by the next edge.
    #[test]
    fn it_fires_exactly_when_the_naive_one_does(
        runs in runs(), bounce in prop_oneof![Just(30_usize), 0_usize..100], look_every in 1_usize..500,
    ) {
        let (trace, bounce) = (trace_of(&runs), 10 * bounce);
        let origin = Instant::now();
        let at = |n: usize| origin + ms(n as u64);
        let mut line = Debounce::new(ActiveLevel::Low, ms(bounce as u64), OPEN);
        let mut settled = Vec::new();
        for n in 1..trace.len() {
            if trace[n] != trace[n - 1] {
                settled.extend(line.edge(if trace[n] { CLOSED } else { OPEN }, at(n)).0);
            } else if n % look_every == 0 {
                settled.extend(line.settle(at(n)));
            }
        }
        settled.extend(line.settle(at(trace.len())));
        let fired: Vec<usize> = settled
            .iter()
            .filter_map(|settled| match settled {
                Settled::Fired { at } => Some(usize::try_from(at.duration_since(origin).as_millis()).unwrap()),
                _ => None,
            })
            .collect();
        prop_assert_eq!(fired, naive(&trace, bounce));
    }

    /// A deadline is neither early nor late: just before it nothing settles, at it something does.
    #[test]
    fn a_deadline_is_exact(runs in runs()) {
        let trace = trace_of(&runs);
        let origin = Instant::now();
        let mut line = Debounce::new(ActiveLevel::Low, ms(BOUNCE_MS), OPEN);
        for n in 1..trace.len() {
            if trace[n] != trace[n - 1] {
                line.edge(if trace[n] { CLOSED } else { OPEN }, origin + ms(n as u64));
                if let Some(deadline) = line.deadline() {
                    let mut other = line.clone();
                    prop_assert_eq!(other.settle(deadline - Duration::from_nanos(1)), None);
                    prop_assert!(other.settle(deadline).is_some());
                }
            }
        }
    }
}
