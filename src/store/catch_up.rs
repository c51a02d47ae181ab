//! Making up for what the ledger is owed (`late`): the rows are written, oldest first, as soon as the database takes them.

use std::io;

use rusqlite::Transaction;
use tracing::error;

use super::blocking::{EDGE_PATIENCE, blocking};
use super::late::{LateEntry, LateTurn};
use super::ledger;
use super::rows::TriggerId;
use super::saved::Saved;
use super::{Image, Store, StoreError};
use crate::model::{NoPicture, Outcome};

/// Triggers without a picture that are written in one transaction.
const BATCH: usize = 100;

/// What has been made up for.
#[derive(Clone, Debug, Default)]
pub struct CaughtUp {
    /// Rows of the ledger that are new or have ended.
    pub triggers: Vec<TriggerId>,
    /// Pictures and clips that are listed now.
    pub images: Vec<Image>,
}

impl Store {
    /// Writes down what the ledger is owed, if that works now. Returns what has become visible by it; an error says that
    /// the database still takes nothing.
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn catch_up(&self) -> Result<CaughtUp, StoreError> {
        let (mut turn, mut done) = (LateTurn::of(&self.late), CaughtUp::default());
        while let Some(first) = turn.first().cloned() {
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
                    return Err(self.late.failed(error));
                }
                // The rest is tried at the next turn; what has become visible is to be told.
                Err(error) => {
                    self.late.failed(error);
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
        turn: &mut LateTurn<'_>,
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
    async fn late_triggers(&self, turn: &mut LateTurn<'_>, done: &mut CaughtUp) -> Result<(), StoreError> {
        let some = turn.triggers(BATCH);
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
