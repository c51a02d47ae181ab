//! Bytes as cameras send them.

use super::*;
use proptest::prelude::*;

/// What came out, as values of their own.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Packet(u8, Vec<u8>),
    Message(MessageHead, Vec<u8>),
    Slipped(usize),
    Excess(WireExcess),
}

/// Gives a reader these bytes in these portions.
fn read(bytes: &[u8], portions: &[usize]) -> Vec<Seen> {
    read_with(WireReader::default(), bytes, portions)
}

/// The same while the camera plays on channels 0 and 1.
fn read_playing(bytes: &[u8], portions: &[usize]) -> Vec<Seen> {
    let mut reader = WireReader::default();
    reader.expect(0);
    read_with(reader, bytes, portions)
}

fn read_with(mut reader: WireReader, bytes: &[u8], portions: &[usize]) -> Vec<Seen> {
    let (mut seen, mut rest) = (Vec::new(), bytes);
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
                Ok(Some(WireEvent::Packet { channel, whole })) => {
                    seen.push(Seen::Packet(channel, whole.to_vec()))
                }
                Ok(Some(WireEvent::Message(head, body))) => seen.push(Seen::Message(head, body)),
                Ok(Some(WireEvent::Slipped(count))) => seen.push(Seen::Slipped(count)),
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

fn excess(bytes: &[u8]) -> Option<WireExcess> {
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
    assert_eq!(excess(line(LINE_MAX + 1).as_bytes()), Some(WireExcess::Line));
    assert_eq!(excess("R".repeat(LINE_MAX + 1).as_bytes()), Some(WireExcess::Line));
    let lines = |count: usize| format!("{head}{}", "a: b\r\n".repeat(count));
    assert_eq!(excess(lines(LINES_MAX - 1).as_bytes()), None);
    assert_eq!(excess(lines(LINES_MAX).as_bytes()), Some(WireExcess::Head));
    let long = format!("a: {}\r\n", "b".repeat(8000));
    assert_eq!(excess(format!("{head}{}", long.repeat(9)).as_bytes()), Some(WireExcess::Head));
    let announced = |length: &str| format!("{head}Content-Length: {length}\r\n\r\n");
    assert_eq!(excess(announced(&BODY_MAX.to_string()).as_bytes()), None);
    assert_eq!(excess(announced("8000000000").as_bytes()), Some(WireExcess::Body(8_000_000_000)));
    assert_eq!(excess(announced(&"9".repeat(99)).as_bytes()), Some(WireExcess::Body(u64::MAX)));
    assert_eq!(excess(announced("-1").as_bytes()), Some(WireExcess::Length));
    assert_eq!(
        excess(format!("{head}Content-Length: 1\r\n{}", &announced("2")[17..]).as_bytes()),
        Some(WireExcess::Length)
    );
    assert_eq!(excess("\r\n".repeat(BLANK_MAX).as_bytes()), Some(WireExcess::Unknown));
    assert_eq!(excess(b"HTTP/1.1 400 Bad Request\r\n"), Some(WireExcess::Http));
    for garbage in [&b"\x00\x01"[..], b"hello\r\n", b"NOTHING\r\n", b"\xff$"] {
        assert_eq!(excess(garbage), Some(WireExcess::Unknown), "{garbage:?}");
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

#[test]
fn the_rest_of_a_body_is_passed_over_and_a_body_that_does_not_come_is_not_awaited() {
    // minisatip 1164: two empty lines before a body whose length is that of the body alone.
    let bytes = b"RTSP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n\r\n\r\nv=0\r\na=0RTSP/1.0 404 x\r\n\r\n";
    let seen = read(bytes, &[]);
    let [Seen::Message(..), Seen::Message(second, _)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(second.start, Start::Response { status: 404, reason: "x".to_owned() });
    for length in ["Content-Length: 900\r\n", "Content-Type: application/sdp\r\n"] {
        let mut reader = WireReader::default();
        let text = format!("RTSP/1.0 200 OK\r\n{length}\r\nv=0\r\n");
        assert!(!reader.cut_short());
        reader.room()[..text.len()].copy_from_slice(text.as_bytes());
        reader.add(text.len());
        assert_eq!(reader.event(), Ok(None));
        assert!(reader.is_inside_body() && reader.cut_short());
        assert!(
            matches!(reader.event(), Ok(Some(WireEvent::Message(_, body))) if body == b"v=0\r\n"),
            "{length}"
        );
    }
}

/// A packet of RTP on the first channel.
fn rtp(number: u8, length: usize) -> Vec<u8> {
    let payload = [&[0x80, 96, 0, number][..], &vec![number; length]].concat();
    [&[b'$', 0][..], &(payload.len() as u16).to_be_bytes(), &payload].concat()
}

#[test]
fn a_part_that_is_sent_twice_costs_nothing_and_one_that_is_left_out_its_packet() {
    let packets: Vec<_> = (1..6).map(|number| rtp(number, 900)).collect();
    let seen = |bytes: &[u8]| read_playing(bytes, &[1400; 9]);
    let whole = |number: usize| Seen::Packet(0, packets[number - 1].clone());
    // moonfire-nvr 302.
    let twice = [&packets[0][..], &packets[1][..500], &packets[1], &packets[2], &packets[3]].concat();
    assert_eq!(seen(&twice), [whole(1), Seen::Slipped(500), whole(2), whole(3), whole(4)]);
    let short = [&packets[0][..], &packets[1][..500], &packets[2], &packets[3], &packets[4]].concat();
    let after = seen(&short);
    assert!(
        after.ends_with(&[whole(4), whole(5)]) || after.ends_with(&[whole(3), whole(4)]),
        "{}",
        after.len()
    );
    assert!(after.iter().any(|one| matches!(one, Seen::Slipped(_))));
    let message = b"RTSP/1.0 200 OK\r\n\r\n";
    let junk = [&packets[0][..], b"junk $\x00\x00 RTS", message, &packets[1]].concat();
    let after = read_playing(&junk, &[]);
    assert!(
        matches!(&after[..], [_, Seen::Slipped(12), Seen::Message(..), Seen::Packet(..)]),
        "{}",
        after.len()
    );
}

#[test]
fn the_rest_of_a_body_has_an_end_however_it_comes() {
    let answer = b"RTSP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nv";
    for rest in [vec![7; REST_MAX + 1], vec![b'\n'; REST_MAX + BLANK_MAX + 1]] {
        let bytes = [&answer[..], &rest].concat();
        for portions in [&[][..], &[1; 30_000], &[900; 40]] {
            let seen = read(&bytes, portions);
            assert!(matches!(seen[..], [Seen::Message(..), Seen::Excess(WireExcess::Unknown)]), "{seen:?}");
        }
    }
}

#[test]
fn nonsense_without_end_is_not_read_for_ever() {
    let junk = vec![7; SLIP_MAX + 10];
    assert_eq!(read_playing(&junk, &[]), [Seen::Excess(WireExcess::Slip)]);
}

proptest! {
    /// Whatever stands between them, the packets after it are found, and nothing is lost before it.
    #[test]
    fn whatever_garbage_comes_the_packets_after_it_are_found(
        junk in prop::collection::vec(any::<u8>(), 0..3000),
        portions in prop::collection::vec(1_usize..3000, 0..100),
    ) {
        let before: Vec<_> = (1..4).map(|number| rtp(number, 700)).collect();
        // More than the longest packet that garbage may announce.
        let after: Vec<_> = (4..104).map(|number| rtp(number, 900)).collect();
        let bytes = [before.concat(), junk, after.concat()].concat();
        let seen = read_playing(&bytes, &portions);
        for (at, packet) in before.iter().enumerate() {
            prop_assert_eq!(&seen[at], &Seen::Packet(0, packet.clone()));
        }
        let last = Seen::Packet(0, after[99].clone());
        prop_assert!(seen.contains(&Seen::Packet(0, after[98].clone())), "{:?}", seen.last());
        prop_assert!(seen.last() == Some(&last) || seen.len() > 90);
    }

    /// What is whole is the same while the camera plays, in whatever portions it comes.
    #[test]
    fn whole_conversations_are_read_alike_while_playing(
        numbers in prop::collection::vec((1_u8..250, 12_usize..2000), 1..30),
        portions in prop::collection::vec(1_usize..3000, 0..200),
    ) {
        let message = b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi\r\n".to_vec();
        let pieces = numbers.iter().map(|(number, length)| match number % 9 {
            0 => message.clone(),
            _ => rtp(*number, *length),
        });
        let bytes = pieces.collect::<Vec<_>>().concat();
        prop_assert_eq!(read_playing(&bytes, &portions), read(&bytes, &[]));
    }

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
