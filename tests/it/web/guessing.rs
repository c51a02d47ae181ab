//! Guessing is slow, and does not keep out who knows the password: sixty attackers, proxies, known devices.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use camera_capture::config::{Network, WebAccess};
use reqwest::{Client, Method};
use tokio::task::JoinSet;

use super::harness::{
    Answer, Dashboard, PASSWORD, client_from, dashboard, password_hash, send, start, start_with,
};
use crate::support::wait_until;

/// An owner who comes while others guess is in within this.
const OWNER_WAITS: Duration = Duration::from_secs(30);

/// Between two guesses of one attacker: more would only measure this machine.
const PACE: Duration = Duration::from_millis(50);

const JSON: (&str, &str) = ("content-type", "application/json");

/// Sixty addresses guess until this is dropped; tells how many guesses were judged.
fn sixty_guess(
    dashboard: &Dashboard,
    path: &'static str,
    body: &'static str,
) -> (JoinSet<()>, Arc<AtomicUsize>) {
    let judged = Arc::new(AtomicUsize::new(0));
    // A client takes a while to make; one that is connected and says nothing for so long is hung up on.
    let clients: Vec<_> = (1..=60).map(|n| client_from([127, 0, 1, n].into())).collect();
    let mut attackers = JoinSet::new();
    for client in clients {
        let (url, judged) = (format!("http://{}{path}", dashboard.addr), Arc::clone(&judged));
        attackers.spawn(async move {
            loop {
                let request = client.post(&url).header(JSON.0, JSON.1).body(body);
                // An attacker does not mind a connection that was closed.
                if request.send().await.is_ok_and(|answer| answer.status().as_u16() != 429) {
                    judged.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(PACE).await;
            }
        });
    }
    (attackers, judged)
}

/// Tries as often as the answers allow; tells how long it took.
async fn until_in(mut attempt: impl AsyncFnMut() -> Answer) -> Duration {
    let since = Instant::now();
    loop {
        let answer = attempt().await;
        match answer.status {
            200 => return since.elapsed(),
            429 => {
                let wait = answer.header("retry-after").parse().unwrap();
                assert!(since.elapsed() < 3 * OWNER_WAITS, "the owner is still not in");
                tokio::time::sleep(Duration::from_secs(wait)).await;
            }
            _ => panic!("{answer:?}"),
        }
    }
}

async fn judged(count: &AtomicUsize, at_least: usize) {
    wait_until("guesses are judged", Duration::from_secs(120), async || {
        let seen = count.load(Ordering::Relaxed);
        if seen >= at_least { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn an_owner_at_a_new_address_gets_in_while_sixty_addresses_guess() {
    let dashboard = dashboard().await;
    let (_attack, count) = sixty_guess(&dashboard, "/api/login", r#"{"password": "a wrong guess"}"#);
    judged(&count, 60).await;
    let owner = client_from([127, 0, 9, 9].into());
    let waited = until_in(async || dashboard.log_in_from(&owner, PASSWORD).await).await;
    assert!(waited <= OWNER_WAITS, "{waited:?}");
}

#[tokio::test]
async fn an_owner_sets_the_first_password_while_sixty_addresses_guess_the_code() {
    let dashboard = start(WebAccess::Password, None).await;
    let guess = r#"{"code": "aaaaa-aaaaa", "password": "a wrong guess"}"#;
    let (_attack, count) = sixty_guess(&dashboard, "/api/setup", guess);
    judged(&count, 150).await;
    let owner = client_from([127, 0, 9, 9].into());
    let body = serde_json::json!({"code": dashboard.setup_code, "password": PASSWORD}).to_string();
    let set_up = async || send(&owner, dashboard.addr, Method::POST, "/api/setup", &[JSON], &body).await;
    let waited = until_in(set_up).await;
    assert!(waited <= OWNER_WAITS, "{waited:?}");
}

/// A log-in with headers and, perhaps, the device's cookie.
async fn log_in(client: &Client, dashboard: &Dashboard, headers: &[(&str, &str)], password: &str) -> Answer {
    let body = serde_json::json!({ "password": password }).to_string();
    let headers: Vec<_> = headers.iter().copied().chain([JSON]).collect();
    send(client, dashboard.addr, Method::POST, "/api/login", &headers, &body).await
}

/// Wrong guesses until they are refused.
async fn wear_out(client: &Client, dashboard: &Dashboard, headers: &[(&str, &str)]) {
    for _ in 0..20 {
        if log_in(client, dashboard, headers, "a wrong guess").await.status == 429 {
            return;
        }
    }
    panic!("twenty wrong guesses and no pause");
}

#[tokio::test]
async fn a_browser_that_was_in_before_does_not_wait_for_the_guesses_of_its_neighbours() {
    let dashboard = dashboard().await;
    let client = client_from([127, 0, 0, 7].into());
    let first = log_in(&client, &dashboard, &[], PASSWORD).await;
    let device = first.cookie("device").unwrap();
    let line = first.headers.get_all("set-cookie").iter().nth(1).unwrap().to_str().unwrap();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/api", "Max-Age="] {
        assert!(line.contains(attribute), "{line}");
    }
    // Someone behind the same address.
    wear_out(&client, &dashboard, &[]).await;
    assert_eq!(log_in(&client, &dashboard, &[], PASSWORD).await.status, 429);
    assert_eq!(log_in(&client, &dashboard, &[("cookie", "device=AAAA")], PASSWORD).await.status, 429);
    let again = log_in(&client, &dashboard, &[("cookie", &device)], PASSWORD).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.cookie("device").unwrap(), device);
    // It is slowed by its own guesses.
    wear_out(&client, &dashboard, &[("cookie", &device)]).await;
    // A cookie that someone else chose is not taken over, and a change of the password forgets all devices.
    let elsewhere = client_from([127, 0, 0, 8].into());
    let other = log_in(&elsewhere, &dashboard, &[("cookie", "device=AAAA")], PASSWORD).await;
    assert_ne!(other.cookie("device").unwrap(), "device=AAAA");
    let key = camera_capture::web::auth::PASSWORD_KEY;
    dashboard.store.access().set_password_hash(key, password_hash()).await.unwrap();
    wear_out(&elsewhere, &dashboard, &[]).await;
    let forgotten = other.cookie("device").unwrap();
    assert_eq!(log_in(&elsewhere, &dashboard, &[("cookie", &forgotten)], PASSWORD).await.status, 429);
}

#[tokio::test]
async fn visitors_of_a_trusted_proxy_are_told_apart_and_nobody_else_can_claim_an_address() {
    let dashboard = start_with(WebAccess::Password, Some(password_hash()), |web| {
        web.trusted_proxies = vec![Network::parse("127.0.0.1").unwrap()];
    })
    .await;
    let proxy = client_from([127, 0, 0, 1].into());
    let attacker = [("x-forwarded-for", "198.51.100.1, 203.0.113.66")];
    wear_out(&proxy, &dashboard, &attacker).await;
    // Whatever the attacker writes before it.
    for invented in ["203.0.113.7, 203.0.113.66", "x, 203.0.113.66", "127.0.0.1, 203.0.113.66"] {
        let answer = log_in(&proxy, &dashboard, &[("x-forwarded-for", invented)], PASSWORD).await;
        assert_eq!(answer.status, 429, "{invented}");
    }
    let owner = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https")];
    let answer = log_in(&proxy, &dashboard, &owner, PASSWORD).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("set-cookie").contains("Secure"));
    // Another neighbour is no proxy.
    let stranger = client_from([127, 0, 0, 2].into());
    wear_out(&stranger, &dashboard, &[("x-forwarded-for", "203.0.113.8")]).await;
    let answer = log_in(&stranger, &dashboard, &[("x-forwarded-for", "203.0.113.9")], PASSWORD).await;
    assert_eq!(answer.status, 429);
}
