//! A pretended Raspberry Pi (`pishim.c`) and this test program running on it.

#![allow(clippy::unwrap_used, reason = "the whole file is test code")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use super::CHILD;

/// Far more than any test needs, also on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);

/// `GPIO_PUP_PDN_CNTRL_REG1` of the BCM2711 (datasheet, section 5.2): 2 bits for each of lines 16 to 31, 01 is up.
pub(crate) const RESISTORS: usize = 0xe8;

/// `GPLEV0`: a bit for each of the first 32 lines.
pub(crate) const LEVELS: usize = 0x34;

/// The library, built once; `None`, said aloud, without a C compiler.
pub(crate) fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/pishim.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let built = folder.join(format!("libpishim.{}.so", std::process::id()));
        let compiler = Command::new("cc")
            .args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
            .args([&built, &source])
            .args(["-lpthread", "-ldl"])
            .output();
        match compiler {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                let library = folder.join("libpishim.so");
                std::fs::rename(&built, &library).unwrap();
                Some(library)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => panic!("cc: {error}"),
        }
    };
    let library = LIBRARY.get_or_init(build).as_deref();
    if library.is_none() {
        // Not by `eprintln!`, which the test harness swallows when a test succeeds.
        let text = "SKIPPED: no C compiler `cc`, so the contacts' hardware back ends stay untested\n";
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
    library
}

/// A pretended Raspberry Pi 4 whose contacts are open.
pub(crate) struct Board {
    pub(crate) dir: tempfile::TempDir,
    env: Vec<(&'static str, &'static str)>,
}

impl Board {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut registers = vec![0; 4096];
        registers[LEVELS..LEVELS + 8].fill(0xff);
        let board = Self { dir, env: Vec::new() };
        board.write("compatible", b"raspberrypi,4-model-b\0brcm,bcm2711\0");
        board.write("cpuinfo", b"");
        board.write("gpiomem", &registers);
        board.write("gpiochip0", b"");
        board
    }

    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    pub(crate) fn write(&self, file: &str, content: &[u8]) {
        std::fs::write(self.dir.path().join(file), content).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.dir.path().join(file)).unwrap()
    }

    pub(crate) fn resistors(&self) -> u32 {
        u32::from_le_bytes(self.read("gpiomem")[RESISTORS..RESISTORS + 4].try_into().unwrap())
    }

    /// Starts the program; `None` without a compiler.
    pub(crate) fn start(&self, backend: &str) -> Option<Program<'_>> {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "gpio_pishim::child", "--nocapture"])
            .envs(self.env.iter().copied())
            .env(CHILD, backend)
            .env("PISHIM_DIR", self.dir.path())
            .env("LD_PRELOAD", library()?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, said) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        Some(Program { board: self, child, said, heard: Vec::new() })
    }
}

pub(crate) struct Program<'a> {
    board: &'a Board,
    pub(crate) child: Child,
    said: Receiver<String>,
    heard: Vec<String>,
}

impl Program<'_> {
    /// What it said from here on, up to a line that begins with `end`.
    pub(crate) fn until(&mut self, end: &str) -> Vec<String> {
        let (begin, deadline) = (self.heard.len(), Instant::now() + PATIENCE);
        loop {
            let Ok(line) = self.said.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                panic!("the program did not say {end}, but {:#?}", self.heard);
            };
            self.heard.push(line);
            if self.heard.last().is_some_and(|line| line.starts_with(end)) {
                return self.heard[begin..].to_vec();
            }
        }
    }

    /// Puts levels on lines, as `pishim.c` says.
    pub(crate) fn drive(&self, commands: &str) {
        let socket = UnixDatagram::unbound().unwrap();
        socket.send_to(commands.as_bytes(), self.board.dir.path().join("ctl")).unwrap();
    }

    /// Drives lines 18 and 19, and returns what became of it. Line 20 closes last and for good; it fires when the
    /// queue is empty, and by then every deadline of edges in the past is over.
    pub(crate) fn play(&mut self, commands: &str) -> Vec<String> {
        self.drive(&format!("{commands};20 0"));
        let mut said = self.until("FIRED 20");
        said.pop();
        said
    }

    pub(crate) fn stop(&mut self) {
        drop(self.child.stdin.take());
        self.until("END");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Program<'_> {
    /// Also when a test has failed.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
