//! A camera is asked for the frame of an instant, and how long that may take.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot};

use crate::media::gop::DecodeRun;
use crate::source::{FrameRequest, Request};

/// How long a camera may take until its first picture, a keyframe every eight seconds included.
pub(super) const FRAME_LIMIT: Duration = Duration::from_secs(18);

/// A trigger-to-file time that a gate does not notice.
pub(super) const FINE: Duration = Duration::from_millis(1500);

/// Asks for the frame of an instant and waits for it.
pub(super) async fn ask(
    sender: &mpsc::Sender<Request>,
    at: Instant,
    limit: Duration,
) -> anyhow::Result<DecodeRun> {
    let (reply, answer) = oneshot::channel();
    sender
        .send(Request::Frame(FrameRequest { at, deadline: at + limit, reply }))
        .await
        .context("ask for a frame")?;
    Ok(answer.await.context("the session ended")??)
}
