//! What the ledger is owed: edges and ends of triggers that could not be written, mostly because a full disk took nothing,
//! not even with the ballast gone. They are kept in memory, oldest first, and written in one transaction as soon as that
//! works. Only a power cut loses them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Transaction;

use super::ledger::{self, TriggerId};
use super::{Store, StoreError};
use crate::model::{Outcome, Trigger};

/// The alarm about it.
pub const LATE_ALARM: &str = "ledger";

/// Most entries; about 300 bytes each. Of any more only the number is known.
const ENTRIES_MAX: usize = 10_000;

/// Longest reason that is kept, characters.
const REASON_MAX: usize = 500;

#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// A trigger that is not in the ledger at all.
    Whole { trigger: Trigger, outcome: Outcome, reason: String },
    /// The end of one that is.
    End { id: TriggerId, reason: String },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Late(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<Entry>,
    /// Entries that are being written.
    writing: usize,
    /// Entries for which there was no room here either.
    beyond: usize,
    /// What the newest one is, for people.
    newest: String,
    /// Why it could not be written.
    error: String,
}

impl Late {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whole between statements; a panicked holder cannot have spoiled it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an entry that could not be written.
    pub(super) fn keep(&self, mut entry: Entry, error: &StoreError) {
        let mut kept = self.kept();
        kept.error = error.to_string();
        let (Entry::Whole { reason, .. } | Entry::End { reason, .. }) = &mut entry;
        if let Some((end, _)) = reason.char_indices().nth(REASON_MAX) {
            reason.truncate(end);
        }
        kept.newest = match &entry {
            Entry::Whole { trigger, .. } => format!("{} at {}", trigger.camera, trigger.edge_at.rfc3339()),
            Entry::End { id, .. } => format!("event {}", id.get()),
        };
        if kept.entries.len() + kept.writing < ENTRIES_MAX {
            kept.entries.push_back(entry);
        } else {
            kept.beyond += 1;
        }
    }

    fn take(&self) -> Vec<Entry> {
        let mut kept = self.kept();
        let entries: Vec<_> = kept.entries.drain(..).collect();
        kept.writing += entries.len();
        entries
    }

    /// What was taken is written, or comes back before what has come since.
    fn give_back(&self, entries: Vec<Entry>, is_written: bool) {
        let mut kept = self.kept();
        kept.writing -= entries.len();
        if is_written {
            kept.beyond = 0;
        } else {
            entries.into_iter().rev().for_each(|entry| kept.entries.push_front(entry));
        }
    }

    fn words(&self) -> Option<String> {
        let kept = self.kept();
        let count = kept.entries.len() + kept.writing + kept.beyond;
        (count > 0).then(|| {
            let beyond = match kept.beyond {
                0 => String::new(),
                n => format!(", of which {n} are only counted"),
            };
            format!(
                "triggers without a picture that are not in the ledger yet: {count}{beyond}, the newest {}: {}; they are \
                 written as soon as that works, and are lost if the power goes before",
                kept.newest, kept.error
            )
        })
    }
}

/// Entries on their way into the ledger. Dropped before they are written, they are owed as before.
struct Turn<'a> {
    late: &'a Late,
    entries: Vec<Entry>,
    is_written: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.late.give_back(std::mem::take(&mut self.entries), self.is_written);
    }
}

impl Store {
    /// What the ledger is owed, and why, for people; `None` when it is owed nothing.
    pub fn late(&self) -> Option<String> {
        self.late.words()
    }

    /// Writes down what the ledger is owed, if that works now. Returns what has become visible by it.
    ///
    /// Dropping the future loses nothing; what had been handed to the database may then be written twice.
    pub async fn catch_up(&self) -> Result<Vec<TriggerId>, StoreError> {
        let entries = self.late.take();
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let mut turn = Turn { late: &self.late, entries, is_written: false };
        let rows: Vec<_> = turn.entries.iter().map(|entry| self.row(entry)).collect();
        let written = self.db.insist(move |tx| rows.iter().map(|row| row.write(tx)).collect()).await?;
        turn.is_written = true;
        Ok(written)
    }

    fn row(&self, entry: &Entry) -> Row {
        match entry {
            Entry::Whole { trigger, outcome, reason } => {
                Row::Whole(ledger::Values::of(self, trigger, Some((*outcome, reason.clone()))))
            }
            Entry::End { id, reason } => Row::End(*id, reason.clone()),
        }
    }
}

#[derive(Clone)]
enum Row {
    Whole(ledger::Values),
    End(TriggerId, String),
}

impl Row {
    fn write(&self, tx: &Transaction<'_>) -> Result<TriggerId, StoreError> {
        match self {
            Self::Whole(values) => values.insert(tx),
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
        let entry = Entry::Whole { trigger, outcome: Outcome::Failed, reason: "é".repeat(600) };
        late.keep(entry, &StoreError::Interrupted);
    }

    #[test]
    fn what_could_not_be_written_comes_back_before_what_came_since() {
        let late = Late::default();
        assert_eq!(late.words(), None);
        keep(&late, 0);
        keep(&late, 1);
        let taken = late.take();
        keep(&late, 2);
        assert!(late.words().unwrap().contains("yet: 3, the newest r1 at"), "what is being written is owed");
        late.give_back(taken, false);
        let order: Vec<_> = late.take().iter().map(instant).collect();
        assert_eq!(order, [T0, T0 + 1, T0 + 2]);
    }

    #[test]
    fn memory_is_bounded_and_the_rest_is_counted() {
        let late = Late::default();
        for n in 0..ENTRIES_MAX + 5 {
            keep(&late, n);
        }
        let words = late.words().unwrap();
        assert!(words.contains("yet: 10005, of which 5 are only counted"), "{words}");
        let taken = late.take();
        assert_eq!(taken.len(), ENTRIES_MAX);
        let length = |entry: &Entry| match entry {
            Entry::Whole { reason, .. } | Entry::End { reason, .. } => reason.chars().count(),
        };
        let longest = taken.iter().map(length).max();
        assert_eq!(longest, Some(REASON_MAX));
        late.give_back(taken, true);
        assert_eq!(late.words(), None);
    }

    fn instant(entry: &Entry) -> i64 {
        match entry {
            Entry::Whole { trigger, .. } => trigger.edge_at.0,
            Entry::End { .. } => 0,
        }
    }
}
