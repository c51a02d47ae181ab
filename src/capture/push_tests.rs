//! The way in for pictures that come by themselves, with a real store and a real guard.

use super::*;
use crate::config::Env;
use crate::media::frame::{Colours, Frame};
use crate::model::{Coded as _, ImageKind, TargetId, UploadState};
use crate::status::Status;
use crate::store::testing::{OWED, Place, SKIPPED, T0, assert_in_order, claim, disk::SmallDisk, moment};
use crate::store::{Change, Deletion, Image, ImageQuery, LedgerEntry, LedgerQuery};

/// The task and what it stores into.
struct World {
    place: Place,
    store: Store,
    pushes: Pushes,
    guard: DiskGuard,
    cancel: CancellationToken,
    task: JoinSet<()>,
}

impl World {
    fn begin(place: Place) -> Self {
        let store = place.open();
        Self::of(place, store)
    }

    fn of(place: Place, store: Store) -> Self {
        Self::with(place, store, &[("CAMERA_1_NAME", "r1")])
    }

    fn with(place: Place, store: Store, pairs: &[(&str, &str)]) -> Self {
        let (config, _) = Config::parse(&Env::from_pairs(pairs.iter().copied())).unwrap();
        let guard = DiskGuard::new(store.intake(), &config.storage, &Status::new(&config));
        let (pushes, mut keeper) = Pushes::new(&config, &store, &guard);
        let (cancel, mut task) = (CancellationToken::new(), JoinSet::new());
        let until = cancel.clone();
        task.spawn(async move { keeper.run(&until).await });
        Self { place, store, pushes, guard, cancel, task }
    }

    async fn keep(&self, pushed: PushedPicture) -> Result<AcceptedPush, PushRefusal> {
        self.pushes.keep(pushed).await
    }

    async fn images(&self) -> Vec<Image> {
        self.store.images(ImageQuery { limit: 100, ..ImageQuery::default() }).await.unwrap().items
    }

    async fn ledger(&self) -> Vec<LedgerEntry> {
        self.store.ledger(LedgerQuery { limit: 100, ..LedgerQuery::default() }).await.unwrap().items
    }

    /// The end of the program; what was handed over is finished.
    async fn end(mut self) -> Place {
        self.cancel.cancel();
        while self.task.join_next().await.is_some() {}
        self.store.close().await.unwrap();
        self.place
    }
}

fn device(name: &str) -> DeviceName {
    DeviceName::parse(name).unwrap()
}

/// What a device sends: each shade is another picture.
fn jpeg_of(shade: u8) -> Vec<u8> {
    let (y, u, v) = (vec![shade; 256], vec![128; 64], vec![128; 64]);
    jpeg::encode_plain(&Frame { width: 16, height: 16, y, u, v, colours: Colours::JPEG }).unwrap()
}

fn pushed(bytes: Vec<u8>, ms: i64) -> PushedPicture {
    PushedPicture {
        cause: Cause::Push,
        device: device("esp-door"),
        camera: None,
        bytes,
        pixels_max: u64::MAX,
        arrived: moment(T0 + ms),
        taken_at: None,
        own_name: Some("../snap 1.jpg".to_owned()),
        first_id: None,
    }
}

/// The name that the site's clocks give it.
fn name(stem: &str, ms: i64) -> String {
    let at = UnixMs(T0 + ms);
    FileName::pushed(crate::model::FileStem::of(Some(stem)), at, clock::utc_offset_s(at)).to_string()
}

#[tokio::test]
async fn a_picture_that_comes_by_itself_is_kept_owed_and_listed_like_one_that_was_asked_for() {
    let world = World::begin(Place::new());
    let mut changes = world.store.changes();
    let taken_at = Some(UnixMs(T0 - 5_000));
    let accepted = world.keep(PushedPicture { taken_at, ..pushed(jpeg_of(90), 0) }).await.unwrap();
    assert_eq!((accepted.filename.to_string(), accepted.was_known), (name("snap-1", 0), false));
    let file = std::fs::read(world.store.root().join(&accepted.path)).unwrap();
    assert_eq!(file.len() as u64, accepted.bytes);
    let (start, rest) = jpeg::without_caption(&file);
    assert_eq!(
        [start, rest].concat(),
        jpeg_of(90),
        "what was sent is in the file, and nothing of it is changed"
    );

    let [image] = &world.images().await[..] else { panic!("one picture") };
    let push = image.facts.push.clone().unwrap();
    assert_eq!((push.device, push.own_name.as_deref()), (device("esp-door"), Some("../snap 1.jpg")));
    assert_eq!(exif::read(&file).unwrap().facts, image.facts, "the file tells it, too");
    assert_eq!((image.facts.camera.as_str(), image.facts.cause), ("esp-door", Cause::Push));
    assert_eq!((image.facts.taken_at(), image.facts.kind), (UnixMs(T0 - 5_000), ImageKind::Instant));
    assert_eq!((image.dimensions.width, image.dimensions.height), (16, 16));
    assert_eq!(image.uploads[0].state, UploadState::Pending);
    let [entry] = &world.ledger().await[..] else { panic!("one trigger") };
    assert_eq!((entry.outcome, entry.cause), (Some(Outcome::Captured), Cause::Push));
    assert_eq!((entry.device.clone(), entry.edge_at), (Some(device("esp-door")), UnixMs(T0)));
    assert_eq!((entry.images.len(), entry.latency_ms.is_some()), (1, true));
    assert_eq!(claim(&world.store, 9).await.len(), 1);
    assert!(matches!(changes.recv().await, Ok(Change::Image(told)) if told.filename == accepted.filename));
    assert_in_order(&world.place);
}

#[tokio::test]
async fn a_device_that_stands_for_a_camera_is_listed_under_it_and_two_of_one_second_have_two_names() {
    let world = World::begin(Place::new());
    let camera = Some(CameraKey::parse("r1").unwrap());
    for (shade, end) in [(10, ""), (20, "_2"), (30, "_3")] {
        let one = PushedPicture { camera: camera.clone(), own_name: None, ..pushed(jpeg_of(shade), 0) };
        let expected = name("photo", 0).replace(".jpg", &format!("{end}.jpg"));
        assert_eq!(world.keep(one).await.unwrap().filename.to_string(), expected);
    }
    let of_camera = ImageQuery { camera, limit: 9, ..ImageQuery::default() };
    assert_eq!(world.store.images(of_camera).await.unwrap().items.len(), 3);
    assert_in_order(&world.place);
}

#[tokio::test]
async fn the_same_bytes_of_one_device_are_one_picture_however_often_they_come() {
    let world = World::begin(Place::new());
    let first = world.keep(pushed(jpeg_of(90), 0)).await.unwrap();
    for ms in [1, 60_000] {
        let again = world.keep(pushed(jpeg_of(90), ms)).await.unwrap();
        assert_eq!(again, AcceptedPush { was_known: true, ..first.clone() });
    }
    // Two at once, before either is stored.
    let (one, other) = tokio::join!(world.keep(pushed(jpeg_of(7), 5)), world.keep(pushed(jpeg_of(7), 6)));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((&one.filename, one.was_known ^ other.was_known), (&other.filename, true));
    assert_eq!((world.images().await.len(), world.ledger().await.len()), (2, 2));
    let other = PushedPicture { device: device("esp-gate"), ..pushed(jpeg_of(90), 0) };
    assert!(!world.keep(other).await.unwrap().was_known, "another device took another picture");
    // Deleted by a person, and sent once more after a reboot.
    assert_eq!(world.store.delete_image(&first.filename, true).await.unwrap(), Deletion::Deleted);
    assert!(world.keep(pushed(jpeg_of(90), 9)).await.unwrap().was_known);
    assert_eq!(world.images().await.len(), 2);
    assert_in_order(&world.place);
}

#[tokio::test]
async fn of_a_box_in_a_chain_an_identity_is_one_picture() {
    let world = World::begin(Place::new());
    let first_id = Some(ImageId::random());
    let of = |shade, device_name: &str| PushedPicture {
        first_id,
        device: device(device_name),
        ..pushed(jpeg_of(shade), 0)
    };
    assert!(!world.keep(of(1, "box")).await.unwrap().was_known);
    assert!(world.keep(of(2, "box")).await.unwrap().was_known, "the first box wrote its file anew");
    assert!(!world.keep(of(3, "another")).await.unwrap().was_known, "nobody speaks for another device");
    let known: Vec<_> =
        world.images().await.iter().map(|image| image.facts.push.clone().unwrap().first_id).collect();
    assert_eq!(known, [first_id, first_id]);
}

#[tokio::test]
async fn what_is_no_whole_picture_is_refused_with_a_code_and_is_a_failure_in_the_ledger() {
    let world = World::begin(Place::new());
    let whole = jpeg_of(90);
    let mut wide = whole.clone();
    let frame = wide.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    wide[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    let mut long = whole.clone();
    long.resize(PUSH_BYTES_MAX + 1, 0);
    let table = [
        (Vec::new(), "not_jpeg"),
        (b"GIF89a".to_vec(), "not_jpeg"),
        (vec![0xff, 0xd8, 0xff, 0xd9], "not_jpeg"),
        (whole[..whole.len() - 2].to_vec(), "torn"),
        (whole[..40].to_vec(), "torn"),
        (wide, "too_many_pixels"),
        (long, "too_large"),
    ];
    for (n, (bytes, code)) in table.iter().enumerate() {
        let name = format!("esp-{n}");
        let one = PushedPicture { device: device(&name), ..pushed(bytes.clone(), 0) };
        let refusal = world.keep(one).await.unwrap_err();
        assert!(matches!(refusal, PushRefusal::Unfit(_)), "{code}");
        assert_eq!(refusal.reason().code(), Some(*code));
        let entries = world.ledger().await;
        let entry = entries.iter().find(|entry| entry.device == Some(device(&name))).unwrap();
        assert_eq!((entry.outcome, entry.reason.as_ref()), (Some(Outcome::Failed), Some(refusal.reason())));
        assert_eq!(refusal.to_string(), entry.reason.as_ref().unwrap().to_string());
    }
    assert_eq!((world.images().await.len(), world.place.pictures().len()), (0, 0));
    assert_in_order(&world.place);
}

#[tokio::test]
async fn what_a_frame_buffer_leaves_behind_the_end_is_left_out() {
    let world = World::begin(Place::new());
    for padding in [&[0; 300][..], b"\r\n", &[0xff, 0xff]] {
        let bytes = [&jpeg_of(90), padding].concat();
        world.keep(pushed(bytes, 0)).await.unwrap();
    }
    assert_eq!(world.images().await.len(), 1, "it is one picture");
    // Phones and cameras put a clip or words of their own behind it.
    for trailer in [&b"words"[..], b"\0\0\0\x18ftypmp42 \xff\xd8\xff\xd9 words"] {
        assert!(world.keep(pushed([&jpeg_of(90)[..], trailer].concat(), 0)).await.unwrap().was_known);
    }
}

#[tokio::test]
async fn of_several_pictures_in_one_file_all_are_kept_and_none_is_taken_for_the_end() {
    let world = World::begin(Place::new());
    let both = [jpeg_of(90), jpeg_of(91)].concat();
    let accepted = world.keep(pushed(both.clone(), 0)).await.unwrap();
    let file = std::fs::read(world.store.root().join(&accepted.path)).unwrap();
    let (start, rest) = jpeg::without_caption(&file);
    assert_eq!([start, rest].concat(), both);
    assert_eq!(world.images().await[0].facts.note, None);
    let torn = world.keep(pushed(both[..both.len() - 20].to_vec(), 0)).await.unwrap_err();
    assert_eq!(torn.reason().code(), Some("torn"));
}

#[tokio::test]
async fn a_picture_of_any_coding_and_number_of_colours_is_one_and_has_no_note() {
    use jpeg_encoder::{ColorType, Encoder};
    let world = World::begin(Place::new());
    let kinds = [(ColorType::Luma, 1), (ColorType::Rgb, 3), (ColorType::Cmyk, 4)];
    for (n, (colours, bytes)) in kinds.into_iter().enumerate() {
        for is_progressive in [false, true] {
            let mut sent = Vec::new();
            let mut encoder = Encoder::new(&mut sent, 80);
            encoder.set_progressive(is_progressive);
            let pixels: Vec<u8> = (0..48 * 32 * bytes).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect();
            encoder.encode(&pixels, 48, 32, colours).unwrap();
            let trailed = [&sent[..], b"words"].concat();
            assert!(!world.keep(pushed(sent.clone(), 0)).await.unwrap().was_known, "{n} {is_progressive}");
            assert!(world.keep(pushed(trailed, 0)).await.unwrap().was_known, "{n} {is_progressive}");
            let torn = sent[..sent.len() - 9].to_vec();
            assert_eq!(world.keep(pushed(torn, 0)).await.unwrap_err().reason().code(), Some("torn"));
        }
    }
    assert!(world.images().await.iter().all(|image| image.facts.note.is_none()));
    assert_in_order(&world.place);
}

#[tokio::test]
async fn a_picture_that_was_cut_off_behind_the_small_one_in_its_head_is_torn() {
    let world = World::begin(Place::new());
    let (small, large) = (jpeg_of(1), jpeg_of(90));
    let length = u16::try_from(2 + small.len() + 40).unwrap().to_be_bytes();
    let head = [&large[..2], &[0xff, 0xe1], &length, &small].concat();
    let refusal = world.keep(pushed(head.clone(), 0)).await.unwrap_err();
    assert_eq!(refusal.reason().code(), Some("torn"));
    world.keep(pushed([&head, &[0; 40][..], &large[2..]].concat(), 0)).await.unwrap();
}

#[tokio::test]
async fn a_flood_of_garbage_does_not_fill_the_ledger_and_is_counted() {
    let world = World::begin(Place::new());
    for _ in 0..200 {
        world.keep(pushed(b"garbage".to_vec(), 0)).await.unwrap_err();
    }
    assert_eq!(world.ledger().await.len(), 5);
    let mut later = pushed(b"garbage".to_vec(), 1);
    later.arrived.at += std::time::Duration::from_secs(3600);
    world.keep(later).await.unwrap_err();
    let entries = world.ledger().await;
    assert_eq!(entries.len(), 6);
    assert_eq!(
        entries[0].remark.as_deref(),
        Some("195 more of esp-door were refused since the entry before")
    );
}

#[tokio::test]
async fn while_the_database_takes_nothing_the_file_is_kept_once_and_its_sender_is_told_to_send_again() {
    let world = World::begin(Place::new());
    let refuse = "create trigger refuse before insert on triggers begin select raise(abort, 'no'); end";
    world.place.sql().execute_batch(refuse).unwrap();
    for ms in 0..5 {
        let refusal = world.keep(pushed(jpeg_of(90), ms)).await.unwrap_err();
        assert!(matches!(refusal, PushRefusal::Later(NoPicture::KeptAsFile { .. })), "{refusal:?}");
    }
    world.place.sql().execute_batch("drop trigger refuse").unwrap();
    assert_eq!(world.store.intake().catch_up().await.unwrap().images.len(), 1);
    assert!(world.keep(pushed(jpeg_of(90), 9)).await.unwrap().was_known);
    assert_eq!((world.images().await.len(), world.ledger().await.len()), (1, 1));
    assert_in_order(&world.place);
}

#[tokio::test]
async fn a_sender_that_hangs_up_does_not_keep_its_picture_from_being_stored() {
    let world = World::begin(Place::new());
    let mut keeping = Box::pin(world.keep(pushed(jpeg_of(90), 0)));
    assert!(futures_util::poll!(&mut keeping).is_pending());
    drop(keeping);
    let place = world.end().await;
    assert_eq!(place.pictures().len(), 1);
    assert_in_order(&place);
}

#[tokio::test]
async fn the_folder_alone_tells_of_pushed_pictures_who_sent_them_and_that_they_came_before() {
    let world = World::begin(Place::new());
    let first_id = Some(ImageId::random());
    for shade in [1, 2] {
        world.keep(PushedPicture { first_id, ..pushed(jpeg_of(shade), 0) }).await.unwrap();
        world.keep(pushed(jpeg_of(shade + 10), 0)).await.unwrap();
    }
    let told = |images: Vec<Image>| {
        let told = |image: Image| (image.filename.to_string(), image.path, image.facts);
        let mut told: Vec<_> = images.into_iter().map(told).collect();
        told.sort_by(|one, other| one.0.cmp(&other.0));
        told
    };
    let before = told(world.images().await);
    assert_eq!(before.len(), 3, "the second of the identity is the first");
    let place = world.end().await;
    for end in ["", "-wal", "-shm", ".backup"] {
        let _ = std::fs::remove_file(format!("{}{end}", place.database().display()));
    }
    let rebuilt = Store::rebuild(place.images(), place.database(), OWED.to_vec()).await.unwrap();
    assert_eq!((rebuilt.images, rebuilt.owed, rebuilt.reconciled.adopted), (3, 3, 3));
    let world = World::begin(place);
    assert_eq!(told(world.images().await), before);
    for shade in [1, 11, 12] {
        assert!(world.keep(pushed(jpeg_of(shade), 99)).await.unwrap().was_known, "{shade}");
    }
    assert_in_order(&world.place);
}

#[tokio::test]
async fn a_time_that_cannot_be_is_passed_over() {
    for (taken_at, believed) in
        [(T0 + 30_000, 30_000), (T0 + 120_000, 0), (1_000, 0), (T0 - 40 * 86_400_000, -40 * 86_400_000)]
    {
        assert_eq!(distance_ms(UnixMs(taken_at), UnixMs(T0)), believed, "{taken_at}");
    }
}

#[tokio::test]
async fn a_cause_of_a_newer_version_is_an_error_in_words() {
    let world = World::begin(Place::new());
    let accepted = world.keep(pushed(jpeg_of(90), 0)).await.unwrap();
    world
        .place
        .sql()
        .execute_batch("update triggers set cause = 'telepathy'; update images set cause = 'dream'")
        .unwrap();
    for error in [
        world.store.image(&accepted.filename).await.unwrap_err(),
        world.store.ledger(LedgerQuery { limit: 1, ..LedgerQuery::default() }).await.unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("column cause holds a value this version does not know"),
            "{error}"
        );
        assert!(!error.is_damage());
    }
}

#[tokio::test]
async fn a_full_disk_is_a_refusal_in_words_that_the_device_can_retry() {
    let parent = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(parent.path(), "size=8m", "a_full_disk_is_a_refusal") else { return };
    let place = Place::below(parent.path());
    let store = place.open_owing(SKIPPED);
    let world = World::of(place, store);
    disk.fill();
    let refusal = world.keep(pushed(jpeg_of(90), 0)).await.unwrap_err();
    assert!(matches!(&refusal, PushRefusal::Later(NoPicture::DiskFull { .. })), "{refusal:?}");
    disk.relieve();
    world.store.intake().catch_up().await.unwrap();
    assert!(!world.keep(pushed(jpeg_of(90), 1)).await.unwrap().was_known);
    assert_in_order(&world.place);
    drop(world.end().await);
}

#[tokio::test]
async fn retention_and_delivery_take_pushed_pictures_as_others() {
    let world = World::begin(Place::new());
    world.keep(pushed(jpeg_of(90), 0)).await.unwrap();
    let before = UnixMs(T0 + 1);
    assert_eq!(world.store.retention().deletable(before, None, 9).await.unwrap().len(), 0, "it is owed");
    let due = claim(&world.store, 9).await;
    assert_eq!(due[0].facts.push.as_ref().unwrap().device, device("esp-door"));
    let delivered = crate::store::Settlement::Delivered { at: UnixMs(T0) };
    assert!(world.store.queue(TargetId::API).settle(&due[0], delivered).await.unwrap());
    let found = world.store.retention().deletable(before, None, 9).await.unwrap();
    let gone = world
        .store
        .retention()
        .delete_expired(found.into_iter().map(|(_, one)| one).collect())
        .await
        .unwrap();
    assert_eq!((gone.len(), world.images().await.len()), (1, 0));
    assert_in_order(&world.place);
}

#[tokio::test]
async fn a_device_may_bring_as_many_pixels_as_it_is_given_and_no_more() {
    let world = World::begin(Place::new());
    let of = |pixels_max| PushedPicture { pixels_max, ..pushed(jpeg_of(90), 0) };
    let refusal = world.keep(of(16 * 16 - 1)).await.unwrap_err();
    assert_eq!(refusal, PushRefusal::Unfit(NoPicture::TooManyPixels { width: 16, height: 16 }));
    assert!(world.keep(of(16 * 16)).await.is_ok());
}

/// A device whose pictures are too large, where refused ones are kept; `min_free` is the floor of the disk.
async fn refused_once(min_free: &str) -> (World, Option<(usize, u64)>) {
    let place = Place::new();
    let store = place.open();
    let images = place.images().to_string_lossy().into_owned();
    let pairs = [
        ("CAMERA_1_NAME", "r1"),
        ("IMAGE_STORAGE_PATH", images.as_str()),
        ("STORAGE_QUARANTINE_MAX_BYTES", "1MiB"),
        ("STORAGE_MIN_FREE_BYTES", min_free),
    ];
    let world = World::with(place, store, &pairs);
    let refusal = world.keep(PushedPicture { pixels_max: 1, ..pushed(jpeg_of(90), 0) }).await.unwrap_err();
    assert!(matches!(refusal.reason(), NoPicture::TooManyPixels { .. }));
    let kept = world.guard.refused().await.map(|(_, count)| (count.pictures, count.bytes));
    (world, kept)
}

#[tokio::test]
async fn what_is_refused_is_kept_where_that_is_asked_for_and_in_no_list() {
    let (world, kept) = refused_once("1MiB").await;
    assert_eq!(kept, Some((1, jpeg_of(90).len() as u64)));
    let names = world.place.hidden(".quarantine");
    assert!(names.len() == 2 && names.iter().all(|name| name.contains("_esp-door_")), "{names:?}");
    assert_eq!((world.images().await.len(), world.place.pictures().len()), (0, 0));
    let place = world.end().await;
    let again = place.open();
    assert_eq!(again.images(ImageQuery { limit: 9, ..ImageQuery::default() }).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn on_a_disk_that_is_short_of_room_nothing_refused_is_kept() {
    let (world, kept) = refused_once("1000T").await;
    assert_eq!((kept, world.place.hidden(".quarantine").len()), (Some((0, 0)), 0));
}
