//! Requests that wait for a frame, across broken sessions.

use std::time::Instant;

use tokio::sync::mpsc;

use super::feed::Feed;
use super::{Arrival, FrameRequest, NoFrame, Request, StretchRequest, Watch};
use crate::media::gop::{AccessUnit, Codec, DecodeRun, Gops};

/// The requests of one camera: the channel they come from, those that still wait, and whoever watches the stream.
#[derive(Debug)]
pub struct Requests {
    channel: mpsc::Receiver<Request>,
    waiting: Vec<Waiting>,
    feed: Feed,
}

#[derive(Debug)]
enum Waiting {
    Frame(FrameRequest),
    Stretch(StretchRequest),
}

impl Waiting {
    fn deadline(&self) -> Instant {
        match self {
            Self::Frame(request) => request.deadline,
            Self::Stretch(request) => request.deadline,
        }
    }

    /// The instant up to which everything must have come.
    fn until(&self) -> Instant {
        match self {
            Self::Frame(request) => request.at,
            Self::Stretch(request) => request.to,
        }
    }

    fn is_given_up(&self) -> bool {
        match self {
            Self::Frame(request) => request.reply.is_closed(),
            Self::Stretch(request) => request.reply.is_closed(),
        }
    }

    // Nobody waits for the answer any more: fine.
    fn answer(self, gops: &Gops) {
        let nothing = || NoFrame("no frame is buffered".to_owned());
        match self {
            Self::Frame(request) => _ = request.reply.send(gops.nearest(request.at).ok_or_else(nothing)),
            Self::Stretch(request) => {
                _ = request.reply.send(gops.stretch(request.from, request.to).ok_or_else(nothing));
            }
        }
    }

    fn fail(self, reason: &str) {
        let error = NoFrame(reason.to_owned());
        match self {
            Self::Frame(request) => _ = request.reply.send(Err(error)),
            Self::Stretch(request) => _ = request.reply.send(Err(error)),
        }
    }
}

impl Requests {
    /// Requests from a channel.
    pub fn new(channel: mpsc::Receiver<Request>) -> Self {
        Self { channel, waiting: Vec::new(), feed: Feed::new() }
    }

    /// Waits for the next request or for the deadline of one that waits; what can be answered at once is, from `gops`.
    /// Safe to drop at any time.
    ///
    /// Returns whether somebody waits for a frame since then. Never returns after the other end of the channel is gone
    /// and nothing waits.
    pub async fn next(&mut self, gops: Option<&mut Gops>) -> bool {
        let deadline = self.waiting.iter().map(Waiting::deadline).min();
        let expiry = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            request = self.channel.recv() => match request {
                Some(request) => self.admit(request, gops),
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

    fn admit(&mut self, request: Request, gops: Option<&mut Gops>) -> bool {
        match request {
            Request::Frame(request) => {
                self.waiting.push(Waiting::Frame(request));
                true
            }
            Request::Stretch(request) => {
                self.waiting.push(Waiting::Stretch(request));
                true
            }
            // Nobody waits for the answer any more: fine.
            Request::Begin { at, reply } => {
                let _ = reply.send(gops.and_then(|gops| gops.nearest(at)));
                false
            }
            Request::Damaged(unit) => {
                if let Some(gops) = gops {
                    gops.drop_damaged(&unit);
                }
                false
            }
            Request::Watch { reply } => {
                let begin = gops.and_then(|gops| gops.current());
                let _ = reply.send(Watch { begin, units: self.feed.watcher() });
                false
            }
        }
    }

    /// Shows a unit that was taken into `gops` to whoever watches.
    pub fn show(&mut self, gops: &Gops, unit: &AccessUnit) {
        self.show_alone(gops.codec(), unit);
    }

    /// Answers what can be answered: a request for an instant to which no nearer frame can come gets the nearest one.
    pub fn answer(&mut self, gops: &Gops) {
        let Some(settled) = gops.settled() else { return };
        for request in self.waiting.extract_if(.., |request| request.until() <= settled) {
            request.answer(gops);
        }
    }

    /// Answers what has waited long enough with the nearest there is, where pictures are rare.
    pub fn settle(&mut self, gops: &Gops, now: Instant) {
        if gops.are_rare() {
            let is_due = |request: &mut Waiting| {
                matches!(request, Waiting::Frame(_)) && request.deadline() <= now && !request.is_given_up()
            };
            self.waiting.extract_if(.., is_due).for_each(|request| request.answer(gops));
        }
    }

    /// Fails what has waited long enough, for `reason`.
    pub fn expire(&mut self, now: Instant, reason: &str) {
        for request in
            self.waiting.extract_if(.., |request| request.deadline() <= now || request.is_given_up())
        {
            request.fail(reason);
        }
    }

    /// The earliest instant of which a frame is waited for.
    pub fn earliest(&self) -> Option<Instant> {
        self.frames().min()
    }

    /// The latest instant up to `now` of which a frame is waited for.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        self.frames().filter(|at| *at <= now).max()
    }

    fn frames(&self) -> impl Iterator<Item = Instant> {
        self.waiting.iter().filter_map(|waiting| match waiting {
            Waiting::Frame(request) => Some(request.at),
            Waiting::Stretch(_) => None,
        })
    }

    /// Gives `excerpt` to everyone who waits for a frame of an instant up to `until`.
    pub fn give(&mut self, until: Instant, excerpt: &DecodeRun) {
        let is_served =
            |waiting: &mut Waiting| matches!(waiting, Waiting::Frame(request) if request.at <= until);
        for waiting in self.waiting.extract_if(.., is_served) {
            if let Waiting::Frame(request) = waiting {
                // Nobody waits for the answer any more: fine.
                let _ = request.reply.send(Ok(excerpt.clone()));
            }
        }
    }

    /// Fails everyone who waits for a stretch, for `reason`: there is no stream.
    pub fn refuse_stretches(&mut self, reason: &str) {
        for waiting in self.waiting.extract_if(.., |waiting| matches!(waiting, Waiting::Stretch(_))) {
            waiting.fail(reason);
        }
    }

    /// Fails everyone who waits, for `reason`: there is no camera.
    pub fn refuse_all(&mut self, reason: &str) {
        self.waiting.drain(..).for_each(|waiting| waiting.fail(reason));
    }

    /// Whether somebody watches.
    pub fn is_watched(&self) -> bool {
        self.feed.is_watched()
    }

    /// Shows a picture that belongs to no group to whoever watches.
    pub fn show_alone(&mut self, codec: Codec, unit: &AccessUnit) {
        self.feed.show(Arrival { codec, unit: unit.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::gop::GopLimits;
    use std::time::Duration;
    use tokio::sync::oneshot;

    fn gops(start: Instant, frames: u32) -> Gops {
        gops_apart(start, frames, Duration::from_millis(40))
    }

    fn gops_apart(start: Instant, frames: u32, spacing: Duration) -> Gops {
        let mut gops = Gops::new(
            Codec::H264,
            GopLimits { bytes: 1 << 20, span: Duration::from_secs(90) },
            Duration::ZERO,
        );
        for i in 0..frames {
            gops.push(AccessUnit {
                rtp_ns: i64::from(i) * 40_000_000,
                instant: start + spacing * i,
                data: vec![0; 10].into(),
                starts: (i == 0).then_some(0),
                is_disposable: false,
                missing: 0,
                is_leading: false,
                doubt: None,
            });
        }
        gops
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_the_first_frame_at_or_after_its_instant() {
        let (sender, receiver) = mpsc::channel(8);
        let mut requests = Requests::new(receiver);
        let start = Instant::now();
        let (reply, mut answer) = oneshot::channel();
        let at = start + Duration::from_millis(130);
        sender
            .send(Request::Frame(FrameRequest { at, deadline: start + Duration::from_secs(5), reply }))
            .await
            .unwrap();
        assert!(requests.next(None).await);
        requests.answer(&gops(start, 4));
        assert!(answer.try_recv().is_err(), "the frame at 120 ms is not yet known to be the nearest");
        requests.answer(&gops(start, 5));
        assert_eq!(answer.try_recv().unwrap().unwrap().wanted_rtp_ns, 120_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_past_its_deadline_gets_the_nearest_picture_of_a_camera_that_sends_few() {
        for (spacing, is_answered) in [(Duration::from_millis(40), false), (Duration::from_secs(20), true)] {
            let (sender, receiver) = mpsc::channel(8);
            let mut requests = Requests::new(receiver);
            let start = Instant::now();
            let gops = gops_apart(start, 3, spacing);
            let (reply, mut answer) = oneshot::channel();
            let at = start + 2 * spacing + Duration::from_secs(8);
            let deadline = at + Duration::from_secs(5);
            sender.send(Request::Frame(FrameRequest { at, deadline, reply })).await.unwrap();
            assert!(requests.next(None).await);
            requests.settle(&gops, at);
            assert!(answer.try_recv().is_err(), "a nearer one may come");
            requests.settle(&gops, deadline);
            let given = answer.try_recv().ok().map(|excerpt| excerpt.unwrap());
            assert_eq!(given.is_some(), is_answered);
            if let Some(excerpt) = given {
                assert_eq!((excerpt.instant, excerpt.spacing), (start + 2 * spacing, spacing));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_past_its_deadline_fails_with_the_reason() {
        let (sender, receiver) = mpsc::channel(8);
        let mut requests = Requests::new(receiver);
        let (reply, mut answer) = oneshot::channel();
        let start = Instant::now();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        sender
            .send(Request::Frame(FrameRequest { at: start, deadline: deadline.into(), reply }))
            .await
            .unwrap();
        assert!(requests.next(None).await);
        assert!(!requests.next(None).await);
        requests.expire(tokio::time::Instant::now().into(), "no camera");
        assert_eq!(answer.try_recv().unwrap().unwrap_err(), NoFrame("no camera".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_gets_the_current_group_and_every_unit_after_it() {
        let (sender, receiver) = mpsc::channel(8);
        let mut requests = Requests::new(receiver);
        let start = Instant::now();
        let mut gops = gops(start, 3);
        let (reply, answer) = oneshot::channel();
        sender.send(Request::Watch { reply }).await.unwrap();
        assert!(!requests.next(Some(&mut gops)).await);
        let mut watch = answer.await.unwrap();
        assert_eq!(watch.begin.unwrap().units.len(), 3);
        let unit = AccessUnit {
            rtp_ns: 120_000_000,
            instant: start + Duration::from_millis(120),
            data: vec![7].into(),
            starts: None,
            is_disposable: false,
            missing: 0,
            is_leading: false,
            doubt: None,
        };
        assert!(gops.push(unit.clone()));
        requests.show(&gops, &unit);
        assert_eq!(&*watch.units.recv().await.unwrap().unit.data, [7]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_stream_a_stretch_fails_and_a_picture_serves_the_instants_before_it() {
        let (sender, receiver) = mpsc::channel(8);
        let mut requests = Requests::new(receiver);
        let start = Instant::now();
        let deadline = start + Duration::from_secs(5);
        let (reply, mut stretch) = oneshot::channel();
        sender
            .send(Request::Stretch(StretchRequest { from: start, to: start, deadline, reply }))
            .await
            .unwrap();
        let mut frames = Vec::new();
        for ms in [0, 100, 400] {
            let (reply, answer) = oneshot::channel();
            let at = start + Duration::from_millis(ms);
            sender.send(Request::Frame(FrameRequest { at, deadline, reply })).await.unwrap();
            frames.push(answer);
        }
        for _ in 0..4 {
            requests.next(None).await;
        }
        requests.refuse_stretches("no stream");
        assert_eq!(stretch.try_recv().unwrap().unwrap_err(), NoFrame("no stream".to_owned()));
        let later = start + Duration::from_millis(200);
        assert_eq!(
            (requests.earliest(), requests.due(later)),
            (Some(start), Some(start + Duration::from_millis(100)))
        );
        requests.give(later, &gops(start, 1).nearest(start).unwrap());
        let served: Vec<bool> = frames.iter_mut().map(|answer| answer.try_recv().is_ok()).collect();
        assert_eq!(served, [true, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stretch_waits_for_its_end_and_begin_does_not_wait() {
        let (sender, receiver) = mpsc::channel(8);
        let mut requests = Requests::new(receiver);
        let start = Instant::now();
        let (reply, mut answer) = oneshot::channel();
        let to = start + Duration::from_millis(100);
        let deadline = start + Duration::from_secs(5);
        sender.send(Request::Stretch(StretchRequest { from: start, to, deadline, reply })).await.unwrap();
        let (reply, begun) = oneshot::channel();
        sender.send(Request::Begin { at: to, reply }).await.unwrap();
        assert!(requests.next(None).await);
        let mut early = gops(start, 2);
        assert!(!requests.next(Some(&mut early)).await);
        assert_eq!(begun.await.unwrap().unwrap().wanted_rtp_ns, 40_000_000);
        requests.answer(&early);
        assert!(answer.try_recv().is_err(), "its last frame has not come yet");
        requests.answer(&gops(start, 4));
        assert_eq!(answer.try_recv().unwrap().unwrap().units.len(), 3);
    }
}
