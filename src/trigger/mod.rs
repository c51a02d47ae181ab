//! From edges to triggers: one thread watches the contacts, each closing goes to its camera's mailbox at once.

pub mod debounce;
pub mod gpio_check;
pub mod watcher;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::capture::{CaptureError, Captures};
use crate::clock;
use crate::config::{Config, GpioConfig};
use crate::gpio::{self, GpioError, Level, Pin, SimHandle};
use crate::model::backoff::Backoff;
use crate::model::chain::chain;
use crate::model::{AlarmText, CameraKey, Cause, Outcome, Trigger};
use crate::status::{AlarmHandle, AlarmKind, LineState, Status};
use crate::store::TriggerLedger;
use watcher::{Contacts, LineEvent, LineStatus, Watcher};

/// Pause before lines that could not be used are tried again; someone may plug or free them.
const REOPEN: Backoff = Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(30) };

/// Triggers that no capture took, waiting to be written into the ledger. Past this many they are counted in the log.
const REFUSED_KEPT: usize = 256;

/// A trigger that leads to no capture, and why.
type Refused = (Trigger, CaptureError);

/// The hand on the simulated contacts, once they are open.
#[derive(Clone, Debug, Default)]
pub struct SimContacts(Arc<Mutex<Option<SimHandle>>>);

impl SimContacts {
    /// Sets a simulated line; `false` when there is none.
    pub fn set(&self, pin: Pin, level: Level) -> bool {
        let handle = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        handle.is_some_and(|handle| handle.set(pin, level))
    }
}

/// The task that watches the contacts.
pub struct Triggers {
    config: GpioConfig,
    contacts: Contacts,
    sim: SimContacts,
    captures: Captures,
    ledger: TriggerLedger,
    status: Status,
    unwatched: AlarmHandle,
    /// Raised by the edge thread, for this task.
    flickers: Arc<AlarmHandle>,
    refused: (mpsc::Sender<Refused>, mpsc::Receiver<Refused>),
}

impl Triggers {
    /// The contacts of every enabled camera; nothing is opened yet.
    pub fn new(config: &Config, captures: &Captures, ledger: TriggerLedger, status: &Status) -> Self {
        let lines: Vec<(Pin, CameraKey)> = lines(config);
        Self {
            config: config.gpio.clone(),
            contacts: Contacts::new(&lines),
            sim: SimContacts::default(),
            captures: captures.clone(),
            ledger,
            status: status.clone(),
            unwatched: status.alarm(AlarmKind::ContactsUnwatched),
            flickers: Arc::new(status.alarm(AlarmKind::ContactFlickers)),
            refused: mpsc::channel(REFUSED_KEPT),
        }
    }

    /// The lines, their counters and the heartbeat of their thread.
    pub fn contacts(&self) -> Contacts {
        self.contacts.clone()
    }

    /// The hand on simulated contacts.
    pub fn sim(&self) -> SimContacts {
        self.sim.clone()
    }

    /// Watches until cancelled. Lines that cannot be used are a state on the dashboard, and are tried again.
    pub async fn run(&mut self, cancel: &CancellationToken) {
        self.show_all();
        let mut failures = 0;
        loop {
            let error = match self.watch(cancel).await {
                Ok(()) => return,
                Err(error) => error,
            };
            failures += 1;
            let error = chain(&error);
            if failures == 1 {
                error!(error, "the contacts cannot be watched");
            }
            // Nobody knows the levels any more.
            self.show_all();
            self.status.update_gpio(|gpio| {
                gpio.backend = "";
                gpio.error = Some(error.clone());
            });
            self.unwatched.raise(AlarmText::ContactsUnwatched { error });
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(REOPEN.jittered(failures)) => {}
            }
        }
    }

    /// Opens the lines and serves them until cancelled or broken.
    async fn watch(&mut self, cancel: &CancellationToken) -> Result<(), GpioError> {
        let (config, contacts) = (self.config.clone(), self.contacts.clone());
        let (sender, opened) = oneshot::channel();
        let (end_sender, mut end) = oneshot::channel();
        let stop = cancel.child_token();
        let _stop_when_dropped = stop.clone().drop_guard();
        let thread_stop = stop.clone();
        let sink = self.sink();
        let thread = std::thread::Builder::new().name("edge".to_owned()).spawn(move || {
            let opened = gpio::open(&config, &contacts.pins())
                .and_then(|opened| Ok((Watcher::new(opened.source, &config, &contacts)?, opened.sim)));
            match opened {
                Ok((watcher, sim)) => {
                    // The other side is gone only when the program ends.
                    let _ = sender.send(Ok((watcher.backend(), sim)));
                    let _ = end_sender.send(watcher.run(&thread_stop, sink));
                }
                Err(error) => {
                    let _ = sender.send(Err(error));
                }
            }
        });
        if let Err(error) = thread {
            error!(%error, "the edge thread could not be started");
        }
        match opened.await {
            Ok(Ok((backend, sim))) => self.show_open(backend, sim),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(thread_died()),
        }
        loop {
            tokio::select! {
                ended = &mut end => {
                    while let Ok((trigger, reason)) = self.refused.1.try_recv() {
                        self.write_down(&trigger, &reason).await;
                    }
                    return match ended {
                        Err(_) if !stop.is_cancelled() => Err(thread_died()),
                        Err(_) => Ok(()),
                        Ok(ended) => ended,
                    };
                }
                Some((trigger, reason)) = self.refused.1.recv() => self.write_down(&trigger, &reason).await,
            }
        }
    }

    /// What the edge thread does with each event; it never waits.
    fn sink(&self) -> impl FnMut(LineEvent) + Send + 'static {
        let (captures, status, contacts) =
            (self.captures.clone(), self.status.clone(), self.contacts.clone());
        let (refused, flickers) = (self.refused.0.clone(), Arc::clone(&self.flickers));
        let takes_pictures = self.config.trigger_enabled;
        move |event| match event {
            LineEvent::Fired { camera, at, .. } if takes_pictures => {
                let trigger =
                    Trigger { camera, cause: Cause::Gpio, edge: clock::moment_of(at), device: None };
                if let Err(reason) = captures.submit(trigger.clone())
                    && refused.try_send((trigger, reason)).is_err()
                {
                    error!("more triggers than can be written down; is a contact flickering?");
                    flickers.raise(AlarmText::ContactFlickers);
                }
            }
            LineEvent::Fired { .. } => {}
            LineEvent::Ignored { pin, reason, .. } => info!(pin, ?reason, "contact closed, no picture"),
            LineEvent::Level { pin, .. } | LineEvent::Edge { pin, .. } => {
                status.update_lines(|| {
                    contacts.lines().into_iter().filter(|line| line.pin == pin).map(shown).collect()
                });
            }
        }
    }

    fn show_open(&self, backend: &'static str, sim: Option<SimHandle>) {
        info!(backend, pins = ?self.contacts.pins(), "watching contacts");
        *self.sim.0.lock().unwrap_or_else(PoisonError::into_inner) = sim;
        self.status.update_gpio(|gpio| {
            gpio.backend = backend;
            gpio.error = None;
        });
        self.unwatched.clear();
        self.show_all();
    }

    fn show_all(&self) {
        self.status.update_lines(|| self.contacts.lines().into_iter().map(shown).collect());
    }

    /// An edge without a capture is an entry of the ledger all the same.
    async fn write_down(&self, trigger: &Trigger, reason: &CaptureError) {
        warn!(camera = %trigger.camera, %reason, "no capture for this trigger");
        let outcome = match reason {
            CaptureError::Busy => Outcome::Coalesced,
            CaptureError::Unknown(_)
            | CaptureError::Disabled(_)
            | CaptureError::NoFrame(_)
            | CaptureError::Store(_)
            | CaptureError::Kept(_)
            | CaptureError::Full(_)
            | CaptureError::Stopping => Outcome::Failed,
        };
        let written = self.ledger.end(trigger, outcome, reason.reason()).await;
        match written {
            Ok(_) => self.flickers.clear(),
            Err(error) => {
                error!(%error, "a trigger could not be written into the ledger");
                self.captures.ledger_refused(&error);
            }
        }
    }
}

/// Pin and camera of every contact in use.
pub fn lines(config: &Config) -> Vec<(Pin, CameraKey)> {
    let enabled = config.cameras.iter().filter(|camera| camera.enabled);
    enabled.filter_map(|camera| Some((camera.pin?, camera.key.clone()))).collect()
}

fn shown(line: LineStatus) -> LineState {
    LineState {
        pin: line.pin,
        camera: line.camera,
        level: line.level,
        active: line.active,
        last_edge: line.last_edge,
        edges: line.edges,
        bounces: line.bounces,
    }
}

fn thread_died() -> GpioError {
    GpioError::Io {
        what: "watch the lines".to_owned(),
        source: std::io::Error::other("its thread ended unexpectedly"),
    }
}

#[cfg(test)]
#[path = "lamp_tests.rs"]
mod tests;
