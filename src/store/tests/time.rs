//! Times that are corrected once the clock is set.

use proptest::prelude::*;

use super::testing::{OWED, Place, T0, picture, take, trigger};
use super::time::{Correction, DOUBTFUL_SQL, correction};
use super::*;
use crate::clock;
use crate::model::{ClockState, ImageId, Outcome, UnixMs};

/// 1970-01-01T00:01:40Z: a Raspberry Pi without network, shortly after power came.
const DAWN: i64 = 100_000;

async fn entry(store: &Store, id: TriggerId) -> LedgerEntry {
    store.ledger_entry(id).await.unwrap().unwrap()
}

/// A trigger with its picture, stamped by a clock that shows `ms`, and what time it really was.
async fn stamped(store: &Store, ms: i64, offset_ms: i64) -> (TriggerId, Image) {
    let edge = trigger("r1", ms);
    let row = store.begin_trigger(&edge).await.unwrap();
    let image = store.record(picture(&edge, row, ImageId::random(), offset_ms)).await.unwrap();
    (row, image)
}

#[tokio::test]
async fn what_was_taken_in_1970_shows_the_right_time_once_the_clock_is_set_and_keeps_its_name() {
    let place = Place::new();
    let store = place.open();
    let really = clock::now();
    let (row, image) = stamped(&store, DAWN, -40).await;
    assert_eq!(image.filename.to_string(), "r1_000000100.jpg");
    assert_eq!(entry(&store, row).await.clock, ClockState::Unsynced);
    assert_eq!(store.correct_times(clock::offset_ms(), Doubtful::All).await.unwrap(), 1);
    let corrected = entry(&store, row).await;
    assert_eq!((corrected.clock, corrected.stamped_at), (ClockState::Corrected, Some(UnixMs(DAWN))));
    assert!(corrected.edge_at.0.abs_diff(really.0) < 1000, "{:?} {really:?}", corrected.edge_at);
    let shown = &corrected.images[0];
    assert_eq!((&shown.filename, shown.clock), (&image.filename, Some(ClockState::Corrected)));
    assert_eq!(shown.facts.taken_at(), corrected.edge_at.plus_ms(-40));
    assert_eq!(store.correct_times(clock::offset_ms(), Doubtful::All).await.unwrap(), 0, "once");
    assert_eq!(entry(&store, row).await.edge_at, corrected.edge_at);
}

#[tokio::test]
async fn many_rows_are_corrected_in_several_transactions() {
    let place = Place::new();
    let store = place.open();
    let mut rows = Vec::new();
    for n in 0..450 {
        rows.push(store.end_trigger(&trigger("r1", DAWN + n), Outcome::Coalesced, "why").await.unwrap());
    }
    assert_eq!(store.correct_times(clock::offset_ms(), Doubtful::Unsynced).await.unwrap(), 450);
    assert_eq!(entry(&store, rows[449]).await.clock, ClockState::Corrected);
}

#[tokio::test]
async fn a_row_of_a_boot_that_is_over_stays_in_doubt_and_says_so() {
    let place = Place::new();
    let store = place.open();
    let (row, image) = stamped(&store, DAWN, 0).await;
    place.sql().execute("update triggers set boot_id = 'another'", []).unwrap();
    assert_eq!(store.correct_times(clock::offset_ms(), Doubtful::All).await.unwrap(), 0);
    let entry = entry(&store, row).await;
    assert_eq!((entry.clock, entry.edge_at), (ClockState::Unsynced, UnixMs(DAWN)));
    assert_eq!(store.image(&image.filename).await.unwrap().unwrap().clock, Some(ClockState::Unsynced));
}

#[tokio::test]
async fn a_picture_stored_after_its_trigger_was_corrected_shows_the_corrected_time() {
    let place = Place::new();
    let store = place.open();
    let edge = trigger("r1", DAWN);
    let row = store.begin_trigger(&edge).await.unwrap();
    store.correct_times(clock::offset_ms(), Doubtful::All).await.unwrap();
    let image = store.record(picture(&edge, row, ImageId::random(), 25)).await.unwrap();
    assert_eq!(image.facts.taken_at(), entry(&store, row).await.edge_at.plus_ms(25));
    assert_eq!(image.filename.to_string(), "r1_000000100.jpg");
}

#[tokio::test]
async fn a_file_that_lost_its_row_finds_its_corrected_trigger() {
    let place = Place::new();
    let store = place.open();
    let (row, image) = stamped(&store, DAWN, 25).await;
    store.correct_times(clock::offset_ms(), Doubtful::All).await.unwrap();
    place.sql().execute_batch("delete from uploads; delete from images").unwrap();
    store.reconcile().await.unwrap();
    let entry = entry(&store, row).await;
    assert_eq!((entry.images.len(), entry.images[0].facts.id), (1, image.facts.id));
    assert_eq!(entry.images[0].facts.taken_at(), entry.edge_at.plus_ms(25));
}

#[tokio::test]
async fn names_stay_unique_when_the_clock_goes_back_also_over_a_deleted_picture() {
    let place = Place::new();
    let store = place.open_owing(&[]);
    let first = take(&store, "r1", T0).await;
    assert_eq!(store.delete_image(&first.filename, false).await.unwrap(), Deletion::Deleted);
    // An hour later the clock goes back by that hour, twice.
    let second = take(&store, "r1", T0).await;
    let third = take(&store, "r1", T0 + 999).await;
    let names = [first, second, third].map(|image| image.filename.to_string());
    assert_eq!(names, ["r1_1800000000.jpg", "r1_1800000000_2.jpg", "r1_1800000000_3.jpg"]);
}

#[tokio::test]
async fn retention_leaves_a_picture_alone_whose_time_is_about_to_be_corrected() {
    let place = Place::new();
    let store = place.open_owing(&[]);
    let (_, image) = stamped(&store, DAWN, 0).await;
    let old = async || {
        let found = store.deletable(UnixMs(T0), None, 10).await.unwrap();
        store.delete_expired(found.into_iter().map(|(_, candidate)| candidate).collect()).await.unwrap()
    };
    assert_eq!(old().await.len(), 0, "the clock was set a moment ago");
    store.correct_times(clock::offset_ms(), Doubtful::All).await.unwrap();
    assert!(store.image(&image.filename).await.unwrap().is_some());
    // The same picture of a boot that is over is as old as it says.
    place.sql().execute("update triggers set boot_id = 'another', clock = 'unsynced'", []).unwrap();
    assert_eq!(old().await.len(), 1);
}

#[tokio::test]
async fn a_stamp_from_before_the_step_is_in_doubt_though_the_clock_is_right_when_it_is_written() {
    let place = Place::new();
    let store = place.open_owing(OWED);
    let row = store.begin_trigger(&trigger("r1", clock::now().0 - 3_600_000)).await.unwrap();
    assert_eq!(entry(&store, row).await.clock, ClockState::Unsynced);
}

#[test]
fn looking_for_rows_in_doubt_reads_only_those() {
    let place = Place::new();
    let _store = place.open();
    let c = place.sql();
    let mut statement = c.prepare(&format!("explain query plan {DOUBTFUL_SQL}")).unwrap();
    let unbound: &[(&str, &dyn rusqlite::ToSql)] = &[];
    let plan: Vec<String> =
        statement.query_map(unbound, |row| row.get(3)).unwrap().map(Result::unwrap).collect();
    assert_eq!(plan, ["SEARCH triggers USING INDEX triggers_in_doubt (boot_id=? AND id>?)"]);
}

fn any_clock() -> impl Strategy<Value = ClockState> {
    prop_oneof![Just(ClockState::Synced), Just(ClockState::Unsynced), Just(ClockState::Corrected)]
}

proptest! {
    #[test]
    fn a_right_clock_leaves_no_doubt_and_correcting_twice_is_correcting_once(
        edge in any::<i32>(), boot in 0..2_000_000_000_i64, offset in -100_000_i64..4_000_000_000_000, clock in any_clock(),
    ) {
        let edge = UnixMs(i64::from(edge));
        let Some(Correction { edge_at, clock: after }) = correction((edge, clock), boot, offset, true) else {
            let is_right = edge.0.abs_diff(boot + offset) < 100;
            prop_assert!(clock == ClockState::Synced || (clock == ClockState::Corrected && is_right));
            return Ok(());
        };
        prop_assert_ne!(clock, ClockState::Synced, "what was right is never touched");
        prop_assert!(edge_at.0.abs_diff(boot + offset) < 100);
        prop_assert_eq!(after == ClockState::Synced, edge_at == edge);
        prop_assert_eq!(correction((edge_at, after), boot, offset, true), None);
    }

    #[test]
    fn correcting_keeps_the_order_and_the_distances_of_edges(
        boots in prop::collection::vec(0..1_000_000_000_i64, 2..20), wrong in any::<i32>(), offset in 0..4_000_000_000_000_i64,
    ) {
        let right = |boot: i64| {
            let stamped = (UnixMs(boot + i64::from(wrong) * 10_000), ClockState::Unsynced);
            correction(stamped, boot, offset, true).unwrap().edge_at.0
        };
        let is_far = (i64::from(wrong) * 10_000).abs_diff(offset) >= 100;
        for pair in boots.windows(2).filter(|_| is_far) {
            prop_assert_eq!(right(pair[1]) - right(pair[0]), pair[1] - pair[0]);
        }
    }

    #[test]
    fn a_clock_nobody_vouches_for_never_moves_what_was_corrected(
        edge in any::<i64>(), boot in any::<i64>(), offset in any::<i64>(),
    ) {
        for clock in [ClockState::Corrected, ClockState::Synced] {
            prop_assert_eq!(correction((UnixMs(edge), clock), boot, offset, false), None);
        }
    }
}
