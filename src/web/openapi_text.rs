//! JSON as a person writes it: what is short stands in one line. Pure.

use std::fmt::Write;

use serde_json::Value;

/// Characters of a line.
const WIDTH: usize = 120;

/// The value as text, with a line break at its end.
pub(super) fn pretty(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, 0, &mut text);
    text.push('\n');
    text
}

/// Writes a value whose first line has `before` characters already.
fn write(value: &Value, depth: usize, before: usize, text: &mut String) {
    let short = line(value);
    // A comma may follow.
    if before + short.len() < WIDTH {
        text.push_str(&short);
        return;
    }
    let begin = |text: &mut String, is_first: bool| {
        text.push_str(if is_first { "\n" } else { ",\n" });
        text.push_str(&" ".repeat(depth + 1));
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('{');
            for (n, (name, value)) in fields.iter().enumerate() {
                begin(text, n == 0);
                let name = format!("{}: ", Value::from(name.as_str()));
                text.push_str(&name);
                write(value, depth + 1, depth + 1 + name.len(), text);
            }
            // Writing into a String cannot fail.
            let _ = write!(text, "\n{}}}", " ".repeat(depth));
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('[');
            for (n, value) in items.iter().enumerate() {
                begin(text, n == 0);
                write(value, depth + 1, depth + 1, text);
            }
            // As above.
            let _ = write!(text, "\n{}]", " ".repeat(depth));
        }
        _ => text.push_str(&short),
    }
}

/// The value in one line, with a space after each comma and colon.
fn line(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| format!("{}: {}", Value::from(name.as_str()), line(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(line).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_is_short_stands_in_one_line() {
        let value = json!({"a": [1, {"b": null}], "c": {"long": "x".repeat(110), "d": "e"}});
        let long = "x".repeat(110);
        assert_eq!(
            pretty(&value),
            format!(
                "{{\n \"a\": [1, {{\"b\": null}}],\n \"c\": {{\n  \"d\": \"e\",\n  \"long\": \"{long}\"\n }}\n}}\n"
            )
        );
    }

    proptest! {
        #[test]
        fn the_text_is_the_value(words in prop::collection::vec(".{0,40}", 0..20)) {
            let value = json!({"words": words, "again": {"words": words}});
            prop_assert_eq!(serde_json::from_str::<Value>(&pretty(&value)).unwrap(), value);
        }
    }
}
