//! Names nobody reads, and what was probably meant.

use super::variables::{CAMERA_NUMBER_MAX, VARIABLES};

/// Beginnings that mark a variable as meant for this program.
const PREFIXES: &[&str] = &[
    "API_UPLOAD_",
    "BACKGROUND_",
    "BIND_",
    "CAMERA_",
    "CLEANUP_",
    "CONNECTIVITY_",
    "DISCORD_",
    "GPIO_",
    "IMAGE_",
    "OFFLINE_",
    "RELAY_",
    "S3_",
    "STORAGE_",
    "UPLOAD_",
    "WEB_",
    "TRUSTED_",
];

/// A name without a known beginning is taken for a slip of the pen up to this many wrong letters; more would call
/// variables of other programs mistakes.
const SLIP_MAX: usize = 2;

/// Names shorter than this are never taken for slips: two wrong letters make any of them into any other.
const SLIP_LENGTH_MIN: usize = 7;

/// If `name`, which nobody reads, looks meant for this program: the real name nearest to it.
pub(super) fn suspect(name: &str) -> Option<String> {
    let (nearest, distance) = nearest(name)?;
    let known_beginning = PREFIXES.iter().any(|prefix| name.to_ascii_uppercase().starts_with(prefix));
    let slip = name.len() >= SLIP_LENGTH_MIN && distance <= SLIP_MAX;
    (known_beginning || slip).then_some(nearest)
}

/// The real name nearest to `name`, and how far it is.
fn nearest(name: &str) -> Option<(String, usize)> {
    let upper = name.to_ascii_uppercase();
    let number = camera_number(&upper).unwrap_or(1);
    VARIABLES
        .iter()
        .map(|variable| {
            let real = variable.name_for(number);
            let distance = distance_of(&upper, &real);
            (real, distance)
        })
        .min_by_key(|(_, distance)| *distance)
}

/// The first number of `name` that is a camera's.
fn camera_number(name: &str) -> Option<u8> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .find(|number| (1..=CAMERA_NUMBER_MAX).contains(number))
}

/// Wrong letters between two names. A name that only lacks its first or last words counts as one: `CAMERA_1_PIN` is
/// nearer to `GPIO_CAMERA_1_PIN` than to `CAMERA_1_IP`.
fn distance_of(typed: &str, real: &str) -> usize {
    let lacks_words = real.strip_suffix(typed).is_some_and(|head| head.ends_with('_'))
        || real.strip_prefix(typed).is_some_and(|tail| tail.starts_with('_'));
    if lacks_words { 1 } else { edit_distance(typed.as_bytes(), real.as_bytes()) }
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn edit_distance(a: &[u8], b: &[u8]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_finds_the_real_one() {
        for (typed, real) in [
            ("CAMERA_1_PIN", "GPIO_CAMERA_1_PIN"),
            ("GPIO_CAMERA_PIN_2", "GPIO_CAMERA_2_PIN"),
            ("CAMERA_2_RTPS", "CAMERA_2_RTSP"),
            ("UPLOAD_ENABLE", "UPLOAD_ENABLED"),
            ("BIND_PROT", "BIND_PORT"),
            ("camera_password", "CAMERA_PASSWORD"),
            ("S3_API_ULR", "S3_API_URL"),
            ("BACKGORUND_UPLOAD", "BACKGROUND_UPLOAD"),
            ("LOG_LEVLE", "LOG_LEVEL"),
            ("CAMERA_01_IP", "CAMERA_1_IP"),
        ] {
            assert_eq!(suspect(typed).as_deref(), Some(real), "{typed}");
        }
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        for name in
            ["PATH", "HOME", "LANG", "LOG_DIR", "RUST_LOG", "DATABASE_URL", "XDG_RUNTIME_DIR", "", "É"]
        {
            assert_eq!(suspect(name), None, "{name}");
        }
    }

    #[test]
    fn distance_counts_letters_and_swaps() {
        assert_eq!(edit_distance(b"", b"abc"), 3);
        assert_eq!(edit_distance(b"abc", b"abc"), 0);
        assert_eq!(edit_distance(b"abc", b"acb"), 1);
        assert_eq!(edit_distance(b"kitten", b"sitting"), 3);
    }
}
