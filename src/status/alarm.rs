//! Alarms: what an operator should know of, in words for people and in words for programs.
//!
//! What can be an alarm is a closed set. Each belongs to the one part that knows when it begins and when it is over; that
//! part has an [`AlarmHandle`] of it, or finds it by looking at how everything stands.

use std::cmp::Reverse;
use std::fmt;

use serde_json::{Map, Value, json};

use super::Status;
use crate::config::words_of;
use crate::model::{AlarmText, CameraKey, Coded as _, TargetId, UnixMs};

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
    pub text: &'static str,
    /// The place on the dashboard where the cause is seen, such as `#camera-r1`, if there is one.
    pub link: Option<String>,
}

/// What an alarm can be, and which thing it is of. Each is there once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// A task stopped and is started again.
    TaskRestarted {
        /// What it does, such as `upload`.
        task: &'static str,
        /// Which one it is, such as `upload:api`.
        name: String,
    },
    /// No contact can be watched.
    ContactsUnwatched,
    /// A contact closes faster than the ledger can be written; over with the next trigger written.
    ContactFlickers,
    /// The ledger is owed something.
    LedgerLate,
    /// The disk is critical or full.
    DiskShort,
    /// A picture could not be stored; over with the next one that is.
    PicturesUnstored,
    /// The picture directory is not there, or cannot be used.
    PicturesAway,
    /// Stored pictures are gone from the disk.
    PicturesGone,
    /// Pictures were gone when they were to be sent.
    PicturesLost(TargetId),
    /// Something in the picture directory is in the way.
    FolderNotFollowed,
    /// The database was damaged, or is.
    DatabaseDamaged,
    /// The file of the database was removed or replaced while the program ran.
    DatabaseReplaced,
    /// Old pictures are not deleted when their time is over.
    RetentionFailed,
    /// Old pictures could not be deleted to make room.
    RoomNotMade,
    /// Something of a program before this one needs a person.
    TakeoverIncomplete,
    /// No copy of the database could be made.
    BackupFailed,
    /// An upload did not end; over with the next delivery.
    UploadStuck(TargetId),
    /// Every connection to the dashboard is taken.
    ConnectionsTaken,
    /// Open files run short.
    DescriptorsShort,
    /// A camera gives no pictures.
    CameraAway(CameraKey),
    /// A target cannot be reached.
    TargetAway(TargetId),
    /// A target takes no pictures.
    TargetRefusing(TargetId),
    /// Pictures were put aside because a target refuses them.
    PicturesRefused(TargetId),
    /// Files of owed pictures cannot be read.
    PicturesUnreadable(TargetId),
    /// The contact of a camera stays closed.
    ContactStuck(CameraKey),
    /// The contact of a camera bounces without end.
    ContactNoisy(CameraKey),
    /// Triggers without a picture that nobody has seen.
    TriggerFailed,
    /// Texts of the watch list that were read and nobody has seen.
    TextWatched,
}

impl AlarmKind {
    /// What it is, for programs: stable, snake_case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TaskRestarted { .. } => "task_restarted",
            Self::ContactsUnwatched => "contacts_unwatched",
            Self::ContactFlickers => "contact_flickers",
            Self::LedgerLate => "ledger_late",
            Self::DiskShort => "disk_short",
            Self::PicturesUnstored => "pictures_unstored",
            Self::PicturesAway => "away",
            Self::PicturesGone | Self::PicturesLost(_) => "pictures_gone",
            Self::FolderNotFollowed => "folder_not_followed",
            Self::DatabaseDamaged => "database_damaged",
            Self::DatabaseReplaced => "database_replaced",
            Self::RetentionFailed | Self::RoomNotMade => "retention_failed",
            Self::TakeoverIncomplete => "takeover_incomplete",
            Self::BackupFailed => "backup_failed",
            Self::UploadStuck(_) => "upload_stuck",
            Self::ConnectionsTaken => "connections",
            Self::DescriptorsShort => "descriptors",
            Self::CameraAway(_) => "camera_away",
            Self::TargetAway(_) => "target_away",
            Self::TargetRefusing(_) => "target_refusing",
            Self::PicturesRefused(_) => "pictures_refused",
            Self::PicturesUnreadable(_) => "pictures_unreadable",
            Self::ContactStuck(_) => "contact_stuck",
            Self::ContactNoisy(_) => "contact_noisy",
            Self::TriggerFailed => "trigger_failed",
            Self::TextWatched => "text_watched",
        }
    }

    /// The part of the program it is about, as in the API; not for telling alarms apart.
    pub fn part(&self) -> &'static str {
        match self {
            Self::TaskRestarted { task, .. } => task,
            Self::ContactsUnwatched => "contacts",
            Self::ContactFlickers => "flickering contact",
            Self::LedgerLate => "ledger",
            Self::DiskShort => "disk",
            Self::PicturesUnstored => "storage",
            Self::PicturesGone | Self::PicturesLost(_) => "pictures",
            Self::FolderNotFollowed => "strangers",
            Self::DatabaseDamaged => "database",
            Self::DatabaseReplaced => "database file",
            Self::RetentionFailed | Self::RoomNotMade => "retention",
            Self::TakeoverIncomplete => "takeover",
            Self::BackupFailed => "backup",
            Self::UploadStuck(target) => target.as_str(),
            Self::PicturesAway
            | Self::ConnectionsTaken
            | Self::DescriptorsShort
            | Self::CameraAway(_)
            | Self::TargetAway(_)
            | Self::TargetRefusing(_)
            | Self::PicturesRefused(_)
            | Self::PicturesUnreadable(_)
            | Self::ContactStuck(_)
            | Self::ContactNoisy(_)
            | Self::TriggerFailed
            | Self::TextWatched => self.code(),
        }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::TaskRestarted { .. }
            | Self::FolderNotFollowed
            | Self::RetentionFailed
            | Self::RoomNotMade
            | Self::TakeoverIncomplete
            | Self::BackupFailed
            | Self::UploadStuck(_)
            | Self::PicturesAway
            | Self::ConnectionsTaken
            | Self::DescriptorsShort
            | Self::PicturesRefused(_)
            | Self::ContactStuck(_)
            | Self::ContactNoisy(_)
            | Self::TextWatched => Severity::Warning,
            Self::ContactsUnwatched
            | Self::ContactFlickers
            | Self::LedgerLate
            | Self::DiskShort
            | Self::PicturesUnstored
            | Self::PicturesGone
            | Self::PicturesLost(_)
            | Self::DatabaseDamaged
            | Self::DatabaseReplaced
            | Self::CameraAway(_)
            | Self::TargetAway(_)
            | Self::TargetRefusing(_)
            | Self::PicturesUnreadable(_)
            | Self::TriggerFailed => Severity::Critical,
        }
    }

    /// What to do next.
    pub fn action(&self) -> Action {
        let (code, text, link) = match self {
            Self::TaskRestarted { .. }
            | Self::TakeoverIncomplete
            | Self::PicturesAway
            | Self::ConnectionsTaken
            | Self::DescriptorsShort => ("read_log", "Read the log", ""),
            Self::ContactsUnwatched => ("see_contacts", "See the contacts", "#contacts-title"),
            Self::ContactFlickers => ("check_wiring", "Check the wiring", "#contacts-title"),
            Self::LedgerLate => ("make_room", "See the storage", "#storage-title"),
            Self::DiskShort => ("make_room", "Make room", "#storage-title"),
            Self::PicturesGone | Self::PicturesLost(_) | Self::DatabaseDamaged => {
                ("check_disk", "Check the disk", "#storage-title")
            }
            Self::DatabaseReplaced => ("check_disk", "Find what did it", "#storage-title"),
            Self::PicturesUnstored
            | Self::FolderNotFollowed
            | Self::RetentionFailed
            | Self::RoomNotMade
            | Self::BackupFailed => ("see_storage", "See the storage", "#storage-title"),
            Self::UploadStuck(_) => ("see_delivery", "See the delivery", "#delivery-title"),
            Self::CameraAway(camera) => {
                let link = Some(format!("#camera-{camera}"));
                return Action { code: "check_camera", text: "Check its power, cable and address", link };
            }
            Self::TargetAway(_) => ("check_target", "Check the network and the address", "#delivery-title"),
            Self::TargetRefusing(_) => {
                ("check_target", "Check its address and password in the settings", "#delivery-title")
            }
            Self::PicturesRefused(_) => ("see_refused", "See why, then send them again", "#delivery-title"),
            Self::PicturesUnreadable(_) => {
                let text = "Give the files back to the user of the program, or look at the disk";
                ("check_owner", text, "#storage-title")
            }
            Self::ContactStuck(_) | Self::ContactNoisy(_) => {
                ("check_wiring", "Check its wiring, and GPIO_ACTIVE in the settings", "#contacts-title")
            }
            Self::TriggerFailed => ("see_failures", "Look at it and mark it as seen", "#failures"),
            Self::TextWatched => ("see_watched", "Look at it and mark it as seen", "#plates-title"),
        };
        Action { code, text, link: (!link.is_empty()).then(|| link.to_owned()) }
    }

    /// The target that it is of, by whose names its words call the settings.
    fn target(&self) -> Option<TargetId> {
        let (Self::PicturesLost(target)
        | Self::UploadStuck(target)
        | Self::TargetAway(target)
        | Self::TargetRefusing(target)
        | Self::PicturesRefused(target)
        | Self::PicturesUnreadable(target)) = self
        else {
            return None;
        };
        Some(*target)
    }

    /// Which thing it is of, for programs.
    fn args(&self) -> Map<String, Value> {
        let args = match self {
            Self::TaskRestarted { task, name } => json!({"task": task, "name": name}),
            Self::PicturesLost(target) => json!({"part": self.part(), "target": target}),
            Self::UploadStuck(_)
            | Self::TargetAway(_)
            | Self::TargetRefusing(_)
            | Self::PicturesRefused(_)
            | Self::PicturesUnreadable(_) => json!({"target": self.target()}),
            Self::CameraAway(camera) | Self::ContactStuck(camera) | Self::ContactNoisy(camera) => {
                json!({"camera": camera})
            }
            Self::ContactsUnwatched
            | Self::ContactFlickers
            | Self::LedgerLate
            | Self::DiskShort
            | Self::PicturesUnstored
            | Self::PicturesAway
            | Self::PicturesGone
            | Self::FolderNotFollowed
            | Self::DatabaseDamaged
            | Self::DatabaseReplaced
            | Self::RetentionFailed
            | Self::RoomNotMade
            | Self::TakeoverIncomplete
            | Self::BackupFailed
            | Self::ConnectionsTaken
            | Self::DescriptorsShort => json!({"part": self.part()}),
            Self::TriggerFailed | Self::TextWatched => json!({}),
        };
        args.as_object().cloned().unwrap_or_default()
    }
}

/// Something an operator should know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// What it is.
    pub kind: AlarmKind,
    /// The same and more for programs: keys, counts, words of others.
    pub args: Map<String, Value>,
    /// What is wrong and what to do.
    pub message: String,
    /// Since when.
    pub since: UnixMs,
}

impl Alarm {
    /// What it says, and the same for programs: `what` among the arguments is the code of its sentence.
    pub fn new(kind: AlarmKind, text: impl Into<AlarmText>, since: UnixMs) -> Self {
        let text = text.into();
        let mut args = kind.args();
        args.extend(text.params());
        args.extend(text.code().map(|code| ("what".to_owned(), code.into())));
        let said = text.to_string();
        let message = kind.target().map_or_else(|| said.clone(), |target| words_of(target, &said));
        Self { args, kind, message, since }
    }

    /// The same with more for programs.
    #[must_use]
    pub fn with_args(mut self, args: Value) -> Self {
        if let Value::Object(args) = args {
            self.args.extend(args);
        }
        self
    }

    /// The worst first, then the oldest.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        (Reverse(self.kind.severity()), self.since, self.kind.part(), self.kind.clone())
    }
}

/// The one hand on an alarm: its owner raises it and ends it, and nobody else does. It ends with its owner, too.
pub struct AlarmHandle {
    status: Status,
    kind: AlarmKind,
}

impl AlarmHandle {
    /// Raises the alarm, or changes its words.
    pub fn raise(&self, text: impl Into<AlarmText>) {
        self.status.raise(&self.kind, text.into());
    }

    /// Ends the alarm, if it is raised.
    pub fn clear(&self) {
        self.status.clear(&self.kind);
    }

    /// Raises it with these words, or ends it where there are none.
    pub fn set(&self, text: Option<AlarmText>) {
        match text {
            Some(text) => self.raise(text),
            None => self.clear(),
        }
    }
}

impl Drop for AlarmHandle {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for AlarmHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AlarmHandle").field(&self.kind).finish()
    }
}

impl Status {
    /// The hand on an alarm, for its owner. A part asks for it once, when it is made.
    pub fn alarm(&self, kind: AlarmKind) -> AlarmHandle {
        AlarmHandle { status: self.clone(), kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Because, TargetKind, UploadFault};

    #[test]
    fn what_an_alarm_says_is_among_its_arguments_for_programs() {
        let text = AlarmText::TargetAway { target: "api".to_owned(), cause: None };
        let alarm = Alarm::new(AlarmKind::TargetAway(TargetId::API), text, UnixMs(1));
        assert_eq!(Value::Object(alarm.args), json!({"target": "api", "what": "target_away", "cause": null}));
        assert_eq!(alarm.message, "the HTTP API cannot be reached, pictures wait: it has said nothing");
    }

    #[test]
    fn the_words_about_the_second_target_of_a_kind_name_its_own_settings() {
        let second = TargetId::new(TargetKind::S3, 2).unwrap();
        let fault = UploadFault::S3AddressBad { error: "no host".to_owned() };
        let said = |target: TargetId| {
            let cause = Some(Because::new(fault.clone()));
            let text = AlarmText::TargetRefusing { target: target.to_string(), cause };
            Alarm::new(AlarmKind::TargetRefusing(target), text, UnixMs(1)).message
        };
        assert!(
            said(TargetId::S3).ends_with("of S3_ENDPOINT and S3_BUCKET: no host"),
            "{}",
            said(TargetId::S3)
        );
        assert!(said(second).ends_with("of S3_2_ENDPOINT and S3_2_BUCKET: no host"), "{}", said(second));
    }

    #[test]
    fn the_worst_comes_first() {
        let mut alarms: Vec<Alarm> =
            [(AlarmKind::BackupFailed, 1), (AlarmKind::DiskShort, 5), (AlarmKind::ContactsUnwatched, 3)]
                .map(|(kind, since)| Alarm::new(kind, String::new(), UnixMs(since)))
                .into();
        alarms.sort_by_key(Alarm::rank);
        let codes: Vec<_> = alarms.iter().map(|alarm| alarm.kind.code()).collect();
        assert_eq!(codes, ["contacts_unwatched", "disk_short", "backup_failed"]);
    }
}
