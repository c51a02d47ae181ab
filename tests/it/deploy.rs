//! The installer and the unit, in a directory of their own: nothing of the machine is touched.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const PROGRAM: &str = "usr/local/bin/camera-capture";
const SETTINGS: &str = "etc/camera-capture/camera-capture.env";
const UNIT: &str = "etc/systemd/system/camera-capture.service";

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the installer below `destination`.
fn install(destination: &Path, arguments: &[&str]) -> Output {
    Command::new("sh")
        .arg(project().join("deploy/install.sh"))
        .args(arguments)
        .env("DESTDIR", destination)
        .output()
        .unwrap()
}

/// Runs the installer, which must succeed.
fn install_well(destination: &Path, arguments: &[&str]) {
    let output = install(destination, arguments);
    assert!(output.status.success(), "{output:?}");
}

/// A destination and a stand-in for the built program.
fn destination() -> (TempDir, PathBuf, String) {
    let scratch = tempfile::tempdir().unwrap();
    let binary = scratch.path().join("built");
    fs::write(&binary, "#!/bin/sh\n").unwrap();
    let root = scratch.path().join("root");
    let binary = binary.to_str().unwrap().to_owned();
    (scratch, root, binary)
}

/// Every path below `root` with its permissions and, for a file, its content.
fn tree(root: &Path) -> BTreeMap<PathBuf, (u32, Option<Vec<u8>>)> {
    let mut entries = BTreeMap::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = metadata.is_file().then(|| fs::read(&path).unwrap());
            let mode = metadata.permissions().mode() & 0o7777;
            entries.insert(path.strip_prefix(root).unwrap().to_path_buf(), (mode, content));
            if metadata.is_dir() {
                pending.push(path);
            }
        }
    }
    entries
}

#[test]
fn installing_twice_leaves_the_same_tree_as_installing_once() {
    let (_scratch, root, binary) = destination();
    install_well(&root, &[&binary]);
    let once = tree(&root);
    install_well(&root, &[&binary]);
    assert_eq!(tree(&root), once);

    let mode = |path: &str| once[Path::new(path)].0;
    assert_eq!(mode(PROGRAM), 0o755);
    assert_eq!(mode(SETTINGS), 0o640);
    assert_eq!(mode(UNIT), 0o644);
    assert_eq!(mode("etc/camera-capture"), 0o750);
    assert_eq!(mode("var/lib/camera-capture"), 0o700);
    let files: Vec<_> =
        once.iter().filter(|(_, (_, content))| content.is_some()).map(|(path, _)| path).collect();
    let doc = Path::new("usr/local/share/doc/camera-capture");
    let pages = files.iter().filter(|path| path.starts_with(doc.join("docs"))).count();
    assert_eq!(
        pages,
        tree(&project().join("docs")).values().filter(|(_, content)| content.is_some()).count()
    );
    assert_eq!(files.len() - pages, 11, "{files:?}");
    assert_eq!(mode("usr/local/share/doc/camera-capture/THIRD-PARTY-LICENSES"), 0o644);
    assert_eq!(mode("usr/local/share/doc/camera-capture/docs/operation.md"), 0o644);
}

/// S4.2: it is found by its old name, by whoever types it, and hands the password to the program beside it.
#[test]
fn the_script_of_the_old_name_is_installed_beside_the_program_and_calls_that() {
    let (_scratch, root, binary) = destination();
    fs::write(&binary, "#!/bin/sh\nread -r password\nprintf '%s|%s\\n' \"$*\" \"$password\"\n").unwrap();
    for prefix in ["/usr/local", "/opt/gate"] {
        install_well(&root, &["--prefix", prefix, &binary]);
        let script = root.join(&prefix[1..]).join("bin/setup_password.py");
        let mut child = Command::new(&script)
            .args(["--env-file", "/x.env"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, b"a fresh pair of gates\n").unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, "--env-file /x.env --set-password -|a fresh pair of gates\n", "{prefix}");
        assert_eq!(output.status.code(), Some(0));
    }
}

/// S4.17: the name is kept, and so is that the service comes back whatever ends it. What differs: the program says when it
/// is ready and that it lives (Type=notify, a watchdog) where the old unit was simple; it has a user of its own, not pi; it
/// comes back after 5 s, not 10; and not where only a person can help (settings that are wrong).
#[test]
fn the_unit_has_the_old_name_comes_back_and_differs_where_it_says_more() {
    let unit = fs::read_to_string(project().join("camera-capture.service")).unwrap();
    assert!(UNIT.ends_with("/camera-capture.service"));
    let has = |line: &str| unit.lines().any(|known| known == line);
    for line in ["Restart=always", "RestartSec=5", "Type=notify", "WatchdogSec=60", "User=camera-capture"] {
        assert!(has(line), "{line}");
    }
    assert!(has("RestartPreventExitStatus=78 2"), "settings that are wrong stay wrong");
    assert!(has("StartLimitIntervalSec=0"), "it is never given up");
}

#[test]
fn an_update_replaces_the_program_and_keeps_the_settings() {
    let (_scratch, root, binary) = destination();
    install_well(&root, &[&binary]);
    fs::write(root.join(SETTINGS), "BIND_PORT=9001\n").unwrap();
    fs::write(&binary, "#!/bin/sh\n# newer\n").unwrap();
    let stale = root.join("usr/local/share/doc/camera-capture/docs/stale.md");
    fs::write(&stale, "of the version before").unwrap();
    install_well(&root, &[&binary]);
    assert_eq!(fs::read_to_string(root.join(SETTINGS)).unwrap(), "BIND_PORT=9001\n");
    assert_eq!(fs::read_to_string(root.join(PROGRAM)).unwrap(), "#!/bin/sh\n# newer\n");
    assert!(!stale.exists(), "a page that is no more");
}

#[test]
fn uninstalling_keeps_settings_and_pictures_and_can_be_repeated() {
    let (_scratch, root, binary) = destination();
    install_well(&root, &[&binary]);
    let picture = root.join("var/lib/camera-capture/r1_1698765432.jpg");
    fs::write(&picture, "picture").unwrap();
    for _ in 0..2 {
        install_well(&root, &["--uninstall"]);
        let files: Vec<_> = tree(&root)
            .into_iter()
            .filter(|(_, (_, content))| content.is_some())
            .map(|(path, _)| path)
            .collect();
        assert_eq!(files, [Path::new(SETTINGS), Path::new("var/lib/camera-capture/r1_1698765432.jpg")]);
    }
}

#[test]
fn pictures_on_another_disk_or_in_a_home_open_the_unit_for_them_and_for_nothing_else() {
    let (_scratch, root, binary) = destination();
    install_well(&root, &[&binary]);
    let drop_in = root.join("etc/systemd/system/camera-capture.service.d/storage.conf");
    assert!(!drop_in.exists());
    for (settings, expected) in [
        (
            "IMAGE_STORAGE_PATH=/mnt/usb/images\n",
            "ReadWritePaths=\"-/mnt/usb/images\"\nReadWritePaths=\"-/mnt/usb\"\n",
        ),
        (
            "#IMAGE_STORAGE_PATH=/no\nexport IMAGE_STORAGE_PATH='/mnt/my disk/images' # the disk\nDATABASE_PATH=\"/srv/db/c.db\"\n",
            "ReadWritePaths=\"-/mnt/my disk/images\"\nReadWritePaths=\"-/srv/db\"\n",
        ),
        (
            "IMAGE_STORAGE_PATH = /home/pi/images\r\nDATABASE_PATH=/var/lib/camera-capture/c.db\r\n",
            "ProtectHome=tmpfs\nBindPaths=\"-/home/pi/images\"\n",
        ),
        (
            "INGEST_2_FOLDER=/srv/gate in\nINGEST_16_FOLDER=/var/lib/camera-capture/in\n#INGEST_3_FOLDER=/no\n",
            "ReadWritePaths=\"-/srv/gate in\"\n",
        ),
    ] {
        fs::write(root.join(SETTINGS), settings).unwrap();
        install_well(&root, &[&binary]);
        let text = fs::read_to_string(&drop_in).unwrap();
        assert_eq!(text.split_once("[Service]\n").unwrap().1, expected, "{settings}");
    }
    fs::write(root.join(SETTINGS), "IMAGE_STORAGE_PATH=images\n").unwrap();
    install_well(&root, &[&binary]);
    assert!(!drop_in.exists());
}

#[test]
fn the_unit_starts_the_program_where_it_was_installed_with_the_settings_installed() {
    let (_scratch, root, binary) = destination();
    install_well(&root, &["--prefix", "/opt/gate", &binary]);
    assert!(root.join("opt/gate/bin/camera-capture").exists());
    let unit = fs::read_to_string(root.join(UNIT)).unwrap();
    let starts: Vec<_> = unit.lines().filter(|line| line.starts_with("ExecStart=")).collect();
    assert_eq!(starts, [format!("ExecStart=/opt/gate/bin/camera-capture --env-file /{SETTINGS}")]);
}

#[test]
fn wrong_usage_and_a_missing_binary_change_nothing() {
    let (_scratch, root, binary) = destination();
    for (arguments, status) in [
        (&["--verbose"][..], 2),
        (&["--prefix"], 2),
        (&["--prefix", "opt"], 2),
        (&["--prefix", "/opt/a b"], 2),
        (&[&binary, &binary], 2),
        (&["--uninstall", &binary], 2),
        (&["/nonexistent/camera-capture"], 1),
    ] {
        let output = install(&root, arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {output:?}");
        assert!(!output.stderr.is_empty());
    }
    assert!(!root.exists());
}

#[test]
fn the_unit_is_valid_and_its_exposure_is_small() {
    let scratch = tempfile::tempdir().unwrap();
    let unit = scratch.path().join("camera-capture.service");
    // The check wants the program to exist.
    let text = fs::read_to_string(project().join("camera-capture.service")).unwrap();
    fs::write(&unit, text.replace("/usr/local/bin/camera-capture", "/bin/true")).unwrap();
    for arguments in [
        &["verify", "--recursive-errors=no"][..],
        // In tenths: 1.7 when this was written, most of it network, device access and asking for the state of the clock.
        &["security", "--offline=true", "--no-pager", "--threshold=17"],
    ] {
        match Command::new("systemd-analyze").args(arguments).arg(&unit).output() {
            Err(error) => eprintln!("SKIPPED: systemd-analyze {arguments:?} cannot run here: {error}"),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stdout));
                assert!(!said.contains("camera-capture.service:"), "{said}");
            }
        }
    }
}

#[test]
fn the_unit_gives_more_descriptors_than_strangers_can_hold_and_no_swap() {
    let text = fs::read_to_string(project().join("camera-capture.service")).unwrap();
    for line in ["LimitNOFILE=8192", "MemorySwapMax=0", "PrivateMounts=yes", "UMask=0077"] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn the_description_of_the_user_is_valid() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("etc/sysusers.d");
    fs::create_dir_all(&directory).unwrap();
    fs::copy(project().join("deploy/sysusers.conf"), directory.join("camera-capture.conf")).unwrap();
    let output = Command::new("systemd-sysusers")
        .arg("--dry-run")
        .arg(format!("--root={}", scratch.path().display()))
        .arg("camera-capture.conf")
        .output();
    match output {
        Err(error) => eprintln!("SKIPPED: systemd-sysusers cannot run here: {error}"),
        Ok(output) => {
            // A line it does not understand is reported with its number and does not change the status.
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !said.contains("camera-capture.conf:"), "{said}");
            assert!(said.contains("Creating user 'camera-capture'"), "{said}");
        }
    }
}

#[test]
fn shellcheck_finds_nothing_in_the_installer() {
    match Command::new("shellcheck").arg(project().join("deploy/install.sh")).output() {
        Err(error) => eprintln!("SKIPPED: shellcheck cannot run here: {error}"),
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
    }
}

/// Every script of `scripts/` that begins with this interpreter.
fn scripts(interpreter: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(project().join("scripts")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        files.filter(|file| fs::read_to_string(file).unwrap().starts_with(interpreter)).collect();
    found.sort();
    assert!(!found.is_empty(), "{interpreter}");
    found
}

#[test]
fn scripts_of_the_shell_have_no_mistake_that_can_be_seen() {
    for script in scripts("#!/usr/bin/env bash") {
        let output = Command::new("bash").arg("-n").arg(&script).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        // With a space in the path or from elsewhere, nothing but this finds the root.
        let text = fs::read_to_string(&script).unwrap();
        assert!(text.contains("\ncd -- \"$(dirname -- \"$0\")/..\"\n"), "{}", script.display());
        match Command::new("shellcheck").arg("-x").arg(&script).current_dir(project()).output() {
            Err(error) => eprintln!("SKIPPED: shellcheck cannot run here: {error}"),
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        }
    }
}

#[test]
fn scripts_find_programs_by_full_paths_whatever_is_set_and_wherever_they_are_called() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().canonicalize().unwrap().join("a clone");
    for folder in ["scripts", "called from", "target of mine"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::copy(project().join("scripts/lib.sh"), root.join("scripts/lib.sh")).unwrap();
    let script = "set -euo pipefail\ncd -- \"$(dirname -- \"$0\")/..\"\nsource scripts/lib.sh\nfind_target\n\
                  CAMERA_CAPTURE_BIN=${BIN:-} find_binary\nprintf '%s|%s' \"$target\" \"$binary\"\n";
    fs::write(root.join("scripts/probe"), script).unwrap();
    fs::copy("/bin/true", root.join("called from/built")).unwrap();
    let told = |target: Option<&str>| {
        let mut command = Command::new("bash");
        command.arg("../scripts/probe").current_dir(root.join("called from")).env("BIN", "built");
        command.env_remove("CARGO_TARGET_DIR");
        if let Some(target) = target {
            command.env("CARGO_TARGET_DIR", target);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let root = root.display();
    assert_eq!(told(None), format!("{root}/target|{root}/called from/built"));
    assert_eq!(told(Some("target of mine")), format!("{root}/target of mine|{root}/called from/built"));
    assert_eq!(told(Some("/tmp/x")), format!("/tmp/x|{root}/called from/built"));
}

#[test]
fn scripts_name_the_target_directory_in_one_place() {
    for script in scripts("#!/usr/bin/env bash") {
        let text = fs::read_to_string(&script).unwrap();
        assert!(!text.contains("CARGO_TARGET_DIR"), "{}: use find_target of lib.sh", script.display());
    }
}

#[test]
fn the_unit_points_to_documentation_that_the_installer_puts_there() {
    let (_scratch, root, binary) = destination();
    install_well(&root, &["--prefix", "/opt/gate", &binary]);
    let unit = fs::read_to_string(root.join(UNIT)).unwrap();
    let pages = unit.lines().find_map(|line| line.strip_prefix("Documentation=")).expect("no need of man");
    for page in pages.split(' ') {
        let place = page.strip_prefix("file:///opt/gate/").unwrap();
        assert!(root.join("opt/gate").join(place).is_file(), "{page}");
    }
}

/// Name and version of every package of `Cargo.lock` that comes from a registry.
fn locked() -> BTreeSet<(String, String)> {
    let lock = fs::read_to_string(project().join("Cargo.lock")).unwrap();
    let field = |package: &str, name: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(&format!("{name} = \"")))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]").filter(|package| package.contains("\nsource = "));
    packages.map(|package| (field(package, "name").unwrap(), field(package, "version").unwrap())).collect()
}

#[test]
fn the_notices_name_the_crates_of_the_lock_file_their_versions_and_licences() {
    let notices = fs::read_to_string(project().join("THIRD-PARTY-LICENSES")).unwrap();
    let locked = locked();
    let list = notices.split("Cargo.lock.\n\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut named = BTreeSet::new();
    for line in list.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        assert!(words.len() >= 3, "{line}");
        let package = (words[0].to_owned(), words[1].to_owned());
        assert!(locked.contains(&package), "{line} is not in Cargo.lock; run scripts/licences");
        named.insert(package);
    }
    // What Cargo.toml asks for and ships must be there; what stands behind it is asked of cargo by scripts/test.
    let manifest = fs::read_to_string(project().join("Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    for line in dependencies.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split([' ', '=']).next().unwrap();
        assert!(named.iter().any(|(other, _)| other == name), "{name} is missing; run scripts/licences");
    }
    assert!(named.len() > 150, "{}", named.len());
}
