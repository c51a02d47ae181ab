//! What this process has written to the disk: a memory card bears only so much. Counted by the kernel, kept nowhere.

use std::time::{Duration, Instant};

/// A rate over less than this says nothing of a day.
const RATE_AFTER: Duration = Duration::from_secs(600);

const DAY_S: u128 = 24 * 60 * 60;

/// What was written since the program opened its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wear {
    /// Bytes handed to the disk, file system's own ones apart; those that were deleted before they got there do not
    /// count.
    pub written_bytes: u64,
    /// Since when.
    pub since: Duration,
    /// Triggers that led to a picture in that time.
    pub captures: u64,
}

impl Wear {
    /// Bytes in a day, if it goes on so; `None` in the first ten minutes.
    pub fn bytes_per_day(&self) -> Option<u64> {
        if self.since < RATE_AFTER {
            return None;
        }
        let per_day = u128::from(self.written_bytes) * DAY_S * 1000 / self.since.as_millis().max(1);
        Some(u64::try_from(per_day).unwrap_or(u64::MAX))
    }

    /// Bytes for each capture, everything else that was written included; `None` before the first.
    pub fn bytes_per_capture(&self) -> Option<u64> {
        self.written_bytes.checked_div(self.captures)
    }
}

/// Where counting began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    written_bytes: u64,
    at: Instant,
}

impl Beginning {
    pub(super) fn now() -> Self {
        Self { written_bytes: written().unwrap_or(0), at: Instant::now() }
    }

    /// `None` where the kernel does not count (no `CONFIG_TASK_IO_ACCOUNTING`).
    pub(super) fn until_now(&self, captures: u64) -> Option<Wear> {
        let written_bytes = written()?.saturating_sub(self.written_bytes);
        Some(Wear { written_bytes, since: self.at.elapsed(), captures })
    }
}

fn written() -> Option<u64> {
    parse(&std::fs::read_to_string("/proc/self/io").ok()?)
}

/// Bytes written less those that were cancelled, of the text of `/proc/<pid>/io` (proc(5)).
fn parse(text: &str) -> Option<u64> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<u64>().ok()
    };
    Some(field("write_bytes:")?.saturating_sub(field("cancelled_write_bytes:").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_reached_the_disk_does_not_count() {
        let text = "rchar: 6976\nwchar: 9\nread_bytes: 0\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n";
        assert_eq!(parse(text), Some(4096));
        assert_eq!(parse("rchar: 6976\n"), None);
        assert_eq!(parse("write_bytes: many\n"), None);
    }

    #[test]
    fn a_day_and_a_capture_are_reckoned_from_what_there_is() {
        let wear = |seconds, captures| Wear {
            written_bytes: 1_000_000,
            since: Duration::from_secs(seconds),
            captures,
        };
        assert_eq!(wear(599, 1).bytes_per_day(), None);
        assert_eq!(wear(864, 1).bytes_per_day(), Some(100_000_000));
        assert_eq!(wear(864, 0).bytes_per_capture(), None);
        assert_eq!(wear(864, 4).bytes_per_capture(), Some(250_000));
    }
}
