//! The controllers of small displays, SSD1306 and SH1106: 128×64 pixels behind an I²C address.
//!
//! By the datasheets "SSD1306 Rev 1.1" and "SH1106 V2.3". Both keep rows of eight pixels in a byte, the top one in bit 0,
//! in eight pages; the SH1106 has 132 columns, of which a 128 wide glass shows those from the third on.

use std::io;

use super::canvas::{Canvas, PAGES, WIDTH};
use crate::config::DisplayKind;

/// Before bytes that are commands, and before bytes that are pixels.
const COMMANDS: u8 = 0x00;
const PIXELS: u8 = 0x40;

const OFF: u8 = 0xae;
const ON: u8 = 0xaf;
const CONTRAST: u8 = 0x81;

/// Contrast, of 255: light that is read across a room, and light that wears the glass little.
const BRIGHT: u8 = 0xcf;
const DIM: u8 = 0x08;

/// How much light there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Light {
    Bright,
    Dim,
    Off,
}

/// The wire to one address. A display that is not there does not acknowledge, which is an error.
pub(super) trait DisplayWire: Send {
    /// One message, as a whole.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A display that was set up.
pub(super) struct Panel {
    wire: Box<dyn DisplayWire>,
    kind: DisplayKind,
    /// What its memory holds.
    shown: Canvas,
    light: Light,
}

impl Panel {
    /// Sets a display up: its memory is cleared before it gives light, because it wakes with noise in it.
    pub(super) fn begin(wire: Box<dyn DisplayWire>, kind: DisplayKind) -> io::Result<Self> {
        let mut panel = Self { wire, kind, shown: Canvas::default(), light: Light::Off };
        panel.set_up()?;
        for page in 0..PAGES {
            panel.write_page(page)?;
        }
        Ok(panel)
    }

    /// Everything again, without darkness: one that was pulled and put back between two writes gives no light until then,
    /// and nothing tells.
    pub(super) fn renew(&mut self) -> io::Result<()> {
        self.set_up()?;
        for page in 0..PAGES {
            self.write_page(page)?;
        }
        let light = self.light;
        self.light = Light::Off;
        self.shine(light)
    }

    /// Shows a picture; only what differs is written.
    pub(super) fn show(&mut self, canvas: &Canvas) -> io::Result<()> {
        for page in 0..PAGES {
            if self.shown.page(page) != canvas.page(page) {
                self.shown.set_page(page, canvas.page(page));
                self.write_page(page)?;
            }
        }
        Ok(())
    }

    /// Gives that much light.
    pub(super) fn shine(&mut self, light: Light) -> io::Result<()> {
        if light == self.light {
            return Ok(());
        }
        match light {
            Light::Bright => self.command(&[CONTRAST, BRIGHT])?,
            Light::Dim => self.command(&[CONTRAST, DIM])?,
            Light::Off => self.command(&[OFF])?,
        }
        if self.light == Light::Off {
            self.command(&[ON])?;
        }
        self.light = light;
        Ok(())
    }

    fn set_up(&mut self) -> io::Result<()> {
        let (pump, precharge, level): (&[u8], u8, u8) = match self.kind {
            // Charge pump; pages are addressed as on the other one.
            DisplayKind::Ssd1306 => (&[0x8d, 0x14, 0x20, 0x02], 0xf1, 0x40),
            DisplayKind::Sh1106 => (&[0xad, 0x8b], 0x22, 0x35),
        };
        // One that is dim must not blink when everything is written anew.
        let contrast = if self.light == Light::Dim { DIM } else { BRIGHT };
        // Clock, 64 rows, no offset, first row 0.
        let start: &[u8] = &[0xd5, 0x80, 0xa8, 0x3f, 0xd3, 0x00, 0x40];
        // The connector is above; pins of the rows; pre-charge and its level; pixels from memory, not inverted.
        let end: &[u8] =
            &[0xa1, 0xc8, 0xda, 0x12, CONTRAST, contrast, 0xd9, precharge, 0xdb, level, 0xa4, 0xa6];
        self.command(&[start, pump, end].concat())
    }

    fn write_page(&mut self, page: usize) -> io::Result<()> {
        let first = match self.kind {
            DisplayKind::Ssd1306 => 0,
            DisplayKind::Sh1106 => 2,
        };
        // There are eight pages.
        let row = 0xb0 | u8::try_from(page).unwrap_or(0);
        self.command(&[row, first, 0x10])?;
        let mut bytes = Vec::with_capacity(1 + WIDTH);
        bytes.push(PIXELS);
        bytes.extend_from_slice(self.shown.page(page));
        self.wire.write(&bytes)
    }

    fn command(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write(&[&[COMMANDS], bytes].concat())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A display as its datasheet says: memory, light, and whether it is plugged in.
    #[derive(Default)]
    struct FakeController {
        columns: usize,
        memory: Vec<[u8; 132]>,
        row: usize,
        column: usize,
        is_on: bool,
        has_pump: bool,
        contrast: u8,
        lit_with_noise: bool,
        is_pulled: bool,
        written: usize,
    }

    #[derive(Clone)]
    struct Scripted(Arc<Mutex<FakeController>>);

    impl Scripted {
        fn new(columns: usize) -> Self {
            let memory = vec![[0x5a; 132]; PAGES];
            Self(Arc::new(Mutex::new(FakeController { columns, memory, ..FakeController::default() })))
        }

        /// What is seen on a glass whose first column is `first`.
        fn seen(&self, first: usize) -> Vec<Vec<u8>> {
            let glass = self.0.lock().unwrap();
            glass.memory.iter().map(|row| row[first..first + WIDTH].to_vec()).collect()
        }
    }

    impl DisplayWire for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
            let mut glass = self.0.lock().unwrap();
            if glass.is_pulled {
                return Err(io::Error::from_raw_os_error(121));
            }
            assert!(bytes.len() <= 1 + WIDTH, "one row of pixels at most");
            if bytes[0] == PIXELS {
                for byte in &bytes[1..] {
                    let (row, column) = (glass.row, glass.column);
                    glass.memory[row][column] = *byte;
                    glass.column = (column + 1) % glass.columns;
                }
                glass.written += 1;
                return Ok(());
            }
            assert_eq!(bytes[0], COMMANDS);
            let mut rest = bytes[1..].iter();
            while let Some(command) = rest.next() {
                match command {
                    0xb0..=0xb7 => glass.row = usize::from(command & 7),
                    0x00..=0x0f => glass.column = (glass.column & 0xf0) | usize::from(*command),
                    0x10..=0x1f => glass.column = (glass.column & 0x0f) | usize::from(command & 0x0f) << 4,
                    0xae => glass.is_on = false,
                    0xaf => {
                        glass.is_on = true;
                        let first = (glass.columns - WIDTH) / 2;
                        let is_noise = |row: &[u8; 132]| row[first..first + WIDTH].contains(&0x5a);
                        glass.lit_with_noise |= glass.memory.iter().any(is_noise);
                    }
                    0x81 => glass.contrast = *rest.next().unwrap(),
                    0x8d if glass.columns == 128 => glass.has_pump = *rest.next().unwrap() == 0x14,
                    0xad if glass.columns == 132 => glass.has_pump = *rest.next().unwrap() == 0x8b,
                    // Anything else is sideways addressing, which the other controller does not know.
                    0x20 if glass.columns == 128 => assert_eq!(*rest.next().unwrap(), 0x02),
                    0xa8 => assert_eq!(*rest.next().unwrap(), 0x3f),
                    0xd5 | 0xd3 | 0xda | 0xd9 | 0xdb => assert!(rest.next().is_some()),
                    0x40 | 0xa1 | 0xc8 | 0xa4 | 0xa6 => {}
                    other => panic!("{other:#x} is no command of this controller"),
                }
            }
            Ok(())
        }
    }

    fn picture() -> Canvas {
        let mut canvas = Canvas::default();
        for page in 0..PAGES {
            let row: Vec<u8> = (0..WIDTH).map(|column| (page * 31 + column) as u8 & 0x3f).collect();
            canvas.set_page(page, &row);
        }
        canvas
    }

    const BOTH: [(DisplayKind, usize, usize); 2] =
        [(DisplayKind::Ssd1306, 128, 0), (DisplayKind::Sh1106, 132, 2)];

    /// S1.9
    #[test]
    fn what_is_drawn_stands_on_the_glass_of_either_controller() {
        for (kind, columns, first) in BOTH {
            let glass = Scripted::new(columns);
            let mut panel = Panel::begin(Box::new(glass.clone()), kind).unwrap();
            let canvas = picture();
            panel.show(&canvas).unwrap();
            panel.shine(Light::Bright).unwrap();
            let expected: Vec<Vec<u8>> = (0..PAGES).map(|page| canvas.page(page).to_vec()).collect();
            assert_eq!(glass.seen(first), expected, "{kind:?}");
            let state = glass.0.lock().unwrap();
            assert!(state.is_on && state.has_pump && state.contrast == BRIGHT, "{kind:?}");
        }
    }

    #[test]
    fn no_noise_is_seen_when_it_wakes() {
        for (kind, columns, _) in BOTH {
            let glass = Scripted::new(columns);
            let mut panel = Panel::begin(Box::new(glass.clone()), kind).unwrap();
            assert!(!glass.0.lock().unwrap().is_on, "nothing is shown yet");
            panel.shine(Light::Bright).unwrap();
            let state = glass.0.lock().unwrap();
            assert!(state.is_on && !state.lit_with_noise, "{kind:?}");
        }
    }

    #[test]
    fn only_rows_that_differ_are_written() {
        let glass = Scripted::new(128);
        let mut panel = Panel::begin(Box::new(glass.clone()), DisplayKind::Ssd1306).unwrap();
        let mut canvas = picture();
        panel.show(&canvas).unwrap();
        let before = glass.0.lock().unwrap().written;
        panel.show(&canvas).unwrap();
        canvas.set_page(3, &[1; WIDTH]);
        panel.show(&canvas).unwrap();
        assert_eq!(glass.0.lock().unwrap().written, before + 1);
    }

    #[test]
    fn light_is_switched_only_when_it_changes_and_off_is_dark() {
        let glass = Scripted::new(132);
        let mut panel = Panel::begin(Box::new(glass.clone()), DisplayKind::Sh1106).unwrap();
        let mut seen = Vec::new();
        for light in [Light::Bright, Light::Dim, Light::Off, Light::Bright] {
            panel.shine(light).unwrap();
            let state = glass.0.lock().unwrap();
            seen.push((state.is_on, state.contrast));
        }
        assert_eq!(seen, [(true, BRIGHT), (true, DIM), (false, DIM), (true, BRIGHT)]);
    }

    #[test]
    fn one_that_was_pulled_and_put_back_between_two_writes_is_set_up_again() {
        let glass = Scripted::new(128);
        let mut panel = Panel::begin(Box::new(glass.clone()), DisplayKind::Ssd1306).unwrap();
        let canvas = picture();
        panel.show(&canvas).unwrap();
        panel.shine(Light::Dim).unwrap();
        *glass.0.lock().unwrap() =
            FakeController { columns: 128, memory: vec![[0x5a; 132]; PAGES], ..FakeController::default() };
        panel.show(&canvas).unwrap();
        assert!(!glass.0.lock().unwrap().is_on, "it knows nothing of it");
        panel.renew().unwrap();
        let expected: Vec<Vec<u8>> = (0..PAGES).map(|page| canvas.page(page).to_vec()).collect();
        assert_eq!(glass.seen(0), expected);
        let state = glass.0.lock().unwrap();
        assert!(state.is_on && state.has_pump && state.contrast == DIM && !state.lit_with_noise);
    }

    #[test]
    fn one_that_is_pulled_is_an_error_and_no_panic() {
        let glass = Scripted::new(128);
        let mut panel = Panel::begin(Box::new(glass.clone()), DisplayKind::Ssd1306).unwrap();
        glass.0.lock().unwrap().is_pulled = true;
        assert!(panel.show(&picture()).is_err() && panel.shine(Light::Bright).is_err());
        assert!(Panel::begin(Box::new(glass), DisplayKind::Ssd1306).is_err());
    }
}
