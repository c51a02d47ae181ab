//! `/streaming/ws-stream`: pictures over a WebSocket, as text that is the `src` of an `<img>`, or as bytes on request.
//!
//! After each picture goes a ping, and who has not answered two is sent nothing more: a slow viewer misses pictures.

use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{CloseCode, CloseReason, Message, MessageStream, Session};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout};

use crate::capture::SlotPictures;
use crate::web::State;
use crate::web::code::ErrorCode;
use crate::web::error::ApiError;
use crate::web::parameters;
use crate::web::query::Query;
use crate::web::visit::{STALLED, StreamPermit, Visit, interval};

/// What a picture as text begins with; clients look for exactly this.
const DATA_URL: &str = "data:image/jpeg;base64,";

/// The protocol that a client names before its token, and is answered with.
pub(super) const PROTOCOL: &str = "bearer";

/// Pictures that may be on their way at once.
const PICTURES_MAX: u32 = 2;

/// A viewer is asked this often whether they are still there, whatever the camera does.
const STILL_THERE: Duration = Duration::from_secs(10);

/// Viewers have nothing to say but pongs.
const MESSAGE_MAX: usize = 1024;

/// What a viewer has to know.
pub(in crate::web) const ABOUT: &str = "Each text message is a picture, data:image/jpeg;base64,…; with format=binary each \
                                          binary message is one. After each comes a ping; a viewer who leaves two \
                                          unanswered misses what comes meanwhile, one who is silent for 15 s is dropped. \
                                          Close codes: 1008 the session has ended, 1001 the camera was disconnected or the \
                                          program ends. A token may also come as new WebSocket(url, ['bearer', token]), or as \
                                          ?token=.";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Binary,
}

pub(in crate::web) async fn open(
    request: HttpRequest,
    body: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, parameters::STREAM_SOCKET)?;
    let format = query.parsed("format", "text or binary", |text| match text {
        "text" => Some(Format::Text),
        "binary" => Some(Format::Binary),
        _ => None,
    })?;
    let (slot, _) = super::camera(&state)?;
    let visit = Visit::of(&request, &state)?;
    let place = super::mjpeg::place(&request, &state)?;
    let pictures = slot.pictures();
    let (mut response, session, messages) = actix_ws::handle(&request, body)
        .map_err(|_| ApiError::new(ErrorCode::WebsocketOnly, "this address is for a WebSocket"))?;
    let said = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|said| said.to_str().ok());
    if said.is_some_and(|said| said.split(',').any(|word| word.trim() == PROTOCOL)) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    let viewer = Viewer {
        session,
        pictures,
        format: format.unwrap_or(Format::Text),
        sent: 0,
        answered: 0,
        _place: place,
    };
    // It ends with the connection, or when the viewer answers nothing.
    actix_web::rt::spawn(viewer.serve(visit, messages.max_frame_size(MESSAGE_MAX)));
    Ok(response)
}

/// One viewer.
struct Viewer {
    session: Session,
    pictures: SlotPictures,
    format: Format,
    /// Pings sent after pictures, and the last one that was answered.
    sent: u32,
    answered: u32,
    _place: StreamPermit,
}

impl Viewer {
    async fn serve(mut self, mut visit: Visit, mut messages: MessageStream) {
        let mut still_there = interval(STILL_THERE);
        let mut heard = Instant::now();
        // Kept from turn to turn, so that an answer of the store is not asked for anew whenever something else happens.
        let over = visit.over();
        tokio::pin!(over);
        let why = loop {
            let is_open = self.sent.wrapping_sub(self.answered) < PICTURES_MAX;
            tokio::select! {
                () = &mut over => break (CloseCode::Policy, "the session has ended, or the program does"),
                message = messages.recv() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(Message::Pong(number))) => self.hear(&number),
                        Some(Ok(Message::Ping(bytes))) => {
                            if timeout(STALLED, self.session.pong(&bytes)).await.is_err() {
                                return;
                            }
                        }
                        Some(Ok(Message::Close(_))) => break (CloseCode::Normal, ""),
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return,
                    }
                }
                () = sleep_until(heard + STALLED) => return,
                _ = still_there.tick() => if self.ping().await.is_none() { return },
                jpeg = self.pictures.next(), if is_open => match jpeg {
                    Some(jpeg) => if self.send(jpeg).await.is_none() { return },
                    None => break (CloseCode::Away, "the camera was disconnected"),
                },
            }
        };
        let reason =
            CloseReason { code: why.0, description: Some(why.1.to_owned()).filter(|text| !text.is_empty()) };
        // Whoever has gone needs no good-bye.
        let _ = timeout(STALLED, self.session.close(Some(reason))).await;
    }

    /// `None` when the viewer has gone or takes nothing.
    async fn send(&mut self, jpeg: Bytes) -> Option<()> {
        match self.format {
            Format::Binary => timeout(STALLED, self.session.binary(jpeg)).await.ok()?.ok()?,
            Format::Text => {
                let mut text = String::with_capacity(DATA_URL.len() + jpeg.len().div_ceil(3) * 4);
                text.push_str(DATA_URL);
                STANDARD.encode_string(&jpeg, &mut text);
                timeout(STALLED, self.session.text(text)).await.ok()?.ok()?;
            }
        }
        self.sent = self.sent.wrapping_add(1);
        self.ping().await
    }

    async fn ping(&mut self) -> Option<()> {
        timeout(STALLED, self.session.ping(&self.sent.to_be_bytes())).await.ok()?.ok()
    }

    /// An answered ping answers those before it. What was never sent answers nothing.
    fn hear(&mut self, number: &[u8]) {
        let Ok(number) = number.try_into().map(u32::from_be_bytes) else { return };
        if self.sent.wrapping_sub(number) <= self.sent.wrapping_sub(self.answered) {
            self.answered = number;
        }
    }
}
