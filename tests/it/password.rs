//! `--set-password`: where there is no database it changes nothing and says where the right one is.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn set_password(place: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_camera-capture"))
        .args(arguments)
        .args(["--set-password", "-"])
        .current_dir(place)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have refused before it reads.
    let _ = child.stdin.take().unwrap().write_all(b"a fresh pair of gates\n");
    child.wait_with_output().unwrap()
}

fn names(place: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(place).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn in_a_directory_without_a_database_it_makes_none_and_names_the_right_one() {
    let place = tempfile::tempdir().unwrap();
    let output = set_password(place.path(), &[], &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let database = place.path().join("camera-capture.db");
    assert!(said.contains(&database.display().to_string()) && said.contains("--env-file"), "{said}");
    assert_eq!(names(place.path()), Vec::<String>::new(), "nothing was made");
}

#[test]
fn settings_from_elsewhere_with_a_relative_path_name_no_place() {
    let (place, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = elsewhere.path().join("box.env");
    std::fs::write(&file, "IMAGE_STORAGE_PATH=images\n").unwrap();
    let output = set_password(place.path(), &["--env-file", file.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(names(place.path()), Vec::<String>::new());
}

#[test]
fn before_the_first_start_it_works_where_the_settings_name_the_place() {
    let (place, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let images = place.path().join("images");
    let file = elsewhere.path().join("box.env");
    std::fs::write(&file, format!("IMAGE_STORAGE_PATH={}\n", images.display())).unwrap();
    let output = set_password(elsewhere.path(), &["--env-file", file.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(0), "as after the installation: {output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(&place.path().join("camera-capture.db").display().to_string()), "{said}");

    let output = set_password(place.path(), &[], &[]);
    assert_eq!(output.status.code(), Some(0), "in the directory of a database: {output:?}");

    let own = tempfile::tempdir().unwrap();
    let output = set_password(own.path(), &[], &[("IMAGE_STORAGE_PATH", "pictures")]);
    assert_eq!(output.status.code(), Some(0), "named on the command line: {output:?}");
    let filed = tempfile::tempdir().unwrap();
    std::fs::write(filed.path().join(".env"), "IMAGE_STORAGE_PATH=images\n").unwrap();
    let output = set_password(filed.path(), &[], &[]);
    assert_eq!(output.status.code(), Some(0), "named in the directory's own settings: {output:?}");
}

/// Runs the script that has the name of one of an older system, on a new installation.
fn script(place: &Path, arguments: &[&str], settings: &str, stdin: &str) -> Output {
    let file = place.join("box.env");
    let images = place.join("images");
    std::fs::write(&file, format!("IMAGE_STORAGE_PATH={}\n{settings}", images.display())).unwrap();
    let mut child = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/setup_password.py"))
        .args(["--program", env!("CARGO_BIN_EXE_camera-capture"), "--env-file"])
        .arg(&file)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have refused before it reads.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

/// S4.2
#[test]
fn the_script_of_the_old_name_sets_the_password_and_knows_neither_a_default_nor_an_argument() {
    let place = tempfile::tempdir().unwrap();
    let said = |output: &Output| {
        String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
    };
    for (arguments, stdin, status, word) in [
        (&["canary-one"][..], "", 2, "(ps)"),
        (&[], "admin123\n", 1, "password"),
        (&[], "\n", 1, "password"),
        (&[], "a fresh pair of gates\n", 0, "is set in"),
    ] {
        let output = script(place.path(), arguments, "", stdin);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(word) && !said.contains("canary"), "{said}");
    }
    // What an older system left in its settings is no password here, and the next step is said.
    let hash = "pbkdf2:sha256:600000$canary$0123";
    let output =
        script(place.path(), &[], &format!("WEB_PASSWORD_HASH='{hash}'\n"), "a fresh pair of gates\n");
    let refused = said(&output);
    assert_eq!(output.status.code(), Some(78), "{refused}");
    assert!(refused.contains("--set-password") && !refused.contains("canary"), "{refused}");
    let output =
        script(place.path(), &[], &format!("ADMIN_PASSWORD_HASH='{hash}'\n"), "a fresh pair of gates\n");
    let warned = said(&output);
    assert_eq!(output.status.code(), Some(0), "{warned}");
    assert!(warned.contains("delete this line") && !warned.contains("canary"), "{warned}");
}
