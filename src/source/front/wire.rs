//! What a camera sends over its connection, cut into messages and packets (RFC 2326 section 10.12), with a bound on
//! everything. Bytes go in, events come out; no clock, no input or output.
//!
//! Nothing is allocated because of a length that was announced: a packet is at most what its two bytes of length can
//! say and lies in a buffer of fixed size, a header or body takes as much memory as bytes of it have come. What exceeds
//! a bound is an error at the first byte that does, and the reader is of no use any more.

use super::message::{MessageHead, NoStart, Start};
use super::slip::{self, FirstByte, PACKET_HEAD};

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

/// Bytes that are neither packet nor message, at a stretch, while a camera plays. The longest packet is lost 16 times.
pub const SLIP_MAX: usize = 1 << 20;

/// What is left behind a body whose length was said too small, bytes.
const REST_MAX: usize = 16 << 10;

/// Longest packet, with what stands in front of it.
const PACKET_MAX: usize = PACKET_HEAD + u16::MAX as usize;

/// First byte of an alert of TLS.
const TLS_ALERT: u8 = 21;

/// Room for the longest packet and some more, so that little has to be moved.
const BUFFER: usize = 2 * (64 << 10);

const _: () = assert!(PACKET_MAX + slip::AHEAD < BUFFER && LINE_MAX < BUFFER);

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub enum WireEvent<'a> {
    /// A packet.
    Packet {
        /// What it belongs to.
        channel: u8,
        /// As it came, with the four bytes in front.
        whole: &'a [u8],
    },
    /// A request or an answer, and its body.
    Message(MessageHead, Vec<u8>),
    /// So many bytes were neither; what follows is whole again.
    Slipped(usize),
}

/// Why what came is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireExcess {
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
    /// An alert of TLS (RFC 8446 section 6): the port wants an encrypted connection.
    Tls,
    /// More than [`SLIP_MAX`] bytes that are neither a packet nor a message.
    Slip,
    /// Neither a packet nor a message.
    Unknown,
}

#[derive(Debug)]
enum State {
    /// So many bytes of empty lines have passed since the last event.
    Between { blank: usize },
    /// Inside a head, of which so many bytes and lines have come.
    Head { head: Option<MessageHead>, bytes: usize, lines: usize },
    /// Inside a body of this length.
    Body { head: MessageHead, body: Vec<u8>, length: usize },
}

/// Cuts bytes into events.
#[derive(Debug)]
pub struct WireReader {
    buffer: Box<[u8]>,
    /// What has come and is not yet part of an event: `buffer[begin..end]`.
    begin: usize,
    end: usize,
    /// So far no end of a line was found, counted from `begin`.
    searched: usize,
    state: State,
    /// The camera plays on this channel and the one after it.
    channel: Option<u8>,
    /// So many bytes since the last event were nothing.
    slipped: usize,
    /// What stands at the begin is something again.
    is_found: bool,
    /// So many bytes may be left of the last body.
    rest: usize,
}

impl Default for WireReader {
    fn default() -> Self {
        let state = State::Between { blank: 0 };
        Self {
            buffer: vec![0; BUFFER].into(),
            begin: 0,
            end: 0,
            searched: 0,
            state,
            channel: None,
            slipped: 0,
            is_found: false,
            rest: 0,
        }
    }
}

impl WireReader {
    /// Where the next bytes may be put; never empty once [`WireReader::event`] has returned `None`.
    pub fn room(&mut self) -> &mut [u8] {
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
        } else if self.buffer.len() - self.begin < PACKET_MAX + slip::AHEAD {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes were put there.
    pub fn add(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
    }

    /// The camera plays on this channel: from now on what is neither a packet nor a message is passed over.
    pub fn expect(&mut self, channel: u8) {
        self.channel = Some(channel);
    }

    /// Whether a message has begun and only its body is not whole yet.
    pub fn is_inside_body(&self) -> bool {
        matches!(self.state, State::Body { .. })
    }

    /// The rest of a body is not awaited any more, since its length was said too large, or not at all; whether there is
    /// one, which is an event now.
    pub fn cut_short(&mut self) -> bool {
        let State::Body { body, length, .. } = &mut self.state else { return false };
        *length = body.len();
        true
    }

    /// Whether a message has begun and is not whole yet.
    pub fn is_inside_message(&self) -> bool {
        let begins = self.begin < self.end && self.buffer[self.begin] != b'$' && self.slipped == 0;
        !matches!(self.state, State::Between { .. }) || begins
    }

    /// Bytes of memory that what has come takes, beside the buffer.
    pub fn held(&self) -> usize {
        match &self.state {
            State::Between { .. } => 0,
            State::Head { head, .. } => head.as_ref().map_or(0, MessageHead::size),
            State::Body { head, body, .. } => head.size() + body.capacity(),
        }
    }

    /// The next event, or `None` while more bytes are needed for it.
    pub fn event(&mut self) -> Result<Option<WireEvent<'_>>, WireExcess> {
        loop {
            match &mut self.state {
                State::Between { .. } if self.channel.is_some() => match self.between()? {
                    Some(length) => {
                        let at = self.begin;
                        self.begin += length;
                        let whole = &self.buffer[at..at + length];
                        return Ok(Some(WireEvent::Packet { channel: whole[1], whole }));
                    }
                    None if matches!(self.state, State::Head { .. }) => {}
                    None if self.slipped > 0 && self.is_found => {
                        self.is_found = false;
                        return Ok(Some(WireEvent::Slipped(std::mem::take(&mut self.slipped))));
                    }
                    None => return Ok(None),
                },
                State::Between { blank } => {
                    let Some(&first) = self.buffer[self.begin..self.end].first() else { return Ok(None) };
                    match first {
                        // However much comes at once, so many bytes are passed over and no more.
                        not_a_packet if self.rest > 0 && not_a_packet != b'$' => {
                            match slip::look(&self.buffer[self.begin..self.end], 0, true) {
                                FirstByte::Message => {
                                    self.state = State::Head { head: None, bytes: 0, lines: 0 }
                                }
                                FirstByte::Nothing(count) => {
                                    let count = count.min(self.rest);
                                    self.begin += count;
                                    self.rest -= count;
                                }
                                FirstByte::Packet(_) | FirstByte::Blank | FirstByte::More => return Ok(None),
                            }
                        }
                        b'\r' | b'\n' | b' ' => {
                            *blank += 1;
                            if *blank > BLANK_MAX {
                                return Err(WireExcess::Unknown);
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
                            return Ok(Some(WireEvent::Packet { channel: whole[1], whole }));
                        }
                        b'A'..=b'Z' => self.state = State::Head { head: None, bytes: 0, lines: 0 },
                        TLS_ALERT => return Err(WireExcess::Tls),
                        _ => return Err(WireExcess::Unknown),
                    }
                }
                State::Head { .. } => {
                    let Some(line) = self.line()? else { return Ok(None) };
                    self.rest = 0;
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
                    let head =
                        MessageHead { start: head.start.clone(), headers: std::mem::take(&mut head.headers) };
                    let body = std::mem::take(body);
                    self.rest = if body.is_empty() { 0 } else { REST_MAX };
                    self.state = State::Between { blank: 0 };
                    return Ok(Some(WireEvent::Message(head, body)));
                }
            }
        }
    }

    /// What comes between events while the camera plays: the length of a packet, or nothing, when a message has begun,
    /// what slipped is to be told, or more bytes are needed.
    fn between(&mut self) -> Result<Option<usize>, WireExcess> {
        loop {
            let (Some(channel), State::Between { blank }) = (self.channel, &mut self.state) else {
                return Ok(None);
            };
            let come = &self.buffer[self.begin..self.end];
            if come.is_empty() {
                return Ok(None);
            }
            let look = match slip::look(come, channel, self.slipped > 0) {
                FirstByte::Blank if *blank >= BLANK_MAX => FirstByte::Nothing(1),
                look => look,
            };
            match look {
                FirstByte::Packet(_) | FirstByte::Message if self.slipped > 0 => {
                    self.is_found = true;
                    return Ok(None);
                }
                FirstByte::Packet(length) => {
                    *blank = 0;
                    return Ok(Some(length));
                }
                FirstByte::Message => {
                    self.state = State::Head { head: None, bytes: 0, lines: 0 };
                    return Ok(None);
                }
                FirstByte::Blank => {
                    *blank += 1;
                    self.begin += 1;
                }
                FirstByte::Nothing(count) => {
                    *blank = 0;
                    self.begin += count;
                    self.slipped += count;
                    if self.slipped > SLIP_MAX {
                        return Err(WireExcess::Slip);
                    }
                }
                FirstByte::More => return Ok(None),
            }
        }
    }

    /// The next line without its end. Old and hand-written servers end it with LF alone (OvenMediaEngine PR 1936).
    fn line(&mut self) -> Result<Option<String>, WireExcess> {
        let come = &self.buffer[self.begin..self.end];
        let end = come[self.searched..].iter().position(|byte| *byte == b'\n').map(|at| at + self.searched);
        if end.unwrap_or(come.len()) > LINE_MAX {
            return Err(WireExcess::Line);
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
    fn take_line(&mut self, line: &str) -> Result<Option<MessageHead>, WireExcess> {
        let State::Head { head, bytes, lines } = &mut self.state else { return Ok(None) };
        (*bytes, *lines) = (*bytes + line.len() + 2, *lines + 1);
        if *bytes > HEAD_MAX || *lines > LINES_MAX {
            return Err(WireExcess::Head);
        }
        match head {
            None => {
                let start = Start::parse(line).map_err(|none| match none {
                    NoStart::Http => WireExcess::Http,
                    NoStart::Unknown => WireExcess::Unknown,
                })?;
                *head = Some(MessageHead { start, headers: Vec::new() });
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

fn body_length(head: &MessageHead) -> Result<usize, WireExcess> {
    let mut lengths = head.all("Content-Length");
    let Some(text) = lengths.next() else {
        // A description without a length is as long as what comes of it.
        let has_body = head.get("Content-Type").is_some_and(|kind| kind.to_ascii_lowercase().contains("sdp"));
        return Ok(if has_body { BODY_MAX } else { 0 });
    };
    if lengths.any(|other| other != text)
        || text.is_empty()
        || !text.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(WireExcess::Length);
    }
    // Digits that do not fit are a number all the same.
    let length = text.parse::<u64>().unwrap_or(u64::MAX);
    usize::try_from(length).ok().filter(|length| *length <= BODY_MAX).ok_or(WireExcess::Body(length))
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
