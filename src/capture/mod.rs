//! From a trigger to a stored picture.
//!
//! Each enabled camera has two tasks: one keeps its session (`camera:<key>`), one serves its triggers
//! (`capture:<key>`). A trigger asks for its frame at once; its ledger row is written while the frame is on its way. The
//! picture's file is written as soon as it is there, whatever the database does, and its row after that of the trigger.

mod best;
mod budget;
mod clip;
mod collected;
mod context;
mod engine;
mod follow;
pub mod latency;
pub mod live;
mod live_decoder;
mod measure;
mod order;
mod push;
mod push_counts;
mod refusals;
mod room;
mod session;
mod shot;
pub mod workers;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use crate::capture::workers::Workers;
use crate::clock;
use crate::config::{CameraConfig, Config, DecodeMode, SourceConfig};
use crate::disk::DiskGuard;
use crate::media::shelf::Shelf;
use crate::media::{decode, jpeg};
use crate::model::{CameraKey, Cause, NoPicture, Trigger};
use crate::source::{Latency, Request, Requests, SlotShare, Source, Watch};
use crate::status::Status;
use crate::store::{Image, Store, StoreError};

use budget::Budget;
use context::CaptureContext;
use engine::Engine;
use live::JpegCache;
use live_decoder::DecodedPictures;
use order::{CaptureOrder, heavy};
use room::DecoderRoom;
use shot::FrameTaker;

pub use crate::source::{SetupError, SlotPictures, StreamAddress, StreamSlot};
pub use live_decoder::{LiveDecoder, LiveFrame};
pub use measure::examine;
pub use order::Capture;
pub use push::{
    AcceptedPush, PUSH_BYTES_MAX, PushRefusal, PushTask, PushedPicture, Pushes, RefusedPicture,
    check as check_push,
};
pub use push_counts::{LastRefusal, PushCount};
pub use session::CameraSession;

/// Triggers of one camera that wait to be served, and as many that are being served; more are coalesced.
const MAILBOX: usize = 8;

/// Frame requests of one camera under way: eight captures of at most nine frames each.
const REQUESTS: usize = 72;

/// Bytes of all cameras' newest groups of pictures: sixteen cameras of 4 Mbit/s for twelve seconds each.
const STREAMS_BYTES: usize = 96 << 20;

/// Bytes of all stretches that are collected for clips and best pictures, beyond what the groups have of them.
const STRETCHES_BYTES: usize = 64 << 20;

/// Why there is no picture, by what a caller can do about it; the text is for people.
#[derive(Clone, Debug)]
pub enum CaptureError {
    /// No such camera.
    Unknown(CameraKey),
    /// It is switched off.
    Disabled(CameraKey),
    /// As many captures as can be served are already under way.
    Busy,
    /// No frame of that instant, for this reason.
    NoFrame(NoPicture),
    /// The picture could not be kept.
    Store(String),
    /// It is kept as a file; its row comes as soon as the database takes it.
    Kept(String),
    /// There is no room for it, and nothing may go.
    Full(String),
    /// The program is ending.
    Stopping,
}

impl CaptureError {
    /// No picture could be made of what came.
    fn undecodable(error: impl std::fmt::Display) -> Self {
        Self::NoFrame(NoPicture::Undecodable { detail: error.to_string() })
    }

    /// As the ledger has it.
    pub fn reason(&self) -> NoPicture {
        match self {
            Self::Unknown(camera) => NoPicture::UnknownCamera { camera: camera.to_string() },
            Self::Disabled(camera) => NoPicture::CameraDisabled { camera: camera.to_string() },
            Self::Busy => NoPicture::Busy { waiting: MAILBOX as u64 },
            Self::NoFrame(reason) => reason.clone(),
            Self::Store(detail) => NoPicture::NotStored { detail: detail.clone() },
            Self::Kept(detail) => NoPicture::KeptAsFile { detail: detail.clone() },
            Self::Full(detail) => NoPicture::DiskFull { detail: detail.clone() },
            Self::Stopping => NoPicture::Stopping,
        }
    }
}

impl std::fmt::Display for CaptureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.reason().fmt(f)
    }
}

impl std::error::Error for CaptureError {}

/// A handle on all cameras.
#[derive(Clone)]
pub struct Captures {
    cameras: Arc<HashMap<CameraKey, Option<Mailbox>>>,
    workers: Workers,
    arm: Duration,
    guard: DiskGuard,
    slot: Option<StreamSlot>,
}

#[derive(Clone)]
struct Mailbox {
    orders: mpsc::Sender<CaptureOrder>,
    frame_taker: FrameTaker,
    studio: Arc<JpegCache>,
    /// `None` for a camera of single pictures.
    latency: Option<Latency>,
    /// Cameras that get hot when this one is triggered.
    arms: Vec<CameraKey>,
}

/// The tasks of one camera.
pub struct CameraTasks {
    /// Its session.
    pub camera: CameraSession,
    /// Its triggers.
    pub capture: Capture,
    /// Its decoding while frames arrive.
    pub live_decoder: LiveDecoder,
}

impl Captures {
    /// The handle, and the tasks of every enabled camera.
    pub fn new(
        config: &Config,
        store: &Store,
        guard: &DiskGuard,
        status: &Status,
    ) -> (Self, Vec<CameraTasks>) {
        let (workers, followers) = (Workers::start(), Workers::start_one());
        let (budget, room) = (Budget::new(config.engine.budget_percent), DecoderRoom::new());
        let (streams, stretches) = (Shelf::new(STREAMS_BYTES), Shelf::new(STRETCHES_BYTES));
        let mut cameras = HashMap::new();
        let mut tasks = Vec::new();
        let slot = slot(config);
        let share = slot.clone().map(|slot| SlotShare { slot, fps: config.streaming.fps });
        for camera in &config.cameras {
            let source = Source::new(camera, status, &streams, share.as_ref()).filter(|_| camera.enabled);
            let mailbox = source.map(|source| {
                let (orders, order_receiver) = mpsc::channel(MAILBOX);
                let (requests, request_receiver) = mpsc::channel(REQUESTS);
                let latency = source.latency();
                let engine = Engine::new(config.engine.decoder, workers.clone(), room.clone());
                let frame_taker = FrameTaker {
                    requests: requests.clone(),
                    engine: engine.clone(),
                    pictures: DecodedPictures::new(),
                    tolerance: camera.engine.tolerance,
                };
                let context = CaptureContext {
                    frame_taker: frame_taker.clone(),
                    workers: workers.clone(),
                    followers: followers.clone(),
                    stretches: stretches.clone(),
                    ledger: store.triggers(),
                    images: store.files(),
                    guard: guard.clone(),
                };
                tasks.push(CameraTasks {
                    camera: CameraSession {
                        key: camera.key.clone(),
                        source,
                        requests: Requests::new(request_receiver),
                        status: status.clone(),
                    },
                    capture: Capture { config: camera.clone(), orders: order_receiver, context },
                    live_decoder: LiveDecoder::new(
                        camera,
                        engine.beside(),
                        requests,
                        frame_taker.pictures.clone(),
                        budget.clone(),
                        status.clone(),
                    ),
                });
                let (studio, arms) = (Arc::new(JpegCache::new()), armed_by(camera, config));
                Mailbox { orders, frame_taker, studio, latency, arms }
            });
            cameras.insert(camera.key.clone(), mailbox);
        }
        let (arm, guard) = (config.engine.arm, guard.clone());
        (Self { cameras: Arc::new(cameras), workers, arm, guard, slot }, tasks)
    }

    /// The camera whose address comes over the network, if there is one.
    pub fn slot(&self) -> Option<&StreamSlot> {
        self.slot.as_ref()
    }

    /// Takes the address of that camera as it was set up in an earlier run.
    pub async fn recall_stream(&self, store: &Store) -> Result<(), StoreError> {
        if let Some(slot) = &self.slot
            && let Some(address) = store.stream_address(slot.camera()).await?
        {
            slot.put(StreamAddress::parse(&address));
        }
        Ok(())
    }

    /// Hands a trigger to its camera without waiting. The error gives it back with the reason.
    pub fn submit(&self, trigger: Trigger) -> Result<(), CaptureError> {
        let mailbox = self.mailbox(&trigger.camera)?;
        for camera in &mailbox.arms {
            if let Ok(armed) = self.mailbox(camera) {
                armed.frame_taker.pictures.arm(trigger.edge.at + self.arm);
            }
        }
        mailbox.orders.try_send(CaptureOrder { trigger, reply: None }).map_err(refused)
    }

    /// The ledger did not take a trigger that no camera took; says so until it does.
    pub fn ledger_refused(&self, error: &StoreError) {
        self.guard.ledger_refused(error);
    }

    /// Takes a picture of this instant and waits until it is stored.
    pub async fn take(&self, camera: &CameraKey) -> Result<Image, CaptureError> {
        let mailbox = self.mailbox(camera)?;
        let (reply, answer) = oneshot::channel();
        let (camera, edge) = (camera.clone(), clock::moment());
        let trigger = Trigger { camera, cause: Cause::Manual, edge, device: None };
        mailbox.orders.try_send(CaptureOrder { trigger, reply: Some(reply) }).map_err(refused)?;
        answer.await.unwrap_or(Err(CaptureError::Stopping))
    }

    /// A fresh JPEG that is not stored.
    pub async fn snapshot(&self, camera: &CameraKey) -> Result<Vec<u8>, CaptureError> {
        let mailbox = self.mailbox(camera)?;
        let shot = mailbox.frame_taker.shot(Instant::now()).await?;
        let jpeg = heavy(&self.workers, move || match shot.picture {
            decode::WantedPicture::Frame(frame) => {
                jpeg::encode_plain(&frame).map_err(CaptureError::undecodable)
            }
            decode::WantedPicture::Jpeg(jpeg) => Ok(jpeg),
        })
        .await?;
        Ok(jpeg)
    }

    /// The camera's stream as it arrives, undecoded, from the session that is open anyway.
    pub async fn watch(&self, camera: &CameraKey) -> Result<Watch, CaptureError> {
        let (reply, answer) = oneshot::channel();
        let watch = Request::Watch { reply };
        self.mailbox(camera)?.frame_taker.requests.send(watch).await.map_err(|_| CaptureError::Stopping)?;
        answer.await.map_err(|_| CaptureError::Stopping)
    }

    /// Decoded pictures as they arrive, for as long as the receiver lives; one decoding serves all. None of a camera
    /// that sends JPEG.
    pub fn frames(
        &self,
        camera: &CameraKey,
    ) -> Result<watch::Receiver<Option<Arc<LiveFrame>>>, CaptureError> {
        Ok(self.mailbox(camera)?.frame_taker.pictures.subscribe())
    }

    fn mailbox(&self, camera: &CameraKey) -> Result<&Mailbox, CaptureError> {
        match self.cameras.get(camera) {
            None => Err(CaptureError::Unknown(camera.clone())),
            Some(None) => Err(CaptureError::Disabled(camera.clone())),
            Some(Some(mailbox)) => Ok(mailbox),
        }
    }
}

/// The slot, if a camera has it.
fn slot(config: &Config) -> Option<StreamSlot> {
    let is_slot =
        |camera: &&CameraConfig| camera.enabled && matches!(camera.source, Some(SourceConfig::Slot(_)));
    let camera = config.cameras.iter().find(is_slot)?;
    let ftp = config.ingest.ftp.as_ref().map(|ftp| ftp.port);
    let own_ports = [config.web.bind.port()].into_iter().chain(config.ingest.compat_port).chain(ftp);
    Some(StreamSlot::new(camera.key.clone(), config.streaming.reach.clone(), own_ports.collect()))
}

fn refused(error: mpsc::error::TrySendError<CaptureOrder>) -> CaptureError {
    match error {
        mpsc::error::TrySendError::Full(_) => CaptureError::Busy,
        mpsc::error::TrySendError::Closed(_) => CaptureError::Stopping,
    }
}

/// Cameras in mode armed that name this one as their hint.
fn armed_by(camera: &CameraConfig, config: &Config) -> Vec<CameraKey> {
    let is_armed = |other: &&CameraConfig| {
        other.engine.mode == DecodeMode::Armed && other.engine.armed_by.contains(&camera.key)
    };
    config.cameras.iter().filter(is_armed).map(|other| other.key.clone()).collect()
}
