//! The process dies at each step of delivering, of putting aside and of owing again, and a next one delivers the rest to
//! a target that is well: everything, byte for byte, each picture under one identity.
//!
//! A deed is done to its end first; that tells which steps it has. Then, each time on a place of its own, the process
//! dies at one of them.

#[path = "crash_far.rs"]
mod far;
#[path = "crash_world.rs"]
mod world;

use std::collections::BTreeSet;

use tokio::time::timeout;

use self::far::Far;
use self::world::{Before, CONFIG, LIMIT, Life, OUTCOMES, STORY, Story, World, parsed};
use crate::clock;
use crate::daemon::owed_to;
use crate::demo::ReceiverFault;
use crate::store::{Doubtful, ImageQuery};
use crate::system::crash::testing::{Step, assigned, points, telling};

/// Every point that the deeds below pass.
pub(crate) const POINTS: &[&str] = &[
    "aligned",
    "aligned one",
    "answer begun",
    "answered",
    "claimed",
    "landed",
    "owed again",
    "owing again",
    "read",
    "revived",
    "reviving",
    "sending",
    "settled",
    "settled one",
    "waking",
    "woken",
];

/// What an attempt passes, from the claim to the disk.
const ATTEMPT: &[&str] =
    &["claimed", "read", "sending", "answer begun", "answered", "landed", "settled one", "settled"];

/// 1970-01-01T00:01:40Z: a clock that has not been set.
const DAWN: i64 = 100_000;

const S3_KEY: &[(&str, &str)] = &[("UPLOAD_QUEUE_SIZE", "1"), ("S3_KEY", "{year}/{month}/{day}/{id}.jpg")];

/// The other process: this same test program, started by [`World::deed`].
#[tokio::test]
async fn the_process_that_dies() {
    let Some((place, deed)) = assigned() else { return };
    let config = parsed(&std::env::var(CONFIG).unwrap());
    let mut life = Life::begin(&place, &config);
    match deed.as_str() {
        "deliver" => {
            life.deliver();
            life.outcomes(std::env::var(OUTCOMES).unwrap().parse().unwrap()).await;
            life.end().await;
        }
        "switch on" | "switch off" => {
            life.store.reconcile().await.unwrap();
        }
        "owe again" => {
            let all = life.store.images(ImageQuery { limit: 500, ..ImageQuery::default() }).await.unwrap();
            for image in all.items {
                life.store.retry(&image.filename).await.unwrap();
            }
        }
        "owe all again" => {
            life.store.retry_dead(None).await.unwrap();
        }
        other => panic!("{other}"),
    }
}

/// Lets a process die at each step of `story`, and asserts that the next one makes up for it. `expected` are the points
/// that the story has.
async fn die_everywhere(story: &Story, expected: &[&str]) {
    let world = World::of(story).await;
    let steps = until_done(world.deed(story).steps(), story.outcomes);
    assert_eq!(points(&steps), expected.iter().copied().collect(), "the points of this story");
    world.assert_everything_arrives("without a death").await;
    let steps = if story.is_side_by_side() { first(&steps) } else { telling(&steps) };
    eprintln!("{}, before: {:?}, fault: {:?}: {} deaths", story.deed, story.before, story.fault, steps.len());
    for step in steps {
        let world = World::of(story).await;
        world.deed(story).dies_at(&step);
        world.assert_everything_arrives(&format!("{} died at {step}", story.deed)).await;
    }
}

/// What follows the last outcome that was waited for is chance.
fn until_done(mut steps: Vec<Step>, outcomes: usize) -> Vec<Step> {
    let last = Step { time: outcomes, ..Step::first("settled one") };
    if let Some(at) = steps.iter().position(|step| *step == last) {
        let settled = steps[at..].iter().position(|step| step.point == "settled").unwrap();
        steps.truncate(at + settled + 1);
    }
    steps
}

/// Deliveries side by side pass the same points each time, but not equally often before something else happens.
fn first(steps: &[Step]) -> Vec<Step> {
    steps.iter().filter(|step| step.time == 1).cloned().collect()
}

fn with(more: &[&'static str]) -> Vec<&'static str> {
    [ATTEMPT, more].concat()
}

fn refusal(count: usize, status: u16) -> Option<(usize, ReceiverFault)> {
    Some((count, ReceiverFault::status(status)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_at_any_step_of_a_delivery_loses_nothing_and_doubles_no_identity() {
    die_everywhere(&STORY, ATTEMPT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_at_any_step_of_deliveries_side_by_side_loses_nothing_and_doubles_no_identity() {
    let config = &[("UPLOAD_PARALLEL", "3")];
    die_everywhere(&Story { config, pictures: 6, outcomes: 6, again: 6, ..STORY }, ATTEMPT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_before_during_or_after_the_note_of_a_failed_attempt_loses_nothing() {
    let busy = ReceiverFault::Answer {
        status: 503,
        headers: vec![("Retry-After".to_owned(), "3600".to_owned())],
        body: String::new(),
    };
    let one = Story { pictures: 1, outcomes: 1, again: 0, ..STORY };
    die_everywhere(&Story { fault: Some((1, busy)), ..one }, ATTEMPT).await;
    die_everywhere(&Story { fault: refusal(1, 400), ..one }, ATTEMPT).await;
    let unanswered: Vec<_> = with(&[]).into_iter().filter(|point| !point.starts_with("answer")).collect();
    let fault = Some((1, ReceiverFault::CloseUnanswered));
    die_everywhere(&Story { fault, again: 1, ..one }, &unanswered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_while_pictures_are_put_aside_or_excused_forgets_none() {
    die_everywhere(&Story { fault: refusal(2, 415), again: 0, ..STORY }, ATTEMPT).await;
    // The fifth refusal in a row takes the blame from the four before.
    let fault = refusal(5, 415);
    die_everywhere(&Story { pictures: 5, fault, outcomes: 9, again: 0, ..STORY }, ATTEMPT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_while_a_missing_file_is_noted_gives_up_no_picture_that_comes_back() {
    die_everywhere(&Story { before: Before::Away, ..STORY }, ATTEMPT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_while_waits_are_ended_loses_nothing() {
    die_everywhere(&Story { before: Before::Waiting, ..STORY }, &with(&["waking", "woken"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_while_dead_letters_are_owed_again_forgets_none() {
    let dead = Story { before: Before::Dead, pictures: 3, again: 0, ..STORY };
    die_everywhere(&Story { deed: "owe again", ..dead.clone() }, &["owing again", "owed again"]).await;
    die_everywhere(&Story { deed: "owe all again", ..dead.clone() }, &["reviving", "revived"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_while_a_target_is_switched_on_or_off_loses_nothing() {
    let points = ["aligned one", "aligned"];
    let still = Story { again: 0, ..STORY };
    die_everywhere(&Story { deed: "switch on", before: Before::Skipped, ..still.clone() }, &points).await;
    die_everywhere(&Story { deed: "switch off", ..still.clone() }, &points).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_while_the_target_has_the_picture_and_has_not_answered_sends_it_again_under_its_identity() {
    let fault = Some((1, ReceiverFault::HoldUnanswered));
    let story = Story { pictures: 1, fault, ..STORY };
    let world = World::of(&story).await;
    let mut process = world.deed(&story).start();
    let Far::Api { receiver, .. } = &world.far else { panic!("the target is the API") };
    timeout(LIMIT, receiver.wait_for(1)).await.expect("the picture arrives");
    process.kill().unwrap();
    process.wait().unwrap();
    world.assert_everything_arrives("killed while the target was silent").await;
    assert_eq!(world.far.arrivals().into_values().collect::<Vec<_>>(), [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_keeps_its_key_through_a_death_and_a_clock_that_is_set_after_it() {
    let story = Story { from: DAWN, config: S3_KEY, ..STORY };
    let world = async || Some(World::with(&story, Far::s3().await?).await);
    let Some(first) = world().await else { return };
    let steps = until_done(first.deed(&story).steps(), story.outcomes);
    assert_eq!(points(&steps), ATTEMPT.iter().copied().collect());
    first.assert_everything_arrives("without a death").await;
    for step in telling(&steps) {
        let world = world().await.unwrap();
        world.deed(&story).dies_at(&step);
        let store = world.place.open_owing(&owed_to(&world.config(true)));
        let moved = store.upkeep().correct_times(clock::offset_ms(), Doubtful::All).await.unwrap();
        assert_eq!(moved, 2, "what was taken in 1970 has its time");
        drop(store);
        world.assert_everything_arrives(&format!("died at {step}")).await;
    }
}

#[test]
fn the_points_above_are_all_that_the_stories_pass() {
    let waits = ["waking", "woken"];
    let again = ["owing again", "owed again", "reviving", "revived", "aligned one", "aligned"];
    let passed: BTreeSet<_> = [ATTEMPT, &waits, &again].concat().into_iter().collect();
    assert_eq!(passed.into_iter().collect::<Vec<_>>(), POINTS);
}
