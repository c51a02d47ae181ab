//! A reason as the columns of a database have it: its sentence, and its code and parameters for programs.

use rusqlite::Row;
use serde_json::Value;

use super::kept;
use crate::model::Coded;

/// What is written of a reason. A row of before codes, or a reason without one, has the words alone.
#[derive(Default)]
pub(super) struct KeptReason {
    pub(super) words: Option<String>,
    pub(super) code: Option<&'static str>,
    pub(super) params: Option<String>,
}

impl KeptReason {
    pub(super) fn of(reason: &(impl Coded + Clone)) -> Self {
        let reason = reason.clone().with_words(kept);
        let code = reason.code();
        let params = code.map(|_| Value::Object(reason.params()).to_string());
        Self { words: Some(kept(&reason.to_string())), code, params }
    }
}

/// The reason of a row: the column with the sentence is called `name`, the others `name_code` and `name_params`.
pub(super) fn read<T: Coded>(row: &Row<'_>, name: &str) -> rusqlite::Result<Option<T>> {
    let Some(words) = row.get::<_, Option<String>>(name)? else { return Ok(None) };
    let code: Option<String> = row.get(format!("{name}_code").as_str())?;
    let params: Option<String> = row.get(format!("{name}_params").as_str())?;
    Ok(Some(T::of(code.as_deref(), params.as_deref(), &words).with_words(kept)))
}

#[cfg(test)]
mod tests {
    use crate::model::{Samples as _, UnixMs, UploadFault};
    use crate::store::testing::{Place, T0, claim, take};
    use crate::store::{DeadQuery, DueUpload, Settlement, Store};

    async fn last_error(store: &Store, due: &DueUpload) -> Option<UploadFault> {
        store.image(&due.filename).await.unwrap().unwrap().uploads.remove(0).last_error
    }

    #[tokio::test]
    async fn every_fault_of_a_delivery_is_the_same_after_it_was_stored() {
        let place = Place::new();
        let store = place.open();
        take(&store, "r1", T0).await;
        let due = claim(&store, 1).await.remove(0);
        for fault in UploadFault::samples("Wörter \"von\" anderen", 7) {
            let settlement = Settlement::Retry { not_before: UnixMs(0), error: fault.clone() };
            assert!(store.settle(&due, settlement).await.unwrap());
            assert_eq!(last_error(&store, &due).await, Some(fault));
        }
    }

    #[tokio::test]
    async fn an_upload_of_an_older_or_a_later_version_keeps_its_words() {
        let place = Place::new();
        let store = place.open();
        take(&store, "r1", T0).await;
        let due = claim(&store, 1).await.remove(0);
        let fault = UploadFault::Answered { status: 413, words: "too large".to_owned() };
        store.settle(&due, Settlement::Dead { error: fault.clone() }).await.unwrap();
        let query = DeadQuery { limit: 1, ..DeadQuery::default() };
        assert_eq!(store.dead(query).await.unwrap().items[0].last_error, Some(fault));
        for (code, params) in [
            ("null", "null"),
            ("'of_later'", "'{\"status\":413}'"),
            ("'answered'", "'no JSON'"),
            ("'answered'", "'{\"status\":\"four\"}'"),
            ("'answered'", "null"),
        ] {
            let sql = format!("update uploads set last_error_code = {code}, last_error_params = {params}");
            place.sql().execute_batch(&sql).unwrap();
            let words = Some(UploadFault::Words("answered 413: too large".to_owned()));
            assert_eq!(last_error(&store, &due).await, words, "{code} {params}");
            assert_eq!(store.dead(query).await.unwrap().items[0].last_error, words);
        }
    }

    #[tokio::test]
    async fn a_delivery_after_a_fault_keeps_what_the_last_one_met() {
        let place = Place::new();
        let store = place.open();
        take(&store, "r1", T0).await;
        let due = claim(&store, 1).await.remove(0);
        let fault = UploadFault::AnswerCut;
        for settlement in [
            Settlement::Retry { not_before: UnixMs(0), error: fault.clone() },
            Settlement::Delivered { at: UnixMs(T0) },
        ] {
            store.settle(&due, settlement).await.unwrap();
            assert_eq!(last_error(&store, &due).await, Some(fault.clone()));
        }
    }
}
