use super::*;
use crate::config::Env;

fn status() -> Status {
    let pairs =
        [("CAMERA_1_IP", "10.0.0.9"), ("S3_API_URL", "http://127.0.0.1:9/"), ("GPIO_ENABLED", "true")];
    let (config, _) = Config::parse(&Env::from_pairs(pairs)).unwrap();
    Status::new(&config)
}

fn line() -> LineState {
    LineState {
        pin: 18,
        camera: CameraKey::parse("r1").unwrap(),
        level: Some(Level::High),
        active: false,
        last_edge: None,
        edges: 0,
        bounces: 0,
    }
}

/// The events so far, each by its name.
fn told(events: &mut broadcast::Receiver<Event>) -> Vec<Event> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

#[test]
fn a_contact_that_settles_without_another_edge_is_told() {
    let status = status();
    status.update_lines(|| vec![line()]);
    let mut events = status.subscribe();
    // The raw edge comes first; some milliseconds later the contact counts as closed.
    let edge = LineState { level: Some(Level::Low), edges: 1, ..line() };
    status.update_lines(|| vec![edge.clone()]);
    let settled = LineState { active: true, ..edge };
    status.update_lines(|| vec![settled.clone()]);
    let last = told(&mut events).pop();
    assert!(matches!(&last, Some(Event::Contact(line)) if *line == settled), "{last:?}");
    assert_eq!(status.gpio().lines, [settled]);
}

#[test]
fn each_value_that_is_shown_is_told_when_it_changes_and_only_then() {
    let status = status();
    status.update_lines(|| vec![line()]);
    let camera = status.cameras()[0].key.clone();
    let at = Some(UnixMs(1));
    let lines = [
        LineState { level: None, ..line() },
        LineState { active: true, ..line() },
        LineState { last_edge: at, ..line() },
        LineState { edges: 1, ..line() },
        LineState { bounces: 1, ..line() },
    ];
    let mut events = status.subscribe();
    for changed in lines {
        status.update_lines(|| vec![changed.clone()]);
        status.update_lines(|| vec![changed.clone()]);
        assert_eq!(told(&mut events).len(), 1, "{changed:?}");
        status.update_lines(|| vec![line()]);
        told(&mut events);
    }
    type Change<T> = fn(&mut T);
    let of_gpio: [Change<GpioStatus>; 2] =
        [|gpio| gpio.error = Some("no chip".to_owned()), |gpio| gpio.backend = "sim"];
    for change in of_gpio {
        status.update_gpio(change);
        status.update_gpio(change);
        assert!(matches!(told(&mut events)[..], [Event::Contacts(_)]), "a change of the contacts");
    }
    let of_target: [Change<TargetStatus>; 5] = [
        |target| target.is_reachable = Some(true),
        |target| target.is_failing = true,
        |target| target.last_delivered = Some(UnixMs(5)),
        |target| target.paused_until = Some(UnixMs(5)),
        |target| target.last_error = Some("401".into()),
    ];
    for (number, change) in of_target.into_iter().enumerate() {
        status.update_target(TargetId::API, change);
        status.update_target(TargetId::API, change);
        assert!(matches!(told(&mut events)[..], [Event::Target(_)]), "change {number} of a target");
    }
    for change in [(|storage| storage.pictures.free_bytes = 7) as Change<StorageState>, |storage| {
        storage.message = Some("short".to_owned())
    }] {
        status.update_storage(change);
        status.update_storage(change);
        assert!(matches!(told(&mut events)[..], [Event::Storage(_)]), "a change of the disk");
    }
    status.update_camera(&camera, |camera| camera.last_error = Some("away".into()));
    status.update_camera(&camera, |camera| camera.last_error = Some("away".into()));
    assert!(matches!(told(&mut events)[..], [Event::Camera(_)]));
}

#[test]
fn a_target_that_fails_is_not_online_whatever_its_port_says() {
    let status = status();
    let online = || (status.is_online(), status.targets()[0].online);
    status.update_target(TargetId::API, |target| target.is_reachable = Some(true));
    assert_eq!(online(), (true, Some(true)));
    status.update_target(TargetId::API, |target| target.is_failing = true);
    assert_eq!(online(), (false, Some(false)));
    status.update_target(TargetId::API, |target| target.is_reachable = Some(true));
    assert_eq!(online(), (false, Some(false)), "the port has been looked at again");
    status.update_target(TargetId::API, |target| target.is_failing = false);
    assert_eq!(online(), (true, Some(true)));
}

#[test]
fn an_alarm_that_stays_keeps_its_beginning_and_is_told_once() {
    let status = status();
    let mut events = status.subscribe();
    let kind = AlarmKind::CameraAway(CameraKey::parse("r1").unwrap());
    let found = |message: &str, since| Alarm::new(kind.clone(), message.to_owned(), UnixMs(since));
    status.show_found(vec![found("away", 10)]);
    status.show_found(vec![found("away", 11)]);
    assert_eq!(told(&mut events).len(), 1);
    status.show_found(vec![found("away, and more", 12)]);
    assert_eq!(told(&mut events).len(), 1);
    assert_eq!(status.alarms()[0].since, UnixMs(10));
    // What its owner raises is left alone, and the other way round.
    let disk = status.alarm(AlarmKind::DiskShort);
    disk.raise("full".to_owned());
    status.show_found(Vec::new());
    assert_eq!(kinds(&status), [AlarmKind::DiskShort]);
    disk.clear();
    assert_eq!(status.alarms(), []);
}

#[test]
fn an_alarm_ends_with_its_owner_and_each_target_and_task_has_its_own() {
    let status = status();
    let task = |name: &str| AlarmKind::TaskRestarted { task: "upload", name: name.to_owned() };
    let all = [
        task("upload:api"),
        task("upload:s3"),
        AlarmKind::UploadStuck(TargetId::API),
        AlarmKind::UploadStuck(TargetId::S3),
    ];
    let handles = all.clone().map(|kind| status.alarm(kind));
    handles.iter().for_each(|handle| handle.raise("broken".to_owned()));
    assert_eq!(kinds(&status).len(), 4);
    let [first, ..] = &handles;
    first.clear();
    assert_eq!(kinds(&status), all[1..]);
    drop(handles);
    assert_eq!(status.alarms(), []);
}

fn kinds(status: &Status) -> Vec<AlarmKind> {
    let mut kinds: Vec<_> = status.alarms().into_iter().map(|alarm| alarm.kind).collect();
    kinds.sort();
    kinds
}
