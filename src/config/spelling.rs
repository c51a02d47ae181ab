//! Names nobody reads, and what was probably meant.

use super::variables::{CAMERA_NUMBER_MAX, VARIABLES, behind_number, name_of, word};
use crate::model::{TargetId, TargetKind};

/// Beginnings that mark a variable as meant for this program, beside the words of the kinds of targets. With `API` alone
/// others begin theirs, too.
const PREFIXES: &[&str] = &[
    "API_UPLOAD_",
    "BACKGROUND_",
    "BIND_",
    "CAMERA_",
    "CLEANUP_",
    "CONNECTIVITY_",
    "GPIO_",
    "IMAGE_",
    "OFFLINE_",
    "STORAGE_",
    "UPLOAD_",
    "WEB_",
    "TRUSTED_",
];

/// Names that other programs of this kind have, or that come to mind first, and what they are called here. The nearest by
/// its letters would be another one.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("API_URL", "S3_API_URL"),
    ("UPLOAD_URL", "S3_API_URL"),
    ("UPLOAD_API_URL", "S3_API_URL"),
    ("API_UPLOAD_URL", "S3_API_URL"),
    ("SERVER_URL", "S3_API_URL"),
    ("REMOTE_URL", "S3_API_URL"),
    ("S3_URL", "S3_ENDPOINT (a bucket) or S3_API_URL (a form)"),
    ("S3_HOST", "S3_ENDPOINT"),
    ("S3_ENDPOINT_URL", "S3_ENDPOINT"),
    ("S3_BUCKET_NAME", "S3_BUCKET"),
    ("S3_ACCESS_KEY", "S3_ACCESS_KEY_ID"),
    ("S3_SECRET_KEY", "S3_SECRET_ACCESS_KEY"),
    ("WEBHOOK_URL", "DISCORD_WEBHOOK_URL"),
    ("DISCORD_WEBHOOK", "DISCORD_WEBHOOK_URL"),
    ("DISCORD_URL", "DISCORD_WEBHOOK_URL"),
    ("PORT", "BIND_PORT"),
    ("WEB_PORT", "BIND_PORT"),
    ("HTTP_PORT", "BIND_PORT"),
    ("SERVER_PORT", "BIND_PORT"),
    ("BIND_HOST", "BIND_IP"),
    ("BIND_ADDRESS", "BIND_IP"),
    ("WEB_HOST", "BIND_IP (where it listens) or WEB_HOSTS (its name)"),
    ("RETENTION_DAYS", "IMAGE_RETENTION_DAYS"),
    ("STORAGE_PATH", "IMAGE_STORAGE_PATH"),
    ("IMAGE_DIR", "IMAGE_STORAGE_PATH"),
    ("IMAGE_PATH", "IMAGE_STORAGE_PATH"),
    ("IMAGES_DIR", "IMAGE_STORAGE_PATH"),
    ("DB_PATH", "DATABASE_PATH"),
    ("BOUNCE_TIME", "GPIO_BOUNCE_TIME"),
    ("DEBOUNCE_MS", "GPIO_BOUNCE_TIME"),
    ("LOGLEVEL", "LOG_LEVEL"),
];

/// Names that other programs keep the password of their page, or its hash, in.
const PASSWORD_NAMES: &[&str] = &[
    "PASSWORD",
    "PASSWORD_HASH",
    "HASHED_PASSWORD",
    "WEB_PASSWORD",
    "ADMIN_PASSWORD",
    "ADMIN_PASSWORD_HASH",
    "DASHBOARD_PASSWORD",
    "DASHBOARD_PASSWORD_HASH",
    "LOGIN_PASSWORD",
    "LOGIN_PASSWORD_HASH",
    "AUTH_PASSWORD",
    "AUTH_PASSWORD_HASH",
    "APP_PASSWORD",
    "APP_PASSWORD_HASH",
    "USER_PASSWORD_HASH",
    "WEB_AUTH_PASSWORD",
    "WEB_AUTH_PASSWORD_HASH",
];

/// A name without a known beginning is taken for a slip of the pen up to this many wrong letters; more would call
/// variables of other programs mistakes.
const SLIP_MAX: usize = 2;

/// Names shorter than this are never taken for slips: two wrong letters make any of them into any other.
const SLIP_LENGTH_MIN: usize = 7;

/// If `name`, which nobody reads, looks meant for this program: what to do about it, in words.
pub(super) fn advice(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    if PASSWORD_NAMES.contains(&upper.as_str()) {
        let text = "nothing reads this name; delete this line and set the dashboard's password with camera-capture \
                    --set-password (a camera's is CAMERA_PASSWORD)";
        return Some(text.to_owned());
    }
    let text = match suspect(name)? {
        Found::Meant(real) => format!("nothing reads this name; here it is {real}"),
        Found::Nearest(real) => format!("nothing reads this name; {real} is the nearest"),
    };
    Some(text)
}

/// A real name.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Known from the words.
    Meant(String),
    /// Nearest by its letters.
    Nearest(String),
}

/// The real name for `name`, if it looks meant for this program.
fn suspect(name: &str) -> Option<Found> {
    let upper = name.to_ascii_uppercase();
    if let Some((_, real)) = OTHER_NAMES.iter().find(|(other, _)| *other == upper) {
        return Some(Found::Meant((*real).to_owned()));
    }
    if let Some(real) = numbered(&upper) {
        return Some(Found::Meant(real));
    }
    if let Some(real) = of_target(&upper) {
        return Some(Found::Meant(real));
    }
    let (nearest, distance) = nearest(name)?;
    let slip = name.len() >= SLIP_LENGTH_MIN && distance <= SLIP_MAX;
    (begins_like_ours(&upper) || slip).then_some(Found::Nearest(nearest))
}

fn begins_like_ours(name: &str) -> bool {
    let mut kinds = TargetKind::ALL.into_iter().filter(|kind| *kind != TargetKind::Api).map(word);
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || kinds.any(|word| name.strip_prefix(&word).is_some_and(|rest| rest.starts_with('_')))
}

/// The contact of a camera by the words of its name, `GPIO_PIN_1`, `PIN_1_GPIO`, `CAMERA_1_PIN`: with their number at
/// another place the letters lead elsewhere.
fn numbered(name: &str) -> Option<String> {
    let number = camera_number(name)?;
    let words: Vec<_> =
        name.split(|c: char| c == '_' || c.is_ascii_digit()).filter(|word| !word.is_empty()).collect();
    let is_contact = words.contains(&"PIN") || words == ["GPIO"] || words == ["GPIO", "CAMERA"];
    let is_known = words.iter().all(|word| ["GPIO", "PIN", "CAMERA", "CAM", "BCM"].contains(word));
    (is_contact && is_known && words.len() > 1).then(|| format!("GPIO_CAMERA_{number}_PIN"))
}

/// The variable of a target whose number stands at another place, or at none: `S3_API_2_URL`, `UPLOAD_HEADERS_2`,
/// `RELAY2_URL`, `API_UPLOAD_HEADERS`.
fn of_target(name: &str) -> Option<String> {
    let is_digit =
        |at: Option<usize>| at.and_then(|at| name.as_bytes().get(at)).is_some_and(u8::is_ascii_digit);
    let numbered = name.char_indices().filter_map(|(at, c)| {
        let number = c.to_digit(10).and_then(|digit| u8::try_from(digit).ok())?;
        let is_alone = !is_digit(at.checked_sub(1)) && !is_digit(Some(at + 1));
        let (before, behind) = (&name[..at], &name[at + 1..]);
        let before = before.strip_suffix('_').unwrap_or(before);
        let behind = if before.is_empty() { behind.strip_prefix('_').unwrap_or(behind) } else { behind };
        is_alone.then(|| (number, format!("{before}{behind}")))
    });
    numbered.chain([(1, name.to_owned())]).find_map(|(number, name)| {
        let found = VARIABLES.iter().find_map(|variable| {
            let kind = variable.kind?;
            let is_it = variable.name == name
                || name.strip_prefix(&word(kind)).and_then(|rest| rest.strip_prefix('_'))
                    == Some(behind_number(kind, variable.name));
            is_it.then_some((kind, variable.name))
        });
        found.and_then(|(kind, first)| Some(name_of(TargetId::new(kind, number)?, first)))
    })
}

/// The real name nearest to `name`, and how far it is.
fn nearest(name: &str) -> Option<(String, usize)> {
    let upper = name.to_ascii_uppercase();
    let number = camera_number(&upper).unwrap_or(1);
    VARIABLES
        .iter()
        .map(|variable| {
            let id = variable.kind.and_then(|kind| TargetId::new(kind, target_number(&upper)));
            let real = id.map_or_else(|| variable.name_for(number), |id| name_of(id, variable.name));
            let distance = distance_of(&upper, &real);
            (real, distance)
        })
        .min_by_key(|(_, distance)| *distance)
}

/// The number of the target that `name` may be for: a digit between two underscores.
fn target_number(name: &str) -> u8 {
    let words = name.split('_').filter(|word| word.len() == 1);
    words
        .filter_map(|word| word.parse().ok())
        .find(|number| (1..=TargetId::NUMBER_MAX).contains(number))
        .unwrap_or(1)
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
    use super::super::variables::find;
    use super::*;

    #[test]
    fn a_mistyped_name_finds_the_real_one() {
        for (typed, real) in [
            ("CAMERA_2_RTPS", "CAMERA_2_RTSP"),
            ("UPLOAD_ENABLE", "UPLOAD_ENABLED"),
            ("BIND_PROT", "BIND_PORT"),
            ("camera_password", "CAMERA_PASSWORD"),
            ("S3_API_ULR", "S3_API_URL"),
            ("BACKGORUND_UPLOAD", "BACKGROUND_UPLOAD"),
            ("LOG_LEVLE", "LOG_LEVEL"),
            ("CAMERA_01_IP", "CAMERA_1_IP"),
            ("API_2_ULR", "API_2_URL"),
            ("S3_2_BUKET", "S3_2_BUCKET"),
            ("RELAY_ADDRESS", "RELAY_URL"),
        ] {
            assert_eq!(suspect(typed), Some(Found::Nearest(real.to_owned())), "{typed}");
        }
    }

    #[test]
    fn a_name_of_other_programs_finds_the_one_of_the_same_meaning() {
        for (typed, real) in [
            ("CAMERA_1_PIN", "GPIO_CAMERA_1_PIN"),
            ("GPIO_CAMERA_PIN_2", "GPIO_CAMERA_2_PIN"),
            ("GPIO_PIN_3", "GPIO_CAMERA_3_PIN"),
            ("GPIO_CAMERA_1", "GPIO_CAMERA_1_PIN"),
            ("PORT", "BIND_PORT"),
            ("s3_url", "S3_ENDPOINT (a bucket) or S3_API_URL (a form)"),
            ("UPLOAD_URL", "S3_API_URL"),
            ("S3_API_2_URL", "API_2_URL"),
            ("S3_API_URL_2", "API_2_URL"),
            ("s3_api_url2", "API_2_URL"),
            ("API2_URL", "API_2_URL"),
            ("API_URL_3", "API_3_URL"),
            ("S3_API_1_URL", "S3_API_URL"),
            ("UPLOAD_HEADERS_2", "API_2_UPLOAD_HEADERS"),
            ("UPLOAD_2_HEADERS", "API_2_UPLOAD_HEADERS"),
            ("API_UPLOAD_HEADERS", "UPLOAD_HEADERS"),
            ("S3_BUCKET_2", "S3_2_BUCKET"),
            ("S3_UPLOAD_RATE_2", "S3_2_UPLOAD_RATE"),
            ("DISCORD_WEBHOOK_URL_9", "DISCORD_9_WEBHOOK_URL"),
            ("RELAY_URL2", "RELAY_2_URL"),
        ] {
            assert_eq!(suspect(typed), Some(Found::Meant(real.to_owned())), "{typed}");
        }
    }

    #[test]
    fn every_name_of_the_lists_is_read_by_nobody_and_every_meant_one_by_somebody() {
        let names = OTHER_NAMES.iter().map(|(other, _)| other).chain(PASSWORD_NAMES);
        for name in names {
            assert!(find(name).is_none(), "{name}");
        }
        for (_, real) in OTHER_NAMES {
            let real = real.split(' ').next().unwrap();
            assert!(find(real).is_some(), "{real}");
        }
    }

    #[test]
    fn the_password_of_another_page_is_to_be_set_here() {
        for name in ["WEB_PASSWORD", "PASSWORD_HASH", "Admin_Password"] {
            assert!(advice(name).unwrap().contains("delete this line"), "{name}");
        }
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        for name in [
            "PATH",
            "HOME",
            "LANG",
            "LOG_DIR",
            "RUST_LOG",
            "DATABASE_URL",
            "XDG_RUNTIME_DIR",
            "API_KEY",
            "S3CFG",
            "",
            "É",
        ] {
            assert_eq!(advice(name), None, "{name}");
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
