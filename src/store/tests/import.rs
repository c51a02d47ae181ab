//! An old installation that is brought in: what is copied under which name, what is owed and what was sent, and that
//! neither a second run nor a crash changes that.

use std::collections::BTreeMap;

use std::fs::File;

use super::super::testing::{Place, assert_in_order, camera, claim, jpeg_of, trigger};
use super::*;
use crate::model::{Cause, ImageId};
use crate::store::{Former, ImageQuery, former};
use crate::system::crash::testing::{Deed, telling};

/// Owed by the lists of these tests.
const TARGETS: &[(TargetId, UploadState)] =
    &[(TargetId::API, UploadState::Pending), (TargetId::RELAY, UploadState::Pending)];

const DELIVERED: (TargetId, UploadState) = (TargetId::RELAY, UploadState::Delivered);

/// The old installation beside the directory of these tests.
fn old(place: &Place) -> PathBuf {
    place.path().join("old")
}

fn put(place: &Place, names: &[&str]) {
    let folder = old(place).join("images");
    std::fs::create_dir_all(&folder).unwrap();
    for (n, name) in names.iter().enumerate() {
        let n = i64::try_from(n).unwrap();
        // The same in each process.
        let id = ImageId::parse(&format!("{:032x}", 77 + n)).unwrap();
        std::fs::write(folder.join(name), jpeg_of(&trigger("other", 1_000_000 + n), id, 0)).unwrap();
    }
}

fn list(place: &Place, name: &str, text: &str) {
    std::fs::write(old(place).join(name), text).unwrap();
}

fn from(place: &Place) -> ImportFrom {
    ImportFrom {
        pictures: vec![old(place).join("images")],
        around: vec![old(place)],
        lists: vec![old(place)],
    }
}

fn plan(place: &Place) -> Import {
    Import::plan(&from(place), &place.images()).unwrap()
}

pub(crate) async fn import_all(place: &Place, store: &Store) -> ImportReport {
    let mut import = plan(place);
    assert_eq!(import.refusal(), None);
    while store.import_some(&mut import).await.unwrap() {}
    store.finish_import(import).await.unwrap()
}

/// Every picture by its place: name, and what is owed or was sent.
async fn listed(store: &Store) -> BTreeMap<String, (String, Vec<(TargetId, UploadState)>)> {
    let page = store.images(ImageQuery { limit: 1000, ..ImageQuery::default() }).await.unwrap();
    let images = page.items.into_iter().map(|image| {
        let uploads = image.uploads.iter().map(|upload| (upload.target, upload.state)).collect();
        (image.path.display().to_string(), (image.filename.to_string(), uploads))
    });
    images.collect()
}

/// Every file of a folder, with what is in it.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.insert(path.clone(), Vec::new());
                folders.push(path);
            } else {
                found.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// S4.5, S4.6, S3.7
#[tokio::test]
async fn pictures_are_copied_under_their_names_and_each_list_says_what_is_owed_and_what_was_sent() {
    let place = Place::new();
    put(
        &place,
        &["r1_1698765432.jpg", "r1_1698765433.jpg", "photo_20240101_120000.jpg", "photo_20240101_120001.jpg"],
    );
    std::fs::write(old(&place).join("images/torn_1698765440.jpg"), b"\xff\xd8 torn").unwrap();
    std::fs::write(old(&place).join("images/notes.txt"), b"hello").unwrap();
    list(&place, "pending_uploads.json", r#"["images/r1_1698765433.jpg", "../x/r1_1698700000.jpg", 7]"#);
    list(
        &place,
        "sent_files.json",
        r#"["r1_1698765432.jpg", "r1_1698765433.jpg", "photo_20240101_120000.jpg"]"#,
    );
    let before = tree(&old(&place));
    let store = place.open_owing(TARGETS);
    let part = place.images().join(".000102030405060708090a0b0c0d0e0f.part");
    std::fs::write(&part, b"of a run that was killed").unwrap();
    let outlook = plan(&place).outlook();
    assert_eq!((outlook.pictures, outlook.missing, outlook.sent, outlook.lists), (5, 5, 3, 2));

    let ImportReport { done, renamed } = import_all(&place, &store).await;
    assert_eq!((done.adopted, done.copies, done.sent, done.owed), (4, 0, 3, 2));
    assert_eq!((done.strange, done.rows), (vec!["torn_1698765440.jpg".to_owned()], vec!["7".to_owned()]));
    assert_eq!((done.gone, renamed), (vec!["r1_1698700000.jpg".to_owned()], Vec::new()));
    let old_name = |name: &str| FileName::parse(name).unwrap().to_string();
    let photo = |second| {
        former::name_of(&format!("photo_20240101_12000{second}.jpg"), clock::of_local).unwrap().to_string()
    };
    let api = (TargetId::API, UploadState::Pending);
    let wanted = BTreeMap::from([
        ("r1_1698765432.jpg".to_owned(), (old_name("r1_1698765432.jpg"), vec![DELIVERED])),
        // Both lists name it: the HTTP API had not got it, the other box had.
        ("r1_1698765433.jpg".to_owned(), (old_name("r1_1698765433.jpg"), vec![api, DELIVERED])),
        ("photo_20240101_120000.jpg".to_owned(), (photo(0), vec![DELIVERED])),
        ("photo_20240101_120001.jpg".to_owned(), (photo(1), vec![(TargetId::RELAY, UploadState::Pending)])),
    ]);
    assert_eq!(listed(&store).await, wanted);
    let query = ImageQuery { cause: Some(Cause::Import), limit: 10, ..ImageQuery::default() };
    assert_eq!(store.images(query).await.unwrap().items.len(), 4, "they say why they are here");
    for name in wanted.keys() {
        let (here, there) = (place.images().join(name), old(&place).join("images").join(name));
        assert_eq!(std::fs::read(&here).unwrap(), std::fs::read(&there).unwrap());
        let time = |path: &Path| std::fs::metadata(path).unwrap().modified().unwrap();
        assert_eq!(time(&here), time(&there), "{name}");
    }
    assert!(!part.exists());
    // Of the old folder only the lists have another name.
    let mut after = tree(&old(&place));
    for name in ["pending_uploads.json", "sent_files.json"] {
        let was = after.remove(&old(&place).join(format!("{name}.imported"))).unwrap();
        after.insert(old(&place).join(name), was);
    }
    assert_eq!(after, before);

    // Twice is the same, also with the lists once more, and what was deleted here stays deleted.
    let due = claim(&store, 10).await;
    let first = due.iter().find(|due| due.filename.to_string() == photo(1));
    assert_eq!((due.len(), first.is_some()), (1, false), "{due:?}");
    let gone = FileName::parse("r1_1698765432.jpg").unwrap();
    store.delete_image(&gone, true).await.unwrap();
    list(&place, "sent_files.json", r#"["r1_1698765432.jpg"]"#);
    list(&place, "pending_uploads.json", r#"["r1_1698765432.jpg"]"#);
    let again = import_all(&place, &store).await.done;
    assert_eq!((again.adopted, again.copies, again.owed, again.sent), (0, 4, 0, 0));
    let mut wanted = wanted;
    wanted.remove("r1_1698765432.jpg");
    assert_eq!(listed(&store).await, wanted);
    assert_in_order(&place);
}

/// S0.8, S0.9
#[tokio::test]
async fn a_picture_whose_name_tells_nothing_gets_the_time_of_its_file_and_names_that_are_taken_get_a_number()
{
    let place = Place::new();
    put(&place, &["r1_1698765432.jpg", "latest.jpg", "r1_20231031_151712.jpg"]);
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let latest = File::options().write(true).open(old(&place).join("images/latest.jpg")).unwrap();
    latest.set_modified(at).unwrap();
    let store = place.open_owing(TARGETS);
    // Another picture has that name here.
    std::fs::write(
        place.images().join("r1_1698765432.jpg"),
        jpeg_of(&trigger("r1", 5), ImageId::random(), 0),
    )
    .unwrap();
    let former = Former { folders: Vec::new(), cameras: vec![camera("r1")] };
    let mut takeover = store.takeover(&former).await.unwrap().unwrap();
    while store.take_over_some(&mut takeover).await.unwrap() {}
    store.finish_takeover(takeover).await.unwrap();

    let report = import_all(&place, &store).await;
    assert_eq!(report.done.adopted, 3);
    let told =
        ["latest.jpg is imported_1700000000.jpg here", "r1_1698765432.jpg is r1_1698765432_2.jpg here"];
    let mut renamed = report.renamed;
    renamed.sort();
    assert_eq!(renamed, told);
    let listed = listed(&store).await;
    assert_eq!(listed["imported_1700000000.jpg"].0, "imported_1700000000.jpg");
    assert_eq!(listed["r1_1698765432_2.jpg"].0, "r1_1698765432_2.jpg");
    assert!(listed.contains_key("r1_20231031_151712.jpg"));
    assert_eq!(import_all(&place, &store).await.done.copies, 3);
    assert_in_order(&place);
}

#[tokio::test]
async fn a_rehearsal_says_what_the_import_then_does_and_changes_nothing() {
    let place = Place::new();
    put(&place, &["r1_1698765432.jpg", "r1_1698765433.jpg", "x.jpg"]);
    std::fs::write(old(&place).join("images/r1_1698765440.jpg"), b"\xff\xd8 torn").unwrap();
    list(&place, "pending_uploads.json", r#"["r1_1698765433.jpg", "r1_1698765440.jpg", null]"#);
    list(&place, "sent_files.json", r#"["r1_1698765432.jpg", "r1_16"#);
    let before = tree(place.path());
    let rehearsed = plan(&place).rehearse();
    assert_eq!(tree(place.path()), before);
    let store = place.open_owing(TARGETS);
    assert_eq!(import_all(&place, &store).await, rehearsed);
    assert_eq!((rehearsed.done.adopted, rehearsed.done.owed, rehearsed.done.unsure.len()), (3, 1, 2));
    assert_eq!(plan(&place).rehearse().done.copies, 3, "they are here now");
}

#[tokio::test]
async fn while_a_list_cannot_be_read_nothing_is_brought_in() {
    let place = Place::new();
    put(&place, &["r1_1698765432.jpg"]);
    let whole = File::create(old(&place).join("sent_files.json")).unwrap();
    whole.set_len(100 << 20).unwrap();
    let refusal = plan(&place).refusal().unwrap();
    assert!(refusal.contains("sent_files.json cannot be read: it is larger than"), "{refusal}");
}

/// S4.6
#[tokio::test]
async fn a_list_that_is_a_link_or_a_folder_is_not_passed_over() {
    let place = Place::new();
    put(&place, &["r1_1698765432.jpg"]);
    let pending = old(&place).join("pending_uploads.json");
    list(&place, "elsewhere.json", r#"["r1_1698765432.jpg"]"#);
    for make in [&|| std::fs::create_dir(&pending).unwrap(), &|| {
        std::fs::remove_dir(&pending).unwrap();
        std::os::unix::fs::symlink("elsewhere.json", &pending).unwrap();
    }] as [&dyn Fn(); 2]
    {
        make();
        let refusal = plan(&place).refusal().unwrap();
        assert!(refusal.contains("pending_uploads.json cannot be read: it is a link or folder"), "{refusal}");
    }
    std::fs::remove_file(&pending).unwrap();
    assert_eq!(plan(&place).refusal(), None);
}

/// S4.5, S4.6
#[tokio::test]
async fn what_only_has_the_name_of_a_picture_is_told_takes_no_room_and_leads_nowhere() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::new();
    put(&place, &["Entry Gate_1698765432.jpg", "입구_20231031_151712.jpg"]);
    let images = old(&place).join("images");
    let secret = place.path().join("secret.jpg");
    std::fs::copy(images.join("Entry Gate_1698765432.jpg"), &secret).unwrap();
    std::os::unix::fs::symlink(&secret, images.join("link_1698765432.jpg")).unwrap();
    std::fs::create_dir(images.join("folder_1698765432.jpg")).unwrap();
    File::create(images.join("sparse_1698765432.mp4")).unwrap().set_len(20 << 30).unwrap();
    File::create(images.join("empty_1698765432.jpg")).unwrap();
    std::fs::write(images.join(std::ffi::OsStr::from_bytes(b"\xc0\xd4_1698765432.jpg")), b"EUC-KR").unwrap();
    list(
        &place,
        "pending_uploads.json",
        r#"["C:\\cam\\images\\입구_20231031_151712.jpg", "/home/pi/images/link_1698765432.jpg"]"#,
    );
    let outlook = plan(&place).outlook();
    assert_eq!((outlook.pictures, outlook.strange), (3, 4));
    assert!(outlook.bytes < 1 << 20, "{outlook:?}");
    let store = place.open_owing(TARGETS);
    let mut done = import_all(&place, &store).await.done;
    done.strange.sort();
    let strange = ["empty", "folder", "link", "sparse"].map(|name| {
        let end = if name == "sparse" { "mp4" } else { "jpg" };
        format!("{name}_1698765432.{end}")
    });
    assert_eq!((done.adopted, &done.strange[..4], done.strange.len()), (2, &strange[..], 5));
    assert_eq!((done.owed, done.gone), (1, vec!["link_1698765432.jpg".to_owned()]));
    let listed = listed(&store).await;
    let owed = vec![(TargetId::API, UploadState::Pending)];
    let hangul = former::name_of("camera_20231031_151712.jpg", clock::of_local).unwrap().to_string();
    assert_eq!(listed["입구_20231031_151712.jpg"], (hangul, owed));
    assert_eq!(listed["Entry Gate_1698765432.jpg"], ("entry-gate_1698765432.jpg".to_owned(), Vec::new()));
    assert!(std::fs::symlink_metadata(images.join("link_1698765432.jpg")).unwrap().is_symlink());
    assert_in_order(&place);
}

/// S3.11
#[tokio::test]
async fn somebodys_own_photographs_around_the_pictures_stay_unless_a_list_names_them() {
    let place = Place::new();
    let around = ["IMG_20240102_120000.jpg", "r1_1698765432.jpg"];
    put(&place, &["photo_20240101_120000.jpg", around[0], around[1]]);
    for name in around {
        std::fs::rename(old(&place).join("images").join(name), old(&place).join(name)).unwrap();
    }
    list(&place, "sent_files.json", r#"["r1_1698765432.jpg"]"#);
    let store = place.open_owing(TARGETS);
    import_all(&place, &store).await;
    let listed = listed(&store).await;
    assert_eq!(listed.keys().collect::<Vec<_>>(), ["photo_20240101_120000.jpg", "r1_1698765432.jpg"]);
}

#[tokio::test]
async fn the_folder_of_the_pictures_itself_is_brought_in_where_it_is() {
    let place = Place::new();
    put(&place, &["r1_1698765432.jpg", "latest.jpg"]);
    std::fs::create_dir_all(place.images()).unwrap();
    for name in ["r1_1698765432.jpg", "latest.jpg"] {
        std::fs::rename(old(&place).join("images").join(name), place.images().join(name)).unwrap();
    }
    let store = place.open_owing(TARGETS);
    let lists = vec![place.path().to_owned()];
    let from = ImportFrom { pictures: vec![place.images()], lists, ..ImportFrom::default() };
    let mut import = Import::plan(&from, &place.images()).unwrap();
    assert_eq!(import.outlook().bytes, 0);
    while store.import_some(&mut import).await.unwrap() {}
    let report = store.finish_import(import).await.unwrap();
    assert_eq!((report.done.adopted, report.done.strange), (1, vec!["latest.jpg".to_owned()]));
    assert_eq!(listed(&store).await.into_keys().collect::<Vec<_>>(), ["r1_1698765432.jpg"]);
}

/// S3.7, S4.6
#[tokio::test]
async fn an_import_or_a_takeover_that_dies_at_any_step_is_done_by_the_next_and_doubles_nothing() {
    const NAMES: [&str; 3] = ["r1_1698765432.jpg", "r1_1698765433.jpg", "r2_1698765434.jpg"];
    let prepared = |what: &str| {
        let place = Place::new();
        put(&place, &NAMES);
        list(&place, "pending_uploads.json", r#"["r1_1698765432.jpg"]"#);
        list(&place, "sent_files.json", r#"["r1_1698765433.jpg"]"#);
        if what == "take over" {
            // The lists lie beside the pictures.
            std::fs::rename(old(&place).join("images"), place.images()).unwrap();
            for name in ["pending_uploads.json", "sent_files.json"] {
                std::fs::rename(old(&place).join(name), place.path().join(name)).unwrap();
            }
        }
        place
    };
    let deed = |place: &Place, what: &str| {
        Deed::new("store::crash_tests::the_process_that_dies", place.path(), what)
    };
    let owed = |target| (target, UploadState::Pending);
    let uploads =
        [vec![owed(TargetId::API), owed(TargetId::RELAY)], vec![DELIVERED], vec![owed(TargetId::RELAY)]];
    let row = |(name, uploads): (&str, Vec<_>)| (name.to_owned(), (name.to_owned(), uploads));
    let wanted: BTreeMap<_, _> = NAMES.into_iter().zip(uploads).map(row).collect();
    for what in ["import", "take over"] {
        let steps = deed(&prepared(what), what).steps();
        assert!(steps.len() >= 4, "{steps:?}");
        for step in telling(&steps) {
            let place = prepared(what);
            deed(&place, what).dies_at(&step);
            // The daemon may be started in between.
            let store = place.open_owing(TARGETS);
            store.reconcile_first().await.unwrap();
            let folders = vec![place.path().to_owned(), place.images()];
            let former = Former { folders, cameras: vec![camera("r1"), camera("r2")] };
            if let Some(mut takeover) = store.takeover(&former).await.unwrap() {
                while store.take_over_some(&mut takeover).await.unwrap() {}
                store.finish_takeover(takeover).await.unwrap();
            }
            if what == "import" {
                import_all(&place, &store).await;
            }
            assert_eq!(listed(&store).await, wanted, "{what} {step}");
            let lists = if what == "import" { old(&place) } else { place.path().to_owned() };
            for name in ["pending_uploads.json", "sent_files.json"] {
                let is_there = |name: &str| lists.join(name).exists();
                assert!(!is_there(name) && is_there(&format!("{name}.imported")), "{what} {step}");
            }
            assert_in_order(&place);
        }
    }
}
