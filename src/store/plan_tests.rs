//! What runs often is served by an index: no scan of a table, no sorting, and little work among many rows.

use rusqlite::{Connection, StatementStatus};

use super::testing::{OWED, Place, T0, camera};
use super::*;
use super::{images, ledger, queue, space, stats};
use crate::model::Medium;

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
             insert into uploads (image_id, target, state)
                 select i, 'api', case when i > {ROWS} - 100 then 'pending' when i <= 10 then 'dead'
                                  else 'delivered' end from n;
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
    let query = |key: Option<&str>| ImageQuery { camera: key.map(camera), ..ImageQuery::default() };
    vec![
        ("all pictures", images::list_sql(&query(None))),
        ("pictures of a camera", images::list_sql(&query(Some("r1")))),
        (
            "pictures of a camera without clips",
            images::list_sql(&ImageQuery { medium: Some(Medium::Jpeg), ..query(Some("r1")) }),
        ),
        ("ledger", ledger::LIST_SQL.to_owned()),
        ("ledger of a camera", ledger::LIST_OF_CAMERA_SQL.to_owned()),
        ("claim", queue::claim_sql()),
        ("lease", queue::LEASE_SQL.to_owned()),
        ("settle", queue::SETTLE_SQL.to_owned()),
        ("release", queue::RELEASE_SQL.to_owned()),
        ("next due", queue::NEXT_DUE_SQL.to_owned()),
        ("deletable", stats::DELETABLE_SQL.to_owned()),
        ("kept", stats::KEPT_SQL.to_owned()),
        ("expired", stats::EXPIRED_SQL.to_owned()),
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
    let newest = plan(&c, stats::NEWEST_SQL);
    let one_trigger = ["CORRELATED SCALAR SUBQUERY 1", "SEARCH triggers USING INTEGER PRIMARY KEY (rowid=?)"];
    assert_eq!(newest[0], "SCAN images USING INDEX images_by_time", "in the order of the index, one row");
    assert_eq!(newest[1..], one_trigger);
}

#[test]
fn the_lists_use_the_index_that_gives_their_order() {
    let (place, _store) = filled();
    let c = place.sql();
    let uses = |sql: &str, index: &str| {
        let plan = plan(&c, sql);
        assert!(plan.iter().any(|line| line.contains(index)), "{index}: {plan:#?}");
    };
    uses(&images::list_sql(&ImageQuery::default()), "USING INDEX images_by_time (taken_at");
    let of_camera = ImageQuery { camera: Some(camera("r1")), ..ImageQuery::default() };
    uses(&images::list_sql(&of_camera), "USING INDEX images_by_camera (camera=? AND taken_at");
    uses(ledger::LIST_SQL, "USING INDEX triggers_by_time (edge_at");
    uses(ledger::LIST_OF_CAMERA_SQL, "USING INDEX triggers_by_camera (camera=? AND edge_at");
    uses(&queue::claim_sql(), "uploads_due (target=?)");
    uses(queue::NEXT_DUE_SQL, "USING COVERING INDEX uploads_due (target=?)");
    uses(stats::DELETABLE_SQL, "USING INDEX images_by_time (taken_at");
    uses(space::HELD_SQL, "uploads_put_aside");
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

#[test]
fn a_page_and_a_claim_among_twenty_thousand_rows_are_little_work() {
    let (place, _store) = filled();
    let c = place.sql();
    for (at, key) in [(ROWS, None), (ROWS / 2, None), (ROWS, Some("r1")), (ROWS / 2, Some("r1"))] {
        let (before_ms, key_text) = (T0 + at * 1000, key);
        let query = ImageQuery { camera: key.map(camera), ..ImageQuery::default() };
        let (count, steps) = work(
            &c,
            &images::list_sql(&query),
            &[
                (":camera", &key_text),
                (":state", &None::<String>),
                (":before_ms", &before_ms),
                (":before_id", &i64::MAX),
                (":from", &i64::MIN),
                (":to", &i64::MAX),
                (":limit", &PAGE),
            ],
        );
        assert!(count == PAGE as usize && steps < STEPS_MAX, "{key:?} at {at}: {count} rows, {steps} steps");
    }
    let claim: &[(&str, &dyn rusqlite::ToSql)] = &[(":target", &"api"), (":now", &T0), (":limit", &PAGE)];
    let (count, steps) = work(&c, &queue::claim_sql(), claim);
    assert!(count == PAGE as usize && steps < STEPS_MAX, "claim: {count} rows, {steps} steps");
    let (_, steps) = work(&c, queue::NEXT_DUE_SQL, &[(":target", &"api")]);
    assert!(steps < STEPS_MAX, "next due: {steps} steps");
    let (count, steps) = work(&c, "select subject, what, value from tallies", &[]);
    assert!(count < 20 && steps < 500, "tallies: {count} rows, {steps} steps");
    let oldest: &[(&str, &dyn rusqlite::ToSql)] =
        &[(":before", &i64::MAX), (":after_ms", &i64::MIN), (":after_id", &i64::MIN), (":limit", &64)];
    let (count, steps) = work(&c, stats::DELETABLE_SQL, oldest);
    assert!(count == 64 && steps < STEPS_MAX, "deletable: {count} rows, {steps} steps");
}
