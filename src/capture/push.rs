//! The way in for pictures that come by themselves: whatever brings one (HTTP, FTP, a file that was found) hands it to
//! [`Pushes::keep`], and it is checked, stored, owed to the targets and listed as one that a trigger asked for.
//!
//! The trigger and its picture get their rows together. A picture that is refused ends as a failure with its reason in the
//! ledger; of a device that sends nothing but such, some are written down and the others counted (`refusals`), because a
//! ledger of garbage would hide what matters. The same picture of a device twice is one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, info_span, warn};

use super::push_counts::{PushCount, PushCounts};
use super::refusals::{Recorded, Refusals};
use crate::clock;
use crate::config::Config;
use crate::disk::{DiskGuard, StoreRefusal, Weight};
use crate::media::{exif, footprint, jpeg, scan};
use crate::model::{
    CameraKey, Cause, DeviceName, Dimensions, FileName, ImageId, ImageKind, Moment, NoPicture, Outcome,
    PUSH_AGE_MAX_MS, PictureFacts, PushFacts, Trigger, UnixMs, foreign,
};
use crate::store::{KnownPush, NewImage, PushIdentity, RefusedPush, Store, StoreError};

/// Most bytes of a pushed picture, as of one that a camera is asked for.
pub const PUSH_BYTES_MAX: usize = 16 << 20;

/// Pictures that are being stored at once; a card takes about five in a second, and each may take [`PUSH_BYTES_MAX`].
const AT_ONCE: usize = 4;

/// Pictures that wait for that. Whoever brings another one waits with it, so that its device is not asked for more.
const MAILBOX: usize = 4;

/// Longest own name that is kept, characters; file systems have none that are longer.
const OWN_NAME_MAX: usize = 255;

/// How much later than its arrival a picture may say that it was taken: two clocks are never the same.
const FUTURE_MAX_MS: i64 = 60_000;

/// What encoders leave behind the end of a picture: a frame buffer has a round length.
const PADDING: [u8; 4] = [0, 0xff, b'\r', b'\n'];

/// The note of a picture whose data is damaged; it is kept, because it may be all there is of that instant.
const DAMAGED: &str = "the data of the picture is damaged: a part of it may be wrong or grey";

/// A picture that came by itself.
#[derive(Clone, Debug)]
pub struct PushedPicture {
    /// How it came.
    pub cause: Cause,
    /// Who sent it. Whoever brings it in knows the device; there are no more names than devices that are configured.
    pub device: DeviceName,
    /// The camera for which the device stands; `None`: it is listed under its own name.
    pub camera: Option<CameraKey>,
    /// What was sent.
    pub bytes: Vec<u8>,
    /// Most pixels that this device may bring.
    pub pixels_max: u64,
    /// When it arrived.
    pub arrived: Moment,
    /// When it was taken, if the device has a clock that can be trusted.
    pub taken_at: Option<UnixMs>,
    /// What the device calls it.
    pub own_name: Option<String>,
    /// The identity that the first box of a chain gave it.
    pub first_id: Option<ImageId>,
}

/// A picture of a device that is refused before it was here whole: cut off, too large, one too many.
#[derive(Clone, Debug)]
pub struct RefusedPicture {
    /// How it came.
    pub cause: Cause,
    /// Who sent it.
    pub device: DeviceName,
    /// As in [`PushedPicture`].
    pub camera: Option<CameraKey>,
    /// When it arrived.
    pub arrived: Moment,
    /// Why it is none.
    pub reason: NoPicture,
    /// What came of it, for whoever mends the device; may be empty.
    pub came: Vec<u8>,
}

/// A pushed picture that is safe: its file, its row and what is owed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedPush {
    /// Its name.
    pub filename: FileName,
    /// Where it lies, relative to the picture directory.
    pub path: PathBuf,
    /// Length of its file, which is what was sent and the facts of this program.
    pub bytes: u64,
    /// Whether the device had sent it before.
    pub was_known: bool,
}

/// Why a pushed picture is not stored, by what its sender can do about it; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushRefusal {
    /// It is never taken as it is.
    #[error("{0}")]
    Unfit(NoPicture),
    /// It may be taken when it is sent again.
    #[error("{0}")]
    Later(NoPicture),
}

impl PushRefusal {
    /// As the ledger has it, with its code.
    pub fn reason(&self) -> &NoPicture {
        match self {
            Self::Unfit(reason) | Self::Later(reason) => reason,
        }
    }
}

/// A handle on the way in.
#[derive(Clone)]
pub struct Pushes {
    orders: mpsc::Sender<PushOrder>,
    notes: RefusalNotes,
}

enum PushOrder {
    Keep { pushed: PushedPicture, reply: oneshot::Sender<Result<AcceptedPush, PushRefusal>> },
    WriteDown { refused: RefusedPicture, unwritten: u64 },
}

/// The task that stores what is pushed, so that it is stored although its sender hangs up.
pub struct PushTask {
    orders: mpsc::Receiver<PushOrder>,
    keeper: Keeper,
}

#[derive(Clone)]
struct Keeper {
    store: Store,
    guard: DiskGuard,
    labels: Arc<BTreeMap<CameraKey, String>>,
    notes: RefusalNotes,
}

/// What was counted of each device, and which refusals are written down.
#[derive(Clone, Default)]
struct RefusalNotes {
    refusals: Refusals,
    counts: PushCounts,
}

/// A pushed picture that is one.
struct Fit {
    new: NewImage,
    identity: PushIdentity,
}

impl Pushes {
    /// The handle and its task.
    pub fn new(config: &Config, store: &Store, guard: &DiskGuard) -> (Self, PushTask) {
        let (sender, orders) = mpsc::channel(MAILBOX);
        let labels = config.cameras.iter().map(|camera| (camera.key.clone(), camera.label.clone())).collect();
        let notes = RefusalNotes::default();
        let keeper = Keeper {
            store: store.clone(),
            guard: guard.clone(),
            labels: Arc::new(labels),
            notes: notes.clone(),
        };
        (Self { orders: sender, notes }, PushTask { orders, keeper })
    }

    /// Keeps a picture. When this returns that it is accepted, no power cut can undo it. Waits while others are being
    /// stored. The same picture of a device twice is accepted twice and stored once.
    ///
    /// Dropping the future does not keep a picture from being stored once it was handed over.
    pub async fn keep(&self, pushed: PushedPicture) -> Result<AcceptedPush, PushRefusal> {
        let stopping = || PushRefusal::Later(NoPicture::Stopping);
        let (reply, answer) = oneshot::channel();
        self.orders.send(PushOrder::Keep { pushed, reply }).await.map_err(|_| stopping())?;
        answer.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Counts a picture that is refused, and has it written down if its device has not had its share of that; of a flood
    /// nothing waits here.
    pub async fn refuse(&self, refused: RefusedPicture) {
        let RefusedPicture { device, arrived, reason, .. } = &refused;
        if let Recorded::Yes { unwritten } = self.notes.refused(device, *arrived, reason) {
            // While the program stops it is only in the log.
            let _ = self.orders.send(PushOrder::WriteDown { refused, unwritten }).await;
        }
    }

    /// What each device that has brought anything has brought since the start.
    pub fn counts(&self) -> BTreeMap<DeviceName, PushCount> {
        self.notes.counts.all()
    }
}

impl RefusalNotes {
    fn refused(&self, device: &DeviceName, arrived: Moment, reason: &NoPicture) -> Recorded {
        self.counts.refused(device, arrived.wall, reason);
        let recorded = self.refusals.count(device.as_str(), arrived.at);
        if recorded == Recorded::Counted {
            debug!(%device, %reason, "one more pushed picture is refused");
        }
        recorded
    }
}

impl PushTask {
    /// Stores what is pushed until cancelled; what was handed over is finished.
    pub async fn run(&mut self, cancel: &CancellationToken) {
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(_) = under_way.join_next() => {}
                order = self.orders.recv(), if under_way.len() < AT_ONCE => {
                    let Some(order) = order else { break };
                    under_way.spawn(self.keeper.clone().serve(order));
                }
            }
        }
        self.orders.close();
        while let Ok(order) = self.orders.try_recv() {
            under_way.spawn(self.keeper.clone().serve(order));
        }
        while under_way.join_next().await.is_some() {}
    }
}

impl Keeper {
    async fn serve(self, order: PushOrder) {
        match order {
            PushOrder::Keep { pushed, reply } => {
                let span = info_span!("push", device = %pushed.device);
                let kept = self.keep(pushed).instrument(span).await;
                // Whoever sent it may have gone; the picture is kept all the same.
                let _ = reply.send(kept);
            }
            PushOrder::WriteDown { refused, unwritten } => {
                let RefusedPicture { cause, device, camera, arrived, reason, came } = refused;
                let trigger = trigger_of(cause, &device, camera.as_ref(), arrived);
                self.write_down(&trigger, &reason, unwritten).await;
                self.keep_refused(&device, arrived, came, &reason).await;
            }
        }
    }

    async fn keep(&self, pushed: PushedPicture) -> Result<AcceptedPush, PushRefusal> {
        let (device, arrived) = (pushed.device.clone(), pushed.arrived);
        let trigger = trigger_of(pushed.cause, &device, pushed.camera.as_ref(), arrived);
        let sent = self.guard.keeps_refused().then(|| pushed.bytes.clone());
        let kept = self.try_keep(pushed, &trigger).await;
        match &kept {
            // Its trigger comes with its row.
            Ok(accepted) => self.notes.counts.accepted(&device, arrived.wall, accepted.was_known),
            Err(PushRefusal::Later(NoPicture::KeptAsFile { .. })) => {}
            Err(refusal) => {
                let reason = refusal.reason();
                if let Recorded::Yes { unwritten } = self.notes.refused(&device, arrived, reason) {
                    self.write_down(&trigger, reason, unwritten).await;
                    if let (PushRefusal::Unfit(_), Some(bytes)) = (refusal, sent) {
                        self.keep_refused(&device, arrived, bytes, reason).await;
                    }
                }
            }
        }
        kept
    }

    async fn try_keep(&self, pushed: PushedPicture, trigger: &Trigger) -> Result<AcceptedPush, PushRefusal> {
        let (label, trigger) = (self.labels.get(&trigger.camera).cloned(), trigger.clone());
        let looked_at = spawn_blocking(move || fit(pushed, &trigger, label));
        let Fit { new, identity } =
            looked_at.await.map_err(|_| PushRefusal::Later(NoPicture::Interrupted))??;
        if self.store.is_push_kept(&identity) {
            let detail = self.store.late().unwrap_or_default();
            return Err(PushRefusal::Later(NoPicture::KeptAsFile { detail }));
        }
        // Where the database does not answer, the file is kept all the same; the same question is asked with its row.
        if let Ok(Some(known)) = self.store.known_push(identity.clone()).await {
            return Ok(once_more(known));
        }
        let saved = self.guard.save(new, Weight::Picture).await.map_err(refused)?;
        let entered = match self.guard.enter(&saved, None, Weight::Picture).await {
            Ok(entered) => entered.image,
            Err(StoreRefusal::Failed(StoreError::PushedBefore)) => {
                let known = self.store.known_push(identity).await;
                let known = known.map_err(|error| refused(error.into()))?;
                // It was deleted and its name forgotten in this very moment; what is sent again is a new one.
                return known.map(once_more).ok_or(PushRefusal::Later(NoPicture::Interrupted));
            }
            Err(refusal) => {
                if let StoreRefusal::Kept(why) = &refusal {
                    error!(why, "the picture is kept as a file, and the database does not take it");
                }
                return Err(refused(refusal));
            }
        };
        self.guard.count_capture();
        info!(file = %entered.filename, bytes = entered.bytes, "stored");
        if let Some(note) = &entered.facts.note {
            warn!(file = %entered.filename, note, "not a plain picture");
        }
        let (filename, path, bytes) = (entered.filename, entered.path, entered.bytes);
        Ok(AcceptedPush { filename, path, bytes, was_known: false })
    }

    /// Keeps what came of a refused picture, where that is asked for.
    async fn keep_refused(&self, device: &DeviceName, arrived: Moment, bytes: Vec<u8>, reason: &NoPicture) {
        if !bytes.is_empty() {
            let (device, reason) = (device.to_string(), reason.to_string());
            self.guard.keep_refused(RefusedPush { device, at: arrived.wall, bytes, reason }).await;
        }
    }

    /// Writes a refusal into the ledger, and how many were only counted since the one before.
    async fn write_down(&self, trigger: &Trigger, reason: &NoPicture, unwritten: u64) {
        let device = trigger.device.as_ref().map_or("", DeviceName::as_str);
        warn!(device, %reason, unwritten, "a pushed picture is refused");
        let ended = self.store.triggers().end(trigger, Outcome::Failed, reason.clone()).await;
        let remarked = match ended {
            Ok(row) if unwritten > 0 => {
                let words = format!("{unwritten} more of {device} were refused since the entry before");
                self.store.triggers().remark(row, &words).await
            }
            ended => ended.map(|_| ()),
        };
        if let Err(error) = remarked {
            error!(%error, "the refusal could not be written into the ledger");
            self.guard.ledger_refused(&error);
        }
    }
}

fn trigger_of(cause: Cause, device: &DeviceName, camera: Option<&CameraKey>, arrived: Moment) -> Trigger {
    Trigger {
        camera: camera.unwrap_or(device.key()).clone(),
        cause,
        edge: arrived,
        device: Some(device.clone()),
    }
}

fn once_more(known: KnownPush) -> AcceptedPush {
    debug!(file = %known.filename, "sent once more");
    let KnownPush { filename, path, bytes } = known;
    AcceptedPush { filename, path, bytes, was_known: true }
}

fn refused(refusal: StoreRefusal) -> PushRefusal {
    PushRefusal::Later(match refusal {
        StoreRefusal::Full(detail) => NoPicture::DiskFull { detail },
        StoreRefusal::Failed(error) => NoPicture::NotStored { detail: error.to_string() },
        StoreRefusal::Kept(detail) => NoPicture::KeptAsFile { detail },
    })
}

/// What was sent, as a picture to be stored, or why it is none. Nothing is decoded. Blocking.
fn fit(pushed: PushedPicture, trigger: &Trigger, label: Option<String>) -> Result<Fit, PushRefusal> {
    let PushedPicture { device, bytes, pixels_max, arrived, taken_at, own_name, first_id, .. } = pushed;
    let size = check(&bytes, pixels_max).map_err(PushRefusal::Unfit)?;
    let sent = whole(&bytes);
    let identity = PushIdentity { device: device.clone(), sha256: Sha256::digest(sent).into(), first_id };
    let note = matches!(scan::walk(sent), Some(Err(_))).then(|| DAMAGED.to_owned());
    let offset_ms = taken_at.map_or(0, |at| distance_ms(at, arrived.wall));
    let own_name = own_name.map(|name| foreign::line(&name, OWN_NAME_MAX)).filter(|name| !name.is_empty());
    let push = PushFacts { device, own_name, device_time: exif::own_time(sent), first_id };
    let facts =
        PictureFacts { push: Some(push), ..PictureFacts::of(trigger, ImageKind::Instant, offset_ms, note) };
    let label = label.unwrap_or_else(|| trigger.camera.to_string());
    let caption =
        exif::Caption { facts: facts.clone(), label, utc_offset_s: clock::utc_offset_s(arrived.wall) };
    let (file, _) = jpeg::with_caption(sent, &caption).map_err(|error| unfit(error, sent))?;
    let dimensions = Dimensions::of_picture(size);
    Ok(Fit { new: NewImage { facts, dimensions, trigger: None, at: arrived.at, file }, identity })
}

/// Whether what was sent is a whole JPEG within bounds; its width and height. Nothing is decoded.
pub fn check(bytes: &[u8], pixels_max: u64) -> Result<(u32, u32), NoPicture> {
    if bytes.len() > PUSH_BYTES_MAX {
        return Err(NoPicture::TooLarge { bytes: bytes.len() as u64, limit: PUSH_BYTES_MAX as u64 });
    }
    let sent = whole(bytes);
    let size = jpeg::inspect(sent).map_err(|error| reason_of(error, sent))?;
    let (width, height): (u64, u64) = (size.0.into(), size.1.into());
    if footprint::check_jpeg(size).is_err() || width * height > pixels_max {
        return Err(NoPicture::TooManyPixels { width, height });
    }
    Ok(size)
}

/// A picture without what its device left behind the end: padding, or what it has to say of its own. Of several pictures
/// in one file (MPO) all are left.
fn whole(bytes: &[u8]) -> &[u8] {
    let mut end = bytes.len();
    while end > 2 && PADDING.contains(&bytes[end - 1]) {
        end -= 1;
    }
    if bytes[..end].ends_with(&[0xff, 0xd9]) {
        return &bytes[..end];
    }
    // A second picture that was cut off is no trailer; it comes whole when it is sent again.
    let first = jpeg::first_end(bytes).filter(|first| !bytes[*first..].starts_with(&[0xff, 0xd8]));
    first.map_or(bytes, |first| &bytes[..first])
}

fn unfit(error: jpeg::NotJpeg, sent: &[u8]) -> PushRefusal {
    PushRefusal::Unfit(reason_of(error, sent))
}

fn reason_of(error: jpeg::NotJpeg, sent: &[u8]) -> NoPicture {
    match error {
        jpeg::NotJpeg::NoEnd => NoPicture::Torn { bytes: sent.len() as u64 },
        jpeg::NotJpeg::NoStart | jpeg::NotJpeg::NoFrame => NoPicture::NotJpeg { detail: error.to_string() },
    }
}

/// How far before (or after) its arrival a picture was taken; nothing for a time that cannot be.
fn distance_ms(taken_at: UnixMs, arrived_at: UnixMs) -> i64 {
    let distance = taken_at.0.saturating_sub(arrived_at.0);
    let is_possible = distance <= FUTURE_MAX_MS && distance.unsigned_abs() <= PUSH_AGE_MAX_MS;
    if is_possible { distance } else { 0 }
}

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
