//! `--set-password`: asks without echo on a terminal, or reads one line from standard input.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};

use anyhow::{Context, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::{runtime, say};
use crate::config::Config;
use crate::daemon;
use crate::web::auth::{PASSWORD_KEY, hash_password};

/// Longer lines are cut off; no password is that long.
const LINE_MAX: u64 = 4096;

/// Sets the password and logs everyone out.
pub(super) fn run(config: &Config, from_stdin: bool) -> anyhow::Result<()> {
    let password = if from_stdin { read_line(std::io::stdin().lock())? } else { ask()? };
    let hash = hash_password(&password)?;
    let store = daemon::open_store(config)?;
    runtime()?.block_on(store.set_password_hash(PASSWORD_KEY, hash))?;
    say("the dashboard's password is set; everyone who was logged in is logged out");
    Ok(())
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
