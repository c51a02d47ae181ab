//! ARCHITECTURE.md is the rule and this is its judge: imports go down the table of modules, a crate stays where the
//! table of crates puts it, every file is on the map, and none grows too long.
//!
//! The tables are read from the document, so they cannot differ from what is enforced. Code of tests is not judged.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources fails")]

mod circles;
mod docs;
mod glossary;
mod parts;
mod rules;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use camera_capture::model::TargetKind;

use rules::{Rules, Source, code, crate_paths, line_of, places, rules};

/// A file that is longer is two files.
const LINES_MAX: usize = 500;

/// What may stand only in some places, and why. What a method or a lint can say is in clippy.toml and in Cargo.toml; here
/// are the exceptions from these, and what no lint knows.
const WORDS: &[(&str, &[&str], &str)] = &[
    (
        "disallowed_methods",
        &[
            "lib.rs",
            "clock/mod.rs",
            "config/env.rs",
            "cli/demo.rs",
            "daemon/mod.rs",
            "model/foreign.rs",
            // a question that counts is brought to its end, though nobody waits for its answer any more
            "upload/analysis.rs",
        ],
        "clippy.toml says which place may do it",
    ),
    ("unsafe_code", &["media/native/", "system/"], "C libraries are wrapped in one place"),
    ("use camera_capture", &["main.rs"], "inside the library a path begins with crate::"),
    ("super::super::", &[], "a path that leaves its module begins with crate::"),
];

/// Files that decide and do nothing: no clock, no input or output, no waiting.
const PURE: &[&str] = &[
    "model/",
    "model/backoff.rs",
    "media/",
    "source/body.rs",
    "source/freshness.rs",
    "source/front/challenge.rs",
    "source/front/control.rs",
    "source/lag.rs",
    "source/front/conversation.rs",
    "source/front/description.rs",
    "source/front/keepalive.rs",
    "source/front/message.rs",
    "source/front/rate.rs",
    "source/front/refusal.rs",
    "source/front/slip.rs",
    "source/front/transport.rs",
    "source/front/wire.rs",
    "source/front/words.rs",
    "source/rtp/assembly.rs",
    "source/rtp/jpeg.rs",
    "source/rtp/marker.rs",
    "source/rtp/mod.rs",
    "source/rtp/nal.rs",
    "source/rtp/order.rs",
    "source/rtp/packet.rs",
    "source/rtp/report.rs",
    "source/rtp/sets.rs",
    "ingest/ftp/command.rs",
    "ingest/ftp/dialog.rs",
    "ingest/ftp/name.rs",
    "trigger/debounce.rs",
    "daemon/alarms/rule.rs",
    "status/pace.rs",
    "store/order.rs",
    "upload/policy.rs",
    "targets/certificate.rs",
    "targets/form.rs",
    "targets/response.rs",
    "targets/success.rs",
    "targets/text.rs",
    "targets/tryout_report.rs",
    "targets/verdict.rs",
    "targets/s3_answer.rs",
    "disk/level.rs",
    "disk/words.rs",
    "web/crowd.rs",
    "web/intake.rs",
    "web/openapi_text.rs",
    "web/picture_body.rs",
];

/// What a pure file does not say.
const IMPURE: &[&str] =
    &["tokio::", "std::fs", "std::net", "std::thread", "Instant::now", "crate::clock", ".await"];

/// What must be there for a stranger.
const TOP_LEVEL: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "STYLE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/README.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "env.example",
    "camera-capture.service",
    "deploy/install.sh",
    "migrations/0001_initial.sql",
    "scripts/demo",
    "Cargo.lock",
];

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
    path.contains("/tests/")
        || ["_tests.rs", "/tests.rs", "/testing.rs"].iter().any(|end| path.ends_with(end))
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
        let mut breach =
            |at: usize, text: String| breaches.push(format!("src/{path}:{}: {text}", line_of(code, at)));
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
                Some(items)
                    if !items.is_empty() && !names.get(1).is_some_and(|item| items.contains(item)) =>
                {
                    breach(
                        at,
                        format!("of `{other}`, `{own}` may import only {items:?}; see the table of modules"),
                    );
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
        for (word, _, rule) in WORDS.iter().filter(|(_, homes, _)| !is_at(path, homes)) {
            for at in places(code, word) {
                breach(at, format!("`{word}`: {rule}"));
            }
        }
        // Its threads end with it, and what it gives is the same without them.
        let may_have_threads = path == "media/halves.rs";
        let is_allowed = |word: &&&str| may_have_threads && **word == "std::thread";
        for word in IMPURE.iter().filter(|word| is_at(path, PURE) && !is_allowed(word)) {
            for (at, _) in code.match_indices(word) {
                breach(
                    at,
                    format!("`{word}` in a file that only decides (PURE in tests/architecture/main.rs)"),
                );
            }
        }
        let lines = code.trim_end().lines().count();
        if lines > LINES_MAX {
            breach(
                code.len(),
                format!("{lines} lines without tests, {LINES_MAX} are the limit; make two files of it"),
            );
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
fn every_alarm_has_one_owner() {
    let sources = sources();
    let kinds = read("src/status/alarm.rs");
    let set =
        kinds.split_once("pub enum AlarmKind {").and_then(|(_, rest)| rest.split_once("\n}\n")).unwrap().0;
    let names = set
        .lines()
        .filter_map(|line| line.strip_prefix("    ").filter(|line| line.starts_with(char::is_uppercase)));
    let mut owners = std::collections::BTreeMap::new();
    for name in names.map(|line| line.split(|c: char| !c.is_alphanumeric()).next().unwrap()) {
        let given = format!("alarm(AlarmKind::{name}");
        let made = format!("AlarmKind::{name}");
        let ends =
            |at: usize, code: &str, what: &str| !code[at + what.len()..].starts_with(char::is_alphanumeric);
        let count =
            |code: &str, what: &str| code.match_indices(what).filter(|(at, _)| ends(*at, code, what)).count();
        let owned = sources.iter().map(|source| count(&source.code, &given));
        let found = sources.iter().filter(|source| source.path == "daemon/alarms/rule.rs");
        let found = found.map(|source| count(&source.code, &made).min(1));
        owners.insert(name.to_owned(), owned.chain(found).sum::<usize>());
    }
    owners.retain(|_, count| *count != 1);
    assert!(owners.is_empty(), "alarms with more or fewer owners than one: {owners:?}");
    assert!(set.contains("DiskShort"), "the set was found");
}

/// So that a new kind is its table, its two files and its pages. The HTTP API has names from a time when it was the only one.
#[test]
fn a_kind_of_target_is_named_by_its_tables_and_its_files_alone() {
    const HOMES: &[&str] = &["model/target.rs", "config/variables.rs", "config/target/", "targets/mod.rs"];
    let mut named = Vec::new();
    for Source { path, code } in sources().iter().filter(|source| !is_at(&source.path, HOMES)) {
        for kind in TargetKind::ALL.into_iter().filter(|kind| *kind != TargetKind::Api) {
            for name in ["TargetKind", "TargetSettings"].map(|set| format!("{set}::{kind:?}")) {
                named.extend(
                    places(code, &name).map(|at| format!("src/{path}:{}: {name}", line_of(code, at))),
                );
            }
        }
    }
    assert!(named.is_empty(), "\n{}\n", named.join("\n"));
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
    assert!(
        missing.is_empty() && stale.is_empty(),
        "not on the map: {missing:?}; only on the map: {stale:?}"
    );
    for path in TOP_LEVEL {
        assert!(root().join(path).is_file(), "{path} is missing");
    }
}

#[test]
fn every_dependency_has_a_place() {
    let manifest = read("Cargo.toml");
    let section =
        manifest.split("\n[dependencies]\n").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap();
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
        judged("store/mod.rs", "//! Store.\n#![allow(unsafe_code)]\n"),
        ["src/store/mod.rs:2: `unsafe_code`: C libraries are wrapped in one place"]
    );
    assert_eq!(judged("clock.rs", "use super::store;\n").len(), 1);
    let after_tests = "#[cfg(test)]\nmod tests {\n}\n#[cfg(test)]\nconst X: u8 = 1;\nuse crate::gpio;\n";
    assert_eq!(judged("store/mod.rs", after_tests).len(), 1, "code after tests is code");
    assert_eq!(judged("trigger/debounce.rs", "fn x() { Instant::now(); }\n").len(), 1);
    assert_eq!(judged("store/mod.rs", &"fn x() {}\n".repeat(LINES_MAX + 1)).len(), 1);
}

#[test]
fn what_is_allowed_is_no_breach() {
    let fine = "use crate::clock;\nuse crate::store::{Image};\n// rusqlite::Row\nuse super::Pin;\nlet a = my_crate::b;\n\
                #[cfg(test)]\nmod x_tests;\n#[cfg(test)]\nfn y() {\n    reqwest::get();\n}\n\
                #[cfg(test)]\nmod tests {\n    use crate::web;\n}\n";
    assert_eq!(judged("gpio/mod.rs", fine), Vec::<String>::new());
    assert_eq!(
        judged("store/mod.rs", "use rusqlite::Row;\nuse crate::store::Image;\n"),
        Vec::<String>::new()
    );
}

#[test]
fn nested_groups_are_spread() {
    let paths = crate_paths("use crate::{a::{b, c::D}, e};\nlet f = crate::g::H::i();\n");
    let paths: Vec<String> = paths.into_iter().map(|(_, path)| path.join("::")).collect();
    assert_eq!(paths, ["a::b", "a::c::D", "e", "g::H::i"]);
    assert_eq!(rules(MADE_UP).map, names(&["clock.rs", "gpio/mod.rs"]));
}
