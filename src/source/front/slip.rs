//! Where a packet or a message begins in what a camera sends while it plays (RFC 2326 section 10.12), and where one begins
//! again after bytes that are neither: firmware that is short of memory writes a part of a packet twice, or leaves one out
//! (moonfire-nvr 302, retina 80). Pure.

/// Bytes in front of a packet: `$`, channel, length.
pub const PACKET_HEAD: usize = 4;

/// Bytes behind an event that are looked at to judge it. As many as the longest begin of a message has.
pub const AHEAD: usize = 16;

/// What messages begin with: answers, and what a camera may ask.
const BEGINS: [&[u8]; 9] = [
    b"RTSP/",
    b"OPTIONS ",
    b"GET_PARAMETER ",
    b"SET_PARAMETER ",
    b"ANNOUNCE ",
    b"REDIRECT ",
    b"DESCRIBE ",
    b"TEARDOWN ",
    b"PLAY_NOTIFY ",
];

/// Bytes of the shortest RTP packet (RFC 3550 section 5.1), and of the shortest report.
const SHORTEST: (usize, usize) = (12, 4);

/// What stands at the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstByte {
    /// A packet of so many bytes with its head, all of which have come.
    Packet(usize),
    /// A message.
    Message,
    /// A byte of an empty line.
    Blank,
    /// So many bytes that are nothing.
    Nothing(usize),
    /// That cannot be said yet.
    More,
}

/// Whether something is there; `None` while that cannot be said.
type Fit = Option<bool>;

/// Looks at what has come, which is not empty. Packets are on `channel` and the one after it; others are believed only if
/// something begins behind them. So is everything after a slip.
pub fn look(bytes: &[u8], channel: u8, has_slipped: bool) -> FirstByte {
    match bytes[0] {
        b'$' => packet(bytes, channel, has_slipped),
        b'\r' | b'\n' | b' ' if !has_slipped => FirstByte::Blank,
        _ => match message(bytes) {
            Some(true) => FirstByte::Message,
            Some(false) => FirstByte::Nothing(1 + nothing(&bytes[1..])),
            None => FirstByte::More,
        },
    }
}

fn packet(bytes: &[u8], channel: u8, has_slipped: bool) -> FirstByte {
    let Some(length) = length(bytes) else { return FirstByte::More };
    let is_sure = match sure(bytes, channel) {
        Some(is_sure) => is_sure,
        None => return FirstByte::More,
    };
    if has_slipped && !is_sure {
        return FirstByte::Nothing(1);
    }
    if bytes.len() < length {
        return FirstByte::More;
    }
    let behind = &bytes[length..];
    if is_sure && !has_slipped {
        // It goes on at once; but if what follows has come already and is nothing, it may hold the begin of another.
        let is_odd = behind.first() != Some(&b'$') && begins(behind, false) == Some(false);
        let inside = is_odd.then(|| inside(bytes, length, channel)).flatten();
        return inside.map_or(FirstByte::Packet(length), FirstByte::Nothing);
    }
    match begins(behind, has_slipped) {
        Some(true) => FirstByte::Packet(length),
        Some(false) => FirstByte::Nothing(1),
        None => FirstByte::More,
    }
}

/// Where in a packet of this length another one begins that ends where something begins.
fn inside(bytes: &[u8], length: usize, channel: u8) -> Option<usize> {
    let is_whole = |at: &usize| {
        let rest = &bytes[*at..];
        let end = length_of_sure(rest, channel);
        end.is_some_and(|end| rest.len() > end && begins(&rest[end..], true) == Some(true))
    };
    (1..length).filter(|at| bytes[*at] == b'$').find(is_whole)
}

fn length_of_sure(bytes: &[u8], channel: u8) -> Option<usize> {
    length(bytes).filter(|_| sure(bytes, channel) == Some(true))
}

/// The length of a packet with its head.
fn length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.get(..PACKET_HEAD)?;
    Some(PACKET_HEAD + usize::from(u16::from_be_bytes([head[2], head[3]])))
}

/// Whether a packet is on one of our channels and looks like RTP or a report of version 2.
fn sure(bytes: &[u8], channel: u8) -> Fit {
    let shortest = match bytes.get(1)? {
        on if *on == channel => SHORTEST.0,
        on if *on == channel.saturating_add(1) => SHORTEST.1,
        _ => return Some(false),
    };
    if length(bytes)? < PACKET_HEAD + shortest {
        return Some(false);
    }
    Some(bytes.get(PACKET_HEAD)? >> 6 == 2)
}

/// Whether a packet or a message begins here.
fn begins(bytes: &[u8], has_slipped: bool) -> Fit {
    match bytes.first()? {
        b'$' => Some(bytes.get(PACKET_HEAD)? >> 6 == 2),
        b'\r' | b'\n' if !has_slipped => Some(true),
        _ => message(bytes),
    }
}

/// Whether a message begins here.
fn message(bytes: &[u8]) -> Fit {
    let is_begun = |begin: &&[u8]| {
        let count = begin.len().min(bytes.len());
        begin[..count] == bytes[..count]
    };
    BEGINS
        .iter()
        .find(|begin| is_begun(begin))
        .map_or(Some(false), |begin| (bytes.len() >= begin.len()).then_some(true))
}

/// How many bytes nothing can begin at.
fn nothing(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| matches!(byte, b'$' | b'A'..=b'Z')).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(channel: u8, payload: &[u8]) -> Vec<u8> {
        [&[b'$', channel][..], &(payload.len() as u16).to_be_bytes(), payload].concat()
    }

    fn rtp(fill: u8, length: usize) -> Vec<u8> {
        [&[0x80, 96][..], &vec![fill; length]].concat()
    }

    #[test]
    fn a_good_packet_goes_on_at_once_and_a_strange_one_when_something_follows() {
        let good = framed(0, &rtp(1, 40));
        assert_eq!(look(&good, 0, false), FirstByte::Packet(good.len()));
        assert_eq!(look(&good[..20], 0, false), FirstByte::More);
        assert_eq!(look(&good, 0, true), FirstByte::More, "after a slip something has to follow");
        assert_eq!(look(&[&good[..], &good].concat(), 0, true), FirstByte::Packet(good.len()));
        assert_eq!(look(&[&good[..], b"RTSP/1.0 200"].concat(), 0, true), FirstByte::Packet(good.len()));
        // Sound on a channel that nobody asked for, then video.
        let sound = framed(8, &rtp(2, 30));
        assert_eq!(look(&sound, 0, false), FirstByte::More);
        assert_eq!(look(&[&sound[..], &good].concat(), 0, false), FirstByte::Packet(sound.len()));
        assert_eq!(look(&[&sound[..], b"garbage"].concat(), 0, false), FirstByte::Nothing(1));
        let empty = framed(0, b"");
        assert_eq!(look(&[&empty[..], &good].concat(), 0, false), FirstByte::Packet(4));
    }

    #[test]
    fn what_is_nothing_is_passed_over_up_to_the_next_possible_begin() {
        assert_eq!(look(b"\x00\x01$\x00", 0, false), FirstByte::Nothing(2));
        assert_eq!(look(b"\r\n", 0, false), FirstByte::Blank);
        assert_eq!(look(b"\r\n\x00", 0, true), FirstByte::Nothing(3));
        assert_eq!(look(b"RTS", 0, false), FirstByte::More);
        assert_eq!(look(b"RTSP/1.0", 0, true), FirstByte::Message);
        assert_eq!(look(b"GET_PARAMETER rtsp://", 0, true), FirstByte::Message);
        assert_eq!(look(b"GARBAGE", 0, false), FirstByte::Nothing(1));
    }

    #[test]
    fn a_packet_whose_begin_was_sent_twice_is_found_in_itself() {
        let (twice, next) = (framed(0, &rtp(1, 900)), framed(0, &rtp(2, 900)));
        let bytes = [&twice[..500], &twice, &next].concat();
        assert_eq!(look(&bytes, 0, false), FirstByte::Nothing(500));
        assert_eq!(look(&bytes[500..], 0, true), FirstByte::Packet(twice.len()));
    }
}
