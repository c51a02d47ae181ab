//! A target that answers as a test wants.

use bytes::Bytes;

use super::{AnswerEar, Attempt, Deliver, Http, Target, TargetError};
use crate::config::{Config, Env};
use crate::model::TargetId;
use crate::model::secrets::Secrets;
use crate::store::DueUpload;

/// What it answers.
pub(super) type Script = Box<
    dyn Fn(&DueUpload) -> std::pin::Pin<Box<dyn Future<Output = Result<(), TargetError>> + Send>>
        + Send
        + Sync,
>;

struct Scripted {
    script: Script,
    http: Http,
    secrets: Secrets,
}

impl Deliver for Scripted {
    fn http(&self) -> &Http {
        &self.http
    }

    fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    fn deliver<'a>(&'a self, upload: &'a DueUpload, _picture: Bytes, _ear: &AnswerEar) -> Attempt<'a> {
        (self.script)(upload)
    }
}

impl Target {
    /// The first HTTP API, with an address that is never asked.
    pub(crate) fn scripted(script: Script) -> Self {
        let env = Env::from_pairs([("S3_API_URL", "http://localhost:9/")]);
        let config = Config::parse(&env).unwrap().0.upload;
        let target = config.target(TargetId::API).unwrap();
        let secrets = Secrets::default();
        let http = Http::new(&config, target, target.settings.url(), &secrets);
        Self { id: target.id, deliverer: Box::new(Scripted { script, http, secrets }) }
    }
}
