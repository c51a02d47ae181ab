//! Whether a target can be reached: a look at its port now and then, so that the dashboard knows before a picture does,
//! and so that what waits goes out as soon as the network is back.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Poke;
use crate::config::UploadConfig;
use crate::model::TargetKind;
use crate::status::Status;
use crate::target::Target;

/// A port that has not answered by then counts as away.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// While a target is away it is looked at more often, because pictures wait.
const AWAY_INTERVAL: Duration = Duration::from_secs(5);

/// The watch over one target's connection.
pub struct Connectivity {
    target: Arc<Target>,
    kind: TargetKind,
    interval: Duration,
    status: Status,
    poke: Poke,
}

impl Connectivity {
    /// Watches `target` every `CONNECTIVITY_CHECK_INTERVAL`; `poke` wakes its lane.
    pub fn new(target: Arc<Target>, config: &UploadConfig, status: &Status, poke: Poke) -> Self {
        Self { kind: target.kind(), target, interval: config.check_interval, status: status.clone(), poke }
    }

    /// The target's kind.
    pub fn kind(&self) -> TargetKind {
        self.kind
    }

    /// Watches until cancelled.
    pub async fn run(&mut self, cancel: &CancellationToken) {
        loop {
            let (host, port) = self.target.address();
            let connection = timeout(CONNECT_LIMIT, TcpStream::connect((host.as_str(), port)));
            let found = tokio::select! {
                () = cancel.cancelled() => return,
                found = connection => found,
            };
            let error = match found {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(format!("{host}:{port} cannot be reached: {error}")),
                Err(_) => Some(format!("{host}:{port} does not answer")),
            };
            let is_reachable = error.is_none();
            let was_reachable =
                self.status.targets().iter().find(|t| t.kind == self.kind).and_then(|t| t.is_reachable);
            self.status.update_target(self.kind, |target| {
                target.is_reachable = Some(is_reachable);
                // What the target said to a picture tells more than an open port.
                if error.is_some() {
                    target.last_error = error;
                } else if was_reachable == Some(false) && !target.is_failing {
                    target.last_error = None;
                }
            });
            if is_reachable && was_reachable == Some(false) {
                info!(target = %self.kind, "target can be reached again");
                self.poke.poke();
            }
            let pause = if is_reachable { self.interval } else { self.interval.min(AWAY_INTERVAL) };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}
