//! What an alarm says, for programs: beside its own code, which of its sentences it is, and what that is about.

use super::coded::{Because, coded};
use super::{CameraFault, RoomText, UploadFault};

coded! {
    /// What an alarm says. Codes and names of parameters are stable: they are in the API.
    pub enum AlarmText {
        /// A task stopped.
        "task_stopped" => TaskStopped { name: String, reason: String },
        /// The lines cannot be opened.
        "contacts_unwatched" => ContactsUnwatched { error: String },
        /// A contact closes faster than the ledger can be written.
        "contact_flickers" => ContactFlickers,
        /// The ledger is owed something.
        "ledger_late" => LedgerLate { detail: String },
        /// There is no room on the disk.
        "disk_short" => DiskShort { cause: Because<RoomText> },
        /// A picture could not be stored.
        "picture_unstored" => PictureUnstored { error: String },
        /// The system says that the disk is full, and more cannot be seen.
        "disk_full" => DiskFull { error: String },
        /// The disk with the pictures is not there.
        "folder_away" => FolderAway { detail: String },
        /// The picture directory cannot be used.
        "folder_unusable" => FolderUnusable { error: String },
        /// Stored pictures are gone.
        "pictures_gone" => PicturesGone { count: u64 },
        /// A picture was gone when it was to be sent.
        "picture_lost" => PictureLost { cause: Because<UploadFault> },
        /// Something in the picture directory is in the way.
        "folder_not_followed" => FolderNotFollowed { detail: String },
        /// What became of a damaged database.
        "database_damaged" => DatabaseDamaged { detail: String },
        /// The database is damaged once more.
        "database_damaged_again" => DatabaseDamagedAgain { error: String },
        /// What became of the file of the database.
        "database_replaced" => DatabaseReplaced { detail: String },
        /// Old pictures could not be deleted.
        "deletion_failed" => DeletionFailed { error: String },
        /// Old pictures are not deleted, for their own good.
        "deletion_refused" => DeletionRefused { reason: String },
        /// The folder of a program before this one cannot be looked at.
        "takeover_failed" => TakeoverFailed { error: String },
        /// Something of a program before this one needs a person.
        "takeover_incomplete" => TakeoverIncomplete { detail: String },
        /// No copy of the database could be made.
        "backup_failed" => BackupFailed { error: String },
        /// An upload did not end.
        "upload_stuck" => UploadStuck { cause: Because<UploadFault> },
        /// Every connection is taken.
        "connections_taken" => ConnectionsTaken,
        /// The system accepts no more.
        "connections_exhausted" => ConnectionsExhausted { error: String },
        /// Open files run short.
        "descriptors_short" => DescriptorsShort { about: u64, limit: u64 },
        /// A camera gives no pictures.
        "camera_away" => CameraAway { label: String, cause: Option<Because<CameraFault>> },
        /// A target cannot be reached.
        "target_away" => TargetAway { target: String, cause: Option<Because<UploadFault>> },
        /// A target takes no pictures.
        "target_refusing" => TargetRefusing { target: String, cause: Option<Because<UploadFault>> },
        /// Pictures were put aside.
        "pictures_refused" => PicturesRefused { target: String, count: u64 },
        /// Files of owed pictures cannot be read.
        "pictures_unreadable" => PicturesUnreadable { target: String, count: u64, cause: Because<UploadFault> },
        /// A contact stays closed.
        "contact_stuck" => ContactStuck { label: String, minutes: u64 },
        /// A contact bounces without end.
        "contact_noisy" => ContactNoisy { label: String, most: u64 },
        /// Triggers have no picture.
        "trigger_failed" => TriggerFailed { label: String, count: u64, reason: Option<String> },
        /// A text of the watch list was read.
        "text_watched" => TextWatched { label: String, text: String, read: String, count: u64 },
    }
}
