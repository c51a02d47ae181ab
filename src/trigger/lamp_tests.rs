//! From the simulated contact to what the dashboard shows and is told.

use super::*;
use crate::config::{ActiveLevel, Env};
use crate::status::Event;
use crate::store::Store;

/// Edges in each direction.
const EDGES: usize = 20;

/// Far longer than a contact takes to settle.
const LIMIT: Duration = Duration::from_secs(10);

/// The contacts task of one camera without triggers, and what the dashboard shows.
fn contacts(place: &std::path::Path, more: &[(&str, &str)]) -> (Triggers, Status, Config) {
    let images = place.join("images");
    let pairs = [
        ("CAMERA_1_IP", "10.0.0.9"),
        ("GPIO_ENABLED", "true"),
        ("GPIO_TRIGGER_ENABLED", "false"),
        ("GPIO_BOUNCE_TIME", "10"),
        ("IMAGE_STORAGE_PATH", images.to_str().unwrap()),
    ];
    let pairs = pairs.iter().chain(more).copied();
    let (config, _) = Config::parse(&Env::from_pairs(pairs)).unwrap();
    let store = Store::open(&config.storage.images, &config.storage.database, &[]).unwrap();
    let status = Status::new(&config);
    let guard = crate::disk::DiskGuard::new(store.intake(), &config.storage, &status);
    let (captures, _cameras) = Captures::new(&config, &store, &guard, &status);
    (Triggers::new(&config, &captures, store.triggers(), &status), status, config)
}

async fn follows(active: &str) {
    let place = tempfile::tempdir().unwrap();
    let (mut triggers, status, config) =
        contacts(place.path(), &[("GPIO_BACKEND", "sim"), ("GPIO_ACTIVE", active)]);
    let (sim, mut events, cancel) = (triggers.sim(), status.subscribe(), CancellationToken::new());
    let stop = cancel.clone();
    let task = tokio::spawn(async move { triggers.run(&stop).await });
    let mut wait_for = async |is_closed: Option<bool>| {
        let told = async {
            loop {
                if let Event::Contact(line) = events.recv().await.unwrap()
                    && is_closed.map_or(line.level.is_some(), |closed| line.active == closed)
                {
                    return line;
                }
            }
        };
        tokio::time::timeout(LIMIT, told).await.expect("the dashboard is told")
    };
    let pin = wait_for(None).await.pin;
    let (closed, open) = match config.gpio.active {
        ActiveLevel::Low => (Level::Low, Level::High),
        ActiveLevel::High => (Level::High, Level::Low),
    };
    for _ in 0..EDGES {
        for (level, is_closed) in [(closed, true), (open, false)] {
            assert!(sim.set(pin, level));
            let line = wait_for(Some(is_closed)).await;
            let shown = status.gpio().lines.into_iter().find(|line| line.pin == pin).unwrap();
            assert_eq!((line.active, shown.active, shown.level), (is_closed, is_closed, Some(level)));
        }
    }
    cancel.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn each_settled_edge_is_told_with_what_it_means_when_low_is_closed() {
    follows("low").await;
}

#[tokio::test]
async fn each_settled_edge_is_told_with_what_it_means_when_high_is_closed() {
    follows("high").await;
}

#[tokio::test]
async fn contacts_that_cannot_be_watched_are_told_with_the_reason() {
    let place = tempfile::tempdir().unwrap();
    let chip = place.path().join("no-chip");
    let (mut triggers, status, _) =
        contacts(place.path(), &[("GPIO_BACKEND", "cdev"), ("GPIO_CHIP", chip.to_str().unwrap())]);
    let (mut events, cancel) = (status.subscribe(), CancellationToken::new());
    let stop = cancel.clone();
    let task = tokio::spawn(async move { triggers.run(&stop).await });
    let told = async {
        loop {
            if let Event::Contacts(gpio) = events.recv().await.unwrap() {
                return gpio;
            }
        }
    };
    let gpio = tokio::time::timeout(LIMIT, told).await.expect("the dashboard is told");
    assert!(gpio.error.is_some() && gpio.lines.iter().all(|line| line.level.is_none()), "{gpio:?}");
    assert_eq!(status.alarms()[0].kind, AlarmKind::ContactsUnwatched);
    cancel.cancel();
    task.await.unwrap();
}
