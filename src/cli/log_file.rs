//! `LOG_FILE`: the log in a file of its own, bounded, beside the journal.
//!
//! A thread writes it, so that a slow disk holds nothing up; lines that it cannot take are counted and said.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Lines that may wait for the disk.
const WAITING: usize = 1_000;

/// A file of this length, bytes, is set aside as `<name>.1` and a new one begun; so both take twice this at most.
const LENGTH_MAX: u64 = 10 << 20;

/// A file that could not be opened is tried again after this.
const RETRY: Duration = Duration::from_secs(10);

/// The end of the program waits so long for its last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What the thread is told.
enum Entry {
    Line(Vec<u8>),
    /// Everything before this is written.
    Mark(SyncSender<()>),
}

/// The way to the file; each write is one line.
#[derive(Clone)]
pub(super) struct LogFile {
    entries: SyncSender<Entry>,
    /// Lines that found no place and are not said yet.
    unplaced: Arc<AtomicU64>,
}

/// Waits for the last lines when it is dropped.
pub(super) struct LastLines(LogFile);

impl LogFile {
    /// Begins to write, behind what is there already.
    pub(super) fn start(path: &Path) -> io::Result<(Self, LastLines)> {
        let (file, entries) = Self::unread();
        let (path, unplaced) = (path.to_path_buf(), Arc::clone(&file.unplaced));
        let write = move || write(&entries, &unplaced, path);
        std::thread::Builder::new().name("log-file".to_owned()).spawn(write)?;
        Ok((file.clone(), LastLines(file)))
    }

    /// One of which nobody takes the lines yet.
    fn unread() -> (Self, Receiver<Entry>) {
        let (sender, entries) = sync_channel(WAITING);
        (Self { entries: sender, unplaced: Arc::default() }, entries)
    }
}

impl Write for LogFile {
    /// Never fails and never waits.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.entries.try_send(Entry::Line(line.to_vec())).is_err() {
            self.unplaced.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LastLines {
    fn drop(&mut self) {
        let (done, is_done) = sync_channel(1);
        if self.0.entries.try_send(Entry::Mark(done)).is_ok() {
            let _ = is_done.recv_timeout(LAST_LINES);
        }
    }
}

fn write(entries: &Receiver<Entry>, unplaced: &AtomicU64, path: PathBuf) {
    let mut file = BoundedFile::new(path, LENGTH_MAX);
    while let Ok(entry) = entries.recv() {
        match entry {
            Entry::Line(line) => {
                file.missed += unplaced.swap(0, Ordering::Relaxed);
                file.append(&line, Instant::now());
            }
            Entry::Mark(done) => {
                let _ = done.try_send(());
            }
        }
    }
}

/// A file that grows to a bound, and the one before it.
struct BoundedFile {
    path: PathBuf,
    most: u64,
    open: Option<(File, u64)>,
    /// It is not tried before this.
    retry_at: Option<Instant>,
    /// Lines that were not written since the last one that was.
    missed: u64,
}

impl BoundedFile {
    fn new(path: PathBuf, most: u64) -> Self {
        Self { path, most, open: None, retry_at: None, missed: 0 }
    }

    fn append(&mut self, line: &[u8], now: Instant) {
        let missed = match self.missed {
            0 => Vec::new(),
            count => format!("{count} lines of the log could not be written here\n").into_bytes(),
        };
        match self.try_append(&[missed.as_slice(), line].concat(), now) {
            Ok(()) => self.missed = 0,
            Err(_) => {
                self.missed += 1;
                self.open = None;
                self.retry_at.get_or_insert(now + RETRY);
            }
        }
    }

    fn try_append(&mut self, bytes: &[u8], now: Instant) -> io::Result<()> {
        let (mut file, mut length) = match self.open.take() {
            Some(open) => open,
            None if self.retry_at.is_some_and(|at| now < at) => return Err(io::ErrorKind::WouldBlock.into()),
            None => {
                self.retry_at = None;
                self.reopen()?
            }
        };
        let added = bytes.len() as u64;
        if length > 0 && length.saturating_add(added) > self.most {
            fs::rename(&self.path, set_aside(&self.path))?;
            (file, length) = self.reopen()?;
        }
        file.write_all(bytes)?;
        self.open = Some((file, length + added));
        Ok(())
    }

    /// The file, made if it is not there and read by its owner and group alone, and its length.
    fn reopen(&self) -> io::Result<(File, u64)> {
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(&self.path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    }
}

fn set_aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S4.16
    #[test]
    fn lines_are_there_when_the_program_ends_and_behind_those_of_the_last_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("camera_system.log");
        for run in ["first", "second"] {
            let (mut file, last_lines) = LogFile::start(&path).unwrap();
            for number in 0..3 {
                file.write_all(format!("{run} {number}\n").as_bytes()).unwrap();
            }
            drop(last_lines);
        }
        let read = fs::read_to_string(&path).unwrap();
        assert_eq!(read, "first 0\nfirst 1\nfirst 2\nsecond 0\nsecond 1\nsecond 2\n");
    }

    #[test]
    fn the_file_and_the_one_before_it_stay_within_their_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut file = BoundedFile::new(path.clone(), 100);
        for number in 0..1_000 {
            file.append(format!("line {number:>4}\n").as_bytes(), Instant::now());
            let length = fs::metadata(&path).unwrap().len();
            assert!(length <= 100, "{length}");
        }
        assert!(fs::read_to_string(&path).unwrap().ends_with("line  999\n"));
        assert_eq!(fs::metadata(set_aside(&path)).unwrap().len(), 100);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn lines_for_which_a_slow_disk_left_no_place_are_counted_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let (mut file, entries) = LogFile::unread();
        for number in 0..WAITING + 7 {
            file.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        let unplaced = Arc::clone(&file.unplaced);
        drop(file);
        write(&entries, &unplaced, path.clone());
        let read = fs::read_to_string(&path).unwrap();
        assert!(
            read.starts_with("7 lines of the log could not be written here\nline 0\n"),
            "{}",
            &read[..90]
        );
        assert_eq!(read.lines().count(), 1 + WAITING);
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_said_when_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("later");
        let path = folder.join("log");
        let mut file = BoundedFile::new(path.clone(), 1_000);
        let start = Instant::now();
        file.append(b"one\n", start);
        fs::create_dir(&folder).unwrap();
        file.append(b"two\n", start + RETRY / 2);
        assert!(!path.exists(), "a disk that fails is not asked for each line");
        file.append(b"three\n", start + RETRY);
        file.append(b"four\n", start + RETRY);
        let expected = "2 lines of the log could not be written here\nthree\nfour\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }
}
