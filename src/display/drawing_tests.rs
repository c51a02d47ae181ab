//! Each page beside a picture of it that a person has looked at (`tests/display/*.png`; `BLESS=1` writes them anew).

use std::path::{Path, PathBuf};

use super::super::page::{Facts, LastPicture, pages};
use super::*;
use crate::model::UploadState;
use crate::status::Severity;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/display")
}

/// Adler-32 (RFC 1950) and CRC-32 (PNG, annex D).
fn adler(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (a + b) % 65521)
    });
    b << 16 | a
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ crc >> 1 } else { crc >> 1 },
        )
    })
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [&kind[..], data].concat();
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&length[..], &named, &crc(&named).to_be_bytes()].concat()
}

/// A PNG of one bit a pixel, not compressed, so that it is the same with every library.
fn png(canvas: &Canvas) -> Vec<u8> {
    let mut raw = Vec::new();
    for row in 0..HEIGHT {
        raw.push(0);
        for eight in 0..WIDTH / 8 {
            let bit = |column: usize| canvas.page(row / 8)[eight * 8 + column] >> (row % 8) & 1;
            raw.push((0..8).fold(0, |byte, column| byte << 1 | bit(column)));
        }
    }
    let length = u16::try_from(raw.len()).unwrap();
    let zlib = [
        &[0x78, 0x01, 0x01][..],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        &raw,
        &adler(&raw).to_be_bytes(),
    ]
    .concat();
    let head = [&size(WIDTH).to_be_bytes()[..], &size(HEIGHT).to_be_bytes(), &[1, 0, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &head), chunk(b"IDAT", &zlib), chunk(b"IEND", b"")]
        .concat()
}

fn check(name: &str, canvas: &Canvas) {
    let path = folder().join(format!("{name}.png"));
    let made = png(canvas);
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read(&path).unwrap();
    assert!(made == kept, "{} looks otherwise; BLESS=1 rewrites it, then look at it", path.display());
}

fn facts() -> Facts {
    Facts {
        url: Some("http://192.168.1.33:9000/".to_owned()),
        code: Some("k3x9m-q7w2p".to_owned()),
        alarms: vec![
            (
                Severity::Critical,
                "camera r1: no connection to 192.168.1.20: no route to host; check its cable".to_owned(),
            ),
            (Severity::Warning, "the clock was never set since the start".to_owned()),
        ],
        contacts: vec![
            ("Entry".to_owned(), Some(false)),
            ("Exit".to_owned(), Some(true)),
            ("Laderampe hinten links".to_owned(), None),
        ],
        last: Some(LastPicture {
            camera: "Entry".to_owned(),
            time: "12:00".to_owned(),
            deliveries: vec![
                ("api".to_owned(), UploadState::Delivered),
                ("discord".to_owned(), UploadState::Pending),
            ],
        }),
        waiting: 12,
        dead: 1,
        ftp: Some(true),
    }
}

/// S1.9
#[test]
fn every_page_looks_as_it_was_looked_at() {
    let names = ["alarm", "warning", "set_up", "address", "contacts", "picture", "uploads"];
    let pages = pages(&facts());
    assert_eq!(pages.len(), names.len());
    for (page, name) in pages.iter().zip(names) {
        check(name, &draw(page));
    }
    let quiet = super::super::page::pages(&Facts { last: facts().last, ..Facts::default() });
    for (page, name) in quiet.iter().zip(["no_network", "picture", "all_ok"]) {
        check(name, &draw(page));
    }
}

/// S1.9
#[test]
fn odd_things_look_as_they_were_looked_at() {
    let facts = Facts {
        url: Some("http://[2001:db8:85a3:8d31:1319:8a2e:1370:7348]:9000/".to_owned()),
        code: Some("k3x9m-q7w2p".to_owned()),
        alarms: vec![(
            Severity::Warning,
            "the HTTP API cannot be reached, pictures wait: the name uploads.of-a-very-long-host-name.example has no \
             address"
                .to_owned(),
        )],
        contacts: (1..=16).map(|n| (format!("Gate {n} of the long fence"), Some(n == 12))).collect(),
        last: Some(LastPicture {
            camera: "입구".to_owned(),
            time: "--:--".to_owned(),
            deliveries: ["api", "api_2", "s3", "discord"].map(|name| (name.to_owned(), UploadState::Pending)).into(),
        }),
        waiting: 1_000_000,
        dead: 123_456,
        ftp: Some(false),
    };
    let names = [
        "warning",
        "set_up",
        "address",
        "contacts_1",
        "contacts_2",
        "contacts_3",
        "contacts_4",
        "picture",
        "uploads",
    ];
    let pages = pages(&facts);
    assert_eq!(pages.len(), names.len());
    for (page, name) in pages.iter().zip(names) {
        check(&format!("odd_{name}"), &draw(page));
    }
}

/// The code is read back as a reader sees it: by its modules, light around them.
#[test]
fn the_code_of_the_address_has_a_light_margin_and_square_modules() {
    let canvas = draw(&pages(&Facts { code: None, alarms: Vec::new(), ..facts() })[0]);
    let lit = |x: usize, y: usize| canvas.page(y / 8)[x] >> (y % 8) & 1 == 1;
    let code = QrCode::encode_text("http://192.168.1.33:9000/", QrCodeEcc::Low).unwrap();
    let (left, side) = (WIDTH - HEIGHT, code.size() as usize);
    let scale = HEIGHT / (side + 2);
    let margin = (HEIGHT - side * scale) / 2;
    assert!(scale >= 2 && margin >= scale, "{scale} {margin}");
    for y in 0..HEIGHT {
        for x in left..WIDTH {
            let module = |at: usize| at.checked_sub(margin).map(|at| at / scale).filter(|at| *at < side);
            let is_dark = match (module(x - left), module(y)) {
                (Some(x), Some(y)) => code.get_module(x as i32, y as i32),
                _ => false,
            };
            assert_eq!(lit(x, y), !is_dark, "{x} {y}");
        }
    }
}
