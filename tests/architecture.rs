//! ARCHITECTURE.md is the rule and this is its judge: imports go down the table of modules, a crate stays where the
//! table of crates puts it, every file is on the map, and none grows too long.
//!
//! The tables are read from the document, so they cannot differ from what is enforced. Code of tests is not judged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A file that is longer is two files.
const LINES_MAX: usize = 500;

/// What only some places may call: the word, where it may stand, and why.
const WORDS: &[(&str, &[&str], &str)] = &[
    ("SystemTime::now", &["clock.rs"], "wall time comes from clock::now()"),
    ("env::var", &["config/", "cli/demo.rs"], "the environment is read in config/ (the demonstration reads its port)"),
    ("env::set_var", &[], "changing the environment beside other threads is unsound"),
    ("process::exit", &["daemon.rs"], "only a second signal ends the process at once"),
    ("tokio::spawn", &["daemon.rs"], "tasks belong to the supervisor or to a JoinSet"),
    ("use camera_capture", &["main.rs"], "inside the library a path begins with crate::"),
    ("super::super::", &[], "a path that leaves its module begins with crate::"),
];

/// Files that decide and do nothing: no clock, no input or output, no waiting.
const PURE: &[&str] = &[
    "model.rs", "backoff.rs", "media/", "trigger/debounce.rs", "upload/policy.rs", "target/response.rs",
];

/// What a pure file does not say.
const IMPURE: &[&str] = &["tokio::", "std::fs", "std::net", "std::thread", "Instant::now", "crate::clock", ".await"];

/// What must be there for a stranger.
const TOP_LEVEL: &[&str] = &[
    "README.md", "ARCHITECTURE.md", "STYLE.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE", "env.example",
    "camera-capture.service", "deploy/install.sh", "migrations/0001_initial.sql", "scripts/demo", "Cargo.lock",
];

/// A source file without its comments and tests; its lines keep their numbers.
struct Source {
    /// Below `src/`.
    path: String,
    code: String,
}

/// What the document says.
#[derive(Default)]
struct Rules {
    /// Module, and what it may import: a module, or a module and the only items of it.
    modules: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// Modules from the lowest.
    order: Vec<String>,
    /// Crate as written in paths, and where it may be used.
    crates: BTreeMap<String, Vec<String>>,
    /// Files on the map, below `src/`.
    map: BTreeSet<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("read {path}: {error}"))
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let (folder, mut found) = (root().join("src"), Vec::new());
    files_below(&folder, &mut found);
    found.sort();
    let named = found.into_iter().map(|path| {
        let relative = path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
        (relative, fs::read_to_string(&path).unwrap())
    });
    named.filter(|(path, _)| !is_test(path)).map(|(path, text)| Source { path, code: code(&text) }).collect()
}

/// Files that are compiled for tests alone.
fn is_test(path: &str) -> bool {
    path.ends_with("_tests.rs") || path.ends_with("/testing.rs")
}

/// The text without comments and without modules marked `#[cfg(test)]`, as many lines as before.
fn code(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.lines().peekable();
    let mut in_tests = false;
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{')) {
            in_tests = true;
        }
        if !in_tests {
            out.push_str(line.split("//").next().unwrap_or_default());
        } else if line == "}" {
            in_tests = false;
        }
        out.push('\n');
    }
    out
}

/// Words in backticks.
fn quoted(text: &str) -> Vec<String> {
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

fn rules(document: &str) -> Rules {
    let mut rules = Rules::default();
    for row in table(document, "## Who may import whom") {
        for module in quoted(&row[1]) {
            let mut allowed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for entry in quoted(&row[2]) {
                let (other, items) = entry.split_once("::").unwrap_or((&entry, ""));
                let items = items.split(|c: char| !is_word(c)).filter(|item| !item.is_empty()).map(str::to_owned);
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
    let map = document.split("## Source tree").nth(1).and_then(|part| part.split("```").nth(1)).unwrap_or_default();
    let mut folder = String::new();
    for line in map.lines() {
        let indent = line.len() - line.trim_start().len();
        let name = line.split_whitespace().next().unwrap_or_default();
        match indent {
            2 if name.ends_with('/') => folder = name.to_owned(),
            2 if name.ends_with(".rs") => _ = rules.map.insert(name.to_owned()),
            4 if name.ends_with(".rs") => _ = rules.map.insert(format!("{folder}{name}")),
            _ => {}
        }
    }
    rules
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Where `word` stands and does not continue a longer path or name.
fn places<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let begins = |at: usize| !code[..at].ends_with(is_word) && !(word.ends_with(':') && code[..at].ends_with("::"));
    code.match_indices(word).map(|(at, _)| at).filter(move |at| begins(*at))
}

/// Every `crate::` path, with the place where its last name stands. Groups in braces are spread.
fn crate_paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for at in places(code, "crate::") {
        spread(code, at + "crate::".len(), &[], &mut found);
    }
    found
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

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// The top-level module of a file.
fn module_of(path: &str) -> &str {
    path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

fn is_at(path: &str, places: &[impl AsRef<str>]) -> bool {
    places.iter().any(|place| {
        let place = place.as_ref();
        path == place || place == "anywhere" || (place.ends_with('/') && path.starts_with(place))
    })
}

/// Every breach, as `src/file:line: what, and the rule`.
fn breaches(sources: &[Source], rules: &Rules) -> Vec<String> {
    let mut breaches = Vec::new();
    for Source { path, code } in sources {
        let mut breach = |at: usize, text: String| breaches.push(format!("src/{path}:{}: {text}", line_of(code, at)));
        let own = module_of(path);
        let is_crate_root = matches!(own, "lib" | "main");
        for (at, names) in crate_paths(code) {
            let Some(other) = names.first().filter(|other| *other != own && !is_crate_root) else { continue };
            let Some(allowed) = rules.modules.get(own) else {
                breach(at, format!("`{own}` is not in the table of modules"));
                continue;
            };
            match allowed.get(other) {
                None => breach(at, format!("`{own}` may not import `{other}`; see the table of modules")),
                Some(items) if !items.is_empty() && !names.get(1).is_some_and(|item| items.contains(item)) => {
                    breach(at, format!("of `{other}`, `{own}` may import only {items:?}; see the table of modules"));
                }
                Some(_) => {}
            }
        }
        if !path.contains('/') && !is_crate_root {
            for at in places(code, "super::") {
                breach(at, "beside the module's tests a path begins with crate::".to_owned());
            }
        }
        for (name, homes) in rules.crates.iter().filter(|(_, homes)| !is_at(path, homes)) {
            for form in [format!("{name}::"), format!("use {name};")] {
                for at in places(code, &form) {
                    breach(at, format!("the crate `{name}` stays in {homes:?}; see the table of crates"));
                }
            }
        }
        for (word, homes, rule) in WORDS.iter().filter(|(_, homes, _)| !is_at(path, homes)) {
            for at in places(code, word) {
                breach(at, format!("`{word}`: {rule}"));
            }
        }
        for word in IMPURE.iter().filter(|_| is_at(path, PURE)) {
            for (at, _) in code.match_indices(word) {
                breach(at, format!("`{word}` in a file that only decides (PURE in tests/architecture.rs)"));
            }
        }
        let lines = code.trim_end().lines().count();
        if lines > LINES_MAX {
            breach(code.len(), format!("{lines} lines without tests, {LINES_MAX} are the limit; make two files of it"));
        }
    }
    breaches
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_code_keeps_to_the_tables() {
    let found = breaches(&sources(), &rules(&read("ARCHITECTURE.md")));
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_table_of_modules_has_no_way_up_and_no_arrow_that_nobody_uses() {
    let (rules, sources) = (rules(&read("ARCHITECTURE.md")), sources());
    let mut wrong = Vec::new();
    for (place, module) in rules.order.iter().enumerate() {
        let used: BTreeSet<String> = sources
            .iter()
            .filter(|source| module_of(&source.path) == module)
            .flat_map(|source| crate_paths(&source.code))
            .filter_map(|(_, names)| names.first().cloned())
            .collect();
        for other in rules.modules[module].keys() {
            if !rules.order[..place].contains(other) {
                wrong.push(format!("`{module}` may import `{other}`, which is not above it in the table"));
            }
            if !used.contains(other) {
                wrong.push(format!("`{module}` may import `{other}` but does not"));
            }
        }
    }
    let declared: BTreeSet<String> = code(&read("src/lib.rs"))
        .lines()
        .filter_map(|line| Some(line.strip_prefix("pub mod ")?.trim_end_matches(';').to_owned()))
        .collect();
    let listed: BTreeSet<String> = rules.order.iter().cloned().collect();
    assert_eq!(declared, listed, "modules of src/lib.rs, and of the table in ARCHITECTURE.md");
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_file_is_on_the_map_and_everything_on_the_map_is_there() {
    let there: BTreeSet<String> = sources().into_iter().map(|source| source.path).collect();
    let map = rules(&read("ARCHITECTURE.md")).map;
    let missing: Vec<_> = there.difference(&map).collect();
    let stale: Vec<_> = map.difference(&there).collect();
    assert!(missing.is_empty() && stale.is_empty(), "not on the map: {missing:?}; only on the map: {stale:?}");
    for path in TOP_LEVEL {
        assert!(root().join(path).is_file(), "{path} is missing");
    }
}

#[test]
fn every_dependency_has_a_place() {
    let manifest = read("Cargo.toml");
    let section = manifest.split("\n[dependencies]\n").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap();
    let depended: BTreeSet<String> = section
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once('=')?.0.trim().replace('-', "_")))
        // The one crate whose library has another name.
        .map(|name| if name == "md_5" { "md5".to_owned() } else { name })
        .collect();
    let placed: BTreeSet<String> = rules(&read("ARCHITECTURE.md")).crates.into_keys().collect();
    assert_eq!(depended, placed, "dependencies of Cargo.toml, and of the table of crates in ARCHITECTURE.md");
}

const MADE_UP: &str = "\
## Source tree
```text
src/
  gpio/
    mod.rs   contacts
  clock.rs   time
```
## Who may import whom
| layer | module | may import |
|---|---|---|
| core | `clock` | |
| edge | `store` | `clock` |
| edge | `gpio` | `clock` `store::{Image}` |
## Crates stay behind their edge
| crate | in |
|---|---|
| `rusqlite` | `store/` |
";

fn judged(path: &str, text: &str) -> Vec<String> {
    breaches(&[Source { path: path.to_owned(), code: code(text) }], &rules(MADE_UP))
}

#[test]
fn a_breach_is_shown_with_file_line_and_rule() {
    assert_eq!(
        judged("store/queue.rs", "//! Queue.\n\nuse crate::{\n    clock,\n    gpio::Level,\n};\n"),
        ["src/store/queue.rs:5: `store` may not import `gpio`; see the table of modules"]
    );
    assert_eq!(
        judged("gpio/mod.rs", "fn x() {\n    let y = crate::store::Store::open();\n}\n"),
        ["src/gpio/mod.rs:2: of `store`, `gpio` may import only {\"Image\"}; see the table of modules"]
    );
    assert_eq!(
        judged("gpio/mod.rs", "use rusqlite::Row;\n"),
        ["src/gpio/mod.rs:1: the crate `rusqlite` stays in [\"store/\"]; see the table of crates"]
    );
    assert_eq!(
        judged("store/mod.rs", "fn x() {\n    std::time::SystemTime::now();\n}\n"),
        ["src/store/mod.rs:2: `SystemTime::now`: wall time comes from clock::now()"]
    );
    assert_eq!(judged("clock.rs", "use super::store;\n").len(), 1);
    assert_eq!(judged("trigger/debounce.rs", "fn x() { Instant::now(); }\n").len(), 1);
    assert_eq!(judged("store/mod.rs", &"fn x() {}\n".repeat(LINES_MAX + 1)).len(), 1);
}

#[test]
fn what_is_allowed_is_no_breach() {
    let fine = "use crate::clock;\nuse crate::store::{Image};\n// rusqlite::Row\nuse super::Pin;\nlet a = my_crate::b;\n\
                #[cfg(test)]\nmod tests {\n    use crate::web;\n}\n";
    assert_eq!(judged("gpio/mod.rs", fine), Vec::<String>::new());
    assert_eq!(judged("store/mod.rs", "use rusqlite::Row;\nuse crate::store::Image;\n"), Vec::<String>::new());
}

#[test]
fn nested_groups_are_spread() {
    let paths = crate_paths("use crate::{a::{b, c::D}, e};\nlet f = crate::g::H::i();\n");
    let paths: Vec<String> = paths.into_iter().map(|(_, path)| path.join("::")).collect();
    assert_eq!(paths, ["a::b", "a::c::D", "e", "g::H::i"]);
    assert_eq!(rules(MADE_UP).map, names(&["clock.rs", "gpio/mod.rs"]));
}
