//! Files of other users under the whole program: what root leaves behind, and what this program may not read.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;

use crate::support::daemon::{Daemon, program, run};
use crate::support::receiver::Receiver;
use crate::support::setup::Setup;
use crate::support::snapshot::{PLAIN, SnapshotPeer};
use crate::support::{machine_shared, report, wait_until};

/// A user that is not root and owns nothing on the machine.
const SERVICE: u32 = 65_432;

/// Becomes that user.
const AS_SERVICE: &str = "set -- setpriv --reuid=65432 --regid=65432 --clear-groups \"$@\"";

const AS_ROOT: &str = "true";

const NOTICED: Duration = Duration::from_secs(30);

/// Everything below a folder, and the folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

fn give_all(folder: &Path, user: u32) {
    below(folder).iter().for_each(|path| chown(path, Some(user), Some(user)).unwrap());
}

/// A site in a folder of that user; `None` where nobody can become another user, or that user cannot run the program.
async fn site() -> Option<Setup> {
    let setup = Setup::new().with_prelude(AS_SERVICE);
    chown(setup.directory(), Some(SERVICE), Some(SERVICE)).unwrap_or_default();
    let mut version = program(&setup);
    let output = version.arg("--version").output().await;
    output.is_ok_and(|output| output.status.success()).then_some(setup)
}

async fn take(daemon: &Daemon) -> String {
    let reply = daemon.capture("r1").await.unwrap();
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()["filename"].as_str().unwrap().to_owned()
}

async fn alarms(daemon: &Daemon, code: &str) -> Vec<String> {
    let status = daemon.status().await;
    let alarms = status["alarms"].as_array().unwrap().iter().filter(|alarm| alarm["code"] == code);
    alarms.map(|alarm| alarm["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_root_made_once_the_service_goes_on_with_and_what_it_may_not_read_waits_for_itself() {
    let _machine = machine_shared().await;
    let Some(setup) = site().await else {
        return report("SKIPPED what_root_made_once: nobody can become another user; run it as root");
    };
    let camera = SnapshotPeer::start(PLAIN, "x").await;
    let mut receiver = Receiver::start().await;
    let setup = setup.with("S3_API_URL", &receiver.url()).with_snapshots(1, &camera.url());
    receiver.down().await;

    // Root starts it first and leaves nothing of its own.
    let setup = setup.with_prelude(AS_ROOT);
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    take(&daemon).await;
    daemon.terminate().await;
    run(&setup, &["--test-capture"], "").await;
    let settings = setup.write();
    let roots: Vec<_> = below(setup.directory())
        .into_iter()
        .filter(|path| *path != settings && path.symlink_metadata().unwrap().uid() != SERVICE)
        .collect();
    assert_eq!(roots, Vec::<PathBuf>::new(), "root left files of its own");
    let setup = setup.with_prelude(AS_SERVICE);
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    let denied = take(&daemon).await;

    // One picture is another user's: it alone waits.
    let path = setup.pictures()[&denied].clone();
    chown(&path, Some(0), Some(0)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let shown = daemon.send(Method::GET, &format!("/api/images/{denied}"), None).await.unwrap();
    assert_eq!(shown.status, 500, "{}", shown.text());
    assert!(shown.text().contains("chown") && !shown.text().contains("deleted"), "{}", shown.text());
    receiver.up();
    wait_until("it is said", NOTICED, async || {
        let said = alarms(&daemon, "pictures_unreadable").await;
        if said.is_empty() { Err("no alarm".to_owned()) } else { Ok(()) }
    })
    .await;
    let said = alarms(&daemon, "pictures_unreadable").await;
    assert!(said[0].contains("root (user 0)") && said[0].contains("sudo chown -R"), "{said:?}");
    let other = take(&daemon).await;
    wait_until("the others are delivered", NOTICED, async || {
        let pending = daemon.status().await["uploads"]["pending"].clone();
        if receiver.by_name().contains_key(&other) && pending == 1 {
            Ok(())
        } else {
            Err(pending.to_string())
        }
    })
    .await;
    assert_eq!(daemon.status().await["targets"][0]["online"], true, "the target is not to blame");
    chown(&path, Some(SERVICE), Some(SERVICE)).unwrap();
    daemon.wait_until_delivered(NOTICED).await;
    wait_until("the alarm is over", NOTICED, async || {
        let said = alarms(&daemon, "pictures_unreadable").await;
        if said.is_empty() { Ok(()) } else { Err(format!("{said:?}")) }
    })
    .await;
    assert_eq!(receiver.receptions().len(), 3);
    daemon.terminate().await;

    // What a start meets that root left, as older versions did.
    let database = setup.directory().join("camera-capture.db");
    let owner_of = |user: u32| format!("sudo chown -R {user}:{user} ");
    for (place, given) in [
        (setup.images(), setup.images().display().to_string()),
        (setup.images().join(".incoming"), setup.images().display().to_string()),
        (database.clone(), format!("{}*", database.display())),
    ] {
        chown(&place, Some(0), Some(0)).unwrap();
        let mode = if place.is_dir() { 0o700 } else { 0o644 };
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(mode)).unwrap();
        let output = run(&setup, &[], "").await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        for words in
            ["belongs to root (user 0)", "this program runs as user 65432", &(owner_of(SERVICE) + &given)]
        {
            assert!(said.contains(words), "{}: no {words} in {said}", place.display());
        }
        give_all(setup.directory(), SERVICE);
    }
    Daemon::start(&setup).await.terminate().await;
}
