//! How a camera is named in words. Pure.

/// What names a camera in words.
pub struct Named<'a> {
    /// Host and port.
    pub address: &'a str,
    /// Host alone.
    pub host: &'a str,
    /// As in `CAMERA_n_RTSP`.
    pub number: u8,
}
