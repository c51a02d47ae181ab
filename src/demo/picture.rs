//! The synthetic gate scene: a car that comes, waits for the barrier and drives on, under a running clock.
//!
//! The scene is a function of the instant alone, so two pictures of the same instant are the same, and a person can
//! tell by eye what a picture shows: the clock and the frame number are drawn in it, and the time code of
//! [`super::framecode`] for programs. Everything is drawn in the coordinates of a 640 by 360 picture and scaled.

use crate::demo::framecode;
use crate::media::font;
use crate::model::UnixMs;

/// The size in whose coordinates the scene is described.
const DESIGN: (f32, f32) = (640.0, 360.0);

/// The car comes, waits, drives on and the gate rests: one round takes this long.
const ROUND_MS: i64 = 12_000;

/// Left edge of the car where it waits for the barrier.
const STOP_X: f32 = 215.0;

/// Pivot of the barrier's arm.
const PIVOT: (f32, f32) = (412.0, 214.0);

/// A colour as luma and the two chroma differences (ITU-R BT.601, limited range).
#[derive(Clone, Copy)]
struct Colour(u8, u8, u8);

impl Colour {
    fn rgb(r: f32, g: f32, b: f32) -> Self {
        let level = |value: f32| value.round().clamp(0.0, 255.0) as u8;
        Self(
            level(16.0 + 65.5 * r + 128.6 * g + 25.0 * b),
            level(128.0 - 37.8 * r - 74.2 * g + 112.0 * b),
            level(128.0 + 112.0 * r - 93.8 * g - 18.2 * b),
        )
    }

    /// Hue in degrees; saturation and value from 0 to 1.
    fn hsv(hue: f32, saturation: f32, value: f32) -> Self {
        let channel = |offset: f32| {
            let k = (offset + hue / 60.0).rem_euclid(6.0);
            value * (1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0))
        };
        Self::rgb(channel(5.0), channel(3.0), channel(1.0))
    }

    fn grey(value: f32) -> Self {
        Self::rgb(value, value, value)
    }
}

/// A picture in planar YUV 4:2:0 (I420): the luma plane, then the two chroma planes of half the size.
#[derive(Clone)]
pub struct YuvPicture {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl YuvPicture {
    /// A black picture; odd sizes are rounded down to even ones, as 4:2:0 needs.
    pub fn new(width: usize, height: usize) -> Self {
        let (width, height) = (width & !1, height & !1);
        let luma = width * height;
        let mut data = vec![16; luma];
        data.resize(luma + luma / 2, 128);
        Self { width, height, data }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The planes Y, U and V; their strides are the width and twice half of it.
    pub fn planes(&self) -> (&[u8], &[u8], &[u8]) {
        let luma = self.width * self.height;
        let (y, chroma) = self.data.split_at(luma);
        let (u, v) = chroma.split_at(luma / 4);
        (y, u, v)
    }

    /// Fills a rectangle given in design coordinates; what lies outside the picture is cut off.
    fn fill(&mut self, left: f32, top: f32, right: f32, bottom: f32, colour: Colour) {
        let (sx, sy) = (self.width as f32 / DESIGN.0, self.height as f32 / DESIGN.1);
        let pixel = |at: f32, scale: f32, limit: usize| ((at * scale).round().max(0.0) as usize).min(limit);
        let (x0, x1) = (pixel(left, sx, self.width), pixel(right, sx, self.width));
        let (y0, y1) = (pixel(top, sy, self.height), pixel(bottom, sy, self.height));
        self.fill_pixels(x0, y0, x1, y1, colour);
    }

    fn fill_pixels(&mut self, x0: usize, y0: usize, x1: usize, y1: usize, Colour(y, u, v): Colour) {
        let (x1, y1) = (x1.min(self.width), y1.min(self.height));
        if x0 >= x1 || y0 >= y1 {
            return;
        }
        let (width, luma) = (self.width, self.width * self.height);
        for row in y0..y1 {
            self.data[row * width + x0..row * width + x1].fill(y);
        }
        let half = width / 2;
        for (plane, value) in [(luma, u), (luma + luma / 4, v)] {
            for row in y0 / 2..y1.div_ceil(2) {
                let start = plane + row * half;
                self.data[start + x0 / 2..start + x1.div_ceil(2)].fill(value);
            }
        }
    }

    fn disc(&mut self, centre_x: f32, centre_y: f32, radius: f32, colour: Colour) {
        let mut dy = -radius;
        while dy < radius {
            let reach = (radius * radius - dy * dy).max(0.0).sqrt();
            self.fill(centre_x - reach, centre_y + dy, centre_x + reach, centre_y + dy + 1.0, colour);
            dy += 1.0;
        }
    }

    /// Writes light text on a dark plate, its upper left corner at the design coordinates; `size` pixels per dot at
    /// the design size.
    fn text(&mut self, left: f32, top: f32, size: f32, text: &str) {
        let dot = ((size * self.width as f32 / DESIGN.0).round() as usize).max(1);
        let x0 = (left * self.width as f32 / DESIGN.0) as usize;
        let y0 = (top * self.height as f32 / DESIGN.1) as usize;
        let columns = text.chars().count() * (font::COLUMNS + 1) + 1;
        let plate = (x0 + columns * dot, y0 + (font::ROWS + 2) * dot);
        self.fill_pixels(x0, y0, plate.0, plate.1, Colour::grey(0.08));
        for (column, row) in font::pixels(text) {
            let (x, y) = (x0 + (column + 1) * dot, y0 + (row + 1) * dot);
            self.fill_pixels(x, y, x + dot, y + dot, Colour::grey(0.95));
        }
    }
}

/// One camera's view of its gate.
pub struct Scene {
    label: String,
    hue: f32,
    /// Everything that stands still, drawn once.
    background: YuvPicture,
}

impl Scene {
    /// A scene of the given size, tinted with `hue` (degrees), with `label` written in its corner.
    pub fn new(width: usize, height: usize, hue: u16, label: &str) -> Self {
        let hue = f32::from(hue % 360);
        let label = label.chars().take(24).collect();
        Self { label, hue, background: background(width, height, hue) }
    }

    /// An empty picture of the scene's size, for [`Self::draw`].
    pub fn blank(&self) -> YuvPicture {
        self.background.clone()
    }

    /// Draws the view at `instant` over whatever `picture` shows; `number` is written beside the clock.
    pub fn draw(&self, picture: &mut YuvPicture, instant: UnixMs, number: u64) {
        picture.clone_from(&self.background);
        let round = (instant.0.saturating_add(self.hue as i64 * 31)).rem_euclid(ROUND_MS) as f32 / 1000.0;
        self.draw_car(picture, car_x(round));
        draw_arm(picture, arm_degrees(round));
        let time = instant.rfc3339();
        picture.text(14.0, 50.0, 2.0, &self.label);
        picture.text(14.0, 289.0, 2.0, time.get(..10).unwrap_or_default());
        picture.text(146.0, 285.0, 3.0, &format!("{} UTC", time.get(11..23).unwrap_or_default()));
        picture.text(448.0, 289.0, 2.0, &format!("#{number:07}"));
        let (width, height) = picture.size();
        framecode::draw(&mut picture.data[..width * height], width, height, width, instant.0, 0);
    }

    fn draw_car(&self, picture: &mut YuvPicture, x: f32) {
        let paint = Colour::hsv(self.hue + 180.0, 0.75, 0.8);
        let shade = Colour::hsv(self.hue + 180.0, 0.8, 0.5);
        let glass = Colour::rgb(0.6, 0.75, 0.85);
        picture.fill(x + 4.0, 270.0, x + 186.0, 276.0, Colour::grey(0.15));
        for row in 0_u8..32 {
            let slope = f32::from(31 - row) * 0.7;
            picture.fill(
                x + 34.0 + slope,
                188.0 + f32::from(row),
                x + 148.0 - slope * 0.4,
                189.0 + f32::from(row),
                paint,
            );
            if row > 4 && row < 29 {
                let y = 188.0 + f32::from(row);
                picture.fill(x + 40.0 + slope, y, x + 92.0, y + 1.0, glass);
                picture.fill(x + 98.0, y, x + 142.0 - slope * 0.4, y + 1.0, glass);
            }
        }
        picture.fill(x + 2.0, 220.0, x + 188.0, 260.0, paint);
        picture.fill(x, 232.0, x + 190.0, 256.0, paint);
        picture.fill(x, 244.0, x + 190.0, 260.0, shade);
        picture.fill(x, 224.0, x + 5.0, 234.0, Colour::rgb(0.85, 0.1, 0.1));
        picture.fill(x + 182.0, 226.0, x + 190.0, 236.0, Colour::rgb(1.0, 0.95, 0.6));
        for wheel in [40.0, 150.0] {
            picture.disc(x + wheel, 258.0, 17.0, Colour::grey(0.1));
            picture.disc(x + wheel, 258.0, 8.0, Colour::grey(0.6));
        }
    }
}

/// Left edge of the car at `round` seconds into a round: rolls up, waits, drives on.
fn car_x(round: f32) -> f32 {
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    match round {
        t if t < 3.5 => -200.0 + (STOP_X + 200.0) * ease(t / 3.5),
        t if t < 6.0 => STOP_X,
        t => STOP_X + 470.0 * ((t - 6.0) / 3.0).powi(2),
    }
}

/// How far the arm is raised at `round` seconds into a round.
fn arm_degrees(round: f32) -> f32 {
    match round {
        t if t < 4.5 => 0.0,
        t if t < 6.0 => (t - 4.5) / 1.5 * 80.0,
        t if t < 9.5 => 80.0,
        t if t < 11.0 => 80.0 - (t - 9.5) / 1.5 * 80.0,
        _ => 0.0,
    }
}

fn draw_arm(picture: &mut YuvPicture, degrees: f32) {
    let (sin, cos) = degrees.to_radians().sin_cos();
    for step in 0_u8..84 {
        let along = f32::from(step) * 2.4;
        let (x, y) = (PIVOT.0 + along * cos, PIVOT.1 - along * sin * 0.75);
        let white = step / 12 % 2 == 0;
        let colour = if white { Colour::grey(0.95) } else { Colour::rgb(0.85, 0.12, 0.1) };
        picture.fill(x - 3.0, y - 3.5, x + 3.0, y + 3.5, colour);
    }
    picture.disc(PIVOT.0, PIVOT.1, 7.0, Colour::grey(0.3));
}

fn background(width: usize, height: usize, hue: f32) -> YuvPicture {
    let mut picture = YuvPicture::new(width, height);
    for row in 0_u8..150 {
        let depth = f32::from(row) / 150.0;
        let sky = Colour::hsv(hue, 0.45 - 0.35 * depth, 0.62 + 0.3 * depth);
        picture.fill(0.0, f32::from(row), DESIGN.0, f32::from(row) + 1.0, sky);
    }
    // Hills, then the gate house with its windows, then a fence.
    for column in 0_u8..160 {
        let x = f32::from(column) * 4.0;
        let top = 128.0 + 12.0 * (x / 83.0).sin() + 7.0 * (x / 31.0).cos();
        picture.fill(x, top, x + 4.0, 176.0, Colour::hsv(hue + 95.0, 0.3, 0.42));
    }
    picture.fill(0.0, 168.0, DESIGN.0, 200.0, Colour::hsv(hue + 100.0, 0.38, 0.5));
    picture.fill(500.0, 92.0, 616.0, 184.0, Colour::hsv(hue + 20.0, 0.18, 0.82));
    picture.fill(490.0, 82.0, 626.0, 94.0, Colour::hsv(hue, 0.5, 0.4));
    for window in [512.0, 566.0] {
        picture.fill(window, 106.0, window + 38.0, 138.0, Colour::grey(0.25));
        picture.fill(window + 3.0, 109.0, window + 35.0, 135.0, Colour::rgb(0.95, 0.88, 0.6));
    }
    for post in 0_u8..24 {
        let x = f32::from(post) * 20.0;
        picture.fill(x, 148.0, x + 3.0, 190.0, Colour::grey(0.75));
    }
    picture.fill(0.0, 154.0, 480.0, 157.0, Colour::grey(0.7));
    picture.fill(0.0, 174.0, 480.0, 177.0, Colour::grey(0.7));
    // The road, with a grain that keeps the encoder from having it too easy.
    picture.fill(0.0, 196.0, DESIGN.0, DESIGN.1, Colour::grey(0.36));
    let mut grain = 0x2545_f491_u32;
    for row in 0_u8..40 {
        for column in 0_u8..128 {
            grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let shade = 0.33 + (grain >> 24) as f32 / 255.0 * 0.06;
            let (x, y) = (f32::from(column) * 5.0, 200.0 + f32::from(row) * 4.0);
            picture.fill(x, y, x + 5.0, y + 4.0, Colour::grey(shade));
        }
    }
    picture.fill(0.0, 196.0, DESIGN.0, 200.0, Colour::grey(0.62));
    for dash in 0_u8..8 {
        let x = f32::from(dash) * 84.0 + 10.0;
        picture.fill(x, 279.0, x + 48.0, 283.0, Colour::grey(0.85));
    }
    // The time code is drawn on luma alone; under it the picture has no colour.
    for top in [4.0, 316.0] {
        picture.fill(48.0, top, 592.0, top + 40.0, Colour::grey(0.2));
    }
    // The barrier's housing; the arm moves and is drawn with each picture.
    picture.fill(402.0, 204.0, 422.0, 272.0, Colour::rgb(0.9, 0.7, 0.1));
    picture.fill(398.0, 268.0, 426.0, 276.0, Colour::grey(0.25));
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INSTANT: UnixMs = UnixMs(1_698_765_432_120);

    #[test]
    fn a_picture_says_its_own_instant() {
        let scene = Scene::new(640, 360, 200, "Entry");
        let mut picture = scene.blank();
        scene.draw(&mut picture, INSTANT, 7);
        let reading = framecode::read(picture.planes().0, 640, 360, 640).unwrap();
        assert_eq!((reading.torn, reading.unix_ms(INSTANT.0 + 60_000)), (false, INSTANT.0));
    }

    #[test]
    fn two_pictures_of_one_instant_are_the_same() {
        let scene = Scene::new(320, 180, 30, "Exit");
        let (mut one, mut two) = (scene.blank(), scene.blank());
        scene.draw(&mut two, UnixMs(5), 1);
        scene.draw(&mut one, INSTANT, 7);
        scene.draw(&mut two, INSTANT, 7);
        assert!(one.data == two.data);
    }

    #[test]
    fn the_car_is_away_at_both_ends_of_a_round() {
        assert_eq!(car_x(0.0), -200.0);
        assert!(car_x(9.5) > DESIGN.0);
        assert_eq!((arm_degrees(0.0), arm_degrees(11.9)), (0.0, 0.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_size_hue_label_and_instant_is_drawn_without_a_panic(
            width in 0_usize..700, height in 0_usize..400, hue: u16, label: String, ms: i64, number: u64,
        ) {
            let scene = Scene::new(width, height, hue, &label);
            let mut picture = scene.blank();
            scene.draw(&mut picture, UnixMs(ms), number);
        }
    }
}
