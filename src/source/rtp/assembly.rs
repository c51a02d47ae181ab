//! Access units of H.264 and H.265 put together from the pieces of their packets. Pure.
//!
//! What belongs together has one RTP time; the marker says that a picture has ended, so that nobody has to wait for the
//! next one. Neither holds for every camera: some mark every slice (OpenIPC, in smolrtsp PR 43), some none, some stamp
//! all pictures alike. So a marker is believed only after pictures have ended where it said, and where the time stands
//! still a picture ends where the next one begins.

use std::time::{Duration, Instant};

use super::marker::Markers;
use super::nal::{Format, Piece};
use super::order::PacketPlace;
use super::packet::Packet;
use super::sets::Sets;
use crate::media::h264::nal_units;
use crate::media::unit::kind;

/// What came without a picture is kept for the next one up to this size: messages, parameter sets.
const CARRIED_MAX: usize = 64 << 10;

/// A picture whose marker is not yet believed has ended when nothing has followed for so long.
const SETTLED: Duration = Duration::from_millis(60);

/// Slices of one picture come within this time; what begins a picture later begins the next one, whatever its stamp.
const STANDING: Duration = Duration::from_millis(600);

/// A coded picture as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// Its RTP time.
    pub time: u32,
    /// When its first packet came.
    pub began_at: Instant,
    /// Annex B byte stream; a JPEG file.
    pub data: Vec<u8>,
    /// A part of it is missing.
    pub is_damaged: bool,
    /// Something is missing before it.
    pub is_after_loss: bool,
    /// It brought parameter sets that were not known.
    pub has_new_sets: bool,
}

/// A unit that has begun.
#[derive(Debug)]
struct Open {
    unit: Assembled,
    /// When its newest packet came.
    newest_at: Instant,
    /// Where the NAL unit begins whose last part has not come.
    fragment: Option<usize>,
    has_picture: bool,
    /// Its newest packet said that it ends there.
    is_marked: bool,
}

/// Puts units together.
#[derive(Debug)]
pub struct Assembly {
    format: Format,
    sets: Sets,
    open: Option<Open>,
    /// What came without a picture.
    carried: Vec<u8>,
    /// Something is missing before what comes next.
    is_after_loss: bool,
    /// RTP time of the newest unit that was given.
    given: Option<u32>,
    markers: Markers,
    /// Time stamps do not tell pictures apart.
    is_standing: bool,
}

impl Assembly {
    /// Nothing has come but these parameter sets of the session description.
    pub fn new(format: Format, known: &[Vec<u8>], markers: Markers) -> Self {
        let mut sets = Sets::new(format);
        for nal in known {
            sets.put(nal);
        }
        Self {
            format,
            sets,
            open: None,
            carried: Vec::new(),
            is_after_loss: false,
            given: None,
            markers,
            is_standing: false,
        }
    }

    /// What markers are worth, for the next session with this camera.
    pub fn markers(&self) -> Markers {
        self.markers
    }

    /// Bytes that are kept.
    pub fn held(&self) -> usize {
        self.carried.len() + self.open.as_ref().map_or(0, |open| open.unit.data.len())
    }

    /// The next packet in order; gives the units that have ended.
    pub fn take(&mut self, packet: Packet<'_>, place: PacketPlace, out: &mut impl FnMut(Assembled)) {
        let mut first = None;
        self.format.pieces(packet.payload, &mut |piece| _ = first.get_or_insert(piece));
        let Some(first) = first else {
            // Of no known kind, but its number was counted and its marker may hold.
            self.is_after_loss |= place.is_after_loss;
            self.end_if_marked(packet, out);
            return;
        };
        self.separate(packet, place, first, out);
        let format = self.format;
        let is_after_loss = std::mem::take(&mut self.is_after_loss) || place.is_after_loss;
        let continues = self.given == Some(packet.time) && format.is_middle(first) && !is_after_loss;
        let open = self.open.get_or_insert_with(|| {
            if continues {
                // What was given as a picture was none yet.
                self.markers.refute();
            }
            Open::new(
                packet.time,
                place.at,
                continues || (is_after_loss && !format.is_begin(first)),
                is_after_loss,
            )
        });
        if is_after_loss && open.has_come() {
            open.tear();
        }
        open.newest_at = place.at;
        format.pieces(packet.payload, &mut |piece| open.add(format, piece));
        self.end_if_marked(packet, out);
    }

    /// When what has come is taken for a whole unit, if nothing else comes.
    pub fn due_at(&self) -> Option<Instant> {
        let open = self.open.as_ref()?;
        (open.is_marked && !self.markers.are_refuted()).then(|| open.newest_at + SETTLED)
    }

    /// Gives what nothing has followed for long enough.
    pub fn expire(&mut self, now: Instant, out: &mut impl FnMut(Assembled)) {
        if self.due_at().is_some_and(|due| due <= now) {
            self.end(out);
        }
    }

    /// Ends the unit under way where the next one begins.
    fn separate(
        &mut self,
        packet: Packet<'_>,
        place: PacketPlace,
        first: Piece<'_>,
        out: &mut impl FnMut(Assembled),
    ) {
        let Some(open) = &mut self.open else { return };
        let begins = self.format.is_begin(first);
        if packet.time != open.unit.time {
            if open.is_marked {
                self.markers.confirm();
            } else if place.is_after_loss {
                // Its last packets may be among the lost ones.
                open.unit.is_damaged = true;
            }
        } else if open.is_marked && self.format.is_middle(first) {
            self.markers.refute();
            open.is_marked = false;
            return;
        } else if open.is_marked && begins && open.has_picture {
            self.markers.confirm();
        } else if open.has_picture && begins && !open.is_marked {
            self.is_standing |= place.at.saturating_duration_since(open.unit.began_at) > STANDING;
            if !self.is_standing {
                return;
            }
        } else {
            return;
        }
        self.end(out);
    }

    fn end_if_marked(&mut self, packet: Packet<'_>, out: &mut impl FnMut(Assembled)) {
        let Some(open) = self.open.as_mut().filter(|open| open.unit.time == packet.time) else { return };
        // Parameter sets and messages may have markers of their own (rtph264pay of GStreamer, when a client joins).
        open.is_marked |= packet.mark && open.has_picture;
        if open.is_marked && open.has_picture && self.markers.are_believed() {
            self.end(out);
        }
    }

    /// The unit under way has ended.
    fn end(&mut self, out: &mut impl FnMut(Assembled)) {
        let Some(Open { mut unit, has_picture, .. }) = self.open.take() else { return };
        if !has_picture {
            // Messages and parameter sets that come alone, with a time and marker of their own (mediamtx PR 6051).
            self.is_after_loss |= unit.is_after_loss || unit.is_damaged;
            if self.carried.len() + unit.data.len() <= CARRIED_MAX {
                self.carried.append(&mut unit.data);
            }
            return;
        }
        if !self.carried.is_empty() {
            unit.data.splice(..0, self.carried.drain(..));
        }
        self.given = Some(unit.time);
        self.complete(&mut unit);
        out(unit);
    }

    /// Keeps the parameter sets of a unit, and puts all there are in front of one where decoding can begin.
    fn complete(&mut self, unit: &mut Assembled) {
        let mut has_sets = false;
        for nal in nal_units(&unit.data) {
            if self.sets.is_one(nal) {
                has_sets = true;
                unit.has_new_sets |= self.sets.put(nal);
            }
        }
        if kind(self.format.codec, &unit.data).starts.is_none() {
            return;
        }
        let mut data = Vec::with_capacity(self.sets.bytes() + unit.data.len());
        self.sets.write(&mut data);
        if has_sets {
            for nal in nal_units(&unit.data).filter(|nal| !self.sets.is_one(nal)) {
                data.extend_from_slice(&[0, 0, 0, 1]);
                data.extend_from_slice(nal);
            }
        } else {
            data.append(&mut unit.data);
        }
        unit.data = data;
    }
}

impl Open {
    fn new(time: u32, at: Instant, is_damaged: bool, is_after_loss: bool) -> Self {
        let unit = Assembled {
            time,
            began_at: at,
            data: Vec::new(),
            is_damaged,
            is_after_loss,
            has_new_sets: false,
        };
        Self { unit, newest_at: at, fragment: None, has_picture: false, is_marked: false }
    }

    fn has_come(&self) -> bool {
        !self.unit.data.is_empty()
    }

    /// Packets are missing in the midst of it.
    fn tear(&mut self) {
        self.unit.is_damaged = true;
        if let Some(begin) = self.fragment.take() {
            self.unit.data.truncate(begin);
        }
    }

    fn add(&mut self, format: Format, piece: Piece<'_>) {
        match piece {
            Piece::Whole(nal) => {
                self.begin(format, nal);
                self.fragment = None;
            }
            Piece::Part { head, begins: true, ends, body } => {
                let begin = self.unit.data.len();
                self.begin(format, &head[..format.head()]);
                self.unit.data.extend_from_slice(body);
                self.fragment = (!ends).then_some(begin);
            }
            Piece::Part { begins: false, ends, body, .. } => {
                // The unit it belongs to has not begun: torn, as after a lost packet (go2rtc 2490).
                if self.fragment.is_none() {
                    self.unit.is_damaged = true;
                    return;
                }
                self.unit.data.extend_from_slice(body);
                if ends {
                    self.fragment = None;
                }
            }
        }
    }

    /// Begins a NAL unit. One before it whose last part has no end bit was whole all the same, as its packets were.
    fn begin(&mut self, format: Format, nal: &[u8]) {
        self.has_picture |= nal.first().is_some_and(|first| format.is_picture(format.kind(*first)));
        self.unit.data.extend_from_slice(&[0, 0, 0, 1]);
        self.unit.data.extend_from_slice(nal);
    }
}

impl Format {
    /// Whether an access unit can begin with this.
    fn is_begin(self, piece: Piece<'_>) -> bool {
        match piece {
            Piece::Whole(nal) => self.begins_picture(nal),
            Piece::Part { begins: false, .. } => false,
            Piece::Part { head: [one, two], body, .. } => {
                let Some(third) = body.first() else { return false };
                match self.head() {
                    1 => self.begins_picture(&[one, *third]),
                    _ => self.begins_picture(&[one, two, *third]),
                }
            }
        }
    }

    /// Whether this is in the midst of a picture: a slice that is not the first one, or the rest of one.
    fn is_middle(self, piece: Piece<'_>) -> bool {
        let first = match piece {
            Piece::Whole(nal) => nal.first().copied(),
            Piece::Part { head, .. } => Some(head[0]),
        };
        first.is_some_and(|first| self.is_picture(self.kind(first))) && !self.is_begin(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::gop::Codec;
    use proptest::prelude::*;

    const H264: Format = Format { codec: Codec::H264, has_order: false };

    /// A packet: RTP time, marker, payload, whether something is missing before it.
    type Sent = (u32, bool, Vec<u8>, bool);

    fn sent(time: u32, mark: bool, payload: &[u8]) -> Sent {
        (time, mark, payload.to_vec(), false)
    }

    /// Packets come 10 ms apart.
    fn give(assembly: &mut Assembly, packets: &[Sent], start: Instant) -> Vec<Assembled> {
        let mut given = Vec::new();
        for (i, (time, mark, payload, is_after_loss)) in (0..).zip(packets) {
            let packet = Packet {
                mark: *mark,
                payload_type: 96,
                sequence: 0,
                time: *time,
                ssrc: 0,
                extension: None,
                payload,
            };
            let at = start + Duration::from_millis(10) * i;
            let place = PacketPlace { at, is_after_loss: *is_after_loss };
            assembly.take(packet, place, &mut |unit| given.push(unit));
        }
        given
    }

    fn fresh(markers: Markers) -> Assembly {
        Assembly::new(H264, &[], markers)
    }

    fn annex_b(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&[0, 0, 0, 1][..], nal].concat()).collect()
    }

    /// Time, bytes, damaged, after a loss.
    fn plain(units: &[Assembled]) -> Vec<(u32, Vec<u8>, bool, bool)> {
        units.iter().map(|unit| (unit.time, unit.data.clone(), unit.is_damaged, unit.is_after_loss)).collect()
    }

    const FIRST: [u8; 3] = [0x41, 0x9a, 1];
    const SECOND: [u8; 3] = [0x41, 0x4a, 2];
    const SEI: [u8; 3] = [6, 5, 0x80];

    #[test]
    fn believed_markers_end_a_picture_at_once_and_unknown_ones_with_the_next() {
        let packets: Vec<Sent> = (0..5).map(|i| sent(i * 3600, true, &FIRST)).collect();
        let mut assembly = fresh(Markers::default());
        assert_eq!(give(&mut assembly, &packets[..1], Instant::now()), []);
        assert_eq!(give(&mut assembly, &packets[1..4], Instant::now()).len(), 4, "the last one at once");
        let mut assembly = fresh(assembly.markers());
        assert_eq!(give(&mut assembly, &packets[4..], Instant::now()).len(), 1);
    }

    #[test]
    fn a_marker_on_parameter_sets_says_nothing_of_those_on_pictures() {
        // As rtph264pay of GStreamer sends them to a client that joins, and some cameras before every keyframe.
        let sets = sent(0, true, &[0x67, 66, 0, 30, 0x81]);
        let parts = fragments(&[&[0x41, 0x9a][..], &[7; 20]].concat(), 10);
        let last = parts.len() - 1;
        let picture = |time| parts.iter().enumerate().map(move |(i, part)| sent(time, i == last, part));
        let packets: Vec<Sent> =
            std::iter::once(sets.clone()).chain((0..4).flat_map(|i| picture(i * 3600))).collect();
        let mut assembly = fresh(Markers::default());
        let given = give(&mut assembly, &packets, Instant::now());
        assert_eq!(given.len(), 4, "the last one at once: {:?}", assembly.markers());
        assert!(given.iter().all(|unit| !unit.is_damaged));
        // Also once they are believed, and with a time of their own.
        let later = [vec![sent(14_399, true, &sets.2)], picture(14_400).collect()].concat();
        assert_eq!(give(&mut assembly, &later, Instant::now()).len(), 1);
    }

    #[test]
    fn an_unknown_marker_is_believed_when_nothing_follows() {
        let (mut assembly, start) = (fresh(Markers::default()), Instant::now());
        give(&mut assembly, &[sent(0, true, &FIRST)], start);
        let mut given = Vec::new();
        assembly.expire(start + SETTLED / 2, &mut |unit| given.push(unit));
        assert_eq!((given.len(), assembly.due_at()), (0, Some(start + SETTLED)));
        assembly.expire(start + SETTLED, &mut |unit| given.push(unit));
        assert_eq!((given.len(), assembly.due_at()), (1, None));
    }

    #[test]
    fn units_of_one_time_are_one_picture_whatever_is_marked() {
        let whole = |time| (time, annex_b(&[&FIRST, &SECOND]), false, false);
        // OpenIPC (smolrtsp PR 43) marks each slice, others none.
        for marks in [[true, true], [false, false], [false, true]] {
            let packets: Vec<Sent> = (0..4)
                .flat_map(|i| [sent(i * 3600, marks[0], &FIRST), sent(i * 3600, marks[1], &SECOND)])
                .collect();
            let given = give(&mut fresh(Markers::default()), &packets, Instant::now());
            let expected: Vec<_> = (0..4).map(|i| whole(i * 3600)).collect();
            assert_eq!(plain(&given), expected[..given.len()], "{marks:?}");
            assert!(given.len() >= 3, "{marks:?}");
        }
    }

    #[test]
    fn a_camera_that_begins_to_mark_every_slice_loses_one_picture() {
        let mut packets: Vec<Sent> = (0..4).map(|i| sent(i * 3600, true, &FIRST)).collect();
        packets.extend((4..8).flat_map(|i| [sent(i * 3600, true, &FIRST), sent(i * 3600, true, &SECOND)]));
        let mut assembly = fresh(Markers::default());
        let given = give(&mut assembly, &packets, Instant::now());
        let damaged: Vec<u32> = given.iter().filter(|unit| unit.is_damaged).map(|unit| unit.time).collect();
        assert_eq!((damaged, assembly.markers()), (vec![4 * 3600], Markers::Refuted));
        assert!(plain(&given).contains(&(6 * 3600, annex_b(&[&FIRST, &SECOND]), false, false)));
    }

    #[test]
    fn pictures_of_a_camera_without_time_stamps_are_told_apart() {
        // frigate 4131.
        let packets: Vec<Sent> =
            (0..4).flat_map(|_| [sent(0, false, &FIRST), sent(0, true, &SECOND)]).collect();
        let given = give(&mut fresh(Markers::default()), &packets, Instant::now());
        assert!(given.len() >= 3 && given.iter().all(|unit| unit.data == annex_b(&[&FIRST, &SECOND])));
        // Not even markers: after a while it is clear that the time stands still.
        let packets: Vec<Sent> =
            (0..200).flat_map(|_| [sent(0, false, &FIRST), sent(0, false, &SECOND)]).collect();
        let given = give(&mut fresh(Markers::default()), &packets, Instant::now());
        assert!(given.len() > 150 && given[1..].iter().all(|unit| unit.data == annex_b(&[&FIRST, &SECOND])));
    }

    #[test]
    fn messages_that_come_alone_belong_to_the_next_picture() {
        // A message with a time and marker of its own (mediamtx PR 6051), and one behind the slices.
        let packets: Vec<Sent> = (0..4)
            .flat_map(|i| {
                let time = i * 3600;
                [
                    sent(time - 1800 * u32::from(i > 0), true, &SEI),
                    sent(time, true, &FIRST),
                    sent(time, false, &SEI),
                ]
            })
            .collect();
        let given = give(&mut fresh(Markers::default()), &packets, Instant::now());
        assert!(
            given.len() >= 3
                && given.iter().all(|unit| unit.data.ends_with(&FIRST) || unit.data.ends_with(&SEI))
        );
        assert!(given.iter().all(|unit| !unit.is_damaged && unit.time % 3600 == 0), "{given:?}");
    }

    fn fragments(nal: &[u8], size: usize) -> Vec<Vec<u8>> {
        let parts: Vec<&[u8]> = nal[1..].chunks(size).collect();
        let last = parts.len() - 1;
        let flags = |i| if i == 0 { 0x80 } else { 0 } | if i == last { 0x40 } else { 0 };
        let head = |i: usize| [nal[0] & 0xe0 | 28, flags(i) | nal[0] & 31];
        parts.iter().enumerate().map(|(i, part)| [&head(i)[..], part].concat()).collect()
    }

    #[test]
    fn torn_units_damage_their_picture_and_nothing_else() {
        let nal: Vec<u8> = [&[0x41, 0x9a][..], &[7; 40]].concat();
        let parts = fragments(&nal, 10);
        let send = |time, parts: &[Vec<u8>]| -> Vec<Sent> {
            let last = parts.len() - 1;
            parts.iter().enumerate().map(|(i, part)| sent(time, i == last, part)).collect()
        };
        let mut assembly = fresh(Markers::Seen(9));
        // The stream begins in the middle of a unit (go2rtc 2490).
        let given = give(&mut assembly, &[send(0, &parts[2..]), send(1, &parts)].concat(), Instant::now());
        assert_eq!(plain(&given[given.len() - 1..]), [(1, annex_b(&[&nal]), false, true)]);
        assert_eq!(given.len(), 1, "what was torn shows nothing");
        // A fragment is missing.
        let mut torn = send(2, &parts);
        torn.remove(2);
        torn[2].3 = true;
        let given = give(&mut assembly, &[torn, send(3, &parts)].concat(), Instant::now());
        assert_eq!((given[0].is_damaged, given[1].is_damaged, given.len()), (true, false, 2));
        // The last one, with the marker: the loss is seen in the next picture, which is whole.
        let mut next = send(5, &parts);
        next[0].3 = true;
        let given = give(&mut assembly, &[send(4, &parts[..3])[..2].to_vec(), next].concat(), Instant::now());
        assert_eq!(given.iter().map(|unit| unit.is_damaged).collect::<Vec<_>>(), [true, false]);
        assert!(given[1].is_after_loss);
    }

    #[test]
    fn a_last_fragment_without_its_end_bit_is_one_if_nothing_is_missing() {
        let nal: Vec<u8> = [&[0x41, 0x9a][..], &[7; 20]].concat();
        let mut parts = fragments(&nal, 10);
        parts.last_mut().unwrap()[1] &= 0xbf;
        let packets: Vec<Sent> =
            parts.iter().enumerate().map(|(i, part)| sent(0, i + 1 == parts.len(), part)).collect();
        let given = give(&mut fresh(Markers::Seen(9)), &packets, Instant::now());
        assert_eq!(plain(&given), [(0, annex_b(&[&nal]), false, false)]);
    }

    #[test]
    fn all_parameter_sets_stand_before_a_keyframe_and_changed_ones_where_they_came() {
        let (sps, pps, other) = ([0x67, 66, 0, 30, 0x81], [0x68, 0x85], [0x68, 0x47]);
        let idr = [0x65, 0x88, 1];
        let known = [sps.to_vec(), pps.to_vec()];
        let mut assembly = Assembly::new(H264, &known, Markers::Seen(9));
        let given = give(&mut assembly, &[sent(0, true, &idr)], Instant::now());
        assert_eq!(given[0].data, annex_b(&[&sps, &pps, &idr]), "those of the description");
        let packets = [
            sent(1, false, &other),
            sent(1, true, &FIRST),
            sent(2, false, &[9, 0x10]),
            sent(2, false, &pps),
            sent(2, true, &idr),
        ];
        let given = give(&mut assembly, &packets, Instant::now());
        assert_eq!((given[0].data.clone(), given[0].has_new_sets), (annex_b(&[&other, &FIRST]), true));
        assert_eq!(given[1].data, annex_b(&[&sps, &pps, &other, &[9, 0x10], &idr]));
        assert!(!given[1].has_new_sets);
    }

    proptest! {
        /// Two slices a picture, in any sizes of packets, marked in any steady way.
        #[test]
        fn whatever_way_pictures_are_packed_they_come_out_whole(
            sizes in prop::collection::vec(1_usize..60, 8..20), part in 3_usize..30,
            marks in prop_oneof![Just([true, true]), Just([false, true]), Just([false, false])],
        ) {
            let slice = |first: bool, length: usize| -> Vec<u8> {
                [&[0x41, if first { 0x9a } else { 0x4a }][..], &vec![7; length]].concat()
            };
            let pictures: Vec<[Vec<u8>; 2]> =
                sizes.iter().map(|size| [slice(true, *size), slice(false, size / 2)]).collect();
            let mut packets = Vec::new();
            for (i, picture) in (0..).zip(&pictures) {
                for (nal, mark) in picture.iter().zip(marks) {
                    let parts = if nal.len() > part { fragments(nal, part) } else { vec![nal.clone()] };
                    let last = parts.len() - 1;
                    packets.extend(parts.iter().enumerate().map(|(j, part)| sent(i * 3600, mark && j == last, part)));
                }
            }
            let given = give(&mut fresh(Markers::default()), &packets, Instant::now());
            let expected: Vec<_> = (0..).zip(&pictures)
                .map(|(i, [a, b])| (i * 3600, annex_b(&[a, b]), false, false)).collect();
            prop_assert!(given.len() + 1 >= pictures.len());
            prop_assert_eq!(plain(&given), expected[..given.len()].to_vec());
        }

        #[test]
        fn whatever_comes_little_is_kept_beside_the_open_picture(
            packets in prop::collection::vec(
                (0_u32..4, any::<bool>(), prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..3], 0..40), any::<bool>()), 0..80),
            h265 in any::<bool>(),
        ) {
            let format = Format { codec: if h265 { Codec::H265 } else { Codec::H264 }, has_order: h265 };
            let mut assembly = Assembly::new(format, &[], Markers::default());
            let bytes: usize = packets.iter().map(|(_, _, payload, _)| payload.len() * 5 + 8).sum();
            let given = give(&mut assembly, &packets, Instant::now());
            prop_assert!(assembly.held() <= bytes);
            prop_assert!(given.iter().all(|unit| !unit.data.is_empty()));
        }
    }
}
