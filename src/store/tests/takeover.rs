//! The folder of a program before this one: what is listed, what is owed, and that no end in between loses or doubles it.

use std::collections::BTreeMap;

use super::super::testing::{
    OWED, Place, SKIPPED, T0, assert_in_order, camera, claim, jpeg_of, take, trigger,
};
use super::*;
use crate::model::ImageId;
use crate::store::{ImageQuery, Settlement};

const LIST: &str = "pending_uploads.json";
const SENT: &str = "sent_files.json";

/// 2023-10-31T15:17:12Z.
const OLD: i64 = 1_698_765_432;

/// A picture without facts of this program that count, unlike any other.
fn picture(n: i64) -> Vec<u8> {
    jpeg_of(&trigger("other", 1_000_000 + n), ImageId::random(), 0)
}

fn put(place: &Place, names: &[&str]) {
    std::fs::create_dir_all(place.images()).unwrap();
    for (n, name) in names.iter().enumerate() {
        std::fs::write(place.images().join(name), picture(i64::try_from(n).unwrap())).unwrap();
    }
}

fn list(place: &Place, text: &str) {
    std::fs::write(place.path().join(LIST), text).unwrap();
}

fn former(place: &Place) -> Former {
    Former {
        folders: vec![place.path().to_owned(), place.images()],
        cameras: vec![camera("r1"), camera("r2")],
    }
}

async fn take_all(place: &Place, store: &Store) -> Option<TakenOver> {
    let mut takeover = store.takeover(&former(place)).await.unwrap()?;
    while store.take_over_some(&mut takeover).await.unwrap() {}
    Some(store.finish_takeover(takeover).await.unwrap())
}

/// Every picture that is listed, its place, and how it stands with the HTTP API.
async fn listed(store: &Store) -> BTreeMap<String, (String, Option<UploadState>)> {
    let page = store.images(ImageQuery { limit: 1000, ..ImageQuery::default() }).await.unwrap();
    let images = page.items.into_iter().map(|image| {
        assert!(image.uploads.len() <= 1, "{:?}", image.uploads);
        let state = image.uploads.first().map(|upload| upload.state);
        (image.filename.to_string(), (image.path.display().to_string(), state))
    });
    images.collect()
}

fn is_named(place: &Place, name: &str) -> bool {
    place.path().join(name).exists()
}

#[tokio::test]
async fn flat_pictures_are_listed_where_they_lie_and_only_those_of_the_list_are_owed() {
    let place = Place::new();
    put(&place, &["r1_1698765432.jpg", "r1_1698765433.jpg", "r2_1698765432.jpg", "entry_1698765434.jpg"]);
    std::fs::write(place.images().join("notes.txt"), "hello").unwrap();
    std::fs::write(place.images().join("r1_1698765440.jpg"), b"\xff\xd8 torn").unwrap();
    let rows = r#"[{"filepath": "images/r1_1698765433.jpg", "retry_count": 3}, "/gone/r1_1698700000.jpg",
                   "r1_1698765440.jpg", 7]"#;
    list(&place, rows);
    let store = place.open();
    take(&store, "r1", T0).await;

    let done = take_all(&place, &store).await.unwrap();
    let listed = listed(&store).await;
    let old = |name: &str, state| (name.to_owned(), (name.to_owned(), state));
    let mut wanted = BTreeMap::from([
        old("r1_1698765432.jpg", None),
        old("r1_1698765433.jpg", Some(UploadState::Pending)),
        old("r2_1698765432.jpg", None),
        old("entry_1698765434.jpg", None),
    ]);
    wanted.insert(
        "r1_1800000000.jpg".to_owned(),
        ("2027-01-15/r1_1800000000.jpg".to_owned(), Some(UploadState::Pending)),
    );
    assert_eq!(listed, wanted);
    assert_eq!((done.adopted, done.owed, done.rows.len()), (4, 1, 1));
    assert_eq!(done.gone, ["r1_1698700000.jpg", "r1_1698765440.jpg"], "also what is torn cannot be sent");
    assert_eq!(done.strange, ["r1_1698765440.jpg"]);
    let alarm = done.alarm().unwrap();
    assert!(alarm.contains("2 pictures that it had still to send") && alarm.contains("1 rows"), "{alarm}");
    assert!(is_named(&place, "pending_uploads.json.imported") && !is_named(&place, LIST));
    let image = store.image(&FileName::parse("r1_1698765433.jpg").unwrap()).await.unwrap().unwrap();
    assert_eq!(image.facts.taken_at(), UnixMs((OLD + 1) * 1000));
    store.open_image(&image).unwrap();

    // Once and for all; a torn one is looked at again and changes nothing.
    assert_eq!(take_all(&place, &store).await.map(|done| (done.adopted, done.owed)), Some((0, 0)));
    std::fs::remove_file(place.images().join("r1_1698765440.jpg")).unwrap();
    assert_eq!(take_all(&place, &store).await, None);
    assert_eq!(self::listed(&store).await, wanted);
    // They are pictures like others: compared, delivered, deleted.
    store.reconcile().await.unwrap();
    let due = claim(&store, 10).await;
    let owed = due.iter().find(|due| due.filename.to_string() == "r1_1698765433.jpg").unwrap();
    owed.open().unwrap();
    store.settle(owed, Settlement::Delivered { at: UnixMs(T0) }).await.unwrap();
    store.delete_image(&owed.filename, false).await.unwrap();
    assert!(!place.images().join("r1_1698765433.jpg").exists());
    store.reconcile().await.unwrap();
    std::fs::remove_file(place.images().join("notes.txt")).unwrap();
    assert_in_order(&place);
}

#[tokio::test]
async fn names_with_date_and_time_get_the_name_of_their_second() {
    let place = Place::new();
    put(&place, &["r1_20231031_151712.jpg", "r1_20231031_151712_2.jpg", "r1_1698765432.jpg"]);
    list(&place, r#"{"pending": ["r1_20231031_151712_2.jpg"]}"#);
    let store = place.open();
    let done = take_all(&place, &store).await.unwrap();
    assert_eq!((done.adopted, done.owed, done.alarm()), (3, 1, None));
    let at = clock::of_local([2023, 10, 31, 15, 17, 12]).unwrap().epoch_s();
    let listed = listed(&store).await;
    let owed: Vec<_> = listed.values().filter(|(_, state)| state.is_some()).collect();
    assert_eq!(owed, [&("r1_20231031_151712_2.jpg".to_owned(), Some(UploadState::Pending))]);
    assert!(
        listed.keys().all(|name| FileName::parse(name).unwrap().epoch_s().unwrap().abs_diff(at) < 86_400),
        "{listed:?}"
    );
    assert_in_order(&place);
}

#[tokio::test]
async fn a_takeover_that_ends_anywhere_is_finished_by_the_next_start_and_sends_nothing_twice() {
    let names: Vec<String> = (0..25).map(|n| format!("r1_{}.jpg", OLD + n)).collect();
    let owed: Vec<&String> = names.iter().step_by(4).collect();
    let rows = serde_json::to_string(&owed).unwrap();
    // After so many steps the process ends; `None`: between the last row and the renaming of the list.
    for end in [Some(0), Some(1), Some(2), None] {
        let place = Place::new();
        put(&place, &names.iter().map(String::as_str).collect::<Vec<_>>());
        list(&place, &rows);
        let store = place.open();
        let mut takeover = store.takeover(&former(&place)).await.unwrap().unwrap();
        for _ in 0..end.unwrap_or(usize::MAX) {
            if !store.take_over_some(&mut takeover).await.unwrap() {
                break;
            }
        }
        // What was adopted first is owed, and delivered before the end came.
        let mut sent = 0;
        for due in claim(&store, 100).await {
            sent += usize::from(store.settle(&due, Settlement::Delivered { at: UnixMs(T0) }).await.unwrap());
        }
        drop((takeover, store));
        assert!(is_named(&place, LIST), "{end:?}: the list was given up too early");

        let store = place.open();
        store.reconcile_first().await.unwrap();
        let done = take_all(&place, &store).await.unwrap();
        assert_eq!((usize::try_from(done.owed).unwrap(), done.alarm()), (owed.len() - sent, None), "{end:?}");
        let listed = listed(&store).await;
        assert_eq!(listed.keys().collect::<Vec<_>>(), names.iter().collect::<Vec<_>>(), "{end:?}");
        let never_sent = listed.values().filter(|(_, state)| state.is_none()).count();
        assert_eq!(
            (never_sent, claim(&store, 100).await.len()),
            (names.len() - owed.len(), owed.len() - sent)
        );
        assert!(is_named(&place, "pending_uploads.json.imported") && !is_named(&place, LIST));
        assert_in_order(&place);
    }
}

fn sent_list(place: &Place, text: &str) {
    std::fs::write(place.path().join(SENT), text).unwrap();
}

const RELAYING: &[(TargetId, UploadState)] = &[(TargetId::RELAY, UploadState::Pending)];

/// What is owed to whom of the picture at this place, and what was sent.
async fn deliveries(store: &Store, path: &str) -> Vec<(TargetId, UploadState)> {
    let page = store.images(ImageQuery { limit: 1000, ..ImageQuery::default() }).await.unwrap();
    let image = page.items.into_iter().find(|image| image.path == Path::new(path)).unwrap();
    image.uploads.iter().map(|upload| (upload.target, upload.state)).collect()
}

/// S3.7
#[tokio::test]
async fn what_another_program_had_sent_is_delivered_and_never_sent_again_in_each_shape_of_its_list() {
    for text in [
        r#"["photo_20240101_120000.jpg", "cam.jpg"]"#,
        r#"{"photo_20240101_120000.jpg": "2024-01-01 12:01:00", "gone_20230101_120000.jpg": 1}"#,
        r#"{"sent": ["esp32_photos/photo_20240101_120000.jpg"]}"#,
        "photo_20240101_120000.jpg\nphoto_20230101_120000.jpg\n",
    ] {
        let place = Place::new();
        put(&place, &["photo_20240101_120000.jpg", "photo_20240101_120001.jpg"]);
        sent_list(&place, text);
        let store = place.open_owing(RELAYING);
        let done = take_all(&place, &store).await.unwrap();
        assert_eq!((done.adopted, done.sent, done.owed, done.alarm()), (2, 1, 1, None), "{text}");
        let of = async |name: &str| deliveries(&store, name).await;
        let delivered = [(TargetId::RELAY, UploadState::Delivered)];
        assert_eq!(of("photo_20240101_120000.jpg").await, delivered);
        // That program would have sent this one in its next round.
        assert_eq!(of("photo_20240101_120001.jpg").await, RELAYING);
        assert!(is_named(&place, "sent_files.json.imported") && !is_named(&place, SENT));
        // Nothing is twice, by this list or by another one of the same.
        assert_eq!(take_all(&place, &store).await, None);
        sent_list(&place, text);
        let again = take_all(&place, &store).await.unwrap();
        assert_eq!((again.adopted, again.sent, again.owed), (0, 0, 0));
        store.reconcile_first().await.unwrap();
        assert_eq!(of("photo_20240101_120000.jpg").await, delivered);
    }
}

/// S3.7
#[tokio::test]
async fn a_takeover_that_is_killed_at_any_step_neither_loses_nor_doubles_what_was_sent() {
    let names: Vec<String> = (0..25).map(|n| format!("r1_{}.jpg", OLD + n)).collect();
    let (sent, not_sent) = names.split_at(15);
    for steps in [Some(0), Some(1), Some(2), None] {
        let place = Place::new();
        put(&place, &names.iter().map(String::as_str).collect::<Vec<_>>());
        sent_list(&place, &serde_json::to_string(sent).unwrap());
        let store = place.open_owing(RELAYING);
        let mut takeover = store.takeover(&former(&place)).await.unwrap().unwrap();
        for _ in 0..steps.unwrap_or(usize::MAX) {
            if !store.take_over_some(&mut takeover).await.unwrap() {
                break;
            }
        }
        drop((takeover, store));
        assert!(is_named(&place, SENT), "{steps:?}: the list was given up too early");
        let store = place.open_owing(RELAYING);
        store.reconcile_first().await.unwrap();
        let done = take_all(&place, &store).await.unwrap();
        assert_eq!(done.alarm(), None, "{steps:?}");
        assert!(is_named(&place, "sent_files.json.imported") && !is_named(&place, SENT));
        for name in sent {
            assert_eq!(
                deliveries(&store, name).await,
                [(TargetId::RELAY, UploadState::Delivered)],
                "{steps:?}"
            );
        }
        for name in not_sent {
            assert_eq!(deliveries(&store, name).await, RELAYING, "{steps:?}");
        }
        assert_in_order(&place);
    }
}

/// S3.7
#[tokio::test]
async fn while_a_list_of_sent_pictures_cannot_be_read_nothing_is_taken_over() {
    let place = Place::new();
    put(&place, &["r1_1698765432.jpg"]);
    list(&place, r#"["r1_1698765432.jpg"]"#);
    let whole = std::fs::File::create(place.path().join(SENT)).unwrap();
    whole.set_len(100 << 20).unwrap();
    let store = place.open_owing(RELAYING);
    let done = take_all(&place, &store).await.unwrap();
    assert_eq!((done.adopted, done.unreadable.len(), done.gone.len()), (0, 1, 0));
    assert!(done.alarm().unwrap().contains(SENT));
    assert!(is_named(&place, SENT) && is_named(&place, LIST), "both stay for the next start");
    sent_list(&place, r#"{"r1_1698765432.jpg": true}"#);
    let done = take_all(&place, &store).await.unwrap();
    assert_eq!((done.adopted, done.sent, done.owed), (1, 1, 1));
}

/// S3.7
#[tokio::test]
async fn what_a_torn_list_of_sent_pictures_does_not_name_is_said_and_not_sent() {
    let place = Place::new();
    put(&place, &["r1_1698765432.jpg", "r1_1698765433.jpg"]);
    sent_list(&place, r#"["r1_1698765432.jpg", "r1_16987654"#);
    let store = place.open_owing(RELAYING);
    let done = take_all(&place, &store).await.unwrap();
    assert_eq!((done.adopted, done.sent, done.owed), (2, 1, 0));
    assert_eq!(done.unsure, ["r1_1698765433.jpg"]);
    assert!(done.alarm().unwrap().contains("damaged list of sent ones"), "{:?}", done.alarm());
    assert_eq!(deliveries(&store, "r1_1698765433.jpg").await, []);
}

#[tokio::test]
async fn what_a_lost_database_knew_is_owed_again_and_nothing_else() {
    let place = Place::new();
    put(&place, &["r1_1698765432.jpg", "r1_1698765433.jpg"]);
    list(&place, r#"["r1_1698765432.jpg"]"#);
    let store = place.open();
    take_all(&place, &store).await.unwrap();
    drop(store);
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(super::super::beside::beside(&place.database(), end));
    }
    let store = place.open();
    assert_eq!(take_all(&place, &store).await.map(|done| (done.adopted, done.owed)), Some((2, 1)));
    let before = listed(&store).await;
    store.close().await.unwrap();
    drop(store);
    // Built anew, it keeps what was taken over.
    let rebuilt = Store::rebuild(place.images(), place.database(), OWED.to_vec()).await.unwrap();
    assert_eq!((rebuilt.images, rebuilt.owed, rebuilt.carried.refused), (2, 1, 0));
    assert_eq!(listed(&place.open()).await, before);
}

#[tokio::test]
async fn photographs_of_others_are_left_alone_unless_a_list_says_whose_folder_it_is() {
    let place = Place::new();
    put(&place, &["IMG_20231031_151712.jpg", "r1_1698765432.jpg"]);
    let store = place.open();
    assert_eq!(take_all(&place, &store).await.map(|done| done.adopted), Some(1));
    assert_eq!(listed(&store).await.keys().collect::<Vec<_>>(), ["r1_1698765432.jpg"]);
    assert_eq!(take_all(&place, &store).await, None);
    list(&place, "[]");
    assert_eq!(take_all(&place, &store).await.map(|done| (done.adopted, done.owed)), Some((1, 0)));
}

#[tokio::test]
async fn without_an_http_api_what_is_owed_waits_until_there_is_one() {
    let place = Place::new();
    put(&place, &["r1_1698765432.jpg"]);
    list(&place, r#"["r1_1698765432.jpg"]"#);
    for targets in [&[][..], SKIPPED] {
        let store = place.open_owing(targets);
        take_all(&place, &store).await;
        let states: Vec<_> = listed(&store).await.into_values().map(|(_, state)| state).collect();
        assert_eq!(states, [Some(UploadState::Skipped)]);
    }
    let store = place.open();
    store.reconcile_first().await.unwrap();
    assert_eq!(claim(&store, 10).await.len(), 1);
}

#[tokio::test]
async fn a_list_that_comes_later_owes_what_is_known_and_a_damaged_one_what_can_be_read_of_it() {
    let place = Place::new();
    put(&place, &["r1_1698765432.jpg", "r1_1698765433.jpg"]);
    let store = place.open();
    take_all(&place, &store).await.unwrap();
    assert_eq!(claim(&store, 10).await.len(), 0);
    list(&place, r#"[{"filename": "r1_1698765432.jpg"}, {"filename": "r1_16987"#);
    let done = take_all(&place, &store).await.unwrap();
    assert_eq!((done.adopted, done.owed, done.damaged.len()), (0, 1, 1));
    assert!(done.alarm().unwrap().contains("no whole JSON"));
    // A second list gets another name; the same picture is not owed twice.
    for due in claim(&store, 10).await {
        store.settle(&due, Settlement::Delivered { at: UnixMs(T0) }).await.unwrap();
    }
    list(&place, r#"["r1_1698765432.jpg"]"#);
    assert_eq!(take_all(&place, &store).await.map(|done| done.owed), Some(0));
    assert!(is_named(&place, "pending_uploads.json.imported-2"));
}
