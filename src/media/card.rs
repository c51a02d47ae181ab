//! The picture that tries a target out: nobody takes it for one of a camera, whatever size it is shown in. Pure.

use super::font;
use super::frame::{Colours, Frame};

/// Pixels; those of a camera's smaller stream.
const SIZE: (usize, usize) = (640, 360);

/// Pixels on each side that stay free.
const MARGIN: usize = 24;

/// A colour as luma and the two chroma differences (JFIF 1.02).
type Colour = (u8, u8, u8);

const GROUND: Colour = (235, 128, 128);
const INK: Colour = (24, 128, 128);

/// Red, for the stripes along the edges.
const STRIPE: Colour = (90, 104, 208);

/// Width of a stripe, pixels; even, because colours are held for two pixels each.
const STRIPE_WIDTH: usize = 20;

/// A card with the word TEST on it, as large as it goes, and `lines` below, as far as there is room for them.
pub fn test_card(lines: &[&str]) -> Frame {
    let (width, height) = SIZE;
    let chroma = width.div_ceil(2) * height.div_ceil(2);
    let mut frame = Frame {
        width,
        height,
        y: vec![GROUND.0; width * height],
        u: vec![GROUND.1; chroma],
        v: vec![GROUND.2; chroma],
        colours: Colours::JPEG,
    };
    for x in (0..width).step_by(2 * STRIPE_WIDTH) {
        fill(&mut frame, (x, 0), (STRIPE_WIDTH, MARGIN / 2), STRIPE);
        fill(&mut frame, (x, height - MARGIN / 2), (STRIPE_WIDTH, MARGIN / 2), STRIPE);
    }
    let mut top = MARGIN;
    for (text, largest) in std::iter::once(("TEST", 20)).chain(lines.iter().map(|line| (*line, 4))) {
        let columns = (text.chars().count() * (font::COLUMNS + 1)).max(1);
        let dot = ((width - 2 * MARGIN) / columns).clamp(1, largest);
        write(&mut frame, (MARGIN, top), dot, text);
        top += (font::ROWS + 3) * dot;
    }
    frame
}

/// Writes `text`, `dot` pixels for each of a letter's.
fn write(frame: &mut Frame, (left, top): (usize, usize), dot: usize, text: &str) {
    for (column, row) in font::pixels(text) {
        fill(frame, (left + column * dot, top + row * dot), (dot, dot), INK);
    }
}

/// Fills a rectangle; what is outside of the picture is left out.
fn fill(frame: &mut Frame, (left, top): (usize, usize), (wide, high): (usize, usize), colour: Colour) {
    let (width, height, chroma_width) = (frame.width, frame.height, frame.chroma_width());
    for y in top..(top + high).min(height) {
        for x in left..(left + wide).min(width) {
            frame.y[y * width + x] = colour.0;
            frame.u[y / 2 * chroma_width + x / 2] = colour.1;
            frame.v[y / 2 * chroma_width + x / 2] = colour.2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::jpeg;
    use proptest::prelude::*;

    #[test]
    fn the_word_test_fills_the_card() {
        let card = test_card(&["2026-11-29 04:00:00Z"]);
        // The bar of the first T: a letter of five columns, 20 pixels each.
        let ink = |x: usize, y: usize| card.y[y * card.width + x] == INK.0;
        assert!((MARGIN..MARGIN + 5 * 20).all(|x| ink(x, MARGIN + 12)));
        assert!(!ink(MARGIN + 12, MARGIN + 3 * 20), "beside its stem");
        let dark = card.y.iter().filter(|y| **y == INK.0).count();
        assert!(dark > card.y.len() / 10, "{dark}");
        let jpeg = jpeg::encode_plain(&card).unwrap();
        assert_eq!(jpeg::inspect(&jpeg), Ok((640, 360)));
        assert!(jpeg.len() < 60_000, "{}", jpeg.len());
    }

    proptest! {
        #[test]
        fn whatever_is_written_on_it_it_is_a_card_of_its_size(lines in prop::collection::vec("\\PC{0,200}", 0..12)) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let card = test_card(&lines);
            prop_assert_eq!((card.width, card.height, card.y.len()), (640, 360, 640 * 360));
        }
    }
}
