//! What a camera sends over its connection, cut into messages and packets (RFC 2326 section 10.12), with a bound on
//! everything. Bytes go in, events come out; no clock, no input or output.
//!
//! Nothing is allocated because of a length that was announced: a packet is at most what its two bytes of length can
//! say and lies in a buffer of fixed size, a header or body takes as much memory as bytes of it have come. What exceeds
//! a bound is an error at the first byte that does, and the reader is of no use any more.

use super::message::{Head, NoStart, Start};

/// Longest line of a head. The longest honest one is a challenge or an `RTP-Info` of some hundred bytes.
pub const LINE_MAX: usize = 8 << 10;

/// Most bytes of a head. As web servers allow.
pub const HEAD_MAX: usize = 64 << 10;

/// Most lines of a head. Cameras send about ten.
pub const LINES_MAX: usize = 100;

/// Longest body. Session descriptions of cameras have about one kilobyte, those with many parameter sets five.
pub const BODY_MAX: usize = 256 << 10;

/// Empty lines between two messages; one is usual with some firmware.
const BLANK_MAX: usize = 256;

/// Bytes in front of a packet: `$`, channel, length.
pub const PACKET_HEAD: usize = 4;

/// Longest packet, with what stands in front of it.
const PACKET_MAX: usize = PACKET_HEAD + u16::MAX as usize;

/// Room for the longest packet and some more, so that little has to be moved.
const BUFFER: usize = 2 * (64 << 10);

const _: () = assert!(PACKET_MAX < BUFFER && LINE_MAX < BUFFER);

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A packet.
    Packet {
        /// What it belongs to.
        channel: u8,
        /// As it came, with the four bytes in front.
        whole: &'a [u8],
    },
    /// A request or an answer, and its body.
    Message(Head, Vec<u8>),
}

/// Why what came is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excess {
    /// A line longer than [`LINE_MAX`].
    Line,
    /// More than [`HEAD_MAX`] bytes or [`LINES_MAX`] lines before the empty one.
    Head,
    /// A body of this many bytes was announced, more than [`BODY_MAX`].
    Body(u64),
    /// The length of a body is no number, or there are two.
    Length,
    /// An answer of HTTP.
    Http,
    /// Neither a packet nor a message.
    Unknown,
}

#[derive(Debug)]
enum State {
    /// So many bytes of empty lines have passed since the last event.
    Between { blank: usize },
    /// Inside a head, of which so many bytes and lines have come.
    Head { head: Option<Head>, bytes: usize, lines: usize },
    /// Inside a body of this length.
    Body { head: Head, body: Vec<u8>, length: usize },
}

/// Cuts bytes into events.
#[derive(Debug)]
pub struct Reader {
    buffer: Box<[u8]>,
    /// What has come and is not yet part of an event: `buffer[begin..end]`.
    begin: usize,
    end: usize,
    /// So far no end of a line was found, counted from `begin`.
    searched: usize,
    state: State,
}

impl Default for Reader {
    fn default() -> Self {
        let state = State::Between { blank: 0 };
        Self { buffer: vec![0; BUFFER].into(), begin: 0, end: 0, searched: 0, state }
    }
}

impl Reader {
    /// Where the next bytes may be put; never empty once [`Reader::event`] has returned `None`.
    pub fn room(&mut self) -> &mut [u8] {
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
        } else if self.buffer.len() - self.begin < PACKET_MAX {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes were put there.
    pub fn add(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
    }

    /// Whether a message has begun and is not whole yet.
    pub fn is_inside_message(&self) -> bool {
        let begins = self.begin < self.end && self.buffer[self.begin] != b'$';
        !matches!(self.state, State::Between { .. }) || begins
    }

    /// Bytes of memory that what has come takes, beside the buffer.
    pub fn held(&self) -> usize {
        match &self.state {
            State::Between { .. } => 0,
            State::Head { head, .. } => head.as_ref().map_or(0, Head::size),
            State::Body { head, body, .. } => head.size() + body.capacity(),
        }
    }

    /// The next event, or `None` while more bytes are needed for it.
    pub fn event(&mut self) -> Result<Option<Event<'_>>, Excess> {
        loop {
            match &mut self.state {
                State::Between { blank } => {
                    let Some(&first) = self.buffer[self.begin..self.end].first() else { return Ok(None) };
                    match first {
                        b'\r' | b'\n' | b' ' => {
                            *blank += 1;
                            if *blank > BLANK_MAX {
                                return Err(Excess::Unknown);
                            }
                            self.begin += 1;
                        }
                        b'$' => {
                            *blank = 0;
                            let Some(length) = packet_length(&self.buffer[self.begin..self.end]) else {
                                return Ok(None);
                            };
                            let at = self.begin;
                            self.begin += length;
                            let whole = &self.buffer[at..at + length];
                            return Ok(Some(Event::Packet { channel: whole[1], whole }));
                        }
                        b'A'..=b'Z' => self.state = State::Head { head: None, bytes: 0, lines: 0 },
                        _ => return Err(Excess::Unknown),
                    }
                }
                State::Head { .. } => {
                    let Some(line) = self.line()? else { return Ok(None) };
                    if let Some(head) = self.take_line(&line)? {
                        let length = body_length(&head)?;
                        self.state = State::Body { head, body: Vec::new(), length };
                    }
                }
                State::Body { head, body, length } => {
                    let missing = *length - body.len();
                    let come = &self.buffer[self.begin..self.end];
                    let come = &come[..come.len().min(missing)];
                    body.extend_from_slice(come);
                    self.begin += come.len();
                    if come.len() < missing {
                        return Ok(None);
                    }
                    let head = Head { start: head.start.clone(), headers: std::mem::take(&mut head.headers) };
                    let body = std::mem::take(body);
                    self.state = State::Between { blank: 0 };
                    return Ok(Some(Event::Message(head, body)));
                }
            }
        }
    }

    /// The next line without its end. Old and hand-written servers end it with LF alone (OvenMediaEngine PR 1936).
    fn line(&mut self) -> Result<Option<String>, Excess> {
        let come = &self.buffer[self.begin..self.end];
        let end = come[self.searched..].iter().position(|byte| *byte == b'\n').map(|at| at + self.searched);
        if end.unwrap_or(come.len()) > LINE_MAX {
            return Err(Excess::Line);
        }
        let Some(end) = end else {
            self.searched = come.len();
            return Ok(None);
        };
        let line = come[..end].strip_suffix(b"\r").unwrap_or(&come[..end]);
        let line = String::from_utf8_lossy(line).into_owned();
        (self.begin, self.searched) = (self.begin + end + 1, 0);
        Ok(Some(line))
    }

    /// Takes in a line of the head; returns the head if that was its last.
    fn take_line(&mut self, line: &str) -> Result<Option<Head>, Excess> {
        let State::Head { head, bytes, lines } = &mut self.state else { return Ok(None) };
        (*bytes, *lines) = (*bytes + line.len() + 2, *lines + 1);
        if *bytes > HEAD_MAX || *lines > LINES_MAX {
            return Err(Excess::Head);
        }
        match head {
            None => {
                let start = Start::parse(line).map_err(|none| match none {
                    NoStart::Http => Excess::Http,
                    NoStart::Unknown => Excess::Unknown,
                })?;
                *head = Some(Head { start, headers: Vec::new() });
            }
            Some(_) if line.is_empty() => return Ok(head.take()),
            Some(head) => head.take_line(line),
        }
        Ok(None)
    }
}

/// The length of a packet with what stands in front of it, once all of it has come.
fn packet_length(come: &[u8]) -> Option<usize> {
    let head = come.get(..PACKET_HEAD)?;
    let length = PACKET_HEAD + usize::from(u16::from_be_bytes([head[2], head[3]]));
    (come.len() >= length).then_some(length)
}

fn body_length(head: &Head) -> Result<usize, Excess> {
    let mut lengths = head.all("Content-Length");
    let Some(text) = lengths.next() else { return Ok(0) };
    if lengths.any(|other| other != text)
        || text.is_empty()
        || !text.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(Excess::Length);
    }
    // Digits that do not fit are a number all the same.
    let length = text.parse::<u64>().unwrap_or(u64::MAX);
    usize::try_from(length).ok().filter(|length| *length <= BODY_MAX).ok_or(Excess::Body(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What came out, as values of their own.
    #[derive(Clone, Debug, PartialEq)]
    enum Seen {
        Packet(u8, Vec<u8>),
        Message(Head, Vec<u8>),
        Excess(Excess),
    }

    /// Gives a reader these bytes in these portions.
    fn read(bytes: &[u8], portions: &[usize]) -> Vec<Seen> {
        let (mut reader, mut seen, mut rest) = (Reader::default(), Vec::new(), bytes);
        let mut portions = portions.iter().copied().chain(std::iter::repeat(usize::MAX));
        while !rest.is_empty() {
            let room = reader.room();
            assert!(!room.is_empty());
            let count = portions.next().unwrap().clamp(1, rest.len()).min(room.len());
            room[..count].copy_from_slice(&rest[..count]);
            reader.add(count);
            rest = &rest[count..];
            loop {
                match reader.event() {
                    Ok(Some(Event::Packet { channel, whole })) => {
                        seen.push(Seen::Packet(channel, whole.to_vec()))
                    }
                    Ok(Some(Event::Message(head, body))) => seen.push(Seen::Message(head, body)),
                    Ok(None) => break,
                    Err(excess) => {
                        seen.push(Seen::Excess(excess));
                        return seen;
                    }
                }
            }
            assert!(reader.held() <= HEAD_MAX + 2 * BODY_MAX, "{} bytes are held", reader.held());
        }
        seen
    }

    fn excess(bytes: &[u8]) -> Option<Excess> {
        match read(bytes, &[]).pop() {
            Some(Seen::Excess(excess)) => Some(excess),
            _ => None,
        }
    }

    #[test]
    fn messages_and_packets_come_out_as_they_were_sent() {
        let bytes = b"\r\nRTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 4\r\n\r\nv=0\n$\x01\x00\x02hi\
            OPTIONS rtsp://x RTSP/1.0\nEmpty:\n folded\n\n$\x00\x00\x00";
        let seen = read(bytes, &[]);
        let Seen::Message(answer, body) = &seen[0] else { panic!("{seen:?}") };
        assert_eq!((answer.get("cseq"), body.as_slice()), (Some("2"), &b"v=0\n"[..]));
        assert_eq!(seen[1], Seen::Packet(1, b"$\x01\x00\x02hi".to_vec()));
        let Seen::Message(request, _) = &seen[2] else { panic!("{seen:?}") };
        assert_eq!(request.get("empty"), Some(" folded"));
        assert_eq!(seen[3..], [Seen::Packet(0, b"$\x00\x00\x00".to_vec())]);
    }

    #[test]
    fn every_bound_is_met_at_the_byte_that_exceeds_it() {
        let head = "RTSP/1.0 200 OK\r\n";
        let line = |length: usize| format!("{head}{}", "a".repeat(length));
        assert_eq!(excess(line(LINE_MAX).as_bytes()), None);
        assert_eq!(excess(line(LINE_MAX + 1).as_bytes()), Some(Excess::Line));
        assert_eq!(excess("R".repeat(LINE_MAX + 1).as_bytes()), Some(Excess::Line));
        let lines = |count: usize| format!("{head}{}", "a: b\r\n".repeat(count));
        assert_eq!(excess(lines(LINES_MAX - 1).as_bytes()), None);
        assert_eq!(excess(lines(LINES_MAX).as_bytes()), Some(Excess::Head));
        let long = format!("a: {}\r\n", "b".repeat(8000));
        assert_eq!(excess(format!("{head}{}", long.repeat(9)).as_bytes()), Some(Excess::Head));
        let announced = |length: &str| format!("{head}Content-Length: {length}\r\n\r\n");
        assert_eq!(excess(announced(&BODY_MAX.to_string()).as_bytes()), None);
        assert_eq!(excess(announced("8000000000").as_bytes()), Some(Excess::Body(8_000_000_000)));
        assert_eq!(excess(announced(&"9".repeat(99)).as_bytes()), Some(Excess::Body(u64::MAX)));
        assert_eq!(excess(announced("-1").as_bytes()), Some(Excess::Length));
        assert_eq!(
            excess(format!("{head}Content-Length: 1\r\n{}", &announced("2")[17..]).as_bytes()),
            Some(Excess::Length)
        );
        assert_eq!(excess("\r\n".repeat(BLANK_MAX).as_bytes()), Some(Excess::Unknown));
        assert_eq!(excess(b"HTTP/1.1 400 Bad Request\r\n"), Some(Excess::Http));
        for garbage in [&b"\x00\x01"[..], b"hello\r\n", b"NOTHING\r\n", b"\xff$"] {
            assert_eq!(excess(garbage), Some(Excess::Unknown), "{garbage:?}");
        }
    }

    /// Pieces of conversations, whole and bent.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let packet = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(channel, data)| {
            let length = (data.len() as u16).to_be_bytes();
            [&[b'$', channel][..], &length, &data].concat()
        });
        let message = (
            "(RTSP/1.0 [1-9][0-9]{2} [a-z]*|[A-Z_]{1,9} [a-z*]{1,9} RTSP/1.0)",
            "([A-Za-z-]{1,9}: ?[ -~]{0,20}\r?\n){0,5}",
            "[ -~]{0,40}",
        )
            .prop_map(|(start, headers, body)| {
                format!("{start}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
            });
        prop_oneof![
            4 => packet,
            4 => message,
            1 => Just(b"\r\n".to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..40),
            1 => (60_000_usize..=65_535).prop_map(|length| {
                [&[b'$', 0][..], &(length as u16).to_be_bytes(), &vec![7; length]].concat()
            }),
        ]
    }

    proptest! {
        #[test]
        fn whatever_way_bytes_are_split_the_events_are_the_same(
            pieces in prop::collection::vec(piece(), 0..12),
            portions in prop::collection::vec(prop_oneof![1_usize..20, 1_usize..3000], 0..2000),
        ) {
            let bytes = pieces.concat();
            prop_assert_eq!(read(&bytes, &portions), read(&bytes, &[]));
        }

        #[test]
        fn whole_conversations_are_never_refused(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..40)) {
            let framed: Vec<u8> = packets.iter().flat_map(|packet| {
                [&[b'$', 0][..], &(packet.len() as u16).to_be_bytes(), packet].concat()
            }).collect();
            let seen = read(&framed, &[777; 200]);
            prop_assert_eq!(seen.len(), packets.len());
        }
    }
}
