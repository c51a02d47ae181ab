//! Requests that wait for a frame, across broken sessions.

use std::time::Instant;

use tokio::sync::mpsc;

use super::{FrameRequest, NoFrame};
use crate::media::gop::Gops;

/// The requests of one camera: the channel they come from and those that still wait.
#[derive(Debug)]
pub struct FrameRequests {
    channel: mpsc::Receiver<FrameRequest>,
    waiting: Vec<FrameRequest>,
}

impl FrameRequests {
    /// Requests from a channel.
    pub fn new(channel: mpsc::Receiver<FrameRequest>) -> Self {
        Self { channel, waiting: Vec::new() }
    }

    /// Waits for the next request or for the deadline of one that waits. Safe to drop at any time.
    ///
    /// Returns whether a request came. Never returns after the other end of the channel is gone and nothing waits.
    pub async fn next(&mut self) -> bool {
        let deadline = self.waiting.iter().map(|request| request.deadline).min();
        let expiry = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            request = self.channel.recv() => match request {
                Some(request) => {
                    self.waiting.push(request);
                    true
                }
                None if deadline.is_none() => std::future::pending().await,
                // The channel is closed: only deadlines are left to wait for.
                None => {
                    if let Some(deadline) = deadline {
                        tokio::time::sleep_until(deadline.into()).await;
                    }
                    false
                }
            },
            () = expiry => false,
        }
    }

    /// Answers what can be answered: a request for an instant to which no nearer frame can come gets the nearest one.
    pub fn answer(&mut self, gops: &Gops) {
        let Some(settled) = gops.settled() else { return };
        for request in self.waiting.extract_if(.., |request| request.at <= settled) {
            let answer = gops.nearest(request.at).ok_or_else(|| NoFrame("no frame is buffered".to_owned()));
            // Nobody waits for the answer any more: fine.
            let _ = request.reply.send(answer);
        }
    }

    /// Fails what has waited long enough, for `reason`.
    pub fn expire(&mut self, now: Instant, reason: &str) {
        for request in
            self.waiting.extract_if(.., |request| request.deadline <= now || request.reply.is_closed())
        {
            // Nobody waits for the answer any more: fine.
            let _ = request.reply.send(Err(NoFrame(reason.to_owned())));
        }
    }

    /// Whether someone waits.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::gop::{AccessUnit, Codec, Limits};
    use std::time::Duration;
    use tokio::sync::oneshot;

    fn gops(start: Instant, frames: u32) -> Gops {
        let mut gops =
            Gops::new(Codec::H264, Limits { bytes: 1 << 20, span: Duration::from_secs(9) }, Duration::ZERO);
        for i in 0..frames {
            gops.push(AccessUnit {
                rtp_ns: i64::from(i) * 40_000_000,
                instant: start + Duration::from_millis(40) * i,
                data: vec![0; 10].into(),
                is_idr: i == 0,
            });
        }
        gops
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_the_first_frame_at_or_after_its_instant() {
        let (sender, receiver) = mpsc::channel(8);
        let mut requests = FrameRequests::new(receiver);
        let start = Instant::now();
        let (reply, mut answer) = oneshot::channel();
        let at = start + Duration::from_millis(130);
        sender.send(FrameRequest { at, deadline: start + Duration::from_secs(5), reply }).await.unwrap();
        assert!(requests.next().await);
        requests.answer(&gops(start, 4));
        assert!(answer.try_recv().is_err(), "the frame at 120 ms is not yet known to be the nearest");
        requests.answer(&gops(start, 5));
        assert_eq!(answer.try_recv().unwrap().unwrap().wanted_rtp_ns, 120_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_past_its_deadline_fails_with_the_reason() {
        let (sender, receiver) = mpsc::channel(8);
        let mut requests = FrameRequests::new(receiver);
        let (reply, mut answer) = oneshot::channel();
        let start = Instant::now();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        sender.send(FrameRequest { at: start, deadline: deadline.into(), reply }).await.unwrap();
        assert!(requests.next().await);
        assert!(!requests.next().await);
        requests.expire(tokio::time::Instant::now().into(), "no camera");
        assert_eq!(answer.try_recv().unwrap().unwrap_err(), NoFrame("no camera".to_owned()));
    }
}
