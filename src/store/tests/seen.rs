use super::super::testing::{Place, camera, moment, take};
use super::*;
use crate::model::{Cause, NoPicture, Outcome, Trigger};

fn trigger(name: &str, at: i64) -> Trigger {
    Trigger { camera: camera(name), cause: Cause::Gpio, edge: moment(at), device: None }
}

#[tokio::test]
async fn a_failure_is_news_until_it_was_seen_and_one_that_fails_later_is_news_again() {
    let place = Place::new();
    let store = place.open();
    let under_way = store.begin_trigger(&trigger("r1", 1_000)).await.unwrap();
    let failed = store.end_trigger(&trigger("r2", 2_000), Outcome::Failed, "away").await.unwrap();
    store.end_trigger(&trigger("r2", 2_001), Outcome::Coalesced, "busy").await.unwrap();
    let unseen = store.unseen(3).await.unwrap();
    assert_eq!(
        (unseen.count, unseen.newest[0].id, unseen.newest.len()),
        (1, failed, 1),
        "coalesced is no failure"
    );

    assert_eq!(store.see_failures(failed, UnixMs(5_000)).await.unwrap(), 1);
    assert_eq!(store.unseen(3).await.unwrap().count, 0);
    assert_eq!(store.ledger_entry(failed).await.unwrap().unwrap().seen_at, Some(UnixMs(5_000)));
    assert_eq!(store.see_failures(failed, UnixMs(6_000)).await.unwrap(), 0, "seen once");

    store.fail_trigger(under_way, "no frame").await.unwrap();
    let unseen = store.unseen(3).await.unwrap();
    assert_eq!(
        (unseen.count, unseen.newest[0].id),
        (1, under_way),
        "it is older than what was seen, and is news"
    );
}

#[tokio::test]
async fn what_came_after_the_look_stays_news() {
    let place = Place::new();
    let store = place.open();
    let first = store.end_trigger(&trigger("r1", 1_000), Outcome::Failed, "away").await.unwrap();
    let second = store.end_trigger(&trigger("r1", 2_000), Outcome::Failed, "away").await.unwrap();
    store.see_failures(first, UnixMs(3_000)).await.unwrap();
    let unseen = store.unseen(3).await.unwrap();
    assert_eq!((unseen.count, unseen.newest[0].id), (1, second));
}

#[tokio::test]
async fn a_picture_that_is_stored_ends_the_alarm_of_those_that_could_not_be_and_of_no_others() {
    let place = Place::new();
    let store = place.open();
    let failed = async |at, reason: &str| {
        store.end_trigger(&trigger("r1", at), Outcome::Failed, reason).await.unwrap()
    };
    failed(1_000, &format!("{UNSTORED}: read-only file system")).await;
    assert_eq!(store.standing().await.unwrap().count, 1, "nothing was stored since");
    take(&store, "r2", 2_000).await;
    assert_eq!((store.standing().await.unwrap().count, store.unseen(3).await.unwrap().count), (0, 1));
    // Written down late, of an edge before.
    failed(1_500, &format!("{UNSTORED}, and at first not even this: read-only")).await;
    assert_eq!(store.standing().await.unwrap().count, 0);
    // In whatever language.
    let full = NoPicture::DiskFull { detail: "full".to_owned() };
    store.end_trigger(&trigger("r1", 1_600), Outcome::Failed, full).await.unwrap();
    place.sql().execute_batch("update triggers set reason = 'voll' where reason_code = 'disk_full'").unwrap();
    assert_eq!(store.standing().await.unwrap().count, 0);
    // It fails again; and a camera that was away has nothing to do with the disk.
    let again = failed(3_000, &format!("{UNSTORED}: read-only file system")).await;
    let standing = store.standing().await.unwrap();
    assert_eq!((standing.count, standing.newest[0].id), (1, again));
    let away = failed(3_001, "nothing listens").await;
    take(&store, "r2", 4_000).await;
    let standing = store.standing().await.unwrap();
    assert_eq!((standing.count, standing.newest[0].id, standing.newest.len()), (1, away, 1));
    assert_eq!(store.unseen(3).await.unwrap().count, 5, "all are shown until they were seen");
}
