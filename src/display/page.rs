//! What a display says, as pages: a pure function of how everything stands.

use std::net::Ipv4Addr;

use crate::model::{UploadState, foreign};
use crate::status::Severity;

/// Characters of a line of text.
pub(super) const LINE_MAX: usize = 21;

/// Lines below a title.
pub(super) const LINES_MAX: usize = 5;

/// Alarms that have a page; the dashboard has them all.
const ALARMS_MAX: usize = 3;

/// How everything stands. Not to be printed: it may have the set-up code.
#[derive(Clone, Default)]
pub(super) struct Facts {
    /// Where the dashboard is, if the machine has an address.
    pub(super) url: Option<String>,
    /// The one-time set-up code, while no password is set.
    pub(super) code: Option<String>,
    /// The worst first.
    pub(super) alarms: Vec<(Severity, String)>,
    /// Labels of cameras, and whether their contact is closed, if that is known.
    pub(super) contacts: Vec<(String, Option<bool>)>,
    /// The picture that was stored last.
    pub(super) last: Option<LastPicture>,
    /// Uploads that wait, of all targets.
    pub(super) waiting: u64,
    /// Uploads that failed permanently.
    pub(super) dead: u64,
    /// Whether the FTP server works; `None` where there is none.
    pub(super) ftp: Option<bool>,
}

/// The picture that was stored last.
#[derive(Clone, Debug)]
pub(super) struct LastPicture {
    pub(super) camera: String,
    /// Time of day at the site.
    pub(super) time: String,
    /// Of each target, its name and how the delivery stands.
    pub(super) deliveries: Vec<(String, UploadState)>,
}

/// What a page is about, for whoever wants to show one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    Alarm,
    SetUp,
    Address,
    Contacts,
    Picture,
    Uploads,
}

/// One page. Not to be printed, as [`Facts`].
#[derive(Clone, PartialEq, Eq)]
pub(super) struct DisplayPage {
    pub(super) topic: Topic,
    pub(super) title: String,
    /// At most [`LINES_MAX`] of at most [`LINE_MAX`] characters, of printable ASCII.
    pub(super) lines: Vec<String>,
    /// The address that stands beside it as a QR code.
    pub(super) qr: Option<String>,
}

/// The pages in their turn; what is wrong comes first.
pub(super) fn pages(facts: &Facts) -> Vec<DisplayPage> {
    let mut pages: Vec<DisplayPage> = facts.alarms.iter().take(ALARMS_MAX).map(alarm).collect();
    pages.extend(facts.code.as_ref().map(|code| set_up(facts.url.as_deref(), code)));
    pages.push(address(facts));
    let mut contacts = facts.contacts.clone();
    if contacts.len() > LINES_MAX {
        // The first page is the one that is shown when a contact closes.
        contacts.sort_by_key(|(_, is_closed)| *is_closed != Some(true));
    }
    for some in contacts.chunks(LINES_MAX) {
        let lines = some.iter().map(|(label, is_closed)| contact(label, *is_closed)).collect();
        pages.push(page(Topic::Contacts, "CONTACTS", lines));
    }
    if let Some(last) = &facts.last {
        let mut lines = vec![format!("{} {}", last.time, plain(&last.camera)), "image saved".to_owned()];
        lines.extend(last.deliveries.iter().map(|(target, state)| format!("{target} {}", delivery(*state))));
        pages.push(page(Topic::Picture, "LAST PICTURE", lines));
    }
    pages.push(uploads(facts));
    pages
}

fn alarm((severity, message): &(Severity, String)) -> DisplayPage {
    let title = match severity {
        Severity::Critical => "ERROR",
        Severity::Warning => "WARNING",
        Severity::Info => "NOTE",
    };
    page(Topic::Alarm, title, wrapped(message, LINE_MAX))
}

/// The code is there whatever the address is.
fn set_up(url: Option<&str>, code: &str) -> DisplayPage {
    let mut lines = wrapped(url.map_or("the dashboard", bare), LINE_MAX);
    lines.truncate(LINES_MAX - 2);
    if lines.len() < LINES_MAX - 2 {
        lines.insert(0, "Open".to_owned());
    }
    lines.extend(["and enter".to_owned(), format!("  {code}")]);
    page(Topic::SetUp, "SET-UP CODE", lines)
}

/// Half of the page is the code.
fn address(facts: &Facts) -> DisplayPage {
    const NARROW: usize = 10;
    let Some(url) = &facts.url else {
        return page(Topic::Address, "ADDRESS", vec!["no network".to_owned()]);
    };
    let (host, port) = bare(url).rsplit_once(':').unwrap_or((bare(url), ""));
    let lines = match halves(host) {
        Some((first, second)) => vec![format!("{first}."), second.to_owned(), format!(":{port}")],
        None => wrapped(bare(url), NARROW),
    };
    DisplayPage { qr: Some(url.clone()), ..page(Topic::Address, "ADDRESS", lines) }
}

/// An address as people type it.
fn bare(url: &str) -> &str {
    url.trim_start_matches("http://").trim_end_matches('/')
}

/// An IPv4 address in two parts, each of which can be remembered.
fn halves(host: &str) -> Option<(&str, &str)> {
    host.parse::<Ipv4Addr>().ok()?;
    let (second_dot, _) = host.match_indices('.').nth(1)?;
    Some((&host[..second_dot], &host[second_dot + 1..]))
}

fn contact(label: &str, is_closed: Option<bool>) -> String {
    let state = match is_closed {
        Some(true) => "CLOSED",
        Some(false) => "open",
        None => "?",
    };
    let label: String = plain(label).chars().take(LINE_MAX - 7).collect();
    format!("{label:<width$} {state}", width = LINE_MAX - 7)
}

/// In the words that people know from the devices before this one.
fn delivery(state: UploadState) -> &'static str {
    match state {
        UploadState::Pending => "waits",
        UploadState::Delivered => "sent",
        UploadState::Dead => "FAILED",
        UploadState::Skipped => "off",
        UploadState::Lost => "LOST",
    }
}

fn uploads(facts: &Facts) -> DisplayPage {
    let mut lines = vec![match facts.waiting {
        0 => "nothing waits".to_owned(),
        1 => "1 upload waits".to_owned(),
        waiting => format!("{waiting} uploads wait"),
    }];
    if facts.dead > 0 {
        lines.push(format!("{} FAILED", facts.dead));
    }
    match facts.ftp {
        Some(true) => lines.push("FTP ok".to_owned()),
        Some(false) => lines.push("FTP ERROR".to_owned()),
        None => {}
    }
    if facts.alarms.is_empty() {
        lines.push("all ok".to_owned());
    }
    page(Topic::Uploads, "DELIVERY", lines)
}

fn page(topic: Topic, title: &str, lines: Vec<String>) -> DisplayPage {
    let fit = |line: String| letters(&line).take(LINE_MAX).collect();
    let lines = lines.into_iter().take(LINES_MAX).map(fit).collect();
    DisplayPage { topic, title: title.to_owned(), lines, qr: None }
}

/// What a camera is called here: by its label, or by its key where the font has hardly a letter of that.
pub(super) fn known_as(label: &str, key: &str) -> String {
    let (has, lacks): (Vec<char>, Vec<char>) =
        label.chars().filter(|c| !c.is_whitespace()).partition(|c| is_letter(*c));
    if has.len() > lacks.len() { label.to_owned() } else { key.to_owned() }
}

/// One line in the letters that the font has; names of cameras may have any.
fn plain(text: &str) -> String {
    letters(&foreign::line(text, 400)).collect()
}

fn letters(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().map(|c| if is_letter(c) { c } else { '?' })
}

fn is_letter(c: char) -> bool {
    (' '..='~').contains(&c)
}

/// Words in lines of so many characters; longer ones are cut. What finds no room ends in dots.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in plain(text).split_whitespace() {
        if !line.is_empty() && line.len() + 1 + word.len() > most {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        while line.len() > most {
            let rest = line.split_off(most);
            lines.push(std::mem::replace(&mut line, rest));
        }
    }
    lines.push(line);
    if lines.len() > LINES_MAX {
        lines.truncate(LINES_MAX);
        if let Some(last) = lines.last_mut() {
            last.truncate(most - 2);
            last.push_str("..");
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_wrong_comes_first_and_the_old_words_are_there() {
        let facts = Facts {
            alarms: vec![(Severity::Critical, "camera r1 gives no pictures".to_owned())],
            url: Some("http://192.168.1.33:9000/".to_owned()),
            last: Some(LastPicture {
                camera: "Entry".to_owned(),
                time: "12:00".to_owned(),
                deliveries: vec![("api".to_owned(), UploadState::Delivered)],
            }),
            ftp: Some(true),
            ..Facts::default()
        };
        let pages = pages(&facts);
        assert_eq!((pages[0].topic, pages[0].title.as_str()), (Topic::Alarm, "ERROR"));
        let said: Vec<String> = pages.iter().flat_map(|page| page.lines.clone()).collect();
        for words in ["FTP ok", "image saved", "api sent", "nothing waits"] {
            assert!(said.iter().any(|line| line == words), "{words}: {said:?}");
        }
        assert!(!said.iter().any(|line| line == "all ok"));
    }

    #[test]
    fn the_set_up_code_is_shown_until_there_is_none() {
        let code = |code: Option<&str>| {
            let facts = Facts { code: code.map(str::to_owned), ..Facts::default() };
            pages(&facts).iter().any(|page| page.lines.iter().any(|line| line.contains("k3x9m-q7w2p")))
        };
        assert!(code(Some("k3x9m-q7w2p")) && !code(None));
    }

    #[test]
    fn the_code_is_shown_beside_any_address_and_sixteen_contacts_all_have_their_turn() {
        let url = "http://[2001:db8:85a3:8d31:1319:8a2e:1370:7348]:9000/".to_owned();
        let contacts = (1..=16).map(|n| (format!("Gate {n}"), Some(n == 16))).collect();
        let code = Some("k3x9m-q7w2p".to_owned());
        let pages = pages(&Facts { url: Some(url), code, contacts, ..Facts::default() });
        let said = |topic: Topic| -> Vec<String> {
            let pages = pages.iter().filter(|page| page.topic == topic);
            pages.flat_map(|page| page.lines.clone()).collect()
        };
        let lines = ["[2001:db8:85a3:8d31:1", "319:8a2e:1370:7348]:9", "000", "and enter", "  k3x9m-q7w2p"];
        assert_eq!(said(Topic::SetUp), lines);
        assert_eq!(said(Topic::Address).concat(), "[2001:db8:85a3:8d31:1319:8a2e:1370:7348]:9000");
        assert_eq!(said(Topic::Contacts).len(), 16);
        assert_eq!(said(Topic::Contacts)[0], "Gate 16        CLOSED", "who closes one sees it at once");
    }

    #[test]
    fn a_camera_whose_label_the_font_has_not_is_called_by_its_key() {
        for (label, known) in
            [("Entry", "Entry"), ("Einfahrt Süd", "Einfahrt Süd"), ("입구", "r1"), ("입구 1", "r1")]
        {
            assert_eq!(known_as(label, "r1"), known);
        }
    }

    proptest! {
        #[test]
        fn every_page_fits_whatever_things_are_called(
            texts in prop::collection::vec(".{0,200}", 0..6), url in prop::option::of(".{0,80}"), waiting: u64,
        ) {
            let facts = Facts {
                alarms: texts.iter().map(|text| (Severity::Warning, text.clone())).collect(),
                contacts: texts.iter().map(|text| (text.clone(), Some(true))).collect(),
                url: url.clone(),
                code: url,
                waiting,
                ..Facts::default()
            };
            for page in pages(&facts) {
                prop_assert!(page.lines.len() <= LINES_MAX);
                for line in &page.lines {
                    prop_assert!(line.len() <= LINE_MAX && line.bytes().all(|b| (b' '..=b'~').contains(&b)), "{line:?}");
                }
            }
        }
    }
}
