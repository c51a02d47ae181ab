//! Latencies of cameras as measured, among the settings: what an operator sets in the environment is not kept here.

use rusqlite::named_params;

use super::access::stored;
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
        const SET_SQL: &str = "
            insert into settings (key, value) values (:key, :value)
            on conflict (key) do update set value = excluded.value";
        let key = name(camera);
        self.db
            .write(move |tx| {
                match ms {
                    Some(ms) => tx.execute(SET_SQL, named_params! {":key": key, ":value": ms.to_string()})?,
                    None => {
                        tx.execute("delete from settings where key = :key", named_params! {":key": key})?
                    }
                };
                Ok(())
            })
            .await
    }
}

fn name(camera: &CameraKey) -> String {
    format!("latency_ms:{camera}")
}
