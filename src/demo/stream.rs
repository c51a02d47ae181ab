//! What a synthetic camera is asked to be.

/// What a client that begins to play is sent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// The rest of the running group of pictures, which it cannot decode, as from most cameras.
    MidGop,
    /// An IDR made for it, as from encoders that answer a PLAY with one.
    WithIdr,
}

/// One camera: where it is found and what it shows.
#[derive(Clone, Debug)]
pub struct StreamConfig {
    /// Path of the stream, such as `/r1`.
    pub path: String,
    /// Written in the picture and in the session description.
    pub label: String,
    /// Tint of the scene in degrees, to tell cameras apart at a glance.
    pub hue: u16,
    /// Pixels in a row; even, 80 to 1920.
    pub width: usize,
    /// Rows; even, 80 to 1920.
    pub height: usize,
    /// Frames a second, 1 to 60.
    pub fps: u32,
    /// Frames from one IDR to the next.
    pub gop: u32,
    /// What comes first after a PLAY.
    pub join: Join,
    /// Frames a second by its RTP time stamps; another number than `fps` from encoders that do not reach what they are set
    /// to, and at night.
    pub stamped_fps: u32,
}

impl StreamConfig {
    /// The camera of the demonstration: 640 by 360 at 25 frames a second, an IDR every two seconds.
    pub fn new(path: &str, label: &str, hue: u16) -> Self {
        Self {
            path: path.to_owned(),
            label: label.to_owned(),
            hue,
            width: 640,
            height: 360,
            fps: 25,
            gop: 50,
            join: Join::MidGop,
            stamped_fps: 25,
        }
    }
}
