//! A picture that stands in no queue and lies in no folder.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::queue::DueUpload;
use crate::model::{FileName, PictureFacts, TargetId};

impl DueUpload {
    /// A picture with these facts and bytes that is owed to nobody and settled nowhere, as a target is told of one.
    pub fn apart(target: TargetId, facts: PictureFacts, filename: FileName, bytes: &[u8]) -> Self {
        Self {
            // No row has it.
            row: 0,
            target,
            facts,
            path: PathBuf::from(filename.to_string()),
            root: PathBuf::new(),
            filename,
            bytes: bytes.len() as u64,
            sha256: Sha256::digest(bytes).into(),
            attempts: 0,
            refusals: 0,
        }
    }
}
