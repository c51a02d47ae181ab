//! Tests of [`super`].

use super::super::testing::{config, problem, problems, warnings};
use super::*;

/// User, password and address of camera 1.
fn camera_1(pairs: &[(&str, &str)]) -> (String, Option<(String, String)>) {
    let Some(SourceConfig::Rtsp(rtsp)) = config(pairs).cameras.remove(0).source else { panic!("no source") };
    let credentials = rtsp.credentials.map(|c| (c.username, c.password.reveal().clone()));
    (rtsp.url.into(), credentials)
}

fn user(name: &str, password: &str) -> Option<(String, String)> {
    Some((name.to_owned(), password.to_owned()))
}

#[test]
fn without_variables_there_are_no_cameras() {
    assert!(config(&[("GPIO_ENABLED", "true"), ("CAMERA_1_IP", "")]).cameras.is_empty());
}

#[test]
fn cameras_have_the_established_names_labels_and_pins() {
    let cameras = config(&[
        ("CAMERA_1_IP", "10.0.0.1"),
        ("CAMERA_2_IP", "10.0.0.2"),
        ("CAMERA_3_IP", "10.0.0.3"),
        ("CAMERA_16_IP", "10.0.0.16"),
    ])
    .cameras;
    let seen: Vec<_> = cameras.iter().map(|c| (c.number, c.key.as_str(), c.label.as_str(), c.pin)).collect();
    assert_eq!(
        seen,
        [
            (1, "r1", "Entry", Some(18)),
            (2, "r2", "Exit", Some(19)),
            (3, "r3", "Auxiliary", Some(20)),
            (16, "r16", "Camera 16", None)
        ]
    );
    assert!(cameras.iter().all(|c| c.enabled && c.offsets_ms == [0]));
}

#[test]
fn a_camera_is_enabled_by_its_address_and_disabled_by_word() {
    let enabled = |pairs: &[(&str, &str)]| config(pairs).cameras.remove(0).enabled;
    assert!(enabled(&[("CAMERA_1_RTSP", "rtsp://cam/")]));
    assert!(!enabled(&[("CAMERA_1_RTSP", "rtsp://cam/"), ("CAMERA_1_ENABLED", "no")]));
    assert!(!enabled(&[("CAMERA_1_LABEL", "Gate")]));
    let text = problem(&[("CAMERA_2_ENABLED", "true")]);
    assert!(text.starts_with("CAMERA_2_ENABLED: the camera has no address (seen \"true\")"), "{text}");
}

#[test]
fn datagrams_beside_tls_and_multicast_are_refused_with_what_to_set() {
    let secured = ("CAMERA_1_RTSP", "rtsps://u:hunter2@cam/a");
    let text = problem(&[secured, ("CAMERA_1_TRANSPORT", "udp")]);
    assert!(text.starts_with("CAMERA_1_TRANSPORT: ") && text.contains("SRTP"), "{text}");
    assert!(text.contains("accepted: tcp") && !text.contains("hunter2"), "{text}");
    let text = problem(&[("CAMERA_1_RTSP", "rtsp://cam/a"), ("CAMERA_1_TRANSPORT", "Multicast")]);
    assert!(text.contains("multicast is not read") && text.ends_with("accepted: tcp, udp, http"), "{text}");
}

#[test]
fn a_port_that_is_not_said_is_that_of_the_service() {
    for (url, transport, port) in [
        ("rtsp://cam/a", "tcp", 554),
        ("rtsp://cam:555/a", "udp", 555),
        ("rtsps://cam/a", "tcp", 322),
        ("rtsp://cam/a", "http", 80),
        ("rtsps://cam/a", "http", 443),
    ] {
        let pairs = [("CAMERA_1_RTSP", url), ("CAMERA_1_TRANSPORT", transport)];
        let Some(SourceConfig::Rtsp(rtsp)) = config(&pairs).cameras.remove(0).source else {
            panic!("no source")
        };
        assert_eq!(rtsp.port(), port, "{url} {transport}");
    }
}

#[test]
fn an_address_wins_over_an_ip() {
    let (url, _) = camera_1(&[("CAMERA_1_RTSP", "rtsp://cam/a"), ("CAMERA_1_IP", "10.0.0.1")]);
    assert_eq!(url, "rtsp://cam/a");
}

#[test]
fn the_cameras_own_user_wins_then_the_address_then_the_common_one() {
    let common = [("CAMERA_USERNAME", "common"), ("CAMERA_PASSWORD", " c ")];
    let plain = ("CAMERA_1_RTSP", "rtsp://cam/");
    let with_user = ("CAMERA_1_RTSP", "rtsp://url:u@cam/");
    assert_eq!(camera_1(&[plain]).1, None);
    assert_eq!(camera_1(&[common[0], common[1], plain]).1, user("common", " c "));
    assert_eq!(camera_1(&[common[0], common[1], with_user]).1, user("url", "u"));
    let own = [("CAMERA_1_USERNAME", "own"), ("CAMERA_1_PASSWORD", "o")];
    assert_eq!(camera_1(&[common[0], common[1], own[0], own[1], with_user]).1, user("own", "o"));
    assert_eq!(camera_1(&[common[0], common[1], own[0], plain]).1, user("own", " c "));
    assert_eq!(camera_1(&[own[0], plain]).1, user("own", ""));
}

#[test]
fn a_password_without_a_user_is_one_problem() {
    let text = problem(&[("CAMERA_PASSWORD", "x"), ("CAMERA_1_IP", "a"), ("CAMERA_2_IP", "b")]);
    assert!(text.starts_with("CAMERA_PASSWORD: there is a password and no user name"), "{text}");
    let text = problem(&[("CAMERA_1_PASSWORD", "x"), ("CAMERA_1_IP", "a")]);
    assert!(text.starts_with("CAMERA_1_PASSWORD: there is a password and no user name"), "{text}");
}

#[test]
fn two_cameras_on_one_pin_or_with_one_name_are_problems() {
    let both = [("CAMERA_1_IP", "a"), ("CAMERA_2_IP", "b")];
    let text = problem(&[both[0], both[1], ("GPIO_CAMERA_2_PIN", "18")]);
    assert!(text.starts_with("GPIO_CAMERA_2_PIN: 18 is the pin of camera 1 already"), "{text}");
    let text = problem(&[both[0], both[1], ("CAMERA_2_NAME", "r1")]);
    assert!(text.starts_with("CAMERA_2_NAME: r1 is the name of camera 1 already"), "{text}");
    let cameras =
        config(&[both[0], both[1], ("GPIO_CAMERA_1_PIN", "none"), ("GPIO_CAMERA_2_PIN", "18")]).cameras;
    assert_eq!((cameras[0].pin, cameras[1].pin), (None, Some(18)));
}

#[test]
fn offsets_are_sorted_and_counted_once() {
    let parsed =
        |text: &str| config(&[("CAMERA_1_IP", "a"), ("CAMERA_1_OFFSETS_MS", text)]).cameras.remove(0);
    assert_eq!(parsed("400, 0,-400,0").offsets_ms, [-400, 0, 400]);
    for text in ["x", "1,,2", "10001", "-10001", "1.5", "1,2,3,4,5,6,7,8,9,10", "9999999999999999999999"] {
        let text = problem(&[("CAMERA_1_IP", "a"), ("CAMERA_1_OFFSETS_MS", text)]);
        assert!(text.starts_with("CAMERA_1_OFFSETS_MS: "), "{text}");
    }
}

#[test]
fn clip_and_best_picture_are_off_until_their_time_around_the_edge_is_said() {
    let ms = |around: Option<Around>| around.map(|a| (a.before.as_millis(), a.after.as_millis()));
    let plain = config(&[("CAMERA_1_IP", "a")]).cameras.remove(0);
    assert_eq!((plain.clip, plain.best), (None, None));
    let both = [("CAMERA_1_IP", "a"), ("CAMERA_1_CLIP_MS", "5000, 30000"), ("CAMERA_1_BEST_MS", "0,400")];
    let camera = config(&both).cameras.remove(0);
    assert_eq!((ms(camera.clip), ms(camera.best)), (Some((5000, 30_000)), Some((0, 400))));
    for text in ["x", "5", "1,2,3", "-1,2", "30001,0", "0,0", "1.5,2", ",", "99999999999999999999,1"] {
        let text = problem(&[("CAMERA_1_IP", "a"), ("CAMERA_1_CLIP_MS", text)]);
        assert!(text.starts_with("CAMERA_1_CLIP_MS: "), "{text}");
    }
    assert!(problem(&[("CAMERA_1_IP", "a"), ("CAMERA_1_BEST_MS", "5001,0")]).contains("0 to 5000"));
}

/// Address, user and password, and what is thrown away, of camera 1.
fn snapshot_1(pairs: &[(&str, &str)]) -> (String, Option<(String, String)>, Flush) {
    let Some(SourceConfig::Snapshot(snapshot)) = config(pairs).cameras.remove(0).source else {
        panic!("no source of single pictures")
    };
    let credentials = snapshot.credentials.map(|c| (c.username, c.password.reveal().clone()));
    (snapshot.url.into(), credentials, snapshot.flush)
}

#[test]
fn a_snapshot_url_enables_a_camera_and_wins_over_its_ip() {
    let pairs = [("CAMERA_1_SNAPSHOT_URL", "http://u:p@cam/capture"), ("CAMERA_1_IP", "10.0.0.1")];
    assert!(config(&pairs).cameras[0].enabled);
    assert_eq!(snapshot_1(&pairs), ("http://cam/capture".to_owned(), user("u", "p"), Flush::Auto));
    assert_eq!(warnings(&pairs), Vec::<String>::new());
    let own = [pairs[0], ("CAMERA_1_USERNAME", "own"), ("CAMERA_1_SNAPSHOT_FLUSH", "2")];
    assert_eq!(snapshot_1(&own), ("http://cam/capture".to_owned(), user("own", "p"), Flush::Fixed(2)));
}

#[test]
fn a_snapshot_url_beside_a_stream_is_used_with_a_warning() {
    let pairs = [("CAMERA_1_SNAPSHOT_URL", "http://cam/a.jpg"), ("CAMERA_1_RTSP", "rtsp://u:hunter2@cam/")];
    assert_eq!(snapshot_1(&pairs).0, "http://cam/a.jpg");
    let expected = "CAMERA_1_RTSP: not used, because CAMERA_1_SNAPSHOT_URL is set, too; empty one of them";
    assert_eq!(warnings(&pairs), [expected]);
}

#[test]
fn a_camera_of_single_pictures_is_never_hot() {
    let pairs = [("CAMERA_1_SNAPSHOT_URL", "http://cam/a.jpg"), ("CAMERA_1_MODE", "hot")];
    assert_eq!(config(&pairs).cameras[0].engine.mode, DecodeMode::Cold);
    assert!(warnings(&pairs)[0].starts_with("CAMERA_1_MODE: not used"));
}

#[test]
fn a_camera_of_single_pictures_has_no_instants_before_the_edge() {
    let url = ("CAMERA_1_SNAPSHOT_URL", "http://cam/a.jpg");
    let text = problem(&[url, ("CAMERA_1_OFFSETS_MS", "-400,0")]);
    assert!(text.starts_with("CAMERA_1_OFFSETS_MS: ") && text.contains("before the edge"), "{text}");
    assert_eq!(config(&[url, ("CAMERA_1_OFFSETS_MS", "0,400")]).cameras[0].offsets_ms, [0, 400]);
}

#[test]
fn every_mistake_of_a_camera_is_reported() {
    let list = problems(&[
        ("CAMERA_1_RTSP", "http://cam"),
        ("CAMERA_1_IP", "1.2.3"),
        ("CAMERA_1_ENABLED", "ja"),
        ("CAMERA_1_NAME", "Gate 1"),
        ("CAMERA_1_LABEL", &"x".repeat(65)),
        ("CAMERA_1_TRANSPORT", "carrier pigeon"),
        ("CAMERA_1_SNAPSHOT_URL", "ftp://cam"),
        ("CAMERA_1_SNAPSHOT_FLUSH", "4"),
        ("CAMERA_1_SNAPSHOT_VERIFY", "perhaps"),
        ("GPIO_CAMERA_1_PIN", "99"),
    ]);
    assert_eq!(list.len(), 10, "{list:#?}");
}

#[test]
fn a_camera_that_cannot_be_and_a_pin_without_a_camera_are_reported() {
    for name in ["CAMERA_0_IP", "CAMERA_17_IP", "GPIO_CAMERA_17_PIN"] {
        let text = problem(&[(name, "1")]);
        assert!(text.starts_with(&format!("{name}: there is no camera of this number")), "{text}");
    }
    let list = warnings(&[("GPIO_CAMERA_2_PIN", "5")]);
    assert_eq!(list, ["GPIO_CAMERA_2_PIN: there is no camera 2, so its contact is not watched"]);
}
