//! `--test-capture`: one frame from every camera, and a verdict in words.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{runtime, say};
use crate::config::{CameraConfig, Config, RtspConfig, SourceConfig};
use crate::capture::Captures;
use crate::clock;
use crate::daemon;
use crate::media::{h264, jpeg};
use crate::model::{CameraKey, FileName};
use crate::status::{CameraState, Status, StreamInfo};

/// How long a camera may take until its first picture, a keyframe every eight seconds included.
const FRAME_LIMIT: Duration = Duration::from_secs(18);

/// How long two keyframes are waited for, to learn their distance.
const GOP_LIMIT: Duration = Duration::from_secs(12);

/// How long the question for the kind of authentication may take.
const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// A trigger-to-file time that a gate does not notice.
const FINE: Duration = Duration::from_millis(1500);

/// Tests the cameras. `true` when all gave a picture.
pub(super) fn run(config: &Config, keys: &[CameraKey]) -> anyhow::Result<bool> {
    let mut chosen = Vec::new();
    for key in keys {
        let known = config.cameras.iter().find(|camera| camera.key == *key);
        chosen.push(known.with_context(|| format!("there is no camera {key}; there are: {}", names(config)))?.clone());
    }
    if keys.is_empty() {
        chosen.extend(config.cameras.iter().filter(|camera| camera.enabled).cloned());
    }
    if chosen.is_empty() {
        anyhow::bail!("no camera is enabled; set CAMERA_1_IP or CAMERA_1_RTSP");
    }
    let folder = config.storage.images.join("test");
    std::fs::create_dir_all(&folder).with_context(|| format!("create the directory {}", folder.display()))?;
    runtime()?.block_on(async {
        let mut all_fine = true;
        for camera in chosen {
            let (name, label) = (camera.key.clone(), camera.label.clone());
            match test(config, camera, &folder).await {
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
