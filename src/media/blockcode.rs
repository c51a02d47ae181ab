//! The time code that the latency page shows (`web/latency.js`), read from a camera's picture of it.
//!
//! The code lies in a black frame, one module wide, with a white margin of a module around it; inside are eight columns
//! and three rows of cells, each one module wide and two high. The upper row is a wave of greys that runs through once
//! in [`WAVE_MS`]: its phase tells the time as finely as the screen draws, and a long exposure only makes it paler, for
//! the mean of a wave is a wave of the mean time. The two lower rows count half waves: eight bits in Gray code, of
//! which a picture taken during a change has one wrong at most, and eight bits that prove them.
//!
//! It is found in any turn and mirrored, for cameras hang from ceilings.

use super::frame::Frame;

/// The wave runs through once in so many milliseconds. Slow enough for exposures of a fifth of a second, and for people
/// whom three flashes a second would harm (WCAG 2.2, 2.3.1).
pub const WAVE_MS: f64 = 400.0;

/// The counter's step.
const STEP_MS: f64 = WAVE_MS / 2.0;

/// The code begins anew after so many milliseconds, with the counter.
pub const ROUND_MS: f64 = 256.0 * STEP_MS;

/// How far the wave and the counter may be apart. At the end of a step it is half a step, in a long exposure more.
const APART_MS: f64 = 150.0;

/// Pictures are looked at in at most this width: a fifth of it has room for eleven pixels a module.
const WIDTH_MAX: usize = 800;

/// Modules of frame and cells together.
const MODULES: (f64, f64) = (10.0, 8.0);

const COLUMNS: usize = 8;

/// A frame is at least so wide and high in pixels; smaller cells run into one another.
const SIDE_MIN: (usize, usize) = (56, 44);

/// Between black and white at least so many steps of 255.
const CONTRAST_MIN: f64 = 24.0;

/// How much the wave must swing, and how far the cells may be from a wave; black to white is 1.
const SWING_MIN: f64 = 0.12;
const ROUGHNESS_MAX: f64 = 0.13;

/// Dark shapes of a picture that are looked at more closely.
const SHAPES_MAX: usize = 24;

/// What was seen of the code in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BlockcodeSeen {
    /// Nothing that looks like it.
    Nothing,
    /// A frame, but its cells cannot be told apart: too blurred, too dark, or a reflection.
    Unclear,
    /// The code.
    Code(Code),
}

/// The code as read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Code {
    /// Milliseconds by the page's clock, from 0 up to [`ROUND_MS`].
    pub ms: f64,
    /// Quarter turns of the picture, 0 to 3; mirrored ones are 4 to 7.
    pub turn: u8,
}

type Point = (f64, f64);

/// Looks for the code in the brightness of a picture.
pub fn read(frame: &Frame) -> BlockcodeSeen {
    let Some(plane) = Plane::of(frame) else { return BlockcodeSeen::Nothing };
    let mut seen = BlockcodeSeen::Nothing;
    for corners in shapes(&plane) {
        match plane.code(corners) {
            BlockcodeSeen::Code(code) => return BlockcodeSeen::Code(code),
            BlockcodeSeen::Unclear => seen = BlockcodeSeen::Unclear,
            BlockcodeSeen::Nothing => {}
        }
    }
    seen
}

/// What the cells show at a time: brightness from 0 to 1, row by row. The page draws the same.
pub fn cells(ms: f64) -> [[f64; COLUMNS]; 3] {
    let wave = |column: usize| {
        let angle = std::f64::consts::TAU * (ms / WAVE_MS - column as f64 / COLUMNS as f64);
        0.5 + 0.5 * angle.cos()
    };
    let count = (ms.rem_euclid(ROUND_MS) / STEP_MS) as u8;
    let gray = count ^ (count >> 1);
    let bit = |byte: u8, column: usize| f64::from(1 - (byte >> (7 - column) & 1));
    [
        std::array::from_fn(wave),
        std::array::from_fn(|column| bit(gray, column)),
        std::array::from_fn(|column| bit(proof(gray), column)),
    ]
}

/// CRC-8 (polynomial 0x07) that begins with 0xa5, so that neither all white nor all black is a code.
fn proof(byte: u8) -> u8 {
    (0..8).fold(byte ^ 0xa5, |crc, _| if crc & 0x80 == 0 { crc << 1 } else { (crc << 1) ^ 0x07 })
}

/// Brightness of a picture, made smaller.
struct Plane {
    width: usize,
    height: usize,
    samples: Vec<u8>,
}

impl Plane {
    /// `None` for a picture that is too small for a code, or shorter than it says.
    fn of(frame: &Frame) -> Option<Self> {
        let factor = frame.width.div_ceil(WIDTH_MAX).max(1);
        let (width, height) = (frame.width / factor, frame.height / factor);
        if width < SIDE_MIN.0 || height < SIDE_MIN.1 || frame.y.len() < frame.width * frame.height {
            return None;
        }
        let mut samples = Vec::with_capacity(width * height);
        for row in 0..height {
            for column in 0..width {
                let lines = (row * factor..(row + 1) * factor)
                    .map(|y| &frame.y[y * frame.width + column * factor..][..factor]);
                let sum: usize = lines.flatten().map(|sample| usize::from(*sample)).sum();
                samples.push(u8::try_from(sum / (factor * factor)).unwrap_or(u8::MAX));
            }
        }
        Some(Self { width, height, samples })
    }

    /// Which samples are darker than what is around them.
    fn dark(&self) -> Vec<bool> {
        let (width, height) = (self.width, self.height);
        let mut sums = vec![0_u32; (width + 1) * (height + 1)];
        for y in 0..height {
            let mut line = 0;
            for x in 0..width {
                line += u32::from(self.samples[y * width + x]);
                sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + line;
            }
        }
        let reach = width / 10;
        let mut dark = Vec::with_capacity(width * height);
        for y in 0..height {
            let (top, bottom) = (y.saturating_sub(reach), (y + reach + 1).min(height));
            for x in 0..width {
                let (left, right) = (x.saturating_sub(reach), (x + reach + 1).min(width));
                let at = |y: usize, x: usize| sums[y * (width + 1) + x];
                let sum = at(bottom, right) + at(top, left) - at(top, right) - at(bottom, left);
                let count = u32::try_from((bottom - top) * (right - left)).unwrap_or(u32::MAX);
                // A little below the mean, so that an even surface is not dark.
                dark.push((u32::from(self.samples[y * width + x]) + 6) * count < sum);
            }
        }
        dark
    }

    /// The brightness at a place between samples; outside the picture it is that of its edge.
    fn at(&self, (x, y): Point) -> f64 {
        let x = x.clamp(0.0, (self.width - 1) as f64);
        let y = y.clamp(0.0, (self.height - 1) as f64);
        let (column, row) = ((x as usize).min(self.width - 2), (y as usize).min(self.height - 2));
        let (right, down) = (x - column as f64, y - row as f64);
        let sample = |y: usize, x: usize| f64::from(self.samples[y * self.width + x]);
        let upper = sample(row, column) * (1.0 - right) + sample(row, column + 1) * right;
        let lower = sample(row + 1, column) * (1.0 - right) + sample(row + 1, column + 1) * right;
        upper * (1.0 - down) + lower * down
    }

    /// Reads a code between the outer corners of its frame, which go around from any corner in any direction.
    fn code(&self, corners: [Point; 4]) -> BlockcodeSeen {
        let mut seen = BlockcodeSeen::Nothing;
        for turn in 0..8_u8 {
            let turned = std::array::from_fn(|i| {
                let i = if turn < 4 { i } else { (5 - i) % 4 };
                corners[(i + usize::from(turn)) % 4]
            });
            let Some(map) = Map::new(turned) else { continue };
            match self.upright(&map) {
                Some(Ok(ms)) => return BlockcodeSeen::Code(Code { ms, turn }),
                Some(Err(Unclear)) => seen = BlockcodeSeen::Unclear,
                None => {}
            }
        }
        seen
    }

    /// Reads a code whose upper left corner is the map's; `None` where there is no frame.
    fn upright(&self, map: &Map) -> Option<Result<f64, Unclear>> {
        let around = |inset: f64| {
            let steps = (0..=20).map(|i| f64::from(i) / 20.0);
            let (width, height) = (MODULES.0 - 2.0 * inset, MODULES.1 - 2.0 * inset);
            steps.flat_map(move |share| {
                let (x, y) = (inset + width * share, inset + height * share);
                [(x, inset), (x, MODULES.1 - inset), (inset, y), (MODULES.0 - inset, y)]
            })
        };
        let black: Vec<f64> = around(0.5).map(|place| self.at(map.at(place))).collect();
        let white: Vec<f64> = around(-0.5).map(|place| self.at(map.at(place))).collect();
        let (low, high) = (mean(&black), mean(&white));
        let middle = f64::midpoint(low, high);
        let wrong = black.iter().filter(|sample| **sample > middle).count()
            + white.iter().filter(|sample| **sample < middle).count();
        if high - low < CONTRAST_MIN || wrong * 10 > black.len() {
            return None;
        }
        let cell = |row: usize, column: usize| {
            let places = [-0.2, 0.0, 0.2].into_iter().flat_map(|x| [-0.5, 0.0, 0.5].map(|y| (x, y)));
            let samples: Vec<f64> = places
                .map(|(x, y)| self.at(map.at((column as f64 + 1.5 + x, row as f64 * 2.0 + 2.0 + y))))
                .collect();
            (mean(&samples) - low) / (high - low)
        };
        Some(decode(std::array::from_fn(|row| std::array::from_fn(|column| cell(row, column)))))
    }
}

/// A frame is there, and no code in it.
struct Unclear;

/// The time that cells of these brightnesses stand for.
fn decode([wave, gray, check]: [[f64; COLUMNS]; 3]) -> Result<f64, Unclear> {
    let byte = |row: [f64; COLUMNS]| row.iter().fold(0_u8, |byte, cell| byte << 1 | u8::from(*cell < 0.5));
    let gray = byte(gray);
    if proof(gray) != byte(check) {
        return Err(Unclear);
    }
    let angle = |column: usize| std::f64::consts::TAU * column as f64 / COLUMNS as f64;
    let along = |part: fn(f64) -> f64| -> f64 {
        wave.iter().enumerate().map(|(column, cell)| cell * part(angle(column))).sum::<f64>() / 4.0
    };
    let (cosine, sine) = (along(f64::cos), along(f64::sin));
    let (swing, level) = (cosine.hypot(sine), mean(&wave));
    let off = wave.iter().enumerate().map(|(column, cell)| {
        let (sin, cos) = angle(column).sin_cos();
        (cell - level - cosine * cos - sine * sin).powi(2)
    });
    let roughness = (off.sum::<f64>() / COLUMNS as f64).sqrt();
    if swing < SWING_MIN || roughness > ROUGHNESS_MAX {
        return Err(Unclear);
    }
    let count = (0..8).fold(0, |count, bit| count ^ (gray >> bit));
    let middle = f64::from(count) * STEP_MS + STEP_MS / 2.0;
    let fine = sine.atan2(cosine) / std::f64::consts::TAU * WAVE_MS;
    // From the middle of the step, to either side.
    let apart = (fine - middle + STEP_MS).rem_euclid(WAVE_MS) - STEP_MS;
    if apart.abs() > APART_MS { Err(Unclear) } else { Ok((middle + apart).rem_euclid(ROUND_MS)) }
}

fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len().max(1) as f64
}

/// The corners of dark shapes that may be frames, the largest first, clockwise from the upper left.
fn shapes(plane: &Plane) -> Vec<[Point; 4]> {
    let (width, height) = (plane.width, plane.height);
    let mut dark = plane.dark();
    let mut found = Vec::new();
    let mut waiting = Vec::new();
    for start in 0..dark.len() {
        if !std::mem::take(&mut dark[start]) {
            continue;
        }
        let mut shape = Shape::new(start % width, start / width);
        waiting.push(start);
        while let Some(at) = waiting.pop() {
            let (x, y) = (at % width, at / width);
            shape.take(x, y);
            let beside = [
                (x > 0).then(|| at - 1),
                (x + 1 < width).then(|| at + 1),
                (y > 0).then(|| at - width),
                (y + 1 < height).then(|| at + width),
            ];
            for next in beside.into_iter().flatten() {
                if std::mem::take(&mut dark[next]) {
                    waiting.push(next);
                }
            }
        }
        if let Some(area) = shape.area() {
            found.push((area, shape.corners()));
        }
    }
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    found.into_iter().take(SHAPES_MAX).map(|(_, corners)| corners).collect()
}

/// The extremes of a connected dark shape: the corners of an outline that is turned by less than an eighth.
struct Shape {
    count: usize,
    /// Least x + y, greatest x − y, greatest x + y, least x − y.
    corners: [(usize, usize); 4],
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
}

impl Shape {
    fn new(x: usize, y: usize) -> Self {
        Self { count: 0, corners: [(x, y); 4], left: x, right: x, top: y, bottom: y }
    }

    fn take(&mut self, x: usize, y: usize) {
        self.count += 1;
        (self.left, self.right) = (self.left.min(x), self.right.max(x));
        (self.top, self.bottom) = (self.top.min(y), self.bottom.max(y));
        let [a, b, c, d] = self.corners;
        // Sides swapped so that nothing is below zero.
        let is_further = [x + y < a.0 + a.1, x + b.1 > b.0 + y, x + y > c.0 + c.1, x + d.1 < d.0 + y];
        for (corner, is_further) in self.corners.iter_mut().zip(is_further) {
            if is_further {
                *corner = (x, y);
            }
        }
    }

    /// What its corners enclose, if it can be a frame: large enough, and with as much black as a frame has at least.
    fn area(&self) -> Option<f64> {
        let (width, height) = (self.right - self.left + 1, self.bottom - self.top + 1);
        // A picture may be turned by a quarter.
        let (long, short) = (width.max(height), width.min(height));
        if long < SIDE_MIN.0 || short < SIDE_MIN.1 {
            return None;
        }
        let corners = self.corners();
        let doubled: f64 = (0..4)
            .map(|i| {
                let ((x, y), (next_x, next_y)) = (corners[i], corners[(i + 1) % 4]);
                x * next_y - next_x * y
            })
            .sum();
        let area = doubled.abs() / 2.0;
        let share = self.count as f64 / area.max(1.0);
        (0.25..1.05).contains(&share).then_some(area)
    }

    /// The outer corners of the outermost samples.
    fn corners(&self) -> [Point; 4] {
        let outward = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)];
        std::array::from_fn(|i| {
            let ((x, y), (right, down)) = (self.corners[i], outward[i]);
            (x as f64 + right, y as f64 + down)
        })
    }
}

/// A perspective view of the frame's plane: modules to samples.
struct Map([f64; 8]);

impl Map {
    /// Onto these corners, clockwise from the upper left of the code; `None` where three of them lie on a line.
    fn new([a, b, c, d]: [Point; 4]) -> Option<Self> {
        // Heckbert, Fundamentals of Texture Mapping and Image Warping (1989), section 2.2.3: unit square to quadrilateral.
        let (dx1, dx2, sx) = (b.0 - c.0, d.0 - c.0, a.0 - b.0 + c.0 - d.0);
        let (dy1, dy2, sy) = (b.1 - c.1, d.1 - c.1, a.1 - b.1 + c.1 - d.1);
        let area = dx1 * dy2 - dx2 * dy1;
        if area.abs() < 1.0 {
            return None;
        }
        let (g, h) = ((sx * dy2 - dx2 * sy) / area, (dx1 * sy - sx * dy1) / area);
        let across = [b.0 - a.0 + g * b.0, d.0 - a.0 + h * d.0, a.0];
        let down = [b.1 - a.1 + g * b.1, d.1 - a.1 + h * d.1, a.1];
        Some(Self([across[0], across[1], across[2], down[0], down[1], down[2], g, h]))
    }

    fn at(&self, (x, y): Point) -> Point {
        let (u, v) = (x / MODULES.0, y / MODULES.1);
        let [a, b, c, d, e, f, g, h] = self.0;
        let depth = g * u + h * v + 1.0;
        ((a * u + b * v + c) / depth, (d * u + e * v + f) / depth)
    }
}

#[cfg(test)]
#[path = "blockcode_tests.rs"]
mod tests;
