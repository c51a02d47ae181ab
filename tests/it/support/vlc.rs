//! Another camera of the tests: VLC's RTSP server. It sends over UDP only, and describes a stream without its parameter
//! sets, as some cameras do.

use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::program::{free_port, serve};

/// A running server; ends with this value.
pub(crate) struct Vlc {
    _child: Child,
    _directory: TempDir,
    port: u16,
}

impl Vlc {
    /// Whether it is there. Without it a test is skipped, loudly; with `REQUIRE_PEERS=1` it fails.
    pub(crate) async fn is_available(test: &str) -> bool {
        if Command::new("cvlc").arg("--version").stdin(Stdio::null()).output().await.is_ok() {
            return true;
        }
        let advice = format!("{test}: there is no cvlc; scripts/test installs it");
        assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "{advice}");
        super::report(&format!("SKIPPED {advice}"));
        false
    }

    /// Plays a file over and over at a free port.
    pub(crate) async fn start(file: &Path) -> Self {
        use std::os::unix::fs::PermissionsExt;
        // It refuses to run as root, and another user may not see where the loops are.
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let copy = directory.path().join("loop.mkv");
        std::fs::copy(file, &copy).unwrap();
        let port = free_port().await;
        let mut command = if rustix::process::getuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "cvlc"]);
            command
        } else {
            Command::new("cvlc")
        };
        command
            .env("HOME", directory.path())
            .args(["-q", "--no-audio", "--repeat", "--sout-keep"])
            .arg(&copy)
            .arg(format!("--sout=#rtp{{sdp=rtsp://127.0.0.1:{port}/cam}}"));
        let child = serve("VLC", command, port).await;
        Self { _child: child, _directory: directory, port }
    }

    /// Address of its stream.
    pub(crate) fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/cam", self.port)
    }
}
