//! `--test-capture`: one frame from every camera, and a verdict in words.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::output::say;
use super::{doctor_snapshot, runtime};
use crate::advice;
use crate::capture::examine;
use crate::clock;
use crate::config::{CameraConfig, Config, RtspConfig, SourceConfig};
use crate::media::gop::Excerpt;
use crate::media::shelf::Shelf;
use crate::media::{decode, jpeg};
use crate::model::{CameraKey, FileName};
use crate::source::{FrameRequest, Request, Requests, Source, front};
use crate::status::{Status, StreamInfo};
use crate::store;

/// How long a camera may take until its first picture, a keyframe every eight seconds included.
pub(super) const FRAME_LIMIT: Duration = Duration::from_secs(18);

/// How long two keyframes are waited for, to learn their distance.
const GOP_LIMIT: Duration = Duration::from_secs(12);

/// How long frames are watched, to learn whether their time stamps fit them.
const STAMPS_LOOK: Duration = Duration::from_secs(6);

/// How long the question for the kind of authentication may take.
const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// Where the pictures go, below the picture directory.
const FOLDER: &str = "test";

/// A trigger-to-file time that a gate does not notice.
pub(super) const FINE: Duration = Duration::from_millis(1500);

/// Tests the cameras. `true` when all gave a picture.
pub(super) fn run(config: &Config, keys: &[CameraKey]) -> anyhow::Result<bool> {
    let mut chosen = Vec::new();
    for key in keys {
        let known = config.cameras.iter().find(|camera| camera.key == *key);
        chosen.push(
            known.with_context(|| format!("there is no camera {key}; there are: {}", names(config)))?.clone(),
        );
    }
    if keys.is_empty() {
        chosen.extend(config.cameras.iter().filter(|camera| camera.enabled).cloned());
    }
    if chosen.is_empty() {
        anyhow::bail!("no camera is enabled; set CAMERA_1_IP, CAMERA_1_RTSP or CAMERA_1_SNAPSHOT_URL");
    }
    runtime()?.block_on(async {
        let mut all_fine = true;
        for camera in chosen {
            let (name, label) = (camera.key.clone(), camera.label.clone());
            match test(config, camera).await {
                Ok(verdict) => say(&format!("{name} ({label}): fine\n{verdict}")),
                Err(error) => {
                    all_fine = false;
                    say(&format!("{name} ({label}): failed\n  {error:#}"));
                }
            }
        }
        Ok(all_fine)
    })
}

fn names(config: &Config) -> String {
    let names: Vec<&str> = config.cameras.iter().map(|camera| camera.key.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

async fn test(config: &Config, mut camera: CameraConfig) -> anyhow::Result<String> {
    camera.enabled = true;
    let status = Status::new(&Config { cameras: vec![camera.clone()], ..config.clone() });
    let source = Source::new(&camera, &status, &Shelf::new(usize::MAX));
    let mut source = source.context("it has no address; set CAMERA_n_RTSP or CAMERA_n_IP")?;
    if let Source::Snapshot(snapshot) = &mut source {
        let seen = doctor_snapshot::look(snapshot).await?;
        let picture = seen.excerpt.units.last().context("a picture without bytes")?;
        let saved = save(&camera, &config.storage.images, &picture.data)?;
        return Ok(verdict(&saved, &seen.authentication(), seen.first, &seen.advice(camera.number)));
    }
    let authentication = match &camera.source {
        Some(SourceConfig::Rtsp(rtsp)) => authentication(rtsp).await,
        Some(SourceConfig::Snapshot(_)) | None => "unknown".to_owned(),
    };
    let (sender, receiver) = mpsc::channel(1);
    let mut requests = Requests::new(receiver);
    let began = Instant::now();
    let session = source.serve(&mut requests);
    let look = async {
        let mut longest = ask(&sender, Instant::now(), FRAME_LIMIT).await?;
        let first = began.elapsed();
        let deadline = Instant::now() + GOP_LIMIT;
        let mut stream = status.camera(&camera.key).and_then(|known| known.stream);
        let watched = Instant::now() + STAMPS_LOOK;
        let is_known = |stream: Option<&StreamInfo>| stream.is_some_and(|stream| stream.gop_frames.is_some());
        while Instant::now() < watched || !is_known(stream.as_ref()) && Instant::now() < deadline {
            // The next frame is asked for instead of sleeping: it arrives when there is something new to know.
            let excerpt = ask(&sender, Instant::now(), GOP_LIMIT).await?;
            // A keyframe takes several times as long as what follows it, so one frame tells nothing of a group.
            if excerpt.units.len() > longest.units.len() {
                longest = excerpt;
            }
            stream = status.camera(&camera.key).and_then(|known| known.stream);
        }
        anyhow::Ok((longest, first, stream))
    };
    let (excerpt, first, stream) = tokio::select! {
        error = session => anyhow::bail!(error.message),
        looked = look => looked?,
    };
    let choice = config.engine.decoder;
    let known = stream.clone();
    let (picture, decoding) = tokio::task::spawn_blocking(move || {
        let picture = match decode::picture(&excerpt)? {
            decode::Picture::Frame(frame) => jpeg::encode_plain(&frame)?,
            decode::Picture::Jpeg(jpeg) => jpeg,
        };
        anyhow::Ok((picture, examine(choice, &excerpt, known.as_ref())))
    })
    .await
    .context("decode")??;
    let saved = save(&camera, &config.storage.images, &picture)?;
    let about = advice::about(stream.as_ref(), decoding.as_ref());
    let lines = |mark: &str, sentences: &[String]| -> String {
        sentences.iter().map(|sentence| format!("  {mark}{sentence}\n")).collect()
    };
    let text = lines("", &about.facts) + &lines("to change: ", &about.changes);
    Ok(verdict(&saved, &authentication, first, &text))
}

/// Writes a picture, and says where it is and what it is like.
fn save(camera: &CameraConfig, images: &Path, picture: &[u8]) -> anyhow::Result<String> {
    let (width, height) = jpeg::inspect(picture)?;
    let name = FileName::new(camera.key.clone(), clock::now().epoch_s(), 1);
    let path = store::save_apart(images, FOLDER, &name, picture)
        .with_context(|| format!("write a picture below {}", images.display()))?;
    Ok(format!("{} ({width}×{height}, {} kB)", path.display(), picture.len().div_ceil(1000)))
}

fn verdict(saved: &str, authentication: &str, first: Duration, advice: &str) -> String {
    let first = first.as_millis();
    let text = format!(
        "  picture: {saved}\n  authentication: {authentication}\n  time to the first picture: {first} ms\n{advice}"
    );
    text.trim_end().to_owned()
}

/// Asks for the frame of an instant and waits for it.
pub(super) async fn ask(
    sender: &mpsc::Sender<Request>,
    at: Instant,
    limit: Duration,
) -> anyhow::Result<Excerpt> {
    let (reply, answer) = oneshot::channel();
    sender
        .send(Request::Frame(FrameRequest { at, deadline: at + limit, reply }))
        .await
        .context("ask for a frame")?;
    Ok(answer.await.context("the session ended")??)
}

/// What kind of log-in the camera asks for, by asking without one.
async fn authentication(config: &RtspConfig) -> String {
    let question = format!("DESCRIBE {} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n", config.url);
    match timeout(PROBE_LIMIT, front::question(config, question.as_bytes())).await {
        Ok(Some(answer)) => schemes(&String::from_utf8_lossy(&answer)),
        Ok(None) | Err(_) => "unknown, the camera did not answer the question".to_owned(),
    }
}

/// The schemes of an answer (RFC 2326 section 12.44).
fn schemes(answer: &str) -> String {
    let offered: Vec<String> = answer
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case("WWW-Authenticate"))
        .map(|(_, value)| {
            let scheme = value.split_whitespace().next().unwrap_or("?").to_lowercase();
            let algorithm = value.to_lowercase().split("algorithm=").nth(1).map(|rest| {
                rest.trim_start_matches('"').split(['"', ',', ' ']).next().unwrap_or_default().to_owned()
            });
            match (scheme.as_str(), algorithm) {
                ("digest", Some(algorithm)) => format!("digest ({algorithm})"),
                ("digest", None) => "digest (md5)".to_owned(),
                _ => scheme,
            }
        })
        .collect();
    match (offered.is_empty(), answer.starts_with("RTSP/1.0 401")) {
        (false, _) => offered.join(", "),
        (true, true) => "wanted, of an unnamed kind".to_owned(),
        (true, false) => "none, everyone on the network can watch".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_authentication_is_named_with_its_algorithm() {
        let answer = "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n\
                      www-authenticate: Digest realm=\"x\", algorithm=SHA-256\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\n";
        assert_eq!(schemes(answer), "digest (md5), digest (sha-256), basic");
        assert_eq!(schemes("RTSP/1.0 200 OK\r\n\r\n"), "none, everyone on the network can watch");
    }
}
