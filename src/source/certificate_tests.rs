//! Tests of [`super`].

use std::time::Duration;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::ServerName;

use super::*;

/// 2026-01-01.
const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_767_225_600));

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `name` from the year `from` to the year `to`, by an authority or by itself.
fn certificate(
    by: Option<&CertifiedIssuer<'static, KeyPair>>,
    name: &str,
    from: i32,
    to: i32,
) -> Certificate {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    let key = KeyPair::generate().unwrap();
    match by {
        Some(authority) => params.signed_by(&key, authority).unwrap(),
        // As `openssl req -x509` and cameras make them: an authority of itself.
        None => {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.self_signed(&key).unwrap()
        }
    }
}

fn file(certificates: &[&[u8]]) -> Trust {
    let certificates = certificates.iter().map(|der| der.to_vec()).collect();
    Trust::File(Authorities { file: "/etc/gate/ca.pem".into(), certificates })
}

fn judge(trust: &Trust, own: &Certificate) -> Result<(), Trouble> {
    let name = ServerName::try_from("10.0.0.7").unwrap();
    Rule::new(trust).trouble(&ShownCertificate {
        own: own.der(),
        others: &[],
        name: &name,
        ocsp: &[],
        now: NOW,
    })
}

#[test]
fn of_a_chain_authority_name_and_dates_are_checked() {
    let (known, stranger) = (authority(), authority());
    let trust = file(&[stranger.der(), known.der()]);
    let good = certificate(Some(&known), "10.0.0.7", 2025, 2030);
    assert_eq!(judge(&trust, &good), Ok(()));
    let seen = Fingerprint::of(good.der());
    let unknown = Trouble::Unknown { seen, file: Some("/etc/gate/ca.pem".to_owned()) };
    assert_eq!(judge(&file(&[stranger.der()]), &good), Err(unknown));
    assert_eq!(judge(&Trust::System, &good), Err(Trouble::Unknown { seen, file: None }));
    let old = certificate(Some(&known), "10.0.0.7", 2020, 2025);
    let expired = Trouble::Expired { seen: Fingerprint::of(old.der()), days: 365 };
    assert_eq!(judge(&trust, &old), Err(expired));
    let new = certificate(Some(&known), "10.0.0.7", 2027, 2030);
    assert_eq!(judge(&trust, &new), Err(Trouble::NotYet { seen: Fingerprint::of(new.der()), days: 365 }));
    let other = certificate(Some(&known), "camera.local", 2025, 2030);
    let name = Trouble::Name { seen: Fingerprint::of(other.der()), names: "camera.local".to_owned() };
    assert_eq!(judge(&trust, &other), Err(name));
}

#[test]
fn one_that_is_pinned_or_stands_in_the_file_itself_may_be_old_and_of_another_name() {
    let own = certificate(None, "IPCamera", 2010, 2020);
    let pinned = Trust::Pinned(Fingerprint::of(own.der()));
    assert_eq!(judge(&pinned, &own), Ok(()));
    assert_eq!(judge(&file(&[own.der()]), &own), Ok(()));
    let other = certificate(None, "IPCamera", 2010, 2020);
    let seen = Fingerprint::of(other.der());
    assert_eq!(judge(&pinned, &other), Err(Trouble::Changed { seen }));
    // Of another one with the same name it is not said that it is old: that would not be all.
    assert!(matches!(judge(&file(&[own.der()]), &other), Err(Trouble::Unknown { .. })));
    assert!(matches!(judge(&Trust::System, &own), Err(Trouble::Unknown { .. })));
}

#[test]
fn a_certificate_that_cannot_be_read_is_unknown_and_never_right() {
    let rule = Rule::new(&Trust::System);
    let name = ServerName::try_from("cam").unwrap();
    for bytes in [&b""[..], b"\x30", &[0x30, 0x82, 0xff, 0xff, 0], b"no certificate"] {
        let own = CertificateDer::from(bytes);
        let seen = Fingerprint::of(bytes);
        let shown = ShownCertificate { own: &own, others: &[], name: &name, ocsp: &[], now: NOW };
        assert_eq!(rule.trouble(&shown), Err(Trouble::Unknown { seen, file: None }));
    }
}

#[test]
fn every_trouble_names_what_to_set() {
    let seen = Fingerprint::of(b"certificate");
    let pin = format!("CAMERA_4_TLS_FINGERPRINT={seen}");
    let setting = "CAMERA_4_RTSP";
    for (trouble, words, is_refusal) in [
        (Trouble::Unknown { seen, file: None }, ["not known", &pin], true),
        (Trouble::Unknown { seen, file: Some("/ca.pem".to_owned()) }, ["not in /ca.pem", &pin], true),
        (Trouble::Changed { seen }, ["another device answers", &pin], true),
        (Trouble::Expired { seen, days: 9 }, ["expired 9 days ago", &pin], false),
        (Trouble::NotYet { seen, days: 9 }, ["in 9 days", "machine's date"], false),
        (Trouble::Name { seen, names: "a.example".to_owned() }, ["made out to a.example", &pin], true),
        (Trouble::Unproven("x".to_owned()), ["2048 bits", "new certificate"], true),
        (Trouble::NoTls, ["does not speak TLS", "CAMERA_4_RTSP to rtsp://"], false),
        (Trouble::TooOld, ["TLS 1.2", setting], false),
        (Trouble::Asks, ["certificate of its client", "switch that off"], true),
        (Trouble::Closed, ["closed the connection", setting], false),
        (Trouble::Silent(5), ["within 5 s", setting], false),
    ] {
        let said = trouble.say("10.0.0.7:322", 4, setting, "rtsp");
        let message = &said.fault.to_string();
        assert!(
            words.iter().all(|word| message.contains(word)) && message.contains("10.0.0.7:322"),
            "{message}"
        );
        assert_eq!(said.is_refusal, is_refusal, "{message}");
    }
}

#[test]
fn a_trouble_is_found_among_the_causes_of_an_error() {
    let trouble = Trouble::Changed { seen: Fingerprint::of(b"x") };
    let inner = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::from(trouble.clone()));
    assert_eq!(Trouble::of(&inner), Some(trouble.clone()));
    assert_eq!(Trouble::among(&io::Error::other(inner)), Some(trouble));
    assert_eq!(Trouble::among(&io::Error::other("no")), None);
}
