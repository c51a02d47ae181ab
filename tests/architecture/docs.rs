//! The pages for people: every link leads somewhere, nothing is left out, and the README stays short.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use camera_capture::model::TargetKind;

use crate::{read, root};

/// A README that is longer is not read; what does not fit belongs into `docs/`.
const README_LINES_MAX: usize = 150;

/// Pictures lie in the repository for ever, and the installer copies them.
const PICTURE_BYTES_MAX: u64 = 150_000;

/// What the pages write like a variable and is none: a mistyped name as an example, and firmware of a camera.
const NO_VARIABLES: &[&str] = &["CAMERA_1_PIN", "CAMERA_GRAB_LATEST"];

/// `TARGET_…` in a page stands for each of these.
fn kinds() -> impl Iterator<Item = String> {
    TargetKind::ALL.into_iter().map(|kind| kind.as_str().to_ascii_uppercase())
}

/// Every page of the tree, below the root.
fn pages() -> Vec<PathBuf> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
                below(&path, found);
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    below(&root(), &mut found);
    found.sort();
    found.into_iter().map(|path| path.strip_prefix(root()).unwrap().to_owned()).collect()
}

/// What an operator reads: the README and `docs/`.
fn manual() -> Vec<PathBuf> {
    pages().into_iter().filter(|page| page == Path::new("README.md") || page.starts_with("docs")).collect()
}

fn text(page: &Path) -> String {
    read(&page.to_string_lossy())
}

/// The text without what stands in fences and between back-ticks, where nothing is a link or a heading.
fn prose(text: &str) -> String {
    let mut is_fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            lines.push(line);
        }
    }
    let joined = lines.join("\n");
    joined.split('`').enumerate().filter(|(at, _)| at % 2 == 0).map(|(_, part)| part).collect()
}

/// Where its links lead, as written: `[words](here)`.
fn links(text: &str) -> Vec<String> {
    let targets = prose(text);
    targets.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors of its headings, made as the forges make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let (mut seen, mut anchors, mut is_fenced) = (BTreeMap::new(), BTreeSet::new(), false);
    for line in text.lines() {
        is_fenced ^= line.trim_start().starts_with("```");
        let heading = line.trim_start_matches('#');
        if is_fenced || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let anchor = heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-");
        let times = seen.entry(anchor.clone()).or_insert(0_u32);
        anchors.insert(if *times == 0 { anchor } else { format!("{anchor}-{times}") });
        *times += 1;
    }
    anchors
}

/// What is wrong with a link that stands in `page`.
fn fault(page: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let full =
        if file.is_empty() { root().join(page) } else { root().join(page).parent().unwrap().join(file) };
    let Ok(found) = full.canonicalize() else {
        return Some(format!("{}: {link}: no such file", page.display()));
    };
    if !found.starts_with(root().canonicalize().unwrap()) {
        return Some(format!("{}: {link}: leads out of the tree", page.display()));
    }
    let anchor = anchor?;
    let has_anchor = fs::read_to_string(&found).is_ok_and(|text| anchors(&text).contains(anchor));
    (!has_anchor).then(|| format!("{}: {link}: no such heading", page.display()))
}

/// Words like `CAMERA_1_IP`.
fn names_like_variables(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !is_part(c))
        .filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase()))
        .filter(|word| word.replace("_n_", "_").chars().all(|c| !c.is_ascii_lowercase()))
        .filter(|word| !word.ends_with('_'))
        .map(str::to_owned)
        .collect()
}

/// The name with `n` for the number of a camera.
fn numbered(name: &str) -> String {
    let parts: Vec<&str> = name.split('_').collect();
    // Of a target: the variable of the first one.
    if let [kind, number, rest @ ..] = &parts[..]
        && kinds().any(|it| it == *kind)
        && number.parse::<u8>().is_ok()
    {
        let rest = rest.join("_");
        return match (*kind, rest.as_str()) {
            ("API", "URL") => "S3_API_URL".to_owned(),
            ("API", "UPLOAD_FIELD_NAME" | "UPLOAD_HEADERS" | "UPLOAD_FIELDS" | "UPLOAD_SUCCESS") => rest,
            _ => format!("{kind}_{rest}"),
        };
    }
    match parts.iter().position(|part| *part == "CAMERA") {
        Some(at) if parts.get(at + 1).is_some_and(|part| part.parse::<u8>().is_ok()) => {
            [&parts[..=at], &["n"], &parts[at + 2..]].concat().join("_")
        }
        _ => name.to_owned(),
    }
}

/// The variables of the example, with `n` for the number of a camera.
fn settings() -> BTreeSet<String> {
    let example = read("env.example");
    let names = example.lines().filter_map(|line| line.trim_start_matches('#').split_once('='));
    names
        .map(|(name, _)| name)
        .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .map(numbered)
        .collect()
}

/// The variables that the manual names, with `n` for the number of a camera.
fn documented() -> BTreeSet<String> {
    let text: String = manual().iter().map(|page| text(page)).collect();
    let spread = |name: String| match name.strip_prefix("TARGET_") {
        Some(rest) => kinds().map(|kind| format!("{kind}_{rest}")).collect(),
        None => vec![numbered(&name)],
    };
    names_like_variables(&text).into_iter().flat_map(spread).collect()
}

#[test]
fn every_link_of_every_page_leads_to_a_file_and_a_heading_that_are_there() {
    let faults: Vec<String> = pages()
        .iter()
        .flat_map(|page| links(&text(page)).into_iter().filter_map(|link| fault(page, &link)))
        .collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= README_LINES_MAX, "{lines} lines, {README_LINES_MAX} are the limit; docs/ has room");
}

#[test]
fn pictures_of_the_manual_are_small() {
    for entry in fs::read_dir(root().join("docs/images")).unwrap() {
        let entry = entry.unwrap();
        let bytes = entry.metadata().unwrap().len();
        assert!(bytes < PICTURE_BYTES_MAX, "{}: {bytes} bytes", entry.path().display());
    }
}

#[test]
fn every_page_of_the_manual_is_reached_from_the_readme_and_leads_back() {
    let (readme, index) = (links(&read("README.md")), links(&read("docs/README.md")));
    let mut missing = Vec::new();
    for page in manual().iter().filter(|page| page.parent() == Some(Path::new("docs"))) {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        let own = links(&text(page));
        let has =
            |links: &[String], wanted: &str| links.iter().any(|link| link.split('#').next() == Some(wanted));
        if !has(&own, "../README.md") {
            missing.push(format!("docs/{name} does not link to the README"));
        }
        if name != "README.md" {
            for (links, wanted, from) in [
                (&own, "README.md".to_owned(), format!("docs/{name}")),
                (&readme, format!("docs/{name}"), "README.md".to_owned()),
                (&index, name.clone(), "docs/README.md".to_owned()),
            ] {
                if !has(links, &wanted) {
                    missing.push(format!("{from} does not link to {wanted}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

#[test]
fn the_manual_names_every_variable_and_none_that_there_is_not() {
    let (settings, documented) = (settings(), documented());
    let unsaid: Vec<_> = settings.difference(&documented).collect();
    // Only what begins like a variable of ours is judged: the pages name others, too.
    let first = |name: &str| name.split('_').next().unwrap_or_default().to_owned();
    let ours: BTreeSet<String> = settings.iter().map(|name| first(name)).collect();
    let exceptions: BTreeSet<String> = NO_VARIABLES.iter().map(|name| numbered(name)).collect();
    let unknown: Vec<_> = documented
        .difference(&settings)
        .filter(|name| name.contains('_') && ours.contains(&first(name)) && !exceptions.contains(*name))
        .collect();
    assert!(unsaid.is_empty() && unknown.is_empty(), "named nowhere: {unsaid:?}; no variables: {unknown:?}");
}

#[test]
fn the_manual_names_every_flag() {
    let output = Command::new(env!("CARGO_BIN_EXE_camera-capture")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let flags: BTreeSet<&str> = help
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| word.len() > 2 && word.starts_with("--"))
        .collect();
    assert!(flags.len() > 8, "{flags:?}");
    let operation = read("docs/operation.md");
    let unsaid: Vec<_> = flags.into_iter().filter(|flag| !operation.contains(*flag)).collect();
    assert!(unsaid.is_empty(), "docs/operation.md does not name {unsaid:?}");
}

#[test]
fn pages_named_in_settings_unit_and_scripts_are_there() {
    for file in ["env.example", "camera-capture.service", "deploy/install.sh", "scripts/test", "Cargo.toml"] {
        let text = read(file);
        let is_part = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        for word in text.split(|c: char| !is_part(c)).filter(|word| word.ends_with(".md")) {
            // What is installed lies in another place by the same name.
            let own = ["/usr/local/share/doc/camera-capture/", "notices/"]
                .iter()
                .find_map(|place| word.split_once(place).map(|(_, own)| own))
                .unwrap_or(word);
            assert!(root().join(own).is_file(), "{file} names {word}");
        }
    }
}

#[test]
fn the_oldest_toolchain_is_the_same_in_the_manifest_the_workflow_and_the_pages() {
    let manifest = read("Cargo.toml");
    let oldest = manifest.split("rust-version = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(read(".github/workflows/ci.yml").contains(&format!("rust:{oldest}-")), "the workflow");
    for page in ["README.md", "CONTRIBUTING.md"] {
        assert!(read(page).contains(&format!("Rust {oldest} or newer")), "{page}");
    }
}

#[test]
fn the_workflow_runs_the_test_command_of_the_readme() {
    assert!(read(".ci/run").contains("scripts/test") && read("README.md").contains("\nscripts/test\n"));
    assert!(read(".github/workflows/ci.yml").contains("run: .ci/run\n"));
}

#[test]
fn links_and_anchors_are_read_as_the_forges_read_them() {
    let page = "# A page\n## What happens when …\n```sh\n# no heading [no](link.md)\n```\n## A page\n[a](b.md#c) `[d](e)`\n";
    assert_eq!(links(page), ["b.md#c"]);
    let expected = ["a-page", "a-page-1", "what-happens-when-"];
    assert_eq!(anchors(page), expected.map(str::to_owned).into());
    let readme = Path::new("README.md");
    assert!(fault(readme, "docs/nowhere.md").unwrap().ends_with("no such file"));
    assert!(fault(readme, "STYLE.md#nowhere").unwrap().ends_with("no such heading"));
    assert_eq!(fault(readme, "STYLE.md#names"), None);
    assert_eq!(numbered("GPIO_CAMERA_3_PIN"), "GPIO_CAMERA_n_PIN");
}
