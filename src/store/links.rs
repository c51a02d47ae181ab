//! Public links: who has the address sees one picture, until the link ends. Of the address only a hash is kept.
//!
//! A link goes with its picture, by a trigger of the database (`migrations/0013_links.sql`).

use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params};

use super::image_row::{COLUMNS, image};
use super::images::by_name;
use super::rows::{Image, TriggerId};
use super::{Store, StoreError, parsed};
use crate::model::{FileName, LinkToken, TargetId, UnixMs};

/// Links of one picture or trigger that hold at once, but for those that targets made: more are a slip of a program.
pub const LINKS_MAX: u32 = 50;

/// What a link shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linked {
    /// This picture or clip.
    Image(FileName),
    /// The picture of this trigger: the best one if there is one, else that of the instant.
    Trigger(TriggerId),
}

/// A link to be kept.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// What it shows.
    pub linked: Linked,
    /// [`LinkToken::hash`] of its address.
    pub hash: [u8; 32],
    /// Now.
    pub created_at: UnixMs,
    /// When it ends by itself, if it does.
    pub expires_at: Option<UnixMs>,
}

/// A link that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Row; no number is given twice.
    pub id: i64,
    /// What it shows.
    pub linked: Linked,
    /// The target that made it for its message.
    pub target: Option<String>,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it ends by itself, if it does.
    pub expires_at: Option<UnixMs>,
    /// How often the picture was given out.
    pub opens: u64,
    /// When that was last.
    pub last_opened_at: Option<UnixMs>,
}

/// What became of a wish for a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkMade {
    /// It holds, and no power cut undoes it.
    Made(Link),
    /// There is no such picture.
    NotFound,
    /// There are [`LINKS_MAX`] already.
    TooMany,
}

/// What expired at its instant has ended; the answer to whoever opens it does not wait for the row to go.
pub(super) const EXPIRED_SQL: &str = "delete from links where expires_at <= :now";

const INSERT_SQL: &str = "
    insert into links (hash, image_id, trigger_id, target, created_at, expires_at)
    values (:hash, :image, :trigger, :target, :created_at, :expires_at)";

pub(super) const OPEN_SQL: &str = "
    select id, image_id, trigger_id from links
    where hash = :hash and (expires_at is null or expires_at > :now)";

pub(super) const OF_IMAGE_SQL: &str = "
    select links.id, file_name, links.trigger_id, target, created_at, expires_at, opens, last_opened_at
    from links left join images on images.id = image_id
    where image_id = (select id from images where file_name = :name)
      and (expires_at is null or expires_at > :now)
    order by links.id desc limit :most";

pub(super) const OF_TRIGGER_SQL: &str = "
    select links.id, file_name, links.trigger_id, target, created_at, expires_at, opens, last_opened_at
    from links left join images on images.id = image_id
    where links.trigger_id = :trigger and (expires_at is null or expires_at > :now)
    order by links.id desc limit :most";

pub(super) const NEWEST_SQL: &str = "
    select links.id, file_name, links.trigger_id, target, created_at, expires_at, opens, last_opened_at
    from links left join images on images.id = image_id
    where expires_at is null or expires_at > :now
    order by links.id desc limit :most";

const COUNT_SQL: &str = "
    update links set opens = opens + :opens, last_opened_at = :at where id = :id";

fn link(row: &Row<'_>) -> rusqlite::Result<(Link, Option<String>)> {
    let trigger: Option<i64> = row.get("trigger_id")?;
    let time = |name| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(name)?.map(UnixMs));
    let link = Link {
        id: row.get("id")?,
        // Replaced by the name where it shows a picture.
        linked: Linked::Trigger(TriggerId(trigger.unwrap_or_default())),
        target: row.get("target")?,
        created_at: UnixMs(row.get("created_at")?),
        expires_at: time("expires_at")?,
        opens: u64::try_from(row.get::<_, i64>("opens")?).unwrap_or(0),
        last_opened_at: time("last_opened_at")?,
    };
    Ok((link, row.get("file_name")?))
}

fn links(c: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<Link>, StoreError> {
    let mut found = Vec::new();
    for read in c.prepare_cached(sql)?.query_map(params, link)? {
        let (link, name) = read?;
        found.push(match name {
            Some(name) => {
                Link { linked: Linked::Image(parsed("file_name", FileName::parse(&name))?), ..link }
            }
            None => link,
        });
    }
    Ok(found)
}

/// The picture of a trigger, if it is there.
fn of_trigger(c: &Connection, trigger: i64) -> Result<Option<Image>, StoreError> {
    let sql = format!(
        "select {COLUMNS} from images
         where trigger_id = :trigger and state = 'present' and kind <> 'clip'
         order by kind = 'best' desc, id limit 1"
    );
    let found = c.prepare_cached(&sql)?.query_row(named_params! {":trigger": trigger}, image).optional()?;
    Ok(found.map(|(_, image)| image))
}

/// The row of a picture, or that of a trigger.
type LinkedRows = (Option<i64>, Option<i64>);

/// The rows a link may name: of a picture, or of a trigger that has one.
fn rows_of(c: &Connection, linked: &Linked) -> Result<Option<LinkedRows>, StoreError> {
    const ROW_SQL: &str = "select id from images where file_name = :name and state = 'present'";
    Ok(match linked {
        Linked::Image(name) => {
            let row = c
                .prepare_cached(ROW_SQL)?
                .query_row(named_params! {":name": name.to_string()}, |row| row.get(0))
                .optional()?;
            row.map(|row| (Some(row), None))
        }
        Linked::Trigger(TriggerId(row)) => of_trigger(c, *row)?.map(|_| (None, Some(*row))),
    })
}

fn insert(
    tx: &Transaction<'_>,
    new: &NewLink,
    (image, trigger): LinkedRows,
    target: Option<TargetId>,
) -> Result<i64, StoreError> {
    // A clock that goes wrong ends links early and never makes one live on.
    tx.prepare_cached(EXPIRED_SQL)?.execute(named_params! {":now": new.created_at.0})?;
    tx.prepare_cached(INSERT_SQL)?.execute(named_params! {
        ":hash": new.hash, ":image": image, ":trigger": trigger, ":target": target.map(TargetId::as_str),
        ":created_at": new.created_at.0, ":expires_at": new.expires_at.map(|at| at.0),
    })?;
    Ok(tx.last_insert_rowid())
}

impl Store {
    /// Keeps a link. Durable when it returns.
    pub(super) async fn make_link(&self, new: NewLink) -> Result<LinkMade, StoreError> {
        self.db
            .write(move |tx| {
                let Some(rows) = rows_of(tx, &new.linked)? else { return Ok(LinkMade::NotFound) };
                let held = links_of(tx, &new.linked, new.created_at, u32::MAX)?;
                let by_hand = held.iter().filter(|link| link.target.is_none()).count();
                if by_hand >= LINKS_MAX as usize {
                    return Ok(LinkMade::TooMany);
                }
                let id = insert(tx, &new, rows, None)?;
                let NewLink { linked, created_at, expires_at, .. } = new;
                let (target, opens, last_opened_at) = (None, 0, None);
                Ok(LinkMade::Made(Link { id, linked, target, created_at, expires_at, opens, last_opened_at }))
            })
            .await
    }

    /// Keeps the link that a target puts into its message about a picture; `None` if the picture is gone, or the machine
    /// has no random numbers. Durable when it returns: no message has an address that was never kept.
    pub(super) async fn share(
        &self,
        target: TargetId,
        row: i64,
        created_at: UnixMs,
        expires_at: Option<UnixMs>,
    ) -> Result<Option<LinkToken>, StoreError> {
        let Some(token) = LinkToken::random() else { return Ok(None) };
        self.db
            .write(move |tx| {
                let Some(image) = super::images::by_row(tx, row)? else { return Ok(None) };
                let linked = Linked::Image(image.filename);
                let new = NewLink { linked, hash: token.hash(), created_at, expires_at };
                insert(tx, &new, (Some(row), None), Some(target))?;
                Ok(Some(token))
            })
            .await
    }

    /// The picture behind an address, and the number of its link; `None` whatever the reason is that nothing is shown.
    pub(super) async fn opened_link(
        &self,
        hash: [u8; 32],
        now: UnixMs,
    ) -> Result<Option<(i64, Image)>, StoreError> {
        self.db
            .read(move |c| {
                let found: Option<(i64, Option<i64>, Option<i64>)> = c
                    .prepare_cached(OPEN_SQL)?
                    .query_row(named_params! {":hash": hash, ":now": now.0}, |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                    })
                    .optional()?;
                let Some((id, image, trigger)) = found else { return Ok(None) };
                let image = match (image, trigger) {
                    (Some(row), _) => super::images::by_row(c, row)?,
                    (None, Some(trigger)) => of_trigger(c, trigger)?,
                    (None, None) => None,
                };
                Ok(image.map(|image| (id, image)))
            })
            .await
    }

    /// The links of one picture or trigger that hold, or of all; the newest first, at most `most`.
    pub(super) async fn links(
        &self,
        linked: Option<Linked>,
        now: UnixMs,
        most: u32,
    ) -> Result<Vec<Link>, StoreError> {
        self.db
            .read(move |c| match &linked {
                Some(linked) => links_of(c, linked, now, most),
                None => links(c, NEWEST_SQL, named_params! {":now": now.0, ":most": most}),
            })
            .await
    }

    /// Whether there is a picture or trigger that could have links.
    pub(super) async fn is_linkable(&self, linked: Linked) -> Result<bool, StoreError> {
        self.db
            .read(move |c| match &linked {
                Linked::Image(name) => Ok(by_name(c, name)?.is_some()),
                Linked::Trigger(TriggerId(row)) => Ok(of_trigger(c, *row)?.is_some()),
            })
            .await
    }

    /// Ends a link at once; `false` when there was none.
    pub(super) async fn revoke_link(&self, id: i64) -> Result<bool, StoreError> {
        self.db
            .write(move |tx| {
                Ok(tx.execute("delete from links where id = :id", named_params! {":id": id})? > 0)
            })
            .await
    }

    /// Adds to how often links were opened, by their numbers. Call it seldom; each call is a write to the card.
    pub(super) async fn count_opens(&self, opens: Vec<(i64, u64)>, at: UnixMs) -> Result<(), StoreError> {
        self.db
            .write(move |tx| {
                for (id, opens) in opens {
                    let opens = i64::try_from(opens).unwrap_or(i64::MAX);
                    tx.prepare_cached(COUNT_SQL)?
                        .execute(named_params! {":id": id, ":opens": opens, ":at": at.0})?;
                }
                Ok(())
            })
            .await
    }
}

fn links_of(c: &Connection, linked: &Linked, now: UnixMs, most: u32) -> Result<Vec<Link>, StoreError> {
    match linked {
        Linked::Image(name) => {
            let name = name.to_string();
            links(c, OF_IMAGE_SQL, named_params! {":name": name, ":now": now.0, ":most": most})
        }
        Linked::Trigger(TriggerId(row)) => {
            links(c, OF_TRIGGER_SQL, named_params! {":trigger": row, ":now": now.0, ":most": most})
        }
    }
}
