//! What a server answered during one attempt: for whoever tries a target out, and its last words for whoever asks what
//! became of a picture. What follows from an answer is decided elsewhere.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::response::TargetAnswer;
use super::text;
use crate::model::secrets::Secrets;

/// Answers that are kept; more than one attempt asks for.
const HEARD_MAX: usize = 8;

/// Of an answer's words so much is looked at, characters; far less is shown.
const LOOKED_AT: usize = 4096;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// HTTP status.
    pub(super) status: u16,
    /// `Content-Type`, as sent.
    pub(super) content_type: String,
    /// When it began.
    pub(super) at: Instant,
    /// What it said in one clean line without secrets; empty until its body has come, and where it has none.
    words: String,
}

/// Hears the answers of one attempt.
#[derive(Default)]
pub(crate) struct AnswerEar(Mutex<Ear>);

#[derive(Default)]
struct Ear {
    heard: Vec<Heard>,
    secrets: Secrets,
}

impl AnswerEar {
    fn lock(&self) -> std::sync::MutexGuard<'_, Ear> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this attempt alone has told the server, and what nobody may read in its answer.
    pub(super) fn hide(&self, secret: &str) {
        let mut ear = self.lock();
        ear.secrets = ear.secrets.clone().with(secret);
    }

    /// An answer has begun.
    pub(super) fn hear(&self, answer: &TargetAnswer) {
        let heard = &mut self.lock().heard;
        heard.truncate(HEARD_MAX - 1);
        heard.push(Heard {
            status: answer.status,
            content_type: answer.content_type.clone(),
            at: Instant::now(),
            words: String::new(),
        });
    }

    /// The body of that answer has come, or as much of it as is read.
    pub(super) fn hear_out(&self, answer: &TargetAnswer) {
        let mut ear = self.lock();
        let words = ear.secrets.words(&text::without_markup(&answer.body), LOOKED_AT);
        if let Some(last) = ear.heard.last_mut() {
            last.words = answer.words(&words);
        }
    }

    /// The answers so far.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.lock().heard.clone()
    }

    /// The last of them, such as `200: {"success":true}`; its status alone where it said nothing.
    pub(super) fn last_words(&self) -> Option<String> {
        self.lock().heard.last().map(|Heard { status, words, .. }| match words.as_str() {
            "" => status.to_string(),
            words => format!("{status}: {words}"),
        })
    }
}
