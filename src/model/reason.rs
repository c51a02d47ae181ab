//! Why a trigger has no picture of its own: a code and parameters for programs, and the sentence that is made of them for
//! people. All such sentences are here, so another language is this file once more.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How the sentence begins about a picture that was there and could not be stored.
pub const UNSTORED: &str = "the picture could not be stored";

/// Why there is no picture. Codes and names of parameters are stable: they are in databases and in the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum NoPicture {
    /// No such camera.
    UnknownCamera {
        /// The one that was asked for.
        camera: String,
    },
    /// It is switched off.
    CameraDisabled {
        /// Which.
        camera: String,
    },
    /// As many captures as can be served were already under way.
    Busy {
        /// How many.
        waiting: u64,
    },
    /// The camera sent no picture of that instant.
    NoFrame {
        /// What is wrong with it, in words.
        detail: String,
    },
    /// The newest picture of the camera was no picture of that instant.
    FrameTooOld {
        /// How much older than the instant it was.
        age_ms: u64,
    },
    /// No picture could be made of what came.
    Undecodable {
        /// What was wrong with it, in words.
        detail: String,
    },
    /// The picture could not be stored.
    NotStored {
        /// Why, in words.
        detail: String,
    },
    /// There was no room for the picture, and nothing may go.
    DiskFull {
        /// How much is free, what is owed to whom and what to do, in words.
        detail: String,
    },
    /// The picture is a file; its row comes when the database takes it.
    KeptAsFile {
        /// Why, in words.
        detail: String,
    },
    /// The program was ending.
    Stopping,
    /// The program or the power ended before there was a picture.
    Interrupted,
    /// The file of its picture was removed before the database took it.
    FileRemoved,
    /// Words without a code, of a version that had none.
    #[serde(skip)]
    Words(String),
}

impl NoPicture {
    /// What it is, for programs: stable, snake_case. Mere words have none.
    pub fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::UnknownCamera { .. } => "unknown_camera",
            Self::CameraDisabled { .. } => "camera_disabled",
            Self::Busy { .. } => "busy",
            Self::NoFrame { .. } => "no_frame",
            Self::FrameTooOld { .. } => "frame_too_old",
            Self::Undecodable { .. } => "undecodable",
            Self::NotStored { .. } => "not_stored",
            Self::DiskFull { .. } => "disk_full",
            Self::KeptAsFile { .. } => "kept_as_file",
            Self::Stopping => "stopping",
            Self::Interrupted => "interrupted",
            Self::FileRemoved => "file_removed",
            Self::Words(_) => return None,
        })
    }

    /// What the code is about.
    pub fn params(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(mut params)) => {
                params.remove("code");
                params
            }
            // Mere words.
            Ok(_) | Err(_) => Map::new(),
        }
    }

    /// As it was kept. What this version does not know by its code is its words.
    pub fn of(code: Option<&str>, params: Option<&str>, words: &str) -> Self {
        let typed = code.and_then(|code| {
            let mut value: Map<String, Value> = serde_json::from_str(params.unwrap_or("{}")).ok()?;
            value.insert("code".to_owned(), code.into());
            serde_json::from_value(Value::Object(value)).ok()
        });
        typed.unwrap_or_else(|| Self::Words(words.to_owned()))
    }

    /// The same with the words of others in it changed.
    #[must_use]
    pub fn with_words(self, change: impl FnOnce(&str) -> String) -> Self {
        match self {
            Self::UnknownCamera { camera } => Self::UnknownCamera { camera: change(&camera) },
            Self::NoFrame { detail } => Self::NoFrame { detail: change(&detail) },
            Self::Undecodable { detail } => Self::Undecodable { detail: change(&detail) },
            Self::NotStored { detail } => Self::NotStored { detail: change(&detail) },
            Self::DiskFull { detail } => Self::DiskFull { detail: change(&detail) },
            Self::KeptAsFile { detail } => Self::KeptAsFile { detail: change(&detail) },
            Self::Words(words) => Self::Words(change(&words)),
            reason @ (Self::CameraDisabled { .. }
            | Self::Busy { .. }
            | Self::FrameTooOld { .. }
            | Self::Stopping
            | Self::Interrupted
            | Self::FileRemoved) => reason,
        }
    }
}

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
        }
    }
}

impl From<&str> for NoPicture {
    fn from(words: &str) -> Self {
        Self::Words(words.to_owned())
    }
}

impl From<String> for NoPicture {
    fn from(words: String) -> Self {
        Self::Words(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<NoPicture> {
        let (camera, detail) = ("r1".to_owned(), "nothing listens".to_owned());
        vec![
            NoPicture::UnknownCamera { camera: camera.clone() },
            NoPicture::CameraDisabled { camera },
            NoPicture::Busy { waiting: 8 },
            NoPicture::NoFrame { detail: detail.clone() },
            NoPicture::FrameTooOld { age_ms: 2_340 },
            NoPicture::Undecodable { detail: detail.clone() },
            NoPicture::NotStored { detail: detail.clone() },
            NoPicture::DiskFull { detail: detail.clone() },
            NoPicture::KeptAsFile { detail },
            NoPicture::Stopping,
            NoPicture::Interrupted,
            NoPicture::FileRemoved,
        ]
    }

    #[test]
    fn a_reason_is_the_same_after_it_was_kept_as_code_and_parameters() {
        for reason in all() {
            let params = Value::Object(reason.params()).to_string();
            assert!(!params.contains("code"), "{params}");
            let back = NoPicture::of(reason.code(), Some(&params), "other words");
            assert_eq!(back, reason);
            assert!(!reason.to_string().is_empty());
        }
        assert_eq!(
            NoPicture::FrameTooOld { age_ms: 2_340 }.to_string(),
            "the newest picture of the camera was 2.3 s older than the instant asked for"
        );
    }

    #[test]
    fn what_has_no_code_or_one_of_a_later_version_keeps_its_words() {
        let words = NoPicture::Words("the camera was away".to_owned());
        for (code, params) in [
            (None, None),
            (Some("of_later"), Some("{}")),
            (Some("busy"), Some("{}")),
            (Some("busy"), Some("[")),
        ] {
            assert_eq!(NoPicture::of(code, params, "the camera was away"), words, "{code:?}");
        }
        assert_eq!((words.code(), words.params()), (None, Map::new()));
    }
}
