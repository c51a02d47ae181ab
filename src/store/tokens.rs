//! Tokens: programs that may use the API, and how much of it. Secrets are kept as hashes only.

use rusqlite::{OptionalExtension, Row, named_params};

use super::settings::stored;
use super::{StoreAccess, StoreError};
use crate::model::UnixMs;

/// What a token allows; each scope contains those before it. Passwords, sessions and tokens are in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Looking: states, pictures, events, live view.
    Read,
    /// What a gate keeper does: captures, protection, sending again, simulated contacts.
    Operate,
    /// Deleting, too.
    Full,
}

impl Scope {
    /// From the least.
    pub const ALL: [Self; 3] = [Self::Read, Self::Operate, Self::Full];

    /// As written in the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Full => "full",
        }
    }

    /// The reverse of [`Scope::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// A program that may use the API.
#[derive(Clone, Debug)]
pub struct Token {
    /// Row.
    pub id: i64,
    /// What a person called it.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// How its secret begins; not known of the oldest ones.
    pub hint: Option<String>,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it ends by itself, if it does.
    pub expires_at: Option<UnixMs>,
    /// When it was last used, to the hour.
    pub last_used_at: Option<UnixMs>,
}

/// A token to be kept.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What a person called it.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// How its secret begins.
    pub hint: String,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// Now.
    pub created_at: UnixMs,
    /// When it ends by itself, if it does.
    pub expires_at: Option<UnixMs>,
}

fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    let scope: String = row.get("scope")?;
    let time = |name| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(name)?.map(UnixMs));
    Ok(Token {
        id: row.get("id")?,
        name: row.get("name")?,
        // The column's check allows no other; the least if there were one.
        scope: Scope::parse(&scope).unwrap_or(Scope::Read),
        hint: row.get("hint")?,
        created_at: UnixMs(row.get("created_at")?),
        expires_at: time("expires_at")?,
        last_used_at: time("last_used_at")?,
    })
}

impl StoreAccess {
    /// Keeps a program's token under its SHA-256, for someone whose password was compared with `verified`. Unless that is
    /// still what is stored under `key` nothing is done and the answer is `None`: a token outlives a change of password.
    pub async fn insert_token(
        &self,
        key: &'static str,
        verified: Option<String>,
        new: NewToken,
    ) -> Result<Option<Token>, StoreError> {
        const INSERT_SQL: &str = "
            insert into tokens (name, hash, scope, hint, created_at, expires_at)
            values (:name, :hash, :scope, :hint, :created_at, :expires_at)";
        self.db
            .write(move |tx| {
                if stored(tx, key)? != verified {
                    return Ok(None);
                }
                tx.execute(
                    INSERT_SQL,
                    named_params! {":name": new.name, ":hash": new.hash, ":scope": new.scope.as_str(),
                    ":hint": new.hint, ":created_at": new.created_at.0, ":expires_at": new.expires_at.map(|at| at.0)},
                )?;
                Ok(Some(Token {
                    id: tx.last_insert_rowid(),
                    name: new.name,
                    scope: new.scope,
                    hint: Some(new.hint),
                    created_at: new.created_at,
                    expires_at: new.expires_at,
                    last_used_at: None,
                }))
            })
            .await
    }

    /// The token with this hash, whether it has expired or not.
    pub async fn token(&self, hash: [u8; 32]) -> Result<Option<Token>, StoreError> {
        const TOKEN_SQL: &str = "
            select id, name, scope, hint, created_at, expires_at, last_used_at from tokens where hash = :hash";
        self.db
            .read(move |c| {
                Ok(c.prepare_cached(TOKEN_SQL)?.query_row(named_params! {":hash": hash}, token).optional()?)
            })
            .await
    }

    /// Every token, oldest first.
    pub async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        const TOKENS_SQL: &str = "
            select id, name, scope, hint, created_at, expires_at, last_used_at from tokens order by id";
        self.db
            .read(|c| {
                let tokens = c.prepare_cached(TOKENS_SQL)?.query_map([], token)?.collect::<Result<_, _>>()?;
                Ok(tokens)
            })
            .await
    }

    /// Notes that a token was used. Call it seldom; each call is a write to the card.
    pub async fn touch_token(&self, id: i64, now: UnixMs) -> Result<(), StoreError> {
        self.db
            .write(move |tx| {
                tx.execute(
                    "update tokens set last_used_at = :now where id = :id",
                    named_params! {":now": now.0, ":id": id},
                )?;
                Ok(())
            })
            .await
    }

    /// Revokes a token; `false` when there was none.
    pub async fn delete_token(&self, id: i64) -> Result<bool, StoreError> {
        self.db
            .write(move |tx| {
                Ok(tx.execute("delete from tokens where id = :id", named_params! {":id": id})? > 0)
            })
            .await
    }
}
