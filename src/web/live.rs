//! Changes as server-sent events (HTML Living Standard section 9.2): those the store has committed, and those of what is
//! shown beyond it.
//!
//! A browser that lags behind is told to read everything anew (`resync`); a session that ends takes its streams along.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, sleep_until};

use super::error::ApiError;
use super::guard::admitted;
use super::query::Query;
use super::visit::{Place, Visit, interval};
use super::{State, json as shape};
use crate::clock;
use crate::status::Event;
use crate::store::Change;

/// So often the browser hears that all is well, whatever else there is: it knows by the silence that the connection or
/// this machine is frozen, and proxies keep the connection. A comment would do for them, but no page is told of one.
const BEAT: Duration = Duration::from_secs(10);

/// The browser comes back after this when the connection was lost.
const RETRY_MS: u32 = 2_000;

/// A browser is not told more often to read everything anew: thousands of rows may change in one piece of work.
const RESYNC_PAUSE: Duration = Duration::from_secs(2);

/// Name and data of an event.
type Told = (&'static str, Value);

struct Stream {
    state: web::Data<State>,
    visit: Visit,
    changes: broadcast::Receiver<Change>,
    events: broadcast::Receiver<Event>,
    /// A browser is to read everything anew, and so many changes were missed.
    resync: Option<u64>,
    /// When it was last told to.
    resynced: Option<Instant>,
    beat: Interval,
    has_begun: bool,
    _place: Place,
}

pub(super) async fn stream(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let place = state.streams.take(&admitted(&request)?).ok_or_else(|| {
        ApiError::unavailable("too_many_streams", "too many dashboards are open at the same time; close one")
    })?;
    let stream = Stream {
        changes: state.store.changes(),
        events: state.status.subscribe(),
        resync: None,
        resynced: None,
        visit: Visit::of(&request, &state)?,
        beat: interval(BEAT),
        has_begun: false,
        state,
        _place: place,
    };
    let body = futures_util::stream::unfold(stream, |mut stream| async move {
        let bytes = stream.next().await?;
        Some((Ok::<_, actix_web::Error>(bytes), stream))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        // nginx would otherwise hold events back.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(body))
}

impl Stream {
    /// The next bytes for the browser; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.has_begun, true) {
            return Some(Bytes::from(format!("retry: {RETRY_MS}\n\n{}", beat())));
        }
        loop {
            let at = self.resynced.map_or_else(Instant::now, |at| at + RESYNC_PAUSE);
            let told = tokio::select! {
                biased;
                () = self.visit.over() => return None,
                () = sleep_until(at), if self.resync.is_some() => {
                    self.resynced = Some(Instant::now());
                    Some(("resync", json!({"missed": self.resync.take()})))
                }
                change = self.changes.recv() => match change {
                    Ok(change) => self.changed(&change),
                    Err(RecvError::Lagged(missed)) => self.missed(missed),
                    Err(RecvError::Closed) => return None,
                },
                event = self.events.recv() => match event {
                    Ok(event) => Some(render(&event, &self.state)),
                    Err(RecvError::Lagged(missed)) => self.missed(missed),
                    Err(RecvError::Closed) => return None,
                },
                _ = self.beat.tick() => return Some(Bytes::from(beat())),
            };
            if let Some((name, data)) = told {
                return Some(frame(name, &data));
            }
        }
    }

    /// Everything is to be read anew, soon and once for many changes.
    fn missed(&mut self, missed: u64) -> Option<Told> {
        self.resync = Some(self.resync.unwrap_or(0).saturating_add(missed));
        None
    }

    /// Name and data of a change of the store, as described in `openapi.json`; nothing of a trigger that has not ended.
    fn changed(&mut self, change: &Change) -> Option<Told> {
        match change {
            Change::Image(image) => Some(("image", shape::image(image))),
            Change::ImageChanged(image) => Some(("changed", shape::image(image))),
            Change::Upload { filename, upload } => Some(("upload", shape::changed_upload(filename, upload))),
            Change::Deleted(names) => Some(("deleted", json!({"filenames": names}))),
            Change::Missing(names) => Some(("missing", json!({"filenames": names}))),
            Change::Trigger(entry) if entry.outcome.is_none() => None,
            Change::Trigger(entry) => Some(("trigger", shape::event(entry))),
            Change::Seen { up_to, unseen } => Some(("seen", json!({"up_to": up_to.get(), "unseen": unseen}))),
            Change::Many => self.missed(0),
        }
    }
}

/// Name and data of an event, as described in `openapi.json`.
fn render(event: &Event, state: &State) -> Told {
    match event {
        Event::Contact(line) => ("contact", shape::line(line)),
        Event::Contacts(gpio) => ("contacts", shape::gpio(gpio)),
        Event::Camera(camera) => ("camera", shape::camera(camera)),
        Event::Target(target) => {
            let mut data = shape::target(target);
            // Whether all deliveries go well, beside how this one stands.
            data["all_online"] = json!(state.status.is_online());
            ("connectivity", data)
        }
        Event::Clock(clock) => ("clock", shape::clock(clock)),
        Event::Storage(storage) => ("storage", shape::storage(storage, None)),
        Event::Alarms(alarms) => ("alarms", json!({"alarms": shape::alarms(alarms)})),
    }
}

fn beat() -> String {
    let now = clock::now();
    text("beat", &json!({"now": now.rfc3339(), "now_ms": now.0}))
}

/// JSON has no line breaks of its own, so one `data` line holds it.
fn text(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

fn frame(name: &str, data: &Value) -> Bytes {
    Bytes::from(text(name, data))
}
