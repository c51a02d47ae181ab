//! Whether a target can be reached, where no delivery has told: a look at the first machine on the way now and then, so
//! that the dashboard knows before a picture does, and so that what waits goes out as soon as the network is back.
//!
//! How deliveries go is the judge. They know more than an open port, so a look never contradicts a fresh delivery, and
//! never calls a target on line that deliveries say is not.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::config::UploadConfig;
use crate::model::{TargetId, UploadFault};
use crate::status::Status;
use crate::store::{Wake, Wakes};
use crate::targets::{Hop, Target};

/// A port that has not answered by then counts as away.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The next address of a name is tried so much later, beside the one before (RFC 8305 section 5), as deliveries do it: a
/// machine that has IPv6 in name only would else be away for ever.
const NEXT_ADDRESS: Duration = Duration::from_millis(300);

/// While a target is away it is looked at more often, because pictures wait.
const AWAY_INTERVAL: Duration = Duration::from_secs(5);

/// The watch over one target's connection.
pub struct Connectivity {
    target: Arc<Target>,
    id: TargetId,
    interval: Duration,
    status: Status,
    wakes: Wakes,
    /// Whether the way was open at the last look.
    was_open: bool,
}

/// What a look at the way is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    /// Nothing: a delivery has just told.
    Nothing,
    /// Deliveries say that the target is away; when the way opens, it is time for the next.
    Hint,
    /// All that is known.
    Word,
}

impl Worth {
    /// `told` is how long ago a delivery last told how the target stands, `online` what is known.
    fn of(online: Option<bool>, told: Option<Duration>, interval: Duration) -> Self {
        match (told, online) {
            (None, _) => Self::Word,
            (Some(_), Some(false)) => Self::Hint,
            (Some(ago), _) if ago < interval => Self::Nothing,
            // An idle target.
            (Some(_), _) => Self::Word,
        }
    }
}

impl Connectivity {
    /// Watches `target` every `CONNECTIVITY_CHECK_INTERVAL`; `wakes` wakes its lane.
    pub fn new(target: Arc<Target>, config: &UploadConfig, status: &Status, wakes: &Wakes) -> Self {
        let (id, interval, status) = (target.id(), config.check_interval, status.clone());
        Self { id, target, interval, status, wakes: wakes.clone(), was_open: true }
    }

    /// Which target it is of.
    pub fn id(&self) -> TargetId {
        self.id
    }

    /// Watches until cancelled.
    pub async fn run(&mut self, cancel: &CancellationToken) {
        loop {
            if self.worth() != Worth::Nothing {
                let hop = self.target.first_hop();
                let found = tokio::select! {
                    () = cancel.cancelled() => return,
                    found = timeout(CONNECT_LIMIT, connect(&hop)) => found,
                };
                let error = match found {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => {
                        let error = error.to_string();
                        Some(UploadFault::HopUnreachable { hop: hop.address, proxy: hop.proxy, error })
                    }
                    Err(_) => Some(UploadFault::HopSilent { hop: hop.address, proxy: hop.proxy }),
                };
                self.found(error);
            }
            let is_away = !self.was_open || self.known().0 == Some(false);
            let pause = if is_away { self.interval.min(AWAY_INTERVAL) } else { self.interval };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// What is known, and when a delivery told it.
    fn known(&self) -> (Option<bool>, Option<Instant>) {
        let targets = self.status.targets();
        let target = targets.iter().find(|target| target.id == self.id);
        target.map_or((None, None), |target| (target.online, target.tried_at))
    }

    fn worth(&self) -> Worth {
        let (online, told_at) = self.known();
        Worth::of(online, told_at.map(|at| at.elapsed()), self.interval)
    }

    /// Follows from a look, which may have taken a while.
    fn found(&mut self, error: Option<UploadFault>) {
        let is_open = error.is_none();
        let has_opened = is_open && !self.was_open;
        self.was_open = is_open;
        if self.worth() == Worth::Word {
            self.status.update_target(self.id, |target| {
                if error.is_some() || target.is_reachable == Some(false) {
                    target.last_error = error;
                }
                // What deliveries told is over only with the way itself.
                if !is_open {
                    target.tried_at = None;
                }
                target.is_reachable = Some(is_open);
            });
        }
        if has_opened {
            info!(target = %self.id, "the way to the target is open again");
            self.wakes.raise(Wake::Reachable(self.id));
        }
    }
}

/// Connects to the first address of a name that answers.
async fn connect(hop: &Hop) -> io::Result<()> {
    let mut tries = JoinSet::new();
    let mut wait = Duration::ZERO;
    for address in lookup_host((hop.host.as_str(), hop.port)).await? {
        tries.spawn(async move {
            tokio::time::sleep(wait).await;
            TcpStream::connect(address).await
        });
        wait += NEXT_ADDRESS;
    }
    let mut found = Err(io::Error::other("its name has no address"));
    while let Some(tried) = tries.join_next().await {
        match tried.map_err(io::Error::other).flatten() {
            Ok(_) => return Ok(()),
            Err(error) => found = Err(error),
        }
    }
    found
}

#[cfg(test)]
#[path = "tests/connectivity.rs"]
mod tests;
