//! RTSP cameras (RFC 2326): one warm session, the newest groups of pictures kept undecoded.
use super::{FrameRequests, SourceError};
use crate::config::RtspConfig;
use crate::model::CameraKey;
use crate::status::Status;
use std::time::Duration;
/// x
pub struct Rtsp;
impl Rtsp {
    /// x
    pub fn new(_n: u8, _k: CameraKey, _c: RtspConfig, _r: Duration, _s: Status) -> Self {
        Self
    }
    /// x
    pub async fn serve(&mut self, r: &mut FrameRequests) -> SourceError {
        loop {
            r.next().await;
        }
    }
}
