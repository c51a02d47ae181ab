//! Pictures cut into payloads: RFC 6184, RFC 7798, RFC 2435.

use super::loops::Codec;
use super::{Facts, Payload};

/// Largest payload.
pub(crate) const PAYLOAD_MAX: usize = 1300;

/// The payloads of a picture, the marker on the last one.
pub(crate) fn chunks(units: &[Vec<u8>], facts: &Facts) -> Vec<Payload> {
    let mut all: Vec<Vec<u8>> = match facts.stream.codec {
        Codec::Jpeg => units.iter().flat_map(|jpeg| jpeg_payloads(jpeg, true)).collect(),
        codec => units.iter().flat_map(|unit| fragments(unit, codec)).collect(),
    };
    let last = all.pop();
    let rest = all.into_iter().map(|bytes| Payload { bytes, mark: false });
    rest.chain(last.map(|bytes| Payload { bytes, mark: true })).collect()
}

/// A unit alone if it fits, else in fragments.
pub(crate) fn fragments(unit: &[u8], codec: Codec) -> Vec<Vec<u8>> {
    if unit.len() <= PAYLOAD_MAX {
        return vec![unit.to_vec()];
    }
    in_fragments(unit, codec, PAYLOAD_MAX)
}

/// A unit in fragments of `room` bytes, however small it is.
pub(crate) fn in_fragments(unit: &[u8], codec: Codec, room: usize) -> Vec<Vec<u8>> {
    let (head, kind, body) = match codec {
        Codec::H265 => (vec![unit[0] & 0x81 | 49 << 1, unit[1]], unit[0] >> 1 & 63, &unit[2..]),
        _ => (vec![unit[0] & 0xe0 | 28], unit[0] & 31, &unit[1..]),
    };
    let count = body.chunks(room).count();
    (0..)
        .zip(body.chunks(room))
        .map(|(n, piece)| {
            let begins = if n == 0 { 0x80 } else { 0 };
            let ends = if n + 1 == count { 0x40 } else { 0 };
            [&head[..], &[kind | begins | ends], piece].concat()
        })
        .collect()
}

/// STAP-A, or an aggregation packet of H.265, of several units.
pub(crate) fn aggregated(units: &[&[u8]], codec: Codec) -> Vec<u8> {
    let mut out = match codec {
        Codec::H265 => vec![48 << 1, 1],
        _ => vec![0x78],
    };
    for unit in units {
        out.extend(u16::try_from(unit.len()).unwrap().to_be_bytes());
        out.extend(*unit);
    }
    out
}

/// A JPEG as RFC 2435 has it; with both tables in the first packet, or with one for both.
pub(crate) fn jpeg_payloads(jpeg: &[u8], has_both: bool) -> Vec<Vec<u8>> {
    let (mut tables, mut size, mut sampling) = ([[0; 64]; 2], (0, 0), 1);
    let mut at = 2;
    loop {
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        let body = &jpeg[at + 4..at + 2 + length];
        match jpeg[at + 1] {
            0xdb => {
                for table in body.chunks(65) {
                    tables[usize::from(table[0] & 1)].copy_from_slice(&table[1..]);
                    if table[0] & 1 == 0 && body.len() == 65 {
                        tables[1] = tables[0];
                    }
                }
            }
            0xc0 => {
                let number = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
                size = (number(3), number(1));
                sampling = u8::from(body[7] == 0x22);
            }
            0xda => {
                at += 2 + length;
                break;
            }
            _ => {}
        }
        at += 2 + length;
    }
    let data = jpeg[at..].strip_suffix(b"\xff\xd9").unwrap_or(&jpeg[at..]);
    // Larger than 2040 does not fit, so such cameras send 0 and say the size in the description.
    let eighths = |pixels: u16| u8::try_from(pixels.div_ceil(8)).unwrap_or(0);
    let (width, height) = (eighths(size.0), eighths(size.1));
    let size = if width == 0 || height == 0 { [0, 0] } else { [width, height] };
    let (mut out, mut offset) = (Vec::new(), 0);
    while offset < data.len() {
        let mut payload = u32::try_from(offset).unwrap().to_be_bytes().to_vec();
        payload.extend([sampling, 255, size[0], size[1]]);
        if offset == 0 {
            payload.extend([0, 0, 0, if has_both { 128 } else { 64 }]);
            payload.extend(tables[0]);
            payload.extend(&tables[1][..if has_both { 64 } else { 0 }]);
        }
        let piece = &data[offset..data.len().min(offset + PAYLOAD_MAX - payload.len())];
        payload.extend(piece);
        offset += piece.len();
        out.push(payload);
    }
    out
}
