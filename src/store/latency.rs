//! Latencies of cameras as measured, among the settings: what an operator sets in the environment is not kept here.

use super::settings::{put, stored};
use super::{Store, StoreError};
use crate::model::CameraKey;

impl Store {
    /// The latency of a camera in milliseconds, as it was measured last.
    pub async fn measured_latency(&self, camera: &CameraKey) -> Result<Option<u64>, StoreError> {
        let key = name(camera);
        let text = self.db.read(move |c| stored(c, &key)).await?;
        Ok(text.and_then(|ms| ms.parse().ok()))
    }

    /// Keeps a latency, or forgets it.
    pub async fn set_measured_latency(&self, camera: &CameraKey, ms: Option<u64>) -> Result<(), StoreError> {
        let (key, ms) = (name(camera), ms.map(|ms| ms.to_string()));
        self.db.write(move |tx| put(tx, &key, ms.as_deref())).await
    }
}

fn name(camera: &CameraKey) -> String {
    format!("latency_ms:{camera}")
}
