//! The ESP32-CAM's own code, built for this machine, pushes to the whole program.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use tokio::process::Command;

use super::devices::picture;
use crate::support::daemon::Daemon;
use crate::support::setup::Setup;
use crate::support::{machine_shared, report};

const TOKEN: &str = "0123456789abcdef-gate";

/// Builds what pushes a picture; `None`, said aloud, without a compiler.
async fn build(folder: &Path) -> Option<PathBuf> {
    let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware/esp32-cam");
    let program = folder.join("push");
    let mut command = Command::new("g++");
    command.args(["-std=c++17", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]).arg(&program);
    command.arg(firmware.join("host/push.cpp"));
    let logic = std::fs::read_dir(firmware.join("src/logic")).unwrap().map(|entry| entry.unwrap().path());
    command.args(logic.filter(|path| path.extension().is_some_and(|ending| ending == "cpp")));
    match command.output().await {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(program)
        }
        Err(error) => {
            let advice = format!("the firmware is not built (g++: {error}); install the package g++");
            assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "{advice}");
            report(&format!("SKIPPED {advice}"));
            None
        }
    }
}

/// Pushes a picture as the board does: its number within the series of this installation is the board's.
async fn push(
    program: &Path,
    daemon: &Daemon,
    token: &str,
    file: &Path,
    number: u32,
) -> (ExitStatus, String) {
    let (host, port) = daemon.address().trim_start_matches("http://").split_once(':').unwrap();
    let mut command = Command::new(program);
    command.args([host, port, token]).arg(file).args(["5f3a9c01", &number.to_string()]);
    let output = command.output().await.unwrap();
    (output.status, String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// S1.11, S3.5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_firmwares_own_bytes_are_a_picture_and_sent_again_after_a_reboot_no_second_one() {
    let _machine = machine_shared().await;
    let setup = Setup::new().with("INGEST_1_NAME", "gate").with("INGEST_1_TOKEN", TOKEN);
    let Some(program) = build(setup.directory()).await else { return };
    let file = setup.directory().join("frame");
    // Drivers pad what the camera gave.
    std::fs::write(&file, [picture(3), vec![0; 100]].concat()).unwrap();
    let daemon = Daemon::start(&setup).await;

    let (status, said) = push(&program, &daemon, "another-token-of-nobody", &file, 124).await;
    assert_eq!((status.code(), said.as_str()), (Some(1), "refused: token after 1 attempts"));
    assert!(daemon.images().await.is_empty());
    // The answer was lost with the power: the board sends it again under its number, or, if that was lost, under another.
    for number in [124, 124, 125] {
        let (status, said) = push(&program, &daemon, TOKEN, &file, number).await;
        assert_eq!((status.code(), said.as_str()), (Some(0), "stored after 1 attempts"), "{number}");
    }
    let images = daemon.images().await;
    assert_eq!(images.len(), 1, "{images:?}");
    let image = &images[0];
    assert_eq!((&image["cause"], &image["device"]), (&"push".into(), &"gate".into()), "{image}");
    assert_eq!(image["own_name"], "gate_5f3a9c01_000124.jpg");
    let events = daemon.events().await;
    assert_eq!(events.iter().filter(|event| event["outcome"] == "captured").count(), 1, "{events:?}");
}
