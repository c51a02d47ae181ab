//! One end of a front: a connection, what has come over it, what is still to go out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::CameraStream;
use super::wire::WireReader;

/// While more than this waits to go out, nothing more is taken in for it: what a reader does not take stays with the
/// sender.
const WAITING_MAX: usize = 64 << 10;

/// Memory for what goes out that is kept for the next time.
const KEPT: usize = 64 << 10;

/// A connection.
pub(super) struct Side {
    pub(super) stream: CameraStream,
    /// Cuts what comes.
    pub(super) reader: WireReader,
    out: Vec<u8>,
    /// So much of `out` has gone.
    gone: usize,
    /// Something has come.
    pub(super) has_heard: bool,
}

impl Side {
    pub(super) fn new(stream: impl Into<CameraStream>, reader: WireReader) -> Self {
        Self { stream: stream.into(), reader, out: Vec::new(), gone: 0, has_heard: false }
    }

    /// Puts bytes in line.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.out.len() - self.gone
    }

    /// Whether more may be put in line.
    pub(super) fn has_room(&self) -> bool {
        self.waiting() < WAITING_MAX
    }

    /// Writes what can be written; pending while something is left.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.gone < self.out.len() {
            let rest = &self.out[self.gone..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.gone += written,
            }
        }
        (self.gone, _) = (0, self.out.clear());
        self.out.shrink_to(KEPT);
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Reads what has come, once, into the reader; false at the end of the stream.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut room = ReadBuf::new(self.reader.room());
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
        let count = room.filled().len();
        self.reader.add(count);
        self.has_heard |= count > 0;
        Poll::Ready(Ok(count > 0))
    }
}
