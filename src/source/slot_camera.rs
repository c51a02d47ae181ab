//! The session of a camera whose address comes while the program runs: while nobody looks, it is a camera of single
//! pictures like any other; while somebody does, its own `/stream` is read where it has one, over one connection for all, and
//! `/capture` asked for at a rate where it has not.
//!
//! While its stream runs, pictures of triggers come from there: small cameras answer one request at a time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::Response;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use super::body::Body;
use super::slot::{ANSWER_LIMIT, SetupError, StreamAddress, StreamSlot, ask, url_at};
use super::snapshot::Snapshot;
use super::snapshot_shown::Shown;
use super::{Requests, SourceError};
use crate::config::{Flush, SnapshotConfig, Trust};
use crate::media::footprint;
use crate::media::jpeg;
use crate::model::{CameraFault, CameraKey};
use crate::status::{CameraState, Status};

/// A stream that brings nothing for so long is given up. The slowest cameras send a picture every second or two.
const SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// A trigger waits so long for a picture of the stream before single pictures are asked for instead.
const TRIGGER_PATIENCE: Duration = Duration::from_millis(1500);

/// How often it is looked whether anyone still looks, and whether a trigger waits too long.
const LOOK: Duration = Duration::from_millis(250);

/// After a stream broke, single pictures are asked for at least so long.
const STREAM_AGAIN: Duration = Duration::from_secs(5);

/// Largest picture, bytes, as for single ones.
const BYTES_MAX: usize = 16 << 20;

/// What is expected of a picture, bytes.
const BYTES_USUAL: usize = 64 << 10;

/// The camera.
pub struct SlotCamera {
    number: u8,
    key: CameraKey,
    flush: Flush,
    fps: u8,
    status: Status,
    slot: StreamSlot,
    changes: watch::Receiver<Option<StreamAddress>>,
    /// Where it was found, and what was learned of it there.
    known: Option<(SocketAddr, Box<Snapshot>)>,
}

/// Why no more pictures come from a stream.
enum StreamEnd {
    /// Nobody looks any more.
    Unwatched,
    /// The camera has none.
    Absent,
    /// It broke, or a trigger could not wait.
    Broke(String),
}

impl SlotCamera {
    /// Camera `number` with `key`, asked for `fps` pictures a second while somebody looks. Nothing is contacted yet.
    pub fn new(number: u8, key: CameraKey, flush: Flush, fps: u8, slot: StreamSlot, status: Status) -> Self {
        let changes = slot.changes();
        Self { number, key, flush, fps, status, slot, changes, known: None }
    }

    /// Waits until the address is another one. Safe to drop.
    pub async fn renewed(&mut self) {
        // The sender is in `slot`, so it is there.
        let _ = self.changes.changed().await;
    }

    /// As [`Source::serve`](super::Source::serve); without an address it waits for one.
    pub async fn serve(&mut self, requests: &mut Requests) -> SourceError {
        loop {
            let address = self.changes.borrow_and_update().clone();
            let mut changes = self.changes.clone();
            let Some(address) = address else {
                self.known = None;
                self.show_state(CameraState::Disabled);
                requests.refuse_all(NO_CAMERA);
                tokio::select! {
                    _ = changes.changed() => {}
                    _ = requests.next(None) => {}
                }
                continue;
            };
            tokio::select! {
                _ = changes.changed() => {}
                error = self.follow(&address, requests) => return error,
            }
        }
    }

    /// Serves the camera at an address until it breaks.
    async fn follow(&mut self, address: &StreamAddress, requests: &mut Requests) -> SourceError {
        if self.status.camera(&self.key).is_some_and(|camera| camera.state == CameraState::Disabled) {
            self.show_state(CameraState::Connecting);
        }
        let at = match self.slot.look_up(address).await {
            Ok(at) => at,
            Err(error) => return not_found(address, &error),
        };
        let Some(mut snapshot) = self.snapshot_at(at) else {
            return not_found(
                address,
                &SetupError::Unreachable {
                    address: address.to_string(),
                    what: "it makes no address".to_owned(),
                },
            );
        };
        let error = self.pictures(at, &mut snapshot, requests).await;
        self.known = Some((at, snapshot));
        error
    }

    /// What asks for single pictures; what is known of the camera stays known.
    fn snapshot_at(&mut self, at: SocketAddr) -> Option<Box<Snapshot>> {
        if let Some((_, snapshot)) = self.known.take().filter(|(known, _)| *known == at) {
            return Some(snapshot);
        }
        let config = SnapshotConfig {
            url: url_at(at, "/capture")?,
            credentials: None,
            flush: self.flush,
            verify: false,
            trust: Trust::System,
            follows: false,
        };
        let snapshot = Snapshot::new(self.number, self.key.clone(), config, self.status.clone());
        Some(Box::new(snapshot.shown_to(self.slot.clone(), self.fps)))
    }

    async fn pictures(
        &mut self,
        at: SocketAddr,
        snapshot: &mut Snapshot,
        requests: &mut Requests,
    ) -> SourceError {
        let mut stream_from = Some(Instant::now());
        loop {
            if (requests.is_watched() || self.slot.has_viewers())
                && stream_from.is_some_and(|from| from <= Instant::now())
            {
                snapshot.hang_up();
                let end = self.stream(at, snapshot, requests).await;
                stream_from = match end {
                    StreamEnd::Unwatched => Some(Instant::now()),
                    StreamEnd::Absent => {
                        info!(camera = %self.key, "the camera has no stream; single pictures are asked for");
                        None
                    }
                    StreamEnd::Broke(why) => {
                        debug!(camera = %self.key, why, "the stream broke; single pictures are asked for");
                        Some(Instant::now() + STREAM_AGAIN)
                    }
                };
            }
            if let Some(error) = snapshot.turn(requests, stream_from).await {
                return error;
            }
        }
    }

    /// Reads the camera's stream while anyone looks.
    async fn stream(&self, at: SocketAddr, snapshot: &mut Snapshot, requests: &mut Requests) -> StreamEnd {
        let mut stream = match open(at).await {
            Ok(stream) => stream,
            Err(end) => return end,
        };
        debug!(camera = %self.key, "the camera's stream is open");
        let mut body = Body::new(BYTES_USUAL, Instant::now());
        // When the picture before began to come.
        let mut before: Option<Instant> = None;
        let mut heard = Instant::now();
        loop {
            let chunk = tokio::select! {
                chunk = stream.chunk() => chunk,
                _ = requests.next(None) => {
                    requests.refuse_stretches(NO_PAST);
                    requests.expire(Instant::now(), "the camera's stream brought no picture in time");
                    continue;
                }
                () = sleep(LOOK) => {
                    let now = Instant::now();
                    if !requests.is_watched() && !self.slot.has_viewers() {
                        return StreamEnd::Unwatched;
                    }
                    if requests.earliest().is_some_and(|wanted| wanted + TRIGGER_PATIENCE < now) {
                        return StreamEnd::Broke("a trigger waits".to_owned());
                    }
                    if heard + SILENCE_LIMIT < now {
                        return StreamEnd::Broke(format!("nothing came for {} s", SILENCE_LIMIT.as_secs()));
                    }
                    continue;
                }
            };
            let chunk = match chunk {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return StreamEnd::Broke("the camera ended it".to_owned()),
                Err(error) => return StreamEnd::Broke(error.without_url().to_string()),
            };
            let (now, had) = (Instant::now(), body.bytes().len());
            heard = now;
            body.push(&chunk, now);
            if !body.has_whole() {
                if body.bytes().len() > BYTES_MAX {
                    return StreamEnd::Broke("a picture has no end".to_owned());
                }
                continue;
            }
            let whole = match std::mem::replace(&mut body, Body::new(BYTES_USUAL, now)).end(false) {
                Ok(whole) => whole,
                Err((error, _)) => return StreamEnd::Broke(error.to_string()),
            };
            // What came behind the picture is the begin of the next one.
            if let Some(rest) = whole.end.checked_sub(had).and_then(|end| chunk.get(end..)) {
                body.push(rest, now);
            }
            let size = match jpeg::inspect(&whole.jpeg) {
                Ok(size) if footprint::check_jpeg(size).is_ok() => size,
                Ok(_) => return StreamEnd::Broke("its pictures have too many pixels".to_owned()),
                Err(error) => return StreamEnd::Broke(error.to_string()),
            };
            // A camera with two buffers sends what it took while the picture before went out.
            let until = before.replace(whole.began);
            let is_watched = requests.is_watched() || self.slot.has_viewers();
            snapshot.show(Shown { jpeg: whole.jpeg.into(), size, began: whole.began, until }, requests);
            if !is_watched {
                return StreamEnd::Unwatched;
            }
        }
    }

    fn show_state(&self, state: CameraState) {
        if self.status.camera(&self.key).is_some_and(|camera| camera.state == state) {
            return;
        }
        self.status.update_camera(&self.key, |camera| {
            camera.state = state;
            camera.last_error = None;
            camera.stream = None;
        });
    }
}

const NO_CAMERA: &str = "no camera is set up; send its address to /streaming/setup-camera";

const NO_PAST: &str = "the camera is asked for pictures only while somebody looks, so there is no stream before or after the trigger";

/// Asks for the camera's stream.
async fn open(at: SocketAddr) -> Result<Response, StreamEnd> {
    let asked = ask(at, "/stream").map_err(StreamEnd::Broke)?;
    let answer = match timeout(ANSWER_LIMIT, asked.send()).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(StreamEnd::Broke(error.without_url().to_string())),
        Err(_) => return Err(StreamEnd::Broke("it does not begin".to_owned())),
    };
    let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_stream = kind.trim_start().to_ascii_lowercase().starts_with("multipart/");
    if answer.status().is_success() && is_stream { Ok(answer) } else { Err(StreamEnd::Absent) }
}

/// Why the camera is not contacted, or cannot be found.
fn not_found(address: &StreamAddress, error: &SetupError) -> SourceError {
    let is_refusal = matches!(error, SetupError::OffLimits(_));
    let fault = match error {
        SetupError::OffLimits(reason) => CameraFault::OffLimits { reason: reason.to_string() },
        SetupError::Unreachable { what, .. } => {
            CameraFault::NoConnection { address: address.to_string(), error: what.clone(), snapshot: true }
        }
        SetupError::Silent { seconds, .. } => {
            CameraFault::NoAnswer { address: address.to_string(), seconds: Some(*seconds) }
        }
    };
    SourceError { fault, is_refusal }
}
