//! Each change that is committed is told once, with what the row holds since; what is not committed is not told.

use tokio::sync::broadcast::error::TryRecvError;

use super::super::testing::{OWED, Place, T0, claim, picture, take, trigger};
use super::super::*;
use super::*;
use crate::clock;
use crate::model::{ImageId, Outcome, UnixMs, UploadFault, UploadState};

/// What was told since, in a word each.
fn told(changes: &mut broadcast::Receiver<Change>) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        match changes.try_recv() {
            Ok(change) => told.push(word(&change)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return told,
            Err(TryRecvError::Lagged(missed)) => told.push(format!("missed {missed}")),
        }
    }
}

fn word(change: &Change) -> String {
    let listed = |names: &[FileName]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    match change {
        Change::Image(image) => format!("image {}, uploads {}", image.filename, image.uploads.len()),
        Change::ImageChanged(image) => {
            format!(
                "changed {}, protected {}, {}",
                image.filename,
                image.protected,
                image.facts.taken_at().0 - T0
            )
        }
        Change::Upload { filename, upload } => {
            let UploadInfo { state, attempts, last_error, delivered_at, next_attempt, .. } = &**upload;
            let last_error = last_error.as_ref().map(|fault| fault.to_string());
            let (at, next) = (delivered_at.map(|at| at.0 - T0), next_attempt.map(|at| at.0 - T0));
            format!("upload {filename}: {} {attempts} {last_error:?} {at:?} {next:?}", state.as_str())
        }
        Change::Deleted(names) => format!("deleted {}", listed(names)),
        Change::Missing(names) => format!("missing {}", listed(names)),
        Change::Trigger(entry) => {
            let outcome = entry.outcome.map_or("open", Outcome::as_str);
            format!("trigger {}: {outcome}, images {}", entry.id.get(), entry.images.len())
        }
        Change::Seen { up_to, unseen } => format!("seen {}, unseen {unseen}", up_to.get()),
        Change::Many => "many".to_owned(),
    }
}

#[tokio::test]
async fn a_trigger_and_its_picture_are_told_once_each() {
    let place = Place::new();
    let store = place.open();
    let mut changes = store.changes();
    let trigger = trigger("r1", T0);
    let row = store.begin_trigger(&trigger).await.unwrap();
    assert_eq!(told(&mut changes), ["trigger 1: open, images 0"]);
    store.record(picture(&trigger, row, ImageId::random(), 0)).await.unwrap();
    assert_eq!(
        told(&mut changes),
        ["image r1_1800000000.jpg, uploads 1", "trigger 1: captured, images 1"],
        "the picture with its uploads, then its trigger with the picture"
    );
    // Another picture of the same trigger changes what its entry shows.
    store.record(picture(&trigger, row, ImageId::random(), 40)).await.unwrap();
    assert_eq!(told(&mut changes), ["image r1_1800000000_2.jpg, uploads 1", "trigger 1: captured, images 2"]);
    store.remark_trigger(row, "no clip: it ended").await.unwrap();
    assert_eq!(told(&mut changes), ["trigger 1: captured, images 2"]);
}

#[tokio::test]
async fn an_end_without_a_picture_and_that_a_person_saw_it_are_told_once() {
    let place = Place::new();
    let store = place.open();
    let mut changes = store.changes();
    let failed = store.end_trigger(&trigger("r1", T0), Outcome::Failed, "no frame").await.unwrap();
    let open = store.begin_trigger(&trigger("r2", T0)).await.unwrap();
    store.fail_trigger(open, "no frame").await.unwrap();
    assert_eq!(
        told(&mut changes),
        ["trigger 1: failed, images 0", "trigger 2: open, images 0", "trigger 2: failed, images 0"]
    );
    store.fail_trigger(open, "once more").await.unwrap();
    assert_eq!(told(&mut changes), Vec::<String>::new(), "it keeps its end");
    store.see_failures(failed, clock::now()).await.unwrap();
    assert_eq!(told(&mut changes), ["seen 1, unseen 1"], "and not each row by itself");
    store.see_failures(failed, clock::now()).await.unwrap();
    assert_eq!(told(&mut changes), Vec::<String>::new(), "it is no news");
}

#[tokio::test]
async fn every_outcome_of_an_attempt_is_told_with_what_is_in_the_row() {
    let place = Place::new();
    let store = place.open();
    take(&store, "r1", T0).await;
    let due = claim(&store, 1).await.remove(0);
    let mut changes = store.changes();
    let (later, error) = (UnixMs(T0 + 60_000), UploadFault::from("busy"));
    for settlement in [
        Settlement::Retry { not_before: later, error: error.clone() },
        Settlement::Refused { not_before: later, error: error.clone() },
        Settlement::Dead { error: "413".into() },
        Settlement::Excused { not_before: later },
        Settlement::Delivered { at: UnixMs(T0 + 5) },
    ] {
        assert!(store.settle(&due, settlement).await.unwrap());
    }
    let name = "upload r1_1800000000.jpg:";
    assert_eq!(
        told(&mut changes),
        [
            format!("{name} pending 1 Some(\"busy\") None Some(60000)"),
            format!("{name} pending 2 Some(\"busy\") None Some(60000)"),
            format!("{name} dead 3 Some(\"413\") None None"),
            format!("{name} pending 3 Some(\"413\") None Some(60000)"),
            format!("{name} delivered 4 Some(\"413\") Some(5) None"),
        ],
        "an excuse is no attempt"
    );
    assert!(!store.settle(&due, Settlement::Dead { error }).await.unwrap());
    assert_eq!(told(&mut changes), Vec::<String>::new(), "what is settled stays so");
}

#[tokio::test]
async fn an_attempt_that_failed_wakes_no_lane_and_a_wait_that_is_ended_does() {
    let place = Place::new();
    let store = place.open();
    take(&store, "r1", T0).await;
    let due = claim(&store, 1).await.remove(0);
    let mut waking = store.wakes().of(TargetId::API);
    let later = UnixMs(T0 + 60_000);
    for not_before in [later, UnixMs(0)] {
        store.settle(&due, Settlement::Retry { not_before, error: "away".into() }).await.unwrap();
    }
    assert!(!waking.forget_owed(), "its target is away; trying at once would end the pause");
    store.settle(&due, Settlement::Retry { not_before: later, error: "away".into() }).await.unwrap();
    store.end_waits(TargetId::API, UnixMs(T0)).await.unwrap();
    assert!(waking.forget_owed());
}

#[tokio::test]
async fn what_a_person_does_to_a_picture_is_told_once() {
    let place = Place::new();
    let store = place.open();
    let name = take(&store, "r1", T0).await.filename;
    let due = claim(&store, 1).await.remove(0);
    store.settle(&due, Settlement::Dead { error: "no".into() }).await.unwrap();
    let mut changes = store.changes();
    store.protect(&name, true).await.unwrap();
    assert_eq!(told(&mut changes), ["changed r1_1800000000.jpg, protected true, 0"]);
    store.protect(&name, true).await.unwrap();
    assert_eq!(told(&mut changes), Vec::<String>::new(), "it was protected");
    store.protect(&name, false).await.unwrap();
    assert_eq!(told(&mut changes), ["changed r1_1800000000.jpg, protected false, 0"]);
    let mut waking = store.wakes().of(TargetId::API);
    store.retry(&name).await.unwrap();
    assert_eq!(told(&mut changes), ["upload r1_1800000000.jpg: pending 1 Some(\"no\") None None"]);
    assert_eq!(waking.next().await, Wake::Owed(TargetId::API));
    store.settle(&due, Settlement::Dead { error: "no".into() }).await.unwrap();
    store.retry_dead(None).await.unwrap();
    assert_eq!(
        told(&mut changes),
        [
            "upload r1_1800000000.jpg: dead 2 Some(\"no\") None None",
            "upload r1_1800000000.jpg: pending 2 Some(\"no\") None None",
        ]
    );
    store.delete_image(&name, true).await.unwrap();
    assert_eq!(told(&mut changes), ["deleted r1_1800000000.jpg"], "and nothing of its uploads");
    assert!(store.protect(&name, true).await.unwrap().is_none());
    assert_eq!(told(&mut changes), Vec::<String>::new(), "there is no such picture");
}

#[tokio::test]
async fn a_batch_that_retention_deletes_is_told_together() {
    let place = Place::new();
    let store = place.open_owing(&[]);
    for second in 0..3 {
        take(&store, "r1", T0 + second * 1000).await;
    }
    let mut changes = store.changes();
    let found = store.deletable(UnixMs(i64::MAX), None, 2).await.unwrap();
    store.delete_expired(found.into_iter().map(|(_, one)| one).collect()).await.unwrap();
    assert_eq!(told(&mut changes), ["deleted r1_1800000000.jpg r1_1800000001.jpg"]);
}

#[tokio::test]
async fn a_file_that_went_away_and_came_back_is_told_each_time() {
    let place = Place::new();
    let store = place.open();
    let image = take(&store, "r1", T0).await;
    let (path, aside) = (store.path_of(&image), place.path().join("aside.jpg"));
    std::fs::rename(&path, &aside).unwrap();
    let mut changes = store.changes();
    store.reconcile().await.unwrap();
    assert_eq!(told(&mut changes), ["missing r1_1800000000.jpg"], "and nothing of its uploads");
    std::fs::rename(&aside, &path).unwrap();
    store.reconcile().await.unwrap();
    let back = told(&mut changes);
    assert_eq!(back[0], "image r1_1800000000.jpg, uploads 1");
    assert!(back[1..].iter().all(|told| told.starts_with("upload r1_1800000000.jpg: pending")), "{back:?}");
}

#[tokio::test]
async fn a_time_that_is_corrected_is_told_of_the_trigger_and_of_the_picture() {
    let place = Place::new();
    let store = place.open();
    let now = clock::now().0;
    take(&store, "r1", now).await;
    place.sql().execute_batch("update triggers set clock = 'unsynced'").unwrap();
    let mut changes = store.changes();
    let moved = store.correct_times(clock::offset_ms() + 3_600_000, Doubtful::All).await.unwrap();
    assert_eq!(moved, 1);
    let told = told(&mut changes);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("changed ") && told[1].starts_with("trigger 1: captured"), "{told:?}");
}

#[tokio::test]
async fn a_write_that_fails_or_is_rolled_back_tells_nothing() {
    let place = Place::new();
    let store = place.open();
    let name = take(&store, "r1", T0).await.filename;
    let (mut changes, commits) = (store.changes(), store.commits());
    let mut waking = store.wakes().of(TargetId::API);
    // The last statement of the transaction fails, after the rows were changed.
    let refuse = "create trigger refuse before update on uploads begin select raise(abort, 'no'); end";
    place.sql().execute_batch(refuse).unwrap();
    assert!(store.delete_image(&name, true).await.is_err());
    assert!(store.retry(&name).await.is_err());
    place.sql().execute_batch("drop trigger refuse").unwrap();
    // Given up by the one who writes.
    let given_up: Result<(), StoreError> = store
        .db
        .write(|tx| {
            tx.execute("update images set protected = 1", [])?;
            tx.execute("update uploads set state = 'pending', not_before = 0, attempts = 7", [])?;
            Err(StoreError::Interrupted)
        })
        .await;
    assert!(given_up.is_err());
    assert_eq!(told(&mut changes), Vec::<String>::new());
    assert!(!commits.has_changed().unwrap());
    store.protect(&name, true).await.unwrap();
    assert_eq!(
        told(&mut changes),
        ["changed r1_1800000000.jpg, protected true, 0"],
        "and nothing of what was rolled back comes with the next one"
    );
    assert!(commits.has_changed().unwrap());
    let woken = tokio::time::timeout(std::time::Duration::ZERO, waking.next()).await;
    assert!(woken.is_err(), "{woken:?}");
}

#[tokio::test]
async fn what_changes_by_the_hundred_is_told_in_one_word_and_no_listener_keeps_a_write_waiting() {
    let place = Place::new();
    let store = place.open();
    let mut slow = store.changes();
    let fill = format!(
        "create temp table n as
             with recursive n(i) as (select 1 union all select i + 1 from n where i < 1200) select i from n;
         insert into images (id, uid, camera, file_name, path, cause, taken_at, width, height, bytes, sha256)
             select i, randomblob(16), 'r1', 'r1_' || (1800000000 + i) || '.jpg', 'p' || i, 'gpio', {T0} + i, 16,
                    16, 9, zeroblob(32) from n;
         insert into uploads (image_id, target, state, camera, taken_at)
             select i, 'api', 'dead', 'r1', {T0} + i from n;"
    );
    place.sql().execute_batch(&fill).unwrap();
    let mut waking = store.wakes().of(TargetId::API);
    assert_eq!(store.retry_dead(None).await.unwrap(), 1200);
    assert_eq!(told(&mut slow), ["many"; 3], "one for each write");
    assert_eq!(waking.next().await, Wake::Owed(TargetId::API));
    // It does not listen while more is told than is kept for it.
    let names: Vec<_> = (1..=300).map(|n| format!("r1_{}.jpg", 1_800_000_000 + n)).collect();
    for name in &names {
        store.protect(&FileName::parse(name).unwrap(), true).await.unwrap();
    }
    assert_eq!(told(&mut slow)[0], format!("missed {}", 300 - CHANGES_KEPT));
}

#[tokio::test]
async fn nothing_is_read_for_nobody_and_a_lane_is_woken_all_the_same() {
    let place = Place::new();
    let store = place.open_owing(OWED);
    let (mut waking, mut commits) = (store.wakes().of(TargetId::API), store.commits());
    commits.mark_unchanged();
    let name = take(&store, "r1", T0).await.filename;
    assert_eq!(waking.next().await, Wake::Owed(TargetId::API));
    assert!(commits.has_changed().unwrap());
    let gathered = store
        .db
        .write({
            let db = store.db.clone();
            move |tx| {
                tx.execute("update images set protected = 1", [])?;
                Ok(db.changes().gather(tx).changes.len())
            }
        })
        .await
        .unwrap();
    assert_eq!(gathered, 0);
    let mut changes = store.changes();
    store.protect(&name, false).await.unwrap();
    assert_eq!(told(&mut changes).len(), 1);
}

#[tokio::test]
async fn changes_are_told_after_the_database_was_put_back_in_its_place() {
    let place = Place::new();
    let store = place.open();
    let name = take(&store, "r1", T0).await.filename;
    std::fs::remove_file(place.database()).unwrap();
    let mut changes = store.changes();
    store.protect(&name, true).await.unwrap();
    assert_eq!(told(&mut changes), ["changed r1_1800000000.jpg, protected true, 0"]);
    let due = claim(&store, 1).await.remove(0);
    store.settle(&due, Settlement::Lost { error: "gone".into() }).await.unwrap();
    let upload = store.image(&name).await.unwrap().unwrap().uploads.remove(0);
    assert_eq!(upload.state, UploadState::Lost);
    assert_eq!(told(&mut changes), ["upload r1_1800000000.jpg: lost 1 Some(\"gone\") None None"]);
}
