//! The law of the lists: page after page they give the same rows as a plain filter over all rows, each once, whatever is
//! asked for and wherever one begins.

use proptest::prelude::*;
use rusqlite::named_params;

use super::page::{Bounds, newest};
use super::testing::{OWED, Place, T0, camera};
use super::*;
use crate::model::{Cause, DeviceName, FileName, ImageKind, Medium, Outcome, UnixMs, UploadState};

const CAMERAS: [&str; 3] = ["r1", "r2", "r10"];
const KINDS: [ImageKind; 3] = [ImageKind::Instant, ImageKind::Best, ImageKind::Clip];
const CAUSES: [Cause; 3] = [Cause::Gpio, Cause::Push, Cause::Ftp];
const DEVICES: [&str; 2] = ["door", "yard"];
const PRESENCE: [&str; 4] = ["present", "present", "missing", "deleted"];

/// What was written down of a picture. Few instants, so that many share one and the identity has to decide.
#[derive(Clone, Debug)]
struct Picture {
    camera: usize,
    kind: usize,
    /// And what brought it, if a device did.
    cause: (usize, Option<usize>),
    presence: usize,
    ms: i64,
    /// Of the targets in turn; `None`: nothing is owed to it.
    uploads: [Option<usize>; 2],
}

#[derive(Clone, Debug)]
struct LoginEntry {
    camera: usize,
    ms: i64,
    outcome: Option<usize>,
}

const OUTCOMES: [Outcome; 3] = [Outcome::Captured, Outcome::Coalesced, Outcome::Failed];
const TARGETS: [TargetId; 2] = [TargetId::API, TargetId::S3];

/// What is asked for; a date may lie before, between or after all rows, and `from` after `to`.
#[derive(Clone, Debug)]
struct Asked {
    camera: Option<usize>,
    state: Option<usize>,
    medium: Option<Medium>,
    cause: Option<usize>,
    device: Option<usize>,
    outcome: Option<usize>,
    from: Option<i64>,
    to: Option<i64>,
    cursor: Option<(i64, i64)>,
    limit: u32,
}

fn picture() -> impl Strategy<Value = Picture> {
    let upload = || prop::option::weighted(0.8, 0..UploadState::ALL.len());
    let cause = (0..3_usize, prop::option::of(0..2_usize));
    (0..3_usize, 0..3_usize, cause, 0..4_usize, 0..6_i64, [upload(), upload()]).prop_map(
        |(camera, kind, cause, presence, ms, uploads)| Picture { camera, kind, cause, presence, ms, uploads },
    )
}

fn entry() -> impl Strategy<Value = LoginEntry> {
    (0..3_usize, 0..6_i64, prop::option::weighted(0.8, 0..3_usize))
        .prop_map(|(camera, ms, outcome)| LoginEntry { camera, ms, outcome })
}

fn asked() -> impl Strategy<Value = Asked> {
    let maybe = prop::option::of::<std::ops::Range<usize>>;
    let medium = prop::option::of(prop_oneof![Just(Medium::Jpeg), Just(Medium::Mp4)]);
    let date = || prop::option::of(-1..8_i64);
    let cursor = prop::option::of((-1..8_i64, 0..40_i64));
    let brought = (maybe(0..3), prop::option::weighted(0.3, 0..2_usize));
    ((maybe(0..3), maybe(0..5), medium, maybe(0..3)), brought, (date(), date(), cursor, 1..6_u32)).prop_map(
        |((camera, state, medium, outcome), (cause, device), (from, to, cursor, limit))| Asked {
            camera,
            state,
            medium,
            cause,
            device,
            outcome,
            from,
            to,
            cursor,
            limit,
        },
    )
}

impl Asked {
    /// Whether a row is in the list, as it would be said in words: of the date, and after the page before.
    fn wants(&self, ms: i64, id: i64) -> bool {
        self.from.is_none_or(|from| ms >= from)
            && self.to.is_none_or(|to| ms < to)
            && self.cursor.is_none_or(|(end_ms, end_id)| ms < end_ms || (ms == end_ms && id < end_id))
    }

    fn wants_picture(&self, id: i64, picture: &Picture) -> bool {
        PRESENCE[picture.presence] == "present"
            && self.camera.is_none_or(|camera| camera == picture.camera)
            && self.medium.is_none_or(|medium| medium == KINDS[picture.kind].medium())
            && self.state.is_none_or(|state| picture.uploads.contains(&Some(state)))
            && self.cause.is_none_or(|cause| cause == picture.cause.0)
            && self.device.is_none_or(|device| picture.cause.1 == Some(device))
            && self.wants(picture.ms, id)
    }

    fn wants_entry(&self, id: i64, entry: &LoginEntry) -> bool {
        self.camera.is_none_or(|camera| camera == entry.camera)
            && self.outcome.is_none_or(|outcome| entry.outcome == Some(outcome))
            && self.wants(entry.ms, id)
    }

    fn instant(ms: Option<i64>) -> Option<UnixMs> {
        ms.map(|ms| UnixMs(T0 + ms))
    }

    fn start(&self) -> Option<Cursor> {
        self.cursor.map(|(ms, id)| Cursor { ms: T0 + ms, id })
    }

    fn images(&self) -> ImageQuery {
        ImageQuery {
            camera: self.camera.map(|at| camera(CAMERAS[at])),
            from: Self::instant(self.from),
            to: Self::instant(self.to),
            state: self.state.map(|at| UploadState::ALL[at]),
            text: None,
            medium: self.medium,
            cause: self.cause.map(|at| CAUSES[at]),
            device: self.device.map(|at| DeviceName::parse(DEVICES[at]).unwrap()),
            limit: self.limit,
            cursor: self.start(),
        }
    }

    fn ledger(&self) -> LedgerQuery {
        LedgerQuery {
            camera: self.camera.map(|at| camera(CAMERAS[at])),
            from: Self::instant(self.from),
            to: Self::instant(self.to),
            outcome: self.outcome.map(|at| OUTCOMES[at]),
            limit: self.limit,
            cursor: self.start(),
        }
    }
}

/// Writes the rows down; identities count from 1.
fn filled(pictures: &[Picture], entries: &[LoginEntry]) -> (Place, Store) {
    let place = Place::new();
    let store = place.open_owing(OWED);
    let c = place.sql();
    c.execute_batch("pragma synchronous = off; begin").unwrap();
    for (id, entry) in (1_i64..).zip(entries) {
        c.prepare_cached(
            "insert into triggers (id, camera, cause, edge_at, boot_id, boot_ms, clock) values
             (:id, :camera, 'gpio', :at, '', 0, 'synced')",
        )
        .unwrap()
        .execute(named_params! {":id": id, ":camera": CAMERAS[entry.camera], ":at": T0 + entry.ms})
        .unwrap();
        // As in life: the outcome comes afterwards.
        c.prepare_cached("update triggers set outcome = :outcome where id = :id")
            .unwrap()
            .execute(named_params! {":id": id, ":outcome": entry.outcome.map(|at| OUTCOMES[at].as_str())})
            .unwrap();
    }
    for (id, picture) in (1_i64..).zip(pictures) {
        let kind = KINDS[picture.kind];
        let trigger = entries.get(usize::try_from(id / 2).unwrap()).map(|_| id / 2 + 1);
        c.prepare_cached(
            "insert into images (id, uid, trigger_id, camera, file_name, path, cause, taken_at, width, height, bytes,
                                 sha256, kind, state, deliveries, device)
             values (:id, randomblob(16), :trigger, :camera, :name, :name, :cause, :at, 1, 1, 1, zeroblob(32), :kind,
                     'present', 0, :device)",
        )
        .unwrap()
        .execute(named_params! {
            ":id": id, ":trigger": trigger, ":camera": CAMERAS[picture.camera], ":at": T0 + picture.ms,
            ":name": format!("r1_{}{}", 1_800_000_000 + id, kind.medium().extension()), ":kind": kind.as_str(),
            ":cause": CAUSES[picture.cause.0].as_str(), ":device": picture.cause.1.map(|at| DEVICES[at]),
        })
        .unwrap();
        for (target, state) in TARGETS.into_iter().zip(picture.uploads) {
            let Some(state) = state else { continue };
            c.prepare_cached(
                "insert into uploads (image_id, target, state) values (:id, :target, 'pending')",
            )
            .unwrap()
            .execute(named_params! {":id": id, ":target": target.as_str()})
            .unwrap();
            c.prepare_cached("update uploads set state = :state where image_id = :id and target = :target")
                .unwrap()
                .execute(named_params! {
                    ":id": id, ":target": target.as_str(), ":state": UploadState::ALL[state].as_str(),
                })
                .unwrap();
        }
        c.prepare_cached("update images set state = :state where id = :id")
            .unwrap()
            .execute(named_params! {":id": id, ":state": PRESENCE[picture.presence]})
            .unwrap();
    }
    c.execute_batch("commit").unwrap();
    (place, store)
}

/// What a plain filter finds, newest first.
fn expected<T>(rows: &[T], ms: impl Fn(&T) -> i64, is_wanted: impl Fn(i64, &T) -> bool) -> Vec<i64> {
    let mut found: Vec<(i64, i64)> =
        (1_i64..).zip(rows).filter(|(id, row)| is_wanted(*id, row)).map(|(id, row)| (ms(row), id)).collect();
    found.sort_unstable();
    found.into_iter().rev().map(|(_, id)| id).collect()
}

/// The number in the name of a picture.
fn id_of(name: &FileName) -> i64 {
    i64::try_from(name.epoch_s().unwrap()).unwrap() - 1_800_000_000
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn pages_of_any_filter_and_any_date_are_what_a_plain_filter_finds(
        pictures in prop::collection::vec(picture(), 0..40),
        entries in prop::collection::vec(entry(), 0..40),
        questions in prop::collection::vec(asked(), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (_place, store) = filled(&pictures, &entries);
            for asked in questions {
                let (mut seen, mut query) = (Vec::new(), asked.images());
                let counted = store.image_count(query.clone()).await.unwrap();
                loop {
                    let page = store.images(query.clone()).await.unwrap();
                    for image in &page.items {
                        let id = id_of(&image.filename);
                        let picture = &pictures[usize::try_from(id - 1).unwrap()];
                        let states: Vec<_> = picture.uploads.iter().flatten().map(|at| UploadState::ALL[*at]).collect();
                        assert_eq!(image.uploads.iter().map(|upload| upload.state).collect::<Vec<_>>(), states);
                        seen.push(id);
                    }
                    assert!(page.items.len() <= asked.limit as usize && seen.len() <= pictures.len());
                    query.cursor = page.next;
                    if page.next.is_none() { break; }
                    assert_eq!(page.items.len(), asked.limit as usize, "a page before the last is full");
                }
                assert_eq!(
                    seen,
                    expected(&pictures, |picture| picture.ms, |id, picture| asked.wants_picture(id, picture)),
                    "{asked:?}"
                );
                let in_all = Asked { cursor: None, ..asked.clone() };
                let in_all = pictures.iter().zip(1_i64..).filter(|(picture, id)| in_all.wants_picture(*id, picture)).count();
                assert_eq!(counted, in_all as u64, "{asked:?}");
                let (mut seen, mut query) = (Vec::new(), asked.ledger());
                loop {
                    let page = store.ledger(query.clone()).await.unwrap();
                    for entry in &page.items {
                        let own: Vec<i64> = (1_i64..).zip(&pictures)
                            .filter(|(id, picture)| id / 2 + 1 == entry.id.get() && PRESENCE[picture.presence] == "present")
                            .map(|(id, _)| id)
                            .collect();
                        assert_eq!(entry.images.iter().map(|image| id_of(&image.filename)).collect::<Vec<_>>(), own);
                        seen.push(entry.id.get());
                    }
                    assert!(seen.len() <= entries.len());
                    query.cursor = page.next;
                    if page.next.is_none() { break; }
                }
                assert_eq!(
                    seen,
                    expected(&entries, |entry| entry.ms, |id, entry| asked.wants_entry(id, entry)),
                    "{asked:?}"
                );
            }
        });
    }

    #[test]
    fn pages_of_what_was_put_aside_are_what_a_plain_filter_finds(
        pictures in prop::collection::vec(picture(), 0..40),
        target in prop::option::of(0..2_usize),
        limit in 1..6_u32,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (_place, store) = filled(&pictures, &[]);
            let dead = UploadState::ALL.iter().position(|state| *state == UploadState::Dead);
            let mut wanted: Vec<(i64, &str)> = Vec::new();
            for (id, picture) in (1_i64..).zip(&pictures) {
                for (at, state) in picture.uploads.into_iter().enumerate() {
                    if state == dead && target.is_none_or(|target| target == at) {
                        wanted.push((id, TARGETS[at].as_str()));
                    }
                }
            }
            wanted.sort_unstable();
            wanted.reverse();
            let mut seen = Vec::new();
            let mut query = DeadQuery { target: target.map(|at| TARGETS[at]), limit, cursor: None };
            loop {
                let page = store.dead(query).await.unwrap();
                seen.extend(page.items.iter().map(|letter| (id_of(&letter.filename), letter.target.as_str())));
                assert!(seen.len() <= wanted.len());
                query.cursor = page.next.and_then(|cursor| DeadCursor::parse(&cursor.to_string()));
                if query.cursor.is_none() { break; }
            }
            assert_eq!(seen, wanted);
        });
    }

    /// One bound on each side says the same as all of them together.
    #[test]
    fn folded_bounds_hold_the_same_rows(
        asked in asked(), ms in prop_oneof![-2..9_i64, Just(i64::MIN), Just(i64::MAX - 1)], id in 1..40_i64,
    ) {
        let cursor = asked.cursor.map(|(ms, id)| Cursor { ms, id });
        let bounds = Bounds::new(asked.from.map(UnixMs), asked.to.map(UnixMs), cursor);
        prop_assert_eq!(Cursor { ms, id } < bounds.before && ms >= bounds.from_ms, asked.wants(ms, id));
    }

    /// Few instants and few rows to a page, so that a run ends where another one has rows of the same instant.
    #[test]
    fn the_newest_of_several_runs_are_those_of_all_rows(
        rows in prop::collection::vec((0..4_usize, 0..5_i64), 0..30), most in 0..8_usize, from_ms in -1..4_i64,
    ) {
        let all: Vec<(usize, Cursor)> = rows.iter().zip(1..).map(|((run, ms), id)| (*run, Cursor { ms: *ms, id })).collect();
        let bounds = Bounds { before: Cursor { ms: 4, id: 9 }, from_ms };
        let of = |run: Option<usize>, bounds: Bounds| {
            let mut found: Vec<Cursor> = all
                .iter()
                .filter(|(own, at)| run.is_none_or(|run| run == *own) && *at < bounds.before && at.ms >= bounds.from_ms)
                .map(|(_, at)| *at)
                .collect();
            found.sort_unstable();
            found.reverse();
            found.truncate(most);
            found
        };
        let found = newest(&[0, 1, 2, 3], bounds, most, |run, bounds| Ok::<_, ()>(of(Some(*run), bounds)));
        prop_assert_eq!(found, Ok(of(None, bounds)));
    }
}
