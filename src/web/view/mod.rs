//! How things look in the API: a struct for each shape that is taken or given. Their schemas, with what stands beside
//! their fields, are those of the API's description.
//!
//! Every field of an answer is always there; what is not known is null.

pub(super) mod account;
pub(super) mod analyses;
pub(super) mod analysis;
pub(super) mod camera;
pub(super) mod change;
pub(super) mod closed;
pub(super) mod contact;
pub(super) mod event;
pub(super) mod failure;
pub(super) mod health;
pub(super) mod image;
pub(super) mod latency;
pub(super) mod link;
mod number;
pub(super) mod quarantine;
pub(super) mod receiver;
pub(super) mod retention;
pub(super) mod simulation;
pub(super) mod status;
pub(super) mod storage;
pub(super) mod streaming;
pub(super) mod target;
pub(super) mod time;
pub(super) mod upload;

use serde::Serialize;

/// A value as JSON text, in one line.
pub(super) fn text(value: &impl Serialize) -> String {
    // Only maps whose keys are no text, and serializers of our own that fail, have no JSON; there are none.
    serde_json::to_string(value).unwrap_or_default()
}
