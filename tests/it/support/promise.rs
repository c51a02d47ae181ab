//! What a daemon vouched for, and whether it kept its word.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;

use super::daemon::Daemon;
use super::log::Lines;
use super::picture::sha256;
use super::receiver::Receiver;
use super::setup::Setup;

/// Pictures that were acknowledged: name, and SHA-256 where it was said. Outlives daemons.
#[derive(Clone, Default)]
pub(crate) struct Promises {
    known: Arc<Mutex<BTreeMap<String, Option<String>>>>,
    /// How many of them a device brought.
    pushed: Arc<AtomicUsize>,
    may_make_room: bool,
}

/// Captures under way.
pub(crate) struct Asking(JoinSet<bool>);

impl Promises {
    /// Of a daemon whose disk gets full: it may give up pictures to make room, but only those that were delivered.
    pub(crate) fn on_a_small_disk() -> Self {
        Self { may_make_room: true, ..Self::default() }
    }

    /// Asks for so many pictures within a stretch of time, half of them by contact.
    pub(crate) fn ask(&self, daemon: &Daemon, captures: u64, within: Duration, cameras: &[&str]) -> Asking {
        let mut asking = JoinSet::new();
        for i in 0..captures {
            let (api, promises) = (daemon.api(), self.clone());
            let key = cameras[usize::try_from(i).unwrap() % cameras.len()].to_owned();
            let pause = within.mul_f64(fastrand::f64());
            asking.spawn(async move {
                tokio::time::sleep(pause).await;
                if i % 2 == 0 {
                    return api.pulse(&key).await.is_err();
                }
                let Ok(reply) = api.capture(&key).await else { return true };
                if reply.status == 201 {
                    promises.note_image(&reply.json());
                }
                false
            });
        }
        Asking(asking)
    }

    /// Has a device bring these pictures within a stretch of time, each once.
    pub(crate) fn push(
        &self,
        daemon: &Daemon,
        pictures: Vec<Vec<u8>>,
        within: Duration,
        asking: &mut Asking,
    ) {
        for picture in pictures {
            let (url, promises) = (format!("{}/upload", daemon.address()), self.clone());
            let pause = within.mul_f64(fastrand::f64());
            asking.0.spawn(async move {
                tokio::time::sleep(pause).await;
                let Ok(answer) = reqwest::Client::new().post(&url).body(picture).send().await else {
                    return true;
                };
                let status = answer.status().as_u16();
                let Ok(body) = answer.bytes().await else { return true };
                if status == 200 {
                    let said: Value = serde_json::from_slice(&body).unwrap();
                    let name = said["filename"].as_str().unwrap().to_owned();
                    promises.known.lock().unwrap().entry(name).or_default();
                    promises.pushed.fetch_add(1, Ordering::Relaxed);
                }
                false
            });
        }
    }

    /// How many of the pictures a device brought.
    pub(crate) fn pushed(&self) -> usize {
        self.pushed.load(Ordering::Relaxed)
    }

    /// Takes note of an image that the API answered with.
    pub(crate) fn note_image(&self, image: &Value) {
        let text = |name: &str| image[name].as_str().unwrap_or_else(|| panic!("{name}: {image}")).to_owned();
        self.known.lock().unwrap().insert(text("filename"), Some(text("sha256")));
    }

    /// Takes note of what a daemon said it had stored.
    pub(crate) fn note_lines(&self, lines: &Lines) {
        for captured in lines.captured() {
            self.known.lock().unwrap().entry(captured.file).or_default();
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.known.lock().unwrap().len()
    }

    /// The gallery by name. Fails unless every acknowledged picture is in it or may have made room, and disk and gallery
    /// agree.
    pub(crate) async fn check(&self, daemon: &Daemon, setup: &Setup) -> BTreeMap<String, Value> {
        let images = daemon.images().await;
        let count = images.len();
        let gallery: BTreeMap<_, _> =
            images.into_iter().map(|image| (image["filename"].as_str().unwrap().to_owned(), image)).collect();
        assert_eq!(gallery.len(), count, "a picture is in the gallery twice");
        for (name, digest) in &*self.known.lock().unwrap() {
            let image = gallery.get(name);
            // Whether it was delivered is seen at the end.
            let Some(image) = image else {
                assert!(self.may_make_room, "{name} was acknowledged and is gone");
                continue;
            };
            if let Some(digest) = digest {
                assert_eq!(image["sha256"].as_str(), Some(digest.as_str()), "{name} is another picture");
            }
        }
        let files = setup.pictures();
        for (name, image) in &gallery {
            let path = files.get(name).unwrap_or_else(|| panic!("{name} has no file"));
            assert_eq!(
                image["sha256"].as_str(),
                Some(sha256(&std::fs::read(path).unwrap()).as_str()),
                "{name}"
            );
        }
        assert_eq!(files.keys().collect::<Vec<_>>(), gallery.keys().collect::<Vec<_>>(), "files and gallery");
        gallery
    }

    /// The same once everything is delivered: what arrived is the gallery and what made room, unchanged, each under one
    /// identity, and every edge has an outcome. Returns the gallery's size and how many were sent twice.
    pub(crate) async fn check_delivered(
        &self,
        daemon: &Daemon,
        setup: &Setup,
        receiver: &Receiver,
    ) -> (usize, usize) {
        let gallery = self.check(daemon, setup).await;
        receiver.check();
        let received = receiver.by_name();
        for (name, image) in &gallery {
            assert_eq!(image["uploads"][0]["state"], "delivered", "{image}");
            let reception = received.get(name).unwrap_or_else(|| panic!("{name} never arrived"));
            assert_eq!(image["sha256"].as_str(), Some(reception.sha256.as_str()), "{name} arrived changed");
        }
        for (name, digest) in &*self.known.lock().unwrap() {
            let reception =
                received.get(name).unwrap_or_else(|| panic!("{name} was acknowledged and is nowhere"));
            assert!(
                digest.as_ref().is_none_or(|digest| *digest == reception.sha256),
                "{name} arrived changed"
            );
        }
        if !self.may_make_room {
            let stored = gallery.keys().collect::<Vec<_>>();
            assert_eq!(received.keys().collect::<Vec<_>>(), stored, "what arrived is what is in the gallery");
        }
        for event in daemon.events().await {
            assert!(event["outcome"].is_string(), "an edge without an outcome: {event}");
        }
        (gallery.len(), receiver.receptions().len() - received.len())
    }
}

impl Asking {
    /// Waits for every answer; how many there were none of.
    pub(crate) async fn unanswered(mut self) -> u64 {
        let mut unanswered = 0;
        while let Some(is_cut_off) = self.0.join_next().await {
            unanswered += u64::from(is_cut_off.unwrap());
        }
        unanswered
    }
}
