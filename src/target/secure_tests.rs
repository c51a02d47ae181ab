use std::time::Duration;

use proptest::prelude::{prop_assert, proptest};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::*;

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
    let own = vec![file.der().clone()];
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(own.iter().cloned());
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
    let verifier = Verifier { chain, own };
    let server = ServerName::try_from(name.to_owned()).unwrap();
    let judged = verifier.verify_server_cert(seen.der(), &[], &server, &[], UnixTime::now());
    let path = Path::new("/etc/nas.pem");
    judged.map(|_| ()).map_err(|error| words(&error, name, 443, "S3_API_URL", Some(path)))
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
    assert!(words.contains("not trusted") && words.contains("UPLOAD_CA_FILE"), "{words}");
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
    fn any_page_and_any_name_are_read_without_panic(status: u16, body in ".{0,200}", name in ".{0,40}") {
        is_wanted_by(status, &body);
        let said = names(&[name.clone(), format!("DnsName({name:?})")]);
        prop_assert!(said.chars().all(|c| !c.is_control()));
    }
}
