//! An edge that the database did not take, as a small file beside the pictures that have no name yet, so that the next
//! start finds it: the row that could not be written, as JSON. It goes once the row is there.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tracing::warn;

use super::blocking::blocking;
use super::ledger::Values;
use super::reconcile::{Reconciled, unfinished};
use super::{Store, StoreError};
use crate::model::{CameraKey, Cause, ClockState, Coded, DeviceName, NoPicture, Outcome, Trigger, UnixMs};

/// What the name of the note of an edge ends with, and of one whose end is known, too. They are parts to an older version.
const EDGE: &str = ".edge.part";
const END: &str = ".end.part";

/// Both notes of an edge; the grammar of keys has no separators.
fn names(camera: &CameraKey, edge_at: UnixMs) -> [String; 2] {
    [END, EDGE].map(|end| format!("{camera}_{}{end}", edge_at.0))
}

fn is_note(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(EDGE) || name.ends_with(END)
}

impl Store {
    /// Notes an edge beside the pictures. Returns whether the next start would find it.
    pub(super) async fn note_edge(&self, trigger: &Trigger, end: Option<(Outcome, NoPicture)>) -> bool {
        if self.away().is_some() {
            return false;
        }
        let [with_end, alone] = names(&trigger.camera, trigger.edge.wall);
        let name = if end.is_some() { with_end } else { alone };
        let (files, text) = (self.files.clone(), written(&Values::of(self, trigger, end)));
        let noted = blocking(move || {
            files.write_note(name.as_ref(), text.as_bytes()).map_err(|source| StoreError::File {
                action: "note an edge below",
                path: files.root().to_owned(),
                source,
            })
        });
        noted.await.inspect_err(|error| warn!(%error, "an edge is kept in memory only")).is_ok()
    }

    /// Removes the notes of an edge, which is in the ledger now.
    pub(super) async fn forget_edge(&self, trigger: &Trigger) {
        if self.away().is_none() {
            self.forget(names(&trigger.camera, trigger.edge.wall)).await;
        }
    }

    async fn forget(&self, names: [String; 2]) {
        let files = self.files.clone();
        // Only a panic can fail; a note of a row that is there changes nothing at the next start.
        let _ = blocking(move || {
            names.iter().for_each(|name| files.forget_note(name.as_ref()));
            Ok(())
        })
        .await;
    }

    /// Brings into the ledger what an earlier run noted, and takes it out of the files that were left over. What is no
    /// note stays among them.
    pub(super) async fn take_notes(
        &self,
        left_over: Vec<PathBuf>,
        done: &mut Reconciled,
    ) -> Result<Vec<PathBuf>, StoreError> {
        let (mut notes, mut others): (Vec<_>, Vec<_>) = left_over.into_iter().partition(|path| is_note(path));
        // Of one edge the note with the end comes first.
        notes.sort_by_key(|path| !path.to_string_lossy().ends_with(END));
        for path in notes {
            let (files, of) = (self.files.clone(), path.clone());
            let read = blocking(move || {
                files.read(&of).map_err(|source| StoreError::File { action: "read", path: of, source })
            });
            let bytes = match read.await {
                Ok(Some(bytes)) => bytes,
                // It went with the other one.
                Ok(None) => continue,
                Err(error) => {
                    unfinished(done, &path, &error);
                    continue;
                }
            };
            let Some(values) = parsed(&bytes) else {
                others.push(path);
                continue;
            };
            // This run knows it, and will write it.
            if self.late.holds(&values.camera, values.edge_at) {
                continue;
            }
            let names = names(&values.camera, values.edge_at);
            match self.db.write(move |tx| values.insert_once(tx)).await {
                Ok(_) => {
                    done.interrupted += 1;
                    self.forget(names).await;
                }
                Err(error) => unfinished(done, &path, &error),
            }
        }
        Ok(others)
    }
}

fn written(values: &Values) -> String {
    let (outcome, reason) = values.end.as_ref().map(|(outcome, reason)| (outcome.as_str(), reason)).unzip();
    let code = reason.and_then(NoPicture::code);
    json!({
        "camera": values.camera.as_str(), "cause": values.cause.as_str(), "edge_at": values.edge_at.0,
        "device": values.device,
        "boot_id": &*values.boot_id, "boot_ms": values.boot_ms, "clock": values.clock.as_str(),
        "outcome": outcome, "reason": reason.map(ToString::to_string), "reason_code": code,
        "reason_params": reason.filter(|_| code.is_some()).map(|reason| Value::Object(reason.params()).to_string()),
    })
    .to_string()
}

/// What a note says; `None` when it is none, or torn. Without an end the process died before there was one, which a
/// picture of that instant changes when it is adopted.
fn parsed(bytes: &[u8]) -> Option<Values> {
    let note: Value = serde_json::from_slice(bytes).ok()?;
    let text = |name: &str| note.get(name).and_then(Value::as_str);
    let number = |name: &str| note.get(name).and_then(Value::as_i64);
    let end = match (text("outcome"), text("reason")) {
        (None, None) => (Outcome::Failed, NoPicture::Interrupted),
        (outcome, words) => {
            let reason = NoPicture::of(text("reason_code"), text("reason_params"), words?);
            (Outcome::parse(outcome?)?, reason)
        }
    };
    Some(Values {
        camera: CameraKey::parse(text("camera")?).ok()?,
        cause: Cause::parse(text("cause")?)?,
        device: text("device").and_then(|name| DeviceName::parse(name).ok()),
        edge_at: UnixMs(number("edge_at").filter(|at| *at >= 0)?),
        boot_id: text("boot_id")?.into(),
        boot_ms: number("boot_ms")?,
        clock: ClockState::parse(text("clock")?)?,
        end: Some(end),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(end: Option<(Outcome, NoPicture)>) -> Values {
        Values {
            camera: CameraKey::parse("r1-front").unwrap(),
            cause: Cause::Gpio,
            device: Some(DeviceName::parse("esp-door").unwrap()),
            edge_at: UnixMs(1_800_000_000_123),
            boot_id: "f0".into(),
            boot_ms: -5,
            clock: ClockState::Unsynced,
            end,
        }
    }

    #[test]
    fn a_note_says_what_it_was_told_and_one_without_an_end_that_it_was_interrupted() {
        let detail = "no \"frame\"\n".to_owned();
        for reason in
            [NoPicture::Words(detail.clone()), NoPicture::NoFrame { detail }, NoPicture::Busy { waiting: 8 }]
        {
            let failed = values(Some((Outcome::Failed, reason)));
            assert_eq!(parsed(written(&failed).as_bytes()), Some(failed));
        }
        let interrupted = values(Some((Outcome::Failed, NoPicture::Interrupted)));
        assert_eq!(parsed(written(&values(None)).as_bytes()), Some(interrupted));
        let [with_end, alone] = names(&values(None).camera, UnixMs(12));
        assert_eq!((with_end.as_str(), alone.as_str()), ("r1-front_12.end.part", "r1-front_12.edge.part"));
        assert!([with_end, alone].iter().all(|name| is_note(&Path::new(".incoming").join(name))));
        assert!(!is_note(Path::new(".incoming/000102030405060708090a0b0c0d0e0f.part")));
    }

    proptest! {
        #[test]
        fn a_torn_or_foreign_note_is_none(cut in 0_usize..200, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let whole = written(&values(Some((Outcome::Coalesced, "busy".into()))));
            let torn = whole.as_bytes().get(..cut.min(whole.len() - 1)).unwrap();
            prop_assert_eq!(parsed(torn), None);
            prop_assert_eq!(parsed(&bytes), None);
        }
    }
}
