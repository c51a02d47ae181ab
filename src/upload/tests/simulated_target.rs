//! The target of the simulation: it does as a story wants, and reckons as plainly as can be whom the lane may blame.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::model::{FileName, ImageId, UnixMs, UploadFault};
use crate::targets::TargetError;

/// How long a delivery takes.
const DELIVERY: Duration = Duration::from_millis(300);

/// Attempts end so far apart that their order is the same for the target and for the lane.
const APART: Duration = Duration::from_millis(2);

/// So many different pictures refused in a row in one way are a fault of the target, and so often one picture is refused
/// in a way that may pass, before it is put aside. Written down here once more on purpose.
const ROW: usize = 5;
const TRIES: u32 = 3;

/// How the target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    Away,
    Breaks,
    /// It takes the picture, and the connection breaks before it says so.
    TakesSilently,
    Busy,
    Misconfigured,
    /// It refuses every picture, by a word that is its last or not.
    Refuses {
        is_final: bool,
    },
    /// It says nothing at all.
    Hangs,
}

/// What the target holds against a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Blame {
    pub(super) refusals: u32,
    is_final: bool,
}

impl Blame {
    /// Whether it may be put aside.
    pub(super) fn is_enough(self) -> bool {
        self.is_final || self.refusals >= TRIES
    }
}

/// The target, and what a plain model holds against each picture.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) mood: Mood,
    /// Pictures that it refuses whatever its mood.
    pub(super) bad: HashSet<ImageId>,
    /// What it took: name, content, and when first.
    pub(super) taken: HashMap<ImageId, (FileName, [u8; 32], UnixMs)>,
    /// How often it was sent what it had.
    pub(super) again: u64,
    /// In the life of which lane it said yes to a picture.
    confirmed: HashMap<ImageId, u64>,
    pub(super) blames: HashMap<ImageId, Blame>,
    /// Different pictures refused one after the other in one way, and that way.
    row: Vec<ImageId>,
    way: &'static str,
    /// Since a row of them it is the target that is to blame.
    is_refusing: bool,
    /// What was blamed of pictures that were excused, until that is durable for certain.
    pub(super) excused: HashMap<ImageId, (Blame, Instant)>,
    /// Excused in all.
    pub(super) excuses: u64,
    /// When the attempt ends that ends last.
    last_end: Option<Instant>,
    /// What must not have happened. The lane survives a panic inside of an attempt, so it is told afterwards.
    pub(super) wrong: Vec<String>,
}

impl Server {
    pub(super) fn new() -> Self {
        Self {
            mood: Mood::Well,
            bad: HashSet::new(),
            taken: HashMap::new(),
            again: 0,
            confirmed: HashMap::new(),
            blames: HashMap::new(),
            row: Vec::new(),
            way: "",
            is_refusing: false,
            excused: HashMap::new(),
            excuses: 0,
            last_end: None,
            wrong: Vec::new(),
        }
    }

    /// When an attempt ends that begins now.
    pub(super) fn next_end(&mut self) -> Instant {
        let own = Instant::now() + DELIVERY;
        let end = self.last_end.map_or(own, |last| own.max(last + APART));
        self.last_end = Some(end);
        end
    }

    pub(super) fn answer(
        &mut self,
        id: ImageId,
        name: &FileName,
        sha256: [u8; 32],
        life: u64,
    ) -> Result<(), TargetError> {
        let message = || UploadFault::from("as the story wants it");
        if self.confirmed.get(&id) == Some(&life) {
            self.wrong.push(format!("{name} was confirmed, and the same lane sends it again"));
        }
        if self.bad.contains(&id) && !matches!(self.mood, Mood::Away | Mood::Busy | Mood::Misconfigured) {
            return self.refuse(id, "this picture", true);
        }
        match self.mood {
            Mood::Well | Mood::TakesSilently => {
                if let Some((known, content, _)) = self.taken.get(&id) {
                    if (known, *content) != (name, sha256) {
                        self.wrong.push(format!("{known} and {name} have one identity"));
                    }
                    self.again += 1;
                } else {
                    self.taken.insert(id, (name.clone(), sha256, clock::now()));
                }
                if self.mood == Mood::TakesSilently {
                    return Err(TargetError::Broken { fault: message() });
                }
                self.confirmed.insert(id, life);
                self.row.clear();
                (self.way, self.is_refusing) = ("", false);
                Ok(())
            }
            Mood::Away => Err(TargetError::Unreachable { fault: message() }),
            Mood::Breaks | Mood::Hangs => Err(TargetError::Broken { fault: message() }),
            Mood::Busy => {
                Err(TargetError::Busy { fault: message(), retry_after: Some(Duration::from_secs(600)) })
            }
            Mood::Misconfigured => Err(TargetError::Misconfigured { fault: message() }),
            Mood::Refuses { is_final } => self.refuse(id, "any picture", is_final),
        }
    }

    /// The rule of refusals, told as plainly as it can be.
    fn refuse(&mut self, id: ImageId, way: &'static str, is_final: bool) -> Result<(), TargetError> {
        let refused =
            Err(TargetError::Rejected { fault: format!("{way}: as the story wants it").into(), is_final });
        if self.is_refusing {
            return refused;
        }
        if self.way != way {
            self.row.clear();
            self.way = way;
        }
        if !self.row.contains(&id) {
            self.row.push(id);
        }
        if self.row.len() < ROW {
            let blame = self.blames.entry(id).or_default();
            *blame = Blame { refusals: blame.refusals + 1, is_final: is_final || blame.is_final };
            return refused;
        }
        self.is_refusing = true;
        for other in std::mem::take(&mut self.row).into_iter().filter(|other| *other != id) {
            if let Some(blame) = self.blames.remove(&other) {
                self.excuses += 1;
                self.excused.insert(other, (blame, Instant::now()));
            }
        }
        refused
    }

    /// The lane began anew and knows of no row; what it had not written down by then, it never will.
    pub(super) fn forget_lane(&mut self) {
        self.row.clear();
        (self.way, self.is_refusing) = ("", false);
        for (id, (blame, _)) in self.excused.drain() {
            self.blames.insert(id, blame);
        }
    }
}
