//! What a capture and what follows it work with.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::shot::FrameTaker;
use super::workers::Workers;
use crate::clock;
use crate::config::CameraConfig;
use crate::disk::DiskGuard;
use crate::media::exif;
use crate::media::shelf::Shelf;
use crate::model::{Dimensions, ImageKind, PictureFacts, Trigger};
use crate::store::{ImageFiles, NewImage, TriggerLedger};

/// What each capture of a camera needs.
#[derive(Clone)]
pub(super) struct CaptureContext {
    pub(super) frame_taker: FrameTaker,
    pub(super) workers: Workers,
    /// For what follows a picture, so that no picture waits for it.
    pub(super) followers: Workers,
    /// The memory of what follows.
    pub(super) stretches: Shelf,
    pub(super) ledger: TriggerLedger,
    pub(super) images: ImageFiles,
    pub(super) guard: DiskGuard,
}

/// What follows the pictures of one trigger.
#[derive(Clone)]
pub(super) struct Follow {
    pub(super) context: CaptureContext,
    pub(super) config: CameraConfig,
    pub(super) trigger: Trigger,
    /// The program ends: what has come by then must do.
    pub(super) stop: CancellationToken,
}

impl Follow {
    /// What is written into a file that shows `instant`, or begins with it.
    pub(super) fn caption(&self, kind: ImageKind, instant: Instant, note: Option<String>) -> exif::Caption {
        let frame_offset_ms = clock::signed_ms(instant, self.trigger.edge.at);
        caption(&self.config, PictureFacts::of(&self.trigger, kind, frame_offset_ms, note))
    }

    /// A file to be stored beside the pictures of its trigger.
    pub(super) fn made(&self, facts: PictureFacts, dimensions: Dimensions, file: Vec<u8>) -> NewImage {
        NewImage { facts, dimensions, trigger: None, at: self.trigger.edge.at, file }
    }
}

/// What is written into a picture or clip of this camera.
pub(super) fn caption(config: &CameraConfig, facts: PictureFacts) -> exif::Caption {
    let utc_offset_s = clock::utc_offset_s(facts.edge_at);
    exif::Caption { facts, label: config.label.clone(), utc_offset_s }
}
