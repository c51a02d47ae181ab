use std::time::Duration;

use proptest::prelude::{prop_assert, proptest};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::UnixTime;

use super::*;

const DAY_S: u64 = 24 * 60 * 60;

/// A certificate that was signed by itself, as `openssl req -x509` makes it: with the right to vouch for others.
fn own(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> rcgen::Certificate {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap()
}

/// What comes of a server with this certificate when the file holds that one.
fn judged(seen: &rcgen::Certificate, file: &rcgen::Certificate, name: &str) -> Result<(), String> {
    judged_by(None, seen, file, name)
}

/// The same where the certificate of a host is pinned.
fn judged_by(
    pin: Option<(&str, &rcgen::Certificate)>,
    seen: &rcgen::Certificate,
    file: &rcgen::Certificate,
    name: &str,
) -> Result<(), String> {
    let host = |host: &str| ServerName::try_from(host.to_owned()).unwrap();
    let own = vec![file.der().clone()];
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(own.iter().cloned());
    let pin = pin.map(|(pinned, certificate)| (host(pinned), Fingerprint::of(certificate.der())));
    let known = Known { pin, chain: Chain::new(roots), own };
    let name_of_server = host(name);
    let shown = ShownCertificate {
        own: seen.der(),
        others: &[],
        name: &name_of_server,
        ocsp: &[],
        now: UnixTime::now(),
    };
    let file = Some(Path::new("/etc/nas.pem"));
    let pin = Some("API_UPLOAD_TLS_FINGERPRINT");
    let server = Server { host: name, port: 443, address: "S3_API_URL", file, pin };
    known.judge(&shown).map_err(|error| fault(&error, server).to_string())
}

#[test]
fn of_a_pinned_host_that_one_certificate_is_right_whatever_is_written_in_it() {
    let now = std::time::SystemTime::now();
    let old = own(&["elsewhere.example"], |params| {
        params.not_before = (now - Duration::from_secs(90 * DAY_S)).into();
        params.not_after = (now - Duration::from_secs(2 * DAY_S)).into();
    });
    let known = own(&["nas.example", "proxy.example"], |_| {});
    assert_eq!(judged_by(Some(("nas.example", &old)), &old, &known, "nas.example"), Ok(()));
    // Neither the file nor an authority vouches for another one of that host, but for a proxy before it.
    let words = judged_by(Some(("nas.example", &old)), &known, &known, "nas.example").unwrap_err();
    let seen = Fingerprint::of(known.der());
    for part in ["nas.example:443", "another machine", &format!("API_UPLOAD_TLS_FINGERPRINT={seen}")] {
        assert!(words.contains(part), "{part} not in {words}");
    }
    assert_eq!(judged_by(Some(("nas.example", &old)), &known, &known, "proxy.example"), Ok(()));
    assert!(judged_by(Some(("nas.example", &old)), &old, &known, "proxy.example").is_err());
}

#[test]
fn a_self_signed_certificate_that_stands_in_the_file_itself_is_accepted() {
    let nas = own(&["nas.example", "127.0.0.1"], |_| {});
    assert_eq!(judged(&nas, &nas, "nas.example"), Ok(()));
    assert_eq!(judged(&nas, &nas, "127.0.0.1"), Ok(()));
    let leaf = own(&["nas.example"], |params| params.is_ca = IsCa::ExplicitNoCa);
    assert_eq!(judged(&leaf, &leaf, "nas.example"), Ok(()));
}

#[test]
fn one_that_only_looks_alike_is_not() {
    let [one, other] = [own(&["nas.example"], |_| {}), own(&["nas.example"], |_| {})];
    let words = judged(&one, &other, "nas.example").unwrap_err();
    let pin = format!("API_UPLOAD_TLS_FINGERPRINT={}", Fingerprint::of(one.der()));
    assert!(
        words.contains("not trusted") && words.contains("UPLOAD_CA_FILE") && words.contains(&pin),
        "{words}"
    );
}

#[test]
fn the_name_and_the_dates_of_a_certificate_in_the_file_are_checked() {
    let now = std::time::SystemTime::now();
    let day = Duration::from_secs(DAY_S);
    let nas = own(&["nas.example"], |_| {});
    let words = judged(&nas, &nas, "192.168.1.9").unwrap_err();
    assert!(words.contains("nas.example") && words.contains("subjectAltName=IP:192.168.1.9"), "{words}");
    let nameless = own(&[], |_| {});
    let words = judged(&nameless, &nameless, "nas.example").unwrap_err();
    assert!(words.contains("subjectAltName=DNS:nas.example") && words.contains("CN"), "{words}");
    for (from, to, said) in [
        (now - day * 90, now - day * 2, "expired 2 days ago"),
        (now + day * 5, now + day * 9, "not valid yet"),
    ] {
        let dated = own(&["nas.example"], |params| {
            params.not_before = from.into();
            params.not_after = to.into();
        });
        let words = judged(&dated, &dated, "nas.example").unwrap_err();
        assert!(words.contains(said) && words.contains("clock"), "{words}");
    }
}

#[test]
fn a_server_that_wants_tls_is_known_by_its_words() {
    for page in [
        "<title>400 The plain HTTP request was sent to HTTPS port</title>",
        "Reason: You're speaking plain HTTP to an SSL-enabled server port.",
        "Client sent an HTTP request to an HTTPS server.\n",
        "Bad Request\nThis combination of host and port requires TLS.\n",
    ] {
        assert!(is_wanted_by(400, page), "{page}");
        assert!(!is_wanted_by(200, page), "{page}");
    }
    assert!(!is_wanted_by(400, "no file field"));
}

proptest! {
    #[test]
    fn any_page_is_read_without_panic(status: u16, body in ".{0,200}") {
        let is_refusal = matches!(status, 400 | 403 | 426 | 497);
        prop_assert!(is_refusal || !is_wanted_by(status, &body));
    }
}
