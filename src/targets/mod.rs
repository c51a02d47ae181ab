//! Upload targets: each delivers one image once. Retrying, waiting and the queue are the business of `upload`.

mod api;
mod certificate;
mod discord;
mod ear;
mod facts;
mod form;
mod http;
mod pace;
mod relay;
mod response;
mod s3;
mod s3_answer;
mod s3_object;
mod secure;
mod success;
mod text;
mod tryout;
mod tryout_report;
mod verdict;
mod way;

use std::io::Read as _;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::config::UploadConfig;
use crate::model::{Coded as _, TargetId, UploadFault, foreign};
use crate::store::DueUpload;
use crate::system::crash;

pub use http::{Hop, SLOWEST, longest};
pub use response::{Settings, TargetAnswer};
pub use tryout::try_out;
pub use tryout_report::{StepKind, TryoutReport, TryoutStep, document};

/// Longest path in a message, characters.
const PATH_MAX: usize = 300;

/// Why an image was not delivered, by what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No connection: name, route, port, TLS. Says nothing about the image.
    #[error("{fault}")]
    Unreachable {
        /// What was attempted and what was seen.
        fault: UploadFault,
    },
    /// The connection broke, or no answer came in time, after the target had been reached. Mostly the network; but a
    /// proxy that closes on a large body looks the same, so another image should go first the next time.
    #[error("{fault}")]
    Broken {
        /// What was attempted and what was seen.
        fault: UploadFault,
    },
    /// The target asked for patience (408, 425, 429) or failed by itself (5xx), or this machine had no room for the file
    /// just now.
    #[error("{fault}")]
    Busy {
        /// What it said.
        fault: UploadFault,
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
    },
    /// The target will refuse every image until someone changes something: log-in, path, captive portal.
    #[error("{fault}")]
    Misconfigured {
        /// What it said.
        fault: UploadFault,
    },
    /// The target refuses this image, or every image; only what it says to others tells.
    #[error("{fault}")]
    Doubtful {
        /// What it said.
        fault: UploadFault,
    },
    /// The target refuses this image.
    #[error("{fault}")]
    Rejected {
        /// What it said.
        fault: UploadFault,
        /// Whether that is its last word (413, 415, 422), or it may think better of it (400).
        is_final: bool,
    },
    /// The image's file is there, but this program may not read it, or the disk does not give it. Others are not
    /// concerned, and neither is the target.
    #[error("{fault}")]
    Denied {
        /// What was found, and what to do.
        fault: UploadFault,
    },
    /// The image's file is gone or is not what was stored.
    #[error("{fault}")]
    Unreadable {
        /// What was found.
        fault: UploadFault,
    },
}

impl TargetError {
    /// What was met, for programs and people.
    pub fn fault(&self) -> &UploadFault {
        match self {
            Self::Unreachable { fault }
            | Self::Broken { fault }
            | Self::Busy { fault, .. }
            | Self::Misconfigured { fault }
            | Self::Doubtful { fault }
            | Self::Rejected { fault, .. }
            | Self::Denied { fault }
            | Self::Unreadable { fault } => fault,
        }
    }

    /// The same error with the words in it changed.
    fn with_words(mut self, mut change: impl FnMut(&str) -> String) -> Self {
        match &mut self {
            Self::Unreachable { fault }
            | Self::Broken { fault }
            | Self::Busy { fault, .. }
            | Self::Misconfigured { fault }
            | Self::Doubtful { fault }
            | Self::Rejected { fault, .. }
            | Self::Denied { fault }
            | Self::Unreadable { fault } => fault.reword(&mut change),
        }
        self
    }
}

fn misconfigured(fault: UploadFault) -> TargetError {
    TargetError::Misconfigured { fault }
}

fn rejected(fault: UploadFault) -> TargetError {
    TargetError::Rejected { fault, is_final: true }
}

/// A refusal that is not about the log-in may be of this image alone; only what the target says to others tells.
fn perhaps_of_this_image(status: u16, error: TargetError) -> TargetError {
    match error {
        TargetError::Misconfigured { fault }
            if (400..500).contains(&status) && !matches!(status, 401 | 407) =>
        {
            TargetError::Doubtful { fault }
        }
        error => error,
    }
}

/// A configured target.
pub enum Target {
    /// `multipart/form-data` to an HTTP API.
    Api(Box<api::Api>),
    /// A bucket of an S3 store.
    S3(Box<s3::S3>),
    /// A Discord channel.
    Discord(Box<discord::Discord>),
    /// Another box.
    Relay(Box<relay::Relay>),
    /// What a test says it is.
    #[cfg(test)]
    Scripted(Script),
}

/// An `api` that answers as a test wants.
#[cfg(test)]
pub(crate) type Script = Box<
    dyn Fn(&DueUpload) -> std::pin::Pin<Box<dyn Future<Output = Result<(), TargetError>> + Send>>
        + Send
        + Sync,
>;

impl Target {
    /// The targets of a configuration. Nothing is contacted.
    pub fn all(config: &UploadConfig) -> Vec<Self> {
        if !config.enabled {
            return Vec::new();
        }
        let api = config.api.as_ref().map(|api| Self::Api(Box::new(api::Api::new(config, api))));
        let s3 = config.s3.as_ref().map(|s3| Self::S3(Box::new(s3::S3::new(config, s3))));
        let discord = config
            .discord
            .as_ref()
            .map(|discord| Self::Discord(Box::new(discord::Discord::new(config, discord))));
        let relay =
            config.relay.as_ref().map(|relay| Self::Relay(Box::new(relay::Relay::new(config, relay))));
        [api, s3, discord, relay].into_iter().flatten().collect()
    }

    /// Which it is.
    pub fn id(&self) -> TargetId {
        match self {
            Self::Api(_) => TargetId::API,
            Self::S3(_) => TargetId::S3,
            Self::Discord(_) => TargetId::DISCORD,
            Self::Relay(_) => TargetId::RELAY,
            #[cfg(test)]
            Self::Scripted(_) => TargetId::API,
        }
    }

    /// The way to its server.
    fn http(&self) -> Option<&http::Http> {
        match self {
            Self::Api(api) => Some(api.http()),
            Self::S3(s3) => Some(s3.http()),
            Self::Discord(discord) => Some(discord.http()),
            Self::Relay(relay) => Some(relay.http()),
            #[cfg(test)]
            Self::Scripted(_) => None,
        }
    }

    /// Where a delivery connects to: the target, or the proxy on the way to it.
    pub fn first_hop(&self) -> Hop {
        match self {
            Self::Api(api) => api.http().first_hop(),
            Self::S3(s3) => s3.http().first_hop(),
            Self::Discord(discord) => discord.http().first_hop(),
            Self::Relay(relay) => relay.http().first_hop(),
            #[cfg(test)]
            Self::Scripted(_) => {
                Hop { host: "localhost".to_owned(), port: 9, address: "localhost:9".to_owned(), proxy: None }
            }
        }
    }

    /// Delivers one image once. Dropping the future ends the attempt; the target may have taken the image all the same.
    /// No error repeats a secret, even if the target did.
    pub async fn deliver(&self, upload: &DueUpload) -> Result<(), TargetError> {
        let bytes = Bytes::from(read(upload).await?);
        crash::point("read");
        self.hand_over(upload, bytes).await
    }

    /// Delivers an image that has been read.
    async fn hand_over(&self, upload: &DueUpload, bytes: Bytes) -> Result<(), TargetError> {
        let (result, secrets) = match self {
            Self::Api(api) => (api.deliver(upload, bytes).await, api.secrets()),
            Self::S3(s3) => (s3.deliver(upload, bytes).await, s3.secrets()),
            Self::Discord(discord) => (discord.deliver(upload, bytes).await, discord.secrets()),
            Self::Relay(relay) => (relay.deliver(upload, bytes).await, relay.secrets()),
            #[cfg(test)]
            Self::Scripted(script) => return script(upload).await,
        };
        result.map_err(|error| error.with_words(|words| secrets.strike(words.to_owned())))
    }
}

/// Reads the file of an upload and makes sure that it is what was stored. Only a file that is gone or different is given
/// up; any other error may pass: too many open files as soon as others are closed, a bad sector or a file of another user
/// perhaps when somebody has looked at it.
///
/// In one go on a thread that may wait: a picture of some 100 kB in small pieces costs more than its check.
async fn read(upload: &DueUpload) -> Result<Vec<u8>, TargetError> {
    let due = upload.clone();
    let read = tokio::task::spawn_blocking(move || read_intact(&due)).await;
    let failed = |error: std::io::Error| {
        let (kind, is_of_the_disk) = (error.kind(), is_of_the_disk(&error));
        let (file, error) = (shown(upload), error.to_string());
        match kind {
            std::io::ErrorKind::NotFound => {
                TargetError::Unreadable { fault: UploadFault::FileGone { file, error } }
            }
            std::io::ErrorKind::PermissionDenied => TargetError::Denied {
                fault: UploadFault::FileForbidden { file, error, advice: upload.denial() },
            },
            _ if is_of_the_disk => TargetError::Denied { fault: UploadFault::FileDamaged { file, error } },
            _ => TargetError::Busy { fault: UploadFault::FileUnreadable { file, error }, retry_after: None },
        }
    };
    let bytes = read.map_err(std::io::Error::other).flatten().map_err(failed)?;
    bytes.ok_or_else(|| TargetError::Unreadable { fault: UploadFault::FileChanged { file: shown(upload) } })
}

/// Whether a disk says that it cannot read a file (EIO, EUCLEAN, EBADMSG), which says nothing of other files.
fn is_of_the_disk(error: &std::io::Error) -> bool {
    const EIO: i32 = 5;
    const EBADMSG: i32 = 74;
    const EUCLEAN: i32 = 117;
    error.raw_os_error().is_some_and(|code| [EIO, EBADMSG, EUCLEAN].contains(&code))
}

/// The path of a file, which an operator chose.
fn shown(upload: &DueUpload) -> String {
    foreign::line(&upload.path.to_string_lossy(), PATH_MAX)
}

/// The content of a file; `None` if its length or its SHA-256 is another.
fn read_intact(upload: &DueUpload) -> std::io::Result<Option<Vec<u8>>> {
    let mut file = upload.open()?;
    let length = upload.bytes;
    let expected = file.metadata()?.len().min(length);
    let mut bytes = Vec::with_capacity(usize::try_from(expected).map_err(std::io::Error::other)?);
    file.by_ref().take(length.saturating_add(1)).read_to_end(&mut bytes)?;
    let is_intact = bytes.len() as u64 == length && <[u8; 32]>::from(Sha256::digest(&bytes)) == upload.sha256;
    Ok(is_intact.then_some(bytes))
}
