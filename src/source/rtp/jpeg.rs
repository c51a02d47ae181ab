//! JPEG pictures put together from their packets (RFC 2435). Pure.
//!
//! The packets carry the coded data, and of what stands in front of it in a file only numbers: size in eights of a
//! pixel, which layout, which tables. The file is written anew from these.

use std::time::{Duration, Instant};

use super::assembly::Assembled;
use super::order::PacketPlace;
use super::packet::Packet;
use super::tables;

/// Bytes before the data, and those of restart markers and tables, where there are some.
const HEAD: usize = 8;
const RESTART: usize = 4;
const TABLES: usize = 4;

/// Bytes of one quantisation table of eight bits.
const TABLE: usize = 64;

/// A size that does not fit into a byte of eights is sent as what is left of it (RFC 2435 section 3.1.5 and 3.1.6).
const SIDE_MAX: u32 = 2040;

/// A picture whose marker has come and whose end has not, has ended when nothing has followed for so long.
const SETTLED: Duration = Duration::from_millis(60);

/// Profiles of the header extension in which ONVIF cameras put the head of a JPEG whose size does not fit (ONVIF
/// Streaming Specification, section 5.1.3.1.1).
const ONVIF: [u16; 2] = [0xffd8, 0xffff];

/// A picture that has begun.
#[derive(Debug)]
struct Open {
    time: u32,
    began_at: Instant,
    newest_at: Instant,
    data: Vec<u8>,
    head: Head,
    is_damaged: bool,
    is_after_loss: bool,
    is_marked: bool,
}

/// What the packets say in place of a file's head.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Head {
    /// 0 for 4:2:2, 1 for 4:2:0.
    layout: u8,
    /// Pixels; zero where they do not fit.
    size: (u32, u32),
    /// Units between restart markers, or 0.
    restart: u16,
    /// Quantisation tables, of 64 or 128 bytes each.
    tables: Vec<Vec<u8>>,
}

/// Puts pictures together.
#[derive(Debug, Default)]
pub struct JpegAssembly {
    open: Option<Open>,
    /// What the session description says of the size.
    described: Option<(u32, u32)>,
    /// Tables that were sent once for a number (RFC 2435 section 4.2).
    known: Vec<(u8, Vec<Vec<u8>>)>,
    is_after_loss: bool,
    has_no_size: bool,
}

impl JpegAssembly {
    /// Nothing has come; the session description says this of the size.
    pub fn new(described: Option<(u32, u32)>) -> Self {
        Self { described, ..Self::default() }
    }

    /// Bytes that are kept.
    pub fn held(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.data.len())
    }

    /// Whether pictures come whose size does not fit into RTP and is said nowhere else.
    pub fn has_no_size(&self) -> bool {
        self.has_no_size
    }

    /// The next packet in order; gives the pictures that have ended.
    pub fn take(&mut self, packet: Packet<'_>, place: PacketPlace, out: &mut impl FnMut(Assembled)) {
        self.is_after_loss |= place.is_after_loss;
        let Some((offset, head, data)) = self.read(packet) else { return };
        if offset == 0 {
            self.end(out);
            let Some(head) = head else { return };
            self.open = Some(Open {
                time: packet.time,
                began_at: place.at,
                newest_at: place.at,
                data: data.to_vec(),
                head,
                is_damaged: false,
                is_after_loss: std::mem::take(&mut self.is_after_loss),
                is_marked: packet.mark,
            });
        } else {
            // The rest of a picture that has not begun.
            let Some(open) = &mut self.open else { return };
            if offset != open.data.len() {
                open.is_damaged = true;
            }
            open.data.extend_from_slice(data);
            (open.newest_at, open.is_marked) = (place.at, packet.mark);
        }
        // The marker alone is not believed: some put it on every packet.
        if self.open.as_ref().is_some_and(|open| open.is_marked && open.data.ends_with(&[0xff, 0xd9])) {
            self.end(out);
        }
    }

    /// When what has come is taken for a whole picture, if nothing else comes.
    pub fn due_at(&self) -> Option<Instant> {
        self.open.as_ref().filter(|open| open.is_marked).map(|open| open.newest_at + SETTLED)
    }

    /// Gives what nothing has followed for long enough.
    pub fn expire(&mut self, now: Instant, out: &mut impl FnMut(Assembled)) {
        if self.due_at().is_some_and(|due| due <= now) {
            self.end(out);
        }
    }

    /// Offset, head if it is the first packet and says enough, and data of a packet.
    fn read<'a>(&mut self, packet: Packet<'a>) -> Option<(usize, Option<Head>, &'a [u8])> {
        let (head, mut rest) = packet.payload.split_at_checked(HEAD)?;
        let &[_, a, b, c, kind, quality, width, height] = head else { return None };
        let offset = usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
        let mut restart = 0;
        if kind & 0x40 != 0 {
            let (marker, after) = rest.split_at_checked(RESTART)?;
            (restart, rest) = (u16::from_be_bytes([marker[0], marker[1]]), after);
        }
        if offset > 0 {
            return Some((offset, None, rest));
        }
        let tables = if quality < 128 {
            Some(tables::of_quality(quality))
        } else {
            let (about, after) = rest.split_at_checked(TABLES)?;
            let (bytes, after) =
                after.split_at_checked(usize::from(u16::from_be_bytes([about[2], about[3]])))?;
            rest = after;
            self.tables(quality, about[1], bytes)
        };
        let size = self.size(packet, (u32::from(width) * 8, u32::from(height) * 8));
        let head = tables.map(|tables| Head { layout: kind & 0x3f, size, restart, tables });
        Some((0, head, rest))
    }

    /// The quantisation tables of a packet: those in it, or those that came before with this number.
    fn tables(&mut self, number: u8, precision: u8, mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut tables = Vec::new();
        // One is enough: grey cameras and encoders that use it for colour, too, send no second.
        while !bytes.is_empty() && tables.len() < 4 {
            let length = TABLE << (precision >> tables.len() & 1);
            let (table, after) = bytes.split_at_checked(length)?;
            tables.push(table.to_vec());
            bytes = after;
        }
        let known = self.known.iter().position(|(known, _)| *known == number);
        if tables.is_empty() {
            return known.map(|at| self.known[at].1.clone());
        }
        // 255 is for tables that change (RFC 2435 section 3.1.8).
        match known {
            Some(at) => self.known[at].1.clone_from(&tables),
            None if number != 255 => self.known.push((number, tables.clone())),
            None => {}
        }
        Some(tables)
    }

    /// The size of a picture, from what its packet says and, where that does not fit into a byte, what else is said.
    fn size(&self, packet: Packet<'_>, said: (u32, u32)) -> (u32, u32) {
        let extended = packet.extension.filter(|(profile, _)| ONVIF.contains(profile));
        if let Some(size) = extended.and_then(|(_, bytes)| size_in_segments(bytes)) {
            return size;
        }
        // What is left of the described size, or nothing at all.
        let fits = |described: u32, said: u32| said == 0 || described.div_ceil(8) * 8 % 2048 == said % 2048;
        match self.described {
            Some((width, height))
                if width.max(height) > SIDE_MAX && fits(width, said.0) && fits(height, said.1) =>
            {
                (width, height)
            }
            Some((width, height)) if said.0 == 0 || said.1 == 0 => (width, height),
            _ => said,
        }
    }

    fn end(&mut self, out: &mut impl FnMut(Assembled)) {
        let Some(open) = self.open.take() else { return };
        // Some send the file as it is, head and all.
        let is_file = open.data.starts_with(&[0xff, 0xd8]);
        if !is_file && (open.head.size.0 == 0 || open.head.size.1 == 0) {
            self.has_no_size = true;
            return;
        }
        let data = if is_file { open.data } else { file(&open.head, &open.data) };
        out(Assembled {
            time: open.time,
            began_at: open.began_at,
            data,
            is_damaged: open.is_damaged,
            is_after_loss: open.is_after_loss,
            has_new_sets: false,
        });
    }
}

/// The size in the segments of a JPEG's head.
fn size_in_segments(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut rest = bytes;
    while let [0xff, marker, after @ ..] = rest {
        rest = match (marker, after) {
            (0xd8 | 0xff, _) => {
                if *marker == 0xff {
                    &rest[1..]
                } else {
                    after
                }
            }
            (0xc0..=0xc2, [_, _, _, h, eight, w, one, ..]) => {
                return Some((
                    u32::from(u16::from_be_bytes([*w, *one])),
                    u32::from(u16::from_be_bytes([*h, *eight])),
                ));
            }
            (_, [high, low, ..]) => after.get(usize::from(u16::from_be_bytes([*high, *low])).max(2)..)?,
            _ => return None,
        };
    }
    None
}

/// A JPEG file (ITU-T T.81 annex B) around coded data.
fn file(head: &Head, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 700);
    out.extend_from_slice(&[0xff, 0xd8]);
    for (number, table) in (0_u8..).zip(&head.tables) {
        let precision = u8::from(table.len() > TABLE) << 4;
        segment(&mut out, 0xdb, &[&[precision | number], table.as_slice()]);
    }
    if head.restart > 0 {
        segment(&mut out, 0xdd, &[&head.restart.to_be_bytes()]);
    }
    let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX).to_be_bytes();
    let chroma = u8::from(head.tables.len() > 1);
    let sampling = if head.layout == 0 { 0x21 } else { 0x22 };
    let components = [3, 1, sampling, 0, 2, 0x11, chroma, 3, 0x11, chroma];
    segment(&mut out, 0xc0, &[&[8], &side(head.size.1), &side(head.size.0), &components]);
    for (number, lengths, values) in tables::HUFFMAN {
        segment(&mut out, 0xc4, &[&[number], &lengths, values]);
    }
    segment(&mut out, 0xda, &[&[3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0]]);
    out.extend_from_slice(data);
    if !data.ends_with(&[0xff, 0xd9]) {
        out.extend_from_slice(&[0xff, 0xd9]);
    }
    out
}

fn segment(out: &mut Vec<u8>, marker: u8, parts: &[&[u8]]) {
    let length = parts.iter().map(|part| part.len()).sum::<usize>() + 2;
    out.extend_from_slice(&[0xff, marker]);
    out.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::jpeg::inspect;
    use crate::media::scan;
    use proptest::prelude::*;

    /// A payload: offset, layout with the bit of restart markers, quality, size in eights, what follows.
    fn payload(offset: u32, kind: u8, quality: u8, size: (u8, u8), rest: &[u8]) -> Vec<u8> {
        let [_, a, b, c] = offset.to_be_bytes();
        [&[0, a, b, c, kind, quality, size.0, size.1][..], rest].concat()
    }

    fn give(pictures: &mut JpegAssembly, packets: &[(u32, bool, Vec<u8>)]) -> Vec<Assembled> {
        let (mut given, at) = (Vec::new(), Instant::now());
        for (time, mark, payload) in packets {
            let packet = Packet {
                mark: *mark,
                payload_type: 26,
                sequence: 0,
                time: *time,
                ssrc: 0,
                extension: None,
                payload,
            };
            pictures
                .take(packet, PacketPlace { at, is_after_loss: false }, &mut |picture| given.push(picture));
        }
        pictures.expire(at + SETTLED, &mut |picture| given.push(picture));
        given
    }

    #[test]
    fn a_picture_comes_out_as_a_file_that_says_its_size_and_layout() {
        // Grey of 16 by 16 pixels in 4:2:0: four means of 0 and nothing else, then of both colours.
        let data = [0x28, 0xa2, 0x8a, 0x00, 0x0f];
        let packets = [
            (0, false, payload(0, 1, 50, (2, 2), &data[..2])),
            (0, true, payload(2, 1, 50, (2, 2), &data[2..])),
        ];
        let given = give(&mut JpegAssembly::new(None), &packets);
        let [picture] = given.as_slice() else { panic!("{given:?}") };
        assert_eq!(inspect(&picture.data).unwrap(), (16, 16));
        assert!(picture.data.ends_with(&[0xff, 0xd9]) && !picture.is_damaged);
        assert!(scan::walk(&picture.data).is_some());
    }

    #[test]
    fn one_table_is_enough_and_tables_are_remembered_by_their_number() {
        let table = [&[0, 0, 0, 64][..], &[3; 64]].concat();
        let mut pictures = JpegAssembly::new(None);
        let given =
            give(&mut pictures, &[(0, true, payload(0, 1, 200, (2, 2), &[&table[..], &[9]].concat()))]);
        assert_eq!(given[0].data.windows(2).filter(|two| *two == [0xff, 0xdb]).count(), 1);
        // Sent without any, later.
        let again = give(&mut pictures, &[(1, true, payload(0, 1, 200, (2, 2), &[0, 0, 0, 0, 9]))]);
        assert_eq!(again[0].data, given[0].data);
        let unknown = give(&mut pictures, &[(2, true, payload(0, 1, 201, (2, 2), &[0, 0, 0, 0, 9]))]);
        assert_eq!(unknown, []);
    }

    #[test]
    fn sizes_that_do_not_fit_are_taken_from_elsewhere() {
        let size = |described, said| {
            let given = give(&mut JpegAssembly::new(described), &[(0, true, payload(0, 1, 50, said, &[9]))]);
            given.first().map(|picture| inspect(&picture.data).unwrap())
        };
        assert_eq!(size(Some((2560, 1440)), (0, 0)), Some((2560, 1440)));
        // 2560 is 320 eights, of which a byte keeps 64 (OrbbecSDK 46).
        assert_eq!(size(Some((2560, 1440)), (64, 180)), Some((2560, 1440)));
        assert_eq!(size(Some((2560, 1440)), (80, 60)), Some((640, 480)), "another stream after all");
        assert_eq!(size(None, (80, 60)), Some((640, 480)));
        assert_eq!(size(None, (0, 0)), None);
        let segments = [0xff, 0xd8, 0xff, 0xdb, 0, 2, 0xff, 0xc0, 0, 17, 8, 0x05, 0xa0, 0x0a, 0x00, 3];
        assert_eq!(size_in_segments(&segments), Some((2560, 1440)));
    }

    #[test]
    fn a_missing_part_damages_its_picture_and_a_marker_in_the_midst_does_not() {
        let mut pictures = JpegAssembly::new(None);
        let part = |offset, rest: &[u8]| payload(offset, 1, 50, (2, 2), rest);
        let given =
            give(&mut pictures, &[(0, false, part(0, &[1, 2])), (0, true, part(5, &[3, 0xff, 0xd9]))]);
        assert!(given[0].is_damaged);
        let given = give(&mut pictures, &[(1, true, part(0, &[1, 2])), (1, true, part(2, &[3, 0xff, 0xd9]))]);
        assert!(!given[0].is_damaged && given.len() == 1);
    }

    proptest! {
        #[test]
        fn any_packets_are_taken(packets in prop::collection::vec(
            (0_u32..3, any::<bool>(), prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..3], 0..60)), 0..40)) {
            for picture in give(&mut JpegAssembly::new(None), &packets) {
                prop_assert!(picture.data.starts_with(&[0xff, 0xd8]));
            }
        }

        #[test]
        fn any_segments_are_read(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = size_in_segments(&[&[0xff, 0xd8], &bytes[..]].concat());
        }
    }
}
