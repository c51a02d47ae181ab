//! A JPEG encoded in two halves at once, by two threads, and joined: a restart marker between them lets the second half begin
//! like a picture of its own (ITU-T T.81 section E.1.4), so the joined picture is the same sample by sample as one encoded in
//! one go.

use std::thread;

/// Pixels from which on it is worth a thread: the tenth of a millisecond that it costs against two of encoding.
const WORTH_IT: usize = 500_000;

/// Lines of a unit where chroma has half the lines.
const UNIT: usize = 16;

/// Samples of a picture, 4:2:0, without padding.
#[derive(Clone, Copy)]
pub(super) struct Planes<'a> {
    /// Pixels of a line.
    pub(super) width: usize,
    /// Lines.
    pub(super) height: usize,
    /// Luma, blue and red difference.
    pub(super) planes: [&'a [u8]; 3],
}

impl<'a> Planes<'a> {
    /// Units in so many lines.
    fn units(&self, lines: usize) -> usize {
        self.width.div_ceil(UNIT) * (lines / UNIT)
    }

    /// Two halves of whole units, the first as long as the second or longer; `None` where that is not worth it.
    fn split(&self) -> Option<[Self; 2]> {
        let lines = self.height.div_ceil(2).next_multiple_of(UNIT);
        if self.width * self.height < WORTH_IT
            || lines >= self.height
            || self.units(lines) > usize::from(u16::MAX)
        {
            return None;
        }
        let [luma, blue, red] = self.planes;
        let (luma, luma_below) = luma.split_at_checked(self.width * lines)?;
        let chroma = self.width.div_ceil(2) * (lines / 2);
        let (blue, blue_below) = blue.split_at_checked(chroma)?;
        let (red, red_below) = red.split_at_checked(chroma)?;
        Some([
            Self { height: lines, planes: [luma, blue, red], ..*self },
            Self { height: self.height - lines, planes: [luma_below, blue_below, red_below], ..*self },
        ])
    }
}

/// Encodes by `encode`, in two halves where that is sooner. It must write a baseline JPEG with the same tables each time.
pub(super) fn encode<E: Send>(
    whole: Planes<'_>,
    encode: impl Fn(Planes<'_>) -> Result<Vec<u8>, E> + Sync,
) -> Result<Vec<u8>, E> {
    let Some([top, bottom]) = whole.split() else { return encode(whole) };
    let joined = thread::scope(|scope| {
        let below = thread::Builder::new().name("encode".to_owned()).spawn_scoped(scope, || encode(bottom));
        let above = encode(top).ok()?;
        join(&above, &below.ok()?.join().ok()?.ok()?, whole)
    });
    // What goes wrong with a half is told of the whole, if that goes wrong, too.
    joined.map_or_else(|| encode(whole), Ok)
}

/// One picture of two that stand one above the other; `None` unless they differ in their lines alone.
fn join(top: &[u8], bottom: &[u8], whole: Planes<'_>) -> Option<Vec<u8>> {
    let (above, below) = (Parts::of(top)?, Parts::of(bottom)?);
    let lines = u16::try_from(whole.height).ok()?.to_be_bytes();
    let mut head = above.head.to_vec();
    head.get_mut(above.lines_at..above.lines_at + 2)?.copy_from_slice(&lines);
    let mut head_below = below.head.to_vec();
    head_below.get_mut(below.lines_at..below.lines_at + 2)?.copy_from_slice(&lines);
    if head != head_below || above.scan != below.scan {
        return None;
    }
    // One interval is the upper half; the lower one has as many units or fewer.
    let units = u16::try_from(whole.units(above.lines)).ok()?;
    let [high, low] = units.to_be_bytes();
    let interval = [0xff, 0xdd, 0, 4, high, low];
    Some([&head[..], &interval, above.scan, above.data, &[0xff, 0xd0], below.data, &[0xff, 0xd9]].concat())
}

/// A JPEG of one scan.
struct Parts<'a> {
    /// Up to the scan's header.
    head: &'a [u8],
    /// Where in it the number of lines stands.
    lines_at: usize,
    lines: usize,
    /// The scan's header.
    scan: &'a [u8],
    /// What is coded, without the end marker.
    data: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(jpeg: &'a [u8]) -> Option<Self> {
        let mut at = 2;
        let mut lines_at = None;
        loop {
            let [0xff, marker, high, low] = *jpeg.get(at..)?.first_chunk::<4>()? else { return None };
            let next = at + 2 + usize::from(u16::from_be_bytes([high, low]));
            match marker {
                0xc0 => lines_at = Some(at + 5),
                0xda => {
                    let lines_at = lines_at?;
                    let lines = usize::from(u16::from_be_bytes(*jpeg.get(lines_at..)?.first_chunk()?));
                    let data = jpeg.get(next..)?.strip_suffix(&[0xff, 0xd9])?;
                    return Some(Self { head: &jpeg[..at], lines_at, lines, scan: &jpeg[at..next], data });
                }
                // Restarts of its own, or another coding.
                0xc1..=0xc3 | 0xc5..=0xcf | 0xdd => return None,
                _ => {}
            }
            at = next;
        }
    }
}
