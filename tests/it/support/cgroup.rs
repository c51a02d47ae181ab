//! A control group with the memory that the unit gives the daemon.

use std::fs;
use std::path::{Path, PathBuf};

use super::wait_until;
use std::time::Duration;

/// Where control groups are.
const ROOT: &str = "/sys/fs/cgroup";

/// Version 1 keeps each controller apart.
const VERSION_1: &str = "/sys/fs/cgroup/memory";

/// A group of processes with a limit of their memory, without swap.
pub(crate) struct Cgroup {
    path: PathBuf,
    is_v1: bool,
}

impl Cgroup {
    /// A new group; `high` is where the kernel begins to take back, which version 1 does not know. The error says why
    /// there can be none, such as for want of root's rights.
    pub(crate) fn new(name: &str, high: u64, max: u64) -> Result<Self, String> {
        let is_v1 = Path::new(VERSION_1).join("memory.limit_in_bytes").exists();
        let path =
            Path::new(if is_v1 { VERSION_1 } else { ROOT }).join(format!("{name}-{}", std::process::id()));
        if !is_v1 {
            let wanted = Path::new(ROOT).join("cgroup.subtree_control");
            fs::write(&wanted, "+memory").map_err(|error| format!("{}: {error}", wanted.display()))?;
        }
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        // Removed again from here on, whatever happens.
        let group = Self { path, is_v1 };
        if is_v1 {
            group.set("memory.limit_in_bytes", max)?;
            // Not every kernel counts swap.
            let _ = group.set("memory.memsw.limit_in_bytes", max);
        } else {
            group.set("memory.high", high)?;
            group.set("memory.max", max)?;
            let _ = group.set("memory.swap.max", 0);
        }
        Ok(group)
    }

    fn set(&self, file: &str, value: u64) -> Result<(), String> {
        let file = self.path.join(file);
        fs::write(&file, value.to_string()).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// What a shell does to put itself and what it starts into the group.
    pub(crate) fn enter(&self) -> String {
        format!("echo $$ > {}", self.path.join("cgroup.procs").display())
    }

    /// The most it ever used, bytes: the kernel's share (sockets, page cache) is in it.
    pub(crate) fn peak(&self) -> Option<u64> {
        let file = if self.is_v1 { "memory.max_usage_in_bytes" } else { "memory.peak" };
        fs::read_to_string(self.path.join(file)).ok()?.trim().parse().ok()
    }

    /// How often the kernel has ended a process of it for want of memory.
    pub(crate) fn kills(&self) -> u64 {
        let file = if self.is_v1 { "memory.oom_control" } else { "memory.events" };
        let text = fs::read_to_string(self.path.join(file)).unwrap_or_default();
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }

    /// Waits until its processes are gone and removes it.
    pub(crate) async fn remove(self) {
        wait_until("the control group is empty", Duration::from_secs(10), async || {
            fs::remove_dir(&self.path).map_err(|error| error.to_string())
        })
        .await;
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // It may be gone, or its process may still be there after a failed test.
        let _ = fs::remove_dir(&self.path);
    }
}
