//! What a player must know before the first frame of a clip: the sample entry, made of the stream's parameter sets
//! (ISO/IEC 14496-15).

use h264_reader::nal::sps::{ChromaFormat, SeqParameterSet};
use h264_reader::nal::{Nal, RefNal};
use h264_reader::rbsp::{BitRead, BitReader, decode_nal};

use super::gop::{Codec, Stretch};
use super::h264::nal_units;
use super::mp4::{NotMuxable, boxed};

/// NAL unit types (ITU-T H.264 table 7-1, ITU-T H.265 table 7-1).
mod kind {
    pub(super) const H264_SPS: u8 = 7;
    pub(super) const H264_PPS: u8 = 8;
    pub(super) const H265_VPS: u8 = 32;
    pub(super) const H265_SPS: u8 = 33;
    pub(super) const H265_PPS: u8 = 34;
}

/// A sample entry.
pub(super) struct Entry {
    /// The box.
    pub(super) sample_entry: Vec<u8>,
    /// Pixels.
    pub(super) size: (u16, u16),
}

impl Entry {
    /// The entry of a stretch. All its groups must have the same sequence parameters: a file has one size.
    pub(super) fn of(stretch: &Stretch) -> Result<Self, NotMuxable> {
        match stretch.codec {
            Codec::H264 => h264(stretch),
            Codec::H265 => h265(stretch),
            Codec::Jpeg => Err(NotMuxable::Jpeg),
        }
    }
}

/// Whether a NAL unit belongs into the sample entry and not among the frames.
pub(super) fn is_parameter_set(codec: Codec, nal: &[u8]) -> bool {
    match codec {
        Codec::H264 => matches!(h264_kind(nal), Some(kind::H264_SPS | kind::H264_PPS)),
        Codec::H265 => {
            matches!(h265_kind(nal), Some(kind::H265_VPS | kind::H265_SPS | kind::H265_PPS))
        }
        Codec::Jpeg => false,
    }
}

fn h264_kind(nal: &[u8]) -> Option<u8> {
    nal.first().map(|header| header & 0x1f)
}

fn h265_kind(nal: &[u8]) -> Option<u8> {
    nal.first().map(|header| header >> 1 & 0x3f)
}

/// The different NAL units of one type, in the order of their first coming.
fn sets(stretch: &Stretch, is_wanted: impl Fn(&[u8]) -> bool) -> Vec<&[u8]> {
    let mut found: Vec<&[u8]> = Vec::new();
    for unit in stretch.units.iter().filter(|unit| unit.is_idr) {
        for nal in nal_units(&unit.data).filter(|nal| is_wanted(nal)) {
            if !found.contains(&nal) {
                found.push(nal);
            }
        }
    }
    found
}

/// The only sequence parameter set.
fn only<'a>(sets: &[&'a [u8]], name: &'static str) -> Result<&'a [u8], NotMuxable> {
    match sets {
        [] => Err(NotMuxable::NoParameters(name)),
        [set] => Ok(set),
        [..] => Err(NotMuxable::Changed),
    }
}

/// `avc1` with the decoder configuration of section 5.3.3.
fn h264(stretch: &Stretch) -> Result<Entry, NotMuxable> {
    const NAME: &str = "sequence parameter set";
    let unreadable = || NotMuxable::NoParameters(NAME);
    let sps = only(&sets(stretch, |nal| h264_kind(nal) == Some(kind::H264_SPS)), NAME)?;
    let pps = sets(stretch, |nal| h264_kind(nal) == Some(kind::H264_PPS));
    let parsed =
        SeqParameterSet::from_bits(RefNal::new(sps, &[], true).rbsp_bits()).map_err(|_| unreadable())?;
    let (width, height) = parsed.pixel_dimensions().map_err(|_| unreadable())?;
    let size = size(width, height).ok_or_else(unreadable)?;
    let [_, profile, compatibility, level, ..] = sps else { return Err(unreadable()) };
    let mut configuration = vec![1, *profile, *compatibility, *level, 0xff, 0xe1];
    put(&mut configuration, sps)?;
    configuration.push(u8::try_from(pps.len()).map_err(|_| NotMuxable::Changed)?);
    for pps in pps {
        put(&mut configuration, pps)?;
    }
    if matches!(profile, 100 | 110 | 122 | 144) {
        let chroma = match parsed.chroma_info.chroma_format {
            ChromaFormat::Monochrome => 0,
            ChromaFormat::YUV420 | ChromaFormat::Invalid(_) => 1,
            ChromaFormat::YUV422 => 2,
            ChromaFormat::YUV444 => 3,
        };
        let (luma, colour) =
            (parsed.chroma_info.bit_depth_luma_minus8, parsed.chroma_info.bit_depth_chroma_minus8);
        configuration.extend([0xfc | chroma, 0xf8 | luma, 0xf8 | colour, 0]);
    }
    Ok(Entry { sample_entry: entry(b"avc1", size, &boxed(b"avcC", &[&configuration])), size })
}

/// `hvc1` with the decoder configuration of section 8.3.3: all parameter sets are here and nowhere else, without which
/// Apple's players show nothing.
fn h265(stretch: &Stretch) -> Result<Entry, NotMuxable> {
    const NAME: &str = "sequence parameter set";
    let of = |wanted: u8| sets(stretch, move |nal| h265_kind(nal) == Some(wanted));
    let sps_nal = only(&of(kind::H265_SPS), NAME)?;
    let sps = H265Sps::parse(sps_nal).ok_or(NotMuxable::NoParameters(NAME))?;
    let size = size(sps.width, sps.height).ok_or(NotMuxable::NoParameters(NAME))?;
    let mut configuration = vec![1];
    configuration.extend(sps.profile_tier_level);
    // No segmentation, parallelism unknown.
    configuration.extend([0xf0, 0x00, 0xfc]);
    configuration.extend([0xfc | sps.chroma_format, 0xf8 | sps.luma_depth, 0xf8 | sps.chroma_depth]);
    // Frame rate unknown; lengths of four bytes.
    configuration.extend([0, 0, sps.temporal_layers << 3 | u8::from(sps.is_nested) << 2 | 3]);
    configuration.push(3);
    for kind in [kind::H265_VPS, kind::H265_SPS, kind::H265_PPS] {
        let sets = of(kind);
        // The first bit: complete.
        configuration.push(0x80 | kind);
        configuration.extend(u16::try_from(sets.len()).map_err(|_| NotMuxable::Changed)?.to_be_bytes());
        for set in sets {
            put(&mut configuration, set)?;
        }
    }
    Ok(Entry { sample_entry: entry(b"hvc1", size, &boxed(b"hvcC", &[&configuration])), size })
}

/// A visual sample entry.
fn entry(kind: &[u8; 4], (width, height): (u16, u16), configuration: &[u8]) -> Vec<u8> {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    // 72 dots an inch, one frame a sample, no name, 24 bits, no colour table.
    let dots = [0, 0x48, 0, 0, 0, 0x48, 0, 0];
    boxed(
        kind,
        &[
            &[0; 6],
            &[0, 1],
            &[0; 16],
            &size,
            &dots,
            &[0; 4],
            &[0, 1],
            &[0; 32],
            &[0, 24, 0xff, 0xff],
            configuration,
        ],
    )
}

fn put(out: &mut Vec<u8>, nal: &[u8]) -> Result<(), NotMuxable> {
    out.extend(u16::try_from(nal.len()).map_err(|_| NotMuxable::Changed)?.to_be_bytes());
    out.extend_from_slice(nal);
    Ok(())
}

fn size(width: u32, height: u32) -> Option<(u16, u16)> {
    let size = (u16::try_from(width).ok()?, u16::try_from(height).ok()?);
    (size.0 > 0 && size.1 > 0).then_some(size)
}

/// The beginning of an H.265 sequence parameter set (ITU-T H.265 section 7.3.2.2.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct H265Sps {
    /// General profile, compatibility, constraints and level, as they stand in both places.
    profile_tier_level: [u8; 12],
    temporal_layers: u8,
    is_nested: bool,
    chroma_format: u8,
    luma_depth: u8,
    chroma_depth: u8,
    width: u32,
    height: u32,
}

impl H265Sps {
    pub(super) fn parse(nal: &[u8]) -> Option<Self> {
        // The header has two bytes; the function takes one of them away, and panics when there is nothing else.
        let payload = decode_nal(nal.get(1..).filter(|rest| rest.len() > 14)?).ok()?;
        let first = *payload.first()?;
        let (layers_minus1, is_nested) = (first >> 1 & 7, first & 1 == 1);
        let profile_tier_level: [u8; 12] = payload.get(1..13)?.try_into().ok()?;
        let mut bits = BitReader::new(payload.get(13..)?);
        skip_layers(&mut bits, layers_minus1)?;
        let ue = |bits: &mut BitReader<&[u8]>| bits.read_ue("").ok();
        ue(&mut bits)?;
        let chroma_format = u8::try_from(ue(&mut bits)?).ok().filter(|format| *format <= 3)?;
        if chroma_format == 3 {
            bits.read_bool("").ok()?;
        }
        let (mut width, mut height) = (ue(&mut bits)?, ue(&mut bits)?);
        if bits.read_bool("").ok()? {
            let mut edge = || ue(&mut bits);
            let (left, right, top, bottom) = (edge()?, edge()?, edge()?, edge()?);
            let unit = (1 + u32::from(matches!(chroma_format, 1 | 2)), 1 + u32::from(chroma_format == 1));
            width = width.checked_sub(left.checked_add(right)?.checked_mul(unit.0)?)?;
            height = height.checked_sub(top.checked_add(bottom)?.checked_mul(unit.1)?)?;
        }
        let mut depth = || u8::try_from(ue(&mut bits)?).ok().filter(|depth| *depth <= 8);
        let (luma_depth, chroma_depth) = (depth()? & 7, depth()? & 7);
        let temporal_layers = layers_minus1 + 1;
        Some(Self {
            profile_tier_level,
            temporal_layers,
            is_nested,
            chroma_format,
            luma_depth,
            chroma_depth,
            width,
            height,
        })
    }
}

/// Skips what is said of each temporal layer but the highest.
fn skip_layers(bits: &mut BitReader<&[u8]>, layers_minus1: u8) -> Option<()> {
    if layers_minus1 == 0 {
        return Some(());
    }
    let mut present = Vec::new();
    for layer in 0..8 {
        let flags = (bits.read_bool("").ok()?, bits.read_bool("").ok()?);
        if layer < layers_minus1 {
            present.push(flags);
        }
    }
    for (has_profile, has_level) in present {
        bits.skip(if has_profile { 88 } else { 0 } + if has_level { 8 } else { 0 }, "").ok()?;
    }
    Some(())
}
