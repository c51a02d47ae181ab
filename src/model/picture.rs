//! What is known of a picture or clip. A fresh one, a stored one and one that is owed to a target contain these facts, and
//! so does its own file (`media/exif`).

use serde::Serialize;

use super::{CameraKey, DeviceName, ImageId, Trigger, UnixMs};

/// What a picture or clip is and where it comes from: all that its file tells of it beside what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureFacts {
    /// Its identity: inside the file, in the database, and the idempotency key of its uploads.
    pub id: ImageId,
    /// The camera.
    pub camera: CameraKey,
    /// What asked for it.
    pub cause: Cause,
    /// What it is to its trigger.
    pub kind: ImageKind,
    /// The instant asked for, by the wall clock; its second gives the name. Of a pushed picture, when it arrived.
    pub edge_at: UnixMs,
    /// The instant shown (of a clip: first shown) minus the edge, in milliseconds; `None` where it is not known.
    pub frame_offset_ms: Option<i64>,
    /// Why it is not the plain one that was asked for, for people.
    pub note: Option<String>,
    /// Who sent it, if nobody asked for it.
    pub push: Option<PushFacts>,
}

/// How much older than its arrival a pushed picture may be: a box in a chain may have been without a network for a season.
/// What claims to be older comes from a clock that was never set.
pub const PUSH_AGE_MAX_MS: u64 = 400 * 24 * 60 * 60 * 1000;

/// What is known of a pushed picture alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushFacts {
    /// The device that sent it.
    pub device: DeviceName,
    /// What the device calls it, cleaned for people; it names no file.
    pub own_name: Option<String>,
    /// What the picture itself says when it was taken, by the device's clock, such as `2024-01-01 12:00:00`.
    pub device_time: Option<String>,
    /// The identity that the first box of a chain gave it.
    pub first_id: Option<ImageId>,
}

impl PictureFacts {
    /// Those that every picture has; whatever else may be known is not.
    pub fn plain(id: ImageId, camera: CameraKey, cause: Cause, kind: ImageKind, edge_at: UnixMs) -> Self {
        Self { id, camera, cause, kind, edge_at, frame_offset_ms: None, note: None, push: None }
    }

    /// Those of a new picture or clip that answers `trigger`.
    pub fn of(trigger: &Trigger, kind: ImageKind, frame_offset_ms: i64, note: Option<String>) -> Self {
        let plain =
            Self::plain(ImageId::random(), trigger.camera.clone(), trigger.cause, kind, trigger.edge.wall);
        Self { frame_offset_ms: Some(frame_offset_ms), note, ..plain }
    }

    /// The instant it shows; of a clip, the first one.
    pub fn taken_at(&self) -> UnixMs {
        self.edge_at.plus_ms(self.frame_offset_ms.unwrap_or(0))
    }
}

/// How large a picture or clip is, as its own bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimensions {
    /// Pixels in a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// How long it is, if it is a clip.
    pub duration_ms: Option<u64>,
}

impl Dimensions {
    /// Those of a picture.
    pub fn of_picture((width, height): (u32, u32)) -> Self {
        Self { width, height, duration_ms: None }
    }
}

/// What a stored image is to its trigger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageKind {
    /// The picture of the instant, or of a configured distance from it.
    #[default]
    Instant,
    /// The sharpest well-exposed picture around it.
    Best,
    /// The video around it.
    Clip,
}

impl ImageKind {
    /// As in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Instant => "instant",
            Self::Best => "best",
            Self::Clip => "clip",
        }
    }

    /// Parses what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Instant, Self::Best, Self::Clip].into_iter().find(|kind| kind.as_str() == text)
    }

    /// What its file is.
    pub fn medium(self) -> Medium {
        match self {
            Self::Instant | Self::Best => Medium::Jpeg,
            Self::Clip => Medium::Mp4,
        }
    }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Medium {
    /// A picture.
    Jpeg,
    /// A clip.
    Mp4,
}

impl Medium {
    /// The end of its file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => ".jpg",
            Self::Mp4 => ".mp4",
        }
    }

    /// Parses what [`Self::media_type`] gives.
    pub fn parse(media_type: &str) -> Option<Self> {
        [Self::Jpeg, Self::Mp4].into_iter().find(|medium| medium.media_type() == media_type)
    }

    /// As in `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Mp4 => "video/mp4",
        }
    }
}

/// What asked for a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// A contact closed.
    Gpio,
    /// A person or program asked, through the dashboard or the API.
    Manual,
    /// A picture without a row was found on the disk at start-up.
    Recovered,
    /// Nobody: a device sent its picture by itself, by HTTP.
    Push,
    /// The same by FTP.
    Ftp,
    /// Nobody: it was brought in from a program before this one.
    Import,
}

impl Cause {
    /// Every cause. The database takes any; what is not among these is of a newer version.
    pub const ALL: [Self; 6] =
        [Self::Gpio, Self::Manual, Self::Recovered, Self::Push, Self::Ftp, Self::Import];

    /// As in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gpio => "gpio",
            Self::Manual => "manual",
            Self::Recovered => "recovered",
            Self::Push => "push",
            Self::Ftp => "ftp",
            Self::Import => "import",
        }
    }

    /// Parses what [`Self::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text)
    }
}
