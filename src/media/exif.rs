//! The facts inside a picture or clip: EXIF 2.32 (CIPA DC-008), written with a thumbnail and read back.
//!
//! A picture tells by itself which camera took it, when, for what, how far from the edge, and which identity it has;
//! the folder of pictures is enough to rebuild the database. A JPEG carries the block in its first segment, a clip in a
//! box of its own.

use serde::{Deserialize, Serialize};

use crate::model::{CameraKey, Cause, DeviceName, ImageId, ImageKind, PictureFacts, PushFacts, UnixMs};

/// What is written into a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    /// What it is; its identity is `ImageUniqueID`.
    pub facts: PictureFacts,
    /// The camera's name for people.
    pub label: String,
    /// Seconds east of UTC at the site, for the times people read.
    pub utc_offset_s: i32,
}

/// The part of [`PictureFacts`] for programs, as JSON in `UserComment`.
#[derive(Serialize, Deserialize)]
struct Comment {
    camera: String,
    cause: String,
    edge_ms: i64,
    frame_offset_ms: Option<i64>,
    /// Not in pictures of the first version, which are all of the instant.
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    push: Option<PushComment>,
}

/// [`PushFacts`] in a [`Comment`].
#[derive(Serialize, Deserialize)]
struct PushComment {
    device: String,
    own_name: Option<String>,
    device_time: Option<String>,
    first_id: Option<String>,
}

impl PushComment {
    fn of(push: &PushFacts) -> Self {
        Self {
            device: push.device.to_string(),
            own_name: push.own_name.clone(),
            device_time: push.device_time.clone(),
            first_id: push.first_id.map(|id| id.to_string()),
        }
    }

    fn facts(self) -> Option<PushFacts> {
        Some(PushFacts {
            device: DeviceName::parse(&self.device).ok()?,
            own_name: self.own_name,
            device_time: self.device_time,
            first_id: self.first_id.as_deref().and_then(ImageId::parse),
        })
    }
}

/// `UserComment` begins with its character code.
const ASCII_CODE: &[u8; 8] = b"ASCII\0\0\0";

/// Start of the APP1 segment's payload.
const EXIF_HEADER: &[u8; 6] = b"Exif\0\0";

mod tag {
    pub(super) const IMAGE_DESCRIPTION: u16 = 0x010e;
    pub(super) const ORIENTATION: u16 = 0x0112;
    pub(super) const SOFTWARE: u16 = 0x0131;
    pub(super) const DATE_TIME: u16 = 0x0132;
    pub(super) const COMPRESSION: u16 = 0x0103;
    pub(super) const JPEG_OFFSET: u16 = 0x0201;
    pub(super) const JPEG_LENGTH: u16 = 0x0202;
    pub(super) const EXIF_IFD: u16 = 0x8769;
    pub(super) const EXIF_VERSION: u16 = 0x9000;
    pub(super) const DATE_TIME_ORIGINAL: u16 = 0x9003;
    pub(super) const OFFSET_TIME: u16 = 0x9010;
    pub(super) const OFFSET_TIME_ORIGINAL: u16 = 0x9011;
    pub(super) const USER_COMMENT: u16 = 0x9286;
    pub(super) const SUB_SEC_TIME_ORIGINAL: u16 = 0x9291;
    pub(super) const IMAGE_UNIQUE_ID: u16 = 0xa420;
}

/// Field types of TIFF 6.0.
mod kind {
    pub(super) const ASCII: u16 = 2;
    pub(super) const SHORT: u16 = 3;
    pub(super) const LONG: u16 = 4;
    pub(super) const UNDEFINED: u16 = 7;
}

struct Field {
    tag: u16,
    kind: u16,
    value: Vec<u8>,
}

/// The payload of an APP1 segment with `caption` and, if there is room, a thumbnail.
pub fn write(caption: &Caption, thumbnail: &[u8]) -> Vec<u8> {
    [EXIF_HEADER, &block(caption, thumbnail)[..]].concat()
}

/// The same for a picture that is kept as its camera made it, with how that has to be turned.
pub(super) fn write_over(caption: &Caption, orientation: Option<u16>) -> Vec<u8> {
    [EXIF_HEADER, &whole(caption, &[], orientation)[..]].concat()
}

/// The same without the segment's header: a TIFF structure that can lie in other files too.
pub fn block(caption: &Caption, thumbnail: &[u8]) -> Vec<u8> {
    whole(caption, thumbnail, None)
}

fn whole(caption: &Caption, thumbnail: &[u8], orientation: Option<u16>) -> Vec<u8> {
    let Caption { facts, label, utc_offset_s } = caption;
    let local = facts.taken_at().plus_ms(i64::from(*utc_offset_s) * 1000).rfc3339();
    let date = format!("{} {}", local[..10].replace('-', ":"), &local[11..19]);
    let zone = zone(*utc_offset_s);
    let distance = facts.frame_offset_ms.map_or(String::new(), |ms| format!(", {ms:+} ms from the edge"));
    let comment = Comment {
        camera: facts.camera.to_string(),
        cause: facts.cause.as_str().to_owned(),
        edge_ms: facts.edge_at.0,
        frame_offset_ms: facts.frame_offset_ms,
        kind: Some(facts.kind.as_str().to_owned()),
        note: facts.note.clone(),
        push: facts.push.as_ref().map(PushComment::of),
    };
    let mut user_comment = ASCII_CODE.to_vec();
    user_comment.extend(serde_json::to_vec(&comment).unwrap_or_default());

    let description = format!("{label} ({}){distance}", facts.camera);
    let turned =
        |value: u16| Field { tag: tag::ORIENTATION, kind: kind::SHORT, value: value.to_le_bytes().to_vec() };
    let mut main = vec![ascii(tag::IMAGE_DESCRIPTION, &description)];
    main.extend(orientation.map(turned));
    main.extend([
        ascii(tag::SOFTWARE, concat!("camera-capture ", env!("CARGO_PKG_VERSION"))),
        ascii(tag::DATE_TIME, &date),
        long(tag::EXIF_IFD, 0),
    ]);
    let exif = vec![
        Field { tag: tag::EXIF_VERSION, kind: kind::UNDEFINED, value: b"0232".to_vec() },
        ascii(tag::DATE_TIME_ORIGINAL, &date),
        ascii(tag::OFFSET_TIME, &zone),
        ascii(tag::OFFSET_TIME_ORIGINAL, &zone),
        Field { tag: tag::USER_COMMENT, kind: kind::UNDEFINED, value: user_comment },
        ascii(tag::SUB_SEC_TIME_ORIGINAL, &local[20..23]),
        ascii(tag::IMAGE_UNIQUE_ID, &facts.id.to_string()),
    ];
    let preview = vec![
        Field { tag: tag::COMPRESSION, kind: kind::SHORT, value: 6_u16.to_le_bytes().to_vec() },
        long(tag::JPEG_OFFSET, 0),
        long(tag::JPEG_LENGTH, u32::try_from(thumbnail.len()).unwrap_or(0)),
    ];
    layout(main, exif, preview, thumbnail)
}

fn layout(mut main: Vec<Field>, exif: Vec<Field>, mut preview: Vec<Field>, thumbnail: &[u8]) -> Vec<u8> {
    const TIFF_HEADER: usize = 8;
    let at = |offset: usize| u32::try_from(offset).unwrap_or(0).to_le_bytes().to_vec();
    let exif_at = TIFF_HEADER + size_of_directory(&main);
    let preview_at = exif_at + size_of_directory(&exif);
    let thumbnail_at = preview_at + size_of_directory(&preview);
    let fits = !thumbnail.is_empty() && EXIF_HEADER.len() + thumbnail_at + thumbnail.len() <= 65_500;
    if let Some(pointer) = main.last_mut() {
        pointer.value = at(exif_at);
    }
    preview[1].value = at(thumbnail_at);

    let mut out = b"II*\0".to_vec();
    out.extend_from_slice(&8_u32.to_le_bytes());
    directory(&mut out, TIFF_HEADER, &main, if fits { preview_at } else { 0 });
    directory(&mut out, exif_at, &exif, 0);
    if fits {
        directory(&mut out, preview_at, &preview, 0);
        out.extend_from_slice(thumbnail);
    }
    out
}

fn size_of_directory(fields: &[Field]) -> usize {
    let values: usize =
        fields.iter().filter(|field| field.value.len() > 4).map(|f| f.value.len().next_multiple_of(2)).sum();
    2 + fields.len() * 12 + 4 + values
}

/// Appends a directory that lies at `offset`, its long values right behind it.
fn directory(out: &mut Vec<u8>, offset: usize, fields: &[Field], next: usize) {
    let mut value_at = offset + 2 + fields.len() * 12 + 4;
    let mut values = Vec::new();
    let u32_of = |n: usize| u32::try_from(n).unwrap_or(0).to_le_bytes();
    out.extend_from_slice(&u16::try_from(fields.len()).unwrap_or(0).to_le_bytes());
    for field in fields {
        let unit = match field.kind {
            kind::SHORT => 2,
            kind::LONG => 4,
            _ => 1,
        };
        out.extend_from_slice(&field.tag.to_le_bytes());
        out.extend_from_slice(&field.kind.to_le_bytes());
        out.extend_from_slice(&u32_of(field.value.len() / unit));
        if field.value.len() <= 4 {
            let mut inline = field.value.clone();
            inline.resize(4, 0);
            out.extend_from_slice(&inline);
        } else {
            out.extend_from_slice(&u32_of(value_at));
            values.extend_from_slice(&field.value);
            values.resize(values.len().next_multiple_of(2), 0);
            value_at += field.value.len().next_multiple_of(2);
        }
    }
    out.extend_from_slice(&u32_of(next));
    out.extend_from_slice(&values);
}

fn ascii(tag: u16, text: &str) -> Field {
    // EXIF text is seven-bit; a label in another script would otherwise show as garbage.
    let mut value: Vec<u8> =
        text.chars().map(|c| if c.is_ascii() && !c.is_ascii_control() { c as u8 } else { b'?' }).collect();
    value.push(0);
    Field { tag, kind: kind::ASCII, value }
}

fn long(tag: u16, value: u32) -> Field {
    Field { tag, kind: kind::LONG, value: value.to_le_bytes().to_vec() }
}

fn zone(utc_offset_s: i32) -> String {
    let sign = if utc_offset_s < 0 { '-' } else { '+' };
    let minutes = utc_offset_s.unsigned_abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// What is written inside a JPEG that this program wrote; `None` for any other.
pub fn read(jpeg: &[u8]) -> Option<Caption> {
    Tiff::of(jpeg)?.caption()
}

/// What stands in the payload of an APP1 segment that this program wrote; `None` for any other.
pub(super) fn read_segment(payload: &[u8]) -> Option<Caption> {
    read_block(payload.strip_prefix(EXIF_HEADER)?)
}

/// What stands in what [`block`] wrote.
pub fn read_block(block: &[u8]) -> Option<Caption> {
    Tiff::of_block(block)?.caption()
}

/// The thumbnail inside a JPEG, if it has one that looks like a JPEG.
pub fn thumbnail(jpeg: &[u8]) -> Option<&[u8]> {
    Tiff::of(jpeg)?.thumbnail()
}

/// The thumbnail in what [`block`] wrote.
pub fn thumbnail_in_block(block: &[u8]) -> Option<&[u8]> {
    Tiff::of_block(block)?.thumbnail()
}

/// How a JPEG of any maker has to be turned to stand upright, 1 (not at all) to 8, if it says so (`Orientation`): phones
/// that serve as cameras write pictures as their sensor lies.
pub fn orientation(jpeg: &[u8]) -> Option<u16> {
    let tiff = AnyTiff::of(jpeg)?;
    tiff.u16(tiff.value(tiff.u32(4)?, tag::ORIENTATION)?).filter(|value| (1..=8).contains(value))
}

/// When a JPEG of any maker says that it was taken (`DateTimeOriginal`, else `DateTime`), by the clock of its camera, such as
/// `2024-01-01 12:00:00`. Nothing says of which zone; a camera whose clock was never set says what it likes.
pub fn own_time(jpeg: &[u8]) -> Option<String> {
    let tiff = AnyTiff::of(jpeg)?;
    let main = tiff.u32(4)?;
    let inner = tiff.value(main, tag::EXIF_IFD).and_then(|at| tiff.u32(at));
    let original = inner.and_then(|inner| tiff.value(inner, tag::DATE_TIME_ORIGINAL));
    let at = usize::try_from(tiff.u32(original.or_else(|| tiff.value(main, tag::DATE_TIME))?)?).ok()?;
    let text = tiff.block.get(at..at.checked_add(19)?)?;
    let is_like = |(byte, like): (&u8, &u8)| if *like == b'0' { byte.is_ascii_digit() } else { byte == like };
    if !text.iter().zip(b"0000:00:00 00:00:00").all(is_like) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    Some(format!("{} {}", text[..10].replace(':', "-"), &text[11..]))
}

/// The first EXIF block of a JPEG of any maker, in either order of bytes; every access is checked.
struct AnyTiff<'a> {
    block: &'a [u8],
    is_big_endian: bool,
}

impl<'a> AnyTiff<'a> {
    fn of(jpeg: &'a [u8]) -> Option<Self> {
        let block = exif_block(jpeg)?;
        match block.first_chunk()? {
            b"II*\0" => Some(Self { block, is_big_endian: false }),
            b"MM\0*" => Some(Self { block, is_big_endian: true }),
            _ => None,
        }
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let two = *self.block.get(at..)?.first_chunk()?;
        Some(if self.is_big_endian { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let four = *self.block.get(at..)?.first_chunk()?;
        Some(if self.is_big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    }

    /// Where the value of an entry stands, or what says where it stands.
    fn value(&self, directory: u32, tag: u16) -> Option<usize> {
        let directory = usize::try_from(directory).ok()?;
        let count = usize::from(self.u16(directory)?);
        let mut entries = (0..count).map(|i| directory.saturating_add(2 + i * 12));
        entries.find(|at| self.u16(*at) == Some(tag))?.checked_add(8)
    }
}

/// The payload of the first EXIF segment of a JPEG, without its header.
fn exif_block(jpeg: &[u8]) -> Option<&[u8]> {
    let mut rest = jpeg.strip_prefix(&[0xff, 0xd8])?;
    loop {
        let [0xff, marker, high, low, ..] = rest else { return None };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let payload = rest.get(4..2 + length)?;
        match marker {
            0xe1 => {
                if let Some(block) = payload.strip_prefix(EXIF_HEADER) {
                    return Some(block);
                }
            }
            // Only application segments and comments may stand before the tables.
            0xe0..=0xef | 0xfe => {}
            _ => return None,
        }
        rest = rest.get(2 + length..)?;
    }
}

fn parse_zone(text: &str) -> Option<i32> {
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let seconds = hours
        .parse::<i32>()
        .ok()?
        .checked_mul(3600)?
        .checked_add(minutes.parse::<i32>().ok()?.checked_mul(60)?)?;
    Some(if text.starts_with('-') { -seconds } else { seconds })
}

/// A little-endian TIFF structure; every access is checked.
struct Tiff<'a>(&'a [u8]);

struct Directory<'a> {
    tiff: &'a Tiff<'a>,
    offset: usize,
    count: usize,
}

impl<'a> Tiff<'a> {
    fn of_block(block: &'a [u8]) -> Option<Self> {
        block.starts_with(b"II*\0").then_some(Self(block))
    }

    /// The structure in the first EXIF segment of a JPEG.
    fn of(jpeg: &'a [u8]) -> Option<Self> {
        Self::of_block(exif_block(jpeg)?)
    }

    fn caption(&self) -> Option<Caption> {
        let main = self.directory(self.u32(4)?)?;
        let exif = self.directory(main.number(tag::EXIF_IFD)?)?;
        let text =
            |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(|text| text.trim_end_matches('\0').to_owned());
        let comment: Comment =
            serde_json::from_slice(exif.bytes(tag::USER_COMMENT)?.strip_prefix(ASCII_CODE)?).ok()?;
        let description = main.bytes(tag::IMAGE_DESCRIPTION).and_then(text).unwrap_or_default();
        let plain = PictureFacts::plain(
            ImageId::parse(&text(exif.bytes(tag::IMAGE_UNIQUE_ID)?)?)?,
            CameraKey::parse(&comment.camera).ok()?,
            Cause::parse(&comment.cause)?,
            comment.kind.as_deref().and_then(ImageKind::parse).unwrap_or_default(),
            UnixMs(comment.edge_ms),
        );
        Some(Caption {
            facts: PictureFacts {
                frame_offset_ms: comment.frame_offset_ms,
                note: comment.note,
                push: comment.push.and_then(PushComment::facts),
                ..plain
            },
            label: description.split(" (").next().unwrap_or_default().to_owned(),
            utc_offset_s: exif
                .bytes(tag::OFFSET_TIME)
                .and_then(text)
                .and_then(|zone| parse_zone(&zone))
                .unwrap_or(0),
        })
    }

    fn thumbnail(&self) -> Option<&'a [u8]> {
        let main = self.directory(self.u32(4)?)?;
        let preview = self.directory(main.next()?)?;
        let start = usize::try_from(preview.number(tag::JPEG_OFFSET)?).ok()?;
        let length = usize::try_from(preview.number(tag::JPEG_LENGTH)?).ok()?;
        let bytes = self.0.get(start..start.checked_add(length)?)?;
        (bytes.starts_with(&[0xff, 0xd8]) && bytes.ends_with(&[0xff, 0xd9])).then_some(bytes)
    }

    fn u16(&self, at: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.0.get(at..at.checked_add(2)?)?.try_into().ok()?))
    }

    fn u32(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.0.get(at..at.checked_add(4)?)?.try_into().ok()?))
    }

    fn directory(&self, offset: u32) -> Option<Directory<'_>> {
        let offset = usize::try_from(offset).ok()?;
        Some(Directory { tiff: self, offset, count: usize::from(self.u16(offset)?) })
    }
}

impl<'a> Directory<'a> {
    fn entry(&self, tag: u16) -> Option<usize> {
        (0..self.count).map(|i| self.offset + 2 + i * 12).find(|at| self.tiff.u16(*at) == Some(tag))
    }

    /// An inline number.
    fn number(&self, tag: u16) -> Option<u32> {
        self.tiff.u32(self.entry(tag)? + 8)
    }

    /// A value of single bytes.
    fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        let entry = self.entry(tag)?;
        let count = usize::try_from(self.tiff.u32(entry + 4)?).ok()?;
        let start = if count <= 4 { entry + 8 } else { usize::try_from(self.tiff.u32(entry + 8)?).ok()? };
        self.tiff.0.get(start..start.checked_add(count)?)
    }

    /// Where the directory after this one lies.
    fn next(&self) -> Option<u32> {
        self.tiff.u32(self.offset + 2 + self.count * 12).filter(|next| *next > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn caption() -> Caption {
        Caption {
            facts: PictureFacts {
                id: ImageId::random(),
                camera: CameraKey::parse("r1").unwrap(),
                cause: Cause::Gpio,
                push: None,
                kind: ImageKind::Best,
                edge_at: UnixMs(1_698_765_432_250),
                frame_offset_ms: Some(-12),
                note: Some("the stream was damaged at the edge".to_owned()),
            },
            label: "Entry".to_owned(),
            utc_offset_s: 5 * 3600 + 1800,
        }
    }

    fn jpeg_with(app1: &[u8]) -> Vec<u8> {
        let mut jpeg = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xe1];
        jpeg.extend_from_slice(&u16::try_from(app1.len() + 2).unwrap().to_be_bytes());
        jpeg.extend_from_slice(app1);
        jpeg.extend_from_slice(&[0xff, 0xd9]);
        jpeg
    }

    #[test]
    fn facts_and_thumbnail_are_read_back() {
        let thumbnail_bytes = [0xff, 0xd8, 7, 7, 7, 0xff, 0xd9];
        let caption = caption();
        let jpeg = jpeg_with(&write(&caption, &thumbnail_bytes));
        assert_eq!(read(&jpeg).as_ref(), Some(&caption));
        assert_eq!(thumbnail(&jpeg), Some(&thumbnail_bytes[..]));
    }

    #[test]
    fn a_picture_that_says_nothing_of_its_kind_is_one_of_the_instant() {
        let comment: Comment =
            serde_json::from_str(r#"{"camera":"r1","cause":"gpio","edge_ms":1,"frame_offset_ms":null}"#)
                .unwrap();
        assert_eq!((comment.kind, comment.note), (None, None));
    }

    #[test]
    fn a_block_by_itself_reads_as_one_in_a_segment() {
        let whole = block(&caption(), &[0xff, 0xd8, 0xff, 0xd9]);
        assert_eq!(read_block(&whole).map(|written| written.facts.kind), Some(ImageKind::Best));
        assert_eq!(thumbnail_in_block(&whole), Some(&[0xff, 0xd8, 0xff, 0xd9][..]));
        assert_eq!(read_block(&whole[1..]), None);
    }

    /// As phones (IP Webcam) and cameras with a big-endian processor write it.
    #[test]
    fn how_a_picture_of_any_maker_is_turned_is_read_and_kept() {
        let little =
            [&b"II*\0"[..], &[8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]].concat();
        let big =
            [&b"MM\0*"[..], &[0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0]].concat();
        for (block, turned) in [(little, 6), (big, 8)] {
            let jpeg = jpeg_with(&[EXIF_HEADER, &block[..]].concat());
            assert_eq!(orientation(&jpeg), Some(turned));
            let ours = jpeg_with(&write_over(&caption(), orientation(&jpeg)));
            assert_eq!(
                (orientation(&ours), read(&ours).unwrap().facts.taken_at()),
                (Some(turned), caption().facts.taken_at())
            );
        }
        assert_eq!(orientation(&jpeg_with(&write(&caption(), &[]))), None);
    }

    #[test]
    fn a_thumbnail_too_large_for_the_segment_is_left_out() {
        let large = vec![0; 70_000];
        let segment = write(&caption(), &large);
        assert!(segment.len() < 65_533);
        assert_eq!(thumbnail(&jpeg_with(&segment)), None);
        assert!(read(&jpeg_with(&segment)).is_some());
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 0_usize..600, value: u8, cut in 0_usize..700) {
            let mut jpeg = jpeg_with(&write(&caption(), &[0xff, 0xd8, 0xff, 0xd9]));
            let at = at % jpeg.len();
            jpeg[at] = value;
            jpeg.truncate(cut);
            let _ = (read(&jpeg), thumbnail(&jpeg));
        }

        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (read(&bytes), thumbnail(&bytes), orientation(&bytes));
            for order in [b"II*\0", b"MM\0*"] {
                let _ = orientation(&jpeg_with(&[EXIF_HEADER, &order[..], &bytes].concat()));
            }
            let _ = (read(&jpeg_with(&bytes)), thumbnail(&jpeg_with(&bytes)));
        }
    }
}
