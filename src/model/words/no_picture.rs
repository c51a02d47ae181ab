//! Why a trigger has no picture of its own.

use std::fmt;

use crate::model::NoPicture;

/// How the sentence begins about a picture that was there and could not be stored.
pub const UNSTORED: &str = "the picture could not be stored";

impl fmt::Display for NoPicture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCamera { camera } => write!(f, "there is no camera {camera}"),
            Self::CameraDisabled { camera } => write!(f, "camera {camera} is disabled"),
            Self::Busy { waiting } => write!(f, "{waiting} captures of this camera are already waiting"),
            Self::FrameTooOld { age_ms } => write!(
                f,
                "the newest picture of the camera was {}.{} s older than the instant asked for",
                age_ms / 1000,
                age_ms % 1000 / 100
            ),
            Self::NotStored { detail } | Self::DiskFull { detail } => write!(f, "{UNSTORED}: {detail}"),
            Self::NoFrame { detail: words }
            | Self::Undecodable { detail: words }
            | Self::KeptAsFile { detail: words }
            | Self::Words(words) => f.write_str(words),
            Self::Stopping => f.write_str("the program is shutting down"),
            Self::Interrupted => {
                f.write_str("the program ended before the picture was stored (power cut, crash or restart)")
            }
            Self::FileRemoved => {
                f.write_str("the file of its picture was removed before the database took it")
            }
            Self::NotJpeg { detail } => write!(f, "what was sent is no picture: {detail}"),
            Self::Torn { bytes } => {
                write!(f, "the picture was cut off on its way: {bytes} bytes came, and its end is missing")
            }
            Self::TooLarge { bytes, limit } => {
                write!(f, "the picture has {bytes} bytes, and at most {limit} are taken")
            }
            Self::TooManyPixels { width, height } => {
                write!(f, "the picture has {width}×{height} pixels, which is more than is taken")
            }
            Self::TooOften { per_minute } => {
                write!(f, "the device brings more than the {per_minute} pictures a minute that it may")
            }
        }
    }
}
