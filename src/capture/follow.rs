//! What follows a picture: the best one around the edge, and a clip. Neither keeps a picture waiting or spoils it: they
//! begin to collect with the trigger, are made on a thread of their own after its pictures are stored, and what cannot
//! be had is remarked in the ledger.

use futures_util::FutureExt;
use futures_util::future::Shared;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, error, info, warn};

use super::collected::Collected;
use super::context::{CaptureContext, Follow};
use super::{best, clip};
use crate::config::CameraConfig;
use crate::disk::{StoreRefusal, Weight};
use crate::model::Trigger;
use crate::store::{Image, NewImage, TriggerId};

/// Triggers of one camera whose clip or best picture is under way. They share the video they hold; beyond this, cars
/// come faster than clips end.
const FOLLOWING_MAX: usize = 4;

/// What became of the pictures of a trigger.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Its row in the ledger; `None` while the database does not take it.
    pub(super) trigger: Option<TriggerId>,
    /// The one nearest to the edge, if there is any.
    pub(super) picture: Option<Image>,
}

/// The followers of one camera that are under way.
pub(super) struct Following {
    context: CaptureContext,
    config: CameraConfig,
    stop: CancellationToken,
    under_way: JoinSet<()>,
}

impl Following {
    pub(super) fn new(context: &CaptureContext, config: &CameraConfig, stop: &CancellationToken) -> Self {
        Self {
            context: context.clone(),
            config: config.clone(),
            stop: stop.clone(),
            under_way: JoinSet::new(),
        }
    }

    /// Begins to collect what shall follow the pictures of a trigger; it waits for them.
    pub(super) fn begin(&mut self, trigger: &Trigger, span: &Span) -> oneshot::Sender<Stored> {
        let (sender, stored) = oneshot::channel();
        if self.config.clip.is_none() && self.config.best.is_none() {
            return sender;
        }
        let follow = Follow {
            context: self.context.clone(),
            config: self.config.clone(),
            trigger: trigger.clone(),
            stop: self.stop.clone(),
        };
        if self.under_way.len() < FOLLOWING_MAX {
            self.under_way.spawn(follow.run(stored).instrument(span.clone()));
        } else {
            self.under_way.spawn(follow.refuse(stored).instrument(span.clone()));
        }
        sender
    }

    /// Waits until one has ended; for ever while there is none.
    pub(super) async fn next(&mut self) {
        if self.under_way.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until all have ended.
    pub(super) async fn finish(&mut self) {
        while self.under_way.join_next().await.is_some() {}
    }
}

impl Follow {
    async fn run(self, stored: oneshot::Receiver<Stored>) {
        let stored = stored.shared();
        let best = async {
            let Some(around) = self.config.best else { return };
            let made = best::collect(&self, around).await;
            self.end("best picture", made, &stored, best::make).await;
        };
        let clip = async {
            let Some(around) = self.config.clip else { return };
            let made = clip::collect(&self, around).await;
            self.end("clip", made, &stored, clip::make).await;
        };
        tokio::join!(best, clip);
    }

    async fn refuse(self, stored: oneshot::Receiver<Stored>) {
        let reason = format!("{FOLLOWING_MAX} triggers of this camera still wait for theirs");
        if let Ok(row) = stored.await.map(|stored| stored.trigger) {
            self.remark(row, "clip or best picture", &reason).await;
        }
    }

    /// Makes a file of what was collected and stores it, once the pictures are stored; or remarks why not.
    async fn end(
        &self,
        what: &str,
        collected: Result<Collected, String>,
        stored: &Shared<oneshot::Receiver<Stored>>,
        make: fn(&Self, &Collected, Option<&Image>) -> Result<NewImage, String>,
    ) {
        // Only a trigger that is given up tells nothing.
        let Ok(Stored { trigger: row, picture }) = stored.clone().await else { return };
        let result = match collected {
            Ok(collected) => match self.make(what, collected, picture, make).await {
                Ok(made) => self.keep(row, made).await,
                Err(reason) => Err(reason),
            },
            Err(reason) => Err(reason),
        };
        if let Err(reason) = result {
            self.remark(row, what, &reason).await;
        }
    }

    /// Makes a file of what was collected, on the thread for that.
    async fn make(
        &self,
        what: &str,
        collected: Collected,
        picture: Option<Image>,
        make: fn(&Self, &Collected, Option<&Image>) -> Result<NewImage, String>,
    ) -> Result<NewImage, String> {
        let stretch = &collected.stretch;
        let room = self.context.frame_taker.engine.room_for(stretch.codec, &stretch.units).await;
        // A clip is not decoded, but for a poster where there is no picture.
        if let (Err(error), false) = (&room, what == "clip") {
            return Err(error.to_string());
        }
        let this = self.clone();
        let work = move || {
            let _room = room;
            make(&this, &collected, picture.as_ref())
        };
        self.context.followers.run(work).await.unwrap_or_else(|failed| Err(failed.to_string()))
    }

    async fn keep(&self, row: Option<TriggerId>, mut made: NewImage) -> Result<(), String> {
        let (kind, frame_offset_ms) = (made.facts.kind, made.facts.frame_offset_ms);
        made.trigger = row;
        let image = match self.context.guard.record(made, Weight::Beside).await {
            Ok(image) => image,
            Err(StoreRefusal::Kept(why)) => {
                warn!(kind = kind.as_str(), why, "kept as a file");
                return Ok(());
            }
            Err(refusal) => return Err(format!("it could not be stored: {refusal}")),
        };
        let duration_ms = image.dimensions.duration_ms;
        info!(file = %image.filename, kind = kind.as_str(), offset_ms = frame_offset_ms, duration_ms, bytes = image.bytes, "stored");
        Ok(())
    }

    async fn remark(&self, row: Option<TriggerId>, what: &str, reason: &str) {
        warn!(
            edge_at = self.trigger.edge.wall.rfc3339(),
            what, reason, "could not be had beside the picture"
        );
        let Some(row) = row else { return };
        if let Err(error) = self.context.ledger.remark(row, &format!("no {what}: {reason}")).await {
            error!(%error, "the remark could not be written into the ledger");
        }
    }
}
