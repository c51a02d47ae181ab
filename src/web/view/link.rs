//! Public links.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::number::whole_or_null;
use super::time::Time;
use crate::model::FileName;
use crate::store::{Link, Linked};

/// A link that shall be made.
#[derive(Default, Deserialize, ToSchema)]
pub(in crate::web) struct LinkWish {
    /// How long it holds: 1 to 8760 hours, or 0 for one that does not end by itself; `LINK_HOURS` unless asked
    /// otherwise.
    #[serde(default, deserialize_with = "whole_or_null")]
    #[schema(minimum = 0, maximum = 8760, example = 24)]
    pub(in crate::web) hours: Option<u32>,
}

/// A public link that holds; its address is not known any more.
#[derive(Serialize, ToSchema)]
#[schema(as = Link)]
pub(in crate::web) struct LinkView {
    #[schema(example = 12)]
    pub(in crate::web) id: i64,
    /// The picture or clip it shows; null where it shows that of a trigger.
    pub(in crate::web) filename: Option<FileName>,
    /// The trigger whose picture it shows: the best one if there is one, else that of the instant.
    #[schema(example = json!(null))]
    pub(in crate::web) trigger: Option<i64>,
    /// The target that made it for its message; null when a person or a program did.
    #[schema(example = json!(null))]
    pub(in crate::web) target: Option<String>,
    pub(in crate::web) created_at: Time,
    /// Null: it does not end by itself.
    pub(in crate::web) expires_at: Option<Time>,
    /// How often the picture was given out, to whomever and whatever.
    #[schema(example = 3)]
    pub(in crate::web) opens: u64,
    /// To a minute.
    pub(in crate::web) last_opened_at: Option<Time>,
}

impl From<Link> for LinkView {
    fn from(link: Link) -> Self {
        let (filename, trigger) = match link.linked {
            Linked::Image(name) => (Some(name), None),
            Linked::Trigger(id) => (None, Some(id.get())),
        };
        Self {
            id: link.id,
            filename,
            trigger,
            target: link.target,
            created_at: Time(link.created_at),
            expires_at: link.expires_at.map(Time),
            opens: link.opens,
            last_opened_at: link.last_opened_at.map(Time),
        }
    }
}

/// Links that hold, the newest first.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct LinkList {
    pub(in crate::web) links: Vec<LinkView>,
}

/// A link that has just been made.
#[derive(Serialize, ToSchema)]
#[schema(as = NewLink)]
pub(in crate::web) struct MadeLink {
    #[serde(flatten)]
    pub(in crate::web) about: LinkView,
    /// Where it is served on this machine; shown this once.
    #[schema(example = "/s/3q2-7wEjRWeJq83vASNFZw.jpg")]
    pub(in crate::web) path: String,
    /// The whole address: `PUBLIC_URL`, or the address by which this machine was asked now; null where neither is known.
    #[schema(example = "https://gate.example.org/s/3q2-7wEjRWeJq83vASNFZw.jpg")]
    pub(in crate::web) url: Option<String>,
}
