//! Things in the picture directory that are not this program's: left where they are, named once, and said as an alarm
//! where they matter.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use tokio::sync::watch;
use tracing::warn;

use super::Store;
use super::tree::Kind;
use crate::model::foreign;

/// Files that are set aside between two starts without a person; more than a handful of torn pictures is another fault,
/// or another person's folder.
pub(super) const SET_ASIDE_MAX: usize = 20;

/// So few of one folder are set aside whatever else lies in it ...
const SET_ASIDE_FEW: usize = 5;

/// ... and of more, no larger part of its files than this, one in so many.
const SET_ASIDE_PART: usize = 2;

/// Things named in the log; of any more only the number is known.
const NAMED_MAX: usize = 50;

/// Things named in an alarm, of each sort.
const SHOWN_MAX: usize = 5;

/// Longest name that is shown, characters.
const NAME_MAX: usize = 80;

/// What was found since the start.
#[derive(Clone, Debug, Default)]
struct Found {
    /// Left where they are, by place.
    named: BTreeSet<String>,
    more: u64,
    /// Day folders that are none, and what they are.
    no_folders: BTreeMap<String, Kind>,
    /// What was in the way of a folder of ours, under the name it has now.
    moved: BTreeSet<String>,
    /// Folders with more files to set aside than are, and how many.
    refused: BTreeMap<String, usize>,
    /// Files set aside.
    aside: usize,
}

/// A handle on what was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Strange(watch::Sender<Found>);

impl Strange {
    /// Something was left where it is.
    pub(super) fn left(&self, place: &Path, kind: Kind) {
        let place = shown(place);
        self.0.send_if_modified(|found| {
            if found.named.contains(&place) {
                return false;
            }
            if found.named.len() < NAMED_MAX {
                warn!(place, %kind, "not of this program; left where it is");
                found.named.insert(place);
            } else {
                found.more = found.more.saturating_add(1);
            }
            false
        });
    }

    /// What has the name of a day folder is none.
    pub(super) fn no_folder(&self, name: &OsStr, kind: Kind) {
        let name = shown(name.as_ref());
        self.0.send_if_modified(|found| {
            let is_new = found.no_folders.insert(name.clone(), kind) != Some(kind);
            if is_new {
                warn!(place = name, %kind, "no folder; what is in it, or where it leads, is not looked at");
            }
            is_new
        });
    }

    /// Something was in the way and has this name now.
    pub(super) fn moved(&self, name: &OsStr) {
        let name = shown(name.as_ref());
        self.0.send_if_modified(|found| found.moved.insert(name));
    }

    /// Whether `wanted` files of a folder that has `of` may be set aside; all of them or none.
    pub(super) fn may_set_aside(&self, folder: &Path, wanted: usize, of: usize) -> bool {
        let mut may = true;
        self.0.send_if_modified(|found| {
            may = may_set_aside(wanted, of, found.aside);
            if may {
                found.aside += wanted;
                return false;
            }
            let folder = shown(folder);
            warn!(folder, files = wanted, "too many files that are no whole pictures; none is set aside");
            found.refused.insert(folder, wanted) != Some(wanted)
        });
        may
    }
}

/// Whether so many more may be set aside, of a folder of so many files, after so many before.
fn may_set_aside(wanted: usize, of: usize, before: usize) -> bool {
    before.saturating_add(wanted) <= SET_ASIDE_MAX
        && (wanted <= SET_ASIDE_FEW || wanted.saturating_mul(SET_ASIDE_PART) <= of)
}

/// A place as it is shown.
fn shown(place: &Path) -> String {
    foreign::line(&place.to_string_lossy(), NAME_MAX)
}

impl Found {
    fn alarm(&self) -> Option<String> {
        let mut sentences = Vec::new();
        let listed = |names: Vec<String>| {
            let more = names.len().saturating_sub(SHOWN_MAX);
            let mut list = names.into_iter().take(SHOWN_MAX).collect::<Vec<_>>().join(", ");
            if more > 0 {
                list.push_str(&format!(" and {more} more"));
            }
            list
        };
        if !self.no_folders.is_empty() {
            let names = self.no_folders.iter().map(|(name, kind)| format!("{name} ({kind})")).collect();
            sentences.push(format!(
                "{} in the picture directory is no folder and is not followed, so its pictures count as missing; move the \
                 folder itself to that place, or remove what is there",
                listed(names)
            ));
        }
        if !self.moved.is_empty() {
            sentences.push(format!(
                "something was in the way of a folder of this program and was renamed to {}; look at it and remove it",
                listed(self.moved.iter().cloned().collect())
            ));
        }
        if !self.refused.is_empty() {
            let names = self.refused.iter().map(|(name, count)| format!("{count} in {name}")).collect();
            sentences.push(format!(
                "more files than a crash leaves have names of pictures but are none ({}); nothing was moved; look at them, \
                 and move or delete what is not wanted",
                listed(names)
            ));
        }
        (!sentences.is_empty()).then(|| sentences.join("; and "))
    }
}

impl Store {
    /// What an operator must know of things in the picture directory that are not this program's; changes as they are
    /// found.
    pub(super) fn strange(&self) -> Strangers {
        let mut found = self.files.strange().0.subscribe();
        found.mark_changed();
        Strangers(found)
    }
}

/// Tells when something else is found.
pub struct Strangers(watch::Receiver<Found>);

impl Strangers {
    /// The alarm, or none; waits for the next change first, unless it is asked for the first time. Dropping it loses
    /// nothing.
    pub async fn next(&mut self) -> Option<String> {
        // The sender lives as long as the store; without one there is nothing to tell any more.
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.0.borrow_and_update().alarm()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_few_torn_files_go_and_never_many() {
        for (wanted, of, before, may) in [
            (1, 1, 0, true),
            (5, 5, 0, true),
            (6, 6, 0, false),
            (6, 12, 0, true),
            (20, 400, 0, true),
            (21, 4000, 0, false),
            (1, 10, 19, true),
            (1, 10, 20, false),
        ] {
            assert_eq!(may_set_aside(wanted, of, before), may, "{wanted} of {of} after {before}");
        }
    }

    #[test]
    fn each_thing_is_said_with_what_to_do() {
        let strange = Strange::default();
        assert_eq!(strange.0.borrow().alarm(), None);
        strange.left(Path::new("2022-01-01/notes.txt"), Kind::File);
        assert_eq!(strange.0.borrow().alarm(), None);
        strange.no_folder(OsStr::new("2022-01-01"), Kind::Link);
        strange.moved(OsStr::new("2022-01-02.set-aside"));
        assert!(!strange.may_set_aside(Path::new("2022-01-\u{1b}[31m03"), 300, 400));
        let alarm = strange.0.borrow().alarm().unwrap();
        for part in ["2022-01-01 (a symbolic link)", "2022-01-02.set-aside", "300 in 2022-01-[31m03"] {
            assert!(alarm.contains(part), "{part}: {alarm}");
        }
    }

    proptest! {
        #[test]
        fn no_start_sets_more_aside_than_the_limit(folders in prop::collection::vec((0_usize..60, 0_usize..60), 0..20)) {
            let strange = Strange::default();
            let mut aside = 0;
            for (wanted, others) in folders {
                if strange.may_set_aside(Path::new("x"), wanted, wanted + others) {
                    aside += wanted;
                }
            }
            prop_assert!(aside <= SET_ASIDE_MAX);
        }
    }
}
