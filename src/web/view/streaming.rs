//! Answers about the camera that is set up over the network, in the words of the server before this one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::number::whole_or_null;
use super::time::Time;

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
