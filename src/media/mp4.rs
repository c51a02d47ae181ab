//! Clips: a stretch of H.264 or H.265 as a progressive MP4 file (ISO/IEC 14496-12), without coding anything anew.
//!
//! The index stands before the video, so a browser can begin to play at once, and the facts of the clip stand before
//! both. A library was tried (muxide 0.5): it writes no edit list, so a stream with B-frames began late, and it takes
//! every H.265 stream for one of eight bits.

use super::exif;
use super::gop::{Codec, UnitRange};
use super::mp4_box::{boxed, sample_entry};
use super::parameters::{Parameters, picture_nals};

/// Ticks a second, as video has in RTP (RFC 6184, RFC 7798).
const TIMESCALE: u32 = 90_000;

/// Seconds from 1904, where MP4 begins to count, to 1970.
const EPOCH_1904_S: u64 = 2_082_844_800;

/// Length of the only frame of a clip, as if there were 25 a second.
const FRAME_TICKS: i64 = 3_600;

/// Marks the box with the facts. JPEG 2000 files carry EXIF under the same identity, so other programs find it too.
const EXIF_UUID: &[u8; 16] = b"JpgTiffExif->JP2";

/// Why there is no clip of a stretch, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotMuxable {
    /// Pictures that stand alone; a browser plays no such file.
    #[error(
        "clips need H.264 or H.265, and this camera sends JPEG; switch its video encoding, or unset CAMERA_n_CLIP_MS"
    )]
    Jpeg,
    /// Nothing to begin with.
    #[error("the stream has no parameter sets that can be read")]
    NoParameters,
    /// Parameter sets and nothing else.
    #[error("the stream has no pictures")]
    NoPictures,
    /// Size or coding changed in the middle.
    #[error("the camera changed its stream within the clip")]
    Changed,
    /// Time stamps that cannot be those of a clip.
    #[error("the stream's time stamps span more than a clip can hold")]
    TooLong,
}

/// A clip.
#[derive(Debug)]
pub struct Muxed {
    /// The file.
    pub bytes: Vec<u8>,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// From the first frame shown to the end of the last.
    pub duration_ms: u64,
    /// Number of frames.
    pub frames: usize,
}

/// What can be seen of an MP4 file without decoding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// How long it is.
    pub duration_ms: u64,
}

/// Bytes that are no whole MP4 file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotMp4 {
    /// It does not begin like one.
    #[error("no MP4: it does not begin with a box of the type ftyp")]
    NoStart,
    /// Its boxes do not add up to its length.
    #[error("an MP4 that was cut off: its boxes do not add up to its length")]
    NoEnd,
    /// No index, no video, or no size of it.
    #[error("a damaged MP4: no index or no video")]
    NoVideo,
}

/// Puts a stretch into a file, with `exif` (see [`exif::block`]) inside. `created_s` is the time of the first frame,
/// seconds since 1970.
pub fn mux(stretch: &UnitRange, exif: &[u8], created_s: u64) -> Result<Muxed, NotMuxable> {
    let entry = Entry::of(stretch)?;
    let samples: Vec<Vec<&[u8]>> =
        stretch.units.iter().map(|unit| picture_nals(stretch.codec, &unit.data).collect()).collect();
    let times: Vec<i64> = stretch.units.iter().map(|unit| unit.rtp_ns).collect();
    let schedule = Schedule::of(&times).ok_or(NotMuxable::TooLong)?;
    let sizes = samples
        .iter()
        .map(|nals| u32::try_from(nals.iter().map(|nal| 4 + nal.len()).sum::<usize>()).ok())
        .collect::<Option<Vec<u32>>>()
        .ok_or(NotMuxable::TooLong)?;
    let video_length: usize = sizes.iter().map(|size| *size as usize).sum();
    if video_length == 0 {
        return Err(NotMuxable::NoPictures);
    }
    let idrs = numbers(stretch.units.iter().map(|unit| unit.is_start()));
    let track = Track { entry, schedule, sizes, idrs, created_s };

    let mut bytes =
        boxed(b"ftyp", &[b"isom", &be(512), b"isom", b"iso2", stretch_brand(stretch.codec), b"mp41"]);
    bytes.extend(boxed(b"uuid", &[EXIF_UUID, exif]));
    // The index is as long with any offset in it.
    let video_at = bytes.len() + track.movie(0).len() + 8;
    let video_at = u32::try_from(video_at).map_err(|_| NotMuxable::TooLong)?;
    bytes.extend(track.movie(video_at));
    let length = u32::try_from(video_length + 8).map_err(|_| NotMuxable::TooLong)?;
    bytes.reserve_exact(video_length + 8);
    bytes.extend(be(length));
    bytes.extend(b"mdat");
    for nal in samples.iter().flatten() {
        bytes.extend(be(u32::try_from(nal.len()).map_err(|_| NotMuxable::TooLong)?));
        bytes.extend_from_slice(nal);
    }
    let (width, height) = track.entry.size;
    Ok(Muxed {
        bytes,
        width: u32::from(width),
        height: u32::from(height),
        duration_ms: track.schedule.shown_ticks.div_ceil(u64::from(TIMESCALE) / 1000),
        frames: samples.len(),
    })
}

/// The sample entry of a track.
struct Entry {
    /// The box.
    bytes: Vec<u8>,
    /// Pixels.
    size: (u16, u16),
}

impl Entry {
    /// Of a stretch, all of whose groups must have the same sequence parameters: a file has one size.
    fn of(stretch: &UnitRange) -> Result<Self, NotMuxable> {
        if stretch.codec == Codec::Jpeg {
            return Err(NotMuxable::Jpeg);
        }
        let idrs = stretch.units.iter().filter(|unit| unit.is_start()).map(|unit| &unit.data[..]);
        let parameters = Parameters::of_all(stretch.codec, idrs).ok_or(NotMuxable::NoParameters)?;
        if !parameters.are_of_one_stream() {
            return Err(NotMuxable::Changed);
        }
        let description = parameters.describe().ok_or(NotMuxable::NoParameters)?;
        let pixels = |side: u32| u16::try_from(side).ok().filter(|side| *side > 0);
        let size = pixels(description.width).zip(pixels(description.height));
        Ok(Self { bytes: sample_entry(&description), size: size.ok_or(NotMuxable::NoParameters)? })
    }
}

/// Looks at bytes that should be a whole MP4 file.
pub fn inspect(bytes: &[u8]) -> Result<Inside, NotMp4> {
    if bytes.get(4..8) != Some(b"ftyp") {
        return Err(NotMp4::NoStart);
    }
    let top = boxes(bytes).ok_or(NotMp4::NoEnd)?;
    let movie = find(&top, b"moov").and_then(boxes).ok_or(NotMp4::NoVideo)?;
    find(&top, b"mdat").filter(|video| !video.is_empty()).ok_or(NotMp4::NoVideo)?;
    let tracks = movie.iter().filter(|(kind, _)| kind == b"trak");
    let size = tracks.filter_map(|(_, track)| size(find(&boxes(track)?, b"tkhd")?)).next();
    let (width, height) = size.ok_or(NotMp4::NoVideo)?;
    let duration_ms = find(&movie, b"mvhd").and_then(duration_ms).ok_or(NotMp4::NoVideo)?;
    Ok(Inside { width, height, duration_ms })
}

/// What is written inside a clip of ours.
pub fn caption(bytes: &[u8]) -> Option<exif::Caption> {
    exif::read_block(exif_block(bytes)?)
}

/// The poster inside a clip of ours; its first 68 KiB are enough to find it.
pub fn thumbnail(bytes: &[u8]) -> Option<&[u8]> {
    exif::thumbnail_in_block(exif_block(bytes)?)
}

/// The EXIF block, which stands in the second box of a clip of ours.
fn exif_block(bytes: &[u8]) -> Option<&[u8]> {
    let (kind, _, rest) = split_box(bytes)?;
    let (second, content, _) = split_box(rest)?;
    (kind == b"ftyp" && second == b"uuid").then_some(content)?.strip_prefix(EXIF_UUID)
}

/// When each frame is decoded and shown, in ticks.
#[derive(Debug, PartialEq, Eq)]
struct Schedule {
    /// Until the next frame is decoded.
    decode_deltas: Vec<u32>,
    /// From decoding to showing.
    composition: Vec<u32>,
    /// From the first decoding to the first showing: what the edit list cuts off.
    shift: u32,
    shown_ticks: u64,
}

impl Schedule {
    /// The times are in decoding order. Frames are decoded at the same instants at which frames are shown, only so much
    /// earlier that each is decoded before it is shown.
    fn of(rtp_ns: &[i64]) -> Option<Self> {
        let first = rtp_ns.iter().copied().min()?;
        let shown: Vec<i64> =
            rtp_ns.iter().map(|ns| Some(ticks(ns.checked_sub(first)?))).collect::<Option<_>>()?;
        let mut decoded = shown.clone();
        decoded.sort_unstable();
        for i in 1..decoded.len() {
            // Two frames of one time stamp: some cameras send that after a pause.
            decoded[i] = decoded[i].max(decoded[i - 1] + 1);
        }
        let shift = decoded.iter().zip(&shown).map(|(decoded, shown)| decoded - shown).max()?.max(0);
        let composition = decoded
            .iter()
            .zip(&shown)
            .map(|(decoded, shown)| u32::try_from(shown + shift - decoded).ok())
            .collect::<Option<_>>()?;
        let mut steps: Vec<i64> = decoded.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let last = {
            let mut sorted = steps.clone();
            sorted.sort_unstable();
            sorted.get(sorted.len() / 2).copied().unwrap_or(FRAME_TICKS)
        };
        steps.push(last);
        let decode_deltas = steps.iter().map(|step| u32::try_from(*step).ok()).collect::<Option<_>>()?;
        let shown_ticks = u64::try_from(shown.iter().max()? + last).ok()?;
        // Every field of the index is one of 32 bits.
        u32::try_from(shown_ticks + u64::try_from(shift).ok()?).ok()?;
        Some(Self { decode_deltas, composition, shift: u32::try_from(shift).ok()?, shown_ticks })
    }

    fn decoded_ticks(&self) -> u64 {
        self.decode_deltas.iter().map(|delta| u64::from(*delta)).sum()
    }
}

fn ticks(ns: i64) -> i64 {
    let ticks = (i128::from(ns) * i128::from(TIMESCALE) + 500_000_000) / 1_000_000_000;
    i64::try_from(ticks).unwrap_or(i64::MAX / 4)
}

/// The one track of a clip.
struct Track {
    entry: Entry,
    schedule: Schedule,
    sizes: Vec<u32>,
    /// Numbers of the frames where decoding can start, from 1.
    idrs: Vec<u32>,
    created_s: u64,
}

impl Track {
    /// The index of a file whose video lies at `video_at`.
    fn movie(&self, video_at: u32) -> Vec<u8> {
        let created = be(u32::try_from(self.created_s + EPOCH_1904_S).unwrap_or(0));
        let shown = be(u32::try_from(self.schedule.shown_ticks).unwrap_or(u32::MAX));
        let decoded = be(u32::try_from(self.schedule.decoded_ticks()).unwrap_or(u32::MAX));
        let (width, height) = self.entry.size;
        let header = full(
            b"mvhd",
            0,
            &[
                &created,
                &created,
                &be(TIMESCALE),
                &shown,
                &be(0x1_0000),
                &[1, 0],
                &[0; 10],
                &MATRIX,
                &[0; 24],
                &be(2),
            ],
        );
        // Enabled and in the movie.
        let track_header = full(
            b"tkhd",
            3,
            &[
                &created,
                &created,
                &be(1),
                &[0; 4],
                &shown,
                &[0; 16],
                &MATRIX,
                &width.to_be_bytes(),
                &[0; 2],
                &height.to_be_bytes(),
                &[0; 2],
            ],
        );
        let cut = full(b"elst", 0, &[&be(1), &shown, &be(self.schedule.shift), &be(0x1_0000)]);
        // No language.
        let media_header =
            full(b"mdhd", 0, &[&created, &created, &be(TIMESCALE), &decoded, &[0x55, 0xc4, 0, 0]]);
        let handler = full(b"hdlr", 0, &[&[0; 4], b"vide", &[0; 12], b"video\0"]);
        let here = boxed(b"dinf", &[&full(b"dref", 0, &[&be(1), &full(b"url ", 1, &[])])]);
        let information = boxed(b"minf", &[&full(b"vmhd", 1, &[&[0; 8]]), &here, &self.table(video_at)]);
        let media = boxed(b"mdia", &[&media_header, &handler, &information]);
        boxed(b"moov", &[&header, &boxed(b"trak", &[&track_header, &boxed(b"edts", &[&cut]), &media])])
    }

    /// Where, how large and when each frame is.
    fn table(&self, video_at: u32) -> Vec<u8> {
        let count = be(u32::try_from(self.sizes.len()).unwrap_or(u32::MAX));
        let all = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
        let mut boxes =
            vec![full(b"stsd", 0, &[&be(1), &self.entry.bytes]), runs(b"stts", &self.schedule.decode_deltas)];
        if self.schedule.composition.iter().any(|offset| *offset > 0) {
            boxes.push(runs(b"ctts", &self.schedule.composition));
        }
        let idr_count = be(u32::try_from(self.idrs.len()).unwrap_or(u32::MAX));
        boxes.push(full(b"stss", 0, &[&idr_count, &all(&self.idrs)]));
        // One chunk holds all.
        boxes.push(full(b"stsc", 0, &[&be(1), &be(1), &count, &be(1)]));
        boxes.push(full(b"stsz", 0, &[&be(0), &count, &all(&self.sizes)]));
        boxes.push(full(b"stco", 0, &[&be(1), &be(video_at)]));
        let parts: Vec<&[u8]> = boxes.iter().map(Vec::as_slice).collect();
        boxed(b"stbl", &parts)
    }
}

/// Neither turned nor scaled.
const MATRIX: [u8; 36] = {
    let mut matrix = [0; 36];
    (matrix[1], matrix[17], matrix[32]) = (1, 1, 0x40);
    matrix
};

fn stretch_brand(codec: Codec) -> &'static [u8; 4] {
    match codec {
        Codec::H264 | Codec::Jpeg => b"avc1",
        Codec::H265 => b"hvc1",
    }
}

/// The numbers, from 1, of those that hold.
fn numbers(claims: impl Iterator<Item = bool>) -> Vec<u32> {
    (1..).zip(claims).filter_map(|(number, holds)| holds.then_some(number)).collect()
}

/// A table of equal values in a row: how many, which.
fn runs(kind: &[u8; 4], values: &[u32]) -> Vec<u8> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((count, known)) if known == value => *count += 1,
            _ => runs.push((1, *value)),
        }
    }
    let count = be(u32::try_from(runs.len()).unwrap_or(u32::MAX));
    let entries: Vec<u8> = runs.iter().flat_map(|(count, value)| [be(*count), be(*value)].concat()).collect();
    full(kind, 0, &[&count, &entries])
}

fn be(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// A box of version 0 with flags.
fn full(kind: &[u8; 4], flags: u32, parts: &[&[u8]]) -> Vec<u8> {
    let flags = be(flags);
    let all: Vec<&[u8]> = std::iter::once(&flags[..]).chain(parts.iter().copied()).collect();
    boxed(kind, &all)
}

/// The boxes that `bytes` consist of; `None` when they do not add up to its length.
fn boxes(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (kind, content, after) = split_box(rest)?;
        found.push((kind, content));
        rest = after;
    }
    Some(found)
}

/// Type and content of the first box, and what follows it.
fn split_box(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let (kind, content) = (bytes.get(4..8)?, bytes.get(8..length)?);
    Some((kind, content, &bytes[length..]))
}

fn find<'a>(boxes: &[(&'a [u8], &'a [u8])], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    boxes.iter().find(|(kind, _)| kind == wanted).map(|(_, content)| *content)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Pixels of a track header; `None` for sound.
fn size(header: &[u8]) -> Option<(u32, u32)> {
    let at = if header.first()? == &1 { 88 } else { 76 };
    let (width, height) = (u32_at(header, at)? >> 16, u32_at(header, at + 4)? >> 16);
    (width > 0 && height > 0).then_some((width, height))
}

fn duration_ms(header: &[u8]) -> Option<u64> {
    let (timescale, duration) = match header.first()? {
        1 => (u32_at(header, 20)?, u64::from(u32_at(header, 24)?) << 32 | u64::from(u32_at(header, 28)?)),
        _ => (u32_at(header, 12)?, u64::from(u32_at(header, 16)?)),
    };
    duration.checked_mul(1000)?.checked_div(u64::from(timescale))
}

#[cfg(test)]
#[path = "mp4_tests.rs"]
mod tests;
