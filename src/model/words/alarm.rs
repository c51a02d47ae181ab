//! What an alarm says.

use std::fmt;

use crate::model::{AlarmText, TargetId};

/// As the dashboard calls it.
fn target_name(target: &str) -> String {
    TargetId::parse(target).map_or_else(|| target.to_owned(), TargetId::spoken)
}

/// A cause, or what is said while none is known.
fn or<T: fmt::Display>(cause: &Option<T>, unknown: &str) -> String {
    cause.as_ref().map_or_else(|| unknown.to_owned(), ToString::to_string)
}

impl fmt::Display for AlarmText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words)
            | Self::LedgerLate { detail: words }
            | Self::FolderAway { detail: words }
            | Self::FolderNotFollowed { detail: words }
            | Self::DatabaseDamaged { detail: words }
            | Self::DatabaseReplaced { detail: words }
            | Self::TakeoverIncomplete { detail: words } => f.write_str(words),
            Self::TaskStopped { name, reason } => write!(f, "{name} stopped and is started again: {reason}"),
            Self::ContactsUnwatched { error } => write!(f, "the contacts cannot be watched: {error}"),
            Self::ContactFlickers => {
                f.write_str("a contact closes faster than it can be written down; check its wiring")
            }
            Self::PictureUnstored { error } => write!(f, "pictures cannot be stored: {error}"),
            Self::DiskFull { error } => write!(f, "the disk is full ({error}); make room on it"),
            Self::FolderUnusable { error } => write!(f, "the picture directory cannot be used: {error}"),
            Self::PicturesGone { count } => write!(
                f,
                "{count} stored pictures are gone from the disk or changed their size; the log names them; is the disk \
                 mounted?"
            ),
            Self::PictureLost { cause } => write!(f, "a picture that was owed is gone: {cause}"),
            Self::DatabaseDamagedAgain { error } => write!(
                f,
                "the database is damaged again ({error}); check the disk or card, then stop the program and run it with \
                 --rebuild"
            ),
            Self::DeletionFailed { error } => write!(f, "old pictures could not be deleted: {error}"),
            Self::DeletionRefused { reason } => write!(f, "old pictures are not deleted: {reason}"),
            Self::TakeoverFailed { error } => {
                write!(f, "what a program before this one left cannot be looked at: {error}")
            }
            Self::BackupFailed { error } => write!(f, "no copy of the database could be made: {error}"),
            Self::UploadStuck { cause } => write!(f, "{cause}"),
            Self::DiskShort { cause } => write!(f, "{cause}"),
            Self::ConnectionsTaken => f.write_str(
                "every connection the dashboard may have is taken; those of people who have not logged in are closed for new \
                 ones; pictures are not affected; let only those reach its port who should",
            ),
            Self::ConnectionsExhausted { error } => write!(
                f,
                "no connection to the dashboard could be accepted: {error}; the program or the machine has run out; see \
                 LimitNOFILE= of the unit, and what else runs here"
            ),
            Self::DescriptorsShort { about, limit } => write!(
                f,
                "about {about} of {limit} open files are in use; with none left pictures fail; restart the program, set \
                 LimitNOFILE=8192 in its unit, and report it if it comes back"
            ),
            Self::CameraAway { label, cause } => {
                write!(f, "{label} gives no pictures: {}", or(cause, "it has not answered yet"))
            }
            Self::TargetAway { target, cause } => write!(
                f,
                "{} cannot be reached, pictures wait: {}",
                target_name(target),
                or(cause, "it has said nothing")
            ),
            Self::TargetRefusing { target, cause } => write!(
                f,
                "{} takes no pictures, they wait: {}",
                target_name(target),
                or(cause, "it has said nothing")
            ),
            Self::PicturesRefused { target, count } => {
                let pictures = match count {
                    1 => "one picture was refused by".to_owned(),
                    many => format!("{many} pictures were refused by"),
                };
                write!(
                    f,
                    "{pictures} {} and put aside (failed permanently); nothing sends them again by itself",
                    target_name(target)
                )
            }
            Self::PicturesUnreadable { target, count, cause } => {
                let others = match count {
                    0 | 1 => String::new(),
                    many => format!(" (and {} more)", many - 1),
                };
                write!(
                    f,
                    "a picture that is owed to {} waits because its file cannot be read{others}: {cause}",
                    target_name(target)
                )
            }
            Self::ContactStuck { label, minutes } => write!(
                f,
                "the contact of {label} has been closed for more than {minutes} minutes; while it is, no picture is taken"
            ),
            Self::ContactNoisy { label, most } => {
                write!(f, "the contact of {label} bounces without end, more than {most} times in a minute")
            }
            Self::TextWatched { label, text, read, count } => {
                let read = if read == text { String::new() } else { format!(" (read as {read})") };
                let others = match count {
                    0 | 1 => String::new(),
                    many => format!("; {} more that nobody has seen", many - 1),
                };
                write!(f, "{text}, which is watched for, was read in a picture of {label}{read}{others}")
            }
            Self::TriggerFailed { label, count, reason } => {
                let reason = reason.as_deref().unwrap_or("no reason is known");
                match count {
                    0 | 1 => write!(f, "{label} has no picture of a trigger: {reason}"),
                    many => {
                        write!(f, "{many} triggers have no picture; the newest is of {label}: {reason}")
                    }
                }
            }
        }
    }
}
