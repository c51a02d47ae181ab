//! Answers about the camera that is set up over the network, in the words of the server before this one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::analysis::{BoxView, words_of_server};
use super::number::whole_or_null;
use super::time::Time;
use crate::store::NewReading;
use crate::upload::{AnalysedNow, NotAnalysed};

/// Where a camera is. Further fields are not looked at.
#[derive(Deserialize, ToSchema)]
pub(in crate::web) struct SetUpCamera {
    /// An IP address or a host name, without scheme, user, port and path.
    #[schema(example = "192.168.1.100")]
    pub(in crate::web) ip_address: String,
    /// 80 unless it says otherwise.
    #[serde(default, deserialize_with = "whole_or_null")]
    #[schema(minimum = 1, maximum = 65535, example = 80)]
    pub(in crate::web) port: Option<u16>,
}

/// A camera is set up.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct CameraSetUp {
    /// Always true.
    #[schema(example = true)]
    pub(in crate::web) success: bool,
    #[schema(example = "ESP32 camera connected successfully at http://192.168.1.100:80")]
    pub(in crate::web) message: String,
    /// The port is written out.
    #[schema(example = "http://192.168.1.100:80")]
    pub(in crate::web) camera_url: String,
    #[schema(example = "http://192.168.1.100:80/stream")]
    pub(in crate::web) stream_url: String,
    #[schema(example = "http://192.168.1.100:80/capture")]
    pub(in crate::web) snapshot_url: String,
}

/// Whether a camera is set up.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct CameraStanding {
    /// Always true.
    #[schema(example = true)]
    pub(in crate::web) success: bool,
    /// One is set up, and nothing is wrong with it as far as is known.
    #[schema(example = true)]
    pub(in crate::web) is_connected: bool,
    /// Null where none is set up.
    #[schema(example = "http://192.168.1.100:80")]
    pub(in crate::web) camera_url: Option<String>,
    #[schema(example = "http://192.168.1.100:80/stream")]
    pub(in crate::web) stream_url: Option<String>,
    #[schema(example = "http://192.168.1.100:80/capture")]
    pub(in crate::web) snapshot_url: Option<String>,
}

/// No camera is set up any more.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Disconnected {
    /// Always true.
    #[schema(example = true)]
    pub(in crate::web) success: bool,
    #[schema(example = "ESP32 camera disconnected")]
    pub(in crate::web) message: String,
}

/// A picture was taken and looked at.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct FrameSeen {
    /// Always true.
    #[schema(example = true)]
    pub(in crate::web) success: bool,
    #[schema(example = "Frame captured successfully")]
    pub(in crate::web) message: String,
    /// Height, width, and the three channels of colour.
    #[schema(value_type = Vec<u32>, min_items = 3, max_items = 3, example = json!([480, 640, 3]))]
    pub(in crate::web) frame_size: [u32; 3],
    /// Bytes.
    #[schema(example = 45_678)]
    pub(in crate::web) image_bytes_length: usize,
    #[schema(example = "http://192.168.1.100:80")]
    pub(in crate::web) camera_url: String,
    /// What was read in it; there only with `ANALYSE_URL`, so that without it the answer is just what older clients know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) analysis: Option<FrameAnalysis>,
}

/// What the server that reads number plates said of a picture that is not stored.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct FrameAnalysis {
    /// What was read, the best first.
    pub(in crate::web) readings: Vec<FrameReading>,
    /// Why nothing was read: the limit of questions is reached, or the server fails; null when it answered.
    #[schema(example = json!(null))]
    pub(in crate::web) error: Option<String>,
}

impl From<Result<AnalysedNow, NotAnalysed>> for FrameAnalysis {
    fn from(asked: Result<AnalysedNow, NotAnalysed>) -> Self {
        match asked {
            Ok(read) => {
                Self { readings: read.readings.into_iter().map(FrameReading::from).collect(), error: None }
            }
            Err(error) => Self { readings: Vec::new(), error: Some(words_of_server(&error.to_string())) },
        }
    }
}

/// One text in such a picture.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct FrameReading {
    /// As it was read.
    #[schema(example = "ab12cd")]
    pub(in crate::web) text: String,
    /// How sure the server was, from 0 to 1; null if it did not say.
    #[schema(example = 0.91)]
    pub(in crate::web) score: Option<f64>,
    /// Where it stands; null if the server did not say.
    #[serde(rename = "box")]
    pub(in crate::web) place: Option<BoxView>,
    /// Whether the score is below `ANALYSE_MIN_SCORE`.
    pub(in crate::web) unsure: bool,
    /// The text of the watch list that it is taken for.
    #[schema(example = json!(null))]
    pub(in crate::web) watched: Option<String>,
}

impl From<NewReading> for FrameReading {
    fn from(NewReading { read, is_unsure, watched }: NewReading) -> Self {
        let place = read.place.map(BoxView::from);
        Self { text: read.text, score: read.score, place, unsure: is_unsure, watched }
    }
}

/// Addresses that need no header for five minutes. A stream that was begun in time goes on.
#[derive(Serialize, ToSchema)]
#[schema(as = StreamLinks)]
pub(in crate::web) struct Links {
    /// Always true.
    #[schema(example = true)]
    pub(in crate::web) success: bool,
    /// The parameter of all of them.
    #[schema(example = "AQkJCQkJ")]
    pub(in crate::web) sig: String,
    #[schema(example = "/streaming/stream?sig=AQkJCQkJ")]
    pub(in crate::web) stream_url: String,
    #[schema(example = "/streaming/snapshot?sig=AQkJCQkJ")]
    pub(in crate::web) snapshot_url: String,
    #[schema(example = "/streaming/ws-stream?sig=AQkJCQkJ")]
    pub(in crate::web) websocket_url: String,
    pub(in crate::web) expires_at: Time,
}
