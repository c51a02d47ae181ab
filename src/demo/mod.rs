//! The far side of the demonstration and of the tests: cameras that speak real RTSP, small ones that speak HTTP, and an
//! upload receiver, all on loopback.
//!
//! ```text
//!  picture ──I420──▶ encoder ──access units──▶ rtsp_server ──RTP in TCP──▶ the daemon ──POST──▶ receiver
//!     ▲ framecode: every frame shows its own instant, for people and for programs
//! ```
//!
//! Nothing here is a mock: the bytes go through the kernel's sockets, and other programs (ffmpeg, ffprobe) can play the
//! cameras too. Everything is bounded and ends with its cancellation token.

mod annexb;
mod clients;
pub mod encoder;
mod esp32;
pub mod framecode;
mod http;
mod multipart;
pub mod picture;
mod received;
pub mod receiver;
mod receiver_connection;
mod rtp;
mod rtsp_auth;
mod rtsp_connection;
pub mod rtsp_server;
mod rtsp_state;
mod sdp;
mod stream;

pub use esp32::{Esp32Camera, PushingDevice};
pub use receiver::{Receiver, ReceiverFault, ReceiverHandle};
pub use rtsp_auth::{Algorithm, AuthScheme, RtspAccount};
pub use rtsp_server::{RtspFault, RtspHandle, RtspServer};
pub use stream::{Join, StreamConfig};
