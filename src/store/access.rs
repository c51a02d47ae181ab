//! Settings and sessions. Secrets are kept as hashes only.

use rusqlite::{OptionalExtension, Row, named_params};

use super::{Store, StoreError};
use crate::model::UnixMs;

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
}

impl Store {
    /// A setting's value.
    pub async fn setting(&self, key: &'static str) -> Result<Option<String>, StoreError> {
        self.db
            .read(move |c| {
                Ok(c.prepare_cached("select value from settings where key = :key")?
                    .query_row(named_params! {":key": key}, |row| row.get(0))
                    .optional()?)
            })
            .await
    }

    /// Stores the password's hash and logs everyone out, in one transaction.
    pub async fn set_password_hash(&self, key: &'static str, hash: String) -> Result<(), StoreError> {
        const SET_SQL: &str = "
            insert into settings (key, value) values (:key, :value)
            on conflict (key) do update set value = excluded.value";
        self.db
            .insist(move |tx| {
                tx.execute(SET_SQL, named_params! {":key": key, ":value": hash})?;
                tx.execute("delete from sessions", [])?;
                Ok(())
            })
            .await
    }

    /// What this boot adds to its time since boot for the time of sessions: `current_ms` if it has not been asked for yet.
    /// Written once in each boot, so that sessions survive a restart of the program after the clock was set.
    pub async fn session_offset_ms(&self, current_ms: i64) -> Result<i64, StoreError> {
        const KEY: &str = "session_clock";
        const SET_SQL: &str = "
            insert into settings (key, value) values (:key, :value)
            on conflict (key) do update set value = excluded.value";
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
                tx.execute(
                    SET_SQL,
                    named_params! {":key": KEY, ":value": format!("{boot_id} {current_ms}")},
                )?;
                Ok(current_ms)
            })
            .await
    }

    /// Keeps a session under the SHA-256 of its cookie; sessions that have ended are forgotten on the way.
    pub async fn insert_session(&self, id_hash: [u8; 32], session: Session) -> Result<(), StoreError> {
        const INSERT_SQL: &str = "
            insert into sessions (id_hash, csrf, created_at, last_seen_at, expires_at)
            values (:id_hash, :csrf, :created_at, :last_seen_at, :expires_at)";
        self.db
            .insist(move |tx| {
                tx.execute(
                    "delete from sessions where expires_at <= :now",
                    named_params! {":now": session.created_at.0},
                )?;
                tx.execute(
                    INSERT_SQL,
                    named_params! {":id_hash": id_hash, ":csrf": session.csrf, ":created_at": session.created_at.0,
                    ":last_seen_at": session.last_seen_at.0, ":expires_at": session.expires_at.0},
                )?;
                Ok(())
            })
            .await
    }

    /// The session with this hash, whether it has ended or not.
    pub async fn session(&self, id_hash: [u8; 32]) -> Result<Option<Session>, StoreError> {
        const SESSION_SQL: &str = "
            select csrf, created_at, last_seen_at, expires_at from sessions where id_hash = :id_hash";
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
            select id_hash, csrf, created_at, last_seen_at, expires_at, from_address, browser
            from sessions order by created_at desc, id_hash";
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
    })
}
