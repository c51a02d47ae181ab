//! Whole numbers as JSON has them: 200 and 200.0 are one number and an "integer" of JSON Schema, and programs whose
//! language knows only floating point write either.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// The first whole number beyond `i64`; as a floating point number it is exact.
const TOO_MUCH: f64 = 9_223_372_036_854_775_808.0;

/// For `deserialize_with`.
pub(super) fn whole<'de, T: TryFrom<i64>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Whole(PhantomData))
}

/// The same where null stands for none. A field that may be missing wants `default` beside it.
pub(super) fn whole_or_null<'de, T: TryFrom<i64>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_option(OrNull(PhantomData))
}

struct Whole<T>(PhantomData<T>);

impl<T: TryFrom<i64>> Visitor<'_> for Whole<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::custom(format_args!("{value} is out of range")))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        let value = i64::try_from(value).map_err(|_| E::custom(format_args!("{value} is out of range")))?;
        self.visit_i64(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        if value.fract() != 0.0 {
            return Err(E::invalid_type(Unexpected::Float(value), &self));
        }
        if !(-TOO_MUCH..TOO_MUCH).contains(&value) {
            return Err(E::custom(format_args!("{value:e} is out of range")));
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the range, as was just seen")]
        self.visit_i64(value as i64)
    }
}

struct OrNull<T>(PhantomData<T>);

impl<'de, T: TryFrom<i64>> Visitor<'de> for OrNull<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number or null")
    }

    fn visit_none<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        whole(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Body {
        #[serde(deserialize_with = "super::whole")]
        id: i64,
        #[serde(default, deserialize_with = "super::whole_or_null")]
        days: Option<u32>,
    }

    fn read(text: &str) -> Result<(i64, Option<u32>), String> {
        let body: Body = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ok((body.id, body.days))
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        for (text, expected) in [
            (r#"{"id": 92}"#, (92, None)),
            (r#"{"id": 92.0, "days": 7.0}"#, (92, Some(7))),
            (r#"{"id": -7104.0, "days": null}"#, (-7104, None)),
            (r#"{"id": 1e3, "days": 0}"#, (1000, Some(0))),
            (r#"{"id": -9223372036854775808}"#, (i64::MIN, None)),
            (r#"{"id": -9223372036854775808.0}"#, (i64::MIN, None)),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_whole_number_or_too_large_is_refused() {
        for (text, why) in [
            (r#"{"id": 92.5}"#, "invalid type: floating point `92.5`, expected a whole number"),
            (r#"{"id": "92"}"#, "invalid type: string \"92\", expected a whole number"),
            (r#"{"id": null}"#, "invalid type: null, expected a whole number"),
            (r#"{"id": 9223372036854775808}"#, "9223372036854775808 is out of range"),
            (r#"{"id": 9223372036854775808.0}"#, "9.223372036854776e18 is out of range"),
            (r#"{"id": 1, "days": -1}"#, "-1 is out of range"),
            (r#"{"id": 1, "days": 4294967296.0}"#, "4294967296 is out of range"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.starts_with(why), "{text}: {said}");
        }
    }
}
