//! The capture task of a camera: serves its triggers.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug, error, info, info_span, warn};

use super::context::{CaptureContext, caption};
use super::follow::{Following, Stored};
use super::shot::Shot;
use super::{CaptureError, MAILBOX};
use crate::capture::workers::Workers;
use crate::clock;
use crate::config::CameraConfig;
use crate::disk::{StoreRefusal, Weight};
use crate::media::gop::DecodeRun;
use crate::media::{decode, exif, jpeg};
use crate::model::{CameraKey, Dimensions, ImageKind, NoPicture, Outcome, PictureFacts, Trigger};
use crate::store::{Image, NewImage, Saved, TriggerId};

/// A decoder that was not needed for so long gives its memory back.
const REST: Duration = Duration::from_secs(30);

/// A trigger and who waits for its picture.
pub(super) struct CaptureOrder {
    pub(super) trigger: Trigger,
    pub(super) reply: Option<oneshot::Sender<Result<Image, CaptureError>>>,
}

/// The capture task of one camera.
pub struct Capture {
    pub(super) config: CameraConfig,
    pub(super) orders: mpsc::Receiver<CaptureOrder>,
    pub(super) context: CaptureContext,
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
struct Fresh {
    new: NewImage,
    stages: Stages,
}

/// A picture that is a file and has no row yet.
struct OnDisk {
    saved: Saved,
    stages: Stages,
    offset_ms: Option<i64>,
    edge: Instant,
    /// When the file was begun.
    began: Instant,
}

impl Capture {
    /// The camera's key.
    pub fn key(&self) -> &CameraKey {
        &self.config.key
    }

    /// Serves triggers until cancelled; captures under way are finished, clips end where they are.
    pub async fn run(&mut self, cancel: &CancellationToken) {
        let mut under_way = JoinSet::new();
        let mut is_resting = true;
        let mut following = Following::new(&self.context, &self.config, cancel);
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(_) = under_way.join_next() => {}
                () = following.next() => {}
                () = tokio::time::sleep(REST), if !is_resting && under_way.is_empty() => {
                    self.context.frame_taker.engine.rest();
                    is_resting = true;
                }
                order = self.orders.recv(), if under_way.len() < MAILBOX => {
                    let Some(order) = order else { break };
                    is_resting = false;
                    let span = info_span!("capture", camera = %self.config.key, cause = order.trigger.cause.as_str());
                    let stored = following.begin(&order.trigger, &span);
                    under_way.spawn(self.context.clone().serve(self.config.clone(), order, stored).instrument(span));
                }
            }
        }
        self.orders.close();
        while let Ok(order) = self.orders.try_recv() {
            let stored = following.begin(&order.trigger, &Span::none());
            under_way.spawn(self.context.clone().serve(self.config.clone(), order, stored));
        }
        while under_way.join_next().await.is_some() {}
        following.finish().await;
    }
}

impl CaptureContext {
    /// Serves one trigger to its end; what follows its pictures hears of them by `stored`.
    async fn serve(self, config: CameraConfig, order: CaptureOrder, stored: oneshot::Sender<Stored>) {
        let trigger = order.trigger;
        // All frames are asked for at once, before the buffer moves on.
        let instants: Vec<Instant> = config.offsets_ms.iter().map(|ms| moved(trigger.edge.at, *ms)).collect();
        // Without a begin, each is waited for all the same, or fails with the reason.
        let early = self.frame_taker.early(&instants).await.unwrap_or_default();
        let early = early.into_iter().chain(std::iter::repeat_with(|| None));
        let mut pictures: FuturesUnordered<_> = instants
            .iter()
            .zip(early)
            .map(|(at, early)| self.picture(&config, &trigger, *at, early))
            .collect();
        // The file needs no database, so it does not wait for one.
        let (begun, first) = tokio::join!(self.ledger.begin(&trigger), async {
            match pictures.next().await {
                Some(picture) => Some(self.save(picture).await),
                None => None,
            }
        });
        let mut row = begun.inspect_err(|error| warn!(%error, "the trigger is not in the ledger yet")).ok();
        let mut next = first;
        let mut outcome = Err(CaptureError::undecodable("no offset is configured"));
        while let Some(saved) = next {
            outcome = nearer(outcome, self.enter(&mut row, saved).await);
            next = match pictures.next().await {
                Some(picture) => Some(self.save(picture).await),
                None => None,
            };
        }
        drop(pictures);
        match &outcome {
            Ok(_) | Err(CaptureError::Kept(_)) => self.guard.count_capture(),
            Err(error) => {
                error!(edge_at = trigger.edge.wall.rfc3339(), %error, "no picture of this trigger");
                row = self.fail(row, &trigger, error.reason()).await;
            }
        }
        // Mostly nothing follows.
        let _ = stored.send(Stored { trigger: row, picture: outcome.as_ref().ok().cloned() });
        if let Some(reply) = order.reply {
            // Whoever asked may have gone; the picture is kept all the same.
            let _ = reply.send(outcome);
        }
    }

    /// The picture taken nearest to `at`.
    async fn picture(
        &self,
        config: &CameraConfig,
        trigger: &Trigger,
        at: Instant,
        early: Option<DecodeRun>,
    ) -> Result<Fresh, CaptureError> {
        let shot = self.frame_taker.shot_from(at, early).await?;
        let frame_offset_ms = clock::signed_ms(shot.instant, trigger.edge.at);
        let facts = PictureFacts::of(trigger, ImageKind::Instant, frame_offset_ms, shot.note.clone());
        let (caption, at) = (caption(config, facts), trigger.edge.at);
        heavy(&self.workers, move || encode(shot, caption, at)).await
    }

    /// Writes the file of a picture.
    async fn save(&self, picture: Result<Fresh, CaptureError>) -> Result<OnDisk, CaptureError> {
        let Fresh { new, stages } = picture?;
        let (offset_ms, edge, began) = (new.facts.frame_offset_ms, new.at, Instant::now());
        let saved = self.guard.save(new, Weight::Picture).await.map_err(refused)?;
        Ok(OnDisk { saved, stages, offset_ms, edge, began })
    }

    /// Gives a file its row; the trigger's is learned by that, where it could not be written before.
    async fn enter(
        &self,
        row: &mut Option<TriggerId>,
        saved: Result<OnDisk, CaptureError>,
    ) -> Result<Image, CaptureError> {
        let OnDisk { saved, stages, offset_ms, edge, began } = saved?;
        let entered = self.guard.enter(&saved, *row, Weight::Picture).await.map_err(|refusal| {
            if let StoreRefusal::Kept(why) = &refusal {
                error!(why, "the picture is kept as a file, and the database does not take it");
            }
            refused(refusal)
        })?;
        *row = Some(entered.trigger);
        let image = entered.image;
        info!(
            file = %image.filename,
            offset_ms,
            total_ms = ms(edge.elapsed()),
            wait_ms = ms(stages.wait),
            decode_ms = ms(stages.decode),
            encode_ms = ms(stages.encode),
            write_ms = ms(began.elapsed()),
            frames = stages.frames,
            bytes = image.bytes,
            "captured"
        );
        if let Some(note) = &image.facts.note {
            warn!(file = %image.filename, note, "not the plain picture of the instant");
        }
        Ok(image)
    }

    /// Ends a trigger without a picture. What the ledger does not take the operator hears of all the same, and the ledger
    /// later.
    async fn fail(&self, row: Option<TriggerId>, trigger: &Trigger, reason: NoPicture) -> Option<TriggerId> {
        let ended = match row {
            Some(id) => self.ledger.fail(id, reason).await.map(|()| id),
            None => self.ledger.end(trigger, Outcome::Failed, reason).await,
        };
        match ended {
            Ok(id) => Some(id),
            Err(error) => {
                error!(%error, "the failure could not be written into the ledger");
                self.guard.ledger_refused(&error);
                row
            }
        }
    }
}

fn refused(refusal: StoreRefusal) -> CaptureError {
    match refusal {
        StoreRefusal::Full(words) => CaptureError::Full(words),
        StoreRefusal::Failed(error) => CaptureError::Store(error.to_string()),
        StoreRefusal::Kept(words) => CaptureError::Kept(words),
    }
}

/// An instant moved by so many milliseconds.
fn moved(at: Instant, ms: i64) -> Instant {
    let distance = Duration::from_millis(ms.unsigned_abs());
    let moved = if ms < 0 { at.checked_sub(distance) } else { at.checked_add(distance) };
    moved.unwrap_or(at)
}

/// Of two results of one trigger, the picture that is nearer to the edge.
fn nearer(
    known: Result<Image, CaptureError>,
    new: Result<Image, CaptureError>,
) -> Result<Image, CaptureError> {
    match (known, new) {
        (Ok(known), Ok(new)) => {
            let distance = |image: &Image| image.facts.frame_offset_ms.map_or(u64::MAX, i64::unsigned_abs);
            Ok(if distance(&new) < distance(&known) { new } else { known })
        }
        (Ok(image), Err(error)) | (Err(error), Ok(image)) => {
            debug!(%error, "one of the wanted pictures is missing");
            Ok(image)
        }
        // A picture that is listed later is one.
        (Err(CaptureError::Kept(why)), Err(_)) => Err(CaptureError::Kept(why)),
        (Err(_), Err(error)) => Err(error),
    }
}

/// Encodes a picture that was wanted of the edge `at`. Blocking.
fn encode(shot: Shot, caption: exif::Caption, at: Instant) -> Result<Fresh, CaptureError> {
    let began = Instant::now();
    let (file, size) = match shot.picture {
        decode::WantedPicture::Frame(frame) => {
            let size = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
            (
                jpeg::encode(&frame, &caption).map_err(CaptureError::undecodable)?,
                (size(frame.width), size(frame.height)),
            )
        }
        decode::WantedPicture::Jpeg(jpeg) => {
            jpeg::with_caption(&jpeg, &caption).map_err(CaptureError::undecodable)?
        }
    };
    let stages = Stages { wait: shot.wait, decode: shot.decode, encode: began.elapsed(), frames: shot.units };
    let dimensions = Dimensions::of_picture(size);
    Ok(Fresh { new: NewImage { facts: caption.facts, dimensions, trigger: None, at, file }, stages })
}

/// Does heavy work on the worker threads.
pub(super) async fn heavy<T: Send + 'static>(
    workers: &Workers,
    work: impl FnOnce() -> Result<T, CaptureError> + Send + 'static,
) -> Result<T, CaptureError> {
    workers.run(work).await.map_err(CaptureError::undecodable)?
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
