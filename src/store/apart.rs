//! A picture that stands in no queue and lies in no folder.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::queue::DueUpload;
use crate::model::{Cause, FileName, ImageId, ImageKind, TargetKind, UnixMs};

impl DueUpload {
    /// A picture with these bytes that is owed to nobody and settled nowhere, as a target is told of one; it was asked
    /// for by hand and shows the instant that was asked for.
    pub fn apart(
        target: TargetKind,
        id: ImageId,
        filename: FileName,
        taken_at: UnixMs,
        bytes: &[u8],
    ) -> Self {
        Self {
            // No row has it.
            row: 0,
            target,
            id,
            path: PathBuf::from(filename.to_string()),
            root: PathBuf::new(),
            camera: filename.camera().clone(),
            filename,
            cause: Cause::Manual,
            taken_at,
            frame_offset_ms: Some(0),
            kind: ImageKind::Instant,
            bytes: bytes.len() as u64,
            sha256: Sha256::digest(bytes).into(),
            attempts: 0,
            refusals: 0,
        }
    }
}
