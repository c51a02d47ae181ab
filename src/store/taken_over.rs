//! What became of the folder of a program before this one, and what is said of it.

use tracing::{error, info, warn};

use super::SAID_MAX;
use super::former_files::DONE;
use super::former_list::ListKind;
use crate::model::{TargetId, UploadState, foreign};

/// Names and rows of each sort that are said; of any more only the number.
const NAMED_MAX: usize = 200;

/// What is said of rows, of which not all are kept.
const ROWS: &str = "rows of its lists are not understood";

/// What became of such a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Pictures that got a row.
    pub adopted: u64,
    /// Pictures that are owed by what the lists say.
    pub owed: u64,
    /// Pictures that were sent before, by the list of those.
    pub sent: u64,
    /// Copies of pictures that have a row already.
    pub copies: u64,
    /// Pictures named by a list that are not there any more, or are torn; nothing can be sent of them.
    pub gone: Vec<String>,
    /// Files that could not be read; the next start tries again, and the list stays.
    pub unreadable: Vec<String>,
    /// Files that have the name of a picture and are none, or a name without camera and time.
    pub strange: Vec<String>,
    /// Pictures that a damaged list of sent ones does not name; they are not sent.
    pub unsure: Vec<String>,
    /// Rows of lists that are not understood; the first ones.
    pub rows: Vec<String>,
    /// How many there are of them.
    pub rows_not_understood: usize,
    /// Lists that are no whole JSON.
    pub damaged: Vec<String>,
    /// Why lists that were read could not be renamed.
    pub kept: Vec<String>,
    /// Whether a list of sent pictures cannot be read. Then nothing is taken over: what was sent would be sent again.
    pub is_sent_unreadable: bool,
}

impl TakenOver {
    /// Counts a picture that got a row with these deliveries.
    pub(super) fn count(&mut self, deliveries: &[(TargetId, UploadState)]) {
        let is_sent = |(_, state): &(TargetId, UploadState)| *state == UploadState::Delivered;
        self.owed += u64::from(deliveries.iter().any(|delivery| !is_sent(delivery)));
        self.sent += u64::from(deliveries.iter().any(is_sent));
    }

    /// What an operator must look at; `None` when all went as it should.
    pub fn alarm(&self) -> Option<String> {
        let mut parts = Vec::new();
        let mut add = |names: &[String], what: &str| {
            if let Some(first) = names.first() {
                let more = if names.len() > 1 { ", …" } else { "" };
                let first = foreign::line(first, SAID_MAX);
                let count = names.len().max(if what == ROWS { self.rows_not_understood } else { 0 });
                parts.push(format!("{count} {what} ({first}{more})"));
            }
        };
        add(&self.gone, "pictures that it had still to send are not there or not whole, and cannot be sent");
        add(&self.unreadable, "files cannot be read and are tried again at the next start");
        add(&self.damaged, "lists are no whole JSON and were searched for names of pictures");
        add(&self.unsure, "pictures are not named by a damaged list of sent ones and are not sent");
        add(&self.rows, ROWS);
        add(&self.kept, "lists were read and could not be renamed");
        (!parts.is_empty()).then(|| {
            format!(
                "of the program before this one: {}. The log names them; the lists were {pending} and {sent} and now end \
                 with {DONE}, unless a file could not be read",
                parts.join("; "),
                pending = ListKind::Pending.file_name(),
                sent = ListKind::Sent.file_name()
            )
        })
    }

    /// Says everything in the log; `waits` is whether what is owed has to wait for a target.
    pub(super) fn say(&self, waits: bool) {
        let each = |names: &[String], tell: &dyn Fn(&str)| {
            names.iter().take(NAMED_MAX).for_each(|name| tell(&foreign::line(name, SAID_MAX)));
        };
        each(&self.gone, &|file| {
            error!(file, "a picture that was still to be sent is not there or not whole")
        });
        each(&self.rows, &|row| warn!(row, "a row of a list that is not understood"));
        each(&self.damaged, &|list| warn!(list, "no whole JSON; it was searched for names of pictures"));
        each(&self.kept, &|error| warn!(error, "a list that was read could not be renamed"));
        each(&self.unsure, &|file| {
            warn!(file, "the damaged list of sent pictures does not name it; it is not sent")
        });
        each(&self.strange, &|file| {
            warn!(file, "no picture, or a name without camera and time; left where it is, not listed");
        });
        if waits {
            warn!(
                owed = self.owed,
                "the target of what is owed is not in use (S3_API_URL, RELAY_URL, UPLOAD_ENABLED), so it waits"
            );
        }
        info!(
            adopted = self.adopted,
            owed = self.owed,
            sent_before = self.sent,
            copies = self.copies,
            gone = self.gone.len(),
            unreadable = self.unreadable.len(),
            not_pictures = self.strange.len(),
            rows_not_understood = self.rows_not_understood,
            "taken over from a program before this one"
        );
    }
}
