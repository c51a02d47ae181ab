//! `--demo`: the whole daemon with simulated contacts, synthetic cameras behind real RTSP, a small camera that is asked by
//! HTTP, a device that pushes, and a local receiver.
//!
//! Everything lies in one directory and on loopback. Nothing of the machine's own configuration is read but
//! `BIND_PORT`, `LOG_LEVEL` and `LOG_FORMAT`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{runtime, start_log};
use crate::config::{Config, Env, Secret, WebAccess};
use crate::daemon;
use crate::demo::{Esp32Camera, PushingDevice, Receiver, RtspServer, StreamConfig};
use crate::model::ImageId;
use crate::system::folder;

/// Key, label and tint of each camera.
const CAMERAS: [(&str, &str, u16); 3] = [("r1", "Entry", 200), ("r2", "Exit", 30), ("r3", "Auxiliary", 120)];

/// Key, label and tint of the camera that is asked for its picture by HTTP, after the others.
const ASKED: (&str, &str, u16) = ("esp", "Yard (ESP32)", 60);

/// Name and tint of the device that pushes.
const PUSHING: (&str, u16) = ("porch", 280);

/// Name of the device that anybody on this machine may be, with curl.
const BY_HAND: &str = "curl";

/// The dashboard's port unless `BIND_PORT` says otherwise; another one if it is taken.
const PORT: u16 = 9000;

/// Runs until a signal. A temporary directory that it made is removed at the end.
pub(super) fn run(dir: Option<PathBuf>) -> anyhow::Result<()> {
    let (root, is_temporary) = match dir {
        Some(dir) => (dir, false),
        None => (std::env::temp_dir().join(format!("camera-capture-demo-{}", ImageId::random())), true),
    };
    folder::create(&root).with_context(|| format!("create the directory {}", root.display()))?;
    let outcome = runtime()?.block_on(Box::pin(serve(&root)));
    if is_temporary {
        std::fs::remove_dir_all(&root).with_context(|| format!("remove {}", root.display()))?;
    }
    outcome
}

async fn serve(root: &Path) -> anyhow::Result<()> {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let streams =
        CAMERAS.iter().map(|(key, label, hue)| StreamConfig::new(&format!("/{key}"), label, *hue)).collect();
    let cameras = RtspServer::bind(any_port, streams, None).await?;
    let received = root.join("received");
    folder::create(&received).with_context(|| format!("create {}", received.display()))?;
    let receiver = Receiver::bind(any_port, Some(received)).await.context("listen for uploads")?;
    let (key, label, hue) = ASKED;
    let asked = Esp32Camera::bind(any_port, label, hue).await.context("listen for requests for pictures")?;
    let token = ImageId::random().to_string();
    let pushing = PushingDevice::new(PUSHING.0, PUSHING.1, Secret::new(token.clone()));
    let mut world = World::default();
    world.set("CAMERA_4_NAME", key);
    world.set("CAMERA_4_LABEL", label);
    world.set("CAMERA_4_SNAPSHOT_URL", asked.url());
    // Each of its pictures is one of now.
    world.set("CAMERA_4_SNAPSHOT_FLUSH", "0");
    world.set("INGEST_1_NAME", PUSHING.0);
    world.set("INGEST_1_TOKEN", token);
    world.set("INGEST_2_NAME", BY_HAND);
    world.set("INGEST_2_ADDRESS", Ipv4Addr::LOCALHOST.to_string());
    let config = configuration(world, root, cameras.local_addr(), &receiver.url())?;
    start_log(&config.log);
    let cancel = CancellationToken::new();
    let _end = cancel.clone().drop_guard();
    let (told, to) = watch::channel(None);
    let listens = move |address| {
        daemon::announce(address);
        told.send_replace(Some(address));
    };
    let peers = async {
        tokio::join!(
            cameras.run(cancel.clone()),
            asked.run(cancel.clone()),
            pushing.run(to, cancel.clone()),
            receiver.run(cancel.clone())
        );
        std::future::pending::<()>().await;
    };
    tokio::select! {
        outcome = daemon::run(config, std::sync::Arc::new(listens)) => outcome,
        () = peers => Ok(()),
    }
}

/// The settings of the demonstration.
#[derive(Default)]
struct World(Vec<(String, String)>);

impl World {
    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }
}

fn configuration(
    mut world: World,
    root: &Path,
    cameras: SocketAddr,
    upload_url: &str,
) -> anyhow::Result<Config> {
    let mut set = |name: &str, value: String| world.set(name, value);
    for (n, (key, label, _)) in CAMERAS.iter().enumerate() {
        let n = n + 1;
        set(&format!("CAMERA_{n}_NAME"), (*key).to_owned());
        set(&format!("CAMERA_{n}_LABEL"), (*label).to_owned());
        set(&format!("CAMERA_{n}_RTSP"), format!("rtsp://{cameras}/{key}"));
    }
    // One of them shows everything that can be had of a trigger.
    set("CAMERA_1_CLIP_MS", "3000,2000".to_owned());
    set("CAMERA_1_BEST_MS", "200,200".to_owned());
    set("GPIO_ENABLED", "true".to_owned());
    set("GPIO_BACKEND", "sim".to_owned());
    set("S3_API_URL", upload_url.to_owned());
    set("IMAGE_STORAGE_PATH", root.join("images").to_string_lossy().into_owned());
    set("BIND_IP", Ipv4Addr::LOCALHOST.to_string());
    set("BIND_PORT", port()?.to_string());
    set("WEB_AUTH_ENABLED", "false".to_owned());
    for name in ["LOG_LEVEL", "LOG_FORMAT"] {
        #[expect(clippy::disallowed_methods, reason = "the demonstration has no settings file")]
        let value = std::env::var(name);
        if let Ok(value) = value {
            set(name, value);
        }
    }
    let (mut config, _) =
        Config::parse(&Env::from_pairs(world.0)).map_err(|problems| anyhow!("{problems}"))?;
    config.web.access = WebAccess::Demo;
    Ok(config)
}

fn port() -> anyhow::Result<u16> {
    #[expect(clippy::disallowed_methods, reason = "the demonstration has no settings file")]
    let asked = std::env::var("BIND_PORT");
    match asked {
        Ok(text) if !text.is_empty() => {
            text.parse().with_context(|| format!("BIND_PORT: no port number ({text})"))
        }
        _ => {
            let is_free = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).is_ok();
            Ok(if is_free { PORT } else { 0 })
        }
    }
}
