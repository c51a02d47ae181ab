//! The FTP server: pictures come in by it, and nothing goes out.
//!
//! Made for cameras, which know one way and give up where it is another: each trap is written down where it is handled.
//! `226` is said when the picture is safe. Folders, renames and removals are fiction; what is no picture is taken and let
//! go, or kept beside. Nobody does anything without a log-in; every read is bounded in bytes, time and number, and so are the sessions.
//! With a certificate both kinds of connections can be secured (RFC 4217).

mod beside;
mod command;
mod dialog;
mod held;
mod name;
mod passive;
mod reply;
mod seats;
mod secured;
mod session;
mod transfer;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span, warn};

use super::Door;
use super::tries::client_of;
use crate::capture::Pushes;
use crate::config::FtpConfig;
pub use dialog::rehearse;
use held::HeldBytes;
use passive::PassivePorts;
use reply::FtpReply;
use seats::Seats;
use secured::FtpCertificate;
use session::FtpSession;

/// Pause after a connection could not be accepted, because there are no open files left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How long everything may take. A camera whose network is gone says no goodbye: these end its session.
#[derive(Clone, Copy, Debug)]
struct FtpLimits {
    /// Until somebody has logged in.
    log_in: Duration,
    /// Between two commands.
    control_idle: Duration,
    /// Until a reply is taken.
    reply: Duration,
    /// Until the data connection is there, and as long a port waits for its STOR.
    data_wait: Duration,
    /// Between two pieces of a file.
    data_idle: Duration,
    /// A whole file.
    transfer: Duration,
    /// Until the picture is stored; then its sender is asked to come again.
    keep: Duration,
    /// Before a wrong log-in is answered.
    wrong_pause: Duration,
    /// Of a disk so much stays free of what is no picture, in percent.
    free_percent: u64,
}

const LIMITS: FtpLimits = FtpLimits {
    log_in: Duration::from_secs(30),
    control_idle: Duration::from_secs(120),
    reply: Duration::from_secs(15),
    data_wait: Duration::from_secs(20),
    data_idle: Duration::from_secs(20),
    transfer: Duration::from_secs(300),
    keep: Duration::from_secs(60),
    wrong_pause: Duration::from_secs(2),
    free_percent: 10,
};

/// The server.
pub struct FtpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What all sessions work with.
struct Shared {
    door: Arc<Door>,
    pushes: Pushes,
    ports: PassivePorts,
    seats: Seats,
    held: HeldBytes,
    certificate: Option<FtpCertificate>,
    limits: FtpLimits,
}

impl FtpServer {
    /// Sessions that there may be at once.
    pub const SESSIONS_MAX: usize = seats::SESSIONS_MAX;

    /// A server that will listen on an address of this machine.
    pub fn new(address: IpAddr, config: &FtpConfig, door: Arc<Door>, pushes: Pushes) -> Self {
        Self::with_limits(address, config, door, pushes, LIMITS)
    }

    fn with_limits(
        address: IpAddr,
        config: &FtpConfig,
        door: Arc<Door>,
        pushes: Pushes,
        limits: FtpLimits,
    ) -> Self {
        let shared = Shared {
            door,
            pushes,
            ports: PassivePorts::new(config.passive.clone()),
            seats: Seats::default(),
            held: HeldBytes::default(),
            certificate: config.tls.clone().map(FtpCertificate::new),
            limits,
        };
        Self { address: SocketAddr::new(address, config.port), shared: Arc::new(shared) }
    }

    /// Listens until cancelled; a picture that is being stored then is answered. The error says why it cannot listen.
    pub async fn run(&mut self, cancel: &CancellationToken) -> Result<(), String> {
        let wanted = self.address;
        let listener = TcpListener::bind(wanted).await.map_err(|error| {
            format!("cannot listen for FTP on {wanted}: {error}; set FTP_PORT to a port that is free")
        })?;
        if let Ok(address) = listener.local_addr() {
            info!(%address, "FTP server listens");
        }
        self.serve(listener, cancel).await;
        Ok(())
    }

    async fn serve(&self, listener: TcpListener, cancel: &CancellationToken) {
        let mut sessions = JoinSet::new();
        let mut is_failing = false;
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(_) = sessions.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        is_failing = false;
                        self.begin(stream, peer, cancel, &mut sessions);
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut is_failing, true) {
                            warn!(%error, "ftp: a connection could not be accepted");
                        }
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        drop(listener);
        while sessions.join_next().await.is_some() {}
    }

    fn begin(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        cancel: &CancellationToken,
        sessions: &mut JoinSet<()>,
    ) {
        let from = peer.ip().to_canonical();
        let Some(seat) = self.shared.seats.take(client_of(from), cancel) else {
            debug!(%from, "ftp: too many sessions");
            // A new connection takes this much; whether it is read is the client's affair.
            let _ = stream.try_write(&FtpReply::new(421, "too many sessions, try later").bytes());
            return;
        };
        // Each reply leaves at once and alone.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let Ok(local) = stream.local_addr() else { return };
        let session = FtpSession::new(stream, local, from, seat, Arc::clone(&self.shared));
        sessions.spawn(session.run().instrument(info_span!("ftp", %from)));
    }
}

#[cfg(test)]
mod tests;
