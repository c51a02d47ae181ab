//! Pictures that stand in no queue: one as a target is told of it, and one as a file beside the stored ones.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::StoreError;
use super::disk::pictures_away;
use super::files::save_below;
use super::queue::{DuePicture, DueUpload};
use crate::model::{FileName, PictureFacts, TargetId};

impl DueUpload {
    /// A picture with these facts and bytes that is owed to nobody and settled nowhere, as a target is told of one.
    pub fn apart(target: TargetId, facts: PictureFacts, filename: FileName, bytes: &[u8]) -> Self {
        let picture = DuePicture {
            // No row has it.
            row: 0,
            facts,
            path: PathBuf::from(filename.to_string()),
            root: PathBuf::new(),
            filename,
            bytes: bytes.len() as u64,
            sha256: Sha256::digest(bytes).into(),
        };
        Self { picture, target, attempts: 0, refusals: 0, readings: Vec::new(), link: None }
    }
}

/// Writes a picture that is no image into a folder of its own below the picture directory, in place of any of that name.
/// Returns where it is. Nothing is made in the place of a disk that is not mounted. Blocking.
pub fn save_apart(
    images: &Path,
    database: &Path,
    folder: &str,
    name: &FileName,
    bytes: &[u8],
) -> Result<PathBuf, StoreError> {
    if let Some(why) = pictures_away(images, database) {
        return Err(StoreError::Away { why });
    }
    save_below(images, folder, name, bytes).map_err(|source| StoreError::File {
        action: "write a picture below",
        path: images.join(folder),
        source,
    })
}
