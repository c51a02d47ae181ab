//! What may stand in paths and queries, for the table of routes and for the handlers that read it.

use serde_json::{Value, json};
use utoipa::PartialSchema;

use super::route::Parameter;
use crate::model::{CameraKey, Cause, FileName, Medium, Outcome, TargetId, UploadState};
use crate::store::Cursor;

/// The rate of pictures unless asked otherwise: fluent enough for a gate.
pub(super) const FPS: u8 = 10;

/// The fastest rate that can be asked for.
pub(super) const FPS_MAX: u8 = 25;

/// The width of pictures unless asked otherwise, and what can be asked for.
pub(super) const WIDTH: u16 = 1280;
pub(super) const WIDTHS: std::ops::RangeInclusive<u16> = 320..=1920;

/// Items on a page unless asked otherwise.
pub(super) const LIMIT_DEFAULT: u32 = 50;

/// Most items on a page: about 100 kB of JSON.
pub(super) const LIMIT_MAX: u32 = 200;

/// Files in the list of older receivers, which asked for all of them: about 200 kB of JSON.
pub(super) const FILES_MAX: u32 = 1000;

/// The last page that can be had by its number; each is found by reading those before it.
pub(super) const PAGE_MAX: u32 = 200;

/// Pictures that are read at a time on the way to such a page.
pub(super) const STRIDE: u32 = 1_000;

const fn parameter(name: &'static str, says: &'static str, schema: fn() -> Value) -> Parameter {
    Parameter { name, says, schema }
}

/// The schema of a type.
fn of<T: PartialSchema>() -> Value {
    json!(T::schema())
}

fn integer(least: u32, most: u32, usually: u32) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most, "default": usually })
}

fn instant() -> Value {
    json!({
        "anyOf": [{ "type": "string", "format": "date-time" }, { "type": "integer", "format": "int64" }],
        "examples": ["2026-11-20T12:00:00Z"],
    })
}

fn cursor() -> Value {
    json!({ "type": "string", "pattern": Cursor::PATTERN, "examples": ["1795176000250.1204"] })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn flag() -> Value {
    json!({ "type": "boolean", "default": false })
}

const CAMERA: Parameter =
    parameter("camera", "key of a camera; camera_1 or 1 is the first one, too", of::<CameraKey>);
const FROM: Parameter = parameter("from", "not before: RFC 3339, or milliseconds since 1970", instant);
const TO: Parameter = parameter("to", "before: RFC 3339, or milliseconds since 1970", instant);
const LIMIT: Parameter = parameter("limit", "items on a page", || integer(1, LIMIT_MAX, LIMIT_DEFAULT));
const CURSOR: Parameter = parameter("cursor", "next_cursor of the page before", cursor);
const RATE: Parameter =
    parameter("fps", "at most so many JPEG pictures a second", || integer(1, FPS_MAX.into(), FPS.into()));
const SIZE: Parameter = parameter(
    "width",
    "JPEG pictures at most so wide; those of a camera that sends JPEG stay as they are",
    || integer((*WIDTHS.start()).into(), (*WIDTHS.end()).into(), WIDTH.into()),
);

/// The camera in a path.
pub(super) const OF_CAMERA: &[Parameter] = &[CAMERA];

/// The picture or clip in a path.
pub(super) const OF_FILE: &[Parameter] =
    &[parameter("filename", "name of a picture or clip", of::<FileName>)];

/// What was read in the picture in a path.
pub(super) const OF_READING: &[Parameter] = &[
    parameter("filename", "name of a picture", of::<FileName>),
    parameter("reading", "number of what was read", || json!({ "type": "integer", "format": "int64" })),
];

/// The module of a script in a path.
pub(super) const OF_SCRIPT: &[Parameter] = &[parameter("script", "such as words.js", text)];

/// The session in a path.
pub(super) const OF_SESSION: &[Parameter] = &[parameter("id", "as in the list of sessions", text)];

/// The token in a path.
pub(super) const OF_TOKEN: &[Parameter] =
    &[parameter("id", "number of the token", || json!({ "type": "integer", "format": "int64" }))];

/// The link in a path.
pub(super) const OF_LINK: &[Parameter] =
    &[parameter("id", "number of the link", || json!({ "type": "integer", "format": "int64" }))];

/// The refused picture in a path.
pub(super) const OF_REFUSED: &[Parameter] = &[parameter(
    "name",
    "its name in /api/quarantine",
    || json!({ "type": "string", "examples": ["refused_1795176000000_door_018c2f6e7d1a4b3c9e5f0a1b2c3d4e5f.bin"] }),
)];

/// The secret in the address of a link.
pub(super) const OF_PUBLIC: &[Parameter] = &[parameter(
    "token",
    "the secret of the link",
    || json!({ "type": "string", "examples": ["3q2-7wEjRWeJq83vASNFZw"] }),
)];

/// The trigger in a path.
pub(super) const OF_TRIGGER: &[Parameter] =
    &[parameter("id", "number of the trigger", || json!({ "type": "integer", "format": "int64" }))];

/// Of a list of links.
pub(super) const LINKS: &[Parameter] = &[LIMIT];

/// The target in a path.
pub(super) const OF_TARGET: &[Parameter] = &[parameter("target", "one that is in use", of::<TargetId>)];

/// Of a list of pictures.
pub(super) const IMAGES: &[Parameter] = &[
    CAMERA,
    FROM,
    TO,
    parameter("state", "with an upload in this state", of::<UploadState>),
    parameter("media_type", "only pictures, or only clips", of::<Medium>),
    parameter("cause", "only what this asked for", of::<Cause>),
    parameter("device", "only what this device brought", of::<CameraKey>),
    parameter(
        "text",
        "only pictures in which this was read, or a text that begins so or is nearly the same",
        text,
    ),
    LIMIT,
    CURSOR,
    parameter("page", "instead of a cursor: the number of the page", || integer(1, PAGE_MAX, 1)),
    parameter("per_page", "items on such a page, instead of limit", || integer(1, LIMIT_MAX, LIMIT_DEFAULT)),
];

/// Of a picture.
pub(super) const THUMB: &[Parameter] = &[parameter("thumb", "a small picture, also of a clip", flag)];

/// Of a picture that a device brings.
pub(super) const DEVICE: &[Parameter] =
    &[parameter("token", "the token of the device, where it can send no header", text)];

/// Of a deletion.
pub(super) const FORCE: &[Parameter] = &[parameter("force", "also if it has not been delivered yet", flag)];

/// Of the ledger.
pub(super) const EVENTS: &[Parameter] =
    &[CAMERA, FROM, TO, parameter("outcome", "only with this outcome", of::<Outcome>), LIMIT, CURSOR];

/// Of what was put aside.
pub(super) const DEAD: &[Parameter] = &[
    parameter("target", "only those of this target", of::<TargetId>),
    LIMIT,
    parameter("cursor", "next_cursor of the page before", text),
    parameter(
        "format",
        "csv: all of them as a table; limit and cursor do not count",
        || json!({ "type": "string", "enum": ["json", "csv"], "default": "json" }),
    ),
];

/// Of the list of older receivers.
pub(super) const FILES: &[Parameter] =
    &[parameter("limit", "files in the list", || integer(1, FILES_MAX, FILES_MAX))];

/// Of a picture that older pages ask for.
pub(super) const TRIGGER: &[Parameter] = &[parameter(
    "camera",
    "key of a camera; camera_1 or 1 is the first one, too; without it the first that is switched on",
    of::<CameraKey>,
)];

/// Of a live picture.
pub(super) const LIVE: &[Parameter] = &[RATE, SIZE];

const SIG: Parameter = parameter("sig", "a ticket of /streaming/links, where no header can be sent", text);

/// Older pages add one to an address so that their browser asks anew.
const ANEW: Parameter = parameter("t", "not looked at; a page may change it to be asked anew", text);

/// Of what is streamed.
pub(super) const TICKET: &[Parameter] = &[SIG, ANEW];

/// Of what is streamed over a WebSocket.
pub(super) const STREAM_SOCKET: &[Parameter] = &[
    parameter(
        "format",
        "pictures as text or as bytes",
        || json!({ "type": "string", "enum": ["text", "binary"], "default": "text" }),
    ),
    SIG,
    ANEW,
    parameter(
        "token",
        "a token of ours or of another program, where no header can be sent; judged alone",
        text,
    ),
];

/// Of a live picture over a WebSocket.
pub(super) const LIVE_SOCKET: &[Parameter] = &[
    parameter(
        "format",
        "the camera's own video, or pictures decoded from it",
        || json!({ "type": "string", "enum": ["fmp4", "jpeg"], "default": "fmp4" }),
    ),
    RATE,
    SIZE,
];
