//! How much of what a stranger sends is handed on while earlier requests are not answered: a rule about bytes.
//!
//! The HTTP server takes every complete request out of 128 kB at once and keeps it until its turn: seven thousand
//! requests of 18 bytes, each with a kilobyte and more of its own, and a client that reads no answers keeps them there.
//! Sixty such connections took half a gigabyte. So requests are held back in front of it.

use std::io::BufRead;

/// Requests that may wait for their turn; browsers do not send the next one before the answer.
const WAITING_MAX: usize = 16;

/// Bytes behind the last head while a request is answered: a body (64 kB) and some of the next head. More would keep the
/// server's buffer full, and then it asks for more without a pause.
const BEHIND_MAX: usize = 72 * 1024;

/// What has been handed on. Counts empty lines, because each request has one at the end of its head; those of a body
/// count as well, which holds it back only when there are many.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// Heads that were handed on and are not answered.
    unanswered: usize,
    /// Bytes since the last of them.
    behind: usize,
    /// The last byte, but for carriage returns, ended a line.
    is_line_start: bool,
    /// A request is being answered.
    is_busy: bool,
    /// Whoever sends may look: they are trusted with memory, and on a WebSocket are no lines.
    is_open: bool,
}

impl Intake {
    /// How many of these bytes may be handed on now; they count as handed on.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        if self.is_open {
            return bytes.len();
        }
        let mut taken = 0;
        while self.unanswered < WAITING_MAX {
            let most = if self.unanswered > 0 { BEHIND_MAX - self.behind } else { usize::MAX };
            let line = &bytes[taken..];
            let line = &line[..line.len().min(most)];
            if line.is_empty() {
                break;
            }
            // Reading from bytes cannot fail.
            let length = (&mut &*line).skip_until(b'\n').unwrap_or(line.len());
            let (text, is_ended) = match line[..length].split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (&line[..length], false),
            };
            let is_empty = self.is_line_start && text.iter().all(|byte| *byte == b'\r');
            taken += length;
            self.behind = self.behind.saturating_add(length);
            self.is_line_start = is_ended || is_empty;
            if is_ended && is_empty {
                self.unanswered += 1;
                self.behind = 0;
                self.is_line_start = false;
            }
        }
        taken
    }

    /// A request has come to its turn.
    pub(super) fn begun(&mut self) {
        self.is_busy = true;
    }

    /// It was answered, and with it what counted for its body.
    pub(super) fn answered(&mut self) {
        self.is_busy = false;
        self.unanswered = self.unanswered.saturating_sub(1);
    }

    /// Nothing more has come. If nothing is being answered either, then nothing waits: what is left of the count were
    /// empty lines of bodies.
    pub(super) fn paused(&mut self) {
        if !self.is_busy {
            (self.unanswered, self.behind) = (0, 0);
        }
    }

    /// Nothing is held back any more.
    pub(super) fn open(&mut self) {
        self.is_open = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    const SHORT: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

    #[test]
    fn of_thousands_of_requests_at_once_sixteen_are_handed_on_and_another_one_for_each_answer() {
        let mut intake = Intake::default();
        let flood = SHORT.repeat(7000);
        assert_eq!(intake.take(&flood), WAITING_MAX * SHORT.len());
        assert_eq!(intake.take(&flood), 0);
        intake.answered();
        assert_eq!(intake.take(&flood), SHORT.len());
    }

    #[test]
    fn a_body_comes_through_and_what_has_no_end_does_not() {
        let mut intake = Intake::default();
        let body = vec![b'x'; 64 * 1024];
        let head = b"POST /api/login HTTP/1.1\r\ncontent-length: 65536\r\n\r\n";
        assert_eq!(intake.take(head), head.len());
        assert_eq!(intake.take(&body), body.len());
        assert_eq!(intake.take(&body), BEHIND_MAX - body.len());
        intake.answered();
        assert_eq!(intake.take(&body), body.len(), "then the server judges it");
    }

    #[test]
    fn bodies_in_pieces_do_not_add_up_on_a_connection_that_is_kept() {
        let mut intake = Intake::default();
        let request = b"POST /api/login HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
        for _ in 0..100 {
            assert_eq!(intake.take(request), request.len());
            intake.begun();
            intake.paused();
            intake.answered();
            intake.paused();
        }
    }

    #[test]
    fn nothing_of_people_who_may_look_is_held_back() {
        let mut intake = Intake::default();
        intake.open();
        let flood = SHORT.repeat(7000);
        assert_eq!(intake.take(&flood), flood.len());
    }

    proptest! {
        #[test]
        fn however_bytes_arrive_no_more_heads_are_handed_on(
            bytes in proptest::collection::vec(proptest::sample::select(b"\r\nx".to_vec()), 0..400),
            cuts in proptest::collection::vec(1..40_usize, 1..40),
        ) {
            let mut intake = Intake::default();
            let mut handed = Vec::new();
            let mut rest = bytes.as_slice();
            for cut in cuts {
                let piece = &rest[..cut.min(rest.len())];
                let taken = intake.take(piece);
                handed.extend_from_slice(&piece[..taken]);
                rest = &rest[taken..];
            }
            assert!(bytes.starts_with(&handed));
            let plain: Vec<u8> = handed.iter().copied().filter(|byte| *byte != b'\r').collect();
            let text = String::from_utf8(plain).unwrap();
            assert!(text.matches("\n\n").count() <= WAITING_MAX);
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(bytes: Vec<u8>, answers in any::<u8>()) {
            let mut intake = Intake::default();
            (0..answers).for_each(|_| intake.answered());
            assert!(intake.take(&bytes) <= bytes.len());
        }
    }
}
