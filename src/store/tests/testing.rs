//! What the tests of the store share: a directory that lies in memory where the machine has one, and small real pictures.

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tempfile::TempDir;

use super::{DueUpload, Image, LaneTurn, NewImage, Store, StoreError, TriggerId};
use crate::media::frame::{Colours, Frame};
use crate::media::gop::{AccessUnit, Codec, UnitRange};
use crate::media::{exif, jpeg, mp4};
use crate::model::{
    CameraKey, Cause, DeviceName, Dimensions, FileName, ImageId, ImageKind, Moment, PictureFacts, PushFacts,
    TargetId, Trigger, UnixMs, UploadState,
};

/// The small disk of the end-to-end tests.
#[path = "../../../tests/it/support/disk.rs"]
pub(crate) mod disk;

/// 2027-01-15T08:00:00Z: later than this version, for retention's sake.
pub(crate) const T0: i64 = 1_800_000_000_000;

/// Owed to the one target.
pub(crate) const OWED: &[(TargetId, UploadState)] = &[(TargetId::API, UploadState::Pending)];

/// The one target is switched off.
pub(crate) const SKIPPED: &[(TargetId, UploadState)] = &[(TargetId::API, UploadState::Skipped)];

/// A directory for pictures and database.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        // There fsync costs nothing; elsewhere the tests are only slower.
        Self(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }

    /// Below another directory, such as one on a small disk.
    pub(crate) fn below(parent: &Path) -> Self {
        Self(tempfile::tempdir_in(parent).unwrap())
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.0.path().join("images")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.path().join("x.db")
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A store that owes every picture.
    pub(crate) fn open(&self) -> Store {
        self.open_owing(OWED)
    }

    pub(crate) fn open_owing(&self, targets: &[(TargetId, UploadState)]) -> Store {
        self.try_open(targets).unwrap()
    }

    pub(crate) fn try_open(&self, targets: &[(TargetId, UploadState)]) -> Result<Store, StoreError> {
        Store::open(&self.images(), &self.database(), targets)
    }

    /// A connection of its own, beside the store's; it plans as those do.
    pub(crate) fn sql(&self) -> Connection {
        let c = Connection::open(self.database()).unwrap();
        c.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
        c
    }

    /// Bytes of the ballast beside the database.
    pub(crate) fn ballast(&self) -> u64 {
        std::fs::metadata(self.0.path().join("x.db-ballast")).map_or(0, |file| file.len())
    }

    /// Every picture there ever was, and how its upload stands.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        const ALL_SQL: &str = "
            select uid, file_name, images.state = 'present', uploads.state, refusals
            from images join uploads on image_id = images.id order by images.id";
        let c = self.sql();
        let mut statement = c.prepare(ALL_SQL).unwrap();
        let rows = statement.query_map([], |row| {
            Ok(Delivery {
                id: ImageId::from_bytes(row.get(0)?),
                name: FileName::parse(&row.get::<_, String>(1)?).unwrap(),
                is_there: row.get(2)?,
                state: UploadState::parse(&row.get::<_, String>(3)?).unwrap(),
                refusals: row.get(4)?,
            })
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// The edges of which the ledger says why they have no picture.
    pub(crate) fn explained(&self) -> HashSet<UnixMs> {
        const EXPLAINED_SQL: &str = "select edge_at from triggers where outcome = 'failed' and reason <> ''";
        let c = self.sql();
        let mut statement = c.prepare(EXPLAINED_SQL).unwrap();
        let rows = statement.query_map([], |row| Ok(UnixMs(row.get(0)?)));
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// Every file below the picture directory, hidden folders apart, in order.
    pub(crate) fn pictures(&self) -> Vec<String> {
        files_below(&self.images(), |folder| !folder.starts_with('.'))
    }

    /// Puts a file in the way of a folder, and takes every name that it could be given instead. Returns what to remove.
    pub(crate) fn block(&self, folder: &str) -> Vec<PathBuf> {
        let aside =
            std::iter::once(".set-aside".to_owned()).chain((2..=16).map(|n| format!(".set-aside-{n}")));
        let names = std::iter::once(String::new()).chain(aside);
        let paths: Vec<_> = names.map(|end| self.images().join(format!("{folder}{end}"))).collect();
        for path in &paths {
            std::fs::write(path, b"in the way").unwrap();
        }
        paths
    }

    /// Every file in one hidden folder.
    pub(crate) fn hidden(&self, folder: &str) -> Vec<String> {
        files_below(&self.images().join(folder), |_| true)
    }
}

/// A picture and its upload to the one target.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) id: ImageId,
    pub(crate) name: FileName,
    /// Neither deleted nor missing.
    pub(crate) is_there: bool,
    pub(crate) state: UploadState,
    pub(crate) refusals: u32,
}

/// Says something on the terminal, also when the test passes and its output is swallowed.
pub(crate) fn report(text: &str) {
    // Nobody to tell is fine.
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

fn files_below(root: &Path, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() && wanted(&name) {
            let below = std::fs::read_dir(entry.path()).unwrap().map(Result::unwrap);
            found.extend(below.map(|file| format!("{name}/{}", file.file_name().into_string().unwrap())));
        } else if entry.path().is_file() && !name.starts_with('.') {
            found.push(name);
        }
    }
    found.sort();
    found
}

pub(crate) fn camera(key: &str) -> CameraKey {
    CameraKey::parse(key).unwrap()
}

/// A contact that closed at `edge_ms`.
pub(crate) fn trigger(key: &str, edge_ms: i64) -> Trigger {
    Trigger { camera: camera(key), cause: Cause::Gpio, edge: moment(edge_ms), device: None }
}

/// This instant, which the wall clock says is `wall_ms`.
pub(crate) fn moment(wall_ms: i64) -> Moment {
    Moment { at: Instant::now(), wall: UnixMs(wall_ms) }
}

/// A small JPEG that carries the facts of `trigger`.
pub(crate) fn jpeg_of(trigger: &Trigger, id: ImageId, frame_offset_ms: i64) -> Vec<u8> {
    let frame = Frame {
        width: 16,
        height: 16,
        y: vec![90; 256],
        u: vec![128; 64],
        v: vec![128; 64],
        colours: Colours::JPEG,
    };
    jpeg::encode(&frame, &caption(facts_of(trigger, id, frame_offset_ms))).unwrap()
}

fn facts_of(trigger: &Trigger, id: ImageId, frame_offset_ms: i64) -> PictureFacts {
    PictureFacts { id, ..PictureFacts::of(trigger, ImageKind::Instant, frame_offset_ms, None) }
}

fn caption(facts: PictureFacts) -> exif::Caption {
    exif::Caption { facts, label: "Entry".to_owned(), utc_offset_s: 0 }
}

fn clip_facts_of(trigger: &Trigger, id: ImageId, frame_offset_ms: i64) -> PictureFacts {
    let note = Some("shortened".to_owned());
    PictureFacts { id, ..PictureFacts::of(trigger, ImageKind::Clip, frame_offset_ms, note) }
}

/// A picture that answers `trigger`.
pub(crate) fn picture(trigger: &Trigger, row: TriggerId, id: ImageId, frame_offset_ms: i64) -> NewImage {
    NewImage {
        facts: facts_of(trigger, id, frame_offset_ms),
        dimensions: Dimensions::of_picture((16, 16)),
        trigger: Some(row),
        at: trigger.edge.at,
        file: jpeg_of(trigger, id, frame_offset_ms),
    }
}

/// A picture that a device sent by itself.
pub(crate) fn pushed_picture(edge_ms: i64, id: ImageId) -> NewImage {
    let device = DeviceName::parse("esp-door").unwrap();
    let (camera, edge) = (device.key().clone(), moment(edge_ms));
    let trigger = Trigger { camera, cause: Cause::Push, edge, device: Some(device.clone()) };
    let push = PushFacts { device, own_name: Some("snap.jpg".to_owned()), device_time: None, first_id: None };
    let facts = PictureFacts { push: Some(push), ..facts_of(&trigger, id, 0) };
    let plain = Frame {
        width: 16,
        height: 16,
        y: vec![9; 256],
        u: vec![128; 64],
        v: vec![128; 64],
        colours: Colours::JPEG,
    };
    let caption =
        exif::Caption { utc_offset_s: crate::clock::utc_offset_s(facts.edge_at), ..caption(facts.clone()) };
    let (file, size) = jpeg::with_caption(&jpeg::encode_plain(&plain).unwrap(), &caption).unwrap();
    NewImage { facts, dimensions: Dimensions::of_picture(size), trigger: None, at: edge.at, file }
}

/// A small clip that carries the facts of `trigger`.
pub(crate) fn mp4_of(trigger: &Trigger, id: ImageId, frame_offset_ms: i64) -> Vec<u8> {
    let caption = caption(clip_facts_of(trigger, id, frame_offset_ms));
    let poster = [0xff, 0xd8, 7, 0xff, 0xd9];
    mp4::mux(&stretch(), &exif::block(&caption, &poster), trigger.edge.wall.epoch_s()).unwrap().bytes
}

/// A clip that answers `trigger`.
pub(crate) fn clip(trigger: &Trigger, row: TriggerId, id: ImageId, frame_offset_ms: i64) -> NewImage {
    NewImage {
        facts: clip_facts_of(trigger, id, frame_offset_ms),
        dimensions: Dimensions { width: 16, height: 16, duration_ms: Some(80) },
        file: mp4_of(trigger, id, frame_offset_ms),
        ..picture(trigger, row, id, frame_offset_ms)
    }
}

/// Two frames: what x264 writes for 16×16 pixels, and a follower that no decoder would like.
fn stretch() -> UnitRange {
    let sps = [
        0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x1e, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00,
        0xc8, 0x3c, 0x48, 0x99, 0x20,
    ];
    let (pps, picture) =
        ([0x68, 0xcb, 0x83, 0xcb, 0x20], [0x65, 0x88, 0x84, 0x0a, 0xf2, 0x62, 0x80, 0x01, 0x7c]);
    let start = [0, 0, 0, 1];
    let idr = [&start[..], &sps, &start, &pps, &start, &picture].concat();
    let follower = [&start[..], &[0x41, 0x9a, 0x02]].concat();
    let units = [(0, idr), (40_000_000, follower)].map(|(rtp_ns, data)| AccessUnit {
        rtp_ns,
        instant: Instant::now(),
        data: data.into(),
        starts: (rtp_ns == 0).then_some(0),
        is_disposable: false,
        missing: 0,
        is_leading: false,
        doubt: None,
    });
    UnitRange { codec: Codec::H264, units: units.to_vec() }
}

/// A trigger and its picture, recorded.
pub(crate) async fn take(store: &Store, key: &str, edge_ms: i64) -> Image {
    let trigger = trigger(key, edge_ms);
    let row = store.begin_trigger(&trigger).await.unwrap();
    store.record(picture(&trigger, row, ImageId::random(), 0)).await.unwrap()
}

/// Up to `limit` uploads that are due at [`T0`].
pub(crate) async fn claim(store: &Store, limit: usize) -> Vec<DueUpload> {
    store.claim(TargetId::API, UnixMs(T0), limit, LaneTurn::default()).await.unwrap().uploads
}

/// The tallies as they should be, counted anew.
pub(crate) fn recount(c: &Connection) -> BTreeMap<(String, String), i64> {
    counts(
        c,
        "select camera, outcome, count(*) from triggers where outcome is not null group by 1, 2
         union all select camera, 'images', count(*) from images where state = 'present' group by 1
         union all select camera, 'bytes', sum(bytes) from images where state = 'present' group by 1
         union all select target, 'upload:' || state, count(*) from uploads group by 1, 2
         union all select device, 'pushed', count(*) from images where device is not null group by 1
         union all select device, 'pushed:delivered', count(*) from images join uploads on image_id = images.id
             where device is not null and uploads.state = 'delivered' group by 1",
    )
}

/// The tallies as they are kept, those of nothing left out.
pub(crate) fn tallies(c: &Connection) -> BTreeMap<(String, String), i64> {
    counts(c, "select subject, what, value from tallies where value <> 0")
}

/// How many pictures there are whose `deliveries` does not say in which states their uploads are.
pub(crate) fn wrong_deliveries(c: &Connection) -> i64 {
    const WRONG_SQL: &str = "
        select count(*) from images
        where state in ('present', 'missing') and deliveries <> (
            select coalesce(sum(distinct case state when 'pending' then 1 when 'delivered' then 2 when 'dead' then 4
                                         when 'skipped' then 8 when 'lost' then 16 end), 0)
            from uploads where image_id = images.id)";
    c.query_row(WRONG_SQL, [], |row| row.get(0)).unwrap()
}

fn counts(c: &Connection, sql: &str) -> BTreeMap<(String, String), i64> {
    let mut statement = c.prepare_cached(sql).unwrap();
    let rows = statement.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Folder and database say the same: every row has its file, every file its row, every tally its count, every picture
/// the states of its uploads, and nothing is owed of a picture that is not there.
pub(crate) fn assert_in_order(place: &Place) {
    let c = place.sql();
    assert_eq!(tallies(&c), recount(&c));
    assert_eq!(wrong_deliveries(&c), 0);
    let mut statement = c.prepare("select path from images where state = 'present' order by path").unwrap();
    let rows: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows, place.pictures());
    assert_eq!(place.hidden(".incoming"), Vec::<String>::new());
    let count = |sql: &str| c.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let owed_of_nothing = "select count(*) from uploads join images on images.id = image_id
                           where uploads.state = 'pending' and images.state <> 'present'";
    assert_eq!(count(owed_of_nothing), 0);
    assert_eq!(count("select count(*) from images where state = 'deleting'"), 0);
}
