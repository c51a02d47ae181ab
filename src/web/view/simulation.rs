//! What shall happen to a simulated contact.

use std::borrow::Cow;

use serde::Deserialize;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::number::whole_or_null;
use crate::gpio::Level;

/// Longest pulse; the answer comes when it is over.
pub(in crate::web) const PULSE_MS_MAX: u64 = 10_000;

/// What shall happen to a simulated contact: a level that stays, or a pulse.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct Simulation {
    pub(in crate::web) level: Option<String>,
    #[serde(default, deserialize_with = "whole_or_null")]
    pub(in crate::web) pulse_ms: Option<u64>,
}

// One of the two, which a struct cannot say.
impl PartialSchema for Simulation {
    fn schema() -> RefOr<Schema> {
        let one = |name: &str, schema: RefOr<Schema>| {
            ObjectBuilder::new()
                .property(name, schema)
                .required(name)
                .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        };
        let pulse = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(PULSE_MS_MAX as f64))
            .description(Some("The contact is closed for so long; the answer comes when it is open again."))
            .examples([200]);
        OneOfBuilder::new().item(one("pulse_ms", pulse.into())).item(one("level", Level::schema())).into()
    }
}

impl ToSchema for Simulation {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Simulation")
    }
}
