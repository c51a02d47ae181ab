//! What was read in pictures, kept beside what a person says it is, with what it is found by.

use std::collections::BTreeSet;

use rusqlite::{Connection, Transaction, named_params};

use super::analysis_rows::{NewReading, TextCorrection, readings_of_one};
use super::rows::Image;
use super::{Store, StoreError, images, kept};
use crate::model::{FileName, PlateText};

pub(super) const INSERT_SQL: &str = "
    insert into readings (image_id, taken_at, text, score, xmin, ymin, xmax, ymax, known, unsure, watched)
    select id, taken_at, :text, :score, :xmin, :ymin, :xmax, :ymax, :known, :unsure, :watched from images where id = :image";

const KEY_SQL: &str = "insert or ignore into reading_keys (key, text) values (:key, :text)";

/// What nobody has looked at is replaced by the next answer.
pub(super) const FORGET_SQL: &str = "
    delete from readings where image_id = :image and checked_at is null";

const CHECK_SQL: &str = "
    update readings
    set corrected = :corrected, known = :known, checked_at = :at, checked_by = :by, watched = :watched
    where id = :reading and image_id = (select id from images where file_name = :name and state = 'present')";

impl Store {
    /// Writes down what a person says of a reading; `None` when there is no such picture or reading. What was read stays.
    pub async fn correct_reading(
        &self,
        name: &FileName,
        reading: i64,
        correction: TextCorrection,
    ) -> Result<Option<Image>, StoreError> {
        let name = name.clone();
        self.db
            .write(move |tx| {
                let known = PlateText::parse(&correction.text);
                let text = known.as_ref().map_or("", PlateText::as_str);
                let changed = tx.prepare_cached(CHECK_SQL)?.execute(named_params! {
                    ":corrected": kept(&correction.text), ":known": text, ":at": correction.at.0,
                    ":by": kept(&correction.by), ":watched": correction.watched, ":reading": reading,
                    ":name": name.to_string(),
                })?;
                if let Some(known) = &known {
                    write_keys(tx, known)?;
                }
                if changed == 0 { Ok(None) } else { images::by_name(tx, &name) }
            })
            .await
    }
}

/// Keeps what was read in a picture, in the place of what was read before and nobody has looked at. The same text twice
/// in a picture is one, and one that a person has spoken about stays as it is.
pub(super) fn replace(tx: &Transaction<'_>, image: i64, found: &[NewReading]) -> Result<(), StoreError> {
    tx.prepare_cached(FORGET_SQL)?.execute(named_params! {":image": image})?;
    let mut there: BTreeSet<String> = BTreeSet::new();
    for reading in readings_of_one(tx, image)? {
        there.extend(PlateText::of_reading(&reading.read.text).map(|text| text.as_str().to_owned()));
        there.extend(reading.known.map(|text| text.as_str().to_owned()));
    }
    for new in found {
        let Some(known) = PlateText::of_reading(&new.read.text) else { continue };
        if !there.insert(known.as_str().to_owned()) {
            continue;
        }
        let place = new.read.place;
        tx.prepare_cached(INSERT_SQL)?.execute(named_params! {
            ":image": image, ":text": kept(&new.read.text), ":score": new.read.score,
            ":xmin": place.map(|place| place.xmin), ":ymin": place.map(|place| place.ymin),
            ":xmax": place.map(|place| place.xmax), ":ymax": place.map(|place| place.ymax),
            ":known": known.as_str(), ":unsure": new.is_unsure, ":watched": new.watched,
        })?;
        write_keys(tx, &known)?;
    }
    Ok(())
}

fn write_keys(c: &Connection, text: &PlateText) -> Result<(), StoreError> {
    let mut statement = c.prepare_cached(KEY_SQL)?;
    for key in text.near_keys() {
        statement.execute(named_params! {":key": key, ":text": text.as_str()})?;
    }
    Ok(())
}

/// Writes the keys of everything that was carried over into a new database.
pub(super) fn write_all_keys(c: &Connection) -> Result<(), StoreError> {
    let mut statement = c.prepare("select distinct known from readings")?;
    let texts = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    texts.iter().filter_map(|text| PlateText::parse(text)).try_for_each(|text| write_keys(c, &text))
}
