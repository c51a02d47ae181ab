//! The `discord` target: a message with the picture, through a webhook of a channel.
//!
//! A webhook has no idempotency key: after a crash between its answer and our note of it, the message stands twice. The
//! picture's id is in its foot line.
//!
//! With `DISCORD_MESSAGE=link` the message has no file but a public link to it, which Discord opens by itself to show the
//! picture.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::ear::AnswerEar;
use super::facts::Sender;
use super::form::Form;
use super::http::{Http, Reply, put};
use super::response::TargetAnswer;
use super::{Attempt, Deliver, TargetError, misconfigured, perhaps_of_this_image, rejected};
use crate::clock;
use crate::config::target::{DiscordMessage, DiscordTargetConfig};
use crate::config::{TargetConfig, UploadConfig};
use crate::media::jpeg;
use crate::model::{LinkToken, Medium, UnixMs, UploadFault, secrets::Secrets};
use crate::store::DueUpload;

/// Of an answer's body this much is read: a message with its embeds is a few kilobytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A wait that the channel has announced is kept here if it is no longer than this; its limits are of seconds.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Longest wait that it may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// What is left of a limit when a picture below it was too large all the same, in percent.
const SHRINK_PERCENT: u64 = 60;

/// A picture is never made smaller than this.
const LEAST_BYTES: u64 = 48 * 1024;

/// A Discord channel.
pub(super) struct Discord {
    url: Url,
    http: Http,
    sender: Sender,
    secrets: Secrets,
    /// `DISCORD_MESSAGE`.
    contents: DiscordMessage,
    /// `DISCORD_MAX_BYTES`, or less once a smaller picture was too large.
    max_bytes: AtomicU64,
    /// Nothing is sent before; by what the last answer said.
    not_before: Mutex<Option<Instant>>,
}

impl Deliver for Discord {
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

impl Discord {
    /// A target as configured; nothing is contacted.
    pub(super) fn new(config: &UploadConfig, target: &TargetConfig, discord: &DiscordTargetConfig) -> Self {
        let mut url = discord.url.reveal().clone();
        let secrets = Secrets::of_url(&url).with_path(&url);
        // Without it the answer comes before the message is there, and says nothing; whatever the address says of it.
        let others: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(name, _)| name != "wait")
            .map(|pair| (pair.0.into(), pair.1.into()))
            .collect();
        url.query_pairs_mut().clear().extend_pairs(others).append_pair("wait", "true");
        Self {
            http: Http::new(config, target, &url, &secrets),
            sender: Sender::new(config),
            secrets,
            contents: discord.message.clone(),
            max_bytes: AtomicU64::new(discord.max_bytes),
            not_before: Mutex::new(None),
            url,
        }
    }

    async fn send_picture(
        &self,
        upload: &DueUpload,
        picture: Bytes,
        ear: &AnswerEar,
    ) -> Result<(), TargetError> {
        self.keep_still().await?;
        // A picture that is in no list, such as that of a test, has no link.
        if let (DiscordMessage::Link(public), Some(token)) = (&self.contents, &upload.link) {
            return self.send_link(upload, public, token, ear).await;
        }
        let max_bytes = self.max_bytes.load(Ordering::Relaxed);
        let file = fit(upload, picture, max_bytes).await?;
        let reply = self.send(upload, file.clone(), ear).await?;
        let now = clock::now();
        self.note_wait(&reply, now);
        let length = file.len() as u64;
        if is_too_large(&reply.answer) && upload.filename.medium() == Medium::Jpeg && length > LEAST_BYTES {
            let less = (length * SHRINK_PERCENT / 100).max(LEAST_BYTES);
            self.max_bytes.fetch_min(less, Ordering::Relaxed);
            let status = reply.answer.status;
            return Err(TargetError::Busy {
                fault: UploadFault::PictureShrunk { status, bytes: length, less },
                retry_after: Some(Duration::from_secs(1)),
            });
        }
        judge(&reply.answer, now)?;
        if reply.is_cut {
            return Err(TargetError::Broken { fault: UploadFault::AnswerCut });
        }
        let size = jpeg::inspect(&file).ok();
        confirm(&reply.answer, &upload.filename.to_string(), length, size)
    }

    /// Posts the link of a picture. Discord fetches what it shows from there, mostly within the second, and keeps it.
    async fn send_link(
        &self,
        upload: &DueUpload,
        public: &Url,
        token: &LinkToken,
        ear: &AnswerEar,
    ) -> Result<(), TargetError> {
        let path = token.path(upload.filename.medium());
        // The path is one that any address can have below it.
        let link = public.join(&path).map_or_else(|_| format!("{public}{path}"), String::from);
        let secrets = self.secrets.clone().with(&token.reveal());
        ear.hide(&token.reveal());
        let posted = self.post(upload, &link, ear).await;
        posted.map_err(|error| error.with_words(|words| secrets.strike(words.to_owned())))
    }

    async fn post(&self, upload: &DueUpload, link: &str, ear: &AnswerEar) -> Result<(), TargetError> {
        let (label, time) = (self.sender.label(upload), upload.facts.taken_at().rfc3339());
        let message = json!({
            "content": format!("{} · {time}\n{link}", plain(label)),
            "allowed_mentions": { "parse": [] },
        });
        let mut headers = HeaderMap::new();
        put(&mut headers, "content-type", "application/json")?;
        let request = self.http.client()?.post(self.url.clone()).headers(headers);
        let reply =
            self.http.send(request, vec![Bytes::from(message.to_string())], ANSWER_BYTES_MAX, ear).await?;
        let now = clock::now();
        self.note_wait(&reply, now);
        judge(&reply.answer, now)?;
        if reply.is_cut {
            return Err(TargetError::Broken { fault: UploadFault::AnswerCut });
        }
        confirm_link(&reply.answer, link, upload.bytes)
    }

    /// Remembers how long the channel wants to hear nothing.
    fn note_wait(&self, reply: &Reply, now: UnixMs) {
        if let Some(wait) = announced_wait(reply, now) {
            *self.not_before.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + wait);
        }
    }

    /// Waits as long as the channel asked for, if that is not long.
    async fn keep_still(&self) -> Result<(), TargetError> {
        let until = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(wait) = until.map(|until| until.saturating_duration_since(Instant::now())) else {
            return Ok(());
        };
        if wait > WAIT_MAX {
            return Err(TargetError::Busy { fault: UploadFault::RateLimited, retry_after: Some(wait) });
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    async fn send(&self, upload: &DueUpload, file: Bytes, ear: &AnswerEar) -> Result<Reply, TargetError> {
        let message = self.message(upload).to_string();
        let form = Form::new(upload, &[("payload_json", message)], "files[0]", file);
        let mut headers = HeaderMap::new();
        put(&mut headers, "content-type", &form.content_type())?;
        let request = self.http.client()?.post(self.url.clone()).headers(headers);
        self.http.send(request, form.into_pieces(), ANSWER_BYTES_MAX, ear).await
    }

    /// The message. Nobody is mentioned by it, whatever a camera is called.
    fn message(&self, upload: &DueUpload) -> Value {
        let name = upload.filename.to_string();
        let mut foot = vec![upload.facts.id.to_string()];
        foot.extend(self.sender.site().map(str::to_owned));
        let field = |name: &str, value: &str| json!({ "name": name, "value": value, "inline": true });
        let mut embed = json!({
            "title": self.sender.label(upload),
            "timestamp": upload.facts.taken_at().rfc3339(),
            "fields": [
                field("Camera", upload.facts.camera.as_str()),
                field("Time", &upload.facts.taken_at().rfc3339()),
                field("Cause", upload.facts.cause.as_str()),
            ],
            "footer": { "text": foot.join(" · ") },
        });
        if upload.filename.medium() == Medium::Jpeg {
            embed["image"] = json!({ "url": format!("attachment://{name}") });
        }
        json!({
            "embeds": [embed],
            "attachments": [{ "id": 0, "filename": name }],
            "allowed_mentions": { "parse": [] },
        })
    }
}

/// The file as it is sent: as stored, or a smaller picture of the same.
async fn fit(upload: &DueUpload, file: Bytes, max_bytes: u64) -> Result<Bytes, TargetError> {
    let length = file.len() as u64;
    if length <= max_bytes {
        return Ok(file);
    }
    match upload.filename.medium() {
        Medium::Mp4 => Err(rejected(UploadFault::ClipTooLarge { bytes: length, most: max_bytes })),
        Medium::Jpeg => {
            let most = usize::try_from(max_bytes).unwrap_or(usize::MAX);
            // Decoding and encoding takes tenths of a second.
            let smaller = tokio::task::spawn_blocking(move || jpeg::shrunk_to(&file, most)).await;
            smaller
                .ok()
                .flatten()
                .map(Bytes::from)
                .ok_or_else(|| rejected(UploadFault::PictureTooLarge { bytes: length, most: max_bytes }))
        }
    }
}

/// An error as Discord writes it (its documentation, "JSON error codes").
#[derive(Default)]
struct Said {
    code: u64,
    /// Its words, with the first of those about a field.
    words: Option<String>,
    /// It is about the thread, or the webhook, that the address names.
    is_about_thread: bool,
    is_about_webhook: bool,
}

impl Said {
    fn read(answer: &TargetAnswer) -> Self {
        let Ok(value) = serde_json::from_str::<Value>(&answer.body) else { return Self::default() };
        // Of a number that is none it says only {"thread_id": ["Value … is not snowflake."]}.
        let is_about = |name: &str| {
            value.get(name).is_some_and(Value::is_array)
                || value.get("errors").is_some_and(|errors| errors.get(name).is_some())
        };
        let words = value.get("message").and_then(Value::as_str).map(|message| {
            let of_field = value.get("errors").and_then(|errors| field_words(errors, FIELDS_DEEP));
            let of_field = of_field.map(|words| format!(" ({words})")).unwrap_or_default();
            answer.words(&format!("{message}{of_field}"))
        });
        Self {
            code: value.get("code").and_then(Value::as_u64).unwrap_or_default(),
            words,
            is_about_thread: is_about("thread_id"),
            is_about_webhook: is_about("webhook_id"),
        }
    }

    /// What to do about a fault of the webhook or its channel, which meets every picture.
    fn next_step(&self, status: u16, words: String) -> Option<UploadFault> {
        Some(match self.code {
            10015 | 50027 => UploadFault::WebhookGone { status, words },
            _ if self.is_about_webhook => UploadFault::WebhookGone { status, words },
            220_001 => UploadFault::ThreadNeeded { status, words },
            10003 | 50024 | 50083 | 160_005 | 220_002..=220_004 => UploadFault::ChannelBad { status, words },
            50001 | 50013 => UploadFault::ChannelForbidden { status, words },
            _ if self.is_about_thread => UploadFault::ThreadBad { status, words },
            _ => return None,
        })
    }
}

/// How deep the words about a field may lie: `embeds`, `0`, `fields`, `1`, `value`.
const FIELDS_DEEP: usize = 6;

/// The first words about a field in `errors`.
fn field_words(errors: &Value, deep: usize) -> Option<String> {
    let first = errors.get("_errors").and_then(|list| list.get(0)).and_then(|error| error.get("message"));
    if let Some(words) = first.and_then(Value::as_str) {
        return Some(words.to_owned());
    }
    let fields = errors.as_object().filter(|_| deep > 0)?;
    fields.iter().find_map(|(name, value)| Some(format!("{name}: {}", field_words(value, deep - 1)?)))
}

/// Whether the file is larger than the channel takes; there are two codes for it beside the status.
fn is_too_large(answer: &TargetAnswer) -> bool {
    answer.status == 413
        || ((400..500).contains(&answer.status) && matches!(Said::read(answer).code, 40005 | 50045))
}

/// What an answer says before it is asked for the picture.
fn judge(answer: &TargetAnswer, now: UnixMs) -> Result<(), TargetError> {
    let said = Said::read(answer);
    let plain =
        TargetAnswer { body: said.words.clone().unwrap_or_else(|| answer.body.clone()), ..answer.clone() };
    let refused = match plain.judge(now) {
        Ok(()) => return Ok(()),
        Err(TargetError::Busy { fault, retry_after }) => {
            return Err(TargetError::Busy { fault, retry_after: exact_wait(&answer.body).or(retry_after) });
        }
        Err(error) => error,
    };
    let status = answer.status;
    let words = said.words.clone().unwrap_or_else(|| answer.words(&answer.body));
    match said.next_step(status, words).filter(|_| (400..500).contains(&status)) {
        Some(fault) => Err(misconfigured(fault)),
        None => Err(perhaps_of_this_image(status, refused)),
    }
}

/// Seconds with a fraction, from a number or its text.
fn seconds(value: f64) -> Option<Duration> {
    let wait = Duration::try_from_secs_f64(value).ok()?;
    Some(wait.min(RETRY_AFTER_MAX))
}

/// `retry_after` of a 429: the header has whole seconds only.
fn exact_wait(body: &str) -> Option<Duration> {
    seconds(serde_json::from_str::<Value>(body).ok()?.get("retry_after")?.as_f64()?)
}

/// How long nothing may be sent after this answer.
fn announced_wait(reply: &Reply, now: UnixMs) -> Option<Duration> {
    if let Err(TargetError::Busy { retry_after: Some(wait), .. }) = judge(&reply.answer, now) {
        return Some(wait);
    }
    let remaining = reply.header("x-ratelimit-remaining")?.trim();
    if remaining != "0" {
        return None;
    }
    seconds(reply.header("x-ratelimit-reset-after")?.trim().parse().ok()?)
}

/// Whether the message has the picture. One that stands in an embed is not listed among the attachments (Discord's issue
/// 1340); then it is the embed's image that must have its name and size.
fn confirm(
    answer: &TargetAnswer,
    name: &str,
    length: u64,
    size: Option<(u32, u32)>,
) -> Result<(), TargetError> {
    let status = answer.status;
    let Ok(message) = serde_json::from_str::<Value>(&answer.body) else {
        return Err(misconfigured(UploadFault::WebhookUnlike { status, words: answer.words(&answer.body) }));
    };
    let list = |list: &str| message.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
    let is_attached = list("attachments").iter().any(|attachment| {
        attachment.get("size").and_then(Value::as_u64) == Some(length)
            && attachment.get("filename").and_then(Value::as_str) == Some(name)
    });
    let is_shown = list("embeds").iter().filter_map(|embed| embed.get("image")).any(|image| {
        let url = image.get("url").and_then(Value::as_str).and_then(|url| Url::parse(url).ok());
        let is_stored = url.is_some_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.path().rsplit('/').next() == Some(name)
        });
        let side = |side: &str| image.get(side).and_then(Value::as_u64).filter(|pixels| *pixels > 0);
        let fits = |side: Option<u64>, own: Option<u32>| match (side, own) {
            (Some(side), Some(own)) => side == u64::from(own),
            _ => true,
        };
        is_stored
            && fits(side("width"), size.map(|(width, _)| width))
            && fits(side("height"), size.map(|(_, height)| height))
    });
    if is_attached || is_shown {
        return Ok(());
    }
    let fault = UploadFault::PictureLeftOut { status, bytes: length };
    // A message, and not just any JSON.
    let is_message = message.get("id").is_some();
    Err(if is_message { TargetError::Doubtful { fault } } else { misconfigured(fault) })
}

/// A name as text that Discord takes for no markup and no link.
fn plain(name: &str) -> String {
    name.chars()
        .flat_map(|c| ("\\`*_~|>#[]()<:@-".contains(c)).then_some('\\').into_iter().chain([c]))
        .collect()
}

/// Whether the message has the link.
fn confirm_link(answer: &TargetAnswer, link: &str, bytes: u64) -> Result<(), TargetError> {
    let status = answer.status;
    let message =
        serde_json::from_str::<Value>(&answer.body).ok().filter(|message| message.get("id").is_some());
    let Some(message) = message else {
        return Err(misconfigured(UploadFault::WebhookUnlike { status, words: answer.words(&answer.body) }));
    };
    let is_there = message.get("content").and_then(Value::as_str).is_some_and(|text| text.contains(link));
    let fault = UploadFault::PictureLeftOut { status, bytes };
    if is_there { Ok(()) } else { Err(TargetError::Doubtful { fault }) }
}

#[cfg(test)]
#[path = "discord_tests.rs"]
mod tests;
