//! Texts into values: the rules that more than one section uses.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::problem::Wrong;

/// `true`, `1`, `yes`, `on` or `false`, `0`, `no`, `off`, in any case.
pub(super) fn boolean(text: &str) -> Result<bool, Wrong> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(Wrong::new("neither true nor false", "true, false, yes, no, on, off, 1 or 0")),
    }
}

/// A whole number within a range; `unit` is for the message.
pub(super) fn whole(range: RangeInclusive<u64>, unit: &str) -> impl Fn(&str) -> Result<u64, Wrong> {
    move |text| {
        let accepted = || {
            format!("{} to {}{}{unit}", range.start(), range.end(), if unit.is_empty() { "" } else { " " })
        };
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Wrong::new("not a whole number", accepted()));
        }
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(Wrong::new("out of range", accepted())),
        }
    }
}

/// One of a few words, in any case.
pub(super) fn choice<T: Copy>(words: &[(&str, T)]) -> impl Fn(&str) -> Result<T, Wrong> {
    move |text| {
        words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, value)| *value).ok_or_else(
            || {
                let list: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                Wrong::new("not one of the known words", list.join(", "))
            },
        )
    }
}

/// The word a value of [`choice`] was read from.
pub(super) fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, candidate)| candidate == value).map_or("", |(word, _)| word)
}

/// Fewest bytes of a limit or floor: below it, a forgotten suffix is likelier than intent.
const BYTES_MIN: u64 = 1 << 20;

/// Most bytes of a limit or floor, an exbibyte; it stays below what SQLite and file systems count with.
const BYTES_MAX: u64 = 1 << 60;

/// Bytes, plain or with `k`, `M`, `G`, `T` (powers of 1000) or `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024), in any
/// case; the `B` may be left out or added. From 1 MiB to 1 EiB.
pub(super) fn bytes(text: &str) -> Result<u64, Wrong> {
    size(BYTES_MIN, "1048576 (1 MiB) to 1 EiB", text)
}

/// Bytes as [`bytes`] has them, from `least` on; `range` says so.
pub(super) fn size(least: u64, range: &str, text: &str) -> Result<u64, Wrong> {
    let accepted = format!("{range}, plain or with k, M, G, T (1000) or KiB, MiB, GiB, TiB (1024)");
    let accepted = accepted.as_str();
    let not_a_size = || Wrong::new("not a number of bytes", accepted);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    if number.is_empty() {
        return Err(not_a_size());
    }
    let suffix = suffix.trim().to_ascii_lowercase();
    let factor: u64 = match suffix.strip_suffix('b').unwrap_or(&suffix) {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        "ti" => 1 << 40,
        _ => return Err(not_a_size()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .filter(|bytes| (least..=BYTES_MAX).contains(bytes))
        .ok_or_else(|| Wrong::new("out of range", accepted))
}

/// A path that ends in a name; relative ones count from the working directory.
pub(super) fn path(text: &str) -> Result<PathBuf, Wrong> {
    let accepted = "a path such as /var/lib/camera-capture/images, or one relative to the working directory";
    if text.starts_with('~') {
        return Err(Wrong::new("~ stands for no directory here", accepted));
    }
    let path = Path::new(text);
    // Not "/", "." or "..": the database goes beside it, and there is no beside.
    if path.file_name().is_none() {
        return Err(Wrong::new("does not end in a name", accepted));
    }
    Ok(path.to_path_buf())
}

/// Up to `most` characters.
pub(super) fn short(most: usize) -> impl Fn(&str) -> Result<String, Wrong> {
    move |text| {
        if text.chars().count() <= most {
            Ok(text.to_owned())
        } else {
            Err(Wrong::new("too long", format!("up to {most} characters")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_read_in_any_case() {
        for text in ["true", "True", "TRUE", "1", "yes", "On"] {
            assert_eq!(boolean(text), Ok(true), "{text}");
        }
        for text in ["false", "FALSE", "0", "No", "off"] {
            assert_eq!(boolean(text), Ok(false), "{text}");
        }
        for text in ["", "2", "ture", "y", "enabled"] {
            assert!(boolean(text).is_err(), "{text}");
        }
    }

    #[test]
    fn whole_numbers_stay_within_their_range() {
        let parse = whole(1..=10, "s");
        assert_eq!(parse("1"), Ok(1));
        assert_eq!(parse("10"), Ok(10));
        for text in ["0", "11", "99999999999999999999999"] {
            assert_eq!(parse(text), Err(Wrong::new("out of range", "1 to 10 s")), "{text}");
        }
        for text in ["", "+5", "-5", "5.0", "5s", "٣", "0x5"] {
            assert_eq!(parse(text), Err(Wrong::new("not a whole number", "1 to 10 s")), "{text}");
        }
    }

    #[test]
    fn bytes_take_decimal_and_binary_suffixes() {
        for (text, expected) in [
            ("1048576", 1_048_576),
            ("2M", 2_000_000),
            ("2000k", 2_000_000),
            ("3mb", 3_000_000),
            ("10G", 10_000_000_000),
            ("10 GiB", 10 << 30),
            ("1024Ki", 1 << 20),
            ("1tib", 1 << 40),
            ("2T", 2_000_000_000_000),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "G", "-1G", "1.5G", "10X", "10Gi B", "0", "5", "99999999T", "99999999999999999999"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_ends_in_a_name_and_has_no_tilde() {
        assert_eq!(path("images"), Ok(PathBuf::from("images")));
        assert_eq!(path("/srv/a b/"), Ok(PathBuf::from("/srv/a b/")));
        for text in ["/", ".", "..", "a/..", "~/images", "~"] {
            assert!(path(text).is_err(), "{text}");
        }
    }
}
