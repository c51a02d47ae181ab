//! Accepts connections, has the [`crowd`](super::crowd) decide about each, and serves HTTP on them.
//!
//! The HTTP server's own listener stops accepting once it has as many connections as it may: whoever comes first keeps
//! everybody else out. This one goes on accepting and closes what is missed least. All of it runs on one thread with a
//! blocking pool of its own, so that nothing a visitor asks for is in the way of a capture.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use actix_http::{HttpService, Request};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, map_config};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{AppConfig, Response};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::crowd::{Admission, Crowd, CrowdLimits, Full, PeerOrigin};
use super::seat::{Connections, Seat, Wire};
use crate::model::AlarmText;
use crate::status::descriptors;
use crate::status::{AlarmHandle, AlarmKind, Status};

/// A client that has not sent its headers so long after their first byte is answered 408.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that has been told that its connection ends gets this long to take it.
const GOODBYE: Duration = Duration::from_secs(1);

/// Answers under way get this long to end when the program stops; streams end at once.
const DRAIN: Duration = Duration::from_secs(3);

/// Connections that the kernel keeps for us until they are accepted: a burst of as many does not turn others away for the
/// seconds until they try again. The kernel's own limit (`net.core.somaxconn`) is the same.
const BACKLOG: i32 = 4096;

/// Connections accepted before any of them is served: of a flood most are closed again before they cost more. Those that
/// were closed and still have their descriptor are no more than a few at any time.
const BATCH: usize = 64;
const CLOSING_MAX: usize = 8;

/// Bytes that the kernel keeps of an answer that is not taken, and of what is sent and not read; it counts twice as
/// much. Left to itself it takes megabytes for each connection, and they count against this program's memory.
const SEND_BUFFER: usize = 64 * 1024;
const RECEIVE_BUFFER: usize = 32 * 1024;

/// Threads for what blocks. More than the dashboard ever has under way: one of them may hold the database's write lock.
const BLOCKING_THREADS: usize = 32;

/// How often it is looked for connections that have lasted too long, and at the alarm.
const SWEEP: Duration = Duration::from_secs(1);

/// Pause when no connection could be accepted because something of the machine has run out.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Connections closed each time that happens.
const SHED: usize = 16;

/// An alarm ends when its cause has not been seen for so long; a log line about the same comes no more often.
const QUIET: Duration = Duration::from_secs(60);

/// Numbers about connections, for the metrics.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Connections now.
    pub(super) open: AtomicU64,
    /// The most there may be.
    pub(super) most: AtomicU64,
    /// Turned away since the start.
    pub(super) refused: AtomicU64,
    /// Closed for a newcomer since the start.
    pub(super) closed: AtomicU64,
}

/// Serves `app` on the listener until `stop`, then lets answers under way end. Blocking: it is a thread's whole work.
pub(super) fn serve<F, I, S, B>(
    listener: TcpListener,
    limits: CrowdLimits,
    counts: &Counts,
    status: &Status,
    stop: &CancellationToken,
    app: F,
) -> io::Result<()>
where
    F: FnOnce() -> I,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Response<BoxBody>> + 'static,
    S::Response: Into<Response<B>> + 'static,
    S::InitError: std::fmt::Debug,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    prepare(&listener)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("dashboard")
        .build()?;
    let local = LocalSet::new();
    let ended = local.block_on(&runtime, async {
        let factory = HttpService::build()
            .client_request_timeout(HEADERS_TIMEOUT)
            .client_disconnect_timeout(GOODBYE)
            .on_connect_ext(|wire: &Wire, data| {
                data.insert(wire.seat.clone());
            })
            .h1(map_config(app(), |()| AppConfig::default()));
        let made = factory.new_service(()).await;
        let service = Rc::new(made.map_err(|()| io::Error::other("the pages cannot be served"))?);
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut door = Door::new(limits, counts, status);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = door.sweep() => {}
                accepted = listener.accept() => match accepted {
                    Ok(first) => {
                        for newcomer in door.admit_all(first, &listener).await {
                            let service = Rc::clone(&service);
                            spawn_local(keep(newcomer, move |wire, peer| service.call((wire, Some(peer)))));
                        }
                        door.let_the_closed_go().await;
                    }
                    Err(error) if is_of_connection(&error) => {}
                    Err(error) if is_of_machine(&error) => door.exhausted(&error).await,
                    Err(error) => return Err(error),
                },
            }
        }
        drop(listener);
        door.drain().await;
        Ok(())
    });
    // What blocks belongs to the store and ends by itself; nobody waits for the answer any more.
    drop(local);
    runtime.shutdown_background();
    ended
}

fn prepare(listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    // Once more, because the standard library asks for a short queue.
    rustix::net::listen(listener, BACKLOG)?;
    // Connections inherit them.
    rustix::net::sockopt::set_socket_send_buffer_size(listener, SEND_BUFFER)?;
    rustix::net::sockopt::set_socket_recv_buffer_size(listener, RECEIVE_BUFFER)?;
    Ok(())
}

/// The connection was gone before it was accepted, or a firewall took it (accept(2)).
fn is_of_connection(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const CODES: [Errno; 11] = [
        Errno::CONNABORTED,
        Errno::CONNRESET,
        Errno::INTR,
        Errno::PERM,
        Errno::PROTO,
        Errno::NOPROTOOPT,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::OPNOTSUPP,
    ];
    error.raw_os_error().is_some_and(|code| CODES.map(Errno::raw_os_error).contains(&code))
}

/// Descriptors or memory have run out; that passes.
fn is_of_machine(error: &io::Error) -> bool {
    use rustix::io::Errno;
    descriptors::has_run_out(error)
        || error
            .raw_os_error()
            .is_some_and(|code| [Errno::NOBUFS, Errno::NOMEM].map(Errno::raw_os_error).contains(&code))
}

/// Where somebody comes from, as far as it counts. A provider gives a customer a /64 of IPv6 at least.
fn origin(peer: IpAddr) -> PeerOrigin {
    let address = peer.to_canonical();
    let network = match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        // The lower half is zero, so it is no address of version 4, unless the upper one is zero, too.
        IpAddr::V6(v6) => u128::from(v6) >> 64 << 64 | u128::from(u128::from(v6) >> 64 == 0) << 32,
    };
    // Proxies use these two; the others of 127.0.0.0/8 are as good as anybody's.
    let is_proxy = address == IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)
        || address == IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);
    PeerOrigin { network, is_proxy }
}

/// Serves one connection until it ends or is told to; then its descriptor is free. One on which nothing comes costs no
/// more than its socket.
async fn keep<E: std::fmt::Debug, F: Future<Output = Result<(), E>>>(
    newcomer: Newcomer,
    serve: impl FnOnce(Wire, SocketAddr) -> F,
) {
    let Newcomer { wire, peer, mut ended } = newcomer;
    tokio::select! {
        biased;
        // The crowd has dropped its half.
        _ = &mut ended.told => return,
        // What went wrong is met again by whoever reads.
        _ = wire.has_bytes() => {}
    }
    tokio::select! {
        biased;
        _ = &mut ended.told => {}
        result = serve(wire, peer) => {
            if let Err(error) = result {
                debug!(?error, "connection of the dashboard ended");
            }
        }
    }
}

/// A connection that has a place and is not served yet.
struct Newcomer {
    wire: Wire,
    peer: SocketAddr,
    ended: Ended,
}

impl Newcomer {
    /// Its place has been given to another.
    fn is_over(&mut self) -> bool {
        matches!(self.ended.told.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    }
}

/// How a connection learns that it has to end, and how that is known.
struct Ended {
    told: oneshot::Receiver<()>,
    seat: Seat,
    sockets: Rc<Cell<usize>>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.seat.crowd.borrow_mut().left(self.seat.id);
        self.sockets.set(self.sockets.get() - 1);
    }
}

/// Decides about newcomers, counts them, and says when there are too many.
struct Door<'a> {
    crowd: Connections,
    /// Sockets that are open; more than there are in the crowd until those that were closed have gone.
    sockets: Rc<Cell<usize>>,
    counts: &'a Counts,
    /// Said while there is no place for newcomers.
    alarm: AlarmHandle,
    interval: tokio::time::Interval,
    /// When every place was last taken, or something of the machine had run out.
    pressed: Option<Instant>,
    /// When it was last written down that one address has too many, and of how many nothing was said since.
    told: Option<Instant>,
    untold: u64,
}

impl<'a> Door<'a> {
    fn new(limits: CrowdLimits, counts: &'a Counts, status: &Status) -> Self {
        counts.most.store(limits.all as u64, Ordering::Relaxed);
        let mut interval = tokio::time::interval(SWEEP);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self {
            crowd: Rc::new(RefCell::new(Crowd::new(limits))),
            sockets: Rc::default(),
            counts,
            alarm: status.alarm(AlarmKind::ConnectionsTaken),
            interval,
            pressed: None,
            told: None,
            untold: 0,
        }
    }

    /// Whoever is at the door now, without those who are closed already.
    async fn admit_all(
        &mut self,
        first: (TcpStream, SocketAddr),
        listener: &tokio::net::TcpListener,
    ) -> Vec<Newcomer> {
        let mut newcomers = Vec::new();
        let mut next = Some(first);
        while let Some((stream, peer)) = next {
            newcomers.extend(self.admit(stream, peer));
            newcomers.retain_mut(|newcomer: &mut Newcomer| !newcomer.is_over());
            let is_enough =
                newcomers.len() >= BATCH || self.sockets.get() > self.crowd.borrow().len() + CLOSING_MAX;
            // What went wrong is met again by the next call.
            let waiting = async || poll_fn(|cx| Poll::Ready(listener.poll_accept(cx))).await;
            next = match is_enough {
                true => None,
                false => match waiting().await {
                    Poll::Ready(Ok(another)) => Some(another),
                    Poll::Ready(Err(_)) | Poll::Pending => None,
                },
            };
        }
        newcomers
    }

    /// A newcomer gets its place, or is closed.
    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) -> Option<Newcomer> {
        let (open, told) = oneshot::channel();
        let arrival = self.crowd.borrow_mut().arrive(origin(peer.ip()), open, Instant::now());
        let id = match arrival {
            Admission::Welcome(id) => id,
            Admission::Instead(id, full) => {
                self.counts.closed.fetch_add(1, Ordering::Relaxed);
                self.too_many(full, peer.ip());
                id
            }
            Admission::Refused(full) => {
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                self.too_many(full, peer.ip());
                return None;
            }
        };
        // Events are small and should not wait for one another. It is only slower without.
        let _ = stream.set_nodelay(true);
        self.sockets.set(self.sockets.get() + 1);
        self.counts.open.store(self.crowd.borrow().len() as u64, Ordering::Relaxed);
        let seat = Seat::new(&self.crowd, id);
        let ended = Ended { told, seat: seat.clone(), sockets: Rc::clone(&self.sockets) };
        Some(Newcomer { wire: Wire::new(stream, seat), peer, ended })
    }

    fn too_many(&mut self, full: Full, peer: IpAddr) {
        let now = Instant::now();
        match full {
            Full::All => self.press(now, AlarmText::ConnectionsTaken),
            Full::Address => {
                self.untold += 1;
                if self.told.is_none_or(|told| now - told >= QUIET) {
                    let closed = std::mem::take(&mut self.untold);
                    self.told = Some(now);
                    warn!(from = %peer, closed, "one address has too many connections; its oldest are closed");
                }
            }
        }
    }

    fn press(&mut self, now: Instant, text: AlarmText) {
        if self.pressed.replace(now).is_none() {
            warn!("{text}");
            self.alarm.raise(text);
        }
    }

    /// Nothing could be accepted. Some connections go, because what has run out may be needed by a capture.
    async fn exhausted(&mut self, error: &io::Error) {
        let now = Instant::now();
        self.press(now, AlarmText::ConnectionsExhausted { error: error.to_string() });
        let shed = self.crowd.borrow_mut().shed(SHED, now);
        self.counts.closed.fetch_add(shed as u64, Ordering::Relaxed);
        tokio::time::sleep(EXHAUSTED_PAUSE).await;
    }

    /// Those that were closed give their descriptors back before the next one is accepted.
    async fn let_the_closed_go(&self) {
        while self.sockets.get() > self.crowd.borrow().len() {
            yield_now().await;
        }
    }

    /// Waits for a second, then ends what has lasted too long. Safe to drop.
    async fn sweep(&mut self) {
        self.interval.tick().await;
        let now = Instant::now();
        let mut crowd = self.crowd.borrow_mut();
        crowd.end_overdue(now);
        self.counts.open.store(crowd.len() as u64, Ordering::Relaxed);
        if self.pressed.is_some_and(|pressed| now - pressed >= QUIET) {
            self.pressed = None;
            self.alarm.clear();
            info!("there is room for new connections to the dashboard again");
        }
    }

    /// Lets answers under way end.
    async fn drain(mut self) {
        let deadline = tokio::time::Instant::now() + DRAIN;
        self.interval = tokio::time::interval(Duration::from_millis(20));
        while self.crowd.borrow().len() > 0 && tokio::time::Instant::now() < deadline {
            self.crowd.borrow_mut().end_waiting();
            self.interval.tick().await;
        }
        self.counts.open.store(0, Ordering::Relaxed);
    }
}
