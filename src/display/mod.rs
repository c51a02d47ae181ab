//! A small display at the box: what is wrong, the address, the set-up code, contacts, the last picture, what waits.
//!
//! What it says is a pure function of how everything stands (`page`), and so is how it looks (`drawing`) and when it is dark
//! (`idle`). A display that is not there is a state that the dashboard shows and never a fault: it is tried again by itself.

mod canvas;
mod drawing;
mod i2c;
mod idle;
mod page;
mod panel;

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock;
use crate::config::{CameraConfig, Config, DisplayConfig, Secret};
use crate::model::backoff::Backoff;
use crate::model::{UnixMs, UploadState};
use crate::status::{AlarmKind, DisplayState, Event, Severity, Status};
use crate::store::{Change, StoreCatalog};

use i2c::I2cWire;
use idle::{Happened, PageTurns};
use page::{Facts, LastPicture, known_as, pages};
use panel::{DisplayWire, Light, Panel};

/// How often it is looked how everything stands, and whose turn it is.
const TICK: Duration = Duration::from_secs(1);

/// Everything is written anew so often: one that was pulled and put back in between has forgotten everything.
const RENEW: Duration = Duration::from_secs(60);

/// Between two tries to find a display.
const RETRY: Backoff = Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(60) };

/// How a wire is opened.
type OpenWire = Arc<dyn Fn() -> io::Result<Box<dyn DisplayWire>> + Send + Sync>;

/// What is known at the start and comes from elsewhere.
#[derive(Clone)]
pub struct DisplayInputs {
    /// Where the dashboard listens; `None` before it does.
    pub listens: watch::Receiver<Option<SocketAddr>>,
    /// The one-time set-up code, until a password is set.
    pub code: watch::Receiver<Option<Secret<String>>>,
}

/// The task of the display.
pub struct DisplayTask {
    settings: DisplayConfig,
    open: OpenWire,
    cameras: Vec<CameraConfig>,
    has_ftp: bool,
    store: StoreCatalog,
    status: Status,
    inputs: DisplayInputs,
}

impl DisplayTask {
    /// The display of these settings; nothing is opened yet.
    pub fn new(
        settings: DisplayConfig,
        config: &Config,
        store: StoreCatalog,
        status: &Status,
        inputs: DisplayInputs,
    ) -> Self {
        let open: OpenWire = Arc::new(move || {
            Ok(Box::new(I2cWire::open(settings.bus, settings.address)?) as Box<dyn DisplayWire>)
        });
        Self::with_wire(settings, open, config, store, status, inputs)
    }

    fn with_wire(
        settings: DisplayConfig,
        open: OpenWire,
        config: &Config,
        store: StoreCatalog,
        status: &Status,
        inputs: DisplayInputs,
    ) -> Self {
        Self {
            settings,
            open,
            cameras: config.cameras.iter().filter(|camera| camera.enabled).cloned().collect(),
            has_ftp: config.ingest.ftp.is_some(),
            store,
            status: status.clone(),
            inputs,
        }
    }

    /// Shows until cancelled; then it is dark.
    pub async fn run(&mut self, cancel: &CancellationToken) {
        let (mut events, mut changes) = (self.status.subscribe(), self.store.changes());
        let mut turns = PageTurns::new(self.settings.sleep, Instant::now());
        let mut glass = Glass::new(self.settings, Arc::clone(&self.open));
        loop {
            let facts = self.facts().await;
            let (pages, now) = (pages(&facts), Instant::now());
            let light = turns.light(&pages, now);
            if let Some(page) = turns.page(&pages, now) {
                glass = glass.show(drawing::draw(page), light, now).await;
            }
            self.tell(glass.state());
            tokio::select! {
                () = cancel.cancelled() => break,
                () = tokio::time::sleep(TICK) => {}
                happened = next(&mut events, &mut changes) => turns.wake(happened, Instant::now()),
            }
        }
        glass.darken().await;
    }

    /// Says how the display is, and once when that changes.
    fn tell(&self, state: DisplayState) {
        if self.status.display().as_ref() == Some(&state) {
            return;
        }
        match &state.error {
            None => info!(kind = state.kind, "the display is shown"),
            Some(error) => warn!(kind = state.kind, error, "the display is missing; it is tried again"),
        }
        self.status.show_display(state);
    }

    /// How everything stands.
    async fn facts(&self) -> Facts {
        let status = &self.status;
        let alarms = status.alarms();
        let is_ftp_down = alarms
            .iter()
            .any(|alarm| matches!(&alarm.kind, AlarmKind::TaskRestarted { task, .. } if *task == "ftp"));
        let lines = status.gpio().lines;
        let contacts = self.cameras.iter().filter(|camera| camera.pin.is_some()).map(|camera| {
            let line = lines.iter().find(|line| line.camera == camera.key);
            (self.label(camera.key.as_str()), line.and_then(|line| line.level.map(|_| line.active)))
        });
        let contacts = if status.gpio().enabled { contacts.collect() } else { Vec::new() };
        // What the database does not say just now is left out; an alarm says that it does not.
        let last = self.store.arrivals(1).await.ok().and_then(|mut images| images.pop());
        let last = last.map(|image| LastPicture {
            camera: self.label(&image.facts.camera.to_string()),
            time: time_of(image.facts.taken_at()),
            deliveries: image
                .uploads
                .iter()
                .map(|upload| (upload.target.to_string(), upload.state))
                .collect(),
        });
        let tallies = self.store.stats().await.map(|stats| stats.uploads).unwrap_or_default();
        let count = |wanted: UploadState| {
            let all = tallies.values().flatten().filter(|(state, _)| *state == wanted);
            all.map(|(_, count)| count).sum()
        };
        Facts {
            url: self.inputs.listens.borrow().and_then(url_of),
            code: self.inputs.code.borrow().as_ref().map(|code| code.reveal().clone()),
            alarms: alarms
                .iter()
                .filter(|alarm| alarm.kind.severity() > Severity::Info)
                .map(|alarm| (alarm.kind.severity(), self.spoken(&alarm.message)))
                .collect(),
            contacts,
            last,
            waiting: count(UploadState::Pending),
            dead: count(UploadState::Dead),
            ftp: self.has_ftp.then_some(!is_ftp_down),
        }
    }

    fn label(&self, key: &str) -> String {
        let camera = self.cameras.iter().find(|camera| camera.key.as_str() == key);
        camera.map_or_else(|| key.to_owned(), |camera| known_as(&camera.label, key))
    }

    /// Words in which cameras are called as on the other pages.
    fn spoken(&self, words: &str) -> String {
        self.cameras.iter().fold(words.to_owned(), |words, camera| {
            match known_as(&camera.label, camera.key.as_str()) {
                known if known == camera.label => words,
                known => words.replace(&camera.label, &known),
            }
        })
    }
}

/// Waits for something that people want to see. Dropping the future loses nothing that a second later would not show.
async fn next(
    events: &mut broadcast::Receiver<Event>,
    changes: &mut broadcast::Receiver<Change>,
) -> Happened {
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(Event::Alarms(alarms)) if !alarms.is_empty() => return Happened::Alarm,
                Ok(Event::Contact(_)) => return Happened::Contact,
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                // The program ends.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            },
            change = changes.recv() => match change {
                Ok(Change::Image(_)) => return Happened::Picture,
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            },
        }
    }
}

/// The time of day, unless the clock had not been set by then.
fn time_of(taken_at: UnixMs) -> String {
    if clock::is_implausible(taken_at) { "--:--".to_owned() } else { clock::time_of_day(taken_at) }
}

/// Where the dashboard is found from other machines; `None` without a network.
fn url_of(listens: SocketAddr) -> Option<String> {
    let ip = if listens.ip().is_unspecified() { own_address()? } else { listens.ip() };
    Some(format!("http://{}/", SocketAddr::new(ip, listens.port())))
}

/// The address by which this machine would speak to others. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    // Of the blocks for documentation (RFC 5737, RFC 3849): only the way there matters, which is that to the router.
    [("0.0.0.0", "192.0.2.1"), ("::", "2001:db8::1")].into_iter().find_map(|(any, far)| {
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((far, 9)).ok()?;
        socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
    })
}

/// The display, as far as it is there.
struct Glass {
    settings: DisplayConfig,
    open: OpenWire,
    panel: Option<Panel>,
    error: Option<String>,
    failures: u32,
    /// Not tried before.
    not_before: Option<Instant>,
    renewed_at: Instant,
}

impl Glass {
    fn new(settings: DisplayConfig, open: OpenWire) -> Self {
        let renewed_at = Instant::now();
        Self { settings, open, panel: None, error: None, failures: 0, not_before: None, renewed_at }
    }

    fn state(&self) -> DisplayState {
        DisplayState { kind: self.settings.kind.as_str(), error: self.error.clone() }
    }

    /// Shows a picture, on a thread that may wait: a bus is slow, and one that hangs is slower.
    async fn show(self, canvas: canvas::Canvas, light: Light, now: Instant) -> Self {
        let (settings, open) = (self.settings, Arc::clone(&self.open));
        let shown = tokio::task::spawn_blocking(move || self.shown(&canvas, light, now));
        // It panics nowhere; if it did, the display would be set up anew.
        shown.await.unwrap_or_else(|_| Self::new(settings, open))
    }

    fn shown(mut self, canvas: &canvas::Canvas, light: Light, now: Instant) -> Self {
        if self.not_before.is_some_and(|at| now < at) {
            return self;
        }
        match self.attempt(canvas, light, now) {
            Ok(()) => (self.error, self.failures, self.not_before) = (None, 0, None),
            Err(error) => {
                self.panel = None;
                self.failures = self.failures.saturating_add(1);
                self.not_before = Some(now + RETRY.jittered(self.failures));
                self.error = Some(explain(&error, self.settings));
            }
        }
        self
    }

    fn attempt(&mut self, canvas: &canvas::Canvas, light: Light, now: Instant) -> io::Result<()> {
        let mut panel = match self.panel.take() {
            Some(panel) => panel,
            None => {
                self.renewed_at = now;
                Panel::begin((self.open)()?, self.settings.kind)?
            }
        };
        if now.saturating_duration_since(self.renewed_at) >= RENEW {
            panel.renew()?;
            self.renewed_at = now;
        }
        if light != Light::Off {
            panel.show(canvas)?;
        }
        panel.shine(light)?;
        self.panel = Some(panel);
        Ok(())
    }

    /// Leaves no picture burning on the glass of a program that has ended.
    async fn darken(mut self) {
        let darken = move || self.panel.as_mut().map(|panel| panel.shine(Light::Off));
        // A display that is gone is dark.
        let _ = tokio::task::spawn_blocking(darken).await;
    }
}

/// What is wrong with the wire, and what to do.
fn explain(error: &io::Error, settings: DisplayConfig) -> String {
    let DisplayConfig { bus, address, .. } = settings;
    // ENXIO and EREMOTEIO: nobody acknowledged; which of them it is depends on the chip of the bus.
    let step = match (error.kind(), error.raw_os_error()) {
        (_, Some(6 | 121)) => "nothing answers at that address; check its four wires and STATUS_DISPLAY_I2C",
        (io::ErrorKind::NotFound, _) => {
            "there is no such bus; switch I2C on (sudo raspi-config nonint do_i2c 0) and check STATUS_DISPLAY_I2C"
        }
        (io::ErrorKind::PermissionDenied, _) => {
            "the program must be in the group i2c: sudo usermod -aG i2c camera-capture"
        }
        _ => "check its four wires",
    };
    format!("the display at {address:#04x} of /dev/i2c-{bus} cannot be written: {error}; {step}")
}

#[cfg(test)]
#[path = "display_tests.rs"]
mod tests;
