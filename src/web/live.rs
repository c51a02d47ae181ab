//! Changes as server-sent events (HTML Living Standard section 9.2).
//!
//! A browser that lags behind is told to read everything anew (`resync`); a session that ends takes its streams along.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Interval;

use super::error::ApiError;
use super::guard::admitted;
use super::query::Query;
use super::visit::{Place, Visit, interval};
use super::{State, json as shape};
use crate::clock;
use crate::status::Event;

/// So often the browser hears that all is well, whatever else there is: it knows by the silence that the connection or
/// this machine is frozen, and proxies keep the connection. A comment would do for them, but no page is told of one.
const BEAT: Duration = Duration::from_secs(10);

/// The browser comes back after this when the connection was lost.
const RETRY_MS: u32 = 2_000;

struct Stream {
    state: web::Data<State>,
    visit: Visit,
    events: broadcast::Receiver<Event>,
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
        events: state.status.subscribe(),
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
        tokio::select! {
            biased;
            () = self.visit.over() => None,
            event = self.events.recv() => match event {
                Ok(event) => {
                    let (name, data) = render(&event, &self.state);
                    Some(frame(name, &data))
                }
                Err(RecvError::Lagged(missed)) => Some(frame("resync", &json!({"missed": missed}))),
                Err(RecvError::Closed) => None,
            },
            _ = self.beat.tick() => Some(Bytes::from(beat())),
        }
    }
}

/// Name and data of an event, as described in `openapi.json`.
fn render(event: &Event, state: &State) -> (&'static str, Value) {
    match event {
        Event::Image(image) => ("image", shape::image(image)),
        Event::Trigger(entry) => ("trigger", shape::event(entry)),
        Event::Upload { filename, target, state, error } => {
            ("upload", shape::upload(filename, *target, *state, error.as_deref()))
        }
        Event::Contact(line) => ("contact", shape::line(line)),
        Event::Contacts(gpio) => ("contacts", shape::gpio(gpio)),
        Event::Seen { up_to, unseen } => ("seen", json!({"up_to": up_to, "unseen": unseen})),
        Event::Camera(camera) => ("camera", shape::camera(camera)),
        Event::Target(target) => {
            let mut data = shape::target(target);
            // Whether all deliveries go well, beside how this one stands.
            data["all_online"] = json!(state.status.is_online());
            ("connectivity", data)
        }
        Event::Deleted(names) => ("deleted", json!({"filenames": names})),
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
