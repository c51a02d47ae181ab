//! Databases that are damaged, gone, copied and built anew.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

use super::testing::{OWED, Place, T0, assert_in_order, claim, take, trigger};
use super::*;
use crate::model::{FileName, Outcome, UnixMs, UploadState};

const PASSWORD_KEY: &str = "password_hash";

/// A picture of each fate: delivered and protected, owed, put aside, deleted. In this order.
async fn fates(store: &Store) -> Vec<Image> {
    let mut images = Vec::new();
    for n in 0..4 {
        images.push(take(store, "r1", T0 + n * 1000).await);
    }
    let due = claim(store, 4).await;
    store.settle(&due[0], Settlement::Delivered { at: UnixMs(T0 + 9) }).await.unwrap();
    store.settle(&due[2], Settlement::Dead { error: "413".into() }).await.unwrap();
    store.settle(&due[3], Settlement::Delivered { at: UnixMs(T0 + 9) }).await.unwrap();
    store.protect(&images[0].filename, true).await.unwrap();
    store.delete_image(&images[3].filename, false).await.unwrap();
    images
}

async fn with_access(store: &Store) {
    store.access().set_password_hash(PASSWORD_KEY, "a hash".to_owned()).await.unwrap();
    let token = NewToken {
        name: "gate".to_owned(),
        scope: Scope::Operate,
        hint: "cc_abcd".to_owned(),
        hash: [7; 32],
        created_at: UnixMs(T0),
        expires_at: Some(UnixMs(T0 + 1)),
    };
    store.access().insert_token(PASSWORD_KEY, Some("a hash".to_owned()), token).await.unwrap().unwrap();
}

async fn state_of(store: &Store, name: &FileName) -> (UploadState, bool) {
    let image = store.image(name).await.unwrap().unwrap();
    (image.uploads[0].state, image.protected)
}

/// As the program ends, so that everything is in the one file.
async fn close(store: Store) {
    store.close().await.unwrap();
}

fn owned(place: &Place, damage: Option<&str>) -> Result<OpenedStore, StoreError> {
    Store::open_owned(&place.images(), &place.database(), OWED, damage.map(str::to_owned))
}

/// Files beside the database whose name has this in it.
fn beside(place: &Place, part: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().path());
    let is_log = |name: &str| part != "-wal" && (name.ends_with("-wal") || name.ends_with("-shm"));
    files
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.contains(part) && !is_log(name)
        })
        .collect()
}

fn destroy_head(place: &Place) {
    let file = fs::OpenOptions::new().write(true).open(place.database()).unwrap();
    file.write_all_at(&[0x5a; 100], 0).unwrap();
}

async fn rebuild(place: &Place) -> Result<Rebuilt, StoreError> {
    Store::rebuild(place.images(), place.database(), OWED.to_vec()).await
}

#[tokio::test]
async fn a_database_without_a_head_is_replaced_by_its_copy_and_the_folder() {
    let place = Place::new();
    let store = place.open();
    with_access(&store).await;
    let images = fates(&store).await;
    store.back_up(Stop::default()).await.unwrap().unwrap();
    let newer = take(&store, "r2", T0 + 60_000).await;
    close(store).await;
    destroy_head(&place);
    let OpenedStore { store, alarm, .. } = owned(&place, None).unwrap();
    let alarm = alarm.unwrap();
    assert!(alarm.contains("damaged") && alarm.contains("its copy") && alarm.contains("tokens"), "{alarm}");
    assert_eq!(beside(&place, ".damaged-").len(), 1, "the damaged one is kept");
    store.reconcile().await.unwrap();
    assert_eq!(state_of(&store, &images[0].filename).await, (UploadState::Delivered, true));
    assert_eq!(state_of(&store, &images[2].filename).await, (UploadState::Pending, false), "owed again");
    assert_eq!(state_of(&store, &newer.filename).await, (UploadState::Pending, false), "from the folder");
    assert_eq!(store.access().setting(PASSWORD_KEY).await.unwrap().as_deref(), Some("a hash"));
    assert!(
        store.access().token([7; 32]).await.unwrap().is_none(),
        "it may have been revoked since the copy was made"
    );
    assert_eq!(
        take(&store, "r1", T0 + 3000).await.filename.ordinal(),
        2,
        "a deleted name is not given again"
    );
    assert_in_order(&place);
}

#[tokio::test]
async fn a_database_without_a_head_and_without_a_copy_is_built_from_the_folder() {
    let place = Place::new();
    let store = place.open();
    with_access(&store).await;
    let images = fates(&store).await;
    close(store).await;
    destroy_head(&place);
    let OpenedStore { store, alarm, .. } = owned(&place, None).unwrap();
    assert!(alarm.unwrap().contains("a new password must be set"));
    let done = store.reconcile().await.unwrap();
    assert_eq!((done.adopted, done.missing), (3, 0));
    assert_eq!(state_of(&store, &images[0].filename).await, (UploadState::Pending, false));
    assert_in_order(&place);
}

#[tokio::test]
async fn a_damaged_page_is_found_and_costs_only_what_stood_in_it() {
    let place = Place::new();
    let store = place.open();
    with_access(&store).await;
    let images = fates(&store).await;
    for n in 0..3000 {
        place
            .sql()
            .execute(
                "insert into triggers (camera, cause, edge_at, boot_id, boot_ms, clock, outcome, reason)
            values ('r1', 'gpio', ?1, '', 0, 'synced', 'failed', 'no frame came from the camera')",
                [n],
            )
            .unwrap();
        if n == 0 {
            // All of them in one log is slow.
            store.close().await.unwrap();
        }
    }
    assert_eq!(store.quick_check(Stop::default()).await.unwrap().as_deref(), Some(""));
    close(store).await;
    let page = i64::from(4096);
    let leaf: i64 = place
        .sql()
        .query_row("select rootpage from sqlite_schema where name = 'triggers'", [], |row| row.get(0))
        .unwrap();
    let pages = fs::metadata(place.database()).unwrap().len() / 4096;
    // A leaf of the ledger, far behind its root.
    let victim = (u64::try_from(leaf).unwrap()..pages)
        .rev()
        .find(|at| {
            let mut head = [0; 4096];
            File::open(place.database()).unwrap().read_exact_at(&mut head, at * 4096).unwrap();
            head[0] == 13 && head.windows(8).any(|w| w == b"no frame")
        })
        .unwrap();
    let file = fs::OpenOptions::new().write(true).open(place.database()).unwrap();
    file.write_all_at(&[0xff; 512], victim * u64::try_from(page).unwrap()).unwrap();
    let store = place.open();
    let found = store.quick_check(Stop::default()).await.unwrap().unwrap();
    assert!(!found.is_empty());
    drop(store);
    let OpenedStore { store, alarm, .. } = owned(&place, Some(&found)).unwrap();
    let alarm = alarm.unwrap();
    assert!(alarm.contains("rows unreadable"), "{alarm}");
    let kept: i64 = place.sql().query_row("select count(*) from triggers", [], |row| row.get(0)).unwrap();
    assert!((2800..3004).contains(&kept), "{kept} of 3004: {alarm}; {found}");
    store.reconcile().await.unwrap();
    assert_eq!(state_of(&store, &images[0].filename).await, (UploadState::Delivered, true));
    let token = store.access().token([7; 32]).await.unwrap().unwrap();
    assert_eq!((token.scope, token.expires_at), (Scope::Operate, Some(UnixMs(T0 + 1))));
    assert_eq!(store.quick_check(Stop::default()).await.unwrap().as_deref(), Some(""));
    assert_in_order(&place);
}

#[tokio::test]
async fn a_statement_that_meets_damage_says_so_to_whoever_waits_for_it() {
    let place = Place::new();
    let store = place.open();
    let mut damage = store.damage();
    assert!(damage.borrow_and_update().is_none());
    store.report_damage("page 7".to_owned());
    store.report_damage("page 8".to_owned());
    assert_eq!(damage.borrow_and_update().as_deref(), Some("page 7"), "the first words stay");
}

#[tokio::test]
async fn a_database_that_is_gone_comes_back_from_its_copy() {
    let place = Place::new();
    let store = place.open();
    with_access(&store).await;
    let images = fates(&store).await;
    store.back_up(Stop::default()).await.unwrap().unwrap();
    drop(store);
    for file in [place.database(), beside::beside(&place.database(), "-shm")] {
        fs::remove_file(file).unwrap();
    }
    // Its log is still there, and is not that of the next database.
    assert!(beside::beside(&place.database(), "-wal").exists());
    let OpenedStore { store, alarm, .. } = owned(&place, None).unwrap();
    let alarm = alarm.unwrap();
    assert!(alarm.contains("gone") && alarm.contains("tokens"), "{alarm}");
    assert_eq!(store.access().setting(PASSWORD_KEY).await.unwrap().as_deref(), Some("a hash"));
    assert!(
        store.access().token([7; 32]).await.unwrap().is_none(),
        "it may have been revoked since the copy was made"
    );
    assert_eq!(state_of(&store, &images[0].filename).await, (UploadState::Delivered, true));
    store.reconcile().await.unwrap();
    assert_in_order(&place);
}

#[tokio::test]
async fn an_empty_database_file_is_one_that_is_gone() {
    let place = Place::new();
    let store = place.open();
    with_access(&store).await;
    let images = fates(&store).await;
    store.back_up(Stop::default()).await.unwrap().unwrap();
    close(store).await;
    fs::write(place.database(), b"").unwrap();
    let OpenedStore { store, alarm, .. } = owned(&place, None).unwrap();
    assert!(alarm.is_some());
    assert_eq!(store.access().setting(PASSWORD_KEY).await.unwrap().as_deref(), Some("a hash"));
    assert_eq!(state_of(&store, &images[0].filename).await, (UploadState::Delivered, true));
}

#[test]
fn a_first_start_in_a_directory_that_is_not_there_yet_raises_no_alarm() {
    let place = Place::new();
    let (images, database) = (place.path().join("a/images"), place.path().join("b/c/x.db"));
    assert_eq!(Store::open_owned(&images, &database, OWED, None).unwrap().alarm, None);
    assert_eq!(Store::open_owned(&images, &database, OWED, None).unwrap().alarm, None);
}

#[tokio::test]
async fn sessions_keep_their_time_in_a_boot_and_get_a_new_one_in_the_next() {
    let place = Place::new();
    let store = place.open();
    assert_eq!(store.access().session_offset_ms(5).await.unwrap(), 5);
    assert_eq!(store.access().session_offset_ms(7).await.unwrap(), 5, "the clock was set meanwhile");
    assert_eq!(place.open().access().session_offset_ms(7).await.unwrap(), 5, "the program was restarted");
    place.sql().execute("update settings set value = 'another 5' where key = 'session_clock'", []).unwrap();
    assert_eq!(store.access().session_offset_ms(7).await.unwrap(), 7);
}

#[tokio::test]
async fn a_new_database_that_a_crash_left_finished_is_put_into_its_place() {
    let place = Place::new();
    let store = place.open();
    let images = fates(&store).await;
    store.back_up(Stop::default()).await.unwrap().unwrap();
    close(store).await;
    fs::rename(backup::path_of(&place.database()), beside::beside(&place.database(), ".rebuilt")).unwrap();
    destroy_head(&place);
    let OpenedStore { store, .. } = owned(&place, None).unwrap();
    assert_eq!(state_of(&store, &images[0].filename).await, (UploadState::Delivered, true));
    assert_eq!(beside(&place, ".rebuilt").len(), 0);
}

#[tokio::test]
async fn a_rebuild_keeps_access_protection_and_what_was_delivered_and_owes_the_rest() {
    let place = Place::new();
    let store = place.open();
    with_access(&store).await;
    let images = fates(&store).await;
    let open = store.begin_trigger(&trigger("r1", T0 + 50_000)).await.unwrap();
    let forged = take(&store, "r3", T0).await;
    // The row is right and the file is another one of the same length.
    let path = store.path_of(&forged);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 3;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    close(store).await;
    let rebuilt = rebuild(&place).await.unwrap();
    assert_eq!((rebuilt.images, rebuilt.owed, rebuilt.carried.refused), (4, 3, 1), "{rebuilt:?}");
    assert_eq!((rebuilt.reconciled.adopted, rebuilt.carried.unreadable), (1, 0), "{rebuilt:?}");
    assert!(rebuilt.set_aside.unwrap().is_file());
    let store = place.open();
    assert_eq!(state_of(&store, &images[0].filename).await, (UploadState::Delivered, true));
    assert_eq!(state_of(&store, &images[1].filename).await, (UploadState::Pending, false));
    assert_eq!(
        state_of(&store, &images[2].filename).await,
        (UploadState::Pending, false),
        "duplicates rather than loss"
    );
    assert_eq!(store.access().setting(PASSWORD_KEY).await.unwrap().as_deref(), Some("a hash"));
    assert!(store.access().token([7; 32]).await.unwrap().is_some());
    assert_eq!(store.ledger_entry(open).await.unwrap().unwrap().outcome, Some(Outcome::Failed));
    assert_eq!(store.image(&images[0].filename).await.unwrap().unwrap().facts.id, images[0].facts.id);
    assert_eq!(
        take(&store, "r1", T0 + 3000).await.filename.ordinal(),
        2,
        "a deleted name is not given again"
    );
    assert_in_order(&place);
}

#[tokio::test]
async fn a_rebuild_without_a_database_begins_with_the_folder() {
    let place = Place::new();
    let store = place.open();
    take(&store, "r1", T0).await;
    drop(store);
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(beside::beside(&place.database(), suffix)).unwrap();
    }
    let rebuilt = rebuild(&place).await.unwrap();
    assert_eq!((rebuilt.images, rebuilt.owed, rebuilt.set_aside), (1, 1, None));
    assert_in_order(&place);
}

#[tokio::test]
async fn a_rebuild_is_refused_while_a_daemon_owns_the_directory_and_for_a_newer_database() {
    let place = Place::new();
    let store = place.open();
    take(&store, "r1", T0).await;
    let ownership = store.own().unwrap();
    assert!(matches!(rebuild(&place).await, Err(StoreError::Owned { .. })));
    drop(ownership);
    place.sql().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(rebuild(&place).await, Err(StoreError::Newer { found: 99, .. })));
    assert!(matches!(owned(&place, None), Err(StoreError::Newer { found: 99, .. })));
    assert_eq!(beside(&place, ".old-").len() + beside(&place, ".damaged-").len(), 0, "left alone");
}

#[tokio::test]
async fn a_copy_is_whole_private_and_of_one_moment_while_pictures_are_stored() {
    let place = Place::new();
    let store = place.open();
    for n in 0..20 {
        take(&store, "r1", T0 + n * 1000).await;
    }
    let copying = tokio::spawn({
        let store = store.clone();
        async move { store.back_up(Stop::default()).await }
    });
    for n in 20..60 {
        take(&store, "r1", T0 + n * 1000).await;
    }
    let bytes = copying.await.unwrap().unwrap().unwrap();
    let path = backup::path_of(&place.database());
    let meta = fs::metadata(&path).unwrap();
    assert_eq!((meta.len(), meta.permissions().mode() & 0o777), (bytes, 0o600));
    let copy = rusqlite::Connection::open(&path).unwrap();
    let count = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let images = count("select count(*) from images");
    assert!((20..=60).contains(&images), "{images}");
    assert_eq!(count("select count(*) from uploads"), images);
    assert_eq!(count("select value from tallies where what = 'images'"), images);
    assert_eq!(beside(&place, "-wal").len(), 1, "the copy has no log of its own");
    assert!(store.backed_up_at().is_some());
}

#[tokio::test]
async fn a_copy_that_is_stopped_or_damaged_leaves_the_one_before() {
    let place = Place::new();
    let store = place.open();
    take(&store, "r1", T0).await;
    store.back_up(Stop::default()).await.unwrap().unwrap();
    let before = fs::read(backup::path_of(&place.database())).unwrap();
    for n in 1..200 {
        store.end_trigger(&trigger("r1", T0 + n), Outcome::Coalesced, "why ".repeat(500)).await.unwrap();
    }
    let stop = Stop::default();
    stop.stop();
    assert_eq!(store.back_up(stop).await.unwrap(), None);
    store.close().await.unwrap();
    let pages = fs::metadata(place.database()).unwrap().len() / 4096;
    let file = fs::OpenOptions::new().write(true).open(place.database()).unwrap();
    file.write_all_at(&[0xff; 4096], (pages - 10) * 4096).unwrap();
    let refused = store.back_up(Stop::default()).await;
    assert!(refused.as_ref().is_err_and(StoreError::is_damage), "{refused:?}");
    assert_eq!(fs::read(backup::path_of(&place.database())).unwrap(), before);
    assert_eq!(beside(&place, ".part").len(), 0);
}

#[test]
fn a_database_of_an_older_version_is_copied_before_it_is_brought_up_to_date() {
    let place = Place::new();
    drop(place.open());
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(beside::beside(&place.database(), suffix));
    }
    let old = place.sql();
    old.execute_batch(include_str!("../../../migrations/0001_initial.sql")).unwrap();
    old.execute_batch("pragma user_version = 1; pragma application_id = 0x43414d51;").unwrap();
    drop(old);
    assert_eq!(beside(&place, ".backup").len(), 0);
    drop(place.open());
    let copy = rusqlite::Connection::open(backup::path_of(&place.database())).unwrap();
    assert_eq!(copy.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0)).unwrap(), 1);
    drop(place.open());
}

#[tokio::test]
async fn a_new_database_is_for_its_owner_alone() {
    let place = Place::new();
    let store = place.open();
    take(&store, "r1", T0).await;
    for suffix in ["", "-wal", "-shm"] {
        let mode = fs::metadata(beside::beside(&place.database(), suffix)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
}

#[tokio::test]
async fn only_the_newest_folders_are_compared_before_the_program_serves_and_the_rest_afterwards() {
    const DAY: i64 = 86_400_000;
    let place = Place::new();
    let store = place.open();
    let mut images = Vec::new();
    for day in 0..5 {
        images.push(take(&store, "r1", T0 + day * DAY).await);
    }
    // The newest and the oldest are lost; the folder of the oldest was written to long ago.
    let (oldest, newest) = (store.path_of(&images[0]), store.path_of(&images[4]));
    fs::remove_file(&oldest).unwrap();
    fs::remove_file(&newest).unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(1_000_000);
    File::open(oldest.parent().unwrap()).unwrap().set_modified(long_ago).unwrap();
    let first = store.reconcile_first().await.unwrap();
    assert_eq!(first, Reconciled { missing: 1, ..Reconciled::default() });
    let mut comparison = store.comparison().await.unwrap();
    let mut rest = Reconciled::default();
    while let Some(step) = store.compare_some(&mut comparison).await.unwrap() {
        rest.add(step);
    }
    assert_eq!((rest, comparison.seen()), (Reconciled { missing: 1, ..Reconciled::default() }, 5 + 3));
    assert_in_order(&place);
}

#[tokio::test]
async fn a_picture_deleted_or_stored_while_folders_are_compared_is_neither_missing_nor_adopted() {
    let place = Place::new();
    let store = place.open_owing(&[]);
    for n in 0..50 {
        take(&store, "r1", T0 + n * 1000).await;
    }
    let busy = tokio::spawn({
        let store = store.clone();
        async move {
            for n in 50..120 {
                let image = take(&store, "r1", T0 + n * 1000).await;
                if n % 2 == 0 {
                    store.delete_image(&image.filename, false).await.unwrap();
                }
            }
        }
    });
    let mut rest = Reconciled::default();
    while !busy.is_finished() {
        let mut comparison = store.comparison().await.unwrap();
        while let Some(step) = store.compare_some(&mut comparison).await.unwrap() {
            rest.add(step);
        }
    }
    busy.await.unwrap();
    assert_eq!(rest, Reconciled::default());
    assert_in_order(&place);
}

#[tokio::test]
async fn a_directory_that_is_unmounted_while_it_is_compared_loses_no_picture() {
    let place = Place::new();
    let store = place.open();
    let image = take(&store, "r1", T0).await;
    let mut comparison = store.comparison().await.unwrap();
    let away = place.path().join("away");
    fs::rename(place.images(), &away).unwrap();
    assert!(store.compare_some(&mut comparison).await.is_err());
    fs::rename(away, place.images()).unwrap();
    assert_eq!(state_of(&store, &image.filename).await.0, UploadState::Pending);
}
