//! The clip of a trigger: the camera's own video around the edge, as an MP4 file.

use std::io::Read as _;
use std::ops::ControlFlow;

use super::collected::{self, Collected};
use super::context::Follow;
use crate::config::Around;
use crate::media::gop::{Codec, UnitRange};
use crate::media::mp4::{self, NotMuxable};
use crate::media::{exif, jpeg, sequence};
use crate::model::{Dimensions, ImageKind};
use crate::store::{Image, NewImage};

/// The video around the edge, once it has come.
pub(super) async fn collect(follow: &Follow, around: Around) -> Result<Collected, String> {
    let accept = |codec| match codec {
        Codec::H264 | Codec::H265 => Ok(()),
        Codec::Jpeg => Err(NotMuxable::Jpeg.to_string()),
    };
    collected::collect(follow, around, accept).await
}

/// Puts it into a file, with the picture's thumbnail as its poster. Blocking.
pub(super) fn make(
    follow: &Follow,
    collected: &Collected,
    picture: Option<&Image>,
) -> Result<NewImage, String> {
    let stretch = &collected.stretch;
    let begin = stretch.units.iter().map(|unit| unit.instant).min().ok_or("nothing was collected")?;
    let caption = follow.caption(ImageKind::Clip, begin, collected.shortened.clone());
    let poster =
        picture.and_then(|picture| thumbnail_of(follow, picture)).or_else(|| first_of(follow, stretch));
    let block = exif::block(&caption, &poster.unwrap_or_default());
    let muxed =
        mp4::mux(stretch, &block, caption.facts.taken_at().epoch_s()).map_err(|error| error.to_string())?;
    let dimensions =
        Dimensions { width: muxed.width, height: muxed.height, duration_ms: Some(muxed.duration_ms) };
    Ok(follow.made(caption.facts, dimensions, muxed.bytes))
}

/// The thumbnail inside a stored picture.
fn thumbnail_of(follow: &Follow, picture: &Image) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    follow.context.images.open(picture).ok()?.read_to_end(&mut bytes).ok()?;
    exif::thumbnail(&bytes).map(<[u8]>::to_vec)
}

/// The first frame, where there is no picture.
fn first_of(follow: &Follow, stretch: &UnitRange) -> Option<Vec<u8>> {
    let first = UnitRange { codec: stretch.codec, units: stretch.units.iter().take(1).cloned().collect() };
    let mut poster = None;
    let shown = sequence::each(&first, follow.context.frame_taker.engine.kind(stretch), |_, frame| {
        poster = jpeg::thumbnail_of(frame).ok();
        ControlFlow::Break(())
    });
    shown.ok().and(poster)
}
