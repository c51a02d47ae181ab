//! `--set-password`: asks without echo on a terminal, or reads one line from standard input.
//!
//! A password set beside the service's database would change nothing, and whoever set it would believe otherwise. So a
//! database is only begun where the settings name the place of the pictures; anywhere else one must be there.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::output::say;
use super::{journal, runtime};
use crate::config::{Config, Env};
use crate::daemon;
use crate::web::auth::{PASSWORD_KEY, check_new_password, hash_password};

/// Longer lines are cut off; no password is that long.
const LINE_MAX: u64 = 4096;

/// Where the installer puts the service's settings.
const INSTALLED: &str = "/etc/camera-capture/camera-capture.env";

/// Whether the settings say where pictures or database are, so that this is no accident of the working directory.
pub(super) fn names_its_place(env_file: Option<&Path>) -> bool {
    // A relative path in a file that may lie anywhere names no place.
    let is_place = |path: &str| env_file.is_none() || Path::new(path).is_absolute();
    let names = |env: &Env| {
        ["IMAGE_STORAGE_PATH", "DATABASE_PATH"].iter().any(|name| env.get(name).is_some_and(is_place))
    };
    // Settings that cannot be read are told as such in their own place.
    Env::load(env_file).is_ok_and(|env| names(&env))
}

/// Sets the password and logs everyone out. Without a database it begins one, if the settings name its place.
pub(super) fn run(config: &Config, from_stdin: bool, is_place_named: bool) -> anyhow::Result<()> {
    let database = &config.storage.database;
    if !is_place_named && !database.exists() {
        bail!("{}", nothing_here(database));
    }
    let password = if from_stdin { read_line(std::io::stdin().lock())? } else { ask()? };
    check_new_password(&password, config)?;
    let hash = hash_password(&password)?;
    let store = daemon::open_store(config)?;
    runtime()?.block_on(store.access().set_password_hash(PASSWORD_KEY, hash))?;
    let user = rustix::process::getuid().as_raw();
    journal::note(&format!("security: password set on the command line by user {user}, every session ended"));
    let place = std::path::absolute(database).unwrap_or_else(|_| database.clone());
    say(&format!(
        "the dashboard's password is set in {}; everyone who was logged in is logged out",
        place.display()
    ));
    Ok(())
}

/// Why nothing was done, and the way to the right database.
fn nothing_here(database: &Path) -> String {
    let place = std::path::absolute(database).unwrap_or_else(|_| database.to_owned());
    // A file that may not be looked at is there.
    let way = if Path::new(INSTALLED).try_exists().unwrap_or(true) {
        format!(
            "for the installed service: sudo -u camera-capture camera-capture --env-file {INSTALLED} --set-password"
        )
    } else {
        "run it with the settings of the program whose dashboard it is (--env-file PATH), or in the directory where that \
         program runs"
            .to_owned()
    };
    format!(
        "there is no database {}, so there is no dashboard here whose password could be set; {way}. Before the very first \
         start, name the place of the pictures with IMAGE_STORAGE_PATH",
        place.display()
    )
}

fn read_line(input: impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    input.take(LINE_MAX).read_line(&mut line).context("read the password from standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks twice on the controlling terminal.
fn ask() -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        bail!("standard input is no terminal; pass the password on it with --set-password -");
    }
    let terminal = File::options().read(true).write(true).open("/dev/tty").context("open the terminal")?;
    let first = prompt(&terminal, "New password for the dashboard: ")?;
    let second = prompt(&terminal, "Once more: ")?;
    if first != second {
        bail!("the two passwords differ; nothing was changed");
    }
    Ok(first)
}

fn prompt(terminal: &File, text: &str) -> anyhow::Result<String> {
    let mut output = terminal;
    output.write_all(text.as_bytes()).context("write to the terminal")?;
    let _silence = Silence::of(terminal)?;
    let line = read_line(BufReader::new(terminal))?;
    output.write_all(b"\n").context("write to the terminal")?;
    Ok(line)
}

/// Switches the terminal's echo off until it is dropped.
struct Silence<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn of(terminal: &'a File) -> anyhow::Result<Self> {
        let before = tcgetattr(terminal).context("read the terminal's settings")?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent).context("switch the terminal's echo off")?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}
