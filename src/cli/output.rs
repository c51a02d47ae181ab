//! What is printed, on the terminal and into the log: nothing in it is obeyed by a terminal, whoever said it.

use std::io::{self, Write};

use crate::model::foreign;

/// Writes a line to standard output. A reader that has gone is no error.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{}", foreign::lines(text));
}

/// Writes a line to standard error. There is nobody to tell if that fails.
pub(super) fn say_error(text: &str) {
    let _ = writeln!(io::stderr(), "{}", foreign::lines(text));
}

/// A log: each write is one event, and becomes one line.
pub(super) struct Log<W>(pub(super) W);

impl<W: Write> Write for Log<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = foreign::lines(&text.trim_end_matches('\n').replace('\n', " "));
        self.0.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes to the one and, if it is there, to the other; what the one cannot take the other gets all the same.
pub(super) struct Both<A, B>(pub(super) A, pub(super) Option<B>);

impl<A: Write, B: Write> Write for Both<A, B> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let other = self.1.as_mut().map_or(Ok(()), |other| other.write_all(bytes));
        self.0.write_all(bytes).and(other).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let mut out = Vec::new();
        let mut log = Log(&mut out);
        let event = "12:00  INFO words=\x1b[31mred\nERROR forged\r\u{9b}2J\u{202e}\0\n";
        log.write_all(event.as_bytes()).unwrap();
        log.write_all(b"next \xff\n").unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "12:00  INFO words=[31mred ERROR forged2J\nnext \u{fffd}\n"
        );
    }
}
