//! Where the camera is that is set up over the network, among the settings: it is there again after a restart.

use super::settings::{put, stored};
use super::{Store, StoreError};
use crate::model::CameraKey;

impl Store {
    /// Where a camera was set up last, as it was written.
    pub async fn stream_address(&self, camera: &CameraKey) -> Result<Option<String>, StoreError> {
        let key = name(camera);
        self.db.read(move |c| stored(c, &key)).await
    }

    /// Keeps where a camera was set up, or forgets it. Durable when it returns.
    pub async fn set_stream_address(
        &self,
        camera: &CameraKey,
        address: Option<String>,
    ) -> Result<(), StoreError> {
        let key = name(camera);
        self.db.write(move |tx| put(tx, &key, address.as_deref())).await
    }
}

fn name(camera: &CameraKey) -> String {
    format!("stream_address:{camera}")
}
