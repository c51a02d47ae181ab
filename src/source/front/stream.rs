//! A connection: plain, secured, or inside HTTP. Which one it is costs a comparison a read and nothing else.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tunnel::Tunnel;
use super::words::FrontFault;
use crate::config::Trust;
use crate::source::certificate::{self, Trouble};

/// How long a handshake may take. A slow camera needs two seconds for it; a plain server waits for the end of a line
/// that never comes.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// A connection.
pub(super) enum CameraStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Tunnel(Box<Tunnel>),
}

impl From<TcpStream> for CameraStream {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream)
    }
}

impl CameraStream {
    /// Secures a connection with `host`.
    pub(super) async fn secure(stream: TcpStream, host: &str, trust: &Trust) -> Result<Self, FrontFault> {
        let mut config =
            certificate::client(trust).map_err(|error| FrontFault::Own(io::Error::other(error)))?;
        // Each connection looks at the certificate; cameras forget sessions anyway.
        config.resumption = Resumption::disabled();
        let name = match ServerName::try_from(host.to_owned()) {
            Ok(name) => name,
            // No name that a certificate could have; it may be pinned.
            Err(_) => ServerName::from(stream.peer_addr().map_err(FrontFault::Broken)?.ip()),
        };
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
        match timeout(HANDSHAKE_LIMIT, handshake).await {
            Ok(Ok(stream)) => Ok(Self::Tls(Box::new(stream))),
            Ok(Err(error)) => Err(match Trouble::of(&error) {
                Some(trouble) => FrontFault::Tls(trouble),
                None if is_end(&error) => FrontFault::Tls(Trouble::Closed),
                None => FrontFault::Broken(error),
            }),
            Err(_) => Err(FrontFault::Tls(Trouble::Silent(HANDSHAKE_LIMIT.as_secs()))),
        }
    }

    /// Our own end.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp().local_addr()
    }

    /// The other end.
    pub(super) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp().peer_addr()
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
            Self::Tunnel(tunnel) => tunnel.down().tcp(),
        }
    }

    /// Writes as much of it as goes without waiting; what follows it would not be understood.
    pub(super) fn write_last(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.try_write(bytes).map(drop),
            Self::Tls(stream) => {
                let (tcp, session) = stream.get_mut();
                session.writer().write_all(bytes)?;
                session.send_close_notify();
                while session.wants_write() {
                    session.write_tls(&mut AtOnce(tcp))?;
                }
                Ok(())
            }
            Self::Tunnel(tunnel) => tunnel.write_last(bytes),
        }
    }
}

/// Writes what can be written without waiting.
struct AtOnce<'a>(&'a TcpStream);

impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the other end is gone.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe | ConnectionAborted)
}

impl AsyncRead for CameraStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, room),
            // Few cameras say that they end; RTSP has lengths of its own, so nothing can be cut off unseen.
            Self::Tls(stream) => match Pin::new(stream).poll_read(cx, room) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(()))
                }
                read => read,
            },
            Self::Tunnel(tunnel) => tunnel.poll_read(cx, room),
        }
    }
}

impl AsyncWrite for CameraStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tunnel(tunnel) => tunnel.poll_write(cx, bytes),
        }
    }

    /// What was written may still lie in the layer that encrypts or encodes it.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tunnel(tunnel) => tunnel.poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tunnel(tunnel) => tunnel.poll_shutdown(cx),
        }
    }
}
