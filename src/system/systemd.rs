//! What systemd is told (sd_notify(3)). Outside systemd every call does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// The program serves.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The program is ending.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The program is alive.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] must be called, half of `WatchdogSec=`; `None` without a watchdog.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}
