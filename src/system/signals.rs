//! Signals: which stop the daemon, and that none of the usual ones ends it without an orderly stop.
//!
//! SIGTERM, SIGINT, SIGQUIT and SIGHUP (the window of ssh was closed) stop it in order. SIGUSR1, SIGUSR2 and SIGALRM, which
//! other programs rotate logs or read settings at, would kill by their default action (signal(7)); they change nothing
//! here, and the log says so. SIGPIPE is ignored by the runtime of the language.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

/// Number of SIGHUP on every Linux (signal(7)).
const HANGUP: u32 = 1;

/// Everything that is listened for from the moment this exists.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    /// `None` if whoever started the program had SIGHUP ignored, as nohup(1) does: then it is to run on.
    hangup: Option<Signal>,
    first_user: Signal,
    second_user: Signal,
    alarm: Signal,
}

impl Signals {
    /// Begins to listen; from now on none of them has its default action, also when this is dropped.
    /// The error is that of sigaction(2).
    pub fn new() -> io::Result<Self> {
        let is_ignored =
            std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, HANGUP));
        let hangup = if is_ignored { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup,
            first_user: signal(SignalKind::user_defined1())?,
            second_user: signal(SignalKind::user_defined2())?,
            alarm: signal(SignalKind::alarm())?,
        })
    }

    /// Waits for the first one that stops.
    pub async fn asked(&mut self) -> StopAsked {
        let (name, needed) = loop {
            let hangup = async {
                match &mut self.hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            let ignored = tokio::select! {
                _ = self.terminate.recv() => break ("SIGTERM", 1),
                _ = self.interrupt.recv() => break ("SIGINT", 1),
                _ = self.quit.recv() => break ("SIGQUIT", 1),
                _ = hangup => break ("SIGHUP", 2),
                _ = self.first_user.recv() => "SIGUSR1",
                _ = self.second_user.recv() => "SIGUSR2",
                _ = self.alarm.recv() => "SIGALRM",
            };
            info!(
                signal = ignored,
                "this signal changes nothing; restart the program to read the settings again"
            );
        };
        info!(signal = name, "asked to stop");
        StopAsked { needed }
    }
}

/// The first signal that stops has come.
#[must_use]
pub struct StopAsked {
    /// How many more end the process at once: one, but two behind a SIGHUP, because a session that ends sends both.
    needed: u8,
}

impl StopAsked {
    /// Waits until a further SIGTERM or SIGINT asks for the end at once, for a person who will not wait.
    pub async fn at_once(self) {
        // New ones, because only those behind the first shall be waited for.
        let Ok(mut further) = Signals::new() else { return std::future::pending().await };
        for _ in 0..self.needed {
            tokio::select! {
                _ = further.terminate.recv() => {}
                _ = further.interrupt.recv() => {}
            }
        }
    }
}

/// Whether `status`, the text of `/proc/self/status`, says that signal `number` is ignored (`SigIgn`, proc(5)).
fn ignores(status: &str, number: u32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    number.checked_sub(1).is_some_and(|bit| mask.checked_shr(bit).unwrap_or(0) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status =
            |mask: &str| format!("Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\nSigCgt:\t1\n");
        assert!(ignores(&status("0000000000001001"), HANGUP));
        assert!(!ignores(&status("0000000000001000"), HANGUP));
        assert!(!ignores(&status("x"), HANGUP));
        assert!(!ignores("", HANGUP));
        assert!(!ignores(&status("ffffffffffffffff"), 0) && !ignores(&status("ffffffffffffffff"), 65));
    }
}
