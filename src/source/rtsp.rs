//! RTSP cameras (RFC 2326): one warm session, the newest groups of pictures kept undecoded.
//!
//! Nothing is decoded here. A session costs a fraction of a percent of a core and the bytes of two groups of pictures;
//! a request gets the access units from the IDR to the frame nearest to its instant.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use retina::client::{
    Demuxed, PlayOptions, Playing, Session, SessionGroup, SessionOptions, SetupOptions, TcpTransportOptions,
    TeardownPolicy, Transport as RtpTransport, UdpTransportOptions,
};
use retina::codec::{CodecItem, FrameFormat, ParametersRef, VideoFrame};
use retina::rtcp::ReceivedCompoundPacket;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{debug, info};

use super::camera_clock::CameraClock;
use super::{Requests, SourceError};
use crate::clock;
use crate::config::{CameraConfig, CameraEngine, ClockSource, RtspConfig, Transport, shown_url};
use crate::media::continuity::Cadence;
use crate::media::footprint::{self, TooLarge};
use crate::media::gop::{AccessUnit, Codec, Gops, Limits};
use crate::media::h265;
use crate::media::shelf::Shelf;
use crate::media::timeline::Timeline;
use crate::model::CameraKey;
use crate::status::{CameraState, Status, StreamInfo};

/// From the first packet to the first byte of video promised. Slow cameras take five seconds after a reboot.
const OPEN_DEADLINE: Duration = Duration::from_secs(8);

/// The same for a camera that accepted connections and did not get that far: it is given twice as long each time, up to
/// this. Four answers that take ten seconds each lead to a picture, too.
const OPEN_DEADLINE_MAX: Duration = Duration::from_secs(60);

/// How long a broken session is waited for to be torn down before the next one is opened.
const TEARDOWN_LIMIT: Duration = Duration::from_secs(2);

/// A session without a frame for so long is dead, whatever its connection says: the encoder of a camera can hang
/// while its RTSP server goes on answering.
const NO_FRAME_LIMIT: Duration = Duration::from_secs(4);

/// Frames, but no keyframe among them, for so long: the operator must change the camera's settings.
const NO_IDR_LIMIT: Duration = Duration::from_secs(30);

/// How long a closer look at a camera that did not answer may take.
const DIAGNOSIS_DEADLINE: Duration = Duration::from_secs(2);

/// How far back a trigger may ask, beyond its configured offset: debounce, a busy machine, a camera's own delay.
const REACH: Duration = Duration::from_secs(2);

/// Bounds of what is kept of one camera. 48 MiB hold 20 s of 16 Mbit/s and leave room for three cameras in 256 MiB.
const LIMITS: Limits = Limits { bytes: 48 << 20, span: Duration::from_secs(60) };

/// One RTSP camera.
pub struct Rtsp {
    number: u8,
    key: CameraKey,
    config: RtspConfig,
    reach: Duration,
    /// Inside the camera, before the first packet leaves.
    latency: Duration,
    clock: ClockSource,
    /// Sessions that were opened, for those that broke to be torn down.
    sessions: Arc<SessionGroup>,
    /// How long the next session may take to open.
    patience: Duration,
    status: Status,
    /// Where the newest pictures of all cameras lie.
    streams: Shelf,
}

/// What a session has seen of its stream.
struct Stream {
    codec: Codec,
    gops: Gops,
    timeline: Timeline,
    cadence: Cadence,
    clock: CameraClock,
    info: StreamInfo,
    /// RTP time of the newest IDR, and the frames since.
    group: Option<(i64, u32)>,
    last_frame: Instant,
    last_idr: Instant,
    /// No frame has come yet.
    is_new: bool,
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
        Self {
            number,
            key,
            config,
            reach: REACH + earliest + latency,
            latency,
            clock,
            sessions: Arc::default(),
            patience: OPEN_DEADLINE,
            status,
            streams,
        }
    }

    /// Opens a session and serves requests until it breaks.
    pub async fn serve(&mut self, requests: &mut Requests) -> SourceError {
        let reason = self.status.camera(&self.key).and_then(|camera| camera.last_error);
        let reason =
            reason.unwrap_or_else(|| format!("the camera at {} is still being connected", self.address()));
        let opened = {
            let opening = timeout(self.patience, self.open());
            tokio::pin!(opening);
            loop {
                tokio::select! {
                    opened = &mut opening => break opened,
                    _ = requests.next(None) => requests.expire(Instant::now(), &reason),
                }
            }
        };
        let (mut session, stream_index, codec) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return error,
            Err(_) => return self.diagnose().await,
        };
        let mut stream = Stream::new(&session, stream_index, codec, self.reach, &self.streams);
        loop {
            let limit = stream.last_frame + NO_FRAME_LIMIT;
            tokio::select! {
                item = session.next() => match item {
                    Some(Ok(CodecItem::VideoFrame(frame))) => {
                        // Before anything is kept or decoded of it.
                        if let Err(error) = footprint::of(codec, frame.data()) {
                            return self.too_large(error);
                        }
                        if let Some(unit) = self.take(&mut stream, &session, frame) {
                            requests.show(&stream.gops, &unit);
                        }
                        requests.answer(&stream.gops);
                    }
                    Some(Ok(CodecItem::Rtcp(packets))) => stream.take_report(&packets),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return self.explain(&error),
                    None => return fault(format!("the camera at {} closed the connection", self.address())),
                },
                () = tokio::time::sleep_until(limit.into()) => {
                    return fault(format!(
                        "the camera at {} is connected but has sent no picture for {} s; if this goes on, restart it",
                        self.address(), NO_FRAME_LIMIT.as_secs(),
                    ));
                }
                _ = requests.next(Some(&mut stream.gops)) => {
                    requests.answer(&stream.gops);
                    requests.expire(Instant::now(), &stream.reason(&self.address()));
                }
            }
        }
    }

    fn too_large(&self, error: TooLarge) -> SourceError {
        refusal(format!(
            "the camera at {} sends {error}; lower its resolution, or use its sub-stream in CAMERA_{}_RTSP",
            self.address(),
            self.number
        ))
    }

    /// Host and port, for people.
    fn address(&self) -> String {
        let url = &self.config.url;
        format!("{}:{}", url.host_str().unwrap_or("?"), url.port().unwrap_or(554))
    }

    async fn open(&self) -> Result<(Demuxed, usize, Codec), SourceError> {
        let credentials = self.config.credentials.as_ref().map(|credentials| retina::client::Credentials {
            username: credentials.username.clone(),
            password: credentials.password.reveal().clone(),
        });
        // Broken sessions are torn down in the background; what that met does not matter here.
        let _ = timeout(TEARDOWN_LIMIT, self.sessions.await_teardown()).await;
        let options = SessionOptions::default()
            .creds(credentials)
            // A camera that allows one session refuses the next one until it has forgotten the one that broke.
            .session_group(Arc::clone(&self.sessions))
            .teardown(TeardownPolicy::Always)
            .user_agent(concat!("camera-capture/", env!("CARGO_PKG_VERSION")).to_owned());
        let explain = |error: retina::Error| self.explain(&error);
        let mut session = Session::describe(self.config.url.clone(), options).await.map_err(explain)?;
        let video: Vec<&str> =
            session.streams().iter().filter(|s| s.media() == "video").map(|s| s.encoding_name()).collect();
        let usable = |s: &retina::client::Stream| {
            codec(s.encoding_name()).filter(|_| matches!(s.media(), "video" | "image"))
        };
        let found = session.streams().iter().enumerate().find_map(|(i, stream)| Some((i, usable(stream)?)));
        let Some((index, codec)) = found else {
            return Err(SourceError { message: self.wrong_codec(&video), is_refusal: true });
        };
        let transport = match self.config.transport {
            Transport::Tcp => RtpTransport::Tcp(TcpTransportOptions::default()),
            Transport::Udp => RtpTransport::Udp(UdpTransportOptions::default()),
        };
        let setup = SetupOptions::default().transport(transport).frame_format(FrameFormat::SIMPLE);
        session.setup(index, setup).await.map_err(explain)?;
        let playing: Session<Playing> = session.play(PlayOptions::default()).await.map_err(explain)?;
        Ok((playing.demuxed().map_err(explain)?, index, codec))
    }

    fn wrong_codec(&self, video: &[&str]) -> String {
        let address = self.address();
        match video {
            [] => format!(
                "the camera at {address} offers no video at this path; check CAMERA_{}_RTSP",
                self.number
            ),
            [codec, ..] => format!(
                "the camera at {address} sends {codec}, which is not one of H.264, H.265 and JPEG; set the camera's \
                 video encoding to H.264, or use its sub-stream in CAMERA_{}_RTSP",
                self.number,
                codec = codec.to_uppercase()
            ),
        }
    }

    /// Takes in one frame; returns it if it is of use.
    fn take(&self, stream: &mut Stream, session: &Demuxed, frame: VideoFrame) -> Option<AccessUnit> {
        let now = Instant::now();
        let arrival = frame.start_ctx().received();
        let rtp_ns = nanoseconds(frame.timestamp().timestamp(), frame.timestamp().clock_rate());
        if frame.has_new_parameters() {
            stream.info = info_of(session, frame.stream_id(), &stream.info);
        }
        stream.last_frame = now;
        stream.is_new = false;
        if stream.timeline.push(rtp_ns, arrival) {
            debug!(camera = %self.key, "the camera restarted its time stamps");
            stream.gops.clear();
            stream.group = None;
        }
        if frame.loss() > 0 {
            debug!(camera = %self.key, packets = frame.loss(), "packets lost");
            stream.gops.break_off();
        }
        let kind = (stream.codec == Codec::H265).then(|| h265::Kind::of(frame.data()));
        // Of an open group, which the library does not count.
        let is_clean = kind == Some(h265::Kind::Clean);
        let is_idr = stream.codec == Codec::Jpeg || frame.is_random_access_point() || is_clean;
        if is_idr {
            stream.last_idr = now;
            stream.measure(rtp_ns);
            stream.info.jitter_ms = stream.timeline.jitter().map(steps_of_5_ms);
        } else if let Some((_, frames)) = &mut stream.group {
            *frames += 1;
        }
        let sent = stream.timeline.instant_of(rtp_ns)?;
        let believed = stream.clock.instant_of(rtp_ns, sent).filter(|_| self.clock == ClockSource::Camera);
        let instant = believed.or_else(|| sent.checked_sub(self.latency)).unwrap_or(sent);
        stream.info.clock_offset_ms = stream.clock.offset_ms(rtp_ns, sent);
        let is_disposable = !is_idr && frame.is_disposable();
        let missing = stream.cadence.missing(rtp_ns);
        let parameters = if is_clean { parameters_of(session, frame.stream_id()) } else { &[] };
        let data = if parameters.is_empty() {
            frame.into_data().into()
        } else {
            [parameters, frame.data()].concat().into()
        };
        let is_leading = kind == Some(h265::Kind::Leading);
        let unit = AccessUnit { rtp_ns, instant, data, is_idr, is_disposable, missing, is_leading };
        let is_of_use = stream.gops.push(unit.clone());
        if is_idr {
            self.show_connected(stream);
        } else if now.duration_since(stream.last_idr) > NO_IDR_LIMIT {
            self.status.update_camera(&self.key, |camera| {
                camera.state = CameraState::Degraded;
                camera.last_error = Some(stream.reason(&self.address()));
            });
        }
        is_of_use.then_some(unit)
    }

    fn show_connected(&self, stream: &Stream) {
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

    /// Says for people what an error of the library means.
    fn explain(&self, error: &retina::Error) -> SourceError {
        let (address, n) = (self.address(), self.number);
        debug!(camera = %self.key, %error, "RTSP error");
        // The library adds a dump of the connection after an empty line; the first line says it all.
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        match error.status_code() {
            Some(401 | 403) if self.config.credentials.is_none() => refusal(format!(
                "the camera at {address} wants a user name and password; set CAMERA_{n}_USERNAME and CAMERA_{n}_PASSWORD"
            )),
            Some(status @ (401 | 403)) => refusal(format!(
                "the camera at {address} refused the user name or password (status {status}); check \
                 CAMERA_{n}_USERNAME and CAMERA_{n}_PASSWORD, or CAMERA_USERNAME and CAMERA_PASSWORD"
            )),
            Some(404) => refusal(format!(
                "the camera at {address} has no stream at {}; check CAMERA_{n}_RTSP",
                shown_url(&self.config.url)
            )),
            Some(461) => refusal(format!(
                "the camera at {address} refused this transport; set CAMERA_{n}_TRANSPORT to {}",
                match self.config.transport {
                    Transport::Tcp => "udp",
                    Transport::Udp => "tcp",
                }
            )),
            Some(453) => {
                fault(format!("the camera at {address} has no bandwidth or session left for us (status 453)"))
            }
            Some(status) => fault(format!("the camera at {address} answered with status {status}: {first}")),
            None if text.contains("failed to lookup") || text.contains("Name or service not known") => fault(
                format!("the name {} was not found; check CAMERA_{n}_IP or CAMERA_{n}_RTSP", self.host()),
            ),
            None if text.contains("Connection refused") => fault(format!(
                "nothing listens at {address} (connection refused); is the camera's RTSP service switched on, and is \
                 the port right?"
            )),
            None if text.contains("No route to host") || text.contains("Network is unreachable") => {
                fault(format!(
                    "the camera at {address} cannot be reached: no route; check cable, power and address"
                ))
            }
            None => fault(format!("the session with the camera at {address} broke: {first}")),
        }
    }

    fn host(&self) -> &str {
        self.config.url.host_str().unwrap_or("?")
    }

    /// Says for people why a camera did not answer in time, and decides how long it gets the next time.
    async fn diagnose(&mut self) -> SourceError {
        let (address, seconds) = (self.address(), self.patience.as_secs());
        let target = (self.host().trim_matches(['[', ']']), self.config.url.port().unwrap_or(554));
        let connected = timeout(DIAGNOSIS_DEADLINE, TcpStream::connect(target)).await;
        if matches!(connected, Ok(Ok(_))) {
            self.patience = (self.patience * 2).min(OPEN_DEADLINE_MAX);
            return fault(format!(
                "the camera at {address} accepts connections but gave no video within {seconds} s; it gets {} s the next \
                 time; if this goes on, restart it",
                self.patience.as_secs()
            ));
        }
        self.patience = OPEN_DEADLINE;
        fault(format!(
            "the camera at {address} does not answer (tried for {seconds} s); check its power, cable and address"
        ))
    }
}

impl Stream {
    fn new(session: &Demuxed, index: usize, codec: Codec, reach: Duration, streams: &Shelf) -> Self {
        let nothing = StreamInfo {
            codec: format!("{codec:?}").to_lowercase(),
            width: 0,
            height: 0,
            fps: None,
            gop_frames: None,
            jitter_ms: None,
            clock_offset_ms: None,
        };
        let now = Instant::now();
        Self {
            codec,
            gops: Gops::new(codec, LIMITS, reach).on(streams),
            timeline: Timeline::default(),
            cadence: Cadence::default(),
            clock: CameraClock::default(),
            info: info_of(session, index, &nothing),
            group: None,
            last_frame: now,
            last_idr: now,
            is_new: true,
        }
    }

    /// Takes note of what the camera says of its own clock.
    fn take_report(&mut self, packets: &ReceivedCompoundPacket) {
        let Some(rtp) = packets.rtp_timestamp() else { return };
        let rtp_ns = nanoseconds(rtp.timestamp(), rtp.clock_rate());
        for packet in packets.pkts() {
            if let Ok(Some(report)) = packet.as_sender_report() {
                self.clock.take(rtp_ns, report.ntp_timestamp().0, Instant::now(), clock::now());
            }
        }
    }

    /// Measures the group that ends where an IDR begins.
    fn measure(&mut self, rtp_ns: i64) {
        if let Some((begin, frames)) = self.group.replace((rtp_ns, 1)) {
            let seconds = (rtp_ns - begin) as f64 / 1e9;
            self.info.gop_frames = Some(frames);
            if seconds > 0.0 {
                self.info.fps = Some((f64::from(frames) / seconds * 10.0).round() / 10.0);
            }
        }
    }

    /// Why a request got no frame from a session that stands.
    fn reason(&self, address: &str) -> String {
        if self.gops.is_outgrown() {
            format!(
                "the pictures of the camera at {address} since its last keyframe take more memory than there is for them; \
                 set its I-frame interval to its frame rate, or lower its bit rate"
            )
        } else if self.gops.is_ready() {
            format!("the camera at {address} has sent no picture since the trigger")
        } else if self.is_new {
            let seconds = self.last_frame.elapsed().as_secs_f64();
            format!("the camera at {address} was connected {seconds:.1} s ago and has sent no picture since")
        } else {
            format!(
                "the camera at {address} has sent no keyframe for {} s; set its I-frame interval to its frame rate and \
                 switch off smart or \"plus\" encoding",
                self.last_idr.elapsed().as_secs()
            )
        }
    }
}

/// The parameter sets of a stream as they stand before a keyframe.
fn parameters_of(session: &Demuxed, index: usize) -> &[u8] {
    match session.streams().get(index).and_then(|stream| stream.parameters()) {
        Some(ParametersRef::Video(video)) => video.extra_data(),
        _ => &[],
    }
}

fn info_of(session: &Demuxed, index: usize, known: &StreamInfo) -> StreamInfo {
    match session.streams().get(index).and_then(|stream| stream.parameters()) {
        Some(ParametersRef::Video(video)) => {
            let (width, height) = video.pixel_dimensions();
            StreamInfo { codec: video.rfc6381_codec().to_owned(), width, height, ..known.clone() }
        }
        _ => known.clone(),
    }
}

/// Milliseconds, rounded up, so that the figure does not change with every keyframe.
fn steps_of_5_ms(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(5) * 5).unwrap_or(u32::MAX)
}

/// The codec of an RTP encoding name, if it can be decoded.
fn codec(encoding_name: &str) -> Option<Codec> {
    match encoding_name {
        "h264" => Some(Codec::H264),
        "h265" => Some(Codec::H265),
        "jpeg" => Some(Codec::Jpeg),
        _ => None,
    }
}

/// RTP time as nanoseconds.
fn nanoseconds(ticks: i64, clock_rate: NonZeroU32) -> i64 {
    let ns = i128::from(ticks) * 1_000_000_000 / i128::from(clock_rate.get());
    i64::try_from(ns).unwrap_or(i64::MAX)
}

fn fault(message: String) -> SourceError {
    SourceError { message, is_refusal: false }
}

fn refusal(message: String) -> SourceError {
    SourceError { message, is_refusal: true }
}
