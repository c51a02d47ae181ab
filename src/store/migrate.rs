//! Numbered, append-only schema migrations, recorded in `pragma user_version`.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// Marks the file as ours (`pragma application_id`, "CAMQ").
const APPLICATION_ID: i32 = 0x4341_4d51;

/// In order; a shipped one is never edited.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_initial.sql"),
    include_str!("../../migrations/0002_clips.sql"),
    include_str!("../../migrations/0003_lanes.sql"),
    include_str!("../../migrations/0004_time.sql"),
    include_str!("../../migrations/0005_seen.sql"),
    include_str!("../../migrations/0006_access.sql"),
    include_str!("../../migrations/0007_tokens.sql"),
    include_str!("../../migrations/0008_pages.sql"),
    include_str!("../../migrations/0009_reasons.sql"),
    include_str!("../../migrations/0010_upload_errors.sql"),
    include_str!("../../migrations/0011_pushes.sql"),
    include_str!("../../migrations/0012_devices.sql"),
    include_str!("../../migrations/0013_links.sql"),
    include_str!("../../migrations/0014_causes.sql"),
    include_str!("../../migrations/0015_analyses.sql"),
    include_str!("../../migrations/0016_answers.sql"),
    include_str!("../../migrations/0017_watched.sql"),
];

/// Refuses a file that another program made or a newer version of this one, before anything is written to it.
pub(super) fn check_identity(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Database { path: path.to_owned(), source };
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let application = pragma("application_id").map_err(failed)?;
    let version = pragma("user_version").map_err(failed)?;
    let tables: i64 =
        connection.query_row("select count(*) from sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if application != APPLICATION_ID && (application != 0 || tables > 0) {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    if usize::try_from(version).unwrap_or(usize::MAX) > MIGRATIONS.len() {
        return Err(StoreError::Newer { path: path.to_owned(), found: version, known: MIGRATIONS.len() });
    }
    Ok(())
}

/// Whether there is something to be lost by migrating.
pub(super) fn is_old(connection: &Connection) -> rusqlite::Result<bool> {
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(version > 0 && usize::try_from(version).unwrap_or(usize::MAX) < MIGRATIONS.len())
}

/// Whether nothing was ever stored in it.
pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(version == 0)
}

/// Applies what is missing, all of it or nothing. A database that is up to date is not written to.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Database { path: path.to_owned(), source };
    let mut apply = || -> rusqlite::Result<()> {
        // Two processes may start at once; the lock is taken before the version is read.
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done: i32 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let done = usize::try_from(done).unwrap_or(0);
        if done >= MIGRATIONS.len() {
            return Ok(());
        }
        for (number, sql) in MIGRATIONS.iter().enumerate().skip(done) {
            tx.execute_batch(sql)?;
            tx.pragma_update(None, "user_version", i32::try_from(number + 1).unwrap_or(i32::MAX))?;
        }
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.commit()
    };
    apply().map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rusqlite::OptionalExtension as _;

    use super::*;

    fn open(path: &Path) -> Result<Connection, StoreError> {
        let mut connection = Connection::open(path).unwrap();
        check_identity(&connection, path)?;
        migrate(&mut connection, path)?;
        Ok(connection)
    }

    #[test]
    fn a_database_of_a_newer_version_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(open(&path), Err(StoreError::Newer { found: 99, .. })));
    }

    #[test]
    fn a_database_of_another_program_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        Connection::open(&path).unwrap().execute_batch("create table songs (id integer)").unwrap();
        assert!(matches!(open(&path), Err(StoreError::Foreign { .. })));
    }

    #[test]
    fn opening_twice_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        for _ in 0..2 {
            let connection = open(&path).unwrap();
            let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
            assert_eq!(usize::try_from(version).unwrap(), MIGRATIONS.len());
        }
    }

    #[test]
    fn a_database_of_the_first_version_keeps_its_pictures_which_are_all_of_the_instant() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let first = Connection::open(&path).unwrap();
        first.execute_batch(MIGRATIONS[0]).unwrap();
        first
            .execute_batch(&format!(
                "pragma application_id = {APPLICATION_ID}; pragma user_version = 1;
                 insert into images (uid, camera, file_name, path, cause, taken_at, width, height, bytes, sha256)
                 values (randomblob(16), 'r1', 'a.jpg', 'a.jpg', 'gpio', 1, 1, 1, 1, randomblob(32));"
            ))
            .unwrap();
        let row: (String, Option<String>, Option<i64>) = open(&path)
            .unwrap()
            .query_row("select kind, note, duration_ms from images", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap();
        assert_eq!(row, ("instant".to_owned(), None, None));
    }

    #[test]
    fn what_was_owed_before_there_were_lanes_is_owed_in_the_same_way_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let second = Connection::open(&path).unwrap();
        second.execute_batch(MIGRATIONS[0]).unwrap();
        second.execute_batch(MIGRATIONS[1]).unwrap();
        second
            .execute_batch(&format!(
                "pragma application_id = {APPLICATION_ID}; pragma user_version = 2;
                 insert into images (uid, camera, file_name, path, cause, taken_at, width, height, bytes, sha256)
                 select randomblob(16), column1, column2, column2, 'gpio', column3, 1, 1, 1, randomblob(32)
                 from (values ('r1', 'a.jpg', 30), ('r2', 'b.jpg', 20), ('r1', 'c.jpg', 10));
                 insert into uploads (image_id, target, state, attempts, not_before, leased_until, last_error)
                 values (1, 'api', 'pending', 2, 77, 99, 'away'), (2, 'api', 'delivered', 1, 0, 0, null),
                        (3, 'api', 'dead', 1, 0, 0, 'refused');"
            ))
            .unwrap();
        drop(second);
        let connection = open(&path).unwrap();
        let mut statement = connection
            .prepare("select camera, taken_at, state, attempts, not_before, refusals from uploads order by taken_at")
            .unwrap();
        let rows: Vec<(String, i64, String, u32, i64, u32)> = statement
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            })
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let expected =
            [("r1", 10, "dead", 1, 0, 0), ("r2", 20, "delivered", 1, 0, 0), ("r1", 30, "pending", 2, 77, 0)];
        let expected = expected.map(|(camera, at, state, tries, due, no)| {
            (camera.to_owned(), at, state.to_owned(), tries, due, no)
        });
        assert_eq!(rows, expected);
        let tally = "select value from tallies where what = 'upload:pending'";
        assert_eq!(connection.query_row(tally, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
        connection.execute("update images set taken_at = 40 where id = 1", []).unwrap();
        let moved = "select taken_at from uploads where image_id = 1";
        assert_eq!(
            connection.query_row(moved, [], |row| row.get::<_, i64>(0)).unwrap(),
            40,
            "a corrected clock"
        );
    }

    #[test]
    fn tokens_made_before_there_were_scopes_may_do_what_they_could_and_do_not_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let fourth = Connection::open(&path).unwrap();
        for sql in &MIGRATIONS[..4] {
            fourth.execute_batch(sql).unwrap();
        }
        fourth
            .execute_batch(&format!(
                "pragma application_id = {APPLICATION_ID}; pragma user_version = 4;
                 insert into tokens (name, hash, created_at) values ('relay', randomblob(32), 7);"
            ))
            .unwrap();
        drop(fourth);
        let row: (String, Option<i64>, Option<i64>, Option<String>) = open(&path)
            .unwrap()
            .query_row("select scope, expires_at, last_used_at, hint from tokens", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .unwrap();
        assert_eq!(row, ("full".to_owned(), None, None, None));
    }

    #[test]
    fn pictures_of_before_there_were_runs_know_in_which_states_their_uploads_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let seventh = Connection::open(&path).unwrap();
        for sql in &MIGRATIONS[..7] {
            seventh.execute_batch(sql).unwrap();
        }
        seventh
            .execute_batch(&format!(
                "pragma application_id = {APPLICATION_ID}; pragma user_version = 7;
                 insert into images (id, uid, camera, file_name, path, cause, taken_at, width, height, bytes, sha256, state)
                 select column1, randomblob(16), 'r1', column1, column1, 'gpio', 1, 1, 1, 1, randomblob(32), column2
                 from (values (1, 'present'), (2, 'present'), (3, 'present'), (4, 'missing'), (5, 'deleted'));
                 insert into uploads (image_id, target, state)
                 values (1, 'api', 'delivered'), (2, 'api', 'delivered'), (2, 's3', 'dead'), (4, 'api', 'lost'),
                        (5, 'api', 'skipped');"
            ))
            .unwrap();
        drop(seventh);
        let connection = open(&path).unwrap();
        let deliveries = || -> Vec<i64> {
            let mut statement = connection.prepare("select deliveries from images order by id").unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(deliveries(), [2, 6, 0, 16, 2], "what was deleted is in no list and is not written");
        connection
            .execute_batch(
                "update uploads set state = 'pending' where image_id = 2 and target = 's3';
                 insert into uploads (image_id, target, state) values (3, 'api', 'skipped'), (3, 's3', 'delivered');",
            )
            .unwrap();
        assert_eq!(deliveries(), [2, 3, 10, 16, 2]);
    }

    /// Every row of every table, by the columns that `of` has.
    fn rows(c: &Connection, of: &Connection) -> BTreeMap<String, Vec<Vec<rusqlite::types::Value>>> {
        let texts = |c: &Connection, sql: &str| -> Vec<String> {
            let mut statement = c.prepare(sql).unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let tables = texts(
            of,
            "select name from sqlite_schema where type = 'table' and name not like 'sqlite_stat%' order by 1",
        );
        let all = tables.into_iter().map(|table| {
            let columns = texts(of, &format!("select name from pragma_table_info('{table}') order by cid"));
            let sql = format!("select {} from {table} order by 1, 2", columns.join(", "));
            let mut statement = c.prepare(&sql).unwrap();
            let rows = statement
                .query_map([], |row| (0..columns.len()).map(|at| row.get(at)).collect())
                .unwrap()
                .map(Result::unwrap)
                .collect();
            (table, rows)
        });
        all.collect()
    }

    fn schema(c: &Connection) -> BTreeMap<String, String> {
        let mut statement = c
            .prepare(
                "select name, sql from sqlite_schema where type in ('index', 'trigger') and sql is not null",
            )
            .unwrap();
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn lifting_the_check_of_causes_keeps_every_row_index_trigger_and_count() {
        let dir = tempfile::tempdir().unwrap();
        let (path, before) = (dir.path().join("x.db"), dir.path().join("before.db"));
        let tenth = Connection::open(&path).unwrap();
        for sql in &MIGRATIONS[..10] {
            tenth.execute_batch(sql).unwrap();
        }
        tenth
            .execute_batch(&format!(
                "pragma application_id = {APPLICATION_ID}; pragma user_version = 10; pragma foreign_keys = on;
                 create temp table n as
                     with recursive n(i) as (select 1 union all select i + 1 from n where i < 300) select i from n;
                 insert into triggers (camera, cause, edge_at, boot_id, boot_ms, clock, outcome, reason, latency_ms, remark,
                                       stamped_at, seen_at, reason_code, reason_params)
                 select 'r' || (i % 3), case i % 3 when 0 then 'gpio' when 1 then 'manual' else 'recovered' end, i * 1000,
                        'boot', i, case i % 5 when 0 then 'corrected' else 'synced' end,
                        case i % 4 when 0 then null when 1 then 'coalesced' when 2 then 'failed' else 'captured' end,
                        'reason ' || i, i, 'remark', i, i, 'busy', '{{\"waiting\":8}}' from n;
                 insert into images (uid, trigger_id, camera, file_name, path, cause, taken_at, frame_offset_ms, width, height,
                                     bytes, sha256, protected, state, deleted_at, delete_reason, kind, note, duration_ms)
                 select randomblob(16), i, 'r' || (i % 3), i || '.jpg', 'day/' || i || '.jpg', 'gpio', i * 1000, i, 16, 9, i,
                        randomblob(32), i % 2, case i % 4 when 0 then 'deleted' when 1 then 'missing' else 'present' end,
                        i, 'age', case i % 3 when 0 then 'clip' when 1 then 'best' else 'instant' end, 'note', i from n;
                 insert into uploads (image_id, target, state, attempts, camera, taken_at, last_error)
                 select i, 'api', case i % 3 when 0 then 'pending' when 1 then 'delivered' else 'dead' end, i, 'r1', i, 'no'
                 from n;
                 insert into settings values ('key', 'value');
                 insert into tokens (name, hash, created_at) values ('relay', randomblob(32), 7);
                 analyze;"
            ))
            .unwrap();
        drop(tenth);
        std::fs::copy(&path, &before).unwrap();
        let before = Connection::open(&before).unwrap();
        let mut now = Connection::open(&path).unwrap();
        now.execute_batch("pragma foreign_keys = on; pragma trusted_schema = off;").unwrap();
        migrate(&mut now, &path).unwrap();
        assert_eq!(rows(&now, &before), rows(&before, &before));
        let (old, new) = (schema(&before), schema(&now));
        let made_anew = |name: &str| name == "images_by_run";
        assert!(old.iter().all(|(name, sql)| made_anew(name) || new.get(name) == Some(sql)));
        let tables = |c: &Connection, name: &str| -> String {
            c.query_row("select sql from sqlite_schema where name = ?1", [name], |row| row.get(0)).unwrap()
        };
        for table in ["triggers", "images"] {
            assert!(tables(&before, table).contains("check (cause in"));
            assert!(!tables(&now, table).contains("check (cause in"));
        }
        // The connection that did it and one that comes afterwards have the same rules.
        for c in [&now, &Connection::open(&path).unwrap()] {
            let check = |sql: &str| c.query_row(sql, [], |row| row.get::<_, String>(0)).optional().unwrap();
            assert_eq!(check("pragma integrity_check").as_deref(), Some("ok"));
            assert_eq!(check("select \"table\" from pragma_foreign_key_check"), None);
            c.execute("update triggers set cause = 'push', device = 'esp' where id = 7", []).unwrap();
            c.execute("update images set cause = 'push' where id = 7", []).unwrap();
            for wrong in [
                "update triggers set clock = 'sundial'",
                "update images set kind = 'painting'",
                "update images set first_uid = x'00'",
                "update images set pushed_sha256 = x'00'",
            ] {
                assert!(c.execute(wrong, []).is_err(), "{wrong}");
            }
        }
        assert!(now.execute("update images set trigger_id = 999", []).is_err(), "the foreign key");
        let captured = "select value from tallies where subject = 'r1' and what = 'captured'";
        let count = || now.query_row(captured, [], |row| row.get::<_, i64>(0)).unwrap();
        let counted = count();
        now.execute("update triggers set outcome = 'captured' where id = 4", []).unwrap();
        assert_eq!(count(), counted + 1, "the running counts go on");
    }

    #[test]
    fn what_devices_brought_before_it_was_counted_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let eleventh = Connection::open(&path).unwrap();
        for (number, sql) in MIGRATIONS[..11].iter().enumerate() {
            eleventh.execute_batch(sql).unwrap();
            eleventh.pragma_update(None, "user_version", i32::try_from(number + 1).unwrap()).unwrap();
        }
        eleventh.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        eleventh
            .execute_batch(
                "with recursive n(i) as (select 1 union all select i + 1 from n where i < 6)
                 insert into images (uid, camera, file_name, path, cause, taken_at, frame_offset_ms, width, height, bytes,
                                     sha256, device)
                 select randomblob(16), 'r1', i || '.jpg', i || '.jpg', 'pushed', i, 0, 16, 9, 1, randomblob(32),
                        case when i < 5 then 'esp' end from n;
                 insert into uploads (image_id, target, state, camera, taken_at)
                 select id, 'api', case when id < 4 then 'delivered' else 'pending' end, 'r1', taken_at from images;",
            )
            .unwrap();
        drop(eleventh);
        let now = open(&path).unwrap();
        let counts = || {
            let value = |what: &str| {
                let sql = "select value from tallies where subject = 'esp' and what = ?1";
                now.query_row(sql, [what], |row| row.get::<_, i64>(0)).unwrap()
            };
            (value("pushed"), value("pushed:delivered"))
        };
        assert_eq!(counts(), (4, 3));
        now.execute_batch(
            "update uploads set state = 'delivered' where image_id in (4, 5);
             update uploads set state = 'pending' where image_id = 1;
             update images set state = 'deleted' where id = 2;",
        )
        .unwrap();
        assert_eq!(counts(), (4, 3), "one more was delivered, and one is owed again");
        let others = "select count(*) from tallies where what like 'pushed%' and subject <> 'esp'";
        assert_eq!(now.query_row(others, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    }
}
