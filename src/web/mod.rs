//! The dashboard: pages, JSON API, live events, health and metrics, behind one gate.
//!
//! [`routes`] is the table of everything that is served and who may have it; the gate enforces it before any handler
//! runs. One thread serves all; whatever takes time (database, disk, hashing, pictures) is on its blocking pool.

mod account;
mod actions;
mod analysis;
mod assets;
pub mod auth;
mod body;
pub mod code;
mod crowd;
mod error;
mod files;
mod forwarded;
mod gpio;
mod guard;
mod guess;
mod hasher;
mod host;
mod images;
mod ingest;
mod intake;
mod latency;
mod links;
mod listener;
mod live;
mod metrics;
mod mjpeg;
pub mod openapi;
mod openapi_text;
mod overview;
mod parameters;
mod password;
mod password_strength;
pub mod picture_body;
mod picture_reader;
mod quarantine;
mod query;
mod receiver;
mod route;
pub mod routes;
mod seat;
mod secrets;
mod security_log;
mod serving;
mod sessions;
mod socket;
pub mod streaming;
mod throttle;
mod tokens;
mod tryout;
mod uploads;
mod view;
mod visit;
mod who;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::middleware::from_fn;
use actix_web::{App, web};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use crate::capture::{Captures, Pushes};
use crate::config::Config;
use crate::disk::DiskGuard;
use crate::disk::retention::Retention;
use crate::gpio::{Level, Pin};
use crate::ingest::{Door, FtpServer};
use crate::status::Status;
use crate::status::descriptors::{self, Reserve};
use crate::store::{StoreAccess, StoreCatalog, StoreError};
use crate::upload::AnalysisHandle;

use auth::Auth;
use crowd::CrowdLimits;
use host::Hosts;
use links::PublicLinks;
use listener::Counts;
use picture_reader::ReadingRoom;
use streaming::Streaming;
use tryout::Tryouts;
use visit::{Places, Viewers};

/// Dashboards that are kept up to date at once; each costs a connection and a little work per event.
const STREAMS_MAX: usize = 16;

/// Pictures decoded for a thumbnail at once: one can take 150 MB.
const THUMBNAILS_AT_ONCE: usize = 1;

/// Drives a simulated contact.
pub type Simulate = Arc<dyn Fn(Pin, Level) + Send + Sync>;

/// What the dashboard shows and drives.
pub struct Parts {
    /// Where to listen, who may look, which contacts and cameras there are.
    pub config: Arc<Config>,
    /// Pictures and ledger.
    pub store: StoreCatalog,
    /// Sessions, devices and tokens.
    pub access: StoreAccess,
    /// Last known states and the events that change them.
    pub status: Status,
    /// The cameras.
    pub captures: Captures,
    /// The way in for pictures that come by themselves.
    pub pushes: Pushes,
    /// Who may bring them.
    pub door: Arc<Door>,
    /// Who asks which texts stand in a picture; `None` without a server for it.
    pub analysis: Option<AnalysisHandle>,
    /// The retention task.
    pub retention: Retention,
    /// The room on the disk, and what was written to it.
    pub guard: DiskGuard,
    /// Sets a simulated line; `None` unless the back end is `sim`.
    pub sim: Option<Simulate>,
    /// Stops the server.
    pub cancel: CancellationToken,
}

/// What every handler can reach.
struct State {
    config: Arc<Config>,
    store: StoreCatalog,
    status: Status,
    captures: Captures,
    pushes: Pushes,
    door: Arc<Door>,
    analysis: Option<AnalysisHandle>,
    reading_room: ReadingRoom,
    retention: Retention,
    guard: DiskGuard,
    sim: Option<Simulate>,
    cancel: CancellationToken,
    auth: Auth,
    hosts: Hosts,
    streams: Places,
    streaming: Streaming,
    viewers: Viewers,
    thumbnails: Semaphore,
    tryouts: Tryouts,
    links: PublicLinks,
    connections: Arc<Counts>,
}

/// A server that has its port but does not serve yet.
pub struct Bound {
    listener: TcpListener,
    addr: SocketAddr,
    state: web::Data<State>,
}

/// Takes the address of `config.web.bind` (port 0 takes any free one). The error names it and says what to do; also
/// when `WEB_PASSWORD_HASH` is no hash.
pub fn bind(parts: Parts) -> io::Result<Bound> {
    let wanted = parts.config.web.bind;
    let auth = Auth::new(parts.access, &parts.config.web)
        .map_err(|message| io::Error::new(io::ErrorKind::InvalidInput, message))?
        .knowing(password_strength::names(&parts.config));
    let failed = |error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "another program has it; stop that one or set BIND_PORT",
            io::ErrorKind::AddrNotAvailable => "this machine does not have that address; set BIND_IP",
            io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; set BIND_PORT",
            _ => "set BIND_IP and BIND_PORT",
        };
        io::Error::new(error.kind(), format!("cannot listen on {wanted}: {error}; {hint}"))
    };
    let listener = TcpListener::bind(wanted).map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let web = &parts.config.web;
    let hosts = Hosts::new(web.hosts.iter().map(String::as_str).chain(web.links.host()));
    let streaming = Streaming::new(&parts.config.streaming).map_err(io::Error::other)?;
    if let Some(slot) = parts.captures.slot() {
        slot.never_ask(addr.port());
    }
    let reading_room = ReadingRoom::new(parts.config.ingest.devices.iter().map(|device| device.number));
    let viewers = Viewers::new(parts.config.cameras.iter().map(|camera| camera.key.clone()));
    let state = State {
        config: parts.config,
        store: parts.store,
        status: parts.status,
        captures: parts.captures,
        pushes: parts.pushes,
        door: parts.door,
        analysis: parts.analysis,
        reading_room,
        retention: parts.retention,
        guard: parts.guard,
        sim: parts.sim,
        cancel: parts.cancel,
        auth,
        hosts,
        streams: Places::new(STREAMS_MAX),
        streaming,
        viewers,
        thumbnails: Semaphore::new(THUMBNAILS_AT_ONCE),
        tryouts: Tryouts::default(),
        links: PublicLinks::new(),
        connections: Arc::default(),
    };
    Ok(Bound { listener, addr, state: web::Data::new(state) })
}

impl Bound {
    /// The address that is really listened on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The code that allows to set the first password; `None` when it is set or none is asked for. Print it once.
    pub async fn setup_code(&self) -> Result<Option<String>, StoreError> {
        self.state.auth.setup_code().await
    }

    /// Serves until cancelled, then lets answers under way end for at most three seconds.
    ///
    /// It has a thread and a runtime of its own, so a page never delays a camera. Dropping the future stops the server
    /// without waiting.
    pub fn run(self) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let Self { listener, state, .. } = self;
        let most = most_connections(&state);
        let counts = Arc::clone(&state.connections);
        let stop = state.cancel.clone();
        serve(listener, state, most, counts, stop, serving::register)
    }

    /// What tells the set-up code, as long as there is one.
    pub fn setup_codes(&self) -> SetupCodes {
        SetupCodes { state: self.state.clone() }
    }

    /// What serves the routes of older receivers on a port of its own, beside this one.
    pub fn older(&self) -> OlderRoutes {
        OlderRoutes { state: self.state.clone() }
    }
}

/// The set-up code, for those who stand before the box.
pub struct SetupCodes {
    state: web::Data<State>,
}

impl SetupCodes {
    /// The code; `None` as soon as there is a password, and where none is asked for.
    pub async fn current(&self) -> Result<Option<String>, StoreError> {
        self.state.auth.setup_code().await
    }
}

/// The routes of older receivers for a port of their own; sessions, limits and pictures are those of the dashboard.
#[derive(Clone)]
pub struct OlderRoutes {
    state: web::Data<State>,
}

/// Such a port that does not serve yet.
pub struct BoundOlder {
    listener: TcpListener,
    addr: SocketAddr,
    state: web::Data<State>,
}

impl OlderRoutes {
    /// Takes the port (0: any free one) on the dashboard's address. The error names it and says what to do.
    pub fn bind(&self, port: u16) -> io::Result<BoundOlder> {
        let wanted = SocketAddr::new(self.state.config.web.bind.ip(), port);
        let failed = |error: io::Error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "another program has it, perhaps the receiver before this one; stop that"
                }
                io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; set COMPAT_PORT",
                _ => "set COMPAT_PORT",
            };
            io::Error::new(error.kind(), format!("cannot listen on {wanted}: {error}; {hint}"))
        };
        let listener = TcpListener::bind(wanted).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        Ok(BoundOlder { listener, addr, state: self.state.clone() })
    }
}

impl BoundOlder {
    /// The address that is really listened on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until cancelled, as [`Bound::run`].
    pub fn run(self, cancel: &CancellationToken) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let Self { listener, state, .. } = self;
        let most = older_connections(&state);
        serve(listener, state, most, Arc::default(), cancel.clone(), serving::register_older)
    }
}

/// Connections of all ports together.
fn all_connections(state: &State) -> usize {
    let (config, limit) = (&state.config, descriptors::limit());
    let reserve = Reserve {
        cameras: config.cameras.len(),
        targets: config.upload.in_use().count(),
        ftp_sessions: config.ingest.ftp.as_ref().map_or(0, |_| FtpServer::SESSIONS_MAX),
    };
    descriptors::connections(limit, reserve)
}

/// Those of a port for older routes: a quarter, because what is brought there is brought quickly.
fn older_connections(state: &State) -> usize {
    (all_connections(state) / 4).max(1)
}

/// Those of the dashboard.
fn most_connections(state: &State) -> usize {
    let older = state.config.ingest.compat_port.map_or(0, |_| older_connections(state));
    (all_connections(state) - older).max(1)
}

/// Serves on a thread of its own until cancelled or dropped.
async fn serve(
    listener: TcpListener,
    state: web::Data<State>,
    most: usize,
    counts: Arc<Counts>,
    stop: CancellationToken,
    register: fn(&mut web::ServiceConfig),
) -> io::Result<()> {
    let stop = stop.child_token();
    let _end = stop.clone().drop_guard();
    let (ended, outcome) = oneshot::channel();
    let serve = move || {
        let status = state.status.clone();
        let app = || {
            App::new()
                .app_data(state)
                .wrap(from_fn(guard::gate))
                .wrap(from_fn(seat::attend))
                .configure(register)
        };
        // Nobody may be left to tell.
        let _ = ended.send(listener::serve(listener, CrowdLimits::of(most), &counts, &status, &stop, app));
    };
    std::thread::Builder::new().name("dashboard".to_owned()).spawn(serve)?;
    outcome.await.unwrap_or_else(|_| Err(io::Error::other("its thread ended by a defect of this program")))
}
