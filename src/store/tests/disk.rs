use super::*;
use crate::model::{FileName, UploadState};
use crate::store::testing::{OWED, Place as Folder, T0, picture, take, trigger};
use std::path::PathBuf;

async fn state_of(store: &Store, name: &FileName) -> UploadState {
    store.image(name).await.unwrap().unwrap().uploads[0].state
}

fn seen(folder: Option<&str>, database: Option<&str>) -> Seen<'static> {
    Seen {
        images: Path::new("/mnt/disk/images"),
        folder: folder.map(str::to_owned),
        database: database.map(str::to_owned),
        has_known_picture: false,
        unmounted: None,
    }
}

fn is_away(seen: Seen<'_>) -> bool {
    matches!(judge(seen), Standing::Away(_))
}

#[test]
fn another_or_a_bare_folder_in_the_place_of_a_disk_is_away_and_nothing_else_is() {
    let missed = || Some(PathBuf::from("/mnt/disk"));
    for (what, given, expected) in [
        ("the right one", seen(Some("a"), Some("a")), false),
        ("a new database", seen(Some("a"), None), false),
        ("all new", seen(None, None), false),
        ("emptied by a person", seen(None, Some("a")), false),
        ("another one", seen(Some("b"), Some("a")), true),
        (
            "another one with our pictures",
            Seen { has_known_picture: true, ..seen(Some("b"), Some("a")) },
            false,
        ),
        ("bare", Seen { unmounted: missed(), ..seen(None, Some("a")) }, true),
        ("bare, as the list of disks says", Seen { unmounted: missed(), ..seen(None, None) }, true),
        ("moved here", Seen { unmounted: missed(), has_known_picture: true, ..seen(None, Some("a")) }, false),
        ("a person says so", Seen { unmounted: missed(), ..seen(Some(""), Some("a")) }, false),
        ("copied here", Seen { unmounted: missed(), ..seen(Some("a"), Some("a")) }, false),
    ] {
        assert_eq!(is_away(given), expected, "{what}");
    }
}

#[tokio::test]
async fn a_folder_without_an_identity_is_adopted_with_all_that_is_owed() {
    let place = Folder::new();
    let image = take(&place.open(), "r1", T0).await;
    fs::remove_file(place.images().join(IDENTITY)).unwrap();
    place.sql().execute("delete from settings where key like 'pictures.%'", []).unwrap();
    let store = place.open();
    assert_eq!(store.away(), None);
    store.reconcile().await.unwrap();
    assert_eq!(state_of(&store, &image.filename).await, UploadState::Pending);
    assert!(read(&place.images()).unwrap().is_some());
    assert!(store.is_there());
}

#[tokio::test]
async fn while_another_disk_is_in_its_place_nothing_is_lost_written_or_deleted() {
    let place = Folder::new();
    let image = take(&place.open(), "r1", T0).await;
    let right = place.path().join("right");
    fs::rename(place.images(), &right).unwrap();
    fs::create_dir(place.images()).unwrap();
    fs::write(place.images().join(IDENTITY), "another\n").unwrap();
    let opened = Store::open_owned(&place.images(), &place.database(), OWED, None).unwrap();
    let store = opened.store;
    assert!(store.away().unwrap().contains("another one"));
    assert_eq!(store.reconcile_first().await.unwrap(), Reconciled::default());
    assert!(matches!(store.delete_image(&image.filename, true).await, Err(StoreError::Away { .. })));
    let edge = trigger("r1", T0 + 1000);
    let row = store.begin_trigger(&edge).await.unwrap();
    assert!(matches!(
        store.record(picture(&edge, row, ImageId::random(), 0)).await,
        Err(StoreError::Away { .. })
    ));
    assert!(matches!(store.look_for_disk().await.unwrap(), Disk::Away(_)));
    assert_eq!(fs::read_dir(place.images()).unwrap().count(), 1, "something was made in its place");
    assert_eq!(state_of(&store, &image.filename).await, UploadState::Pending);

    fs::remove_dir_all(place.images()).unwrap();
    fs::rename(&right, place.images()).unwrap();
    assert_eq!(store.look_for_disk().await.unwrap(), Disk::Back(Reconciled::default()));
    assert_eq!((store.away(), store.look_for_disk().await.unwrap()), (None, Disk::Here));
    take(&store, "r1", T0 + 2000).await;
    assert_eq!(state_of(&store, &image.filename).await, UploadState::Pending);
    // It is held for this process again.
    assert!(matches!(place.open().own(), Err(StoreError::Owned { .. })));
}

#[tokio::test]
async fn a_folder_that_a_person_removed_is_made_anew_by_the_next_picture() {
    let place = Folder::new();
    let store = place.open();
    take(&store, "r1", T0).await;
    fs::remove_dir_all(place.images()).unwrap();
    assert_eq!(store.look_for_disk().await.unwrap(), Disk::Here);
    take(&store, "r1", T0 + 1000).await;
    assert!(store.is_there());
}

#[test]
fn one_database_has_one_owner_whatever_the_folder() {
    let place = Folder::new();
    let held = own_database(&place.database()).unwrap();
    assert!(held.is_some());
    let refused = own_database(&place.database()).unwrap_err();
    assert!(matches!(&refused, StoreError::Owned { path } if *path == place.database()), "{refused}");
    drop(held);
    assert!(own_database(&place.database()).unwrap().is_some());
}

#[tokio::test]
async fn nothing_is_concluded_from_a_database_that_cannot_be_asked() {
    let place = Folder::new();
    let store = place.open();
    take(&store, "r1", T0).await;
    fs::remove_dir_all(place.images()).unwrap();
    store.files.place.set_away(Some("away".to_owned()));
    let moved = place.path().join("moved.db");
    fs::rename(place.database(), &moved).unwrap();
    assert!(store.look_for_disk().await.is_err());
    assert!(store.away().is_some() && !place.images().exists());
    fs::rename(&moved, place.database()).unwrap();
    assert!(matches!(store.look_for_disk().await.unwrap(), Disk::Back(_)));
}
