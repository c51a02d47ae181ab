//! JPEG files: encoding frames straight from their planes, and looking at what claims to be a JPEG.

use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, SamplingFactor};

use super::exif;
use super::frame::{Colours, Frame, in_colours_of_jpeg};
use super::halves::{self, Planes};
use super::limits::check_jpeg;
use super::native::turbojpeg;

/// Quality of stored pictures: plates stay readable, a 1080p picture takes 300–400 kB.
const QUALITY: u8 = 85;

/// Quality of a live picture: half the bytes of a stored one, ten times a second.
const LIVE_QUALITY: u8 = 70;

/// Width of the thumbnail inside each picture; two of them side by side fill a phone.
const THUMBNAIL_WIDTH: usize = 320;

/// Quality of the thumbnail, so that it fits into the 64 KiB of its segment.
const THUMBNAIL_QUALITY: u8 = 70;

/// Qualities that are tried one after the other for a picture that must be smaller; plates suffer below the last one.
const SHRINK_QUALITIES: [u8; 3] = [80, 65, 50];

/// How often a picture may lose a third of its width and height; eight times leave 75 of 1920 pixels.
const SHRINKS_MAX: usize = 8;

/// Bytes that decoding a JPEG may take: three for each of 20 megapixels, twice.
const DECODED_BYTES_MAX: u64 = 128 << 20;

/// A frame that cannot be a JPEG.
#[derive(Debug, thiserror::Error)]
#[error("cannot encode a picture of {width}×{height} as JPEG: {reason}")]
pub struct EncodeError {
    width: usize,
    height: usize,
    reason: String,
}

/// Bytes that are no whole JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotJpeg {
    /// It does not begin like one.
    #[error("no JPEG: the start marker FF D8 is missing")]
    NoStart,
    /// It ends before the end marker.
    #[error("a JPEG that was cut off: the end marker FF D9 is missing")]
    NoEnd,
    /// No frame header tells its size.
    #[error("a damaged JPEG: no frame header")]
    NoFrame,
}

/// Encodes a frame, 4:2:0, with `caption` and a thumbnail inside.
pub fn encode(frame: &Frame, caption: &exif::Caption) -> Result<Vec<u8>, EncodeError> {
    encode_planes(frame, QUALITY, Some(exif::write(caption, &thumbnail_of(frame)?)))
}

/// A small JPEG of a frame.
pub fn thumbnail_of(frame: &Frame) -> Result<Vec<u8>, EncodeError> {
    encode_planes(&frame.shrunk(THUMBNAIL_WIDTH), THUMBNAIL_QUALITY, None)
}

/// Encodes a frame without anything about it, for a picture that is not stored.
pub fn encode_plain(frame: &Frame) -> Result<Vec<u8>, EncodeError> {
    encode_planes(frame, QUALITY, None)
}

/// Encodes a frame for whoever looks at it once, smaller than one that is kept.
pub fn encode_live(frame: &Frame) -> Result<Vec<u8>, EncodeError> {
    encode_planes(frame, LIVE_QUALITY, None)
}

/// Puts `caption` into a whole JPEG that a camera made; nothing is encoded again. Returns the file and its size in pixels.
pub fn with_caption(jpeg: &[u8], caption: &exif::Caption) -> Result<(Vec<u8>, (u32, u32)), NotJpeg> {
    let size = inspect(jpeg)?;
    Ok((
        with_segment(jpeg, &exif::write_over(caption, exif::orientation(jpeg))).ok_or(NotJpeg::NoFrame)?,
        size,
    ))
}

/// What [`with_caption`] was given, in two parts; a JPEG without a caption of this program is the second part alone.
pub fn without_caption(jpeg: &[u8]) -> (&[u8], &[u8]) {
    let split = || {
        let (start, rest) = jpeg.split_at_checked(2)?;
        let [0xff, 0xe1, high, low, ..] = rest else { return None };
        let (segment, rest) = rest.split_at_checked(2 + usize::from(u16::from_be_bytes([*high, *low])))?;
        exif::read_segment(segment.get(4..)?).map(|_| (start, rest))
    };
    split().unwrap_or((&[], jpeg))
}

/// A JPEG with an APP1 segment after its start marker; `None` when the segment is longer than its length can say.
fn with_segment(jpeg: &[u8], segment: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(segment.len() + 2).ok()?;
    let (start, rest) = jpeg.split_at_checked(2)?;
    Some([start, &[0xff, 0xe1], &length.to_be_bytes(), segment, rest].concat())
}

fn encode_planes(frame: &Frame, quality: u8, exif_segment: Option<Vec<u8>>) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = (frame.width, frame.height);
    let failed = |reason: String| EncodeError { width, height, reason };
    if width.max(height) > usize::from(u16::MAX) {
        return Err(failed("more than 65535 pixels on a side".to_owned()));
    }
    let jpeg = halves::encode(
        Planes { width, height, planes: [&frame.y, &frame.u, &frame.v] },
        |planes: Planes<'_>| {
            let converted;
            let planes = if frame.colours == Colours::JPEG {
                planes
            } else {
                converted = in_colours_of_jpeg(planes.width, planes.planes, frame.colours);
                Planes { planes: converted.each_ref().map(Vec::as_slice), ..planes }
            };
            // By the system's library, if it is there.
            let size = (planes.width, planes.height);
            turbojpeg::encode(size, planes.planes, quality)
                .unwrap_or_else(|| encode_by_ourselves(planes, quality))
        },
    )
    .map_err(failed)?;
    match exif_segment {
        Some(segment) => {
            with_segment(&jpeg, &segment).ok_or_else(|| failed("facts that are too long".to_owned()))
        }
        None => Ok(jpeg),
    }
}

fn encode_by_ourselves(planes: Planes<'_>, quality: u8) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(planes.width * planes.height / 4);
    let mut encoder = Encoder::new(&mut out, quality);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode_image(planes).map_err(|error| error.to_string())?;
    Ok(out)
}

/// Feeds the planes to the encoder line by line.
impl ImageBuffer for Planes<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        u16::try_from(self.width).unwrap_or(u16::MAX)
    }

    fn height(&self) -> u16 {
        u16::try_from(self.height).unwrap_or(u16::MAX)
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let (row, width) = (usize::from(y), self.width);
        let [luma, chroma @ ..] = self.planes;
        buffers[0].extend_from_slice(&luma[row * width..][..width]);
        let chroma_width = width.div_ceil(2);
        for (plane, buffer) in chroma.into_iter().zip(&mut buffers[1..3]) {
            let line = &plane[row / 2 * chroma_width..][..chroma_width];
            // The encoder halves again what is doubled here, so each sample arrives as it was.
            buffer.extend(line.iter().flat_map(|c| [*c; 2]).take(width));
        }
    }
}

/// Looks at bytes that should be a whole JPEG, without decoding them. Returns width and height in pixels.
pub fn inspect(bytes: &[u8]) -> Result<(u32, u32), NotJpeg> {
    header(bytes).map(|(_, size)| size)
}

/// The kind of the first frame (ITU-T T.81 table B.1), and its width and height in pixels.
fn header(bytes: &[u8]) -> Result<(u8, (u32, u32)), NotJpeg> {
    let mut rest = bytes.strip_prefix(&[0xff, 0xd8]).ok_or(NotJpeg::NoStart)?;
    if !bytes.ends_with(&[0xff, 0xd9]) {
        return Err(NotJpeg::NoEnd);
    }
    loop {
        let [0xff, marker, high, low, payload @ ..] = rest else { return Err(NotJpeg::NoFrame) };
        if *marker == 0xff {
            // Fill bytes may stand before a marker (ITU-T T.81 section B.1.1.2).
            rest = &rest[1..];
            continue;
        }
        // SOF0 to SOF15, without DHT, JPG and DAC that lie among them (ITU-T T.81 table B.1).
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let [_, h1, h0, w1, w0, ..] = payload else { return Err(NotJpeg::NoFrame) };
            let (height, width) = (u16::from_be_bytes([*h1, *h0]), u16::from_be_bytes([*w1, *w0]));
            if width == 0 || height == 0 {
                return Err(NotJpeg::NoFrame);
            }
            return Ok((*marker, (u32::from(width), u32::from(height))));
        }
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        // It may end within the small picture that cameras put into its head, which has an end marker of its own.
        rest = rest.get(2 + length.max(2)..).ok_or(NotJpeg::NoEnd)?;
    }
}

/// Length of the picture that begins these bytes, to behind its end marker, whatever follows; `None` where that is missing.
///
/// Every segment is stepped over by its length, so an end marker within one (a small picture in the head) is not its end.
pub fn first_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    let mut is_data = false;
    bytes.strip_prefix(&[0xff, 0xd8])?;
    loop {
        let rest = bytes.get(at..)?;
        if is_data {
            // Within coded data only a marker is followed by something else than 0 (ITU-T T.81 section B.1.1.5).
            at += rest
                .windows(2)
                .position(|two| two[0] == 0xff && !matches!(two[1], 0 | 0xff | 0xd0..=0xd7))?;
            is_data = false;
            continue;
        }
        match rest {
            [0xff, 0xff, ..] => at += 1,
            [0xff, 0xd9, ..] => return Some(at + 2),
            [0xff, marker, high, low, ..] => {
                is_data = *marker == 0xda;
                at += 2 + usize::from(u16::from_be_bytes([*high, *low])).max(2);
            }
            _ => return None,
        }
    }
}

/// A smaller JPEG of at most 320 pixels in width for a picture that carries no thumbnail of its own.
///
/// `None` when it cannot be decoded within the limits of [`super::limits`]: 20 megapixels, or half of that where all
/// coefficients have to be kept (progressive).
pub fn thumbnail(jpeg: &[u8]) -> Option<Vec<u8>> {
    let side = u32::try_from(THUMBNAIL_WIDTH).ok()?;
    let small = upright(jpeg)?.thumbnail(side, side).into_rgb8();
    let mut out = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut out, THUMBNAIL_QUALITY)
        .encode_image(&small)
        .ok()?;
    Some(out)
}

/// A JPEG without its colours, to be looked at and not to be kept; `None` as with [`thumbnail`].
pub fn luma(jpeg: &[u8]) -> Option<Frame> {
    let grey = decode(jpeg)?.into_luma8();
    let (width, height) = (usize::try_from(grey.width()).ok()?, usize::try_from(grey.height()).ok()?);
    let chroma = vec![128; width.div_ceil(2) * height.div_ceil(2)];
    Some(Frame { width, height, y: grey.into_raw(), u: chroma.clone(), v: chroma, colours: Colours::JPEG })
}

/// How bright the fields of a JPEG are that is cut into so many columns and lines, line by line, to compare it with another;
/// `None` as with [`thumbnail`], or when it has fewer pixels. Of each field at most sixteen pixels are looked at.
pub fn fields(jpeg: &[u8], columns: u32, lines: u32) -> Option<Vec<u8>> {
    let picture = decode(jpeg)?.into_rgb8();
    let (width, height) = (picture.width() / columns.max(1), picture.height() / lines.max(1));
    if width == 0 || height == 0 {
        return None;
    }
    let (across, down) = (width.div_ceil(4), height.div_ceil(4));
    let brightness = |field: u32| {
        let (left, top) = (field % columns * width, field / columns * height);
        let (mut sum, mut count) = (0_u32, 0_u32);
        for y in (top..top + height).step_by(down as usize) {
            for x in (left..left + width).step_by(across as usize) {
                // Green is most of what is seen as brightness.
                sum += u32::from(picture.get_pixel(x, y).0[1]);
                count += 1;
            }
        }
        u8::try_from(sum / count.max(1)).unwrap_or(u8::MAX)
    };
    Some((0..columns * lines).map(brightness).collect())
}

/// The same picture in at most `most` bytes, with its caption but without its thumbnail: coarser first, then with fewer
/// pixels. `None` when it cannot be decoded, see [`thumbnail`], or when not even a small one fits.
pub fn shrunk_to(jpeg: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut picture = upright(jpeg)?.into_rgb8();
    let caption = exif::read(jpeg);
    for _ in 0..SHRINKS_MAX {
        for quality in SHRINK_QUALITIES {
            let mut out = Vec::new();
            let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut out, quality);
            encoder.encode_image(&picture).ok()?;
            let out = match &caption {
                Some(caption) => with_caption(&out, caption).ok()?.0,
                None => out,
            };
            if out.len() <= most {
                return Some(out);
            }
        }
        let (width, height) = ((picture.width() * 2 / 3).max(1), (picture.height() * 2 / 3).max(1));
        picture = image::imageops::resize(&picture, width, height, image::imageops::FilterType::Triangle);
    }
    None
}

/// A decoded picture, turned as it says, for what is made of it says nothing of that.
fn upright(jpeg: &[u8]) -> Option<image::DynamicImage> {
    let mut picture = decode(jpeg)?;
    let turned = exif::orientation(jpeg).and_then(|value| u8::try_from(value).ok());
    if let Some(turned) = turned.and_then(image::metadata::Orientation::from_exif) {
        picture.apply_orientation(turned);
    }
    Some(picture)
}

fn decode(jpeg: &[u8]) -> Option<image::DynamicImage> {
    let (kind, size) = header(jpeg).ok()?;
    let is_sequential = matches!(kind, 0xc0 | 0xc1);
    // Coefficients take twice the bytes of samples.
    let weighed = if is_sequential { size } else { (size.0.checked_mul(2)?, size.1) };
    check_jpeg(size).and_then(|()| check_jpeg(weighed)).ok()?;
    let mut reader = image::ImageReader::with_format(std::io::Cursor::new(jpeg), image::ImageFormat::Jpeg);
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(size.0), Some(size.1));
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    reader.limits(limits);
    reader.decode().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CameraKey, Cause, ImageId, ImageKind, PictureFacts, UnixMs};
    use proptest::prelude::*;

    fn grey(width: usize, height: usize, luma: u8, is_full_range: bool) -> Frame {
        let chroma = vec![128; width.div_ceil(2) * height.div_ceil(2)];
        let colours = if is_full_range { Colours::JPEG } else { Colours::VIDEO };
        Frame { width, height, y: vec![luma; width * height], u: chroma.clone(), v: chroma, colours }
    }

    fn caption() -> exif::Caption {
        exif::Caption {
            facts: PictureFacts {
                id: ImageId::random(),
                camera: CameraKey::parse("r1").unwrap(),
                cause: Cause::Gpio,
                push: None,
                kind: ImageKind::Instant,
                edge_at: UnixMs(1_698_765_432_250),
                frame_offset_ms: Some(4),
                note: None,
            },
            label: "Entry".to_owned(),
            utc_offset_s: 0,
        }
    }

    fn mean_luma(jpeg: &[u8]) -> u8 {
        let decoded = image::load_from_memory(jpeg).unwrap().into_luma8();
        let sum: u64 = decoded.pixels().map(|p| u64::from(p.0[0])).sum();
        u8::try_from(sum / u64::from(decoded.width() * decoded.height())).unwrap()
    }

    #[test]
    fn the_first_picture_ends_where_its_data_does_and_not_within_a_segment() {
        let plain = encode_plain(&grey(32, 16, 90, true)).unwrap();
        let with_small = with_caption(&plain, &caption()).unwrap().0;
        let small = [&[0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9][..], &plain[2..]].concat();
        let small = [&[0xff, 0xd8][..], &small].concat();
        for whole in [&plain, &with_small, &small] {
            assert_eq!(first_end(whole), Some(whole.len()));
            assert_eq!(first_end(&[whole, &b"words \xff\xd9"[..]].concat()), Some(whole.len()));
            for end in 0..whole.len() {
                assert_eq!(first_end(&whole[..end]), None, "{end} of {}", whole.len());
            }
        }
    }

    #[test]
    fn an_encoded_frame_is_a_whole_jpeg_of_its_size_with_caption_and_thumbnail() {
        let (jpeg, written) = (encode(&grey(641, 359, 90, true), &caption()).unwrap(), caption());
        assert_eq!(inspect(&jpeg), Ok((641, 359)));
        assert_eq!(exif::read(&jpeg).unwrap().facts.edge_at, written.facts.edge_at);
        let small = exif::thumbnail(&jpeg).unwrap();
        assert!(inspect(small).unwrap().0 <= 320);
        assert_eq!(mean_luma(&jpeg), 90);
    }

    #[test]
    fn two_halves_at_once_are_the_same_picture_as_one_in_one_go() {
        for (width, height) in [(1920_usize, 1080_usize), (1366, 768), (1001, 1003), (800, 1024)] {
            let noise = |count: usize, seed: u64| {
                let mut random = fastrand::Rng::with_seed(seed);
                (0..count).map(|at| (at / 7 % 200) as u8 + random.u8(0..50)).collect::<Vec<_>>()
            };
            let chroma = width.div_ceil(2) * height.div_ceil(2);
            let planes = [noise(width * height, 1), noise(chroma, 2), noise(chroma, 3)];
            let planes = Planes { width, height, planes: [&planes[0], &planes[1], &planes[2]] };
            let ours: fn(Planes<'_>) -> Result<Vec<u8>, String> = |planes| encode_by_ourselves(planes, 80);
            let theirs: fn(Planes<'_>) -> Result<Vec<u8>, String> = |planes| {
                turbojpeg::encode((planes.width, planes.height), planes.planes, 80)
                    .unwrap_or_else(|| encode_by_ourselves(planes, 80))
            };
            for encode in [ours, theirs] {
                let (joined, whole) = (halves::encode(planes, encode).unwrap(), encode(planes).unwrap());
                assert_ne!(joined, whole, "it was encoded in two halves");
                // The bits of the lower half begin elsewhere in their bytes, so other bytes are escaped.
                assert!(joined.len().abs_diff(whole.len()) < whole.len() / 500);
                let decoded = |jpeg: &[u8]| image::load_from_memory(jpeg).unwrap().into_rgb8();
                assert!(decoded(&joined) == decoded(&whole), "{width}×{height}");
                assert!(matches!(crate::media::scan::walk(&joined), Some(Ok(_))));
                assert_eq!(inspect(&joined), inspect(&whole));
            }
        }
    }

    #[test]
    fn a_cameras_own_jpeg_gets_the_facts_and_stays_as_it_is() {
        let original = encode_plain(&grey(64, 48, 90, true)).unwrap();
        let (jpeg, size) = with_caption(&original, &caption()).unwrap();
        assert_eq!((size, inspect(&jpeg)), ((64, 48), Ok((64, 48))));
        assert_eq!(exif::read(&jpeg).unwrap().facts.edge_at, caption().facts.edge_at);
        assert!(jpeg.ends_with(&original[2..]));
        assert_eq!(with_caption(&original[..100], &caption()), Err(NotJpeg::NoEnd));
    }

    #[test]
    fn a_picture_that_lies_on_its_side_keeps_that_and_what_is_made_of_it_stands() {
        let original = encode_plain(&grey(640, 360, 90, true)).unwrap();
        let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let turned = with_segment(&original, exif).unwrap();
        let (kept, size) = with_caption(&turned, &caption()).unwrap();
        assert_eq!((exif::orientation(&kept), size), (Some(6), (640, 360)));
        assert_eq!(inspect(&thumbnail(&kept).unwrap()), Ok((180, 320)));
        let small = shrunk_to(&kept, kept.len() - 100).unwrap();
        let (width, height) = inspect(&small).unwrap();
        assert!(width < height && exif::orientation(&small).is_none());
    }

    #[test]
    fn fields_tell_where_a_picture_is_bright() {
        let mut frame = grey(64, 48, 40, true);
        frame.y[..64 * 24].fill(200);
        let fields = fields(&encode_plain(&frame).unwrap(), 4, 2).unwrap();
        assert!(
            fields[..4].iter().all(|f| f.abs_diff(200) < 4) && fields[4..].iter().all(|f| f.abs_diff(40) < 4)
        );
        assert_eq!(super::fields(&encode_plain(&frame).unwrap(), 65, 2), None);
        assert_eq!(super::fields(b"no picture", 4, 2), None);
    }

    #[test]
    fn video_range_black_and_white_become_full_range() {
        for (video, full) in [(16, 0), (235, 255), (0, 0), (255, 255)] {
            let jpeg = encode_plain(&grey(64, 64, video, false)).unwrap();
            assert!(mean_luma(&jpeg).abs_diff(full) <= 1, "{video}: {}", mean_luma(&jpeg));
        }
    }

    #[test]
    fn a_jpeg_without_a_thumbnail_gets_one_by_decoding() {
        let jpeg = encode_plain(&grey(1280, 720, 90, true)).unwrap();
        assert_eq!(exif::thumbnail(&jpeg), None);
        assert_eq!(inspect(&thumbnail(&jpeg).unwrap()), Ok((320, 180)));
        assert_eq!(thumbnail(b"not a jpeg"), None);
    }

    #[test]
    fn what_claims_too_many_pixels_is_not_decoded() {
        let mut jpeg = encode_plain(&grey(64, 48, 90, true)).unwrap();
        assert!(thumbnail(&jpeg).is_some());
        let frame = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
        jpeg[frame + 5..frame + 9].copy_from_slice(&[0x13, 0x88, 0x27, 0x10]);
        assert_eq!(inspect(&jpeg), Ok((10_000, 5_000)));
        assert_eq!((thumbnail(&jpeg), luma(&jpeg).is_none()), (None, true));
    }

    #[test]
    fn a_picture_is_made_to_fit_and_keeps_its_facts() {
        let mut frame = grey(640, 480, 90, true);
        let mut noise = 1_u32;
        for sample in &mut frame.y {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *sample = (noise >> 24) as u8;
        }
        let large = encode(&frame, &caption()).unwrap();
        for most in [large.len() / 2, large.len() / 20] {
            let small = shrunk_to(&large, most).unwrap();
            assert!(small.len() <= most && small.len() > most / 8, "{} for {most}", small.len());
            assert!(inspect(&small).is_ok());
            assert_eq!(exif::read(&small).unwrap().facts.edge_at, caption().facts.edge_at);
        }
        assert_eq!(shrunk_to(&large, 100), None);
        assert_eq!(shrunk_to(b"no picture", 100), None);
    }

    #[test]
    fn torn_and_foreign_bytes_are_told_apart() {
        let jpeg = encode_plain(&grey(64, 64, 90, true)).unwrap();
        assert_eq!(inspect(&jpeg[..jpeg.len() - 1]), Err(NotJpeg::NoEnd));
        assert_eq!(inspect(b"GIF89a"), Err(NotJpeg::NoStart));
        assert_eq!(inspect(&[0xff, 0xd8, 0xff, 0xd9]), Err(NotJpeg::NoFrame));
        let in_its_head = [&jpeg[..2], &[0xff, 0xe1, 0x40, 0, 0xff, 0xd8, 0xff, 0xd9][..]].concat();
        assert_eq!(inspect(&in_its_head), Err(NotJpeg::NoEnd), "the end of a small picture in the head");
    }

    proptest! {
        #[test]
        fn looking_at_any_bytes_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = inspect(&bytes);
            bytes.splice(0..0, [0xff, 0xd8]);
            bytes.extend([0xff, 0xd9]);
            let _ = inspect(&bytes);
        }
    }
}
