//! `S3_PREFIX` and `S3_KEY`: what an object is called. Pure.

use super::problem::Wrong;
use crate::model::{CameraKey, FileName, ImageId, foreign};

/// Longest key of an S3 store, bytes of UTF-8.
const KEY_BYTES_MAX: usize = 1024;

/// What `S3_KEY` may look like.
const ACCEPTED: &str = "text and {prefix} {filename} {id} {camera} {year} {month} {day} {site}, with {filename} or {id} \
                        among them, without empty parts, . and .. between the /";

/// A piece of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Filename,
    Id,
    Camera,
    Year,
    Month,
    Day,
}

/// The key of every object: the same picture has the same key at every attempt, and no two pictures of one box share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTemplate {
    /// As written, for the description.
    text: String,
    prefix: String,
    pieces: Vec<Piece>,
}

impl KeyTemplate {
    /// Parses a template. `prefix` is a folder; slashes around it do not matter.
    pub(super) fn parse(text: &str, prefix: &str, site: Option<&str>) -> Result<Self, Wrong> {
        let wrong = |what: &str| Wrong::new(what, ACCEPTED);
        let prefix = prefix.trim_matches('/').to_owned();
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (literal, behind) = rest.split_at(at);
            pieces.push(Piece::Text(literal.to_owned()));
            let name = behind.strip_prefix('{').ok_or_else(|| wrong("has a } without {"))?;
            let (name, behind) = name.split_once('}').ok_or_else(|| wrong("has a { without }"))?;
            rest = behind;
            pieces.push(match name {
                "prefix" if prefix.is_empty() => Piece::Text(String::new()),
                "prefix" => Piece::Text(format!("{prefix}/")),
                "site" => {
                    Piece::Text(site.ok_or_else(|| wrong("has {site}, but SITE_NAME is not set"))?.to_owned())
                }
                "filename" => Piece::Filename,
                "id" => Piece::Id,
                "camera" => Piece::Camera,
                "year" => Piece::Year,
                "month" => Piece::Month,
                "day" => Piece::Day,
                _ => return Err(wrong("has an unknown name in braces")),
            });
        }
        pieces.push(Piece::Text(rest.to_owned()));
        if !pieces.iter().any(|piece| matches!(piece, Piece::Filename | Piece::Id)) {
            return Err(wrong("would give many pictures one name"));
        }
        let template = Self { text: text.to_owned(), prefix, pieces };
        template.check(wrong)?;
        Ok(template)
    }

    /// Only the fixed text can make a key bad, so one key, of the longest parts there are, tells of all.
    fn check(&self, wrong: impl Fn(&str) -> Wrong) -> Result<(), Wrong> {
        let camera = CameraKey::parse(&"c".repeat(32)).map_err(|_| wrong("cannot be tried"))?;
        let name = FileName::new(camera.clone(), 99_999_999_999, FileName::ORDINAL_MAX);
        let key = self.key(&camera, &name, ImageId::from_bytes([0; 16]));
        if key.len() > KEY_BYTES_MAX {
            return Err(wrong("makes keys of more than 1024 bytes"));
        }
        if foreign::has_control(&key) || key.contains('\\') {
            return Err(wrong("has a character that stores do not take"));
        }
        if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(wrong(
                "has an empty part, . or .. between two / or at an end, perhaps by S3_PREFIX or SITE_NAME",
            ));
        }
        Ok(())
    }

    /// The key of one picture or clip, at most 1024 bytes. Year, month and day are those of its name, in UTC but
    /// for a pushed one: the time of a picture may be corrected once the clock is set, and an attempt after that must not make
    /// a second object.
    pub fn key(&self, camera: &CameraKey, filename: &FileName, id: ImageId) -> String {
        let day = filename.day();
        let part = |index: usize| day.split('-').nth(index).unwrap_or_default().to_owned();
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Filename => filename.to_string(),
                Piece::Id => id.to_string(),
                Piece::Camera => camera.to_string(),
                Piece::Year => part(0),
                Piece::Month => part(1),
                Piece::Day => part(2),
            })
            .collect()
    }

    /// `S3_KEY`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// `S3_PREFIX` without slashes around it; may be empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str, prefix: &str, site: Option<&str>) -> Result<String, String> {
        let template = KeyTemplate::parse(text, prefix, site).map_err(|wrong| wrong.what)?;
        let name = FileName::parse("r1_1698765432.jpg").unwrap();
        Ok(template.key(name.camera().unwrap(), &name, ImageId::from_bytes([0xab; 16])))
    }

    #[test]
    fn a_key_is_made_of_the_facts_of_the_picture() {
        let id = "ab".repeat(16);
        for (text, prefix, site, expected) in [
            ("{prefix}{filename}", "", None, "r1_1698765432.jpg".to_owned()),
            ("{prefix}{filename}", "/gate 1/in/", None, "gate 1/in/r1_1698765432.jpg".to_owned()),
            ("{prefix}{filename}", "gate", None, "gate/r1_1698765432.jpg".to_owned()),
            (
                "{site}/{camera}/{year}/{month}/{day}/{id}.jpg",
                "",
                Some("Süd"),
                format!("Süd/r1/2023/10/31/{id}.jpg"),
            ),
        ] {
            assert_eq!(key(text, prefix, site), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_template_that_would_lose_pictures_or_is_none_is_refused() {
        for (text, prefix, site) in [
            ("{camera}/{day}.jpg", "", None),
            ("", "", None),
            ("{filename", "", None),
            ("filename}", "", None),
            ("{file}", "", None),
            ("{site}/{filename}", "", None),
            ("/{filename}", "", None),
            ("{filename}/", "", None),
            ("a//{filename}", "", None),
            ("../{filename}", "", None),
            ("{prefix}{filename}", "a/../b", None),
            ("{site}/{filename}", "", Some("..")),
            ("{filename}\\", "", None),
        ] {
            assert!(key(text, prefix, site).is_err(), "{text} {prefix} {site:?}");
        }
        assert!(key(&format!("{}{{filename}}", "x".repeat(1000)), "", None).is_err());
    }

    proptest! {
        #[test]
        fn no_two_pictures_share_a_key_and_the_same_one_has_always_the_same(
            text in "[a-z{}/]{0,6}(\\{filename\\}|\\{id\\})[a-z/]{0,6}", prefix in "[a-z/]{0,5}",
            first in 1_000_000_000_u64..3_000_000_000, second in 1_000_000_000_u64..3_000_000_000,
        ) {
            if let Ok(template) = KeyTemplate::parse(&text, &prefix, Some("s")) {
                let key = |epoch: u64| {
                    let name = FileName::new(CameraKey::parse("r1").unwrap(), epoch, 1);
                    template.key(name.camera().unwrap(), &name, ImageId::from_bytes(u128::from(epoch).to_be_bytes()))
                };
                prop_assert_eq!(key(first) == key(second), first == second);
                prop_assert!(key(first).len() <= KEY_BYTES_MAX);
            }
        }
    }
}
