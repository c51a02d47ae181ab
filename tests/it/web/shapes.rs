//! Whether what is answered is what the API's description says: status, media type, headers, and every field of a JSON
//! body. Stricter than a client need be: what is not described is a fault, too.

use std::sync::OnceLock;

use serde_json::Value;

use super::harness::Answer;

/// The description, as it is served.
pub(crate) fn description() -> &'static Value {
    static DESCRIPTION: OnceLock<Value> = OnceLock::new();
    DESCRIPTION.get_or_init(|| serde_json::from_str(include_str!("../../../web/openapi.json")).unwrap())
}

/// What of an answer is not as described; nothing is said of what no route is for.
pub(crate) fn faults(method: &str, path: &str, answer: &Answer) -> Vec<String> {
    let path = path.split('?').next().unwrap_or_default();
    let Some(operation) = operation(method, path) else { return Vec::new() };
    let Some(described) = operation["responses"].get(answer.status.to_string()) else {
        return vec![format!("status {} is not described", answer.status)];
    };
    let described = resolve(described);
    let mut faults = Vec::new();
    for (name, header) in described["headers"].as_object().into_iter().flatten() {
        if header["required"] == true && answer.header(name).is_empty() {
            faults.push(format!("the header {name} is missing"));
        }
    }
    if method == "HEAD" {
        // RFC 9110 section 9.3.2: what is said of the body is said, and there is none.
        if !answer.body.is_empty() {
            faults.push("a body, and HEAD has none".to_owned());
        }
        return faults;
    }
    if let Some(codes) = described["x-codes"].as_array()
        && !codes.contains(&answer.json()["error"]["code"])
    {
        faults.push(format!("the code is none of {codes:?}"));
    }
    let media_type = answer.header("content-type").split(';').next().unwrap_or_default().to_owned();
    match described.get("content") {
        None if answer.body.is_empty() => {}
        None => faults.push("a body, and none is described".to_owned()),
        Some(content) => match content.get(&media_type) {
            None => faults.push(format!("the media type '{media_type}' is not described")),
            Some(media) if media_type == "application/json" && media.get("schema").is_some() => {
                compare(&media["schema"], &answer.json(), "", &mut faults);
            }
            Some(_) => {}
        },
    }
    faults
}

/// What of an event's data is not as described.
pub(crate) fn faults_of_event(path: &str, name: &str, data: &Value) -> Vec<String> {
    let events = &description()["paths"][path]["get"]["responses"]["200"]["x-events"];
    let Some(schema) = events.get(name) else { return vec![format!("the event '{name}' is not described")] };
    let mut faults = Vec::new();
    compare(schema, data, name, &mut faults);
    faults
}

/// The description of the route that a path belongs to; one without a segment that varies goes first.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let segments = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let given = segments(path);
    let fits = |template: &str| {
        let template = segments(template);
        template.len() == given.len()
            && template.iter().zip(&given).all(|(of_template, of_path)| {
                match (of_template.find('{'), of_template.find('}')) {
                    (Some(from), Some(to)) => {
                        of_path.starts_with(&of_template[..from]) && of_path.ends_with(&of_template[to + 1..])
                    }
                    _ => of_template == of_path,
                }
            })
    };
    let paths = description()["paths"].as_object()?;
    let mut fitting: Vec<_> = paths.iter().filter(|(template, _)| fits(template)).collect();
    fitting.sort_by_key(|(template, _)| template.matches('{').count());
    fitting.first()?.1.get(method.to_ascii_lowercase())
}

fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(path) => description().pointer(&path[1..]).unwrap_or_else(|| panic!("{path} is nowhere")),
        None => value,
    }
}

/// The fields that a schema has, those of its parts among them.
fn properties(schema: &'static Value) -> Vec<(&'static str, &'static Value)> {
    let schema = resolve(schema);
    let own = schema["properties"].as_object().into_iter().flatten();
    let parts = schema["allOf"].as_array().into_iter().flatten().flat_map(properties);
    own.map(|(name, schema)| (name.as_str(), schema)).chain(parts).collect()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Compares a value with its schema, and notes what differs.
pub(crate) fn compare(schema: &'static Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    compare_part(schema, value, at, faults);
    let described = properties(schema);
    if described.is_empty() {
        return;
    }
    for name in value.as_object().into_iter().flatten().map(|(name, _)| name) {
        if !described.iter().any(|(known, _)| known == name) {
            faults.push(format!("{at}.{name} is not described"));
        }
    }
}

/// The same without a look for what is too much, which a part of several cannot tell.
fn compare_part(schema: &'static Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let schema = resolve(schema);
    let kind = type_of(value);
    let fits = |wanted: &Value| wanted == kind || (wanted == "number" && kind == "integer");
    let is_of_type = match &schema["type"] {
        Value::Null => true,
        Value::Array(several) => several.iter().any(fits),
        one => fits(one),
    };
    if !is_of_type {
        faults.push(format!("{at} is {value}, and {} is described", schema["type"]));
        return;
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        faults.push(format!("{at} is {value}, which is none of {words:?}"));
    }
    if let Some(text) = value.as_str() {
        if let Some(pattern) = schema["pattern"].as_str()
            && !regex_lite::Regex::new(pattern).unwrap().is_match(text)
        {
            faults.push(format!("{at} is {value}, which is not like {pattern}"));
        }
        if schema["format"] == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
            faults.push(format!("{at} is {value}, which is no time"));
        }
    }
    if let Some(number) = value.as_f64() {
        let bound = |name: &str| schema[name].as_f64();
        if bound("minimum").is_some_and(|least| number < least)
            || bound("maximum").is_some_and(|most| number > most)
        {
            faults.push(format!("{at} is {value}, which is out of bounds"));
        }
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        compare_part(part, value, at, faults);
    }
    for choice in ["oneOf", "anyOf"] {
        let Some(choices) = schema[choice].as_array() else { continue };
        let mut tried: Vec<Vec<String>> = choices
            .iter()
            .map(|choice| {
                let mut faults = Vec::new();
                compare(choice, value, at, &mut faults);
                faults
            })
            .collect();
        if tried.iter().all(|faults| !faults.is_empty()) {
            faults.append(&mut tried.pop().unwrap_or_default());
        }
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for (n, value) in values.iter().enumerate() {
            compare(items, value, &format!("{at}[{n}]"), faults);
        }
    }
    let Some(fields) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            faults.push(format!("{at}.{name} is missing"));
        }
    }
    for (name, value) in fields {
        if let Some(schema) = schema["properties"].get(name) {
            compare(schema, value, &format!("{at}.{name}"), faults);
        } else if schema["additionalProperties"].is_object() {
            compare(&schema["additionalProperties"], value, &format!("{at}.{name}"), faults);
        }
    }
}

#[test]
fn what_is_missing_too_much_or_of_another_kind_is_found() {
    let answer = |status: u16, body: &str| {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("content-type", "application/json".parse().unwrap());
        Answer { status, headers, body: body.as_bytes().to_vec() }
    };
    let check = |status, body: &str| faults("GET", "/health", &answer(status, body)).join(", ");
    assert_eq!(check(200, r#"{"status":"ok","received":null}"#), "");
    assert_eq!(check(200, r#"{"received":null}"#), ".status is missing");
    assert_eq!(check(200, r#"{"status":"ok","received":null,"more":1}"#), ".more is not described");
    assert_eq!(check(200, r#"{"status":1,"received":null}"#), ".status is 1, and \"string\" is described");
    assert_eq!(check(500, r#"{"status":"ok","received":null}"#), "status 500 is not described");
    let refused = r#"{"error":{"code":"protected","message":"no"}}"#;
    let found = faults("POST", "/api/logout", &answer(409, refused));
    assert!(found[0].starts_with("the code is none of"), "{found:?}");
}
