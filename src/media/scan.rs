//! Is the data of a JPEG whole? Walks through its blocks without making a picture of them (ITU-T T.81 annex F).
//!
//! Nothing but the order of its bits says where a code begins, so a wrong byte shifts all that follows: the walk meets an
//! impossible code or does not end where the data does. Decoders are made to show what they can instead, and do not tell.

/// Bytes before a marker that belong to nothing, as some encoders leave them.
const SLACK: usize = 1;

/// The same of zeroes: encoders in hardware write whole words.
const PADDING: usize = 16;

/// Codes up to this length are looked up at once.
const FAST_BITS: u32 = 9;

/// Luma of the grey that is painted where there is nothing (the middle of the range, give or take).
const GREY: std::ops::RangeInclusive<i32> = 126..=130;

/// Chroma without colour.
const NO_COLOUR: std::ops::RangeInclusive<i32> = 127..=129;

/// Means of blocks, rounding included. Each is coded as the difference from the one before, so an error stays and adds up.
const POSSIBLE: std::ops::RangeInclusive<i32> = -40..=295;

/// The data makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenScan;

/// What a whole JPEG shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Smallest coded units, the squares the picture is made of.
    pub units: u32,
    /// Those that are plain grey.
    pub grey: u32,
    /// Brightest minus darkest block of luma; `None` when a block has any detail.
    pub span: Option<u8>,
}

/// Walks through a JPEG. `None` when it is of a kind cameras hardly send: progressive, arithmetic, several scans, without
/// its Huffman tables. Some milliseconds for a megapixel.
pub fn walk(jpeg: &[u8]) -> Option<Result<Content, BrokenScan>> {
    match Header::of(jpeg) {
        Ok((header, data)) => Some(header.walk(data)),
        Err(Stop::Unknown) => None,
        Err(Stop::Broken) => Some(Err(BrokenScan)),
    }
}

/// Why there is nothing to walk through.
enum Stop {
    Unknown,
    Broken,
}

/// A colour.
#[derive(Default)]
struct Component {
    id: u8,
    /// Blocks of one unit.
    blocks: u32,
    /// Number of its quantisation table.
    quantisation: usize,
    /// Numbers of its tables for the mean of a block, and for the rest.
    tables: (usize, usize),
}

/// What stands before the data.
#[derive(Default)]
struct Header {
    units: u32,
    components: Vec<Component>,
    /// By which the mean of a block is multiplied, by table.
    steps: [i32; 4],
    means: [Option<Codes>; 4],
    rest: [Option<Codes>; 4],
    /// Units from one restart marker to the next; 0 for none.
    restart: u32,
}

impl Header {
    fn of(jpeg: &[u8]) -> Result<(Self, &[u8]), Stop> {
        let mut header = Self::default();
        let mut rest = jpeg.strip_prefix(&[0xff, 0xd8]).ok_or(Stop::Broken)?;
        loop {
            let [0xff, marker, after @ ..] = rest else { return Err(Stop::Broken) };
            if *marker == 0xff {
                rest = &rest[1..];
                continue;
            }
            let length = after.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length)));
            let (segment, next) = length.and_then(|n| after.split_at_checked(n)).ok_or(Stop::Broken)?;
            let payload = segment.get(2..).ok_or(Stop::Broken)?;
            rest = next;
            match marker {
                0xc0 | 0xc1 => header.frame(payload)?,
                0xc4 => header.codes(payload).ok_or(Stop::Broken)?,
                0xc2..=0xcf => return Err(Stop::Unknown),
                0xdb => header.quantisation(payload).ok_or(Stop::Broken)?,
                0xdd => {
                    let interval = payload.first_chunk().ok_or(Stop::Broken)?;
                    header.restart = u32::from(u16::from_be_bytes(*interval));
                }
                0xda => {
                    header.scan(payload)?;
                    return Ok((header, rest));
                }
                _ => {}
            }
        }
    }

    fn frame(&mut self, payload: &[u8]) -> Result<(), Stop> {
        let [precision, h1, h0, w1, w0, count, components @ ..] = payload else { return Err(Stop::Broken) };
        if *precision != 8 || !matches!(count, 1 | 3) {
            return Err(Stop::Unknown);
        }
        let (components, _) = components.as_chunks::<3>();
        if components.len() != usize::from(*count) || !self.components.is_empty() {
            return Err(Stop::Broken);
        }
        let sampling = |c: &[u8; 3]| (u32::from(c[1] >> 4), u32::from(c[1] & 15));
        if components.iter().any(|c| !matches!(sampling(c), (1..=4, 1..=4)) || c[2] > 3) {
            return Err(Stop::Broken);
        }
        let is_alone = components.len() == 1;
        let blocks = |c: &[u8; 3]| if is_alone { (1, 1) } else { sampling(c) };
        let columns = components.iter().map(|c| blocks(c).0).max().unwrap_or(1) * 8;
        let lines = components.iter().map(|c| blocks(c).1).max().unwrap_or(1) * 8;
        let (height, width) = (u16::from_be_bytes([*h1, *h0]), u16::from_be_bytes([*w1, *w0]));
        self.units = u32::from(width).div_ceil(columns) * u32::from(height).div_ceil(lines);
        self.components = components
            .iter()
            .map(|c| Component {
                id: c[0],
                blocks: blocks(c).0 * blocks(c).1,
                quantisation: usize::from(c[2]),
                tables: (0, 0),
            })
            .collect();
        Ok(())
    }

    fn quantisation(&mut self, mut payload: &[u8]) -> Option<()> {
        while let Some((kind, table)) = payload.split_first() {
            let (step, length) = match kind >> 4 {
                0 => (i32::from(*table.first()?), 64),
                1 => (i32::from(u16::from_be_bytes(*table.first_chunk()?)), 128),
                _ => return None,
            };
            *self.steps.get_mut(usize::from(kind & 15))? = step;
            payload = table.get(length..)?;
        }
        Some(())
    }

    fn codes(&mut self, mut payload: &[u8]) -> Option<()> {
        while let Some((kind, table)) = payload.split_first() {
            let (lengths, after) = table.split_first_chunk::<16>()?;
            let total = lengths.iter().map(|count| usize::from(*count)).sum();
            let (values, next) = after.split_at_checked(total)?;
            let tables = if kind >> 4 == 0 { &mut self.means } else { &mut self.rest };
            *tables.get_mut(usize::from(kind & 15))? = Some(Codes::new(lengths, values)?);
            payload = next;
        }
        Some(())
    }

    fn scan(&mut self, payload: &[u8]) -> Result<(), Stop> {
        let (count, selectors) = payload.split_first().ok_or(Stop::Broken)?;
        if usize::from(*count) != self.components.len() {
            // One colour after the other, or no frame header.
            return Err(if self.components.is_empty() { Stop::Broken } else { Stop::Unknown });
        }
        let (selectors, _) = selectors.as_chunks::<2>();
        for (component, [id, tables]) in self.components.iter_mut().zip(selectors) {
            if component.id != *id || tables >> 4 > 3 || tables & 15 > 3 {
                return Err(Stop::Broken);
            }
            component.tables = (usize::from(tables >> 4), usize::from(tables & 15));
            let (first, rest) = component.tables;
            if self.means[first].is_none() || self.rest[rest].is_none() {
                // Without them the usual ones are meant, as in frames of old video formats.
                return Err(Stop::Unknown);
            }
        }
        Ok(())
    }

    fn walk(&self, data: &[u8]) -> Result<Content, BrokenScan> {
        let mut bits = Bits { data, at: 0, buffer: 0, count: 0 };
        let mut means = [0_i32; 3];
        let (mut grey, mut is_plain) = (0, true);
        let (mut darkest, mut brightest) = (255, 0);
        let mut restarts = 0_u8;
        for unit in 0..self.units {
            if self.restart > 0 && unit > 0 && unit.is_multiple_of(self.restart) {
                bits.marker(0xd0 | restarts)?;
                restarts = (restarts + 1) & 7;
                means = [0; 3];
            }
            let mut is_grey = true;
            for (i, (component, mean)) in self.components.iter().zip(&mut means).enumerate() {
                let (first, rest) = component.tables;
                let (Some(first), Some(rest)) = (&self.means[first], &self.rest[rest]) else {
                    return Err(BrokenScan);
                };
                for _ in 0..component.blocks {
                    let size = u32::from(first.next(&mut bits)?);
                    *mean = mean.saturating_add(bits.signed(size)?);
                    let is_empty = rest.skip_block(&mut bits)?;
                    // A mean counts eight times.
                    let level = mean.saturating_mul(self.steps[component.quantisation]) / 8 + 128;
                    if !POSSIBLE.contains(&level) {
                        return Err(BrokenScan);
                    }
                    let level = level.clamp(0, 255);
                    is_grey &= is_empty && if i == 0 { GREY } else { NO_COLOUR }.contains(&level);
                    if i == 0 {
                        is_plain &= is_empty;
                        (darkest, brightest) = (level.min(darkest), level.max(brightest));
                    }
                }
            }
            grey += u32::from(is_grey);
        }
        bits.marker(0xd9)?;
        let span = is_plain.then(|| u8::try_from(brightest - darkest).unwrap_or(0));
        Ok(Content { units: self.units, grey, span })
    }
}

/// A Huffman table (annex C).
struct Codes {
    /// By the next bits: value and length of the code, length 0 for a longer one.
    fast: Vec<(u8, u8)>,
    /// By length: one more than the highest code of that length, in sixteen bits, and what leads from code to value.
    slow: [(u32, i32); 17],
    values: Vec<u8>,
}

impl Codes {
    fn new(lengths: &[u8; 16], values: &[u8]) -> Option<Self> {
        let mut fast = vec![(0, 0); 1 << FAST_BITS];
        let mut slow = [(0, 0); 17];
        let (mut code, mut index) = (0_u32, 0_usize);
        for (length, count) in (1_u32..).zip(lengths) {
            let first = i32::try_from(index).ok()? - i32::try_from(code).ok()?;
            for _ in 0..*count {
                if length <= FAST_BITS {
                    let from = usize::try_from(code << (FAST_BITS - length)).ok()?;
                    let span = 1_usize << (FAST_BITS - length);
                    fast.get_mut(from..from + span)?.fill((values[index], u8::try_from(length).ok()?));
                }
                code += 1;
                index += 1;
            }
            if code > 1 << length {
                return None;
            }
            slow[usize::try_from(length).ok()?] = (code << (16 - length), first);
            code <<= 1;
        }
        Some(Self { fast, slow, values: values.to_vec() })
    }

    /// The value of the next code.
    fn next(&self, bits: &mut Bits<'_>) -> Result<u8, BrokenScan> {
        let ahead = bits.peek();
        let (value, length) = self.fast[usize::try_from(ahead >> (16 - FAST_BITS)).unwrap_or(0)];
        if length > 0 {
            bits.skip(u32::from(length))?;
            return Ok(value);
        }
        for length in FAST_BITS + 1..=16 {
            let (end, to_value) = self.slow[usize::try_from(length).unwrap_or(16)];
            if ahead < end {
                bits.skip(length)?;
                let index = i32::try_from(ahead >> (16 - length)).unwrap_or(-1) + to_value;
                let value = usize::try_from(index).ok().and_then(|index| self.values.get(index));
                return value.copied().ok_or(BrokenScan);
            }
        }
        Err(BrokenScan)
    }

    /// Goes over the rest of a block after its mean; whether there is none.
    fn skip_block(&self, bits: &mut Bits<'_>) -> Result<bool, BrokenScan> {
        let mut at = 1;
        while at < 64 {
            let (run, size) = {
                let code = self.next(bits)?;
                (u32::from(code >> 4), u32::from(code & 15))
            };
            match (run, size) {
                (0, 0) => return Ok(at == 1),
                (15, 0) => at += 16,
                (_, 0) => return Err(BrokenScan),
                _ => {
                    at += run + 1;
                    bits.skip(size)?;
                }
            }
        }
        // One that ends with its last number needs no end.
        if at == 64 { Ok(false) } else { Err(BrokenScan) }
    }
}

/// The data, bit by bit.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// Bits to come, the next one highest.
    buffer: u64,
    count: u32,
}

impl Bits<'_> {
    /// The next sixteen bits; zeroes behind the end.
    fn peek(&mut self) -> u32 {
        while self.count <= 48 {
            let byte = match self.data.get(self.at) {
                Some(0xff) if self.data.get(self.at + 1) == Some(&0) => {
                    self.at += 2;
                    0xff
                }
                None | Some(0xff) => break,
                Some(byte) => {
                    self.at += 1;
                    *byte
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
        u32::try_from(self.buffer >> 48).unwrap_or(0)
    }

    fn skip(&mut self, count: u32) -> Result<(), BrokenScan> {
        if self.count < count {
            self.peek();
        }
        self.count = self.count.checked_sub(count).ok_or(BrokenScan)?;
        self.buffer <<= count;
        Ok(())
    }

    /// A number of so many bits (figure F.12).
    fn signed(&mut self, size: u32) -> Result<i32, BrokenScan> {
        match size {
            0 => Ok(0),
            1..=11 => {
                let raw = i32::try_from(self.peek() >> (16 - size)).unwrap_or(0);
                self.skip(size)?;
                Ok(if raw < 1 << (size - 1) { raw + 1 - (1 << size) } else { raw })
            }
            _ => Err(BrokenScan),
        }
    }

    /// Goes on behind this marker, which must be next but for padding and slack.
    fn marker(&mut self, marker: u8) -> Result<(), BrokenScan> {
        // The begun byte is padding.
        self.skip(self.count % 8)?;
        let rest = self.data.get(self.at..).unwrap_or_default();
        let is_marker = |two: &[u8]| two[0] == 0xff && !matches!(two[1], 0 | 0xff);
        let slack = rest.windows(2).position(is_marker).ok_or(BrokenScan)?;
        let held = usize::try_from(self.count / 8).unwrap_or(0);
        let is_padding = self.buffer == 0 && rest[..slack].iter().all(|byte| *byte == 0 || *byte == 0xff);
        let most = if is_padding { PADDING } else { SLACK };
        if slack + held > most || rest[slack + 1] != marker {
            return Err(BrokenScan);
        }
        self.at += slack + 2;
        (self.buffer, self.count) = (0, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Colours, Frame};
    use super::super::jpeg;
    use super::*;
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
    use proptest::prelude::*;

    /// A scene of soft shades and hard edges.
    fn scene(width: usize, height: usize) -> Frame {
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        let y = (0..width * height).map(|i| {
            let (x, y) = (i % width, i / width);
            u8::try_from(((x * 3 + y * 2 + x / 13 * 40) ^ (y / 17 * 60)) % 256).unwrap()
        });
        let c = |step: usize| (0..chroma).map(|i| u8::try_from(90 + i / step % 70).unwrap()).collect();
        Frame { width, height, y: y.collect(), u: c(37), v: c(91), colours: Colours::JPEG }
    }

    fn rgb(width: u16, height: u16, of: impl Fn(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
        let frame = scene(usize::from(width), usize::from(height));
        let pixels: Vec<u8> = frame.y.iter().flat_map(|y| [*y, 255 - *y, y / 2]).collect();
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out, 80);
        of(&mut encoder);
        encoder.encode(&pixels, width, height, ColorType::Rgb).unwrap();
        out
    }

    /// Where the data begins.
    fn data_of(file: &[u8]) -> usize {
        let scan = file.windows(2).position(|two| two == [0xff, 0xda]).unwrap();
        scan + 2 + usize::from(u16::from_be_bytes([file[scan + 2], file[scan + 3]]))
    }

    #[test]
    fn whole_files_of_every_kind_of_sampling_are_whole() {
        for factor in
            [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_1_2, SamplingFactor::F_2_2]
        {
            for (width, height) in [(8, 8), (17, 31), (640, 360)] {
                let file = rgb(width, height, |encoder| encoder.set_sampling_factor(factor));
                let content = walk(&file).unwrap().unwrap();
                assert_eq!(content.span, None, "{factor:?} {width}×{height}");
            }
        }
        let restarting = rgb(640, 360, |encoder| encoder.set_restart_interval(7));
        assert!(matches!(walk(&restarting), Some(Ok(_))));
        let progressive = rgb(64, 64, |encoder| encoder.set_progressive(true));
        assert_eq!(walk(&progressive), None);
        let one_by_one = rgb(64, 64, |encoder| encoder.set_optimized_huffman_tables(true));
        assert_eq!(walk(&one_by_one), None, "three scans");
        let mut without_tables = jpeg::encode_plain(&scene(64, 64)).unwrap();
        while let Some(at) = without_tables.windows(2).position(|two| two == [0xff, 0xc4]) {
            let length = u16::from_be_bytes([without_tables[at + 2], without_tables[at + 3]]);
            without_tables.drain(at..at + 2 + usize::from(length));
        }
        assert_eq!(walk(&without_tables), None, "the usual tables are meant");
        let encoded = jpeg::encode_plain(&scene(1365, 767)).unwrap();
        assert!(matches!(walk(&encoded), Some(Ok(_))));
    }

    #[test]
    fn a_few_bytes_too_many_before_a_marker_do_no_harm() {
        let mut file = jpeg::encode_plain(&scene(64, 64)).unwrap();
        let end = file.len() - 2;
        file.splice(end..end, [0; 6]);
        assert!(matches!(walk(&file), Some(Ok(_))));
    }

    #[test]
    fn a_hole_anywhere_is_mostly_noticed() {
        let whole = jpeg::encode_plain(&scene(640, 360)).unwrap();
        let begin = data_of(&whole);
        // The scene takes twenty bytes for a block, so that a small hole may leave their number as it was.
        for (hole, least) in [(40, 35), (500, 49), (4000, 49)] {
            let mut noticed = 0;
            for part in 0..50 {
                let from = begin + (whole.len() - begin - hole - 2) * part / 50;
                let mut holed = whole.clone();
                holed.drain(from..from + hole);
                noticed += usize::from(walk(&holed) == Some(Err(BrokenScan)));
            }
            assert!(noticed >= least, "{hole} bytes: {noticed} of 50");
        }
    }

    #[test]
    fn wrong_bytes_are_mostly_noticed() {
        let whole = jpeg::encode_plain(&scene(640, 360)).unwrap();
        let begin = data_of(&whole);
        let noticed = (0..200).filter(|part| {
            let from = begin + (whole.len() - begin - 40) * part / 200;
            let mut wrong = whole.clone();
            (from..from + 32).for_each(|i| wrong[i] = u8::try_from((i * 73 + part) % 255).unwrap());
            walk(&wrong) == Some(Err(BrokenScan))
        });
        let noticed = noticed.count();
        assert!(noticed >= 190, "{noticed} of 200");
    }

    #[test]
    fn grey_and_flat_pictures_are_told_from_others() {
        let mut frame = scene(640, 360);
        frame.y[640 * 180..].fill(128);
        frame.u.fill(128);
        frame.v.fill(128);
        let content = walk(&jpeg::encode_plain(&frame).unwrap()).unwrap().unwrap();
        assert!(content.grey * 10 > content.units * 4 && content.grey * 2 <= content.units, "{content:?}");
        frame.y.fill(60);
        let content = walk(&jpeg::encode_plain(&frame).unwrap()).unwrap().unwrap();
        assert_eq!((content.grey, content.span), (0, Some(0)));
    }

    proptest! {
        #[test]
        fn any_damage_is_taken_without_a_panic(at in any::<prop::sample::Index>(), with in any::<[u8; 4]>()) {
            let mut file = jpeg::encode_plain(&scene(48, 32)).unwrap();
            let from = at.index(file.len() - with.len());
            file[from..from + with.len()].copy_from_slice(&with);
            let _ = walk(&file);
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = walk(&[&[0xff, 0xd8, 0xff, 0xc4], &tail[..]].concat());
            let _ = walk(&[&[0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0, 16, 0, 16, 1, 1, 0x11, 0], &tail[..]].concat());
        }
    }
}
