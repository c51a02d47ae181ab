use proptest::prelude::*;

use super::*;
use crate::media::frame::Colours;

/// How a picture of the code is taken.
#[derive(Clone, Debug)]
struct Scene {
    ms: f64,
    /// How long the sensor is open, in milliseconds, around `ms`.
    exposure: f64,
    size: (usize, usize),
    /// Of the frame in the picture's width.
    share: f64,
    /// Radians.
    tilt: f64,
    /// How much nearer one side is.
    perspective: f64,
    mirrored: bool,
    /// Pixels, as the radius of a box.
    blur: usize,
    noise: f64,
    black: f64,
    white: f64,
    room: f64,
    seed: u64,
}

impl Scene {
    fn plain(ms: f64) -> Self {
        Self {
            ms,
            exposure: 0.0,
            size: (640, 360),
            share: 0.4,
            tilt: 0.0,
            perspective: 0.0,
            mirrored: false,
            blur: 0,
            noise: 0.0,
            black: 20.0,
            white: 230.0,
            room: 90.0,
            seed: 1,
        }
    }

    fn picture(&self) -> Frame {
        let (width, height) = self.size;
        let shots: Vec<_> =
            (0..9).map(|i| cells(self.ms + self.exposure * (f64::from(i) / 8.0 - 0.5))).collect();
        let shot: [[f64; 8]; 3] = std::array::from_fn(|row| {
            std::array::from_fn(|column| shots.iter().map(|shot| shot[row][column]).sum::<f64>() / 9.0)
        });
        let mut random = self.seed;
        let mut noise = move || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 40) as f64 / f64::from(1 << 24) - 0.5
        };
        let module = width as f64 * self.share / 10.0;
        let (sin, cos) = self.tilt.sin_cos();
        let mut y = Vec::with_capacity(width * height);
        for row in 0..height {
            for column in 0..width {
                let mut sum = 0.0;
                for part in 0..4 {
                    let x = column as f64 + f64::from(part % 2) / 2.0 - width as f64 / 2.0;
                    let down = row as f64 + f64::from(part / 2) / 2.0 - height as f64 / 2.0;
                    let (u, v) = ((x * cos + down * sin) / module, (down * cos - x * sin) / module);
                    let depth = 1.0 + self.perspective * u / 10.0;
                    let u = if self.mirrored { -u } else { u };
                    sum += self.brightness(&shot, u / depth + 5.0, v / depth + 4.0);
                }
                y.push(sum / 4.0);
            }
        }
        let y = blurred(&blurred(&y, width, self.blur), width, self.blur);
        let y: Vec<u8> =
            y.iter().map(|sample| (sample + noise() * self.noise).clamp(0.0, 255.0) as u8).collect();
        let chroma = vec![128; width.div_ceil(2) * height.div_ceil(2)];
        Frame { width, height, y, u: chroma.clone(), v: chroma, colours: Colours::JPEG }
    }

    fn brightness(&self, shot: &[[f64; 8]; 3], u: f64, v: f64) -> f64 {
        let inside =
            |margin: f64| (-margin..10.0 + margin).contains(&u) && (-margin..8.0 + margin).contains(&v);
        let light = if inside(-1.0) {
            let (row, column) = (((v - 1.0) / 2.0) as usize, (u - 1.0) as usize);
            shot[row.min(2)][column.min(7)]
        } else if inside(0.0) {
            0.0
        } else if inside(1.0) {
            1.0
        } else if inside(2.0) {
            // The body of the telephone.
            0.05
        } else {
            return self.room + 30.0 * ((u * 0.7).sin() + (v * 0.9).cos());
        };
        self.black + light * (self.white - self.black)
    }
}

fn blurred(samples: &[f64], width: usize, radius: usize) -> Vec<f64> {
    let height = samples.len() / width;
    let mean = |from: &dyn Fn(usize) -> f64, at: usize, end: usize| {
        let range = at.saturating_sub(radius)..(at + radius + 1).min(end);
        let count = range.len() as f64;
        range.map(from).sum::<f64>() / count
    };
    let lines: Vec<f64> =
        (0..samples.len()).map(|i| mean(&|x| samples[i / width * width + x], i % width, width)).collect();
    (0..samples.len()).map(|i| mean(&|y| lines[y * width + i % width], i / width, height)).collect()
}

/// How far a reading is from the truth, in milliseconds; the code begins anew after a round.
fn error(read: f64, truth: f64) -> f64 {
    ((read - truth + ROUND_MS / 2.0).rem_euclid(ROUND_MS) - ROUND_MS / 2.0).abs()
}

fn code(scene: &Scene) -> Code {
    match read(&scene.picture()) {
        BlockcodeSeen::Code(code) => code,
        other => panic!("{other:?}: {scene:?}"),
    }
}

#[test]
fn every_time_of_a_round_is_read_as_it_is_shown() {
    for step in 0..512 {
        let ms = f64::from(step) * 100.0 + 7.0;
        let read = decode(cells(ms)).unwrap_or_else(|Unclear| panic!("{ms}"));
        assert!(error(read, ms) < 0.01, "{ms}: {read}");
    }
}

#[test]
fn it_is_read_turned_and_mirrored_as_cameras_on_ceilings_see_it() {
    for (quarter, ms) in (0..4).map(f64::from).zip([1234.5, 20_001.0, 51_100.0, 333.0]) {
        for mirrored in [false, true] {
            let scene =
                Scene { tilt: quarter * std::f64::consts::FRAC_PI_2 + 0.05, mirrored, ..Scene::plain(ms) };
            let code = code(&scene);
            assert!(error(code.ms, ms) < 4.0, "{scene:?}: {code:?}");
            assert_eq!(code.turn >= 4, mirrored, "{scene:?}: {code:?}");
        }
    }
}

#[test]
fn pictures_without_it_show_nothing() {
    let grey = |y: Vec<u8>, width: usize| Frame {
        width,
        height: y.len() / width,
        y,
        u: Vec::new(),
        v: Vec::new(),
        colours: Colours::JPEG,
    };
    assert_eq!(read(&grey(vec![0; 1], 1)), BlockcodeSeen::Nothing);
    assert_eq!(read(&grey(vec![128; 640 * 360], 640)), BlockcodeSeen::Nothing);
    let stripes = (0..640 * 360).map(|i: usize| if (i % 640 / 40).is_multiple_of(2) { 20 } else { 220 });
    assert_eq!(read(&grey(stripes.collect(), 640)), BlockcodeSeen::Nothing);
}

#[test]
fn a_black_frame_around_something_else_is_unclear() {
    let mut scene = Scene::plain(0.0).picture();
    for row in 105..255 {
        for column in 220..420 {
            scene.y[row * 640 + column] = 230;
        }
    }
    assert_eq!(read(&scene), BlockcodeSeen::Unclear);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// A picture taken by hand: small, turned, blurred, noisy, dark, in a room of any brightness. Around a change of the
    /// counter it may be unclear or seem turned, which [`super::super::delay`] leaves out; what is read upright is true.
    #[test]
    fn what_is_read_from_a_picture_by_hand_is_true(
        ms in 0.0..ROUND_MS, exposure in 0.0..60.0_f64, share in 0.2..0.45_f64, tilt in -0.26..0.26_f64,
        perspective in -0.25..0.25_f64, blur in 0_usize..2, noise in 0.0..24.0_f64, black in 8.0..40.0_f64,
        span in 110.0..210.0_f64, room in 40.0..200.0_f64, seed: u64,
    ) {
        let scene = Scene {
            ms, exposure, share, tilt, perspective, blur, noise, black, white: black + span, room, seed,
            ..Scene::plain(ms)
        };
        let seen = read(&scene.picture());
        let to_change = (ms.rem_euclid(STEP_MS) - STEP_MS / 2.0).abs() - STEP_MS / 2.0;
        match seen {
            BlockcodeSeen::Code(code) if code.turn == 0 => prop_assert!(error(code.ms, ms) < 12.0, "{code:?}"),
            other => prop_assert!(to_change.abs() <= exposure / 2.0 + 1.0, "{other:?}"),
        }
    }

    #[test]
    fn any_picture_is_looked_at_without_a_panic(width in 0_usize..200, height in 0_usize..150, seed: u64) {
        let y = (0..width * height).map(|i| (seed.rotate_left(u32::try_from(i % 64).unwrap()) >> 56) as u8).collect();
        let frame = Frame { width, height, y, u: Vec::new(), v: Vec::new(), colours: Colours::JPEG };
        prop_assert!(!matches!(read(&frame), BlockcodeSeen::Code(_)));
    }
}
