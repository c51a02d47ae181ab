//! One row of the table of routes: who may have it, what it takes, what it gives and when it refuses.

use std::borrow::Cow;

use actix_web::Route as Handler;
use actix_web::http::Method;
use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::code::ErrorCode;
use crate::store::Scope;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone: health, log-in, set-up and their assets.
    Public,
    /// Whoever has its address, which is a secret: public links.
    Link,
    /// Whoever is logged in; others see the log-in page in its place, with status 401.
    Page,
    /// Whoever is logged in, and programs with a token.
    Session,
    /// Whoever is logged in, but no program: passwords and tokens.
    Person,
    /// As [`Self::Session`], and programs with a token that another program signed; whoever has a ticket may look. Pages of
    /// listed sites may use it.
    Stream,
    /// A device that may bring pictures, and nobody else.
    Device,
    /// Nobody, for nothing is there: those who are logged in are told so, others learn nothing.
    Nobody,
}

/// One route.
pub struct Route {
    /// HTTP method.
    pub method: Method,
    /// Path, with `{name}` for a segment that varies; never so in a public route.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// What a token must allow at least; `None`: no token is enough.
    pub scope: Option<Scope>,
    pub(super) handler: fn() -> Handler,
    /// The name of the handler, such as `images::list`.
    pub(super) name: &'static str,
    /// What it is for, in a line.
    pub(super) summary: &'static str,
    /// What else there is to know.
    pub(super) description: &'static str,
    /// What stands in the path, one for each `{name}`.
    pub(super) path_parameters: &'static [Parameter],
    /// What may stand in the query; `None`: it is not looked at.
    pub(super) query: Option<&'static [Parameter]>,
    /// The JSON body it takes.
    pub(super) body: Option<BodyShape>,
    /// The media types of the bytes it takes instead.
    pub(super) bytes: &'static [&'static str],
    /// What it answers when all is well.
    pub(super) gives: &'static [Gives],
    /// Why it does not do what was asked, beside what all routes of its kind refuse.
    pub(super) refuses: &'static [ErrorCode],
}

impl Route {
    /// A route that gives nothing yet.
    pub(super) const fn new(
        method: Method,
        path: &'static str,
        access: Access,
        scope: Option<Scope>,
        name: &'static str,
        handler: fn() -> Handler,
    ) -> Self {
        Self {
            method,
            path,
            access,
            scope,
            handler,
            name,
            summary: "",
            description: "",
            path_parameters: &[],
            query: None,
            body: None,
            bytes: &[],
            gives: &[],
            refuses: &[],
        }
    }

    pub(super) const fn says(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    pub(super) const fn more(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    pub(super) const fn path(mut self, parameters: &'static [Parameter]) -> Self {
        self.path_parameters = parameters;
        self
    }

    pub(super) const fn query(mut self, parameters: &'static [Parameter]) -> Self {
        self.query = Some(parameters);
        self
    }

    /// It takes a JSON body of that shape.
    pub(super) const fn takes<T: ToSchema>(mut self) -> Self {
        self.body = Some(BodyShape { shape: Shape::of::<T>(), required: true });
        self
    }

    /// It takes a JSON body of that shape, or none.
    pub(super) const fn may_take<T: ToSchema>(mut self) -> Self {
        self.body = Some(BodyShape { shape: Shape::of::<T>(), required: false });
        self
    }

    /// It takes bytes, usually of one of these media types.
    pub(super) const fn takes_bytes(mut self, media_types: &'static [&'static str]) -> Self {
        self.bytes = media_types;
        self
    }

    pub(super) const fn gives(mut self, gives: &'static [Gives]) -> Self {
        self.gives = gives;
        self
    }

    pub(super) const fn refuses(mut self, codes: &'static [ErrorCode]) -> Self {
        self.refuses = codes;
        self
    }

    /// Whether it changes something.
    pub(super) fn is_change(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD)
    }
}

/// Something in a path or a query.
#[derive(Clone, Copy)]
pub(super) struct Parameter {
    /// Its name.
    pub(super) name: &'static str,
    /// What it is.
    pub(super) says: &'static str,
    /// Its schema as JSON, with an example.
    pub(super) schema: fn() -> Value,
}

/// A JSON body.
pub(super) struct BodyShape {
    pub(super) shape: Shape,
    pub(super) required: bool,
}

/// The shape of a JSON value, as its type tells it.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Its name among the schemas.
    pub(super) name: fn() -> Cow<'static, str>,
    /// It.
    pub(super) schema: fn() -> RefOr<Schema>,
    /// Those it refers to.
    pub(super) others: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl Shape {
    pub(super) const fn of<T: ToSchema>() -> Self {
        Self { name: T::name, schema: <T as PartialSchema>::schema, others: T::schemas }
    }
}

/// An answer when all is well. Several with one status are one answer in several media types.
pub(super) struct Gives {
    pub(super) status: u16,
    pub(super) says: &'static str,
    pub(super) content: ContentShape,
}

/// What an answer carries.
pub(super) enum ContentShape {
    Nothing,
    Json(Shape),
    /// Bytes of this media type.
    Media(&'static str),
    /// Server-sent events: their names (`message` where they have none), and the shapes of their data.
    Events(&'static [(&'static str, Shape)]),
}

/// An answer without a body.
pub(super) const fn nothing(status: u16, says: &'static str) -> Gives {
    Gives { status, says, content: ContentShape::Nothing }
}

/// A JSON answer.
pub(super) const fn json<T: ToSchema>(status: u16, says: &'static str) -> Gives {
    Gives { status, says, content: ContentShape::Json(Shape::of::<T>()) }
}

/// An answer of bytes.
pub(super) const fn media(status: u16, media_type: &'static str, says: &'static str) -> Gives {
    Gives { status, says, content: ContentShape::Media(media_type) }
}

/// An answer of server-sent events.
pub(super) const fn events(says: &'static str, events: &'static [(&'static str, Shape)]) -> Gives {
    Gives { status: 200, says, content: ContentShape::Events(events) }
}
