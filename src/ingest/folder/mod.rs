//! Pictures that another program puts into a folder: rsync, Samba, motion, a card that is copied.
//!
//! The folder is looked through each second, because nothing else tells what another machine writes to a share. A picture is
//! taken when it has its end and has rested, by the same door and the same way as any other. Only when it is safe the file
//! goes, or moves to `.done`; what is refused moves to `.refused` with its reason. Nothing is lost: what can be done with no
//! file stays where it is.

mod place;
mod rest;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::place::{FileEnd, FolderFile, FolderPlace, Look};
use self::rest::{Rest, Turn};
use super::Door;
use crate::capture::{PushRefusal, PushedPicture, Pushes, RefusedPicture, check_push};
use crate::clock;
use crate::config::{DeviceConfig, FolderConfig};
use crate::model::{Cause, NoPicture};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A look takes at most a part of the time, however much lies there and however slow the disk is.
const LOOK_SHARE: u32 = 20;

/// Until a picture that cannot be stored now is tried again.
const LATER: Duration = Duration::from_secs(30);

/// The folder of one device.
pub struct FolderTask {
    device: Arc<DeviceConfig>,
    place: Arc<FolderPlace>,
    keeps: bool,
    door: Arc<Door>,
    pushes: Pushes,
    /// What lies there, and since when it rests.
    files: BTreeMap<PathBuf, Rest>,
    /// Nothing is taken before.
    again_at: Option<Instant>,
    /// That files cannot be read or moved was said.
    has_said: bool,
}

impl FolderTask {
    /// The task of a device that has such a folder.
    pub fn new(device: &DeviceConfig, folder: &FolderConfig, door: Arc<Door>, pushes: Pushes) -> Self {
        Self {
            device: Arc::new(device.clone()),
            place: Arc::new(FolderPlace::new(&folder.path)),
            keeps: folder.keeps,
            door,
            pushes,
            files: BTreeMap::new(),
            again_at: None,
            has_said: false,
        }
    }

    /// Name of the device.
    pub fn device(&self) -> &str {
        self.device.name.as_str()
    }

    /// Looks and takes until cancelled; a picture that is being stored then is finished. The error says why the folder
    /// cannot be looked through.
    pub async fn run(&mut self, cancel: &CancellationToken) -> Result<(), String> {
        info!(device = %self.device.name, folder = %self.place.root().display(), "looks for pictures");
        loop {
            let began = Instant::now();
            let found = self.look().await?;
            let took = began.elapsed();
            self.take(found, Instant::now(), cancel).await;
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY.max(took * LOOK_SHARE)) => {}
            }
        }
    }

    /// What lies there now.
    async fn look(&mut self) -> Result<Vec<FolderFile>, String> {
        let place = Arc::clone(&self.place);
        let looked = spawn_blocking(move || place.look()).await.map_err(|error| error.to_string())?;
        let Look { files, unreadable } = looked.map_err(|error| {
            let (root, number) = (self.place.root().display(), self.device.number);
            format!("cannot look for pictures in {root} (INGEST_{number}_FOLDER): {error}; make the folder, or mount its disk")
        })?;
        if let Some((path, error)) = unreadable {
            self.say_once(&path, &error.to_string(), "cannot be read, and stays");
        }
        Ok(files)
    }

    /// Takes what has rested.
    async fn take(&mut self, found: Vec<FolderFile>, now: Instant, cancel: &CancellationToken) {
        let mut before = std::mem::take(&mut self.files);
        for file in &found {
            let path = file.path();
            let rest = before
                .remove(&path)
                .map_or_else(|| Rest::begun(file.stamp, now), |rest| rest.looked_at(file.stamp, now));
            self.files.insert(path, rest);
        }
        for file in found {
            if cancel.is_cancelled() || self.again_at.is_some_and(|again_at| now < again_at) {
                return;
            }
            let path = file.path();
            let Some(turn) = self.files.get(&path).map(|rest| rest.turn(now)) else { continue };
            let next = match turn {
                Turn::Wait => continue,
                Turn::Whole | Turn::Any => self.one(file, turn, now).await,
            };
            if let (Some(next), Some(rest)) = (next, self.files.get_mut(&path)) {
                rest.next = next;
            }
        }
    }

    /// Takes one; when it is looked at again, if it is still there.
    async fn one(&mut self, file: FolderFile, turn: Turn, now: Instant) -> Option<rest::Next> {
        let (place, most) = (Arc::clone(&self.place), self.device.max_bytes);
        let (device, arrived) = (Arc::clone(&self.device), clock::moment());
        let length = file.stamp.length;
        let bytes = if length > most {
            Vec::new()
        } else {
            let (place, wanted) = (Arc::clone(&place), file.clone());
            match spawn_blocking(move || place.read(&wanted)).await {
                Ok(Ok(Some(bytes))) => bytes,
                // It is another one now, or gone.
                Ok(Ok(None)) => return None,
                Ok(Err(error)) => {
                    self.say_once(&file.path(), &error.to_string(), "cannot be read, and stays");
                    return Some(rest::Next::At(now + LATER));
                }
                Err(_) => return Some(rest::Next::At(now + LATER)),
            }
        };
        let is_fit = length <= most && check_push(&bytes, device.max_pixels).is_ok();
        if !is_fit && turn == Turn::Whole {
            // Somebody may still be writing it.
            return Some(rest::Next::Unfit);
        }
        if let Err(wait) = self.door.take(&device, now) {
            self.again_at = Some(now + wait);
            return None;
        }
        let refused = if length > most {
            let reason = NoPicture::TooLarge { bytes: length, limit: most };
            let refused = RefusedPicture {
                cause: Cause::Push,
                device: device.name.clone(),
                camera: device.camera.clone(),
                arrived,
                reason: reason.clone(),
                came: Vec::new(),
            };
            self.pushes.refuse(refused).await;
            Some(reason)
        } else {
            let pushed = PushedPicture {
                cause: Cause::Push,
                device: device.name.clone(),
                camera: device.camera.clone(),
                bytes,
                pixels_max: device.max_pixels,
                arrived,
                taken_at: None,
                own_name: device.keeps_name.then(|| file.name.to_string_lossy().into_owned()),
                first_id: None,
            };
            match self.pushes.keep(pushed).await {
                Ok(_) => None,
                Err(PushRefusal::Unfit(reason)) => Some(reason),
                Err(PushRefusal::Later(reason)) => {
                    warn!(device = %device.name, file = %file.path().display(), %reason, "a picture of the folder waits");
                    self.again_at = Some(now + LATER);
                    return None;
                }
            }
        };
        self.finish(file, refused).await
    }

    /// The file goes, now that it is safe or refused.
    async fn finish(&mut self, file: FolderFile, refused: Option<NoPicture>) -> Option<rest::Next> {
        let end = match (refused, self.keeps) {
            (Some(reason), _) => FileEnd::Refused(reason.to_string()),
            (None, true) => FileEnd::Done,
            (None, false) => FileEnd::Removed,
        };
        let (place, path) = (Arc::clone(&self.place), file.path());
        match spawn_blocking(move || place.finish(&file, &end)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                self.say_once(
                    &path,
                    &error.to_string(),
                    "cannot be removed or moved; it stays, and is not taken again",
                );
                Some(rest::Next::Never)
            }
            Err(_) => Some(rest::Next::Never),
        }
    }

    /// A folder of a thousand files that cannot be moved says it of the first.
    fn say_once(&mut self, path: &Path, error: &str, what: &str) {
        if !std::mem::replace(&mut self.has_said, true) {
            warn!(device = %self.device.name, file = %path.display(), error, "a file of the folder {what}");
        }
    }
}

#[cfg(test)]
mod tests;
