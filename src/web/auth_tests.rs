//! How long a session lasts, and that it ends with its password.

use super::*;
use crate::config::LinkConfig;
use crate::store::testing::Place;

fn session(created: i64, seen: i64) -> Session {
    Session {
        csrf: String::new(),
        created_at: UnixMs(created),
        last_seen_at: UnixMs(seen),
        expires_at: UnixMs(created + ms(ABSOLUTE)),
        password: [0; 32],
    }
}

#[test]
fn a_session_ends_after_half_an_hour_unused_or_twelve_hours_in_all() {
    let minute = 60_000;
    assert!(!has_ended(&session(0, 0), UnixMs(30 * minute)));
    assert!(has_ended(&session(0, 0), UnixMs(31 * minute)));
    let last_hour = 12 * 60 * minute;
    assert!(!has_ended(&session(0, last_hour - minute), UnixMs(last_hour - 1)));
    assert!(has_ended(&session(0, last_hour - minute), UnixMs(last_hour)));
}

#[test]
fn a_session_from_the_future_has_ended() {
    assert!(has_ended(&session(3_600_000, 3_600_000), UnixMs(0)));
}

/// The door of a program whose password stands in its settings.
fn configured(store: &crate::store::Store, salt: &str) -> Auth {
    let hash = format!("$argon2id$v=19$m=19456,t=2,p=1${salt}$RdescudvJCsgt3ub+b0dWRWJTmaaJObGl2ZgZAa1bGI");
    let config = WebConfig {
        bind: ([127, 0, 0, 1], 0).into(),
        access: WebAccess::Password,
        password_hash: Some(Secret::new(hash)),
        hosts: Vec::new(),
        cors_origins: Vec::new(),
        trusted_proxies: Vec::new(),
        links: LinkConfig::default(),
    };
    Auth::new(store.access(), &config).unwrap()
}

#[tokio::test]
async fn sessions_and_devices_survive_a_restart_but_not_another_password_in_the_settings() {
    let place = Place::new();
    let store = place.open();
    let before = configured(&store, "c29tZXNhbHRzb21lc2FsdA");
    let mark = before.current().await.unwrap().mark();
    let (new, entry) = before.entry(mark, None).await.unwrap();
    assert!(store.access().insert_session(PASSWORD_KEY, None, entry).await.unwrap());
    let knows = async |auth: &Auth| {
        let visitor = auth.visitor([192, 0, 2, 1].into(), false, Some(&new.device)).await.unwrap();
        (visitor.device.is_some(), auth.by_cookie(&new.secret).await.unwrap().is_some())
    };
    assert_eq!(knows(&before).await, (true, true));
    assert_eq!(knows(&configured(&store, "c29tZXNhbHRzb21lc2FsdA")).await, (true, true));
    assert_eq!(knows(&configured(&store, "b3RoZXJzYWx0c29tZXNhbA")).await, (false, false));
}
