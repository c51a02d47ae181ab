//! A million pictures: how long the start takes, and every question of the dashboard. `ROWS` sets the number; without it
//! the run is short. Figures go to standard error.

use std::fs;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::testing::{OWED, Place, T0, camera, take};
use super::*;
use crate::model::{Medium, Outcome, UnixMs, UploadState};

/// Pictures of a day.
const PER_DAY: i64 = 1_000;

fn rows() -> i64 {
    std::env::var("ROWS").map_or(20_000, |text| text.parse().unwrap())
}

fn report(text: &str) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Years of pictures: the newest hundredth owed, the others delivered. The newest day lies on the disk.
fn filled(rows: i64) -> Place {
    let place = Place::new();
    drop(place.open_owing(OWED));
    let c = place.sql();
    c.execute_batch(&format!(
        "pragma synchronous = off; pragma journal_mode = memory;
         begin;
         create temp table n as
             with recursive n(i) as (select 0 union all select i + 1 from n where i < {rows} - 1) select i from n;
         insert into triggers (id, camera, cause, edge_at, boot_id, boot_ms, clock, outcome)
             select i + 1, 'r' || (1 + i % 3), 'gpio', {T0} - ({rows} - i) * 86400, '7f6d3b0e-5a43-4a0e-9a41-0c5d4bb3e7f1',
                    i, 'synced', case when i % 20 = 0 then 'failed' else 'captured' end from n;
         insert into images (id, uid, trigger_id, camera, file_name, path, cause, taken_at, width, height, bytes, sha256,
                             protected)
             select i + 1, randomblob(16), i + 1, 'r' || (1 + i % 3), printf('r1_%09d.jpg', i),
                    date(1800000000 - (({rows} - i) / {PER_DAY}) * 86400, 'unixepoch') || '/' || printf('r1_%09d.jpg', i),
                    'gpio', {T0} - ({rows} - i) * 86400, 1920, 1080, 4, randomblob(32), i % 100 = 0 from n;
         insert into uploads (image_id, target, state)
             select i + 1, 'api', case when i > {rows} - {rows} / 100 then 'pending' else 'delivered' end from n;
         commit;
         pragma journal_mode = wal;"
    ))
    .unwrap();
    place
}

/// Puts the files of some rows onto the disk.
fn files_of(place: &Place, c: &Connection, condition: &str) -> usize {
    let mut statement = c.prepare(&format!("select path from images where {condition}")).unwrap();
    let paths: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    for path in &paths {
        let path = place.images().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"four").unwrap();
    }
    paths.len()
}

fn timed<T>(what: &str, limit: Duration, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let value = work();
    judge(what, began.elapsed(), limit);
    value
}

fn judge(what: &str, took: Duration, limit: Duration) {
    report(&format!("{what}: {:.1} ms", took.as_secs_f64() * 1000.0));
    // The everyday run shares the machine with others; query plans are held in plan_tests.
    assert!(took < limit || std::env::var_os("ROWS").is_none(), "{what} took {took:?}");
}

#[test]
fn years_of_pictures_are_ready_in_two_seconds_and_every_page_in_a_blink() {
    let rows = rows();
    let place = filled(rows);
    let c = place.sql();
    // The newest days are on the disk, the others only as folders.
    for day in (0..=rows / PER_DAY).rev() {
        let folder = UnixMs(T0 - day * 86_400_000).day();
        fs::create_dir_all(place.images().join(folder)).unwrap();
    }
    let days = files_of(&place, &c, &format!("id > {rows} - {PER_DAY} * 3"));
    drop(c);
    let bytes = fs::metadata(place.database()).unwrap().len();
    report(&format!("{rows} pictures, {days} of them on the disk, {} MiB of database", bytes >> 20));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let began = Instant::now();
    let opened = timed("open", Duration::from_secs(1), || {
        Store::open_owned(&place.images(), &place.database(), OWED, None).unwrap()
    });
    let store = opened.store;
    let first = timed("what must be in order first", Duration::from_secs(2), || {
        runtime.block_on(store.reconcile_first()).unwrap()
    });
    judge("start", began.elapsed(), Duration::from_secs(2));
    assert_eq!(first.missing, 0, "{first:?}");
    runtime.block_on(questions(&store, rows));
    let began = Instant::now();
    runtime.block_on(async {
        let mut comparison = store.comparison().await.unwrap();
        for _ in 0..10 {
            let began = Instant::now();
            store.compare_some(&mut comparison).await.unwrap();
            judge("a step of the comparison", began.elapsed(), Duration::from_secs(2));
        }
    });
    report(&format!("ten steps of the comparison: {:.1} ms", began.elapsed().as_secs_f64() * 1000.0));
    let began = Instant::now();
    assert_eq!(runtime.block_on(store.quick_check(Stop::default())).unwrap().as_deref(), Some(""));
    report(&format!("quick check: {:.1} ms", began.elapsed().as_secs_f64() * 1000.0));
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    runtime.block_on(async {
        let copying = store.back_up(Stop::default());
        tokio::pin!(copying);
        let mut n = 0;
        loop {
            let began = Instant::now();
            tokio::select! {
                done = &mut copying => {
                    done.unwrap().unwrap();
                    return;
                }
                _ = take(&store, "r1", T0 + n * 1000) => slowest = slowest.max(began.elapsed()),
            }
            n += 1;
        }
    });
    report(&format!(
        "copy: {:.1} ms, slowest picture meanwhile {:.1} ms",
        began.elapsed().as_secs_f64() * 1000.0,
        slowest.as_secs_f64() * 1000.0
    ));
}

/// Every question the dashboard asks.
async fn questions(store: &Store, rows: i64) {
    /// A page takes a millisecond or two; the machine may do other things.
    const BLINK: Duration = Duration::from_millis(250);
    let middle = Some(Cursor { ms: T0 - rows / 2 * 86_400, id: i64::MAX });
    let page = |key: Option<&str>, medium, state, cursor| ImageQuery {
        camera: key.map(camera),
        medium,
        state,
        cursor,
        limit: 50,
        ..ImageQuery::default()
    };
    let owed = Some(UploadState::Pending);
    for (what, query) in [
        ("newest pictures", page(None, None, None, None)),
        ("pictures of the middle", page(None, None, None, middle)),
        ("pictures of a camera", page(Some("r1"), None, None, middle)),
        ("pictures without clips", page(Some("r1"), Some(Medium::Jpeg), None, None)),
        ("clips, of which there are none", page(None, Some(Medium::Mp4), None, None)),
        ("skipped pictures, of which there are none", page(None, None, Some(UploadState::Skipped), None)),
        ("owed pictures", page(None, None, owed, None)),
        ("delivered pictures", page(None, None, Some(UploadState::Delivered), None)),
        ("pictures put aside, of which there are none", page(None, None, Some(UploadState::Dead), None)),
    ] {
        let began = Instant::now();
        let found = store.images(query).await.unwrap().items.len();
        let is_empty = what.ends_with("none");
        assert_eq!(found, if is_empty { 0 } else { 50 }, "{what}");
        judge(what, began.elapsed(), BLINK);
    }
    days(store, rows, BLINK).await;
    for (what, outcome, cursor) in [
        ("newest events", None, None),
        ("events of the middle", None, middle),
        ("failed events", Some(Outcome::Failed), None),
        ("coalesced events, of which there are none", Some(Outcome::Coalesced), None),
    ] {
        let began = Instant::now();
        let query = LedgerQuery { outcome, cursor, limit: 50, ..LedgerQuery::default() };
        let found = store.ledger(query).await.unwrap().items.len();
        assert_eq!(found, if what.ends_with("none") { 0 } else { 50 }, "{what}");
        judge(what, began.elapsed(), BLINK);
    }
    let began = Instant::now();
    store.stats().await.unwrap();
    judge("counts", began.elapsed(), BLINK);
    let began = Instant::now();
    store.newest().await.unwrap();
    judge("newest", began.elapsed(), BLINK);
    let began = Instant::now();
    store.witness().await.unwrap();
    judge("witness", began.elapsed(), BLINK);
    let began = Instant::now();
    store.correct_times(0, Doubtful::All).await.unwrap();
    judge("times in doubt", began.elapsed(), BLINK);
}

/// The first day, one of the middle and the last one, by every filter.
async fn days(store: &Store, rows: i64, limit: Duration) {
    let first = T0 - rows * 86_400;
    for day in [first, first + rows / 2 * 86_400, T0 - 86_400_000] {
        let (from, to) = (Some(UnixMs(day)), Some(UnixMs(day + 86_400_000)));
        for key in [None, Some("r2"), Some("r9")] {
            for state in [None].into_iter().chain(UploadState::ALL.map(Some)) {
                for medium in [None, Some(Medium::Jpeg), Some(Medium::Mp4)] {
                    let camera = key.map(camera);
                    let query =
                        ImageQuery { camera, from, to, state, medium, limit: 50, ..ImageQuery::default() };
                    let began = Instant::now();
                    store.images(query.clone()).await.unwrap();
                    assert_soon(began, limit, &query);
                }
            }
            for outcome in [None, Some(Outcome::Captured), Some(Outcome::Failed), Some(Outcome::Coalesced)] {
                let query =
                    LedgerQuery { camera: key.map(camera), from, to, outcome, limit: 50, cursor: None };
                let began = Instant::now();
                store.ledger(query.clone()).await.unwrap();
                assert_soon(began, limit, &query);
            }
        }
    }
}

/// Said only where it is late: there are hundreds.
fn assert_soon(began: Instant, limit: Duration, query: &impl std::fmt::Debug) {
    let took = began.elapsed();
    if took > limit / 5 {
        report(&format!("{query:?}: {:.1} ms", took.as_secs_f64() * 1000.0));
    }
    assert!(took < limit || std::env::var_os("ROWS").is_none(), "{query:?} took {took:?}");
}
