use proptest::prelude::*;

use super::*;
use crate::config::{Config, Env};
use crate::model::FileName;
use crate::status::Status;
use crate::store::WatchedText;

const WALL: UnixMs = UnixMs(1_795_132_800_000);

/// One camera, one target, one contact, all well.
#[derive(Clone, Debug)]
struct Site {
    cameras: Vec<CameraStatus>,
    targets: Vec<TargetStatus>,
    lines: Vec<LineState>,
    refused: Vec<(TargetId, u64)>,
    failures: FailureCounts,
    watched: WatchedNews,
}

impl Site {
    fn new() -> Self {
        let pairs = [("CAMERA_1_IP", "10.0.0.9"), ("S3_API_URL", "http://127.0.0.1:9/")];
        let (config, _) = Config::parse(&Env::from_pairs(pairs)).unwrap();
        let status = Status::new(&config);
        let (mut cameras, mut targets) = (status.cameras(), status.targets());
        cameras.truncate(1);
        cameras[0].state = CameraState::Connected;
        targets[0].online = Some(true);
        let line = LineState {
            pin: 18,
            camera: cameras[0].key.clone(),
            level: None,
            active: false,
            last_edge: None,
            edges: 0,
            bounces: 0,
        };
        Self {
            cameras,
            targets,
            lines: vec![line],
            refused: Vec::new(),
            failures: FailureCounts::default(),
            watched: WatchedNews::default(),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn facts(&self) -> AlarmFacts<'_> {
        AlarmFacts {
            cameras: &self.cameras,
            targets: &self.targets,
            lines: &self.lines,
            refused: &self.refused,
            failures: &self.failures,
            watched: &self.watched,
        }
    }
}

fn away() -> Site {
    Site::new().with(|site| {
        site.cameras[0].state = CameraState::Degraded;
        site.cameras[0].last_error = Some("nothing listens".into());
    })
}

/// The codes after each second of a story: how many seconds, and how everything stands in them.
fn told(story: &[(u64, Site)]) -> Vec<Vec<&'static str>> {
    let (mut rule, mut now, mut wall, mut told) = (Rule::default(), Instant::now(), WALL, Vec::new());
    for (seconds, site) in story {
        for _ in 0..*seconds {
            told.push(rule.judge(now, wall, &site.facts()).iter().map(|alarm| alarm.kind.code()).collect());
            (now, wall) = (now + Duration::from_secs(1), wall.plus_ms(1000));
        }
    }
    told
}

/// The second in which `code` was told first.
fn first(story: &[(u64, Site)], code: &str) -> Option<usize> {
    told(story).iter().position(|codes| codes.contains(&code))
}

#[test]
fn each_condition_is_an_alarm_after_its_patience_with_a_next_step() {
    let failing = Site::new().with(|site| {
        site.targets[0].online = Some(false);
        site.targets[0].is_reachable = Some(true);
        site.targets[0].last_error = Some("answered 401".into());
    });
    let gone = failing.clone().with(|site| site.targets[0].is_reachable = Some(false));
    let refused = Site::new().with(|site| site.refused = vec![(TargetId::API, 2)]);
    let stuck = Site::new().with(|site| site.lines[0].active = true);
    let failed = Site::new().with(|site| {
        let camera = site.cameras[0].key.clone();
        site.failures =
            FailureCounts { unseen: 1, newest: Some((7, camera, WALL, Some("no frame".to_owned()))) };
    });
    let denied =
        Site::new().with(|site| site.targets[0].denied = Some((2, "a.jpg belongs to root (user 0)".into())));
    let watched = Site::new().with(|site| site.watched = watched_news(site, 1));
    let connecting = Site::new().with(|site| site.cameras[0].state = CameraState::Connecting);
    for (site, code, after) in [
        (away(), "camera_away", 60),
        (connecting, "camera_away", 60),
        (failing, "target_refusing", 60),
        (gone, "target_away", 60),
        (refused, "pictures_refused", 0),
        (stuck, "contact_stuck", 600),
        (failed, "trigger_failed", 0),
        (denied, "pictures_unreadable", 0),
        (watched, "text_watched", 0),
    ] {
        assert_eq!(first(&[(after as u64 + 1, site.clone())], code), Some(after), "{code}");
        let mut rule = Rule::default();
        let now = Instant::now();
        rule.judge(now, WALL, &site.facts());
        let later = now + Duration::from_secs(after as u64);
        let alarms = rule.judge(later, WALL.plus_ms(after as i64 * 1000), &site.facts());
        let [alarm] = &alarms[..] else { panic!("{code}: {alarms:?}") };
        assert_eq!(alarm.since, WALL, "{code} began when it was first seen");
        assert!(!alarm.args.is_empty() && alarm.kind.action().link.is_some());
    }
}

fn watched_news(site: &Site, count: u64) -> WatchedNews {
    let newest = WatchedText {
        reading: 17,
        watched: "AB12CD".to_owned(),
        read: "a812cd".to_owned(),
        camera: site.cameras[0].key.clone(),
        filename: FileName::parse("r1_1795132800.jpg").unwrap(),
        taken_at: WALL,
    };
    WatchedNews { count, newest: Some(newest) }
}

#[test]
fn a_watched_text_is_an_alarm_in_words_at_once_and_over_when_it_was_seen() {
    let watched = Site::new().with(|site| site.watched = watched_news(site, 3));
    let mut rule = Rule::default();
    let alarms = rule.judge(Instant::now(), WALL, &watched.facts());
    let [alarm] = &alarms[..] else { panic!("{alarms:?}") };
    assert_eq!(
        alarm.message,
        "AB12CD, which is watched for, was read in a picture of Entry (read as a812cd); 2 more that nobody has seen"
    );
    assert_eq!((&alarm.args["reading"], &alarm.args["filename"]), (&json!(17), &json!("r1_1795132800.jpg")));
    assert!(rule.judge(Instant::now(), WALL, &Site::new().facts()).is_empty());
    let mut news = watched_news(&watched, 1);
    if let Some(newest) = &mut news.newest {
        newest.read = "ab-12 cd".to_owned();
    }
    let same = Site::new().with(|site| site.watched = news);
    let alarms = rule.judge(Instant::now(), WALL, &same.facts());
    assert_eq!(alarms[0].message, "AB12CD, which is watched for, was read in a picture of Entry");
}

#[test]
fn nothing_is_said_of_a_site_on_which_all_is_well_or_switched_off() {
    let off = away().with(|site| {
        site.cameras[0].enabled = false;
        site.cameras[0].state = CameraState::Disabled;
    });
    let untried = Site::new().with(|site| site.targets[0].online = None);
    for site in [Site::new(), off, untried] {
        assert!(told(&[(700, site)]).iter().all(Vec::is_empty));
    }
}

#[test]
fn a_camera_that_comes_and_goes_is_away_although_it_never_stays_away_for_a_minute() {
    let story: Vec<(u64, Site)> = (0..4).flat_map(|_| [(25, away()), (5, Site::new())]).collect();
    let told = told(&story);
    assert_eq!(told.iter().position(|codes| !codes.is_empty()), Some(60));
    assert!(told[85..90].iter().all(Vec::is_empty), "it is not said to be away while it is there");
    let rested = [(59, away()), (21, Site::new()), (59, away())];
    assert_eq!(first(&rested, "camera_away"), None, "well for long enough is well");
}

#[test]
fn a_line_that_bounces_without_end_is_said_within_a_minute_and_no_longer_than_two() {
    let bounced = |bounces| Site::new().with(|site| site.lines[0].bounces = bounces);
    let storm: Vec<(u64, Site)> = (0..30).map(|second| (1, bounced(second * 100))).collect();
    let calm = (150, bounced(2_900));
    let story: Vec<(u64, Site)> = storm.into_iter().chain([calm]).collect();
    assert_eq!(first(&story, "contact_noisy"), Some(7));
    assert!(told(&story)[130..].iter().all(Vec::is_empty));
    let relay: Vec<(u64, Site)> = (0..120).map(|second| (1, bounced(second * 5))).collect();
    assert_eq!(first(&relay, "contact_noisy"), None, "a relay that closes every other second");
}

proptest! {
    /// Whatever happened before: what is said holds now, and what has held for its patience without a break is said.
    #[test]
    fn an_alarm_is_said_exactly_while_its_condition_holds(spells in prop::collection::vec((0_u64..100, any::<bool>()), 1..12)) {
        let story: Vec<(u64, Site)> =
            spells.iter().map(|(seconds, is_away)| (*seconds, if *is_away { away() } else { Site::new() })).collect();
        let holds: Vec<bool> =
            spells.iter().flat_map(|(seconds, is_away)| std::iter::repeat_n(*is_away, *seconds as usize)).collect();
        for (second, codes) in told(&story).iter().enumerate() {
            let lasted = holds[..=second].iter().rev().take_while(|holds| **holds).count();
            prop_assert!(codes.is_empty() || holds[second]);
            prop_assert!(lasted <= 60 || !codes.is_empty(), "second {}", second);
        }
    }
}
