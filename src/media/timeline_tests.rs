//! Cameras as they are: what each stamps, what it sends when, and what is made of it.

use super::*;
use proptest::prelude::*;

const MS: i64 = 1_000_000;
const FRAME_NS: i64 = 40_000_000;

/// A frame of a camera, in milliseconds: when it was taken, what its stamp says, when it arrives.
#[derive(Clone, Copy, Debug)]
struct Sent {
    taken: f64,
    stamp: f64,
    arrival: f64,
}

/// What was made of it; milliseconds.
#[derive(Clone, Copy, Debug)]
struct Seen {
    taken: f64,
    /// Instant minus when it was taken.
    off: f64,
    doubt: Option<Doubt>,
    stamps: Stamps,
    stream_ns: i64,
}

fn see(frames: &[Sent]) -> Vec<Seen> {
    let start = Instant::now() + Duration::from_secs(100);
    let at = |ms: f64| start + Duration::from_nanos((ms * 1e6) as u64);
    let mut timeline = Timeline::default();
    let mut seen: Vec<Seen> = Vec::new();
    for sent in frames {
        let placed = timeline.push((sent.stamp * 1e6) as i64, at(sent.arrival));
        let off = |instant: Instant| {
            let taken = at(sent.taken);
            (instant.saturating_duration_since(taken).as_secs_f64()
                - taken.saturating_duration_since(instant).as_secs_f64())
                * 1e3
        };
        if let Some(moved) = placed.moved {
            seen.iter_mut().for_each(|seen| seen.off -= moved.as_secs_f64() * 1e3);
        }
        seen.push(Seen {
            taken: sent.taken,
            off: off(placed.instant),
            doubt: placed.doubt,
            stamps: timeline.stamps(),
            stream_ns: placed.stream_ns,
        });
    }
    seen
}

/// A camera that sends `sent` frames a second, the stamps of which go on by `step_ms` each.
fn fixed_step(step_ms: f64, sent: f64, seconds: f64) -> Vec<Sent> {
    let frame = |i: usize| {
        let taken = i as f64 * 1000.0 / sent;
        Sent { taken, stamp: i as f64 * step_ms, arrival: taken + 3.0 * (i % 3) as f64 }
    };
    (0..(seconds * sent) as usize).map(frame).collect()
}

/// The greatest error after so many seconds.
fn worst(seen: &[Seen], after_s: f64) -> f64 {
    seen.iter().filter(|seen| seen.taken >= after_s * 1e3).map(|seen| seen.off.abs()).fold(0.0, f64::max)
}

fn kinds(seen: &[Seen], after_s: f64) -> Vec<&'static str> {
    let mut kinds: Vec<&str> =
        seen.iter().filter(|seen| seen.taken >= after_s * 1e3).map(|seen| seen.stamps.as_str()).collect();
    kinds.dedup();
    kinds
}

fn is_in_order(seen: &[Seen]) -> bool {
    seen.windows(2).all(|pair| pair[1].stream_ns > pair[0].stream_ns)
}

#[test]
fn a_late_arrival_does_not_move_the_instant() {
    let start = Instant::now();
    let mut timeline = Timeline::default();
    for i in 0..20_u32 {
        let late = if i == 10 { Duration::from_millis(300) } else { Duration::ZERO };
        let taken = start + Duration::from_millis(40) * i;
        let placed = timeline.push(i64::from(i) * FRAME_NS, taken + late);
        assert_eq!(placed.instant, taken, "frame {i}");
    }
}

#[test]
fn restarted_time_stamps_are_noticed_and_followed() {
    let start = Instant::now();
    let mut timeline = Timeline::default();
    assert!(!timeline.push(5_000_000_000, start).restarted);
    let placed = timeline.push(0, start + Duration::from_millis(40));
    assert!(placed.restarted);
    assert_eq!(
        (placed.instant, placed.stream_ns),
        (start + Duration::from_millis(40), 5_000_000_000 + FRAME_NS)
    );
}

#[test]
fn time_stamps_that_go_back_half_a_second_are_followed_and_b_frames_are_not() {
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut timeline = Timeline::default();
    for (i, ms) in [0_i64, 120, 40, 80, 240, 160, 200].iter().enumerate() {
        assert!(!timeline.push(ms * 1_000_000, at(120 + 40 * u64::try_from(i).unwrap())).restarted);
    }
    let placed = timeline.push(-220_000_000, at(400));
    assert!(placed.restarted);
    assert_eq!(placed.instant, at(400));
}

/// Field report (open-nvr 229, lightNVR 608, Hikvision slow shutter): stamps say one number of frames a second, another
/// comes. On the code before this one, 25 said and 21 sent put every frame 1.6 s late without a word.
#[test]
fn stamps_of_a_rate_that_is_not_sent_are_told_and_instants_are_right() {
    for (said, sent) in [
        (25.0, 21.0),
        (25.0, 20.0),
        (25.0, 12.0),
        (25.0, 15.0),
        (30.0, 25.0),
        (50.0, 25.0),
        (15.0, 20.0),
        (12.0, 25.0),
        (25.0, 22.5),
        (25.0, 6.0),
        (30.0, 1.0),
    ] {
        let seen = see(&fixed_step(1000.0 / said, sent, 60.0));
        let (first, later) = (worst(&seen, 0.0), worst(&seen, 5.0));
        assert!(later < 30.0, "{said} said, {sent} sent: {later:.0} ms off, at first {first:.0}");
        let fault = seen.iter().find(|seen| seen.off.abs() > 410.0 && seen.doubt.is_none());
        assert!(fault.is_none(), "{said} said, {sent} sent: {fault:?}");
        assert_eq!(*kinds(&seen, 20.0).last().unwrap(), "scaled", "{said} said, {sent} sent");
        assert!(
            seen.iter().all(|seen| seen.taken < 12e3 || seen.doubt.is_some()),
            "{said} said, {sent} sent"
        );
        assert!(is_in_order(&seen));
    }
}

#[test]
fn a_rate_that_is_a_little_off_is_a_clock_that_is_off() {
    for (said, sent) in [(25.0, 24.0), (25.0, 25.8), (29.97, 30.0)] {
        let seen = see(&fixed_step(1000.0 / said, sent, 60.0));
        assert!(
            worst(&seen, 0.0) < 110.0 && worst(&seen, 4.0) < 15.0,
            "{said}: {} {}",
            worst(&seen, 0.0),
            worst(&seen, 4.0)
        );
        assert_eq!(kinds(&seen, 0.0), ["good"]);
        assert!(seen.iter().all(|seen| seen.doubt.is_none()));
    }
}

/// Field report (frigate 1467, bluecherry 641): milliseconds in place of 1/90000 s; others count in microseconds, in
/// 1/8000 s or in frames.
#[test]
fn stamps_of_another_unit_are_scaled() {
    for ticks_a_second in [1_000.0, 8_000.0, 25.0, 1_000_000.0, 48_000.0, 180_000.0] {
        let step_ms = ticks_a_second / 25.0 / 90.0;
        let seen = see(&fixed_step(step_ms, 25.0, 40.0));
        assert!(worst(&seen, 4.0) < 20.0, "{ticks_a_second}: {:.0} ms", worst(&seen, 4.0));
        assert_eq!(*kinds(&seen, 20.0).last().unwrap(), "scaled", "{ticks_a_second}");
        assert!(is_in_order(&seen));
        let step = seen[seen.len() - 1].stream_ns - seen[seen.len() - 2].stream_ns;
        assert!(
            (step - FRAME_NS).abs() < 2 * MS,
            "{ticks_a_second}: the time of display goes on in {step} ns"
        );
    }
}

/// Field report (frigate 4131, 7298): time stamps unset.
#[test]
fn stamps_that_stand_still_are_no_clock() {
    for sent in [25.0, 12.0, 2.0] {
        let seen = see(&fixed_step(0.0, sent, 30.0));
        assert!(worst(&seen, 2.5) < 20.0, "{sent}: {:.0} ms", worst(&seen, 2.5));
        assert_eq!(kinds(&seen, 2.5), ["untrusted"]);
        assert!(is_in_order(&seen));
        assert!(seen.iter().all(|seen| seen.off.abs() < 600.0 || seen.doubt.is_some()));
    }
}

#[test]
fn random_stamps_are_no_clock() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut frames = fixed_step(0.0, 25.0, 30.0);
    frames.iter_mut().for_each(|frame| frame.stamp = f64::from(random.u32(..)) / 90.0);
    let seen = see(&frames);
    assert!(worst(&seen, 0.0) < 50.0 && is_in_order(&seen));
    assert_eq!(kinds(&seen, 2.0), ["untrusted"]);
}

/// Slow shutter at night: the stamps are true by day, at night fewer frames come, and in the morning all come again.
#[test]
fn a_rate_that_changes_while_it_runs_costs_accuracy_for_a_second_or_two() {
    for (day, night, said) in [(25.0, 12.0, 25.0), (25.0, 20.0, 25.0), (20.0, 25.0, 25.0), (30.0, 15.0, 30.0)]
    {
        let mut frames: Vec<Sent> = Vec::new();
        for (from, rate) in [(0.0, day), (30e3, night), (60e3, day)] {
            let begin = frames.last().map_or(0.0, |last: &Sent| last.taken + 1000.0 / rate);
            for i in 0..((from + 30e3 - begin) / 1000.0 * rate) as usize {
                let taken = begin + i as f64 * 1000.0 / rate;
                let stamp = frames.len() as f64 * 1000.0 / said;
                frames.push(Sent { taken, stamp, arrival: taken + 3.0 * (i % 3) as f64 });
            }
        }
        let seen = see(&frames);
        let calm = |from: f64, to: f64| {
            seen.iter().filter(|s| (from..to).contains(&s.taken)).map(|s| s.off.abs()).fold(0.0, f64::max)
        };
        let worst = [calm(5e3, 30e3), calm(32e3, 60e3), calm(62e3, 90e3)];
        assert!(worst.iter().all(|worst| *worst < 60.0), "{day} {night} of {said}: {worst:.0?}");
        assert!(is_in_order(&seen));
        let last = if day == said { "good" } else { "scaled" };
        assert_eq!(*kinds(&seen, 80.0).last().unwrap(), last, "{day} {night}");
        let steps = seen.windows(2).map(|pair| (pair[1].taken + pair[1].off) - (pair[0].taken + pair[0].off));
        assert!(steps.clone().all(|step| step > -20.0), "no step back");
    }
}

/// Restreamers (go2rtc 1887, mediamtx 1209) begin with the group they have kept.
#[test]
fn a_group_that_was_kept_is_as_old_as_it_is() {
    let frame = |i: usize| {
        let taken = i as f64 * 40.0;
        Sent { taken, stamp: taken, arrival: if i < 100 { 4_000.0 + i as f64 * 0.5 } else { taken + 50.0 } }
    };
    let frames: Vec<Sent> = (0..500).map(frame).collect();
    let seen = see(&frames);
    assert!(worst(&seen, 0.0) <= 51.0, "{:.0}", worst(&seen, 0.0));
    assert_eq!(kinds(&seen, 0.0), ["good"]);
    assert!(seen.iter().all(|seen| seen.doubt.is_none()));
}

#[test]
fn a_stall_is_no_change_of_pace() {
    let mut frames = fixed_step(40.0, 25.0, 40.0);
    for frame in &mut frames {
        // Nothing for two seconds, then everything in a hundred milliseconds.
        if (15e3..17e3).contains(&frame.taken) {
            frame.arrival = 17e3 + (frame.taken - 15e3) / 20.0;
        }
    }
    let late: Vec<f64> = frames.iter().map(|frame| frame.arrival).collect();
    assert!(late.is_sorted_by(|a, b| a - 101.0 < *b));
    let seen = see(&frames);
    assert!(worst(&seen, 0.0) < 10.0, "{:.0}", worst(&seen, 0.0));
    assert_eq!(kinds(&seen, 0.0), ["good"]);
}

/// Time-lapse and power saving.
#[test]
fn a_frame_in_six_or_thirty_seconds_is_a_camera() {
    for sent in [1.0 / 6.0, 1.0 / 30.0, 1.0] {
        let seen = see(&fixed_step(1000.0 / sent, sent, 300.0));
        assert!(worst(&seen, 0.0) < 10.0);
        assert_eq!(kinds(&seen, 0.0), ["good"]);
        let seen = see(&fixed_step(40.0, sent, 600.0));
        assert!(seen.iter().all(|seen| seen.off.abs() < 300.0 || seen.doubt.is_some()));
        assert!(worst(&seen, 200.0) < 10.0, "{sent}: {:.0}", worst(&seen, 200.0));
    }
}

#[test]
fn a_stamp_that_starts_anew_leaves_no_hole_in_the_time_of_display() {
    let mut frames = fixed_step(40.0, 25.0, 60.0);
    for (i, frame) in frames.iter_mut().enumerate() {
        frame.stamp = match i {
            0..500 => frame.stamp + 47_000_000.0,
            500..1000 => frame.stamp - 20_000.0,
            _ => frame.stamp + 9_000.0,
        };
    }
    let seen = see(&frames);
    assert!(worst(&seen, 0.0) < 10.0 && is_in_order(&seen), "{:.0}", worst(&seen, 0.0));
    assert_eq!(kinds(&seen, 0.0), ["good"]);
}

proptest! {
    /// Each frame is delayed by its number of milliseconds; the clock of the camera is wrong by up to 3 %.
    #[test]
    fn instants_are_right_within_the_smallest_delays_whatever_the_cameras_clock(
        delays in proptest::collection::vec(0_i64..60, 200..900), drift in -0.03_f64..0.03,
    ) {
        let frames: Vec<Sent> = delays.iter().enumerate().map(|(i, delay)| {
            let taken = i as f64 * 40.0;
            Sent { taken, stamp: taken * (1.0 - drift), arrival: taken + *delay as f64 }
        }).collect();
        for (seen, sent) in see(&frames).iter().zip(&frames) {
            prop_assert!(sent.taken + seen.off <= sent.arrival + 0.001, "no frame arrives before it was taken");
            // After four seconds the slope is known.
            if sent.taken >= 6_000.0 {
                prop_assert!(seen.off.abs() < 35.0, "{seen:?}, drift {drift}");
            }
        }
    }

    /// True stamps: a clock that drifts, a wireless network, lost frames, B-frames, a variable rate, a group that was kept.
    #[test]
    fn true_stamps_are_never_called_untrue(
        drift in -0.03_f64..0.03, jitter in 0.0_f64..200.0, drags: bool, loss in 0_u32..30, has_b: bool, cached in 0_usize..120,
        varies: bool, interval in prop_oneof![Just(33.0), Just(40.0), Just(66.0), Just(200.0), Just(1000.0)], seed: u64,
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut frames = Vec::new();
        let (mut taken, mut delay) = (0.0, 0.0);
        while taken < 60e3 {
            // Both kinds of jitter: each frame on its own, and one that wanders.
            delay = if drags { (delay + (random.f64() - 0.5) * jitter / 4.0).clamp(0.0, jitter) } else { random.f64() * jitter };
            if random.u32(0..100) >= loss {
                frames.push(Sent { taken, stamp: taken * (1.0 - drift), arrival: taken + delay });
            }
            taken += if varies && random.bool() { interval * 3.0 } else { interval };
        }
        let turn = if varies { interval * 3.0 } else { interval };
        if has_b && turn < 150.0 {
            // Each third frame comes before the two that are shown before it.
            for group in frames.chunks_exact_mut(3) {
                let last = group[2].arrival;
                group.iter_mut().for_each(|frame| frame.arrival = last);
                group.rotate_right(1);
            }
        }
        // Of five seconds at most.
        let cached = cached.min((5e3 / interval / 2.0) as usize);
        let joined = frames[cached].arrival;
        let mut before = 0.0_f64;
        for frame in &mut frames {
            before = before.max(frame.arrival).max(joined);
            frame.arrival = before;
        }
        let seen = see(&frames);
        prop_assert_eq!(kinds(&seen, 0.0), ["good"]);
        let doubtful = seen.iter().find(|seen| seen.doubt.is_some());
        // Doubt is honest of a picture a second, where it takes longer to know how fast the clock is, and on a network that
        // holds up by more than 100 ms.
        let is_hard = interval >= 1_000.0 || jitter > 100.0;
        prop_assert!(is_hard || doubtful.is_none(), "{doubtful:?}");
    }

    /// The law: however stamps go on, the error of an instant is no more than what the network held the frame up and 0.4
    /// seconds, or the frame says so. Frames of the first second may belong to a group that was kept.
    #[test]
    fn whatever_the_stamps_an_instant_is_right_or_says_so(
        paces in proptest::collection::vec((prop_oneof![Just(0.0), Just(1.0), 0.0_f64..3.0, 0.0_f64..20.0], 1_000.0_f64..20_000.0), 1..8),
        jitter in 0.0_f64..100.0, interval in prop_oneof![Just(33.0), Just(40.0), Just(83.0), Just(200.0)], seed: u64,
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut frames, mut taken, mut stamp): (Vec<Sent>, _, _) = (Vec::new(), 0.0, 0.0);
        for (pace, lasts) in &paces {
            let end = taken + lasts;
            while taken < end {
                let before = frames.last().map_or(0.0, |frame| frame.arrival);
                let arrival = before.max(taken + random.f64() * jitter);
                frames.push(Sent { taken, stamp, arrival });
                taken += interval;
                stamp += interval * pace;
            }
        }
        let limit = jitter + DOUBT_NS as f64 / 1e6;
        for seen in see(&frames).iter().filter(|seen| seen.taken >= 1e3) {
            let said = seen.doubt.map_or(0.0, |doubt| doubt.within.as_secs_f64() * 1e3);
            prop_assert!(seen.off.abs() <= (limit + said), "{seen:?}");
        }
    }

    #[test]
    fn any_time_stamps_are_taken_without_a_panic(stamps in proptest::collection::vec(any::<i64>(), 0..50)) {
        let start = Instant::now();
        let mut timeline = Timeline::default();
        for (i, stamp) in stamps.iter().enumerate() {
            timeline.push(*stamp, start + Duration::from_millis(u64::try_from(i).unwrap()));
        }
    }
}
