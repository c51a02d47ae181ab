//! Files of a room know each other in one direction, so that each can be read, moved and tested without the others.
//!
//! As `scripts/shape --circles` counts: what a `mod.rs` only hands on is its file's own, and that a file needs the
//! `mod.rs` above it makes no circle.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::{Source, code, paths_at, places};
use super::sources;

/// The one circle: a stream may be carried by a tunnel, which is a stream again.
const CIRCLED: &[&str] = &["source/front/stream.rs", "source/front/tunnel.rs"];

type Path = Vec<String>;

fn path_of(file: &str) -> Path {
    let parts: Path = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    match parts.split_last() {
        Some((last, folders)) if last == "mod" => folders.to_vec(),
        _ => parts,
    }
}

/// What a file names of this crate, as whole paths, and whether it only hands it on.
fn named(module: &Path, code: &str, children: &[&str]) -> Vec<(bool, Path)> {
    let above = module.split_last().map_or(&[][..], |(_, above)| above).to_vec();
    let roots = [("crate", Path::new()), ("super", above), ("self", module.clone())];
    let below = children.iter().map(|child| (*child, [&module[..], &[(*child).to_owned()]].concat()));
    let mut found = Vec::new();
    for (root, base) in roots.into_iter().chain(below) {
        let start = format!("{root}::");
        for at in places(code, &start) {
            let line = code[..at].rfind(['\n', ';']).map_or(0, |end| end + 1);
            let is_handed_on =
                code[line..at].trim_start().starts_with("pub") && code[line..at].contains("use ");
            for path in paths_at(code, at + start.len()) {
                found.push((is_handed_on, [&base[..], &path].concat()));
            }
        }
    }
    found
}

/// Which file needs which.
fn needs(sources: &[Source]) -> BTreeMap<&str, BTreeSet<&str>> {
    let files: BTreeMap<Path, &str> =
        sources.iter().map(|it| (path_of(&it.path), it.path.as_str())).collect();
    let mut handed_on = BTreeMap::new();
    let mut all = Vec::new();
    for source in sources {
        let module = path_of(&source.path);
        let children: Vec<&str> = files
            .keys()
            .filter_map(|path| path.split_last().filter(|(_, above)| *above == &module[..]))
            .map(|(name, _)| name.as_str())
            .collect();
        for (is_handed_on, path) in named(&module, &source.code, &children) {
            if is_handed_on {
                let name = path.last().cloned().into_iter();
                handed_on.insert(module.iter().cloned().chain(name).collect::<Path>(), path);
            } else {
                all.push((source.path.as_str(), path));
            }
        }
    }
    let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, mut path) in all {
        // What is handed on twice is found in the end; a name handed on as itself is its own.
        for _ in 0..4 {
            // A type, or a function of it.
            let Some(len) = (1..=path.len()).rev().find(|len| handed_on.contains_key(&path[..*len])) else {
                break;
            };
            path = [&handed_on[&path[..len]][..], &path[len..]].concat();
        }
        let file = (1..=path.len()).rev().find_map(|len| files.get(&path[..len]).copied());
        let is_above =
            |file: &str| file.strip_suffix("mod.rs").is_some_and(|folder| from.starts_with(folder));
        if let Some(file) = file.filter(|file| *file != from && !is_above(file)) {
            needs.entry(from).or_default().insert(file);
        }
    }
    needs
}

/// Files that need themselves by way of others.
fn circled(sources: &[Source]) -> BTreeSet<&str> {
    let needs = needs(sources);
    let needs_itself = |from: &&str| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![*from]);
        while let Some(file) = next.pop() {
            next.extend(needs.get(file).into_iter().flatten().copied().filter(|file| reached.insert(*file)));
        }
        reached.contains(from)
    };
    sources.iter().map(|source| source.path.as_str()).filter(needs_itself).collect()
}

#[test]
fn the_files_of_a_room_know_each_other_in_one_direction() {
    let sources = sources();
    let found: Vec<_> = circled(&sources).into_iter().filter(|file| !CIRCLED.contains(file)).collect();
    assert!(found.is_empty(), "in circles: {found:?}; scripts/shape --circles shows them");
}

#[test]
fn a_circle_is_seen_through_what_is_handed_on_and_a_way_up_is_none() {
    let made = |files: &[(&str, &str)]| -> Vec<Source> {
        let source = |(path, text): &(&str, &str)| Source { path: (*path).to_owned(), code: code(text) };
        files.iter().map(source).collect()
    };
    let face = ("a/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use two::{Two, II};\nstruct Own;\n");
    let circle = made(&[face, ("a/one.rs", "use super::{II, Own};\n"), ("a/two.rs", "use crate::a::One;\n")]);
    assert_eq!(circled(&circle).into_iter().collect::<Vec<_>>(), ["a/one.rs", "a/two.rs"]);
    let line = made(&[face, ("a/one.rs", "use super::Own;\n"), ("a/two.rs", "fn f() { super::one::f() }\n")]);
    assert!(circled(&line).is_empty());
}
