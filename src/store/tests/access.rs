//! What follows from a password that is being changed meanwhile, and how many devices are known.

use super::super::testing::Place;
use super::super::{NewToken, Scope};
use super::*;

const KEY: &str = "password";

fn entry(n: u8, device: u8) -> LoginEntry {
    LoginEntry {
        id_hash: [n; 32],
        session: Session {
            csrf: "x".to_owned(),
            created_at: UnixMs(1),
            last_seen_at: UnixMs(1),
            expires_at: UnixMs(2),
            password: [7; 32],
        },
        device: [device; 32],
    }
}

#[tokio::test]
async fn nobody_comes_in_by_a_password_that_is_another_one_by_now() {
    let place = Place::new();
    let store = place.open();
    let hash = |text: &str| Some(text.to_owned());
    // Nothing is stored: the one of the configuration counts.
    assert!(store.access().insert_session(KEY, None, entry(1, 1)).await.unwrap());
    assert!(!store.access().insert_session(KEY, hash("old"), entry(2, 2)).await.unwrap());
    store.access().set_password_hash(KEY, "old".to_owned()).await.unwrap();
    assert!(!store.access().insert_session(KEY, None, entry(3, 3)).await.unwrap());
    assert!(store.access().insert_session(KEY, hash("old"), entry(4, 4)).await.unwrap());
    // Two change it, both having shown the old one.
    assert!(store.access().replace_password(KEY, hash("old"), "new".to_owned(), entry(5, 5)).await.unwrap());
    assert!(
        !store.access().replace_password(KEY, hash("old"), "newer".to_owned(), entry(6, 6)).await.unwrap()
    );
    assert!(!store.access().insert_session(KEY, hash("old"), entry(7, 7)).await.unwrap());
    assert_eq!(store.access().setting(KEY).await.unwrap(), hash("new"));
    for n in 1..=7 {
        let expected = n == 5;
        assert_eq!(store.access().session([n; 32]).await.unwrap().is_some(), expected, "session {n}");
        assert_eq!(store.access().has_device([n; 32], [7; 32]).await.unwrap(), expected, "device {n}");
    }
}

#[tokio::test]
async fn no_token_is_made_by_a_password_that_is_another_one_by_now() {
    let place = Place::new();
    let store = place.open();
    let new = NewToken {
        name: "relay".to_owned(),
        scope: Scope::Read,
        hint: "cc_abcd".to_owned(),
        hash: [9; 32],
        created_at: UnixMs(1),
        expires_at: None,
    };
    store.access().set_password_hash(KEY, "new".to_owned()).await.unwrap();
    for verified in [None, Some("old".to_owned())] {
        assert!(store.access().insert_token(KEY, verified, new.clone()).await.unwrap().is_none());
    }
    assert!(store.access().token(new.hash).await.unwrap().is_none());
    assert!(store.access().insert_token(KEY, Some("new".to_owned()), new).await.unwrap().is_some());
}

#[tokio::test]
async fn devices_are_known_for_their_password_and_those_that_logged_in_last_are_kept() {
    let place = Place::new();
    let store = place.open();
    let knows = async |device: u8| store.access().has_device([device; 32], [7; 32]).await.unwrap();
    for n in 0..70 {
        // The first one comes back now and then.
        for device in [n, 0] {
            assert!(
                store.access().insert_session(KEY, None, entry(n + 70 * (device & 1), device)).await.is_ok()
            );
            store.access().delete_session([n + 70 * (device & 1); 32]).await.unwrap();
        }
    }
    assert!(knows(0).await && knows(69).await && knows(7).await);
    assert!(!knows(1).await && !knows(6).await && !knows(200).await);
    assert!(!store.access().has_device([69; 32], [8; 32]).await.unwrap());
    drop(store);
    assert!(place.open().access().has_device([69; 32], [7; 32]).await.unwrap(), "after a restart");
}
