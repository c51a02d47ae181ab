//! What a client says on the control connection: bytes cut into lines, a line into a verb and its argument. Pure.
//!
//! As liberal as cameras need: verbs in any case, lines that end with LF alone, Telnet's interrupt before ABOR, bytes that
//! are no UTF-8, and verbs that lost the blank before their argument.

/// Longest line, bytes; no path of a camera comes near it.
pub(super) const LINE_MAX: usize = 4096;

/// "Interpret as command" of Telnet (RFC 854); what follows it is one byte, or two for the four verbs of negotiation.
const TELNET_IAC: u8 = 0xff;

/// One line of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ControlLine {
    /// As it came, without its end.
    Line(Vec<u8>),
    /// Longer than [`LINE_MAX`]; nothing of it is kept.
    TooLong,
}

/// Bytes of a control connection on their way to be lines.
#[derive(Debug, Default)]
pub(super) struct ControlBuffer {
    bytes: Vec<u8>,
    /// What was taken as lines.
    taken: usize,
    /// The rest of a line that was too long is passed over.
    is_passing_over: bool,
}

impl ControlBuffer {
    /// Takes what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets what came and was not taken: nothing that was said in the clear counts on a secured connection.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether there is as much as two of the longest lines: whoever reads waits until some was taken.
    pub(super) fn is_full(&self) -> bool {
        self.left().len() >= 2 * LINE_MAX
    }

    /// The next whole line.
    pub(super) fn next_line(&mut self) -> Option<ControlLine> {
        loop {
            let left = self.left();
            let Some(end) = left.iter().position(|byte| *byte == b'\n') else {
                let is_too_long = left.len() > LINE_MAX;
                if self.is_passing_over || is_too_long {
                    self.taken = self.bytes.len();
                }
                let is_new = is_too_long && !self.is_passing_over;
                self.is_passing_over |= is_too_long;
                return is_new.then_some(ControlLine::TooLong);
            };
            let mut line = &left[..end];
            while let [rest @ .., b'\r' | 0] = line {
                line = rest;
            }
            let next = if end > LINE_MAX { ControlLine::TooLong } else { ControlLine::Line(line.to_vec()) };
            self.taken += end + 1;
            if !std::mem::take(&mut self.is_passing_over) {
                return Some(next);
            }
        }
    }

    /// Whether the next line is ABOR: the one command that is heard during a transfer.
    pub(super) fn wants_to_abort(&self) -> bool {
        let left = self.left();
        let line = left.iter().position(|byte| *byte == b'\n').map(|end| &left[..end]);
        line.is_some_and(|line| line.len() <= LINE_MAX && FtpCommand::parse(line) == FtpCommand::Abort)
    }

    fn left(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FtpCommand {
    /// `USER`.
    User(String),
    /// `PASS`.
    Password(String),
    /// `REIN`: as if the connection were new.
    Reinitialize,
    /// `QUIT`.
    Quit,
    /// `SYST`.
    System,
    /// `FEAT`.
    Features,
    /// `TYPE`, in capitals.
    Type(String),
    /// `STRU`, in capitals.
    Structure(String),
    /// `MODE`, in capitals.
    Mode(String),
    /// `PASV`.
    Passive,
    /// `EPSV`, in capitals.
    ExtendedPassive(String),
    /// `PORT` or `EPRT`.
    Active,
    /// `STOR` or `APPE`: what is appended to is nothing, so both are a new file.
    Store(String),
    /// `STOU`.
    StoreUnique(String),
    /// `REST`.
    Restart(String),
    /// `ABOR`.
    Abort,
    /// `MKD`.
    MakeFolder(String),
    /// `RMD` or `DELE`.
    Remove,
    /// `CWD`.
    ChangeFolder(String),
    /// `CDUP`.
    FolderUp,
    /// `PWD`.
    PrintFolder,
    /// `SIZE`.
    Size(String),
    /// `RNFR`.
    RenameFrom(String),
    /// `RNTO`.
    RenameTo(String),
    /// `LIST`, `NLST` or `MLSD`.
    List,
    /// `RETR`, `MLST` or `MDTM`: there is nothing to have.
    Retrieve,
    /// `NOOP`, `ALLO`, `SITE`, `OPTS`, `CLNT`: success, and nothing happens.
    Nothing,
    /// `STAT` or `HELP`.
    Help,
    /// `AUTH`, in capitals: FTP over TLS.
    Secure(String),
    /// `PBSZ`: how long a protected piece may be.
    BufferSize,
    /// `PROT`, in capitals: whether data connections are secured, too.
    Protect(String),
    /// `CCC`: in the clear again.
    Unsecure,
    /// Nothing that is known.
    Unknown,
}

impl FtpCommand {
    /// Understands a line.
    pub(super) fn parse(line: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&without_telnet(line)).into_owned();
        let text = text.trim_start_matches([' ', '\t', '\0']).trim_end_matches(['\r', '\0']);
        let (verb, argument) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        // A blank at the end of a name is nobody's wish.
        let argument = argument.trim();
        let (own, capitals) = (|| argument.to_owned(), || argument.to_ascii_uppercase());
        match verb.to_ascii_uppercase().as_str() {
            "USER" => Self::User(own()),
            // A password may begin and end with blanks.
            "PASS" => Self::Password(text.get(5..).unwrap_or_default().to_owned()),
            "REIN" => Self::Reinitialize,
            "QUIT" => Self::Quit,
            "SYST" => Self::System,
            "FEAT" => Self::Features,
            "TYPE" => Self::Type(capitals()),
            "STRU" => Self::Structure(capitals()),
            "MODE" => Self::Mode(capitals()),
            "PASV" => Self::Passive,
            "EPSV" => Self::ExtendedPassive(capitals()),
            "PORT" | "EPRT" | "LPRT" => Self::Active,
            "STOR" | "APPE" => Self::Store(own()),
            "STOU" => Self::StoreUnique(own()),
            "REST" => Self::Restart(own()),
            "ABOR" => Self::Abort,
            "MKD" | "XMKD" => Self::MakeFolder(own()),
            "RMD" | "XRMD" | "DELE" => Self::Remove,
            "CWD" | "XCWD" => Self::ChangeFolder(own()),
            "CDUP" | "XCUP" => Self::FolderUp,
            "PWD" | "XPWD" => Self::PrintFolder,
            "SIZE" => Self::Size(own()),
            "RNFR" => Self::RenameFrom(own()),
            "RNTO" => Self::RenameTo(own()),
            "LIST" | "NLST" | "MLSD" => Self::List,
            "RETR" | "MLST" | "MDTM" => Self::Retrieve,
            "NOOP" | "ALLO" | "SITE" | "OPTS" | "CLNT" => Self::Nothing,
            "STAT" | "HELP" => Self::Help,
            "AUTH" => Self::Secure(capitals()),
            "PBSZ" => Self::BufferSize,
            "PROT" => Self::Protect(capitals()),
            "CCC" => Self::Unsecure,
            // ESP32_FTPClient sends both without a blank before the folder.
            glued if glued.starts_with("MLSD") || glued.starts_with("LIST") => Self::List,
            _ => Self::Unknown,
        }
    }
}

/// A line without what Telnet puts between: ABOR comes as IAC IP IAC DM `ABOR` (RFC 959, 4.1.3).
fn without_telnet(line: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(line.len());
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != TELNET_IAC {
            clean.push(byte);
            continue;
        }
        match bytes.next() {
            // It stands for itself.
            Some(TELNET_IAC) => clean.push(TELNET_IAC),
            // WILL, WON'T, DO, DON'T and their option.
            Some(251..=254) => {
                bytes.next();
            }
            // The urgent mark may have eaten the IAC before it, so a lone byte of them is passed over, too.
            Some(_) | None => {}
        }
    }
    // DATA MARK, where its IAC came as urgent data.
    if clean.first() == Some(&242) {
        clean.remove(0);
    }
    clean
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(line: &str) -> FtpCommand {
        FtpCommand::parse(line.as_bytes())
    }

    fn lines_of(bytes: &[u8]) -> Vec<ControlLine> {
        let mut buffer = ControlBuffer::default();
        buffer.push(bytes);
        std::iter::from_fn(|| buffer.next_line()).collect()
    }

    #[test]
    fn verbs_are_known_in_any_case_and_with_what_cameras_leave_out() {
        // S1.2: the ESP32 says `Type I`, letter by letter so.
        assert_eq!(parsed("Type I"), FtpCommand::Type("I".to_owned()));
        assert_eq!(parsed("type l 8"), FtpCommand::Type("L 8".to_owned()));
        assert_eq!(parsed("stor  a b.jpg "), FtpCommand::Store("a b.jpg".to_owned()));
        assert_eq!(parsed("APPE x"), parsed("STOR x"));
        assert_eq!(parsed("xmkd /a"), FtpCommand::MakeFolder("/a".to_owned()));
        // S1.3: sent without a blank.
        assert_eq!((parsed("MLSD/esp32"), parsed("LIST/esp32")), (FtpCommand::List, FtpCommand::List));
        assert_eq!(parsed("PASS  a b "), FtpCommand::Password(" a b ".to_owned()));
        assert_eq!(parsed("PASS"), FtpCommand::Password(String::new()));
        assert_eq!((parsed(""), parsed("\u{1f600}")), (FtpCommand::Unknown, FtpCommand::Unknown));
    }

    #[test]
    fn telnets_interrupt_before_abor_is_passed_over() {
        for line in [&b"ABOR"[..], b"\xff\xf4\xff\xf2ABOR", b"\xff\xf4\xf2ABOR", b"\xf2ABOR", b"abor\r"] {
            assert_eq!(FtpCommand::parse(line), FtpCommand::Abort, "{line:?}");
        }
        assert_eq!(FtpCommand::parse(b"STOR \xff\xff"), FtpCommand::Store("\u{fffd}".to_owned()));
    }

    #[test]
    fn lines_end_with_lf_and_what_is_too_long_is_told_once_and_passed_over() {
        let line = |text: &str| ControlLine::Line(text.as_bytes().to_vec());
        assert_eq!(lines_of(b"NOOP\r\nPWD\n\r\nQUI"), [line("NOOP"), line("PWD"), line("")]);
        let mut long = vec![b'x'; LINE_MAX + 1];
        assert_eq!(lines_of(&long), [ControlLine::TooLong]);
        long.extend(b"yyy\r\nNOOP\r\n");
        assert_eq!(lines_of(&long), [ControlLine::TooLong, line("NOOP")]);
        let mut buffer = ControlBuffer::default();
        let mut told = 0;
        for _ in 0..1000 {
            buffer.push(&[b'x'; 1000]);
            while let Some(line) = buffer.next_line() {
                assert_eq!(line, ControlLine::TooLong);
                told += 1;
            }
            assert!(buffer.left().len() <= LINE_MAX);
        }
        assert_eq!(told, 1);
    }

    #[test]
    fn only_a_whole_abor_is_heard_during_a_transfer() {
        let mut buffer = ControlBuffer::default();
        buffer.push(b"ABO");
        assert!(!buffer.wants_to_abort());
        buffer.push(b"R");
        assert!(!buffer.wants_to_abort());
        buffer.push(b"\r\n");
        assert!(buffer.wants_to_abort());
        assert_eq!(buffer.next_line(), Some(ControlLine::Line(b"ABOR".to_vec())));
        buffer.push(b"NOOP\r\nABOR\r\n");
        assert!(!buffer.wants_to_abort(), "what came before it is answered first");
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_the_same_lines_and_no_memory_grows(
            pieces in prop::collection::vec(prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                (any::<u8>(), 0..5000_usize).prop_map(|(byte, length)| vec![byte; length]),
                Just(b"\r\n".to_vec()),
                Just(b"\xff\xf4\xff\xf2ABOR\r\n".to_vec()),
            ], 0..20),
        ) {
            let mut buffer = ControlBuffer::default();
            let mut found = Vec::new();
            for piece in &pieces {
                buffer.push(piece);
                while let Some(line) = buffer.next_line() {
                    if let ControlLine::Line(line) = &line {
                        prop_assert!(line.len() <= LINE_MAX && !line.contains(&b'\n'));
                        let _ = FtpCommand::parse(line);
                    }
                    found.push(line);
                }
                prop_assert!(buffer.left().len() <= LINE_MAX);
                let _ = buffer.wants_to_abort();
            }
            prop_assert_eq!(found, lines_of(&pieces.concat()));
        }

        #[test]
        fn a_verb_with_any_argument_is_understood_or_unknown(
            verb in "[A-Za-z]{0,5}", argument in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let line = [verb.as_bytes(), b" ", &argument].concat();
            let _ = FtpCommand::parse(&line);
        }
    }
}
