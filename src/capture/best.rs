//! The best picture of a trigger: the sharpest well-exposed one around the edge.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Instant;

use super::collected::{self, Collected};
use super::context::Follow;
use super::shot::with_more;
use crate::config::Around;
use crate::media::frame::Frame;
use crate::media::gop::Codec;
use crate::media::sharpness::Score;
use crate::media::{jpeg, sequence};
use crate::model::{Dimensions, ImageKind};
use crate::store::{Image, NewImage};

/// The frames around the edge, once they have come.
pub(super) async fn collect(follow: &Follow, around: Around) -> Result<Collected, String> {
    collected::collect(follow, around, |_| Ok(())).await
}

/// Looks through all of them and encodes the best one. Blocking, as long as decoding each of them takes.
pub(super) fn make(
    follow: &Follow,
    collected: &Collected,
    _picture: Option<&Image>,
) -> Result<NewImage, String> {
    let around = follow.config.best.ok_or("it is not configured")?;
    let stretch = &collected.stretch;
    let instants: HashMap<i64, Instant> =
        stretch.units.iter().map(|unit| (unit.rtp_ns, unit.instant)).collect();
    let mut best: Option<(f64, i64, Frame)> = None;
    let decoded =
        sequence::each(stretch, follow.context.frame_taker.engine.kind(stretch), |rtp_ns, frame| {
            // Frames before are decoded only because later ones refer to them; so is one after, where B-frames refer to it.
            if instants
                .get(&rtp_ns)
                .is_some_and(|instant| is_within(*instant, follow.trigger.edge.at, around))
            {
                let score = Score::of(frame).total();
                if best.as_ref().is_none_or(|(known, ..)| score > *known) {
                    best = Some((score, rtp_ns, frame.clone()));
                }
            }
            // When the program ends, the best so far must do.
            if follow.stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    let Some((_, rtp_ns, frame)) = best else {
        let nothing = "the camera sent no frame in that time".to_owned();
        return Err(decoded.err().map_or(nothing, |error| error.to_string()));
    };
    let instant = instants.get(&rtp_ns).copied().unwrap_or(follow.trigger.edge.at);
    let unit = stretch.units.iter().find(|unit| unit.rtp_ns == rtp_ns);
    let note = with_more(collected.shortened.clone(), unit.and_then(|unit| unit.doubt));
    let caption = follow.caption(ImageKind::Best, instant, note);
    let own = unit.filter(|_| stretch.codec == Codec::Jpeg);
    let (file, size) = match own {
        Some(unit) => jpeg::with_caption(&unit.data, &caption).map_err(|error| error.to_string())?,
        None => {
            let pixels = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            let file = jpeg::encode(&frame, &caption).map_err(|error| error.to_string())?;
            (file, (pixels(frame.width), pixels(frame.height)))
        }
    };
    Ok(follow.made(caption.facts, Dimensions::of_picture(size), file))
}

/// Whether an instant lies around an edge; both ends do.
fn is_within(instant: Instant, edge: Instant, around: Around) -> bool {
    instant <= edge + around.after && edge.saturating_duration_since(instant) <= around.before
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_shown_before_or_after_the_time_that_was_asked_for_is_not_chosen() {
        let edge = Instant::now() + Duration::from_secs(10);
        let ms = Duration::from_millis;
        let around = Around { before: ms(200), after: ms(300) };
        let at = |offset: i64| {
            if offset < 0 { edge - ms(offset.unsigned_abs()) } else { edge + ms(offset.unsigned_abs()) }
        };
        let within: Vec<i64> = [-240, -201, -200, 0, 300, 301, 340]
            .into_iter()
            .filter(|one| is_within(at(*one), edge, around))
            .collect();
        assert_eq!(within, [-200, 0, 300]);
    }
}
