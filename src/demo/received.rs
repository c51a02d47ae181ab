//! What a receiver was sent: checked, stored, remembered, and the faults that are scripted for it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tracing::warn;

use crate::clock;
use crate::demo::http::{DemoAnswer, RequestHead};
use crate::demo::multipart::file_part;
use crate::model::{FileName, UnixMs, hex};

/// Uploads remembered; older ones are forgotten, and a repetition of them counts as new.
const REMEMBERED_MAX: usize = 1000;

/// Longest idempotency key.
const KEY_MAX: usize = 255;

/// Where pictures are sent.
pub(super) const UPLOAD_PATH: &str = "/upload";

/// Which bytes the sender's `Content-Digest` was taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DigestOf {
    /// The request's content, the whole multipart body, as RFC 9530 defines it.
    Content,
    /// The file alone, as simple senders do.
    File,
}

/// An upload that was accepted and confirmed, or would have been but for a [`ReceiverFault`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Received {
    /// Name of the part's file.
    pub filename: FileName,
    /// As sent, the same on every attempt.
    pub idempotency_key: String,
    /// Of the file's bytes, in hexadecimal digits.
    pub sha256: String,
    /// What the digest that came with it covers.
    pub digest_of: DigestOf,
    /// Length of the file.
    pub bytes: usize,
    /// Wall time of the first arrival.
    #[serde(skip)]
    pub received_at: UnixMs,
    /// How often it came, 1 unless the sender had to repeat itself.
    pub arrivals: u32,
}

/// What a server or the way to it can do to an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiverFault {
    /// Reads the request, stores nothing and answers this.
    Answer {
        /// HTTP status.
        status: u16,
        /// Name and value; `Content-Length` is added.
        headers: Vec<(String, String)>,
        /// Sent as it is.
        body: String,
    },
    /// A page with status 200 that is not the server's: a log-in page of somebody's network.
    CaptivePortal,
    /// Takes its time before it looks at the request.
    Delay(Duration),
    /// Closes the connection when half of the body has come.
    CloseInBody,
    /// Stores the upload, then closes the connection without an answer.
    CloseUnanswered,
    /// Stores the upload and says nothing; the connection stays open until the client leaves.
    HoldUnanswered,
}

impl ReceiverFault {
    /// An answer with this status and nothing else.
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: String::new() }
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) received: VecDeque<Received>,
    pub(super) requests: u64,
    /// Uploads that have come and are not answered yet, now and at most.
    under_way: usize,
    pub(super) most_at_once: usize,
    /// How many more uploads each fault is for, in order.
    pub(super) script: VecDeque<(usize, ReceiverFault)>,
}

#[derive(Debug)]
pub(super) struct ReceiverShared {
    state: Mutex<State>,
    /// Distinct uploads so far, also forgotten ones.
    pub(super) accepted: watch::Sender<usize>,
    folder: Option<PathBuf>,
    /// Held from the look at what came before until the new one is remembered, so that a repetition in flight at the
    /// same time is not confirmed before the file is written.
    storing: tokio::sync::Mutex<()>,
}

/// An upload that has come and is not answered yet.
pub(super) struct UnderWay<'a>(&'a ReceiverShared);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
    }
}

impl ReceiverShared {
    /// Has accepted nothing; files go to `folder`, or nowhere.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self {
            state: Mutex::default(),
            accepted: watch::Sender::default(),
            folder,
            storing: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Counters and lists, whole between statements; a panicked holder cannot have spoiled them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an upload as under way until the answer is dropped, and takes the fault that is scripted for it.
    pub(super) fn begin_upload(&self) -> (Option<UnderWay<'_>>, Option<ReceiverFault>) {
        let fault = self.take_fault();
        (Some(UnderWay(self)), fault)
    }

    fn take_fault(&self) -> Option<ReceiverFault> {
        let mut state = self.state();
        state.requests += 1;
        state.under_way += 1;
        state.most_at_once = state.most_at_once.max(state.under_way);
        while let Some((count, fault)) = state.script.front_mut() {
            if let Some(fewer) = count.checked_sub(1) {
                *count = fewer;
                return Some(fault.clone());
            }
            state.script.pop_front();
        }
        None
    }

    /// Checks, stores and remembers an upload.
    pub(super) async fn accept(&self, head: &RequestHead, body: &[u8]) -> DemoAnswer {
        let (received, data) = match check(head, body) {
            Ok(checked) => checked,
            Err(refusal) => return refusal,
        };
        let _one_at_a_time = self.storing.lock().await;
        if let Some(answer) = self.recognise(&received) {
            return answer;
        }
        if let Some(folder) = &self.folder
            && let Err(error) = tokio::fs::write(folder.join(received.filename.to_string()), data).await
        {
            warn!(%error, "upload receiver: a picture was not stored");
            return DemoAnswer::error(500, "not_stored", "the picture could not be written");
        }
        self.remember(received)
    }

    /// The answer to an upload whose key or name has come before.
    fn recognise(&self, new: &Received) -> Option<DemoAnswer> {
        let mut state = self.state();
        let old = state
            .received
            .iter_mut()
            .find(|old| old.idempotency_key == new.idempotency_key || old.filename == new.filename)?;
        if old.idempotency_key != new.idempotency_key {
            return Some(DemoAnswer::error(
                422,
                "name_taken",
                "this file name came with another idempotency key",
            ));
        }
        if (&old.filename, &old.sha256) != (&new.filename, &new.sha256) {
            return Some(DemoAnswer::error(
                422,
                "key_reused",
                "this idempotency key belongs to another picture",
            ));
        }
        old.arrivals = old.arrivals.saturating_add(1);
        Some(DemoAnswer::json(200, &serde_json::json!(old)))
    }

    fn remember(&self, new: Received) -> DemoAnswer {
        let answer = DemoAnswer::json(201, &serde_json::json!(new));
        let mut state = self.state();
        if state.received.len() == REMEMBERED_MAX {
            state.received.pop_front();
        }
        state.received.push_back(new);
        drop(state);
        self.accepted.send_modify(|accepted| *accepted += 1);
        answer
    }
}

/// What an upload contains, or why it is refused.
fn check<'a>(head: &RequestHead, body: &'a [u8]) -> Result<(Received, &'a [u8]), DemoAnswer> {
    let refuse = |status, code, message| Err(DemoAnswer::error(status, code, message));
    let key = head.header("idempotency-key").unwrap_or("");
    if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return refuse(400, "no_key", "Idempotency-Key is missing, too long or not plain ASCII");
    }
    let content_type = head.header("content-type").unwrap_or("");
    if !content_type.get(..19).is_some_and(|start| start.eq_ignore_ascii_case("multipart/form-data")) {
        return refuse(415, "not_multipart", "the body is not multipart/form-data");
    }
    let part = match file_part(content_type, body) {
        Ok(part) => part,
        Err(message) => return refuse(400, "bad_multipart", message),
    };
    let Some(filename) = FileName::parse(part.filename) else {
        return refuse(422, "bad_name", "the file name is not of the form camera_seconds.jpg or .mp4");
    };
    if part.content_type != filename.medium().media_type() {
        return refuse(415, "wrong_type", "the part's Content-Type is not that of its file name");
    }
    let file_sha256 = Sha256::digest(part.data);
    let sent = head.header("content-digest").unwrap_or("");
    let digest_of = if is_digest(sent, &Sha256::digest(body)) {
        DigestOf::Content
    } else if is_digest(sent, &file_sha256) {
        DigestOf::File
    } else {
        return refuse(400, "bad_digest", "Content-Digest is missing or does not agree with the bytes");
    };
    let received = Received {
        filename,
        idempotency_key: key.to_owned(),
        sha256: hex(&file_sha256),
        digest_of,
        bytes: part.data.len(),
        received_at: clock::now(),
        arrivals: 1,
    };
    Ok((received, part.data))
}

/// Whether one of the digests sent (`sha-256=:…:`, RFC 9530) is this SHA-256.
fn is_digest(sent: &str, sha256: &[u8]) -> bool {
    let expected = format!("sha-256=:{}:", STANDARD.encode(sha256));
    sent.split(',').any(|digest| digest.trim() == expected)
}
