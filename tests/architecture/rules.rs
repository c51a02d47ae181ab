//! What the document says, and what the code says: the tables and the map, and the paths of a source file.

use std::collections::{BTreeMap, BTreeSet};

/// A source file without its comments and tests; its lines keep their numbers.
pub(super) struct Source {
    /// Below `src/`.
    pub(super) path: String,
    pub(super) code: String,
}

/// What the document says.
#[derive(Default)]
pub(super) struct Rules {
    /// Module, and what it may import: a module, or a module and the only items of it.
    pub(super) modules: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// Modules from the lowest.
    pub(super) order: Vec<String>,
    /// Crate as written in paths, and where it may be used.
    pub(super) crates: BTreeMap<String, Vec<String>>,
    /// Files on the map, below `src/`.
    pub(super) map: BTreeSet<String>,
}

/// The text without comments and without what is marked `#[cfg(test)]` at the margin, as many lines as before.
pub(super) fn code(text: &str) -> String {
    let mut out = String::new();
    // Inside such an item: whether its braces have opened.
    let mut skipped: Option<bool> = None;
    for line in text.lines() {
        if line == "#[cfg(test)]" {
            skipped = Some(false);
        }
        match &mut skipped {
            None => out.push_str(line.split("//").next().unwrap_or_default()),
            Some(has_opened) => {
                *has_opened |= line.ends_with('{');
                let ends = if *has_opened { line == "}" } else { line.ends_with([';', '}']) };
                if ends {
                    skipped = None;
                }
            }
        }
        out.push('\n');
    }
    out
}

/// Words in backticks.
pub(super) fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of the first table below a heading, without its head.
fn table(document: &str, heading: &str) -> Vec<Vec<String>> {
    let part = document.split(heading).nth(1).unwrap_or_else(|| panic!("ARCHITECTURE.md has no {heading}"));
    part.lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

pub(super) fn rules(document: &str) -> Rules {
    let mut rules = Rules::default();
    for row in table(document, "## Who may import whom") {
        for module in quoted(&row[1]) {
            let mut allowed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for entry in quoted(&row[2]) {
                let (other, items) = entry.split_once("::").unwrap_or((&entry, ""));
                let items =
                    items.split(|c: char| !is_word(c)).filter(|item| !item.is_empty()).map(str::to_owned);
                allowed.insert(other.to_owned(), items.collect());
            }
            rules.order.push(module.clone());
            rules.modules.insert(module, allowed);
        }
    }
    for row in table(document, "## Crates stay behind their edge") {
        for name in quoted(&row[0]) {
            rules.crates.insert(name, quoted(&row[1]));
        }
    }
    let map =
        document.split("## Source tree").nth(1).and_then(|part| part.split("```").nth(1)).unwrap_or_default();
    // The folders a line stands in, by its indent of two spaces each; the first is `src/`.
    let mut folders: Vec<String> = Vec::new();
    for line in map.lines() {
        let depth = (line.len() - line.trim_start().len()) / 2;
        let name = line.split_whitespace().next().unwrap_or_default();
        folders.truncate(depth);
        if name.ends_with('/') {
            folders.push(name.to_owned());
        } else if name.ends_with(".rs") {
            rules.map.insert(folders.iter().skip(1).map(String::as_str).chain([name]).collect());
        }
    }
    rules
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Where `word` stands and does not continue a longer path or name.
pub(super) fn places<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let continues =
        |at: usize| code[..at].ends_with(is_word) || (word.ends_with(':') && code[..at].ends_with("::"));
    code.match_indices(word).map(|(at, _)| at).filter(move |at| !continues(*at))
}

/// Every `crate::` path, with the place where its last name stands. Groups in braces are spread.
pub(super) fn crate_paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for at in places(code, "crate::") {
        spread(code, at + "crate::".len(), &[], &mut found);
    }
    found
}

/// The paths that go on at `at`: one, or those of a group.
pub(super) fn paths_at(code: &str, at: usize) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    spread(code, at, &[], &mut found);
    found.into_iter().map(|(_, path)| path).collect()
}

/// Reads one path from `at`; returns where it ends.
fn spread(code: &str, mut at: usize, prefix: &[String], found: &mut Vec<(usize, Vec<String>)>) -> usize {
    let mut path = prefix.to_vec();
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        if code[at..].starts_with('{') {
            at += 1;
            while !code[at..].trim_start().starts_with('}') && at < code.len() {
                at = spread(code, at, &path, found);
                at += code[at..].find([',', '}']).unwrap_or(code.len() - at);
                at += usize::from(code[at..].starts_with(','));
            }
            return at + code[at..].find('}').map_or(0, |end| end + 1);
        }
        let word: String = code[at..].chars().take_while(|c| is_word(*c)).collect();
        let place = at;
        at += word.len();
        if !word.is_empty() {
            path.push(word);
        }
        if code[at..].starts_with("::") {
            at += 2;
        } else {
            found.push((place, path));
            return at;
        }
    }
}

pub(super) fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}
