use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

#[test]
fn a_secret_is_hidden_as_written_and_as_meant() {
    let url = Url::parse(
        "https://gatekeeper:hun%2Fter2@x.example/api/webhooks/1/s3cr3t-t0ken?wait=true&key=abc%20def",
    )
    .unwrap();
    let secrets = Secrets::of_url(&url).with_path(&url).with("plain-token");
    let said = "no gatekeeper, hun%2Fter2 is hun/ter2 of s3cr3t-t0ken; abc%20def, abc def, plain-token, webhooks?wait=true";
    let expected = "no •••, ••• is ••• of •••; •••, •••, •••, webhooks?wait=true";
    assert_eq!(secrets.words(said, 200), expected);
    assert_eq!(secrets.strike(said.to_owned()), expected);
}

#[test]
fn a_repeated_request_shows_no_credentials() {
    let url = Url::parse("http://can:Aheader-1@x.example/").unwrap();
    let secrets = Secrets::of_url(&url);
    let basic = STANDARD.encode("can:Aheader-1");
    let said = format!("POST / HTTP/1.1\r\nauthorization: Basic {basic}\r\nhost: x.example");
    assert_eq!(secrets.words(&said, 200), "POST / HTTP/1.1 authorization: Basic •••== host: x.example");
}

#[test]
fn a_secret_at_the_cut_leaves_nothing_of_itself() {
    let secrets = Secrets::default().with("canaryheader-42");
    for before in 150..220 {
        let shown = secrets.words(&format!("{}canaryheader-42", "x".repeat(before)), 200);
        assert!(!shown.contains("can"), "{before}: {shown}");
    }
    // The body ended in the middle of it.
    assert_eq!(secrets.words("you sent canaryhea", 200), "you sent •••");
    assert_eq!(
        secrets.words(&format!("you sent {}", &STANDARD.encode("canaryheader")[..12]), 200),
        "you sent •••"
    );
}

#[test]
fn hashes_are_hidden_where_they_are_permissions() {
    let hash = "0123456789abcdef0123456789ABCDEF";
    let said = format!("response=\"{hash}\" of 2027");
    assert_eq!(Secrets::default().with_hashes().words(&said, 200), "response=\"•••\" of 2027");
    assert_eq!(Secrets::default().words(&said, 200), said);
}

#[test]
fn innocent_words_stay() {
    let url = Url::parse("http://gate:open-sesame@x.example/").unwrap();
    let secrets = Secrets::of_url(&url).with("token-12345").with_hashes();
    for said in
        ["too large: 9000000 bytes, at most 8 MiB", "the gate is closed, open it", "사진이 너무 큽니다", ""]
    {
        assert_eq!(secrets.words(said, 200), said);
    }
}

/// A way in which a server may write what it was sent. `n` chooses among its variants.
fn written(way: usize, secret: &str, n: usize) -> String {
    let each = |f: &dyn Fn(u8) -> String| secret.bytes().map(f).collect::<String>();
    let every = |f: &dyn Fn(char) -> String| secret.chars().map(f).collect::<String>();
    let mixed =
        |byte: u8| if byte.is_ascii_alphanumeric() && n.is_multiple_of(2) { None } else { Some(byte) };
    match way {
        0 => secret.to_owned(),
        1 => secret.to_uppercase(),
        2 => secret.to_lowercase(),
        3 => each(&|byte| {
            mixed(byte).map_or_else(|| char::from(byte).to_string(), |byte| format!("%{byte:02X}"))
        }),
        4 => each(&|byte| format!("%{byte:02x}")),
        5 => each(&|byte| format!("%25{byte:02x}")),
        6 => every(&|c| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()),
        7 => {
            let quoted = serde_json::to_string(secret).unwrap();
            quoted[1..quoted.len() - 1].to_owned()
        }
        8 => every(&|c| format!("&#{};", u32::from(c))),
        9 => every(&|c| format!("&#x{:X};", u32::from(c))),
        10 => secret.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('/', "&sol;"),
        11 => each(&|byte| format!("={byte:02X}")),
        12 => each(&|byte| format!("{byte:02x}")),
        13 => each(&|byte| format!("{byte:02X}:")),
        14 => each(&|byte| format!("0x{byte:02x}, ")),
        15 => each(&|byte| format!("\\x{byte:02x}")),
        16 => STANDARD.encode(format!("{}{secret}", &"abc"[..n % 4])),
        17 => URL_SAFE_NO_PAD.encode(format!("{}{secret}xyz", &"u:x"[..n % 4])),
        18 => {
            let code = STANDARD.encode(format!("{}{secret}", &"abc"[..n % 4]));
            code.as_bytes().chunks(5).map(|line| format!("{}\r\n", String::from_utf8_lossy(line))).collect()
        }
        19 => every(&|c| format!("{c}\u{1b}")),
        20 => every(&|c| format!("{c} \u{202e}\u{200b}")),
        _ => url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
    }
}

/// Windows of so many characters of a text.
fn windows(text: &str, size: usize) -> Vec<String> {
    let all: Vec<char> = text.chars().collect();
    all.windows(size).map(|window| window.iter().collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_part_of_a_secret_stays_however_it_is_written(
        secret in "[!-~]{4,24}|[ -~äöüß京]{6,16}",
        before in "[ -~\\n]{0,260}",
        after in "[ -~\\n]{0,40}",
        way in 0_usize..22,
        n in 0_usize..8,
    ) {
        // Only what is written of it can be found again.
        prop_assume!(Needle::new(&secret).is_some() && secret.trim() == secret && !secret.contains("  "));
        let secrets = Secrets::default().with(&secret);
        let coded = written(way, &secret, n);
        // Before and after it stands something that is no part of it.
        let shown = secrets.words(&format!("{before} <{coded}> {after}"), 400);
        let around = secrets.words(&format!("{before} <> {after}"), 400).to_lowercase();
        let clean = foreign::line(&shown, 400).to_lowercase();
        for window in windows(&foreign::line(&secret, 400).to_lowercase(), 6) {
            prop_assert!(!clean.contains(&window) || around.contains(&window), "{window:?} of {coded:?} in {shown:?}");
        }
        // Nor of what it is written in, apart from what stands beside the secret within it.
        let spare = if (16..=18).contains(&way) { 8 } else { 0 };
        let coded = foreign::line(&coded, 400).to_lowercase();
        let core: String = coded.chars().skip(spare).take(coded.chars().count().saturating_sub(2 * spare)).collect();
        for window in windows(&core, 9) {
            prop_assert!(!clean.contains(&window) || around.contains(&window), "{window:?} of {coded:?} in {shown:?}");
        }
    }

    #[test]
    fn whatever_is_said_is_a_clean_line_in_the_end(text in ".{0,400}", secret in ".{4,20}", max in 1_usize..300) {
        let shown = Secrets::default().with(&secret).with_hashes().words(&text, max);
        prop_assert_eq!(foreign::line(&shown, max), shown);
    }
}

#[test]
fn a_long_text_takes_no_time() {
    // What would be slow: runs of base64 and of escapes as long as the text, and many secrets that almost stand in it.
    let url =
        Url::parse("http://aaaaaaaaaaaaaaab:aaaaaaaaaaaaaaaaaaaaaac@x.example/?k=aaaaaaaaaaaad").unwrap();
    let secrets = Secrets::of_url(&url).with(&format!("{}e", "a".repeat(250))).with_hashes();
    let began = std::time::Instant::now();
    for text in
        ["a".repeat(1 << 20), "%61".repeat(1 << 18), "YWFh".repeat(1 << 18), "\\u0061".repeat(1 << 17)]
    {
        secrets.words(&text, 200);
    }
    // Unoptimised and on a busy machine; a quadratic way would take minutes.
    assert!(began.elapsed() < std::time::Duration::from_secs(60), "{:?}", began.elapsed());
}
