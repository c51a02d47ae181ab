//! Boxes of an MP4 file that clips and live streams share (ISO/IEC 14496-12).

use super::parameters::PlayerDescription;

/// A box. None of ours but the video of a clip comes near four gigabytes.
pub(super) fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let length = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut out = Vec::with_capacity(length);
    out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(kind);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// The sample entry of a stream: what a player must know before the first picture (ISO/IEC 14496-15). All parameter sets
/// are in it and nowhere else, without which Apple's players show no H.265.
pub(super) fn sample_entry(description: &PlayerDescription) -> Vec<u8> {
    let PlayerDescription { width, height, entry: (entry, configuration), .. } = description;
    let short = |pixels: &u32| u16::try_from(*pixels).unwrap_or(u16::MAX).to_be_bytes();
    // 72 dots an inch, one frame a sample, no name, 24 bits a pixel, no colour table.
    let dots = [0, 0x48, 0, 0, 0, 0x48, 0, 0];
    boxed(
        entry,
        &[
            &[0, 0, 0, 0, 0, 0, 0, 1],
            &[0; 16],
            &short(width),
            &short(height),
            &dots,
            &[0; 4],
            &[0, 1],
            &[0; 32],
            &[0, 24, 0xff, 0xff],
            &boxed(configuration, &[&description.configuration]),
        ],
    )
}
