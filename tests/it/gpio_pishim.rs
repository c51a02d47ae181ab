//! The contacts' real back ends, rppal and the character device, on a Raspberry Pi that a preloaded library plays
//! (`tests/it/support/pishim.c`).
//!
//! Each test starts this test program once more with the library preloaded; there [`child`] opens the lines, watches
//! them and writes what it sees to its standard output. Edges are injected with time stamps in the past, so nothing
//! has to wait for a contact to bounce.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "the whole file is test code")]

#[path = "support/pishim.rs"]
pub(crate) mod pishim;

use std::io::Read;
use std::time::Duration;

use camera_capture::config::{ActiveLevel, GpioBackend, GpioConfig};
use camera_capture::gpio;
use camera_capture::model::CameraKey;
use camera_capture::trigger::watcher::{Contacts, LineEvent, Watcher};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;

use pishim::{Board, LEVELS, RESISTORS};

/// Names the back end, and makes [`child`] do anything at all.
const CHILD: &str = "PISHIM_CHILD";
const CHIP: &str = "PISHIM_CHIP";
const ACTIVE_HIGH: &str = "PISHIM_ACTIVE_HIGH";

/// How far two conversions between clocks may be apart on a busy machine; the injected edges are seconds old.
const SLACK_NS: i64 = 500_000_000;

// --- the program under test -----------------------------------------------------------------------------------------

/// Not a test of its own: what the other tests start.
#[test]
fn child() {
    let Ok(backend) = std::env::var(CHILD) else { return };
    println!();
    if let Err(error) = watch(&backend) {
        println!("ERROR {error}");
    }
    println!("END");
}

fn watch(backend: &str) -> Result<(), gpio::GpioError> {
    let config = GpioConfig {
        enabled: true,
        trigger_enabled: true,
        backend: match backend {
            "rppal" => GpioBackend::Rppal,
            "cdev" => GpioBackend::Cdev,
            _ => GpioBackend::Auto,
        },
        active: if std::env::var_os(ACTIVE_HIGH).is_some() { ActiveLevel::High } else { ActiveLevel::Low },
        bounce: Duration::from_millis(300),
        chip: std::env::var(CHIP).ok(),
    };
    let key = |text| CameraKey::parse(text).unwrap();
    let contacts = Contacts::new(&[(18, key("r1")), (19, key("r2")), (20, key("r3"))]);
    // Lines must be free again when they are dropped, or nothing could recover from an error.
    drop(gpio::open(&config, &contacts.pins())?);
    let opened = gpio::open(&config, &contacts.pins())?;
    let watcher = Watcher::new(opened.source, &config, &contacts)?;
    println!("READY {}", watcher.backend());
    let stop = CancellationToken::new();
    std::thread::spawn({
        let stop = stop.clone();
        move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            stop.cancel();
        }
    });
    watcher.run(&stop, |event| match event {
        LineEvent::Edge { pin, level, verdict, .. } => println!("EDGE {pin} {level} {}", verdict.as_str()),
        LineEvent::Fired { pin, camera, at } => {
            let age = i64::try_from(at.elapsed().as_nanos()).unwrap();
            println!("FIRED {pin} {camera} {}", monotonic_ns() - age);
        }
        LineEvent::Ignored { pin, reason, .. } => println!("IGNORED {pin} {reason:?}"),
        LineEvent::Level { pin, level, .. } => println!("LEVEL {pin} {level}"),
    })
}

fn monotonic_ns() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

// --- claims ---------------------------------------------------------------------------------------------------------

fn fired(said: &[String]) -> Vec<i64> {
    let stamp = |line: &String| line.strip_prefix("FIRED 18 r1 ").map(|stamp| stamp.parse().unwrap());
    said.iter().filter_map(stamp).collect()
}

/// Plays edges on line 18 of the rppal back end and returns the stamps of its triggers.
fn triggers_of(commands: &str) -> Option<Vec<i64>> {
    let board = Board::new();
    let mut program = board.start("rppal")?;
    program.until("READY rppal");
    let said = program.play(commands);
    program.stop();
    Some(fired(&said))
}

#[test]
fn pull_ups_are_on_while_running_and_off_afterwards() {
    let board = Board::new();
    let Some(mut program) = board.start("rppal") else { return };
    program.until("READY rppal");
    assert_eq!(board.resistors(), 0b01_01_01 << 4);
    program.stop();
    assert_eq!(board.resistors(), 0);
}

#[test]
fn contacts_to_the_supply_get_pull_downs() {
    let board = Board::new().with(ACTIVE_HIGH, "1");
    let Some(mut program) = board.start("rppal") else { return };
    program.until("READY rppal");
    assert_eq!(board.resistors(), 0b10_10_10 << 4);
}

#[test]
fn a_closing_contact_fires_once_with_the_kernels_time_stamp() {
    let before = monotonic_ns();
    let Some(fired) = triggers_of("18 0 2000000") else { return };
    let [at] = fired[..] else { panic!("{fired:?}") };
    assert!(before - SLACK_NS < at + 2_000_000_000, "not that long ago");
    assert!(at + 2_000_000_000 < monotonic_ns() + SLACK_NS, "as of the reading, not of the edge");
}

#[test]
fn a_bouncing_contact_fires_once_with_the_stamp_of_its_first_edge() {
    let Some(fired) = triggers_of("18 0 3000000;18 1 2999000;18 0 2998000;18 1 2996500;18 0 2995000") else {
        return;
    };
    assert_eq!(fired.len(), 1);
    assert!(fired[0] + 3_000_000_000 < monotonic_ns() + SLACK_NS);
}

#[test]
fn the_bounce_of_a_contact_that_opens_after_5_s_does_not_fire() {
    let held = "18 0 6000000";
    let let_go = "18 1 1000000;18 0 998000;18 1 996000;18 0 990000;18 1 984000";
    let Some(fired) = triggers_of(&format!("{held};{let_go}")) else { return };
    assert_eq!(fired.len(), 1);
    assert!(fired[0] + 6_000_000_000 < monotonic_ns() + SLACK_NS);
}

#[test]
fn a_press_of_20_ms_is_not_swallowed() {
    let Some(fired) = triggers_of("18 0 500000;18 1 480000") else { return };
    assert_eq!(fired.len(), 1);
}

#[test]
fn a_spike_of_2_ms_does_not_fire() {
    let Some(fired) = triggers_of("18 0 500000;18 1 498000") else { return };
    assert!(fired.is_empty(), "{fired:?}");
}

#[test]
fn a_hundred_presses_are_a_hundred_triggers() {
    let presses: Vec<String> = (0..100)
        .map(|n| 50_000_000 - 400_000 * n)
        .map(|age| format!("18 0 {age};18 1 {}", age - 100_000))
        .collect();
    let Some(fired) = triggers_of(&presses.join(";")) else { return };
    assert_eq!(fired.len(), 100);
}

#[test]
fn a_busy_line_is_an_error_that_names_it_and_its_holder_and_leaves_it_alone() {
    for backend in ["rppal", "auto", "cdev"] {
        let board = Board::new().with("PISHIM_BUSY", "19:w1");
        let mut registers = board.read("gpiomem");
        let pull_down_of_19 = 0b10_u8 << 6;
        registers[RESISTORS] = pull_down_of_19;
        board.write("gpiomem", &registers);
        let Some(mut program) = board.start(backend) else { return };
        let said = program.until("ERROR").pop().unwrap();
        assert!(said.starts_with("ERROR line 19 is held by 'w1'; "), "{backend}: {said}");
        program.stop();
        assert_eq!(board.resistors(), u32::from(pull_down_of_19), "{backend}");
    }
}

#[test]
fn a_stopped_and_continued_process_still_hears() {
    for backend in ["rppal", "cdev"] {
        let board = Board::new();
        let Some(mut program) = board.start(backend) else { return };
        program.until("READY");
        let pid = Pid::from_child(&program.child);
        for _ in 0..5 {
            kill_process(pid, Signal::STOP).unwrap();
            waitpid(Some(pid), WaitOptions::UNTRACED).unwrap();
            kill_process(pid, Signal::CONT).unwrap();
        }
        program.drive("18 0");
        program.until("FIRED 18 r1");
        program.stop();
    }
}

#[test]
fn the_kernel_is_asked_for_both_edges_and_not_for_its_debounce() {
    // The pretended kernel refuses every request with an attribute, as a debounce period would be.
    const INPUT_AND_BOTH_EDGES: &str = "flags=0x34";
    let board = Board::new();
    let Some(mut program) = board.start("rppal") else { return };
    program.until("READY rppal");
    let log = String::from_utf8(board.read("log")).unwrap();
    let last: Vec<&str> = log.lines().rev().take(3).collect();
    assert_eq!(last.len(), 3);
    assert!(last.iter().all(|line| line.contains(INPUT_AND_BOTH_EDGES)), "{log}");
}

#[test]
fn another_board_is_refused_by_rppal_and_served_by_the_character_device() {
    let board = Board::new().with("PISHIM_LABEL", "pinctrl-sun50i");
    board.write("compatible", b"allwinner,sun50i-h6\0");
    let Some(mut program) = board.start("rppal") else { return };
    let said = program.until("ERROR").pop().unwrap();
    assert!(said.starts_with("ERROR this is not a Raspberry Pi that rppal knows; "), "{said}");
    program.stop();
    std::fs::remove_file(board.dir.path().join("ctl")).unwrap();
    let mut program = board.start("auto").unwrap();
    program.until("READY cdev");
    assert_eq!(fired(&program.play("18 0 500000;18 1 480000")).len(), 1);
}

#[test]
fn the_character_device_pulls_up_and_keeps_the_kernels_time_stamp() {
    const INPUT_BOTH_EDGES_AND_PULL_UP: &str = "flags=0x134 consumer=camera-capture";
    let board = Board::new();
    let Some(mut program) = board.start("cdev") else { return };
    program.until("READY cdev");
    let log = String::from_utf8(board.read("log")).unwrap();
    assert!(log.lines().all(|line| line.ends_with(INPUT_BOTH_EDGES_AND_PULL_UP)), "{log}");
    let before = monotonic_ns();
    let fired = fired(&program.play("18 0 2000000;19 0 1000000;18 1 900000"));
    let [at] = fired[..] else { panic!("{fired:?}") };
    let injected_at = at + 2_000_000_000;
    assert!(before - SLACK_NS < injected_at && injected_at < monotonic_ns() + SLACK_NS);
}

#[test]
fn a_chip_is_found_by_path_name_number_and_label() {
    for chip in ["/dev/gpiochip0", "gpiochip0", "0", "pinctrl-bcm2711"] {
        let board = Board::new().with(CHIP, chip);
        let Some(mut program) = board.start("auto") else { return };
        program.until("READY cdev");
    }
    let board = Board::new().with(CHIP, "pinctrl-rp1");
    let Some(mut program) = board.start("cdev") else { return };
    let said = program.until("ERROR").pop().unwrap();
    assert!(said.contains("no GPIO chip 'pinctrl-rp1'; found /dev/gpiochip0 (pinctrl-bcm2711)"), "{said}");
}

#[test]
fn a_contact_closed_at_the_start_fires_only_after_it_has_opened() {
    let board = Board::new();
    let mut registers = board.read("gpiomem");
    registers[LEVELS + 2] &= !(1 << 2);
    board.write("gpiomem", &registers);
    let Some(mut program) = board.start("rppal") else { return };
    program.until("READY rppal");
    let said = program.play("18 1 3000000;18 0 2000000");
    assert_eq!(fired(&said).len(), 1, "{said:#?}");
    assert!(said.contains(&"EDGE 18 high opening".to_owned()), "{said:#?}");
}
