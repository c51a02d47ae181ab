//! The settings of an older installation against those of this one, in words. Pure; no secret is repeated.

use super::Env;
use super::spelling;
use super::variables::{self, Whose};
use crate::model::foreign;

/// Longest value that is repeated, characters.
const VALUE_MAX: usize = 80;

/// Longest name of a variable that is repeated, characters.
const NAME_MAX: usize = 80;

/// Names of the older file that are told; one with more is no file of settings.
const NAMES_MAX: usize = 500;

/// What the program before this one did where its file said nothing, and this one does not do by itself.
const NO_DEFAULTS: [(&str, &str); 3] = [
    ("CAMERA_PASSWORD", "the password admin for every camera"),
    ("S3_API_URL", "https://api.easyparkai.com/api/Common/Upload?modulename=anpr"),
    ("BIND_IP", "192.168.1.33"),
];

/// What a person has to look at, a line for each setting of `old` that `new` has not, or has otherwise.
pub fn settings_to_look_at(old: &Env, new: &Env) -> Vec<String> {
    let mut lines: Vec<String> =
        old.names().take(NAMES_MAX).filter_map(|name| Some(line(name, &about(name, old, new)?))).collect();
    let is_of_this_kind = old.names().any(|name| variables::find(name).is_some());
    for (name, default) in NO_DEFAULTS.into_iter().filter(|_| is_of_this_kind) {
        if old.get(name).is_none() && new.get(name).is_none() {
            let text = format!(
                "not set there either, and the program before this one then took {default}; set it if \
                         that was in use"
            );
            lines.push(line(name, &text));
        }
    }
    lines
}

fn line(name: &str, text: &str) -> String {
    format!("{}: {text}", foreign::line(name, NAME_MAX))
}

/// What there is to do about a name of the older file; `None` where both say the same.
fn about(name: &str, old: &Env, new: &Env) -> Option<String> {
    let there = old.get(name)?;
    let Some((variable, whose)) = variables::find(name) else {
        return Some(spelling::advice(name).unwrap_or_else(|| "nothing reads this name here".to_owned()));
    };
    let here = new.get(name);
    if variable.name == "WEB_PASSWORD_HASH" && !there.starts_with("$argon2") {
        let text = "no hash of this program, and never taken as a password; do not copy the line, set the password with \
                    camera-capture --set-password";
        return Some(text.to_owned());
    }
    if here == Some(there) {
        return None;
    }
    let number = match whose {
        Whose::Camera(number) | Whose::Target(number) => u8::try_from(number).unwrap_or(0),
        _ => 0,
    };
    let default = variable.default_for(number);
    if here.is_none() && default.as_deref() == Some(there) {
        return None;
    }
    let is_hidden = variable.secret || there.contains('@') || here.is_some_and(|here| here.contains('@'));
    Some(match (here, is_hidden) {
        (None, true) => "set there and not here (value hidden); copy the line".to_owned(),
        (Some(_), true) => "another value there (values hidden); copy the line if that was meant".to_owned(),
        (here, false) => {
            let shown = |text: &str| foreign::line(text, VALUE_MAX);
            let here = here.map(shown).unwrap_or_else(|| match &default {
                Some(default) => format!("not set ({})", shown(default)),
                None => "not set".to_owned(),
            });
            format!("{} there, {here} here; copy the line if the old value was meant", shown(there))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(old: &[(&'static str, &'static str)], new: &[(&'static str, &'static str)]) -> Vec<String> {
        let env = |pairs: &[(&'static str, &'static str)]| Env::from_pairs(pairs.iter().copied());
        settings_to_look_at(&env(old), &env(new))
    }

    const ALL: [(&str, &str); 3] =
        [("CAMERA_PASSWORD", "c"), ("S3_API_URL", "https://a/"), ("BIND_IP", "127.0.0.1")];

    /// S4.3
    #[test]
    fn what_differs_is_told_with_what_to_do_and_what_is_the_same_is_not() {
        let new = [&ALL[..], &[("IMAGE_RETENTION_DAYS", "120"), ("GPIO_BOUNCE_TIME", "50")]].concat();
        let old = [
            ("IMAGE_RETENTION_DAYS", "120"),
            ("GPIO_BOUNCE_TIME", "300"),
            ("GPIO_CAMERA_1_PIN", "18"),
            ("CAMERA_1_IP", "10.0.0.7"),
            ("BIND_PORT", "9001"),
            ("CAMERA_1_PIN", "18"),
            ("FLASK_ENV", "production"),
        ];
        assert_eq!(
            told(&old, &new),
            [
                "BIND_PORT: 9001 there, not set (9000) here; copy the line if the old value was meant",
                "CAMERA_1_IP: 10.0.0.7 there, not set here; copy the line if the old value was meant",
                "CAMERA_1_PIN: nothing reads this name; here it is GPIO_CAMERA_1_PIN",
                "FLASK_ENV: nothing reads this name here",
                "GPIO_BOUNCE_TIME: 300 there, 50 here; copy the line if the old value was meant",
            ]
        );
    }

    /// S4.2, S4.3
    #[test]
    fn no_secret_is_repeated_and_a_foreign_hash_is_no_password_here() {
        let old = [
            ("CAMERA_PASSWORD", "canary-1"),
            ("S3_API_URL", "https://canary-2@host/"),
            ("CAMERA_2_RTSP", "rtsp://u:canary-3@cam/"),
            ("ADMIN_PASSWORD_HASH", "canary-4"),
            ("WEB_PASSWORD_HASH", "pbkdf2:sha256:canary-5"),
            ("BIND_IP", "u:canary-6@host"),
        ];
        let lines = told(&old, &[("CAMERA_PASSWORD", "canary-7"), ("BIND_IP", "127.0.0.1")]);
        assert_eq!(lines.len(), old.len());
        let text = lines.join("\n");
        assert!(!text.contains("canary"), "{text}");
        assert!(
            text.contains("WEB_PASSWORD_HASH: no hash of this program, and never taken as a password"),
            "{text}"
        );
        assert!(
            text.contains("ADMIN_PASSWORD_HASH: nothing reads this name; delete this line and set"),
            "{text}"
        );
    }

    #[test]
    fn what_the_older_program_did_by_itself_is_said() {
        let text = told(&[("BIND_PORT", "9000")], &[]).join("\n");
        for (name, _) in NO_DEFAULTS {
            assert!(text.contains(&format!("{name}: not set there either")), "{text}");
        }
        assert_eq!(told(&[("FLASK_ENV", "x")], &[]).len(), 1, "it is no file of that program");
    }
}
