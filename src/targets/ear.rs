//! What a server answered while a target was tried out. A lane does not listen: it goes by what an answer means.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Answers that are kept; more than one attempt asks for.
const HEARD_MAX: usize = 8;

/// The beginning of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// HTTP status.
    pub(super) status: u16,
    /// `Content-Type`, as sent.
    pub(super) content_type: String,
    /// When it began.
    pub(super) at: Instant,
}

/// Hears answers once it is told to.
#[derive(Default)]
pub(super) struct AnswerEar(Mutex<Option<Vec<Heard>>>);

impl AnswerEar {
    /// From now on answers are kept.
    pub(super) fn listen(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    /// An answer has begun.
    pub(super) fn hear(&self, status: u16, content_type: &str) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(heard) = heard.as_mut().filter(|heard| heard.len() < HEARD_MAX) {
            heard.push(Heard { status, content_type: content_type.to_owned(), at: Instant::now() });
        }
    }

    /// The answers so far.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }
}
