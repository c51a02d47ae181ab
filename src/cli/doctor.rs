//! `--test-capture`: one frame from every camera, and a verdict in words or as a document.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{Mutex, mpsc};

use super::doctor_ask::{FRAME_LIMIT, ask};
use super::doctor_report::{CameraVerdict, SavedPicture, SettingChange, document};
use super::output::say;
use super::{doctor_probe, doctor_snapshot, runtime};
use crate::capture::examine;
use crate::clock;
use crate::config::{
    CameraConfig, Config, DecoderChoice, RtspConfig, SourceConfig, StorageConfig, Transport,
};
use crate::media::gop::DecodeRun;
use crate::media::shelf::Shelf;
use crate::media::{decode, jpeg};
use crate::model::{CameraKey, FileName};
use crate::source::{Requests, Source, SourceError};
use crate::status::advice;
use crate::status::{Status, StreamInfo};
use crate::store;

/// How long two keyframes are waited for, to learn their distance.
const GOP_LIMIT: Duration = Duration::from_secs(12);

/// How long frames are watched, to learn whether their time stamps fit them.
const STAMPS_LOOK: Duration = Duration::from_secs(6);

/// Where the pictures go, below the picture directory.
const FOLDER: &str = "test";

/// Cameras that are tested at the same time. Each waits for keyframes most of its time.
const AT_ONCE: usize = 4;

/// What a test knows beside its camera.
struct Doctor<'a> {
    config: &'a Config,
    /// Decoding is measured for one camera at a time, so that none is called slow because of another.
    measuring: Mutex<()>,
}

/// What was seen of a stream.
struct Look {
    excerpt: DecodeRun,
    first: Duration,
    stream: Option<StreamInfo>,
}

/// Tests the cameras. `true` when all gave a picture.
pub(super) fn run(config: &Config, keys: &[CameraKey], json: bool) -> anyhow::Result<bool> {
    let chosen = match chosen(config, keys) {
        Ok(chosen) => chosen,
        Err(error) => {
            if json {
                say(&document(&[], Some(&format!("{error:#}"))));
            }
            return Err(error);
        }
    };
    let doctor = Doctor { config, measuring: Mutex::default() };
    let verdicts = runtime()?.block_on(async {
        let mut tests = stream::iter(chosen).map(|camera| doctor.test(camera)).buffered(AT_ONCE);
        let mut verdicts = Vec::new();
        while let Some(verdict) = tests.next().await {
            // The document comes at the end, in one piece.
            if !json {
                say(&verdict.text());
            }
            verdicts.push(verdict);
        }
        verdicts
    });
    if json {
        say(&document(&verdicts, None));
    }
    Ok(verdicts.iter().all(CameraVerdict::is_ok))
}

fn chosen(config: &Config, keys: &[CameraKey]) -> anyhow::Result<Vec<CameraConfig>> {
    let mut chosen = Vec::new();
    for key in keys {
        let known = config.cameras.iter().find(|camera| camera.key == *key);
        chosen.push(
            known.with_context(|| format!("there is no camera {key}; there are: {}", names(config)))?.clone(),
        );
    }
    if keys.is_empty() {
        // Where a camera is that is set up over the network, only the running program knows.
        let is_known = |camera: &&CameraConfig| !matches!(camera.source, Some(SourceConfig::Slot(_)));
        chosen.extend(config.cameras.iter().filter(|camera| camera.enabled).filter(is_known).cloned());
    }
    if chosen.is_empty() {
        anyhow::bail!("no camera is enabled; set CAMERA_1_IP, CAMERA_1_RTSP or CAMERA_1_SNAPSHOT_URL");
    }
    Ok(chosen)
}

fn names(config: &Config) -> String {
    let names: Vec<&str> = config.cameras.iter().map(|camera| camera.key.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl Doctor<'_> {
    async fn test(&self, mut camera: CameraConfig) -> CameraVerdict {
        camera.enabled = true;
        let mut verdict = CameraVerdict {
            key: camera.key.to_string(),
            label: camera.label.clone(),
            ..CameraVerdict::default()
        };
        let tested = match &camera.source {
            Some(SourceConfig::Rtsp(rtsp)) => self.test_stream(&camera, rtsp, &mut verdict).await,
            Some(SourceConfig::Slot(_)) => {
                verdict.error = Some(
                    "its address comes by POST /streaming/setup-camera while the program runs".to_owned(),
                );
                return verdict;
            }
            Some(SourceConfig::Snapshot(_)) | None => self.test_pictures(&camera, &mut verdict).await,
        };
        if let Err(error) = tested {
            let error = format!("{error:#}");
            // What another try has shown says more than the words of the first.
            if verdict.changes.is_empty() {
                let parts = error.split("; ").map(|part| SettingChange::of(part, camera.number));
                verdict.changes.extend(parts.filter(|change| change.setting.is_some()));
            }
            verdict.error = Some(error);
        }
        verdict
    }

    /// Tests a camera of single pictures.
    async fn test_pictures(&self, camera: &CameraConfig, verdict: &mut CameraVerdict) -> anyhow::Result<()> {
        let status = Status::new(&Config { cameras: vec![camera.clone()], ..self.config.clone() });
        let Some(Source::Snapshot(mut snapshot)) =
            Source::new(camera, &status, &Shelf::new(usize::MAX), None)
        else {
            anyhow::bail!("it has no address; set CAMERA_n_RTSP or CAMERA_n_IP");
        };
        let seen = doctor_snapshot::look(&mut snapshot).await?;
        verdict.authentication = Some(seen.authentication());
        verdict.first_picture_ms = Some(seen.first.as_millis());
        verdict.stream = status.camera(&camera.key).and_then(|known| known.stream);
        seen.tell(camera.number, verdict);
        let picture = seen.excerpt.units.last().context("a picture without bytes")?;
        verdict.picture = Some(save(camera, &self.config.storage, &picture.data)?);
        Ok(())
    }

    /// Tests a camera of a stream.
    async fn test_stream(
        &self,
        camera: &CameraConfig,
        rtsp: &RtspConfig,
        verdict: &mut CameraVerdict,
    ) -> anyhow::Result<()> {
        let asked = doctor_probe::ask(rtsp).await;
        verdict.authentication = Some(asked.authentication);
        let look = match self.look(camera, GOP_LIMIT).await? {
            Ok(look) => look,
            Err(error) => {
                verdict.changes.extend(self.other_transport(camera, rtsp, &error).await);
                anyhow::bail!(error.fault);
            }
        };
        verdict.first_picture_ms = Some(look.first.as_millis());
        verdict.stream = look.stream.clone();
        let offers = if asked.offers.is_empty() { doctor_probe::ask_again(rtsp).await } else { asked.offers };
        if offers.len() > 1 {
            verdict.facts.push(format!("it offers {}", offers.join(", ")));
        }
        let picture = self.decode(camera, look, verdict).await?;
        verdict.picture = Some(save(camera, &self.config.storage, &picture)?);
        let about = advice::about(verdict.stream.as_ref(), verdict.decoding.as_ref());
        verdict.facts.extend(about.facts);
        verdict.changes.extend(about.changes.iter().map(|text| SettingChange::of(text, camera.number)));
        Ok(())
    }

    /// Opens a session and asks for frames, until the distance of keyframes is known or `gop_limit` is over.
    async fn look(
        &self,
        camera: &CameraConfig,
        gop_limit: Duration,
    ) -> anyhow::Result<Result<Look, SourceError>> {
        let status = Status::new(&Config { cameras: vec![camera.clone()], ..self.config.clone() });
        let source = Source::new(camera, &status, &Shelf::new(usize::MAX), None);
        let mut source = source.context("it has no address; set CAMERA_n_RTSP or CAMERA_n_IP")?;
        let (sender, receiver) = mpsc::channel(1);
        let mut requests = Requests::new(receiver);
        let began = Instant::now();
        let session = source.serve(&mut requests);
        let look = async {
            let mut longest = ask(&sender, Instant::now(), FRAME_LIMIT).await?;
            let first = began.elapsed();
            let deadline = Instant::now() + gop_limit;
            let mut stream = status.camera(&camera.key).and_then(|known| known.stream);
            let watched = Instant::now() + STAMPS_LOOK.min(gop_limit);
            let is_known =
                |stream: Option<&StreamInfo>| stream.is_some_and(|stream| stream.gop_frames.is_some());
            while Instant::now() < watched || !is_known(stream.as_ref()) && Instant::now() < deadline {
                // The next frame is asked for instead of sleeping: it arrives when there is something new to know.
                let excerpt = ask(&sender, Instant::now(), GOP_LIMIT).await?;
                // A keyframe takes several times as long as what follows it, so one frame tells nothing of a group.
                if excerpt.units.len() > longest.units.len() {
                    longest = excerpt;
                }
                stream = status.camera(&camera.key).and_then(|known| known.stream);
            }
            anyhow::Ok(Look { excerpt: longest, first, stream })
        };
        tokio::select! {
            error = session => Ok(Err(error)),
            looked = look => looked.map(Ok),
        }
    }

    /// Whether a stream comes the other way, where the way it is asked for may be the fault.
    async fn other_transport(
        &self,
        camera: &CameraConfig,
        rtsp: &RtspConfig,
        error: &SourceError,
    ) -> Option<SettingChange> {
        let n = camera.number;
        let name = format!("CAMERA_{n}_TRANSPORT");
        // Datagrams are what firewalls and Wi-Fi lose; a refused log-in is refused both ways.
        let is_named = error.fault.is_about_transport();
        if !is_named && (rtsp.transport == Transport::Tcp || error.is_refusal) {
            return None;
        }
        let (transport, value) = match rtsp.transport {
            // Datagrams are not secured.
            Transport::Tcp if rtsp.is_tls() => return None,
            Transport::Tcp => (Transport::Udp, "udp"),
            Transport::Udp | Transport::Http => (Transport::Tcp, "tcp"),
        };
        let source = Some(SourceConfig::Rtsp(RtspConfig { transport, ..rtsp.clone() }));
        let other = CameraConfig { source, ..camera.clone() };
        let has_worked = matches!(self.look(&other, Duration::ZERO).await, Ok(Ok(_)));
        has_worked.then(|| SettingChange {
            text: format!("with {value} it works, as was just tried"),
            setting: Some((name, value.to_owned())),
        })
    }

    /// Makes the picture of a look, and measures what that takes.
    async fn decode(
        &self,
        camera: &CameraConfig,
        look: Look,
        verdict: &mut CameraVerdict,
    ) -> anyhow::Result<Vec<u8>> {
        let choice = self.config.engine.decoder;
        let _alone = self.measuring.lock().await;
        let known = look.stream;
        let excerpt = Arc::new(look.excerpt);
        let units = Arc::clone(&excerpt);
        let decoded = tokio::task::spawn_blocking(move || {
            let picture = match decode::picture(&units)? {
                decode::WantedPicture::Frame(frame) => jpeg::encode_plain(&frame)?,
                decode::WantedPicture::Jpeg(jpeg) => jpeg,
            };
            anyhow::Ok((picture, examine(choice, &units, known.as_ref())))
        })
        .await
        .context("decode")?;
        let error = match decoded {
            Ok((picture, decoding)) => {
                verdict.decoding = decoding;
                return Ok(picture);
            }
            Err(error) => error,
        };
        if choice != DecoderChoice::Auto {
            let any = move || examine(DecoderChoice::Auto, &excerpt, None);
            if let Some(any) = tokio::task::spawn_blocking(any).await.context("decode")? {
                let text = format!(
                    "with the decoder {} it works, as was just tried: set DECODER to auto",
                    any.decoder
                );
                verdict.changes.push(SettingChange::of(&text, camera.number));
            }
        }
        Err(error)
    }
}

/// Writes a picture.
fn save(camera: &CameraConfig, storage: &StorageConfig, picture: &[u8]) -> anyhow::Result<SavedPicture> {
    let size = jpeg::inspect(picture)?;
    let name = FileName::new(camera.key.clone(), clock::now().epoch_s(), 1);
    let path = store::save_apart(&storage.images, &storage.database, FOLDER, &name, picture)?;
    Ok(SavedPicture { path: path.display().to_string(), size, bytes: picture.len() })
}
