//! The durable queue of analyses: about which pictures a server is still to be asked, and what it said.
//!
//! As with uploads, a claim writes nothing, and only outcomes are written. Nothing here is owed to a target: no delivery
//! and no retention waits for it.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params};
use tokio::sync::watch;

use super::analysis_rows::NewReading;
use super::image_row::{COLUMNS, image};
use super::queue::DuePicture;
use super::readings;
use super::rows::Image;
use super::settlement::Settlement;
use super::wake::Waking;
use super::written::KeptReason;
use super::{Store, StoreError, images};
use crate::model::{Cause, FileName, ImageKind, Medium, UnixMs};

/// Of what a server said this much is kept, characters.
const ANSWER_MAX: usize = 8_000;

/// Rows that one transaction makes due again.
const ROWS_AT_A_TIME: i64 = 500;

/// A picture about which the server is to be asked.
#[derive(Clone, Debug)]
pub struct DueAnalysis {
    /// The picture.
    pub picture: DuePicture,
    /// Attempts before this one.
    pub attempts: u32,
    /// Answers before that said nothing of this picture.
    pub refusals: u32,
}

/// What became of one question.
#[derive(Clone, Debug, PartialEq)]
pub enum AnalysisOutcome {
    /// The server answered.
    Read {
        /// What it read.
        readings: Vec<NewReading>,
        /// What it said.
        answer: String,
        /// When.
        at: UnixMs,
    },
    /// It did not, and this follows; what a delivery would be is no outcome of a question.
    Failed(Settlement),
}

/// Questions that were asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    /// On this day in UTC.
    pub day: u64,
    /// In this month in UTC.
    pub month: u64,
}

/// How many analyses are in which state.
#[derive(Clone, Debug, Default)]
pub struct AnalysisCounts {
    /// Pictures about which the server is still to be asked.
    pub waiting: u64,
    /// Pictures that were put aside.
    pub dead: u64,
    /// Readings that a person has still to look at.
    pub unsure: u64,
}

/// The queue of analyses, for its lane.
#[derive(Clone)]
pub struct AnalysisQueue {
    store: Store,
}

pub(super) const NEXT_SQL: &str = "
    select analyses.image_id, analyses.attempts, analyses.refusals
    from analyses indexed by analyses_waiting
    where analyses.state = 'pending' and not_before <= :now
      and exists (select 1 from images where images.id = analyses.image_id and images.state = 'present')
    order by not_before, image_id desc
    limit 1";

pub(super) const NEXT_DUE_SQL: &str = "
    select not_before from analyses indexed by analyses_waiting
    where state = 'pending' and not_before > :now
    order by not_before limit 1";

pub(super) const END_WAITS_SQL: &str = "
    update analyses indexed by analyses_waiting set not_before = 0
    where state = 'pending' and not_before > :latest";

const SETTLE_SQL: &str = "
    update analyses
    set state = :state, attempts = attempts + 1, refusals = refusals + :refusals, not_before = :not_before,
        tried_at = :now, last_error = :error, last_error_code = :error_code, last_error_params = :error_params
    where image_id = :image and state = 'pending'";

const DONE_SQL: &str = "
    update analyses
    set state = 'done', attempts = attempts + 1, not_before = 0, tried_at = :now, done_at = :now, answer = :answer
    where image_id = :image and state = 'pending'";

const EXCUSE_SQL: &str = "
    update analyses set state = 'pending', refusals = 0, not_before = :not_before
    where image_id = :image and state in ('pending', 'dead')";

const SPEND_SQL: &str = "
    insert into analysis_spending (day, questions) values (:day, 1)
    on conflict (day) do update set questions = questions + 1";

pub(super) const SPENT_SQL: &str = "
    select coalesce(sum(questions), 0), coalesce(sum(questions) filter (where day = :day), 0)
    from analysis_spending where day >= :month and day < :month || '~'";

pub(super) const NEXT_DEAD_SQL: &str = "
    select image_id from analyses indexed by analyses_dead
    where state = 'dead' and image_id > :after
    order by image_id
    limit :limit";

/// The newest that were put aside.
pub(super) fn dead_sql() -> String {
    format!(
        "select {COLUMNS} from images
         where images.id in (select image_id from analyses indexed by analyses_dead where state = 'dead'
                             order by image_id desc limit :limit)
           and images.state = 'present'"
    )
}

/// The newest of which a person has still to look at something.
pub(super) fn unsure_sql() -> String {
    format!(
        "select {COLUMNS} from images
         where images.id in (select distinct image_id from readings indexed by readings_unsure
                             where unsure = 1 and checked_at is null
                             order by image_id desc limit :limit)
           and images.state = 'present'"
    )
}

impl Store {
    /// The same store, which owes an analysis of each new picture of these causes.
    #[must_use]
    pub fn analysing(mut self, causes: &[Cause]) -> Self {
        self.analysed = causes.into();
        self
    }

    /// The queue of analyses.
    pub fn analyses(&self) -> AnalysisQueue {
        AnalysisQueue { store: self.clone() }
    }

    /// The server is asked about a picture at once, also if it has answered before; `None` when there is no such picture,
    /// or it is a clip.
    pub async fn analyse(&self, name: &FileName) -> Result<Option<Image>, StoreError> {
        const WISH_SQL: &str = "
            insert into analyses (image_id, state)
            select id, 'pending' from images where file_name = :name and state = 'present'
            on conflict (image_id) do update set state = 'pending', not_before = 0, attempts = 0, refusals = 0";
        if name.medium() != Medium::Jpeg {
            return Ok(None);
        }
        let name = name.clone();
        self.db
            .write(move |tx| {
                tx.execute(WISH_SQL, named_params! {":name": name.to_string()})?;
                images::by_name(tx, &name)
            })
            .await
    }

    /// What the server said of a picture; `None` while it has not.
    pub async fn analysis_answer(&self, name: &FileName) -> Result<Option<String>, StoreError> {
        const ANSWER_SQL: &str = "
            select answer from analyses join images on images.id = image_id
            where file_name = :name and images.state = 'present'";
        let name = name.to_string();
        self.db
            .read(move |c| {
                let found = c
                    .prepare_cached(ANSWER_SQL)?
                    .query_row(named_params! {":name": name}, |row| row.get::<_, Option<String>>(0));
                Ok(found.optional()?.flatten())
            })
            .await
    }

    /// Makes everything that was put aside due at once. Returns how many; in bounded transactions.
    pub async fn retry_analyses(&self) -> Result<u64, StoreError> {
        let (mut count, mut after) = (0, i64::MIN);
        while let Some((rows, last)) = self.retry_some_analyses(after).await? {
            count += rows;
            after = last;
        }
        Ok(count)
    }

    async fn retry_some_analyses(&self, after: i64) -> Result<Option<(u64, i64)>, StoreError> {
        const OWED_AGAIN_SQL: &str = "
            update analyses set state = 'pending', not_before = 0, refusals = 0, attempts = 0
            where image_id = :image and state = 'dead'";
        self.db
            .write(move |tx| {
                let rows = tx
                    .prepare_cached(NEXT_DEAD_SQL)?
                    .query_map(named_params! {":after": after, ":limit": ROWS_AT_A_TIME}, |row| row.get(0))?
                    .collect::<Result<Vec<i64>, _>>()?;
                for row in &rows {
                    tx.prepare_cached(OWED_AGAIN_SQL)?.execute(named_params! {":image": row})?;
                }
                Ok(rows.last().map(|last| (rows.len() as u64, *last)))
            })
            .await
    }

    /// The newest pictures whose analysis was put aside.
    pub async fn dead_analyses(&self, limit: u32) -> Result<Vec<Image>, StoreError> {
        self.db.read(move |c| newest(c, &dead_sql(), limit)).await
    }

    /// The newest pictures in which a person has still to look at a reading.
    pub async fn unsure_readings(&self, limit: u32) -> Result<Vec<Image>, StoreError> {
        self.db.read(move |c| newest(c, &unsure_sql(), limit)).await
    }

    /// How the analyses stand.
    pub async fn analysis_counts(&self) -> Result<AnalysisCounts, StoreError> {
        const COUNTS_SQL: &str = "
            select (select count(*) from analyses where state = 'pending'),
                   (select count(*) from analyses where state = 'dead'),
                   (select count(*) from readings where unsure = 1 and checked_at is null)";
        self.db
            .read(|c| {
                let count =
                    |row: &Row<'_>, at| Ok::<_, rusqlite::Error>(row.get::<_, i64>(at)?.unsigned_abs());
                Ok(c.prepare_cached(COUNTS_SQL)?.query_row([], |row| {
                    Ok(AnalysisCounts {
                        waiting: count(row, 0)?,
                        dead: count(row, 1)?,
                        unsure: count(row, 2)?,
                    })
                })?)
            })
            .await
    }
}

impl AnalysisQueue {
    /// The next picture that is due: those that wait for no instant first, the newest of them first, because nobody at the
    /// gate waits for an old one. Writes nothing.
    pub async fn claim(&self, now: UnixMs) -> Result<Option<DueAnalysis>, StoreError> {
        let root = self.store.root().to_owned();
        self.store
            .db
            .read(move |c| {
                let next = c
                    .prepare_cached(NEXT_SQL)?
                    .query_row(named_params! {":now": now.0}, |row| {
                        Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?))
                    })
                    .optional()?;
                let Some((row, attempts, refusals)) = next else { return Ok(None) };
                let sql = format!("select {COLUMNS} from images where id = :image");
                let (_, image) = c.prepare_cached(&sql)?.query_row(named_params! {":image": row}, image)?;
                Ok(Some(DueAnalysis { picture: DuePicture::of(row, image, &root), attempts, refusals }))
            })
            .await
    }

    /// Writes down what became of a question, and that it was asked if it `is_spent`, in one transaction. What somebody
    /// deleted or settled meanwhile keeps its state.
    pub async fn settle(
        &self,
        due: &DueAnalysis,
        outcome: AnalysisOutcome,
        excused: Vec<(i64, UnixMs)>,
        spent_at: Option<UnixMs>,
    ) -> Result<(), StoreError> {
        let row = due.picture.row();
        self.store
            .db
            .insist(move |tx| {
                spent_at.map(|at| spend(tx, at)).transpose()?;
                for (row, not_before) in &excused {
                    let params = named_params! {":not_before": not_before.0, ":image": row};
                    tx.prepare_cached(EXCUSE_SQL)?.execute(params)?;
                }
                write(tx, row, outcome.clone())
            })
            .await
    }

    /// Writes down that a question was asked about a picture that is not stored.
    pub async fn spend(&self, at: UnixMs) -> Result<(), StoreError> {
        self.store.db.insist(move |tx| spend(tx, at)).await
    }

    /// The questions of today and of this month.
    pub async fn spent(&self, now: UnixMs) -> Result<Spending, StoreError> {
        self.store
            .db
            .read(move |c| {
                let (month, day) = (month_of(now), day_of(now));
                let params = named_params! {":month": month, ":day": day};
                Ok(c.prepare_cached(SPENT_SQL)?.query_row(params, |row| {
                    let (month, day): (i64, i64) = (row.get(0)?, row.get(1)?);
                    Ok(Spending { month: month.unsigned_abs(), day: day.unsigned_abs() })
                })?)
            })
            .await
    }

    /// When the next picture falls due of those that wait for an instant after `now`.
    pub async fn next_due(&self, now: UnixMs) -> Result<Option<UnixMs>, StoreError> {
        self.store
            .db
            .read(move |c| {
                let at = c
                    .prepare_cached(NEXT_DUE_SQL)?
                    .query_row(named_params! {":now": now.0}, |row| row.get(0))
                    .optional()?;
                Ok(at.map(UnixMs))
            })
            .await
    }

    /// Ends the waits that would end after `latest`: they are due at once.
    pub async fn end_waits(&self, latest: UnixMs) -> Result<(), StoreError> {
        // At rest nothing is written.
        if self.next_due(latest).await?.is_none() {
            return Ok(());
        }
        self.store
            .db
            .write(move |tx| {
                tx.prepare_cached(END_WAITS_SQL)?.execute(named_params! {":latest": latest.0})?;
                Ok(())
            })
            .await
    }

    /// What ends the waits of the lane, from now on.
    pub fn waking(&self) -> Waking {
        self.store.wakes().of_analyses()
    }

    /// As [`Store::commits`].
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.store.commits()
    }

    /// As [`Store::away`].
    pub fn away(&self) -> Option<String> {
        self.store.away()
    }
}

/// The server shall be asked about a new picture, in the transaction that stores it.
pub(super) fn owe(tx: &Transaction<'_>, image: i64) -> Result<(), StoreError> {
    const OWE_SQL: &str =
        "insert into analyses (image_id, state) values (:image, 'pending') on conflict do nothing";
    tx.prepare_cached(OWE_SQL)?.execute(named_params! {":image": image})?;
    Ok(())
}

/// Whether a picture is one of those that are analysed by themselves: the best one of a stretch shows the same car.
pub(super) fn is_wanted(causes: &[Cause], cause: Cause, kind: ImageKind) -> bool {
    kind == ImageKind::Instant && causes.contains(&cause)
}

fn spend(tx: &Transaction<'_>, at: UnixMs) -> Result<(), StoreError> {
    tx.prepare_cached(SPEND_SQL)?.execute(named_params! {":day": day_of(at)})?;
    Ok(())
}

/// Such as `2026-11-20`.
fn day_of(at: UnixMs) -> String {
    at.rfc3339().chars().take(10).collect()
}

/// Such as `2026-11`.
fn month_of(at: UnixMs) -> String {
    at.rfc3339().chars().take(7).collect()
}

fn write(tx: &Transaction<'_>, row: i64, outcome: AnalysisOutcome) -> Result<(), StoreError> {
    let now = crate::clock::now();
    let (state, not_before, error, refusals) = match outcome {
        AnalysisOutcome::Read { readings, answer, at } => {
            let answer: String = kept_answer(&answer);
            let params = named_params! {":now": at.0, ":answer": answer, ":image": row};
            if tx.prepare_cached(DONE_SQL)?.execute(params)? > 0 {
                readings::replace(tx, row, &readings)?;
            }
            return Ok(());
        }
        AnalysisOutcome::Failed(settlement) => match settlement {
            Settlement::Retry { not_before, error } => ("pending", not_before.0, error, 0),
            Settlement::Refused { not_before, error } => ("pending", not_before.0, error, 1),
            Settlement::Dead { error } => ("dead", 0, error, 1),
            Settlement::Lost { error } => ("dead", 0, error, 0),
            Settlement::Delivered { .. } | Settlement::Excused { .. } => return Ok(()),
        },
    };
    let error = KeptReason::of(&error);
    tx.prepare_cached(SETTLE_SQL)?.execute(named_params! {
        ":state": state, ":refusals": refusals, ":not_before": not_before, ":now": now.0, ":error": error.words,
        ":error_code": error.code, ":error_params": error.params, ":image": row,
    })?;
    Ok(())
}

fn kept_answer(answer: &str) -> String {
    crate::model::foreign::line(answer, ANSWER_MAX)
}

pub(super) fn newest(c: &Connection, sql: &str, limit: u32) -> Result<Vec<Image>, StoreError> {
    let tx = c.unchecked_transaction()?;
    let mut rows = tx
        .prepare_cached(sql)?
        .query_map(named_params! {":limit": limit}, image)?
        .collect::<Result<Vec<_>, _>>()?;
    rows.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
    images::with_uploads(&tx, rows)
}
