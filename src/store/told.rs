//! What the lists of a program before this one say together: which of its pictures is owed to whom, and which was sent.
//! Pure.
//!
//! Each list speaks of a target of its own. `pending_uploads.json` names what the HTTP API was still to get.
//! `sent_files.json` names what another box got; that program sent every picture it had, so what a whole list does not name
//! was still to be sent there. Where no list speaks of a target, nothing is sent to it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::PathBuf;

use tracing::{info, warn};

use super::former_files::List;
use super::former_list::{self, ListKind};
use super::taken_over::TakenOver;
use crate::model::{TargetId, UploadState, foreign};

/// Longest name in the log, characters.
const NAME_MAX: usize = 200;

/// In which state something becomes owed to each of the two targets.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwedStates {
    pub(super) api: UploadState,
    pub(super) relay: UploadState,
}

/// What the lists say.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// What lists name that are read for the first time: to be sent, and sent.
    pub(super) pending: Vec<String>,
    pub(super) sent: Vec<String>,
    /// Those lists; they are renamed at the end.
    pub(super) lists: Vec<PathBuf>,
    /// What these and earlier ones name as still to be sent: without a row it is not known to be delivered.
    all_pending: HashSet<String>,
    all_sent: HashSet<String>,
    /// Whether it is known of every picture whether it was sent.
    knows_sent: bool,
    is_sent_damaged: bool,
    /// Whether there is any list.
    pub(super) has_lists: bool,
    /// A list that cannot be read, and why.
    pub(super) unreadable: Option<String>,
}

impl Told {
    /// Reads what stands in the lists; what cannot be read or understood goes to `done`.
    pub(super) fn of(lists: Vec<List>, done: &mut TakenOver) -> Self {
        let mut told = Self { has_lists: !lists.is_empty(), ..Self::default() };
        for list in lists {
            told.read(list, done);
        }
        told.knows_sent &= !told.is_sent_damaged;
        told
    }

    fn read(&mut self, List { kind, path, read, is_done }: List, done: &mut TakenOver) {
        let list = foreign::line(&path.to_string_lossy(), NAME_MAX);
        let bytes = match read {
            Ok(bytes) => bytes,
            // It was said when it was read first.
            Err(_) if is_done => return,
            Err(error) => {
                self.unreadable.get_or_insert_with(|| format!("{list} cannot be read: {error}"));
                warn!(list, %error, "a list of a program before this one cannot be read; the next start tries again");
                done.unreadable.push(list);
                done.is_sent_unreadable |= kind == ListKind::Sent;
                return;
            }
        };
        let text = String::from_utf8_lossy(&bytes);
        let mut read = former_list::read(kind, &text);
        // Names in another encoding are not those of the files.
        read.is_damaged |= matches!(text, Cow::Owned(_));
        drop(text);
        drop(bytes);
        match kind {
            ListKind::Pending => self.all_pending.extend(read.names.iter().cloned()),
            ListKind::Sent => {
                self.knows_sent = true;
                // That a row names nothing may mean that a picture was sent.
                self.is_sent_damaged |= read.is_damaged;
                self.all_sent.extend(read.names.iter().cloned());
            }
        }
        if is_done {
            return;
        }
        let rows_not_understood = read.rows_not_understood;
        info!(list, pictures = read.names.len(), rows_not_understood, "read");
        if read.is_damaged {
            done.damaged.push(list);
        }
        done.rows_not_understood += rows_not_understood;
        done.rows.extend(read.not_understood);
        match kind {
            ListKind::Pending => self.pending.extend(read.names),
            ListKind::Sent => self.sent.extend(read.names),
        }
        self.lists.push(path);
    }

    /// Whether a list names it as still to be sent.
    pub(super) fn is_pending(&self, name: &str) -> bool {
        self.all_pending.contains(name)
    }

    /// Whether any list names it.
    pub(super) fn names(&self, name: &str) -> bool {
        self.all_pending.contains(name) || self.all_sent.contains(name)
    }

    /// How many are still to be sent by their list.
    pub(super) fn pending_count(&self) -> usize {
        self.all_pending.len()
    }

    /// Whether it cannot be told if a picture was sent: its list is damaged and does not name it.
    pub(super) fn is_unsure(&self, name: &str) -> bool {
        self.is_sent_damaged && !self.all_sent.contains(name)
    }

    /// What a picture that was not known before is owed to, and what it was sent to.
    pub(super) fn deliveries(&self, name: &str, states: OwedStates) -> Vec<(TargetId, UploadState)> {
        let api = self.is_pending(name).then_some((TargetId::API, states.api));
        let relay = if self.all_sent.contains(name) {
            Some(UploadState::Delivered)
        } else {
            self.knows_sent.then_some(states.relay)
        };
        api.into_iter().chain(relay.map(|state| (TargetId::RELAY, state))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: OwedStates = OwedStates { api: UploadState::Pending, relay: UploadState::Skipped };

    fn told(lists: &[(ListKind, &str)]) -> (Told, TakenOver) {
        let mut done = TakenOver::default();
        let lists = lists.iter().map(|(kind, text)| List {
            kind: *kind,
            path: kind.file_name().into(),
            read: Ok(text.as_bytes().to_vec()),
            is_done: false,
        });
        (Told::of(lists.collect(), &mut done), done)
    }

    /// S3.7, S4.6
    #[test]
    fn each_list_speaks_of_its_own_target() {
        use TargetId as T;
        use UploadState::{Delivered, Pending, Skipped};
        let (pending, sent) =
            ((ListKind::Pending, r#"["a.jpg"]"#), (ListKind::Sent, r#"["a.jpg", "b.jpg"]"#));
        let deliveries = |lists: &[_], name: &str| -> Vec<(TargetId, UploadState)> {
            told(lists).0.deliveries(name, STATES)
        };
        assert_eq!(deliveries(&[], "a.jpg"), []);
        assert_eq!(deliveries(&[pending], "a.jpg"), [(T::API, Pending)]);
        assert_eq!(deliveries(&[pending], "b.jpg"), []);
        assert_eq!(deliveries(&[sent], "b.jpg"), [(T::RELAY, Delivered)]);
        assert_eq!(deliveries(&[sent], "c.jpg"), [(T::RELAY, Skipped)], "that program had not sent it yet");
        // Both name it: the API had not got it, the other box had.
        assert_eq!(deliveries(&[pending, sent], "a.jpg"), [(T::API, Pending), (T::RELAY, Delivered)]);
    }

    /// S3.7
    #[test]
    fn what_a_torn_list_of_sent_pictures_does_not_name_is_not_sent_again() {
        let (told, done) = told(&[(ListKind::Sent, r#"["a.jpg", "b.j"#)]);
        assert_eq!(told.deliveries("a.jpg", STATES), [(TargetId::RELAY, UploadState::Delivered)]);
        assert_eq!(told.deliveries("b.jpg", STATES), []);
        assert!(told.is_unsure("b.jpg") && !told.is_unsure("a.jpg"));
        assert_eq!(done.damaged, ["sent_files.json"]);
    }

    /// S3.7
    #[test]
    fn of_a_list_in_another_encoding_nothing_counts_as_not_sent() {
        let read = Ok(b"[\"\xc0\xd4\xb1\xb8_1.jpg\"]".to_vec());
        let list = List { kind: ListKind::Sent, path: "sent_files.json".into(), read, is_done: false };
        let mut done = TakenOver::default();
        assert_eq!(Told::of(vec![list], &mut done).deliveries("b.jpg", STATES), []);
        assert_eq!(done.damaged, ["sent_files.json"]);
    }
}
