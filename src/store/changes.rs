//! What was committed, told to whoever listens. Nobody who writes has to remember it: triggers of the writing connection
//! note every row that changed, and each commit tells what those rows hold then. A write that fails or is rolled back
//! tells nothing, and no listener can keep a write waiting.

use std::collections::BTreeSet;
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OptionalExtension, named_params};
use tokio::sync::{broadcast, watch};
use tracing::warn;

use super::images;
use super::ledger::{self, LedgerEntry};
use super::rows::{Image, TriggerId, UploadInfo};
use super::wake::{Wake, Wakes};
use super::{StoreError, parsed, seen};
use crate::model::{FileName, TargetId};

/// Changes that a slow listener may lag behind before it misses some; a burst of three cameras makes a few dozen.
const CHANGES_KEPT: usize = 256;

/// Of a write that changes more than this, each change is not told by itself: a listener would lag behind at once. The
/// outcomes of a lane that drains a backlog come in fewer.
const TOLD_MAX: usize = 128;

/// Rows that are remembered of one write; about 30 bytes each. Deletions are told together, so they may be more.
const NOTED_MAX: usize = 1000;

/// A change that was committed, with what the rows hold since.
#[derive(Clone, Debug)]
pub enum Change {
    /// A picture or clip is listed that was not: it was stored or found, or its file is back.
    Image(Box<Image>),
    /// Something of a listed one changed: its protection, its instant, its trigger or its analysis.
    ImageChanged(Box<Image>),
    /// How the delivery of a listed picture to one target stands changed.
    Upload {
        /// Name of the picture.
        filename: FileName,
        /// How it stands now.
        upload: Box<UploadInfo>,
    },
    /// These are in no list any more, and their files go.
    Deleted(Vec<FileName>),
    /// These are in no list any more, because their files are not there or have another length.
    Missing(Vec<FileName>),
    /// A trigger was written down, it ended, or something of it changed.
    Trigger(Box<LedgerEntry>),
    /// A person has seen failures.
    Seen {
        /// The newest of them.
        up_to: TriggerId,
        /// How many nobody has seen, at most [`super::UNSEEN_MAX`].
        unseen: u64,
    },
    /// More changed at once than is told one by one: whoever shows it reads it anew.
    Many,
}

/// Whoever listens to changes, and what the write under way has touched.
#[derive(Clone)]
pub(super) struct Changes {
    noted: Arc<Mutex<Noted>>,
    listeners: broadcast::Sender<Change>,
    commits: watch::Sender<u64>,
    wakes: Wakes,
}

/// Rows that a write has touched.
#[derive(Debug, Default)]
struct Noted {
    listed: BTreeSet<i64>,
    images: BTreeSet<i64>,
    /// In the order in which they changed, which is that of a lane's outcomes.
    uploads: Vec<(i64, TargetId)>,
    deleted: BTreeSet<i64>,
    missing: BTreeSet<i64>,
    triggers: BTreeSet<i64>,
    seen_up_to: Option<i64>,
    /// Targets to which something became due at once.
    due: BTreeSet<TargetId>,
    /// There were more.
    is_beyond: bool,
}

/// On the writing connection alone, and in no file. Each is limited to what really changed; `told` notes the row. What is
/// due at once after an attempt waits for its target, whose pause must not end by that.
const NOTE_SQL: &str = "
    create temp trigger tell_image_insert after insert on main.images when new.state = 'present'
    begin
        select told('listed', new.id, null);
        select told('trigger', new.trigger_id, null) where new.trigger_id is not null;
    end;

    create temp trigger tell_image_state after update of state on main.images
    when new.state <> old.state and (new.state = 'present' or old.state = 'present')
    begin
        select told(case new.state when 'present' then 'listed' when 'missing' then 'missing' else 'deleted' end,
                    new.id, null);
    end;

    create temp trigger tell_image_update after update of protected, taken_at, trigger_id on main.images
    when new.state = 'present'
     and (new.protected <> old.protected or new.taken_at <> old.taken_at or new.trigger_id is not old.trigger_id)
    begin
        select told('image', new.id, null);
        select told('trigger', new.trigger_id, null) where new.trigger_id is not old.trigger_id;
    end;

    create temp trigger tell_upload_insert after insert on main.uploads
    begin
        select told('upload', new.image_id, new.target);
        select told('due', new.image_id, new.target) where new.state = 'pending' and new.not_before = 0;
    end;

    create temp trigger tell_upload_update
    after update of state, attempts, refusals, not_before, last_error, answer, delivered_at on main.uploads
    when new.state <> old.state or new.attempts <> old.attempts or new.refusals <> old.refusals
      or new.not_before <> old.not_before or new.last_error is not old.last_error
      or new.answer is not old.answer or new.delivered_at is not old.delivered_at
    begin
        select told('upload', new.image_id, new.target);
        select told('due', new.image_id, new.target)
        where new.state = 'pending' and new.not_before = 0 and (old.state <> 'pending' or old.not_before <> 0)
          and new.attempts = old.attempts;
    end;

    create temp trigger tell_analysis_insert after insert on main.analyses
    begin
        select told('image', new.image_id, null);
    end;

    create temp trigger tell_analysis_update
    after update of state, attempts, not_before, last_error, done_at on main.analyses
    when new.state <> old.state or new.attempts <> old.attempts or new.not_before <> old.not_before
      or new.last_error is not old.last_error or new.done_at is not old.done_at
    begin
        select told('image', new.image_id, null);
    end;

    create temp trigger tell_reading_update after update of checked_at, seen_at on main.readings
    begin
        select told('image', new.image_id, null);
    end;

    create temp trigger tell_trigger_insert after insert on main.triggers
    begin
        select told('trigger', new.id, null);
    end;

    create temp trigger tell_trigger_update
    after update of outcome, reason, remark, latency_ms, edge_at, clock, stamped_at on main.triggers
    when new.outcome is not old.outcome or new.reason is not old.reason or new.remark is not old.remark
      or new.latency_ms is not old.latency_ms or new.edge_at <> old.edge_at or new.clock <> old.clock
      or new.stamped_at is not old.stamped_at
    begin
        select told('trigger', new.id, null);
    end;

    create temp trigger tell_seen after update of seen_at on main.triggers
    when new.seen_at is not old.seen_at
    begin
        select told('seen', new.id, null);
    end;
";

impl Changes {
    pub(super) fn new() -> Self {
        Self {
            noted: Arc::default(),
            listeners: broadcast::Sender::new(CHANGES_KEPT),
            commits: watch::Sender::new(0),
            wakes: Wakes::default(),
        }
    }

    /// Has every row noted that is changed over this connection.
    pub(super) fn note_on(&self, writer: &Connection) -> rusqlite::Result<()> {
        let noted = Arc::clone(&self.noted);
        // Not usable in what a file says: only the triggers below call it.
        writer.create_scalar_function("told", 3, FunctionFlags::SQLITE_UTF8, move |call| {
            let (row, target) = (call.get::<i64>(1)?, call.get::<Option<String>>(2)?);
            let target = target.as_deref().and_then(TargetId::parse);
            lock(&noted).note(call.get_raw(0).as_str()?, row, target);
            Ok(None::<i64>)
        })?;
        writer.execute_batch(NOTE_SQL)
    }

    /// Every change from now on.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.listeners.subscribe()
    }

    /// Counts commits that changed something of what is told.
    pub(super) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    pub(super) fn wakes(&self) -> &Wakes {
        &self.wakes
    }

    /// A write begins; what one before it noted and did not commit is void.
    pub(super) fn begin(&self) {
        *lock(&self.noted) = Noted::default();
    }

    /// What the write under way will have changed once it is committed. Rows are read only if somebody listens.
    pub(super) fn gather(&self, c: &Connection) -> Gathered {
        let mut noted = take(&mut *lock(&self.noted));
        let (due, is_any) = (take(&mut noted.due), noted.is_any());
        if !is_any || self.listeners.receiver_count() == 0 {
            return Gathered { changes: Vec::new(), due, is_any };
        }
        let changes = noted.changes(c).unwrap_or_else(|error| {
            warn!(%error, "what was changed cannot be told one by one");
            vec![Change::Many]
        });
        Gathered { changes, due, is_any }
    }

    /// Tells what was gathered, now that it is committed. Blocks nobody.
    pub(super) fn tell(&self, gathered: Gathered) {
        for change in gathered.changes {
            // An error means that nobody listens any more.
            let _ = self.listeners.send(change);
        }
        if gathered.is_any {
            self.commits.send_modify(|count| *count = count.wrapping_add(1));
        }
        for target in gathered.due {
            self.wakes.raise(Wake::Owed(target));
        }
    }
}

/// What a write will have changed.
pub(super) struct Gathered {
    changes: Vec<Change>,
    due: BTreeSet<TargetId>,
    is_any: bool,
}

impl Noted {
    fn note(&mut self, what: &str, row: i64, target: Option<TargetId>) {
        if let ("due", Some(target)) = (what, target) {
            self.due.insert(target);
            return;
        }
        if what == "seen" {
            self.seen_up_to = self.seen_up_to.max(Some(row));
            return;
        }
        if self.len() >= NOTED_MAX {
            self.is_beyond = true;
            return;
        }
        let rows = match (what, target) {
            ("listed", _) => &mut self.listed,
            ("image", _) => &mut self.images,
            ("deleted", _) => &mut self.deleted,
            ("missing", _) => &mut self.missing,
            ("trigger", _) => &mut self.triggers,
            ("upload", Some(target)) => {
                if !self.uploads.contains(&(row, target)) {
                    self.uploads.push((row, target));
                }
                return;
            }
            // Of a target that this version does not know.
            _ => return,
        };
        rows.insert(row);
    }

    fn len(&self) -> usize {
        self.told_singly() + self.deleted.len() + self.missing.len()
    }

    fn told_singly(&self) -> usize {
        self.listed.len() + self.images.len() + self.uploads.len() + self.triggers.len()
    }

    fn is_any(&self) -> bool {
        self.len() > 0 || self.is_beyond || self.seen_up_to.is_some()
    }

    /// One change for each row, in an order in which each makes sense after those before it.
    fn changes(mut self, c: &Connection) -> Result<Vec<Change>, StoreError> {
        self.leave_out_what_others_tell();
        let mut changes = Vec::new();
        if self.is_beyond || self.told_singly() > TOLD_MAX {
            changes.push(Change::Many);
        } else {
            for row in self.listed {
                changes.extend(images::by_row(c, row)?.map(|image| Change::Image(Box::new(image))));
            }
            for row in self.images {
                changes.extend(images::by_row(c, row)?.map(|image| Change::ImageChanged(Box::new(image))));
            }
            for (row, target) in self.uploads {
                let found = images::upload_of(c, row, target)?;
                changes.extend(
                    found.map(|(filename, upload)| Change::Upload { filename, upload: Box::new(upload) }),
                );
            }
        }
        if !self.missing.is_empty() {
            changes.push(Change::Missing(names(c, self.missing)?));
        }
        if !self.deleted.is_empty() {
            changes.push(Change::Deleted(names(c, self.deleted)?));
        }
        if !matches!(changes.first(), Some(Change::Many)) {
            for row in self.triggers {
                changes
                    .extend(ledger::by_id(c, TriggerId(row))?.map(|entry| Change::Trigger(Box::new(entry))));
            }
        }
        if let Some(up_to) = self.seen_up_to {
            changes.push(Change::Seen { up_to: TriggerId(up_to), unseen: seen::count(c)? });
        }
        Ok(changes)
    }

    /// A picture that is new is told with its uploads; of one that is gone nothing else is told.
    fn leave_out_what_others_tell(&mut self) {
        let Self { listed, images, uploads, deleted, missing, .. } = self;
        missing.retain(|row| !deleted.contains(row));
        let is_gone = |row: &i64| deleted.contains(row) || missing.contains(row);
        listed.retain(|row| !is_gone(row));
        images.retain(|row| !is_gone(row) && !listed.contains(row));
        uploads.retain(|(row, _)| !is_gone(row) && !listed.contains(row));
    }
}

fn names(c: &Connection, rows: BTreeSet<i64>) -> Result<Vec<FileName>, StoreError> {
    const NAME_SQL: &str = "select file_name from images where id = :row";
    let mut statement = c.prepare_cached(NAME_SQL)?;
    let mut names = Vec::with_capacity(rows.len());
    for row in rows {
        let name = statement
            .query_row(named_params! {":row": row}, |row| {
                parsed("file_name", FileName::parse(&row.get::<_, String>(0)?))
            })
            .optional()?;
        names.extend(name);
    }
    Ok(names)
}

fn lock(noted: &Mutex<Noted>) -> MutexGuard<'_, Noted> {
    // Whole between statements; a panicked holder cannot have spoiled it.
    noted.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "tests/changes.rs"]
mod tests;
