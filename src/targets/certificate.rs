//! What stands in a certificate (X.509, RFC 5280), for people: whose it is, who made it, until when it holds. Pure.
//!
//! Whether it is to be trusted is decided elsewhere (`secure`); this only reads, and what it cannot read it leaves out.

use jiff::civil;
use jiff::tz::TimeZone;

use crate::model::{UnixMs, foreign};

/// Of a name so many characters are shown.
const NAME_MAX: usize = 80;

/// So many names are shown.
const NAMES_MAX: usize = 8;

/// `id-at-commonName`, `id-at-organizationName` and `id-ce-subjectAltName`, as they are encoded (ITU-T X.690 8.19).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Tags of DER (ITU-T X.690 8.1.2), those of the context with their numbers.
mod tag {
    pub(super) const OBJECT: u8 = 0x06;
    pub(super) const OCTETS: u8 = 0x04;
    pub(super) const UTC_TIME: u8 = 0x17;
    pub(super) const GENERALIZED_TIME: u8 = 0x18;
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const BMP_STRING: u8 = 0x1e;
    pub(super) const VERSION: u8 = 0xa0;
    pub(super) const EXTENSIONS: u8 = 0xa3;
    pub(super) const DNS_NAME: u8 = 0x82;
    pub(super) const ADDRESS: u8 = 0x87;
}

/// What a certificate says of itself. Words of others, fit to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CertificateFacts {
    /// The names and addresses it is made out to, from `subjectAltName`; where there is none, from the subject.
    pub(super) names: Vec<String>,
    /// Who made it.
    pub(super) issuer: String,
    /// Whether that is itself.
    pub(super) is_own: bool,
    /// From when it holds.
    pub(super) not_before: Option<UnixMs>,
    /// Until when.
    pub(super) not_after: Option<UnixMs>,
}

/// An element of DER: its tag and its content.
type Element<'a> = (u8, &'a [u8]);

impl CertificateFacts {
    /// Reads a certificate; `None` if it is none.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let certificate = within(der, tag::SEQUENCE)?;
        let mut rest = within(certificate, tag::SEQUENCE)?;
        if rest.first() == Some(&tag::VERSION) {
            next(&mut rest)?;
        }
        // Serial number and signature algorithm.
        next(&mut rest)?;
        next(&mut rest)?;
        let (_, issuer) = next(&mut rest)?;
        let (_, mut validity) = next(&mut rest)?;
        let (_, subject) = next(&mut rest)?;
        let mut dates = || next(&mut validity).and_then(time);
        let (not_before, not_after) = (dates(), dates());
        let mut names: Vec<String> = elements(rest)
            .filter(|(tag, _)| *tag == tag::EXTENSIONS)
            .flat_map(|(_, list)| within(list, tag::SEQUENCE).into_iter().flat_map(elements))
            .flat_map(|(_, extension)| alternatives(extension))
            .take(NAMES_MAX)
            .collect();
        if names.is_empty() {
            names.extend(called(subject));
        }
        Some(Self {
            names,
            issuer: called(issuer).unwrap_or_default(),
            is_own: issuer == subject,
            not_before,
            not_after,
        })
    }
}

/// The next element, taken off.
fn next<'a>(rest: &mut &'a [u8]) -> Option<Element<'a>> {
    let (&tag, after) = rest.split_first()?;
    let (&first, mut after) = after.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        // Four bytes of length are four gigabytes.
        let count = usize::from(first & 0x7f);
        let digits = after.get(..count).filter(|_| (1..=4).contains(&count))?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        after = &after[count..];
    }
    let content = after.get(..length)?;
    *rest = &after[length..];
    Some((tag, content))
}

/// The elements one after the other, as far as they can be read.
fn elements(mut rest: &[u8]) -> impl Iterator<Item = Element<'_>> {
    std::iter::from_fn(move || next(&mut rest))
}

/// The content of the first element, if it has this tag.
fn within(mut der: &[u8], tag: u8) -> Option<&[u8]> {
    next(&mut der).filter(|(found, _)| *found == tag).map(|(_, content)| content)
}

/// The names in an extension, if it is `subjectAltName`.
fn alternatives(extension: &[u8]) -> Vec<String> {
    let mut parts = elements(extension);
    if parts.next() != Some((tag::OBJECT, ALTERNATIVE_NAME)) {
        return Vec::new();
    }
    let Some((_, value)) = parts.find(|(tag, _)| *tag == tag::OCTETS) else { return Vec::new() };
    let names = within(value, tag::SEQUENCE).into_iter().flat_map(elements);
    names
        .filter_map(|(tag, name)| match tag {
            tag::DNS_NAME => Some(foreign::line(&String::from_utf8_lossy(name), NAME_MAX)),
            tag::ADDRESS => address(name),
            _ => None,
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| core::net::Ipv4Addr::from(bytes).to_string()),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| core::net::Ipv6Addr::from(bytes).to_string()),
        _ => None,
    }
}

/// What a name is called: its common name and its organisation, where the one is not in the other.
fn called(name: &[u8]) -> Option<String> {
    let attribute = |wanted: &[u8]| {
        let sets = elements(name).flat_map(|(_, set)| elements(set));
        let found = sets.filter_map(|(_, pair)| {
            let mut pair = elements(pair);
            let (_, kind) = pair.next()?;
            let (tag, value) = pair.next()?;
            (kind == wanted).then(|| text(tag, value))
        });
        found.filter(|text| !text.is_empty()).last()
    };
    match (attribute(COMMON_NAME), attribute(ORGANISATION)) {
        (Some(name), Some(maker)) if !name.contains(&maker) => Some(format!("{name} ({maker})")),
        (Some(name), _) => Some(name),
        (None, maker) => maker,
    }
}

/// A string of any of the kinds that stand in names.
fn text(tag: u8, bytes: &[u8]) -> String {
    if tag == tag::BMP_STRING {
        let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        let wide: Vec<u16> = units.collect();
        return foreign::line(&String::from_utf16_lossy(&wide), NAME_MAX);
    }
    foreign::line(&String::from_utf8_lossy(bytes), NAME_MAX)
}

/// `UTCTime` has two digits of the year, `GeneralizedTime` four (RFC 5280 section 4.1.2.5); both end in `Z`.
fn time((tag, bytes): Element<'_>) -> Option<UnixMs> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (tag, text.len()) {
        (tag::UTC_TIME, 12) => {
            let year: i16 = text[..2].parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &text[2..])
        }
        (tag::GENERALIZED_TIME, 14) => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let part = |at: usize| rest[at..at + 2].parse::<i8>().ok();
    let at = civil::DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    at.to_zoned(TimeZone::UTC).ok().map(|at| UnixMs(at.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair, date_time_ymd};

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Gate authority");
        params.distinguished_name.push(DnType::OrganizationName, "Example Ltd");
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn certificate() -> Vec<u8> {
        let names = vec!["gate.example".to_owned(), "10.0.0.5".to_owned(), "::1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "not looked at");
        params.not_before = date_time_ymd(2026, 1, 2);
        params.not_after = date_time_ymd(2051, 3, 4);
        params.signed_by(&KeyPair::generate().unwrap(), &authority()).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_tells_whose_it_is_who_made_it_and_until_when_it_holds() {
        let facts = CertificateFacts::read(&certificate()).unwrap();
        assert_eq!(facts.names, ["gate.example", "10.0.0.5", "::1"]);
        assert_eq!(facts.issuer, "Gate authority (Example Ltd)");
        assert!(!facts.is_own);
        let day = |at: Option<UnixMs>| at.unwrap().day();
        assert_eq!((day(facts.not_before), day(facts.not_after)), ("2026-01-02".into(), "2051-03-04".into()));
    }

    #[test]
    fn one_without_alternative_names_is_called_by_its_subject_and_may_be_its_own() {
        let facts = CertificateFacts::read(authority().der()).unwrap();
        assert_eq!(facts.names, ["Gate authority (Example Ltd)"]);
        assert!(facts.is_own);
    }

    #[test]
    fn both_kinds_of_time_are_read_and_no_other() {
        let read = |tag, text: &str| time((tag, text.as_bytes())).map(UnixMs::rfc3339);
        assert_eq!(read(tag::UTC_TIME, "261129040506Z").as_deref(), Some("2026-11-29T04:05:06.000Z"));
        assert_eq!(read(tag::UTC_TIME, "500101000000Z").as_deref(), Some("1950-01-01T00:00:00.000Z"));
        assert_eq!(
            read(tag::GENERALIZED_TIME, "20510304000000Z").as_deref(),
            Some("2051-03-04T00:00:00.000Z")
        );
        for text in
            ["", "Z", "261129040506", "261129040506+0100", "269929040506Z", "2é1129040506Z", "20510304Z"]
        {
            assert_eq!(read(tag::UTC_TIME, text), None, "{text}");
            assert_eq!(read(tag::GENERALIZED_TIME, text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_comes_as_a_certificate_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = CertificateFacts::read(&bytes);
        }

        #[test]
        fn no_damage_to_one_panics(at in 0_usize..600, to: u8, cut in 0_usize..800) {
            let mut der = certificate();
            if let Some(byte) = der.get_mut(at) {
                *byte = to;
            }
            der.truncate(cut);
            let _ = CertificateFacts::read(&der);
        }
    }
}
