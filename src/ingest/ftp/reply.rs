//! What the server says. Pure.
//!
//! ESP32_FTPClient takes for an answer whatever bytes are there at that moment, up to 127: so a reply is one short line in
//! one write, and only `FEAT` has several lines, because RFC 2389 wants them.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::model::foreign;

/// Longest reply, bytes, its line end included.
pub(super) const REPLY_BYTES_MAX: usize = 127;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FtpReply {
    code: u16,
    text: String,
}

impl FtpReply {
    /// A reply with words of ours; those of others in it are cleaned here.
    pub(super) fn new(code: u16, text: &str) -> Self {
        Self { code, text: foreign::line(text, REPLY_BYTES_MAX) }
    }

    /// `227`. ESP32_FTPClient splits it at `(` and `,`, so neither may stand before the address.
    pub(super) fn passive(address: SocketAddr) -> Self {
        let port = address.port();
        let host = address.ip().to_string().replace('.', ",");
        Self::new(227, &format!("Entering Passive Mode ({host},{},{})", port >> 8, port & 0xff))
    }

    /// `257` with a folder, as RFC 959 has it: in quotes, and those in it twice.
    pub(super) fn folder(path: &str, words: &str) -> Self {
        Self::new(257, &format!("\"{}\" {words}", path.replace('"', "\"\"")))
    }

    /// Whether something is wrong.
    #[cfg(test)]
    pub(super) fn is_refusal(&self) -> bool {
        self.code >= 400
    }

    /// As it is sent.
    pub(super) fn bytes(&self) -> Vec<u8> {
        if self.code == FEATURES_CODE {
            return format!("211-Features:\r\n{}211 End\r\n", self.text).into_bytes();
        }
        let mut line = String::new();
        let _ = write!(line, "{:03} ", self.code);
        for c in self.text.chars() {
            if line.len() + c.len_utf8() + 2 > REPLY_BYTES_MAX {
                break;
            }
            line.push(c);
        }
        line.push_str("\r\n");
        line.into_bytes()
    }

    /// `211` with what there is beyond RFC 959.
    pub(super) fn features(has_tls: bool) -> Self {
        let secured = if has_tls { FEATURES_OF_TLS } else { "" };
        Self { code: FEATURES_CODE, text: format!("{secured}{FEATURES}") }
    }
}

const FEATURES_CODE: u16 = 211;

const FEATURES: &str = " EPSV\r\n PASV\r\n SIZE\r\n UTF8\r\n";

/// As RFC 4217 has them.
const FEATURES_OF_TLS: &str = " AUTH TLS\r\n PBSZ\r\n PROT\r\n";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_said_so_that_a_split_at_brackets_and_commas_finds_it() {
        // S1.3
        let reply = FtpReply::passive("192.0.2.7:2121".parse().unwrap());
        assert_eq!(reply.bytes(), b"227 Entering Passive Mode (192,0,2,7,8,73)\r\n");
    }

    #[test]
    fn features_fit_into_the_same_bytes() {
        for has_tls in [false, true] {
            let reply = FtpReply::features(has_tls);
            assert!(reply.bytes().len() <= REPLY_BYTES_MAX && !reply.is_refusal());
            assert_eq!(String::from_utf8(reply.bytes()).unwrap().contains("\r\n AUTH TLS\r\n"), has_tls);
        }
    }

    #[test]
    fn a_folder_is_in_quotes() {
        assert_eq!(FtpReply::folder("/a\"b", "made").bytes(), b"257 \"/a\"\"b\" made\r\n");
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_one_short_line(
            code in 100u16..600,
            text in proptest::collection::vec(any::<char>(), 0..300),
        ) {
            // S1.3
            prop_assume!(code != FEATURES_CODE);
            let text: String = text.into_iter().collect();
            let bytes = FtpReply::new(code, &text).bytes();
            prop_assert!(bytes.len() <= REPLY_BYTES_MAX);
            prop_assert!(bytes.ends_with(b"\r\n") && String::from_utf8(bytes.clone()).is_ok());
            prop_assert_eq!(bytes.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count(), 2);
            let begin = format!("{code} ");
            prop_assert!(bytes.starts_with(begin.as_bytes()));
        }
    }
}
