use super::*;
use crate::config::testing::{config, problem, problems, warnings};

const URL: (&str, &str) = ("S3_API_URL", "https://u:p@api.example/Upload?modulename=anpr");
const RELAY: (&str, &str) = ("RELAY_URL", "http://10.0.0.9:9000/upload");

fn in_use(pairs: &[(&str, &str)]) -> Vec<TargetId> {
    config(pairs).upload.in_use().collect()
}

#[test]
fn those_that_are_configured_are_in_use_unless_others_are_named() {
    assert_eq!(in_use(&[URL, RELAY]), [TargetId::API, TargetId::RELAY]);
    assert_eq!(in_use(&[URL, RELAY, ("UPLOAD_TARGETS", " Relay ,relay")]), [TargetId::RELAY]);
}

#[test]
fn a_named_target_that_is_unknown_or_not_configured_is_a_problem_with_what_it_wants() {
    assert!(problem(&[URL, ("UPLOAD_TARGETS", "ftp")]).contains("unknown target"));
    assert!(problem(&[URL, ("UPLOAD_TARGETS", "api,")]).contains("unknown target"));
    let list = problems(&[URL, ("UPLOAD_TARGETS", "api,s3,discord")]);
    assert_eq!(list.len(), 2, "{list:#?}");
    assert!(list[0].contains("s3 is named but not configured") && list[0].contains("S3_BUCKET"), "{list:#?}");
    assert!(list[1].contains("DISCORD_WEBHOOK_URL"), "{list:#?}");
}

#[test]
fn the_rate_of_one_target_wins_over_the_common_one() {
    let pairs = [URL, RELAY, ("UPLOAD_RATE", "1M"), ("RELAY_UPLOAD_RATE", "64KiB")];
    let rates: Vec<_> = config(&pairs).upload.targets.iter().map(|target| (target.id, target.rate)).collect();
    assert_eq!(rates, [(TargetId::API, Some(1_000_000)), (TargetId::RELAY, Some(65_536))]);
    assert!(problem(&[("RELAY_UPLOAD_RATE", "100")]).starts_with("RELAY_UPLOAD_RATE: "));
}

#[test]
fn the_pin_of_one_target_wins_over_the_common_one_and_one_for_nothing_is_a_warning() {
    let (one, other) = ("11".repeat(32), "22".repeat(32));
    let pairs = [
        URL,
        RELAY,
        ("UPLOAD_TLS_FINGERPRINT", one.as_str()),
        ("API_UPLOAD_TLS_FINGERPRINT", other.as_str()),
        ("RELAY_UPLOAD_TLS_FINGERPRINT", &other),
    ];
    let common = "UPLOAD_TLS_FINGERPRINT";
    let [api, relay] = ["API_UPLOAD_TLS_FINGERPRINT", "RELAY_UPLOAD_TLS_FINGERPRINT"];
    let settings = |pairs: &[(&str, &str)]| {
        let pins = config(pairs).upload.targets.into_iter().filter_map(|target| target.pin);
        pins.map(|pin| pin.setting).collect::<Vec<_>>()
    };
    assert_eq!(settings(&pairs), [api, relay]);
    assert_eq!(settings(&pairs[..4]), [api, common]);
    let idle = "not used, because no address of a target that it is for begins with https://";
    assert_eq!(warnings(&pairs), [format!("{relay}: {idle}"), format!("{common}: {idle}")]);
    assert_eq!(warnings(&pairs[..3]), [] as [String; 0]);
    assert!(
        problem(&[("S3_UPLOAD_TLS_FINGERPRINT", "aa")])
            .starts_with("S3_UPLOAD_TLS_FINGERPRINT: has 2 digits")
    );
}

const SECOND: (&str, &str) = ("API_2_URL", "https://second.example/up");

fn id(text: &str) -> TargetId {
    TargetId::parse(text).unwrap()
}

fn api(pairs: &[(&str, &str)], which: &str) -> ApiTargetConfig {
    match &config(pairs).upload.target(id(which)).unwrap().settings {
        TargetSettings::Api(api) => api.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn there_may_be_several_of_a_kind_and_each_has_what_is_its_own() {
    let pairs = [
        URL,
        SECOND,
        ("UPLOAD_RATE", "1M"),
        ("API_2_UPLOAD_RATE", "64KiB"),
        ("API_2_UPLOAD_WINDOW", "22:00-06:00"),
        ("API_2_UPLOAD_PARALLEL", "3"),
        ("API_2_UPLOAD_FIELD_NAME", "picture"),
        ("API_2_UPLOAD_SUCCESS", "status"),
        ("S3_2_ENDPOINT", "https://s3.example"),
        ("S3_2_BUCKET", "gate"),
        ("S3_2_ACCESS_KEY_ID", "a"),
        ("S3_2_SECRET_ACCESS_KEY", "b"),
        ("UPLOAD_TARGETS", "s3_2, api,API_2"),
    ];
    let upload = config(&pairs).upload;
    assert_eq!(upload.in_use().collect::<Vec<_>>(), [id("api"), id("api_2"), id("s3_2")]);
    let rates: Vec<_> = upload.targets.iter().filter_map(|target| target.rate).collect();
    assert_eq!(rates, [1_000_000, 65_536, 1_000_000]);
    assert_eq!((upload.lane(id("api")).parallel, upload.lane(id("api_2")).parallel), (1, 3));
    assert!(upload.lane(id("api")).window.is_none() && upload.lane(id("api_2")).window.is_some());
    assert_eq!(
        (api(&pairs, "api").field_name, api(&pairs, "api_2").field_name),
        ("file".into(), "picture".into())
    );
    assert_eq!(upload.targets[1].settings.url().as_str(), SECOND.1);
}

#[test]
fn nothing_that_describes_one_server_is_taken_over_by_another() {
    let pairs = [
        URL,
        SECOND,
        ("UPLOAD_HEADERS", "Authorization: Bearer hunter2"),
        ("UPLOAD_FIELDS", "token=hunter2"),
        ("UPLOAD_FIELD_NAME", "hunter2"),
        ("UPLOAD_SUCCESS", "text:hunter2"),
        ("S3_SESSION_TOKEN", "hunter2"),
        ("S3_ENDPOINT", "https://s3.example"),
        ("S3_BUCKET", "hunter2"),
        ("S3_ACCESS_KEY_ID", "hunter2"),
        ("S3_SECRET_ACCESS_KEY", "hunter2"),
        ("S3_2_ENDPOINT", "https://s3.example"),
        ("S3_2_BUCKET", "gate"),
        ("S3_2_ACCESS_KEY_ID", "a"),
        ("S3_2_SECRET_ACCESS_KEY", "b"),
    ];
    let second = api(&pairs, "api_2");
    assert!(second.headers.is_empty() && second.fields.is_empty() && second.success.is_none());
    assert_eq!(second.field_name, "file");
    let upload = config(&pairs).upload;
    let TargetSettings::S3(s3) = &upload.target(id("s3_2")).unwrap().settings else { panic!() };
    assert!(s3.session_token.is_none() && s3.bucket == "gate" && s3.access_key_id.reveal() == "a");
    // Nor the other way.
    let pairs =
        [URL, SECOND, ("API_2_UPLOAD_HEADERS", "X-Key: hunter2"), ("API_2_UPLOAD_FIELDS", "token=hunter2")];
    assert!(api(&pairs, "api").headers.is_empty() && api(&pairs, "api").fields.is_empty());
    assert_eq!(api(&pairs, "api_2").headers.len(), 1);
}

#[test]
fn a_number_that_is_left_out_is_a_problem_that_says_what_to_write_unless_it_is_meant() {
    let third = [URL, ("API_3_URL", "https://third.example/up")];
    let said = problem(&third);
    for words in
        ["UPLOAD_TARGETS: ", "api_3 is configured, but api_2 is not", "UPLOAD_TARGETS=api,api_3", "API_2_URL"]
    {
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(in_use(&[&third[..], &[("UPLOAD_TARGETS", "api_3,api")]].concat()), [id("api"), id("api_3")]);
    let said = problem(&[SECOND]);
    assert!(
        said.contains("api_2 is configured, but api is not") && said.contains("else S3_API_URL"),
        "{said}"
    );
    assert_eq!(in_use(&[SECOND, ("UPLOAD_TARGETS", "api_2")]), [id("api_2")]);
}

#[test]
fn a_number_that_no_target_has_is_a_problem_that_leads_to_the_first_or_the_last() {
    for name in ["API_0_URL", "API_1_URL", "API_10_URL", "API_99999999999_URL"] {
        let said = problem(&[URL, (name, "https://x.example/")]);
        let expected = format!(
            "{name}: there is no target of this number (value hidden), accepted: 2 to 9; the first one is S3_API_URL"
        );
        assert_eq!(said, expected);
    }
    let said = problem(&[URL, ("UPLOAD_TARGETS", "api_1")]);
    assert!(
        said.contains("api, s3, discord, relay")
            && said.contains("; the second of a kind is api_2, the last api_9"),
        "{said}"
    );
}

#[test]
fn all_that_is_wrong_with_several_targets_is_said_at_once_by_their_own_names_and_without_a_secret() {
    let list = problems(&[
        URL,
        ("API_2_URL", "ftp://bob:hunter2@second.example/"),
        ("API_2_UPLOAD_HEADERS", "Authorization hunter2"),
        ("API_2_UPLOAD_FIELDS", "file=hunter2"),
        ("API_3_UPLOAD_RATE", "1"),
        ("S3_2_BUCKET", "gate"),
        ("S3_2_ACCESS_KEY_ID", "hunter2"),
        ("DISCORD_9_MAX_BYTES", "5"),
        ("RELAY_2_UPLOAD_TLS_FINGERPRINT", "aa"),
        ("UPLOAD_TARGETS", "hunter"),
        ("UPLOAD_WINDOW", "night"),
    ]);
    let text = list.join("\n");
    for begin in [
        "UPLOAD_WINDOW: ",
        "UPLOAD_TARGETS: ",
        "API_2_URL: ",
        "API_2_UPLOAD_HEADERS: ",
        "API_2_UPLOAD_FIELDS: entry 1 has the name file, under which the picture itself is sent (API_2_UPLOAD_FIELD_NAME)",
        "API_3_UPLOAD_RATE: ",
        "S3_2_ENDPOINT: S3_2_BUCKET is set, but not S3_2_ENDPOINT, S3_2_SECRET_ACCESS_KEY, accepted: all of S3_2_ENDPOINT",
        "DISCORD_9_MAX_BYTES: ",
        "RELAY_2_UPLOAD_TLS_FINGERPRINT: ",
    ] {
        assert!(list.iter().any(|line| line.starts_with(begin)), "{begin} not in\n{text}");
    }
    assert_eq!(list.len(), 9, "{text}");
    assert!(!text.contains("hunter2") && !text.contains("bob"), "{text}");
}

#[test]
fn a_named_target_without_its_variables_is_a_problem_with_its_own_names() {
    let said = problem(&[URL, ("UPLOAD_TARGETS", "api,s3_4")]);
    assert!(said.contains("s3_4 is named but not configured") && said.contains("S3_4_BUCKET"), "{said}");
}

#[test]
fn a_variable_of_a_target_that_is_none_is_a_warning_with_what_it_lacks() {
    assert_eq!(
        warnings(&[URL, ("API_2_UPLOAD_RATE", "1M"), ("DISCORD_3_MAX_BYTES", "1M")]),
        [
            "API_2_UPLOAD_RATE: not used, because API_2_URL is not set",
            "DISCORD_3_MAX_BYTES: not used, because DISCORD_3_WEBHOOK_URL is not set"
        ]
    );
}

#[test]
fn a_description_tells_of_every_target_by_its_own_names_and_reads_back() {
    let pairs = [
        URL,
        ("API_2_URL", "https://bob:hunter2@second.example/up"),
        ("API_2_UPLOAD_HEADERS", "X-Key: hunter2"),
        ("API_2_UPLOAD_PARALLEL", "4"),
        ("RELAY_URL", "https://first.example/hunter2"),
        ("RELAY_2_URL", "https://second.example/hunter2"),
        ("RELAY_2_UPLOAD_RATE", "1M"),
    ];
    let first = config(&pairs).describe();
    for line in [
        "# targets in use: api, api_2, relay, relay_2",
        "API_2_URL=https://second.example/up",
        "# API_2_URL has more than is shown: user, password, query or what looks like a token is hidden",
        "# API_2_UPLOAD_HEADERS is set: X-Key (values hidden)",
        "API_2_UPLOAD_PARALLEL=4",
        "# RELAY_2_URL is set: https://second.example (path hidden)",
        "# RELAY_2_UPLOAD_RATE=1000000",
    ] {
        assert!(first.lines().any(|it| it == line), "{line} not in\n{first}");
    }
    assert!(!first.contains("hunter2") && !first.contains("bob"), "{first}");
    let env = Env::from_file(first.as_bytes(), "described");
    let (again, warnings) = crate::config::Config::parse(&env).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(again.upload.in_use().collect::<Vec<_>>(), [id("api"), id("api_2")]);
    assert_eq!(again.upload.lane(id("api_2")).parallel, 4);
}
