//! The line along which pictures come: arrival over RTP time, laid along its lower edge. Pure.
//!
//! A picture cannot arrive before it was taken, but it can arrive late. So the line's pace is the median of the paces
//! between the least delayed pictures of each half second (after Theil and Sen), its height that of the least delayed
//! picture of all. All numbers are nanoseconds; arrivals count from the first one, RTP time from any fixed start.

use std::collections::VecDeque;

/// Length of a piece of the line whose least delayed picture counts.
const PIECE_NS: i64 = 500_000_000;

/// Pieces the pace is taken from, at most; 30 s.
const PIECES_MAX: usize = 60;

/// How far back the least delayed picture may lie. Long enough to bridge a keyframe's burst and a network hiccup.
const WINDOW_NS: i64 = 10_000_000_000;

/// From so many pieces on a pace is sure; from [`FEW`] on it is used if it stands out.
pub(super) const SURE: usize = 6;
const FEW: usize = 3;

/// Pieces of fewer pictures say little each: then no pace is drawn from few pieces.
const SPARSE: u32 = 3;

/// Paces between pieces that are this far apart in number: half of the pieces.
const PAIRS_MAX: usize = PIECES_MAX.div_ceil(2) + 1;

/// What stands out of few pieces differs by more than this.
const STANDS_OUT_NS: f64 = 40e6;

/// A piece that comes earlier than the line by more than this is more than the rounding of a pace.
const EARLY_NS: f64 = 15e6;

/// So many in a row: the line has another pace by now.
const EARLY_PIECES: u32 = 3;

/// A piece that comes earlier than the line by more than this shows that a delay has gone; the pace is measured anew.
const STEP_NS: f64 = 100e6;

/// A pace beyond this, either way, is not drawn from few pictures. Frame numbers in place of 1/90000 s are 3600 at 25 a
/// second, nanoseconds 1/11111.
const PACES: std::ops::RangeInclusive<f64> = 1e-5..=1e7;

/// A picture: when it came, and its RTP time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) at: i64,
    pub(super) rtp: i64,
}

/// What the pieces say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fit {
    /// Real seconds per second of RTP time.
    pub(super) pace: f64,
    /// How far pieces lie from the line: on average, and at most.
    pub(super) spread: f64,
    pub(super) farthest: f64,
    /// From the first piece to the last one, real time.
    pub(super) span: f64,
    pub(super) pieces: usize,
}

impl Fit {
    /// How much the line departs from one whose pace is within `tolerance` of 1, over all of it.
    pub(super) fn excess(&self, tolerance: f64) -> f64 {
        // Of the difference between arrival and RTP time, which is all of the arrival where stamps stand still.
        ((1.0 - 1.0 / self.pace).abs() - tolerance) * self.span
    }
}

/// What was found when a piece ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndedPiece {
    /// Nothing new.
    Plain,
    /// Pictures come earlier and earlier: the pace has changed.
    Faster,
}

/// The line of the newest half minute.
#[derive(Debug)]
pub(super) struct ArrivalLine {
    /// The least delayed picture of each piece, the current one last.
    pieces: VecDeque<Point>,
    /// When the current piece began.
    begun: i64,
    /// The pace is taken from pieces since.
    since: i64,
    /// A point near the newest one, which distances are reckoned from so that they stay small.
    anchor: Point,
    pace: f64,
    /// Of the least delayed picture, against the anchor.
    height: f64,
    /// The height when the current piece began, and how many pieces in a row were below it.
    height_before: f64,
    early: u32,
    /// Pictures of the current piece, and whether the one before had few.
    pictures: u32,
    is_sparse: bool,
    /// Pace and height stay as they are, whatever comes.
    is_frozen: bool,
}

impl Default for ArrivalLine {
    fn default() -> Self {
        Self {
            pieces: VecDeque::with_capacity(PIECES_MAX + 1),
            begun: 0,
            since: i64::MIN,
            anchor: Point::default(),
            pace: 1.0,
            height: 0.0,
            height_before: 0.0,
            early: 0,
            pictures: 0,
            is_sparse: true,
            is_frozen: false,
        }
    }
}

impl ArrivalLine {
    /// Real seconds per second of RTP time.
    pub(super) fn pace(&self) -> f64 {
        self.pace
    }

    /// The pace is taken from pieces since this instant.
    pub(super) fn since(&self) -> i64 {
        self.since
    }

    /// How much later than by the line a picture comes; negative if earlier.
    pub(super) fn lateness(&self, point: Point) -> i64 {
        (self.elevation(point) - self.height) as i64
    }

    /// The RTP time of a picture that comes now without delay.
    pub(super) fn rtp_at(&self, at: i64) -> i64 {
        let since = (at.saturating_sub(self.anchor.at)) as f64 - self.height;
        self.anchor.rtp.saturating_add((since / self.pace) as i64)
    }

    /// Stops following what comes, which is kept all the same, until [`Self::go_on`].
    pub(super) fn freeze(&mut self) {
        self.is_frozen = true;
    }

    /// Follows again: pieces since `since`.
    pub(super) fn go_on(&mut self, since: i64) {
        self.is_frozen = false;
        self.since = since;
        self.early = 0;
        self.refit();
    }

    /// Takes the pace from one piece fewer.
    pub(super) fn forget_first(&mut self) {
        let first = self.pieces.partition_point(|piece| piece.at < self.since);
        self.since = self.pieces.get(first + 1).map_or(self.since, |piece| piece.at);
    }

    /// Takes in a picture; what was found if a piece ended before it.
    pub(super) fn push(&mut self, point: Point) -> Option<EndedPiece> {
        let is_first = self.pieces.is_empty();
        if !is_first && point.at.saturating_sub(self.begun) < PIECE_NS {
            self.pictures += 1;
            let elevation = self.elevation(point);
            if let Some(least) = self.pieces.back().copied()
                && elevation < self.elevation(least)
            {
                self.pieces.pop_back();
                self.pieces.push_back(point);
            }
            if !self.is_frozen {
                self.height = self.height.min(elevation);
            }
            return None;
        }
        let ended = self.end_piece();
        (self.is_sparse, self.pictures) = (self.pictures < SPARSE, 1);
        self.begun = point.at;
        self.pieces.push_back(point);
        if self.pieces.len() > PIECES_MAX {
            self.pieces.pop_front();
        }
        if is_first {
            (self.anchor, self.height) = (point, 0.0);
        }
        if !self.is_frozen {
            self.refit();
        }
        self.height_before = self.height;
        (!is_first).then_some(ended)
    }

    /// Looks at the piece that has ended.
    fn end_piece(&mut self) -> EndedPiece {
        let Some(piece) = self.pieces.back().copied().filter(|_| !self.is_frozen) else {
            return EndedPiece::Plain;
        };
        let drop = self.height_before - self.elevation(piece);
        if drop > STEP_NS && self.early == 0 {
            self.since = piece.at;
        }
        self.early = if drop > EARLY_NS { self.early + 1 } else { 0 };
        if self.early >= EARLY_PIECES {
            self.early = 0;
            let first = self.pieces.len().saturating_sub(EARLY_PIECES as usize);
            self.since = self.pieces.get(first).map_or(piece.at, |piece| piece.at);
            return EndedPiece::Faster;
        }
        EndedPiece::Plain
    }

    /// What the pieces that began since an instant and have ended say; `None` from fewer than two.
    pub(super) fn fit(&self, since: i64) -> Option<Fit> {
        let first = self.pieces.partition_point(|piece| piece.at < since);
        let pieces = (self.pieces.len() - first).saturating_sub(1);
        let apart = pieces / 2;
        if apart == 0 {
            return None;
        }
        let piece = |i: usize| self.pieces[first + i];
        let mut paces = [0.0; PAIRS_MAX];
        let paces = &mut paces[..pieces - apart];
        for (i, pace) in paces.iter_mut().enumerate() {
            let (a, b) = (piece(i), piece(i + apart));
            let rtp = b.rtp.saturating_sub(a.rtp);
            *pace = if rtp > 0 { (b.at - a.at) as f64 / rtp as f64 } else { f64::INFINITY };
        }
        let middle = paces.len() / 2;
        let (_, pace, _) = paces.select_nth_unstable_by(middle, f64::total_cmp);
        let pace = *pace;
        let (start, end) = (piece(0), piece(pieces - 1));
        let span = (end.at - start.at) as f64;
        // Stamps that stand still are no line, however well they keep to it.
        let (spread, farthest) = if pace.is_finite() {
            let off = |i: usize| {
                let piece = piece(i);
                (piece.at - start.at) as f64 - pace * piece.rtp.saturating_sub(start.rtp) as f64
            };
            let mean = (0..pieces).map(off).sum::<f64>() / pieces as f64;
            let each = (0..pieces).map(|i| (off(i) - mean).abs());
            (each.clone().sum::<f64>() / pieces as f64, each.fold(0.0, f64::max))
        } else {
            (0.0, 0.0)
        };
        Some(Fit { pace, spread, farthest, span, pieces })
    }

    fn refit(&mut self) {
        let Some(newest) = self.pieces.back().copied() else { return };
        let enough = if self.is_sparse { SURE } else { FEW };
        if let Some(fit) =
            self.fit(self.since).filter(|fit| fit.pieces >= enough && PACES.contains(&fit.pace))
        {
            let moved = (1.0 - self.pace / fit.pace).abs() * fit.span;
            let limit = if fit.pieces >= SURE { 3.0 * fit.spread } else { 4.0 * fit.spread + STANDS_OUT_NS };
            if moved > limit {
                self.pace = fit.pace;
            }
        }
        self.anchor = newest;
        let oldest = newest.at.saturating_sub(WINDOW_NS).max(self.since);
        let elevations =
            self.pieces.iter().rev().take_while(|piece| piece.at >= oldest).map(|p| self.elevation(*p));
        self.height = elevations.fold(0.0, f64::min);
    }

    fn elevation(&self, point: Point) -> f64 {
        let rtp = point.rtp.saturating_sub(self.anchor.rtp) as f64;
        point.at.saturating_sub(self.anchor.at) as f64 - self.pace * rtp
    }
}
