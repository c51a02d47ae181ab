//! When a display is bright, dim or dark, and whose turn it is on it. Pure; it is told the time.

use std::time::{Duration, Instant};

use super::page::{DisplayPage, Topic};
use super::panel::Light;

/// A page stays for so long: time to read five lines.
const TURN: Duration = Duration::from_secs(6);

/// Nothing has happened for so long: nobody looks.
const DIM_AFTER: Duration = Duration::from_secs(60);

/// Something that people want to see at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// An alarm began or another one is the worst.
    Alarm,
    /// A contact closed or opened.
    Contact,
    /// A picture was stored.
    Picture,
}

impl Happened {
    fn topic(self) -> Topic {
        match self {
            Self::Alarm => Topic::Alarm,
            Self::Contact => Topic::Contacts,
            Self::Picture => Topic::Picture,
        }
    }
}

/// Whose turn it is, and how bright it is.
pub(super) struct PageTurns {
    /// When something happened last.
    woken_at: Instant,
    /// When the page came.
    began_at: Instant,
    place: usize,
    /// What has to be shown next.
    wanted: Option<Topic>,
    /// After so long without anything it is dark: light burns its picture into the glass within months.
    sleep_after: Duration,
}

impl PageTurns {
    pub(super) fn new(sleep_after: Duration, now: Instant) -> Self {
        Self { woken_at: now, began_at: now, place: 0, wanted: None, sleep_after }
    }

    /// Something happened: it is bright again, with the page about it.
    pub(super) fn wake(&mut self, happened: Happened, now: Instant) {
        self.woken_at = now;
        self.wanted = Some(happened.topic());
    }

    /// How bright it is. What is wrong stays to be seen, and so does the code that somebody came to read.
    pub(super) fn light(&self, pages: &[DisplayPage], now: Instant) -> Light {
        let quiet = now.saturating_duration_since(self.woken_at);
        let stays = pages.iter().any(|page| matches!(page.topic, Topic::Alarm | Topic::SetUp));
        match quiet {
            quiet if quiet < DIM_AFTER => Light::Bright,
            quiet if quiet < self.sleep_after || stays => Light::Dim,
            _ => Light::Off,
        }
    }

    /// The page whose turn it is; there is at least one.
    pub(super) fn page<'a>(&mut self, pages: &'a [DisplayPage], now: Instant) -> Option<&'a DisplayPage> {
        let wanted = self.wanted.take();
        if let Some(place) = wanted.and_then(|topic| pages.iter().position(|page| page.topic == topic)) {
            (self.place, self.began_at) = (place, now);
        } else if now.saturating_duration_since(self.began_at) >= TURN {
            (self.place, self.began_at) = (self.place + 1, now);
        }
        // There may be fewer than before.
        if self.place >= pages.len() {
            self.place = 0;
        }
        pages.get(self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLEEP_AFTER: Duration = Duration::from_secs(300);

    fn pages(topics: &[Topic]) -> Vec<DisplayPage> {
        let page =
            |topic: &Topic| DisplayPage { topic: *topic, title: String::new(), lines: Vec::new(), qr: None };
        topics.iter().map(page).collect()
    }

    const QUIET: &[Topic] = &[Topic::Address, Topic::Picture, Topic::Uploads];

    /// S1.10
    #[test]
    fn it_dims_then_sleeps_when_nothing_happens_and_wakes_when_something_does() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut turns = PageTurns::new(SLEEP_AFTER, start);
        let pages = pages(QUIET);
        let light = |turns: &PageTurns, seconds| turns.light(&pages, at(seconds));
        assert_eq!((light(&turns, 0), light(&turns, 59)), (Light::Bright, Light::Bright));
        assert_eq!((light(&turns, 60), light(&turns, 299)), (Light::Dim, Light::Dim));
        assert_eq!((light(&turns, 300), light(&turns, 1_000_000)), (Light::Off, Light::Off));
        turns.wake(Happened::Picture, at(1000));
        assert_eq!(
            (light(&turns, 1000), light(&turns, 1060), light(&turns, 1300)),
            (Light::Bright, Light::Dim, Light::Off)
        );
    }

    #[test]
    fn what_is_wrong_and_the_set_up_code_are_never_dark() {
        let turns = PageTurns::new(SLEEP_AFTER, Instant::now());
        let late = Instant::now() + Duration::from_secs(100_000);
        for topic in [Topic::Alarm, Topic::SetUp] {
            assert_eq!(turns.light(&pages(&[topic, Topic::Address]), late), Light::Dim);
        }
    }

    #[test]
    fn pages_take_turns_and_what_happened_goes_first() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut turns = PageTurns::new(SLEEP_AFTER, start);
        let all = pages(QUIET);
        let shown = |turns: &mut PageTurns, seconds| turns.page(&all, at(seconds)).unwrap().topic;
        assert_eq!(shown(&mut turns, 0), Topic::Address);
        assert_eq!(shown(&mut turns, 5), Topic::Address);
        assert_eq!(shown(&mut turns, 6), Topic::Picture);
        turns.wake(Happened::Picture, at(11));
        assert_eq!(shown(&mut turns, 11), Topic::Picture);
        assert_eq!(shown(&mut turns, 16), Topic::Picture, "its whole turn");
        assert_eq!(shown(&mut turns, 17), Topic::Uploads);
        assert_eq!(shown(&mut turns, 23), Topic::Address, "and from the start");
        turns.wake(Happened::Alarm, at(24));
        assert_eq!(shown(&mut turns, 24), Topic::Address, "there is no page of it");
        let fewer = pages(&[Topic::Address]);
        assert_eq!(turns.page(&fewer, at(30)).unwrap().topic, Topic::Address);
    }
}
