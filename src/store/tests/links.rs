//! Public links: what they show, when they end, and that they go with their picture.

use super::testing::{OWED, Place, T0, claim, clip, picture, take, trigger};
use super::*;
use crate::model::{ImageId, ImageKind, LinkToken, NoPicture, Outcome, PictureFacts, UnixMs};

const HOUR: i64 = 3_600_000;

fn now() -> UnixMs {
    UnixMs(T0)
}

fn new_link(linked: Linked, token: &LinkToken, expires_at: Option<UnixMs>) -> NewLink {
    NewLink { linked, hash: token.hash(), created_at: now(), expires_at }
}

async fn made(store: &Store, linked: Linked, expires_at: Option<UnixMs>) -> (Link, LinkToken) {
    let token = LinkToken::random().unwrap();
    match store.make_link(new_link(linked, &token, expires_at)).await.unwrap() {
        LinkMade::Made(link) => (link, token),
        other => panic!("{other:?}"),
    }
}

async fn shown(store: &Store, token: &LinkToken, at: UnixMs) -> Option<String> {
    let opened = store.opened_link(token.hash(), at).await.unwrap();
    opened.map(|(_, image)| image.filename.to_string())
}

/// S1.8
#[tokio::test]
async fn a_link_shows_its_one_picture_until_the_instant_it_ends() {
    let place = Place::new();
    let store = place.open();
    let (image, _other) = (take(&store, "r1", T0).await, take(&store, "r1", T0 + 1000).await);
    let end = now().plus_ms(HOUR);
    let (link, token) = made(&store, Linked::Image(image.filename.clone()), Some(end)).await;
    let (_, for_ever) = made(&store, Linked::Image(image.filename.clone()), None).await;
    let name = Some(image.filename.to_string());
    assert_eq!(shown(&store, &token, now()).await, name);
    assert_eq!(shown(&store, &token, UnixMs(end.0 - 1)).await, name);
    assert_eq!(shown(&store, &token, end).await, None, "at its instant");
    assert_eq!(shown(&store, &for_ever, UnixMs(i64::MAX)).await, name);
    let holding = store.links(Some(link.linked.clone()), UnixMs(end.0 - 1), 9).await.unwrap();
    assert_eq!(holding.len(), 2);
    assert_eq!(holding[1], link, "the newest first");
    assert_eq!(store.links(None, end, 9).await.unwrap().len(), 1);
    // Its row goes with the next that is made.
    let later = LinkToken::random().unwrap();
    let another = NewLink { created_at: end, ..new_link(link.linked, &later, None) };
    store.make_link(another).await.unwrap();
    let rows = place.sql().query_row("select count(*) from links", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(rows, 2);
}

/// S1.7
#[tokio::test]
async fn what_is_kept_of_a_link_does_not_open_it() {
    let place = Place::new();
    let store = place.open();
    let image = take(&store, "r1", T0).await;
    let (_, token) = made(&store, Linked::Image(image.filename), None).await;
    let kept: Vec<u8> = place.sql().query_row("select hash from links", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, token.hash());
    let secret = token.reveal();
    store.close().await.unwrap();
    let file = std::fs::read(place.database()).unwrap();
    assert!(!file.windows(secret.len()).any(|window| window == secret.as_bytes()));
}

/// S1.8
#[tokio::test]
async fn a_link_is_revoked_at_once_and_its_number_is_not_given_again() {
    let place = Place::new();
    let store = place.open();
    let image = take(&store, "r1", T0).await;
    let linked = Linked::Image(image.filename);
    let (link, token) = made(&store, linked.clone(), None).await;
    assert!(store.revoke_link(link.id).await.unwrap());
    assert!(!store.revoke_link(link.id).await.unwrap());
    assert_eq!(shown(&store, &token, now()).await, None);
    assert!(made(&store, linked, None).await.0.id > link.id);
}

/// S1.8
#[tokio::test]
async fn a_link_goes_with_its_picture_in_the_transaction_that_decides_it() {
    let place = Place::new();
    let store = place.open();
    let (image, other) = (take(&store, "r1", T0).await, take(&store, "r1", T0 + 1000).await);
    let (_, token) = made(&store, Linked::Image(image.filename.clone()), None).await;
    let (_, stays) = made(&store, Linked::Image(other.filename.clone()), None).await;
    // The intent alone, as a crash leaves it.
    let c = place.sql();
    c.execute_batch("pragma foreign_keys = on").unwrap();
    c.execute("update images set state = 'deleting' where file_name = ?1", [image.filename.to_string()])
        .unwrap();
    assert_eq!(shown(&store, &token, now()).await, None);
    let count = || c.query_row("select count(*) from links", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(), 1);
    assert_eq!(shown(&store, &stays, now()).await, Some(other.filename.to_string()));
    assert_eq!(store.delete_image(&other.filename, true).await.unwrap(), Deletion::Deleted);
    assert_eq!(count(), 0);
    let linked = Linked::Image(image.filename);
    let refused = store.make_link(new_link(linked, &LinkToken::random().unwrap(), None)).await.unwrap();
    assert_eq!(refused, LinkMade::NotFound);
}

#[tokio::test]
async fn a_picture_whose_file_is_away_is_not_shown_and_is_again_when_it_is_back() {
    let place = Place::new();
    let store = place.open();
    let image = take(&store, "r1", T0).await;
    let (_, token) = made(&store, Linked::Image(image.filename), None).await;
    let c = place.sql();
    c.execute("update images set state = 'missing'", []).unwrap();
    assert_eq!(shown(&store, &token, now()).await, None);
    c.execute("update images set state = 'present'", []).unwrap();
    assert!(shown(&store, &token, now()).await.is_some());
}

#[tokio::test]
async fn a_link_of_a_trigger_shows_its_best_picture_and_goes_with_the_last_one() {
    let place = Place::new();
    let store = place.open();
    let edge = trigger("r1", T0);
    let row = store.triggers().begin(&edge).await.unwrap();
    let linked = Linked::Trigger(row);
    let none = store.make_link(new_link(linked.clone(), &LinkToken::random().unwrap(), None)).await.unwrap();
    assert_eq!(none, LinkMade::NotFound, "there is no picture yet");
    let instant = store.record(picture(&edge, row, ImageId::random(), 0)).await.unwrap();
    let (_, token) = made(&store, linked, None).await;
    assert_eq!(shown(&store, &token, now()).await, Some(instant.filename.to_string()));
    let video = store.record(clip(&edge, row, ImageId::random(), 0)).await.unwrap();
    assert_eq!(shown(&store, &token, now()).await, Some(instant.filename.to_string()), "no clip");
    let plain = picture(&edge, row, ImageId::random(), 40);
    let facts = PictureFacts { kind: ImageKind::Best, ..plain.facts };
    let best = store.record(NewImage { facts, ..plain }).await.unwrap();
    assert_eq!(shown(&store, &token, now()).await, Some(best.filename.to_string()));
    store.delete_image(&best.filename, true).await.unwrap();
    assert_eq!(shown(&store, &token, now()).await, Some(instant.filename.to_string()));
    store.delete_image(&instant.filename, true).await.unwrap();
    assert_eq!(shown(&store, &token, now()).await, None);
    let rows = place.sql().query_row("select count(*) from links", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(rows, 0, "although the clip {} is there", video.filename);
}

#[tokio::test]
async fn a_trigger_without_a_picture_has_no_link() {
    let place = Place::new();
    let store = place.open();
    let (ledger, edge) = (store.triggers(), trigger("r1", T0));
    let row = ledger.end(&edge, Outcome::Failed, NoPicture::Stopping).await.unwrap();
    for linked in [Linked::Trigger(row), Linked::Trigger(TriggerId::of(999))] {
        let refused = store.make_link(new_link(linked, &LinkToken::random().unwrap(), None)).await.unwrap();
        assert_eq!(refused, LinkMade::NotFound);
    }
}

#[tokio::test]
async fn opens_are_counted_and_those_of_a_link_that_is_gone_are_nothing() {
    let place = Place::new();
    let store = place.open();
    let image = take(&store, "r1", T0).await;
    let (link, _) = made(&store, Linked::Image(image.filename), None).await;
    store.count_opens(vec![(link.id, 3), (link.id + 7, 9)], now().plus_ms(5)).await.unwrap();
    store.count_opens(vec![(link.id, 1)], now().plus_ms(9)).await.unwrap();
    let read = store.links(None, now(), 9).await.unwrap();
    assert_eq!(read, [Link { opens: 4, last_opened_at: Some(now().plus_ms(9)), ..link }]);
}

#[tokio::test]
async fn a_picture_has_no_more_links_than_a_person_makes_and_those_of_targets_do_not_count() {
    let place = Place::new();
    let store = place.open();
    let image = take(&store, "r1", T0).await;
    let linked = Linked::Image(image.filename);
    let upload = claim(&store, 1).await.remove(0);
    let queue = store.queue(TargetId::API);
    let shared = queue.share(&upload, now(), None).await.unwrap().unwrap();
    assert!(shown(&store, &shared, now()).await.is_some());
    for _ in 0..LINKS_MAX {
        made(&store, linked.clone(), Some(now().plus_ms(HOUR))).await;
    }
    let token = LinkToken::random().unwrap();
    let wish = new_link(linked, &token, None);
    assert_eq!(store.make_link(wish.clone()).await.unwrap(), LinkMade::TooMany);
    let later = NewLink { created_at: now().plus_ms(HOUR), ..wish };
    assert!(matches!(store.make_link(later).await.unwrap(), LinkMade::Made(_)), "the others have ended");
}

#[tokio::test]
async fn links_outlive_a_damaged_database_only_where_none_could_have_been_revoked_since() {
    let place = Place::new();
    let store = place.open();
    let image = take(&store, "r1", T0).await;
    let (_, token) = made(&store, Linked::Image(image.filename.clone()), None).await;
    store.back_up(Stop::default()).await.unwrap().unwrap();
    store.close().await.unwrap();
    let reopen = |damage: Option<&str>| {
        Store::open_owned(&place.images(), &place.database(), OWED, damage.map(str::to_owned)).unwrap().store
    };
    let store = reopen(Some("a test"));
    assert_eq!(shown(&store, &token, now()).await, Some(image.filename.to_string()), "its newest rows");
    store.close().await.unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(place.database()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0x5a; 100], 0).unwrap();
    let store = reopen(None);
    store.reconcile().await.unwrap();
    assert!(store.image(&image.filename).await.unwrap().is_some(), "the picture is carried over");
    assert_eq!(shown(&store, &token, now()).await, None, "of the copy");
}
