//! What runs often is served by an index: no scan of a table, no sorting, and little work among many rows.

use rusqlite::{Connection, StatementStatus};

use super::page::Bounds;
use super::testing::{OWED, Place, T0};
use super::*;
use super::{
    analyses, dead, images, ledger, links, list, push, queue, readings, seen, space, stats, takeover,
    text_search,
};
use crate::model::UnixMs;

/// Enough that a scan shows.
const ROWS: i64 = 20_000;

/// A page of the dashboard.
const PAGE: u32 = 50;

/// Steps of SQLite's virtual machine that a page or a claim may take; a scan of the rows takes twenty times as many.
const STEPS_MAX: i32 = 5_000;

/// Years of pictures: every tenth protected, the newest hundred owed, ten put aside, the others delivered.
fn filled() -> (Place, Store) {
    let place = Place::new();
    let store = place.open_owing(OWED);
    place
        .sql()
        .execute_batch(&format!(
            "pragma synchronous = off;
             begin;
             create temp table n as
                 with recursive n(i) as (select 1 union all select i + 1 from n where i < {ROWS}) select i from n;
             insert into triggers (id, camera, cause, edge_at, boot_id, boot_ms, clock, outcome)
                 select i, 'r' || (1 + i % 3), 'gpio', {T0} + i * 1000, '', 0, 'synced', 'captured' from n;
             insert into images (id, uid, trigger_id, camera, file_name, path, cause, taken_at, width, height, bytes,
                                 sha256, protected)
                 select i, randomblob(16), i, 'r' || (1 + i % 3), 'n' || i, 'p' || i, 'gpio', {T0} + i * 1000, 16, 16,
                        9, randomblob(32), i % 10 = 0 from n;
             insert into uploads (image_id, target, state, camera, taken_at)
                 select i, 'api', case when i > {ROWS} - 100 then 'pending' when i <= 10 then 'dead'
                                  else 'delivered' end, 'r' || (1 + i % 3), {T0} + i * 1000 from n;
             commit;"
        ))
        .unwrap();
    (place, store)
}

fn plan(c: &Connection, sql: &str) -> Vec<String> {
    let mut statement = c.prepare(&format!("explain query plan {sql}")).unwrap();
    let unbound: &[(&str, &dyn rusqlite::ToSql)] = &[];
    statement.query_map(unbound, |row| row.get(3)).unwrap().map(Result::unwrap).collect()
}

/// Every list the store reads or changes by row, with its name.
fn statements() -> Vec<(&'static str, String)> {
    vec![
        ("all pictures", list::ALL_SQL.to_owned()),
        ("pictures of a run", list::RUN_SQL.to_owned()),
        ("runs of pictures", list::NEXT_RUN_SQL.to_owned()),
        ("pictures of a device", list::DEVICE_SQL.to_owned()),
        ("pictures of a run, counted", list::RUN_COUNT_SQL.to_owned()),
        ("pictures of a device, counted", list::DEVICE_COUNT_SQL.to_owned()),
        ("ledger of a run", ledger::RUN_SQL.to_owned()),
        ("cameras in the ledger", ledger::NEXT_CAMERA_SQL.to_owned()),
        ("failures nobody has seen, counted", seen::COUNT_SQL.to_owned()),
        ("failures nobody has seen", seen::NEWEST_SQL.to_owned()),
        ("failures that stand", seen::STANDING_SQL.to_owned()),
        ("failures that were seen", seen::SEE_SQL.to_owned()),
        ("watched texts that were seen", watched::SEE_SQL.to_owned()),
        ("lost uploads", compare::LOST_SQL.to_owned()),
        ("rows of a folder", compare::FOLDER_SQL.to_owned()),
        ("rows in doubt", time::DOUBTFUL_SQL.to_owned()),
        ("rows to compare", compare::PAGE_SQL.to_owned()),
        ("cameras of which something waits", queue::NEXT_CAMERA_SQL.to_owned()),
        ("claim", queue::WAITING_SQL.to_owned()),
        ("oldest", queue::OLDEST_SQL.to_owned()),
        ("settle", queue::SETTLE_SQL.to_owned()),
        ("excuse", queue::EXCUSE_SQL.to_owned()),
        ("end of waits", queue::WAKE_SQL.to_owned()),
        ("put aside", dead::DEAD_SQL.to_owned()),
        ("put aside, next", dead::NEXT_DEAD_SQL.to_owned()),
        ("next due", queue::NEXT_DUE_SQL.to_owned()),
        ("next analysis", analyses::NEXT_SQL.to_owned()),
        ("next analysis that falls due", analyses::NEXT_DUE_SQL.to_owned()),
        ("end of waits of analyses", analyses::END_WAITS_SQL.to_owned()),
        ("analyses put aside, next", analyses::NEXT_DEAD_SQL.to_owned()),
        ("questions asked", analyses::SPENT_SQL.to_owned()),
        ("texts that begin so", text_search::NEXT_TEXT_SQL.to_owned()),
        ("pictures of a text", text_search::RUN_SQL.to_owned()),
        ("readings nobody looked at", readings::FORGET_SQL.to_owned()),
        ("deletable", stats::DELETABLE_SQL.to_owned()),
        ("kept", stats::KEPT_SQL.to_owned()),
        ("expired", stats::EXPIRED_SQL.to_owned()),
        ("expired, of a program before this one", takeover::EXPIRED_SQL.to_owned()),
        ("pushed before", push::BYTES_SQL.to_owned()),
        ("pushed before under an identity", push::FIRST_ID_SQL.to_owned()),
        ("opened link", links::OPEN_SQL.to_owned()),
        ("links of a picture", links::OF_IMAGE_SQL.to_owned()),
        ("links of a trigger", links::OF_TRIGGER_SQL.to_owned()),
        ("links that have ended", links::EXPIRED_SQL.to_owned()),
        ("name is known", "select 1 from images where file_name = :name".to_owned()),
    ]
}

#[test]
fn every_frequent_statement_uses_an_index_and_sorts_nothing() {
    let (place, _store) = filled();
    let c = place.sql();
    // With and without what `pragma optimize` finds out at the end of a run.
    for prepared in ["select 1", "analyze"] {
        c.execute_batch(prepared).unwrap();
        for (name, sql) in statements() {
            let plan = plan(&c, &sql);
            let is_bad = |line: &String| line.starts_with("SCAN") || line.contains("TEMP B-TREE");
            assert!(!plan.iter().any(is_bad), "{name} after {prepared}: {plan:#?}");
        }
    }
    // What is scanned there is a few keys, and a few texts are told apart.
    let near = plan(&c, text_search::NEAR_SQL);
    assert!(near.contains(&"SEARCH reading_keys USING PRIMARY KEY (key=?)".to_owned()), "{near:#?}");
    let watched = [watched::COUNT_SQL.to_owned(), watched::NEWEST_SQL.to_owned(), watched::images_sql()];
    for sql in [analyses::dead_sql(), analyses::unsure_sql()].into_iter().chain(watched) {
        let plan = plan(&c, &sql);
        let is_whole = |line: &String| line.starts_with("SCAN") && !line.contains("USING");
        assert!(!plan.iter().any(is_whole), "few rows, by their index: {plan:#?}");
    }
    let newest = plan(&c, stats::NEWEST_SQL);
    assert_eq!(newest, ["SCAN images USING INDEX images_by_time"], "in the order of the index, one row");
    assert_eq!(
        plan(&c, &images::arrivals_sql())[0],
        "SCAN images",
        "in the order of the rows, as many as are asked for"
    );
}

#[test]
fn the_lists_use_the_index_that_gives_their_order() {
    let (place, _store) = filled();
    let c = place.sql();
    let uses = |sql: &str, index: &str| {
        let plan = plan(&c, sql);
        assert!(plan.iter().any(|line| line.contains(index)), "{index}: {plan:#?}");
    };
    uses(list::ALL_SQL, "USING COVERING INDEX images_by_time (taken_at>? AND taken_at<?)");
    uses(
        list::RUN_SQL,
        "USING COVERING INDEX images_by_run (camera=? AND kind=? AND cause=? AND deliveries=? AND taken_at>? AND taken_at<?)",
    );
    uses(list::NEXT_RUN_SQL, "USING COVERING INDEX images_by_run ((camera,kind,cause,deliveries)>(?,?,?,?))");
    uses(list::DEVICE_SQL, "USING COVERING INDEX images_by_device (device=? AND taken_at>? AND taken_at<?)");
    uses(
        ledger::RUN_SQL,
        "USING COVERING INDEX triggers_by_run (outcome=? AND camera=? AND edge_at>? AND edge_at<?)",
    );
    uses(ledger::NEXT_CAMERA_SQL, "USING COVERING INDEX triggers_by_run (outcome=? AND camera>?)");
    uses(ledger::AT_SQL, "triggers_by_run (outcome=? AND camera=? AND edge_at=?)");
    assert!(
        !plan(&c, ledger::AT_SQL).iter().any(|line| line.starts_with("SCAN")),
        "for each file without a row"
    );
    uses(compare::LOST_SQL, "uploads_lost");
    uses(queue::NEXT_CAMERA_SQL, "uploads_waiting (target=? AND camera>?)");
    uses(queue::WAITING_SQL, "uploads_waiting (target=? AND camera=? AND taken_at>? AND taken_at<?)");
    uses(queue::OLDEST_SQL, "uploads_waiting (target=? AND camera=?)");
    uses(queue::NEXT_DUE_SQL, "uploads_resting (target=? AND not_before>?)");
    uses(queue::WAKE_SQL, "uploads_resting (target=? AND not_before>?)");
    uses(dead::DEAD_SQL, "uploads_dead (target=? AND image_id<?)");
    uses(dead::NEXT_DEAD_SQL, "uploads_dead (target=? AND image_id>?)");
    uses(stats::DELETABLE_SQL, "USING INDEX images_by_time (taken_at");
    uses(space::HELD_SQL, "uploads_waiting");
    uses(space::HELD_SQL, "uploads_dead");
}

/// Runs a statement and returns the work it took.
fn work(c: &Connection, sql: &str, params: &[(&str, &dyn rusqlite::ToSql)]) -> (usize, i32) {
    let mut statement = c.prepare(sql).unwrap();
    let mut rows = statement.query(params).unwrap();
    let mut count = 0;
    while rows.next().unwrap().is_some() {
        count += 1;
    }
    drop(rows);
    assert_eq!(statement.get_status(StatementStatus::Sort), 0, "{sql}");
    (count, statement.get_status(StatementStatus::VmStep))
}

/// Reading a page of one run takes no more of SQLite's steps than this, wherever it begins.
const RUN_STEPS_MAX: i32 = 20 * PAGE as i32;

/// The work of one statement of a list, within the bounds that its dates and the page before leave.
fn read(c: &Connection, sql: &str, run: &[(&str, &dyn rusqlite::ToSql)], bounds: Bounds) -> (usize, i32) {
    let mut params = run.to_vec();
    params.extend([
        (":before_ms", &bounds.before.ms as &dyn rusqlite::ToSql),
        (":before_id", &bounds.before.id),
        (":from", &bounds.from_ms),
        (":limit", &PAGE),
    ]);
    work(c, sql, &params)
}

#[test]
fn a_page_of_a_past_day_is_as_little_work_as_the_newest() {
    let (place, _store) = filled();
    let c = place.sql();
    let of_run: &[(&str, &dyn rusqlite::ToSql)] =
        &[(":camera", &"r1"), (":kind", &"instant"), (":cause", &"gpio"), (":deliveries", &2)];
    let captured: &[(&str, &dyn rusqlite::ToSql)] = &[(":camera", &"r1"), (":outcome", &"captured")];
    let at = |second: i64| Some(UnixMs(T0 + second * 1000));
    let far = Some(Cursor { ms: T0 + (ROWS - 10) * 1000, id: i64::MAX });
    for (from, to, cursor) in [
        (None, None, None),
        (None, at(ROWS / 2), None),
        (None, at(300), None),
        (at(300), at(900), None),
        (at(ROWS - 2000), None, None),
        // A page that ended after the last day that is wanted: the date alone says where to begin.
        (at(300), at(900), far),
        (at(300), at(1800), Some(Cursor { ms: T0 + 900 * 1000, id: 1 })),
    ] {
        let bounds = Bounds::new(from, to, cursor);
        for (sql, run) in [
            (list::ALL_SQL, &[] as &[(&str, &dyn rusqlite::ToSql)]),
            (list::RUN_SQL, of_run),
            (ledger::RUN_SQL, captured),
        ] {
            let (count, steps) = read(&c, sql, run, bounds);
            assert!(
                count == PAGE as usize && steps < RUN_STEPS_MAX,
                "{sql} {bounds:?}: {count}, {steps} steps"
            );
        }
    }
}

#[test]
fn what_a_filter_finds_nothing_of_is_not_looked_for_row_by_row() {
    let (place, _store) = filled();
    let c = place.sql();
    // Of none of them is there a row on that day, while of the others there are thousands.
    let day = Bounds::new(Some(UnixMs(T0 + 5_000_000)), Some(UnixMs(T0 + 9_000_000)), None);
    for deliveries in [0, 1, 4, 3] {
        let run: &[(&str, &dyn rusqlite::ToSql)] =
            &[(":camera", &"r2"), (":kind", &"instant"), (":cause", &"gpio"), (":deliveries", &deliveries)];
        assert!(matches!(read(&c, list::RUN_SQL, run, day), (0, ..100)), "deliveries {deliveries}");
    }
    for outcome in ["coalesced", "failed"] {
        let run: &[(&str, &dyn rusqlite::ToSql)] = &[(":camera", &"r2"), (":outcome", &outcome)];
        assert!(matches!(read(&c, ledger::RUN_SQL, run, day), (0, ..100)), "{outcome}");
    }
    // One step into the index for each run, however many rows it has.
    let mut first = (String::new(), String::new(), String::new(), 0_i64);
    let mut statement = c.prepare(list::NEXT_RUN_SQL).unwrap();
    let mut runs = 0;
    while let Ok(found) = statement.query_row(
        rusqlite::named_params! {":camera": first.0, ":kind": first.1, ":cause": first.2, ":deliveries": first.3},
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    ) {
        let (camera, kind, cause, deliveries): (String, String, String, i64) = found;
        (first, runs) = ((camera, kind, cause, deliveries + 1), runs + 1);
    }
    let steps = statement.get_status(StatementStatus::VmStep);
    assert!(
        runs == 9 && steps < 1000,
        "three cameras, delivered, owed and put aside: {runs} runs, {steps} steps"
    );
    let mut after = String::new();
    while let Ok(camera) = c.query_row(
        ledger::NEXT_CAMERA_SQL,
        rusqlite::named_params! {":outcome": "captured", ":after": after},
        |row| row.get(0),
    ) {
        after = camera;
    }
    assert_eq!(after, "r3");
}

#[test]
fn a_claim_and_the_counts_among_twenty_thousand_rows_are_little_work() {
    let (place, _store) = filled();
    let c = place.sql();
    claims_are_little_work(&c);
    let (count, steps) = work(&c, "select subject, what, value from tallies", &[]);
    assert!(count < 20 && steps < 500, "tallies: {count} rows, {steps} steps");
    let oldest: &[(&str, &dyn rusqlite::ToSql)] =
        &[(":before", &i64::MAX), (":after_ms", &i64::MIN), (":after_id", &i64::MIN), (":limit", &64)];
    let (count, steps) = work(&c, stats::DELETABLE_SQL, oldest);
    assert!(count == 64 && steps < STEPS_MAX, "deletable: {count} rows, {steps} steps");
}

/// One claim takes no more than this of SQLite's steps per camera, however much waits and has been delivered.
const CLAIM_STEPS_MAX: i32 = 500;

fn claims_are_little_work(c: &Connection) {
    let (_, steps) = work(c, queue::NEXT_CAMERA_SQL, &[(":target", &"api"), (":after", &"r1")]);
    assert!(steps < 50, "next camera: {steps} steps");
    for (from, to) in [(i64::MIN, i64::MAX), (T0, i64::MAX)] {
        let claim: &[(&str, &dyn rusqlite::ToSql)] = &[
            (":target", &"api"),
            (":camera", &"r2"),
            (":from", &from),
            (":to", &to),
            (":now", &T0),
            (":limit", &9),
        ];
        let (count, steps) = work(c, queue::WAITING_SQL, claim);
        assert!(count == 9 && steps < CLAIM_STEPS_MAX, "claim: {count} rows, {steps} steps");
    }
    let (_, steps) = work(c, queue::OLDEST_SQL, &[(":target", &"api"), (":camera", &"r2")]);
    assert!(steps < 50, "oldest: {steps} steps");
    let waits: &[(&str, &dyn rusqlite::ToSql)] = &[(":target", &"api"), (":now", &T0)];
    let (_, steps) = work(c, queue::NEXT_DUE_SQL, waits);
    assert!(steps < 50, "next due: {steps} steps");
}

#[tokio::test]
async fn a_statement_that_runs_often_is_parsed_once_whatever_it_asks_for() {
    let (_place, store) = filled();
    let work = |c: &Connection| -> Result<(), StoreError> {
        let mut claim = c.prepare_cached(queue::WAITING_SQL)?;
        let mut settle = c.prepare_cached(queue::SETTLE_SQL)?;
        let state = crate::model::UploadState::Pending.as_str();
        for number in 0..5 {
            let (camera, at) = (format!("r{}", 1 + number % 3), T0 + number);
            let found = claim.query_map(
                rusqlite::named_params! {":target": "api", ":camera": camera, ":from": number, ":to": i64::MAX - number,
                ":now": at, ":limit": 1 + number},
                |row| row.get::<_, i64>(0),
            );
            assert_eq!(found?.count(), usize::try_from(1 + number).unwrap());
            settle.execute(rusqlite::named_params! {
                ":state": state, ":refusals": 0, ":not_before": 0, ":now": at, ":error": camera,
                ":delivered_at": None::<i64>, ":image": ROWS - number, ":target": "api",
            })?;
        }
        for statement in [&claim, &settle] {
            assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
        }
        Ok(())
    };
    store.db.write(move |tx| work(tx)).await.unwrap();
}

#[tokio::test]
async fn a_claim_among_a_hundred_thousand_that_wait_and_a_million_delivered_is_an_index_walk() {
    let place = Place::new();
    let store = place.open_owing(OWED);
    let c = place.sql();
    // The rows of pictures stand for many uploads each, so that a million of these do not take a minute to make.
    c.execute_batch(&format!(
        "pragma synchronous = off;
         begin;
         create temp table n as
             with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000) select i from n;
         insert into images (id, uid, camera, file_name, path, cause, taken_at, width, height, bytes, sha256)
             select i, randomblob(16), 'r' || (1 + i % 4), 'r' || (1 + i % 4) || '_' || (1800000000 + i) || '.jpg',
                    'p' || i, 'gpio', {T0} + i * 1000, 16, 16, 9, zeroblob(32) from n;
         drop trigger tally_upload_insert;
         insert into uploads (image_id, target, state, camera, taken_at)
             select i, 'api', 'pending', 'r' || (1 + i % 4), {T0} + i * 1000 from n;
         insert into uploads (image_id, target, state, camera, taken_at)
             select i, 'gone' || d, 'delivered', 'r' || (1 + i % 4), {T0} + i * 1000
             from n, (select value as d from json_each('[1,2,3,4,5,6,7,8,9,10]'));
         commit;
         analyze;"
    ))
    .unwrap();
    let count = c.query_row("select count(*) from uploads", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count, 1_100_000);
    claims_are_little_work(&c);
    let now = UnixMs(T0 + 90_000 * 1000);
    let mut turn = LaneTurn::default();
    let mut names = Vec::new();
    for _ in 0..6 {
        let claim = store.claim(TargetId::API, now, 1, turn.clone()).await.unwrap();
        turn.held.push(claim.uploads[0].row());
        turn.after = claim.after;
        names.push(claim.uploads[0].filename.to_string());
    }
    let live = |n: i64| format!("r{}_{}.jpg", 1 + n % 4, 1_800_000_000 + n);
    assert_eq!(names, (89_400..89_406).map(live).collect::<Vec<_>>(), "the oldest of those that are live");
    turn = LaneTurn::default();
    let late = UnixMs(T0 + 400_000 * 1000);
    let claim = store.claim(TargetId::API, late, 6, turn).await.unwrap();
    let names: Vec<_> = claim.uploads.iter().map(|upload| upload.filename.to_string()).collect();
    assert_eq!(names, [4, 1, 2, 3, 8, 5].map(live), "one camera after the other");
}
