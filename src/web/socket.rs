//! The live picture over a WebSocket (RFC 6455): the camera's own video as fragmented MP4, or pictures as JPEG.
//!
//! A text message says what follows, then each binary message is a piece of it; when the stream changes, another text
//! message comes first. After each piece goes a ping, and a viewer who has not answered some is sent nothing more, so that
//! a slow one misses pictures instead of seeing old ones, and holds up nobody.

use std::collections::VecDeque;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{CloseCode, CloseReason, Message, MessageStream, Session};
use bytes::Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until, timeout};

use super::State;
use super::code::ErrorCode;
use super::error::ApiError;
use super::parameters;
use super::query::{Query, camera_of};
use super::view::camera::StreamNews;
use super::view::text;
use super::visit::{STALLED, StreamPermit, Visit, interval, why_away, wish};
use crate::capture::live::{Arrival, LivePictures, Watch, Wish};
use crate::media::fmp4::{Muxer, Part};
use crate::media::gop::Codec;
use crate::media::jpeg;
use crate::model::CameraKey;

/// Fragments and bytes that may be on their way at once: half a second of 25 pictures, a keyframe of 16 Mbit/s.
const FRAGMENTS_MAX: u32 = 12;
const BYTES_MAX: usize = 512 * 1024;

/// Pictures that may be on their way at once: none of them is needed for the next one, and what waits is old.
const PICTURES_MAX: u32 = 3;

/// A camera that has sent nothing for so long is away. A session is opened again within a second or two.
const AWAY: Duration = Duration::from_secs(8);

/// A viewer is asked this often whether they are still there, whatever the camera does.
const STILL_THERE: Duration = Duration::from_secs(10);

/// Viewers have nothing to say but pongs.
const MESSAGE_MAX: usize = 1024;

/// What a viewer has to know.
pub(super) const ABOUT: &str = "A text message {codec, mime, width, height} says what the binary messages after it are; another \
                                one comes before the stream changes. video/mp4 (H.264, H.265): an initialization segment, then \
                                a fragment a picture, from the current keyframe on, for Media Source Extensions. image/jpeg \
                                (format=jpeg, and cameras that send JPEG): a picture each. After each piece comes a ping; a \
                                viewer who leaves 12 fragments, 3 pictures or 512 KiB unanswered misses what comes meanwhile, \
                                one who is silent for 15 s is dropped. Close codes: 1008 the session has ended, 1013 the camera \
                                is away (the reason says why; come again), 1001 the program ends. A browser must be on a page \
                                of this server (Origin).";

/// What a viewer is sent.
enum Piece {
    /// What follows.
    About(String),
    /// Initialization segment or fragment.
    Fragment(Bytes),
    /// A JPEG.
    Picture(Bytes),
}

/// Where pieces come from.
enum Supply {
    /// The stream as the camera sends it.
    Stream { watch: Box<Watch>, group: std::vec::IntoIter<Arrival>, muxer: Muxer, size: (u32, u32) },
    /// Pictures, decoded for all viewers together.
    Pictures { pictures: LivePictures, wish: Wish, size: (u32, u32) },
}

/// What has been sent and not yet been answered.
#[derive(Debug)]
struct Window {
    /// How many pieces may be on their way.
    pieces_max: u32,
    sent: u32,
    answered: u32,
    /// Bytes of each piece on its way, the oldest first.
    on_the_way: VecDeque<usize>,
}

/// One viewer.
struct Viewer {
    camera: CameraKey,
    state: web::Data<State>,
    session: Session,
    window: Window,
    _place: StreamPermit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Mp4,
    Jpeg,
}

pub(super) async fn open(
    request: HttpRequest,
    body: web::Payload,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let camera = camera_of(&request)?;
    let query = Query::of(&request, parameters::LIVE_SOCKET)?;
    let format = query.parsed("format", "fmp4 or jpeg", |text| match text {
        "fmp4" => Some(Format::Mp4),
        "jpeg" => Some(Format::Jpeg),
        _ => None,
    })?;
    let wish = wish(&query)?;
    let supply = match format.unwrap_or(Format::Mp4) {
        Format::Mp4 => Supply::of(state.captures.watch(&camera).await?),
        Format::Jpeg => {
            Supply::Pictures { pictures: state.captures.pictures(&camera).await?, wish, size: (0, 0) }
        }
    };
    let visit = Visit::of(&request, &state)?;
    let place = state.viewers.place(&request, &camera)?;
    let (response, session, messages) = actix_ws::handle(&request, body)
        .map_err(|_| ApiError::new(ErrorCode::WebsocketOnly, "this address is for a WebSocket"))?;
    let viewer = Viewer { camera, state, session, window: Window::new(), _place: place };
    // It ends with the connection, or when the viewer answers nothing.
    actix_web::rt::spawn(viewer.serve(visit, supply, messages.max_frame_size(MESSAGE_MAX)));
    Ok(response)
}

impl Supply {
    fn of(mut watch: Watch) -> Self {
        let group: Vec<_> = watch
            .begin
            .take()
            .into_iter()
            .flat_map(|group| group.units.into_iter().map(move |unit| Arrival { codec: group.codec, unit }))
            .collect();
        Self::Stream {
            watch: Box::new(watch),
            group: group.into_iter(),
            muxer: Muxer::default(),
            size: (0, 0),
        }
    }

    /// The next pieces, and the supply itself; `None` when the program ends. Waits while the camera is away.
    async fn next(mut self) -> (Self, Option<Vec<Piece>>) {
        let pieces = match &mut self {
            Self::Pictures { pictures, wish, size } => {
                pictures.next(*wish).await.map(|jpeg| picture(size, jpeg))
            }
            Self::Stream { watch, group, muxer, size } => loop {
                let arrival = match group.next() {
                    Some(arrival) => Ok(arrival),
                    None => watch.units.recv().await,
                };
                let pieces = match arrival {
                    // Of pictures that stand alone the newest is enough.
                    Ok(Arrival { codec: Codec::Jpeg, .. }) if !watch.units.is_empty() => continue,
                    Ok(Arrival { codec: Codec::Jpeg, unit }) => picture(size, Bytes::from_owner(unit.data)),
                    Ok(Arrival { codec, unit }) => {
                        *size = (0, 0);
                        muxer.push(codec, &unit).into_iter().flat_map(piece).collect()
                    }
                    Err(RecvError::Lagged(_)) => {
                        muxer.break_off();
                        continue;
                    }
                    Err(RecvError::Closed) => break None,
                };
                if !pieces.is_empty() {
                    break Some(pieces);
                }
            },
        };
        (self, pieces)
    }
}

/// A JPEG, after a word about it if its size is new.
fn picture(known: &mut (u32, u32), bytes: Bytes) -> Vec<Piece> {
    let Ok(size) = jpeg::inspect(&bytes) else { return Vec::new() };
    let mut pieces = Vec::new();
    if std::mem::replace(known, size) != size {
        pieces.push(about("jpeg", "image/jpeg", size));
    }
    pieces.push(Piece::Picture(bytes));
    pieces
}

fn piece(part: Part) -> Vec<Piece> {
    match part {
        Part::Begin(description, bytes) => {
            let mime = format!("video/mp4; codecs=\"{}\"", description.codec);
            let about = about(&description.codec, &mime, (description.width, description.height));
            vec![about, Piece::Fragment(bytes.into())]
        }
        Part::Fragment(bytes) => vec![Piece::Fragment(bytes.into())],
    }
}

fn about(codec: &str, mime: &str, (width, height): (u32, u32)) -> Piece {
    Piece::About(text(&StreamNews { codec, mime, width, height }))
}

impl Viewer {
    async fn serve(mut self, mut visit: Visit, supply: Supply, mut messages: MessageStream) {
        let mut still_there = interval(STILL_THERE);
        let (mut heard, mut shown) = (Instant::now(), Instant::now());
        // Kept from turn to turn, so that neither an answer of the store nor what is being encoded is asked for anew
        // whenever something else happens.
        let over = visit.over();
        tokio::pin!(over);
        let mut coming = Box::pin(supply.next());
        let why = loop {
            tokio::select! {
                () = &mut over => break (CloseCode::Policy, "the session has ended, or the program does".to_owned()),
                message = messages.recv() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(Message::Pong(number))) => self.window.answered(&number),
                        Some(Ok(Message::Ping(bytes))) => {
                            if timeout(STALLED, self.session.pong(&bytes)).await.is_err() {
                                return;
                            }
                        }
                        Some(Ok(Message::Close(_))) => break (CloseCode::Normal, String::new()),
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return,
                    }
                }
                () = sleep_until(heard + STALLED) => return,
                _ = still_there.tick() => if self.ping(0).await.is_none() { return },
                () = sleep_until(shown + AWAY), if self.window.is_open() => {
                    break (CloseCode::Again, why_away(&self.state, &self.camera));
                }
                (supply, pieces) = &mut coming, if self.window.is_open() => {
                    let Some(pieces) = pieces else { break (CloseCode::Away, "the program ends".to_owned()) };
                    for piece in pieces {
                        if self.send(piece).await.is_none() {
                            return;
                        }
                    }
                    shown = Instant::now();
                    coming = Box::pin(supply.next());
                }
            }
        };
        let reason = CloseReason { code: why.0, description: Some(why.1).filter(|text| !text.is_empty()) };
        // Whoever has gone needs no good-bye.
        let _ = timeout(STALLED, self.session.close(Some(reason))).await;
    }

    /// `None` when the viewer has gone or takes nothing.
    async fn send(&mut self, piece: Piece) -> Option<()> {
        let (bytes, pieces_max) = match piece {
            Piece::About(text) => return timeout(STALLED, self.session.text(text)).await.ok()?.ok(),
            Piece::Fragment(bytes) => (bytes, FRAGMENTS_MAX),
            Piece::Picture(bytes) => (bytes, PICTURES_MAX),
        };
        self.window.pieces_max = pieces_max;
        let size = bytes.len();
        timeout(STALLED, self.session.binary(bytes)).await.ok()?.ok()?;
        self.ping(size).await
    }

    async fn ping(&mut self, bytes: usize) -> Option<()> {
        let number = self.window.sent(bytes).to_be_bytes();
        timeout(STALLED, self.session.ping(&number)).await.ok()?.ok()
    }
}

impl Window {
    fn new() -> Self {
        Self { pieces_max: FRAGMENTS_MAX, sent: 0, answered: 0, on_the_way: VecDeque::new() }
    }

    /// Notes a piece and returns its number.
    fn sent(&mut self, bytes: usize) -> u32 {
        self.sent = self.sent.wrapping_add(1);
        self.on_the_way.push_back(bytes);
        self.sent
    }

    /// The viewer has this piece and those before it. Numbers of pieces that are not on their way are ignored.
    fn answered(&mut self, number: &[u8]) {
        let Ok(number) = <[u8; 4]>::try_from(number) else { return };
        let count = u32::from_be_bytes(number).wrapping_sub(self.answered);
        let Ok(place) = usize::try_from(count) else { return };
        if place <= self.on_the_way.len() {
            self.on_the_way.drain(..place);
            self.answered = self.answered.wrapping_add(count);
        }
    }

    /// Whether more may be sent.
    fn is_open(&self) -> bool {
        self.sent.wrapping_sub(self.answered) < self.pieces_max
            && self.on_the_way.iter().sum::<usize>() < BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_who_answers_nothing_is_sent_nothing_more() {
        let mut window = Window::new();
        for _ in 0..FRAGMENTS_MAX {
            assert!(window.is_open());
            window.sent(1000);
        }
        assert!(!window.is_open());
        window.answered(&3_u32.to_be_bytes());
        assert!(window.is_open());
    }

    #[test]
    fn one_large_piece_closes_the_window_until_it_has_arrived() {
        let mut window = Window::new();
        let number = window.sent(BYTES_MAX);
        assert!(!window.is_open());
        // What a viewer makes up changes nothing.
        window.answered(&7_u32.to_be_bytes());
        window.answered(b"whatever");
        assert!(!window.is_open());
        window.answered(&number.to_be_bytes());
        window.answered(&number.to_be_bytes());
        assert!(window.is_open());
    }
}
