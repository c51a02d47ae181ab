//! What the paths of a client mean: folders are fiction, and of a file only its own name counts. Pure.

/// Longest folder that is remembered, bytes: it must fit into a reply.
const FOLDER_MAX: usize = 96;

/// What clients put behind a name while they write the file.
const TEMPORARY: [&str; 6] = [".tmp", ".temp", ".part", ".partial", ".filepart", ".upload"];

/// Endings of what must be a picture.
const PICTURES: [&str; 4] = [".jpg", ".jpeg", ".jpe", ".jfif"];

/// What a name says of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// A picture.
    Picture,
    /// Nothing: it has no ending, or a temporary one.
    Unsaid,
    /// Something else, which cameras send beside their pictures: a clip, an XML file, a text by which they try out the way.
    Other,
}

/// The own name of a file: the last part of a path, whatever separates the parts, without a temporary ending.
pub(super) fn own_name(path: &str) -> &str {
    let name = last_part(path);
    let lower = name.to_ascii_lowercase();
    let ending = TEMPORARY.iter().find(|ending| lower.ends_with(**ending) && lower.len() > ending.len());
    ending.and_then(|ending| name.get(..name.len() - ending.len())).unwrap_or(name)
}

/// The last part of a path.
pub(super) fn last_part(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or_default()
}

/// What the name of a file says of its content.
pub(super) fn promise(path: &str) -> Promise {
    let name = own_name(path).to_ascii_lowercase();
    if PICTURES.iter().any(|ending| name.ends_with(ending)) {
        return Promise::Picture;
    }
    let is_temporary = name.len() != last_part(path).len();
    match name.rsplit_once('.') {
        Some((stem, ending)) if !is_temporary && !stem.is_empty() && is_ending(ending) => Promise::Other,
        _ => Promise::Unsaid,
    }
}

/// Whether it is an ending and no part of a date: `2026.11.29` ends with none.
fn is_ending(text: &str) -> bool {
    (1..=6).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Where somebody is who goes to `path` from `folder`. There is no folder, so every one is there; `..` above the first
/// stays there.
pub(super) fn folder(folder: &str, path: &str) -> String {
    let start = if path.starts_with(['/', '\\']) { "" } else { folder };
    let mut parts: Vec<&str> = Vec::new();
    for part in start.split('/').chain(path.split(['/', '\\'])) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    // Who goes too deep is remembered in the last folders that fit.
    let length = |parts: &[&str]| parts.iter().map(|part| part.len() + 1).sum::<usize>();
    let mut first = 0;
    while length(&parts[first..]) > FOLDER_MAX {
        first += 1;
    }
    format!("/{}", parts[first..].join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_a_path_only_the_own_name_counts() {
        for (path, own) in [
            ("snap.jpg", "snap.jpg"),
            ("/2026-11-29/001/jpg/10/33/05[M][0@0][0].jpg", "05[M][0@0][0].jpg"),
            ("/../../etc/../../../tmp/evil.jpg", "evil.jpg"),
            ("C:\\cam\\x.JPG", "x.JPG"),
            ("a/x.jpg.tmp", "x.jpg"),
            ("x.TMP", "x"),
            (".tmp", ".tmp"),
            ("", ""),
            ("a/", ""),
        ] {
            assert_eq!(own_name(path), own, "{path}");
        }
    }

    #[test]
    fn a_name_promises_a_picture_something_else_or_nothing() {
        for (path, expected) in [
            ("a/x.JPG", Promise::Picture),
            ("x.jpeg.part", Promise::Picture),
            ("x.tmp", Promise::Unsaid),
            ("x.mp4.tmp", Promise::Unsaid),
            ("snapshot", Promise::Unsaid),
            ("2026.11.29", Promise::Unsaid),
            (".hidden", Promise::Unsaid),
            ("", Promise::Unsaid),
            ("event.xml", Promise::Other),
            ("a/b.mp4", Promise::Other),
            ("test.txt", Promise::Other),
        ] {
            assert_eq!(promise(path), expected, "{path}");
        }
    }

    #[test]
    fn every_folder_is_there() {
        for (from, path, expected) in [
            ("/", "a", "/a"),
            ("/a", "b/c", "/a/b/c"),
            ("/a", "/b", "/b"),
            ("/a/b", "..", "/a"),
            ("/", "../../..", "/"),
            ("/a", "./b//c/", "/a/b/c"),
            ("/a", "", "/a"),
            ("/a", "\\b", "/b"),
        ] {
            assert_eq!(folder(from, path), expected, "{from} {path}");
        }
    }

    proptest! {
        #[test]
        fn a_folder_is_short_and_absolute_and_an_own_name_has_no_separator(from in any::<String>(), path in "\\PC{0,300}") {
            let at = folder(&folder("/", &from), &path);
            prop_assert!(at.starts_with('/') && at.len() <= FOLDER_MAX + 1);
            prop_assert!(!own_name(&path).contains(['/', '\\']));
            let _ = promise(&path);
        }
    }
}
