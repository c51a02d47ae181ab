//! FTP over TLS: the certificate, read again when it was renewed, and connections that may be secured.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::SystemTime;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

use crate::config::FtpTlsConfig;

/// Length and last change of both files; `None` for one that cannot be looked at.
type Stamp = [Option<(u64, SystemTime)>; 2];

/// The server's certificate and its key.
#[derive(Clone, Debug)]
pub(super) struct FtpCertificate {
    files: Arc<FtpTlsConfig>,
    loaded: Arc<Mutex<Option<Loaded>>>,
}

#[derive(Debug)]
struct Loaded {
    stamp: Stamp,
    /// The last that could be used; `None`: none yet. Sessions are resumed as long as it is the same.
    config: Option<Arc<ServerConfig>>,
}

impl FtpCertificate {
    /// That of these files; nothing is read yet.
    pub(super) fn new(files: FtpTlsConfig) -> Self {
        Self { files: Arc::new(files), loaded: Arc::default() }
    }

    /// Whether nobody logs in without TLS.
    pub(super) fn is_required(&self) -> bool {
        self.files.is_required
    }

    /// Secures a connection by the certificate as it is now.
    pub(super) async fn secure(&self, stream: TcpStream) -> io::Result<FtpStream> {
        let certificate = self.clone();
        let config = spawn_blocking(move || certificate.current()).await.map_err(io::Error::other)?;
        let config = config.ok_or_else(|| io::Error::other("there is no certificate that can be used"))?;
        Ok(FtpStream::Secured(Box::new(TlsAcceptor::from(config).accept(stream).await?)))
    }

    /// Reads the files anew if they have changed. One that cannot be used leaves the one before in its place. Blocking.
    fn current(&self) -> Option<Arc<ServerConfig>> {
        let stamp = [&self.files.certificate, &self.files.key].map(|path| {
            let known = std::fs::metadata(path).ok()?;
            Some((known.len(), known.modified().ok()?))
        });
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = loaded.as_ref().filter(|loaded| loaded.stamp == stamp) {
            return loaded.config.clone();
        }
        let before = loaded.take().and_then(|loaded| loaded.config);
        let config = match self.files.load() {
            Ok(config) => {
                if before.is_some() {
                    info!("ftp: the certificate is a new one");
                }
                Some(config)
            }
            Err(error) => {
                warn!(error, "ftp: the certificate cannot be read anew");
                before
            }
        };
        *loaded = Some(Loaded { stamp, config: config.clone() });
        config
    }
}

/// A connection of a client.
pub(super) enum FtpStream {
    /// As it came.
    Plain(TcpStream),
    /// Secured.
    Secured(Box<TlsStream<TcpStream>>),
    /// It was lost while it was being secured.
    Lost,
}

impl FtpStream {
    /// The connection as it came, to be secured; `None` for one that is no such any more.
    pub(super) fn take_plain(&mut self) -> Option<TcpStream> {
        match std::mem::replace(self, Self::Lost) {
            Self::Plain(stream) => Some(stream),
            other @ (Self::Secured(_) | Self::Lost) => {
                *self = other;
                None
            }
        }
    }
}

impl AsyncRead for FtpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, room),
            Self::Secured(stream) => Pin::new(stream).poll_read(cx, room),
            Self::Lost => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for FtpStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Secured(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Lost => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Secured(stream) => Pin::new(stream).poll_flush(cx),
            Self::Lost => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Secured(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Lost => Poll::Ready(Ok(())),
        }
    }
}
