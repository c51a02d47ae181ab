//! From a trigger to a stored picture.
//!
//! Each enabled camera has two tasks: one keeps its session (`camera:<key>`), one serves its triggers
//! (`capture:<key>`). A trigger asks for its frame at once; its ledger row is written while the frame is on its way,
//! and the picture is stored only when the row is durable.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, info_span, warn};

use crate::backoff::Backoff;
use crate::clock;
use crate::config::{CameraConfig, Config};
use crate::media::gop::Excerpt;
use crate::media::{decode, exif, jpeg};
use crate::model::{CameraKey, Cause, ImageId, Trigger};
use crate::source::{FrameRequest, NoFrame, Request, Requests, Source, Watch};
use crate::status::{CameraState, Event, Status};
use crate::store::{Image, NewImage, Store, StoreError, TriggerId};
use crate::workers::Workers;

/// A frame waits this long for a session that is reconnecting. A barrier stays open about eight seconds; a picture
/// taken after five shows the next car.
const FRAME_DEADLINE: Duration = Duration::from_secs(5);

/// Triggers of one camera that wait to be served, and as many that are being served; more are coalesced.
const MAILBOX: usize = 8;

/// Frame requests of one camera under way: eight captures of at most nine frames each.
const REQUESTS: usize = 72;

/// Pause before a camera that broke is contacted again.
const RECONNECT: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(15) };

/// Pause after a refusal. Many cameras lock the account after a few wrong passwords within a minute.
const RECONNECT_AFTER_REFUSAL: Backoff =
    Backoff { base: Duration::from_secs(10), cap: Duration::from_secs(60) };

/// Why there is no picture; the text is for people.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CaptureError {
    /// No such camera.
    #[error("there is no camera {0}")]
    Unknown(CameraKey),
    /// It is switched off.
    #[error("camera {0} is disabled")]
    Disabled(CameraKey),
    /// As many captures as can be served are already under way.
    #[error("{MAILBOX} captures of this camera are already waiting")]
    Busy,
    /// No frame of that instant.
    #[error("{0}")]
    NoFrame(String),
    /// The picture could not be kept.
    #[error("the picture could not be stored: {0}")]
    Store(String),
    /// The program is ending.
    #[error("the program is shutting down")]
    Stopping,
}

/// A trigger and who waits for its picture.
struct Order {
    trigger: Trigger,
    reply: Option<oneshot::Sender<Result<Image, CaptureError>>>,
}

/// A handle on all cameras.
#[derive(Clone)]
pub struct Captures {
    cameras: Arc<HashMap<CameraKey, Option<Mailbox>>>,
    workers: Workers,
}

#[derive(Clone)]
struct Mailbox {
    orders: mpsc::Sender<Order>,
    frames: mpsc::Sender<Request>,
}

/// The session task of one camera.
pub struct Camera {
    key: CameraKey,
    source: Source,
    requests: Requests,
    status: Status,
}

/// The capture task of one camera.
pub struct Capture {
    config: CameraConfig,
    orders: mpsc::Receiver<Order>,
    worker: Worker,
}

/// What each capture of a camera needs.
#[derive(Clone)]
struct Worker {
    frames: mpsc::Sender<Request>,
    workers: Workers,
    store: Store,
    status: Status,
}

/// Where the time of a capture went.
#[derive(Clone, Copy, Debug, Default)]
struct Stages {
    wait: Duration,
    decode: Duration,
    encode: Duration,
    frames: usize,
}

/// A picture that is not stored yet.
struct Picture {
    jpeg: Vec<u8>,
    width: u32,
    height: u32,
    offset_ms: i64,
    stages: Stages,
}

impl Captures {
    /// The handle, and the two tasks of every enabled camera.
    pub fn new(config: &Config, store: &Store, status: &Status) -> (Self, Vec<(Camera, Capture)>) {
        let workers = Workers::start();
        let mut cameras = HashMap::new();
        let mut tasks = Vec::new();
        for camera in &config.cameras {
            let source = Source::new(camera, status).filter(|_| camera.enabled);
            let mailbox = source.map(|source| {
                let (orders, order_receiver) = mpsc::channel(MAILBOX);
                let (frames, frame_receiver) = mpsc::channel(REQUESTS);
                let worker = Worker {
                    frames: frames.clone(),
                    workers: workers.clone(),
                    store: store.clone(),
                    status: status.clone(),
                };
                tasks.push((
                    Camera {
                        key: camera.key.clone(),
                        source,
                        requests: Requests::new(frame_receiver),
                        status: status.clone(),
                    },
                    Capture { config: camera.clone(), orders: order_receiver, worker },
                ));
                Mailbox { orders, frames }
            });
            cameras.insert(camera.key.clone(), mailbox);
        }
        (Self { cameras: Arc::new(cameras), workers }, tasks)
    }

    /// Hands a trigger to its camera without waiting. The error gives it back with the reason.
    pub fn submit(&self, trigger: Trigger) -> Result<(), CaptureError> {
        self.mailbox(&trigger.camera)?.orders.try_send(Order { trigger, reply: None }).map_err(refused)
    }

    /// Takes a picture of this instant and waits until it is stored.
    pub async fn take(&self, camera: &CameraKey) -> Result<Image, CaptureError> {
        let mailbox = self.mailbox(camera)?;
        let (reply, answer) = oneshot::channel();
        let trigger = Trigger {
            camera: camera.clone(),
            cause: Cause::Manual,
            at: Instant::now(),
            edge_at: clock::now(),
        };
        mailbox.orders.try_send(Order { trigger, reply: Some(reply) }).map_err(refused)?;
        answer.await.unwrap_or(Err(CaptureError::Stopping))
    }

    /// A fresh JPEG that is not stored.
    pub async fn snapshot(&self, camera: &CameraKey) -> Result<Vec<u8>, CaptureError> {
        let mailbox = self.mailbox(camera)?;
        let excerpt = request(&mailbox.frames, Instant::now()).await?;
        let jpeg = heavy(&self.workers, move || match decode::picture(&excerpt).map_err(no_frame)? {
            decode::Picture::Frame(frame) => jpeg::encode_plain(&frame).map_err(no_frame),
            decode::Picture::Jpeg(jpeg) => Ok(jpeg),
        })
        .await?;
        Ok(jpeg)
    }

    /// The camera's stream as it arrives, undecoded, from the session that is open anyway.
    pub async fn watch(&self, camera: &CameraKey) -> Result<Watch, CaptureError> {
        let (reply, answer) = oneshot::channel();
        let watch = Request::Watch { reply };
        self.mailbox(camera)?.frames.send(watch).await.map_err(|_| CaptureError::Stopping)?;
        answer.await.map_err(|_| CaptureError::Stopping)
    }

    fn mailbox(&self, camera: &CameraKey) -> Result<&Mailbox, CaptureError> {
        match self.cameras.get(camera) {
            None => Err(CaptureError::Unknown(camera.clone())),
            Some(None) => Err(CaptureError::Disabled(camera.clone())),
            Some(Some(mailbox)) => Ok(mailbox),
        }
    }
}

fn refused(error: mpsc::error::TrySendError<Order>) -> CaptureError {
    match error {
        mpsc::error::TrySendError::Full(_) => CaptureError::Busy,
        mpsc::error::TrySendError::Closed(_) => CaptureError::Stopping,
    }
}

impl Camera {
    /// The camera's key.
    pub fn key(&self) -> &CameraKey {
        &self.key
    }

    /// Keeps a session, opening it again whenever it breaks, until cancelled.
    pub async fn run(&mut self, cancel: &CancellationToken) {
        let mut failures = 0;
        loop {
            let error = tokio::select! {
                () = cancel.cancelled() => return,
                error = self.source.serve(&mut self.requests) => error,
            };
            let was_connected =
                self.status.camera(&self.key).is_some_and(|c| c.state == CameraState::Connected);
            failures = if was_connected { 1 } else { failures + 1 };
            if was_connected {
                warn!(%error, "camera lost");
            } else if failures == 1 {
                warn!(%error, "camera not connected");
            }
            self.status.update_camera(&self.key, |camera| {
                camera.state = CameraState::Degraded;
                camera.last_error = Some(error.message.clone());
            });
            let backoff = if error.is_refusal { RECONNECT_AFTER_REFUSAL } else { RECONNECT };
            let pause = tokio::time::sleep(backoff.jittered(failures));
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = cancel.cancelled() => return,
                    () = &mut pause => break,
                    has_come = self.requests.next(None) => {
                        self.requests.expire(Instant::now(), &error.message);
                        // A car is at the barrier: try at once, unless the camera said no.
                        if has_come && !error.is_refusal && failures <= 3 {
                            break;
                        }
                    }
                }
            }
        }
    }
}

impl Capture {
    /// The camera's key.
    pub fn key(&self) -> &CameraKey {
        &self.config.key
    }

    /// Serves triggers until cancelled; captures under way are finished.
    pub async fn run(&mut self, cancel: &CancellationToken) {
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(_) = under_way.join_next() => {}
                order = self.orders.recv(), if under_way.len() < MAILBOX => {
                    let Some(order) = order else { break };
                    let span = info_span!("capture", camera = %self.config.key, cause = order.trigger.cause.as_str());
                    under_way.spawn(self.worker.clone().serve(self.config.clone(), order).instrument(span));
                }
            }
        }
        self.orders.close();
        while let Ok(order) = self.orders.try_recv() {
            under_way.spawn(self.worker.clone().serve(self.config.clone(), order));
        }
        while under_way.join_next().await.is_some() {}
    }
}

impl Worker {
    /// Serves one trigger to its end.
    async fn serve(self, config: CameraConfig, order: Order) {
        let trigger = order.trigger;
        // All frames are asked for at once, before the buffer moves on.
        let mut pictures: FuturesUnordered<_> =
            config.offsets_ms.iter().map(|ms| self.picture(&config, &trigger, *ms)).collect();
        let (id, first) = tokio::join!(self.store.begin_trigger(&trigger), pictures.next());
        let id = match id {
            Ok(id) => id,
            Err(error) => return self.lost(&trigger, order.reply, &error),
        };
        let mut next = first;
        let mut outcome = Err(CaptureError::NoFrame("no offset is configured".to_owned()));
        while let Some(picture) = next {
            outcome = nearer(outcome, self.keep(id, &trigger, picture).await);
            next = pictures.next().await;
        }
        drop(pictures);
        if let Err(error) = &outcome {
            error!(edge_at = trigger.edge_at.rfc3339(), %error, "no picture of this trigger");
            if let Err(error) = self.store.fail_trigger(id, &error.to_string()).await {
                error!(%error, "the failure could not be written into the ledger");
            }
        }
        if let Ok(Some(entry)) = self.store.ledger_entry(id).await {
            self.status.publish(Event::Trigger(Box::new(entry)));
        }
        if let Some(reply) = order.reply {
            // Whoever asked may have gone; the picture is kept all the same.
            let _ = reply.send(outcome);
        }
    }

    /// The picture taken nearest to the trigger plus `offset_ms`.
    async fn picture(
        &self,
        config: &CameraConfig,
        trigger: &Trigger,
        offset_ms: i64,
    ) -> Result<(ImageId, Picture), CaptureError> {
        let began = Instant::now();
        let distance = Duration::from_millis(offset_ms.unsigned_abs());
        let at =
            if offset_ms < 0 { trigger.at.checked_sub(distance) } else { trigger.at.checked_add(distance) };
        let excerpt = request(&self.frames, at.unwrap_or(trigger.at)).await?;
        let wait = began.elapsed();
        let frame_offset_ms = clock::signed_ms(excerpt.instant, trigger.at);
        let id = ImageId::random();
        let facts = exif::Facts {
            id,
            camera: config.key.clone(),
            label: config.label.clone(),
            cause: trigger.cause,
            edge_at: trigger.edge_at,
            frame_offset_ms: Some(frame_offset_ms),
            utc_offset_s: clock::utc_offset_s(trigger.edge_at),
        };
        let picture = heavy(&self.workers, move || encode(&excerpt, &facts, frame_offset_ms)).await?;
        Ok((id, Picture { stages: Stages { wait, ..picture.stages }, ..picture }))
    }

    /// Stores a picture.
    async fn keep(
        &self,
        trigger_id: TriggerId,
        trigger: &Trigger,
        picture: Result<(ImageId, Picture), CaptureError>,
    ) -> Result<Image, CaptureError> {
        let (id, picture) = picture?;
        let stages = picture.stages;
        let began = Instant::now();
        let new = NewImage {
            id,
            trigger: trigger_id,
            camera: trigger.camera.clone(),
            cause: trigger.cause,
            edge_at: trigger.edge_at,
            edge: trigger.at,
            frame_offset_ms: Some(picture.offset_ms),
            width: picture.width,
            height: picture.height,
            jpeg: picture.jpeg,
        };
        let image = match self.store.record(new).await {
            Ok(image) => {
                self.status.clear("storage");
                image
            }
            Err(error) => {
                self.status.raise("storage", format!("pictures cannot be stored: {error}"));
                return Err(CaptureError::Store(error.to_string()));
            }
        };
        info!(
            file = %image.filename,
            offset_ms = picture.offset_ms,
            total_ms = ms(trigger.at.elapsed()),
            wait_ms = ms(stages.wait),
            decode_ms = ms(stages.decode),
            encode_ms = ms(stages.encode),
            write_ms = ms(began.elapsed()),
            frames = stages.frames,
            bytes = image.bytes,
            "captured"
        );
        self.status.publish(Event::Image(Box::new(image.clone())));
        Ok(image)
    }

    /// Not even the ledger could be written: the operator must hear of it all the same.
    fn lost(
        &self,
        trigger: &Trigger,
        reply: Option<oneshot::Sender<Result<Image, CaptureError>>>,
        error: &StoreError,
    ) {
        error!(edge_at = trigger.edge_at.rfc3339(), %error, "a trigger could not be written into the ledger");
        self.status.raise(
            "storage",
            format!(
                "the trigger of {} at {} could not be written down: {error}",
                trigger.camera,
                trigger.edge_at.rfc3339()
            ),
        );
        if let Some(reply) = reply {
            // Whoever asked may have gone.
            let _ = reply.send(Err(CaptureError::Store(error.to_string())));
        }
    }
}

/// Of two results of one trigger, the picture that is nearer to the edge.
fn nearer(
    known: Result<Image, CaptureError>,
    new: Result<Image, CaptureError>,
) -> Result<Image, CaptureError> {
    match (known, new) {
        (Ok(known), Ok(new)) => {
            let distance = |image: &Image| image.frame_offset_ms.map_or(u64::MAX, i64::unsigned_abs);
            Ok(if distance(&new) < distance(&known) { new } else { known })
        }
        (Ok(image), Err(error)) | (Err(error), Ok(image)) => {
            debug!(%error, "one of the wanted pictures is missing");
            Ok(image)
        }
        (Err(_), Err(error)) => Err(error),
    }
}

/// Asks a camera for the frame of an instant.
async fn request(frames: &mpsc::Sender<Request>, at: Instant) -> Result<Excerpt, CaptureError> {
    let (reply, answer) = oneshot::channel();
    let deadline = at.max(Instant::now()) + FRAME_DEADLINE;
    frames
        .send(Request::Frame(FrameRequest { at, deadline, reply }))
        .await
        .map_err(|_| CaptureError::Stopping)?;
    match answer.await {
        Ok(Ok(excerpt)) => Ok(excerpt),
        Ok(Err(NoFrame(reason))) => Err(CaptureError::NoFrame(reason)),
        Err(_) => Err(CaptureError::Stopping),
    }
}

/// Decodes and encodes. Blocking.
fn encode(excerpt: &Excerpt, facts: &exif::Facts, offset_ms: i64) -> Result<Picture, CaptureError> {
    let began = Instant::now();
    let picture = decode::picture(excerpt).map_err(no_frame)?;
    let decode = began.elapsed();
    let began = Instant::now();
    let (jpeg, (width, height)) = match picture {
        decode::Picture::Frame(frame) => {
            let size = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
            (jpeg::encode(&frame, facts).map_err(no_frame)?, (size(frame.width), size(frame.height)))
        }
        decode::Picture::Jpeg(jpeg) => jpeg::with_facts(&jpeg, facts).map_err(no_frame)?,
    };
    let stages =
        Stages { decode, encode: began.elapsed(), frames: excerpt.units.len(), wait: Duration::ZERO };
    Ok(Picture { jpeg, width, height, offset_ms, stages })
}

fn no_frame(error: impl std::fmt::Display) -> CaptureError {
    CaptureError::NoFrame(error.to_string())
}

/// Does heavy work on the worker threads.
async fn heavy<T: Send + 'static>(
    workers: &Workers,
    work: impl FnOnce() -> Result<T, CaptureError> + Send + 'static,
) -> Result<T, CaptureError> {
    workers.run(work).await.map_err(|failed| CaptureError::NoFrame(failed.to_string()))?
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
