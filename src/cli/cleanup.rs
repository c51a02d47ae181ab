//! What a retention run did, or would do, in words.

use crate::disk::retention::RetentionReport;
use crate::model::{UnixMs, size};
use crate::store::PictureUsage;

/// A few lines: how much goes, for which reason, of which cameras; what stays, and why.
pub(super) fn summary(report: &RetentionReport) -> String {
    let mut lines = vec![head(report)];
    let reasons = [
        (report.by_age, format!("taken before {}", report.before.rfc3339())),
        (report.by_limit, "above STORAGE_MAX_BYTES".to_owned()),
        (report.by_space, "to make room on the disk".to_owned()),
    ];
    for (heap, why) in reasons.iter().filter(|(heap, _)| heap.pictures > 0) {
        lines.push(format!("  {}: {why}", heaped(*heap)));
    }
    for (camera, heap) in &report.by_camera {
        lines.push(format!("  {}: of camera {camera}", heaped(*heap)));
    }
    let held = &report.held;
    let owed = held.owed.iter().map(|(target, heap)| (*heap, format!("not delivered to {target} yet")));
    let dead = held.dead.iter().map(|(target, heap)| (*heap, format!("put aside by {target}")));
    let protected = Some((held.protected, "protected".to_owned())).filter(|(heap, _)| heap.pictures > 0);
    let stay: Vec<_> =
        owed.chain(dead).chain(protected).map(|(heap, why)| format!("  {}: {why}", heaped(heap))).collect();
    if !stay.is_empty() {
        let kept = report.kept;
        let old = kept.owed + kept.dead + kept.protected;
        lines.push(format!("stay whatever happens ({old} of them past their time):"));
        lines.extend(stay);
    }
    lines.join("\n")
}

fn head(report: &RetentionReport) -> String {
    let deed = if report.is_dry_run { "would delete" } else { "deleted" };
    let whole = PictureUsage { pictures: report.deleted, bytes: report.freed_bytes };
    match report.span {
        None if report.refused.is_some() => format!("{deed} nothing"),
        None => format!(
            "{deed} nothing: no picture that may go was taken before {}, and there is room",
            report.before.rfc3339()
        ),
        Some((from, to)) => {
            format!(
                "{deed} {}, taken from {} to {}",
                heaped(whole),
                UnixMs::rfc3339(from),
                UnixMs::rfc3339(to)
            )
        }
    }
}

fn heaped(heap: PictureUsage) -> String {
    let noun = if heap.pictures == 1 { "picture" } else { "pictures" };
    format!("{} {noun} ({})", heap.pictures, size(heap.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TargetId;
    use crate::store::{Held, Kept};

    #[test]
    fn it_tells_reasons_cameras_and_what_stays() {
        let heap = |pictures, bytes| PictureUsage { pictures, bytes };
        let report = RetentionReport {
            is_dry_run: true,
            deleted: 4,
            freed_bytes: 1_200_000,
            by_age: heap(3, 900_000),
            by_space: heap(1, 300_000),
            by_camera: [("r1".to_owned(), heap(4, 1_200_000))].into(),
            span: Some((UnixMs(1_800_000_000_000), UnixMs(1_800_000_001_000))),
            kept: Kept { owed: 1, dead: 0, protected: 1 },
            held: Held {
                owed: vec![(TargetId::API, heap(7, 2_100_000))],
                protected: heap(1, 300_000),
                ..Held::default()
            },
            before: UnixMs(1_800_000_000_500),
            ..RetentionReport::default()
        };
        assert_eq!(
            summary(&report),
            "would delete 4 pictures (1.2 MB), taken from 2027-01-15T08:00:00.000Z to 2027-01-15T08:00:01.000Z\n\
             \x20 3 pictures (900 kB): taken before 2027-01-15T08:00:00.500Z\n\
             \x20 1 picture (300 kB): to make room on the disk\n\
             \x20 4 pictures (1.2 MB): of camera r1\n\
             stay whatever happens (2 of them past their time):\n\
             \x20 7 pictures (2.1 MB): not delivered to api yet\n\
             \x20 1 picture (300 kB): protected"
        );
    }

    #[test]
    fn nothing_to_do_is_said_in_one_line() {
        let report = RetentionReport { before: UnixMs(1_800_000_000_000), ..RetentionReport::default() };
        assert_eq!(
            summary(&report),
            "deleted nothing: no picture that may go was taken before 2027-01-15T08:00:00.000Z, and there is room"
        );
    }
}
