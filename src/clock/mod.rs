//! The only place that asks what time it is on the wall.
//!
//! Arithmetic is done on the monotonic clock ([`Instant`], which is `CLOCK_MONOTONIC` on Linux, the clock of the
//! kernel's edge time stamps). Wall time is for names, rows and people. It may be wrong, and it may be set at any moment:
//! a Raspberry Pi has no clock of its own. `CLOCK_BOOTTIME` is never set, so the distance of the two ([`offset_ms`]) tells
//! when that happens and what an earlier time should have been.

pub mod daily;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::sync::Notify;

use crate::model::{Moment, UnixMs};
use crate::system::timex;

/// There where systemd-timesyncd runs (systemd-timesyncd.service(8)).
const TIMESYNC: &str = "/run/systemd/timesync";

/// There once systemd-timesyncd has set the clock in this boot.
const TIMESYNC_FLAG: &str = "/run/systemd/timesync/synchronized";

/// The kernel gives this as the largest error of a clock that nobody has set (`NTP_PHASE_LIMIT`), and so does one whose
/// time service has been away for nine hours.
const UNSET_ERROR_US: i64 = 16_000_000;

/// 2026-01-01, the year this version was made; a clock before it has not been set.
const MADE: UnixMs = UnixMs(1_767_225_600_000);

/// Wall time now.
pub fn now() -> UnixMs {
    #[cfg(test)]
    if let Some(simulated) = simulated::now() {
        return simulated;
    }
    #[expect(clippy::disallowed_methods, reason = "this is the only wall clock")]
    let now = SystemTime::now();
    let ms = match now.duration_since(UNIX_EPOCH) {
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

/// This instant, by both clocks.
pub fn moment() -> Moment {
    Moment { at: Instant::now(), wall: now() }
}

/// A monotonic instant with its wall time, by the wall clock as it stands now.
pub fn moment_of(at: Instant) -> Moment {
    Moment { at, wall: wall_at(at) }
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

/// The instant at which a clock on the wall of this site shows this date and time (year, month, day, hour, minute,
/// second); `None` for one that cannot be. Of an hour that comes twice, the first.
pub fn of_local([year, month, day, hour, minute, second]: [i16; 6]) -> Option<UnixMs> {
    let small = |number: i16| i8::try_from(number).ok();
    let (month, day) = (small(month)?, small(day)?);
    let (hour, minute, second) = (small(hour)?, small(minute)?, small(second)?);
    let shown = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let zoned = shown.to_zoned(jiff::tz::TimeZone::system()).ok()?;
    Some(UnixMs(zoned.timestamp().as_millisecond()))
}

/// Wall time minus time since boot, in milliseconds. Only setting the wall clock changes it by more than a few; adjusting
/// its speed moves both.
pub fn offset_ms() -> i64 {
    const TRIES: usize = 20;
    let mut best: Option<(i64, i64)> = None;
    for _ in 0..TRIES {
        let (before, wall) = (boot_ms(), now());
        let apart = boot_ms() - before;
        if best.is_none_or(|(least, _)| apart < least) {
            best = Some((apart, wall.0.saturating_sub(before)));
        }
        if apart == 0 {
            break;
        }
    }
    best.map_or(0, |(_, offset)| offset)
}

/// Hours and minutes at this site at that instant, such as `10:31`.
pub fn time_of_day(at: UnixMs) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map(|stamp| stamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M").to_string())
        .unwrap_or_default()
}

/// Whether the clock has been set in this boot, by whatever time service the system has.
pub fn is_synchronised() -> bool {
    let is_there = |path: &str| std::path::Path::new(path).exists();
    let timesync = is_there(TIMESYNC).then(|| is_there(TIMESYNC_FLAG));
    is_set(now(), timesync, timex::max_error_us())
}

/// Whether the wall clock shows a time before this version was made.
pub fn is_implausible(now: UnixMs) -> bool {
    now < MADE
}

/// What the signs of a set clock amount to. systemd-timesyncd, if it runs, leaves a flag (`timesync`); every time service
/// tells the kernel how far off the clock may be. Where the kernel cannot be asked and there is no systemd-timesyncd, as
/// in some containers, the clock is the host's business, and a plausible one is believed.
fn is_set(now: UnixMs, timesync: Option<bool>, max_error_us: Option<i64>) -> bool {
    let by_kernel = max_error_us.map(|error| error < UNSET_ERROR_US);
    !is_implausible(now) && (timesync == Some(true) || by_kernel.unwrap_or(timesync.is_none()))
}

/// Rings when the wall clock is set, by whomever.
#[derive(Clone, Debug)]
pub struct SetAlarm {
    rung: Arc<Notify>,
}

impl SetAlarm {
    /// A timer of the kernel that is cancelled when the clock is set (`TFD_TIMER_CANCEL_ON_SET`), and a thread that sleeps
    /// on it. An error means that this kernel has none.
    pub fn new() -> io::Result<Self> {
        /// The thread calls two functions.
        const STACK: usize = 64 * 1024;
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC)?;
        arm(&timer)?;
        let rung = Arc::new(Notify::new());
        let listener = Arc::downgrade(&rung);
        let wait = move || {
            // ECANCELED says that the clock was set; a number of expirations would say that 2100 has come.
            let mut expirations = [0; 8];
            loop {
                match rustix::io::read(&timer, &mut expirations) {
                    Ok(_) | Err(rustix::io::Errno::CANCELED) => {}
                    Err(rustix::io::Errno::INTR) => continue,
                    Err(_) => return,
                }
                let Some(rung) = listener.upgrade() else { return };
                rung.notify_one();
                if arm(&timer).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("clock".to_owned()).stack_size(STACK).spawn(wait)?;
        Ok(Self { rung })
    }

    /// Waits until the clock is set. Dropping it halfway loses nothing.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }
}

fn arm(timer: &OwnedFd) -> io::Result<()> {
    /// 2100-01-01.
    const FAR: i64 = 4_102_444_800;
    let never = Timespec { tv_sec: 0, tv_nsec: 0 };
    let at = Itimerspec { it_interval: never, it_value: Timespec { tv_sec: FAR, tv_nsec: 0 } };
    timerfd_settime(timer, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &at)?;
    Ok(())
}

fn timespec(time: Timespec) -> Duration {
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A wall clock that follows the paused clock of a test's runtime, on the test's own thread.
#[cfg(test)]
pub(crate) mod simulated {
    use std::cell::Cell;

    use tokio::time::Instant;

    use crate::model::UnixMs;

    thread_local! {
        static SET: Cell<Option<(Instant, UnixMs)>> = const { Cell::new(None) };
    }

    /// Sets it.
    pub(crate) fn set(at: UnixMs) {
        SET.set(Some((Instant::now(), at)));
    }

    /// What it shows, if it was set.
    pub(super) fn now() -> Option<UnixMs> {
        let (since, at) = SET.get()?;
        Some(at.plus_ms(i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX)))
    }
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
    fn any_time_service_makes_the_clock_a_set_one_and_1970_never_is() {
        let (today, unset) = (UnixMs(1_795_132_800_000), Some(UNSET_ERROR_US));
        for (now, timesync, error, expected) in [
            (today, Some(true), unset, true),
            (today, Some(true), None, true),
            // chrony or ntpd.
            (today, None, Some(2_000), true),
            (today, Some(false), Some(2_000), true),
            (today, None, unset, false),
            (today, Some(false), unset, false),
            // A container that may not ask, and a service that may not.
            (today, None, None, true),
            (today, Some(false), None, false),
            (UnixMs(100_000), Some(true), Some(0), false),
            (UnixMs(100_000), None, None, false),
            (UnixMs(-1), Some(true), Some(0), false),
        ] {
            assert_eq!(is_set(now, timesync, error), expected, "{now:?} {timesync:?} {error:?}");
        }
    }

    #[tokio::test]
    async fn the_alarm_is_silent_while_nobody_sets_the_clock() {
        let alarm = SetAlarm::new().unwrap();
        let rung = futures_util::FutureExt::now_or_never(alarm.rung());
        assert!(rung.is_none());
    }

    #[test]
    fn the_offset_joins_the_two_clocks() {
        let apart = now().0 - (boot_ms() + offset_ms());
        assert!(apart.abs() < 20, "{apart} ms");
    }

    #[test]
    fn distances_carry_their_sign() {
        let origin = Instant::now();
        assert_eq!(signed_ms(origin + Duration::from_millis(40), origin), 40);
        assert_eq!(signed_ms(origin, origin + Duration::from_millis(40)), -40);
    }
}
