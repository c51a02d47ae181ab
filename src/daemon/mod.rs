//! The whole program: builds every part, joins them, stops them in order.
//!
//! Shutdown: contacts and new captures first, then captures under way finish (they need their cameras), then cameras,
//! then deliveries, the dashboard and the database. An unfinished upload keeps its row.

pub mod alarms;
mod at_box;
pub mod clock_watch;
pub mod older;
pub mod supervise;
mod tasks;
pub mod upkeep;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::capture::{CameraTasks, Captures, Pushes};
use crate::config::{Config, GpioBackend};
use crate::daemon::alarms::Alarms;
use crate::daemon::at_box::AtBox;
use crate::daemon::clock_watch::ClockWatch;
use crate::daemon::older::OlderPort;
use crate::daemon::supervise::{Supervisor, Task};
use crate::daemon::upkeep::Upkeep;
use crate::disk::DiskGuard;
use crate::disk::retention::{Retention, RetentionTask};
use crate::display::DisplayTask;
use crate::ingest::{Door, FolderTask, FtpServer};
use crate::model::chain::chain;
use crate::model::{AlarmText, CameraKey, TargetId, UploadState};
use crate::status::descriptors::DescriptorWatch;
use crate::status::{AlarmKind, Status};
use crate::store::{self, Former, OpenedStore, Store, StoreAccess, StoreCatalog};
use crate::system::signals::Signals;
use crate::system::systemd;
use crate::targets::{Analyser, Target};
use crate::trigger::watcher::Contacts;
use crate::trigger::{SimContacts, Triggers};
use crate::upload::{AnalysisHandle, AnalysisLane, Connectivity, Lane};
use crate::web;

/// Captures under way get this long to finish.
const CAPTURES_LIMIT: Duration = Duration::from_secs(8);

/// Everything else gets this long; the sum stays below `TimeoutStopSec=`.
const REST_LIMIT: Duration = Duration::from_secs(5);

/// An edge thread or a database that has not answered by then is stuck, and the watchdog is not fed.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// A database that is damaged again so soon is on a disk that is: replacing it once more would not help.
const REPLACED_AGAIN: Duration = Duration::from_secs(3600);

/// A disk with the database that is not mounted is waited for so long; then a service is started anew, with the mounts of
/// that time. Shorter than `TimeoutStartSec=` (90 s).
const DATABASE_WAIT: Duration = Duration::from_secs(60);

/// How often it is looked whether that disk is here.
const DATABASE_LOOK: Duration = Duration::from_secs(1);

/// Who is told that the dashboard listens.
pub type OnReady = Arc<dyn Fn(SocketAddr) + Send + Sync>;

/// Why a run ended.
enum End {
    /// A signal asked for it.
    Asked,
    /// The database is damaged, as said.
    Damaged(String),
}

/// The dashboard; bound anew whenever it could not be kept up, because an address may come and go.
struct Web {
    config: Arc<Config>,
    store: StoreCatalog,
    access: StoreAccess,
    status: Status,
    captures: Captures,
    pushes: Pushes,
    door: Arc<Door>,
    analysis: Option<AnalysisHandle>,
    retention: Retention,
    guard: DiskGuard,
    sim: SimContacts,
    on_ready: OnReady,
    /// Told what is served on a port for older routes.
    older: watch::Sender<Option<web::OlderRoutes>>,
    at_box: AtBox,
}

impl Task for Web {
    fn kind(&self) -> &'static str {
        "dashboard"
    }

    fn label(&self) -> String {
        "dashboard".to_owned()
    }

    async fn run(&mut self, cancel: &CancellationToken) -> Result<(), String> {
        let is_simulated = self.config.gpio.enabled && self.config.gpio.backend == GpioBackend::Sim;
        let sim = self.sim.clone();
        let simulate: web::Simulate = Arc::new(move |pin, level| {
            // A line that is not open yet has no level to change.
            sim.set(pin, level);
        });
        let bound = web::bind(web::Parts {
            config: Arc::clone(&self.config),
            store: self.store.clone(),
            access: self.access.clone(),
            status: self.status.clone(),
            captures: self.captures.clone(),
            pushes: self.pushes.clone(),
            door: Arc::clone(&self.door),
            analysis: self.analysis.clone(),
            retention: self.retention.clone(),
            guard: self.guard.clone(),
            sim: is_simulated.then_some(simulate),
            cancel: cancel.clone(),
        })
        .map_err(|error| chain(&error))?;
        if let Some(code) = bound.setup_code().await.map_err(|error| chain(&error))? {
            warn!(code, "no password is set: open the dashboard and enter this one-time set-up code");
        }
        self.older.send_replace(Some(bound.older()));
        let (addr, codes) = (bound.addr(), bound.setup_codes());
        (self.on_ready)(addr);
        self.at_box.during(addr, codes, bound.run()).await.map_err(|error| chain(&error))
    }
}

/// Feeds the watchdog while the edge thread and the database answer.
struct Watchdog {
    interval: Duration,
    contacts: Contacts,
    status: Status,
    store: Store,
}

impl Task for Watchdog {
    fn kind(&self) -> &'static str {
        "watchdog"
    }

    fn label(&self) -> String {
        "watchdog".to_owned()
    }

    async fn run(&mut self, cancel: &CancellationToken) -> Result<(), String> {
        let mut turns = self.contacts.turns();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(self.interval) => {}
            }
            let are_contacts_open = !self.status.gpio().backend.is_empty();
            let is_edge_thread_stuck = are_contacts_open && self.contacts.turns() == turns;
            turns = self.contacts.turns();
            let does_store_answer =
                tokio::time::timeout(ANSWER_LIMIT, self.store.ping()).await.is_ok_and(|r| r.is_ok());
            if is_edge_thread_stuck || !does_store_answer {
                error!(
                    is_edge_thread_stuck,
                    does_store_answer, "something is stuck; the watchdog is not fed"
                );
            } else {
                systemd::alive();
            }
        }
    }
}

/// Which targets get a row for each new picture, and in which state.
pub fn owed_to(config: &Config) -> Vec<(TargetId, UploadState)> {
    let state = if config.upload.enabled { UploadState::Pending } else { UploadState::Skipped };
    config.upload.in_use().map(|target| (target, state)).collect()
}

/// What a program before this one may have left: its list of pictures to be sent lies beside the pictures or among them, or
/// beside the database; its cameras were those of this site, by key, by label or by number.
fn former(config: &Config) -> Former {
    let beside = |path: &Path| match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let storage = &config.storage;
    let folders = vec![beside(&storage.images), storage.images.clone(), beside(&storage.database)];
    let labels = config.cameras.iter().map(|camera| camera.label.to_ascii_lowercase());
    let numbers = config.cameras.iter().map(|camera| format!("r{}", camera.number));
    let others = labels.chain(numbers).filter_map(|text| CameraKey::parse(&text).ok());
    let cameras = config.cameras.iter().map(|camera| camera.key.clone()).chain(others).collect();
    Former { folders, cameras }
}

/// Opens what is kept, as configured. Blocking.
pub fn open_store(config: &Config) -> anyhow::Result<Store> {
    Ok(Store::open(&config.storage.images, &config.storage.database, &owed_to(config))?)
}

/// Runs until a signal asks it to stop. `on_ready` is told the dashboard's address whenever it listens. A database that
/// turns out to be damaged is replaced, and everything begins anew in the same process.
///
/// An error means that it could not start; whatever happens afterwards is a state on the dashboard.
pub async fn run(config: Config, on_ready: OnReady) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("listen for signals")?;
    let mut damage = None;
    let mut replaced: Option<std::time::Instant> = None;
    loop {
        let opened = tokio::select! {
            opened = open(&config, damage.take()) => opened?,
            _ = signals.asked() => return Ok(()),
        };
        replaced = if opened.alarm.is_some() { Some(std::time::Instant::now()) } else { replaced };
        let may_replace = replaced.is_none_or(|at| at.elapsed() > REPLACED_AGAIN);
        match serve(config.clone(), opened, Arc::clone(&on_ready), &mut signals, may_replace).await? {
            End::Asked => return Ok(()),
            End::Damaged(found) => damage = Some(found),
        }
    }
}

/// Opens what is kept, for the owner of the directory. A disk with the database that is not mounted is waited for.
async fn open(config: &Config, damage: Option<String>) -> anyhow::Result<OpenedStore> {
    // Where a service has its own folder (StateDirectory=).
    let working = Path::new(".");
    let config = config.clone();
    let began = std::time::Instant::now();
    let mut has_said = false;
    while let Some(why) = store::database_away(&config.storage.database, working) {
        if began.elapsed() > DATABASE_WAIT {
            anyhow::bail!(why);
        }
        if !has_said {
            error!(why, "the disk with the database is away");
            has_said = true;
        }
        tokio::time::sleep(DATABASE_LOOK).await;
    }
    let open = move || {
        let storage = &config.storage;
        let opened = Store::open_owned(&storage.images, &storage.database, &owed_to(&config), damage)?;
        store::remember_database(&storage.database, working);
        Ok::<_, store::StoreError>(opened)
    };
    Ok(tokio::task::spawn_blocking(open).await.context("open the store")??)
}

/// One run, from the start of every part to its end.
async fn serve(
    config: Config,
    opened: OpenedStore,
    on_ready: OnReady,
    signals: &mut Signals,
    may_replace: bool,
) -> anyhow::Result<End> {
    let OpenedStore { store, ownership: _ownership, alarm } = opened;
    let store = store.analysing(config.analysis.as_ref().map_or(&[], |analysis| &analysis.causes));
    let found = store.reconcile_first().await;
    found.context("put the picture directory and the database in order")?;
    let status = Status::new(&config);
    let damaged = status.alarm(AlarmKind::DatabaseDamaged);
    damaged.set(alarm.map(|detail| AlarmText::DatabaseDamaged { detail }));

    let (intake, sessions, work) =
        (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let (mut intake_tasks, mut session_tasks, mut work_tasks) =
        (Supervisor::new(&status), Supervisor::new(&status), Supervisor::new(&status));

    let guard = DiskGuard::new(store.intake(), &config.storage, &status);
    let (captures, cameras) = Captures::new(&config, &store, &guard, &status);
    captures.recall_latencies(&store).await.context("read the latencies of the cameras")?;
    captures.recall_stream(&store).await.context("read where the camera of the streaming API is")?;
    for CameraTasks { camera, capture, live_decoder } in cameras {
        session_tasks.spawn(camera, &sessions);
        session_tasks.spawn(live_decoder, &sessions);
        intake_tasks.spawn(capture, &intake);
    }
    let (pushes, push_task) = Pushes::new(&config, &store, &guard);
    let door = Arc::new(Door::new(&config.ingest));
    // What was handed over is finished before the database goes.
    intake_tasks.spawn(push_task, &intake);
    if let Some(ftp) = &config.ingest.ftp {
        let server =
            FtpServer::new(ftp.ip.unwrap_or(config.web.bind.ip()), ftp, Arc::clone(&door), pushes.clone());
        intake_tasks.spawn(server, &intake);
    }
    for device in &config.ingest.devices {
        if let Some(folder) = &device.folder {
            let task = FolderTask::new(device, folder, Arc::clone(&door), pushes.clone());
            intake_tasks.spawn(task, &intake);
        }
    }
    let triggers = Triggers::new(&config, &captures, store.triggers(), &status);
    let (sim, contacts) = (triggers.sim(), triggers.contacts());
    if config.gpio.enabled {
        intake_tasks.spawn(triggers, &intake);
    }
    for target in Target::all(&config.upload).into_iter().map(Arc::new) {
        work_tasks.spawn(Lane::new(target.clone(), &config, store.queue(target.id()), &status), &work);
        work_tasks.spawn(Connectivity::new(target, &config.upload, &status, store.wakes()), &work);
    }
    let analysis = config.analysis.as_ref().map(|analysis| {
        AnalysisHandle::new(Analyser::new(analysis, &config.upload), analysis, store.analyses())
    });
    if let Some(analysis) = analysis.clone() {
        let lane = AnalysisLane::new(analysis, config.upload.retry_interval, &status);
        work_tasks.spawn(lane, &work);
    }
    work_tasks.spawn(ClockWatch::new(store.upkeep(), &status), &work);
    let (retention_task, retention) = RetentionTask::new(store.retention(), &config.storage, &guard, &status);
    work_tasks.spawn(retention_task, &work);
    work_tasks.spawn(DescriptorWatch::new(&status), &work);
    let upkeep = Upkeep::new(store.upkeep(), &status, config.storage.backup_every);
    work_tasks.spawn(upkeep.taking_over(former(&config)), &work);
    work_tasks.spawn(Alarms::new(&store, &status), &work);
    let mut damage = store.damage();
    let older = watch::Sender::new(None);
    if let Some(port) = config.ingest.compat_port {
        work_tasks.spawn(OlderPort::new(port, older.subscribe()), &work);
    }
    let at_box = AtBox::new(config.display.is_some());
    if let Some(display) = config.display {
        let task = DisplayTask::new(display, &config, store.catalog(), &status, at_box.inputs());
        work_tasks.spawn(task, &work);
    }
    let web = Web {
        config: Arc::new(config),
        store: store.catalog(),
        access: store.access(),
        status: status.clone(),
        captures,
        pushes,
        door,
        analysis,
        retention,
        guard,
        sim,
        on_ready,
        older,
        at_box,
    };
    work_tasks.spawn(web, &work);
    if let Some(interval) = systemd::watchdog_interval() {
        let watchdog = Watchdog { interval, contacts, status: status.clone(), store: store.clone() };
        work_tasks.spawn(watchdog, &work);
    }
    info!(version = env!("CARGO_PKG_VERSION"), "started");
    systemd::ready("serving");

    let end = tokio::select! {
        () = asked(signals) => End::Asked,
        found = damage.wait_for(Option::is_some) => {
            let found = found.map(|found| found.clone().unwrap_or_default()).unwrap_or_default();
            error!(found, "the database is damaged");
            if may_replace {
                End::Damaged(found)
            } else {
                damaged.raise(AlarmText::DatabaseDamagedAgain { error: found });
                asked(signals).await;
                End::Asked
            }
        }
    };
    match &end {
        End::Asked => {
            info!("stopping");
            systemd::stopping();
        }
        End::Damaged(_) => warn!("everything begins anew with another database"),
    }
    intake.cancel();
    let aborted = intake_tasks.drain(CAPTURES_LIMIT).await;
    if aborted > 0 {
        warn!(tasks = aborted, "some captures did not finish; the next start accounts for them");
    }
    sessions.cancel();
    session_tasks.drain(REST_LIMIT).await;
    work.cancel();
    work_tasks.drain(REST_LIMIT).await;
    match &end {
        End::Asked => {
            store.close().await.context("close the database")?;
            info!("stopped");
        }
        // It is set aside as it is.
        End::Damaged(_) => {}
    }
    Ok(end)
}

/// Tells on standard output where the dashboard is.
pub fn announce(address: SocketAddr) {
    let shown = match address.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), address.port()),
        _ => address,
    };
    // Nobody may read it; the log has it too.
    let _ = writeln!(std::io::stdout(), "dashboard: http://{shown}/");
    info!(%address, "dashboard listens");
}

/// Waits until a signal asks it to stop; a further one ends the process at once.
#[expect(clippy::disallowed_methods, reason = "a signal must be heard while everything else is stopping")]
async fn asked(signals: &mut Signals) {
    let asked = signals.asked().await;
    tokio::spawn(async move {
        asked.at_once().await;
        std::process::exit(1);
    });
}
