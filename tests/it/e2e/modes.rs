//! Who may read what the program writes: nobody but its owner and its group, also under an umask that takes nothing away.

use std::os::unix::fs::PermissionsExt;

use camera_capture::demo::{RtspServer, StreamConfig};
use tokio_util::sync::CancellationToken;

use crate::support::daemon::{Daemon, run};
use crate::support::machine_shared;
use crate::support::setup::Setup;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_and_files_are_closed_to_others_whatever_the_umask() {
    let _machine = machine_shared().await;
    let stream = StreamConfig { width: 320, height: 180, ..StreamConfig::new("/r1", "Entry", 200) };
    let server = RtspServer::bind("127.0.0.1:0".parse().unwrap(), vec![stream], None).await.unwrap();
    let (camera, stop) = (server.local_addr(), CancellationToken::new());
    let serving = tokio::spawn(server.run(stop.clone()));
    let setup = Setup::new().with_camera(1, &format!("rtsp://{camera}/r1")).with_prelude("umask 000");
    let database = setup.directory().join("database/of/its/own/camera-capture.db");
    let setup = setup.with("DATABASE_PATH", &database.display().to_string());
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    assert_eq!(daemon.capture("r1").await.unwrap().status, 201);
    let test = run(&setup, &["--test-capture"], "").await;
    assert_eq!(test.status.code(), Some(0), "{test:?}");
    daemon.terminate().await;

    let mut modes = Vec::new();
    let mut folders = vec![setup.images(), setup.directory().join("database")];
    while let Some(folder) = folders.pop() {
        modes.push((folder.clone(), std::fs::metadata(&folder).unwrap(), 0o750_u32));
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            match entry.metadata().unwrap() {
                facts if facts.is_dir() => folders.push(entry.path()),
                facts => modes.push((entry.path(), facts, 0o640)),
            }
        }
    }
    assert!(modes.len() > 10, "{modes:?}");
    let open: Vec<String> = modes
        .iter()
        .map(|(path, facts, most)| (path, facts.permissions().mode() & 0o7777, most))
        .filter(|(_, mode, most)| *mode & !**most != 0)
        .map(|(path, mode, _)| format!("{mode:o} {}", path.display()))
        .collect();
    assert!(open.is_empty(), "{open:#?}");
    stop.cancel();
    serving.await.unwrap();
}
