//! Query strings and path segments, parsed once, with errors that name the parameter and what is accepted. What each
//! parameter is stands in `parameters.rs`.

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::State;
use super::error::ApiError;
use super::parameters::{LIMIT_DEFAULT, LIMIT_MAX, PAGE_MAX};
use super::route::Parameter;
use crate::config::CameraConfig;
use crate::model::{CameraKey, FileName, UnixMs};
use crate::store::Cursor;

/// A page by its number.
#[derive(Clone, Copy)]
pub(super) struct NumberedPage {
    /// 1 to [`PAGE_MAX`].
    pub(super) page: u32,
    /// Items on it, 1 to [`LIMIT_MAX`].
    pub(super) per_page: u32,
}

impl NumberedPage {
    /// How many items are newer than those of this page.
    pub(super) fn before(self) -> u32 {
        (self.page - 1) * self.per_page
    }
}

/// The parameters of a query string. Each name may stand once, and only the names a route knows.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// `known` is what the route's row names.
    pub(super) fn of(request: &HttpRequest, known: &[Parameter]) -> Result<Self, ApiError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(request.query_string().as_bytes()) {
            if !known.iter().any(|known| known.name == name) {
                let names: Vec<_> = known.iter().map(|known| known.name).collect();
                return Err(ApiError::bad_request(format!(
                    "unknown parameter; accepted here: {}",
                    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
                )));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(ApiError::bad_request(format!("{name}: given more than once")));
            }
            // An empty field of a form means that nothing was chosen.
            if !value.is_empty() {
                pairs.push((name.into_owned(), value.into_owned()));
            }
        }
        Ok(Self(pairs))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A value of a closed set or with a grammar; `accepted` goes into the error.
    pub(super) fn parsed<T>(
        &self,
        name: &str,
        accepted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match parse(text) {
            Some(value) => Ok(Some(value)),
            None => Err(ApiError::bad_request(format!("{name}: accepted is {accepted}"))),
        }
    }

    /// `1`, `true`, `0` or `false`; absent is false.
    pub(super) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        let value = self.parsed(name, "true or false", |text| match text {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        })?;
        Ok(value.unwrap_or(false))
    }

    /// RFC 3339, or milliseconds since 1970.
    pub(super) fn instant(&self, name: &str) -> Result<Option<UnixMs>, ApiError> {
        self.parsed(name, "a time such as 2026-11-20T12:00:00Z, or milliseconds since 1970", |text| {
            if let Ok(ms) = text.parse::<i64>() {
                return Some(UnixMs(ms));
            }
            text.parse::<jiff::Timestamp>().ok().map(|stamp| UnixMs(stamp.as_millisecond()))
        })
    }

    /// The camera, by its key or its number; a device has a key as well.
    pub(super) fn camera(&self, cameras: &[CameraConfig]) -> Result<Option<CameraKey>, ApiError> {
        self.parsed("camera", "a camera's key, such as r1", |text| camera_named(cameras, text))
    }

    /// A number from 1 to `most`, which it is unless asked otherwise.
    pub(super) fn up_to(&self, name: &str, most: u32) -> Result<u32, ApiError> {
        let number = self.parsed(name, &format!("1 to {most}"), |text| {
            text.parse().ok().filter(|number| (1..=most).contains(number))
        })?;
        Ok(number.unwrap_or(most))
    }

    pub(super) fn limit(&self) -> Result<u32, ApiError> {
        let limit = self.parsed("limit", &format!("1 to {LIMIT_MAX}"), |text| {
            text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit))
        })?;
        Ok(limit.unwrap_or(LIMIT_DEFAULT))
    }

    /// `page` and `per_page`, for clients that count pages; `None` when neither stands there.
    pub(super) fn numbered_page(&self) -> Result<Option<NumberedPage>, ApiError> {
        let accepted = format!("1 to {PAGE_MAX}; older pictures by cursor, or by from and to");
        let page = self.parsed("page", &accepted, |text| {
            text.parse().ok().filter(|page| (1..=PAGE_MAX).contains(page))
        })?;
        let per_page = self.parsed("per_page", &format!("1 to {LIMIT_MAX}"), |text| {
            text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit))
        })?;
        if page.is_none() && per_page.is_none() {
            return Ok(None);
        }
        Ok(Some(NumberedPage { page: page.unwrap_or(1), per_page: per_page.unwrap_or(LIMIT_DEFAULT) }))
    }

    pub(super) fn cursor(&self) -> Result<Option<Cursor>, ApiError> {
        self.parsed("cursor", "the next_cursor of the page before", Cursor::parse)
    }
}

/// The camera in the path, by its key, or as `camera_1` or `1` by its number; one that cannot exist does not.
pub(super) fn camera_of(request: &HttpRequest) -> Result<CameraKey, ApiError> {
    let cameras = request.app_data::<Data<State>>().map_or(&[][..], |state| &state.config.cameras);
    request
        .match_info()
        .get("camera")
        .and_then(|text| camera_named(cameras, text))
        .ok_or_else(|| ApiError::not_found("there is no camera of that name"))
}

/// A name that is a camera's key is that camera; `camera_1` and `1` are the first one for clients that count.
fn camera_named(cameras: &[CameraConfig], text: &str) -> Option<CameraKey> {
    let key = CameraKey::parse(text).ok()?;
    if cameras.iter().any(|camera| camera.key == key) {
        return Some(key);
    }
    let number = text.strip_prefix("camera_").unwrap_or(text).parse::<u8>().ok();
    let counted = cameras.iter().find(|camera| Some(camera.number) == number);
    Some(counted.map_or(key, |camera| camera.key.clone()))
}

/// The picture in the path, by the grammar of names and nothing else: a path trick does not parse.
pub(super) fn filename_of(request: &HttpRequest) -> Result<FileName, ApiError> {
    request.match_info().get("filename").and_then(FileName::parse).ok_or_else(no_image)
}

pub(super) fn no_image() -> ApiError {
    ApiError::not_found("there is no picture of that name; it may have been deleted")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Env};

    /// S4.13
    #[test]
    fn a_camera_is_found_by_its_key_first_and_then_by_its_number() {
        let pairs =
            [("CAMERA_1_IP", "a"), ("CAMERA_2_IP", "b"), ("CAMERA_2_NAME", "1"), ("CAMERA_3_IP", "c")];
        let (config, _) = Config::parse(&Env::from_pairs(pairs)).unwrap();
        let named = |text| camera_named(&config.cameras, text).map(|key| key.to_string());
        for (text, key) in [
            ("r1", "r1"),
            ("camera_1", "r1"),
            ("1", "1"),
            ("camera_2", "1"),
            ("3", "r3"),
            ("camera_3", "r3"),
            ("4", "4"),
            ("camera_4", "camera_4"),
            ("camera_999", "camera_999"),
        ] {
            assert_eq!(named(text).as_deref(), Some(key), "{text}");
        }
        assert_eq!(named("../r1"), None);
    }
}
