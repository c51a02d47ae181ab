//! Processes that do one deed of a test and die in the midst of it. A deed that is done to its end says which points it
//! passed, so that a test can let another process die at each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

/// Where the other process works, and what it does there.
const PLACE: &str = "CAMERA_CAPTURE_CRASH_PLACE";
const DEED: &str = "CAMERA_CAPTURE_CRASH_DEED";

/// Where the other process dies, such as `3 settled` for the third time it comes to the point `settled`.
const DIE_AT: &str = "CAMERA_CAPTURE_CRASH_AT";

/// The file in which the other process notes the points that it passes.
const NOTES: &str = "CAMERA_CAPTURE_CRASH_NOTES";

/// Signal number of abort(3).
const SIGABRT: i32 = 6;

/// How often each point has been passed, in a process that shall die or take notes.
static PASSED: Mutex<BTreeMap<&str, usize>> = Mutex::new(BTreeMap::new());

/// A point, and which time it is come to, from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Step {
    pub(crate) point: String,
    pub(crate) time: usize,
}

impl Step {
    /// The first time at a point.
    pub(crate) fn first(point: &str) -> Self {
        Self { point: point.to_owned(), time: 1 }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.time, self.point)
    }
}

/// What [`super::point`] does in tests.
pub(super) fn pass(point: &'static str) {
    let (wanted, notes) = (std::env::var_os(DIE_AT), std::env::var_os(NOTES));
    if wanted.is_none() && notes.is_none() {
        return;
    }
    let time = {
        let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
        let time = passed.entry(point).or_default();
        *time += 1;
        *time
    };
    if wanted.is_some_and(|wanted| wanted == Step { point: point.to_owned(), time }.to_string().as_str()) {
        std::process::abort();
    }
    if let Some(notes) = notes {
        let mut notes = OpenOptions::new().append(true).open(notes).unwrap();
        notes.write_all(format!("{time} {point}\n").as_bytes()).unwrap();
    }
}

/// What the process was started for by [`Deed`]; `None` in the process of the tests.
pub(crate) fn assigned() -> Option<(PathBuf, String)> {
    Some((std::env::var_os(PLACE)?.into(), std::env::var(DEED).ok()?))
}

/// One deed, to be done by another process: this same test program, of which it runs one test alone.
pub(crate) struct Deed {
    command: Command,
    what: String,
}

impl Deed {
    /// `deed` as the test `test` does it when it finds itself assigned to it.
    pub(crate) fn new(test: &str, place: &Path, deed: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture"]).env(PLACE, place).env(DEED, deed);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, what: deed.to_owned() }
    }

    /// Tells the process something more.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Lets it be done to the end. The steps that were passed, in order.
    pub(crate) fn steps(mut self) -> Vec<Step> {
        let notes = tempfile::NamedTempFile::new().unwrap();
        let output = self.command.env(NOTES, notes.path()).output().unwrap();
        assert!(output.status.success(), "{}: {}", self.what, said(&output));
        let noted = std::fs::read_to_string(notes.path()).unwrap();
        let step = |line: &str| {
            let (time, point) = line.split_once(' ').unwrap();
            Step { point: point.to_owned(), time: time.parse().unwrap() }
        };
        noted.lines().map(step).collect()
    }

    /// Lets the process die at `step`.
    pub(crate) fn dies_at(mut self, step: &Step) {
        let output = self.command.env(DIE_AT, step.to_string()).output().unwrap();
        let (signal, what) = (output.status.signal(), &self.what);
        assert_eq!(signal, Some(SIGABRT), "{what} at {step}: {}", said(&output));
    }

    /// Begins it, and leaves the end to the test.
    pub(crate) fn start(mut self) -> Child {
        self.command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// The points among some steps.
pub(crate) fn points(steps: &[Step]) -> BTreeSet<&str> {
    steps.iter().map(|step| step.point.as_str()).collect()
}

/// Of each point the first, the second and the last time.
pub(crate) fn telling(steps: &[Step]) -> Vec<Step> {
    let last = |point: &str| steps.iter().filter(|step| step.point == point).map(|step| step.time).max();
    steps.iter().filter(|step| step.time <= 2 || Some(step.time) == last(&step.point)).cloned().collect()
}

/// Every point in the sources, in order of their names.
fn points_of_the_sources(folder: &Path, found: &mut BTreeSet<String>) {
    const CALL: &str = concat!("crash::", "point(");
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            points_of_the_sources(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&entry).unwrap();
            for (at, _) in text.match_indices(CALL) {
                let name = text[at + CALL.len()..].strip_prefix('"').and_then(|rest| rest.split('"').next());
                let name =
                    name.unwrap_or_else(|| panic!("a point without a plain name in {}", entry.display()));
                found.insert(name.to_owned());
            }
        }
    }
}

#[test]
fn every_point_in_the_sources_is_one_at_which_a_test_lets_the_process_die() {
    let mut found = BTreeSet::new();
    points_of_the_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    // These lists are compared with what the deeds really pass, beside the deeds.
    let listed = crate::store::CRASH_POINTS.iter().chain(crate::upload::CRASH_POINTS);
    let listed: BTreeSet<String> = listed.map(|point| (*point).to_owned()).collect();
    assert_eq!(found, listed, "points in the sources, and points that are enumerated");
}
