//! Days of a lane in a moment: the real lane, policy and store on a clock that jumps to whatever comes next, with a target
//! that is well, away, full, wrong or deaf, crashes, restarts, a disk that is full for a while, a wall clock that is set,
//! and a target that is switched off.
//!
//! `SEEDS` is how many random stories are told, `SEED` repeats one, `PICTURES` is how many the week without a network
//! has. Stories of a full disk need a small tmpfs of their own, one for each thread; where none may be mounted they are
//! skipped, and say so.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tokio::time::{Instant, sleep};

use super::testing::{CAMERAS, Disk, Mood, Tally, World, run};
use crate::clock;
use crate::store::testing::report;

/// A picture is live for so long, and goes before the backlog.
const LIVE_MS: i64 = 10 * 60 * 1000;

async fn step(world: &mut World<'_>, random: &mut Rng) -> String {
    match random.u32(0..112) {
        0..40 => {
            let (key, is_bad) = (CAMERAS[random.usize(..3)], random.u32(0..20) == 0);
            // A page for the picture, and few or none for the log of the database.
            let surge = (world.has_disk() && random.u32(0..15) == 0).then(|| random.u64(0..12) * 4096);
            let outcome = world.capture(key, is_bad, surge).await;
            let told = if is_bad { ", which is refused" } else { "" };
            format!("capture {key}{told}, surge {surge:?}: {outcome}")
        }
        40..65 => {
            // Rarely the longest: in it nothing happens for hours, which costs most and shows least.
            let most = [1, 1, 60, 60, 60, 3600, 3600, 3600, 30_000][random.usize(..9)];
            let time = Duration::from_secs(random.u64(0..=most)) + Duration::from_millis(7);
            world.wait(time).await;
            format!("wait {time:?}")
        }
        65..83 => {
            let moods = [
                Mood::Well,
                Mood::Away,
                Mood::Breaks,
                Mood::TakesSilently,
                Mood::Busy,
                Mood::Misconfigured,
                Mood::Refuses { is_final: true },
                Mood::Refuses { is_final: false },
                Mood::Hangs,
            ];
            let mood = moods[random.usize(..moods.len())];
            world.set_mood(mood);
            format!("the target: {mood:?}")
        }
        83..88 => {
            world.restart(true).await;
            "crash".to_owned()
        }
        88..91 => {
            world.restart(false).await;
            "restart".to_owned()
        }
        91..94 => {
            let by_ms = random.i64(-7_200_000..=7_200_000) * if random.bool() { 1 } else { 5_000 };
            world.set_clock(by_ms);
            format!("the clock is set by {by_ms} ms")
        }
        94..97 => format!("the target is switched {}", if world.switch().await { "on" } else { "off" }),
        97..100 => {
            let before = clock::now().plus_ms(-random.i64(0..100_000_000));
            world.clean(before).await;
            "clean".to_owned()
        }
        100..103 => {
            let leave = [0, 0, 100_000, 400_000][random.usize(..4)];
            world.fill(leave);
            format!("all of the disk but {leave} bytes is taken")
        }
        103..105 => {
            world.tend().await;
            "a look at the disk".to_owned()
        }
        _ => {
            world.relieve().await;
            "the disk has room again".to_owned()
        }
    }
}

/// One story. What was told of it lies in `told`.
fn tell(seed: u64, disk: Option<&Disk>, told: &Mutex<Vec<String>>, tally: &Mutex<Tally>) {
    // The lane draws its waits from here.
    fastrand::seed(seed);
    run(async {
        let mut random = Rng::with_seed(seed);
        let mut world = World::new(random.usize(1..=4), disk);
        world.tend().await;
        for _ in 0..random.usize(20..100) {
            let step = step(&mut world, &mut random).await;
            told.lock().unwrap().push(step);
            world.tally.steps += 1;
            if random.u32(0..6) == 0 {
                world.assert_promises_are_kept().await;
            }
        }
        world.assert_all_heals().await;
        tally.lock().unwrap().add(world.tally);
    });
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Tells stories on as many threads as there are cores: each has its own clock, disk and random numbers.
fn tell_all(seeds: std::ops::Range<u64>, test: &str, is_on_small_disk: bool) -> Tally {
    let (next, tally, failed) = (AtomicU64::new(seeds.start), Mutex::default(), Mutex::new(None));
    let began = std::time::Instant::now();
    let work = || {
        let folder = tempfile::tempdir().unwrap();
        let disk = if is_on_small_disk { Disk::mount(folder.path(), test) } else { None };
        if is_on_small_disk && disk.is_none() {
            return;
        }
        while failed.lock().unwrap().is_none() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let told = Mutex::default();
            if catch_unwind(AssertUnwindSafe(|| tell(seed, disk.as_ref(), &told, &tally))).is_err() {
                let told = told.into_inner().unwrap_or_else(PoisonError::into_inner);
                *failed.lock().unwrap() = Some(format!("SEED={seed}: {told:#?}"));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    if let Some(story) = failed.into_inner().unwrap() {
        panic!("{story}");
    }
    let tally: Tally = tally.into_inner().unwrap();
    report(&format!("{} stories in {:.1?}: {tally:?}", seeds.end - seeds.start, began.elapsed()));
    tally
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    match std::env::var("SEED") {
        Ok(seed) => {
            let seed = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) => 0..number("SEEDS", default),
    }
}

#[test]
fn whatever_happens_every_picture_stays_arrives_and_is_never_held_to_blame_for_its_target() {
    tell_all(seeds(60), "whatever_happens", false);
}

#[test]
fn on_a_disk_that_is_full_now_and_then_every_edge_is_a_picture_or_explained_and_all_heals() {
    tell_all(seeds(40), "on_a_disk_that_is_full", true);
}

/// A picture every few seconds for a week, and nobody answers; then the network is back.
#[test]
fn a_week_without_a_network_is_made_up_for_and_new_pictures_do_not_wait_for_it() {
    let pictures = number("PICTURES", 400);
    run(async {
        let started = std::time::Instant::now();
        let mut world = World::new(1, None);
        world.set_mood(Mood::Away);
        let between = Duration::from_secs(7 * 24 * 60 * 60) / u32::try_from(pictures).unwrap();
        let mut taken_at = Vec::new();
        for i in 0..pictures {
            taken_at.push(clock::now());
            world.capture(CAMERAS[usize::try_from(i % 3).unwrap()], false, None).await;
            sleep(between).await;
        }
        let waiting = |world: &World<'_>| {
            let taken = world.server.lock().unwrap().taken.len();
            world.promises.len() - taken
        };
        assert_eq!(waiting(&world) as u64, pictures, "nobody was there");
        report(&format!("{pictures} pictures taken in {:.1?}, {}", started.elapsed(), memory()));
        world.set_mood(Mood::Well);
        let (began, back_at) = (Instant::now(), clock::now());
        // While the backlog drains, a car comes every ten seconds.
        let (mut live, mut slowest) = (0, 0);
        while waiting(&world) > 0 && live < 200 {
            let at = clock::now();
            world.capture("r1", false, None).await;
            let id = world.promises.last().unwrap().id;
            sleep(Duration::from_secs(10)).await;
            // The first ones also wait for the end of the pause that the absence had led to, and behind one another.
            if let (true, Some((_, _, taken))) = (live > 6, world.server.lock().unwrap().taken.get(&id)) {
                slowest = slowest.max(taken.0 - at.0);
            } else {
                assert!(live <= 6, "a new picture waits more than 10 s");
            }
            live += 1;
        }
        while waiting(&world) > 0 {
            sleep(Duration::from_secs(60)).await;
        }
        let took = began.elapsed();
        // From the first to the last, for the first one waits for the end of a pause.
        let (first, last) = {
            let server = world.server.lock().unwrap();
            let times = || server.taken.values().map(|(_, _, at)| at.0);
            (times().min().unwrap(), times().max().unwrap())
        };
        let per_picture = (last - first) / i64::try_from(world.promises.len()).unwrap();
        // One is under way when a new one comes.
        assert!(slowest <= 2 * 300 + 50, "{slowest} ms");
        assert!(per_picture <= 310, "{per_picture} ms");
        {
            // Of each camera the oldest went first, apart from those that were live when the network came back.
            let server = world.server.lock().unwrap();
            for key in CAMERAS {
                let backlog = world.promises.iter().zip(&taken_at).filter(|(promise, at)| {
                    promise.name.camera().unwrap().as_str() == key && back_at.0 - at.0 > LIVE_MS + 60_000
                });
                let times: Vec<_> = backlog.map(|(promise, _)| server.taken[&promise.id].2).collect();
                assert!(times.is_sorted(), "{key}");
            }
            assert_eq!(server.again, 0);
        }
        report(&format!(
            "{pictures} pictures of a week and {live} new ones: {took:?} to drain, a new one within {slowest} ms; \
             {:.1?} in all, {}",
            started.elapsed(),
            memory()
        ));
        world.assert_all_heals().await;
    });
}

/// What the process takes and took at most, by the kernel.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}
