//! One control connection, from greeting to goodbye. What follows from a command is decided in `dialog`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant as Deadline, sleep, sleep_until, timeout};
use tracing::{debug, warn};

use super::Shared;
use super::command::{ControlBuffer, ControlLine, FtpCommand};
use super::dialog::{ControlTls, Dialog, FtpStep};
use super::passive::AwaitedPort;
use super::reply::FtpReply;
use super::seats::{SessionSeat, Worth};
use super::secured::FtpStream;
use crate::config::Secret;
use crate::ingest::tries::client_of;
use crate::ingest::{Introduction, NotAdmitted};

/// What is said of who came in and who did not, as the dashboard's log has it.
const SECURITY: &str = "camera_capture::security";

/// Characters of a user name that are shown.
const USER_SHOWN: usize = 40;

/// Wrong log-ins of one session.
const WRONG_MAX: u32 = 3;

/// One client.
pub(super) struct FtpSession {
    pub(super) control: Control,
    pub(super) from: IpAddr,
    pub(super) seat: SessionSeat,
    pub(super) shared: Arc<Shared>,
    pub(super) dialog: Dialog,
    pub(super) port: Option<AwaitedPort>,
    began: Deadline,
    wrong: u32,
}

/// A control connection.
pub(super) struct Control {
    stream: FtpStream,
    /// The address of ours that the client has reached.
    local: SocketAddr,
    pub(super) buffer: ControlBuffer,
    /// The client says nothing more.
    pub(super) is_silent: bool,
}

/// Why no line comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SessionEnd {
    /// The client is gone.
    Gone,
    /// It said nothing for too long.
    Idle,
    /// The program ends, or somebody else needs the place.
    Asked,
}

impl Control {
    /// Reads what there is. Dropping the future loses nothing.
    pub(super) async fn fill(&mut self) {
        let mut bytes = [0; 1024];
        match self.stream.read(&mut bytes).await {
            Ok(0) | Err(_) => self.is_silent = true,
            Ok(count) => self.buffer.push(&bytes[..count]),
        }
    }
}

impl FtpSession {
    pub(super) fn new(
        stream: TcpStream,
        local: SocketAddr,
        from: IpAddr,
        seat: SessionSeat,
        shared: Arc<Shared>,
    ) -> Self {
        let stream = FtpStream::Plain(stream);
        let control = Control { stream, local, buffer: ControlBuffer::default(), is_silent: false };
        let tls = shared.certificate.as_ref().map_or(ControlTls::Absent, |certificate| ControlTls::Offered {
            is_required: certificate.is_required(),
        });
        let (dialog, began) = (Dialog::new(tls), Deadline::now());
        Self { control, from, seat, shared, dialog, port: None, began, wrong: 0 }
    }

    /// Answers until the client goes or has to. A picture that is being stored meanwhile is stored.
    pub(super) async fn run(mut self) {
        let mut goes_on = self.say(FtpReply::new(220, "camera-capture takes pictures")).await;
        while goes_on.is_ok() {
            goes_on = match self.next_line().await {
                Ok(ControlLine::Line(line)) => {
                    let step = self.dialog.hear(FtpCommand::parse(&line));
                    self.act(step).await
                }
                Ok(ControlLine::TooLong) => self.say(FtpReply::new(500, "the line is too long")).await,
                Err(SessionEnd::Gone) => return,
                Err(SessionEnd::Idle) => self.end(FtpReply::new(421, "nothing was said for too long")).await,
                Err(SessionEnd::Asked) => self.end(FtpReply::new(421, "closing, come again")).await,
            };
        }
    }

    /// The error says only that the session is over.
    async fn act(&mut self, step: FtpStep) -> io::Result<()> {
        match step {
            FtpStep::Say(reply) => self.say(reply).await,
            FtpStep::End(reply) => self.end(reply).await,
            FtpStep::Admit { user, password } => self.admit(&user, &password).await,
            FtpStep::Await { is_extended } => {
                let reply = self.await_data(is_extended);
                self.say(reply).await
            }
            FtpStep::Take(upload) => {
                self.seat.set(Worth::Busy);
                let reply = self.take(upload).await;
                self.seat.set(Worth::Idle);
                self.say(reply?).await
            }
            FtpStep::List => {
                let reply = self.list().await;
                self.say(reply?).await
            }
            FtpStep::Abort => {
                self.port = None;
                self.say(FtpReply::new(226, "nothing is under way")).await
            }
            FtpStep::Secure(reply) => {
                self.say(reply).await?;
                self.secure().await
            }
            FtpStep::Reinitialize => {
                self.port = None;
                self.seat.set(Worth::Stranger);
                self.began = Deadline::now();
                self.say(FtpReply::new(220, "begin anew")).await
            }
        }
    }

    /// One write, so that a client that takes whatever is there for the answer has all of it.
    pub(super) async fn say(&mut self, reply: FtpReply) -> io::Result<()> {
        let bytes = reply.bytes();
        let write = async {
            self.control.stream.write_all(&bytes).await?;
            self.control.stream.flush().await
        };
        timeout(self.shared.limits.reply, write).await.map_err(io::Error::from)?
    }

    /// Secures the control connection. Whatever was said before is forgotten: it may be somebody else's.
    async fn secure(&mut self) -> io::Result<()> {
        let (Some(certificate), Some(stream)) = (&self.shared.certificate, self.control.stream.take_plain())
        else {
            return Err(io::ErrorKind::ConnectionAborted.into());
        };
        self.control.buffer.forget();
        self.port = None;
        self.seat.set(Worth::Stranger);
        self.began = Deadline::now();
        let handshake = timeout(self.shared.limits.log_in, certificate.secure(stream));
        let secured = tokio::select! {
            secured = handshake => secured.map_err(io::Error::from).flatten(),
            () = self.seat.end().cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
        };
        self.control.stream = secured.inspect_err(|error| warn!(%error, "ftp: TLS did not come about"))?;
        self.dialog.secured();
        Ok(())
    }

    async fn end(&mut self, reply: FtpReply) -> io::Result<()> {
        self.say(reply).await?;
        // Its client may be gone already.
        let _ = self.control.stream.shutdown().await;
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    async fn next_line(&mut self) -> Result<ControlLine, SessionEnd> {
        let limits = self.shared.limits;
        let until = match self.dialog.device() {
            Some(_) => Deadline::now() + limits.control_idle,
            None => self.began + limits.log_in,
        };
        loop {
            if self.seat.end().is_cancelled() {
                return Err(SessionEnd::Asked);
            }
            if let Some(line) = self.control.buffer.next_line() {
                return Ok(line);
            }
            if self.control.is_silent {
                return Err(SessionEnd::Gone);
            }
            let released = self.port.as_ref().map(|port| port.since + limits.data_wait);
            tokio::select! {
                () = self.seat.end().cancelled() => return Err(SessionEnd::Asked),
                () = self.control.fill() => {}
                () = sleep_until(until) => return Err(SessionEnd::Idle),
                () = sleep_until(released.unwrap_or(until)), if released.is_some() => self.port = None,
            }
        }
    }

    /// Lets a device in, or says no: the same words, after the same time, whatever was wrong.
    async fn admit(&mut self, user: &str, password: &Secret<String>) -> io::Result<()> {
        let said = Introduction::Login { user, password };
        match self.shared.door.admit(self.from, said, Instant::now()) {
            Ok(device) => {
                debug!(device = %device.name, "ftp: logged in");
                self.seat.set(Worth::Idle);
                let reply = self.dialog.admit(device);
                return self.say(reply).await;
            }
            // The line that fail2ban looks for (docs/devices.md).
            Err(NotAdmitted::Wrong | NotAdmitted::Unknown) => {
                warn!(target: SECURITY, user = shown(user), "ftp: log-in refused from {}", self.from);
            }
            // Nobody looked at it.
            Err(NotAdmitted::TooMany { .. }) => {}
        }
        self.wrong += 1;
        tokio::select! {
            () = sleep(self.shared.limits.wrong_pause) => {}
            () = self.seat.end().cancelled() => {}
        }
        let refusal = FtpReply::new(530, "log-in refused");
        if self.wrong >= WRONG_MAX { self.end(refusal).await } else { self.say(refusal).await }
    }

    /// Opens a port for a data connection; the one before is released.
    fn await_data(&mut self, is_extended: bool) -> FtpReply {
        self.port = None;
        let local = match self.control.local.ip().to_canonical() {
            ip @ IpAddr::V4(_) => SocketAddr::new(ip, 0),
            IpAddr::V6(_) => self.control.local,
        };
        if !is_extended && local.is_ipv6() {
            return FtpReply::new(425, "PASV is for IPv4; use EPSV");
        }
        let opened = self.shared.ports.open(local, client_of(self.from));
        match opened.and_then(|port| Ok((port.address()?, port))) {
            Ok((address, port)) => {
                self.port = Some(port);
                if is_extended {
                    let words = format!("Entering Extended Passive Mode (|||{}|)", address.port());
                    FtpReply::new(229, &words)
                } else {
                    FtpReply::passive(address)
                }
            }
            Err(error) => {
                warn!(%error, "ftp: no port for a data connection");
                FtpReply::new(425, "no port is free for data, try later")
            }
        }
    }
}

/// A user name as one word of a log line: nothing in it can look like another part of the line.
fn shown(user: &str) -> String {
    let known = |c: char| if c.is_alphanumeric() || "@._-".contains(c) { c } else { '?' };
    user.chars().take(USER_SHOWN).map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_user_name_cannot_pretend_to_be_a_log_line() {
        assert_eq!(shown("cam_1"), "cam_1");
        assert_eq!(
            shown("x ftp: log-in refused from 192.0.2.1\r\n"),
            "x?ftp??log-in?refused?from?192.0.2.1??"
        );
        assert_eq!(shown(&"x".repeat(500)).len(), 40);
    }
}
