//! The program itself, in a process of its own.

use std::ops::Deref;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};

use super::api::Api;
use super::log::Lines;
use super::setup::{PASSWORD, Setup};
use super::wait_until;

/// Longest start, with an argon2 hash of the log-in, on a slow machine that does other things too.
const START: Duration = Duration::from_secs(30);

/// Longest orderly end; the service manager would not wait longer either.
const STOP: Duration = Duration::from_secs(20);

/// Clock ticks per second of `/proc/<pid>/stat`; fixed for programs (`USER_HZ`).
const TICKS: u64 = 100;

/// A running daemon with a user logged in; killed with this value.
pub(crate) struct Daemon {
    child: Child,
    api: Api,
    lines: Lines,
}

impl Deref for Daemon {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

/// The program with this site's configuration and nothing else in its environment. `CAMERA_CAPTURE_BIN` names another
/// build of it.
pub(crate) fn program(setup: &Setup) -> Command {
    let binary = std::env::var("CAMERA_CAPTURE_BIN");
    let binary = binary.as_deref().unwrap_or(env!("CARGO_BIN_EXE_camera-capture"));
    let mut command = match setup.prelude() {
        None => Command::new(binary),
        Some(prelude) => {
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c").arg(format!("{prelude} && exec \"$@\"")).arg("sh").arg(binary);
            shell
        }
    };
    command
        .env_clear()
        .envs(setup.process())
        .current_dir(setup.directory())
        .arg("--env-file")
        .arg(setup.write())
        .kill_on_drop(true);
    command
}

/// Runs a one-shot command to its end, with `input` on its standard input.
pub(crate) async fn run(setup: &Setup, arguments: &[&str], input: &str) -> Output {
    use tokio::io::AsyncWriteExt;
    let mut command = program(setup);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that reads nothing may have closed it.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await;
    output.unwrap_or_else(|_| panic!("{arguments:?} does not end")).unwrap()
}

impl Daemon {
    /// Starts the daemon, waits until its dashboard is there, and logs in.
    pub(crate) async fn start(setup: &Setup) -> Self {
        Self::start_with(setup, &[]).await
    }

    /// The same with more variables in its environment.
    pub(crate) async fn start_with(setup: &Setup, environment: &[(&'static str, String)]) -> Self {
        let mut child = program(setup)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Lines::default();
        lines.read(child.stdout.take().unwrap());
        lines.read(child.stderr.take().unwrap());
        let address = wait_until("the daemon prints the dashboard's address", START, async || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the daemon ended with {status}:\n{}", lines.text());
            }
            lines.after("dashboard: ").ok_or_else(|| lines.text())
        })
        .await;
        let api = Api::log_in(&address, PASSWORD).await;
        let api = api.unwrap_or_else(|reply| panic!("log-in: {} {}", reply.status, reply.text()));
        Self { child, api, lines }
    }

    /// Starts the daemon and waits until these cameras are connected.
    pub(crate) async fn start_connected(setup: &Setup, cameras: &[&str]) -> Self {
        let daemon = Self::start(setup).await;
        for camera in cameras {
            daemon.wait_for_camera(camera, "connected", START).await;
        }
        daemon
    }

    /// Waits until a camera has this state, and returns its error.
    pub(crate) async fn wait_for_camera(&self, key: &str, state: &str, limit: Duration) -> String {
        wait_until(&format!("camera {key} becomes {state}"), limit, async || match self.camera(key).await {
            (seen, error) if seen == state => Ok(error),
            seen => Err(format!("{seen:?}")),
        })
        .await
    }

    /// Waits until nothing is owed to any target.
    pub(crate) async fn wait_until_delivered(&self, limit: Duration) {
        wait_until("every picture is delivered", limit, async || {
            let status = self.status().await;
            if status["uploads"]["pending"] == 0 { Ok(()) } else { Err(status["uploads"].to_string()) }
        })
        .await;
    }

    /// A handle on its API that outlives it.
    pub(crate) fn api(&self) -> Api {
        self.api.clone()
    }

    /// What it has written so far.
    pub(crate) fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Processor time used so far, by all threads.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = self.proc("stat");
        // The name in brackets may hold spaces; user and system time are fields 14 and 15 of proc(5).
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields[field - 3].parse::<u64>().unwrap();
        Duration::from_millis((ticks(14) + ticks(15)) * 1000 / TICKS)
    }

    /// Resident memory in KiB: now, and the most it ever was.
    pub(crate) fn rss_kib(&self) -> (u64, u64) {
        let status = self.proc("status");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.trim().trim_end_matches(" kB").parse().expect(name)
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Bytes it has written to the disk so far.
    pub(crate) fn written(&self) -> u64 {
        let io = self.proc("io");
        let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:")).expect("proc(5)");
        line.trim().parse().unwrap()
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id().expect("it runs"))).unwrap()
    }

    /// SIGKILL, as the power would do it.
    pub(crate) async fn kill9(mut self) -> Lines {
        self.child.kill().await.unwrap();
        self.lines
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id().expect("it runs")).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and how it ended.
    pub(crate) async fn terminate(self) -> (ExitStatus, Lines) {
        self.stop_with(rustix::process::Signal::TERM).await
    }

    /// A signal, and how it ended.
    pub(crate) async fn stop_with(mut self, signal: rustix::process::Signal) -> (ExitStatus, Lines) {
        self.signal(signal);
        let status = tokio::time::timeout(STOP, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("{signal:?} does not end it:\n{}", self.lines.text()));
        (status.unwrap(), self.lines)
    }
}
