//! What the ledger is owed: edges, ends of triggers and rows of pictures that could not be written, because another process
//! holds the database, its disk took nothing, or it is gone. They are kept in memory, oldest first, until `catch_up` has
//! written them. The pictures themselves are files by then, and edges are noted beside them (`unwritten`), so the next
//! start finds both.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::push::PushIdentity;
use super::rows::TriggerId;
use super::saved::Saved;
use super::{Store, StoreError};
use crate::model::{CameraKey, Coded as _, NoPicture, Outcome, Trigger, UnixMs};

/// Most entries; about 500 bytes each. Of any more only the number is known, and the next start finds their files.
const ENTRIES_MAX: usize = 10_000;

/// Longest reason that is kept, characters.
const REASON_MAX: usize = 500;

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
    pub(super) fn works(&self) {
        self.kept().error = None;
    }

    /// The database has not taken what is owed. Returns why, to be told.
    pub(super) fn failed(&self, error: StoreError) -> StoreError {
        let why = shared(error);
        self.kept().error = Some(Arc::clone(&why));
        StoreError::Behind { why }
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
pub(super) struct LateTurn<'a> {
    late: &'a Late,
    entries: VecDeque<LateEntry>,
    /// Those that could not be written for a reason of their own.
    set_back: Vec<LateEntry>,
}

impl<'a> LateTurn<'a> {
    pub(super) fn of(late: &'a Late) -> Self {
        let entries = std::mem::take(&mut late.kept().entries);
        Self { late, entries, set_back: Vec::new() }
    }

    /// The one whose turn it is.
    pub(super) fn first(&self) -> Option<&LateEntry> {
        self.entries.front()
    }

    /// The first ones, up to so many, as long as they are triggers without a picture.
    pub(super) fn triggers(&self, most: usize) -> Vec<LateEntry> {
        self.entries.iter().take(most).take_while(|entry| !entry.is_picture()).cloned().collect()
    }

    /// The first so many are written.
    pub(super) fn written(&mut self, count: usize) {
        let mut kept = self.late.kept();
        for entry in self.entries.drain(..count.min(self.entries.len())) {
            let owed = kept.owed.of(&entry);
            *owed = owed.saturating_sub(1);
        }
    }

    /// The first one is tried again later.
    pub(super) fn set_back(&mut self, error: StoreError) {
        self.set_back.extend(self.entries.pop_front());
        self.late.failed(error);
    }

    /// The first one became this.
    pub(super) fn becomes(&mut self, entry: LateEntry) {
        if let Some(first) = self.entries.front_mut() {
            let mut kept = self.late.kept();
            *kept.owed.of(&entry) += 1;
            let owed = kept.owed.of(first);
            *owed = owed.saturating_sub(1);
            *first = entry;
        }
    }
}

impl Drop for LateTurn<'_> {
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
        let mut turn = LateTurn::of(&late);
        keep(&late, 3);
        turn.written(1);
        turn.set_back(StoreError::Interrupted);
        assert!(words(&late).unwrap().contains("yet: 3, the newest r1 at"), "what is being written is owed");
        assert!(late.stuck().is_some());
        drop(turn);
        let mut turn = LateTurn::of(&late);
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
        let mut turn = LateTurn::of(&late);
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
