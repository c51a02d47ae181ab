//! `UPLOAD_FIELDS`: further form fields of the `api` target, with what is known of a picture in their values. Pure.
//!
//! `camera_id={camera}; regions=de`: a name, `=`, a value; `;` stands between them. A value with a `;` or with white space
//! at an end stands in double quotes, and `""` in it is one of them. `{{` and `}}` are braces.

use super::Secret;
use super::problem::Wrong;
use super::reader::{ReadResult, Reported, TargetReader};

/// The facts of a picture that may be sent: `UPLOAD_METADATA` sends each under its name.
pub const FACTS: [&str; 12] = [
    "id",
    "camera",
    "label",
    "taken_at",
    "edge_at",
    "frame_offset_ms",
    "cause",
    "kind",
    "sha256",
    "site",
    "read_text",
    "read_score",
];

/// A value may have these, too.
pub const FILENAME: &str = "filename";

/// Most fields.
const FIELDS_MAX: usize = 32;

/// Longest value as it is written, characters.
const VALUE_CHARS_MAX: usize = 1000;

/// What may be written.
const ACCEPTED: &str = "name=value; name=value, with {id} {camera} {label} {taken_at} {edge_at} {frame_offset_ms} {cause} \
                        {kind} {sha256} {site} {read_text} {read_score} {filename} in the values; a value with ; in double quotes, {{ and }} for \
                        braces";

/// Longest `UPLOAD_FIELD_NAME`, characters.
const FIELD_NAME_CHARS_MAX: usize = 64;

/// Reads the name of a form field.
pub(super) fn field_name(text: &str) -> Result<String, Wrong> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.[]".contains(&b);
    if text.len() <= FIELD_NAME_CHARS_MAX && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new("not a field name", "up to 64 letters, digits and _ - . [ ]"))
    }
}

/// A field and how its value is made.
#[derive(Clone, Debug)]
pub struct FieldTemplate {
    name: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    /// It may be a token.
    Text(Secret<String>),
    /// One of [`FACTS`], or [`FILENAME`].
    Fact(&'static str),
}

impl FieldTemplate {
    /// Up to 64 letters, digits and `_ - . [ ]`; several fields may have one name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value for a picture of which this is known; what is not known is left out.
    pub fn value(&self, known: &[(&str, String)]) -> String {
        let fact =
            |name: &str| known.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        let parts = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.reveal().as_str(),
            Piece::Fact(name) => fact(name).unwrap_or_default(),
        });
        parts.collect()
    }

    /// The parts of the value that are the same for every picture.
    pub fn constants(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.reveal().as_str()),
            Piece::Fact(_) => None,
        })
    }
}

/// What is sent or known beside them.
pub(super) struct Beside<'a> {
    /// `UPLOAD_FIELD_NAME`, if it is right.
    pub(super) file: Option<&'a str>,
    /// `UPLOAD_METADATA`.
    pub(super) has_facts: bool,
    /// Whether `SITE_NAME` is set.
    pub(super) has_site: bool,
}

/// Reads `UPLOAD_FIELDS`; each bad entry is a problem of its own, named by its position because its text may be a secret.
pub(super) fn read(reader: &mut TargetReader<'_, '_>, beside: &Beside<'_>) -> ReadResult<Vec<FieldTemplate>> {
    const NAME: &str = "UPLOAD_FIELDS";
    let Some(text) = reader.optional(NAME, |text| Ok(text.to_owned()))? else { return Ok(Vec::new()) };
    let (fields, problems) = parse(&text, beside);
    for what in &problems {
        reader.refuse(NAME, &Wrong::new(what, ACCEPTED));
    }
    if problems.is_empty() { Ok(fields) } else { Err(Reported) }
}

/// The fields of a text, and what is wrong with the others.
fn parse(text: &str, beside: &Beside<'_>) -> (Vec<FieldTemplate>, Vec<String>) {
    let (mut fields, mut problems) = (Vec::new(), Vec::new());
    let (mut rest, mut position) = (text, 0_usize);
    loop {
        rest = rest.trim_start_matches(|c: char| c == ';' || c.is_whitespace());
        if rest.is_empty() {
            break;
        }
        position += 1;
        if position > FIELDS_MAX {
            problems.push(format!("has more than {FIELDS_MAX} fields"));
            break;
        }
        let (entry, behind) = entry(rest);
        rest = behind;
        match entry.and_then(|(name, value)| field(name, &value, beside)) {
            Ok(field) => fields.push(field),
            Err(what) => problems.push(format!("entry {position} {what}")),
        }
    }
    (fields, problems)
}

/// The first name and value of a text, and what stands behind them.
fn entry(text: &str) -> (Result<(&str, String), String>, &str) {
    let end = text.find(';').unwrap_or(text.len());
    let Some(at) = text[..end].find('=') else {
        return (Err("has no =".to_owned()), &text[end..]);
    };
    let name = text[..at].trim();
    let value = text[at + 1..].trim_start();
    let Some(mut inside) = value.strip_prefix('"') else {
        let end = value.find(';').unwrap_or(value.len());
        return (Ok((name, value[..end].trim_end().to_owned())), &value[end..]);
    };
    let mut unquoted = String::new();
    loop {
        let Some((part, behind)) = inside.split_once('"') else {
            return (Err("has a double quote without its end".to_owned()), "");
        };
        unquoted.push_str(part);
        if let Some(more) = behind.strip_prefix('"') {
            unquoted.push('"');
            inside = more;
            continue;
        }
        let behind = behind.trim_start();
        if behind.is_empty() || behind.starts_with(';') {
            return (Ok((name, unquoted)), behind);
        }
        let next = behind.find(';').unwrap_or(behind.len());
        return (Err("has something behind its closing double quote".to_owned()), &behind[next..]);
    }
}

fn field(name: &str, value: &str, beside: &Beside<'_>) -> Result<FieldTemplate, String> {
    if name.is_empty() || field_name(name).is_err() {
        return Err("has a name that is not of up to 64 letters, digits and _ - . [ ]".to_owned());
    }
    if beside.file.is_some_and(|file| file.eq_ignore_ascii_case(name)) {
        return Err(format!(
            "has the name {name}, under which the picture itself is sent (UPLOAD_FIELD_NAME)"
        ));
    }
    if beside.has_facts && FACTS.iter().any(|fact| fact.eq_ignore_ascii_case(name)) {
        return Err(format!("has the name {name}, under which UPLOAD_METADATA sends a fact of the picture"));
    }
    if value.chars().count() > VALUE_CHARS_MAX {
        return Err(format!("has a value of more than {VALUE_CHARS_MAX} characters"));
    }
    Ok(FieldTemplate { name: name.to_owned(), pieces: pieces(value, beside.has_site)? })
}

/// A value cut into its parts.
fn pieces(value: &str, has_site: bool) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut text, mut rest) = (Vec::new(), String::new(), value);
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((brace, behind)) =
            ["{{", "}}"].iter().find_map(|both| Some((&both[..1], rest.strip_prefix(both)?)))
        {
            text.push_str(brace);
            rest = behind;
            continue;
        }
        let inside = rest.strip_prefix('{').ok_or("has a } without {")?;
        let (name, behind) = inside.split_once('}').ok_or("has a { without }")?;
        let known = FACTS.iter().chain([&FILENAME]).find(|known| **known == name.trim());
        let fact = *known.ok_or("has something in braces that is not known")?;
        if fact == "site" && !has_site {
            return Err("has {site}, but SITE_NAME is not set".to_owned());
        }
        pieces.push(Piece::Text(Secret::new(std::mem::take(&mut text))));
        pieces.push(Piece::Fact(fact));
        rest = behind;
    }
    text.push_str(rest);
    pieces.push(Piece::Text(Secret::new(text)));
    pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.reveal().is_empty()));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{api, problem, problems};
    use super::*;
    use proptest::prelude::*;

    const URL: (&str, &str) = ("S3_API_URL", "https://api.example/up");

    /// Names and values as they would be sent for a picture of camera r1.
    fn sent(text: &str) -> Vec<(String, String)> {
        let known =
            [("camera", "r1".to_owned()), (FILENAME, "r1_1.jpg".to_owned()), ("site", "Süd".to_owned())];
        let api = api(&[URL, ("SITE_NAME", "Süd"), ("UPLOAD_FIELDS", text)]);
        api.fields.iter().map(|field| (field.name().to_owned(), field.value(&known))).collect()
    }

    #[test]
    fn a_field_is_a_name_and_a_value_with_what_is_known_of_the_picture() {
        for (text, expected) in [
            ("camera_id={camera}; regions=de", &[("camera_id", "r1"), ("regions", "de")][..]),
            (" a = 1 ;; b=x y ; ", &[("a", "1"), ("b", "x y")]),
            ("regions=de;regions=at", &[("regions", "de"), ("regions", "at")]),
            ("camera={camera};id=7", &[("camera", "r1"), ("id", "7")]),
            ("a=;b=\"\"", &[("a", ""), ("b", "")]),
            ("a=b=c", &[("a", "b=c")]),
            ("a=\"x; y=\"; b=\" z \"", &[("a", "x; y="), ("b", " z ")]),
            ("a=\"say \"\"yes\"\"; \" ; b=5\" tall", &[("a", "say \"yes\"; "), ("b", "5\" tall")]),
            ("a={{\"camera\":\"{camera}\"}}", &[("a", "{\"camera\":\"r1\"}")]),
            ("meta[from]={ camera }@{site}:{filename}", &[("meta[from]", "r1@Süd:r1_1.jpg")]),
            ("at={edge_at}", &[("at", "")]),
        ] {
            let expected: Vec<_> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(sent(text), expected, "{text}");
        }
        assert!(api(&[URL]).fields.is_empty());
    }

    #[test]
    fn every_bad_field_is_a_problem_with_its_place_and_none_is_shown() {
        let list = problems(&[
            URL,
            (
                "UPLOAD_FIELDS",
                "hunter2; =hunter2; hün=hunter2; a={hunter2}; b=hunter2}; c={camera; d={site}; e=\"x\" hunter2; ok=1; f=\"hunter2",
            ),
        ]);
        let words = [
            "entry 1 has no =",
            "entry 2 has a name",
            "entry 3 has a name",
            "entry 4 has something in braces that is not known",
            "entry 5 has a } without {",
            "entry 6 has a { without }",
            "entry 7 has {site}, but SITE_NAME is not set",
            "entry 8 has something behind",
            "entry 10 has a double quote",
        ];
        assert_eq!(list.len(), words.len(), "{list:#?}");
        for (said, words) in list.iter().zip(words) {
            assert!(said.starts_with(&format!("UPLOAD_FIELDS: {words}")), "{said}");
            assert!(
                !said.contains("hunter2") && said.contains("{taken_at}") && said.contains("{camera}"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_name_that_is_sent_anyway_is_a_problem() {
        for (text, further, words) in [
            ("file=x", ("UPLOAD_METADATA", "false"), "UPLOAD_FIELD_NAME"),
            ("Image=x", ("UPLOAD_FIELD_NAME", "image"), "UPLOAD_FIELD_NAME"),
            ("a=1; camera={camera}", ("UPLOAD_METADATA", "true"), "UPLOAD_METADATA"),
            ("Site=x", ("UPLOAD_METADATA", "true"), "UPLOAD_METADATA"),
        ] {
            let said = problem(&[URL, further, ("UPLOAD_FIELDS", text)]);
            assert!(said.starts_with("UPLOAD_FIELDS: entry ") && said.contains(words), "{said}");
        }
        assert_eq!(sent("camera=gate").len(), 1, "without UPLOAD_METADATA nothing else has this name");
    }

    #[test]
    fn there_is_a_most_of_fields_and_of_a_value() {
        let many: String = (0..=FIELDS_MAX).map(|n| format!("a{n}=1;")).collect();
        assert!(problem(&[URL, ("UPLOAD_FIELDS", &many)]).contains("more than 32 fields"));
        let long = format!("a={}", "ü".repeat(VALUE_CHARS_MAX + 1));
        assert!(problem(&[URL, ("UPLOAD_FIELDS", &long)]).contains("more than 1000 characters"));
        assert_eq!(sent(&long[..long.len() - 2])[0].1.chars().count(), VALUE_CHARS_MAX);
    }

    proptest! {
        #[test]
        fn any_value_can_be_written_and_is_sent_as_it_is(
            values in prop::collection::vec("[ -~äß;{}\"=]{0,20}", 1..5),
        ) {
            let written = |value: &String| {
                let value = value.replace('"', "\"\"").replace('{', "{{").replace('}', "}}");
                format!("f = \"{value}\"")
            };
            let text = values.iter().map(written).collect::<Vec<_>>().join(" ; ");
            let found: Vec<_> = sent(&text).into_iter().map(|(_, value)| value).collect();
            prop_assert_eq!(found, values);
        }

        #[test]
        fn no_text_panics_and_what_is_read_is_bounded(text in "[a-f={};\" \\PC]{0,80}") {
            let beside = Beside { file: Some("file"), has_facts: true, has_site: false };
            let (fields, problems) = parse(&text, &beside);
            prop_assert!(fields.len() + problems.len() <= FIELDS_MAX + 1);
            prop_assert!(fields.iter().all(|field| !field.name().is_empty()));
        }
    }
}
