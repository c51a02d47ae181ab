//! docs/glossary.md is the rule: one name for each type that is seen beyond its file, every term is in the code, and
//! what is not said is not there.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::{Source, code, quoted};
use super::{read, sources};

const KINDS: [&str; 5] = ["struct ", "enum ", "trait ", "type ", "union "];

/// The part of the page below a heading.
fn part(heading: &str) -> String {
    let page = read("docs/glossary.md");
    let after =
        page.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no part {heading}"));
    after.split("\n## ").next().unwrap_or_default().to_owned()
}

/// Types that are seen beyond their file, and where they are defined.
fn types(sources: &[Source]) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources {
        for line in source.code.lines().filter(|line| line.starts_with("pub")) {
            let rest = line.strip_prefix("pub").unwrap_or_default();
            let rest =
                if rest.starts_with('(') { rest.split_once(')').map_or("", |(_, rest)| rest) } else { rest };
            let Some(name) = KINDS.iter().find_map(|kind| rest.trim_start().strip_prefix(kind)) else {
                continue;
            };
            let name: String = name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            found.entry(name).or_default().push(source.path.clone());
        }
    }
    found
}

#[test]
fn a_type_that_is_seen_beyond_its_file_has_a_name_of_its_own() {
    let idioms: BTreeSet<String> = quoted(&part("Idioms")).into_iter().collect();
    let doubled: Vec<String> = types(&sources())
        .into_iter()
        .filter(|(name, places)| places.len() > 1 && !idioms.contains(name))
        .map(|(name, places)| format!("{name}: {}", places.join(", ")))
        .collect();
    assert!(doubled.is_empty(), "one name, several things:\n{}", doubled.join("\n"));
}

#[test]
fn every_word_of_the_glossary_is_in_the_code() {
    let everything: String =
        sources().iter().map(|source| format!("{}\n{}\n", source.path, source.code)).collect();
    let rows = part("Things");
    let missing: Vec<&str> = rows
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| word"))
        .filter(|line| {
            let names = quoted(line.trim_end_matches('|').rsplit('|').next().unwrap_or_default());
            names.is_empty() || names.iter().any(|name| !has_word(&everything, name))
        })
        .collect();
    assert!(missing.is_empty(), "not in the code:\n{}", missing.join("\n"));
}

fn has_word(text: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word))
}

#[test]
fn what_is_not_said_names_no_type() {
    let not_said = quoted(&part("Not said"));
    assert!(!not_said.is_empty());
    let (sources, kinds) = (sources(), KINDS);
    for Source { path, code } in &sources {
        for word in &not_said {
            let defined = kinds.iter().any(|kind| has_word(code, &format!("{kind}{word}")));
            assert!(!defined, "src/{path} defines `{word}`; see docs/glossary.md");
        }
    }
}

#[test]
fn the_judge_sees_types_and_not_their_tests() {
    let text =
        "pub(super) struct Kept<T> {\n}\nstruct Own;\n#[cfg(test)]\nmod tests {\npub struct Hidden;\n}\n";
    let sources = [Source { path: "a.rs".to_owned(), code: code(text) }];
    assert_eq!(types(&sources).into_keys().collect::<Vec<_>>(), ["Kept"]);
}
