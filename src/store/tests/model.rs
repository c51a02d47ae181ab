//! The law of the store: after any sequence of operations it agrees with a plain model in memory, and its tallies with a
//! count of the rows.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::testing::{OWED, Place, SKIPPED, T0, picture, recount, tallies, trigger, wrong_deliveries};
use super::*;
use crate::model::{FileName, ImageId, Outcome, Trigger, UnixMs, UploadFault, UploadState};

#[derive(Clone, Debug)]
enum Op {
    Begin { camera: usize, second: i64 },
    Coalesce { camera: usize },
    Fail(prop::sample::Index),
    Record(prop::sample::Index),
    Delete { which: prop::sample::Index, even_if_owed: bool },
    Protect { which: prop::sample::Index, protected: bool },
    Claim { limit: usize, fresh_first: bool },
    Settle { which: prop::sample::Index, how: usize },
    Excuse(prop::sample::Index),
    Retry(prop::sample::Index),
    EndWaits,
    Retain { before_second: i64 },
    Wait { ms: i64 },
    LoseFile(prop::sample::Index),
    BringFilesBack,
    Restart { upload_enabled: bool },
}

fn op() -> impl Strategy<Value = Op> {
    let which = any::<prop::sample::Index>;
    prop_oneof![
        3 => (0..2_usize, 0..4_i64).prop_map(|(camera, second)| Op::Begin { camera, second }),
        1 => (0..2_usize).prop_map(|camera| Op::Coalesce { camera }),
        1 => which().prop_map(Op::Fail),
        5 => which().prop_map(Op::Record),
        1 => (which(), any::<bool>()).prop_map(|(which, even_if_owed)| Op::Delete { which, even_if_owed }),
        1 => (which(), any::<bool>()).prop_map(|(which, protected)| Op::Protect { which, protected }),
        3 => (1..4_usize, any::<bool>()).prop_map(|(limit, fresh_first)| Op::Claim { limit, fresh_first }),
        4 => (which(), 0..5_usize).prop_map(|(which, how)| Op::Settle { which, how }),
        1 => which().prop_map(Op::Retry),
        1 => which().prop_map(Op::Excuse),
        1 => Just(Op::EndWaits),
        1 => (0..5_i64).prop_map(|before_second| Op::Retain { before_second }),
        2 => (1..200_i64).prop_map(|ms| Op::Wait { ms }),
        1 => which().prop_map(Op::LoseFile),
        1 => Just(Op::BringFilesBack),
        2 => any::<bool>().prop_map(|upload_enabled| Op::Restart { upload_enabled }),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Present,
    Missing,
    Deleted,
}

struct ModelTrigger {
    row: TriggerId,
    trigger: Trigger,
    outcome: Option<Outcome>,
}

struct ModelImage {
    name: FileName,
    taken_at: UnixMs,
    bytes: u64,
    presence: Presence,
    has_file: bool,
    is_protected: bool,
    state: UploadState,
    attempts: u32,
    refusals: u32,
    not_before: i64,
}

impl ModelImage {
    fn is_owed(&self) -> bool {
        matches!(self.state, UploadState::Pending | UploadState::Dead)
    }

    fn delete(&mut self) {
        self.presence = Presence::Deleted;
        if self.is_owed() {
            self.state = UploadState::Lost;
        }
    }
}

/// The store under test and what it should hold.
struct World {
    place: Place,
    store: Store,
    now: i64,
    upload_enabled: bool,
    triggers: Vec<ModelTrigger>,
    images: Vec<ModelImage>,
    claimed: Vec<DueUpload>,
    after: Option<String>,
}

impl World {
    fn new() -> Self {
        let place = Place::new();
        Self {
            store: place.open(),
            place,
            now: 1_000_000,
            upload_enabled: true,
            triggers: Vec::new(),
            images: Vec::new(),
            claimed: Vec::new(),
            after: None,
        }
    }

    async fn apply(&mut self, op: Op) {
        match op {
            Op::Begin { camera, second } => self.begin(camera, second).await,
            Op::Coalesce { camera } => {
                let trigger = trigger(["r1", "r2"][camera], T0);
                let row = self.store.end_trigger(&trigger, Outcome::Coalesced, "why").await.unwrap();
                self.triggers.push(ModelTrigger { row, trigger, outcome: Some(Outcome::Coalesced) });
            }
            Op::Fail(which) if !self.triggers.is_empty() => {
                let row = which.get(&self.triggers).row;
                self.store.fail_trigger(row, "why").await.unwrap();
                let model = which.get_mut(&mut self.triggers);
                model.outcome = model.outcome.or(Some(Outcome::Failed));
            }
            Op::Record(which) if !self.triggers.is_empty() => {
                self.record(which.index(self.triggers.len())).await
            }
            Op::Delete { which, even_if_owed } if !self.images.is_empty() => {
                let model = which.get_mut(&mut self.images);
                let expected = if model.presence != Presence::Present {
                    Deletion::NotFound
                } else if model.is_protected {
                    Deletion::Protected
                } else if model.is_owed() && !even_if_owed {
                    Deletion::Owed
                } else {
                    model.delete();
                    Deletion::Deleted
                };
                let found = self.store.delete_image(&model.name, even_if_owed).await.unwrap();
                assert_eq!(found, expected, "{:?}", model.name);
            }
            Op::Protect { which, protected } if !self.images.is_empty() => {
                let model = which.get_mut(&mut self.images);
                let found = self.store.protect(&model.name, protected).await.unwrap();
                assert_eq!(found.is_some(), model.presence == Presence::Present);
                if found.is_some() {
                    model.is_protected = protected;
                }
            }
            Op::Claim { limit, fresh_first } => self.claim(limit, fresh_first).await,
            Op::Settle { which, how } if !self.claimed.is_empty() => {
                let upload = self.claimed.remove(which.index(self.claimed.len()));
                self.settle(&upload, how).await;
            }
            Op::Retry(which) if !self.images.is_empty() => {
                let model = which.get_mut(&mut self.images);
                let found = self.store.retry(&model.name).await.unwrap();
                assert_eq!(found.is_some(), model.presence == Presence::Present);
                let is_again =
                    matches!(model.state, UploadState::Pending | UploadState::Dead | UploadState::Lost);
                if found.is_some() && is_again {
                    (model.state, model.not_before, model.refusals) = (UploadState::Pending, 0, 0);
                }
            }
            Op::Excuse(which) if !self.claimed.is_empty() => {
                let upload = which.get(&self.claimed);
                let not_before = UnixMs(self.now + 60);
                let settlement = Settlement::Excused { not_before };
                let excused = self.store.settle(upload, settlement).await.unwrap();
                let model = self.images.iter_mut().find(|model| model.name == upload.filename).unwrap();
                let may_be = model.is_owed() && model.presence == Presence::Present;
                assert_eq!(excused, may_be);
                if excused {
                    (model.state, model.not_before, model.refusals) = (UploadState::Pending, not_before.0, 0);
                }
            }
            Op::EndWaits => {
                self.store.end_waits(TargetId::API, UnixMs(self.now + 50)).await.unwrap();
                for model in self.images.iter_mut().filter(|model| model.state == UploadState::Pending) {
                    if model.not_before > self.now + 50 {
                        model.not_before = 0;
                    }
                }
            }
            Op::Retain { before_second } => self.retain(UnixMs(T0 + before_second * 1000)).await,
            Op::Wait { ms } => self.now += ms,
            Op::LoseFile(which) if !self.images.is_empty() => {
                let index = which.index(self.images.len());
                let (here, away) = self.paths(index);
                let model = &mut self.images[index];
                if model.has_file && model.presence != Presence::Deleted {
                    fs::rename(here, away).unwrap();
                    model.has_file = false;
                }
            }
            Op::BringFilesBack => {
                for index in 0..self.images.len() {
                    let (here, away) = self.paths(index);
                    let model = &mut self.images[index];
                    if !model.has_file && model.presence != Presence::Deleted {
                        fs::create_dir_all(here.parent().unwrap()).unwrap();
                        fs::rename(away, here).unwrap();
                        model.has_file = true;
                    }
                }
            }
            Op::Restart { upload_enabled } => self.restart(upload_enabled).await,
            Op::Fail(_) | Op::Record(_) | Op::Delete { .. } | Op::Protect { .. } | Op::Settle { .. } => {}
            Op::Retry(_) | Op::LoseFile(_) | Op::Excuse(_) => {}
        }
    }

    /// Where a picture lies, and where the test hides it.
    fn paths(&self, index: usize) -> (PathBuf, PathBuf) {
        let name = &self.images[index].name;
        let here = self.place.images().join(files::relative_path(name));
        (here, self.place.path().join(name.to_string()))
    }

    async fn begin(&mut self, camera: usize, second: i64) {
        // A distinct millisecond for each trigger, so that none is mistaken for another.
        let ms = i64::try_from(self.triggers.len()).unwrap();
        let trigger = trigger(["r1", "r2"][camera], T0 + second * 1000 + ms);
        let row = self.store.begin_trigger(&trigger).await.unwrap();
        self.triggers.push(ModelTrigger { row, trigger, outcome: None });
    }

    async fn record(&mut self, index: usize) {
        let model = &mut self.triggers[index];
        let new = picture(&model.trigger, model.row, ImageId::random(), 0);
        let bytes = new.file.len() as u64;
        let image = self.store.record(new).await.unwrap();
        model.outcome = Some(Outcome::Captured);
        let mut expected = FileName::new(model.trigger.camera.clone(), model.trigger.edge.wall.epoch_s(), 1);
        while self.images.iter().any(|known| known.name == expected) {
            expected = expected.next().unwrap();
        }
        assert_eq!(image.filename, expected);
        let state = if self.upload_enabled { UploadState::Pending } else { UploadState::Skipped };
        self.images.push(ModelImage {
            name: expected,
            taken_at: model.trigger.edge.wall,
            bytes,
            presence: Presence::Present,
            has_file: true,
            is_protected: false,
            state,
            attempts: 0,
            refusals: 0,
            not_before: 0,
        });
    }

    async fn claim(&mut self, limit: usize, fresh_first: bool) {
        let now = self.now;
        let held = self.claimed.iter().map(|upload| upload.row()).collect();
        let turn = LaneTurn { held, after: self.after.clone(), fresh_first };
        let claim = self.store.claim(TargetId::API, UnixMs(now), limit, turn).await.unwrap();
        let held = |model: &&ModelImage| !self.claimed.iter().any(|upload| upload.filename == model.name);
        let due = self.images.iter().filter(|model| {
            model.state == UploadState::Pending
                && model.presence == Presence::Present
                && model.not_before <= now
        });
        let mut due: Vec<&ModelImage> = due.filter(held).collect();
        if fresh_first && due.iter().any(|model| model.not_before == 0) {
            due.retain(|model| model.not_before == 0);
        }
        due.sort_by_key(|model| model.taken_at);
        let mut expected = Vec::new();
        while expected.len() < limit && !due.is_empty() {
            // Behind the camera that was served last, or from the first again.
            let key = |model: &&ModelImage| model.name.camera().unwrap().as_str().to_owned();
            let later = due
                .iter()
                .map(key)
                .filter(|camera| self.after.as_ref().is_none_or(|after| camera > after))
                .min();
            let camera = later.or_else(|| due.iter().map(key).min()).unwrap();
            let first = due.iter().position(|model| key(model) == camera).unwrap();
            let model = due.remove(first);
            expected.push((model.name.clone(), model.attempts, model.refusals));
            self.after = Some(camera);
        }
        let found = claim.uploads.iter().map(|u| (u.filename.clone(), u.attempts, u.refusals));
        assert_eq!(found.collect::<Vec<_>>(), expected);
        assert_eq!(claim.after, self.after);
        self.claimed.extend(claim.uploads);
        let pending = self.images.iter().filter(|model| model.state == UploadState::Pending);
        let next = pending.map(|model| UnixMs(model.not_before)).filter(|at| at.0 > now).min();
        assert_eq!(self.store.next_due(TargetId::API, UnixMs(now)).await.unwrap(), next);
    }

    async fn settle(&mut self, upload: &DueUpload, how: usize) {
        let (at, error) = (UnixMs(self.now), UploadFault::from("why"));
        let not_before = UnixMs(self.now + 70);
        let (settlement, state) = match how {
            0 => (Settlement::Delivered { at }, UploadState::Delivered),
            1 => (Settlement::Retry { not_before, error }, UploadState::Pending),
            2 => (Settlement::Dead { error }, UploadState::Dead),
            3 => (Settlement::Refused { not_before, error }, UploadState::Pending),
            _ => (Settlement::Lost { error }, UploadState::Lost),
        };
        let settled = self.store.settle(upload, settlement).await.unwrap();
        let model = self.images.iter_mut().find(|model| model.name == upload.filename).unwrap();
        assert_eq!(settled, model.state == UploadState::Pending);
        if settled {
            model.not_before = if matches!(how, 1 | 3) { not_before.0 } else { 0 };
            model.refusals += u32::from(matches!(how, 2 | 3));
            (model.state, model.attempts) = (state, model.attempts + 1);
        }
    }

    async fn retain(&mut self, before: UnixMs) {
        let found = self.store.deletable(before, None, 1000).await.unwrap();
        let mut expected: Vec<_> = (0..self.images.len())
            .filter(|index| {
                let model = &self.images[*index];
                let may_go = model.presence == Presence::Present && !model.is_protected && !model.is_owed();
                may_go && model.taken_at < before
            })
            .collect();
        expected.sort_by_key(|index| (self.images[*index].taken_at, *index));
        let names: Vec<_> = expected.iter().map(|index| self.images[*index].name.to_string()).collect();
        assert_eq!(found.iter().map(|(_, d)| d.filename.clone()).collect::<Vec<_>>(), names);
        let gone = self.store.delete_expired(found.into_iter().map(|(_, d)| d).collect()).await.unwrap();
        assert_eq!(gone.len(), names.len());
        for index in expected {
            self.images[index].delete();
        }
    }

    async fn restart(&mut self, upload_enabled: bool) {
        self.upload_enabled = upload_enabled;
        self.store = self.place.open_owing(if upload_enabled { OWED } else { SKIPPED });
        let done = self.store.reconcile().await.unwrap();
        let open = self.triggers.iter_mut().filter(|model| model.outcome.is_none());
        let interrupted = open.map(|model| model.outcome = Some(Outcome::Failed)).count();
        let mut missing = 0;
        for model in self.images.iter_mut().filter(|model| model.presence != Presence::Deleted) {
            let before = model.presence;
            model.presence = if model.has_file { Presence::Present } else { Presence::Missing };
            if before == Presence::Present && !model.has_file {
                missing += 1;
                if model.is_owed() || model.state == UploadState::Skipped {
                    model.state = UploadState::Lost;
                }
            }
            if !model.has_file {
                continue;
            }
            if model.state == UploadState::Lost {
                (model.state, model.not_before) = (UploadState::Pending, 0);
            }
            if upload_enabled && model.state == UploadState::Skipped {
                (model.state, model.not_before) = (UploadState::Pending, 0);
            } else if !upload_enabled && model.state == UploadState::Pending {
                model.state = UploadState::Skipped;
            }
        }
        assert_eq!(done, Reconciled { missing, interrupted, ..Reconciled::default() });
    }

    fn check_tallies(&self) {
        let c = self.place.sql();
        assert_eq!(tallies(&c), recount(&c));
        assert_eq!(wrong_deliveries(&c), 0);
    }

    async fn check_everything(&self) {
        let query = ImageQuery { limit: 1000, ..ImageQuery::default() };
        let found = self.store.images(query).await.unwrap().items;
        let mut expected: Vec<_> = self.images.iter().enumerate().collect();
        expected.retain(|(_, model)| model.presence == Presence::Present);
        expected.sort_by_key(|(index, model)| std::cmp::Reverse((model.taken_at, *index)));
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(_, m)| (m.name.clone(), m.bytes, m.is_protected, m.state, m.attempts))
            .collect();
        let found: Vec<_> = found
            .into_iter()
            .map(|i| (i.filename, i.bytes, i.protected, i.uploads[0].state, i.uploads[0].attempts))
            .collect();
        assert_eq!(found, expected);
        for model in &self.triggers {
            let entry = self.store.ledger_entry(model.row).await.unwrap().unwrap();
            assert_eq!(entry.outcome, model.outcome);
        }
        let stats = self.store.stats().await.unwrap();
        let owed = self.images.iter().filter(|model| model.state == UploadState::Pending).count();
        assert_eq!(stats.pending(), owed as u64);
        let there = self.images.iter().filter(|model| model.presence == Presence::Present);
        assert_eq!(stats.used_bytes(), there.map(|model| model.bytes).sum::<u64>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_store_agrees_with_a_plain_model_after_any_operations(ops in prop::collection::vec(op(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for op in ops {
                world.apply(op).await;
                world.check_tallies();
            }
            world.check_everything().await;
            world.restart(true).await;
            world.check_tallies();
            world.check_everything().await;
        });
    }
}
