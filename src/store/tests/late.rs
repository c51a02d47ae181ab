//! The database takes nothing for a while: locked by another program, refusing, away with the process. No picture and no
//! edge is lost to that, and each is there once.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::testing::{Place, T0, assert_in_order, claim, clip, picture, trigger};
use super::*;
use crate::model::{ImageId, ImageKind, Outcome, Trigger};

/// Another program that writes for as long as it likes.
fn lock(place: &Place) -> Connection {
    let other = place.sql();
    other.execute_batch("begin immediate").unwrap();
    other
}

fn edge(n: i64) -> Trigger {
    trigger("r1", T0 + n * 1000)
}

/// What the task of a camera does with a trigger whose picture is there.
async fn shoot(store: &Store, trigger: &Trigger) -> Result<Image, StoreError> {
    let row = store.begin_trigger(trigger).await.ok();
    let new = picture(trigger, TriggerId::of(0), ImageId::random(), 0);
    store.record(NewImage { trigger: row, ..new }).await
}

fn is_kept(result: &Result<Image, StoreError>) -> bool {
    matches!(result, Err(StoreError::Kept { .. }))
}

/// Outcome, reason and pictures of every edge, oldest first.
async fn ledger(store: &Store) -> Vec<(i64, Option<Outcome>, Option<String>, usize)> {
    let query = LedgerQuery { limit: 100, ..LedgerQuery::default() };
    let items = store.ledger(query).await.unwrap().items;
    let told = |entry: LedgerEntry| {
        (
            (entry.edge_at.0 - T0) / 1000,
            entry.outcome,
            entry.reason.map(|reason| reason.to_string()),
            entry.images.len(),
        )
    };
    items.into_iter().rev().map(told).collect()
}

fn captured(n: i64) -> (i64, Option<Outcome>, Option<String>, usize) {
    (n, Some(Outcome::Captured), None, 1)
}

fn failed(n: i64, reason: &str) -> (i64, Option<Outcome>, Option<String>, usize) {
    (n, Some(Outcome::Failed), Some(reason.to_owned()), 0)
}

/// Everything is there once, and is owed once.
async fn assert_whole(place: &Place, store: &Store, pictures: usize) {
    assert_eq!(store.late(), None);
    assert_in_order(place);
    assert_eq!(claim(store, 100).await.len(), pictures);
    let caught_up = store.catch_up().await.unwrap();
    assert!(caught_up.triggers.is_empty() && caught_up.images.is_empty());
}

#[tokio::test]
async fn what_is_taken_while_another_program_holds_the_database_is_listed_once_afterwards() {
    let place = Place::new();
    let store = place.open();
    shoot(&store, &edge(0)).await.unwrap();
    let other = lock(&place);
    assert!(is_kept(&shoot(&store, &edge(1)).await));
    // Nobody waits for what is known.
    let began = Instant::now();
    for n in 2..20 {
        assert!(is_kept(&shoot(&store, &edge(n)).await));
    }
    assert!(store.end_trigger(&edge(20), Outcome::Failed, "no frame").await.is_err());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let words = store.late().unwrap();
    assert!(words.contains("not listed or delivered yet: 19"), "{words}");
    assert!(words.contains("another program holds") && words.contains("fuser"), "{words}");
    assert!(!words.contains("lost"), "{words}");
    assert!(store.catch_up().await.is_err(), "it still holds it");
    assert_eq!(store.late(), Some(words));

    drop(other);
    let caught_up = store.catch_up().await.unwrap();
    assert_eq!((caught_up.triggers.len(), caught_up.images.len()), (20, 19));
    let expected: Vec<_> = (0..20).map(captured).chain([failed(20, "no frame")]).collect();
    assert_eq!(ledger(&store).await, expected);
    assert_whole(&place, &store, 20).await;
    shoot(&store, &edge(21)).await.unwrap();
}

#[tokio::test]
async fn what_was_kept_is_found_by_the_next_start_with_its_edge() {
    let place = Place::new();
    let store = place.open();
    let open = store.begin_trigger(&edge(0)).await.unwrap();
    let other = lock(&place);
    // One whose edge is in the ledger, one whose edge is not, a clip, and edges without a picture.
    let known = picture(&edge(0), open, ImageId::random(), 0);
    assert!(is_kept(&store.record(known).await));
    assert!(is_kept(&shoot(&store, &edge(1)).await));
    let beside = clip(&edge(1), TriggerId::of(0), ImageId::random(), 0);
    assert!(is_kept(&store.record(NewImage { trigger: None, ..beside }).await));
    assert!(store.end_trigger(&edge(2), Outcome::Failed, "no frame").await.is_err());
    assert!(store.begin_trigger(&edge(3)).await.is_err());
    drop((store, other));

    let store = place.open();
    let done = store.reconcile().await.unwrap();
    assert_eq!(done, Reconciled { adopted: 3, interrupted: 3, ..Reconciled::default() });
    let interrupted = "the program ended before the picture was stored (power cut, crash or restart)";
    assert_eq!(
        ledger(&store).await,
        [captured(0), (1, Some(Outcome::Captured), None, 2), failed(2, "no frame"), failed(3, interrupted)]
    );
    assert_whole(&place, &store, 3).await;
    assert_eq!(store.reconcile().await.unwrap(), Reconciled::default());
}

#[tokio::test]
async fn a_picture_that_has_its_name_and_not_its_row_gets_the_row() {
    let place = Place::new();
    let store = place.open();
    let refuse = "create trigger refuse before insert on uploads begin select raise(abort, 'no'); end";
    place.sql().execute_batch(refuse).unwrap();
    assert!(is_kept(&shoot(&store, &edge(0)).await));
    assert_eq!((place.pictures().len(), place.hidden(".incoming").len()), (1, 0));
    assert!(store.catch_up().await.is_err());
    // A comparison comes first, and is refused as well.
    place.sql().execute_batch("drop trigger refuse").unwrap();
    let caught_up = store.catch_up().await.unwrap();
    assert_eq!((caught_up.triggers.len(), caught_up.images.len()), (1, 1));
    assert_eq!(ledger(&store).await, [captured(0)]);
    assert_whole(&place, &store, 1).await;
}

#[tokio::test]
async fn a_picture_that_a_comparison_has_adopted_meanwhile_is_there_once() {
    let place = Place::new();
    let store = place.open();
    let other = lock(&place);
    assert!(is_kept(&shoot(&store, &edge(0)).await));
    drop(other);
    // As when the disk with the pictures comes back.
    let done = store.reconcile_folder().await.unwrap();
    assert_eq!(done, Reconciled { adopted: 1, ..Reconciled::default() });
    assert_eq!(store.catch_up().await.unwrap().images.len(), 1);
    assert_eq!(ledger(&store).await, [captured(0)]);
    assert_whole(&place, &store, 1).await;
}

#[tokio::test]
async fn a_picture_that_was_removed_before_it_had_its_row_is_a_failure_in_words() {
    let place = Place::new();
    let store = place.open();
    let other = lock(&place);
    for n in 0..3 {
        assert!(is_kept(&shoot(&store, &edge(n)).await));
    }
    let removed = store.root().join(".incoming");
    for entry in std::fs::read_dir(removed).unwrap().map(Result::unwrap) {
        std::fs::remove_file(entry.path()).unwrap();
    }
    assert!(is_kept(&shoot(&store, &edge(3)).await));
    drop(other);
    let caught_up = store.catch_up().await.unwrap();
    assert_eq!((caught_up.triggers.len(), caught_up.images.len()), (4, 1));
    let gone = "the file of its picture was removed before the database took it";
    assert_eq!(ledger(&store).await, [failed(0, gone), failed(1, gone), failed(2, gone), captured(3)]);
    assert_whole(&place, &store, 1).await;
}

#[tokio::test]
async fn a_picture_that_cannot_be_named_keeps_no_other_back() {
    let place = Place::new();
    let store = place.open();
    let blocked = place.block("2027-01-15");
    assert!(is_kept(&shoot(&store, &edge(0)).await));
    assert!(store.late().unwrap().contains("cannot name the picture"), "{:?}", store.late());
    // Another day.
    shoot(&store, &edge(86_400)).await.unwrap();
    assert!(store.catch_up().await.unwrap().images.is_empty());
    assert!(store.late().is_some());
    for path in blocked {
        std::fs::remove_file(path).unwrap();
    }
    assert_eq!(store.catch_up().await.unwrap().images.len(), 1);
    assert_eq!(ledger(&store).await, [captured(0), captured(86_400)]);
    assert_whole(&place, &store, 2).await;
}

#[tokio::test]
async fn several_pictures_of_an_edge_that_the_ledger_did_not_take_share_its_row() {
    let place = Place::new();
    let store = place.open();
    let other = lock(&place);
    let edge = edge(0);
    assert!(store.begin_trigger(&edge).await.is_err());
    for offset in [-400, 0] {
        let new = picture(&edge, TriggerId::of(0), ImageId::random(), offset);
        assert!(is_kept(&store.record(NewImage { trigger: None, ..new }).await) || offset == -400);
    }
    drop(other);
    store.catch_up().await.unwrap();
    let entries = store.ledger(LedgerQuery { limit: 9, ..LedgerQuery::default() }).await.unwrap().items;
    let kinds: Vec<_> =
        entries[0].images.iter().map(|image| (image.facts.kind, image.facts.frame_offset_ms)).collect();
    assert_eq!(entries.len(), 1);
    assert_eq!(kinds, [(ImageKind::Instant, Some(-400)), (ImageKind::Instant, Some(0))]);
    assert_whole(&place, &store, 2).await;
}

#[tokio::test]
async fn a_note_that_a_crash_left_behind_its_row_changes_nothing() {
    let place = Place::new();
    let store = place.open();
    let other = lock(&place);
    assert!(is_kept(&shoot(&store, &edge(0)).await));
    assert!(store.end_trigger(&edge(1), Outcome::Failed, "no frame").await.is_err());
    assert!(store.end_trigger(&edge(2), Outcome::Coalesced, "busy").await.is_err());
    let incoming = store.root().join(".incoming");
    let notes: Vec<_> = place.hidden(".incoming").into_iter().filter(|name| name.contains('_')).collect();
    assert_eq!(notes.len(), 3, "{notes:?}");
    let path = |name: &String| incoming.join(Path::new(name).file_name().unwrap());
    let texts: Vec<_> = notes.iter().map(|name| std::fs::read(path(name)).unwrap()).collect();
    drop(other);
    store.catch_up().await.unwrap();
    let before = ledger(&store).await;
    assert_eq!(before.len(), 3);
    drop(store);
    for (name, text) in notes.iter().zip(texts) {
        std::fs::write(path(name), text).unwrap();
    }
    let store = place.open();
    store.reconcile().await.unwrap();
    assert_eq!(ledger(&store).await, before);
    assert_whole(&place, &store, 1).await;
}

#[tokio::test]
async fn a_name_that_was_only_taken_when_the_power_went_costs_no_picture() {
    // On a file system without links: the name is there, empty, and the picture has not got it yet.
    let place = Place::new();
    let store = place.open();
    let other = lock(&place);
    assert!(is_kept(&shoot(&store, &edge(0)).await));
    drop((store, other));
    let day = place.images().join("2027-01-15");
    std::fs::create_dir(&day).unwrap();
    std::fs::write(day.join("r1_1800000000.jpg"), "").unwrap();
    let store = place.open();
    let done = store.reconcile().await.unwrap();
    assert_eq!(done, Reconciled { adopted: 1, quarantined: 1, interrupted: 1, ..Reconciled::default() });
    assert_eq!(ledger(&store).await, [captured(0)]);
    assert_whole(&place, &store, 1).await;
}

#[tokio::test]
async fn a_picture_that_was_quicker_than_its_edge_when_the_power_went_has_both() {
    let place = Place::new();
    let store = place.open();
    let trigger = edge(0);
    let new = picture(&trigger, TriggerId::of(0), ImageId::random(), 250);
    store.save(NewImage { trigger: None, ..new }).await.unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.reconcile().await.unwrap(), Reconciled { adopted: 1, ..Reconciled::default() });
    assert_eq!(ledger(&store).await, [captured(0)]);
    let query = LedgerQuery { limit: 1, ..LedgerQuery::default() };
    let entry = store.ledger(query).await.unwrap().items.remove(0);
    assert_eq!((entry.cause, entry.clock), (trigger.cause, crate::model::ClockState::Unsynced));
    assert_whole(&place, &store, 1).await;
}
