//! A part of every day at this site, such as the hours in which a target may be used.

use crate::model::UnixMs;

/// A part of every day, seen from an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daily {
    /// It is now, and ends at that instant.
    Open(UnixMs),
    /// It is not now, and begins at that instant.
    Closed(UnixMs),
}

/// How a part of every day at this site, from one minute after midnight to another (to the next day if that is not
/// later), lies around an instant.
pub fn daily(now: UnixMs, from_min: u16, to_min: u16) -> Daily {
    daily_in(&jiff::tz::TimeZone::system(), now, from_min, to_min)
}

/// [`daily`] in a time zone. It begins once on every day; where the clock is changed, a time that is skipped or comes
/// twice makes it longer, never shorter.
fn daily_in(zone: &jiff::tz::TimeZone, now: UnixMs, from_min: u16, to_min: u16) -> Daily {
    // An instant that no calendar has is always within.
    let always = Daily::Open(UnixMs(i64::MAX));
    let Ok(stamp) = jiff::Timestamp::from_millisecond(now.0) else { return always };
    let today = zone.to_datetime(stamp).date();
    let instant = |date: jiff::civil::Date, minutes: u16, is_end: bool| {
        let midnight = date.to_datetime(jiff::civil::Time::midnight());
        let at = midnight.checked_add(jiff::SignedDuration::from_mins(i64::from(minutes))).ok()?;
        let at = zone.to_ambiguous_timestamp(at);
        let at = if is_end { at.later() } else { at.earlier() };
        at.ok().map(|at| UnixMs(at.as_millisecond()))
    };
    let span = if to_min > from_min { 0 } else { 1 };
    // Two days to each side are more than any change of a clock.
    let parts = (-2..=2).filter_map(|days| {
        let date = |days: i64| today.checked_add(jiff::Span::new().days(days)).ok();
        Some((instant(date(days)?, from_min, false)?, instant(date(days + span)?, to_min, true)?))
    });
    let (mut end, mut begin) = (None, None);
    for (from, to) in parts {
        if from <= now && now < to {
            end = end.max(Some(to));
        } else if from > now {
            begin = begin.or(Some(from));
        }
    }
    match (end, begin) {
        (Some(end), _) => Daily::Open(end),
        (None, Some(begin)) => Daily::Closed(begin),
        (None, None) => always,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Berlin, without the machine's own list of zones.
    fn berlin() -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn ms(text: &str) -> UnixMs {
        UnixMs(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn check(zone: &jiff::tz::TimeZone, (from, to): (u16, u16), cases: &[(&str, Daily)]) {
        for (now, expected) in cases {
            assert_eq!(daily_in(zone, ms(now), from * 60, to * 60), *expected, "{now}");
        }
    }

    #[test]
    fn a_night_spans_midnight_and_tells_when_it_ends_or_begins() {
        check(
            &berlin(),
            (22, 6),
            &[
                ("2026-11-21T20:59:59.999Z", Daily::Closed(ms("2026-11-21T21:00:00Z"))),
                ("2026-11-21T21:00:00Z", Daily::Open(ms("2026-11-22T05:00:00Z"))),
                ("2026-11-22T04:59:59.999Z", Daily::Open(ms("2026-11-22T05:00:00Z"))),
                ("2026-11-22T05:00:00Z", Daily::Closed(ms("2026-11-22T21:00:00Z"))),
            ],
        );
        check(&berlin(), (9, 17), &[("2026-07-01T06:59:00Z", Daily::Closed(ms("2026-07-01T07:00:00Z")))]);
        check(&berlin(), (0, 24), &[("2026-07-01T22:00:00Z", Daily::Open(ms("2026-07-02T22:00:00Z")))]);
    }

    #[test]
    fn the_night_of_the_change_to_summer_is_an_hour_shorter_and_its_skipped_hour_is_not_lost() {
        check(
            &berlin(),
            (22, 6),
            &[
                ("2026-03-28T21:00:00Z", Daily::Open(ms("2026-03-29T04:00:00Z"))),
                ("2026-03-29T04:00:00Z", Daily::Closed(ms("2026-03-29T20:00:00Z"))),
            ],
        );
        // From 2 to 3 o'clock does not exist on that day; an hour around it stands for it.
        check(
            &berlin(),
            (2, 3),
            &[
                ("2026-03-28T23:59:00Z", Daily::Closed(ms("2026-03-29T00:00:00Z"))),
                ("2026-03-29T00:30:00Z", Daily::Open(ms("2026-03-29T01:00:00Z"))),
                ("2026-03-29T01:00:00Z", Daily::Closed(ms("2026-03-30T00:00:00Z"))),
            ],
        );
    }

    #[test]
    fn the_night_of_the_change_to_winter_is_an_hour_longer_and_its_repeated_hour_is_one() {
        check(&berlin(), (22, 6), &[("2026-10-24T20:00:00Z", Daily::Open(ms("2026-10-25T05:00:00Z")))]);
        // From 2 to 3 o'clock comes twice on that day: both, without a gap.
        check(
            &berlin(),
            (2, 3),
            &[
                ("2026-10-24T23:59:00Z", Daily::Closed(ms("2026-10-25T00:00:00Z"))),
                ("2026-10-25T00:00:00Z", Daily::Open(ms("2026-10-25T02:00:00Z"))),
                ("2026-10-25T01:30:00Z", Daily::Open(ms("2026-10-25T02:00:00Z"))),
                ("2026-10-25T02:00:00Z", Daily::Closed(ms("2026-10-26T01:00:00Z"))),
            ],
        );
    }

    proptest::proptest! {
        #[test]
        fn a_daily_part_ends_what_it_began_and_never_stays_away_longer_than_two_days(
            now in 1_700_000_000_000_i64..1_900_000_000_000, from_min in 0_u16..1440, to_min in 0_u16..=1440, zone in 0..4_usize,
        ) {
            proptest::prop_assume!(from_min != to_min % 1440);
            let zone = ["CET-1CEST,M3.5.0,M10.5.0/3", "LHST-10:30LHDT-11,M10.1.0,M4.1.0", "EST5EDT,M3.2.0,M11.1.0", "UTC0"][zone];
            let zone = jiff::tz::TimeZone::posix(zone).unwrap();
            let look = |at: i64| daily_in(&zone, UnixMs(at), from_min, to_min);
            match look(now) {
                Daily::Open(end) => {
                    proptest::prop_assert!(end.0 > now && end.0 - now <= 49 * 3_600_000);
                    proptest::prop_assert!(matches!(look(end.0 - 1), Daily::Open(_)));
                }
                Daily::Closed(begin) => {
                    proptest::prop_assert!(begin.0 > now && begin.0 - now <= 25 * 3_600_000);
                    proptest::prop_assert_eq!(look(begin.0 - 1), Daily::Closed(begin));
                    proptest::prop_assert!(matches!(look(begin.0), Daily::Open(_)));
                }
            }
        }
    }
}
