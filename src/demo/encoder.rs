//! A camera's picture, drawn and encoded to H.264 in real time for as long as somebody watches.
//!
//! Frame *i* is drawn at its due instant, shows that instant, and carries the RTP timestamp of it: a client can check
//! both against each other. The groups of pictures lie on a fixed grid of frame numbers, whoever comes and goes, as in
//! a camera that has been running for weeks. A loop that falls behind leaves frames out instead of being late for ever.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use openh264::encoder::{Encoder, EncoderConfig, FrameRate, RateControlMode, SpsPpsStrategy, UsageType};
use openh264::formats::YUVSlices;
use openh264::{OpenH264API, Timestamp};
use tokio::sync::broadcast;
use tracing::warn;

use crate::clock;
use crate::demo::annexb::nal_units;
use crate::demo::picture::{Scene, YuvPicture};
use crate::demo::stream::{Join, StreamConfig};
use crate::model::UnixMs;

/// Access units a client may be behind before it is dropped: about two and a half seconds at 25 frames a second.
const UNITS_BEHIND_MAX: usize = 64;

/// The instants shown are moved only when the wall clock was set; less than this is the rounding of milliseconds.
const CLOCK_STEP_MS: u64 = 20;

/// Frames a second, and pixels in a row or column, that the demonstration's encoder is meant for.
const FPS: std::ops::RangeInclusive<u32> = 1..=60;
const SIDE: std::ops::RangeInclusive<usize> = 80..=1920;

/// Bit of `nal_unit_type` in the first octet of a NAL unit, and the types that matter here (ITU-T H.264 table 7-1).
const NAL_TYPE: u8 = 0x1f;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;

/// Why a synthetic camera cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// The configuration asks for what no encoder gives.
    #[error(
        "stream {path}: {width}x{height} at {fps} frames a second, GOP {gop}: accepted are even sides of 80 to 1920, 1 to 60 frames and a GOP of at least 1"
    )]
    Unusable {
        /// Path of the stream.
        path: String,
        /// As configured.
        width: usize,
        /// As configured.
        height: usize,
        /// As configured.
        fps: u32,
        /// As configured.
        gop: u32,
    },
    /// The H.264 encoder refused to start.
    #[error("starting the H.264 encoder of stream {path}")]
    Codec {
        /// Path of the stream.
        path: String,
        /// In the encoder's words.
        source: openh264::Error,
    },
    /// The encoder started with something else than an IDR and its parameter sets.
    #[error("the H.264 encoder of stream {path} gave no parameter sets")]
    NoParameterSets {
        /// Path of the stream.
        path: String,
    },
}

/// One coded picture in Annex B form (start codes); an IDR comes with its parameter sets.
#[derive(Debug)]
pub struct EncodedPicture {
    /// The NAL units with start codes.
    pub annex_b: Vec<u8>,
    /// In units of 1/90000 s, from a random origin.
    pub rtp_timestamp: u32,
    /// The instant that the picture shows.
    pub instant: UnixMs,
}

/// The shared side of a running camera: what clients need to know, and their way in.
#[derive(Debug)]
pub struct SyntheticCamera {
    /// As opened.
    pub config: StreamConfig,
    /// The sequence parameter set, without start code.
    pub sps: Vec<u8>,
    /// The picture parameter set, without start code.
    pub pps: Vec<u8>,
    control: Mutex<Control>,
    changed: Condvar,
    units: broadcast::Sender<Arc<EncodedPicture>>,
}

#[derive(Debug, Default)]
struct Control {
    players: usize,
    is_idr_wanted: bool,
    is_stalled: bool,
    is_stopped: bool,
}

impl SyntheticCamera {
    /// Starts an encoder; pictures flow once [`EncoderLoop::run`] runs and somebody plays.
    ///
    /// Encodes one picture to learn the parameter sets, so it takes some milliseconds.
    pub fn open(config: StreamConfig) -> Result<(Arc<Self>, EncoderLoop), EncoderError> {
        let path = config.path.clone();
        let is_side = |side: usize| SIDE.contains(&side) && side.is_multiple_of(2);
        if !is_side(config.width)
            || !is_side(config.height)
            || ![config.fps, config.stamped_fps].iter().all(|fps| FPS.contains(fps))
            || config.gop == 0
        {
            let StreamConfig { width, height, fps, gop, .. } = config;
            return Err(EncoderError::Unusable { path, width, height, fps, gop });
        }
        let scene = Scene::new(config.width, config.height, config.hue, &config.label);
        let picture = scene.blank();
        let codec = |source| EncoderError::Codec { path: path.clone(), source };
        let mut encoder = open_codec(&config).map_err(codec)?;
        let first = encode(&mut encoder, &picture, 0).map_err(codec)?;
        let parameter_set =
            |wanted| nal_units(&first).find(|unit| unit[0] & NAL_TYPE == wanted).map(<[u8]>::to_vec);
        let (Some(sps), Some(pps)) = (parameter_set(NAL_SPS), parameter_set(NAL_PPS)) else {
            return Err(EncoderError::NoParameterSets { path });
        };
        let camera = Arc::new(Self {
            config,
            sps,
            pps,
            control: Mutex::default(),
            changed: Condvar::new(),
            units: broadcast::channel(UNITS_BEHIND_MAX).0,
        });
        let frames = EncoderLoop { camera: Arc::clone(&camera), encoder, scene, picture };
        Ok((camera, frames))
    }

    /// Joins the audience; the camera encodes until the last [`Playing`] is dropped.
    pub fn play(self: &Arc<Self>) -> Playing {
        let units = self.units.subscribe();
        let mut control = self.control();
        control.players += 1;
        control.is_idr_wanted |= self.config.join == Join::WithIdr;
        self.changed.notify_all();
        Playing { units, camera: Arc::clone(self) }
    }

    /// How many clients play.
    pub fn players(&self) -> usize {
        self.control().players
    }

    /// No new frames until [`Self::resume`]; afterwards the stream goes on without damage, as after a hung encoder.
    pub fn stall(&self) {
        self.control().is_stalled = true;
    }

    /// Ends [`Self::stall`].
    pub fn resume(&self) {
        self.control().is_stalled = false;
        self.changed.notify_all();
    }

    /// Ends the encoder loop, within the encoding of one frame.
    pub fn stop(&self) {
        self.control().is_stopped = true;
        self.changed.notify_all();
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        // The data is four plain values, whole at any time; a panicked holder cannot have spoiled them.
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the audience of a camera.
#[derive(Debug)]
pub struct Playing {
    /// Access units as they are made; a client that lags behind sees it as an error and must leave.
    pub units: broadcast::Receiver<Arc<EncodedPicture>>,
    camera: Arc<SyntheticCamera>,
}

impl Drop for Playing {
    fn drop(&mut self) {
        let mut control = self.camera.control();
        control.players = control.players.saturating_sub(1);
        self.camera.changed.notify_all();
    }
}

/// The working side of a camera; belongs on a thread of its own.
pub struct EncoderLoop {
    camera: Arc<SyntheticCamera>,
    encoder: Encoder,
    scene: Scene,
    picture: YuvPicture,
}

impl EncoderLoop {
    /// Draws and encodes in real time while somebody plays; returns after [`SyntheticCamera::stop`].
    pub fn run(mut self) {
        let camera = Arc::clone(&self.camera);
        let (fps, gop) = (u64::from(camera.config.fps), u64::from(camera.config.gop));
        let rtp_origin = fastrand::u32(..);
        let origin = Instant::now();
        let mut wall_origin = clock::now();
        // The frame encoded last; none while nobody watches.
        let mut last: Option<u64> = None;
        loop {
            let Some((index, is_idr_wanted)) = self.next_frame(origin, &mut last) else { return };
            let due = origin + offset(index, fps);
            let shown_ms = i64::try_from(index * 1000 / fps).unwrap_or(i64::MAX);
            let drift = clock::wall_at(due).0.saturating_sub(wall_origin.plus_ms(shown_ms).0);
            if drift.unsigned_abs() > CLOCK_STEP_MS {
                wall_origin = wall_origin.plus_ms(drift);
            }
            let instant = wall_origin.plus_ms(shown_ms);
            self.scene.draw(&mut self.picture, instant, index);
            let opens_gop = last.is_none_or(|last| index / gop != last / gop);
            if opens_gop || is_idr_wanted {
                self.encoder.force_intra_frame();
            }
            // An encoder that was idle has to begin with an IDR. Off the grid it is kept back, so that the client
            // meets the running group of pictures that a camera which never idles would send.
            let is_kept_back = last.is_none() && !index.is_multiple_of(gop) && !is_idr_wanted;
            last = Some(index);
            match encode(&mut self.encoder, &self.picture, index * 1000 / fps) {
                Ok(annex_b) if annex_b.is_empty() || is_kept_back => {}
                Ok(annex_b) => {
                    let ticks = (index * 90_000 / u64::from(camera.config.stamped_fps)) as u32;
                    let rtp_timestamp = rtp_origin.wrapping_add(ticks);
                    // An error says that the last client left meanwhile.
                    let _ = camera.units.send(Arc::new(EncodedPicture { annex_b, rtp_timestamp, instant }));
                }
                Err(error) => warn!(path = camera.config.path, %error, "a synthetic frame was not encoded"),
            }
        }
    }

    /// Waits for the due instant of the next frame that somebody wants; `None` when the camera is stopped.
    fn next_frame(&self, origin: Instant, last: &mut Option<u64>) -> Option<(u64, bool)> {
        let fps = u64::from(self.camera.config.fps);
        let mut control = self.camera.control();
        let mut planned = None;
        loop {
            if control.is_stopped {
                return None;
            }
            if control.players == 0 {
                *last = None;
            }
            if control.players == 0 || control.is_stalled {
                planned = None;
                control = self.camera.changed.wait(control).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let elapsed = origin.elapsed();
            let index = *planned.get_or_insert_with(|| {
                let newest = (elapsed.as_nanos() * u128::from(fps) / 1_000_000_000) as u64;
                last.map_or(newest, |last| last.max(newest.saturating_sub(1))) + 1
            });
            let Some(wait) = offset(index, fps).checked_sub(elapsed).filter(|wait| !wait.is_zero()) else {
                return Some((index, std::mem::take(&mut control.is_idr_wanted)));
            };
            control =
                self.camera.changed.wait_timeout(control, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The due instant of frame `index`, from the first one.
fn offset(index: u64, fps: u64) -> Duration {
    // Rounded up, so that a frame is never due an instant before the division says it is the newest.
    Duration::from_nanos((index * 1_000_000_000).div_ceil(fps))
}

fn open_codec(config: &StreamConfig) -> Result<Encoder, openh264::Error> {
    let settings = EncoderConfig::new()
        .usage_type(UsageType::CameraVideoRealTime)
        // Constant quality. The modes with a target either leave frames out to meet it, or write a warning to standard
        // error at each start because they may not.
        .rate_control_mode(RateControlMode::Off)
        .max_frame_rate(FrameRate::from_hz(config.fps as f32))
        .sps_pps_strategy(SpsPpsStrategy::ConstantId)
        // IDRs come where the grid says and nowhere else, every frame comes, and a small board keeps its other cores.
        .scene_change_detect(false)
        // It leaves specks of moved things on the flat areas of a drawn picture.
        .background_detection(false)
        .skip_frames(false)
        .num_threads(1);
    Encoder::with_api_config(OpenH264API::from_source(), settings)
}

fn encode(encoder: &mut Encoder, picture: &YuvPicture, ms: u64) -> Result<Vec<u8>, openh264::Error> {
    let (width, height) = picture.size();
    let yuv = YUVSlices::new(picture.planes(), (width, height), (width, width / 2, width / 2));
    encoder.encode_at(&yuv, Timestamp::from_millis(ms)).map(|stream| stream.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAL_IDR: u8 = 5;

    fn config(join: Join) -> StreamConfig {
        StreamConfig {
            width: 160,
            height: 120,
            fps: 50,
            stamped_fps: 50,
            gop: 10,
            join,
            ..StreamConfig::new("/r1", "Entry", 0)
        }
    }

    fn is_idr(unit: &EncodedPicture) -> bool {
        nal_units(&unit.annex_b).any(|nal| nal[0] & NAL_TYPE == NAL_IDR)
    }

    /// Plays until `wanted` access units came, then stops the camera and waits for its thread.
    fn watch(config: StreamConfig, wanted: usize) -> Vec<Arc<EncodedPicture>> {
        let (camera, frames) = SyntheticCamera::open(config).unwrap();
        let thread = std::thread::spawn(|| frames.run());
        let mut playing = camera.play();
        let units = (0..wanted).map(|_| playing.units.blocking_recv().unwrap()).collect();
        camera.stop();
        thread.join().unwrap();
        units
    }

    #[test]
    fn every_group_of_pictures_opens_with_an_idr_and_timestamps_agree_with_the_instants() {
        let units = watch(config(Join::MidGop), 25);
        let ticks = |unit: &EncodedPicture| unit.rtp_timestamp.wrapping_sub(units[0].rtp_timestamp);
        for unit in &units {
            assert_eq!(i64::from(ticks(unit)) / 90, unit.instant.0 - units[0].instant.0);
        }
        let groups = ticks(&units[24]) / 1800 / 10;
        let idrs = units.iter().filter(|unit| is_idr(unit)).count() as u32;
        assert!((groups..=groups + 1).contains(&idrs), "{idrs} IDRs in {groups} groups of pictures");
    }

    #[test]
    fn a_client_in_the_middle_of_a_gop_gets_an_idr_only_if_the_camera_is_so_made() {
        for (join, expected) in [(Join::WithIdr, true), (Join::MidGop, false)] {
            let endless = StreamConfig { gop: 1_000_000, ..config(join) };
            assert_eq!(is_idr(&watch(endless, 1)[0]), expected, "{join:?}");
        }
    }

    #[test]
    fn a_camera_without_audience_ends_at_once() {
        let (camera, frames) = SyntheticCamera::open(config(Join::MidGop)).unwrap();
        camera.stop();
        frames.run();
    }

    #[test]
    fn impossible_sizes_are_refused_in_words() {
        let odd = StreamConfig { width: 641, ..config(Join::MidGop) };
        assert!(SyntheticCamera::open(odd).err().unwrap().to_string().contains("641x120"));
    }
}
