//! Values by name that outlive a restart: read, set and forgotten here alone.

use rusqlite::{Connection, OptionalExtension, Transaction, named_params};

use super::StoreError;

/// The value of this name.
pub(super) fn stored(c: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    Ok(c.prepare_cached("select value from settings where key = :key")?
        .query_row(named_params! {":key": key}, |row| row.get(0))
        .optional()?)
}

/// Sets a value, or forgets it.
pub(super) fn put(tx: &Transaction<'_>, key: &str, value: Option<&str>) -> Result<(), StoreError> {
    const SET_SQL: &str = "
        insert into settings (key, value) values (:key, :value)
        on conflict (key) do update set value = excluded.value";
    const FORGET_SQL: &str = "delete from settings where key = :key";
    match value {
        Some(value) => tx.execute(SET_SQL, named_params! {":key": key, ":value": value})?,
        None => tx.execute(FORGET_SQL, named_params! {":key": key})?,
    };
    Ok(())
}
