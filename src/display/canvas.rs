//! 128×64 pixels, as the controllers of small displays keep them.

use std::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Size};
use embedded_graphics::pixelcolor::BinaryColor;

/// Pixels of a row, and rows.
pub(super) const WIDTH: usize = 128;
pub(super) const HEIGHT: usize = 64;

/// Eight rows of pixels lie in one row of bytes.
pub(super) const PAGES: usize = HEIGHT / 8;

/// A picture for a display; dark at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Canvas([[u8; WIDTH]; PAGES]);

impl Default for Canvas {
    fn default() -> Self {
        Self([[0; WIDTH]; PAGES])
    }
}

impl Canvas {
    /// Eight rows of pixels, from the left; the top one is bit 0.
    pub(super) fn page(&self, page: usize) -> &[u8] {
        &self.0[page]
    }

    /// The reverse; `bytes` is as long as a row.
    pub(super) fn set_page(&mut self, page: usize, bytes: &[u8]) {
        self.0[page].copy_from_slice(bytes);
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(128, 64)
    }
}

impl DrawTarget for Canvas {
    type Color = BinaryColor;
    type Error = Infallible;

    /// What lies outside is left out.
    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, colour) in pixels {
            let (Ok(column), Ok(row)) = (usize::try_from(at.x), usize::try_from(at.y)) else { continue };
            let Some(byte) = self.0.get_mut(row / 8).and_then(|page| page.get_mut(column)) else { continue };
            match colour {
                BinaryColor::On => *byte |= 1 << (row % 8),
                BinaryColor::Off => *byte &= !(1 << (row % 8)),
            }
        }
        Ok(())
    }
}
