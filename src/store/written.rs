//! A reason as the columns of a database have it: its sentence, and its code and parameters for programs.

use rusqlite::Row;
use serde_json::Value;

use super::kept;
use crate::model::Coded;

/// What is written of a reason. A row of before codes, or a reason without one, has the words alone.
#[derive(Default)]
pub(super) struct Written {
    pub(super) words: Option<String>,
    pub(super) code: Option<&'static str>,
    pub(super) params: Option<String>,
}

impl Written {
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
