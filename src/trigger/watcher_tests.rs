//! The watcher with scripted lines, whose stamps lie where the test wants them.

use std::collections::VecDeque;

use super::*;
use crate::config::GpioBackend;

const CLOSED: Level = Level::Low;
const OPEN: Level = Level::High;

/// What a scripted source answers to one `wait`.
enum Answer {
    Edge(Pin, Level, Instant),
    Nothing,
    Gone,
}

/// Lines that answer from a list and never wait; at the end of it they are gone.
struct Script {
    answers: VecDeque<Answer>,
    levels: Vec<(Pin, Level)>,
}

impl EdgeSource for Script {
    fn wait(&mut self, _timeout: Duration) -> Result<Option<Edge>, GpioError> {
        match self.answers.pop_front() {
            Some(Answer::Edge(pin, level, at)) => Ok(Some(Edge { pin, level, at })),
            Some(Answer::Nothing) => Ok(None),
            Some(Answer::Gone) | None => Err(GpioError::NotAPi),
        }
    }

    fn levels(&mut self) -> Result<Vec<(Pin, Level)>, GpioError> {
        Ok(self.levels.clone())
    }

    fn name(&self) -> &'static str {
        "script"
    }
}

fn config() -> GpioConfig {
    GpioConfig {
        enabled: true,
        trigger_enabled: true,
        backend: GpioBackend::Sim,
        active: ActiveLevel::Low,
        bounce: Duration::from_millis(300),
        chip: None,
    }
}

fn contacts() -> Contacts {
    Contacts::new(&[(18, key("r1")), (19, key("r2"))])
}

fn key(text: &str) -> CameraKey {
    CameraKey::parse(text).unwrap()
}

/// A second ago, so that every deadline within it has passed.
fn origin() -> Instant {
    Instant::now() - Duration::from_secs(1)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Runs the script to its end on lines that are open at first; `levels` is what reading them says.
fn watch(contacts: &Contacts, levels: [Level; 2], answers: Vec<Answer>) -> Vec<LineEvent> {
    let script = Script { answers: VecDeque::new(), levels: vec![(18, OPEN), (19, OPEN)] };
    let mut watcher = Watcher::new(Box::new(script), &config(), contacts).unwrap();
    let levels = vec![(18, levels[0]), (19, levels[1])];
    watcher.source = Box::new(Script { answers: answers.into(), levels });
    let mut events = Vec::new();
    watcher.run(&CancellationToken::new(), |event| events.push(event)).unwrap_err();
    events
}

fn fired(events: &[LineEvent]) -> Vec<(Pin, Instant)> {
    let fired = |event: &LineEvent| match event {
        LineEvent::Fired { pin, at, .. } => Some((*pin, *at)),
        _ => None,
    };
    events.iter().filter_map(fired).collect()
}

#[test]
fn a_closing_contact_is_told_as_edge_trigger_and_level() {
    let (contacts, at) = (contacts(), origin());
    let events = watch(&contacts, [CLOSED, OPEN], vec![Answer::Edge(18, CLOSED, at), Answer::Nothing]);
    assert_eq!(
        events,
        [
            LineEvent::Edge { pin: 18, level: CLOSED, at, verdict: EdgeVerdict::Closing },
            LineEvent::Fired { pin: 18, camera: key("r1"), at },
            LineEvent::Level { pin: 18, level: CLOSED, active: true },
        ]
    );
}

#[test]
fn edges_that_waited_in_the_queue_are_judged_by_their_stamps() {
    let (contacts, at) = (contacts(), origin());
    let answers = vec![
        Answer::Edge(18, CLOSED, at),
        Answer::Edge(18, OPEN, at + ms(2)),
        Answer::Edge(19, CLOSED, at + ms(100)),
        Answer::Edge(19, OPEN, at + ms(120)),
        Answer::Nothing,
    ];
    let events = watch(&contacts, [OPEN, OPEN], answers);
    assert_eq!(fired(&events), [(19, at + ms(100))]);
    assert!(events.contains(&LineEvent::Ignored { pin: 18, at, reason: Ignored::TooShort }));
}

#[test]
fn a_chattering_line_does_not_keep_the_other_one_from_firing() {
    let (contacts, at) = (contacts(), origin());
    let mut answers = vec![Answer::Edge(19, CLOSED, at)];
    answers.extend((1..100).map(|n| Answer::Edge(18, if n % 2 == 0 { OPEN } else { CLOSED }, at + ms(n))));
    let events = watch(&contacts, [OPEN, CLOSED], answers);
    assert_eq!(fired(&events), [(19, at)]);
}

#[test]
fn an_edge_of_another_line_that_overtakes_does_not_settle_a_spike() {
    let (contacts, at) = (contacts(), origin());
    let answers = vec![
        Answer::Edge(18, CLOSED, at),
        Answer::Edge(19, CLOSED, at + ms(500)),
        Answer::Edge(18, OPEN, at + ms(2)),
        Answer::Nothing,
    ];
    assert_eq!(fired(&watch(&contacts, [OPEN, CLOSED], answers)), [(19, at + ms(500))]);
}

#[test]
fn a_lost_edge_is_found_by_reading_the_level() {
    let (contacts, at) = (contacts(), origin());
    let answers = vec![
        Answer::Edge(18, CLOSED, at),
        Answer::Nothing, // fires
        Answer::Nothing, // reads the levels; the line is open
        Answer::Nothing, // and really no edge is queued
    ];
    let events = watch(&contacts, [OPEN, OPEN], answers);
    assert_eq!(fired(&events), [(18, at)]);
    assert!(matches!(
        events.last(),
        Some(LineEvent::Edge { pin: 18, level: OPEN, verdict: EdgeVerdict::Opening, .. })
    ));
    assert_eq!(contacts.lines()[0].lost, 1);
}

#[test]
fn an_edge_that_comes_while_reading_is_no_lost_edge() {
    let (contacts, at) = (contacts(), origin());
    let answers = vec![Answer::Nothing, Answer::Edge(18, CLOSED, at), Answer::Nothing];
    let events = watch(&contacts, [CLOSED, OPEN], answers);
    assert_eq!(fired(&events), [(18, at)]);
    assert_eq!((contacts.lines()[0].edges, contacts.lines()[0].lost), (1, 0));
}

#[test]
fn counters_outlive_the_watcher_and_the_level_does_not() {
    let (contacts, at) = (contacts(), origin());
    let bouncing = || {
        vec![
            Answer::Edge(18, CLOSED, at),
            Answer::Edge(18, OPEN, at + ms(1)),
            Answer::Edge(18, CLOSED, at + ms(2)),
            Answer::Nothing,
        ]
    };
    watch(&contacts, [CLOSED, OPEN], bouncing());
    watch(&contacts, [CLOSED, OPEN], bouncing());
    let line = &contacts.lines()[0];
    assert_eq!((line.edges, line.bounces, line.fired), (6, 4, 2));
    assert_eq!((line.level, line.active), (None, false));
    let last_edge = line.last_edge.unwrap().0 - clock::wall_at(at).0;
    assert!(last_edge.abs() < 1_000, "{last_edge} ms");
}

#[test]
fn the_heartbeat_beats_in_every_turn() {
    let contacts = contacts();
    watch(&contacts, [OPEN, OPEN], vec![Answer::Nothing, Answer::Nothing, Answer::Gone]);
    assert_eq!(contacts.turns(), 3);
}

#[test]
fn a_line_the_source_does_not_have_is_an_error() {
    let script = Script { answers: VecDeque::new(), levels: vec![(18, OPEN)] };
    let error = Watcher::new(Box::new(script), &config(), &contacts()).unwrap_err();
    assert!(matches!(error, GpioError::NoSuchLine { pin: 19 }));
}

#[test]
fn a_simulated_contact_fires_dated_to_the_moment_it_was_closed() {
    let contacts = contacts();
    let opened = crate::gpio::open(&config(), &contacts.pins()).unwrap();
    let hand = opened.sim.unwrap();
    let watcher = Watcher::new(opened.source, &config(), &contacts).unwrap();
    let (stop, (tell, told)) = (CancellationToken::new(), std::sync::mpsc::channel());
    let thread = std::thread::spawn({
        let stop = stop.clone();
        move || watcher.run(&stop, |event| tell.send(event).unwrap())
    });
    let before = Instant::now();
    assert!(hand.set(19, CLOSED));
    let after = Instant::now();
    let fired = told.iter().find_map(|event| match event {
        LineEvent::Fired { pin, camera, at } => Some((pin, camera, at)),
        _ => None,
    });
    let (pin, camera, at) = fired.unwrap();
    assert_eq!((pin, camera), (19, key("r2")));
    assert!(before <= at && at <= after);
    stop.cancel();
    thread.join().unwrap().unwrap();
}

#[test]
fn a_stopped_watcher_ends_without_another_wait() {
    let script = Script { answers: VecDeque::new(), levels: vec![(18, OPEN), (19, OPEN)] };
    let watcher = Watcher::new(Box::new(script), &config(), &contacts()).unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    watcher.run(&stop, |_| {}).unwrap();
}
