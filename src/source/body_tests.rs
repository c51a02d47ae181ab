use proptest::prelude::*;

use super::*;

/// A JPEG of that size with these bytes as its data; not one that could be decoded.
fn jpeg(width: u16, data: &[u8]) -> Vec<u8> {
    let [w1, w0] = width.to_be_bytes();
    let thumbnail = [0xff, 0xe1, 0, 12, 0xff, 0xd8, 0xff, 0xd9, 0xff, 0xd8, 0xff, 0xd9, 0, 0];
    [
        &[0xff, 0xd8][..],
        &thumbnail,
        &[0xff, 0xc0, 0, 11, 8, 0, 16, w1, w0, 1, 1, 0x11, 0],
        &[0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0],
        data,
        &[0xff, 0xd9],
    ]
    .concat()
}

fn body(parts: &[&[u8]]) -> Body {
    let now = Instant::now();
    let mut body = Body::new(0, now);
    parts.iter().for_each(|part| body.push(part, now));
    body
}

fn taken(parts: &[&[u8]], is_complete: bool) -> Option<Vec<u8>> {
    body(parts).end(is_complete).ok().map(|whole| whole.jpeg)
}

#[test]
fn a_whole_jpeg_is_a_picture_whatever_stands_around_it() {
    let one = jpeg(32, &[1, 2, 0xff, 0, 0xff, 0xd0, 3]);
    for (name, before, after) in [
        ("nothing", &b""[..], &b""[..]),
        ("line ends", b"\r\n\r\n", b"\r\n"),
        ("zeros behind it", b"", b"\0\0\0"),
        ("a comment of HTML", b"<!-- snapshot -->\n", b"<!-- end -->"),
        ("a byte order mark", b"\xef\xbb\xbf", b""),
        ("a part of a stream", b"--frame\r\nContent-Type: image/jpeg\r\n\r\n", b"\r\n--frame--\r\n"),
        ("the size of a chunk", b"1f2e\r\n", b"\r\n0\r\n\r\n"),
        ("the head of an answer", b"ICY 200 OK\r\n\r\n", b""),
        ("half an end marker", b"\xff", b"\xff"),
    ] {
        for is_complete in [false, true] {
            assert_eq!(taken(&[before, &one, after], is_complete).as_ref(), Some(&one), "{name}");
        }
    }
}

#[test]
fn the_small_picture_in_the_head_is_neither_the_end_nor_the_picture() {
    let thumbnail = jpeg(16, &[7]);
    let length = u16::try_from(thumbnail.len() + 2).unwrap().to_be_bytes();
    let mut outer = jpeg(64, &[1, 2, 3]);
    outer.splice(2..2, [&[0xff, 0xe1], &length[..], &thumbnail].concat());
    assert_eq!(taken(&[&outer], false), Some(outer.clone()));
    for cut in 1..outer.len() {
        assert_eq!(taken(&[&outer[..cut]], false), None, "cut after {cut} bytes");
        assert_eq!(taken(&[&outer[..cut]], true), None, "cut after {cut} bytes");
    }
}

#[test]
fn of_several_the_last_of_the_largest_counts() {
    let (old, new, preview) = (jpeg(32, &[1]), jpeg(32, &[2]), jpeg(16, &[3]));
    assert_eq!(taken(&[&old, &new], true).as_ref(), Some(&new));
    assert_eq!(taken(&[&old, b"\r\n--x\r\n", &new[..20]], false).as_ref(), Some(&old), "the next is cut off");
    assert_eq!(
        taken(&[&new, &preview], true).as_ref(),
        Some(&new),
        "phones put a preview behind (CIPA DC-007)"
    );
    for cut in [18, 20, 29, 30, 40, 41] {
        assert_eq!(
            taken(&[&old[..cut], &new], true).as_ref(),
            Some(&new),
            "one cut after {cut} bytes goes before"
        );
    }
}

#[test]
fn further_scans_and_their_tables_are_parts_of_the_picture() {
    let table = [0xff, 0xc4, 0, 5, 0xff, 0xd9, 0];
    let scan = [0xff, 0xda, 0, 8, 1, 1, 0, 1, 63, 0];
    let progressive = jpeg(32, &[&[1, 2][..], &table, &scan, &[3, 4]].concat());
    assert_eq!(taken(&[&progressive], false), Some(progressive));
}

#[test]
fn a_picture_that_is_damaged_between_its_markers_is_one_when_the_answer_is_complete() {
    for damage in [&[5, 0xff, 0xd9, 6, 7][..], &[5, 0xff, 0xdb, 0x7f, 0xff, 6], &[5, 0xff, 0xda, 0, 2, 6]] {
        let damaged = jpeg(32, damage);
        assert_eq!(taken(&[&damaged, b"\0\0\r\n"], true).as_ref(), Some(&damaged), "{damage:?}");
    }
}

#[test]
fn what_is_no_whole_jpeg_is_none() {
    let whole = jpeg(32, &[1]);
    let error = |parts: &[&[u8]]| body(parts).end(true).unwrap_err().0;
    assert_eq!(error(&[]), NotJpeg::NoStart);
    assert_eq!(error(&[b"<html>"]), NotJpeg::NoStart);
    assert_eq!(error(&[&whole[..whole.len() - 2]]), NotJpeg::NoEnd);
    assert_eq!(error(&[&[0xff, 0xd8, 0xff, 0xd9]]), NotJpeg::NoFrame);
}

#[test]
fn other_formats_are_known_by_their_first_bytes() {
    for (bytes, name) in [
        (&b"\x89PNG\r\n"[..], Some("PNG")),
        (b"RIFF\0\0\0\0WEBPVP8 ", Some("WebP")),
        (b"GIF89a", Some("GIF")),
        (b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x40\0\0\0\x40\0\0\0", Some("BMP")),
        (b"\0\0\0\x1cftypavif", Some("AVIF")),
        (b"\x1f\x8b\x08", Some("gzip")),
        (b"BMW", None),
        (b"<html>", None),
    ] {
        assert_eq!(format(bytes), name);
    }
}

proptest! {
    /// However an answer is cut into pieces, the picture is the same; a JPEG is found between whatever is none.
    #[test]
    fn pieces_make_no_difference(
        data in prop::collection::vec(prop_oneof![Just(0xff_u8), Just(0xd9), Just(0xd8), Just(0xda), any::<u8>()], 0..60),
        before in prop::collection::vec(0_u8..0xfe, 0..20), cuts in prop::collection::vec(1_usize..9, 1..20),
    ) {
        let all = [&before[..], &jpeg(32, &data)].concat();
        let mut pieces = Vec::new();
        let (mut rest, mut lengths) = (&all[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, next) = rest.split_at((*lengths.next().unwrap()).min(rest.len()));
            (rest, pieces) = (next, [pieces, vec![piece]].concat());
        }
        for is_complete in [false, true] {
            prop_assert_eq!(taken(&pieces, is_complete), taken(&[&all], is_complete));
        }
        prop_assert!(taken(&pieces, true).is_some());
    }

    #[test]
    fn whatever_a_camera_sends_is_read_without_a_panic(
        bytes in prop::collection::vec(prop_oneof![Just(0xff_u8), Just(0xd8), Just(0xda), any::<u8>()], 0..200),
    ) {
        let _ = (format(&bytes), taken(&[&bytes], false), taken(&[&bytes], true));
    }
}
