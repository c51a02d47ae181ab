//! The description of the API (OpenAPI 3.1), made of the table of routes and the shapes it names.
//!
//! `web/openapi.json` is what [`document`] gives, and a test holds it to that; the server serves the file.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};

use super::code::ErrorCode;
use super::openapi_text::pretty;
use super::route::{Access, ContentShape, Gives, Parameter, Route, Shape};
use super::routes::ROUTES;
use super::view::failure::FailureView;
use crate::store::Scope;

/// Fields that are not there where nothing is to be said, because the clients of an older server know the answer without.
const LEFT_OUT: &[(&str, &str)] = &[("FrameSeen", "analysis")];

/// Above everything.
const ABOUT: &str = "Errors are {\"error\":{\"code\",\"message\"}} with a fitting status. Times are RFC 3339 UTC. \
                     Mutations with a session cookie carry its token in X-CSRF-Token. Without a password \
                     (WEB_AUTH_ENABLED=false) what is for persons only (log-out, password, tokens) is answered 409 \
                     no_password. A Host that is not this computer's is answered 421 foreign_host, whatever the path. \
                     Objects may get further fields, and sets of words further words, without notice; nothing that is \
                     there changes or goes.";

/// The schemas by their names, and those of bodies that are taken.
#[derive(Default)]
struct Schemas {
    all: BTreeMap<String, Value>,
    taken: BTreeSet<String>,
}

impl Schemas {
    /// Takes a shape in with all it refers to; the answer refers to it.
    fn refer(&mut self, shape: Shape) -> Value {
        let name = (shape.name)().into_owned();
        let mut found = vec![(name.clone(), (shape.schema)())];
        (shape.others)(&mut found);
        for (name, schema) in found {
            self.all.entry(name).or_insert_with(|| plain(&schema));
        }
        reference(&name)
    }

    /// Every field of an answer is there, also one that is null. Of a body that is taken some may be left out.
    fn complete(&mut self) {
        for (name, schema) in &mut self.all {
            if !self.taken.contains(name) {
                require_all(schema);
            }
        }
        for (name, left_out) in LEFT_OUT {
            let required = self.all.get_mut(*name).and_then(|schema| schema["required"].as_array_mut());
            required.into_iter().for_each(|required| required.retain(|field| field != left_out));
        }
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// A schema as JSON: its examples where OpenAPI 3.1 has them, what is said of what may be null beside the choice, and
/// each sentence in one line.
fn plain(schema: &RefOr<Schema>) -> Value {
    fn tidy(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                // Properties have names of their own; what stands beside one of these is none.
                let is_schema = ["type", "$ref", "oneOf"].iter().any(|word| fields.contains_key(*word));
                if is_schema && let Some(example) = fields.remove("example") {
                    fields.insert("examples".to_owned(), json!([example]));
                }
                if let Some(Value::Array(choices)) = fields.get_mut("oneOf")
                    && let Some(chosen) = choices.iter_mut().find(|choice| choice.get("$ref").is_some())
                    && let Some(said) = chosen.as_object_mut().and_then(|chosen| chosen.remove("description"))
                {
                    fields.insert("description".to_owned(), said);
                }
                if let Some(Value::String(text)) = fields.get_mut("description") {
                    *text = text.replace('\n', " ");
                }
                fields.values_mut().for_each(tidy);
            }
            Value::Array(items) => items.iter_mut().for_each(tidy),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut value = json!(schema);
    tidy(&mut value);
    value
}

fn require_all(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    if let Some(Value::Object(properties)) = fields.get("properties") {
        let names: Vec<_> = properties.keys().cloned().collect();
        fields.insert("required".to_owned(), json!(names));
    }
    for value in fields.values_mut() {
        match value {
            Value::Object(_) => require_all(value),
            Value::Array(items) => items.iter_mut().for_each(require_all),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// The description as it is served.
pub fn document() -> String {
    let mut schemas = Schemas::default();
    let mut refusals = BTreeMap::new();
    schemas.refer(Shape::of::<FailureView>());
    let operations: Vec<_> =
        ROUTES.iter().map(|route| (route, operation(route, &mut schemas, &mut refusals))).collect();
    schemas.complete();
    let mut paths: Map<String, Value> = Map::new();
    for (route, mut operation) in operations {
        add_examples(&mut operation, &schemas.all);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation;
    }
    pretty(&json!({
        "openapi": "3.1.0",
        "info": { "title": "camera-capture", "version": "1", "description": ABOUT },
        "security": [{ "session": [] }, { "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas.all,
            "responses": refusals,
            "securitySchemes": {
                "session": { "type": "apiKey", "in": "cookie", "name": "session" },
                "csrf": { "type": "apiKey", "in": "header", "name": "X-CSRF-Token" },
                "token": { "type": "http", "scheme": "bearer" },
                "device": { "type": "http", "scheme": "bearer" },
            },
        },
    }))
}

fn operation(route: &Route, schemas: &mut Schemas, refusals: &mut BTreeMap<String, Value>) -> Value {
    let mut operation = json!({
        "operationId": route.name.replace("::", "_"),
        "tags": [route.name.split("::").next().unwrap_or_default()],
        "summary": route.summary,
        "responses": responses(route, schemas, refusals),
    });
    let description = description(route);
    if !description.is_empty() {
        operation["description"] = json!(description);
    }
    if let Some(security) = security(route) {
        operation["security"] = security;
    }
    let path = route.path_parameters.iter().map(|one| parameter(one, "path"));
    let query = route.query.unwrap_or_default().iter().map(|one| parameter(one, "query"));
    let parameters: Vec<Value> = path.chain(query).collect();
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    if let Some(body) = &route.body {
        let schema = schemas.refer(body.shape);
        schemas.taken.insert((body.shape.name)().into_owned());
        operation["requestBody"] =
            json!({ "required": body.required, "content": { "application/json": { "schema": schema } } });
    }
    if !route.bytes.is_empty() {
        let content: Map<_, _> = route.bytes.iter().map(|kind| ((*kind).to_owned(), json!({}))).collect();
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn description(route: &Route) -> String {
    let scope = match route.scope {
        Some(scope) if scope > Scope::Read => {
            format!("A token needs the scope \"{}\" at least.", scope.as_str())
        }
        Some(_) | None => String::new(),
    };
    [route.description, &scope].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What has to be shown; `None` where it is as everywhere.
fn security(route: &Route) -> Option<Value> {
    let session = if route.is_change() { json!({"session": [], "csrf": []}) } else { json!({"session": []}) };
    match route.access {
        Access::Public | Access::Link => Some(json!([])),
        // Its address may speak for it.
        Access::Device => Some(json!([{"device": []}, {}])),
        Access::Person => Some(json!([session])),
        Access::Page | Access::Session | Access::Stream if route.is_change() => {
            Some(json!([session, {"token": []}]))
        }
        Access::Page | Access::Session | Access::Stream | Access::Nobody => None,
    }
}

fn parameter(parameter: &Parameter, place: &str) -> Value {
    let mut described = json!({
        "name": parameter.name,
        "in": place,
        "required": place == "path",
        "description": parameter.says,
        "schema": (parameter.schema)(),
    });
    if place == "query" {
        // An empty field of a form means that nothing was chosen.
        described["allowEmptyValue"] = json!(true);
    }
    described
}

fn responses(
    route: &Route,
    schemas: &mut Schemas,
    refusals: &mut BTreeMap<String, Value>,
) -> Map<String, Value> {
    let mut responses = Map::new();
    for gives in route.gives {
        let answer = responses.entry(gives.status.to_string()).or_insert_with(|| json!({}));
        let before = answer["description"].as_str().map(|before| format!("{before}; ")).unwrap_or_default();
        answer["description"] = json!(format!("{before}{}", gives.says));
        add_content(answer, gives, schemas);
    }
    let mut by_status: BTreeMap<u16, BTreeSet<&ErrorCode>> = BTreeMap::new();
    for code in route.refuses.iter().chain(usual(route)) {
        by_status.entry(code.status()).or_default().insert(code);
    }
    for (status, codes) in by_status {
        // An answer of the route's own shape is described above.
        responses.entry(status.to_string()).or_insert_with(|| refusal(&codes, refusals));
    }
    responses
}

fn add_content(answer: &mut Value, gives: &Gives, schemas: &mut Schemas) {
    match &gives.content {
        ContentShape::Nothing => {}
        ContentShape::Json(shape) => {
            answer["content"]["application/json"] = json!({ "schema": schemas.refer(*shape) });
        }
        ContentShape::Media(media_type) => answer["content"][*media_type] = json!({}),
        ContentShape::Events(events) => {
            answer["content"]["text/event-stream"] = json!({ "schema": { "type": "string" } });
            let shapes: Map<_, _> =
                events.iter().map(|(name, shape)| ((*name).to_owned(), schemas.refer(*shape))).collect();
            // No version of OpenAPI before 3.2 has a word for the data of events.
            answer["x-events"] = json!(shapes);
        }
    }
}

/// What every route of its kind refuses.
fn usual(route: &Route) -> impl Iterator<Item = &'static ErrorCode> {
    use ErrorCode::{
        BadRequest, Csrf, ForeignHost, ForeignOrigin, NoPassword, NotJson, PersonOnly, Scope as ScopeCode,
        StoreFailed, StoreFull, Timeout, TooLarge, TooManyRequests, Unauthorized,
    };
    let is_behind = !matches!(route.access, Access::Public | Access::Link);
    let is_device = route.access == Access::Device;
    let is_wide = route.scope.is_some_and(|least| least > Scope::Read);
    let kinds: [(bool, &[ErrorCode]); 11] = [
        (true, &[ForeignHost]),
        (is_behind, &[Unauthorized, StoreFailed]),
        (!route.bytes.is_empty(), &[Timeout, TooLarge]),
        (is_behind || route.is_change(), &[ForeignOrigin]),
        (is_behind && route.is_change() && !is_device, &[Csrf]),
        (is_behind && route.is_change(), &[StoreFull]),
        (is_wide, &[ScopeCode]),
        (route.access == Access::Stream, &[TooManyRequests]),
        (route.access == Access::Person, &[PersonOnly, NoPassword]),
        (route.query.is_some(), &[BadRequest]),
        (route.body.is_some(), &[BadRequest, Timeout, TooLarge, NotJson]),
    ];
    kinds.into_iter().filter(|(is_so, _)| *is_so).flat_map(|(_, codes)| codes)
}

/// A refusal for one of these reasons, described once for all routes that have it.
fn refusal(codes: &BTreeSet<&ErrorCode>, refusals: &mut BTreeMap<String, Value>) -> Value {
    let words: Vec<_> = codes.iter().map(|code| code.word()).collect();
    let says: Vec<_> = codes.iter().map(|code| format!("`{}`: {}", code.word(), code.says())).collect();
    let waits = codes.iter().any(|code| {
        [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&code.status_code())
    });
    let status = codes.first().map(|code| code.status()).unwrap_or_default();
    let name = format!("{status}.{}", words.join("."));
    refusals.entry(name.clone()).or_insert_with(|| {
        let mut refusal = json!({
            "description": says.join(" "),
            "content": { "application/json": { "schema": reference("Error") } },
            "x-codes": words,
        });
        if waits {
            refusal["headers"]["Retry-After"] =
                json!({ "description": "Seconds.", "required": true, "schema": { "type": "integer" } });
        }
        refusal
    });
    json!({ "$ref": format!("#/components/responses/{name}") })
}

/// Examples of what is taken and given, put together from those of the fields.
fn add_examples(operation: &mut Value, schemas: &BTreeMap<String, Value>) {
    let add = |content: &mut Value| {
        if let Some(media) = content.get_mut("application/json")
            && media.get("example").is_none()
        {
            media["example"] = example(&media["schema"], schemas);
        }
    };
    if let Some(content) = operation.pointer_mut("/requestBody/content") {
        add(content);
    }
    if let Some(Value::Object(responses)) = operation.get_mut("responses") {
        responses.values_mut().filter_map(|answer| answer.get_mut("content")).for_each(add);
    }
}

/// A value of that schema.
fn example(schema: &Value, schemas: &BTreeMap<String, Value>) -> Value {
    if let Some(example) = schema["examples"].get(0).or_else(|| schema["enum"].get(0)) {
        return example.clone();
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return schemas.get(name).map_or(Value::Null, |schema| example(schema, schemas));
    }
    let parts = |word: &str| schema[word].as_array().into_iter().flatten();
    let mut merged = Map::new();
    for part in parts("allOf") {
        if let Value::Object(fields) = example(part, schemas) {
            merged.extend(fields);
        }
    }
    if let Some(choice) = parts("oneOf").chain(parts("anyOf")).find(|choice| choice["type"] != "null") {
        return example(choice, schemas);
    }
    let is = |name: &str| schema["type"] == name;
    // What may be null and has no example is null.
    if schema["type"].is_array() {
        return Value::Null;
    }
    if is("array") {
        return json!([example(&schema["items"], schemas)]);
    }
    if is("object") || !merged.is_empty() {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            merged.insert(name.clone(), example(property, schemas));
        }
        if schema["additionalProperties"].is_object() {
            let key = example(&schema["propertyNames"], schemas);
            let key = key.as_str().filter(|key| !key.is_empty()).unwrap_or("r1").to_owned();
            merged.insert(key, example(&schema["additionalProperties"], schemas));
        }
        return Value::Object(merged);
    }
    if is("boolean") {
        return json!(false);
    }
    if is("integer") || is("number") {
        return schema.get("minimum").cloned().unwrap_or(json!(0));
    }
    json!("")
}
