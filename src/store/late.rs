//! What the ledger is owed: edges, ends of triggers and rows of pictures that could not be written, because another process
//! holds the database, its disk took nothing, or it is gone. They are kept in memory, oldest first, and written as soon as
//! that works. The pictures themselves are files by then, and edges are noted beside them (`unwritten`), so the next start
//! finds both.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Transaction;
use tracing::error;

use super::blocking::{EDGE_PATIENCE, blocking};
use super::ledger;
use super::push::PushIdentity;
use super::record::Saved;
use super::rows::TriggerId;
use super::{Image, Store, StoreError};
use crate::model::{CameraKey, Coded as _, NoPicture, Outcome, Trigger, UnixMs};

/// Most entries; about 500 bytes each. Of any more only the number is known, and the next start finds their files.
const ENTRIES_MAX: usize = 10_000;

/// Longest reason that is kept, characters.
const REASON_MAX: usize = 500;

/// Triggers without a picture that are written in one transaction.
const BATCH: usize = 100;

#[derive(Clone, Debug)]
pub(super) enum LateEntry {
    /// A trigger that is not in the ledger at all.
    Whole {
        trigger: Trigger,
        outcome: Outcome,
        reason: NoPicture,
        /// Whether the next start would find it.
        is_noted: bool,
    },
    /// The end of one that is.
    End { id: TriggerId, reason: NoPicture },
    /// A picture or clip whose file is there; `row` is its trigger's, where that is in the ledger.
    Picture { saved: Saved, row: Option<TriggerId> },
}

impl LateEntry {
    fn is_picture(&self) -> bool {
        matches!(self, Self::Picture { .. })
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Late(Arc<Mutex<Kept>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    pictures: usize,
    triggers: usize,
}

impl Count {
    fn of(&mut self, entry: &LateEntry) -> &mut usize {
        if entry.is_picture() { &mut self.pictures } else { &mut self.triggers }
    }
}

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<LateEntry>,
    /// Entries, also those that are being written.
    owed: Count,
    /// Entries for which there was no room here either.
    beyond: Count,
    /// Whether the power would take some of them.
    is_unnoted: bool,
    /// What the newest one is, for people.
    newest: String,
    /// Why it could not be written.
    error: Option<Arc<StoreError>>,
}

/// What has been made up for.
#[derive(Clone, Debug, Default)]
pub struct CaughtUp {
    /// Rows of the ledger that are new or have ended.
    pub triggers: Vec<TriggerId>,
    /// Pictures and clips that are listed now.
    pub images: Vec<Image>,
}

impl Late {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whole between statements; a panicked holder cannot have spoiled it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an entry that could not be written. Returns why that was, to be told.
    pub(super) fn keep(&self, mut entry: LateEntry, error: StoreError) -> StoreError {
        let why = shared(error);
        let mut kept = self.kept();
        kept.error = Some(Arc::clone(&why));
        if let LateEntry::Whole { reason, .. } | LateEntry::End { reason, .. } = &mut entry {
            *reason = reason.clone().with_words(|words| words.chars().take(REASON_MAX).collect());
        }
        let at = |trigger: &Trigger| format!("{} at {}", trigger.camera, trigger.edge.wall.rfc3339());
        kept.newest = match &entry {
            LateEntry::Whole { trigger, .. } => at(trigger),
            LateEntry::End { id, .. } => format!("event {}", id.get()),
            LateEntry::Picture { saved, .. } => at(saved.trigger()),
        };
        kept.is_unnoted |= matches!(entry, LateEntry::Whole { is_noted: false, .. });
        if kept.owed.pictures + kept.owed.triggers < ENTRIES_MAX {
            *kept.owed.of(&entry) += 1;
            kept.entries.push_back(entry);
        } else {
            *kept.beyond.of(&entry) += 1;
        }
        StoreError::Behind { why }
    }

    /// Why nothing more is tried before what is owed is written; `None` while the database takes what it is given.
    pub(super) fn stuck(&self) -> Option<StoreError> {
        let kept = self.kept();
        let why = kept.error.as_ref().filter(|why| kept.owed != Count::default() && why.is_of_database())?;
        Some(StoreError::Behind { why: Arc::clone(why) })
    }

    /// Whether an edge is remembered here.
    pub(super) fn holds(&self, camera: &CameraKey, edge_at: UnixMs) -> bool {
        let is_it = |trigger: &Trigger| trigger.camera == *camera && trigger.edge.wall == edge_at;
        self.kept().entries.iter().any(|entry| match entry {
            LateEntry::Whole { trigger, .. } => is_it(trigger),
            LateEntry::Picture { saved, .. } => is_it(saved.trigger()),
            LateEntry::End { .. } => false,
        })
    }

    /// Whether a pushed picture is remembered here.
    pub(super) fn holds_push(&self, identity: &PushIdentity) -> bool {
        self.kept().entries.iter().any(|entry| match entry {
            LateEntry::Picture { saved, .. } => saved.push().as_ref() == Some(identity),
            LateEntry::Whole { .. } | LateEntry::End { .. } => false,
        })
    }

    /// The database has taken something.
    fn works(&self) {
        self.kept().error = None;
    }

    fn words(&self, database: &Path) -> Option<String> {
        let kept = self.kept();
        let (pictures, triggers) =
            (kept.owed.pictures + kept.beyond.pictures, kept.owed.triggers + kept.beyond.triggers);
        let beyond = |count: usize, what: &str| match count {
            0 => String::new(),
            n => format!(", of which {n} {what}"),
        };
        let mut parts = Vec::new();
        if pictures > 0 {
            let beyond = beyond(kept.beyond.pictures, "are found at the next start only");
            parts.push(format!(
                "pictures that are kept as files and are not listed or delivered yet: {pictures}{beyond}; that is made up \
                 for as soon as the database takes them"
            ));
        }
        if triggers > 0 {
            let beyond = beyond(kept.beyond.triggers, "are only counted");
            let power = if kept.is_unnoted { ", and are lost if the power goes before" } else { "" };
            parts.push(format!(
                "triggers without a picture that are not in the ledger yet: {triggers}{beyond}, the newest {}; they are \
                 written as soon as that works{power}",
                kept.newest
            ));
        }
        if parts.is_empty() {
            return None;
        }
        let why = kept
            .error
            .as_ref()
            .map_or_else(String::new, |error| format!(" ({error}{})", step(error, database)));
        Some(format!("{}{why}", parts.join(". ")))
    }
}

/// What to do about it.
fn step(error: &StoreError, database: &Path) -> String {
    let database = database.display();
    if error.is_locked() {
        format!(
            "; another program holds {database}: close what shows or copies it (sudo fuser -v {database} names it)"
        )
    } else if error.is_full() {
        format!("; make room on the disk of {database}")
    } else {
        String::new()
    }
}

fn shared(error: StoreError) -> Arc<StoreError> {
    match error {
        StoreError::Behind { why } => why,
        error => Arc::new(error),
    }
}

/// Entries on their way into the ledger. Dropped before they are written, they are owed as before, ahead of what has come
/// since.
struct LaneTurn<'a> {
    late: &'a Late,
    entries: VecDeque<LateEntry>,
    /// Those that could not be written for a reason of their own.
    set_back: Vec<LateEntry>,
}

impl<'a> LaneTurn<'a> {
    fn of(late: &'a Late) -> Self {
        let entries = std::mem::take(&mut late.kept().entries);
        Self { late, entries, set_back: Vec::new() }
    }

    /// The first so many are written.
    fn written(&mut self, count: usize) {
        let mut kept = self.late.kept();
        for entry in self.entries.drain(..count.min(self.entries.len())) {
            let owed = kept.owed.of(&entry);
            *owed = owed.saturating_sub(1);
        }
    }

    /// The first one is tried again later.
    fn set_back(&mut self, error: StoreError) {
        self.set_back.extend(self.entries.pop_front());
        self.late.kept().error = Some(shared(error));
    }

    /// The first one became this.
    fn becomes(&mut self, entry: LateEntry) {
        if let Some(first) = self.entries.front_mut() {
            let mut kept = self.late.kept();
            *kept.owed.of(&entry) += 1;
            let owed = kept.owed.of(first);
            *owed = owed.saturating_sub(1);
            *first = entry;
        }
    }
}

impl Drop for LaneTurn<'_> {
    fn drop(&mut self) {
        let mut kept = self.late.kept();
        let left: Vec<_> = self.set_back.drain(..).chain(self.entries.drain(..)).collect();
        left.into_iter().rev().for_each(|entry| kept.entries.push_front(entry));
        if kept.owed == Count::default() {
            // Of triggers beyond nothing is known but their number, and the files of pictures wait for the next start.
            kept.beyond.triggers = 0;
            kept.is_unnoted = false;
        }
    }
}

impl Store {
    /// What the ledger is owed, and why, for people; `None` when it is owed nothing.
    pub fn late(&self) -> Option<String> {
        self.late.words(&self.database)
    }

    /// Writes down what the ledger is owed, if that works now. Returns what has become visible by it; an error says that
    /// the database still takes nothing.
    ///
    /// Dropping the future loses nothing.
    pub async fn catch_up(&self) -> Result<CaughtUp, StoreError> {
        let (mut turn, mut done) = (LaneTurn::of(&self.late), CaughtUp::default());
        while let Some(first) = turn.entries.front().cloned() {
            let written = match first {
                LateEntry::Picture { saved, row } => {
                    self.late_picture(&mut turn, &mut done, &saved, row).await
                }
                LateEntry::Whole { .. } | LateEntry::End { .. } => {
                    self.late_triggers(&mut turn, &mut done).await
                }
            };
            match written {
                Ok(()) => {}
                Err(error) if done.triggers.is_empty() && done.images.is_empty() => {
                    let why = shared(error);
                    self.late.kept().error = Some(Arc::clone(&why));
                    return Err(StoreError::Behind { why });
                }
                // The rest is tried at the next turn; what has become visible is to be told.
                Err(error) => {
                    self.late.kept().error = Some(shared(error));
                    break;
                }
            }
        }
        drop(turn);
        done.triggers.sort_unstable();
        done.triggers.dedup();
        Ok(done)
    }

    /// Writes the row of the first entry, a picture. The error is that of the database.
    async fn late_picture(
        &self,
        turn: &mut LaneTurn<'_>,
        done: &mut CaughtUp,
        saved: &Saved,
        row: Option<TriggerId>,
    ) -> Result<(), StoreError> {
        let give_up = |reason: NoPicture| match row {
            Some(id) => LateEntry::End { id, reason },
            None => LateEntry::Whole {
                trigger: saved.trigger().clone(),
                outcome: Outcome::Failed,
                reason,
                is_noted: true,
            },
        };
        match self.try_enter(saved, row).await {
            Ok(entered) => {
                if let Some(entered) = entered {
                    done.triggers.push(entered.trigger);
                    done.images.push(entered.image);
                }
                turn.written(1);
                self.late.works();
            }
            Err(error) if error.is_of_database() => return Err(error),
            Err(StoreError::PushedBefore) => {
                self.drop_saved(saved).await;
                turn.written(1);
                self.late.works();
            }
            Err(error @ StoreError::NoName) => {
                self.drop_saved(saved).await;
                turn.becomes(give_up(NoPicture::NotStored { detail: error.to_string() }));
            }
            Err(error) if is_absent(&error) && self.is_gone(saved).await => {
                error!(file = %saved.place().display(), "a picture that was kept is gone before it had its row");
                turn.becomes(give_up(NoPicture::FileRemoved));
            }
            Err(error) => turn.set_back(error),
        }
        Ok(())
    }

    /// Whether the file is gone, and not its disk.
    async fn is_gone(&self, saved: &Saved) -> bool {
        let (files, place) = (self.files.clone(), saved.place());
        let look = blocking(move || {
            let found = files.look().and_then(|mut look| look.length(&place));
            Ok(files.is_there() && found.is_ok_and(|length| length.is_none()))
        });
        look.await.unwrap_or(false)
    }

    /// Writes the rows of the first entries, triggers without a picture.
    async fn late_triggers(&self, turn: &mut LaneTurn<'_>, done: &mut CaughtUp) -> Result<(), StoreError> {
        let some: Vec<LateEntry> =
            turn.entries.iter().take(BATCH).take_while(|entry| !entry.is_picture()).cloned().collect();
        let rows: Vec<Row> = some.iter().filter_map(|entry| self.row(entry)).collect();
        let written: Vec<TriggerId> = self
            .db
            .insist_within(EDGE_PATIENCE, move |tx| rows.iter().map(|row| row.write(tx)).collect())
            .await?;
        done.triggers.extend(written);
        turn.written(some.len());
        self.late.works();
        for entry in &some {
            if let LateEntry::Whole { trigger, .. } = entry {
                self.forget_edge(trigger).await;
            }
        }
        Ok(())
    }

    fn row(&self, entry: &LateEntry) -> Option<Row> {
        match entry {
            LateEntry::Whole { trigger, outcome, reason, .. } => {
                Some(Row::Whole(ledger::Values::of(self, trigger, Some((*outcome, reason.clone())))))
            }
            LateEntry::End { id, reason } => Some(Row::End(*id, reason.clone())),
            LateEntry::Picture { .. } => None,
        }
    }
}

fn is_absent(error: &StoreError) -> bool {
    matches!(error, StoreError::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

#[derive(Clone)]
enum Row {
    Whole(ledger::Values),
    End(TriggerId, NoPicture),
}

impl Row {
    fn write(&self, tx: &Transaction<'_>) -> Result<TriggerId, StoreError> {
        match self {
            Self::Whole(values) => values.insert_once(tx),
            Self::End(id, reason) => ledger::fail(tx, *id, reason).map(|()| *id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{T0, trigger};

    fn keep(late: &Late, n: usize) {
        let trigger = trigger("r1", T0 + i64::try_from(n).unwrap());
        let (outcome, reason) = (Outcome::Failed, NoPicture::Words("é".repeat(600)));
        late.keep(LateEntry::Whole { trigger, outcome, reason, is_noted: false }, StoreError::Interrupted);
    }

    fn words(late: &Late) -> Option<String> {
        late.words(Path::new("/x.db"))
    }

    #[test]
    fn what_could_not_be_written_comes_back_before_what_came_since() {
        let late = Late::default();
        assert_eq!(words(&late), None);
        assert!(late.stuck().is_none());
        for n in 0..3 {
            keep(&late, n);
        }
        let mut turn = LaneTurn::of(&late);
        keep(&late, 3);
        turn.written(1);
        turn.set_back(StoreError::Interrupted);
        assert!(words(&late).unwrap().contains("yet: 3, the newest r1 at"), "what is being written is owed");
        assert!(late.stuck().is_some());
        drop(turn);
        let mut turn = LaneTurn::of(&late);
        let order: Vec<_> = turn.entries.iter().map(instant).collect();
        assert_eq!(order, [T0 + 1, T0 + 2, T0 + 3]);
        turn.written(3);
        drop(turn);
        assert_eq!(words(&late), None);
        assert!(late.stuck().is_none(), "what owes nothing keeps nothing back");
    }

    #[test]
    fn memory_is_bounded_and_the_rest_is_counted() {
        let late = Late::default();
        for n in 0..ENTRIES_MAX + 5 {
            keep(&late, n);
        }
        let said = words(&late).unwrap();
        assert!(said.contains("yet: 10005, of which 5 are only counted"), "{said}");
        let mut turn = LaneTurn::of(&late);
        assert_eq!(turn.entries.len(), ENTRIES_MAX);
        let length = |entry: &LateEntry| match entry {
            LateEntry::Whole { reason, .. } | LateEntry::End { reason, .. } => {
                reason.to_string().chars().count()
            }
            LateEntry::Picture { .. } => 0,
        };
        assert_eq!(turn.entries.iter().map(length).max(), Some(REASON_MAX));
        turn.written(ENTRIES_MAX);
        drop(turn);
        assert_eq!(words(&late), None);
    }

    fn instant(entry: &LateEntry) -> i64 {
        match entry {
            LateEntry::Whole { trigger, .. } => trigger.edge.wall.0,
            LateEntry::End { .. } | LateEntry::Picture { .. } => 0,
        }
    }
}
