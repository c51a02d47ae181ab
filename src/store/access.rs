//! Settings, sessions and known devices. Secrets are kept as hashes only.
//!
//! Between the look at a password's hash and the session that follows lies the time of hashing, and in it the password may
//! be changed, also by another process. So whatever follows from a password names the hash it was compared with, and is
//! done only while that one is stored.

use rusqlite::{OptionalExtension, Row, Transaction, named_params};

use super::settings::{put, stored};
use super::{StoreAccess, StoreError};
use crate::model::UnixMs;

/// Devices remembered; the one that has not logged in longest goes first.
const DEVICES_MAX: i64 = 64;

/// Someone who is logged in, as shown to whoever looks after the door.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// SHA-256 of the cookie.
    pub id_hash: [u8; 32],
    /// The session itself.
    pub session: Session,
    /// Where the password was given, if that was written down.
    pub from: Option<String>,
    /// By which browser, in its own words.
    pub browser: Option<String>,
}

/// Someone who is logged in.
#[derive(Clone, Debug)]
pub struct Session {
    /// What mutations must show in their CSRF header.
    pub csrf: String,
    /// When the password was given.
    pub created_at: UnixMs,
    /// When it was last used.
    pub last_seen_at: UnixMs,
    /// When it ends whatever happens.
    pub expires_at: UnixMs,
    /// SHA-256 of the hash the password was compared with; the session is worth nothing once that is another one.
    pub password: [u8; 32],
}

/// Someone who comes in: a session and the device it begins on.
#[derive(Clone, Debug)]
pub struct LoginEntry {
    /// SHA-256 of the session's cookie.
    pub id_hash: [u8; 32],
    /// The session.
    pub session: Session,
    /// SHA-256 of the device's cookie, which may be known already.
    pub device: [u8; 32],
}

impl StoreAccess {
    /// A setting's value.
    pub async fn setting(&self, key: &'static str) -> Result<Option<String>, StoreError> {
        self.db.read(move |c| stored(c, key)).await
    }

    /// Stores the password's hash, logs everyone out and forgets all devices, in one transaction. For whoever owns the
    /// machine: nothing is asked.
    pub async fn set_password_hash(&self, key: &'static str, hash: String) -> Result<(), StoreError> {
        self.db.insist(move |tx| put_password(tx, key, &hash)).await
    }

    /// As [`StoreAccess::set_password_hash`], and lets in whoever did it, unless what is stored is no longer `verified`: then
    /// nothing is done and the answer is `false`. Devices are forgotten because whoever found out the old password may
    /// have one.
    pub async fn replace_password(
        &self,
        key: &'static str,
        verified: Option<String>,
        hash: String,
        entry: LoginEntry,
    ) -> Result<bool, StoreError> {
        self.db
            .insist(move |tx| {
                if stored(tx, key)? != verified {
                    return Ok(false);
                }
                put_password(tx, key, &hash)?;
                put_entry(tx, &entry)?;
                Ok(true)
            })
            .await
    }

    /// Lets someone in whose password was compared with `verified`, unless another one is stored by now: then nothing is
    /// done and the answer is `false`. Sessions that have ended are forgotten on the way.
    pub async fn insert_session(
        &self,
        key: &'static str,
        verified: Option<String>,
        entry: LoginEntry,
    ) -> Result<bool, StoreError> {
        self.db
            .insist(move |tx| {
                if stored(tx, key)? != verified {
                    return Ok(false);
                }
                put_entry(tx, &entry)?;
                Ok(true)
            })
            .await
    }

    /// Whether someone gave the password on this device; `password` is as in [`Session`].
    pub async fn has_device(&self, id_hash: [u8; 32], password: [u8; 32]) -> Result<bool, StoreError> {
        const DEVICE_SQL: &str = "select 1 from devices where id_hash = :id_hash and password = :password";
        self.db
            .read(move |c| {
                Ok(c.prepare_cached(DEVICE_SQL)?
                    .exists(named_params! {":id_hash": id_hash, ":password": password})?)
            })
            .await
    }

    /// What this boot adds to its time since boot for the time of sessions: `current_ms` if it has not been asked for yet.
    /// Written once in each boot, so that sessions survive a restart of the program after the clock was set.
    pub async fn session_offset_ms(&self, current_ms: i64) -> Result<i64, StoreError> {
        const KEY: &str = "session_clock";
        let boot_id = self.boot_id.clone();
        if let Some(kept) = self.setting(KEY).await?
            && let Some((boot, offset)) = kept.split_once(' ')
            && boot == &*boot_id
            && let Ok(offset) = offset.parse()
        {
            return Ok(offset);
        }
        self.db
            .write(move |tx| {
                put(tx, KEY, Some(&format!("{boot_id} {current_ms}")))?;
                Ok(current_ms)
            })
            .await
    }

    /// The session with this hash, whether it has ended or not.
    pub async fn session(&self, id_hash: [u8; 32]) -> Result<Option<Session>, StoreError> {
        const SESSION_SQL: &str = "
            select csrf, created_at, last_seen_at, expires_at, password from sessions
            where id_hash = :id_hash and password is not null";
        self.db
            .read(move |c| {
                Ok(c.prepare_cached(SESSION_SQL)?
                    .query_row(named_params! {":id_hash": id_hash}, session)
                    .optional()?)
            })
            .await
    }

    /// Notes that a session was used. Call it seldom; each call is a write to the card.
    pub async fn touch_session(&self, id_hash: [u8; 32], now: UnixMs) -> Result<(), StoreError> {
        const TOUCH_SQL: &str = "update sessions set last_seen_at = :now where id_hash = :id_hash";
        self.db
            .insist(move |tx| {
                tx.execute(TOUCH_SQL, named_params! {":now": now.0, ":id_hash": id_hash})?;
                Ok(())
            })
            .await
    }

    /// Ends a session.
    pub async fn delete_session(&self, id_hash: [u8; 32]) -> Result<(), StoreError> {
        self.db
            .insist(move |tx| {
                tx.execute(
                    "delete from sessions where id_hash = :id_hash",
                    named_params! {":id_hash": id_hash},
                )?;
                Ok(())
            })
            .await
    }

    /// Notes where a session was begun and by which browser, for the list of sessions.
    pub async fn describe_session(
        &self,
        id_hash: [u8; 32],
        from: String,
        browser: Option<String>,
    ) -> Result<(), StoreError> {
        const DESCRIBE_SQL: &str = "
            update sessions set from_address = :from, browser = :browser where id_hash = :id_hash";
        self.db
            .write(move |tx| {
                tx.execute(
                    DESCRIBE_SQL,
                    named_params! {":from": from, ":browser": browser, ":id_hash": id_hash},
                )?;
                Ok(())
            })
            .await
    }

    /// Every session, also those that have ended and are not forgotten yet; the newest first.
    pub async fn sessions(&self) -> Result<Vec<Visitor>, StoreError> {
        const SESSIONS_SQL: &str = "
            select id_hash, csrf, created_at, last_seen_at, expires_at, password, from_address, browser
            from sessions where password is not null order by created_at desc, id_hash";
        self.db
            .read(|c| {
                let sessions = c
                    .prepare_cached(SESSIONS_SQL)?
                    .query_map([], |row| {
                        Ok(Visitor {
                            id_hash: row.get("id_hash")?,
                            session: session(row)?,
                            from: row.get("from_address")?,
                            browser: row.get("browser")?,
                        })
                    })?
                    .collect::<Result<_, _>>()?;
                Ok(sessions)
            })
            .await
    }

    /// Ends every session but one; returns how many.
    pub async fn delete_other_sessions(&self, id_hash: [u8; 32]) -> Result<usize, StoreError> {
        self.db
            .insist(move |tx| {
                Ok(tx.execute(
                    "delete from sessions where id_hash <> :id_hash",
                    named_params! {":id_hash": id_hash},
                )?)
            })
            .await
    }
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        csrf: row.get("csrf")?,
        created_at: UnixMs(row.get("created_at")?),
        last_seen_at: UnixMs(row.get("last_seen_at")?),
        expires_at: UnixMs(row.get("expires_at")?),
        password: row.get("password")?,
    })
}

fn put_password(tx: &Transaction<'_>, key: &str, hash: &str) -> Result<(), StoreError> {
    put(tx, key, Some(hash))?;
    tx.execute("delete from sessions", [])?;
    tx.execute("delete from devices", [])?;
    Ok(())
}

fn put_entry(
    tx: &Transaction<'_>,
    LoginEntry { id_hash, session, device }: &LoginEntry,
) -> Result<(), StoreError> {
    const SESSION_SQL: &str = "
        insert into sessions (id_hash, csrf, created_at, last_seen_at, expires_at, password)
        values (:id_hash, :csrf, :created_at, :last_seen_at, :expires_at, :password)";
    const DEVICE_SQL: &str = "
        insert into devices (id_hash, password, used)
        values (:device, :password, (select coalesce(max(used), 0) + 1 from devices))
        on conflict (id_hash) do update set used = excluded.used, password = excluded.password";
    const OLDEST_SQL: &str = "
        delete from devices where id_hash not in (select id_hash from devices order by used desc limit :most)";
    tx.execute(
        "delete from sessions where expires_at <= :now",
        named_params! {":now": session.created_at.0},
    )?;
    tx.execute(
        SESSION_SQL,
        named_params! {":id_hash": id_hash, ":csrf": session.csrf, ":created_at": session.created_at.0,
        ":last_seen_at": session.last_seen_at.0, ":expires_at": session.expires_at.0, ":password": session.password},
    )?;
    tx.execute(DEVICE_SQL, named_params! {":device": device, ":password": session.password})?;
    tx.execute(OLDEST_SQL, named_params! {":most": DEVICES_MAX})?;
    Ok(())
}

#[cfg(test)]
#[path = "tests/access.rs"]
mod tests;
