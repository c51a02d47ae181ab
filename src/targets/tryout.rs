//! A target is tried out: the way to it step by step, then a test picture, handed over and judged as every picture is.
//!
//! The picture says TEST in large letters and is called after a camera `test` that nobody has. It stands in no ledger and
//! no queue, is sent once, and stays where it was taken.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::ear::{AnswerEar, Heard};
use super::http::longest;
use super::tryout_report::{StepKind, TestPicture, TryoutReport, TryoutSeen, TryoutStep};
use super::way::{Way, ms};
use super::{Target, TargetError};
use crate::clock;
use crate::config::UploadConfig;
use crate::media::{card, exif, jpeg};
use crate::model::{CameraKey, Cause, FileName, ImageId, ImageKind, PictureFacts, TargetId, UnixMs};
use crate::store::DueUpload;

/// An attempt ends by its own limits; so much later it is stuck.
const SLACK: Duration = Duration::from_secs(30);

/// However long the way took, the picture has at least so long.
const PICTURE_LIMIT_MIN: Duration = Duration::from_secs(10);

/// Of a server's `Content-Type` so many characters are shown.
const TYPE_MAX: usize = 60;

/// Tries out a target whether or not anything is sent at the moment (`UPLOAD_ENABLED`), and tells each step when it is
/// done; `None` if it is not in use. All of it ends within `limit`, or with ten seconds for the picture where the way took
/// longer; without one it may take as long as a delivery may.
///
/// Dropping the future ends it; the target may have taken the picture all the same.
pub async fn try_out(
    config: &UploadConfig,
    id: TargetId,
    limit: Option<Duration>,
    tell: &mut (dyn FnMut(&TryoutStep) + Send),
) -> Option<TryoutReport> {
    let config = config.clone();
    let target = Target::new(&config, config.target(id)?);
    let http = target.http();
    let scheme = if http.is_secured { "https" } else { "http" };
    let host = if http.host.contains(':') { format!("[{}]", http.host) } else { http.host.clone() };
    let mut report = TryoutReport {
        target: id,
        address: format!("{scheme}://{host}:{}", http.port),
        picture: None,
        steps: Vec::new(),
    };
    let (began, whole) = (Instant::now(), limit.unwrap_or(Duration::MAX));
    let way = Way::new(http, began + whole.min(LONGEST_WAY));
    let is_open = way
        .look(&mut |step| {
            tell(&step);
            report.steps.push(step);
        })
        .await;
    let drawn = tokio::task::spawn_blocking(move || picture(&config, id, clock::now())).await;
    let sent = match drawn {
        Ok(Some((upload, bytes))) => {
            report.picture = Some(TestPicture {
                filename: upload.filename.clone(),
                id: upload.facts.id,
                bytes: upload.bytes,
            });
            let own = longest(upload.bytes, http.timeout) * 2 + SLACK;
            let left = whole.saturating_sub(began.elapsed()).max(PICTURE_LIMIT_MIN);
            send(&target, &upload, bytes, own.min(left)).await
        }
        _ => Sent {
            heard: Vec::new(),
            took: Duration::ZERO,
            began: Instant::now(),
            result: Err("the test picture could not be drawn, by a fault of this program".to_owned()),
        },
    };
    for step in sent.steps(is_open, &target) {
        tell(&step);
        report.steps.push(step);
    }
    Some(report)
}

/// More than the steps of a way may take together.
const LONGEST_WAY: Duration = Duration::from_secs(120);

/// What came of sending the picture.
struct Sent {
    began: Instant,
    took: Duration,
    heard: Vec<Heard>,
    /// Why it was not taken.
    result: Result<(), String>,
}

impl Sent {
    fn steps(self, is_open: bool, target: &Target) -> [TryoutStep; 2] {
        let clean = |text: &str| target.http().secrets.words(text, TYPE_MAX);
        let (ok, text, took, seen) = match self.heard.last() {
            Some(last) => {
                let statuses: Vec<u16> = self.heard.iter().map(|heard| heard.status).collect();
                let shown: Vec<String> = statuses.iter().map(u16::to_string).collect();
                let content_type = clean(&last.content_type);
                let what = if content_type.is_empty() { String::new() } else { format!(" ({content_type})") };
                let text = format!("answered {}{what}", shown.join(", then "));
                let took = last.at.saturating_duration_since(self.began);
                (Some(true), text, took, Some(TryoutSeen::Answers { statuses, content_type }))
            }
            None if is_open => (Some(false), "no answer; see the verdict".to_owned(), self.took, None),
            None => (None, "not reached".to_owned(), Duration::ZERO, None),
        };
        let http = TryoutStep { kind: StepKind::Http, ok, text, ms: ms(took), seen };
        let text = match &self.result {
            Ok(()) => "taken; this counts as a delivery".to_owned(),
            Err(why) => format!("not taken: {why}"),
        };
        let ok = Some(self.result.is_ok());
        [http, TryoutStep { kind: StepKind::Verdict, ok, text, ms: ms(self.took), seen: None }]
    }
}

async fn send(target: &Target, upload: &DueUpload, bytes: Bytes, limit: Duration) -> Sent {
    let ear = AnswerEar::default();
    let began = Instant::now();
    let result = match tokio::time::timeout(limit, target.hand_over(upload, bytes, &ear)).await {
        Ok(result) => result.map_err(|error| format!("{error}; {}", consequence(&error))),
        Err(_) => Err(format!(
            "there was no whole answer within {} s, and this test waits no longer; a delivery waits up to UPLOAD_TIMEOUT, as \
             --test-upload does",
            limit.as_secs()
        )),
    };
    Sent { began, took: began.elapsed(), heard: ear.heard(), result }
}

/// What becomes of a picture that is answered so.
fn consequence(error: &TargetError) -> &'static str {
    match error {
        TargetError::Unreachable { .. }
        | TargetError::Broken { .. }
        | TargetError::Busy { .. }
        | TargetError::Misconfigured { .. } => "pictures wait and are sent again",
        TargetError::Doubtful { .. } | TargetError::Rejected { is_final: false, .. } => {
            "such a picture is sent again, and put aside if that does not help"
        }
        TargetError::Rejected { is_final: true, .. } => "such a picture is put aside (failed permanently)",
        TargetError::Denied { .. } => "such a picture waits until it can be read",
        TargetError::Unreadable { .. } => "such a picture is lost",
    }
}

/// The test picture of an instant; `None` if it cannot be encoded.
fn picture(config: &UploadConfig, id: TargetId, now: UnixMs) -> Option<(DueUpload, Bytes)> {
    let camera = camera(config)?;
    let time = now.rfc3339();
    let sent_by = format!("camera-capture to {id}");
    let mut lines = vec![time.as_str(), sent_by.as_str()];
    lines.extend(config.site.as_deref());
    let facts = PictureFacts {
        frame_offset_ms: Some(0),
        note: Some("a test picture, taken by no camera".to_owned()),
        ..PictureFacts::plain(ImageId::random(), camera.clone(), Cause::Manual, ImageKind::Instant, now)
    };
    let label = "Test picture".to_owned();
    let caption = exif::Caption { facts: facts.clone(), label, utc_offset_s: clock::utc_offset_s(now) };
    let bytes = jpeg::encode(&card::test_card(&lines), &caption).ok()?;
    let name = FileName::new(camera, now.epoch_s(), ordinal(now));
    Some((DueUpload::apart(id, facts, name, &bytes), bytes.into()))
}

/// Which one of its second a test picture is: that of its millisecond. Nobody counts them, and a name that came before
/// under another identity is refused by some servers, and by others taken for the same picture.
fn ordinal(at: UnixMs) -> u32 {
    u32::try_from(at.0.rem_euclid(1000)).unwrap_or(0) + 1
}

/// `test`, or the first of `test-2`, `test-3`… that is no camera: its pictures must not be taken for a camera's, and least
/// of all lie in a camera's place.
fn camera(config: &UploadConfig) -> Option<CameraKey> {
    let names = std::iter::once("test".to_owned()).chain((2..100).map(|n| format!("test-{n}")));
    names.filter_map(|name| CameraKey::parse(&name).ok()).find(|key| !config.labels.contains_key(key))
}

#[cfg(test)]
#[path = "tryout_tests.rs"]
mod tests;
