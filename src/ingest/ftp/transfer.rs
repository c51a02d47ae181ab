//! One file on its way: the data connection, its bytes, and what is said of them.
//!
//! A picture is judged by itself: it is whole if it ends as a JPEG does, however its connection ended. Some devices close
//! with a reset, some not at all, and a camera that loses its power closes like one that is done.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant as Deadline, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::beside::BesideFile;
use super::dialog::Upload;
use super::held::HeldShare;
use super::name::{self, Promise};
use super::passive::AwaitedPort;
use super::reply::FtpReply;
use super::secured::FtpStream;
use super::session::FtpSession;
use crate::capture::{AcceptedPush, PushRefusal, PushedPicture, RefusedPicture};
use crate::clock;
use crate::config::DeviceConfig;
use crate::model::{Cause, Moment, NoPicture, foreign};

/// Longest file that is taken and let go: a clip beside a picture.
const SIBLING_BYTES_MAX: u64 = 1 << 30;

/// One read of a data connection.
const PIECE: usize = 16 << 10;

/// Characters of a name that are shown.
const NAME_SHOWN: usize = 80;

/// With what every JPEG begins.
const SOI: [u8; 2] = [0xff, 0xd8];

/// How the bytes of a file came to their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DataEnd {
    /// The client closed its side.
    Closed,
    /// The connection broke, or nothing came for too long.
    Broken,
    /// It took too long altogether.
    Slow,
    /// The client said ABOR.
    Aborted,
    /// More bytes than the device may bring; the rest was not read.
    TooLarge,
    /// Too many pictures are on their way.
    NoRoom,
    /// The program ends.
    Stopping,
}

/// What came.
struct Received {
    bytes: Vec<u8>,
    /// Also of what was let go.
    count: u64,
    end: DataEnd,
    is_picture: bool,
    /// What is no picture, if it is kept.
    beside: Option<BesideFile>,
    /// The memory of `bytes`.
    _held: HeldShare,
}

impl FtpSession {
    /// Takes a file; the reply says what became of it. The error says that the client is gone.
    pub(super) async fn take(&mut self, upload: Upload) -> io::Result<FtpReply> {
        let Some(device) = self.dialog.device().cloned() else {
            return Ok(FtpReply::new(530, "log in first"));
        };
        if self.port.is_none() {
            return Ok(FtpReply::new(425, "use PASV first"));
        }
        let promise = name::promise(&upload.path);
        if promise != Promise::Other
            && let Some(refusal) = self.one_too_many(&device).await
        {
            self.port = None;
            return Ok(refusal);
        }
        let arrived = clock::moment();
        let Some(stream) = self.open_data(&upload).await? else {
            warn!(device = %device.name, "ftp: a file was announced and no data connection came");
            return Ok(self.no_data());
        };
        let received = self.receive(stream, &device, promise).await;
        let shown = foreign::line(name::last_part(&upload.path), NAME_SHOWN);
        if !received.is_picture {
            return Ok(self.let_go(&upload, &shown, &device, arrived, received).await);
        }
        // A picture under the name of something else was not counted before it came.
        if promise == Promise::Other
            && let Some(refusal) = self.one_too_many(&device).await
        {
            return Ok(refusal);
        }
        let (count, end) = (received.count, received.end);
        match end {
            DataEnd::TooLarge => {
                let limit = device.max_bytes;
                let reason = NoPicture::TooLarge { bytes: count, limit };
                self.refuse(&device, arrived, reason).await;
                return Ok(FtpReply::new(552, &format!("larger than {limit} bytes")));
            }
            DataEnd::NoRoom => {
                warn!(device = %device.name, file = shown, "ftp: too many pictures are on their way");
                let detail = "too many pictures are on their way".to_owned();
                let reason = NoPicture::NotStored { detail };
                self.refuse(&device, arrived, reason).await;
                return Ok(FtpReply::new(452, "too many pictures are on their way, send it again"));
            }
            DataEnd::Closed | DataEnd::Broken | DataEnd::Slow | DataEnd::Aborted | DataEnd::Stopping => {}
        }
        let own_name = Some(name::own_name(&upload.path).to_owned())
            .filter(|name| device.keeps_name && !name.is_empty());
        let pushed = PushedPicture {
            cause: Cause::Ftp,
            device: device.name.clone(),
            camera: device.camera.clone(),
            bytes: received.bytes,
            pixels_max: device.max_pixels,
            arrived,
            taken_at: None,
            own_name,
            first_id: None,
        };
        let Ok(kept) = timeout(self.shared.limits.keep, self.shared.pushes.keep(pushed)).await else {
            warn!(device = %device.name, file = shown, "ftp: storing takes too long, the picture is asked for again");
            return Ok(FtpReply::new(451, "storing takes too long, send it again"));
        };
        if kept.is_ok() {
            self.dialog.took(&upload.path, count);
        }
        Ok(answer(&kept, end, count))
    }

    /// Takes one of the pictures that the device may bring now; what is said if it may not.
    async fn one_too_many(&self, device: &DeviceConfig) -> Option<FtpReply> {
        let wait = self.shared.door.take(device, Instant::now()).err()?;
        let reason = NoPicture::TooOften { per_minute: device.per_minute.into() };
        self.refuse(device, clock::moment(), reason).await;
        Some(FtpReply::new(450, &format!("too many pictures a minute, wait {} s", wait.as_secs() + 1)))
    }

    async fn refuse(&self, device: &DeviceConfig, arrived: Moment, reason: NoPicture) {
        let (device, camera) = (device.name.clone(), device.camera.clone());
        let refused = RefusedPicture { cause: Cause::Ftp, device, camera, arrived, reason, came: Vec::new() };
        self.shared.pushes.refuse(refused).await;
    }

    /// Shows that there is nothing.
    pub(super) async fn list(&mut self) -> io::Result<FtpReply> {
        if self.port.is_none() {
            return Ok(FtpReply::new(425, "use PASV first"));
        }
        let nothing = Upload { path: String::new(), is_unique: false };
        Ok(match self.open_data(&nothing).await? {
            Some(mut stream) => {
                // Whoever has gone already is told all the same.
                let _ = timeout(self.shared.limits.reply, stream.shutdown()).await;
                FtpReply::new(226, "nothing is listed")
            }
            None => self.no_data(),
        })
    }

    fn no_data(&self) -> FtpReply {
        let words = match self.dialog.is_data_secured() {
            true => "no data connection with TLS came from your address",
            false => "no data connection came from your address",
        };
        FtpReply::new(425, words)
    }

    /// Says `150` and waits for the data connection of this client, and for nobody else's; it is secured as was agreed.
    async fn open_data(&mut self, upload: &Upload) -> io::Result<Option<FtpStream>> {
        let Some(port) = self.port.take() else { return Ok(None) };
        let words = if upload.is_unique {
            format!("FILE: {}", foreign::line(name::last_part(&upload.path), NAME_SHOWN))
        } else {
            "send".to_owned()
        };
        // Before the connection is there: some clients open it only when they have read this.
        self.say(FtpReply::new(150, &words)).await?;
        tokio::select! {
            opened = self.opened(port) => Ok(opened),
            () = sleep(self.shared.limits.data_wait) => Ok(None),
            () = self.seat.end().cancelled() => Ok(None),
        }
    }

    async fn opened(&self, port: AwaitedPort) -> Option<FtpStream> {
        let stream: TcpStream = port.accept(self.from).await.ok()?;
        match self.shared.certificate.as_ref().filter(|_| self.dialog.is_data_secured()) {
            None => Some(FtpStream::Plain(stream)),
            Some(certificate) => {
                let secured = certificate.secure(stream).await;
                secured.inspect_err(|error| warn!(%error, "ftp: TLS for data did not come about")).ok()
            }
        }
    }

    /// Reads a file to its end; of what is no picture only the length.
    async fn receive(
        &mut self,
        mut stream: FtpStream,
        device: &Arc<DeviceConfig>,
        promise: Promise,
    ) -> Received {
        let limits = self.shared.limits;
        let most = usize::try_from(device.max_bytes).unwrap_or(usize::MAX);
        let mut held = self.shared.held.share(device.number);
        let (mut bytes, mut count, mut is_picture) = (Vec::new(), 0_u64, true);
        let mut beside = None;
        let mut piece = vec![0; PIECE];
        let until = Deadline::now() + limits.transfer;
        let mut idle_until = Deadline::now() + limits.data_idle;
        let end = loop {
            if self.control.buffer.wants_to_abort() {
                break DataEnd::Aborted;
            }
            let may_speak = !self.control.is_silent && !self.control.buffer.is_full();
            let read = tokio::select! {
                read = stream.read(&mut piece) => read,
                () = self.control.fill(), if may_speak => continue,
                () = sleep_until(idle_until) => break DataEnd::Broken,
                () = sleep_until(until) => break DataEnd::Slow,
                () = self.seat.end().cancelled() => break DataEnd::Stopping,
            };
            let length = match read {
                Ok(0) => break DataEnd::Closed,
                Ok(length) => length,
                Err(_) => break DataEnd::Broken,
            };
            idle_until = Deadline::now() + limits.data_idle;
            count += length as u64;
            if is_picture {
                if bytes.len() + length > most {
                    break DataEnd::TooLarge;
                }
                if !held.grow(length) {
                    break DataEnd::NoRoom;
                }
                bytes.extend_from_slice(&piece[..length]);
                is_picture =
                    bytes.len() < SOI.len() || promise == Promise::Picture || bytes.starts_with(&SOI);
                if !is_picture {
                    beside = self.begin_beside(device, &bytes).await;
                }
            } else if count > SIBLING_BYTES_MAX {
                break DataEnd::TooLarge;
            } else if let Some(file) = &mut beside
                && let Err(error) = file.write(&piece[..length]).await
            {
                not_kept(device, &error);
                beside = None;
            }
        };
        if end == DataEnd::Closed {
            // A client that secured it waits for our goodbye; one that did not is told nothing by it.
            let _ = timeout(limits.reply, stream.shutdown()).await;
        }
        // Too short to say what it is: a file that should be something else may be empty, a picture may not.
        is_picture &= promise != Promise::Other || bytes.len() >= SOI.len();
        Received { bytes, count, end, is_picture, beside, _held: held }
    }

    /// Begins to keep what is no picture, where that is wanted.
    async fn begin_beside(&self, device: &DeviceConfig, begin: &[u8]) -> Option<BesideFile> {
        let folder = device.clips.as_ref()?;
        let begun = async {
            let mut file = BesideFile::begin(folder, self.shared.limits.free_percent).await?;
            file.write(begin).await.map(|()| file)
        };
        begun.await.inspect_err(|error| not_kept(device, error)).ok()
    }

    /// Answers for a file that is no picture.
    async fn let_go(
        &mut self,
        upload: &Upload,
        file: &str,
        device: &DeviceConfig,
        arrived: Moment,
        received: Received,
    ) -> FtpReply {
        let bytes = received.count;
        match received.end {
            DataEnd::Closed => {
                self.dialog.took(&upload.path, bytes);
                if let Some(beside) = received.beside {
                    match beside.finish(&upload.path, arrived.wall).await {
                        Ok(name) => {
                            info!(device = %device.name, file, bytes, name, "ftp: no picture, kept beside");
                            return FtpReply::new(226, "no picture, kept beside");
                        }
                        Err(error) => not_kept(device, &error),
                    }
                }
                info!(device = %device.name, file, bytes, "ftp: no picture, taken and not kept");
                FtpReply::new(226, "no picture, taken and not kept")
            }
            DataEnd::TooLarge => FtpReply::new(552, "too large"),
            DataEnd::Broken | DataEnd::Slow | DataEnd::Aborted | DataEnd::NoRoom | DataEnd::Stopping => {
                debug!(device = %device.name, file, bytes, "ftp: a file that is no picture came in part");
                FtpReply::new(426, "the transfer ended too early")
            }
        }
    }
}

fn not_kept(device: &DeviceConfig, error: &io::Error) {
    let setting = format!("INGEST_{}_CLIPS_FOLDER", device.number);
    warn!(device = %device.name, setting, %error, "ftp: what is no picture cannot be kept");
}

/// What is said of a picture, by what its sender can do: 4 begins what may be sent again, 5 what may not.
fn answer(kept: &Result<AcceptedPush, PushRefusal>, end: DataEnd, count: u64) -> FtpReply {
    let is_whole = end == DataEnd::Closed;
    match kept {
        Ok(accepted) => FtpReply::new(226, &format!("stored as {}", accepted.filename)),
        Err(_) if !is_whole => FtpReply::new(426, "the transfer ended too early, send it again"),
        Err(_) if count == 0 => FtpReply::new(451, "nothing came, send it again"),
        Err(refusal) => {
            let code = match (refusal, refusal.reason()) {
                (_, NoPicture::Torn { .. }) => 451,
                (_, NoPicture::DiskFull { .. }) => 452,
                (_, NoPicture::TooLarge { .. } | NoPicture::TooManyPixels { .. }) => 552,
                (PushRefusal::Unfit(_), _) => 550,
                (PushRefusal::Later(_), _) => 451,
            };
            match refusal {
                PushRefusal::Unfit(reason) => FtpReply::new(code, &reason.to_string()),
                // Paths of this machine are nothing for a device.
                PushRefusal::Later(NoPicture::DiskFull { .. }) => FtpReply::new(code, "the disk is full"),
                PushRefusal::Later(_) => FtpReply::new(code, "it could not be stored, send it again"),
            }
        }
    }
}
