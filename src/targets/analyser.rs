//! A server that reads texts, such as number plates, in a picture: asked once, about one picture. Whether and when is
//! decided elsewhere.

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};

use super::analysis_answer::texts_of;
use super::ear::AnswerEar;
use super::form::{Form, FormFile};
use super::http::{ANSWER_BYTES_MAX, Http};
use super::response::{Settings, TargetAnswer};
use super::{TargetError, misconfigured, read};
use crate::clock;
use crate::config::{AnalysisConfig, AnalysisFormat, UploadConfig};
use crate::model::{ImageId, TextRead, UnixMs, UploadFault, secrets::Secrets};
use crate::store::DuePicture;

/// Name of the part with the picture, as Plate Recognizer takes it.
const FIELD: &str = "upload";

/// Of an answer this much is kept, characters; a long one has every candidate there was.
const RAW_CHARS_MAX: usize = 4_000;

/// What a server said of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalysisAnswer {
    /// What it read, in its order, at most 32.
    pub texts: Vec<TextRead>,
    /// Its words, cut and without secrets.
    pub raw: String,
}

/// What is told of a picture beside its bytes.
#[derive(Clone, Debug, Default)]
pub struct AnalysisFacts {
    /// What the picture is called.
    pub filename: String,
    /// Key of its camera.
    pub camera: Option<String>,
    /// The instant it shows.
    pub taken_at: Option<UnixMs>,
}

/// The server.
pub struct Analyser {
    config: AnalysisConfig,
    http: Http,
    secrets: Secrets,
}

impl Analyser {
    /// The server as configured; nothing is contacted.
    pub fn new(config: &AnalysisConfig, upload: &UploadConfig) -> Self {
        let url = config.url.reveal();
        let secrets = match &config.token {
            Some(token) => Secrets::of_url(url).with(token.reveal()),
            None => Secrets::of_url(url),
        };
        let settings = Settings {
            address: "ANALYSE_URL".to_owned(),
            login: "ANALYSE_TOKEN and the credentials in ANALYSE_URL".to_owned(),
        };
        let http = Http::apart(upload, url, &secrets, settings, config.timeout);
        Self { config: config.clone(), http, secrets }
    }

    /// Asks about a stored picture. Dropping the future ends the attempt.
    pub async fn analyse_stored(&self, picture: &DuePicture) -> Result<AnalysisAnswer, TargetError> {
        let jpeg = Bytes::from(read(picture).await?);
        let facts = AnalysisFacts {
            filename: picture.filename.to_string(),
            camera: Some(picture.facts.camera.to_string()),
            taken_at: Some(picture.facts.taken_at()),
        };
        self.analyse(&facts, jpeg).await
    }

    /// Asks about this JPEG now. Dropping the future ends the attempt. No error repeats a secret, even if the server did.
    pub async fn analyse(&self, facts: &AnalysisFacts, jpeg: Bytes) -> Result<AnalysisAnswer, TargetError> {
        let limit = self.config.timeout;
        let asked = tokio::time::timeout(limit, self.ask(facts, jpeg)).await;
        let asked = asked.unwrap_or_else(|_| {
            let (target, seconds) = (self.http.target(), limit.as_secs());
            let longer = seconds.saturating_mul(2).min(600);
            Err(TargetError::Broken { fault: UploadFault::NoAnswer { target, seconds, longer } })
        });
        let own =
            |words: &str| self.secrets.strike(words.to_owned()).replace("UPLOAD_TIMEOUT", "ANALYSE_TIMEOUT");
        asked.map_err(|error| error.with_words(own))
    }

    async fn ask(&self, facts: &AnalysisFacts, jpeg: Bytes) -> Result<AnalysisAnswer, TargetError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.config.token {
            let scheme = match self.config.format {
                AnalysisFormat::PlateRecognizer => "Token",
                AnalysisFormat::Json => "Bearer",
            };
            let mut value = HeaderValue::try_from(format!("{scheme} {}", token.reveal())).map_err(|_| {
                misconfigured(UploadFault::HeaderBadValue { name: AUTHORIZATION.to_string() })
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let fields = fields(facts);
        let mut url = self.config.url.reveal().clone();
        let (media_type, body) = match self.config.format {
            AnalysisFormat::PlateRecognizer => {
                let part = FormFile {
                    field: FIELD,
                    filename: &facts.filename,
                    media_type: "image/jpeg",
                    bytes: jpeg,
                };
                let form = Form::of(&ImageId::random().to_string(), &fields, part);
                (form.content_type(), form.into_pieces())
            }
            AnalysisFormat::Json => {
                let mut query = url.query_pairs_mut();
                query.append_pair("filename", &facts.filename);
                for (name, value) in &fields {
                    query.append_pair(name, value);
                }
                drop(query);
                ("image/jpeg".to_owned(), vec![jpeg])
            }
        };
        let media_type = HeaderValue::try_from(media_type)
            .map_err(|_| misconfigured(UploadFault::HeaderBadValue { name: CONTENT_TYPE.to_string() }))?;
        headers.insert(CONTENT_TYPE, media_type);
        let request = self.http.client()?.post(url).headers(headers);
        let reply = self.http.send(request, body, ANSWER_BYTES_MAX, &AnswerEar::default()).await?;
        if reply.is_cut && (200..300).contains(&reply.answer.status) {
            return Err(TargetError::Broken { fault: UploadFault::AnswerCut });
        }
        judge(self.config.format, &reply.answer, clock::now())
    }
}

/// What both shapes are told: the names are those of Plate Recognizer.
fn fields(facts: &AnalysisFacts) -> Vec<(&'static str, String)> {
    let camera = facts.camera.iter().map(|camera| ("camera_id", camera.clone()));
    camera.chain(facts.taken_at.map(|at| ("timestamp", at.rfc3339()))).collect()
}

/// A status that refuses is what it is; a success must be an answer of the kind that is set.
fn judge(format: AnalysisFormat, answer: &TargetAnswer, now: UnixMs) -> Result<AnalysisAnswer, TargetError> {
    answer.judge(now)?;
    match texts_of(format, &answer.body) {
        Some(texts) => {
            let raw = answer.secrets.words(&answer.body, RAW_CHARS_MAX);
            Ok(AnalysisAnswer { texts, raw })
        }
        None => {
            let words = answer.words(&answer.body);
            let fault = UploadFault::AnalysisUnlike { status: answer.status, words };
            Err(TargetError::Rejected { fault, is_final: false })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> Result<AnalysisAnswer, TargetError> {
        let answer = TargetAnswer { status, body: body.to_owned(), ..TargetAnswer::default() };
        judge(AnalysisFormat::PlateRecognizer, &answer, UnixMs(0))
    }

    #[test]
    fn only_an_answer_of_the_kind_that_is_set_is_one() {
        assert_eq!(judged(201, r#"{"results":[]}"#).unwrap().texts, []);
        for (status, body, kind) in [
            (200, "ok", "Rejected"),
            (200, r#"{"texts":[]}"#, "Rejected"),
            (200, "<html>log in", "Misconfigured"),
            (403, r#"{"detail":"Invalid token."}"#, "Misconfigured"),
            (413, r#"{"detail":"too large"}"#, "Rejected"),
            (429, r#"{"detail":"slow down"}"#, "Busy"),
            (500, "", "Busy"),
        ] {
            let error = judged(status, body).unwrap_err();
            assert!(format!("{error:?}").starts_with(kind), "{status} {body}: {error:?}");
        }
        let text = judged(403, r#"{"detail":"Invalid token."}"#).unwrap_err().to_string();
        assert!(text.contains("Invalid token"), "{text}");
    }

    #[test]
    fn what_is_kept_of_an_answer_is_bounded_and_has_no_secret() {
        let body = format!(r#"{{"results":[],"said":"hunter2hunter2 {}"}}"#, "é".repeat(20_000));
        let answer = TargetAnswer {
            status: 200,
            body,
            secrets: Secrets::default().with("hunter2hunter2"),
            ..TargetAnswer::default()
        };
        let kept = judge(AnalysisFormat::PlateRecognizer, &answer, UnixMs(0)).unwrap().raw;
        assert!(kept.chars().count() <= RAW_CHARS_MAX && !kept.contains("hunter2"), "{kept}");
    }
}
