//! Start-up repair, one disorder at a time, and the folder alone as the source of everything.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use proptest::prelude::*;

use super::testing::{
    OWED, Place, SKIPPED, T0, assert_in_order, camera, claim, clip, jpeg_of, moment, mp4_of, picture, take,
    trigger,
};
use super::*;
use crate::model::{Cause, FileName, ImageId, ImageKind, Outcome, Trigger, UnixMs, UploadState};

fn id(n: u8) -> ImageId {
    ImageId::from_bytes([n; 16])
}

/// Puts a file into the picture directory by hand.
fn put(place: &Place, relative: &str, bytes: &[u8]) -> PathBuf {
    let path = place.images().join(relative);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

async fn all(store: &Store) -> Vec<Image> {
    store.images(ImageQuery { limit: 1000, ..ImageQuery::default() }).await.unwrap().items
}

async fn state_of(store: &Store, name: &FileName) -> UploadState {
    store.image(name).await.unwrap().unwrap().uploads[0].state
}

#[tokio::test]
async fn a_file_without_a_row_is_adopted_with_identity_time_and_trigger_and_is_owed() {
    let place = Place::new();
    let store = place.open();
    let edge = trigger("r1", T0 + 250);
    let row = store.begin_trigger(&edge).await.unwrap();
    put(&place, "2027-01-15/r1_1800000000.jpg", &jpeg_of(&edge, id(7), -12));
    let done = store.reconcile().await.unwrap();
    assert_eq!(done, Reconciled { adopted: 1, ..Reconciled::default() });
    let image = all(&store).await.remove(0);
    assert_eq!(
        (image.facts.id, image.facts.taken_at(), image.facts.frame_offset_ms),
        (id(7), UnixMs(T0 + 238), Some(-12))
    );
    assert_eq!((image.facts.cause, image.uploads[0].state), (Cause::Gpio, UploadState::Pending));
    let entry = store.ledger_entry(row).await.unwrap().unwrap();
    assert_eq!((entry.outcome, entry.images.len()), (Some(Outcome::Captured), 1));
    assert_in_order(&place);
}

#[tokio::test]
async fn a_picture_whose_row_failed_gives_its_failed_trigger_the_truth() {
    let place = Place::new();
    let store = place.open();
    let edge = trigger("r1", T0);
    let row = store.begin_trigger(&edge).await.unwrap();
    store.fail_trigger(row, "the picture could not be stored: database is full").await.unwrap();
    put(&place, "2027-01-15/r1_1800000000.jpg", &jpeg_of(&edge, id(7), 0));
    store.reconcile().await.unwrap();
    let entry = store.ledger_entry(row).await.unwrap().unwrap();
    assert_eq!((entry.outcome, entry.reason, entry.images.len()), (Some(Outcome::Captured), None, 1));
    assert_in_order(&place);
}

#[tokio::test]
async fn whole_left_over_files_are_adopted_and_torn_or_foreign_ones_set_aside() {
    let place = Place::new();
    let store = place.open();
    let whole = jpeg_of(&trigger("r1", T0), id(1), 0);
    put(&place, ".incoming/a.part", &whole);
    put(&place, ".incoming/b.part", &whole[..whole.len() / 2]);
    put(&place, ".incoming/c.part", b"");
    put(&place, ".incoming/d.part", &whole);
    let done = store.reconcile().await.unwrap();
    // `a` and `d` are the same picture; whichever comes second is a copy.
    assert_eq!(done, Reconciled { adopted: 1, quarantined: 3, ..Reconciled::default() });
    assert_eq!(all(&store).await[0].facts.id, id(1));
    assert_eq!(place.hidden(".quarantine").len(), 3);
    assert_in_order(&place);
}

#[tokio::test]
async fn a_whole_left_over_clip_is_adopted_and_a_torn_one_set_aside() {
    let place = Place::new();
    let store = place.open();
    let edge = trigger("r1", T0);
    let row = store.begin_trigger(&edge).await.unwrap();
    let whole = mp4_of(&edge, id(1), -3000);
    put(&place, ".incoming/a.part", &whole);
    put(&place, ".incoming/b.part", &whole[..whole.len() - 1]);
    put(&place, "2027-01-15/r1_1800000001.mp4", &whole[..whole.len() / 2]);
    // A clip that says it is a picture, and the other way round.
    put(&place, "2027-01-15/r1_1800000002.jpg", &mp4_of(&edge, id(2), 0));
    put(&place, "2027-01-15/r1_1800000002.mp4", &jpeg_of(&edge, id(3), 0));
    let done = store.reconcile().await.unwrap();
    assert_eq!(done, Reconciled { adopted: 1, quarantined: 4, interrupted: 1, ..Reconciled::default() });
    let entry = store.ledger_entry(row).await.unwrap().unwrap();
    assert_eq!(entry.outcome, Some(Outcome::Failed), "a clip alone is not the picture that was asked for");
    let clip = &entry.images[0];
    assert_eq!((clip.facts.id, clip.filename.to_string().as_str()), (id(1), "r1_1800000000.mp4"));
    assert_eq!(
        (clip.facts.kind, clip.facts.taken_at(), clip.dimensions.duration_ms),
        (ImageKind::Clip, UnixMs(T0 - 3000), Some(80))
    );
    assert_in_order(&place);
}

#[tokio::test]
async fn a_left_over_picture_that_cannot_be_published_is_kept_and_does_not_stop_the_start() {
    let place = Place::new();
    let store = place.open();
    let whole = jpeg_of(&trigger("r1", T0), id(1), 0);
    put(&place, ".incoming/a.part", &whole);
    // The folder of its day cannot be made, nor can what is in its way be renamed.
    let in_the_way = place.block("2027-01-15");
    let done = store.reconcile().await.unwrap();
    assert_eq!(done, Reconciled { unfinished: 1, ..Reconciled::default() });
    assert_eq!(fs::read(place.images().join(".incoming/a.part")).unwrap(), whole);
    for path in in_the_way {
        fs::remove_file(path).unwrap();
    }
    assert_eq!(store.reconcile().await.unwrap(), Reconciled { adopted: 1, ..Reconciled::default() });
    assert_eq!(all(&store).await[0].facts.id, id(1));
    assert_in_order(&place);
}

#[tokio::test]
async fn a_picture_whose_file_is_gone_is_lost_and_owed_again_when_the_file_is_back() {
    let place = Place::new();
    let store = place.open();
    let image = take(&store, "r1", T0).await;
    let (path, away) = (store.path_of(&image), place.path().join("away"));
    fs::rename(&path, &away).unwrap();
    let done = store.reconcile().await.unwrap();
    assert_eq!(done, Reconciled { missing: 1, ..Reconciled::default() });
    assert!(store.image(&image.filename).await.unwrap().is_none());
    assert_eq!(store.stats().await.unwrap().in_state(UploadState::Lost), 1);
    assert_eq!(store.reconcile().await.unwrap(), Reconciled::default(), "said once");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::rename(away, path).unwrap();
    store.reconcile().await.unwrap();
    assert_eq!(state_of(&store, &image.filename).await, UploadState::Pending);
    assert_in_order(&place);
}

#[tokio::test]
async fn a_file_of_another_length_counts_as_gone_and_is_left_where_it_is() {
    let place = Place::new();
    let store = place.open();
    let image = take(&store, "r1", T0).await;
    fs::write(store.path_of(&image), b"short").unwrap();
    let done = store.reconcile().await.unwrap();
    assert_eq!(done, Reconciled { missing: 1, ..Reconciled::default() });
    assert_eq!(fs::read(store.path_of(&image)).unwrap(), b"short");
}

#[tokio::test]
async fn what_was_given_up_while_the_disk_was_away_is_owed_again_at_the_next_start() {
    let place = Place::new();
    let store = place.open();
    let image = take(&store, "r1", T0).await;
    let due = claim(&store, 1).await;
    store.settle(&due[0], Settlement::Lost { error: "input/output error".into() }).await.unwrap();
    store.reconcile().await.unwrap();
    assert_eq!(state_of(&store, &image.filename).await, UploadState::Pending);
    assert_in_order(&place);
}

#[tokio::test]
async fn uploads_are_skipped_while_the_target_is_off_and_owed_again_when_it_is_on() {
    let place = Place::new();
    let store = place.open_owing(OWED);
    let kept = take(&store, "r1", T0).await.filename;
    let off = place.open_owing(SKIPPED);
    off.reconcile().await.unwrap();
    assert_eq!(state_of(&off, &kept).await, UploadState::Skipped);
    let deleted = take(&off, "r1", T0 + 1000).await.filename;
    assert_eq!(state_of(&off, &deleted).await, UploadState::Skipped);
    assert_eq!(off.delete_image(&deleted, false).await.unwrap(), Deletion::Deleted, "it is not owed");
    let on = place.open_owing(OWED);
    on.reconcile().await.unwrap();
    assert_eq!(state_of(&on, &kept).await, UploadState::Pending);
    let due = claim(&on, 9).await;
    assert_eq!(due.len(), 1, "nothing is owed of a picture that is deleted");
    assert_in_order(&place);
}

#[tokio::test]
async fn a_picture_that_comes_back_is_not_owed_to_a_target_that_is_off() {
    let place = Place::new();
    let store = place.open();
    let image = take(&store, "r1", T0).await;
    let (path, away) = (store.path_of(&image), place.path().join("away"));
    fs::rename(&path, &away).unwrap();
    store.reconcile().await.unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::rename(away, path).unwrap();
    let off = place.open_owing(SKIPPED);
    off.reconcile().await.unwrap();
    assert_eq!(state_of(&off, &image.filename).await, UploadState::Skipped);
}

#[tokio::test]
async fn a_trigger_that_was_open_ends_as_failed_with_a_reason_for_people() {
    let place = Place::new();
    let store = place.open();
    let row = store.begin_trigger(&trigger("r1", T0)).await.unwrap();
    let again = place.open();
    assert_eq!(again.reconcile().await.unwrap(), Reconciled { interrupted: 1, ..Reconciled::default() });
    let entry = again.ledger_entry(row).await.unwrap().unwrap();
    assert_eq!(entry.outcome, Some(Outcome::Failed));
    assert!(entry.reason.unwrap().to_string().contains("before the picture was stored"));
    assert_in_order(&place);
}

#[tokio::test]
async fn a_torn_picture_is_set_aside_and_what_is_foreign_is_left_where_it_is() {
    let place = Place::new();
    let store = place.open();
    let outside = place.path().join("outside.jpg");
    fs::write(&outside, jpeg_of(&trigger("r1", T0), id(9), 0)).unwrap();
    put(&place, "2027-01-15/r1_1800000000.jpg", b"torn");
    let foreign = [
        "2027-01-15/notes.txt",
        "2027-01-15/.r1_1800000000.jpg.Xy3",
        "2027-01-15/below/deep.txt",
        ".incoming/notes.txt",
        "test/r1_1800000000.jpg",
        ".thumbs/x",
        "readme.txt",
        "2027-1-15/y",
        "2027-01-155/z",
    ];
    for file in foreign {
        put(&place, file, b"precious");
    }
    symlink(&outside, place.images().join("2027-01-15/r1_1800000001.jpg")).unwrap();
    let done = store.reconcile().await.unwrap();
    assert_eq!(done, Reconciled { quarantined: 1, ..Reconciled::default() });
    assert_eq!(all(&store).await.len(), 0);
    for file in foreign {
        assert_eq!(fs::read(place.images().join(file)).unwrap(), b"precious", "{file}");
    }
    assert_eq!(place.hidden(".quarantine").len(), 1);
    assert!(place.images().join("2027-01-15/r1_1800000001.jpg").is_symlink());
    assert!(outside.exists());
}

#[tokio::test]
async fn a_copy_of_a_known_picture_is_set_aside() {
    let place = Place::new();
    let store = place.open();
    let image = take(&store, "r1", T0).await;
    let bytes = fs::read(store.path_of(&image)).unwrap();
    put(&place, "2027-01-16/r1_1800000000.jpg", &bytes);
    let done = store.reconcile().await.unwrap();
    assert_eq!(done, Reconciled { quarantined: 1, ..Reconciled::default() });
    assert_in_order(&place);
}

#[tokio::test]
async fn a_fresh_database_is_rebuilt_from_the_folder_alone() {
    let place = Place::new();
    let store = place.open();
    for (key, ms) in [("r1", 0), ("r1", 10), ("r2", 20), ("gate_1", 90_000_000)] {
        let edge = trigger(key, T0 + ms);
        let row = store.begin_trigger(&edge).await.unwrap();
        store.record(picture(&edge, row, ImageId::random(), 3)).await.unwrap();
        store.record(clip(&edge, row, ImageId::random(), -3000)).await.unwrap();
    }
    let facts = |image: Image| {
        let shown = (
            image.facts.taken_at(),
            image.facts.frame_offset_ms,
            image.dimensions.duration_ms,
            image.dimensions.width,
        );
        let said = (image.facts.kind, image.facts.note);
        (image.facts.id, image.filename, image.path, shown, said, image.bytes, image.sha256)
    };
    let before: Vec<_> = all(&store).await.into_iter().map(facts).collect();
    drop(store);
    for suffix in ["db", "db-wal", "db-shm"] {
        let _ = fs::remove_file(place.database().with_extension(suffix));
    }
    let store = place.open();
    assert_eq!(store.reconcile().await.unwrap(), Reconciled { adopted: 8, ..Reconciled::default() });
    let images = all(&store).await;
    assert!(images.iter().all(|image| image.uploads[0].state == UploadState::Pending));
    assert_eq!(images.into_iter().map(facts).collect::<Vec<_>>(), before);
    assert_in_order(&place);
    let next = take(&store, "r1", T0).await.filename;
    assert_eq!(next, FileName::parse("r1_1800000000_3.jpg").unwrap());
}

#[tokio::test]
async fn a_foreign_jpeg_under_a_name_of_ours_is_adopted_by_its_name() {
    let place = Place::new();
    let store = place.open();
    // Facts of another camera and another time: the name counts.
    let other = jpeg_of(&trigger("r2", T0 + 5_000_000), id(3), 0);
    put(&place, "2027-01-15/r1_1800000000_2.jpg", &other);
    store.reconcile().await.unwrap();
    let facts = all(&store).await.remove(0).facts;
    assert_eq!((&facts.camera, facts.taken_at(), facts.cause), (&camera("r1"), UnixMs(T0), Cause::Recovered));
}

#[tokio::test]
async fn a_forged_time_in_a_left_over_file_leads_to_no_impossible_row() {
    for edge_ms in [i64::MIN, -1, i64::MAX] {
        let place = Place::new();
        let store = place.open();
        let edge = Trigger { edge: moment(edge_ms), ..trigger("r1", T0) };
        put(&place, ".incoming/a.part", &jpeg_of(&edge, id(3), i64::MAX));
        store.reconcile().await.unwrap();
        let image = all(&store).await.remove(0);
        assert!(
            (0..100_000_000_000_000).contains(&image.facts.taken_at().0),
            "{edge_ms}: {:?}",
            image.facts.taken_at()
        );
        assert_eq!(image.facts.frame_offset_ms, None);
        assert_eq!(store.reconcile().await.unwrap(), Reconciled::default(), "{edge_ms}");
        assert_in_order(&place);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_picture_is_adopted_or_set_aside_but_never_lost_or_a_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        is_named: bool,
        is_clip: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            let store = place.open();
            let edge = trigger("r1", T0);
            let mut bytes = if is_clip { mp4_of(&edge, id(1), 0) } else { jpeg_of(&edge, id(1), 0) };
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            let name = if is_clip { "2027-01-15/r1_1800000000.mp4" } else { "2027-01-15/r1_1800000000.jpg" };
            put(&place, if is_named { name } else { ".incoming/a.part" }, &bytes);
            let done = store.reconcile().await.unwrap();
            assert_eq!(done.adopted + done.quarantined, 1, "{done:?}");
            assert_eq!(place.pictures().len() + place.hidden(".quarantine").len(), 1);
            assert_eq!(store.reconcile().await.unwrap(), Reconciled::default());
            assert_in_order(&place);
        });
    }
}
