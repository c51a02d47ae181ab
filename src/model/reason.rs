//! Why a trigger has no picture of its own, for programs.

use super::coded::coded;

coded! {
    /// Why there is no picture. Codes and names of parameters are stable: they are in databases and in the API.
    pub enum NoPicture {
        /// No such camera.
        "unknown_camera" => UnknownCamera { camera: String },
        /// It is switched off.
        "camera_disabled" => CameraDisabled { camera: String },
        /// As many captures as can be served were already under way.
        "busy" => Busy { waiting: u64 },
        /// The camera sent no picture of that instant.
        "no_frame" => NoFrame { detail: String },
        /// The newest picture of the camera was no picture of that instant.
        "frame_too_old" => FrameTooOld { age_ms: u64 },
        /// No picture could be made of what came.
        "undecodable" => Undecodable { detail: String },
        /// The picture could not be stored.
        "not_stored" => NotStored { detail: String },
        /// There was no room for the picture, and nothing may go.
        "disk_full" => DiskFull { detail: String },
        /// The picture is a file; its row comes when the database takes it.
        "kept_as_file" => KeptAsFile { detail: String },
        /// The program was ending.
        "stopping" => Stopping,
        /// The program or the power ended before there was a picture.
        "interrupted" => Interrupted,
        /// The file of its picture was removed before the database took it.
        "file_removed" => FileRemoved,
        /// What a device sent is no JPEG.
        "not_jpeg" => NotJpeg { detail: String },
        /// What a device sent ends before the picture does.
        "torn" => Torn { bytes: u64 },
        /// What a device sent is longer than is taken.
        "too_large" => TooLarge { bytes: u64, limit: u64 },
        /// What a device sent has more pixels than are taken.
        "too_many_pixels" => TooManyPixels { width: u64, height: u64 },
        /// A device brings more pictures a minute than it may.
        "too_often" => TooOften { per_minute: u64 },
    }
}
