//! `--test-capture` for cameras of single pictures: how long a picture takes, and whether it is a new one.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::mpsc;

use super::doctor_ask::{FINE, FRAME_LIMIT, ask};
use super::doctor_report::{CameraVerdict, SettingChange};
use crate::media::gop::DecodeRun;
use crate::source::Requests;
use crate::source::snapshot::{Snapshot, SnapshotReport};

/// Pause before each further picture: one that lay in a buffer meanwhile can be told from a new one.
const PAUSE: Duration = Duration::from_millis(700);

/// Pictures after the first.
const PICTURES: usize = 3;

/// What was measured of a camera.
pub(super) struct SnapshotFindings {
    /// Its last picture.
    pub(super) excerpt: DecodeRun,
    /// From the start to the first picture.
    pub(super) first: Duration,
    /// Of each further picture: from the trigger until it was there, and until the instant it shows.
    times: Vec<(Duration, Duration)>,
    report: SnapshotReport,
}

/// Asks a camera for a few pictures.
pub(super) async fn look(camera: &mut Snapshot) -> anyhow::Result<SnapshotFindings> {
    let (sender, receiver) = mpsc::channel(1);
    let mut requests = Requests::new(receiver);
    let began = Instant::now();
    let looking = async {
        let mut excerpt = ask(&sender, began, FRAME_LIMIT).await?;
        let first = began.elapsed();
        let mut times = Vec::new();
        for _ in 0..PICTURES {
            let at = Instant::now() + PAUSE;
            excerpt = ask(&sender, at, FRAME_LIMIT).await?;
            times.push((at.elapsed(), excerpt.instant.saturating_duration_since(at)));
        }
        anyhow::Ok((excerpt, first, times))
    };
    let (excerpt, first, times) = tokio::select! {
        error = camera.serve(&mut requests) => anyhow::bail!(error.fault),
        looked = looking => looked.context("ask for pictures")?,
    };
    Ok(SnapshotFindings { excerpt, first, times, report: camera.report() })
}

impl SnapshotFindings {
    /// How the camera wants to know who we are.
    pub(super) fn authentication(&self) -> String {
        let login = self.report.login.clone();
        login.unwrap_or_else(|| "none, everyone on the network can watch".to_owned())
    }

    /// Tells what the camera is like, and what to change; `n` is the number of its variables.
    pub(super) fn tell(&self, n: u8, verdict: &mut CameraVerdict) {
        let most =
            |of: fn(&(Duration, Duration)) -> Duration| self.times.iter().map(of).max().unwrap_or_default();
        let worst = most(|time| time.0);
        verdict.facts.push(format!(
            "from trigger to picture: at worst {} ms of {} pictures; what they show is up to {} ms after the trigger",
            worst.as_millis(),
            self.times.len(),
            most(|time| time.1).as_millis()
        ));
        verdict.facts.push(format!("age of the pictures: {}", self.age(n)));
        let habits = &self.report.habits;
        let mut change = |what: &str| verdict.changes.push(SettingChange::of(what, n));
        if habits.same > 0 {
            change(&format!(
                "it gave the same picture again {} times, so it takes one only now and then; look for an address without a \
                 cache",
                habits.same
            ));
        }
        if let Some(lag @ 1..) = habits.lag {
            change(&format!("to have it known from the start, set CAMERA_n_SNAPSHOT_FLUSH={}", lag.min(3)));
        }
        if worst > FINE {
            change(
                "its pictures take long; set a smaller one or more compression, or use its stream (CAMERA_n_RTSP)",
            );
        }
        if self.report.login.as_deref() == Some("basic") {
            change("it takes the password as it is; set it to digest, or use https");
        }
    }

    /// How old its pictures are, and how that is known.
    fn age(&self, n: u8) -> String {
        let habits = &self.report.habits;
        let firmware = "set fb_count = 2 and grab_mode = CAMERA_GRAB_LATEST in its firmware";
        if habits.old > 0 {
            format!(
                "it gives a picture from before the trigger first (seen {} times, up to {:.1} s old); these are thrown away. \
                 To save that time: {firmware}",
                habits.old,
                habits.oldest.as_secs_f64()
            )
        } else if habits.is_stamped {
            "each was taken after the trigger, as their time stamps show".to_owned()
        } else if habits.is_esp32 {
            format!(
                "an ESP32-CAM without time stamps: the first of two is thrown away, for it may be old. If you know better, \
                 set CAMERA_{n}_SNAPSHOT_FLUSH=0; to be sure, {firmware}"
            )
        } else {
            match habits.lag {
                Some(0) => "each was taken after the trigger, as a comparison of pictures shows".to_owned(),
                Some(lag) => format!(
                    "it gives pictures from before the trigger first, {lag} each time, as a comparison of pictures shows; \
                     these are thrown away. To save that time: {firmware}"
                ),
                None => format!(
                    "its answers do not tell, and nothing moved that would. Wave a hand and look: if the picture shows what \
                     was there before, set CAMERA_{n}_SNAPSHOT_FLUSH=1; if it is a new one each time, \
                     set CAMERA_{n}_SNAPSHOT_FLUSH=0"
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::gop::Codec;
    use crate::source::snapshot::PictureHabits;

    fn advice(habits: PictureHabits, login: Option<&str>, took: Duration) -> String {
        let excerpt = DecodeRun {
            codec: Codec::Jpeg,
            units: Vec::new(),
            wanted_rtp_ns: 0,
            instant: Instant::now(),
            remark: None,
            spacing: Duration::ZERO,
        };
        let report = SnapshotReport { login: login.map(str::to_owned), habits };
        let mut verdict = CameraVerdict::default();
        SnapshotFindings { excerpt, first: took, times: vec![(took, took / 2)], report }
            .tell(3, &mut verdict);
        verdict.text()
    }

    #[test]
    fn the_age_of_the_pictures_is_said_with_what_to_do() {
        let quick = Duration::from_millis(200);
        let unknown = PictureHabits::default();
        let text = advice(unknown, None, quick);
        assert!(text.contains("at worst 200 ms") && text.contains("CAMERA_3_SNAPSHOT_FLUSH=1"), "{text}");
        assert!(!text.contains("to change"), "{text}");
        let esp32 = PictureHabits { is_esp32: true, ..unknown };
        assert!(advice(esp32, None, quick).contains("the first of two is thrown away"));
        let behind = PictureHabits { lag: Some(1), ..unknown };
        let text = advice(behind, None, quick);
        assert!(text.contains("1 each time") && text.contains("file: CAMERA_3_SNAPSHOT_FLUSH=1"), "{text}");
        let fresh = PictureHabits { lag: Some(0), ..unknown };
        assert!(advice(fresh, None, quick).contains("as a comparison of pictures shows"));
        let stamped = PictureHabits { is_stamped: true, ..esp32 };
        assert!(advice(stamped, None, quick).contains("as their time stamps show"));
        let old = PictureHabits { old: 3, oldest: Duration::from_millis(700), ..stamped };
        assert!(advice(old, None, quick).contains("seen 3 times, up to 0.7 s old"));
    }

    #[test]
    fn a_slow_camera_a_cache_and_a_readable_password_are_to_be_changed() {
        let text = advice(
            PictureHabits { same: 2, ..PictureHabits::default() },
            Some("basic"),
            Duration::from_secs(3),
        );
        assert_eq!(text.matches("to change").count(), 3, "{text}");
    }
}
