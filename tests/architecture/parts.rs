//! Who needs a part of the store holds that part, and what a part does not do its holder cannot.

use super::rules::{Source, code, crate_paths, line_of};
use super::{module_of, sources};

/// Modules that hold parts of the store and never all of it.
const PARTIAL: &[&str] = &["disk", "ingest", "targets", "trigger", "upload", "web"];

/// Where such a module names the whole store.
fn whole(sources: &[Source]) -> Vec<String> {
    let is_whole = |path: &[String]| path.starts_with(&["store".to_owned(), "Store".to_owned()]);
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| PARTIAL.contains(&module_of(&source.path))) {
        for (at, path) in crate_paths(&source.code) {
            if is_whole(&path) {
                found.push(format!("src/{}:{}", source.path, line_of(&source.code, at)));
            }
        }
    }
    found
}

#[test]
fn who_needs_a_part_of_the_store_does_not_hold_all_of_it() {
    let found = whole(&sources());
    assert!(found.is_empty(), "a part (store/facets.rs) is enough at {found:?}");
}

#[test]
fn the_whole_store_is_seen_in_a_group_and_a_part_is_not_taken_for_it() {
    let made = |path: &str, text: &str| Source { path: path.to_owned(), code: code(text) };
    let sources = [
        made("web/mod.rs", "use crate::store::{Image, Store};\n"),
        made("web/uploads.rs", "use crate::store::{StoreCatalog, StoreError};\n"),
        made("daemon/mod.rs", "use crate::store::Store;\n"),
    ];
    assert_eq!(whole(&sources), ["src/web/mod.rs:1"]);
}
