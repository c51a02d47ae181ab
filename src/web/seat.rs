//! The place of one connection in the [`crowd`](super::crowd), and how the crowd learns what happens there: whether a
//! request is being answered, whether its sender may look, whether the answer is taken.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::crowd::{Crowd, Id};
use super::intake::Intake;
use super::who::{Bringer, Principal};

/// Bytes read from a stranger at once, before it is known how much of them may be taken.
const PIECE: usize = 4096;

/// All connections. One ends when the sender it is kept by is dropped.
pub(super) type Connections = Rc<RefCell<Crowd<oneshot::Sender<()>>>>;

/// The place of one connection.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) crowd: Connections,
    pub(super) id: Id,
    /// What is taken from a stranger, and who waits to take more.
    intake: Rc<RefCell<(Intake, Option<Waker>)>>,
}

impl Seat {
    pub(super) fn new(crowd: &Connections, id: Id) -> Self {
        Self { crowd: Rc::clone(crowd), id, intake: Rc::default() }
    }

    /// Changes what may be taken, and has it taken.
    fn take_more(&self, change: impl FnOnce(&mut Intake)) {
        let (intake, waiting) = &mut *self.intake.borrow_mut();
        change(intake);
        if let Some(waiting) = waiting.take() {
            waiting.wake();
        }
    }
}

/// A socket that tells when the other side takes nothing.
pub(super) struct Wire {
    stream: TcpStream,
    pub(super) seat: Seat,
    is_stalled: bool,
    /// What was read and may not be taken yet.
    held: BytesMut,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, seat: Seat) -> Self {
        Self { stream, seat, is_stalled: false, held: BytesMut::new() }
    }

    /// Waits for the first bytes, or for the end.
    pub(super) async fn has_bytes(&self) -> io::Result<()> {
        self.stream.readable().await
    }

    fn set_stalled(&mut self, is_stalled: bool) {
        if std::mem::replace(&mut self.is_stalled, is_stalled) != is_stalled {
            let since = is_stalled.then(Instant::now);
            self.seat.crowd.borrow_mut().stalled(self.seat.id, since);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.held.is_empty() {
            let mut piece = [0; PIECE];
            let mut piece = ReadBuf::new(&mut piece);
            let polled = Pin::new(&mut this.stream).poll_read(cx, &mut piece)?;
            if polled.is_pending() {
                this.seat.intake.borrow_mut().0.paused();
                return Poll::Pending;
            }
            if piece.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.held.extend_from_slice(piece.filled());
        }
        let most = this.held.len().min(buffer.remaining());
        let (intake, waiting) = &mut *this.seat.intake.borrow_mut();
        let taken = intake.take(&this.held[..most]);
        if taken == 0 {
            *waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        buffer.put_slice(&this.held[..taken]);
        this.held.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.set_stalled(polled.is_pending());
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The outermost middleware: a connection whose request is being answered is not one that waits.
pub(super) async fn attend<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let serving = request.request().conn_data::<Seat>().cloned().map(Serving::begin);
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| match (serving, body.size()) {
        (Some(serving), BodySize::Sized(1..) | BodySize::Stream) => {
            Attended { body: body.boxed(), _serving: serving }.boxed()
        }
        _ => body.boxed(),
    }))
}

/// The middleware behind the door: whoever comes so far may look.
pub(super) async fn recognise<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let is_known = {
        let noted = request.extensions();
        noted.contains::<Principal>() || noted.contains::<Bringer>()
    };
    if is_known && let Some(seat) = request.request().conn_data::<Seat>() {
        seat.crowd.borrow_mut().known(seat.id);
        seat.take_more(Intake::open);
    }
    next.call(request).await
}

/// While it exists a request is being answered.
struct Serving(Seat);

impl Serving {
    fn begin(seat: Seat) -> Self {
        seat.crowd.borrow_mut().serving(seat.id, Instant::now());
        seat.intake.borrow_mut().0.begun();
        Self(seat)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.crowd.borrow_mut().served(self.0.id, Instant::now());
        self.0.take_more(Intake::answered);
    }
}

/// The body of an answer, until it is sent.
struct Attended {
    body: BoxBody,
    _serving: Serving,
}

impl MessageBody for Attended {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}
