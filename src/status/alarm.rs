//! Alarms: what an operator should know of, in words for people and in words for programs.

use std::cmp::Reverse;

use serde_json::{Map, Value, json};

use crate::model::UnixMs;

/// How bad it is; from the least to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// It works, but a person should look before it does not.
    Warning,
    /// Pictures are lost or not taken, or will be.
    Critical,
}

impl Severity {
    /// As in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Stable, snake_case.
    pub code: &'static str,
    /// The same for people.
    pub text: String,
    /// The place on the dashboard where the cause is seen, such as `#camera-r1`, if there is one.
    pub link: Option<String>,
}

/// Something an operator should know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Which part it is about; one alarm each, or one for each thing of it.
    pub part: &'static str,
    /// Which camera or target of that part, if there are several.
    pub about: Option<String>,
    /// What it is, for programs: stable, snake_case.
    pub code: String,
    /// What `code` is about: keys, counts, words of others.
    pub args: Map<String, Value>,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and what to do.
    pub message: String,
    /// Since when.
    pub since: UnixMs,
    /// What to do next.
    pub action: Action,
}

impl Alarm {
    /// The alarm of a part, as that part words it.
    pub(super) fn of_part(part: &'static str, message: String, since: UnixMs) -> Self {
        let (code, severity, action) = known(part);
        let args = match code.as_str() {
            "task_restarted" => json!({"task": part}),
            "upload_stuck" => json!({"target": part}),
            _ => json!({"part": part}),
        };
        let args = args.as_object().cloned().unwrap_or_default();
        Self { part, about: None, code, args, severity, message, since, action }
    }

    /// Whether both say of the same thing what is wrong with it, in whatever words.
    pub(super) fn is_about(&self, other: &Self) -> bool {
        self.part == other.part && self.about == other.about && self.code == other.code
    }

    /// The worst first, then the oldest.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        (Reverse(self.severity), self.since, self.part)
    }
}

/// Code, severity and next step of a part that raises its alarm in its own words.
fn known(part: &str) -> (String, Severity, Action) {
    use Severity::{Critical, Warning};
    let (code, severity, action, text, link) = match part {
        "contacts" => ("contacts_unwatched", Critical, "see_contacts", "See the contacts", "#contacts-title"),
        "flickering contact" => {
            ("contact_flickers", Critical, "check_wiring", "Check the wiring", "#contacts-title")
        }
        "ledger" => ("ledger_late", Critical, "make_room", "See the storage", "#storage-title"),
        "disk" => ("disk_short", Critical, "make_room", "Make room", "#storage-title"),
        "storage" => ("pictures_unstored", Critical, "see_storage", "See the storage", "#storage-title"),
        "pictures" => ("pictures_gone", Critical, "check_disk", "Check the disk", "#storage-title"),
        "strangers" => ("folder_not_followed", Warning, "see_storage", "See the storage", "#storage-title"),
        "database" => ("database_damaged", Critical, "check_disk", "Check the disk", "#storage-title"),
        "database file" => {
            ("database_replaced", Critical, "check_disk", "Find what did it", "#storage-title")
        }
        "retention" => ("retention_failed", Warning, "see_storage", "See the storage", "#storage-title"),
        "takeover" => ("takeover_incomplete", Warning, "read_log", "Read the log", ""),
        "backup" => ("backup_failed", Warning, "see_storage", "See the storage", "#storage-title"),
        "api" | "s3" | "discord" | "relay" => {
            ("upload_stuck", Warning, "see_delivery", "See the delivery", "#delivery-title")
        }
        "camera" | "decoding" | "capture" | "upload" | "connectivity" | "clock" | "upkeep" | "dashboard"
        | "watchdog" | "alarms" => ("task_restarted", Warning, "read_log", "Read the log", ""),
        other => {
            let code =
                other.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
            let action = Action { code: "read_log", text: "Read the log".to_owned(), link: None };
            return (code.collect(), Warning, action);
        }
    };
    let link = (!link.is_empty()).then(|| link.to_owned());
    (code.to_owned(), severity, Action { code: action, text: text.to_owned(), link })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_a_code_of_small_letters() {
        for part in ["disk", "flickering contact", "api", "camera", "Something-New 2"] {
            let alarm = Alarm::of_part(part, "it is broken".to_owned(), UnixMs(1));
            let is_code = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(!alarm.code.is_empty() && alarm.code.chars().all(is_code), "{alarm:?}");
            assert!(!alarm.args.is_empty() && !alarm.action.text.is_empty(), "{alarm:?}");
        }
    }

    #[test]
    fn the_worst_comes_first() {
        let mut alarms: Vec<Alarm> = [("backup", 1), ("disk", 5), ("contacts", 3)]
            .map(|(part, since)| Alarm::of_part(part, String::new(), UnixMs(since)))
            .into();
        alarms.sort_by_key(Alarm::rank);
        assert_eq!(alarms.iter().map(|alarm| alarm.part).collect::<Vec<_>>(), ["contacts", "disk", "backup"]);
    }
}
