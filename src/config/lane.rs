//! `…UPLOAD_PARALLEL` and `…UPLOAD_WINDOW`: how a target's pictures are sent, for all targets and for each.

use std::fmt;

use super::problem::Wrong;
use super::reader::{ReadResult, VariableReader};
use super::values::whole;
use crate::model::TargetId;

/// Most deliveries to one target at a time. Each holds a picture in memory, twice while it is sent.
const PARALLEL_MAX: u64 = 8;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// What `…UPLOAD_WINDOW` accepts.
const WINDOW: &str = "always, or a time of day to another such as 22:00-06:00";

/// Targets that may have settings of their own, by their names; a test holds them against those there are.
const NAMES: [&str; 4] = ["api", "s3", "discord", "relay"];

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
}

/// How pictures are sent, by target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanesConfig {
    /// Where a target has nothing of its own.
    pub(super) all: LaneConfig,
    /// What targets have of their own: name, `…_UPLOAD_PARALLEL`, `…_UPLOAD_WINDOW`.
    pub(super) own: Vec<Own>,
}

/// What one target has of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) name: &'static str,
    pub(super) parallel: Option<usize>,
    /// Inside: `None` is always.
    pub(super) window: Option<Option<Window>>,
}

impl Default for LanesConfig {
    /// One after the other, always.
    fn default() -> Self {
        Self { all: LaneConfig { parallel: 1, window: None }, own: Vec::new() }
    }
}

impl LanesConfig {
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Self> {
        let parallel = reader.required("UPLOAD_PARALLEL", parallel);
        let window = reader.required("UPLOAD_WINDOW", window);
        let own: Vec<ReadResult<Own>> = NAMES
            .into_iter()
            .map(|name| {
                let parallel = reader.optional(&variable(name, "UPLOAD_PARALLEL"), self::parallel);
                let window = reader.optional(&variable(name, "UPLOAD_WINDOW"), self::window);
                Ok(Own { name, parallel: parallel?, window: window? })
            })
            .collect();
        Ok(Self {
            all: LaneConfig { parallel: parallel?, window: window? },
            own: own.into_iter().collect::<ReadResult<_>>()?,
        })
    }

    /// How pictures are sent to a target.
    pub fn of(&self, kind: TargetId) -> LaneConfig {
        let own = self.own.iter().find(|own| own.name == kind.as_str());
        LaneConfig {
            parallel: own.and_then(|own| own.parallel).unwrap_or(self.all.parallel),
            window: own.and_then(|own| own.window).unwrap_or(self.all.window),
        }
    }
}

/// The name of a target's own variable.
pub(super) fn variable(target: &str, name: &str) -> String {
    format!("{}_{name}", target.to_ascii_uppercase())
}

/// A window as it is written in the configuration.
pub(super) fn written(window: Option<Window>) -> String {
    window.map_or_else(|| "always".to_owned(), |window| window.to_string())
}

fn parallel(text: &str) -> Result<usize, Wrong> {
    let parallel = whole(1..=PARALLEL_MAX, "deliveries")(text)?;
    // The range above fits.
    Ok(usize::try_from(parallel).unwrap_or(usize::MAX))
}

fn window(text: &str) -> Result<Option<Window>, Wrong> {
    if text.eq_ignore_ascii_case("always") {
        return Ok(None);
    }
    let (from, to) = text.split_once('-').ok_or_else(|| Wrong::new("not a time to another", WINDOW))?;
    let time = |text: &str| time(text.trim()).ok_or_else(|| Wrong::new("not a time of day", WINDOW));
    let (from_min, to_min) = (time(from)?, time(to)?);
    if from_min % DAY == to_min % DAY {
        let is_day = from_min != to_min;
        let what = if is_day { "is the whole day" } else { "begins and ends at the same time" };
        return Err(Wrong::new(what, WINDOW));
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
    use crate::model::TargetKind;

    fn api(pairs: &[(&str, &str)]) -> LaneConfig {
        config(pairs).lanes.of(TargetId::API)
    }

    #[test]
    fn one_after_the_other_and_always_unless_told_otherwise() {
        assert_eq!(api(&[]), LaneConfig { parallel: 1, window: None });
        let night = Some(Window { from_min: 22 * 60, to_min: 6 * 60 });
        let all = [("UPLOAD_PARALLEL", "4"), ("UPLOAD_WINDOW", "22:00-06:00")];
        assert_eq!(api(&all), LaneConfig { parallel: 4, window: night });
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
        assert_eq!(lane, LaneConfig { parallel: 2, window: None });
    }

    #[test]
    fn every_target_there_is_has_its_variables() {
        for kind in TargetKind::ALL.map(TargetId::first) {
            assert!(NAMES.contains(&kind.as_str()), "{kind}");
        }
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
