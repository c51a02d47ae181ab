//! Changes as server-sent events (HTML Living Standard section 9.2): those the store has committed, and those of what is
//! shown beyond it.
//!
//! A browser that lags behind is told to read everything anew (`resync`); a session that ends takes its streams along.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, sleep_until};

use super::State;
use super::code::ErrorCode;
use super::error::ApiError;
use super::query::Query;
use super::route::Shape;
use super::view::camera::CameraView;
use super::view::change::{AlarmList, Beat, FileNames, Resync, SeenChange};
use super::view::contact::{GpioView, LineView};
use super::view::event::EventView;
use super::view::image::ImageView;
use super::view::status::{AlarmView, ClockView};
use super::view::storage::StorageView;
use super::view::target::TargetChange;
use super::view::text;
use super::view::time::Time;
use super::view::upload::UploadChange;
use super::visit::{StreamPermit, Visit, interval};
use super::who::admitted;
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
    _place: StreamPermit,
}

pub(super) async fn stream(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    Query::of(&request, &[])?;
    let place = state.streams.take(&admitted(&request)?).ok_or_else(|| {
        ApiError::new(ErrorCode::TooManyStreams, "too many dashboards are open at the same time; close one")
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
            return Some([format!("retry: {RETRY_MS}\n\n").as_bytes(), &beat()].concat().into());
        }
        loop {
            let at = self.resynced.map_or_else(Instant::now, |at| at + RESYNC_PAUSE);
            let told = tokio::select! {
                biased;
                () = self.visit.over() => return None,
                () = sleep_until(at), if self.resync.is_some() => {
                    self.resynced = Some(Instant::now());
                    self.resync.take().map(|missed| frame("resync", &Resync { missed }))
                }
                change = self.changes.recv() => match change {
                    Ok(change) => self.changed(change),
                    Err(RecvError::Lagged(missed)) => self.missed(missed),
                    Err(RecvError::Closed) => return None,
                },
                event = self.events.recv() => match event {
                    Ok(event) => Some(render(event, &self.state)),
                    Err(RecvError::Lagged(missed)) => self.missed(missed),
                    Err(RecvError::Closed) => return None,
                },
                _ = self.beat.tick() => return Some(beat()),
            };
            if told.is_some() {
                return told;
            }
        }
    }

    /// Everything is to be read anew, soon and once for many changes.
    fn missed(&mut self, missed: u64) -> Option<Bytes> {
        self.resync = Some(self.resync.unwrap_or(0).saturating_add(missed));
        None
    }

    /// A change of the store, by its name in [`EVENTS`]; nothing of a trigger that has not ended.
    fn changed(&mut self, change: Change) -> Option<Bytes> {
        Some(match change {
            Change::Image(image) => frame("image", &ImageView::from(*image)),
            Change::ImageChanged(image) => frame("changed", &ImageView::from(*image)),
            Change::Upload { filename, upload } => frame("upload", &UploadChange::of(filename, *upload)),
            Change::Deleted(filenames) => frame("deleted", &FileNames { filenames }),
            Change::Missing(filenames) => frame("missing", &FileNames { filenames }),
            Change::Trigger(entry) => {
                entry.outcome?;
                frame("trigger", &EventView::from(*entry))
            }
            Change::Seen { up_to, unseen } => frame("seen", &SeenChange { up_to: up_to.get(), unseen }),
            Change::Many => return self.missed(0),
        })
    }
}

/// Every event by its name, and what it carries.
pub(super) const EVENTS: &[(&str, Shape)] = &[
    ("image", Shape::of::<ImageView>()),
    ("changed", Shape::of::<ImageView>()),
    ("trigger", Shape::of::<EventView>()),
    ("upload", Shape::of::<UploadChange>()),
    ("contact", Shape::of::<LineView>()),
    ("contacts", Shape::of::<GpioView>()),
    ("seen", Shape::of::<SeenChange>()),
    ("camera", Shape::of::<CameraView>()),
    ("connectivity", Shape::of::<TargetChange>()),
    ("deleted", Shape::of::<FileNames>()),
    ("missing", Shape::of::<FileNames>()),
    ("clock", Shape::of::<ClockView>()),
    ("storage", Shape::of::<StorageView>()),
    ("alarms", Shape::of::<AlarmList>()),
    ("resync", Shape::of::<Resync>()),
    ("beat", Shape::of::<Beat>()),
];

/// A change as a browser is told of it, by its name in [`EVENTS`].
fn render(event: Event, state: &State) -> Bytes {
    match event {
        Event::Contact(line) => frame("contact", &LineView::from(line)),
        Event::Contacts(gpio) => frame("contacts", &GpioView::from(gpio)),
        Event::Camera(camera) => frame("camera", &CameraView::from(*camera)),
        // Whether all deliveries go well, beside how this one stands.
        Event::Target(target) => frame(
            "connectivity",
            &TargetChange { target: (*target).into(), all_online: state.status.is_online() },
        ),
        Event::Clock(clock) => frame("clock", &ClockView::from(&clock)),
        Event::Storage(storage) => frame("storage", &StorageView::of(*storage, None)),
        Event::Alarms(alarms) => {
            frame("alarms", &AlarmList { alarms: alarms.into_iter().map(AlarmView::from).collect() })
        }
    }
}

fn beat() -> Bytes {
    let now = clock::now();
    frame("beat", &Beat { now: Time(now), now_ms: now.0 })
}

/// JSON has no line breaks of its own, so one `data` line holds it.
fn frame(name: &str, data: &impl Serialize) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {}\n\n", text(data)))
}
