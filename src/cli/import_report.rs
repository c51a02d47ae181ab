//! What an import does, did or would do, in words. Pure.

use std::path::{Path, PathBuf};

use crate::model::{foreign, size};
use crate::store::{ImportOutlook, ImportReport};

/// Names and rows of each sort that are told; of any more only the number.
const TOLD_MAX: usize = 200;

/// Longest name or row, characters.
const NAME_MAX: usize = 200;

/// Which targets are not in use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UnusedTargets {
    pub(super) api: bool,
    pub(super) relay: bool,
}

/// What there is.
pub(super) fn head(dir: &Path, folders: &[PathBuf], outlook: &ImportOutlook) -> String {
    let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    format!(
        "{}: {} files with names of pictures in {}; {} of them ({}) are not here yet; {} lists",
        dir.display(),
        outlook.pictures,
        folders.join(", "),
        outlook.missing,
        size(outlook.bytes),
        outlook.lists
    )
}

/// What was done or would be, and what was not understood, row by row.
pub(super) fn told(report: &ImportReport, waiting: &UnusedTargets, is_dry_run: bool) -> String {
    let done = &report.done;
    let (copied, are) = if is_dry_run { ("would be copied", "would be") } else { ("copied", "are") };
    let mut lines = vec![
        format!("{} pictures {copied}; {} were here already", done.adopted, done.copies),
        format!("{} {are} owed, {} were sent before, and the others are never sent", done.owed, done.sent),
    ];
    if done.owed > 0 {
        for (waits, name) in [(waiting.api, "S3_API_URL"), (waiting.relay, "RELAY_URL")] {
            if waits {
                lines.push(format!(
                    "  what is owed to {name} waits until that is set and UPLOAD_ENABLED is true"
                ));
            }
        }
    }
    let mut each = |names: &[String], all: usize, what: &str| {
        if let Some(more) = all.checked_sub(names.len().min(TOLD_MAX)).filter(|_| !names.is_empty()) {
            lines.push(format!("{all} {what}:"));
            lines.extend(
                names.iter().take(TOLD_MAX).map(|name| format!("  {}", foreign::line(name, NAME_MAX))),
            );
            if more > 0 {
                lines.push(format!("  and {more} more"));
            }
        }
    };
    each(
        &report.renamed,
        report.renamed.len(),
        "have another name here, with the time of the file or a number",
    );
    each(&done.gone, done.gone.len(), "named as still to be sent, and not there or not whole");
    each(
        &done.strange,
        done.strange.len(),
        "no whole pictures, or folders, links, larger than 64 MiB, without a name for them; left where they are",
    );
    each(&done.unsure, done.unsure.len(), "not named by a damaged list of sent pictures; not sent");
    each(&done.damaged, done.damaged.len(), "lists that are no whole JSON; searched for names of pictures");
    each(&done.rows, done.rows_not_understood, "rows of lists that are not understood");
    each(
        &done.kept,
        done.kept.len(),
        "lists that were read and cannot be renamed; reading them again changes nothing",
    );
    each(&done.unreadable, done.unreadable.len(), "cannot be read; make them readable and run this again");
    lines.join("\n")
}

/// What is to be looked at in the settings.
pub(super) fn settings(file: &Path, lines: &[String]) -> String {
    if lines.is_empty() {
        return format!("{}: all of its settings hold here, too", file.display());
    }
    let lines: Vec<String> = lines.iter().map(|line| format!("  {line}")).collect();
    format!("{} is left as it is; to be looked at:\n{}", file.display(), lines.join("\n"))
}

/// What a person does next.
pub(super) fn next_steps(is_dry_run: bool, is_whole: bool) -> &'static str {
    if is_dry_run {
        "nothing was changed; the same without --dry-run does it"
    } else if !is_whole {
        "the old pictures are left where they were, and its lists keep their names until everything could be read. Next: make \
         it readable and run this again; that brings in what is missing and nothing twice"
    } else {
        "the old pictures are left where they were, and its lists are renamed .imported. Next: stop the old program for good \
         (sudo systemctl disable --now its-unit), set the password (--set-password), start this one"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::TakenOver;

    /// S4.6
    #[test]
    fn everything_is_told_row_by_row_and_nothing_a_terminal_obeys() {
        let names = |text: &str| vec![text.to_owned()];
        let done = TakenOver {
            adopted: 3,
            copies: 1,
            owed: 2,
            sent: 1,
            gone: names("r1_1.jpg"),
            rows: names("\u{1b}[31m7"),
            rows_not_understood: 2,
            ..TakenOver::default()
        };
        let report = ImportReport { done, renamed: names("a.jpg is imported_1700000000.jpg here") };
        assert_eq!(
            told(&report, &UnusedTargets { api: true, relay: false }, false),
            "3 pictures copied; 1 were here already\n\
             2 are owed, 1 were sent before, and the others are never sent\n\
             \x20 what is owed to S3_API_URL waits until that is set and UPLOAD_ENABLED is true\n\
             1 have another name here, with the time of the file or a number:\n\
             \x20 a.jpg is imported_1700000000.jpg here\n\
             1 named as still to be sent, and not there or not whole:\n\
             \x20 r1_1.jpg\n\
             2 rows of lists that are not understood:\n\
             \x20 [31m7\n\
             \x20 and 1 more"
        );
    }
}
