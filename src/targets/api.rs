//! The `api` target: `POST` of `multipart/form-data` with the picture, an idempotency key and a digest.

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::ear::AnswerEar;
use super::facts::Sender;
use super::form::Form;
use super::http::{ANSWER_BYTES_MAX, Http, put};
use super::{Attempt, Deliver, TargetError, misconfigured, success};
use crate::clock;
use crate::config::target::ApiTargetConfig;
use crate::config::{FILENAME, FieldTemplate, TargetConfig, UploadConfig};
use crate::model::{UploadFault, secrets::Secrets};
use crate::store::DueUpload;

/// An HTTP endpoint.
pub(super) struct Api {
    config: ApiTargetConfig,
    http: Http,
    sender: Sender,
    /// Whether the facts of a picture are told beside it.
    has_facts: bool,
    secrets: Secrets,
}

impl Deliver for Api {
    fn http(&self) -> &Http {
        &self.http
    }

    fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    fn deliver<'a>(&'a self, upload: &'a DueUpload, picture: Bytes, ear: &'a AnswerEar) -> Attempt<'a> {
        Box::pin(self.send_picture(upload, picture, ear))
    }
}

impl Api {
    /// A target as configured; nothing is contacted.
    pub(super) fn new(config: &UploadConfig, target: &TargetConfig, api: &ApiTargetConfig) -> Self {
        let url = api.url.reveal();
        // A constant field may be a key.
        let constants = api.fields.iter().flat_map(FieldTemplate::constants);
        let secrets =
            constants.filter(|text| text.len() >= TOKEN_MIN).fold(Secrets::of_url(url), Secrets::with);
        let secrets = api.headers.iter().fold(secrets, |secrets, (_, value)| {
            // Such as `Bearer token`.
            value.reveal().split(' ').fold(secrets.with(value.reveal()), |secrets, word| {
                if word.len() >= TOKEN_MIN { secrets.with(word) } else { secrets }
            })
        });
        Self {
            config: api.clone(),
            http: Http::new(config, target, url, &secrets),
            sender: Sender::new(config),
            has_facts: config.metadata,
            secrets,
        }
    }

    /// Name and value of each field before the picture.
    fn fields(&self, upload: &DueUpload) -> Vec<(&str, String)> {
        let mut known = self.sender.facts(upload);
        let mut sent: Vec<(&str, String)> = match self.has_facts {
            true => known.iter().filter(|(name, _)| *name != self.config.field_name).cloned().collect(),
            false => Vec::new(),
        };
        known.push((FILENAME, upload.filename.to_string()));
        sent.extend(self.config.fields.iter().map(|field| (field.name(), field.value(&known))));
        sent
    }

    async fn send_picture(
        &self,
        upload: &DueUpload,
        picture: Bytes,
        ear: &AnswerEar,
    ) -> Result<(), TargetError> {
        let field = &self.config.field_name;
        let form = Form::new(upload, &self.fields(upload), field, picture);
        let mut headers = HeaderMap::new();
        for (name, value) in &self.config.headers {
            let name = HeaderName::try_from(name.as_str())
                .map_err(|_| misconfigured(UploadFault::HeadersBadName))?;
            let mut value = HeaderValue::try_from(value.reveal().as_str())
                .map_err(|_| misconfigured(UploadFault::HeadersBadValue))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        identify(&mut headers, upload, &form)?;
        let request = self.http.client()?.post(self.config.url.reveal().clone()).headers(headers);
        let reply = self.http.send(request, form.into_pieces(), ANSWER_BYTES_MAX, ear).await?;
        let Some(rule) = &self.config.success else {
            return reply.answer.judge_with_body(clock::now());
        };
        match success::judge(rule, &reply.answer, clock::now()) {
            Ok(()) => reply.early.map_or(Ok(()), Err),
            Err(TargetError::Doubtful { .. }) if reply.is_cut => {
                Err(TargetError::Broken { fault: UploadFault::AnswerCut })
            }
            judged => judged,
        }
    }
}

/// A shorter word of a header is no token.
const TOKEN_MIN: usize = 8;

/// What tells a server which picture this is, the same at every attempt.
pub(super) fn identify(headers: &mut HeaderMap, upload: &DueUpload, form: &Form) -> Result<(), TargetError> {
    put(headers, "content-type", &form.content_type())?;
    put(headers, "idempotency-key", &upload.facts.id.to_string())?;
    put(headers, "content-digest", &form.digest())
}
