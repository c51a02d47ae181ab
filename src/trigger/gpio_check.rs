//! `--test-gpio`: shows every edge as it comes, what it means, and at the end what each line's behaviour says about
//! its wiring.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::{ActiveLevel, GpioConfig};
use crate::gpio::{self, GpioError, Level, Pin};
use crate::model::{CameraKey, UnixMs};
use crate::trigger::debounce::CLOSED_STABLE;
use crate::trigger::watcher::{Contacts, Ignored, LONGEST_WAIT, LineEvent, LineStatus, Watcher};

/// More bounce per trigger than this is worth a word: a good relay has fewer than ten.
const BOUNCES_PER_TRIGGER_MAX: u64 = 20;

/// What was seen.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The back end that served the lines; `none` if no line is configured.
    pub backend: &'static str,
    /// Every line as it was at the end, with its counters.
    pub lines: Vec<LineStatus>,
}

/// Watches `lines` for `seconds`, or until `stop` is cancelled, and writes what happens to `out`.
///
/// Does not look at [`GpioConfig::enabled`]: the contacts are to be tried before they are put to use. An `out` that
/// takes no more (a closed pipe) ends it like `stop`. An error means that the lines could not be used.
pub fn test_gpio(
    config: &GpioConfig,
    lines: &[(Pin, CameraKey)],
    seconds: Option<u64>,
    out: &mut dyn Write,
    stop: &CancellationToken,
) -> Result<Summary, GpioError> {
    if lines.is_empty() {
        // Nobody to tell if the pipe is closed.
        let _ = writeln!(out, "no camera has a contact; set GPIO_CAMERA_n_PIN");
        return Ok(Summary { backend: "none", lines: Vec::new() });
    }
    let contacts = Contacts::new(lines);
    let opened = gpio::open(config, &contacts.pins())?;
    let mut watcher = Watcher::new(opened.source, config, &contacts)?;
    let backend = watcher.backend();
    let begin = Instant::now();
    let end = seconds.and_then(|seconds| begin.checked_add(Duration::from_secs(seconds)));
    let first = contacts.lines();
    let mut written = write_head(out, backend, config, &first);
    while !stop.is_cancelled() && written.is_ok() {
        let left = end.map_or(LONGEST_WAIT, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            break;
        }
        watcher.turn(left.min(LONGEST_WAIT), &mut |event| {
            if written.is_ok() {
                written = write_event(out, &event);
            }
        })?;
    }
    let last = contacts.lines();
    if written.is_ok() {
        // A closed pipe at the very end changes nothing any more.
        let _ = write_foot(out, config.active, begin.elapsed(), &first, &last);
    }
    Ok(Summary { backend, lines: last })
}

fn write_head(
    out: &mut dyn Write,
    backend: &str,
    config: &GpioConfig,
    lines: &[LineStatus],
) -> io::Result<()> {
    let bounce = config.bounce.as_millis();
    let closed = Level::closed(config.active);
    writeln!(out, "watching by {backend}; closed is {closed}, deaf for {bounce} ms after a trigger")?;
    for line in lines {
        writeln!(out, "line {} triggers {}; it is {}", line.pin, line.camera, state(line))?;
    }
    out.flush()
}

fn write_event(out: &mut dyn Write, event: &LineEvent) -> io::Result<()> {
    match event {
        LineEvent::Edge { pin, level, at, verdict } => {
            writeln!(out, "{}  line {pin}  {level:<4}  {}", time(*at), verdict.as_str())?;
        }
        LineEvent::Fired { pin, camera, at } => {
            writeln!(out, "{}  line {pin}  fired -> {camera}", time(*at))?;
        }
        LineEvent::Ignored { pin, at, reason } => {
            let reason = match reason {
                Ignored::Deaf => "within the bounce time of the trigger before".to_owned(),
                Ignored::TooShort => {
                    format!("not closed for {} ms without a break", CLOSED_STABLE.as_millis())
                }
            };
            writeln!(out, "{}  line {pin}  ignored: {reason}", time(*at))?;
        }
        LineEvent::Level { pin, level, active } => {
            let state = if *active { "closed" } else { "open" };
            writeln!(out, "{}  line {pin}  {level:<4}  settled {state}", clock::now().rfc3339())?;
        }
    }
    out.flush()
}

fn write_foot(
    out: &mut dyn Write,
    active: ActiveLevel,
    watched: Duration,
    first: &[LineStatus],
    last: &[LineStatus],
) -> io::Result<()> {
    writeln!(out, "watched for {} s", watched.as_secs())?;
    for (first, last) in first.iter().zip(last) {
        writeln!(out, "line {} ({}): {}", last.pin, last.camera, finding(active, first.active, last))?;
    }
    out.flush()
}

/// One sentence on what the behaviour of a line says about its wiring.
fn finding(active: ActiveLevel, was_closed_at_first: bool, line: &LineStatus) -> String {
    let (other_end, pin) = (other_end(active), line.pin);
    let LineStatus { fired, edges, bounces, too_short, .. } = *line;
    if fired > 0 {
        let worn = if bounces > BOUNCES_PER_TRIGGER_MAX * fired || too_short > fired {
            "; that is a lot of bounce: look for a loose or corroded contact, or for interference on a long wire"
        } else {
            ""
        };
        return format!("fired {fired} times in {edges} edges, {bounces} of them bounce{worn}");
    }
    if edges == 0 && was_closed_at_first {
        return format!(
            "closed all the time; a short to {other_end}, or a normally closed contact: use its normally open side"
        );
    }
    if edges == 0 {
        return format!(
            "never changed; if the contact was worked, it is not wired between BCM {pin} and {other_end}, or \
             this is the wrong pin (BCM numbers, not positions on the header)"
        );
    }
    if too_short > 0 {
        return format!(
            "{edges} edges, but never closed for {} ms without a break: interference on the wire, or a contact \
             that does not make",
            CLOSED_STABLE.as_millis()
        );
    }
    if was_closed_at_first {
        return "closed at the start and opened, but not closed again; work the contact once more".to_owned();
    }
    format!("{edges} edges, and the contact never closed; pulses too short to be read point to interference")
}

/// Where the far side of the contact goes.
fn other_end(active: ActiveLevel) -> &'static str {
    match active {
        ActiveLevel::Low => "ground",
        ActiveLevel::High => "3.3 V",
    }
}

fn state(line: &LineStatus) -> String {
    let level = line.level.map_or("not known", Level::as_str);
    format!("{level} ({})", if line.active { "closed" } else { "open" })
}

fn time(at: Instant) -> String {
    UnixMs::rfc3339(clock::wall_at(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GpioBackend;

    fn config(backend: GpioBackend) -> GpioConfig {
        GpioConfig {
            enabled: false,
            trigger_enabled: true,
            backend,
            active: ActiveLevel::Low,
            bounce: Duration::from_millis(300),
            chip: None,
        }
    }

    fn line() -> LineStatus {
        Contacts::new(&[(18, CameraKey::parse("r1").unwrap())]).lines().remove(0)
    }

    #[test]
    fn the_time_over_it_says_what_each_line_showed() {
        let mut out = Vec::new();
        let lines = [(18, CameraKey::parse("r1").unwrap())];
        let summary =
            test_gpio(&config(GpioBackend::Sim), &lines, Some(0), &mut out, &CancellationToken::new())
                .unwrap();
        assert_eq!((summary.backend, summary.lines.len()), ("sim", 1));
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("line 18 triggers r1; it is high (open)\n"), "{text}");
        assert!(text.contains("line 18 (r1): never changed; "), "{text}");
    }

    #[test]
    fn without_lines_it_says_so_and_touches_nothing() {
        let mut out = Vec::new();
        let summary =
            test_gpio(&config(GpioBackend::Rppal), &[], None, &mut out, &CancellationToken::new()).unwrap();
        assert_eq!(summary.backend, "none");
        assert!(String::from_utf8(out).unwrap().contains("GPIO_CAMERA_n_PIN"));
    }

    #[test]
    fn a_stopped_test_still_says_what_it_saw() {
        let stop = CancellationToken::new();
        stop.cancel();
        let mut out = Vec::new();
        let lines = [(18, CameraKey::parse("r1").unwrap())];
        test_gpio(&config(GpioBackend::Sim), &lines, None, &mut out, &stop).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("watched for 0 s"));
    }

    #[test]
    fn each_behaviour_has_its_finding() {
        let low = ActiveLevel::Low;
        assert!(finding(low, false, &line()).starts_with("never changed; if the contact was worked"));
        assert!(finding(low, true, &line()).starts_with("closed all the time; a short to ground"));
        let spikes = LineStatus { edges: 8, bounces: 4, too_short: 2, ..line() };
        assert!(finding(low, false, &spikes).starts_with("8 edges, but never closed for 5 ms"));
        let good = LineStatus { edges: 6, bounces: 2, fired: 2, ..line() };
        assert_eq!(finding(low, false, &good), "fired 2 times in 6 edges, 2 of them bounce");
        let worn = LineStatus { edges: 600, bounces: 598, fired: 1, ..line() };
        assert!(finding(low, false, &worn).contains("loose or corroded"));
        let opened = LineStatus { edges: 1, ..line() };
        assert!(finding(low, true, &opened).starts_with("closed at the start and opened"));
    }

    #[test]
    fn an_edge_is_a_line_with_time_level_and_verdict() {
        let at = Instant::now();
        let mut out = Vec::new();
        let verdict = crate::trigger::debounce::EdgeVerdict::Closing;
        write_event(&mut out, &LineEvent::Edge { pin: 18, level: Level::Low, at, verdict }).unwrap();
        let camera = CameraKey::parse("r1").unwrap();
        write_event(&mut out, &LineEvent::Fired { pin: 18, camera, at }).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rest: Vec<&str> = text.lines().map(|line| &line[24..]).collect();
        assert_eq!(rest, ["  line 18  low   closing", "  line 18  fired -> r1"]);
    }
}
