//! `…UPLOAD_PARALLEL` and `…UPLOAD_WINDOW`: how a target's pictures are sent, for all targets and for each.

use std::fmt;
use std::time::Duration;

use super::problem::Wrong;
use super::values::whole;

/// Most deliveries to one target at a time. Each holds a picture in memory, twice while it is sent.
const PARALLEL_MAX: u64 = 8;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// What `…UPLOAD_WINDOW` accepts.
const ACCEPTED: &str = "always, or a time of day to another such as 22:00-06:00";

/// Deliveries at a time, for all targets.
pub(super) const PARALLEL: &str = "UPLOAD_PARALLEL";

/// When anything is sent, for all targets.
pub(super) const WINDOW: &str = "UPLOAD_WINDOW";

/// A part of every day by the site's local time; one that ends before it begins spans midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Minutes after midnight, 0 to 1439.
    pub from_min: u16,
    /// Minutes after midnight, 0 to 1440; never equal to `from_min`.
    pub to_min: u16,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from_min, to_min } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from_min / 60, from_min % 60, to_min / 60, to_min % 60)
    }
}

/// How one target's pictures are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneConfig {
    /// `UPLOAD_PARALLEL`, 1 to 8: deliveries at a time.
    pub parallel: usize,
    /// `UPLOAD_WINDOW`: when anything is sent; `None` is always.
    pub window: Option<Window>,
    /// `RELAY_INTERVAL`: the rest between two rounds of sending; `None` sends at once.
    pub every: Option<Duration>,
}

/// A window as it is written in the configuration.
pub(super) fn written(window: Option<Window>) -> String {
    window.map_or_else(|| "always".to_owned(), |window| window.to_string())
}

pub(super) fn parallel(text: &str) -> Result<usize, Wrong> {
    let parallel = whole(1..=PARALLEL_MAX, "deliveries")(text)?;
    // The range above fits.
    Ok(usize::try_from(parallel).unwrap_or(usize::MAX))
}

pub(super) fn window(text: &str) -> Result<Option<Window>, Wrong> {
    if text.eq_ignore_ascii_case("always") {
        return Ok(None);
    }
    let (from, to) = text.split_once('-').ok_or_else(|| Wrong::new("not a time to another", ACCEPTED))?;
    let time = |text: &str| time(text.trim()).ok_or_else(|| Wrong::new("not a time of day", ACCEPTED));
    let (from_min, to_min) = (time(from)?, time(to)?);
    if from_min % DAY == to_min % DAY {
        let is_day = from_min != to_min;
        let what = if is_day { "is the whole day" } else { "begins and ends at the same time" };
        return Err(Wrong::new(what, ACCEPTED));
    }
    Ok(Some(Window { from_min: from_min % DAY, to_min }))
}

/// `22:00` as minutes after midnight; 24:00 is the end of the day.
fn time(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| {
        let is_plain = digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| is_plain)
    };
    let (hours, minutes) = (number(hours, 1..=2)?, number(minutes, 2..=2)?);
    let sum = hours * 60 + minutes;
    (minutes < 60 && sum <= DAY).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem, problems};
    use super::*;
    use crate::model::TargetId;

    fn api(pairs: &[(&str, &str)]) -> LaneConfig {
        let pairs = [&[("S3_API_URL", "https://api.example/up")], pairs].concat();
        config(&pairs).upload.target(TargetId::API).unwrap().lane
    }

    #[test]
    fn one_after_the_other_and_always_unless_told_otherwise() {
        assert_eq!(api(&[]), LaneConfig { parallel: 1, window: None, every: None });
        let night = Some(Window { from_min: 22 * 60, to_min: 6 * 60 });
        let all = [("UPLOAD_PARALLEL", "4"), ("UPLOAD_WINDOW", "22:00-06:00")];
        assert_eq!(api(&all), LaneConfig { parallel: 4, window: night, every: None });
    }

    #[test]
    fn a_target_may_have_its_own() {
        let lane = api(&[
            ("UPLOAD_PARALLEL", "4"),
            ("API_UPLOAD_PARALLEL", "2"),
            ("UPLOAD_WINDOW", "1:30-2:00"),
            ("API_UPLOAD_WINDOW", "Always"),
            ("S3_UPLOAD_PARALLEL", "8"),
        ]);
        assert_eq!(lane, LaneConfig { parallel: 2, window: None, every: None });
    }

    #[test]
    fn windows_are_read_and_written_alike() {
        for (text, from_min, to_min) in [
            ("22:00-06:00", 1320, 360),
            ("0:05 - 24:00", 5, 1440),
            ("24:00-01:00", 0, 60),
            ("23:59-00:00", 1439, 0),
        ] {
            let read = window(text).unwrap().unwrap();
            assert_eq!(read, Window { from_min, to_min }, "{text}");
            assert_eq!(window(&read.to_string()), Ok(Some(read)), "{text}");
        }
        for text in [
            "22-6",
            "22:00",
            "22:60-23:00",
            "24:01-1:00",
            "1:00-1:00",
            "00:00-24:00",
            "-1:00-2:00",
            "1:0-2:00",
            "night",
        ] {
            assert!(window(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_a_problem_of_its_variable() {
        for (name, value) in [
            ("UPLOAD_PARALLEL", "0"),
            ("UPLOAD_PARALLEL", "9"),
            ("RELAY_UPLOAD_PARALLEL", "two"),
            ("UPLOAD_WINDOW", "22:00"),
            ("DISCORD_UPLOAD_WINDOW", "25:00-26:00"),
        ] {
            assert!(problem(&[(name, value)]).starts_with(&format!("{name}: ")), "{name}={value}");
        }
        let both = [("UPLOAD_PARALLEL", "x"), ("S3_UPLOAD_WINDOW", "x"), ("S3_UPLOAD_PARALLEL", "x")];
        assert_eq!(problems(&both).len(), 3);
    }
}
