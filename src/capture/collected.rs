//! The stream around an edge, collected piece by piece while it comes: the camera's memory need reach back only as far as
//! before the edge, however long the time after it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::context::{CaptureContext, Follow};
use super::shot::FRAME_DEADLINE;
use crate::clock;
use crate::config::Around;
use crate::media::gop::{AccessUnit, Codec, UnitRange};
use crate::media::shelf::ShelfPart;
use crate::source::{NoFrame, Request, StretchRequest};

/// Asked for at a time; less than what a camera's memory reaches back anyway.
const STEP: Duration = Duration::from_secs(1);

/// Most bytes of one stretch, as many as a camera's memory holds.
const BYTES_MAX: usize = 48 << 20;

/// A begin so little late is that of a frame and not worth a word.
const LATE: Duration = Duration::from_millis(100);

/// A stretch of the stream.
#[derive(Debug)]
pub(super) struct Collected {
    pub(super) stretch: UnitRange,
    /// Why it is shorter than it should be, for people.
    pub(super) shortened: Option<String>,
    /// Its part of the memory of all stretches.
    place: ShelfPart,
}

/// Collects the stream around the edge of a trigger; see [`gather`].
pub(super) async fn collect(
    follow: &Follow,
    around: Around,
    accept: fn(Codec) -> Result<(), String>,
) -> Result<Collected, String> {
    let CaptureContext { frame_taker, stretches, .. } = &follow.context;
    let place = stretches.place();
    gather(&frame_taker.requests, follow.trigger.edge.at, around, &follow.stop, place, accept).await
}

/// Collects the stream around `edge`. `accept` may refuse its coding before anything is waited for. The error says why
/// there is nothing at all; dropping the future forgets what was collected.
async fn gather(
    frames: &mpsc::Sender<Request>,
    edge: Instant,
    around: Around,
    stop: &CancellationToken,
    place: ShelfPart,
    accept: fn(Codec) -> Result<(), String>,
) -> Result<Collected, String> {
    let (from, to) = (edge.checked_sub(around.before).unwrap_or(edge), edge + around.after);
    let mut until = Instant::now().clamp(from, to);
    let first = piece(frames, from, until, stop).await?;
    accept(first.codec)?;
    let shown_first = first.units.iter().map(|unit| unit.instant).min().unwrap_or(from);
    let late = shown_first.saturating_duration_since(from);
    let shortened = (late > LATE).then(|| {
        format!(
            "shortened: the memory of the camera's stream begins {} ms later than wished",
            late.as_millis()
        )
    });
    let mut collected = Collected { stretch: first, shortened, place };
    while !collected.is_full(edge) && until < to {
        until = (until + STEP).min(to);
        let last = collected.stretch.units.last().map_or(from, |unit| unit.instant);
        let next = match piece(frames, last, until, stop).await {
            Ok(next) => next,
            Err(reason) => {
                collected.end(edge, &reason);
                break;
            }
        };
        if !collected.append(next) {
            collected.end(edge, "the camera's stream broke");
            break;
        }
    }
    Ok(collected)
}

impl Collected {
    /// Takes over what is new of a later piece; false when the piece does not continue this one.
    fn append(&mut self, next: UnitRange) -> bool {
        let Some(last) = self.stretch.units.last() else { return false };
        let is_last = |unit: &AccessUnit| Arc::ptr_eq(&unit.data, &last.data);
        let Some(known) = next.units.iter().rposition(is_last) else { return false };
        self.stretch.units.extend(next.units.into_iter().skip(known + 1));
        true
    }

    /// Cuts off what is too much; whether anything was.
    fn is_full(&mut self, edge: Instant) -> bool {
        let mut bytes = 0;
        let fits = self.stretch.units.iter().take_while(|unit| {
            bytes += unit.data.len();
            bytes <= BYTES_MAX
        });
        let fits = fits.count().max(1);
        let is_whole = fits == self.stretch.units.len();
        self.stretch.units.truncate(fits);
        self.place.set(self.stretch.units.iter().map(|unit| unit.data.len()).sum());
        if self.place.is_over() {
            self.end(edge, "there is no more memory for the clips of all cameras");
            return true;
        }
        if is_whole {
            return false;
        }
        self.end(edge, &format!("it would be larger than {} MiB", BYTES_MAX >> 20));
        true
    }

    /// Notes that it ends early.
    fn end(&mut self, edge: Instant, reason: &str) {
        let last = self.stretch.units.iter().map(|unit| unit.instant).max().unwrap_or(edge);
        let ends = format!("ends {:+} ms from the edge: {reason}", clock::signed_ms(last, edge));
        self.shortened = Some(match self.shortened.take() {
            Some(known) => format!("{known}; {ends}"),
            None => format!("shortened: {ends}"),
        });
    }
}

/// Everything from the IDR at or before `from`, once all of it up to `to` has come.
async fn piece(
    frames: &mpsc::Sender<Request>,
    from: Instant,
    to: Instant,
    stop: &CancellationToken,
) -> Result<UnitRange, String> {
    let ending = || "the program was shutting down".to_owned();
    let (reply, answer) = oneshot::channel();
    let deadline = to.max(Instant::now()) + FRAME_DEADLINE;
    let request = Request::Stretch(StretchRequest { from, to, deadline, reply });
    frames.send(request).await.map_err(|_| ending())?;
    tokio::select! {
        biased;
        answer = answer => match answer {
            Ok(Ok(stretch)) => Ok(stretch),
            Ok(Err(NoFrame(reason))) => Err(reason),
            Err(_) => Err(ending()),
        },
        () = stop.cancelled() => Err(ending()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::gop::{GopLimits, Gops};
    use crate::media::shelf::Shelf;

    /// The edge: four seconds into the stream.
    const EDGE: Duration = Duration::from_secs(4);

    /// Ten seconds of video, an IDR each second, `bytes` in each unit.
    fn stream(start: Instant, bytes: usize) -> Gops {
        let limits = GopLimits { bytes: usize::MAX, span: Duration::from_secs(60) };
        let mut gops = Gops::new(Codec::H264, limits, Duration::from_secs(60));
        for i in 0..250 {
            gops.push(AccessUnit {
                rtp_ns: i64::from(i) * 40_000_000,
                instant: start + Duration::from_millis(40) * i,
                data: vec![0; bytes].into(),
                starts: i.is_multiple_of(25).then_some(0),
                is_disposable: false,
                missing: 0,
                is_leading: false,
                doubt: None,
            });
        }
        gops
    }

    /// What is collected from a camera that answers each piece at once, by the number of the piece.
    async fn collected(
        start: Instant,
        around: (u64, u64),
        answer: impl Fn(usize, &StretchRequest) -> Result<UnitRange, NoFrame>,
    ) -> Result<Collected, String> {
        let (frames, mut requests) = mpsc::channel(8);
        let camera = async {
            let mut number = 0;
            while let Some(Request::Stretch(request)) = requests.recv().await {
                let given = answer(number, &request);
                request.reply.send(given).unwrap();
                number += 1;
            }
        };
        let ms = Duration::from_millis;
        let around = Around { before: ms(around.0), after: ms(around.1) };
        let (stop, place) = (CancellationToken::new(), Shelf::new(BYTES_MAX).place());
        let refuse_jpeg = |codec| if codec == Codec::Jpeg { Err("JPEG".to_owned()) } else { Ok(()) };
        tokio::select! {
            collected = gather(&frames, start + EDGE, around, &stop, place, refuse_jpeg) => collected,
            () = camera => unreachable!("the other end of the channel is open"),
        }
    }

    /// First and last unit, in milliseconds from the edge.
    fn ends(collected: &Collected, start: Instant) -> (i64, i64) {
        let ms = |unit: &AccessUnit| clock::signed_ms(unit.instant, start + EDGE);
        let units = &collected.stretch.units;
        assert!(units.windows(2).all(|pair| pair[0].instant < pair[1].instant), "none twice");
        (ms(&units[0]), ms(units.last().unwrap()))
    }

    #[tokio::test]
    async fn pieces_are_joined_without_gap_or_repeat_from_the_idr_before_to_the_end() {
        let start = Instant::now();
        let gops = stream(start, 10);
        let whole = collected(start, (1500, 3200), |_, wish| Ok(gops.stretch(wish.from, wish.to).unwrap()));
        let whole = whole.await.unwrap();
        assert_eq!((ends(&whole, start), &whole.shortened), ((-2000, 3200), &None));
        assert_eq!(whole.stretch.units.len(), 131);
    }

    #[tokio::test]
    async fn what_cannot_be_collected_shortens_the_stretch_and_is_said() {
        let start = Instant::now();
        let (gops, after_a_break) = (stream(start, 10), stream(start, 10));
        let of = |gops: &Gops, wish: &StretchRequest| Ok(gops.stretch(wish.from, wish.to).unwrap());

        let early = collected(start, (5000, 0), |_, wish| of(&gops, wish)).await.unwrap();
        assert_eq!(ends(&early, start).0, -4000);
        assert!(early.shortened.unwrap().contains("begins 1000 ms later"));

        let broken = |n, wish: &_| of(if n < 2 { &gops } else { &after_a_break }, wish);
        let broken = collected(start, (1000, 5000), broken).await.unwrap();
        let end = ends(&broken, start).1;
        assert!((-4000..5000).contains(&end), "{end}");
        let said = broken.shortened.unwrap();
        assert!(
            said.contains(&format!("ends {end:+} ms from the edge: the camera's stream broke")),
            "{said}"
        );

        let silent =
            |n, wish: &_| if n == 0 { of(&gops, wish) } else { Err(NoFrame("no picture".to_owned())) };
        let silent = collected(start, (1000, 5000), silent).await.unwrap();
        assert!(silent.shortened.unwrap().ends_with("no picture"));

        let heavy = stream(start, 1 << 20);
        let large = collected(start, (4000, 5000), |_, wish| of(&heavy, wish)).await.unwrap();
        assert_eq!(large.stretch.units.len(), 48);
        assert!(large.shortened.unwrap().contains("larger than 48 MiB"));
    }

    #[tokio::test]
    async fn a_stream_that_is_refused_or_never_came_is_a_reason_and_no_stretch() {
        let start = Instant::now();
        let gops = stream(start, 10);
        let jpeg = |_, wish: &StretchRequest| {
            Ok(UnitRange { codec: Codec::Jpeg, ..gops.stretch(wish.from, wish.to).unwrap() })
        };
        assert_eq!(collected(start, (1000, 5000), jpeg).await.unwrap_err(), "JPEG");
        let none = |_, _: &StretchRequest| Err(NoFrame("no frame is buffered".to_owned()));
        assert_eq!(collected(start, (1000, 5000), none).await.unwrap_err(), "no frame is buffered");
    }
}
