//! Who goes next: live pictures before the backlog, and in the backlog one camera after the other. Pure.

use crate::model::UnixMs;

/// A picture is live for so long after its instant. Later nobody stands at the barrier any more, and it is backlog. One
/// of a clock that ran ahead is live for as long before it.
pub(super) const LIVE_MS: i64 = 10 * 60 * 1000;

/// An upload that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Row of the picture.
    pub(super) row: i64,
    /// The instant it shows.
    pub(super) taken_at: UnixMs,
}

/// What is due of one camera.
#[derive(Clone, Debug)]
pub(super) struct CameraLine {
    /// Its key.
    pub(super) camera: String,
    /// Oldest first.
    pub(super) waiting: Vec<Waiting>,
}

/// Up to `limit` rows: of `live` the oldest, then of `lines` (by camera) the oldest of each camera in turn, beginning
/// behind the camera that was served last. Also tells which camera was served last now, if any was.
pub(super) fn choose(
    mut live: Vec<Waiting>,
    lines: &[CameraLine],
    limit: usize,
    after: Option<&str>,
) -> (Vec<i64>, Option<String>) {
    live.sort_by_key(|waiting| (waiting.taken_at, waiting.row));
    let mut rows: Vec<i64> = live.iter().take(limit).map(|waiting| waiting.row).collect();
    let mut served = None;
    let first = lines.partition_point(|line| after.is_some_and(|after| line.camera.as_str() <= after));
    let mut heads: Vec<std::slice::Iter<'_, Waiting>> =
        lines.iter().map(|line| line.waiting.iter()).collect();
    let mut turns = (0..lines.len()).cycle().skip(first);
    let mut passed_by = 0;
    while rows.len() < limit && passed_by < lines.len() {
        let Some(at) = turns.next() else { break };
        match heads[at].find(|waiting| !rows.contains(&waiting.row)) {
            Some(waiting) => {
                rows.push(waiting.row);
                served = Some(lines[at].camera.clone());
                passed_by = 0;
            }
            None => passed_by += 1,
        }
    }
    (rows, served)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn waiting(row: i64) -> Waiting {
        Waiting { row, taken_at: UnixMs(row * 1000) }
    }

    fn line(camera: &str, rows: &[i64]) -> CameraLine {
        CameraLine { camera: camera.to_owned(), waiting: rows.iter().copied().map(waiting).collect() }
    }

    #[test]
    fn live_pictures_go_first_and_the_backlog_takes_turns() {
        let lines = [line("r1", &[1, 2, 3, 90]), line("r2", &[4, 91]), line("r3", &[5])];
        let live = vec![waiting(91), waiting(90)];
        let (rows, served) = choose(live.clone(), &lines, 5, Some("r1"));
        assert_eq!((rows, served.as_deref()), (vec![90, 91, 4, 5, 1], Some("r1")));
        assert_eq!(
            choose(live, &lines, 1, Some("r1")),
            (vec![90], None),
            "a live picture takes no camera's turn"
        );
    }

    #[test]
    fn behind_the_last_camera_comes_the_first_also_when_one_is_gone() {
        let lines = [line("r1", &[1]), line("r3", &[3])];
        assert_eq!(choose(Vec::new(), &lines, 1, Some("r3")).0, [1]);
        assert_eq!(choose(Vec::new(), &lines, 1, Some("r2")).0, [3]);
        assert_eq!(choose(Vec::new(), &lines, 1, None).0, [1]);
        assert_eq!(choose(Vec::new(), &[], 9, None), (Vec::new(), None));
    }

    proptest! {
        #[test]
        fn nothing_is_chosen_twice_or_left_out_and_no_camera_waits_longer_than_a_round(
            sizes in prop::collection::vec(0..6_usize, 1..5), limit in 0..30_usize, live in 0..4_usize,
        ) {
            let mut lines = Vec::new();
            let mut next = 0;
            for (index, size) in sizes.iter().enumerate() {
                let rows: Vec<i64> = (0..*size).map(|_| { next += 1; next }).collect();
                lines.push(line(&format!("r{index}"), &rows));
            }
            let all = usize::try_from(next).unwrap();
            let live: Vec<Waiting> = (1..=next).rev().take(live).map(waiting).collect();
            let count = live.len().min(limit);
            // One at a time, as a lane asks, and at once: the same order.
            let (rows, _) = choose(live, &lines, limit, None);
            prop_assert_eq!(rows.len(), limit.min(all));
            let mut sorted = rows.clone();
            sorted.sort_unstable();
            sorted.dedup();
            prop_assert_eq!(sorted.len(), rows.len());
            let camera_of = |row: &i64| lines.iter().position(|line| line.waiting.iter().any(|w| w.row == *row));
            let served: Vec<_> = rows[count..].iter().map(camera_of).collect();
            for pair in served.windows(2).filter(|pair| pair[0] == pair[1]) {
                // Twice in a row only when no other camera has anything left.
                let from = served.iter().position(|camera| *camera == pair[0]).unwrap();
                let left = lines.iter().enumerate().filter(|(index, line)| {
                    Some(*index) != pair[0] && line.waiting.iter().any(|w| !rows.contains(&w.row))
                });
                prop_assert_eq!(left.count(), 0, "{:?} from {}", served, from);
            }
        }
    }
}
