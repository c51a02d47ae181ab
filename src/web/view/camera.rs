//! Cameras: how they stand, and what is shown of them live.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::image::LastImage;
use super::latency::LatencyView;
use crate::model::{CameraKey, Coded, Stamps};
use crate::status::advice;
use crate::status::{CameraState, CameraStatus, Decoding, StreamInfo};

/// How a camera stands.
#[derive(Serialize, ToSchema)]
#[schema(as = CameraEvent)]
pub(in crate::web) struct CameraView {
    pub(in crate::web) key: CameraKey,
    /// Its name for people.
    #[schema(example = "Entry")]
    pub(in crate::web) label: String,
    /// Whether it is used.
    #[schema(example = true)]
    pub(in crate::web) enabled: bool,
    #[schema(value_type = CameraState)]
    pub(in crate::web) state: &'static str,
    /// What is wrong, and what to do.
    pub(in crate::web) last_error: Option<String>,
    /// The same for programs: one of the codes in docs/codes.md.
    #[schema(example = json!(null))]
    pub(in crate::web) last_error_code: Option<&'static str>,
    /// What the code is about.
    #[schema(value_type = Option<Object>, example = json!(null))]
    pub(in crate::web) last_error_params: Option<Map<String, Value>>,
    /// Null until one was open.
    pub(in crate::web) stream: Option<StreamView>,
    /// Null until that was measured.
    pub(in crate::web) decoding: Option<DecodingView>,
    pub(in crate::web) about: CameraAdvice,
}

impl From<CameraStatus> for CameraView {
    fn from(camera: CameraStatus) -> Self {
        let about = advice::about(camera.stream.as_ref(), camera.decoding.as_ref());
        Self {
            key: camera.key,
            label: camera.label,
            enabled: camera.enabled,
            state: camera.state.as_str(),
            last_error_code: camera.last_error.as_ref().and_then(Coded::code),
            last_error_params: camera.last_error.as_ref().map(Coded::params),
            last_error: camera.last_error.map(|fault| fault.to_string()),
            stream: camera.stream.map(StreamView::from),
            decoding: camera.decoding.map(DecodingView::from),
            about: CameraAdvice { facts: about.facts, changes: about.changes },
        }
    }
}

/// A camera with what the store knows of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Camera)]
pub(in crate::web) struct CameraAndImage {
    #[serde(flatten)]
    pub(in crate::web) camera: CameraView,
    /// From the light on the sensor to the first packet; null for a camera that has no stream or is switched off.
    pub(in crate::web) latency: Option<LatencyView>,
    /// Not a clip; null while there is none.
    pub(in crate::web) last_image: Option<LastImage>,
}

/// What the camera is like and what to change on it, in sentences.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct CameraAdvice {
    #[schema(example = json!(["A keyframe every 2 s."]))]
    pub(in crate::web) facts: Vec<String>,
    #[schema(example = json!([]))]
    pub(in crate::web) changes: Vec<String>,
}

/// What a camera's stream is like.
#[derive(Serialize, ToSchema)]
#[schema(as = Stream)]
pub(in crate::web) struct StreamView {
    /// As in RFC 6381.
    #[schema(example = "avc1.640028")]
    pub(in crate::web) codec: String,
    /// Pixels.
    #[schema(example = 1920)]
    pub(in crate::web) width: u32,
    /// Pixels.
    #[schema(example = 1080)]
    pub(in crate::web) height: u32,
    /// Frames that arrive in a second.
    #[schema(example = 25.0)]
    pub(in crate::web) fps: Option<f64>,
    /// Frames from one keyframe to the next.
    #[schema(example = 50)]
    pub(in crate::web) gop_frames: Option<u32>,
    /// 19 of 20 frames are delayed by no more than this.
    #[schema(example = 10)]
    pub(in crate::web) jitter_ms: Option<u32>,
    /// The camera's clock minus ours, if it tells.
    pub(in crate::web) clock_offset_ms: Option<i64>,
    pub(in crate::web) stamps: Stamps,
}

impl From<StreamInfo> for StreamView {
    fn from(stream: StreamInfo) -> Self {
        Self {
            codec: stream.codec,
            width: stream.width,
            height: stream.height,
            fps: stream.fps,
            gop_frames: stream.gop_frames,
            jitter_ms: stream.jitter_ms,
            clock_offset_ms: stream.clock_offset_ms,
            stamps: stream.stamps,
        }
    }
}

/// How a stream is decoded, as measured on this machine.
#[derive(Serialize, ToSchema)]
#[schema(as = Decoding)]
pub(in crate::web) struct DecodingView {
    /// openh264, libavcodec, rust_h264 or rust_h265.
    #[schema(example = "openh264")]
    pub(in crate::web) decoder: &'static str,
    #[schema(example = 6.2)]
    pub(in crate::web) ms_per_frame: f64,
    /// Whether frames are decoded as they arrive.
    pub(in crate::web) hot: bool,
    /// What that costs, or would cost, in percent of one core.
    #[schema(example = 15.5)]
    pub(in crate::web) core_percent: f64,
    /// Decoding for a trigger, on average, while not hot.
    #[schema(example = 160)]
    pub(in crate::web) mean_ms: Option<u64>,
    /// The same at worst.
    #[schema(example = 310)]
    pub(in crate::web) worst_ms: Option<u64>,
    /// Encoding one picture.
    #[schema(example = 9)]
    pub(in crate::web) encode_ms: u64,
    /// Frames are decoded as they arrive, and the processor cannot keep up.
    pub(in crate::web) behind: bool,
}

impl From<Decoding> for DecodingView {
    fn from(decoding: Decoding) -> Self {
        Self {
            decoder: decoding.decoder,
            ms_per_frame: decoding.ms_per_frame,
            hot: decoding.is_hot,
            core_percent: decoding.core_percent,
            mean_ms: decoding.mean_ms,
            worst_ms: decoding.worst_ms,
            encode_ms: decoding.encode_ms,
            behind: decoding.is_behind,
        }
    }
}

/// What follows on a WebSocket of a live picture: the text message before its first piece.
#[derive(Serialize, ToSchema)]
#[schema(as = LiveDescription)]
pub(in crate::web) struct StreamNews<'a> {
    /// As in RFC 6381, or `jpeg`.
    #[schema(example = "avc1.640028")]
    pub(in crate::web) codec: &'a str,
    /// For Media Source Extensions, or `image/jpeg`.
    #[schema(example = "video/mp4; codecs=\"avc1.640028\"")]
    pub(in crate::web) mime: &'a str,
    /// Pixels.
    #[schema(example = 1920)]
    pub(in crate::web) width: u32,
    /// Pixels.
    #[schema(example = 1080)]
    pub(in crate::web) height: u32,
}
