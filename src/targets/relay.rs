//! The `relay` target: another box's `/upload`. It counts as delivered only when that box says so in JSON.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::api::identify;
use super::ear::AnswerEar;
use super::facts::Sender;
use super::form::Form;
use super::http::{ANSWER_BYTES_MAX, Http};
use super::response::TargetAnswer;
use super::{Attempt, Deliver, TargetError, misconfigured, perhaps_of_this_image};
use crate::clock;
use crate::config::target::RelayTargetConfig;
use crate::config::{TargetConfig, UploadConfig};
use crate::model::{UnixMs, UploadFault, secrets::Secrets};
use crate::store::DueUpload;

/// Name of the part, as every such box takes it.
const FIELD: &str = "file";

/// Another box.
pub(super) struct Relay {
    config: RelayTargetConfig,
    http: Http,
    /// Whether and what is told beside the picture.
    sender: Option<Sender>,
    secrets: Secrets,
}

impl Deliver for Relay {
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

impl Relay {
    /// A target as configured; nothing is contacted.
    pub(super) fn new(config: &UploadConfig, target: &TargetConfig, relay: &RelayTargetConfig) -> Self {
        let url = relay.url.reveal();
        let secrets = Secrets::of_url(url);
        Self {
            config: relay.clone(),
            http: Http::new(config, target, url, &secrets),
            sender: config.metadata.then(|| Sender::new(config)),
            secrets,
        }
    }

    async fn send_picture(
        &self,
        upload: &DueUpload,
        picture: Bytes,
        ear: &AnswerEar,
    ) -> Result<(), TargetError> {
        let facts = self.sender.as_ref().map(|sender| sender.facts(upload)).unwrap_or_default();
        let form = Form::new(upload, &facts, FIELD, picture);
        let mut headers = HeaderMap::new();
        identify(&mut headers, upload, &form)?;
        let request = self.http.client()?.post(self.config.url.reveal().clone()).headers(headers);
        let reply = self.http.send(request, form.into_pieces(), ANSWER_BYTES_MAX, ear).await?;
        if reply.is_cut && (200..300).contains(&reply.answer.status) {
            return Err(TargetError::Broken { fault: UploadFault::AnswerCut });
        }
        judge(&reply.answer, clock::now())
    }
}

/// A status that refuses is what it is, of this picture alone unless others are refused as well; a conflict may say that the
/// picture is there. A success must say `"success": true`.
fn judge(answer: &TargetAnswer, now: UnixMs) -> Result<(), TargetError> {
    let said: Option<Value> = serde_json::from_str(&answer.body).ok();
    let text = |said: &Value| {
        let named = ["error", "message", "detail", "reason"].into_iter().find_map(|name| said.get(name));
        match named {
            Some(Value::String(text)) => answer.words(text),
            Some(Value::Object(object)) => {
                let text = object.get("message").and_then(Value::as_str);
                text.map(|text| answer.words(text)).unwrap_or_default()
            }
            _ => answer.words(&answer.body),
        }
    };
    // What the status says first: the words of JSON are better than its brackets.
    let plain =
        TargetAnswer { body: said.as_ref().map_or_else(|| answer.body.clone(), text), ..answer.clone() };
    let status = answer.status;
    if matches!(status, 409 | 412) && plain.has_it() {
        return Ok(());
    }
    plain.judge(now).map_err(|error| perhaps_of_this_image(status, error))?;
    let setting = || answer.settings.address.clone();
    match said.as_ref().map(|said| (said.get("success").and_then(Value::as_bool), said)) {
        Some((Some(true), _)) => Ok(()),
        Some((Some(false), said)) => {
            Err(TargetError::Doubtful { fault: UploadFault::NotTaken { status, words: text(said) } })
        }
        Some((None, said)) => {
            Err(misconfigured(UploadFault::RelayUndecided { status, words: text(said), setting: setting() }))
        }
        None => {
            let words = answer.words(&answer.body);
            Err(misconfigured(UploadFault::RelayUnlike { status, words, setting: setting() }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::response::Settings;
    use super::*;
    use crate::model::TargetId;
    use proptest::prelude::*;

    fn judged(status: u16, body: &str) -> Result<(), TargetError> {
        judge(
            &TargetAnswer {
                status,
                body: body.to_owned(),
                settings: Settings::of(TargetId::RELAY),
                ..TargetAnswer::default()
            },
            UnixMs(0),
        )
    }

    #[test]
    fn only_a_box_that_says_so_has_the_picture() {
        assert_eq!(judged(200, r#"{"success":true,"filename":"r1_1.jpg"}"#), Ok(()));
        assert_eq!(judged(201, r#" {"success": true} "#), Ok(()));
        for (status, body, kind) in [
            (200, r#"{"success":false,"error":"no space"}"#, "Doubtful"),
            (403, r#"{"success":false,"error":"no plate"}"#, "Doubtful"),
            (404, "", "Doubtful"),
            (409, r#"{"success":false,"error":"busy with it"}"#, "Doubtful"),
            (302, "", "Misconfigured"),
            (400, r#"{"success":false,"error":"no plate"}"#, "Rejected"),
            (413, r#"{"success":false,"message":"too large"}"#, "Rejected"),
            (503, r#"{"success":false,"error":{"message":"starting"}}"#, "Busy"),
            (401, r#"{"success":false,"error":"who are you"}"#, "Misconfigured"),
            (200, r#"{"success":"true"}"#, "Misconfigured"),
            (200, "{}", "Misconfigured"),
            (200, "ok", "Misconfigured"),
            (204, "", "Misconfigured"),
            (200, "<html>log in", "Misconfigured"),
        ] {
            let error = judged(status, body).unwrap_err();
            assert!(format!("{error:?}").starts_with(kind), "{status} {body}: {error:?}");
        }
        for status in [409, 412] {
            assert_eq!(judged(status, r#"{"success":false,"error":"file already exists"}"#), Ok(()));
        }
        let text = judged(400, r#"{"success":false,"error":"no plate"}"#).unwrap_err().to_string();
        assert_eq!(text, "answered 400: no plate");
    }

    proptest! {
        #[test]
        fn no_answer_panics_and_none_is_taken_without_the_word(status: u16, body in ".{0,200}") {
            prop_assert!(judged(status, &body).is_err() || matches!(status, 409 | 412));
        }
    }
}
