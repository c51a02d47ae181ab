//! Upload targets: each delivers one image once. Retrying, waiting and the queue are the business of `upload`.

mod analyser;
mod analysis_answer;
mod api;
mod certificate;
mod discord;
mod ear;
mod facts;
mod form;
mod hop;
mod http;
mod pace;
mod relay;
mod response;
mod s3;
mod s3_answer;
mod s3_object;
mod secure;
mod success;
#[cfg(test)]
mod testing;
mod text;
mod tryout;
mod tryout_report;
mod verdict;
mod way;

use std::io::Read as _;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};

use crate::config::{TargetConfig, TargetSettings, UploadConfig, words_of};
use crate::model::secrets::Secrets;
use crate::model::{Coded as _, TargetId, UploadFault, foreign};
use crate::store::{DuePicture, DueUpload};
use crate::system::crash;

use ear::AnswerEar;
use http::Http;

pub use analyser::{Analyser, AnalysisAnswer, AnalysisFacts};
pub use hop::Hop;
pub use http::{SLOWEST, longest};
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

/// What a kind of target does.
pub(crate) trait Deliver: Send + Sync {
    /// The way to its server.
    fn http(&self) -> &Http;

    /// What stands in none of its words.
    fn secrets(&self) -> &Secrets;

    /// Delivers one image once, whose file has been read. What is answered, `ear` hears.
    fn deliver<'a>(&'a self, upload: &'a DueUpload, picture: Bytes, ear: &'a AnswerEar) -> Attempt<'a>;
}

/// One delivery.
pub(crate) type Attempt<'a> = BoxFuture<'a, Result<(), TargetError>>;

/// A configured target.
pub struct Target {
    id: TargetId,
    deliverer: Box<dyn Deliver>,
}

impl Target {
    /// The targets of a configuration. Nothing is contacted.
    pub fn all(config: &UploadConfig) -> Vec<Self> {
        let targets = config.targets.iter().filter(|_| config.enabled);
        targets.map(|target| Self::new(config, target)).collect()
    }

    /// One of them.
    fn new(config: &UploadConfig, target: &TargetConfig) -> Self {
        let deliverer: Box<dyn Deliver> = match &target.settings {
            TargetSettings::Api(api) => Box::new(api::Api::new(config, target, api)),
            TargetSettings::S3(s3) => Box::new(s3::S3::new(config, target, s3)),
            TargetSettings::Discord(discord) => Box::new(discord::Discord::new(config, target, discord)),
            TargetSettings::Relay(relay) => Box::new(relay::Relay::new(config, target, relay)),
        };
        Self { id: target.id, deliverer }
    }

    /// Which it is.
    pub fn id(&self) -> TargetId {
        self.id
    }

    /// The way to its server.
    fn http(&self) -> &Http {
        self.deliverer.http()
    }

    /// Where a delivery connects to: the target, or the proxy on the way to it.
    pub fn first_hop(&self) -> Hop {
        self.http().first_hop()
    }

    /// Delivers one image once. Dropping the future ends the attempt; the target may have taken the image all the same.
    /// No error repeats a secret, even if the target did.
    pub async fn deliver(&self, upload: &DueUpload) -> Result<(), TargetError> {
        self.deliver_heard(upload).await.0
    }

    /// The same, and with what status and words it was answered last; `None` where no answer came.
    pub async fn deliver_heard(&self, upload: &DueUpload) -> (Result<(), TargetError>, Option<String>) {
        let bytes = match read(upload).await {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) => return (Err(error), None),
        };
        crash::point("read");
        let ear = AnswerEar::default();
        let result = self.hand_over(upload, bytes, &ear).await;
        (result, ear.last_words().map(|words| self.deliverer.secrets().strike(words)))
    }

    /// Delivers an image that has been read.
    async fn hand_over(&self, upload: &DueUpload, bytes: Bytes, ear: &AnswerEar) -> Result<(), TargetError> {
        let result = self.deliverer.deliver(upload, bytes, ear).await;
        let own = |words: &str| words_of(self.id, &self.deliverer.secrets().strike(words.to_owned()));
        result.map_err(|error| error.with_words(own))
    }
}

/// Reads the file of an upload and makes sure that it is what was stored. Only a file that is gone or different is given
/// up; any other error may pass: too many open files as soon as others are closed, a bad sector or a file of another user
/// perhaps when somebody has looked at it.
///
/// In one go on a thread that may wait: a picture of some 100 kB in small pieces costs more than its check.
async fn read(upload: &DuePicture) -> Result<Vec<u8>, TargetError> {
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
fn shown(upload: &DuePicture) -> String {
    foreign::line(&upload.path.to_string_lossy(), PATH_MAX)
}

/// The content of a file; `None` if its length or its SHA-256 is another.
fn read_intact(upload: &DuePicture) -> std::io::Result<Option<Vec<u8>>> {
    let mut file = upload.open()?;
    let length = upload.bytes;
    let expected = file.metadata()?.len().min(length);
    let mut bytes = Vec::with_capacity(usize::try_from(expected).map_err(std::io::Error::other)?);
    file.by_ref().take(length.saturating_add(1)).read_to_end(&mut bytes)?;
    let is_intact = bytes.len() as u64 == length && <[u8; 32]>::from(Sha256::digest(&bytes)) == upload.sha256;
    Ok(is_intact.then_some(bytes))
}
