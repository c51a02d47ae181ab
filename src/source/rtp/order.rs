//! Packets put in order again, and a word where some are missing. Pure.
//!
//! Datagrams overtake one another on Wi-Fi and mesh links, so a packet that comes too early waits for those before it,
//! for a bounded time and number. What comes over a connection is in order already; there a number that leaps tells
//! that the camera itself left something out, and a number that goes back tells nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::packet::Packet;

/// How long a packet waits for one before it. Reordering on a local network takes a few milliseconds.
const PATIENCE: Duration = Duration::from_millis(60);

/// Most packets that wait; a keyframe in full has some hundred.
const HELD_MAX: usize = 64;

/// A number so far from the one that is due cannot be told from one behind it (RFC 3550 appendix A.1).
const HALF: u16 = 0x8000;

/// A packet so far behind is one that was late, or doubled. Farther, the camera has begun to count anew.
const LATE_MAX: u16 = 1000;

/// After so many packets in a row that all seem to be late, the camera has begun to count anew.
const LATE_IN_A_ROW: u32 = 20;

/// After so many packets in a row, each with the number that was due, a camera's numbers are believed.
const COUNTED: u32 = 8;

/// A stream that another one has replaced is not listened to again for so long: two that send at the same time are
/// not mixed.
const REPLACED: Duration = Duration::from_secs(2);

/// What is known of a packet's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketPlace {
    /// When it came.
    pub at: Instant,
    /// Something is missing before it.
    pub is_after_loss: bool,
}

/// A packet that waits.
#[derive(Debug)]
struct Held {
    sequence: u16,
    bytes: Vec<u8>,
    at: Instant,
}

/// Puts packets in order.
#[derive(Debug)]
pub struct PacketOrder {
    /// Over a connection nothing is overtaken.
    is_ordered: bool,
    /// The stream that is listened to.
    ssrc: Option<u32>,
    /// The one before it, and when it was replaced.
    replaced: Option<(u32, Instant)>,
    /// The number that is due.
    due: Option<u16>,
    /// In ascending order from the one that is due.
    held: VecDeque<Held>,
    late_in_a_row: u32,
    /// Packets in a row whose numbers were due.
    counted: u32,
    /// Something went missing.
    has_slipped: bool,
    /// Bytes came before the next packet that were none.
    is_doubtful: bool,
}

impl PacketOrder {
    /// Of packets that come over a connection, or as datagrams.
    pub fn new(is_ordered: bool) -> Self {
        Self {
            is_ordered,
            ssrc: None,
            replaced: None,
            due: None,
            held: VecDeque::new(),
            late_in_a_row: 0,
            counted: 0,
            has_slipped: false,
            is_doubtful: false,
        }
    }

    /// Bytes came before the next packet that are none. Whether a packet went with them its number tells, where the camera
    /// counts.
    pub fn slip(&mut self) {
        self.is_doubtful = true;
    }

    /// Takes a packet and the bytes it was read from; gives those whose turn has come.
    pub fn take(
        &mut self,
        packet: Packet<'_>,
        bytes: &[u8],
        at: Instant,
        out: &mut impl FnMut(&[u8], PacketPlace),
    ) {
        if !self.follow(packet, at, out) {
            return;
        }
        let ahead = packet.sequence.wrapping_sub(self.due.unwrap_or(packet.sequence));
        let does_count = self.counted >= COUNTED && ahead == 0;
        self.has_slipped |= std::mem::take(&mut self.is_doubtful) && !does_count;
        self.counted = if ahead == 0 { self.counted.saturating_add(1) } else { 0 };
        if self.is_ordered {
            // A number that goes back or stands still: some firmware counts to 32767, or not at all.
            self.has_slipped |= (1..HALF).contains(&ahead);
            self.give(packet.sequence, bytes, at, out);
        } else if ahead >= HALF {
            self.late_in_a_row += 1;
            if ahead.wrapping_neg() > LATE_MAX || self.late_in_a_row >= LATE_IN_A_ROW {
                self.release(out);
                self.has_slipped = true;
                self.give(packet.sequence, bytes, at, out);
            }
        } else if ahead == 0 {
            self.give(packet.sequence, bytes, at, out);
            self.follow_up(out);
        } else {
            self.hold(packet.sequence, bytes, at);
            if usize::from(ahead) > HELD_MAX || self.held.len() > HELD_MAX {
                self.skip(out);
            }
        }
    }

    /// When the first of those that wait has waited long enough.
    pub fn due_at(&self) -> Option<Instant> {
        self.held.iter().map(|held| held.at).min().map(|first| first + PATIENCE)
    }

    /// Gives those that have waited long enough, and what follows them.
    pub fn expire(&mut self, now: Instant, out: &mut impl FnMut(&[u8], PacketPlace)) {
        while self.due_at().is_some_and(|due| due <= now) {
            self.skip(out);
        }
    }

    /// Bytes that wait.
    pub fn held(&self) -> usize {
        self.held.iter().map(|held| held.bytes.len()).sum()
    }

    /// Whether this stream is the one that is listened to, which a new one is from its first packet on.
    fn follow(&mut self, packet: Packet<'_>, at: Instant, out: &mut impl FnMut(&[u8], PacketPlace)) -> bool {
        let ssrc = packet.ssrc;
        if self.ssrc == Some(ssrc) {
            return true;
        }
        if self.replaced.is_some_and(|(old, since)| old == ssrc && at < since + REPLACED) {
            return false;
        }
        if let Some(old) = self.ssrc {
            self.release(out);
            self.replaced = Some((old, at));
            // Some change their name and count on: then nothing is missing.
            self.has_slipped |= self.due != Some(packet.sequence);
        }
        (self.ssrc, self.due) = (Some(ssrc), None);
        true
    }

    fn hold(&mut self, sequence: u16, bytes: &[u8], at: Instant) {
        let due = self.due.unwrap_or(sequence);
        let distance = |sequence: u16| sequence.wrapping_sub(due);
        let place = self.held.partition_point(|held| distance(held.sequence) < distance(sequence));
        if self.held.get(place).is_none_or(|held| held.sequence != sequence) {
            self.held.insert(place, Held { sequence, bytes: bytes.to_vec(), at });
        }
    }

    /// Gives up what is missing before the first that waits.
    fn skip(&mut self, out: &mut impl FnMut(&[u8], PacketPlace)) {
        if let Some(first) = self.held.pop_front() {
            self.has_slipped = true;
            self.give(first.sequence, &first.bytes, first.at, out);
            self.follow_up(out);
        }
    }

    /// Gives those that wait for nothing any more.
    fn follow_up(&mut self, out: &mut impl FnMut(&[u8], PacketPlace)) {
        while self.held.front().is_some_and(|held| Some(held.sequence) == self.due)
            && let Some(next) = self.held.pop_front()
        {
            self.give(next.sequence, &next.bytes, next.at, out);
        }
    }

    /// Gives all that wait, with or without those before them.
    fn release(&mut self, out: &mut impl FnMut(&[u8], PacketPlace)) {
        while !self.held.is_empty() {
            self.skip(out);
        }
    }

    fn give(&mut self, sequence: u16, bytes: &[u8], at: Instant, out: &mut impl FnMut(&[u8], PacketPlace)) {
        self.due = Some(sequence.wrapping_add(1));
        self.late_in_a_row = 0;
        out(bytes, PacketPlace { at, is_after_loss: std::mem::take(&mut self.has_slipped) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(sequence: u16, ssrc: u32) -> Vec<u8> {
        let [high, low] = sequence.to_be_bytes();
        [&[0x80, 96, high, low, 0, 0, 0, 1][..], &ssrc.to_be_bytes(), &[0x41]].concat()
    }

    /// Numbers given, and whether something is missing before each.
    fn give(order: &mut PacketOrder, packets: &[(u16, u32)], at: Instant) -> Vec<(u16, bool)> {
        let mut given = Vec::new();
        for (sequence, ssrc) in packets {
            let bytes = packet(*sequence, *ssrc);
            order.take(Packet::parse(&bytes).unwrap(), &bytes, at, &mut |bytes, place| {
                given.push((Packet::parse(bytes).unwrap().sequence, place.is_after_loss));
            });
        }
        given
    }

    fn expire(order: &mut PacketOrder, now: Instant) -> Vec<(u16, bool)> {
        let mut given = Vec::new();
        order.expire(now, &mut |bytes, place| {
            given.push((Packet::parse(bytes).unwrap().sequence, place.is_after_loss));
        });
        given
    }

    fn of_one(numbers: &[u16]) -> Vec<(u16, u32)> {
        numbers.iter().map(|number| (*number, 1)).collect()
    }

    #[test]
    fn datagrams_that_changed_places_are_given_in_order_and_doubled_ones_once() {
        let given = give(
            &mut PacketOrder::new(false),
            &of_one(&[65534, 0, 65535, 65535, 3, 2, 1, 0, 4]),
            Instant::now(),
        );
        assert_eq!(given, [65534, 65535, 0, 1, 2, 3, 4].map(|number| (number, false)));
    }

    #[test]
    fn what_does_not_come_is_waited_for_no_longer_than_the_patience() {
        let (mut order, now) = (PacketOrder::new(false), Instant::now());
        assert_eq!(give(&mut order, &of_one(&[1, 3, 4, 6]), now), [(1, false)]);
        assert_eq!(order.due_at(), Some(now + PATIENCE));
        assert_eq!(expire(&mut order, now + PATIENCE / 2), []);
        assert_eq!(expire(&mut order, now + PATIENCE), [(3, true), (4, false), (6, true)]);
        assert_eq!(give(&mut order, &of_one(&[2, 5, 7]), now), [(7, false)], "too late");
        assert_eq!(order.held(), 0);
    }

    #[test]
    fn a_camera_that_counts_anew_is_followed() {
        let now = Instant::now();
        let given = give(&mut PacketOrder::new(false), &of_one(&[40_000, 5, 6]), now);
        assert_eq!(given, [(40_000, false), (5, true), (6, false)]);
        // Close behind, so that it looks late at first.
        let mut order = PacketOrder::new(false);
        give(&mut order, &of_one(&[500]), now);
        let numbers: Vec<u16> = (100..140).collect();
        let given = give(&mut order, &of_one(&numbers), now);
        assert_eq!((given[0], given.len()), ((119, true), 21));
    }

    #[test]
    fn a_new_stream_is_taken_over_and_the_old_one_not_mixed_in() {
        let now = Instant::now();
        for is_ordered in [true, false] {
            let given = give(&mut PacketOrder::new(is_ordered), &[(1, 1), (900, 2), (2, 1), (901, 2)], now);
            assert_eq!(given, [(1, false), (900, true), (901, false)], "{is_ordered}");
        }
        let mut order = PacketOrder::new(true);
        give(&mut order, &[(1, 1), (900, 2)], now);
        assert_eq!(give(&mut order, &[(2, 1)], now + REPLACED), [(2, true)], "it came back");
        let given = give(&mut PacketOrder::new(true), &[(1, 1), (2, 2), (3, 3)], now);
        assert_eq!(given, [1, 2, 3].map(|number| (number, false)), "it counts on under another name");
    }

    #[test]
    fn over_a_connection_a_number_that_leaps_is_a_loss_and_one_that_goes_back_or_stands_is_none() {
        let given =
            give(&mut PacketOrder::new(true), &of_one(&[1, 2, 5, 32_767, 0, 1, 1, 1, 2]), Instant::now());
        let lost: Vec<u16> = given.iter().filter(|(_, lost)| *lost).map(|(number, _)| *number).collect();
        assert_eq!((lost, given.len()), (vec![5, 32_767], 9));
    }

    #[test]
    fn bytes_that_are_no_packet_cost_nothing_where_the_numbers_go_on() {
        let now = Instant::now();
        let mut order = PacketOrder::new(true);
        order.slip();
        let given = give(&mut order, &of_one(&[1, 2]), now);
        assert_eq!(given, [(1, true), (2, false)], "nothing is known of the numbers yet");
        give(&mut order, &of_one(&[3, 4, 5, 6, 7, 8, 9, 10]), now);
        order.slip();
        assert_eq!(give(&mut order, &of_one(&[11]), now), [(11, false)]);
        order.slip();
        assert_eq!(give(&mut order, &of_one(&[13, 14]), now), [(13, true), (14, false)]);
        // Of one whose numbers stand still nothing can be known.
        let mut order = PacketOrder::new(true);
        give(&mut order, &of_one(&[5; 20]), now);
        order.slip();
        assert_eq!(give(&mut order, &of_one(&[5, 5]), now), [(5, true), (5, false)]);
    }

    proptest! {
        #[test]
        fn a_window_of_packets_in_any_order_comes_out_whole(
            start in any::<u16>(), swaps in prop::collection::vec((0_usize..200, 0_usize..20), 0..60),
        ) {
            let mut numbers: Vec<u16> = (0..200).map(|i| start.wrapping_add(i)).collect();
            // The first sets the count, so it stays.
            for (at, by) in swaps {
                let (a, b) = (at.max(1), (at + by).clamp(1, 199));
                if a / 20 == b / 20 {
                    numbers.swap(a, b);
                }
            }
            let given = give(&mut PacketOrder::new(false), &of_one(&numbers), Instant::now());
            let expected: Vec<_> = (0..200).map(|i| (start.wrapping_add(i), false)).collect();
            prop_assert_eq!(given, expected);
        }

        #[test]
        fn whatever_comes_little_is_held_and_nothing_is_given_twice_in_a_row(
            packets in prop::collection::vec((any::<u16>(), 0_u32..3), 0..300), is_ordered in any::<bool>(),
        ) {
            let mut order = PacketOrder::new(is_ordered);
            let given = give(&mut order, &packets, Instant::now());
            prop_assert!(order.held.len() <= HELD_MAX + 1);
            prop_assert!(given.len() <= packets.len());
        }
    }
}
