//! RTSP cameras (RFC 2326): one warm session, the newest groups of pictures kept undecoded.
//!
//! Nothing is decoded here. A session costs a fraction of a percent of a core and the bytes of two groups of pictures;
//! a request gets the access units from the IDR to the frame nearest to its instant.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use retina::client::{
    PlayOptions, Playing, Session, SessionOptions, SetupOptions, TcpTransportOptions, TeardownPolicy,
    Transport as RtpTransport,
};
use tokio::time::{timeout, timeout_at};
use tracing::{debug, info};
use url::Url;

use super::front::description::{Media, NoVideo};
use super::front::keepalive::SessionHabits;
use super::front::{Front, FrontFault, Item, Named, Stale, wire};
use super::latency::Latency;
use super::rtp::marker::Markers;
use super::rtp::{Described, Unit};
use super::rtsp_stream::{StreamState, nanoseconds};
use super::{Requests, SourceError};
use crate::clock;
use crate::config::{CameraConfig, CameraEngine, ClockSource, RtspConfig, shown_url};
use crate::media::arrival_rate::Patience;
use crate::media::footprint::{self, TooLarge};
use crate::media::gop::{AccessUnit, Codec};
use crate::media::shelf::Shelf;
use crate::media::timeline::Placed;
use crate::media::unit;
use crate::model::{CameraFault, CameraKey, foreign};
use crate::status::{CameraState, Status};

/// From the first packet to the first byte of video promised. Slow cameras take five seconds after a reboot.
const OPEN_DEADLINE: Duration = Duration::from_secs(8);

/// The same for a camera that accepted connections and did not get that far: it is given twice as long each time, up to
/// this. Four answers that take ten seconds each lead to a picture, too.
const OPEN_DEADLINE_MAX: Duration = Duration::from_secs(60);

/// How long a broken session is waited for to be torn down before the next one is opened.
const TEARDOWN_LIMIT: Duration = Duration::from_secs(2);

/// How long the question whether a camera wants TLS may take.
const TLS_LIMIT: Duration = Duration::from_secs(2);

/// A session whose pictures all lack a part for so long gives nothing good.
const NO_WHOLE_LIMIT: Duration = Duration::from_secs(15);

/// Of the words of a camera or the library so many characters are shown.
const WORDS_MAX: usize = 200;

/// So often a camera may send us on to another address of its own.
const MOVES_MAX: usize = 3;

/// How far back a trigger may ask, beyond its configured offset: debounce, a busy machine, a camera's own delay.
const REACH: Duration = Duration::from_secs(2);

/// Of H.264, H.265 and JPEG (RFC 6184, 7798 and 2435).
const CLOCK_RATE: NonZeroU32 = NonZeroU32::new(90_000).expect("not zero");

/// One RTSP camera.
pub struct Rtsp {
    number: u8,
    key: CameraKey,
    config: RtspConfig,
    reach: Duration,
    /// Inside the camera, before the first packet leaves.
    latency: Latency,
    clock: ClockSource,
    /// The session that broke last, if it is still to be torn down.
    stale: Option<Stale>,
    /// Whether it wants TLS where we do not, once that was asked.
    tls_asked: Option<bool>,
    /// How long the next session may take to open.
    patience: Duration,
    /// What the camera's markers were worth.
    markers: Markers,
    /// What its sessions live by.
    habits: SessionHabits,
    /// How long it may send nothing.
    silence: Patience,
    status: Status,
    /// Where the newest pictures of all cameras lie.
    streams: Shelf,
}

/// What a session gives.
#[derive(Clone, Copy)]
struct Video {
    codec: Codec,
    /// Ticks of RTP time in a second.
    clock_rate: NonZeroU32,
}

impl Rtsp {
    /// A camera; `earliest` is how far before an edge its pictures reach. Nothing is contacted yet.
    pub fn new(
        camera: &CameraConfig,
        config: RtspConfig,
        earliest: Duration,
        status: Status,
        streams: Shelf,
    ) -> Self {
        let (number, key) = (camera.number, camera.key.clone());
        let CameraEngine { latency, clock, .. } = camera.engine;
        let latency = Latency::new(latency);
        Self {
            number,
            key,
            config,
            reach: REACH + earliest,
            latency,
            clock,
            stale: None,
            tls_asked: None,
            patience: OPEN_DEADLINE,
            markers: Markers::default(),
            habits: SessionHabits::default(),
            silence: Patience::default(),
            status,
            streams,
        }
    }

    /// What is taken off for the way inside the camera, to be changed at any time.
    pub fn latency(&self) -> Latency {
        self.latency.clone()
    }

    /// Opens a session and serves requests until it breaks.
    pub async fn serve(&mut self, requests: &mut Requests) -> SourceError {
        let reason = self.status.camera(&self.key).and_then(|camera| camera.last_error);
        let reason =
            reason.unwrap_or_else(|| CameraFault::Connecting { address: self.address() }).to_string();
        let opened = {
            let opening = self.open();
            tokio::pin!(opening);
            loop {
                tokio::select! {
                    opened = &mut opening => break opened,
                    _ = requests.next(None) => requests.expire(Instant::now(), &reason),
                }
            }
        };
        let (video, mut front) = match opened {
            Ok(opened) => opened,
            Err(error) => return error,
        };
        let began = Instant::now();
        let error = self.play(video, &mut front, requests).await;
        self.habits = front.habits(Some(began.elapsed()));
        self.markers = front.markers();
        // Who exceeded a bound is left where he is.
        self.stale = (!error.is_refusal).then(|| front.into_stale());
        error
    }

    /// Takes in what a session gives and answers requests, until nothing good comes any more.
    async fn play(&mut self, video: Video, front: &mut Front, requests: &mut Requests) -> SourceError {
        let mut stream = StreamState::new(video.codec, self.reach + self.latency.get(), &self.streams);
        stream.latency = self.latency.get();
        loop {
            let silence = self.silence.limit(stream.timeline.rate());
            let limit = (stream.last_frame + silence).min(stream.last_whole + NO_WHOLE_LIMIT.max(silence));
            tokio::select! {
                item = front.next() => match item {
                    Ok(Item::Unit(unit)) => {
                        // Before anything is kept or decoded of it.
                        if let Err(error) = footprint::of(video.codec, &unit.picture.data) {
                            return self.too_large(error);
                        }
                        if let Some(unit) = self.take(&mut stream, video, unit) {
                            requests.show(&stream.gops, &unit);
                        }
                        requests.answer(&stream.gops);
                    }
                    Ok(Item::Report { ticks, ntp }) => {
                        let rtp_ns = nanoseconds(ticks, video.clock_rate);
                        stream.clock.take(rtp_ns, ntp, Instant::now(), clock::now());
                    }
                    Err(fault) => return self.say(&fault),
                },
                () = tokio::time::sleep_until(limit.into()) => {
                    if Instant::now() < stream.last_frame + silence {
                        return self.only_damaged(NO_WHOLE_LIMIT.max(silence));
                    }
                    self.silence.after_silence(stream.timeline.rate());
                    return self.no_picture(front, silence);
                }
                _ = requests.next(Some(&mut stream.gops)) => {
                    requests.answer(&stream.gops);
                    requests.settle(&stream.gops, Instant::now());
                    requests.expire(Instant::now(), &stream.reason(self.address()).to_string());
                }
            }
        }
    }

    fn no_picture(&self, front: &Front, silence: Duration) -> SourceError {
        let (address, seconds) = (self.address(), silence.as_secs());
        if front.has_no_size() {
            return refusal(CameraFault::JpegSizeUnknown { address });
        }
        if front.is_without_datagrams() {
            return self.say(&FrontFault::NoDatagrams);
        }
        fault(CameraFault::NoPicture { address, seconds })
    }

    fn only_damaged(&self, span: Duration) -> SourceError {
        fault(CameraFault::OnlyDamaged { address: self.address(), seconds: span.as_secs() })
    }

    fn too_large(&self, error: TooLarge) -> SourceError {
        let (address, number) = (self.address(), u64::from(self.number));
        refusal(CameraFault::PictureTooLarge { address, number, error: error.to_string(), snapshot: false })
    }

    /// Host and port, for people.
    fn address(&self) -> String {
        format!("{}:{}", self.host(), self.config.port())
    }

    /// Opens a session, in the time that this camera is given. Tears down the one before it first: a camera that allows
    /// one session refuses the next one until it has forgotten the one that broke.
    async fn open(&mut self) -> Result<(Video, Front), SourceError> {
        if let Some(stale) = &mut self.stale
            && timeout(TEARDOWN_LIMIT, stale.tear_down()).await == Ok(true)
        {
            self.stale = None;
        }
        let mut until = tokio::time::Instant::now() + self.patience;
        let (mut config, mut moves) = (self.config.clone(), 0);
        let (error, front) = loop {
            let mut front = match timeout_at(until, Front::open(&config)).await {
                Ok(Ok(front)) => front,
                Ok(Err(fault)) => return Err(self.say(&fault)),
                Err(_) => return Err(self.silent()),
            };
            front.know(self.habits);
            if let Some(stale) = &mut self.stale {
                let began = Instant::now();
                if timeout(TEARDOWN_LIMIT, stale.tear_down_anew()).await == Ok(true) {
                    self.stale = None;
                }
                until += began.elapsed();
            }
            let error = match timeout_at(until, self.begin(&mut front, &config.url)).await {
                Ok(Ok(video)) => return Ok((video, front)),
                Ok(Err(_)) if self.wants_tls(&front).await => {
                    self.say(&FrontFault::Wire(wire::WireExcess::Tls))
                }
                Ok(Err(error)) => error,
                Err(_) => self.slow(),
            };
            self.habits = front.habits(None);
            // Over a connection of its own, as other programs do it: few servers go on with the old one.
            match front.moved(&config.url).filter(|_| moves < MOVES_MAX) {
                Some(url) => (config.url, moves) = (url, moves + 1),
                None => break (error, front),
            }
        };
        if !error.is_refusal && self.stale.is_none() {
            self.stale = Some(front.into_stale());
        }
        Err(error)
    }

    /// Whether a camera that hung up without a word wants TLS. Asked once: it may have hung up for another reason.
    async fn wants_tls(&mut self, front: &Front) -> bool {
        if front.has_heard() || self.config.is_tls() {
            return false;
        }
        if self.tls_asked.is_none() {
            self.tls_asked = Some(timeout(TLS_LIMIT, front.is_behind_tls()).await.unwrap_or(false));
        }
        self.tls_asked == Some(true)
    }

    /// Asks for video through a front. The library's part ends here.
    async fn begin(&self, front: &mut Front, url: &Url) -> Result<Video, SourceError> {
        let options = SessionOptions::default()
            // The front logs in, and tears down.
            .teardown(TeardownPolicy::Never)
            .user_agent(concat!("camera-capture/", env!("CARGO_PKG_VERSION")).to_owned());
        let url = front.url(url).map_err(|error| self.say(&FrontFault::Own(std::io::Error::other(error))))?;
        let mut session = self.beside(front, Session::describe(url, options)).await?;
        // The front has chosen one video, and the library knows of no other.
        let media = front.media().and_then(|media| Some((media.clone(), media.codec()?)));
        let Some((media, codec)) = media else {
            return Err(self.say(&FrontFault::NoVideo(NoVideo::Nothing)));
        };
        let clock_rate = NonZeroU32::new(media.clock_rate).unwrap_or(CLOCK_RATE);
        let Media { payload_type, sets, max_don_diff, size, .. } = media;
        let described = Described { codec, payload_type, sets, has_order: max_don_diff, size };
        front.expect(&described, self.markers);
        // However packets travel to the front, the library sees none.
        let transport = RtpTransport::Tcp(TcpTransportOptions::default());
        self.beside(front, session.setup(0, SetupOptions::default().transport(transport))).await?;
        let playing: Session<Playing> = self.beside(front, session.play(PlayOptions::default())).await?;
        drop(playing);
        front.release();
        Ok(Video { codec, clock_rate })
    }

    /// Awaits the library while the front hands on what it says and hears.
    async fn beside<T>(
        &self,
        front: &mut Front,
        step: impl Future<Output = Result<T, retina::Error>>,
    ) -> Result<T, SourceError> {
        tokio::select! {
            done = step => done.map_err(|error| self.explain(&error, front)),
            fault = front.run() => Err(self.say(&fault)),
        }
    }

    /// Takes in one picture; returns it if it is of use.
    fn take(&self, stream: &mut StreamState, video: Video, unit: Unit) -> Option<AccessUnit> {
        let now = Instant::now();
        let Unit { ticks, picture } = unit;
        let raw_ns = nanoseconds(ticks, video.clock_rate);
        stream.last_frame = now;
        stream.is_new = false;
        let Placed { stream_ns: rtp_ns, instant: sent, doubt, moved, restarted } =
            stream.timeline.push(raw_ns, picture.began_at);
        if restarted {
            debug!(camera = %self.key, "the camera restarted its time stamps");
        }
        if let Some(moved) = moved {
            stream.gops.move_back(moved);
        }
        if picture.is_after_loss || picture.is_damaged {
            debug!(camera = %self.key, "packets lost");
            stream.gops.break_off();
        }
        if picture.is_damaged {
            return None;
        }
        stream.last_whole = now;
        if picture.has_new_sets || stream.info.width == 0 {
            stream.describe(&picture.data);
        }
        let kind = unit::kind(stream.codec, &picture.data);
        let unit::Role { starts, is_disposable, is_leading } = stream.starts.role(stream.codec, kind, rtp_ns);
        if starts.is_some() {
            stream.measure();
        } else if let Some(frames) = &mut stream.group {
            *frames += 1;
        }
        let latency = self.latency.get();
        if self.clock == ClockSource::Arrival {
            stream.gops.shift(stream.latency, latency);
        }
        stream.latency = latency;
        let believed = stream.by_camera(raw_ns, sent).filter(|_| self.clock == ClockSource::Camera);
        let instant = believed.or_else(|| sent.checked_sub(latency)).unwrap_or(sent);
        let missing = stream.cadence.missing(rtp_ns);
        let data = picture.data.into();
        let unit = AccessUnit { rtp_ns, instant, data, starts, is_disposable, missing, is_leading, doubt };
        let is_of_use = stream.gops.push(unit.clone());
        stream.keyframes.take(now, starts.is_some(), is_of_use);
        if starts.is_some() {
            self.show_connected(stream);
        } else if stream.keyframes.are_missing(now) {
            self.status.update_camera(&self.key, |camera| {
                camera.state = CameraState::Degraded;
                camera.last_error = Some(stream.no_keyframe(self.address()));
            });
        } else if stream.has_new_stamps() && stream.gops.is_ready() {
            self.show_connected(stream);
        }
        is_of_use.then_some(unit)
    }

    fn show_connected(&self, stream: &StreamState) {
        let Some(was) = self.status.camera(&self.key) else { return };
        let was_away = was.state != CameraState::Connected;
        if !was_away && was.stream.as_ref() == Some(&stream.info) {
            return;
        }
        if was_away {
            let info = &stream.info;
            info!(codec = info.codec, width = info.width, height = info.height, "camera connected");
        }
        self.status.update_camera(&self.key, |camera| {
            camera.state = CameraState::Connected;
            camera.last_error = None;
            camera.stream = Some(stream.info.clone());
        });
    }

    /// Says for people that the library ended a session. What a camera says the front has read before, so there is
    /// nothing in it that anybody but its programmers could use.
    fn explain(&self, error: &retina::Error, front: &Front) -> SourceError {
        // The library adds a dump of the connection after an empty line; the first line says it all.
        let text = error.to_string();
        // It knows the camera by our address.
        let text = match front.url(&self.config.url) {
            Ok(own) => text.replace(own.as_str(), &shown_url(&self.config.url)),
            Err(_) => text,
        };
        let first = foreign::line(text.lines().next().unwrap_or_default(), WORDS_MAX);
        debug!(camera = %self.key, error = first, "RTSP error");
        // The library sees no more than that its connection ended.
        match front.end() {
            Some(fault) => self.say(fault),
            None => fault(CameraFault::SessionFailed { address: self.address() }),
        }
    }

    fn host(&self) -> &str {
        self.config.url.host_str().unwrap_or("?")
    }

    /// Says for people why the front ended the session.
    fn say(&self, fault: &FrontFault) -> SourceError {
        debug!(camera = %self.key, ?fault, "session ended");
        fault.say(&Named { address: &self.address(), host: self.host(), number: self.number })
    }

    /// Nothing answered in time: it gets the usual time the next time.
    fn silent(&mut self) -> SourceError {
        let seconds = self.patience.as_secs();
        self.patience = OPEN_DEADLINE;
        fault(CameraFault::NoAnswer { address: self.address(), seconds: Some(seconds) })
    }

    /// A camera is connected and gave no video in time: it gets more the next time.
    fn slow(&mut self) -> SourceError {
        let seconds = self.patience.as_secs();
        self.patience = (self.patience * 2).min(OPEN_DEADLINE_MAX);
        fault(CameraFault::TooSlow { address: self.address(), seconds, next: self.patience.as_secs() })
    }
}

fn fault(fault: CameraFault) -> SourceError {
    SourceError { fault, is_refusal: false }
}

fn refusal(fault: CameraFault) -> SourceError {
    SourceError { fault, is_refusal: true }
}
