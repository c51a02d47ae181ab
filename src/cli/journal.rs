//! A line in the system's journal, for what a command changes while nobody watches its output.

use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Where journald and syslog daemons listen.
const SOCKET: &str = "/dev/log";

/// Facility `authpriv` and severity `notice`, as RFC 5424 section 6.2.1 counts them.
const PRIORITY: u8 = 10 * 8 + 5;

/// Writes a line; a system without a journal is no error.
pub(super) fn note(text: &str) {
    note_to(Path::new(SOCKET), text);
}

fn note_to(socket: &Path, text: &str) {
    let line = format!("<{PRIORITY}>camera-capture[{}]: {text}", std::process::id());
    // There is nobody to tell: the command has done what it was asked.
    let _ = UnixDatagram::unbound().and_then(|from| {
        // A journal that does not read must not hold the command up.
        from.set_nonblocking(true)?;
        from.send_to(line.as_bytes(), socket)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reaches_the_journal_as_syslog_wants_it_and_no_journal_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        note_to(&path, "nobody listens");
        let journal = UnixDatagram::bind(&path).unwrap();
        note_to(&path, "password set on the command line");
        let mut line = [0; 200];
        let length = journal.recv(&mut line).unwrap();
        let line = std::str::from_utf8(&line[..length]).unwrap();
        let expected =
            format!("<85>camera-capture[{}]: password set on the command line", std::process::id());
        assert_eq!(line, expected);
    }
}
