//! The only place that asks what time it is on the wall.
//!
//! Arithmetic is done on the monotonic clock ([`Instant`], which is `CLOCK_MONOTONIC` on Linux, the clock of the
//! kernel's edge time stamps). Wall time is for names, rows and people.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::UnixMs;

/// Present while systemd-timesyncd considers the clock synchronised (systemd-timesyncd.service(8)).
const TIMESYNC_FLAG: &str = "/run/systemd/timesync/synchronized";

/// Wall time now.
pub fn now() -> UnixMs {
    let ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    };
    UnixMs(ms)
}

/// Wall time of a monotonic instant, by the wall clock as it stands now.
pub fn wall_at(instant: Instant) -> UnixMs {
    let current = Instant::now();
    let ms = signed_ms(instant, current);
    now().plus_ms(ms)
}

/// Milliseconds from `origin` to `instant`, negative when it is earlier; rounded to the nearest.
pub fn signed_ms(instant: Instant, origin: Instant) -> i64 {
    let us = match instant.checked_duration_since(origin) {
        Some(later) => i64::try_from(later.as_micros()).unwrap_or(i64::MAX),
        None => -i64::try_from(origin.duration_since(instant).as_micros()).unwrap_or(i64::MAX),
    };
    (us + us.signum() * 500) / 1000
}

/// The instant of a kernel time stamp taken from `CLOCK_MONOTONIC` (gpio-v2 line events).
///
/// A stamp that lies in the future or more than a minute back is not of that clock; then the answer is now.
pub fn instant_of_monotonic(stamp: Duration) -> Instant {
    const PLAUSIBLE: Duration = Duration::from_secs(60);
    let (current, monotonic) = both_clocks();
    match monotonic.checked_sub(stamp) {
        Some(age) if age < PLAUSIBLE => current.checked_sub(age).unwrap_or(current),
        _ => current,
    }
}

/// The monotonic clock as an instant and as the kernel counts it, read together: a thread that is put aside between
/// the two readings tries again.
fn both_clocks() -> (Instant, Duration) {
    const TOGETHER: Duration = Duration::from_micros(100);
    const TRIES: usize = 20;
    let mut best: Option<(Duration, Instant, Duration)> = None;
    for _ in 0..TRIES {
        let before = Instant::now();
        let monotonic = timespec(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic));
        let apart = before.elapsed();
        if best.is_none_or(|(least, ..)| apart < least) {
            best = Some((apart, before, monotonic));
        }
        if apart < TOGETHER {
            break;
        }
    }
    best.map_or_else(|| (Instant::now(), Duration::ZERO), |(_, before, monotonic)| (before, monotonic))
}

/// Milliseconds since boot, suspended time included (`CLOCK_BOOTTIME`).
pub fn boot_ms() -> i64 {
    let since = timespec(rustix::time::clock_gettime(rustix::time::ClockId::Boottime));
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The kernel's identity of this boot, or an empty text where it has none.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// Seconds east of UTC at this site at that instant.
pub fn utc_offset_s(at: UnixMs) -> i32 {
    let zone = jiff::tz::TimeZone::system();
    jiff::Timestamp::from_millisecond(at.0).map_or(0, |stamp| zone.to_offset(stamp).seconds())
}

/// Whether the system says that its clock has been set from the network in this boot.
pub fn is_synchronised() -> bool {
    std::path::Path::new(TIMESYNC_FLAG).exists()
}

fn timespec(time: rustix::time::Timespec) -> Duration {
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_stamp_of_just_now_is_an_instant_of_just_now() {
        let stamp = timespec(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic));
        let earlier = stamp - Duration::from_millis(500);
        let ms = signed_ms(Instant::now(), instant_of_monotonic(earlier));
        assert!((500..600).contains(&ms), "{ms}");
    }

    #[test]
    fn a_stamp_of_another_clock_counts_as_now() {
        let ms = signed_ms(Instant::now(), instant_of_monotonic(Duration::from_secs(1 << 40)));
        assert!(ms < 100, "{ms}");
    }

    #[test]
    fn distances_carry_their_sign() {
        let origin = Instant::now();
        assert_eq!(signed_ms(origin + Duration::from_millis(40), origin), 40);
        assert_eq!(signed_ms(origin, origin + Duration::from_millis(40)), -40);
    }
}
