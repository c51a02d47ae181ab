//! Pages as pictures. Pure.

use embedded_graphics::Drawable;
use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::{FONT_6X10, FONT_7X13_BOLD};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::primitives::{Primitive, PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};
use qrcodegen::{QrCode, QrCodeEcc};

use super::canvas::{Canvas, HEIGHT, WIDTH};
use super::page::{DisplayPage, Topic};

/// Rows of the title, and of a line of text.
const TITLE: i32 = 13;
const LINE: i32 = 10;

/// Draws a page. Nothing here can fail: the canvas takes everything.
pub(super) fn draw(page: &DisplayPage) -> Canvas {
    let mut canvas = Canvas::default();
    let is_alarm = page.topic == Topic::Alarm;
    if is_alarm {
        rectangle(&mut canvas, Point::zero(), Size::new(size(WIDTH), TITLE.unsigned_abs()), BinaryColor::On);
    }
    let ink = if is_alarm { BinaryColor::Off } else { BinaryColor::On };
    text(&mut canvas, &page.title, Point::new(1, 0), MonoTextStyle::new(&FONT_7X13_BOLD, ink));
    let style = MonoTextStyle::new(&FONT_6X10, BinaryColor::On);
    for (line, top) in page.lines.iter().zip((TITLE..).step_by(LINE.unsigned_abs() as usize)) {
        text(&mut canvas, line, Point::new(0, top + 1), style);
    }
    if let Some(address) = &page.qr {
        qr(&mut canvas, address);
    }
    canvas
}

/// Draws the code of an address on the right half: dark on light, as readers want it. One that does not fit is left out.
fn qr(canvas: &mut Canvas, address: &str) {
    let Ok(code) = QrCode::encode_text(address, QrCodeEcc::Low) else { return };
    let side = size(HEIGHT);
    let modules = code.size().unsigned_abs();
    let scale = side / (modules + 2);
    if scale == 0 {
        return;
    }
    let left = i32::try_from(WIDTH - HEIGHT).unwrap_or(0);
    rectangle(canvas, Point::new(left, 0), Size::new(side, side), BinaryColor::On);
    let margin = i32::try_from((side - modules * scale) / 2).unwrap_or(0);
    let step = i32::try_from(scale).unwrap_or(1);
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            let at = Point::new(left + margin + x * step, margin + y * step);
            rectangle(canvas, at, Size::new(scale, scale), BinaryColor::Off);
        }
    }
}

fn size(pixels: usize) -> u32 {
    u32::try_from(pixels).unwrap_or(0)
}

fn rectangle(canvas: &mut Canvas, at: Point, size: Size, colour: BinaryColor) {
    let drawn = Rectangle::new(at, size).into_styled(PrimitiveStyle::with_fill(colour)).draw(canvas);
    drawn.unwrap_or_else(|never| match never {});
}

fn text(canvas: &mut Canvas, words: &str, at: Point, style: MonoTextStyle<'_, BinaryColor>) {
    let drawn = Text::with_baseline(words, at, style, Baseline::Top).draw(canvas);
    drawn.map(drop).unwrap_or_else(|never| match never {});
}

#[cfg(test)]
#[path = "drawing_tests.rs"]
mod tests;
